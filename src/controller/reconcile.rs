//! One pass over one load balancer: claim, desire, observe, plan, step by step, status.
//!
//! Order of the marks: finalizer, record, effects; and back: effects, record, finalizer. A crash between any two writes leaves
//! enough behind for the next pass to end in the same place.

mod gates;
mod removal;
mod report;
mod serving;

pub(crate) use serving::{candidates, desired};

use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use portolan_core::balancer::Published;
use portolan_core::claim::NotOurs;
use portolan_core::class::Classes;
use portolan_core::desire::{Settings, Warning};
use portolan_core::events::{self, Event};
use portolan_core::provider::Verdict as Finding;
use portolan_core::reason::{ConditionType, Reason};
use portolan_core::record::{ClaimedBy, Record, Records, RecordsError};
use portolan_core::snapshot::{Service, Snapshot, Versioned};
use portolan_core::status::{self, Status};

use crate::cluster::clock::Clock;
use crate::cluster::error::{CallError, Failure};
use crate::cluster::events::EventWriter;
use crate::cluster::finalizers::{self, Standard};
use crate::cluster::queue::Verdict;
use crate::cluster::records::ClusterRecords;
use crate::cluster::services;
use crate::cluster::status as status_writer;
use crate::controller::decision::{Decision, Fate, Role, decide};
use crate::controller::gate::{Gate, Stopped};
use crate::controller::index::Written;
use crate::planted::{Bug, planted};
use crate::providers::{Providers, with_provider};

/// How long to wait for the watch to show what somebody else wrote. Its event ends the wait; this is for an event that never
/// comes.
const OVERTAKEN_PAUSE: Duration = Duration::from_millis(500);

/// What every pass shares.
pub(crate) struct Reconciler {
    pub client: Client,
    pub classes: Arc<Classes>,
    pub settings: Settings,
    pub providers: Arc<Providers>,
    pub records: ClusterRecords,
    pub events: EventWriter,
    pub clock: Clock,
    /// For jitter.
    pub seed: u64,
}

/// What a pass came to.
#[derive(Debug)]
pub(crate) struct Passed {
    /// When the key is looked at again.
    pub verdict: Verdict,
    /// What was written, for the index: it must not be read back as it was before.
    pub written: Vec<Written>,
}

/// Why a pass ends early. Which kind it is decides when the key comes back.
#[derive(Debug)]
enum Interrupted {
    /// Somebody else wrote first: look again as soon as the watch shows it.
    Overtaken,
    /// The Service is gone: its deletion will come through the watch.
    Gone,
    /// Worth another try, after at least this pause if the server asked for one.
    Failed(String, Option<Duration>),
    /// We may not act any more.
    Stopped,
}

/// One pass in progress.
struct Pass<'a> {
    reconciler: &'a Reconciler,
    snapshot: &'a Snapshot,
    gate: &'a Gate,
    /// Failures of this key before this pass, without a success in between.
    attempt: u32,
    written: Vec<Written>,
    /// The record under which steps were begun, until it is certain that nobody has removed it meanwhile.
    unproven: Option<Record>,
    /// What a Service may bring along from the load balancer that it comes from.
    bequeathed: Vec<Published>,
}

impl Reconciler {
    /// The wall clock at the resolution of Kubernetes' timestamps, in RFC 3339.
    fn now(&self) -> String {
        self.clock.wall().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
    }

    /// Brings one load balancer and its Service closer to where they belong.
    pub(crate) async fn pass(&self, snapshot: &Snapshot, attempt: u32, gate: &Gate) -> Passed {
        let mut pass = Pass {
            reconciler: self,
            snapshot,
            gate,
            attempt,
            written: Vec::new(),
            unproven: None,
            bequeathed: Vec::new(),
        };
        let result = pass.run().await;
        let verdict = match pass.prove_record().await.and(result) {
            Ok(verdict) => verdict,
            Err(Interrupted::Overtaken) => Verdict::WaitAtMost(OVERTAKEN_PAUSE),
            Err(Interrupted::Gone) => Verdict::Done,
            Err(Interrupted::Stopped) => Verdict::Again,
            Err(Interrupted::Failed(reason, pause)) => {
                tracing::warn!(balancer = %snapshot.id, %reason, "pass failed; it is repeated");
                match pause {
                    Some(_) if planted(Bug::BusyForgotten) => Verdict::Done,
                    pause => pause.map_or(Verdict::Retry, Verdict::WaitAtMost),
                }
            }
        };
        Passed { verdict, written: pass.written }
    }
}

