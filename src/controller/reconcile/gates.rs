//! Readiness gates: pods that wait for a load balancer are told what it has found.

use portolan_core::gates::{self, Finding};
use portolan_core::ids::ServiceKey;

use super::{Interrupted, Pass};
use crate::cluster::pods;
use crate::cluster::queue::Verdict;
use crate::controller::index::Written;

/// How often pods are tried to be told before their Service goes all the same.
const PATIENCE: u32 = 5;

impl Pass<'_> {
    /// A Service has no load balancer any more: nothing will ever be found of the pods that wait for it. Nobody comes back for this, so it is
    /// done before the Service is let go; what the server does not allow keeps no Service from going.
    pub(super) async fn release_pods(&mut self, service: &ServiceKey) -> Result<(), Interrupted> {
        let pods = self.snapshot.gated.get(service).map(Vec::as_slice).unwrap_or_default();
        match self.tell_pods(&gates::released(&service.name, pods)).await {
            Verdict::Retry if self.attempt < PATIENCE => Err(Interrupted::Failed(
                format!("pods that wait for {service} are not told that it has no load balancer"),
                None,
            )),
            Verdict::Again => Err(Interrupted::Stopped),
            Verdict::Retry | Verdict::Done | Verdict::Forgotten | Verdict::WaitAtMost(_) => Ok(()),
        }
    }

    /// Tells each pod what it does not know yet, one after the other. What cannot be told is tried again, and keeps nothing else from being
    /// done: the Service has its load balancer all the same.
    pub(super) async fn tell_pods(&mut self, findings: &[Finding]) -> Verdict {
        let (client, instance) = (&self.reconciler.client, &self.reconciler.classes.instance);
        let now = self.reconciler.now();
        for finding in findings {
            if self.gate.check().is_err() {
                return Verdict::Again;
            }
            match pods::tell(client, instance, finding, &now).await {
                Ok(told) => self.written.extend(told.map(Written::Pod)),
                Err(error) => {
                    tracing::warn!(balancer = %self.snapshot.id, %error, "a readiness gate is not written; it is tried again");
                    return Verdict::Retry;
                }
            }
        }
        Verdict::Done
    }
}
