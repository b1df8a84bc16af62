//! What exists of one load balancer, read whole: by the names that its record remembers, and by our tags.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use crate::client::elb::{Pairs, balancers, groups, listeners, targets};
use crate::client::names::{LoadBalancerArn, TargetGroupArn};
use crate::client::{Aws, Error};
use crate::names::{GENERATION, Kind, Names, RETIRED, SERVES, parse_serves};
use crate::protocol::Protocol;
use crate::provider::remembered::{Remembered, of_listener};
use crate::settings::health::{self, HealthPort};
use crate::settings::listeners::Front;
use crate::settings::subnets::Prefix;
use crate::settings::tls::Tls;
use crate::state::{
    Arn, Balancer, Group, Health, Leaving, Listener, Observed, Registered, SecurityGroup, State, Status, SubnetMapping,
    Target,
};
use crate::words::{AlpnPolicy, IpAddressType, Switch};

/// How much is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Depth {
    /// What a plan needs: attributes only where some are or may be ours.
    Plan,
    /// All attributes, to find those that somebody else has changed.
    Audit,
}

/// Why it was not read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ReadingError {
    /// AWS or the way there.
    #[error(transparent)]
    Aws(#[from] Error),
    /// What the record remembers is there, and carries the tags of this load balancer for another cluster or Portolan: to take it for gone
    /// would forget it.
    #[error(
        "{arn} is what this load balancer was made as, and its tag {key} is {is:?} and not {expected:?}; put back clusterName in the class's \
         parameters or in the record, or correct the tag at AWS"
    )]
    Estranged {
        /// What.
        arn: String,
        /// By which tag.
        key: &'static str,
        /// What AWS has.
        is: String,
        /// What we would have given.
        expected: String,
    },
}

/// Everything that exists of it.
pub(super) async fn read(
    aws: &Aws,
    names: &Names,
    remembered: &Remembered,
    security_groups: Vec<SecurityGroup>,
    depth: Depth,
) -> Result<State, ReadingError> {
    let mut balancers = aws.load_balancers_named(&list(&remembered.balancers)).await?;
    let groups = aws.target_groups_named(&list(&remembered.groups)).await?;
    balancers.extend(behind(aws, &groups, &balancers).await?);
    let mut on: BTreeMap<LoadBalancerArn, Vec<listeners::Listener>> = BTreeMap::new();
    for balancer in balancers.iter().filter(|balancer| balancer.network) {
        on.insert(balancer.arn.clone(), aws.listeners_of(&balancer.arn).await?);
    }
    let arns = balancers.iter().map(|balancer| balancer.arn.to_string());
    let arns = arns.chain(groups.iter().map(|group| group.arn.to_string()));
    let arns = arns.chain(on.values().flatten().map(|listener| listener.arn.to_string()));
    let reading = Reading { aws, names, remembered, depth, tags: aws.tags(&arns.collect::<Vec<_>>()).await? };
    reading.is_not_estranged()?;
    let mut state = State { security_groups, ..State::default() };
    for group in groups {
        let (name, arn) = (group.name.clone(), group.arn.to_string());
        match reading.group(group).await? {
            Some(group) => state.groups.push(group),
            None => reading.taken(&mut state, name, &arn),
        }
    }
    for balancer in balancers {
        let listeners = on.remove(&balancer.arn).unwrap_or_default();
        let (name, arn) = (balancer.name.clone(), balancer.arn.to_string());
        match reading.balancer(balancer, listeners).await? {
            Some(balancer) => state.balancers.push(balancer),
            None => reading.taken(&mut state, name, &arn),
        }
    }
    state.balancers.sort_by_key(|balancer| balancer.generation);
    state.groups.sort_by(|a, b| a.name.cmp(&b.name));
    state.security_groups.sort_by_key(|group| group.generation);
    state.given(remembered.given.iter().cloned());
    Ok(state)
}

fn list(names: &BTreeSet<String>) -> Vec<String> {
    names.iter().cloned().collect()
}

