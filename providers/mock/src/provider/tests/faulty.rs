//! Scripted trouble.

use super::*;

#[test]
fn a_fault_fails_the_calls_that_it_names_in_the_way_that_it_names() {
    let create = Step::CreateBalancer { generation: 1, scheme: Scheme::Public };
    let cases = [
        ("terminal", ErrorKind::Terminal, Reason::ProviderRefused, false),
        ("retry", ErrorKind::Retry, Reason::ProviderFailed, false),
        ("wait", ErrorKind::Wait(WAIT), Reason::Provisioning, false),
        ("fail-after-effect", ErrorKind::Retry, Reason::ProviderFailed, true),
    ];
    for (effect, kind, reason, acted) in cases {
        let scene = Scene::new(&json!({}));
        scene.arm("f", "CreateBalancer", effect);
        let error = scene.apply("lb", &create).unwrap_err();
        assert_eq!((error.kind, error.reason), (kind, reason), "{effect}");
        assert_eq!(scene.observe("lb").unwrap() != State::Absent, acted, "{effect}");
        faults::end(&scene.store, "f").unwrap();
        assert!(scene.apply("lb", &create).is_ok(), "{effect}");
    }
}

#[test]
fn a_fault_acts_so_many_times_or_at_one_call_and_counts_over_restarts() {
    let scene = Scene::new(&json!({}));
    let twice = Fault { on: "any".parse().unwrap(), id: None, times: Some(2), at_call: None, effect: Effect::Retry };
    faults::add(&scene.store, "twice", &twice).unwrap();
    assert!(scene.observe("a").is_err());
    assert!(scene.restarted().observe("b").is_err());
    assert!(scene.observe("a").is_ok());
    faults::end(&scene.store, "twice").unwrap();

    let third = Fault { at_call: Some(3), times: None, ..twice };
    faults::add(&scene.store, "third", &third).unwrap();
    let create = Step::CreateBalancer { generation: 1, scheme: Scheme::Public };
    assert!(scene.observe("a").is_ok());
    assert!(scene.apply("a", &create).is_ok());
    assert!(scene.restarted().apply("a", &Step::SetNodes { nodes: Vec::new() }).is_err());
    assert!(scene.observe("a").is_ok());
    let armed = faults::list(&scene.store).unwrap().remove(0).unwrap();
    assert_eq!(armed.met, 4, "it goes on counting, so that a test learns how many calls there are");

    let mine = Fault { at_call: None, id: Some(LoadBalancerId::new("a")), on: "observe".parse().unwrap(), ..third };
    faults::add(&scene.store, "mine", &mine).unwrap();
    let ids = ["a", "b"].map(|id| Known::nothing_of(LoadBalancerId::new(id)));
    let states = scene.mock.observe_many(&ids).now_or_never().unwrap();
    assert!(states[0].is_err() && states[1].is_ok());
}

#[test]
fn a_fault_that_would_never_act_is_refused() {
    let scene = Scene::new(&json!({}));
    let fault =
        Fault { on: "observe".parse().unwrap(), id: None, times: None, at_call: None, effect: Effect::Unhealthy };
    for pointless in [
        Fault { on: "SetNodes".parse().unwrap(), ..fault.clone() },
        Fault { times: Some(0), ..fault.clone() },
        Fault { at_call: Some(0), ..fault.clone() },
        Fault { at_call: Some(1), times: Some(1), ..fault.clone() },
    ] {
        assert!(
            matches!(faults::add(&scene.store, "f", &pointless), Err(faults::FaultError::Pointless(_))),
            "{pointless:?}"
        );
    }
    faults::add(&scene.store, "f", &fault).unwrap();
    assert!(matches!(faults::add(&scene.store, "f", &fault), Err(faults::FaultError::Armed(_))));
    faults::end(&scene.store, "f").unwrap();
    assert!(matches!(faults::end(&scene.store, "f"), Err(faults::FaultError::NotArmed(_))));
    assert!("CreateBalancers".parse::<faults::On>().unwrap_err().contains("CreateBalancer, SetMembers"));
}

