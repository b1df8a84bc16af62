//! What lies in the files of one load balancer, and how it is read: with suspicion, because people edit files.

use std::collections::BTreeMap;
use std::net::IpAddr;

use portolan_core::balancer::{Family, Listener, Member, NodeTarget, Scheme, SourceRanges};
use portolan_core::ids::{Instance, LoadBalancerId};
use portolan_core::provider::Error;
use portolan_core::reason::Reason;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::clock::Millis;
use crate::store::{Store, file_name, id_of};

/// The folder of load balancers.
const BALANCERS: &str = "balancers";

/// One load balancer: `balancers/ID.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct StoredBalancer {
    pub(crate) id: LoadBalancerId,
    /// The mark: whose it is.
    pub(crate) instance: Instance,
    pub(crate) members: Vec<Member>,
    pub(crate) source_ranges: SourceRanges,
    pub(crate) nodes: Vec<NodeTarget>,
    /// By number. Never empty: the file goes with the last.
    pub(crate) generations: Vec<StoredGeneration>,
}

/// What a cloud would call a load balancer: a replace makes another one beside it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct StoredGeneration {
    pub(crate) number: u32,
    pub(crate) scheme: Scheme,
    /// The addresses that it means to have. One counts only while its claim names this load balancer, see [`crate::addresses`].
    pub(crate) addresses: BTreeMap<Family, IpAddr>,
    /// By port and protocol.
    pub(crate) listeners: Vec<Listener>,
    /// From then on it takes traffic.
    pub(crate) ready_at: Millis,
    /// The fault that keeps it provisioning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) held_by: Option<String>,
    /// It drains, and may be deleted from then on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) drained_at: Option<Millis>,
}

/// What is found under an id.
#[derive(Debug)]
pub(crate) enum Found {
    Nothing,
    Ours(StoredBalancer),
    /// Without our mark: never touched.
    Foreign {
        instance: Option<String>,
    },
}

impl StoredBalancer {
    pub(crate) fn generation(&mut self, number: u32) -> Option<&mut StoredGeneration> {
        self.generations.iter_mut().find(|generation| generation.number == number)
    }
}

/// Reads one load balancer. A file that cannot be understood is an error that names it.
pub(crate) fn read(store: &Store, instance: &Instance, id: &LoadBalancerId) -> Result<Found, Error> {
    let Some(value) = read_value(store, id)? else { return Ok(Found::Nothing) };
    let mark = value.get("instance").and_then(Value::as_str);
    if mark != Some(instance.as_str()) {
        return Ok(Found::Foreign { instance: mark.map(str::to_owned) });
    }
    understand(store, id, value).map(Found::Ours)
}

/// Reads one load balancer, whosever it is: for people, who see them all.
pub(crate) fn read_any(store: &Store, id: &LoadBalancerId) -> Result<Option<StoredBalancer>, Error> {
    read_value(store, id)?.map(|value| understand(store, id, value)).transpose()
}

fn read_value(store: &Store, id: &LoadBalancerId) -> Result<Option<Value>, Error> {
    let piece = piece(id);
    let Some(text) = store.read(&piece).map_err(|error| unavailable(store, &piece, &error))? else { return Ok(None) };
    serde_json::from_slice(&text).map(Some).map_err(|error| corrupt(store, &piece, &error.to_string()))
}

fn understand(store: &Store, id: &LoadBalancerId, value: Value) -> Result<StoredBalancer, Error> {
    let piece = piece(id);
    let balancer: StoredBalancer =
        serde_json::from_value(value).map_err(|error| corrupt(store, &piece, &error.to_string()))?;
    if &balancer.id != id {
        return Err(corrupt(store, &piece, &format!("it holds load balancer {}", balancer.id)));
    }
    if balancer.generations.is_empty() {
        return Err(corrupt(store, &piece, "it has no generation"));
    }
    Ok(balancer)
}

/// Writes one load balancer. Under the lock.
pub(crate) fn write(store: &Store, balancer: &StoredBalancer) -> Result<(), Error> {
    let piece = piece(&balancer.id);
    if balancer.generations.is_empty() {
        return store.remove(&piece).map_err(|error| unavailable(store, &piece, &error));
    }
    let text = serde_json::to_vec(balancer).map_err(|error| corrupt(store, &piece, &error.to_string()))?;
    store.replace(&piece, &text).map_err(|error| unavailable(store, &piece, &error))
}

/// The ids of all load balancers, of any mark; and the files that are nobody's.
pub(crate) fn ids(store: &Store) -> Result<Vec<LoadBalancerId>, Error> {
    let names = store.list(BALANCERS).map_err(|error| unavailable(store, BALANCERS, &error))?;
    Ok(names.iter().filter_map(|name| name.strip_suffix(".json").and_then(id_of)).map(LoadBalancerId::new).collect())
}

fn piece(id: &LoadBalancerId) -> String {
    format!("{BALANCERS}/{}.json", file_name(id.as_str()))
}

/// The disk did not do it: worth another try.
pub(crate) fn unavailable(store: &Store, piece: &str, error: &std::io::Error) -> Error {
    Error::retry(Reason::ProviderFailed, format!("{}: {error}", store.place(piece)))
}

/// Nobody but a person can mend it; but since nobody tells us when they have, look again.
pub(crate) fn corrupt(store: &Store, piece: &str, what: &str) -> Error {
    let message =
        format!("{} is no state of the mock provider: {what}; correct or remove the file", store.place(piece));
    Error::retry(Reason::ProviderFailed, message)
}

/// Another's mark.
pub(crate) fn not_ours(id: &LoadBalancerId, instance: Option<&str>) -> String {
    match instance {
        Some(other) => format!("mock load balancer {id} belongs to instance {other:?}; it is left alone"),
        None => format!("mock load balancer {id} carries no instance's mark; it is left alone"),
    }
}
