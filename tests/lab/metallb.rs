//! MetalLB as a peer: its real controller and speakers, of the version in `tests/modules/metallb`, its CRDs, and a pool. For the lab and for
//! `benches/metal.rs`.

use std::fs;
use std::process::Command;
use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use crate::harness::eventually;
use crate::server::{Server, assets};

pub(crate) const NAMESPACE: &str = "metallb-system";

const GROUP: &str = "/apis/metallb.io/v1beta1/namespaces/metallb-system";

/// Its CRDs are on the server, and a pool, which every node announces.
pub(crate) fn install(server: &Server, addresses: &[&str]) {
    let manifests = assets().expect("tests/tools names a folder").join("metallb.yaml");
    let manifests = fs::read_to_string(&manifests).unwrap_or_else(|error| panic!("{}: {error}", manifests.display()));
    let manifests = portolan::yaml::documents(&manifests).expect("YAML");
    for crd in manifests.into_iter().filter(|object| object["kind"] == "CustomResourceDefinition") {
        server.kubectl(&["apply", "--server-side"], Some(&crd.to_string())).unwrap_or_else(|error| panic!("{error}"));
    }
    server
        .kubectl(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"], None)
        .unwrap_or_else(|error| panic!("{error}"));
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}});
    server.admin.create("/api/v1/namespaces", &namespace);
    create(server, "IPAddressPool", "ipaddresspools", json!({"addresses": addresses}));
    create(server, "L2Advertisement", "l2advertisements", json!({}));
}

/// Once the server serves the kind.
fn create(server: &Server, kind: &str, plural: &str, spec: Value) {
    let object = json!({
        "apiVersion": "metallb.io/v1beta1", "kind": kind, "metadata": {"name": "metallb", "namespace": NAMESPACE}, "spec": spec,
    });
    eventually(&format!("a new {kind} is taken"), Duration::from_secs(60), || {
        let made =
            server.admin.request(Method::POST, &format!("{GROUP}/{plural}"), Some(("application/json", &object)));
        made.map(|_| ()).map_err(|refused| refused.to_string())
    });
}

/// Its controller, for Services of this class, or of none. KUBECONFIG is to name its user.
pub(crate) fn controller(class: Option<&str>) -> Command {
    let mut command = Command::new(assets().expect("tests/tools names a folder").join("metallb-controller"));
    command.args(["--webhook-mode=disabled", "--disable-cert-rotation", "--port=0", "--namespace", NAMESPACE]);
    if let Some(class) = class {
        command.args(["--lb-class", class]);
    }
    command
}
