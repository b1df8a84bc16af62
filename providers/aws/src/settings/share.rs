//! What Services that share a balancer say of it together: whoever was there before, decides; whoever says nothing, agrees.

use std::collections::BTreeMap;

use portolan_core::ids::ServiceKey;
use portolan_core::reason::Reason;
use portolan_core::refusal::{Refusal, Refused};
use portolan_core::snapshot::Service;

use crate::annotations::keys::{Key, Of, Syntax};
use crate::annotations::reader::shown;
use crate::annotations::syntax;
use crate::attributes::table::{ACCESS_LOGS, ACCESS_LOGS_BUCKET, ACCESS_LOGS_PREFIX, CROSS_ZONE};
use crate::attributes::{self, AttributeKey};

/// What the members of a share have said of its balancer so far.
#[derive(Clone, Debug, Default)]
pub struct Share {
    said: BTreeMap<Key, Said>,
}

/// What a key says, and who was the first to say so.
#[derive(Clone, Debug)]
enum Said {
    /// One thing.
    One(Value, ServiceKey),
    /// A thing a pair; pairs of several Services add up.
    Pairs(BTreeMap<String, (String, ServiceKey)>),
}

/// One thing that a key says. Two texts that are read the same are the same.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Value {
    Bool(bool),
    Items(Vec<String>),
    Text(String),
}

impl Share {
    /// Takes what a Service says of the balancer, in the order of joining; or refuses it, by all keys in which it contradicts those before it.
    /// A Service must be sound by itself ([`Settings::read`](crate::Settings::read)) before it is asked here.
    pub fn admit(&mut self, service: &Service) -> Result<(), Refusal> {
        let mut now = self.clone();
        let mut refused = now.hear_pairs(Key::BalancerAttributes, attributes_of(service), &service.key);
        for (name, text) in &service.annotations {
            match Key::of(name) {
                Some((key, _)) if !is_shared(key) || is_attribute(key) => {}
                Some((key, _)) if matches!(key.entry().syntax, Syntax::Map(_)) => {
                    let pairs = syntax::map(text).unwrap_or_default();
                    refused.extend(now.hear_pairs(key, pairs, &service.key));
                }
                Some((key, _)) => refused.extend(now.hear_one(key, text, &service.key)),
                None => {}
            }
        }
        Refusal::unless_empty(refused)?;
        *self = now;
        Ok(())
    }

    /// The Service with all that has been said of the balancer: what its settings are to be read from.
    pub fn member(&self, service: &Service) -> Service {
        let own = service.annotations.iter();
        let own = own.filter(|(name, _)| !Key::of(name).is_some_and(|(key, _)| is_shared(key)));
        let shared = self.said.iter().map(|(key, said)| (key.name(), said.text()));
        let annotations = own.map(|(name, text)| (name.clone(), text.clone())).chain(shared).collect();
        Service { annotations, ..service.clone() }
    }

    fn hear_pairs(&mut self, key: Key, pairs: BTreeMap<String, String>, who: &ServiceKey) -> Vec<Refused> {
        let mut refused = Vec::new();
        if pairs.is_empty() {
            return refused;
        }
        if let Said::Pairs(said) = self.said.entry(key).or_insert_with(|| Said::Pairs(BTreeMap::new())) {
            for (pair, value) in pairs {
                let (before, by) = said.entry(pair.clone()).or_insert_with(|| (value.clone(), who.clone()));
                if *before != value {
                    refused.push(conflict(key, &format!("{pair} is {}", shown(&value)), before, by));
                }
            }
        }
        refused
    }

    fn hear_one(&mut self, key: Key, text: &str, who: &ServiceKey) -> Option<Refused> {
        let value = Value::read(key, text)?;
        match self.said.entry(key).or_insert_with(|| Said::One(value.clone(), who.clone())) {
            Said::One(before, by) if *before != value => {
                Some(conflict(key, &format!("is {}", shown(text)), &before.text(), by))
            }
            Said::One(..) | Said::Pairs(_) => None,
        }
    }
}

