//! The task that ranks nodes for addresses: whenever something has changed it looks at all of them at once, and records what is different. It alone
//! writes `VirtualIP.spec.ranks`.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream;
use portolan_core::ids::NodeName;
use portolan_core::time::{Time, Timestamp};
use portolan_metal::Site;
use portolan_metal::eligible::Host;
use portolan_metal::moves::{Because, Moves, moves};
use portolan_metal::placement::{Pace, Ranks};
use portolan_metal::port::StoreError;
use portolan_metal::round::{Picture, Round, round};
use portolan_metal::vip::{Vip, name};
use portolan_metal::world::World;
use tokio::sync::watch;

use crate::cluster::clock::Clock;
use crate::controller::gate::Gate;

/// So many addresses at a time move that could stay, ...
const MOVES: usize = 10;
/// ... and then none for so long.
const BETWEEN_MOVES: Duration = Duration::from_secs(10);
/// So many writes at once.
const WRITES: usize = 16;
/// So many of those that change only what is shown, in a second: who reads it can wait.
const SHOWN: usize = 20;
/// After writes that failed, twice as long each time, to about a minute; and between two looks while somebody else leads.
const AGAIN: Duration = Duration::from_secs(1);
/// Looking at all addresses takes this part of the time at most.
const ONE_IN: u32 = 5;

/// What the configuration says of nodes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Nodes {
    /// Those that are labelled as excluded count all the same.
    pub(crate) ignore_exclude_label: bool,
    /// A node is given what others have once it has been sound for so long.
    pub(crate) steady_after: Duration,
}

/// Places all addresses until the gate's stop, once everything that it rests on has been listed.
pub(crate) async fn place(
    site: Site,
    mut listed: watch::Receiver<bool>,
    nodes: Nodes,
    gate: Gate,
    clock: Clock,
) -> Result<(), Infallible> {
    let stop = gate.stop().clone();
    let follow = async {
        if listed.wait_for(|listed| *listed).await.is_err() {
            return std::future::pending().await;
        }
        let mut edition = site.edition();
        let mut gate = gate;
        let mut rounds = Rounds {
            site,
            nodes,
            gate: gate.clone(),
            steady: Steady::default(),
            rest: Time::default(),
            shown: Time::default(),
            failed: BTreeMap::new(),
            led: false,
        };
        loop {
            edition.mark_unchanged();
            let due = if gate.check().is_ok() {
                rounds.next(&clock).await
            } else {
                rounds.lose();
                Some(clock.now() + AGAIN)
            };
            loop {
                tokio::select! {
                    changed = edition.changed() => {
                        if changed.is_err() {
                            return std::future::pending().await;
                        }
                        break;
                    }
                    // A renewal is no reason to look at everything; another leader is.
                    () = gate.changed() => if gate.check().is_err() { break },
                    () = clock.sleep_until(due) => break,
                }
            }
        }
    };
    stop.run_until_cancelled(follow).await;
    Ok(())
}

/// The owners that would change if nothing else did, once every node has been sound for long enough: for a dry run.
pub(crate) fn in_the_end(site: &Site, ignore_label: bool) -> Vec<Moves> {
    let mut picture = site.look(World::picture);
    let sound = picture.hosts.iter().filter(|host| host.is_sound(ignore_label));
    let settled: BTreeSet<NodeName> = sound.map(|host| host.node.name.clone()).collect();
    let ranks = |picture: &Picture| -> BTreeMap<IpAddr, Ranks> {
        picture.vips.iter().map(|(address, placed)| (*address, placed.vip.ranks.clone())).collect()
    };
    let before = ranks(&picture);
    for _ in 0..ROUNDS {
        let pace = Pace { settled: &settled, moves: usize::MAX };
        let Round { ranked, eligible, .. } = round(&picture, &pace, ignore_label, Timestamp::default());
        if ranked.is_empty() {
            return moves(&before, &ranks(&picture), &eligible);
        }
        for vip in ranked {
            if let Some(placed) = picture.vips.get_mut(&vip.address) {
                placed.vip = vip;
            }
        }
    }
    Vec::new()
}

/// More than any placement takes to come to rest: what has to move, then what is to.
const ROUNDS: usize = 10;

struct Rounds {
    site: Site,
    nodes: Nodes,
    gate: Gate,
    steady: Steady,
    /// Until then nothing moves that could stay.
    rest: Time,
    /// Until then nothing is written that only shows.
    shown: Time,
    /// Addresses that could not be recorded: how often in a row, and until when they are left alone.
    failed: BTreeMap<IpAddr, (u32, Time)>,
    /// The last look was allowed.
    led: bool,
}

