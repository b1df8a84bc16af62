//! Whose a Service is.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::case::{both, without_neighbours};
use crate::harness::{Controller, SOON, World, addresses, condition, eventually, finalizers};

const STANDARD_FINALIZER: &str = "service.kubernetes.io/load-balancer-cleanup";

/// Everything that the server says of these Services, without what the server itself may change.
fn pictures(world: &World, names: &[&str]) -> Vec<Value> {
    names.iter().map(|name| world.service(name).unwrap()).collect()
}

/// Waits until the controller has served a Service that came after all others.
fn has_looked_at_everything(world: &World) {
    let name = format!("sentinel-{}", world.api.list(&world.services_path()).len());
    world.create(&name, json!({}));
    world.condition(&name, "portolan.dev/Programmed", "True", "Programmed");
}

/// The names of the objects that the controller wrote, the sentinels excepted.
fn written(world: &World, controller: &Controller) -> Vec<String> {
    let about =
        |write: &crate::harness::Write| write.body["involvedObject"]["name"].as_str().unwrap_or(&write.name).to_owned();
    let writes = world.writes(&controller.user);
    let ids: Vec<String> =
        world.records().iter().map(|record| record["metadata"]["name"].as_str().unwrap().to_owned()).collect();
    writes
        .iter()
        .map(about)
        .filter(|name| !name.is_empty() && !name.starts_with("sentinel") && !ids.contains(name))
        .collect()
}

#[test]
fn a_class_matches_exactly_or_not_at_all() {
    both(|world| {
        let controller = world.setup().start();
        let classes =
            ["portolan.dev/Mock", "mock", "portolan.dev.example.com/mock", "portolan.dev/mock-2x", "example.com/lb"];
        let names = ["upper", "bare", "longer", "similar", "foreign"];
        for (name, class) in names.iter().zip(classes) {
            world.create(name, json!({"spec": {"loadBalancerClass": class}}));
        }
        let before = pictures(world, &names);
        has_looked_at_everything(world);
        assert_eq!(pictures(world, &names), before, "no write of any kind");
        // Under our own prefix and nobody's: one event each, because it looks like a slip of the pen.
        // Passes run side by side, so that the sentinel's may end before theirs; and what the server is slow to answer is asked again.
        eventually("each of the two has been told", SOON, || {
            let told: BTreeSet<String> = written(world, &controller).into_iter().collect();
            if told.iter().eq(["similar", "upper"]) { Ok(()) } else { Err(format!("told: {told:?}")) }
        });
        for name in ["similar", "upper"] {
            let events = world.events(name);
            assert_eq!(events.len(), 1, "{events:#?}");
            assert_eq!((&events[0]["reason"], &events[0]["type"]), (&json!("UnknownClass"), &json!("Warning")));
        }
    });
}

#[test]
fn built_in_and_other_configured_classes_are_left_alone_in_silence() {
    both(|world| {
        let controller = world.setup().configured(json!({"otherClasses": ["portolan.dev/lab"]})).start();
        world.create("aws", json!({"spec": {"loadBalancerClass": "portolan.dev/aws"}}));
        world.create("lab", json!({"spec": {"loadBalancerClass": "portolan.dev/lab"}}));
        let before = pictures(world, &["aws", "lab"]);
        has_looked_at_everything(world);
        assert_eq!(pictures(world, &["aws", "lab"]), before);
        assert_eq!(written(world, &controller), Vec::<String>::new());
    });
}

#[test]
fn an_alias_means_its_class() {
    both(|world| {
        let _controller = world.setup().class(json!({"aliases": ["service.k8s.aws/nlb"]})).start();
        world.create("web", json!({"spec": {"loadBalancerClass": "service.k8s.aws/nlb"}}));
        world.addressed("web");
        assert_eq!(world.records()[0]["spec"]["class"], "portolan.dev/mock");
    });
}

