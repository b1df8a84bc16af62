//! The core's port for records, on `LoadBalancerRecord` objects.

use kube::api::{DeleteParams, PostParams, Preconditions};
use kube::{Api, Client, CustomResourceExt};
use portolan_core::ids::LoadBalancerId;
use portolan_core::record::{Record, Records, RecordsError};

use crate::api::{LoadBalancerRecord, crds};
use crate::cluster::error::{APPLY_CRDS, CallError, Failure, call};
use crate::planted::{Bug, planted};

/// Records in the cluster.
#[derive(Clone)]
pub struct ClusterRecords {
    api: Api<LoadBalancerRecord>,
}

impl ClusterRecords {
    /// The records of the cluster that this client speaks to.
    pub fn new(client: Client) -> Self {
        Self { api: Api::all(client) }
    }
}

impl Records for ClusterRecords {
    async fn get(&self, id: &LoadBalancerId) -> Result<Option<Record>, RecordsError> {
        match call(format!("read record {id}"), self.api.get(id.as_str())).await {
            Ok(stored) => decode(stored).map(Some),
            Err(error) if error.failure == Failure::Gone => Ok(None),
            Err(error) => Err(refused_or_unavailable(&error)),
        }
    }

    async fn create(&self, record: &Record) -> Result<Record, RecordsError> {
        let mut object = LoadBalancerRecord::from(record);
        object.metadata.resource_version = None; // of no object yet
        match call(format!("create record {}", record.id), self.api.create(&PostParams::default(), &object)).await {
            Ok(stored) => decode(stored),
            Err(error) if error.failure == Failure::Conflict => Err(RecordsError::Exists(record.id.clone())),
            Err(error) => Err(refused_or_unavailable(&error)),
        }
    }

    async fn replace(&self, record: &Record) -> Result<Record, RecordsError> {
        precondition(record)?; // without one the server would overwrite whatever is there
        let object = LoadBalancerRecord::from(record);
        let parameters = PostParams::default();
        let request = self.api.replace(record.id.as_str(), &parameters, &object);
        match call(format!("replace record {}", record.id), request).await {
            Ok(stored) => decode(stored),
            Err(error) if error.failure == Failure::Conflict && planted(Bug::ConflictIsSuccess) => Ok(record.clone()),
            Err(error) if matches!(error.failure, Failure::Conflict | Failure::Gone) => {
                Err(RecordsError::Conflict(record.id.clone()))
            }
            Err(error) => Err(refused_or_unavailable(&error)),
        }
    }

    async fn delete(&self, record: &Record) -> Result<(), RecordsError> {
        let parameters = DeleteParams { preconditions: Some(precondition(record)?), ..DeleteParams::default() };
        let request = self.api.delete(record.id.as_str(), &parameters);
        match call(format!("delete record {}", record.id), request).await {
            Ok(answer) if answer.as_ref().right().is_some_and(|status| !status.is_success()) => {
                Err(unavailable(format!("cannot delete record {}: the answer says neither yes nor no", record.id)))
            }
            Ok(answer) => answer.left().filter(has_finalizer).map_or(Ok(()), |object| {
                let finalizers = object.metadata.finalizers.unwrap_or_default().join(", ");
                Err(unavailable(format!(
                    "record {} is kept by somebody's finalizer ({finalizers}); remove it if its owner is gone",
                    record.id
                )))
            }),
            Err(error) if error.failure == Failure::Gone => Ok(()),
            Err(error) if error.failure == Failure::Conflict && planted(Bug::ConflictIsSuccess) => Ok(()),
            Err(error) if error.failure == Failure::Conflict => Err(RecordsError::Conflict(record.id.clone())),
            Err(error) => Err(refused_or_unavailable(&error)),
        }
    }
}

/// The version that the write rests on.
fn precondition(record: &Record) -> Result<Preconditions, RecordsError> {
    let version = record.version.as_ref().map(ToString::to_string);
    let missing = || RecordsError::Refused(format!("record {} was never read, so it cannot be changed", record.id));
    Ok(Preconditions { resource_version: Some(version.ok_or_else(missing)?), uid: None })
}

fn has_finalizer(object: &LoadBalancerRecord) -> bool {
    object.metadata.finalizers.as_ref().is_some_and(|finalizers| !finalizers.is_empty())
}

fn decode(stored: LoadBalancerRecord) -> Result<Record, RecordsError> {
    Record::try_from(stored).map_err(|error| RecordsError::Refused(format!("{error}; correct it by hand")))
}

fn refused_or_unavailable(error: &CallError) -> RecordsError {
    match error.failure {
        Failure::UnknownKind | Failure::Invalid | Failure::Forbidden => RecordsError::Refused(error.to_string()),
        Failure::Conflict | Failure::Gone => unavailable(error.to_string()),
        Failure::Retry { after } => RecordsError::Unavailable { message: error.to_string(), after },
    }
}

fn unavailable(message: String) -> RecordsError {
    RecordsError::Unavailable { message, after: None }
}

/// Why the controller cannot start yet.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CrdsError {
    /// The server does not serve these kinds.
    #[error("the API server does not know {}; {APPLY_CRDS}", .0.join(", "))]
    Missing(Vec<String>),
    /// The server did not say.
    #[error(transparent)]
    Unknown(#[from] CallError),
}

/// Says which of our kinds the server does not serve; those of addresses only where somebody needs them. Discovery is open to every account, so this needs no right.
pub async fn check_crds(client: &Client, with_pools: bool) -> Result<(), CrdsError> {
    let mut missing = Vec::new();
    let records = LoadBalancerRecord::crd_name();
    for crd in crds().into_iter().filter(|crd| with_pools || crd.metadata.name.as_deref() == Some(records)) {
        let (plural, group) = (&crd.spec.names.plural, &crd.spec.group);
        for version in crd.spec.versions.iter().map(|version| &version.name) {
            let path = format!("{group}/{version}");
            match call(format!("ask which kinds of {path} there are"), client.list_api_group_resources(&path)).await {
                Ok(served) if served.resources.iter().any(|resource| &resource.name == plural) => {}
                Err(error) if !matches!(error.failure, Failure::Gone | Failure::UnknownKind) => {
                    return Err(error.into());
                }
                Ok(_) | Err(_) => missing.push(format!("{plural}.{group} {version}")),
            }
        }
    }
    if missing.is_empty() { Ok(()) } else { Err(CrdsError::Missing(missing)) }
}

#[cfg(test)]
mod tests;
