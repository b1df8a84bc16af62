//! Somebody dies without a word: the addresses that he had are answered for again within a bounded time. The bound is the controller's, who
//! hears of it from a Lease or a Node.

use std::net::IpAddr;
use std::ops::Range;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::arrival::leads_to;
use crate::capture::Capture;
use crate::cluster::{GRACE, Lab};
use crate::harness::{SOON, eventually};
use crate::load::Load;
use crate::network::{self, Cable, LAN, NODES, Node};
use crate::portolan::{LEASE, Portolan};
use crate::sighting::{self, Said};

/// Between two questions.
const EVERY: Duration = Duration::from_millis(50);

/// From when it is known to when all know it: the controller's write, the heir's watch, its frames; and a question that is under way, which is
/// given up after 0.9 s. On a machine that does other things besides.
const MARGIN: Duration = Duration::from_secs(5);

/// What dies is missed for longer than this.
const NOTICED: Duration = Duration::from_secs(1);

pub(super) fn addresses_of_a_speaker_that_is_killed_are_answered_for_again_once_its_lease_has_run_out(
    lab: &'static Lab,
) {
    let scene = Scene::set(lab, "speaker-killed");
    scene.portolan.speaker(scene.node).kill();
    scene.others_answer();
    // It was renewed just before, at the latest.
    scene.ends_with_an_outage_of(NOTICED..LEASE + MARGIN);
}

pub(super) fn addresses_of_a_node_that_dies_are_answered_for_again_once_it_is_not_ready(lab: &'static Lab) {
    let scene = Scene::set(lab, "node-dies");
    scene.portolan.speaker(scene.node).kill();
    [Cable::Lan, Cable::Management].iter().for_each(|cable| network::cut(scene.node, *cable));
    lab.kubelets.stop(scene.node);
    scene.others_answer();
    scene.ends_with_an_outage_of(NOTICED..GRACE + MARGIN);
}

pub(super) fn a_node_that_loses_the_api_server_answers_on_until_another_does(lab: &'static Lab) {
    let scene = Scene::set(lab, "cut-off");
    network::cut(scene.node, Cable::Management);
    scene.others_answer();
    network::mend(scene.node, Cable::Management);
    // Meanwhile two answered; now it is told that it has nothing any more.
    let mended = Instant::now();
    for vip in scene.vips {
        eventually(&format!("{} leaves {vip} to the heir", scene.node.name()), SOON, || {
            let capture = Capture::start(LAN, "lan", "arp or icmp6", lab.server.folder.join("cut-off.pcap"));
            let seen = capture.await_sighting(Said::Answered, vip);
            std::thread::sleep(EVERY * 10);
            let all = sighting::of(vip, &capture.frames());
            let still = all.iter().filter(|one| one.said == Said::Answered && one.sender == scene.node.mac()).count();
            if still == 0 { Ok(seen) } else { Err(format!("{still} answers of {}", all.len())) }
        });
    }
    println!("  one answers {:.1} s after it reaches the API server again", mended.elapsed().as_secs_f64());
    scene.ends_with_an_outage_of(Duration::ZERO..MARGIN);
}

pub(super) fn a_speaker_that_is_killed_and_comes_back_at_once_has_its_addresses_again(lab: &'static Lab) {
    let scene = Scene::set(lab, "comes-back");
    scene.portolan.speaker(scene.node).kill();
    scene.portolan.start_speakers();
    scene.portolan.await_alive(scene.node);
    // Clients know the station still. Who asks anew is answered when kube-proxy has had its two seconds to say that it is well.
    std::thread::sleep(MARGIN - Duration::from_secs(1));
    scene.vips.iter().for_each(|vip| leads_to(*vip, scene.node));
    scene.ends_with_an_outage_of(Duration::ZERO..MARGIN);
}

struct Scene {
    portolan: &'static Portolan,
    /// Who has them.
    node: Node,
    vips: [IpAddr; 2],
    questions: Vec<Load>,
}

impl Scene {
    fn set(lab: &'static Lab, name: &str) -> Self {
        let (portolan, namespace) = (lab.portolan(), lab.namespace(name));
        lab.web(&namespace, NODES.len());
        NODES.iter().for_each(|node| portolan.await_alive(*node));
        let (vips, node) = (portolan.serve(&namespace, "web", json!({})), NODES[1]);
        portolan.advertise(&namespace, &[node]);
        vips.iter().for_each(|vip| leads_to(*vip, node));
        // The others may as well, if he is gone.
        portolan.advertise(&namespace, &NODES);
        let questions = vips.iter().map(|vip| Load::start_anew(*vip, EVERY)).collect();
        Self { portolan, node, vips, questions }
    }

    /// Waits until another node answers for all.
    fn others_answer(&self) {
        let began = Instant::now();
        let others: Vec<Node> = NODES.into_iter().filter(|other| *other != self.node).collect();
        let heirs: Vec<Node> = self.vips.iter().map(|vip| self.portolan.await_owner(*vip, &others)).collect();
        println!("  ranked anew after {:.1} s", began.elapsed().as_secs_f64());
        self.vips.iter().zip(heirs).for_each(|(vip, heir)| leads_to(*vip, heir));
    }

    fn ends_with_an_outage_of(self, time: Range<Duration>) {
        std::thread::sleep(EVERY * 10);
        for (vip, questions) in self.vips.iter().zip(self.questions) {
            let tally = questions.stop();
            println!("  questions for {vip}: {}", tally.summary());
            let last = tally.0.last().expect("some were asked");
            assert!(last.outcome.is_ok(), "{}", tally.summary());
            assert!(time.contains(&tally.longest_outage()), "of {time:?}: {}", tally.summary());
        }
    }
}
