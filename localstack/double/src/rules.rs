//! AWS's rules, each a plain function of what is asked and what there is. No emulator is needed to test them.
//!
//! "API reference" is the Elastic Load Balancing API reference, version 2015-12-01; "NLB guide" the user guide for Network Load Balancers.
//!
//! | Rule | Module | AWS page |
//! |---|---|---|
//! | names: length, characters, edges, `internal-` | [`names`] | API reference, CreateLoadBalancer, CreateTargetGroup |
//! | the same request again | [`again`] | the same, and CreateListener: "This operation is idempotent" |
//! | how many of everything | [`quotas`] | NLB guide, "Quotas for your Network Load Balancers" |
//! | which listener may forward to which group | [`protocols`] | NLB guide, "Target groups", routing configuration; API reference, CreateTargetGroup |
//! | one balancer per group, one listener per port, certificates | [`listeners`] | API reference, CreateListener, ModifyListener |
//! | health checks | [`health_checks`] | API reference, CreateTargetGroup, ModifyTargetGroup |
//! | which targets | [`targets`] | API reference, RegisterTargets, TargetDescription |
//! | attribute keys, values, defaults | [`attributes`] | API reference, LoadBalancerAttribute, TargetGroupAttribute, ListenerAttribute |
//! | subnets and their addresses | [`subnets`] | API reference, CreateLoadBalancer, SetSubnets, SubnetMapping |
//! | tags | [`tags`] | API reference, AddTags, Tag; NLB guide, "Tags for your Network Load Balancer" |
//! | pages and how many may be asked for | [`pages`] | API reference, the Describe actions |
//! | rules of security groups | [`ingress`] | EC2 API reference, AuthorizeSecurityGroupIngress; VPC guide, "Amazon VPC quotas" |
//! | as how many rules a prefix list counts | [`prefix_lists`] | VPC guide, "Security group rules", "AWS-managed prefix lists" |

pub(crate) mod again;
pub(crate) mod attributes;
pub(crate) mod health_checks;
pub(crate) mod ingress;
pub(crate) mod listeners;
pub(crate) mod names;
pub(crate) mod pages;
pub(crate) mod prefix_lists;
pub(crate) mod protocols;
pub(crate) mod quotas;
pub(crate) mod subnets;
pub(crate) mod tags;
pub(crate) mod targets;

use crate::refusal::Refusal;

/// `InvalidConfigurationRequest`: "The requested configuration is not valid" (API reference).
pub(crate) fn invalid(message: impl Into<String>) -> Refusal {
    Refusal::new("InvalidConfigurationRequest", message)
}

/// A whole number in a range, or `ValidationError`.
pub(crate) fn number(name: &str, text: &str, range: std::ops::RangeInclusive<u32>) -> Result<u32, Refusal> {
    text.parse().ok().filter(|number| range.contains(number)).ok_or_else(|| {
        Refusal::validation(format!("{name} '{text}' must be a number from {} to {}", range.start(), range.end()))
    })
}
