//! What ELB describes, in the shapes of its API reference that emulators do not make, and what becomes of it; and what goes out for it.

use std::collections::BTreeMap;

use portolan_aws::client::elb::balancers::{Address, NewLoadBalancer, State, SubnetMapping};
use portolan_aws::client::elb::listeners::{Tls, Wanted};
use portolan_aws::client::elb::targets::{Health, To};
use portolan_aws::client::error::Problem;
use portolan_aws::client::names::{LoadBalancerArn, TargetGroupArn};
use portolan_aws::ids::{CertificateArn, Id, SslPolicy};
use portolan_aws::protocol::Protocol;
use portolan_aws::words::{AlpnPolicy, IpAddressType, Switch};
use portolan_core::balancer::Scheme;

use super::scripted::{Say, Scripted, elb};

async fn says(action: &'static str, result: &'static str) -> Scripted {
    Scripted::start(move |_, _| elb(action, result)).await
}

const BALANCER: &str = "<LoadBalancers><member>
    <LoadBalancerArn>arn:aws:elasticloadbalancing:eu-central-1:123456789012:loadbalancer/net/n/50dc6c495c0c9188</LoadBalancerArn>
    <LoadBalancerName>n</LoadBalancerName><Type>network</Type><Scheme>internet-facing</Scheme>
    <IpAddressType>dualstack</IpAddressType><VpcId>vpc-1</VpcId>
    <DNSName>n-50dc6c495c0c9188.elb.eu-central-1.amazonaws.com</DNSName>
    <State><Code>active_impaired</Code><Reason>too few addresses</Reason></State>
    <EnablePrefixForIpv6SourceNat>on</EnablePrefixForIpv6SourceNat>
    <EnforceSecurityGroupInboundRulesOnPrivateLinkTraffic>off</EnforceSecurityGroupInboundRulesOnPrivateLinkTraffic>
    <SecurityGroups><member>sg-1</member><member>sg-2</member></SecurityGroups>
    <AvailabilityZones><member><ZoneName>eu-central-1a</ZoneName><SubnetId>subnet-1</SubnetId>
      <LoadBalancerAddresses><member><IpAddress>192.0.2.7</IpAddress><AllocationId>eipalloc-1</AllocationId>
        <IPv6Address>2001:db8::7</IPv6Address></member></LoadBalancerAddresses>
      <SourceNatIpv6Prefixes><member>2001:db8:0:1::/80</member></SourceNatIpv6Prefixes></member></AvailabilityZones>
  </member></LoadBalancers>";

#[tokio::test]
async fn a_dual_stack_balancer_with_fixed_addresses() {
    let server = says("DescribeLoadBalancers", BALANCER).await;
    let balancer = server.client().await.all_load_balancers().await.unwrap().remove(0);
    assert_eq!((balancer.network, balancer.scheme), (true, Scheme::Public));
    assert_eq!(
        (balancer.ip_address_type, balancer.source_nat, balancer.private_link),
        (Some(IpAddressType::Dualstack), Some(Switch::On), Some(Switch::Off))
    );
    assert_eq!((balancer.state, balancer.state_reason.as_deref()), (State::ActiveImpaired, Some("too few addresses")));
    assert_eq!(balancer.security_groups, ["sg-1", "sg-2"].map(|id| Id::parse(id).unwrap()));
    let zone = &balancer.zones[0];
    let address = Address {
        public_ipv4: Some([192, 0, 2, 7].into()),
        allocation: Id::parse("eipalloc-1"),
        private_ipv4: None,
        ipv6: Some("2001:db8::7".parse().unwrap()),
    };
    assert_eq!(
        (zone.name.as_str(), zone.subnet.as_str(), &zone.addresses),
        ("eu-central-1a", "subnet-1", &vec![address])
    );
    assert_eq!(zone.source_nat_prefixes, ["2001:db8:0:1::/80"]);
    let asked = server.seen().remove(0).form;
    assert_eq!(asked["PageSize"], "400", "all are asked for in large pages");
}

