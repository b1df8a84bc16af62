//! Readiness gates: pods that are ready only once their load balancer has found them healthy. The kubelet's part is the case's.

use serde_json::{Value, json};

use crate::case::{both, real, real_without_neighbours};
use crate::harness::{Controller, SOON, Setup, World, eventually};
use crate::rights;

const GATE: &str = "target-health.portolan.dev/web";

/// A controller whose provider says of each pod whether it is healthy.
fn setup(world: &World) -> Setup {
    world.setup().class(json!({"parameters": {"capabilities": {"readinessGates": true}}}))
}

/// The same, running, with the right to see and tell pods.
fn started(world: &World) -> Controller {
    let setup = setup(world);
    world.server.grant_readiness_gates(&setup.user);
    setup.start()
}

/// A Service `web` whose port goes to pods.
fn create_web(world: &World, spec: Value) {
    let mut changes = json!({"spec": {"allocateLoadBalancerNodePorts": false}});
    changes["spec"].as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    world.create_without_endpoints("web", changes);
}

/// Creates a Pod that waits for `web`, on this node if any; its UID.
pub(crate) fn create_pod(world: &World, name: &str, node: Option<&str>) -> String {
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": "web"}},
        "spec": {
            "nodeName": node,
            "containers": [{"name": "web", "image": "example.com/web"}],
            "readinessGates": [{"conditionType": GATE}],
        },
    });
    let made = world.api.create(&pods(world), &pod);
    made["metadata"]["uid"].as_str().unwrap().to_owned()
}

fn pods(world: &World) -> String {
    format!("/api/v1/namespaces/{}/pods", world.namespace)
}

/// What the kubelet says of a Pod, with kubectl: one condition, beside the others.
pub(crate) fn says(world: &World, pod: &str, kind: &str, status: &str) {
    let patch = json!({"status": {"conditions": [{"type": kind, "status": status}]}}).to_string();
    let arguments = ["patch", "pod", pod, "--subresource=status", "--type=strategic", "--patch", patch.as_str()];
    world.kubectl(&arguments).unwrap_or_else(|error| panic!("{error}"));
}

/// A slice of `web` that says of a Pod whether it is ready.
pub(crate) fn create_slice(world: &World, pod: &str, uid: &str, address: &str) {
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": format!("web-{pod}"), "labels": {"kubernetes.io/service-name": "web"}},
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        "endpoints": [{
            "addresses": [address], "conditions": {"ready": false, "serving": false, "terminating": false},
            "targetRef": {"kind": "Pod", "name": pod, "namespace": world.namespace, "uid": uid},
        }],
    });
    world.api.create(&format!("/apis/discovery.k8s.io/v1/namespaces/{}/endpointslices", world.namespace), &slice);
}

fn condition(pod: &Value, kind: &str) -> Option<Value> {
    pod["status"]["conditions"].as_array()?.iter().find(|one| one["type"] == kind).cloned()
}

/// Waits until the gate of a Pod has this status and reason; the Pod.
pub(crate) fn is_told(world: &World, pod: &str, status: &str, reason: &str) -> Value {
    eventually(&format!("pod {pod}: {status}, {reason}"), SOON, || {
        let pod = world.api.get(&format!("{}/{pod}", pods(world))).ok_or("there is no such Pod")?;
        match condition(&pod, GATE) {
            Some(gate) if gate["status"] == status && gate["reason"] == reason => Ok(pod),
            _ => Err(format!("{:#}", pod["status"])),
        }
    })
}

#[test]
fn a_pod_is_a_target_before_it_is_ready_and_its_gate_opens_once_and_for_all() {
    both(|world| {
        let controller = started(world);
        create_web(world, json!({}));
        world.addressed("web");
        world.mock().fault("sick", &["--on", "observe", "--effect", "unhealthy"]);
        let uid = create_pod(world, "web-1", None);
        says(world, "web-1", "example.com/other", "True");
        create_slice(world, "web-1", &uid, "10.200.0.11");
        world.condition("web", "portolan.dev/Reachable", "False", "NoEndpoints");

        says(world, "web-1", "ContainersReady", "True");
        is_told(world, "web-1", "False", "NotHealthyYet");
        world.condition("web", "portolan.dev/Reachable", "False", "Unhealthy");
        world.mock().end_faults();
        let open = is_told(world, "web-1", "True", "Healthy");
        assert!(condition(&open, GATE).unwrap()["lastTransitionTime"].is_string());
        for kind in ["ContainersReady", "example.com/other"] {
            assert_eq!(condition(&open, kind).unwrap()["status"], "True", "{kind} is somebody else's");
        }

        world.mock().fault("sick", &["--on", "observe", "--effect", "unhealthy"]);
        world.condition("web", "portolan.dev/Reachable", "False", "Unhealthy");
        world.mock().end_faults();
        world.condition("web", "portolan.dev/Reachable", "True", "Reachable");
        is_told(world, "web-1", "True", "Healthy");
        let told = world.writes(&controller.user).into_iter().filter(|write| write.resource == "pods/status").count();
        assert_eq!(told, 2, "once that it waits, once that it need not");
        controller.is_well();
    });
}

