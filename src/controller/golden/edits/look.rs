//! What the end looks like, for two worlds to be compared. All that may differ between a long history and a fresh apply is named here.
//!
//! - **Times.** When a condition changed is history; what it says is not.
//! - **Which address.** One that was given survives every edit that does not ask for another, so it may not be the first free one. It must
//!   come from the same network, and be the same everywhere. One that the spec asks for by name is compared to the letter.
//! - **Which scheme, where nobody asks.** A load balancer keeps the one that it has when its members have only gone, or do not ask for an
//!   address by name any more. Where one has taken back its word, the record says that it is public, and so it must be. What refuses an
//!   address that lies in the ranges of neither names those of the scheme that the load balancer has.
//! - **Which source ranges, where those have gone who asked.** They hold for those who stay (`docs/sharing.md`), as the record says.
//! - **The order of an ingress's ports.** It means nothing, so a Service whose ports change places is not written.
//! - **Which generation.** A load balancer that has replaced another has a higher number, which shows in its DNS name.
//! - **Who has asked for what holds.** It is history: what holds now shows in the load balancer.
//! - **Identifiers in a record that somebody edited.** What steps have taught is not in the manifests: nobody can tell a forged one, and a lost
//!   one is taught again by the next step.
//! - **Conditions of others.** They are nobody's manifests: that they are kept is asked beside.
//! - **What is not ours.** The status of a Service that another controller serves is that controller's: where somebody has written it
//!   by hand, it says what they wrote.

use std::collections::BTreeMap;
use std::net::IpAddr;

use portolan_core::balancer::Member;
use portolan_core::reason::PORTS_ERROR;
use portolan_mock::picture::{BalancerPicture, GenerationPicture, picture};
use serde_json::{Value, json};

use super::history::{History, is_ours};

/// The whole world, in normal form.
pub(super) fn look(history: &History<'_>) -> Look {
    let lab = &history.lab;
    let worlds: BTreeMap<_, _> =
        lab.worlds.iter().map(|(name, world)| (name, picture(world, lab.now()).unwrap())).collect();
    let services: Vec<(String, Value)> =
        lab.server.list("Service").into_iter().map(|(name, service)| (name.name, service)).collect();
    let wishes_of = |member: &Member| {
        let service = services.iter().find(|(_, service)| service["metadata"]["uid"] == member.uid.as_str());
        service.filter(|(_, service)| service["spec"]["type"] == "LoadBalancer").map(|(_, service)| wishes(service))
    };
    let mut records: BTreeMap<String, Value> = lab
        .server
        .list("LoadBalancerRecord")
        .into_iter()
        .map(|(name, record)| (name.name, record["spec"].clone()))
        .collect();
    let mut aliases = Aliases::default();
    for (id, balancer) in worlds.values().flat_map(|world| &world.balancers) {
        let specs: Vec<String> = balancer.members.iter().filter_map(wishes_of).collect();
        let is_asked = |address: &&IpAddr| specs.iter().any(|spec| spec.contains(&address.to_string()));
        for generation in &balancer.generations {
            for address in generation.addresses.iter().filter(|address| !is_asked(address)) {
                let from = if is_open(&records, id.as_str()) { "address".to_owned() } else { network(*address) };
                aliases.add(address.to_string(), format!("<{from} of {id}>"));
            }
            aliases.add(generation.hostname.clone(), format!("<name of {id}>"));
        }
    }
    let balancers: BTreeMap<_, _> = worlds
        .iter()
        .flat_map(|(world, picture)| {
            let records = &records;
            picture
                .balancers
                .iter()
                .map(move |(id, one)| (format!("{world} {id}"), balancer(records, id.as_str(), one)))
        })
        .collect();
    let mut addresses: Vec<String> = worlds
        .iter()
        .flat_map(|(world, picture)| picture.addresses.iter().map(move |(address, id)| (world, address, id)))
        .map(|(world, address, id)| format!("{world} {id} {}", aliases.of(&address.to_string())))
        .collect();
    addresses.sort();
    let shown = |object: &Value| aliases.without(&wishes(object)).put(&service(object));
    let mut services: BTreeMap<String, Value> =
        services.iter().map(|(name, object)| (name.clone(), shown(object))).collect();
    services.values_mut().filter(|service| is_of_either_scheme(&records, service)).for_each(without_the_ranges);
    let settled = ["terms", "seen"];
    records
        .values_mut()
        .filter_map(Value::as_object_mut)
        .for_each(|record| record.retain(|field, _| !settled.contains(&field.as_str())));
    for id in &history.records_by_hand {
        records.get_mut(id).and_then(Value::as_object_mut).map(|record| record.remove("external"));
    }
    Look { services, rest: aliases.put(&json!({"records": records, "balancers": balancers, "addresses": addresses})) }
}

