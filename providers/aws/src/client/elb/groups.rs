//! Target groups.

use aws_sdk_elasticloadbalancingv2::types as sdk;
use portolan_core::balancer::Family;
use serde::Serialize;

use crate::client::Aws;
use crate::client::action::Action;
use crate::client::batch;
use crate::client::elb::{BATCH, PAGE, Pairs, needed, tags};
use crate::client::error::Error;
use crate::client::names::{LoadBalancerArn, TargetGroupArn};
use crate::ids::{Id, VpcId};
use crate::protocol::Protocol;
use crate::words::TargetType;

/// A target group, as AWS describes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TargetGroup {
    /// Its ARN.
    pub arn: TargetGroupArn,
    /// Its name.
    pub name: String,
    /// What it speaks; none of those that our groups can, for a group of somebody else's.
    pub protocol: Option<Protocol>,
    /// The port for targets that name none.
    pub port: Option<u16>,
    /// Where it is.
    pub vpc: Option<VpcId>,
    /// What it sends to; None for what ours never do (functions, load balancers).
    pub target_type: Option<TargetType>,
    /// The family of its targets.
    pub family: Family,
    /// How they are probed.
    pub health_check: Option<HealthCheck>,
    /// The load balancer that sends to it; at most one for an NLB.
    pub load_balancers: Vec<LoadBalancerArn>,
}

/// How targets are probed, as AWS has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HealthCheck {
    /// With what.
    pub probe: Probe,
    /// Where; None is the port of the traffic.
    pub port: Option<u16>,
    /// Seconds between two probes.
    pub interval: u16,
    /// Seconds after which a probe has failed.
    pub timeout: u16,
    /// Good probes after which a target is healthy.
    pub healthy: u16,
    /// Bad probes after which it is not.
    pub unhealthy: u16,
}

/// What a probe is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Probe {
    /// A connection.
    Tcp,
    /// A request.
    Http(Request),
    /// A request over TLS.
    Https(Request),
}

/// What is asked, and which answers are good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Request {
    /// The path.
    pub path: String,
    /// Codes and ranges of codes.
    pub codes: String,
}

impl Probe {
    fn word(&self) -> sdk::ProtocolEnum {
        match self {
            Self::Tcp => sdk::ProtocolEnum::Tcp,
            Self::Http(_) => sdk::ProtocolEnum::Http,
            Self::Https(_) => sdk::ProtocolEnum::Https,
        }
    }

    fn request(&self) -> Option<&Request> {
        match self {
            Self::Tcp => None,
            Self::Http(request) | Self::Https(request) => Some(request),
        }
    }

    fn path(&self) -> Option<String> {
        self.request().map(|request| request.path.clone())
    }

    fn matcher(&self) -> Option<sdk::Matcher> {
        self.request().map(|request| sdk::Matcher::builder().http_code(&request.codes).build())
    }
}

impl HealthCheck {
    fn port(&self) -> String {
        self.port.map_or_else(|| TRAFFIC_PORT.to_owned(), |port| port.to_string())
    }
}

const TRAFFIC_PORT: &str = "traffic-port";

/// A target group to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NewTargetGroup {
    /// At most 32 characters.
    pub name: String,
    /// What it speaks.
    pub protocol: Protocol,
    /// The port for targets that name none.
    pub port: u16,
    /// Where it is.
    pub vpc: VpcId,
    /// What it sends to.
    pub target_type: TargetType,
    /// The family of its targets.
    pub family: Family,
    /// How they are probed.
    pub health_check: HealthCheck,
    /// Its tags.
    pub tags: Pairs,
}

impl Aws {
    /// Those that exist of these.
    pub async fn target_groups(&self, arns: &[TargetGroupArn]) -> Result<Vec<TargetGroup>, Error> {
        batch::existing(arns, BATCH, |arns| async move {
            let arns = arns.into_iter().map(String::from).collect();
            self.describe_target_groups(Some(arns), None, None).await
        })
        .await
    }

    /// Those that exist of these names.
    pub async fn target_groups_named(&self, names: &[String]) -> Result<Vec<TargetGroup>, Error> {
        batch::existing(names, BATCH, |names| self.describe_target_groups(None, Some(names), None)).await
    }

    /// Those that a load balancer sends to; none if it is not there.
    pub async fn target_groups_of(&self, balancer: &LoadBalancerArn) -> Result<Vec<TargetGroup>, Error> {
        match self.describe_target_groups(None, None, Some(balancer.as_str().to_owned())).await {
            Err(error) if error.is_gone() => Ok(Vec::new()),
            answer => answer,
        }
    }

    /// All of the account and region.
    pub async fn all_target_groups(&self) -> Result<Vec<TargetGroup>, Error> {
        self.describe_target_groups(None, None, None).await
    }

    async fn describe_target_groups(
        &self,
        arns: Option<Vec<String>>,
        names: Option<Vec<String>>,
        balancer: Option<String>,
    ) -> Result<Vec<TargetGroup>, Error> {
        const ACTION: Action = Action::DescribeTargetGroups;
        let page = (arns.is_none() && names.is_none()).then_some(PAGE);
        let call = self.elb.describe_target_groups().set_target_group_arns(arns).set_names(names);
        let call = call.set_load_balancer_arn(balancer).set_page_size(page);
        let (mut found, mut marker) = (Vec::new(), None);
        loop {
            let answer = self.elb(ACTION, || call.clone().set_marker(marker.clone()).send()).await?;
            for group in answer.target_groups.unwrap_or_default() {
                found.push(read(ACTION, group)?);
            }
            marker = answer.next_marker.filter(|marker| !marker.is_empty());
            if marker.is_none() {
                return Ok(found);
            }
        }
    }

