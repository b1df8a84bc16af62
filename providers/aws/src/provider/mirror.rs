//! What this process knows of each load balancer: read once, then kept true by what AWS acknowledges, polls and audits.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use portolan_core::ids::LoadBalancerId;
use portolan_core::time::Time;

use crate::names::Names;
use crate::provider::remembered::{acknowledged, intents, remembered};
use crate::state::{Arn, Group, Health, Registered, State, Status, Target, remember_pods};
use crate::step::Object;
use crate::words::TargetType;

/// How often groups are looked at in which a pod is not found healthy: it may be waiting for that (readiness gates).
const AWAITED: Duration = Duration::from_secs(30);

/// How soon AWS is asked again for a target that it did not take.
const REJECTED: Duration = Duration::from_secs(60);

/// Polls that one of which nothing exists is kept: a pass may be about to make it, and wait minutes for its turn to call AWS.
const EMPTY: u32 = 120;

/// How often is asked for what was made and is not shown: two minutes, as long as EC2 may lag too.
const PATIENCE: u32 = 60;

/// Everything that is known.
#[derive(Debug, Default)]
pub(super) struct Mirror {
    entries: BTreeMap<LoadBalancerId, Entry>,
    /// Those of which nothing is believed before AWS has been asked, whatever their records say.
    doubted: BTreeSet<LoadBalancerId>,
}

/// One load balancer.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// What its objects are called.
    pub(super) names: Names,
    /// What exists.
    pub(super) state: State,
    /// Why that is believed.
    pub(super) proof: Proof,
    /// What the record said was acknowledged when this was last seen to agree with it.
    agreed: Option<String>,
    /// This process has changed something since. If the record then tells of what another has acknowledged, neither knows what came last.
    acted: bool,
    /// What the record intends that this process knows of: it has read what came of it, or it does it itself. Another controller that acts has
    /// made what comes beside.
    accounted: BTreeSet<String>,
    /// Counts what changes, so that an answer to an older question does not undo it.
    version: u64,
    /// Polls since anybody asked for it.
    idle: u32,
    /// What this process has made, and nobody has seen the tags of.
    unproven: BTreeSet<Arn>,
    /// What this process has seen our tags on, without reading all the rest.
    ours: BTreeSet<Arn>,
    /// Names of balancers that are yet to be made, and that nothing at AWS had when it was asked.
    free: BTreeSet<String>,
    /// Its name is published only when a target of it is healthy.
    withheld: bool,
    /// How often AWS has been asked for those in vain.
    not_shown: u32,
    /// When targets were not taken.
    rejected: BTreeMap<(Arn, Target), Time>,
    /// When the targets of a group were last looked at.
    looked: BTreeMap<Arn, Time>,
}

/// Why a state is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Proof {
    /// The record says so. Before anything is written, it has to be read: somebody else may have changed it.
    Remembered,
    /// The record says so, and the balancer has been seen since.
    Seen,
    /// It was read, by its tags, and we have followed it since.
    Read,
}

impl Mirror {
    /// What is known, unless the record tells of a change that is not ours.
    pub(super) fn get(&mut self, id: &LoadBalancerId, external: &BTreeMap<String, String>) -> Option<&mut Entry> {
        let said = acknowledged(external);
        let entry = self.entries.get_mut(id)?;
        if external.is_empty() && entry.agreed.is_some() && arns(&entry.state).next().is_some() {
            // The record was lost, and what we know of it is all that is left.
            return None;
        }
        if external.len() == usize::from(said.is_some()) {
            entry.accounted.clear();
        } else if intents(external).any(|key| !entry.accounted.contains(key)) {
            return None;
        }
        if entry.agreed.as_deref() != said {
            let own = remembered(&entry.state);
            if own.as_ref().and_then(acknowledged) != said {
                if entry.acted {
                    self.doubt(id);
                } else {
                    self.entries.remove(id);
                }
                return None;
            }
            entry.agreed = said.map(ToOwned::to_owned);
            entry.acted = false;
        }
        self.entries.get_mut(id)
    }

