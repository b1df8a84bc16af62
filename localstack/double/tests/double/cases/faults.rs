//! Trouble: lost answers, 500s, expired tokens, cut pages, delays, throttling.

use std::collections::BTreeSet;
use std::time::Duration;

use portolan_aws_double::xml::Element;
use portolan_aws_double::{Bucket, Buckets, Class, Effect, Fault, Outcome};

use crate::client::{Failure, all, refused};
use crate::emulator::World;

pub(crate) async fn a_lost_response_took_effect(world: World) {
    let estate = world.estate().await;
    estate.double.faults().arm(Fault::on("CreateLoadBalancer", Effect::LoseResponse));
    assert_eq!(estate.create_balancer("web", &[]).await, Err(Failure::NoAnswer));
    assert_eq!(estate.state("web").await, "active");
    assert_eq!(estate.double.log().calls()[0].outcome, Outcome::Lost);
    assert!(estate.double.log().calls()[0].outcome.took_effect());
    assert!(estate.create_balancer("web", &[]).await.is_ok());
}

pub(crate) async fn a_call_that_is_cut_off_did_not(world: World) {
    let estate = world.estate().await;
    estate.double.faults().arm(Fault::on_mutating(Effect::CutOff).nth(2));
    estate.balancer("one").await;
    assert_eq!(estate.create_balancer("two", &[]).await, Err(Failure::NoAnswer));
    assert_eq!(estate.double.log().calls()[1].outcome, Outcome::Cut);
    assert_eq!(
        estate.elb("DescribeLoadBalancers", &[("Names.member.1", "two")]).await,
        Err(refused("LoadBalancerNotFound"))
    );
}

pub(crate) async fn a_500_comes_before_or_after_the_effect(world: World) {
    let estate = world.estate().await;
    let failure = || Failure::Refused("InternalFailure".to_owned(), 500);
    estate.double.faults().arm(Fault::on("CreateTargetGroup", Effect::ErrorBefore));
    assert_eq!(estate.create_group("web", "TCP", "ip", &[]).await, Err(failure()));
    assert_eq!(
        estate.elb("DescribeTargetGroups", &[("Names.member.1", "web")]).await,
        Err(refused("TargetGroupNotFound"))
    );
    estate.double.faults().arm(Fault::on("CreateTargetGroup", Effect::ErrorAfter));
    assert_eq!(estate.create_group("web", "TCP", "ip", &[]).await, Err(failure()));
    assert_eq!(estate.elb("DescribeTargetGroups", &[("Names.member.1", "web")]).await, Ok(()));
    let effects: Vec<bool> = estate
        .double
        .log()
        .calls()
        .iter()
        .filter(|call| call.is_mutating())
        .map(|call| call.outcome.took_effect())
        .collect();
    assert_eq!(effects, [false, true]);
}

pub(crate) async fn an_expired_token_refuses_both_apis(world: World) {
    let estate = world.estate().await;
    estate.double.faults().arm(Fault::on_any(Effect::ExpiredToken).always().by("AKIDOLD"));
    let old = estate.client.clone().named("AKIDOLD", "x");
    assert_eq!(old.elb("DescribeLoadBalancers", &[]).await, Err(Failure::Refused("ExpiredToken".to_owned(), 403)));
    assert_eq!(old.ec2("DescribeVpcs", &[]).await, Err(refused("RequestExpired")));
    assert!(estate.client.elb("DescribeLoadBalancers", &[]).await.is_ok());
}

pub(crate) async fn cut_pages_have_markers_to_the_rest(world: World) {
    let estate = world.estate().await;
    let mut made = Vec::new();
    for name in ["a", "b", "c"] {
        made.push(estate.balancer(name).await);
    }
    estate.double.faults().arm(Fault::on("DescribeLoadBalancers", Effect::CutPages(2)).always());
    let page = estate.client.elb("DescribeLoadBalancers", &[]).await.unwrap();
    let marker = page.text_at(&["DescribeLoadBalancersResult", "NextMarker"]).unwrap();
    let rest = estate.client.elb("DescribeLoadBalancers", &[("Marker", marker)]).await.unwrap();
    let arns = |page| all(page, "LoadBalancers", &["LoadBalancerArn"]);
    assert_eq!((arns(&page).as_slice(), arns(&rest).as_slice()), (&made[..2], &made[2..]));
    assert_eq!(rest.at(&["DescribeLoadBalancersResult", "NextMarker"]), None);
}

