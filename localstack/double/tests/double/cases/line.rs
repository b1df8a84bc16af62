//! The thin line: forward, count, log.

use jiff::{SignedDuration, Timestamp};
use portolan_aws_double::{Caller, Outcome, Query, Service};

use crate::client::{Answer, Failure, all, first, members, refused};
use crate::emulator::{REGION, World};

pub(crate) async fn a_balancer_comes_through_with_aws_s_own_arn_and_name(world: World) {
    let estate = world.estate().await;
    let made = estate.create_balancer("web", &[]).await.unwrap();
    let arn = first(&made, "LoadBalancers", "LoadBalancerArn");
    let prefix =
        format!("arn:aws:elasticloadbalancing:{REGION}:{}:loadbalancer/net/web/", estate.double.account().unwrap());
    assert!(arn.starts_with(&prefix), "{arn}");
    let id = arn.rsplit('/').next().unwrap();
    let described = estate.client.elb("DescribeLoadBalancers", &[("Names.member.1", "web")]).await.unwrap();
    assert_eq!(first(&described, "LoadBalancers", "LoadBalancerArn"), arn);
    assert_eq!(first(&described, "LoadBalancers", "DNSName"), format!("web-{id}.elb.{REGION}.amazonaws.com"));
    assert_eq!(first(&described, "LoadBalancers", "Type"), "network");
    assert_eq!(first(&described, "LoadBalancers", "VpcId"), estate.seed.vpc);
    let zones = members(&described, "LoadBalancers")[0].child("AvailabilityZones").unwrap().children.iter();
    let zones: Vec<_> = zones.map(|zone| zone.text_at(&["ZoneName"]).unwrap().to_owned()).collect();
    assert_eq!(zones, [format!("{REGION}a"), format!("{REGION}b")]);
    // Its listener says `net` too, and AWS's form finds both again.
    let group = estate.group("web", "TCP", "ip").await;
    let listener = estate.listener(&arn, "TCP", "80", &group).await;
    assert!(listener.contains(&format!(":listener/net/web/{id}/")), "{listener}");
    let listeners = estate.client.elb("DescribeListeners", &[("LoadBalancerArn", &arn)]).await.unwrap();
    assert_eq!(all(&listeners, "Listeners", &["ListenerArn"]), [listener.as_str()]);
    assert_eq!(all(&listeners, "Listeners", &["LoadBalancerArn"]), [arn.as_str()]);
    estate.group("of-nobody", "TCP", "ip").await;
    let groups = estate.client.elb("DescribeTargetGroups", &[("LoadBalancerArn", &arn)]).await.unwrap();
    assert_eq!(all(&groups, "TargetGroups", &["TargetGroupArn"]), [group]);
    assert_eq!(all(&groups, "TargetGroups", &["LoadBalancerArns", "member"]), [arn]);
}

pub(crate) async fn every_call_is_counted_by_action_and_caller_and_logged_in_order(world: World) {
    let estate = world.estate().await;
    let log = estate.double.log();
    let one = estate.client.clone().named("AKIDONE", "case-one");
    one.elb("DescribeLoadBalancers", &[]).await.unwrap();
    let mark = log.mark();
    assert_eq!(mark, 1, "the seed is in no log");
    let arn = estate.balancer("web").await;
    one.elb("DescribeTags", &[("ResourceArns.member.1", &arn)]).await.unwrap();
    one.ec2("DescribeVpcs", &[]).await.unwrap();
    one.elb("DescribeLoadBalancers", &[("Names.member.1", "gone")]).await.unwrap_err();
    let calls = log.wait_for(|calls| calls.len() >= 5).await;
    let actions: Vec<&str> = calls.iter().map(|call| call.action.as_str()).collect();
    assert_eq!(
        actions,
        ["DescribeLoadBalancers", "CreateLoadBalancer", "DescribeTags", "DescribeVpcs", "DescribeLoadBalancers"]
    );
    assert!(calls[1].is_about("web") && calls[1].is_about(&arn) && calls[2].is_about(&arn));
    assert_eq!(calls[2].outcome, Outcome::Answered);
    assert_eq!(
        calls[4].outcome,
        Outcome::Refused { code: "LoadBalancerNotFound".to_owned(), status: 400, effect: false }
    );
    assert_eq!(calls.iter().filter(|call| call.is_mutating()).count(), 1);
    assert_eq!(log.counts(mark).get("DescribeLoadBalancers"), Some(&1));
    let one = Caller { access_key: "AKIDONE".to_owned(), case: Some("case-one".to_owned()) };
    let by_caller = log.counts_by_caller(0);
    assert_eq!(by_caller.get(&(one, "DescribeLoadBalancers".to_owned())), Some(&2));
    let test = Caller { access_key: "AKIDTEST".to_owned(), case: None };
    assert_eq!(by_caller.get(&(test, "CreateLoadBalancer".to_owned())), Some(&1));
}

