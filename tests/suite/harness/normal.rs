//! Comparing two clusters that did the same at different times and places.

use std::collections::BTreeMap;

use serde_json::Value;

use super::World;

/// Fields that differ between any two runs and mean nothing for what was reached: identity, versions, times.
const MEANINGLESS: [&str; 7] =
    ["uid", "resourceVersion", "seen", "creationTimestamp", "deletionTimestamp", "managedFields", "lastTransitionTime"];

/// What a case's own names, and what the server drew by lot, are called in a comparison.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    texts: BTreeMap<String, String>,
    node_ports: BTreeMap<u64, String>,
}

impl Names {
    /// The namespace and instance of a case.
    pub(crate) fn of(world: &World) -> Self {
        let mut names = Self::default();
        names.texts.insert(world.namespace.clone(), "NAMESPACE".into());
        names.texts.insert(world.folder.display().to_string(), "FOLDER".into());
        names.texts.insert(format!("{}.", world.instance), "INSTANCE.".into());
        names.texts.insert(format!(".{}", world.instance), ".INSTANCE".into());
        names
    }

    /// Learns what the server drew for a Service: UID, cluster addresses, node ports. Call it again after an edit.
    pub(crate) fn learn(&mut self, service: &Value) {
        let name = service["metadata"]["name"].as_str().unwrap_or_default();
        if let Some(uid) = service["metadata"]["uid"].as_str() {
            self.texts.insert(uid.into(), format!("UID({name})"));
        }
        for address in service["spec"]["clusterIPs"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            self.texts.insert(address.into(), format!("CLUSTER-IP({name})"));
        }
        for port in service["spec"]["ports"].as_array().into_iter().flatten() {
            if let Some(node_port) = port["nodePort"].as_u64() {
                self.node_ports.insert(node_port, format!("NODE-PORT({name}, {}/{})", port["port"], port["protocol"]));
            }
        }
    }

    /// The value in words that two runs have in common, without what means nothing.
    pub(crate) fn normal(&self, value: &Value) -> Value {
        match value {
            Value::Object(fields) => fields
                .iter()
                .filter(|(key, _)| !MEANINGLESS.contains(&key.as_str()))
                .map(|(key, value)| {
                    let value = match (key.as_str(), value) {
                        ("nodePort", Value::Number(number)) => {
                            let known = number.as_u64().and_then(|number| self.node_ports.get(&number));
                            known.map_or_else(|| value.clone(), |name| Value::String(name.clone()))
                        }
                        ("instance", Value::String(_)) => "INSTANCE".into(),
                        ("hostname", Value::String(text)) => hostname(text).into(),
                        _ => self.normal(value),
                    };
                    (self.text(key), value)
                })
                .collect::<serde_json::Map<_, _>>()
                .into(),
            Value::Array(items) => items.iter().map(|item| self.normal(item)).collect(),
            Value::String(text) => self.text(text).into(),
            Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
        }
    }

    fn text(&self, text: &str) -> String {
        // Longest first, so that a name inside another's does not break it.
        let mut names: Vec<_> = self.texts.iter().collect();
        names.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
        names.into_iter().fold(text.to_owned(), |text, (name, common)| text.replace(name.as_str(), common))
    }
}

/// The mock makes names from a hash of the UID, `HASH-HASH[-GENERATION].mock.portolan.dev`; the generation counts.
fn hostname(text: &str) -> String {
    let Some(label) = text.strip_suffix(".mock.portolan.dev") else { return text.to_owned() };
    let generation = label.split('-').skip(2).map(|generation| format!("-{generation}")).collect::<String>();
    format!("HASH{generation}.mock.portolan.dev")
}