/// See [`look`].
#[derive(Debug, PartialEq)]
pub(super) struct Look {
    pub(super) services: BTreeMap<String, Value>,
    pub(super) rest: Value,
}

impl Look {
    /// Leaves out what others have written by hand into the status of a Service that is not `ours`: nobody puts that right.
    pub(super) fn without_what_is_not_ours(mut self, ours: &Self, by_hand: &[String]) -> Self {
        for (name, service) in &mut self.services {
            let Some(fresh) = ours.services.get(name) else { continue };
            let marks = [&fresh["finalizers"], &fresh["conditions"]];
            let is_ours = marks
                .into_iter()
                .flat_map(|marks| marks.as_array())
                .flatten()
                .any(|mark| mark.as_str().is_some_and(|text| text.starts_with("portolan.dev/")));
            if !is_ours && by_hand.iter().any(|uid| fresh["uid"] == uid.as_str()) {
                let theirs: &[&str] = if fresh["type"] == "LoadBalancer" {
                    &["ingress", "conditions", "standard"]
                } else {
                    &["standard"]
                };
                theirs.iter().for_each(|field| service[*field] = fresh[*field].clone());
            }
        }
        self
    }

    /// For people.
    pub(super) fn text(&self) -> String {
        serde_json::to_string_pretty(&json!({"services": self.services, "rest": self.rest})).unwrap()
    }

    /// Why a live Service may rightly be served otherwise than a new one: what it asks for cannot be had, or nothing is to be changed. Then
    /// it keeps what it has.
    pub(super) fn is_held(&self) -> bool {
        let held = |condition: &Value| {
            let text = condition.as_str().unwrap_or_default();
            text.starts_with("portolan.dev/Accepted False") || text.contains(" RequestedAddressUnavailable")
        };
        self.services.values().any(|service| service["conditions"].as_array().into_iter().flatten().any(held))
    }

    /// A share has the address that somebody asks for, or cannot follow one because of another: how it came to that is history.
    pub(super) fn is_bound_by_a_share(&self) -> bool {
        let bound = |condition: &Value| {
            let text = condition.as_str().unwrap_or_default();
            text.contains("belongs to load balancer share-") || text.contains("as long as nothing may be changed of")
        };
        self.services.values().any(|service| service_conditions(service).iter().any(bound))
    }

    /// What must be the same even then: the hop that fails, and why.
    pub(super) fn verdicts(&self) -> BTreeMap<&String, Vec<&str>> {
        let fails = |condition: &Value| condition.as_str().is_some_and(|text| text.split(' ').nth(1) != Some("True"));
        let hops = |service| {
            let conditions = service_conditions(service);
            let until = conditions.iter().position(fails).map_or(conditions.len(), |place| place + 1);
            conditions.iter().take(until).map(without_warnings).map(verdict).collect()
        };
        self.services.iter().map(|(name, service)| (name, hops(service))).collect()
    }
}

/// What holds holds in other words where something else is served. Of a refusal the first reason counts: those behind it may be about
/// the share that others hold against it, and how they came to that is history.
fn verdict(condition: &str) -> &str {
    let holds = condition.split(' ').nth(1) == Some("True");
    let refused = condition.starts_with("portolan.dev/Accepted False");
    let cut = if holds {
        ":"
    } else if refused {
        "; "
    } else {
        return condition;
    };
    condition.split_once(cut).map_or(condition, |(verdict, _)| verdict)
}

/// A warning is about what is served: a live Service whose last port is refused has it, a new one has nothing to be warned about; and
/// who shares with one that is refused is warned only if that one is live.
fn without_warnings(condition: &Value) -> &str {
    let text = condition.as_str().unwrap_or_default();
    let refused = text.starts_with("portolan.dev/Accepted False") || text.contains("which shares it");
    text.split_once("; warning: ").filter(|_| refused).map_or(text, |(verdict, _)| verdict)
}