pub(crate) async fn what_is_there_is_seen_without_a_call_and_changed_by_another_hand(world: World) {
    let estate = world.estate().await;
    assert!(estate.double.inventory(REGION).await.is_empty());
    let (balancer, group) = (estate.balancer("web").await, estate.group("pods", "TCP", "ip").await);
    let listener = estate.listener(&balancer, "TCP", "80", &group).await;
    estate.register(&group, &["10.0.100.1@8080"]).await.unwrap();
    let mark = estate.double.log().mark();
    let there = estate.double.inventory(REGION).await;
    assert_eq!(estate.double.log().mark(), mark);
    assert_eq!((there.balancers.get("web"), there.groups.get("pods")), (Some(&balancer), Some(&group)));
    let pods = std::collections::BTreeSet::from(["pods".to_owned()]);
    assert_eq!(there.listeners.get(&("web".to_owned(), 80)), Some(&("TCP".to_owned(), pods)));
    assert!(there.targets.get("pods").unwrap().contains(&("10.0.100.1".to_owned(), 8080)));
    let hand = async |action, parameter, arn: &str| {
        let done = estate.double.by_hand(Service::ElasticLoadBalancing, REGION, action, &[(parameter, arn)]).await;
        done.map(|_| ()).map_err(|refusal| refusal.code)
    };
    assert_eq!(hand("DeleteTargetGroup", "TargetGroupArn", &group).await, Err("ResourceInUse".to_owned()));
    assert_eq!(hand("DeleteListener", "ListenerArn", &listener).await, Ok(()));
    assert_eq!(hand("DeleteTargetGroup", "TargetGroupArn", &group).await, Ok(()));
    assert_eq!(hand("DeleteLoadBalancer", "LoadBalancerArn", &balancer).await, Ok(()));
    assert!(estate.double.inventory(REGION).await.is_empty());
    assert_eq!(estate.double.log().calls_since(mark).iter().filter(|call| call.caller.access_key == "HAND").count(), 4);
}

pub(crate) async fn a_double_that_is_started_again_takes_over_what_is_there(world: World) {
    let before = world.estate().await;
    let tagged = [("Tags.member.1.Key", "a"), ("Tags.member.1.Value", "b")];
    let balancer = first(&before.create_balancer("web", &tagged).await.unwrap(), "LoadBalancers", "LoadBalancerArn");
    let http = [("HealthCheckProtocol", "HTTP"), ("HealthCheckPath", "/up")];
    let group =
        first(&before.create_group("nodes", "TCP", "instance", &http).await.unwrap(), "TargetGroups", "TargetGroupArn");
    let listener = before.listener(&balancer, "TCP", "80", &group).await;
    before.register(&group, &[&before.seed.instances[0]]).await.unwrap();
    let after = world.after(&before).await;
    let described = after.client.elb("DescribeLoadBalancers", &[]).await.unwrap();
    assert_eq!(all(&described, "LoadBalancers", &["LoadBalancerArn"]), [balancer.as_str()]);
    assert_eq!(after.double.inventory(REGION).await, before.double.inventory(REGION).await);
    // What is the same is the same again, so the settings were understood.
    assert_eq!(after.balancer("web").await, balancer);
    assert!(after.create_group("nodes", "TCP", "instance", &http).await.is_ok());
    assert_eq!(after.listener(&balancer, "TCP", "80", &group).await, listener);
    assert_eq!(after.health(&group).await, [format!("{}@80 healthy -", after.seed.instances[0])]);
}

pub(crate) async fn the_seed_is_planted_once(world: World) {
    let estate = world.estate().await;
    let seed = &estate.seed;
    assert_eq!(
        [seed.public_subnets.len(), seed.private_subnets.len(), seed.instances.len(), seed.allocations.len()],
        [3; 4]
    );
    assert_eq!(estate.double.seed(REGION, "prod").await.unwrap(), *seed);
    let nodes = estate.client.ec2("DescribeInstances", &[("InstanceId.1", &seed.instances[0])]).await.unwrap();
    let node = nodes.at(&["reservationSet", "item", "instancesSet", "item"]).unwrap();
    assert_eq!(node.text_at(&["groupSet", "item", "groupId"]), Some(&*seed.security_group));
    assert_eq!(node.text_at(&["subnetId"]), Some(&*seed.private_subnets[0]));
    let subnets = estate
        .client
        .ec2("DescribeSubnets", &[("Filter.1.Name", "vpc-id"), ("Filter.1.Value.1", &seed.vpc)])
        .await
        .unwrap();
    let subnets = &subnets.child("subnetSet").unwrap().children;
    let with_ipv6 =
        |one: &&portolan_aws_double::xml::Element| one.at(&["ipv6CidrBlockAssociationSet", "item"]).is_some();
    let mut zones: Vec<_> =
        subnets.iter().filter(with_ipv6).map(|one| one.text_at(&["availabilityZone"]).unwrap()).collect();
    zones.sort_unstable();
    assert_eq!((subnets.len(), zones), (6, vec!["eu-central-1a", "eu-central-1a", "eu-central-1b", "eu-central-1b"]));
}

