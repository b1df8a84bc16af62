mod clashes;

use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::desire::downtime::DOWNTIME_ANNOTATION;
use crate::desire::ranges::RANGES_ANNOTATION;
use crate::desire::scheme::SCHEME_ANNOTATION;
use crate::desire::{Desired, Settings, desire, member};
use crate::dialect::{Dialect, Judged};
use crate::examples::{capabilities, class, endpoint, node, port, service, slice};
use crate::ids::LoadBalancerId;
use crate::share::SHARE_ANNOTATION;
use crate::share::ShareWith;
use crate::snapshot::{FamilyPolicy, Ingress, PortStatus, Slice};

/// A provider that reads `color`, in which all members must agree, and `closed`, which names a port that it cannot serve.
#[derive(Debug)]
struct Colors;

impl Dialect for Colors {
    fn judge(&self, asked: &crate::dialect::Asked<'_>, before: &[crate::dialect::Asked<'_>]) -> Judged {
        let color = asked.service.annotations.get("color");
        let others = before.iter().filter_map(|other| other.service.annotations.get("color"));
        let conflicts = others.filter(|other| color.is_some_and(|color| color != *other));
        let closed = asked.service.annotations.get("closed").and_then(|text| text.parse().ok());
        let closed = closed.map(|port| PortKey { port, protocol: Protocol::Tcp });
        Judged {
            refused: conflicts.map(|other| Refused::whole(Reason::ShareConflict, other.clone())).collect(),
            refused_ports: closed
                .map(|key| Refused::port(key, Reason::ProviderRefused, "closed"))
                .into_iter()
                .collect(),
            warnings: Vec::new(),
        }
    }

    fn settings(&self, members: &[crate::dialect::Asked<'_>]) -> BTreeMap<Uid, Value> {
        let color = |asked: &crate::dialect::Asked<'_>| asked.service.annotations.get("color").cloned();
        let all = members.iter().find_map(color);
        members.iter().map(|asked| (asked.service.uid.clone(), json!({"color": all}))).collect()
    }
}

/// Services behind one load balancer.
struct Shared {
    services: Vec<Service>,
    joined: Vec<bool>,
    held: Vec<Option<Hold>>,
    capabilities: Capabilities,
    dialect: Colors,
    consents: Consents,
    terms: Option<Terms>,
}

/// Services with one TCP port each, in the order of joining.
fn shared(ports: &[u16]) -> Shared {
    let services = ports.iter().map(|number| {
        let mut service = service(&format!("s{number}"));
        service.ports = vec![port("", *number, Protocol::Tcp, Some(30000 + number))];
        service.annotations.insert(SHARE_ANNOTATION.to_owned(), "x".to_owned());
        service
    });
    Shared {
        services: services.collect(),
        joined: vec![false; ports.len()],
        held: vec![None; ports.len()],
        capabilities: capabilities(),
        dialect: Colors,
        consents: Consents::new(),
        terms: None,
    }
}

impl Shared {
    fn desire(&self) -> Desired {
        let slices: Vec<Vec<Arc<Slice>>> = self
            .services
            .iter()
            .map(|service| {
                vec![slice(service, "s", Family::V4, vec![endpoint("10.0.0.9".parse().unwrap(), Some("n1"))])]
            })
            .collect();
        let candidates: Vec<Candidate<'_>> = self
            .services
            .iter()
            .enumerate()
            .map(|(place, service)| Candidate {
                member: member(service),
                service: Some(service),
                slices: &slices[place],
                gated: &[],
                joined: self.joined[place],
                held: self.held[place],
            })
            .collect();
        desire(&Input {
            id: &LoadBalancerId::new("lb"),
            class: &class("portolan.dev/mock"),
            capabilities: &self.capabilities,
            dialect: &self.dialect,
            candidates: &candidates,
            nodes: &[Arc::new(node("n1", &["192.0.2.1".parse().unwrap()]))],
            terms: self.terms.as_ref(),
            settings: &Settings::default(),
            consents: &self.consents,
        })
    }

    fn annotate(&mut self, place: usize, key: &str, value: &str) {
        self.services[place].annotations.insert(key.to_owned(), value.to_owned());
    }

    /// Code and text of what the Service is refused for.
    fn refusal(&self, place: usize) -> Option<(Reason, String)> {
        let desired = self.desire();
        let refusal = desired.refused.get(&self.services[place].uid)?;
        assert!(desired.load_balancer.listeners.iter().all(|one| one.service != self.services[place].uid));
        Some((refusal.reason(), refusal.to_string()))
    }

