//! Strategic merge patches (`k8s.io/apimachinery/pkg/util/strategicpatch`): lists of some fields are merged by a key instead of
//! replaced, and directives say what else is meant.

use serde_json::{Map, Value};

use super::kinds::Kind;

/// How a list is merged.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Merge {
    /// Item by item, by this field.
    By(&'static str),
    /// As a set of texts.
    Set,
    /// The patch's list replaces the other.
    Replace,
}

/// The struct tags `patchStrategy` and `patchMergeKey` of `k8s.io/api/core/v1/types.go` and of `ObjectMeta`; k8s-openapi has them in
/// code only (`DeepMerge`). All other lists are replaced.
fn rule(kind: &Kind, path: &[&str]) -> Merge {
    match (kind.kind.as_str(), path) {
        (_, ["metadata", "finalizers"]) => Merge::Set,
        (_, ["metadata", "ownerReferences"]) => Merge::By("uid"),
        ("Service", ["spec", "ports"]) => Merge::By("port"),
        ("Service" | "Namespace" | "Node" | "Pod", ["status", "conditions"]) | ("Node", ["status", "addresses"]) => {
            Merge::By("type")
        }
        ("Node", ["spec", "podCIDRs"]) => Merge::Set,
        ("Pod", ["status", "podIPs" | "hostIPs"] | ["spec", "hostAliases"]) => Merge::By("ip"),
        ("Pod", ["spec", "topologySpreadConstraints"]) => Merge::By("topologyKey"),
        (
            "Pod",
            [
                "spec",
                "containers"
                | "initContainers"
                | "ephemeralContainers"
                | "volumes"
                | "imagePullSecrets"
                | "resourceClaims",
            ]
            | ["spec", _, "env"],
        ) => Merge::By("name"),
        ("Pod", ["spec", _, "ports"]) => Merge::By("containerPort"),
        ("Pod", ["spec", _, "volumeMounts"]) => Merge::By("mountPath"),
        ("Pod", ["spec", _, "volumeDevices"]) => Merge::By("devicePath"),
        _ => Merge::Replace,
    }
}

/// Merges a patch into an object.
pub(super) fn merge(kind: &Kind, object: &mut Value, patch: &Value) -> Result<(), String> {
    merge_at(kind, &mut Vec::new(), object, patch)
}

fn merge_at<'a>(kind: &Kind, path: &mut Vec<&'a str>, target: &mut Value, patch: &'a Value) -> Result<(), String> {
    let Value::Object(changes) = patch else {
        *target = patch.clone();
        return Ok(());
    };
    match changes.get("$patch").and_then(Value::as_str) {
        None | Some("merge") => {}
        Some("replace") => {
            *target = without_directives(changes);
            return Ok(());
        }
        Some("delete") => {
            *target = Value::Null;
            return Ok(());
        }
        Some(other) => return Err(format!("unknown patch type found: {other}")),
    }
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Some(fields) = target.as_object_mut() else { return Ok(()) };
    if let Some(kept) = changes.get("$retainKeys").and_then(Value::as_array) {
        fields.retain(|name, _| kept.iter().any(|kept| kept == name));
    }
    for (name, change) in changes {
        if let Some(list) = name.strip_prefix("$deleteFromPrimitiveList/") {
            let unwanted = change.as_array().cloned().unwrap_or_default();
            if let Some(items) = fields.get_mut(list).and_then(Value::as_array_mut) {
                items.retain(|item| !unwanted.contains(item));
            }
            continue;
        }
        if name.starts_with('$') {
            continue;
        }
        path.push(name);
        match (change, rule(kind, path)) {
            (Value::Null, _) => drop(fields.remove(name)),
            (Value::Array(items), Merge::By(key)) => {
                let list = fields.entry(name.clone()).or_insert_with(|| Value::Array(Vec::new()));
                merge_list(kind, path, list, items, key)?;
            }
            (Value::Array(items), Merge::Set) => {
                let list = fields.entry(name.clone()).or_insert_with(|| Value::Array(Vec::new()));
                let Some(list) = list.as_array_mut() else { return Err(format!("{name} is no list")) };
                let new: Vec<Value> = items.iter().filter(|item| !list.contains(item)).cloned().collect();
                list.extend(new);
            }
            (Value::Object(_), _) => {
                let field = fields.entry(name.clone()).or_insert(Value::Null);
                merge_at(kind, path, field, change)?;
                if field.is_null() {
                    fields.remove(name);
                }
            }
            (change, _) => drop(fields.insert(name.clone(), change.clone())),
        }
        path.pop();
    }
    for (name, order) in changes {
        if let (Some(list), Some(order)) = (name.strip_prefix("$setElementOrder/"), order.as_array())
            && let Some(items) = fields.get_mut(list).and_then(Value::as_array_mut)
        {
            path.push(list);
            sort(items, order, rule(kind, path));
            path.pop();
        }
    }
    Ok(())
}

fn merge_list<'a>(
    kind: &Kind,
    path: &mut Vec<&'a str>,
    list: &mut Value,
    changes: &'a [Value],
    key: &str,
) -> Result<(), String> {
    let Some(list) = list.as_array_mut() else { return Err(format!("{} is no list", path.join("."))) };
    if changes.iter().any(|change| change["$patch"] == "replace") {
        let items = changes.iter().filter(|change| change["$patch"].is_null());
        *list = items.cloned().collect();
        return Ok(());
    }
    for change in changes {
        let Some(identity) = change.get(key) else {
            return Err(format!("map: {change} does not contain declared merge key: {key}"));
        };
        if change["$patch"] == "delete" {
            list.retain(|item| item.get(key) != Some(identity));
            continue;
        }
        match list.iter_mut().find(|item| item.get(key) == Some(identity)) {
            Some(item) => merge_at(kind, path, item, change)?,
            None => {
                let mut item = Value::Null;
                merge_at(kind, path, &mut item, change)?;
                list.push(item);
            }
        }
    }
    Ok(())
}

/// Items that the order names stand in that order; the others stay behind the one that they followed.
fn sort(items: &mut Vec<Value>, order: &[Value], rule: Merge) {
    let rank = |item: &Value| {
        order.iter().position(|one| match rule {
            Merge::By(key) => one.get(key) == item.get(key),
            Merge::Set | Merge::Replace => one == item,
        })
    };
    let mut last = None;
    let mut ranked: Vec<(Option<usize>, Value)> = Vec::with_capacity(items.len());
    for item in items.drain(..) {
        last = rank(&item).or(last);
        ranked.push((last, item));
    }
    ranked.sort_by_key(|(rank, _)| *rank);
    items.extend(ranked.into_iter().map(|(_, item)| item));
}

fn without_directives(fields: &Map<String, Value>) -> Value {
    Value::Object(
        fields
            .iter()
            .filter(|(name, _)| !name.starts_with('$'))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect(),
    )
}
