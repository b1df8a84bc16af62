//! What all of this is for: `portolan controller` and on every node `portolan speaker`, as the service accounts of `deploy/` and with their
//! roles alone, and a pool of the LAN's addresses.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use crate::api::Api;
use crate::cluster::{Lab, service};
use crate::harness::{Controller, SOON, Setup, World, addresses, condition, eventually, merged};
use crate::network::{self, NODES, Node};
use crate::process::Process;
use crate::rights;
use crate::server::Server;

/// The class of its Services; those without one are its too.
pub(crate) const CLASS: &str = "portolan.dev/metal";

/// What it gives out. No case's own addresses are among them (`Lab::vips`).
pub(crate) const POOL: [&str; 2] = ["198.51.100.32/27", "2001:db8:51::200/120"];

/// After how long without a sign of life a speaker is taken for dead: its Lease's `leaseDurationSeconds`.
pub(crate) const LEASE: Duration = Duration::from_secs(15);

/// Longer is nobody without an answer while somebody may have the address: what a speaker waits at most before it takes one or leaves it (design,
/// section 4). Requests that a busy machine lets wait for a second are not what this is about.
pub(crate) const NOBODY: Duration = Duration::from_secs(3);

const VIPS: &str = "/apis/portolan.dev/v1alpha1/virtualips";
const POOLS: &str = "/apis/portolan.dev/v1alpha1/addresspools";
const ADVERTISEMENTS: &str = "/apis/portolan.dev/v1alpha1/l2advertisements";
const REPORTS: &str = "/apis/portolan.dev/v1alpha1/speakerreports";

/// The label of a Service that says which namespace's advertisement is for it.
const OF_CASE: &str = "lab.portolan.dev/case";

/// What a user applies besides the CRDs.
const MANIFESTS: [&str; 3] = ["rbac.yaml", "rbac-metal.yaml", "rbac-speaker.yaml"];

/// The service accounts of the two, as the API server calls them.
pub(crate) const CONTROLLER: &str = "system:serviceaccount:kube-system:portolan";
pub(crate) const SPEAKER: &str = "system:serviceaccount:kube-system:portolan-speaker";

/// Of the Services of a case, from these nodes.
fn of_case(namespace: &str, nodes: &[Node]) -> Value {
    let names: Vec<&str> = nodes.iter().map(|node| node.name()).collect();
    let selected = json!({"key": "kubernetes.io/hostname", "operator": "In", "values": names});
    let (nodes, services) = (json!({"matchExpressions": [selected]}), json!({"matchLabels": {OF_CASE: namespace}}));
    json!({"nodeSelectors": [nodes], "serviceSelectors": [services]})
}

/// A controller with another configuration than the other cases'.
struct Reconfigured<'a> {
    portolan: &'a Portolan,
}

impl Drop for Reconfigured<'_> {
    fn drop(&mut self) {
        self.portolan.controller().kill();
    }
}

/// Portolan in the lab.
pub(crate) struct Portolan {
    api: Api,
    folder: PathBuf,
    /// The user of the speakers.
    kubeconfig: PathBuf,
    /// For the audit log.
    world: World,
    setup: Setup,
    controller: Mutex<Controller>,
    speakers: Mutex<Vec<Process>>,
}

impl Portolan {
    /// Installs it as the documentation says, and starts it.
    pub(crate) fn start(server: &'static Server) -> Self {
        let (api, world) = (server.admin.clone(), World::new(server, "portolan"));
        server.apply_crds();
        let roles = apply_manifests(server);
        for (file, user) in [("rbac.yaml", CONTROLLER), ("rbac-metal.yaml", CONTROLLER), ("rbac-speaker.yaml", SPEAKER)]
        {
            let of_file = roles.iter().filter(|(of, _)| *of == file);
            of_file.for_each(|(_, role)| rights::wait_until_granted(&api, role, &json!({"user": user})));
        }
        let pool = json!({
            "apiVersion": "portolan.dev/v1alpha1", "kind": "AddressPool", "metadata": {"name": "lan"}, "spec": {"addresses": POOL},
        });
        api.create(POOLS, &pool);
        let classes = json!([{"name": CLASS, "provider": "metal", "default": true}]);
        let setup = world
            .setup()
            .configured(json!({"instance": "", "watchNamespaces": [], "classes": classes}))
            .authenticated(CONTROLLER, kubeconfig(server, CONTROLLER))
            // As a container that is started again in its Pod: it takes its own Lease back at once.
            .environment(vec![("POD_NAME".to_owned(), "portolan-0".to_owned())])
            .elected_by_own_rights();
        let controller = Mutex::new(setup.start());
        let file = server.folder.join("portolan-speaker.kubeconfig");
        fs::write(&file, kubeconfig(server, SPEAKER).to_string()).expect("the lab's folder can be written");
        let folder = server.folder.clone();
        let speakers = NODES.map(|node| start_speaker(node, &folder, &file)).into();
        Self { api, folder, kubeconfig: file, world, setup, controller, speakers: Mutex::new(speakers) }
    }

