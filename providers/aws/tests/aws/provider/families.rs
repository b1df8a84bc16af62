//! IPv6 on a live balancer, through the double: what AWS would refuse for ever is never asked of it.

use std::net::Ipv6Addr;

use ipnet::Ipv6Net;
use portolan_aws_double::Service as Api;
use portolan_aws_double::xml::Element;
use portolan_core::snapshot::Service;

use super::stage::{End, Stage, annotate, on_stage, service};
use crate::emulated::REGION;

const BOTH: (&str, &str) = ("ip-address-type", "dualstack");
const NAT: (&str, &str) = ("enable-prefix-for-ipv6-source-nat", "on");

/// The only balancer, as AWS describes it: type, source NAT, and of each subnet its fixed IPv6 address.
#[derive(Debug, PartialEq, Eq)]
struct Described {
    kind: String,
    source_nat: String,
    ipv6: Vec<Option<String>>,
}

async fn described(stage: &Stage) -> Described {
    let answer = stage.double.by_hand(Api::ElasticLoadBalancing, REGION, "DescribeLoadBalancers", &[]).await.unwrap();
    let all = answer.at(&["DescribeLoadBalancersResult", "LoadBalancers"]).unwrap();
    assert_eq!(all.children.len(), 1, "one balancer");
    let one = &all.children[0];
    let text = |name: &str| one.text_at(&[name]).unwrap_or_default().to_owned();
    let zone = |zone: &Element| zone.text_at(&["LoadBalancerAddresses", "member", "IPv6Address"]).map(str::to_owned);
    Described {
        kind: text("IpAddressType"),
        source_nat: text("EnablePrefixForIpv6SourceNat"),
        ipv6: one.at(&["AvailabilityZones"]).unwrap().children.iter().map(zone).collect(),
    }
}

/// The subnets of the first two zones, which have IPv6, and an address in each.
async fn with_ipv6(stage: &Stage) -> (String, Vec<String>) {
    let subnets = &stage.seed.public_subnets[..2];
    let mut addresses = Vec::new();
    for subnet in subnets {
        let answer =
            stage.double.by_hand(Api::Ec2, REGION, "DescribeSubnets", &[("SubnetId.1", subnet)]).await.unwrap();
        let path = ["subnetSet", "item", "ipv6CidrBlockAssociationSet", "item", "ipv6CidrBlock"];
        // Parsed, because moto draws the digits of a range and leaves its leading zeros.
        let range: Ipv6Net = answer.text_at(&path).unwrap().parse().unwrap();
        addresses.push(Ipv6Addr::from_bits(range.network().to_bits() | 9).to_string());
    }
    (subnets.join(","), addresses)
}

/// Public, and what else is said.
fn say(service: &mut Service, annotations: &[(&str, &str)]) {
    service.annotations.clear();
    annotate(service, "scheme", "internet-facing");
    annotations.iter().for_each(|(key, value)| annotate(service, key, value));
}

/// What was changed at the load balancer; who may come in over IPv6 its security group has to know, too.
fn elb(mut writes: Vec<String>) -> Vec<String> {
    writes.retain(|action| !action.ends_with("SecurityGroupIngress"));
    writes
}

/// The edit ends well, with this call and no other; and whoever reads it all anew finds nothing else to do.
async fn is_edited(stage: &mut Stage, annotations: &[(&str, &str)], call: &str) -> Described {
    stage.edit("web", |service| say(service, annotations));
    let mark = stage.mark();
    let end = stage.settle("web").await;
    assert!(matches!(end, End::Settled), "{annotations:?}: {}", end.message());
    assert_eq!(elb(stage.writes(mark)), [call], "{annotations:?}");

    stage.restart();
    let mark = stage.mark();
    // Before its first write another process reads what its predecessor has left.
    stage.edit("web", |service| annotate(service, "healthcheck-interval", "30"));
    stage.settled("web").await;
    assert_eq!(elb(stage.writes(mark)), ["ModifyTargetGroup"], "{annotations:?}");
    stage.edit("web", |service| say(service, annotations));
    stage.settled("web").await;
    described(stage).await
}

async fn start(stage: &mut Stage, annotations: &[(&str, &str)]) {
    let mut web = service("web", 1);
    say(&mut web, annotations);
    stage.add(web);
    stage.settled("web").await;
}

/// Of so many zones, none with an IPv6 address.
fn plain(kind: &str, zones: usize) -> Described {
    Described { kind: kind.to_owned(), source_nat: "off".to_owned(), ipv6: vec![None; zones] }
}

#[tokio::test]
async fn a_balancer_becomes_dualstack_and_ipv4_again_where_a_zone_has_no_ipv6() {
    on_stage("a zone without IPv6", async |mut stage| {
        start(&mut stage, &[]).await;
        assert_eq!(described(&stage).await, plain("ipv4", 3));
        assert_eq!(is_edited(&mut stage, &[BOTH], "SetSubnets").await, plain("dualstack", 2));
        assert_eq!(is_edited(&mut stage, &[], "SetSubnets").await, plain("ipv4", 3));
    })
    .await;
}

#[tokio::test]
async fn source_nat_comes_with_dualstack_and_goes_alone_and_with_it() {
    on_stage("source NAT later", async |mut stage| {
        start(&mut stage, &[]).await;
        let with_nat = || Described { source_nat: "on".to_owned(), ..plain("dualstack", 2) };
        assert_eq!(is_edited(&mut stage, &[BOTH, NAT], "SetSubnets").await, with_nat());
        assert_eq!(is_edited(&mut stage, &[BOTH], "SetSubnets").await, plain("dualstack", 2));
        assert_eq!(is_edited(&mut stage, &[BOTH, NAT], "SetSubnets").await, with_nat());
        assert_eq!(is_edited(&mut stage, &[], "SetSubnets").await, plain("ipv4", 3));
    })
    .await;
}

#[tokio::test]
async fn fixed_ipv6_addresses_come_with_dualstack_in_the_same_subnets_and_go_with_it() {
    on_stage("fixed IPv6 later", async |mut stage| {
        let (subnets, addresses) = with_ipv6(&stage).await;
        let (in_two, list) = (("subnets", subnets.as_str()), addresses.join(","));
        start(&mut stage, &[in_two]).await;
        let fixed = [in_two, BOTH, ("ipv6-addresses", list.as_str())];
        let mut found = is_edited(&mut stage, &fixed, "SetSubnets").await;
        found.ipv6.sort();
        let mut wanted: Vec<Option<String>> = addresses.into_iter().map(Some).collect();
        wanted.sort();
        assert_eq!(found, Described { ipv6: wanted, ..plain("dualstack", 2) });
        assert_eq!(is_edited(&mut stage, &[in_two], "SetIpAddressType").await, plain("ipv4", 2));
    })
    .await;
}
