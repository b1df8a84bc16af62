//! What our objects are called, and by which tags we know them. A name matters when an object is made, never afterwards: identity is the ARN.
//!
//! Names derive from the load balancer's id, which is a UID, and from all that makes two objects differ, so that those of two generations
//! can exist beside one another, and a crash between a call and its answer finds what it has made.

use std::collections::BTreeMap;

use portolan_core::balancer::{Family, Member, PortKey};
use portolan_core::ids::{Instance, LoadBalancerId, Uid, fnv1a};
use serde::Serialize;

use crate::ids::ClusterName;
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
/// The Services, for people.
pub const SERVICES: &str = "portolan.dev/services";

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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
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
