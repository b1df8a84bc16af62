//! Addresses on bare metal: which pool may serve whom, which address a load balancer gets, which node answers for it.
//!
//! | Rule | Module |
//! |---|---|
//! | how ranges of addresses are written | [`range`] |
//! | which addresses of a pool are free | [`free`] |
//! | what a pool says, what is wrong with it and with all of them together | [`pool`] |
//! | which addresses somebody gets, and why not the others | [`allocation`] |
//! | what a Service says to pools | [`settings`] |
//! | what a load balancer asks for, and what it keeps of what it has | [`wish`] |
//! | who has an address, and what its record is called | [`vip`] |
//! | who was told what, who waits and in which order | [`world`] |
//! | what is recorded and given back, in which order | `plan` |
//! | what the status says | `outcome` |
//! | who is behind an address, as far as placement has to know | [`backing`] |
//! | from which nodes and interfaces an address may be announced, and rather from which | [`advertisement`] |
//! | who may come to an address that others have | [`joining`] |
//! | which nodes may answer for it now, and why not the others | [`eligible`] |
//! | who answers for each address, and who comes next | [`placement`] |
//! | what a change moves, and why, in words | [`moves`] |
//! | all of these together: who shall answer, and what is to be recorded of it | [`round`] |
//! | what becomes of it on the wire, as speakers say | [`announcement`] |
//! | what is said of addresses, of many in a row at once | [`spans`] |
//! | whether it is reached, as another node has found there | [`reach`] |
//!
//! All of this is pure. `provider` carries it out through [`port`].

pub mod advertisement;
pub mod allocation;
pub mod announcement;
pub mod backing;
pub mod eligible;
pub mod free;
pub mod joining;
pub mod moves;
mod outcome;
mod parameters;
pub mod placement;
mod plan;
pub mod pool;
pub mod port;
mod provider;
pub mod range;
pub mod reach;
pub mod round;
pub mod selector;
pub mod settings;
pub mod spans;
mod state;
mod step;
pub mod vip;
pub mod wish;
pub mod world;

pub use parameters::Parameters;
pub use provider::{Metal, Site};
pub use state::State;
pub use step::Step;
