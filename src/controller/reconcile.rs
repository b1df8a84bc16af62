//! One pass over one load balancer: claim, desire, observe, plan, step by step, status.
//!
//! Order of the marks: finalizer, record, effects; and back: effects, record, finalizer. A crash between any two writes leaves
//! enough behind for the next pass to end in the same place.

mod removal;
mod report;

use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use portolan_core::claim::{Claim, Claimed, NotOurs, PAUSED_ANNOTATION, Standing, claim, load_balancer_of};
use portolan_core::class::{Class, Classes};
use portolan_core::desire::{self, Desired, Settings, desire};
use portolan_core::events::{self, Event};
use portolan_core::provider::{Provider, Verdict as Finding};
use portolan_core::reason::{ConditionType, Reason};
use portolan_core::record::{Record, Records, RecordsError};
use portolan_core::refusal::Refusal;
use portolan_core::snapshot::{Service, Snapshot, Versioned};
use portolan_core::status::{self, Findings, Status};

use crate::cluster::clock::Clock;
use crate::cluster::error::{CallError, Failure};
use crate::cluster::events::EventWriter;
use crate::cluster::queue::Verdict;
use crate::cluster::records::ClusterRecords;
use crate::cluster::{finalizers, status as status_writer};
use crate::controller::gate::{Gate, Stopped};
use crate::controller::index::Written;
use crate::controller::walk::walk;
use crate::providers::{self, Providers, with_provider};

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
    /// Worth another try.
    Failed(String),
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
            Err(Interrupted::Failed(reason)) => {
                tracing::warn!(balancer = %snapshot.id, %reason, "pass failed; it is repeated");
                Verdict::Retry
            }
        };
        Passed { verdict, written: pass.written }
    }
}

