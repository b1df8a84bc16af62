use std::net::Ipv4Addr;
use std::time::Duration;

use super::*;
use crate::arp::{Arp, Operation};
use crate::frame::Payload;
use crate::ndp::{ALL_NODES, Message, Ndp};

const US: Mac = Mac([2, 0, 0, 0, 0, 1]);
const CLIENT: Mac = Mac([2, 0, 0, 0, 0, 2]);
const THIEF: Mac = Mac([2, 0, 0, 0, 0, 3]);

fn at(milliseconds: u64) -> Time {
    Time::at(Duration::from_millis(milliseconds))
}

fn v4() -> IpAddr {
    "192.0.2.10".parse().unwrap()
}

fn v6() -> IpAddr {
    "2001:db8::10".parse().unwrap()
}

fn step(responder: &mut Responder, now: Time, input: &Input<'_>) -> Vec<Output> {
    let mut outputs = Vec::new();
    responder.step(now, input, &mut outputs);
    outputs
}

fn sent(outputs: Vec<Output>) -> Vec<Frame> {
    let frame = |output| if let Output::Send(frame) = output { Some(frame) } else { None };
    outputs.into_iter().filter_map(frame).collect()
}

/// One that has answered for these for ten seconds.
fn settled(vips: &[IpAddr]) -> Responder {
    let mut responder = Responder::new(US);
    for vip in vips {
        step(&mut responder, at(0), &Input::Announced { vip: *vip, ask: false });
    }
    while let Some(now) = responder.deadline().filter(|now| *now <= at(10_000)) {
        step(&mut responder, now, &Input::TimePassed);
    }
    responder
}

fn request(from: Mac, sender: &str, target: IpAddr) -> Frame {
    let (IpAddr::V4(target_address), sender_address) = (target, sender.parse().unwrap()) else { panic!("{target}") };
    let arp = Arp { operation: Operation::Request, sender: from, sender_address, target: Mac::ZERO, target_address };
    Frame { destination: Mac::BROADCAST, source: from, payload: Payload::Arp(arp) }
}

fn solicitation(from: Mac, source: &str, link_layer: Option<Mac>) -> Frame {
    let IpAddr::V6(target) = v6() else { panic!() };
    let message = Message::Solicitation { source_link_layer: link_layer };
    let destination = solicited_node(target);
    let ndp = Ndp { source: source.parse().unwrap(), destination, target, message };
    Frame { destination: Mac::of_multicast(destination), source: from, payload: Payload::Ndp(ndp) }
}

#[test]
fn a_request_is_answered_to_who_asked_with_the_address_of_the_interface_that_it_came_by() {
    let mut responder = settled(&[v4()]);
    let answers = sent(step(&mut responder, at(10_000), &Input::Received(&request(CLIENT, "192.0.2.1", v4()))));
    let arp = Arp {
        operation: Operation::Reply,
        sender: US,
        sender_address: Ipv4Addr::new(192, 0, 2, 10),
        target: CLIENT,
        target_address: Ipv4Addr::new(192, 0, 2, 1),
    };
    assert_eq!(answers, [Frame { destination: CLIENT, source: US, payload: Payload::Arp(arp) }]);
}

#[test]
fn what_is_not_ours_and_what_is_no_question_is_not_answered() {
    let mut responder = settled(&[v4()]);
    let other = request(CLIENT, "192.0.2.1", "192.0.2.11".parse().unwrap());
    let own = request(US, "192.0.2.1", v4());
    let mut reply = request(CLIENT, "192.0.2.1", v4());
    if let Payload::Arp(arp) = &mut reply.payload {
        arp.operation = Operation::Reply;
    }
    for frame in [other, own, reply] {
        assert_eq!(step(&mut responder, at(10_000), &Input::Received(&frame)), [], "{frame:?}");
    }
    step(&mut responder, at(10_000), &Input::Withdrawn(v4()));
    assert_eq!(step(&mut responder, at(10_000), &Input::Received(&request(CLIENT, "192.0.2.1", v4()))), []);
    assert_eq!(responder.deadline(), None);
}

