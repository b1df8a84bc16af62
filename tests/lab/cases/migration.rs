//! From MetalLB, as `docs/migrate-from-metallb.md` says, while clients ask: its real controller and speakers had the addresses before.

use std::net::IpAddr;
use std::time::Duration;

use crate::arrival::{leads_to, reached};
use crate::cluster::Lab;
use crate::load::{Load, Protocol};
use crate::network::{self, CLIENT, FAR_CLIENT, NODES};
use crate::peer::{Metallb, given};
use crate::portolan::{NOBODY, Portolan};

/// Between two requests.
const EVERY: Duration = Duration::from_millis(25);

pub(super) fn addresses_of_metallb_go_over_node_by_node_and_clients_go_on_asking(lab: &'static Lab) {
    let (portolan, namespace) = (lab.portolan(), lab.namespace("migrated"));
    lab.web(&namespace, NODES.len());
    // As before an import: no Portolan controller runs.
    portolan.controller().kill();
    let metallb = Metallb::start(lab);
    let services = [("cluster", "Cluster"), ("local", "Local")];
    let before = services.map(|(name, policy)| metallb.serve(&namespace, name, policy));
    let vips: Vec<IpAddr> = before.as_flattened().to_vec();
    metallb.await_announced(&namespace, &services.map(|(name, _)| name), &vips);
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
    metallb.controller.kill();
    portolan.start_controller();
    for (name, _) in services {
        portolan.await_programmed(&namespace, name, "True", "Programmed");
    }
    for node in NODES {
        metallb.end_speaker(node);
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

fn import(lab: &Lab) -> String {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_portolan"));
    command.args(["import", "metallb", "--apply", "--kubeconfig"]).arg(lab.kubeconfig("admin"));
    let output = command.output().expect("portolan starts");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    said
}
