//! The whole provider, driven as the runtime drives it, over the strict double of AWS in front of moto. Time is moved by hand: a case that waits
//! for three minutes at AWS takes none. Some cases run in front of LocalStack too, which hands ELBv2 to its own moto and has its own EC2; all do with
//! `PORTOLAN_PROVIDER_AT=localstack`.
//!
//! | What | File |
//! |---|---|
//! | the loop around the provider, and the world it acts in | `provider/stage.rs`, `provider/clock.rs` |
//! | what things cost, by the issue's own numbers | `provider/budget.rs` |
//! | what the dry run says is done | `provider/dry.rs` |
//! | the process is killed at any call | `provider/killed.rs` |
//! | what the IAM policies of `deploy/aws` allow, and what not; all cases run under them | `provider/rights.rs` |
//! | what goes wrong at AWS | `provider/faults.rs` |
//! | what AWS allows only so often, and only so many of | `provider/limits.rs` |
//! | what a process that begins knows before it asks, and what waits for nobody | `provider/restart.rs` |
//! | who is a target: nodes, pods, both families, quotas | `provider/chosen.rs` |
//! | pods, nodes and other people's hands | `provider/targets.rs` |
//! | who gets in | `provider/security.rs` |
//! | who is let in at the targets, where there is no shared security group | `provider/own_group.rs` |
//! | what is given and goes again: tags, PrivateLink | `provider/tags.rs` |
//! | addresses that go from pod to pod | `provider/pods.rs` |
//! | the laws that every provider keeps | `provider/laws.rs` |
//! | what is found again and what is not forgotten: lost records, other hands, other controllers | `provider/healed.rs` |
//! | listeners and groups of every kind | `provider/listeners.rs` |
//! | IPv6 on a live balancer | `provider/families.rs` |
//! | what AWS cannot change makes another balancer | `provider/replace.rs` |

mod budget;
mod chosen;
mod clock;
mod dry;
mod families;
mod faults;
mod healed;
mod killed;
mod laws;
mod limits;
mod listeners;
mod own_group;
mod pods;
mod replace;
mod restart;
mod rights;
mod security;
mod stage;
mod tags;
mod targets;
