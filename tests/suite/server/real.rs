//! etcd and kube-apiserver, and beside them the controllers that live in every cluster of a cloud.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::time::{Duration, Instant};

use serde_json::json;

use super::{
    CLOUD_CONTROLLER_MANAGER, CLUSTER_IPS, CONTROLLER_MANAGER, NODE_PORTS, PORTOLANS, READY_WITHIN, Server, USERS,
    Which, assets, free_ports, kubeconfig, spawn, tail,
};
use crate::api::Api;
use crate::harness::eventually;
use crate::process::Process;

impl Server {
    pub(super) fn start_real(assets: &Path, folder: &Path, address: IpAddr) -> Result<Self, String> {
        write_inputs(folder)?;
        let [etcd_port, peer_port, port] = free_ports();
        let etcd_url = format!("http://127.0.0.1:{etcd_port}");
        let peer_url = format!("http://127.0.0.1:{peer_port}");
        let etcd = spawn(
            folder,
            &assets.join("etcd"),
            &[
                "--unsafe-no-fsync",
                "--log-level=warn",
                &format!("--data-dir={}", folder.join("etcd").display()),
                &format!("--listen-client-urls={etcd_url}"),
                &format!("--advertise-client-urls={etcd_url}"),
                &format!("--listen-peer-urls={peer_url}"),
                &format!("--initial-advertise-peer-urls={peer_url}"),
                &format!("--initial-cluster=default={peer_url}"),
            ],
        )?;
        let listens = SocketAddr::new(address, port);
        let apiserver = spawn_apiserver(assets, folder, &etcd_url, listens)?;
        let url = format!("https://{listens}");
        let certificate = folder.join("certificates/apiserver.crt");
        let deadline = Instant::now() + READY_WITHIN;
        let mut admin = None;
        loop {
            for (name, process) in [("etcd", &etcd), ("kube-apiserver", &apiserver)] {
                if let Some(status) = process.exit() {
                    return Err(format!(
                        "{name} ended with {status}; its log ends with\n{}",
                        tail(&folder.join(format!("{name}.log")))
                    ));
                }
            }
            // The certificate is written before the port opens.
            if admin.is_none() && certificate.exists() {
                admin = Some(Api::new(&kubeconfig(&url, Some(&certificate), "admin", "admin")));
            }
            if let Some(admin) = &admin
                && admin.request(http::Method::GET, "/readyz", None).is_ok()
            {
                break;
            }
            if Instant::now() > deadline {
                return Err(format!("not ready after {READY_WITHIN:?}"));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let server = Self {
            folder: folder.to_owned(),
            which: Which::Real,
            url,
            etcd: Some(etcd_url),
            admin: admin.ok_or("no certificate")?,
            users: AtomicUsize::new(0),
            processes: Mutex::new(vec![etcd, apiserver]),
        };
        server.grant();
        Ok(server)
    }

    /// etcd forgets what was.
    pub(super) fn compact(&self) {
        let etcd = Api::new(&json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "etcd",
            "contexts": [{"name": "etcd", "context": {"cluster": "etcd", "user": "etcd"}}],
            "clusters": [{"name": "etcd", "cluster": {"server": self.etcd()}}],
            "users": [{"name": "etcd", "user": {}}],
        }));
        let revision = etcd.create("/v3/kv/range", &json!({"key": "AA=="}))["header"]["revision"].clone();
        etcd.create("/v3/kv/compaction", &json!({"revision": revision, "physical": true}));
    }

    /// The same server, with an empty memory.
    pub(super) fn restart_apiserver(&self) {
        let listens = self.url.strip_prefix("https://").and_then(|listens| listens.parse().ok()).expect("an address");
        let mut processes = self.processes.lock().unwrap();
        processes[1].kill();
        let assets = assets().expect("a real server runs");
        processes[1] = spawn_apiserver(&assets, &self.folder, self.etcd(), listens).expect("kube-apiserver starts");
        drop(processes);
        eventually("kube-apiserver is ready again", READY_WITHIN, || {
            self.admin.request(http::Method::GET, "/readyz", None).map(drop).map_err(|refused| refused.to_string())
        });
    }

    /// Starts those who live in every cluster of a cloud beside us, and does not wait for them: what makes EndpointSlices, collects
    /// garbage and empties deleted namespaces; and upstream's service controller, whose Services are those without a class. (Of the
    /// cloud's controllers no other: they would delete Nodes that no machine stands behind.)
    pub(super) fn start_neighbours(&self) {
        let controllers = "endpointslice-controller,garbage-collector-controller,namespace-controller";
        self.start_neighbour("kube-controller-manager", CONTROLLER_MANAGER, controllers, &[]);
        let cloud = ["--cloud-provider=fake", "--configure-cloud-routes=false"];
        self.start_neighbour("cloud-controller-manager", CLOUD_CONTROLLER_MANAGER, "service-lb-controller", &cloud);
    }

