//! Portolan: a Kubernetes `type: LoadBalancer` controller. See ARCHITECTURE.md for the map.

pub mod api;
pub mod cli;
pub mod cluster;
pub mod config;
pub mod controller;
mod planted;
mod providers;
#[cfg(feature = "sandbox")]
#[expect(
    clippy::indexing_slicing,
    reason = "only JSON is indexed: a missing field reads as null, and what is written into was read as an object (sandbox/typed.rs)"
)]
mod sandbox;
#[cfg(all(feature = "sandbox", any(test, feature = "simulation")))]
#[allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a simulation is a test, also where it is a program of its own: what it does not expect ends it"
)]
pub mod sim;
mod speaker;
mod supervisor;
pub mod yaml;
