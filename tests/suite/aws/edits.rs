//! What an edit does to what exists.

use std::collections::BTreeSet;
use std::time::Duration;

use portolan_aws_double::Timings;
use portolan_aws_double::emulator::Which;
use serde_json::{Value, json};

use super::cloud::{CLASS, Cloud, annotations, behind, both, create, hostnames, served};
use crate::harness::{SOON, World, condition, eventually, finalizers};

const CROSS_ZONE: &str = "load_balancing.cross_zone.enabled";

/// Waits until AWS is as it should be.
fn becomes<T: PartialEq + std::fmt::Debug>(what: &str, wanted: T, found: impl Fn() -> T) {
    eventually(what, SOON, || {
        let found = found();
        if found == wanted { Ok(()) } else { Err(format!("{found:?}")) }
    });
}

fn rules(rules: &[&str]) -> BTreeSet<String> {
    rules.iter().map(|rule| (*rule).to_owned()).collect()
}

#[test]
fn ports_source_ranges_and_attributes_are_changed_in_place_and_what_is_taken_back_is_as_aws_has_it() {
    both(|world| {
        let cloud = Cloud::quick(world);
        let controller = cloud.setup(world).start();
        create(world, "web", json!({}));
        let before = hostnames(&served(world, "web"));
        let balancer = cloud.balancer();

        let ports = |ports: Value| json!({"spec": {"ports": ports}});
        world.edit("web", ports(json!([{"name": "http", "port": 443, "targetPort": 8080, "protocol": "TCP"}])));
        becomes("one port went, one came", vec![(443, "TCP".to_owned())], || cloud.listeners());
        becomes("so did their rules", rules(&["tcp 443-443 0.0.0.0/0"]), || cloud.let_in());
        let service = world.becomes("web", "the status says so", |service| {
            service["status"]["loadBalancer"]["ingress"][0]["ports"] == json!([{"port": 443, "protocol": "TCP"}])
        });
        becomes("its targets are those of the new port", Some(behind(&cloud, &service, 443)), || {
            cloud.targets().remove(&443)
        });
        becomes("the group of the port that went is gone", 1, || cloud.inventory().groups.len());

        world.edit("web", json!({"spec": {"loadBalancerSourceRanges": ["192.0.2.0/24", "198.51.100.7/32"]}}));
        let ranges = rules(&["tcp 443-443 192.0.2.0/24", "tcp 443-443 198.51.100.7/32"]);
        becomes("only they get in", ranges, || cloud.let_in());
        world.edit("web", json!({"spec": {"loadBalancerSourceRanges": null}}));
        becomes("everybody gets in again", rules(&["tcp 443-443 0.0.0.0/0"]), || cloud.let_in());

        world.edit("web", annotations(&[("aws-load-balancer-attributes", &format!("{CROSS_ZONE}=true"))]));
        becomes("the attribute is set", "true".to_owned(), || cloud.attribute(&balancer.arn, CROSS_ZONE));
        let gone =
            json!({"metadata": {"annotations": {"service.beta.kubernetes.io/aws-load-balancer-attributes": null}}});
        world.edit("web", gone);
        becomes("AWS's own value is back", "false".to_owned(), || cloud.attribute(&balancer.arn, CROSS_ZONE));

        assert_eq!(cloud.balancer(), balancer, "the same balancer all the while");
        assert_eq!(hostnames(&served(world, "web")), before);
        controller.is_well();
    });
}

