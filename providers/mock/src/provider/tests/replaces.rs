//! One generation after another.

use super::*;

#[test]
fn a_replace_makes_the_new_before_it_breaks_the_old() {
    let scene = Scene::new(&json!({"readyAfter": "5s", "drainFor": "7s"}));
    let mut lb = desired("lb");
    scene.settle(&mut lb);
    scene.clock.advance(Duration::from_secs(5));
    scene.settle(&mut lb);
    assert_eq!(ips(&lb.published), ["203.0.113.1"]);

    lb.scheme = Some(Scheme::Internal);
    let pass = scene.pass("lb", Some(&lb));
    assert_eq!(
        pass.steps,
        [
            "create internal load balancer, generation 2",
            "assign a free IPv4 address to generation 2",
            "put listener 80/TCP on generation 2, to node port 30080 of a",
        ]
    );
    assert_eq!(ips(&pass.outcome.published), ["203.0.113.1"], "until the successor takes traffic");
    assert_eq!(pass.outcome.wait.unwrap().at_most, Duration::from_secs(5));

    lb.listeners = vec![listener(80, &["b"])];
    let pass = scene.pass("lb", Some(&lb));
    assert_eq!(
        pass.steps,
        [
            "put listener 80/TCP on generation 1, to node port 30080 of b",
            "put listener 80/TCP on generation 2, to node port 30080 of b"
        ],
        "who still serves follows the endpoints"
    );

    let wiped = LoadBalancer { published: Vec::new(), ..lb.clone() };
    assert_eq!(scene.pass("lb", Some(&wiped)).steps, Vec::<String>::new(), "a status wiped by hand gives nothing away");

    scene.clock.advance(Duration::from_secs(5));
    let pass = scene.pass("lb", Some(&lb));
    assert_eq!(pass.steps, Vec::<String>::new(), "until clients are told");
    assert_eq!(ips(&pass.outcome.published), ["10.255.0.1"]);
    let old = std::mem::replace(&mut lb.published, pass.outcome.published);
    let both = LoadBalancer { published: [old, lb.published.clone()].concat(), ..lb.clone() };
    assert_eq!(
        scene.pass("lb", Some(&both)).steps,
        Vec::<String>::new(),
        "while some clients are still told of the old one"
    );

    let pass = scene.pass("lb", Some(&lb));
    assert_eq!(pass.steps, ["drain generation 1"]);
    assert_eq!(pass.outcome.wait.unwrap().at_most, Duration::from_secs(7));
    assert_eq!(scene.pass("lb", Some(&lb)).steps, Vec::<String>::new());
    scene.clock.advance(Duration::from_secs(7));
    let pass = scene.pass("lb", Some(&lb));
    assert_eq!(pass.steps, ["release address 203.0.113.1 of generation 1", "delete generation 1"]);
    assert_eq!(pass.outcome.wait, None);
}

/// A load balancer of which somebody wanted another scheme, and has taken that back before the successor was ready.
fn replace_taken_back() -> (Scene, LoadBalancer) {
    let scene = Scene::new(&json!({"readyAfter": "5s"}));
    let mut lb = desired("lb");
    scene.settle(&mut lb);
    scene.clock.advance(Duration::from_secs(5));
    scene.settle(&mut lb);
    lb.scheme = Some(Scheme::Internal);
    scene.settle(&mut lb);
    lb.scheme = None;
    (scene, lb)
}

#[test]
fn a_replace_taken_back_before_it_is_published_leaves_the_old_one_alone() {
    let (scene, lb) = replace_taken_back();
    assert_eq!(
        scene.pass("lb", Some(&lb)).steps,
        ["drain generation 2", "release address 10.255.0.1 of generation 2", "delete generation 2"]
    );
    assert_eq!(scene.pass("lb", Some(&lb)).outcome.published, lb.published);
}

