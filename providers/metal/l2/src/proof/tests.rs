use proptest::prelude::*;

use super::*;
use crate::answer::{answer, gratuitous};

const WITNESS: Mac = Mac([2, 0, 0, 0, 0, 1]);
const OWNER: Mac = Mac([2, 0, 0, 0, 0, 2]);
const STRANGER: Mac = Mac([2, 0, 0, 0, 0, 3]);
const PORT: u16 = 61_000;
const NUMBER: u32 = 0xffff_ffff;

fn at(milliseconds: u64) -> Time {
    Time::at(Duration::from_millis(milliseconds))
}

fn errands(ports: &[u16]) -> [Errand; 2] {
    [("192.0.2.10", "192.0.2.1"), ("2001:db8::10", "2001:db8::1")].map(|(vip, from)| Errand {
        vip: vip.parse().unwrap(),
        own: WITNESS,
        from: from.parse().unwrap(),
        ports: ports.iter().copied().collect(),
        owners: Arc::new([OWNER].into()),
    })
}

fn begin(errand: &Errand) -> Proof {
    Proof::begin(at(0), errand.clone(), PORT, NUMBER)
}

/// What is said at this time, all of it, and what was found.
fn said(proof: &mut Proof, now: Time) -> (Vec<Said>, Option<Finding>) {
    let found = proof.conclude(now);
    let mut all = Vec::new();
    while let Some(said) = proof.next(now) {
        all.push(said);
    }
    (all, found)
}

/// The one question, answered by these.
fn asked(proof: &mut Proof, now: Time, by: &[Mac]) {
    let (all, found) = said(proof, now);
    let [Said::Frame(question)] = all.as_slice() else { panic!("{all:?}") };
    assert_eq!(found, None);
    for station in by {
        proof.heard(&answer(question, *station).unwrap());
    }
}

/// One who has answered, and what is asked of its ports then.
fn knocking(errand: &Errand) -> (Proof, Vec<Segment>) {
    let mut proof = begin(errand);
    asked(&mut proof, at(0), &[OWNER]);
    let (all, found) = said(&mut proof, at(500));
    assert_eq!(found, None);
    let segment = |said: &Said| match said {
        Said::Segment(segment) => *segment,
        Said::Frame(_) => panic!("{said:?}"),
    };
    (proof, all.iter().map(segment).collect())
}

fn reply(syn: &Segment, kind: Kind) -> Segment {
    Segment {
        destination: syn.source,
        source: syn.destination,
        from: syn.to,
        to: syn.from,
        sequence: 77,
        acknowledgment: syn.sequence.wrapping_add(1),
        kind,
    }
}

#[test]
fn one_station_that_answers_and_accepts_connections_is_the_proof_and_no_connection_is_left() {
    for errand in errands(&[80, 443]) {
        let (mut proof, syns) = knocking(&errand);
        assert_eq!(syns.iter().map(|syn| syn.to.port()).collect::<Vec<_>>(), [80, 443]);
        for syn in &syns {
            assert_eq!((syn.kind, syn.destination, syn.source), (Kind::Syn, OWNER, WITNESS));
            assert_eq!((syn.from, syn.to.ip()), (SocketAddr::new(errand.from, PORT), errand.vip));
            assert_eq!(proof.conclude(at(600)), None, "{syn:?} is not answered yet");
            let Some(Said::Segment(reset)) = proof.received(&reply(syn, Kind::SynAck)) else { panic!("it is ended") };
            assert_eq!((reset.kind, reset.sequence, reset.destination), (Kind::Reset, 0, OWNER));
            assert_eq!((reset.from, reset.to), (syn.from, syn.to));
            assert_eq!(
                proof.received(&reply(syn, Kind::SynAck)),
                Some(Said::Segment(reset)),
                "and once more if need be"
            );
        }
        let found = proof.conclude(at(600)).unwrap();
        assert_eq!(found, Finding { stations: [OWNER].into(), ..Finding::default() });
        assert!(found.is_good());
    }
}

