//! The mock as a provider: plans and outcomes from the pure modules, steps on the store, faults around every call.

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use futures::Stream;
use portolan_core::balancer::LoadBalancer;
use portolan_core::capabilities::Capabilities;
use portolan_core::ids::{Instance, LoadBalancerId};
use portolan_core::provider::{Applied, Call, Error, Foreseen, Known, Outcome, Owned, Plan, Provider, Step as _};
use portolan_core::reason::Reason;
use portolan_core::refusal::Refusal;

use crate::addresses::{self, Allocator};
use crate::apply::Bench;
use crate::changes;
use crate::clock::Clock;
use crate::faults::{Acting, After, Before, Effect, Met, Moment, Shown, acting, is_armed, showing};
use crate::foreseen::foresee;
use crate::observe::observe;
use crate::outcome::outcome;
use crate::parameters::Parameters;
use crate::plan::plan;
use crate::state::{Readiness, State};
use crate::step::Step;
use crate::store::{LOCK, Store};
use crate::stored::{Found, ids, read, unavailable, write};

/// The mock provider with the parameters of one class. Clones share all of it.
#[derive(Clone)]
pub struct Mock {
    inner: Arc<Inner>,
}

struct Inner {
    parameters: Parameters,
    store: Store,
    instance: Instance,
    clock: Arc<dyn Clock>,
    allocator: Allocator,
    /// Observations write nothing: see [`Mock::dry`].
    dry: bool,
}

impl Mock {
    /// The mock provider on this world. Nothing is read or written before the first call.
    pub fn new(parameters: Parameters, store: Store, instance: Instance, clock: Arc<dyn Clock>) -> Self {
        Self::with(parameters, store, instance, clock, false)
    }

    /// The same for a dry run, which observes and plans. Armed faults are not counted and do not fail it; those that change what an
    /// observation shows do so here too.
    pub fn dry(parameters: Parameters, store: Store, instance: Instance, clock: Arc<dyn Clock>) -> Self {
        Self::with(parameters, store, instance, clock, true)
    }

    fn with(parameters: Parameters, store: Store, instance: Instance, clock: Arc<dyn Clock>, dry: bool) -> Self {
        let allocator = Allocator::default();
        Self { inner: Arc::new(Inner { parameters, store, instance, clock, allocator, dry }) }
    }

    async fn observe(&self, id: &LoadBalancerId) -> Result<State, Error> {
        let inner = &self.inner;
        let acting = if inner.dry {
            showing(&inner.store, id).map_err(|error| unavailable(&inner.store, "faults", &error))?
        } else {
            acting(&inner.store, inner.clock.as_ref(), Met::Observe, id).await?
        };
        self.before(&acting).await?;
        let mut state = observe(&inner.store, &inner.instance, id, inner.clock.now())?;
        for fault in &acting {
            show(fault.effect, &mut state);
        }
        Self::after(&acting)?;
        Ok(state)
    }

    async fn carry_out(&self, step: &Step, id: &LoadBalancerId) -> Result<(), Error> {
        let inner = &self.inner;
        let acting = acting(&inner.store, inner.clock.as_ref(), Met::Step(step.name()), id).await?;
        self.before(&acting).await?;
        let store = &inner.store;
        let bench = Bench {
            store,
            parameters: &inner.parameters,
            allocator: &inner.allocator,
            instance: &inner.instance,
            now: inner.clock.now(),
        };
        store
            .locked(inner.clock.as_ref(), || {
                bench.apply(id, step)?;
                acting
                    .iter()
                    .filter(|fault| fault.effect == Effect::Hold)
                    .try_for_each(|fault| self.hold(id, &fault.name))
            })
            .await
            .map_err(|error| unavailable(store, LOCK, &error))??;
        Self::after(&acting)
    }

    /// What faults do before the call has any effect.
    async fn before(&self, acting: &[Acting]) -> Result<(), Error> {
        for fault in acting {
            let Moment::Before(before) = fault.effect.moment() else { continue };
            match before {
                Before::Fail(kind, reason) => return Err(Error { kind, reason, message: fault.to_string() }),
                Before::Delay(delay) => self.inner.clock.sleep(delay).await,
                Before::Hang => pending().await,
                Before::Crash => crash(),
            }
        }
        Ok(())
    }

    /// What faults do once the call has had its effect.
    fn after(acting: &[Acting]) -> Result<(), Error> {
        for fault in acting {
            let Moment::After(after) = fault.effect.moment() else { continue };
            match after {
                After::Fail => return Err(Error::retry(Reason::ProviderFailed, fault.to_string())),
                After::Crash => crash(),
            }
        }
        Ok(())
    }