#[test]
fn another_requested_address_is_a_replace_and_one_that_cannot_be_had_changes_nothing() {
    let scene = Scene::new(&json!({}));
    let mut other = desired("other");
    scene.settle(&mut other);
    let mut lb = LoadBalancer { families: vec![Family::V4, Family::V6], ..desired("lb") };
    scene.settle(&mut lb);
    assert_eq!(ips(&lb.published), ["203.0.113.2", "2001:db8:113::1"]);
    lb.requested = vec!["203.0.113.1".parse().unwrap()];
    let pass = scene.settle(&mut lb);
    assert_eq!(pass.error.unwrap().reason, Reason::RequestedAddressUnavailable);
    assert_eq!(ips(&pass.outcome.published), ["203.0.113.2", "2001:db8:113::1"]);
    lb.requested = vec!["203.0.113.50".parse().unwrap()];
    for _ in 0..5 {
        lb.published = scene.pass("lb", Some(&lb)).outcome.published;
        assert!(
            scene.store.exists("addresses/2001:db8:113::1").unwrap(),
            "an address that both generations have stays claimed"
        );
    }
    assert_eq!(scene.settle(&mut lb).error, None);
    assert_eq!(ips(&lb.published), ["203.0.113.50", "2001:db8:113::1"], "the other family's address stays");
    let picture = picture(&scene.store, scene.clock.now()).unwrap();
    assert_eq!(picture.balancers[&lb.id].generations.len(), 1);
    assert_eq!(picture.addresses.len(), 3);
}

#[test]
fn a_successor_given_up_before_it_was_published_follows_no_endpoints() {
    let (scene, mut lb) = replace_taken_back();
    lb.listeners = vec![listener(80, &["b"])];
    assert_eq!(
        scene.pass("lb", Some(&lb)).steps,
        [
            "put listener 80/TCP on generation 1, to node port 30080 of b",
            "drain generation 2",
            "release address 10.255.0.1 of generation 2",
            "delete generation 2"
        ]
    );
}

#[test]
fn a_listener_that_goes_serves_until_the_next_one_does_unless_the_class_cannot_have_both() {
    for (mixed, steps) in [
        (
            true,
            ["put listener 53/UDP on generation 1, to node port 30080 of a", "delete listener 80/TCP of generation 1"],
        ),
        (
            false,
            ["delete listener 80/TCP of generation 1", "put listener 53/UDP on generation 1, to node port 30080 of a"],
        ),
    ] {
        let scene = Scene::new(&json!({"capabilities": {"mixedProtocols": mixed}}));
        let mut lb = desired("lb");
        scene.settle(&mut lb);
        lb.listeners = vec![Listener { key: PortKey { port: 53, protocol: Protocol::Udp }, ..listener(53, &["a"]) }];
        assert_eq!(scene.pass("lb", Some(&lb)).steps, steps);
        lb.listeners[0].key.port = 54;
        let replaced =
            ["put listener 54/UDP on generation 1, to node port 30080 of a", "delete listener 53/UDP of generation 1"];
        assert_eq!(scene.pass("lb", Some(&lb)).steps, replaced, "of one protocol");
    }
}

#[test]
fn a_status_that_somebody_emptied_gets_back_what_is_of_the_scheme_that_is_asked_for() {
    let scene = Scene::new(&json!({}));
    let mut lb = desired("lb");
    assert_eq!(ips(&scene.settle(&mut lb).outcome.published), ["203.0.113.1"]);
    // So that the public one is not seen off.
    scene.arm("sick", "PutListener", "terminal");
    lb.scheme = Some(Scheme::Internal);
    scene.settle(&mut lb);
    assert_eq!(ips(&lb.published), ["10.255.0.1"]);
    lb.requested = vec!["192.0.2.1".parse().unwrap()];
    scene.settle(&mut lb);
    assert_eq!(ips(&lb.published), ["10.255.0.1"], "what is asked for cannot be had");
    lb.published.clear();
    assert_eq!(ips(&scene.settle(&mut lb).outcome.published), ["10.255.0.1"]);
}
