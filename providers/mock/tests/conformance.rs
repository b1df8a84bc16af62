//! Needs nothing running. The mock keeps the laws of `portolan_core::provider`; and broken providers, each the mock with one flaw, do
//! not: the suite finds each flaw and names the right law.

#![cfg(test)]

#[path = "conformance/killed.rs"]
mod killed;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::Stream;
use portolan_core::balancer::LoadBalancer;
use portolan_core::capabilities::Capabilities;
use portolan_core::conformance::{Law, World, check, sample};
use portolan_core::ids::{Instance, LoadBalancerId};
use portolan_core::provider::{Applied, Call, Error, Known, Outcome, Owned, Plan, Provider, Step as _};
use portolan_core::refusal::Refusal;
use portolan_mock::clock::ManualClock;
use portolan_mock::{Mock, Parameters, State, Step, Store};
use serde_json::{Value, json};

/// How many generated histories each check runs, beside the suite's own cases. `PORTOLAN_LAWS_EDITS` says that of all that only a sample runs, of
/// so many edits.
const HISTORIES: usize = 150;

#[test]
fn the_mock_keeps_every_law() {
    sound(1, "defaults", &json!({}));
}

#[test]
fn the_mock_keeps_every_law_while_readiness_and_draining_take_time() {
    sound(2, "asynchronous", &json!({"readyAfter": "5s", "drainFor": "7s", "ipMode": "Proxy"}));
}

#[test]
fn the_mock_keeps_every_law_with_hostnames() {
    sound(3, "hostname", &json!({"readyAfter": "5s", "publish": "hostname", "teachesIdentifiers": true}));
}

#[test]
fn the_mock_keeps_every_law_without_capabilities() {
    let off = [
        "udp",
        "mixedProtocols",
        "ipv6",
        "nodeTargets",
        "sourceRanges",
        "sessionAffinity",
        "scheme",
        "requestedAddresses",
        "sharing",
    ];
    let off: serde_json::Map<_, _> = off.iter().map(|name| ((*name).to_owned(), json!(false))).collect();
    sound(4, "nearly nothing", &json!({"capabilities": off}));
}

fn sound(seed: u64, name: &str, parameters: &Value) {
    let parameters = Parameters::parse(parameters).unwrap();
    let world = || MockWorld::new(parameters.clone(), Flaw::None);
    let edits = std::env::var("PORTOLAN_LAWS_EDITS").ok().map(|text| text.parse().unwrap());
    let kept = edits.map_or_else(|| check(seed, HISTORIES, world), |edits| sample(seed, edits, world));
    match kept {
        Ok(runs) => println!("conformance, mock ({name}): {runs} runs keep the laws"),
        Err(failure) => panic!("mock ({name}): {failure}"),
    }
}

#[test]
fn a_provider_that_skips_a_step_breaks_law_1() {
    assert_eq!(broken(Flaw::SkipsAStep), Law::Settles);
}

#[test]
fn a_provider_with_a_step_that_is_not_idempotent_breaks_law_2() {
    assert_eq!(broken(Flaw::NotIdempotent), Law::SurvivesCrashes);
}

#[test]
fn a_provider_that_touches_a_foreign_object_breaks_law_3() {
    assert_eq!(broken(Flaw::TouchesForeign), Law::LeavesForeignAlone);
}

#[test]
fn a_provider_with_an_unstable_order_breaks_law_4() {
    assert_eq!(broken(Flaw::UnstableOrder), Law::IgnoresOrder);
}

#[test]
fn a_provider_that_leaks_on_delete_breaks_law_5() {
    assert_eq!(broken(Flaw::LeaksOnDelete), Law::DeletesAll);
}

#[test]
fn a_provider_that_breaks_before_it_makes_breaks_the_contract_of_published() {
    assert_eq!(broken(Flaw::BreaksBeforeItMakes), Law::KeepsPublished);
}

#[test]
fn a_provider_that_changes_what_is_held_breaks_the_contract_of_held() {
    assert_eq!(broken(Flaw::ChangesTheHeld), Law::LeavesHeldAlone);
}

fn broken(flaw: Flaw) -> Law {
    let failure = check(1, 0, || MockWorld::new(Parameters::default(), flaw)).unwrap_err();
    println!("{flaw:?}: {failure}");
    failure.law
}

/// What is wrong with a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flaw {
    None,
    /// Says that it has set the nodes, and has not.
    SkipsAStep,
    /// Putting a listener that is there removes it.
    NotIdempotent,
    /// Keeps its neighbour's file tidy, too.
    TouchesForeign,
    /// Each second plan is the other way round.
    UnstableOrder,
    /// Believes that addresses come back by themselves.
    LeaksOnDelete,
    /// Deletes what it replaces before anything else.
    BreaksBeforeItMakes,
    /// Does for one who is held what that one asks for.
    ChangesTheHeld,
}

struct MockWorld {
    store: Store,
    clock: ManualClock,
    parameters: Parameters,
    flaw: Flaw,
}

const INSTANCE: &str = "conformance";
const NEIGHBOUR: &str = "balancers/neighbour.json";

impl MockWorld {
    fn new(parameters: Parameters, flaw: Flaw) -> Self {
        let store = Store::memory();
        // Another instance has the first address of each range, and something that nobody marked lies about.
        let theirs = json!({"instance": "other", "id": "neighbour"}).to_string();
        for address in ["203.0.113.1", "10.255.0.1", "2001:db8:113::1", "2001:db8:255::1"] {
            store.replace(&format!("addresses/{address}"), theirs.as_bytes()).unwrap();
        }
        store.replace(NEIGHBOUR, theirs.as_bytes()).unwrap();
        store.replace("balancers/unmarked.json", b"{\"size\": 7}").unwrap();
        Self { store, clock: ManualClock::default(), parameters, flaw }
    }

