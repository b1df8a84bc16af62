//! Which address is proven when: each at once when it is wanted, then from time to time. Never more than [`PROBES_PER_SECOND`] questions and knocks go
//! out; where more are due, what is under way comes first, then what has not been proven yet.
//!
//! One proof that fails says little: a frame may be lost, an answer late. It counts when the next one, soon after, fails too.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::announce::{hash, jitter};
use crate::frame::Frame;
use crate::mac::Mac;
use crate::proof::{Errand, Finding, Proof, Said};
use crate::tcp::Segment;
use crate::time::Time;

/// Questions and knocks that go out in a second, of all proofs together.
pub const PROBES_PER_SECOND: u32 = 50;
const BETWEEN_PROBES: Duration = Duration::from_millis(1000 / PROBES_PER_SECOND as u64);
/// From one proof of an address to the next, at the longest, if nobody else has to wait.
pub const PERIOD: Duration = Duration::from_secs(60);
/// From a proof that has failed unexpectedly to the next.
pub const CONFIRMING: Duration = Duration::from_secs(2);
/// From one proof that fails as the last one did to the next.
pub const FAILING: Duration = Duration::from_secs(10);
/// Proofs under way at once: as many as keep to the pace if they fail, and as the packet filter has room for.
pub const AT_ONCE: usize = 64;

/// The lowest of the ports from which connections are asked for; all above are ours. By default the kernel takes none of them for connections of its own
/// (`net.ipv4.ip_local_port_range` ends below).
pub const FIRST_PORT: u16 = 61_000;

/// What is to be done, or was found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// A proof of this address begins: its answers have to come through from now on.
    Begun(IpAddr),
    /// Put this on its wire.
    Send(IpAddr, Said),
    /// No more answers are awaited.
    Ended(IpAddr),
    /// What was [`found`](Rotation::found) of this address is something else than before.
    Found(IpAddr),
}

/// All addresses that are to be proven by this machine.
#[derive(Debug)]
pub struct Rotation {
    entries: BTreeMap<IpAddr, Entry>,
    /// When whose next proof is due, of those that nothing has been found of yet, ...
    fresh: BTreeSet<(Time, IpAddr)>,
    /// ... and of the others.
    rest: BTreeSet<(Time, IpAddr)>,
    under_way: BTreeMap<IpAddr, Proof>,
    /// When the next question or knock may go out.
    free: Time,
    /// How many proofs have begun, also before this machine was started.
    count: u64,
}

#[derive(Debug)]
struct Entry {
    errand: Errand,
    due: Time,
    /// What counts.
    found: Option<Finding>,
    /// The last proof failed, and the one before it did not.
    doubtful: bool,
}

impl Rotation {
    /// Of nothing. From `seed` come ports and numbers that nobody can guess.
    pub fn new(seed: u64) -> Self {
        Self {
            entries: BTreeMap::new(),
            fresh: BTreeSet::new(),
            rest: BTreeSet::new(),
            under_way: BTreeMap::new(),
            free: Time::default(),
            count: seed,
        }
    }

    /// This is to be proven, from now on and anew: what was found of the address before counts no more.
    pub fn want(&mut self, now: Time, errand: Errand, outputs: &mut Vec<Output>) {
        let vip = errand.vip;
        self.forget(vip, outputs);
        self.entries.insert(vip, Entry { errand, due: now, found: None, doubtful: false });
        self.fresh.insert((now, vip));
    }

    /// The owner of an address has these stations from now on. It is proven anew only if what was found does not hold by these.
    pub fn know(&mut self, now: Time, vip: IpAddr, owners: &Arc<BTreeSet<Mac>>, outputs: &mut Vec<Output>) {
        let Some(entry) = self.entries.get_mut(&vip) else { return };
        if entry.errand.owners == *owners {
            return;
        }
        entry.errand.owners = Arc::clone(owners);
        if entry.found.as_ref().is_some_and(|found| !found.holds_by(owners)) {
            let errand = entry.errand.clone();
            self.want(now, errand, outputs);
        } else if let Some(proof) = self.under_way.get_mut(&vip) {
            proof.know(Arc::clone(owners));
        }
    }

    /// It is not to be proven any more.
    pub fn forget(&mut self, vip: IpAddr, outputs: &mut Vec<Output>) {
        if let Some(entry) = self.entries.remove(&vip) {
            self.fresh.remove(&(entry.due, vip));
            self.rest.remove(&(entry.due, vip));
        }
        if self.under_way.remove(&vip).is_some() {
            outputs.push(Output::Ended(vip));
        }
    }

