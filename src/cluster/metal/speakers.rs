//! Which speakers are alive, and what they have said. A speaker is alive while its Lease changes, by our own clock: a Lease that has just been seen
//! for the first time gets its whole duration, so that nothing moves because a controller has started. Nor does anybody fall silent because we hear
//! nothing at all: while no Lease of the namespace changes (our own and those of the cluster's controllers do every 2 s) it is we who are deaf, and
//! once one does again all get their whole duration anew.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use portolan_core::balancer::Family;
use portolan_core::ids::{NodeName, ResourceVersion};
use portolan_core::time::Time;
use portolan_metal::announcement::{Exception, Report};
use portolan_metal::eligible::Speaker;
use portolan_metal::reach::{Doubt, Witness};
use portolan_metal::spans::Spans;

use crate::api::{self, Forwarding, NotAsRanked, NotAsRankedReason, NotProven, NotProvenReason, SpeakerReport};
use crate::cluster::project;
use crate::cluster::watch::Projected;
use crate::controller::index::{Event, Object, Store};

/// The Lease of a node's speaker is called this and the node's name.
pub(crate) const LEASE_PREFIX: &str = "portolan-speaker-";
/// Of a Lease that does not say it.
const DURATION: Duration = Duration::from_secs(15);
/// Without news of any Lease for so long, we are deaf. Speakers renew every 4 to 5 s.
const DEAF: Duration = Duration::from_secs(8);

/// What is known of all speakers.
#[derive(Default)]
pub(super) struct Speakers {
    leases: Store<SeenLease>,
    reports: Store<SeenReport>,
    /// Those that somebody has deleted: what they said holds while the speaker is alive, who says it again.
    deleted: BTreeMap<NodeName, SeenReport>,
    /// Until when each is alive.
    until: BTreeMap<NodeName, Time>,
    /// When something was last heard of any Lease.
    heard: Time,
    /// Until when everybody's end has been told.
    told: Time,
    /// What each has said last of the addresses around its node, which holds whether or not it is alive.
    around: BTreeMap<NodeName, Around>,
    /// Something of that is otherwise than before.
    news_around: bool,
}

/// Addresses that a node has, or reaches others by.
#[derive(Debug, Default)]
struct Around {
    /// Of each family. A route that is gone for a while, with a link, brings the same one back, so a report without any takes none away.
    routers: BTreeMap<Family, BTreeSet<IpAddr>>,
    own: Vec<IpAddr>,
}

impl Speakers {
    /// Both kinds have been listed.
    pub(super) fn are_listed(&self) -> bool {
        self.have_signs_of_life() && self.have_reported()
    }

    /// Their Leases have been listed.
    pub(super) fn have_signs_of_life(&self) -> bool {
        self.leases.lists() > 0
    }

    /// What they have said has been listed.
    pub(super) fn have_reported(&self) -> bool {
        self.reports.lists() > 0
    }

    /// The routers of a node, as its speaker has named them last.
    pub(super) fn gateways(&self, node: &NodeName) -> impl Iterator<Item = IpAddr> {
        self.around.get(node).into_iter().flat_map(|around| around.routers.values()).flatten().copied()
    }

    /// The addresses that a node's interfaces have, as its speaker has named them last.
    pub(super) fn addresses(&self, node: &NodeName) -> impl Iterator<Item = IpAddr> {
        self.around.get(node).into_iter().flat_map(|around| &around.own).copied()
    }

    /// Whether any of these have changed since this was asked last.
    pub(super) fn take_news_around(&mut self) -> bool {
        std::mem::take(&mut self.news_around)
    }

    /// Takes in news of a Lease; whether somebody is alive by it who was not, or the other way round. A renewal is no news.
    pub(super) fn lease(&mut self, event: Event<SeenLease>, now: Time) -> bool {
        let mut news = false;
        if now.since(self.heard) > DEAF {
            for (node, until) in &mut self.until {
                let name = format!("{LEASE_PREFIX}{node}");
                *until = (*until).max(now + self.leases.get(&name).map_or(DURATION, |lease| lease.duration));
            }
            news = true;
        }
        self.heard = now;
        for change in self.leases.observe(event) {
            let Some(node) = change.after.as_ref().or(change.before.as_ref()).map(|seen| seen.node.clone()) else {
                continue;
            };
            let was_alive = self.is_alive(&node, now);
            match change.after.filter(|seen| seen.held) {
                Some(SeenLease { duration, .. }) => drop(self.until.insert(node.clone(), now + duration)),
                None => drop(self.until.remove(&node)),
            }
            news |= was_alive != self.is_alive(&node, now);
        }
        news
    }

    fn is_alive(&self, node: &NodeName, now: Time) -> bool {
        lives(&self.until, self.heard, node, now)
    }