    fn provider(&self, store: Store) -> Flawed {
        let instance = Instance::parse(INSTANCE).unwrap();
        let mock = Mock::new(self.parameters.clone(), store.clone(), instance, Arc::new(self.clock.clone()));
        Flawed { mock, store, flaw: self.flaw, plans: AtomicUsize::new(0) }
    }

    /// Names and contents of everything, ours or not.
    fn pieces(&self, ours: bool) -> Vec<(String, String)> {
        let mut pieces = Vec::new();
        for folder in ["balancers", "addresses", "owners"] {
            for name in self.store.list(folder).unwrap() {
                let piece = format!("{folder}/{name}");
                let text = String::from_utf8(self.store.read(&piece).unwrap().unwrap()).unwrap();
                if text.contains(&format!("\"instance\":\"{INSTANCE}\"")) == ours {
                    pieces.push((piece, text));
                }
            }
        }
        pieces
    }
}

impl World for MockWorld {
    type Provider = Flawed;

    fn open(&mut self) -> Flawed {
        self.provider(self.store.clone())
    }

    fn open_killed_after(&mut self, writes: u64) -> Option<Flawed> {
        Some(self.provider(self.store.killed_after(writes)))
    }

    fn settle(&mut self) {
        self.clock.advance(Duration::from_secs(10));
    }

    fn foreign(&self) -> String {
        format!("{:?}", self.pieces(false))
    }

    fn foreign_id(&self) -> Option<LoadBalancerId> {
        Some(LoadBalancerId::new("neighbour"))
    }

    fn leftovers(&self) -> Vec<String> {
        self.pieces(true).into_iter().map(|(piece, _)| piece).collect()
    }

    fn requestable(&self) -> Vec<IpAddr> {
        ["203.0.113.77", "198.18.7.7", "2001:db8:113::77"].iter().map(|address| address.parse().unwrap()).collect()
    }

    fn comparable(&self, state: &State) -> Value {
        serde_json::to_value(state).unwrap()
    }
}

/// The mock with a flaw.
struct Flawed {
    mock: Mock,
    store: Store,
    flaw: Flaw,
    plans: AtomicUsize,
}

impl Provider for Flawed {
    type State = State;
    type Step = Step;

    fn capabilities(&self) -> &Capabilities {
        self.mock.capabilities()
    }

    async fn observe_many(&self, known: &[Known]) -> Vec<Result<State, Error>> {
        self.mock.observe_many(known).await
    }

    fn plan(&self, desired: Option<&LoadBalancer>, observed: &State) -> Result<Plan<Step>, Refusal> {
        let unheld = desired.map(|desired| LoadBalancer { held: Vec::new(), ..desired.clone() });
        let desired = if self.flaw == Flaw::ChangesTheHeld { unheld.as_ref() } else { desired };
        let mut plan = self.mock.plan(desired, observed)?;
        if self.flaw == Flaw::UnstableOrder && self.plans.fetch_add(1, Ordering::Relaxed) % 2 == 1 {
            plan.steps.reverse();
        }
        if let (Flaw::BreaksBeforeItMakes, Some(Step::CreateBalancer { generation: 2, .. })) =
            (self.flaw, plan.steps.first())
        {
            plan.steps.insert(0, Step::DeleteBalancer { generation: 1 });
        }
        if self.flaw == Flaw::LeaksOnDelete {
            plan.steps.retain(|step| step.name() != "ReleaseAddress");
        }
        Ok(plan)
    }

    async fn apply(&self, step: &Step, call: &Call) -> Result<Applied, Error> {
        if let (Flaw::SkipsAStep, Step::SetNodes { .. }) = (self.flaw, step) {
            return Ok(Applied::done());
        }
        if let (Flaw::TouchesForeign, Step::SetNodes { .. }) = (self.flaw, step) {
            self.store.replace(NEIGHBOUR, json!({"instance": "other", "tidy": true}).to_string().as_bytes()).unwrap();
        }
        if let (Flaw::NotIdempotent, Step::PutListener { generation, listener }) = (self.flaw, step)
            && let Ok(State::Ours(balancer)) = &self.mock.observe_many(&[Known::nothing_of(call.id.clone())]).await[0]
            && balancer.generations.iter().any(|one| one.number == *generation && one.listeners.contains(listener))
        {
            let undo = Step::DeleteListener { generation: *generation, listener: listener.key };
            return self.mock.apply(&undo, call).await;
        }
        let before = self.store.list("addresses").unwrap_or_default();
        let applied = self.mock.apply(step, call).await;
        if let (Flaw::LeaksOnDelete, Step::DeleteBalancer { .. }) = (self.flaw, step) {
            for address in before {
                let owner = json!({"id": call.id, "instance": INSTANCE}).to_string();
                self.store.create(&format!("addresses/{address}"), owner.as_bytes()).unwrap();
            }
        }
        applied
    }

    fn outcome(&self, desired: Option<&LoadBalancer>, observed: &State) -> Outcome {
        self.mock.outcome(desired, observed)
    }

    async fn inventory(&self) -> Result<Vec<Owned>, Error> {
        self.mock.inventory().await
    }

    fn changes(&self) -> impl Stream<Item = LoadBalancerId> + Send + 'static {
        self.mock.changes()
    }
}
