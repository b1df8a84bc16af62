//! Attributes of balancers, groups and listeners. They live in the double alone: the emulators have the keys of application load
//! balancers and other defaults.

use std::collections::BTreeMap;

use crate::play::{Stage, not_found};
use crate::query::Query;
use crate::refusal::Refusal;
use crate::rules::{attributes, quotas};
use crate::xml::Element;

pub(crate) fn balancer(stage: &mut Stage<'_>, query: &Query) -> Result<Element, Refusal> {
    let arn = query.need("LoadBalancerArn")?;
    if !crate::log::is_mutating(query.action()) {
        return Ok(shown(stage, query, &stage.shown_balancer(arn)?.attributes));
    }
    let balancer = stage.estate.balancer(arn).ok_or_else(|| not_found("LoadBalancer", arn))?;
    let next = attributes::balancer(query, &balancer.attributes, balancer.internal)?;
    if next.get("load_balancing.cross_zone.enabled").is_some_and(|on| on == "true") {
        let groups = stage.estate.groups_of_balancer(arn);
        quotas::balancer_targets(
            groups.iter().filter_map(|group| stage.estate.group(group)),
            true,
            &stage.shared.quotas,
        )?;
    }
    let answer = shown(stage, query, &next);
    if let Some(balancer) = stage.estate.balancer_mut(arn) {
        balancer.attributes = next;
    }
    Ok(answer)
}

pub(crate) fn group(stage: &mut Stage<'_>, query: &Query) -> Result<Element, Refusal> {
    let arn = query.need("TargetGroupArn")?;
    if !crate::log::is_mutating(query.action()) {
        return Ok(shown(stage, query, &stage.shown_group(arn)?.attributes));
    }
    let group = stage.estate.group(arn).ok_or_else(|| not_found("TargetGroup", arn))?;
    let next = attributes::group(query, group)?;
    let answer = shown(stage, query, &next);
    if let Some(group) = stage.estate.group_mut(arn) {
        group.attributes = next;
    }
    Ok(answer)
}

pub(crate) fn listener(stage: &mut Stage<'_>, query: &Query) -> Result<Element, Refusal> {
    let arn = query.need("ListenerArn")?;
    if !crate::log::is_mutating(query.action()) {
        return Ok(shown(stage, query, &stage.shown_listener(arn)?.attributes));
    }
    let listener = stage.estate.listener(arn).ok_or_else(|| not_found("Listener", arn))?;
    let next = attributes::listener(query, &listener.attributes, listener.protocol)?;
    let answer = shown(stage, query, &next);
    if let Some(listener) = stage.estate.listener_mut(arn) {
        listener.attributes = next;
    }
    Ok(answer)
}

fn shown(stage: &Stage<'_>, query: &Query, attributes: &BTreeMap<String, String>) -> Element {
    let members = attributes
        .iter()
        .map(|(key, value)| Element::new("member").with(Element::text("Key", key)).with(Element::text("Value", value)));
    stage.listing(query, "Attributes", members)
}
