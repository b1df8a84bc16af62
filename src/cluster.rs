//! Everything that speaks to the Kubernetes API.

pub mod clock;
pub mod error;
pub mod lease;
pub mod project;
pub mod queue;
pub mod random;
pub mod records;
pub mod watch;
