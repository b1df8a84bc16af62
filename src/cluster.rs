//! Everything that speaks to the Kubernetes API.

pub(crate) mod annotations;
pub(crate) mod answers;
pub mod clock;
pub(crate) mod connect;
pub mod error;
pub(crate) mod events;
pub(crate) mod facts;
pub(crate) mod finalizers;
pub mod lease;
pub(crate) mod metal;
pub(crate) mod namespaces;
pub(crate) mod pods;
pub mod project;
pub mod queue;
pub mod random;
pub mod records;
pub(crate) mod services;
pub(crate) mod status;
pub mod stored;
pub mod watch;
