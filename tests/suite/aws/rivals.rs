//! Two controllers at once over one account of AWS: nothing is made twice, and nothing of others is touched.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use portolan_aws_double::{Call, Effect, Fault};
use serde_json::{Value, json};

use super::cloud::{Balancer, Cloud, annotations, behind, both, create, environment, hostnames, served, wait};
use crate::harness::{SOON, Setup, World, eventually};

/// The access key of the second of two.
const RIVAL: &str = "AKIDRIVAL";

/// The same controller once more: another user of Kubernetes, another key of AWS.
fn rival(cloud: &Cloud, setup: &Setup, world: &World) -> Setup {
    let twin = setup.twin(world);
    world.server.grant_readiness_gates(&twin.user);
    let key = |(name, value): (String, String)| match name.as_str() {
        "AWS_ACCESS_KEY_ID" => (name, RIVAL.to_owned()),
        _ => (name, value),
    };
    twin.environment(environment(&cloud.double.endpoint()).into_iter().map(key).collect())
}

/// What each of these Services has at AWS, and it has it once: its own balancer with these ports, and behind each all instances.
fn each_has_its_own(cloud: &Cloud, world: &World, wanted: &BTreeMap<String, u16>) -> Result<(), String> {
    let inventory = cloud.inventory();
    let named: BTreeMap<String, String> =
        cloud.balancers().into_iter().map(|(name, balancer)| (balancer.hostname, name)).collect();
    let mut told = BTreeSet::new();
    for (name, port) in wanted {
        let service = world.service(name).ok_or_else(|| format!("{name} is not there"))?;
        let published = hostnames(&service);
        let [hostname] = published.as_slice() else { return Err(format!("{name}: {published:?}")) };
        let balancer = named.get(hostname).ok_or_else(|| format!("{name}: {hostname} is nobody's"))?;
        let listeners: Vec<_> = inventory.listeners.iter().filter(|((of, _), _)| of == balancer).collect();
        let [((_, listening), (_, groups))] = listeners.as_slice() else { return Err(format!("{listeners:?}")) };
        let targets: BTreeSet<_> = groups.iter().filter_map(|group| inventory.targets.get(group)).flatten().collect();
        if listening != port || targets != behind(cloud, &service, *port).iter().collect() {
            return Err(format!("{name}: {listening} to {targets:?}"));
        }
        told.insert(balancer.clone());
    }
    let (balancers, groups) = (inventory.balancers.len(), inventory.groups.len());
    // Each has a security group of its own, and there is the one that all share.
    let all = [told.len(), groups, inventory.listeners.len(), cloud.security_groups().len() - 1];
    // One balancer is somebody else's.
    if balancers == wanted.len() + 1 && all == [wanted.len(); 4] {
        Ok(())
    } else {
        Err(format!("{balancers}, {all:?}"))
    }
}

/// A balancer of nobody here.
fn theirs(cloud: &Cloud) -> String {
    let subnet = &cloud.seed.private_subnets[0];
    let pairs =
        [("Name", "theirs"), ("Type", "network"), ("Scheme", "internal"), ("Subnets.member.1", subnet.as_str())];
    cloud.elb("CreateLoadBalancer", &pairs);
    cloud.balancers().remove("theirs").unwrap().arn
}

fn ports(number: u16) -> Value {
    json!({"spec": {"ports": [{"name": "http", "port": number, "targetPort": 8080, "protocol": "TCP"}]}})
}

/// The calls that changed something, by who made them.
fn writes(cloud: &Cloud) -> BTreeMap<String, usize> {
    let calls = cloud.double.log().calls();
    let took_effect = |call: &&Arc<Call>| call.is_mutating() && call.outcome.took_effect();
    calls.iter().filter(took_effect).fold(BTreeMap::new(), |mut counts, call| {
        *counts.entry(call.caller.access_key.clone()).or_default() += 1;
        counts
    })
}

