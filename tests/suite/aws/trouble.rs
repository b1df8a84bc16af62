//! What goes wrong around a controller: SIGKILL, restarts, names of others. A process is killed here, as a whole, at the calls of a creation, an edit
//! and a deletion and some of a replace, after AWS has done what was asked; that the provider gets over it at each call of each, before it and
//! after it, its own cases hold (`providers/aws/tests/aws/provider/killed.rs`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use portolan_aws_double::{Call, Effect, Fault, Inventory};
use serde_json::json;

use super::cloud::{Cloud, annotations, behind, both, create, hostnames, served, wait};
use crate::harness::{SOON, Setup, condition, eventually};

/// The calls that remove a load balancer, in their order.
const REMOVING: [&str; 3] = ["DeleteLoadBalancer", "DeleteTargetGroup", "DeleteSecurityGroup"];

/// The calls that make a load balancer, in their order.
const MAKING: [&str; 6] = [
    "CreateSecurityGroup",
    "AuthorizeSecurityGroupIngress",
    "CreateTargetGroup",
    "CreateLoadBalancer",
    "CreateListener",
    "RegisterTargets",
];

/// Starts a controller that is to do something, and SIGKILLs it when AWS has done this call of it, before it hears of that.
fn killed_at(cloud: &Cloud, setup: &Setup, action: &str, something: impl FnOnce()) {
    let controller = setup.start();
    let mark = cloud.double.log().mark();
    // The answer never comes: the double's clock stands still.
    cloud.double.faults().arm(Fault::on(action, Effect::DelayAfter(Duration::from_secs(1))));
    something();
    eventually(&format!("{action} was called"), SOON, || {
        if cloud.double.faults().armed() == 0 { Ok(()) } else { Err(format!("{:?}", cloud.mutating(mark))) }
    });
    controller.kill();
    cloud.double.clock().advance(Duration::from_secs(1));
    let took_effect =
        |calls: &[Arc<Call>]| calls.iter().skip(mark).any(|call| call.action == *action && call.outcome.took_effect());
    let ended = async { tokio::time::timeout(SOON, cloud.double.log().wait_for(took_effect)).await };
    assert!(wait(ended).is_ok(), "{action} took effect");
}

#[test]
fn a_controller_that_is_killed_at_any_call_of_a_creation_ends_it_after_its_restart_and_doubles_nothing() {
    both(|world| {
        let cloud = Cloud::quick(world);
        let setup = cloud.setup(world);
        for (made, action) in MAKING.iter().enumerate() {
            let name = format!("web-{made}");
            killed_at(&cloud, &setup, action, || drop(create(world, &name, json!({}))));
            let controller = setup.start();
            let service = served(world, &name);
            let inventory = cloud.inventory();
            let all = made + 1;
            assert_eq!(
                (inventory.balancers.len(), inventory.groups.len(), inventory.listeners.len()),
                (all, all, all),
                "after {action}: {inventory:#?}"
            );
            assert_eq!(cloud.security_groups().len(), all + 1, "after {action}: one each, and the shared one");
            let found = cloud.balancers().into_values().find(|one| hostnames(&service) == [one.hostname.clone()]);
            assert!(found.is_some(), "after {action}: the name is that of a balancer");
            let targets = inventory.targets.values().filter(|targets| **targets == behind(&cloud, &service, 80));
            assert_eq!(targets.count(), 1, "after {action}: {inventory:#?}");
            controller.kill();
        }
        // Nothing is owned that the records do not know; and the calls of a deletion are as those of a creation.
        for (made, action) in REMOVING.iter().enumerate() {
            let name = format!("web-{made}");
            killed_at(&cloud, &setup, action, || world.delete(&name));
            let controller = setup.start();
            world.gone(&name);
            let left = MAKING.len() - 1 - made;
            let inventory = cloud.inventory();
            assert_eq!(
                (inventory.balancers.len(), inventory.groups.len(), cloud.security_groups().len()),
                (left, left, left + 1),
                "after {action}: {inventory:#?}"
            );
            controller.kill();
        }
        let controller = setup.start();
        for made in REMOVING.len()..MAKING.len() {
            world.delete(&format!("web-{made}"));
        }
        cloud.nothing_left(world);
        controller.is_well();
    });
}

