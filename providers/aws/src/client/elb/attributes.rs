//! Attributes of load balancers, target groups and listeners: maps of texts, which AWS describes whole and changes in part.

use aws_sdk_elasticloadbalancingv2::types as sdk;

use crate::client::Aws;
use crate::client::action::Action;
use crate::client::elb::Pairs;
use crate::client::error::Error;
use crate::client::names::{ListenerArn, LoadBalancerArn, TargetGroupArn};

macro_rules! attributes {
    ($($(#[$doc:meta])* $describe:ident, $(#[$modify_doc:meta])* $modify:ident,
       $Describe:ident, $Modify:ident, $describe_sdk:ident, $modify_sdk:ident, $Arn:ident, $arn:ident, $Attribute:ident;)+) => {
        impl Aws {
            $(
                $(#[$doc])*
                pub async fn $describe(&self, of: &$Arn) -> Result<Pairs, Error> {
                    let call = self.elb.$describe_sdk().$arn(of.as_str());
                    let answer = self.elb(Action::$Describe, || call.clone().send()).await?;
                    let pair = |one: sdk::$Attribute| Some((one.key?, one.value.unwrap_or_default()));
                    Ok(answer.attributes.unwrap_or_default().into_iter().filter_map(pair).collect())
                }

                $(#[$modify_doc])*
                pub async fn $modify(&self, of: &$Arn, to: &Pairs) -> Result<(), Error> {
                    let attribute = |(key, value)| sdk::$Attribute::builder().key(key).value(value).build();
                    let attributes = to.iter().map(attribute).collect();
                    let call = self.elb.$modify_sdk().$arn(of.as_str()).set_attributes(Some(attributes));
                    self.elb(Action::$Modify, || call.clone().send()).await.map(drop)
                }
            )+
        }
    };
}

attributes! {
    /// All attributes of a load balancer.
    load_balancer_attributes,
    /// Changes these attributes of a load balancer, and no other.
    modify_load_balancer_attributes,
    DescribeLoadBalancerAttributes, ModifyLoadBalancerAttributes,
    describe_load_balancer_attributes, modify_load_balancer_attributes, LoadBalancerArn, load_balancer_arn, LoadBalancerAttribute;
    /// All attributes of a target group.
    target_group_attributes,
    /// Changes these attributes of a target group, and no other.
    modify_target_group_attributes,
    DescribeTargetGroupAttributes, ModifyTargetGroupAttributes,
    describe_target_group_attributes, modify_target_group_attributes, TargetGroupArn, target_group_arn, TargetGroupAttribute;
    /// All attributes of a listener.
    listener_attributes,
    /// Changes these attributes of a listener, and no other.
    modify_listener_attributes,
    DescribeListenerAttributes, ModifyListenerAttributes,
    describe_listener_attributes, modify_listener_attributes, ListenerArn, listener_arn, ListenerAttribute;
}
