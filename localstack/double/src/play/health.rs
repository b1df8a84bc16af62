//! Targets and their health over time.
//!
//! The emulators take one port for each id and know no states, so the double alone says what is registered and how it is; the emulator is
//! asked whether an instance exists and runs.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use crate::estate::{Group, Target, TargetType};
use crate::play::{Stage, listeners, not_found};
use crate::query::Query;
use crate::refusal::Refusal;
use crate::rules::quotas;
use crate::rules::targets::{self, Asked};
use crate::script::Health;
use crate::xml::Element;

pub(crate) async fn register(stage: &mut Stage<'_>, query: &Query) -> Result<Element, Refusal> {
    let mut group = existing(stage, query)?;
    let asked = targets::read(query)?;
    if asked.is_empty() {
        return Err(Refusal::validation("Targets must be specified"));
    }
    let ranges =
        if group.target_type == TargetType::Ip { stage.network().vpc_ranges(&group.vpc).await? } else { Vec::new() };
    // One bad target refuses them all, and nothing is registered.
    asked.iter().try_for_each(|target| targets::register(target, &group, &ranges))?;
    let zones = zones(stage, &group, &asked).await?;
    for target in &asked {
        let port = target.port.unwrap_or(group.port);
        let known = group.targets.iter_mut().find(|one| one.id == target.id && one.port == port);
        let zone = target.zone.clone().or_else(|| zones.get(&target.id).cloned());
        match known {
            Some(known) if known.is_registered() => {}
            Some(known) => (known.registered, known.leaves) = (stage.now, None),
            None => {
                group.targets.push(Target { id: target.id.clone(), port, zone, registered: stage.now, leaves: None });
            }
        }
    }
    quotas::group_targets(&group, &stage.shared.quotas)?;
    for balancer in stage.estate.balancers_of_group(&group.arn) {
        let others = stage.estate.groups_of_balancer(balancer).into_iter().filter_map(|arn| stage.estate.group(arn));
        listeners::balancer_holds(stage, balancer, others.filter(|other| other.arn != group.arn).chain([&group]))?;
    }
    stage.forward(query).await?;
    replace(stage, group);
    Ok(stage.done(query.action()))
}

/// The zones of the targets that do not name theirs.
async fn zones(stage: &Stage<'_>, group: &Group, asked: &[Asked]) -> Result<BTreeMap<String, String>, Refusal> {
    match group.target_type {
        TargetType::Instance => zones_of_instances(stage, group, asked).await,
        TargetType::Ip => zones_of_addresses(stage, group, asked).await,
    }
}

/// TargetDescription, `AvailabilityZone`: "If the target type is ip and the IP address is in a subnet of the VPC [...] the Availability
/// Zone is automatically detected".
async fn zones_of_addresses(
    stage: &Stage<'_>,
    group: &Group,
    asked: &[Asked],
) -> Result<BTreeMap<String, String>, Refusal> {
    let subnets = stage.network().subnets_of(&group.vpc).await?;
    let zone = |target: &Asked| {
        let address: IpAddr = target.id.parse().ok()?;
        let subnet = subnets.iter().find(|subnet| subnet.ranges.iter().any(|range| range.contains(&address)))?;
        Some((target.id.clone(), subnet.zone.clone()))
    };
    Ok(asked.iter().filter_map(zone).collect())
}

/// `InvalidTarget` for an instance that does not exist or is of another VPC.
async fn zones_of_instances(
    stage: &Stage<'_>,
    group: &Group,
    asked: &[Asked],
) -> Result<BTreeMap<String, String>, Refusal> {
    let ids: BTreeSet<String> = asked.iter().map(|target| target.id.clone()).collect();
    let ids: Vec<String> = ids.into_iter().collect();
    let found = stage.network().instances(&ids).await?;
    let of_vpc = |id: &str| found.get(id).is_some_and(|(_, vpc)| *vpc == group.vpc);
    let bad: Vec<&str> = ids.iter().map(String::as_str).filter(|id| !of_vpc(id)).collect();
    if !bad.is_empty() {
        let message = format!(
            "The following targets are not in the target group VPC '{}' or do not exist: '{}'",
            group.vpc,
            bad.join(", ")
        );
        return Err(Refusal::new("InvalidTarget", message));
    }
    Ok(found.into_iter().map(|(id, (zone, _))| (id, zone)).collect())
}

/// API reference, DeregisterTargets: "If the specified target does not exist, the action returns successfully."
pub(crate) async fn deregister(stage: &mut Stage<'_>, query: &Query) -> Result<Element, Refusal> {
    let mut group = existing(stage, query)?;
    let asked = targets::read(query)?;
    if asked.is_empty() {
        return Err(Refusal::validation("Targets must be specified"));
    }
    // A group that no listener uses has nothing to drain.
    let drains = if group.in_use_since.is_some() { draining(stage, &group) } else { Duration::ZERO };
    let mut leaving = BTreeSet::new();
    for target in group.targets.iter_mut().filter(|target| target.is_registered()) {
        // Without a port every port of the id goes: TargetDescription, `Port`, is what tells several registrations of one id apart.
        if asked.iter().any(|one| one.id == target.id && one.port.is_none_or(|port| port == target.port)) {
            target.leaves = Some(stage.now + drains);
            leaving.insert(target.id.clone());
        }
    }
    // To the emulator an id is gone with its last port only.
    leaving.retain(|id| !group.targets.iter().any(|target| target.id == *id && target.is_registered()));
    if !leaving.is_empty() {
        let fixed = [("Action", query.action()), ("Version", "2015-12-01"), ("TargetGroupArn", group.arn.as_str())];
        let ids =
            leaving.iter().enumerate().map(|(index, id)| (format!("Targets.member.{}.Id", index + 1), id.as_str()));
        let theirs = Query::of(fixed.into_iter().map(|(name, value)| (name.to_owned(), value)).chain(ids));
        stage.forward(&theirs).await?;
    }
    group.targets.retain(|target| target.leaves.is_none_or(|leaves| stage.now < leaves));
    replace(stage, group);
    Ok(stage.done(query.action()))
}