fn service_conditions(service: &Value) -> &[Value] {
    service["conditions"].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn service(object: &Value) -> Value {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut finalizers: Vec<String> =
        object["metadata"]["finalizers"].as_array().into_iter().flatten().map(text).collect();
    finalizers.sort();
    let says = |condition: &Value| {
        let [kind, status, reason, message] =
            ["type", "status", "reason", "message"].map(|field| text(&condition[field]));
        let is_time = text(&condition["lastTransitionTime"]).parse::<jiff::Timestamp>().is_ok();
        format!("{kind} {status} {reason}: {message}{}", if is_time { "" } else { " (at no time)" })
    };
    let mut ingress = object.pointer("/status/loadBalancer/ingress").cloned().unwrap_or(json!([]));
    for ports in ingress.as_array_mut().into_iter().flatten().filter_map(|entry| entry.get_mut("ports")?.as_array_mut())
    {
        ports.sort_by_key(Value::to_string);
    }
    let conditions = || object["status"]["conditions"].as_array().into_iter().flatten();
    json!({
        "uid": object["metadata"]["uid"],
        "type": object["spec"]["type"],
        "deleting": !object["metadata"]["deletionTimestamp"].is_null(),
        "finalizers": finalizers,
        "ingress": ingress,
        "conditions": conditions().filter(|condition| is_ours(condition)).map(says).collect::<Vec<_>>(),
        "standard": conditions().filter(|condition| condition["type"] == PORTS_ERROR).map(says).collect::<Vec<_>>(),
    })
}

/// Nobody says or has said which scheme its load balancer has.
fn is_of_either_scheme(records: &BTreeMap<String, Value>, service: &Value) -> bool {
    let names = |record: &Value| {
        record["members"].as_array().into_iter().flatten().any(|member| member["uid"] == service["uid"])
    };
    let open = |(id, record): (&String, &Value)| is_open(records, id) && record["terms"]["scheme"].is_null();
    records.iter().filter(|(_, record)| names(record)).all(open)
}

/// Leaves out in which ranges the address does not lie that is asked for.
fn without_the_ranges(service: &mut Value) {
    for condition in service["conditions"].as_array_mut().into_iter().flatten() {
        let cut = condition.as_str().and_then(|text| text.split_once(" is no host of the class's "));
        if let Some(cut) = cut.map(|(before, _)| format!("{before} is in no range of the class")) {
            *condition = cut.into();
        }
    }
}

/// Nobody asks for its scheme.
fn is_open(records: &BTreeMap<String, Value>, id: &str) -> bool {
    let asked_by =
        |record: &Value| record["terms"]["scheme"]["askedBy"].as_array().is_some_and(|uids| !uids.is_empty());
    !records.get(id).is_some_and(asked_by)
}

fn balancer(records: &BTreeMap<String, Value>, id: &str, picture: &BalancerPicture) -> Value {
    let settled = records.get(id).map(|record| &record["terms"]["scheme"]["value"]).filter(|value| !value.is_null());
    let scheme = |generation: &GenerationPicture| {
        let scheme = json!(generation.scheme);
        if is_open(records, id) && settled.is_none_or(|settled| *settled == scheme) { json!("its own") } else { scheme }
    };
    let generation = |generation: &GenerationPicture| {
        json!({
            "scheme": scheme(generation), "state": generation.state, "draining": generation.draining,
            "addresses": generation.addresses, "hostname": generation.hostname, "listeners": generation.listeners,
        })
    };
    let term = records.get(id).map_or(&Value::Null, |record| &record["terms"]["sourceRanges"]);
    let is_left = term["askedBy"].as_array().is_none_or(Vec::is_empty);
    let left = if term.is_null() { json!("all") } else { json!({"only": term["value"]}) };
    let source_ranges = json!(picture.source_ranges);
    let source_ranges = if is_left && source_ranges == left { json!("those that are left") } else { source_ranges };
    json!({
        "instance": picture.instance, "members": picture.members, "sourceRanges": source_ranges, "nodes": picture.nodes,
        "generations": picture.generations.iter().map(generation).collect::<Vec<_>>(),
    })
}

/// Where a Service may ask for an address by name.
fn wishes(service: &Value) -> String {
    format!(
        "{} {}",
        service["spec"]["loadBalancerIP"], service["metadata"]["annotations"]["portolan.dev/load-balancer-ips"]
    )
}

/// The /24 or /64 that an address lies in: as far as it may differ.
fn network(address: IpAddr) -> String {
    let length = if address.is_ipv4() { 24 } else { 64 };
    ipnet::IpNet::new(address, length).unwrap().trunc().to_string()
}

/// Names for what may differ.
#[derive(Default)]
struct Aliases(BTreeMap<String, String>);

impl Aliases {
    fn add(&mut self, text: String, alias: String) {
        self.0.insert(text, alias);
    }

    /// Without those for what a Service itself names: that stands in what it is told.
    fn without(&self, wishes: &str) -> Self {
        let others = self.0.iter().filter(|(text, _)| !wishes.contains(text.as_str()));
        Self(others.map(|(text, alias)| (text.clone(), alias.clone())).collect())
    }

    fn of<'a>(&'a self, text: &'a str) -> &'a str {
        self.0.get(text).map_or(text, String::as_str)
    }

    fn put(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => {
                // Whole words only: 203.0.113.1 is no part of 203.0.113.12.
                let words = text.split_inclusive([' ', ',']);
                let put = |word: &str| {
                    let bare = word.trim_end_matches([' ', ',']);
                    format!("{}{}", self.of(bare), &word[bare.len()..])
                };
                words.map(put).collect::<String>().into()
            }
            Value::Array(items) => items.iter().map(|item| self.put(item)).collect(),
            Value::Object(fields) => fields.iter().map(|(key, value)| (key.clone(), self.put(value))).collect(),
            other @ (Value::Null | Value::Bool(_) | Value::Number(_)) => other.clone(),
        }
    }
}