#[test]
fn a_service_without_a_class_is_served_by_the_default_class_only() {
    without_neighbours(|world| {
        let without = world.another("no_default");
        let controller = without.setup().start();
        without.create("web", json!({"spec": {"loadBalancerClass": null}}));
        let before = pictures(&without, &["web"]);
        has_looked_at_everything(&without);
        assert_eq!(pictures(&without, &["web"]), before);
        assert_eq!(written(&without, &controller), Vec::<String>::new());

        let _controller = world.setup().class(json!({"default": true})).start();
        world.create("bare", json!({"spec": {"loadBalancerClass": null}}));
        world.create("classed", json!({}));
        let bare = world.addressed("bare");
        let classed = world.addressed("classed");
        let own = format!("portolan.dev/load-balancer.{}", world.instance);
        assert!(
            finalizers(&bare).contains(&own) && finalizers(&bare).contains(&STANDARD_FINALIZER.to_owned()),
            "{bare:#}"
        );
        assert_eq!(
            finalizers(&classed),
            [own],
            "upstream would strip the standard finalizer from a classed Service and blank its status"
        );
        world.delete("bare");
        world.gone("bare");
    });
}

#[test]
fn the_only_portolan_uses_the_plain_finalizer_and_the_uid_as_record_name() {
    both(|world| {
        let _controller = world.setup().configured(json!({"instance": ""})).start();
        let uid = world.create("web", json!({}))["metadata"]["uid"].as_str().unwrap().to_owned();
        let service = world.addressed("web");
        assert_eq!(finalizers(&service), ["portolan.dev/load-balancer"]);
        let record = format!("/apis/portolan.dev/v1alpha1/loadbalancerrecords/{uid}");
        assert!(world.api.get(&record).is_some());
        world.delete("web");
        world.gone("web");
        assert!(world.api.get(&record).is_none());
    });
}

#[test]
fn the_status_of_a_foreign_class_survives() {
    both(|world| {
        let setup = world.setup();
        let controller = setup.start();
        // The very Service of the conformance test "should complete a service status lifecycle".
        world.create("foreign", json!({"spec": {"loadBalancerClass": "example.com/internal-vip"}}));
        let status = json!({"status": {"loadBalancer": {"ingress": [{"ip": "203.0.113.1"}]}}});
        world.api.patch(&format!("{}/status", world.path("foreign")), &status);
        let before = pictures(world, &["foreign"]);
        has_looked_at_everything(world);
        controller.kill();
        let controller = setup.start();
        has_looked_at_everything(world);
        assert_eq!(pictures(world, &["foreign"]), before);
        assert!(finalizers(&before[0]).is_empty() && world.events("foreign").is_empty());
        assert_eq!(written(world, &controller), Vec::<String>::new());
    });
}

#[test]
fn services_of_other_types_are_left_alone() {
    without_neighbours(|world| {
        let controller = world.setup().class(json!({"default": true})).start();
        world.create("cluster-ip", json!({"spec": {"type": "ClusterIP", "loadBalancerClass": null}}));
        world.create("node-port", json!({"spec": {"type": "NodePort", "loadBalancerClass": null}}));
        let before = pictures(world, &["cluster-ip", "node-port"]);
        has_looked_at_everything(world);
        assert_eq!(pictures(world, &["cluster-ip", "node-port"]), before);
        assert_eq!(written(world, &controller), Vec::<String>::new());
    });
}

#[test]
fn a_namespace_that_is_not_watched_is_left_alone() {
    both(|world| {
        let other = world.another("unwatched");
        let _controller = world.setup().start();
        other.create("web", json!({}));
        let before = pictures(&other, &["web"]);
        has_looked_at_everything(world);
        assert_eq!(pictures(&other, &["web"]), before);
    });
}