    fn assert_conflict(&self, place: usize, key: &str) {
        let (reason, message) = self.refusal(place).expect("a refusal");
        assert_eq!(reason, Reason::ShareConflict, "{message}");
        assert!(message.contains(key), "{message}");
    }
}

fn served(desired: &Desired) -> Vec<(String, String)> {
    let listeners = desired.load_balancer.listeners.iter();
    listeners.map(|one| (one.key.to_string(), one.service.to_string())).collect()
}

#[test]
fn downtime_is_allowed_where_everybody_who_is_served_allows_it() {
    for (said, held, allowed) in [
        ([Some("true"), Some("1")], None, true),
        ([Some("true"), None], None, false),
        ([Some("true"), Some("false")], None, false),
        ([Some("true"), Some("perhaps")], None, false),
        ([None, None], None, false),
        ([Some("true"), None], Some(1), true),
        ([None, Some("true")], Some(1), false),
    ] {
        let mut shared = shared(&[80, 81]);
        for (service, said) in shared.services.iter_mut().zip(said) {
            service.annotations.extend(said.map(|said| (DOWNTIME_ANNOTATION.to_owned(), said.to_owned())));
        }
        if let Some(held) = held {
            shared.joined = vec![true, true];
            shared.held[held] = Some(Hold::Kept);
        }
        assert_eq!(shared.desire().load_balancer.allow_downtime, allowed, "{said:?}, held: {held:?}");
    }
    let mut nobody = shared(&[80]);
    nobody.services[0].annotations.insert(DOWNTIME_ANNOTATION.to_owned(), "true".to_owned());
    (nobody.joined, nobody.held) = (vec![true], vec![Some(Hold::Kept)]);
    assert!(!nobody.desire().load_balancer.allow_downtime, "nobody is served");
}

#[test]
fn services_with_disjoint_ports_are_listeners_of_one_load_balancer() {
    let desired = shared(&[443, 80]).desire();
    assert_eq!(served(&desired), [("80/TCP".into(), "uid-s80".into()), ("443/TCP".into(), "uid-s443".into())]);
    let members: Vec<&str> = desired.load_balancer.members.iter().map(|member| member.name.as_str()).collect();
    assert_eq!(members, ["s443", "s80"]);
    assert!(desired.refused.is_empty() && desired.warnings.is_empty());
}

#[test]
fn a_later_service_that_wants_a_taken_port_is_refused_and_the_first_is_served() {
    let mut shared = shared(&[80, 443]);
    shared.services[1].ports.push(port("other", 80, Protocol::Tcp, Some(30099)));
    shared.assert_conflict(1, "80/TCP");
    shared.assert_conflict(1, "Service default/s80");
    assert_eq!(served(&shared.desire()), [("80/TCP".to_owned(), "uid-s80".to_owned())]);
    // The same number of another protocol is another port.
    shared.services[1].ports[1].key.protocol = Protocol::Udp;
    assert_eq!(shared.refusal(1), None);
}

#[test]
fn a_port_that_the_first_was_refused_is_free() {
    let mut shared = shared(&[80, 443]);
    shared.capabilities.protocols.remove(&Protocol::Udp);
    shared.services[0].ports.push(port("dns", 53, Protocol::Udp, Some(30053)));
    shared.services[1].ports = vec![port("", 53, Protocol::Tcp, Some(30054))];
    assert_eq!(shared.refusal(1), None);
}

#[test]
fn where_protocols_cannot_be_mixed_the_first_of_the_load_balancer_decides() {
    let mut shared = shared(&[80, 53]);
    shared.capabilities.mixed_protocols = false;
    shared.services[1].ports[0].key.protocol = Protocol::Udp;
    assert_eq!(shared.refusal(1).unwrap().0, Reason::MixedProtocolNotSupported);
}

#[test]
fn what_belongs_to_the_whole_is_equal_or_absent() {
    type Edit = fn(&mut Service, &str);
    let scheme: Edit = |service, text| drop(service.annotations.insert(SCHEME_ANNOTATION.into(), text.into()));
    let ranges: Edit = |service, text| service.source_ranges = vec![text.to_owned()];
    let address: Edit = |service, text| service.load_balancer_ip = Some(text.to_owned());
    for (key, edit, one, other) in [
        (SCHEME_ANNOTATION, scheme, "internal", "public"),
        ("spec.loadBalancerSourceRanges", ranges, "192.0.2.0/24", "198.51.100.0/24"),
        ("spec.loadBalancerIP", address, "192.0.2.7", "192.0.2.8"),
    ] {
        let mut shared = shared(&[80, 443]);
        edit(&mut shared.services[0], one);
        assert_eq!(shared.refusal(1), None, "{key} absent in the later");
        edit(&mut shared.services[1], one);
        assert_eq!(shared.refusal(1), None, "{key} equal");
        edit(&mut shared.services[1], other);
        shared.assert_conflict(1, key);
        assert_eq!(shared.refusal(0), None);
    }
}

