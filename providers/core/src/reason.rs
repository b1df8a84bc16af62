//! The reasons that conditions carry. One enum, so that a reader finds them all in one place and a test can provoke each.

use std::fmt;

use serde::{Serialize, Serializer};

/// The conditions that we write on a claimed Service, in this order. The first that is not True names the failing hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConditionType {
    /// Spec and annotations can be served within the class's limits.
    Accepted,
    /// The load balancer has an address.
    AddressAssigned,
    /// Listeners and targets are as desired.
    Programmed,
    /// Somebody has seen traffic arrive.
    Reachable,
}

impl ConditionType {
    /// All of them, in order.
    pub const ALL: [Self; 4] = [Self::Accepted, Self::AddressAssigned, Self::Programmed, Self::Reachable];

    /// The name as it stands in `status.conditions[].type`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Accepted => "portolan.dev/Accepted",
            Self::AddressAssigned => "portolan.dev/AddressAssigned",
            Self::Programmed => "portolan.dev/Programmed",
            Self::Reachable => "portolan.dev/Reachable",
        }
    }
}

/// Kubernetes' own condition for refused ports (KEP-1435).
pub const PORTS_ERROR: &str = "LoadBalancerPortsError";

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// A stable CamelCase code. Its doc comment is the reference that users read.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Reason {
            /// Every reason there is, in the order of this file.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The code.
            pub fn code(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)+
                }
            }

            /// What it means and what to do about it, from which the reference is generated.
            pub fn description(self) -> &'static str {
                match self {
                    $(Self::$name => concat!($($doc,)+),)+
                }
            }
        }
    };
}

reasons! {
    // Accepted
    /// Spec and annotations can be served.
    Accepted,
    /// Some ports cannot be served; the others are. `status.loadBalancer.ingress[].ports` says which and why.
    PortsRefused,
    /// The class is no longer in the configuration. The Service keeps what it has and nothing is changed until the class is back or the Service is deleted.
    ClassNotConfigured,
    /// A warning only: the class is not the default any more. The Service stays with it until it is deleted or its type or class changes.
    DefaultClassMoved,
    /// A warning only: the type annotation is gone. The Service stays with its class until it is deleted or its type or class changes.
    TypeAnnotationRemoved,
    /// A warning only: the class does not claim by type annotation any more. The Service stays with it until it is deleted or its type or class changes.
    TypeAnnotationNotRead,
    /// The annotation `portolan.dev/paused` asks to leave everything as it is. Remove it to go on.
    Paused,
    /// Another Portolan of this cluster still cleans up after this Service. Nothing to do but wait.
    OtherInstance,
    /// The stored object holds values that no API server should have accepted. Edit the named fields.
    InvalidSpec,
    /// An annotation's value cannot be understood. Correct it as the message says.
    InvalidAnnotation,
    /// The provider has no listener of this protocol.
    ProtocolNotSupported,
    /// The provider cannot mix protocols on one load balancer; the ports of the first port's protocol are served.
    MixedProtocolNotSupported,
    /// The provider reaches pods through node ports and this port has none. Allow them (`allocateLoadBalancerNodePorts: true`) or set `nodePort`.
    NodePortRequired,
    /// The provider has no addresses of this family.
    FamilyNotSupported,
    /// The provider cannot limit source ranges, and serving everybody is not what was asked for.
    SourceRangesNotSupported,
    /// A source range is not a network in CIDR notation.
    InvalidSourceRange,
    /// The provider cannot keep a client at one endpoint.
    SessionAffinityNotSupported,
    /// The provider does not tell internal from public load balancers.
    SchemeNotSupported,
    /// A Warning: a cloud's annotation for internal load balancers holds a text that its cloud does not know. It is read as internal, so that nobody becomes public by accident; correct the text.
    SchemeUnclear,
    /// A Warning: one annotation asks for an internal load balancer and another for a public one. The most private reading wins; remove the one that is not meant.
    SchemeConflict,
    /// The provider cannot give an address that is asked for by name.
    RequestedAddressNotSupported,
    /// A requested address cannot be read, or does not fit the Service's families.
    InvalidRequestedAddress,
    /// The provider gives each Service a load balancer of its own.
    SharingNotSupported,
    /// The Service asks to share a load balancer, and contradicts a Service that was there before it: in a port, or in what belongs to the whole. The message names the key.
    ShareConflict,
    /// A Warning: the Namespaces of two Services that share a load balancer do not both list each other any more. Nobody is moved for it.
    ShareConsentWithdrawn,
    /// A Warning: of another Service on the same load balancer nothing may be changed, because it is paused or asks for what cannot be. What belongs to the whole stays as it is until that is over.
    ShareHeld,
    // AddressAssigned
    /// The load balancer has its address.
    Assigned,
    /// The provider has not given an address yet.
    AddressPending,
    /// No address was asked for, because nothing of this Service can be served.
    NotRequested,
    /// The provider has no free address left in the pools or ranges that apply. The Service waits for one.
    PoolExhausted,
    /// No pool serves this Service, or not the one that it names. The message says what is wrong with each.
    NoPool,
    /// The requested address is taken, or lies outside the ranges of the class.
    RequestedAddressUnavailable,
    // Programmed
    /// The provider has everything as desired.
    Programmed,
    /// The provider is at work; the message says what is awaited.
    Provisioning,
    /// The provider refused a call in a way that only an edit can mend.
    ProviderRefused,
    /// The provider failed; the call is repeated with growing pauses of at most a minute.
    ProviderFailed,
    /// The record of the load balancer cannot be read or written; the message says why. It is tried again with growing pauses.
    RecordFailed,
    /// An external object stands in the way that is not ours. It is left alone.
    NotOurs,
    /// An object of the name that ours would have exists outside and is not ours. It is left alone; rename or delete it, or ask for another name.
    NameTaken,
    /// What is asked for needs another load balancer, and its name or its addresses are not free before the one that serves is deleted. Allow the gap with `portolan.dev/allow-downtime: "true"`, or do not fix them.
    ReplaceNeedsDowntime,
    /// A quota of the account is used up. Ask the provider to raise it, or delete what is not needed; it is tried again every five minutes.
    QuotaExceeded,
    /// The controller's credentials do not allow a call that is needed. Allow it; it is tried again every minute.
    AccessDenied,
    /// No node announces the address. The message says why not.
    NotAnnounced,
    /// Somebody on the wire who is no speaker of ours has the address; the message names his Ethernet address. Take it from him, or give the Service another address. The address is announced once he has been silent for a minute; if it never was before, the wire is asked each minute, and the Service gets another address as soon as one is free, unless it asks for this one by name or has it reserved.
    AddressConflict,
    // Reachable
    /// Traffic arrives.
    Reachable,
    /// No endpoint can take traffic. Look at the Service's selector and its pods.
    NoEndpoints,
    /// No node can take traffic for the node ports: none is there, each is excluded or leaving or without an address of the family; or, under `externalTrafficPolicy: Local`, none of those that may has an endpoint. Look at the nodes' labels, taints and addresses.
    NoNodes,
    /// The provider finds no healthy target.
    Unhealthy,
    /// Nobody can tell whether traffic arrives.
    NoWitness,
    /// One station answers for the address, and nothing more can be proven: the Service has no TCP port with an endpoint, or its source ranges leave out the node that looks.
    LayerTwoOnly,
    /// Another node has asked on the wire who has the address, and nobody answers. Look whether the node that announces it is cut off, and at its speaker's log.
    NoAnswer,
    /// Several stations answer for the address, so that each client reaches one of them by chance; the message names them. Take it from those who are not its node.
    SeveralAnswers,
    /// One station answers for the address, and it is none of the node that announces it; the message names it. Take the address from it, or give the Service another one.
    ForeignAnswer,
    /// The node that announces the address leaves connections to the ports in the message without an answer, as another node has found on the wire. Look at that node's kube-proxy and packet filters.
    NoSynAck,
    /// Connections to the ports in the message are refused, as another node has found on the wire. Look whether the pods listen at their `targetPort`.
    ConnectionRefused,
}

