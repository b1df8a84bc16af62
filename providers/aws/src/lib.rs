//! The AWS provider: a Network Load Balancer for each load balancer.
//!
//! So far its first, pure half: what the parameters of a class and the annotations of a Service come to. Nothing here speaks to AWS, so
//! everything that is wrong with a Service is known before the first call.
//!
//! Where to find a rule:
//!
//! | Rule | Module |
//! |---|---|
//! | what a class sets and forbids | [`parameters`] |
//! | which annotations there are, what may stand in them, which are refused | [`annotations::keys`], as data in `annotations/keys/table.rs` |
//! | how lists, maps, booleans and numbers are written | [`annotations::syntax`] |
//! | which attributes AWS has, their values and defaults; what goes back when a key goes | [`attributes`], as data in `attributes/table.rs` |
//! | everything together for one Service | [`settings`] |
//! | what Services that share a balancer say of it together | [`settings::share`] |
//! | name, scheme, families of the balancer | [`settings::balancer`] |
//! | subnets, fixed addresses, source NAT | [`settings::subnets`] |
//! | security groups, source ranges, prefix lists | [`settings::security`] |
//! | tags | [`settings::tags`] |
//! | which listener a port becomes, and which not | [`settings::listeners`] |
//! | certificates, policies, ALPN, TLS ports | [`settings::tls`] |
//! | what a listener sends to; PROXY protocol; attributes of groups | [`settings::groups`] |
//! | health checks, the defaults of policy Local | [`settings::health`] |
//! | which pairs of listener and target group are legal | [`protocol`] |
//! | the form of identifiers, ARNs and names | [`ids`] |
//! | AWS's own words | [`words`] |

pub mod annotations;
pub mod attributes;
pub mod estate;
pub mod ids;
pub mod model;
pub mod names;
pub mod outcome;
pub mod parameters;
pub mod plan;
pub mod protocol;
pub mod settings;
pub mod state;
pub mod step;
pub mod words;

pub use estate::Estate;
pub use model::Model;
pub use outcome::outcome;
pub use parameters::Parameters;
pub use plan::plan;
pub use settings::Settings;
pub use state::State;
pub use step::Step;

#[cfg(test)]
mod golden;