    /// What was read.
    pub(super) fn put(&mut self, id: &LoadBalancerId, names: Names, state: State, proof: Proof, agreed: Option<&str>) {
        let version = self.entries.get(id).map_or(0, |entry| entry.version.wrapping_add(1));
        let agreed = agreed.map(ToOwned::to_owned);
        let accounted = self.entries.get(id).map(|entry| entry.accounted.clone()).unwrap_or_default();
        let (unproven, ours, free) = Default::default();
        let (rejected, looked) = Default::default();
        let (idle, not_shown, withheld, acted) = (0, 0, false, false);
        self.doubted.remove(id);
        let entry = Entry {
            names,
            state,
            proof,
            agreed,
            acted,
            accounted,
            version,
            idle,
            unproven,
            not_shown,
            ours,
            free,
            withheld,
            rejected,
            looked,
        };
        self.entries.insert(id.clone(), entry);
    }

    /// What is known, as it is.
    pub(super) fn entry(&mut self, id: &LoadBalancerId) -> Option<&mut Entry> {
        self.entries.get_mut(id)
    }

    /// Nothing of it is believed any more: it is read anew.
    pub(super) fn doubt(&mut self, id: &LoadBalancerId) {
        self.entries.remove(id);
        self.doubted.insert(id.clone());
    }

    /// It has to be read: also what its record says is not believed.
    pub(super) fn is_doubted(&self, id: &LoadBalancerId) -> bool {
        self.doubted.contains(id)
    }

    /// All of them.
    pub(super) fn all(&self) -> impl Iterator<Item = (&LoadBalancerId, &Entry)> {
        self.entries.iter()
    }

    /// Forgets those of which nothing exists, and for which nobody asks.
    pub(super) fn prune(&mut self) {
        self.entries.retain(|_, entry| {
            entry.idle = entry.idle.saturating_add(1);
            entry.state != State::default() || entry.idle <= EMPTY
        });
    }
}

impl Entry {
    /// What this process has done.
    pub(super) fn follow(&mut self, state: State, now: Time) {
        for group in &state.groups {
            for target in &group.rejected {
                self.rejected.entry((group.arn.clone(), target.clone())).or_insert(now);
            }
        }
        let known: BTreeSet<Arn> = arns(&self.state).cloned().collect();
        self.unproven.extend(arns(&state).filter(|arn| !known.contains(*arn)).cloned());
        self.free.retain(|name| !state.balancers.iter().any(|balancer| &balancer.name == name));
        self.state = state;
        self.acted = true;
        self.version = self.version.wrapping_add(1);
    }

    /// What the record intends is known here.
    pub(super) fn accounts_for(&mut self, external: &BTreeMap<String, String>) {
        self.accounted.extend(external.keys().cloned());
    }

    /// Whether clients are told of it only when a target of it is healthy.
    pub(super) fn withheld(&mut self, is_withheld: bool) {
        self.withheld = is_withheld;
    }

    /// Somebody waits to hear that a target of this group is healthy, and nobody has looked for a while.
    pub(super) fn is_awaited(&self, group: &Group, now: Time) -> bool {
        let looked = self.looked(&group.arn);
        let for_a_name = self.withheld && !group.targets.is_empty() && !group.has_healthy();
        (for_a_name && is_due(looked, now)) || is_awaited(group, looked, now)
    }

    /// The names of balancers that nothing had when it was asked.
    pub(super) fn free(&self) -> &BTreeSet<String> {
        &self.free
    }

    /// Nothing has this name.
    pub(super) fn is_free(&mut self, name: String) {
        self.free.insert(name);
    }

    /// What was made here, and may turn out to be somebody else's: AWS answers a creation with what exists, if that has the same name and
    /// settings.
    pub(super) fn unproven(&self) -> &BTreeSet<Arn> {
        &self.unproven
    }

    /// AWS does not show all of it yet. True if it is worth asking again: by then somebody may have deleted it.
    pub(super) fn not_shown(&mut self) -> bool {
        self.not_shown = self.not_shown.saturating_add(1);
        self.not_shown <= PATIENCE
    }

