//! What changes in one security group of targets, from what all balancers need of it and what it has. Pure.
//!
//! Ports are opened exactly as long as there is room; beyond that, the narrowest gaps between them are opened with them. Ours are at most half
//! of the rules that there is room for, so that what comes can always be added before what goes is revoked. What is open and may be needed by
//! somebody who has not said so is as if it were wanted: it stays, and nothing else does.

use std::collections::{BTreeMap, BTreeSet};

use portolan_core::ids::LoadBalancerId;

use crate::backend::need::{Port, Transport};
use crate::backend::said::{Held, Together};
use crate::client::ec2::groups::{Rule, SecurityGroup, Source, Traffic, counted};
use crate::estate::prefix_lists::PrefixLists;
use crate::ids::SecurityGroupId;
use crate::mark::Mark;
use crate::names::LOAD_BALANCER;
use crate::survey::SecurityGroups;

/// The ports that are to be open, by transport and source.
pub(super) type Wants = BTreeMap<(Transport, Source), BTreeSet<u16>>;

/// What is to be written, one call each at most.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) add: Vec<Rule>,
    pub(super) revoke: Vec<Rule>,
    /// There is no room for both at once.
    pub(super) revoke_first: bool,
}

/// More rules than AWS allows, even with as few as possible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NoRoom {
    pub(super) needed: usize,
    pub(super) room: usize,
}

/// Ports that follow one another, from one source.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Range {
    transport: Transport,
    source: Source,
    from: u16,
    to: u16,
}

/// What is to be written: in every group that has to let something in or has rules with our mark. `budget` says how many rules a group can have.
pub(super) fn changes(
    together: &Together,
    groups: &SecurityGroups,
    mark: &Mark,
    lists: &PrefixLists,
    budget: impl Fn(&SecurityGroup, &Wants) -> usize,
) -> Vec<(SecurityGroupId, Result<Change, NoRoom>)> {
    let nothing = Wants::new();
    let wanted = |id| together.wants.get(id).unwrap_or(&nothing);
    let concerned = groups
        .iter()
        .map(|(id, group)| (id, group, wanted(id)))
        .filter(|(_, group, wanted)| !wanted.is_empty() || group.rules.iter().any(|rule| mark.is_on(rule)));
    let decided = concerned.map(|(id, group, wanted)| {
        let mut held = held(&together.held, group, mark);
        held.retain(|range| !is_nobody_s(range, groups, together));
        (id.clone(), decide(wanted, &held, &group.rules, mark, lists, budget(group, wanted)))
    });
    decided.collect()
}

/// `held`: what may be needed besides.
pub(super) fn decide(
    wants: &Wants,
    held: &BTreeSet<Range>,
    rules: &[Rule],
    mark: &Mark,
    lists: &PrefixLists,
    budget: usize,
) -> Result<Change, NoRoom> {
    let is_ours = |rule: &&Rule| mark.is_on(rule) && Range::of(rule).is_some();
    let (ours, foreign): (Vec<&Rule>, Vec<&Rule>) = rules.iter().partition(is_ours);
    let room = budget.saturating_sub(counted(foreign.iter().copied(), lists));
    let ranges = ranges(wants, held);
    let least = ranges.iter().zip(ranges.iter().skip(1)).filter(|(one, next)| !one.is_of(next.transport, &next.source));
    let needed = least.count().saturating_add(usize::from(!ranges.is_empty()));
    if needed > room {
        return Err(NoRoom { needed, room });
    }
    let share = (room / 2).max(1);
    let ours: BTreeSet<Range> = ours.into_iter().filter_map(Range::of).collect();
    let foreign: BTreeSet<Range> = foreign.into_iter().filter_map(Range::of).collect();
    let wanted = merged(ranges, share);
    let add: Vec<&Range> = wanted.difference(&ours).filter(|range| !foreign.contains(range)).collect();
    let mut revoke: Vec<&Range> = ours.difference(&wanted).collect();
    let is_harmless = |surplus: &&Range| wanted.iter().any(|range| range.covers(surplus));
    if revoke.iter().all(is_harmless) && ours.len().saturating_add(add.len()) <= share {
        // What opens nothing more can stay until something has to go anyway: one call less.
        revoke.clear();
    }
    Ok(Change {
        revoke_first: !revoke.is_empty() && ours.len().saturating_add(add.len()) > room,
        add: add.into_iter().map(|range| range.rule(mark)).collect(),
        revoke: revoke.into_iter().map(|range| range.rule(mark)).collect(),
    })
}

/// All of this is open already, by rules of ours.
pub(super) fn is_open(wants: &Wants, rules: &[Rule], mark: &Mark) -> bool {
    let ours: Vec<Range> = rules.iter().filter(|rule| mark.is_on(rule)).filter_map(Range::of).collect();
    wants.iter().all(|((transport, source), ports)| {
        ports.iter().all(|port| {
            let wanted = Range { transport: *transport, source: source.clone(), from: *port, to: *port };
            ours.iter().any(|range| range.covers(&wanted))
        })
    })
}

