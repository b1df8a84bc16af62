//! What no golden case of a single key shows.

use std::collections::BTreeMap;

use portolan_core::balancer::Protocol as Transport;
use portolan_core::examples;
use portolan_core::reason::Reason;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::annotations::Key;
use crate::annotations::keys::{Form, PREFIX};
use crate::annotations::reader::WarningKind;
use crate::ids::ClusterName;

fn parameters() -> Parameters {
    Parameters::new(ClusterName::parse("prod").unwrap())
}

fn read(service: &Service) -> Result<Settings, Refusal> {
    read_in(service, &parameters())
}

fn read_in(service: &Service, parameters: &Parameters) -> Result<Settings, Refusal> {
    Settings::read(&Input { service, scheme: None, source_ranges: &SourceRanges::All, existing: None, parameters })
}

fn annotated(items: &[(&str, &str)]) -> Service {
    let name = |(key, value): &(&str, &str)| (format!("{PREFIX}{key}"), (*value).to_owned());
    Service { annotations: items.iter().map(name).collect(), ..examples::service("web") }
}

fn protocols(settings: &Settings) -> Vec<(u16, &'static str)> {
    settings.listeners.iter().map(|listener| (listener.port, listener.front.protocol().as_str())).collect()
}

#[test]
fn what_stands_beyond_fifty_listeners_is_refused_and_the_rest_is_served() {
    let mut service = examples::service("web");
    service.ports = (1..=52).map(|port| examples::port("", port, Transport::Tcp, Some(30000 + port))).collect();
    let settings = read(&service).unwrap();
    assert_eq!(settings.listeners.len(), 50);
    let refused: Vec<u16> = settings.refused_ports.iter().map(|refused| refused.port.unwrap().port).collect();
    assert_eq!(refused, [51, 52]);
}

#[test]
fn session_affinity_keeps_clients_at_their_targets_unless_the_service_says_otherwise_or_is_tls() {
    let stickiness = |annotations: &[(&str, &str)]| {
        let mut service = annotated(annotations);
        service.session_affinity = Some(10_800);
        let settings = read(&service).unwrap();
        settings.listeners[0]
            .group
            .attributes
            .iter()
            .find(|(key, _)| key.as_str() == "stickiness.enabled")
            .map(|(_, value)| value.clone())
    };
    assert_eq!(stickiness(&[]).as_deref(), Some("true"));
    assert_eq!(
        stickiness(&[("aws-load-balancer-target-group-attributes", "stickiness.enabled=false")]).as_deref(),
        Some("false")
    );
    let certificate = "arn:aws:acm:eu-west-1:123456789012:certificate/1";
    assert_eq!(stickiness(&[("aws-load-balancer-ssl-cert", certificate)]), None);
}

#[test]
fn a_service_without_any_port_that_can_be_served_is_refused_with_all_reasons() {
    let mut service = annotated(&[("aws-load-balancer-healthcheck-interval", "1")]);
    service.ports = vec![examples::port("", 80, Transport::Sctp, Some(30080))];
    let refusal = read(&service).unwrap_err();
    let reasons: Vec<Reason> = refusal.reasons.iter().map(|refused| refused.reason).collect();
    assert_eq!(reasons, [Reason::InvalidAnnotation, Reason::ProtocolNotSupported]);
}

#[test]
fn tcp_and_udp_share_a_number_in_either_order() {
    for order in [[Transport::Tcp, Transport::Udp], [Transport::Udp, Transport::Tcp]] {
        let mut service = examples::service("dns");
        service.ports = order.map(|protocol| examples::port("", 53, protocol, Some(30053))).into();
        let settings = read(&service).unwrap();
        assert_eq!(protocols(&settings), [(53, "TCP_UDP")]);
        assert_eq!(settings.listeners[0].serves.len(), 2);
        assert!(settings.refused_ports.is_empty());
    }
}

#[test]
fn the_first_in_the_spec_is_served_where_two_cannot_be() {
    for (order, served) in [([Transport::Tcp, Transport::Udp], "TCP"), ([Transport::Udp, Transport::Tcp], "UDP")] {
        let mut service = examples::service("dns");
        service.ports = order.map(|protocol| examples::port("", 53, protocol, None)).into();
        service.ports[1].node_port = Some(30053);
        let settings = read(&service).unwrap();
        assert_eq!(protocols(&settings), [(53, served)]);
        assert_eq!(settings.refused_ports[0].port, Some(service.ports[1].key));
    }
}