    /// For a dry run: these there are. A Lease counts that is held, and at this time, if there is one, has not run out by its holder's clock.
    pub(super) fn of_objects(leases: &[Lease], reports: &[SpeakerReport], now: Option<jiff::Timestamp>) -> Self {
        let mut speakers = Self::default();
        for lease in leases {
            let spec = lease.spec.as_ref();
            let renewed = spec.and_then(|spec| spec.renew_time.as_ref()).map(|time| time.0);
            if let Projected::Object(seen) = SeenLease::of(lease.clone())
                && renewed.zip(now).is_none_or(|(renewed, now)| now.duration_since(renewed).as_secs() <= seen.lasts())
            {
                speakers.lease(Event::Apply(seen), Time::default());
            }
        }
        for report in reports {
            speakers.report(Event::Apply(SeenReport::of(report.clone())));
        }
        speakers
    }

    /// Takes in news of a report; whose words have changed, and what they are now.
    pub(super) fn report(&mut self, event: Event<SeenReport>) -> Vec<(NodeName, Option<Report>)> {
        let changes = self.reports.observe(event);
        for change in &changes {
            match (&change.before, &change.after) {
                (_, Some(seen)) => drop(self.deleted.remove(&seen.node)),
                (Some(seen), None) => drop(self.deleted.insert(seen.node.clone(), seen.clone())),
                (None, None) => {}
            }
        }
        for seen in changes.iter().filter_map(|change| change.after.as_ref()) {
            let mut named: BTreeMap<Family, BTreeSet<IpAddr>> = BTreeMap::new();
            for address in &seen.gateways {
                named.entry(Family::of(*address)).or_default().insert(*address);
            }
            let around = self.around.entry(seen.node.clone()).or_default();
            for (family, routers) in named {
                self.news_around |= around.routers.insert(family, routers.clone()) != Some(routers);
            }
            if around.own != seen.addresses {
                around.own.clone_from(&seen.addresses);
                self.news_around = true;
            }
        }
        let told = changes.into_iter().filter_map(|change| {
            let node = change.after.as_ref().or(change.before.as_ref()).map(|seen| seen.node.clone())?;
            Some((node, change.after.map(|seen| seen.report)))
        });
        told.collect()
    }

    /// The speaker of a node.
    pub(super) fn of(&self, node: &NodeName, now: Time) -> Speaker {
        let is_alive = self.is_alive(node, now);
        let Some(seen) = self.reports.get(node).or_else(|| self.deleted.get(node).filter(|_| is_alive)) else {
            return Speaker::Absent;
        };
        if is_alive {
            // What the preflight finds bars no node: most of it depends on what is announced there, and would come and go with the addresses.
            let (interfaces, failing) = (seen.interfaces.clone(), seen.failing.clone());
            Speaker::Alive { interfaces, forwards: seen.forwards, failing }
        } else {
            Speaker::Silent { interfaces: seen.interfaces.clone() }
        }
    }

    /// The reports of nodes that are gone, and whose speakers are: nobody will write these any more. What is remembered of nodes beside their reports
    /// goes with them.
    pub(super) fn left_behind(&mut self, is_there: impl Fn(&NodeName) -> bool, now: Time) -> Vec<SeenReport> {
        let Self { reports, deleted, around, until, heard, .. } = self;
        let is_alive = |node: &NodeName| lives(until, *heard, node, now);
        deleted.retain(|node, _| is_there(node) || is_alive(node));
        around.retain(|node, _| is_there(node) || is_alive(node) || reports.get(node).is_some());
        let left = reports.iter().filter(|seen| !is_there(&seen.node) && !is_alive(&seen.node));
        left.cloned().collect()
    }

    /// Who is alive at this time has been told.
    pub(super) fn are_told(&mut self, now: Time) {
        self.told = now;
    }

    /// When the next one falls silent of whom that was not told, unless something is heard of it before.
    pub(super) fn deadline(&self) -> Option<Time> {
        self.until.values().copied().filter(|until| *until > self.told).min()
    }
}

fn lives(until: &BTreeMap<NodeName, Time>, heard: Time, node: &NodeName, now: Time) -> bool {
    until.get(node).is_some_and(|until| now < *until || now.since(heard) > DEAF)
}

/// A Lease of a speaker.
#[derive(Clone, Debug)]
pub(super) struct SeenLease {
    node: NodeName,
    version: ResourceVersion,
    /// Somebody has it.
    held: bool,
    duration: Duration,
    /// What its holder's clock said when he renewed it: only whether it changes means anything.
    renewed: Option<String>,
}

impl SeenLease {
    /// Seconds, some more than it says: clocks differ.
    fn lasts(&self) -> i64 {
        i64::try_from(self.duration.as_secs().saturating_mul(2)).unwrap_or(i64::MAX)
    }

