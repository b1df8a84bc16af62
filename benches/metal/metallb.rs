//! MetalLB's controller as a peer: the binary and the CRDs that `benches/peers` obtains, as somebody who may do everything.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::json;

use crate::harness::{World, eventually};
use crate::process::Process;
use crate::server::Server;
use crate::{CLASS, POOL};

const NAMESPACE: &str = "metallb-system";
const POOLS: &str = "/apis/metallb.io/v1beta1/namespaces/metallb-system/ipaddresspools";

/// How to start one.
pub(crate) struct MetalLb<'a> {
    folder: &'a Path,
    world: &'a World,
    /// Its user in the audit log.
    pub(crate) user: String,
}

impl<'a> MetalLb<'a> {
    /// Its CRDs are on the server, and a pool.
    pub(crate) fn install(folder: &'a Path, world: &'a World) -> Self {
        let server: &Server = world.server;
        let manifests = fs::read_to_string(folder.join("metallb-native.yaml")).expect("benches/peers has made it");
        let manifests = portolan::yaml::documents(&manifests).expect("YAML");
        for crd in manifests.into_iter().filter(|object| object["kind"] == "CustomResourceDefinition") {
            server.kubectl(&["apply", "--server-side"], Some(&crd.to_string())).unwrap();
        }
        server.kubectl(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"], None).unwrap();
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}});
        server.admin.create("/api/v1/namespaces", &namespace);
        let pool = json!({
            "apiVersion": "metallb.io/v1beta1", "kind": "IPAddressPool", "metadata": {"name": "pool", "namespace": NAMESPACE},
            "spec": {"addresses": [POOL]},
        });
        // Until the server serves the new kind.
        eventually("a pool is taken", Duration::from_secs(60), || {
            let made = server.admin.request(http::Method::POST, POOLS, Some(("application/json", &pool)));
            made.map(|_| ()).map_err(|refused| refused.to_string())
        });
        Self { folder, world, user: server.new_administrator() }
    }

    /// Starts it.
    pub(crate) fn start(&self) -> Process {
        let kubeconfig = self.world.folder.join("metallb.kubeconfig");
        fs::write(&kubeconfig, self.world.server.kubeconfig(&self.user).to_string()).unwrap();
        let log = self.world.folder.join("metallb.log");
        let log = fs::File::options().create(true).append(true).open(log).unwrap();
        let mut command = Command::new(self.folder.join("metallb-controller"));
        command
            .args(["--webhook-mode=disabled", "--disable-cert-rotation", "--port=0", "--lb-class", CLASS])
            .args(["--namespace", NAMESPACE])
            .env("KUBECONFIG", kubeconfig)
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        Process::spawn(&mut command).expect("benches/peers has built it")
    }
}
