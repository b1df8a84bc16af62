//! Two Services on one balancer.

use std::collections::BTreeSet;
use std::time::Duration;

use portolan_aws_double::Timings;
use portolan_aws_double::emulator::Which;
use serde_json::{Value, json};

use super::cloud::{Cloud, annotations, both, create, hostnames, served};
use crate::harness::{SOON, World, condition, eventually, merged};

fn asks(port: u16) -> Value {
    json!({
        "metadata": {"annotations": {"portolan.dev/share": "front"}},
        "spec": {"ports": [{"name": "http", "port": port, "targetPort": 8080, "protocol": "TCP"}]},
    })
}

/// Waits until a Service is programmed, and its status tells of all the ports that it has now; the Service.
fn programmed(world: &World, name: &str) -> Value {
    world.becomes(name, "it is programmed with all its ports", |service| {
        let told = service["status"]["loadBalancer"]["ingress"][0]["ports"].as_array().map(Vec::len);
        told == service["spec"]["ports"].as_array().map(Vec::len)
            && condition(service, "portolan.dev/Programmed").is_some_and(|one| one["status"] == "True")
    })
}

#[test]
fn two_services_of_one_share_are_listeners_of_one_balancer_and_one_that_goes_leaves_the_other_as_it_is() {
    both(|world| {
        let cloud = Cloud::quick(world);
        let controller = cloud.setup(world).start();
        create(world, "shop", asks(80));
        let name = hostnames(&served(world, "shop"));
        create(world, "admin", asks(8443));
        assert_eq!(hostnames(&served(world, "admin")), name, "one balancer");
        assert_eq!(cloud.listeners(), [(80, "TCP".to_owned()), (8443, "TCP".to_owned())]);
        let rules = ["tcp 80-80 0.0.0.0/0", "tcp 8443-8443 0.0.0.0/0"].map(str::to_owned);
        assert_eq!(cloud.let_in(), BTreeSet::from(rules));
        let ports = |name: &str| world.service(name).unwrap()["status"]["loadBalancer"]["ingress"][0]["ports"].clone();
        assert_eq!(ports("shop"), json!([{"port": 80, "protocol": "TCP"}]));
        assert_eq!(ports("admin"), json!([{"port": 8443, "protocol": "TCP"}]));

        // A third that wants a port that is taken is refused, and disturbs nobody.
        create(world, "late", asks(80));
        let late = world.becomes("late", "it is refused", |service| {
            condition(service, "portolan.dev/Accepted").is_some_and(|one| one["status"] == "False")
        });
        assert!(hostnames(&late).is_empty(), "{late:#}");
        world.delete("late");
        world.gone("late");

        let before = cloud.balancer();
        world.delete("shop");
        world.gone("shop");
        eventually("only what is the other's is left", SOON, || {
            let left = (cloud.listeners(), cloud.inventory().groups.len(), cloud.let_in());
            let rule = BTreeSet::from(["tcp 8443-8443 0.0.0.0/0".to_owned()]);
            if left == (vec![(8443, "TCP".to_owned())], 1, rule) { Ok(()) } else { Err(format!("{left:?}")) }
        });
        assert_eq!(cloud.balancer(), before);
        assert_eq!(hostnames(&served(world, "admin")), name);

        world.delete("admin");
        world.gone("admin");
        cloud.nothing_left(world);
        controller.is_well();
    });
}

#[test]
fn a_number_that_another_member_has_is_refused_to_who_asks_later_and_nobody_else_hears_of_it() {
    both(|world| {
        let cloud = Cloud::quick(world);
        let controller = cloud.setup(world).start();
        create(world, "shop", asks(80));
        let name = hostnames(&served(world, "shop"));
        let udp = |port: u16| json!({"name": format!("u{port}"), "port": port, "protocol": "UDP"});
        create(world, "late", merged(asks(0), json!({"spec": {"ports": [udp(86), udp(80)]}})));
        let late = programmed(world, "late");
        let accepted = condition(&late, "portolan.dev/Accepted").unwrap();
        assert_eq!(accepted["reason"], "PortsRefused", "{accepted:#}");
        let message = accepted["message"].as_str().unwrap();
        let other = format!("Service {}/shop's", world.namespace);
        assert!(message.contains("80/UDP: ") && message.contains(&other), "{message}");
        let ports = &late["status"]["loadBalancer"]["ingress"][0]["ports"];
        assert_eq!((&ports[0]["port"], &ports[0]["error"]), (&json!(86), &Value::Null), "{late:#}");
        assert_eq!((&ports[1]["port"], ports[1]["error"].is_string()), (&json!(80), true), "{late:#}");
        assert_eq!(cloud.listeners(), [(80, "TCP".to_owned()), (86, "UDP".to_owned())]);

        // Nor does a later one open the balancer of one that says nothing.
        let public = annotations(&[("aws-load-balancer-scheme", "internet-facing")]);
        create(world, "open", merged(asks(8443), public));
        let open = world.condition("open", "portolan.dev/Accepted", "False", "ShareConflict");
        let message = condition(&open, "portolan.dev/Accepted").unwrap()["message"].as_str().unwrap();
        assert!(message.contains("aws-load-balancer-scheme") && message.contains("/shop,"), "{message}");
        assert_eq!(cloud.balancer().scheme, "internal");

        assert_eq!(hostnames(&served(world, "shop")), name);
        let told: Vec<Value> = world.events("shop").into_iter().filter(|event| event["type"] == "Warning").collect();
        assert!(told.is_empty(), "{told:#?}");
        controller.is_well();
    });
}

