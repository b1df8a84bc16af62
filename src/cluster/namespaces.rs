//! What the Namespaces say about sharing, asked of the server itself.

use k8s_openapi::api::core::v1::Namespace;
use kube::Client;
use kube::api::{Api, ListParams};
use portolan_core::share::{Consents, ShareWith};

use crate::cluster::error::{CallError, call};
use crate::cluster::project;

/// What all Namespaces say that say anything, now. The watches of two kinds do not wait for each other, so a Service may be seen before
/// the Namespace that was there before it.
pub(crate) async fn consents(client: &Client) -> Result<Consents, CallError> {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let parameters = ListParams::default();
    let listed = call("list Namespaces", namespaces.list(&parameters)).await?;
    let said = listed.items.into_iter().map(project::namespace);
    let said = said.filter(|namespace| namespace.share_with != ShareWith::Nobody);
    Ok(said.map(|namespace| (namespace.name, namespace.share_with)).collect())
}
