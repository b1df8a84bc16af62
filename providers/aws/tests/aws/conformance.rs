//! Model, plan and outcome keep the laws of `portolan_core::provider` on a double of AWS's state; and the rules of a plan, one by one:
//!
//! | What | File |
//! |---|---|
//! | the double, the network, and the lab that a rule is looked at in | `conformance/cloud.rs`, `conformance/estate.rs`, `conformance/lab.rs` |
//! | order and cost, what is not ours, what is told | `conformance/rules.rs` |
//! | when another generation is made, and when the first one goes | `conformance/generations.rs` |
//! | who the targets are, and when they leave | `conformance/targets.rs` |
//! | who gets in | `conformance/security.rs` |
//! | attributes and tags that are given and go again | `conformance/given.rs` |
//! | Services that share a balancer | `conformance/members.rs` |
//! | what is published | `conformance/publishing.rs` |
//! | IPv6 | `conformance/families.rs` |

mod cloud;
pub(crate) mod estate;
mod families;
mod generations;
mod given;
mod lab;
mod members;
mod prefix_lists;
mod publishing;
mod rules;
mod security;
mod targets;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use futures::Stream;
use portolan_aws::model::{self, Model};
use portolan_aws::names::Names;
use portolan_aws::{Estate, Parameters, State, Step, outcome, plan};
use portolan_core::balancer::{Family, LoadBalancer, Protocol};
use portolan_core::capabilities::Capabilities;
use portolan_core::conformance::{World, check, sample};
use portolan_core::ids::{Instance, LoadBalancerId};
use portolan_core::provider::{Applied, Call, Error, Known, Outcome, Owned, Plan, Provider};
use portolan_core::reason::Reason;
use portolan_core::refusal::Refusal;
use serde_json::{Value, json};

/// How many generated histories each check runs, beside the suite's own cases. `PORTOLAN_LAWS_EDITS` says that of all that only a sample runs, of
/// so many edits.
const HISTORIES: usize = 20;

#[test]
fn an_nlb_with_nodes_as_targets_keeps_every_law() {
    sound(1, "nodes", &json!({}), &[Family::V4], true);
}

#[test]
fn an_nlb_with_pods_as_targets_keeps_every_law() {
    sound(2, "pods", &json!({"targetType": "ip"}), &[Family::V4], false);
}

#[test]
fn an_nlb_of_both_families_keeps_every_law() {
    sound(3, "dualstack", &json!({}), &[Family::V4, Family::V6], true);
}

#[test]
fn an_nlb_without_security_groups_keeps_every_law() {
    sound(4, "no security groups", &json!({"securityGroups": "none"}), &[Family::V4], true);
}

#[test]
fn an_nlb_in_a_class_without_a_shared_security_group_keeps_every_law() {
    let parameters = json!({"clusterName": "prod", "backendSecurityGroup": "none"});
    sound_of(5, "no shared security group", &parameters, &[Family::V4], true);
}

fn sound(seed: u64, name: &str, defaults: &Value, families: &[Family], nodes: bool) {
    sound_of(seed, name, &json!({"clusterName": "prod", "defaults": defaults}), families, nodes);
}

fn sound_of(seed: u64, name: &str, parameters: &Value, families: &[Family], nodes: bool) {
    let parameters = Parameters::parse(parameters).unwrap();
    // UDP to a dualstack balancer needs more than the suite asks for.
    let is_dualstack = families.len() > 1;
    let capabilities = Capabilities {
        protocols: if is_dualstack { [Protocol::Tcp].into() } else { [Protocol::Tcp, Protocol::Udp].into() },
        mixed_protocols: !is_dualstack,
        one_listener_a_number: true,
        families: families.iter().copied().collect(),
        lacking: [].into(),
        node_targets: nodes,
        // Where the class says ip, no port goes to nodes; else a port without node port goes to its pods.
        pod_targets: true,
        by_way_of_nodes: false,
        readiness_gates: true,
        source_ranges: true,
        session_affinity: false,
        scheme: true,
        requested_addresses: false,
        sharing: true,
    };
    let world = || AwsWorld::new(parameters.clone(), capabilities.clone());
    let edits = std::env::var("PORTOLAN_LAWS_EDITS").ok().map(|text| text.parse().unwrap());
    let kept = edits.map_or_else(|| check(seed, HISTORIES, world), |edits| sample(seed, edits, world));
    match kept {
        Ok(runs) => println!("conformance, aws ({name}): {runs} runs keep the laws"),
        Err(failure) => panic!("aws ({name}): {failure}"),
    }
}

/// Every load balancer there is, by id.
type Cloud = Arc<Mutex<BTreeMap<LoadBalancerId, State>>>;

struct AwsWorld {
    cloud: Cloud,
    parameters: Parameters,
    capabilities: Capabilities,
}