#[test]
fn without_a_port_one_station_that_answers_is_all_there_is_to_find() {
    for errand in errands(&[]) {
        let mut proof = begin(&errand);
        asked(&mut proof, at(0), &[OWNER]);
        assert_eq!(said(&mut proof, at(499)), (vec![], None));
        let (all, found) = said(&mut proof, at(500));
        assert_eq!((all, found.unwrap().is_good()), (vec![], true));
    }
}

#[test]
fn where_several_answer_all_of_them_are_named_and_no_port_is_asked() {
    for errand in errands(&[80]) {
        let mut proof = begin(&errand);
        asked(&mut proof, at(0), &[OWNER, STRANGER, OWNER]);
        let (all, found) = said(&mut proof, at(500));
        assert_eq!(all, []);
        let found = found.unwrap();
        assert_eq!(found.stations, [OWNER, STRANGER].into());
        assert!(!found.is_good());
    }
}

#[test]
fn a_stranger_who_alone_answers_is_named_and_his_ports_are_not_asked() {
    for errand in errands(&[80]) {
        let mut proof = begin(&errand);
        asked(&mut proof, at(0), &[STRANGER]);
        let found = Finding { stations: [STRANGER].into(), foreign: true, ..Finding::default() };
        assert!(!found.is_good());
        assert_eq!(proof.conclude(at(499)), None, "the owner may be slower");
        assert_eq!(proof.conclude(at(500)), Some(found.clone()));

        let (mut proof, _) = knocking(&errand);
        proof.know(Arc::new([OWNER, STRANGER].into()));
        assert_eq!(proof.conclude(at(600)), None);
        proof.know(Arc::new([STRANGER].into()));
        assert_eq!(proof.conclude(at(600)), Some(Finding { stations: [OWNER].into(), ..found }));
    }
}

#[test]
fn nobody_is_asked_three_times_and_then_there_is_nobody() {
    for errand in errands(&[80]) {
        let mut proof = begin(&errand);
        for question in 0..u64::from(QUESTIONS) {
            asked(&mut proof, at(500 * question), &[]);
            assert_eq!(said(&mut proof, at(500 * question + 499)), (vec![], None));
        }
        assert_eq!(proof.deadline(), at(1500));
        assert_eq!(said(&mut proof, at(1500)), (vec![], Some(Finding::default())));
    }
}

#[test]
fn of_any_number_of_stations_the_same_few_are_named_whoever_answers_first_and_that_there_are_more() {
    let many: Vec<Mac> = (0..=u8::MAX).map(|last| Mac([2, 0, 0, 0, 1, last])).collect();
    for errand in errands(&[80]) {
        for (answering, named, more) in
            [(STATIONS, STATIONS, false), (STATIONS + 1, STATIONS, true), (256, STATIONS, true)]
        {
            let forwards = many[..answering].to_vec();
            let backwards = forwards.iter().rev().copied().collect();
            for by in [forwards, backwards] {
                let mut proof = begin(&errand);
                asked(&mut proof, at(0), &by);
                let found = proof.conclude(at(500)).unwrap();
                assert_eq!((found.stations, found.more), (many[..named].iter().copied().collect(), more));
            }
        }
    }
}

#[test]
fn one_who_answers_late_is_heard() {
    for errand in errands(&[80]) {
        let mut proof = begin(&errand);
        asked(&mut proof, at(0), &[]);
        asked(&mut proof, at(500), &[OWNER]);
        let (all, found) = said(&mut proof, at(1000));
        assert!(matches!(all.as_slice(), [Said::Segment(_)]), "{all:?}");
        assert_eq!(found, None);
    }
}

