//! Readiness gates, from the pod template to the pod's condition: registered, found healthy by AWS, told. The kubelet's part is the case's.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use portolan_aws_double::Timings;
use portolan_aws_double::emulator::Which;
use serde_json::json;

use super::cloud::{Cloud, annotations, both, create};
use crate::harness::{SOON, World, eventually, merged};
use crate::readiness::{create_pod, create_slice, is_told, says};

/// Targets take their time.
const SLOW: Timings = Timings { registration: Duration::from_secs(180), ..Timings::none() };

/// How often AWS is asked for what is in motion.
const TICK: Duration = Duration::from_secs(5);

/// The addresses are not the network's, so that no pod of another case has them.
const PODS: [(&str, &str); 3] = [("web-1", "10.200.0.11"), ("web-2", "10.200.0.12"), ("web-3", "10.200.0.13")];

fn create_web(world: &World) {
    let to_pods = annotations(&[("aws-load-balancer-nlb-target-type", "ip")]);
    create(world, "web", merged(to_pods, json!({"spec": {"allocateLoadBalancerNodePorts": false}})));
}

#[test]
fn pods_are_registered_before_they_are_ready_and_ready_once_aws_has_found_them_healthy() {
    both(|world| {
        let cloud = Cloud::at(Which::Moto, world, SLOW);
        let controller = cloud.setup(world).start();
        create_web(world);
        for (pod, address) in PODS {
            let uid = create_pod(world, pod, None);
            create_slice(world, pod, &uid, address);
            says(world, pod, "ContainersReady", "True");
        }
        let all: BTreeSet<_> = PODS.iter().map(|(_, address)| ((*address).to_owned(), 8080)).collect();
        eventually("all are registered", SOON, || match cloud.targets().remove(&80) {
            Some(targets) if all.is_subset(&targets) => Ok(()),
            other => Err(format!("{other:?}")),
        });
        for (pod, _) in PODS {
            is_told(world, pod, "False", "NotHealthyYet");
        }

        // One question for all of them, and a few at a time however many pods wait.
        let (mark, since) = (cloud.double.log().mark(), Instant::now());
        eventually("AWS was asked three times", SOON * 2, || {
            let asked = cloud.calls(mark).iter().filter(|call| call.action == "DescribeTargetHealth").count();
            if asked >= 3 { Ok(()) } else { Err(asked.to_string()) }
        });
        cloud.double.clock().advance(SLOW.registration);
        for (pod, _) in PODS {
            is_told(world, pod, "True", "Healthy");
        }
        let asked: Vec<_> =
            cloud.calls(mark).into_iter().filter(|call| call.action == "DescribeTargetHealth").collect();
        let most = usize::try_from(since.elapsed().as_secs() / TICK.as_secs()).unwrap() + 2;
        assert!(asked.len() <= most, "{} questions in {:?}", asked.len(), since.elapsed());
        for call in &asked {
            assert!(call.query.structures("Targets").is_empty(), "about the group, and about no pod: {call:#?}");
        }
        world.delete("web");
        world.gone("web");
        controller.is_well();
    });
}

#[test]
fn a_pod_that_has_the_address_of_another_one_is_not_ready_by_what_was_found_of_that() {
    both(|world| {
        let cloud = Cloud::at(Which::Moto, world, SLOW);
        let controller = cloud.setup(world).start();
        create_web(world);
        let (_, address) = PODS[0];
        let old = create_pod(world, "old", None);
        create_slice(world, "old", &old, address);
        says(world, "old", "ContainersReady", "True");
        is_told(world, "old", "False", "NotHealthyYet");
        cloud.double.clock().advance(SLOW.registration);
        is_told(world, "old", "True", "Healthy");

        let namespace = &world.namespace;
        world.api.delete(&format!("/api/v1/namespaces/{namespace}/pods/old"));
        world.api.delete(&format!("/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices/web-old"));
        let mark = cloud.double.log().mark();
        let new = create_pod(world, "new", None);
        create_slice(world, "new", &new, address);
        says(world, "new", "ContainersReady", "True");
        is_told(world, "new", "False", "NotHealthyYet");
        eventually("it is registered anew", SOON, || {
            let writes = cloud.mutating(mark);
            if writes.ends_with(&["DeregisterTargets".to_owned(), "RegisterTargets".to_owned()]) {
                Ok(())
            } else {
                Err(format!("{writes:?}"))
            }
        });
        cloud.double.clock().advance(SLOW.registration);
        is_told(world, "new", "True", "Healthy");
        world.delete("web");
        world.gone("web");
        controller.is_well();
    });
}
