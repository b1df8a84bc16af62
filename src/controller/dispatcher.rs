//! The dispatcher: the one task that owns index and queue.
//!
//! ```text
//!  watches --events--> +------------+ --snapshot--> worker (a pass, at most N at once)
//!  provider changes -> | dispatcher |                  |
//!  leadership -------> | index+queue| <---- passed ----+
//!  timers -----------> +------------+
//! ```
//!
//! Because one task owns both, a key that starts always gets the snapshot of that moment, and what a pass has written is in
//! the index before its key can start again.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::SelectAll;
use portolan_core::ids::LoadBalancerId;
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};

use crate::cluster::queue::{Input, Output, Pace, Queue};
use crate::controller::external_ips::ExternalIps;
use crate::controller::gate::Gate;
use crate::controller::index::{Dirty, Index, Observed};
use crate::controller::lull::Lull;
use crate::controller::reconcile::{Passed, Reconciler};
use crate::controller::turns::{Turn, turn};
use crate::planted::fresh;
use crate::providers;

/// How long passes may go on after a signal. A step that was begun is better ended than cut.
const GRACE: Duration = Duration::from_secs(5);

/// Why the dispatcher cannot go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DispatcherError {
    /// A pass has panicked.
    #[error("a pass has panicked; this is a defect, please report it with the log: {0}")]
    PassPanicked(JoinError),
    /// A provider has stopped saying what changes at it.
    #[error("a provider's stream of changes has ended")]
    ChangesEnded,
    /// All watches have ended.
    #[error("the watches have ended")]
    WatchesEnded,
}

/// Owns index and queue; starts passes.
pub(crate) struct Dispatcher {
    reconciler: Arc<Reconciler>,
    gate: Gate,
    index: Index,
    external_ips: ExternalIps,
    queue: Queue<LoadBalancerId>,
    /// Of nodes.
    lull: Lull,
    passes: JoinSet<(LoadBalancerId, Passed)>,
}

impl Dispatcher {
    /// A dispatcher that works on `workers` load balancers at once and looks at each again after `resync`.
    pub(crate) fn new(reconciler: Reconciler, gate: Gate, workers: usize, resync: Duration) -> Self {
        let pace = Pace { in_flight: workers, resync, ..Pace::default() };
        let seed = reconciler.seed;
        fresh(true);
        let index = Index::new(reconciler.classes.as_ref().clone())
            .watching_pods(providers::wants_pods(&reconciler.providers, &reconciler.classes));
        reconciler.providers.facts.show_slices(index.slices());
        let (queue, lull, passes) = (Queue::new(pace, seed), Lull::default(), JoinSet::new());
        let external_ips = ExternalIps::default();
        Self { index, external_ips, queue, lull, passes, reconciler: Arc::new(reconciler), gate }
    }

    /// Runs until the gate's stop.
    pub(crate) async fn run(mut self, mut events: mpsc::Receiver<Observed>) -> Result<(), DispatcherError> {
        let mut changes: SelectAll<_> = self
            .reconciler
            .classes
            .classes
            .iter()
            .filter_map(|class| match self.reconciler.providers.of_class(class) {
                Ok(provider) => {
                    let ended = futures::stream::iter([None]);
                    Some(providers::changes(&provider).map(Some).chain(ended).boxed())
                }
                Err(error) => {
                    tracing::error!(class = %class.name, %error, "this class cannot be served");
                    None
                }
            })
            .collect();
        let mut gate = self.gate.clone();
        let stop = gate.stop().clone();
        loop {
            let clock = self.reconciler.clock;
            let deadline = self.queue.deadline();
            // Biased: what has happened is taken in before anything new is started.
            tokio::select! {
                biased;
                () = stop.cancelled() => return self.drain().await,
                Some(passed) = self.passes.join_next() => self.passed(passed)?,
                event = events.recv() => self.observed(event.ok_or(DispatcherError::WatchesEnded)?),
                Some(change) = changes.next(), if !changes.is_empty() => match change {
                    Some(id) => {
                        self.index.concerned_by(id).into_iter().for_each(|id| self.step(Input::Enqueued(id)));
                    }
                    None => return Err(DispatcherError::ChangesEnded),
                },
                () = gate.changed() => self.pause(),
                () = clock.sleep_until(self.lull.deadline()) => self.nodes_have_settled(),
                () = clock.sleep_until(deadline) => self.step(Input::Tick),
            }
        }
    }

