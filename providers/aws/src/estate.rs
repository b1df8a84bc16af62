//! What is known of the network and its machines, as data. Without AWS at hand it may be nothing: then what follows from it is unknown, and a
//! plan says so.

pub mod prefix_lists;

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use ipnet::{Ipv4Net, Ipv6Net};
use serde::{Serialize, Serializer};

use crate::ids::{SecurityGroupId, SubnetId, VpcId};
use prefix_lists::PrefixLists;

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
    /// Inbound rules that a security group can have, if the account's quota is not AWS's own of 60
    /// (<https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html#vpc-limits-security-groups>).
    pub rules_per_group: Option<usize>,
    /// As how many of them one counts that names a prefix list, as far as somebody has asked.
    pub prefix_lists: PrefixLists,
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
    /// The ARN of the outpost that it is on.
    pub outpost: Option<String>,
}

/// What kind of place a subnet is in. One balancer is in places of one kind
/// (<https://docs.aws.amazon.com/elasticloadbalancing/latest/network/availability-zones.html>, which knows Availability Zones only; what else
/// AWS takes is for AWS to say).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Locale {
    /// Availability Zones.
    AvailabilityZone,
    /// Local Zones.
    LocalZone,
    /// Wavelength Zones.
    WavelengthZone,
    /// The outpost of this ARN.
    Outpost(String),
}

impl fmt::Display for Locale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AvailabilityZone => f.write_str("an Availability Zone"),
            Self::LocalZone => f.write_str("a Local Zone"),
            Self::WavelengthZone => f.write_str("a Wavelength Zone"),
            Self::Outpost(arn) => write!(f, "the outpost {arn}"),
        }
    }
}

impl Subnet {
    /// The address is one of its own.
    pub fn has(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => self.ipv4.is_some_and(|network| network.contains(&address)),
            IpAddr::V6(address) => self.ipv6.is_some_and(|network| network.contains(&address)),
        }
    }

    /// What kind of place it is in, by its zone's name: an Availability Zone's is the region's and a letter (`us-west-2a`), and what goes on
    /// after the region's number is another kind (`us-west-2-lax-1a`, `us-east-1-wl1-bos-wlz-1`;
    /// <https://docs.aws.amazon.com/local-zones/latest/ug/available-local-zones.html>,
    /// <https://docs.aws.amazon.com/wavelength/latest/developerguide/available-wavelength-zones.html>).
    pub fn locale(&self) -> Locale {
        if let Some(arn) = &self.outpost {
            return Locale::Outpost(arn.clone());
        }
        let is_number = |part: &&str| !part.is_empty() && part.chars().all(|c| c.is_ascii_digit());
        let mut beyond = self.zone.split('-').skip_while(|part| !is_number(part)).skip(1).peekable();
        if beyond.peek().is_none() {
            Locale::AvailabilityZone
        } else if beyond.any(|part| part.starts_with("wl")) {
            Locale::WavelengthZone
        } else {
            Locale::LocalZone
        }
    }
}

/// AWS's own quota of inbound rules, for IPv4 and for IPv6 each.
const RULES_PER_GROUP: usize = 60;

impl Estate {
    /// Inbound rules that a security group can have, for each family.
    pub fn rule_budget(&self) -> usize {
        self.rules_per_group.unwrap_or(RULES_PER_GROUP)
    }

    /// An address in the VPC: in one of its subnets, as far as they are known.
    pub fn is_local(&self, address: IpAddr) -> bool {
        let Some(subnets) = &self.subnets else { return true };
        subnets.iter().any(|subnet| subnet.has(address))
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
    fn the_name_of_a_zone_tells_its_kind() {
        let subnet = |zone: &str| Subnet {
            id: crate::ids::Id::parse("subnet-1").unwrap(),
            zone: zone.to_owned(),
            tags: BTreeMap::new(),
            ipv4: None,
            ipv6: None,
            free_addresses: 0,
            public: None,
            outpost: None,
        };
        for (zone, locale) in [
            ("eu-central-1a", Locale::AvailabilityZone),
            ("us-gov-west-1b", Locale::AvailabilityZone),
            ("us-west-2-lax-1a", Locale::LocalZone),
            ("us-east-1-atl-2a", Locale::LocalZone),
            ("us-east-1-wl1-bos-wlz-1", Locale::WavelengthZone),
        ] {
            assert_eq!(subnet(zone).locale(), locale, "{zone}");
        }
        let arn = "arn:aws:outposts:eu-central-1:123456789012:outpost/op-1".to_owned();
        let racked = Subnet { outpost: Some(arn.clone()), ..subnet("eu-central-1a") };
        assert_eq!(racked.locale(), Locale::Outpost(arn));
    }

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