#[test]
fn a_scheme_is_changed_by_a_successor_and_the_old_name_stands_until_that_is_active_and_healthy() {
    both(|world| {
        let timings = Timings {
            provisioning: Duration::from_secs(150),
            registration: Duration::from_secs(180),
            ..Timings::none()
        };
        let cloud = Cloud::at(Which::Moto, world, timings);
        let controller = cloud.setup(world).start();
        create(world, "web", json!({}));
        becomes("the first has its targets", 3, || cloud.targets().values().map(BTreeSet::len).sum());
        cloud.double.clock().advance(timings.provisioning + timings.registration);
        let old = hostnames(&served(world, "web"));
        let first = cloud.balancer();

        world.edit("web", json!({"metadata": {"annotations": {"portolan.dev/scheme": "public"}}}));
        becomes("a successor is beside it, with targets", (2, 6), || {
            let inventory = cloud.inventory();
            (inventory.balancers.len(), inventory.targets.values().map(BTreeSet::len).sum::<usize>())
        });
        let second = cloud.balancers().into_values().find(|balancer| balancer.arn != first.arn).unwrap();
        assert_eq!((first.scheme.as_str(), second.scheme.as_str()), ("internal", "internet-facing"));
        world.condition("web", "portolan.dev/Programmed", "False", "Provisioning");
        assert_eq!(hostnames(&world.service("web").unwrap()), old, "not active");

        cloud.double.clock().advance(timings.provisioning);
        world.condition("web", "portolan.dev/Programmed", "True", "Programmed");
        assert_eq!(hostnames(&world.service("web").unwrap()), old, "active, and nobody behind it is healthy yet");

        cloud.double.clock().advance(timings.registration);
        world.becomes("web", "it has the successor's name alone", |service| {
            hostnames(service) == std::slice::from_ref(&second.hostname)
        });
        // Clients may know the old name's addresses for two minutes.
        let is_there = |arn: &str| cloud.balancers().values().any(|balancer| balancer.arn == arn);
        assert!(is_there(&first.arn), "the first still serves those who know it");
        eventually("the first is drained and deleted", Duration::from_secs(240), || {
            if is_there(&first.arn) { Err("it is there".to_owned()) } else { Ok(()) }
        });
        eventually("and what belonged to it", SOON, || {
            let left = (cloud.inventory().groups.len(), cloud.security_groups().len());
            // Its own, and the one that all balancers share.
            if left == (1, 2) { Ok(()) } else { Err(format!("{left:?} groups and security groups")) }
        });
        assert_eq!(cloud.balancer(), second);
        assert_eq!(hostnames(&served(world, "web")), [second.hostname]);
        controller.is_well();
    });
}

#[test]
fn a_service_that_becomes_another_type_is_cleaned_up() {
    both(|world| {
        let cloud = Cloud::quick(world);
        let controller = cloud.setup(world).start();
        create(world, "web", json!({}));
        served(world, "web");
        world.edit("web", json!({"spec": {"type": "ClusterIP", "loadBalancerClass": null}}));
        cloud.nothing_left(world);
        let service = world.becomes("web", "no mark of ours is on it", |service| {
            finalizers(service).is_empty() && condition(service, "portolan.dev/Accepted").is_none()
        });
        assert_eq!(service["status"]["loadBalancer"], json!({}));
        controller.is_well();
    });
}

#[test]
fn nodes_without_an_instance_of_the_cloud_keep_no_other_from_being_a_target() {
    both(|world: &World| {
        let ids = world.api.list("/api/v1/nodes").into_iter().map(|node| node["spec"]["providerID"].clone());
        let (aws, others): (Vec<Value>, Vec<Value>) =
            ids.partition(|id| id.as_str().is_some_and(|id| id.starts_with("aws://")));
        assert_eq!((aws.len(), others.len()), (3, 3), "{others:?}");
        let cloud = Cloud::quick(world);
        let controller = cloud.setup(world).start();
        create(world, "web", json!({}));
        let service = served(world, "web");
        assert_eq!(cloud.targets().remove(&80), Some(behind(&cloud, &service, 80)));
        controller.is_well();
    });
}

#[test]
fn a_class_that_names_nothing_but_the_cluster_finds_its_vpc() {
    both(|world| {
        let cloud = Cloud::quick(world);
        let controller = cloud.setup(world).class(json!({"parameters": {"vpcId": null}})).start();
        create(world, "web", json!({}));
        served(world, "web");
        assert_eq!(cloud.balancer().zones, 3);
        controller.is_well();
    });
}

#[test]
fn a_service_without_endpoints_has_its_name_and_says_that_nobody_answers() {
    both(|world| {
        let cloud = Cloud::quick(world);
        let controller = cloud.setup(world).start();
        world.create_without_endpoints("web", json!({"spec": {"loadBalancerClass": CLASS}}));
        world.condition("web", "portolan.dev/Programmed", "True", "Programmed");
        let service = world.condition("web", "portolan.dev/Reachable", "False", "NoEndpoints");
        assert_eq!(hostnames(&service), [cloud.balancer().hostname]);
        world.create_slice("web", &["10.200.0.10"]);
        served(world, "web");
        controller.is_well();
    });
}
