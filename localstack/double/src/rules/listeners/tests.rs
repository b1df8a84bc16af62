use std::time::Duration;

use super::*;
use crate::estate::{Group, TargetType};

const BALANCER: &str = "arn:lb/1";

fn estate(groups: &[(&str, Protocol)]) -> Estate {
    let groups = groups.iter().map(|(arn, protocol)| Group {
        arn: (*arn).to_owned(),
        ..crate::rules::targets::tests::group(*protocol, TargetType::Ip)
    });
    Estate { groups: groups.collect(), ..Estate::default() }
}

fn balancer(arn: &str, dual_stack: bool, source_nat_prefix: bool) -> Balancer {
    Balancer {
        arn: arn.to_owned(),
        name: "web".to_owned(),
        internal: true,
        vpc: "vpc-1".to_owned(),
        mappings: Vec::new(),
        security_groups: BTreeSet::new(),
        born_with_security_groups: false,
        dual_stack,
        source_nat_prefix,
        private_link_rules: "on".to_owned(),
        attributes: BTreeMap::new(),
        tags: BTreeMap::new(),
        born: Duration::ZERO,
    }
}

fn query(protocol: &str, port: &str, group: &str) -> Query {
    Query::of([
        ("Protocol", protocol),
        ("Port", port),
        ("DefaultActions.member.1.Type", "forward"),
        ("DefaultActions.member.1.TargetGroupArn", group),
    ])
}

fn with(query: &Query, more: &[(&str, &str)]) -> Query {
    Query::of(query.pairs().chain(more.iter().copied()))
}

fn check(estate: &Estate, on: &Balancer, query: &Query) -> Result<(), String> {
    read(query, &on.arn, None).and_then(|listener| legal(estate, on, &listener, None)).map_err(|refusal| refusal.code)
}

#[test]
fn a_listener_forwards_to_a_group_that_exists_fits_and_is_free() {
    let mut estate = estate(&[("arn:tg/1", Protocol::Tcp), ("arn:tg/2", Protocol::Udp)]);
    let on = balancer(BALANCER, false, false);
    assert_eq!(check(&estate, &on, &query("TCP", "80", "arn:tg/1")), Ok(()));
    assert_eq!(check(&estate, &on, &query("TCP", "80", "arn:tg/2")), Err("IncompatibleProtocols".to_owned()));
    assert_eq!(check(&estate, &on, &query("TCP", "80", "arn:tg/3")), Err("TargetGroupNotFound".to_owned()));
    let other = read(&query("TCP", "80", "arn:tg/1"), "arn:lb/2", None).unwrap();
    estate.listeners.push(other);
    assert_eq!(check(&estate, &on, &query("TCP", "80", "arn:tg/1")), Err("TargetGroupAssociationLimit".to_owned()));
}

#[test]
fn a_group_of_another_vpc_or_family_does_not_fit() {
    let mut estate = estate(&[("arn:tg/1", Protocol::Tcp)]);
    estate.groups[0].ipv6 = true;
    let ask = query("TCP", "80", "arn:tg/1");
    assert_eq!(check(&estate, &balancer(BALANCER, false, false), &ask), Err("InvalidConfigurationRequest".to_owned()));
    assert_eq!(check(&estate, &balancer(BALANCER, true, false), &ask), Ok(()));
    estate.groups[0].vpc = "vpc-2".to_owned();
    assert_eq!(check(&estate, &balancer(BALANCER, true, false), &ask), Err("InvalidConfigurationRequest".to_owned()));
}

#[test]
fn udp_on_dual_stack_needs_source_nat_prefixes_and_an_ipv6_group() {
    let mut estate = estate(&[("arn:tg/1", Protocol::Udp)]);
    let ask = query("UDP", "53", "arn:tg/1");
    assert!(check(&estate, &balancer(BALANCER, true, true), &ask).is_err());
    estate.groups[0].ipv6 = true;
    assert!(check(&estate, &balancer(BALANCER, true, false), &ask).is_err());
    assert_eq!(check(&estate, &balancer(BALANCER, true, true), &ask), Ok(()));
}

