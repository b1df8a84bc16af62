//! An address goes from node to node, planned, while a third machine asks for it all the time and writes down what it hears.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use portolan_l2::arp::{Arp, Operation};
use portolan_l2::frame::Payload;
use portolan_l2::ndp::{ALL_NODES, Message, Ndp, solicited_node};
use portolan_l2::{Frame, Mac, filter};
use portolan_sys::PacketSocket;
use portolan_sys::packet::Protocol;

use super::*;

/// From one question to the next.
const BETWEEN: Duration = Duration::from_millis(10);

/// What somebody says of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// To the question of this number: his is the address.
    Answer(Mac, u32),
    /// To everybody.
    ToAll(Mac),
}

/// What the client has asked for and heard of one address.
#[derive(Clone, Debug, Default)]
pub(super) struct Heard {
    pub(super) asked: u32,
    pub(super) said: Vec<Said>,
}

impl Heard {
    pub(super) fn unanswered(&self) -> Vec<u32> {
        let answer = |said: &Said| if let Said::Answer(_, number) = said { Some(*number) } else { None };
        let answered: BTreeSet<u32> = self.said.iter().filter_map(answer).collect();
        (0..self.asked).filter(|number| !answered.contains(number)).collect()
    }

    /// The questions that he has answered.
    pub(super) fn answers(&self, of: Mac) -> impl Iterator<Item = &u32> {
        self.said.iter().filter_map(move |said| match said {
            Said::Answer(by, number) if *by == of => Some(number),
            Said::Answer(..) | Said::ToAll(_) => None,
        })
    }

    pub(super) fn last_answer(&self, of: Mac) -> Option<usize> {
        self.said.iter().rposition(|said| matches!(said, Said::Answer(by, _) if *by == of))
    }

    /// Where in what was said he has told everybody.
    fn told(&self, of: Mac) -> Vec<usize> {
        let told = self.said.iter().enumerate().filter(|(_, said)| **said == Said::ToAll(of));
        told.map(|(place, _)| place).collect()
    }
}