    fn observed(&mut self, event: Observed) {
        let was_synced = self.index.synced();
        // What is listed at first is all news alike. Later, endpoints wait neither for Services that are being created nor for failing ones.
        let hurried = was_synced && matches!(event, Observed::Slice(_) | Observed::Pod(_));
        // Before anybody begins: pools give out none of them.
        if let (Observed::Service(event), Some(site)) = (&event, self.reconciler.providers.site())
            && let Some(external) = self.external_ips.observe(event)
        {
            site.observe(|world| world.set_external_ips(external));
        }
        let mut dirty = Dirty::new();
        self.index.observe(event, &mut dirty);
        let begins = !was_synced && self.index.synced();
        for id in if begins { self.in_turn(dirty) } else { dirty.into_iter().collect() } {
            self.step(if hurried { Input::Hurried(id) } else { Input::Enqueued(id) });
        }
        if self.index.take_news_of_nodes() {
            self.lull.heard(self.reconciler.clock.now());
        }
        if begins {
            tracing::info!("all kinds are listed; work begins");
            self.reconciler.providers.facts.show_records(self.index.all_records());
            self.pause();
        }
    }

    fn nodes_have_settled(&mut self) {
        self.lull.ends();
        let mut dirty = Dirty::new();
        self.index.nodes_have_settled(&mut dirty);
        for id in dirty {
            self.step(Input::Enqueued(id));
        }
    }

    /// What has changed while nobody was there comes first.
    fn in_turn(&self, dirty: Dirty) -> Vec<LoadBalancerId> {
        let Reconciler { classes, settings, providers, .. } = &*self.reconciler;
        let turn = |id| (turn(&self.index.snapshot(&id), classes, settings, providers), id);
        let mut turns: Vec<(Turn, LoadBalancerId)> = dirty.into_iter().map(turn).collect();
        turns.sort();
        let changed = turns.iter().filter(|(turn, _)| *turn == Turn::Changed).count();
        tracing::info!(balancers = turns.len(), changed, "those that have changed come first");
        turns.into_iter().map(|(_, id)| id).collect()
    }

    /// Nothing starts before everything is listed, nor without leadership.
    fn pause(&mut self) {
        let may_act = self.index.synced() && self.gate.check().is_ok();
        self.step(Input::Paused(!may_act));
    }

    fn passed(&mut self, passed: Result<(LoadBalancerId, Passed), JoinError>) -> Result<(), DispatcherError> {
        let (id, Passed { verdict, written }) = passed.map_err(DispatcherError::PassPanicked)?;
        let mut dirty = Dirty::new();
        let missed_endpoints = self.index.finished(&id, written, &mut dirty);
        for other in dirty {
            let hurried = missed_endpoints && other == id;
            self.step(if hurried { Input::Hurried(other) } else { Input::Enqueued(other) });
        }
        self.step(Input::Finished(id, verdict));
        Ok(())
    }

    fn step(&mut self, input: Input<LoadBalancerId>) {
        let mut outputs = Vec::new();
        self.queue.step(self.reconciler.clock.now(), input, &mut outputs);
        for Output::Start(id) in outputs {
            let failures = self.queue.failures(&id);
            let snapshot = self.index.begin(&id);
            self.reconciler.providers.facts.show_nodes(&snapshot.nodes);
            let (reconciler, gate) = (self.reconciler.clone(), self.gate.begin());
            self.passes.spawn(async move {
                let passed = reconciler.pass(&snapshot, failures, &gate).await;
                (id, passed)
            });
        }
    }

    /// Lets the passes end that are at work. The gate keeps them from beginning another step.
    async fn drain(mut self) -> Result<(), DispatcherError> {
        let rest = async {
            while let Some(passed) = self.passes.join_next().await {
                if let Err(panic) = passed {
                    tracing::error!(%panic, "a pass has panicked while the process was stopping");
                }
            }
        };
        if tokio::time::timeout(GRACE, rest).await.is_err() {
            tracing::warn!("some passes are cut off; the next controller takes up where they were");
        }
        Ok(())
    }
}
