//! The laws of `portolan_core::provider` on the whole provider, over the double in front of moto: a sample of the core's conformance suite, by a
//! seed, since every run makes dozens of calls. The pure half keeps all of it (`conformance.rs`), and kills at every call are in `killed.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::Stream;
use portolan_aws::ids::ClusterName;
use portolan_aws::names::{LOAD_BALANCER, Names};
use portolan_aws::provider::Seen;
use portolan_aws::{Account, Nlb, Parameters, Step};
use portolan_aws_double::emulator::{self, Which};
use portolan_aws_double::xml::Element;
use portolan_aws_double::{Double, Inventory, Policies, Seed, Service as Api};
use portolan_core::balancer::LoadBalancer;
use portolan_core::capabilities::Capabilities;
use portolan_core::conformance::{World, sample};
use portolan_core::ids::{Instance, LoadBalancerId};
use portolan_core::provider::{Applied, Call, Error, Known, Outcome, Owned, Plan, Provider};
use portolan_core::refusal::Refusal;
use serde_json::{Value, json};

use super::clock::HandClock;
use super::stage::unlimited;
use crate::conformance::{estate, without_verdicts};
use crate::emulated::{CLUSTER, REGION};

/// How many edits of the suite, unless `PORTOLAN_CONFORMANCE_EDITS` says otherwise.
const EDITS: usize = 5;

#[test]
fn the_whole_provider_keeps_every_law() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    // The suite drives the futures itself.
    let _guard = runtime.enter();
    let Some(upstream) = runtime.block_on(emulator::endpoint(Which::Moto)).unwrap() else {
        return emulator::say_skipped(Which::Moto, "the laws");
    };
    let ground = Arc::new(runtime.block_on(Ground::prepare(&upstream)));
    let edits = std::env::var("PORTOLAN_CONFORMANCE_EDITS").map_or(EDITS, |edits| edits.parse().unwrap());
    let world = || {
        runtime.block_on(ground.clear());
        AwsWorld { ground: Arc::clone(&ground), runtime: runtime.handle().clone() }
    };
    match sample(6, edits, world) {
        Ok(runs) => println!("conformance, aws (whole): {runs} runs keep the laws"),
        Err(failure) => panic!("aws (whole): {failure}"),
    }
    let denied: Vec<_> = ground.double.log().calls().into_iter().filter(|call| call.was_denied()).collect();
    assert!(denied.is_empty(), "{denied:#?}");
}

/// What all runs act on, one after the other.
struct Ground {
    double: Double,
    seed: Seed,
    clock: HandClock,
    parameters: Parameters,
    capabilities: Capabilities,
    /// One for each node of the suite.
    instances: Vec<String>,
}

/// Under this id our balancer would have the name of somebody else's.
fn neighbour() -> LoadBalancerId {
    LoadBalancerId::new("neighbour")
}

impl Ground {
    async fn prepare(upstream: &str) -> Self {
        let double = Double::at(upstream).start().await.unwrap();
        let seed = double.seed(REGION, CLUSTER).await.unwrap();
        double.permissions().enforce(Policies::deployed(CLUSTER).unwrap());
        let clock = HandClock::new(double.clock().clone());
        let parameters = Parameters::parse(&json!({"clusterName": CLUSTER, "vpcId": seed.vpc})).unwrap();
        let account = Account::new(unlimited(&double), Arc::new(clock.clone()));
        let nlb = Nlb::new(parameters.clone(), Instance::default(), account);
        // Whether sessions stay is the annotations' and the protocol's; IPv6 has its cases in `listeners.rs`.
        let mut capabilities = nlb.capabilities().clone();
        capabilities.session_affinity = false;
        capabilities.families.retain(|family| *family == portolan_core::balancer::Family::V4);
        let mut instances = seed.instances.clone();
        instances.push(super::targets::new_instance(&double, &seed).await);
        let ground = Self { double, seed, clock, parameters, capabilities, instances };
        ground.settle_neighbour().await;
        ground
    }

