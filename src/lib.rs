//! Portolan: a Kubernetes `type: LoadBalancer` controller. See ARCHITECTURE.md for the map.

pub mod api;
pub mod cli;
pub mod cluster;
pub mod config;
pub mod controller;
mod providers;
#[cfg(feature = "sandbox")]
#[expect(
    clippy::indexing_slicing,
    reason = "only JSON is indexed: a missing field reads as null, and what is written into was read as an object (sandbox/typed.rs)"
)]
mod sandbox;
mod supervisor;
pub mod yaml;
