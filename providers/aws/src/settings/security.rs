//! Who gets in: security groups, and what their rules let through
//! (<https://docs.aws.amazon.com/elasticloadbalancing/latest/network/load-balancer-security-groups.html>).

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use portolan_core::balancer::SourceRanges;
use portolan_core::desire::ranges;
use portolan_core::reason::Reason;
use serde::{Deserialize, Serialize};

use crate::annotations::Key;
use crate::annotations::reader::Reader;
use crate::ids::{Id, PrefixListId, SecurityGroupRef};
use crate::parameters::{BackendSecurityGroup, DefaultSecurityGroups};
use crate::settings::Input;
use crate::words::{IpAddressType, Switch};

/// Who gets in.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Security {
    /// By which security groups.
    pub groups: SecurityGroups,
    /// Whether their rules count for PrivateLink; none: nobody says, and a balancer for which nobody has ever said has them count.
    ///
    /// AWS states "The default is on" and no more
    /// (<https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_SetSecurityGroups.html>): not whether a SetSecurityGroups
    /// that leaves it out turns `off` into `on`, or leaves it. So neither may be relied on: who wants `on` back after `off` has to write
    /// `on`, and who changes the groups alone has to write what is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub private_link: Option<Switch>,
}

/// The security groups of a balancer.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum SecurityGroups {
    /// One that Portolan keeps, beside the one that all balancers of the cluster share.
    Managed {
        /// Who may connect.
        sources: Vec<IpNet>,
        /// And who else.
        prefix_lists: Vec<PrefixListId>,
        /// The messages by which a path's MTU is found get in too.
        icmp: bool,
    },
    /// Somebody else's.
    Own {
        /// Which.
        groups: Vec<SecurityGroupRef>,
        /// Portolan opens the targets' groups to the balancer.
        backend_rules: bool,
    },
    /// None: the targets' own groups decide.
    None {
        /// Who may connect, where targets see the clients' addresses.
        sources: Vec<IpNet>,
        /// Portolan opens the targets' groups to the balancer.
        backend_rules: bool,
    },
}

pub(super) fn read(input: &Input<'_>, ip_address_type: IpAddressType, reader: &mut Reader<'_>) -> Security {
    if !input.service.source_ranges.is_empty() && reader.list(Key::SourceRanges).is_some() {
        reader.ineffective(Key::SourceRanges, "spec.loadBalancerSourceRanges says it");
    }
    let private_link = reader.word(Key::PrivateLinkRules).and_then(Switch::parse);
    let backend_rules = reader.bool(Key::BackendRules);
    let icmp = reader.word(Key::Icmp).and_then(Switch::parse) == Some(Switch::On);
    let prefix_lists = reader.parsed_set(Key::PrefixLists, prefix_list).unwrap_or_default();
    let groups = match choice(input, reader) {
        DefaultSecurityGroups::Managed => {
            if backend_rules == Some(false) {
                reader.ineffective(Key::BackendRules, "Portolan keeps the security groups, and their rules with them");
            }
            let sources = sources(input, ip_address_type, &prefix_lists, reader);
            SecurityGroups::Managed { sources, prefix_lists, icmp }
        }
        DefaultSecurityGroups::Own(groups) => {
            inert(input, reader);
            let backend_rules = backend_rules.unwrap_or(false);
            if backend_rules && input.parameters.backend_security_group == BackendSecurityGroup::None {
                reader.refuse(Key::BackendRules, "the class has no backendSecurityGroup for such rules to name");
            }
            SecurityGroups::Own { groups, backend_rules }
        }
        DefaultSecurityGroups::None => {
            let by =
                if reader.has(Key::NoSecurityGroup) { Key::NoSecurityGroup.name() } else { "the class".to_owned() };
            let without = format!("by {by} the balancer has no security groups");
            if !prefix_lists.is_empty() {
                reader.refuse(
                    Key::PrefixLists,
                    format!("{without}, which alone could keep others out; remove one of the two"),
                );
            }
            if private_link.is_some() {
                reader.refuse(Key::PrivateLinkRules, format!("{without} and no such rules; remove it"));
            }
            if icmp {
                reader.ineffective(Key::Icmp, without);
            }
            let sources = sources(input, ip_address_type, &[], reader);
            SecurityGroups::None { sources, backend_rules: backend_rules.unwrap_or(true) }
        }
    };
    Security { groups, private_link }
}