pub(crate) async fn a_request_without_a_signature_is_refused(world: World) {
    let estate = world.estate().await;
    let unsigned = estate.client.send(None, "Action=DescribeLoadBalancers&Version=2015-12-01".to_owned()).await;
    assert_eq!(unsigned, Err(Failure::Refused("MissingAuthenticationToken".to_owned(), 403)));
}

pub(crate) async fn credentials_are_got_without_credentials(world: World) {
    let estate = world.estate_with(|builder| builder.secret("AKIDTEST", "secret")).await;
    let role = format!("arn:aws:iam::{}:role/portolan", estate.double.account().unwrap());
    let query = Query::of([
        ("Action", "AssumeRoleWithWebIdentity"),
        ("Version", "2011-06-15"),
        ("RoleArn", &*role),
        ("RoleSessionName", "test"),
        ("WebIdentityToken", "header.payload.signature"),
    ]);
    let assumed = estate.client.send(None, query.encode()).await.unwrap();
    let key = assumed.text_at(&["AssumeRoleWithWebIdentityResult", "Credentials", "AccessKeyId"]);
    assert!(key.is_some_and(|key| !key.is_empty()), "{}", assumed.document());
    assert_eq!(estate.double.log().counts(0).get("AssumeRoleWithWebIdentity"), Some(&1));
}

pub(crate) async fn a_key_that_the_double_does_not_know_is_turned_away(world: World) {
    let estate = world.estate_with(|builder| builder.secret("AKIDTEST", "secret")).await;
    let code = |answer: Answer| answer.map(|_| ()).unwrap_err();
    let unsigned = code(estate.client.elb("DescribeLoadBalancers", &[]).await);
    assert_eq!(unsigned, Failure::Refused("SignatureDoesNotMatch".to_owned(), 403));
    let other = estate.client.clone().named("AKIDOTHER", "x");
    assert_eq!(
        code(other.elb("DescribeLoadBalancers", &[]).await),
        Failure::Refused("InvalidClientTokenId".to_owned(), 403)
    );
    assert_eq!(code(other.ec2("DescribeVpcs", &[]).await), Failure::Refused("AuthFailure".to_owned(), 401));
    assert_eq!(estate.double.log().calls().len(), 3);
}

pub(crate) async fn a_clock_that_is_off_is_told_by_the_date_of_the_answer(world: World) {
    let estate = world.estate().await;
    let scope =
        format!("AWS4-HMAC-SHA256 Credential=A/20261122/{REGION}/elasticloadbalancing/aws4_request, Signature=0");
    let at = async |at: Timestamp| {
        let stamp = at.strftime("%Y%m%dT%H%M%SZ").to_string();
        let body = "Action=DescribeLoadBalancers&Version=2015-12-01".to_owned();
        estate.client.send_at(Some(&scope), Some(&stamp), body).await.map(|_| ())
    };
    assert_eq!(at(Timestamp::now()).await, Ok(()));
    estate.double.skew(SignedDuration::from_hours(1));
    assert_eq!(at(Timestamp::now()).await, Err(refused("RequestExpired")));
    let date = estate.client.date().await;
    assert!(date.duration_since(Timestamp::now()) > SignedDuration::from_mins(59), "{date}");
    assert_eq!(at(date).await, Ok(()));
}

pub(crate) async fn other_services_pass_through(world: World) {
    let estate = world.estate().await;
    let who = estate.client.ask("sts", "2011-06-15", "GetCallerIdentity", &[]).await.unwrap();
    assert_eq!(who.text_at(&["GetCallerIdentityResult", "Account"]), estate.double.account());
    assert_eq!(estate.double.log().counts(0).get("GetCallerIdentity"), Some(&1));
}

pub(crate) async fn what_is_not_played_is_refused_by_name(world: World) {
    let estate = world.estate().await;
    let code = |answer: Answer| answer.map(|_| ()).unwrap_err();
    let not_played = || Failure::Refused("NotPlayedByTheDouble".to_owned(), 501);
    assert_eq!(code(estate.client.elb("CreateRule", &[]).await), not_played());
    assert_eq!(
        code(estate.client.elb("CreateLoadBalancer", &[("Name", "web"), ("Subnets.member.1", "subnet-1")]).await),
        not_played()
    );
}
