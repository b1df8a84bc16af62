//! The lab as a case sees it.

use std::fs::{self, File};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use serde_json::{Value, json};

use crate::api::Api;
use crate::binaries;
use crate::harness::{SOON, eventually};
use crate::kubelet::Kubelets;
use crate::network::{self, Cable, NODES, Node, Place};
use crate::portolan::Portolan;
use crate::process::Process;
use crate::proxies::{self, Mode, Proxies};
use crate::server::{CONTROLLER_MANAGER, Server};

/// What lives in every cluster beside us. (Service accounts' admission is off, tokens are of a file.)
const CONTROLLERS: &str = "endpointslice-controller,node-lifecycle-controller,taint-eviction-controller,deployment-controller,\
     replicaset-controller,disruption-controller,garbage-collector-controller,namespace-controller,pod-garbage-collector-controller";

/// After how long without a heartbeat a node is not ready any more: Kubernetes' 50 s, shortened, with heartbeats each second.
pub(crate) const GRACE: Duration = Duration::from_secs(8);

/// A whole cluster.
pub(crate) struct Lab {
    pub(crate) server: Server,
    /// The cluster's administrator.
    pub(crate) api: Api,
    pub(crate) kubelets: Kubelets,
    proxies: Mutex<Proxies>,
    portolan: OnceLock<Portolan>,
    vips: AtomicU8,
}

impl Lab {
    /// Builds it, with kube-proxy in nftables mode. It is there to the end of this process and goes with it as a whole: what is played would
    /// take the end of the API server for a fault.
    pub(crate) fn build() -> &'static Self {
        binaries::introduce();
        network::lay();
        let server = Server::start_at("cluster", network::CONTROL).expect("the binaries are there");
        let api = server.admin.clone();
        let kubelets = Kubelets::start(api.clone(), server.folder.clone());
        let grace = [&*format!("--node-monitor-grace-period={}s", GRACE.as_secs()), "--node-monitor-period=1s"];
        server.start_neighbour("kube-controller-manager", CONTROLLER_MANAGER, CONTROLLERS, &grace);
        let proxies = Proxies::start(Mode::Nftables, &server.folder, &kubeconfig_of(&server, "kube-proxy"));
        let (proxies, portolan) = (Mutex::new(proxies), OnceLock::new());
        let lab = Self { server, api, kubelets, proxies, portolan, vips: AtomicU8::new(0) };
        let lab: &'static Self = Box::leak(Box::new(lab));
        for node in NODES {
            eventually("every node is ready and may take pods", SOON, || lab.is_ready(node));
        }
        lab
    }

    /// Portolan, which lives beside the cluster from the first case that asks for it on.
    pub(crate) fn portolan(&'static self) -> &'static Portolan {
        self.portolan.get_or_init(|| Portolan::start(&self.server))
    }

    /// Fails if Portolan lives and is not well.
    pub(crate) fn is_well(&self) {
        self.portolan.get().into_iter().for_each(Portolan::is_well);
    }

    /// kube-proxy in this mode from now on, on every node.
    pub(crate) fn proxy_mode(&self, mode: Mode) {
        let mut proxies = self.proxies();
        if proxies.mode != mode {
            proxies.stop();
            *proxies = Proxies::start(mode, &self.server.folder, &self.kubeconfig("kube-proxy"));
        }
    }

    /// Starts those again that have ended, and waits until all are healthy.
    pub(crate) fn start_proxies(&self) {
        self.proxies().start_again(&self.server.folder, &self.kubeconfig("kube-proxy"));
    }

    /// Those that run, for a case that stops one.
    pub(crate) fn proxies(&self) -> MutexGuard<'_, Proxies> {
        self.proxies.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The file with which this user reaches the API server, from the control plane and from every node.
    pub(crate) fn kubeconfig(&self, user: &str) -> PathBuf {
        kubeconfig_of(&self.server, user)
    }

    /// A program on a node, with its node's name and a user's kubeconfig in its environment, and its output in `NAME-NODE.log`: how a speaker
    /// is started. It ends with the last clone of what this returns.
    pub(crate) fn start_on(&self, node: Node, user: &str, program: &str, arguments: &[&str]) -> Process {
        let base = program.rsplit('/').next().unwrap_or(program);
        let log = File::create(self.server.folder.join(format!("{base}-{}.log", node.name()))).unwrap();
        let mut command = self.on(node, user, program);
        command.args(arguments).stdout(log.try_clone().unwrap()).stderr(log);
        Process::spawn(&mut command).unwrap_or_else(|error| panic!("{program} on {}: {error}", node.name()))
    }

    /// The same, not started yet.
    pub(crate) fn on(&self, node: Node, user: &str, program: &str) -> Command {
        let mut command = network::command(node.place(), program);
        command.env("KUBECONFIG", self.kubeconfig(user)).env("NODE_NAME", node.name());
        command
    }

    /// kubectl as the administrator; fails the case if it fails.
    pub(crate) fn kubectl(&self, arguments: &[&str]) -> String {
        self.server.kubectl(arguments, None).unwrap_or_else(|error| panic!("kubectl {arguments:?}: {error}"))
    }

    /// An empty namespace.
    pub(crate) fn namespace(&self, name: &str) -> String {
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        self.api.create("/api/v1/namespaces", &object);
        name.to_owned()
    }

    /// A Deployment `web` with so many pods, which answer on port 8080 over TCP and UDP; when this returns, all are ready, and on different
    /// nodes as far as there are.
    pub(crate) fn web(&self, namespace: &str, replicas: usize) {
        self.api.create(&format!("/apis/apps/v1/namespaces/{namespace}/deployments"), &web(replicas));
        self.await_ready(namespace, replicas);
    }

    /// Waits until so many pods of a namespace are ready, and none else is left.
    pub(crate) fn await_ready(&self, namespace: &str, replicas: usize) -> Vec<Value> {
        eventually("the pods are ready", SOON, || {
            let pods = self.api.list(&format!("/api/v1/namespaces/{namespace}/pods"));
            let ready = pods.iter().filter(|pod| condition(pod, "Ready") == "True").count();
            let left = pods.iter().filter(|pod| !pod["metadata"]["deletionTimestamp"].is_null()).count();
            if ready == replicas && left == 0 {
                Ok(pods)
            } else {
                Err(format!("{ready} ready, {left} on their way out"))
            }
        })
    }

    /// The nodes that the pods of a namespace are on, by pod name.
    pub(crate) fn nodes_of(&self, namespace: &str) -> Vec<(String, Node)> {
        let pods = self.api.list(&format!("/api/v1/namespaces/{namespace}/pods"));
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let node = |pod: &Value| Node::named(&word(&pod["spec"]["nodeName"]));
        pods.iter().filter_map(|pod| Some((word(&pod["metadata"]["name"]), node(pod)?))).collect()
    }

    /// A Service of type LoadBalancer before `web`, port 80 over TCP and UDP, both families, with these addresses in its status as if a
    /// controller had given them. (Of a class that no controller serves.)
    pub(crate) fn service(&self, namespace: &str, name: &str, policy: &str, vips: [IpAddr; 2]) {
        let path = format!("/api/v1/namespaces/{namespace}/services");
        self.api.create(&path, &service(name, policy));
        let ingress = vips.map(|ip| json!({"ip": ip, "ipMode": "VIP"}));
        self.api.patch(&format!("{path}/{name}/status"), &json!({"status": {"loadBalancer": {"ingress": ingress}}}));
    }

    /// Two addresses of the LAN, one a family, that no case had before.
    pub(crate) fn vips(&self) -> [IpAddr; 2] {
        let number = 128 + self.vips.fetch_add(1, Ordering::Relaxed);
        assert!(number < 255, "a lab gives 126 pairs of addresses");
        network::lan_addresses(number)
    }

    /// A node is Ready and nothing keeps pods away; or what it is instead.
    pub(crate) fn is_ready(&self, node: Node) -> Result<(), String> {
        let object = self.api.get(&format!("/api/v1/nodes/{}", node.name())).ok_or("no such node")?;
        let (ready, taints) = (condition(&object, "Ready"), &object["spec"]["taints"]);
        if ready == "True" && taints.is_null() {
            Ok(())
        } else {
            Err(format!("{}: Ready is {ready}, taints {taints}", node.name()))
        }
    }

    /// After a case: no namespace of it, every node, cable and speaker as at first, and no neighbour entry by hand.
    pub(crate) fn tidy(&self) {
        self.kubelets.resume_all();
        for namespace in self.api.list("/api/v1/namespaces") {
            let name = namespace["metadata"]["name"].as_str().unwrap_or_default();
            if name != "default" && !name.starts_with("kube-") {
                self.api.delete(&format!("/api/v1/namespaces/{name}"));
            }
        }
        for node in NODES {
            let as_at_first =
                json!({"metadata": {"annotations": {"portolan.dev/drain": null}}, "spec": {"unschedulable": null}});
            self.api.patch(&format!("/api/v1/nodes/{}", node.name()), &as_at_first);
            [Cable::Lan, Cable::Management].iter().for_each(|cable| network::mend(node, *cable));
        }
        self.start_proxies();
        self.portolan.get().into_iter().for_each(Portolan::restore);
        // An address that the next case has again must not lead to pods of this one, of whose connections a node that lost it never saw the end.
        NODES.into_iter().for_each(proxies::forget_connections);
        network::forget_neighbours();
    }
}

