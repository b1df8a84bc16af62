//! Annotations: the keys that the AWS Load Balancer Controller made known, with its syntax, so that a manifest needs no edit.

pub mod keys;
pub mod reader;
pub mod syntax;

pub use keys::Key;
