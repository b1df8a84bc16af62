//! What happens while no controller runs is made good by the next one, from the records.

use serde_json::json;

use crate::case::{both, real};
use crate::harness::{SOON, World, addresses, eventually, finalizers};

/// A served Service, and no controller any more. The setup starts one again.
fn served_then_alone(world: &World) -> crate::harness::Setup {
    let setup = world.setup();
    let controller = setup.start();
    world.create("web", json!({}));
    world.condition("web", "portolan.dev/Programmed", "True", "Programmed");
    controller.kill();
    setup
}

#[test]
fn a_service_deleted_by_force_is_cleaned_up_from_its_record() {
    both(|world| {
        let setup = served_then_alone(world);
        world.edit("web", json!({"metadata": {"finalizers": null}}));
        world.delete("web");
        assert!(world.service("web").is_none());
        assert_eq!((world.records().len(), world.mock().balancers().len()), (1, 1));
        let _controller = setup.start();
        world.nothing_left();
    });
}

#[test]
fn a_service_deleted_by_force_and_made_again_gets_a_new_load_balancer() {
    both(|world| {
        let setup = served_then_alone(world);
        world.edit("web", json!({"metadata": {"finalizers": null}}));
        world.delete("web");
        let successor = world.create_without_endpoints("web", json!({}));
        let _controller = setup.start();
        world.addressed("web");
        let expected = [format!("{}.{}", world.instance, successor["metadata"]["uid"].as_str().unwrap())];
        eventually("only the successor has a load balancer and a record", SOON, || {
            let ids: Vec<String> = world.mock().balancers().keys().cloned().collect();
            let records: Vec<String> =
                world.records().iter().map(|one| one["metadata"]["name"].as_str().unwrap().to_owned()).collect();
            if ids == expected && records == expected { Ok(()) } else { Err(format!("{ids:?} {records:?}")) }
        });
    });
}

#[test]
fn a_stripped_finalizer_comes_back_and_nothing_else_changes() {
    both(|world| {
        let setup = served_then_alone(world);
        let before = world.service("web").unwrap();
        world.edit("web", json!({"metadata": {"finalizers": null}}));
        let _controller = setup.start();
        let after = world.becomes("web", "the finalizer is back", |service| !finalizers(service).is_empty());
        assert_eq!(after["status"], before["status"]);
        assert_eq!(world.records().len(), 1);
    });
}

#[test]
fn a_namespace_deleted_meanwhile_is_released() {
    real(|world| {
        let setup = served_then_alone(world);
        let namespace = format!("/api/v1/namespaces/{}", world.namespace);
        world.api.delete(&namespace);
        eventually("the namespace waits for the Service", SOON, || match world.service("web") {
            Some(service) if service["metadata"]["deletionTimestamp"].is_string() => Ok(()),
            other => Err(format!("{other:#?}")),
        });
        let controller = setup.start();
        world.nothing_left();
        eventually("the namespace is gone", SOON, || {
            world.api.get(&namespace).map_or(Ok(()), |left| Err(format!("{left:#}")))
        });
        controller.is_well();
    });
}

#[test]
fn a_namespace_deleted_by_force_is_cleaned_up_from_the_records() {
    real(|world| {
        let setup = served_then_alone(world);
        let namespace = format!("/api/v1/namespaces/{}", world.namespace);
        world.edit("web", json!({"metadata": {"finalizers": null}}));
        world.api.delete(&namespace);
        eventually("the namespace is gone", SOON, || {
            world.api.get(&namespace).map_or(Ok(()), |left| Err(format!("{left:#}")))
        });
        assert_eq!((world.records().len(), world.mock().balancers().len()), (1, 1));
        let controller = setup.start();
        world.nothing_left();
        controller.is_well();
    });
}

#[test]
fn a_type_changed_meanwhile_is_noticed() {
    both(|world| {
        let setup = served_then_alone(world);
        // The server wipes class and status in this very write; only finalizer and record still say whose it was.
        let service = world.edit("web", json!({"spec": {"type": "ClusterIP", "loadBalancerClass": null}}));
        assert!(addresses(&service).is_empty());
        let _controller = setup.start();
        world.becomes("web", "our finalizer is gone", |service| finalizers(service).is_empty());
        assert!(world.records().is_empty() && world.mock().balancers().is_empty());
    });
}

#[test]
fn a_type_changed_and_a_finalizer_stripped_meanwhile_are_noticed_by_the_record() {
    both(|world| {
        let setup = served_then_alone(world);
        world.edit(
            "web",
            json!({"metadata": {"finalizers": null}, "spec": {"type": "ClusterIP", "loadBalancerClass": null}}),
        );
        let _controller = setup.start();
        world.nothing_left();
    });
}

#[test]
fn a_service_handed_to_another_class_through_another_type_is_let_go() {
    both(|world| {
        let setup = served_then_alone(world);
        world.edit("web", json!({"spec": {"type": "ClusterIP", "loadBalancerClass": null}}));
        world.edit("web", json!({"spec": {"type": "LoadBalancer", "loadBalancerClass": "example.com/lb"}}));
        let theirs = json!({"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.7"}]}}});
        world.api.patch(&format!("{}/status", world.path("web")), &theirs);
        let _controller = setup.start();
        world.nothing_left();
        let service = world.becomes("web", "our finalizer is gone", |service| finalizers(service).is_empty());
        assert_eq!(addresses(&service), ["192.0.2.7"], "the status is the new owner's");
    });
}

