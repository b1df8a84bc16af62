//! What belongs to what, and the settings of each.

use crate::client::{all, first, members, refused};
use crate::emulator::World;

pub(crate) async fn a_group_belongs_to_one_balancer(world: World) {
    let estate = world.estate().await;
    let (one, two, group) =
        (estate.balancer("one").await, estate.balancer("two").await, estate.group("web", "TCP", "ip").await);
    let listener = estate.listener(&one, "TCP", "80", &group).await;
    assert_eq!(estate.create_listener(&two, "TCP", "80", &group).await, Err(refused("TargetGroupAssociationLimit")));
    assert!(
        estate.create_listener(&one, "TCP", "81", &group).await.is_ok(),
        "several listeners of one balancer may share it"
    );
    let other = estate.group("other", "TCP", "ip").await;
    let to_other = [
        ("ListenerArn", &*listener),
        ("DefaultActions.member.1.Type", "forward"),
        ("DefaultActions.member.1.TargetGroupArn", &*other),
    ];
    let modified = estate.client.elb("ModifyListener", &to_other).await.unwrap();
    assert_eq!(all(&modified, "Listeners", &["DefaultActions", "member", "TargetGroupArn"]), [other]);
}

pub(crate) async fn a_group_on_a_listener_is_in_use(world: World) {
    let estate = world.estate().await;
    let (balancer, group) = (estate.balancer("web").await, estate.group("web", "TCP", "ip").await);
    let listener = estate.listener(&balancer, "TCP", "80", &group).await;
    let delete = async || estate.elb("DeleteTargetGroup", &[("TargetGroupArn", &group)]).await;
    assert_eq!(delete().await, Err(refused("ResourceInUse")));
    estate.elb("DeleteListener", &[("ListenerArn", &listener)]).await.unwrap();
    assert_eq!((delete().await, delete().await), (Ok(()), Ok(())));
    assert_eq!(estate.elb("DeleteListener", &[("ListenerArn", &listener)]).await, Err(refused("ListenerNotFound")));
}

pub(crate) async fn protocols_must_fit(world: World) {
    let estate = world.estate().await;
    let balancer = estate.balancer("web").await;
    let (tcp, udp) = (estate.group("tcp", "TCP", "ip").await, estate.group("udp", "UDP", "ip").await);
    assert_eq!(estate.create_listener(&balancer, "UDP", "53", &tcp).await, Err(refused("IncompatibleProtocols")));
    assert_eq!(estate.create_listener(&balancer, "TCP_UDP", "53", &udp).await, Err(refused("IncompatibleProtocols")));
    assert_eq!(estate.create_listener(&balancer, "HTTP", "80", &tcp).await, Err(refused("UnsupportedProtocol")));
    assert_eq!(estate.create_listener(&balancer, "TCP", "0", &tcp).await, Err(refused("ValidationError")));
    let listener = estate.listener(&balancer, "TCP", "80", &tcp).await;
    let to_udp = [("ListenerArn", &*listener), ("Protocol", "UDP")];
    assert_eq!(estate.elb("ModifyListener", &to_udp).await, Err(refused("IncompatibleProtocols")));
    assert_eq!(estate.elb("ModifyListener", &[("ListenerArn", &listener), ("Port", "8080")]).await, Ok(()));
    let described = estate.client.elb("DescribeListeners", &[("ListenerArns.member.1", &listener)]).await.unwrap();
    assert_eq!(
        (first(&described, "Listeners", "Port"), first(&described, "Listeners", "Protocol")),
        ("8080".to_owned(), "TCP".to_owned())
    );
}

