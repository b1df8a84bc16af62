//! A round of placement: from all that is known to what is to be recorded of it. Pure; whoever asks keeps the time and carries it out.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use portolan_core::ids::NodeName;
use portolan_core::time::Timestamp;

use crate::advertisement::{Advertisement, PoolRef};
use crate::announcement::Announcement;
use crate::eligible::{self, Eligibility, Endpoints, Host, Member, as_ranked, eligible};
use crate::moves::{Moves, moves};
use crate::placement::{self, Pace, Ranks, Rebalance, place};
use crate::vip::{Shown, Vip};

/// All that placement rests on, at one moment.
#[derive(Clone, Debug, Default)]
pub struct Picture {
    /// The addresses that somebody has.
    pub vips: BTreeMap<IpAddr, Placed>,
    /// All nodes.
    pub hosts: Arc<Vec<Host>>,
    /// All advertisements.
    pub advertisements: Arc<Vec<Advertisement>>,
}

/// An address that somebody has.
#[derive(Clone, Debug)]
pub struct Placed {
    /// As it is recorded.
    pub vip: Vip,
    /// Its pool, as it is now.
    pub pool: PoolRef,
    /// What that says of moves.
    pub rebalance: Rebalance,
    /// Its Services; none while nothing is known of them.
    pub services: Option<Vec<Member>>,
    /// What becomes of it on the wire.
    pub announcement: Announcement,
    /// Nobody has announced it since it was given out, as far as we have been there to see, and a stranger who has it has few others.
    pub is_new: bool,
    /// A Service names it in its status.
    pub is_published: bool,
}

impl Placed {
    /// Nodes begin to write their rules for an address when a Service names it, and judge by when they were written whether they may announce it: of
    /// one that they are told of before they would go by rules without it.
    fn is_early(&self) -> bool {
        self.vip.ranks.generation == 0 && !self.is_published
    }
}

/// What comes of it.
#[derive(Clone, Debug, Default)]
pub struct Round {
    /// Those whose ranks, or the interfaces and ports that go with them, are others now, and those that are set aside or no longer; as they are to
    /// be recorded.
    pub ranked: Vec<Vip>,
    /// Those of which only what is shown is another: worth a write when there is time.
    pub shown: Vec<Vip>,
    /// Who may answer for each.
    pub eligible: BTreeMap<IpAddr, Arc<Eligibility>>,
    /// The owners that change, in words.
    pub moves: Vec<Moves>,
    /// More would move if the pace allowed it.
    pub unfinished: bool,
}

/// Works it out. `ignore_label` is the setting `nodes.ignoreExcludeLabel`.
pub fn round(picture: &Picture, pace: &Pace<'_>, ignore_label: bool, now: Timestamp) -> Round {
    let eligible = who_may(picture, ignore_label);
    let in_time = picture.vips.iter().filter(|(_, placed)| !placed.is_early());
    let vips = in_time.filter_map(|(address, placed)| {
        let rebalance = if placed.services.is_some() { placed.rebalance } else { Rebalance::Never };
        let eligible = Arc::clone(&eligible.get(address)?.nodes);
        Some((*address, placement::Vip { eligible, rebalance, previous: placed.vip.ranks.clone() }))
    });
    let vips: BTreeMap<IpAddr, placement::Vip> = vips.collect();
    let placement = place(&vips, pace);
    let before = vips.into_iter().map(|(address, vip)| (address, vip.previous)).collect();
    let mut round = Round {
        moves: moves(&before, &placement.ranks, &eligible),
        unfinished: placement.unfinished,
        ..Round::default()
    };
    for (address, ranks) in placement.ranks {
        let (Some(placed), Some(eligible)) = (picture.vips.get(&address), eligible.get(&address)) else { continue };
        let vip = record(placed, ranks, eligible, now);
        let before = &placed.vip;
        if (&vip.ranks, &vip.interfaces, &vip.health_checks, &vip.set_aside)
            != (&before.ranks, &before.interfaces, &before.health_checks, &before.set_aside)
        {
            round.ranked.push(vip);
        } else if vip.shown != placed.vip.shown {
            round.shown.push(vip);
        }
    }
    round.eligible = eligible;
    round
}

