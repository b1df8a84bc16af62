//! The actions of AWS that we call, and which budget each is paid from. There is no other list: what is not here is never called.

use std::fmt;

/// One of AWS's APIs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Service {
    /// Elastic Load Balancing v2, version 2015-12-01.
    LoadBalancing,
    /// EC2, version 2016-11-15.
    Ec2,
}

impl Service {
    /// As IAM policies call it.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::LoadBalancing => "elasticloadbalancing",
            Self::Ec2 => "ec2",
        }
    }
}

/// Actions that AWS counts together
/// (<https://docs.aws.amazon.com/elasticloadbalancing/latest/userguide/elb-api-throttling.html>,
/// <https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html>).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// ELB: what changes nothing.
    Describe,
    /// ELB: what changes something.
    Change,
    /// ELB: targets come and go.
    Register,
    /// EC2: what changes nothing.
    Ec2Describe,
    /// EC2: what changes something.
    Ec2Change,
}

impl Class {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Describe, Self::Change, Self::Register, Self::Ec2Describe, Self::Ec2Change];
}

macro_rules! actions {
    ($($service:ident { $($name:ident,)+ })+) => {
        /// One action.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Action {
            $($(#[doc = concat!("`", stringify!($name), "`.")] $name,)+)+
        }

        impl Action {
            /// All of them.
            pub const ALL: &'static [Self] = &[$($(Self::$name,)+)+];

            /// As AWS spells it.
            pub fn name(self) -> &'static str {
                match self {
                    $($(Self::$name => stringify!($name),)+)+
                }
            }

            /// Whose it is.
            pub fn service(self) -> Service {
                match self {
                    $($(Self::$name)|+ => Service::$service,)+
                }
            }
        }
    };
}

actions! {
    LoadBalancing {
        DescribeLoadBalancers,
        DescribeLoadBalancerAttributes,
        DescribeListeners,
        DescribeListenerAttributes,
        DescribeListenerCertificates,
        DescribeTargetGroups,
        DescribeTargetGroupAttributes,
        DescribeTargetHealth,
        DescribeTags,
        CreateLoadBalancer,
        CreateTargetGroup,
        CreateListener,
        ModifyLoadBalancerAttributes,
        ModifyTargetGroup,
        ModifyTargetGroupAttributes,
        ModifyListener,
        ModifyListenerAttributes,
        SetSubnets,
        SetSecurityGroups,
        SetIpAddressType,
        AddListenerCertificates,
        RemoveListenerCertificates,
        AddTags,
        RemoveTags,
        RegisterTargets,
        DeregisterTargets,
        DeleteLoadBalancer,
        DeleteTargetGroup,
        DeleteListener,
    }
    Ec2 {
        DescribeInstances,
        DescribeManagedPrefixLists,
        DescribeNetworkInterfaces,
        DescribeRouteTables,
        DescribeSecurityGroups,
        DescribeSubnets,
        DescribeVpcs,
        CreateSecurityGroup,
        AuthorizeSecurityGroupIngress,
        RevokeSecurityGroupIngress,
        CreateTags,
        DeleteTags,
        DeleteSecurityGroup,
    }
}

impl Action {
    /// It changes nothing.
    pub fn reads(self) -> bool {
        self.name().starts_with("Describe")
    }

    /// What it is paid from.
    pub fn class(self) -> Class {
        match (self.service(), self.reads()) {
            (Service::LoadBalancing, true) => Class::Describe,
            (Service::LoadBalancing, false) if self == Self::RegisterTargets || self == Self::DeregisterTargets => {
                Class::Register
            }
            (Service::LoadBalancing, false) => Class::Change,
            (Service::Ec2, true) => Class::Ec2Describe,
            (Service::Ec2, false) => Class::Ec2Change,
        }
    }

    /// Done twice, it comes to the same, and the second answer is as good as the first. So an answer that got lost can be asked for again.
    ///
    /// AWS says so of CreateLoadBalancer, CreateTargetGroup and CreateListener ("This operation is idempotent") in the API reference. Rules of
    /// security groups that are there already, or no more, are told apart by their codes (`ec2::groups`). The one exception answers the second
    /// time with `InvalidGroup.Duplicate`, which may be somebody else's group: whoever calls it looks at what is there first.
    pub fn repeats(self) -> bool {
        self != Self::CreateSecurityGroup
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.service().prefix(), self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_action_is_paid_from_the_bucket_that_aws_counts_it_in() {
        for action in Action::ALL {
            let class = match (action.service(), action.name()) {
                (Service::LoadBalancing, "RegisterTargets" | "DeregisterTargets") => Class::Register,
                (Service::LoadBalancing, name) if name.starts_with("Describe") => Class::Describe,
                (Service::LoadBalancing, _) => Class::Change,
                (Service::Ec2, name) if name.starts_with("Describe") => Class::Ec2Describe,
                (Service::Ec2, _) => Class::Ec2Change,
            };
            assert_eq!(action.class(), class, "{action}");
        }
    }

    #[test]
    fn what_reads_can_always_be_asked_again() {
        assert!(Action::ALL.iter().filter(|action| action.reads()).all(|action| action.repeats()));
        assert!(!Action::CreateSecurityGroup.repeats());
    }

    #[test]
    fn an_action_is_written_as_iam_policies_write_it() {
        assert_eq!(Action::CreateListener.to_string(), "elasticloadbalancing:CreateListener");
        assert_eq!(Action::DescribeVpcs.to_string(), "ec2:DescribeVpcs");
    }
}
