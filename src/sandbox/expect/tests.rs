use serde_json::json;

use super::*;
use crate::cluster::project;

/// A Service with two addresses, refused port and conditions of ours and of others.
fn shown() -> Service {
    let condition = |name: &str, status: &str, reason: &str| json!({"type": name, "status": status, "reason": reason, "message": "nobody answers", "lastTransitionTime": "2026-01-01T00:00:00Z"});
    let stored = json!({
        "metadata": {"name": "web", "namespace": "shop", "uid": "1"},
        "spec": {"type": "LoadBalancer", "ports": [{"port": 80}]},
        "status": {
            "loadBalancer": {"ingress": [
                {"ip": "203.0.113.1", "ipMode": "VIP", "ports": [
                    {"port": 80, "protocol": "TCP"}, {"port": 99, "protocol": "SCTP", "error": "ProtocolNotSupported"}]},
                {"ip": "2001:db8::1", "ipMode": "VIP"},
            ]},
            "conditions": [
                condition("portolan.dev/Programmed", "True", "Programmed"),
                condition("portolan.dev/Reachable", "False", "NoEndpoints"),
                condition("example.com/Green", "Unknown", "Dark"),
            ],
        },
    });
    service(stored)
}

fn service(stored: Value) -> Service {
    let versioned = project::service(serde_json::from_value(stored).unwrap());
    std::sync::Arc::unwrap_or_clone(versioned.object)
}

fn missing(text: &str) -> Vec<String> {
    Expectation::parse(text).unwrap().missing(&shown())
}

#[test]
fn a_fragment_is_met_by_whatever_shows_it_and_more() {
    for met in [
        "{}",
        "conditions: [{type: portolan.dev/Programmed, status: 'True', reason: Programmed}]",
        "conditions: [{type: Programmed, status: True}]",
        "conditions: [{type: Reachable, message: body ans}, {type: example.com/Green, status: Unknown}]",
        "status: {conditions: [{type: Reachable, status: False}]}",
        "loadBalancer: {ingress: [{ip: 203.0.113.1}]}",
        "loadBalancer: {ingress: [{ip: '2001:db8::1', ipMode: VIP, ports: []}, {ip: 203.0.113.1}]}",
        "loadBalancer: {ingress: [{ports: [{port: 99, protocol: SCTP, error: ProtocolNotSupported}]}]}",
        "[{conditions: []}, {conditions: [{type: Programmed, status: True}]}]",
        r#"{"conditions": [{"type": "Programmed", "status": "True"}]}"#,
    ] {
        assert_eq!(missing(met), Vec::<String>::new(), "{met}");
    }
}

#[test]
fn what_is_not_shown_is_named_beside_what_is() {
    for (unmet, said) in [
        (
            "conditions: [{type: Programmed, status: False}]",
            "portolan.dev/Programmed=False, is True Programmed: nobody answers",
        ),
        (
            "conditions: [{type: Reachable, status: False, reason: NoNodes}]",
            "portolan.dev/Reachable=False \"NoNodes\", is False NoEndpoints: nobody answers",
        ),
        (
            "conditions: [{type: Reachable, message: everybody}]",
            "portolan.dev/Reachable \"everybody\", is False NoEndpoints: nobody answers",
        ),
        ("conditions: [{type: Accepted}]", "portolan.dev/Accepted, is absent"),
        ("status: {conditions: [{type: Accepted}]}", "portolan.dev/Accepted, is absent"),
        (
            "loadBalancer: {ingress: [{ip: 203.0.113.2, ipMode: VIP}]}",
            "address 203.0.113.2 VIP, is 203.0.113.1 VIP 80/TCP 99/SCTP/ProtocolNotSupported, 2001:db8::1 VIP",
        ),
        (
            "loadBalancer: {ingress: [{ports: [{port: 99, error: Other}]}]}",
            "address 99/Other, is 203.0.113.1 VIP 80/TCP 99/SCTP/ProtocolNotSupported, 2001:db8::1 VIP",
        ),
    ] {
        assert_eq!(missing(unmet), [said], "{unmet}");
    }
}

#[test]
fn an_empty_list_wants_none() {
    let nobody = service(json!({"metadata": {"name": "web", "namespace": "shop", "uid": "1"}}));
    let none = Expectation::parse("{loadBalancer: {ingress: []}, conditions: []}").unwrap();
    assert_eq!(none.missing(&nobody), Vec::<String>::new());
    assert_eq!(none.missing(&shown()).len(), 2 + 3);
}

#[test]
fn as_many_addresses_are_wanted_as_stand_there() {
    assert_eq!(missing("loadBalancer: {ingress: [{ipMode: VIP}, {ipMode: VIP}]}"), Vec::<String>::new());
    assert_eq!(missing("loadBalancer: {ingress: [{ipMode: VIP}, {}, {}]}").len(), 1);
}

#[test]
fn of_alternatives_that_which_lacks_least_is_told() {
    let lacks = missing("[{conditions: [{type: A}, {type: B}]}, {conditions: [{type: C}]}]");
    assert_eq!(lacks, ["C, is absent"]);
}

#[test]
fn without_an_annotation_a_claimed_service_must_end_programmed() {
    assert_eq!(Expectation::of(&BTreeMap::new()), Ok(None));
    assert_eq!(Expectation::programmed().missing(&shown()), Vec::<String>::new());
    let fresh = service(json!({"metadata": {"name": "web", "namespace": "shop", "uid": "1"}}));
    assert_eq!(Expectation::programmed().missing(&fresh), ["portolan.dev/Programmed=True, is absent"]);
}

#[test]
fn what_cannot_be_read_says_where_and_what_to_write() {
    for (text, said) in [
        ("", "it is empty"),
        ("---\n{}\n---\n{}", "it is several documents"),
        ("[]", "a list of no alternatives"),
        ("Programmed", "invalid type"),
        ("condition: []", "unknown field `condition`"),
        ("conditions: {Programmed: True}", "conditions"),
        ("conditions: [{status: True}]", "missing field `type`"),
        ("conditions: [{type: Programmed, status: Yep}]", "status is True, False or Unknown"),
        ("conditions: [{type: Programmed, reasons: X}]", "unknown field `reasons`"),
        ("loadBalancer: {ingress: [{address: 1.2.3.4}]}", "unknown field `address`"),
        ("loadBalancer: {ingress: [{ports: [{port: 99999}]}]}", "loadBalancer.ingress[0].ports[0].port"),
        ("conditions: [", "1:"),
    ] {
        let error = Expectation::parse(text).unwrap_err().to_string();
        assert!(error.contains(said), "{text:?}: {error}");
        assert!(error.starts_with("annotation sandbox.portolan.dev/expect cannot be read: "), "{error}");
    }
}
