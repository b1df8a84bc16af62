//! What happens to one Service from creation to deletion.

use serde_json::{Value, json};

use crate::case::both;
use crate::harness::{SOON, World, addresses, condition, eventually, finalizers};

const FINALIZER: &str = "portolan.dev/load-balancer";

/// The range of a Service that does not say whom it is for.
fn is_public(address: &str) -> bool {
    address.starts_with("203.0.113.") || address.starts_with("198.18.") || address.starts_with("198.19.")
}

/// `port/protocol` of every entry, where each entry lists the same.
fn listed_ports(service: &Value) -> Vec<String> {
    let ports = &service["status"]["loadBalancer"]["ingress"][0]["ports"];
    ports
        .as_array()
        .into_iter()
        .flatten()
        .map(|port| format!("{}/{}", port["port"], port["protocol"].as_str().unwrap()))
        .collect()
}

/// `port/protocol` of the listeners of the newest generation of the only load balancer.
fn listeners(world: &World) -> Vec<String> {
    let balancers = world.mock().balancers();
    let Some(balancer) = balancers.values().next() else { return Vec::new() };
    let generation = balancer["generations"].as_array().and_then(|all| all.last()).cloned().unwrap_or_default();
    let listeners = generation["listeners"].as_array().cloned().unwrap_or_default();
    listeners.iter().map(|one| format!("{}/{}", one["port"], one["protocol"].as_str().unwrap())).collect()
}

fn becomes_listening(world: &World, expected: &[&str]) {
    eventually(&format!("the provider listens on {expected:?}"), SOON, || {
        let found = listeners(world);
        if found == expected { Ok(()) } else { Err(format!("{found:?} in {:#}", world.mock().state())) }
    });
}

#[test]
fn a_service_gets_an_address_of_its_class_in_vip_mode_with_every_port_listed() {
    both(|world| {
        let _controller = world.setup().start();
        world.create(
            "web",
            json!({"spec": {"ports": [
                {"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP"},
                {"name": "dns", "port": 53, "protocol": "UDP"},
            ]}}),
        );
        let service = world.condition("web", "portolan.dev/Programmed", "True", "Programmed");
        let ingress = service["status"]["loadBalancer"]["ingress"].as_array().unwrap();
        assert_eq!(ingress.len(), 1, "{service:#}");
        assert!(is_public(ingress[0]["ip"].as_str().unwrap()), "{service:#}");
        assert_eq!(ingress[0]["ipMode"], "VIP");
        assert_eq!(listed_ports(&service), ["80/TCP", "53/UDP"]);
        for kind in ["Accepted", "AddressAssigned", "Programmed", "Reachable"] {
            assert_eq!(
                condition(&service, &format!("portolan.dev/{kind}")).unwrap()["status"],
                "True",
                "{kind}: {service:#}"
            );
        }
        let order: Vec<&str> = service["status"]["conditions"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["type"].as_str().unwrap())
            .collect();
        let ours = [
            "portolan.dev/Accepted",
            "portolan.dev/AddressAssigned",
            "portolan.dev/Programmed",
            "portolan.dev/Reachable",
        ];
        assert_eq!(order, ours, "in the order of the hops");
    });
}

#[test]
fn an_internal_service_gets_an_address_of_the_internal_range() {
    both(|world| {
        let _controller = world.setup().start();
        world.create("web", json!({"metadata": {"annotations": {"portolan.dev/scheme": "internal"}}}));
        let service = world.addressed("web");
        assert!(addresses(&service)[0].starts_with("10.255."), "{service:#}");
    });
}

#[test]
fn a_clouds_internal_annotation_is_honoured_on_a_live_service_too() {
    both(|world| {
        let _controller = world.setup().start();
        world.create("web", json!({}));
        assert!(!addresses(&world.addressed("web"))[0].starts_with("10.255."));
        let key = "service.beta.kubernetes.io/azure-load-balancer-internal";
        world.edit("web", json!({"metadata": {"annotations": {key: "true"}}}));
        world.becomes("web", "its address is internal", |service| {
            addresses(service).first().is_some_and(|address| address.starts_with("10.255."))
        });
        // Two clouds in conflict: the more private wins, with a Warning.
        let other = "service.beta.kubernetes.io/aws-load-balancer-scheme";
        world.edit("web", json!({"metadata": {"annotations": {other: "internet-facing"}}}));
        eventually("a Warning says so", SOON, || {
            let events = world.events("web");
            if events.iter().any(|event| event["reason"] == "SchemeConflict") {
                Ok(())
            } else {
                Err(format!("{events:#?}"))
            }
        });
        assert!(addresses(&world.service("web").unwrap())[0].starts_with("10.255."));
    });
}

