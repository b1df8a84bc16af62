use portolan_core::balancer::Family;

use super::*;
use crate::speaker::ranks::HealthChecks;

const VIP: &str = "198.51.100.10";
const VIP6: &str = "2001:db8:51::10";

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn at(millis: u64) -> Time {
    Time::from_nanos(millis * 1_000_000)
}

const WELL: Answer = Answer::Healthy { v4: None, v6: None };

/// A node's forwarding, a kube-proxy that answers at once, and what came of it.
struct Story {
    forwarding: Forwarding,
    now: u64,
    answer: Answer,
    /// What health check ports of IPv4 answer; nothing, if it is not here.
    ports: BTreeMap<u16, Heard>,
    asked: Vec<u64>,
    /// Which port was asked when.
    checked: Vec<(u64, Check)>,
    /// What is announced from when on, what is withheld, and the version.
    said: Vec<(u64, Owns)>,
}

impl Story {
    fn begin(answer: Answer) -> Self {
        let mut story = Self {
            forwarding: Forwarding::default(),
            now: 0,
            answer,
            ports: BTreeMap::new(),
            asked: Vec::new(),
            checked: Vec::new(),
            said: Vec::new(),
        };
        story.step(Input::TimePassed);
        story
    }

    fn step(&mut self, input: Input<'_>) {
        let mut outputs = Vec::new();
        self.forwarding.step(at(self.now), input, &mut outputs);
        for output in outputs {
            match output {
                Output::Publish(owns) => self.said.push((self.now, owns)),
                Output::Check(check) => {
                    self.checked.push((self.now, check));
                    let heard = self.ports.get(&check.1).filter(|_| check.0 == Family::V4);
                    self.step(Input::Checked(check, heard.copied().unwrap_or(Heard::Nothing)));
                }
                Output::Ask => {
                    self.asked.push(self.now);
                    self.step(Input::Answered(self.answer));
                }
            }
        }
    }

    /// All that is due until then, when it is due.
    fn run_until(&mut self, millis: u64) {
        while let Some(due) = self.forwarding.deadline().filter(|due| *due <= at(millis)) {
            let due = due.as_nanos().div_ceil(1_000_000);
            assert!(due > self.now, "{due} is over: it would be woken for ever");
            self.now = due;
            self.step(Input::TimePassed);
        }
        self.now = millis;
    }

    fn ranked(&mut self, owns: Owns) {
        self.step(Input::Ranked(&Arc::new(owns)));
    }

    fn owns(&self) -> &Owns {
        &self.said.last().expect("something was said").1
    }

    fn announced(&self) -> Vec<String> {
        self.owns().addresses.keys().map(ToString::to_string).collect()
    }

    fn withheld(&self) -> Vec<String> {
        self.owns().withheld.iter().map(ToString::to_string).collect()
    }

    /// From when on an address has been announced without a break.
    fn since(&self, vip: &str) -> Option<u64> {
        let is_in = |(_, owns): &&(u64, Owns)| owns.addresses.contains_key(&ip(vip));
        self.said.iter().rev().take_while(is_in).last().map(|(at, _)| *at)
    }
}

/// These, each behind the same heirs.
fn owns(vips: &[&str], heirs: &[&str], version: u64) -> Owns {
    let heirs: Vec<String> = heirs.iter().map(|heir| (*heir).to_owned()).collect();
    let owned = Owned { generation: 2, heirs, version, ..Owned::default() };
    Owns { addresses: vips.iter().map(|vip| (ip(vip), owned.clone())).collect(), version, ..Owns::default() }
}

fn left(vips: &[&str], version: u64) -> Owns {
    Owns { left: vips.iter().map(|vip| ip(vip)).collect(), version, ..Owns::default() }
}

/// One that has been well, and announces an address. It is asked in the first fifth of each second.
fn settled(heirs: &[&str]) -> Story {
    let mut story = Story::begin(WELL);
    story.ranked(owns(&[VIP], heirs, 5));
    story.run_until(10_000);
    assert_eq!(story.announced(), [VIP]);
    story
}

