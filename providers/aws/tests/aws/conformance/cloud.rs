//! A double of AWS's state: what a step does to it, and what AWS would refuse. It knows nothing of calls and answers.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use portolan_aws::Step;
use portolan_aws::attributes::Attributes;
use portolan_aws::ids::{Id, SecurityGroupId};
use portolan_aws::names::{LOAD_BALANCER, SERVES, parse_serves};
use portolan_aws::settings::listeners::Front;
use portolan_aws::state::{
    Admitted, Arn, Balancer, Bound, Group, Health, Leaving, Listener, Observed, Registered, SecurityGroup, State,
    Status,
};
use portolan_aws::step::{AttributesOf, ListenerOf, Object, SecurityGroupOf, Tagged};
use portolan_aws::words::{IpAddressType, Switch};

/// Carries out one step on what exists of a load balancer. What has been done already is done again without effect.
pub(crate) fn apply(state: &mut State, step: &Step) -> Result<(), String> {
    match step {
        Step::Admit { need } => {
            let need = need.made(|name| Some(security_group_id(name)));
            state.admitted = Some(Admitted { need, problems: BTreeSet::new() });
        }
        Step::Withdraw => state.admitted = None,
        Step::Weigh { .. } => {}
        Step::Foretold(_) => return Err("a line of a dry run is no step".to_owned()),
        Step::CreateSecurityGroup { name, generation, vpc, tags } => {
            vpc.known().ok_or("a security group needs a VPC")?;
            has_mark(tags)?;
            if !state.security_groups.iter().any(|group| &group.name == name) {
                let (id, generation) = (security_group_id(name), *generation);
                state.security_groups.push(SecurityGroup {
                    id,
                    name: name.clone(),
                    generation,
                    tags: tags.clone(),
                    rules: BTreeSet::new(),
                    foreign: BTreeSet::new(),
                    others: 0,
                    lists_of_others: BTreeMap::new(),
                });
            }
        }
        Step::OpenRules { group, rules } => security_group(state, group)?.rules.extend(rules.iter().cloned()),
        Step::CloseRules { group, rules, gap: _ } => {
            security_group(state, group)?.rules.retain(|rule| !rules.contains(rule));
        }
        Step::DeleteSecurityGroup { id, name: _ } => {
            if state.balancers.iter().any(|balancer| balancer.security_groups.contains(id)) {
                return Err(format!("DependencyViolation: {id}"));
            }
            state.security_groups.retain(|group| &group.id != id);
        }
        Step::CreateGroup { name, generation, kind, port, health, vpc, tags } => {
            vpc.known().ok_or("a target group needs a VPC")?;
            has_mark(tags)?;
            let made = Group {
                arn: arn("targetgroup", name),
                name: name.clone(),
                generation: *generation,
                port: *port,
                kind: *kind,
                health: health.clone(),
                attributes: Observed::default(),
                tags: tags.clone(),
                targets: Vec::new(),
                rejected: BTreeSet::new(),
                usurped: BTreeSet::new(),
            };
            match state.group_named(name) {
                Some(existing) if existing.kind == made.kind => {}
                Some(_) => return Err(format!("DuplicateTargetGroupName: {name}")),
                None => state.groups.push(made),
            }
            state.groups.sort_by(|a, b| a.name.cmp(&b.name));
        }
        Step::SetHealthCheck { group, health } => self::group(state, group)?.health = health.clone(),
        Step::SetAttributes { of, values, owned } => {
            let observed = match of {
                AttributesOf::Balancer(object) => &mut balancer(state, object)?.attributes,
                AttributesOf::Group(object) => &mut group(state, object)?.attributes,
                AttributesOf::Listener(of) => &mut listener(state, of)?.attributes,
            };
            set(observed, values, owned);
        }
        Step::CreateBalancer { name, generation, scheme, ip_address_type, subnets, security_groups, tags } => {
            has_mark(tags)?;
            if state.balancers.iter().any(|balancer| &balancer.name == name) {
                return Ok(());
            }
            let groups = security_groups.known().ok_or("the security groups are not known")?;
            let groups = groups.iter().map(|group| security_group_of(state, group)).collect::<Result<_, String>>()?;
            state.balancers.push(Balancer {
                arn: arn("loadbalancer/net", name),
                name: name.clone(),
                generation: *generation,
                scheme: *scheme,
                ip_address_type: *ip_address_type,
                hostname: format!("{name}.elb.eu-west-1.amazonaws.com"),
                status: Status::Provisioning,
                subnets: subnets.known().ok_or("the subnets are not known")?.clone(),
                security_groups: groups,
                private_link: Switch::On,
                private_link_ours: false,
                attributes: Observed::default(),
                tags: tags.clone(),
                listeners: Vec::new(),
                leaving: Leaving::No,
            });
        }
        Step::SetIpAddressType { balancer: of, ip_address_type } => {
            balancer(state, of)?.has_become(*ip_address_type);
        }
        Step::SetSubnets { balancer: of, ip_address_type, subnets, source_nat } => {
            let with_nat = subnets.iter().any(|mapping| mapping.source_nat.is_some());
            let has_ipv6 = *ip_address_type == IpAddressType::Dualstack;
            if with_nat != (*source_nat == Some(Switch::On)) || (with_nat && !has_ipv6) {
                return Err("InvalidConfigurationRequest: source NAT prefixes are of dualstack balancers".to_owned());
            }
            if !has_ipv6 && subnets.iter().any(|mapping| mapping.ipv6.is_some()) {
                return Err("InvalidConfigurationRequest: IPv6 addresses are of dualstack balancers".to_owned());
            }
            let balancer = balancer(state, of)?;
            balancer.subnets.clone_from(subnets);
            balancer.has_become(*ip_address_type);
        }
        Step::SetSecurityGroups { balancer: of, security_groups, private_link, private_link_ours } => {
            let groups: Result<BTreeSet<_>, String> =
                security_groups.iter().map(|group| security_group_of(state, group)).collect();
            let balancer = balancer(state, of)?;
            if balancer.security_groups.is_empty() || security_groups.is_empty() {
                return Err("InvalidConfigurationRequest: security groups come with birth, and stay".to_owned());
            }
            balancer.security_groups = groups?;
            balancer.private_link = private_link.unwrap_or(balancer.private_link);
            balancer.private_link_ours = *private_link_ours;
        }
        Step::CreateListener { balancer: of, port, front, group, tags } => {
            has_mark(tags)?;
            let target = attachable(state, of, group, front)?;
            let on = balancer(state, of)?;
            let arn = arn("listener", &format!("{}/{port}", on.name));
            let serves = tags.get(SERVES).map(|tag| parse_serves(tag)).unwrap_or_default();
            if let Some(existing) = on.listener(*port) {
                let same = existing.group.as_ref() == Some(&target);
                return if same { Ok(()) } else { Err(format!("DuplicateListener: {port}")) };
            }
            on.listeners.push(Listener {
                arn,
                port: *port,
                front: Some(without_certificates(front)),
                group: Some(target),
                attributes: Observed::default(),
                tags: tags.clone(),
                ours: true,
                serves,
            });
            on.listeners.sort_by_key(|listener| listener.port);
        }
        Step::ModifyListener { listener: of, front, group } => {
            let target = attachable(state, &of.balancer, group, front)?;
            let listener = listener(state, of)?;
            let certificates = match &listener.front {
                Some(Front::Tls(tls)) => tls.certificates.clone(),
                _ => Vec::new(),
            };
            let mut front = without_certificates(front);
            if let Front::Tls(tls) = &mut front {
                tls.certificates = certificates;
            }
            listener.front = Some(front);
            listener.group = Some(target);
        }
        Step::AddCertificate { listener: of, certificate } => {
            let Some(Front::Tls(tls)) = &mut listener(state, of)?.front else {
                return Err("no TLS listener".to_owned());
            };
            tls.certificates.retain(|other| other != certificate);
            tls.certificates.push(certificate.clone());
        }
        Step::RemoveCertificate { listener: of, certificate } => {
            let Some(Front::Tls(tls)) = &mut listener(state, of)?.front else {
                return Err("no TLS listener".to_owned());
            };
            tls.certificates.retain(|other| other != certificate);
        }
        Step::DeleteListener { listener: of } => {
            balancer(state, &of.balancer)?.listeners.retain(|listener| listener.port != of.port);
        }
        Step::Register { group: of, targets } => {
            let group = group(state, of)?;
            for Bound { target, pod } in targets {
                group.targets.retain(|other| &other.target != target || other.health != Health::Draining);
                match group.targets.iter_mut().find(|other| &other.target == target) {
                    // Who is registered already goes on as it is.
                    Some(known) => known.pod = pod.clone().or_else(|| known.pod.take()),
                    None => {
                        let (target, pod) = (target.clone(), pod.clone());
                        group.targets.push(Registered { target, health: Health::Initial, pod });
                    }
                }
            }
            group.targets.sort();
        }
        Step::Deregister { group: of, targets } => {
            let group = group(state, of)?;
            let leave = group.targets.iter_mut().filter(|registered| targets.contains(&registered.target));
            leave.for_each(|registered| registered.health = Health::Draining);
        }
        Step::SetTags { of, tags } => match of {
            Tagged::Balancer(object) => balancer(state, object)?.tags.extend(tags.clone()),
            Tagged::Group(object) => group(state, object)?.tags.extend(tags.clone()),
            Tagged::Listener(of) => {
                let listener = listener(state, of)?;
                listener.tags.extend(tags.clone());
                listener.serves = listener.tags.get(SERVES).map(|tag| parse_serves(tag)).unwrap_or_default();
            }
            Tagged::SecurityGroup { id, name: _ } => {
                security_group(state, &SecurityGroupOf::Id(id.clone()))?.tags.extend(tags.clone());
            }
        },
        Step::RemoveTags { of, keys } => {
            let tags = match of {
                Tagged::Balancer(object) => &mut balancer(state, object)?.tags,
                Tagged::Group(object) => &mut group(state, object)?.tags,
                Tagged::Listener(of) => &mut listener(state, of)?.tags,
                Tagged::SecurityGroup { id, name: _ } => {
                    &mut security_group(state, &SecurityGroupOf::Id(id.clone()))?.tags
                }
            };
            tags.retain(|key, _| !keys.contains(key));
            has_mark(tags)?;
        }
        Step::Retire { balancer: of } => {
            let balancer = balancer(state, of)?;
            if balancer.leaving == Leaving::No {
                balancer.leaving = Leaving::Known(Duration::from_secs(120));
            }
        }
        Step::DeleteBalancer { balancer: of, gap: _ } => {
            let protection = "deletion_protection.enabled";
            if let Ok(balancer) = balancer(state, of)
                && balancer.attributes.values.get(protection).map(String::as_str) == Some("true")
            {
                return Err("OperationNotPermitted: deletion protection".to_owned());
            }
            state.balancers.retain(|balancer| balancer.name != of.name);
        }
        Step::DeleteGroup { group: of } => {
            if let Ok(arn) = group(state, of).map(|group| group.arn.clone()) {
                if is_attached(state, &arn) {
                    return Err(format!("ResourceInUse: {of}"));
                }
                state.groups.retain(|group| group.arn != arn);
            }
        }
    }
    state.given(step.gives());
    probe(state);
    Ok(())
}

