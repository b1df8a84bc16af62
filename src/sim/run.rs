//! A run: a schedule, played in a world of its own.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task::Poll;

use futures::FutureExt as _;
use kube::client::ClientBuilder;
use portolan_core::class::Class;
use portolan_core::ids::{Instance, ProviderName};
use portolan_mock::{Mock, Parameters, faults};
use serde_json::Value;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::layer::layer_fn;

use super::cluster::Cluster;
use super::end;
use super::grammar::Grammar;
use super::laws::Laws;
use super::life::Life;
use super::provider::Simulated;
use super::schedule::{Controllers, Schedule, What};
use super::users::Users;
use super::weather::Sky;
use super::wire::Wire;
use crate::cli::controller::{Clients, Leases, wire};
use crate::cluster::answers::Checked;
use crate::cluster::watch::READ_TIMEOUT;
use crate::config::Configuration;
use crate::planted::{Bug, plant};
use crate::providers::{AnyProvider, Providers};
use crate::supervisor::Supervisor;

/// How long a process that could not start stays away, as a kubelet would have it.
const BACK: u64 = 5_000;

/// What a run came to.
pub(crate) struct Run {
    /// What was not as it must be.
    pub(crate) failure: Option<String>,
    /// All that was done.
    pub(crate) journal: Vec<String>,
}

/// Plays a schedule, perhaps with a planted bug. The same schedule always gives the same run.
pub(crate) fn run(grammar: &Grammar, schedule: &Schedule, bug: Option<Bug>) -> Run {
    plant(bug);
    let run = play(grammar, schedule);
    plant(None);
    run
}

fn play(grammar: &Grammar, schedule: &Schedule) -> Run {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let mut world = World::new(grammar, schedule);
        let played = AssertUnwindSafe(world.play(grammar, schedule)).catch_unwind().await;
        let failure = match played {
            Ok(ended) => world.laws.broken().or(ended.err()),
            Err(panic) => Some(format!("panic: {}", said(panic.as_ref()))),
        };
        Run { failure, journal: world.laws.journal() }
    })
}

fn said(panic: &(dyn std::any::Any + Send)) -> &str {
    panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied()).unwrap_or("?")
}

/// See [`run`].
pub(super) struct World {
    pub(super) cluster: Arc<Cluster>,
    pub(super) laws: Arc<Laws>,
    sky: Arc<Sky>,
    configurations: BTreeMap<String, Configuration>,
    /// The file of the configuration that controllers start with.
    pub(super) configuration: String,
    controllers: Controllers,
    seed: u64,
    slots: Vec<Slot>,
    lives: u64,
}

/// Where one controller runs, process after process.
struct Slot {
    life: Arc<Life>,
    stop: CancellationToken,
    process: JoinSet<Ended>,
    back: Back,
}

/// When the next process starts, after this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Back {
    /// So much later.
    After(u64),
    At(u64),
    /// When somebody says so.
    WhenTold,
}

/// How a process has ended.
enum Ended {
    Killed,
    Stopped,
    NotStarted(String),
    Failed(String),
}

impl World {
    fn new(grammar: &Grammar, schedule: &Schedule) -> Self {
        let cluster = Cluster::new();
        let configurations = grammar.configurations.iter().map(|(file, read)| (file.clone(), served_by_the_mock(read)));
        Self {
            laws: Arc::new(Laws::new(cluster.clone(), schedule.controllers)),
            cluster,
            sky: Arc::new(Sky::of(&schedule.items)),
            configurations: configurations.collect(),
            configuration: "config.yaml".to_owned(),
            controllers: schedule.controllers,
            seed: schedule.seed,
            slots: Vec::new(),
            lives: 0,
        }
    }

    async fn play(&mut self, grammar: &Grammar, schedule: &Schedule) -> Result<(), String> {
        for _ in 0..schedule.controllers.count() {
            self.add();
        }
        for document in &grammar.begin {
            self.users().act(document);
        }
        for item in &schedule.items {
            self.until(item.at).await?;
            match &item.what {
                What::Edits(edits) => {
                    for edit in edits {
                        self.edit(edit).await?;
                    }
                }
                What::Weather(weather) => {
                    self.laws.note(format!("weather: {}", serde_json::to_string(weather).unwrap()));
                }
                What::Crash(crash) => {
                    let slot = &mut self.slots[crash.who];
                    slot.life.dies_at(crash.call, crash.moment);
                    if slot.back != Back::WhenTold {
                        slot.back = Back::After(crash.down);
                    }
                }
                What::Compact(_) => self.cluster.storage.compact(),
            }
        }
        self.until(self.sky.clears()).await?;
        end::end(self).await
    }

