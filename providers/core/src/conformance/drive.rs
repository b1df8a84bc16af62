//! One run: the runtime's loop around a provider, with trouble at one place.

use std::collections::BTreeMap;

use serde_json::Value;

use super::cases::{id, shuffled};
use super::executor::block_on;
use super::random::Random;
use super::{Failure, Law, World};
use crate::balancer::{LoadBalancer, Published};
use crate::ids::LoadBalancerId;
use crate::provider::{Call, ErrorKind, Known, Outcome, Provider, Step};

/// After so many rounds a provider that has not settled never will.
const ROUNDS: usize = 40;

/// How often each input is shuffled.
const SHUFFLES: usize = 3;

/// What goes wrong on the way, counted in steps from the beginning of [`Run::towards`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Nothing.
    None,
    /// Every step is carried out twice.
    Twice,
    /// The process is killed after so many steps. The next one does not know what this one learned last.
    KilledAfter(usize),
    /// The process is killed inside the step of this number, after so many writes.
    KilledInside(usize, u64),
    /// The run stops after so many steps.
    Stopped(usize),
}

/// How far a run came.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Came {
    /// To the end.
    Through,
    /// It was stopped.
    Halfway,
}

/// One run in one world.
pub(super) struct Run<W: World> {
    pub(super) world: W,
    provider: W::Provider,
    case: String,
    id: LoadBalancerId,
    desired: Option<LoadBalancer>,
    published: Vec<Published>,
    external: BTreeMap<String, String>,
    foreign: String,
    random: Random,
    /// How often each input is shuffled.
    shuffles: usize,
    /// Steps since the beginning of the current `towards`.
    pub(super) steps: usize,
    /// The step that trouble was to strike made all its writes before it struck.
    pub(super) survived: bool,
    /// The last step that could not be carried out yet.
    put_off: Option<String>,
}

/// Where a run ended, as far as two runs can be compared.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct End {
    state: Value,
    outcome: String,
    leftovers: Vec<String>,
}

impl<W: World> Run<W> {
    pub(super) fn new(mut world: W, case: String, random: Random) -> Self {
        let provider = world.open();
        let foreign = world.foreign();
        Self {
            world,
            provider,
            case,
            id: id(),
            desired: None,
            published: Vec::new(),
            external: BTreeMap::new(),
            foreign,
            random,
            shuffles: SHUFFLES,
            steps: 0,
            survived: true,
            put_off: None,
        }
    }

    /// The same under another id.
    pub(super) fn under(mut self, id: LoadBalancerId) -> Self {
        self.id = id;
        self
    }

    /// Drives the provider until it has settled on this desired state, published what it says, and waits for nothing.
    pub(super) fn towards(&mut self, goal: Option<&LoadBalancer>, trouble: Trouble) -> Result<Came, Failure> {
        self.desired = goal.cloned();
        self.steps = 0;
        self.survived = true;
        let mut just_done: Vec<<W::Provider as Provider>::Step> = Vec::new();
        let mut open = Vec::new();
        for _ in 0..ROUNDS {
            if trouble == Trouble::Stopped(self.steps) {
                return Ok(Came::Halfway);
            }
            let state = self.observe()?;
            let plan = self.plan(&state)?;
            if let Some(step) = plan.iter().find(|step| just_done.contains(step)) {
                return Err(self
                    .failure(self.settling(), format!("a plan was carried out, and the next one asks again: {step}")));
            }
            just_done.clear();
            open = plan.iter().map(ToString::to_string).collect();
            self.external.extend(plan.iter().flat_map(Step::intent));
            for step in plan {
                if trouble == Trouble::Stopped(self.steps) {
                    return Ok(Came::Halfway);
                }
                let interrupted = self.step(&step, trouble)?;
                self.steps = self.steps.saturating_add(1);
                self.check_foreign()?;
                if trouble == Trouble::None {
                    self.check_published(&step)?;
                }
                just_done.push(step);
                if interrupted {
                    // What the dead process did tells nothing about the plan of the next.
                    just_done.clear();
                    break;
                }
            }
            if !open.is_empty() {
                continue;
            }
            if let Some(remembered) = self.provider.remembered(&state) {
                self.external = remembered;
            }
            let outcome = self.outcome(&state)?;
            if outcome.published != self.published {
                self.published = outcome.published;
            } else if outcome.wait.is_some() {
                open = outcome.wait.iter().map(|wait| format!("wait: {}", wait.on)).collect();
                self.world.settle();
            } else {
                return Ok(Came::Through);
            }
        }
        open.extend(self.put_off.take().map(|why| format!("last put off: {why}")));
        Err(self
            .failure(self.settling(), format!("not settled after {ROUNDS} rounds; still open: {}", open.join("; "))))
    }

