//! An object of ours that comes of it, as it is printed and created: with the fields that say something and no others.

use serde_json::{Value, json};

/// One of them.
#[derive(Clone, Debug)]
pub(super) struct Made {
    /// Of which kind.
    pub kind: Kind,
    /// `metadata.name`.
    pub name: String,
    /// The whole object.
    pub object: Value,
}

/// The kinds, in the order of creation: reservations first, so that there is no moment at which a pool gives out what somebody has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// A reservation.
    VirtualIp,
    /// A pool.
    AddressPool,
    /// From where its addresses are announced.
    L2Advertisement,
}

impl Kind {
    /// As the API server knows it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::VirtualIp => "VirtualIP",
            Self::AddressPool => "AddressPool",
            Self::L2Advertisement => "L2Advertisement",
        }
    }
}

impl Made {
    pub(super) fn new(kind: Kind, name: &str, spec: &Value) -> Self {
        let object = json!({
            "apiVersion": "portolan.dev/v1alpha1",
            "kind": kind.name(),
            "metadata": {"name": name},
            "spec": spec,
        });
        Self { kind, name: name.to_owned(), object }
    }

    pub(super) fn labelled(mut self, labels: &std::collections::BTreeMap<String, String>) -> Self {
        if let Some(metadata) = self.object.get_mut("metadata").filter(|_| !labels.is_empty()) {
            metadata["labels"] = json!(labels);
        }
        self
    }
}
