use std::sync::Arc;

use super::*;
use crate::ids::{ClusterName, Id};
use portolan_core::ids::Instance;

fn mark() -> Mark {
    Mark::of_targets(&ClusterName::parse("prod").unwrap(), &Instance::default())
}

fn balancers() -> Source {
    Source::Group(Id::parse("sg-shared").unwrap())
}

fn wants(tcp: &[u16]) -> Wants {
    if tcp.is_empty() { Wants::new() } else { [((Transport::Tcp, balancers()), tcp.iter().copied().collect())].into() }
}

fn ours(from: u16, to: u16) -> Rule {
    Rule { traffic: Traffic::Tcp(from, to), source: balancers(), description: Some(mark().as_str().to_owned()) }
}

fn by_hand(from: u16, to: u16) -> Rule {
    Rule { description: Some("by hand".to_owned()), ..ours(from, to) }
}

fn ports(rules: &[Rule]) -> Ports {
    rules.iter().filter_map(Range::of).map(|range| (range.from, range.to)).collect()
}

type Ports = Vec<(u16, u16)>;

/// What somebody who has not said what he needs may need of these rules.
fn kept(held: &Held, rules: &[Rule]) -> BTreeSet<Range> {
    super::held(held, &group(rules), &mark())
}

fn group(rules: &[Rule]) -> SecurityGroup {
    let (name, description) = Default::default();
    let id = Id::parse("sg-nodes").unwrap();
    SecurityGroup { id, name, description, vpc: None, rules: rules.to_vec(), tags: BTreeMap::new() }
}

fn held_ports(tcp: &[u16]) -> Held {
    let port = |number: &u16| Port { transport: Transport::Tcp, number: *number };
    Held { ports: tcp.iter().map(port).collect(), ..Held::default() }
}

fn nobody() -> BTreeSet<Range> {
    BTreeSet::new()
}

/// What is added and what is revoked, of sixty.
fn change(tcp: &[u16], rules: &[Rule]) -> (Ports, Ports) {
    change_beside(&Held::default(), tcp, rules)
}

fn change_beside(held: &Held, tcp: &[u16], rules: &[Rule]) -> (Ports, Ports) {
    let change = decide(&wants(tcp), &kept(held, rules), rules, &mark(), &PrefixLists::default(), 60).unwrap();
    assert!(change.add.iter().chain(&change.revoke).all(|rule| mark().is_on(rule)), "only with our mark: {change:?}");
    assert!(!change.revoke_first);
    (ports(&change.add), ports(&change.revoke))
}

#[test]
fn ports_that_follow_one_another_are_one_rule_and_others_are_not_opened_with_them() {
    let (add, revoke) = change(&[30000, 30001, 30002, 30004, 65535], &[]);
    assert_eq!((add, revoke), (vec![(30000, 30002), (30004, 30004), (65535, 65535)], vec![]));
}

#[test]
fn what_is_as_it_should_be_is_left_alone() {
    let nothing = (vec![], vec![]);
    assert_eq!(change(&[80, 81], &[ours(80, 81), by_hand(22, 22)]), nothing);
    assert_eq!(change(&[80], &[by_hand(80, 80)]), nothing, "AWS refuses the same rule a second time");
    assert_eq!(change(&[], &[by_hand(80, 80)]), nothing);
}

#[test]
fn what_nobody_needs_any_more_goes_if_it_carries_our_mark() {
    assert_eq!(change(&[80], &[ours(80, 80), ours(81, 81), by_hand(82, 82)]), (vec![], vec![(81, 81)]));
    assert_eq!(change(&[80], &[ours(80, 90)]), (vec![(80, 80)], vec![(80, 90)]), "a part of it");
}

#[test]
fn what_somebody_may_need_stays_open_where_it_is_and_nothing_else_does() {
    let nothing = (vec![], vec![]);
    let there = [ours(80, 81), ours(90, 90)];
    assert_eq!(change_beside(&held_ports(&[90, 95]), &[80, 81], &there), nothing, "95 is not open and is not opened");
    assert_eq!(change_beside(&held_ports(&[90]), &[], &there), (vec![], vec![(80, 81)]));
    assert_eq!(change_beside(&held_ports(&[81]), &[], &there), (vec![(81, 81)], vec![(80, 81), (90, 90)]), "a part");
    let everything = Held { everything: true, ..Held::default() };
    assert_eq!(change_beside(&everything, &[70], &there), (vec![(70, 70)], vec![]));
    let before = Arc::new(BTreeMap::from([(group(&[]).id, Arc::new(group(&[ours(80, 81)])))]));
    let before = Held { before: Some(before), ..Held::default() };
    assert_eq!(change_beside(&before, &[], &there), (vec![], vec![(90, 90)]), "opened since, and released");
    assert_eq!(change_beside(&before, &[], &[ours(81, 99)]), (vec![(81, 81)], vec![(81, 99)]), "what is left of it");
}

