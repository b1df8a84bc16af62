//! MetalLB's kinds as far as they have an equivalent (its `api/v1beta1`). What else stands in an object is found by comparing
//! ([`super::account`]).

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::core::{Selector, SelectorExt};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The API group.
pub(super) const GROUP: &str = "metallb.io";

/// An object, not read yet but for its names.
#[derive(Clone, Debug)]
pub(super) struct Object<'a> {
    /// `kind`.
    pub kind: &'a str,
    /// The version of `apiVersion`.
    pub version: &'a str,
    /// `metadata.namespace`; empty without one.
    pub namespace: &'a str,
    /// `metadata.name`.
    pub name: &'a str,
    /// `metadata.labels`.
    pub labels: BTreeMap<String, String>,
    /// All of it.
    pub raw: &'a Value,
}

impl<'a> Object<'a> {
    pub(super) fn of(raw: &'a Value) -> Self {
        let text = |pointer| raw.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let labels = raw.pointer("/metadata/labels").and_then(Value::as_object).into_iter().flatten();
        let label = |(key, value): (&String, &Value)| Some((key.clone(), value.as_str()?.to_owned()));
        Self {
            kind: text("/kind"),
            version: text("/apiVersion").split_once('/').map_or("", |(_, version)| version),
            namespace: text("/metadata/namespace"),
            name: text("/metadata/name"),
            labels: labels.filter_map(label).collect(),
            raw,
        }
    }

    /// As people name it.
    pub(super) fn told(&self) -> String {
        format!("{} {}", self.kind, self.name)
    }

    /// Its `spec`, read as one of the kinds below.
    pub(super) fn spec<T: DeserializeOwned + Default>(&self) -> Result<T, String> {
        match self.raw.get("spec") {
            None | Some(Value::Null) => Ok(T::default()),
            Some(spec) => serde_path_to_error::deserialize(spec).map_err(|error| format!("spec.{error}")),
        }
    }

    /// The keys of a part of it that say anything.
    pub(super) fn keys(&self, part: &str) -> Vec<String> {
        let keys = self.raw.get(part).and_then(Value::as_object).into_iter().flatten();
        keys.filter(|(_, value)| !value.is_null()).map(|(key, _)| key.clone()).collect()
    }
}

/// `IPAddressPool.spec`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct PoolSpec {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auto_assign: Option<bool>,
    #[serde(rename = "avoidBuggyIPs", skip_serializing_if = "Option::is_none")]
    pub avoid_buggy_ips: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_allocation: Option<Allocation>,
}

/// `IPAddressPool.spec.serviceAllocation`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Allocation {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<i64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub namespaces: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub namespace_selectors: Vec<LabelSelector>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub service_selectors: Vec<LabelSelector>,
}

/// `L2Advertisement.spec`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct L2Spec {
    #[serde(flatten)]
    pub scope: Scope,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub node_selectors: Vec<LabelSelector>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub interfaces: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub service_selectors: Vec<LabelSelector>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub preferred_node_selectors: Vec<Preferred>,
}

/// One of `L2Advertisement.spec.preferredNodeSelectors`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(super) struct Preferred {
    pub weight: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preference: Option<LabelSelector>,
}

/// Of which pools an advertisement speaks: those named and those selected; all, if it says nothing of pools.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Scope {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ip_address_pools: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ip_address_pool_selectors: Vec<LabelSelector>,
}

impl Scope {
    /// It speaks of this pool.
    pub(super) fn covers(&self, pool: &str, labels: &BTreeMap<String, String>) -> bool {
        let all = self.ip_address_pools.is_empty() && self.ip_address_pool_selectors.is_empty();
        let selectors = self.ip_address_pool_selectors.iter().filter_map(|one| Selector::try_from(one.clone()).ok());
        all || self.ip_address_pools.iter().any(|name| name == pool)
            || selectors.into_iter().any(|one| one.matches(labels))
    }

    /// The labels that its selectors look at.
    pub(super) fn label_keys(&self) -> impl Iterator<Item = String> {
        self.ip_address_pool_selectors.iter().flat_map(|one| {
            let equal = one.match_labels.iter().flat_map(|all| all.keys().cloned());
            equal.chain(one.match_expressions.iter().flatten().map(|one| one.key.clone()))
        })
    }
}
