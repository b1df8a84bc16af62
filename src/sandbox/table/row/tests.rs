use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::cluster::project;
use crate::config::Configuration;

fn row(stored: Value) -> Row {
    let service = project::service(serde_json::from_value(stored).unwrap()).object;
    Row::of(&Arc::unwrap_or_clone(service), &[], &Configuration::default().classes)
}

fn claimed(conditions: &[(&str, &str)]) -> Value {
    let conditions: Vec<Value> = conditions
        .iter()
        .map(|(name, status)| json!({"type": format!("portolan.dev/{name}"), "status": status, "reason": "Why", "message": "m", "lastTransitionTime": null}))
        .collect();
    json!({
        "metadata": {"name": "web", "namespace": "shop", "uid": "1"},
        "spec": {"type": "LoadBalancer", "loadBalancerClass": "portolan.dev/mock", "ports": [{"name": "a", "port": 80, "nodePort": 30080}, {"name": "b", "port": 99, "protocol": "SCTP"}]},
        "status": {
            "loadBalancer": {"ingress": [{"ip": "203.0.113.1", "ipMode": "VIP", "ports": [{"port": 99, "protocol": "SCTP", "error": "ProtocolNotSupported"}]}]},
            "conditions": conditions,
        },
    })
}

fn named(conditions: &[(&str, &str)]) -> Option<(&'static str, ConditionStatus)> {
    row(claimed(conditions)).condition.map(|condition| (condition.condition, condition.status))
}

#[test]
fn the_first_condition_that_is_false_is_named_and_unknown_only_where_none_is() {
    let all = [("Accepted", "True"), ("AddressAssigned", "True"), ("Programmed", "True"), ("Reachable", "True")];
    assert_eq!(named(&all), None);
    assert_eq!(named(&[]), None);
    let failing = [("Reachable", "False"), ("Programmed", "False"), ("Accepted", "True")];
    assert_eq!(named(&failing), Some(("portolan.dev/Programmed", ConditionStatus::False)));
    let unknown = [("Programmed", "Unknown"), ("Reachable", "False")];
    assert_eq!(named(&unknown), Some(("portolan.dev/Reachable", ConditionStatus::False)));
    assert_eq!(named(&[("Reachable", "Unknown")]), Some(("portolan.dev/Reachable", ConditionStatus::Unknown)));
}

#[test]
fn a_row_as_scripts_read_it() {
    let row = row(claimed(&[("Accepted", "True"), ("Programmed", "False")]));
    let wanted = json!({
        "namespace": "shop", "name": "web", "class": "portolan.dev/mock", "claim": "Claimed",
        "addresses": [{"ip": "203.0.113.1", "ipMode": "VIP"}],
        "ports": [{"port": 80, "protocol": "TCP", "nodePort": 30080}, {"port": 99, "protocol": "SCTP", "error": "ProtocolNotSupported"}],
        "condition": {"type": "portolan.dev/Programmed", "status": "False", "reason": "Why", "message": "m"},
        "expected": false,
        "missing": ["portolan.dev/Programmed=True, is False Why: m"],
    });
    assert_eq!(serde_json::to_value(row).unwrap(), wanted);
}

#[test]
fn of_a_service_that_is_not_ours_nothing_is_expected_unless_its_author_does() {
    let mut foreign = claimed(&[]);
    foreign["spec"]["loadBalancerClass"] = json!("example.com/other");
    assert_eq!((row(foreign.clone()).claim, row(foreign.clone()).expected), ("NotOurs", true));
    foreign["metadata"]["annotations"] = json!({"sandbox.portolan.dev/expect": "loadBalancer: {ingress: []}"});
    assert!(!row(foreign).expected);
}

#[test]
fn one_that_was_ours_is_as_expected_only_when_nothing_of_ours_is_left() {
    let mut left = claimed(&[("Accepted", "True"), ("Programmed", "True")]);
    left["spec"]["type"] = json!("ClusterIP");
    assert_eq!(row(left).missing, ["nothing of ours left on it: it is not of type LoadBalancer any more"]);
}

#[test]
fn an_expectation_edited_into_nonsense_is_not_met() {
    let mut edited = claimed(&[("Programmed", "True")]);
    assert!(row(edited.clone()).expected);
    edited["metadata"]["annotations"] = json!({"sandbox.portolan.dev/expect": "nonsense"});
    assert!(row(edited).missing[0].contains("cannot be read"));
}
