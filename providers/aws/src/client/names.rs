//! Names that AWS gives in answers. What is of the type came from AWS; nothing is checked again.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident;)+) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
            #[serde(transparent)]
            pub struct $name(String);

            impl $name {
                /// As AWS gave it.
                pub fn new(text: impl Into<String>) -> Self {
                    Self(text.into())
                }

                /// The text.
                pub fn as_str(&self) -> &str {
                    &self.0
                }
            }

            impl fmt::Display for $name {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str(&self.0)
                }
            }

            impl From<$name> for String {
                fn from(name: $name) -> Self {
                    name.0
                }
            }
        )+
    };
}

names! {
    /// The ARN of a load balancer.
    LoadBalancerArn;
    /// The ARN of a listener.
    ListenerArn;
    /// The ARN of a target group.
    TargetGroupArn;
    /// An instance, `i-...`.
    InstanceId;
    /// A network interface, `eni-...`.
    InterfaceId;
    /// A route table, `rtb-...`.
    RouteTableId;
    /// A rule of a security group, `sgr-...`.
    RuleId;
}
