//! The AWS provider: a Network Load Balancer for each load balancer.
//!
//! What the parameters of a class and the annotations of a Service come to, what is to be at AWS and the steps that lead there is pure, and
//! everything that is wrong with a Service is known before the first call. [`client`] alone speaks to AWS, and [`provider`] puts both
//! together: it reads what exists, carries steps out, and knows when to ask again.
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
//! | which subnets, and why not the others | [`model::subnets`] |
//! | who the targets are, and who stays as they are | `model/targets.rs`, `model/listeners.rs` |
//! | how many targets there is room for, and who they are then | `model/room.rs` |
//! | what is known of the network | [`estate`] |
//! | as how many rules a prefix list counts | [`estate::prefix_lists`] |
//! | asking AWS for it, seldom and once for all | [`survey`] |
//! | which inbound rules are ours | [`mark`] |
//! | what exists | [`state`] |
//! | which generation serves, when another one is needed, what stands against it | `plan/choice.rs` |
//! | the order of steps; what is changed, restored, removed | [`plan`](mod@plan) and the files below it |
//! | which tags are given, and which go again | `plan/tags.rs` |
//! | when a target may leave; one whose address goes from pod to pod | `plan/targets.rs` |
//! | whose address another pod of the cluster has by now | `plan/usurped.rs` |
//! | when what is replaced goes | `plan/leaving.rs`; after how long clients have forgotten it: `provider/reading.rs` |
//! | one call of AWS, and what it costs | [`step`] |
//! | what the status says, what is awaited | [`outcome`](mod@outcome) |
//! | names and tags of what is made | [`names`] |
//! | which pairs of listener and target group are legal | [`protocol`] |
//! | the form of identifiers, ARNs and names | [`ids`] |
//! | AWS's own words | [`words`] |
//! | what this process believes of what exists, and what the record remembers of it | [`provider`] and the files below it |
//! | when AWS is polled, and when somebody else's changes are found | `provider/account.rs` |
//! | what targets let in, and the security group that all balancers share | [`backend`] |
//! | everything that speaks to AWS: calls, errors, budget | [`client`] |
//! | which rights the calls need, what AWS has to allow us | [`policy`] |
//! | where time comes from | [`clock`] |

pub mod annotations;
pub mod attributes;
pub mod backend;
pub mod client;
pub mod clock;
pub mod dialect;
pub mod estate;
pub mod ids;
pub mod mark;
pub mod model;
pub mod names;
pub mod outcome;
pub mod parameters;
pub mod plan;
pub mod policy;
pub mod protocol;
pub mod provider;
pub mod settings;
pub mod state;
pub mod step;
pub mod survey;
pub mod words;

pub use estate::Estate;
pub use model::Model;
pub use outcome::outcome;
pub use parameters::Parameters;
pub use plan::plan;
pub use provider::{Account, Nlb};
pub use settings::Settings;
pub use state::State;
pub use step::Step;

#[cfg(test)]
extern crate self as portolan_aws;
#[cfg(test)]
mod golden;