/// Lets all come that can be waited for.
pub(crate) fn settle(state: &mut State) {
    for balancer in &mut state.balancers {
        balancer.status = Status::Active;
        if matches!(balancer.leaving, Leaving::Known(_)) {
            balancer.leaving = Leaving::Forgotten;
        }
    }
    for group in &mut state.groups {
        group.targets.retain(|registered| registered.health != Health::Draining);
        for registered in &mut group.targets {
            if registered.health == Health::Initial {
                registered.health = Health::Healthy;
            }
        }
        group.targets.sort();
    }
    probe(state);
}

/// Everything that exists, by name.
pub(crate) fn all(state: &State) -> Vec<String> {
    let balancers = state.balancers.iter().map(|balancer| balancer.name.clone());
    let groups = state.groups.iter().map(|group| group.name.clone());
    balancers.chain(groups).chain(state.security_groups.iter().map(|group| group.name.clone())).collect()
}

/// Only targets behind a listener are probed.
fn probe(state: &mut State) {
    let attached: BTreeSet<Arn> =
        state.groups.iter().map(|group| group.arn.clone()).filter(|arn| is_attached(state, arn)).collect();
    for group in &mut state.groups {
        let is_attached = attached.contains(&group.arn);
        for registered in &mut group.targets {
            registered.health = match (registered.health, is_attached) {
                (Health::Unused, true) => Health::Initial,
                (Health::Draining, _) => Health::Draining,
                (health, true) => health,
                (_, false) => Health::Unused,
            };
        }
    }
}

