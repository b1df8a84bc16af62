//! Which subnets a balancer is in: those that are named, or those that are found by role, cluster and route, one a zone. Every one that was
//! looked at has a verdict.

use std::collections::BTreeSet;
use std::net::IpAddr;

use portolan_core::balancer::Scheme;

use crate::estate::{Estate, Subnet};
use crate::ids::{Reference, SubnetId, SubnetRef};
use crate::parameters::Parameters;
use crate::settings::subnets::{Prefix, SourceNat, SubnetChoice, Subnets};
use crate::state::SubnetMapping;
use crate::words::IpAddressType;

/// Free addresses that a subnet needs
/// (<https://docs.aws.amazon.com/elasticloadbalancing/latest/network/network-load-balancers.html#availability-zones>).
const FREE_ADDRESSES: u32 = 8;

/// What is asked of the subnets.
pub(super) struct Wish<'a> {
    pub(super) settings: &'a Subnets,
    pub(super) scheme: Scheme,
    pub(super) ip_address_type: IpAddressType,
    pub(super) parameters: &'a Parameters,
    /// Where the balancer is now: discovery leaves it there.
    pub(super) current: BTreeSet<&'a SubnetId>,
}

/// The subnets with their fixed addresses, sorted; none if the estate is unknown. Otherwise all that is wrong.
pub(super) fn choose(wish: &Wish<'_>, estate: &Estate) -> Result<Option<Vec<SubnetMapping>>, Vec<String>> {
    let Some(subnets) = &estate.subnets else { return Ok(None) };
    let chosen = match &wish.settings.choice {
        SubnetChoice::Named(references) => named(wish, references, subnets)?,
        SubnetChoice::Discovered => discovered(wish, subnets)?,
    };
    let mut mappings = mapped(wish, &chosen)?;
    mappings.sort();
    Ok(Some(mappings))
}

fn named<'a>(wish: &Wish<'_>, references: &[SubnetRef], subnets: &'a [Subnet]) -> Result<Vec<&'a Subnet>, Vec<String>> {
    let mut wrong = Vec::new();
    let mut chosen: Vec<&Subnet> = Vec::new();
    for reference in references {
        let mut found: Vec<&Subnet> = subnets.iter().filter(|subnet| is_named(subnet, reference)).collect();
        found.sort_by(|a, b| a.id.cmp(&b.id));
        if found.is_empty() {
            wrong.push(format!("subnet {reference} is not in the VPC"));
        }
        for subnet in found {
            match (lacks_ipv6(wish, subnet), chosen.iter().find(|other| other.zone == subnet.zone)) {
                (Some(why), _) => wrong.push(told(subnet, &why)),
                (None, Some(other)) => {
                    wrong.push(told(
                        subnet,
                        &format!("{} is in the same zone, and a balancer has one a zone", other.id),
                    ));
                }
                (None, None) => chosen.push(subnet),
            }
        }
    }
    if wrong.is_empty() { Ok(chosen) } else { Err(wrong) }
}

fn is_named(subnet: &Subnet, reference: &SubnetRef) -> bool {
    match reference {
        Reference::Id(id) => &subnet.id == id,
        Reference::Name(name) => subnet.tags.get("Name") == Some(name),
    }
}

/// By role; and only if no subnet has one, by route, as the AWS Load Balancer Controller does.
fn discovered<'a>(wish: &Wish<'_>, subnets: &'a [Subnet]) -> Result<Vec<&'a Subnet>, Vec<String>> {
    let has_role = |subnet: &Subnet| matches!(subnet.tags.get(role(wish.scheme)).map(String::as_str), Some("" | "1"));
    let by_role = subnets.iter().any(has_role);
    let mut verdicts = Vec::new();
    let mut fit: Vec<&Subnet> = Vec::new();
    for subnet in subnets {
        let is_for_scheme = if by_role { has_role(subnet) } else { has_route(wish.scheme, subnet) };
        let why = if !is_for_scheme {
            Some(if by_role { format!("lacks the tag {}", role(wish.scheme)) } else { route(wish.scheme) })
        } else {
            unfit(wish, subnet)
        };
        match why {
            Some(why) => verdicts.push(told(subnet, &why)),
            None => fit.push(subnet),
        }
    }
    fit.sort_by_key(|subnet| (!wish.current.contains(&subnet.id), !is_of_cluster(wish, subnet), subnet.id.clone()));
    let mut zones = BTreeSet::new();
    fit.retain(|subnet| zones.insert(&subnet.zone));
    if fit.is_empty() {
        let all = if verdicts.is_empty() { "the VPC has none".to_owned() } else { verdicts.join("; ") };
        return Err(vec![format!("no subnet is fit for the balancer: {all}")]);
    }
    Ok(fit)
}

