//! Reports of nodes that are gone. Speakers do not remove their own, which outlive a restart; an ownerReference to the Node would need that each
//! speaker may read Nodes, for its UID, and the server's garbage collector would not wait for the speaker's end.

use kube::Api;
use kube::api::{DeleteParams, Preconditions};

use crate::api::SpeakerReport;
use crate::cluster::error::{Failure, call};
use crate::cluster::metal::speakers::SeenReport;

/// Removes these, each unless it has been written since; false if some could not be.
pub(super) async fn remove(api: &Api<SpeakerReport>, reports: Vec<SeenReport>) -> bool {
    let mut all = true;
    for SeenReport { node, version, .. } in reports {
        let preconditions = Some(Preconditions { resource_version: Some(version.to_string()), uid: None });
        let parameters = DeleteParams { preconditions, ..DeleteParams::default() };
        let request = api.delete(node.as_str(), &parameters);
        match call(format!("delete SpeakerReport {node}"), request).await {
            Ok(_) => tracing::info!(%node, "the report of a node that is gone is removed, as its speaker is gone too"),
            Err(error) => match error.failure {
                // The watch shows what it is like now.
                Failure::Conflict | Failure::Gone => {}
                Failure::Invalid | Failure::Forbidden | Failure::UnknownKind | Failure::Retry { .. } => {
                    tracing::warn!(%error, "the report of a node that is gone stays");
                    all = false;
                }
            },
        }
    }
    all
}