/// The calls that move a Service from one port to another, in their order.
const EDITING: [&str; 7] = [
    "AuthorizeSecurityGroupIngress",
    "CreateTargetGroup",
    "CreateListener",
    "RegisterTargets",
    "DeleteListener",
    "DeleteTargetGroup",
    "RevokeSecurityGroupIngress",
];

#[test]
fn a_controller_that_is_killed_at_any_call_of_an_edit_ends_it_after_its_restart_and_leaves_nothing_of_what_was() {
    both(|world| {
        let cloud = Cloud::quick(world);
        let setup = cloud.setup(world);
        let controller = setup.start();
        create(world, "web", json!({}));
        served(world, "web");
        controller.kill();
        let balancer = cloud.balancer();
        for (edit, action) in EDITING.iter().enumerate() {
            let port = if edit % 2 == 0 { 443 } else { 80 };
            let ports = json!([{"name": "http", "port": port, "targetPort": 8080, "protocol": "TCP"}]);
            killed_at(&cloud, &setup, action, || drop(world.edit("web", json!({"spec": {"ports": ports}}))));
            let controller = setup.start();
            let service = served(world, "web");
            let wanted = BTreeMap::from([(port, behind(&cloud, &service, port))]);
            let rule = BTreeSet::from([format!("tcp {port}-{port} 0.0.0.0/0")]);
            eventually(&format!("after {action} there is the new port alone"), SOON, || {
                let found = (cloud.targets(), cloud.inventory().groups.len(), cloud.let_in());
                if found == (wanted.clone(), 1, rule.clone()) { Ok(()) } else { Err(format!("{found:?}")) }
            });
            assert_eq!(cloud.balancer(), balancer, "after {action}: the same balancer");
            controller.kill();
        }
    });
}

/// Of the calls that make another balancer beside one: those at which something new is there, or the first is given up.
const REPLACING: [&str; 4] = ["CreateTargetGroup", "CreateLoadBalancer", "RegisterTargets", "AddTags"];

#[test]
fn a_controller_that_is_killed_while_it_replaces_a_balancer_makes_one_successor_and_publishes_it() {
    both(|world| {
        let cloud = Cloud::quick(world);
        let setup = cloud.setup(world);
        for (replaced, action) in REPLACING.iter().enumerate() {
            let name = format!("web-{replaced}");
            let controller = setup.start();
            create(world, &name, json!({}));
            let before = hostnames(&served(world, &name));
            controller.kill();
            let public = json!({"metadata": {"annotations": {"portolan.dev/scheme": "public"}}});
            killed_at(&cloud, &setup, action, || drop(world.edit(&name, public)));
            let controller = setup.start();
            let service = world.becomes(&name, "its successor is published", |service| {
                hostnames(service).len() == 1 && hostnames(service) != before
            });
            let public: Vec<_> =
                cloud.balancers().into_values().filter(|one| one.scheme == "internet-facing").collect();
            assert_eq!(public.len(), replaced + 1, "after {action}: one successor each: {public:#?}");
            assert!(public.iter().any(|one| hostnames(&service) == [one.hostname.clone()]), "after {action}");
            // The first stays for those who know its name; that it goes in the end, `edits.rs` and `provider/killed.rs` have.
            assert!(cloud.inventory().balancers.len() <= 2 * (replaced + 1), "after {action}");
            controller.kill();
        }
        let controller = setup.start();
        for replaced in 0..REPLACING.len() {
            world.delete(&format!("web-{replaced}"));
        }
        cloud.nothing_left(world);
        controller.is_well();
    });
}

