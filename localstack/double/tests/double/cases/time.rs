//! State over time, on a clock that the case moves.

use std::time::Duration;

use portolan_aws_double::{Fate, Health, Timings};

use crate::client::{all, first, refused};
use crate::emulator::World;

const SECOND: Duration = Duration::from_secs(1);

pub(crate) async fn a_balancer_is_provisioning_then_active(world: World) {
    let estate =
        world.estate_with(|builder| builder.timings(Timings { visibility: Duration::ZERO, ..Timings::aws() })).await;
    estate.double.script().balancer("bad", Fate::Failed);
    let made = estate.create_balancer("web", &[]).await.unwrap();
    assert_eq!(all(&made, "LoadBalancers", &["State", "Code"]), ["provisioning"]);
    estate.balancer("bad").await;
    estate.double.clock().advance(149 * SECOND);
    assert_eq!(estate.state("web").await, "provisioning");
    estate.double.clock().advance(SECOND);
    assert_eq!((estate.state("web").await, estate.state("bad").await), ("active".to_owned(), "failed".to_owned()));
}

pub(crate) async fn a_target_is_initial_then_as_scripted_then_draining_then_gone(world: World) {
    let timings = Timings { registration: 10 * SECOND, draining: None, ..Timings::none() };
    let estate = world.estate_with(|builder| builder.timings(timings)).await;
    let (clock, script) = (estate.double.clock(), estate.double.script());
    let (balancer, group) = (estate.balancer("web").await, estate.group("web", "TCP", "ip").await);
    estate.listener(&balancer, "TCP", "80", &group).await;
    estate.register(&group, &["10.0.100.1", "10.0.100.2"]).await.unwrap();
    script.target("10.0.100.2", Health::Unhealthy);
    assert_eq!(estate.health(&group).await[0], "10.0.100.1@80 initial Elb.RegistrationInProgress");
    clock.advance(10 * SECOND);
    let settled = ["10.0.100.1@80 healthy -", "10.0.100.2@80 unhealthy Target.FailedHealthChecks"];
    assert_eq!(estate.health(&group).await, settled);
    script.target_in("web", "10.0.100.2", Health::Healthy);
    assert_eq!(estate.health(&group).await[1], "10.0.100.2@80 healthy -");
    // As long as the group says, which is AWS's 300 s.
    estate.deregister(&group, &["10.0.100.1"]).await.unwrap();
    clock.advance(299 * SECOND);
    assert_eq!(estate.health(&group).await[0], "10.0.100.1@80 draining Target.DeregistrationInProgress");
    estate.register(&group, &["10.0.100.1"]).await.unwrap();
    assert_eq!(estate.health(&group).await[0], "10.0.100.1@80 initial Elb.RegistrationInProgress");
    estate.deregister(&group, &["10.0.100.1"]).await.unwrap();
    clock.advance(300 * SECOND);
    assert_eq!(estate.health(&group).await, ["10.0.100.2@80 healthy -"]);
}

pub(crate) async fn a_group_is_in_use_for_a_while_after_its_listener_is_gone(world: World) {
    let estate =
        world.estate_with(|builder| builder.timings(Timings { release: 20 * SECOND, ..Timings::none() })).await;
    let (balancer, group) = (estate.balancer("web").await, estate.group("web", "TCP", "ip").await);
    estate.listener(&balancer, "TCP", "80", &group).await;
    estate.elb("DeleteLoadBalancer", &[("LoadBalancerArn", &balancer)]).await.unwrap();
    let delete = async || estate.elb("DeleteTargetGroup", &[("TargetGroupArn", &group)]).await;
    assert_eq!(delete().await, Err(refused("ResourceInUse")));
    estate.double.clock().advance(20 * SECOND);
    assert_eq!(delete().await, Ok(()));
}

pub(crate) async fn a_security_group_is_in_use_for_a_while_after_its_balancer_is_gone(world: World) {
    let estate = world
        .estate_with(|builder| builder.timings(Timings { interface_release: 60 * SECOND, ..Timings::none() }))
        .await;
    let group = estate.security_group("frontend").await;
    let made = estate.create_balancer("web", &[("SecurityGroups.member.1", &group)]).await.unwrap();
    let arn = first(&made, "LoadBalancers", "LoadBalancerArn");
    let delete = async || estate.client.ec2("DeleteSecurityGroup", &[("GroupId", &group)]).await;
    assert_eq!(delete().await, Err(refused("DependencyViolation")));
    estate.elb("DeleteLoadBalancer", &[("LoadBalancerArn", &arn)]).await.unwrap();
    assert_eq!(delete().await, Err(refused("DependencyViolation")));
    estate.double.clock().advance(60 * SECOND);
    assert!(delete().await.is_ok());
}

