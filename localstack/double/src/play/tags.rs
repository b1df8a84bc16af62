//! Tags of balancers, groups and listeners.

use std::collections::BTreeMap;

use crate::arn::{self, Kind};
use crate::estate::Estate;
use crate::play::{Stage, not_found};
use crate::query::Query;
use crate::refusal::Refusal;
use crate::rules::{pages, tags};
use crate::xml::Element;

pub(crate) async fn add(stage: &mut Stage<'_>, query: &Query) -> Result<Element, Refusal> {
    let added = tags::read(query)?;
    change(stage, query, |tags| tags.extend(added.clone())).await
}

pub(crate) async fn remove(stage: &mut Stage<'_>, query: &Query) -> Result<Element, Refusal> {
    let keys: Vec<String> = query.list("TagKeys").into_iter().map(str::to_owned).collect();
    change(stage, query, |tags| tags.retain(|key, _| !keys.contains(key))).await
}

/// All or none: one resource that is missing or full fails the call.
async fn change(
    stage: &mut Stage<'_>,
    query: &Query,
    with: impl Fn(&mut BTreeMap<String, String>),
) -> Result<Element, Refusal> {
    pages::named(query, &["ResourceArns"])?;
    let arns = query.list("ResourceArns");
    let mut next = Vec::new();
    for arn in &arns {
        let mut tags = of(stage.estate, arn)?.clone();
        with(&mut tags);
        tags::fits(&tags)?;
        next.push(tags);
    }
    stage.forward(query).await?;
    for (arn, tags) in arns.iter().zip(next) {
        if let Some(existing) = of_mut(stage.estate, arn) {
            *existing = tags;
        }
    }
    Ok(stage.done(query.action()))
}

pub(crate) fn describe(stage: &Stage<'_>, query: &Query) -> Result<Element, Refusal> {
    // API reference, DescribeTags: "You can specify up to 20 resources in a single call."
    pages::named(query, &["ResourceArns"])?;
    let described = query.list("ResourceArns").into_iter().map(|arn| {
        let tags = shown(stage, arn)?.iter();
        let tags = tags.map(|(key, value)| {
            Element::new("member").with(Element::text("Key", key)).with(Element::text("Value", value))
        });
        Ok(Element::new("member").with(Element::text("ResourceArn", arn)).with(Element::new("Tags").with_all(tags)))
    });
    let described: Vec<Element> = described.collect::<Result<_, Refusal>>()?;
    Ok(stage.listing(query, "TagDescriptions", described))
}

/// The tags as a reader finds them: of what is not described yet there are none either.
fn shown<'a>(stage: &'a Stage<'_>, arn: &str) -> Result<&'a BTreeMap<String, String>, Refusal> {
    match arn::kind(arn) {
        Kind::Balancer => stage.shown_balancer(arn).map(|one| &one.tags),
        Kind::Group => stage.shown_group(arn).map(|one| &one.tags),
        Kind::Listener => stage.shown_listener(arn).map(|one| &one.tags),
        Kind::Other => of(stage.estate, arn),
    }
}

fn of<'a>(estate: &'a Estate, arn: &str) -> Result<&'a BTreeMap<String, String>, Refusal> {
    match arn::kind(arn) {
        Kind::Balancer => estate.balancer(arn).map(|one| &one.tags).ok_or_else(|| not_found("LoadBalancer", arn)),
        Kind::Group => estate.group(arn).map(|one| &one.tags).ok_or_else(|| not_found("TargetGroup", arn)),
        Kind::Listener => estate.listener(arn).map(|one| &one.tags).ok_or_else(|| not_found("Listener", arn)),
        Kind::Other => {
            Err(Refusal::validation(format!("'{arn}' is not a valid load balancer, target group or listener ARN")))
        }
    }
}

fn of_mut<'a>(estate: &'a mut Estate, arn: &str) -> Option<&'a mut BTreeMap<String, String>> {
    match arn::kind(arn) {
        Kind::Balancer => estate.balancer_mut(arn).map(|one| &mut one.tags),
        Kind::Group => estate.group_mut(arn).map(|one| &mut one.tags),
        Kind::Listener => estate.listener_mut(arn).map(|one| &mut one.tags),
        Kind::Other => None,
    }
}
