//! The columns of a custom resource: its name, and what its definition says (`additionalPrinterColumns`). From
//! `apiextensions-apiserver/pkg/registry/customresource/tableconvertor`.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::super::kinds::Kind;
use super::super::store::State;
use super::path::Path;
use super::text::{items, since, text};

pub(super) struct Custom(Vec<Column>);

struct Column {
    definition: Value,
    kind: String,
    path: Path,
}

impl Custom {
    pub(super) fn of(kind: &Kind, state: &State) -> Self {
        let mut definitions = state.list("customresourcedefinitions.apiextensions.k8s.io", "").map(|(_, one)| one);
        let definition = definitions.find(|definition| {
            let spec = &definition["spec"];
            spec["group"] == kind.group.as_str() && spec["names"]["plural"] == kind.plural.as_str()
        });
        let versions = definition.map(|definition| items(&definition["spec"]["versions"])).unwrap_or_default();
        let version = versions.iter().find(|version| version["name"] == kind.version.as_str());
        let age = || {
            json!({
                "name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp",
                "description": description("Age"),
            })
        };
        let declared = version.map(|version| items(&version["additionalPrinterColumns"])).unwrap_or_default();
        let declared = if declared.is_empty() { vec![age()] } else { declared.to_vec() };
        Self(declared.iter().map(Column::read).collect())
    }

    pub(super) fn definitions(&self) -> Value {
        let name = json!({
            "name": "Name", "type": "string", "format": "name", "description": description("Name"), "priority": 0,
        });
        std::iter::once(name).chain(self.0.iter().map(|column| column.definition.clone())).collect()
    }

    pub(super) fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let name = Value::from(text(&object["metadata"]["name"]));
        std::iter::once(name).chain(self.0.iter().map(|column| column.cell(object, now))).collect()
    }
}

impl Column {
    fn read(declared: &Value) -> Self {
        let at = text(&declared["jsonPath"]);
        let described = match text(&declared["description"]) {
            "" => format!("Custom resource definition column (in JSONPath format): {at}"),
            described => described.to_owned(),
        };
        let definition = json!({
            "name": declared["name"], "type": declared["type"], "format": text(&declared["format"]),
            "description": described, "priority": declared["priority"].as_i64().unwrap_or(0),
        });
        Self { definition, kind: text(&declared["type"]).to_owned(), path: Path::read(at) }
    }

    fn cell(&self, object: &Value, now: Timestamp) -> Value {
        let Some(found) = self.path.first(object) else { return Value::Null };
        match self.kind.as_str() {
            "string" if found.is_null() => "<no value>".into(), // Go's word for it
            "string" => found.as_str().map_or_else(|| found.to_string(), str::to_owned).into(),
            "integer" => found.as_i64().or_else(|| found.as_f64().map(|number| number as i64)).into(),
            "number" => found.as_f64().into(),
            "boolean" => found.as_bool().into(),
            "date" if found.is_string() => since(found, now).into(),
            _ => Value::Null,
        }
    }
}

/// Of the name or the age, in the words that the built-in kinds have for it.
fn description(column: &str) -> Value {
    let columns = super::DEFINITIONS.get("configmaps").map(items).unwrap_or_default();
    let found = columns.iter().find(|one| one["name"] == column);
    found.map(|column| column["description"].clone()).unwrap_or_default()
}