pub(crate) async fn security_groups_only_where_there_were_some_at_birth(world: World) {
    let estate = world.estate().await;
    let (one, two) = (estate.security_group("one").await, estate.security_group("two").await);
    let without = estate.balancer("without").await;
    let pairs = [("LoadBalancerArn", &*without), ("SecurityGroups.member.1", &*one)];
    assert_eq!(estate.elb("SetSecurityGroups", &pairs).await, Err(refused("InvalidConfigurationRequest")));
    let with = estate.create_balancer("with", &[("SecurityGroups.member.1", &one)]).await.unwrap();
    let with = first(&with, "LoadBalancers", "LoadBalancerArn");
    let pairs = [("LoadBalancerArn", &*with), ("SecurityGroups.member.1", &*two)];
    estate.elb("SetSecurityGroups", &pairs).await.unwrap();
    let described = estate.client.elb("DescribeLoadBalancers", &[("Names.member.1", "with")]).await.unwrap();
    assert_eq!(all(&described, "LoadBalancers", &["SecurityGroups", "member"]), [two]);
    let unknown = estate.create_balancer("third", &[("SecurityGroups.member.1", "sg-00000000000000000")]).await;
    assert_eq!(unknown, Err(refused("InvalidSecurityGroup")));
}

pub(crate) async fn a_protected_balancer_is_not_deleted(world: World) {
    let estate = world.estate().await;
    let arn = estate.balancer("web").await;
    let protect = |on| {
        [
            ("LoadBalancerArn", arn.clone()),
            ("Attributes.member.1.Key", "deletion_protection.enabled".to_owned()),
            ("Attributes.member.1.Value", on),
        ]
    };
    for (on, result) in [("true", Err(refused("OperationNotPermitted"))), ("false", Ok(()))] {
        let pairs = protect(on.to_owned());
        let pairs: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (*name, value.as_str())).collect();
        estate.elb("ModifyLoadBalancerAttributes", &pairs).await.unwrap();
        assert_eq!(estate.elb("DeleteLoadBalancer", &[("LoadBalancerArn", &arn)]).await, result);
    }
}

pub(crate) async fn deleting_a_balancer_deletes_its_listeners_and_doing_it_again_succeeds(world: World) {
    let estate = world.estate().await;
    let (balancer, group) = (estate.balancer("web").await, estate.group("web", "TCP", "ip").await);
    let listener = estate.listener(&balancer, "TCP", "80", &group).await;
    for _ in 0..2 {
        assert_eq!(estate.elb("DeleteLoadBalancer", &[("LoadBalancerArn", &balancer)]).await, Ok(()));
    }
    assert_eq!(
        estate.elb("DescribeListeners", &[("ListenerArns.member.1", &listener)]).await,
        Err(refused("ListenerNotFound"))
    );
    assert_eq!(
        estate.elb("DescribeListeners", &[("LoadBalancerArn", &balancer)]).await,
        Err(refused("LoadBalancerNotFound"))
    );
    assert_eq!(estate.elb("DeleteTargetGroup", &[("TargetGroupArn", &group)]).await, Ok(()));
}

pub(crate) async fn subnets_are_one_per_zone_and_with_ipv6_for_dual_stack(world: World) {
    let estate = world.estate().await;
    let public_of_zone_a = estate.seed.public_subnets[0].clone();
    let twice = estate.create_balancer("twice", &[("Subnets.member.2", &public_of_zone_a)]).await;
    assert_eq!(twice, Err(refused("InvalidConfigurationRequest")));
    let unknown = estate.create_balancer("unknown", &[("Subnets.member.2", "subnet-00000000000000000")]).await;
    assert_eq!(unknown, Err(refused("SubnetNotFound")));
    let dual = ("IpAddressType", "dualstack");
    let without = estate.create_balancer("dual", &[dual, ("Subnets.member.3", &estate.seed.private_subnets[2])]).await;
    assert_eq!(without, Err(refused("InvalidSubnet")));
    assert!(estate.create_balancer("dual", &[dual]).await.is_ok());
    let plain =
        estate.create_balancer("plain", &[("Subnets.member.3", &estate.seed.private_subnets[2])]).await.unwrap();
    let plain = first(&plain, "LoadBalancers", "LoadBalancerArn");
    assert_eq!(
        estate.elb("SetIpAddressType", &[("LoadBalancerArn", &plain), dual]).await,
        Err(refused("InvalidSubnet"))
    );
}

