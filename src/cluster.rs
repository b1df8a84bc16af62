//! Everything that speaks to the Kubernetes API.

pub mod project;
pub mod queue;
pub mod random;
