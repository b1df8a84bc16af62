//! The mark by which an inbound rule is ours: its description. A rule has no tags that DescribeSecurityGroups shows, and only what carries
//! the mark is ever revoked.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;
use portolan_core::ids::Instance;

use crate::client::ec2::groups;
use crate::ids::{ClusterName, PrefixListId};
use crate::state::{Rule, Source, Traffic};

/// A description has at most so many characters
/// (<https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_IpRange.html>).
const LONGEST: usize = 255;

/// The description of rules that one of us keeps.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mark(String);

/// The rules of a security group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sorted {
    /// Those with the mark.
    pub ours: BTreeSet<Rule>,
    /// Those without, as far as we could have made them: what is open by one of these cannot be opened again.
    pub foreign: BTreeSet<Rule>,
    /// How many inbound rules there are that are not ours, which count for AWS's quota.
    pub others: usize,
    /// The prefix lists that those name, and how many name each: such a rule counts for more than one.
    pub lists_of_others: BTreeMap<PrefixListId, usize>,
}

impl Mark {
    /// On the rules of the security groups that are kept for one load balancer.
    pub(crate) fn of_balancer(id: &str) -> Self {
        Self::new(&format!("portolan.dev {id}"))
    }

    /// On the rules that let the cluster's balancers in at their targets.
    pub fn of_targets(cluster: &ClusterName, instance: &Instance) -> Self {
        Self::new(&format!("portolan.dev targets of {cluster}/{}", instance.as_str()))
    }

    /// AWS takes letters, digits, spaces and these.
    fn new(text: &str) -> Self {
        let legal = |c: char| c.is_ascii_alphanumeric() || " ._-:/()#,@[]+=&;{}!$*".contains(c);
        Self(text.chars().map(|c| if legal(c) { c } else { '_' }).take(LONGEST).collect())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The rule carries it.
    pub fn is_on(&self, rule: &groups::Rule) -> bool {
        rule.description.as_deref() == Some(&self.0)
    }

    /// Whose the rules are.
    pub fn sort(&self, rules: &[groups::Rule]) -> Sorted {
        let mut sorted = Sorted::default();
        for rule in rules {
            match read(rule) {
                Some(read) if self.is_on(rule) => {
                    sorted.ours.insert(read);
                    continue;
                }
                Some(read) => drop(sorted.foreign.insert(read)),
                None => {}
            }
            sorted.others = sorted.others.saturating_add(1);
            for list in groups::named([rule]) {
                let rules = sorted.lists_of_others.entry(list.clone()).or_default();
                *rules = rules.saturating_add(1);
            }
        }
        sorted
    }

    /// A rule as EC2 takes it, with the mark.
    pub fn write(&self, rule: &Rule) -> groups::Rule {
        let (source, is_v6) = match &rule.source {
            Source::Network(IpNet::V4(network)) => (groups::Source::Ipv4(*network), false),
            Source::Network(IpNet::V6(network)) => (groups::Source::Ipv6(*network), true),
            Source::PrefixList(list) => (groups::Source::PrefixList(list.clone()), false),
        };
        let traffic = match rule.traffic {
            Traffic::Tcp(port) => groups::Traffic::Tcp(port, port),
            Traffic::Udp(port) => groups::Traffic::Udp(port, port),
            Traffic::PathMtu if is_v6 => PACKET_TOO_BIG,
            Traffic::PathMtu => FRAGMENTATION_NEEDED,
        };
        groups::Rule { traffic, source, description: Some(self.0.clone()) }
    }
}

/// RFC 1191: destination unreachable, fragmentation needed.
const FRAGMENTATION_NEEDED: groups::Traffic = groups::Traffic::Icmp(3, 4);
/// RFC 8201.
const PACKET_TOO_BIG: groups::Traffic = groups::Traffic::Icmpv6(2, 0);

/// None if it is no rule such as we make.
pub fn read(rule: &groups::Rule) -> Option<Rule> {
    let (source, is_v6) = match &rule.source {
        groups::Source::Ipv4(network) => (Source::Network(IpNet::V4(*network)), false),
        groups::Source::Ipv6(network) => (Source::Network(IpNet::V6(*network)), true),
        groups::Source::PrefixList(list) => (Source::PrefixList(list.clone()), false),
        groups::Source::Group(_) => return None,
    };
    let traffic = match &rule.traffic {
        groups::Traffic::Tcp(from, to) if from == to => Traffic::Tcp(*from),
        groups::Traffic::Udp(from, to) if from == to => Traffic::Udp(*from),
        icmp if !is_v6 && *icmp == FRAGMENTATION_NEEDED => Traffic::PathMtu,
        icmp if is_v6 && *icmp == PACKET_TOO_BIG => Traffic::PathMtu,
        groups::Traffic::Tcp(..)
        | groups::Traffic::Udp(..)
        | groups::Traffic::Icmp(..)
        | groups::Traffic::Icmpv6(..)
        | groups::Traffic::All
        | groups::Traffic::Other(_) => return None,
    };
    Some(Rule { traffic, source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Id;

    fn network(text: &str) -> Source {
        Source::Network(text.parse().unwrap())
    }

    #[test]
    fn a_rule_of_ours_reads_as_it_was_written() {
        let mark = Mark::of_balancer("uid");
        let list = || Source::PrefixList(Id::parse("pl-1").unwrap());
        for traffic in [Traffic::Tcp(80), Traffic::Udp(53), Traffic::PathMtu] {
            for source in [network("10.0.0.0/8"), network("2001:db8::/32"), list()] {
                let rule = Rule { traffic, source };
                let written = mark.write(&rule);
                assert!(mark.is_on(&written));
                assert_eq!(read(&written), Some(rule));
            }
        }
    }

    #[test]
    fn what_does_not_carry_this_very_mark_is_of_others() {
        let (ours, other) = (Mark::of_balancer("uid"), Mark::of_balancer("uid-2"));
        let rule = |port| Rule { traffic: Traffic::Tcp(port), source: network("0.0.0.0/0") };
        let by_hand = groups::Rule { description: None, ..ours.write(&rule(82)) };
        let wide = groups::Rule { traffic: groups::Traffic::Tcp(1, 9), ..ours.write(&rule(1)) };
        let sorted = ours.sort(&[ours.write(&rule(80)), other.write(&rule(81)), by_hand, wide]);
        assert_eq!(sorted.ours, [rule(80)].into());
        assert_eq!(sorted.foreign, [rule(81), rule(82)].into());
        assert_eq!(sorted.others, 3, "a range is none that we make, whatever stands on it");
    }

    #[test]
    fn a_mark_has_the_characters_that_aws_takes() {
        assert_eq!(Mark::of_balancer("blue.4f<ü>").as_str(), "portolan.dev blue.4f___");
        assert_eq!(Mark::of_balancer(&"x".repeat(300)).as_str().len(), 255);
        let of_targets =
            |instance| Mark::of_targets(&ClusterName::parse("prod").unwrap(), &Instance::parse(instance).unwrap());
        assert_eq!(of_targets("blue").as_str(), "portolan.dev targets of prod/blue");
        assert_ne!(of_targets("blue"), of_targets(""));
    }
}
