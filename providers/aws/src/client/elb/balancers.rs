//! Load balancers.

use std::net::{Ipv4Addr, Ipv6Addr};

use aws_sdk_elasticloadbalancingv2::types as sdk;
use portolan_core::balancer::Scheme;
use serde::Serialize;

use crate::client::Aws;
use crate::client::action::Action;
use crate::client::batch;
use crate::client::elb::{BATCH, PAGE, Pairs, needed, tags};
use crate::client::error::Error;
use crate::client::names::LoadBalancerArn;
use crate::ids::{AllocationId, Id, SecurityGroupId, SubnetId, VpcId};
use crate::words::{IpAddressType, Switch, scheme_word};

/// A load balancer, as AWS describes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LoadBalancer {
    /// Its ARN.
    pub arn: LoadBalancerArn,
    /// Its name.
    pub name: String,
    /// It is a Network Load Balancer. Names are unique among all kinds.
    pub network: bool,
    /// The hostname that clients use.
    pub dns_name: String,
    /// How far it is.
    pub state: State,
    /// Why, if AWS says.
    pub state_reason: Option<String>,
    /// Whom it is for.
    pub scheme: Scheme,
    /// The families of its addresses; none of those that an NLB can have, for another kind.
    pub ip_address_type: Option<IpAddressType>,
    /// Where it is.
    pub vpc: Option<VpcId>,
    /// Its subnets, one a zone.
    pub zones: Vec<Zone>,
    /// Its security groups. None at birth means none for ever.
    pub security_groups: Vec<SecurityGroupId>,
    /// Whether the rules of the groups hold for PrivateLink too; no word before it was ever set.
    pub private_link: Option<Switch>,
    /// IPv6 prefixes are used as sources towards targets.
    pub source_nat: Option<Switch>,
}

/// How far a load balancer is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum State {
    /// AWS is at work; two to three minutes.
    Provisioning,
    /// It serves.
    Active,
    /// It serves, and lacks something to grow.
    ActiveImpaired,
    /// AWS could not make it.
    Failed,
    /// A word that AWS did not have when this was written.
    Other(String),
}

/// A load balancer in one zone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Zone {
    /// The zone's name.
    pub name: String,
    /// The subnet.
    pub subnet: SubnetId,
    /// The addresses, as far as somebody fixed them or AWS shows them.
    pub addresses: Vec<Address>,
    /// The sources of IPv6.
    pub source_nat_prefixes: Vec<String>,
}

/// An address in a zone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Address {
    /// The public IPv4 address.
    pub public_ipv4: Option<Ipv4Addr>,
    /// Whose that is.
    pub allocation: Option<AllocationId>,
    /// The private IPv4 address.
    pub private_ipv4: Option<Ipv4Addr>,
    /// The IPv6 address.
    pub ipv6: Option<Ipv6Addr>,
}

/// A load balancer to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NewLoadBalancer {
    /// At most 32 characters.
    pub name: String,
    /// Whom it is for.
    pub scheme: Scheme,
    /// The families of its addresses.
    pub ip_address_type: IpAddressType,
    /// Its subnets, one a zone.
    pub subnets: Vec<SubnetMapping>,
    /// Its security groups; without any it can never have one.
    pub security_groups: Vec<SecurityGroupId>,
    /// IPv6 prefixes as sources; None leaves AWS's default.
    pub source_nat: Option<Switch>,
    /// Its tags.
    pub tags: Pairs,
}

/// A subnet, and what is fixed in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SubnetMapping {
    /// The subnet.
    pub subnet: SubnetId,
    /// An elastic address; public balancers only.
    pub allocation: Option<AllocationId>,
    /// A private address; internal balancers only.
    pub private_ipv4: Option<Ipv4Addr>,
    /// An IPv6 address.
    pub ipv6: Option<Ipv6Addr>,
    /// The source of IPv6: an /80, or `auto_assigned`.
    pub source_nat_prefix: Option<String>,
}

impl SubnetMapping {
    /// A subnet in which AWS chooses.
    pub fn of(subnet: SubnetId) -> Self {
        Self { subnet, allocation: None, private_ipv4: None, ipv6: None, source_nat_prefix: None }
    }
}

