//! What the lab plays: pods come, go and are evicted as the API says, and nodes are there as long as they say so.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::arrival::reached;
use crate::cluster::{GRACE, Lab, condition};
use crate::harness::{SOON, eventually};
use crate::kubelet::READY;
use crate::load::{Load, Protocol};
use crate::network::{self, CLIENT, NODES, Node};

pub(super) fn a_pod_told_to_be_unready_gets_no_requests(lab: &Lab) {
    let namespace = lab.namespace("unready");
    lab.web(&namespace, 2);
    let [vip, other] = lab.vips();
    lab.service(&namespace, "web", "Cluster", [vip, other]);
    network::point(vip, NODES[0]);
    let pods = lab.nodes_of(&namespace);
    let (quiet, loud) = (&pods[0].0, &pods[1].0);
    let answers = || {
        let load = Load::start(CLIENT, Protocol::Tcp, vip, Duration::from_millis(2));
        std::thread::sleep(Duration::from_millis(200));
        load.stop()
    };
    let both = |expected: &[&str]| {
        eventually(&format!("{expected:?} answer"), SOON, || {
            let tally = answers();
            let by: Vec<&str> = tally.answered_by().into_keys().collect();
            if by == expected { Ok(()) } else { Err(tally.summary() + &format!(" {by:?}")) }
        });
    };
    let mut all = [quiet.as_str(), loud.as_str()];
    all.sort_unstable();
    both(&all);
    lab.kubectl(&["annotate", "pod", quiet, "-n", &namespace, &format!("{READY}=false")]);
    both(&[loud]);
    lab.kubectl(&["annotate", "pod", quiet, "-n", &namespace, &format!("{READY}-")]);
    both(&all);
}

pub(super) fn a_drained_nodes_pods_come_back_elsewhere_and_no_request_is_lost(lab: &Lab) {
    let namespace = lab.namespace("drained");
    lab.web(&namespace, 3);
    let vips = lab.vips();
    lab.service(&namespace, "web", "Cluster", vips);
    let node = NODES[1];
    let before = lab.nodes_of(&namespace);
    assert!(before.iter().any(|(_, on)| *on == node), "one a node: {before:?}");
    let loads = vips.map(|vip| {
        network::point(vip, NODES[0]);
        reached(CLIENT, Protocol::Tcp, vip);
        reached(CLIENT, Protocol::Udp, vip);
        [Protocol::Tcp, Protocol::Udp].map(|protocol| Load::start(CLIENT, protocol, vip, Duration::from_millis(20)))
    });
    let pods: Vec<&str> = before.iter().map(|(name, _)| name.as_str()).collect();
    loads.iter().flatten().for_each(|load| load.await_answers_of(&pods));
    let said = lab.kubectl(&["drain", node.name(), "--timeout=60s"]);
    assert!(said.contains("evicting pod") || said.contains("evicted"), "{said}");
    lab.await_ready(&namespace, 3);
    let after = lab.nodes_of(&namespace);
    assert!(after.iter().all(|(_, on)| *on != node), "none is left on {}: {after:?}", node.name());
    for (name, on) in before.iter().filter(|(_, on)| *on != node) {
        assert!(after.contains(&(name.clone(), *on)), "pods of other nodes stay: {after:?}");
    }
    let came: Vec<&str> = after.iter().map(|(name, _)| name.as_str()).filter(|name| !pods.contains(name)).collect();
    assert_eq!(came.len(), 1, "one came for the one that went: {after:?}");
    for load in loads.into_iter().flatten() {
        // kube-proxy hears of a pod only once it is ready.
        load.await_answers_of(&came);
        let tally = load.stop();
        println!("  {}", tally.summary());
        assert!(tally.unreached().is_empty() && tally.broken().is_empty(), "{}", tally.summary());
    }
    lab.kubectl(&["uncordon", node.name()]);
    // The taint goes a moment after the mark.
    eventually("the node takes pods again", SOON, || lab.is_ready(node));
}

pub(super) fn a_node_without_heartbeats_is_not_ready_and_loses_its_pods(lab: &Lab) {
    let namespace = lab.namespace("heartless");
    let mut deployment = crate::cluster::web(3);
    // Of the five minutes that pods are given, one second.
    let tolerations = json!([{"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 1}]);
    deployment["spec"]["template"]["spec"]["tolerations"] = tolerations;
    lab.api.create(&format!("/apis/apps/v1/namespaces/{namespace}/deployments"), &deployment);
    lab.await_ready(&namespace, 3);
    let node = NODES[2];
    let (lost, _) = lab.nodes_of(&namespace).into_iter().find(|(_, on)| *on == node).expect("one a node");
    let ready = |node: Node| condition(&lab.api.get(&format!("/api/v1/nodes/{}", node.name())).unwrap(), "Ready");

    lab.kubelets.stop(node);
    let stopped = Instant::now();
    eventually("the node is not ready", SOON, || if ready(node) == "Unknown" { Ok(()) } else { Err(ready(node)) });
    assert!(stopped.elapsed() + Duration::from_secs(2) > GRACE, "not before its time: {:?}", stopped.elapsed());
    assert_eq!(NODES.map(ready), ["True", "True", "Unknown"], "and no other");
    eventually("its pod is replaced elsewhere", SOON, || {
        let pods = lab.nodes_of(&namespace);
        let elsewhere = pods.iter().filter(|(_, on)| *on != node).count();
        if elsewhere == 3 && pods.iter().any(|(name, _)| *name == lost) { Ok(()) } else { Err(format!("{pods:?}")) }
    });

    lab.kubelets.resume(node);
    eventually("the node is ready again", SOON, || lab.is_ready(node));
    let left = lab.await_ready(&namespace, 3);
    assert!(left.iter().all(|pod| pod["metadata"]["name"] != *lost), "what was evicted meanwhile is gone");
}