#[test]
fn a_dual_stack_service_gets_an_address_of_each_family_in_its_order() {
    both(|world| {
        let _controller = world.setup().start();
        world.create("web", json!({"spec": {"ipFamilyPolicy": "RequireDualStack", "ipFamilies": ["IPv6", "IPv4"]}}));
        let service = world.becomes("web", "it has two addresses", |service| addresses(service).len() == 2);
        let addresses = addresses(&service);
        assert!(addresses[0].starts_with("2001:db8:113:"), "{addresses:?}");
        assert!(is_public(&addresses[1]), "{addresses:?}");
    });
}

#[test]
fn one_port_number_serves_tcp_and_udp() {
    both(|world| {
        let _controller = world.setup().start();
        world.create(
            "dns",
            json!({"spec": {"ports": [
                {"name": "tcp", "port": 53, "protocol": "TCP"},
                {"name": "udp", "port": 53, "protocol": "UDP"},
            ]}}),
        );
        assert_eq!(listed_ports(&world.addressed("dns")), ["53/TCP", "53/UDP"]);
        becomes_listening(world, &["53/TCP", "53/UDP"]);
    });
}

#[test]
fn the_finalizer_is_written_before_the_record_and_the_record_before_the_address() {
    both(|world| {
        let controller = world.setup().start();
        world.create("web", json!({}));
        world.addressed("web");
        let writes = eventually("the writes are logged", SOON, || {
            let writes = world.writes(&controller.user);
            let last = writes.iter().position(|write| write.body["status"]["loadBalancer"]["ingress"].is_array());
            last.map(|_| writes.clone()).ok_or(format!("{writes:#?}"))
        });
        let first = |what: &str, holds: &dyn Fn(&crate::harness::Write) -> bool| {
            writes.iter().position(holds).unwrap_or_else(|| panic!("no {what} in {writes:#?}"))
        };
        let finalizer =
            first("finalizer", &|write| write.resource.starts_with("services") && !finalizers(&write.body).is_empty());
        let record = first("record", &|write| write.resource == "loadbalancerrecords" && write.verb == "create");
        let address = first("address", &|write| write.body["status"]["loadBalancer"]["ingress"].is_array());
        assert!(finalizer < record && record < address, "{writes:#?}");
        assert!(writes.iter().all(|write| write.status < 300), "no write was refused: {writes:#?}");
        let costs = writes.iter().filter(|write| write.resource != "events").count();
        assert_eq!(costs, 3, "a new Service costs three writes (design section 4, Records): {writes:#?}");
    });
}

#[test]
fn finalizer_and_record_stand_before_the_provider_does_anything() {
    both(|world| {
        world.mock().fault("broken", &["--on", "CreateBalancer", "--effect", "retry"]);
        let _controller = world.setup().start();
        world.create("web", json!({}));
        let service = world.condition("web", "portolan.dev/Programmed", "False", "ProviderFailed");
        assert_eq!(finalizers(&service), [format!("{FINALIZER}.{}", world.instance)]);
        assert_eq!(world.records().len(), 1);
        assert!(world.mock().balancers().is_empty());
        assert!(addresses(&service).is_empty());
        world.mock().end_faults();
        world.addressed("web");
    });
}

#[test]
fn a_deleted_service_stays_until_the_provider_has_removed_everything() {
    both(|world| {
        let controller = world.setup().start();
        world.create("web", json!({}));
        world.condition("web", "portolan.dev/Programmed", "True", "Programmed");
        world.mock().fault("broken", &["--on", "DeleteBalancer", "--effect", "retry"]);
        world.delete("web");
        eventually("the removal has failed at least once", SOON, || {
            let told = world.events("web").iter().any(|event| event["reason"] == "DeleteLoadBalancerFailed");
            if told { Ok(()) } else { Err(format!("{:#?}", world.events("web"))) }
        });
        let service = world.service("web").expect("it waits for us");
        assert!(!finalizers(&service).is_empty(), "{service:#}");
        assert_eq!(world.records().len(), 1);
        world.mock().end_faults();
        world.gone("web");
        assert!(world.records().is_empty(), "the record goes before the finalizer");
        assert!(world.mock().balancers().is_empty(), "the effects go before the record");
        let writes = world.writes(&controller.user);
        let record = writes.iter().position(|write| write.resource == "loadbalancerrecords" && write.verb == "delete");
        let finalizer = writes.iter().rposition(|write| write.body["metadata"]["finalizers"].is_array());
        assert!(record.is_some() && record < finalizer, "{writes:#?}");
    });
}

