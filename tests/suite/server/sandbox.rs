//! `portolan sandbox` in the place of a control plane: the same API from one process, without etcd, credentials and neighbours.

use std::fs;
use std::path::Path;
use std::time::Instant;

use serde_json::{Value, json};

use super::{READY_WITHIN, spawn, tail};
use crate::process::Process;

/// Starts an empty one, also with these arguments; the process, and `http://127.0.0.1:PORT`.
pub(super) fn start(folder: &Path, arguments: &[&str]) -> Result<(Process, String), String> {
    let file = |name: &str| folder.join(name).display().to_string();
    let (kubeconfig, log) = (file("sandbox.kubeconfig"), file("audit.log"));
    let mut all = vec!["sandbox", "--empty", "--no-controller", super::CLUSTER_IPS, super::NODE_PORTS];
    all.extend(["--kubeconfig", &kubeconfig, "--audit-log", &log]);
    all.extend(arguments);
    let process = spawn(folder, Path::new(env!("CARGO_BIN_EXE_portolan")), &all)?;
    let deadline = Instant::now() + READY_WITHIN;
    loop {
        // It listens before it writes the file.
        if let Some(url) = url(&folder.join("sandbox.kubeconfig")) {
            return Ok((process, url));
        }
        if let Some(status) = process.exit() {
            return Err(format!("the sandbox ended with {status}: {}", tail(&folder.join("portolan.log"))));
        }
        if Instant::now() > deadline {
            return Err(format!("not ready after {READY_WITHIN:?}"));
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

/// The server that a kubeconfig names; none while it is being written.
fn url(kubeconfig: &Path) -> Option<String> {
    let documents = portolan::yaml::documents(&fs::read_to_string(kubeconfig).ok()?).ok()?;
    documents.first()?["clusters"][0]["cluster"]["server"].as_str().map(str::to_owned)
}

/// The kubeconfig of a user: the sandbox asks for no credentials, and believes who says that they act as somebody.
pub(super) fn kubeconfig(url: &str, user: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "suite",
        "contexts": [{"name": "suite", "context": {"cluster": "suite", "user": user}}],
        "clusters": [{"name": "suite", "cluster": {"server": url}}],
        "users": [{"name": user, "user": {"as": user}}],
    })
}
