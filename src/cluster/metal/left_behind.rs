//! Reports of nodes that are gone. Speakers do not remove their own, which outlive a restart; an ownerReference to the Node would need that each
//! speaker may read Nodes, for its UID, and the server's garbage collector would not wait for the speaker's end.

use kube::Api;
use kube::api::{DeleteParams, Preconditions};

use crate::api::SpeakerReport;
use crate::cluster::error::{Failure, call};
use crate::cluster::metal::speakers::SeenReport;

/// How many go at once: while they do, nobody is told of anything.
const AT_ONCE: usize = 10;

/// Removes the first of these, each unless it has been written since; false if there are more, or one could not be; none if it never can.
pub(super) async fn remove(api: &Api<SpeakerReport>, reports: Vec<SeenReport>) -> Option<bool> {
    let all = reports.len() <= AT_ONCE;
    for SeenReport { node, version, .. } in reports.into_iter().take(AT_ONCE) {
        let preconditions = Some(Preconditions { resource_version: Some(version.to_string()), uid: None });
        let parameters = DeleteParams { preconditions, ..DeleteParams::default() };
        let request = api.delete(node.as_str(), &parameters);
        match call(format!("delete SpeakerReport {node}"), request).await {
            Ok(_) => tracing::info!(%node, "the report of a node that is gone is removed, as its speaker is gone too"),
            Err(error) => match error.failure {
                // The watch shows what it is like now.
                Failure::Conflict | Failure::Gone => {}
                // The others would not go either.
                Failure::Forbidden => {
                    tracing::warn!(%error, "the reports of nodes that are gone stay; apply deploy/rbac-metal.yaml and start the controller again");
                    return None;
                }
                Failure::Invalid | Failure::UnknownKind | Failure::Retry { .. } => {
                    tracing::warn!(%error, "the report of a node that is gone stays");
                    return Some(false);
                }
            },
        }
    }
    Some(all)
}
