//! What a provider can and cannot do, and how its troubles show on the Service.

use serde_json::{Value, json};

use crate::case::both;
use crate::harness::{SOON, World, addresses, condition, eventually};

/// A merge patch for the first class that gives it these parameters.
fn parameters(parameters: Value) -> Value {
    json!({"parameters": parameters})
}

/// The id of a Service's load balancer.
fn id(world: &World, name: &str) -> String {
    format!("{}.{}", world.instance, world.service(name).unwrap()["metadata"]["uid"].as_str().unwrap())
}

#[test]
fn a_hostname_is_published_without_a_mode() {
    both(|world| {
        let _controller = world.setup().class(parameters(json!({"publish": "hostname"}))).start();
        world.create("web", json!({}));
        let service = world.addressed("web");
        let ingress = &service["status"]["loadBalancer"]["ingress"][0];
        assert!(ingress["hostname"].as_str().unwrap().ends_with(".mock.portolan.dev"), "{service:#}");
        assert!(ingress["ip"].is_null() && ingress["ipMode"].is_null(), "{service:#}");
    });
}

#[test]
fn proxy_mode_is_written_beside_the_address() {
    both(|world| {
        let _controller = world.setup().class(parameters(json!({"ipMode": "Proxy"}))).start();
        world.create("web", json!({}));
        assert_eq!(world.addressed("web")["status"]["loadBalancer"]["ingress"][0]["ipMode"], "Proxy");
    });
}

#[test]
fn what_a_provider_cannot_do_is_refused_by_name() {
    both(|world| {
        let cases = [
            (
                "udp",
                json!({"spec": {"ports": [{"name": "dns", "port": 53, "protocol": "UDP"}]}}),
                "ProtocolNotSupported",
            ),
            (
                "sctp",
                json!({"spec": {"ports": [{"name": "sig", "port": 3868, "protocol": "SCTP"}]}}),
                "ProtocolNotSupported",
            ),
            ("ipv6", json!({"spec": {"ipFamilyPolicy": "SingleStack", "ipFamilies": ["IPv6"]}}), "FamilyNotSupported"),
            (
                "sourceRanges",
                json!({"spec": {"loadBalancerSourceRanges": ["192.0.2.0/24"]}}),
                "SourceRangesNotSupported",
            ),
            ("scheme", json!({"metadata": {"annotations": {"portolan.dev/scheme": "internal"}}}), "SchemeNotSupported"),
            (
                "requestedAddresses",
                json!({"metadata": {"annotations": {"portolan.dev/load-balancer-ips": "203.0.113.9"}}}),
                "RequestedAddressNotSupported",
            ),
        ];
        let off: serde_json::Map<String, Value> =
            cases.iter().map(|(name, ..)| ((*name).to_owned(), json!(false))).collect();
        let _controller = world.setup().class(parameters(json!({"capabilities": off}))).start();
        for (name, changes, _) in cases.clone() {
            world.create(&name.to_lowercase(), changes);
        }
        for (name, _, reason) in cases {
            let service = world.condition(&name.to_lowercase(), "portolan.dev/Accepted", "False", reason);
            assert!(addresses(&service).is_empty(), "{service:#}");
        }
        assert!(world.mock().balancers().is_empty(), "{:#}", world.mock().state());
    });
}

#[test]
fn where_protocols_cannot_be_mixed_the_first_ports_protocol_is_served() {
    both(|world| {
        let _controller = world.setup().class(parameters(json!({"capabilities": {"mixedProtocols": false}}))).start();
        world.create(
            "web",
            json!({"spec": {"ports": [
                {"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP"},
                {"name": "dns", "port": 53, "protocol": "UDP"},
            ]}}),
        );
        // Upstream's reason, as KEP-1435 names it.
        let service = world.condition("web", "LoadBalancerPortsError", "True", "LoadBalancerMixedProtocolNotSupported");
        let service = if addresses(&service).is_empty() { world.addressed("web") } else { service };
        let ports = service["status"]["loadBalancer"]["ingress"][0]["ports"].as_array().unwrap();
        assert!(ports[0]["error"].is_null() && ports[1]["error"].is_string(), "{ports:#?}");
    });
}

#[test]
fn readiness_comes_when_it_comes_and_wakes_the_service() {
    both(|world| {
        world.mock().fault("slow", &["--on", "any", "--effect", "hold"]);
        let _controller = world.setup().start();
        world.create("web", json!({}));
        let service = world.condition("web", "portolan.dev/Programmed", "False", "Provisioning");
        assert_eq!(condition(&service, "portolan.dev/Accepted").unwrap()["status"], "True");
        world.mock().end_faults();
        world.condition("web", "portolan.dev/Programmed", "True", "Programmed");
    });
}