#[test]
fn a_pod_is_never_told_what_was_found_of_the_one_that_had_its_name() {
    both(|world| {
        let controller = started(world);
        create_web(world, json!({}));
        world.addressed("web");
        let old = create_pod(world, "web-1", None);
        says(world, "web-1", "ContainersReady", "True");
        create_slice(world, "web-1", &old, "10.200.0.11");
        is_told(world, "web-1", "True", "Healthy");
        let path = format!("{}/web-1", pods(world));
        world.api.delete(&path);
        create_pod(world, "web-1", None);
        says(world, "web-1", "ContainersReady", "True");

        let patch = json!({"metadata": {"uid": old}, "status": {"conditions": [{"type": GATE, "status": "True"}]}});
        let media_type = "application/strategic-merge-patch+json";
        let (status, answer) = world.api.send("PATCH", &format!("{path}/status"), media_type, "test", &patch);
        assert!(status == 409 || status == 422, "the server keeps the writer from it: {status} {answer}");
        // The slice is still that of the old one.
        world.edit("web", json!({"metadata": {"annotations": {"portolan.dev/scheme": "internal"}}}));
        world.becomes("web", "a pass has seen the new Pod", |service| {
            service["status"]["loadBalancer"]["ingress"][0]["ip"].as_str().is_some_and(|ip| !ip.starts_with("203."))
        });
        assert_eq!(condition(&world.api.get(&path).unwrap(), GATE), None);
        controller.is_well();
    });
}

#[test]
fn a_pod_does_not_wait_for_a_service_that_goes_and_a_later_service_of_that_name_finds_its_own() {
    both(|world| {
        let controller = started(world);
        world.mock().fault("sick", &["--on", "observe", "--effect", "unhealthy"]);
        // It is deleted, or it is a load balancer no more.
        for (pod, address, deleted) in [("web-1", "10.200.0.11", true), ("web-2", "10.200.0.12", false)] {
            create_web(world, json!({}));
            world.addressed("web");
            let uid = create_pod(world, pod, None);
            says(world, pod, "ContainersReady", "True");
            create_slice(world, pod, &uid, address);
            is_told(world, pod, "False", "NotHealthyYet");
            if deleted {
                world.delete("web");
                world.gone("web");
            } else {
                world.edit("web", json!({"spec": {"type": "ClusterIP", "allocateLoadBalancerNodePorts": null}}));
            }
            is_told(world, pod, "True", "NoLoadBalancer");
        }
        controller.is_well();
    });
}

#[test]
fn a_pod_does_not_wait_where_its_service_sends_to_nodes() {
    both(|world| {
        let controller = started(world);
        world.create_without_endpoints("web", json!({}));
        world.addressed("web");
        let uid = create_pod(world, "web-1", None);
        says(world, "web-1", "ContainersReady", "True");
        create_slice(world, "web-1", &uid, "10.200.0.11");
        is_told(world, "web-1", "True", "NoPodTargets");
        controller.is_well();
    });
}

#[test]
fn pods_of_a_selector_become_ready_one_by_one_as_their_load_balancer_finds_them() {
    real(|world| {
        let controller = started(world);
        create_web(world, json!({"selector": {"app": "web"}}));
        for (pod, address) in [("web-1", "10.200.0.11"), ("web-2", "10.200.0.12")] {
            create_pod(world, pod, Some("node-1"));
            let status = json!({"status": {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}]}});
            world.api.patch(&format!("{}/{pod}/status", pods(world)), &status);
            says(world, pod, "Ready", "False");
            says(world, pod, "ContainersReady", "True");
            is_told(world, pod, "True", "Healthy");
            says(world, pod, "Ready", "True");
            world.condition("web", "portolan.dev/Reachable", "True", "Reachable");
        }
        controller.is_well();
    });
}

#[test]
fn without_the_right_to_see_pods_services_are_served_and_with_it_pods_are_told() {
    real_without_neighbours(|world| {
        let user = world.server.new_stranger();
        let subject = json!({"kind": "User", "name": user});
        for role in rights::deployed_roles().into_iter().filter(|role| role["kind"] == "ClusterRole") {
            rights::bind(&world.api, &role, &subject);
            rights::wait_until_granted(&world.api, &role, &json!({"user": user}));
        }
        let controller = setup(world).authenticated(&user, world.server.kubeconfig(&user)).start();
        create_web(world, json!({}));
        world.addressed("web");
        let told = controller.log();
        assert_eq!(told.matches("work begins without them").count(), 1, "{told}");
        assert_eq!(world.forbidden(&user), ["list pods".to_owned()].into(), "and nothing else is missed");

        world.server.grant_readiness_gates(&user);
        let uid = create_pod(world, "web-1", None);
        says(world, "web-1", "ContainersReady", "True");
        create_slice(world, "web-1", &uid, "10.200.0.11");
        is_told(world, "web-1", "True", "Healthy");
        let given: Vec<String> =
            rights::rights(&rights::gates_role()).into_iter().map(|right| right.to_string()).collect();
        eventually("every right was used", SOON, || {
            let used = world.allowed(&user);
            if given.iter().all(|right| used.contains(right)) { Ok(()) } else { Err(format!("{given:?} {used:?}")) }
        });
        controller.is_well();
    });
}
