//! What the cases run on: a Kubernetes control plane without nodes, which is etcd and kube-apiserver, and for most cases the
//! controllers that live in every cluster of a cloud; or the sandbox.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::api::Api;
use crate::harness::eventually;
use crate::process::Process;
use crate::rights;

mod sandbox;

/// How long a server may take to get ready. It needs 3 s on an idle machine with two cores.
const READY_WITHIN: Duration = Duration::from_secs(120);

/// Users `portolan-0`, `portolan-1`, ...: each controller that a case starts has its own, so that the audit log tells them apart.
const USERS: usize = 2000;

/// The group of all users `portolan-N`.
const PORTOLANS: &str = "portolans";

/// From what Services get their numbers, on both servers: more than usual, for all cases draw from one server.
const CLUSTER_IPS: &str = "--service-cluster-ip-range=10.0.0.0/12,fd00:10::/108";
const NODE_PORTS: &str = "--service-node-port-range=20000-60000";

/// The path of the definitions of kinds.
const CRDS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

/// The user of kube-controller-manager.
pub(crate) const CONTROLLER_MANAGER: &str = "controller-manager";

/// The user of the cloud-controller-manager.
pub(crate) const CLOUD_CONTROLLER_MANAGER: &str = "cloud-controller-manager";

/// Which of the two servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    /// etcd and kube-apiserver, from the folder that KUBEBUILDER_ASSETS names.
    Real,
    /// `portolan sandbox`.
    Sandbox,
}

impl Which {
    /// The one that PORTOLAN_SUITE_SERVER names (`real`, `sandbox`); without it the real one, where it can be started.
    pub(crate) fn chosen() -> Self {
        let named = std::env::var("PORTOLAN_SUITE_SERVER").unwrap_or_default();
        match named.as_str() {
            "real" => Self::Real,
            "sandbox" => Self::Sandbox,
            "" if assets().is_some() => Self::Real,
            "" => Self::Sandbox,
            other => panic!("PORTOLAN_SUITE_SERVER is real or sandbox, not {other}"),
        }
    }
}

/// Where the binaries of Kubernetes are.
fn assets() -> Option<PathBuf> {
    std::env::var_os("KUBEBUILDER_ASSETS").map(PathBuf::from)
}