#[test]
fn what_only_a_later_service_says_holds_for_all() {
    let mut shared = shared(&[80, 443]);
    shared.annotate(1, SCHEME_ANNOTATION, "internal");
    shared.annotate(1, RANGES_ANNOTATION, "192.0.2.0/24");
    shared.services[1].load_balancer_ip = Some("10.255.0.9".to_owned());
    let balancer = shared.desire().load_balancer;
    assert_eq!(balancer.scheme, Some(Scheme::Internal));
    assert_eq!(balancer.source_ranges, SourceRanges::Only(vec!["192.0.2.0/24".parse().unwrap()]));
    assert_eq!(balancer.requested, ["10.255.0.9".parse::<IpAddr>().unwrap()]);
}

#[test]
fn who_is_refused_is_told_the_same_before_and_after_a_later_one_has_joined() {
    let mut shared = shared(&[80, 443]);
    shared.services[0].load_balancer_ip = Some("banana".to_owned());
    shared.services[0].families = vec![Family::V4, Family::V6];
    shared.services[0].family_policy = FamilyPolicy::PreferDualStack;
    let before = shared.refusal(0);
    shared.services.swap(0, 1);
    shared.joined[0] = true;
    let after = shared.refusal(1);
    assert_eq!(before, after);
    let (reason, text) = after.unwrap();
    assert_eq!(reason, Reason::InvalidRequestedAddress);
    assert!(text.contains("spec.ipFamilies"), "{text}");
}

#[test]
fn what_a_provider_reads_for_itself_is_held_to_each_other_and_handed_back_to_it() {
    let mut shared = shared(&[80, 443, 8080, 9090]);
    shared.annotate(0, "color", "red");
    shared.annotate(1, "color", "blue");
    shared.annotate(3, "closed", "9090");
    let desired = shared.desire();
    let balancer = &desired.load_balancer;
    let red = |place: usize| (shared.services[place].uid.clone(), json!({"color": "red"}));
    assert_eq!(balancer.settings, [red(0), red(2)].into(), "of those who are served, together");
    let ports: Vec<u16> = balancer.listeners.iter().map(|listener| listener.key.port).collect();
    assert_eq!(ports, [80, 8080]);
    assert_eq!(shared.refusal(1).unwrap(), (Reason::ShareConflict, "red".to_owned()));
    assert_eq!(shared.refusal(3).unwrap().0, Reason::ProviderRefused, "all its ports are refused");
}

#[test]
fn families_are_the_same_in_any_order() {
    let mut shared = shared(&[80, 443]);
    shared.services[0].families = vec![Family::V4, Family::V6];
    shared.services[0].family_policy = FamilyPolicy::PreferDualStack;
    shared.assert_conflict(1, "spec.ipFamilies");
    shared.services[1].families = vec![Family::V6, Family::V4];
    assert_eq!(shared.refusal(1), None);
}

#[test]
fn a_later_service_needs_the_consent_of_every_namespace_and_one_that_has_joined_only_warns() {
    let mut shared = shared(&[80, 443]);
    shared.services[1].key = ServiceKey::new("other", "s443");
    shared.assert_conflict(1, SHARE_WITH_ANNOTATION);
    shared.joined[1] = true;
    assert_eq!(shared.refusal(1), None);
    let warned = |shared: &Shared| {
        let warnings = shared.desire().warnings;
        let of = |service: &Service| warnings.get(&service.uid).map(|all| all[0].reason);
        shared.services.iter().map(of).collect::<Vec<_>>()
    };
    assert_eq!(warned(&shared), [Some(Reason::ShareConsentWithdrawn); 2]);
    shared.consents.insert("default".into(), ShareWith::All);
    assert_eq!(warned(&shared), [Some(Reason::ShareConsentWithdrawn); 2]);
    shared.consents.insert("other".into(), ShareWith::parse("default"));
    assert_eq!(warned(&shared), [None; 2]);
}

