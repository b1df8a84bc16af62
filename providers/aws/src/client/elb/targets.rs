//! Targets, and how they are.

use std::net::IpAddr;

use aws_sdk_elasticloadbalancingv2::types as sdk;
use serde::Serialize;

use crate::client::Aws;
use crate::client::action::Action;
use crate::client::batch;
use crate::client::elb::needed;
use crate::client::error::{Error, Problem};
use crate::client::names::{InstanceId, TargetGroupArn};

/// Targets in one call. AWS documents no limit; this is what the AWS Load Balancer Controller sends.
pub(crate) const BATCH: usize = 200;

/// Where traffic goes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Target {
    /// Who.
    pub to: To,
    /// The port.
    pub port: u16,
    /// The zone, where AWS cannot know it: `all` for an address outside the VPC. AWS may say it of others too: whoever compares goes by
    /// `to` and `port`.
    pub zone: Option<String>,
}

/// Who a target is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum To {
    /// An instance.
    Instance(InstanceId),
    /// An address.
    Address(IpAddr),
}

impl To {
    fn text(&self) -> String {
        match self {
            Self::Instance(id) => id.as_str().to_owned(),
            Self::Address(address) => address.to_string(),
        }
    }
}

/// A target, and how it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TargetHealth {
    /// Which.
    pub target: Target,
    /// How it is.
    pub state: Health,
    /// AWS's code for why, such as `Target.FailedHealthChecks`.
    pub reason: Option<String>,
    /// The same for people.
    pub description: Option<String>,
}

/// How a target is (<https://docs.aws.amazon.com/elasticloadbalancing/latest/network/target-group-health-checks.html>).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Health {
    /// Being registered, or being probed for the first time.
    Initial,
    /// Healthy.
    Healthy,
    /// Not healthy.
    Unhealthy,
    /// Not healthy, and its connections are given time.
    UnhealthyDraining,
    /// Being deregistered.
    Draining,
    /// No listener sends to the group, or the zone is not enabled.
    Unused,
    /// It is not probed.
    Unavailable,
    /// A word that AWS did not have when this was written.
    Other(String),
}

/// A target that AWS does not take, and why.
pub type Rejected = (Target, Error);

impl Aws {
    /// Adds targets to a group. The ones that AWS does not take are given back; the others are in.
    pub async fn register(&self, group: &TargetGroupArn, targets: &[Target]) -> Result<Vec<Rejected>, Error> {
        let ask = |batch: Vec<Target>| async move {
            let targets = batch.iter().map(described).collect();
            let call = self.elb.register_targets().target_group_arn(group.as_str()).set_targets(Some(targets));
            self.elb(Action::RegisterTargets, || call.clone().send()).await.map(drop)
        };
        batch::halved(targets, BATCH, |error| error.problem == Problem::BadTarget, ask)
            .await
            .map(|(_, rejected)| rejected)
    }

    /// Takes targets out of a group. The ones that AWS says are not in it are given back.
    pub async fn deregister(&self, group: &TargetGroupArn, targets: &[Target]) -> Result<Vec<Rejected>, Error> {
        let ask = |batch: Vec<Target>| async move {
            let targets = batch.iter().map(described).collect();
            let call = self.elb.deregister_targets().target_group_arn(group.as_str()).set_targets(Some(targets));
            self.elb(Action::DeregisterTargets, || call.clone().send()).await.map(drop)
        };
        batch::halved(targets, BATCH, |error| error.problem == Problem::BadTarget, ask)
            .await
            .map(|(_, rejected)| rejected)
    }

    /// All targets of a group, and how they are.
    pub async fn target_health(&self, group: &TargetGroupArn) -> Result<Vec<TargetHealth>, Error> {
        const ACTION: Action = Action::DescribeTargetHealth;
        let call = self.elb.describe_target_health().target_group_arn(group.as_str());
        let answer = self.elb(ACTION, || call.clone().send()).await?;
        answer.target_health_descriptions.unwrap_or_default().into_iter().map(|one| read(ACTION, one)).collect()
    }
}

fn described(target: &Target) -> sdk::TargetDescription {
    sdk::TargetDescription::builder()
        .id(target.to.text())
        .port(target.port.into())
        .set_availability_zone(target.zone.clone())
        .build()
}

fn read(action: Action, from: sdk::TargetHealthDescription) -> Result<TargetHealth, Error> {
    let target = needed(action, "Target", from.target)?;
    let health = needed(action, "TargetHealth", from.target_health)?;
    let id = needed(action, "Target.Id", target.id)?;
    let to = id.parse().map_or_else(|_| To::Instance(InstanceId::new(id.clone())), To::Address);
    let port = needed(action, "Target.Port", target.port.and_then(|port| port.try_into().ok()))?;
    Ok(TargetHealth {
        target: Target { to, port, zone: target.availability_zone },
        state: read_state(health.state.as_ref().map_or("", |state| state.as_str())),
        reason: health.reason.map(|reason| reason.as_str().to_owned()),
        description: health.description,
    })
}

fn read_state(word: &str) -> Health {
    match word {
        "initial" => Health::Initial,
        "healthy" => Health::Healthy,
        "unhealthy" => Health::Unhealthy,
        "unhealthy.draining" => Health::UnhealthyDraining,
        "draining" => Health::Draining,
        "unused" => Health::Unused,
        "unavailable" => Health::Unavailable,
        other => Health::Other(other.to_owned()),
    }
}
