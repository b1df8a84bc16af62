//! The AWS provider: a Network Load Balancer for each load balancer.
//!
//! So far its parts. The pure ones: what the parameters of a class and the annotations of a Service come to, what is to be at AWS, and the
//! steps that lead there; everything that is wrong with a Service is known before the first call. And [`client`], which alone speaks to
//! AWS. What is missing is the provider that puts them together: the binary refuses `provider: aws` by name.
//!
//! ```text
//! annotations -> settings -> model --+
//!                  (estate)  (state) +-> plan -> steps, one mutating call each
//!             what AWS has -> state -+-> outcome
//! ```
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
//! | what is to be at AWS: balancer, groups, listeners, who gets in | [`model`] |
//! | which subnets, and why not the others | `model/subnets.rs` |
//! | who the targets are, and who stays as they are | `model/targets.rs`, `model/listeners.rs` |
//! | what is known of the network | [`estate`] |
//! | what exists | [`state`] |
//! | which generation serves, when another one is needed, what stands against it | `plan/choice.rs` |
//! | the order of steps; what is changed, restored, removed | [`plan`](mod@plan) and the files below it |
//! | when a target may leave | `plan/targets.rs` |
//! | when what is replaced goes | `plan/leaving.rs` |
//! | one call of AWS, and what it costs | [`step`] |
//! | what the status says, what is awaited | [`outcome`](mod@outcome) |
//! | names and tags of what is made | [`names`] |
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
