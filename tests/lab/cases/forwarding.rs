//! An address is announced where kube-proxy is well, if there is such a node.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::announced::nobody_answers;
use crate::arrival::leads_to;
use crate::cluster::Lab;
use crate::harness::SOON;
use crate::kubelet::READY;
use crate::load::{Load, Protocol};
use crate::network::{CLIENT, NODES, Node};
use crate::portolan::NOBODY;

/// Between two requests.
const EVERY: Duration = Duration::from_millis(25);

/// After that much a speaker is silent that leaves an address to others: the three seconds, and as much again for reports and frames under way.
const SILENT: Duration = Duration::from_secs(6);

pub(super) fn addresses_of_a_node_whose_kube_proxy_is_gone_go_to_another_and_if_all_are_gone_somebody_has_them(
    lab: &'static Lab,
) {
    let (portolan, namespace) = (lab.portolan(), lab.namespace("unforwarded"));
    lab.web(&namespace, NODES.len());
    for node in NODES {
        portolan.await_alive(node);
        portolan.await_forwarding(node, Value::Null);
    }
    let vips: Vec<IpAddr> = portolan.serve(&namespace, "web", json!({})).into();
    let node = NODES[1];
    portolan.advertise(&namespace, &[node]);
    vips.iter().for_each(|vip| leads_to(*vip, node));
    portolan.advertise(&namespace, &NODES);
    let loads: Vec<(IpAddr, Load)> =
        vips.iter().map(|vip| (*vip, Load::start(CLIENT, Protocol::Tcp, *vip, EVERY))).collect();

    lab.proxies().of(node).kill();
    let gone = Instant::now();
    let others: Vec<Node> = NODES.into_iter().filter(|other| *other != node).collect();
    let heirs: Vec<Node> = vips.iter().map(|vip| portolan.await_owner(*vip, &others)).collect();
    println!("  ranked anew after {:.1} s", gone.elapsed().as_secs_f64());
    vips.iter().zip(heirs).for_each(|(vip, heir)| leads_to(*vip, heir));
    portolan.await_forwarding(node, json!("NotForwarding"));

    // Of somebody who has forgotten each time who has it: others would go on sending to one who is silent.
    let questions: Vec<(IpAddr, Load)> = vips.iter().map(|vip| (*vip, Load::start_anew(*vip, EVERY))).collect();
    others.iter().for_each(|other| lab.proxies().of(*other).kill());
    NODES.iter().for_each(|node| portolan.await_forwarding(*node, json!("NotForwarding")));
    // Whoever were to fall silent has by then.
    std::thread::sleep(SILENT);
    for (vip, asked) in questions {
        let tally = asked.stop();
        println!("  questions for {vip}: {}", tally.summary());
        assert!(tally.0.len() > 20 && tally.longest_outage() < NOBODY, "{vip}: {}", tally.summary());
    }
    // The rules of those that are gone are still in force, so hardly anybody has to notice. (Once, on a busy machine, 150 ms of refused connections.)
    for (vip, load) in loads {
        let tally = load.stop();
        println!("  {vip}: {}", tally.summary());
        assert!(tally.longest_outage() < NOBODY, "{vip}: {}", tally.summary());
        let last = tally.0.last().expect("some were asked");
        assert!(last.outcome.is_ok(), "{}", tally.summary());
    }

    lab.start_proxies();
    NODES.iter().for_each(|node| portolan.await_forwarding(*node, Value::Null));
}

pub(super) fn a_node_without_an_endpoint_says_so_by_its_health_check_port_and_is_silent_although_no_controller_runs(
    lab: &'static Lab,
) {
    let (portolan, namespace) = (lab.portolan(), lab.namespace("unchecked"));
    lab.web(&namespace, 2);
    NODES.iter().for_each(|node| portolan.await_alive(*node));
    let [(pod, node), (_, heir)] = <[_; 2]>::try_from(lab.nodes_of(&namespace)).expect("two pods");
    let vips = portolan.serve(&namespace, "web", json!({"spec": {"externalTrafficPolicy": "Local"}}));
    portolan.advertise(&namespace, &[node]);
    vips.iter().for_each(|vip| leads_to(*vip, node));
    portolan.advertise(&namespace, &[node, heir]);
    // Its speaker knows by then that it is the heir.
    portolan.await_reachable(&namespace, "web", "True", "Reachable", SOON);
    let service = lab.api.get(&format!("/api/v1/namespaces/{namespace}/services/web")).expect("it was created");
    let port = service["spec"]["healthCheckNodePort"].as_u64().expect("it is under Local");
    [node, heir].iter().for_each(|node| portolan.await_failed_check(*node, None));

    // Whoever ranks nodes does so by endpoints too, and as fast: only without him is there anything to see.
    portolan.controller().kill();
    lab.kubectl(&["annotate", "pod", &pod, "-n", &namespace, &format!("{READY}=false")]);
    portolan.await_failed_check(node, Some((port, &vips)));
    vips.iter().for_each(|vip| nobody_answers(*vip));
    portolan.await_failed_check(heir, None);

    portolan.start_controller();
    vips.iter().for_each(|vip| leads_to(*vip, heir));
    portolan.await_failed_check(node, Some((port, &vips)));
    lab.kubectl(&["annotate", "pod", &pod, "-n", &namespace, &format!("{READY}-")]);
    portolan.await_failed_check(node, None);
}