#[test]
fn while_nobody_has_ever_answered_everything_is_announced_at_once_and_it_is_said() {
    let mut story = Story::begin(Answer::Nothing);
    assert_eq!(story.forwarding.standing(), Standing::Unknown);
    story.ranked(owns(&[VIP], &["node-b"], 5));
    assert_eq!(story.since(VIP), Some(0));
    story.run_until(60_000);
    story.ranked(owns(&[VIP, VIP6], &["node-b"], 6));
    assert_eq!(story.since(VIP6), Some(60_000));
    // One that comes up later takes nothing away.
    story.answer = WELL;
    story.run_until(70_000);
    assert_eq!((story.forwarding.standing(), story.since(VIP)), (Standing::Fine, Some(0)));
}

#[test]
fn a_new_address_waits_for_two_good_answers_a_second_apart() {
    let mut story = Story::begin(WELL);
    story.run_until(5_500);
    story.ranked(owns(&[VIP], &["node-b"], 5));
    assert_eq!(story.announced(), [""; 0]);
    story.run_until(20_000);
    assert_eq!(story.since(VIP), Some(6_500), "the first answer at once, the second a second later: {:?}", story.asked);
    let gaps: Vec<u64> = story.asked.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(gaps.iter().all(|gap| (200..=1_000).contains(gap)), "{gaps:?}");
}

#[test]
fn an_address_is_announced_as_soon_as_the_rules_of_its_family_were_written_after_it_was_first_owned() {
    let mut story = Story::begin(WELL);
    story.run_until(5_500);
    story.answer = Answer::Healthy { v4: Some(at(5_499)), v6: Some(at(5_400)) };
    story.ranked(owns(&[VIP, VIP6], &[], 5));
    story.answer = Answer::Healthy { v4: Some(at(5_650)), v6: Some(at(5_400)) };
    story.ranked(owns(&[VIP, VIP6, "198.51.100.11"], &[], 6));
    story.run_until(20_000);
    assert_eq!((story.since(VIP), story.since(VIP6)), (Some(5_700), Some(6_500)));
}

#[test]
fn no_address_waits_longer_than_two_seconds_while_kube_proxy_is_well_and_an_heir_is_awaited_for_longer() {
    let mut story = Story::begin(WELL);
    story.run_until(5_500);
    // The answer stays out, and so nothing is asked again.
    let mut outputs = Vec::new();
    story.forwarding.step(at(5_500), Input::Ranked(&Arc::new(owns(&[VIP], &["node-b"], 5))), &mut outputs);
    assert!(outputs.contains(&Output::Ask), "{outputs:?}");
    assert_eq!(story.forwarding.deadline(), Some(at(7_500)));
    story.run_until(7_499);
    assert_eq!(story.since(VIP), None);
    story.run_until(7_500);
    assert_eq!(story.since(VIP), Some(7_500));
    assert!(LIMIT + Duration::from_millis(500) < portolan_l2::handover::PATIENCE);
}

#[test]
fn what_waits_is_not_said_to_have_reached_the_wire_and_all_else_is() {
    let mut story = Story::begin(WELL);
    story.ranked(owns(&[], &[], 5));
    assert_eq!(story.owns().version, 5);
    story.run_until(5_500);
    story.ranked(owns(&[VIP], &[], 8));
    assert_eq!(story.owns().version, 7);
    story.ranked(owns(&[VIP], &[], 9));
    assert_eq!(story.owns().version, 7, "another edit of its object does not make it announced");
    story.run_until(6_500);
    assert_eq!((story.owns().version, story.since(VIP)), (9, Some(6_500)));
}

#[test]
fn one_bad_answer_changes_nothing_of_what_is_announced_and_makes_what_is_new_wait() {
    for bad in [Answer::Nothing, Answer::Unhealthy] {
        let mut story = settled(&["node-b"]);
        story.answer = bad;
        story.run_until(11_000);
        story.answer = WELL;
        story.ranked(owns(&[VIP, VIP6], &["node-b"], 6));
        assert_eq!(story.forwarding.standing(), Standing::Fine, "{bad:?}");
        story.run_until(20_000);
        assert!(story.since(VIP).is_some_and(|since| since < 2_000), "{bad:?}");
        assert_eq!(story.since(VIP6), Some(12_200), "heard well a second and two after it was not");
    }
}

