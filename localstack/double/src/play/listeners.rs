//! Listeners and their certificates.

use std::collections::BTreeMap;

use crate::answer;
use crate::certificates;
use crate::estate::{Group, Listener};
use crate::play::{Stage, not_found};
use crate::query::Query;
use crate::refusal::Refusal;
use crate::rules::protocols::Protocol;
use crate::rules::{again, attributes, listeners as rules, pages, quotas, tags};
use crate::xml::Element;

pub(crate) async fn create(stage: &mut Stage<'_>, query: &Query) -> Result<Element, Refusal> {
    let balancer_arn = query.need("LoadBalancerArn")?;
    let balancer = stage.estate.balancer(balancer_arn).ok_or_else(|| not_found("LoadBalancer", balancer_arn))?;
    let asked = rules::read(query, balancer_arn, None)?;
    if let Some(existing) = stage.estate.listeners_of(balancer_arn).find(|listener| listener.port == asked.port) {
        again::listener(existing, &asked)?;
        return Ok(stage.listing(query, "Listeners", [shown(existing)]));
    }
    quotas::listeners(stage.estate, balancer_arn, &stage.shared.quotas)?;
    rules::legal(stage.estate, balancer, &asked, None)?;
    targets_fit(stage, &asked)?;
    policy_exists(stage, query).await?;
    certificates::exist(stage.upstream, stage.region, asked.certificate.iter()).await?;
    let listener = Listener {
        attributes: attributes::of_new_listener(asked.protocol),
        tags: tags::read(query)?,
        born: stage.now,
        ..asked
    };
    let answer = stage.forward(query).await?;
    let made = answer::listed(&answer, query.action(), "Listeners").first();
    let arn = made.and_then(|made| made.text_at(&["ListenerArn"])).unwrap_or_default().to_owned();
    let listener = Listener { arn, ..listener };
    let answer = stage.listing(query, "Listeners", [shown(&listener)]);
    stage.estate.listeners.push(listener);
    stage.settle();
    Ok(answer)
}

/// `TooManyTargets`: the groups of the balancer with this listener's, taken together.
fn targets_fit(stage: &Stage<'_>, listener: &Listener) -> Result<(), Refusal> {
    let mut groups = stage.estate.groups_of_balancer(&listener.balancer);
    groups.extend(listener.groups.iter().map(String::as_str));
    let groups = groups.into_iter().filter_map(|arn| stage.estate.group(arn));
    balancer_holds(stage, &listener.balancer, groups)
}

/// `TooManyTargets` for these groups on this balancer.
pub(crate) fn balancer_holds<'a>(
    stage: &Stage<'_>,
    balancer: &str,
    groups: impl Iterator<Item = &'a Group>,
) -> Result<(), Refusal> {
    let cross_zone =
        stage.estate.balancer(balancer).and_then(|one| one.attributes.get("load_balancing.cross_zone.enabled"));
    quotas::balancer_targets(groups, cross_zone.is_some_and(|on| on == "true"), &stage.shared.quotas)
}

/// `SSLPolicyNotFound`: the emulators know AWS's policies by name, and do not look when a listener names one.
async fn policy_exists(stage: &Stage<'_>, query: &Query) -> Result<(), Refusal> {
    let Some(policy) = query.get("SslPolicy") else { return Ok(()) };
    let known = stage.forward_all("DescribeSSLPolicies", "SslPolicies", &[("Names.member.1", policy)]).await;
    match known {
        Ok(known) if known.iter().any(|one| one.text_at(&["Name"]) == Some(policy)) => Ok(()),
        Err(broken) if broken.status >= 500 => Err(broken),
        Ok(_) | Err(_) => Err(Refusal::new("SSLPolicyNotFound", format!("SSL policy '{policy}' not found"))),
    }
}