    /// Somebody else's balancer, listener, group and target.
    async fn settle_neighbour(&self) {
        let name = Names::new(&ClusterName::parse(CLUSTER).unwrap(), &Instance::default(), &neighbour()).balancer(1);
        let subnets = &self.seed.private_subnets;
        let balancer =
            [("Name", name.as_str()), ("Type", "network"), ("Scheme", "internal"), ("Subnets.member.1", &subnets[0])];
        self.elb("CreateLoadBalancer", &balancer).await;
        let group = [("Name", "theirs"), ("Protocol", "TCP"), ("Port", "80"), ("VpcId", &self.seed.vpc)];
        self.elb("CreateTargetGroup", &group).await;
        let there = self.double.inventory(REGION).await;
        let (balancer, group) = (&there.balancers[&name], &there.groups["theirs"]);
        let listener = [
            ("LoadBalancerArn", balancer.as_str()),
            ("Protocol", "TCP"),
            ("Port", "80"),
            ("DefaultActions.member.1.Type", "forward"),
            ("DefaultActions.member.1.TargetGroupArn", group),
        ];
        self.elb("CreateListener", &listener).await;
        let target = [("TargetGroupArn", group.as_str()), ("Targets.member.1.Id", &self.instances[0])];
        self.elb("RegisterTargets", &target).await;
    }

    async fn elb(&self, action: &str, pairs: &[(&str, &str)]) {
        self.double.by_hand(Api::ElasticLoadBalancing, REGION, action, pairs).await.unwrap();
    }

    /// Takes away what the run before has left.
    async fn clear(&self) {
        let there = self.double.inventory(REGION).await;
        let ours = |arn: &&String| there.tags[*arn].contains_key(LOAD_BALANCER);
        for arn in there.balancers.values().filter(ours) {
            self.elb("DeleteLoadBalancer", &[("LoadBalancerArn", arn)]).await;
        }
        for arn in there.groups.values().filter(ours) {
            self.elb("DeleteTargetGroup", &[("TargetGroupArn", arn)]).await;
        }
        for (id, _) in self.security_groups().await {
            self.double.by_hand(Api::Ec2, REGION, "DeleteSecurityGroup", &[("GroupId", &id)]).await.unwrap();
        }
    }

    /// Those of single load balancers: id and name.
    async fn security_groups(&self) -> Vec<(String, String)> {
        let pairs = [("Filter.1.Name", "tag-key"), ("Filter.1.Value.1", LOAD_BALANCER)];
        let answer = self.double.by_hand(Api::Ec2, REGION, "DescribeSecurityGroups", &pairs).await.unwrap();
        let groups = answer.child("securityGroupInfo").map(|set| set.children.clone()).unwrap_or_default();
        let text = |group: &Element, name: &str| group.text_at(&[name]).unwrap_or_default().to_owned();
        groups.iter().map(|group| (text(group, "groupId"), text(group, "groupName"))).collect()
    }

    /// As the runtime would hand it over: with settings, and nodes that are instances.
    fn at_aws(&self, desired: &LoadBalancer) -> Result<LoadBalancer, Refusal> {
        let mut desired = desired.clone();
        let settings = estate::settings(&desired, &self.parameters)?;
        desired.settings = settings.into_iter().map(|(uid, settings)| (uid, json!(settings))).collect();
        for node in &mut desired.nodes {
            let number: usize = node.name.as_str().trim_start_matches("node-").parse().unwrap();
            node.provider_id = Some(format!("aws:///{REGION}a/{}", self.instances[number - 1]));
        }
        Ok(desired)
    }

    fn advance(&self, by: Duration) {
        self.clock.advance(by);
        self.double.skew(self.clock.elapsed().try_into().unwrap());
    }
}

struct AwsWorld {
    ground: Arc<Ground>,
    runtime: tokio::runtime::Handle,
}

impl AwsWorld {
    fn inventory(&self) -> Inventory {
        self.runtime.block_on(self.ground.double.inventory(REGION))
    }
}

impl World for AwsWorld {
    type Provider = Whole;

    fn open(&mut self) -> Whole {
        let options = unlimited(&self.ground.double);
        let account = Account::new(options, Arc::new(self.ground.clock.clone()));
        let nlb = Nlb::new(self.ground.parameters.clone(), Instance::default(), account);
        Whole { nlb, ground: Arc::clone(&self.ground) }
    }

    /// Every step is one call that changes something, and a process that has not looked carries none out.
    fn open_killed_after(&mut self, _writes: u64) -> Option<Whole> {
        None
    }