impl Rounds {
    /// Somebody else decides now: what was known of endpoints, of who is steady and of who asks is old when we decide again.
    fn lose(&mut self) {
        if std::mem::take(&mut self.led) {
            self.site.observe(World::forget_all_asked);
            self.steady = Steady::default();
        }
    }

    /// One round; when the next one is due even if nothing changes.
    async fn next(&mut self, clock: &Clock) -> Option<Time> {
        let begun = clock.now();
        self.led = true;
        let picture = self.site.look(World::picture);
        let Nodes { ignore_exclude_label, steady_after } = self.nodes;
        self.steady.observe(&picture.hosts, ignore_exclude_label, begun);
        let settled = self.steady.settled(begun, steady_after);
        let moves = if begun >= self.rest { MOVES } else { 0 };
        let now = Timestamp(clock.wall().as_second());
        let Round { ranked, shown, eligible, moves, unfinished } =
            round(&picture, &Pace { settled: &settled, moves }, ignore_exclude_label, now);
        self.site.observe(|world| world.set_eligible(eligible));
        let took = clock.now().since(begun);
        if moves.iter().any(|moves| matches!(moves.because, Because::Preferred(..) | Because::Uneven)) {
            self.rest = begun + BETWEEN_MOVES;
        }
        moves.iter().for_each(|moves| tracing::info!("{moves}"));
        let waits = (!shown.is_empty()).then(|| self.shown.max(begun + AGAIN));
        let showing = if begun >= self.shown { SHOWN } else { 0 };
        if showing > 0 && !shown.is_empty() {
            self.shown = begun + AGAIN;
        }
        // What differs no more needs no second attempt: it was written although it was not said to be, or is not wanted any longer.
        if !self.failed.is_empty() {
            let differ: BTreeSet<IpAddr> = ranked.iter().chain(&shown).map(|vip| vip.address).collect();
            self.failed.retain(|address, _| differ.contains(address));
        }
        let all = ranked.into_iter().chain(shown.into_iter().take(showing));
        let now_due = |vip: &Vip| self.failed.get(&vip.address).is_none_or(|(_, until)| *until <= begun);
        let all: Vec<Vip> = all.filter(now_due).collect();
        let tried: Vec<IpAddr> = all.iter().map(|vip| vip.address).collect();
        let failed = self.record(all).await;
        let now = clock.now();
        for address in tried {
            if failed.contains(&address) {
                let (times, until) = self.failed.entry(address).or_default();
                *until = now + AGAIN * 2_u32.pow((*times).min(6));
                *times += 1;
            } else {
                self.failed.remove(&address);
            }
        }
        let again = self.failed.values().map(|(_, until)| (*until).max(now + AGAIN)).min();
        // However many changes come, there is time for others.
        clock.sleep_until(Some(now + took * (ONE_IN - 1))).await;
        let rested = unfinished.then_some(self.rest.max(begun));
        [again, waits, rested, self.steady.deadline(begun, steady_after)].into_iter().flatten().min()
    }

    /// Writes them; those that could not be written. What has changed meanwhile is looked at again when it is seen.
    async fn record(&self, vips: Vec<Vip>) -> BTreeSet<IpAddr> {
        let written = stream::iter(vips).map(|vip| async move {
            if self.gate.check().is_err() {
                return Some(vip.address);
            }
            match self.site.record(&vip).await {
                Ok(()) | Err(StoreError::Conflict | StoreError::Exists) => None,
                Err(error @ (StoreError::Unavailable { .. } | StoreError::Refused(_))) => {
                    tracing::warn!(vip = name(vip.address), %error, "its nodes are not recorded");
                    Some(vip.address)
                }
            }
        });
        let written = written.buffer_unordered(WRITES);
        written
            .fold(BTreeSet::new(), |mut failed, address| async move {
                failed.extend(address);
                failed
            })
            .await
    }
}

/// Since when each node has been sound.
#[derive(Debug, Default)]
struct Steady {
    since: BTreeMap<NodeName, Time>,
}

impl Steady {
    fn observe(&mut self, hosts: &Arc<Vec<Host>>, ignore_label: bool, now: Time) {
        let sound = hosts.iter().filter(|host| host.is_sound(ignore_label));
        let sound = sound.map(|host| {
            let name = host.node.name.clone();
            let since = self.since.get(&name).copied().unwrap_or(now);
            (name, since)
        });
        self.since = sound.collect();
    }

    fn settled(&self, now: Time, after: Duration) -> BTreeSet<NodeName> {
        self.since.iter().filter(|(_, since)| now.since(**since) >= after).map(|(name, _)| name.clone()).collect()
    }

    /// When the next one is settled.
    fn deadline(&self, now: Time, after: Duration) -> Option<Time> {
        self.since.values().map(|since| *since + after).filter(|settled| *settled > now).min()
    }
}

#[cfg(test)]
mod tests;
