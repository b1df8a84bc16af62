//! What is not allowed is refused, and what was allowed for nothing is told.

use std::collections::BTreeSet;

use portolan_aws_double::Service;

use crate::client::Failure;
use crate::emulator::{REGION, World};

const CREATE_BALANCER: [&str; 8] = [
    "elasticloadbalancing:CreateLoadBalancer",
    "ec2:DescribeAccountAttributes",
    "ec2:DescribeAddresses",
    "ec2:DescribeInternetGateways",
    "ec2:DescribeSecurityGroups",
    "ec2:DescribeSubnets",
    "ec2:DescribeVpcs",
    "iam:CreateServiceLinkedRole",
];

fn denied(code: &str) -> Failure {
    Failure::Refused(code.to_owned(), 403)
}

pub(crate) async fn what_no_policy_allows_is_refused_in_the_words_of_each_api(world: World) {
    let estate = world.estate().await;
    let permissions = estate.double.permissions();
    permissions.allow(["elasticloadbalancing:DescribeLoadBalancers", "ec2:DescribeVpcs"]);
    assert_eq!(estate.elb("DescribeLoadBalancers", &[]).await, Ok(()));
    assert_eq!(estate.elb("DescribeTargetGroups", &[]).await, Err(denied("AccessDenied")));
    assert!(estate.client.ec2("DescribeVpcs", &[]).await.is_ok());
    assert_eq!(estate.client.ec2("DescribeSubnets", &[]).await, Err(denied("UnauthorizedOperation")));
    let by_hand =
        estate.double.by_hand(Service::ElasticLoadBalancing, REGION, "DescribeTargetGroups", &[("PageSize", "1")]);
    assert!(by_hand.await.is_ok(), "another hand has rights of its own");
    permissions.allow_everything();
    assert!(estate.client.ec2("DescribeSubnets", &[]).await.is_ok());
}

pub(crate) async fn a_balancer_needs_what_aws_looks_at_in_its_caller_s_name(world: World) {
    let estate = world.estate().await;
    let permissions = estate.double.permissions();
    for missing in CREATE_BALANCER {
        permissions.allow(CREATE_BALANCER);
        permissions.revoke(missing);
        assert_eq!(estate.create_balancer("web", &[]).await, Err(denied("AccessDenied")), "{missing}");
    }
    permissions.allow(CREATE_BALANCER);
    assert!(estate.create_balancer("web", &[]).await.is_ok());
    assert_eq!(estate.double.inventory(REGION).await.balancers.len(), 1);
}

pub(crate) async fn tags_at_birth_need_a_permission_of_their_own(world: World) {
    let estate = world.estate().await;
    let permissions = estate.double.permissions();
    let tag = [("Tags.member.1.Key", "a"), ("Tags.member.1.Value", "b")];
    permissions.allow(CREATE_BALANCER);
    assert_eq!(estate.create_balancer("web", &tag).await, Err(denied("AccessDenied")));
    permissions.allow(CREATE_BALANCER.into_iter().chain(["elasticloadbalancing:AddTags"]));
    assert!(estate.create_balancer("web", &tag).await.is_ok());

    let group = [
        ("GroupName", "web"),
        ("GroupDescription", "web"),
        ("VpcId", &*estate.seed.vpc),
        ("TagSpecification.1.ResourceType", "security-group"),
        ("TagSpecification.1.Tag.1.Key", "a"),
        ("TagSpecification.1.Tag.1.Value", "b"),
    ];
    permissions.allow(["ec2:CreateSecurityGroup"]);
    let refused = estate.client.ec2("CreateSecurityGroup", &group).await;
    assert_eq!(refused, Err(denied("UnauthorizedOperation")));
    permissions.allow(["ec2:CreateSecurityGroup", "ec2:CreateTags"]);
    assert!(estate.client.ec2("CreateSecurityGroup", &group).await.is_ok());
}

pub(crate) async fn what_was_allowed_and_never_needed_is_told(world: World) {
    let estate = world.estate().await;
    let never = |mark, allowed: &[&str]| estate.double.log().never_needed(mark, allowed.iter().copied());
    estate.client.ec2("DescribeRouteTables", &[]).await.unwrap();
    let mark = estate.double.log().mark();
    let tag = [("Tags.member.1.Key", "a"), ("Tags.member.1.Value", "b")];
    estate.create_balancer("web", &tag).await.unwrap();
    assert_eq!(never(0, &CREATE_BALANCER), BTreeSet::new(), "what AWS asks for beside the action is needed too");
    let others = ["elasticloadbalancing:AddTags", "ec2:DescribeRouteTables", "ec2:DescribeInstances"];
    assert_eq!(never(0, &others), BTreeSet::from(["ec2:DescribeInstances".to_owned()]));
    assert_eq!(never(mark, &others).len(), 2);
}
