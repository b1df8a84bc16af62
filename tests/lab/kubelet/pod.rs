//! One pod on its node: namespace, process, and what the API is told of them.

use std::fs::File;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::heartbeat::seconds;
use super::{READY, listens};
use crate::api::Api;
use crate::binaries;
use crate::network::{Node, add_pod, command_in, remove_pod};
use crate::process::Process;

/// A running pod.
pub(super) struct Pod {
    pub(super) node: Node,
    /// Of those of its node.
    pub(super) number: u8,
    /// The name of its network namespace: `NAMESPACE.NAME`.
    place: String,
    process: Process,
    started: String,
    /// When it is killed if it has not stopped by itself; from the moment it was asked to.
    until: Option<Instant>,
}

impl Pod {
    /// Gives it a namespace and starts its process; `None`, and phase `Failed` with the reason, if it is none that the lab can run.
    pub(super) fn start(api: &Api, folder: &Path, node: Node, number: u8, object: &Value) -> Option<Self> {
        if object["status"]["phase"] == "Failed" {
            return None;
        }
        let container = &object["spec"]["containers"][0];
        if !container["image"].as_str().is_some_and(|image| image.contains("agnhost")) {
            let said =
                json!({"phase": "Failed", "reason": "OnlyAgnhost", "message": "the lab runs no image but agnhost"});
            let _ = api.try_patch(&format!("{}/status", path(object)), &json!({"status": said}));
            return None;
        }
        let metadata = &object["metadata"];
        let (namespace, name) = (metadata["namespace"].as_str()?, metadata["name"].as_str()?);
        let place = format!("{namespace}.{name}");
        add_pod(node, &place, number);
        let log = File::create(folder.join(format!("pod-{place}.log"))).expect("the lab's folder can be written");
        let arguments = container["args"].as_array().into_iter().flatten().filter_map(Value::as_str);
        // Its name is what it answers to `hostname`, so it needs one of its own; no step of this forks.
        let mut command = command_in(&place, "unshare");
        command
            .args(["--uts", "sh", "-c", r#"echo "$0" > /proc/sys/kernel/hostname; exec "$@""#, name])
            .arg(binaries::path("agnhost"))
            .args(arguments)
            .stdout(log.try_clone().expect("a file"))
            .stderr(log);
        let process = Process::spawn(&mut command).expect("ip and unshare start");
        Some(Self { node, number, place, process, started: seconds(), until: None })
    }

    /// Tells the API what is new about it.
    pub(super) fn report(&self, api: &Api, object: &Value) {
        let serves = self.process.is_running() && self.first_port(object).is_none_or(|port| listens(self.node, port));
        let ready = serves && object["metadata"]["annotations"][READY] != "false";
        let conditions = object["status"]["conditions"].as_array();
        let said =
            conditions.into_iter().flatten().any(|one| one["type"] == "Ready" && (one["status"] == "True") == ready);
        if !said || object["status"]["podIP"].is_null() {
            // One that is gone meanwhile needs no status.
            let _ = api.try_patch(&format!("{}/status", path(object)), &json!({"status": self.status(object, ready)}));
        }
    }

    /// It has ended, having been asked to; the first call asks.
    pub(super) fn has_stopped(&mut self, object: &Value) -> bool {
        let until = *self.until.get_or_insert_with(|| {
            self.process.signal("TERM");
            let grace = object["metadata"]["deletionGracePeriodSeconds"].as_u64().unwrap_or(0);
            Instant::now() + Duration::from_secs(grace)
        });
        !self.process.is_running() || Instant::now() >= until
    }

    /// Ends it and takes its namespace away.
    pub(super) fn remove(&self) {
        self.process.kill();
        remove_pod(self.node, &self.place, self.number);
    }

    fn first_port(&self, object: &Value) -> Option<SocketAddr> {
        let ports = object["spec"]["containers"][0]["ports"].as_array()?;
        let tcp = ports.iter().find(|port| port["protocol"] == "TCP")?;
        let [address, _] = self.node.pod_addresses(self.number);
        Some(SocketAddr::new(address, u16::try_from(tcp["containerPort"].as_u64()?).ok()?))
    }

    fn status(&self, object: &Value, ready: bool) -> Value {
        let (now, word) = (seconds(), if ready { "True" } else { "False" });
        let condition = |kind: &str, status: &str| json!({"type": kind, "status": status, "lastTransitionTime": now});
        let container = &object["spec"]["containers"][0];
        json!({
            "phase": "Running", "startTime": self.started,
            "hostIP": self.node.addresses()[0], "hostIPs": self.node.addresses().map(|ip| json!({"ip": ip})),
            "podIP": self.node.pod_addresses(self.number)[0],
            "podIPs": self.node.pod_addresses(self.number).map(|ip| json!({"ip": ip})),
            "conditions": [
                condition("PodScheduled", "True"), condition("Initialized", "True"),
                condition("ContainersReady", word), condition("Ready", word),
            ],
            "containerStatuses": [{
                "name": container["name"], "image": container["image"], "imageID": "", "restartCount": 0, "ready": ready,
                "started": true, "state": {"running": {"startedAt": self.started}},
            }],
        })
    }
}

/// Takes it from the API: what a kubelet does when nothing of a pod is left.
pub(super) fn forget(api: &Api, object: &Value) {
    let at_once = json!({
        "apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0,
        "preconditions": {"uid": object["metadata"]["uid"]},
    });
    let _ = api.request(http::Method::DELETE, &path(object), Some(("application/json", &at_once)));
}

fn path(object: &Value) -> String {
    let metadata = &object["metadata"];
    let word = |of: &str| metadata[of].as_str().expect("every pod has one").to_owned();
    format!("/api/v1/namespaces/{}/pods/{}", word("namespace"), word("name"))
}