    pub(super) fn users(&self) -> Users<'_> {
        Users { cluster: &self.cluster, laws: &self.laws }
    }

    async fn edit(&mut self, edit: &Value) -> Result<(), String> {
        if let Some(how) = edit["$down"].as_str() {
            self.down(0, how == "killed");
        } else if !edit["$up"].is_null() {
            if self.slots[0].back == Back::WhenTold {
                self.settled_in(edit["$up"].as_str());
                self.slots[0].back = Back::At(self.cluster.now());
            }
        } else if !edit["$patchRecord"].is_null() || !edit["$deleteRecord"].is_null() {
            let (now, up) = (self.cluster.now(), self.slots.iter().all(|slot| !slot.process.is_empty()));
            if up && self.sky.is_clear(now.saturating_sub(60_000), now + 200_000) && self.users().edit_record(edit) {
                self.until(now + 200_000).await?;
            }
        } else {
            self.users().act(edit);
        }
        Ok(())
    }

    /// A controller goes, until somebody lets it come back.
    pub(super) fn down(&mut self, who: usize, killed: bool) {
        let slot = &mut self.slots[who];
        slot.back = Back::WhenTold;
        if killed {
            slot.life.die();
        } else {
            slot.stop.cancel();
        }
        self.laws.note(format!("controller {who}: {}", if killed { "is killed" } else { "is stopped" }));
    }

    /// From now on controllers start with this configuration.
    pub(super) fn settled_in(&mut self, configuration: Option<&str>) {
        if let Some(other) = configuration.filter(|file| *file != self.configuration) {
            other.clone_into(&mut self.configuration);
            // A class that moves, comes or goes asks for something else.
            self.laws.asked_of_all();
        }
    }

    /// Whoever is down comes back.
    pub(super) fn all_up(&mut self) {
        let now = self.cluster.now();
        self.slots.iter_mut().filter(|slot| slot.process.is_empty()).for_each(|slot| slot.back = Back::At(now));
        self.slots.iter_mut().for_each(|slot| {
            if slot.back == Back::WhenTold {
                slot.back = Back::At(now);
            }
        });
    }

    /// Crashes that have not come yet do not come any more.
    pub(super) fn nobody_dies(&self) {
        self.slots.iter().for_each(|slot| slot.life.is_spared());
    }

    pub(super) fn count(&self) -> usize {
        self.slots.len()
    }

    /// Lets everybody go on until this time.
    pub(super) async fn until(&mut self, at: u64) -> Result<(), String> {
        loop {
            let now = self.cluster.now();
            for who in 0..self.slots.len() {
                let slot = &self.slots[who];
                if slot.process.is_empty() && matches!(slot.back, Back::At(when) if when <= now) {
                    self.start(who);
                }
            }
            if let Some(broken) = self.laws.broken() {
                return Err(broken);
            }
            if now >= at {
                return Ok(());
            }
            let starts = self.slots.iter().filter(|slot| slot.process.is_empty());
            let starts = starts.filter_map(|slot| if let Back::At(when) = slot.back { Some(when) } else { None });
            let next = starts.min().unwrap_or(at).min(at);
            let cluster = self.cluster.clone();
            let (who, ended) = tokio::select! {
                biased;
                ended = ended(&mut self.slots) => ended,
                () = cluster.sleep_until(next) => continue,
            };
            self.ended(who, ended)?;
        }
    }

    fn ended(&mut self, who: usize, ended: Ended) -> Result<(), String> {
        let now = self.cluster.now();
        let slot = &mut self.slots[who];
        let later = match ended {
            Ended::Killed => 0,
            Ended::Stopped => 0,
            Ended::NotStarted(why) => {
                self.laws.note(format!("controller {who}: does not start: {why}"));
                BACK
            }
            Ended::Failed(why) => return Err(format!("controller {who} ended by itself: {why}")),
        };
        slot.back = match slot.back {
            Back::After(down) => Back::At(now + down.max(later)),
            Back::At(when) => Back::At(when.max(now + later)),
            Back::WhenTold => Back::WhenTold,
        };
        self.laws.note(format!("controller {who}: is over, back {:?}", slot.back));
        Ok(())
    }

    fn add(&mut self) {
        let slot = Slot {
            life: Arc::new(Life::new(self.slots.len(), 0)),
            stop: CancellationToken::new(),
            process: JoinSet::new(),
            back: Back::At(0),
        };
        self.slots.push(slot);
    }

    fn start(&mut self, who: usize) {
        self.lives += 1;
        let life = Arc::new(Life::new(who, self.lives));
        let stop = CancellationToken::new();
        let configuration = self.configurations[&self.configuration].clone();
        // As a restarted container keeps its Pod's name, or a new Pod has another.
        let identity =
            if self.seed.is_multiple_of(2) { format!("sim-{who}") } else { format!("sim-{who}-{}", self.lives) };
        self.laws.stands(&life, &identity);
        self.laws.note(format!("controller {who}: starts with {}", self.configuration));
        let candidate = (self.controllers == Controllers::TwoElected).then_some(identity);
        let leases = Leases { namespace: "kube-system".to_owned(), candidate };
        let way = Wire {
            cluster: self.cluster.clone(),
            laws: self.laws.clone(),
            sky: self.sky.clone(),
            life: life.clone(),
            seed: self.seed,
            patience: None,
        };
        let providers = self.providers(&configuration.classes.instance, &life);
        let process = process(way, configuration, providers, leases, stop.clone(), life.clone(), self.seed);
        let slot = &mut self.slots[who];
        slot.back = Back::After(0);
        (slot.life, slot.stop) = (life, stop);
        slot.process.spawn(process);
    }

    fn providers(&self, instance: &Instance, life: &Arc<Life>) -> Providers {
        let (cluster, laws, life, seed) = (self.cluster.clone(), self.laws.clone(), life.clone(), self.seed);
        let maker = move |parameters: Parameters, instance: &Instance| {
            let world = parameters.state.as_ref().map_or_else(String::new, |path| path.display().to_string());
            let store = cluster.world(&world);
            let mock = Mock::new(parameters, store, instance.clone(), Arc::new(cluster.mock_clock()));
            AnyProvider::Simulated(Simulated { mock, life: life.clone(), laws: laws.clone(), world, seed })
        };
        Providers::made_by(instance.clone(), Box::new(maker))
    }

    pub(super) fn end_provider_faults(&self) {
        for (_, world) in self.cluster.worlds() {
            faults::end_all(&world).unwrap();
        }
    }
}