#[test]
fn a_member_that_is_refused_is_held_and_the_others_are_told() {
    let mut shared = shared(&[80, 443]);
    shared.joined = vec![true; 2];
    shared.services[0].source_ranges = vec!["junk".to_owned()];
    let desired = shared.desire();
    assert_eq!(desired.refused[&shared.services[0].uid].reason(), Reason::InvalidSourceRange);
    assert_eq!(desired.load_balancer.held, [shared.services[0].uid.clone()]);
    assert_eq!(desired.load_balancer.members.len(), 2);
    assert_eq!(served(&desired), [("443/TCP".to_owned(), "uid-s443".to_owned())]);
    assert_eq!(desired.warnings[&shared.services[1].uid][0].reason, Reason::ShareHeld);
}

#[test]
fn a_held_member_is_not_looked_at_and_its_ports_are_taken() {
    let mut shared = shared(&[80, 443]);
    shared.joined = vec![true; 2];
    shared.held[0] = Some(Hold::Kept);
    shared.services[0].source_ranges = vec!["junk".to_owned()];
    shared.services[1].ports.push(port("other", 80, Protocol::Tcp, Some(30099)));
    let desired = shared.desire();
    assert_eq!(desired.load_balancer.held.len(), 2, "the one that wants its port is held, too");
    shared.assert_conflict(1, "80/TCP");
}

#[test]
fn one_that_has_not_joined_and_is_refused_is_no_member() {
    let mut shared = shared(&[80, 443]);
    shared.services[1].source_ranges = vec!["junk".to_owned()];
    let desired = shared.desire();
    assert_eq!(desired.load_balancer.members.len(), 1);
    assert!(desired.load_balancer.held.is_empty());
}

#[test]
fn nobody_is_told_of_a_member_that_is_only_on_its_way() {
    let mut shared = shared(&[80, 443]);
    shared.joined = vec![true; 2];
    shared.held[0] = Some(Hold::Moving);
    let desired = shared.desire();
    assert_eq!(desired.load_balancer.held, [shared.services[0].uid.clone()]);
    assert!(desired.warnings.is_empty());
}

#[test]
fn what_a_held_member_has_is_taken_from_it_by_nobody_whatever_it_asks_for_meanwhile() {
    let mut shared = shared(&[80, 443]);
    shared.joined = vec![true; 2];
    shared.held[1] = Some(Hold::Kept);
    let told = PortStatus { port: 443, protocol: Protocol::Tcp, error: None };
    let ip = Some("192.0.2.7".to_owned());
    shared.services[1].ingress = vec![Ingress { ip, hostname: None, ip_mode: None, ports: vec![told] }];
    shared.services[1].ports = vec![port("", 8443, Protocol::Tcp, Some(30443))];
    shared.services[1].families = vec![Family::V6];
    assert_eq!(shared.refusal(0), None);
    shared.services[0].ports.push(port("other", 8443, Protocol::Tcp, Some(30098)));
    assert_eq!(shared.refusal(0), None, "what it only asks for is free");
    shared.services[0].ports.push(port("another", 443, Protocol::Tcp, Some(30099)));
    shared.assert_conflict(0, "443/TCP");
}

#[test]
fn where_protocols_cannot_be_mixed_one_that_is_held_decides() {
    let mut shared = shared(&[53, 443]);
    shared.capabilities.mixed_protocols = false;
    shared.joined = vec![true; 2];
    shared.services[0].ports[0].key.protocol = Protocol::Udp;
    shared.held[1] = Some(Hold::Kept);
    assert_eq!(served(&shared.desire()), []);
}

#[test]
fn nobody_joins_on_terms_that_cannot_be_met_because_a_member_is_held() {
    type Edit = fn(&mut Service);
    let scheme: Edit = |service| drop(service.annotations.insert(SCHEME_ANNOTATION.into(), "internal".into()));
    let ranges: Edit = |service| service.source_ranges = vec!["192.0.2.0/24".to_owned()];
    let address: Edit = |service| service.load_balancer_ip = Some("192.0.2.7".to_owned());
    let families: Edit = |service| service.families = vec![Family::V6];
    for (key, edit) in [
        (SCHEME_ANNOTATION, scheme),
        ("spec.loadBalancerSourceRanges", ranges),
        ("spec.loadBalancerIP", address),
        ("spec.ipFamilies", families),
    ] {
        let mut shared = shared(&[80, 443]);
        shared.joined[0] = true;
        shared.held[0] = Some(Hold::Kept);
        assert_eq!(shared.refusal(1), None, "one that takes what there is joins");
        edit(&mut shared.services[1]);
        shared.assert_conflict(1, key);
        shared.joined[1] = true;
        assert_eq!(shared.refusal(1), None, "one that is there already waits, {key}");
    }
}

