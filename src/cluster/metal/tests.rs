//! Each field that users write of pools, advertisements and Nodes reaches what decides. What is expected is written out whole, so that a field that
//! is dropped, or read as another, differs.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::net::IpAddr;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use portolan_core::balancer::Scheme;
use portolan_core::ids::NodeName;
use portolan_core::snapshot::Node;
use portolan_metal::advertisement::{Advertisement, PoolRef, Preference};
use portolan_metal::eligible::{self, Endpoints, Host, Member, Reason, Speaker};
use portolan_metal::placement::Rebalance;
use portolan_metal::pool::{Pool, PoolName, Serves};
use portolan_metal::range::Range;
use portolan_metal::selector::{Requirement, Selector};
use serde_json::{Value, json};

use super::hosts::Place;
use super::*;

/// All fields below `spec`, as the server knows them: `a/b` is `b` of `a`, or of what `a` lists. What is in a selector is left out: one function
/// reads it for all.
fn fields(definition: &CustomResourceDefinition) -> Vec<String> {
    fn below(schema: &Value, at: &str, all: &mut Vec<String>) {
        for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
            let at = if at.is_empty() { name.clone() } else { format!("{at}/{name}") };
            for inner in [schema, &schema["items"]] {
                if inner["properties"]["matchLabels"].is_null() {
                    below(inner, &at, all);
                }
            }
            all.push(at);
        }
    }
    let definition = serde_json::to_value(definition).unwrap();
    let mut all = Vec::new();
    below(&definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"], "", &mut all);
    all
}

/// Takes a field out, wherever it is; false if it is nowhere.
fn take(from: &mut Value, field: &str) -> bool {
    match (from, field.split_once('/')) {
        (Value::Array(items), _) => items.iter_mut().map(|item| take(item, field)).fold(false, |any, one| any | one),
        (Value::Object(object), None) => object.remove(field).is_some(),
        (Value::Object(object), Some((first, rest))) => object.get_mut(first).is_some_and(|inner| take(inner, rest)),
        _ => false,
    }
}

/// The object says something of every field that there is, and without it what is read is another, or nothing.
fn each_counts<T: PartialEq + Debug>(
    definition: &CustomResourceDefinition,
    object: &Value,
    read: impl Fn(Value) -> Option<T>,
) {
    let whole = read(object.clone());
    let fields = fields(definition);
    assert!(whole.is_some() && fields.len() > 5, "{fields:?}");
    for field in fields {
        let mut without = object.clone();
        assert!(take(&mut without["spec"], &field), "the object says nothing of spec.{field}");
        assert_ne!(read(without), whole, "without spec.{field} nothing is different");
    }
}

fn text(of: &str) -> String {
    of.to_owned()
}

fn texts<const N: usize>(all: [&str; N]) -> BTreeSet<String> {
    all.map(text).into()
}

fn labels<const N: usize>(all: [(&str, &str); N]) -> Labels {
    all.map(|(key, value)| (text(key), text(value))).into()
}

fn with_label(key: &str, value: &str) -> Selector {
    Selector { requirements: vec![Requirement::In(text(key), texts([value]))] }
}

fn pool() -> Value {
    json!({
        "apiVersion": "portolan.dev/v1alpha1", "kind": "AddressPool",
        "metadata": {"name": "lan", "creationTimestamp": "1970-01-01T00:01:17Z", "labels": {"site": "north"}},
        "spec": {
            "addresses": ["192.0.2.0/28", " 2001:db8::1 - 2001:db8::9 "],
            "autoAssign": false,
            "avoidBuggyIPs": true,
            "serviceAllocation": {
                "priority": 7,
                "namespaces": ["shop", "mail"],
                "namespaceSelectors": [{"matchLabels": {"team": "blue"}}, {"matchExpressions": [{"key": "old", "operator": "DoesNotExist"}]}],
                "serviceSelectors": [{
                    "matchLabels": {"tier": "front"},
                    "matchExpressions": [
                        {"key": "zone", "operator": "In", "values": ["a", "b"]},
                        {"key": "zone", "operator": "NotIn", "values": ["c"]},
                        {"key": "app", "operator": "Exists"},
                    ],
                }],
            },
            "quotaPerNamespace": 3,
            "draining": true,
            "scheme": "internal",
            "rebalance": "Never",
        },
    })
}