impl Pass<'_> {
    async fn run(&mut self) -> Result<Verdict, Interrupted> {
        let decision = decide(self.snapshot, &self.reconciler.classes);
        if let Some((key, seen)) = decision.is_behind() {
            let now = services::now(&self.reconciler.client, &key).await?;
            if now.as_ref().and_then(|(_, version)| version.number()) >= seen.number() {
                tracing::debug!(balancer = %self.snapshot.id, service = %key, "the record rests on a later version of the Service");
                return Err(Interrupted::Overtaken);
            }
            tracing::warn!(
                balancer = %self.snapshot.id, service = %key, %seen,
                "the record rests on a version that the Service never had; it was edited or comes from elsewhere, and is put right"
            );
        }
        // A record may be seen before the Service that it was written for. What is served is taken down by nobody who has only not seen it yet.
        for member in &decision.gone {
            let now = services::now(&self.reconciler.client, &member.key()).await?;
            if now.is_some_and(|(uid, _)| uid == member.uid) {
                tracing::debug!(balancer = %self.snapshot.id, service = %member.key(), "the record names a Service that has not been seen yet");
                return Err(Interrupted::Overtaken);
            }
        }
        for (service, role) in &decision.services {
            match role {
                Role::Stranger(NotOurs::UnknownClass) => self.tell_unknown(service).await?,
                Role::Kept(finding) => self.only(service, &[(ConditionType::Accepted, finding.clone())]).await?,
                Role::Stranger(
                    NotOurs::NotLoadBalancer
                    | NotOurs::NoClass
                    | NotOurs::ForeignClass
                    | NotOurs::Deleting
                    | NotOurs::NamespaceNotWatched,
                )
                | Role::Moving { .. }
                | Role::Gone
                | Role::Leaving(_)
                | Role::Served(_) => {}
            }
        }
        for member in &decision.unreadable {
            let (service, balancer) = (member.key(), &self.snapshot.id);
            tracing::warn!(%service, %balancer, "the Service cannot be read; what was made for it stays as it is");
        }
        match &decision.fate {
            Fate::Left => {
                self.reconciler.providers.nobody_asks(&self.snapshot.id);
                self.clean_up(&decision, None).await
            }
            Fate::Removed(record) => self.clean_up(&decision, Some(record)).await,
            Fate::Moved(record, _) => {
                let moved = self.give_up(&decision, record).await;
                self.told(&decision, moved).await
            }
            Fate::Served(class) => match self.reconciler.providers.of_class(class) {
                Ok(provider) => {
                    let served = with_provider!(provider, provider => self.serve(&provider, &decision, class).await);
                    self.told(&decision, served).await
                }
                Err(error) => {
                    let finding = (ConditionType::Accepted, Finding::no(error.reason, error.message));
                    for (service, _) in decision.served() {
                        self.only(service, std::slice::from_ref(&finding)).await?;
                    }
                    Ok(Verdict::Done)
                }
            },
        }
    }

    /// Steps were begun under a record that another controller may have removed before them, and its load balancer with it. Then what
    /// the steps have made is recorded again, and goes the way of everything that is recorded. The other one looks once more after it
    /// has removed the record: one of the two sees what the other has done.
    async fn prove_record(&mut self) -> Result<(), Interrupted> {
        let Some(record) = self.unproven.take() else { return Ok(()) };
        let records = &self.reconciler.records;
        if records.get(&record.id).await?.is_some() {
            return Ok(());
        }
        tracing::info!(balancer = %record.id, "the record was removed meanwhile; it is written again for what has been made");
        self.record_again(record).await?;
        Err(Interrupted::Overtaken)
    }

    /// Writes a record that is gone, for what exists although it is gone.
    async fn record_again(&mut self, record: Record) -> Result<(), Interrupted> {
        match self.reconciler.records.create(&Record { version: None, ..record }).await {
            Ok(stored) => {
                self.written.push(Written::Record(Arc::new(stored)));
                Ok(())
            }
            // Somebody else serves it again.
            Err(RecordsError::Exists(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// A failure to read or write our own marks is told on the Services from the second one on: nobody looks for it in a log.
    async fn told(
        &mut self,
        decision: &Decision,
        result: Result<Verdict, Interrupted>,
    ) -> Result<Verdict, Interrupted> {
        if let Err(Interrupted::Failed(reason, _)) = &result
            && self.attempt > 0
        {
            for (service, _) in decision.served() {
                let programmed = Finding::no(Reason::RecordFailed, reason.clone());
                // Should even this not be possible, the pass is repeated anyway.
                if let Err(error) = self.only(service, &[(ConditionType::Programmed, programmed)]).await {
                    tracing::debug!(service = %service.object.key, ?error, "the failure is not on the Service's status");
                }
            }
        }
        result
    }

    /// What another class of ours has made is removed, and what only that class marks goes before.
    async fn give_up(&mut self, decision: &Decision, record: &Record) -> Result<Verdict, Interrupted> {
        let mut served = Vec::new();
        for (service, claimed) in decision.served() {
            // The standard finalizer comes with the new record, because until then nothing would remember that it is ours.
            let by = match claimed.by {
                ClaimedBy::Default => record.claimed_by(&service.object.uid).unwrap_or(ClaimedBy::Class),
                by @ (ClaimedBy::Class | ClaimedBy::TypeAnnotation) => by,
            };
            served.push(self.mark(service.clone(), by).await?);
        }
        let served: Vec<_> = served.iter().collect();
        match self.remove(record, &served).await? {
            Verdict::Forgotten => Ok(Verdict::Again),
            verdict @ (Verdict::Done | Verdict::Again | Verdict::Retry | Verdict::WaitAtMost(_)) => Ok(verdict),
        }
    }

    /// The records of this instance that bear on the Services of the snapshot.
    fn own_records(&self) -> impl Iterator<Item = &Record> {
        self.snapshot.records_of(&self.reconciler.classes.instance)
    }

    /// Puts our finalizer on, before anything else is written.
    async fn mark(&mut self, service: Versioned<Service>, by: ClaimedBy) -> Result<Versioned<Service>, Interrupted> {
        self.gate.check()?;
        let Reconciler { client, classes, .. } = self.reconciler;
        let standard = Standard::of(&service.object, by, self.own_records(), classes);
        Ok(match finalizers::ensure(client, &service, &classes.instance, standard).await? {
            None => service,
            Some(marked) => {
                self.written.push(Written::Service(marked.clone()));
                marked
            }
        })
    }

    /// Puts findings on some conditions, and leaves everything else as it is.
    async fn only(
        &mut self,
        service: &Versioned<Service>,
        findings: &[(ConditionType, Finding)],
    ) -> Result<(), Interrupted> {
        let status = status::only(&service.object, findings, &self.reconciler.now());
        self.write_status(service, &status, &[]).await
    }

    /// Writes the status and tells its news; nothing if it is no news.
    async fn write_status(
        &mut self,
        service: &Versioned<Service>,
        status: &Status,
        warnings: &[Warning],
    ) -> Result<(), Interrupted> {
        let news = events::of_status(&service.object, status, warnings, &self.occasion(service));
        self.write_told(service, status, &news).await
    }

    /// Writes the status and tells these news; nothing if the status says it already.
    async fn write_told(
        &mut self,
        service: &Versioned<Service>,
        status: &Status,
        news: &[Event],
    ) -> Result<(), Interrupted> {
        if status::is_current(&service.object, status) {
            return Ok(());
        }
        self.gate.check()?;
        // Told first: after a crash in between, the same news has the same name and is found.
        self.tell(service, news).await;
        // That may have taken longer than we lead.
        self.gate.check()?;
        let Reconciler { client, classes, .. } = self.reconciler;
        let written = status_writer::write(client, &classes.instance, service, status).await?;
        self.written.push(Written::Service(written));
        Ok(())
    }

    /// What stands for this stretch of being ours: the version of the record that the Service has by now, which neither a crash nor
    /// somebody else's edit changes; of a Service without one its own.
    fn occasion(&self, service: &Versioned<Service>) -> String {
        let written = self.written.iter().rev().find_map(|written| match written {
            Written::Record(record) => Some(record),
            Written::Service(_) | Written::RecordDeleted(..) | Written::Pod(_) => None,
        });
        let version = written.or(self.snapshot.record.as_ref()).and_then(|record| record.version.as_ref());
        version.unwrap_or(&service.version).to_string()
    }

    async fn tell(&self, service: &Versioned<Service>, events: &[Event]) {
        if self.gate.check().is_err() {
            return;
        }
        // Best effort: the status says it too.
        drop(self.reconciler.events.tell(&service.object, events).await);
    }

    /// A Service names a class under our prefix that nobody has. Nothing but the Event says so, and it is told until the server has it.
    async fn tell_unknown(&self, service: &Versioned<Service>) -> Result<(), Interrupted> {
        self.gate.check()?;
        let class = service.object.class.as_deref().unwrap_or_default();
        let untold = self.reconciler.events.tell(&service.object, &[events::unknown_class(class)]).await;
        untold.map_or(Ok(()), |error| Err(error.into()))
    }
}

impl From<CallError> for Interrupted {
    fn from(error: CallError) -> Self {
        match error.failure {
            Failure::Conflict => Self::Overtaken,
            Failure::Gone => Self::Gone,
            Failure::Retry { after } => Self::Failed(error.to_string(), after),
            Failure::UnknownKind | Failure::Invalid | Failure::Forbidden => Self::Failed(error.to_string(), None),
        }
    }
}

impl From<RecordsError> for Interrupted {
    fn from(error: RecordsError) -> Self {
        Self::from(&error)
    }
}

impl From<&RecordsError> for Interrupted {
    fn from(error: &RecordsError) -> Self {
        match error {
            RecordsError::Exists(_) | RecordsError::Conflict(_) => Self::Overtaken,
            RecordsError::Unavailable { message, after } => Self::Failed(message.clone(), *after),
            RecordsError::Refused(message) => Self::Failed(message.clone(), None),
        }
    }
}

impl From<Stopped> for Interrupted {
    fn from(_: Stopped) -> Self {
        Self::Stopped
    }
}