#[test]
fn of_a_service_that_was_only_refused_the_conditions_go_when_it_is_handed_to_another_class() {
    both(|world| {
        let setup = world.setup();
        let controller = setup.start();
        world.create("web", json!({"metadata": {"annotations": {"portolan.dev/load-balancer-ips": "banana"}}}));
        world.condition("web", "portolan.dev/Accepted", "False", "InvalidRequestedAddress");
        controller.kill();
        world.edit("web", json!({"spec": {"type": "ClusterIP", "loadBalancerClass": null}}));
        let service =
            world.edit("web", json!({"spec": {"type": "LoadBalancer", "loadBalancerClass": "example.com/lb"}}));
        let is_ours = |condition: &serde_json::Value| condition["type"].as_str().unwrap().starts_with("portolan.dev/");
        let count = |service: &serde_json::Value| {
            service["status"]["conditions"].as_array().into_iter().flatten().filter(|one| is_ours(one)).count()
        };
        assert!(count(&service) > 0, "the server keeps them: {service}");
        let _controller = setup.start();
        world.becomes("web", "our conditions are gone", |service| count(service) == 0);
    });
}

#[test]
fn a_lost_record_is_written_again_and_the_address_stays() {
    both(|world| {
        let setup = served_then_alone(world);
        let before = addresses(&world.service("web").unwrap());
        let name = world.records()[0]["metadata"]["name"].as_str().unwrap().to_owned();
        world.api.delete(&format!("/apis/portolan.dev/v1alpha1/loadbalancerrecords/{name}"));
        let _controller = setup.start();
        eventually("the record is back", SOON, || {
            if world.records().len() == 1 { Ok(()) } else { Err("no record".into()) }
        });
        assert_eq!(addresses(&world.service("web").unwrap()), before);
    });
}

#[test]
fn edits_made_meanwhile_are_served() {
    both(|world| {
        let setup = served_then_alone(world);
        let before = addresses(&world.service("web").unwrap());
        world.edit(
            "web",
            json!({"spec": {"ports": [{"name": "http", "port": 8000, "targetPort": 8080, "protocol": "TCP"}]}}),
        );
        let _controller = setup.start();
        let service = world.becomes("web", "the new port is listed", |service| {
            service["status"]["loadBalancer"]["ingress"][0]["ports"][0]["port"] == 8000
        });
        assert_eq!(addresses(&service), before);
    });
}

/// Somebody's controller in Go that never set the time, nor stuck to True, False and Unknown.
fn odd_condition() -> serde_json::Value {
    json!({"type": "example.com/Odd", "status": "Weird", "reason": "", "message": "", "lastTransitionTime": null})
}

/// Puts it before the conditions that are there.
fn make_odd(world: &World) -> serde_json::Value {
    let mut conditions = world.service("web").unwrap()["status"]["conditions"].as_array().cloned().unwrap_or_default();
    conditions.insert(0, odd_condition());
    world.api.patch(&format!("{}/status", world.path("web")), &json!({"status": {"conditions": conditions}}));
    let service = world.service("web").unwrap();
    assert_eq!(service["status"]["conditions"][0], odd_condition(), "the server keeps it as it is");
    service
}

#[test]
fn a_condition_without_a_time_takes_nothing_from_its_service() {
    both(|world| {
        let setup = served_then_alone(world);
        let odd = make_odd(world);
        let _controller = setup.start();
        // Its status is written after the restart, with the odd condition in the list.
        world.edit(
            "web",
            json!({"spec": {"ports": [{"name": "http", "port": 8000, "targetPort": 8080, "protocol": "TCP"}]}}),
        );
        let service = world.becomes("web", "the new port is listed", |service| {
            service["status"]["loadBalancer"]["ingress"][0]["ports"][0]["port"] == 8000
        });
        assert_eq!(addresses(&service), addresses(&odd), "the address stays");
        assert_eq!(service["status"]["conditions"][0], odd_condition(), "it is not ours to change");
        assert_eq!((world.records().len(), world.mock().balancers().len()), (1, 1));
        world.edit("web", json!({"spec": {"type": "ClusterIP", "loadBalancerClass": null}}));
        world.becomes("web", "our finalizer is gone", |service| finalizers(service).is_empty());
        world.edit("web", json!({"spec": {"type": "LoadBalancer", "loadBalancerClass": "portolan.dev/mock"}}));
        world.condition("web", "portolan.dev/Programmed", "True", "Programmed");
        make_odd(world);
        world.delete("web");
        world.nothing_left();
    });
}

#[test]
fn a_condition_without_a_time_stays_when_the_service_is_let_go() {
    both(|world| {
        let setup = world.setup();
        let _controller = setup.start();
        world.create("web", json!({}));
        world.condition("web", "portolan.dev/Programmed", "True", "Programmed");
        make_odd(world);
        world.edit("web", json!({"spec": {"type": "ClusterIP", "loadBalancerClass": null}}));
        let service = world.becomes("web", "our finalizer is gone", |service| finalizers(service).is_empty());
        assert_eq!(service["status"]["conditions"], json!([odd_condition()]));
        world.nothing_left();
    });
}
