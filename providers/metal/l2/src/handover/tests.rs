use std::collections::BTreeSet;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::answer::gratuitous;
use crate::ask::question;
use crate::{Input, Mac, Output, Responder};

const OLD: Mac = Mac([2, 0, 0, 0, 0, 1]);
const HEIR: Mac = Mac([2, 0, 0, 0, 0, 2]);
const CLIENT: Mac = Mac([2, 0, 0, 0, 0, 3]);
const STRANGER: Mac = Mac([2, 0, 0, 0, 0, 4]);

fn at(milliseconds: u64) -> Time {
    Time::at(Duration::from_millis(milliseconds))
}

fn vips() -> [IpAddr; 2] {
    ["192.0.2.10".parse().unwrap(), "2001:db8::10".parse().unwrap()]
}

fn step(responder: &mut Responder, now: Time, input: &Input<'_>) -> Vec<Output> {
    let mut outputs = Vec::new();
    responder.step(now, input, &mut outputs);
    outputs
}

fn frames(outputs: &[Output]) -> Vec<Frame> {
    let frame = |output: &Output| if let Output::Send(frame) = output { Some(frame.clone()) } else { None };
    outputs.iter().filter_map(frame).collect()
}

/// It has the address, knows the heir, and has been told at 10 s that the address is his.
fn handed_over(vip: IpAddr) -> Responder {
    let mut responder = Responder::new(OLD);
    step(&mut responder, at(0), &Input::SpeakersKnown([HEIR].into()));
    step(&mut responder, at(0), &Input::Announced { vip, ask: false });
    assert_eq!(step(&mut responder, at(10_000), &Input::HandedOver(vip)), []);
    responder
}

/// Whoever answers at this time.
fn answered(responder: &mut Responder, now: Time, vip: IpAddr) -> bool {
    !frames(&step(responder, now, &Input::Received(&question(CLIENT, vip)))).is_empty()
}

fn last(outputs: &[Output]) -> Option<&Output> {
    outputs.last()
}

#[test]
fn an_heir_who_was_told_first_is_heard_although_nothing_is_known_of_him_yet() {
    for vip in vips() {
        let frame = &gratuitous(HEIR, vip)[0];
        for (heard, told, silent) in [(9_990, 10_000, 10_190), (9_000, 10_000, 10_000), (7_000, 10_000, 13_000)] {
            let mut responder = Responder::new(OLD);
            step(&mut responder, at(0), &Input::SpeakersKnown([HEIR].into()));
            step(&mut responder, at(0), &Input::Announced { vip, ask: false });
            step(&mut responder, at(heard), &Input::Received(frame));
            assert!(answered(&mut responder, at(told - 1), vip));
            let mut outputs = step(&mut responder, at(told), &Input::HandedOver(vip));
            if silent > told {
                assert!(answered(&mut responder, at(silent - 1), vip), "{heard} {told}");
                outputs = step(&mut responder, at(silent), &Input::TimePassed);
            }
            assert!(outputs.contains(&Output::Silent(vip)), "{heard} {told} {silent}: {outputs:?}");
        }
        // What was said before the address came is of its owner then.
        let mut responder = Responder::new(OLD);
        step(&mut responder, at(0), &Input::SpeakersKnown([HEIR].into()));
        step(&mut responder, at(0), &Input::Announced { vip, ask: false });
        step(&mut responder, at(100), &Input::Received(frame));
        step(&mut responder, at(200), &Input::Withdrawn(vip));
        step(&mut responder, at(300), &Input::Announced { vip, ask: false });
        step(&mut responder, at(400), &Input::HandedOver(vip));
        assert!(answered(&mut responder, at(3_399), vip));
    }
}

/// An heir for a moment only: whoever had it before him is told later than he, and the next heir asks the wire first.
#[test]
fn what_the_one_before_says_when_the_address_has_just_come_is_not_taken_for_the_next_heirs_word() {
    for vip in vips() {
        let frame = &gratuitous(HEIR, vip)[0];
        // While it asks, and for a while after it has begun.
        for (ask, heard) in [(true, 300), (true, 500), (false, 1_900)] {
            let mut responder = Responder::new(OLD);
            step(&mut responder, at(0), &Input::SpeakersKnown([HEIR].into()));
            step(&mut responder, at(0), &Input::Announced { vip, ask });
            for now in (0..2_000).step_by(100) {
                step(&mut responder, at(now), &Input::TimePassed);
                if now == heard {
                    step(&mut responder, at(now), &Input::Received(frame));
                }
            }
            step(&mut responder, at(2_000), &Input::HandedOver(vip));
            assert!(answered(&mut responder, at(4_999), vip), "ask {ask}, heard at {heard}: the next heir is awaited");
        }
    }
}

