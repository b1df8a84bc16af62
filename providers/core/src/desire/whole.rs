//! What belongs to the whole load balancer, and on what terms Services share it.
//!
//! Whoever is there first sets it. A later Service may say the same or nothing; one that says something else is refused with
//! [`Reason::ShareConflict`] and the key. What only a later one says holds for all.
//!
//! A Service that is held has what it has, whatever it asks for meanwhile: nobody takes it, and nobody is refused for what it only asks for.
//! As long as one is held the whole cannot follow anybody, so whoever asks for something that belongs to it does not join.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::Value;

use crate::balancer::{
    Family, Listener, LoadBalancer, Member, NodeTarget, PortKey, Protocol, Published, Scheme, SourceRanges,
};
use crate::capabilities::Capabilities;
use crate::desire::{Candidate, Hold, Input, Want, Warning, addresses, ranges, scheme};
use crate::ids::{ServiceKey, Uid};
use crate::reason::Reason;
use crate::refusal::Refused;
use crate::share::{Consents, SHARE_WITH_ANNOTATION, agree, asked};
use crate::snapshot::Service;
use crate::terms::{Now, Settled, Terms, settle};

/// The whole, as far as those who have come so far have settled it.
#[derive(Debug, Default)]
pub(super) struct Whole {
    members: Vec<Member>,
    held: Vec<Uid>,
    /// Those of them for whom the others should not wait without knowing.
    kept: Vec<Uid>,
    /// As the first that is served asks.
    families: Option<(Vec<Family>, ServiceKey)>,
    /// As the first that is held has them: they count as long as nobody is served, and for those who come.
    held_families: Option<(Vec<Family>, ServiceKey)>,
    /// At most one a family, and who asks for it.
    requested: BTreeMap<Family, (IpAddr, ServiceKey)>,
    scheme: Option<Asked<Scheme>>,
    /// The first that is served and says nothing of the scheme.
    silent: Option<ServiceKey>,
    source_ranges: Option<Asked<Vec<IpNet>>>,
    /// Whether all of those who are served allow downtime; none while nobody is.
    allow_downtime: Option<bool>,
    /// Who has which port.
    taken: BTreeMap<PortKey, ServiceKey>,
    /// The protocol of the first port.
    first: Option<Protocol>,
    published: Vec<Published>,
}

/// What one Service asks for the whole, and others after it.
#[derive(Debug)]
struct Asked<T> {
    value: T,
    first: ServiceKey,
    by: Vec<Uid>,
}

impl<T: Clone> Asked<T> {
    fn ask(asked: &mut Option<Self>, value: T, service: &Service) {
        let asked = asked.get_or_insert_with(|| Self { value, first: service.key.clone(), by: Vec::new() });
        asked.by.push(service.uid.clone());
    }

    fn settled(asked: Option<&Self>) -> Option<Settled<T>> {
        asked.map(|asked| Settled { value: asked.value.clone(), asked_by: asked.by.clone() })
    }
}

impl Whole {
    /// The protocol that decides where protocols cannot be mixed.
    pub(super) fn protocol(&self) -> Option<Protocol> {
        self.first
    }

    /// The families of the load balancer.
    pub(super) fn families(&self) -> &[Family] {
        self.families.as_ref().or(self.held_families.as_ref()).map_or(&[], |(families, _)| families)
    }

    /// Before anybody is judged: what a held Service has, nobody may take, not even one that was there before it.
    pub(super) fn reserve(&mut self, candidate: &Candidate<'_>) {
        let Some(service) = candidate.service else { return };
        let ports = ports_of(service);
        self.first = self.first.or_else(|| ports.first().map(|port| port.protocol));
        for port in ports {
            self.taken.entry(port).or_insert_with(|| service.key.clone());
        }
    }