pub(crate) async fn health_checks_begin_when_the_balancer_is_active_and_forwards(world: World) {
    let timings = Timings { provisioning: 100 * SECOND, registration: 10 * SECOND, ..Timings::none() };
    let estate = world.estate_with(|builder| builder.timings(timings)).await;
    let (clock, state) = (estate.double.clock(), async |group: &str| estate.health(group).await.remove(0));
    let (balancer, early, late) = (
        estate.balancer("web").await,
        estate.group("early", "TCP", "ip").await,
        estate.group("late", "TCP", "ip").await,
    );
    estate.listener(&balancer, "TCP", "80", &early).await;
    estate.register(&early, &["10.0.100.1"]).await.unwrap();
    estate.register(&late, &["10.0.100.1"]).await.unwrap();
    clock.advance(109 * SECOND);
    assert_eq!(state(&early).await, "10.0.100.1@80 initial Elb.RegistrationInProgress");
    clock.advance(SECOND);
    assert_eq!(state(&early).await, "10.0.100.1@80 healthy -");
    estate.listener(&balancer, "TCP", "81", &late).await;
    assert_eq!(state(&late).await, "10.0.100.1@80 initial Elb.RegistrationInProgress");
    clock.advance(10 * SECOND);
    assert_eq!(state(&late).await, "10.0.100.1@80 healthy -");
}

pub(crate) async fn describe_lags_behind_create(world: World) {
    let estate =
        world.estate_with(|builder| builder.timings(Timings { visibility: 2 * SECOND, ..Timings::none() })).await;
    let (balancer, group) = (estate.balancer("web").await, estate.group("web", "TCP", "ip").await);
    assert_eq!(
        estate.elb("DescribeLoadBalancers", &[("Names.member.1", "web")]).await,
        Err(refused("LoadBalancerNotFound"))
    );
    assert_eq!(
        estate.elb("DescribeTargetGroups", &[("TargetGroupArns.member.1", &group)]).await,
        Err(refused("TargetGroupNotFound"))
    );
    let all_of_them = || async {
        all(&estate.client.elb("DescribeLoadBalancers", &[]).await.unwrap(), "LoadBalancers", &["LoadBalancerArn"])
    };
    assert!(all_of_them().await.is_empty());
    for (action, of, arn, code) in [
        ("DescribeTags", "ResourceArns.member.1", &balancer, "LoadBalancerNotFound"),
        ("DescribeTags", "ResourceArns.member.1", &group, "TargetGroupNotFound"),
        ("DescribeLoadBalancerAttributes", "LoadBalancerArn", &balancer, "LoadBalancerNotFound"),
        ("DescribeTargetGroupAttributes", "TargetGroupArn", &group, "TargetGroupNotFound"),
        ("DescribeListeners", "LoadBalancerArn", &balancer, "LoadBalancerNotFound"),
        ("DescribeTargetHealth", "TargetGroupArn", &group, "TargetGroupNotFound"),
    ] {
        assert_eq!(estate.elb(action, &[(of, arn)]).await, Err(refused(code)), "{action}");
    }
    // What writes finds it at once.
    assert!(estate.create_listener(&balancer, "TCP", "80", &group).await.is_ok());
    assert_eq!(estate.balancer("web").await, balancer);
    let security_group = estate.security_group("late").await;
    let described =
        async || estate.client.ec2("DescribeSecurityGroups", &[("GroupId.1", &security_group)]).await.map(|_| ());
    assert_eq!(described().await, Err(refused("InvalidGroup.NotFound")));
    estate.double.clock().advance(2 * SECOND);
    assert_eq!((all_of_them().await, described().await), (vec![balancer.clone()], Ok(())));
    assert_eq!(estate.elb("DescribeTags", &[("ResourceArns.member.1", &balancer)]).await, Ok(()));
}

pub(crate) async fn a_target_without_a_listener_or_in_a_zone_without_a_subnet_is_unused(world: World) {
    let estate = world.estate().await;
    let group = estate.group("web", "TCP", "instance").await;
    let id = |zone: usize| estate.seed.instances[zone].clone();
    estate.register(&group, &[&id(0), &id(2)]).await.unwrap();
    let unused = |zone| format!("{}@80 unused Target.NotInUse", id(zone));
    assert_eq!(estate.health(&group).await, [unused(0), unused(2)]);
    let balancer = estate.balancer("web").await;
    estate.listener(&balancer, "TCP", "80", &group).await;
    let of_addresses = estate.group("pods", "TCP", "ip").await;
    estate.listener(&balancer, "TCP", "81", &of_addresses).await;
    estate.register(&of_addresses, &["10.0.101.7", "10.0.102.7", "192.168.0.1/all"]).await.unwrap();
    let pods = ["10.0.101.7@80 healthy -", "10.0.102.7@80 unused Target.NotInUse", "192.168.0.1@80 healthy -"];
    assert_eq!(estate.health(&of_addresses).await, pods);
    // The balancer has no subnet in the third zone.
    assert_eq!(estate.health(&group).await, [format!("{}@80 healthy -", id(0)), unused(2)]);
}
