//! Whose Service is it? Exactly one of: claimed, not ours, was ours.
//!
//! The evidence that a Service was ours is our finalizer and our records, never its class or status: the API server wipes both
//! in the very write that changes the type.

use std::sync::Arc;

use crate::class::{Class, Classes};
use crate::desire::Warning;
use crate::go;
use crate::ids::{ClassName, FINALIZER, Instance};
use crate::reason::{ConditionType, Reason};
use crate::record::{ClaimedBy, Record};
use crate::snapshot::{Service, ServiceType};

/// AWS's annotation that hands a Service without a class to the AWS Load Balancer Controller, or with
/// `claimByTypeAnnotation` to us.
pub const TYPE_ANNOTATION: &str = "service.beta.kubernetes.io/aws-load-balancer-type";

/// Leaves everything of a live Service as it is: any value but Go's [false](go::FALSE). Deletion and a
/// change of type are still cleaned up, because then there is nothing left to leave as it is.
pub const PAUSED_ANNOTATION: &str = "portolan.dev/paused";

/// The decision.
#[derive(Clone, Debug, PartialEq)]
pub enum Claim {
    /// It is ours to serve.
    Claimed(Claimed),
    /// It was never ours, or is nobody's: no write of any kind.
    NotOurs(NotOurs),
    /// It was ours: remove what we made, then our marks.
    WasOurs(WasOurs),
}

/// A Service that is ours to serve.
#[derive(Clone, Debug, PartialEq)]
pub struct Claimed {
    /// The class, and whether it may be acted on.
    pub standing: Standing,
    /// How the Service came to it.
    pub by: ClaimedBy,
    /// What a person should know: the Service stays where it is although it would not come here today.
    pub warnings: Vec<ClaimWarning>,
}

/// Whether a claimed Service may be acted on.
#[derive(Clone, Debug, PartialEq)]
pub enum Standing {
    /// Serve it.
    Serve(Arc<Class>),
    /// Its class has vanished from the configuration: it keeps what it has, and no step runs.
    ClassNotConfigured {
        /// The class as the Service or its record names it.
        class: String,
    },
    /// Its annotation asks to leave everything as it is.
    Paused,
    /// A record of another instance still names it: wait until that is gone.
    OtherInstance(Instance),
}

impl ClaimWarning {
    /// For people.
    pub fn warning(&self) -> Warning {
        let stays = "the Service stays with its class until it is deleted or its type or class changes";
        match self {
            Self::DefaultMoved => Warning {
                reason: Reason::DefaultClassMoved,
                message: format!("the class that serves this Service is not the default any more; {stays}"),
            },
            Self::TypeAnnotationRemoved => Warning {
                reason: Reason::TypeAnnotationRemoved,
                message: format!("the type annotation is gone; {stays}"),
            },
            Self::TypeAnnotationNotRead => Warning {
                reason: Reason::TypeAnnotationNotRead,
                message: format!(
                    "the class that serves this Service does not claim by type annotation any more; {stays}"
                ),
            },
        }
    }
}

/// Why a claimed Service would not be claimed today.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClaimWarning {
    /// The class is not the default any more.
    DefaultMoved,
    /// The type annotation is gone.
    TypeAnnotationRemoved,
    /// The class does not claim by type annotation any more.
    TypeAnnotationNotRead,
}

/// Why a Service is none of our business.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotOurs {
    /// Not of type LoadBalancer.
    NotLoadBalancer,
    /// No class, and no class of ours is the default.
    NoClass,
    /// The class is somebody else's.
    ForeignClass,
    /// The class begins with our prefix, but nobody has it. Worth one event.
    UnknownClass,
    /// It is being deleted and carries no mark of ours.
    Deleting,
    /// Its namespace is not among those that we watch. If we serve it already, it keeps what it has; only its deletion or a
    /// change of type is still acted on.
    NamespaceNotWatched,
}

/// Why a Service has stopped being ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WasOurs {
    /// It is being deleted.
    Deleting,
    /// It is not of type LoadBalancer any more.
    TypeChanged,
    /// It names another controller now. Its status and the standard finalizer are that controller's.
    HandedOver,
}