    /// A Service is served.
    pub(super) fn admit(&mut self, candidate: &Candidate<'_>, want: &Want<'_>) {
        let key = &want.service.key;
        self.families.get_or_insert_with(|| (want.families.clone(), key.clone()));
        for address in &want.requested {
            self.requested.entry(Family::of(*address)).or_insert_with(|| (*address, key.clone()));
        }
        match want.scheme {
            Some(scheme) => Asked::ask(&mut self.scheme, scheme, want.service),
            None => drop(self.silent.get_or_insert_with(|| key.clone())),
        }
        if let SourceRanges::Only(ranges) = &want.source_ranges {
            Asked::ask(&mut self.source_ranges, ranges.clone(), want.service);
        }
        self.allow_downtime = Some(self.allow_downtime.unwrap_or(true) && want.allows_downtime);
        for served in &want.served {
            self.taken.entry(served.port.key).or_insert_with(|| key.clone());
        }
        self.first = self.first.or_else(|| want.served.first().map(|served| served.port.key.protocol));
        self.joins(candidate);
    }

    /// A Service keeps what it has. A later one must not take it.
    pub(super) fn hold(&mut self, candidate: &Candidate<'_>, capabilities: &Capabilities) {
        self.held.push(candidate.member.uid.clone());
        if candidate.held != Some(Hold::Moving) {
            self.kept.push(candidate.member.uid.clone());
        }
        if let Some(service) = candidate.service {
            self.held_families.get_or_insert_with(|| (families_of(service, capabilities), service.key.clone()));
        }
        self.reserve(candidate);
        self.joins(candidate);
    }

    fn joins(&mut self, candidate: &Candidate<'_>) {
        self.members.push(candidate.member.clone());
        self.published.extend(candidate.service.into_iter().flat_map(addresses::published));
    }

    /// Why nothing can follow a Service that comes just now, if it asks for anything that belongs to the whole.
    pub(super) fn hold_against(
        &self,
        candidate: &Candidate<'_>,
        want: &Want<'_>,
        input: &Input<'_>,
    ) -> Option<Refused> {
        let (held, place) = self.held_member().zip(place_of_whole(want, input)).filter(|_| !candidate.joined)?;
        let message = format!(
            "{place}: nothing of share {:?} can follow it as long as Service {} is paused, refused or on its way; wait, or choose another \
             share",
            share_of(want.service),
            held.key()
        );
        Some(Refused::whole(Reason::ShareConflict, message))
    }

    /// Why a port cannot have the number that it asks for, where another member has that for another protocol. Only the port is refused, as
    /// where a Service asks for both by itself; whoever asks for the very port of another one is refused by [`Self::conflicts`].
    pub(super) fn number_of_others(
        &self,
        candidate: &Candidate<'_>,
        port: PortKey,
        capabilities: &Capabilities,
    ) -> Option<Refused> {
        if !capabilities.one_listener_a_number || self.taken.contains_key(&port) {
            return None;
        }
        let (taken, other) = self.taken.iter().find(|(taken, _)| taken.port == port.port)?;
        let share = candidate.service.map(share_of).unwrap_or_default();
        let message = format!(
            "this provider has one listener a port number, and {taken} of share {share:?} is Service {other}'s; choose another port or \
             another share"
        );
        Some(Refused::port(port, Reason::ShareConflict, message))
    }