#[test]
fn a_service_that_changes_its_type_gives_everything_back_and_gets_it_again_on_return() {
    both(|world| {
        let _controller = world.setup().start();
        world.create("web", json!({"metadata": {"finalizers": ["example.com/before"]}}));
        world.addressed("web");
        for away in [
            json!({"spec": {"type": "ClusterIP", "loadBalancerClass": null}}),
            json!({"spec": {"type": "NodePort", "loadBalancerClass": null}}),
            json!({"spec": {"type": "ExternalName", "externalName": "example.com", "loadBalancerClass": null, "clusterIP": null, "clusterIPs": null,
                "ipFamilies": null, "ipFamilyPolicy": null, "internalTrafficPolicy": null}}),
        ] {
            world.edit("web", away);
            world.nothing_left();
            let service = world.becomes("web", "our marks are gone", |service| {
                finalizers(service) == ["example.com/before"]
                    && service["status"]["conditions"].as_array().is_none_or(Vec::is_empty)
            });
            assert!(addresses(&service).is_empty(), "{service:#}");
            world.edit("web", json!({"spec": {"type": "LoadBalancer", "loadBalancerClass": "portolan.dev/mock", "externalName": null}}));
            world.condition("web", "portolan.dev/Programmed", "True", "Programmed");
        }
        world.edit("web", json!({"metadata": {"finalizers": null}}));
        world.becomes("web", "a stripped finalizer comes back", |service| !finalizers(service).is_empty());
    });
}

#[test]
fn ports_follow_the_spec_and_the_address_stays() {
    both(|world| {
        let _controller = world.setup().start();
        world.create("web", json!({}));
        let before = addresses(&world.addressed("web"));
        let http = json!({"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP"});
        let https = json!({"name": "https", "port": 443, "targetPort": 8443, "protocol": "TCP"});
        for (ports, expected) in [
            (json!([http, https]), ["80/TCP", "443/TCP"].as_slice()),
            (json!([https]), &["443/TCP"]),
            (json!([{"name": "alt", "port": 8081, "targetPort": 8443, "protocol": "TCP"}]), &["8081/TCP"]),
        ] {
            world.edit("web", json!({"spec": {"ports": ports}}));
            let service =
                world.becomes("web", &format!("{expected:?} are listed"), |service| listed_ports(service) == expected);
            assert_eq!(addresses(&service), before);
            becomes_listening(world, expected);
        }
    });
}

#[test]
fn a_port_without_a_node_port_is_refused_by_a_provider_that_needs_one_and_the_others_are_served() {
    both(|world| {
        let parameters = json!({"parameters": {"capabilities": {"podTargets": false}}});
        let _controller = world.setup().class(parameters).start();
        world.create("none", json!({"spec": {"allocateLoadBalancerNodePorts": false}}));
        let none = world.condition("none", "portolan.dev/Accepted", "False", "NodePortRequired");
        assert!(addresses(&none).is_empty(), "{none:#}");

        world.create(
            "some",
            json!({"spec": {"allocateLoadBalancerNodePorts": false, "ports": [
                {"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP", "nodePort": 59999},
                {"name": "https", "port": 443, "protocol": "TCP"},
            ]}}),
        );
        world.addressed("some");
        let some = world.condition("some", "LoadBalancerPortsError", "True", "PortsRefused");
        assert_eq!(condition(&some, "portolan.dev/Accepted").unwrap()["reason"], "PortsRefused");
        assert_eq!(listed_ports(&some), ["80/TCP", "443/TCP"], "every port is listed");
        let ports = &some["status"]["loadBalancer"]["ingress"][0]["ports"];
        assert!(ports[0]["error"].is_null() && ports[1]["error"].is_string(), "{ports:#}");
        world.edit("some", json!({"spec": {"ports": [{"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP", "nodePort": 59999}]}}));
        world.becomes("some", "the complaint goes with its cause", |service| {
            condition(service, "LoadBalancerPortsError").is_none()
        });
    });
}

#[test]
fn a_port_without_a_node_port_is_served_by_a_provider_that_reaches_pods() {
    both(|world| {
        let _controller = world.setup().start();
        world.create("web", json!({"spec": {"allocateLoadBalancerNodePorts": false}}));
        let service = world.condition("web", "portolan.dev/Reachable", "True", "Reachable");
        assert!(service["spec"]["ports"][0]["nodePort"].as_u64().is_none_or(|port| port == 0));
        assert!(world.mock().state().to_string().contains("10.200.0.10:8080"), "{:#}", world.mock().state());
    });
}

#[test]
fn an_address_survives_the_last_endpoint() {
    both(|world| {
        let _controller = world.setup().start();
        world.create("web", json!({}));
        let before = addresses(&world.condition("web", "portolan.dev/Reachable", "True", "Reachable"));
        world.api.delete(&format!("/apis/discovery.k8s.io/v1/namespaces/{}/endpointslices/web-1", world.namespace));
        let service = world.condition("web", "portolan.dev/Reachable", "False", "NoEndpoints");
        assert_eq!(addresses(&service), before);
    });
}

