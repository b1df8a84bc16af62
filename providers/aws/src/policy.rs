//! The least that AWS has to allow Portolan, as two IAM policies: one that only reads, one that writes. `deploy/aws` has them as files.
//!
//! Writes are bound to the tag of the cluster, [`CLUSTER`]: what is made has to be born with it, what exists is changed only if it has it.
//! Which kinds of objects and which condition keys AWS looks at for an action is in its service authorization reference: [Elastic Load
//! Balancing V2](https://docs.aws.amazon.com/service-authorization/latest/reference/list_awselasticloadbalancingv2.html),
//! [EC2](https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html). The describing actions know no object, and
//! so no tag: they are allowed on everything or not at all.

mod document;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use crate::client::action::{Action, Service};
use crate::names::CLUSTER;

/// One of the two policies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Policy {
    /// Changes nothing. Enough for a look at what there is, and for a plan.
    Read,
    /// Changes what has the cluster's tag. It needs the other one beside it.
    Write,
}

/// What an action is called on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum On {
    /// No object that AWS would look at.
    Anything,
    /// Network Load Balancers.
    Balancers,
    /// Target groups.
    Groups,
    /// Listeners of Network Load Balancers.
    Listeners,
    /// Security groups.
    SecurityGroups,
    /// The VPC that a security group is made in.
    Vpcs,
    /// The role by which Elastic Load Balancing itself acts.
    ServiceRole,
}

/// When it is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    /// AWS looks at no object, or at one that is nobody's.
    Unbound,
    /// What it makes is born with the cluster's tag.
    Marked,
    /// The same, on an object that has the tag too.
    MarkedOnOurs,
    /// The object has the cluster's tag.
    Ours,
    /// The object has the tag by which clouds know what is a cluster's: the security groups of its nodes, which let balancers in.
    OfTheCluster,
    /// The tags are those of an object that is being made, the cluster's among them. Who may only do this can tag nothing that exists
    /// (<https://docs.aws.amazon.com/elasticloadbalancing/latest/userguide/tagging-resources-during-creation.html>,
    /// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/supported-iam-actions-tagging.html>).
    Newborn(Service),
    /// The object has the cluster's tag and keeps it as it is.
    Tagging,
    /// The object has the cluster's tag, which is not among those that go.
    Untagging,
    /// It is for Elastic Load Balancing and no other service.
    ForBalancing,
}

