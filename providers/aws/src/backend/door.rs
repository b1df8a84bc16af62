//! Which of a target's security groups lets balancers in: its only one, or the only one that is tagged for the cluster, as the AWS Load
//! Balancer Controller has it. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::backend::need::{Need, Peer, Port, Who};
use crate::ids::{ClusterName, SecurityGroupId};
use crate::parameters::{BackendSecurityGroup, Parameters};
use crate::survey::{Groups, SecurityGroups};

/// What the groups in front of one load balancer's targets have to let in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Doors {
    /// The balancer carries the shared group, which is ours or to be made by us.
    pub(super) shared: bool,
    /// The ports of targets of which it is not clear by which group they let in: where one of these is open it may be needed.
    pub(super) unclear: BTreeSet<Port>,
    wants: BTreeMap<SecurityGroupId, BTreeMap<Peer, BTreeSet<Port>>>,
}

impl Doors {
    /// A class without a shared group opens nothing to those who would carry it.
    pub(super) fn of(
        need: &Need,
        parameters: &Parameters,
        interfaces: &BTreeMap<Who, Groups>,
        groups: &SecurityGroups,
        problems: &mut BTreeSet<String>,
    ) -> Self {
        let managed = parameters.backend_security_group == BackendSecurityGroup::Managed;
        let mut doors = Self { shared: need.shared && managed, ..Self::default() };
        let mut chosen: BTreeMap<&BTreeSet<SecurityGroupId>, Option<SecurityGroupId>> = BTreeMap::new();
        for opening in &need.openings {
            let behind = opening.who.iter().filter_map(|who| Some((who, &**interfaces.get(who)?)));
            let mut ids = BTreeSet::new();
            for (who, candidates) in behind {
                let id = chosen.entry(candidates).or_insert_with(|| {
                    match pick(&parameters.cluster_name, candidates, groups) {
                        Ok(id) => Some(id),
                        Err(why) => {
                            problems.insert(format!("{} cannot be opened to balancers: {why}", told(who)));
                            None
                        }
                    }
                });
                match id {
                    Some(id) => drop(ids.insert(id.clone())),
                    None => doors.unclear.extend(opening.ports.iter().copied()),
                }
            }
            for id in ids {
                let of_group = doors.wants.entry(id).or_default();
                for peer in &opening.from {
                    if *peer != Peer::Balancers || parameters.backend_security_group != BackendSecurityGroup::None {
                        of_group.entry(peer.clone()).or_default().extend(opening.ports.iter().copied());
                    }
                }
            }
        }
        doors
    }

    /// This group is one of those.
    pub(super) fn has(&self, group: &SecurityGroupId) -> bool {
        self.wants.contains_key(group)
    }

    /// Each port that some group is to open to somebody.
    pub(super) fn wanted(&self) -> impl Iterator<Item = (&SecurityGroupId, &Peer, &Port)> {
        self.wants.iter().flat_map(|(group, peers)| {
            peers.iter().flat_map(move |(peer, ports)| ports.iter().map(move |port| (group, peer, port)))
        })
    }
}

fn pick(
    cluster: &ClusterName,
    candidates: &BTreeSet<SecurityGroupId>,
    groups: &SecurityGroups,
) -> Result<SecurityGroupId, String> {
    let tag = format!("kubernetes.io/cluster/{cluster}");
    let is_tagged = |id: &&SecurityGroupId| groups.get(*id).is_some_and(|group| group.tags.contains_key(&tag));
    let tagged: Vec<&SecurityGroupId> = candidates.iter().filter(is_tagged).collect();
    let all = || candidates.iter().map(SecurityGroupId::as_str).collect::<Vec<_>>().join(", ");
    let id = match (candidates.first(), candidates.len(), tagged.as_slice()) {
        (Some(only), 1, _) => only,
        (_, _, [tagged]) => *tagged,
        (None, _, _) => return Err("its interface has no security group; give it one".to_owned()),
        (Some(_), _, []) => {
            return Err(format!(
                "its interface has the security groups {}, none of which has the tag {tag}; tag the one that is to let them in",
                all()
            ));
        }
        (Some(_), _, [_, ..]) => {
            return Err(format!(
                "its interface has the security groups {}, several of which have the tag {tag}; leave it on the one that is to let them in",
                all()
            ));
        }
    };
    if groups.contains_key(id) {
        Ok(id.clone())
    } else {
        Err(format!("its security group {id} is not in the VPC, or so new that AWS has not shown it"))
    }
}

fn told(who: &Who) -> String {
    match who {
        Who::Instance(id) => id.clone(),
        Who::Address(address) => address.to_string(),
    }
}

#[cfg(test)]
mod tests;