#[test]
fn it_is_answered_for_until_shortly_after_the_heir_has_told_everybody() {
    for vip in vips() {
        for frame in gratuitous(HEIR, vip) {
            let mut responder = handed_over(vip);
            assert!(answered(&mut responder, at(11_000), vip));
            assert_eq!(step(&mut responder, at(11_000), &Input::Received(&frame)), []);
            assert_eq!(responder.deadline(), Some(at(11_200)));
            assert!(answered(&mut responder, at(11_199), vip));
            let outputs = step(&mut responder, at(11_200), &Input::TimePassed);
            assert_eq!(last(&outputs), Some(&Output::Silent(vip)));
            assert!(!answered(&mut responder, at(11_200), vip));
            assert_eq!(responder.deadline(), None);
        }
    }
}

#[test]
fn an_heir_who_does_not_come_is_awaited_for_three_seconds_and_nothing_is_said_unasked_meanwhile() {
    for vip in vips() {
        let mut responder = handed_over(vip);
        step(&mut responder, at(10_500), &Input::LinkCameUp);
        assert_eq!(responder.deadline(), Some(at(13_000)));
        // Told twice: from the first time on.
        step(&mut responder, at(11_000), &Input::HandedOver(vip));
        assert!(answered(&mut responder, at(12_999), vip));
        let outputs = step(&mut responder, at(13_000), &Input::TimePassed);
        assert_eq!((last(&outputs), frames(&outputs)), (Some(&Output::Silent(vip)), Vec::new()));
        assert!(!answered(&mut responder, at(13_000), vip));
    }
}

#[test]
fn an_heir_who_comes_at_the_last_moment_is_in_time() {
    let [vip, _] = vips();
    let mut responder = handed_over(vip);
    step(&mut responder, at(12_900), &Input::Received(&gratuitous(HEIR, vip)[0]));
    assert_eq!(responder.deadline(), Some(at(13_100)));
    step(&mut responder, at(13_000), &Input::Received(&gratuitous(HEIR, vip)[1]));
    assert_eq!(responder.deadline(), Some(at(13_100)), "once");
}

/// Far more than he can announce in [`PATIENCE`].
#[test]
fn of_many_that_go_at_once_none_is_silent_before_the_heir_has_told_everybody_at_his_pace() {
    let vips: Vec<IpAddr> =
        (0..400_u16).map(|n| IpAddr::from([198, 18, n.to_be_bytes()[0], n.to_be_bytes()[1]])).collect();
    let (mut old, mut heir) = (Responder::new(OLD), Responder::new(HEIR));
    step(&mut old, at(0), &Input::SpeakersKnown([HEIR].into()));
    for vip in &vips {
        step(&mut old, at(0), &Input::Announced { vip: *vip, ask: false });
    }
    let (mut now, mut told, mut silent) = (60_000, BTreeSet::new(), Vec::new());
    for vip in &vips {
        step(&mut old, at(now), &Input::HandedOver(*vip));
        step(&mut heir, at(now), &Input::Announced { vip: *vip, ask: false });
    }
    while silent.len() < vips.len() && now < 120_000 {
        let mut said = Vec::new();
        for frame in frames(&step(&mut heir, at(now), &Input::TimePassed)) {
            if let Payload::Arp(Arp { sender_address, .. }) = frame.payload {
                told.insert(IpAddr::V4(sender_address));
            }
            said.extend(step(&mut old, at(now), &Input::Received(&frame)));
        }
        said.extend(step(&mut old, at(now), &Input::TimePassed));
        for output in said {
            if let Output::Silent(vip) = output {
                assert!(told.contains(&vip), "{vip} at {now} ms, after {} of them", told.len());
                silent.push(vip);
            }
        }
        now += 10;
    }
    assert_eq!(silent.len(), vips.len(), "in the end one answers");
    assert!(now > 60_000 + 3 * 3_000, "that takes longer than anybody is awaited for: {now} ms");
}

#[test]
fn what_the_heir_answers_to_one_and_what_strangers_say_silences_nobody_and_is_not_defended_against() {
    for vip in vips() {
        let mut responder = handed_over(vip);
        let mut heir = Responder::new(HEIR);
        step(&mut heir, at(10_000), &Input::Announced { vip, ask: false });
        let mut said = gratuitous(STRANGER, vip);
        said.extend(gratuitous(STRANGER, vip));
        // A question of a station that has an address: its answer goes to no one else.
        let mut asked = question(CLIENT, vip);
        match &mut asked.payload {
            Payload::Arp(arp) => arp.sender_address = [192, 0, 2, 1].into(),
            Payload::Ndp(ndp) => ndp.source = "2001:db8::1".parse().unwrap(),
        }
        said.extend(frames(&step(&mut heir, at(10_000), &Input::Received(&asked))));
        assert!(said.len() >= 3);
        for frame in said {
            assert_eq!(step(&mut responder, at(10_100), &Input::Received(&frame)), [], "{frame:?}");
        }
        assert_eq!(responder.deadline(), Some(at(13_000)));
        assert!(answered(&mut responder, at(12_999), vip));
    }
}