impl Aws {
    /// Those that exist of these.
    pub async fn load_balancers(&self, arns: &[LoadBalancerArn]) -> Result<Vec<LoadBalancer>, Error> {
        batch::existing(arns, BATCH, |arns| async move {
            let arns: Vec<String> = arns.into_iter().map(String::from).collect();
            self.describe_load_balancers(Some(arns), None).await
        })
        .await
    }

    /// Those that exist of these names, of every kind.
    pub async fn load_balancers_named(&self, names: &[String]) -> Result<Vec<LoadBalancer>, Error> {
        batch::existing(names, BATCH, |names| self.describe_load_balancers(None, Some(names))).await
    }

    /// All of the account and region, of every kind.
    pub async fn all_load_balancers(&self) -> Result<Vec<LoadBalancer>, Error> {
        self.describe_load_balancers(None, None).await
    }

    async fn describe_load_balancers(
        &self,
        arns: Option<Vec<String>>,
        names: Option<Vec<String>>,
    ) -> Result<Vec<LoadBalancer>, Error> {
        const ACTION: Action = Action::DescribeLoadBalancers;
        // AWS takes a page size only beside neither.
        let page = (arns.is_none() && names.is_none()).then_some(PAGE);
        let call = self.elb.describe_load_balancers().set_load_balancer_arns(arns).set_names(names).set_page_size(page);
        let (mut found, mut marker) = (Vec::new(), None);
        loop {
            let answer = self.elb(ACTION, || call.clone().set_marker(marker.clone()).send()).await?;
            for balancer in answer.load_balancers.unwrap_or_default() {
                found.push(read(ACTION, balancer)?);
            }
            marker = answer.next_marker.filter(|marker| !marker.is_empty());
            if marker.is_none() {
                return Ok(found);
            }
        }
    }

    /// Makes one. With the name and the settings of one that exists, AWS answers with that one: whoever calls this must look at its tags.
    pub async fn create_load_balancer(&self, new: &NewLoadBalancer) -> Result<LoadBalancer, Error> {
        const ACTION: Action = Action::CreateLoadBalancer;
        let groups: Vec<String> = new.security_groups.iter().map(|group| group.as_str().to_owned()).collect();
        let call = self
            .elb
            .create_load_balancer()
            .name(&new.name)
            .r#type(sdk::LoadBalancerTypeEnum::Network)
            .scheme(scheme_word(new.scheme).into())
            .ip_address_type(new.ip_address_type.as_str().into())
            .set_subnet_mappings(Some(new.subnets.iter().map(mapping).collect()))
            .set_security_groups((!groups.is_empty()).then_some(groups))
            .set_enable_prefix_for_ipv6_source_nat(new.source_nat.map(|switch| switch.as_str().into()))
            .set_tags(tags(&new.tags));
        let answer = self.elb(ACTION, || call.clone().send()).await?;
        let made = needed(ACTION, "LoadBalancers", answer.load_balancers.and_then(|all| all.into_iter().next()))?;
        read(ACTION, made)
    }

    /// Deletes one. One that is not there is no error to AWS.
    pub async fn delete_load_balancer(&self, arn: &LoadBalancerArn) -> Result<(), Error> {
        let call = self.elb.delete_load_balancer().load_balancer_arn(arn.as_str());
        self.elb(Action::DeleteLoadBalancer, || call.clone().send()).await.map(drop)
    }

    /// Sets all subnets of one, and its families beside, because subnets without IPv6 cannot be added to a dual-stack one.
    pub async fn set_subnets(
        &self,
        arn: &LoadBalancerArn,
        subnets: &[SubnetMapping],
        ip_address_type: IpAddressType,
        source_nat: Option<Switch>,
    ) -> Result<(), Error> {
        let call = self
            .elb
            .set_subnets()
            .load_balancer_arn(arn.as_str())
            .set_subnet_mappings(Some(subnets.iter().map(mapping).collect()))
            .ip_address_type(ip_address_type.as_str().into())
            .set_enable_prefix_for_ipv6_source_nat(source_nat.map(|switch| switch.as_str().into()));
        self.elb(Action::SetSubnets, || call.clone().send()).await.map(drop)
    }

    /// Sets the families of one's addresses.
    pub async fn set_ip_address_type(&self, arn: &LoadBalancerArn, to: IpAddressType) -> Result<(), Error> {
        let call = self.elb.set_ip_address_type().load_balancer_arn(arn.as_str()).ip_address_type(to.as_str().into());
        self.elb(Action::SetIpAddressType, || call.clone().send()).await.map(drop)
    }

