//! The same request again. API reference, CreateLoadBalancer, CreateTargetGroup and CreateListener: "This operation is idempotent [...] If
//! you attempt to create multiple [...] with the same settings, each call succeeds"; with others, `Duplicate...`.
//!
//! Tags are not among the settings: kubernetes-sigs/aws-load-balancer-controller issues 2533 and 3027 show two Services, whose tags differ,
//! get one balancer without an error. So a name clash is a silent takeover for whoever does not look at the tags.

use crate::estate::{Balancer, Group, Listener};
use crate::refusal::Refusal;

/// The settings of a balancer that was asked for, against the one that has its name.
pub(crate) fn balancer(existing: &Balancer, asked: &Balancer) -> Result<(), Refusal> {
    let of = |one: &Balancer| {
        let mut mappings = one.mappings.clone();
        mappings.sort();
        (one.internal, one.vpc.clone(), one.dual_stack, one.source_nat_prefix, one.security_groups.clone(), mappings)
    };
    settle(of(existing) == of(asked), "DuplicateLoadBalancerName", "load balancer", &asked.name)
}

/// The settings of a group that was asked for, against the one that has its name.
pub(crate) fn group(existing: &Group, asked: &Group) -> Result<(), Refusal> {
    let of =
        |one: &Group| (one.protocol, one.port, one.vpc.clone(), one.target_type, one.ipv6, one.health_check.clone());
    settle(of(existing) == of(asked), "DuplicateTargetGroupName", "target group", &asked.name)
}

/// The settings of a listener that was asked for, against the one that has its port.
pub(crate) fn listener(existing: &Listener, asked: &Listener) -> Result<(), Refusal> {
    let of = |one: &Listener| {
        (one.protocol, one.actions.clone(), one.certificate.clone(), one.ssl_policy.clone(), one.alpn.clone())
    };
    if of(existing) == of(asked) {
        return Ok(());
    }
    Err(Refusal::new("DuplicateListener", "A listener already exists on this port for this load balancer"))
}

fn settle(same: bool, code: &str, what: &str, name: &str) -> Result<(), Refusal> {
    let message = || format!("A {what} with the same name '{name}' exists, but with different settings");
    if same { Ok(()) } else { Err(Refusal::new(code, message())) }
}