    /// Where a Service contradicts those before it.
    pub(super) fn conflicts(&self, candidate: &Candidate<'_>, want: &Want<'_>, input: &Input<'_>) -> Vec<Refused> {
        let service = want.service;
        let mut conflicts = Vec::new();
        let mut conflict = |message: String| conflicts.push(Refused::whole(Reason::ShareConflict, message));
        let share = share_of(service);
        for served in &want.served {
            if let Some(other) = self.taken.get(&served.port.key) {
                conflict(format!(
                    "spec.ports: {} of share {share:?} is taken by Service {other}; choose another port or another share",
                    served.port.key
                ));
            }
        }
        let sorted = |families: &[Family]| {
            let mut families = families.to_vec();
            families.sort_unstable();
            families
        };
        // The addresses of the whole stand in the status of each (`status::of_member`), and kube-proxy passes no packet to a family that
        // a Service does not have: who allows different families must divide addresses and endpoints between the members.
        let of_held = || self.held_families.as_ref().filter(|_| !candidate.joined);
        if let Some((families, other)) = of_held().or(self.families.as_ref())
            && sorted(families) != sorted(&want.families)
        {
            conflict(format!(
                "spec.ipFamilies: share {share:?} has {}, as Service {other} asks; ask for the same",
                listed(families)
            ));
        }
        for address in &want.requested {
            if let Some((asked, other)) = self.requested.get(&Family::of(*address))
                && asked != address
            {
                let place = addresses::place(service);
                conflict(format!("{place}: {address}, but Service {other} asks for {asked} for share {share:?}"));
            }
        }
        if let (Some(wanted), Some(Asked { value: set, first: other, .. })) = (want.scheme, &self.scheme)
            && wanted != *set
        {
            let place = scheme::place(service, &input.settings.internal_annotations);
            conflict(format!(
                "{place}: share {share:?} is {set}, as Service {other} asks; ask for the same or for nothing"
            ));
        }
        conflicts.extend(self.opened(want, input));
        let mut conflict = |message: String| conflicts.push(Refused::whole(Reason::ShareConflict, message));
        if let (SourceRanges::Only(ranges), Some(asked)) = (&want.source_ranges, &self.source_ranges)
            && *ranges != asked.value
        {
            let other = &asked.first;
            let place = ranges::place(service);
            conflict(format!(
                "{place}: Service {other} lets others connect to share {share:?}; give the same ranges or none"
            ));
        }
        if !candidate.joined {
            for other in self.strangers(service, input.consents) {
                conflict(format!(
                    "annotation {SHARE_WITH_ANNOTATION}: Service {} is on share {share:?}, and the Namespaces {} and {} do not both \
                     list each other",
                    other.key(),
                    other.namespace,
                    service.key.namespace
                ));
            }
        }
        conflicts
    }

    /// Whoever was there first and says nothing has what the class gives. Where that is internal, a later one makes nobody public who has not
    /// asked for it; one that has been public at somebody's word stays so.
    fn opened(&self, want: &Want<'_>, input: &Input<'_>) -> Option<Refused> {
        let is_public = |terms: &Terms| terms.scheme.as_ref().is_some_and(|settled| settled.value == Scheme::Public);
        let would_open = want.scheme == Some(Scheme::Public)
            && self.scheme.is_none()
            && input.dialect.default_scheme() == Scheme::Internal
            && !input.terms.is_some_and(is_public);
        let silent = self.silent.as_ref().filter(|_| would_open)?;
        let message = format!(
            "{}: Service {silent}, which came first to share {:?}, says nothing, and is internal therefore; say the same there first, or choose \
             another share",
            scheme::place(want.service, &input.settings.internal_annotations),
            share_of(want.service)
        );
        Some(Refused::whole(Reason::ShareConflict, message))
    }

    /// The first of those who are held.
    fn held_member(&self) -> Option<&Member> {
        self.members.iter().find(|member| self.held.contains(&member.uid))
    }

