//! The steps: one mutating call of AWS each, as data that knows no SDK.
//!
//! A step names what it acts on by name and, where that exists already, by ARN. What an earlier step of the same plan makes has only its name
//! yet: whoever carries the plan out knows by then what AWS has called it.

pub(crate) mod assumed;
mod told;

use std::collections::{BTreeMap, BTreeSet};

use portolan_core::balancer::Scheme;
use portolan_core::provider::Step as ProviderStep;
use serde::Serialize;

use crate::attributes::Attributes;
use crate::backend::need::Need;
use crate::estate::Known;
use crate::ids::{CertificateArn, PrefixListId, SecurityGroupId, VpcId};
use crate::names::{Kind, NAME};
use crate::provider::remembered;
use crate::settings::health::HealthCheck;
use crate::settings::listeners::Front;
use crate::settings::tags::is_of_controllers;
use crate::state::{Arn, Bound, Rule, SubnetMapping, Target};
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
    /// A security group.
    SecurityGroup {
        /// Its identity.
        id: SecurityGroupId,
        /// Its name.
        name: String,
    },
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

/// One call; what is done at the targets may be several or none, which [`Foretold`] tells where it can be known.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "step", rename_all_fields = "camelCase")]
pub enum Step {
    /// Lets in at the security groups of the targets what the load balancer sends; the group that all balancers share is made, if it has to
    /// be. Costs nothing where that is so already.
    Admit {
        /// What.
        need: Need,
    },
    /// Lets in no more what only this load balancer needed; the last one takes the shared group with it.
    Withdraw,
    /// Asks as how many rules prefix lists count, and whether they exist: a call that reads. What comes after it in the plan is decided anew
    /// with that.
    Weigh {
        /// Those of which nobody has asked.
        lists: BTreeSet<PrefixListId>,
    },
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
        /// There is no room for those that come beside these, so that these go first.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        gap: bool,
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
    /// Says which families its addresses have, where they are those of the same subnets.
    SetIpAddressType {
        /// The balancer.
        balancer: Object,
        /// Which.
        ip_address_type: IpAddressType,
    },
    /// Says where it is, and with it which families its addresses have: AWS judges subnets, addresses and source NAT by the type of the same
    /// call (<https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_SetSubnets.html>).
    SetSubnets {
        /// The balancer.
        balancer: Object,
        /// The families that its addresses have then.
        ip_address_type: IpAddressType,
        /// All of them, sorted.
        subnets: Vec<SubnetMapping>,
        /// Whether prefixes of the subnets are sources of IPv6, if it is or was so.
        #[serde(skip_serializing_if = "Option::is_none")]
        source_nat: Option<Switch>,
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
        /// That they do not is ours then, and has to be remembered.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        private_link_ours: bool,
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
        targets: Vec<Bound>,
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
    /// Removes tags that were given once and are asked for no more.
    RemoveTags {
        /// From this.
        of: Tagged,
        /// Which.
        keys: BTreeSet<String>,
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
    /// In a dry run alone.
    Foretold(Foretold),
}

/// A line of a dry run about what is written for all load balancers at once, or about what nobody knows. Whoever acts decides that anew when
/// its turn has come, so that no such step is ever carried out.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Foretold {
    /// The group that all balancers carry is made.
    MakeShared {
        /// Its name.
        name: String,
        /// Where it is.
        vpc: Known<VpcId>,
    },
    /// Rules are added to a group of targets.
    LetIn {
        /// Which.
        group: SecurityGroupId,
        /// For people.
        rules: Vec<String>,
        /// There is no room for them beside those that go, which go first.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        after_a_gap: bool,
    },
    /// Rules are taken away from it.
    Shut {
        /// Which.
        group: SecurityGroupId,
        /// For people.
        rules: Vec<String>,
    },
    /// The group that all balancers carry is deleted.
    DeleteShared {
        /// Its identity.
        id: SecurityGroupId,
        /// Its name.
        name: String,
    },
    /// This cannot be done as things are.
    Stuck {
        /// What, and what to do about it.
        problem: String,
    },
    /// What it comes to is not known.
    Unknown {
        /// What is to be.
        what: String,
        /// Why it is not known.
        why: &'static str,
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
    /// What it costs: the mutating call that it makes. None: that is not known before its turn comes, or it makes none.
    pub fn calls(&self) -> Option<Action> {
        let (api, name) = match self {
            Self::Admit { .. } | Self::Withdraw | Self::Weigh { .. } => return None,
            Self::Foretold(Foretold::Stuck { .. } | Foretold::Unknown { .. }) => return None,
            Self::Foretold(Foretold::MakeShared { .. }) => (Api::Ec2, "CreateSecurityGroup"),
            Self::Foretold(Foretold::LetIn { .. }) => (Api::Ec2, "AuthorizeSecurityGroupIngress"),
            Self::Foretold(Foretold::Shut { .. }) => (Api::Ec2, "RevokeSecurityGroupIngress"),
            Self::Foretold(Foretold::DeleteShared { .. }) => (Api::Ec2, "DeleteSecurityGroup"),
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
            Self::SetTags { of: Tagged::SecurityGroup { .. }, .. } => (Api::Ec2, "CreateTags"),
            Self::RemoveTags { of: Tagged::SecurityGroup { .. }, .. } => (Api::Ec2, "DeleteTags"),
            Self::SetTags { .. } | Self::Retire { .. } => (Api::ElbV2, "AddTags"),
            Self::RemoveTags { .. } => (Api::ElbV2, "RemoveTags"),
            Self::DeleteBalancer { .. } => (Api::ElbV2, "DeleteLoadBalancer"),
            Self::DeleteGroup { .. } => (Api::ElbV2, "DeleteTargetGroup"),
        };
        Some(Action { api, name })
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

impl Step {
    /// The keys of tags that it gives because somebody asks for them: ours to remove again.
    pub fn gives(&self) -> impl Iterator<Item = String> {
        let (tags, named) = match self {
            Self::CreateSecurityGroup { name, tags, .. }
            | Self::SetTags { of: Tagged::SecurityGroup { name, .. }, tags } => (Some(tags), Some(name)),
            Self::CreateGroup { tags, .. }
            | Self::CreateBalancer { tags, .. }
            | Self::CreateListener { tags, .. }
            | Self::SetTags { tags, .. } => (Some(tags), None),
            Self::Admit { .. }
            | Self::Withdraw
            | Self::Weigh { .. }
            | Self::OpenRules { .. }
            | Self::CloseRules { .. }
            | Self::DeleteSecurityGroup { .. }
            | Self::SetHealthCheck { .. }
            | Self::SetAttributes { .. }
            | Self::SetIpAddressType { .. }
            | Self::SetSubnets { .. }
            | Self::SetSecurityGroups { .. }
            | Self::ModifyListener { .. }
            | Self::AddCertificate { .. }
            | Self::RemoveCertificate { .. }
            | Self::DeleteListener { .. }
            | Self::Register { .. }
            | Self::Deregister { .. }
            | Self::RemoveTags { .. }
            | Self::Retire { .. }
            | Self::DeleteBalancer { .. }
            | Self::DeleteGroup { .. }
            | Self::Foretold(_) => (None, None),
        };
        let asked = tags.into_iter().flatten().filter(move |(key, value)| {
            let is_name = key.as_str() == NAME && named == Some(*value);
            !is_name && !is_of_controllers(key)
        });
        asked.map(|(key, _)| key.clone())
    }
}

impl ProviderStep for Step {
    fn name(&self) -> &'static str {
        match self {
            Self::Admit { .. } => "Admit",
            Self::Weigh { .. } => "Weigh",
            Self::Withdraw => "Withdraw",
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
            Self::RemoveTags { .. } => "RemoveTags",
            Self::Retire { .. } => "Retire",
            Self::DeleteBalancer { .. } => "DeleteBalancer",
            Self::DeleteGroup { .. } => "DeleteGroup",
            Self::Foretold(Foretold::MakeShared { .. }) => "CreateSharedSecurityGroup",
            Self::Foretold(Foretold::LetIn { .. }) => "OpenTargetRules",
            Self::Foretold(Foretold::Shut { .. }) => "CloseTargetRules",
            Self::Foretold(Foretold::DeleteShared { .. }) => "DeleteSharedSecurityGroup",
            Self::Foretold(Foretold::Stuck { .. }) => "CannotOpen",
            Self::Foretold(Foretold::Unknown { .. }) => "Unknown",
        }
    }

    fn intent(&self) -> Vec<(String, String)> {
        remembered::intent(self)
    }

    fn moves_clients(&self) -> bool {
        match self {
            Self::OpenRules { .. }
            | Self::CloseRules { .. }
            | Self::CreateBalancer { .. }
            | Self::SetSecurityGroups { .. }
            | Self::Retire { .. }
            | Self::DeleteBalancer { gap: true, .. } => true,
            Self::Admit { .. }
            | Self::Withdraw
            | Self::Weigh { .. }
            | Self::CreateSecurityGroup { .. }
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
            | Self::RemoveTags { .. }
            | Self::DeleteBalancer { gap: false, .. }
            | Self::DeleteGroup { .. }
            | Self::Foretold(_) => false,
        }
    }

    fn cleans_up(&self) -> bool {
        match self {
            Self::Retire { .. }
            | Self::DeleteBalancer { gap: false, .. }
            | Self::DeleteGroup { .. }
            | Self::DeleteSecurityGroup { .. }
            | Self::Deregister { .. } => true,
            Self::Admit { .. }
            | Self::Withdraw
            | Self::Weigh { .. }
            | Self::CreateSecurityGroup { .. }
            | Self::OpenRules { .. }
            | Self::CloseRules { .. }
            | Self::CreateGroup { .. }
            | Self::SetHealthCheck { .. }
            | Self::SetAttributes { .. }
            | Self::CreateBalancer { .. }
            | Self::SetIpAddressType { .. }
            | Self::SetSubnets { .. }
            | Self::SetSecurityGroups { .. }
            | Self::CreateListener { .. }
            | Self::ModifyListener { .. }
            | Self::AddCertificate { .. }
            | Self::RemoveCertificate { .. }
            | Self::DeleteListener { .. }
            | Self::Register { .. }
            | Self::SetTags { .. }
            | Self::RemoveTags { .. }
            | Self::DeleteBalancer { gap: true, .. }
            | Self::Foretold(_) => false,
        }
    }
}