#[test]
fn events_tell_each_news_once_also_over_a_restart() {
    both(|world| {
        let setup = world.setup();
        let controller = setup.start();
        world.create("web", json!({}));
        world.condition("web", "portolan.dev/Programmed", "True", "Programmed");
        let reasons = || {
            let mut reasons: Vec<String> =
                world.events("web").iter().map(|event| event["reason"].as_str().unwrap().to_owned()).collect();
            reasons.sort();
            reasons
        };
        assert!(reasons().contains(&"EnsuredLoadBalancer".to_owned()), "{:?}", reasons());
        let before = reasons();
        controller.kill();
        let _again = setup.start();
        world.create("sentinel", json!({}));
        world.addressed("sentinel");
        assert_eq!(reasons(), before);
    });
}

#[test]
fn finalizers_and_conditions_of_others_are_never_touched() {
    both(|world| {
        let _controller = world.setup().start();
        world.create("web", json!({"metadata": {"finalizers": ["example.com/a", "example.com/b"]}}));
        world.addressed("web");
        let foreign = json!({"type": "example.com/Blue", "status": "True", "reason": "Sky", "message": "", "lastTransitionTime": "2020-01-01T00:00:00Z"});
        let mut conditions = world.service("web").unwrap()["status"]["conditions"].as_array().unwrap().clone();
        conditions.push(foreign.clone());
        world.api.patch(&format!("{}/status", world.path("web")), &json!({"status": {"conditions": conditions}}));
        world.edit(
            "web",
            json!({"spec": {"ports": [{"name": "http", "port": 81, "targetPort": 8080, "protocol": "TCP"}]}}),
        );
        let service = world.becomes("web", "the edit is served", |service| listed_ports(service) == ["81/TCP"]);
        assert_eq!(condition(&service, "example.com/Blue"), Some(&foreign));
        world.edit("web", json!({"spec": {"type": "ClusterIP", "loadBalancerClass": null}}));
        let service =
            world.becomes("web", "ours is gone", |service| finalizers(service) == ["example.com/a", "example.com/b"]);
        assert_eq!(condition(&service, "example.com/Blue"), Some(&foreign));
        assert_eq!(service["status"]["conditions"].as_array().unwrap().len(), 1, "{service:#}");
    });
}

#[test]
fn a_status_that_somebody_blanks_is_written_again() {
    both(|world| {
        let _controller = world.setup().start();
        world.create("web", json!({}));
        let before = world.condition("web", "portolan.dev/Programmed", "True", "Programmed");
        world
            .api
            .patch(&format!("{}/status", world.path("web")), &json!({"status": {"loadBalancer": {"ingress": null}}}));
        let after = world.becomes("web", "the address is back", |service| !addresses(service).is_empty());
        assert_eq!(addresses(&after), addresses(&before));
    });
}

#[test]
fn a_successor_of_the_same_name_starts_anew() {
    both(|world| {
        let _controller = world.setup().start();
        let first = world.create("web", json!({}));
        world.addressed("web");
        world.delete("web");
        world.gone("web");
        let second = world.create_without_endpoints("web", json!({}));
        world.addressed("web");
        eventually("only the successor has a load balancer", SOON, || {
            let ids: Vec<String> = world.mock().balancers().keys().cloned().collect();
            let expected = [format!("{}.{}", world.instance, second["metadata"]["uid"].as_str().unwrap())];
            if ids == expected { Ok(()) } else { Err(format!("{ids:?}; the first was {}", first["metadata"]["uid"])) }
        });
    });
}

#[test]
fn a_name_may_begin_with_a_digit_and_be_as_long_as_names_may_be() {
    both(|world| {
        let _controller = world.setup().start();
        let longest = format!("1{}", "a".repeat(62));
        for name in ["1web", &longest] {
            world.create(name, json!({}));
            world.addressed(name);
            let told = world.events(name);
            assert!(
                told.iter().any(|event| event["reason"] == "EnsuredLoadBalancer"),
                "told before the address: {told:#?}"
            );
            world.delete(name);
            world.gone(name);
        }
        world.nothing_left();
    });
}

#[test]
fn kubectl_shows_the_address_and_the_record() {
    both(|world| {
        let _controller = world.setup().start();
        world.create("web", json!({}));
        let address = addresses(&world.addressed("web"))[0].clone();
        let service = world.kubectl(&["get", "service", "web"]).unwrap();
        assert!(service.contains(&address), "{service}");
        let records = world.kubectl(&["get", "loadbalancerrecords"]).unwrap();
        let line = records
            .lines()
            .find(|line| line.starts_with(&format!("{}.", world.instance)))
            .unwrap_or_else(|| panic!("{records}"));
        assert!(line.contains("portolan.dev/mock"), "{records}");
    });
}
