//! The end of a sequence: what must hold once all trouble is over.

use portolan_core::claim::TYPE_ANNOTATION;
use portolan_core::share::SHARE_ANNOTATION;
use portolan_mock::faults;
use portolan_mock::picture::picture;
use serde_json::{Value, json};
use similar::TextDiff;

use super::super::journal::Journal;
use super::super::server::Name;
use super::history::{History, of_others, uid};
use super::look::{Look, look};
use crate::cluster::random::Random;
use crate::sim::grammar::{Grammar, of_the_other, one_of};

/// Brings a history to its end; `Err` says what is not as it must be.
pub(super) async fn end(mut history: History<'_>, grammar: &Grammar, seed: u64) -> Result<(), String> {
    let mut random = Random::new(seed);
    for world in history.lab.worlds.values() {
        faults::end_all(world).unwrap();
    }
    if !history.lab.is_up() {
        let configuration = history.configuration.clone();
        history.up(&configuration);
    }
    history.lab.settle().await;
    if history.configuration == "config-without-slow.yaml" {
        // What a vanished class leaves as it is, the class served once it is back.
        history.restart("config.yaml").await;
        history.lab.settle().await;
    }
    rests(&mut history).await?;
    let (ours, now) = compared(&history, grammar).await;
    if now != ours {
        let bound = now.is_bound_by_a_share() || history.is_bound_by_a_record();
        if !ours.is_held() && !bound {
            return Err(difference("is not what a fresh apply comes to", &ours, &now));
        }
        if now.verdicts() != ours.verdicts() && !bound {
            return Err(difference("is refused otherwise than a fresh apply", &ours, &now));
        }
        heals(&mut history, grammar, &mut random).await?;
        for document in &grammar.cure {
            history.play(document).await;
            history.play(&of_the_other(document)).await;
        }
        history.lab.settle().await;
        rests(&mut history).await?;
        let (ours, now) = compared(&history, grammar).await;
        if now != ours && !(ours.is_held() && now.verdicts() == ours.verdicts()) {
            return Err(difference("is not what a fresh apply comes to, once nothing holds it back", &ours, &now));
        }
    }
    heals(&mut history, grammar, &mut random).await
}

/// What a fresh apply comes to, and what there is.
async fn compared(history: &History<'_>, grammar: &Grammar) -> (Look, Look) {
    let fresh = fresh(history, grammar).await;
    let now = look(history).without_what_is_not_ours(&fresh, &history.written_by_hand);
    (fresh, now)
}

/// Others' conditions are as they left them, and a controller that starts finds nothing to write.
async fn rests(history: &mut History<'_>) -> Result<(), String> {
    for (name, service) in history.lab.server.list("Service") {
        let expected = history.conditions_of_others.get(&uid(&service)).cloned().unwrap_or_default();
        let found = of_others(&service);
        if found != expected {
            return Err(format!("{name}: others had left the conditions {expected:?}, and there are {found:?}"));
        }
    }
    history.lab.journal.take();
    let configuration = history.configuration.clone();
    history.restart(&configuration).await;
    history.lab.settle().await;
    let written = history.lab.journal.take();
    if written.is_empty() { Ok(()) } else { Err(format!("a restart is not silent:\n  {}", written.join("\n  "))) }
}

/// Whatever somebody writes into the status of a Service of ours, it says in the end what it said before. Of a load balancer that has two
/// predecessors, because the first edit had not been followed when the second came, only the status knows which of them clients were told
/// of: once that is gone, it is one of the scheme that is asked for.
async fn heals(history: &mut History<'_>, grammar: &Grammar, random: &mut Random) -> Result<(), String> {
    let before = look(history);
    let mut forged = one_of(&grammar.forged, random).clone();
    for (name, service) in history.lab.server.list("Service") {
        let finalizers = service["metadata"]["finalizers"].as_array();
        let ours = finalizers.is_some_and(|list| list.iter().any(|one| one == "portolan.dev/load-balancer"));
        let held = service["status"]["conditions"].as_array().is_some_and(|list| {
            list.iter().any(|one| one["type"] == "portolan.dev/Accepted" && (one["reason"] == "Paused"))
        });
        if ours && !held && !has_two_predecessors(history, &uid(&service)) {
            forged["$patchStatus"] = format!("Service/{}", name.name).into();
            history.play(&forged).await;
        }
    }
    history.lab.settle().await;
    let now = look(history);
    if now == before { Ok(()) } else { Err(difference(&format!("is not as before {forged}"), &before, &now)) }
}