#[test]
fn listeners_come_by_port_whatever_the_order_of_the_spec() {
    let mut service = examples::service("web");
    service.ports = [443, 80, 8080].map(|port| examples::port("", port, Transport::Tcp, Some(30000))).into();
    assert_eq!(protocols(&read(&service).unwrap()), [(80, "TCP"), (443, "TCP"), (8080, "TCP")]);
}

#[test]
fn every_listener_may_send_to_its_group() {
    let certificate = "arn:aws:acm:eu-west-1:1:certificate/1";
    for backend in ["ssl", "tcp"] {
        let mut service = annotated(&[
            ("aws-load-balancer-ssl-cert", certificate),
            ("aws-load-balancer-ssl-ports", "tls"),
            ("aws-load-balancer-backend-protocol", backend),
        ]);
        service.ports = vec![
            examples::port("tls", 443, Transport::Tcp, Some(1)),
            examples::port("tcp", 80, Transport::Tcp, Some(2)),
            examples::port("udp", 81, Transport::Udp, Some(3)),
            examples::port("both-tcp", 82, Transport::Tcp, Some(4)),
            examples::port("both-udp", 82, Transport::Udp, Some(4)),
        ];
        let settings = read(&service).unwrap();
        assert_eq!(protocols(&settings), [(80, "TCP"), (81, "UDP"), (82, "TCP_UDP"), (443, "TLS")]);
        for listener in &settings.listeners {
            assert!(listener.front.protocol().may_send_to(listener.group.protocol), "{listener:?}");
        }
    }
}

#[test]
fn draining_goes_back_alone_where_it_counts_and_not_where_connections_end() {
    const TERMINATION: &str = "target_health_state.unhealthy.connection_termination.enabled";
    const DRAINING: &str = "target_health_state.unhealthy.draining_interval_seconds";
    let writes = |attributes: &str| {
        let settings = read(&annotated(&[("aws-load-balancer-target-group-attributes", attributes)])).unwrap();
        let writes = settings.listeners[0].group.writes(&[TERMINATION.to_owned(), DRAINING.to_owned()].into());
        writes.into_iter().map(|(key, value)| (key.as_str(), value)).collect::<Vec<_>>()
    };
    assert_eq!(writes(""), [(TERMINATION, "true".to_owned())]);
    let still_drains = format!("{TERMINATION}=false");
    assert_eq!(writes(&still_drains), [(TERMINATION, "false".to_owned()), (DRAINING, "0".to_owned())]);
}

#[test]
fn what_is_wrong_on_each_of_several_ports_is_said_once() {
    let mut service = annotated(&[("aws-load-balancer-target-group-attributes", "nonsense=1")]);
    service.ports = [80, 81].map(|port| examples::port("", port, Transport::Tcp, Some(30000))).into();
    assert_eq!(read(&service).unwrap_err().reasons.len(), 1);
}

#[test]
fn a_slip_in_a_key_is_told() {
    let settings = read(&annotated(&[("aws-load-balancer-subnet", "subnet-0a"), ("other", "x")])).unwrap();
    assert_eq!(settings.warnings.len(), 1);
    assert_eq!(settings.warnings[0].kind, WarningKind::Unknown);
}

/// A key, with a port where it wants one.
fn any_key() -> impl Strategy<Value = String> {
    let port = prop::sample::select(vec!["80", "443", "53", "TCP-80", "TLS-443", "UDP-53", "tcp-80", "", "-", "x"]);
    (prop::sample::select(Key::ALL), port).prop_map(|(key, port)| {
        let name = key.entry().name;
        match key.entry().form {
            Form::Whole => format!("{PREFIX}{name}"),
            Form::OfPort | Form::OfListener => format!("{PREFIX}{name}.{port}"),
        }
    })
}

