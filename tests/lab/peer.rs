//! MetalLB in the lab, as [`crate::portolan`] is there: its controller beside the cluster, and a speaker on every node as the DaemonSet of its
//! manifests has it, with memberlist, by which speakers miss each other.

use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use serde_json::{Value, json};

use crate::binaries;
use crate::cluster::{Lab, service};
use crate::harness::{SOON, addresses, eventually, merged};
use crate::load::{Protocol, ask};
use crate::metallb::{self, NAMESPACE};
use crate::network::{CLIENT, NODES, Node};
use crate::process::Process;
use crate::proxies::http_get;

/// Its pool, apart from that of the lab's Portolan.
pub(crate) const POOL: [&str; 2] = ["198.51.100.96/28", "2001:db8:51::300/120"];

/// Its manifest's `terminationGracePeriodSeconds`.
const GRACE: Duration = Duration::from_secs(2);

/// Its manifest's `initialDelaySeconds`: before that no new Pod is ready, and a rolling update waits.
const READY_AFTER: Duration = Duration::from_secs(10);

/// Its manifest's port of metrics, which the readiness probe asks.
const METRICS: u16 = 7472;

/// By which its Pods find each other.
const LABELS: [(&str, &str); 2] = [("app", "metallb"), ("component", "speaker")];

/// MetalLB in the lab; it serves Services without a class.
pub(crate) struct Metallb {
    lab: &'static Lab,
    pub(crate) controller: Process,
    speakers: Mutex<Vec<Process>>,
    /// That of the Secret `memberlist`, which speakers mount.
    secret: PathBuf,
}

impl Metallb {
    /// Installs it and starts it, with a pool and an L2Advertisement for all of it.
    pub(crate) fn start(lab: &'static Lab) -> Self {
        metallb::install(&lab.server, &POOL);
        let log = fs::File::create(lab.server.folder.join("metallb-controller.log")).expect("the lab's folder");
        binaries::introduce_peer("metallb-controller");
        let mut command = metallb::controller(None);
        command.env("KUBECONFIG", lab.kubeconfig("admin")).stdout(log.try_clone().expect("a file")).stderr(log);
        let controller = Process::spawn(&mut command).expect("tests/tools has built it");
        let secret = lab.server.folder.join("memberlist");
        fs::create_dir_all(&secret).expect("the lab's folder can be written");
        fs::write(secret.join("secretkey"), "of the lab").expect("the lab's folder can be written");
        create_pods(lab);
        let program = binaries::introduce_peer("metallb-speaker");
        let speakers = NODES.map(|node| start_speaker(lab, node, &program, &secret)).into();
        Self { lab, controller, speakers: Mutex::new(speakers), secret }
    }

    /// A Service before the pods `web` of a namespace, both protocols and families, that MetalLB has given addresses to; these.
    pub(crate) fn serve(&self, namespace: &str, name: &str, policy: &str) -> [IpAddr; 2] {
        let classless = merged(service(name, policy), json!({"spec": {"loadBalancerClass": null}}));
        self.lab.api.create(&format!("/api/v1/namespaces/{namespace}/services"), &classless);
        given(self.lab, namespace, name)
    }

    /// Waits until all are announced. A speaker that sees a Service before its endpoints announces it when something of it changes again, and may
    /// have to be told.
    pub(crate) fn await_announced(&self, namespace: &str, services: &[&str], vips: &[IpAddr]) {
        let mut nudges = 0;
        eventually("MetalLB announces all", SOON, || {
            let silent = vips.iter().find(|vip| ask(CLIENT, Protocol::Tcp, **vip, "hostname").is_err());
            let Some(silent) = silent else { return Ok(()) };
            nudges += 1;
            let nudge = json!({"metadata": {"annotations": {"lab.portolan.dev/nudge": nudges.to_string()}}});
            for name in services {
                self.lab.api.patch(&format!("/api/v1/namespaces/{namespace}/services/{name}"), &nudge);
            }
            Err(format!("{silent} is silent"))
        });
    }

    /// Has all Services announced from these nodes and from no others, from now on.
    pub(crate) fn advertise(&self, nodes: &[Node]) {
        let names: Vec<&str> = nodes.iter().map(|node| node.name()).collect();
        let selected = json!({"key": "kubernetes.io/hostname", "operator": "In", "values": names});
        let path = format!("/apis/metallb.io/v1beta1/namespaces/{NAMESPACE}/l2advertisements/metallb");
        self.lab.api.patch(&path, &json!({"spec": {"nodeSelectors": [{"matchExpressions": [selected]}]}}));
    }

