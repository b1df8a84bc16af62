//! Addresses go from one node to another because somebody wants it so: nobody notices but who was connected.

use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::json;

use crate::arrival::{leads_to, reached};
use crate::capture::Capture;
use crate::cluster::Lab;
use crate::flow::Flow;
use crate::harness::{SOON, eventually};
use crate::load::{Kept, Loads, Protocol, Tally};
use crate::network::{CLIENT, FAR_CLIENT, LAN, NODES, Node, Place};
use crate::portolan::Portolan;
use crate::sighting::{self, Said, Sighting};

/// Between two requests of a load.
const EVERY: Duration = Duration::from_millis(25);

/// How long the load goes on after a move.
const AFTER: Duration = Duration::from_millis(600);

/// A load of fewer requests has shown nothing. (Questions wait for each other, on a machine that may be busy.)
const ENOUGH: usize = 5;

/// So many requests of a load may be under way at the moment of a move, and break; on a busy machine as many as begin while one is answered.
const UNDER_WAY: usize = 4;

/// By then kube-proxy has heard that a pod is gone, and its kernel sends it nothing more: it looks once a second, and the machine may be busy.
const FORGOTTEN: Duration = Duration::from_secs(5);

/// Connections that are open at each address when it moves.
const KEPT: usize = 5;

pub(super) fn an_advertisement_that_names_another_node_moves_addresses_and_fails_nothing(lab: &'static Lab) {
    let scene = Scene::set(lab, "edited", NODES.len());
    scene.settle(&[NODES[0]]);
    let loads = scene.load();
    for (owner, heir) in [(NODES[0], NODES[1]), (NODES[1], NODES[2])] {
        scene.moves_away_from(owner, || scene.portolan.advertise(&scene.namespace, &[heir]));
    }
    nothing_failed(loads, 2);
}

pub(super) fn addresses_go_to_the_node_that_is_preferred_once_it_is_steady_and_fail_nothing(lab: &'static Lab) {
    let scene = Scene::set(lab, "preferred", NODES.len());
    scene.settle(&NODES[..1]);
    let _controller = scene.portolan.reconfigure_controller(json!({"nodes": {"steadyAfter": "1s"}}));
    let loads = scene.load();
    scene.moves_away_from(NODES[0], || scene.portolan.advertise_rather(&scene.namespace, &NODES, NODES[1]));
    assert_eq!(scene.owners(), [NODES[1]; 4], "none went to the third, which could have had them too");
    nothing_failed(loads, 1);
}

pub(super) fn a_node_that_is_annotated_loses_its_addresses_and_no_other_does_and_nothing_fails(lab: &'static Lab) {
    let scene = Scene::set(lab, "annotated", NODES.len());
    let owner = scene.settle(&NODES);
    let loads = scene.load();
    let node = format!("/api/v1/nodes/{}", owner.name());
    let annotate =
        |value| drop(lab.api.patch(&node, &json!({"metadata": {"annotations": {"portolan.dev/drain": value}}})));
    scene.moves_away_from(owner, || annotate(json!("true")));
    let moved = scene.owners();
    annotate(json!(null));
    std::thread::sleep(AFTER);
    assert_eq!(scene.owners(), moved, "that it could have some again moves none back");
    nothing_failed(loads, 1);
}

pub(super) fn pods_drained_from_a_node_take_addresses_under_local_with_them_and_nothing_fails(lab: &'static Lab) {
    let scene = Scene::set(lab, "evicted", 2);
    scene.portolan.advertise(&scene.namespace, &NODES);
    // The last two are those under Local.
    let local = scene.vips[2..].to_vec();
    let with_pods: Vec<Node> = lab.nodes_of(&scene.namespace).into_iter().map(|(_, node)| node).collect();
    for vip in &scene.vips {
        scene.is_served(*vip, &NODES);
    }
    let owners: Vec<Node> = local.iter().map(|vip| scene.portolan.await_owner(*vip, &with_pods)).collect();
    let loads = scene.load();
    lab.kubectl(&["drain", owners[0].name(), "--timeout=60s"]);
    for (vip, owner) in local.iter().zip(&owners) {
        let others: Vec<Node> = NODES.into_iter().filter(|node| *node != owners[0]).collect();
        let now = scene.portolan.await_owner(*vip, &others);
        assert!(*owner == owners[0] || now == *owner, "{vip} need not have gone from {owner:?} to {now:?}");
        leads_to(*vip, now);
    }
    lab.await_ready(&scene.namespace, 2);
    std::thread::sleep(AFTER);
    nothing_failed_but_what_pods_took_with_them(loads, 1, &scene.vips[..2]);
}