/// What of ours may be needed by somebody who has not said so.
fn held(held: &Held, group: &SecurityGroup, mark: &Mark) -> BTreeSet<Range> {
    let ours = |group: &SecurityGroup| -> Vec<Range> {
        group.rules.iter().filter(|rule| mark.is_on(rule)).filter_map(Range::of).collect()
    };
    let now = ours(group);
    if held.everything {
        return now.into_iter().collect();
    }
    let before = held.before.as_ref().and_then(|groups| groups.get(&group.id)).map(|group| ours(group));
    let mut all = BTreeSet::new();
    for range in &now {
        let port = |number| Port { transport: range.transport, number };
        let ports = held.ports.range(port(range.from)..=port(range.to));
        all.extend(ports.map(|port| Range { from: port.number, to: port.number, ..range.clone() }));
        let both = before.iter().flatten().filter(|other| other.is_of(range.transport, &range.source));
        let both = both.map(|other| (range.from.max(other.from), range.to.min(other.to)));
        all.extend(both.filter(|(from, to)| from <= to).map(|(from, to)| Range { from, to, ..range.clone() }));
    }
    all
}

/// It names a group that is kept for a load balancer which is gone: nobody else can need that.
fn is_nobody_s(range: &Range, groups: &SecurityGroups, together: &Together) -> bool {
    let Source::Group(id) = &range.source else { return false };
    let whose = groups.get(id).and_then(|group| group.tags.get(LOAD_BALANCER));
    let everybody = together.everybody.as_ref();
    whose.zip(everybody).is_some_and(|(whose, all)| !all.contains(&LoadBalancerId::new(whose.clone())))
}

/// What is wanted and what is held, as ranges with gaps between them.
fn ranges(wants: &Wants, held: &BTreeSet<Range>) -> Vec<Range> {
    let wanted = wants.iter().flat_map(|((transport, source), ports)| {
        let of = |port: &u16| Range { transport: *transport, source: source.clone(), from: *port, to: *port };
        ports.iter().map(of).collect::<Vec<_>>()
    });
    let all: BTreeSet<Range> = wanted.chain(held.iter().cloned()).collect();
    let mut ranges: Vec<Range> = Vec::new();
    for range in all {
        match ranges.last_mut().filter(|last| last.is_of(range.transport, &range.source)) {
            Some(last) if last.to.saturating_add(1) >= range.from => last.to = last.to.max(range.to),
            Some(_) | None => ranges.push(range),
        }
    }
    ranges
}

/// At most so many ranges, as long as each transport and source has one: the narrowest gaps are closed first.
fn merged(ranges: Vec<Range>, most: usize) -> BTreeSet<Range> {
    let surplus = ranges.len().saturating_sub(most);
    let pairs = ranges.iter().zip(ranges.iter().skip(1));
    let within = pairs.filter(|(left, right)| left.is_of(right.transport, &right.source));
    let mut gaps: Vec<(u16, &Range)> =
        within.map(|(left, right)| (right.from.saturating_sub(left.to), right)).collect();
    gaps.sort();
    let closed: BTreeSet<Range> = gaps.into_iter().take(surplus).map(|(_, right)| right.clone()).collect();
    let mut merged: Vec<Range> = Vec::new();
    for range in ranges {
        match merged.last_mut().filter(|_| closed.contains(&range)) {
            Some(last) => last.to = range.to,
            None => merged.push(range),
        }
    }
    merged.into_iter().collect()
}

impl Range {
    fn of(rule: &Rule) -> Option<Self> {
        let (transport, from, to) = match rule.traffic {
            Traffic::Tcp(from, to) => (Transport::Tcp, from, to),
            Traffic::Udp(from, to) => (Transport::Udp, from, to),
            Traffic::Icmp(..) | Traffic::Icmpv6(..) | Traffic::All | Traffic::Other(_) => return None,
        };
        Some(Self { transport, source: rule.source.clone(), from, to })
    }

    fn is_of(&self, transport: Transport, source: &Source) -> bool {
        self.transport == transport && self.source == *source
    }

    fn covers(&self, other: &Self) -> bool {
        self.is_of(other.transport, &other.source) && self.from <= other.from && other.to <= self.to
    }

    fn rule(&self, mark: &Mark) -> Rule {
        let traffic = match self.transport {
            Transport::Tcp => Traffic::Tcp(self.from, self.to),
            Transport::Udp => Traffic::Udp(self.from, self.to),
        };
        Rule { traffic, source: self.source.clone(), description: Some(mark.as_str().to_owned()) }
    }
}

#[cfg(test)]
mod tests;
