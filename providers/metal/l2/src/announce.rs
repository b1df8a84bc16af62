//! When addresses are announced unasked: in a burst when they come here, again when a link comes up, once against a stranger who says that they are
//! his, and from time to time, because switches and routers forget.
//!
//! No more frames than the pace allows go out. Where more are due, those who have been announced least come first. Defences are not among those: they
//! and the announcements take turns, so that neither who claims addresses nor who brings many keeps the other waiting.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use crate::time::Time;

/// Rounds of a burst. Some routers take a second gratuitous frame only a second after the first (they lock an entry for that long), and a frame
/// may get lost.
pub const ROUNDS: u8 = 5;
/// From one round of a burst to the next.
pub const BETWEEN_ROUNDS: Duration = Duration::from_millis(1100);
/// From one periodic announcement of an address to the next, at the longest. Switches forget after 300 s by default.
pub const PERIOD: Duration = Duration::from_secs(60);
/// By how much it may be shorter, so that addresses that came together do not stay together.
const JITTER: Duration = Duration::from_secs(20);

/// Frames in a second that an interface sends unasked, by default.
pub const FRAMES_PER_SECOND: u32 = 50;

/// The announcements of one interface.
#[derive(Debug)]
pub struct Announcements {
    between_frames: Duration,
    rounds: BTreeMap<IpAddr, Round>,
    /// When whose round is due.
    due: BTreeSet<(Time, IpAddr)>,
    /// Whose round has been due, by how many they have had.
    waiting: BTreeSet<(u8, Time, IpAddr)>,
    /// Who is to be defended, by when that was said.
    defences: BTreeSet<(Time, IpAddr)>,
    /// The last one to have its turn was defended.
    defended: bool,
    /// When the next frame may go out.
    free: Time,
}

/// Where an address is in its announcements.
#[derive(Clone, Copy, Debug)]
struct Round {
    /// When its last burst began.
    since: Time,
    /// Rounds it has had since it came; [`ROUNDS`] and no more after a burst.
    had: u8,
    /// When the next one is due.
    due: Time,
    /// Since when it is to be defended.
    defend: Option<Time>,
    /// How many it has had in all, from which its jitter is drawn.
    count: u64,
}

impl Announcements {
    /// At most so many frames in any second; at least one.
    pub fn new(frames_per_second: u32) -> Self {
        let between_frames = Duration::from_secs(1) / frames_per_second.max(1);
        Self {
            between_frames,
            rounds: BTreeMap::new(),
            due: BTreeSet::new(),
            waiting: BTreeSet::new(),
            defences: BTreeSet::new(),
            defended: false,
            free: Time::default(),
        }
    }

    /// A burst for this address begins now.
    pub fn begin(&mut self, now: Time, address: IpAddr) {
        let (count, defend) = self.remove(address).map_or((0, None), |round| (round.count, round.defend));
        self.put(address, Round { since: now, had: 0, due: now, defend, count });
    }

    /// It is announced once more at the next turn of a defence; a burst that it is in goes on.
    pub fn defend(&mut self, now: Time, address: IpAddr) {
        if let Some(round) = self.remove(address) {
            let since = round.defend.unwrap_or(now);
            self.put(address, Round { defend: Some(since), ..round });
        }
    }

    /// Since when it is announced, counted anew when the link has come up.
    pub fn since(&self, address: IpAddr) -> Option<Time> {
        self.rounds.get(&address).map(|round| round.since)
    }

    /// It is announced no more.
    pub fn end(&mut self, address: IpAddr) {
        self.remove(address);
    }

    /// A burst for all begins now.
    pub fn begin_all(&mut self, now: Time) {
        let all: Vec<IpAddr> = self.rounds.keys().copied().collect();
        all.into_iter().for_each(|address| self.begin(now, address));
    }

    /// The next address to announce now, if the pace allows it; `frames` says how many frames that takes.
    pub fn next(&mut self, now: Time, frames: impl FnOnce(IpAddr) -> u32) -> Option<IpAddr> {
        while let Some((due, address)) = self.due.first().copied().filter(|(due, _)| *due <= now) {
            self.due.remove(&(due, address));
            if let Some(round) = self.rounds.get(&address) {
                self.waiting.insert((round.had, due, address));
            }
        }
        if self.free > now {
            return None;
        }
        let defence = self.defences.first().map(|(_, address)| *address);
        let announcement = self.waiting.first().map(|(_, _, address)| *address);
        let address = if self.defended { announcement.or(defence) } else { defence.or(announcement) }?;
        self.defended = defence == Some(address);
        let round = self.remove(address)?;
        self.free = now + self.between_frames * frames(address);
        let had = round.had.saturating_add(1).min(ROUNDS);
        let pause = if had < ROUNDS { BETWEEN_ROUNDS } else { PERIOD.saturating_sub(jitter(address, round.count)) };
        let count = round.count.wrapping_add(1);
        self.put(address, Round { had, due: now + pause, defend: None, count, ..round });
        Some(address)
    }

    /// When there may be something to announce.
    pub fn deadline(&self) -> Option<Time> {
        if self.waiting.is_empty() && self.defences.is_empty() {
            return self.due.first().map(|(due, _)| (*due).max(self.free));
        }
        Some(self.free)
    }

    fn put(&mut self, address: IpAddr, round: Round) {
        self.due.insert((round.due, address));
        self.defences.extend(round.defend.map(|since| (since, address)));
        self.rounds.insert(address, round);
    }

    fn remove(&mut self, address: IpAddr) -> Option<Round> {
        let round = self.rounds.remove(&address)?;
        self.due.remove(&(round.due, address));
        self.waiting.remove(&(round.had, round.due, address));
        round.defend.map(|since| self.defences.remove(&(since, address)));
        Some(round)
    }
}

/// Up to [`JITTER`], drawn from the address and the count, so that nothing here is by chance.
pub(crate) fn jitter(address: IpAddr, count: u64) -> Duration {
    let hash = hash(address, count);
    let span = u64::try_from(JITTER.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis((hash >> 16) % span)
}

/// A number that looks like any (FNV-1a).
pub(crate) fn hash(address: IpAddr, count: u64) -> u64 {
    let octets = match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    };
    let octets = octets.into_iter().chain(count.to_be_bytes());
    octets.fold(0xcbf2_9ce4_8422_2325_u64, |hash, octet| (hash ^ u64::from(octet)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests;
