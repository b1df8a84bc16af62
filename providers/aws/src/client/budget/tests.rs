use proptest::prelude::*;

use super::*;

const CLASS: Class = Class::Change;

fn at(millis: u64) -> Time {
    Time::default() + Duration::from_millis(millis)
}

fn budget(capacity: f64, rate: f64) -> Budget {
    let limits = Limits { change: Limit { capacity, rate }, ..Limits::default() };
    Budget::new(&limits, at(0))
}

/// Asks in a new place, and gives it up if it is not its turn.
fn try_once(budget: &mut Budget, class: Class, lane: Lane, now: Time) -> bool {
    let ticket = budget.queue(class, lane);
    let granted = budget.turn(class, ticket, now) == Turn::Now;
    budget.withdraw(class, ticket);
    granted
}

fn granted_at_once(budget: &mut Budget, class: Class, lane: Lane, now: Time) -> usize {
    std::iter::repeat_with(|| try_once(budget, class, lane, now)).take(1000).take_while(|granted| *granted).count()
}

#[test]
fn a_bucket_gives_what_it_holds_and_then_what_it_gets_back() {
    let mut budget = budget(20.0, 3.0);
    let taken = [0, 0, 1000, 100_000].map(|now| granted_at_once(&mut budget, CLASS, Lane::Endpoints, at(now)));
    assert_eq!(taken, [20, 0, 3, 20]);
}

#[test]
fn an_empty_bucket_of_one_class_leaves_the_others_alone() {
    let mut budget = budget(2.0, 1.0);
    assert_eq!(granted_at_once(&mut budget, CLASS, Lane::Endpoints, at(0)), 2);
    budget.throttled(CLASS, at(0));
    for class in Class::ALL.into_iter().filter(|class| *class != CLASS) {
        assert!(try_once(&mut budget, class, Lane::Audit, at(0)), "{class:?}");
        assert!(budget.rate(class, at(0)) > budget.rate(CLASS, at(0)), "{class:?}");
    }
}

#[test]
fn a_part_of_the_bucket_is_kept_for_the_lanes_before() {
    let mut budget = budget(16.0, 1.0);
    assert_eq!(granted_at_once(&mut budget, CLASS, Lane::Audit, at(0)), 8);
    assert_eq!(granted_at_once(&mut budget, CLASS, Lane::Service, at(0)), 6);
    assert_eq!(granted_at_once(&mut budget, CLASS, Lane::Endpoints, at(0)), 2);
}

#[test]
fn endpoints_overtake_whoever_waits_and_equals_keep_their_order() {
    let mut budget = budget(2.0, 1.0);
    assert_eq!(granted_at_once(&mut budget, CLASS, Lane::Endpoints, at(0)), 2);
    let lanes = [Lane::Audit, Lane::Service, Lane::Service, Lane::Endpoints, Lane::Endpoints];
    let waiting = lanes.map(|lane| budget.queue(CLASS, lane));
    let mut order = Vec::new();
    for now in (0..60_000).step_by(10).map(at) {
        for (who, ticket) in waiting.iter().enumerate() {
            if !order.contains(&who) && budget.turn(CLASS, *ticket, now) == Turn::Now {
                order.push(who);
            }
        }
    }
    assert_eq!(order, [3, 4, 1, 2, 0]);
}

#[test]
fn whoever_is_overtaken_has_a_turn_after_eight() {
    let mut budget = budget(2.0, 1.0);
    granted_at_once(&mut budget, CLASS, Lane::Endpoints, at(0));
    let patient = budget.queue(CLASS, Lane::Audit);
    let mut urgent = budget.queue(CLASS, Lane::Endpoints);
    let mut overtaken = 0;
    for now in (0..60_000).step_by(100).map(at) {
        if budget.turn(CLASS, urgent, now) == Turn::Now {
            overtaken += 1;
            urgent = budget.queue(CLASS, Lane::Endpoints);
        }
        if budget.turn(CLASS, patient, now) == Turn::Now {
            assert_eq!(overtaken, OVERTAKEN);
            return;
        }
    }
    panic!("the audit never had a turn");
}

#[test]
fn a_throttled_answer_empties_the_bucket_and_halves_the_rate_which_then_comes_back() {
    let mut budget = budget(60.0, 6.0);
    budget.throttled(CLASS, at(0));
    assert_eq!(granted_at_once(&mut budget, CLASS, Lane::Endpoints, at(0)), 0);
    assert!((budget.rate(CLASS, at(0)) - 3.0).abs() < 1e-9);
    // Those that were under way together say nothing new.
    budget.throttled(CLASS, at(500));
    assert!((budget.rate(CLASS, at(500)) - 3.0).abs() < 1e-9);
    budget.throttled(CLASS, at(2_000));
    assert!((budget.rate(CLASS, at(2_000)) - 1.5).abs() < 1e-9);
    assert!((budget.rate(CLASS, at(7_000)) - 1.5).abs() < 1e-9, "it is held for a while");
    assert!((budget.rate(CLASS, at(17_000)) - 2.5).abs() < 1e-9, "a sixtieth of the limit a second");
    assert!((budget.rate(CLASS, at(100_000)) - 6.0).abs() < 1e-9);
    for again in 0..20 {
        budget.throttled(CLASS, at(200_000 + again * 2_000));
    }
    assert!((budget.rate(CLASS, at(239_000)) - 6.0 * FLOOR).abs() < 1e-9, "never nothing at all");
}

