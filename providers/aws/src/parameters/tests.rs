use proptest::prelude::*;
use serde_json::json;

use super::*;

fn problems(value: &Value) -> Vec<(String, String)> {
    Parameters::parse(value).unwrap_err().into_iter().map(|problem| (problem.pointer, problem.message)).collect()
}

#[test]
fn the_name_of_the_cluster_alone_is_enough_and_cannot_be_left_out() {
    let parameters = Parameters::parse(&json!({"clusterName": "prod"})).unwrap();
    assert_eq!(parameters, Parameters::new(ClusterName::parse("prod").unwrap()));
    assert_eq!(parameters.defaults.scheme, Scheme::Internal);
    for nothing in [json!(null), json!({}), json!({"defaults": {}, "limits": {}})] {
        let found = problems(&nothing);
        assert_eq!(found.len(), 1);
        assert!(found[0].1.contains("clusterName"), "{found:?}");
    }
}

#[test]
fn every_parameter_is_read() {
    let read = Parameters::parse(&json!({
        "clusterName": "prod", "region": "eu-central-1", "vpcId": "vpc-0a", "backendSecurityGroup": "sg-0b", "publishWhen": "healthy",
        "rulesPerSecurityGroup": 200, "defaults": {
            "scheme": "internet-facing", "targetType": "ip", "ipAddressType": "dualstack", "subnets": ["subnet-1", "b"],
            "securityGroups": ["sg-1"], "sslPolicy": "ELBSecurityPolicy-TLS13-1-2-2021-06", "tags": {"team": "web"},
            "loadBalancerAttributes": {"load_balancing.cross_zone.enabled": true},
            "targetGroupAttributes": {"deregistration_delay.timeout_seconds": 30},
            "listenerAttributes": {"tcp.idle_timeout.seconds": "600"},
        },
        "limits": {
            "schemes": ["public"], "targetTypes": ["ip"], "ipAddressTypes": ["dualstack"], "subnets": [], "securityGroups": ["sg-2"],
            "sslPolicies": ["ELBSecurityPolicy-TLS13-1-2-2021-06"], "loadBalancerAttributes": ["zonal_shift.config.enabled"],
            "targetGroupAttributes": [], "listenerAttributes": [], "names": false, "staticAddresses": false,
            "withoutSecurityGroups": false, "tags": {"cost": "1"}, "reservedTags": ["owner"],
        },
    }))
    .unwrap();
    let attribute = |table, key: &str| AttributeKey::parse(table, key).unwrap();
    let expected = Parameters {
        cluster_name: ClusterName::parse("prod").unwrap(),
        region: Some(Region::parse("eu-central-1").unwrap()),
        vpc_id: VpcId::parse("vpc-0a"),
        backend_security_group: BackendSecurityGroup::Own(SecurityGroupId::parse("sg-0b").unwrap()),
        publish_when: PublishWhen::Healthy,
        rules_per_security_group: Some(200),
        defaults: Defaults {
            scheme: Scheme::Public,
            target_type: TargetType::Ip,
            ip_address_type: Some(IpAddressType::Dualstack),
            subnets: vec![SubnetRef::parse("subnet-1").unwrap(), SubnetRef::parse("b").unwrap()],
            security_groups: DefaultSecurityGroups::Own(vec![SecurityGroupRef::parse("sg-1").unwrap()]),
            ssl_policy: SslPolicy::parse("ELBSecurityPolicy-TLS13-1-2-2021-06").unwrap(),
            tags: [("team".to_owned(), "web".to_owned())].into(),
            load_balancer_attributes: [(
                attribute(attributes::LOAD_BALANCER, "load_balancing.cross_zone.enabled"),
                "true".to_owned(),
            )]
            .into(),
            target_group_attributes: [(
                attribute(attributes::TARGET_GROUP, "deregistration_delay.timeout_seconds"),
                "30".to_owned(),
            )]
            .into(),
            listener_attributes: [(attribute(attributes::LISTENER, "tcp.idle_timeout.seconds"), "600".to_owned())]
                .into(),
        },
        limits: Limits {
            schemes: Limit::Only(vec![Scheme::Public]),
            target_types: Limit::Only(vec![TargetType::Ip]),
            ip_address_types: Limit::Only(vec![IpAddressType::Dualstack]),
            subnets: Limit::Only(vec![]),
            security_groups: Limit::Only(vec![SecurityGroupRef::parse("sg-2").unwrap()]),
            ssl_policies: Limit::Only(vec![SslPolicy::parse("ELBSecurityPolicy-TLS13-1-2-2021-06").unwrap()]),
            load_balancer_attributes: Limit::Only(vec![attribute(
                attributes::LOAD_BALANCER,
                "zonal_shift.config.enabled",
            )]),
            target_group_attributes: Limit::Only(vec![]),
            listener_attributes: Limit::Only(vec![]),
            names: false,
            static_addresses: false,
            without_security_groups: false,
            tags: [("cost".to_owned(), "1".to_owned())].into(),
            reserved_tags: ["owner".to_owned()].into(),
        },
    };
    assert_eq!(read, expected);
}

