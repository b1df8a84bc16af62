//! What members of one share cannot have together.

use serde_json::Value;

use super::super::*;
use crate::desire::{Desired, Settings, desire, member};
use crate::dialect::{self, Dialect, Judged, Plain};
use crate::examples::{capabilities, class, port, service};
use crate::ids::LoadBalancerId;
use crate::share::SHARE_ANNOTATION;
use crate::snapshot::ServicePort;
use crate::terms::Settled;

/// Of a provider whose load balancers are internal if nobody says anything.
#[derive(Debug)]
struct InternalByDefault;

impl Dialect for InternalByDefault {
    fn judge(&self, asked: &dialect::Asked<'_>, before: &[dialect::Asked<'_>]) -> Judged {
        Plain.judge(asked, before)
    }

    fn settings(&self, members: &[dialect::Asked<'_>]) -> BTreeMap<Uid, Value> {
        Plain.settings(members)
    }

    fn default_scheme(&self) -> Scheme {
        Scheme::Internal
    }
}

/// Of a provider that repeats what the core finds of SCTP by itself.
#[derive(Debug)]
struct NoSctp;

impl Dialect for NoSctp {
    fn judge(&self, asked: &dialect::Asked<'_>, _: &[dialect::Asked<'_>]) -> Judged {
        let sctp = asked.service.ports.iter().filter(|port| port.key.protocol == Protocol::Sctp);
        let no = |port: &ServicePort| Refused::port(port.key, Reason::ProtocolNotSupported, "no SCTP here");
        let ports: Vec<Refused> = sctp.map(no).collect();
        if ports.len() == asked.service.ports.len() {
            return Judged { refused: ports, ..Judged::default() };
        }
        Judged { refused_ports: ports, ..Judged::default() }
    }

    fn settings(&self, members: &[dialect::Asked<'_>]) -> BTreeMap<Uid, Value> {
        Plain.settings(members)
    }
}

#[test]
fn a_port_is_refused_once_for_one_reason_whoever_finds_it() {
    let only = on_front("only", 90, Protocol::Sctp);
    let mut beside = on_front("beside", 91, Protocol::Sctp);
    beside.ports.push(port("q", 80, Protocol::Tcp, Some(30080)));
    let services = [only, beside];
    let can = Capabilities { protocols: [Protocol::Tcp].into(), ..capabilities() };
    let found = shared_by(&services, &[], &NoSctp, None, &can);
    assert_eq!(found.refused[&services[0].uid].reasons.len(), 1, "{:?}", found.refused);
    assert_eq!(found.refused_ports[&services[1].uid].len(), 1, "{:?}", found.refused_ports);
}

fn on_front(name: &str, number: u16, protocol: Protocol) -> Service {
    let annotations = [(SHARE_ANNOTATION.to_owned(), "front".to_owned())].into();
    let ports: Vec<ServicePort> = vec![port("p", number, protocol, Some(30000 + number))];
    Service { annotations, ports, ..service(name) }
}

fn saying(name: &str, number: u16, scheme: Option<&str>) -> Service {
    let mut service = on_front(name, number, Protocol::Tcp);
    let said = scheme.map(|scheme| (scheme::SCHEME_ANNOTATION.to_owned(), scheme.to_owned()));
    service.annotations.extend(said);
    service
}

/// What these come to, all of whom have joined in this order; those who are paused are held.
fn shared(
    services: &[Service],
    paused: &[&str],
    dialect: &dyn Dialect,
    terms: Option<&Terms>,
    one_listener_a_number: bool,
) -> Desired {
    shared_by(services, paused, dialect, terms, &Capabilities { one_listener_a_number, ..capabilities() })
}