#[derive(Clone, Debug)]
enum Event {
    Pass(u64),
    Ask(Lane),
    GiveUp(usize),
    Throttled,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let lane = prop_oneof![Just(Lane::Endpoints), Just(Lane::Service), Just(Lane::Audit)];
    let event = prop_oneof![
        4 => (0_u64..3_000).prop_map(Event::Pass),
        6 => lane.prop_map(Event::Ask),
        1 => (0_usize..8).prop_map(Event::GiveUp),
        1 => Just(Event::Throttled),
    ];
    proptest::collection::vec(event, 1..200)
}

proptest! {
    /// Whatever happens, AWS sees in no stretch of time more than a full bucket and what it gets back in that time; nobody is granted twice;
    /// and everybody who stays is granted in the end.
    #[test]
    fn the_budget_is_never_exceeded_and_nobody_waits_for_ever(events in events(), capacity in 2_u32..30, rate in 1_u32..10) {
        let (capacity, rate) = (f64::from(capacity), f64::from(rate));
        let mut budget = budget(capacity, rate);
        let (mut now, mut waiting, mut granted) = (0_u64, Vec::new(), Vec::new());
        let mut serve = |budget: &mut Budget, waiting: &mut Vec<Ticket>, now: u64| {
            loop {
                let turn = waiting.iter().position(|ticket| budget.turn(CLASS, *ticket, at(now)) == Turn::Now);
                let Some(turn) = turn else { break };
                waiting.remove(turn);
                granted.push(now);
            }
        };
        for event in events {
            match event {
                Event::Pass(millis) => now += millis,
                Event::Ask(lane) => waiting.push(budget.queue(CLASS, lane)),
                Event::GiveUp(which) if which < waiting.len() => {
                    let ticket = waiting.remove(which);
                    budget.withdraw(CLASS, ticket);
                }
                Event::GiveUp(_) => {}
                Event::Throttled => budget.throttled(CLASS, at(now)),
            }
            serve(&mut budget, &mut waiting, now);
        }
        // Each is asked again exactly when it was told to ask.
        for _ in 0..100_000 {
            let Some(next) = waiting.iter().map(|ticket| match budget.turn(CLASS, *ticket, at(now)) {
                Turn::Now => unreachable!("all turns were given"),
                Turn::Later(wait) => wait,
            }).min() else { break };
            prop_assert!(next >= SHORTEST && next <= LONGEST);
            now += u64::try_from(next.as_millis()).unwrap().max(1);
            serve(&mut budget, &mut waiting, now);
        }
        prop_assert!(waiting.is_empty(), "{} wait for ever", waiting.len());
        for (first, start) in granted.iter().enumerate() {
            for (count, end) in (1_u32..).zip(&granted[first..]) {
                let most = capacity + rate * (end - start) as f64 / 1000.0 + 1e-6;
                prop_assert!(f64::from(count) <= most, "{count} in {} ms", end - start);
            }
        }
    }
}

mod gate {
    use std::sync::Arc;

    use super::*;
    use crate::client::budget::gate::Gate;
    use crate::clock::{Clock, SystemClock};

    fn gate(capacity: f64, rate: f64) -> (Gate, Arc<dyn Clock>) {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::start());
        let limits = Limits { change: Limit { capacity, rate }, ..Limits::default() };
        (Gate::new(&limits, Arc::clone(&clock)), clock)
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_of_endpoints_that_comes_last_passes_first() {
        let (gate, clock) = gate(2.0, 1.0);
        gate.pass(CLASS, Lane::Endpoints).await;
        gate.pass(CLASS, Lane::Endpoints).await;
        let order = std::sync::Mutex::new(Vec::new());
        let pass = |lane, after| {
            let (gate, clock, order) = (&gate, &clock, &order);
            async move {
                clock.sleep(Duration::from_millis(after)).await;
                gate.pass(CLASS, lane).await;
                order.lock().unwrap().push((lane, clock.now().as_nanos() / 100_000_000));
            }
        };
        futures::join!(pass(Lane::Service, 0), pass(Lane::Service, 0), pass(Lane::Endpoints, 500));
        let order = order.into_inner().unwrap();
        assert_eq!(
            order.iter().map(|(lane, _)| *lane).collect::<Vec<_>>(),
            [Lane::Endpoints, Lane::Service, Lane::Service]
        );
        assert!(order[0].1 <= 11, "as soon as there is a token: {order:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_gives_up_leaves_the_place_to_the_next() {
        let (gate, clock) = gate(2.0, 1.0);
        gate.pass(CLASS, Lane::Endpoints).await;
        gate.pass(CLASS, Lane::Endpoints).await;
        let given_up = tokio::time::timeout(Duration::from_millis(100), gate.pass(CLASS, Lane::Endpoints));
        let (given_up, ()) = futures::join!(given_up, gate.pass(CLASS, Lane::Endpoints));
        assert!(given_up.is_err());
        assert!(clock.now() <= Time::default() + Duration::from_millis(2_000), "{:?}", clock.now());
    }
}