pub(crate) async fn every_legal_pair_of_listener_and_group_is_taken(world: World) {
    let estate = world.estate().await;
    let balancer = estate.balancer("web").await;
    for (port, protocol) in [("80", "TCP"), ("81", "UDP"), ("82", "TCP_UDP")] {
        let group = estate.group(&format!("g{port}"), protocol, "instance").await;
        let made = estate.create_listener(&balancer, protocol, port, &group).await.unwrap();
        assert_eq!(first(&made, "Listeners", "Protocol"), protocol);
        let described =
            estate.client.elb("DescribeTargetGroups", &[("TargetGroupArns.member.1", &group)]).await.unwrap();
        assert_eq!(
            (first(&described, "TargetGroups", "Protocol"), first(&described, "TargetGroups", "HealthCheckProtocol")),
            (protocol.to_owned(), "TCP".to_owned())
        );
    }
    let both = estate.group("both", "TCP_UDP", "instance").await;
    assert!(estate.create_listener(&balancer, "TCP", "83", &both).await.is_ok());
    let certificate = estate.certificate("one").await;
    for (port, protocol) in [("443", "TLS"), ("444", "TCP")] {
        let group = estate.group(&format!("g{port}"), protocol, "ip").await;
        let pairs = [
            ("LoadBalancerArn", &*balancer),
            ("Protocol", "TLS"),
            ("Port", port),
            ("Certificates.member.1.CertificateArn", &*certificate),
            ("SslPolicy", "ELBSecurityPolicy-TLS13-1-2-2021-06"),
            ("AlpnPolicy.member.1", "HTTP2Preferred"),
            ("DefaultActions.member.1.Type", "forward"),
            ("DefaultActions.member.1.TargetGroupArn", &*group),
        ];
        let made = estate.client.elb("CreateListener", &pairs).await.unwrap();
        assert_eq!(first(&made, "Listeners", "SslPolicy"), "ELBSecurityPolicy-TLS13-1-2-2021-06");
        assert_eq!(all(&made, "Listeners", &["AlpnPolicy", "member"]), ["HTTP2Preferred"]);
    }
}

pub(crate) async fn ipv6_groups_need_dual_stack_and_take_ipv6_targets(world: World) {
    let estate = world.estate().await;
    let plain = estate.balancer("plain").await;
    let dual = estate.create_balancer("dual", &[("IpAddressType", "dualstack")]).await.unwrap();
    let dual = first(&dual, "LoadBalancers", "LoadBalancerArn");
    let group = estate.create_group("web", "TCP", "ip", &[("IpAddressType", "ipv6")]).await.unwrap();
    let group = first(&group, "TargetGroups", "TargetGroupArn");
    assert_eq!(estate.create_listener(&plain, "TCP", "80", &group).await, Err(refused("InvalidConfigurationRequest")));
    estate.listener(&dual, "TCP", "80", &group).await;
    let udp = estate.group("udp", "UDP", "ip").await;
    assert_eq!(estate.create_listener(&dual, "UDP", "53", &udp).await, Err(refused("InvalidConfigurationRequest")));
    assert_eq!(
        estate.elb("SetIpAddressType", &[("LoadBalancerArn", &dual), ("IpAddressType", "ipv4")]).await,
        Err(refused("InvalidConfigurationRequest"))
    );
    let subnets =
        estate.client.ec2("DescribeSubnets", &[("SubnetId.1", &estate.seed.private_subnets[0])]).await.unwrap();
    let range =
        subnets.text_at(&["subnetSet", "item", "ipv6CidrBlockAssociationSet", "item", "ipv6CidrBlock"]).unwrap();
    let address: std::net::Ipv6Addr = range.replace("::/64", "::7").parse().unwrap();
    assert_eq!(estate.register(&group, &[&address.to_string()]).await, Ok(()));
    assert_eq!(estate.health(&group).await, [format!("{address}@80 healthy -")]);
    assert_eq!(estate.register(&group, &["10.0.100.1"]).await, Err(refused("InvalidTarget")));
    assert_eq!(estate.register(&group, &["2001:4860:4860::8888/all"]).await, Err(refused("InvalidTarget")));
}