#[tokio::test]
async fn a_balancer_of_another_kind_is_described_as_far_as_it_goes() {
    let server = says(
        "DescribeLoadBalancers",
        "<LoadBalancers><member><LoadBalancerArn>a</LoadBalancerArn><LoadBalancerName>n</LoadBalancerName><Type>gateway</Type>
         <State><Code>brand_new</Code></State></member></LoadBalancers>",
    )
    .await;
    let balancer = server.client().await.load_balancers_named(&["n".to_owned()]).await.unwrap().remove(0);
    assert_eq!((balancer.network, balancer.ip_address_type, balancer.vpc), (false, None, None));
    assert_eq!(balancer.state, State::Other("brand_new".to_owned()));
    assert!(!server.seen()[0].form.contains_key("PageSize"), "AWS takes no page size beside names");
}

#[tokio::test]
async fn a_balancer_to_be_is_told_whole_in_one_call() {
    let server = says("CreateLoadBalancer", BALANCER).await;
    let fixed = SubnetMapping {
        allocation: Id::parse("eipalloc-1"),
        ipv6: Some("2001:db8::7".parse().unwrap()),
        source_nat_prefix: Some("auto_assigned".to_owned()),
        ..SubnetMapping::of(Id::parse("subnet-1").unwrap())
    };
    let new = NewLoadBalancer {
        name: "n".to_owned(),
        scheme: Scheme::Public,
        ip_address_type: IpAddressType::Dualstack,
        subnets: vec![fixed],
        security_groups: vec![Id::parse("sg-1").unwrap()],
        source_nat: Some(Switch::On),
        tags: BTreeMap::from([("k".to_owned(), "v".to_owned())]),
    };
    server.client().await.create_load_balancer(&new).await.unwrap();
    let sent: BTreeMap<String, String> = server.seen().remove(0).form;
    let expected = [
        ("Action", "CreateLoadBalancer"),
        ("EnablePrefixForIpv6SourceNat", "on"),
        ("IpAddressType", "dualstack"),
        ("Name", "n"),
        ("Scheme", "internet-facing"),
        ("SecurityGroups.member.1", "sg-1"),
        ("SubnetMappings.member.1.AllocationId", "eipalloc-1"),
        ("SubnetMappings.member.1.IPv6Address", "2001:db8::7"),
        ("SubnetMappings.member.1.SourceNatIpv6Prefix", "auto_assigned"),
        ("SubnetMappings.member.1.SubnetId", "subnet-1"),
        ("Tags.member.1.Key", "k"),
        ("Tags.member.1.Value", "v"),
        ("Type", "network"),
        ("Version", "2015-12-01"),
    ];
    assert_eq!(sent.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect::<Vec<_>>(), expected);
}

const CERTIFICATE: &str = "arn:aws:acm:eu-central-1:123456789012:certificate/1";

#[tokio::test]
async fn a_tls_listener_says_everything_each_time_it_is_changed() {
    let server = says(
        "CreateListener",
        "<Listeners><member><ListenerArn>l</ListenerArn><LoadBalancerArn>b</LoadBalancerArn><Port>443</Port><Protocol>TLS</Protocol>
         <SslPolicy>ELBSecurityPolicy-TLS13-1-2-2021-06</SslPolicy>
         <Certificates><member><CertificateArn>arn:aws:acm:eu-central-1:123456789012:certificate/1</CertificateArn></member></Certificates>
         <DefaultActions><member><Type>forward</Type><ForwardConfig><TargetGroups><member><TargetGroupArn>g</TargetGroupArn></member>
         </TargetGroups></ForwardConfig></member></DefaultActions></member></Listeners>",
    )
    .await;
    let tls = Tls {
        certificate: CertificateArn::parse(CERTIFICATE).unwrap(),
        policy: SslPolicy::parse("ELBSecurityPolicy-TLS13-1-2-2021-06").unwrap(),
        alpn: AlpnPolicy::None,
    };
    let wanted =
        Wanted { port: 443, protocol: Protocol::Tls, target_group: TargetGroupArn::new("g"), tls: Some(tls.clone()) };
    let aws = server.client().await;
    let made = aws.create_listener(&LoadBalancerArn::new("b"), &wanted, &BTreeMap::new()).await.unwrap();
    assert_eq!(
        (made.tls, made.protocol, made.target_group),
        (Some(tls), Some(Protocol::Tls), Some(TargetGroupArn::new("g")))
    );
    let sent = server.seen().remove(0).form;
    for (key, value) in [
        ("Port", "443"),
        ("Protocol", "TLS"),
        ("SslPolicy", "ELBSecurityPolicy-TLS13-1-2-2021-06"),
        ("Certificates.member.1.CertificateArn", CERTIFICATE),
        ("AlpnPolicy.member.1", "None"),
        ("DefaultActions.member.1.Type", "forward"),
        ("DefaultActions.member.1.TargetGroupArn", "g"),
    ] {
        assert_eq!(sent.get(key).map(String::as_str), Some(value), "{key}");
    }
}