#[test]
fn two_bad_answers_are_reported_at_once_and_silence_what_has_not_been_taken_over_three_seconds_later() {
    for bad in [Answer::Nothing, Answer::Unhealthy] {
        let mut story = settled(&["node-b"]);
        story.answer = bad;
        story.run_until(11_199);
        let standing = story.forwarding.standing();
        story.run_until(14_199);
        assert_eq!((standing, story.forwarding.standing()), (Standing::Fine, Standing::NotForwarding));
        assert_eq!((story.announced(), story.withheld()), (vec![VIP.to_owned()], vec![]), "{bad:?}");
        story.run_until(14_200);
        assert_eq!((story.announced(), story.withheld()), (vec![], vec![VIP.to_owned()]), "{bad:?}");
        // What is given to it now is not even begun with.
        story.ranked(owns(&[VIP, VIP6], &["node-b"], 6));
        assert_eq!(story.withheld(), [VIP, VIP6]);
        assert_eq!(story.owns().version, 6, "which is reported, and so is no secret");

        story.run_until(30_500);
        story.answer = WELL;
        story.run_until(40_000);
        assert_eq!((story.since(VIP), story.withheld()), (Some(31_200), vec![]), "well again");
        assert_eq!(story.since(VIP6), Some(32_200), "new to a kube-proxy that is well");
    }
}

#[test]
fn what_goes_to_its_heir_meanwhile_is_handed_over_and_not_withheld() {
    let mut story = settled(&["node-b"]);
    story.answer = Answer::Nothing;
    story.run_until(13_000);
    story.ranked(left(&[VIP], 6));
    story.run_until(60_000);
    assert_eq!(story.owns(), &left(&[VIP], 6));
}

#[test]
fn an_address_that_no_better_node_could_have_is_announced_all_the_same() {
    for (heirs, worse_off, is_kept) in [
        (vec![], vec![], true),
        (vec!["node-b"], vec![], false),
        (vec!["node-b"], vec!["node-b"], true),
        (vec!["node-b", "node-c"], vec!["node-b"], false),
        (vec!["node-b", "node-c"], vec!["node-c", "node-b"], true),
    ] {
        let mut story = settled(&heirs);
        story.step(Input::FellowsHeard(&worse(&worse_off)));
        story.answer = Answer::Nothing;
        story.run_until(60_000);
        story.ranked(owns(&[VIP, VIP6], &heirs, 6));
        story.run_until(70_000);
        let (announced, withheld) = if is_kept { (vec![VIP, VIP6], vec![]) } else { (vec![], vec![VIP, VIP6]) };
        assert_eq!((story.announced(), story.withheld()), (texts(&announced), texts(&withheld)), "{heirs:?}");
        assert_eq!(story.forwarding.standing(), Standing::NotForwarding);
    }
}

/// Nothing is forwarded on these.
fn worse(names: &[&str]) -> Arc<WorseOff> {
    Arc::new(WorseOff { nodes: names.iter().map(|name| (*name).to_owned()).collect(), of: BTreeMap::new() })
}

fn texts(vips: &[&str]) -> Vec<String> {
    vips.iter().map(|vip| (*vip).to_owned()).collect()
}

#[test]
fn when_an_heir_is_better_off_again_he_has_three_seconds_to_take_over_and_if_he_fails_too_he_is_none() {
    let both = worse(&["node-b"]);
    let mut story = settled(&["node-b"]);
    story.step(Input::FellowsHeard(&both));
    story.answer = Answer::Nothing;
    story.run_until(60_000);
    story.step(Input::FellowsHeard(&Arc::default()));
    story.run_until(62_999);
    assert_eq!(story.announced(), [VIP]);
    story.run_until(63_000);
    assert_eq!(story.withheld(), [VIP]);
    story.step(Input::FellowsHeard(&both));
    assert_eq!(story.since(VIP), Some(63_000), "somebody has to");
}

#[test]
fn what_comes_back_before_its_heir_has_come_is_announced_without_a_wait_and_what_was_gone_is_not() {
    let mut story = settled(&["node-b"]);
    story.ranked(left(&[VIP], 6));
    story.run_until(11_300);
    story.ranked(owns(&[VIP], &["node-b"], 7));
    assert_eq!(story.since(VIP), Some(11_300), "kube-proxy has known it all the time");
    story.ranked(Owns { version: 8, ..Owns::default() });
    story.ranked(owns(&[VIP], &["node-b"], 9));
    story.run_until(20_000);
    assert_eq!(story.since(VIP), Some(12_400), "after the next two answers");
}