impl AwsWorld {
    fn new(parameters: Parameters, capabilities: Capabilities) -> Self {
        // Somebody else's balancer has the name that ours would have; the suite asks for its own id there.
        let ours = LoadBalancerId::new("0b8a3c1e-5d1f-4c52-9a3e-7f6d2b1c0a99");
        let name = Names::new(&parameters.cluster_name, &Instance::default(), &ours).balancer(1);
        let theirs = State { taken: [name].into(), ..State::default() };
        let cloud = Arc::new(Mutex::new([(neighbour(), theirs)].into()));
        Self { cloud, parameters, capabilities }
    }

    fn provider(&self, calls: Option<u64>) -> Aws {
        Aws {
            cloud: self.cloud.clone(),
            parameters: self.parameters.clone(),
            capabilities: self.capabilities.clone(),
            estate: estate::estate(),
            instance: Instance::default(),
            calls: calls.map(AtomicU64::new),
        }
    }
}

fn neighbour() -> LoadBalancerId {
    LoadBalancerId::new("neighbour")
}

impl World for AwsWorld {
    type Provider = Aws;

    fn open(&mut self) -> Aws {
        self.provider(None)
    }

    fn open_killed_after(&mut self, writes: u64) -> Option<Aws> {
        Some(self.provider(Some(writes)))
    }

    fn settle(&mut self) {
        self.cloud.lock().unwrap().values_mut().for_each(cloud::settle);
    }

    fn foreign(&self) -> String {
        format!("{:?}", self.cloud.lock().unwrap().get(&neighbour()))
    }

    fn foreign_id(&self) -> Option<LoadBalancerId> {
        Some(neighbour())
    }

    fn leftovers(&self) -> Vec<String> {
        self.cloud.lock().unwrap().values().flat_map(cloud::all).collect()
    }

    fn requestable(&self) -> Vec<IpAddr> {
        Vec::new()
    }

    fn comparable(&self, state: &State) -> Value {
        serde_json::to_value(state).unwrap()
    }

    fn told(&self, outcome: &Outcome) -> String {
        without_verdicts(outcome)
    }
}

/// What became of each subnet is told where somebody looks for one, and not while nobody may be moved.
pub(crate) fn without_verdicts(outcome: &Outcome) -> String {
    let mut outcome = outcome.clone();
    let hostname = outcome.assigned.message.split("; ").next().unwrap_or_default().to_owned();
    (outcome.assigned.message, outcome.assigned.reasons) = (hostname, Vec::new());
    format!("{outcome:?}")
}

/// Model, plan and outcome over the double.
struct Aws {
    cloud: Cloud,
    parameters: Parameters,
    capabilities: Capabilities,
    estate: Estate,
    instance: Instance,
    /// The calls until the process dies.
    calls: Option<AtomicU64>,
}

impl Aws {
    fn model(&self, desired: &LoadBalancer, observed: &State) -> Result<Model, Refusal> {
        let settings = estate::settings(desired, &self.parameters)?;
        model::of(&model::Input {
            desired,
            settings: &settings,
            parameters: &self.parameters,
            instance: &self.instance,
            estate: &self.estate,
            observed,
        })
    }
}

impl Provider for Aws {
    type State = State;
    type Step = Step;

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    async fn observe_many(&self, known: &[Known]) -> Vec<Result<State, Error>> {
        let cloud = self.cloud.lock().unwrap();
        known.iter().map(|one| Ok(cloud.get(&one.id).cloned().unwrap_or_default())).collect()
    }

    fn plan(&self, desired: Option<&LoadBalancer>, observed: &State) -> Result<Plan<Step>, Refusal> {
        let model = desired.map(|desired| self.model(desired, observed)).transpose()?;
        let published = desired.map(|desired| desired.published.as_slice()).unwrap_or_default();
        plan(model.as_ref(), observed, published)
    }

    async fn apply(&self, step: &Step, call: &Call) -> Result<Applied, Error> {
        if let Some(calls) = &self.calls {
            let left = calls.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
            left.map_err(|_| Error::retry(Reason::ProviderFailed, "killed"))?;
        }
        let mut cloud = self.cloud.lock().unwrap();
        cloud::apply(cloud.entry(call.id.clone()).or_default(), step)
            .map_err(|why| Error::terminal(Reason::ProviderRefused, why))?;
        Ok(Applied::done())
    }

    fn outcome(&self, desired: Option<&LoadBalancer>, observed: &State) -> Outcome {
        let model = desired.map(|desired| self.model(desired, observed).unwrap());
        let published = desired.map(|desired| desired.published.as_slice()).unwrap_or_default();
        outcome(model.as_ref(), observed, published)
    }

    async fn inventory(&self) -> Result<Vec<Owned>, Error> {
        let cloud = self.cloud.lock().unwrap();
        let owned = |(id, state): (&LoadBalancerId, &State)| {
            let id = id.clone();
            cloud::all(state).into_iter().map(move |object| Owned { id: id.clone(), object })
        };
        Ok(cloud.iter().flat_map(owned).collect())
    }

    fn changes(&self) -> impl Stream<Item = LoadBalancerId> + Send + 'static {
        futures::stream::pending()
    }
}
