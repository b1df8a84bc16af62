//! A world in which a sequence of edits is played.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use portolan_core::claim::{Claim, Claimed, Standing, claim};
use portolan_core::reason::{ConditionType, PORTS_ERROR};
use portolan_mock::faults;
use serde_json::Value;

use super::super::case::{Act, act};
use super::super::journal::Journal;
use super::super::lab::Lab;
use super::super::server::Name;
use crate::cluster::project;
use crate::config::Configuration;
use crate::sim::grammar::Grammar;

/// How often the mock looks for changes: far below the time that everything has to settle.
const NAP: Duration = Duration::from_secs(50);

pub(super) struct History<'a> {
    pub(super) lab: Lab,
    configurations: &'a BTreeMap<String, Configuration>,
    /// The configuration that the controller has, by its file.
    pub(super) configuration: String,
    /// What others have last put among the conditions of each Service, by its UID.
    pub(super) conditions_of_others: BTreeMap<String, Vec<Value>>,
    /// The Services whose status was written by hand since they came to be, by their UID.
    pub(super) written_by_hand: Vec<String>,
    /// The records that somebody has edited or deleted.
    pub(super) records_by_hand: Vec<String>,
}

impl<'a> History<'a> {
    /// A world with the first manifests, in which a controller runs.
    pub(super) async fn begin(grammar: &'a Grammar, journal: Journal) -> Self {
        let mut history = Self::empty(grammar, journal);
        history.up("config.yaml");
        for document in &grammar.begin {
            history.play(document).await;
        }
        history
    }

    /// A world without anything.
    pub(super) fn empty(grammar: &'a Grammar, journal: Journal) -> Self {
        Self {
            lab: Lab::new(journal, NAP),
            configurations: &grammar.configurations,
            configuration: String::new(),
            conditions_of_others: BTreeMap::new(),
            written_by_hand: Vec::new(),
            records_by_hand: Vec::new(),
        }
    }

    /// The controller starts.
    pub(super) fn up(&mut self, configuration: &str) {
        if self.configuration != configuration {
            self.lab.configured(self.configurations[configuration].clone());
            configuration.clone_into(&mut self.configuration);
        }
        self.lab.start();
        self.lab.server.flow();
    }

    pub(super) async fn restart(&mut self, configuration: &str) {
        self.lab.stop().await;
        self.up(configuration);
    }

    /// Does what a document says. What the server refuses is refused, as everywhere.
    pub(super) async fn play(&mut self, edit: &Value) {
        if let Some(how) = edit["$down"].as_str() {
            if how == "killed" { self.lab.kill().await } else { self.lab.stop().await }
        } else if !edit["$up"].is_null() {
            let configuration = edit["$up"].as_str().unwrap_or(&self.configuration).to_owned();
            if !self.lab.is_up() {
                self.up(&configuration);
            }
        } else if let Some(seconds) = edit["$wait"].as_u64() {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
        } else if let Some(turns) = edit["$turns"].as_u64() {
            for _ in 0..turns {
                tokio::task::yield_now().await;
            }
        } else if let Some(service) = edit["$patchRecord"].as_str().or(edit["$deleteRecord"].as_str()) {
            self.edit_record(service, edit).await;
        } else {
            self.act(edit.clone());
        }
    }

    fn act(&mut self, edit: Value) {
        let by_hand = edit.clone();
        match act(edit, Path::new("testdata/edits")) {
            // A refusal is part of the history: the edit has not happened.
            Act::Create(object) => drop(self.lab.server.create(object)),
            Act::Patch { target, patch, status: false } => drop(self.lab.server.patch(&target, patch, false)),
            Act::Patch { target, patch, status: true } => {
                if self.lab.server.patch(&target, patch, true).is_ok() {
                    self.status_written(&target, &by_hand);
                }
            }
            Act::Delete(name) => drop(self.lab.server.delete(&name)),
            Act::Fault { name, fault } => {
                // Armed already: then it stays as it is.
                self.lab.worlds.values().for_each(|world| drop(faults::add(world, &name, &fault)));
            }
            Act::EndFault(name) => self.lab.worlds.values().for_each(|world| drop(faults::end(world, &name))),
            Act::Restart { .. } | Act::Seen | Act::WaitMinutes(_) => panic!("no edit: {by_hand}"),
        }
    }

