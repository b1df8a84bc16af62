//! What must hold at every write of a controller and at every step at the provider, whatever the weather. The end of a run has laws of its
//! own ([`super::end`]).
//!
//! - Written are: finalizers, `status.loadBalancer` and conditions of Services that are ours or were; records; Events; the Lease. Nothing
//!   else, and of those objects no other field. Finalizers, conditions, labels and annotations of others stay.
//! - Before a step there is a record, and before a load balancer is created our finalizer is on its Services.
//! - A record goes when nothing is left at the provider, our finalizer when no record names the Service.
//! - An address that satisfies stays as long as nobody edits its Service, and nobody who shares its load balancer asks for another.
//! - Who does not hold the Lease begins no write and no step.
//!
//! Two controllers that act without election overlap: one may see for a moment what the other is about to mend, so the order of the marks
//! is judged at the end only.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use portolan_core::provider::{Call, Step as _};
use portolan_core::reason::{ConditionType, PORTS_ERROR};
use portolan_mock::Step;
use serde_json::Value;

use super::asked::by_another_member;
use super::cluster::{Cluster, RECORDS, SERVICES};
use super::life::Life;
use super::schedule::Controllers;
use super::weather::Ask;

pub(super) const FINALIZER: &str = "portolan.dev/load-balancer";
const STANDARD: &str = "service.kubernetes.io/load-balancer-cleanup";
const LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/portolan";

pub(super) struct Laws {
    cluster: Arc<Cluster>,
    controllers: Controllers,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    broken: Option<String>,
    /// All that was done, for people.
    journal: Vec<String>,
    /// Writes and steps, but for leases.
    deeds: u64,
    /// Who stands for election under which name, by the number of the life.
    identities: BTreeMap<u64, String>,
    /// The records that somebody has edited or deleted.
    records_by_hand: BTreeSet<String>,
    /// The Services whose finalizers somebody has edited, by UID.
    stripped: BTreeSet<String>,
    /// The Services that have been programmed since anybody asked for anything else, by UID.
    satisfied: BTreeSet<String>,
}

impl Laws {
    pub(super) fn new(cluster: Arc<Cluster>, controllers: Controllers) -> Self {
        Self { cluster, controllers, state: Mutex::default() }
    }

    /// The first law that was broken.
    pub(super) fn broken(&self) -> Option<String> {
        self.state().broken.clone()
    }

    pub(super) fn deeds(&self) -> u64 {
        self.state().deeds
    }

    pub(super) fn journal(&self) -> Vec<String> {
        self.state().journal.clone()
    }

    pub(super) fn is_by_hand(&self, record: &str) -> bool {
        self.state().records_by_hand.contains(record)
    }

    pub(super) fn note(&self, line: impl Into<String>) {
        let line = format!("{:>11.3} {}", self.cluster.now() as f64 / 1000.0, line.into());
        self.state().journal.push(line);
    }

    pub(super) fn stands(&self, life: &Life, identity: &str) {
        self.state().identities.insert(life.number, identity.to_owned());
    }

    /// Somebody has asked for something else.
    pub(super) fn asked(&self, uid: &str) {
        self.state().satisfied.remove(uid);
    }

    pub(super) fn asked_of_all(&self) {
        self.state().satisfied.clear();
    }

    pub(super) fn stripped(&self, uid: &str) {
        self.state().stripped.insert(uid.to_owned());
    }

    pub(super) fn record_by_hand(&self, id: &str) {
        self.state().records_by_hand.insert(id.to_owned());
    }

    /// A controller is about to make a call.
    pub(super) fn asks(&self, life: &Life, ask: &Ask) {
        if ask.is_write() && !matches!(ask.resource.as_str(), "leases" | "events") {
            self.leads(life, &format!("{} {}", ask.method, ask.path));
        }
    }

    /// Whoever acts must hold the Lease.
    pub(super) fn leads(&self, life: &Life, what: &str) {
        if self.controllers != Controllers::TwoElected {
            return;
        }
        let lease = self.cluster.get(LEASE).unwrap_or_default();
        let identity = self.state().identities.get(&life.number).cloned().unwrap_or_default();
        if lease["spec"]["holderIdentity"] != identity.as_str() {
            self.breaks(format!(
                "controller {} does not lead ({} does) but begins {what}",
                life.who, lease["spec"]["holderIdentity"]
            ));
        }
    }