#[test]
fn a_class_that_leaves_the_configuration_keeps_its_services_as_they_are_and_cleans_up_after_them() {
    both(|world| {
        let setup = world.setup();
        let controller = setup.start();
        for name in ["deleted", "changed", "kept"] {
            world.create(name, json!({}));
            world.condition(name, "portolan.dev/Programmed", "True", "Programmed");
        }
        let before = addresses(&world.service("kept").unwrap());
        let state = world.mock().state();
        controller.kill();

        let parameters = json!({"state": world.folder.join("other")});
        let removed =
            json!({"classes": [{"name": "portolan.dev/other", "provider": "mock", "parameters": parameters}]});
        let controller = setup.clone().configured(removed).start();
        for name in ["deleted", "changed", "kept"] {
            let service = world.condition(name, "portolan.dev/Accepted", "False", "ClassNotConfigured");
            assert_eq!(addresses(&service).len(), 1);
            let programmed = condition(&service, "portolan.dev/Programmed").unwrap();
            assert_eq!(programmed["status"], "True", "it says nothing new about the load balancer: {service:#}");
        }
        world.edit(
            "kept",
            json!({"spec": {"ports": [{"name": "http", "port": 81, "targetPort": 8080, "protocol": "TCP"}]}}),
        );
        world.delete("deleted");
        world.gone("deleted");
        world.edit("changed", json!({"spec": {"type": "ClusterIP", "loadBalancerClass": null}}));
        world.becomes("changed", "our finalizer is gone", |service| finalizers(service).is_empty());
        assert_eq!(world.records().len(), 1);
        let kept = world.mock().state();
        let id = format!("{}.{}", world.instance, world.service("kept").unwrap()["metadata"]["uid"].as_str().unwrap());
        assert_eq!(kept["balancers"][&id], state["balancers"][&id], "no step ran");
        assert_eq!(kept["balancers"].as_object().unwrap().len(), 1);

        controller.kill();
        let _controller = setup.start();
        let service = world.condition("kept", "portolan.dev/Accepted", "True", "Accepted");
        assert_eq!(addresses(&service), before);
        eventually("the edit of that time is served", SOON, || {
            let state = world.mock().state().to_string();
            if state.contains("\"port\":81") { Ok(()) } else { Err(state) }
        });
    });
}

#[test]
fn a_moved_default_moves_nobody() {
    without_neighbours(|world| {
        let setup = world.setup();
        let controller = setup.clone().class(json!({"default": true})).start();
        world.create("bare", json!({"spec": {"loadBalancerClass": null}}));
        let before = addresses(&world.addressed("bare"));
        controller.kill();
        let _controller = setup.start();
        has_looked_at_everything(world);
        let service = world.service("bare").unwrap();
        assert_eq!(addresses(&service), before);
        assert_eq!(condition(&service, "portolan.dev/Accepted").unwrap()["status"], "True");
        world.delete("bare");
        world.gone("bare");
    });
}

#[test]
fn a_paused_service_is_left_as_it_is_and_says_so() {
    both(|world| {
        let _controller = world.setup().start();
        world.create("web", json!({}));
        let before = addresses(&world.addressed("web"));
        let state = world.mock().balancers();
        world.edit("web", json!({"metadata": {"annotations": {"portolan.dev/paused": "true"}}}));
        world.condition("web", "portolan.dev/Accepted", "False", "Paused");
        world.edit(
            "web",
            json!({"spec": {"ports": [{"name": "http", "port": 81, "targetPort": 8080, "protocol": "TCP"}]}}),
        );
        has_looked_at_everything(world);
        let paused = world.mock().balancers();
        assert!(state.iter().all(|(id, balancer)| paused.get(id) == Some(balancer)), "{paused:#?}");
        world.edit("web", json!({"metadata": {"annotations": {"portolan.dev/paused": null}}}));
        let on = world.condition("web", "portolan.dev/Accepted", "True", "Accepted");
        assert_eq!(addresses(&on), before);
        eventually("port 81 is served", SOON, || {
            let state = format!("{:#}", world.mock().state());
            if state.contains("\"port\": 81") { Ok(()) } else { Err(state) }
        });
    });
}

