//! Everything that a Service needs, made, looked at, changed and deleted, through the double of AWS.

use std::collections::BTreeMap;

use portolan_aws::client::Aws;
use portolan_aws::client::ec2::filter::Filters;
use portolan_aws::client::ec2::groups::{NewSecurityGroup, Rule, Source, Traffic};
use portolan_aws::client::ec2::network::{Subnet, Vpc};
use portolan_aws::client::elb::balancers::{LoadBalancer, NewLoadBalancer, State, SubnetMapping};
use portolan_aws::client::elb::groups::{HealthCheck, NewTargetGroup, Probe, Request};
use portolan_aws::client::elb::listeners::Wanted;
use portolan_aws::client::elb::targets::{Target, To};
use portolan_aws::client::error::Problem;
use portolan_aws::client::names::{LoadBalancerArn, TargetGroupArn};
use portolan_aws::ids::{Id, SecurityGroupId};
use portolan_aws::protocol::Protocol;
use portolan_aws::words::{IpAddressType, TargetType};
use portolan_aws_double::{Inventory, Seed};
use portolan_core::balancer::{Family, Scheme};

use crate::emulated::{CLUSTER, REGION, World};

on_both! {
    a_load_balancer_is_made_found_by_arn_and_name_and_deleted,
    what_is_missing_does_not_hide_what_is_there,
    a_service_s_worth_of_objects_is_made_changed_and_deleted,
    the_network_is_described,
}

pub(super) fn pairs<const N: usize>(pairs: [(&str, &str); N]) -> BTreeMap<String, String> {
    pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).into()
}

/// The VPC, and its private subnets: one in each zone.
async fn network(aws: &Aws, seed: &Seed) -> (Vpc, Vec<Subnet>) {
    let vpc = aws.vpc(&Id::parse(&seed.vpc).unwrap()).await.unwrap().unwrap();
    let subnets: Vec<_> = seed.private_subnets.iter().map(|id| Id::parse(id).unwrap()).collect();
    (vpc, aws.subnets(&subnets).await.unwrap())
}

fn new_balancer(name: &str, subnets: &[Subnet], groups: &[SecurityGroupId]) -> NewLoadBalancer {
    NewLoadBalancer {
        name: name.to_owned(),
        scheme: Scheme::Internal,
        ip_address_type: IpAddressType::Ipv4,
        subnets: subnets.iter().map(|subnet| SubnetMapping::of(subnet.id.clone())).collect(),
        security_groups: groups.to_vec(),
        source_nat: None,
        tags: pairs([("elbv2.k8s.aws/cluster", CLUSTER)]),
    }
}

pub(super) fn new_group(name: &str, vpc: &Vpc) -> NewTargetGroup {
    NewTargetGroup {
        name: name.to_owned(),
        protocol: Protocol::Tcp,
        port: 80,
        vpc: vpc.id.clone(),
        target_type: TargetType::Ip,
        family: Family::V4,
        health_check: HealthCheck {
            probe: Probe::Tcp,
            port: None,
            interval: 10,
            timeout: 10,
            healthy: 3,
            unhealthy: 3,
        },
        tags: BTreeMap::new(),
    }
}

async fn made(aws: &Aws, seed: &Seed, name: &str) -> LoadBalancer {
    let (_, subnets) = network(aws, seed).await;
    aws.create_load_balancer(&new_balancer(name, &subnets, &[])).await.unwrap()
}

async fn a_load_balancer_is_made_found_by_arn_and_name_and_deleted(World { aws, seed, .. }: World) {
    let (vpc, subnets) = network(&aws, &seed).await;
    let made = aws.create_load_balancer(&new_balancer("line", &subnets, &[])).await.unwrap();
    assert!(made.network && made.arn.as_str().starts_with("arn:aws:elasticloadbalancing:eu-central-1:"), "{made:?}");
    assert!(matches!(made.state, State::Provisioning | State::Active), "{made:?}");
    assert_eq!((made.name.as_str(), made.scheme, made.vpc.as_ref()), ("line", Scheme::Internal, Some(&vpc.id)));
    assert_eq!(made.ip_address_type, Some(IpAddressType::Ipv4));
    assert!(!made.dns_name.is_empty());
    let mut zones: Vec<_> = made.zones.iter().map(|zone| zone.subnet.clone()).collect();
    zones.sort();
    let mut asked: Vec<_> = subnets.iter().map(|subnet| subnet.id.clone()).collect();
    asked.sort();
    assert_eq!(zones, asked);

    let by_arn = aws.load_balancers(std::slice::from_ref(&made.arn)).await.unwrap();
    let by_name = aws.load_balancers_named(&["line".to_owned()]).await.unwrap();
    assert_eq!((&by_arn[0].arn, &by_name[0].arn), (&made.arn, &made.arn));
    assert!(aws.all_load_balancers().await.unwrap().iter().any(|balancer| balancer.arn == made.arn));

    aws.delete_load_balancer(&made.arn).await.unwrap();
    assert_eq!(aws.load_balancers(&[made.arn]).await.unwrap(), []);
}