/// The balancers that send to these groups and that no name has led to: of a record that was lost nobody knows which names were chosen.
async fn behind(
    aws: &Aws,
    groups: &[groups::TargetGroup],
    known: &[balancers::LoadBalancer],
) -> Result<Vec<balancers::LoadBalancer>, Error> {
    let is_known = |arn: &LoadBalancerArn| known.iter().any(|balancer| &balancer.arn == arn);
    let unknown = groups.iter().flat_map(|group| &group.load_balancers).filter(|arn| !is_known(arn));
    let unknown: BTreeSet<LoadBalancerArn> = unknown.cloned().collect();
    if unknown.is_empty() {
        return Ok(Vec::new());
    }
    aws.load_balancers(&unknown.into_iter().collect::<Vec<_>>()).await
}

/// The names of everything that carries the tags of one load balancer. All balancers and groups of the account are asked for: only for one
/// whose record was lost, while something shows that there was one.
pub(super) async fn search(aws: &Aws, names: &Names) -> Result<Remembered, Error> {
    let (balancers, groups) = (aws.all_load_balancers().await?, aws.all_target_groups().await?);
    let arns = balancers.iter().map(|one| one.arn.to_string()).chain(groups.iter().map(|one| one.arn.to_string()));
    let tags = aws.tags(&arns.collect::<Vec<_>>()).await?;
    let is_ours = |arn: &str| tags.get(arn).is_some_and(|tags| names.owns(tags));
    let balancers = balancers.into_iter().filter(|one| is_ours(one.arn.as_str())).map(|one| one.name);
    let groups = groups.into_iter().filter(|one| is_ours(one.arn.as_str())).map(|one| one.name);
    Ok(Remembered { balancers: balancers.collect(), groups: groups.collect(), ..Remembered::default() })
}

struct Reading<'a> {
    aws: &'a Aws,
    names: &'a Names,
    remembered: &'a Remembered,
    depth: Depth,
    tags: BTreeMap<String, Pairs>,
}

