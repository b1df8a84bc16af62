//! The sandbox: an in-memory Kubernetes API, the cluster that it begins with, and what became of its Services as a table.

pub(crate) mod cluster;
pub(crate) mod expect;
pub(crate) mod table;
pub(crate) mod view;
