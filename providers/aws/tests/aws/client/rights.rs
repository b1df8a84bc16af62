//! The policies of `deploy/aws` and the client, held against each other: what they allow is what it calls.

use std::collections::BTreeSet;

use portolan_aws::client::Aws;
use portolan_aws::client::action::Action;
use portolan_aws::client::ec2::filter::Filters;
use portolan_aws::client::ec2::groups::{NewSecurityGroup, Rule, Source, Traffic};
use portolan_aws::client::elb::balancers::{NewLoadBalancer, SubnetMapping};
use portolan_aws::client::elb::groups::{HealthCheck, NewTargetGroup, Probe};
use portolan_aws::client::elb::listeners::{Tls, Wanted};
use portolan_aws::client::elb::targets::{Target, To};
use portolan_aws::client::error::Problem;
use portolan_aws::client::names::InstanceId;
use portolan_aws::ids::{CertificateArn, Id, SslPolicy, SubnetId};
use portolan_aws::policy::Policy;
use portolan_aws::protocol::Protocol;
use portolan_aws::words::{AlpnPolicy, IpAddressType};
use portolan_aws_double::{Policies, Seed};
use portolan_core::balancer::Scheme;

use super::round_trip::{new_group, pairs};
use crate::emulated::{CLUSTER, REGION, World};

on_both! {
    the_policies_allow_all_that_the_client_calls_and_nothing_that_it_does_not,
    what_is_not_the_cluster_s_the_policies_leave_alone,
    what_a_policy_does_not_allow_is_denied_in_both_apis_and_the_message_says_so,
}

fn allowed() -> BTreeSet<String> {
    Policy::ALL.into_iter().flat_map(Policy::permissions).collect()
}

fn policies() -> Policies {
    Policies::deployed(CLUSTER).unwrap()
}

async fn the_policies_allow_all_that_the_client_calls_and_nothing_that_it_does_not(world: World) {
    let World { aws, double, seed } = world;
    double.permissions().enforce(policies());
    let mut certificates = Vec::new();
    for name in ["one", "two", "three"] {
        certificates.push(CertificateArn::parse(&double.certificate(name).await.unwrap()).unwrap());
    }
    everything(&aws, &seed, &certificates).await;
    let refused: Vec<_> = double.log().calls().into_iter().filter(|call| call.was_denied()).collect();
    assert!(refused.is_empty(), "{refused:?}");
    assert_eq!(double.log().never_needed(0, allowed()), BTreeSet::new());
    let called: BTreeSet<String> = double.log().counts(0).into_keys().collect();
    assert_eq!(called, Action::ALL.iter().map(|action| action.name().to_owned()).collect());
}

async fn what_is_not_the_cluster_s_the_policies_leave_alone(world: World) {
    let World { aws, double, seed } = world;
    let vpc = aws.vpc(&Id::parse(&seed.vpc).unwrap()).await.unwrap().unwrap();
    let key = "elbv2.k8s.aws/cluster";
    let of = |name: &str, cluster: &str| NewTargetGroup { tags: pairs([(key, cluster)]), ..new_group(name, &vpc) };
    let theirs = aws.create_target_group(&of("theirs", "test")).await.unwrap();
    let new = NewSecurityGroup {
        name: "theirs".to_owned(),
        description: "of somebody else".to_owned(),
        vpc: vpc.id.clone(),
        tags: pairs([(key, "test")]),
    };
    let their_door = aws.create_security_group(&new).await.unwrap();
    double.permissions().enforce(policies());
    let denied = |error: portolan_aws::client::Error| assert_eq!(error.problem, Problem::Denied, "{error}");

    denied(aws.create_target_group(&of("other", "test")).await.unwrap_err());
    denied(aws.create_target_group(&new_group("without", &vpc)).await.unwrap_err());
    denied(aws.delete_target_group(&theirs.arn).await.unwrap_err());
    let their_arn = [theirs.arn.as_str().to_owned()];
    denied(aws.add_tags(&their_arn, &pairs([(key, CLUSTER)])).await.unwrap_err());

    let ours = aws.create_target_group(&of("ours", CLUSTER)).await.unwrap();
    let our_arn = [ours.arn.as_str().to_owned()];
    aws.add_tags(&our_arn, &pairs([(key, CLUSTER), ("x", "1")])).await.unwrap();
    denied(aws.add_tags(&our_arn, &pairs([(key, "test")])).await.unwrap_err());
    denied(aws.remove_tags(&our_arn, &["x".to_owned(), key.to_owned()]).await.unwrap_err());

    let source = Source::Ipv4("10.0.0.0/8".parse().unwrap());
    let rule = [Rule { traffic: Traffic::Tcp(30080, 30080), source, description: None }];
    let nodes = Id::parse(&seed.security_group).unwrap();
    aws.authorize_ingress(&nodes, &rule).await.unwrap();
    aws.revoke_ingress(&nodes, &rule).await.unwrap();
    denied(aws.delete_security_group(&nodes).await.unwrap_err());
    denied(aws.authorize_ingress(&their_door, &rule).await.unwrap_err());
}

