//! A step, carried out: one mutating call of AWS, and what it makes of the state once AWS has acknowledged it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::SystemTime;

use crate::attributes::Attributes;
use crate::client::ec2;
use crate::client::elb::{Pairs, balancers, groups, listeners, targets};
use crate::client::names::{InstanceId, ListenerArn, LoadBalancerArn, TargetGroupArn};
use crate::client::{Aws, Error, Lane};
use crate::estate::Known;
use crate::ids::{CertificateArn, SecurityGroupId};
use crate::mark::Mark;
use crate::names::{RETIRED, SERVES, parse_serves};
use crate::provider::reading::{self, leaving};
use crate::settings::health::{HealthCheck, HealthPort, Probe, Request};
use crate::settings::listeners::Front;
use crate::settings::subnets::Prefix;
use crate::state::{Arn, Balancer, Group, Health, Listener, Observed, SecurityGroup, State, SubnetMapping, Target};
use crate::step::{AttributesOf, ListenerOf, Object, SecurityGroupOf, Step, Tagged};
use crate::survey::{Learned, Survey};
use crate::words::{AlpnPolicy, Switch};

/// Why a step was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Undone {
    /// AWS or the way there.
    #[error(transparent)]
    Aws(#[from] Error),
    /// What it acts on is not there: it was made from a state that is no more.
    #[error("{0} is not there any more")]
    Overtaken(String),
    /// It needs what only AWS knows, and nobody has asked.
    #[error(
        "{0} is not known; check that the controller may read subnets, routes and security groups, or name it in the class's parameters"
    )]
    Unknown(&'static str),
}

/// What a step is carried out with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Means<'a> {
    /// AWS.
    pub(super) aws: &'a Aws,
    /// What is known of the network, which learns what we write there.
    pub(super) survey: &'a Survey,
    /// On our rules.
    pub(super) mark: &'a Mark,
    /// The name of the group that all balancers share.
    pub(super) shared: &'a str,
    /// The time of day.
    pub(super) now: SystemTime,
}