    /// Makes one. With the name and the settings of one that exists, AWS answers with that one: whoever calls this must look at its tags.
    pub async fn create_target_group(&self, new: &NewTargetGroup) -> Result<TargetGroup, Error> {
        const ACTION: Action = Action::CreateTargetGroup;
        let check = &new.health_check;
        let call = self
            .elb
            .create_target_group()
            .name(&new.name)
            .protocol(new.protocol.as_str().into())
            .port(new.port.into())
            .vpc_id(new.vpc.as_str())
            .target_type(new.target_type.as_str().into())
            .ip_address_type(family_word(new.family))
            .health_check_enabled(true)
            .health_check_protocol(check.probe.word())
            .health_check_port(check.port())
            .set_health_check_path(check.probe.path())
            .set_matcher(check.probe.matcher())
            .health_check_interval_seconds(check.interval.into())
            .health_check_timeout_seconds(check.timeout.into())
            .healthy_threshold_count(check.healthy.into())
            .unhealthy_threshold_count(check.unhealthy.into())
            .set_tags(tags(&new.tags));
        let answer = self.elb(ACTION, || call.clone().send()).await?;
        let made = needed(ACTION, "TargetGroups", answer.target_groups.and_then(|all| all.into_iter().next()))?;
        read(ACTION, made)
    }

    /// Changes how targets are probed; nothing else of a group can be changed.
    pub async fn modify_target_group(&self, arn: &TargetGroupArn, check: &HealthCheck) -> Result<(), Error> {
        let call = self
            .elb
            .modify_target_group()
            .target_group_arn(arn.as_str())
            .health_check_protocol(check.probe.word())
            .health_check_port(check.port())
            .set_health_check_path(check.probe.path())
            .set_matcher(check.probe.matcher())
            .health_check_interval_seconds(check.interval.into())
            .health_check_timeout_seconds(check.timeout.into())
            .healthy_threshold_count(check.healthy.into())
            .unhealthy_threshold_count(check.unhealthy.into());
        self.elb(Action::ModifyTargetGroup, || call.clone().send()).await.map(drop)
    }

    /// Deletes one. `InUse` as long as a listener sends to it; one that is not there is no error to AWS.
    pub async fn delete_target_group(&self, arn: &TargetGroupArn) -> Result<(), Error> {
        let call = self.elb.delete_target_group().target_group_arn(arn.as_str());
        self.elb(Action::DeleteTargetGroup, || call.clone().send()).await.map(drop)
    }
}

fn family_word(family: Family) -> sdk::TargetGroupIpAddressTypeEnum {
    match family {
        Family::V4 => sdk::TargetGroupIpAddressTypeEnum::Ipv4,
        Family::V6 => sdk::TargetGroupIpAddressTypeEnum::Ipv6,
    }
}

fn read(action: Action, from: sdk::TargetGroup) -> Result<TargetGroup, Error> {
    let health_check = read_check(&from);
    Ok(TargetGroup {
        arn: TargetGroupArn::new(needed(action, "TargetGroupArn", from.target_group_arn)?),
        name: needed(action, "TargetGroupName", from.target_group_name)?,
        protocol: from.protocol.and_then(|word| Protocol::parse(word.as_str())),
        port: from.port.and_then(|port| port.try_into().ok()),
        vpc: from.vpc_id.as_deref().and_then(VpcId::parse),
        target_type: from.target_type.and_then(|word| TargetType::parse(word.as_str())),
        family: match from.ip_address_type {
            Some(sdk::TargetGroupIpAddressTypeEnum::Ipv6) => Family::V6,
            Some(_) | None => Family::V4,
        },
        health_check,
        load_balancers: from.load_balancer_arns.unwrap_or_default().into_iter().map(LoadBalancerArn::new).collect(),
    })
}

fn read_check(from: &sdk::TargetGroup) -> Option<HealthCheck> {
    let number = |value: Option<i32>| value.and_then(|value| u16::try_from(value).ok());
    let codes = from.matcher.as_ref().and_then(|matcher| matcher.http_code.clone());
    let request =
        Request { path: from.health_check_path.clone().unwrap_or_default(), codes: codes.unwrap_or_default() };
    Some(HealthCheck {
        probe: match from.health_check_protocol.as_ref().map(|word| word.as_str())? {
            "TCP" => Probe::Tcp,
            "HTTP" => Probe::Http(request),
            "HTTPS" => Probe::Https(request),
            _ => return None,
        },
        port: from.health_check_port.as_deref().and_then(|port| port.parse().ok()),
        interval: number(from.health_check_interval_seconds)?,
        timeout: number(from.health_check_timeout_seconds)?,
        healthy: number(from.healthy_threshold_count)?,
        unhealthy: number(from.unhealthy_threshold_count)?,
    })
}
