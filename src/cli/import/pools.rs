//! IPAddressPools.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;
use portolan_metal::range::{Range, RangeError};
use serde_json::{Map, Value, json};

use super::account::{unread, unread_envelope};
use super::finding::{Finding, listed};
use super::made::{Kind, Made};
use super::metallb::{Allocation, Object, PoolSpec};

/// A pool of MetalLB's, whatever becomes of it.
#[derive(Clone, Debug)]
pub(super) struct Pool {
    /// Its name.
    pub name: String,
    /// By these advertisements select it.
    pub labels: BTreeMap<String, String>,
    /// The AddressPool; none, if it cannot be one.
    pub made: Option<Made>,
    /// It is meant for some, by selectors or names.
    is_chosen: bool,
    /// From 1; the lower the earlier.
    priority: Option<i64>,
}

/// Of one pool. Labels that nobody reads are not carried over: tools that own objects by labels (Argo CD, Helm) would take ours for theirs, and
/// remove them.
pub(super) fn pool(object: &Object<'_>, label_keys: &BTreeSet<String>, findings: &mut Vec<Finding>) -> Pool {
    let about = object.told();
    let labels: BTreeMap<String, String> = object
        .labels
        .iter()
        .filter(|(key, _)| label_keys.contains(*key))
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect();
    let left: Vec<String> = object.labels.keys().filter(|key| !label_keys.contains(*key)).cloned().collect();
    if !left.is_empty() {
        let what = format!("labels that no ipAddressPoolSelectors look at are not carried over: {}", listed(left));
        findings.push(Finding::differs(&about, what));
    }
    let mut pool = Pool { name: object.name.to_owned(), labels, made: None, is_chosen: false, priority: None };
    let spec: PoolSpec = match object.spec() {
        Ok(spec) => spec,
        Err(problem) => {
            findings.push(Finding::changes(
                &about,
                format!("cannot be read ({problem}) and is left out; mend it, or write its AddressPool by hand"),
            ));
            return pool;
        }
    };
    not_known(object, unread(object.raw.get("spec").unwrap_or(&Value::Null), &spec, "spec"), findings);
    let addresses: Vec<String> = spec.addresses.iter().map(|text| range(text, &about, findings)).collect();
    if addresses.is_empty() {
        findings.push(Finding::changes(&about, "has no addresses and is left out; at MetalLB it is refused, too"));
        return pool;
    }
    let mut ours = Map::from_iter([("addresses".to_owned(), json!(addresses))]);
    if let Some(auto_assign) = spec.auto_assign {
        ours.insert("autoAssign".to_owned(), json!(auto_assign));
    }
    if let Some(avoid) = spec.avoid_buggy_ips {
        ours.insert("avoidBuggyIPs".to_owned(), json!(avoid));
        if avoid {
            let what = "avoidBuggyIPs: addresses that end in .0 or .255 are for nobody at MetalLB; here those who ask for one by name get it";
            findings.push(Finding::differs(&about, what));
        }
    }
    if let Some(allocation) = &spec.service_allocation {
        pool.is_chosen = !(allocation.namespaces.is_empty()
            && allocation.namespace_selectors.is_empty()
            && allocation.service_selectors.is_empty());
        pool.priority = allocation.priority.filter(|priority| *priority != 0);
        ours.insert("serviceAllocation".to_owned(), allocated(allocation, &about, findings));
    }
    pool.made = Some(Made::new(Kind::AddressPool, object.name, &Value::Object(ours)).labelled(&pool.labels));
    pool
}

/// What of an object nobody here has heard of.
pub(super) fn not_known(object: &Object<'_>, fields: Vec<String>, findings: &mut Vec<Finding>) {
    for field in fields {
        let what = format!(
            "{field} is not known here and is left out; look up what it does at MetalLB, and whether you need it"
        );
        findings.push(Finding::changes(object.told(), what));
    }
    let envelope = unread_envelope(object.raw);
    if !envelope.is_empty() {
        findings.push(Finding::differs(object.told(), format!("not carried over: {}", listed(envelope))));
    }
}

/// A range as we write it. MetalLB takes a network with bits of a host for the whole network (its `internal/config/config.go`, `ParseCIDR`).
fn range(text: &str, about: &str, findings: &mut Vec<Finding>) -> String {
    let text = text.trim();
    match Range::parse(text) {
        Ok(_) => text.to_owned(),
        Err(RangeError::HostBits(_, network)) => {
            let network: IpNet = network;
            let what = format!("{text} is written as {network}, the network that MetalLB takes it for");
            findings.push(Finding::differs(about, what));
            network.to_string()
        }
        // The check of all pools names it, as the pool's condition would.
        Err(_) => text.to_owned(),
    }
}

fn allocated(allocation: &Allocation, about: &str, findings: &mut Vec<Finding>) -> Value {
    let mut ours = Map::new();
    match allocation.priority.map(u32::try_from) {
        None => {}
        Some(Ok(priority)) => {
            ours.insert("priority".to_owned(), json!(priority));
        }
        Some(Err(_)) => {
            let what = "serviceAllocation.priority is negative, which is not possible here, and is left out: the pool comes last; number \
                        the priorities of all pools anew, from 1";
            findings.push(Finding::changes(about, what));
        }
    }
    let lists = [
        ("namespaces", json!(allocation.namespaces)),
        ("namespaceSelectors", json!(allocation.namespace_selectors)),
        ("serviceSelectors", json!(allocation.service_selectors)),
    ];
    let lists = lists.into_iter().filter(|(_, list)| list.as_array().is_some_and(|list| !list.is_empty()));
    ours.extend(lists.map(|(key, list)| (key.to_owned(), list)));
    Value::Object(ours)
}

/// MetalLB tries all pools with a `serviceAllocation` by priority, and then the others in no order; here those that name somebody come first, and
/// then the others, each by priority and name.
pub(super) fn order(pools: &[Pool], findings: &mut Vec<Finding>) {
    for pool in pools.iter().filter(|pool| !pool.is_chosen) {
        let Some(priority) = pool.priority.filter(|priority| *priority > 0) else { continue };
        let later = pools.iter().filter(|other| other.is_chosen && other.priority.is_none_or(|other| other > priority));
        let later: Vec<&str> = later.map(|other| other.name.as_str()).collect();
        if !later.is_empty() {
            let what = format!(
                "its priority {priority} puts it before {} at MetalLB; here pools that name namespaces or Services come first for those. \
                 It concerns new Services only",
                listed(later)
            );
            findings.push(Finding::differs(format!("IPAddressPool {}", pool.name), what));
        }
    }
}
