//! The way back: effects, record, marks.

use portolan_core::claim::{WasOurs, has_own_conditions};
use portolan_core::events::{self, Event, EventType};
use portolan_core::provider::{Error, ErrorKind, Verdict as Finding};
use portolan_core::reason::{ConditionType, Reason};
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
        let standard = finalizers::was_set(stored.as_ref(), &service.object, &classes.instance);
        // The server blanks the status itself when the type changes; one that names another class by now is that controller's.
        let published = |record: &Record| match &service.object.class {
            Some(class) => record.answers_to(class),
            None => record.claimed_by != ClaimedBy::Class,
        };
        let marks = finalizers::Marks {
            standard,
            // Without a record, our conditions say that the rest of the status is ours too.
            ingress: why == WasOurs::Deleting && stored.as_ref().map_or(has_own_conditions(&service.object), published),
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
            End::Failed(error) => Some(error),
            End::Refused(refusal) => Some(Error::terminal(refusal.reason(), refusal.to_string())),
            End::RecordLost(error) => return Err(error.into()),
            End::Stopped(stopped) => return Err(stopped.into()),
        };
        if let Some(error) = failure {
            return self.not_removed(&error, service, since).await;
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

    /// A removal that fails is told from its second failure on, or at once if it will go on failing; on a Service that waits for it,
    /// also by the condition.
    async fn not_removed(
        &mut self,
        error: &Error,
        service: Option<&Versioned<Service>>,
        since: String,
    ) -> Result<Verdict, Interrupted> {
        tracing::warn!(balancer = %self.snapshot.id, %error, "the load balancer is not removed yet");
        let is_news = self.attempt > 0 || error.kind == ErrorKind::Terminal;
        if let (Some(service), true) = (service, is_news) {
            let message = format!("Error deleting load balancer: {error}");
            let event = Event { since, ..Event::new(EventType::Warning, "DeleteLoadBalancerFailed", message) };
            let programmed = Finding::no(error.reason, format!("not removed yet: {error}"));
            let mut findings = vec![(ConditionType::Programmed, programmed)];
            if service.object.ingress.is_empty() {
                let pending = "waits until what was made before is removed";
                findings.insert(0, (ConditionType::AddressAssigned, Finding::no(Reason::AddressPending, pending)));
            }
            // The condition's news is the same: one Event is enough.
            let status = status::only(&service.object, &findings, &self.reconciler.now());
            self.write_told(service, &status, &[event]).await?;
        }
        // What was made must go: even a terminal error is tried again, because nobody may edit a Service that is gone.
        Ok(match error.kind {
            ErrorKind::Terminal | ErrorKind::Retry => Verdict::Retry,
            ErrorKind::Wait(at_most) => Verdict::WaitAtMost(at_most),
        })
    }
}
