//! Listeners and groups of every kind, through the whole provider: what then stands at AWS, in AWS's own words, and what it has cost.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};

use portolan_aws_double::Service as Api;
use portolan_aws_double::xml::Element;
use portolan_core::balancer::{Family, Protocol};
use portolan_core::examples;
use portolan_core::snapshot::{FamilyPolicy, Service};

use super::budget::cost;
use super::stage::{Stage, annotate, on_stage, service};
use crate::emulated::REGION;

const MODERN: &str = "ELBSecurityPolicy-TLS13-1-2-2021-06";

/// ELBv2 calls until the Service is settled, and those of EC2.
async fn settled_at(stage: &mut Stage) -> (Vec<String>, Vec<String>) {
    let mark = stage.mark();
    stage.settled("web").await;
    cost(stage, "web", mark).await
}

/// The items of an answer of ELBv2.
async fn described(stage: &Stage, what: &str, pairs: &[(&str, &str)]) -> Vec<Element> {
    let action = format!("Describe{what}");
    let answer = stage.double.by_hand(Api::ElasticLoadBalancing, REGION, &action, pairs).await.unwrap();
    let list = what.strip_prefix("Listener").filter(|rest| *rest == "Certificates").unwrap_or(what);
    answer.at(&[&format!("{action}Result"), list]).map(|items| items.children.clone()).unwrap_or_default()
}

fn text(of: &Element, path: &[&str]) -> String {
    of.text_at(path).unwrap_or_default().to_owned()
}

/// A listener, as AWS describes it.
#[derive(Debug, PartialEq)]
struct Standing {
    protocol: String,
    /// What its group speaks, to whom, by which family.
    group: [String; 3],
    /// Policy, ALPN, the default certificate, the others.
    tls: Option<(String, String, String, Vec<String>)>,
}

async fn standing(stage: &Stage) -> BTreeMap<u16, Standing> {
    let balancer = stage.inventory().await.balancers.into_values().next().unwrap();
    let mut all = BTreeMap::new();
    for one in described(stage, "Listeners", &[("LoadBalancerArn", &balancer)]).await {
        let action = text(&one, &["DefaultActions", "member", "TargetGroupArn"]);
        let group = described(stage, "TargetGroups", &[("TargetGroupArns.member.1", &action)]).await.remove(0);
        let mut beside = Vec::new();
        for certificate in
            described(stage, "ListenerCertificates", &[("ListenerArn", &text(&one, &["ListenerArn"]))]).await
        {
            if text(&certificate, &["IsDefault"]) != "true" {
                beside.push(text(&certificate, &["CertificateArn"]));
            }
        }
        beside.sort();
        let protocol = text(&one, &["Protocol"]);
        let tls = (protocol == "TLS").then(|| {
            let default = text(&one, &["Certificates", "member", "CertificateArn"]);
            (text(&one, &["SslPolicy"]), text(&one, &["AlpnPolicy", "member"]), default, beside)
        });
        let group = ["Protocol", "TargetType", "IpAddressType"].map(|name| text(&group, &[name]));
        all.insert(text(&one, &["Port"]).parse().unwrap(), Standing { protocol, group, tls });
    }
    all
}

fn plain(protocol: &str, group: [&str; 3]) -> Standing {
    Standing { protocol: protocol.to_owned(), group: group.map(str::to_owned), tls: None }
}

async fn certificates(stage: &Stage) -> Vec<String> {
    let mut all = Vec::new();
    for name in ["one", "two", "three"] {
        all.push(stage.double.certificate(name).await.unwrap());
    }
    all.sort_by_key(|arn| !arn.ends_with("one"));
    all
}

fn tcp(name: &str, number: u16) -> portolan_core::snapshot::ServicePort {
    examples::port(name, number, Protocol::Tcp, Some(30_000 + number % 1000))
}