#[test]
fn all_problems_are_found_at_once_each_at_its_place() {
    let found = problems(&json!({
        "clusterName": "a b", "region": 5, "vpcId": "vpc_1", "backendSecurityGroup": "x", "speed": 1,
        "rulesPerSecurityGroup": 1001,
        "defaults": {
            "scheme": "Internal", "targetType": "pod", "ipAddressType": "ipv6", "subnets": "subnet-1", "securityGroups": "all",
            "sslPolicy": "best", "tags": {"aws:x": "y", "n": 1}, "colour": "red",
            "loadBalancerAttributes": {"idle_timeout.timeout_seconds": 5, "zonal_shift.config.enabled": "perhaps"},
            "targetGroupAttributes": {"stickiness.enabled": [true]}, "listenerAttributes": {"tcp.idle_timeout.seconds": 59},
        },
        "limits": {"schemes": ["internal", "internal"], "names": "yes", "subnets": [1], "reservedTags": [""], "prices": 1},
    }));
    let places: BTreeSet<&str> = found.iter().map(|(place, _)| place.as_str()).collect();
    let expected = BTreeSet::from([
        "/clusterName",
        "/region",
        "/vpcId",
        "/backendSecurityGroup",
        "/speed",
        "/rulesPerSecurityGroup",
        "/defaults/scheme",
        "/defaults/targetType",
        "/defaults/ipAddressType",
        "/defaults/subnets",
        "/defaults/securityGroups",
        "/defaults/sslPolicy",
        "/defaults/tags/aws:x",
        "/defaults/tags/n",
        "/defaults/colour",
        "/defaults/loadBalancerAttributes/idle_timeout.timeout_seconds",
        "/defaults/loadBalancerAttributes/zonal_shift.config.enabled",
        "/defaults/targetGroupAttributes/stickiness.enabled",
        "/defaults/listenerAttributes/tcp.idle_timeout.seconds",
        "/limits/schemes/1",
        "/limits/names",
        "/limits/subnets/0",
        "/limits/reservedTags/0",
        "/limits/prices",
    ]);
    assert_eq!(places, expected);
    assert_eq!(found.len(), expected.len(), "{found:?}");
}

#[test]
fn a_default_lies_within_the_limits() {
    for (defaults, limits, place) in [
        (json!({"scheme": "internal"}), json!({"schemes": ["internet-facing"]}), "/defaults/scheme"),
        (json!({}), json!({"schemes": ["internet-facing"]}), "/limits/schemes"),
        (json!({"targetType": "ip"}), json!({"targetTypes": ["instance"]}), "/defaults/targetType"),
        (json!({}), json!({"targetTypes": ["ip"]}), "/limits/targetTypes"),
        (json!({"ipAddressType": "dualstack"}), json!({"ipAddressTypes": ["ipv4"]}), "/defaults/ipAddressType"),
        (
            json!({"sslPolicy": "ELBSecurityPolicy-2016-08"}),
            json!({"sslPolicies": ["ELBSecurityPolicy-TLS13-1-2-2021-06"]}),
            "/defaults/sslPolicy",
        ),
    ] {
        let found = problems(&json!({"clusterName": "prod", "defaults": defaults, "limits": limits}));
        assert_eq!(found.iter().map(|(at, _)| at.as_str()).collect::<Vec<_>>(), [place], "{found:?}");
    }
}

#[test]
fn a_limit_says_what_it_leaves() {
    assert!(Limit::<u8>::Any.allows(&1));
    let only = Limit::Only(vec![1, 2]);
    assert!(only.allows(&2) && !only.allows(&3));
    assert_eq!(only.told(|number| *number), "only 1, 2");
    assert_eq!(Limit::<u8>::Only(vec![]).told(|number| *number), "none");
}

fn any_json() -> impl Strategy<Value = Value> {
    let key = prop::sample::select(vec![
        "clusterName",
        "region",
        "defaults",
        "limits",
        "scheme",
        "subnets",
        "tags",
        "schemes",
        "names",
        "a~b/c",
        "loadBalancerAttributes",
        "load_balancing.cross_zone.enabled",
        "securityGroups",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
        Just(json!("internal")),
        Just(json!("subnet-1")),
    ];
    leaf.prop_recursive(3, 24, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(key.clone().prop_map(str::to_owned), inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_value_makes_the_parser_panic_and_every_problem_has_a_place(value in any_json()) {
        if let Err(problems) = Parameters::parse(&value) {
            prop_assert!(!problems.is_empty());
            for problem in problems {
                prop_assert!(problem.pointer.is_empty() || value.pointer(&problem.pointer).is_some(), "{}", problem.pointer);
            }
        }
    }
}