impl Reading<'_> {
    fn tags(&self, arn: &str) -> Pairs {
        self.tags.get(arn).cloned().unwrap_or_default()
    }

    /// Nothing of what the record remembers by its identity says that it is this load balancer's in another cluster.
    fn is_not_estranged(&self) -> Result<(), ReadingError> {
        let tags = self.remembered.arns.iter().filter_map(|arn| Some((arn, self.tags.get(arn.as_str())?)));
        match tags.filter_map(|(arn, tags)| Some((arn, self.names.estranged(tags)?))).next() {
            None => Ok(()),
            Some((arn, (key, is, expected))) => {
                Err(ReadingError::Estranged { arn: arn.to_string(), key, is, expected })
            }
        }
    }

    /// Notes a name that something has which is not ours, and whose it is, as far as its tags say so.
    fn taken(&self, state: &mut State, name: String, arn: &str) {
        if self.remembered.arns.iter().any(|known| known.as_str() == arn) {
            tracing::warn!(provider = "aws", %name, arn, "what we made does not carry our tags any more; it is left alone");
        }
        state.holders.extend(self.names.holder(&self.tags(arn)).map(|holder| (name.clone(), holder)));
        state.taken.insert(name);
    }

    /// None if it is not ours.
    async fn balancer(
        &self,
        of: balancers::LoadBalancer,
        listeners: Vec<listeners::Listener>,
    ) -> Result<Option<Balancer>, Error> {
        let tags = self.tags(of.arn.as_str());
        if !of.network || !self.names.owns(&tags) {
            return Ok(None);
        }
        let attributes = match self.asked(&of.name) {
            Some(owned) => observed(self.aws.load_balancer_attributes(&of.arn).await?, owned),
            None => Observed::default(),
        };
        let mut read = Vec::new();
        for listener in listeners {
            read.push(self.listener(&of.name, listener).await?);
        }
        read.sort_by_key(|listener| listener.port);
        let may_be_ours = self.remembered.private_link.contains(&of.name);
        let mut balancer = balancer(of, tags, attributes, read);
        balancer.private_link_ours = may_be_ours && balancer.private_link == Switch::Off;
        Ok(Some(balancer))
    }

    async fn listener(&self, balancer: &str, of: listeners::Listener) -> Result<Listener, Error> {
        let tags = self.tags(of.arn.as_str());
        let ours = self.names.owns(&tags);
        let is_tls = ours && of.protocol == Some(Protocol::Tls);
        let beside = if is_tls { self.aws.listener_certificates(&of.arn).await? } else { Vec::new() };
        let attributes = match self.asked(&of_listener(balancer, of.port)).filter(|_| ours) {
            // AWS has none for other protocols.
            Some(owned) if of.protocol == Some(Protocol::Tcp) => {
                observed(self.aws.listener_attributes(&of.arn).await?, owned)
            }
            Some(owned) => observed(Pairs::new(), owned),
            None => Observed::default(),
        };
        Ok(Listener {
            arn: Arn::new(of.arn.as_str()),
            port: of.port,
            front: front(of.protocol, of.tls, beside),
            group: of.target_group.map(|arn| Arn::new(arn.as_str())),
            attributes,
            serves: tags.get(SERVES).map(|tag| parse_serves(tag)).unwrap_or_default(),
            tags,
            ours,
        })
    }

    /// None if it is not ours.
    async fn group(&self, of: groups::TargetGroup) -> Result<Option<Group>, Error> {
        let tags = self.tags(of.arn.as_str());
        if !self.names.owns(&tags) {
            return Ok(None);
        }
        let (Some(protocol), Some(target_type), Some(port)) = (of.protocol, of.target_type, of.port) else {
            return Ok(None);
        };
        let Some(health) = of.health_check.map(health_check) else { return Ok(None) };
        let attributes = match self.asked(&of.name) {
            Some(owned) => observed(self.aws.target_group_attributes(&of.arn).await?, owned),
            None => Observed::default(),
        };
        Ok(Some(Group {
            targets: targets(self.aws, &of.arn).await?,
            arn: Arn::new(of.arn.as_str()),
            name: of.name,
            generation: generation(&tags),
            port,
            kind: Kind { protocol, target_type, family: of.family },
            health,
            attributes,
            tags,
            rejected: BTreeSet::new(),
            usurped: BTreeSet::new(),
        }))
    }

    /// The keys that are ours, if attributes are to be asked for at all.
    fn asked(&self, object: &str) -> Option<BTreeSet<String>> {
        let owned = self.remembered.owned.get(object).cloned().unwrap_or_default();
        (self.depth == Depth::Audit || !owned.is_empty()).then_some(owned)
    }
}

/// The targets of a group, and how they are.
pub(super) async fn targets(aws: &Aws, group: &TargetGroupArn) -> Result<Vec<Registered>, Error> {
    let mut targets: Vec<Registered> = aws.target_health(group).await?.into_iter().map(registered).collect();
    targets.sort();
    Ok(targets)
}

fn registered(of: targets::TargetHealth) -> Registered {
    let id = match of.target.to {
        targets::To::Instance(id) => id.as_str().to_owned(),
        targets::To::Address(address) => address.to_string(),
    };
    let health = match of.state {
        targets::Health::Initial => Health::Initial,
        targets::Health::Healthy => Health::Healthy,
        targets::Health::Unhealthy | targets::Health::UnhealthyDraining => Health::Unhealthy,
        targets::Health::Draining => Health::Draining,
        targets::Health::Unused => Health::Unused,
        targets::Health::Unavailable | targets::Health::Other(_) => Health::Unavailable,
    };
    Registered { target: Target { id, port: of.target.port }, health, pod: None }
}

fn observed(values: Pairs, owned: BTreeSet<String>) -> Observed {
    Observed { values, owned }
}

fn generation(tags: &Pairs) -> u32 {
    tags.get(GENERATION).and_then(|text| text.parse().ok()).unwrap_or(1)
}

