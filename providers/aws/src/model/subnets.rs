//! Which subnets a balancer is in: those that are named, or those that are found by role, cluster and route, one a zone. Every one that was
//! looked at has a verdict.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

use portolan_core::balancer::Scheme;
use serde::Serialize;

use crate::estate::{Estate, Subnet};
use crate::ids::{Reference, SubnetId, SubnetRef};
use crate::parameters::Parameters;
use crate::settings::subnets::{Prefix, SourceNat, SubnetChoice, Subnets};
use crate::state::SubnetMapping;
use crate::words::IpAddressType;

/// Free addresses that a subnet needs, where AWS picks the balancer's
/// (<https://docs.aws.amazon.com/elasticloadbalancing/latest/network/availability-zones.html>).
const FREE_ADDRESSES: u32 = 8;

/// What is asked of the subnets.
#[derive(Clone, Debug)]
pub struct Wish<'a> {
    /// What the annotations come to.
    pub settings: &'a Subnets,
    /// Who is to reach the balancer.
    pub scheme: Scheme,
    /// The families of its addresses.
    pub ip_address_type: IpAddressType,
    /// The class's parameters.
    pub parameters: &'a Parameters,
    /// Where the balancer is now: discovery leaves it there.
    pub current: BTreeSet<&'a SubnetId>,
}

/// What became of one subnet, and what the verdict rests on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Verdict {
    /// Which.
    pub subnet: SubnetId,
    /// Its zone.
    pub zone: String,
    /// The tags that count: its name, roles and clusters.
    pub tags: BTreeMap<String, String>,
    /// Free IPv4 addresses.
    pub free_addresses: u32,
    /// Its default route goes to an internet gateway; none if nobody asked for routes.
    pub public: Option<bool>,
    /// It has IPv6.
    pub ipv6: bool,
    /// Why it is not taken; none: it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

impl Verdict {
    fn of(subnet: &Subnet, refused: Option<String>) -> Self {
        let counts = |key: &str| key == NAME || key.starts_with(ROLE) || key.starts_with(CLUSTER);
        let tags = subnet.tags.iter().filter(|(key, _)| counts(key));
        Self {
            subnet: subnet.id.clone(),
            zone: subnet.zone.clone(),
            tags: tags.map(|(key, value)| (key.clone(), value.clone())).collect(),
            free_addresses: subnet.free_addresses,
            public: subnet.public,
            ipv6: subnet.ipv6.is_some(),
            refused,
        }
    }
}

/// The same text as long as nothing changes that matters: free addresses beyond what is needed do not.
impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}, ", self.subnet, self.zone)?;
        match self.free_addresses {
            enough if enough >= FREE_ADDRESSES => write!(f, "{FREE_ADDRESSES} or more free addresses, ")?,
            few => write!(f, "{few} free addresses, ")?,
        }
        f.write_str(match self.public {
            Some(true) => "public, ",
            Some(false) => "private, ",
            None => "routes not asked for, ",
        })?;
        f.write_str(if self.ipv6 { "IPv6" } else { "no IPv6" })?;
        for (key, value) in &self.tags {
            write!(f, ", {key}={value}")?;
        }
        match &self.refused {
            Some(why) => write!(f, ") {why}"),
            None => f.write_str(") is fit"),
        }
    }
}

impl Verdict {
    /// For a condition that stays: only what has decided, and no count. Free addresses come and go with every pod, and are counted only where
    /// a subnet is refused for them; of a balancer that is there they decide nothing.
    pub fn decided(&self) -> String {
        let mut facts = vec![self.zone.clone()];
        facts.extend(self.public.map(|public| if public { "public" } else { "private" }.to_owned()));
        facts.push(if self.ipv6 { "IPv6" } else { "no IPv6" }.to_owned());
        facts.extend(self.tags.iter().map(|(key, value)| format!("{key}={value}")));
        let why = self.refused.as_deref().unwrap_or("is taken");
        format!("{} ({}) {why}", self.subnet, facts.join(", "))
    }
}

/// What becomes of each subnet that was looked at, by id: where some are named, those; else all of the VPC. Whether a subnet is public stands
/// there only if that has decided. None if the estate is unknown.
pub fn verdicts(wish: &Wish<'_>, estate: &Estate) -> Option<Vec<Verdict>> {
    let subnets = estate.subnets.as_deref()?;
    let (mut verdicts, by_route) = match &wish.settings.choice {
        SubnetChoice::Named(references) => (told_of_named(&judged(wish, subnets), references, subnets), false),
        SubnetChoice::Discovered => (told_all(&judged(wish, subnets), subnets), !is_by_role(wish, subnets)),
    };
    verdicts.iter_mut().for_each(|verdict| verdict.public = verdict.public.filter(|_| by_route));
    Some(verdicts)
}

