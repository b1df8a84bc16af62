//! Services at one address. MetalLB's key counts here for those who name their addresses; the others have to ask for the same `portolan.dev/share`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Namespace;
use portolan_core::balancer::Family;
use portolan_core::share::{self, SHARE_ANNOTATION, SHARE_WITH_ANNOTATION, ShareWith};
use portolan_core::snapshot::Service;
use portolan_metal::vip;

use super::finding::{Finding, listed};

/// Services that have an address in common, each with another of them.
#[derive(Clone, Debug)]
pub(super) struct Group {
    /// Their addresses.
    pub addresses: BTreeSet<IpAddr>,
    /// Who they are, the oldest first.
    pub members: Vec<Arc<Service>>,
}

impl Group {
    /// All of two and more.
    pub(super) fn all(seats: &BTreeMap<IpAddr, Vec<Arc<Service>>>) -> Vec<Self> {
        let mut groups: Vec<Self> = Vec::new();
        for (address, services) in seats.iter().filter(|(_, services)| services.len() > 1) {
            let mut merged = Self { addresses: [*address].into(), members: services.clone() };
            let (joined, apart) = groups.into_iter().partition(|group| services.iter().any(|one| group.has(one)));
            groups = apart;
            for Self { addresses, members } in joined {
                merged.addresses.extend(addresses);
                merged.members.extend(members);
            }
            merged.members.sort_by_key(|service| share::age(service));
            merged.members.dedup_by(|a, b| a.key == b.key);
            groups.push(merged);
        }
        groups
    }

    /// It is one of them.
    pub(super) fn has(&self, service: &Service) -> bool {
        self.members.iter().any(|member| member.key == service.key)
    }

    /// The name of the share: what they ask for already, if that is one name, or one made of the address.
    pub(super) fn share(&self) -> String {
        let asked: BTreeSet<String> = self.members.iter().filter_map(|member| asked(member)).collect();
        match (asked.first(), asked.len(), self.addresses.first()) {
            (Some(only), 1, _) => only.clone(),
            (_, _, Some(address)) => format!("at-{}", vip::name(*address).replace('.', "-")),
            (_, _, None) => String::new(),
        }
    }

    /// What of them differs that has to agree (`docs/sharing.md`), Service by Service, the oldest of them first.
    fn conflicts(&self) -> Vec<String> {
        let Some((first, others)) = self.members.split_first() else { return Vec::new() };
        let conflict = |other: &Arc<Service>| {
            let why = between(first, other);
            (!why.is_empty()).then(|| {
                format!(
                    "Service {} and {} cannot share here, because of their {}: make these agree (ports: disjoint), or give one of them an \
                     address of its own",
                    first.key,
                    other.key,
                    listed(why)
                )
            })
        };
        others.iter().filter_map(conflict).collect()
    }
}

fn between(first: &Service, other: &Service) -> Vec<&'static str> {
    let families = |service: &Service| service.families.iter().copied().collect::<BTreeSet<Family>>();
    let ports = |service: &Service| service.ports.iter().map(|port| port.key).collect::<BTreeSet<_>>();
    let ranges = |service: &Service| service.source_ranges.iter().cloned().collect::<BTreeSet<_>>();
    let say_ranges = !first.source_ranges.is_empty() && !other.source_ranges.is_empty();
    let conflicts = [
        ("spec.ipFamilies", families(first) != families(other)),
        ("spec.loadBalancerSourceRanges", say_ranges && ranges(first) != ranges(other)),
        ("spec.loadBalancerClass", first.class != other.class),
        ("spec.ports", !ports(first).is_disjoint(&ports(other))),
    ];
    conflicts.into_iter().filter(|(_, conflict)| *conflict).map(|(field, _)| field).collect()
}

/// What makes them share here, as commands: first what their namespaces agree to, all groups together, then what each asks for. Nothing for those
/// who cannot share.
pub(super) fn commands(groups: &[Group], namespaces: &[Namespace]) -> Vec<String> {
    let groups: Vec<&Group> = groups.iter().filter(|group| group.conflicts().is_empty()).collect();
    let mut with: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for group in &groups {
        let spaces: BTreeSet<&str> = group.members.iter().map(|member| member.key.namespace.as_str()).collect();
        for space in &spaces {
            with.entry(space).or_default().extend(spaces.iter().filter(|other| *other != space));
        }
    }
    let consents = with.into_iter().filter_map(|(space, others)| {
        let namespace = namespaces.iter().find(|namespace| namespace.metadata.name.as_deref() == Some(space));
        let said = namespace.and_then(|namespace| namespace.metadata.annotations.as_ref()?.get(SHARE_WITH_ANNOTATION));
        let all: BTreeSet<String> = match ShareWith::parse(said.map_or("", String::as_str)) {
            ShareWith::All => return None,
            ShareWith::Namespaces(names) if others.iter().all(|other| names.contains(*other)) => return None,
            ShareWith::Namespaces(names) => names.into_iter().chain(others.into_iter().map(str::to_owned)).collect(),
            ShareWith::Nobody if others.is_empty() => return None,
            ShareWith::Nobody => others.into_iter().map(str::to_owned).collect(),
        };
        let all = all.into_iter().collect::<Vec<_>>().join(",");
        Some(format!("kubectl annotate namespace {space} --overwrite {SHARE_WITH_ANNOTATION}={all}"))
    });
    let members = groups.iter().flat_map(|group| {
        let share = group.share();
        let silent = group.members.iter().filter(|member| asked(member).as_ref() != Some(&share));
        let commands = silent.map(|member| {
            let (namespace, name) = (&member.key.namespace, &member.key.name);
            format!("kubectl annotate service --namespace {namespace} {name} --overwrite {SHARE_ANNOTATION}={share}")
        });
        commands.collect::<Vec<_>>()
    });
    consents.chain(members).collect()
}

fn asked(service: &Service) -> Option<String> {
    Some(share::asked(service)?.ok()?.into_owned())
}

/// Those who share there and cannot here, which would cost one of them the address; and those who can, if they ask for it.
pub(super) fn check(groups: &[Group], findings: &mut Vec<Finding>) {
    for group in groups {
        let about = format!("Services at {}", listed(&group.addresses));
        let conflicts = group.conflicts();
        let share = group.share();
        if conflicts.is_empty() && group.members.iter().any(|member| asked(member).as_ref() != Some(&share)) {
            let what = format!(
                "share by MetalLB's key allow-shared-ip, which counts here only for those who all name the address: annotate them as shown below before a Portolan controller \
                 starts, or all but one of {} get another address",
                listed(group.members.iter().map(|member| &member.key))
            );
            findings.push(Finding::differs(&about, what));
        }
        findings.extend(conflicts.into_iter().map(|what| Finding::changes(&about, what)));
    }
}