    /// The same, undisturbed, on a way that another run of the case has gone before: what comes of it in another order has been seen there.
    pub(super) fn again_towards(&mut self, goal: Option<&LoadBalancer>) -> Result<Came, Failure> {
        self.shuffles = 0;
        let came = self.towards(goal, Trouble::None);
        self.shuffles = SHUFFLES;
        came
    }

    /// Where it ended.
    pub(super) fn end(&mut self) -> Result<End, Failure> {
        let state = self.observe()?;
        let outcome = self.outcome(&state)?;
        Ok(End {
            state: self.world.comparable(&state),
            outcome: self.world.told(&outcome),
            leftovers: self.world.leftovers(),
        })
    }

    /// Nothing is left, by the provider's word and in truth.
    pub(super) fn check_empty(&mut self) -> Result<(), Failure> {
        let inventory =
            block_on(self.provider.inventory()).map_err(|error| self.failure(Law::DeletesAll, error.message))?;
        let state = self.observe()?;
        let leftovers = self.world.leftovers();
        let empty =
            state == <W::Provider as Provider>::State::default() && inventory.is_empty() && leftovers.is_empty();
        if empty {
            return Ok(());
        }
        let detail = format!("left behind: {leftovers:?}; inventory: {inventory:?}; observed: {state:?}");
        Err(self.failure(Law::DeletesAll, detail))
    }

    /// What to expect of a foreign object in its place: a refusal or an error, and no touch.
    pub(super) fn try_towards(&mut self, goal: Option<&LoadBalancer>) -> Result<bool, Failure> {
        self.desired = goal.cloned();
        let observed = block_on(self.provider.observe_many(&[self.known()])).into_iter().next();
        let Some(Ok(state)) = observed else { return Ok(false) };
        let Ok(plan) = self.provider.plan(self.desired.as_ref(), &state) else { return Ok(false) };
        let mut done = true;
        for step in &plan.steps {
            done &= block_on(self.provider.apply(step, &self.call())).is_ok();
            self.check_foreign()?;
        }
        Ok(done)
    }

    pub(super) fn failure(&self, law: Law, detail: impl Into<String>) -> Failure {
        Failure { law, case: self.case.clone(), detail: detail.into() }
    }

    /// Carries out one step, with the trouble that belongs to it. True if the process died.
    fn step(&mut self, step: &<W::Provider as Provider>::Step, trouble: Trouble) -> Result<bool, Failure> {
        let call = self.call();
        match trouble {
            Trouble::KilledInside(at, writes) if at == self.steps => {
                if let Some(dying) = self.world.open_killed_after(writes) {
                    self.survived = block_on(dying.apply(step, &call)).is_ok();
                }
                self.restart();
                return Ok(true);
            }
            Trouble::None
            | Trouble::Twice
            | Trouble::KilledAfter(_)
            | Trouble::KilledInside(..)
            | Trouble::Stopped(_) => {}
        }
        let times = if trouble == Trouble::Twice { 2 } else { 1 };
        for _ in 0..times {
            let applied = match block_on(self.provider.apply(step, &call)) {
                Ok(applied) => applied,
                Err(error) if error.kind == ErrorKind::Terminal => {
                    return Err(self.failure(self.settling(), format!("step {step} failed: {error}")));
                }
                // As in the runtime: the pass is over, and after a pause another one looks at what there is.
                Err(error) => {
                    self.put_off = Some(error.to_string());
                    self.world.settle();
                    return Ok(true);
                }
            };
            if trouble == Trouble::KilledAfter(self.steps.saturating_add(1)) {
                self.restart();
                return Ok(true);
            }
            self.external.extend(applied.learned);
            if applied.wait.is_some() {
                self.world.settle();
            }
        }
        Ok(false)
    }

