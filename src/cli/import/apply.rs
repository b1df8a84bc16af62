//! Creating it. First everything is looked for: if something exists and differs, nothing is created at all.

use std::fmt;

use kube::api::PostParams;
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::{Api, Client};
use serde_json::Value;

use super::made::{Kind, Made};
use super::patience::patiently;
use crate::api::{AddressPoolSpec, L2AdvertisementSpec, VirtualIPSpec};
use crate::cluster::error::Failure;

/// What became of it.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    created: Vec<String>,
    there: Vec<String>,
    refused: Vec<String>,
}

impl Outcome {
    /// All of it is there now.
    pub(super) fn is_complete(&self) -> bool {
        self.refused.is_empty()
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (what, names) in [("created", &self.created), ("there already", &self.there), ("REFUSED", &self.refused)] {
            names.iter().try_for_each(|name| writeln!(f, "{what}: {name}"))?;
        }
        if !self.refused.is_empty() && self.created.is_empty() {
            writeln!(f, "nothing was created: edit or delete what differs, and repeat")?;
        }
        Ok(())
    }
}

/// Creates what is not there.
pub(super) async fn apply(client: &Client, made: &[Made]) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::default();
    let mut missing = Vec::new();
    for made in made {
        let name = told(made);
        let api = api(client, made.kind);
        match patiently(&format!("read {name}"), || api.get(&made.name)).await {
            Ok(found) => match difference(made, &found) {
                None => outcome.there.push(name),
                Some(difference) => outcome.refused.push(format!("{name}: {difference}")),
            },
            Err(error) if error.failure == Failure::Gone => missing.push(made),
            Err(error) => return Err(error.into()),
        }
    }
    if !outcome.is_complete() {
        return Ok(outcome);
    }
    for made in missing {
        let name = told(made);
        let object: DynamicObject = serde_json::from_value(made.object.clone())?;
        let (api, parameters) = (api(client, made.kind), PostParams::default());
        match patiently(&format!("create {name}"), || api.create(&parameters, &object)).await {
            Ok(_) => outcome.created.push(name),
            Err(error) if error.failure == Failure::Conflict => {
                outcome.refused.push(format!("{name}: somebody has created it just now; repeat"));
                return Ok(outcome);
            }
            Err(error) if error.failure == Failure::Invalid => {
                outcome.refused.push(format!("{name}: {}", error.message));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(outcome)
}

fn told(made: &Made) -> String {
    format!("{} {}", made.kind.name(), made.name)
}

fn api(client: &Client, kind: Kind) -> Api<DynamicObject> {
    let plural = match kind {
        Kind::VirtualIp => "virtualips",
        Kind::AddressPool => "addresspools",
        Kind::L2Advertisement => "l2advertisements",
    };
    let kind = GroupVersionKind::gvk("portolan.dev", "v1alpha1", kind.name());
    Api::all_with(client.clone(), &ApiResource::from_gvk_with_plural(&kind, plural))
}

/// What of an object that exists is not as it would be created. Defaults that the server has filled in are no difference, nor is what others
/// have added beside it.
fn difference(made: &Made, found: &DynamicObject) -> Option<String> {
    let spec = |object: &Value| object.get("spec").cloned().unwrap_or_default();
    let (ours, theirs) = (spec(&made.object), spec(&found.data));
    let is_same = match made.kind {
        Kind::AddressPool => same::<AddressPoolSpec>(ours, theirs),
        Kind::L2Advertisement => same::<L2AdvertisementSpec>(ours, theirs),
        Kind::VirtualIp => return of_reservation(ours, theirs),
    };
    if !is_same {
        return Some("exists, and its spec is another; it is left as it is".to_owned());
    }
    let labels = made.object.pointer("/metadata/labels").and_then(Value::as_object).into_iter().flatten();
    let there = |key: &String| found.metadata.labels.as_ref().and_then(|labels| labels.get(key)).map(String::as_str);
    let missing: Vec<&str> =
        labels.filter(|(key, value)| there(key) != value.as_str()).map(|(key, _)| key.as_str()).collect();
    (!missing.is_empty()).then(|| format!("exists without the labels {}; it is left as it is", missing.join(", ")))
}

fn same<T: serde::de::DeserializeOwned + PartialEq>(ours: Value, theirs: Value) -> bool {
    match (serde_json::from_value::<T>(ours), serde_json::from_value::<T>(theirs)) {
        (Ok(ours), Ok(theirs)) => ours == theirs,
        (Ok(_) | Err(_), Err(_)) | (Err(_), Ok(_)) => false,
    }
}

/// It is kept for the same Service, or that one has it already.
fn of_reservation(ours: Value, theirs: Value) -> Option<String> {
    let read = |spec| serde_json::from_value::<VirtualIPSpec>(spec).ok();
    let (Some(ours), Some(theirs)) = (read(ours), read(theirs)) else {
        return Some("exists, and cannot be read".to_owned());
    };
    let wanted = ours.reserved_for?;
    let is_its = |namespace: &str, name: &str| {
        wanted.namespace == namespace && wanted.name.as_deref().is_none_or(|wanted| wanted == name)
    };
    let has_it = theirs.services.iter().any(|served| is_its(&served.namespace, &served.name));
    if theirs.reserved_for.as_ref() == Some(&wanted) || has_it {
        return None;
    }
    let whose = match (theirs.services.first(), &theirs.reserved_for) {
        (Some(served), _) => format!("Service {}/{} has it", served.namespace, served.name),
        (None, Some(other)) => {
            format!("it is kept for {}/{}", other.namespace, other.name.as_deref().unwrap_or("*"))
        }
        (None, None) => "it says neither whose it is nor for whom it is kept".to_owned(),
    };
    Some(format!("exists: {whose}"))
}
