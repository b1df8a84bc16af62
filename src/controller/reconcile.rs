//! One pass over one load balancer: claim, desire, observe, plan, step by step, status.
//!
//! Order of the marks: finalizer, record, effects; and back: effects, record, finalizer. A crash between any two writes leaves
//! enough behind for the next pass to end in the same place.

mod removal;
mod report;

use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use portolan_core::balancer::{Family, Published};
use portolan_core::claim::{ClaimWarning, Claimed, NotOurs};
use portolan_core::class::{Class, Classes};
use portolan_core::desire::{self, Desired, Settings, Warning, desire};
use portolan_core::events::{self, Event};
use portolan_core::provider::{Provider, Verdict as Finding};
use portolan_core::reason::{ConditionType, Reason};
use portolan_core::record::{ClaimedBy, Record, Records, RecordsError};
use portolan_core::refusal::Refusal;
use portolan_core::snapshot::{Service, Snapshot, Versioned};
use portolan_core::status::{self, Findings, Status};

use crate::cluster::clock::Clock;
use crate::cluster::error::{CallError, Failure};
use crate::cluster::events::EventWriter;
use crate::cluster::finalizers::{self, Standard};
use crate::cluster::queue::Verdict;
use crate::cluster::records::ClusterRecords;
use crate::cluster::status as status_writer;
use crate::controller::decision::{Decision, decide};
use crate::controller::gate::{Gate, Stopped};
use crate::controller::index::Written;
use crate::controller::walk::{observe, walk};
use crate::providers::{Providers, with_provider};
use report::verdict_of;

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
}

impl Reconciler {
    /// The wall clock at the resolution of Kubernetes' timestamps, in RFC 3339.
    fn now(&self) -> String {
        self.clock.wall().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
    }

    /// Brings one load balancer and its Service closer to where they belong.
    pub(crate) async fn pass(&self, snapshot: &Snapshot, attempt: u32, gate: &Gate) -> Passed {
        let mut pass = Pass { reconciler: self, snapshot, gate, attempt, written: Vec::new() };
        let verdict = match pass.run().await {
            Ok(verdict) => verdict,
            Err(Interrupted::Overtaken) => Verdict::WaitAtMost(OVERTAKEN_PAUSE),
            Err(Interrupted::Gone) => Verdict::Done,
            Err(Interrupted::Stopped) => Verdict::Again,
            Err(Interrupted::Failed(reason, pause)) => {
                tracing::warn!(balancer = %snapshot.id, %reason, "pass failed; it is repeated");
                pause.map_or(Verdict::Retry, Verdict::WaitAtMost)
            }
        };
        Passed { verdict, written: pass.written }
    }
}

