//! Target groups, without their targets.

use crate::answer;
use crate::estate::{Group, TargetType};
use crate::play::{Stage, not_found};
use crate::query::Query;
use crate::refusal::Refusal;
use crate::rules::protocols::Protocol;
use crate::rules::{again, attributes, health_checks, names, number, pages, quotas, tags};
use crate::xml::Element;

pub(crate) async fn create(stage: &mut Stage<'_>, query: &Query) -> Result<Element, Refusal> {
    let asked = asked(stage, query)?;
    if let Some(existing) = stage.estate.groups.iter().find(|group| group.name == asked.name) {
        again::group(existing, &asked)?;
        let existing = existing.arn.clone();
        return one(stage, query, &existing).await;
    }
    quotas::groups(stage.estate, &stage.shared.quotas)?;
    let answer = stage.forward(&query.with(asked.health_check.spelled_out())).await?;
    let made = answer::listed(&answer, query.action(), "TargetGroups").first();
    let arn = made.and_then(|made| made.text_at(&["TargetGroupArn"])).unwrap_or_default().to_owned();
    let group = Group { arn, ..asked };
    let shown = shown(stage, &group, answer::listed(&answer, query.action(), "TargetGroups"));
    stage.estate.groups.push(group);
    Ok(stage.listing(query, "TargetGroups", shown))
}

fn asked(stage: &Stage<'_>, query: &Query) -> Result<Group, Refusal> {
    let name = query.need("Name")?;
    names::group(name)?;
    let target_type = match query.get("TargetType").unwrap_or("instance") {
        "instance" => TargetType::Instance,
        "ip" => TargetType::Ip,
        other => return Err(Refusal::not_played(&format!("target groups of type '{other}'"))),
    };
    let protocol = Protocol::read(query.need("Protocol")?)?;
    if matches!(protocol, Protocol::Quic | Protocol::TcpQuic) {
        return Err(Refusal::not_played("QUIC target groups"));
    }
    let ipv6 = match query.get("IpAddressType").unwrap_or("ipv4") {
        "ipv4" => false,
        "ipv6" => true,
        other => return Err(Refusal::validation(format!("IpAddressType '{other}' must be ipv4 or ipv6"))),
    };
    Ok(Group {
        arn: String::new(),
        name: name.to_owned(),
        protocol,
        port: u16::try_from(number("Port", query.need("Port")?, 1..=65535)?).unwrap_or_default(),
        vpc: query.need("VpcId")?.to_owned(),
        target_type,
        ipv6,
        health_check: health_checks::read(query, None)?,
        attributes: attributes::of_new_group(protocol, target_type),
        tags: tags::read(query)?,
        targets: Vec::new(),
        born: stage.now,
        in_use_since: None,
        held_until: stage.now,
    })
}

pub(crate) async fn describe(stage: &Stage<'_>, query: &Query) -> Result<Element, Refusal> {
    pages::one_of(query, &["LoadBalancerArn", "TargetGroupArns", "Names"])?;
    pages::named(query, &["TargetGroupArns", "Names"])?;
    let visible = || stage.estate.groups.iter().filter(|group| stage.is_visible(group.born));
    let (arns, names, balancer) = (query.list("TargetGroupArns"), query.list("Names"), query.get("LoadBalancerArn"));
    let missing = arns.iter().find(|arn| !visible().any(|group| group.arn == **arn));
    let missing = missing.or_else(|| names.iter().find(|name| !visible().any(|group| group.name == **name)));
    if let Some(missing) = missing {
        return Err(not_found("TargetGroup", missing));
    }
    balancer.map(|arn| stage.shown_balancer(arn)).transpose()?;
    let of_balancer = balancer.map(|balancer| stage.estate.groups_of_balancer(balancer));
    let wanted: Vec<&Group> = visible()
        .filter(|group| match &of_balancer {
            Some(groups) => groups.contains(group.arn.as_str()),
            None => {
                (arns.is_empty() && names.is_empty())
                    || arns.contains(&group.arn.as_str())
                    || names.contains(&group.name.as_str())
            }
        })
        .collect();
    let theirs = theirs(stage, &wanted).await?;
    let shown = wanted.iter().filter_map(|group| shown(stage, group, &theirs)).collect();
    stage.paged(query, "TargetGroups", shown)
}

