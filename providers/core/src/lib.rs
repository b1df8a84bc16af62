//! The provider-neutral core of Portolan: what a Service asks for, whether it is ours, what a load balancer for it
//! looks like, and what its status says about it.
//!
//! Everything here is a plain function or plain data: no I/O, no clock, no randomness, no tokio. The flow is
//!
//! ```text
//! snapshot -> claim -> desire -> (provider: observe -> plan -> apply, step by step) -> status
//! ```
//!
//! Where to find a rule:
//!
//! | Rule | Module |
//! |---|---|
//! | whose Service is it (class, aliases, default, type changes, instances) | [`claim`] |
//! | ports, node ports, protocols | [`desire::ports`] |
//! | EndpointSlices: which endpoints may receive traffic | [`desire::endpoints`] |
//! | which nodes may receive traffic | [`desire::nodes`] |
//! | addresses and families | [`desire::addresses`] |
//! | source ranges | [`desire::ranges`] |
//! | internal or public, the clouds' annotations | [`desire::scheme`], as data in `desire/scheme/table.rs` |
//! | which Services share a load balancer | [`share`]; on what terms: [`desire::whole`]; what stays of them when members go: [`terms`] |
//! | whether a replace may leave a gap | [`desire::downtime`] |
//! | which pods wait for the load balancer, and what they are told | [`gates`] |
//! | status, conditions | [`status`]; their reasons: [`reason`]; which Event is news: [`events`] |
//! | what a provider is, and the laws it keeps | [`provider`], `conformance` (feature `testing`) |

pub mod balancer;
pub mod capabilities;

pub mod class;
#[cfg(feature = "testing")]
pub mod conformance;

pub mod go;
pub mod ids;
mod message;
pub mod provider;
pub mod reason;
pub mod record;
pub mod refusal;
pub mod snapshot;

pub mod claim;
pub mod desire;
pub mod dialect;
pub mod events;
#[cfg(any(test, feature = "testing"))]
pub mod examples;
pub mod facts;
pub mod gates;
pub mod share;
pub mod status;
pub mod terms;
pub mod time;
