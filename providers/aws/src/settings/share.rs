//! What Services that share a balancer say of it together: whoever was there before, decides; whoever says nothing, agrees.

use std::collections::BTreeMap;

use portolan_core::ids::ServiceKey;
use portolan_core::reason::Reason;
use portolan_core::refusal::{Refusal, Refused};
use portolan_core::snapshot::Service;

use crate::annotations::keys::{Key, Of, Syntax};
use crate::annotations::reader::shown;
use crate::annotations::syntax;

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
        let mut refused = Vec::new();
        for (name, text) in &service.annotations {
            if let Some((key, _)) = Key::of(name).filter(|(key, _)| is_shared(*key)) {
                refused.extend(now.hear(key, text, &service.key));
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

    fn hear(&mut self, key: Key, text: &str, who: &ServiceKey) -> Vec<Refused> {
        let conflict = |what: &str, before: &str, by: &ServiceKey| {
            let name = key.name();
            let message = format!(
                "annotation {name}: {what} here, and {before} on Service {by}, which shares the balancer and was there before"
            );
            Refused::whole(Reason::ShareConflict, message)
        };
        if let Syntax::Map(_) = key.entry().syntax {
            let Said::Pairs(pairs) = self.said.entry(key).or_insert_with(|| Said::Pairs(BTreeMap::new())) else {
                return Vec::new();
            };
            let mut refused = Vec::new();
            for (pair, value) in syntax::map(text).unwrap_or_default() {
                let (before, by) = pairs.entry(pair.clone()).or_insert_with(|| (value.clone(), who.clone()));
                if *before != value {
                    refused.push(conflict(&format!("{pair} is {}", shown(&value)), &shown(before), by));
                }
            }
            return refused;
        }
        let Some(value) = Value::read(key, text) else { return Vec::new() };
        match self.said.entry(key).or_insert_with(|| Said::One(value.clone(), who.clone())) {
            Said::One(before, by) if *before != value => {
                vec![conflict(&format!("is {}", shown(text)), &shown(&before.text()), by)]
            }
            Said::One(..) | Said::Pairs(_) => Vec::new(),
        }
    }
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