fn is_attached(state: &State, group: &Arn) -> bool {
    state
        .balancers
        .iter()
        .flat_map(|balancer| &balancer.listeners)
        .any(|listener| listener.group.as_ref() == Some(group))
}

/// The group, if this balancer's listener may send to it.
fn attachable(state: &mut State, of: &Object, group: &Object, front: &Front) -> Result<Arn, String> {
    let found = self::group(state, group)?.clone();
    let elsewhere = state.balancers.iter().filter(|balancer| balancer.name != of.name);
    if elsewhere.flat_map(|balancer| &balancer.listeners).any(|listener| listener.group.as_ref() == Some(&found.arn)) {
        return Err(format!("TargetGroupAssociationLimit: {group}"));
    }
    if !front.protocol().may_send_to(found.kind.protocol) {
        return Err(format!("IncompatibleProtocols: {} to {}", front.protocol(), found.kind.protocol));
    }
    Ok(found.arn)
}

fn set(observed: &mut Observed, values: &Attributes, owned: &BTreeSet<String>) {
    observed.values.extend(values.iter().map(|(key, value)| (key.as_str().to_owned(), value.clone())));
    observed.owned.clone_from(owned);
}

fn has_mark(tags: &BTreeMap<String, String>) -> Result<(), String> {
    if tags.contains_key(LOAD_BALANCER) { Ok(()) } else { Err("it would not be known for ours".to_owned()) }
}

