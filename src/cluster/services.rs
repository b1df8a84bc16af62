//! What the server says of a Service now, whatever the watch has shown.

use kube::Client;
use kube::api::{Api, ListParams};
use portolan_core::ids::{ResourceVersion, ServiceKey, Uid};

use crate::cluster::error::{CallError, call};
use crate::cluster::project;
use crate::cluster::stored::StoredService;

/// Which it is, and its version; none if it is gone. A list of one, because the right to list is there anyway.
pub(crate) async fn now(client: &Client, key: &ServiceKey) -> Result<Option<(Uid, ResourceVersion)>, CallError> {
    let services: Api<StoredService> = Api::namespaced(client.clone(), &key.namespace);
    let one = ListParams::default().fields(&format!("metadata.name={}", key.name));
    let listed = call(format!("list Service {key}"), services.list(&one)).await?;
    let which = |service: &StoredService| {
        let uid = Uid::new(service.metadata.uid.clone().unwrap_or_default());
        (uid, project::version(&service.metadata))
    };
    Ok(listed.items.first().map(which))
}