pub(crate) async fn an_address_serves_one_balancer(world: World) {
    let estate = world.estate().await;
    let (public, private) = (estate.seed.public_subnets[0].clone(), estate.seed.private_subnets[0].clone());
    let create = async |name: &str, scheme: &str, subnet: &str, address: &str, value: &str| {
        let pairs = [
            ("Name", name),
            ("Type", "network"),
            ("Scheme", scheme),
            ("SubnetMappings.member.1.SubnetId", subnet),
            (address, value),
        ];
        estate.elb("CreateLoadBalancer", &pairs).await
    };
    let elastic = "SubnetMappings.member.1.AllocationId";
    let own = "SubnetMappings.member.1.PrivateIPv4Address";
    assert_eq!(
        create("one", "internet-facing", &public, elastic, "eipalloc-00000000000000000").await,
        Err(refused("AllocationIdNotFound"))
    );
    assert_eq!(create("one", "internet-facing", &public, elastic, &estate.seed.allocations[0]).await, Ok(()));
    assert_eq!(
        create("two", "internet-facing", &public, elastic, &estate.seed.allocations[0]).await,
        Err(refused("ResourceInUse"))
    );
    assert_eq!(
        create("two", "internal", &private, elastic, &estate.seed.allocations[1]).await,
        Err(refused("InvalidConfigurationRequest"))
    );
    assert_eq!(create("two", "internal", &private, own, "10.0.100.9").await, Ok(()));
    assert_eq!(create("three", "internal", &private, own, "10.0.100.9").await, Err(refused("ResourceInUse")));
    assert_eq!(
        create("three", "internal", &private, own, "10.0.101.9").await,
        Err(refused("InvalidConfigurationRequest"))
    );
}

pub(crate) async fn subnets_may_be_one_and_are_shown_as_set(world: World) {
    let estate = world.estate().await;
    let private = estate.seed.private_subnets.clone();
    let one = [
        ("Name", "web"),
        ("Type", "network"),
        ("Scheme", "internal"),
        ("SubnetMappings.member.1.SubnetId", &*private[0]),
        ("SubnetMappings.member.1.PrivateIPv4Address", "10.0.100.9"),
    ];
    let made = estate.client.elb("CreateLoadBalancer", &one).await.unwrap();
    let arn = first(&made, "LoadBalancers", "LoadBalancerArn");
    let path = ["AvailabilityZones", "member", "LoadBalancerAddresses", "member", "PrivateIPv4Address"];
    assert_eq!(all(&made, "LoadBalancers", &path), ["10.0.100.9"]);
    let set = |subnets: Vec<String>| {
        let pairs: Vec<(String, String)> =
            subnets.into_iter().enumerate().map(|(index, id)| (format!("Subnets.member.{}", index + 1), id)).collect();
        let (client, arn) = (estate.client.clone(), arn.clone());
        async move {
            let pairs =
                pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).chain([("LoadBalancerArn", &*arn)]);
            client
                .elb("SetSubnets", &pairs.collect::<Vec<_>>())
                .await
                .map(|answer| all(&answer, "AvailabilityZones", &["SubnetId"]))
        }
    };
    assert_eq!(set(private.clone()).await, Ok(private.clone()));
    let swapped = vec![estate.seed.public_subnets[0].clone(), private[1].clone()];
    assert_eq!(set(swapped).await, Err(refused("InvalidConfigurationRequest")));
    let described = estate.client.elb("DescribeLoadBalancers", &[("Names.member.1", "web")]).await.unwrap();
    assert_eq!(members(&described, "LoadBalancers")[0].child("AvailabilityZones").unwrap().children.len(), 3);
}

