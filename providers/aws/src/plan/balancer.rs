//! The balancer itself.

use std::collections::BTreeSet;

use super::{Generation, attributes, listeners, security, tags};
use crate::attributes::{LOAD_BALANCER, Owner, restored};
use crate::estate::Known;
use crate::ids::SubnetId;
use crate::model::{Firewall, Model};
use crate::names::{GENERATION, SERVICES};
use crate::settings::subnets::Prefix;
use crate::state::{Balancer, State, SubnetMapping};
use crate::step::{AttributesOf, SecurityGroupOf, Step, Tagged};
use crate::words::Switch;

pub(super) fn put(model: &Model, observed: &State, generation: &Generation<'_>, steps: &mut Vec<Step>) {
    let groups = security_groups(model, observed, generation);
    let mut tags = model.tags.clone();
    tags.insert(SERVICES.to_owned(), model.services.clone());
    tags.insert(GENERATION.to_owned(), generation.number.to_string());
    match generation.existing {
        Some(_) if model.pinned => return,
        Some(existing) => {
            changed(model, existing, generation, &groups, steps);
            tags::put(model, observed, &existing.tags, tags, || Tagged::Balancer(generation.object()), steps);
        }
        None => {
            steps.push(Step::CreateBalancer {
                name: generation.name.clone(),
                generation: generation.number,
                scheme: model.scheme,
                ip_address_type: model.ip_address_type,
                subnets: model.subnets.clone(),
                security_groups: groups.clone(),
                tags,
            });
            if let (Some(_), Known::Known(groups)) = (model.private_link, groups) {
                steps.push(set_security_groups(model, model.private_link, generation, &groups));
            }
        }
    }
    let owner = Owner::LoadBalancer(model.scheme);
    attributes::put(
        &model.attributes,
        generation.existing.map(|existing| &existing.attributes),
        owner,
        |owned| restored(LOAD_BALANCER, owned, &model.attributes, owner),
        || AttributesOf::Balancer(generation.object()),
        steps,
    );
}

fn changed(
    model: &Model,
    existing: &Balancer,
    generation: &Generation<'_>,
    groups: &Known<Vec<SecurityGroupOf>>,
    steps: &mut Vec<Step>,
) {
    if let Known::Known(groups) = groups {
        let own: BTreeSet<SecurityGroupOf> =
            existing.security_groups.iter().cloned().map(SecurityGroupOf::Id).collect();
        // What was ours and nobody asks for any more is as AWS has it at birth; AWS does not say what becomes of it in a call that leaves it out.
        let restored = existing.private_link_ours.then_some(Switch::On);
        let link = model.private_link.or(restored).unwrap_or(existing.private_link);
        if !groups.iter().eq(&own) || link != existing.private_link {
            steps.push(set_security_groups(model, Some(link), generation, groups));
        }
    }
    let mut families = Vec::new();
    if let Known::Known(wanted) = &model.subnets {
        subnets(model, existing, wanted, generation, &mut families);
    }
    if families.is_empty() && existing.ip_address_type != model.ip_address_type {
        let ip_address_type = model.ip_address_type;
        families.push(Step::SetIpAddressType { balancer: generation.object(), ip_address_type });
    }
    if !families.is_empty() {
        // A dualstack balancer takes UDP only with source NAT: what listens to it and goes anyway must not stand in the way.
        listeners::remove(model, generation, steps);
    }
    steps.extend(families);
}

/// AWS refuses to put one subnet of a zone in another's place in one call, so that what goes goes first
/// (<https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_SetSubnets.html>).
fn subnets(
    model: &Model,
    existing: &Balancer,
    wanted: &[SubnetMapping],
    generation: &Generation<'_>,
    steps: &mut Vec<Step>,
) {
    let ids = |mappings: &[SubnetMapping]| -> BTreeSet<SubnetId> {
        mappings.iter().map(|mapping| mapping.subnet.clone()).collect()
    };
    let (own, all) = (ids(&existing.subnets), ids(wanted));
    let becomes = existing.ip_address_type != model.ip_address_type;
    let differs = |mapping: &SubnetMapping| {
        existing.subnets.iter().filter(|own| own.subnet == mapping.subnet).any(|own| {
            // Another address of the same family needs another balancer: see `choice`.
            let gets_address = becomes && mapping.ipv6.is_some() && own.ipv6 != mapping.ipv6;
            gets_address || prefix_differs(own.source_nat, mapping.source_nat)
        })
    };
    if own == all && !wanted.iter().any(differs) {
        return;
    }
    let has_nat = |subnets: &[SubnetMapping]| subnets.iter().any(|mapping| mapping.source_nat.is_some());
    let source_nat = match (has_nat(&existing.subnets), has_nat(wanted)) {
        (_, true) => Some(Switch::On),
        // AWS does not say what becomes of it in a call that leaves it out.
        (true, false) => Some(Switch::Off),
        (false, false) => None,
    };
    let put = |subnets: Vec<SubnetMapping>| Step::SetSubnets {
        balancer: generation.object(),
        ip_address_type: model.ip_address_type,
        subnets,
        source_nat,
    };
    let stay: Vec<SubnetMapping> = wanted.iter().filter(|mapping| own.contains(&mapping.subnet)).cloned().collect();
    if stay.len() < own.len() && stay.len() < all.len() {
        steps.push(put(stay));
    }
    steps.push(put(wanted.to_vec()));
}

/// Of a prefix that AWS has picked, it tells which.
fn prefix_differs(own: Option<Prefix>, wanted: Option<Prefix>) -> bool {
    match (own, wanted) {
        (Some(_), Some(Prefix::Assigned)) => false,
        (own, wanted) => own != wanted,
    }
}

fn set_security_groups(
    model: &Model,
    private_link: Option<Switch>,
    generation: &Generation<'_>,
    groups: &[SecurityGroupOf],
) -> Step {
    Step::SetSecurityGroups {
        balancer: generation.object(),
        security_groups: groups.to_vec(),
        private_link,
        private_link_ours: model.private_link == Some(Switch::Off),
    }
}

fn security_groups(model: &Model, observed: &State, generation: &Generation<'_>) -> Known<Vec<SecurityGroupOf>> {
    match &model.firewall {
        Firewall::Managed { sources: _, icmp: _, beside } => {
            let mut groups = vec![security::of(model, observed, generation)];
            groups.extend(beside.iter().cloned());
            groups.sort();
            Known::Known(groups)
        }
        Firewall::Own(Known::Known(groups)) => Known::Known(groups.iter().cloned().collect()),
        Firewall::Own(Known::Unknown) => Known::Unknown,
        Firewall::None => Known::Known(Vec::new()),
    }
}