    fn status_written(&mut self, target: &Name, edit: &Value) {
        let Some(service) = self.lab.server.get(target) else { return };
        let uid = uid(&service);
        if edit["status"].get("conditions").is_some() {
            self.conditions_of_others.insert(uid.clone(), of_others(&service));
        }
        self.written_by_hand.push(uid);
    }

    /// Without its record this Service would come to the same class; else only the record knows where it is.
    fn would_come_here_today(&self, service: &Value) -> bool {
        let class = self.lab.server.get(&Name::new("LoadBalancerRecord", "", &uid(service)));
        let class = class.and_then(|record| record["spec"]["class"].as_str().map(str::to_owned));
        let service = project::service(serde_json::from_value(service.clone()).unwrap()).object;
        match claim(&service, &[], &self.lab.configuration.classes) {
            Claim::Claimed(Claimed { standing: Standing::Serve(today), .. }) => class == Some(today.name.to_string()),
            Claim::Claimed(_) | Claim::NotOurs(_) | Claim::WasOurs(_) => false,
        }
    }

    /// A Service that is refused by a class to which only its record still binds it: applied anew it would come to another one.
    pub(super) fn is_bound_by_a_record(&self) -> bool {
        let refused = |service: &Value| {
            let conditions = service["status"]["conditions"].as_array();
            conditions
                .into_iter()
                .flatten()
                .any(|one| one["type"] == "portolan.dev/Accepted" && one["status"] == "False")
        };
        let mut services = self.lab.server.list("Service").into_iter().map(|(_, service)| service);
        services.any(|service| {
            let record = Name::new("LoadBalancerRecord", "", &uid(&service));
            refused(&service) && self.lab.server.get(&record).is_some() && !self.would_come_here_today(&service)
        })
    }

    /// The record is all that remembers. Who edits it and takes away what else could tell before anybody has looked has orphaned what it
    /// stands for, and its documentation says so: so this is done only where it can be put right, and time is given for it.
    async fn edit_record(&mut self, service: &str, edit: &Value) {
        // Of what has been seen: an edit that nobody has looked at yet may be refused.
        self.lab.settle().await;
        let Some(service) = self.lab.server.get(&Name::parse(&format!("Service/{service}"))) else { return };
        let record = Name::new("LoadBalancerRecord", "", &uid(&service));
        let served = service["status"]["conditions"].as_array().into_iter().flatten();
        let served = served.clone().any(|condition| condition["reason"] == "Programmed")
            && served
                .clone()
                .any(|condition| condition["type"] == "portolan.dev/Accepted" && condition["status"] == "True");
        // On its way to a share or back, a Service has two records, and only one of them can be put right.
        let moves = self.lab.server.list("LoadBalancerRecord").iter().any(|(_, one)| !one["spec"]["share"].is_null());
        if !self.lab.is_up()
            || moves
            || !self.would_come_here_today(&service)
            || !service["metadata"]["annotations"]["portolan.dev/share"].is_null()
            || !served
            || service["spec"]["type"] != "LoadBalancer"
            || !service["metadata"]["deletionTimestamp"].is_null()
        {
            return;
        }
        if edit["$deleteRecord"].is_null() {
            let mut patch = edit.clone();
            patch.as_object_mut().map(|fields| fields.remove("$patchRecord"));
            drop(self.lab.server.patch(&record, patch, false));
        } else {
            drop(self.lab.server.delete(&record));
        }
        self.records_by_hand.push(record.name);
        self.lab.settle().await;
    }
}

pub(super) fn uid(object: &Value) -> String {
    object["metadata"]["uid"].as_str().unwrap_or_default().to_owned()
}

/// The conditions that no Portolan writes. The standard one belongs to whoever serves the Service.
pub(super) fn of_others(service: &Value) -> Vec<Value> {
    let conditions = service["status"]["conditions"].as_array().cloned().unwrap_or_default();
    conditions.into_iter().filter(|condition| !is_ours(condition) && condition["type"] != PORTS_ERROR).collect()
}

pub(super) fn is_ours(condition: &Value) -> bool {
    ConditionType::ALL.iter().any(|ours| condition["type"] == ours.name())
}
