use std::sync::Arc;

use portolan_core::snapshot::{Condition, ConditionStatus};
use serde_json::{Value, json};

use super::*;

/// A Service with this spec.
fn read(spec: &Value) -> Service {
    read_all(
        &json!({"metadata": {"namespace": "shop", "name": "web", "uid": "u1", "resourceVersion": "7"}, "spec": spec}),
    )
}

fn read_all(object: &Value) -> Service {
    let versioned = service(serde_json::from_value(object.clone()).unwrap());
    (*versioned.object).clone()
}

fn read_slice(object: &Value) -> Option<Slice> {
    slice(serde_json::from_value(object.clone()).unwrap())
}

fn read_node(object: &Value) -> Node {
    node(serde_json::from_value(object.clone()).unwrap())
}

#[test]
fn a_full_service_is_read_field_by_field() {
    let object = json!({
        "metadata": {
            "namespace": "shop", "name": "web", "uid": "u1", "resourceVersion": "7", "creationTimestamp": "1970-01-01T00:01:00Z",
            "deletionTimestamp": "1970-01-01T00:02:00Z", "finalizers": ["b", "a"],
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}", "portolan.dev/scheme": "internal"},
            "managedFields": [
                {"manager": "portolan", "fieldsV1": {"f:status": {"f:conditions": {
                    "k:{\"type\":\"portolan.dev/Accepted\"}": {".": {}, "f:type": {}},
                }}}},
                {"manager": "kubectl", "fieldsV1": {"f:status": {"f:conditions": {
                    "k:{\"type\":\"example.com/Ready\"}": {".": {}}, ".": {}, "k:nonsense": {},
                }}, "f:metadata": {"f:finalizers": {".": {}, "v:\"a\"": {}}}}},
                {"manager": "service-controller", "fieldsV1": {"f:metadata": {"f:finalizers": {
                    "v:\"service.kubernetes.io/load-balancer-cleanup\"": {},
                }}}},
                {"manager": "nobody"},
            ],
        },
        "spec": {
            "type": "LoadBalancer", "loadBalancerClass": "portolan.dev/mock", "loadBalancerIP": "banana",
            "ports": [{"name": "dns", "port": 53, "protocol": "UDP", "nodePort": 30053, "targetPort": "dns"}, {"name": "dns-tcp", "port": 53}],
            "ipFamilies": ["IPv6", "IPv4"], "ipFamilyPolicy": "PreferDualStack", "loadBalancerSourceRanges": [" 10.0.0.0/8"],
            "externalIPs": ["192.0.2.010", "banana", "2001:db8::1"],
            "externalTrafficPolicy": "Local", "healthCheckNodePort": 32000, "sessionAffinity": "ClientIP",
        },
        "status": {
            "loadBalancer": {"ingress": [
                {"ip": "203.0.113.1", "ipMode": "VIP", "ports": [{"port": 53, "protocol": "UDP", "error": "Foo"}]},
                {"hostname": "a.example", "ports": [{"port": 70000, "protocol": "UDP"}, {"port": 1, "protocol": "QUIC"}]},
            ]},
            "conditions": [{
                "type": "LoadBalancerPortsError", "status": "Maybe", "reason": "R", "message": "m",
                "lastTransitionTime": "2026-01-02T03:04:05Z", "observedGeneration": 3,
            }],
        },
    });
    let versioned = service(serde_json::from_value(object.clone()).unwrap());
    assert_eq!(versioned.version.as_str(), "7");
    let unreadable = PortStatus { port: 0, protocol: Protocol::Tcp, error: None };
    assert_eq!(
        *versioned.object,
        Service {
            key: ServiceKey::new("shop", "web"),
            uid: Uid::new("u1"),
            created: Timestamp(60),
            deleting: true,
            finalizers: vec!["b".into(), "a".into()],
            labels: BTreeMap::new(),
            annotations: [("portolan.dev/scheme".to_owned(), "internal".to_owned())].into(),
            service_type: ServiceType::LoadBalancer,
            class: Some("portolan.dev/mock".into()),
            ports: vec![
                ServicePort {
                    name: "dns".into(),
                    key: PortKey { port: 53, protocol: Protocol::Udp },
                    node_port: Some(30053),
                    target_port: TargetPort::Name("dns".into()),
                },
                ServicePort {
                    name: "dns-tcp".into(),
                    key: PortKey { port: 53, protocol: Protocol::Tcp },
                    node_port: None,
                    target_port: TargetPort::Number(53),
                },
            ],
            families: vec![Family::V6, Family::V4],
            family_policy: FamilyPolicy::PreferDualStack,
            load_balancer_ip: Some("banana".into()),
            source_ranges: vec![" 10.0.0.0/8".into()],
            external_ips: vec!["192.0.2.10".parse().unwrap(), "2001:db8::1".parse().unwrap()],
            external_traffic_policy: TrafficPolicy::Local,
            health_check_node_port: Some(32000),
            session_affinity: Some(10_800),
            ingress: vec![
                Ingress {
                    ip: Some("203.0.113.1".into()),
                    hostname: None,
                    ip_mode: Some("VIP".into()),
                    ports: vec![PortStatus { port: 53, protocol: Protocol::Udp, error: Some("Foo".into()) }],
                },
                Ingress {
                    ip: None,
                    hostname: Some("a.example".into()),
                    ip_mode: None,
                    ports: vec![unreadable.clone(), unreadable],
                },
            ],
            conditions: vec![Condition {
                condition_type: "LoadBalancerPortsError".into(),
                status: ConditionStatus::Unknown,
                reason: "R".into(),
                message: "m".into(),
                last_transition_time: "2026-01-02T03:04:05Z".into(),
                observed_generation: Some(3),
                verbatim: Some(object["status"]["conditions"][0].clone()),
            }],
            conditions_by: ["portolan".to_owned()].into(),
            standard_finalizer_by: ["service-controller".to_owned()].into(),
            defects: vec![],
        }
    );
}