/// A process of the controller, wired as `portolan controller` wires it, from its start to its end.
async fn process(
    way: Wire,
    configuration: Configuration,
    providers: Providers,
    leases: Leases,
    stop: CancellationToken,
    life: Arc<Life>,
    seed: u64,
) -> Ended {
    let (clock, number) = (way.cluster.clock, life.number);
    let work = || ClientBuilder::new(way.clone(), "default").build();
    // As of `watch::client`.
    let watched = Wire { patience: Some(READ_TIMEOUT), ..way.clone() };
    let watch = ClientBuilder::new(watched, "default").with_layer(&layer_fn(Checked)).build();
    let clients = Clients { work: work(), lease: work(), watch };
    let life_span = async {
        let mut supervisor = Supervisor::default();
        let seed = seed.wrapping_mul(31).wrapping_add(number);
        let started = wire(&mut supervisor, clients, configuration, providers, leases, 3, clock, seed).await;
        if let Err(error) = started {
            return Ended::NotStarted(format!("{error:#}"));
        }
        match supervisor.run_until_told(stop).await {
            Ok(()) => Ended::Stopped,
            Err(error) => Ended::Failed(error.to_string()),
        }
    };
    tokio::select! {
        biased;
        () = life.over.cancelled() => Ended::Killed,
        ended = life_span => ended,
    }
}

/// The first process that ends.
async fn ended(slots: &mut [Slot]) -> (usize, Ended) {
    poll_fn(|context| {
        for (who, slot) in slots.iter_mut().enumerate() {
            if let Poll::Ready(Some(ended)) = slot.process.poll_join_next(context) {
                let ended = ended.unwrap_or_else(|error| Ended::Failed(error.to_string()));
                return Poll::Ready((who, ended));
            }
        }
        Poll::Pending
    })
    .await
}

/// Classes of the provider aws, which alone may claim by type annotation, are served by the mock.
fn served_by_the_mock(configuration: &Configuration) -> Configuration {
    let mut configuration = configuration.clone();
    for class in &mut configuration.classes.classes {
        *class = Arc::new(Class { provider: ProviderName::new("mock"), ..Class::clone(class) });
    }
    configuration
}
