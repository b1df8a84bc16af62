//! The AWS provider: a Network Load Balancer for each load balancer.
//!
//! So far two halves. The pure one: what the parameters of a class and the annotations of a Service come to; everything that is wrong with a
//! Service is known before the first call. And [`client`], which alone speaks to AWS.
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
//! | what the core asks about it, also for those who share | [`dialect`] |
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
//! | everything that speaks to AWS: calls, errors, budget | [`client`] |
//! | where time comes from | [`clock`] |

pub mod annotations;
pub mod attributes;
pub mod client;
pub mod clock;
pub mod dialect;
pub mod ids;
pub mod parameters;
pub mod protocol;
pub mod settings;
pub mod words;

pub use parameters::Parameters;
pub use settings::Settings;

#[cfg(test)]
mod golden;
