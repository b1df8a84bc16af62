use super::*;

const CHECK: Check = (Family::V4, 32_000);

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn at(millis: u64) -> Time {
    Time::from_nanos(millis * 1_000_000)
}

fn health_checks(of: &[(&str, &[u16], bool)]) -> BTreeMap<IpAddr, HealthChecks> {
    let checks = |ports: &[u16], is_ranked| HealthChecks { ports: ports.iter().copied().collect(), is_ranked };
    of.iter().map(|(address, ports, is_ranked)| (ip(address), checks(ports, *is_ranked))).collect()
}

const VIP: &str = "198.51.100.10";

fn following(of: &[(&str, &[u16], bool)]) -> Checks {
    let mut checks = Checks::default();
    checks.follow(&health_checks(of));
    checks
}

/// Asks whatever is due until then, and answers so; what was asked when.
fn run(checks: &mut Checks, until: u64, heard: Heard) -> Vec<(u64, Check)> {
    let mut asked = Vec::new();
    while let Some(due) = checks.next_question().filter(|due| *due <= at(until)) {
        let check = checks.take_due(due).expect("one is due");
        asked.push((due.as_nanos() / 1_000_000, check));
        checks.answered(check, heard);
    }
    asked
}

#[test]
fn each_port_is_asked_once_a_second_and_all_together_fifty_times() {
    let mut checks = following(&[(VIP, &[1, 2], true), ("2001:db8::1", &[1], true)]);
    let asked = run(&mut checks, 2_000, Heard::Well);
    let [one, two, six] = [(Family::V4, 1), (Family::V4, 2), (Family::V6, 1)];
    let all = [(0, one), (20, two), (40, six), (1_000, one), (1_020, two), (1_040, six), (2_000, one)];
    assert_eq!(asked, all, "the same number of the other family is another port");

    let many: Vec<u16> = (1..=200).collect();
    let mut checks = following(&[(VIP, &many, true)]);
    let asked = run(&mut checks, 10_000, Heard::Well);
    assert_eq!(asked.len(), 501);
    let each: BTreeMap<Check, usize> = asked.iter().fold(BTreeMap::new(), |mut each, (_, check)| {
        *each.entry(*check).or_default() += 1;
        each
    });
    assert_eq!((each.len(), each.values().min(), each.values().max()), (200, Some(&2), Some(&3)), "in turn");
}

#[test]
fn what_is_new_and_what_was_not_well_comes_before_the_turn_of_many() {
    let many: Vec<u16> = (1..=200).collect();
    let mut checks = following(&[(VIP, &many, true)]);
    run(&mut checks, 10_000, Heard::Well);
    checks.follow(&health_checks(&[(VIP, &many, true), ("198.51.100.11", &[CHECK.1], true)]));
    assert_eq!(checks.take_due(at(10_020)), Some(CHECK));
    checks.answered(CHECK, Heard::Unwell);
    let asked = run(&mut checks, 11_020, Heard::Well);
    assert_eq!(asked.last(), Some(&(11_020, CHECK)));
}

#[test]
fn so_many_questions_wait_for_answers_at_most() {
    let many: Vec<u16> = (1..=50).collect();
    let mut checks = following(&[(VIP, &many, true)]);
    let asked =
        |checks: &mut Checks| (0..2_000).step_by(20).filter_map(|now| checks.take_due(at(now))).collect::<Vec<_>>();
    let under_way = asked(&mut checks);
    assert_eq!((under_way.len(), checks.next_question()), (AT_ONCE, None));
    checks.answered(under_way[0], Heard::Nothing);
    assert_eq!(asked(&mut checks).len(), 1);
}

#[test]
fn how_often_a_port_fails_before_it_counts_depends_on_whether_it_was_well_since_it_is_open_and_closed_ones_do_not() {
    let (well, unwell, nothing) = (Heard::Well, Heard::Unwell, Heard::Nothing);
    for (heard, is_well, fails) in [
        (vec![], false, false),
        (vec![well], true, false),
        (vec![nothing; 9], true, false),
        (vec![well, unwell], false, false),
        (vec![well, unwell, unwell], false, true),
        (vec![well, nothing, nothing], true, false),
        (vec![well, unwell, nothing, unwell, unwell], false, false),
        (vec![well, unwell, unwell, nothing], true, false),
        (vec![well, unwell, well, unwell], false, false),
        (vec![unwell; 3], false, false),
        (vec![unwell; 4], false, true),
        (vec![nothing, nothing, unwell, unwell, unwell], false, false),
        (vec![unwell, unwell, unwell, unwell, well], true, false),
    ] {
        let mut checks = following(&[(VIP, &[CHECK.1], true)]);
        let changes = heard.iter().map(|heard| {
            let before = (checks.are_well(ip(VIP)), checks.fail(ip(VIP)));
            let told = checks.answered(CHECK, *heard);
            told == (before != (checks.are_well(ip(VIP)), checks.fail(ip(VIP))))
        });
        assert!(changes.collect::<Vec<_>>().into_iter().all(|told| told), "{heard:?}: what changes is told");
        assert_eq!((checks.are_well(ip(VIP)), checks.fail(ip(VIP))), (is_well, fails), "{heard:?}");
        let failed = BTreeMap::from([(CHECK.1, BTreeSet::from([ip(VIP)]))]);
        assert_eq!(checks.failed(), if fails { failed } else { BTreeMap::new() });
    }
    let none = Checks::default();
    assert!(none.are_well(ip(VIP)) && !none.fail(ip(VIP)), "an address without ports");
}

#[test]
fn of_what_no_longer_ranks_the_node_only_what_fails_is_asked_until_it_does_not() {
    let mut checks = following(&[(VIP, &[CHECK.1], true)]);
    run(&mut checks, 1_000, Heard::Well);
    checks.follow(&health_checks(&[(VIP, &[CHECK.1], false)]));
    assert_eq!(checks.next_question(), None);

    let mut checks = following(&[(VIP, &[CHECK.1], true)]);
    run(&mut checks, 10_000, Heard::Unwell);
    checks.follow(&health_checks(&[(VIP, &[CHECK.1], false)]));
    run(&mut checks, 20_000, Heard::Unwell);
    assert!(checks.fail(ip(VIP)));
    run(&mut checks, 21_000, Heard::Well);
    assert!(!checks.fail(ip(VIP)));
    checks.follow(&health_checks(&[(VIP, &[CHECK.1], false)]));
    assert_eq!(checks.next_question(), None);
    checks.follow(&health_checks(&[]));
    assert_eq!((checks.failed(), checks.next_question()), (BTreeMap::new(), None));
}

#[test]
fn an_answer_for_a_port_that_is_gone_is_nothing_and_one_that_comes_back_meanwhile_is_asked_again() {
    let mut checks = following(&[(VIP, &[CHECK.1], true)]);
    assert_eq!(checks.take_due(at(0)), Some(CHECK));
    checks.follow(&health_checks(&[]));
    checks.follow(&health_checks(&[(VIP, &[CHECK.1], true)]));
    assert_eq!(checks.next_question(), None, "it is being asked");
    checks.answered(CHECK, Heard::Unwell);
    assert_eq!(checks.next_question(), Some(at(1_000)));
    assert_eq!(checks.take_due(at(1_000)), Some(CHECK));
    checks.follow(&health_checks(&[]));
    assert!(!checks.answered(CHECK, Heard::Well));
    assert_eq!(checks.next_question(), None);
}