pub(crate) async fn attributes_are_those_of_a_network_load_balancer(world: World) {
    let estate = world.estate().await;
    let (balancer, group) = (estate.balancer("web").await, estate.group("web", "TCP", "ip").await);
    let listener = estate.listener(&balancer, "TCP", "80", &group).await;
    for (kind, parameter, arn, key, value, born, count) in [
        ("LoadBalancer", "LoadBalancerArn", &balancer, "load_balancing.cross_zone.enabled", "true", "false", 9),
        ("TargetGroup", "TargetGroupArn", &group, "preserve_client_ip.enabled", "true", "false", 13),
        ("Listener", "ListenerArn", &listener, "tcp.idle_timeout.seconds", "400", "350", 1),
    ] {
        let (describe, modify) = (format!("Describe{kind}Attributes"), format!("Modify{kind}Attributes"));
        let read = async || {
            let answer = estate.client.elb(&describe, &[(parameter, arn)]).await.unwrap();
            let pairs: Vec<(String, String)> =
                all(&answer, "Attributes", &["Key"]).into_iter().zip(all(&answer, "Attributes", &["Value"])).collect();
            (pairs.iter().find(|(one, _)| one == key).unwrap().1.clone(), pairs.len())
        };
        assert_eq!(read().await, (born.to_owned(), count));
        let set = async |key: &str, value: &str| {
            estate
                .elb(
                    &modify,
                    &[(parameter, arn), ("Attributes.member.1.Key", key), ("Attributes.member.1.Value", value)],
                )
                .await
        };
        assert_eq!(set("routing.http2.enabled", "true").await, Err(refused("InvalidConfigurationRequest")));
        assert_eq!(set(key, "nonsense").await, Err(refused("InvalidConfigurationRequest")));
        assert_eq!(set(key, value).await, Ok(()));
        assert_eq!(read().await.0, value);
    }
}

pub(crate) async fn health_checks_have_aws_s_defaults_and_ranges(world: World) {
    let estate = world.estate().await;
    let made = estate.create_group("web", "TCP", "ip", &[("HealthCheckProtocol", "HTTP")]).await.unwrap();
    let text = |name: &str| first(&made, "TargetGroups", name);
    assert_eq!(
        [
            text("HealthCheckTimeoutSeconds"),
            text("HealthCheckIntervalSeconds"),
            text("HealthyThresholdCount"),
            text("HealthCheckPath")
        ],
        ["6", "30", "5", "/"]
    );
    assert_eq!(all(&made, "TargetGroups", &["Matcher", "HttpCode"]), ["200-399"]);
    for bad in
        [("HealthCheckIntervalSeconds", "4"), ("HealthyThresholdCount", "11"), ("HealthCheckTimeoutSeconds", "121")]
    {
        assert_eq!(estate.create_group("bad", "TCP", "ip", &[bad]).await, Err(refused("ValidationError")), "{bad:?}");
    }
    let arn = text("TargetGroupArn");
    let slow = estate.elb("ModifyTargetGroup", &[("TargetGroupArn", &arn), ("HealthCheckTimeoutSeconds", "31")]).await;
    assert_eq!(slow, Err(refused("ValidationError")), "longer than the interval");
}

pub(crate) async fn tags_are_kept_and_limited(world: World) {
    let estate = world.estate().await;
    let group = estate.group("web", "TCP", "ip").await;
    let tag =
        |n: usize| (format!("Tags.member.{}.Key", n + 1), format!("Tags.member.{}.Value", n + 1), format!("key-{n}"));
    let tags: Vec<_> = (0..51).map(tag).collect();
    let add = async |range: std::ops::Range<usize>| {
        let pairs =
            tags[range].iter().flat_map(|(name, value, text)| [(name.as_str(), text.as_str()), (value.as_str(), "x")]);
        estate.elb("AddTags", &pairs.chain([("ResourceArns.member.1", &*group)]).collect::<Vec<_>>()).await
    };
    assert_eq!(add(0..51).await, Err(refused("TooManyTags")));
    assert_eq!((add(0..50).await, add(1..50).await), (Ok(()), Ok(())));
    assert_eq!(add(50..51).await, Err(refused("TooManyTags")), "with those that are there");
    estate.elb("RemoveTags", &[("ResourceArns.member.1", &group), ("TagKeys.member.1", "key-7")]).await.unwrap();
    let described = estate.client.elb("DescribeTags", &[("ResourceArns.member.1", &group)]).await.unwrap();
    assert_eq!(members(&described, "TagDescriptions")[0].child("Tags").unwrap().children.len(), 49);
}