#[test]
fn a_bad_answer_in_between_begins_the_wait_anew() {
    let mut story = Story::begin(WELL);
    story.run_until(5_500);
    story.ranked(owns(&[VIP], &["node-b"], 5));
    story.run_until(6_000);
    story.answer = Answer::Nothing;
    story.run_until(7_000);
    story.answer = WELL;
    story.run_until(20_000);
    assert_eq!(story.since(VIP), Some(8_500), "well at 5.5 s, not at 6.5 s, well at 7.5 s: {:?}", story.asked);
}

#[test]
fn an_answer_that_was_asked_for_before_the_address_was_owned_does_not_count() {
    let (mut forwarding, mut outputs) = (Forwarding::default(), Vec::new());
    let mut step = |millis, input: Input<'_>| {
        forwarding.step(at(millis), input, &mut outputs);
        outputs.drain(..).filter(|output| *output != Output::Ask).collect::<Vec<_>>()
    };
    step(0, Input::TimePassed);
    step(10, Input::Answered(WELL));
    step(1_000, Input::TimePassed);
    let waiting = Owns { waiting: [ip(VIP)].into(), version: 4, ..Owns::default() };
    assert_eq!(step(1_300, Input::Ranked(&Arc::new(owns(&[VIP], &[], 5)))), [Output::Publish(waiting)]);
    // Asked at 1 s; the next question follows at once.
    step(2_050, Input::Answered(WELL));
    assert_eq!(step(2_060, Input::Answered(WELL)), [], "only this one counts");
    step(3_060, Input::TimePassed);
    assert_eq!(step(3_070, Input::Answered(WELL)), [Output::Publish(owns(&[VIP], &[], 5))]);
}

const CHECK: u16 = 32_000;
const OTHER: u16 = 32_001;

/// An address that this node owns, whose Services have these health check ports.
fn checked(ports: &[u16], heirs: &[&str], version: u64) -> Owns {
    let checks = HealthChecks { ports: ports.iter().copied().collect(), is_ranked: true };
    Owns { checks: BTreeMap::from([(ip(VIP), checks)]), ..owns(&[VIP], heirs, version) }
}

fn failing(ports: &[u16]) -> BTreeMap<u16, BTreeSet<IpAddr>> {
    ports.iter().map(|port| (*port, BTreeSet::from([ip(VIP)]))).collect()
}

/// One that has been well, and announces an address whose health check port is too.
fn settled_locally(heirs: &[&str]) -> Story {
    let mut story = Story::begin(WELL);
    story.ports = BTreeMap::from([(CHECK, Heard::Well)]);
    story.ranked(checked(&[CHECK], heirs, 5));
    story.run_until(10_000);
    assert_eq!((story.announced(), story.forwarding.failed_checks()), (texts(&[VIP]), failing(&[])));
    story
}

#[test]
fn a_new_address_waits_for_all_its_health_check_ports_but_not_for_ever_and_not_where_none_is_open() {
    for (port, other, since) in [
        (Some(Heard::Well), Some(Heard::Well), 6_500),
        (None, None, 6_500),
        (Some(Heard::Unwell), Some(Heard::Well), 7_500),
        (None, Some(Heard::Unwell), 7_500),
    ] {
        let mut story = Story::begin(WELL);
        story.run_until(5_500);
        let open = [(CHECK, port), (OTHER, other)].into_iter().filter_map(|(number, heard)| Some((number, heard?)));
        story.ports = open.collect();
        story.ranked(checked(&[CHECK, OTHER], &["node-b"], 5));
        story.run_until(8_000);
        assert_eq!(story.since(VIP), Some(since), "{port:?} {other:?}: {:?}", story.checked);
    }
    let mut story = Story::begin(WELL);
    story.run_until(5_500);
    story.ports.insert(CHECK, Heard::Unwell);
    story.ranked(checked(&[CHECK], &["node-b"], 5));
    story.run_until(6_700);
    story.ports.insert(CHECK, Heard::Well);
    story.run_until(20_000);
    assert_eq!(story.since(VIP), Some(7_500), "at the question after it, or the limit");
    story.ranked(Owns::default());
    story.ports.insert(CHECK, Heard::Unwell);
    story.ranked(checked(&[CHECK], &["node-b"], 6));
    story.run_until(20_400);
    story.ports.insert(CHECK, Heard::Well);
    story.run_until(30_000);
    assert_eq!(story.since(VIP), Some(21_000), "asked at once, and a second later");
}

