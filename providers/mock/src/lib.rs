//! The mock provider: load balancers that exist only as files in a folder.
//!
//! It is a whole provider (families, replaces, draining, asynchronous readiness) with nothing behind it, so that everything above it
//! can be proven against the real API server without a cloud. Its state outlives the process, and faults are armed from outside while
//! the controller runs (`portolan mock`).
//!
//! Where to find a rule:
//!
//! | Rule | Module |
//! |---|---|
//! | which generation should serve, what to do about the others | [`plan`] |
//! | what the status says | [`outcome`] |
//! | how one step is carried out, and what a crash in its middle leaves | [`apply`] |
//! | which address comes next, and who owns one | [`addresses`], [`ranges`] |
//! | which addresses an owner has claimed | [`claims`] |
//! | what lies in the folder | [`store`], [`stored`] |
//! | scripted trouble | [`faults`] |
//! | what wakes the controller | [`changes`] |
//! | what `portolan mock` prints | [`picture`] |

pub mod addresses;
pub mod apply;
pub mod changes;
pub mod claims;
pub mod clock;
pub mod duration;
pub mod faults;
mod foreseen;
pub mod observe;
pub mod outcome;
pub mod parameters;
pub mod picture;
pub mod plan;
pub mod provider;
pub mod ranges;
pub mod state;
pub mod step;
pub mod store;
pub mod stored;

pub use clock::{Clock, SystemClock};
pub use parameters::Parameters;
pub use provider::Mock;
pub use state::State;
pub use step::Step;
pub use store::Store;