    fn settle(&mut self) {
        self.ground.advance(Duration::from_secs(200));
    }

    fn foreign(&self) -> String {
        let there = self.inventory();
        let theirs = |arn: &String| there.tags.get(arn).is_none_or(|tags| !tags.contains_key(LOAD_BALANCER));
        let balancers: BTreeSet<_> = there.balancers.iter().filter(|(_, arn)| theirs(arn)).collect();
        let groups: BTreeSet<_> = there.groups.iter().filter(|(_, arn)| theirs(arn)).collect();
        let named = |name: &String| balancers.iter().any(|(other, _)| *other == name);
        let listeners: Vec<_> = there.listeners.iter().filter(|((balancer, _), _)| named(balancer)).collect();
        let targets: Vec<_> = groups.iter().map(|(name, _)| &there.targets[*name]).collect();
        let tags: BTreeMap<_, _> = there.tags.iter().filter(|(arn, _)| theirs(arn)).collect();
        format!("{balancers:?} {groups:?} {listeners:?} {targets:?} {tags:?}")
    }

    fn foreign_id(&self) -> Option<LoadBalancerId> {
        Some(neighbour())
    }

    fn leftovers(&self) -> Vec<String> {
        let there = self.inventory();
        let all = there.balancers.iter().chain(&there.groups);
        let ours = all.filter(|(_, arn)| there.tags[*arn].contains_key(LOAD_BALANCER)).map(|(name, _)| name.clone());
        let groups = self.runtime.block_on(self.ground.security_groups());
        ours.chain(groups.into_iter().map(|(_, name)| name)).collect()
    }

    fn requestable(&self) -> Vec<IpAddr> {
        Vec::new()
    }

    fn comparable(&self, state: &Seen) -> Value {
        Value::String(without_chance(&serde_json::to_string(&state.state).unwrap()))
    }

    fn told(&self, outcome: &Outcome) -> String {
        without_chance(&without_verdicts(outcome))
    }
}

/// Without what AWS makes up: identifiers, at the end of ARNs and hostnames too. Our names are as long, and stay.
fn without_chance(text: &str) -> String {
    const OURS: &str = "portolan-";
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let parts = text.split_inclusive(|c| !is_word(c)).map(|part| {
        let word = part.trim_end_matches(|c| !is_word(c));
        let is_made_up = |word: &str| word.len() >= 16 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
        let kept = match word.strip_prefix(OURS) {
            Some(rest) => rest.split('-').next().map_or(0, |name| OURS.len() + name.len()),
            None if word.rsplit('-').next().is_some_and(is_made_up) => 0,
            None => word.len(),
        };
        [&word[..kept], if kept < word.len() { "#" } else { "" }, &part[word.len()..]].concat()
    });
    parts.collect()
}

/// The provider as it is, told what the runtime would tell it.
struct Whole {
    nlb: Nlb,
    ground: Arc<Ground>,
}

impl Provider for Whole {
    type State = Seen;
    type Step = Step;

    fn capabilities(&self) -> &Capabilities {
        &self.ground.capabilities
    }

    async fn observe_many(&self, known: &[Known]) -> Vec<Result<Seen, Error>> {
        self.nlb.observe_many(known).await
    }

    fn plan(&self, desired: Option<&LoadBalancer>, observed: &Seen) -> Result<Plan<Step>, Refusal> {
        let desired = desired.map(|desired| self.ground.at_aws(desired)).transpose()?;
        self.nlb.plan(desired.as_ref(), observed)
    }

    async fn apply(&self, step: &Step, call: &Call) -> Result<Applied, Error> {
        self.nlb.apply(step, call).await
    }

    fn remembered(&self, state: &Seen) -> Option<BTreeMap<String, String>> {
        self.nlb.remembered(state)
    }

    fn outcome(&self, desired: Option<&LoadBalancer>, observed: &Seen) -> Outcome {
        let desired = desired.map(|desired| self.ground.at_aws(desired).unwrap());
        self.nlb.outcome(desired.as_ref(), observed)
    }

    async fn inventory(&self) -> Result<Vec<Owned>, Error> {
        self.nlb.inventory().await
    }

    fn changes(&self) -> impl Stream<Item = LoadBalancerId> + Send + 'static {
        self.nlb.changes()
    }
}