fn read_pool(object: Value) -> Option<Pool> {
    Some(SeenPool::of(serde_json::from_value(object).ok()?).pool)
}

#[test]
fn each_field_of_a_pool_is_read() {
    let expected = Pool {
        name: PoolName::new("lan"),
        created: 77,
        ranges: ["192.0.2.0/28", "2001:db8::1-2001:db8::9"].map(|text| Range::parse(text).unwrap()).into(),
        defects: Vec::new(),
        auto_assign: false,
        avoid_buggy: true,
        priority: Some(7),
        serves: Serves {
            namespaces: texts(["shop", "mail"]),
            namespace_selectors: vec![
                with_label("team", "blue"),
                Selector { requirements: vec![Requirement::DoesNotExist(text("old"))] },
            ],
            service_selectors: vec![Selector {
                requirements: vec![
                    Requirement::In(text("tier"), texts(["front"])),
                    Requirement::In(text("zone"), texts(["a", "b"])),
                    Requirement::NotIn(text("zone"), texts(["c"])),
                    Requirement::Exists(text("app")),
                ],
            }],
        },
        quota: Some(3),
        draining: true,
        scheme: Some(Scheme::Internal),
        labels: labels([("site", "north")]),
        rebalance: Rebalance::Never,
    };
    assert_eq!(read_pool(pool()), Some(expected));
    each_counts(&api::AddressPool::crd(), &pool(), read_pool);
}

#[test]
fn a_pool_that_says_nothing_but_its_addresses_is_for_everybody_and_priority_0_is_none() {
    let mut object = pool();
    object["metadata"] = json!({"name": "lan"});
    object["spec"] = json!({"addresses": ["192.0.2.0/28"], "serviceAllocation": {"priority": 0}});
    let expected = Pool::new(PoolName::new("lan"), vec![Range::parse("192.0.2.0/28").unwrap()]);
    assert_eq!(read_pool(object), Some(expected));
}

#[test]
fn what_makes_no_sense_in_a_pool_is_named_by_its_field() {
    let mut object = pool();
    object["spec"]["addresses"] = json!(["what", "192.0.2.0/28"]);
    let none = json!([{}, {"matchExpressions": [{"key": "app", "operator": "In"}]}]);
    let some = json!([{"matchExpressions": [{"key": "app", "operator": "Exists", "values": ["a"]}]}]);
    object["spec"]["serviceAllocation"] = json!({"namespaceSelectors": none, "serviceSelectors": some});
    let defects = read_pool(object).unwrap().defects;
    assert!(defects[0].contains("what"), "{defects:?}");
    let selectors = [
        "spec.serviceAllocation.namespaceSelectors[1]: operator In needs values",
        "spec.serviceAllocation.serviceSelectors[0]: operator Exists takes no values",
    ];
    assert_eq!(defects[1..], selectors);
}

fn advertisement() -> Value {
    json!({
        "apiVersion": "portolan.dev/v1alpha1", "kind": "L2Advertisement", "metadata": {"name": "lan"},
        "spec": {
            "ipAddressPools": ["lan", "dmz"],
            "ipAddressPoolSelectors": [{"matchLabels": {"site": "north"}}],
            "nodeSelectors": [
                {"matchLabels": {"role": "edge"}},
                {"matchExpressions": [{"key": "rack", "operator": "NotIn", "values": ["r9"]}]},
            ],
            "interfaces": ["lan0", "lan1"],
            "serviceSelectors": [{"matchExpressions": [{"key": "tier", "operator": "Exists"}]}],
            "preferredNodeSelectors": [
                {"weight": 100, "preference": {"matchLabels": {"rack": "r1"}}},
                {"weight": 7, "preference": {"matchExpressions": [{"key": "old", "operator": "DoesNotExist"}]}},
            ],
        },
    })
}