#[test]
fn one_that_comes_back_is_announced_again_and_one_that_is_nobodys_falls_silent_at_once() {
    for vip in vips() {
        let mut responder = handed_over(vip);
        step(&mut responder, at(10_100), &Input::Received(&gratuitous(HEIR, vip)[0]));
        let outputs = step(&mut responder, at(10_200), &Input::Announced { vip, ask: false });
        assert_eq!(frames(&outputs), gratuitous(OLD, vip));
        step(&mut responder, at(20_000), &Input::TimePassed);
        assert!(answered(&mut responder, at(20_000), vip));

        let mut responder = handed_over(vip);
        step(&mut responder, at(10_100), &Input::Withdrawn(vip));
        assert!(!answered(&mut responder, at(10_100), vip));
        assert_eq!(responder.deadline(), None);
    }
}

#[test]
fn what_is_not_answered_for_is_not_handed_over_but_silent_at_once() {
    let [vip, _] = vips();
    let silent = [Output::Silent(vip)];
    let mut responder = Responder::new(OLD);
    assert_eq!(step(&mut responder, at(0), &Input::HandedOver(vip)), silent, "never had");
    let mut responder = Responder::new(OLD);
    step(&mut responder, at(0), &Input::Announced { vip, ask: true });
    assert_eq!(step(&mut responder, at(100), &Input::HandedOver(vip)), silent, "still asking");
    let mut responder = Responder::new(OLD);
    step(&mut responder, at(0), &Input::Announced { vip, ask: false });
    for _ in 0..2 {
        step(&mut responder, at(100), &Input::Received(&gratuitous(STRANGER, vip)[0]));
    }
    assert_eq!(step(&mut responder, at(200), &Input::HandedOver(vip)), silent, "yielded to a stranger");
    assert_eq!(responder.deadline(), None);
}

/// Two speakers and a client on a wire where each frame takes a millisecond.
struct Lan {
    old: Responder,
    heir: Responder,
    now: u64,
    /// To whom which frame comes next.
    flying: Vec<(Mac, Frame)>,
    vip: IpAddr,
    /// Who answered which question, by its time.
    answers: Vec<(u64, Mac)>,
}

impl Lan {
    fn tell(&mut self, whom: Mac, input: &Input<'_>) {
        let responder = if whom == OLD { &mut self.old } else { &mut self.heir };
        let outputs = step(responder, at(self.now), input);
        let to_others = frames(&outputs).into_iter().flat_map(|frame| {
            let others = [OLD, HEIR].into_iter().filter(move |other| *other != whom);
            others.map(move |other| (other, frame.clone()))
        });
        self.flying.extend(to_others);
    }

    fn pass(&mut self, asked: bool) {
        for (to, frame) in std::mem::take(&mut self.flying) {
            self.tell(to, &Input::Received(&frame));
        }
        for whom in [OLD, HEIR] {
            self.tell(whom, &Input::TimePassed);
        }
        if asked {
            for mac in [OLD, HEIR] {
                let responder = if mac == OLD { &mut self.old } else { &mut self.heir };
                if answered(responder, at(self.now), self.vip) {
                    self.answers.push((self.now, mac));
                }
            }
        }
        self.now += 1;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// However much later than the old owner the heir learns of it, within the patience; or earlier. And whether they know each other or not.
    #[test]
    fn there_is_no_moment_at_which_nobody_answers_and_in_the_end_one_does(
        old_learns in 1_000_u64..5_000,
        heir_learns in 1_000_u64..5_000,
        known in any::<bool>(),
        is_v4 in any::<bool>(),
        asked in vec(0_u64..12_000, 200),
    ) {
        let patience = u64::try_from(PATIENCE.as_millis()).unwrap();
        prop_assume!(heir_learns < old_learns + patience);
        let [v4, v6] = vips();
        let vip = if is_v4 { v4 } else { v6 };
        let mut lan = Lan {
            old: Responder::new(OLD), heir: Responder::new(HEIR), now: 0, flying: Vec::new(), vip, answers: Vec::new(),
        };
        if known {
            lan.tell(OLD, &Input::SpeakersKnown([HEIR].into()));
            lan.tell(HEIR, &Input::SpeakersKnown([OLD].into()));
        }
        lan.tell(OLD, &Input::Announced { vip, ask: false });
        let asked: BTreeSet<u64> = asked.into_iter().collect();
        while lan.now < 12_000 {
            if lan.now == old_learns {
                lan.tell(OLD, &Input::HandedOver(vip));
            }
            if lan.now == heir_learns {
                lan.tell(HEIR, &Input::Announced { vip, ask: false });
            }
            lan.pass(asked.contains(&lan.now));
        }
        // Who does not know the heir may take him for a stranger until he has learnt the ranks.
        if known || heir_learns >= old_learns {
            for question in &asked {
                prop_assert!(lan.answers.iter().any(|(time, _)| time == question), "nobody at {question}");
            }
        }
        let over = old_learns.max(heir_learns) + patience;
        prop_assert!(lan.answers.iter().all(|(time, by)| *time < over || *by == HEIR));
    }
}
