//! Index, reconcile, and what wires them.

pub mod index;
