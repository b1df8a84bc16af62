//! Where a case runs: the stand-in server, the mock's worlds, and one controller after the other, in virtual time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use portolan_core::class::Class;
use portolan_core::desire::Settings;
use portolan_core::ids::{ProviderName, ServiceKey};
use portolan_mock::clock::Millis;
use portolan_mock::{Mock, Parameters, Store, faults};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::layer::SubscriberExt;

use super::case::{Act, Case, Step};
use super::journal::Journal;
use super::report::{Report, StepReport};
use super::server::Server;
use crate::cluster::clock::Clock;
use crate::cluster::events::EventWriter;
use crate::cluster::records::ClusterRecords;
use crate::config::Configuration;
use crate::controller::dispatcher::{Dispatcher, DispatcherError};
use crate::controller::gate::Gate;
use crate::controller::index::{Dirty, Index, Observed};
use crate::controller::preview::{Preview, preview};
use crate::controller::reconcile::Reconciler;
use crate::providers::{AnyProvider, Providers};
use crate::sim::grammar::configuration;

/// How much virtual time a step has to settle: more than any pause of a queue (60 s) or of a case's mock.
const SETTLE: Duration = Duration::from_secs(200);

/// When every case begins.
const EPOCH: &str = "2026-02-01T00:00:00Z";

/// How often the mock looks for changes.
const NAP: Duration = Duration::from_secs(1);

/// The same everywhere, so that pauses are too.
const SEED: u64 = 7;

/// What a case came to.
pub(super) struct Outcome {
    /// For the expected file.
    pub(super) text: String,
    /// What must not happen in any case.
    pub(super) violations: Vec<String>,
}

/// Runs a case.
pub(super) fn run(case: &Case) -> Outcome {
    let journal = Journal::default();
    heard_by_somebody();
    let log = tracing_subscriber::registry().with(journal.clone());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    tracing::subscriber::with_default(log, || runtime.block_on(Lab::new(journal, NAP).run(case)))
}

/// Tracing remembers for each line of the log whether anybody wants it, and another test's thread may ask while nobody does.
fn heard_by_somebody() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| drop(tracing::subscriber::set_global_default(tracing_subscriber::registry())));
}

pub(super) struct Lab {
    pub(super) server: Server,
    pub(super) journal: Journal,
    clock: Clock,
    /// No sleep of the mock is shorter: time costs nothing here, but waking up to look at the time does.
    nap: Duration,
    /// The mock's worlds, by the name that a class's `state` gives them.
    pub(super) worlds: BTreeMap<String, Store>,
    /// Every parameters that any controller of this case has had: records remember them.
    parameters: Vec<Value>,
    pub(super) configuration: Configuration,
    controller: Option<Controller>,
}

/// A controller that runs.
struct Controller {
    stop: CancellationToken,
    dispatcher: JoinSet<Result<(), DispatcherError>>,
}

impl Lab {
    pub(super) fn new(journal: Journal, nap: Duration) -> Self {
        Self {
            server: Server::new(journal.clone()),
            journal,
            clock: Clock::start_at(EPOCH.parse().unwrap()),
            nap,
            worlds: BTreeMap::new(),
            parameters: Vec::new(),
            configuration: Configuration::default(),
            controller: None,
        }
    }

    async fn run(mut self, case: &Case) -> Outcome {
        self.configure(case.config("config.yaml").as_deref());
        let mut report = Report::default();
        for step in &case.steps {
            report.steps.push(self.step(case, step).await);
        }
        let mut violations = Vec::new();
        // Whatever the case was about: a restart of a settled controller writes nothing.
        self.stop().await;
        self.start();
        self.settle().await;
        let written: Vec<String> = self.journal.take().into_iter().filter(|line| !line.contains(" failed: ")).collect();
        if !written.is_empty() {
            violations.push(format!("a restart of the settled controller was not silent:\n  {}", written.join("\n  ")));
        }
        self.stop().await;
        Outcome { text: report.text(), violations }
    }

    async fn step(&mut self, case: &Case, step: &Step) -> StepReport {
        self.server.hold();
        let mut refused = Vec::new();
        for act in &step.acts {
            match act {
                Act::Create(object) => refused.extend(self.server.create(object.clone()).err()),
                Act::Patch { target, patch, status } => {
                    refused.extend(self.server.patch(target, patch.clone(), *status).err());
                }
                Act::Delete(name) => refused.extend(self.server.delete(name).err()),
                Act::Restart { config } => {
                    self.stop().await;
                    if let Some(file) = config {
                        let text = case.config(file).unwrap_or_else(|| panic!("{}: no file {file}", step.name));
                        self.configure(Some(&text));
                    }
                }
                Act::Seen => self.server.seen(),
                Act::Fault { .. } | Act::EndFault(_) | Act::WaitMinutes(_) => {}
            }
        }
        let plans = self.plans().await;
        // After the dry run, which must not use up what counts calls.
        for act in &step.acts {
            self.set_faults(act);
        }
        if self.controller.is_none() {
            self.start();
        }
        self.settle().await;
        for act in &step.acts {
            if let Act::WaitMinutes(minutes) = act {
                tokio::time::sleep(Duration::from_secs(60 * u64::from(*minutes))).await;
            }
        }
        StepReport {
            step: step.name.clone(),
            refused: refused.iter().map(ToString::to_string).collect(),
            plans,
            did: self.journal.take(),
            services: self.server.list("Service"),
            records: self.server.list("LoadBalancerRecord"),
            worlds: self
                .worlds
                .values()
                .map(|world| portolan_mock::picture::picture(world, self.now()).unwrap())
                .collect(),
        }
    }

