//! The runtime's loop in small (`src/controller/walk.rs`): observe, plan, intents into the record, step after step, at rest what the next process
//! begins with, then the status; and when a key comes back.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use futures::{Stream, StreamExt};
use portolan_core::balancer::LoadBalancer;
use portolan_core::desire::member;
use portolan_core::ids::LoadBalancerId;
use portolan_core::provider::{Call, Error, ErrorKind, Provider, Step as _};
use portolan_core::reason::Reason;
use portolan_core::refusal::Refusal;

use super::{Kept, Stage, TICK};

/// Plans in one pass, as the runtime has it.
const ROUNDS: usize = 4;

/// A key that failed is tried again after this.
const BACKOFF: Duration = Duration::from_secs(10);

/// The machine's time after which a loop that does not come to rest never will.
const HUNG: Duration = Duration::from_secs(30);

/// What a provider says of changes.
type Changes = Pin<Box<dyn Stream<Item = LoadBalancerId> + Send>>;

/// Where a pass has ended.
#[derive(Debug)]
pub(crate) enum End {
    Settled,
    Failed(Error),
    Refused(Refusal),
}

impl End {
    /// The code that a person is told.
    pub(crate) fn reason(&self) -> Option<Reason> {
        match self {
            Self::Settled => None,
            Self::Failed(error) => Some(error.reason),
            Self::Refused(refusal) => Some(refusal.reason()),
        }
    }

    /// What a person is told.
    pub(crate) fn message(&self) -> String {
        match self {
            Self::Settled => String::new(),
            Self::Failed(error) => error.message.clone(),
            Self::Refused(refusal) => refusal.to_string(),
        }
    }
}

impl Stage {
    /// One pass of the runtime over one Service.
    pub(crate) async fn pass(&mut self, name: &str) -> End {
        let id = self.id(name);
        let desired = if self.kept[name].deleted {
            None
        } else {
            match self.desired(name) {
                Ok((desired, terms)) => {
                    self.kept.get_mut(name).unwrap().terms = Some(terms);
                    Some(desired)
                }
                Err(refusal) => return End::Refused(refusal),
            }
        };
        let end = self.walk(name, &id, desired.as_ref()).await;
        let seen = self.nlb().observe_many(&[self.known(name)]).await.remove(0);
        if let Ok(seen) = seen {
            let outcome = self.nlb().outcome(desired.as_ref(), &seen);
            let kept = self.kept.get_mut(name).unwrap();
            kept.published.clone_from(&outcome.published);
            kept.outcome = Some(outcome);
        }
        end
    }

    /// By the record alone there is something to do.
    pub(crate) fn foresees_work(&self, name: &str) -> bool {
        self.nlb().foresees_work(|| self.desired(name).unwrap().0, &self.known(name))
    }

    async fn walk(&mut self, name: &str, id: &LoadBalancerId, desired: Option<&LoadBalancer>) -> End {
        for _ in 0..ROUNDS {
            let observed = match self.nlb().observe_many(&[self.known(name)]).await.remove(0) {
                Ok(observed) => observed,
                Err(error) => return End::Failed(error),
            };
            let plan = match self.nlb().plan(desired, &observed) {
                Ok(plan) => plan,
                Err(refusal) => return End::Refused(refusal),
            };
            let remembered = desired.and_then(|_| self.nlb().remembered(&observed));
            let external = &mut self.kept.get_mut(name).unwrap().external;
            if plan.is_empty() {
                external.clone_from(&remembered.unwrap_or_else(|| external.clone()));
                return End::Settled;
            }
            external.extend(plan.steps.iter().flat_map(|step| step.intent()));
            for step in &plan.steps {
                let kept = &self.kept[name];
                let call =
                    Call { id: id.clone(), members: vec![member(&kept.service)], external: kept.external.clone() };
                match self.nlb().apply(step, &call).await {
                    Ok(applied) => self.kept.get_mut(name).unwrap().external.extend(applied.learned),
                    Err(error) => return End::Failed(error),
                }
            }
        }
        panic!("{name}: the plan is not empty after {ROUNDS} rounds");
    }