fn without_certificates(front: &Front) -> Front {
    let mut front = front.clone();
    if let Front::Tls(tls) = &mut front {
        tls.certificates.clear();
    }
    front
}

fn arn(kind: &str, name: &str) -> Arn {
    Arn::new(format!("arn:aws:elasticloadbalancing:eu-west-1:123456789012:{kind}/{name}"))
}

fn security_group_id(name: &str) -> SecurityGroupId {
    SecurityGroupId::parse(&format!("sg-{}", name.replace('-', ""))).unwrap()
}

fn security_group_of(state: &State, group: &SecurityGroupOf) -> Result<SecurityGroupId, String> {
    match group {
        SecurityGroupOf::Id(id) => Ok(id.clone()),
        SecurityGroupOf::Made(name) => {
            let made = state.security_groups.iter().find(|group| &group.name == name);
            made.map(|group| group.id.clone()).ok_or(format!("InvalidSecurityGroup: {name}"))
        }
    }
}

fn security_group<'a>(state: &'a mut State, group: &SecurityGroupOf) -> Result<&'a mut SecurityGroup, String> {
    let id = security_group_of(state, group)?;
    state.security_groups.iter_mut().find(|group| group.id == id).ok_or(format!("InvalidGroup.NotFound: {id}"))
}

fn group<'a>(state: &'a mut State, group: &Object) -> Result<&'a mut Group, String> {
    let found = state.groups.iter_mut().find(|other| other.name == group.name);
    found
        .filter(|found| group.arn.as_ref().is_none_or(|arn| *arn == found.arn))
        .ok_or(format!("TargetGroupNotFound: {group}"))
}

fn balancer<'a>(state: &'a mut State, balancer: &Object) -> Result<&'a mut Balancer, String> {
    let found = state.balancers.iter_mut().find(|other| other.name == balancer.name);
    found
        .filter(|found| balancer.arn.as_ref().is_none_or(|arn| *arn == found.arn))
        .ok_or(format!("LoadBalancerNotFound: {balancer}"))
}

fn listener<'a>(state: &'a mut State, of: &ListenerOf) -> Result<&'a mut Listener, String> {
    let balancer = balancer(state, &of.balancer)?;
    balancer.listeners.iter_mut().find(|listener| listener.port == of.port).ok_or(format!("ListenerNotFound: {of}"))
}