    fn known(&self) -> Known {
        Known { id: self.id.clone(), external: self.external.clone() }
    }

    fn restart(&mut self) {
        self.provider = self.world.open();
    }

    fn observe(&self) -> Result<<W::Provider as Provider>::State, Failure> {
        let mut states = block_on(self.provider.observe_many(&[self.known()]));
        match (states.pop(), states.is_empty()) {
            (Some(Ok(state)), true) => Ok(state),
            (Some(Err(error)), true) => Err(self.failure(self.settling(), format!("it cannot be observed: {error}"))),
            _ => Err(self.failure(self.settling(), "one id was to be observed, and there is not one answer")),
        }
    }

    /// The plan, which must be the same for equal inputs.
    fn plan(
        &mut self,
        state: &<W::Provider as Provider>::State,
    ) -> Result<Vec<<W::Provider as Provider>::Step>, Failure> {
        let desired = self.desired();
        let plan = self.provider.plan(desired.as_ref(), state).map_err(|refusal| {
            self.failure(self.settling(), format!("refused although within the capabilities: {refusal}"))
        })?;
        for _ in 0..self.shuffles {
            let other = desired.as_ref().map(|desired| shuffled(desired, &mut self.random));
            let again = self.provider.plan(other.as_ref(), state);
            if again.as_ref() != Ok(&plan) {
                let (plan, again) = (display(&plan.steps), again.map(|plan| display(&plan.steps)));
                return Err(self.failure(Law::IgnoresOrder, format!("one input, two plans: {plan:?} and {again:?}")));
            }
        }
        Ok(plan.steps)
    }

    fn outcome(&mut self, state: &<W::Provider as Provider>::State) -> Result<Outcome, Failure> {
        let desired = self.desired();
        let outcome = self.provider.outcome(desired.as_ref(), state);
        for _ in 0..self.shuffles {
            let other = desired.as_ref().map(|desired| shuffled(desired, &mut self.random));
            let again = self.provider.outcome(other.as_ref(), state);
            if again != outcome {
                return Err(
                    self.failure(Law::IgnoresOrder, format!("one input, two outcomes: {outcome:?} and {again:?}"))
                );
            }
        }
        Ok(outcome)
    }

    /// As the runtime hands it over: with what the status says by now.
    fn desired(&self) -> Option<LoadBalancer> {
        let with_status = |desired: &LoadBalancer| LoadBalancer {
            id: self.id.clone(),
            published: self.published.clone(),
            ..desired.clone()
        };
        self.desired.as_ref().map(with_status)
    }

    fn call(&self) -> Call {
        let members = self.desired.as_ref().map(|desired| desired.members.clone()).unwrap_or_default();
        Call { id: self.id.clone(), members, external: self.external.clone() }
    }

    fn check_foreign(&self) -> Result<(), Failure> {
        let now = self.world.foreign();
        if now == self.foreign {
            return Ok(());
        }
        Err(self.failure(Law::LeavesForeignAlone, format!("before: {}; now: {now}", self.foreign)))
    }

    /// As long as a load balancer is wanted, whoever was told where to go still has somewhere to go.
    fn check_published(&self, step: &<W::Provider as Provider>::Step) -> Result<(), Failure> {
        let desired = self.desired();
        if desired.is_none() || self.published.is_empty() {
            return Ok(());
        }
        let published = self.provider.outcome(desired.as_ref(), &self.observe()?).published;
        if !published.is_empty() {
            return Ok(());
        }
        Err(self.failure(Law::KeepsPublished, format!("after step {step} nothing is left of {:?}", self.published)))
    }

    /// The law that a provider breaks by not settling.
    fn settling(&self) -> Law {
        if self.desired.is_some() { Law::Settles } else { Law::DeletesAll }
    }
}

fn display(steps: &[impl ToString]) -> Vec<String> {
    steps.iter().map(ToString::to_string).collect()
}
