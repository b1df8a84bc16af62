//! Several controllers, and the end of one.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::case::both;
use crate::gate::{Fault, Gate};
use crate::harness::{SOON, World, addresses, condition, eventually};

/// SIGTERM ends a controller within this (issue 3).
const TERMINATION: Duration = Duration::from_secs(10);

/// The addresses of a namespace's Services; fails if two share one.
fn distinct_addresses(world: &World) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    for service in world.api.list(&world.services_path()) {
        for address in addresses(&service) {
            assert!(seen.insert(address.clone()), "{address} is given twice");
        }
    }
    seen
}

#[test]
fn who_has_not_seen_a_service_yet_takes_nothing_down_that_another_has_made_for_it() {
    both(|world| {
        let setup = world.setup();
        let gate = Gate::before(world.server);
        // It has listed all there is, which is nothing, and is shown no Service that comes later; but records.
        gate.when(usize::MAX, Fault::Stall, |seen, _| {
            seen.watch && seen.path.split('?').next().is_some_and(|path| path.ends_with("/services"))
        });
        let late = setup.twin(world).through(world, &gate).start();
        eventually("it is at work", SOON, || if gate.fired() > 0 { Ok(()) } else { Err(late.log()) });
        let _controller = setup.start();
        world.create("web", json!({}));
        world.condition("web", "portolan.dev/Programmed", "True", "Programmed");
        let before = (world.mock().balancers(), addresses(&world.service("web").unwrap()));
        let asks = || gate.seen().iter().filter(|seen| seen.path.contains("fieldSelector=metadata.name")).count();
        eventually("it has asked twice whether the Service is there", SOON, || {
            if asks() > 1 { Ok(()) } else { Err(late.log()) }
        });
        assert_eq!((world.mock().balancers(), addresses(&world.service("web").unwrap())), before);
        assert!(!late.log().contains("DeleteBalancer"), "{}", late.log());
    });
}

#[test]
fn two_controllers_without_an_election_give_no_address_twice_and_clean_up_everything() {
    const SERVICES: usize = 50;
    both(|world| {
        let setup = world.setup();
        let (one, two) = (setup.start(), setup.twin(world).start());
        for number in 0..SERVICES {
            world.create(&format!("web-{number}"), json!({}));
        }
        eventually("all have an address", SOON, || {
            let found = distinct_addresses(world).len();
            if found == SERVICES { Ok(()) } else { Err(format!("{found} of {SERVICES}")) }
        });
        for number in 0..SERVICES {
            let name = format!("web-{number}");
            match number % 3 {
                0 => _ = world.edit(
                    &name,
                    json!({"spec": {"ports": [{"name": "http", "port": 81, "targetPort": 8080, "protocol": "TCP"}]}}),
                ),
                1 => _ = world.edit(&name, json!({"metadata": {"annotations": {"portolan.dev/scheme": "internal"}}})),
                _ => {}
            }
        }
        eventually("all edits are served and said", SOON, || {
            distinct_addresses(world);
            let mock = world.mock().balancers();
            for service in world.api.list(&world.services_path()) {
                let name = service["metadata"]["name"].as_str().unwrap();
                let number: usize = name.trim_start_matches("web-").parse().unwrap();
                let balancer = &mock[&format!("{}.{}", world.instance, service["metadata"]["uid"].as_str().unwrap())];
                let told = addresses(&service);
                let port = &service["status"]["loadBalancer"]["ingress"][0]["ports"][0]["port"];
                let generations = balancer["generations"].as_array().map_or(0, Vec::len);
                let good = told.len() == 1
                    && told[0].starts_with("10.255.") == (number % 3 == 1)
                    && *port == if number.is_multiple_of(3) { 81 } else { 80 }
                    && generations == 1
                    && balancer.to_string().contains(&told[0])
                    && condition(&service, "portolan.dev/Programmed").is_some_and(|one| one["status"] == "True");
                if !good {
                    return Err(format!("{service:#} {balancer:#}"));
                }
            }
            Ok(())
        });
        assert_eq!(world.records().len(), SERVICES);
        world.kubectl(&["delete", "services", "--all", "--wait=false"]).unwrap();
        eventually("no Service is left", SOON, || {
            let left = world.api.list(&world.services_path()).len();
            if left == 0 { Ok(()) } else { Err(format!("{left} left")) }
        });
        world.nothing_left();
        one.is_well();
        two.is_well();
    });
}