/// A balancer as a plan reads it.
pub(super) fn balancer(
    of: balancers::LoadBalancer,
    tags: Pairs,
    attributes: Observed,
    listeners: Vec<Listener>,
) -> Balancer {
    Balancer {
        arn: Arn::new(of.arn.as_str()),
        status: status(&of.state),
        generation: generation(&tags),
        scheme: of.scheme,
        ip_address_type: of.ip_address_type.unwrap_or(IpAddressType::Ipv4),
        hostname: of.dns_name,
        subnets: subnets(of.zones),
        security_groups: of.security_groups.into_iter().collect(),
        private_link: of.private_link.unwrap_or(Switch::On),
        private_link_ours: false,
        name: of.name,
        attributes,
        listeners,
        leaving: if tags.contains_key(RETIRED) { Leaving::Forgotten } else { Leaving::No },
        tags,
    }
}

/// How far it is.
pub(super) fn status(of: &balancers::State) -> Status {
    match of {
        balancers::State::Active => Status::Active,
        balancers::State::ActiveImpaired => Status::Impaired,
        balancers::State::Failed => Status::Failed,
        balancers::State::Provisioning | balancers::State::Other(_) => Status::Provisioning,
    }
}

fn subnets(zones: Vec<balancers::Zone>) -> Vec<SubnetMapping> {
    let mapping = |zone: balancers::Zone| SubnetMapping {
        subnet: zone.subnet,
        allocation: zone.addresses.iter().find_map(|address| address.allocation.clone()),
        private_ipv4: zone.addresses.iter().find_map(|address| address.private_ipv4),
        ipv6: zone.addresses.iter().find_map(|address| address.ipv6),
        source_nat: zone.source_nat_prefixes.first().map(|text| text.parse().map_or(Prefix::Assigned, Prefix::Fixed)),
    };
    let mut mappings: Vec<SubnetMapping> = zones.into_iter().map(mapping).collect();
    mappings.sort();
    mappings
}

fn front(
    protocol: Option<Protocol>,
    tls: Option<listeners::Tls>,
    beside: Vec<crate::ids::CertificateArn>,
) -> Option<Front> {
    Some(match protocol? {
        Protocol::Tcp => Front::Tcp,
        Protocol::Udp => Front::Udp,
        Protocol::TcpUdp => Front::TcpUdp,
        Protocol::Tls => {
            let listeners::Tls { certificate, policy, alpn } = tls?;
            let alpn = Some(alpn).filter(|alpn| *alpn != AlpnPolicy::None);
            Front::Tls(Tls { default_certificate: certificate, certificates: beside, policy, alpn })
        }
    })
}

fn health_check(of: groups::HealthCheck) -> health::HealthCheck {
    let request = |request: groups::Request| health::Request { path: request.path, codes: request.codes };
    health::HealthCheck {
        probe: match of.probe {
            groups::Probe::Tcp => health::Probe::Tcp,
            groups::Probe::Http(asked) => health::Probe::Http(request(asked)),
            groups::Probe::Https(asked) => health::Probe::Https(request(asked)),
        },
        port: of.port.map_or(HealthPort::TrafficPort, HealthPort::Number),
        interval: of.interval,
        timeout: of.timeout,
        healthy: of.healthy,
        unhealthy: of.unhealthy,
    }
}

/// How long clients may go on with an answer of the DNS: AWS's own time to live is 60 s
/// (<https://docs.aws.amazon.com/elasticloadbalancing/latest/userguide/how-elastic-load-balancing-works.html#request-routing>), and resolvers are
/// not exact.
const CLIENTS_FORGET: Duration = Duration::from_secs(120);

/// How long clients may still come to a balancer that was retired. The tag has the time, in seconds since 1970.
pub(super) fn leaving(tags: &Pairs, now: SystemTime) -> Leaving {
    let Some(text) = tags.get(RETIRED) else { return Leaving::No };
    let since = text.parse().ok().and_then(|seconds| SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds)));
    let over = since.and_then(|since| since.checked_add(CLIENTS_FORGET));
    match over.and_then(|over| over.duration_since(now).ok()).filter(|rest| !rest.is_zero()) {
        Some(rest) => Leaving::Known(rest.min(CLIENTS_FORGET)),
        None => Leaving::Forgotten,
    }
}
