//! What the API server refuses of our kinds by itself, before anybody has stored it: rules in CEL, beside the schema's own words. They refuse
//! nothing that a controller would take, but for IPv4 written as IPv6 (`::ffff:192.0.2.1`), and not all that it would not; where nobody evaluates them
//! only the earlier word is lost. Each list and text has a bound, because the server estimates what a rule may cost. `isIP` and `isCIDR` came with
//! Kubernetes 1.30, and a server takes functions in new rules one version after it has learnt them.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{CustomResourceDefinition, ValidationRule};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Value, json};

/// Ranges of a pool.
const MOST_RANGES: u32 = 500;
/// Characters of a range: two addresses of IPv6 take 79.
const LONGEST_RANGE: u32 = 100;
/// Selectors in a list, and expressions in one of them.
const MOST_SELECTORS: u32 = 64;
const MOST_EXPRESSIONS: u32 = 32;

/// `spec.addresses` of an AddressPool.
pub(super) fn ranges(_: &mut SchemaGenerator) -> Schema {
    // Not `all`: its cost is estimated as if every character could be an end.
    let end = |number: u8| format!("self.split('-')[{number}].trim()");
    let two = format!("self.split('-').size() == 2 && isIP({}) && isIP({})", end(0), end(1));
    let family = |number: u8| format!("ip({}).family()", end(number));
    let rules = json!([
        {
            "rule": format!("self.contains('-') ? {two} : isCIDR(self.trim()) || isIP(self.trim())"),
            "message": "no range of addresses; write 192.0.2.0/24, 192.0.2.10-192.0.2.20 or 192.0.2.10",
        },
        {
            "rule": format!("!({two}) || {} == {}", family(0), family(1)),
            "message": "it begins in one family and ends in another; write a range for each",
        },
        {
            "rule": "!isCIDR(self.trim()) || cidr(self.trim()).masked() == cidr(self.trim())",
            "message": "it has bits beyond its prefix; write the network, or the addresses from and to with a - between them",
        },
    ]);
    let range = json!({"type": "string", "maxLength": LONGEST_RANGE, "x-kubernetes-validations": rules});
    schema(json!({"type": "array", "minItems": 1, "maxItems": MOST_RANGES, "items": range}))
}

/// A list of selectors.
pub(super) fn selectors(generator: &mut SchemaGenerator) -> Schema {
    let items = selector(generator);
    schema(json!({"type": "array", "maxItems": MOST_SELECTORS, "items": items}))
}

/// A selector, of which every expression makes sense.
pub(super) fn selector(generator: &mut SchemaGenerator) -> Schema {
    let mut selector = LabelSelector::json_schema(generator).to_value();
    let mut say = |at: &str, word: &str, what: Value| {
        let of = selector.pointer_mut(&format!("/properties/matchExpressions{at}"));
        of.and_then(Value::as_object_mut).map(|schema| schema.insert(word.to_owned(), what));
    };
    say("", "maxItems", MOST_EXPRESSIONS.into());
    say("/items/properties/operator", "enum", json!(["In", "NotIn", "Exists", "DoesNotExist"]));
    let rule = json!({
        "rule": "(self.operator in ['In', 'NotIn']) == (has(self.values) && size(self.values) > 0)",
        "message": "operators In and NotIn need values; Exists and DoesNotExist take none",
    });
    say("/items", "x-kubernetes-validations", json!([rule]));
    schema(selector)
}

fn schema(of: Value) -> Schema {
    Schema::try_from(of).unwrap_or_default()
}

/// A VirtualIP is called as its address is written, and in no other way: an address must not have two names.
pub(super) fn named_after_an_address(definition: &mut CustomResourceDefinition) {
    let rule = ValidationRule {
        rule: "isIP(self.metadata.name) || self.metadata.name.matches('^([0-9a-f]{4}-){7}[0-9a-f]{4}$')".to_owned(),
        message: Some(
            "its name is its address: a dotted quad (198.51.100.42), or the eight full groups of IPv6 joined by - \
             (2001-0db8-0000-0000-0000-0000-0000-0010)"
                .to_owned(),
        ),
        ..ValidationRule::default()
    };
    for version in &mut definition.spec.versions {
        if let Some(schema) = version.schema.as_mut().and_then(|schema| schema.open_api_v3_schema.as_mut()) {
            schema.x_kubernetes_validations = Some(vec![rule.clone()]);
        }
    }
}
