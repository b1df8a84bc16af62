//! The client half: everything that speaks to AWS. No type of an SDK leaves this module.
//!
//! | What | Module |
//! |---|---|
//! | load balancers, listeners, target groups, targets, tags | [`elb`], on the SDK |
//! | subnets, VPCs, routes, security groups, instances, interfaces, zones | [`ec2`], a thin client of our own: the SDK takes ten minutes and 8 GiB to build |
//! | which calls there are | [`action`] |
//! | what an error of AWS's means and what to do about it | [`error`], as data in `client/error/table.rs` |
//! | how many calls there may be, and who goes first | [`budget`] |
//! | waiting, trying, trying again | `caller` |
//! | one missing object does not hide the others | `batch` |
//! | credentials, clocks, endpoints, connections | `credentials`, `skew`, `configured`, `transport` |

use std::sync::Arc;

use aws_config::BehaviorVersion;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_types::SdkConfig;
use aws_types::region::Region;

use crate::client::caller::Caller;
use crate::client::credentials::Keys;
use crate::client::skew::AwsTime;
use crate::clock::Clock;

pub mod action;
mod batch;
pub mod budget;
mod caller;
mod configured;
mod credentials;
pub mod ec2;
pub mod elb;
pub mod error;
pub mod names;
mod skew;
mod transport;

pub use budget::{Lane, Limits};
pub use caller::Patience;
pub use error::{Error, Problem};

/// How to reach AWS. What is left open, the environment, the profile and the instance say, as for every program on AWS's SDKs.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The region; else `AWS_REGION`, the profile's, the instance's.
    pub region: Option<String>,
    /// One endpoint for everything; else `AWS_ENDPOINT_URL_ELASTIC_LOAD_BALANCING_V2` and `AWS_ENDPOINT_URL_EC2`, else `AWS_ENDPOINT_URL`,
    /// else the partition's own.
    pub endpoint: Option<String>,
    /// An access key; else the SDK's chain: environment, profile, web identity, container, instance metadata.
    pub key: Option<AccessKey>,
    /// The budget.
    pub limits: Limits,
    /// Timeouts and attempts.
    pub patience: Patience,
    /// For jitter.
    pub seed: u64,
}

/// An access key. It is never printed.
#[derive(Clone)]
pub struct AccessKey {
    /// Its name.
    pub id: String,
    /// Its secret.
    pub secret: String,
}

impl std::fmt::Debug for AccessKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AccessKey").finish_non_exhaustive()
    }
}

/// Why there can be no client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// Nobody says which region.
    #[error("no region: set AWS_REGION, or `region` in the class's parameters")]
    NoRegion,
    /// The region has no endpoint.
    #[error("no endpoint of EC2 for region {region}: {why}; correct AWS_REGION, or set AWS_ENDPOINT_URL_EC2")]
    NoEndpoint {
        /// The region.
        region: String,
        /// What is wrong.
        why: String,
    },
}

/// AWS. Cheap to clone; all clones share connections, credentials and one budget.
#[derive(Clone, Debug)]
pub struct Aws {
    lane: Lane,
    region: Arc<str>,
    caller: Arc<Caller>,
    elb: aws_sdk_elasticloadbalancingv2::Client,
    ec2: Arc<ec2::Endpoint>,
}

impl Aws {
    /// Finds out where and as whom to call. Makes no call to ELB or EC2.
    pub async fn connect(options: &Options, clock: Arc<dyn Clock>) -> Result<Self, ConnectError> {
        let time = AwsTime::new(Arc::clone(&clock));
        let config = config(options, &time).await;
        let region = config.region().map(|region| region.as_ref().to_owned()).ok_or(ConnectError::NoRegion)?;
        let chain = config.credentials_provider().unwrap_or_else(|| SharedCredentialsProvider::new(Nobody));
        let keys = Keys::new(chain, time.clone());
        let ec2 = ec2::Endpoint::of(&config, &region, keys.clone(), &time)?;
        let mut elb = aws_sdk_elasticloadbalancingv2::config::Builder::from(&config);
        elb.set_endpoint_url(configured::endpoint(&config, configured::LOAD_BALANCING));
        let elb = elb
            .credentials_provider(keys.clone())
            // `Keys` keeps them already, and forgets them when AWS says that they have expired.
            .identity_cache(aws_config::identity::IdentityCache::no_cache())
            .disable_clock_skew_correction(true)
            .build();
        Ok(Self {
            lane: Lane::Service,
            region: region.into(),
            caller: Arc::new(Caller::new(&options.limits, clock, time, keys, options.patience, options.seed)),
            elb: aws_sdk_elasticloadbalancingv2::Client::from_conf(elb),
            ec2: Arc::new(ec2),
        })
    }

    /// The same, with calls that wait in this lane. A new client's calls wait in [`Lane::Service`].
    #[must_use]
    pub fn lane(&self, lane: Lane) -> Self {
        Self { lane, ..self.clone() }
    }

    /// The region in which everything is.
    pub fn region(&self) -> &str {
        &self.region
    }
}

async fn config(options: &Options, time: &AwsTime) -> SdkConfig {
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(transport::client(time))
        .sleep_impl(time.clone())
        .time_source(time.clone())
        // `Caller` does both, for both clients alike.
        .retry_config(RetryConfig::disabled())
        .timeout_config(TimeoutConfig::builder().connect_timeout(transport::CONNECT).build());
    if let Some(region) = &options.region {
        loader = loader.region(Region::new(region.clone()));
    }
    if let Some(endpoint) = &options.endpoint {
        loader = loader.endpoint_url(endpoint);
    }
    if let Some(key) = &options.key {
        loader = loader.credentials_provider(Credentials::new(&key.id, &key.secret, None, None, "Options"));
    }
    loader.load().await
}

/// Where the configuration says that there shall be no credentials.
#[derive(Debug)]
struct Nobody;

impl aws_credential_types::provider::ProvideCredentials for Nobody {
    fn provide_credentials<'a>(&'a self) -> aws_credential_types::provider::future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        use aws_credential_types::provider::{error::CredentialsError, future::ProvideCredentials};
        ProvideCredentials::ready(Err(CredentialsError::not_loaded_no_source()))
    }
}
