//! What can be done: one write each, but for those that only tell allocation and placement.

use std::fmt;
use std::net::IpAddr;

use portolan_core::provider;
use serde::Serialize;

use crate::backing::Backing;
use crate::vip::{Vip, name};
use crate::wish::Wish;

/// One step.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "step", rename_all_fields = "camelCase")]
pub enum Step {
    /// Asks for addresses, or for others than before.
    Ask {
        /// For which.
        wish: Box<Wish>,
    },
    /// Asks for none any more.
    Withdraw,
    /// Tells placement who is behind the addresses, and which of these are published.
    Back {
        /// The Services.
        backing: Box<Backing>,
    },
    /// Creates the `VirtualIP` of an address.
    Claim {
        /// What it says.
        vip: Box<Vip>,
    },
    /// Says in it who is served there by now.
    Update {
        /// What it says.
        vip: Box<Vip>,
    },
    /// Deletes it; one that is reserved stays, for those it is kept for, and one that is set aside, for nobody.
    Release {
        /// Which.
        address: IpAddr,
    },
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ask { wish } => {
                let families: Vec<String> = wish.families.iter().map(ToString::to_string).collect();
                write!(f, "ask the pools for {}", families.join(" and "))?;
                if !wish.requested.is_empty() {
                    let named: Vec<String> = wish.requested.iter().map(ToString::to_string).collect();
                    write!(f, ", {} by name", named.join(" and "))?;
                }
                wish.pool.as_ref().map_or(Ok(()), |pool| write!(f, ", out of pool {pool}"))
            }
            Self::Withdraw => f.write_str("ask the pools for nothing any more"),
            Self::Back { backing } => {
                let told: Vec<String> = backing.services.values().map(ToString::to_string).collect();
                write!(f, "tell placement where endpoints are: {}", told.join("; "))?;
                let published: Vec<String> = backing.published.iter().map(ToString::to_string).collect();
                if published.is_empty() {
                    Ok(())
                } else {
                    write!(f, ", and that {} is published", published.join(" and "))
                }
            }
            Self::Claim { vip } => {
                let pool = vip.pool.as_ref().map(|pool| format!(" out of pool {pool}")).unwrap_or_default();
                write!(f, "create VirtualIP {} for {}{pool}", name(vip.address), vip.told())
            }
            Self::Update { vip } => write!(f, "update VirtualIP {}: {}", name(vip.address), services(vip)),
            Self::Release { address } => write!(f, "delete VirtualIP {}", name(*address)),
        }
    }
}

fn services(vip: &Vip) -> String {
    let one = |served: &crate::vip::Served| {
        let ports: Vec<String> = served.ports.iter().map(ToString::to_string).collect();
        format!("{} {}", served.member.key(), ports.join(","))
    };
    vip.services.iter().map(one).collect::<Vec<_>>().join("; ")
}

impl provider::Step for Step {
    fn name(&self) -> &'static str {
        match self {
            Self::Ask { .. } => "AskForAddresses",
            Self::Withdraw => "WithdrawWish",
            Self::Back { .. } => "TellPlacement",
            Self::Claim { .. } => "ClaimAddress",
            Self::Update { .. } => "UpdateAddress",
            Self::Release { .. } => "ReleaseAddress",
        }
    }

    fn moves_clients(&self) -> bool {
        match self {
            Self::Ask { .. } | Self::Withdraw | Self::Back { .. } => false,
            Self::Claim { .. } | Self::Update { .. } | Self::Release { .. } => true,
        }
    }

    fn is_hint(&self) -> bool {
        match self {
            Self::Back { .. } => true,
            Self::Ask { .. } | Self::Withdraw | Self::Claim { .. } | Self::Update { .. } | Self::Release { .. } => {
                false
            }
        }
    }
}