fn read_advertisement(object: Value) -> Option<Advertisement> {
    SeenAdvertisement::of(serde_json::from_value(object).ok()?).advertisement
}

#[test]
fn each_field_of_an_advertisement_is_read() {
    let only = |requirement| Selector { requirements: vec![requirement] };
    let expected = Advertisement {
        pools: ["lan", "dmz"].map(PoolName::new).into(),
        pool_selectors: vec![with_label("site", "north")],
        node_selectors: vec![with_label("role", "edge"), only(Requirement::NotIn(text("rack"), texts(["r9"])))],
        interfaces: texts(["lan0", "lan1"]),
        service_selectors: vec![only(Requirement::Exists(text("tier")))],
        preferences: vec![
            Preference { weight: 100, selector: with_label("rack", "r1") },
            Preference { weight: 7, selector: only(Requirement::DoesNotExist(text("old"))) },
        ],
    };
    assert_eq!(read_advertisement(advertisement()), Some(expected));
    each_counts(&api::L2Advertisement::crd(), &advertisement(), read_advertisement);
}

/// Part of it could announce what it is to keep from the wire.
#[test]
fn an_advertisement_of_which_anything_makes_no_sense_announces_nothing() {
    let selector = json!({"matchExpressions": [{"key": "app", "operator": "In", "values": []}]});
    let weighed = |weight: u32, preference: &Value| json!([{"weight": weight, "preference": preference}]);
    for (field, value) in [
        ("ipAddressPoolSelectors", json!([selector])),
        ("nodeSelectors", json!([selector])),
        ("serviceSelectors", json!([selector])),
        ("preferredNodeSelectors", weighed(1, &selector)),
        ("preferredNodeSelectors", weighed(0, &json!({}))),
        ("preferredNodeSelectors", weighed(101, &json!({}))),
    ] {
        let mut object = advertisement();
        object["spec"][field] = value;
        assert_eq!(read_advertisement(object.clone()), None, "{object}");
    }
}

/// One against which nothing speaks.
fn node() -> Value {
    json!({
        "metadata": {"name": "node-a", "labels": {"rack": "r1"}, "annotations": {"portolan.dev/drain": "false"}},
        "spec": {
            "podCIDR": "10.244.1.0/24",
            "podCIDRs": ["10.244.1.0/24", "2001:db8:1::/64"],
            "providerID": "metal://node-a",
            "taints": [{"key": "dedicated", "value": "edge", "effect": "NoExecute"}],
        },
        "status": {
            "addresses": [{"type": "InternalIP", "address": "192.0.2.10"}, {"type": "ExternalIP", "address": "198.51.100.10"}],
            "conditions": [{"type": "Ready", "status": "True"}, {"type": "NetworkUnavailable", "status": "False"}],
        },
    })
}

fn alive() -> Speaker {
    Speaker::Alive { interfaces: texts(["lan0"]), forwards: true, failing: BTreeSet::new() }
}

fn host() -> Host {
    let node = Node {
        name: NodeName::new("node-a"),
        internal: vec!["192.0.2.10".parse().unwrap()],
        labels: labels([("rack", "r1")]).into(),
        leaving: false,
        deleting: false,
        provider_id: Some(text("metal://node-a")),
    };
    Host {
        node: node.into(),
        ready: true,
        network_unavailable: false,
        out_of_service: false,
        drained: false,
        speaker: alive(),
    }
}

fn read_node(object: Value) -> SeenNode {
    SeenNode::of(serde_json::from_value(object).unwrap())
}

/// Why this host does not answer for an address for which another one could.
fn why_not(host: &Host) -> Option<Reason> {
    let mut other = self::host();
    Arc::make_mut(&mut other.node).name = NodeName::new("node-b");
    let pool = PoolRef { name: PoolName::new("lan"), labels: Labels::new() };
    let member = Member { labels: Labels::new(), endpoints: Endpoints::Anywhere, health_check: None };
    let address: IpAddr = "192.0.2.1".parse().unwrap();
    let vips = BTreeMap::from([(address, eligible::Vip { pool, services: vec![member] })]);
    let decided = eligible::eligible(&vips, &[host.clone(), other.clone()], &[Advertisement::default()], false);
    assert!(decided[&address].nodes.contains_key(&other.node.name));
    decided[&address].why_not(&host.node.name)
}