    /// What a write is about to change.
    pub(super) fn before(&self, ask: &Ask) -> Value {
        let path = ask.path.trim_end_matches("/status");
        if ask.method == http::Method::POST { Value::Null } else { self.cluster.get(path).unwrap_or_default() }
    }

    /// The server has answered a write.
    pub(super) fn wrote(&self, life: &Life, ask: &Ask, code: u16, body: &Bytes, before: &Value, answer: &Bytes) {
        if ask.resource == "leases" {
            return;
        }
        self.state().deeds += 1;
        let body = String::from_utf8_lossy(body);
        self.note(format!("controller {}: {} {} -> {code} {body}", life.who, ask.method, ask.path));
        let is_status = ask.path.ends_with("/status");
        match (ask.resource.as_str(), ask.method.as_str()) {
            ("services", "PATCH") if is_status && code < 300 => {
                let told = body.contains("\"loadBalancer\"");
                self.service_written(before, &serde_json::from_slice(answer).unwrap(), told);
            }
            ("loadbalancerrecords", "DELETE") if code < 300 => self.record_deleted(before),
            ("services", "PATCH") if is_status => {}
            ("loadbalancerrecords", "POST" | "PUT" | "DELETE") | ("events", "POST") => {}
            _ => self.breaks(format!("a controller may not {} {}", ask.method, ask.path)),
        }
    }

    fn service_written(&self, before: &Value, after: &Value, told: bool) {
        let name = format!("Service {}", before["metadata"]["name"]);
        if before["spec"] != after["spec"] {
            self.breaks(format!("{name}: the spec was changed"));
        }
        for field in ["labels", "annotations", "ownerReferences"] {
            if before["metadata"][field] != after["metadata"][field] {
                self.breaks(format!("{name}: metadata.{field} was changed"));
            }
        }
        if foreign_finalizers(before) != foreign_finalizers(after) {
            self.breaks(format!("{name}: somebody else's finalizer was changed"));
        }
        let (theirs, left) = (foreign_conditions(before), foreign_conditions(after));
        if theirs != left {
            self.breaks(format!("{name}: somebody else's conditions were {theirs:?} and are {left:?}"));
        }
        let class = before["spec"]["loadBalancerClass"].as_str().unwrap_or_default();
        if matches!(class, "example.com/foreign" | "portolan.dev/unknown") && !is_marked(before) {
            self.breaks(format!("{name} is somebody else's and was written"));
        }
        let uid = uid(before);
        if has_finalizer(before) && !has_finalizer(after) && self.controllers != Controllers::TwoActing {
            self.let_go(&name, uid);
        }
        self.published(&name, uid, before, after, told);
    }

    /// Our finalizer has gone.
    fn let_go(&self, name: &str, uid: &str) {
        for record in self.cluster.list(RECORDS) {
            if members(&record).any(|member| member == uid) {
                self.breaks(format!(
                    "{name}: our finalizer went although record {} names it",
                    record["metadata"]["name"]
                ));
            }
        }
        for (world, picture) in self.cluster.pictures() {
            for (id, balancer) in &picture.balancers {
                let serves = balancer.members.iter().any(|member| member.uid.as_str() == uid);
                if (serves || id.as_str() == uid) && !self.is_by_hand(id.as_str()) {
                    self.breaks(format!("{name}: our finalizer went although {id} exists in {world}"));
                }
            }
        }
    }

    /// `told` if the write is about what is offered.
    fn published(&self, name: &str, uid: &str, before: &Value, after: &Value, told: bool) {
        let (was, is) = (addresses(before), addresses(after));
        let mut state = self.state();
        if !was.is_empty() && was != is && state.satisfied.contains(uid) {
            drop(state);
            let (services, records) = (self.cluster.list(SERVICES), self.cluster.list(RECORDS));
            if by_another_member(uid, &services, &records, &was, &is) {
                return;
            }
            return self.breaks(format!("{name}: nobody asked for it, but {was:?} became {is:?}"));
        }
        if told && holds(after, "portolan.dev/Programmed") && !is.is_empty() {
            state.satisfied.insert(uid.to_owned());
        }
    }

