//! What is to be done about one load balancer: the claim, seen together with its record. Pure; the pass acts on it and the dry run
//! prints it.

use std::sync::Arc;

use portolan_core::claim::{Claim, Claimed, NotOurs, PAUSED_ANNOTATION, Standing, WasOurs, claim, load_balancer_of};
use portolan_core::class::{Class, Classes};
use portolan_core::ids::ServiceKey;
use portolan_core::provider::Verdict as Finding;
use portolan_core::reason::Reason;
use portolan_core::record::Record;
use portolan_core::snapshot::{Service, Snapshot, Versioned};

use crate::providers;

/// What is to be done.
#[derive(Clone, Debug)]
pub(crate) enum Decision {
    /// Neither a Service nor a record is left.
    Nothing,
    /// The Service is none of our business.
    Ignore(Versioned<Service>, NotOurs),
    /// Services that the record names exist, but nothing was ever read of them: nobody knows what they want, so nothing is
    /// touched until they can be read or are gone.
    Unreadable(Vec<ServiceKey>),
    /// The Service is gone, without having waited for us: the record knows what is left.
    RemoveOrphan(Arc<Record>),
    /// The Service was ours: effects, record, marks go, in this order.
    CleanUp(Versioned<Service>, Option<Arc<Record>>, WasOurs),
    /// The Service is ours and nothing is changed; its status says why.
    Keep(Versioned<Service>, Finding),
    /// What another class of ours has made goes first, with the parameters of that time.
    Move(Versioned<Service>, Arc<Record>, Claimed, Arc<Class>),
    /// The Service is served by this class.
    Serve(Versioned<Service>, Option<Arc<Record>>, Claimed, Arc<Class>),
}

/// Decides what is to be done about the snapshot's load balancer.
pub(crate) fn decide(snapshot: &Snapshot, classes: &Classes) -> Decision {
    let own = snapshot.record.clone().filter(|record| record.belongs_to(&classes.instance));
    let named = |service: &&Versioned<Service>| load_balancer_of(&service.object, classes) == snapshot.id;
    let Some(service) = snapshot.services.values().find(named).cloned() else {
        return match own {
            Some(_) if !snapshot.unreadable.is_empty() => Decision::Unreadable(snapshot.unreadable.clone()),
            Some(record) => Decision::RemoveOrphan(record),
            None => Decision::Nothing,
        };
    };
    let records: Vec<&Record> = own.iter().chain(&snapshot.other_records).map(AsRef::as_ref).collect();
    let claimed = match claim(&service.object, &records, classes) {
        Claim::NotOurs(why) => return Decision::Ignore(service, why),
        Claim::WasOurs(why) => return Decision::CleanUp(service, own, why),
        Claim::Claimed(claimed) => claimed,
    };
    let class = match &claimed.standing {
        Standing::Serve(class) => class.clone(),
        Standing::ClassNotConfigured { class } => {
            let message = format!(
                "class {class} is not in the configuration any more; everything stays as it is until the class is back, or the \
                 Service is deleted or changes its type"
            );
            return Decision::Keep(service, Finding::no(Reason::ClassNotConfigured, message));
        }
        Standing::Paused => {
            let message = format!("everything stays as it is while the annotation {PAUSED_ANNOTATION} is there");
            return Decision::Keep(service, Finding::no(Reason::Paused, message));
        }
        Standing::OtherInstance(instance) => {
            let message = format!("instance {:?} of Portolan still cleans up after this Service", instance.as_str());
            return Decision::Keep(service, Finding::no(Reason::OtherInstance, message));
        }
    };
    match own {
        Some(record) if has_moved(&service.object, &record, &class, classes) => {
            Decision::Move(service, record, claimed, class)
        }
        own => Decision::Serve(service, own, claimed, class),
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
        || providers::place(&record.provider, &record.parameters)
            != providers::place(&class.provider, &class.parameters)
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

    /// What is decided for a Service of class `value` that has a record of `before`, while `now` is configured.
    fn decided(value: &str, before: &Class, now: Class) -> Decision {
        let service = Service { class: Some(value.to_owned()), ..service("a") };
        let record = Record {
            aliases: before.aliases.clone(),
            provider: before.provider.clone(),
            parameters: before.parameters.clone(),
            ..record(&service, before.name.as_str())
        };
        let classes = Classes { classes: vec![Arc::new(now)], ..Classes::default() };
        let snapshot = Snapshot {
            id: LoadBalancerId::new(service.uid.as_str()),
            services: [(
                service.key.clone(),
                Versioned { version: ResourceVersion::new("1"), object: Arc::new(service) },
            )]
            .into(),
            slices: Default::default(),
            nodes: Default::default(),
            record: Some(Arc::new(record)),
            other_records: Vec::new(),
            unreadable: Vec::new(),
        };
        decide(&snapshot, &classes)
    }

    #[test]
    fn a_class_that_is_renamed_while_its_alias_stays_keeps_its_load_balancers() {
        let before = class_in("portolan.dev/old", "x.io/lb", "/a");
        let decision = decided("x.io/lb", &before, class_in("portolan.dev/new", "x.io/lb", "/a"));
        assert!(matches!(decision, Decision::Serve(_, Some(_), _, _)), "{decision:?}");
    }

    #[test]
    fn another_provider_or_another_place_is_a_move() {
        let before = class_in("portolan.dev/a", "x.io/lb", "/a");
        let elsewhere = decided("x.io/lb", &before, class_in("portolan.dev/a", "x.io/lb", "/b"));
        assert!(matches!(elsewhere, Decision::Move(..)), "{elsewhere:?}");
        let other = Class { provider: ProviderName::new("aws"), ..class_in("portolan.dev/a", "x.io/lb", "/a") };
        let other = decided("x.io/lb", &before, other);
        assert!(matches!(other, Decision::Move(..)), "{other:?}");
    }
}
