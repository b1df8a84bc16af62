//! What our objects are called, and by which tags we know them. A name matters when an object is made, never afterwards: identity is the ARN.
//!
//! Names derive from the load balancer's id, which is a UID, and from all that makes two objects differ, so that those of two generations
//! can exist beside one another, and a crash between a call and its answer finds what it has made.

use std::collections::BTreeMap;

use portolan_core::balancer::{Family, Member, PortKey};
use portolan_core::ids::{Instance, LoadBalancerId, Uid, fnv1a};
use serde::{Deserialize, Serialize};

use crate::ids::ClusterName;
use crate::mark::Mark;
use crate::protocol::Protocol;
use crate::words::TargetType;

/// The cluster: existing IAM policies are scoped on this one, and subnets are shared by it.
pub const CLUSTER: &str = "elbv2.k8s.aws/cluster";
/// Which of several Portolans in the cluster.
pub const INSTANCE: &str = "portolan.dev/instance";
/// The load balancer's id.
pub const LOAD_BALANCER: &str = "portolan.dev/load-balancer";
/// The generation that an object belongs to.
pub const GENERATION: &str = "portolan.dev/generation";
/// The ports that a listener serves, and for whom: `UID=80/TCP`, several behind one another.
pub const SERVES: &str = "portolan.dev/serves";
/// The labels of the nodes that are targets of a group, if not all are: `KEY=VALUE`, several joined by `:`. What does not fit goes on in
/// `portolan.dev/node-labels-2` and so on.
pub const NODE_LABELS: &str = "portolan.dev/node-labels";
/// When a balancer was replaced, in seconds since 1970.
pub const RETIRED: &str = "portolan.dev/retired";
/// The Services, for people.
pub const SERVICES: &str = "portolan.dev/services";

/// By which people look for a security group in AWS's console: its name, unless somebody asks for another one.
pub const NAME: &str = "Name";

/// The value of a tag has at most so many characters
/// (<https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_Tag.html>).
const LONGEST_VALUE: usize = 256;

/// What the names and tags of one load balancer's objects are made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    cluster: String,
    instance: String,
    id: String,
}

/// What sets one target group of a balancer apart from another. What of it changes needs another group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Kind {
    /// What it speaks.
    pub protocol: Protocol,
    /// Who the targets are.
    pub target_type: TargetType,
    /// Of which family their addresses are.
    pub family: Family,
}

impl Names {
    /// Those of one load balancer.
    pub fn new(cluster: &ClusterName, instance: &Instance, id: &LoadBalancerId) -> Self {
        Self {
            cluster: cluster.as_str().to_owned(),
            instance: instance.as_str().to_owned(),
            id: id.as_str().to_owned(),
        }
    }

    /// A balancer's, if nobody chooses one.
    pub fn balancer(&self, generation: u32) -> String {
        format!("portolan-{}", self.hash(&format!("balancer {generation}")))
    }

    /// A target group's.
    pub fn group(&self, generation: u32, port: u16, kind: Kind, serves: &[(Uid, PortKey)]) -> String {
        let Kind { protocol, target_type, family } = kind;
        let whom = serves_tag(serves);
        format!(
            "portolan-{}",
            self.hash(&format!("group {generation} {port} {protocol} {target_type} {family} {whom}"))
        )
    }

    /// A security group's.
    pub fn security_group(&self, generation: u32) -> String {
        format!("portolan-{}", self.hash(&format!("security group {generation}")))
    }

    /// The tags by which we know an object for ours.
    pub fn tags(&self) -> BTreeMap<String, String> {
        let tags = [(CLUSTER, &self.cluster), (INSTANCE, &self.instance), (LOAD_BALANCER, &self.id)];
        tags.into_iter().map(|(key, value)| (key.to_owned(), value.clone())).collect()
    }

    /// An object with these tags is ours.
    pub fn owns(&self, tags: &BTreeMap<String, String>) -> bool {
        self.tags().iter().all(|(key, value)| tags.get(key) == Some(value))
    }