async fn what_a_policy_does_not_allow_is_denied_in_both_apis_and_the_message_says_so(world: World) {
    let World { aws, double, .. } = world;
    double.permissions().allow(Policy::Read.permissions());
    let no_tags = pairs([]);
    let arn = format!("arn:aws:elasticloadbalancing:{REGION}:123456789012:loadbalancer/net/n/50dc6c495c0c9188");
    let elb = aws.add_tags(&[arn], &no_tags).await.unwrap_err();
    let ec2 = aws.delete_security_group(&Id::parse("sg-0123456789abcdef0").unwrap()).await.unwrap_err();
    for error in [elb, ec2] {
        assert_eq!(error.problem, Problem::Denied, "{error}");
        assert!(error.to_string().contains("allow the action in the IAM policy"), "{error}");
    }
}

/// Every call that there is, at least once.
async fn everything(aws: &Aws, seed: &Seed, certificates: &[CertificateArn]) {
    let mark = pairs([("elbv2.k8s.aws/cluster", CLUSTER)]);
    let vpc = aws.vpc(&Id::parse(&seed.vpc).unwrap()).await.unwrap().unwrap();
    let subnets: Vec<SubnetId> = seed.private_subnets.iter().map(|id| Id::parse(id).unwrap()).collect();
    aws.subnets(&subnets).await.unwrap();
    aws.prefix_lists_where(&Filters::new()).await.unwrap();
    aws.route_tables_where(&Filters::new().in_vpc(&vpc.id)).await.unwrap();
    aws.instances(&[InstanceId::new(seed.instances[0].clone())]).await.unwrap();
    aws.interfaces_where(&Filters::new().in_vpc(&vpc.id)).await.unwrap();

    let new = NewSecurityGroup {
        name: "front".to_owned(),
        description: "of a balancer".to_owned(),
        vpc: vpc.id.clone(),
        tags: mark.clone(),
    };
    let front = aws.create_security_group(&new).await.unwrap();
    let rule = Rule {
        traffic: Traffic::Tcp(443, 443),
        source: Source::Ipv4("10.0.0.0/8".parse().unwrap()),
        description: None,
    };
    aws.authorize_ingress(&front, std::slice::from_ref(&rule)).await.unwrap();
    aws.revoke_ingress(&front, &[rule]).await.unwrap();
    aws.create_ec2_tags(&[front.as_str().to_owned()], &pairs([("x", "1")])).await.unwrap();
    aws.delete_ec2_tags(&[front.as_str().to_owned()], &["x".to_owned()]).await.unwrap();
    aws.security_groups(std::slice::from_ref(&front)).await.unwrap();

    let places: Vec<_> = subnets.iter().cloned().map(SubnetMapping::of).collect();
    let new = NewLoadBalancer {
        name: "all".to_owned(),
        scheme: Scheme::Internal,
        ip_address_type: IpAddressType::Ipv4,
        subnets: places[..2].to_vec(),
        security_groups: vec![front.clone()],
        source_nat: None,
        tags: mark.clone(),
    };
    let balancer = aws.create_load_balancer(&new).await.unwrap();
    aws.load_balancers(std::slice::from_ref(&balancer.arn)).await.unwrap();
    aws.set_subnets(&balancer.arn, &places, IpAddressType::Ipv4, None).await.unwrap();
    aws.set_ip_address_type(&balancer.arn, IpAddressType::Ipv4).await.unwrap();
    aws.set_security_groups(&balancer.arn, std::slice::from_ref(&front), None).await.unwrap();
    let zones = pairs([("load_balancing.cross_zone.enabled", "true")]);
    aws.modify_load_balancer_attributes(&balancer.arn, &zones).await.unwrap();
    aws.load_balancer_attributes(&balancer.arn).await.unwrap();

    let group =
        aws.create_target_group(&NewTargetGroup { tags: mark.clone(), ..new_group("all", &vpc) }).await.unwrap();
    aws.target_groups(std::slice::from_ref(&group.arn)).await.unwrap();
    let check = HealthCheck { probe: Probe::Tcp, port: None, interval: 30, timeout: 10, healthy: 3, unhealthy: 3 };
    aws.modify_target_group(&group.arn, &check).await.unwrap();
    let delay = pairs([("deregistration_delay.timeout_seconds", "30")]);
    aws.modify_target_group_attributes(&group.arn, &delay).await.unwrap();
    aws.target_group_attributes(&group.arn).await.unwrap();
    let target = Target { to: To::Address([10, 0, 100, 7].into()), port: 8080, zone: None };
    assert_eq!(aws.register(&group.arn, std::slice::from_ref(&target)).await.unwrap(), []);
    aws.target_health(&group.arn).await.unwrap();

    let tls = Tls { certificate: certificates[0].clone(), policy: SslPolicy::default(), alpn: AlpnPolicy::None };
    let mut wanted =
        Wanted { port: 443, protocol: Protocol::Tls, target_group: group.arn.clone(), tls: Some(tls.clone()) };
    let listener = aws.create_listener(&balancer.arn, &wanted, &mark).await.unwrap();
    aws.listeners(std::slice::from_ref(&listener.arn)).await.unwrap();
    wanted.tls = Some(Tls { certificate: certificates[1].clone(), ..tls });
    aws.modify_listener(&listener.arn, &wanted).await.unwrap();
    aws.add_listener_certificate(&listener.arn, &certificates[2]).await.unwrap();
    assert_eq!(aws.listener_certificates(&listener.arn).await.unwrap(), certificates[2..]);
    aws.remove_listener_certificate(&listener.arn, &certificates[2]).await.unwrap();
    let plain = Wanted { port: 80, protocol: Protocol::Tcp, tls: None, ..wanted };
    let plain = aws.create_listener(&balancer.arn, &plain, &mark).await.unwrap();
    aws.modify_listener_attributes(&plain.arn, &pairs([("tcp.idle_timeout.seconds", "400")])).await.unwrap();
    aws.listener_attributes(&plain.arn).await.unwrap();

    let arns = [balancer.arn.as_str().to_owned(), listener.arn.as_str().to_owned()];
    aws.add_tags(&arns, &pairs([("x", "1")])).await.unwrap();
    aws.remove_tags(&arns, &["x".to_owned()]).await.unwrap();
    aws.tags(&arns).await.unwrap();

    aws.deregister(&group.arn, &[target]).await.unwrap();
    aws.delete_listener(&listener.arn).await.unwrap();
    aws.delete_load_balancer(&balancer.arn).await.unwrap();
    aws.delete_target_group(&group.arn).await.unwrap();
    aws.delete_security_group(&front).await.unwrap();
}