    /// The tags of these are ours.
    pub(super) fn are_ours(&mut self, arns: BTreeSet<Arn>) {
        self.not_shown = 0;
        self.unproven.retain(|arn| !arns.contains(arn));
        self.ours.extend(arns);
    }

    /// Somebody has seen our tags on this group.
    pub(super) fn is_certain(&self, group: &Object) -> bool {
        self.proof == Proof::Read || group.arn.as_ref().is_some_and(|arn| self.ours.contains(arn))
    }

    /// The state now: targets that were not taken are asked for again after a while.
    pub(super) fn current(&mut self, now: Time) -> State {
        self.idle = 0;
        self.rejected.retain(|_, since| now.since(*since) < REJECTED);
        for group in &mut self.state.groups {
            let rejected = self.rejected.keys().filter(|(arn, _)| *arn == group.arn);
            group.rejected = rejected.map(|(_, target)| target.clone()).collect();
        }
        self.state.clone()
    }

    /// It was read whole, and is as it was followed or is believed from now on.
    pub(super) fn proven(&mut self, state: State) {
        let rejected = self.rejected.keys().map(|(arn, target)| (arn.clone(), target.clone())).collect::<Vec<_>>();
        self.state = state;
        self.proof = Proof::Read;
        self.unproven.clear();
        for (arn, target) in rejected {
            if let Some(group) = self.state.groups.iter_mut().find(|group| group.arn == arn) {
                group.rejected.insert(target);
            }
        }
    }

    /// To tell an answer to an older question.
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// Somebody has asked how the targets of a group are, and got no answer.
    pub(super) fn asked(&mut self, group: &Arn, now: Time) {
        self.looked.insert(group.clone(), now);
    }

    /// How targets are, asked at this version. True if that is news.
    pub(super) fn targets(&mut self, group: &Arn, targets: Vec<Registered>, version: u64, now: Time) -> bool {
        self.looked.insert(group.clone(), now);
        if self.version != version {
            return false;
        }
        let Some(group) = self.state.groups.iter_mut().find(|own| own.arn == *group) else { return false };
        let mut targets = targets;
        remember_pods(&mut targets, &group.targets);
        let news = group.targets != targets;
        group.targets = targets;
        news
    }

    /// How far balancers are. True if that is news; none: one of them is not there any more.
    pub(super) fn statuses(&mut self, seen: &BTreeMap<Arn, Status>, asked: &BTreeSet<Arn>) -> Option<bool> {
        let mut news = false;
        for balancer in &mut self.state.balancers {
            match (seen.get(&balancer.arn), asked.contains(&balancer.arn)) {
                (Some(status), _) => {
                    news |= balancer.status != *status;
                    balancer.status = *status;
                }
                (None, true) => return None,
                (None, false) => {}
            }
        }
        if self.proof == Proof::Remembered && self.state.balancers.iter().all(|own| seen.contains_key(&own.arn)) {
            self.proof = Proof::Seen;
        }
        Some(news)
    }

    /// When the targets of a group were last looked at.
    pub(super) fn looked(&self, group: &Arn) -> Option<Time> {
        self.looked.get(group).copied()
    }

    /// Balancers whose status is to change, or that nobody has seen since the process began.
    pub(super) fn in_motion(&self) -> impl Iterator<Item = &Arn> {
        let moves = |status: Status| match status {
            Status::Provisioning => true,
            Status::Active | Status::Impaired | Status::Failed => false,
        };
        let unseen = self.proof == Proof::Remembered;
        let balancers = self.state.balancers.iter();
        balancers.filter(move |balancer| unseen || moves(balancer.status)).map(|balancer| &balancer.arn)
    }

    /// Nothing of it is on its way anywhere.
    pub(super) fn is_at_rest(&self) -> bool {
        self.in_motion().next().is_none() && self.moving_groups().next().is_none()
    }

