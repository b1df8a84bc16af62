//! A strict double of AWS for tests: an HTTP server that speaks the Query protocol of ELBv2 (2015-12-01) and EC2 (2016-11-15), keeps AWS's
//! rules where emulators do not, and passes the rest on to one of them (LocalStack or moto).
//!
//! ```no_run
//! # async fn example() -> std::io::Result<()> {
//! use portolan_aws_double::{Double, Effect, Fault, Timings};
//! use std::time::Duration;
//!
//! let double = Double::at("http://127.0.0.1:5000").timings(Timings::aws()).start().await?;
//! // Give double.endpoint() to the program under test, as AWS_ENDPOINT_URL.
//! double.faults().arm(Fault::on("CreateListener", Effect::LoseResponse).nth(2));
//! let mark = double.log().mark();
//! double.log().wait_for(|calls| calls.iter().any(|call| call.action == "RegisterTargets")).await;
//! double.clock().advance(Duration::from_secs(400));
//! assert_eq!(double.log().counts(mark).get("CreateListener"), Some(&2));
//! # Ok(()) }
//! ```
//!
//! | What | Module |
//! |---|---|
//! | starting one, and the handle that tests hold | [`double`] |
//! | what is there, without a call | [`inventory`] |
//! | starting an emulator, once for the process | [`emulator`] |
//! | who called what, in order; waiting for it | [`log`] |
//! | what AWS refuses and emulators accept | `rules` (a table of the rules and their AWS pages is in `localstack/README.md`) |
//! | how long things take | [`timings`], [`clock`] |
//! | which targets are healthy, which balancers fail | [`script`] |
//! | a network to put balancers into | [`seed`] |
//! | what IAM policies allow, and how their documents are read | [`permissions`], [`policy`] |
//! | throttling | [`throttle`] |
//! | lost answers, 5xx, expired tokens, cut pages, delays | [`faults`] |
//! | one action, from request to answer | `play` |
//!
//! It plays network load balancers only; what it does not play it refuses with `NotPlayedByTheDouble`, status 501, which is no code of AWS's.

mod account;
mod adopt;
mod answer;
mod arn;
pub mod caller;
mod certificates;
pub mod clock;
pub mod double;
pub mod emulator;
mod estate;
pub mod faults;
pub mod inventory;
pub mod log;
mod network;
pub mod permissions;
mod play;
pub mod policy;
pub mod query;
pub mod refusal;
mod rules;
pub mod script;
pub mod seed;
mod server;
mod signature;
pub mod throttle;
pub mod timings;
mod upstream;
pub mod xml;

pub use caller::{CASE_HEADER, Caller, Service};
pub use clock::Clock;
pub use double::{Builder, Double};
pub use faults::{Effect, Fault, Faults};
pub use inventory::Inventory;
pub use log::{Call, Log, Outcome};
pub use permissions::Permissions;
pub use policy::Policies;
pub use query::Query;
pub use refusal::Refusal;
pub use rules::quotas::Quotas;
pub use script::{Fate, Health, Script};
pub use seed::Seed;
pub use throttle::{Bucket, Buckets, Class};
pub use timings::Timings;
