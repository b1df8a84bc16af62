//! A step, taken for done: what exists then, as far as plans read it. For a dry run, which looks ahead; nobody is called. What AWS makes up
//! has a stand-in, which nobody is shown.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{AttributesOf, ListenerOf, Object, SecurityGroupOf, Step, Tagged};
use crate::backend::foreseen::stand_in;
use crate::estate::Known;
use crate::ids::SecurityGroupId;
use crate::names::{SERVES, parse_serves};
use crate::settings::listeners::Front;
use crate::state::{Arn, Balancer, Group, Health, Leaving, Listener, Observed, SecurityGroup, State, Status};
use crate::words::Switch;

/// What exists once this is done. None if it acts on what is not there.
pub(crate) fn done(state: &mut State, step: &Step) -> Option<()> {
    match step {
        // They concern what is at the targets alone, or nothing that exists.
        Step::Admit { .. } | Step::Withdraw | Step::Weigh { .. } | Step::Foretold(_) => {}
        Step::CreateSecurityGroup { name, generation, vpc: _, tags } => {
            state.security_groups.push(SecurityGroup {
                id: stand_in(name)?,
                name: name.clone(),
                generation: *generation,
                tags: tags.clone(),
                rules: BTreeSet::new(),
                foreign: BTreeSet::new(),
                others: 0,
                lists_of_others: BTreeMap::new(),
            });
            state.security_groups.sort_by_key(|group| group.generation);
        }
        Step::OpenRules { group, rules } => security_group(state, group)?.rules.extend(rules.iter().cloned()),
        Step::CloseRules { group, rules, gap: _ } => {
            security_group(state, group)?.rules.retain(|rule| !rules.contains(rule));
        }
        Step::DeleteSecurityGroup { id, name: _ } => state.security_groups.retain(|group| &group.id != id),
        Step::CreateGroup { name, generation, kind, port, health, vpc: _, tags } => {
            state.groups.push(Group::made(Arn::new(name.clone()), name, *generation, *kind, *port, health, tags));
            state.groups.sort_by(|a, b| a.name.cmp(&b.name));
        }
        Step::SetHealthCheck { group: of, health } => group(state, of)?.health = health.clone(),
        Step::SetAttributes { of, values, owned } => {
            let attributes = match of {
                AttributesOf::Balancer(of) => &mut balancer(state, of)?.attributes,
                AttributesOf::Group(of) => &mut group(state, of)?.attributes,
                AttributesOf::Listener(of) => &mut listener(state, of)?.attributes,
            };
            attributes.values.extend(values.iter().map(|(key, value)| (key.as_str().to_owned(), value.clone())));
            attributes.owned.clone_from(owned);
        }
        Step::CreateBalancer { name, generation, scheme, ip_address_type, subnets, security_groups, tags } => {
            state.balancers.push(Balancer {
                arn: Arn::new(name.clone()),
                name: name.clone(),
                generation: *generation,
                scheme: *scheme,
                ip_address_type: *ip_address_type,
                hostname: name.clone(),
                status: Status::Provisioning,
                subnets: subnets.known().cloned().unwrap_or_default(),
                security_groups: match security_groups {
                    Known::Known(groups) => groups.iter().map(id).collect::<Option<_>>()?,
                    // Some there are.
                    Known::Unknown => stand_in(name).into_iter().collect(),
                },
                private_link: Switch::On,
                private_link_ours: false,
                attributes: Observed::default(),
                tags: tags.clone(),
                listeners: Vec::new(),
                leaving: Leaving::No,
            });
            state.balancers.sort_by_key(|balancer| balancer.generation);
        }
        Step::SetIpAddressType { balancer: of, ip_address_type } => {
            balancer(state, of)?.has_become(*ip_address_type);
        }
        Step::SetSubnets { balancer: of, ip_address_type, subnets, source_nat: _ } => {
            let balancer = balancer(state, of)?;
            balancer.subnets.clone_from(subnets);
            balancer.has_become(*ip_address_type);
        }
        Step::SetSecurityGroups { balancer: of, security_groups, private_link, private_link_ours } => {
            let balancer = balancer(state, of)?;
            balancer.security_groups = security_groups.iter().map(id).collect::<Option<_>>()?;
            balancer.private_link = private_link.unwrap_or(balancer.private_link);
            balancer.private_link_ours = *private_link_ours;
        }
        Step::CreateListener { balancer: of, port, front, group: to, tags } => {
            let to = group(state, to)?.arn.clone();
            let on = balancer(state, of)?;
            on.listeners.push(Listener {
                arn: Arn::new(format!("{}/{port}", on.name)),
                port: *port,
                front: Some(with_certificates_of(front, None)),
                group: Some(to),
                attributes: Observed::default(),
                serves: serves(tags),
                tags: tags.clone(),
                ours: true,
            });
            on.listeners.sort_by_key(|listener| listener.port);
        }
        Step::ModifyListener { listener: of, front, group: to } => {
            let to = group(state, to)?.arn.clone();
            let listener = listener(state, of)?;
            listener.front = Some(with_certificates_of(front, listener.front.as_ref()));
            listener.group = Some(to);
        }
        Step::AddCertificate { listener: of, certificate } => {
            if let Some(Front::Tls(tls)) = &mut listener(state, of)?.front {
                tls.certificates.push(certificate.clone());
            }
        }
        Step::RemoveCertificate { listener: of, certificate } => {
            if let Some(Front::Tls(tls)) = &mut listener(state, of)?.front {
                tls.certificates.retain(|other| other != certificate);
            }
        }
        Step::DeleteListener { listener: of } => {
            balancer(state, &of.balancer)?.listeners.retain(|listener| listener.port != of.port);
        }
        Step::Register { group: of, targets } => group(state, of)?.registered(targets),
        Step::Deregister { group: of, targets } => {
            let leave = group(state, of)?.targets.iter_mut();
            leave
                .filter(|registered| targets.contains(&registered.target))
                .for_each(|registered| registered.health = Health::Draining);
        }
        Step::SetTags { of, tags } => {
            tagged(state, of)?.extend(tags.clone());
            if let Tagged::Listener(of) = of {
                let listener = listener(state, of)?;
                listener.serves = serves(&listener.tags);
            }
        }
        Step::RemoveTags { of, keys } => tagged(state, of)?.retain(|key, _| !keys.contains(key)),
        Step::Retire { balancer: of } => balancer(state, of)?.leaving = Leaving::Known(Duration::from_secs(1)),
        Step::DeleteBalancer { balancer: of, gap: _ } => state.balancers.retain(|balancer| balancer.name != of.name),
        Step::DeleteGroup { group: of } => state.groups.retain(|group| group.name != of.name),
    }
    state.given(step.gives());
    Some(())
}