/// The tags by which subnets are found (<https://docs.aws.amazon.com/eks/latest/userguide/network-load-balancing.html>).
fn role(scheme: Scheme) -> &'static str {
    match scheme {
        Scheme::Public => "kubernetes.io/role/elb",
        Scheme::Internal => "kubernetes.io/role/internal-elb",
    }
}

fn has_route(scheme: Scheme, subnet: &Subnet) -> bool {
    match scheme {
        Scheme::Public => subnet.public == Some(true),
        Scheme::Internal => subnet.public == Some(false),
    }
}

fn route(scheme: Scheme) -> String {
    match scheme {
        Scheme::Public => "has no route to an internet gateway".to_owned(),
        Scheme::Internal => "has a route to an internet gateway, or its routes are not known".to_owned(),
    }
}

/// Why a subnet that has the role or the route is not taken all the same.
fn unfit(wish: &Wish<'_>, subnet: &Subnet) -> Option<String> {
    let is_of_any = subnet.tags.keys().any(|key| key.starts_with(CLUSTER));
    if is_of_any && !is_of_cluster(wish, subnet) {
        return Some(format!("is tagged for another cluster and not for {}", wish.parameters.cluster_name));
    }
    let by_name = subnet.tags.get("Name").cloned().map(Reference::Name);
    let limits = &wish.parameters.limits.subnets;
    if !limits.allows(&Reference::Id(subnet.id.clone())) && !by_name.is_some_and(|name| limits.allows(&name)) {
        return Some("is outside of the class's limits".to_owned());
    }
    // The balancer that is there has its addresses already.
    if subnet.free_addresses < FREE_ADDRESSES && !wish.current.contains(&subnet.id) {
        return Some(format!("has fewer than {FREE_ADDRESSES} free addresses"));
    }
    lacks_ipv6(wish, subnet)
}

const CLUSTER: &str = "kubernetes.io/cluster/";

fn is_of_cluster(wish: &Wish<'_>, subnet: &Subnet) -> bool {
    subnet.tags.contains_key(&format!("{CLUSTER}{}", wish.parameters.cluster_name))
}

fn lacks_ipv6(wish: &Wish<'_>, subnet: &Subnet) -> Option<String> {
    let lacks = wish.ip_address_type == IpAddressType::Dualstack && subnet.ipv6.is_none();
    lacks.then(|| "has no IPv6, and the balancer is dualstack".to_owned())
}

fn told(subnet: &Subnet, why: &str) -> String {
    format!("{} ({}) {why}", subnet.id, subnet.zone)
}

/// Elastic addresses and prefixes stand in the order of the subnets; private and IPv6 addresses belong where they fit.
fn mapped(wish: &Wish<'_>, chosen: &[&Subnet]) -> Result<Vec<SubnetMapping>, Vec<String>> {
    let Subnets { choice: _, allocations, private_ipv4, ipv6, source_nat } = wish.settings;
    let mut wrong = Vec::new();
    for (what, fixed) in [("elastic", allocations.len()), ("private", private_ipv4.len()), ("IPv6", ipv6.len())] {
        if fixed > 0 && fixed != chosen.len() {
            wrong.push(format!("{fixed} {what} addresses for {} subnets; each subnet needs one", chosen.len()));
        }
    }
    let mut mappings = Vec::new();
    for (index, subnet) in chosen.iter().enumerate() {
        let within = |address: &IpAddr| match address {
            IpAddr::V4(address) => subnet.ipv4.is_some_and(|network| network.contains(address)),
            IpAddr::V6(address) => subnet.ipv6.is_some_and(|network| network.contains(address)),
        };
        let own_v4 = private_ipv4.iter().copied().find(|address| within(&IpAddr::V4(*address)));
        let own_v6 = ipv6.iter().copied().find(|address| within(&IpAddr::V6(*address)));
        if own_v4.is_none() && !private_ipv4.is_empty() {
            wrong.push(told(subnet, "contains none of the private addresses"));
        }
        if own_v6.is_none() && !ipv6.is_empty() {
            wrong.push(told(subnet, "contains none of the IPv6 addresses"));
        }
        let source_nat = match source_nat {
            SourceNat::Off => None,
            SourceNat::On(prefixes) => Some(prefixes.get(index).copied().unwrap_or(Prefix::Assigned)),
        };
        mappings.push(SubnetMapping {
            subnet: subnet.id.clone(),
            allocation: allocations.get(index).cloned(),
            private_ipv4: own_v4,
            ipv6: own_v6,
            source_nat,
        });
    }
    if wrong.is_empty() { Ok(mappings) } else { Err(wrong) }
}

#[cfg(test)]
mod tests;