    /// Members of whose namespace the Service's own does not, or not any more, agree to share.
    fn strangers<'a>(&'a self, service: &'a Service, consents: &'a Consents) -> impl Iterator<Item = &'a Member> {
        let own = &service.key.namespace;
        self.members.iter().filter(move |member| !agree(consents, &member.namespace, own))
    }

    /// What a member that is served should know about the others.
    pub(super) fn warnings(&self, service: &Service, consents: &Consents) -> Vec<Warning> {
        let mut warnings: Vec<Warning> = self
            .strangers(service, consents)
            .map(|other| Warning {
                reason: Reason::ShareConsentWithdrawn,
                message: format!(
                    "the Namespaces {} and {} do not both list each other in {SHARE_WITH_ANNOTATION} any more; Service {} and this \
                     one go on sharing until one of them leaves",
                    other.namespace,
                    service.key.namespace,
                    other.key()
                ),
            })
            .collect();
        let kept = self.members.iter().filter(|member| self.kept.contains(&member.uid));
        let kept: Vec<String> = kept.map(|member| member.key().to_string()).collect();
        if !kept.is_empty() {
            warnings.push(Warning {
                reason: Reason::ShareHeld,
                message: format!(
                    "scheme, source ranges and addresses of the load balancer stay as they are as long as nothing may be changed of \
                     {}, which shares it",
                    kept.join(", ")
                ),
            });
        }
        warnings
    }

    /// What holds for all from now on; `before` is what held.
    ///
    /// Whoever takes back what only it has asked for gets what it would get today: the `default`. An address asked for by name says its scheme
    /// itself.
    pub(super) fn terms(&self, before: Option<&Terms>, default: Scheme) -> Terms {
        let members: Vec<Uid> = self.members.iter().map(|member| member.uid.clone()).collect();
        let Terms { scheme, source_ranges, seen } = before.cloned().unwrap_or_default();
        let default = || Settled { value: default, asked_by: Vec::new() };
        let by_address = self.scheme.is_none() && !self.requested.is_empty();
        Terms {
            scheme: match settle(scheme.as_ref(), Asked::settled(self.scheme.as_ref()), &members, &self.held) {
                Now::Holds(settled) => Some(settled).filter(|settled| !by_address || !settled.asked_by.is_empty()),
                Now::TakenBack => Some(default()).filter(|_| !by_address),
                Now::Open => None,
            },
            source_ranges: match settle(
                source_ranges.as_ref(),
                Asked::settled(self.source_ranges.as_ref()),
                &members,
                &self.held,
            ) {
                Now::Holds(settled) => Some(settled),
                Now::TakenBack | Now::Open => None,
            },
            seen,
        }
    }

    /// The load balancer that has come of it.
    pub(super) fn load_balancer(
        self,
        input: &Input<'_>,
        terms: &Terms,
        settings: BTreeMap<Uid, Value>,
        listeners: Vec<Listener>,
        following: Vec<Listener>,
        nodes: Vec<NodeTarget>,
    ) -> LoadBalancer {
        let families = self.families().to_vec();
        let mut published = self.published;
        published.sort();
        published.dedup();
        let asked = |family| self.requested.get(family).map(|(address, _)| *address);
        LoadBalancer {
            id: input.id.clone(),
            class: input.class.name.clone(),
            requested: families.iter().filter_map(asked).collect(),
            members: self.members,
            held: self.held,
            following,
            families,
            scheme: terms.scheme.as_ref().map(|settled| settled.value),
            settings,
            listeners,
            source_ranges: terms
                .source_ranges
                .as_ref()
                .map_or(SourceRanges::All, |settled| SourceRanges::Only(settled.value.clone())),
            nodes,
            allow_downtime: self.allow_downtime.unwrap_or(false),
            published,
        }
    }
}

/// The ports that clients of a Service that is held have been told; before they were told anything, those of its spec.
fn ports_of(service: &Service) -> Vec<PortKey> {
    let told = service.ingress.iter().flat_map(|ingress| &ingress.ports).filter(|port| port.error.is_none());
    let told: Vec<PortKey> = told.map(|told| PortKey { port: told.port, protocol: told.protocol }).collect();
    if told.is_empty() { service.ports.iter().map(|port| port.key).collect() } else { told }
}

/// The families that a Service that is held has; before it has any, those of its spec.
fn families_of(service: &Service, capabilities: &Capabilities) -> Vec<Family> {
    let told = addresses::published(service).into_iter().filter_map(|told| match told {
        Published::Ip { ip, mode: _ } => Some(Family::of(ip)),
        Published::Hostname { .. } => None,
    });
    let mut families: Vec<Family> = told.collect();
    if families.is_empty() {
        families.clone_from(&service.families);
    }
    families.retain(|family| capabilities.families.contains(family));
    families.dedup();
    families
}

/// What of a Service asks for something that belongs to the whole, as messages name it; none if it takes what there is.
fn place_of_whole(want: &Want<'_>, input: &Input<'_>) -> Option<String> {
    if want.scheme.is_some() {
        Some(scheme::place(want.service, &input.settings.internal_annotations))
    } else if want.source_ranges != SourceRanges::All {
        Some(ranges::place(want.service))
    } else if want.requested.is_empty() {
        None
    } else {
        Some(addresses::place(want.service))
    }
}

/// The share that a Service asks for, as it names it.
fn share_of(service: &Service) -> Cow<'_, str> {
    asked(service).and_then(Result::ok).unwrap_or_default()
}

fn listed(families: &[Family]) -> String {
    families.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