fn draining(stage: &Stage<'_>, group: &Group) -> Duration {
    let attribute = || group.attributes.get("deregistration_delay.timeout_seconds").and_then(|text| text.parse().ok());
    stage.shared.timings.draining.unwrap_or_else(|| Duration::from_secs(attribute().unwrap_or(300)))
}

pub(crate) fn describe(stage: &Stage<'_>, query: &Query) -> Result<Element, Refusal> {
    let group = stage.shown_group(query.need("TargetGroupArn")?)?.clone();
    let asked = targets::read(query)?;
    let shown: Vec<Element> = if asked.is_empty() {
        group.targets.iter().map(|target| shown(&group, target, state(stage, &group, target))).collect()
    } else {
        asked.iter().map(|asked| one(stage, &group, asked)).collect()
    };
    Ok(stage.listing(query, "TargetHealthDescriptions", shown))
}

fn one(stage: &Stage<'_>, group: &Group, asked: &Asked) -> Element {
    let port = asked.port.unwrap_or(group.port);
    match group.targets.iter().find(|target| target.id == asked.id && target.port == port) {
        Some(target) => shown(group, target, state(stage, group, target)),
        None => {
            let unknown = Target { id: asked.id.clone(), port, zone: None, registered: stage.now, leaves: None };
            shown(group, &unknown, ("unused", Some("Target.NotRegistered")))
        }
    }
}

/// State and reason: API reference, TargetHealth.
fn state(stage: &Stage<'_>, group: &Group, target: &Target) -> (&'static str, Option<&'static str>) {
    if target.leaves.is_some() {
        return ("draining", Some("Target.DeregistrationInProgress"));
    }
    let Some(used) = group.in_use_since else { return ("unused", Some("Target.NotInUse")) };
    if !in_an_enabled_zone(stage, group, target) {
        return ("unused", Some("Target.NotInUse"));
    }
    let active = stage.estate.balancers_of_group(&group.arn).into_iter().filter_map(|arn| stage.estate.balancer(arn));
    let active = active.map(|balancer| balancer.born + stage.shared.timings.provisioning).max().unwrap_or_default();
    let checked = target.registered.max(used).max(active) + stage.shared.timings.registration;
    if stage.now < checked {
        return ("initial", Some("Elb.RegistrationInProgress"));
    }
    match stage.shared.script.health(&group.name, &target.id) {
        Health::Healthy => ("healthy", None),
        Health::Unhealthy => ("unhealthy", Some("Target.FailedHealthChecks")),
        Health::Initial => ("initial", Some("Elb.InitialHealthChecking")),
        Health::Unavailable => ("unavailable", Some("Elb.InternalError")),
    }
}

/// `Target.NotInUse`: "[...] or the target is in an Availability Zone that is not enabled for its load balancer".
fn in_an_enabled_zone(stage: &Stage<'_>, group: &Group, target: &Target) -> bool {
    let Some(zone) = target.zone.as_deref().filter(|zone| *zone != "all") else { return true };
    let balancers = stage.estate.balancers_of_group(&group.arn);
    balancers
        .iter()
        .filter_map(|arn| stage.estate.balancer(arn))
        .any(|balancer| balancer.mappings.iter().any(|mapping| mapping.zone == zone))
}

fn shown(group: &Group, target: &Target, (state, reason): (&str, Option<&str>)) -> Element {
    let zone = target
        .zone
        .as_ref()
        .filter(|_| group.target_type == TargetType::Ip)
        .map(|zone| Element::text("AvailabilityZone", zone));
    let port = if group.health_check.port == "traffic-port" {
        target.port.to_string()
    } else {
        group.health_check.port.clone()
    };
    let id = target.id.parse::<IpAddr>().map_or_else(|_| target.id.clone(), |address| address.to_string());
    let reason = reason.map(|reason| Element::text("Reason", reason));
    Element::new("member")
        .with(
            Element::new("Target")
                .with(Element::text("Id", id))
                .with(Element::text("Port", target.port.to_string()))
                .with_all(zone),
        )
        .with(Element::text("HealthCheckPort", port))
        .with(Element::new("TargetHealth").with(Element::text("State", state)).with_all(reason))
}

fn existing(stage: &Stage<'_>, query: &Query) -> Result<Group, Refusal> {
    let arn = query.need("TargetGroupArn")?;
    stage.estate.group(arn).cloned().ok_or_else(|| not_found("TargetGroup", arn))
}

fn replace(stage: &mut Stage<'_>, next: Group) {
    if let Some(group) = stage.estate.group_mut(&next.arn) {
        *group = next;
    }
}
