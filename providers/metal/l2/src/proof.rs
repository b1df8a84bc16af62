//! One proof that an address is reached, by a machine that does not have it: who answers for it, and whether connections are accepted there.
//!
//! Frames alone, made here: a machine on which kube-proxy runs has rules for the address of its own, so that what its kernel connects to says nothing
//! of the wire.
//!
//! 1. Who has the address is asked, in the asker's own name. Answers are collected for [`COLLECTING`], because whoever is too many may be slower; where
//!    there are none it is asked again.
//! 2. If one station has answered, and it is one of the owner's, each port is asked for a connection there. Who accepts is told at once that there will be none (the asker's kernel,
//!    which knows nothing of it, says so too).

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use crate::arp::{Arp, Operation};
use crate::frame::{Frame, Payload};
use crate::mac::Mac;
use crate::ndp::{Message, Ndp, solicited_node};
use crate::tcp::{Kind, Segment};
use crate::time::Time;

/// How often it is asked who has the address, while nobody answers.
pub const QUESTIONS: u8 = 3;
/// How long answers are collected after a question.
pub const COLLECTING: Duration = Duration::from_millis(500);
/// So many of the stations that answer are kept: the lowest, so that they are the same each time.
pub const STATIONS: usize = 8;
/// How often a port is asked for a connection.
pub const KNOCKS: u8 = 3;
/// How long an answer is awaited after each: what a host itself waits (RFC 6298 section 2).
pub const PATIENCE: Duration = Duration::from_secs(1);

/// What is to be proven, and in whose name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Errand {
    /// The address.
    pub vip: IpAddr,
    /// The asker's station.
    pub own: Mac,
    /// His address there, of the same family.
    pub from: IpAddr,
    /// The TCP ports that should accept connections; none: that one station answers for the address is all there is to prove.
    pub ports: BTreeSet<u16>,
    /// The stations of whose the address is. Nobody else is asked for a connection.
    pub owners: Arc<BTreeSet<Mac>>,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Finding {
    /// Who answers for the address. Ports have been asked only where that is one, and one of the owner's.
    pub stations: BTreeSet<Mac>,
    /// Others have answered besides these.
    pub more: bool,
    /// It is one, and none of the owner's.
    pub foreign: bool,
    /// The ports that denied a connection.
    pub refused: BTreeSet<u16>,
    /// The ports that said nothing.
    pub silent: BTreeSet<u16>,
}

impl Finding {
    /// One station of the owner's answers, and all ports are open.
    pub fn is_good(&self) -> bool {
        self.stations.len() == 1 && !self.foreign && self.refused.is_empty() && self.silent.is_empty()
    }

    /// By these stations of the owner's it would still be `foreign`, or not.
    pub(crate) fn holds_by(&self, owners: &BTreeSet<Mac>) -> bool {
        self.stations.len() != 1 || self.foreign == self.stations.is_disjoint(owners)
    }
}

/// Something to put on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// Of address resolution.
    Frame(Frame),
    /// Of TCP.
    Segment(Segment),
}

/// A proof under way.
#[derive(Debug)]
pub struct Proof {
    errand: Errand,
    /// The port from which connections are asked for, and the number that whoever accepts has to know.
    port: u16,
    sequence: u32,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Asking {
        asked: u8,
        /// When something is to be done next.
        due: Time,
        stations: BTreeSet<Mac>,
        /// Others besides these.
        more: bool,
    },
    Knocking {
        station: Mac,
        /// Those that have said nothing yet: how often they were asked, and when something is to be done next.
        closed: BTreeMap<u16, (u8, Time)>,
        refused: BTreeSet<u16>,
    },
}

impl Proof {
    /// Begins now. `port` is its own and nobody else's; `sequence` cannot be guessed by those who do not see it.
    pub fn begin(now: Time, errand: Errand, port: u16, sequence: u32) -> Self {
        let stage = Stage::Asking { asked: 0, due: now, stations: BTreeSet::new(), more: false };
        Self { errand, port, sequence, stage }
    }

    /// The owner has these stations from now on.
    pub fn know(&mut self, owners: Arc<BTreeSet<Mac>>) {
        self.errand.owners = owners;
    }

    /// When there is something to say, or everything has been found.
    pub fn deadline(&self) -> Time {
        match &self.stage {
            Stage::Asking { due, .. } => *due,
            Stage::Knocking { closed, .. } => {
                // One that is given up has to wait for the others.
                let next = closed.values().filter(|(knocks, _)| *knocks < KNOCKS).map(|(_, due)| *due).min();
                next.or_else(|| closed.values().map(|(_, due)| *due).max()).unwrap_or_default()
            }
        }
    }

    /// What is to be said next, if that is due.
    pub fn next(&mut self, now: Time) -> Option<Said> {
        match &mut self.stage {
            Stage::Asking { asked, due, stations, more: _ } => {
                if *due > now || *asked == QUESTIONS || !stations.is_empty() {
                    return None;
                }
                (*asked, *due) = (*asked + 1, now + COLLECTING);
                question(&self.errand).map(Said::Frame)
            }
            Stage::Knocking { station, closed, .. } => {
                let is_due = |(_, (knocks, due)): &(&u16, &mut (u8, Time))| *due <= now && *knocks < KNOCKS;
                let (port, (knocks, due)) = closed.iter_mut().find(is_due)?;
                (*knocks, *due) = (*knocks + 1, now + PATIENCE);
                let (port, station) = (*port, *station);
                Some(Said::Segment(self.segment(port, station, Kind::Syn, self.sequence)))
            }
        }
    }

