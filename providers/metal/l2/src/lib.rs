//! Addresses on a LAN without binding them to an interface: what is answered, announced, defended, and asked before.
//!
//! Nothing in this crate sends, receives or reads a clock. [`Responder`] is told what has happened and when, and says what is to be done:
//!
//! ```text
//! announce, withdraw, frame received, link up, time --> Responder --> frames to send, groups to join, what was found out
//! ```
//!
//! Where to find a rule:
//!
//! | Rule | Module |
//! |---|---|
//! | what an Ethernet address is | [`mac`] |
//! | how ARP is written and read (RFC 826, RFC 5227) | [`arp`] |
//! | how neighbour discovery is written, read and found valid (RFC 4861) | [`ndp`] |
//! | which question is answered, and how | [`answer`] |
//! | when an address is announced unasked, and how many frames a second that may be | [`announce`] |
//! | who else says that an address is his, and what that comes to (RFC 5227 2.4) | [`conflict`] |
//! | whether an address is free before it is used (RFC 5227 2.1) | [`ask`] |
//! | how long an address is answered for that goes to a fellow | [`handover`] |
//! | all of it for one interface | [`responder`] |
//! | what the kernel lets through to us | [`filter`] |
//!
//! And to prove from another machine that an address is reached, with frames alone:
//!
//! | Rule | Module |
//! |---|---|
//! | how TCP segments are written and read, as far as that needs it (RFC 9293) | [`tcp`] |
//! | one proof: who answers for the address, and whether connections are accepted there | [`proof`] |
//! | which is proven when, how often, and from when on a finding counts | [`rotation`] |

pub mod announce;
pub mod answer;
pub mod arp;
pub mod ask;
mod checksum;
pub mod conflict;
pub mod filter;
pub mod frame;
pub mod handover;
pub mod mac;
pub mod ndp;
pub mod proof;
pub mod responder;
pub mod rotation;
pub mod tcp;
pub mod time;

pub use frame::Frame;
pub use mac::Mac;
pub use responder::{Input, Output, Responder};
pub use time::Time;