    /// The groups whose targets are on their way in or out.
    pub(super) fn moving_groups(&self) -> impl Iterator<Item = &Arn> {
        let moves = |health: Health| match health {
            Health::Initial | Health::Draining => true,
            Health::Unknown | Health::Healthy | Health::Unhealthy | Health::Unused | Health::Unavailable => false,
        };
        let groups = self.state.groups.iter();
        groups.filter(move |group| group.targets.iter().any(|target| moves(target.health))).map(|group| &group.arn)
    }
}

fn arns(state: &State) -> impl Iterator<Item = &Arn> {
    state.balancers.iter().map(|balancer| &balancer.arn).chain(state.groups.iter().map(|group| &group.arn))
}

/// Some pod in it is not found healthy, and nobody has looked for a while. That a node is not is nothing new: those without an endpoint never
/// are.
fn is_awaited(group: &Group, looked: Option<Time>, now: Time) -> bool {
    let sick = |registered: &Registered| match registered.health {
        Health::Unhealthy | Health::Unused | Health::Unavailable => true,
        Health::Unknown | Health::Initial | Health::Healthy | Health::Draining => false,
    };
    group.kind.target_type == TargetType::Ip && group.targets.iter().any(sick) && is_due(looked, now)
}

fn is_due(looked: Option<Time>, now: Time) -> bool {
    looked.is_none_or(|looked| now.since(looked) >= AWAITED)
}

#[cfg(test)]
mod tests {
    use portolan_core::ids::Instance;
    use serde_json::json;

    use super::*;
    use crate::ids::ClusterName;

    fn group(target_type: &str, health: &[&str]) -> Group {
        let target = |health: &&str| json!({"id": "10.0.0.1", "port": 80, "health": health});
        serde_json::from_value(json!({
            "arn": "a", "name": "g", "generation": 1, "port": 80, "tags": {}, "attributes": {"values": {}},
            "protocol": "TCP", "targetType": target_type, "family": "IPv4",
            "health": {"probe": "TCP", "port": "trafficPort", "interval": 10, "timeout": 10, "healthy": 3, "unhealthy": 3},
            "targets": health.iter().map(target).collect::<Vec<_>>(),
        }))
        .unwrap()
    }

    #[test]
    fn a_group_with_a_pod_that_is_not_healthy_is_looked_at_every_half_a_minute_and_one_of_nodes_is_not() {
        let at = |seconds: u64| Time::from_nanos(seconds * 1_000_000_000);
        for (target_type, health, looked, awaited) in [
            ("ip", &["healthy", "unhealthy"][..], None, true),
            ("ip", &["healthy", "unhealthy"], Some(70), true),
            ("ip", &["healthy", "unhealthy"], Some(71), false),
            ("ip", &["unused"], None, true),
            ("ip", &["unavailable"], None, true),
            ("ip", &["healthy"], None, false),
            ("ip", &["initial", "draining"], None, false),
            ("ip", &[], None, false),
            ("instance", &["healthy", "unhealthy"], None, false),
        ] {
            let found = is_awaited(&group(target_type, health), looked.map(at), at(100));
            assert_eq!(found, awaited, "{target_type} {health:?} {looked:?}");
        }
    }

    #[test]
    fn what_another_has_acknowledged_is_not_believed_over_what_was_done_here_since() {
        let id = LoadBalancerId::new("web");
        let names = Names::new(&ClusterName::parse("prod").unwrap(), &Instance::default(), &id);
        let said = |text: &str| BTreeMap::from([("acknowledged".to_owned(), text.to_owned())]);
        for (acted, doubted) in [(false, false), (true, true)] {
            let mut mirror = Mirror::default();
            mirror.put(&id, names.clone(), State::default(), Proof::Read, Some("first"));
            assert!(mirror.get(&id, &said("first")).is_some());
            if acted {
                mirror.entry(&id).unwrap().follow(State::default(), Time::default());
            }
            assert!(mirror.get(&id, &said("another's")).is_none());
            assert_eq!(mirror.is_doubted(&id), doubted, "acted: {acted}");
        }
    }
}
