//! The `spec.externalIPs` of all Services: nodes take packets for them, so no pool gives one out. Followed beside the index, because who has one
//! concerns pools and no load balancer.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use portolan_core::ids::ServiceKey;
use portolan_core::snapshot::{Service, Versioned};

use crate::controller::index::Event;

/// Those of all Services, kept up to date.
#[derive(Debug, Default)]
pub(crate) struct ExternalIps {
    of: BTreeMap<ServiceKey, Vec<IpAddr>>,
    /// While a list goes on: who is in it.
    listing: Option<BTreeSet<ServiceKey>>,
}

impl ExternalIps {
    /// Those of these Services, and whose each is in words.
    pub(crate) fn of<'a>(services: impl IntoIterator<Item = &'a Service>) -> BTreeMap<IpAddr, String> {
        let mut all = Self::default();
        for service in services {
            all.set(service);
        }
        all.all()
    }

    /// Takes in what a watch says; all of them, and whose each is in words, if something may have changed.
    pub(crate) fn observe(&mut self, event: &Event<Versioned<Service>>) -> Option<BTreeMap<IpAddr, String>> {
        let changed = match event {
            Event::Init => {
                self.listing = Some(BTreeSet::new());
                false
            }
            Event::InitApply(service) => {
                self.listing.get_or_insert_default().insert(service.object.key.clone());
                self.set(&service.object);
                false
            }
            Event::InitDone => {
                let listed = self.listing.take().unwrap_or_default();
                self.of.retain(|key, _| listed.contains(key));
                true
            }
            Event::Apply(service) => self.set(&service.object),
            Event::Delete(key, _) => self.of.remove(key).is_some(),
            // What was read of it before stands.
            Event::Unreadable(key) => {
                if let Some(listing) = &mut self.listing {
                    listing.insert(key.clone());
                }
                false
            }
        };
        changed.then(|| self.all())
    }

    /// Whether it has others than before.
    fn set(&mut self, service: &Service) -> bool {
        let Service { key, external_ips, .. } = service;
        if self.of.get(key).map_or(&[][..], Vec::as_slice) == external_ips.as_slice() {
            return false;
        }
        if external_ips.is_empty() {
            self.of.remove(key);
        } else {
            self.of.insert(key.clone(), external_ips.clone());
        }
        true
    }

    fn all(&self) -> BTreeMap<IpAddr, String> {
        let mut all = BTreeMap::new();
        for (key, addresses) in &self.of {
            for address in addresses {
                all.entry(*address).or_insert_with(|| format!("an externalIP of Service {key}"));
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use portolan_core::examples;
    use portolan_core::ids::ResourceVersion;

    use super::*;

    fn service(name: &str, external_ips: &[&str]) -> Versioned<Service> {
        let external_ips = external_ips.iter().map(|text| text.parse().unwrap()).collect();
        let object = Arc::new(Service { external_ips, ..examples::service(name) });
        Versioned { version: ResourceVersion::new("1"), object }
    }

    fn told(all: Option<BTreeMap<IpAddr, String>>) -> Option<Vec<String>> {
        all.map(|all| all.iter().map(|(address, whose)| format!("{address} {whose}")).collect())
    }

    #[test]
    fn they_are_told_when_a_list_is_complete_and_then_when_one_changes() {
        let mut external = ExternalIps::default();
        let a = service("a", &["192.0.2.1"]);
        for event in [Event::Init, Event::InitApply(a.clone()), Event::InitApply(service("b", &[]))] {
            assert_eq!(external.observe(&event), None, "half a list is none");
        }
        let of_a = vec![format!("192.0.2.1 an externalIP of Service {}", a.object.key)];
        assert_eq!(told(external.observe(&Event::InitDone)), Some(of_a));
        assert_eq!(external.observe(&Event::Apply(service("b", &[]))), None);
        let both = told(external.observe(&Event::Apply(service("b", &["192.0.2.1", "2001:db8::1"])))).unwrap();
        assert_eq!(both.len(), 2, "{both:?}");
        let of_b = told(external.observe(&Event::Delete(a.object.key.clone(), ResourceVersion::new("2")))).unwrap();
        assert!(of_b[0].ends_with(&service("b", &[]).object.key.to_string()), "{of_b:?}");
    }

    #[test]
    fn who_is_not_in_a_new_list_has_none_and_who_cannot_be_read_has_what_he_had() {
        let mut external = ExternalIps::default();
        let (a, b) = (service("a", &["192.0.2.1"]), service("b", &["192.0.2.2"]));
        for event in [Event::Init, Event::InitApply(a), Event::InitApply(b.clone()), Event::InitDone] {
            external.observe(&event);
        }
        external.observe(&Event::Init);
        external.observe(&Event::Unreadable(b.object.key.clone()));
        let left = told(external.observe(&Event::InitDone)).unwrap();
        assert_eq!(left, [format!("192.0.2.2 an externalIP of Service {}", b.object.key)]);
    }
}
