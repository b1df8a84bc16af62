//! What a case works with: an emulator that is started once for all of them, a double of its own, a client, a network.

use std::future::Future;
use std::time::Duration;

use portolan_aws_double::emulator::{self, Which};
use portolan_aws_double::{Builder, Double, Seed};

use crate::client::Client;

pub(crate) const REGION: &str = "eu-central-1";

/// What a case is given.
pub(crate) struct World {
    upstream: String,
}

/// A double with a client of it and a network behind it.
pub(crate) struct Estate {
    pub(crate) double: Double,
    pub(crate) client: Client,
    pub(crate) seed: Seed,
}

impl World {
    /// A double in an account of its own, as it is unless a case says otherwise.
    pub(crate) async fn estate(&self) -> Estate {
        self.estate_with(|builder| builder).await
    }

    /// A double in front of the account of another one.
    pub(crate) async fn after(&self, other: &Estate) -> Estate {
        let double = Double::at(&self.upstream).account(other.double.account()).adopt().start().await.unwrap();
        let client = Client::of(&double.endpoint(), "AKIDTEST");
        Estate { double, client, seed: other.seed.clone() }
    }

    pub(crate) async fn estate_with(&self, with: impl FnOnce(Builder) -> Builder) -> Estate {
        let double = with(Double::at(&self.upstream)).start().await.unwrap();
        let seed = double.seed(REGION, "prod").await.unwrap();
        let client = Client::of(&double.endpoint(), "AKIDTEST");
        Estate { double, client, seed }
    }
}

/// Runs one case, or says that it was skipped.
pub(crate) async fn run<F: Future<Output = ()>>(which: Which, name: &str, case: impl FnOnce(World) -> F) {
    match emulator::endpoint(which).await.unwrap() {
        Some(upstream) => tokio::time::timeout(Duration::from_secs(120), case(World { upstream }))
            .await
            .expect("the case ends in two minutes"),
        None => emulator::say_skipped(which, name),
    }
}
