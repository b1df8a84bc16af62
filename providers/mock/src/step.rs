//! The steps: one change of the mock's world each.

use std::fmt;
use std::net::IpAddr;

use portolan_core::balancer::{Family, Listener, Member, NodeTarget, PortKey, Scheme, SourceRanges, Targets};
use portolan_core::provider::Step as ProviderStep;
use serde::Serialize;

/// One external write.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "step", rename_all_fields = "camelCase")]
pub enum Step {
    /// Makes a generation, empty.
    CreateBalancer {
        /// Its number.
        generation: u32,
        /// Whom it serves.
        scheme: Scheme,
    },
    /// Says which Services it serves.
    SetMembers {
        /// In the order of joining.
        members: Vec<Member>,
    },
    /// Says who may connect.
    SetSourceRanges {
        /// Sorted.
        source_ranges: SourceRanges,
    },
    /// Says which nodes may take traffic.
    SetNodes {
        /// By name.
        nodes: Vec<NodeTarget>,
    },
    /// Gives a generation an address.
    AssignAddress {
        /// The generation.
        generation: u32,
        /// The family.
        family: Family,
        /// This address or none.
        #[serde(skip_serializing_if = "Option::is_none")]
        requested: Option<IpAddr>,
        /// Where none is requested: this one if it can be had, else any.
        #[serde(skip_serializing_if = "Option::is_none")]
        preferred: Option<IpAddr>,
    },
    /// Makes a listener as it should be.
    PutListener {
        /// The generation.
        generation: u32,
        /// The listener.
        listener: Listener,
    },
    /// Removes a listener.
    DeleteListener {
        /// The generation.
        generation: u32,
        /// Which.
        listener: PortKey,
    },
    /// Takes an address back from a generation.
    ReleaseAddress {
        /// The generation; none if no load balancer is left that knows of the claim.
        #[serde(skip_serializing_if = "Option::is_none")]
        generation: Option<u32>,
        /// Which.
        address: IpAddr,
    },
    /// Lets a replaced generation finish its connections.
    DrainBalancer {
        /// The generation.
        generation: u32,
    },
    /// Removes a generation.
    DeleteBalancer {
        /// The generation.
        generation: u32,
    },
}

/// The names of all steps, as faults name them.
pub const STEP_NAMES: [&str; 10] = [
    "CreateBalancer",
    "SetMembers",
    "SetSourceRanges",
    "SetNodes",
    "AssignAddress",
    "PutListener",
    "DeleteListener",
    "ReleaseAddress",
    "DrainBalancer",
    "DeleteBalancer",
];

impl ProviderStep for Step {
    fn name(&self) -> &'static str {
        match self {
            Self::CreateBalancer { .. } => "CreateBalancer",
            Self::SetMembers { .. } => "SetMembers",
            Self::SetSourceRanges { .. } => "SetSourceRanges",
            Self::SetNodes { .. } => "SetNodes",
            Self::AssignAddress { .. } => "AssignAddress",
            Self::PutListener { .. } => "PutListener",
            Self::DeleteListener { .. } => "DeleteListener",
            Self::ReleaseAddress { .. } => "ReleaseAddress",
            Self::DrainBalancer { .. } => "DrainBalancer",
            Self::DeleteBalancer { .. } => "DeleteBalancer",
        }
    }

    fn moves_clients(&self) -> bool {
        match self {
            Self::CreateBalancer { .. } | Self::SetSourceRanges { .. } | Self::DrainBalancer { .. } => true,
            Self::SetMembers { .. }
            | Self::SetNodes { .. }
            | Self::AssignAddress { .. }
            | Self::PutListener { .. }
            | Self::DeleteListener { .. }
            | Self::ReleaseAddress { .. }
            | Self::DeleteBalancer { .. } => false,
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CreateBalancer { generation, scheme } => {
                write!(f, "create {scheme} load balancer, generation {generation}")
            }
            Self::SetMembers { members } => {
                write!(f, "serve {}", listed(members.iter().map(|member| member.key())))
            }
            Self::SetSourceRanges { source_ranges: SourceRanges::All } => f.write_str("let everybody connect"),
            Self::SetSourceRanges { source_ranges: SourceRanges::Only(networks) } => {
                write!(f, "let only {} connect", listed(networks.iter()))
            }
            Self::SetNodes { nodes } => write!(f, "use nodes {}", listed(nodes.iter().map(|node| &node.name))),
            Self::AssignAddress { generation, family, requested: Some(address), preferred: _ } => {
                write!(f, "assign {family} address {address} to generation {generation}")
            }
            Self::AssignAddress { generation, family, requested: None, preferred: Some(address) } => {
                write!(f, "assign {family} address {address}, if it can be had, to generation {generation}")
            }
            Self::AssignAddress { generation, family, requested: None, preferred: None } => {
                write!(f, "assign a free {family} address to generation {generation}")
            }
            Self::PutListener { generation, listener } => {
                write!(f, "put listener {} on generation {generation}, to ", listener.key)?;
                match &listener.targets {
                    Targets::Nodes { node_port, nodes } => {
                        write!(f, "node port {node_port} of {}", listed(nodes.iter()))
                    }
                    Targets::Pods { endpoints, local_nodes: _ } => write!(f, "pods {}", listed(endpoints.iter())),
                }
            }
            Self::DeleteListener { generation, listener } => {
                write!(f, "delete listener {listener} of generation {generation}")
            }
            Self::ReleaseAddress { generation: None, address } => {
                write!(f, "release address {address}, of which no generation knows")
            }
            Self::ReleaseAddress { generation: Some(generation), address } => {
                write!(f, "release address {address} of generation {generation}")
            }
            Self::DrainBalancer { generation } => write!(f, "drain generation {generation}"),
            Self::DeleteBalancer { generation } => write!(f, "delete generation {generation}"),
        }
    }
}

fn listed(items: impl Iterator<Item = impl fmt::Display>) -> String {
    let items: Vec<_> = items.map(|item| item.to_string()).collect();
    if items.is_empty() { "nothing".to_owned() } else { items.join(", ") }
}
