//! Client to address to pod, through the real kube-proxy.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use crate::arrival::reached;
use crate::cluster::Lab;
use crate::load::{Protocol, ask};
use crate::network::{self, CLIENT, FAR_CLIENT, NODES, Node, Place, client_addresses, far_addresses};
use crate::proxies::Mode;

const PROTOCOLS: [Protocol; 2] = [Protocol::Tcp, Protocol::Udp];

/// How often one asks to see several pods: that one of three pods answers all is then less likely than 3^-19.
const OFTEN: usize = 20;

pub(super) fn nftables_forwards_both_protocols_and_families_from_both_subnets(lab: &Lab) {
    forwards(lab, Mode::Nftables);
}

pub(super) fn iptables_forwards_both_protocols_and_families_from_both_subnets(lab: &Lab) {
    forwards(lab, Mode::Iptables);
}

fn forwards(lab: &Lab, mode: Mode) {
    lab.proxy_mode(mode);
    let namespace = lab.namespace(mode.name());
    lab.web(&namespace, 3);
    let (cluster, local) = (lab.vips(), lab.vips());
    lab.service(&namespace, "cluster", "Cluster", cluster);
    lab.service(&namespace, "local", "Local", local);
    for node in [NODES[0], NODES[2]] {
        cluster.into_iter().chain(local).for_each(|vip| network::point(vip, node));
        reaches_pods_all_ways(lab, &namespace, node, cluster, local);
    }
}

/// From both subnets, over both protocols and families, addresses that lead to this node reach pods: one under Cluster several and never
/// with the client's address, one under Local the node's own with it. There is a pod on each node.
pub(super) fn reaches_pods_all_ways(lab: &Lab, namespace: &str, node: Node, cluster: [IpAddr; 2], local: [IpAddr; 2]) {
    let (mode, pods) = (lab.proxies().mode.name(), lab.nodes_of(namespace));
    let own: Vec<&str> = pods.iter().filter(|(_, on)| *on == node).map(|(name, _)| name.as_str()).collect();
    let [own] = own[..] else { panic!("one pod a node: {pods:?}") };
    for (from, sources) in [(CLIENT, client_addresses()), (FAR_CLIENT, far_addresses())] {
        for protocol in PROTOCOLS {
            for ((cluster, local), source) in cluster.into_iter().zip(local).zip(sources) {
                let what = format!("{protocol:?} to {cluster} and {local} at {} from {}", node.name(), from.0);
                println!("  {mode}: {what}");
                reached(from, protocol, cluster);
                reached(from, protocol, local);
                let answers = |vip| -> BTreeSet<String> {
                    let answer =
                        |_| ask(from, protocol, vip, "hostname").unwrap_or_else(|error| panic!("{what}: {error}"));
                    (0..OFTEN).map(answer).collect()
                };
                assert!(answers(cluster).len() > 1, "under Cluster pods of other nodes answer too: {what}");
                assert_eq!(
                    answers(local),
                    BTreeSet::from([own.to_owned()]),
                    "under Local the node's own pod answers: {what}"
                );
                assert_eq!(seen(from, protocol, local), source, "under Local the pod sees the client: {what}");
                assert_ne!(seen(from, protocol, cluster), source, "under Cluster it sees the node: {what}");
            }
        }
    }
}

pub(super) fn an_address_for_which_nobody_answers_is_not_reached(lab: &Lab) {
    let namespace = lab.namespace("nobody");
    lab.web(&namespace, 1);
    let [vip, other] = lab.vips();
    lab.service(&namespace, "web", "Cluster", [vip, other]);
    network::point(vip, NODES[0]);
    reached(CLIENT, Protocol::Tcp, vip);
    network::forget_neighbours();
    for from in [CLIENT, FAR_CLIENT] {
        let asked = ask(from, Protocol::Tcp, vip, "hostname");
        assert!(asked.is_err(), "nothing but a neighbour entry leads there, yet from {}: {asked:?}", from.0);
    }
    network::point(vip, NODES[0]);
    reached(CLIENT, Protocol::Tcp, vip);
}

pub(super) fn local_is_served_only_by_a_node_with_a_pod(lab: &Lab) {
    let namespace = lab.namespace("local");
    lab.web(&namespace, 1);
    let vips = lab.vips();
    lab.service(&namespace, "web", "Local", vips);
    let on = lab.nodes_of(&namespace)[0].1;
    let without: Vec<Node> = NODES.into_iter().filter(|node| *node != on).collect();
    for vip in vips {
        network::point(vip, on);
        reached(CLIENT, Protocol::Tcp, vip);
        for node in &without {
            network::point(vip, *node);
            let asked = ask(CLIENT, Protocol::Tcp, vip, "hostname");
            assert_eq!(asked, Err("unanswered".to_owned()), "{} has no pod", node.name());
        }
    }
}

/// The address that the pod sees.
fn seen(from: Place, protocol: Protocol, vip: IpAddr) -> IpAddr {
    let answer = ask(from, protocol, vip, "clientip").expect("it was reached");
    let seen: SocketAddr = answer.parse().unwrap_or_else(|error| panic!("{answer}: {error}"));
    seen.ip().to_canonical()
}