fn any_text() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "true",
        "false",
        "on",
        "off",
        "*",
        "ip",
        "instance",
        "internal",
        "internet-facing",
        "dualstack",
        "ssl",
        "80",
        "443,80",
        "http",
        "subnet-0a,subnet-0b",
        "sg-0a",
        "eipalloc-1",
        "pl-1",
        "10.0.0.1",
        "2001:db8::1",
        "auto_assigned",
        "arn:aws:acm:eu-west-1:1:certificate/1",
        "stickiness.enabled=true",
        "preserve_client_ip.enabled=false",
        "load_balancing.cross_zone.enabled=true",
        "tcp.idle_timeout.seconds=60",
        "access_logs.s3.enabled=true",
        "a=b,c=d",
        "HTTP2Only",
        "nlb-ip",
        "traffic-port",
        "/ready",
        "200-299",
    ]);
    prop_oneof![3 => known.prop_map(str::to_owned), 1 => any::<String>()]
}

fn any_service() -> impl Strategy<Value = Service> {
    let protocol = prop::sample::select(vec![Transport::Tcp, Transport::Udp, Transport::Sctp]);
    let number = prop::sample::select(vec![53, 80, 443]);
    let port = (number, protocol, prop::option::of(30000_u16..30003))
        .prop_map(|(number, protocol, node_port)| examples::port(&format!("p{number}"), number, protocol, node_port));
    (prop::collection::btree_map(any_key(), any_text(), 0..6), prop::collection::vec(port, 0..5)).prop_map(
        |(annotations, ports)| {
            let unique: BTreeMap<_, _> = ports.into_iter().map(|port| (port.key, port)).collect();
            Service { annotations, ports: unique.into_values().collect(), ..examples::service("web") }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Whatever stands in the annotations, one of two things comes of it, and either is sound.
    #[test]
    fn settings_are_sound_or_refused_with_reasons(service in any_service()) {
        match read(&service) {
            Err(refusal) => {
                prop_assert!(!refusal.reasons.is_empty());
                prop_assert!(refusal.reasons.iter().all(|refused| !refused.message.is_empty()));
            }
            Ok(settings) => {
                let numbers: Vec<u16> = settings.listeners.iter().map(|listener| listener.port).collect();
                prop_assert!(numbers.is_sorted_by(|one, next| one < next), "one listener a number");
                let served = settings.listeners.iter().flat_map(|listener| listener.serves.iter().copied());
                let refused = settings.refused_ports.iter().filter_map(|refused| refused.port);
                let mut all: Vec<_> = served.chain(refused).collect();
                all.sort();
                let mut ports: Vec<_> = service.ports.iter().map(|port| port.key).collect();
                ports.sort();
                prop_assert_eq!(all, ports, "every port is served or refused, once");
                let kept: Settings = serde_json::from_value(serde_json::to_value(&settings).unwrap()).unwrap();
                let told = Settings { refused_ports: settings.refused_ports.clone(), warnings: settings.warnings.clone(), ..kept };
                prop_assert_eq!(&told, &settings, "kept as text and read again");
                for listener in &settings.listeners {
                    prop_assert!(listener.front.protocol().may_send_to(listener.group.protocol));
                    for (key, value) in listener.attributes.iter().chain(&listener.group.attributes) {
                        prop_assert_eq!(key.attribute().values.check(value), Ok(value.clone()));
                    }
                }
            }
        }
    }
}

#[test]
fn session_affinity_is_within_the_class_s_limits_and_says_where_it_has_no_effect() {
    let certificate = "arn:aws:acm:eu-west-1:123456789012:certificate/1";
    let mut service = annotated(&[("aws-load-balancer-ssl-cert", certificate)]);
    service.session_affinity = Some(10_800);
    let warnings = read(&service).unwrap().warnings;
    assert!(
        warnings.iter().any(|one| one.message.starts_with("spec.sessionAffinity: ClientIP has no effect: on port 80")),
        "{warnings:?}"
    );
    let mut service = annotated(&[]);
    service.session_affinity = Some(10_800);
    let within = |limits: serde_json::Value, class: serde_json::Value| {
        let all = json!({
            "clusterName": "prod", "limits": {"targetGroupAttributes": limits}, "defaults": {"targetGroupAttributes": class},
        });
        let parameters = Parameters::parse(&all).unwrap();
        let refusal = read_in(&service, &parameters).err();
        refusal.map(|refusal| refusal.reason())
    };
    assert_eq!(within(json!([]), json!({})), Some(Reason::SessionAffinityNotSupported));
    assert_eq!(within(json!(["stickiness.enabled"]), json!({})), None);
    assert_eq!(within(json!([]), json!({"stickiness.enabled": "true"})), None, "the class sets it itself");
}
