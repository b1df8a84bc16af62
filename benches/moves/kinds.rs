//! The moves, and the scene on which they happen.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::announcers::Announcer;
use crate::arrival::{leads_to, leads_to_one_of, reached};
use crate::cluster::Lab;
use crate::harness::{SOON, eventually};
use crate::load::{Loads, Protocol};
use crate::network::{self, CLIENT, Cable, NODES, Node};
use crate::proxies;
use crate::table::Row;

/// Between two requests of a load.
const EVERY: Duration = Duration::from_millis(25);

/// How long the load goes on before and after a move.
const AROUND: Duration = Duration::from_millis(600);

/// For so long no address moves before a load begins.
const STEADY: Duration = Duration::from_secs(2);

/// A kind of move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    /// Somebody wants it so, and no request is to fail.
    pub(crate) planned: bool,
    what: What,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Update,
    Edit,
    KeepOff,
    Drain,
    KillSpeaker,
    CutOff,
}

/// In the order in which they happen.
pub(crate) const ALL: [Kind; 6] = [
    Kind { name: "speakers updated, node by node", planned: true, what: What::Update },
    Kind { name: "L2Advertisement edited", planned: true, what: What::Edit },
    Kind { name: "node kept off", planned: true, what: What::KeepOff },
    Kind { name: "kubectl drain, Local", planned: true, what: What::Drain },
    Kind { name: "speaker killed", planned: false, what: What::KillSpeaker },
    Kind { name: "node cut off", planned: false, what: What::CutOff },
];

/// Two Services with four addresses, in a namespace of their own, which one announces.
pub(crate) struct Stage<'a, A> {
    lab: &'static Lab,
    announcer: &'a A,
    namespace: String,
    /// The first two are under Cluster, the others under Local.
    vips: [IpAddr; 4],
}

impl<'a, A: Announcer> Stage<'a, A> {
    pub(crate) fn set(lab: &'static Lab, announcer: &'a A) -> Self {
        let namespace = lab.namespace(&format!("moves-{}", A::NAME.to_lowercase()));
        lab.web(&namespace, NODES.len());
        let vips = announcer.serve_both(&namespace);
        let stage = Self { lab, announcer, namespace, vips };
        // That the kube-proxy of every node forwards before anything is counted.
        NODES.iter().for_each(|node| stage.bring_to(*node));
        announcer.announce_from(&stage.namespace, &NODES);
        stage.settle();
        stage
    }

    /// This kind of move under load, once on every node or once, and what came of it.
    pub(crate) fn round(&self, kind: &Kind, row: &mut Row) {
        match kind.what {
            What::Update => self.measure(row, NODES.len(), &self.vips, || {
                for node in NODES {
                    self.announcer.end(node);
                    self.announcer.start_again(node);
                }
            }),
            What::Edit => {
                self.bring_to(NODES[0]);
                self.measure(row, NODES.len(), &self.vips, || {
                    for node in [NODES[1], NODES[2], NODES[0]] {
                        self.bring_to(node);
                    }
                });
                self.announcer.announce_from(&self.namespace, &NODES);
            }
            What::KeepOff => {
                let node = self.owner(self.vips[0]);
                let [off, on] = self.announcer.off_and_on();
                let going = self.owned_by(node, &self.vips);
                let path = format!("/api/v1/nodes/{}", node.name());
                self.measure(row, 1, &self.vips, || {
                    self.lab.api.patch(&path, &off);
                    self.gone_from(node, &going);
                    std::thread::sleep(AROUND);
                    // Who comes back because he may, moves once more.
                    self.lab.api.patch(&path, &on);
                    std::thread::sleep(AROUND);
                });
            }
            What::Drain => {
                self.scale(NODES.len() - 1);
                let node = self.owner(self.vips[2]);
                let going = self.owned_by(node, &self.vips[2..]);
                self.measure(row, 1, &self.vips, || {
                    self.drain(node);
                    self.gone_from(node, &going);
                    self.lab.await_ready(&self.namespace, NODES.len() - 1);
                });
                self.lab.kubectl(&["uncordon", node.name()]);
            }
            What::KillSpeaker => {
                let node = self.owner(self.vips[0]);
                let going = self.owned_by(node, &self.vips);
                self.measure(row, 1, &going, || {
                    self.announcer.kill(node);
                    self.gone_from(node, &going);
                });
                self.announcer.start_again(node);
            }
            What::CutOff => self.node_is_cut_off(row),
        }
        self.settle();
        // No round meets connections of the one before.
        NODES.into_iter().for_each(proxies::forget_connections);
    }

