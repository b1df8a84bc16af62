//! Tables: the columns in which the server itself prints the objects of a kind. Which ones a built-in kind has stands in
//! `columns/definitions.json`, as the real server answered them; what is in them is from `pkg/printers/internalversion/printers.go`. A
//! custom resource has those of its definition.

mod built_in;
mod custom;
mod path;
mod pod;
mod text;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::event;
use super::kinds::Kind;
use super::store::State;
use crate::cluster::clock::Clock;
use custom::Custom;

/// The columns of the built-in kinds, by plural.
static DEFINITIONS: LazyLock<BTreeMap<String, Value>> =
    LazyLock::new(|| serde_json::from_str(include_str!("columns/definitions.json")).unwrap_or_default());

/// The columns of a kind.
pub(super) struct Columns {
    kind: Kind,
    /// Of a kind that a definition brought.
    custom: Option<Custom>,
    clock: Clock,
}

impl Columns {
    pub(super) fn of(kind: &Kind, state: &State) -> Self {
        let custom = kind.custom.then(|| Custom::of(kind, state));
        Self { kind: kind.clone(), custom, clock: state.clock }
    }

    /// Their names, types and descriptions. Clients print those of priority 0 unless they are asked for more.
    pub(super) fn definitions(&self) -> Value {
        match &self.custom {
            Some(custom) => custom.definitions(),
            None => DEFINITIONS.get(&self.kind.plural).cloned().unwrap_or_default(),
        }
    }

    /// An object's row, but for the object itself.
    pub(super) fn row(&self, object: &Value) -> Value {
        let now = self.clock.wall();
        let cells = match &self.custom {
            Some(custom) => custom.cells(object, now),
            None => self.built_in(object, now),
        };
        let mut row = json!({"cells": cells});
        if self.kind.is("Pod")
            && let Some(condition) = pod::condition(object)
        {
            row["conditions"] = json!([condition]);
        }
        row
    }

    /// The object as it stands for itself: within a list, built-in kinds do not say what they are.
    pub(super) fn whole(&self, mut object: Value) -> Value {
        object["kind"] = self.kind.kind.as_str().into();
        object["apiVersion"] = self.kind.api_version().into();
        object
    }

    fn built_in(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let mut object = std::borrow::Cow::Borrowed(object);
        if self.kind.is_new_event() {
            event::stored(object.to_mut());
        }
        let print = match self.kind.kind.as_str() {
            "ConfigMap" => built_in::config_map,
            "CustomResourceDefinition" => built_in::definition,
            "EndpointSlice" => built_in::endpoint_slice,
            "Event" => built_in::event,
            "Lease" => built_in::lease,
            "Namespace" => built_in::namespace,
            "Node" => built_in::node,
            "Pod" => pod::cells,
            "Secret" => built_in::secret,
            "Service" => built_in::service,
            // Of a kind without columns of its own the server shows this much (`rest.NewDefaultTableConvertor`).
            _ => built_in::definition,
        };
        print(&object, now)
    }
}
