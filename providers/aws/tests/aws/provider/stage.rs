//! What a case acts in: a double of AWS, a Kubernetes in memory with a record for each Service, a clock moved by hand, and the process that
//! serves them.
//!
//! | What | File |
//! |---|---|
//! | Services, endpoints, nodes, records | `stage/kubernetes.rs` |
//! | the runtime's loop in small | `stage/runtime.rs` |
//! | what AWS has, and what it was asked for | `stage/aws.rs` |

mod aws;
mod kubernetes;
mod runtime;

use std::collections::BTreeMap;
use std::ops::AsyncFnOnce;
use std::sync::Arc;
use std::time::Duration;

use portolan_aws::client::budget::Limit;
use portolan_aws::client::{Limits, Options, Patience};
use portolan_aws::{Account, Nlb, Parameters};
use portolan_aws_double::double::Builder;
use portolan_aws_double::emulator::{self, Which};
use portolan_aws_double::{Double, Log, Policies, Seed, Timings};
use portolan_core::class::Class;
use portolan_core::examples;
use portolan_core::facts::Facts;
use portolan_core::ids::Instance;
use portolan_core::snapshot::Node;
use serde_json::{Value, json};

pub(crate) use self::kubernetes::{Kept, annotate, node, service};
pub(crate) use self::runtime::End;

use self::kubernetes::Cluster;
use super::clock::HandClock;
use crate::emulated::{CLUSTER, REGION, options};

/// How often the provider asks AWS for what is in motion.
pub(crate) const TICK: Duration = Duration::from_secs(5);

/// What a case works with.
pub(crate) struct Stage {
    pub(crate) double: Double,
    pub(crate) seed: Seed,
    pub(crate) clock: HandClock,
    pub(crate) nodes: Vec<Arc<Node>>,
    /// By the Service's name.
    pub(crate) kept: BTreeMap<String, Kept>,
    pub(crate) options: Options,
    pub(crate) class: Class,
    cluster: Arc<Cluster>,
    /// Ends with the process.
    nlb: Nlb,
}

/// Everything takes time, as at AWS, and not so long that it is polled a hundred times; but that what is made is not shown at once has cases of
/// its own (`provider/faults.rs`) and those that take as long as at AWS.
pub(crate) const SOON: Timings = Timings {
    provisioning: Duration::from_secs(12),
    registration: Duration::from_secs(12),
    draining: Some(Duration::from_secs(12)),
    release: Duration::from_secs(20),
    interface_release: Duration::from_secs(30),
    visibility: Duration::ZERO,
};

/// Runs a case under the IAM policies of `deploy/aws`, where everything takes its time and we hold ourselves to no budget; or says that it did not run.
pub(crate) async fn on_stage(name: &str, case: impl AsyncFnOnce(Stage)) {
    on(name, json!({}), |double| double.timings(SOON), case).await;
}

/// The same, where everything takes as long as at AWS.
pub(crate) async fn on_stage_in_full(name: &str, case: impl AsyncFnOnce(Stage)) {
    on(name, json!({}), |double| double.timings(Timings::aws()), case).await;
}

/// The same, with these parameters of the class (beside the cluster and the VPC) and this double.
pub(crate) async fn on(
    name: &str,
    parameters: Value,
    double: impl FnOnce(Builder) -> Builder,
    case: impl AsyncFnOnce(Stage),
) {
    allowed(&play(name, parameters, double, case).await);
}

/// The same as [`on_stage`], in front of LocalStack: some cases run there too.
pub(crate) async fn on_localstack(name: &str, case: impl AsyncFnOnce(Stage)) {
    allowed(&play_at(Which::LocalStack, name, json!({}), |double| double.timings(SOON), case).await);
}

/// Nothing was asked for that the IAM policies of `deploy/aws` do not allow.
fn allowed(log: &Option<Log>) {
    let Some(log) = log else { return };
    let denied: Vec<_> = log.calls().into_iter().filter(|call| call.was_denied()).collect();
    assert!(denied.is_empty(), "what we hand out as IAM policies allows all that is called: {denied:#?}");
}

