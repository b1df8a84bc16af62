//! Targets that may be registered.

use crate::client::{all, refused};
use crate::emulator::World;

pub(crate) async fn only_addresses_of_the_vpc_or_private_ones(world: World) {
    let estate = world.estate().await;
    let group = estate.group("web", "TCP", "ip").await;
    assert_eq!(estate.register(&group, &["8.8.8.8/all"]).await, Err(refused("InvalidTarget")));
    assert_eq!(
        estate.register(&group, &["192.168.0.9"]).await,
        Err(refused("InvalidTarget")),
        "outside the VPC only with the zone 'all'"
    );
    assert_eq!(estate.register(&group, &["192.168.0.9/all", "10.0.3.4"]).await, Ok(()));
    assert_eq!(estate.register(&group, &["i-0123456789abcdef0"]).await, Err(refused("ValidationError")));
}

pub(crate) async fn one_bad_target_refuses_the_whole_batch(world: World) {
    let estate = world.estate().await;
    let group = estate.group("web", "TCP", "instance").await;
    let bad = estate.register(&group, &[&estate.seed.instances[0], "i-00000000000000000"]).await;
    assert_eq!(bad, Err(refused("InvalidTarget")));
    assert!(estate.health(&group).await.is_empty());
    assert_eq!(estate.register(&group, &[&estate.seed.instances[0]]).await, Ok(()));
    assert_eq!(estate.health(&group).await.len(), 1);
}

pub(crate) async fn one_id_may_have_several_ports(world: World) {
    let estate = world.estate().await;
    let (balancer, group) = (estate.balancer("web").await, estate.group("web", "TCP", "ip").await);
    estate.listener(&balancer, "TCP", "80", &group).await;
    estate.register(&group, &["10.0.100.1", "10.0.100.1@81"]).await.unwrap();
    assert_eq!(estate.health(&group).await, ["10.0.100.1@80 healthy -", "10.0.100.1@81 healthy -"]);
    estate.deregister(&group, &["10.0.100.1@80"]).await.unwrap();
    assert_eq!(estate.health(&group).await, ["10.0.100.1@81 healthy -"]);
    estate.deregister(&group, &["10.0.100.1@81"]).await.unwrap();
    assert!(estate.health(&group).await.is_empty());
}

pub(crate) async fn deregistering_what_is_not_there_succeeds(world: World) {
    let estate = world.estate().await;
    let group = estate.group("web", "TCP", "ip").await;
    assert_eq!(estate.deregister(&group, &["10.0.100.1"]).await, Ok(()));
    let asked = [("TargetGroupArn", &*group), ("Targets.member.1.Id", "10.0.100.1")];
    let answer = estate.client.elb("DescribeTargetHealth", &asked).await.unwrap();
    assert_eq!(all(&answer, "TargetHealthDescriptions", &["TargetHealth", "Reason"]), ["Target.NotRegistered"]);
}