impl Reason {
    /// The hop at which something has failed for this reason.
    pub fn hop(self) -> ConditionType {
        match self {
            Self::Accepted
            | Self::PortsRefused
            | Self::ClassNotConfigured
            | Self::DefaultClassMoved
            | Self::TypeAnnotationRemoved
            | Self::TypeAnnotationNotRead
            | Self::Paused
            | Self::OtherInstance
            | Self::InvalidSpec
            | Self::InvalidAnnotation
            | Self::ProtocolNotSupported
            | Self::MixedProtocolNotSupported
            | Self::NodePortRequired
            | Self::FamilyNotSupported
            | Self::SourceRangesNotSupported
            | Self::InvalidSourceRange
            | Self::SessionAffinityNotSupported
            | Self::SchemeNotSupported
            | Self::SchemeUnclear
            | Self::SchemeConflict
            | Self::RequestedAddressNotSupported
            | Self::InvalidRequestedAddress
            | Self::SharingNotSupported
            | Self::ShareConflict
            | Self::ShareConsentWithdrawn
            | Self::ShareHeld => ConditionType::Accepted,
            Self::Assigned
            | Self::AddressPending
            | Self::NotRequested
            | Self::PoolExhausted
            | Self::NoPool
            | Self::RequestedAddressUnavailable => ConditionType::AddressAssigned,
            Self::Programmed
            | Self::Provisioning
            | Self::ProviderRefused
            | Self::ProviderFailed
            | Self::RecordFailed
            | Self::NotOurs
            | Self::NameTaken
            | Self::ReplaceNeedsDowntime
            | Self::QuotaExceeded
            | Self::AccessDenied
            | Self::NotAnnounced
            | Self::AddressConflict => ConditionType::Programmed,
            Self::Reachable
            | Self::NoEndpoints
            | Self::NoNodes
            | Self::Unhealthy
            | Self::NoWitness
            | Self::LayerTwoOnly
            | Self::NoAnswer
            | Self::SeveralAnswers
            | Self::ForeignAnswer
            | Self::NoSynAck
            | Self::ConnectionRefused => ConditionType::Reachable,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl Serialize for Reason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_camel_case_and_described() {
        let mut seen = std::collections::BTreeSet::new();
        for reason in Reason::ALL {
            let code = reason.code();
            assert!(seen.insert(code), "{code} stands twice");
            assert!(
                code.starts_with(|c: char| c.is_ascii_uppercase()) && code.chars().all(|c| c.is_ascii_alphanumeric())
            );
            assert!(reason.description().len() > 10, "{code} has no description");
        }
    }
}
