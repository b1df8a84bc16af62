//! Portolan.

pub mod yaml;
