//! The steps: one mutating call of AWS each, as data that knows no SDK.
//!
//! A step names what it acts on by name and, where that exists already, by ARN. What an earlier step of the same plan makes has only its name
//! yet: whoever carries the plan out knows by then what AWS has called it.

mod told;

use std::collections::{BTreeMap, BTreeSet};

use portolan_core::balancer::Scheme;
use portolan_core::provider::Step as ProviderStep;
use serde::Serialize;

use crate::attributes::Attributes;
use crate::estate::Known;
use crate::ids::{CertificateArn, SecurityGroupId, VpcId};
use crate::names::Kind;
use crate::settings::health::HealthCheck;
use crate::settings::listeners::Front;
use crate::state::{Arn, Rule, SubnetMapping, Target};
use crate::words::{IpAddressType, Switch};

/// A balancer or a target group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Object {
    /// Its name.
    pub name: String,
    /// Its identity; none yet, where an earlier step of the same plan makes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arn: Option<Arn>,
}

/// A listener.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ListenerOf {
    /// Its balancer.
    pub balancer: Object,
    /// Its number.
    pub port: u16,
    /// Its identity; none yet, where an earlier step of the same plan makes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arn: Option<Arn>,
}

/// A security group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum SecurityGroupOf {
    /// One that exists.
    Id(SecurityGroupId),
    /// One that an earlier step of the same plan makes.
    Made(String),
}

/// What tags are on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Tagged {
    /// A balancer.
    Balancer(Object),
    /// A target group.
    Group(Object),
    /// A listener.
    Listener(ListenerOf),
}

/// What attributes are of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum AttributesOf {
    /// A balancer.
    Balancer(Object),
    /// A target group.
    Group(Object),
    /// A listener.
    Listener(ListenerOf),
}

