//! Which address a load balancer gets, keeps and gives back.

use super::*;

/// A clock whose sleeps block their thread: for tests with several threads and no runtime.
struct BlockingClock;

impl Clock for BlockingClock {
    fn now(&self) -> crate::clock::Millis {
        crate::clock::Millis::default()
    }

    fn sleep(&self, duration: Duration) -> futures::future::BoxFuture<'static, ()> {
        async move { std::thread::sleep(duration) }.boxed()
    }
}

#[test]
fn the_lowest_free_address_of_the_scheme_is_given() {
    let scene = Scene::new(&json!({}));
    let mut given = Vec::new();
    for (id, scheme) in
        [("a", None), ("b", Some(Scheme::Internal)), ("c", Some(Scheme::Public)), ("d", Some(Scheme::Internal))]
    {
        let mut lb = LoadBalancer { families: vec![Family::V6, Family::V4], scheme, ..desired(id) };
        scene.settle(&mut lb);
        given.push(ips(&lb.published).join(" "));
    }
    assert_eq!(
        given,
        [
            "2001:db8:113::1 203.0.113.1",
            "2001:db8:255::1 10.255.0.1",
            "2001:db8:113::2 203.0.113.2",
            "2001:db8:255::2 10.255.0.2",
        ]
    );
    scene.delete("a");
    let mut again = desired("e");
    scene.settle(&mut again);
    assert_eq!(ips(&again.published), ["203.0.113.1"], "a freed address is the lowest again");
}

#[test]
fn the_next_range_gives_when_the_first_is_empty_and_exhaustion_heals() {
    let scene = Scene::new(&json!({"ranges": {"public": ["192.0.2.0/30", "192.0.2.8/31"]}}));
    let mut given = Vec::new();
    for id in ["a", "b", "c", "d"] {
        let mut lb = desired(id);
        scene.settle(&mut lb);
        given.extend(ips(&lb.published));
    }
    assert_eq!(given, ["192.0.2.1", "192.0.2.2", "192.0.2.8", "192.0.2.9"]);

    let mut late = desired("e");
    let error = scene.settle(&mut late).error.unwrap();
    assert_eq!((error.kind, error.reason), (ErrorKind::Retry, Reason::PoolExhausted));
    assert_eq!(late.published, []);
    // Another process gives one back: this one's idea of what is free is old.
    scene.restarted().delete("b");
    assert_eq!(scene.settle(&mut late).error, None);
    assert_eq!(ips(&late.published), ["192.0.2.2"]);
}

#[test]
fn an_address_once_given_is_kept_through_every_other_edit() {
    let scene = Scene::new(&json!({}));
    let (mut first, mut lb) = (desired("first"), desired("lb"));
    scene.settle(&mut first);
    scene.settle(&mut lb);
    scene.delete("first");
    let edits: [fn(&mut LoadBalancer); 7] = [
        |lb| lb.listeners = vec![listener(443, &[])],
        |lb| lb.nodes.clear(),
        |lb| lb.source_ranges = SourceRanges::Only(Vec::new()),
        |lb| lb.scheme = Some(Scheme::Public),
        |lb| lb.requested = vec!["203.0.113.2".parse().unwrap()],
        |lb| lb.requested.clear(),
        |lb| lb.members.clear(),
    ];
    for edit in edits {
        edit(&mut lb);
        scene.settle(&mut lb);
        assert_eq!(ips(&lb.published), ["203.0.113.2"]);
    }
}

#[test]
fn families_come_and_go_without_moving_the_other_address() {
    let scene = Scene::new(&json!({}));
    let mut lb = desired("lb");
    scene.settle(&mut lb);
    lb.families = vec![Family::V4, Family::V6];
    scene.settle(&mut lb);
    assert_eq!(ips(&lb.published), ["203.0.113.1", "2001:db8:113::1"]);
    lb.families = vec![Family::V6];
    scene.settle(&mut lb);
    assert_eq!(ips(&lb.published), ["2001:db8:113::1"]);
    assert_eq!(picture(&scene.store, scene.clock.now()).unwrap().addresses.len(), 1);
}

#[test]
fn an_address_is_given_back_only_when_the_status_has_let_go_of_it() {
    let scene = Scene::new(&json!({}));
    let mut lb = LoadBalancer { families: vec![Family::V4, Family::V6], ..desired("lb") };
    scene.settle(&mut lb);
    lb.families = vec![Family::V4];
    let pass = scene.pass("lb", Some(&lb));
    assert_eq!(pass.steps, Vec::<String>::new());
    assert_eq!(ips(&pass.outcome.published), ["203.0.113.1"]);
    lb.published = pass.outcome.published;
    assert_eq!(scene.pass("lb", Some(&lb)).steps, ["release address 2001:db8:113::1 of generation 1"]);
}

#[test]
fn two_families_are_published_together_or_not_at_all() {
    let scene = Scene::new(&json!({"ranges": {"public": ["192.0.2.0/24"]}}));
    let mut lb = LoadBalancer { families: vec![Family::V4, Family::V6], ..desired("lb") };
    let pass = scene.settle(&mut lb);
    assert_eq!(pass.error.unwrap().reason, Reason::PoolExhausted);
    assert_eq!(pass.outcome.published, []);
    assert_eq!(pass.outcome.assigned, Verdict::no(Reason::AddressPending, "no IPv6 address has been given yet"));
}