    /// Sets all security groups of one that was born with some. What none for `private_link` does to one that has `off`, AWS does not say
    /// (see [`crate::settings::security::Security`]).
    pub async fn set_security_groups(
        &self,
        arn: &LoadBalancerArn,
        groups: &[SecurityGroupId],
        private_link: Option<Switch>,
    ) -> Result<(), Error> {
        let call = self
            .elb
            .set_security_groups()
            .load_balancer_arn(arn.as_str())
            .set_security_groups(Some(groups.iter().map(|group| group.as_str().to_owned()).collect()))
            .set_enforce_security_group_inbound_rules_on_private_link_traffic(
                private_link.map(|switch| switch.as_str().into()),
            );
        self.elb(Action::SetSecurityGroups, || call.clone().send()).await.map(drop)
    }
}

fn mapping(of: &SubnetMapping) -> sdk::SubnetMapping {
    sdk::SubnetMapping::builder()
        .subnet_id(of.subnet.as_str())
        .set_allocation_id(of.allocation.as_ref().map(|id| id.as_str().to_owned()))
        .set_private_ipv4_address(of.private_ipv4.map(|address| address.to_string()))
        .set_ipv6_address(of.ipv6.map(|address| address.to_string()))
        .set_source_nat_ipv6_prefix(of.source_nat_prefix.clone())
        .build()
}

fn read(action: Action, from: sdk::LoadBalancer) -> Result<LoadBalancer, Error> {
    let state = needed(action, "State", from.state)?;
    let scheme = match from.scheme.as_ref().map(|scheme| scheme.as_str()) {
        Some("internal") => Scheme::Internal,
        // A Gateway Load Balancer has none; it is no NLB, and only its name matters.
        Some(_) | None => Scheme::Public,
    };
    let zones = from.availability_zones.unwrap_or_default().into_iter().map(|zone| read_zone(action, zone));
    let groups = from.security_groups.unwrap_or_default();
    let groups = groups.iter().map(|group| needed(action, "security group's id", SecurityGroupId::parse(group)));
    let private_link = from.enforce_security_group_inbound_rules_on_private_link_traffic;
    Ok(LoadBalancer {
        arn: LoadBalancerArn::new(needed(action, "LoadBalancerArn", from.load_balancer_arn)?),
        name: needed(action, "LoadBalancerName", from.load_balancer_name)?,
        network: from.r#type == Some(sdk::LoadBalancerTypeEnum::Network),
        dns_name: from.dns_name.unwrap_or_default(),
        state: read_state(state.code.as_ref().map_or("", |code| code.as_str())),
        state_reason: state.reason.filter(|reason| !reason.is_empty()),
        scheme,
        ip_address_type: from.ip_address_type.and_then(|word| IpAddressType::parse(word.as_str())),
        vpc: from.vpc_id.as_deref().and_then(VpcId::parse),
        zones: zones.collect::<Result<_, _>>()?,
        security_groups: groups.collect::<Result<_, _>>()?,
        private_link: private_link.as_deref().and_then(Switch::parse),
        source_nat: from.enable_prefix_for_ipv6_source_nat.and_then(|word| Switch::parse(word.as_str())),
    })
}

fn read_state(word: &str) -> State {
    match word {
        "provisioning" => State::Provisioning,
        "active" => State::Active,
        "active_impaired" => State::ActiveImpaired,
        "failed" => State::Failed,
        other => State::Other(other.to_owned()),
    }
}

fn read_zone(action: Action, from: sdk::AvailabilityZone) -> Result<Zone, Error> {
    Ok(Zone {
        name: from.zone_name.unwrap_or_default(),
        subnet: needed(action, "SubnetId", from.subnet_id.as_deref().and_then(SubnetId::parse))?,
        addresses: from.load_balancer_addresses.unwrap_or_default().iter().map(read_address).collect(),
        source_nat_prefixes: from.source_nat_ipv6_prefixes.unwrap_or_default(),
    })
}

fn read_address(from: &sdk::LoadBalancerAddress) -> Address {
    Address {
        public_ipv4: from.ip_address().and_then(|text| text.parse().ok()),
        allocation: from.allocation_id().and_then(AllocationId::parse),
        private_ipv4: from.private_ipv4_address().and_then(|text| text.parse().ok()),
        ipv6: from.ipv6_address().and_then(|text| text.parse().ok()),
    }
}
