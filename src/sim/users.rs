//! What users do, in the words of `testdata/edits`. What the server refuses is refused, as everywhere.

use portolan_mock::faults;
use serde_json::{Value, json};

use super::cluster::{Cluster, JSON, MERGE, RECORDS};
use super::laws::{Laws, holds, uid};

/// Who edits: see the module.
pub(super) struct Users<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) laws: &'a Laws,
}

impl Users<'_> {
    /// Does what a document says; one that is about no process.
    pub(super) fn act(&self, document: &Value) {
        let target = |verb: &str| document[verb].as_str().map(path);
        if let Some(path) = target("$patch") {
            self.patch(&path, &without(document, "$patch"), false);
        } else if let Some(path) = target("$patchStatus") {
            self.patch(&path, &without(document, "$patchStatus"), true);
        } else if let Some(path) = target("$delete") {
            self.asked(&path);
            let (code, _) = self.cluster.send("DELETE", &path, JSON, &Value::Null);
            self.laws.note(format!("user: DELETE {path} -> {code}"));
        } else if let Some(name) = document["$fault"].as_str() {
            let fault = serde_json::from_value(without(document, "$fault")).unwrap();
            // Armed already: then it stays as it is.
            self.cluster.worlds().iter().for_each(|(_, world)| drop(faults::add(world, name, &fault)));
            self.laws.note(format!("provider: {document}"));
        } else if let Some(name) = document["$endFault"].as_str() {
            self.cluster.worlds().iter().for_each(|(_, world)| drop(faults::end(world, name)));
            self.laws.note(format!("provider: {document}"));
        } else {
            self.create(document);
        }
    }

    /// Applies an object; of a Service it is a creation.
    fn create(&self, object: &Value) {
        let kind = object["kind"].as_str().unwrap();
        let own = path(&format!("{kind}/{}", object["metadata"]["name"].as_str().unwrap()));
        let all = own.rsplit_once('/').unwrap().0.to_owned();
        let mut object = object.clone();
        let code = match self.cluster.get(&own).filter(|_| kind != "Service") {
            None => self.cluster.send("POST", &all, JSON, &object).0,
            Some(old) => {
                object["metadata"]["resourceVersion"] = old["metadata"]["resourceVersion"].clone();
                let (code, stored) = self.cluster.send("PUT", &own, JSON, &object);
                if code < 300 && !object["status"].is_null() {
                    object["metadata"]["resourceVersion"] = stored["metadata"]["resourceVersion"].clone();
                    self.cluster.send("PUT", &format!("{own}/status"), JSON, &object);
                }
                code
            }
        };
        self.laws.note(format!("user: apply {own} -> {code} {object}"));
    }

    fn patch(&self, path: &str, patch: &Value, status: bool) {
        self.asked(path);
        let own = if status { format!("{path}/status") } else { path.to_owned() };
        let (code, stored) = self.cluster.send("PATCH", &own, MERGE, patch);
        self.asked(path);
        if code < 300 && patch["metadata"].get("finalizers").is_some() {
            self.laws.stripped(uid(&stored));
        }
        self.laws.note(format!("user: PATCH {own} -> {code} {patch}"));
    }

    fn asked(&self, path: &str) {
        let Some(object) = self.cluster.get(path) else { return };
        self.laws.asked(uid(&object));
        // Who shares has a say for the others.
        if !object["metadata"]["annotations"]["portolan.dev/share"].is_null() {
            self.laws.asked_of_all();
        }
    }

    /// The record is all that remembers. Who edits it and takes away what else could tell before anybody has looked has orphaned what it
    /// stands for, and its documentation says so: so this is done only where it can be put right. Whether it was done.
    pub(super) fn edit_record(&self, document: &Value) -> bool {
        let name = document["$patchRecord"].as_str().or(document["$deleteRecord"].as_str()).unwrap();
        let Some(service) = self.cluster.get(&path(&format!("Service/{name}"))) else { return false };
        let programmed = holds(&service, "portolan.dev/Accepted") && holds(&service, "portolan.dev/Programmed");
        // On its way to a share or back, a Service has two records, and only one of them can be put right.
        let moves = self.cluster.list(RECORDS).iter().any(|record| !record["spec"]["share"].is_null());
        let shares = !service["metadata"]["annotations"]["portolan.dev/share"].is_null();
        let goes = !service["metadata"]["deletionTimestamp"].is_null() || service["spec"]["type"] != "LoadBalancer";
        let uid = uid(&service);
        // Nor once it has come to another class: what the record stands for goes then, and nothing else remembers it.
        let class = &service["spec"]["loadBalancerClass"];
        let record = self.cluster.get(&format!("{RECORDS}/{uid}")).unwrap_or_default();
        let named = || record["spec"]["aliases"].as_array().into_iter().flatten().chain([&record["spec"]["class"]]);
        let stays = class.is_null() || named().any(|name| name == class);
        if !programmed || moves || shares || goes || !stays {
            return false;
        }
        self.laws.asked(uid);
        self.laws.record_by_hand(uid);
        let own = format!("{RECORDS}/{uid}");
        let code = match document.get("$deleteRecord") {
            Some(_) => self.cluster.send("DELETE", &own, JSON, &Value::Null).0,
            None => self.cluster.send("PATCH", &own, MERGE, &without(document, "$patchRecord")).0,
        };
        self.laws.note(format!("user: {document} -> {code}"));
        true
    }
}

/// Where `KIND/NAME` lies, in the namespace `default`.
fn path(name: &str) -> String {
    let (kind, name) = name.split_once('/').unwrap();
    match kind {
        "Service" => format!("/api/v1/namespaces/default/services/{name}"),
        "Node" => format!("/api/v1/nodes/{name}"),
        "Namespace" => format!("/api/v1/namespaces/{name}"),
        "EndpointSlice" => format!("/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/{name}"),
        "LoadBalancerRecord" => format!("{RECORDS}/{name}"),
        other => panic!("the edits know no {other}"),
    }
}

fn without(document: &Value, verb: &str) -> Value {
    let mut rest = document.as_object().cloned().unwrap_or_default();
    rest.remove(verb);
    json!(rest)
}
