//! Balancers.

use std::collections::BTreeSet;

use crate::answer;
use crate::arn;
use crate::estate::{Balancer, Mapping};
use crate::play::{Stage, not_found};
use crate::query::Query;
use crate::refusal::Refusal;
use crate::rules::{self, again, attributes, invalid, names, pages, quotas, subnets, tags};
use crate::script::Fate;
use crate::xml::Element;

pub(crate) async fn create(stage: &mut Stage<'_>, query: &Query) -> Result<Element, Refusal> {
    let asked = asked(stage, query).await?;
    if let Some(existing) = stage.estate.balancers.iter().find(|balancer| balancer.name == asked.name) {
        again::balancer(existing, &asked)?;
        let existing = existing.arn.clone();
        return one(stage, query, &existing).await;
    }
    quotas::balancers(stage.estate, &stage.shared.quotas)?;
    quotas::interfaces(stage.estate, &asked, &stage.shared.quotas)?;
    subnets::addresses_are_free(&asked.mappings, stage.estate.balancers.iter().flat_map(|one| &one.mappings))?;
    let answer = stage.forward(query).await?;
    let made = answer::listed(&answer, query.action(), "LoadBalancers").first();
    let arn = made.and_then(|made| made.text_at(&["LoadBalancerArn"])).unwrap_or_default().to_owned();
    let balancer = Balancer { arn, ..asked };
    let shown = shown(stage, &balancer, answer::listed(&answer, query.action(), "LoadBalancers"));
    stage.estate.balancers.push(balancer);
    Ok(stage.listing(query, "LoadBalancers", shown))
}

/// The balancer that a request asks for, if it is legal.
async fn asked(stage: &Stage<'_>, query: &Query) -> Result<Balancer, Refusal> {
    let name = query.need("Name")?;
    names::balancer(name)?;
    match query.get("Type").unwrap_or("application") {
        "network" => {}
        other => return Err(Refusal::not_played(&format!("load balancers of type '{other}'"))),
    }
    let internal = match query.get("Scheme").unwrap_or("internet-facing") {
        "internal" => true,
        "internet-facing" => false,
        other => return Err(Refusal::new("InvalidScheme", format!("Scheme '{other}' is not valid"))),
    };
    let dual_stack = dual_stack(query.get("IpAddressType").unwrap_or("ipv4"))?;
    let source_nat_prefix = source_nat_prefix(query, dual_stack)?.unwrap_or_default();
    let reach = subnets::Reach { internal, dual_stack, source_nat_prefix };
    let found = stage.network().subnets(&subnets::ids(query)?).await?;
    let mappings = subnets::mappings(query, &found, reach)?;
    let vpc = found.first().map(|subnet| subnet.vpc.clone()).unwrap_or_default();
    if !internal && !stage.network().has_internet_gateway(&vpc).await? {
        return Err(Refusal::new("InvalidSubnet", format!("VPC {vpc} has no internet gateway")));
    }
    let allocations: Vec<String> = mappings.iter().filter_map(|mapping| mapping.allocation.clone()).collect();
    stage.network().allocations(&allocations).await?;
    let security_groups = security_groups(stage, query).await?;
    Ok(Balancer {
        arn: String::new(),
        name: name.to_owned(),
        internal,
        vpc,
        mappings,
        born_with_security_groups: !security_groups.is_empty(),
        security_groups,
        dual_stack,
        source_nat_prefix,
        private_link_rules: "on".to_owned(),
        attributes: attributes::of_new_balancer(internal),
        tags: tags::read(query)?,
        born: stage.now,
    })
}

fn dual_stack(text: &str) -> Result<bool, Refusal> {
    match text {
        "ipv4" => Ok(false),
        "dualstack" => Ok(true),
        other => Err(Refusal::validation(format!(
            "IpAddressType '{other}' must be ipv4 or dualstack for a network load balancer"
        ))),
    }
}

fn source_nat_prefix(query: &Query, dual_stack: bool) -> Result<Option<bool>, Refusal> {
    match query.get("EnablePrefixForIpv6SourceNat") {
        None => Ok(None),
        Some("off") => Ok(Some(false)),
        Some("on") if dual_stack => Ok(Some(true)),
        Some("on") => Err(invalid("EnablePrefixForIpv6SourceNat needs the dualstack IP address type")),
        Some(other) => Err(Refusal::validation(format!("EnablePrefixForIpv6SourceNat '{other}' must be on or off"))),
    }
}

