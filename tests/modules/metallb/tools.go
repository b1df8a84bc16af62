//go:build tools

// Package tools pins the peer: the lab moves a cluster from it to Portolan, and benches/metal.rs measures beside it.
package tools

import (
	_ "go.universe.tf/metallb/controller"
	_ "go.universe.tf/metallb/speaker"
)