/// A machine that asks for both addresses all the time, past its kernel, which would ask once and remember.
pub(super) struct Asker {
    heard: Arc<Mutex<[Heard; 2]>>,
    enough: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Asker {
    pub(super) fn begin(lan: &Lan) -> Self {
        let (own, index) = (mac(&lan.mac("client")), index(lan, "client"));
        let (heard, enough) = (Arc::<Mutex<[Heard; 2]>>::default(), Arc::<AtomicBool>::default());
        let (log, end) = (heard.clone(), enough.clone());
        let thread = lan.thread("client", move || ask(own, index, &log, &end));
        Self { heard, enough, thread }
    }

    pub(super) fn heard(&self) -> [Heard; 2] {
        self.heard.lock().unwrap().clone()
    }

    /// It has asked so often from now on.
    pub(super) fn goes_on(&self, times: u32) {
        let before = self.heard().map(|heard| heard.asked);
        eventually("it asks", || {
            let now = self.heard().map(|heard| heard.asked);
            (now.iter().zip(before).all(|(now, before)| *now >= before + times), now)
        });
    }

    /// The last answers have come, or time enough for them has passed.
    pub(super) fn end(self) -> [Heard; 2] {
        self.enough.store(true, Ordering::Relaxed);
        ended(self.thread);
        Arc::into_inner(self.heard).unwrap().into_inner().unwrap()
    }
}

#[expect(clippy::disallowed_methods, reason = "the wire has real time")]
fn ask(own: Mac, interface: NonZeroU32, log: &Mutex<[Heard; 2]>, enough: &AtomicBool) {
    let vips: [IpAddr; 2] = [V4, V6].map(|vip| vip.parse().unwrap());
    let program = filter::program(vips, filter::PREFIXES);
    let sockets =
        [Protocol::Arp, Protocol::Ipv6].map(|protocol| PacketSocket::open(interface, protocol, &program).unwrap());
    let (start, mut number, mut last) = (Instant::now(), 0, None::<Instant>);
    loop {
        if enough.load(Ordering::Relaxed) {
            let since = *last.get_or_insert_with(Instant::now);
            if since.elapsed() > 50 * BETWEEN || log.lock().unwrap().iter().all(|heard| heard.unanswered().is_empty()) {
                return;
            }
        } else if start.elapsed() >= number * BETWEEN {
            for (socket, vip) in sockets.iter().zip(vips) {
                socket.send(&question(own, vip, number).write()).unwrap();
            }
            number += 1;
            log.lock().unwrap().iter_mut().for_each(|heard| heard.asked = number);
        }
        for (socket, heard) in sockets.iter().zip(0..) {
            let mut room = [0; 256];
            while let Ok(octets) = socket.receive(&mut room) {
                log.lock().unwrap()[heard].said.extend(Frame::read(octets).ok().as_ref().and_then(said));
            }
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Each from another address of the client's, by which its answer is known.
fn question(own: Mac, vip: IpAddr, number: u32) -> Frame {
    match vip {
        IpAddr::V4(vip) => {
            let sender_address = Ipv4Addr::from_bits(FIRST_V4.to_bits() + number);
            let operation = Operation::Request;
            let arp = Arp { operation, sender: own, sender_address, target: Mac::ZERO, target_address: vip };
            Frame { destination: Mac::BROADCAST, source: own, payload: Payload::Arp(arp) }
        }
        IpAddr::V6(vip) => {
            let source = Ipv6Addr::from_bits(FIRST_V6.to_bits() + u128::from(number));
            let (destination, message) = (solicited_node(vip), Message::Solicitation { source_link_layer: Some(own) });
            let ndp = Ndp { source, destination, target: vip, message };
            Frame { destination: Mac::of_multicast(destination), source: own, payload: Payload::Ndp(ndp) }
        }
    }
}

/// RFC 2544 appendix C.2.2: for tests of networks.
const FIRST_V4: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 0);
const FIRST_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x51, 0, 1, 0, 0, 0);

fn said(frame: &Frame) -> Option<Said> {
    match frame.payload {
        Payload::Arp(arp) if arp.sender_address == arp.target_address => Some(Said::ToAll(arp.sender)),
        Payload::Arp(arp) if arp.operation == Operation::Reply => {
            Some(Said::Answer(arp.sender, arp.target_address.to_bits().checked_sub(FIRST_V4.to_bits())?))
        }
        Payload::Ndp(Ndp {
            message: Message::Advertisement { target_link_layer: Some(by), .. }, destination, ..
        }) => {
            if destination == ALL_NODES {
                return Some(Said::ToAll(by));
            }
            let number = destination.to_bits().checked_sub(FIRST_V6.to_bits())?;
            Some(Said::Answer(by, number.try_into().unwrap()))
        }
        Payload::Arp(_) | Payload::Ndp(_) => None,
    }
}

pub(super) fn mac(text: &str) -> Mac {
    text.parse().unwrap()
}

pub(super) fn index(lan: &Lan, machine: &str) -> NonZeroU32 {
    let shown = ip(&["-n", &lan.of(machine), "-o", "link", "show", "lan0"]);
    shown.split(':').next().unwrap().trim().parse().unwrap()
}

/// node-a has both addresses and node-b has none; each has reported, which is how they know each other.
struct Stage<'a> {
    api: Api<'a>,
    nodes: [Speaker; 2],
    macs: [Mac; 2],
    asker: Asker,
    kubeconfig: PathBuf,
    folder: tempfile::TempDir,
}

impl<'a> Stage<'a> {
    fn set(lan: &'a Lan) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let kubeconfig: PathBuf = folder.path().join("kubeconfig");
        let api = Api::start(lan, &kubeconfig);
        api.rank(1, &["node-a", "node-b"]);
        let nodes = ["node-a", "node-b"].map(|node| Speaker::start(lan, node, &kubeconfig));
        for node in ["node-a", "node-b"] {
            eventually("each reports where it could announce", || {
                let report = api.report(node);
                (report["spec"]["stations"] == json!({"lan0": lan.mac(node)}), report)
            });
        }
        for vip in [V4, V6] {
            eventually("the client finds node-a", || {
                lan.ask(vip);
                let known = lan.neighbour(vip);
                (known.contains(&lan.mac("node-a")), known)
            });
        }
        let macs = ["node-a", "node-b"].map(|node| mac(&lan.mac(node)));
        let asker = Asker::begin(lan);
        // Longer than from one report to the next.
        asker.goes_on(250);
        Self { api, nodes, macs, asker, kubeconfig, folder }
    }

    /// It reports that all up to this version has reached its wire.
    fn knows(&self, node: &str, version: u64) {
        eventually("it knows the ranks", || {
            let report = self.api.report(node);
            (report["spec"]["appliedVersion"].as_u64() >= Some(version), report)
        });
    }

    /// Its sign of life is given back.
    fn has_left(&self, node: &str) {
        eventually("the sign of life is given back", || {
            let alive = self.api.alive(node);
            (alive.as_deref() == Some(""), alive)
        });
    }

    /// node-a knows the first of the new ranks, of which it reports at once, and has answered for a while since.
    fn handing_over(&self, version: u64) {
        self.knows("node-a", version);
        self.asker.goes_on(50);
    }