fn conflict(key: Key, what: &str, before: &str, by: &ServiceKey) -> Refused {
    let (name, before) = (key.name(), shown(before));
    let message = format!(
        "annotation {name}: {what} here, and {before} on Service {by}, which shares the balancer and came first"
    );
    Refused::whole(Reason::ShareConflict, message)
}

impl Said {
    fn text(&self) -> String {
        match self {
            Self::One(value, _) => value.text(),
            Self::Pairs(pairs) => {
                let escaped = |text: &str| text.replace('\\', r"\\").replace(',', r"\,");
                let key = |text: &str| escaped(text).replace('=', r"\=");
                let pairs = pairs.iter().map(|(name, (value, _))| format!("{}={}", key(name), escaped(value)));
                pairs.collect::<Vec<_>>().join(",")
            }
        }
    }
}

impl Value {
    /// None if the text says nothing.
    fn read(key: Key, text: &str) -> Option<Self> {
        match key.entry().syntax {
            Syntax::Bool => syntax::bool(text).ok().map(Self::Bool),
            Syntax::List(_) => {
                let items: Vec<String> = syntax::list(text).into_iter().map(str::to_owned).collect();
                (!items.is_empty()).then_some(Self::Items(items))
            }
            Syntax::Text(_)
            | Syntax::Word(_)
            | Syntax::AnyCase(_)
            | Syntax::Int { .. }
            | Syntax::Map(_)
            | Syntax::Json => (!text.is_empty()).then(|| Self::Text(text.to_owned())),
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Bool(is) => is.to_string(),
            Self::Items(items) => items.join(","),
            Self::Text(text) => text.clone(),
        }
    }
}

/// The balancer's, but for scheme and source ranges: those the core settles among members (`desire::whole`), because every provider has them.
fn is_shared(key: Key) -> bool {
    key.entry().of == Of::Balancer && !matches!(key, Key::SchemeKey | Key::Internal | Key::SourceRanges)
}

/// The keys that end in attributes of the balancer.
fn is_attribute(key: Key) -> bool {
    matches!(
        key,
        Key::BalancerAttributes | Key::CrossZone | Key::AccessLogEnabled | Key::AccessLogBucket | Key::AccessLogPrefix
    )
}

/// What a Service says of the balancer's attributes, in whichever keys: the rules are those of [`balancer`](crate::settings::balancer).
fn attributes_of(service: &Service) -> BTreeMap<String, String> {
    let text = |key: Key| service.annotations.get(&key.name()).map(String::as_str);
    let is = |key: Key| text(key).and_then(|text| syntax::bool(text).ok());
    let mut said = syntax::map(text(Key::BalancerAttributes).unwrap_or_default()).unwrap_or_default();
    if let Some(on) = is(Key::CrossZone) {
        said.insert(CROSS_ZONE.to_owned(), on.to_string());
    }
    if is(Key::AccessLogEnabled) == Some(true) {
        said.insert(ACCESS_LOGS.to_owned(), "true".to_owned());
        for (key, attribute) in [(Key::AccessLogBucket, ACCESS_LOGS_BUCKET), (Key::AccessLogPrefix, ACCESS_LOGS_PREFIX)]
        {
            said.extend(text(key).map(|text| (attribute.to_owned(), text.to_owned())));
        }
    }
    let as_written = |(key, value): (String, String)| {
        let known = AttributeKey::parse(attributes::LOAD_BALANCER, &key);
        let value = known.and_then(|known| known.attribute().values.check(&value)).unwrap_or(value);
        (key, value)
    };
    said.into_iter().map(as_written).collect()
}

#[cfg(test)]
mod tests {
    use portolan_core::examples;

    use super::*;
    use crate::annotations::keys::AWS;

    fn service(name: &str, items: &[(&str, &str)]) -> Service {
        let annotations = items.iter().map(|(key, value)| (format!("{AWS}{key}"), (*value).to_owned())).collect();
        Service { annotations, ..examples::service(name) }
    }

    /// What the later of two is refused for.
    fn refused(first: &[(&str, &str)], later: &[(&str, &str)]) -> Vec<String> {
        let mut share = Share::default();
        share.admit(&service("first", first)).unwrap();
        let refusal = share.admit(&service("later", later));
        let reasons = refusal.err().map(|refusal| refusal.reasons).unwrap_or_default();
        assert!(reasons.iter().all(|refused| refused.reason == Reason::ShareConflict));
        reasons.into_iter().map(|refused| refused.message).collect()
    }

