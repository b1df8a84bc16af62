//! Reports of nodes that are gone. Speakers do not remove their own, which outlive a restart; an ownerReference to the Node would need that each
//! speaker may read Nodes, for its UID, and the server's garbage collector would not wait for the speaker's end.

use kube::api::{DeleteParams, Preconditions};
use kube::{Api, Client};

use crate::api::SpeakerReport;
use crate::cluster::error::{Failure, call};
use crate::cluster::metal::speakers::SeenReport;

/// How many go at once: while they do, nobody is told of anything.
const AT_ONCE: usize = 10;

/// Who removes them.
#[derive(Debug)]
pub(super) struct Remover {
    api: Api<SpeakerReport>,
    /// The server has said that we have not the right.
    is_forbidden: bool,
}

impl Remover {
    pub(super) fn new(client: Client) -> Self {
        Self { api: Api::all(client), is_forbidden: false }
    }

    /// Removes the first of these, each unless it has been written since; true if none is left that could be removed later.
    pub(super) async fn remove(&mut self, reports: Vec<SeenReport>) -> bool {
        if self.is_forbidden {
            return true;
        }
        let all = reports.len() <= AT_ONCE;
        for SeenReport { node, version, .. } in reports.into_iter().take(AT_ONCE) {
            let preconditions = Some(Preconditions { resource_version: Some(version.to_string()), uid: None });
            let parameters = DeleteParams { preconditions, ..DeleteParams::default() };
            let request = self.api.delete(node.as_str(), &parameters);
            match call(format!("delete SpeakerReport {node}"), request).await {
                Ok(_) => tracing::info!(%node, "the report of a node that is gone is removed"),
                Err(error) => match error.failure {
                    // The watch shows what it is like now.
                    Failure::Conflict | Failure::Gone => {}
                    // The others would not go either.
                    Failure::Forbidden => {
                        tracing::warn!(%error, "the reports of nodes that are gone stay; apply deploy/rbac-metal.yaml and start the controller again");
                        self.is_forbidden = true;
                        return true;
                    }
                    Failure::Invalid | Failure::UnknownKind | Failure::Retry { .. } => {
                        tracing::warn!(%error, "the report of a node that is gone stays");
                        return false;
                    }
                },
            }
        }
        all
    }
}