fn who_may(picture: &Picture, ignore_label: bool) -> BTreeMap<IpAddr, Arc<Eligibility>> {
    let (mut known, mut unknown) = (BTreeMap::new(), BTreeMap::<IpAddr, Arc<Eligibility>>::new());
    for (address, placed) in &picture.vips {
        match &placed.services {
            Some(services) => {
                let vip = eligible::Vip { pool: placed.pool.clone(), services: services.clone() };
                known.insert(*address, vip);
            }
            None => {
                let ranked = as_ranked(*address, &placed.vip.ranks.nodes, &picture.hosts, ignore_label);
                if ranked.nodes.is_empty() && !placed.vip.ranks.nodes.is_empty() {
                    // None of those who were ranked can: as for a Service without labels whose endpoints are anywhere.
                    let anybody =
                        Member { labels: BTreeMap::new(), endpoints: Endpoints::Anywhere, health_check: None };
                    known.insert(*address, eligible::Vip { pool: placed.pool.clone(), services: vec![anybody] });
                }
                unknown.insert(*address, Arc::new(ranked));
            }
        }
    }
    let mut all = eligible(&known, &picture.hosts, &picture.advertisements, ignore_label);
    for (address, ranked) in unknown {
        all.entry(address).or_insert(ranked);
    }
    all
}

fn record(placed: &Placed, ranks: Ranks, eligible: &Eligibility, now: Timestamp) -> Vip {
    let before = &placed.vip;
    let interfaces = match &placed.services {
        Some(_) => only(&ranks.nodes, eligible),
        None => before.interfaces.iter().filter(|(node, _)| ranks.nodes.contains(node)).map(cloned).collect(),
    };
    let health_checks = match &placed.services {
        Some(services) if ranks.owner().is_some() => health_checks(services, &eligible.left_out),
        Some(_) => BTreeSet::new(),
        None => before.health_checks.clone(),
    };
    let since = if ranks.owner() == before.ranks.owner() { before.shown.since.or(Some(now)) } else { Some(now) };
    let stranger = placed.announcement.stranger().map(str::to_owned);
    let is_anothers = stranger.is_some() || before.shown.stranger.is_some();
    let is_ours = placed.announcement.is_announced() || !before.ask_first && !is_anothers;
    // A write for this alone is worth nothing: it says what whoever comes next has to do.
    let ask_first = if ranks == before.ranks { before.ask_first } else { before.ranks.generation == 0 || !is_ours };
    let set_aside = match &stranger {
        Some(_) if placed.is_new && before.reserved_for.is_none() => stranger.clone(),
        _ => before.set_aside.clone().filter(|_| !placed.announcement.is_announced()),
    };
    let shown = match &placed.services {
        Some(_) => Shown {
            since: since.filter(|_| ranks.owner().is_some()),
            barred: eligible.barred(),
            despite: eligible.despite.to_vec(),
            stranger,
        },
        None => Shown { since: since.filter(|_| ranks.owner().is_some()), stranger, ..before.shown.clone() },
    };
    Vip { ranks, interfaces, health_checks, ask_first, set_aside, shown, ..before.clone() }
}

/// Of those who have a say in who is ranked: what the others would say of a node is no reason to leave it.
fn health_checks(services: &[Member], left_out: &[usize]) -> BTreeSet<u16> {
    let counted = services.iter().enumerate().filter(|(place, _)| !left_out.contains(place));
    let counted = counted.filter(|(_, service)| matches!(service.endpoints, Endpoints::On(_)));
    counted.filter_map(|(_, service)| service.health_check).collect()
}

fn only(nodes: &[NodeName], eligible: &Eligibility) -> BTreeMap<NodeName, BTreeSet<String>> {
    nodes.iter().filter_map(|node| Some((node.clone(), eligible.only(node)?.clone()))).collect()
}

fn cloned((node, only): (&NodeName, &BTreeSet<String>)) -> (NodeName, BTreeSet<String>) {
    (node.clone(), only.clone())
}

#[cfg(test)]
mod tests;
