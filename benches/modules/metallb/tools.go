//go:build tools

// Package tools pins the peer beside which Portolan is measured.
package tools

import _ "go.universe.tf/metallb/controller"
