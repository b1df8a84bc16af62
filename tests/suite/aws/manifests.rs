//! Manifests as users of the AWS Load Balancer Controller have them (`testdata/aws/manifests`), applied without an edit; and what is wrong
//! with one, said all at once and before any call.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::cloud::{Cloud, annotations, both, hostnames, node_port, served};
use crate::harness::{Setup, World, condition, finalizers};

/// A controller that takes over what was written for the other.
fn successor(cloud: &Cloud, world: &World) -> Setup {
    cloud.setup(world).class(json!({"aliases": ["service.k8s.aws/nlb"], "claimByTypeAnnotation": true}))
}

/// The pods behind a Service, as the controller that makes EndpointSlices would tell it.
fn pods(world: &World, service: &str, port: &str, number: u16, addresses: &[&str]) {
    let endpoint = |address: &&str| json!({"addresses": [address], "nodeName": "in-a", "conditions": {"ready": true}});
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": format!("{service}-{port}1"), "labels": {"kubernetes.io/service-name": service}},
        "ports": [{"name": port, "port": number, "protocol": "TCP"}],
        "endpoints": addresses.iter().map(endpoint).collect::<Vec<Value>>(),
    });
    world.api.create(&format!("/apis/discovery.k8s.io/v1/namespaces/{}/endpointslices", world.namespace), &slice);
}

fn apply(world: &World, name: &str) {
    let file = format!("{}/testdata/aws/manifests/{name}.yaml", env!("CARGO_MANIFEST_DIR"));
    world.kubectl(&["apply", "-f", &file]).unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn a_manifest_with_the_other_controllers_class_is_served_as_it_is() {
    both(|world| {
        let cloud = Cloud::quick(world);
        let controller = successor(&cloud, world).start();
        pods(world, "storefront", "", 8080, &["10.0.100.21", "10.0.101.22"]);
        apply(world, "by-class");
        let service = served(world, "storefront");
        let balancer = cloud.balancer();
        assert_eq!(hostnames(&service), std::slice::from_ref(&balancer.hostname));
        assert_eq!(balancer.scheme, "internet-facing");
        assert_eq!(cloud.attribute(&balancer.arn, "load_balancing.cross_zone.enabled"), "true");
        let pods = ["10.0.100.21", "10.0.101.22"].map(|address| (address.to_owned(), 8080));
        assert_eq!(cloud.targets().remove(&80), Some(BTreeSet::from(pods)));
        let rules = ["tcp 80-80 192.0.2.0/24", "tcp 80-80 198.51.100.0/24"].map(str::to_owned);
        assert_eq!(cloud.let_in(), BTreeSet::from(rules));

        let group = cloud.inventory().groups.into_values().next().unwrap();
        let described = cloud.elb("DescribeTargetGroups", &[("TargetGroupArns.member.1", &group)]);
        let described = described.at(&["DescribeTargetGroupsResult", "TargetGroups", "member"]).unwrap();
        let probe =
            ["HealthCheckProtocol", "HealthCheckPath"].map(|name| described.text_at(&[name]).unwrap_or_default());
        assert_eq!(probe, ["HTTP", "/healthz"]);
        controller.is_well();
    });
}

#[test]
fn a_manifest_with_a_type_and_no_class_is_served_as_it_is() {
    both(|world| {
        let cloud = Cloud::quick(world);
        let controller = successor(&cloud, world).start();
        pods(world, "internal-api", "grpc", 50051, &["10.0.100.23"]);
        apply(world, "by-type");
        let service = world.condition("internal-api", "portolan.dev/Programmed", "True", "Programmed");
        assert!(service["spec"]["loadBalancerClass"].is_null(), "{service:#}");
        assert_eq!(cloud.listeners(), [(53, "UDP".to_owned()), (50051, "TCP".to_owned())]);
        let rules = ["udp 53-53 0.0.0.0/0", "tcp 50051-50051 0.0.0.0/0"].map(str::to_owned);
        assert_eq!(cloud.let_in(), BTreeSet::from(rules));
        let grpc = node_port(&service, 50051);
        let targets = cloud.seed.instances.iter().map(|id| (id.clone(), grpc)).collect();
        assert_eq!(cloud.targets().remove(&50051), Some(targets));
        let tags = cloud.inventory().tags.remove(&cloud.balancer().arn).unwrap();
        assert_eq!((tags["team"].as_str(), tags["stage"].as_str()), ("shop", "production"), "{tags:?}");
        assert_eq!(tags["elbv2.k8s.aws/cluster"], "prod", "on which existing policies are scoped");
        controller.is_well();
    });
}

#[test]
fn everything_that_is_wrong_with_a_manifest_is_said_at_once_and_aws_is_not_asked() {
    both(|world| {
        let cloud = Cloud::quick(world);
        let controller = successor(&cloud, world).start();
        apply(world, "mistaken");
        let service = world.becomes("mistaken", "it is refused", |service| {
            condition(service, "portolan.dev/Accepted").is_some_and(|one| one["status"] == "False")
        });
        let accepted = condition(&service, "portolan.dev/Accepted").unwrap();
        assert_eq!(accepted["reason"], "InvalidAnnotation", "{accepted:#}");
        let message = accepted["message"].as_str().unwrap();
        for key in
            ["healthcheck-healthy-threshold", "ip-address-type", "healthcheck-interval", "attributes", "proxy-protocol"]
        {
            assert!(message.contains(&format!("aws-load-balancer-{key}")), "{key}: {message}");
        }
        assert!(hostnames(&service).is_empty());
        assert_eq!(cloud.calls(0).iter().map(|call| &call.action).collect::<Vec<_>>(), [""; 0]);

        // Corrected, it is served like any other.
        let corrected = [
            ("aws-load-balancer-nlb-target-type", "ip"),
            ("aws-load-balancer-healthcheck-healthy-threshold", "3"),
            ("aws-load-balancer-ip-address-type", "ipv4"),
            ("aws-load-balancer-healthcheck-interval", "5"),
            ("aws-load-balancer-attributes", "load_balancing.cross_zone.enabled=true"),
            ("aws-load-balancer-proxy-protocol", "*"),
        ];
        world.edit("mistaken", annotations(&corrected));
        pods(world, "mistaken", "", 8080, &["10.0.100.24"]);
        served(world, "mistaken");
        controller.is_well();
    });
}

#[test]
fn a_service_whose_annotations_are_wrong_by_now_is_deleted_all_the_same_also_when_half_of_it_is_gone() {
    both(|world| {
        let cloud = Cloud::quick(world);
        let controller = successor(&cloud, world).start();
        pods(world, "storefront", "", 8080, &["10.0.100.25"]);
        apply(world, "by-class");
        served(world, "storefront");
        let balancer = cloud.balancer();
        world.edit("storefront", annotations(&[("aws-load-balancer-ip-address-type", "ipv5")]));
        let service = world.condition("storefront", "portolan.dev/Accepted", "False", "InvalidAnnotation");
        assert_eq!(hostnames(&service), [balancer.hostname], "what was served goes on");
        assert_eq!(finalizers(&service).len(), 1);

        // Somebody helps with the cleaning up, and the controller is not there to see it.
        controller.kill();
        cloud.elb("DeleteLoadBalancer", &[("LoadBalancerArn", &balancer.arn)]);
        world.delete("storefront");
        let controller = successor(&cloud, world).start();
        cloud.nothing_left(world);
        world.gone("storefront");
        controller.is_well();
    });
}