/// The same, where calls may be denied; what was called.
pub(crate) async fn play(
    name: &str,
    parameters: Value,
    double: impl FnOnce(Builder) -> Builder,
    case: impl AsyncFnOnce(Stage),
) -> Option<Log> {
    // All of them at LocalStack take some minutes more.
    let is_at_localstack = std::env::var("PORTOLAN_PROVIDER_AT").is_ok_and(|name| name == "localstack");
    let which = if is_at_localstack { Which::LocalStack } else { Which::Moto };
    play_at(which, name, parameters, double, case).await
}

async fn play_at(
    which: Which,
    name: &str,
    parameters: Value,
    double: impl FnOnce(Builder) -> Builder,
    case: impl AsyncFnOnce(Stage),
) -> Option<Log> {
    let Some(upstream) = emulator::endpoint(which).await.unwrap() else {
        emulator::say_skipped(which, name);
        return None;
    };
    let run = async {
        let stage = Stage::start(double(Double::at(&upstream)), parameters).await;
        let log = stage.double.log().clone();
        case(stage).await;
        log
    };
    Some(tokio::time::timeout(Duration::from_secs(120), run).await.expect("the case ends in two minutes"))
}

impl Stage {
    async fn start(double: Builder, parameters: Value) -> Self {
        let double = double.start().await.unwrap();
        let seed = double.seed(REGION, CLUSTER).await.unwrap();
        double.permissions().enforce(Policies::deployed(CLUSTER).unwrap());
        let mut all = json!({"clusterName": CLUSTER, "vpcId": seed.vpc});
        all.as_object_mut().unwrap().extend(parameters.as_object().cloned().unwrap());
        let clock = HandClock::new(double.clock().clone());
        let options = unlimited(&double);
        let class = Class { parameters: all, ..examples::class("portolan.dev/aws") };
        let node = |(number, instance): (usize, &String)| node(number, instance);
        let nodes = seed.instances.iter().enumerate().map(node).collect();
        let cluster = Arc::default();
        let nlb = begin(&class, &options, &clock, &cluster);
        Self { double, seed, clock, nodes, kept: BTreeMap::new(), options, class, cluster, nlb }
    }

    /// Another process, which knows what the records hold.
    pub(crate) fn restart(&mut self) {
        self.nlb = begin(&self.class, &self.options, &self.clock, &self.cluster);
    }

    /// The same, which knows besides who has a record.
    pub(crate) fn restart_among(&mut self) {
        self.keep_records();
        self.restart();
    }

    /// Another process, whose class says this beside the cluster and the VPC.
    pub(crate) fn restart_with(&mut self, parameters: &Value) {
        let all = self.class.parameters.as_object_mut().unwrap();
        all.extend(parameters.as_object().cloned().unwrap());
        self.restart();
    }

    pub(crate) fn nlb(&self) -> &Nlb {
        &self.nlb
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.clock.advance(by);
        self.double.skew(self.clock.elapsed().try_into().unwrap());
    }
}

/// A process that begins.
fn begin(class: &Class, options: &Options, clock: &HandClock, cluster: &Arc<Cluster>) -> Nlb {
    let facts: Arc<dyn Facts> = Arc::clone(cluster) as _;
    let account = Account::with_facts(options.clone(), Arc::new(clock.clone()), facts);
    Nlb::new(Parameters::parse(&class.parameters).unwrap(), Instance::default(), account)
}

/// Where we hold ourselves to no budget.
pub(crate) fn unlimited(double: &Double) -> Options {
    let plenty = Limit { capacity: 10_000.0, rate: 10_000.0 };
    let limits =
        Limits { describe: plenty, change: plenty, register: plenty, ec2_describe: plenty, ec2_change: plenty };
    Options { limits, ..options(&double.endpoint()) }
}

/// Without waiting: one attempt at each call.
pub(crate) fn once() -> Patience {
    Patience { attempts: 1, ..Patience::default() }
}
