//! What the kernel does for a speaker: frames in and out of an interface, and groups that an interface listens to.
//!
//! | What | Module |
//! |---|---|
//! | frames, past the kernel's own ARP and IPv6 | [`packet`] |
//! | the same, awaited | [`awaited`] |
//! | IPv6 groups, for addresses that no interface has | [`groups`] |
//! | which interfaces there are, and their changes | [`interfaces`] |
//!
//! Needs the capability `NET_RAW` and no other. All `unsafe` of Portolan is in this crate.

pub mod awaited;
pub mod groups;
pub mod interfaces;
pub mod packet;

pub use awaited::AwaitedSocket;
pub use groups::Groups;
pub use interfaces::{Interface, Interfaces, is_of_link};
pub use packet::PacketSocket;
