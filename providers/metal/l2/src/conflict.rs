//! Who else says that an address is his, and what that comes to: one defence; if he insists, silence until he is silent (RFC 5227 section 2.4,
//! choice b).

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use crate::arp::Operation;
use crate::frame::{Frame, Payload};
use crate::mac::Mac;
use crate::ndp::Message;
use crate::time::Time;

/// A second conflict within this long after a defence is one too many: `DEFEND_INTERVAL` (RFC 5227 section 1.1).
pub const DEFEND: Duration = Duration::from_secs(10);
/// How long the other one has to be silent before the address is answered for again.
pub const SILENCE: Duration = Duration::from_secs(60);

/// The address that a frame's sender says is his, and where he says it is.
pub fn claimed(frame: &Frame) -> Option<(IpAddr, Mac)> {
    match &frame.payload {
        Payload::Arp(arp) => match arp.operation {
            Operation::Request | Operation::Reply if arp.sender_address.is_unspecified() => None,
            Operation::Request | Operation::Reply => Some((arp.sender_address.into(), arp.sender)),
        },
        Payload::Ndp(ndp) => match ndp.message {
            Message::Advertisement { target_link_layer, .. } => {
                Some((ndp.target.into(), target_link_layer.unwrap_or(frame.source)))
            }
            // The source of a packet says nothing: a router, or a node behind one, may have sent it for somebody.
            Message::Solicitation { source_link_layer: _ } => None,
        },
    }
}

/// What a claim comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is said once more to all whose the address is.
    Defend,
    /// From now on nothing is said for it.
    Yield,
    /// It was so before.
    Nothing,
}

/// The conflicts of one interface.
#[derive(Debug, Default)]
pub struct Conflicts {
    defended: BTreeMap<IpAddr, Time>,
    yielded: BTreeMap<IpAddr, (Mac, Time)>,
}

impl Conflicts {
    /// Somebody else says that this address, for which we answer, is his.
    pub fn claimed(&mut self, now: Time, address: IpAddr, by: Mac) -> Verdict {
        if let Some((mac, last)) = self.yielded.get_mut(&address) {
            (*mac, *last) = (by, now);
            return Verdict::Nothing;
        }
        match self.defended.insert(address, now) {
            Some(before) if now.since(before) < DEFEND => {
                self.defended.remove(&address);
                self.yielded.insert(address, (by, now));
                Verdict::Yield
            }
            Some(_) | None => Verdict::Defend,
        }
    }

    /// To whom the address was yielded.
    pub fn yielded(&self, address: IpAddr) -> Option<Mac> {
        self.yielded.get(&address).map(|(mac, _)| *mac)
    }

    /// An address whose other announcer has been silent for long enough.
    pub fn resumed(&mut self, now: Time) -> Option<IpAddr> {
        let silent = |(_, last): &(Mac, Time)| now.since(*last) >= SILENCE;
        let address = self.yielded.iter().find(|(_, since)| silent(since)).map(|(address, _)| *address)?;
        self.yielded.remove(&address);
        Some(address)
    }

    /// An address that was yielded to one of these, who is no stranger after all.
    pub fn mistaken(&mut self, no_strangers: &BTreeSet<Mac>) -> Option<IpAddr> {
        let address =
            self.yielded.iter().find(|(_, (mac, _))| no_strangers.contains(mac)).map(|(address, _)| *address)?;
        self.yielded.remove(&address);
        Some(address)
    }

    /// When an address may be resumed.
    pub fn deadline(&self) -> Option<Time> {
        self.yielded.values().map(|(_, last)| *last + SILENCE).min()
    }

    /// The address is not ours to answer for any more.
    pub fn forget(&mut self, address: IpAddr) {
        self.defended.remove(&address);
        self.yielded.remove(&address);
    }
}
