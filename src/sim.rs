//! The simulation: the whole controller, wired as `portolan controller` wires it, in one thread on paused time against the sandbox's
//! storage and the mock's worlds in memory. A seed draws a schedule of edits, faults and crashes; the same schedule always gives the same
//! run. `docs/simulation.md` says how to use it.
//!
//! | Module | Is |
//! |---|---|
//! | [`schedule`], [`draw`], [`grammar`] | what happens when, as data, and how it is drawn |
//! | [`weather`], [`wire`] | what becomes of calls to the API server |
//! | [`provider`], [`life`] | calls to the provider; at which call a process dies |
//! | [`run`], [`users`], [`cluster`] | a schedule, played |
//! | [`laws`], [`asked`], [`end`] | what must hold at every write, and at the end |
//! | [`shrink`] | what of a failing schedule is needed |
//! | [`program`] | `portolan-sim` |

mod asked;
mod cluster;
mod draw;
mod end;
pub(crate) mod grammar;
mod laws;
mod life;
mod program;
mod provider;
mod run;
mod schedule;
pub(crate) mod shrink;
mod users;
mod weather;
mod wire;

pub use program::main;
pub(crate) use provider::Simulated;

#[cfg(test)]
mod tests;
