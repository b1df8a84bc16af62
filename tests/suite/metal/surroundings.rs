//! What a pool never gives out, because the cluster has it already: ranges refuse the pool, single addresses are left out of it.

use serde_json::{Value, json};

use super::{Pool, annotated, create, has, setup};
use crate::case::{both, real_without_neighbours};
use crate::gate::{Fault, Gate, Seen};
use crate::harness::{World, condition};

const NODES: &str = "/api/v1/nodes";
const RANGES: &str = "/apis/networking.k8s.io/v1/servicecidrs";
const REPORTS: &str = "/apis/portolan.dev/v1alpha1/speakerreports";

/// A pool of four addresses of which one is somebody's range: from the moment that this is created until it is gone.
fn a_range_refuses_the_pool(world: &World, network: &str, says: &str, create_range: impl Fn(&str), remove: impl Fn()) {
    let pool = Pool::new(world, "", json!({"addresses": [format!("{network}.0/30")]}));
    let controller = setup(world).start();
    create(world, "web", json!({}));
    has(world, "web", &[&format!("{network}.0")]);
    create_range(&format!("{network}.2/32"));
    let status = pool.becomes("it is refused", |status| status["conditions"][0]["status"] == "False");
    let message = status["conditions"][0]["message"].as_str().unwrap();
    assert!(message.contains(says) && message.contains("take them out of the pool"), "{message}");
    assert_eq!(status["conditions"][0]["reason"], "Refused");
    create(world, "late", json!({}));
    world.condition("late", "portolan.dev/AddressAssigned", "False", "NoPool");
    // What is given stays, whatever is edited and whoever looks at it.
    world.edit("web", json!({"spec": {"ports": [{"name": "http", "port": 8080}]}}));
    drop(controller);
    let _controller = setup(world).start();
    world.becomes("web", "it keeps its address", |service| {
        let assigned = condition(service, "portolan.dev/AddressAssigned");
        let port = &service["status"]["loadBalancer"]["ingress"][0]["ports"][0]["port"];
        assigned.is_some_and(|assigned| assigned["status"] == "True") && *port == 8080
    });
    has(world, "web", &[&format!("{network}.0")]);
    remove();
    has(world, "late", &[&format!("{network}.1")]);
    pool.becomes("it is ready again", |status| status["conditions"][0]["status"] == "True");
}

#[test]
fn a_pool_with_addresses_of_a_service_cidr_is_refused_until_that_is_gone() {
    real_without_neighbours(|world| {
        let name = world.namespace.clone();
        let create = |range: &str| {
            let spec = json!({"cidrs": [range]});
            let object = json!({"apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR", "metadata": {"name": name}, "spec": spec});
            world.api.create(RANGES, &object);
        };
        let says = format!("overlaps the Services' range 10.81.0.2 (ServiceCIDR {name})");
        a_range_refuses_the_pool(world, "10.81.0", &says, create, || world.api.delete(&format!("{RANGES}/{name}")));
    });
}

#[test]
fn a_pool_with_addresses_of_a_nodes_pods_is_refused_until_that_is_gone() {
    both(|world| {
        let name = format!("node-{}", world.namespace);
        let create = |range: &str| {
            let spec = json!({"podCIDR": range, "podCIDRs": [range]});
            world.api.create(NODES, &node(&name, spec));
        };
        let says = format!("overlaps the pods' range 10.81.1.2 (Node {name})");
        a_range_refuses_the_pool(world, "10.81.1", &says, create, || world.api.delete(&format!("{NODES}/{name}")));
    });
}

/// One that no other case sends anything to.
fn node(name: &str, spec: Value) -> Value {
    let labels = json!({"node.kubernetes.io/exclude-from-external-load-balancers": ""});
    json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}, "spec": spec})
}