#[test]
fn only_answers_to_the_question_count() {
    for errand in errands(&[80]) {
        let [_, other] = errands(&[]).map(|other| Errand { vip: other.from, from: other.vip, ..other });
        let mut proof = begin(&errand);
        let (all, _) = said(&mut proof, at(0));
        let [Said::Frame(question)] = all.as_slice() else { panic!("{all:?}") };
        let told = answer(question, STRANGER).unwrap();
        let others = [
            Frame { destination: OWNER, ..told.clone() },
            Frame { source: WITNESS, ..told.clone() },
            super::question(&errand).unwrap(),
            super::question(&other).unwrap(),
        ];
        others.iter().chain(&gratuitous(STRANGER, errand.vip)).for_each(|frame| proof.heard(frame));
        assert_eq!(said(&mut proof, at(499)), (vec![], None));
        asked(&mut proof, at(500), &[]);
    }
}

#[test]
fn a_port_that_denies_is_told_from_one_that_is_silent() {
    for errand in errands(&[80, 81, 82]) {
        let (mut proof, syns) = knocking(&errand);
        proof.received(&reply(&syns[0], Kind::SynAck));
        assert_eq!(proof.received(&reply(&syns[1], Kind::Reset)), None);
        for knock in 1..u64::from(KNOCKS) {
            assert_eq!(said(&mut proof, at(499 + 1000 * knock)), (vec![], None));
            let (all, found) = said(&mut proof, at(500 + 1000 * knock));
            assert_eq!((all, found), (vec![Said::Segment(syns[2])], None));
        }
        let (all, found) = said(&mut proof, at(3500));
        assert_eq!(all, []);
        let found = found.unwrap();
        assert_eq!((&found.refused, &found.silent), (&[81].into(), &[82].into()));
        assert!(!found.is_good());
    }
}

#[test]
fn who_does_not_know_the_number_answers_for_nobody() {
    for errand in errands(&[80]) {
        let (mut proof, syns) = knocking(&errand);
        let told = reply(&syns[0], Kind::SynAck);
        let elsewhere = SocketAddr::new(errand.vip, 81);
        for other in [
            Segment { acknowledgment: told.acknowledgment + 1, ..told },
            Segment { from: elsewhere, ..told },
            Segment { from: SocketAddr::new(errand.from, 80), ..told },
            Segment { to: SocketAddr::new(errand.from, PORT + 1), ..told },
            Segment { kind: Kind::Other, ..told },
            Segment { kind: Kind::Reset, acknowledgment: 9, ..told },
        ] {
            assert_eq!(proof.received(&other), None, "{other:?}");
        }
        assert_eq!(proof.conclude(at(600)), None);
        proof.received(&Segment { source: STRANGER, ..told });
        assert!(proof.conclude(at(600)).unwrap().is_good(), "by whichever station it comes");
    }
}

proptest! {
    #[test]
    fn whatever_is_heard_and_whenever_it_is_looked_at_it_ends_within_its_questions_and_knocks(
        events in proptest::collection::vec((0..400_u64, 0..6_u8), 0..60), is_v6 in any::<bool>(),
    ) {
        let errand = &errands(&[80, 81])[usize::from(is_v6)];
        let (mut proof, mut now, mut spoken) = (begin(errand), 0, 0);
        let mut last = None;
        let mut found = None;
        for (pause, event) in events.into_iter().chain([(100, 5); 80]) {
            now += pause;
            match (event, &last) {
                (0, Some(Said::Frame(question))) => proof.heard(&answer(question, OWNER).unwrap()),
                (1, Some(Said::Frame(question))) => proof.heard(&answer(question, STRANGER).unwrap()),
                (2, Some(Said::Segment(syn))) => drop(proof.received(&reply(syn, Kind::SynAck))),
                (3, Some(Said::Segment(syn))) => drop(proof.received(&reply(syn, Kind::Reset))),
                _ => {}
            }
            found = proof.conclude(at(now));
            if found.is_some() {
                break;
            }
            let Some(said) = proof.next(at(now)) else { continue };
            spoken += 1;
            last = Some(said);
        }
        prop_assert!(found.is_some());
        prop_assert!(spoken <= usize::from(QUESTIONS) + 2 * usize::from(KNOCKS));
    }
}