#[test]
fn two_controllers_without_an_election_make_nothing_twice_and_clean_up_everything() {
    const SERVICES: usize = 6;
    both(|world| {
        let cloud = Cloud::quick(world);
        let foreign = theirs(&cloud);
        let setup = cloud.setup(world);
        let (one, two) = (setup.start(), rival(&cloud, &setup, world).start());
        let mut wanted: BTreeMap<String, u16> = (0..SERVICES).map(|number| (format!("web-{number}"), 80)).collect();
        for name in wanted.keys() {
            create(world, name, json!({}));
        }
        eventually("each is served once", SOON * 2, || each_has_its_own(&cloud, world, &wanted));
        for (number, (name, port)) in wanted.iter_mut().enumerate() {
            if number % 2 == 0 {
                *port = 443;
                world.edit(name, ports(443));
            } else {
                let attributes = "load_balancing.cross_zone.enabled=true";
                world.edit(name, annotations(&[("aws-load-balancer-attributes", attributes)]));
            }
        }
        eventually("each edit is served once", SOON * 2, || {
            each_has_its_own(&cloud, world, &wanted)?;
            let balancers = cloud.balancers();
            let crossing =
                |balancer: &&Balancer| cloud.attribute(&balancer.arn, "load_balancing.cross_zone.enabled") == "true";
            let crossing = balancers.values().filter(crossing).count();
            if crossing == SERVICES / 2 { Ok(()) } else { Err(format!("{crossing} cross zones")) }
        });
        assert_eq!(world.records().len(), SERVICES);
        let writes = writes(&cloud);
        assert!(writes.contains_key(RIVAL) && writes.len() == 3, "both have worked: {writes:?}");

        world.kubectl(&["delete", "services", "--all", "--wait=false"]).unwrap();
        eventually("only theirs is left", SOON * 2, || {
            let left = (cloud.balancers().into_keys().collect::<Vec<_>>(), cloud.inventory().groups, world.records());
            if left.0 == ["theirs"] && left.1.is_empty() && left.2.is_empty() {
                Ok(())
            } else {
                Err(format!("{left:?}"))
            }
        });
        let by_hand = |call: &&Arc<Call>| !call.caller.access_key.starts_with("AKID");
        let calls = cloud.double.log().calls();
        let touched = calls.iter().filter(|call| call.is_mutating() && call.is_about(&foreign) && !by_hand(call));
        assert_eq!(touched.count(), 0, "theirs is touched by nobody");
        cloud.elb("DeleteLoadBalancer", &[("LoadBalancerArn", &foreign)]);
        // The group that all targets share is deleted by the last user, and each of the two may take the other's for users that are gone
        // (docs/aws.md): it may be left, without a rule.
        eventually("nothing is left but the shared group", SOON * 2, || {
            let (inventory, groups, records) = (cloud.inventory(), cloud.security_groups(), world.records());
            if inventory.is_empty() && records.is_empty() && groups.len() < 2 && groups.values().all(BTreeSet::is_empty)
            {
                Ok(())
            } else {
                Err(format!("{inventory:#?} {groups:#?} {records:#?}"))
            }
        });
        one.is_well();
        two.is_well();
    });
}

/// The leader is stopped (SIGSTOP) while AWS makes its balancer; its lease expires, another leads; then it goes on with AWS's answer in its hands.
#[test]
fn a_leader_that_wakes_up_after_another_has_taken_over_changes_nothing_more_and_nothing_is_double() {
    both(|world| {
        let cloud = Cloud::quick(world);
        let setup = cloud.setup(world).with_leader_election();
        let one = setup.start();
        cloud.double.faults().arm(Fault::on("CreateLoadBalancer", Effect::DelayAfter(Duration::from_secs(1))));
        create(world, "web", json!({}));
        eventually("its balancer is asked for", SOON, || {
            if cloud.double.faults().armed() == 0 { Ok(()) } else { Err(format!("{:?}", cloud.mutating(0))) }
        });
        one.process.signal("STOP");
        cloud.double.clock().advance(Duration::from_secs(1));
        let made = |calls: &[Arc<Call>]| calls.iter().any(|call| call.action == "CreateLoadBalancer");
        wait(async { tokio::time::timeout(SOON, cloud.double.log().wait_for(made)).await }).expect("it is made");

        let two = rival(&cloud, &setup, world).start();
        let service = served(world, "web");
        let before = (cloud.inventory(), cloud.security_groups(), cloud.double.log().mark());
        one.process.signal("CONT");
        eventually("it knows that it leads no more", SOON, || {
            if one.log().contains("not leading any more") { Ok(()) } else { Err(one.log()) }
        });
        // What comes now is the second's work alone.
        world.edit("web", ports(443));
        eventually("the edit is served", SOON, || {
            if cloud.listeners() == [(443, "TCP".to_owned())] {
                Ok(())
            } else {
                Err(format!("{:?}", cloud.listeners()))
            }
        });
        served(world, "web");
        // It may ask once more for what it was asking when it was stopped: AWS answers with the one that there is.
        let more = cloud.mutating(before.2);
        assert!(more.is_empty() || more == ["CreateLoadBalancer"], "{more:?}");
        assert_eq!(cloud.inventory().balancers, before.0.balancers);
        eventually("what served the old port is gone", SOON, || {
            let left = (cloud.inventory().groups.len(), cloud.security_groups().len());
            if left == (1, before.1.len()) { Ok(()) } else { Err(format!("{left:?}")) }
        });
        assert_eq!(hostnames(&world.service("web").unwrap()), hostnames(&service));
        world.delete("web");
        cloud.nothing_left(world);
        two.is_well();
    });
}