#[test]
fn a_probe_is_answered_so_that_nobody_takes_the_address() {
    let mut responder = settled(&[v4()]);
    let answers = sent(step(&mut responder, at(10_000), &Input::Received(&request(CLIENT, "0.0.0.0", v4()))));
    assert_eq!(answers.len(), 1);
    assert_eq!(answers[0].destination, CLIENT);
}

#[test]
fn a_solicitation_is_answered_as_rfc_4861_7_2_4_says() {
    let mut responder = settled(&[v6()]);
    // From, the asker's own option, then: to which station, to which address, as solicited.
    let all = Mac::of_multicast(ALL_NODES);
    for (source, link_layer, mac, destination, is_solicited) in [
        ("2001:db8::1", Some(CLIENT), CLIENT, "2001:db8::1", true),
        ("2001:db8::1", Some(OTHER), OTHER, "2001:db8::1", true),
        ("2001:db8::1", None, CLIENT, "2001:db8::1", true),
        ("::", None, all, "ff02::1", false),
    ] {
        let frame = solicitation(CLIENT, source, link_layer);
        let answers = sent(step(&mut responder, at(10_000), &Input::Received(&frame)));
        let [Frame { destination: to, source: US, payload: Payload::Ndp(ndp) }] = answers.as_slice() else {
            panic!("{answers:?}")
        };
        assert_eq!((*to, ndp.destination), (mac, destination.parse().unwrap()));
        assert_eq!(IpAddr::V6(ndp.source), v6());
        assert_eq!(IpAddr::V6(ndp.target), v6());
        let expected = Message::Advertisement {
            router: false,
            solicited: is_solicited,
            overriding: true,
            target_link_layer: Some(US),
        };
        assert_eq!(ndp.message, expected);
    }
}

#[test]
fn an_address_that_comes_is_told_to_all_in_both_forms_and_its_group_is_joined_once() {
    let mut responder = Responder::new(US);
    let outputs = step(&mut responder, at(0), &Input::Announced { vip: v4(), ask: false });
    assert_eq!(outputs[0], Output::Answering(v4()));
    let operations: Vec<Operation> = sent(outputs)
        .into_iter()
        .map(|frame| {
            assert_eq!(frame.destination, Mac::BROADCAST);
            let Payload::Arp(arp) = frame.payload else { panic!() };
            assert_eq!(
                (arp.sender, arp.sender_address, arp.target_address),
                (US, [192, 0, 2, 10].into(), [192, 0, 2, 10].into())
            );
            arp.operation
        })
        .collect();
    assert_eq!(operations, [Operation::Request, Operation::Reply]);

    // Two addresses whose last three octets are the same have one group.
    let twin: IpAddr = "2001:db8:1::10".parse().unwrap();
    let group: Ipv6Addr = "ff02::1:ff00:10".parse().unwrap();
    assert!(step(&mut responder, at(0), &Input::Announced { vip: v6(), ask: false }).contains(&Output::Join(group)));
    assert!(!step(&mut responder, at(0), &Input::Announced { vip: twin, ask: false }).contains(&Output::Join(group)));
    assert_eq!(step(&mut responder, at(0), &Input::Withdrawn(v6())), []);
    assert_eq!(step(&mut responder, at(0), &Input::Withdrawn(twin)), [Output::Leave(group)]);
}

#[test]
fn the_wire_is_asked_twice_and_a_free_address_is_answered_for_then() {
    for vip in [v4(), v6()] {
        let mut responder = Responder::new(US);
        let begun = sent(step(&mut responder, at(0), &Input::Announced { vip, ask: true }));
        assert_eq!(begun, [question(US, vip)]);
        assert!(!responder.answers(vip));
        assert_eq!(responder.deadline(), Some(at(200)));
        assert_eq!(sent(step(&mut responder, at(200), &Input::TimePassed)), [question(US, vip)]);
        let outputs = step(&mut responder, at(400), &Input::TimePassed);
        assert_eq!(outputs[0], Output::Answering(vip));
        assert!(responder.answers(vip));
    }
}