    /// The tag by which an object of this load balancer is another cluster's or another Portolan's: the key, what it says, and what ours says.
    pub fn estranged(&self, tags: &BTreeMap<String, String>) -> Option<(&'static str, String, String)> {
        if tags.get(LOAD_BALANCER) != Some(&self.id) {
            return None;
        }
        let of = |(key, own): (&'static str, &String)| {
            let is = tags.get(key).filter(|is| *is != own)?;
            Some((key, is.clone(), own.clone()))
        };
        [(CLUSTER, &self.cluster), (INSTANCE, &self.instance)].into_iter().find_map(of)
    }

    /// Whose an object of this cluster is that is not this load balancer's.
    pub fn holder(&self, tags: &BTreeMap<String, String>) -> Option<String> {
        let is = |key: &str, own: &str| tags.get(key).map(String::as_str) == Some(own);
        let other = tags.get(LOAD_BALANCER).filter(|other| **other != self.id)?;
        if !is(CLUSTER, &self.cluster) || !is(INSTANCE, &self.instance) {
            return None;
        }
        let services = tags.get(SERVICES).filter(|services| !services.is_empty());
        let services = services.map(|services| format!(" (Service {services})")).unwrap_or_default();
        Some(format!("the load balancer {other}{services}"))
    }

    /// On the inbound rules of its security groups.
    pub fn mark(&self) -> Mark {
        Mark::of_balancer(&self.id)
    }

    fn hash(&self, of: &str) -> String {
        let Self { cluster, instance, id } = self;
        format!("{:016x}", fnv1a(format!("{cluster}\n{instance}\n{id}\n{of}").as_bytes()))
    }
}

/// Whom a listener serves, as a tag.
pub fn serves_tag(serves: &[(Uid, PortKey)]) -> String {
    serves.iter().map(|(uid, key)| format!("{uid}={key}")).collect::<Vec<_>>().join(" ")
}

/// The same, read; what is not as we write it says nothing.
pub fn parse_serves(tag: &str) -> Vec<(Uid, PortKey)> {
    tag.split(' ').filter_map(one_served).collect()
}

fn one_served(text: &str) -> Option<(Uid, PortKey)> {
    use portolan_core::balancer::Protocol::{Sctp, Tcp, Udp};
    let (uid, key) = text.split_once('=')?;
    let (port, word) = key.split_once('/')?;
    let protocol = [Tcp, Udp, Sctp].into_iter().find(|protocol| protocol.to_string() == word)?;
    Some((Uid::new(uid), PortKey { port: port.parse().ok()?, protocol }))
}

/// Which nodes are targets, as tags; none for all. It is said with the group, because it has to hold when the Service cannot be read any more.
pub fn node_labels_tags(labels: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let text = labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(":");
    // Labels are ASCII (apimachinery, `IsQualifiedName`).
    let parts = text.as_bytes().chunks(LONGEST_VALUE).map(|part| String::from_utf8_lossy(part).into_owned());
    parts.enumerate().map(|(index, part)| (node_labels_key(index), part)).collect()
}

/// The tag says which nodes are targets.
pub fn is_of_node_labels(key: &str) -> bool {
    key.starts_with(NODE_LABELS)
}

