//! What a case works with: the strict double of AWS, in front of moto or of LocalStack and in an account of its own, a network in it, and a
//! client of it.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use portolan_aws::client::{AccessKey, Aws, Options};
use portolan_aws::clock::SystemClock;
use portolan_aws_double::emulator::{self, Which};
use portolan_aws_double::{Double, Seed};

pub(crate) const REGION: &str = "eu-central-1";

/// The cluster of the network, and of what is made in it.
pub(crate) const CLUSTER: &str = "prod";

/// What a case is given.
pub(crate) struct World {
    pub(crate) aws: Aws,
    pub(crate) double: Double,
    pub(crate) seed: Seed,
}

/// Each case twice: in front of moto and in front of LocalStack.
macro_rules! on_both {
    ($($case:ident),* $(,)?) => {
        mod moto {
            $(#[tokio::test] async fn $case() { crate::emulated::run(portolan_aws_double::emulator::Which::Moto, stringify!($case), super::$case).await; })*
        }
        mod localstack {
            $(#[tokio::test] async fn $case() { crate::emulated::run(portolan_aws_double::emulator::Which::LocalStack, stringify!($case), super::$case).await; })*
        }
    };
}

/// Runs one case, or says that it was skipped.
pub(crate) async fn run<F: Future<Output = ()>>(which: Which, name: &str, case: impl FnOnce(World) -> F) {
    let Some(upstream) = emulator::endpoint(which).await.unwrap() else {
        return emulator::say_skipped(which, name);
    };
    let double = Double::start(&upstream).await.unwrap();
    let seed = double.seed(REGION, CLUSTER).await.unwrap();
    let aws = connect(&options(&double.endpoint())).await;
    tokio::time::timeout(Duration::from_secs(120), case(World { aws, double, seed }))
        .await
        .expect("the case ends in two minutes");
}

pub(crate) fn options(endpoint: &str) -> Options {
    Options {
        region: Some(REGION.to_owned()),
        endpoint: Some(endpoint.to_owned()),
        key: Some(AccessKey { id: "AKIDTEST".to_owned(), secret: "secret".to_owned() }),
        ..Options::default()
    }
}

pub(crate) async fn connect(options: &Options) -> Aws {
    Aws::connect(options, Arc::new(SystemClock::start())).await.unwrap()
}
