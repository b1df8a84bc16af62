//! What is to be done about one load balancer: the claim, seen together with its record. Pure; the pass acts on it and the dry run
//! prints it.

use std::sync::Arc;

use portolan_core::balancer::Member;
use portolan_core::claim::{
    Claim, Claimed, NotOurs, PAUSED_ANNOTATION, Standing, WasOurs, claim, class_of, current_class,
};
use portolan_core::class::{Class, Classes};
use portolan_core::ids::{LoadBalancerId, ResourceVersion, ServiceKey};
use portolan_core::provider::{Known, Verdict as Finding};
use portolan_core::reason::Reason;
use portolan_core::record::Record;
use portolan_core::share::age;
use portolan_core::snapshot::{Service, Snapshot, Versioned};

use crate::providers;

/// What is to be done.
#[derive(Clone, Debug)]
pub(crate) struct Decision {
    /// The Services of the snapshot and what each is to this load balancer: those whom the record names in its order, the others by age.
    pub services: Vec<(Versioned<Service>, Role)>,
    /// Services that the record names and that are there, although nobody can read them.
    pub unreadable: Vec<Member>,
    /// Services that the record names and that are not there, as far as we have seen.
    pub gone: Vec<Member>,
    /// The load balancer's record.
    pub record: Option<Arc<Record>>,
    /// What becomes of the load balancer.
    pub fate: Fate,
}

/// What a Service is to a load balancer.
#[derive(Clone, Debug)]
pub(crate) enum Role {
    /// The Service is none of our business.
    Stranger(NotOurs),
    /// The Service is ours and nothing is changed; its status says why.
    Kept(Finding),
    /// The Service belongs to another load balancer of ours now, and that one has `joined` it or not yet.
    Moving { joined: bool },
    /// The Service has come to another class of ours since: what this one has made is not for it any more, whatever becomes of it there.
    Gone,
    /// The Service was ours.
    Leaving(WasOurs),
    /// The Service is served.
    Served(Claimed),
}

/// What becomes of a load balancer.
#[derive(Clone, Debug)]
pub(crate) enum Fate {
    /// It stays as it is, or does not exist.
    Left,
    /// Nobody is left who wants it: effects, then the record.
    Removed(Arc<Record>),
    /// What another class of ours has made, or this one elsewhere, goes first, with the parameters of that time.
    Moved(Arc<Record>, Arc<Class>),
    /// It is served by this class.
    Served(Arc<Class>),
}

impl Decision {
    /// What is remembered of the load balancer.
    pub(crate) fn known(&self, id: &LoadBalancerId) -> Known {
        self.record.as_ref().map_or_else(|| Known::nothing_of(id.clone()), |record| record.known())
    }

    /// The Services that are served, and how they came to it.
    pub(crate) fn served(&self) -> impl Iterator<Item = (&Versioned<Service>, &Claimed)> {
        self.services.iter().filter_map(|(service, role)| match role {
            Role::Served(claimed) => Some((service, claimed)),
            Role::Stranger(_) | Role::Kept(_) | Role::Moving { .. } | Role::Gone | Role::Leaving(_) => None,
        })
    }

    /// The Services that were ours.
    pub(crate) fn leaving(&self) -> impl Iterator<Item = (&Versioned<Service>, WasOurs)> {
        self.services.iter().filter_map(|(service, role)| match role {
            Role::Leaving(why) => Some((service, *why)),
            Role::Stranger(_) | Role::Kept(_) | Role::Moving { .. } | Role::Gone | Role::Served(_) => None,
        })
    }

    /// A Service that somebody who acts has seen in a later version, as the record says. Who is so far behind leaves everything as it is:
    /// on an old reading it would take back what is asked for by now, and make public what has just become internal.
    /// The Service, and the version that the record says was seen.
    pub(crate) fn is_behind(&self) -> Option<(ServiceKey, ResourceVersion)> {
        let record = self.record.as_ref()?;
        let behind = |(service, _): &&(Versioned<Service>, Role)| {
            record.terms.are_newer_than(&service.object.uid, &service.version)
        };
        let (service, _) = self.services.iter().find(behind)?;
        let seen = record.terms.seen.get(&service.object.uid)?;
        Some((service.object.key.clone(), seen.clone()))
    }

    /// The record names this Service.
    pub(crate) fn has_joined(&self, service: &Service) -> bool {
        self.record.as_ref().is_some_and(|record| record.names(&service.uid))
    }
}

