//! Index, reconcile, and what wires them.

pub(crate) mod decision;
pub(crate) mod dispatcher;
pub(crate) mod external_ips;
pub(crate) mod gate;
// Its stand-in shares the admission of Services with the sandbox.
#[cfg(test)]
#[cfg(feature = "sandbox")]
pub(crate) mod golden;
pub mod index;
pub(crate) mod lull;
pub(crate) mod preview;
pub(crate) mod reconcile;
pub(crate) mod turns;
pub(crate) mod walk;