pub(super) fn speakers_that_are_updated_one_after_the_other_fail_nothing(lab: &'static Lab) {
    let scene = Scene::set(lab, "updated", NODES.len());
    scene.settle(&NODES);
    let loads = scene.load();
    for node in NODES {
        let speaker = scene.portolan.speaker(node);
        scene.moves_away_from(node, || speaker.signal("TERM"));
        let ended = speaker.wait(Duration::from_secs(10));
        assert!(ended.is_some_and(|status| status.success()), "{ended:?}");
        scene.portolan.start_speakers();
        scene.portolan.await_alive(node);
    }
    nothing_failed(loads, NODES.len());
}

pub(super) fn a_controller_that_is_killed_and_comes_back_moves_nothing_and_fails_nothing(lab: &'static Lab) {
    let scene = Scene::set(lab, "uncontrolled", NODES.len());
    scene.settle(&NODES);
    let (loads, before) = (scene.load(), scene.versions());
    scene.portolan.controller().kill();
    std::thread::sleep(AFTER);
    scene.portolan.start_controller();
    // It has seen all that there is when it serves somebody new.
    scene.portolan.serve(&scene.namespace, "another", json!({}));
    std::thread::sleep(AFTER);
    assert_eq!(scene.versions(), before, "what is as it should be is not written");
    nothing_failed(loads, 0);
}

/// Two Services, one under Cluster and one under Local, with four addresses.
struct Scene {
    lab: &'static Lab,
    portolan: &'static Portolan,
    namespace: String,
    vips: Vec<IpAddr>,
    capture: Capture,
}

impl Scene {
    fn set(lab: &'static Lab, name: &str, pods: usize) -> Self {
        let (portolan, namespace) = (lab.portolan(), lab.namespace(name));
        lab.web(&namespace, pods);
        NODES.iter().for_each(|node| portolan.await_alive(*node));
        let cluster = portolan.serve(&namespace, "cluster", json!({}));
        let local = portolan.serve(&namespace, "local", json!({"spec": {"externalTrafficPolicy": "Local"}}));
        let capture = Capture::start(LAN, "lan", "arp or icmp6", lab.server.folder.join(format!("{name}.pcap")));
        Self { lab, portolan, namespace, vips: cluster.into_iter().chain(local).collect(), capture }
    }

    /// Waits until all is as it should be before a move: each node forwards, and these announce. One that has an address.
    fn settle(&self, nodes: &[Node]) -> Node {
        for node in NODES {
            self.portolan.advertise(&self.namespace, &[node]);
            self.vips.iter().for_each(|vip| self.is_served(*vip, &[node]));
        }
        self.portolan.advertise(&self.namespace, nodes);
        self.vips.iter().for_each(|vip| self.is_served(*vip, nodes));
        self.owners()[0]
    }

    /// One of these nodes answers for an address, and serves it.
    fn is_served(&self, vip: IpAddr, nodes: &[Node]) {
        leads_to(vip, self.portolan.await_owner(vip, nodes));
        [Protocol::Tcp, Protocol::Udp].iter().for_each(|protocol| reached(CLIENT, *protocol, vip));
    }

    fn owners(&self) -> Vec<Node> {
        self.vips.iter().map(|vip| self.portolan.owner(*vip).expect("somebody has it")).collect()
    }

    fn versions(&self) -> Vec<String> {
        self.vips.iter().map(|vip| self.portolan.version(*vip)).collect()
    }

