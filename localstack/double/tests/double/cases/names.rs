//! Names, and the same request again.

use crate::client::{all, first, refused};
use crate::emulator::World;

pub(crate) async fn the_same_balancer_again_is_the_first_one(world: World) {
    let estate = world.estate().await;
    let arn = estate.balancer("web").await;
    assert_eq!(estate.balancer("web").await, arn);
    let described = estate.client.elb("DescribeLoadBalancers", &[]).await.unwrap();
    assert_eq!(all(&described, "LoadBalancers", &["LoadBalancerArn"]), [arn]);
}

pub(crate) async fn another_balancer_of_the_same_name_is_refused(world: World) {
    let estate = world.estate().await;
    estate.balancer("web").await;
    for other in [
        ("Scheme", "internet-facing"),
        ("Subnets.member.2", estate.seed.private_subnets[2].as_str()),
        ("SecurityGroups.member.1", &estate.seed.security_group),
    ] {
        let again = estate.create_balancer("web", &[other]).await;
        assert_eq!(again, Err(refused("DuplicateLoadBalancerName")), "{other:?}");
    }
}

pub(crate) async fn tags_are_no_part_of_what_is_the_same(world: World) {
    let estate = world.estate().await;
    let tagged = async |value| {
        estate.create_balancer("web", &[("Tags.member.1.Key", "owner"), ("Tags.member.1.Value", value)]).await
    };
    let mine = first(&tagged("me").await.unwrap(), "LoadBalancers", "LoadBalancerArn");
    let taken = first(&tagged("you").await.unwrap(), "LoadBalancers", "LoadBalancerArn");
    assert_eq!(taken, mine);
    let tags = estate.client.elb("DescribeTags", &[("ResourceArns.member.1", &mine)]).await.unwrap();
    assert_eq!(all(&tags, "TagDescriptions", &["Tags", "member", "Value"]), ["me"]);
}

pub(crate) async fn the_same_group_again_is_the_first_one_and_another_is_refused(world: World) {
    let estate = world.estate().await;
    let arn = estate.group("web", "TCP", "ip").await;
    // A default that is named is no other setting.
    let again = estate.create_group("web", "TCP", "ip", &[("HealthCheckIntervalSeconds", "30")]).await.unwrap();
    assert_eq!(first(&again, "TargetGroups", "TargetGroupArn"), arn);
    for (protocol, target_type, more) in
        [("UDP", "ip", vec![]), ("TCP", "instance", vec![]), ("TCP", "ip", vec![("HealthCheckIntervalSeconds", "10")])]
    {
        assert_eq!(
            estate.create_group("web", protocol, target_type, &more).await,
            Err(refused("DuplicateTargetGroupName"))
        );
    }
    // Once it is changed, the changed settings are the same.
    estate.elb("ModifyTargetGroup", &[("TargetGroupArn", &arn), ("HealthCheckIntervalSeconds", "10")]).await.unwrap();
    assert!(estate.create_group("web", "TCP", "ip", &[("HealthCheckIntervalSeconds", "10")]).await.is_ok());
    assert_eq!(estate.create_group("web", "TCP", "ip", &[]).await, Err(refused("DuplicateTargetGroupName")));
}

pub(crate) async fn the_same_listener_again_is_the_first_one_and_another_is_refused(world: World) {
    let estate = world.estate().await;
    let (balancer, one, two) =
        (estate.balancer("web").await, estate.group("one", "TCP", "ip").await, estate.group("two", "TCP", "ip").await);
    let listener = estate.listener(&balancer, "TCP", "80", &one).await;
    assert_eq!(estate.listener(&balancer, "TCP", "80", &one).await, listener);
    assert_eq!(estate.create_listener(&balancer, "TCP", "80", &two).await, Err(refused("DuplicateListener")));
    let udp = estate.group("udp", "UDP", "ip").await;
    assert_eq!(estate.create_listener(&balancer, "UDP", "80", &udp).await, Err(refused("DuplicateListener")));
    assert!(estate.create_listener(&balancer, "TCP", "81", &two).await.is_ok());
}

pub(crate) async fn illegal_names_are_refused_before_the_emulator_sees_them(world: World) {
    let estate = world.estate().await;
    for name in ["a-name-that-is-longer-than-32-chars", "internal-web", "-web", "web_1"] {
        assert_eq!(estate.create_balancer(name, &[]).await, Err(refused("ValidationError")), "{name}");
    }
    assert_eq!(
        estate.create_group("a-name-that-is-longer-than-32-chars", "TCP", "ip", &[]).await,
        Err(refused("ValidationError"))
    );
    let described = estate.client.elb("DescribeLoadBalancers", &[]).await.unwrap();
    assert!(all(&described, "LoadBalancers", &["LoadBalancerArn"]).is_empty());
}

pub(crate) async fn a_name_is_free_again_after_deletion_and_its_arn_is_another(world: World) {
    let estate = world.estate().await;
    let arn = estate.balancer("web").await;
    estate.elb("DeleteLoadBalancer", &[("LoadBalancerArn", &arn)]).await.unwrap();
    assert_ne!(estate.balancer("web").await, arn);
    let gone = estate.elb("DescribeLoadBalancers", &[("LoadBalancerArns.member.1", &arn)]).await;
    assert_eq!(gone, Err(refused("LoadBalancerNotFound")));
}

pub(crate) async fn a_describe_of_which_one_is_missing_is_not_found_as_a_whole(world: World) {
    let estate = world.estate().await;
    let balancer = estate.balancer("web").await;
    let group = estate.group("web", "TCP", "ip").await;
    let listener = estate.listener(&balancer, "TCP", "80", &group).await;
    let missing = |arn: &str| format!("{}0000", &arn[..arn.len() - 4]);
    for (action, list, there, code) in [
        ("DescribeLoadBalancers", "Names", "web", "LoadBalancerNotFound"),
        ("DescribeLoadBalancers", "LoadBalancerArns", &balancer, "LoadBalancerNotFound"),
        ("DescribeTargetGroups", "Names", "web", "TargetGroupNotFound"),
        ("DescribeTargetGroups", "TargetGroupArns", &group, "TargetGroupNotFound"),
        ("DescribeListeners", "ListenerArns", &listener, "ListenerNotFound"),
        ("DescribeTags", "ResourceArns", &group, "TargetGroupNotFound"),
    ] {
        let (one, two) = (format!("{list}.member.1"), format!("{list}.member.2"));
        assert_eq!(estate.elb(action, &[(&one, there)]).await, Ok(()), "{action}");
        assert_eq!(
            estate.elb(action, &[(&one, there), (&two, &missing(&format!("{there}-gone")))]).await,
            Err(refused(code)),
            "{action}"
        );
    }
}