async fn theirs(stage: &Stage<'_>, wanted: &[&Group]) -> Result<Vec<Element>, Refusal> {
    let arns: Vec<&str> = wanted.iter().map(|one| one.arn.as_str()).collect();
    stage.theirs("DescribeTargetGroups", "TargetGroups", "TargetGroupArns", &arns).await
}

async fn one(stage: &Stage<'_>, query: &Query, arn: &str) -> Result<Element, Refusal> {
    let group = stage.estate.group(arn).ok_or_else(|| not_found("TargetGroup", arn))?;
    let theirs = theirs(stage, &[group]).await?;
    Ok(stage.listing(query, "TargetGroups", shown(stage, group, &theirs)))
}

/// The emulator's description, with what the double knows better.
fn shown(stage: &Stage<'_>, group: &Group, theirs: &[Element]) -> Option<Element> {
    let mut shown = theirs.iter().find(|one| one.text_at(&["TargetGroupArn"]) == Some(&group.arn))?.clone();
    let check = &group.health_check;
    shown.set(Element::text("IpAddressType", if group.ipv6 { "ipv6" } else { "ipv4" }));
    shown.set(Element::text("HealthCheckEnabled", "true"));
    shown.set(Element::text("HealthCheckProtocol", check.protocol.name()));
    shown.set(Element::text("HealthCheckPort", &*check.port));
    shown.set(Element::text("HealthCheckIntervalSeconds", check.interval.to_string()));
    shown.set(Element::text("HealthCheckTimeoutSeconds", check.timeout.to_string()));
    shown.set(Element::text("HealthyThresholdCount", check.healthy.to_string()));
    shown.set(Element::text("UnhealthyThresholdCount", check.unhealthy.to_string()));
    shown.children.retain(|child| child.name != "HealthCheckPath" && child.name != "Matcher");
    shown.children.extend(check.path.as_ref().map(|path| Element::text("HealthCheckPath", path)));
    shown
        .children
        .extend(check.matcher.as_ref().map(|codes| Element::new("Matcher").with(Element::text("HttpCode", codes))));
    let balancers = stage.estate.balancers_of_group(&group.arn);
    shown.set(Element::new("LoadBalancerArns").with_all(balancers.into_iter().map(|arn| Element::text("member", arn))));
    Some(shown)
}

pub(crate) async fn modify(stage: &mut Stage<'_>, query: &Query) -> Result<Element, Refusal> {
    let arn = query.need("TargetGroupArn")?;
    let group = stage.estate.group(arn).ok_or_else(|| not_found("TargetGroup", arn))?;
    let next = health_checks::read(query, Some(&group.health_check))?;
    stage.forward(&query.with(next.spelled_out())).await?;
    if let Some(group) = stage.estate.group_mut(arn) {
        group.health_check = next;
    }
    one(stage, query, arn).await
}

pub(crate) async fn delete(stage: &mut Stage<'_>, query: &Query) -> Result<Element, Refusal> {
    let arn = query.need("TargetGroupArn")?;
    // An ARN that is gone already is no error: the action's page lists none but `ResourceInUse`.
    let Some(group) = stage.estate.group(arn) else { return Ok(stage.done(query.action())) };
    if group.in_use_since.is_some() || stage.now < group.held_until {
        return Err(Refusal::new(
            "ResourceInUse",
            format!("Target group '{arn}' is currently in use by a listener or a rule"),
        ));
    }
    stage.forward(query).await?;
    stage.estate.groups.retain(|group| group.arn != arn);
    Ok(stage.done(query.action()))
}