#[test]
fn only_the_elected_controller_writes_and_another_takes_over_when_it_ends() {
    both(|world| {
        let setup = world.setup().with_leader_election();
        let one = setup.start();
        world.create("first", json!({}));
        world.addressed("first");
        let two = setup.twin(world).start();
        world.create("second", json!({}));
        world.addressed("second");
        assert!(world.writes(&two.user).is_empty(), "{:#?}", world.writes(&two.user));
        // It releases its lease on the way out, so the other need not wait until that has expired (15 s).
        assert!(one.terminate(TERMINATION).is_some_and(|status| status.success()), "{}", one.log());
        let started = Instant::now();
        world.create("third", json!({}));
        world.addressed("third");
        assert!(started.elapsed() < Duration::from_secs(10), "the lease was not released: {:?}", started.elapsed());
        assert!(!world.writes(&two.user).is_empty());
    });
}

#[test]
fn a_killed_leader_is_followed_when_its_lease_has_expired() {
    both(|world| {
        let setup = world.setup().with_leader_election();
        let one = setup.start();
        world.create("first", json!({}));
        world.addressed("first");
        let two = setup.twin(world).start();
        one.kill();
        world.create("second", json!({}));
        world.addressed("second");
        two.is_well();
    });
}

#[test]
fn sigterm_ends_a_controller_cleanly_and_in_time() {
    both(|world| {
        for (label, setup) in [("alone", world.setup()), ("elected", world.setup().with_leader_election())] {
            let controller = setup.start();
            world.create(label, json!({}));
            world.addressed(label);
            let started = Instant::now();
            let status =
                controller.terminate(TERMINATION).unwrap_or_else(|| panic!("still runs: {}", controller.log()));
            assert!(status.success(), "{label}: {status}: {}", controller.log());
            assert!(started.elapsed() < TERMINATION);
            assert!(!controller.log().contains("panicked at"), "{}", controller.log());
        }
    });
}

#[test]
fn sigterm_ends_a_controller_in_time_although_a_provider_call_hangs() {
    both(|world| {
        world.mock().fault("hangs", &["--on", "CreateBalancer", "--effect", "hang"]);
        let setup = world.setup();
        let controller = setup.start();
        world.create("web", json!({}));
        eventually("the record stands before the call", SOON, || {
            if world.records().len() == 1 { Ok(()) } else { Err("no record".into()) }
        });
        assert!(controller.terminate(TERMINATION).is_some(), "still runs: {}", controller.log());
        world.mock().end_faults();
        let _controller = setup.start();
        world.addressed("web");
    });
}

#[test]
fn a_hanging_provider_call_delays_no_other_service() {
    both(|world| {
        let _controller = world.setup().start();
        world.create("stuck", json!({}));
        world.condition("stuck", "portolan.dev/Programmed", "True", "Programmed");
        let id: Value = json!(world.mock().balancers().keys().next().unwrap());
        world.mock().fault("hangs", &["--on", "any", "--id", id.as_str().unwrap(), "--effect", "hang"]);
        world.edit(
            "stuck",
            json!({"spec": {"ports": [{"name": "http", "port": 81, "targetPort": 8080, "protocol": "TCP"}]}}),
        );
        world.create("free", json!({}));
        let started = Instant::now();
        world.condition("free", "portolan.dev/Programmed", "True", "Programmed");
        assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
        world.mock().end_faults();
    });
}

#[test]
fn an_instance_waits_while_the_record_of_another_names_the_service() {
    both(|world| {
        let other = world.setup().configured(json!({"instance": format!("{}-old", world.instance)}));
        let old = other.start();
        world.create("web", json!({}));
        let before = addresses(&world.condition("web", "portolan.dev/Programmed", "True", "Programmed"));
        old.kill();
        let _new = world
            .setup()
            .configured(json!({"classes": [{
                "name": "portolan.dev/mock", "provider": "mock", "parameters": {"state": world.folder.join("new")},
            }]}))
            .start();
        let service = world.condition("web", "portolan.dev/Accepted", "False", "OtherInstance");
        assert_eq!(addresses(&service), before);
        assert!(world.records().is_empty());
    });
}
