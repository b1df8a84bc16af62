//! An address goes to a fellow of ours: whoever had it answers on until the heir has told everybody, so that there is no moment at which nobody
//! answers.
//!
//! He says nothing of the address unasked any more, and does not defend it. Not even the heir's first frame silences him at once, because not all
//! that asks can reach the heir yet: a switch that snoops groups passes questions for an IPv6 address on to him only after it has taken in his
//! membership (RFC 4541 section 3). For as long as that both answer; the heir's later rounds ([`ROUNDS`](crate::announce::ROUNDS)) have the
//! last word with whoever heard the wrong one last.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use crate::arp::Arp;
use crate::frame::{Frame, Payload};
use crate::ndp::{Message, Ndp};
use crate::time::Time;

/// How long the heir is awaited, anew whenever one has come for another address of the interface: he tells everybody no faster than his pace
/// allows. Where none has come for so long there may be no heir at all.
pub const PATIENCE: Duration = Duration::from_secs(3);
/// How long both answer once the heir has been heard.
pub const OVERLAP: Duration = Duration::from_millis(200);

/// So long before we are told that an address goes to a fellow he may have been told, and have told everybody; and so long after the next one may
/// whoever hands it over not have been told.
pub const EARLY: Duration = Duration::from_secs(2);

/// The addresses of one interface that go to a fellow.
#[derive(Debug, Default)]
pub struct Handovers {
    going: BTreeMap<IpAddr, Going>,
    /// Whose heirs are awaited, by since when.
    awaited: BTreeSet<(Time, IpAddr)>,
    /// Whose heirs have told everybody, by when they are answered for no more.
    told: BTreeSet<(Time, IpAddr)>,
    /// When an heir came last, for any of them.
    came: Option<Time>,
    /// When a fellow has told everybody that an address is his which we have not been told to hand over.
    early: BTreeMap<IpAddr, Time>,
}

/// How far a handover is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Going {
    /// The heir is awaited, since then.
    Awaited(Time),
    /// He has told everybody. Both answer until then, and no longer.
    Told(Time),
}

impl Handovers {
    /// It goes to a fellow from now on.
    pub fn begin(&mut self, now: Time, address: IpAddr) {
        let heard = self.early.remove(&address).filter(|heard| now.since(*heard) <= EARLY);
        if !self.has(address) {
            self.put(address, heard.map_or(Going::Awaited(now), |heard| Going::Told(heard + OVERLAP)));
        }
    }

    /// A fellow has told everybody: the heir, whether we know of him yet or not. We have announced it ourselves since `ours`; so shortly after that it
    /// is rather he who had it before us, and has not been told yet.
    pub fn heard(&mut self, now: Time, address: IpAddr, ours: Option<Time>) {
        match self.going.get(&address) {
            Some(Going::Awaited(_)) => {
                self.remove(address);
                self.put(address, Going::Told(now + OVERLAP));
                self.came = Some(now);
            }
            Some(Going::Told(_)) => {}
            None if ours.is_some_and(|ours| now.since(ours) > EARLY) => drop(self.early.insert(address, now)),
            None => {}
        }
    }

    /// It stays, or is nobody's. True if it was going to a fellow.
    pub fn end(&mut self, address: IpAddr) -> bool {
        self.early.remove(&address);
        self.remove(address)
    }

    /// It is going to a fellow.
    pub fn has(&self, address: IpAddr) -> bool {
        self.going.contains_key(&address)
    }

    /// One that is not to be answered for any more.
    pub fn over(&self, now: Time) -> Option<IpAddr> {
        self.first().filter(|(until, _)| *until <= now).map(|(_, address)| address)
    }

    /// When that may be so.
    pub fn deadline(&self) -> Option<Time> {
        self.first().map(|(until, _)| until)
    }

    /// The first that is not to be answered for any more, and from when on.
    fn first(&self) -> Option<(Time, IpAddr)> {
        let awaited = self.awaited.first().map(|(since, address)| {
            let heard = self.came.map_or(*since, |came| came.max(*since));
            (heard + PATIENCE, *address)
        });
        awaited.into_iter().chain(self.told.first().copied()).min()
    }

    fn put(&mut self, address: IpAddr, going: Going) {
        self.going.insert(address, going);
        match going {
            Going::Awaited(since) => self.awaited.insert((since, address)),
            Going::Told(until) => self.told.insert((until, address)),
        };
    }

    fn remove(&mut self, address: IpAddr) -> bool {
        self.going.remove(&address).is_some_and(|going| match going {
            Going::Awaited(since) => self.awaited.remove(&(since, address)),
            Going::Told(until) => self.told.remove(&(until, address)),
        })
    }
}

/// It tells everybody where an address is; an answer tells only who asked.
pub fn tells_all(frame: &Frame) -> bool {
    match frame.payload {
        Payload::Arp(Arp { sender_address, target_address, .. }) => sender_address == target_address,
        Payload::Ndp(Ndp { message: Message::Advertisement { solicited, .. }, .. }) => !solicited,
        Payload::Ndp(Ndp { message: Message::Solicitation { .. }, .. }) => false,
    }
}

#[cfg(test)]
mod tests;
