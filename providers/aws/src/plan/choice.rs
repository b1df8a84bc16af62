//! Which generation is to serve, and whether another one has to be made.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use portolan_core::balancer::Published;
use portolan_core::reason::Reason;
use portolan_core::refusal::{Refusal, Refused};

use super::group_of;
use crate::model::{Firewall, Model};
use crate::state::{Balancer, State, Status, SubnetMapping};
use crate::words::{IpAddressType, scheme_word};

/// The generation that is to serve.
pub(crate) enum Choice<'a> {
    /// One that is there.
    Existing(&'a Balancer),
    /// Another one.
    New {
        /// Its number.
        number: u32,
        /// Its name.
        name: String,
        /// Those that have to go first, because they have its name or its addresses.
        instead_of: Vec<&'a Balancer>,
    },
    /// None before one that is on its way out has gone.
    Wait,
}

/// Of those that can follow the model the one that clients know already, else the oldest.
pub(crate) fn choose<'a>(model: &Model, observed: &'a State, published: &[Published]) -> Result<Choice<'a>, Refusal> {
    let known = |balancer: &&Balancer| (balancer.is_among(published), Reverse(balancer.generation));
    let follows = |balancer: &&Balancer| model.pinned || against(model, observed, balancer).is_empty();
    if let Some(existing) = observed.staying().filter(follows).max_by_key(known) {
        return Ok(Choice::Existing(existing));
    }
    let last = observed.balancers.iter().map(|balancer| balancer.generation).max().unwrap_or(0);
    let number = last.saturating_add(1);
    let name = model.name.clone().unwrap_or_else(|| model.names.balancer(number));
    let blocking: Vec<&Balancer> =
        observed.balancers.iter().filter(|other| !blocks(model, &name, other).is_empty()).collect();
    if blocking.is_empty() {
        return Ok(Choice::New { number, name, instead_of: Vec::new() });
    }
    let (going, staying): (Vec<&Balancer>, Vec<&Balancer>) = blocking.into_iter().partition(|other| other.is_leaving());
    // With the groups alone in the way, others can be put behind the same listeners: a gap until they are healthy, and the address stays.
    let in_place = |balancer: &&Balancer| whole(model, balancer).is_empty();
    match staying.iter().copied().find(in_place) {
        Some(existing) if model.allow_downtime => return Ok(Choice::Existing(existing)),
        Some(_) | None => {}
    }
    if !going.is_empty() {
        return Ok(Choice::Wait);
    }
    if model.allow_downtime {
        return Ok(Choice::New { number, name, instead_of: staying });
    }
    let reasons = staying.iter().flat_map(|other| {
        let why = against(model, observed, other).join(", ");
        blocks(model, &name, other).into_iter().map(move |what| {
            let message = format!(
                "{why}; this needs another load balancer, and {what} cannot be given to it before the one that is \
                 there is deleted. Set portolan.dev/allow-downtime to \"true\", or leave that to AWS",
            );
            Refused::whole(Reason::ReplaceNeedsDowntime, message)
        })
    });
    Err(Refusal { reasons: reasons.collect() })
}

/// What AWS cannot change in this balancer so that it would follow the model; nothing, if it can.
pub(crate) fn against(model: &Model, observed: &State, balancer: &Balancer) -> Vec<String> {
    let mut against = whole(model, balancer);
    for wanted in &model.listeners {
        let Some(listener) = balancer.listener(wanted.port).filter(|listener| listener.ours) else { continue };
        // A port that has changed hands is a new one for its clients.
        if !listener.serves.iter().any(|one| wanted.serves.iter().any(|other| one.0 == other.0)) {
            continue;
        }
        let Some(group) = observed.group_of(listener).filter(|_| group_of(observed, balancer, wanted).is_none()) else {
            continue;
        };
        against.push(format!("on port {} {} is to become {}", wanted.port, group.kind, wanted.group.kind));
    }
    against
}

fn whole(model: &Model, balancer: &Balancer) -> Vec<String> {
    let mut against = Vec::new();
    if balancer.status == Status::Failed {
        against.push("AWS could not set it up".to_owned());
    }
    if model.scheme != balancer.scheme {
        let (is, wanted) = (scheme_word(balancer.scheme), scheme_word(model.scheme));
        against.push(format!("{is} is to become {wanted}"));
    }
    // https://docs.aws.amazon.com/elasticloadbalancing/latest/network/load-balancer-security-groups.html
    match (&model.firewall, balancer.security_groups.is_empty()) {
        (Firewall::None, false) => against.push("it is to have no security groups any more".to_owned()),
        (Firewall::Managed { .. } | Firewall::Own(_), true) => {
            against.push("it was made without security groups and is to have some".to_owned());
        }
        (Firewall::None, true) | (Firewall::Managed { .. } | Firewall::Own(_), false) => {}
    }
    let Some(subnets) = model.subnets.known() else { return against };
    let shared: Vec<(&SubnetMapping, &SubnetMapping)> = subnets
        .iter()
        .filter_map(|wanted| Some((wanted, balancer.subnets.iter().find(|own| own.subnet == wanted.subnet)?)))
        .collect();
    if shared.is_empty() && !balancer.subnets.is_empty() {
        against.push("it is to be in other subnets altogether".to_owned());
    }
    for (wanted, own) in shared {
        // One that has IPv6 has an address of AWS's choice where nobody has fixed one, although AWS may not have told it yet.
        let has_ipv6 = balancer.ip_address_type == IpAddressType::Dualstack;
        let moves = wanted.allocation != own.allocation
            || (wanted.private_ipv4.is_some() && wanted.private_ipv4 != own.private_ipv4)
            || (wanted.ipv6.is_some() && has_ipv6 && wanted.ipv6 != own.ipv6);
        if moves {
            against.push(format!("in {} it is to have another address", own.subnet));
        }
    }
    against
}

/// What of this balancer a new one would need.
fn blocks(model: &Model, name: &str, other: &Balancer) -> Vec<String> {
    let mut blocks = Vec::new();
    if other.name == name {
        blocks.push(format!("the name {name}"));
    }
    let fixed = |mappings: &[SubnetMapping]| -> BTreeSet<String> {
        let of = |mapping: &SubnetMapping| {
            let allocation = mapping.allocation.as_ref().map(|id| format!("the elastic address {id}"));
            let private = mapping.private_ipv4.map(|address| format!("the address {address}"));
            let ipv6 = mapping.ipv6.map(|address| format!("the address {address}"));
            [allocation, private, ipv6].into_iter().flatten()
        };
        mappings.iter().flat_map(of).collect()
    };
    let wanted = model.subnets.known().map(|subnets| fixed(subnets)).unwrap_or_default();
    blocks.extend(fixed(&other.subnets).intersection(&wanted).cloned());
    blocks
}