/// Carries a step out, and follows it in the state.
pub(super) async fn carry_out(means: Means<'_>, step: &Step, state: &mut State) -> Result<(), Undone> {
    let Means { aws, survey, mark, shared, now } = means;
    let aws = &aws.lane(lane(step));
    let estate = survey.known();
    let shared = |name: &str| estate.backend_group.clone().filter(|_| name == shared);
    let is_local = |address: IpAddr| estate.is_local(address);
    match step {
        // The keepers of what targets let in and of what is known of the network carry these out: they concern others too.
        Step::Admit { .. } | Step::Withdraw | Step::Weigh { .. } => {}
        Step::Foretold(_) => {
            return Err(Undone::Overtaken("a line of a dry run is no step; what it tells of".to_owned()));
        }
        Step::CreateSecurityGroup { name, generation, vpc, tags } => {
            let vpc = known(vpc, "the VPC")?;
            let description = "Who may connect to a load balancer of Portolan".to_owned();
            let tags = tags.clone();
            let new =
                ec2::groups::NewSecurityGroup { name: name.clone(), description, vpc: vpc.clone(), tags: tags.clone() };
            let id = aws.create_security_group(&new).await?;
            survey.learned(Learned::made(id.clone(), new));
            let (name, generation) = (name.clone(), *generation);
            state.security_groups.push(SecurityGroup {
                id,
                name,
                generation,
                tags,
                rules: BTreeSet::new(),
                foreign: BTreeSet::new(),
                others: 0,
                lists_of_others: BTreeMap::new(),
            });
            state.security_groups.sort_by_key(|group| group.generation);
        }
        Step::OpenRules { group, rules } => {
            let group = security_group(state, group)?;
            let asked: Vec<_> = rules.iter().map(|rule| mark.write(rule)).collect();
            aws.authorize_ingress(&group.id, &asked).await?;
            group.rules.extend(rules.iter().cloned());
            survey.learned(Learned::RulesAdded(group.id.clone(), asked));
        }
        Step::CloseRules { group, rules, gap: _ } => {
            let group = security_group(state, group)?;
            let asked: Vec<_> = rules.iter().map(|rule| mark.write(rule)).collect();
            aws.revoke_ingress(&group.id, &asked).await?;
            group.rules.retain(|rule| !rules.contains(rule));
            survey.learned(Learned::RulesRevoked(group.id.clone(), asked));
        }
        Step::DeleteSecurityGroup { id, name: _ } => {
            gone_is_done(aws.delete_security_group(id).await)?;
            survey.learned(Learned::GroupGone(id.clone()));
            state.security_groups.retain(|group| &group.id != id);
        }
        Step::CreateGroup { name, generation, kind, port, health, vpc, tags } => {
            let vpc = known(vpc, "the VPC")?.clone();
            let new = groups::NewTargetGroup {
                name: name.clone(),
                protocol: kind.protocol,
                port: *port,
                vpc,
                target_type: kind.target_type,
                family: kind.family,
                health_check: health_check(health),
                tags: tags.clone(),
            };
            let made = aws.create_target_group(&new).await?;
            if !made.load_balancers.is_empty() {
                // AWS answers with one that exists, if that has the same settings. Whose the balancer is, a look tells.
                return Err(Undone::Overtaken(format!("that nothing sends to a target group {name}")));
            }
            state.groups.retain(|group| &group.name != name);
            let arn = Arn::new(made.arn.as_str());
            state.groups.push(Group::made(arn, name, *generation, *kind, *port, health, tags));
            state.groups.sort_by(|a, b| a.name.cmp(&b.name));
        }
        Step::SetHealthCheck { group: of, health } => {
            let group = group(state, of)?;
            aws.modify_target_group(&group_arn(group), &health_check(health)).await?;
            group.health = health.clone();
        }
        Step::SetAttributes { of, values, owned } => {
            let observed = set_attributes(aws, state, of, &pairs(values)).await?;
            observed.values.extend(pairs(values));
            observed.owned.clone_from(owned);
        }
        Step::CreateBalancer { name, generation, scheme, ip_address_type, subnets, security_groups, tags } => {
            let subnets = known(subnets, "the subnets")?;
            let groups = known(security_groups, "the security groups")?;
            let groups: Vec<SecurityGroupId> =
                groups.iter().map(|group| security_group_id(state, group, shared)).collect::<Result<_, _>>()?;
            let new = balancers::NewLoadBalancer {
                name: name.clone(),
                scheme: *scheme,
                ip_address_type: *ip_address_type,
                subnets: subnets.iter().map(mapping).collect(),
                security_groups: groups.clone(),
                source_nat: source_nat(subnets),
                tags: tags.clone(),
            };
            let made = aws.create_load_balancer(&new).await?;
            let mut balancer = reading::balancer(made, tags.clone(), Observed::default(), Vec::new());
            balancer.generation = *generation;
            balancer.subnets.clone_from(subnets);
            balancer.security_groups = groups.into_iter().collect();
            state.balancers.retain(|other| &other.name != name);
            state.balancers.push(balancer);
            state.balancers.sort_by_key(|balancer| balancer.generation);
        }
        Step::SetIpAddressType { balancer: of, ip_address_type } => {
            let balancer = balancer(state, of)?;
            aws.set_ip_address_type(&balancer_arn(balancer), *ip_address_type).await?;
            balancer.has_become(*ip_address_type);
        }
        Step::SetSubnets { balancer: of, ip_address_type, subnets, source_nat } => {
            let balancer = balancer(state, of)?;
            let mappings: Vec<_> = subnets.iter().map(mapping).collect();
            aws.set_subnets(&balancer_arn(balancer), &mappings, *ip_address_type, *source_nat).await?;
            balancer.subnets.clone_from(subnets);
            balancer.has_become(*ip_address_type);
        }
        Step::SetSecurityGroups { balancer: of, security_groups, private_link, private_link_ours } => {
            let groups: Vec<SecurityGroupId> = security_groups
                .iter()
                .map(|group| security_group_id(state, group, shared))
                .collect::<Result<_, _>>()?;
            let balancer = balancer(state, of)?;
            aws.set_security_groups(&balancer_arn(balancer), &groups, *private_link).await?;
            balancer.security_groups = groups.into_iter().collect();
            balancer.private_link = private_link.unwrap_or(balancer.private_link);
            balancer.private_link_ours = *private_link_ours;
        }
        Step::CreateListener { balancer: on, port, front, group: to, tags } => {
            let wanted = wanted(*port, front, group(state, to)?);
            let to = Arn::new(wanted.target_group.as_str());
            let on = balancer(state, on)?;
            let made = aws.create_listener(&balancer_arn(on), &wanted, tags).await?;
            on.listeners.retain(|listener| listener.port != *port);
            on.listeners.push(Listener {
                arn: Arn::new(made.arn.as_str()),
                port: *port,
                front: Some(with_certificates(front, Vec::new())),
                group: Some(to),
                attributes: Observed::default(),
                serves: tags.get(SERVES).map(|tag| parse_serves(tag)).unwrap_or_default(),
                tags: tags.clone(),
                ours: true,
            });
            on.listeners.sort_by_key(|listener| listener.port);
        }
        Step::ModifyListener { listener: of, front, group: to } => {
            let wanted = wanted(of.port, front, group(state, to)?);
            let listener = listener(state, of)?;
            aws.modify_listener(&listener_arn(listener), &wanted).await?;
            let certificates = certificates(listener).cloned().unwrap_or_default();
            listener.front = Some(with_certificates(front, certificates));
            listener.group = Some(Arn::new(wanted.target_group.as_str()));
        }
        Step::AddCertificate { listener: of, certificate } => {
            let listener = listener(state, of)?;
            aws.add_listener_certificate(&listener_arn(listener), certificate).await?;
            if let Some(certificates) = certificates(listener) {
                certificates.retain(|other| other != certificate);
                certificates.push(certificate.clone());
            }
        }
        Step::RemoveCertificate { listener: of, certificate } => {
            let listener = listener(state, of)?;
            aws.remove_listener_certificate(&listener_arn(listener), certificate).await?;
            if let Some(certificates) = certificates(listener) {
                certificates.retain(|other| other != certificate);
            }
        }
        Step::DeleteListener { listener: of } => {
            let arn = listener_arn(listener(state, of)?);
            gone_is_done(aws.delete_listener(&arn).await)?;
            balancer(state, &of.balancer)?.listeners.retain(|listener| listener.port != of.port);
        }
        Step::Register { group: of, targets } => {
            let group = group(state, of)?;
            let asked: Vec<_> = targets.iter().map(|bound| described(&bound.target, &is_local)).collect();
            let rejected = aws.register(&group_arn(group), &asked).await?;
            for (target, error) in &rejected {
                tracing::warn!(provider = "aws", group = %group.name, ?target, %error, "a target is left out");
            }
            let rejected: BTreeSet<Target> = rejected.into_iter().map(|(target, _)| of_described(target)).collect();
            group.registered(targets.iter().filter(|bound| !rejected.contains(&bound.target)));
            group.rejected.extend(rejected);
        }
        Step::Deregister { group: of, targets } => {
            let group = group(state, of)?;
            let asked: Vec<_> = targets.iter().map(|target| described(target, &is_local)).collect();
            // One that AWS does not have any more has left.
            let absent = aws.deregister(&group_arn(group), &asked).await?;
            let absent: BTreeSet<Target> = absent.into_iter().map(|(target, _)| of_described(target)).collect();
            group.targets.retain(|registered| !absent.contains(&registered.target));
            let leave = group.targets.iter_mut().filter(|registered| targets.contains(&registered.target));
            leave.for_each(|registered| registered.health = Health::Draining);
        }
        Step::SetTags { of, tags } => {
            let (what, own) = tagged(state, of)?;
            match what {
                What::Balancing(arn) => aws.add_tags(&[arn], tags).await?,
                What::SecurityGroup(id) => {
                    aws.create_ec2_tags(&[id.to_string()], tags).await?;
                    survey.learned(Learned::TagsSet(id, tags.clone()));
                }
            }
            own.extend(tags.clone());
            if let Tagged::Listener(of) = of {
                let listener = listener(state, of)?;
                listener.serves = listener.tags.get(SERVES).map(|tag| parse_serves(tag)).unwrap_or_default();
            }
        }
        Step::RemoveTags { of, keys } => {
            let (what, own) = tagged(state, of)?;
            let asked: Vec<String> = keys.iter().cloned().collect();
            match what {
                What::Balancing(arn) => aws.remove_tags(&[arn], &asked).await?,
                What::SecurityGroup(id) => {
                    aws.delete_ec2_tags(&[id.to_string()], &asked).await?;
                    survey.learned(Learned::TagsRemoved(id, keys.clone()));
                }
            }
            own.retain(|key, _| !keys.contains(key));
        }
        Step::Retire { balancer: of } => {
            let balancer = balancer(state, of)?;
            let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs().to_string();
            let mark: Pairs = [(RETIRED.to_owned(), since)].into();
            aws.add_tags(&[balancer.arn.to_string()], &mark).await?;
            balancer.tags.extend(mark);
            balancer.leaving = leaving(&balancer.tags, now);
        }
        Step::DeleteBalancer { balancer: of, gap: _ } => {
            let arn = balancer_arn(balancer(state, of)?);
            gone_is_done(aws.delete_load_balancer(&arn).await)?;
            state.balancers.retain(|balancer| balancer.name != of.name);
        }
        Step::DeleteGroup { group: of } => {
            let arn = group_arn(group(state, of)?);
            gone_is_done(aws.delete_target_group(&arn).await)?;
            state.groups.retain(|group| group.name != of.name);
        }
    }
    state.given(step.gives());
    probe(state);
    Ok(())
}

