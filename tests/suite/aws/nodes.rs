//! Nodes that come and go, as an autoscaler moves them: what that costs at AWS, and who waits for it. On a server where nobody else is, since
//! nodes are everybody's.

use std::sync::Arc;
use std::time::{Duration, Instant};

use portolan_aws_double::Call;
use portolan_aws_double::emulator::Which;
use serde_json::{Value, json};

use super::cloud::{Cloud, REGION, both_alone, create, node_port, served, wait};
use crate::harness::{SOON, World, eventually};

/// No two changes of one batch may be further apart (`src/controller/lull.rs`).
const LULL: Duration = Duration::from_secs(1);
/// No batch is held longer.
const AT_MOST: Duration = Duration::from_secs(5);
/// How long it may take until a node that comes alone is a target: a second (the unit's own tests hold that), and what a busy machine needs.
const ALONE: Duration = AT_MOST;

/// Instances that are no nodes yet.
fn instances(cloud: &Cloud, number: usize) -> Vec<String> {
    let (number, subnet) = (number.to_string(), &cloud.seed.private_subnets[0]);
    let answer = cloud.ec2(
        "RunInstances",
        &[
            ("ImageId", "ami-12c6146b"),
            ("MinCount", &number),
            ("MaxCount", &number),
            ("InstanceType", "t3.micro"),
            ("SubnetId", subnet),
            ("SecurityGroupId.1", &cloud.seed.security_group),
        ],
    );
    let instances = &answer.at(&["instancesSet"]).unwrap().children;
    instances.iter().map(|one| one.text_at(&["instanceId"]).unwrap().to_owned()).collect()
}

/// They join the cluster, one after the other, each as a kubelet does: the node first, then its addresses. How long that took, and how long
/// the longest pause was.
fn join(world: &World, instances: &[String]) -> (Duration, Duration) {
    timed(instances, |number, id| {
        let spec = json!({"providerID": format!("aws:///{REGION}a/{id}")});
        let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": id}, "spec": spec});
        world.api.create("/api/v1/nodes", &node);
        let addresses = json!([{"type": "InternalIP", "address": format!("10.0.100.{}", 20 + number)}]);
        let status = json!({"addresses": addresses, "conditions": [{"type": "Ready", "status": "True"}]});
        world.api.patch(&format!("/api/v1/nodes/{id}/status"), &json!({"status": status}));
    })
}

fn leave(world: &World, instances: &[String]) -> (Duration, Duration) {
    timed(instances, |_, id| world.api.delete(&format!("/api/v1/nodes/{id}")))
}

fn timed(instances: &[String], mut each: impl FnMut(usize, &str)) -> (Duration, Duration) {
    let began = Instant::now();
    let pauses = instances.iter().enumerate().map(|(number, id)| {
        let began = Instant::now();
        each(number, id);
        began.elapsed()
    });
    let longest = pauses.max().unwrap_or_default();
    (began.elapsed(), longest)
}

/// The machine was so slow that what was to be one batch need not be one.
fn too_slow((all, longest): (Duration, Duration)) -> bool {
    longest > LULL / 2 || all > AT_MOST - LULL
}

/// Waits until behind each port of the Service there are these instances beside the cluster's own.
fn behind_both(cloud: &Cloud, service: &Value, instances: &[String]) {
    let wanted = |port| {
        let all = cloud.seed.instances.iter().chain(instances);
        all.map(|id| (id.clone(), node_port(service, port))).collect()
    };
    let wanted = [(80, wanted(80)), (443, wanted(443))].into();
    eventually("each group has these targets and no others", SOON, || {
        let found = cloud.targets();
        if found == wanted { Ok(()) } else { Err(format!("{found:?}, not {wanted:?}")) }
    });
}

/// The next case has the cluster and the account to itself too.
fn leaves_nothing(world: &World, cloud: &Cloud) {
    for service in world.api.list(&world.services_path()) {
        world.delete(service["metadata"]["name"].as_str().unwrap());
    }
    cloud.nothing_left(world);
}

