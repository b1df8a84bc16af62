//! The way back: effects, record, marks.

use portolan_core::claim::WasOurs;
use portolan_core::events::{self, Event, EventType};
use portolan_core::record::{ClaimedBy, Record, Records};
use portolan_core::snapshot::{Service, Versioned};
use portolan_core::status;

use super::{Interrupted, Pass, Reconciler};
use crate::cluster::finalizers;
use crate::cluster::queue::Verdict;
use crate::controller::index::Written;
use crate::controller::walk::{End, walk};
use crate::providers::with_provider;

impl Pass<'_> {
    /// A Service that was ours: effects, record, marks.
    pub(super) async fn clean_up(
        &mut self,
        service: &Versioned<Service>,
        own: Option<&Record>,
        why: WasOurs,
    ) -> Result<Verdict, Interrupted> {
        // The finalizer goes only when no record is left, and that is asked of the server: the cache may lag behind a write of
        // an earlier pass.
        let stored = match own {
            Some(record) => Some(record.clone()),
            None => self.reconciler.records.get(&self.snapshot.id).await?,
        };
        if let Some(record) = &stored {
            let verdict = self.remove(record, Some(service)).await?;
            if verdict != Verdict::Forgotten {
                return Ok(verdict);
            }
        }
        self.gate.check()?;
        let Reconciler { client, classes, .. } = self.reconciler;
        let by_default = stored.as_ref().is_none_or(|record| record.claimed_by == ClaimedBy::Default);
        let standard = match why {
            // Upstream's finalizer on a Service with a class was never ours.
            WasOurs::Deleting => by_default && service.object.class.is_none(),
            WasOurs::TypeChanged => by_default,
            WasOurs::HandedOver => false,
        };
        // The server blanks the status itself when the type changes; one that names another class by now is that controller's.
        let published = |record: &Record| match &service.object.class {
            Some(class) => record.answers_to(class),
            None => record.claimed_by != ClaimedBy::Class,
        };
        let marks = finalizers::Marks {
            standard,
            ingress: why == WasOurs::Deleting && stored.as_ref().is_some_and(published),
            conditions: status::without_ours(&service.object, why == WasOurs::HandedOver),
        };
        if let Some(released) = finalizers::release(client, service, &classes.instance, &marks).await? {
            self.written.push(Written::Service(released));
        }
        Ok(Verdict::Forgotten)
    }

    /// Removes a load balancer and then its record. `Forgotten` when both are gone.
    pub(super) async fn remove(
        &mut self,
        record: &Record,
        service: Option<&Versioned<Service>>,
    ) -> Result<Verdict, Interrupted> {
        let since = record.version.as_ref().map(ToString::to_string).unwrap_or_default();
        if let Some(service) = service {
            self.tell(service, &[Event { since: since.clone(), ..events::deleting() }]).await;
        }
        let mut record = record.clone();
        let end = match self.reconciler.providers.of_record(&record) {
            Err(error) => End::Failed(error),
            Ok(provider) => with_provider!(provider, provider => {
                walk(&provider, None, &mut record, &self.reconciler.records, self.gate).await.end
            }),
        };
        let failure = match end {
            End::Settled => None,
            End::Waiting(wait) => return Ok(Verdict::WaitAtMost(wait.at_most)),
            End::Failed(error) => Some(error.to_string()),
            End::Refused(refusal) => Some(refusal.to_string()),
            End::RecordLost(error) => return Err(error.into()),
            End::Stopped(stopped) => return Err(stopped.into()),
        };
        if let Some(failure) = failure {
            if let (Some(service), true) = (service, self.attempt > 0) {
                let message = format!("Error deleting load balancer: {failure}");
                self.tell(
                    service,
                    &[Event { since, ..Event::new(EventType::Warning, "DeleteLoadBalancerFailed", message) }],
                )
                .await;
            }
            return Err(Interrupted::Failed(failure));
        }
        self.gate.check()?;
        self.reconciler.records.delete(&record).await?;
        if let Some(version) = record.version {
            self.written.push(Written::RecordDeleted(record.id, version));
        }
        if let Some(service) = service {
            self.tell(service, &[Event { since, ..events::deleted() }]).await;
        }
        Ok(Verdict::Forgotten)
    }
}