    /// A Service before the pods `web` of a namespace, both protocols and families, that Portolan has given addresses to; these.
    pub(crate) fn serve(&self, namespace: &str, name: &str, changes: Value) -> [IpAddr; 2] {
        let path = format!("/api/v1/namespaces/{namespace}/services");
        let ours = json!({"metadata": {"labels": {OF_CASE: namespace}}, "spec": {"loadBalancerClass": CLASS}});
        self.api.create(&path, &merged(merged(service(name, "Cluster"), ours), changes));
        eventually(&format!("{name} has an address of each family"), SOON, || {
            let found = self.api.get(&format!("{path}/{name}")).ok_or("no such Service")?;
            let texts = addresses(&found);
            let parsed: Option<Vec<IpAddr>> = texts.iter().map(|text| text.parse().ok()).collect();
            parsed.and_then(|parsed| parsed.try_into().ok()).ok_or_else(|| format!("{:#}", found["status"]))
        })
    }

    /// Waits until the condition `portolan.dev/Programmed` of a Service is so; the condition.
    pub(crate) fn await_programmed(&self, namespace: &str, name: &str, status: &str, reason: &str) -> Value {
        self.await_condition(namespace, name, ["Programmed", status, reason], SOON)
    }

    /// The same of the condition `portolan.dev/Reachable`.
    pub(crate) fn await_reachable(
        &self,
        namespace: &str,
        name: &str,
        status: &str,
        reason: &str,
        within: Duration,
    ) -> Value {
        self.await_condition(namespace, name, ["Reachable", status, reason], within)
    }

    fn await_condition(&self, namespace: &str, name: &str, wanted: [&str; 3], within: Duration) -> Value {
        let [kind, status, reason] = wanted;
        eventually(&format!("{name}: {kind}={status}, {reason}"), within, || {
            let found =
                self.api.get(&format!("/api/v1/namespaces/{namespace}/services/{name}")).ok_or("no such Service")?;
            let said = condition(&found, &format!("portolan.dev/{kind}")).cloned().unwrap_or_default();
            let is_so = said["status"] == status && said["reason"] == reason;
            if is_so { Ok(said) } else { Err(format!("{:#}", found["status"])) }
        })
    }

    /// A pool besides, for a namespace alone, which it is called after.
    pub(crate) fn pool(&self, namespace: &str, addresses: &[&str]) {
        let spec = json!({"addresses": addresses, "serviceAllocation": {"namespaces": [namespace]}});
        let pool = json!({"apiVersion": "portolan.dev/v1alpha1", "kind": "AddressPool", "metadata": {"name": namespace}, "spec": spec});
        self.api.create(POOLS, &pool);
    }

    /// Has the Services of a namespace announced from these nodes and from no others, from now on.
    pub(crate) fn advertise(&self, namespace: &str, nodes: &[Node]) {
        self.apply_advertisement(namespace, &of_case(namespace, nodes));
    }

    /// The same, and rather from one of these nodes than from the others.
    pub(crate) fn advertise_rather(&self, namespace: &str, nodes: &[Node], preferred: Node) {
        let preference = json!({"matchLabels": {"kubernetes.io/hostname": preferred.name()}});
        let preferred = json!([{"weight": 1, "preference": preference}]);
        self.apply_advertisement(
            namespace,
            &merged(of_case(namespace, nodes), json!({"preferredNodeSelectors": preferred})),
        );
    }