async fn security_groups(stage: &Stage<'_>, query: &Query) -> Result<BTreeSet<String>, Refusal> {
    let ids: Vec<String> = query.list("SecurityGroups").into_iter().map(str::to_owned).collect();
    stage.network().security_groups(&ids).await?;
    Ok(ids.into_iter().collect())
}

pub(crate) async fn describe(stage: &Stage<'_>, query: &Query) -> Result<Element, Refusal> {
    pages::one_of(query, &["LoadBalancerArns", "Names"])?;
    pages::named(query, &["LoadBalancerArns", "Names"])?;
    let visible = || stage.estate.balancers.iter().filter(|balancer| stage.is_visible(balancer.born));
    let (arns, names) = (query.list("LoadBalancerArns"), query.list("Names"));
    // One that is missing fails the whole call: API reference, DescribeLoadBalancers, `LoadBalancerNotFound`.
    let missing = arns.iter().find(|arn| !visible().any(|balancer| balancer.arn == **arn));
    let missing = missing.or_else(|| names.iter().find(|name| !visible().any(|balancer| balancer.name == **name)));
    if let Some(missing) = missing {
        return Err(not_found("LoadBalancer", missing));
    }
    let wanted = visible().filter(|balancer| {
        (arns.is_empty() && names.is_empty())
            || arns.contains(&balancer.arn.as_str())
            || names.contains(&balancer.name.as_str())
    });
    let wanted: Vec<&Balancer> = wanted.collect();
    let theirs = theirs(stage, &wanted).await?;
    let shown = wanted.iter().filter_map(|balancer| shown(stage, balancer, &theirs)).collect();
    stage.paged(query, "LoadBalancers", shown)
}

async fn theirs(stage: &Stage<'_>, wanted: &[&Balancer]) -> Result<Vec<Element>, Refusal> {
    let arns: Vec<&str> = wanted.iter().map(|one| one.arn.as_str()).collect();
    stage.theirs("DescribeLoadBalancers", "LoadBalancers", "LoadBalancerArns", &arns).await
}

async fn one(stage: &Stage<'_>, query: &Query, arn: &str) -> Result<Element, Refusal> {
    let balancer = stage.estate.balancer(arn).ok_or_else(|| not_found("LoadBalancer", arn))?;
    let theirs = theirs(stage, &[balancer]).await?;
    Ok(stage.listing(query, "LoadBalancers", shown(stage, balancer, &theirs)))
}

/// The emulator's description, with what the double knows better.
fn shown(stage: &Stage<'_>, balancer: &Balancer, theirs: &[Element]) -> Option<Element> {
    let mut shown = theirs.iter().find(|one| one.text_at(&["LoadBalancerArn"]) == Some(&balancer.arn))?.clone();
    let provisioned = balancer.born + stage.shared.timings.provisioning <= stage.now;
    let code = match stage.shared.script.fate(&balancer.name) {
        _ if !provisioned => "provisioning",
        Fate::Active => "active",
        Fate::ActiveImpaired => "active_impaired",
        Fate::Failed => "failed",
    };
    shown.set(Element::new("State").with(Element::text("Code", code)));
    shown.set(Element::text("Type", "network"));
    shown.set(Element::text("Scheme", if balancer.internal { "internal" } else { "internet-facing" }));
    // NLB guide, "Network Load Balancers", DNS name: name-id.elb.region.amazonaws.com. Two balancers of one name never share theirs.
    shown.set(Element::text(
        "DNSName",
        format!("{}-{}.elb.{}.amazonaws.com", balancer.name, arn::id(&balancer.arn), stage.region),
    ));
    shown.set(Element::text("IpAddressType", if balancer.dual_stack { "dualstack" } else { "ipv4" }));
    shown.set(Element::text("EnablePrefixForIpv6SourceNat", if balancer.source_nat_prefix { "on" } else { "off" }));
    shown.set(answer::members("AvailabilityZones", balancer.mappings.iter().map(zone)));
    shown.set(
        Element::new("SecurityGroups").with_all(balancer.security_groups.iter().map(|id| Element::text("member", id))),
    );
    if !balancer.security_groups.is_empty() {
        shown.set(Element::text("EnforceSecurityGroupInboundRulesOnPrivateLinkTraffic", &*balancer.private_link_rules));
    }
    Some(shown)
}