/// One call.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "step", rename_all_fields = "camelCase")]
pub enum Step {
    /// Makes a security group, which lets nobody in.
    CreateSecurityGroup {
        /// Its name.
        name: String,
        /// The generation it is for.
        generation: u32,
        /// Where it is.
        vpc: Known<VpcId>,
        /// Its tags.
        tags: BTreeMap<String, String>,
    },
    /// Adds inbound rules with our mark.
    OpenRules {
        /// To this.
        group: SecurityGroupOf,
        /// Sorted.
        rules: Vec<Rule>,
    },
    /// Removes inbound rules with our mark.
    CloseRules {
        /// From this.
        group: SecurityGroupOf,
        /// Sorted.
        rules: Vec<Rule>,
    },
    /// Removes a security group.
    DeleteSecurityGroup {
        /// Which.
        id: SecurityGroupId,
        /// Its name, for people.
        name: String,
    },
    /// Makes a target group, empty.
    CreateGroup {
        /// Its name.
        name: String,
        /// The generation it is for.
        generation: u32,
        /// What cannot be changed.
        #[serde(flatten)]
        kind: Kind,
        /// The port of targets that are registered without one.
        port: u16,
        /// How targets are probed.
        health: HealthCheck,
        /// Where they are.
        vpc: Known<VpcId>,
        /// Its tags.
        tags: BTreeMap<String, String>,
    },
    /// Says how targets are probed.
    SetHealthCheck {
        /// The target group.
        group: Object,
        /// How.
        health: HealthCheck,
    },
    /// Sets attributes. What is owned afterwards has to be remembered: together with what was owned before, until AWS has answered.
    SetAttributes {
        /// Of this.
        of: AttributesOf,
        /// Those that differ.
        values: Attributes,
        /// The keys that are ours then.
        owned: BTreeSet<String>,
    },
    /// Makes a balancer, without listeners.
    CreateBalancer {
        /// Its name.
        name: String,
        /// Its number.
        generation: u32,
        /// Who can reach it.
        scheme: Scheme,
        /// The families of its addresses.
        ip_address_type: IpAddressType,
        /// Where it is.
        subnets: Known<Vec<SubnetMapping>>,
        /// Who gets in.
        security_groups: Known<Vec<SecurityGroupOf>>,
        /// Its tags.
        tags: BTreeMap<String, String>,
    },
    /// Says which families its addresses have.
    SetIpAddressType {
        /// The balancer.
        balancer: Object,
        /// Which.
        ip_address_type: IpAddressType,
    },
    /// Says where it is.
    SetSubnets {
        /// The balancer.
        balancer: Object,
        /// All of them, sorted.
        subnets: Vec<SubnetMapping>,
    },
    /// Says which security groups it has.
    SetSecurityGroups {
        /// The balancer.
        balancer: Object,
        /// All of them, sorted.
        security_groups: Vec<SecurityGroupOf>,
        /// Whether their rules count for PrivateLink, if somebody says.
        #[serde(skip_serializing_if = "Option::is_none")]
        private_link: Option<Switch>,
    },
    /// Makes a listener.
    CreateListener {
        /// On this balancer.
        balancer: Object,
        /// Its number.
        port: u16,
        /// What it speaks; of certificates, AWS takes the default one here.
        front: Front,
        /// Where it sends to.
        group: Object,
        /// Its tags.
        tags: BTreeMap<String, String>,
    },
    /// Changes what a listener speaks and where it sends to.
    ModifyListener {
        /// Which.
        listener: ListenerOf,
        /// What it speaks; of certificates, AWS takes the default one here.
        front: Front,
        /// Where it sends to.
        group: Object,
    },
    /// Adds a certificate beside the default one; AWS takes one a call
    /// (<https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_AddListenerCertificates.html>).
    AddCertificate {
        /// To this listener.
        listener: ListenerOf,
        /// Which.
        certificate: CertificateArn,
    },
    /// Takes a certificate away.
    RemoveCertificate {
        /// From this listener.
        listener: ListenerOf,
        /// Which.
        certificate: CertificateArn,
    },
    /// Removes a listener.
    DeleteListener {
        /// Which.
        listener: ListenerOf,
    },
    /// Adds targets.
    Register {
        /// To this group.
        group: Object,
        /// Sorted.
        targets: Vec<Target>,
    },
    /// Lets targets finish their connections and go.
    Deregister {
        /// From this group.
        group: Object,
        /// Sorted.
        targets: Vec<Target>,
    },
    /// Sets tags; those that are not named stay.
    SetTags {
        /// Of this.
        of: Tagged,
        /// Those that differ.
        tags: BTreeMap<String, String>,
    },
    /// Marks a replaced balancer: from now on clients forget its addresses. Whoever carries this out notes the time in a tag.
    Retire {
        /// Which.
        balancer: Object,
    },
    /// Removes a balancer and its listeners.
    DeleteBalancer {
        /// Which.
        balancer: Object,
        /// Clients have nowhere to go until its successor serves: its name or its addresses have to be free first.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        gap: bool,
    },
    /// Removes a target group.
    DeleteGroup {
        /// Which.
        group: Object,
    },
}

/// An API of AWS: each has its own budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Api {
    /// Elastic Load Balancing v2.
    ElbV2,
    /// EC2.
    Ec2,
}

/// A call, as AWS's API and IAM policies name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Action {
    /// Whose.
    pub api: Api,
    /// Its name.
    pub name: &'static str,
}