/// Decides whose a Service is. `records` are all records, of any instance, that name its UID.
pub fn claim(service: &Service, records: &[&Record], classes: &Classes) -> Claim {
    let own = own_records(service, records, classes);
    let ours = !own.is_empty() || has_own_finalizer(service, &classes.instance);
    let unless_ours = |why, not_ours| if ours { Claim::WasOurs(why) } else { Claim::NotOurs(not_ours) };

    // One that was refused, or of which somebody has taken the finalizer, carries our conditions and nothing else of ours. They do not say
    // which instance wrote them: as long as a record or a finalizer of another names it, or it is none that we look at, it is left to
    // that one.
    let unclaimed = records.is_empty() && !service.finalizers.iter().any(|finalizer| finalizer.starts_with(FINALIZER));
    let left_over = has_own_conditions(service) && unclaimed && classes.watches(&service.key.namespace);
    if service.deleting {
        return if left_over {
            Claim::WasOurs(WasOurs::Deleting)
        } else {
            unless_ours(WasOurs::Deleting, NotOurs::Deleting)
        };
    }
    if service.service_type != ServiceType::LoadBalancer {
        return if left_over {
            Claim::WasOurs(WasOurs::TypeChanged)
        } else {
            unless_ours(WasOurs::TypeChanged, NotOurs::NotLoadBalancer)
        };
    }
    if !classes.watches(&service.key.namespace) {
        return Claim::NotOurs(NotOurs::NamespaceNotWatched);
    }
    let Some((home, by, warnings)) = home(service, &own, classes) else {
        // Of one that is somebody else's now the conditions may be another Portolan's, of which we know nothing: unless the server
        // remembers that nobody but we have written them.
        if left_over && service.conditions_by.iter().eq([&classes.instance.field_manager()]) {
            return Claim::WasOurs(WasOurs::HandedOver);
        }
        return unless_ours(
            WasOurs::HandedOver,
            match &service.class {
                None => NotOurs::NoClass,
                Some(class) if classes.is_unknown(class) => NotOurs::UnknownClass,
                Some(_) => NotOurs::ForeignClass,
            },
        );
    };
    let standing = match records.iter().find(|record| record.instance != classes.instance) {
        Some(foreign) => Standing::OtherInstance(foreign.instance.clone()),
        None if is_paused(service) => Standing::Paused,
        None => match home {
            Home::Class(class) => Standing::Serve(class),
            Home::Vanished(class) => Standing::ClassNotConfigured { class },
        },
    };
    Claim::Claimed(Claimed { standing, by, warnings })
}

/// The records by which this instance serves the Service. One that anybody else made for it, under another name, claims nothing.
pub fn own_records<'a>(service: &Service, records: &[&'a Record], classes: &Classes) -> Vec<&'a Record> {
    let alone = classes.instance.load_balancer_of(&service.uid);
    let is_own = |record: &&&Record| {
        record.belongs_to(&classes.instance) && (record.id == alone || record.is_share_of(&classes.instance))
    };
    records.iter().filter(is_own).copied().collect()
}

/// The class whose load balancer a Service wants: none if it is not ours to serve.
pub fn class_of(service: &Service, records: &[&Record], classes: &Classes) -> Option<ClassName> {
    let live = service.service_type == ServiceType::LoadBalancer && !service.deleting;
    if !live || !classes.watches(&service.key.namespace) {
        return None;
    }
    let own = own_records(service, records, classes);
    home(service, &own, classes).map(|(home, _, _)| match home {
        Home::Class(class) => class.name.clone(),
        Home::Vanished(class) => {
            let record = own.iter().find(|record| record.answers_to(&class));
            record.map_or_else(|| ClassName::new(class.clone()), |record| record.class.clone())
        }
    })
}

/// The class of a record by the name that the configuration has for it now.
pub fn current_class(record: &Record, classes: &Classes) -> ClassName {
    let names = std::iter::once(record.class.as_str()).chain(record.aliases.iter().map(String::as_str));
    let now = names.filter_map(|name| classes.named(name)).next();
    now.map_or_else(|| record.class.clone(), |class| class.name.clone())
}