#[tokio::test]
async fn the_list_of_certificates_is_without_the_default_one() {
    let server = says(
        "DescribeListenerCertificates",
        "<Certificates>
         <member><CertificateArn>arn:aws:acm:eu-central-1:123456789012:certificate/0</CertificateArn><IsDefault>true</IsDefault></member>
         <member><CertificateArn>arn:aws:acm:eu-central-1:123456789012:certificate/1</CertificateArn><IsDefault>false</IsDefault></member>
         </Certificates>",
    )
    .await;
    let found =
        server.client().await.listener_certificates(&portolan_aws::client::names::ListenerArn::new("l")).await.unwrap();
    assert_eq!(found, [CertificateArn::parse(CERTIFICATE).unwrap()]);
}

#[tokio::test]
async fn health_is_told_with_aws_s_code_for_why() {
    let server = says(
        "DescribeTargetHealth",
        "<TargetHealthDescriptions>
         <member><Target><Id>i-1</Id><Port>30080</Port></Target><HealthCheckPort>30080</HealthCheckPort>
         <TargetHealth><State>unhealthy.draining</State><Reason>Target.FailedHealthChecks</Reason><Description>d</Description></TargetHealth></member>
         <member><Target><Id>2001:db8::1</Id><Port>80</Port><AvailabilityZone>all</AvailabilityZone></Target>
         <TargetHealth><State>healthy</State></TargetHealth></member>
         </TargetHealthDescriptions>",
    )
    .await;
    let health = server.client().await.target_health(&TargetGroupArn::new("g")).await.unwrap();
    assert_eq!(
        (&health[0].state, health[0].reason.as_deref()),
        (&Health::UnhealthyDraining, Some("Target.FailedHealthChecks"))
    );
    assert!(matches!(&health[0].target.to, To::Instance(id) if id.as_str() == "i-1"));
    assert_eq!((&health[1].state, health[1].target.zone.as_deref()), (&Health::Healthy, Some("all")));
    assert!(matches!(health[1].target.to, To::Address(address) if address.is_ipv6()));
}

#[tokio::test]
async fn an_answer_that_lacks_what_aws_promises_is_no_answer() {
    let server = says("CreateLoadBalancer", "<LoadBalancers/>").await;
    let new = NewLoadBalancer {
        name: "n".to_owned(),
        scheme: Scheme::Internal,
        ip_address_type: IpAddressType::Ipv4,
        subnets: Vec::new(),
        security_groups: Vec::new(),
        source_nat: None,
        tags: BTreeMap::new(),
    };
    let error = server.client().await.create_load_balancer(&new).await.unwrap_err();
    assert_eq!((error.problem, error.said.as_str()), (Problem::Unreadable, "the answer has no LoadBalancers"));
    let server = Scripted::start(|_, _| Say::Xml(200, "<html>proxy</html>".to_owned())).await;
    let aws = server.client().await;
    assert_eq!(aws.vpc(&Id::parse("vpc-1").unwrap()).await.unwrap_err().problem, Problem::Unreadable);
    assert_eq!(aws.all_load_balancers().await.unwrap_err().problem, Problem::Unreadable);
}