#[test]
fn a_replace_publishes_the_successor_before_it_takes_the_old_one_away() {
    both(|world| {
        let _controller = world.setup().start();
        world.create("web", json!({}));
        let before = addresses(&world.condition("web", "portolan.dev/Programmed", "True", "Programmed"));
        world.mock().fault("slow", &["--on", "any", "--effect", "hold"]);
        world.edit("web", json!({"metadata": {"annotations": {"portolan.dev/scheme": "internal"}}}));
        let service = world.condition("web", "portolan.dev/Programmed", "False", "Provisioning");
        assert_eq!(addresses(&service), before, "the old one serves until the new one can");
        let generations =
            |world: &World| world.mock().balancers()[&id(world, "web")]["generations"].as_array().unwrap().len();
        assert_eq!(generations(world), 2);
        world.mock().end_faults();
        let service = world.becomes("web", "the new address is published", |service| {
            assert!(!addresses(service).is_empty(), "never without an address: {service:#}");
            addresses(service).iter().all(|address| address.starts_with("10.255."))
        });
        assert_eq!(addresses(&service).len(), 1);
        eventually("the old one is gone", SOON, || {
            if generations(world) == 1 { Ok(()) } else { Err("two generations".into()) }
        });
    });
}

#[test]
fn a_replace_of_what_was_never_published_leaves_nothing_behind() {
    both(|world| {
        world.mock().fault("stuck", &["--on", "PutListener", "--effect", "hang"]);
        let setup = world.setup();
        let controller = setup.start();
        let service = world.create("web", json!({}));
        let schemes = || -> Vec<String> {
            let balancers = world.mock().balancers();
            let generations =
                balancers.values().flat_map(|one| one["generations"].as_array().cloned().unwrap_or_default());
            generations.map(|one| one["scheme"].as_str().unwrap().to_owned()).collect()
        };
        eventually("the first generation is begun", SOON, || {
            if schemes() == ["public"] { Ok(()) } else { Err(format!("{service:#} {:?}", schemes())) }
        });
        controller.kill();
        assert!(addresses(&world.service("web").unwrap()).is_empty());
        world.edit("web", json!({"metadata": {"annotations": {"portolan.dev/scheme": "internal"}}}));
        world.mock().end_faults();
        let _controller = setup.start();
        let service = world.condition("web", "portolan.dev/Programmed", "True", "Programmed");
        assert!(addresses(&service)[0].starts_with("10.255."), "{service:#}");
        eventually("only the second generation is left", SOON, || {
            if schemes() == ["internal"] { Ok(()) } else { Err(format!("{:?}", schemes())) }
        });
    });
}

#[test]
fn an_exhausted_range_says_so_and_a_freed_address_is_found() {
    both(|world| {
        // 203.0.113.8 and 203.0.113.11 are network and broadcast address.
        let ranges = json!({"internal": ["10.255.0.0/16"], "public": ["203.0.113.8/30"]});
        let _controller = world.setup().class(parameters(json!({"ranges": ranges}))).start();
        for name in ["one", "two"] {
            world.create(name, json!({}));
            world.addressed(name);
        }
        world.create("three", json!({}));
        world.condition("three", "portolan.dev/AddressAssigned", "False", "PoolExhausted");
        let freed = addresses(&world.service("one").unwrap());
        world.delete("one");
        world.gone("one");
        assert_eq!(addresses(&world.addressed("three")), freed);
    });
}

#[test]
fn a_requested_address_is_given_or_refused_but_never_another_in_its_place() {
    both(|world| {
        let _controller = world.setup().start();
        let asks = |address: &str| json!({"metadata": {"annotations": {"portolan.dev/load-balancer-ips": address}}});
        world.create("first", asks("203.0.113.77"));
        assert_eq!(addresses(&world.addressed("first")), ["203.0.113.77"]);
        world.create("second", asks("203.0.113.77"));
        world.create("outside", asks("192.0.2.1"));
        world.create("nonsense", asks("1.2.3.4.5"));
        for name in ["second", "outside"] {
            let service = world.condition(name, "portolan.dev/AddressAssigned", "False", "RequestedAddressUnavailable");
            assert!(addresses(&service).is_empty(), "{service:#}");
        }
        world.condition("nonsense", "portolan.dev/Accepted", "False", "InvalidRequestedAddress");
    });
}

