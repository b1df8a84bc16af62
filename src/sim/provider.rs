//! The mock provider as a simulation sees it: every call counts, takes time, and is looked at.

use std::sync::Arc;
use std::time::Duration;

use futures::Stream;
use portolan_core::balancer::LoadBalancer;
use portolan_core::capabilities::Capabilities;
use portolan_core::ids::LoadBalancerId;
use portolan_core::provider::{Applied, Call, Error, Foreseen, Known, Outcome, Owned, Plan, Provider};
use portolan_core::refusal::Refusal;
use portolan_mock::{Mock, State, Step};

use super::laws::Laws;
use super::life::Life;
use crate::cluster::random::Random;

/// See the module.
#[derive(Clone)]
pub(crate) struct Simulated {
    pub(super) mock: Mock,
    pub(super) life: Arc<Life>,
    pub(super) laws: Arc<Laws>,
    /// The name of its world.
    pub(super) world: String,
    pub(super) seed: u64,
}

impl Simulated {
    /// A call, from its arrival to its answer.
    async fn call<T>(&self, effect: impl Future<Output = T>) -> T {
        let number = self.life.begins().await;
        let mut random = Random::new(self.seed ^ self.life.number.rotate_left(40) ^ number.rotate_left(20));
        let most = Duration::from_millis(10);
        tokio::time::sleep(random.between(Duration::ZERO, most)).await;
        self.life.goes_on().await;
        let result = effect.await;
        self.life.ends(number).await;
        tokio::time::sleep(random.between(Duration::ZERO, most)).await;
        self.life.goes_on().await;
        result
    }
}

impl Provider for Simulated {
    type State = State;
    type Step = Step;

    fn capabilities(&self) -> &Capabilities {
        self.mock.capabilities()
    }

    async fn observe_many(&self, known: &[Known]) -> Vec<Result<State, Error>> {
        self.call(self.mock.observe_many(known)).await
    }

    fn plan(&self, desired: Option<&LoadBalancer>, observed: &State) -> Result<Plan<Step>, Refusal> {
        self.mock.plan(desired, observed)
    }

    fn foresee(&self, desired: Option<&LoadBalancer>, observed: &State, plan: &Plan<Step>) -> Option<Foreseen<State>> {
        self.mock.foresee(desired, observed, plan)
    }

    async fn apply(&self, step: &Step, call: &Call) -> Result<Applied, Error> {
        self.laws.leads(&self.life, "a step");
        self.call(async {
            self.laws.steps(&self.life, &self.world, step, call);
            let applied = self.mock.apply(step, call).await;
            // One that is refused has changed nothing; it is tried again by everybody who starts.
            if applied.is_ok() {
                self.laws.stepped();
            }
            applied
        })
        .await
    }

    fn outcome(&self, desired: Option<&LoadBalancer>, observed: &State) -> Outcome {
        self.mock.outcome(desired, observed)
    }

    async fn inventory(&self) -> Result<Vec<Owned>, Error> {
        self.call(self.mock.inventory()).await
    }

    fn changes(&self) -> impl Stream<Item = LoadBalancerId> + Send + 'static {
        self.mock.changes()
    }
}
