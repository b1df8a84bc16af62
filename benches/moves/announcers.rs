//! Who announces: what a move asks of either, each in the way that its documentation tells an administrator.

use std::net::IpAddr;
use std::time::Duration;

use serde_json::{Value, json};

use crate::arrival::reached;
use crate::load::Protocol;
use crate::network::{CLIENT, NODES, Node};
use crate::peer::Metallb;
use crate::portolan::Portolan;

/// Portolan or MetalLB.
pub(crate) trait Announcer {
    const NAME: &'static str;

    /// Services before the pods `web`, named `cluster` and `local` after their policies; two addresses of each. When this returns, clients are
    /// answered.
    fn serve_both(&self, namespace: &str) -> [IpAddr; 4];

    /// From these nodes and from no others.
    fn announce_from(&self, namespace: &str, nodes: &[Node]);

    /// What keeps addresses off a node, as a merge patch of it, and what takes that back.
    fn off_and_on(&self) -> [Value; 2];

    /// As an update ends a node's speaker; returns when it has ended.
    fn end(&self, node: Node);

    /// SIGKILL to a node's speaker.
    fn kill(&self, node: Node);

    /// Starts the one that has ended; returns when an update would go on to the next node.
    fn start_again(&self, node: Node);
}

impl Announcer for Portolan {
    const NAME: &'static str = "Portolan";

    fn serve_both(&self, namespace: &str) -> [IpAddr; 4] {
        NODES.iter().for_each(|node| self.await_alive(*node));
        self.advertise(namespace, &NODES);
        let given = [("cluster", "Cluster"), ("local", "Local")]
            .map(|(name, policy)| self.serve(namespace, name, json!({"spec": {"externalTrafficPolicy": policy}})));
        let vips = flat(given);
        vips.iter().for_each(|vip| reached(CLIENT, Protocol::Tcp, *vip));
        vips
    }

    fn announce_from(&self, namespace: &str, nodes: &[Node]) {
        self.advertise(namespace, nodes);
    }

    fn off_and_on(&self) -> [Value; 2] {
        [json!("true"), json!(null)].map(|value| json!({"metadata": {"annotations": {"portolan.dev/drain": value}}}))
    }

    fn end(&self, node: Node) {
        let speaker = self.speaker(node);
        speaker.signal("TERM");
        let ended = speaker.wait(Duration::from_secs(10));
        assert!(ended.is_some_and(|status| status.success()), "{ended:?}");
    }

    fn kill(&self, node: Node) {
        self.speaker(node).kill();
    }

    fn start_again(&self, node: Node) {
        self.start_speakers();
        self.await_alive(node);
    }
}

impl Announcer for Metallb {
    const NAME: &'static str = "MetalLB";

    fn serve_both(&self, namespace: &str) -> [IpAddr; 4] {
        let services = [("cluster", "Cluster"), ("local", "Local")];
        let vips = flat(services.map(|(name, policy)| self.serve(namespace, name, policy)));
        self.await_announced(namespace, &services.map(|(name, _)| name), &vips);
        vips
    }

    fn announce_from(&self, _: &str, nodes: &[Node]) {
        self.advertise(nodes);
    }

    fn off_and_on(&self) -> [Value; 2] {
        let label = "node.kubernetes.io/exclude-from-external-load-balancers";
        [json!(""), json!(null)].map(|value| json!({"metadata": {"labels": {label: value}}}))
    }

    fn end(&self, node: Node) {
        self.end_speaker(node);
    }

    fn kill(&self, node: Node) {
        self.speaker(node).kill();
    }

    fn start_again(&self, node: Node) {
        self.start_speaker(node);
    }
}

fn flat(given: [[IpAddr; 2]; 2]) -> [IpAddr; 4] {
    let [[a, b], [c, d]] = given;
    [a, b, c, d]
}