#[test]
fn a_terminal_failure_is_told_once_and_ends_with_an_edit() {
    both(|world| {
        world.mock().fault("refuses", &["--on", "CreateBalancer", "--effect", "terminal"]);
        let controller = world.setup().start();
        world.create("web", json!({}));
        let service = world.becomes("web", "the failing hop is named", |service| {
            condition(service, "portolan.dev/Programmed").is_some_and(|one| one["status"] == "False")
        });
        assert_eq!(condition(&service, "portolan.dev/Programmed").unwrap()["reason"], "ProviderRefused", "{service:#}");
        world.create("sentinel", json!({"spec": {"loadBalancerClass": "example.com/lb"}}));
        let failures = world.events("web").iter().filter(|event| event["type"] == "Warning").count();
        assert_eq!(failures, 1, "{:#?}", world.events("web"));
        world.mock().end_faults();
        world.edit(
            "web",
            json!({"spec": {"ports": [{"name": "http", "port": 81, "targetPort": 8080, "protocol": "TCP"}]}}),
        );
        world.condition("web", "portolan.dev/Programmed", "True", "Programmed");
        controller.is_well();
    });
}

#[test]
fn a_provider_without_healthy_targets_shows_as_unreachable() {
    both(|world| {
        let _controller = world.setup().start();
        world.create("web", json!({}));
        world.condition("web", "portolan.dev/Reachable", "True", "Reachable");
        world.mock().fault("sick", &["--on", "observe", "--effect", "unhealthy"]);
        let service = world.condition("web", "portolan.dev/Reachable", "False", "Unhealthy");
        assert_eq!(addresses(&service).len(), 1, "an address, once published, stays");
        world.mock().end_faults();
        world.condition("web", "portolan.dev/Reachable", "True", "Reachable");
    });
}

#[test]
fn a_load_balancer_whose_state_is_garbage_fails_alone() {
    both(|world| {
        let controller = world.setup().start();
        for name in ["broken", "sound"] {
            world.create(name, json!({}));
            world.condition(name, "portolan.dev/Programmed", "True", "Programmed");
        }
        let before = addresses(&world.service("broken").unwrap());
        let file = world.folder.join("mock/balancers").join(format!("{}.json", id(world, "broken")));
        let sound_text = std::fs::read(&file).unwrap();
        std::fs::write(&file, "{\"id\": 7").unwrap();
        for name in ["broken", "sound"] {
            world.edit(
                name,
                json!({"spec": {"ports": [{"name": "http", "port": 81, "targetPort": 8080, "protocol": "TCP"}]}}),
            );
        }
        world.becomes("sound", "it is served", |service| {
            service["status"]["loadBalancer"]["ingress"][0]["ports"][0]["port"] == 81
        });
        let service = world.condition("broken", "portolan.dev/Programmed", "False", "ProviderFailed");
        assert_eq!(addresses(&service), before, "what nobody can see is not taken away");
        let message = condition(&service, "portolan.dev/Programmed").unwrap()["message"].as_str().unwrap().to_owned();
        assert!(message.contains("balancers"), "it names the file: {message}");
        std::fs::write(&file, sound_text).unwrap();
        world.condition("broken", "portolan.dev/Programmed", "True", "Programmed");
        controller.is_well();
    });
}

#[test]
fn what_is_not_ours_at_the_provider_is_never_touched() {
    both(|world| {
        let controller = world.setup().start();
        world.create("web", json!({}));
        world.condition("web", "portolan.dev/Programmed", "True", "Programmed");
        let file = world.folder.join("mock/balancers").join(format!("{}.json", id(world, "web")));
        let foreign = std::fs::read_to_string(&file)
            .unwrap()
            .replace(&format!("\"instance\":\"{}\"", world.instance), "\"instance\":\"somebody-else\"");
        assert!(foreign.contains("somebody-else"));
        std::fs::write(&file, &foreign).unwrap();
        world.edit(
            "web",
            json!({"spec": {"ports": [{"name": "http", "port": 81, "targetPort": 8080, "protocol": "TCP"}]}}),
        );
        world.condition("web", "portolan.dev/Programmed", "False", "NotOurs");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), foreign);
        controller.is_well();
    });
}