fn zone(mapping: &Mapping) -> Element {
    let addresses = [
        ("AllocationId", &mapping.allocation),
        ("PrivateIPv4Address", &mapping.private_ipv4),
        ("IPv6Address", &mapping.ipv6),
    ];
    let address = addresses.iter().filter_map(|(name, value)| Some(Element::text(*name, value.as_deref()?)));
    let address = Element::new("member").with_all(address);
    let addresses = Element::new("LoadBalancerAddresses").with_all((!address.children.is_empty()).then_some(address));
    let prefixes = mapping
        .source_nat_prefix
        .as_ref()
        .map(|prefix| Element::new("SourceNatIpv6Prefixes").with(Element::text("member", prefix)));
    Element::new("member")
        .with(Element::text("ZoneName", &*mapping.zone))
        .with(Element::text("SubnetId", &*mapping.subnet))
        .with(addresses)
        .with_all(prefixes)
}

pub(crate) async fn delete(stage: &mut Stage<'_>, query: &Query) -> Result<Element, Refusal> {
    let arn = query.need("LoadBalancerArn")?;
    // "If the load balancer does not exist or has already been deleted, the call succeeds."
    let Some(balancer) = stage.estate.balancer(arn).cloned() else { return Ok(stage.done(query.action())) };
    if balancer.attributes.get("deletion_protection.enabled").is_some_and(|on| on == "true") {
        let message = format!("Load balancer '{arn}' cannot be deleted because deletion protection is enabled");
        return Err(Refusal::new("OperationNotPermitted", message));
    }
    stage.forward(query).await?;
    stage.estate.balancers.retain(|balancer| balancer.arn != arn);
    stage.estate.listeners.retain(|listener| listener.balancer != arn);
    release(stage, &balancer.security_groups);
    stage.settle();
    Ok(stage.done(query.action()))
}

/// The interfaces of a balancer keep its security groups for a while.
fn release(stage: &mut Stage<'_>, groups: &BTreeSet<String>) {
    let until = stage.now + stage.shared.timings.interface_release;
    stage.estate.held_security_groups.extend(groups.iter().map(|group| (group.clone(), until)));
}

/// The emulators want two zones, as for an application load balancer; so this stays in the double.
pub(crate) async fn set_subnets(stage: &mut Stage<'_>, query: &Query) -> Result<Element, Refusal> {
    let balancer = existing(stage, query)?;
    let dual_stack = query.get("IpAddressType").map_or(Ok(balancer.dual_stack), dual_stack)?;
    let source_nat_prefix = source_nat_prefix(query, dual_stack)?.unwrap_or(balancer.source_nat_prefix && dual_stack);
    let reach = subnets::Reach { internal: balancer.internal, dual_stack, source_nat_prefix };
    let found = stage.network().subnets(&subnets::ids(query)?).await?;
    let mappings = subnets::mappings(query, &found, reach)?;
    if found.iter().any(|subnet| subnet.vpc != balancer.vpc) {
        return Err(invalid("the subnets are not in the VPC of the load balancer"));
    }
    // kubernetes-sigs/aws-load-balancer-controller issues 4171 and 4172: a zone that stays keeps its subnet.
    let swapped = mappings
        .iter()
        .find(|mapping| balancer.mappings.iter().any(|now| now.zone == mapping.zone && now.subnet != mapping.subnet));
    if let Some(swapped) = swapped {
        return Err(invalid(format!(
            "the subnet of the Availability Zone {} cannot be replaced in one step",
            swapped.zone
        )));
    }
    let others = stage.estate.balancers.iter().filter(|one| one.arn != balancer.arn);
    subnets::addresses_are_free(&mappings, others.flat_map(|one| &one.mappings))?;
    let next = Balancer { mappings, dual_stack, source_nat_prefix, ..balancer };
    families(stage, &next)?;
    quotas::interfaces(stage.estate, &next, &stage.shared.quotas)?;
    let zones = answer::members("AvailabilityZones", next.mappings.iter().map(zone));
    let kind = Element::text("IpAddressType", if dual_stack { "dualstack" } else { "ipv4" });
    replace(stage, next);
    Ok(answer::elb(query.action(), [zones, kind], stage.request))
}

