use std::net::Ipv4Addr;

use super::*;
use crate::answer::answer;
use crate::mac::Mac;
use crate::tcp::Kind;

const WITNESS: Mac = Mac([2, 0, 0, 0, 0, 1]);
const OWNER: Mac = Mac([2, 0, 0, 0, 0, 2]);

fn at(milliseconds: u64) -> Time {
    Time::at(Duration::from_millis(milliseconds))
}

fn vip(number: u32) -> IpAddr {
    Ipv4Addr::from_bits(0x0a00_0000 + number).into()
}

fn errand(number: u32) -> Errand {
    let from = IpAddr::from([10, 255, 0, 1]);
    Errand { vip: vip(number), own: WITNESS, from, ports: [80].into(), owners: Arc::new([OWNER].into()) }
}

/// A wire on which every address is answered for, but for those that are `down`, and accepts connections, but for those that are `silent`.
struct Wire {
    rotation: Rotation,
    now: u64,
    down: BTreeSet<IpAddr>,
    silent: BTreeSet<IpAddr>,
    /// Questions and knocks, by when they went out.
    probes: Vec<(u64, IpAddr)>,
    begun: Vec<(u64, IpAddr)>,
    /// When it was said that something else is found than before.
    found: Vec<(u64, IpAddr)>,
    listening: BTreeSet<IpAddr>,
}

impl Wire {
    fn new() -> Self {
        Self {
            rotation: Rotation::new(7),
            now: 0,
            down: BTreeSet::new(),
            silent: BTreeSet::new(),
            probes: Vec::new(),
            begun: Vec::new(),
            found: Vec::new(),
            listening: BTreeSet::new(),
        }
    }

    fn want(&mut self, errand: Errand) {
        let mut outputs = Vec::new();
        self.rotation.want(at(self.now), errand, &mut outputs);
        self.carry_out(outputs);
    }

    fn carry_out(&mut self, outputs: Vec<Output>) {
        for output in outputs {
            match output {
                Output::Begun(vip) => {
                    assert!(self.listening.insert(vip), "{vip} begins once at a time");
                    self.begun.push((self.now, vip));
                }
                Output::Ended(vip) => assert!(self.listening.remove(&vip), "{vip} had begun"),
                Output::Found(vip) => self.found.push((self.now, vip)),
                Output::Send(vip, said) => {
                    assert!(self.listening.contains(&vip), "answers come through before anything is asked");
                    self.sent(vip, said);
                }
            }
        }
    }

    fn sent(&mut self, vip: IpAddr, said: Said) {
        let is_up = !self.down.contains(&vip);
        match said {
            Said::Frame(question) => {
                self.probes.push((self.now, vip));
                if is_up {
                    self.rotation.heard(&answer(&question, OWNER).unwrap());
                }
            }
            Said::Segment(syn) if syn.kind == Kind::Syn => {
                assert!(syn.from.port() >= FIRST_PORT);
                self.probes.push((self.now, vip));
                let acknowledgment = syn.sequence.wrapping_add(1);
                let kind = Kind::SynAck;
                let told = Segment {
                    source: OWNER,
                    destination: WITNESS,
                    from: syn.to,
                    to: syn.from,
                    acknowledgment,
                    kind,
                    ..syn
                };
                let mut outputs = Vec::new();
                if is_up && !self.silent.contains(&vip) {
                    self.rotation.received(&told, &mut outputs);
                }
                self.carry_out(outputs);
            }
            Said::Segment(reset) => assert_eq!(reset.kind, Kind::Reset),
        }
    }

    /// Until this time, from deadline to deadline.
    fn run(&mut self, until: u64) {
        let mut steps = 0;
        loop {
            let mut outputs = Vec::new();
            self.rotation.step(at(self.now), &mut outputs);
            self.carry_out(outputs);
            let due = self.rotation.deadline().map_or(u128::MAX, |due| due.since(at(0)).as_millis());
            let due = u64::try_from(due).unwrap_or(u64::MAX);
            steps += 1;
            assert!(steps < 1_000_000, "something is due for ever");
            assert!(due > self.now, "what was due at {} is still", self.now);
            if due > until {
                self.now = until;
                return;
            }
            self.now = due;
        }
    }

    fn is_good(&self, number: u32) -> Option<bool> {
        self.rotation.found(vip(number)).map(Finding::is_good)
    }
}

#[test]
fn no_second_has_more_than_fifty_probes_however_many_are_wanted_and_all_have_their_turn() {
    for down in [false, true] {
        let mut wire = Wire::new();
        for number in 0..1_500 {
            wire.want(errand(number));
            wire.down.extend(down.then(|| vip(number)));
        }
        wire.run(300_000);
        for (index, (from, _)) in wire.probes.iter().enumerate() {
            let within = wire.probes[index..].iter().take_while(|(then, _)| *then < from + 1000).count();
            assert!(within <= 50, "{within} in the second from {from} ms");
        }
        assert!(wire.probes.len() > 49 * 300, "the pace is used: {}", wire.probes.len());
        assert!((0..1_500).all(|number| wire.is_good(number) == Some(!down)));
    }
}

#[test]
fn one_alone_is_proven_at_once_and_again_within_the_period() {
    let mut wire = Wire::new();
    wire.want(errand(1));
    wire.run(1_000);
    assert_eq!(wire.is_good(1), Some(true));
    wire.run(600_000);
    let times: Vec<u64> = wire.begun.iter().map(|(at, _)| *at).collect();
    assert!(times.windows(2).all(|pair| (40_000..=61_000).contains(&(pair[1] - pair[0]))), "{times:?}");
    assert_eq!(times[0], 0);
    assert_eq!(wire.found.len(), 1, "it is found the same again and again");
}