#[test]
fn however_often_something_changes_beside_one_who_is_stuck_there_are_never_more_rules_than_half_the_room() {
    for held in [held_ports(&[30500]), Held { everything: true, ..Held::default() }] {
        let mut rules: Vec<Rule> = vec![ours(30500, 30500)];
        for round in 0..200_u16 {
            let wanted: Vec<u16> = (0..40).map(|number| 30000 + round + 20 * number).collect();
            let change =
                decide(&wants(&wanted), &kept(&held, &rules), &rules, &mark(), &PrefixLists::default(), 60).unwrap();
            assert!(rules.len() + change.add.len() <= 60 && !change.revoke_first, "{round}");
            rules.extend(change.add);
            rules.retain(|rule| !change.revoke.contains(rule));
            assert!(rules.len() <= 30, "{round}: {}", rules.len());
            assert!(is_open(&wants(&wanted), &rules, &mark()) && is_open(&wants(&[30500]), &rules, &mark()));
        }
    }
}

#[test]
fn what_opens_nothing_more_stays_until_something_goes_anyway() {
    let there = [ours(80, 80), ours(82, 82)];
    assert_eq!(change(&[80, 81, 82], &there), (vec![(80, 82)], vec![]));
    let there = [ours(80, 80), ours(82, 82), ours(80, 82)];
    assert_eq!(change(&[80, 81, 82], &there), (vec![], vec![]));
    assert_eq!(change(&[80], &there), (vec![], vec![(80, 82), (82, 82)]));
}

#[test]
fn beyond_half_of_the_room_the_narrowest_gaps_are_opened_too() {
    let many: BTreeSet<u16> = (0..100).map(|number| 30000 + 10 * number).collect();
    let spread: Vec<u16> = many.iter().copied().chain([40, 42]).collect();
    let change = decide(&wants(&spread), &nobody(), &[], &mark(), &PrefixLists::default(), 60).unwrap();
    assert_eq!(change.add.len(), 30);
    assert_eq!(ports(&change.add)[0], (40, 42), "the narrowest of all");
    let is_open = |port: u16| ports(&change.add).iter().any(|(from, to)| (*from..=*to).contains(&port));
    assert!(spread.iter().all(|port| is_open(*port)));
    assert!(!is_open(43) && !is_open(29999), "the widest is not");
    let others: Vec<Rule> = (1..=40).map(|port| by_hand(port, port)).collect();
    assert_eq!(
        decide(&wants(&spread), &nobody(), &others, &mark(), &PrefixLists::default(), 60).unwrap().add.len(),
        10,
        "half of what others leave"
    );
}

#[test]
fn whatever_comes_and_goes_there_is_room_for_both_at_once() {
    let few: Vec<u16> = (0..200).map(|number| 1000 + 3 * number).collect();
    let before = decide(&wants(&few), &nobody(), &[], &mark(), &PrefixLists::default(), 60).unwrap().add;
    let many: Vec<u16> = (0..200).map(|number| 40000 + 7 * number).collect();
    let change = decide(&wants(&many), &nobody(), &before, &mark(), &PrefixLists::default(), 60).unwrap();
    assert!(before.len() + change.add.len() <= 60 && !change.revoke_first, "{} {}", before.len(), change.add.len());
    assert_eq!(change.revoke.len(), before.len());
    let others: Vec<Rule> = (1..=30).map(|port| by_hand(port, port)).collect();
    let change =
        decide(&wants(&many), &nobody(), &[before, others].concat(), &mark(), &PrefixLists::default(), 60).unwrap();
    assert!(change.revoke_first, "somebody has taken our room meanwhile");
}

#[test]
fn where_others_have_taken_all_the_room_it_is_said_before_aws_does() {
    let others: Vec<Rule> = (1..=60).map(|port| by_hand(port, port)).collect();
    assert_eq!(
        decide(&wants(&[80]), &nobody(), &others, &mark(), &PrefixLists::default(), 60),
        Err(NoRoom { needed: 1, room: 0 })
    );
    assert_eq!(decide(&wants(&[]), &nobody(), &others, &mark(), &PrefixLists::default(), 60), Ok(Change::default()));
    let of_v6: Vec<Rule> = (1..=60)
        .map(|port| Rule { source: Source::Ipv6("2001:db8::/32".parse().unwrap()), ..by_hand(port, port) })
        .collect();
    let network = Source::Ipv4("10.0.0.0/8".parse().unwrap());
    let wants = [((Transport::Udp, network), [53].into())].into();
    assert!(decide(&wants, &nobody(), &of_v6[..20], &mark(), &PrefixLists::default(), 60).is_ok());
}

#[test]
fn what_rules_of_ours_cover_is_open() {
    let is_open = |tcp: &[u16], rules: &[Rule]| is_open(&wants(tcp), rules, &mark());
    assert!(is_open(&[80, 85], &[ours(80, 82), ours(85, 85)]));
    assert!(!is_open(&[80, 83], &[ours(80, 82)]));
    assert!(!is_open(&[80], &[by_hand(80, 80)]), "somebody else's may go at any time");
    assert!(is_open(&[], &[]));
}
