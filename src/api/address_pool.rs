//! `AddressPool`: addresses that load balancers on bare metal may have. Field names are MetalLB's where the meaning is the same.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::record::SchemeText;

/// Addresses that load balancers of the provider metal may have.
#[derive(CustomResource, JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "portolan.dev",
    version = "v1alpha1",
    kind = "AddressPool",
    shortname = "apool",
    status = "AddressPoolStatus"
)]
#[kube(derive = "PartialEq", doc = "Addresses that load balancers of the provider metal may have.")]
#[kube(printcolumn = r#"{"name": "Addresses", "type": "string", "jsonPath": ".spec.addresses"}"#)]
#[kube(printcolumn = r#"{"name": "Assigned", "type": "integer", "jsonPath": ".status.assigned"}"#)]
#[kube(printcolumn = r#"{"name": "Waiting", "type": "integer", "jsonPath": ".status.waiting"}"#)]
#[kube(
    printcolumn = r#"{"name": "Ready", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].status"}"#
)]
#[kube(printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#)]
#[serde(rename_all = "camelCase")]
pub struct AddressPoolSpec {
    /// Networks in CIDR notation (RFC 4632) or ranges `first-last`, both ends included, of both families. At least one.
    #[schemars(schema_with = "super::refused::ranges")]
    pub addresses: Vec<String>,
    /// Given to Services that name no pool. On by default.
    #[serde(default = "yes")]
    pub auto_assign: bool,
    /// IPv4 addresses that end in .0 or .255 are given only to those who ask for them by name. Off by default.
    #[serde(default, rename = "avoidBuggyIPs")]
    pub avoid_buggy_ips: bool,
    /// Whom it serves, and before which others it is tried. Without it, everybody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_allocation: Option<ServiceAllocation>,
    /// Addresses of each family that one namespace may have of it, from 1. Without it, as many as there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub quota_per_namespace: Option<u32>,
    /// Whoever has an address of it keeps it, and nobody gets one.
    #[serde(default)]
    pub draining: bool,
    /// For whom it is marked. Without it, for everybody; and for Services that ask for an internal load balancer only if it has no other addresses
    /// than private ones (RFC 1918, RFC 4193).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheme: Option<SchemeText>,
    /// Whether its addresses move although their nodes could keep them: `WhenSteady` (by default), to nodes that have been sound for a while
    /// (`nodes.steadyAfter` of the controller's configuration, five minutes by default) and at a bounded pace, or `Never`.
    #[serde(default)]
    pub rebalance: RebalanceText,
}

/// Whether addresses move although their nodes could keep them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RebalanceText {
    /// To nodes that have been sound for a while, at a bounded pace.
    #[default]
    WhenSteady,
    /// Only when they have to.
    Never,
}

fn yes() -> bool {
    true
}

/// Whom a pool serves.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceAllocation {
    /// The lower the earlier it is tried; 0 comes last, as without.
    #[serde(default)]
    pub priority: u32,
    /// Namespaces by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub namespaces: Vec<String>,
    /// Namespaces by label: one of these has to match, or the name be among those.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "super::refused::selectors")]
    pub namespace_selectors: Vec<LabelSelector>,
    /// Services by label: one of these has to match, too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "super::refused::selectors")]
    pub service_selectors: Vec<LabelSelector>,
}

/// How a pool is used. Written by the controller.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AddressPoolStatus {
    /// `Ready`: it can be given out. `Obstructed`: some of its addresses are not, because somebody has them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// Addresses of both families that somebody has.
    #[serde(default)]
    pub assigned: i64,
    /// IPv4 addresses that somebody has.
    #[serde(default, rename = "assignedIPv4")]
    pub assigned_ipv4: i64,
    /// IPv6 addresses that somebody has.
    #[serde(default, rename = "assignedIPv6")]
    pub assigned_ipv6: i64,
    /// IPv4 addresses that are free.
    #[serde(default, rename = "availableIPv4")]
    pub available_ipv4: i64,
    /// IPv6 addresses that are free; 9223372036854775807 stands for that and more.
    #[serde(default, rename = "availableIPv6")]
    pub available_ipv6: i64,
    /// How many wait for an address of it, as the Portolan of the instance `countedBy` says.
    #[serde(default)]
    pub waiting: i64,
    /// The instance that has counted; none while nobody waits.
    #[serde(default)]
    pub counted_by: Option<String>,
    /// The first ten of them, `namespace/name`, in the order in which they are served.
    #[serde(default)]
    pub next: Vec<String>,
}
