//! What a kind's objects look like: a read-only view of its OpenAPI schema, the same that clients are served. Built-in kinds have the
//! server's, custom resources that of their definition.

pub(super) mod components;
pub(super) mod published;
mod upstream;

use serde_json::Value;

use super::kinds::Kind;
use components::{PREFIX, components};

/// The schema of an object, a field or an item.
#[derive(Clone, Copy, Debug)]
pub(super) struct Schema<'a> {
    /// As it stands with the field.
    here: &'a Value,
    /// What it refers to; the same where it refers to nothing.
    target: &'a Value,
    /// The name of that, where it refers to something.
    name: Option<&'a str>,
    /// The name of Go's own type, of a text or of texts in a list that have one.
    named_text: Option<&'static str>,
}

impl<'a> Schema<'a> {
    /// The reference to the schema of every object's metadata.
    pub(super) const METADATA: &'static str = "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

    /// The schema of a kind's objects. That of a custom resource whose definition says nothing has no fields.
    pub(super) fn of(kind: &'a Kind) -> Option<Self> {
        let (_, published) = Self::published(kind)?;
        let schema = Self::at(published);
        let built_in = || components::of(&kind.group, &kind.version, &kind.kind).map(|(name, _)| name);
        Some(Self { name: if kind.custom { None } else { built_in() }, ..schema })
    }

    /// The same as clients are served it, with its name.
    pub(super) fn published(kind: &'a Kind) -> Option<(String, &'a Value)> {
        let Some(published) = &kind.schema else {
            let (name, schema) = components::of(&kind.group, &kind.version, &kind.kind)?;
            return Some((name.to_owned(), schema));
        };
        // Under the group's name read backwards.
        let mut group: Vec<&str> = kind.group.split('.').collect();
        group.reverse();
        Some((format!("{}.{}.{}", group.join("."), kind.version, kind.kind), published))
    }

    /// A schema anywhere: references are followed, also those within an `allOf` of one (components.rs says why they stand there).
    pub(super) fn at(here: &'a Value) -> Self {
        let alone = here["allOf"].as_array().and_then(|all| match all.as_slice() {
            [one] => Some(&one["$ref"]),
            _ => None,
        });
        let reference = here["$ref"].as_str().or(alone.and_then(Value::as_str));
        let name = reference.and_then(|name| name.strip_prefix(PREFIX));
        let target = name.and_then(|name| components().get(name)).unwrap_or(here);
        Self { here, target, name, named_text: None }
    }

    /// What Go calls the type of a text, or of the texts in a list: `v1.ServiceType`; none where that is `string`.
    pub(super) fn named_text(&self) -> Option<&'static str> {
        self.named_text
    }

    /// The name of the schema that stands here by reference: `io.k8s.api.core.v1.ServicePort`.
    pub(super) fn name(&self) -> Option<&'a str> {
        self.name
    }

    /// The schema of a field: its own, or that of all fields that have none of their own.
    pub(super) fn field(&self, name: &str) -> Option<Self> {
        self.property(name).or_else(|| self.additional())
    }

    /// The schema of a field that is named in it.
    pub(super) fn property(&self, name: &str) -> Option<Self> {
        let schema = self.target["properties"].get(name).map(Self::at)?;
        Some(Self { named_text: self.name.and_then(|within| components::named_text(within, name)), ..schema })
    }

    /// The schema of the values of a map.
    pub(super) fn additional(&self) -> Option<Self> {
        Some(&self.target["additionalProperties"]).filter(|schema| schema.is_object()).map(Self::at)
    }

    /// The schema of a list's items.
    pub(super) fn items(&self) -> Option<Self> {
        let schema = Some(&self.target["items"]).filter(|schema| schema.is_object()).map(Self::at)?;
        Some(Self { named_text: self.named_text, ..schema })
    }

    /// The field by which a strategic merge patch merges a list of objects.
    pub(super) fn merge_key(&self) -> Option<&'a str> {
        self.says("x-kubernetes-patch-merge-key").as_str()
    }

    /// Whether a strategic merge patch does this with the field: `merge`, `replace`, `retainKeys`; there may be two of them.
    pub(super) fn is_patched_by(&self, strategy: &str) -> bool {
        self.says("x-kubernetes-patch-strategy").as_str().is_some_and(|all| all.split(',').any(|one| one == strategy))
    }

    /// A value of the schema: where it stands it says more than what it refers to.
    pub(super) fn says(&self, word: &str) -> &'a Value {
        self.here.get(word).unwrap_or(&self.target[word])
    }
}

#[cfg(test)]
mod tests;