/// Where a Service belongs.
enum Home {
    Class(Arc<Class>),
    /// A class by this name has served it, and is in the configuration no more.
    Vanished(String),
}

/// The class that a live LoadBalancer Service comes to; none if it is not for us.
fn home(service: &Service, own: &[&Record], classes: &Classes) -> Option<(Home, ClaimedBy, Vec<ClaimWarning>)> {
    match &service.class {
        Some(value) => match classes.named(value) {
            Some(class) => Some((Home::Class(class.clone()), ClaimedBy::Class, Vec::new())),
            None => own
                .iter()
                .find(|record| record.claimed_by(&service.uid) == Some(ClaimedBy::Class) && record.answers_to(value))
                .map(|_| (Home::Vanished(value.clone()), ClaimedBy::Class, Vec::new())),
        },
        None => own.iter().find_map(|record| sticky(service, record, classes)).or_else(|| fresh(service, classes)),
    }
}

/// A Service without class that is not ours yet.
fn fresh(service: &Service, classes: &Classes) -> Option<(Home, ClaimedBy, Vec<ClaimWarning>)> {
    match type_annotation(service) {
        TypeAnnotation::Ours => {
            let by_annotation = classes.by_type_annotation();
            by_annotation.map(|class| (Home::Class(class.clone()), ClaimedBy::TypeAnnotation, Vec::new()))
        }
        TypeAnnotation::Absent | TypeAnnotation::Other => None,
    }
    .or_else(|| classes.default_class().map(|class| (Home::Class(class.clone()), ClaimedBy::Default, Vec::new())))
}

/// Once claimed, a Service without class stays with its record's class; only a value that names another controller hands it
/// over.
fn sticky(service: &Service, record: &Record, classes: &Classes) -> Option<(Home, ClaimedBy, Vec<ClaimWarning>)> {
    let mut warnings = Vec::new();
    let by = record.claimed_by(&service.uid)?;
    match by {
        // The Service named a class, has been through another type, and names none now: that is a fresh start.
        ClaimedBy::Class => return None,
        ClaimedBy::Default => {
            let still = classes.default_class().is_some_and(|class| class.name == record.class);
            if !still {
                warnings.push(ClaimWarning::DefaultMoved);
            }
        }
        ClaimedBy::TypeAnnotation => match type_annotation(service) {
            TypeAnnotation::Ours => {
                let still = classes.by_type_annotation().is_some_and(|class| class.name == record.class);
                if !still {
                    warnings.push(ClaimWarning::TypeAnnotationNotRead);
                }
            }
            TypeAnnotation::Absent => warnings.push(ClaimWarning::TypeAnnotationRemoved),
            TypeAnnotation::Other => return None,
        },
    }
    let home = match classes.named(record.class.as_str()) {
        Some(class) => Home::Class(class.clone()),
        None => Home::Vanished(record.class.as_str().to_owned()),
    };
    Some((home, by, warnings))
}

fn is_paused(service: &Service) -> bool {
    service.annotations.get(PAUSED_ANNOTATION).is_some_and(|text| !go::FALSE.contains(&text.as_str()))
}

enum TypeAnnotation {
    Absent,
    Ours,
    Other,
}

fn type_annotation(service: &Service) -> TypeAnnotation {
    match service.annotations.get(TYPE_ANNOTATION).map(String::as_str) {
        None => TypeAnnotation::Absent,
        Some("external" | "nlb-ip") => TypeAnnotation::Ours,
        Some(_) => TypeAnnotation::Other,
    }
}

/// The Service carries the finalizer of this instance.
pub fn has_own_finalizer(service: &Service, instance: &Instance) -> bool {
    let finalizer = instance.finalizer();
    service.finalizers.contains(&finalizer)
}

/// The Service carries a condition that only a Portolan writes.
pub fn has_own_conditions(service: &Service) -> bool {
    service.conditions.iter().any(|condition| is_own_condition(&condition.condition_type))
}

/// Only a Portolan writes a condition of this type.
pub fn is_own_condition(name: &str) -> bool {
    ConditionType::ALL.iter().any(|condition| condition.name() == name)
}

#[cfg(test)]
mod tests;
