//! The server's audit log: who wrote what. Reads are not in it.

use std::fs;

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
        let log = fs::read(self.server.folder.join("audit.log")).unwrap_or_default();
        let marker = format!("\"username\":\"{user}\"");
        String::from_utf8_lossy(&log)
            .lines()
            .filter(|line| line.contains(&marker))
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .filter(|event| event["objectRef"]["resource"] != "leases")
            .map(|event| Write::read(&event))
            .collect()
    }
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