#[test]
fn hanging_and_delaying_calls_take_as_long_as_they_are_told() {
    let scene = Scene::new(&json!({}));
    let ids = [Known::nothing_of(LoadBalancerId::new("a"))];
    scene.arm("slow", "observe", "delay=3s");
    let before = scene.clock.now();
    assert!(scene.mock.observe_many(&ids).now_or_never().unwrap()[0].is_ok());
    assert_eq!(before.until(scene.clock.now()), Some(Duration::from_secs(3)));
    scene.arm("never", "observe", "hang");
    assert!(scene.mock.observe_many(&ids).now_or_never().is_none());
}

#[test]
fn a_held_load_balancer_stays_provisioning_until_it_is_released_or_the_fault_ends() {
    for by_ending in [false, true] {
        let scene = Scene::new(&json!({}));
        let mut changes = Box::pin(scene.mock.changes());
        scene.arm("slow", "any", "hold");
        let mut lb = desired("lb");
        let outcome = scene.settle(&mut lb).outcome;
        assert_eq!((outcome.programmed.reason, outcome.published), (Reason::Provisioning, vec![]));
        scene.clock.advance(Duration::from_secs(3600));
        assert!(outcome.wait.is_some() && scene.settle(&mut lb).outcome.published.is_empty());

        if by_ending {
            faults::end(&scene.store, "slow").unwrap();
        } else {
            assert_eq!(faults::release(&scene.store, None).unwrap(), [lb.id.clone()]);
            assert_eq!(faults::release(&scene.store, Some(&lb.id)).unwrap(), []);
        }
        assert_eq!(changes.next().now_or_never(), Some(Some(lb.id.clone())), "the key is woken");
        lb.nodes.clear();
        assert_eq!(scene.settle(&mut lb).outcome.programmed.reason, Reason::Programmed);
    }
}

#[test]
fn the_end_of_a_fault_wakes_whom_it_has_met_and_the_change_of_health_wakes_all() {
    let scene = Scene::new(&json!({}));
    scene.settle(&mut desired("a"));
    scene.settle(&mut desired("b"));
    let mut changes = Box::pin(scene.mock.changes());
    scene.arm("stuck", "CreateBalancer", "terminal");
    assert!(scene.settle(&mut desired("new")).error.is_some());
    faults::end(&scene.store, "stuck").unwrap();
    assert_eq!(changes.next().now_or_never(), Some(Some(LoadBalancerId::new("new"))));
    scene.arm("sick", "observe", "unhealthy");
    let woken: Vec<_> = (0..2).map(|_| changes.next().now_or_never().unwrap().unwrap()).collect();
    assert_eq!(woken, [LoadBalancerId::new("a"), LoadBalancerId::new("b")]);
}

#[test]
fn a_dry_run_shows_what_faults_show_and_neither_counts_nor_meets_them() {
    let folder = Folder::new("dry");
    let scene = folder.scene();
    let mut lb = desired("lb");
    scene.settle(&mut lb);
    let once =
        Fault { on: "observe".parse().unwrap(), id: None, times: Some(1), at_call: None, effect: Effect::Unhealthy };
    faults::add(&scene.store, "sick", &once).unwrap();
    faults::add(&scene.store, "fails", &Fault { effect: Effect::Retry, ..once }).unwrap();
    std::fs::remove_file(folder.0.join("lock")).unwrap();
    let clock = Arc::new(scene.clock.clone());
    let dry = Mock::dry(Parameters::default(), scene.store.clone(), Instance::default(), clock);
    for _ in 0..3 {
        let seen = dry.observe_many(&[Known::nothing_of(lb.id.clone())]).now_or_never().unwrap().remove(0);
        assert!(matches!(seen, Ok(State::Ours(Balancer { unhealthy: true, .. }))), "{seen:?}");
    }
    assert!(!folder.0.join("lock").exists(), "it does not even lock");
    assert!(faults::list(&scene.store).unwrap().into_iter().all(|fault| fault.unwrap().met == 0));
    assert!(scene.observe("lb").is_err(), "the fault was kept for the controller");
}
