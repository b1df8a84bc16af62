//! The way back: effects, record, marks.

use std::sync::Arc;

use portolan_core::claim::{Claim, NotOurs, WasOurs, claim, has_own_conditions};
use portolan_core::events::{self, Event, EventType};
use portolan_core::ids::ServiceKey;
use portolan_core::provider::{Error, ErrorKind, Provider, Verdict as Finding};
use portolan_core::reason::{ConditionType, Reason};
use portolan_core::record::{ClaimedBy, Record, Records};
use portolan_core::snapshot::{Service, Versioned};
use portolan_core::status;

use super::serving::since;
use super::{Interrupted, Pass, Reconciler};
use crate::cluster::annotations::Annotations;
use crate::cluster::finalizers;
use crate::cluster::queue::Verdict;
use crate::controller::decision::{Decision, Role};
use crate::controller::index::Written;
use crate::controller::walk::{End, observe, walk};
use crate::planted::{Bug, planted};
use crate::providers::with_provider;

impl Pass<'_> {
    /// Removes the load balancer of this record, if one is given, and then takes our marks off the Services that were ours.
    pub(super) async fn clean_up(
        &mut self,
        decision: &Decision,
        record: Option<&Arc<Record>>,
    ) -> Result<Verdict, Interrupted> {
        let leaving: Vec<_> = decision.leaving().collect();
        // The finalizer goes only when no record is left, and that is asked of the server: the cache may lag behind a write of
        // an earlier pass.
        let stored = match record {
            Some(record) => Some(Record::clone(record)),
            None if leaving.is_empty() || decision.record.is_some() => None,
            None => self.reconciler.records.get(&self.snapshot.id).await?,
        };
        if planted(Bug::FinalizerFirst) {
            for (service, why) in &leaving {
                self.release(service, stored.as_ref(), None, *why).await?;
            }
        }
        if let Some(record) = &stored {
            let services: Vec<_> = leaving.iter().map(|(service, _)| *service).collect();
            let verdict = self.remove(record, &services).await?;
            if verdict != Verdict::Forgotten {
                return Ok(verdict);
            }
            // Of a Service whose finalizer somebody has stripped nothing but the record was left.
            let gone = |key: &ServiceKey| !self.snapshot.services.contains_key(key);
            for key in record.members.iter().map(|joined| joined.member.key()).filter(gone) {
                self.release_pods(&key).await?;
            }
        }
        // A record that was not removed may name them still.
        let left = decision.record.as_deref().filter(|_| stored.is_none());
        for (service, why) in leaving {
            self.release(service, stored.as_ref(), left, why).await?;
        }
        let stays = |(_, role): &(Versioned<Service>, Role)| match role {
            Role::Kept(_) | Role::Served(_) | Role::Moving { .. } => true,
            Role::Stranger(_) | Role::Gone | Role::Leaving(_) => false,
        };
        let watched = !decision.unreadable.is_empty() || decision.services.iter().any(stays);
        Ok(if watched { Verdict::Done } else { Verdict::Forgotten })
    }

    /// Takes our marks off a Service that was ours, unless a record still names it: `before` is what its record was, `now` what is left
    /// of it.
    pub(super) async fn release(
        &mut self,
        service: &Versioned<Service>,
        before: Option<&Record>,
        now: Option<&Record>,
        why: WasOurs,
    ) -> Result<(), Interrupted> {
        self.gate.check()?;
        let Reconciler { client, classes, .. } = self.reconciler;
        let uid = &service.object.uid;
        let is_left = now.is_some_and(|record| record.names(uid));
        if is_left || self.snapshot.is_named_elsewhere(uid, &classes.instance) {
            return Ok(());
        }
        // A pass that knows the Service as it was may have written a record since that names it.
        if self.snapshot.in_hand.contains(&service.object.key) {
            return Err(Interrupted::Overtaken);
        }
        self.release_pods(&service.object.key).await?;
        let claimed_by = before.and_then(|record| record.claimed_by(uid));
        // Whoever serves what has no class has set it too by now, or relies on ours.
        let is_theirs = why == WasOurs::HandedOver && service.object.class.is_none();
        let standard = !is_theirs && finalizers::was_set(before, &service.object, classes);
        // The server blanks the status itself when the type changes; one that names another class by now is that controller's.
        let published = |record: &Record| match &service.object.class {
            Some(class) => record.answers_to(class),
            None => claimed_by != Some(ClaimedBy::Class),
        };
        let marks = finalizers::Marks {
            standard,
            // Without a record, our conditions say that the rest of the status is ours too.
            ingress: why == WasOurs::Deleting && before.map_or(has_own_conditions(&service.object), published),
            conditions: status::without_ours(&service.object, why == WasOurs::HandedOver),
            gone: self.annotations(&service.object, before.filter(|_| why != WasOurs::HandedOver)),
        };
        if let Some(released) = finalizers::release(client, service, &classes.instance, &marks).await? {
            self.written.push(Written::Service(released.clone()));
            // It may name a class now that nobody has. Nothing about it changes any more that would bring its key back for that.
            if let Claim::NotOurs(NotOurs::UnknownClass) = claim(&released.object, &[], classes) {
                self.tell_unknown(&released).await?;
            }
        }
        Ok(())
    }

    /// Those of a Service that go with what its record stood for. Where it goes to somebody else his own may stand there by now.
    fn annotations(&self, service: &Service, before: Option<&Record>) -> Annotations {
        let provider = before.and_then(|record| self.reconciler.providers.of_record(record).ok());
        let ours = provider.map_or(&[][..], |provider| with_provider!(provider, of => of.annotations()));
        ours.iter().filter(|key| service.annotations.contains_key(**key)).map(|key| (*key, None)).collect()
    }

    /// Removes a load balancer and then its record. `Forgotten` when both are gone. `services` are told.
    pub(super) async fn remove(
        &mut self,
        record: &Record,
        services: &[&Versioned<Service>],
    ) -> Result<Verdict, Interrupted> {
        let since = since(record);
        for service in services {
            self.tell(service, &[Event { since: since.clone(), ..events::deleting() }]).await;
        }
        let mut record = record.clone();
        if planted(Bug::RecordFirst) {
            self.reconciler.records.delete(&record).await?;
        }
        let end = match self.reconciler.providers.of_record(&record) {
            Err(error) => End::Failed(error),
            Ok(provider) => with_provider!(provider, provider => {
                walk(&provider, None, &mut record, &self.reconciler.records, false, self.gate).await.end
            }),
        };
        let failure = match end {
            End::Settled => None,
            End::Waiting(wait) | End::Clearing(wait) => return Ok(Verdict::WaitAtMost(wait.at_most)),
            End::Failed(error) => Some(error),
            End::Refused(refusal) => Some(Error::terminal(refusal.reason(), refusal.to_string())),
            End::RecordLost(error) => return Err(error.into()),
            End::Stopped(stopped) => return Err(stopped.into()),
        };
        if let Some(error) = failure {
            return self.not_removed(&error, services, since).await;
        }
        self.gate.check()?;
        self.reconciler.records.delete(&record).await?;
        if let Some(version) = &record.version {
            self.written.push(Written::RecordDeleted(record.id.clone(), version.clone()));
        }
        // A controller that knew no better may have made it anew before the record went.
        if self.is_back(&record).await {
            tracing::info!(balancer = %record.id, "somebody has made it anew; its record is written again, to remove it");
            self.record_again(record).await?;
            return Ok(Verdict::Again);
        }
        for service in services {
            self.tell(service, &[Event { since: since.clone(), ..events::deleted() }]).await;
        }
        Ok(Verdict::Forgotten)
    }

    /// What was removed is there again; also if that cannot be told.
    async fn is_back(&self, record: &Record) -> bool {
        let Ok(provider) = self.reconciler.providers.of_record(record) else { return false };
        with_provider!(provider, provider => match observe(&provider, &record.known()).await {
            Ok(state) => provider.plan(None, &state).map_or(true, |plan| !plan.is_empty()),
            Err(_) => true,
        })
    }

    /// A Service has left a load balancer on which others go on.
    pub(super) async fn tell_left(&self, service: &Versioned<Service>, since: String) {
        self.tell(service, &[Event { since, ..events::left_share() }]).await;
    }

    /// A removal that fails is told from its second failure on, or at once if it will go on failing; on Services that wait for it,
    /// also by the condition.
    pub(super) async fn not_removed(
        &mut self,
        error: &Error,
        services: &[&Versioned<Service>],
        since: String,
    ) -> Result<Verdict, Interrupted> {
        // What was made must go: even a terminal error is tried again, because nobody may edit a Service that is gone.
        let verdict = match error.kind {
            ErrorKind::Terminal | ErrorKind::Retry => Verdict::Retry,
            ErrorKind::Wait(at_most) => Verdict::WaitAtMost(at_most),
        };
        tracing::warn!(balancer = %self.snapshot.id, %error, "what was made is not removed yet");
        if self.attempt == 0 && error.kind != ErrorKind::Terminal {
            return Ok(verdict);
        }
        for service in services {
            let message = format!("Error deleting load balancer: {error}");
            let event =
                Event { since: since.clone(), ..Event::new(EventType::Warning, "DeleteLoadBalancerFailed", message) };
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
        Ok(verdict)
    }
}
