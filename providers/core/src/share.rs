//! Sharing: several Services behind one load balancer, because they ask for the same name.
//!
//! A share belongs to a class and a namespace. Another namespace's Services come to it only if both Namespaces say so; who is on it
//! stays, whatever becomes of that consent.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::desire::addresses::named;
use crate::ids::{ClassName, Instance, LoadBalancerId, Uid, fnv1a};
use crate::record::Record;
use crate::snapshot::Service;

/// On a Service: the name of the load balancer that it shares.
pub const SHARE_ANNOTATION: &str = "portolan.dev/share";

/// MetalLB's key for the same, the newer one first (<https://metallb.io/usage/>, "IP address sharing"). There Services with one key may get one address, and
/// are sure to only if they name it; so here the key counts for those who name their addresses, together with these.
pub const METALLB_KEYS: [&str; 2] = ["metallb.io/allow-shared-ip", "metallb.universe.tf/allow-shared-ip"];

/// On a Namespace: the namespaces with which its Services may share, separated by commas; `*` for all.
pub const SHARE_WITH_ANNOTATION: &str = "portolan.dev/share-with";

/// Longest name of a share: a DNS label (RFC 1123), because it becomes part of a record's name.
const LONGEST_NAME: usize = 63;

/// A share, as its record remembers it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Share {
    /// The namespace of the Service that was there first.
    pub namespace: String,
    /// The name that its Services ask for.
    pub name: String,
}

/// With whom the Services of a namespace may share.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ShareWith {
    /// With nobody else.
    #[default]
    Nobody,
    /// With these namespaces.
    Namespaces(BTreeSet<String>),
    /// With all of them.
    All,
}

/// What each Namespace says; one that says nothing shares with nobody else.
pub type Consents = BTreeMap<String, ShareWith>;

impl ShareWith {
    /// Reads [`SHARE_WITH_ANNOTATION`].
    pub fn parse(text: &str) -> Self {
        let names: BTreeSet<String> =
            text.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect();
        if names.contains("*") {
            Self::All
        } else if names.is_empty() {
            Self::Nobody
        } else {
            Self::Namespaces(names)
        }
    }

    fn includes(&self, namespace: &str) -> bool {
        match self {
            Self::Nobody => false,
            Self::Namespaces(names) => names.contains(namespace),
            Self::All => true,
        }
    }
}

/// Services of these two namespaces may share a load balancer: each Namespace lists the other.
pub fn agree(consents: &Consents, one: &str, other: &str) -> bool {
    let lists = |from: &str, to: &str| consents.get(from).is_some_and(|share_with| share_with.includes(to));
    one == other || (lists(one, other) && lists(other, one))
}

/// The share that a Service asks for; why its annotation asks for none that there can be. Our annotation wins over MetalLB's.
pub fn asked(service: &Service) -> Option<Result<Cow<'_, str>, String>> {
    let Some(name) = service.annotations.get(SHARE_ANNOTATION).map(|name| name.trim()) else {
        return by_key(service).map(|name| Ok(Cow::Owned(name)));
    };
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let is_label = !name.is_empty()
        && name.len() <= LONGEST_NAME
        && name.chars().all(legal)
        && !name.starts_with('-')
        && !name.ends_with('-');
    Some(if is_label {
        Ok(Cow::Borrowed(name))
    } else {
        let shown: String = name.chars().take(LONGEST_NAME).collect();
        Err(format!(
            "annotation {SHARE_ANNOTATION}: {shown:?} must be 1 to {LONGEST_NAME} characters of a-z, 0-9 and '-', neither first nor \
             last a '-' (RFC 1123)"
        ))
    })
}

/// The name of the share that MetalLB's key comes to. A key may be any text, a name has to be a label.
fn by_key(service: &Service) -> Option<String> {
    let key = METALLB_KEYS.iter().find_map(|key| service.annotations.get(*key)).filter(|key| !key.is_empty())?;
    let addresses = named(service);
    let listed: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    (!listed.is_empty()).then(|| format!("metallb-{:016x}", fnv1a(format!("{key} {}", listed.join(" ")).as_bytes())))
}

impl Instance {
    /// The id of a share's load balancer: `share-CLASS.NAMESPACE.NAME`, CLASS being a hash, or `INSTANCE.share-...`. Namespace and name
    /// hold no dot, so no two shares have the same.
    pub fn load_balancer_of_share(&self, class: &ClassName, share: &Share) -> LoadBalancerId {
        self.load_balancer_of_nth_share(class, share, 0)
    }

