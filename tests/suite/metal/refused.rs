//! What the server refuses of pools, advertisements and addresses by itself, and what it takes: as a dry run, so that nothing is stored.

use serde_json::{Value, json};

use super::{POOLS, VIPS};
use crate::case::{both, real_without_neighbours};
use crate::harness::{World, merged};

const ADVERTISEMENTS: &str = "/apis/portolan.dev/v1alpha1/l2advertisements";

/// The answer's message; none if it is taken.
fn refusal(world: &World, collection: &str, kind: &str, changes: Value) -> Option<String> {
    let object = json!({"apiVersion": "portolan.dev/v1alpha1", "kind": kind, "metadata": {"name": world.namespace}});
    let path = format!("{collection}?dryRun=All");
    let (code, answer) = world.api.send("POST", &path, "application/json", "suite", &merged(object, changes));
    match code {
        201 => None,
        422 => Some(answer["message"].as_str().unwrap().to_owned()),
        other => panic!("{other}: {answer:#}"),
    }
}

fn pool(world: &World, spec: Value) -> Option<String> {
    refusal(world, POOLS, "AddressPool", json!({"spec": merged(json!({"addresses": ["10.82.0.0/24"]}), spec)}))
}

fn advertisement(world: &World, spec: Value) -> Option<String> {
    refusal(world, ADVERTISEMENTS, "L2Advertisement", json!({"spec": spec}))
}

fn selecting(operator: &str, values: Value) -> Value {
    json!([{"matchExpressions": [{"key": "team", "operator": operator, "values": values}]}])
}

#[test]
fn what_makes_no_sense_is_refused_at_once_with_what_to_write_instead() {
    real_without_neighbours(|world| {
        for (text, says) in [
            ("what", "write 192.0.2.0/24, 192.0.2.10-192.0.2.20 or 192.0.2.10"),
            ("192.0.2.1-", "write 192.0.2.0/24"),
            ("192.0.2.1-192.0.2.2-192.0.2.3", "write 192.0.2.0/24"),
            ("192.0.2.0/33", "write 192.0.2.0/24"),
            ("192.0.2.300", "write 192.0.2.0/24"),
            ("192.0.2.5/24", "write the network"),
            ("192.0.2.1-2001:db8::1", "write a range for each"),
        ] {
            let refused = pool(world, json!({"addresses": ["10.82.0.0/24", text]})).unwrap_or_default();
            assert!(refused.contains("spec.addresses[1]") && refused.contains(says), "{text}: {refused:?}");
        }
        let values = "operators In and NotIn need values; Exists and DoesNotExist take none";
        for (selectors, says) in [
            (selecting("In", json!([])), values),
            (selecting("NotIn", Value::Null), values),
            (selecting("Exists", json!(["red"])), values),
            (selecting("Is", json!(["red"])), r#"supported values: "In", "NotIn", "Exists", "DoesNotExist""#),
        ] {
            for field in ["namespaceSelectors", "serviceSelectors"] {
                let refused = pool(world, json!({"serviceAllocation": {field: selectors}})).unwrap_or_default();
                assert!(refused.contains(field) && refused.contains(says), "{selectors}: {refused:?}");
            }
            for field in ["ipAddressPoolSelectors", "nodeSelectors", "serviceSelectors"] {
                let refused = advertisement(world, json!({field: selectors})).unwrap_or_default();
                assert!(refused.contains(field) && refused.contains(says), "{selectors}: {refused:?}");
            }
            let preferred = json!({"preferredNodeSelectors": [{"weight": 1, "preference": selectors[0]}]});
            let refused = advertisement(world, preferred).unwrap_or_default();
            assert!(refused.contains("preference") && refused.contains(says), "{selectors}: {refused:?}");
        }
        for name in ["web", "2001-db8--10", "198.51.100", "2001-0DB8-0000-0000-0000-0000-0000-001"] {
            let changes = json!({"metadata": {"name": name.to_lowercase()}, "spec": {}});
            let refused = refusal(world, VIPS, "VirtualIP", changes).unwrap_or_default();
            assert!(refused.contains("its name is its address"), "{name}: {refused:?}");
        }
    });
}

#[test]
fn whatever_a_controller_understands_is_taken() {
    both(|world| {
        for text in [
            "192.0.2.0/24",
            "192.0.2.10-192.0.2.20",
            "192.0.2.10 - 192.0.2.20",
            " 192.0.2.0/32 ",
            "192.0.2.10",
            "2001:db8::/64",
            "2001:DB8::1-2001:db8:0::ff",
            "2001:0db8:0000:0000:0000:0000:0000:0001-2001:0db8:0000:0000:0000:0000:0000:ffff",
        ] {
            assert_eq!(pool(world, json!({"addresses": [text]})), None, "{text}");
        }
        // As many as there may be, each as long as it may be: what the rules cost is within the server's bounds.
        let range = "2001:0db8:0000:0000:0000:0000:0000:0001 - 2001:0db8:0000:0000:0000:0000:0000:ffff";
        assert_eq!(pool(world, json!({"addresses": vec![range; 500]})), None);
        for (operator, values) in [("In", json!(["red"])), ("NotIn", json!(["red"])), ("Exists", json!([]))] {
            let selectors = selecting(operator, values);
            let allocation =
                json!({"namespaceSelectors": selectors, "serviceSelectors": [{"matchLabels": {"a": "b"}}, {}]});
            assert_eq!(pool(world, json!({"serviceAllocation": allocation})), None);
            assert_eq!(advertisement(world, json!({"nodeSelectors": selectors})), None);
        }
        let selectors = json!([{"matchExpressions": [{"key": "team", "operator": "DoesNotExist"}]}]);
        assert_eq!(advertisement(world, json!({"serviceSelectors": selectors})), None);
        for name in ["198.51.100.42", "2001-0db8-0000-0000-0000-0000-0000-0010"] {
            assert_eq!(
                refusal(world, VIPS, "VirtualIP", json!({"metadata": {"name": name}, "spec": {}})),
                None,
                "{name}"
            );
        }
    });
}

#[test]
fn fields_that_there_are_not_are_refused_by_name_to_who_asks_for_it_as_kubectl_does() {
    real_without_neighbours(|world| {
        for (kind, spec, named) in [
            ("AddressPool", "addresses: [10.82.0.0/24], drainig: true", "spec.drainig"),
            ("AddressPool", "addresses: [10.82.0.0/24], bgpPeers: [peer]", "spec.bgpPeers"),
            ("L2Advertisement", "ipAddressPool: [pool]", "spec.ipAddressPool"),
        ] {
            let text = format!(
                "apiVersion: portolan.dev/v1alpha1\nkind: {kind}\nmetadata: {{name: {}}}\nspec: {{{spec}}}\n",
                world.namespace
            );
            let refused = world.server.kubectl(&["apply", "--dry-run=server"], Some(&text)).unwrap_err();
            assert!(refused.contains(&format!("unknown field \"{named}\"")), "{refused}");
        }
    });
}