fn has_two_predecessors(history: &History<'_>, uid: &str) -> bool {
    let worlds = history.lab.worlds.values().map(|world| picture(world, history.lab.now()).unwrap());
    let mut balancers = worlds.flat_map(|world| world.balancers.into_values());
    balancers.any(|one| one.generations.len() > 2 && one.members.iter().any(|member| member.uid.as_str() == uid))
}

/// The same manifests in a world in which nothing has ever happened.
async fn fresh(history: &History<'_>, grammar: &Grammar) -> Look {
    let mut fresh = History::empty(grammar, Journal::default());
    let server = &history.lab.server;
    let objects = |kind| server.list(kind);
    for (name, object) in objects("Node").into_iter().chain(objects("EndpointSlice")) {
        fresh.lab.server.lay(&name, object);
    }
    let records = objects("LoadBalancerRecord");
    // A Service without a class stays with the class of its record. The shortest way there is to have been claimed as today, under
    // the default class or the annotation of that time.
    let members = |record: &Value| record["spec"]["members"].as_array().cloned().unwrap_or_default();
    let by_default =
        records.iter().find(|(_, record)| members(record).iter().any(|member| member["claimedBy"] == "Default"));
    let first = match by_default.and_then(|(_, record)| record["spec"]["class"].as_str()) {
        Some("portolan.dev/slow") => "config-default-moved.yaml",
        Some(_) => "config.yaml",
        None => &history.configuration,
    };
    let mut later: Vec<(Name, Value)> = Vec::new();
    // Who shares a load balancer has joined it in some order, and first come is first served.
    let order: Vec<Value> =
        records.iter().flat_map(|(_, record)| members(record)).map(|one| one["uid"].clone()).collect();
    let first_of = |share: &str| {
        let of_share = records.iter().find(|(_, record)| record["spec"]["share"]["name"] == share);
        of_share.and_then(|(_, record)| members(record).first().map(|member| member["uid"].clone()))
    };
    let mut joining: Vec<(Name, Value)> = Vec::new();
    for (name, service) in objects("Service") {
        let mut service = applied(&service);
        let is = |by| {
            let of_service = |member: &Value| member["uid"] == uid(&service) && member["claimedBy"] == by;
            records.iter().any(|(_, record)| members(record).iter().any(of_service))
        };
        let (by_annotation, by_default) = (is("TypeAnnotation"), is("Default"));
        let now = service["metadata"]
            .get("annotations")
            .and_then(|all| all.get(TYPE_ANNOTATION))
            .cloned()
            .unwrap_or_default();
        let asks = now == "external" || now == "nlb-ip";
        if by_annotation && !asks || by_default && asks {
            service["metadata"]["annotations"][TYPE_ANNOTATION] = if asks { Value::Null } else { "external".into() };
            without_nulls(&mut service["metadata"]["annotations"]);
            later.push((name.clone(), json!({"metadata": {"annotations": {TYPE_ANNOTATION: now}}})));
        }
        let share = service["metadata"]["annotations"][SHARE_ANNOTATION].as_str().and_then(first_of);
        if share.is_some_and(|first| first != uid(&service)) {
            joining.push((name, service));
        } else {
            fresh.lab.server.lay(&name, service);
        }
    }
    fresh.up(first);
    fresh.lab.settle().await;
    joining.sort_by_key(|(_, service)| order.iter().position(|one| *one == uid(service)).unwrap_or(order.len()));
    for (name, service) in joining {
        fresh.lab.server.lay(&name, service);
        fresh.lab.settle().await;
    }
    for (name, patch) in later {
        fresh.lab.server.patch(&name, patch, false).unwrap();
    }
    let configuration = history.configuration.clone();
    if fresh.configuration != configuration {
        fresh.restart(&configuration).await;
    }
    fresh.lab.settle().await;
    fresh.lab.stop().await;
    fresh.records_by_hand.clone_from(&history.records_by_hand);
    look(&fresh)
}

/// An annotation is a text.
fn without_nulls(annotations: &mut Value) {
    if let Some(fields) = annotations.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
}

/// A Service as it was applied: without what any controller has made of it.
fn applied(service: &Value) -> Value {
    let mut applied = service.clone();
    applied.as_object_mut().map(|fields| fields.remove("status"));
    let ours = |finalizer: &Value| finalizer.as_str().is_some_and(|name| !name.starts_with("example.com/"));
    if let Some(finalizers) = applied["metadata"]["finalizers"].as_array_mut() {
        finalizers.retain(|finalizer| !ours(finalizer));
    }
    applied
}

fn difference(what: &str, expected: &Look, found: &Look) -> String {
    let (expected, found) = (expected.text(), found.text());
    let diff = TextDiff::from_lines(&expected, &found);
    format!("the end {what}\n{}", diff.unified_diff().context_radius(6).header("expected", "found"))
}
