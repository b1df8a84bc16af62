//! What the server says of a Service now, whatever the watch has shown.

use kube::Client;
use kube::api::{Api, ListParams};
use portolan_core::ids::{ResourceVersion, ServiceKey};

use crate::cluster::error::{CallError, call};
use crate::cluster::project;
use crate::cluster::stored::StoredService;

/// Its version; none if it is gone. A list of one, because the right to list is there anyway.
pub(crate) async fn version(client: &Client, key: &ServiceKey) -> Result<Option<ResourceVersion>, CallError> {
    let services: Api<StoredService> = Api::namespaced(client.clone(), &key.namespace);
    let one = ListParams::default().fields(&format!("metadata.name={}", key.name));
    let listed = call(format!("list Service {key}"), services.list(&one)).await?;
    Ok(listed.items.first().map(|service| project::version(&service.metadata)))
}