    #[test]
    fn whoever_says_nothing_or_the_same_agrees() {
        for (first, later) in [
            (&[("subnets", "subnet-0a,subnet-0b")][..], &[][..]),
            (&[], &[("subnets", "subnet-0a")]),
            (&[("subnets", "subnet-0a,subnet-0b")], &[("subnets", " subnet-0a , subnet-0b,")]),
            (&[("subnets", "subnet-0a")], &[("subnets", "")]),
            (&[("disable-nlb-sg", "true")], &[("disable-nlb-sg", "T")]),
            (&[("attributes", "a=1,b=2")], &[("attributes", "b=2, c=3")]),
            (&[("healthcheck-interval", "5")], &[("healthcheck-interval", "30")]),
            (&[("scheme", "internal")], &[("scheme", "internet-facing")]),
            (
                &[("attributes", "load_balancing.cross_zone.enabled=True")],
                &[("cross-zone-load-balancing-enabled", "true")],
            ),
            (&[("attributes", "access_logs.s3.enabled=true")], &[("access-log-enabled", "false")]),
        ] {
            assert_eq!(refused(first, later), Vec::<String>::new(), "{first:?} {later:?}");
        }
    }

    #[test]
    fn whoever_comes_later_and_contradicts_is_refused_by_every_key() {
        let found = refused(
            &[("subnets", "subnet-0a,subnet-0b"), ("attributes", "a=1,b=2"), ("name", "one")],
            &[("subnets", "subnet-0b,subnet-0a"), ("attributes", "b=3,c=1"), ("name", "two"), ("disable-nlb-sg", "1")],
        );
        assert_eq!(found.len(), 3, "{found:?}");
        for (message, key) in found.iter().zip(["attributes: b is \"3\"", "name: is \"two\"", "subnets: is"]) {
            assert!(message.contains(key) && message.contains("default/first"), "{message}");
        }
    }

    #[test]
    fn one_attribute_in_two_keys_is_one_attribute() {
        let found = refused(
            &[("attributes", "load_balancing.cross_zone.enabled=false,access_logs.s3.bucket=a")],
            &[
                ("cross-zone-load-balancing-enabled", "true"),
                ("access-log-enabled", "true"),
                ("access-log-s3-bucket-name", "b"),
            ],
        );
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].contains("access_logs.s3.bucket") && found[1].contains("load_balancing.cross_zone.enabled"));
    }

    #[test]
    fn a_refused_service_leaves_nothing_behind() {
        let mut share = Share::default();
        share.admit(&service("first", &[("name", "one")])).unwrap();
        share.admit(&service("later", &[("name", "two"), ("subnets", "subnet-0a")])).unwrap_err();
        share.admit(&service("last", &[("subnets", "subnet-0b")])).unwrap();
        let member = share.member(&service("first", &[]));
        assert_eq!(member.annotations[&Key::Subnets.name()], "subnet-0b");
    }

    #[test]
    fn every_member_is_read_with_what_all_say_of_the_balancer_and_its_own_of_the_rest() {
        let mut share = Share::default();
        let first = service("first", &[("attributes", "a=1"), ("healthcheck-interval", "5")]);
        let later =
            service("later", &[("attributes", r"b=x\,y\\z"), ("healthcheck-interval", "30"), ("scheme", "internal")]);
        share.admit(&first).unwrap();
        share.admit(&later).unwrap();
        let both = BTreeMap::from([("a".to_owned(), "1".to_owned()), ("b".to_owned(), r"x,y\z".to_owned())]);
        for (service, interval, keys) in [(&first, "5", 2), (&later, "30", 3)] {
            let member = share.member(service);
            assert_eq!(syntax::map(&member.annotations[&Key::BalancerAttributes.name()]), Ok(both.clone()));
            assert_eq!(member.annotations[&Key::HealthInterval.name()], interval);
            assert_eq!(member.annotations.len(), keys);
        }
    }
}