    pub(super) fn of(object: Lease) -> Projected<Self> {
        let version = project::version(&object.metadata);
        let name = object.metadata.name.unwrap_or_default();
        let Some(node) = name.strip_prefix(LEASE_PREFIX).filter(|node| !node.is_empty()) else {
            return Projected::Nothing;
        };
        let spec = object.spec.unwrap_or_default();
        let seconds = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
        Projected::Object(Self {
            node: NodeName::new(node),
            version,
            held: spec.holder_identity.is_some_and(|holder| !holder.is_empty()),
            duration: seconds.filter(|seconds| *seconds > 0).map_or(DURATION, Duration::from_secs),
            renewed: spec.renew_time.map(|time| time.0.to_string()),
        })
    }
}

impl Object for SeenLease {
    type Name = String;

    fn name(&self) -> String {
        format!("{LEASE_PREFIX}{}", self.node)
    }

    fn version(&self) -> Option<&ResourceVersion> {
        Some(&self.version)
    }

    fn same(&self, other: &Self) -> bool {
        (self.held, self.duration, &self.renewed) == (other.held, other.duration, &other.renewed)
    }
}

/// A report.
#[derive(Clone, Debug)]
pub(super) struct SeenReport {
    pub(super) node: NodeName,
    pub(super) version: ResourceVersion,
    interfaces: BTreeSet<String>,
    gateways: Vec<IpAddr>,
    /// Those of the node itself.
    addresses: Vec<IpAddr>,
    /// It does not say that it does not: where nobody knows there are no better ones.
    forwards: bool,
    /// The addresses for which it says so.
    failing: BTreeSet<IpAddr>,
    report: Report,
}

impl SeenReport {
    pub(super) fn of(object: SpeakerReport) -> Self {
        let version = project::version(&object.metadata);
        let node = NodeName::new(object.metadata.name.unwrap_or_default());
        let mut exceptions = Spans::default();
        for NotAsRanked { reason, interface, mac, addresses } in object.spec.not_as_ranked {
            let (interface, mac) = (interface.unwrap_or_default(), mac.unwrap_or_default());
            let exception = match reason {
                NotAsRankedReason::NoInterface => Exception::NoInterface,
                NotAsRankedReason::NoSocket => Exception::NoSocket { interface },
                NotAsRankedReason::OneInterfaceLess => Exception::OneInterfaceLess { interface },
                NotAsRankedReason::PoolOffLink => Exception::PoolOffLink,
                NotAsRankedReason::NotForwarding => Exception::NotForwarding,
                NotAsRankedReason::Taken | NotAsRankedReason::Yielded => Exception::Stranger { interface, mac },
            };
            addresses.into_iter().for_each(|row| exceptions.say(row.first, row.last, exception.clone()));
        }
        let witness = object.spec.witness.map(witness);
        let report = Report { applied: object.spec.applied_version, exceptions, witness };
        let forwards = object.spec.forwarding != Some(Forwarding::NotForwarding);
        let interfaces = object.spec.stations.into_keys().collect();
        let (gateways, addresses) = (object.spec.gateways, object.spec.node_addresses);
        let failing = object.spec.failed_health_checks.into_iter().flat_map(|failed| failed.addresses).collect();
        Self { node, version, interfaces, gateways, addresses, forwards, failing, report }
    }
}

fn witness(said: api::Witness) -> Witness {
    let mut doubts = Spans::default();
    for NotProven { reason, mut macs, more_macs, ports, addresses } in said.not_proven {
        macs.extend(more_macs.then(|| "others".to_owned()));
        let ports: BTreeSet<u16> = ports.into_iter().collect();
        let doubt = match reason {
            NotProvenReason::Pending => Doubt::Pending,
            NotProvenReason::OffLink => Doubt::OffLink,
            NotProvenReason::NoSocket => Doubt::NoSocket,
            NotProvenReason::SourceRanges => Doubt::Excluded,
            NotProvenReason::NoAnswer => Doubt::NoAnswer,
            NotProvenReason::SeveralAnswers => Doubt::Several(macs),
            NotProvenReason::ForeignAnswer => Doubt::Foreign(macs),
            NotProvenReason::NoSynAck => Doubt::Silent(ports),
            NotProvenReason::ConnectionRefused => Doubt::Refused(ports),
        };
        addresses.into_iter().for_each(|row| doubts.say(row.first, row.last, doubt.clone()));
    }
    Witness { version: said.version, doubts }
}

impl Object for SeenReport {
    type Name = NodeName;

    fn name(&self) -> NodeName {
        self.node.clone()
    }

    fn version(&self) -> Option<&ResourceVersion> {
        Some(&self.version)
    }

    fn same(&self, other: &Self) -> bool {
        (&self.interfaces, &self.gateways, &self.addresses, self.forwards, &self.failing, &self.report)
            == (&other.interfaces, &other.gateways, &other.addresses, other.forwards, &other.failing, &other.report)
    }
}

#[cfg(test)]
mod tests;