    /// Passes until nothing is waited for, nothing fails and nothing is published anew. An error that nobody gets over is an end too.
    pub(crate) async fn settle(&mut self, name: &str) -> End {
        for _ in 0..150 {
            if let Some(end) = self.step(name).await {
                return end;
            }
        }
        let end = self.pass(name).await;
        let wait = self.kept[name].outcome.as_ref().and_then(|outcome| outcome.wait.clone());
        panic!("{name} does not settle: {}, waits for {wait:?}", end.message());
    }

    /// The same, and nothing is left to do.
    pub(crate) async fn settled(&mut self, name: &str) {
        let end = self.settle(name).await;
        assert!(matches!(end, End::Settled), "{name}: {}", end.message());
    }

    /// One pass, and the wait after it. Its end, if nothing comes after it.
    pub(crate) async fn step(&mut self, name: &str) -> Option<End> {
        let before = self.kept[name].published.clone();
        let end = self.pass(name).await;
        let kept = &self.kept[name];
        let wait = kept.outcome.as_ref().and_then(|outcome| outcome.wait.clone());
        match end {
            End::Failed(Error { kind: ErrorKind::Terminal, .. }) => return Some(end),
            End::Failed(Error { kind: ErrorKind::Wait(at_most), .. }) => self.advance(at_most),
            End::Failed(_) => self.advance(BACKOFF),
            End::Settled | End::Refused(_) if kept.published != before => {}
            End::Settled | End::Refused(_) => match wait {
                // For a hand that would put right what is refused nobody waits here.
                Some(wait) if wait.on == end.message() => return Some(end),
                Some(wait) => self.advance(wait.at_most),
                None => return Some(end),
            },
        }
        None
    }

    /// All Services at once, which saves the time of waiting for one after the other.
    pub(crate) async fn settle_together(&mut self) {
        for _ in 0..6 {
            for name in self.names() {
                let end = self.pass(&name).await;
                assert!(matches!(end, End::Settled), "{name}: {end:?}");
            }
            self.advance(Duration::from_secs(200));
        }
        let wait = |kept: &Kept| kept.outcome.as_ref().and_then(|outcome| outcome.wait.clone());
        assert!(self.kept.values().all(|kept| wait(kept).is_none()), "all are settled");
    }

    /// Five seconds pass; the load balancers that the provider wakes meanwhile.
    pub(crate) async fn tick(&mut self) -> BTreeSet<LoadBalancerId> {
        let mut woken = BTreeSet::new();
        // As long as somebody listens, passes do not poll.
        let mut changes: Changes = Box::pin(self.nlb().changes());
        // Until it sleeps.
        self.drain(&mut changes, &mut woken).await;
        self.advance(TICK);
        self.drain(&mut changes, &mut woken).await;
        woken
    }

    /// Follows the provider's own loop until it waits for the clock.
    async fn drain(&self, changes: &mut Changes, woken: &mut BTreeSet<LoadBalancerId>) {
        let sleeps = std::future::poll_fn(|context| {
            while let Poll::Ready(Some(id)) = changes.poll_next_unpin(context) {
                woken.insert(id);
            }
            if self.clock.is_slept_on() { Poll::Ready(()) } else { Poll::Pending }
        });
        let hung = tokio::time::timeout(HUNG, sleeps).await;
        hung.unwrap_or_else(|_| panic!("the provider's loop does not come to sleep for {TICK:?}, its tick"));
    }

    /// As `tick`, and whoever is woken passes, as in the runtime.
    pub(crate) async fn run_for(&mut self, time: Duration) {
        let until = self.clock.elapsed() + time;
        while self.clock.elapsed() < until {
            let woken = self.tick().await;
            for name in self.names() {
                if woken.contains(&self.id(&name)) {
                    self.pass(&name).await;
                }
            }
        }
    }
}
