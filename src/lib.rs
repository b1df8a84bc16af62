//! Portolan: a Kubernetes `type: LoadBalancer` controller. See ARCHITECTURE.md for the map.

pub mod api;
pub mod cli;
pub mod cluster;
pub mod config;
pub mod controller;
mod providers;
#[cfg(feature = "sandbox")]
mod sandbox;
mod supervisor;
pub mod yaml;
