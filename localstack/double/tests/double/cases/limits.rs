//! Quotas, pages, how many may be named.

use portolan_aws_double::Quotas;

use crate::client::{all, first, members, refused};
use crate::emulator::World;

pub(crate) async fn balancers_groups_listeners_and_certificates_have_quotas(world: World) {
    let quotas = Quotas { balancers: 2, groups: 2, listeners: 1, certificates: 1, ..Quotas::default() };
    let estate = world.estate_with(|builder| builder.quotas(quotas)).await;
    let balancer = estate.balancer("one").await;
    let other = estate.balancer("two").await;
    assert_eq!(estate.create_balancer("three", &[]).await, Err(refused("TooManyLoadBalancers")));
    assert_eq!(estate.balancer("one").await, balancer, "the same again is no more");
    let (one, two) = (estate.group("one", "TCP", "ip").await, estate.group("two", "TCP", "ip").await);
    assert_eq!(estate.create_group("three", "TCP", "ip", &[]).await, Err(refused("TooManyTargetGroups")));
    estate.listener(&balancer, "TCP", "80", &one).await;
    assert_eq!(estate.create_listener(&balancer, "TCP", "81", &two).await, Err(refused("TooManyListeners")));
    let (default, more) =
        (estate.certificate("default").await, [estate.certificate("a").await, estate.certificate("b").await]);
    let tls = [
        ("LoadBalancerArn", &*other),
        ("Protocol", "TLS"),
        ("Port", "443"),
        ("Certificates.member.1.CertificateArn", &*default),
        ("DefaultActions.member.1.Type", "forward"),
        ("DefaultActions.member.1.TargetGroupArn", &*two),
    ];
    let listener = first(&estate.client.elb("CreateListener", &tls).await.unwrap(), "Listeners", "ListenerArn");
    let add = async |arn: &str| {
        estate
            .elb(
                "AddListenerCertificates",
                &[("ListenerArn", &listener), ("Certificates.member.1.CertificateArn", arn)],
            )
            .await
    };
    assert_eq!((add(&more[0]).await, add(&default).await, add(&more[0]).await), (Ok(()), Ok(()), Ok(())));
    assert_eq!(add(&more[1]).await, Err(refused("TooManyCertificates")));
}

pub(crate) async fn the_interfaces_of_all_balancers_of_a_vpc_have_a_quota(world: World) {
    let quotas = Quotas { interfaces_per_vpc: 3, ..Quotas::default() };
    let estate = world.estate_with(|builder| builder.quotas(quotas)).await;
    let balancer = estate.balancer("one").await;
    assert_eq!(estate.create_balancer("two", &[]).await, Err(refused("TooManyLoadBalancers")));
    assert_eq!(estate.balancer("one").await, balancer, "the same again is no more");
}

pub(crate) async fn targets_have_quotas_per_group_balancer_and_zone(world: World) {
    let quotas = Quotas { targets_per_group: 3, targets_per_balancer: 4, targets_per_zone: 3, ..Quotas::default() };
    let estate = world.estate_with(|builder| builder.quotas(quotas)).await;
    let (one, two) = (estate.group("one", "TCP", "ip").await, estate.group("two", "TCP", "ip").await);
    let (zone_a, zone_b) = (["10.0.100.1", "10.0.100.2", "10.0.100.3", "10.0.100.4"], ["10.0.101.1", "10.0.101.2"]);
    let too_many = || Err(refused("TooManyTargets"));
    assert_eq!(estate.register(&one, &zone_a).await, too_many());
    assert_eq!(estate.register(&one, &zone_a[..3]).await, Ok(()));
    assert_eq!(estate.register(&one, &zone_a[3..]).await, too_many());
    assert_eq!(estate.register(&one, &zone_a[..1]).await, Ok(()), "one that is there is no more");
    let balancer = estate.balancer("web").await;
    estate.listener(&balancer, "TCP", "80", &one).await;
    estate.register(&two, &[zone_a[0], zone_b[0]]).await.unwrap();
    let add = async || estate.create_listener(&balancer, "TCP", "81", &two).await.map(|_| ());
    assert_eq!(add().await, too_many(), "five on the balancer: a target in two groups counts twice");
    estate.deregister(&two, &zone_b[..1]).await.unwrap();
    assert_eq!(add().await, too_many(), "four in one zone");
    estate.deregister(&two, &zone_a[..1]).await.unwrap();
    estate.register(&two, &zone_b[..1]).await.unwrap();
    assert_eq!(add().await, Ok(()));
    assert_eq!(estate.register(&two, &zone_b[1..]).await, too_many());
    let cross_zone = [
        ("LoadBalancerArn", &*balancer),
        ("Attributes.member.1.Key", "load_balancing.cross_zone.enabled"),
        ("Attributes.member.1.Value", "true"),
    ];
    assert_eq!(estate.elb("ModifyLoadBalancerAttributes", &cross_zone).await, Err(refused("TooManyTargets")));
}

pub(crate) async fn twenty_may_be_named_in_one_call(world: World) {
    let estate = world.estate().await;
    let named = |n: usize, list: &'static str| {
        (1..=n).map(move |index| (format!("{list}.member.{index}"), format!("x{index}")))
    };
    for (action, list) in [("DescribeLoadBalancers", "Names"), ("DescribeTags", "ResourceArns")] {
        let pairs: Vec<(String, String)> = named(21, list).collect();
        let pairs: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(estate.elb(action, &pairs).await, Err(refused("ValidationError")), "{action}");
    }
    let both = [("Names.member.1", "x"), ("LoadBalancerArns.member.1", "y")];
    assert_eq!(estate.elb("DescribeLoadBalancers", &both).await, Err(refused("ValidationError")));
}

pub(crate) async fn pages_together_are_all(world: World) {
    let estate = world.estate().await;
    let mut made = Vec::new();
    for index in 0..25 {
        made.push(estate.group(&format!("g{index}"), "TCP", "ip").await);
    }
    let (mut seen, mut marker, mut calls) = (Vec::new(), None::<String>, 0);
    loop {
        let mut pairs = vec![("PageSize", "10")];
        pairs.extend(marker.as_deref().map(|marker| ("Marker", marker)));
        let page = estate.client.elb("DescribeTargetGroups", &pairs).await.unwrap();
        seen.extend(all(&page, "TargetGroups", &["TargetGroupArn"]));
        calls += 1;
        let next = page.text_at(&["DescribeTargetGroupsResult", "NextMarker"]).map(str::to_owned);
        assert!(members(&page, "TargetGroups").len() == 10 || next.is_none());
        marker = next;
        if marker.is_none() {
            break;
        }
    }
    assert_eq!((seen, calls), (made, 3));
}