#[test]
fn each_field_of_a_node_is_read_and_what_takes_it_out_of_announcing_does() {
    let seen = read_node(node());
    let place = Place {
        addresses: ["192.0.2.10", "198.51.100.10"].map(|address| address.parse().unwrap()).into(),
        pods: ["10.244.1.0/24", "2001:db8:1::/64"].map(|range| Range::parse(range).unwrap()).into(),
    };
    assert_eq!((seen.host(alive()), seen.place), (host(), place));
    assert_eq!(why_not(&host()), None);

    let conditions = |ready: &str, network: &str| json!([{"type": "Ready", "status": ready}, {"type": "NetworkUnavailable", "status": network}]);
    let taint = |key: &str, effect: &str| json!([{"key": key, "effect": effect}]);
    let off = "node.kubernetes.io/out-of-service";
    let excluded = json!({"node.kubernetes.io/exclude-from-external-load-balancers": "", "rack": "r1"});
    type Change = fn(&mut Host);
    let rows: [(&str, Value, Change, Option<Reason>); 13] = [
        ("/status/conditions", conditions("False", "False"), |host| host.ready = false, Some(Reason::NotReady)),
        ("/status/conditions", conditions("Unknown", "False"), |host| host.ready = false, Some(Reason::NotReady)),
        ("/status/conditions", json!([]), |host| host.ready = false, Some(Reason::NotReady)),
        (
            "/status/conditions",
            conditions("True", "True"),
            |host| host.network_unavailable = true,
            Some(Reason::NetworkUnavailable),
        ),
        ("/status/conditions", conditions("True", "Unknown"), |_| {}, None),
        ("/spec/taints", taint(off, "NoExecute"), |host| host.out_of_service = true, Some(Reason::OutOfService)),
        ("/spec/taints", taint(off, "NoSchedule"), |host| host.out_of_service = true, Some(Reason::OutOfService)),
        (
            "/spec/taints",
            taint("ToBeDeletedByClusterAutoscaler", "NoSchedule"),
            |host| Arc::make_mut(&mut host.node).leaving = true,
            Some(Reason::Leaving),
        ),
        // What a cordon, or a node that is gone for a moment, does to new pods.
        ("/spec/taints", taint("node.kubernetes.io/unschedulable", "NoSchedule"), |_| {}, None),
        ("/spec/taints", taint("node.kubernetes.io/unreachable", "NoExecute"), |_| {}, None),
        (
            "/metadata/labels",
            excluded,
            |host| {
                Arc::make_mut(&mut host.node).labels =
                    labels([("node.kubernetes.io/exclude-from-external-load-balancers", ""), ("rack", "r1")]).into();
            },
            Some(Reason::Excluded),
        ),
        (
            "/metadata/annotations",
            json!({"portolan.dev/drain": "for the new switch"}),
            |host| host.drained = true,
            Some(Reason::Drained),
        ),
        ("/metadata/annotations", json!({"portolan.dev/drained": "true"}), |_| {}, None),
    ];
    for (at, value, change, reason) in rows {
        let mut object = node();
        *object.pointer_mut(at).unwrap() = value;
        let mut expected = host();
        change(&mut expected);
        assert_eq!(read_node(object.clone()).host(alive()), expected, "{object}");
        assert_eq!(why_not(&expected), reason, "{object}");
    }
    let mut object = node();
    object["spec"]["unschedulable"] = json!(true);
    assert_eq!(read_node(object).host(alive()), host(), "a cordoned node keeps what it has");
    let mut object = node();
    object["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    assert_eq!(why_not(&read_node(object).host(alive())), Some(Reason::Deleting));
}
