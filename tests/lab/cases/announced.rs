//! The whole way: a Service is created, and clients that know nothing but its address reach its pods.

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde_json::json;

use super::traffic::reaches_pods_all_ways;
use crate::arrival::{leads_to, nobody_answers};
use crate::cluster::Lab;
use crate::harness::{SOON, eventually};
use crate::load::{Protocol, ask};
use crate::network::{self, CLIENT, NODES, Node, WITNESS, WITNESS_STATION};
use crate::proxies::Mode;

pub(super) fn clients_reach_pods_at_addresses_that_portolan_gives_and_announces_beside_nftables(lab: &'static Lab) {
    the_whole_way(lab, Mode::Nftables);
}

pub(super) fn clients_reach_pods_at_addresses_that_portolan_gives_and_announces_beside_iptables(lab: &'static Lab) {
    the_whole_way(lab, Mode::Iptables);
}

fn the_whole_way(lab: &'static Lab, mode: Mode) {
    lab.proxy_mode(mode);
    let portolan = lab.portolan();
    let namespace = lab.namespace(&format!("announced-{}", mode.name()));
    lab.web(&namespace, 3);
    let cluster = portolan.serve(&namespace, "cluster", json!({}));
    // One without a class is served as well, since this is the default one.
    let classless = json!({"spec": {"loadBalancerClass": null, "externalTrafficPolicy": "Local"}});
    let local = portolan.serve(&namespace, "local", classless);
    let vips: Vec<IpAddr> = cluster.into_iter().chain(local).collect();
    for owner in [NODES[0], NODES[2]] {
        portolan.advertise(&namespace, &[owner]);
        vips.iter().for_each(|vip| leads_to(*vip, owner));
        reaches_pods_all_ways(lab, &namespace, owner, cluster, local);
        for vip in &vips {
            NODES.iter().for_each(|node| is_not_bound(*vip, *node));
        }
        for name in ["cluster", "local"] {
            portolan.await_programmed(&namespace, name, "True", "Programmed");
        }
        let report = portolan.await_applied(owner, &vips);
        assert_eq!(report["spec"]["stations"]["lan"], owner.mac(), "{report:#}");
        assert_eq!(report["spec"]["notAsRanked"], json!(null), "{report:#}");
        // With those of its second network, of which the API server knows nothing, and none of what it announces.
        let named: BTreeSet<IpAddr> = serde_json::from_value(report["spec"]["nodeAddresses"].clone()).unwrap();
        let all = owner.addresses().into_iter().chain([owner.management()]);
        assert!(all.clone().all(|own| named.contains(&own)), "{report:#}");
        assert!(
            named.is_subset(&network::own_addresses(owner)) && vips.iter().all(|vip| !named.contains(vip)),
            "{report:#}"
        );
    }
    // Now that there is a second node, it sees the same on the wire, under either policy.
    portolan.advertise(&namespace, &[NODES[2], NODES[0]]);
    for name in ["cluster", "local"] {
        portolan.await_reachable(&namespace, name, "True", "Reachable", SOON);
    }
}

pub(super) fn an_address_that_is_given_back_is_answered_for_by_nobody(lab: &'static Lab) {
    let (portolan, namespace) = (lab.portolan(), lab.namespace("given-back"));
    lab.web(&namespace, 1);
    let vips = portolan.serve(&namespace, "web", json!({}));
    portolan.advertise(&namespace, &[NODES[1]]);
    vips.iter().for_each(|vip| leads_to(*vip, NODES[1]));
    lab.kubectl(&["delete", "service", "web", "-n", &namespace]);
    for vip in vips {
        nobody_answers(vip);
        assert_eq!(portolan.owner(vip), None);
    }
}

pub(super) fn an_address_that_a_stranger_has_is_left_to_him_and_the_service_names_him(lab: &'static Lab) {
    let (portolan, namespace) = (lab.portolan(), lab.namespace("stranger"));
    lab.web(&namespace, 1);
    // The last ones of the pool, so that no other case meets him.
    let wanted: [IpAddr; 2] = ["198.51.100.63", "2001:db8:51::2ff"].map(|text| text.parse().unwrap());
    let (on, off) =
        (wanted.map(|ip| format!("addr add {ip} dev lan nodad")), wanted.map(|ip| format!("addr del {ip} dev lan")));
    network::ip(Some(WITNESS), &on.join("\n").replacen(" nodad", "", 1));
    portolan.advertise(&namespace, &[NODES[0]]);
    let by_name = json!({"metadata": {"annotations": {"portolan.dev/load-balancer-ips": wanted.map(|ip| ip.to_string()).join(",")}}});
    assert_eq!(portolan.serve(&namespace, "web", by_name), wanted);
    let condition = portolan.await_programmed(&namespace, "web", "False", "AddressConflict");
    let message = condition["message"].as_str().unwrap();
    assert!(message.contains(WITNESS_STATION), "he is named: {message}");
    for vip in wanted {
        let _ = ask(CLIENT, Protocol::Udp, vip, "hostname");
        assert_eq!(network::station(CLIENT, vip).as_deref(), Some(WITNESS_STATION));
    }
    network::ip(Some(WITNESS), &off.join("\n"));
}

/// No interface of a node has an address, and its kernel does not take it for its own: nothing but the speaker answers for it.
fn is_not_bound(vip: IpAddr, node: Node) {
    let own = network::own_addresses(node);
    assert!(node.addresses().iter().all(|address| own.contains(address)), "its own are found: {own:?}");
    assert!(!own.contains(&vip), "{vip} is on {}", node.name());
}
