//! From MetalLB, as `docs/migrate-from-metallb.md` says, while clients ask: its real controller and speakers had the addresses before.

use std::fs::File;
use std::net::IpAddr;
use std::time::Duration;

use serde_json::{Value, json};

use super::announced::leads_to;
use super::traffic::reached;
use crate::binaries;
use crate::cluster::{Lab, service};
use crate::harness::{SOON, addresses, eventually, merged};
use crate::load::{Load, Protocol, ask};
use crate::metallb::{self, NAMESPACE};
use crate::network::{self, CLIENT, FAR_CLIENT, NODES, Node};
use crate::portolan::{NOBODY, Portolan};
use crate::process::Process;

/// Its pool, apart from that of the lab's Portolan.
const POOL: [&str; 2] = ["198.51.100.96/28", "2001:db8:51::300/120"];

/// Between two requests.
const EVERY: Duration = Duration::from_millis(25);

pub(super) fn addresses_of_metallb_go_over_node_by_node_and_clients_go_on_asking(lab: &'static Lab) {
    let (portolan, namespace) = (lab.portolan(), lab.namespace("migrated"));
    lab.web(&namespace, NODES.len());
    // As before an import: no Portolan controller runs.
    portolan.controller().kill();
    metallb::install(&lab.server, &POOL);
    let controller = start_controller(lab);
    let speakers = NODES.map(|node| (node, start_speaker(lab, node)));
    let services = [("cluster", "Cluster"), ("local", "Local")];
    let before = services.map(|(name, policy)| {
        let classless = merged(service(name, policy), json!({"spec": {"loadBalancerClass": null}}));
        lab.api.create(&format!("/api/v1/namespaces/{namespace}/services"), &classless);
        given(lab, &namespace, name)
    });
    let vips: Vec<IpAddr> = before.iter().flatten().map(|text| text.parse().unwrap()).collect();
    assert_eq!(vips.len(), 4, "{before:?}");
    announced_by_metallb(lab, &namespace, &services.map(|(name, _)| name), &vips);
    let mut loads = Vec::new();
    for vip in &vips {
        for from in [CLIENT, FAR_CLIENT] {
            for protocol in [Protocol::Tcp, Protocol::Udp] {
                reached(from, protocol, *vip);
                loads
                    .push((format!("{protocol:?} to {vip} from {}", from.0), Load::start(from, protocol, *vip, EVERY)));
            }
        }
    }

    let says = import(lab);
    assert!(says.contains("without-metallb"), "it says what to do next: {says}");
    controller.kill();
    portolan.start_controller();
    for (name, _) in services {
        portolan.await_programmed(&namespace, name, "True", "Programmed");
    }
    for (node, speaker) in speakers {
        speaker.signal("TERM");
        assert!(speaker.wait(Duration::from_secs(30)).is_some(), "MetalLB's speaker of {} ends", node.name());
        for (name, _) in services {
            portolan.await_programmed(&namespace, name, "True", "Programmed");
        }
        vips.iter().for_each(|vip| reached(CLIENT, Protocol::Tcp, *vip));
    }
    // Nobody else is there to answer who has them.
    network::forget_neighbours();
    vips.iter().for_each(|vip| leads_to(*vip, portolan.owner(*vip).expect("somebody has it")));
    for ((name, _), before) in services.iter().zip(&before) {
        assert_eq!(given(lab, &namespace, name), *before, "the same addresses");
    }
    let mut longest = Duration::ZERO;
    for (what, load) in loads {
        let tally = load.stop();
        println!("  {what}: {}", tally.summary());
        assert!(tally.0.last().is_some_and(|last| last.outcome.is_ok()), "{what}: {}", tally.summary());
        longest = longest.max(tally.longest_outage());
    }
    println!("  the longest that a client had no answer: {longest:?}");
    assert!(longest < NOBODY, "{longest:?}");
    remove(lab, portolan, &namespace);
}

/// Waits until all are. A speaker of MetalLB's that sees a Service before its endpoints announces it when something of it changes again, and
/// may have to be told.
fn announced_by_metallb(lab: &Lab, namespace: &str, services: &[&str], vips: &[IpAddr]) {
    let mut nudges = 0;
    eventually("MetalLB announces all", SOON, || {
        let silent = vips.iter().find(|vip| ask(CLIENT, Protocol::Tcp, **vip, "hostname").is_err());
        let Some(silent) = silent else { return Ok(()) };
        nudges += 1;
        let nudge = json!({"metadata": {"annotations": {"lab.portolan.dev/nudge": nudges.to_string()}}});
        for name in services {
            lab.api.patch(&format!("/api/v1/namespaces/{namespace}/services/{name}"), &nudge);
        }
        Err(format!("{silent} is silent"))
    });
}

/// What is left of an import: its pool and reservations. What has the cluster's namespaces goes with these.
fn remove(lab: &Lab, portolan: &Portolan, namespace: &str) {
    lab.kubectl(&["delete", "service", "cluster", "local", "-n", namespace]);
    for vip in lab.api.list("/apis/portolan.dev/v1alpha1/virtualips") {
        if vip["spec"]["pool"] == "metallb" {
            lab.kubectl(&["delete", "virtualip", vip["metadata"]["name"].as_str().unwrap()]);
        }
    }
    for kind in ["addresspool", "l2advertisements.portolan.dev"] {
        lab.kubectl(&["delete", kind, "metallb"]);
    }
    portolan.controller().is_well();
}

/// The addresses of a Service of both families, once it has them.
fn given(lab: &Lab, namespace: &str, name: &str) -> Vec<String> {
    eventually(&format!("{name} has an address of each family"), SOON, || {
        let found = lab.api.get(&format!("/api/v1/namespaces/{namespace}/services/{name}")).ok_or("no such Service")?;
        let given = addresses(&found);
        if given.len() == 2 { Ok(given) } else { Err(format!("{:#}", found["status"])) }
    })
}

fn import(lab: &Lab) -> String {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_portolan"));
    command.args(["import", "metallb", "--apply", "--kubeconfig"]).arg(lab.kubeconfig("admin"));
    let output = command.output().expect("portolan starts");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    said
}

fn start_controller(lab: &Lab) -> Process {
    binaries::introduce_peer("metallb-controller");
    let log = File::create(lab.server.folder.join("metallb-controller.log")).unwrap();
    let mut command = metallb::controller(None);
    command.env("KUBECONFIG", lab.kubeconfig("admin")).stdout(log.try_clone().unwrap()).stderr(log);
    Process::spawn(&mut command).unwrap()
}

/// As its DaemonSet would; it looks for its own Pod first.
fn start_speaker(lab: &Lab, node: Node) -> Process {
    let program = binaries::introduce_peer("metallb-speaker");
    let name = format!("speaker-{}", node.name());
    let pod: Value = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {
            "nodeName": node.name(),
            // Which no kubelet here runs.
            "containers": [{"name": "speaker", "image": "quay.io/metallb/speaker"}],
        },
    });
    lab.api.create(&format!("/api/v1/namespaces/{NAMESPACE}/pods"), &pod);
    let arguments = ["--namespace", NAMESPACE, "--node-name", node.name(), "--pod-name", &name];
    lab.start_on(node, "admin", program.to_str().expect("UTF-8"), &arguments)
}