/// The same, read.
pub fn parse_node_labels(tags: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let text: String = (0..).map_while(|index| tags.get(&node_labels_key(index))).map(String::as_str).collect();
    let labels = text.split(':').filter_map(|label| label.split_once('='));
    labels.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

fn node_labels_key(index: usize) -> String {
    if index == 0 { NODE_LABELS.to_owned() } else { format!("{NODE_LABELS}-{}", index.saturating_add(1)) }
}

/// The Services' names, as many as fit.
pub fn services_tag(members: &[Member]) -> String {
    let all = members.iter().map(|member| member.key().to_string()).collect::<Vec<_>>().join(" ");
    all.chars().take(LONGEST_VALUE).collect()
}

#[cfg(test)]
mod tests {
    use portolan_core::balancer::Protocol as Transport;

    use super::*;
    use crate::ids::BalancerName;

    fn names(instance: &str, id: &str) -> Names {
        Names::new(&ClusterName::parse("prod").unwrap(), &Instance::parse(instance).unwrap(), &LoadBalancerId::new(id))
    }

    fn kind(protocol: Protocol) -> Kind {
        Kind { protocol, target_type: TargetType::Instance, family: Family::V4 }
    }

    #[test]
    fn whatever_may_exist_beside_another_has_a_name_of_its_own_that_aws_takes() {
        let web = names("", "uid");
        let serves = |port| vec![(Uid::new("uid"), PortKey { port, protocol: Transport::Tcp })];
        let mut all = vec![web.balancer(1), web.balancer(2), web.security_group(1), web.security_group(2)];
        all.push(names("blue", "uid").balancer(1));
        all.push(names("", "other").balancer(1));
        all.push(web.group(1, 80, kind(Protocol::Tcp), &serves(80)));
        all.push(web.group(2, 80, kind(Protocol::Tcp), &serves(80)));
        all.push(web.group(1, 81, kind(Protocol::Tcp), &serves(81)));
        all.push(web.group(1, 80, kind(Protocol::Udp), &serves(80)));
        all.push(web.group(1, 80, Kind { family: Family::V6, ..kind(Protocol::Tcp) }, &serves(80)));
        all.push(web.group(1, 80, Kind { target_type: TargetType::Ip, ..kind(Protocol::Tcp) }, &serves(80)));
        let different: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(different.len(), all.len());
        for name in &all {
            assert!(BalancerName::parse(name).is_ok(), "{name}");
        }
        assert_eq!(web.balancer(1), names("", "uid").balancer(1), "the same again after a restart");
    }

    #[test]
    fn an_object_is_ours_by_all_three_tags_and_by_no_fewer() {
        let web = names("", "uid");
        assert!(web.owns(&web.tags()));
        for missing in [CLUSTER, INSTANCE, LOAD_BALANCER] {
            let mut tags = web.tags();
            tags.remove(missing);
            assert!(!web.owns(&tags), "{missing}");
        }
        assert!(!web.owns(&names("blue", "uid").tags()), "another Portolan's");
    }

    #[test]
    fn which_nodes_are_targets_is_read_as_it_is_written_however_long_it_is() {
        let long = (0..6).map(|n| (format!("{}.example.com/pool-{n}", "a".repeat(80)), "edge_1".to_owned())).collect();
        let short = [("pool".to_owned(), "edge".to_owned()), ("tier".to_owned(), String::new())].into();
        for (labels, keys) in [(BTreeMap::new(), 0), (short, 1), (long, 3)] {
            let tags = node_labels_tags(&labels);
            assert_eq!(parse_node_labels(&tags), labels);
            assert_eq!(tags.len(), keys);
            assert!(tags.iter().all(|(key, value)| is_of_node_labels(key) && value.len() <= 256));
        }
        assert_eq!(node_labels_tags(&[("a".to_owned(), "b".to_owned())].into())[NODE_LABELS], "a=b");
    }

    #[test]
    fn as_many_services_are_named_for_people_as_a_tag_has_room_for() {
        let member = |number: usize| Member {
            uid: Uid::new("u"),
            namespace: "default".to_owned(),
            name: format!("service-{number}"),
        };
        let members: Vec<Member> = (0..40).map(member).collect();
        assert_eq!(services_tag(&members[..2]), "default/service-0 default/service-1");
        assert_eq!(services_tag(&members).chars().count(), 256);
    }

    #[test]
    fn whom_a_listener_serves_is_read_as_it_is_written() {
        let serves = vec![
            (Uid::new("0b8a-1"), PortKey { port: 53, protocol: Transport::Tcp }),
            (Uid::new("0b8a-1"), PortKey { port: 53, protocol: Transport::Udp }),
        ];
        assert_eq!(serves_tag(&serves), "0b8a-1=53/TCP 0b8a-1=53/UDP");
        assert_eq!(parse_serves(&serves_tag(&serves)), serves);
        assert_eq!(parse_serves("nonsense =1 a=b c=1/QUIC"), Vec::new());
    }
}