/// The panic of a case that cannot go on for want of a program.
pub(crate) struct Missing(pub(crate) &'static str);

/// A running server.
pub(crate) struct Server {
    /// Everything it writes.
    pub(crate) folder: PathBuf,
    pub(crate) which: Which,
    /// `https://127.0.0.1:PORT`; of the sandbox without the s.
    url: String,
    /// `http://127.0.0.1:PORT` of its etcd, for objects that no API server would store. The sandbox has none.
    etcd: Option<String>,
    /// The cluster's administrator.
    pub(crate) admin: Api,
    /// The users given out so far.
    users: AtomicUsize,
    processes: Mutex<Vec<Process>>,
}

impl Server {
    /// The server that the cases share, with our CRDs and two nodes; a real one has neighbours. `None` if it is to be a real one and
    /// KUBEBUILDER_ASSETS is not set.
    pub(crate) fn shared() -> Option<&'static Self> {
        static SHARED: OnceLock<Option<Server>> = OnceLock::new();
        SHARED
            .get_or_init(|| {
                let server = Self::start_as(Which::chosen(), "shared")?;
                server.apply_crds();
                server.make_nodes();
                if server.which == Which::Real {
                    server.start_neighbours();
                }
                Some(server)
            })
            .as_ref()
    }

    /// The server of the cases that want no neighbours: they make a class of ours the default, which in a cluster with a cloud
    /// controller it must not be, or they make Nodes.
    pub(crate) fn without_neighbours() -> Option<&'static Self> {
        static LONELY: OnceLock<Option<Server>> = OnceLock::new();
        LONELY
            .get_or_init(|| {
                let server = Self::start_as(Which::chosen(), "without-neighbours")?;
                server.apply_crds();
                server.make_nodes();
                Some(server)
            })
            .as_ref()
    }

    /// A real server of its own, empty; `None` without KUBEBUILDER_ASSETS.
    #[allow(dead_code, reason = "for the benches")]
    pub(crate) fn start(name: &str) -> Option<Self> {
        Self::start_as(Which::Real, name)
    }

    /// Another server of the same sort, empty.
    pub(crate) fn another(&self, name: &str) -> Self {
        Self::start_as(self.which, name).expect("one runs already")
    }

    /// Another server of the same sort, which has forgotten how it began: everything up to version 1 at least. A real one lost it with
    /// etcd's compaction, which it does itself every five minutes, and its own memory with a restart.
    pub(crate) fn forgetful(&self, name: &str) -> Self {
        let server = match self.which {
            Which::Sandbox => Self::start_sandbox(&own_folder().join(name), &["--compaction-interval=10ms"]),
            Which::Real => {
                let server = self.another(name);
                server.compact();
                server.restart_apiserver();
                server
            }
        };
        let old = "/api/v1/namespaces?resourceVersion=1&resourceVersionMatch=Exact";
        eventually("version 1 is forgotten", READY_WITHIN, || {
            match server.admin.request(http::Method::GET, old, None) {
                Err(refused) if refused.status == 410 => Ok(()),
                other => Err(format!("{other:?}")),
            }
        });
        server
    }

    fn compact(&self) {
        let etcd = Api::new(&json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "etcd",
            "contexts": [{"name": "etcd", "context": {"cluster": "etcd", "user": "etcd"}}],
            "clusters": [{"name": "etcd", "cluster": {"server": self.etcd()}}],
            "users": [{"name": "etcd", "user": {}}],
        }));
        let revision = etcd.create("/v3/kv/range", &json!({"key": "AA=="}))["header"]["revision"].clone();
        etcd.create("/v3/kv/compaction", &json!({"revision": revision, "physical": true}));
    }

    fn restart_apiserver(&self) {
        let port = self.url.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
        let mut processes = self.processes.lock().unwrap();
        processes[1].kill();
        let assets = assets().expect("a real server runs");
        processes[1] = spawn_apiserver(&assets, &self.folder, self.etcd(), port).expect("kube-apiserver starts");
        drop(processes);
        eventually("kube-apiserver is ready again", READY_WITHIN, || {
            self.admin.request(http::Method::GET, "/readyz", None).map(drop).map_err(|refused| refused.to_string())
        });
    }

    fn start_as(which: Which, name: &str) -> Option<Self> {
        let folder = own_folder().join(name);
        let assets = match which {
            Which::Real => assets()?,
            Which::Sandbox => return Some(Self::start_sandbox(&folder, &[])),
        };
        // Somebody else may take a port between the moment we find it free and the moment the server binds it.
        for attempt in 0..3 {
            let _ = fs::remove_dir_all(&folder);
            fs::create_dir_all(&folder).expect("the target folder can be written");
            match Self::try_start(&assets, &folder) {
                Ok(server) => return Some(server),
                Err(error) => eprintln!("control plane, attempt {attempt}: {error}"),
            }
        }
        panic!("the control plane does not start; its logs are in {}", folder.display());
    }

    /// A sandbox of its own, for a case that asks both servers at once.
    pub(crate) fn sandbox(name: &str) -> Self {
        Self::start_sandbox(&own_folder().join(name), &[])
    }

    fn start_sandbox(folder: &Path, arguments: &[&str]) -> Self {
        fs::create_dir_all(folder).expect("the target folder can be written");
        let (process, url) = sandbox::start(folder, arguments).unwrap_or_else(|error| panic!("{error}"));
        let admin = Api::new(&sandbox::kubeconfig(&url, "admin"));
        // It brings our CRDs, which an empty server has not.
        for crd in admin.list(CRDS) {
            admin.delete(&format!("{CRDS}/{}", crd["metadata"]["name"].as_str().expect("a name")));
        }
        Self {
            folder: folder.to_owned(),
            which: Which::Sandbox,
            url,
            etcd: None,
            admin,
            users: AtomicUsize::new(0),
            processes: Mutex::new(vec![process]),
        }
    }

    fn try_start(assets: &Path, folder: &Path) -> Result<Self, String> {
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
        let apiserver = spawn_apiserver(assets, folder, &etcd_url, port)?;
        let url = format!("https://127.0.0.1:{port}");
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

    /// The process ids of the control plane.
    #[allow(dead_code, reason = "for the benches")]
    pub(crate) fn pids(&self) -> Vec<u32> {
        self.processes.lock().unwrap().iter().map(Process::pid).collect()
    }

    /// Ends it.
    pub(crate) fn stop(&self) {
        self.processes.lock().unwrap_or_else(std::sync::PoisonError::into_inner).iter().rev().for_each(Process::kill);
    }

    /// A user name that nobody else uses; it has the rights of a Portolan.
    pub(crate) fn new_user(&self) -> String {
        format!("portolan-{}", self.new_number())
    }

    /// A user name that nobody else uses; it has no rights yet.
    pub(crate) fn new_stranger(&self) -> String {
        format!("stranger-{}", self.new_number())
    }

    /// A user name that nobody else uses; it may do everything.
    pub(crate) fn new_administrator(&self) -> String {
        format!("administrator-{}", self.new_number())
    }

    fn new_number(&self) -> usize {
        let number = self.users.fetch_add(1, Ordering::Relaxed);
        assert!(number < USERS, "raise USERS");
        number
    }

    /// The kubeconfig of a user.
    pub(crate) fn kubeconfig(&self, user: &str) -> Value {
        match self.which {
            Which::Real => self.kubeconfig_with_token(user, user),
            Which::Sandbox => sandbox::kubeconfig(&self.url, user),
        }
    }

    /// The kubeconfig of a user whose token is not its name: a service account.
    pub(crate) fn kubeconfig_with_token(&self, user: &str, token: &str) -> Value {
        kubeconfig(&self.url, Some(&self.folder.join("certificates/apiserver.crt")), user, token)
    }

    /// The kubeconfig of a user that goes through a proxy without TLS.
    pub(crate) fn kubeconfig_through(&self, proxy: &str, user: &str) -> Value {
        match self.which {
            Which::Real => kubeconfig(proxy, None, user, user),
            Which::Sandbox => sandbox::kubeconfig(proxy, user),
        }
    }

    /// Its etcd: of the real server alone.
    pub(crate) fn etcd(&self) -> &str {
        self.etcd.as_deref().expect("a case that needs etcd is one of the real server")
    }

    /// kubectl with these arguments, as the user `kubectl`; its output, or the error it printed.
    pub(crate) fn kubectl(&self, arguments: &[&str], input: Option<&str>) -> Result<String, String> {
        let kubeconfig = self.folder.join("kubectl.kubeconfig");
        if !kubeconfig.exists() {
            // Written beside and moved, since cases run in parallel.
            let partial = self.folder.join(format!("kubectl.kubeconfig.{:?}", std::thread::current().id()));
            fs::write(&partial, self.kubeconfig("kubectl").to_string()).unwrap();
            fs::rename(&partial, &kubeconfig).unwrap();
        }
        // On a machine without the real server's binaries, that of the user.
        let mut command = Command::new(assets().map_or_else(|| "kubectl".into(), |assets| assets.join("kubectl")));
        command
            .arg("--kubeconfig")
            .arg(kubeconfig)
            .arg("--cache-dir")
            .arg(self.folder.join("kubectl-cache"))
            .args(arguments);
        if let Some(input) = input {
            let file = self.folder.join(format!("kubectl-input.{:?}", std::thread::current().id()));
            fs::write(&file, input).unwrap();
            command.arg("-f").arg(file);
        }
        let output = command.output().unwrap_or_else(|_| std::panic::panic_any(Missing("kubectl")));
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }

    /// Starts those who live in every cluster of a cloud beside us, and does not wait for them: what makes EndpointSlices, collects
    /// garbage and empties deleted namespaces; and upstream's service controller, whose Services are those without a class. (Of the
    /// cloud's controllers no other: they would delete Nodes that no machine stands behind.)
    fn start_neighbours(&self) {
        let controllers = "endpointslice-controller,garbage-collector-controller,namespace-controller";
        self.start_neighbour("kube-controller-manager", CONTROLLER_MANAGER, controllers, &[]);
        let cloud = ["--cloud-provider=fake", "--configure-cloud-routes=false"];
        self.start_neighbour("cloud-controller-manager", CLOUD_CONTROLLER_MANAGER, "service-lb-controller", &cloud);
    }

    fn start_neighbour(&self, binary: &str, user: &str, controllers: &str, arguments: &[&str]) {
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

    /// What the README tells users to do: `portolan crds | kubectl apply --server-side -f -`.
    pub(crate) fn apply_crds(&self) {
        let crds = Command::new(env!("CARGO_BIN_EXE_portolan")).arg("crds").output().expect("portolan starts");
        assert!(crds.status.success(), "portolan crds: {}", String::from_utf8_lossy(&crds.stderr));
        let crds = String::from_utf8(crds.stdout).expect("UTF-8");
        if self.which == Which::Sandbox {
            // Whose machine may not have a kubectl.
            for crd in portolan::yaml::documents(&crds).expect("YAML") {
                self.admin.create(CRDS, &crd);
            }
            return;
        }
        self.kubectl(&["apply", "--server-side"], Some(&crds)).unwrap_or_else(|error| panic!("{error}"));
        self.kubectl(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"], None)
            .unwrap_or_else(|error| panic!("{error}"));
        // Established or not, the server takes two more seconds to fill the cache of a new kind, and answers 429 until then.
        // A list at version 0 is answered from that cache.
        let list = "/apis/portolan.dev/v1alpha1/loadbalancerrecords?resourceVersion=0";
        eventually("the new kind is served", READY_WITHIN, || {
            self.admin.request(http::Method::GET, list, None).map(|_| ()).map_err(|refused| refused.to_string())
        });
    }

    /// Two nodes, both families; nobody runs on them.
    fn make_nodes(&self) {
        for number in 1..=2 {
            let name = format!("node-{number}");
            let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}});
            self.admin.create("/api/v1/nodes", &node);
            let addresses = json!([
                {"type": "InternalIP", "address": format!("198.51.100.{number}")},
                {"type": "InternalIP", "address": format!("2001:db8:51::{number}")},
                {"type": "Hostname", "address": name},
            ]);
            let status =
                json!({"status": {"addresses": addresses, "conditions": [{"type": "Ready", "status": "True"}]}});
            self.admin.patch(&format!("/api/v1/nodes/{name}/status"), &status);
        }
    }

    /// What a Portolan may do: the file that users apply, bound to the group of all Portolans. A request beyond it is answered
    /// 403 and fails the case.
    fn grant(&self) {
        for object in rights::deployed() {
            // The server makes kube-system only after it has said that it is ready.
            eventually("deploy/rbac.yaml is stored", READY_WITHIN, || rights::store(&self.admin, &object));
        }
        for role in rights::deployed_roles() {
            rights::bind(&self.admin, &role, &json!({"kind": "Group", "name": PORTOLANS}));
        }
    }

    /// Lets every Portolan stand for election under this instance name.
    pub(crate) fn grant_lease(&self, instance: &str) {
        if self.which == Which::Sandbox {
            return; // where everybody may do everything
        }
        let roles = rights::deployed_roles().into_iter().filter(|role| role["kind"] == "Role");
        for role in roles.map(|role| rights::of_instance(role, instance)) {
            if self.admin.get(&rights::path(&role)).is_none() {
                self.admin.create(&rights::collection(&role), &role);
                rights::bind(&self.admin, &role, &json!({"kind": "Group", "name": PORTOLANS}));
            }
            rights::wait_until_granted(&self.admin, &role, &json!({"user": PORTOLANS, "groups": [PORTOLANS]}));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
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

/// A kubeconfig; JSON is YAML.
fn kubeconfig(url: &str, certificate: Option<&Path>, user: &str, token: &str) -> Value {
    let mut cluster = json!({"server": url});
    if let Some(certificate) = certificate {
        cluster["certificate-authority"] = json!(certificate);
    }
    json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "suite",
        "contexts": [{"name": "suite", "context": {"cluster": "suite", "user": user}}],
        "clusters": [{"name": "suite", "cluster": cluster}],
        "users": [{"name": user, "user": {"token": token}}],
    })
}