/// Everything has come that only takes time, and targets are found healthy. That is assumed: whether they will be, nobody knows.
pub(crate) fn in_time(state: &mut State) {
    for balancer in &mut state.balancers {
        balancer.status = match balancer.status {
            Status::Provisioning | Status::Active => Status::Active,
            Status::Impaired => Status::Impaired,
            Status::Failed => Status::Failed,
        };
        balancer.leaving = match balancer.leaving {
            Leaving::No => Leaving::No,
            Leaving::Known(_) | Leaving::Forgotten => Leaving::Forgotten,
        };
    }
    for group in &mut state.groups {
        group.targets.retain(|registered| registered.health != Health::Draining);
        for registered in &mut group.targets {
            if matches!(registered.health, Health::Initial | Health::Unknown) {
                registered.health = Health::Healthy;
            }
        }
    }
}

fn serves(tags: &BTreeMap<String, String>) -> Vec<(portolan_core::ids::Uid, portolan_core::balancer::PortKey)> {
    tags.get(SERVES).map(|tag| parse_serves(tag)).unwrap_or_default()
}

/// Of certificates, AWS takes the default one with a listener; the others stay as they are.
fn with_certificates_of(front: &Front, before: Option<&Front>) -> Front {
    let mut front = front.clone();
    if let Front::Tls(tls) = &mut front {
        tls.certificates = match before {
            Some(Front::Tls(before)) => before.certificates.clone(),
            Some(Front::Tcp | Front::Udp | Front::TcpUdp) | None => Vec::new(),
        };
    }
    front
}

fn id(of: &SecurityGroupOf) -> Option<SecurityGroupId> {
    match of {
        SecurityGroupOf::Id(id) => Some(id.clone()),
        SecurityGroupOf::Made(name) => stand_in(name),
    }
}

fn security_group<'a>(state: &'a mut State, of: &SecurityGroupOf) -> Option<&'a mut SecurityGroup> {
    let id = id(of)?;
    state.security_groups.iter_mut().find(|group| group.id == id)
}

fn group<'a>(state: &'a mut State, of: &Object) -> Option<&'a mut Group> {
    state.groups.iter_mut().find(|group| group.name == of.name)
}

fn balancer<'a>(state: &'a mut State, of: &Object) -> Option<&'a mut Balancer> {
    state.balancers.iter_mut().find(|balancer| balancer.name == of.name)
}

fn listener<'a>(state: &'a mut State, of: &ListenerOf) -> Option<&'a mut Listener> {
    balancer(state, &of.balancer)?.listeners.iter_mut().find(|listener| listener.port == of.port)
}

fn tagged<'a>(state: &'a mut State, of: &Tagged) -> Option<&'a mut BTreeMap<String, String>> {
    Some(match of {
        Tagged::Balancer(of) => &mut balancer(state, of)?.tags,
        Tagged::Group(of) => &mut group(state, of)?.tags,
        Tagged::Listener(of) => &mut listener(state, of)?.tags,
        Tagged::SecurityGroup { id, name: _ } => &mut security_group(state, &SecurityGroupOf::Id(id.clone()))?.tags,
    })
}