/// Clients notice when endpoints are late.
fn lane(step: &Step) -> Lane {
    if matches!(step, Step::Register { .. } | Step::Deregister { .. }) { Lane::Endpoints } else { Lane::Service }
}

/// AWS probes only targets behind a listener; the first poll tells the truth.
fn probe(state: &mut State) {
    let used: BTreeSet<Arn> =
        state.balancers.iter().flat_map(|on| &on.listeners).filter_map(|listener| listener.group.clone()).collect();
    for group in &mut state.groups {
        let is_used = used.contains(&group.arn);
        for registered in &mut group.targets {
            registered.health = match (registered.health, is_used) {
                (Health::Unused, true) => Health::Initial,
                (Health::Initial, false) => Health::Unused,
                (health, _) => health,
            };
        }
    }
}

fn gone_is_done(result: Result<(), Error>) -> Result<(), Error> {
    match result {
        Err(error) if error.is_gone() => Ok(()),
        result => result,
    }
}

fn known<'a, T>(value: &'a Known<T>, what: &'static str) -> Result<&'a T, Undone> {
    value.known().ok_or(Undone::Unknown(what))
}

fn pairs(values: &Attributes) -> Pairs {
    values.iter().map(|(key, value)| (key.as_str().to_owned(), value.clone())).collect()
}