async fn what_is_missing_does_not_hide_what_is_there(World { aws, seed, .. }: World) {
    let balancer = made(&aws, &seed, "there").await;
    let (vpc, subnets) = network(&aws, &seed).await;
    let gone = LoadBalancerArn::new(balancer.arn.as_str().replace("there", "gone"));
    let found = aws.load_balancers(&[gone.clone(), balancer.arn.clone()]).await.unwrap();
    assert_eq!(found.iter().map(|one| &one.arn).collect::<Vec<_>>(), [&balancer.arn]);
    let names = ["gone".to_owned(), "there".to_owned()];
    assert_eq!(aws.load_balancers_named(&names).await.unwrap().len(), 1);
    let arns = [gone.as_str().to_owned(), balancer.arn.as_str().to_owned()];
    let tags = [(arns[1].clone(), pairs([("elbv2.k8s.aws/cluster", CLUSTER)]))];
    assert_eq!(aws.tags(&arns).await.unwrap().into_iter().collect::<Vec<_>>(), tags);
    assert_eq!(aws.listeners_of(&gone).await.unwrap(), []);

    let group = aws.create_target_group(&new_group("there", &vpc)).await.unwrap();
    let missing = TargetGroupArn::new(group.arn.as_str().replace("there", "gone"));
    assert_eq!(aws.target_groups(&[missing.clone(), group.arn.clone()]).await.unwrap().len(), 1);
    assert_eq!(aws.target_health(&missing).await.unwrap_err().problem, Problem::Gone);

    let missing = SecurityGroupId::parse("sg-0123456789abcdef0").unwrap();
    assert_eq!(aws.security_groups(&[missing]).await.unwrap(), []);
    let some = [subnets[0].id.clone(), Id::parse("subnet-0123456789abcdef0").unwrap()];
    assert_eq!(aws.subnets(&some).await.unwrap().len(), 1);
}

async fn a_service_s_worth_of_objects_is_made_changed_and_deleted(World { aws, double, seed }: World) {
    let (vpc, subnets) = network(&aws, &seed).await;
    let group = security_group(&aws, &vpc).await;
    let balancer =
        aws.create_load_balancer(&new_balancer("whole", &subnets, std::slice::from_ref(&group))).await.unwrap();
    assert_eq!(balancer.security_groups, std::slice::from_ref(&group));
    let first = aws.create_target_group(&new_group("first", &vpc)).await.unwrap();
    let second = aws.create_target_group(&new_group("second", &vpc)).await.unwrap();
    assert_eq!(
        (first.protocol, first.target_type, first.family),
        (Some(Protocol::Tcp), Some(TargetType::Ip), Family::V4)
    );

    let wanted = Wanted { port: 80, protocol: Protocol::Tcp, target_group: first.arn.clone(), tls: None };
    let listener = aws.create_listener(&balancer.arn, &wanted, &pairs([("a", "b")])).await.unwrap();
    assert_eq!(
        (listener.port, listener.protocol, &listener.target_group),
        (80, Some(Protocol::Tcp), &Some(first.arn.clone()))
    );
    assert_eq!(aws.target_groups_of(&balancer.arn).await.unwrap()[0].arn, first.arn);
    aws.modify_listener(&listener.arn, &Wanted { target_group: second.arn.clone(), ..wanted }).await.unwrap();
    let listeners = aws.listeners_of(&balancer.arn).await.unwrap();
    assert_eq!(listeners.iter().map(|one| one.target_group.clone()).collect::<Vec<_>>(), [Some(second.arn.clone())]);

    let http = Probe::Http(Request { path: "/healthz".to_owned(), codes: "200-399".to_owned() });
    let check = HealthCheck { probe: http, port: Some(8080), interval: 10, timeout: 6, healthy: 2, unhealthy: 2 };
    aws.modify_target_group(&second.arn, &check).await.unwrap();
    let changed = aws.target_groups(std::slice::from_ref(&second.arn)).await.unwrap().remove(0).health_check.unwrap();
    assert_eq!(changed, check);

    let targets: Vec<Target> =
        (10..13).map(|host| Target { to: To::Address([10, 0, 100, host].into()), port: 8080, zone: None }).collect();
    assert_eq!(aws.register(&second.arn, &targets).await.unwrap(), []);
    let mut health: Vec<Target> =
        aws.target_health(&second.arn).await.unwrap().into_iter().map(|one| one.target).collect();
    health.iter_mut().for_each(|target| target.zone = None);
    health.sort();
    assert_eq!(health, targets);
    assert_eq!(aws.deregister(&second.arn, &targets[..1]).await.unwrap(), []);

    let zones = pairs([("load_balancing.cross_zone.enabled", "true")]);
    aws.modify_load_balancer_attributes(&balancer.arn, &zones).await.unwrap();
    let attributes = aws.load_balancer_attributes(&balancer.arn).await.unwrap();
    assert_eq!(attributes["load_balancing.cross_zone.enabled"], "true");
    assert!(attributes.len() > 1, "what is not changed stays: {attributes:?}");
    let delay = pairs([("deregistration_delay.timeout_seconds", "30")]);
    aws.modify_target_group_attributes(&second.arn, &delay).await.unwrap();
    assert_eq!(aws.target_group_attributes(&second.arn).await.unwrap()["deregistration_delay.timeout_seconds"], "30");
    aws.add_tags(&[second.arn.as_str().to_owned()], &pairs([("x", "1"), ("y", "2")])).await.unwrap();
    aws.remove_tags(&[second.arn.as_str().to_owned()], &["x".to_owned()]).await.unwrap();
    assert_eq!(aws.tags(&[second.arn.as_str().to_owned()]).await.unwrap()[second.arn.as_str()], pairs([("y", "2")]));

    assert_eq!(aws.delete_target_group(&second.arn).await.unwrap_err().problem, Problem::InUse);
    aws.delete_listener(&listener.arn).await.unwrap();
    aws.delete_load_balancer(&balancer.arn).await.unwrap();
    aws.delete_target_group(&first.arn).await.unwrap();
    aws.delete_target_group(&second.arn).await.unwrap();
    assert_eq!(aws.target_groups(&[first.arn, second.arn]).await.unwrap(), []);
    aws.delete_security_group(&group).await.unwrap();
    assert_eq!(aws.security_groups(std::slice::from_ref(&group)).await.unwrap(), []);
    assert!(aws.delete_security_group(&group).await.unwrap_err().is_gone());
    assert_eq!(double.inventory(REGION).await, Inventory::default());
}