    /// What was found, once it is all there is to find. To be asked before [`next`](Self::next).
    pub fn conclude(&mut self, now: Time) -> Option<Finding> {
        if let Stage::Asking { asked, due, stations, more } = &mut self.stage {
            if *due > now || (stations.is_empty() && *asked < QUESTIONS) {
                return None;
            }
            let stations = stations.clone();
            let [station] = *stations.iter().copied().collect::<Vec<_>>().as_slice() else {
                return Some(Finding { stations, more: *more, ..Finding::default() });
            };
            let closed = self.errand.ports.iter().map(|port| (*port, (0, now))).collect();
            self.stage = Stage::Knocking { station, closed, refused: BTreeSet::new() };
        }
        let Stage::Knocking { station, closed, refused } = &self.stage else { return None };
        let stations = BTreeSet::from([*station]);
        if !self.errand.owners.contains(station) {
            return Some(Finding { stations, foreign: true, ..Finding::default() });
        }
        let is_given_up = |(knocks, due): &(u8, Time)| *knocks == KNOCKS && *due <= now;
        closed.values().all(is_given_up).then(|| Finding {
            stations,
            more: false,
            foreign: false,
            refused: refused.clone(),
            silent: closed.keys().copied().collect(),
        })
    }

    /// Takes in a frame of address resolution.
    pub fn heard(&mut self, frame: &Frame) {
        let Stage::Asking { stations, more, .. } = &mut self.stage else { return };
        stations.extend(answered(frame, &self.errand));
        if stations.len() > STATIONS {
            stations.pop_last();
            *more = true;
        }
    }

    /// Takes in a segment; what is to be said to that. It is looked at for what it acknowledges, not for whose station it came from: a machine may
    /// send by another interface than it is reached at.
    pub fn received(&mut self, segment: &Segment) -> Option<Said> {
        let Stage::Knocking { station, closed, refused } = &mut self.stage else { return None };
        let (vip, port) = (segment.from.ip(), segment.from.port());
        let is_answer = vip == self.errand.vip
            && segment.to == SocketAddr::new(self.errand.from, self.port)
            && segment.acknowledgment == self.sequence.wrapping_add(1);
        match segment.kind {
            // Also a second time: the first reset may have been lost.
            Kind::SynAck if is_answer && self.errand.ports.contains(&port) => {
                closed.remove(&port);
                let station = *station;
                let reset = self.segment(port, station, Kind::Reset, segment.acknowledgment);
                Some(Said::Segment(reset))
            }
            Kind::Reset if is_answer && closed.remove(&port).is_some() => {
                refused.insert(port);
                None
            }
            Kind::Syn | Kind::SynAck | Kind::Reset | Kind::Other => None,
        }
    }

    fn segment(&self, port: u16, station: Mac, kind: Kind, sequence: u32) -> Segment {
        Segment {
            destination: station,
            source: self.errand.own,
            from: SocketAddr::new(self.errand.from, self.port),
            to: SocketAddr::new(self.errand.vip, port),
            sequence,
            acknowledgment: 0,
            kind,
        }
    }
}

/// As a host asks that is about to send something there (RFC 826; RFC 4861 section 7.2.2).
fn question(errand: &Errand) -> Option<Frame> {
    let own = errand.own;
    match (errand.from, errand.vip) {
        (IpAddr::V4(from), IpAddr::V4(vip)) => Some(ask(own, from, vip)),
        (IpAddr::V6(from), IpAddr::V6(vip)) => Some(solicit(own, from, vip)),
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => None,
    }
}

fn ask(own: Mac, from: Ipv4Addr, vip: Ipv4Addr) -> Frame {
    let arp = Arp {
        operation: Operation::Request,
        sender: own,
        sender_address: from,
        target: Mac::ZERO,
        target_address: vip,
    };
    Frame { destination: Mac::BROADCAST, source: own, payload: Payload::Arp(arp) }
}

fn solicit(own: Mac, from: Ipv6Addr, vip: Ipv6Addr) -> Frame {
    let group = solicited_node(vip);
    let message = Message::Solicitation { source_link_layer: Some(own) };
    let ndp = Ndp { source: from, destination: group, target: vip, message };
    Frame { destination: Mac::of_multicast(group), source: own, payload: Payload::Ndp(ndp) }
}

/// Who answers a question of ours.
fn answered(frame: &Frame, errand: &Errand) -> Option<Mac> {
    if frame.destination != errand.own || frame.source == errand.own {
        return None;
    }
    match &frame.payload {
        Payload::Arp(arp) => {
            let is_answer = arp.operation == Operation::Reply
                && IpAddr::from(arp.sender_address) == errand.vip
                && IpAddr::from(arp.target_address) == errand.from;
            is_answer.then_some(arp.sender)
        }
        Payload::Ndp(ndp) => match ndp.message {
            Message::Advertisement { solicited: true, target_link_layer, .. }
                if IpAddr::from(ndp.target) == errand.vip && IpAddr::from(ndp.destination) == errand.from =>
            {
                Some(target_link_layer.unwrap_or(frame.source))
            }
            Message::Advertisement { .. } | Message::Solicitation { .. } => None,
        },
    }
}

#[cfg(test)]
mod tests;
