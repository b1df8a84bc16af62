//! What the cases run on: a Kubernetes control plane without nodes, which is etcd and kube-apiserver, and for most cases the
//! controllers that live in every cluster of a cloud; or the sandbox.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use serde_json::{Value, json};

use crate::api::Api;
use crate::harness::eventually;
use crate::process::Process;
use crate::rights;

mod real;
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

/// Where a server listens that only this machine is to reach.
const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

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
pub(crate) fn assets() -> Option<PathBuf> {
    std::env::var_os("KUBEBUILDER_ASSETS").map(PathBuf::from)
}

/// The panic of a case that cannot go on for want of a program.
pub(crate) struct Missing(pub(crate) &'static str);

/// A running server.
pub(crate) struct Server {
    /// Everything it writes.
    pub(crate) folder: PathBuf,
    pub(crate) which: Which,
    /// `https://127.0.0.1:PORT`, but for the lab's; of the sandbox without the s.
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

    /// Another server where Portolans are the only controllers, with our CRDs and two nodes that no cloud knows; `None` as of
    /// [`Server::shared`].
    #[allow(dead_code, reason = "for the suite, not for the benches")]
    pub(crate) fn with_crds(name: &str) -> Option<Self> {
        let server = Self::start_as(Which::chosen(), name)?;
        server.apply_crds();
        server.make_nodes();
        Some(server)
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

    /// A real server of its own, empty, that listens on another address than loopback's; `None` without KUBEBUILDER_ASSETS.
    #[allow(dead_code, reason = "for the lab")]
    pub(crate) fn start_at(name: &str, address: IpAddr) -> Option<Self> {
        Some(Self::start_real_at(&assets()?, &own_folder().join(name), address))
    }

    fn start_as(which: Which, name: &str) -> Option<Self> {
        let folder = own_folder().join(name);
        match which {
            Which::Real => Some(Self::start_real_at(&assets()?, &folder, LOOPBACK)),
            Which::Sandbox => Some(Self::start_sandbox(&folder, &[])),
        }
    }

    fn start_real_at(assets: &Path, folder: &Path, address: IpAddr) -> Self {
        // Somebody else may take a port between the moment we find it free and the moment the server binds it.
        for attempt in 0..3 {
            let _ = fs::remove_dir_all(folder);
            fs::create_dir_all(folder).expect("the target folder can be written");
            match Self::start_real(assets, folder, address) {
                Ok(server) => return server,
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

impl Server {
    /// Lets a Portolan see Pods and tell them what it has found.
    #[allow(dead_code, reason = "for the suite, not for the benches")]
    pub(crate) fn grant_readiness_gates(&self, user: &str) {
        if self.which == Which::Sandbox {
            return; // where everybody may do everything
        }
        let (role, subject) = (rights::gates_role(), json!({"kind": "User", "name": user}));
        rights::store(&self.admin, &role).unwrap_or_else(|error| panic!("{error}"));
        rights::bind(&self.admin, &role, &subject);
        rights::wait_until_granted(&self.admin, &role, &json!({"user": user}));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
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
