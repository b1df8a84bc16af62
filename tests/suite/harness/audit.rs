//! The server's audit log: who wrote what, and who was refused what.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

use super::World;

/// One write that the server answered.
#[derive(Clone, Debug)]
pub(crate) struct Write {
    /// `create`, `update`, `patch`, `delete`.
    pub(crate) verb: String,
    /// `services`, `services/status`, `loadbalancerrecords`, ...
    pub(crate) resource: String,
    /// The object's name; empty where the server makes it.
    pub(crate) name: String,
    /// The namespace; empty for cluster-scoped objects.
    pub(crate) namespace: String,
    /// The HTTP status of the answer.
    pub(crate) status: u64,
    /// What was sent.
    pub(crate) body: Value,
}

impl World {
    /// The writes of a user in their order, leases excluded. The server writes the log after it has answered: a test that
    /// counts on a write being there must wait for it.
    pub(crate) fn writes(&self, user: &str) -> Vec<Write> {
        requests(&self.server.folder, user)
            .iter()
            .filter(|event| event["objectRef"]["resource"] != "leases" && !is_read(event))
            .map(Write::read)
            .collect()
    }

    /// What a user has asked for and was allowed, as `VERB RESOURCE`. A watch is there when it has ended.
    pub(crate) fn allowed(&self, user: &str) -> BTreeSet<String> {
        rights(&requests(&self.server.folder, user), "allow")
    }

    /// What a user has asked for without having the right, as `VERB RESOURCE`. (Not every 403 is that: a namespace that is being
    /// deleted answers so to whoever creates something in it.)
    pub(crate) fn forbidden(&self, user: &str) -> BTreeSet<String> {
        rights(&requests(&self.server.folder, user), "forbid")
    }
}

/// The requests of a user that the server has answered.
fn requests(folder: &Path, user: &str) -> Vec<Value> {
    let log = fs::read(folder.join("audit.log")).unwrap_or_default();
    let marker = format!("\"username\":\"{user}\"");
    String::from_utf8_lossy(&log)
        .lines()
        .filter(|line| line.contains(&marker))
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}

fn is_read(event: &Value) -> bool {
    ["get", "list", "watch"].iter().any(|verb| event["verb"] == *verb)
}

/// The rights that requests on objects needed, where the server decided so.
fn rights(requests: &[Value], decision: &str) -> BTreeSet<String> {
    let decided = |event: &&Value| event["annotations"]["authorization.k8s.io/decision"] == decision;
    let objects = requests.iter().filter(decided).filter(|event| event["objectRef"]["resource"].is_string());
    objects.map(Write::read).map(|request| format!("{} {}", request.verb, request.resource)).collect()
}

impl Write {
    fn read(event: &Value) -> Self {
        let object = &event["objectRef"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let resource = match object["subresource"].as_str() {
            Some(subresource) => format!("{}/{subresource}", text(&object["resource"])),
            None => text(&object["resource"]),
        };
        Self {
            verb: text(&event["verb"]),
            resource,
            name: text(&object["name"]),
            namespace: text(&object["namespace"]),
            status: event["responseStatus"]["code"].as_u64().unwrap_or_default(),
            body: event["requestObject"].clone(),
        }
    }
}
