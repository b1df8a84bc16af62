//! Calls can be made from any thread: a provider's futures must be `Send`.

use std::collections::BTreeMap;

use portolan_aws::client::Aws;
use portolan_aws::client::ec2::filter::Filters;
use portolan_aws::client::names::{ListenerArn, LoadBalancerArn, TargetGroupArn};
use portolan_aws::ids::SecurityGroupId;

fn sendable<T: Send>(future: T) {
    drop(future);
}

/// That it compiles is the proof.
#[expect(dead_code, reason = "it is compiled, not called")]
fn every_shape_of_call(aws: &Aws, id: &SecurityGroupId) {
    sendable(aws.load_balancers(&[]));
    sendable(aws.load_balancers_named(&[]));
    sendable(aws.listeners_of(&LoadBalancerArn::new("")));
    sendable(aws.listener_attributes(&ListenerArn::new("")));
    sendable(aws.target_groups(&[]));
    sendable(aws.register(&TargetGroupArn::new(""), &[]));
    sendable(aws.target_health(&TargetGroupArn::new("")));
    sendable(aws.tags(&[]));
    sendable(aws.add_tags(&[], &BTreeMap::new()));
    sendable(aws.subnets_where(&Filters::new()));
    sendable(aws.security_groups(&[]));
    sendable(aws.authorize_ingress(id, &[]));
    sendable(aws.revoke_ingress(id, &[]));
    sendable(aws.instances(&[]));
}