/// Decides what is to be done about the snapshot's load balancer.
pub(crate) fn decide(snapshot: &Snapshot, classes: &Classes) -> Decision {
    let record = snapshot.record.clone().filter(|record| record.belongs_to(&classes.instance));
    let joined = |service: &Service| record.as_ref().is_some_and(|record| record.names(&service.uid));
    let mut class = None;
    let mut services: Vec<(Versioned<Service>, Role)> = Vec::new();
    for service in snapshot.services.values() {
        let here = snapshot.placed.get(&service.object.key) == Some(&snapshot.id);
        if !here && !joined(&service.object) {
            continue;
        }
        let role = role(snapshot, &service.object, here, classes, &mut class);
        services.push((service.clone(), role));
    }
    let place = |service: &Service| {
        let members = record.iter().flat_map(|record| &record.members);
        members.take_while(|joined| joined.member.uid != service.uid).count()
    };
    services.sort_by_key(|(service, _)| (place(&service.object), age(&service.object)));
    let missing = record.iter().flat_map(|record| &record.members).map(|joined| &joined.member);
    let missing = missing.filter(|member| !services.iter().any(|(service, _)| service.object.uid == member.uid));
    let (unreadable, gone): (Vec<Member>, Vec<Member>) =
        missing.cloned().partition(|member| snapshot.unreadable.contains(&member.key()));
    let fate = fate(&services, &unreadable, !gone.is_empty(), record.as_ref(), class, classes);
    Decision { services, unreadable, gone, record, fate }
}

/// What a Service is to the load balancer. `class` becomes the class that serves those who are served: for all of them the same.
fn role(snapshot: &Snapshot, service: &Service, here: bool, classes: &Classes, class: &mut Option<Arc<Class>>) -> Role {
    let records: Vec<&Record> = snapshot.record.iter().chain(&snapshot.other_records).map(AsRef::as_ref).collect();
    let claimed = match claim(service, &records, classes) {
        Claim::NotOurs(why) => return Role::Stranger(why),
        Claim::WasOurs(why) => return Role::Leaving(why),
        Claim::Claimed(claimed) => claimed,
    };
    if !here {
        let class_then = snapshot.record.as_ref().map(|record| current_class(record, classes));
        if class_then != class_of(service, &records, classes) {
            return Role::Gone;
        }
        let now = snapshot.placed.get(&service.key);
        let joined = snapshot.other_records.iter().any(|record| Some(&record.id) == now && record.names(&service.uid));
        return Role::Moving { joined };
    }
    let no = |reason, message: String| Role::Kept(Finding::no(reason, message));
    match &claimed.standing {
        Standing::Serve(serves) => {
            class.get_or_insert_with(|| serves.clone());
            Role::Served(claimed)
        }
        Standing::ClassNotConfigured { class } => no(
            Reason::ClassNotConfigured,
            format!(
                "class {class} is not in the configuration any more; everything stays as it is until the class is back, or the \
                 Service is deleted or changes its type"
            ),
        ),
        Standing::Paused => {
            no(Reason::Paused, format!("everything stays as it is while the annotation {PAUSED_ANNOTATION} is there"))
        }
        Standing::OtherInstance(instance) => no(
            Reason::OtherInstance,
            format!("instance {:?} of Portolan still cleans up after this Service", instance.as_str()),
        ),
    }
}

fn fate(
    services: &[(Versioned<Service>, Role)],
    unreadable: &[Member],
    gone: bool,
    record: Option<&Arc<Record>>,
    class: Option<Arc<Class>>,
    classes: &Classes,
) -> Fate {
    let served = services.iter().find(|(_, role)| matches!(role, Role::Served(_)));
    let joined = |service: &Service| record.is_some_and(|record| record.names(&service.uid));
    let is_held = |(service, role): &&(Versioned<Service>, Role)| match role {
        Role::Kept(_) | Role::Stranger(NotOurs::NamespaceNotWatched) | Role::Moving { .. } => joined(&service.object),
        Role::Stranger(
            NotOurs::NotLoadBalancer
            | NotOurs::NoClass
            | NotOurs::ForeignClass
            | NotOurs::UnknownClass
            | NotOurs::Deleting,
        )
        | Role::Gone
        | Role::Leaving(_)
        | Role::Served(_) => false,
    };
    let held = !unreadable.is_empty() || services.iter().any(|service| is_held(&service));
    match (served, class, record) {
        (Some((service, _)), Some(class), Some(record)) if has_moved(&service.object, record, &class, classes) => {
            // What nobody may touch goes on where it is, and the others with it.
            if held { Fate::Served(Arc::new(class_of_then(record))) } else { Fate::Moved(record.clone(), class) }
        }
        (Some(_), Some(class), _) => Fate::Served(class),
        (Some(_) | None, _, None) => Fate::Left,
        (Some(_) | None, _, Some(record)) if !held => Fate::Removed(record.clone()),
        (Some(_) | None, _, Some(record)) => {
            let changes = |(service, role): &(Versioned<Service>, Role)| match role {
                Role::Leaving(_) | Role::Gone => joined(&service.object),
                Role::Moving { joined } => *joined,
                Role::Stranger(_) | Role::Kept(_) | Role::Served(_) => false,
            };
            if gone || services.iter().any(changes) {
                Fate::Served(Arc::new(class_of_then(record)))
            } else {
                Fate::Left
            }
        }
    }
}