/// The subnets with their fixed addresses, sorted; none if the estate is unknown. Otherwise all that is wrong.
pub(super) fn choose(wish: &Wish<'_>, estate: &Estate) -> Result<Option<Vec<SubnetMapping>>, Vec<String>> {
    let Some(subnets) = &estate.subnets else { return Ok(None) };
    let judgement = judged(wish, subnets);
    objections(wish, &judgement, subnets)?;
    let mut mappings = mapped(wish, &judgement.chosen)?;
    mappings.sort();
    Ok(Some(mappings))
}

/// Who is taken, and why the others are not.
struct Judgement<'a> {
    /// In the order in which fixed addresses belong to them.
    chosen: Vec<&'a Subnet>,
    refused: BTreeMap<&'a SubnetId, String>,
    /// Named and not there.
    missing: Vec<String>,
}

fn judged<'a>(wish: &Wish<'_>, subnets: &'a [Subnet]) -> Judgement<'a> {
    match &wish.settings.choice {
        SubnetChoice::Named(references) => named(wish, references, subnets),
        SubnetChoice::Discovered => discovered(wish, subnets),
    }
}

fn objections(wish: &Wish<'_>, judgement: &Judgement<'_>, subnets: &[Subnet]) -> Result<(), Vec<String>> {
    let said = |verdicts: Vec<Verdict>| verdicts.iter().map(Verdict::to_string).collect::<Vec<_>>().join("; ");
    match &wish.settings.choice {
        SubnetChoice::Named(references) => {
            let mut wrong = judgement.missing.clone();
            let verdicts = told_of_named(judgement, references, subnets);
            if verdicts.iter().any(|verdict| verdict.refused.is_some()) {
                wrong.push(format!("the balancer cannot be in the subnets that are named: {}", said(verdicts)));
            }
            if wrong.is_empty() { Ok(()) } else { Err(wrong) }
        }
        SubnetChoice::Discovered if judgement.chosen.is_empty() => {
            let verdicts = told_all(judgement, subnets);
            let all = if verdicts.is_empty() { "the VPC has none".to_owned() } else { said(verdicts) };
            Err(vec![format!("no subnet is fit for the balancer: {all}")])
        }
        SubnetChoice::Discovered => Ok(()),
    }
}

/// By id, so that the same subnets in another order say the same.
fn told_all(judgement: &Judgement<'_>, subnets: &[Subnet]) -> Vec<Verdict> {
    let mut verdicts: Vec<Verdict> =
        subnets.iter().map(|subnet| Verdict::of(subnet, judgement.refused.get(&subnet.id).cloned())).collect();
    verdicts.sort_by(|a, b| a.subnet.cmp(&b.subnet));
    verdicts
}

fn told_of_named(judgement: &Judgement<'_>, references: &[SubnetRef], subnets: &[Subnet]) -> Vec<Verdict> {
    let is_one = |verdict: &Verdict| {
        let subnet = subnets.iter().find(|subnet| subnet.id == verdict.subnet);
        subnet.is_some_and(|subnet| references.iter().any(|reference| is_named(subnet, reference)))
    };
    told_all(judgement, subnets).into_iter().filter(is_one).collect()
}

fn named<'a>(wish: &Wish<'_>, references: &[SubnetRef], subnets: &'a [Subnet]) -> Judgement<'a> {
    let mut chosen: Vec<&Subnet> = Vec::new();
    let mut refused = BTreeMap::new();
    let mut missing = Vec::new();
    for reference in references {
        let mut found: Vec<&Subnet> = subnets.iter().filter(|subnet| is_named(subnet, reference)).collect();
        found.sort_by(|a, b| a.id.cmp(&b.id));
        if found.is_empty() {
            missing.push(format!("subnet {reference} is not in the VPC"));
        }
        for subnet in found {
            if chosen.iter().any(|other| other.id == subnet.id) {
                continue;
            }
            let elsewhere = chosen.first().and_then(|first| of_another_kind(subnet, first));
            let neighbour = chosen.iter().find(|other| other.zone == subnet.zone).map(|other| in_the_way(other));
            match lacks_ipv6(wish, subnet).or(elsewhere).or(neighbour) {
                Some(why) => drop(refused.insert(&subnet.id, why)),
                None => chosen.push(subnet),
            }
        }
    }
    for subnet in subnets.iter().filter(|subnet| !references.iter().any(|reference| is_named(subnet, reference))) {
        refused.insert(&subnet.id, "is not among those that are named".to_owned());
    }
    Judgement { chosen, refused, missing }
}

fn is_named(subnet: &Subnet, reference: &SubnetRef) -> bool {
    match reference {
        Reference::Id(id) => &subnet.id == id,
        Reference::Name(name) => subnet.tags.get(NAME) == Some(name),
    }
}