fn shared_by(
    services: &[Service],
    paused: &[&str],
    dialect: &dyn Dialect,
    terms: Option<&Terms>,
    capabilities: &Capabilities,
) -> Desired {
    let candidate = |service| Candidate {
        member: member(service),
        service: Some(service),
        slices: &[],
        gated: &[],
        joined: true,
        held: paused.contains(&service.key.name.as_str()).then_some(Hold::Kept),
    };
    let candidates: Vec<Candidate<'_>> = services.iter().map(candidate).collect();
    desire(&Input {
        id: &LoadBalancerId::new("lb"),
        class: &class("portolan.dev/mock"),
        capabilities,
        dialect,
        candidates: &candidates,
        nodes: &[],
        terms,
        settings: &Settings::default(),
        consents: &Consents::new(),
    })
}

#[test]
fn a_number_that_another_member_has_refuses_that_port_alone_and_only_its_own_service_is_told() {
    let mut later = on_front("later", 86, Protocol::Udp);
    later.ports.push(port("q", 85, Protocol::Udp, Some(30185)));
    let first = on_front("first", 85, Protocol::Tcp);
    for paused in [&[][..], &["first"]] {
        let found = shared(&[first.clone(), later.clone()], paused, &Plain, None, true);
        assert!(found.refused.is_empty(), "{:?}", found.refused);
        let told: Vec<&Uid> = found.refused_ports.keys().collect();
        assert_eq!(told, [&later.uid], "paused: {paused:?}");
        let refused = &found.refused_ports[&later.uid];
        let key = PortKey { port: 85, protocol: Protocol::Udp };
        assert_eq!((refused.len(), refused[0].port, refused[0].reason), (1, Some(key), Reason::ShareConflict));
        assert!(refused[0].message.contains("85/TCP of share \"front\" is Service default/first's"), "{refused:?}");
        let served = found.load_balancer.listeners.iter().filter(|listener| listener.service == later.uid);
        assert_eq!(served.map(|listener| listener.key.port).collect::<Vec<_>>(), [86]);
    }
    let free = shared(&[first, later], &[], &Plain, None, false);
    assert!(free.refused_ports.is_empty(), "where a number has a listener for each protocol, both are served");
}

#[test]
fn one_service_may_ask_for_both_protocols_of_a_number() {
    let mut both = on_front("both", 53, Protocol::Tcp);
    both.ports.push(port("q", 53, Protocol::Udp, Some(30153)));
    let found = shared(&[both], &[], &Plain, None, true);
    assert_eq!((found.load_balancer.listeners.len(), found.refused_ports.len()), (2, 0));
}

#[test]
fn a_later_member_makes_nobody_public_who_has_not_asked_for_it() {
    let public = |by: &str| Terms {
        scheme: Some(Settled { value: Scheme::Public, asked_by: vec![service(by).uid] }),
        ..Terms::default()
    };
    let internal: &dyn Dialect = &InternalByDefault;
    for (what, first, later, dialect, terms, refused, scheme) in [
        ("silence is internal", None, Some("public"), internal, None, true, None),
        ("silence is public", None, Some("public"), &Plain, None, false, Some(Scheme::Public)),
        ("the first has asked", Some("public"), Some("public"), internal, None, false, Some(Scheme::Public)),
        ("more private", None, Some("internal"), internal, None, false, Some(Scheme::Internal)),
        ("the later one is silent", Some("public"), None, internal, None, false, Some(Scheme::Public)),
        ("it is already", None, Some("public"), internal, Some(public("later")), false, Some(Scheme::Public)),
        ("it was once, and was left", None, None, internal, Some(public("gone")), false, Some(Scheme::Public)),
    ] {
        let services = [saying("first", 80, first), saying("later", 81, later)];
        let found = shared(&services, &[], dialect, terms.as_ref(), true);
        assert_eq!(found.load_balancer.scheme, scheme, "{what}");
        assert_eq!(found.refused.contains_key(&services[1].uid), refused, "{what}: {:?}", found.refused);
        for Refused { reason, message, .. } in found.refused.values().flat_map(|refusal| &refusal.reasons) {
            assert_eq!(*reason, Reason::ShareConflict, "{what}");
            assert!(message.contains(scheme::SCHEME_ANNOTATION) && message.contains("default/first"), "{message}");
        }
    }
}