    /// The same of one that was founded while those before it had gone to others: the hash differs.
    fn load_balancer_of_nth_share(&self, class: &ClassName, share: &Share, nth: u32) -> LoadBalancerId {
        let Share { namespace, name } = share;
        let instance = if self.as_str().is_empty() { String::new() } else { format!("{}.", self.as_str()) };
        let class = if nth == 0 { class.to_string() } else { format!("{class} {nth}") };
        LoadBalancerId::new(format!("{instance}share-{:016x}.{namespace}.{name}", fnv1a(class.as_bytes())))
    }
}

/// The share of which this is the load balancer's id, if its Services ask for this name.
pub fn of_id(id: &LoadBalancerId, name: &str) -> Option<Share> {
    let (front, namespace) = id.as_str().strip_suffix(name)?.strip_suffix('.')?.rsplit_once('.')?;
    let of_share = front.rsplit('.').next().is_some_and(|last| last.starts_with("share-"));
    of_share.then(|| Share { namespace: namespace.to_owned(), name: name.to_owned() })
}

impl Record {
    /// The record of a share that bears the name that this instance would have given it. A class may have been renamed since.
    pub(crate) fn is_share_of(&self, instance: &Instance) -> bool {
        let prefix =
            if instance.as_str().is_empty() { "share-".to_owned() } else { format!("{}.share-", instance.as_str()) };
        self.share.as_ref().is_some_and(|Share { namespace, name }| {
            let id = self.id.as_str();
            let end = format!(".{namespace}.{name}");
            id.strip_prefix(&prefix).and_then(|rest| rest.strip_suffix(&end)).is_some_and(|class| class.len() == 16)
        })
    }
}

/// A share while Services are placed.
struct Place<'a> {
    id: LoadBalancerId,
    namespaces: BTreeSet<&'a str>,
}

/// The load balancer to which each of these Services belongs, all of which ask for the share `name` of `class`. `records` are those of
/// such shares.
///
/// Whom a record names stays there, and whoever is `on_the_way`, for whom a pass is just about to write one: else two that come one after the
/// other could found two shares. The others come in the order of their age: to the share in which their own namespace is; else to the
/// oldest of which all namespaces agree with theirs; else to one of their own. What theirs has founded is not their own any more while
/// Services of other namespaces go on with it.
pub fn place(
    instance: &Instance,
    class: &ClassName,
    name: &str,
    services: &[&Service],
    records: &[&Record],
    on_the_way: &BTreeMap<Uid, LoadBalancerId>,
    consents: &Consents,
) -> BTreeMap<Uid, LoadBalancerId> {
    let mut services = services.to_vec();
    services.sort_by_key(|service| age(service));
    let mut placed = BTreeMap::new();
    let mut places: Vec<Place<'_>> = Vec::new();
    for service in &services {
        let named = records.iter().find(|record| record.names(&service.uid)).map(|record| &record.id);
        if let Some(id) = named.or_else(|| on_the_way.get(&service.uid)) {
            placed.insert(service.uid.clone(), id.clone());
            join(&mut places, id, &service.key.namespace);
        }
    }
    for service in services {
        if placed.contains_key(&service.uid) {
            continue;
        }
        let namespace = service.key.namespace.as_str();
        let at_home = places.iter().find(|place| place.namespaces.contains(namespace));
        let agreed =
            || places.iter().find(|place| place.namespaces.iter().all(|other| agree(consents, namespace, other)));
        let id = at_home.or_else(agreed).map_or_else(
            || {
                let share = Share { namespace: namespace.to_owned(), name: name.to_owned() };
                let nth = |nth| instance.load_balancer_of_nth_share(class, &share, nth);
                let is_free = |id: &LoadBalancerId| {
                    let of_others = |record: &&&Record| {
                        &record.id == id && record.members.iter().any(|joined| joined.member.namespace != namespace)
                    };
                    !places.iter().any(|place| &place.id == id) && !records.iter().any(|record| of_others(&record))
                };
                (0..u32::MAX).map(nth).find(is_free).unwrap_or_else(|| nth(0))
            },
            |place| place.id.clone(),
        );
        join(&mut places, &id, namespace);
        placed.insert(service.uid.clone(), id);
    }
    placed
}

fn join<'a>(places: &mut Vec<Place<'a>>, id: &LoadBalancerId, namespace: &'a str) {
    match places.iter_mut().find(|place| &place.id == id) {
        Some(place) => {
            place.namespaces.insert(namespace);
        }
        None => places.push(Place { id: id.clone(), namespaces: [namespace].into() }),
    }
}

/// Who was first, among those that no record puts in order.
pub fn age(service: &Service) -> (crate::time::Timestamp, Uid) {
    (service.created, service.uid.clone())
}

#[cfg(test)]
mod tests;
