//! Where a balancer is, and with which addresses.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::Ipv6Net;
use portolan_core::balancer::Scheme;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::annotations::Key;
use crate::annotations::reader::Reader;
use crate::ids::{AllocationId, Id, SubnetRef};
use crate::settings::Input;
use crate::words::{IpAddressType, Switch};

/// Where a balancer is, and with which addresses.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Subnets {
    /// Which.
    pub choice: SubnetChoice,
    /// Fixed public IPv4 addresses, one a subnet and in their order; none: AWS's own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allocations: Vec<AllocationId>,
    /// Fixed private IPv4 addresses, each in the subnet that contains it; none: AWS's own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub private_ipv4: Vec<Ipv4Addr>,
    /// Fixed IPv6 addresses, each in the subnet that contains it; none: AWS's own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ipv6: Vec<Ipv6Addr>,
    /// Translation of the source of IPv6 traffic.
    pub source_nat: SourceNat,
}

/// Which subnets.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum SubnetChoice {
    /// These, in this order.
    Named(Vec<SubnetRef>),
    /// Those that carry the role and the cluster's tag.
    Discovered,
}

/// Translation of the source of IPv6 traffic.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum SourceNat {
    /// None.
    Off,
    /// To prefixes that AWS picks, or to these, one a subnet and in their order.
    On(Vec<Prefix>),
}

/// The prefix that sources are translated to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Prefix {
    /// One that AWS picks.
    Assigned,
    /// This one, of length 80.
    Fixed(Ipv6Net),
}

impl Serialize for Prefix {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Assigned => serializer.serialize_str(AUTO_ASSIGNED),
            Self::Fixed(prefix) => serializer.collect_str(prefix),
        }
    }
}

impl<'de> Deserialize<'de> for Prefix {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        prefix(&text).map_err(|why| D::Error::custom(format!("{text:?} {why}")))
    }
}

const AUTO_ASSIGNED: &str = "auto_assigned";

pub(super) fn read(
    input: &Input<'_>,
    scheme: Scheme,
    ip_address_type: IpAddressType,
    reader: &mut Reader<'_>,
) -> Subnets {
    let choice = choice(input, reader);
    let allocations = reader.parsed(Key::EipAllocations, id::<AllocationId>).unwrap_or_default();
    let private_ipv4 = reader.parsed(Key::PrivateIpv4Addresses, ipv4).unwrap_or_default();
    let ipv6 = reader.parsed(Key::Ipv6Addresses, ipv6).unwrap_or_default();
    for key in [Key::EipAllocations, Key::PrivateIpv4Addresses, Key::Ipv6Addresses] {
        fixed(key, input, &choice, reader);
    }
    only_where(Key::EipAllocations, scheme == Scheme::Public, "internet-facing", reader);
    only_where(Key::PrivateIpv4Addresses, scheme == Scheme::Internal, "internal", reader);
    only_where(Key::Ipv6Addresses, ip_address_type == IpAddressType::Dualstack, "dualstack", reader);
    let source_nat = source_nat(input, &choice, ip_address_type, reader);
    Subnets { choice, allocations, private_ipv4, ipv6, source_nat }
}

/// The annotation, else the class's. One that a Service names is in the limits under the same word, because only AWS knows which name
/// belongs to which identifier.
fn choice(input: &Input<'_>, reader: &mut Reader<'_>) -> SubnetChoice {
    let limits = &input.parameters.limits.subnets;
    let asked = reader.parsed(Key::Subnets, SubnetRef::parse);
    for subnet in asked.iter().flatten().filter(|subnet| !limits.allows(subnet)) {
        let told = limits.told(SubnetRef::to_string);
        reader.refuse(Key::Subnets, format!("{subnet} is outside of the class's limits; it allows {told}"));
    }
    let class = Some(input.parameters.defaults.subnets.clone()).filter(|subnets| !subnets.is_empty());
    asked.or(class).map_or(SubnetChoice::Discovered, SubnetChoice::Named)
}

/// Addresses that somebody fixes, one a subnet. Where subnets are discovered, only AWS knows how many there are.
fn fixed(key: Key, input: &Input<'_>, choice: &SubnetChoice, reader: &mut Reader<'_>) {
    let Some(items) = reader.list(key) else { return };
    if !input.parameters.limits.static_addresses {
        reader.refuse(key, "the class fixes no addresses; remove it");
    }
    as_many(key, items.len(), choice, reader);
}

fn as_many(key: Key, items: usize, choice: &SubnetChoice, reader: &mut Reader<'_>) {
    match choice {
        SubnetChoice::Named(subnets) if subnets.len() != items => {
            reader.refuse(key, format!("lists {items} for {} subnets; each subnet needs one", subnets.len()));
        }
        SubnetChoice::Named(_) | SubnetChoice::Discovered => {}
    }
}

fn only_where(key: Key, is: bool, what: &str, reader: &mut Reader<'_>) {
    if !is && reader.list(key).is_some() {
        reader.refuse(key, format!("only a balancer that is {what} has such addresses"));
    }
}

fn source_nat(
    input: &Input<'_>,
    choice: &SubnetChoice,
    ip_address_type: IpAddressType,
    reader: &mut Reader<'_>,
) -> SourceNat {
    let on = reader.word(Key::SourceNat).and_then(Switch::parse) == Some(Switch::On);
    let prefixes = reader.parsed_all(Key::SourceNatPrefixes, prefix).unwrap_or_default();
    if on && ip_address_type != IpAddressType::Dualstack {
        reader.refuse(Key::SourceNat, "only a balancer that is dualstack has IPv6 traffic");
    }
    let Some(items) = reader.list(Key::SourceNatPrefixes) else {
        return if on { SourceNat::On(prefixes) } else { SourceNat::Off };
    };
    if !on {
        reader.refuse(Key::SourceNatPrefixes, format!("{} is not on", Key::SourceNat.name()));
        return SourceNat::Off;
    }
    if prefixes.iter().any(|prefix| matches!(prefix, Prefix::Fixed(_))) && !input.parameters.limits.static_addresses {
        reader.refuse(Key::SourceNatPrefixes, "the class fixes no addresses; write auto_assigned, or remove it");
    }
    as_many(Key::SourceNatPrefixes, items.len(), choice, reader);
    SourceNat::On(prefixes)
}

fn id<I: Id>(text: &str) -> Result<I, String> {
    I::parse(text).ok_or_else(|| format!("is no identifier {}...", I::PREFIX))
}

fn ipv4(text: &str) -> Result<Ipv4Addr, String> {
    text.parse().map_err(|_| "is no IPv4 address".to_owned())
}

fn ipv6(text: &str) -> Result<Ipv6Addr, String> {
    text.parse().map_err(|_| "is no IPv6 address".to_owned())
}

fn prefix(text: &str) -> Result<Prefix, String> {
    if text == AUTO_ASSIGNED {
        return Ok(Prefix::Assigned);
    }
    match text.parse::<Ipv6Net>() {
        Ok(prefix) if prefix.prefix_len() == 80 && prefix == prefix.trunc() => Ok(Prefix::Fixed(prefix)),
        Ok(prefix) if prefix.prefix_len() == 80 => Err(format!("names a host; the prefix is {}", prefix.trunc())),
        Ok(_) | Err(_) => Err(format!("is neither {AUTO_ASSIGNED} nor an IPv6 prefix of length 80")),
    }
}