#[test]
fn an_address_that_somebody_has_or_is_about_to_use_is_not_answered_for() {
    let IpAddr::V4(address) = v4() else { panic!() };
    let mut has_it = request(THIEF, "192.0.2.10", "192.0.2.1".parse().unwrap());
    if let Payload::Arp(arp) = &mut has_it.payload {
        (arp.operation, arp.sender_address) = (Operation::Reply, address);
    }
    for frame in [has_it, request(THIEF, "0.0.0.0", v4())] {
        let mut responder = Responder::new(US);
        step(&mut responder, at(0), &Input::Announced { vip: v4(), ask: true });
        let outputs = step(&mut responder, at(100), &Input::Received(&frame));
        assert_eq!(outputs, [Output::Taken { vip: v4(), by: THIEF }]);
        assert!(!responder.answers(v4()));
        assert_eq!(responder.deadline(), None);
    }
}

fn theft(of: IpAddr) -> Frame {
    let mut frames = gratuitous(THIEF, of);
    frames.pop().unwrap()
}

#[test]
fn a_foreign_announcer_is_answered_once_and_if_he_insists_the_address_is_his_until_he_is_silent() {
    for vip in [v4(), v6()] {
        let mut responder = settled(&[vip]);
        let defence = sent(step(&mut responder, at(20_000), &Input::Received(&theft(vip))));
        assert_eq!(defence, gratuitous(US, vip));
        let outputs = step(&mut responder, at(29_999), &Input::Received(&theft(vip)));
        assert_eq!(outputs, [Output::Yielded { vip, to: THIEF }]);
        assert!(!responder.answers(vip));
        // He is heard again at 50 s, so that his silence ends at 110 s.
        assert_eq!(step(&mut responder, at(50_000), &Input::Received(&theft(vip))), []);
        assert_eq!(step(&mut responder, at(109_999), &Input::TimePassed), []);
        assert_eq!(responder.deadline(), Some(at(110_000)));
        let outputs = step(&mut responder, at(110_000), &Input::TimePassed);
        assert_eq!(outputs[0], Output::Answering(vip));
        assert_eq!(sent(outputs), gratuitous(US, vip));
    }
}

#[test]
fn against_a_stranger_who_claims_everything_no_more_is_said_than_the_pace_allows_and_each_is_defended_in_its_turn() {
    let vips: Vec<IpAddr> = (0..200_u8).map(|last| IpAddr::from([192, 0, 2, last])).collect();
    let mut responder = settled(&vips);
    // When all have had their burst.
    while let Some(now) = responder.deadline().filter(|now| *now < at(100_000)) {
        step(&mut responder, now, &Input::TimePassed);
    }
    let claims: Vec<Output> =
        vips.iter().flat_map(|vip| step(&mut responder, at(100_000), &Input::Received(&theft(*vip)))).collect();
    let mut frames = vec![sent(claims).len()];
    let mut defended = BTreeSet::new();
    for tick in 1..=500 {
        let said = sent(step(&mut responder, at(100_000 + tick * 20), &Input::TimePassed));
        defended.extend(said.iter().filter_map(claimed).map(|(vip, _)| vip));
        frames.push(said.len());
    }
    let in_a_second = frames.windows(50).map(|window| window.iter().sum::<usize>()).max();
    assert!(in_a_second <= Some(52), "{frames:?}");
    assert!(defended.len() >= vips.len() - 1, "one of them at once: {}", defended.len());
    assert!(vips.iter().all(|vip| responder.answers(*vip)));
}

/// The addresses of which something is said to all, and after how many milliseconds; looked at as the driver does.
fn told(responder: &mut Responder, from: u64, until: u64) -> Vec<(IpAddr, u64)> {
    let mut told = Vec::new();
    while let Some(now) = responder.deadline().filter(|now| *now < at(until)) {
        let said = sent(step(responder, now, &Input::TimePassed));
        let after = u64::try_from(now.since(at(from)).as_millis()).unwrap();
        told.extend(said.iter().filter(|frame| tells_all(frame)).filter_map(claimed).map(|(vip, _)| (vip, after)));
    }
    told
}

#[test]
fn an_address_is_defended_at_once_although_many_others_have_just_come() {
    for vip in [v4(), v6()] {
        let mut responder = settled(&[vip]);
        for n in 0..1000_u16 {
            let [high, low] = n.to_be_bytes();
            step(&mut responder, at(20_000), &Input::Announced { vip: IpAddr::from([198, 18, high, low]), ask: false });
        }
        told(&mut responder, 20_000, 20_100);
        assert_eq!(step(&mut responder, at(20_100), &Input::Received(&theft(vip))), [], "the pace is used up");
        let told = told(&mut responder, 20_100, 30_000);
        let defended: BTreeSet<u64> = told.iter().filter(|(of, _)| *of == vip).map(|(_, after)| *after).collect();
        assert!(defended.len() == 1 && defended.first() <= Some(&80), "once, and soon: {defended:?} ms");
        assert!(responder.answers(vip));
    }
}