/// What an action is allowed on, and when. AWS looks at one object of each kind that it knows for the action, or at one of these.
type Grant = (&'static [On], When);

/// What carries tags at Elastic Load Balancing.
const BALANCING: &[On] = &[On::Balancers, On::Groups, On::Listeners];

/// Where an action stands. There is no catch-all arm: a new action has to be thought about.
fn grants(action: Action) -> &'static [Grant] {
    match action {
        Action::DescribeLoadBalancers
        | Action::DescribeLoadBalancerAttributes
        | Action::DescribeListeners
        | Action::DescribeListenerAttributes
        | Action::DescribeListenerCertificates
        | Action::DescribeTargetGroups
        | Action::DescribeTargetGroupAttributes
        | Action::DescribeTargetHealth
        | Action::DescribeTags
        | Action::DescribeInstances
        | Action::DescribeManagedPrefixLists
        | Action::DescribeNetworkInterfaces
        | Action::DescribeRouteTables
        | Action::DescribeSecurityGroups
        | Action::DescribeSubnets
        | Action::DescribeVpcs => &[(&[On::Anything], When::Unbound)],
        Action::CreateLoadBalancer => &[(&[On::Balancers], When::Marked)],
        Action::CreateTargetGroup => &[(&[On::Groups], When::Marked)],
        // AWS looks at the balancer that the listener is for, and at the tags of the listener.
        Action::CreateListener => &[(&[On::Balancers], When::MarkedOnOurs)],
        Action::ModifyLoadBalancerAttributes
        | Action::SetSubnets
        | Action::SetSecurityGroups
        | Action::SetIpAddressType
        | Action::DeleteLoadBalancer => &[(&[On::Balancers], When::Ours)],
        Action::ModifyTargetGroup
        | Action::ModifyTargetGroupAttributes
        | Action::RegisterTargets
        | Action::DeregisterTargets
        | Action::DeleteTargetGroup => &[(&[On::Groups], When::Ours)],
        Action::ModifyListener
        | Action::ModifyListenerAttributes
        | Action::AddListenerCertificates
        | Action::RemoveListenerCertificates
        | Action::DeleteListener => &[(&[On::Listeners], When::Ours)],
        Action::AddTags => &[(BALANCING, When::Newborn(Service::LoadBalancing)), (BALANCING, When::Tagging)],
        Action::RemoveTags => &[(BALANCING, When::Untagging)],
        // AWS looks at both, and the VPC is nobody's.
        Action::CreateSecurityGroup => &[(&[On::SecurityGroups], When::Marked), (&[On::Vpcs], When::Unbound)],
        Action::AuthorizeSecurityGroupIngress | Action::RevokeSecurityGroupIngress => {
            &[(&[On::SecurityGroups], When::Ours), (&[On::SecurityGroups], When::OfTheCluster)]
        }
        Action::DeleteSecurityGroup => &[(&[On::SecurityGroups], When::Ours)],
        Action::CreateTags => {
            &[(&[On::SecurityGroups], When::Newborn(Service::Ec2)), (&[On::SecurityGroups], When::Tagging)]
        }
        Action::DeleteTags => &[(&[On::SecurityGroups], When::Untagging)],
    }
}

/// The actions that give tags to what they make.
const CREATING: &[Action] =
    &[Action::CreateLoadBalancer, Action::CreateTargetGroup, Action::CreateListener, Action::CreateSecurityGroup];

/// What Portolan never calls, and AWS asks of whoever makes a balancer or a target group: Elastic Load Balancing looks at these in its caller's
/// name, and makes its role with the first balancer of an account
/// (<https://docs.aws.amazon.com/elasticloadbalancing/latest/userguide/elb-api-permissions.html>).
const ASKED_BY_AWS: &[(&str, Policy, Grant)] = &[
    ("ec2:DescribeAccountAttributes", Policy::Read, (&[On::Anything], When::Unbound)),
    ("ec2:DescribeAddresses", Policy::Read, (&[On::Anything], When::Unbound)),
    ("ec2:DescribeInternetGateways", Policy::Read, (&[On::Anything], When::Unbound)),
    ("iam:CreateServiceLinkedRole", Policy::Write, (&[On::ServiceRole], When::ForBalancing)),
];

impl Policy {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Read, Self::Write];

    /// Where an action is allowed.
    pub fn of(action: Action) -> Self {
        if action.reads() { Self::Read } else { Self::Write }
    }

    /// The actions that it allows and Portolan calls, as IAM writes them.
    pub fn actions(self) -> BTreeSet<String> {
        self.called().map(|action| action.to_string()).collect()
    }

    /// All that it allows: also what AWS asks for beside a call, and nobody calls.
    pub fn permissions(self) -> BTreeSet<String> {
        let beside = ASKED_BY_AWS.iter().filter(|(_, policy, _)| *policy == self);
        self.actions().into_iter().chain(beside.map(|(name, ..)| (*name).to_owned())).collect()
    }

    fn called(self) -> impl Iterator<Item = Action> {
        Action::ALL.iter().copied().filter(move |action| Self::of(*action) == self)
    }

    fn granted(self) -> impl Iterator<Item = (String, Grant)> {
        let called =
            self.called().flat_map(|action| grants(action).iter().map(move |grant| (action.to_string(), *grant)));
        let beside = ASKED_BY_AWS.iter().filter(move |(_, policy, _)| *policy == self);
        called.chain(beside.map(|(name, _, grant)| ((*name).to_owned(), *grant)))
    }
}