async fn set_attributes<'a>(
    aws: &Aws,
    state: &'a mut State,
    of: &AttributesOf,
    to: &Pairs,
) -> Result<&'a mut Observed, Undone> {
    Ok(match of {
        AttributesOf::Balancer(of) => {
            let balancer = balancer(state, of)?;
            aws.modify_load_balancer_attributes(&balancer_arn(balancer), to).await?;
            &mut balancer.attributes
        }
        AttributesOf::Group(of) => {
            let group = group(state, of)?;
            aws.modify_target_group_attributes(&group_arn(group), to).await?;
            &mut group.attributes
        }
        AttributesOf::Listener(of) => {
            let listener = listener(state, of)?;
            aws.modify_listener_attributes(&listener_arn(listener), to).await?;
            &mut listener.attributes
        }
    })
}

/// What tags are on, as AWS's two APIs know it.
enum What {
    /// By its ARN.
    Balancing(String),
    /// By its id.
    SecurityGroup(SecurityGroupId),
}

fn tagged<'a>(state: &'a mut State, of: &Tagged) -> Result<(What, &'a mut BTreeMap<String, String>), Undone> {
    Ok(match of {
        Tagged::Balancer(of) => {
            let balancer = balancer(state, of)?;
            (What::Balancing(balancer.arn.to_string()), &mut balancer.tags)
        }
        Tagged::Group(of) => {
            let group = group(state, of)?;
            (What::Balancing(group.arn.to_string()), &mut group.tags)
        }
        Tagged::Listener(of) => {
            let listener = listener(state, of)?;
            (What::Balancing(listener.arn.to_string()), &mut listener.tags)
        }
        Tagged::SecurityGroup { id, name: _ } => {
            let group = security_group(state, &SecurityGroupOf::Id(id.clone()))?;
            (What::SecurityGroup(group.id.clone()), &mut group.tags)
        }
    })
}

fn mapping(of: &SubnetMapping) -> balancers::SubnetMapping {
    balancers::SubnetMapping {
        subnet: of.subnet.clone(),
        allocation: of.allocation.clone(),
        private_ipv4: of.private_ipv4,
        ipv6: of.ipv6,
        source_nat_prefix: of.source_nat.map(|prefix| match prefix {
            Prefix::Assigned => "auto_assigned".to_owned(),
            Prefix::Fixed(prefix) => prefix.to_string(),
        }),
    }
}

fn source_nat(subnets: &[SubnetMapping]) -> Option<Switch> {
    subnets.iter().any(|mapping| mapping.source_nat.is_some()).then_some(Switch::On)
}

fn health_check(of: &HealthCheck) -> groups::HealthCheck {
    let request = |request: &Request| groups::Request { path: request.path.clone(), codes: request.codes.clone() };
    groups::HealthCheck {
        probe: match &of.probe {
            Probe::Tcp => groups::Probe::Tcp,
            Probe::Http(asked) => groups::Probe::Http(request(asked)),
            Probe::Https(asked) => groups::Probe::Https(request(asked)),
        },
        port: match of.port {
            HealthPort::Number(port) => Some(port),
            HealthPort::TrafficPort => None,
        },
        interval: of.interval,
        timeout: of.timeout,
        healthy: of.healthy,
        unhealthy: of.unhealthy,
    }
}