#[test]
fn certificates_belong_to_tls_and_tls_needs_one() {
    let tls = query("TLS", "443", "arn:tg/1");
    let code =
        |query: &Query| read(query, BALANCER, None).map(|listener| listener.ssl_policy).map_err(|refusal| refusal.code);
    let certificate = ("Certificates.member.1.CertificateArn", "arn:cert/1");
    assert_eq!(code(&tls), Err("ValidationError".to_owned()));
    assert_eq!(code(&with(&tls, &[certificate])), Ok(Some("ELBSecurityPolicy-2016-08".to_owned())));
    assert_eq!(
        code(&with(&query("TCP", "80", "arn:tg/1"), &[certificate])),
        Err("InvalidConfigurationRequest".to_owned())
    );
    assert_eq!(
        code(&with(&tls, &[certificate, ("AlpnPolicy.member.1", "HTTP3")])),
        Err("ALPNPolicyNotFound".to_owned())
    );
    let two = with(&tls, &[certificate, ("Certificates.member.2.CertificateArn", "arn:cert/2")]);
    assert_eq!(code(&two), Err("TooManyCertificates".to_owned()));
}

#[test]
fn a_change_from_tls_to_tcp_takes_certificate_and_policy_off() {
    let tls = with(&query("TLS", "443", "arn:tg/1"), &[("Certificates.member.1.CertificateArn", "arn:cert/1")]);
    let now = read(&tls, BALANCER, None).unwrap();
    let next = read(&Query::of([("Protocol", "TCP")]), BALANCER, Some(&now)).unwrap();
    assert_eq!((next.certificate, next.ssl_policy, next.port), (None, None, 443));
    let kept = read(&Query::of([("Port", "8443")]), BALANCER, Some(&now)).unwrap();
    assert_eq!((kept.certificate, kept.groups), (now.certificate, now.groups));
}

#[test]
fn a_listener_does_not_move_to_a_port_that_is_taken() {
    let mut estate = estate(&[("arn:tg/1", Protocol::Tcp)]);
    let on = balancer(BALANCER, false, false);
    for port in ["80", "81"] {
        let listener = read(&query("TCP", port, "arn:tg/1"), BALANCER, None).unwrap();
        estate.listeners.push(Listener { arn: format!("arn:listener/{port}"), ..listener });
    }
    let now = estate.listeners[0].clone();
    let moved = |port| {
        read(&Query::of([("Port", port)]), BALANCER, Some(&now)).and_then(|next| legal(&estate, &on, &next, Some(&now)))
    };
    assert_eq!(moved("81").unwrap_err().code, "DuplicateListener");
    assert_eq!((moved("80"), moved("82")), (Ok(()), Ok(())));
}

#[test]
fn there_is_one_action_and_it_forwards() {
    let ask = |pairs: &[(&str, &str)]| {
        read(&with(&Query::of([("Protocol", "TCP"), ("Port", "80")]), pairs), BALANCER, None)
            .map(|listener| listener.groups.len())
            .map_err(|refusal| refusal.code)
    };
    assert_eq!(ask(&[]), Err("ValidationError".to_owned()));
    assert_eq!(ask(&[("DefaultActions.member.1.Type", "redirect")]), Err("InvalidLoadBalancerAction".to_owned()));
    let weighted = [
        ("DefaultActions.member.1.Type", "forward"),
        ("DefaultActions.member.1.ForwardConfig.TargetGroups.member.1.TargetGroupArn", "a"),
        ("DefaultActions.member.1.ForwardConfig.TargetGroups.member.1.Weight", "999"),
        ("DefaultActions.member.1.ForwardConfig.TargetGroups.member.2.TargetGroupArn", "b"),
    ];
    assert_eq!(ask(&weighted), Ok(2));
    assert!(
        ask(&[
            weighted[0],
            weighted[1],
            ("DefaultActions.member.1.ForwardConfig.TargetGroups.member.1.Weight", "1000")
        ])
        .is_err()
    );
}