fn kubeconfig_of(server: &Server, user: &str) -> PathBuf {
    let file = server.folder.join(format!("{user}.lab.kubeconfig"));
    if !file.exists() {
        fs::write(&file, server.kubeconfig(user).to_string()).expect("the lab's folder can be written");
    }
    file
}

/// The status of a condition of an object; empty without.
pub(crate) fn condition(object: &Value, kind: &str) -> String {
    let conditions = object["status"]["conditions"].as_array();
    let found = conditions.into_iter().flatten().find(|condition| condition["type"] == kind);
    found.and_then(|condition| condition["status"].as_str()).unwrap_or_default().to_owned()
}

/// The Deployment of [`Lab::web`].
pub(crate) fn web(replicas: usize) -> Value {
    let container = json!({
        "name": "web", "image": "registry.k8s.io/e2e-test-images/agnhost",
        // Deleted, it serves four seconds more, as pods in a cluster should: for so long nobody may know yet that it goes.
        "args": ["netexec", "--http-port=8080", "--udp-port=8080", "--delay-shutdown=4"],
        "ports": [{"containerPort": 8080, "protocol": "TCP"}, {"containerPort": 8080, "protocol": "UDP"}],
    });
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
        "spec": {
            "replicas": replicas, "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [container], "terminationGracePeriodSeconds": 10},
            },
        },
    })
}

/// The Service of [`Lab::service`], and but for its class of `Portolan::serve`.
pub(crate) fn service(name: &str, policy: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
        "spec": {
            "type": "LoadBalancer", "loadBalancerClass": "example.com/by-hand", "externalTrafficPolicy": policy,
            "ipFamilyPolicy": "RequireDualStack", "selector": {"app": "web"},
            "ports": [
                {"name": "tcp", "port": 80, "targetPort": 8080, "protocol": "TCP"},
                {"name": "udp", "port": 80, "targetPort": 8080, "protocol": "UDP"},
            ],
        },
    })
}