#[test]
fn a_stranger_who_claims_everything_leaves_those_that_come_every_other_turn() {
    let vips: Vec<IpAddr> = (0..250_u8).map(|last| IpAddr::from([192, 0, 2, last])).collect();
    let mut responder = settled(&vips);
    told(&mut responder, 0, 100_000);
    for vip in &vips {
        step(&mut responder, at(100_000), &Input::Received(&theft(*vip)));
    }
    let new: Vec<IpAddr> = (0..25_u8).map(|last| IpAddr::from([198, 18, 0, last])).collect();
    for vip in &new {
        step(&mut responder, at(100_000), &Input::Announced { vip: *vip, ask: false });
    }
    // 25 of each, of two frames, at 50 frames a second.
    let told: BTreeSet<IpAddr> = told(&mut responder, 100_000, 102_100).into_iter().map(|(vip, _)| vip).collect();
    assert!(new.iter().all(|vip| told.contains(vip)), "{told:?}");
    assert!(vips.iter().filter(|vip| told.contains(vip)).count() >= 25, "{told:?}");
}

#[test]
fn a_second_claim_ten_seconds_after_the_first_is_another_first_one() {
    let mut responder = settled(&[v4()]);
    step(&mut responder, at(20_000), &Input::Received(&theft(v4())));
    let defence = sent(step(&mut responder, at(30_000), &Input::Received(&theft(v4()))));
    assert_eq!(defence, gratuitous(US, v4()));
    assert!(responder.answers(v4()));
}

#[test]
fn a_speaker_of_ours_is_no_foreign_announcer() {
    let mut responder = settled(&[v4()]);
    step(&mut responder, at(10_000), &Input::SpeakersKnown([THIEF].into()));
    for now in [at(20_000), at(20_100)] {
        assert_eq!(step(&mut responder, now, &Input::Received(&theft(v4()))), []);
    }
    assert!(responder.answers(v4()));
}

#[test]
fn whoever_asks_is_answered_although_the_pace_of_announcements_is_used_up() {
    let mut responder = Responder::at_pace(US, 1);
    for n in 1..=50 {
        step(&mut responder, at(0), &Input::Announced { vip: Ipv4Addr::new(192, 0, 2, n).into(), ask: false });
    }
    for n in 1..=50 {
        let frame = request(CLIENT, "192.0.2.200", Ipv4Addr::new(192, 0, 2, n).into());
        assert_eq!(sent(step(&mut responder, at(1), &Input::Received(&frame))).len(), 1);
    }
}

#[test]
fn who_turns_out_to_be_a_speaker_of_ours_is_no_stranger_any_more() {
    let mut responder = settled(&[v4()]);
    step(&mut responder, at(20_000), &Input::Received(&theft(v4())));
    let outputs = step(&mut responder, at(20_100), &Input::Received(&theft(v4())));
    assert_eq!(outputs, [Output::Yielded { vip: v4(), to: THIEF }]);
    let outputs = step(&mut responder, at(20_200), &Input::SpeakersKnown([THIEF].into()));
    assert_eq!(outputs[0], Output::Answering(v4()));
    assert_eq!(sent(outputs), gratuitous(US, v4()));
    assert!(responder.answers(v4()));
}

#[test]
fn nothing_is_concluded_from_the_answer_of_a_speaker_of_ours_to_the_first_question() {
    let mut responder = Responder::new(US);
    step(&mut responder, at(0), &Input::SpeakersKnown([THIEF].into()));
    step(&mut responder, at(0), &Input::Announced { vip: v4(), ask: true });
    for frame in [theft(v4()), request(THIEF, "0.0.0.0", v4())] {
        assert_eq!(step(&mut responder, at(100), &Input::Received(&frame)), []);
    }
    step(&mut responder, at(200), &Input::TimePassed);
    assert_eq!(step(&mut responder, at(400), &Input::TimePassed)[0], Output::Answering(v4()));
}