pub(crate) async fn describe(stage: &Stage<'_>, query: &Query) -> Result<Element, Refusal> {
    pages::one_of(query, &["LoadBalancerArn", "ListenerArns"])?;
    pages::named(query, &["ListenerArns"])?;
    let (balancer, arns) = (query.get("LoadBalancerArn"), query.list("ListenerArns"));
    // "You must specify either a load balancer or one or more listeners."
    if balancer.is_none() && arns.is_empty() {
        return Err(Refusal::validation("You must specify either listener ARNs or a load balancer ARN"));
    }
    balancer.map(|arn| stage.shown_balancer(arn)).transpose()?;
    let visible = || stage.estate.listeners.iter().filter(|listener| stage.is_visible(listener.born));
    if let Some(missing) = arns.iter().find(|arn| !visible().any(|listener| listener.arn == **arn)) {
        return Err(not_found("Listener", missing));
    }
    let wanted: Vec<&Listener> = visible()
        .filter(|listener| balancer == Some(&listener.balancer) || arns.contains(&listener.arn.as_str()))
        .collect();
    agrees(stage, &wanted).await?;
    stage.paged(query, "Listeners", wanted.into_iter().map(shown).collect())
}

/// Has the emulator these listeners too? One that it lost would otherwise live on in the double alone.
async fn agrees(stage: &Stage<'_>, wanted: &[&Listener]) -> Result<(), Refusal> {
    if wanted.is_empty() {
        return Ok(());
    }
    let names: Vec<String> = (1..=wanted.len()).map(|number| format!("ListenerArns.member.{number}")).collect();
    let filter: Vec<(&str, &str)> =
        names.iter().zip(wanted).map(|(name, one)| (name.as_str(), one.arn.as_str())).collect();
    let theirs = stage.forward_all("DescribeListeners", "Listeners", &filter).await?;
    match wanted.iter().find(|one| !theirs.iter().any(|their| their.text_at(&["ListenerArn"]) == Some(&one.arn))) {
        Some(lost) => Err(not_found("Listener", &lost.arn)),
        None => Ok(()),
    }
}

fn shown(listener: &Listener) -> Element {
    let certificate = listener.certificate.as_ref().map(|arn| {
        answer::members("Certificates", [Element::new("member").with(Element::text("CertificateArn", arn))])
    });
    let policy = listener.ssl_policy.as_ref().map(|policy| Element::text("SslPolicy", policy));
    let alpn = listener.alpn.as_ref().map(|alpn| Element::new("AlpnPolicy").with(Element::text("member", alpn)));
    Element::new("member")
        .with(Element::text("ListenerArn", &*listener.arn))
        .with(Element::text("LoadBalancerArn", &*listener.balancer))
        .with(Element::text("Port", listener.port.to_string()))
        .with(Element::text("Protocol", listener.protocol.name()))
        .with_all(certificate)
        .with_all(policy)
        .with_all(alpn)
        .with(answer::members("DefaultActions", [forward(&listener.actions)]))
}

