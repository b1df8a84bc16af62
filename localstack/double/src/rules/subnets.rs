//! Subnets of a balancer and the addresses in them: API reference, CreateLoadBalancer, SetSubnets, SubnetMapping.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::estate::Mapping;
use crate::query::Query;
use crate::refusal::Refusal;
use crate::rules::invalid;

/// What EC2 knows of a subnet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Subnet {
    pub(crate) id: String,
    pub(crate) vpc: String,
    pub(crate) zone: String,
    pub(crate) ranges: Vec<IpNet>,
    pub(crate) free: u32,
}

/// How the balancer is reached; it decides which addresses may be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reach {
    pub(crate) internal: bool,
    pub(crate) dual_stack: bool,
    pub(crate) source_nat_prefix: bool,
}

/// The ids of the subnets that a request names. "You must specify either subnets or subnet mappings, but not both."
pub(crate) fn ids(query: &Query) -> Result<Vec<String>, Refusal> {
    let plain = query.list("Subnets").into_iter().map(str::to_owned).collect::<Vec<_>>();
    let mapped = query.structures("SubnetMappings");
    match (plain.is_empty(), mapped.is_empty()) {
        (false, false) => Err(Refusal::validation("Subnets and SubnetMappings cannot be specified together")),
        (true, true) => Err(Refusal::validation("At least one subnet must be specified")),
        (false, true) => Ok(plain),
        (true, false) => mapped.iter().map(|mapping| mapping.need("SubnetId").map(str::to_owned)).collect(),
    }
}

/// The mappings that a request asks for, in the order asked.
///
/// One subnet per zone; all of one VPC; at least eight free addresses in each; IPv6 ranges in all for dual stack; elastic addresses only on
/// internet-facing balancers, private ones only on internal, each in its subnet; IPv6 addresses only with dual stack.
pub(crate) fn mappings(query: &Query, subnets: &[Subnet], reach: Reach) -> Result<Vec<Mapping>, Refusal> {
    let asked = query.structures("SubnetMappings");
    let mut mappings = Vec::new();
    for (index, id) in ids(query)?.into_iter().enumerate() {
        let subnet = subnets.iter().find(|subnet| subnet.id == id);
        let subnet =
            subnet.ok_or_else(|| Refusal::new("SubnetNotFound", format!("The subnet ID '{id}' does not exist")))?;
        let of = |name| asked.get(index).and_then(|mapping| mapping.get(name)).map(str::to_owned);
        let mapping = Mapping {
            subnet: id,
            zone: subnet.zone.clone(),
            allocation: of("AllocationId"),
            private_ipv4: of("PrivateIPv4Address"),
            ipv6: of("IPv6Address"),
            source_nat_prefix: of("SourceNatIpv6Prefix"),
        };
        legal(&mapping, subnet, reach)?;
        mappings.push(mapping);
    }
    let zones: BTreeSet<&str> = mappings.iter().map(|mapping| mapping.zone.as_str()).collect();
    if zones.len() < mappings.len() {
        return Err(invalid("A load balancer cannot be attached to multiple subnets in the same Availability Zone"));
    }
    let vpcs: BTreeSet<&str> = subnets
        .iter()
        .filter(|subnet| mappings.iter().any(|mapping| mapping.subnet == subnet.id))
        .map(|subnet| subnet.vpc.as_str())
        .collect();
    if vpcs.len() > 1 {
        return Err(invalid("All subnets must belong to the same VPC"));
    }
    Ok(mappings)
}

/// Are the addresses that are asked for free? `existing`: what the other balancers have. API reference, CreateLoadBalancer: `ResourceInUse`.
pub(crate) fn addresses_are_free<'a>(
    asked: &[Mapping],
    existing: impl Iterator<Item = &'a Mapping>,
) -> Result<(), Refusal> {
    let of = |mapping: &Mapping| -> BTreeSet<String> {
        [&mapping.allocation, &mapping.private_ipv4, &mapping.ipv6].into_iter().flatten().cloned().collect()
    };
    let taken: BTreeSet<String> = existing.flat_map(of).collect();
    match asked.iter().flat_map(of).find(|address| taken.contains(address)) {
        Some(address) => Err(Refusal::new("ResourceInUse", format!("'{address}' is in use by another load balancer"))),
        None => Ok(()),
    }
}