pub(crate) async fn certificates_come_and_go_but_for_the_default_one(world: World) {
    let estate = world.estate().await;
    let (balancer, group) = (estate.balancer("web").await, estate.group("web", "TCP", "ip").await);
    let tls = |more: &[(&'static str, String)]| {
        let fixed = [
            ("LoadBalancerArn", balancer.clone()),
            ("Protocol", "TLS".to_owned()),
            ("Port", "443".to_owned()),
            ("DefaultActions.member.1.Type", "forward".to_owned()),
            ("DefaultActions.member.1.TargetGroupArn", group.clone()),
        ];
        let (client, pairs) =
            (estate.client.clone(), fixed.into_iter().chain(more.iter().cloned()).collect::<Vec<_>>());
        async move {
            client
                .elb("CreateListener", &pairs.iter().map(|(name, value)| (*name, value.as_str())).collect::<Vec<_>>())
                .await
        }
    };
    assert_eq!(tls(&[]).await, Err(refused("ValidationError")));
    let certificate = ("Certificates.member.1.CertificateArn", estate.certificate("one").await);
    let policy = ("SslPolicy", "ELBSecurityPolicy-of-nobody".to_owned());
    assert_eq!(tls(&[certificate.clone(), policy]).await, Err(refused("SSLPolicyNotFound")));
    let gone = ("Certificates.member.1.CertificateArn", certificate.1.replace("certificate/", "certificate/00"));
    assert_eq!(tls(&[gone]).await, Err(refused("CertificateNotFound")));
    let made = tls(std::slice::from_ref(&certificate)).await.unwrap();
    let listener = first(&made, "Listeners", "ListenerArn");
    let second = estate.certificate("two").await;
    let with = |arn: &str| {
        [
            ("ListenerArn".to_owned(), listener.clone()),
            ("Certificates.member.1.CertificateArn".to_owned(), arn.to_owned()),
        ]
    };
    let call = async |action: &str, arn: &str| {
        let pairs = with(arn);
        estate.elb(action, &pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect::<Vec<_>>()).await
    };
    assert_eq!(
        (call("AddListenerCertificates", &second).await, call("AddListenerCertificates", &second).await),
        (Ok(()), Ok(()))
    );
    let listed = estate.client.elb("DescribeListenerCertificates", &[("ListenerArn", &listener)]).await.unwrap();
    assert_eq!(all(&listed, "Certificates", &["IsDefault"]), ["true", "false"]);
    assert_eq!(call("RemoveListenerCertificates", &second).await, Ok(()));
    assert_eq!(call("RemoveListenerCertificates", &certificate.1).await, Err(refused("OperationNotPermitted")));
    let both: Vec<(String, String)> = with(&certificate.1)
        .into_iter()
        .chain([("Certificates.member.2.CertificateArn".to_owned(), second.clone())])
        .collect();
    let both: Vec<(&str, &str)> = both.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    for action in ["AddListenerCertificates", "RemoveListenerCertificates"] {
        assert_eq!(estate.elb(action, &both).await, Err(refused("ValidationError")), "one a call");
    }
    let next = [("ListenerArn", &*listener), ("Protocol", "TLS"), ("Certificates.member.1.CertificateArn", &*second)];
    assert_eq!(estate.elb("ModifyListener", &next).await, Ok(()));
    let listed = estate.client.elb("DescribeListenerCertificates", &[("ListenerArn", &listener)]).await.unwrap();
    assert_eq!(all(&listed, "Certificates", &["CertificateArn"]), [second]);
}
