//! What is known of the network and its machines, as data. Without AWS at hand it may be nothing: then what follows from it is unknown, and a
//! plan says so.

use std::collections::BTreeMap;
use std::fmt;

use ipnet::{Ipv4Net, Ipv6Net};
use portolan_core::ids::NodeName;
use serde::{Serialize, Serializer};

use crate::ids::{SecurityGroupId, SubnetId, VpcId};

/// What only AWS knows, if somebody has asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known<T> {
    /// This.
    Known(T),
    /// Nobody has asked yet.
    Unknown,
}

impl<T> Known<T> {
    /// What is known, if anything is.
    pub fn known(&self) -> Option<&T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Unknown => None,
        }
    }
}

impl<T> From<Option<T>> for Known<T> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Unknown, Self::Known)
    }
}

impl<T: fmt::Display> fmt::Display for Known<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(value) => value.fmt(f),
            Self::Unknown => f.write_str("(known after AWS is asked)"),
        }
    }
}

impl<T: Serialize> Serialize for Known<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Known(value) => value.serialize(serializer),
            Self::Unknown => serializer.serialize_str("unknown"),
        }
    }
}

/// What is known.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Estate {
    /// The cluster's VPC.
    pub vpc: Option<VpcId>,
    /// Its subnets.
    pub subnets: Option<Vec<Subnet>>,
    /// Its security groups, by their tag `Name`.
    pub security_groups: Option<BTreeMap<String, Vec<SecurityGroupId>>>,
    /// The security group that all balancers of the cluster share, which targets let in.
    pub backend_group: Option<SecurityGroupId>,
    /// The instances behind nodes, by `spec.providerID`. One that is missing here is read from the identifier itself, if it has AWS's form.
    pub instances: BTreeMap<String, String>,
    /// The nodes' labels.
    pub labels: BTreeMap<NodeName, BTreeMap<String, String>>,
    /// Inbound rules that a security group can have, if the account's quota is not AWS's own of 60
    /// (<https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html#vpc-limits-security-groups>).
    pub rules_per_group: Option<usize>,
}

/// A subnet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subnet {
    /// Its identity.
    pub id: SubnetId,
    /// Its availability zone.
    pub zone: String,
    /// Its tags, `Name` among them.
    pub tags: BTreeMap<String, String>,
    /// Its IPv4 network.
    pub ipv4: Option<Ipv4Net>,
    /// Its IPv6 network.
    pub ipv6: Option<Ipv6Net>,
    /// Free IPv4 addresses.
    pub free_addresses: u32,
    /// Its default route goes to an internet gateway; none if the routes are not known.
    pub public: Option<bool>,
}

/// AWS's own quota of inbound rules, for IPv4 and for IPv6 each.
const RULES_PER_GROUP: usize = 60;

impl Estate {
    /// Inbound rules that a security group can have, for each family.
    pub fn rule_budget(&self) -> usize {
        self.rules_per_group.unwrap_or(RULES_PER_GROUP)
    }

    /// The instance behind a node; none if it is not one of AWS's.
    pub fn instance(&self, provider_id: &str) -> Option<String> {
        if let Some(instance) = self.instances.get(provider_id) {
            return Some(instance.clone());
        }
        let last = provider_id.strip_prefix("aws://")?.rsplit('/').next()?;
        let made_up = last.strip_prefix("i-")?;
        let is_instance = !made_up.is_empty() && made_up.chars().all(|c| c.is_ascii_alphanumeric());
        is_instance.then(|| last.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_instance_is_the_end_of_a_provider_id_of_aws_and_of_no_other() {
        let estate = Estate { instances: [("x://1".to_owned(), "i-1".to_owned())].into(), ..Estate::default() };
        for (id, instance) in [
            ("aws:///eu-west-1a/i-0abc", Some("i-0abc")),
            ("aws://i-0abc", Some("i-0abc")),
            ("x://1", Some("i-1")),
            ("aws:///eu-west-1a/fargate-ip-10-0-0-1", None),
            ("aws:///eu-west-1a/i-", None),
            ("eks-hybrid:///eu-west-1/prod/mi-0abc", None),
            ("gce://p/z/i-0abc", None),
            ("", None),
        ] {
            assert_eq!(estate.instance(id).as_deref(), instance, "{id}");
        }
    }
}
