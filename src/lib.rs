//! Portolan.
pub mod api;
pub mod cluster;