impl Step {
    /// What it costs: the mutating calls that it makes, always one.
    pub fn calls(&self) -> [Action; 1] {
        let (api, name) = match self {
            Self::CreateSecurityGroup { .. } => (Api::Ec2, "CreateSecurityGroup"),
            Self::OpenRules { .. } => (Api::Ec2, "AuthorizeSecurityGroupIngress"),
            Self::CloseRules { .. } => (Api::Ec2, "RevokeSecurityGroupIngress"),
            Self::DeleteSecurityGroup { .. } => (Api::Ec2, "DeleteSecurityGroup"),
            Self::CreateGroup { .. } => (Api::ElbV2, "CreateTargetGroup"),
            Self::SetHealthCheck { .. } => (Api::ElbV2, "ModifyTargetGroup"),
            Self::SetAttributes { of: AttributesOf::Balancer(_), .. } => (Api::ElbV2, "ModifyLoadBalancerAttributes"),
            Self::SetAttributes { of: AttributesOf::Group(_), .. } => (Api::ElbV2, "ModifyTargetGroupAttributes"),
            Self::SetAttributes { of: AttributesOf::Listener(_), .. } => (Api::ElbV2, "ModifyListenerAttributes"),
            Self::CreateBalancer { .. } => (Api::ElbV2, "CreateLoadBalancer"),
            Self::SetIpAddressType { .. } => (Api::ElbV2, "SetIpAddressType"),
            Self::SetSubnets { .. } => (Api::ElbV2, "SetSubnets"),
            Self::SetSecurityGroups { .. } => (Api::ElbV2, "SetSecurityGroups"),
            Self::CreateListener { .. } => (Api::ElbV2, "CreateListener"),
            Self::ModifyListener { .. } => (Api::ElbV2, "ModifyListener"),
            Self::AddCertificate { .. } => (Api::ElbV2, "AddListenerCertificates"),
            Self::RemoveCertificate { .. } => (Api::ElbV2, "RemoveListenerCertificates"),
            Self::DeleteListener { .. } => (Api::ElbV2, "DeleteListener"),
            Self::Register { .. } => (Api::ElbV2, "RegisterTargets"),
            Self::Deregister { .. } => (Api::ElbV2, "DeregisterTargets"),
            Self::SetTags { .. } | Self::Retire { .. } => (Api::ElbV2, "AddTags"),
            Self::DeleteBalancer { .. } => (Api::ElbV2, "DeleteLoadBalancer"),
            Self::DeleteGroup { .. } => (Api::ElbV2, "DeleteTargetGroup"),
        };
        [Action { api, name }]
    }
}

impl Step {
    /// The name that it gives to what it makes.
    pub fn creates(&self) -> Option<&str> {
        if let Self::CreateBalancer { name, .. }
        | Self::CreateGroup { name, .. }
        | Self::CreateSecurityGroup { name, .. } = self
        {
            Some(name)
        } else {
            None
        }
    }
}

impl ProviderStep for Step {
    fn name(&self) -> &'static str {
        match self {
            Self::CreateSecurityGroup { .. } => "CreateSecurityGroup",
            Self::OpenRules { .. } => "OpenRules",
            Self::CloseRules { .. } => "CloseRules",
            Self::DeleteSecurityGroup { .. } => "DeleteSecurityGroup",
            Self::CreateGroup { .. } => "CreateGroup",
            Self::SetHealthCheck { .. } => "SetHealthCheck",
            Self::SetAttributes { .. } => "SetAttributes",
            Self::CreateBalancer { .. } => "CreateBalancer",
            Self::SetIpAddressType { .. } => "SetIpAddressType",
            Self::SetSubnets { .. } => "SetSubnets",
            Self::SetSecurityGroups { .. } => "SetSecurityGroups",
            Self::CreateListener { .. } => "CreateListener",
            Self::ModifyListener { .. } => "ModifyListener",
            Self::AddCertificate { .. } => "AddCertificate",
            Self::RemoveCertificate { .. } => "RemoveCertificate",
            Self::DeleteListener { .. } => "DeleteListener",
            Self::Register { .. } => "Register",
            Self::Deregister { .. } => "Deregister",
            Self::SetTags { .. } => "SetTags",
            Self::Retire { .. } => "Retire",
            Self::DeleteBalancer { .. } => "DeleteBalancer",
            Self::DeleteGroup { .. } => "DeleteGroup",
        }
    }

    fn moves_clients(&self) -> bool {
        match self {
            Self::OpenRules { .. }
            | Self::CloseRules { .. }
            | Self::CreateBalancer { .. }
            | Self::SetSecurityGroups { .. }
            | Self::Retire { .. }
            | Self::DeleteBalancer { gap: true, .. } => true,
            Self::CreateSecurityGroup { .. }
            | Self::DeleteSecurityGroup { .. }
            | Self::CreateGroup { .. }
            | Self::SetHealthCheck { .. }
            | Self::SetAttributes { .. }
            | Self::SetIpAddressType { .. }
            | Self::SetSubnets { .. }
            | Self::CreateListener { .. }
            | Self::ModifyListener { .. }
            | Self::AddCertificate { .. }
            | Self::RemoveCertificate { .. }
            | Self::DeleteListener { .. }
            | Self::Register { .. }
            | Self::Deregister { .. }
            | Self::SetTags { .. }
            | Self::DeleteBalancer { gap: false, .. }
            | Self::DeleteGroup { .. } => false,
        }
    }
}
