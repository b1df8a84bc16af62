//! `L2Advertisement`: from which nodes and interfaces addresses are announced by ARP and NDP. Field names and meanings are MetalLB's.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// From which nodes and interfaces addresses of pools are announced by ARP and NDP. Without one that covers it an address is announced nowhere.
#[derive(CustomResource, JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(group = "portolan.dev", version = "v1alpha1", kind = "L2Advertisement", shortname = "l2adv")]
#[kube(derive = "PartialEq", doc = "From which nodes and interfaces addresses of pools are announced by ARP and NDP.")]
#[kube(printcolumn = r#"{"name": "Pools", "type": "string", "jsonPath": ".spec.ipAddressPools"}"#)]
#[kube(printcolumn = r#"{"name": "Interfaces", "type": "string", "jsonPath": ".spec.interfaces"}"#)]
#[kube(printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#)]
#[serde(rename_all = "camelCase")]
pub struct L2AdvertisementSpec {
    /// AddressPools by name. Without this and `ipAddressPoolSelectors`, all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ip_address_pools: Vec<String>,
    /// AddressPools by label: one of these has to match, or the name be among those.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "super::refused::selectors")]
    pub ip_address_pool_selectors: Vec<LabelSelector>,
    /// Nodes by label: one of these has to match. Without it, all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "super::refused::selectors")]
    pub node_selectors: Vec<LabelSelector>,
    /// The interfaces on which addresses are announced, by name, of those that a node has. Without it, all whose prefix holds the address.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub interfaces: Vec<String>,
    /// Services by label: one of these has to match. Without it, all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "super::refused::selectors")]
    pub service_selectors: Vec<LabelSelector>,
    /// Which of the nodes rather: those with the highest sum of weights.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub preferred_node_selectors: Vec<PreferredNodes>,
}

/// Nodes that are preferred.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PreferredNodes {
    /// How much, 1 to 100.
    #[schemars(range(min = 1, max = 100))]
    pub weight: u32,
    /// Which. One that says nothing is for all.
    #[serde(default)]
    #[schemars(schema_with = "super::refused::selector")]
    pub preference: LabelSelector,
}