#[test]
fn an_edit_that_cannot_be_served_keeps_address_and_load_balancer_as_they_were() {
    both(|world| {
        let _controller = world.setup().start();
        world.create("web", json!({}));
        let before = world.condition("web", "portolan.dev/Programmed", "True", "Programmed");
        let state = world.mock().balancers();
        world.edit("web", json!({"metadata": {"annotations": {"portolan.dev/scheme": "bogus"}}}));
        let refused = world.condition("web", "portolan.dev/Accepted", "False", "InvalidAnnotation");
        assert_eq!(addresses(&refused), addresses(&before));
        assert_eq!(world.mock().balancers(), state);
        world.edit("web", json!({"metadata": {"annotations": {"portolan.dev/scheme": null}}}));
        let healed = world.condition("web", "portolan.dev/Accepted", "True", "Accepted");
        assert_eq!(addresses(&healed), addresses(&before));
    });
}

#[test]
fn a_class_that_moves_to_another_state_folder_leaves_nothing_in_the_old_one() {
    both(|world| {
        let controller = world.setup().start();
        world.create("web", json!({}));
        world.condition("web", "portolan.dev/Programmed", "True", "Programmed");
        drop(controller);
        let elsewhere = world.folder.join("elsewhere");
        let _controller = world.setup().class(parameters(json!({"state": elsewhere}))).start();
        eventually("nothing is left in the old folder", SOON, || match world.mock().balancers() {
            left if left.is_empty() => Ok(()),
            left => Err(format!("{left:#?}")),
        });
        world.condition("web", "portolan.dev/Programmed", "True", "Programmed");
        world.delete("web");
        world.gone("web");
    });
}

#[test]
fn a_lock_that_somebody_holds_delays_its_own_world_and_no_other_work() {
    both(|world| {
        let classes = json!({"classes": [
            {"name": "portolan.dev/mock", "provider": "mock", "parameters": {"state": world.folder.join("mock")}},
            {"name": "portolan.dev/other", "provider": "mock", "parameters": {"state": world.folder.join("other")}},
        ]});
        let setup = world.setup().configured(classes).with_leader_election();
        std::fs::create_dir_all(world.folder.join("mock")).unwrap();
        let lock = std::fs::File::create(world.folder.join("mock/lock")).unwrap();
        lock.lock().unwrap();
        let controller = setup.start();
        // More than the runtime has threads.
        let held: Vec<String> = (0..6).map(|number| format!("held-{number}")).collect();
        held.iter().for_each(|name| drop(world.create(name, json!({}))));
        let service = world.condition("held-0", "portolan.dev/Programmed", "False", "ProviderFailed");
        let message = condition(&service, "portolan.dev/Programmed").unwrap()["message"].as_str().unwrap().to_owned();
        assert!(message.contains("mock/lock"), "it names the file: {message}");
        world.create("free", json!({"spec": {"loadBalancerClass": "portolan.dev/other"}}));
        world.condition("free", "portolan.dev/Programmed", "True", "Programmed");
        let ended = controller.terminate(std::time::Duration::from_secs(10));
        assert!(ended.is_some_and(|status| status.success()), "{ended:?}: {}", controller.log());
        let controller = setup.start();
        world.edit("free", json!({"spec": {"ports": [{"name": "http", "port": 81, "targetPort": 8080}]}}));
        world.becomes("free", "a new controller serves it", |service| {
            service["status"]["loadBalancer"]["ingress"][0]["ports"][0]["port"] == 81
        });
        drop(lock);
        for name in held {
            world.condition(&name, "portolan.dev/Programmed", "True", "Programmed");
        }
        controller.is_well();
    });
}

#[test]
fn a_load_balancer_that_is_lost_is_made_again_with_its_address_and_nothing_of_it_stays() {
    both(|world| {
        let controller = world.setup().start();
        for name in ["first", "web"] {
            world.create(name, json!({}));
            world.condition(name, "portolan.dev/Programmed", "True", "Programmed");
        }
        world.delete("first");
        world.gone("first");
        let before = addresses(&world.service("web").unwrap());
        let file = world.folder.join("mock/balancers").join(format!("{}.json", id(world, "web")));
        std::fs::remove_file(&file).unwrap();
        world.edit("web", json!({"spec": {"ports": [{"name": "http", "port": 81, "targetPort": 8080}]}}));
        let service = world.becomes("web", "it is served again", |service| {
            service["status"]["loadBalancer"]["ingress"][0]["ports"][0]["port"] == 81
        });
        assert_eq!(addresses(&service), before);
        std::fs::remove_file(&file).unwrap();
        world.delete("web");
        world.gone("web");
        world.nothing_left();
        controller.is_well();
    });
}
