//! What the status says, and what the record learns.

use super::*;

#[test]
fn conditions_follow_readiness_and_targets() {
    let scene = Scene::new(&json!({"readyAfter": "2s", "publish": "ip", "ipMode": "Proxy"}));
    let mut lb = LoadBalancer { listeners: vec![listener(80, &[])], ..desired("lb") };
    let outcome = scene.mock.outcome(Some(&lb), &State::Absent);
    assert_eq!(outcome.assigned.reason, Reason::AddressPending);

    let outcome = scene.settle(&mut lb).outcome;
    assert_eq!(outcome.assigned, Verdict::yes(Reason::Assigned, "203.0.113.1"));
    assert_eq!((outcome.programmed.status, outcome.programmed.reason), (ConditionStatus::False, Reason::Provisioning));
    assert_eq!(outcome.reachable.as_ref().unwrap().status, ConditionStatus::Unknown);
    assert_eq!(outcome.published, []);
    assert_eq!(outcome.wait.unwrap().at_most, Duration::from_secs(2));

    scene.clock.advance(Duration::from_secs(2));
    let outcome = scene.settle(&mut lb).outcome;
    assert_eq!(outcome.published, [Published::Ip { ip: "203.0.113.1".parse().unwrap(), mode: IpMode::Proxy }]);
    assert_eq!(outcome.programmed.reason, Reason::Programmed);
    assert_eq!(
        (outcome.reachable.as_ref().unwrap().status, outcome.reachable.as_ref().unwrap().reason),
        (ConditionStatus::False, Reason::NoEndpoints)
    );
    assert_eq!(outcome.wait, None);

    let nobody = Listener { has_endpoints: false, ..listener(80, &["a"]) };
    lb.listeners = vec![nobody];
    assert_eq!(
        scene.settle(&mut lb).outcome.reachable.as_ref().unwrap().reason,
        Reason::NoEndpoints,
        "nodes that are targets do not answer"
    );
    lb.listeners = vec![listener(80, &["a"]), listener(81, &[])];
    assert_eq!(scene.settle(&mut lb).outcome.reachable.as_ref().unwrap().reason, Reason::Reachable);
    scene.arm("sick", "observe", "unhealthy");
    assert_eq!(scene.settle(&mut lb).outcome.reachable.as_ref().unwrap().reason, Reason::Unhealthy);
    faults::end(&scene.store, "sick").unwrap();
    assert_eq!(scene.settle(&mut lb).outcome.reachable.as_ref().unwrap().reason, Reason::Reachable);
}

#[test]
fn a_hostname_is_published_where_the_class_says_so_and_each_generation_has_its_own() {
    let scene = Scene::new(&json!({"publish": "hostname"}));
    let (mut a, mut b) = (desired("0b8a3c1e-1"), desired("0b8a3c1e-2"));
    scene.settle(&mut a);
    scene.settle(&mut b);
    let name = ips(&a.published).concat();
    assert!(name.starts_with("0b8a3c1e1-") || name.starts_with("0b8a3c1e-"), "{name}");
    assert!(name.ends_with(".mock.portolan.dev"));
    assert_ne!(a.published, b.published);
    a.scheme = Some(Scheme::Internal);
    scene.settle(&mut a);
    assert_ne!(ips(&a.published).concat(), name);
}

#[test]
fn identifiers_are_taught_by_every_step_where_the_class_says_so() {
    let scene = Scene::new(&json!({"teachesIdentifiers": true}));
    let create = Step::CreateBalancer { generation: 1, scheme: Scheme::Public };
    for step in [create, Step::SetNodes { nodes: Vec::new() }] {
        assert_eq!(scene.apply("lb", &step).unwrap().learned["arn"], "mock::loadbalancer/lb");
    }
    let scene = Scene::new(&json!({}));
    assert!(
        scene.apply("lb", &Step::CreateBalancer { generation: 1, scheme: Scheme::Public }).unwrap().learned.is_empty()
    );
}

#[test]
fn pods_of_what_serves_are_healthy_unless_the_mock_is_told_otherwise_and_nodes_are_no_pods() {
    let scene = Scene::new(&json!({"readyAfter": "2s"}));
    let endpoints = vec!["10.0.0.1:8080".parse::<SocketAddr>().unwrap().into()];
    let to_pods = Listener { targets: Targets::Pods { endpoints, local_nodes: None }, ..listener(80, &[]) };
    let mut lb = LoadBalancer { listeners: vec![to_pods.clone(), listener(81, &["a"])], ..desired("lb") };
    assert_eq!(scene.settle(&mut lb).outcome.healthy, [].into(), "it does not serve yet");
    scene.clock.advance(Duration::from_secs(2));
    let healthy = [(to_pods.service.clone(), to_pods.key, "10.0.0.1:8080".parse().unwrap())].into();
    assert_eq!(scene.settle(&mut lb).outcome.healthy, healthy);
    scene.arm("sick", "observe", "unhealthy");
    assert_eq!(scene.settle(&mut lb).outcome.healthy, [].into());
}