    /// Keeps the newest generation provisioning, unless the fault has ended since the call met it: nothing would release it. Under the
    /// store's lock.
    fn hold(&self, id: &LoadBalancerId, fault: &str) -> Result<(), Error> {
        let inner = &self.inner;
        if !is_armed(&inner.store, fault).map_err(|error| unavailable(&inner.store, "faults", &error))? {
            return Ok(());
        }
        let Found::Ours(mut balancer) = read(&inner.store, &inner.instance, id)? else { return Ok(()) };
        if let Some(generation) = balancer.generations.last_mut() {
            generation.held_by = Some(fault.to_owned());
        }
        write(&inner.store, &balancer)
    }

    /// Every step that leaves a load balancer teaches its identifier, so that a record whose write a crash has cut short still gets it.
    fn learned(&self, step: &Step, id: &LoadBalancerId) -> BTreeMap<String, String> {
        let teaches = match step {
            Step::ReleaseAddress { .. } | Step::DrainBalancer { .. } | Step::DeleteBalancer { .. } => false,
            Step::CreateBalancer { .. }
            | Step::SetMembers { .. }
            | Step::SetSourceRanges { .. }
            | Step::SetNodes { .. }
            | Step::AssignAddress { .. }
            | Step::PutListener { .. }
            | Step::DeleteListener { .. } => self.inner.parameters.teaches_identifiers,
        };
        let arn =
            teaches.then(|| ("arn".to_owned(), format!("mock:{}:loadbalancer/{id}", self.inner.instance.as_str())));
        arn.into_iter().collect()
    }
}

impl Provider for Mock {
    type State = State;
    type Step = Step;

    fn capabilities(&self) -> &Capabilities {
        &self.inner.parameters.capabilities
    }

    async fn observe_many(&self, known: &[Known]) -> Vec<Result<State, Error>> {
        let mut states = Vec::with_capacity(known.len());
        for one in known {
            states.push(self.observe(&one.id).await);
        }
        states
    }

    fn plan(&self, desired: Option<&LoadBalancer>, observed: &State) -> Result<Plan<Step>, Refusal> {
        plan(&self.inner.parameters, desired, observed)
    }

    fn foresee(&self, desired: Option<&LoadBalancer>, observed: &State, plan: &Plan<Step>) -> Option<Foreseen<State>> {
        foresee(desired, observed, plan)
    }

    async fn apply(&self, step: &Step, call: &Call) -> Result<Applied, Error> {
        self.carry_out(step, &call.id).await?;
        Ok(Applied { learned: self.learned(step, &call.id), wait: None })
    }

    fn outcome(&self, desired: Option<&LoadBalancer>, observed: &State) -> Outcome {
        outcome(&self.inner.parameters, desired, observed)
    }

    /// Load balancers whose file cannot be understood are not among them: nobody can say that they are ours.
    async fn inventory(&self) -> Result<Vec<Owned>, Error> {
        let Inner { store, instance, .. } = self.inner.as_ref();
        let mut owned = Vec::new();
        for id in ids(store)? {
            if let Ok(Found::Ours(balancer)) = read(store, instance, &id) {
                let object = |number| format!("load balancer, generation {number}");
                owned.extend(
                    balancer.generations.iter().map(|one| Owned { id: id.clone(), object: object(one.number) }),
                );
            }
        }
        for address in addresses::claimed(store)? {
            if let Ok(Some(owner)) = addresses::owner(store, address)
                && &owner.instance == instance
            {
                owned.push(Owned { id: owner.id, object: format!("address {address}") });
            }
        }
        owned.sort_unstable();
        Ok(owned)
    }

    fn changes(&self) -> impl Stream<Item = LoadBalancerId> + Send + 'static {
        changes::changes(self.inner.store.clone(), Arc::clone(&self.inner.clock))
    }
}

/// What a fault makes an observation show.
fn show(effect: Effect, state: &mut State) {
    let (State::Ours(balancer), Moment::Shown(shown)) = (state, effect.moment()) else { return };
    match shown {
        Shown::Unhealthy => balancer.unhealthy = true,
        Shown::Held => balancer.generations.iter_mut().for_each(|generation| generation.readiness = Readiness::Held),
    }
}

/// Dies as a process dies that the kernel kills: nothing is cleaned up, nothing is flushed, nobody is told.
fn crash() -> ! {
    let own = std::process::id().to_string();
    if std::process::Command::new("kill").args(["-9", &own]).status().is_ok() {
        // The signal may arrive a moment later.
        std::thread::sleep(Duration::from_secs(1));
    }
    // Where there is no `kill` (an image without a shell), an abort cleans up no more than that.
    std::process::abort()
}

#[cfg(test)]
mod tests;