pub(crate) async fn set_security_groups(stage: &mut Stage<'_>, query: &Query) -> Result<Element, Refusal> {
    let balancer = existing(stage, query)?;
    let security_groups = security_groups(stage, query).await?;
    // API reference, SetSecurityGroups: not "unless you specified a security group for the load balancer when you created it".
    if !balancer.born_with_security_groups {
        return Err(invalid("security groups cannot be set on a network load balancer that was created without"));
    }
    if security_groups.is_empty() {
        return Err(invalid("a network load balancer that was created with security groups must keep at least one"));
    }
    let private_link_rules = match query.get("EnforceSecurityGroupInboundRulesOnPrivateLinkTraffic") {
        None => balancer.private_link_rules.clone(),
        Some(value @ ("on" | "off")) => value.to_owned(),
        Some(other) => return Err(Refusal::validation(format!("'{other}' must be on or off"))),
    };
    stage.forward(query).await?;
    let dropped = balancer.security_groups.difference(&security_groups).cloned().collect();
    release(stage, &dropped);
    let ids = Element::new("SecurityGroupIds").with_all(security_groups.iter().map(|id| Element::text("member", id)));
    let rules = Element::text("EnforceSecurityGroupInboundRulesOnPrivateLinkTraffic", &*private_link_rules);
    replace(stage, Balancer { security_groups, private_link_rules, ..balancer });
    Ok(answer::elb(query.action(), [ids, rules], stage.request))
}

pub(crate) async fn set_ip_address_type(stage: &mut Stage<'_>, query: &Query) -> Result<Element, Refusal> {
    let balancer = existing(stage, query)?;
    let dual_stack = dual_stack(query.need("IpAddressType")?)?;
    let ids: Vec<String> = balancer.mappings.iter().map(|mapping| mapping.subnet.clone()).collect();
    let found = stage.network().subnets(&ids).await?;
    let without = found.iter().find(|subnet| !subnet.ranges.iter().any(|range| matches!(range, ipnet::IpNet::V6(_))));
    if let Some(without) = without.filter(|_| dual_stack) {
        return Err(Refusal::new(
            "InvalidSubnet",
            format!("The subnet {} has no associated IPv6 CIDR block", without.id),
        ));
    }
    let mut next = Balancer { dual_stack, source_nat_prefix: balancer.source_nat_prefix && dual_stack, ..balancer };
    // API reference, SetSubnets: both need dualstack.
    for mapping in next.mappings.iter_mut().filter(|_| !dual_stack) {
        (mapping.ipv6, mapping.source_nat_prefix) = (None, None);
    }
    families(stage, &next)?;
    stage.forward(query).await?;
    replace(stage, next);
    Ok(answer::elb(query.action(), [Element::text("IpAddressType", query.need("IpAddressType")?)], stage.request))
}

/// Do the listeners that it has still fit the balancer's families? `CreateListener`: "You can't specify the UDP [...] protocol if dual-stack
/// mode is enabled", but for source NAT prefixes.
fn families(stage: &Stage<'_>, next: &Balancer) -> Result<(), Refusal> {
    for listener in stage.estate.listeners_of(&next.arn) {
        rules::listeners::legal(stage.estate, next, listener, Some(listener))?;
    }
    Ok(())
}

fn existing(stage: &Stage<'_>, query: &Query) -> Result<Balancer, Refusal> {
    let arn = query.need("LoadBalancerArn")?;
    stage.estate.balancer(arn).cloned().ok_or_else(|| not_found("LoadBalancer", arn))
}

fn replace(stage: &mut Stage<'_>, next: Balancer) {
    if let Some(balancer) = stage.estate.balancer_mut(&next.arn) {
        *balancer = next;
    }
}