/// By role; and only if no subnet has one, by route, as the AWS Load Balancer Controller does.
fn discovered<'a>(wish: &Wish<'_>, subnets: &'a [Subnet]) -> Judgement<'a> {
    let by_role = is_by_role(wish, subnets);
    let mut refused = BTreeMap::new();
    let mut fit: Vec<&Subnet> = Vec::new();
    for subnet in subnets {
        let is_for_scheme = if by_role { has_role(wish.scheme, subnet) } else { has_route(wish.scheme, subnet) };
        let why = if !is_for_scheme {
            Some(if by_role { format!("lacks the tag {}", role(wish.scheme)) } else { route(wish.scheme) })
        } else {
            unfit(wish, subnet)
        };
        match why {
            Some(why) => drop(refused.insert(&subnet.id, why)),
            None => fit.push(subnet),
        }
    }
    fit.sort_by_key(|subnet| {
        let is_elsewhere = !wish.current.contains(&subnet.id);
        (is_elsewhere, subnet.locale(), !is_of_cluster(wish, subnet), subnet.id.clone())
    });
    let mut chosen: Vec<&Subnet> = Vec::new();
    for subnet in fit {
        let elsewhere = chosen.first().and_then(|first| of_another_kind(subnet, first));
        let neighbour = chosen.iter().find(|other| other.zone == subnet.zone).map(|other| in_the_way(other));
        match elsewhere.or(neighbour) {
            Some(why) => drop(refused.insert(&subnet.id, why)),
            None => chosen.push(subnet),
        }
    }
    // Where its zone is served anyway, how many free addresses it has decides nothing.
    for subnet in subnets {
        let other = chosen.iter().find(|other| other.zone == subnet.zone);
        if let (Some(why), Some(other)) = (refused.get_mut(&subnet.id).filter(|why| **why == full()), other) {
            *why = in_the_way(other);
        }
    }
    // Elastic addresses belong to them in this order, as the AWS Load Balancer Controller has it.
    chosen.sort_by(|a, b| a.id.cmp(&b.id));
    Judgement { chosen, refused, missing: Vec::new() }
}

const NAME: &str = "Name";
const ROLE: &str = "kubernetes.io/role/";
const CLUSTER: &str = "kubernetes.io/cluster/";

/// The tags by which subnets are found (<https://docs.aws.amazon.com/eks/latest/userguide/network-load-balancing.html>).
fn role(scheme: Scheme) -> &'static str {
    match scheme {
        Scheme::Public => "kubernetes.io/role/elb",
        Scheme::Internal => "kubernetes.io/role/internal-elb",
    }
}

/// It is tagged for balancers of this scheme.
pub(crate) fn has_role(scheme: Scheme, subnet: &Subnet) -> bool {
    matches!(subnet.tags.get(role(scheme)).map(String::as_str), Some("" | "1"))
}

fn is_by_role(wish: &Wish<'_>, subnets: &[Subnet]) -> bool {
    subnets.iter().any(|subnet| has_role(wish.scheme, subnet))
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
    let by_name = subnet.tags.get(NAME).cloned().map(Reference::Name);
    let limits = &wish.parameters.limits.subnets;
    if !limits.allows(&Reference::Id(subnet.id.clone())) && !by_name.is_some_and(|name| limits.allows(&name)) {
        return Some("is outside of the class's limits".to_owned());
    }
    if let Some(why) = lacks_ipv6(wish, subnet) {
        return Some(why);
    }
    // The balancer that is there has its addresses already, and addresses that somebody has fixed need no other.
    let are_fixed = wish.scheme == Scheme::Internal && !wish.settings.private_ipv4.is_empty();
    if subnet.free_addresses < FREE_ADDRESSES && !are_fixed && !wish.current.contains(&subnet.id) {
        return Some(full());
    }
    None
}

fn full() -> String {
    format!("has fewer than {FREE_ADDRESSES} free addresses")
}

fn is_of_cluster(wish: &Wish<'_>, subnet: &Subnet) -> bool {
    subnet.tags.contains_key(&format!("{CLUSTER}{}", wish.parameters.cluster_name))
}

fn lacks_ipv6(wish: &Wish<'_>, subnet: &Subnet) -> Option<String> {
    let lacks = wish.ip_address_type == IpAddressType::Dualstack && subnet.ipv6.is_none();
    lacks.then(|| "has no IPv6, and the balancer is dualstack".to_owned())
}

fn of_another_kind(subnet: &Subnet, first: &Subnet) -> Option<String> {
    let (own, others) = (subnet.locale(), first.locale());
    let why = || format!("is in {own}, and {} is in {others}; a balancer is in places of one kind", first.id);
    (own != others).then(why)
}

fn in_the_way(other: &Subnet) -> String {
    format!("is in the zone of {}, and a balancer has one a zone", other.id)
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