impl Pass<'_> {
    async fn run(&mut self) -> Result<Verdict, Interrupted> {
        let classes = &self.reconciler.classes;
        let own = self.snapshot.record.clone().filter(|record| record.instance == classes.instance);
        let service = self
            .snapshot
            .services
            .values()
            .find(|service| load_balancer_of(&service.object, classes) == self.snapshot.id);
        let Some(service) = service.cloned() else {
            // The Service is gone, without having waited for us: the record knows what is left.
            return match own {
                None => Ok(Verdict::Forgotten),
                Some(record) => self.remove(&record, None).await,
            };
        };
        let records: Vec<&Record> = own.iter().chain(&self.snapshot.other_records).map(AsRef::as_ref).collect();
        match claim(&service.object, &records, classes) {
            Claim::NotOurs(NotOurs::UnknownClass) => {
                let known = classes.classes.iter().map(|class| class.name.to_string()).collect::<Vec<_>>();
                let class = service.object.class.as_deref().unwrap_or_default();
                self.tell(&service, &[events::unknown_class(class, &known)]).await;
                Ok(Verdict::Forgotten)
            }
            Claim::NotOurs(_) => Ok(Verdict::Forgotten),
            Claim::WasOurs(why) => self.clean_up(&service, own.as_deref(), why).await,
            Claim::Claimed(claimed) => self.claimed(service, own, claimed).await,
        }
    }

    /// A Service that is ours to serve.
    async fn claimed(
        &mut self,
        service: Versioned<Service>,
        own: Option<Arc<Record>>,
        claimed: Claimed,
    ) -> Result<Verdict, Interrupted> {
        let warnings: Vec<Event> = claimed.warnings.iter().map(events::of_claim_warning).collect();
        self.tell(&service, &warnings).await;
        let class = match claimed.standing {
            Standing::Serve(ref class) => class.clone(),
            Standing::ClassNotConfigured { class } => {
                let message = format!(
                    "class {class} is not in the configuration any more; everything stays as it is until the class is back, \
                     or the Service is deleted or changes its type"
                );
                return self.only_accepted(&service, Finding::no(Reason::ClassNotConfigured, message)).await;
            }
            Standing::Paused => {
                let message = format!("everything stays as it is while the annotation {PAUSED_ANNOTATION} is there");
                return self.only_accepted(&service, Finding::no(Reason::Paused, message)).await;
            }
            Standing::OtherInstance(instance) => {
                let message =
                    format!("instance {:?} of Portolan still cleans up after this Service", instance.as_str());
                return self.only_accepted(&service, Finding::no(Reason::OtherInstance, message)).await;
            }
        };
        if let Some(record) = own.as_deref().filter(|record| self.has_moved(record, &class)) {
            // It comes from another class of ours: what that one made goes first, with the parameters of that time.
            if let Verdict::Forgotten = self.remove(record, Some(&service)).await? {
                return Ok(Verdict::Again);
            }
            return Ok(Verdict::Retry);
        }
        let provider = match self.reconciler.providers.of_class(&class) {
            Ok(provider) => provider,
            Err(error) => return self.only_accepted(&service, Finding::no(error.reason, error.message)).await,
        };
        with_provider!(provider, provider => self.serve(&provider, service, own, &claimed, &class).await)
    }

    /// The record stands for something that this class did not make.
    fn has_moved(&self, record: &Record, class: &Class) -> bool {
        let now = self.reconciler.classes.named(record.class.as_str());
        record.provider != class.provider
            || now.is_none_or(|now| now.name != class.name)
            || providers::place(&record.provider, &record.parameters)
                != providers::place(&class.provider, &class.parameters)
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
        let slices = self.snapshot.slices.get(&service.object.key).map(Vec::as_slice).unwrap_or_default();
        let desired = desire(&desire::Input {
            id: &self.snapshot.id,
            class,
            capabilities: provider.capabilities(),
            service: &service.object,
            slices,
            nodes: &self.snapshot.nodes,
            settings: &self.reconciler.settings,
            exists: own.is_some(),
        });
        let desired = match desired {
            Ok(desired) => desired,
            Err(refusal) => return self.refused(&service, own.is_some(), &refusal).await,
        };
        let warnings: Vec<Event> = desired.warnings.iter().map(events::of_warning).collect();
        self.tell(&service, &warnings).await;

        let service = self.mark(service, claimed).await?;
        let mut record = self.record(&service.object, own, claimed, class, &desired).await?;
        let walked =
            walk(provider, Some(&desired.load_balancer), &mut record, &self.reconciler.records, self.gate).await;
        self.written.push(Written::Record(Arc::new(record)));
        self.report(provider, &service, class, &desired, walked).await
    }

    /// Nothing can be served. What exists stays, and so does what the status says of it.
    async fn refused(
        &mut self,
        service: &Versioned<Service>,
        exists: bool,
        refusal: &Refusal,
    ) -> Result<Verdict, Interrupted> {
        let accepted = status::refused(refusal);
        if exists {
            return self.only_accepted(service, accepted).await;
        }
        let refused_ports: Vec<_> = refusal.reasons.iter().filter(|refused| refused.port.is_some()).cloned().collect();
        let findings = Findings { accepted, refused_ports: &refused_ports, outcome: &status::nothing_requested() };
        let status = status::status(&service.object, &findings, &self.reconciler.now());
        self.write_status(service, &status).await?;
        Ok(Verdict::Done)
    }

    /// Puts our finalizer on, before anything else is written.
    async fn mark(
        &mut self,
        service: Versioned<Service>,
        claimed: &Claimed,
    ) -> Result<Versioned<Service>, Interrupted> {
        self.gate.check()?;
        let Reconciler { client, classes, .. } = self.reconciler;
        let standard = claimed.wants_standard_finalizer();
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
            Ok(Some(record)) => {
                self.written.push(Written::Record(Arc::new(record)));
                Interrupted::Overtaken
            }
            Ok(None) => Interrupted::Overtaken,
            Err(error) => error.into(),
        }
    }

    /// Says that a Service is not acted on, and changes nothing else.
    async fn only_accepted(&mut self, service: &Versioned<Service>, accepted: Finding) -> Result<Verdict, Interrupted> {
        let findings = [(ConditionType::Accepted, accepted)];
        let status = status::only(&service.object, &findings, &self.reconciler.now());
        self.write_status(service, &status).await?;
        Ok(Verdict::Done)
    }

    /// Writes the status and tells its news; nothing if it is no news.
    async fn write_status(&mut self, service: &Versioned<Service>, status: &Status) -> Result<(), Interrupted> {
        if status::is_current(&service.object, status) {
            return Ok(());
        }
        self.gate.check()?;
        // Told first: after a crash in between, the same news has the same name and is found.
        self.tell(service, &events::of_status(&service.object, status)).await;
        if let Some(written) = status_writer::write(&self.reconciler.client, service, status).await? {
            self.written.push(Written::Service(written));
        }
        Ok(())
    }

    async fn tell(&self, service: &Versioned<Service>, events: &[Event]) {
        self.reconciler.events.tell(&service.object, events).await;
    }
}

impl From<CallError> for Interrupted {
    fn from(error: CallError) -> Self {
        match error.failure {
            Failure::Conflict => Self::Overtaken,
            Failure::Gone => Self::Gone,
            Failure::UnknownKind | Failure::Invalid | Failure::Forbidden | Failure::Retry { .. } => {
                Self::Failed(error.to_string())
            }
        }
    }
}

impl From<RecordsError> for Interrupted {
    fn from(error: RecordsError) -> Self {
        match error {
            RecordsError::Exists(_) | RecordsError::Conflict(_) => Self::Overtaken,
            RecordsError::Unavailable(_) | RecordsError::Refused(_) => Self::Failed(error.to_string()),
        }
    }
}

impl From<Stopped> for Interrupted {
    fn from(_: Stopped) -> Self {
        Self::Stopped
    }
}
