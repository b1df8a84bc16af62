//! Whether an address is free before it is used: the wire is asked (RFC 5227 section 2.1, RFC 4862 section 5.4).
//!
//! Two questions, a fifth of a second apart, instead of three in up to seven seconds: on a wire that carries servers whoever has an address
//! answers at once, and a Service waits for it. An announcer who comes later is found as a conflict.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use crate::arp::{Arp, Operation};
use crate::frame::{Frame, Payload};
use crate::mac::Mac;
use crate::ndp::{Message, Ndp, solicited_node};
use crate::time::Time;

/// How often it is asked.
pub const QUESTIONS: u8 = 2;
/// How long an answer is awaited after each.
pub const PATIENCE: Duration = Duration::from_millis(200);

/// The addresses that are being asked for.
#[derive(Debug, Default)]
pub struct Questions {
    /// How often each has been asked for, and when the next step is due.
    asking: BTreeMap<IpAddr, (u8, Time)>,
    due: BTreeSet<(Time, IpAddr)>,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Ask for this.
    Ask(IpAddr),
    /// Nobody has answered for this.
    Free(IpAddr),
}

impl Questions {
    /// Begins to ask.
    pub fn begin(&mut self, now: Time, address: IpAddr) {
        self.end(address);
        self.put(address, 0, now);
    }

    /// It is not wanted any more, or somebody has answered. True if it was being asked for.
    pub fn end(&mut self, address: IpAddr) -> bool {
        let asking = self.asking.remove(&address);
        asking.is_some_and(|(_, due)| self.due.remove(&(due, address)))
    }

    /// It is being asked for.
    pub fn has(&self, address: IpAddr) -> bool {
        self.asking.contains_key(&address)
    }

    /// What is due next.
    pub fn next(&mut self, now: Time) -> Option<Due> {
        let (_, address) = self.due.first().copied().filter(|(due, _)| *due <= now)?;
        let (asked, _) = self.asking.get(&address).copied()?;
        self.end(address);
        if asked == QUESTIONS {
            return Some(Due::Free(address));
        }
        self.put(address, asked + 1, now + PATIENCE);
        Some(Due::Ask(address))
    }

    /// When that may be.
    pub fn deadline(&self) -> Option<Time> {
        self.due.first().map(|(due, _)| *due)
    }

    fn put(&mut self, address: IpAddr, asked: u8, due: Time) {
        self.asking.insert(address, (asked, due));
        self.due.insert((due, address));
    }
}

/// Its sender asks for an address that he is about to use himself (RFC 5227 section 2.1.1, RFC 4862 section 5.4.3).
pub fn is_about_to_use(frame: &Frame) -> bool {
    match &frame.payload {
        Payload::Arp(arp) => arp.is_probe(),
        Payload::Ndp(ndp) => match ndp.message {
            Message::Solicitation { .. } => ndp.source.is_unspecified(),
            Message::Advertisement { .. } => false,
        },
    }
}

/// A question that says nothing of who asks: an ARP probe, or the solicitation of duplicate address detection.
pub fn question(own: Mac, address: IpAddr) -> Frame {
    match address {
        IpAddr::V4(address) => {
            let arp = Arp {
                operation: Operation::Request,
                sender: own,
                sender_address: Ipv4Addr::UNSPECIFIED,
                target: Mac::ZERO,
                target_address: address,
            };
            Frame { destination: Mac::BROADCAST, source: own, payload: Payload::Arp(arp) }
        }
        IpAddr::V6(address) => {
            let group = solicited_node(address);
            let message = Message::Solicitation { source_link_layer: None };
            let ndp = Ndp { source: Ipv6Addr::UNSPECIFIED, destination: group, target: address, message };
            Frame { destination: Mac::of_multicast(group), source: own, payload: Payload::Ndp(ndp) }
        }
    }
}