    fn set_faults(&self, act: &Act) {
        for world in self.worlds.values() {
            match act {
                Act::Fault { name, fault } => faults::add(world, name, fault).unwrap(),
                Act::EndFault(name) => faults::end(world, name).unwrap(),
                Act::Create(_)
                | Act::Patch { .. }
                | Act::Delete(_)
                | Act::Restart { .. }
                | Act::Seen
                | Act::WaitMinutes(_) => {}
            }
        }
    }

    /// Reads a configuration; without one it is the default.
    fn configure(&mut self, text: Option<&str>) {
        self.configured(text.map_or_else(Configuration::default, configuration));
    }

    /// Takes this configuration. Every class's world is in memory, under the name of its `state`. Classes of the provider aws, which
    /// alone may claim by type annotation, are served by the mock.
    pub(super) fn configured(&mut self, mut configuration: Configuration) {
        for class in &mut configuration.classes.classes {
            let mut located = Class { provider: ProviderName::new("mock"), ..Class::clone(class) };
            let parameters = located.parameters.as_object_mut().unwrap();
            let world = parameters.entry("state").or_insert("/world".into()).as_str().unwrap().to_owned();
            self.worlds.entry(world).or_insert_with(Store::memory);
            if !self.parameters.contains(&located.parameters) {
                self.parameters.push(located.parameters.clone());
            }
            *class = Arc::new(located);
        }
        self.configuration = configuration;
    }

    fn providers(&self) -> Arc<Providers> {
        let instance = &self.configuration.classes.instance;
        let providers = Providers::new(instance.clone());
        for parameters in &self.parameters {
            let world = self.worlds[parameters["state"].as_str().unwrap()].clone();
            let read = Parameters::parse(parameters).unwrap();
            let mock = Mock::new(read, world, instance.clone(), Arc::new(self.virtual_clock()));
            providers.put("mock", parameters, AnyProvider::Mock(mock));
        }
        Arc::new(providers)
    }

    fn settings(&self) -> Settings {
        self.configuration.settings()
    }

    pub(super) fn start(&mut self) {
        let client = self.server.client();
        let reconciler = Reconciler {
            records: ClusterRecords::new(client.clone()),
            events: EventWriter::new(client.clone(), self.clock),
            client,
            classes: Arc::new(self.configuration.classes.clone()),
            settings: self.settings(),
            providers: self.providers(),
            clock: self.clock,
            seed: SEED,
        };
        let stop = CancellationToken::new();
        let gate = Gate::new(None, stop.clone(), self.clock);
        let (watch, observed) = mpsc::channel(100_000);
        self.server.watched_by(watch);
        let mut dispatcher = JoinSet::new();
        dispatcher.spawn(Dispatcher::new(reconciler, gate, 1, self.configuration.resync).run(observed));
        self.controller = Some(Controller { stop, dispatcher });
    }

    pub(super) fn is_up(&self) -> bool {
        self.controller.is_some()
    }

    /// The controller is killed: nothing that it has begun is ended.
    pub(super) async fn kill(&mut self) {
        if let Some(mut controller) = self.controller.take() {
            controller.dispatcher.shutdown().await;
        }
        self.server.unwatched();
    }

    pub(super) async fn stop(&mut self) {
        let Some(mut controller) = self.controller.take() else { return };
        controller.stop.cancel();
        while let Some(ended) = controller.dispatcher.join_next().await {
            ended.unwrap().unwrap();
        }
        self.server.unwatched();
    }

    /// Lets the controller see what has happened, and gives it time.
    pub(super) async fn settle(&mut self) {
        self.server.flow();
        tokio::time::sleep(SETTLE).await;
        if let Some(ended) = self.controller.as_mut().and_then(|controller| controller.dispatcher.try_join_next()) {
            panic!("the dispatcher has ended: {ended:?}");
        }
    }

    /// What `portolan plan` would print.
    async fn plans(&self) -> Vec<Preview> {
        let classes = &self.configuration.classes;
        let mut index = Index::new(classes.clone());
        let mut services = Vec::new();
        for observed in self.server.everything() {
            services.extend(service_key(&observed));
            index.observe(observed, &mut Dirty::new());
        }
        let providers = self.providers();
        let mut plans = Vec::new();
        for id in index.everything(&services) {
            plans.extend(preview(&index.snapshot(&id), classes, &self.settings(), &providers).await);
        }
        plans
    }

    pub(super) fn now(&self) -> Millis {
        portolan_mock::Clock::now(&self.virtual_clock())
    }

    fn virtual_clock(&self) -> VirtualClock {
        VirtualClock { clock: self.clock, nap: self.nap }
    }
}

/// The Service that was observed.
fn service_key(observed: &Observed) -> Option<ServiceKey> {
    use crate::controller::index::Event::InitApply;
    let Observed::Service(InitApply(service)) = observed else { return None };
    Some(service.object.key.clone())
}

/// The mock's clock, moved by the runtime's.
struct VirtualClock {
    clock: Clock,
    nap: Duration,
}

impl portolan_mock::Clock for VirtualClock {
    fn now(&self) -> Millis {
        Millis::default().after(Duration::from_nanos(self.clock.now().as_nanos()))
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        tokio::time::sleep(duration.max(self.nap)).boxed()
    }
}