    fn record_deleted(&self, record: &Value) {
        let id = record["metadata"]["name"].as_str().unwrap_or_default();
        if self.controllers == Controllers::TwoActing || self.is_by_hand(id) {
            return;
        }
        for (world, picture) in self.cluster.pictures() {
            let owns = picture.addresses.values().any(|owner| owner.as_str() == id);
            if record["spec"]["parameters"]["state"] == world.as_str()
                && (owns || picture.balancers.keys().any(|balancer| balancer.as_str() == id))
            {
                self.breaks(format!("record {id} went although something of it is left in {world}"));
            }
        }
    }

    /// A step is about to be carried out.
    pub(super) fn steps(&self, life: &Life, world: &str, step: &Step, call: &Call) {
        self.note(format!("controller {}: in {world}, {}: {step}", life.who, call.id));
        let id = call.id.as_str();
        if self.controllers == Controllers::TwoActing || self.is_by_hand(id) {
            return;
        }
        if self.cluster.get(&format!("{RECORDS}/{id}")).is_none() {
            self.breaks(format!("{} for {id} without a record", step.name()));
        }
        if !matches!(step, Step::CreateBalancer { .. }) {
            return;
        }
        for member in &call.members {
            let (namespace, name) = (&member.namespace, &member.name);
            let service = self.cluster.get(&format!("/api/v1/namespaces/{namespace}/services/{name}"));
            let own = service.filter(|service| uid(service) == member.uid.as_str());
            let stripped = self.state().stripped.contains(member.uid.as_str());
            if own.is_some_and(|service| !has_finalizer(&service)) && !stripped {
                self.breaks(format!("{id} is created for {name}, which does not have our finalizer"));
            }
        }
    }

    /// A step has had its effect.
    pub(super) fn stepped(&self) {
        self.state().deeds += 1;
    }

    fn breaks(&self, law: String) {
        self.note(format!("BROKEN: {law}"));
        self.state().broken.get_or_insert(law);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

pub(super) fn uid(object: &Value) -> &str {
    object["metadata"]["uid"].as_str().unwrap_or_default()
}

pub(super) fn finalizers(object: &Value) -> impl Iterator<Item = &str> {
    object["metadata"]["finalizers"].as_array().into_iter().flatten().filter_map(Value::as_str)
}

pub(super) fn has_finalizer(object: &Value) -> bool {
    finalizers(object).any(|one| one == FINALIZER)
}

pub(super) fn conditions(service: &Value) -> impl Iterator<Item = &Value> {
    service["status"]["conditions"].as_array().into_iter().flatten()
}

pub(super) fn is_ours(condition: &Value) -> bool {
    ConditionType::ALL.iter().any(|ours| condition["type"] == ours.name())
}

/// The condition of this type is True.
pub(super) fn holds(service: &Value, condition: &str) -> bool {
    conditions(service).any(|one| one["type"] == condition && one["status"] == "True")
}

/// The UIDs that a record names.
pub(super) fn members(record: &Value) -> impl Iterator<Item = &str> {
    record["spec"]["members"].as_array().into_iter().flatten().filter_map(|member| member["uid"].as_str())
}

/// What a status offers: addresses and names.
pub(super) fn addresses(service: &Value) -> BTreeSet<String> {
    let ingress = service["status"]["loadBalancer"]["ingress"].as_array().into_iter().flatten();
    ingress.filter_map(|one| one["ip"].as_str().or(one["hostname"].as_str())).map(str::to_owned).collect()
}

fn is_marked(service: &Value) -> bool {
    has_finalizer(service) || conditions(service).any(is_ours)
}

fn foreign_finalizers(service: &Value) -> Vec<&str> {
    finalizers(service).filter(|one| *one != FINALIZER && *one != STANDARD).collect()
}

fn foreign_conditions(service: &Value) -> Vec<&Value> {
    conditions(service).filter(|condition| !is_ours(condition) && condition["type"] != PORTS_ERROR).collect()
}