#[test]
fn an_address_whose_health_check_port_fails_twice_is_reported_and_given_up_if_another_node_stands_ready() {
    for heirs in [vec!["node-b"], vec![]] {
        let mut story = settled_locally(&heirs);
        story.ports.insert(CHECK, Heard::Unwell);
        story.run_until(10_999);
        assert_eq!(story.forwarding.failed_checks(), failing(&[]), "once is not enough");
        story.run_until(12_000);
        assert_eq!(story.forwarding.failed_checks(), failing(&[CHECK]));
        assert_eq!(story.forwarding.standing(), Standing::Fine, "others are forwarded");
        assert_eq!(story.announced(), [VIP], "for those who move it");
        story.run_until(15_000);
        let (announced, withheld) = if heirs.is_empty() { (vec![VIP], vec![]) } else { (vec![], vec![VIP]) };
        assert_eq!((story.announced(), story.withheld()), (texts(&announced), texts(&withheld)), "{heirs:?}");
        story.ports.insert(CHECK, Heard::Well);
        story.run_until(17_000);
        assert_eq!((story.announced(), story.forwarding.failed_checks()), (texts(&[VIP]), failing(&[])));
    }
}

#[test]
fn a_health_check_port_that_is_closed_says_nothing_of_the_address() {
    let mut story = settled_locally(&["node-b"]);
    story.ports.clear();
    story.run_until(60_000);
    assert_eq!((story.announced(), story.forwarding.failed_checks()), (texts(&[VIP]), failing(&[])));
}

#[test]
fn an_heir_that_says_the_same_of_this_address_is_none_for_it_and_one_that_says_it_of_another_is() {
    for (of, is_kept) in [(VIP, true), ("198.51.100.99", false)] {
        let mut story = settled_locally(&["node-b"]);
        let of = BTreeMap::from([("node-b".to_owned(), BTreeSet::from([ip(of)]))]);
        story.step(Input::FellowsHeard(&Arc::new(WorseOff { nodes: BTreeSet::new(), of })));
        story.ports.insert(CHECK, Heard::Unwell);
        story.run_until(60_000);
        assert_eq!(story.announced().is_empty(), !is_kept);
    }
}

#[test]
fn one_port_of_a_shared_address_that_fails_is_enough() {
    let mut story = settled_locally(&["node-b"]);
    story.ports.insert(OTHER, Heard::Well);
    story.ranked(checked(&[CHECK, OTHER], &["node-b"], 6));
    story.run_until(15_000);
    story.ports.insert(OTHER, Heard::Unwell);
    story.run_until(60_000);
    assert_eq!((story.withheld(), story.forwarding.failed_checks()), (texts(&[VIP]), failing(&[OTHER])));
}

#[test]
fn no_health_check_port_is_asked_while_kube_proxy_itself_is_in_doubt_and_all_are_where_nobody_ever_answered() {
    let mut story = settled_locally(&["node-b"]);
    story.answer = Answer::Unhealthy;
    story.run_until(20_000);
    let last = story.checked.last().unwrap().0;
    assert!(last <= 11_000, "{last}");
    assert_eq!(story.forwarding.failed_checks(), failing(&[]));

    let mut story = Story::begin(Answer::Nothing);
    story.ports.insert(CHECK, Heard::Well);
    story.ranked(checked(&[CHECK], &["node-b"], 5));
    story.run_until(10_000);
    assert_eq!(story.since(VIP), Some(0));
    story.ports.insert(CHECK, Heard::Unwell);
    story.run_until(20_000);
    assert_eq!(story.withheld(), [VIP], "whatever forwards there, it says so");
}