impl Pass<'_> {
    async fn run(&mut self) -> Result<Verdict, Interrupted> {
        match decide(self.snapshot, &self.reconciler.classes) {
            Decision::Nothing => Ok(Verdict::Forgotten),
            Decision::Ignore(service, NotOurs::UnknownClass) => {
                let class = service.object.class.as_deref().unwrap_or_default();
                self.tell(&service, &[events::unknown_class(class)]).await;
                Ok(Verdict::Forgotten)
            }
            Decision::Ignore(
                _,
                NotOurs::NotLoadBalancer
                | NotOurs::NoClass
                | NotOurs::ForeignClass
                | NotOurs::Deleting
                | NotOurs::NamespaceNotWatched,
            ) => Ok(Verdict::Forgotten),
            Decision::Unreadable(services) => {
                for service in services {
                    let balancer = &self.snapshot.id;
                    tracing::warn!(%service, %balancer, "the Service cannot be read; its load balancer stays as it is");
                }
                Ok(Verdict::Done) // the watch tells when it can be, or is gone
            }
            Decision::RemoveOrphan(record) => self.remove(&record, None).await,
            Decision::CleanUp(service, record, why) => self.clean_up(&service, record.as_deref(), why).await,
            Decision::Keep(service, finding) => self.only(&service, &[(ConditionType::Accepted, finding)]).await,
            Decision::Move(service, record, claimed, _) => {
                let moved = self.give_up(&service, &record, &claimed).await;
                self.told(&service, moved).await
            }
            Decision::Serve(service, record, claimed, class) => match self.reconciler.providers.of_class(&class) {
                Ok(provider) => {
                    let served = with_provider!(provider, provider => {
                        self.serve(&provider, service.clone(), record, &claimed, &class).await
                    });
                    self.told(&service, served).await
                }
                Err(error) => {
                    self.only(&service, &[(ConditionType::Accepted, Finding::no(error.reason, error.message))]).await
                }
            },
        }
    }

    /// A failure to read or write our own marks is told on the Service from the second one on: nobody looks for it in a log.
    async fn told(
        &mut self,
        service: &Versioned<Service>,
        result: Result<Verdict, Interrupted>,
    ) -> Result<Verdict, Interrupted> {
        if let Err(Interrupted::Failed(reason, _)) = &result
            && self.attempt > 0
        {
            let programmed = Finding::no(Reason::RecordFailed, reason.clone());
            // Should even this not be possible, the pass is repeated anyway.
            if let Err(error) = self.only(service, &[(ConditionType::Programmed, programmed)]).await {
                tracing::debug!(service = %service.object.key, ?error, "the failure is not on the Service's status");
            }
        }
        result
    }

    /// What another class of ours has made is removed, and what only that class marks goes before.
    async fn give_up(
        &mut self,
        service: &Versioned<Service>,
        record: &Record,
        claimed: &Claimed,
    ) -> Result<Verdict, Interrupted> {
        // The standard finalizer comes with the new record, because until then nothing would remember that it is ours.
        let by = if claimed.by == ClaimedBy::Default { record.claimed_by } else { claimed.by };
        let service = self.mark(service.clone(), by, Some(record)).await?;
        match self.remove(record, Some(&service)).await? {
            Verdict::Forgotten => Ok(Verdict::Again),
            verdict @ (Verdict::Done | Verdict::Again | Verdict::Retry | Verdict::WaitAtMost(_)) => Ok(verdict),
        }
    }

    /// Serves a Service: desire, marks, plan, status.
    async fn serve<P: Provider>(
        &mut self,
        provider: &P,
        service: Versioned<Service>,
        own: Option<Arc<Record>>,
        claimed: &Claimed,
        class: &Class,
    ) -> Result<Verdict, Interrupted> {
        let desired = desire(&desire::Input {
            id: &self.snapshot.id,
            class,
            capabilities: provider.capabilities(),
            service: &service.object,
            slices: self.snapshot.slices_of(&service.object),
            nodes: &self.snapshot.nodes,
            settings: &self.reconciler.settings,
            exists: own.is_some(),
        });
        let desired = match desired {
            Ok(desired) => desired,
            Err(refusal) => return self.refused(provider, &service, own.is_some(), &refusal).await,
        };
        let service = self.mark(service, claimed.by, own.as_deref()).await?;
        let mut record = self.record(&service.object, own, claimed, class, &desired).await?;
        let walked =
            walk(provider, Some(&desired.load_balancer), &mut record, &self.reconciler.records, self.gate).await;
        self.written.push(Written::Record(Arc::new(record)));
        let warnings: Vec<Warning> =
            claimed.warnings.iter().map(ClaimWarning::warning).chain(desired.warnings.iter().cloned()).collect();
        self.report(provider, &service, class, &desired, &warnings, walked).await
    }

    /// Nothing can be served. What exists stays, and the status goes on saying what that is.
    async fn refused<P: Provider>(
        &mut self,
        provider: &P,
        service: &Versioned<Service>,
        exists: bool,
        refusal: &Refusal,
    ) -> Result<Verdict, Interrupted> {
        let accepted = status::refused(refusal);
        let mut outcome = status::nothing_requested();
        if exists {
            match observe(provider, &self.snapshot.id).await {
                Ok(state) => outcome = provider.outcome(None, &state),
                Err(error) => {
                    self.only(service, &[(ConditionType::Accepted, accepted)]).await?;
                    return Ok(verdict_of(&error.kind));
                }
            }
            // The provider was told of no families, so it cannot know their order.
            outcome.published.sort_by_key(|entry| match entry {
                Published::Ip { ip, mode: _ } => service.object.families.iter().position(|one| *one == Family::of(*ip)),
                Published::Hostname { .. } => None,
            });
        }
        let refused_ports: Vec<_> = refusal.reasons.iter().filter(|refused| refused.port.is_some()).cloned().collect();
        let findings = Findings { accepted, refused_ports: &refused_ports, warnings: &[], outcome: &outcome };
        let status = status::status(&service.object, &findings, &self.reconciler.now());
        self.write_status(service, &status, &[]).await?;
        Ok(outcome.wait.map_or(Verdict::Done, |wait| Verdict::WaitAtMost(wait.at_most)))
    }

    /// Puts our finalizer on, before anything else is written.
    async fn mark(
        &mut self,
        service: Versioned<Service>,
        by: ClaimedBy,
        before: Option<&Record>,
    ) -> Result<Versioned<Service>, Interrupted> {
        self.gate.check()?;
        let Reconciler { client, classes, .. } = self.reconciler;
        let standard = Standard::of(by, before, &service.object, &classes.instance);
        Ok(match finalizers::ensure(client, &service, &classes.instance, standard).await? {
            None => service,
            Some(marked) => {
                self.written.push(Written::Service(marked.clone()));
                marked
            }
        })
    }

    /// Writes the record, before the first external effect; or brings it up to date.
    async fn record(
        &mut self,
        service: &Service,
        own: Option<Arc<Record>>,
        claimed: &Claimed,
        class: &Class,
        desired: &Desired,
    ) -> Result<Record, Interrupted> {
        self.gate.check()?;
        let wanted = |version, external| Record {
            id: self.snapshot.id.clone(),
            version,
            instance: self.reconciler.classes.instance.clone(),
            class: class.name.clone(),
            aliases: class.aliases.clone(),
            claimed_by: claimed.by,
            provider: class.provider.clone(),
            parameters: class.parameters.clone(),
            members: desired.load_balancer.members.clone(),
            external,
        };
        let records = &self.reconciler.records;
        let stored = match own {
            None => match records.create(&wanted(None, Default::default())).await {
                Ok(created) => created,
                Err(RecordsError::Exists(_)) => return Err(self.reread_record().await),
                Err(error) => return Err(error.into()),
            },
            Some(own) => {
                let wanted = wanted(own.version.clone(), own.external.clone());
                if own.same_content(&wanted) {
                    return Ok(wanted);
                }
                records.replace(&wanted).await?
            }
        };
        tracing::debug!(service = %service.key, balancer = %stored.id, "record written");
        self.written.push(Written::Record(Arc::new(stored.clone())));
        Ok(stored)
    }

    /// The index has not seen a record that the server has: show it, and look again.
    async fn reread_record(&mut self) -> Interrupted {
        match self.reconciler.records.get(&self.snapshot.id).await {
            Ok(Some(record)) if record.belongs_to(&self.reconciler.classes.instance) => {
                self.written.push(Written::Record(Arc::new(record)));
                Interrupted::Overtaken
            }
            Ok(Some(record)) => Interrupted::Failed(
                format!(
                    "record {} is in the way: it belongs to instance {:?}, but has a name of ours; delete it if nobody needs it",
                    record.id,
                    record.instance.as_str()
                ),
                None,
            ),
            Ok(None) => Interrupted::Overtaken,
            Err(error) => error.into(),
        }
    }

    /// Puts findings on some conditions, and leaves everything else as it is.
    async fn only(
        &mut self,
        service: &Versioned<Service>,
        findings: &[(ConditionType, Finding)],
    ) -> Result<Verdict, Interrupted> {
        let status = status::only(&service.object, findings, &self.reconciler.now());
        self.write_status(service, &status, &[]).await?;
        Ok(Verdict::Done)
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
        let written = status_writer::write(&self.reconciler.client, service, status).await?;
        self.written.push(Written::Service(written));
        Ok(())
    }

    /// What stands for this stretch of being ours: the version of the record that the Service has by now, which neither a crash nor
    /// somebody else's edit changes; of a Service without one its own.
    fn occasion(&self, service: &Versioned<Service>) -> String {
        let written = self.written.iter().rev().find_map(|written| match written {
            Written::Record(record) => Some(record),
            Written::Service(_) | Written::RecordDeleted(..) => None,
        });
        let version = written.or(self.snapshot.record.as_ref()).and_then(|record| record.version.as_ref());
        version.unwrap_or(&service.version).to_string()
    }

    async fn tell(&self, service: &Versioned<Service>, events: &[Event]) {
        if self.gate.check().is_err() {
            return;
        }
        self.reconciler.events.tell(&service.object, events).await;
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
        match error {
            RecordsError::Exists(_) | RecordsError::Conflict(_) => Self::Overtaken,
            RecordsError::Unavailable(_) | RecordsError::Refused(_) => Self::Failed(error.to_string(), None),
        }
    }
}

impl From<Stopped> for Interrupted {
    fn from(_: Stopped) -> Self {
        Self::Stopped
    }
}