    /// All addresses that a node has go to others when this happens, before the eyes of the LAN; no other address does.
    fn moves_away_from(&self, node: Node, happens: impl FnOnce()) {
        let (before, since) = (self.owners(), now());
        let going = || self.vips.iter().zip(&before).filter(|(_, owner)| **owner == node).map(|(vip, _)| *vip);
        let kept: Vec<(IpAddr, Kept)> = going().map(|vip| (vip, Kept::open(CLIENT, vip, KEPT))).collect();
        happens();
        for vip in going() {
            let others: Vec<Node> = NODES.into_iter().filter(|other| *other != node).collect();
            let heir = self.portolan.await_owner(vip, &others);
            let first = eventually(&format!("{} announces {vip}", heir.name()), SOON, || {
                let seen = self.seen(vip, since);
                announced_by(&seen, heir).ok_or(format!("{seen:?}"))
            });
            println!(
                "  {vip} from {} to {}, announced after {:.0} ms",
                node.name(),
                heir.name(),
                millis(first - since)
            );
        }
        std::thread::sleep(AFTER);
        // Whether somebody asks in the short time of both is luck for one address, on a busy machine.
        let mut overlap = false;
        for vip in going() {
            let seen = self.seen(vip, since);
            let first =
                self.portolan.owner(vip).and_then(|heir| announced_by(&seen, heir)).expect("it was there before");
            let answers = seen.iter().filter(|one| one.said == Said::Answered && one.station == Some(node.mac()));
            let last = answers.map(|one| one.at).max().unwrap_or(since);
            let asked = seen.iter().filter(|one| one.said == Said::Asked && one.at < first).map(|one| one.at).max();
            assert!(
                asked.is_none_or(|asked| last > asked),
                "{} has left {vip} before the heir was there: {seen:#?}",
                node.name()
            );
            println!("  {vip}: {} answered {:.0} ms longer", node.name(), millis(last) - millis(first));
            overlap |= last > first;
        }
        assert!(
            overlap || kept.is_empty(),
            "of no address was {} asked, and answered, when the heir was there",
            node.name()
        );
        for (vip, connections) in kept {
            println!("  {vip}: of {KEPT} connections open during the move: {:?}", connections.ask_again());
        }
        for ((vip, before), after) in self.vips.iter().zip(before).zip(self.owners()) {
            assert_eq!(before == after, before != node, "{vip} was at {before:?} and is at {after:?}");
        }
    }

    /// What was said of an address from then on.
    fn seen(&self, vip: IpAddr, since: Duration) -> Vec<Sighting> {
        sighting::of(vip, &self.capture.frames()).into_iter().filter(|one| one.at >= since).collect()
    }

    fn load(&self) -> Traffic {
        let clients = self.vips.iter().flat_map(|vip| [CLIENT, FAR_CLIENT].map(|from| (*vip, from)));
        let flows = clients.map(|(vip, from)| (vip, from, Flow::start(from, vip, EVERY)));
        Traffic { flows: flows.collect(), loads: Loads::start(&self.vips, EVERY) }
    }
}

/// What clients send to the addresses.
struct Traffic {
    /// A connection or a socket a request.
    loads: Loads,
    /// All from one socket.
    flows: Vec<(IpAddr, Place, Flow)>,
}

/// Ends it. Of connections only those under way at one of so many moves may have broken: kube-proxy of the new node does not know them.
fn nothing_failed(traffic: Traffic, moves: usize) {
    nothing_failed_but_what_pods_took_with_them(traffic, moves, &[]);
}

/// The same where a pod has ended behind these addresses: of a flow that was led to it, the node sends datagrams there until its kube-proxy has heard
/// of the end and forgets the flow.
fn nothing_failed_but_what_pods_took_with_them(traffic: Traffic, moves: usize, vips: &[IpAddr]) {
    let mut failed = Vec::new();
    let mut judge = |what: String, tally: &Tally, fails: bool| {
        let said = format!("{what}: {}", tally.summary());
        println!("  {said}");
        if fails || tally.0.len() < ENOUGH {
            failed.push(said);
        }
    };
    for (vip, from, flow) in traffic.flows {
        let tally = flow.stop();
        let is_over = tally.0.last().is_some_and(|last| last.outcome.is_ok()) && tally.longest_outage() < FORGOTTEN;
        let is_fine = tally.unreached().is_empty() || vips.contains(&vip) && is_over;
        judge(format!("one socket to {vip} from {}", from.0), &tally, !is_fine);
    }
    for (stream, tally) in traffic.loads.stop() {
        let slowest = tally.0.iter().filter(|request| request.outcome.is_ok()).map(|request| request.took).max();
        let while_one_is_answered = slowest.map_or(0, |slowest| slowest.div_duration_f64(EVERY).ceil() as usize);
        let fails =
            !tally.unreached().is_empty() || tally.broken().len() > moves * UNDER_WAY.max(while_one_is_answered);
        judge(stream.to_string(), &tally, fails);
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// When a node first said, unasked, that it has the address.
fn announced_by(seen: &[Sighting], node: Node) -> Option<Duration> {
    seen.iter().find(|one| one.said == Said::Announced && one.station == Some(node.mac())).map(|one| one.at)
}

/// As captures count.
fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970")
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
