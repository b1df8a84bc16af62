//! The cells of a Pod: what its containers say, in one word.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::text::{items, or, since, text};

pub(super) fn cells(pod: &Value, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (&pod["spec"], &pod["status"]);
    let sidecars = items(&spec["initContainers"]).iter().filter(|container| is_sidecar(container)).count();
    let seen = Seen::of(pod);
    let restarts = match seen.restarted {
        Some(_) if seen.restarts == 0 => "0".to_owned(),
        Some(last) => format!("{} ({} ago)", seen.restarts, since(&last.to_string().into(), now)),
        None => seen.restarts.to_string(),
    };
    let gates = items(&spec["readinessGates"]);
    let is_true =
        |gate: &&Value| condition_of(pod, text(&gate["conditionType"])).is_some_and(|one| one["status"] == "True");
    let gates = match gates.len() {
        0 => "<none>".to_owned(),
        all => format!("{}/{all}", gates.iter().filter(is_true).count()),
    };
    let address = items(&status["podIPs"]).first().map_or("", |one| text(&one["ip"]));
    vec![
        text(&pod["metadata"]["name"]).into(),
        format!("{}/{}", seen.ready, items(&spec["containers"]).len() + sidecars).into(),
        seen.reason.into(),
        restarts.into(),
        since(&pod["metadata"]["creationTimestamp"], now).into(),
        or(address, "<none>").into(),
        or(text(&spec["nodeName"]), "<none>").into(),
        or(text(&status["nominatedNodeName"]), "<none>").into(),
        gates.into(),
    ]
}

/// A Pod that has come to its end says so beside its cells, so that clients can leave it out.
pub(super) fn condition(pod: &Value) -> Option<Value> {
    let (reason, message) = match text(&pod["status"]["phase"]) {
        "Succeeded" => ("Succeeded", "The pod has completed successfully."),
        "Failed" => ("Failed", "The pod failed."),
        _ => return None,
    };
    Some(json!({"type": "Completed", "status": "True", "reason": reason, "message": message}))
}

/// What the containers say.
#[derive(Default)]
struct Seen {
    ready: usize,
    reason: String,
    restarts: u64,
    /// When the last of the restarts was.
    restarted: Option<Timestamp>,
}

impl Seen {
    fn of(pod: &Value) -> Self {
        let status = &pod["status"];
        let phase = text(&status["phase"]);
        let mut seen = Self { reason: or(text(&status["reason"]), phase), ..Self::default() };
        if condition_of(pod, "PodScheduled").is_some_and(|scheduled| scheduled["reason"] == "SchedulingGated") {
            seen.reason = "SchedulingGated".to_owned();
        }
        let (initializing, sidecars) = seen.initialize(pod);
        if !initializing || condition_of(pod, "Initialized").is_some_and(|one| one["status"] == "True") {
            (seen.restarts, seen.restarted) = sidecars;
            seen.run(pod);
        }
        let leaving = !pod["metadata"]["deletionTimestamp"].is_null();
        if leaving && status["reason"] == "NodeLost" {
            seen.reason = "Unknown".to_owned();
        } else if leaving && !matches!(phase, "Succeeded" | "Failed") {
            seen.reason = "Terminating".to_owned();
        }
        seen
    }

    /// Goes through the init containers as far as they have come: whether one is at work, and the restarts of the sidecars.
    fn initialize(&mut self, pod: &Value) -> (bool, (u64, Option<Timestamp>)) {
        let declared = items(&pod["spec"]["initContainers"]);
        let mut sidecars = (0, None);
        for (index, container) in items(&pod["status"]["initContainerStatuses"]).iter().enumerate() {
            let state = &container["state"];
            let sidecar = declared.iter().any(|one| one["name"] == container["name"] && is_sidecar(one));
            self.restarts += restarts(container);
            self.restarted = self.restarted.max(ended(container));
            if sidecar {
                sidecars = (sidecars.0 + restarts(container), sidecars.1.max(ended(container)));
            }
            if state["terminated"]["exitCode"] == 0 {
                continue;
            }
            if sidecar && container["started"] == true {
                self.ready += usize::from(container["ready"] == true);
                continue;
            }
            let waiting = text(&state["waiting"]["reason"]);
            self.reason = if state["terminated"].is_object() {
                format!("Init:{}", termination(&state["terminated"]))
            } else if !matches!(waiting, "" | "PodInitializing") {
                format!("Init:{waiting}")
            } else {
                format!("Init:{index}/{}", declared.len())
            };
            return (true, sidecars);
        }
        (false, sidecars)
    }

    fn run(&mut self, pod: &Value) {
        let (mut running, mut error) = (false, None);
        for container in items(&pod["status"]["containerStatuses"]).iter().rev() {
            let state = &container["state"];
            self.restarts += restarts(container);
            self.restarted = self.restarted.max(ended(container));
            let waiting = text(&state["waiting"]["reason"]);
            if !waiting.is_empty() {
                waiting.clone_into(&mut self.reason);
            } else if state["terminated"].is_object() {
                self.reason = termination(&state["terminated"]);
                if state["terminated"]["exitCode"] != 0 {
                    error = Some(self.reason.clone());
                }
            } else if container["ready"] == true && state["running"].is_object() {
                running = true;
                self.ready += 1;
            }
        }
        // One that still runs has the say.
        if self.reason == "Completed" {
            let ready = condition_of(pod, "Ready").is_some_and(|ready| ready["status"] == "True");
            match error {
                _ if running && ready => "Running".clone_into(&mut self.reason),
                Some(error) => self.reason = error,
                None if running => "NotReady".clone_into(&mut self.reason),
                None => {}
            }
        }
    }
}

fn termination(terminated: &Value) -> String {
    match (text(&terminated["reason"]), terminated["signal"].as_i64().unwrap_or(0)) {
        ("", 0) => format!("ExitCode:{}", terminated["exitCode"].as_i64().unwrap_or(0)),
        ("", signal) => format!("Signal:{signal}"),
        (reason, _) => reason.to_owned(),
    }
}

fn is_sidecar(container: &Value) -> bool {
    container["restartPolicy"] == "Always"
}

fn restarts(container: &Value) -> u64 {
    container["restartCount"].as_u64().unwrap_or(0)
}

fn ended(container: &Value) -> Option<Timestamp> {
    text(&container["lastState"]["terminated"]["finishedAt"]).parse().ok()
}

fn condition_of<'a>(pod: &'a Value, kind: &str) -> Option<&'a Value> {
    items(&pod["status"]["conditions"]).iter().find(|condition| condition["type"] == kind)
}