async fn security_group(aws: &Aws, vpc: &Vpc) -> SecurityGroupId {
    let new = NewSecurityGroup {
        name: "whole".to_owned(),
        description: "for the balancer whole".to_owned(),
        vpc: vpc.id.clone(),
        tags: pairs([("elbv2.k8s.aws/cluster", CLUSTER)]),
    };
    let id = aws.create_security_group(&new).await.unwrap();
    assert_eq!(aws.create_security_group(&new).await.unwrap_err().problem, Problem::Exists);
    let rule = |traffic, source| Rule { traffic, source, description: Some("portolan".to_owned()) };
    let mut rules = vec![
        rule(Traffic::Tcp(80, 80), Source::Ipv4("10.0.0.0/8".parse().unwrap())),
        rule(Traffic::Tcp(80, 80), Source::Ipv6("2001:db8::/32".parse().unwrap())),
        rule(Traffic::Udp(53, 53), Source::Ipv4("0.0.0.0/0".parse().unwrap())),
        rule(Traffic::Icmp(3, 4), Source::Ipv4("0.0.0.0/0".parse().unwrap())),
        rule(Traffic::Tcp(8080, 8090), Source::Group(id.clone())),
    ];
    aws.authorize_ingress(&id, &rules[..2]).await.unwrap();
    // Two of these are there already.
    aws.authorize_ingress(&id, &rules).await.unwrap();
    let mut there = aws.security_groups(std::slice::from_ref(&id)).await.unwrap().remove(0).rules;
    there.sort();
    rules.sort();
    assert_eq!(there, rules);
    aws.revoke_ingress(&id, &rules[1..]).await.unwrap();
    aws.revoke_ingress(&id, &rules).await.unwrap();

    aws.create_ec2_tags(&[id.as_str().to_owned()], &pairs([("x", "1 & 2"), ("y", "ü")])).await.unwrap();
    aws.delete_ec2_tags(&[id.as_str().to_owned()], &["x".to_owned()]).await.unwrap();
    let found = aws.security_groups_where(&Filters::new().in_vpc(&vpc.id).tag("y", "ü")).await.unwrap().remove(0);
    assert_eq!(found.tags, pairs([("elbv2.k8s.aws/cluster", CLUSTER), ("y", "ü")]));
    assert_eq!((found.rules, found.name.as_str(), found.vpc), (Vec::new(), "whole", Some(vpc.id.clone())));
    id
}

async fn the_network_is_described(World { aws, seed, .. }: World) {
    let (vpc, subnets) = network(&aws, &seed).await;
    assert_eq!(aws.subnets_where(&Filters::new().in_vpc(&vpc.id)).await.unwrap().len(), 6, "the public ones too");
    assert_eq!(aws.vpc(&vpc.id).await.unwrap().as_ref(), Some(&vpc));
    assert!(!vpc.ipv4.is_empty());
    assert!(subnets.iter().all(|subnet| subnet.vpc == vpc.id && subnet.free > 8 && subnet.ipv4.is_some()));
    assert!(subnets.iter().all(|subnet| subnet.zone.starts_with(REGION)), "{subnets:?}");
    let tables = aws.route_tables_where(&Filters::new().in_vpc(&vpc.id)).await.unwrap();
    assert!(tables.iter().any(|table| table.main && !table.routes.is_empty()), "{tables:?}");
    assert_eq!(
        aws.instances(&[portolan_aws::client::names::InstanceId::new("i-0123456789abcdef0")]).await.unwrap(),
        []
    );
    let addresses = aws.interfaces_with(&vpc.id, &[[10, 0, 255, 254].into()]).await.unwrap();
    assert_eq!(addresses, []);
}