/// The forward action as AWS shows it: always with its groups as a list, and with the group alone if there is one.
fn forward(actions: &BTreeMap<String, String>) -> Element {
    let query = Query::of(actions.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    let weighted = query.structures("ForwardConfig.TargetGroups");
    let plain: Vec<Query> =
        query.get("TargetGroupArn").map(|arn| Query::of([("TargetGroupArn", arn)])).into_iter().collect();
    let groups = if weighted.is_empty() { plain } else { weighted };
    let tuple = |group: &Query| {
        let weight = group.get("Weight").map(|weight| Element::text("Weight", weight));
        Element::new("member")
            .with(Element::text("TargetGroupArn", group.get("TargetGroupArn").unwrap_or_default()))
            .with_all(weight)
    };
    let only = match groups.as_slice() {
        [one] => one.get("TargetGroupArn").map(|arn| Element::text("TargetGroupArn", arn)),
        _ => None,
    };
    Element::new("member")
        .with(Element::text("Type", "forward"))
        .with_all(only)
        .with(Element::text("Order", "1"))
        .with(Element::new("ForwardConfig").with(answer::members("TargetGroups", groups.iter().map(tuple))))
}

pub(crate) async fn modify(stage: &mut Stage<'_>, query: &Query) -> Result<Element, Refusal> {
    let now = existing(stage, query)?;
    let mut next = rules::read(query, &now.balancer, Some(&now))?;
    let balancer = stage.estate.balancer(&now.balancer).ok_or_else(|| not_found("LoadBalancer", &now.balancer))?;
    rules::legal(stage.estate, balancer, &next, Some(&now))?;
    targets_fit(stage, &next)?;
    policy_exists(stage, query).await?;
    certificates::exist(stage.upstream, stage.region, next.certificate.iter()).await?;
    if next.protocol != now.protocol {
        next.attributes = attributes::of_new_listener(next.protocol);
    }
    // moto makes listeners of every protocol and changes none to TLS or UDP; the double answers from what it knows itself.
    let asked = if next.protocol == Protocol::Tcp { query.clone() } else { query.without(&["Protocol"]) };
    stage.forward(&asked).await?;
    let answer = stage.listing(query, "Listeners", [shown(&next)]);
    replace(stage, next);
    stage.settle();
    Ok(answer)
}

pub(crate) async fn delete(stage: &mut Stage<'_>, query: &Query) -> Result<Element, Refusal> {
    let listener = existing(stage, query)?;
    stage.forward(query).await?;
    stage.estate.listeners.retain(|one| one.arn != listener.arn);
    stage.settle();
    Ok(stage.done(query.action()))
}

/// API reference, AddListenerCertificates: a certificate that is in the list already is no error and not added twice.
pub(crate) async fn add_certificates(stage: &mut Stage<'_>, query: &Query) -> Result<Element, Refusal> {
    let listener = existing(stage, query)?;
    let named = named(query)?;
    let mut next = listener.clone();
    next.more_certificates.extend(named.iter().filter(|one| Some(*one) != listener.certificate.as_ref()).cloned());
    let more = next.more_certificates.len() - listener.more_certificates.len();
    quotas::certificates(stage.estate, &listener.balancer, more, &stage.shared.quotas)?;
    certificates::exist(stage.upstream, stage.region, &named).await?;
    stage.forward(query).await?;
    replace(stage, next);
    let members = named.iter().map(|arn| certificate(arn, false));
    Ok(stage.listing(query, "Certificates", members))
}

/// API reference, RemoveListenerCertificates: not the default one (`OperationNotPermitted`).
pub(crate) async fn remove_certificates(stage: &mut Stage<'_>, query: &Query) -> Result<Element, Refusal> {
    let mut next = existing(stage, query)?;
    let named = named(query)?;
    if named.iter().any(|one| Some(one) == next.certificate.as_ref()) {
        return Err(Refusal::new("OperationNotPermitted", "The default certificate of a listener cannot be removed"));
    }
    next.more_certificates.retain(|one| !named.contains(one));
    stage.forward(query).await?;
    replace(stage, next);
    Ok(stage.done(query.action()))
}

pub(crate) fn describe_certificates(stage: &Stage<'_>, query: &Query) -> Result<Element, Refusal> {
    let listener = stage.shown_listener(query.need("ListenerArn")?)?;
    let default = listener.certificate.iter().map(|arn| certificate(arn, true));
    let more = listener.more_certificates.iter().map(|arn| certificate(arn, false));
    stage.paged(query, "Certificates", default.chain(more).collect())
}

fn certificate(arn: &str, default: bool) -> Element {
    Element::new("member")
        .with(Element::text("CertificateArn", arn))
        .with(Element::text("IsDefault", default.to_string()))
}

/// API reference, AddListenerCertificates and RemoveListenerCertificates: "You can specify one certificate per call."
fn named(query: &Query) -> Result<Vec<String>, Refusal> {
    let all = query.structures("Certificates");
    let all: Vec<String> =
        all.iter().map(|one| one.need("CertificateArn").map(str::to_owned)).collect::<Result<_, _>>()?;
    if all.len() == 1 { Ok(all) } else { Err(Refusal::validation("Certificates must be one certificate")) }
}

fn existing(stage: &Stage<'_>, query: &Query) -> Result<Listener, Refusal> {
    let arn = query.need("ListenerArn")?;
    stage.estate.listener(arn).cloned().ok_or_else(|| not_found("Listener", arn))
}

fn replace(stage: &mut Stage<'_>, next: Listener) {
    if let Some(listener) = stage.estate.listener_mut(&next.arn) {
        *listener = next;
    }
}