#[test]
fn the_standard_finalizer_goes_with_the_default_class_however_fast_the_class_changes() {
    both(|world| {
        let setup = world.setup().class(json!({"default": true}));
        let controller = setup.start();
        let names = ["live", "absent"];
        for name in names {
            world.create(name, json!({"spec": {"loadBalancerClass": null}}));
            let service = world.condition(name, "portolan.dev/Programmed", "True", "Programmed");
            assert!(finalizers(&service).contains(&STANDARD_FINALIZER.to_owned()), "{service:#}");
        }
        let flip = |name: &str| {
            world.edit(name, json!({"spec": {"type": "ClusterIP"}}));
            world.edit(name, json!({"spec": {"type": "LoadBalancer", "loadBalancerClass": "portolan.dev/mock"}}));
        };
        flip("live");
        controller.kill();
        flip("absent");
        let _controller = setup.start();
        for name in names {
            world.becomes(name, "it carries our finalizer alone", |service| {
                let finalizers = finalizers(service);
                finalizers.len() == 1 && finalizers[0].starts_with("portolan.dev/")
            });
            world.delete(name);
            world.gone(name);
        }
        world.nothing_left();
    });
}

#[test]
fn the_standard_finalizer_that_only_the_server_remembers_as_ours_goes() {
    // Whoever serves the default class takes it off as well.
    without_neighbours(|world| {
        let setup = world.setup();
        let controller = setup.clone().class(json!({"default": true})).start();
        world.create("web", json!({"spec": {"loadBalancerClass": null}}));
        world.condition("web", "portolan.dev/Programmed", "True", "Programmed");
        controller.kill();
        world.edit("web", json!({"spec": {"type": "ClusterIP"}}));
        let record = world.records()[0]["metadata"]["name"].as_str().unwrap().to_owned();
        world.api.delete(&format!("/apis/portolan.dev/v1alpha1/loadbalancerrecords/{record}"));
        let service =
            world.edit("web", json!({"spec": {"type": "LoadBalancer", "loadBalancerClass": "portolan.dev/mock"}}));
        assert!(finalizers(&service).contains(&STANDARD_FINALIZER.to_owned()), "{service:#}");
        let _controller = setup.start();
        world.becomes("web", "it carries our finalizer alone", |service| {
            let finalizers = finalizers(service);
            finalizers.len() == 1 && finalizers[0].starts_with("portolan.dev/")
        });
        world.delete("web");
        world.gone("web");
        world.nothing_left();
    });
}

#[test]
fn a_class_that_is_renamed_while_its_alias_stays_keeps_addresses() {
    both(|world| {
        let alias = json!({"aliases": ["example.com/lab"]});
        let controller = world.setup().class(alias.clone()).start();
        world.create("first", json!({"spec": {"loadBalancerClass": "example.com/lab"}}));
        world.addressed("first");
        world.create("web", json!({"spec": {"loadBalancerClass": "example.com/lab"}}));
        let before = addresses(&world.addressed("web"));
        world.delete("first");
        world.gone("first");
        controller.kill();
        let _controller = world.setup().class(alias).class(json!({"name": "portolan.dev/renamed"})).start();
        eventually("the record names the new class", SOON, || {
            let records = world.records();
            if records.iter().all(|record| record["spec"]["class"] == "portolan.dev/renamed") {
                Ok(())
            } else {
                Err(format!("{records:#?}"))
            }
        });
        assert_eq!(addresses(&world.service("web").unwrap()), before);
    });
}

#[test]
fn a_strange_record_under_our_name_is_named_on_the_service() {
    both(|world| {
        let controller = world.setup().start();
        world.create("other", json!({}));
        world.addressed("other");
        controller.kill();
        let service = world.create("web", json!({}));
        let id = format!("{}.{}", world.instance, service["metadata"]["uid"].as_str().unwrap());
        let mut record = world.records()[0].clone();
        record["metadata"] = json!({"name": id});
        record["spec"]["instance"] = json!("ghost");
        record["spec"]["members"] = json!([]);
        let records = "/apis/portolan.dev/v1alpha1/loadbalancerrecords";
        world.api.create(records, &record);
        let _controller = world.setup().start();
        let service = world.condition("web", "portolan.dev/Programmed", "False", "RecordFailed");
        let message = condition(&service, "portolan.dev/Programmed").unwrap()["message"].as_str().unwrap().to_owned();
        assert!(message.contains("ghost"), "{message}");
        world.api.delete(&format!("{records}/{id}"));
        world.condition("web", "portolan.dev/Programmed", "True", "Programmed");
    });
}