    /// What was found of an address, and counts.
    pub fn found(&self, vip: IpAddr) -> Option<&Finding> {
        self.entries.get(&vip)?.found.as_ref()
    }

    /// Takes in a frame of address resolution.
    pub fn heard(&mut self, frame: &Frame) {
        // A few at most, and each knows what it has asked for.
        self.under_way.values_mut().for_each(|proof| proof.heard(frame));
    }

    /// Takes in a segment.
    pub fn received(&mut self, segment: &Segment, outputs: &mut Vec<Output>) {
        let vip = segment.from.ip();
        let reply = self.under_way.get_mut(&vip).and_then(|proof| proof.received(segment));
        outputs.extend(reply.map(|reply| Output::Send(vip, reply)));
    }

    /// Does what is due.
    pub fn step(&mut self, now: Time, outputs: &mut Vec<Output>) {
        self.conclude(now, outputs);
        if self.free > now {
            return;
        }
        let spoken = self.under_way.iter_mut().find_map(|(vip, proof)| Some((*vip, proof.next(now)?)));
        let spoken = spoken.or_else(|| {
            let vip = self.begin(now, outputs)?;
            Some((vip, self.under_way.get_mut(&vip)?.next(now)?))
        });
        if let Some((vip, said)) = spoken {
            self.free = now + BETWEEN_PROBES;
            outputs.push(Output::Send(vip, said));
        }
    }

    /// When there is something to do although nothing happens.
    pub fn deadline(&self) -> Option<Time> {
        let next = [&self.fresh, &self.rest].into_iter().filter_map(|waiting| waiting.first().map(|(due, _)| *due));
        let has_room = self.under_way.len() < AT_ONCE;
        let next = next.filter(|_| has_room).chain(self.under_way.values().map(Proof::deadline)).min();
        next.map(|due| due.max(self.free))
    }

    fn conclude(&mut self, now: Time, outputs: &mut Vec<Output>) {
        let over: Vec<(IpAddr, Finding)> =
            self.under_way.iter_mut().filter_map(|(vip, proof)| Some((*vip, proof.conclude(now)?))).collect();
        for (vip, finding) in over {
            self.under_way.remove(&vip);
            outputs.push(Output::Ended(vip));
            if let Some(entry) = self.entries.get_mut(&vip) {
                let before = entry.found.clone();
                let pause = entry.weigh(finding, jitter(vip, self.count));
                if entry.found != before {
                    outputs.push(Output::Found(vip));
                }
                entry.due = now + pause;
                let waiting = if entry.found.is_none() { &mut self.fresh } else { &mut self.rest };
                waiting.insert((entry.due, vip));
            }
        }
    }

    /// The next one that is due, if there is room.
    fn begin(&mut self, now: Time, outputs: &mut Vec<Output>) -> Option<IpAddr> {
        if self.under_way.len() >= AT_ONCE {
            return None;
        }
        let waiting = [&mut self.fresh, &mut self.rest];
        let due = |waiting: &&mut BTreeSet<(Time, IpAddr)>| waiting.first().is_some_and(|(due, _)| *due <= now);
        let (_, vip) = waiting.into_iter().find(due)?.pop_first()?;
        let errand = self.entries.get(&vip)?.errand.clone();
        self.count = self.count.wrapping_add(1);
        let ports = u64::from(u16::MAX - FIRST_PORT) + 1;
        let port = FIRST_PORT + u16::try_from(self.count % ports).unwrap_or_default();
        let sequence = u32::try_from(hash(vip, self.count) >> 32).unwrap_or_default();
        self.under_way.insert(vip, Proof::begin(now, errand, port, sequence));
        outputs.push(Output::Begun(vip));
        Some(vip)
    }
}

impl Entry {
    /// Takes in what was found; after how long it is looked at again.
    fn weigh(&mut self, finding: Finding, jitter: Duration) -> Duration {
        let failed_before = self.found.as_ref().is_some_and(|found| !found.is_good());
        if finding.is_good() {
            (self.found, self.doubtful) = (Some(finding), false);
            PERIOD.saturating_sub(jitter)
        } else if self.doubtful || failed_before {
            (self.found, self.doubtful) = (Some(finding), false);
            FAILING
        } else {
            self.doubtful = true;
            CONFIRMING
        }
    }
}

#[cfg(test)]
mod tests;