#[tokio::test]
async fn tls_on_ports_by_number_and_by_name_with_several_certificates_a_policy_and_alpn() {
    on_stage("tls", async |mut stage| {
        let certificates = certificates(&stage).await;
        let mut web =
            Service { ports: vec![tcp("http", 80), tcp("secure", 443), tcp("admin", 8443)], ..service("web", 0) };
        annotate(&mut web, "ssl-cert", &certificates.join(","));
        annotate(&mut web, "ssl-ports", "443,admin");
        annotate(&mut web, "ssl-negotiation-policy", MODERN);
        annotate(&mut web, "alpn-policy", "HTTP2Preferred");
        annotate(&mut web, "backend-protocol", "ssl");
        stage.add(web);
        let (elb, _) = settled_at(&mut stage).await;
        let mut others = certificates[1..].to_vec();
        others.sort();
        let tls = || Some((MODERN.to_owned(), "HTTP2Preferred".to_owned(), certificates[0].clone(), others.clone()));
        let encrypted = || Standing { tls: tls(), ..plain("TLS", ["TLS", "instance", "ipv4"]) };
        let wanted = [(80, plain("TCP", ["TCP", "instance", "ipv4"])), (443, encrypted()), (8443, encrypted())];
        assert_eq!(standing(&stage).await, BTreeMap::from(wanted));
        // AWS takes one certificate a call: two more on each of two listeners.
        assert!(elb.len() <= 3 + 3 * 3 + 4, "{elb:?}");
        assert_eq!(elb.iter().filter(|action| *action == "AddListenerCertificates").count(), 4, "{elb:?}");

        // One certificate goes, and one port is TLS no more: it sends to another group, which speaks TCP.
        stage.edit("web", |service| {
            annotate(service, "ssl-cert", &certificates[..2].join(","));
            annotate(service, "ssl-ports", "secure");
        });
        stage.settled("web").await;
        let tls = Some((
            MODERN.to_owned(),
            "HTTP2Preferred".to_owned(),
            certificates[0].clone(),
            vec![certificates[1].clone()],
        ));
        let now = standing(&stage).await;
        assert_eq!(now[&443], Standing { tls, ..plain("TLS", ["TLS", "instance", "ipv4"]) });
        assert_eq!(now[&8443], plain("TCP", ["TCP", "instance", "ipv4"]));
        assert_eq!(stage.inventory().await.groups.len(), 3, "the group that spoke TLS has gone");
    })
    .await;
}

#[tokio::test]
async fn tls_ends_at_the_balancer_unless_the_service_says_otherwise_and_one_certificate_costs_nothing_more() {
    on_stage("tls ends", async |mut stage| {
        let certificates = certificates(&stage).await;
        let mut web = Service { ports: vec![tcp("secure", 443)], ..service("web", 0) };
        annotate(&mut web, "ssl-cert", &certificates[0]);
        stage.add(web);
        let (elb, _) = settled_at(&mut stage).await;
        assert!(elb.len() <= 3 + 3, "{elb:?}");
        let tls =
            Some(("ELBSecurityPolicy-2016-08".to_owned(), "None".to_owned(), certificates[0].clone(), Vec::new()));
        let wanted = [(443, Standing { tls, ..plain("TLS", ["TCP", "instance", "ipv4"]) })];
        assert_eq!(standing(&stage).await, BTreeMap::from(wanted));
    })
    .await;
}

#[tokio::test]
async fn tcp_and_udp_on_one_number_are_one_listener_with_one_group_and_both_may_come_in() {
    on_stage("TCP_UDP", async |mut stage| {
        let dns = |protocol| examples::port(&format!("dns-{protocol}"), 53, protocol, Some(30_053));
        stage.add(Service { ports: vec![dns(Protocol::Tcp), dns(Protocol::Udp)], ..service("web", 0) });
        let (elb, ec2) = settled_at(&mut stage).await;
        assert_eq!(standing(&stage).await, BTreeMap::from([(53, plain("TCP_UDP", ["TCP_UDP", "instance", "ipv4"]))]));
        let rules: Vec<_> = stage.security_groups().await.into_values().flatten().collect();
        assert_eq!(rules, ["tcp 53-53 from 0.0.0.0/0", "udp 53-53 from 0.0.0.0/0"]);
        assert!(elb.len() <= 3 + 3 && ec2.len() <= 8, "{elb:?} {ec2:?}");
    })
    .await;
}