/// Starts a binary with its output in `NAME.log`.
fn spawn(folder: &Path, binary: &Path, arguments: &[&str]) -> Result<Process, String> {
    let name = binary.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let log = fs::File::create(folder.join(format!("{name}.log"))).map_err(|error| error.to_string())?;
    let mut command = Command::new(binary);
    command.args(arguments).stdout(log.try_clone().map_err(|error| error.to_string())?).stderr(log);
    Process::spawn(&mut command).map_err(|error| format!("{}: {error}", binary.display()))
}

/// Starts kube-apiserver; the port is its own.
fn spawn_apiserver(assets: &Path, folder: &Path, etcd: &str, port: u16) -> Result<Process, String> {
    let file = |name: &str| folder.join(name).display().to_string();
    spawn(
        folder,
        &assets.join("kube-apiserver"),
        &[
            &format!("--etcd-servers={etcd}"),
            "--bind-address=127.0.0.1",
            &format!("--secure-port={port}"),
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

/// Ports that are free now, all different.
fn free_ports<const N: usize>() -> [u16; N] {
    let listeners: [TcpListener; N] = std::array::from_fn(|_| TcpListener::bind("127.0.0.1:0").expect("a free port"));
    listeners.map(|listener| listener.local_addr().expect("bound").port())
}

/// Where `PORTOLAN_SUITE_FOLDER` names another place for servers and state than the target folder: a tmpfs, for measuring.
fn parent_folder() -> PathBuf {
    let default = || Path::new(env!("CARGO_TARGET_TMPDIR")).join("suite");
    std::env::var_os("PORTOLAN_SUITE_FOLDER").map_or_else(default, PathBuf::from)
}

/// The folder of this test process. Those of earlier processes that have ended are removed; the last one's stays for a look.
fn own_folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let parent = parent_folder();
        for entry in fs::read_dir(&parent).into_iter().flatten().flatten() {
            let alive = Path::new("/proc").join(entry.file_name()).exists();
            if !alive {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
        parent.join(std::process::id().to_string())
    })
}

/// The last lines of a log.
pub(crate) fn tail(file: &Path) -> String {
    let text = fs::read(file).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}