fn two_ports() -> Value {
    json!({"spec": {"ports": [
        {"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP"},
        {"name": "https", "port": 443, "targetPort": 8080, "protocol": "TCP"},
    ]}})
}

#[test]
fn ten_nodes_that_come_one_after_the_other_are_one_call_a_group_and_so_are_ten_that_go() {
    both_alone(|world| {
        let cloud = Cloud::alone(Which::Moto, world);
        let controller = cloud.setup(world).start();
        create(world, "web", two_ports());
        let service = served(world, "web");
        let ten = instances(&cloud, 10);
        for attempt in 1.. {
            let coming = cloud.double.log().mark();
            let came = join(world, &ten);
            behind_both(&cloud, &service, &ten);
            let coming = cloud.mutating(coming);
            let going = cloud.double.log().mark();
            let went = leave(world, &ten);
            behind_both(&cloud, &service, &[]);
            let going = cloud.mutating(going);
            if (too_slow(came) || too_slow(went)) && attempt < 5 {
                continue;
            }
            assert_eq!(coming, ["RegisterTargets"; 2], "{came:?}");
            assert_eq!(going, ["DeregisterTargets"; 2], "{went:?}");
            break;
        }
        leaves_nothing(world, &cloud);
        controller.is_well();
    });
}

#[test]
fn a_node_that_comes_alone_is_a_target_a_second_later() {
    both_alone(|world| {
        let cloud = Cloud::alone(Which::Moto, world);
        let controller = cloud.setup(world).start();
        create(world, "web", json!({}));
        served(world, "web");
        let one = instances(&cloud, 1);
        let mark = cloud.double.log().mark();
        join(world, &one);
        let began = Instant::now();
        let registered =
            |calls: &[Arc<Call>]| calls.iter().any(|call| call.number >= mark && call.action == "RegisterTargets");
        wait(cloud.double.log().wait_for(registered));
        assert!(began.elapsed() < ALONE, "it took {:?}", began.elapsed());
        leave(world, &one);
        leaves_nothing(world, &cloud);
        controller.is_well();
    });
}

#[test]
fn endpoints_do_not_wait_for_nodes() {
    both_alone(|world| {
        let cloud = Cloud::alone(Which::Moto, world);
        let controller = cloud.setup(world).start();
        let pods = json!({"metadata": {"annotations": {
            "service.beta.kubernetes.io/aws-load-balancer-nlb-target-type": "ip",
        }}});
        let slices = format!("/apis/discovery.k8s.io/v1/namespaces/{}/endpointslices", world.namespace);
        let endpoints = |addresses: &[&str]| -> Value {
            let one =
                |address: &&str| json!({"addresses": [address], "nodeName": "in-a", "conditions": {"ready": true}});
            json!({"endpoints": addresses.iter().map(one).collect::<Vec<_>>()})
        };
        create(world, "nodes", json!({}));
        create(world, "pods", pods);
        world.api.patch(&format!("{slices}/pods-1"), &endpoints(&["10.0.100.210"]));
        served(world, "nodes");
        served(world, "pods");
        let one = instances(&cloud, 1);
        let mark = cloud.double.log().mark();
        join(world, &one);
        world.api.patch(&format!("{slices}/pods-1"), &endpoints(&["10.0.100.210", "10.0.100.211"]));
        let registered = || -> Vec<String> {
            let calls = cloud.calls(mark).into_iter().filter(|call| call.action == "RegisterTargets");
            calls.map(|call| call.query.get("Targets.member.1.Id").unwrap_or_default().to_owned()).collect()
        };
        eventually("both are registered", SOON, || match registered() {
            found if found.len() > 1 => Ok(()),
            found => Err(format!("{found:?}")),
        });
        assert_eq!(registered(), ["10.0.100.211", &*one[0]], "the pod first");
        leave(world, &one);
        leaves_nothing(world, &cloud);
        controller.is_well();
    });
}