    /// Has all Services announced from all nodes.
    pub(crate) fn advertise_everything(&self) {
        self.apply_advertisement("lan", &json!({"ipAddressPools": ["lan"]}));
    }

    fn apply_advertisement(&self, name: &str, spec: &Value) {
        let advertisement = json!({
            "apiVersion": "portolan.dev/v1alpha1", "kind": "L2Advertisement", "metadata": {"name": name}, "spec": spec,
        });
        let path = format!("{ADVERTISEMENTS}/{name}?fieldManager=lab");
        let applied = self.api.request(Method::PATCH, &path, Some(("application/apply-patch+yaml", &advertisement)));
        applied.unwrap_or_else(|refused| panic!("{advertisement:#}: {refused}"));
    }

    /// The node that is to answer for an address, if there is one.
    pub(crate) fn owner(&self, vip: IpAddr) -> Option<Node> {
        let found = self.api.get(&format!("{VIPS}/{}", object_name(vip)))?;
        Node::named(found["spec"]["ranks"]["nodes"][0].as_str()?)
    }

    /// The version of an address's object.
    pub(crate) fn version(&self, vip: IpAddr) -> String {
        let found = self.api.get(&format!("{VIPS}/{}", object_name(vip))).expect("somebody has it");
        found["metadata"]["resourceVersion"].as_str().expect("a version").to_owned()
    }

    /// Waits until it is one of these.
    pub(crate) fn await_owner(&self, vip: IpAddr, nodes: &[Node]) -> Node {
        eventually(&format!("one of {nodes:?} has {vip}"), SOON, || {
            let found = self.api.get(&format!("{VIPS}/{}", object_name(vip))).ok_or("no such VirtualIP")?;
            let owner = found["spec"]["ranks"]["nodes"][0].as_str().and_then(Node::named);
            owner
                .filter(|owner| nodes.contains(owner))
                .ok_or_else(|| format!("{:#} {:#}", found["spec"], found["status"]))
        })
    }

    /// Waits until a node's speaker has reported that it is alive and knows of the last change of each of these addresses.
    pub(crate) fn await_applied(&self, node: Node, vips: &[IpAddr]) -> Value {
        eventually(&format!("the speaker of {} has applied {vips:?}", node.name()), SOON, || {
            let versions = vips.iter().map(|vip| {
                let found = self.api.get(&format!("{VIPS}/{}", object_name(*vip)))?;
                found["metadata"]["resourceVersion"].as_str()?.parse::<u64>().ok()
            });
            let wanted = versions.max().flatten().ok_or("no such VirtualIP")?;
            let report = self.api.get(&format!("{REPORTS}/{}", node.name())).ok_or("no report")?;
            let applied = report["spec"]["appliedVersion"].as_u64().unwrap_or(0);
            if applied >= wanted { Ok(report) } else { Err(format!("{wanted} is not in {:#}", report["spec"])) }
        })
    }

    /// Waits until a node's speaker has reported that this is not as it is ranked; null if all is.
    pub(crate) fn await_not_as_ranked(&self, node: Node, wanted: Value, within: Duration) {
        eventually(&format!("{} reports {wanted} as not as ranked", node.name()), within, || {
            let report = self.api.get(&format!("{REPORTS}/{}", node.name())).ok_or("no report")?;
            if report["spec"]["notAsRanked"] == wanted { Ok(()) } else { Err(format!("{:#}", report["spec"])) }
        });
    }

    /// Waits until a node's speaker has reported this of what the node forwards; null if that is well.
    pub(crate) fn await_forwarding(&self, node: Node, wanted: Value) {
        eventually(&format!("{} reports {wanted} of what it forwards", node.name()), SOON, || {
            let report = self.api.get(&format!("{REPORTS}/{}", node.name())).ok_or("no report")?;
            if report["spec"]["forwarding"] == wanted { Ok(()) } else { Err(format!("{:#}", report["spec"])) }
        });
    }