/// What the Service says, else the class.
fn choice(input: &Input<'_>, reader: &mut Reader<'_>) -> DefaultSecurityGroups {
    let limits = &input.parameters.limits;
    let without = reader.bool(Key::NoSecurityGroup);
    let named = reader.parsed_set(Key::SecurityGroups, SecurityGroupRef::parse);
    for group in named.iter().flatten().filter(|group| !limits.security_groups.allows(group)) {
        let told = limits.security_groups.told(SecurityGroupRef::to_string);
        reader.refuse(Key::SecurityGroups, format!("{group} is outside of the class's limits; it allows {told}"));
    }
    if without == Some(true) && reader.list(Key::SecurityGroups).is_some() {
        let other = Key::SecurityGroups.name();
        reader.refuse(Key::NoSecurityGroup, format!("is true, and {other} names some; remove one of the two"));
    }
    if without == Some(true) && !limits.without_security_groups {
        reader.refuse(Key::NoSecurityGroup, "the class allows no balancer without security groups");
    }
    match (named, without, &input.parameters.defaults.security_groups) {
        (Some(groups), _, _) => DefaultSecurityGroups::Own(groups),
        (None, Some(true), _) => DefaultSecurityGroups::None,
        (None, Some(false), DefaultSecurityGroups::None) => DefaultSecurityGroups::Managed,
        (None, Some(false) | None, class) => class.clone(),
    }
}

/// Somebody else's rules decide alone.
fn inert(input: &Input<'_>, reader: &mut Reader<'_>) {
    let why = "the balancer has security groups of your own, whose rules decide";
    if matches!(input.source_ranges, SourceRanges::Only(_)) {
        if input.service.source_ranges.is_empty() {
            reader.ineffective(Key::SourceRanges, why);
        } else {
            reader.ineffective_field("spec.loadBalancerSourceRanges", why);
        }
    }
    if reader.list(Key::PrefixLists).is_some() {
        reader.ineffective(Key::PrefixLists, why);
    }
    if reader.text(Key::Icmp) == Some(Switch::On.as_str()) {
        reader.ineffective(Key::Icmp, why);
    }
}

/// The ranges that the Service gives; without any, everybody, unless prefix lists say who. Nobody comes to an ipv4 balancer by IPv6.
fn sources(
    input: &Input<'_>,
    ip_address_type: IpAddressType,
    prefix_lists: &[PrefixListId],
    reader: &mut Reader<'_>,
) -> Vec<IpNet> {
    let ranges = match input.source_ranges {
        SourceRanges::Only(ranges) => ranges.clone(),
        SourceRanges::All if !prefix_lists.is_empty() => Vec::new(),
        SourceRanges::All => everybody(ip_address_type),
    };
    for range in ranges.iter().filter(|range| matches!(range, IpNet::V6(_))) {
        if ip_address_type == IpAddressType::Ipv4 {
            let message = format!(
                "{}: {range} is of IPv6, and the balancer is ipv4; remove it, or set {} to dualstack",
                ranges::place(input.service),
                Key::IpAddressTypeKey.name()
            );
            reader.refuse_as(Reason::InvalidSourceRange, message);
        }
    }
    ranges
}

fn everybody(ip_address_type: IpAddressType) -> Vec<IpNet> {
    let v4 = Ipv4Net::new_assert(Ipv4Addr::UNSPECIFIED, 0);
    let v6 = Ipv6Net::new_assert(Ipv6Addr::UNSPECIFIED, 0);
    match ip_address_type {
        IpAddressType::Ipv4 => vec![v4.into()],
        IpAddressType::Dualstack => vec![v4.into(), v6.into()],
    }
}

fn prefix_list(text: &str) -> Result<PrefixListId, String> {
    PrefixListId::parse(text).ok_or_else(|| format!("is no identifier {}...", PrefixListId::PREFIX))
}
