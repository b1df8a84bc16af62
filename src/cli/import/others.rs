//! Objects of MetalLB's without an equivalent, and what MetalLB itself writes.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::finding::{Finding, listed};
use super::metallb::{Object, Scope};
use super::pools::{Pool, not_known};

/// A BGPAdvertisement: who announces its pools is another than MetalLB, or nobody.
pub(super) fn bgp_advertisement(
    object: &Object<'_>,
    pools: &[Pool],
    unannounced: &[&Pool],
    findings: &mut Vec<Finding>,
) -> Scope {
    not_known(object, Vec::new(), findings);
    let scope: Scope = object.spec().unwrap_or_default();
    let covered: Vec<&Pool> = pools.iter().filter(|pool| scope.covers(&pool.name, &pool.labels)).collect();
    let nowhere = covered.iter().filter(|pool| unannounced.iter().any(|other| other.name == pool.name));
    let nowhere: Vec<&str> = nowhere.map(|pool| pool.name.as_str()).collect();
    let names = if covered.is_empty() { "no pool".to_owned() } else { listed(covered.iter().map(|pool| &pool.name)) };
    let mut what = format!("announces by BGP, which Portolan does not do yet: {names}. {}", fields(object));
    what.push_str(&if nowhere.is_empty() {
        " Its pools have an L2Advertisement; check that the routers' network is theirs, or leave them with MetalLB"
            .to_owned()
    } else {
        format!(
            " Leave {} with MetalLB, or write an L2Advertisement for it if routers and nodes are on one segment",
            listed(nowhere)
        )
    });
    findings.push(Finding::changes(object.told(), what));
    scope
}

fn fields(object: &Object<'_>) -> String {
    let keys = object.keys("spec");
    if keys.is_empty() { "It sets no field.".to_owned() } else { format!("Left out: {}.", listed(keys)) }
}

/// One that serves BGP alone, and announces nothing by itself.
pub(super) fn of_bgp(object: &Object<'_>, findings: &mut Vec<Finding>) {
    not_known(object, Vec::new(), findings);
    let what = format!("is of BGP, which Portolan does not do yet; nothing becomes of it. {}", fields(object));
    findings.push(Finding::differs(object.told(), what));
}

/// Who announces which Services now, by node, as MetalLB says.
#[derive(Clone, Debug, Default)]
pub(super) struct Announced {
    /// By ARP and NDP.
    pub by_node: BTreeMap<String, BTreeSet<String>>,
}

impl Announced {
    /// A ServiceL2Status. It is state, and becomes nothing.
    pub(super) fn add(&mut self, object: &Object<'_>) {
        let text = |pointer| object.raw.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let service = format!("{}/{}", text("/status/serviceNamespace"), text("/status/serviceName"));
        let node = text("/status/node");
        if !node.is_empty() {
            self.by_node.entry(node.to_owned()).or_default().insert(service);
        }
    }
}

/// A kind that nobody here has heard of.
pub(super) fn unknown(object: &Object<'_>, findings: &mut Vec<Finding>) {
    let what = format!(
        "{} {} is not known here; nothing becomes of it. Look up what it does at MetalLB, and whether you need it",
        object.raw.get("apiVersion").and_then(Value::as_str).unwrap_or_default(),
        object.kind
    );
    findings.push(Finding::changes(object.told(), what));
}