    /// Waits until a node's speaker has reported that exactly these addresses fail at this health check port, or that none do.
    pub(crate) fn await_failed_check(&self, node: Node, wanted: Option<(u64, &[IpAddr])>) {
        let wanted =
            wanted.map(|(port, addresses)| json!([{"port": port, "addresses": addresses}])).unwrap_or(Value::Null);
        eventually(&format!("{} reports {wanted} of health check ports", node.name()), SOON, || {
            let report = self.api.get(&format!("{REPORTS}/{}", node.name())).ok_or("no report")?;
            if report["spec"]["failedHealthChecks"] == wanted { Ok(()) } else { Err(format!("{:#}", report["spec"])) }
        });
    }

    /// Waits until a node's speaker is there, as far as others can tell.
    pub(crate) fn await_alive(&self, node: Node) {
        eventually(&format!("the speaker of {} is alive", node.name()), SOON, || match self.sign_of_life(node) {
            Some(holder) if !holder.is_empty() => Ok(()),
            holder => Err(format!("{holder:?}")),
        });
    }

    /// Who holds the Lease of a node's speaker; empty if it was given back.
    pub(crate) fn sign_of_life(&self, node: Node) -> Option<String> {
        let leases = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases";
        let lease = self.api.get(&format!("{leases}/portolan-speaker-{}", node.name()))?;
        Some(lease["spec"]["holderIdentity"].as_str().unwrap_or_default().to_owned())
    }

    /// That of a node, for a case that stops it.
    pub(crate) fn speaker(&self, node: Node) -> Process {
        self.speakers()[usize::from(node.0) - 1].clone()
    }

    /// The controller, for a case that stops it.
    pub(crate) fn controller(&self) -> MutexGuard<'_, Controller> {
        self.controller.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As after the start: what has ended runs again, and nothing is advertised.
    pub(crate) fn restore(&self) {
        self.api.delete(ADVERTISEMENTS);
        self.start_controller();
        self.start_speakers();
    }

    /// Starts it again if it has ended.
    pub(crate) fn start_controller(&self) {
        let mut controller = self.controller();
        if !controller.process.is_running() {
            *controller = self.setup.start();
        }
    }

    /// Starts another one in its place, with this merged over its configuration; it ends with the case.
    pub(crate) fn reconfigure_controller(&self, changes: Value) -> impl Drop {
        let mut controller = self.controller();
        controller.kill();
        *controller = self.setup.clone().configured(changes).start();
        Reconfigured { portolan: self }
    }

    /// Starts those again that have ended.
    pub(crate) fn start_speakers(&self) {
        for (node, speaker) in NODES.into_iter().zip(self.speakers().iter_mut()) {
            if !speaker.is_running() {
                *speaker = start_speaker(node, &self.folder, &self.kubeconfig);
            }
        }
    }

    /// Ends all of it, once nobody has an address any more.
    pub(crate) fn stop(&self) {
        eventually("nobody has an address", SOON, || match self.api.list(VIPS).as_slice() {
            [] => Ok(()),
            left => Err(format!("{left:#?}")),
        });
        self.speakers().iter().chain([&self.controller().process]).for_each(|process| process.signal("TERM"));
        for process in self.speakers().iter().chain([&self.controller().process]) {
            assert!(process.wait(SOON).is_some(), "it ends");
        }
    }

    /// Fails if the controller or a speaker has panicked or ended with an error, or was ever refused what it asked for.
    pub(crate) fn is_well(&self) {
        for text in
            NODES.map(|node| read(&speaker_log(&self.folder, node))).into_iter().chain([self.controller().log()])
        {
            assert!(!text.contains("panicked at"), "{text}");
        }
        let speakers = self.speakers().clone();
        for process in speakers.iter().chain([&self.controller().process]) {
            // One that a case has killed has no code.
            assert!(
                process.exit().and_then(|status| status.code()).is_none_or(|code| code == 0),
                "{:?}",
                process.exit()
            );
        }
        for user in [CONTROLLER, SPEAKER] {
            let refused = self.world.forbidden(user);
            assert!(refused.is_empty(), "{user} has asked for more than deploy/ gives it: {refused:?}");
        }
    }

    /// What one of the two was allowed so far, as `VERB RESOURCE`. A watch is among it when it has ended.
    pub(crate) fn allowed(&self, user: &str) -> BTreeSet<String> {
        self.world.allowed(user)
    }