/// The class of a record as it was when the record was written.
fn class_of_then(record: &Record) -> Class {
    Class {
        name: record.class.clone(),
        aliases: record.aliases.clone(),
        provider: record.provider.clone(),
        default: false,
        claim_by_type_annotation: false,
        parameters: record.parameters.clone(),
    }
}

/// The record stands for something that this class did not make, or made elsewhere. A class that has only been renamed, while its
/// alias stays, has made it.
fn has_moved(service: &Service, record: &Record, class: &Class, classes: &Classes) -> bool {
    let renamed = || service.class.as_deref().is_some_and(|value| record.answers_to(value));
    let other_class = match classes.named(record.class.as_str()) {
        Some(now) => now.name != class.name,
        None => !renamed(),
    };
    other_class
        || record.provider != class.provider
        || providers::elsewhere(&record.provider, &record.parameters, &class.parameters)
}

#[cfg(test)]
mod tests {
    use portolan_core::examples::{class, record, service};
    use portolan_core::ids::{LoadBalancerId, ProviderName, ResourceVersion};
    use serde_json::json;

    use super::*;

    fn class_in(name: &str, alias: &str, state: &str) -> Class {
        Class { aliases: vec![alias.to_owned()], parameters: json!({"state": state}), ..class(name) }
    }

    #[test]
    fn who_knows_an_older_version_of_a_service_than_the_terms_rest_on_is_behind() {
        let service = service("a");
        let seen = [(service.uid.clone(), ResourceVersion::new("10"))].into();
        let mut record = record(&service, "portolan.dev/mock");
        record.terms.seen = seen;
        let behind = |version: &str| {
            let known = Versioned { version: ResourceVersion::new(version), object: Arc::new(service.clone()) };
            let services = vec![(known, Role::Leaving(WasOurs::Deleting))];
            let record = Some(Arc::new(record.clone()));
            Decision { services, unreadable: Vec::new(), gone: Vec::new(), record, fate: Fate::Left }.is_behind()
        };
        assert_eq!(behind("9"), Some((service.key.clone(), ResourceVersion::new("10"))));
        assert_eq!((behind("10"), behind("11")), (None, None));
    }

    /// What is decided for a Service of class `value` that has a record of `before`, while `now` is configured.
    fn decided(value: &str, before: &Class, now: Class) -> Fate {
        let service = Service { class: Some(value.to_owned()), ..service("a") };
        let record = Record {
            aliases: before.aliases.clone(),
            provider: before.provider.clone(),
            parameters: before.parameters.clone(),
            ..record(&service, before.name.as_str())
        };
        let classes = Classes { classes: vec![Arc::new(now)], ..Classes::default() };
        let (key, id) = (service.key.clone(), LoadBalancerId::new(service.uid.as_str()));
        let snapshot = Snapshot {
            id: id.clone(),
            services: [(
                service.key.clone(),
                Versioned { version: ResourceVersion::new("1"), object: Arc::new(service) },
            )]
            .into(),
            placed: [(key, id)].into(),
            consents: Default::default(),
            all_consents: Default::default(),
            slices: Default::default(),
            gated: Default::default(),
            nodes: Default::default(),
            record: Some(Arc::new(record)),
            other_records: Vec::new(),
            unreadable: Vec::new(),
            in_hand: Vec::new(),
        };
        decide(&snapshot, &classes).fate
    }

    #[test]
    fn a_class_that_is_renamed_while_its_alias_stays_keeps_its_load_balancers() {
        let before = class_in("portolan.dev/old", "x.io/lb", "/a");
        let fate = decided("x.io/lb", &before, class_in("portolan.dev/new", "x.io/lb", "/a"));
        assert!(matches!(fate, Fate::Served(_)), "{fate:?}");
    }

    #[test]
    fn another_provider_or_another_place_is_a_move() {
        let before = class_in("portolan.dev/a", "x.io/lb", "/a");
        let elsewhere = decided("x.io/lb", &before, class_in("portolan.dev/a", "x.io/lb", "/b"));
        assert!(matches!(elsewhere, Fate::Moved(..)), "{elsewhere:?}");
        let other = Class { provider: ProviderName::new("aws"), ..class_in("portolan.dev/a", "x.io/lb", "/a") };
        let other = decided("x.io/lb", &before, other);
        assert!(matches!(other, Fate::Moved(..)), "{other:?}");
    }
}