#[test]
fn one_failure_alone_says_nothing_and_a_second_one_does_and_one_proof_ends_it() {
    let mut wire = Wire::new();
    wire.want(errand(1));
    wire.run(30_000);
    wire.down.insert(vip(1));
    let before = wire.begun.len();
    while wire.begun.len() == before {
        wire.run(wire.now + 1_000);
    }
    let began = wire.now;
    wire.run(began + 1_600);
    assert_eq!(wire.is_good(1), Some(true), "it has failed once");
    wire.run(began + 6_000);
    assert_eq!(wire.is_good(1), Some(false), "and again");
    wire.down.clear();
    wire.run(began + 18_000);
    assert_eq!(wire.is_good(1), Some(true));
    assert_eq!(wire.found.len(), 3, "each of the three was news");

    wire.down.insert(vip(2));
    wire.want(errand(2));
    wire.run(wire.now + 2_500);
    assert_eq!(wire.is_good(2), None, "nor of one of which nothing was known");
    wire.down.clear();
    wire.run(wire.now + 3_000);
    assert_eq!(wire.is_good(2), Some(true));
}

#[test]
fn ports_that_are_silent_are_waited_for_in_peace() {
    let mut wire = Wire::new();
    wire.silent.insert(vip(1));
    // The last of their knocks are not given up at the same time, as knocks keep to the pace.
    wire.want(Errand { ports: [80, 81].into(), ..errand(1) });
    wire.run(20_000);
    assert_eq!(wire.rotation.found(vip(1)).map(|found| found.silent.clone()), Some([80, 81].into()));
}

#[test]
fn an_owner_with_other_stations_is_proven_anew_only_where_that_makes_a_difference() {
    let with = |stations: &[Mac]| Arc::new(stations.iter().copied().collect::<BTreeSet<Mac>>());
    let mut wire = Wire::new();
    wire.want(errand(1));
    wire.run(1_000);
    for (owners, finding_stands) in [
        (with(&[OWNER, WITNESS]), true),
        (with(&[WITNESS]), false),
        (with(&[]), true),
        (with(&[OWNER]), false),
        (with(&[OWNER, WITNESS]), true),
    ] {
        let mut outputs = Vec::new();
        wire.rotation.know(at(wire.now), vip(1), &owners, &mut outputs);
        wire.carry_out(outputs);
        assert_eq!(wire.is_good(1).is_some(), finding_stands, "{owners:?}");
        wire.run(wire.now + 10_000);
        let is_foreign = wire.rotation.found(vip(1)).map(|found| found.foreign);
        assert_eq!((wire.is_good(1), is_foreign), (Some(owners.contains(&OWNER)), Some(!owners.contains(&OWNER))));
    }

    // In the midst of a proof, when ports are being asked.
    wire.silent.insert(vip(2));
    wire.want(errand(2));
    wire.run(wire.now + 1_000);
    let mut outputs = Vec::new();
    wire.rotation.know(at(wire.now), vip(2), &with(&[WITNESS]), &mut outputs);
    wire.carry_out(outputs);
    let knocks = |wire: &Wire| wire.probes.iter().filter(|(_, about)| *about == vip(2)).count();
    let before = knocks(&wire);
    wire.run(wire.now + 1_900);
    assert_eq!(knocks(&wire), before, "a stranger's ports are not asked any more");
}

#[test]
fn what_has_not_been_proven_yet_goes_before_what_has() {
    let mut wire = Wire::new();
    (0..3_000).for_each(|number| wire.want(errand(number)));
    wire.run(300_000);
    wire.want(errand(9_999));
    let wanted = wire.now;
    wire.run(wanted + 2_000);
    assert_eq!(wire.is_good(9_999), Some(true), "although 3,000 others are behind");
}

#[test]
fn what_is_wanted_anew_has_no_finding_and_what_is_wanted_no_more_is_left_alone() {
    let mut wire = Wire::new();
    wire.want(errand(1));
    wire.run(100);
    // In the midst of the first proof.
    wire.want(Errand { ports: [80, 81].into(), ..errand(1) });
    wire.run(5_000);
    assert_eq!(wire.is_good(1), Some(true));
    wire.want(errand(1));
    assert_eq!(wire.is_good(1), None);
    wire.run(wire.now + 100);
    let mut outputs = Vec::new();
    wire.rotation.forget(vip(1), &mut outputs);
    assert_eq!(outputs, [Output::Ended(vip(1))]);
    wire.carry_out(outputs);
    assert_eq!((wire.is_good(1), wire.rotation.deadline()), (None, None));
}

#[test]
fn two_proofs_have_neither_port_nor_number_in_common() {
    let mut wire = Wire::new();
    let mut seen = BTreeSet::new();
    for number in 0..20 {
        let mut outputs = Vec::new();
        wire.rotation.want(at(0), errand(number), &mut outputs);
        wire.rotation.begin(at(0), &mut outputs);
        let proof = &wire.rotation.under_way[&vip(number)];
        seen.insert(format!("{proof:?}").rsplit_once("port: ").unwrap().1.split(',').take(2).collect::<String>());
    }
    assert_eq!(seen.len(), 20);
}
