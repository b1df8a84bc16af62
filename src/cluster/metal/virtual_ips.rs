//! The provider's port for addresses, on `VirtualIP` objects.

use std::net::IpAddr;

use futures::FutureExt;
use futures::future::BoxFuture;
use kube::api::{DeleteParams, PostParams, Preconditions};
use kube::{Api, Client};
use portolan_metal::port::{StoreError, VirtualIps};
use portolan_metal::vip::{Vip, name};

use crate::api::VirtualIP;
use crate::cluster::error::{CallError, Failure, call};

/// `VirtualIP` objects of a cluster.
#[derive(Clone)]
pub(crate) struct ClusterVirtualIps {
    api: Api<VirtualIP>,
}

impl std::fmt::Debug for ClusterVirtualIps {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ClusterVirtualIps")
    }
}

impl ClusterVirtualIps {
    /// Those of the cluster that this client speaks to.
    pub(crate) fn new(client: Client) -> Self {
        Self { api: Api::all(client) }
    }
}

impl VirtualIps for ClusterVirtualIps {
    fn get(&self, address: IpAddr) -> BoxFuture<'_, Result<Option<Vip>, StoreError>> {
        async move {
            let name = name(address);
            match call(format!("read VirtualIP {name}"), self.api.get(&name)).await {
                Ok(stored) => decode(stored).map(Some),
                Err(error) if error.failure == Failure::Gone => Ok(None),
                Err(error) => Err(failed(&error)),
            }
        }
        .boxed()
    }

    fn create(&self, vip: &Vip) -> BoxFuture<'_, Result<Vip, StoreError>> {
        let mut object = VirtualIP::from(vip);
        object.metadata.resource_version = None; // of no object yet
        async move {
            let action = format!("create VirtualIP {}", object.metadata.name.as_deref().unwrap_or_default());
            match call(action, self.api.create(&PostParams::default(), &object)).await {
                Ok(stored) => decode(stored),
                Err(error) if error.failure == Failure::Conflict => Err(StoreError::Exists),
                Err(error) => Err(failed(&error)),
            }
        }
        .boxed()
    }

    fn replace(&self, vip: &Vip) -> BoxFuture<'_, Result<Vip, StoreError>> {
        let (name, object) = (name(vip.address), VirtualIP::from(vip));
        async move {
            precondition(&object, &name)?; // without one the server would overwrite whatever is there
            let parameters = PostParams::default();
            let request = self.api.replace(&name, &parameters, &object);
            match call(format!("replace VirtualIP {name}"), request).await {
                Ok(stored) => decode(stored),
                Err(error) if matches!(error.failure, Failure::Conflict | Failure::Gone) => Err(StoreError::Conflict),
                Err(error) => Err(failed(&error)),
            }
        }
        .boxed()
    }

    fn delete(&self, vip: &Vip) -> BoxFuture<'_, Result<(), StoreError>> {
        let (name, object) = (name(vip.address), VirtualIP::from(vip));
        async move {
            let preconditions = Some(precondition(&object, &name)?);
            let parameters = DeleteParams { preconditions, ..DeleteParams::default() };
            match call(format!("delete VirtualIP {name}"), self.api.delete(&name, &parameters)).await {
                Ok(answer) => {
                    match answer.left().and_then(|object| object.metadata.finalizers).filter(|all| !all.is_empty()) {
                        Some(finalizers) => Err(StoreError::Unavailable {
                            message: format!(
                                "VirtualIP {name} is kept by somebody's finalizer ({}); remove it if its owner is gone",
                                finalizers.join(", ")
                            ),
                            after: None,
                        }),
                        None => Ok(()),
                    }
                }
                Err(error) if error.failure == Failure::Gone => Ok(()),
                Err(error) if error.failure == Failure::Conflict => Err(StoreError::Conflict),
                Err(error) => Err(failed(&error)),
            }
        }
        .boxed()
    }
}

/// The version that the write rests on.
fn precondition(object: &VirtualIP, name: &str) -> Result<Preconditions, StoreError> {
    let version = object.metadata.resource_version.clone();
    let missing = || StoreError::Refused(format!("VirtualIP {name} was never read, so it cannot be changed"));
    Ok(Preconditions { resource_version: Some(version.ok_or_else(missing)?), uid: None })
}

fn decode(stored: VirtualIP) -> Result<Vip, StoreError> {
    Vip::try_from(stored).map_err(|error| StoreError::Refused(format!("{error}; correct it by hand")))
}

fn failed(error: &CallError) -> StoreError {
    match error.failure {
        Failure::UnknownKind | Failure::Invalid | Failure::Forbidden => StoreError::Refused(error.to_string()),
        Failure::Conflict | Failure::Gone => StoreError::Unavailable { message: error.to_string(), after: None },
        Failure::Retry { after } => StoreError::Unavailable { message: error.to_string(), after },
    }
}

/// Where nothing is recorded: a dry run acts on nothing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Nowhere;

impl VirtualIps for Nowhere {
    fn get(&self, _: IpAddr) -> BoxFuture<'_, Result<Option<Vip>, StoreError>> {
        refused().boxed()
    }

    fn create(&self, _: &Vip) -> BoxFuture<'_, Result<Vip, StoreError>> {
        refused().boxed()
    }

    fn replace(&self, _: &Vip) -> BoxFuture<'_, Result<Vip, StoreError>> {
        refused().boxed()
    }

    fn delete(&self, _: &Vip) -> BoxFuture<'_, Result<(), StoreError>> {
        refused().boxed()
    }
}

async fn refused<T>() -> Result<T, StoreError> {
    Err(StoreError::Refused("a dry run records no addresses; this is a defect of Portolan".to_owned()))
}