#[test]
fn a_published_address_is_not_withdrawn_because_a_second_family_has_none() {
    let scene = Scene::new(&json!({"ranges": {"public": ["192.0.2.0/24"]}}));
    let mut lb = desired("lb");
    scene.settle(&mut lb);
    lb.families.push(Family::V6);
    let pass = scene.settle(&mut lb);
    assert_eq!(pass.error.unwrap().reason, Reason::PoolExhausted);
    assert_eq!(ips(&pass.outcome.published), ["192.0.2.1"]);
    assert_eq!(pass.outcome.programmed.status, ConditionStatus::False);
}

#[test]
fn a_requested_address_is_given_or_none() {
    let scene = Scene::new(&json!({}));
    let mut other = desired("other");
    scene.settle(&mut other);
    for (address, scheme, kind) in [
        ("203.0.113.1", None, ErrorKind::Retry),    // taken, perhaps not for ever
        ("192.0.2.1", None, ErrorKind::Terminal),   // outside
        ("203.0.113.0", None, ErrorKind::Terminal), // no host
        ("203.0.113.9", Some(Scheme::Internal), ErrorKind::Terminal), // the other scheme's
    ] {
        let mut lb = LoadBalancer { requested: vec![address.parse().unwrap()], scheme, ..desired("lb") };
        let pass = scene.settle(&mut lb);
        let error = pass.error.unwrap();
        assert_eq!((error.kind, error.reason), (kind, Reason::RequestedAddressUnavailable), "{address}");
        assert!(error.message.contains(address));
        assert_eq!(pass.outcome.published, [], "{address}");
        scene.delete("lb");
    }
    let mut lb = LoadBalancer { requested: vec!["10.255.7.7".parse().unwrap()], ..desired("lb") };
    assert_eq!(scene.settle(&mut lb).error, None);
    assert_eq!(ips(&lb.published), ["10.255.7.7"], "where nobody names a scheme, the address does");
}

#[test]
fn two_controllers_never_give_one_address_twice() {
    let folder = std::env::temp_dir().join(format!("portolan-mock-race-{}", std::process::id()));
    std::thread::scope(|scope| {
        for instance in ["one", "two", "three"] {
            let folder = &folder;
            scope.spawn(move || {
                let scene = Scene::on(Store::folder(folder), instance, &json!({}));
                let instance_name = Instance::parse(instance).unwrap();
                // Who waits for the other's lock must let it run.
                let mock =
                    Mock::new(Parameters::default(), scene.store.clone(), instance_name, Arc::new(BlockingClock));
                let scene = Scene { mock, ..scene };
                for number in 0..20 {
                    assert_eq!(scene.settle(&mut desired(&format!("{instance}.{number}"))).error, None);
                }
            });
        }
    });
    let picture = picture(&Store::folder(&folder), crate::clock::Millis::default()).unwrap();
    let mut given: Vec<_> = picture.balancers.values().flat_map(|one| one.generations[0].addresses.clone()).collect();
    given.sort_unstable();
    given.dedup();
    assert_eq!((given.len(), picture.addresses.len(), picture.problems), (60, 60, vec![]));
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_published_address_is_only_a_wish() {
    let scene = Scene::new(&json!({}));
    let mut owner = desired("owner");
    scene.settle(&mut owner);
    let told = |ip: &str| vec![Published::Ip { ip: ip.parse().unwrap(), mode: IpMode::Vip }];
    for (id, status, given) in [
        ("thief", "203.0.113.1", "203.0.113.2"),
        ("outsider", "192.0.2.1", "203.0.113.3"),
        ("insider", "10.255.0.7", "203.0.113.4"),
        ("heir", "203.0.113.9", "203.0.113.9"),
    ] {
        let mut lb = LoadBalancer { published: told(status), ..desired(id) };
        assert_eq!(scene.settle(&mut lb).error, None);
        assert_eq!(ips(&lb.published), [given], "{id}");
    }
}

#[test]
fn addresses_given_back_come_first_again_and_the_lowest_before_the_others() {
    let scene = Scene::new(&json!({}));
    for id in ["a", "b", "c", "d"] {
        scene.settle(&mut desired(id));
    }
    scene.delete("c");
    scene.delete("a");
    let mut given = Vec::new();
    for id in ["e", "f", "g"] {
        let mut lb = desired(id);
        scene.settle(&mut lb);
        given.extend(ips(&lb.published));
    }
    assert_eq!(given, ["203.0.113.1", "203.0.113.3", "203.0.113.5"]);
}

#[test]
fn an_address_asked_for_by_name_is_not_taken_along_from_outside_to_inside() {
    let scene = Scene::new(&json!({}));
    let mut lb = LoadBalancer { requested: vec!["203.0.113.1".parse().unwrap()], ..desired("lb") };
    assert_eq!(scene.settle(&mut lb).error, None);
    lb.scheme = Some(Scheme::Internal);
    let pass = scene.settle(&mut lb);
    let error = pass.error.unwrap();
    assert_eq!((error.kind, error.reason), (ErrorKind::Terminal, Reason::RequestedAddressUnavailable));
    assert_eq!(ips(&pass.outcome.published), ["203.0.113.1"], "what clients know goes on until somebody decides");
    let picture = picture(&scene.store, scene.clock.now()).unwrap();
    let internal = picture.balancers[&lb.id].generations.iter().find(|one| one.scheme == Scheme::Internal);
    assert!(internal.unwrap().addresses.is_empty(), "nothing internal has a public address");
    lb.scheme = None;
    assert_eq!(scene.settle(&mut lb).error, None);
    assert_eq!(ips(&lb.published), ["203.0.113.1"]);
}