#[test]
fn gateways_and_external_ips_are_never_given_out_and_named_in_the_pool() {
    both(|world| {
        let pool = Pool::new(world, "", json!({"addresses": ["10.81.2.0-10.81.2.4"]}));
        let name = format!("node-{}", world.namespace);
        world.api.create(NODES, &node(&name, json!({})));
        let spec = json!({"appliedVersion": 0, "gateways": ["10.81.2.0", "192.0.2.254"]});
        let report = json!({"apiVersion": "portolan.dev/v1alpha1", "kind": "SpeakerReport", "metadata": {"name": name}, "spec": spec});
        world.api.create(REPORTS, &report);
        // Of any type, and nobody's class.
        let with_external_ip = |name: &str, address: &str| {
            let spec = json!({"type": "ClusterIP", "loadBalancerClass": null, "externalIPs": [address]});
            world.create(name, json!({"spec": spec}));
        };
        with_external_ip("external", "10.81.2.1");
        let _controller = setup(world).start();
        create(world, "web", json!({}));
        has(world, "web", &["10.81.2.2"]);
        for (asking, address, by) in [
            ("gateway", "10.81.2.0", format!("the gateway of Node {name}")),
            ("other", "10.81.2.1", format!("an externalIP of Service {}/external", world.namespace)),
        ] {
            create(world, asking, annotated("portolan.dev/load-balancer-ips", address));
            let reason = "RequestedAddressUnavailable";
            let service = world.condition(asking, "portolan.dev/AddressAssigned", "False", reason);
            let message = condition(&service, "portolan.dev/AddressAssigned").unwrap()["message"].to_string();
            assert!(message.contains(&format!("taken by {by}")), "{message}");
        }
        let namespace = &world.namespace;
        let named = format!(
            "never given out: 10.81.2.0 (the gateway of Node {name}); 10.81.2.1 (an externalIP of Service {namespace}/external)"
        );
        pool.becomes("it names them", |status| {
            (&status["conditions"][1]["status"], &status["conditions"][1]["message"]) == (&json!("True"), &json!(named))
        });
        // One that comes later, and those that go.
        with_external_ip("later", "10.81.2.3");
        pool.becomes("it names it", |status| status["conditions"][1]["message"].to_string().contains("10.81.2.3"));
        create(world, "second", json!({}));
        has(world, "second", &["10.81.2.4"]);
        world.delete("external");
        has(world, "other", &["10.81.2.1"]);
        world.api.patch(&format!("{REPORTS}/{name}"), &json!({"spec": {"gateways": ["192.0.2.254"]}}));
        has(world, "gateway", &["10.81.2.0"]);
        world.api.delete(&format!("{REPORTS}/{name}"));
        world.api.delete(&format!("{NODES}/{name}"));
    });
}

#[test]
fn addresses_of_a_nodes_interfaces_are_never_given_out_also_those_that_its_status_does_not_name() {
    both(|world| {
        let pool = Pool::new(world, "", json!({"addresses": ["10.81.4.0-10.81.4.3"]}));
        let [name, other] = ["a", "b"].map(|node| format!("{}-{node}", world.namespace));
        let addresses = [json!(["10.81.4.0", "10.81.4.1", "192.0.2.9"]), json!(["10.81.4.1"])];
        for (name, addresses) in [&name, &other].into_iter().zip(addresses) {
            world.api.create(NODES, &node(name, json!({})));
            // The kubelet names one of a family, whatever other interfaces have.
            let status = json!({"addresses": [{"type": "InternalIP", "address": "192.0.2.9"}]});
            world.api.patch(&format!("{NODES}/{name}/status"), &json!({"status": status}));
            let spec = json!({"appliedVersion": 0, "nodeAddresses": addresses});
            let report = json!({"apiVersion": "portolan.dev/v1alpha1", "kind": "SpeakerReport", "metadata": {"name": name}, "spec": spec});
            world.api.create(REPORTS, &report);
        }
        let _controller = setup(world).start();
        create(world, "web", json!({}));
        has(world, "web", &["10.81.4.2"]);
        create(world, "asking", annotated("portolan.dev/load-balancer-ips", "10.81.4.0"));
        let reason = "RequestedAddressUnavailable";
        let service = world.condition("asking", "portolan.dev/AddressAssigned", "False", reason);
        let message = condition(&service, "portolan.dev/AddressAssigned").unwrap()["message"].to_string();
        assert!(message.contains(&format!("taken by Node {name}")), "{message}");
        let named = format!("never given out: 10.81.4.0 (Node {name}); 10.81.4.1 (Node {name} and others)");
        pool.becomes("it names them", |status| {
            (&status["conditions"][1]["status"], &status["conditions"][1]["message"]) == (&json!("True"), &json!(named))
        });
        // What somebody binds where it is given out already stays given out; what the node has no more is anybody's.
        world.api.patch(&format!("{REPORTS}/{name}"), &json!({"spec": {"nodeAddresses": ["10.81.4.1", "10.81.4.2"]}}));
        has(world, "asking", &["10.81.4.0"]);
        has(world, "web", &["10.81.4.2"]);
        for name in [name, other] {
            world.api.delete(&format!("{REPORTS}/{name}"));
            world.api.delete(&format!("{NODES}/{name}"));
        }
    });
}

#[test]
fn a_kind_that_cannot_be_listed_is_named_by_those_who_wait_for_it_and_keeps_nobody_waiting_once_it_can() {
    both(|world| {
        let network = "10.81.3";
        let _pool = Pool::new(world, "", json!({"addresses": [format!("{network}.0/30")]}));
        let gate = Gate::before(world.server);
        let lists = |seen: &Seen, _| !seen.watch && seen.path.contains("/l2advertisements");
        gate.when(usize::MAX, Fault::status(500), lists);
        let _controller = setup(world).through(world, &gate).start();
        create(world, "web", json!({}));
        let told = world.condition("web", "portolan.dev/Programmed", "False", "ProviderFailed");
        let message = condition(&told, "portolan.dev/Programmed").unwrap()["message"].as_str().unwrap();
        let says = "until l2advertisements.portolan.dev can be listed: apply deploy/crds.yaml";
        assert!(message.contains(says), "{message}");
        gate.behave();
        has(world, "web", &[&format!("{network}.0")]);
    });
}