fn wanted(port: u16, front: &Front, to: &Group) -> listeners::Wanted {
    let tls = match front {
        Front::Tls(tls) => Some(listeners::Tls {
            certificate: tls.default_certificate.clone(),
            policy: tls.policy.clone(),
            alpn: tls.alpn.unwrap_or(AlpnPolicy::None),
        }),
        Front::Tcp | Front::Udp | Front::TcpUdp => None,
    };
    listeners::Wanted { port, protocol: front.protocol(), target_group: group_arn(to), tls }
}

fn with_certificates(front: &Front, certificates: Vec<CertificateArn>) -> Front {
    let mut front = front.clone();
    if let Front::Tls(tls) = &mut front {
        tls.certificates = certificates;
    }
    front
}

fn certificates(listener: &mut Listener) -> Option<&mut Vec<CertificateArn>> {
    match &mut listener.front {
        Some(Front::Tls(tls)) => Some(&mut tls.certificates),
        Some(Front::Tcp | Front::Udp | Front::TcpUdp) | None => None,
    }
}

/// An address outside of the VPC has to be said to be so
/// (<https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_TargetDescription.html>).
fn described(target: &Target, is_local: &impl Fn(IpAddr) -> bool) -> targets::Target {
    match target.id.parse::<IpAddr>() {
        Ok(address) => targets::Target {
            to: targets::To::Address(address),
            port: target.port,
            zone: (!is_local(address)).then(|| "all".to_owned()),
        },
        Err(_) => targets::Target {
            to: targets::To::Instance(InstanceId::new(target.id.clone())),
            port: target.port,
            zone: None,
        },
    }
}

fn of_described(target: targets::Target) -> Target {
    let id = match target.to {
        targets::To::Instance(id) => id.as_str().to_owned(),
        targets::To::Address(address) => address.to_string(),
    };
    Target { id, port: target.port }
}

fn balancer_arn(of: &Balancer) -> LoadBalancerArn {
    LoadBalancerArn::new(of.arn.as_str())
}

fn group_arn(of: &Group) -> TargetGroupArn {
    TargetGroupArn::new(of.arn.as_str())
}

fn listener_arn(of: &Listener) -> ListenerArn {
    ListenerArn::new(of.arn.as_str())
}

fn security_group_id(
    state: &State,
    of: &SecurityGroupOf,
    shared: impl Fn(&str) -> Option<SecurityGroupId>,
) -> Result<SecurityGroupId, Undone> {
    match of {
        SecurityGroupOf::Id(id) => Ok(id.clone()),
        SecurityGroupOf::Made(name) => {
            let made = state.security_groups.iter().find(|group| &group.name == name);
            made.map(|group| group.id.clone()).or_else(|| shared(name)).ok_or_else(|| overtaken("security group", name))
        }
    }
}

fn security_group<'a>(state: &'a mut State, of: &SecurityGroupOf) -> Result<&'a mut SecurityGroup, Undone> {
    let id = security_group_id(state, of, |_| None)?;
    let found = state.security_groups.iter_mut().find(|group| group.id == id);
    found.ok_or_else(|| overtaken("security group", id.as_str()))
}

fn group<'a>(state: &'a mut State, of: &Object) -> Result<&'a mut Group, Undone> {
    let found = state.groups.iter_mut().find(|group| group.name == of.name && is_it(of, &group.arn));
    found.ok_or_else(|| overtaken("target group", &of.name))
}

fn balancer<'a>(state: &'a mut State, of: &Object) -> Result<&'a mut Balancer, Undone> {
    let found = state.balancers.iter_mut().find(|balancer| balancer.name == of.name && is_it(of, &balancer.arn));
    found.ok_or_else(|| overtaken("load balancer", &of.name))
}

fn listener<'a>(state: &'a mut State, of: &ListenerOf) -> Result<&'a mut Listener, Undone> {
    let found = balancer(state, &of.balancer)?.listeners.iter_mut().find(|listener| listener.port == of.port);
    found.ok_or_else(|| Undone::Overtaken(of.to_string()))
}

fn is_it(of: &Object, arn: &Arn) -> bool {
    of.arn.as_ref().is_none_or(|known| known == arn)
}

fn overtaken(what: &str, name: &str) -> Undone {
    Undone::Overtaken(format!("{what} {name}"))
}
