//! The balancer itself.

use std::collections::BTreeSet;

use super::{Generation, attributes, security};
use crate::attributes::{LOAD_BALANCER, Owner, restored};
use crate::estate::Known;
use crate::ids::SubnetId;
use crate::model::{Firewall, Model};
use crate::names::{GENERATION, SERVICES};
use crate::state::{Balancer, State, SubnetMapping};
use crate::step::{AttributesOf, SecurityGroupOf, Step, Tagged};

pub(super) fn put(model: &Model, observed: &State, generation: &Generation<'_>, steps: &mut Vec<Step>) {
    let groups = security_groups(model, observed, generation);
    let mut tags = model.tags.clone();
    tags.insert(SERVICES.to_owned(), model.services.clone());
    tags.insert(GENERATION.to_owned(), generation.number.to_string());
    match generation.existing {
        Some(_) if model.pinned => return,
        Some(existing) => {
            changed(model, existing, generation, &groups, steps);
            tags.retain(|key, value| existing.tags.get(key) != Some(value));
            if !tags.is_empty() {
                steps.push(Step::SetTags { of: Tagged::Balancer(generation.object()), tags });
            }
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
                steps.push(set_security_groups(model, generation, &groups));
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
        let link_differs = model.private_link.is_some_and(|link| link != existing.private_link);
        if !groups.iter().eq(&own) || link_differs {
            steps.push(set_security_groups(model, generation, groups));
        }
    }
    if let Known::Known(wanted) = &model.subnets {
        subnets(existing, wanted, generation, steps);
    }
    if existing.ip_address_type != model.ip_address_type {
        steps.push(Step::SetIpAddressType { balancer: generation.object(), ip_address_type: model.ip_address_type });
    }
}

/// AWS refuses to put one subnet of a zone in another's place in one call, so that what goes goes first
/// (<https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_SetSubnets.html>).
fn subnets(existing: &Balancer, wanted: &[SubnetMapping], generation: &Generation<'_>, steps: &mut Vec<Step>) {
    let ids = |mappings: &[SubnetMapping]| -> BTreeSet<SubnetId> {
        mappings.iter().map(|mapping| mapping.subnet.clone()).collect()
    };
    let (own, all) = (ids(&existing.subnets), ids(wanted));
    let prefix_differs = |mapping: &SubnetMapping| {
        existing.subnets.iter().any(|own| own.subnet == mapping.subnet && own.source_nat != mapping.source_nat)
    };
    if own == all && !wanted.iter().any(prefix_differs) {
        return;
    }
    let put = |subnets: Vec<SubnetMapping>| Step::SetSubnets { balancer: generation.object(), subnets };
    let stay: Vec<SubnetMapping> = wanted.iter().filter(|mapping| own.contains(&mapping.subnet)).cloned().collect();
    if stay.len() < own.len() && stay.len() < all.len() {
        steps.push(put(stay));
    }
    steps.push(put(wanted.to_vec()));
}

fn set_security_groups(model: &Model, generation: &Generation<'_>, groups: &[SecurityGroupOf]) -> Step {
    Step::SetSecurityGroups {
        balancer: generation.object(),
        security_groups: groups.to_vec(),
        private_link: model.private_link,
    }
}

fn security_groups(model: &Model, observed: &State, generation: &Generation<'_>) -> Known<Vec<SecurityGroupOf>> {
    match &model.firewall {
        Firewall::Managed { sources: _, icmp: _, beside } => {
            let mut groups = vec![security::of(model, observed, generation)];
            groups.extend(beside.iter().cloned().map(SecurityGroupOf::Id));
            groups.sort();
            Known::Known(groups)
        }
        Firewall::Own(Known::Known(groups)) => Known::Known(groups.iter().cloned().map(SecurityGroupOf::Id).collect()),
        Firewall::Own(Known::Unknown) => Known::Unknown,
        Firewall::None => Known::Known(Vec::new()),
    }
}