#[tokio::test]
async fn proxy_protocol_is_spoken_to_all_groups_or_to_those_of_some_ports_and_no_more_when_the_key_goes() {
    on_stage("PROXY", async |mut stage| {
        let spoken = async |stage: &Stage| {
            let mut all = BTreeMap::new();
            for ((_, port), (_, groups)) in stage.inventory().await.listeners {
                let arn = &stage.inventory().await.groups[groups.first().unwrap()];
                let attributes = stage.attributes("DescribeTargetGroupAttributes", "TargetGroupArn", arn).await;
                all.insert(port, attributes["proxy_protocol_v2.enabled"] == "true");
            }
            all
        };
        let mut web = service("web", 2);
        annotate(&mut web, "proxy-protocol", "*");
        stage.add(web);
        let (elb, _) = settled_at(&mut stage).await;
        assert_eq!(spoken(&stage).await, BTreeMap::from([(80, true), (81, true)]));
        assert!(elb.len() <= 3 + 3 * 2 + 2, "attributes of two groups: {elb:?}");
        stage.edit("web", |service| {
            service.annotations.clear();
            annotate(service, "proxy-protocol-per-target-group", "81");
        });
        stage.settled("web").await;
        assert_eq!(spoken(&stage).await, BTreeMap::from([(80, false), (81, true)]));
        stage.edit("web", |service| service.annotations.clear());
        stage.settled("web").await;
        assert_eq!(spoken(&stage).await, BTreeMap::from([(80, false), (81, false)]));
    })
    .await;
}

/// A Service of both families, IPv6 first, whose pods are in the seed's IPv6 subnets.
async fn of_both_families(stage: &mut Stage, web: Service) {
    let mut web =
        Service { families: vec![Family::V6, Family::V4], family_policy: FamilyPolicy::RequireDualStack, ..web };
    annotate(&mut web, "ip-address-type", "dualstack");
    annotate(&mut web, "nlb-target-type", "ip");
    annotate(&mut web, "subnets", &stage.seed.private_subnets[..2].join(","));
    stage.add(web);
    let pods = [(pod(stage).await, "a")];
    stage.pods("web", &pods);
}

/// An address of the first private subnet.
async fn pod(stage: &Stage) -> IpAddr {
    let pairs = [("SubnetId.1", stage.seed.private_subnets[0].as_str())];
    let answer = stage.double.by_hand(Api::Ec2, REGION, "DescribeSubnets", &pairs).await.unwrap();
    let range = answer.text_at(&["subnetSet", "item", "ipv6CidrBlockAssociationSet", "item", "ipv6CidrBlock"]).unwrap();
    let network: Ipv6Addr = range.split('/').next().unwrap().parse().unwrap();
    IpAddr::V6(Ipv6Addr::from(u128::from(network) + 0x20))
}

async fn source_nat(stage: &Stage) -> String {
    let balancer = described(stage, "LoadBalancers", &[]).await.remove(0);
    format!("{} {}", text(&balancer, &["IpAddressType"]), text(&balancer, &["EnablePrefixForIpv6SourceNat"]))
}

#[tokio::test]
async fn a_balancer_of_both_families_sends_to_pods_by_ipv6() {
    on_stage("IPv6", async |mut stage| {
        of_both_families(&mut stage, service("web", 1)).await;
        let (elb, _) = settled_at(&mut stage).await;
        assert!(elb.len() <= 3 + 3, "{elb:?}");
        assert_eq!(standing(&stage).await, BTreeMap::from([(80, plain("TCP", ["TCP", "ip", "ipv6"]))]));
        let targets = stage.inventory().await.targets.into_values().next().unwrap();
        assert_eq!(targets, [(pod(&stage).await.to_string(), 80)].into());
        assert_eq!(source_nat(&stage).await, "dualstack off");
        assert_eq!(stage.kept["web"].published.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn udp_goes_to_a_balancer_of_both_families_where_sources_are_translated() {
    on_stage("UDP over IPv6", async |mut stage| {
        let mut web = service("web", 1);
        web.ports[0].key.protocol = Protocol::Udp;
        annotate(&mut web, "enable-prefix-for-ipv6-source-nat", "on");
        of_both_families(&mut stage, web).await;
        let (elb, _) = settled_at(&mut stage).await;
        assert!(elb.len() <= 3 + 3, "{elb:?}");
        assert_eq!(standing(&stage).await, BTreeMap::from([(80, plain("UDP", ["UDP", "ip", "ipv6"]))]));
        assert_eq!(source_nat(&stage).await, "dualstack on");
    })
    .await;
}

#[tokio::test]
async fn udp_on_a_balancer_of_both_families_without_that_is_refused_by_name_and_aws_is_not_asked() {
    on_stage("UDP over IPv6, refused", async |mut stage| {
        let mut web = service("web", 1);
        web.ports[0].key.protocol = Protocol::Udp;
        of_both_families(&mut stage, web).await;
        let mark = stage.mark();
        let end = stage.settle("web").await;
        assert!(end.message().contains("enable-prefix-for-ipv6-source-nat is on"), "{}", end.message());
        assert_eq!(stage.writes(mark), [""; 0]);
    })
    .await;
}