#[test]
fn an_empty_service_has_the_defaults_of_the_server_and_one_defect() {
    let service = read_all(&json!({"metadata": {"namespace": "shop", "name": "web"}}));
    assert_eq!(service.defects, ["metadata.uid is missing"]);
    assert_eq!(service.uid.as_str(), "without-uid.shop.web");
    assert_eq!(service.service_type, ServiceType::ClusterIp);
    assert_eq!(service.families, [Family::V4]);
    assert_eq!(service.family_policy, FamilyPolicy::SingleStack);
    assert_eq!(service.external_traffic_policy, TrafficPolicy::Cluster);
    assert_eq!(
        (service.health_check_node_port, service.session_affinity, service.load_balancer_ip),
        (None, None, None)
    );
}

#[test]
fn what_a_server_should_never_have_stored_is_a_defect_and_the_rest_is_kept() {
    let port = |port: Value| json!({"ports": [port]});
    for (spec, defect, kept) in [
        (port(json!({"port": 0})), "spec.ports[0].port is 0, not 1 to 65535", 0),
        (port(json!({"port": 70000})), "spec.ports[0].port is 70000, not 1 to 65535", 0),
        (port(json!({"port": -1})), "spec.ports[0].port is -1, not 1 to 65535", 0),
        (port(json!({"port": 80, "protocol": "QUIC"})), "spec.ports[0].protocol is \"QUIC\", not TCP, UDP or SCTP", 0),
        (port(json!({"port": 80, "nodePort": 99999})), "spec.ports[0].nodePort is 99999, not 1 to 65535", 1),
        (port(json!({"port": 80, "targetPort": 99999})), "spec.ports[0].targetPort is 99999, not 1 to 65535", 1),
        (port(json!({"port": 80, "nodePort": -4})), "spec.ports[0].nodePort is -4, not 1 to 65535", 1),
        (
            json!({"ports": [{"name": "a", "port": 80}, {"name": "b", "port": 80, "protocol": "TCP"}]}),
            "spec.ports[1]: 80/TCP stands twice",
            1,
        ),
        (
            json!({"ports": [{"name": "a", "port": 80}, {"name": "a", "port": 81}]}),
            "spec.ports[1].name \"a\" stands twice",
            2,
        ),
        (
            json!({"ports": [{"name": "a", "port": 80}, {"port": 81}]}),
            "spec.ports[1].name is empty, although there are several ports",
            2,
        ),
        (json!({"ipFamilies": ["IPv5"]}), "spec.ipFamilies names \"IPv5\", not IPv4 or IPv6", 0),
        (json!({"ipFamilies": ["IPv4", "IPv4"]}), "spec.ipFamilies names IPv4 twice", 0),
        (json!({"ipFamilyPolicy": "Triple"}), "spec.ipFamilyPolicy \"Triple\" is unknown", 0),
        (json!({"externalTrafficPolicy": "Zone"}), "spec.externalTrafficPolicy \"Zone\" is unknown", 0),
        (
            json!({"type": "LoadBalancer", "clusterIP": "None"}),
            "spec.clusterIP is None, which type LoadBalancer cannot have",
            0,
        ),
        (json!({"healthCheckNodePort": 70000}), "spec.healthCheckNodePort is 70000, not 1 to 65535", 0),
        (json!({"sessionAffinity": "Cookie"}), "spec.sessionAffinity \"Cookie\" is unknown", 0),
        (
            json!({"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 0}}}),
            "spec.sessionAffinityConfig.clientIP.timeoutSeconds is 0, not 1 to 86400",
            0,
        ),
    ] {
        let service = read(&spec);
        assert_eq!(service.defects, [defect], "{spec}");
        assert_eq!(service.ports.len(), kept, "{spec}");
    }
}

#[test]
fn a_target_port_that_is_not_said_is_the_number_of_the_port() {
    for (stated, target_port) in [
        (Value::Null, TargetPort::Number(80)),
        (json!(0), TargetPort::Number(80)),
        (json!(""), TargetPort::Number(80)),
        (json!(8080), TargetPort::Number(8080)),
        (json!("http"), TargetPort::Name("http".into())),
    ] {
        let service = read(&json!({"ports": [{"port": 80, "targetPort": stated}]}));
        assert_eq!((&service.ports[0].target_port, &service.defects[..]), (&target_port, &[][..]), "{stated}");
    }
}

#[test]
fn all_defects_are_named_at_once() {
    let service =
        read(&json!({"ports": [{"port": 0, "protocol": "X", "nodePort": -1}, {"port": 80}], "ipFamilies": ["Y"]}));
    assert_eq!(service.defects.len(), 6, "{:?}", service.defects);
}

#[test]
fn an_unknown_type_is_no_defect_and_no_load_balancer() {
    let service = read(&json!({"type": "Gateway"}));
    assert_eq!(service.service_type, ServiceType::Unknown("Gateway".into()));
    assert!(service.defects.is_empty());
}

#[test]
fn a_headless_service_of_another_type_is_no_defect() {
    assert!(read(&json!({"type": "ClusterIP", "clusterIP": "None"})).defects.is_empty());
}

#[test]
fn a_requested_address_is_read_as_kubernetes_reads_stored_addresses_and_other_text_stays() {
    for (stored, read_as) in [
        ("203.0.113.7", Some("203.0.113.7")),
        (" 203.0.113.007 ", Some("203.0.113.7")),
        ("::ffff:203.0.113.7", Some("203.0.113.7")),
        ("2001:DB8::0007", Some("2001:db8::7")),
        ("banana", Some("banana")),
        ("203.0.113.7/32", Some("203.0.113.7/32")),
        ("  ", Some("  ")),
        ("", None),
    ] {
        assert_eq!(read(&json!({"loadBalancerIP": stored})).load_balancer_ip.as_deref(), read_as, "{stored:?}");
    }
}

#[test]
fn a_service_without_families_has_those_of_its_cluster_ips() {
    for (spec, families) in [
        (json!({"clusterIPs": ["fd00::1", "010.0.0.1"]}), vec![Family::V6, Family::V4]),
        (json!({"clusterIPs": ["None"]}), vec![Family::V4]),
        (json!({"ipFamilies": [], "clusterIPs": ["fd00::1"]}), vec![Family::V6]),
        (json!({"ipFamilies": ["IPv4"], "clusterIPs": ["fd00::1"]}), vec![Family::V4]),
    ] {
        assert_eq!(read(&spec).families, families, "{spec}");
    }
}

#[test]
fn one_unnamed_port_may_stand_for_each_protocol_only_with_a_name() {
    assert!(read(&json!({"ports": [{"port": 53}]})).defects.is_empty());
    let both = json!({"ports": [{"name": "t", "port": 53}, {"name": "u", "port": 53, "protocol": "UDP"}]});
    assert!(read(&both).defects.is_empty());
}

#[test]
fn a_slice_is_read_with_the_defaults_of_its_conditions() {
    let read = read_slice(&json!({
        "metadata": {"namespace": "shop", "name": "web-x1", "labels": {"kubernetes.io/service-name": "web"}},
        "addressType": "IPv4",
        "ports": [
            {"name": "http", "port": 8080}, {"port": 53, "protocol": "UDP"}, {"name": "any"}, {"port": 0}, {"port": 70000},
            {"port": 9, "protocol": "QUIC"},
        ],
        "endpoints": [
            {"addresses": ["10.1.0.1", "10.1.0.2"], "nodeName": "n1", "targetRef": {"kind": "Pod", "name": "web-1", "uid": "p1"}},
            {
                "addresses": ["10.1.0.3"], "conditions": {"ready": false, "serving": true, "terminating": true},
                "targetRef": {"kind": "VirtualMachine", "name": "vm", "uid": "v1"},
            },
            {"addresses": ["10.1.0.4"], "conditions": {"ready": false}, "targetRef": {"kind": "Pod", "uid": ""}},
            {"addresses": []}, {"addresses": ["banana"]}, {"addresses": ["fd00::1"]},
        ],
    }))
    .unwrap();
    let endpoint = |address: &str, pod: Option<&str>, node: Option<&str>, ready, terminating| Endpoint {
        address: address.parse().unwrap(),
        pod: pod.map(Uid::new),
        node: node.map(NodeName::new),
        ready,
        serving: true,
        terminating,
    };
    assert_eq!(
        read,
        Slice {
            name: SliceName { namespace: "shop".into(), name: "web-x1".into() },
            service: ServiceKey::new("shop", "web"),
            family: Family::V4,
            ports: vec![
                SlicePort { name: "http".into(), protocol: Protocol::Tcp, port: 8080 },
                SlicePort { name: String::new(), protocol: Protocol::Udp, port: 53 },
            ],
            endpoints: vec![
                endpoint("10.1.0.1", Some("p1"), Some("n1"), true, false),
                endpoint("10.1.0.3", None, None, false, true),
                endpoint("10.1.0.4", None, None, false, false),
            ],
        }
    );
}

#[test]
fn a_slice_of_names_or_of_nobody_is_none() {
    let slice = |labels: Value, kind: &str| {
        read_slice(
            &json!({"metadata": {"namespace": "a", "name": "b", "labels": labels}, "addressType": kind, "endpoints": []}),
        )
    };
    let label = json!({"kubernetes.io/service-name": "web"});
    assert!(slice(label.clone(), "IPv6").is_some());
    assert!(slice(label.clone(), "FQDN").is_none());
    assert!(slice(label, "IPv9").is_none());
    assert!(slice(json!({}), "IPv4").is_none());
    assert!(slice(Value::Null, "IPv4").is_none());
    assert!(slice(json!({"kubernetes.io/service-name": ""}), "IPv4").is_none());
}

#[test]
fn endpoints_that_no_packet_from_outside_may_reach_are_dropped() {
    let forbidden = |family: &str, addresses: &[&str]| {
        let endpoints: Vec<_> = addresses.iter().map(|address| json!({"addresses": [address]})).collect();
        let metadata = json!({"namespace": "a", "name": "b", "labels": {"kubernetes.io/service-name": "web"}});
        read_slice(&json!({"metadata": metadata, "addressType": family, "endpoints": endpoints})).unwrap().endpoints
    };
    assert_eq!(forbidden("IPv4", &["127.0.0.1", "0.0.0.0", "169.254.1.1", "224.0.0.1"]), []);
    assert_eq!(forbidden("IPv6", &["::1", "::", "fe80::1", "febf::1", "ff02::1", "::ffff:10.0.0.1"]), []);
    assert_eq!(forbidden("IPv6", &["fd00::1"]).len(), 1);
}

#[test]
fn a_node_is_what_decides_whether_it_takes_traffic() {
    let object = json!({
        "metadata": {"name": "n1", "labels": {"node.kubernetes.io/exclude-from-external-load-balancers": "false", "zone": "a"}},
        "spec": {"providerID": "aws:///a/i-1", "taints": [{"key": "ToBeDeletedByClusterAutoscaler", "effect": "NoSchedule"}]},
        "status": {"addresses": [
            {"type": "Hostname", "address": "n1"}, {"type": "InternalIP", "address": "10.0.0.1"},
            {"type": "ExternalIP", "address": "203.0.113.9"}, {"type": "InternalIP", "address": "fd00::1"},
            {"type": "InternalIP", "address": "banana"},
        ]},
    });
    let full = Node {
        name: NodeName::new("n1"),
        internal: vec!["10.0.0.1".parse().unwrap(), "fd00::1".parse().unwrap()],
        labels: Arc::new(
            [("node.kubernetes.io/exclude-from-external-load-balancers", "false"), ("zone", "a")]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
        ),
        leaving: true,
        deleting: false,
        provider_id: Some("aws:///a/i-1".into()),
    };
    assert_eq!(read_node(&object), full);
    for (taint, leaving) in [
        ("karpenter.sh/disrupted", true),
        ("karpenter.sh/disruption", true),
        ("node.kubernetes.io/not-ready", false),
        ("node.kubernetes.io/unschedulable", false),
        ("DeletionCandidateOfClusterAutoscaler", false),
    ] {
        let mut tainted = object.clone();
        tainted["spec"]["taints"][0]["key"] = json!(taint);
        assert_eq!(read_node(&tainted).leaving, leaving, "{taint}");
    }
    let bare = Node {
        name: NodeName::new("n2"),
        internal: vec![],
        labels: Arc::default(),
        leaving: false,
        deleting: true,
        provider_id: None,
    };
    let deleting =
        json!({"metadata": {"name": "n2", "deletionTimestamp": "2026-01-01T00:00:00Z"}, "spec": {"providerID": ""}});
    assert_eq!(read_node(&deleting), bare);
}

#[test]
fn a_heartbeat_changes_nothing_of_a_node() {
    let node = |beat: &str| {
        read_node(&json!({
            "metadata": {"name": "n1", "resourceVersion": beat, "labels": {"zone": "a"}, "annotations": {"beat": beat}},
            "status": {
                "conditions": [{"type": "Ready", "status": "True", "lastHeartbeatTime": format!("2026-01-01T00:00:0{beat}Z")}],
                "images": [{"names": [beat], "sizeBytes": 1}],
            },
        }))
    };
    assert_eq!(node("1"), node("2"));
}

fn read_pod(object: &Value) -> Option<Pod> {
    pod(serde_json::from_value(object.clone()).unwrap()).map(|pod| (*pod.object).clone())
}

#[test]
fn a_pod_with_gates_of_ours_is_read_with_what_its_conditions_say_of_them() {
    let read = read_pod(&json!({
        "metadata": {"namespace": "shop", "name": "web-1", "uid": "u1", "resourceVersion": "7"},
        "spec": {
            "containers": [{"name": "web", "image": "web"}],
            "readinessGates": [
                {"conditionType": "target-health.portolan.dev/web"}, {"conditionType": "target-health.portolan.dev/api"},
                {"conditionType": "target-health.elbv2.k8s.aws/k8s-web"},
            ],
        },
        "status": {"podIP": "10.0.0.1", "conditions": [
            {"type": "ContainersReady", "status": "True", "lastTransitionTime": null},
            {"type": "Ready", "status": "False", "reason": "ReadinessGatesNotReady"},
            {"type": "target-health.portolan.dev/web", "status": "False", "reason": "NotHealthyYet", "message": "wait"},
        ]},
    }));
    let told = Gate { status: ConditionStatus::False, reason: "NotHealthyYet".into(), message: "wait".into() };
    let expected = Pod {
        name: PodName { namespace: "shop".into(), name: "web-1".into() },
        uid: Uid::new("u1"),
        gates: [("api".to_owned(), None), ("web".to_owned(), Some(told))].into(),
        containers_ready: true,
        deleting: false,
    };
    assert_eq!(read, Some(expected));
}

#[test]
fn a_pod_without_a_gate_of_ours_is_none() {
    for gates in [json!([]), Value::Null, json!([{"conditionType": "example.com/web"}])] {
        let metadata = json!({"namespace": "shop", "name": "web-1"});
        assert_eq!(read_pod(&json!({"metadata": metadata, "spec": {"readinessGates": gates}})), None);
    }
}

#[test]
fn containers_that_are_not_said_to_be_ready_are_not_and_a_pod_with_a_deletion_time_leaves() {
    let gates = json!([{"conditionType": "target-health.portolan.dev/web"}]);
    for (conditions, ready) in [
        (Value::Null, false),
        (json!([{"type": "Ready", "status": "True"}]), false),
        (json!([{"type": "ContainersReady", "status": "False"}]), false),
        (json!([{"type": "ContainersReady", "status": "Unknown"}]), false),
        (json!([{"type": "ContainersReady", "status": "True"}]), true),
    ] {
        let metadata = json!({"deletionTimestamp": ready.then_some("2026-02-01T00:00:00Z")});
        let object =
            json!({"metadata": metadata, "spec": {"readinessGates": gates}, "status": {"conditions": conditions}});
        let read = read_pod(&object).unwrap();
        assert_eq!((read.containers_ready, read.deleting), (ready, ready), "{conditions}");
    }
}