    fn speakers(&self) -> MutexGuard<'_, Vec<Process>> {
        self.speakers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The rights that a file of `deploy/` gives, as `VERB RESOURCE`.
pub(crate) fn given(file: &str) -> BTreeSet<String> {
    let objects = documents(file);
    let roles = objects.iter().filter(|object| object["rules"].is_array());
    roles.flat_map(rights::rights).map(|right| right.to_string()).collect()
}

/// `kubectl apply` of each; their roles, and the file that each is of.
fn apply_manifests(server: &Server) -> Vec<(&'static str, Value)> {
    let mut roles = Vec::new();
    for file in MANIFESTS {
        server.kubectl(&["apply"], Some(&text(file))).unwrap_or_else(|error| panic!("{file}: {error}"));
        let of_file = documents(file).into_iter().filter(|object| object["rules"].is_array());
        roles.extend(of_file.map(|role| (file, role)));
    }
    roles
}

fn read(log: &std::path::Path) -> String {
    fs::read(log).map(|octets| String::from_utf8_lossy(&octets).into_owned()).unwrap_or_default()
}

/// What the container of the speaker's DaemonSet may do, as `deploy/` says.
pub(crate) fn security_context() -> Value {
    let mut objects = documents("speaker.yaml").into_iter();
    let daemons = objects.find(|object| object["kind"] == "DaemonSet").expect("a DaemonSet");
    daemons["spec"]["template"]["spec"]["containers"][0]["securityContext"].clone()
}

fn documents(file: &str) -> Vec<Value> {
    portolan::yaml::documents(&text(file)).expect("deploy/ is YAML")
}

fn text(file: &str) -> String {
    fs::read_to_string(format!("{}/deploy/{file}", env!("CARGO_MANIFEST_DIR"))).expect("a file of deploy/")
}

/// That of a service account, with a token as a Pod of it gets; for longer than any lab stands.
fn kubeconfig(server: &Server, user: &str) -> Value {
    let [.., namespace, name] = user.split(':').collect::<Vec<_>>()[..] else { panic!("{user} is no service account") };
    let seconds = Duration::from_secs(30 * 86400).as_secs();
    let request = json!({
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": seconds},
    });
    let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token");
    let token = server.admin.create(&path, &request);
    server.kubeconfig_with_token(user, token["status"]["token"].as_str().expect("a token"))
}

/// Makes all that is mounted read-only, for itself and what it becomes: `ip netns exec` has given it a mount namespace of its own. (Handles of
/// network namespaces are no files, and come and go with pods.)
const READ_ONLY: &str = r#"cat /proc/self/mounts | while read -r _ at kind _; do
  [ "$kind" = nsfs ] || mount -o remount,bind,ro "$at" || exit
done && exec "$@""#;

/// As its DaemonSet would have it (`deploy/speaker.yaml`): root in the node's network, with one capability and a root that it cannot write.
fn start_speaker(node: Node, folder: &std::path::Path, kubeconfig: &std::path::Path) -> Process {
    let log = File::options().create(true).append(true).open(speaker_log(folder, node)).expect("the lab's folder");
    let mut command = network::command(node.place(), "sh");
    command
        .args([
            "-c",
            READ_ONLY,
            "sh",
            "setpriv",
            "--no-new-privs",
            "--inh-caps=-all,+net_raw",
            "--bounding-set=-all,+net_raw",
        ])
        .args([env!("CARGO_BIN_EXE_portolan"), "speaker"])
        .args(["--node-name", node.name(), "--node-ips", &node.addresses().map(|ip| ip.to_string()).join(",")])
        .arg("--kubeconfig")
        .arg(kubeconfig)
        .env("NO_COLOR", "1")
        .env_remove("RUST_LOG")
        .stdout(log.try_clone().expect("a file"))
        .stderr(log);
    Process::spawn(&mut command).expect("ip, sh and setpriv start")
}

fn speaker_log(folder: &std::path::Path, node: Node) -> PathBuf {
    folder.join(format!("speaker-{}.log", node.name()))
}

/// A VirtualIP is called what it is: IPv6 as eight full groups.
fn object_name(vip: IpAddr) -> String {
    match vip {
        IpAddr::V4(vip) => vip.to_string(),
        IpAddr::V6(vip) => vip.segments().map(|group| format!("{group:04x}")).join("-"),
    }
}