#[test]
fn a_member_that_nobody_can_read_refuses_no_other() {
    let shared = shared(&[443]);
    let ghost = Member { uid: Uid::new("gone"), namespace: "default".into(), name: "ghost".into() };
    let candidate = |member, service| Candidate { member, service, slices: &[], gated: &[], joined: true, held: None };
    let unreadable = Candidate { held: Some(Hold::Kept), ..candidate(ghost, None) };
    let service = &shared.services[0];
    let desired = desire(&Input {
        id: &LoadBalancerId::new("lb"),
        class: &class("portolan.dev/mock"),
        capabilities: &shared.capabilities,
        dialect: &shared.dialect,
        candidates: &[unreadable, candidate(member(service), Some(service))],
        nodes: &[],
        terms: None,
        settings: &Settings::default(),
        consents: &shared.consents,
    });
    assert!(desired.refused.is_empty(), "{:?}", desired.refused);
}

/// Terms as the record of these Services would have them, all of which have joined.
fn settled(shared: &mut Shared) -> LoadBalancer {
    shared.joined = vec![true; shared.services.len()];
    let desired = shared.desire();
    shared.terms = Some(desired.terms);
    desired.load_balancer
}

fn leaves(shared: &mut Shared, place: usize) {
    shared.services.remove(place);
    shared.joined.remove(place);
    shared.held.remove(place);
}

#[test]
fn whoever_goes_takes_neither_scheme_nor_ranges_from_those_who_stay() {
    let mut shared = shared(&[443, 53]);
    shared.annotate(0, SCHEME_ANNOTATION, "internal");
    shared.services[0].source_ranges = vec!["10.0.0.0/8".to_owned()];
    let before = settled(&mut shared);
    leaves(&mut shared, 0);
    for _ in 0..2 {
        let after = settled(&mut shared);
        assert_eq!((after.scheme, &after.source_ranges), (Some(Scheme::Internal), &before.source_ranges));
    }
    // Until one of those who are there asks for something else.
    shared.annotate(0, SCHEME_ANNOTATION, "public");
    shared.services[0].source_ranges = vec!["0.0.0.0/0".to_owned()];
    let asked = settled(&mut shared);
    assert_eq!((asked.scheme, asked.source_ranges == before.source_ranges), (Some(Scheme::Public), false));
}

#[test]
fn a_member_that_takes_back_what_only_it_has_asked_for_gets_the_default() {
    let mut shared = shared(&[443, 53]);
    shared.annotate(0, SCHEME_ANNOTATION, "internal");
    shared.services[0].source_ranges = vec!["10.0.0.0/8".to_owned()];
    settled(&mut shared);
    shared.services[0].annotations.remove(SCHEME_ANNOTATION);
    shared.services[0].source_ranges.clear();
    for _ in 0..2 {
        let after = settled(&mut shared);
        assert_eq!((after.scheme, after.source_ranges), (Some(Scheme::Public), SourceRanges::All));
    }
}

#[test]
fn an_address_asked_for_by_name_says_its_scheme_itself() {
    let mut shared = shared(&[443]);
    shared.annotate(0, SCHEME_ANNOTATION, "internal");
    settled(&mut shared);
    shared.services[0].annotations.remove(SCHEME_ANNOTATION);
    shared.annotate(0, addresses::ADDRESSES_ANNOTATION, "10.255.0.9");
    assert_eq!(settled(&mut shared).scheme, None);
    // And nobody has asked for another scheme when nobody asks for the address any more.
    shared.services[0].annotations.remove(addresses::ADDRESSES_ANNOTATION);
    assert_eq!(settled(&mut shared).scheme, None);
}

#[test]
fn what_a_held_member_has_asked_for_holds() {
    let mut shared = shared(&[443, 53]);
    shared.annotate(0, SCHEME_ANNOTATION, "internal");
    settled(&mut shared);
    shared.services[0].annotations.remove(SCHEME_ANNOTATION);
    shared.held[0] = Some(Hold::Kept);
    assert_eq!(settled(&mut shared).scheme, Some(Scheme::Internal));
    // It is asked again once it can be, and does not ask.
    shared.held[0] = None;
    assert_eq!(settled(&mut shared).scheme, Some(Scheme::Public));
}