/// Two interfaces of one machine on one segment, to whom each other's frames come at once.
struct Siblings([Responder; 2]);

const OTHER: Mac = Mac([2, 0, 0, 0, 0, 4]);

impl Siblings {
    fn settled() -> Self {
        let mut both = Self([US, OTHER].map(Responder::new));
        both.step(at(0), &Input::OwnStationsKnown([US, OTHER].into()));
        both
    }

    /// Both take it in, then the frames of each other that come of it; all that comes of it.
    fn step(&mut self, now: Time, input: &Input<'_>) -> Vec<Output> {
        let mut all = Vec::new();
        let mut inputs: Vec<[Vec<Output>; 2]> = vec![[0, 1].map(|one| step(&mut self.0[one], now, input))];
        while let Some(outputs) = inputs.pop() {
            for (one, outputs) in outputs.into_iter().enumerate() {
                for frame in sent(outputs.clone()) {
                    let mut heard = [Vec::new(), Vec::new()];
                    heard[1 - one] = step(&mut self.0[1 - one], now, &Input::Received(&frame));
                    inputs.push(heard);
                }
                all.extend(outputs);
            }
        }
        all
    }

    fn until(&mut self, end: Time) -> Vec<Output> {
        let next = |both: &Self| both.0.iter().filter_map(Responder::deadline).min().filter(|now| *now <= end);
        let mut all = Vec::new();
        while let Some(now) = next(self) {
            all.extend(self.step(now, &Input::TimePassed));
        }
        all
    }
}

#[test]
fn stations_of_one_machine_on_one_segment_have_no_conflict_with_each_other() {
    for vip in [v4(), v6()] {
        for ask in [true, false] {
            let mut both = Siblings::settled();
            let mut all = both.step(at(0), &Input::Announced { vip, ask });
            all.extend(both.until(at(120_000)));
            let found: Vec<Output> =
                all.into_iter().filter(|one| !matches!(one, Output::Send(_) | Output::Join(_))).collect();
            assert_eq!(found, [Output::Answering(vip), Output::Answering(vip)], "{vip} {ask}");
            assert!(both.0.iter().all(|one| one.answers(vip)));
        }
    }
}

#[test]
fn what_another_station_of_the_machine_says_ends_no_handover() {
    for vip in [v4(), v6()] {
        let mut responder = settled(&[vip]);
        step(&mut responder, at(10_000), &Input::OwnStationsKnown([OTHER].into()));
        step(&mut responder, at(10_000), &Input::SpeakersKnown([OTHER, THIEF].into()));
        for frame in gratuitous(OTHER, vip) {
            step(&mut responder, at(19_900), &Input::Received(&frame));
        }
        step(&mut responder, at(20_000), &Input::HandedOver(vip));
        for frame in gratuitous(OTHER, vip) {
            step(&mut responder, at(20_100), &Input::Received(&frame));
        }
        assert_eq!(responder.deadline(), Some(at(23_000)), "the heir is awaited");
        step(&mut responder, at(21_000), &Input::Received(&gratuitous(THIEF, vip)[0]));
        assert_eq!(responder.deadline(), Some(at(21_200)));
    }
}

#[test]
fn who_asks_from_another_station_of_the_machine_is_answered() {
    let mut responder = settled(&[v4(), v6()]);
    step(&mut responder, at(10_000), &Input::OwnStationsKnown([OTHER].into()));
    for frame in [request(OTHER, "192.0.2.1", v4()), solicitation(OTHER, "2001:db8::1", Some(OTHER))] {
        let answers = sent(step(&mut responder, at(10_000), &Input::Received(&frame)));
        assert_eq!(answers.iter().map(|answer| answer.destination).collect::<Vec<_>>(), [OTHER]);
    }
}

#[test]
fn who_turns_out_to_be_a_station_of_the_machine_has_not_taken_the_address() {
    let mut responder = settled(&[v4()]);
    for now in [at(20_000), at(20_100)] {
        step(&mut responder, now, &Input::Received(&theft(v4())));
    }
    assert!(!responder.answers(v4()));
    step(&mut responder, at(20_200), &Input::OwnStationsKnown([THIEF].into()));
    assert!(responder.answers(v4()));
}