    /// That of a node.
    pub(crate) fn speaker(&self, node: Node) -> Process {
        self.speakers.lock().unwrap()[index(node)].clone()
    }

    /// Ends one as a kubelet ends a Pod.
    pub(crate) fn end_speaker(&self, node: Node) {
        let speaker = self.speaker(node);
        speaker.signal("TERM");
        if speaker.wait(GRACE).is_none() {
            speaker.kill();
        }
    }

    /// Starts one again that has ended, and waits until its Pod would be ready.
    pub(crate) fn start_speaker(&self, node: Node) {
        let program = binaries::path("metallb-speaker");
        self.speakers.lock().unwrap()[index(node)] = start_speaker(self.lab, node, &program, &self.secret);
        std::thread::sleep(READY_AFTER);
        eventually(&format!("MetalLB's speaker of {} is ready", node.name()), SOON, || {
            let (status, _) = http_get(node.management(), METRICS, "/metrics").map_err(|error| error.to_string())?;
            if status == 200 { Ok(()) } else { Err(status.to_string()) }
        });
    }
}

fn index(node: Node) -> usize {
    usize::from(node.0) - 1
}

/// The addresses of a Service of both families, once it has them.
pub(crate) fn given(lab: &Lab, namespace: &str, name: &str) -> [IpAddr; 2] {
    eventually(&format!("{name} has an address of each family"), SOON, || {
        let found = lab.api.get(&format!("/api/v1/namespaces/{namespace}/services/{name}")).ok_or("no such Service")?;
        let parsed: Option<Vec<IpAddr>> = addresses(&found).iter().map(|text| text.parse().ok()).collect();
        parsed.and_then(|parsed| parsed.try_into().ok()).ok_or_else(|| format!("{:#}", found["status"]))
    })
}

/// Its DaemonSet, which no controller here serves, and the Pods of it: each speaker looks for its own, and for the addresses of the others.
fn create_pods(lab: &Lab) {
    let labels: serde_json::Map<String, Value> =
        LABELS.map(|(key, value)| (key.to_owned(), json!(value))).into_iter().collect();
    let container = json!({"name": "speaker", "image": "quay.io/metallb/speaker"});
    let spec = json!({"containers": [container], "hostNetwork": true});
    let set = lab.api.create(
        &format!("/apis/apps/v1/namespaces/{NAMESPACE}/daemonsets"),
        &json!({
            "apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "speaker"},
            "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": spec}},
        }),
    );
    let owner = json!({
        "apiVersion": "apps/v1", "kind": "DaemonSet", "name": "speaker", "uid": set["metadata"]["uid"], "controller": true,
    });
    for node in NODES {
        let (path, name) = (format!("/api/v1/namespaces/{NAMESPACE}/pods"), pod_name(node));
        lab.api.create(
            &path,
            &json!({
                "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels, "ownerReferences": [owner]},
                "spec": merged(spec.clone(), json!({"nodeName": node.name()})),
            }),
        );
        let [v4, v6] = node.addresses();
        let status = json!({
            "phase": "Running", "hostIP": v4, "podIP": v4, "podIPs": [{"ip": v4}, {"ip": v6}],
            "conditions": [{"type": "Ready", "status": "True"}],
        });
        lab.api.patch(&format!("{path}/{name}/status"), &json!({"status": status}));
    }
}

fn pod_name(node: Node) -> String {
    format!("speaker-{}", node.name())
}

/// With what its manifest gives it.
fn start_speaker(lab: &Lab, node: Node, program: &std::path::Path, secret: &std::path::Path) -> Process {
    let (pod, [address, _]) = (pod_name(node), node.addresses().map(|address| address.to_string()));
    let labels = LABELS.map(|(key, value)| format!("{key}={value}")).join(",");
    let [program, secret] = [program, secret].map(|path| path.to_str().expect("UTF-8"));
    lab.start_on(
        node,
        "admin",
        program,
        &[
            "--namespace",
            NAMESPACE,
            "--node-name",
            node.name(),
            "--pod-name",
            &pod,
            "--ml-bindaddr",
            &address,
            "--ml-labels",
            &labels,
            "--ml-secret-key-path",
            secret,
        ],
    )
}