#[test]
fn who_stays_is_programmed_while_aws_still_holds_what_another_one_has_left() {
    both(|world| {
        let release = Duration::from_secs(3600);
        let cloud = Cloud::at(Which::Moto, world, Timings { release, ..Timings::none() });
        let controller = cloud.setup(world).start();
        create(world, "shop", asks(80));
        create(world, "admin", asks(8443));
        served(world, "shop");
        served(world, "admin");
        let mark = cloud.double.log().calls().len();
        world.delete("admin");
        eventually("the group that is left is to be deleted, and AWS says that it is in use", SOON, || {
            let calls = cloud.mutating(mark);
            if calls.iter().any(|action| action == "DeleteTargetGroup") { Ok(()) } else { Err(format!("{calls:?}")) }
        });
        // What is desired meanwhile is done, and all that is said of it: the clock of AWS stands.
        let port = |number: u16| json!({"name": format!("p{number}"), "port": number, "targetPort": 8080});
        world.edit("shop", json!({"spec": {"ports": [port(80), port(443)]}}));
        programmed(world, "shop");
        assert_eq!(cloud.listeners(), [(80, "TCP".to_owned()), (443, "TCP".to_owned())]);
        let rules = ["tcp 80-80 0.0.0.0/0", "tcp 443-443 0.0.0.0/0"].map(str::to_owned);
        assert_eq!(cloud.let_in(), BTreeSet::from(rules), "what is left is closed without waiting for AWS");
        assert_eq!(cloud.inventory().groups.len(), 3, "the group that is left is there");
        let told: Vec<Value> = world.events("shop").into_iter().filter(|event| event["type"] == "Warning").collect();
        assert!(told.is_empty(), "{told:#?}");

        world.delete("shop");
        eventually("the balancer goes", SOON, || {
            let balancers = cloud.balancers();
            if balancers.is_empty() { Ok(()) } else { Err(format!("{balancers:?}")) }
        });
        cloud.double.clock().advance(release);
        world.gone("admin");
        world.gone("shop");
        cloud.nothing_left(world);
        controller.is_well();
    });
}

#[test]
fn a_name_that_comes_late_changes_nothing_and_who_asks_for_it_is_told() {
    both(|world| {
        let cloud = Cloud::quick(world);
        let controller = cloud.setup(world).start();
        let named = |name: &str| annotations(&[("aws-load-balancer-name", name)]);
        create(world, "shop", asks(80));
        let hostname = hostnames(&served(world, "shop"));
        let before = cloud.balancer();
        create(world, "late", merged(asks(8443), named("late-name")));
        let told = |name: &str| {
            let service = served(world, name);
            let accepted = condition(&service, "portolan.dev/Accepted").unwrap();
            accepted["message"].as_str().unwrap().to_owned()
        };
        let message = told("late");
        assert!(
            message.contains("aws-load-balancer-name has no effect: late-name is for a load balancer"),
            "{message}"
        );
        assert!(!told("shop").contains("no effect"), "whoever has not asked hears nothing");
        world.edit("late", json!({"metadata": {"annotations": {"portolan.dev/allow-downtime": "true"}}}));
        world.edit(
            "shop",
            merged(named("late-name"), json!({"metadata": {"annotations": {"portolan.dev/allow-downtime": "true"}}})),
        );
        world.becomes("shop", "it is told too", |service| {
            let accepted = condition(service, "portolan.dev/Accepted");
            accepted.is_some_and(|one| one["message"].as_str().unwrap().contains("no effect"))
        });
        assert_eq!(hostnames(&served(world, "shop")), hostname);
        assert_eq!(cloud.balancer(), before);
        controller.is_well();
    });
}