    /// The second time that the heir has told everybody of each.
    fn told_twice(&self, heir: Mac) {
        eventually("the heir tells everybody twice", || {
            let told = self.asker.heard().map(|heard| heard.told(heir).len());
            (told[0] >= 3 && told[1] >= 2, told)
        });
    }
}

fn assert_make_before_break(heard: &[Heard; 2], old: Mac, heir: Mac) {
    // Of IPv4 two frames a round.
    for (heard, a_round) in heard.iter().zip([2, 1]) {
        assert_eq!(heard.unanswered(), [0; 0], "questions of {} were answered by nobody", heard.asked);
        let (told, last) = (heard.told(heir), heard.last_answer(old).unwrap());
        assert!(told[0] < last, "the heir had told everybody before the old owner's last answer");
        assert!(last < told[a_round], "the old owner has heard him, and did not wait until its patience was over");
        assert!(!heard.told(old).iter().any(|place| *place > told[0]), "the old owner never spoke against him");
        assert!(heard.last_answer(heir).unwrap() > last);
    }
}

#[test]
fn a_planned_move_leaves_no_question_unanswered_however_late_the_heir_comes() {
    let Some(lan) = Lan::lay("move", &["client", "node-a", "node-b"]) else { return };
    let stage = Stage::set(&lan);
    let [a, b] = stage.macs;
    stage.nodes[1].signal("-STOP");
    let moved = stage.api.rank(2, &["node-b", "node-a"]);
    stage.handing_over(moved[0]);
    stage.nodes[1].signal("-CONT");
    stage.told_twice(b);
    let Stage { asker, api, nodes, .. } = stage;
    assert_make_before_break(&asker.end(), a, b);
    for node in ["node-a", "node-b"] {
        assert_eq!(api.report(node)["spec"]["notAsRanked"], Value::Null, "nobody took the other for a stranger");
    }
    drop(nodes);
}

#[test]
fn a_speaker_that_is_told_to_end_ends_only_when_the_heir_has_come() {
    let Some(lan) = Lan::lay("term", &["client", "node-a", "node-b"]) else { return };
    let stage = Stage::set(&lan);
    let [a, b] = stage.macs;
    stage.nodes[1].signal("-STOP");
    stage.nodes[0].signal("-TERM");
    stage.has_left("node-a");
    let moved = stage.api.rank(2, &["node-b"]);
    stage.handing_over(moved[0]);
    stage.nodes[1].signal("-CONT");
    stage.told_twice(b);
    let Stage { asker, nodes: [ending, staying], .. } = stage;
    assert_make_before_break(&asker.end(), a, b);
    assert_eq!(ending.end().code(), Some(0));
    drop(staying);
}

/// That takes longer than any other process is left to end in, and than it waits for somebody to take the first.
#[test]
fn a_speaker_that_is_told_to_end_awaits_the_heir_for_all_that_it_has_however_many_they_are() {
    const MANY: u16 = 500;
    let Some(lan) = Lan::lay("many", &["client", "node-a", "node-b"]) else { return };
    let stage = Stage::set(&lan);
    let names: Vec<String> = (1..=MANY).map(|last| format!("2001-0db8-0051-0000-0000-0000-0001-{last:04x}")).collect();
    let last = names.iter().map(|name| stage.api.rank_one(name, 1, &["node-a", "node-b"])).max();
    stage.knows("node-a", last.unwrap());
    stage.nodes[0].signal("-TERM");
    stage.has_left("node-a");
    let Stage { api, nodes: [ending, staying], asker, kubeconfig, folder, .. } = stage;
    api.rank(2, &["node-b"]);
    for name in &names {
        api.rank_one(name, 2, &["node-b"]);
    }
    assert_eq!(ending.end().code(), Some(0));
    let log = std::fs::read_to_string(Speaker::log("node-a", &kubeconfig)).unwrap();
    assert!(!log.contains("cut off") && !log.contains("not taken over"), "{log}");
    asker.end();
    drop((staying, folder));
}

#[test]
fn what_is_nobodys_any_more_is_silent_at_once() {
    let Some(lan) = Lan::lay("gone", &["client", "node-a", "node-b"]) else { return };
    let stage = Stage::set(&lan);
    let [a, _] = stage.macs;
    let nobodys = stage.api.rank(2, &[]);
    stage.knows("node-a", nobodys[1]);
    // Asked from here on, and answered no more.
    let before = stage.asker.heard().map(|heard| heard.asked);
    stage.asker.goes_on(50);
    for (heard, asked) in stage.asker.end().iter().zip(before) {
        assert_eq!(heard.answers(a).filter(|number| **number > asked).count(), 0);
    }
}
