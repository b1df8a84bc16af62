//! Which question is answered, and how. Answers go to who asked, never to all; who has just been told may forget what he knew before.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::arp::{Arp, Operation};
use crate::frame::{Frame, Payload};
use crate::mac::Mac;
use crate::ndp::{ALL_NODES, Message, Ndp};

/// The address that a frame asks for, if it asks.
pub fn asked(frame: &Frame) -> Option<IpAddr> {
    match &frame.payload {
        Payload::Arp(arp) if arp.operation == Operation::Request && arp.sender_address != arp.target_address => {
            Some(arp.target_address.into())
        }
        // One that asks for its own address announces it (RFC 5227 section 3).
        Payload::Arp(_) => None,
        Payload::Ndp(ndp) => match ndp.message {
            Message::Solicitation { source_link_layer: _ } => Some(ndp.target.into()),
            Message::Advertisement { .. } => None,
        },
    }
}

/// The answer to a question for an address that `own` answers for.
pub fn answer(question: &Frame, own: Mac) -> Option<Frame> {
    match &question.payload {
        // A probe has no sender's address, and is answered to the unspecified one (RFC 5227 section 2.1.1).
        Payload::Arp(asked) => Some(arp(own, asked.target_address, asked.sender, asked.sender_address)),
        Payload::Ndp(ndp) => solicited(own, ndp, question.source),
    }
}

fn arp(own: Mac, address: Ipv4Addr, to: Mac, to_address: Ipv4Addr) -> Frame {
    let reply = Arp {
        operation: Operation::Reply,
        sender: own,
        sender_address: address,
        target: to,
        target_address: to_address,
    };
    Frame { destination: to, source: own, payload: Payload::Arp(reply) }
}

/// RFC 4861 section 7.2.4. Who has no address yet (duplicate address detection) is told as everybody is. One who asks without saying where he
/// is has sent the frame from there.
fn solicited(own: Mac, question: &Ndp, from: Mac) -> Option<Frame> {
    let Message::Solicitation { source_link_layer } = question.message else { return None };
    let is_told_to_all = question.source.is_unspecified();
    let (to, mac) = if is_told_to_all {
        (ALL_NODES, Mac::of_multicast(ALL_NODES))
    } else {
        (question.source, source_link_layer.unwrap_or(from))
    };
    Some(advertisement(own, question.target, to, mac, !is_told_to_all))
}

fn advertisement(own: Mac, address: Ipv6Addr, to: Ipv6Addr, mac: Mac, solicited: bool) -> Frame {
    let message = Message::Advertisement { router: false, solicited, overriding: true, target_link_layer: Some(own) };
    let ndp = Ndp { source: address, destination: to, target: address, message };
    Frame { destination: mac, source: own, payload: Payload::Ndp(ndp) }
}

/// What is told to all unasked. ARP in both forms, because some hosts learn from requests only and some from replies only (RFC 5227 section 3;
/// <https://datatracker.ietf.org/doc/html/rfc5944#section-4.6>).
pub fn gratuitous(own: Mac, address: IpAddr) -> Vec<Frame> {
    match address {
        IpAddr::V4(address) => {
            [Operation::Request, Operation::Reply].map(|operation| announced(own, address, operation)).into()
        }
        IpAddr::V6(address) => vec![advertisement(own, address, ALL_NODES, Mac::of_multicast(ALL_NODES), false)],
    }
}

fn announced(own: Mac, address: Ipv4Addr, operation: Operation) -> Frame {
    let target = match operation {
        Operation::Request => Mac::ZERO,
        Operation::Reply => Mac::BROADCAST,
    };
    let arp = Arp { operation, sender: own, sender_address: address, target, target_address: address };
    Frame { destination: Mac::BROADCAST, source: own, payload: Payload::Arp(arp) }
}
