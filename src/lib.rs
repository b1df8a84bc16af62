//! Portolan: a Kubernetes `type: LoadBalancer` controller. See ARCHITECTURE.md for the map.

pub mod api;
pub mod cli;
mod cluster;
pub mod config;
mod controller;
mod providers;
mod supervisor;
pub mod yaml;
