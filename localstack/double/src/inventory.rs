//! What an account holds, for tests to look at without a call.

use std::collections::{BTreeMap, BTreeSet};

use crate::estate::Estate;

/// The balancers, groups, listeners and targets of a region. Security groups are the emulator's: describe them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inventory {
    /// ARN by name.
    pub balancers: BTreeMap<String, String>,
    /// ARN by name.
    pub groups: BTreeMap<String, String>,
    /// By the balancer's name and the port: protocol and names of the groups.
    pub listeners: BTreeMap<(String, u16), (String, BTreeSet<String>)>,
    /// By the group's name: id and port of what is registered, without what is draining.
    pub targets: BTreeMap<String, BTreeSet<(String, u16)>>,
    /// By ARN.
    pub tags: BTreeMap<String, BTreeMap<String, String>>,
}

impl Inventory {
    pub(crate) fn of(estate: &Estate) -> Self {
        let group_name = |arn: &String| estate.group(arn).map(|group| group.name.clone());
        let listeners = estate.listeners.iter().filter_map(|listener| {
            let balancer = estate.balancer(&listener.balancer)?.name.clone();
            let groups = listener.groups.iter().filter_map(group_name).collect();
            Some(((balancer, listener.port), (listener.protocol.name().to_owned(), groups)))
        });
        let targets = estate.groups.iter().map(|group| {
            let registered = group.targets.iter().filter(|target| target.is_registered());
            (group.name.clone(), registered.map(|target| (target.id.clone(), target.port)).collect())
        });
        let tags = estate.balancers.iter().map(|one| (&one.arn, &one.tags));
        let tags = tags.chain(estate.groups.iter().map(|one| (&one.arn, &one.tags)));
        let tags = tags.chain(estate.listeners.iter().map(|one| (&one.arn, &one.tags)));
        Self {
            balancers: estate.balancers.iter().map(|one| (one.name.clone(), one.arn.clone())).collect(),
            groups: estate.groups.iter().map(|one| (one.name.clone(), one.arn.clone())).collect(),
            listeners: listeners.collect(),
            targets: targets.collect(),
            tags: tags.map(|(arn, tags)| (arn.clone(), tags.clone())).collect(),
        }
    }

    /// Is nothing there at all?
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