    /// Of a node without a pod of ours: requests that kube-proxy sends to one that is cut off say nothing of who has the address. Its kubelet is
    /// heard on, as it is in a cluster for the first 40 s: nobody but the announcers themselves finds out.
    fn node_is_cut_off(&self, row: &mut Row) {
        self.scale(NODES.len() - 1);
        let node = self.owner(self.vips[0]);
        self.drain(node);
        self.lab.await_ready(&self.namespace, NODES.len() - 1);
        self.lab.kubectl(&["uncordon", node.name()]);
        let going = self.owned_by(node, &self.vips[..2]);
        let cables = [Cable::Lan, Cable::Management];
        self.measure(row, 1, &going, || {
            cables.iter().for_each(|cable| network::cut(node, *cable));
            self.gone_from(node, &going);
        });
        self.announcer.kill(node);
        cables.iter().for_each(|cable| network::mend(node, *cable));
        self.announcer.start_again(node);
    }

    /// Takes the Services away, and all that was given for them.
    pub(crate) fn clear(&self) {
        self.lab.kubectl(&["delete", "namespace", &self.namespace, "--timeout=60s"]);
    }

    fn measure(&self, row: &mut Row, times: usize, vips: &[IpAddr], happens: impl FnOnce()) {
        let loads = Loads::start(vips, EVERY);
        std::thread::sleep(AROUND);
        happens();
        std::thread::sleep(AROUND);
        row.add(times, loads.stop());
    }

    /// Has all addresses announced from this node alone, and waits until clients on the LAN and the router have heard it.
    fn bring_to(&self, node: Node) {
        self.announcer.announce_from(&self.namespace, &[node]);
        self.vips.iter().for_each(|vip| leads_to(*vip, node));
    }

    /// Waits until each address is served both ways, and has been where it is for a while: who may have it again takes it when he comes to it.
    fn settle(&self) {
        for vip in self.vips {
            [Protocol::Tcp, Protocol::Udp].iter().for_each(|protocol| reached(CLIENT, *protocol, vip));
        }
        let owners = || self.vips.map(|vip| self.owner(vip));
        let mut last = (owners(), Instant::now());
        eventually("no address moves any more", SOON, || {
            let now = owners();
            if now != last.0 {
                last = (now, Instant::now());
            }
            if last.1.elapsed() >= STEADY { Ok(()) } else { Err(format!("{last:?}")) }
        });
    }

    fn owner(&self, vip: IpAddr) -> Node {
        leads_to_one_of(vip, &NODES)
    }

    fn owned_by(&self, node: Node, vips: &[IpAddr]) -> Vec<IpAddr> {
        vips.iter().copied().filter(|vip| self.owner(*vip) == node).collect()
    }

    /// Waits until others answer for these, and clients on the LAN and the router have heard it.
    fn gone_from(&self, node: Node, vips: &[IpAddr]) {
        let others: Vec<Node> = NODES.into_iter().filter(|other| *other != node).collect();
        for vip in vips {
            leads_to_one_of(*vip, &others);
        }
    }

    fn scale(&self, replicas: usize) {
        let wanted = format!("--replicas={replicas}");
        self.lab.kubectl(&["scale", "deployment/web", "--namespace", &self.namespace, &wanted]);
        self.lab.await_ready(&self.namespace, replicas);
    }

    fn drain(&self, node: Node) {
        self.lab.kubectl(&["drain", node.name(), "--ignore-daemonsets", "--timeout=60s"]);
    }
}
