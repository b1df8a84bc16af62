//! Index, reconcile, and what wires them.

pub(crate) mod decision;
pub(crate) mod dispatcher;
pub(crate) mod gate;
#[cfg(test)]
mod golden;
pub mod index;
pub(crate) mod preview;
pub(crate) mod reconcile;
pub(crate) mod walk;