fn legal(mapping: &Mapping, subnet: &Subnet, reach: Reach) -> Result<(), Refusal> {
    if subnet.free < 8 {
        return Err(Refusal::new("InvalidSubnet", format!("Not enough IP space available in {}", subnet.id)));
    }
    if reach.dual_stack && !subnet.ranges.iter().any(|range| matches!(range, IpNet::V6(_))) {
        return Err(Refusal::new(
            "InvalidSubnet",
            format!("The subnet {} has no associated IPv6 CIDR block", subnet.id),
        ));
    }
    if mapping.allocation.is_some() && reach.internal {
        return Err(invalid("An internal load balancer cannot have elastic IP addresses"));
    }
    if mapping.private_ipv4.is_some() && !reach.internal {
        return Err(invalid("Only an internal load balancer can have private IPv4 addresses of your choice"));
    }
    if mapping.ipv6.is_some() && !reach.dual_stack {
        return Err(invalid("IPv6 addresses need the dualstack IP address type"));
    }
    if mapping.source_nat_prefix.is_some() && !reach.source_nat_prefix {
        return Err(invalid("A source NAT prefix needs EnablePrefixForIpv6SourceNat 'on'"));
    }
    for address in mapping.private_ipv4.iter().chain(&mapping.ipv6) {
        let inside =
            address.parse().is_ok_and(|address: IpAddr| subnet.ranges.iter().any(|range| range.contains(&address)));
        if !inside {
            return Err(invalid(format!("The address '{address}' is not in the subnet {}", subnet.id)));
        }
    }
    let is_prefix = |text: &str| {
        text == "auto_assigned"
            || text.parse::<IpNet>().is_ok_and(|prefix| {
                prefix.prefix_len() == 80 && subnet.ranges.iter().any(|range| range.contains(&prefix))
            })
    };
    match mapping.source_nat_prefix.as_deref() {
        Some(prefix) if !is_prefix(prefix) => {
            Err(invalid(format!("'{prefix}' is neither auto_assigned nor a /80 of {}", subnet.id)))
        }
        Some(_) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PUBLIC: Reach = Reach { internal: false, dual_stack: false, source_nat_prefix: false };
    const INTERNAL: Reach = Reach { internal: true, ..PUBLIC };
    const DUAL: Reach = Reach { dual_stack: true, ..PUBLIC };

    fn subnets() -> Vec<Subnet> {
        let subnet = |id: &str, vpc: &str, zone: &str, ranges: &[&str]| Subnet {
            id: id.to_owned(),
            vpc: vpc.to_owned(),
            zone: zone.to_owned(),
            ranges: ranges.iter().map(|range| range.parse().unwrap()).collect(),
            free: 100,
        };
        vec![
            subnet("a", "vpc", "1a", &["10.0.0.0/24", "2001:db8::/64"]),
            subnet("b", "vpc", "1b", &["10.0.1.0/24"]),
            subnet("a2", "vpc", "1a", &["10.0.2.0/24"]),
            subnet("other", "vpc2", "1c", &["10.9.0.0/24"]),
            Subnet { free: 7, ..subnet("full", "vpc", "1d", &["10.0.3.0/28"]) },
        ]
    }

    fn plain(ids: &[&str], reach: Reach) -> Result<usize, String> {
        let query = Query::of(ids.iter().enumerate().map(|(index, id)| (format!("Subnets.member.{}", index + 1), *id)));
        mappings(&query, &subnets(), reach).map(|mappings| mappings.len()).map_err(|refusal| refusal.code)
    }

    fn mapped(name: &str, value: &str, reach: Reach) -> bool {
        let query = Query::of([
            ("SubnetMappings.member.1.SubnetId".to_owned(), "a"),
            (format!("SubnetMappings.member.1.{name}"), value),
        ]);
        mappings(&query, &subnets(), reach).is_ok()
    }

    #[test]
    fn one_subnet_per_zone_all_of_one_vpc() {
        assert_eq!(plain(&["a", "b"], PUBLIC), Ok(2));
        assert_eq!(plain(&["a"], PUBLIC), Ok(1));
        assert_eq!(plain(&["a", "a2"], PUBLIC), Err("InvalidConfigurationRequest".to_owned()));
        assert_eq!(plain(&["a", "other"], PUBLIC), Err("InvalidConfigurationRequest".to_owned()));
        assert_eq!(plain(&["a", "gone"], PUBLIC), Err("SubnetNotFound".to_owned()));
        assert_eq!(plain(&["full"], PUBLIC), Err("InvalidSubnet".to_owned()));
        assert_eq!(plain(&[], PUBLIC), Err("ValidationError".to_owned()));
    }

    #[test]
    fn dual_stack_needs_ipv6_in_every_subnet() {
        assert_eq!((plain(&["a"], DUAL), plain(&["a", "b"], DUAL)), (Ok(1), Err("InvalidSubnet".to_owned())));
    }

    #[test]
    fn addresses_fit_the_scheme_and_the_subnet() {
        assert!(mapped("AllocationId", "eipalloc-1", PUBLIC) && !mapped("AllocationId", "eipalloc-1", INTERNAL));
        assert!(
            mapped("PrivateIPv4Address", "10.0.0.9", INTERNAL) && !mapped("PrivateIPv4Address", "10.0.0.9", PUBLIC)
        );
        assert!(!mapped("PrivateIPv4Address", "10.0.1.9", INTERNAL));
        assert!(mapped("IPv6Address", "2001:db8::9", DUAL) && !mapped("IPv6Address", "2001:db8::9", PUBLIC));
        let with_prefix = Reach { source_nat_prefix: true, ..DUAL };
        assert!(
            mapped("SourceNatIpv6Prefix", "2001:db8:0:0:1::/80", with_prefix)
                && mapped("SourceNatIpv6Prefix", "auto_assigned", with_prefix)
        );
        assert!(
            !mapped("SourceNatIpv6Prefix", "2001:db8::/64", with_prefix)
                && !mapped("SourceNatIpv6Prefix", "auto_assigned", DUAL)
        );
    }

    #[test]
    fn subnets_and_mappings_exclude_each_other() {
        let both = Query::of([("Subnets.member.1", "a"), ("SubnetMappings.member.1.SubnetId", "b")]);
        assert_eq!(ids(&both).unwrap_err().code, "ValidationError");
    }
}
