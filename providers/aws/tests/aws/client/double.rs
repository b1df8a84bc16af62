//! A double of AWS in front of moto, for one case alone, with a small network planted in it.

use std::future::Future;
use std::time::Duration;

use portolan_aws::client::budget::Limit;
use portolan_aws::client::{Aws, Limits, Options, Patience};
use portolan_aws::policy::Policy;
use portolan_aws_double::emulator::{self, Which};
use portolan_aws_double::{Double, Seed, Service, Timings};

use crate::emulated::{CLUSTER, REGION, connect, options};

/// What a case has.
pub(crate) struct Stage {
    pub(crate) double: Double,
    pub(crate) seed: Seed,
    pub(crate) aws: Aws,
}

/// Runs a case against a double where nothing takes any time, or says that it did not.
pub(crate) async fn on_double<F: Future<Output = ()>>(name: &str, case: impl FnOnce(Stage) -> F) {
    on_double_with(name, Timings::none(), case).await;
}

/// Runs a case against a double, with the rights of our own policies, or says that it did not.
pub(crate) async fn on_double_with<F: Future<Output = ()>>(
    name: &str,
    timings: Timings,
    case: impl FnOnce(Stage) -> F,
) {
    let Some(upstream) = emulator::endpoint(Which::Moto).await.unwrap() else {
        emulator::say_skipped(Which::Moto, name);
        return;
    };
    let run = async {
        let double = Double::at(&upstream).timings(timings).start().await.unwrap();
        let seed = double.seed(REGION, CLUSTER).await.unwrap();
        double.permissions().allow(Policy::ALL.into_iter().flat_map(Policy::permissions));
        let plenty = Limit { capacity: 1000.0, rate: 1000.0 };
        let limits =
            Limits { describe: plenty, change: plenty, register: plenty, ec2_describe: plenty, ec2_change: plenty };
        let patience = Patience { pause: Duration::from_millis(1), ..Patience::default() };
        let aws = connect(&Options { limits, patience, ..options(&double.endpoint()) }).await;
        case(Stage { double, seed, aws }).await;
    };
    tokio::time::timeout(Duration::from_secs(120), run).await.expect("the case ends in two minutes");
}

impl Stage {
    /// The providerIDs of the nodes.
    pub(crate) fn nodes(&self) -> Vec<String> {
        self.seed.instances.iter().map(|instance| format!("aws:///{REGION}a/{instance}")).collect()
    }

    /// The actions since this mark of the log, in order.
    pub(crate) fn actions(&self, mark: usize) -> Vec<String> {
        self.double.log().calls_since(mark).iter().map(|call| call.action.clone()).collect()
    }

    /// Somebody else's hand at EC2.
    pub(crate) async fn by_hand(&self, action: &str, pairs: &[(&str, &str)]) {
        self.double.by_hand(Service::Ec2, REGION, action, pairs).await.unwrap();
    }
}
