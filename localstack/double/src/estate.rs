//! What the account holds, as far as the rules need it: learnt from the requests that the emulator accepted. The emulator has the objects;
//! this is the memory of their settings, their ages and what belongs to what.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::rules::health_checks::HealthCheck;
use crate::rules::protocols::Protocol;

/// The balancers, groups and listeners of one account in one region, each list in order of creation.
#[derive(Debug, Default)]
pub(crate) struct Estate {
    pub(crate) balancers: Vec<Balancer>,
    pub(crate) groups: Vec<Group>,
    pub(crate) listeners: Vec<Listener>,
    /// When each security group was created.
    pub(crate) security_groups_born: BTreeMap<String, Duration>,
    /// What stands on the rules that name prefix lists, by group and rule.
    pub(crate) on_prefix_lists: BTreeMap<String, String>,
    /// Security groups that interfaces of former balancers still use, and until when.
    pub(crate) held_security_groups: BTreeMap<String, Duration>,
}

#[derive(Debug, Clone)]
pub(crate) struct Balancer {
    pub(crate) arn: String,
    pub(crate) name: String,
    pub(crate) internal: bool,
    pub(crate) vpc: String,
    pub(crate) mappings: Vec<Mapping>,
    pub(crate) security_groups: BTreeSet<String>,
    pub(crate) born_with_security_groups: bool,
    pub(crate) dual_stack: bool,
    pub(crate) source_nat_prefix: bool,
    /// `on` or `off`; AWS's default is `on`.
    pub(crate) private_link_rules: String,
    pub(crate) attributes: BTreeMap<String, String>,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) born: Duration,
}

/// One subnet of a balancer, with what was asked for in it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Mapping {
    pub(crate) subnet: String,
    pub(crate) zone: String,
    pub(crate) allocation: Option<String>,
    pub(crate) private_ipv4: Option<String>,
    pub(crate) ipv6: Option<String>,
    pub(crate) source_nat_prefix: Option<String>,
}

#[derive(Debug, Clone)]
pub(crate) struct Group {
    pub(crate) arn: String,
    pub(crate) name: String,
    pub(crate) protocol: Protocol,
    pub(crate) port: u16,
    pub(crate) vpc: String,
    pub(crate) target_type: TargetType,
    pub(crate) ipv6: bool,
    pub(crate) health_check: HealthCheck,
    pub(crate) attributes: BTreeMap<String, String>,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) targets: Vec<Target>,
    pub(crate) born: Duration,
    /// Since when a listener uses it.
    pub(crate) in_use_since: Option<Duration>,
    /// Until when it answers `ResourceInUse` although no listener uses it.
    pub(crate) held_until: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TargetType {
    Instance,
    Ip,
}

#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) id: String,
    pub(crate) port: u16,
    pub(crate) zone: Option<String>,
    pub(crate) registered: Duration,
    /// Set once it is deregistered: until when it is draining.
    pub(crate) leaves: Option<Duration>,
}

#[derive(Debug, Clone)]
pub(crate) struct Listener {
    pub(crate) arn: String,
    pub(crate) balancer: String,
    pub(crate) port: u16,
    pub(crate) protocol: Protocol,
    pub(crate) groups: BTreeSet<String>,
    /// The default actions as they were sent, without their order numbers: what "the same settings" compares.
    pub(crate) actions: BTreeMap<String, String>,
    pub(crate) certificate: Option<String>,
    pub(crate) more_certificates: BTreeSet<String>,
    pub(crate) ssl_policy: Option<String>,
    pub(crate) alpn: Option<String>,
    pub(crate) attributes: BTreeMap<String, String>,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) born: Duration,
}

impl Target {
    pub(crate) fn is_registered(&self) -> bool {
        self.leaves.is_none()
    }
}

impl Estate {
    pub(crate) fn balancer(&self, arn: &str) -> Option<&Balancer> {
        self.balancers.iter().find(|balancer| balancer.arn == arn)
    }

    pub(crate) fn balancer_mut(&mut self, arn: &str) -> Option<&mut Balancer> {
        self.balancers.iter_mut().find(|balancer| balancer.arn == arn)
    }

    pub(crate) fn group(&self, arn: &str) -> Option<&Group> {
        self.groups.iter().find(|group| group.arn == arn)
    }

    pub(crate) fn group_mut(&mut self, arn: &str) -> Option<&mut Group> {
        self.groups.iter_mut().find(|group| group.arn == arn)
    }

    pub(crate) fn listener(&self, arn: &str) -> Option<&Listener> {
        self.listeners.iter().find(|listener| listener.arn == arn)
    }

    pub(crate) fn listener_mut(&mut self, arn: &str) -> Option<&mut Listener> {
        self.listeners.iter_mut().find(|listener| listener.arn == arn)
    }

    pub(crate) fn listeners_of(&self, balancer: &str) -> impl Iterator<Item = &Listener> {
        self.listeners.iter().filter(move |listener| listener.balancer == balancer)
    }

    /// The balancers whose listeners forward to this group.
    pub(crate) fn balancers_of_group(&self, group: &str) -> BTreeSet<&str> {
        let listeners = self.listeners.iter().filter(|listener| listener.groups.contains(group));
        listeners.map(|listener| listener.balancer.as_str()).collect()
    }

    /// The groups that the listeners of this balancer forward to.
    pub(crate) fn groups_of_balancer(&self, balancer: &str) -> BTreeSet<&str> {
        self.listeners_of(balancer).flat_map(|listener| &listener.groups).map(String::as_str).collect()
    }

    /// Brings the groups' ages in line with the listeners that there are now: a group comes into use with its first listener, and is held
    /// for a while after its last.
    pub(crate) fn settle(&mut self, now: Duration, release: Duration) {
        let used: BTreeSet<&String> = self.listeners.iter().flat_map(|listener| &listener.groups).collect();
        for group in &mut self.groups {
            match (used.contains(&group.arn), group.in_use_since) {
                (true, None) => group.in_use_since = Some(now),
                (false, Some(_)) => {
                    group.in_use_since = None;
                    group.held_until = now + release;
                }
                (true, Some(_)) | (false, None) => {}
            }
        }
    }

    /// Forgets the targets that have drained.
    pub(crate) fn drain(&mut self, now: Duration) {
        for group in &mut self.groups {
            group.targets.retain(|target| target.leaves.is_none_or(|leaves| now < leaves));
        }
    }
}