    /// Starts a controller manager of Kubernetes' with these controllers, and does not wait for it.
    pub(crate) fn start_neighbour(&self, binary: &str, user: &str, controllers: &str, arguments: &[&str]) {
        let kubeconfig = self.folder.join(format!("{user}.kubeconfig"));
        fs::write(&kubeconfig, self.kubeconfig(user).to_string()).unwrap();
        let [port] = free_ports();
        let common = [
            format!("--kubeconfig={}", kubeconfig.display()),
            format!("--controllers={controllers}"),
            "--leader-elect=false".to_owned(),
            "--bind-address=127.0.0.1".to_owned(),
            format!("--secure-port={port}"),
            format!("--cert-dir={}", self.folder.join(user).display()),
        ];
        let arguments: Vec<&str> = common.iter().map(String::as_str).chain(arguments.iter().copied()).collect();
        let assets = assets().expect("a real server runs");
        let process = spawn(&self.folder, &assets.join(binary), &arguments).expect("a neighbour starts");
        self.processes.lock().unwrap().push(process);
    }
}

/// Key, users and audit policy.
fn write_inputs(folder: &Path) -> Result<(), String> {
    let key = folder.join("service-accounts.pem");
    let made = Command::new("openssl").args(["genrsa", "-out"]).arg(&key).arg("2048").output();
    if !made.is_ok_and(|output| output.status.success()) {
        return Err("openssl is needed to make a service-account key".into());
    }
    let mut tokens = String::from("admin,admin,admin,system:masters\nkubectl,kubectl,kubectl,system:masters\n");
    for neighbour in [CONTROLLER_MANAGER, CLOUD_CONTROLLER_MANAGER] {
        tokens.push_str(&format!("{neighbour},{neighbour},{neighbour},system:masters\n"));
    }
    // The name for which every cluster has a role (plugin/pkg/auth/authorizer/rbac/bootstrappolicy).
    tokens.push_str("kube-proxy,system:kube-proxy,kube-proxy\n");
    for number in 0..USERS {
        tokens.push_str(&format!("portolan-{number},portolan-{number},portolan-{number},{PORTOLANS}\n"));
        tokens.push_str(&format!("stranger-{number},stranger-{number},stranger-{number}\n"));
        let administrator = format!("administrator-{number}");
        tokens.push_str(&format!("{administrator},{administrator},{administrator},system:masters\n"));
    }
    // Writes in full; leases, and what others than the administrators read, without bodies.
    let policy = json!({
        "apiVersion": "audit.k8s.io/v1", "kind": "Policy",
        "omitStages": ["RequestReceived", "ResponseStarted"],
        "rules": [
            {"level": "None", "users": ["system:apiserver"]},
            {"level": "None", "verbs": ["get", "list", "watch"], "userGroups": ["system:masters"]},
            {"level": "Metadata", "verbs": ["get", "list", "watch"]},
            {"level": "Metadata", "resources": [{"group": "coordination.k8s.io", "resources": ["leases"]}]},
            {"level": "Request", "omitManagedFields": true},
        ],
    });
    fs::write(folder.join("tokens.csv"), tokens).map_err(|error| error.to_string())?;
    fs::write(folder.join("audit-policy.json"), policy.to_string()).map_err(|error| error.to_string())
}

/// Starts kube-apiserver; the port is its own.
fn spawn_apiserver(assets: &Path, folder: &Path, etcd: &str, listens: SocketAddr) -> Result<Process, String> {
    let file = |name: &str| folder.join(name).display().to_string();
    spawn(
        folder,
        &assets.join("kube-apiserver"),
        &[
            &format!("--etcd-servers={etcd}"),
            &format!("--bind-address={}", listens.ip()),
            &format!("--secure-port={}", listens.port()),
            &format!("--cert-dir={}", file("certificates")),
            CLUSTER_IPS,
            NODE_PORTS,
            "--service-account-issuer=https://kubernetes.default.svc",
            &format!("--service-account-key-file={}", file("service-accounts.pem")),
            &format!("--service-account-signing-key-file={}", file("service-accounts.pem")),
            &format!("--token-auth-file={}", file("tokens.csv")),
            "--authorization-mode=RBAC",
            &format!("--audit-policy-file={}", file("audit-policy.json")),
            &format!("--audit-log-path={}", file("audit.log")),
            // In MB: who counts requests does not look for them in older files.
            "--audit-log-maxsize=4096",
            "--disable-admission-plugins=ServiceAccount",
            "--endpoint-reconciler-type=none",
            // 200 controllers on two cores are not what fairness was made for: a 429 is a case's to provoke.
            "--enable-priority-and-fairness=false",
        ],
    )
}
