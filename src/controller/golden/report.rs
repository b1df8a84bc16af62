//! What a case came to, as the text of an expected file: one line for each thing that a reviewer must be able to doubt.

use std::collections::BTreeMap;

use portolan_core::balancer::{HealthCheck, Listener, SourceRanges, Targets};
use portolan_mock::picture::{BalancerPicture, Picture};
use serde::Serialize;
use serde_json::Value;

use super::server::Name;
use crate::controller::preview::Preview;
use crate::yaml;

/// All of a case.
#[derive(Default)]
pub(super) struct Report {
    pub(super) steps: Vec<StepReport>,
}

/// What one step came to.
pub(super) struct StepReport {
    pub(super) step: String,
    /// Documents that the server refused.
    pub(super) refused: Vec<String>,
    /// What would be done, before anything was.
    pub(super) plans: Vec<Preview>,
    /// What was done, in order.
    pub(super) did: Vec<String>,
    /// What is there in the end.
    pub(super) services: Vec<(Name, Value)>,
    pub(super) records: Vec<(Name, Value)>,
    pub(super) worlds: Vec<Picture>,
}

#[derive(Serialize)]
struct StepText {
    step: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    refused: Vec<String>,
    plan: BTreeMap<String, PlanText>,
    did: Vec<String>,
    services: BTreeMap<String, ServiceText>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    records: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    mock: BTreeMap<String, BalancerText>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    addresses: Vec<String>,
}

#[derive(Serialize)]
struct PlanText {
    claim: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    refusals: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    writes: Vec<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    steps: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    then: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[derive(Serialize)]
struct ServiceText {
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    deleting: bool,
    finalizers: Vec<String>,
    ingress: Vec<String>,
    conditions: BTreeMap<String, String>,
}

#[derive(Serialize)]
struct BalancerText {
    serves: Vec<String>,
    open_to: Vec<String>,
    nodes: Vec<String>,
    generations: Vec<GenerationText>,
}

#[derive(Serialize)]
struct GenerationText {
    is: String,
    listeners: Vec<String>,
}

impl Report {
    pub(super) fn text(&self) -> String {
        let steps: Vec<StepText> = self.steps.iter().map(StepReport::text).collect();
        yaml::to_string(&steps).unwrap()
    }
}

impl StepReport {
    fn text(&self) -> StepText {
        let name_of = |preview: &Preview| match &preview.service {
            Some(service) if preview.claim == "Moving" => format!("{service}, at {}", preview.id),
            Some(service) => service.to_string(),
            None => preview.id.to_string(),
        };
        let balancers = self.worlds.iter().flat_map(|world| &world.balancers);
        let addresses = self.worlds.iter().flat_map(|world| &world.addresses);
        StepText {
            step: self.step.clone(),
            refused: self.refused.clone(),
            plan: self.plans.iter().map(|preview| (name_of(preview), plan(preview))).collect(),
            did: self.did.clone(),
            services: self.services.iter().map(|(name, object)| (name.to_string(), service(object))).collect(),
            records: self.records.iter().map(|(name, _)| name.to_string()).collect(),
            mock: balancers.map(|(id, picture)| (id.to_string(), balancer(picture))).collect(),
            addresses: addresses.map(|(address, owner)| format!("{address} of {owner}")).collect(),
        }
    }
}

fn plan(preview: &Preview) -> PlanText {
    PlanText {
        claim: format!("{}: {}", preview.claim, preview.why),
        refusals: preview.refusals.iter().map(|refused| format!("{}: {refused}", refused.reason)).collect(),
        warnings: preview.warnings.iter().map(|warning| format!("{}: {}", warning.reason, warning.message)).collect(),
        writes: preview.writes.clone(),
        steps: preview.steps.iter().filter(|step| step.when.is_none()).map(|step| step.summary.clone()).collect(),
        then: preview.steps.iter().filter_map(|step| Some(format!("when {}: {}", step.when?, step.summary))).collect(),
        error: preview.error.clone(),
    }
}

fn service(object: &Value) -> ServiceText {
    let list = |pointer: &str| object.pointer(pointer).and_then(Value::as_array).cloned().unwrap_or_default();
    let condition = |condition: &Value| {
        let [kind, status, reason, message] =
            ["type", "status", "reason", "message"].map(|field| text(&condition[field]));
        (kind, format!("{status} {reason}: {message}"))
    };
    ServiceText {
        deleting: object.pointer("/metadata/deletionTimestamp").is_some(),
        finalizers: list("/metadata/finalizers").iter().map(text).collect(),
        ingress: list("/status/loadBalancer/ingress").iter().map(ingress).collect(),
        conditions: list("/status/conditions").iter().map(condition).collect(),
    }
}

/// `ADDRESS MODE PORT/PROTOCOL ...`, a port that is not served with its error.
pub(super) fn ingress(entry: &Value) -> String {
    let mut words = vec![text(&entry["ip"]), text(&entry["hostname"]), text(&entry["ipMode"])];
    words.extend(entry["ports"].as_array().into_iter().flatten().map(|port| {
        let error = port["error"].as_str().map(|error| format!("({error})")).unwrap_or_default();
        format!("{}/{}{error}", port["port"], text(&port["protocol"]))
    }));
    words.retain(|word| !word.is_empty());
    words.join(" ")
}

fn balancer(picture: &BalancerPicture) -> BalancerText {
    BalancerText {
        serves: picture.members.iter().map(|member| member.key().to_string()).collect(),
        open_to: match &picture.source_ranges {
            SourceRanges::All => vec!["everybody".to_owned()],
            SourceRanges::Only(ranges) => ranges.iter().map(ToString::to_string).collect(),
        },
        nodes: picture
            .nodes
            .iter()
            .map(|node| {
                let addresses: Vec<String> = node.addresses.iter().map(ToString::to_string).collect();
                format!("{} {}", node.name, addresses.join(" "))
            })
            .collect(),
        generations: picture
            .generations
            .iter()
            .map(|generation| {
                let mut words = vec![generation.generation.to_string(), generation.scheme.to_string()];
                words.push(generation.state.to_owned());
                words.extend(generation.draining.then(|| "draining".to_owned()));
                words.extend(generation.addresses.iter().map(ToString::to_string));
                GenerationText { is: words.join(" "), listeners: generation.listeners.iter().map(listener).collect() }
            })
            .collect(),
    }
}

fn listener(listener: &Listener) -> String {
    let joined = |items: Vec<String>| if items.is_empty() { "nobody".to_owned() } else { items.join(" ") };
    let to = match &listener.targets {
        Targets::Nodes { node_port, nodes } => {
            format!("node port {node_port} of {}", joined(nodes.iter().map(ToString::to_string).collect()))
        }
        Targets::Pods { endpoints, local_nodes: _ } => {
            format!("pods {}", joined(endpoints.iter().map(ToString::to_string).collect()))
        }
    };
    let health = match &listener.health_check {
        HealthCheck::Http { port, path } => format!("health {port}{path}"),
        HealthCheck::EndpointSlices => "health by slices".to_owned(),
    };
    let endpoints = if listener.has_endpoints { "has endpoints" } else { "no endpoints" };
    let affinity = listener.session_affinity.map(|seconds| format!(", sticky {seconds} s")).unwrap_or_default();
    let name = if listener.name.is_empty() { String::new() } else { format!(" {}", listener.name) };
    format!("{}{name} -> {to}, {health}, {endpoints}{affinity}", listener.key)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