pub(crate) async fn ec2_pages_too(world: World) {
    let estate = world.estate().await;
    let vpc = [("Filter.1.Name", "vpc-id"), ("Filter.1.Value.1", &*estate.seed.vpc)];
    let walk = async |action: &str, most: Option<&str>| {
        let (mut sizes, mut seen, mut token) = (Vec::new(), BTreeSet::new(), None::<String>);
        loop {
            let mut pairs = vpc.to_vec();
            pairs.extend(most.map(|most| ("MaxResults", most)));
            pairs.extend(token.as_deref().map(|token| ("NextToken", token)));
            let page = estate.client.ec2(action, &pairs).await.unwrap();
            let is_list = |child: &&Element| child.name.ends_with("Set");
            let list = &page.children.iter().find(is_list).unwrap().children;
            sizes.push(list.len());
            seen.extend(list.iter().map(Element::document));
            token = page.text_at(&["nextToken"]).map(str::to_owned);
            if token.is_none() {
                return (sizes, seen.len());
            }
        }
    };
    // Six subnets, three reservations of one instance each.
    assert_eq!(
        (walk("DescribeSubnets", None).await, walk("DescribeSubnets", Some("5")).await),
        ((vec![6], 6), (vec![5, 1], 6))
    );
    assert_eq!(walk("DescribeInstances", Some("2")).await, (vec![2, 1], 3));
    estate.double.faults().arm(Fault::on_any(Effect::CutPages(2)).always());
    assert_eq!(walk("DescribeSubnets", None).await, (vec![2, 2, 2], 6));
    assert_eq!(walk("DescribeInstances", None).await, (vec![2, 1], 3));
}

pub(crate) async fn a_delay_holds_one_call_and_no_other(world: World) {
    let estate = world.estate().await;
    estate.double.faults().arm(Fault::on("CreateLoadBalancer", Effect::DelayAfter(Duration::from_secs(5))));
    let waiting = async { estate.create_balancer("web", &[]).await.map(|_| estate.double.clock().now()) };
    let meanwhile = async {
        // It has taken effect, and its answer is still on its way.
        estate.double.log().wait_for(|calls| calls.iter().any(|call| call.action == "CreateLoadBalancer")).await;
        assert_eq!(estate.state("web").await, "active");
        estate.double.clock().advance(Duration::from_secs(5));
    };
    assert_eq!(tokio::join!(waiting, meanwhile).0, Ok(Duration::from_secs(5)));
}

pub(crate) async fn buckets_throttle_by_class_and_refill_with_the_clock(world: World) {
    let two = Bucket { capacity: 2.0, refill: 1.0 };
    let buckets = Buckets::none().with(Class::Describe, two).with(Class::Ec2Describe, two);
    let estate = world.estate_with(|builder| builder.throttle(buckets)).await;
    let describe = || estate.elb("DescribeTargetGroups", &[]);
    assert_eq!((describe().await, describe().await, describe().await), (Ok(()), Ok(()), Err(refused("Throttling"))));
    assert!(estate.create_group("web", "TCP", "ip", &[]).await.is_ok(), "another class");
    for expected in [true, true, false] {
        assert_eq!(estate.client.ec2("DescribeVpcs", &[]).await.is_ok(), expected);
    }
    estate.double.clock().advance(Duration::from_secs(1));
    assert_eq!((describe().await, describe().await), (Ok(()), Err(refused("Throttling"))));
    let limited = estate.client.ec2("DescribeVpcs", &[]).await.and(estate.client.ec2("DescribeVpcs", &[]).await);
    assert_eq!(limited, Err(Failure::Refused("RequestLimitExceeded".to_owned(), 503)));
}
