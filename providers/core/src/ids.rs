//! Identifiers. Each is a type of its own, so that a node name never stands where a class name is meant.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! string_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Takes the text as it is.
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
    };
}

string_id! {
    /// `metadata.uid`: unlike namespace and name, never used twice.
    Uid
}
string_id! {
    /// The name of a Node.
    NodeName
}
string_id! {
    /// A `loadBalancerClass` as the configuration names it (never an alias).
    ClassName
}
string_id! {
    /// The name of a provider implementation: `mock`, `aws`, `metal`.
    ProviderName
}
string_id! {
    /// Identifies a load balancer and names its record: a Service's UID, or a share's id, behind the instance's name.
    LoadBalancerId
}
string_id! {
    /// `metadata.resourceVersion`, an opaque precondition for writes.
    ResourceVersion
}

/// Namespace and name of a Service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ServiceKey {
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
}

impl ServiceKey {
    /// The key `namespace/name`.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

impl fmt::Display for ServiceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl ResourceVersion {
    /// Versions of one kind compare as numbers (KEP-5504); none if this server's are none.
    pub fn number(&self) -> Option<u64> {
        self.as_str().parse().ok()
    }
}

/// One of several Portolans in a cluster; empty for the only one. Part of finalizer and record names.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Instance(String);

impl Instance {
    /// An instance's name, or why it cannot be one: at most 32 characters of `[a-z0-9-]`, neither first nor last a hyphen,
    /// so that finalizers stay qualified names and record names stay DNS subdomains.
    pub fn parse(text: &str) -> Result<Self, String> {
        let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if text.len() > 32 || !text.chars().all(legal) || text.starts_with('-') || text.ends_with('-') {
            return Err(format!(
                "instance {text:?} must be at most 32 characters of a-z, 0-9 and '-', and neither begin nor end with '-'"
            ));
        }
        Ok(Self(text.to_owned()))
    }

    /// The name; empty for the only Portolan of a cluster.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The finalizer that this instance sets: `portolan.dev/load-balancer`, or `portolan.dev/load-balancer.NAME`.
    pub fn finalizer(&self) -> String {
        if self.0.is_empty() { FINALIZER.to_owned() } else { format!("{FINALIZER}.{}", self.0) }
    }

    /// The name under which the server remembers which fields we have written (`metadata.managedFields`).
    pub fn field_manager(&self) -> String {
        if self.0.is_empty() { "portolan".to_owned() } else { format!("portolan.{}", self.0) }
    }

    /// The id of the load balancer that serves one Service alone: its UID, or `NAME.UID`.
    pub fn load_balancer_of(&self, uid: &Uid) -> LoadBalancerId {
        if self.0.is_empty() {
            LoadBalancerId::new(uid.as_str())
        } else {
            LoadBalancerId::new(format!("{}.{uid}", self.0))
        }
    }
}

/// Our finalizer, for the instance without a name. It gates deletion; the standard one does not (KEP-980, KEP-1959).
pub const FINALIZER: &str = "portolan.dev/load-balancer";

/// The finalizer of upstream's service controller. We set it beside ours, and only on Services claimed as default class: an
/// upstream controller would strip it from a Service with a class and blank its status.
pub const STANDARD_FINALIZER: &str = "service.kubernetes.io/load-balancer-cleanup";

/// FNV-1a, 64 bits: stable between builds, which the standard library's hasher is not. For names, not against forgery.
pub fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3))
}
