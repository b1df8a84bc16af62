//! L2Advertisements.

use std::collections::BTreeSet;

use serde_json::Value;

use super::account::unread;
use super::finding::{Finding, listed};
use super::made::{Kind, Made};
use super::metallb::{L2Spec, Object, Scope};
use super::pools::{Pool, not_known};

/// One of MetalLB's, read.
#[derive(Clone, Debug)]
pub(super) struct Advertisement {
    /// Of which pools.
    pub scope: Scope,
    /// The L2Advertisement.
    pub made: Made,
    has_interfaces: bool,
    has_service_selectors: bool,
}

/// Of one. It means the same here, field by field.
pub(super) fn advertisement(
    object: &Object<'_>,
    pools: &BTreeSet<&str>,
    findings: &mut Vec<Finding>,
) -> Option<Advertisement> {
    let about = object.told();
    let spec: L2Spec = match object.spec() {
        Ok(spec) => spec,
        Err(problem) => {
            let what =
                format!("cannot be read ({problem}) and is left out; mend it, or write its L2Advertisement by hand");
            findings.push(Finding::changes(&about, what));
            return None;
        }
    };
    not_known(object, unread(object.raw.get("spec").unwrap_or(&Value::Null), &spec, "spec"), findings);
    if !object.labels.is_empty() {
        let what = format!("labels are not carried over, nobody looks at them: {}", listed(object.labels.keys()));
        findings.push(Finding::differs(&about, what));
    }
    let missing: Vec<&String> =
        spec.scope.ip_address_pools.iter().filter(|name| !pools.contains(name.as_str())).collect();
    if !missing.is_empty() {
        let what =
            format!("names pools that are not there, which announces nothing, here as at MetalLB: {}", listed(missing));
        findings.push(Finding::differs(&about, what));
    }
    for preferred in spec.preferred_node_selectors.iter().filter(|one| !(1..=100).contains(&one.weight)) {
        let what = format!("preferredNodeSelectors has a weight of {}; write one from 1 to 100", preferred.weight);
        findings.push(Finding::changes(&about, what));
    }
    let made = Made::new(Kind::L2Advertisement, object.name, &serde_json::to_value(&spec).unwrap_or_default());
    Some(Advertisement {
        has_interfaces: !spec.interfaces.is_empty(),
        has_service_selectors: !spec.service_selectors.is_empty(),
        scope: spec.scope,
        made,
    })
}

/// What is different of all of them alike.
pub(super) fn habits(all: &[Advertisement], findings: &mut Vec<Finding>) {
    let told = |all: Vec<&str>| format!("L2Advertisement {}", listed(all));
    let everywhere: Vec<&str> =
        all.iter().filter(|one| !one.has_interfaces).map(|one| one.made.name.as_str()).collect();
    if !everywhere.is_empty() {
        let what = "without interfaces MetalLB announces on every one of a node; here on those whose prefix holds the address, or on that of the \
                    default route if none does. Name the interfaces if clients ask on others";
        findings.push(Finding::differs(told(everywhere), what));
    }
    let selective: Vec<&str> =
        all.iter().filter(|one| one.has_service_selectors).map(|one| one.made.name.as_str()).collect();
    if !selective.is_empty() {
        let what = "with serviceSelectors MetalLB announces no shared address; here one is announced if each of its Services is selected";
        findings.push(Finding::differs(told(selective), what));
    }
}

/// Pools that nobody announces: neither here nor there, unless BGP does.
pub(super) fn unannounced<'a>(pools: &'a [Pool], advertisements: &[Advertisement]) -> Vec<&'a Pool> {
    let is_announced = |pool: &&Pool| advertisements.iter().any(|one| one.scope.covers(&pool.name, &pool.labels));
    pools.iter().filter(|pool| !is_announced(pool)).collect()
}