#[test]
fn a_restart_over_a_settled_estate_changes_nothing_at_aws_and_writes_nothing_to_kubernetes() {
    both(|world| {
        let cloud = Cloud::quick(world);
        let setup = cloud.setup(world);
        let controller = setup.start();
        let names = ["a", "b", "c"];
        for name in names {
            create(world, name, json!({}));
        }
        for name in names {
            served(world, name);
        }
        crate::at_rest::settled(world, &controller.user);
        controller.kill();

        let versions = || names.map(|name| world.service(name).unwrap()["metadata"]["resourceVersion"].clone());
        let (before, mark) = (versions(), cloud.double.log().mark());
        // The ARNs of what a Service has, by the tag that has its UID.
        let inventory = cloud.inventory();
        let of_service = |name: &str| -> Vec<String> {
            let uid = world.service(name).unwrap()["metadata"]["uid"].as_str().unwrap().to_owned();
            let has_uid = |tags: &BTreeMap<String, String>| tags.values().any(|value| value.contains(&uid));
            let arns: Vec<String> =
                inventory.tags.iter().filter(|(_, tags)| has_uid(tags)).map(|(arn, _)| arn.clone()).collect();
            assert_eq!(arns.len(), 3, "balancer, group and listener");
            arns
        };
        let twin = setup.twin(world);
        world.server.grant_readiness_gates(&twin.user);
        let controller = twin.start();
        // It has come to each: of all three it asks how the targets are, which nobody remembers.
        eventually("each was looked at", SOON, || {
            let asked: BTreeMap<String, usize> = cloud
                .calls(mark)
                .iter()
                .filter(|call| call.action == "DescribeTargetHealth")
                .flat_map(|call| call.principals.clone())
                .fold(BTreeMap::new(), |mut asked, group| {
                    *asked.entry(group).or_default() += 1;
                    asked
                });
            if asked.len() == names.len() { Ok(()) } else { Err(format!("{asked:?}")) }
        });
        // And a Service that comes now is served, behind whatever it might have to do for them.
        create(world, "d", json!({}));
        served(world, "d");
        crate::at_rest::settled(world, &controller.user);
        assert_eq!(versions(), before);
        let others: Vec<_> = world
            .writes(&controller.user)
            .into_iter()
            .filter(|write| {
                let about_d = write.name == "d" || write.name.starts_with("d.") || write.verb == "create";
                let uid = world.service("d").unwrap()["metadata"]["uid"].as_str().unwrap().to_owned();
                !about_d && !write.name.contains(&uid)
            })
            .collect();
        assert!(others.is_empty(), "{others:#?}");
        let old: Vec<String> = names.iter().flat_map(|name| of_service(name)).collect();
        let about_old = |call: &&Arc<Call>| old.iter().any(|arn| call.is_about(arn));
        let calls = cloud.calls(mark);
        let touched: Vec<_> = calls.iter().filter(|call| call.is_mutating()).filter(about_old).collect();
        assert!(touched.is_empty(), "{touched:#?}");
        controller.is_well();
    });
}

#[test]
fn a_name_that_a_foreign_balancer_has_is_refused_and_that_one_is_left_alone() {
    both(|world| {
        let cloud = Cloud::quick(world);
        let [a, b, ..] = cloud.seed.private_subnets.as_slice() else { panic!("three subnets") };
        let theirs = [
            ("Name", "theirs"),
            ("Type", "network"),
            ("Scheme", "internal"),
            ("Subnets.member.1", a),
            ("Subnets.member.2", b),
        ];
        cloud.elb("CreateLoadBalancer", &theirs);
        let before = (cloud.balancer(), cloud.inventory());
        let controller = cloud.setup(world).start();
        create(world, "web", annotations(&[("aws-load-balancer-name", "theirs")]));
        let service = world.condition("web", "portolan.dev/Programmed", "False", "NameTaken");
        assert!(
            condition(&service, "portolan.dev/Programmed").unwrap()["message"].as_str().unwrap().contains("theirs")
        );
        assert!(hostnames(&service).is_empty(), "{service:#}");
        assert_eq!((cloud.balancer(), cloud.inventory().listeners), (before.0.clone(), before.1.listeners.clone()));
        let tags = |inventory: &Inventory| inventory.tags.get(&before.0.arn).cloned();
        assert_eq!(tags(&cloud.inventory()), tags(&before.1));

        // Under a name of its own it is served.
        world.edit("web", annotations(&[("aws-load-balancer-name", "ours")]));
        served(world, "web");
        assert_eq!(cloud.balancers().into_keys().collect::<Vec<_>>(), ["ours", "theirs"]);
        world.delete("web");
        world.gone("web");
        eventually("only theirs is left", SOON, || {
            let left: Vec<_> = cloud.balancers().into_keys().collect();
            if left == ["theirs"] { Ok(()) } else { Err(format!("{left:?}")) }
        });
        controller.is_well();
    });
}
