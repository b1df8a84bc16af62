//! What can go wrong between us and AWS, and how each ends.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use portolan_aws::client::budget::Limit;
use portolan_aws::client::ec2::filter::Filters;
use portolan_aws::client::ec2::groups::{NewSecurityGroup, Rule, Source, Traffic};
use portolan_aws::client::elb::targets::{Target, To};
use portolan_aws::client::error::Problem;
use portolan_aws::client::names::{InstanceId, LoadBalancerArn, TargetGroupArn};
use portolan_aws::client::{Limits, Options, Patience};
use portolan_aws::ids::Id;
use portolan_core::provider::{Error as ProviderError, ErrorKind};

use super::scripted::{Request, Say, Scripted, done, ec2, ec2_error, elb, elb_error};
use crate::emulated::connect;

const NO_SUBNETS: &str = "<DescribeSubnetsResponse><subnetSet/></DescribeSubnetsResponse>";

/// Says this first, and then what the API says when there is nothing.
async fn first(what: Say, times: usize) -> Scripted {
    Scripted::start(move |request, before| match request.action() {
        _ if before < times => what.clone(),
        "DescribeSubnets" => Say::Xml(200, NO_SUBNETS.to_owned()),
        "DescribeLoadBalancers" => elb("DescribeLoadBalancers", "<LoadBalancers/>"),
        "CreateSecurityGroup" => ec2("CreateSecurityGroup", "<groupId>sg-1</groupId>"),
        action => done(action),
    })
    .await
}

fn new_group() -> NewSecurityGroup {
    let vpc = Id::parse("vpc-1").unwrap();
    NewSecurityGroup { name: "n".to_owned(), description: "d".to_owned(), vpc, tags: BTreeMap::new() }
}

#[tokio::test]
async fn what_passes_is_tried_again_by_both_clients() {
    for (trouble, name) in [
        (elb_error(400, "Throttling", "Rate exceeded"), "throttled"),
        (ec2_error(503, "RequestLimitExceeded", "Request limit exceeded."), "throttled"),
        (elb_error(500, "InternalFailure", "x"), "broken"),
        (Say::Xml(503, "<html>busy</html>".to_owned()), "a page that is not AWS's"),
        (Say::HangUp, "hung up"),
        (Say::Half(format!("{NO_SUBNETS}{}", " ".repeat(400))), "half"),
    ] {
        let server = first(trouble.clone(), 2).await;
        assert_eq!(server.client().await.subnets_where(&Filters::new()).await, Ok(Vec::new()), "EC2: {name}");
        assert_eq!(server.actions().len(), 3, "EC2: {name}");
        let server = first(trouble, 2).await;
        assert_eq!(server.client().await.all_load_balancers().await, Ok(Vec::new()), "ELB: {name}");
        assert_eq!(server.actions().len(), 3, "ELB: {name}");
    }
}

#[tokio::test]
async fn after_the_last_attempt_the_trouble_is_told_as_it_is() {
    let server = first(ec2_error(503, "RequestLimitExceeded", "Request limit exceeded."), 100).await;
    let error = server.client().await.subnets_where(&Filters::new()).await.unwrap_err();
    assert_eq!((error.problem, error.request_id.as_deref()), (Problem::Throttled, Some("r-ec2")));
    assert_eq!(server.actions().len(), 3);
    let server = first(elb_error(400, "Throttling", "Rate exceeded"), 100).await;
    let error = server.client().await.all_load_balancers().await.unwrap_err();
    assert_eq!((error.problem, error.request_id.as_deref()), (Problem::Throttled, Some("r-header")));
    assert_eq!(ProviderError::from(error).kind, ErrorKind::Retry);
}

#[tokio::test]
async fn what_cannot_pass_is_asked_once() {
    let server = first(elb_error(400, "AccessDenied", "User: x is not authorized"), 100).await;
    let error = server.client().await.all_load_balancers().await.unwrap_err();
    assert_eq!((error.problem, server.actions().len()), (Problem::Denied, 1));
    let server = first(ec2_error(400, "InvalidParameterValue", "no"), 100).await;
    let error = server.client().await.subnets_where(&Filters::new()).await.unwrap_err();
    assert_eq!((error.problem, server.actions().len()), (Problem::Refused, 1));
}

#[tokio::test]
async fn a_call_that_may_have_had_its_effect_is_repeated_only_where_that_is_harmless() {
    let server = first(Say::HangUp, 1).await;
    let error = server.client().await.create_security_group(&new_group()).await.unwrap_err();
    assert_eq!((error.problem, server.actions().len()), (Problem::Unanswered, 1));
    let server = first(ec2_error(503, "RequestLimitExceeded", ""), 1).await;
    assert_eq!(server.client().await.create_security_group(&new_group()).await.unwrap().as_str(), "sg-1");
    let server = first(Say::HangUp, 1).await;
    server.client().await.delete_load_balancer(&LoadBalancerArn::new("arn")).await.unwrap();
    assert_eq!(server.actions(), ["DeleteLoadBalancer", "DeleteLoadBalancer"]);
}

#[tokio::test]
async fn an_answer_that_does_not_come_is_given_up() {
    let short = |server: &Scripted| {
        let options = server.options();
        Options { patience: Patience { attempt: Duration::from_secs(2), ..options.patience }, ..options }
    };
    let server = first(Say::Nothing, 1).await;
    let began = now();
    connect(&short(&server)).await.subnets_where(&Filters::new()).await.unwrap();
    assert!(began.elapsed() >= Duration::from_secs(2));
    let server = first(Say::Nothing, 1).await;
    connect(&short(&server)).await.all_load_balancers().await.unwrap();
    assert!(server.actions().len() > 1);
}

#[expect(clippy::disallowed_methods, reason = "the machine's clock is what is tested")]
fn now() -> Instant {
    Instant::now()
}

#[tokio::test]
async fn where_nobody_listens_nothing_had_an_effect() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let mut options = Scripted::start(|_, _| Say::HangUp).await.options();
    options.endpoint = Some(endpoint);
    let aws = connect(&options).await;
    let ec2 = aws.create_security_group(&new_group()).await.unwrap_err();
    let elb = aws.all_load_balancers().await.unwrap_err();
    assert_eq!((ec2.problem, elb.problem), (Problem::Unreachable, Problem::Unreachable));
    assert!(ec2.said.contains("refused"), "{ec2}");
}

#[tokio::test]
async fn a_clock_that_is_off_is_corrected_for_both_clients_at_once() {
    // AWS is in the year 2000.
    let server = Scripted::start(|request, _| {
        if request.header("x-amz-date").starts_with("20000101T12") {
            return match request.action() {
                "DescribeSubnets" => Say::Xml(200, NO_SUBNETS.to_owned()),
                action => elb(action, "<LoadBalancers/>"),
            };
        }
        let said = "Signature not yet current: x is still later than y";
        let refusal = if request.action() == "DescribeSubnets" { ec2_error } else { elb_error };
        let Say::Xml(status, body) = refusal(403, "SignatureDoesNotMatch", said) else { unreachable!() };
        Say::At("Sat, 01 Jan 2000 12:00:00 GMT".to_owned(), status, body)
    })
    .await;
    let aws = server.client().await;
    aws.all_load_balancers().await.unwrap();
    aws.subnets_where(&Filters::new()).await.unwrap();
    assert_eq!(server.actions(), ["DescribeLoadBalancers", "DescribeLoadBalancers", "DescribeSubnets"]);

    // Those that were signed together are refused together, and none of them is lost.
    let aws = server.client().await;
    let filters = Filters::new();
    let calls = (0..8).map(|_| aws.subnets_where(&filters));
    futures::future::try_join_all(calls).await.unwrap();
}

#[tokio::test]
async fn a_wrong_clock_that_ec2_takes_for_a_wrong_key_is_corrected_too() {
    let server = Scripted::start(|request, _| match request.header("x-amz-date").starts_with("20000101T12") {
        true => Say::Xml(200, NO_SUBNETS.to_owned()),
        false => {
            let said = "AWS was not able to validate the provided access credentials";
            let Say::Xml(status, body) = ec2_error(401, "AuthFailure", said) else { unreachable!() };
            Say::At("Sat, 01 Jan 2000 12:00:00 GMT".to_owned(), status, body)
        }
    })
    .await;
    server.client().await.subnets_where(&Filters::new()).await.unwrap();
    assert_eq!(server.actions().len(), 2);
}

#[tokio::test]
async fn where_the_clock_is_right_the_credentials_have_expired_and_are_fetched_anew_once() {
    let expired = ec2_error(400, "RequestExpired", "Request has expired.");
    let server = first(expired.clone(), 1).await;
    server.client().await.subnets_where(&Filters::new()).await.unwrap();
    let server = first(expired, 100).await;
    let error = server.client().await.subnets_where(&Filters::new()).await.unwrap_err();
    assert_eq!((error.problem, server.actions().len()), (Problem::Skewed, 2));
    assert!(error.to_string().contains("the credentials are fetched anew"), "{error}");
}

#[tokio::test]
async fn requests_of_ec2_are_signed_and_say_what_they_ask() {
    let server = first(Say::HangUp, 0).await;
    server.client().await.subnets_where(&Filters::new().tag("a b", "ü&=")).await.unwrap();
    let seen: Request = server.seen().remove(0);
    assert_eq!(seen.path, "/");
    let authorization = seen.header("authorization");
    assert!(authorization.starts_with("AWS4-HMAC-SHA256 Credential=AKIDTEST/"), "{authorization}");
    assert!(authorization.contains("/eu-central-1/ec2/aws4_request"), "{authorization}");
    assert_eq!(seen.form["Version"], "2016-11-15");
    assert_eq!((seen.form["Filter.1.Name"].as_str(), seen.form["Filter.1.Value.1"].as_str()), ("tag:a b", "ü&="));
}

#[tokio::test]
async fn pages_are_one_answer() {
    let server = Scripted::start(|request, _| {
        let page = |number: u32, next: &str| {
            let item = format!(
                "<item><subnetId>subnet-{number}</subnetId><vpcId>vpc-1</vpcId><availabilityZone>z</availabilityZone></item>"
            );
            ec2("DescribeSubnets", &format!("<nextToken>{next}</nextToken><subnetSet>{item}</subnetSet>"))
        };
        let balancer = |number: u32, next: &str| {
            let one = format!(
                "<member><LoadBalancerArn>arn-{number}</LoadBalancerArn><LoadBalancerName>n</LoadBalancerName>\
                 <State><Code>active</Code></State></member>"
            );
            elb("DescribeLoadBalancers", &format!("<LoadBalancers>{one}</LoadBalancers>{next}"))
        };
        match (request.action(), request.form.get("NextToken").or(request.form.get("Marker")).map(String::as_str)) {
            ("DescribeSubnets", None) => page(1, "two"),
            ("DescribeSubnets", Some("two")) => page(2, "three"),
            ("DescribeSubnets", Some(_)) => page(3, ""),
            (_, None) => balancer(1, "<NextMarker>two</NextMarker>"),
            (_, Some(_)) => balancer(2, ""),
        }
    })
    .await;
    let aws = server.client().await;
    let subnets = aws.subnets_where(&Filters::new().tagged("x")).await.unwrap();
    assert_eq!(
        subnets.iter().map(|subnet| subnet.id.as_str()).collect::<Vec<_>>(),
        ["subnet-1", "subnet-2", "subnet-3"]
    );
    assert!(
        server.seen().iter().all(|request| request.form["Filter.1.Value.1"] == "x"),
        "every page is asked the same"
    );
    assert_eq!(aws.all_load_balancers().await.unwrap().len(), 2);
}

fn listed(request: &Request, name: &str) -> BTreeSet<String> {
    request.form.iter().filter(|(key, _)| key.starts_with(name)).map(|(_, value)| value.clone()).collect()
}

#[tokio::test]
async fn one_missing_arn_does_not_hide_the_tags_of_the_others() {
    let server = Scripted::start(|request, _| {
        let arns = listed(request, "ResourceArns.");
        if arns.len() > 20 {
            return elb_error(400, "ValidationError", "too many");
        }
        if arns.contains("arn-07") {
            return elb_error(400, "TargetGroupNotFound", "One or more target groups not found");
        }
        let one = |arn: &String| format!("<member><ResourceArn>{arn}</ResourceArn><Tags/></member>");
        let all: String = arns.iter().map(one).collect();
        elb("DescribeTags", &format!("<TagDescriptions>{all}</TagDescriptions>"))
    })
    .await;
    let arns: Vec<String> = (0..45).map(|number| format!("arn-{number:02}")).collect();
    let tags = server.client().await.tags(&arns).await.unwrap();
    assert_eq!(tags.len(), 44);
    assert!(!tags.contains_key("arn-07"));
}

#[tokio::test]
async fn one_bad_target_does_not_keep_the_others_out() {
    let registered = Mutex::new(BTreeSet::new());
    let server = Scripted::start(move |request, _| {
        let ids = request.form.iter().filter(|(key, _)| key.ends_with(".Id"));
        let ids: BTreeSet<String> = ids.map(|(_, id)| id.clone()).collect();
        if ids.contains("i-bad") {
            return elb_error(400, "InvalidTarget", "The following targets are not in a running state: 'i-bad'");
        }
        registered.lock().unwrap().extend(ids);
        elb("RegisterTargets", "")
    })
    .await;
    let target = |id: String| Target { to: To::Instance(InstanceId::new(id)), port: 30080, zone: None };
    let mut targets: Vec<Target> = (0..250).map(|number| target(format!("i-{number}"))).collect();
    targets.insert(100, target("i-bad".to_owned()));
    let rejected = server.client().await.register(&TargetGroupArn::new("arn"), &targets).await.unwrap();
    assert_eq!(
        rejected.iter().map(|(target, error)| (target.clone(), error.problem)).collect::<Vec<_>>(),
        [(target("i-bad".to_owned()), Problem::BadTarget)]
    );
    let seen = server.seen();
    let taken = |request: &&Request| !request.form.values().any(|value| value == "i-bad");
    assert_eq!(seen.iter().filter(taken).map(|request| listed(request, "Targets.").len() - 1).sum::<usize>(), 250);
    assert!(seen.len() < 20, "{}", seen.len());
}

#[tokio::test]
async fn a_rule_that_is_there_already_does_not_keep_the_others_out() {
    let server = Scripted::start(|request, _| match request.form.values().any(|value| value == "10.0.3.0/24") {
        true => ec2_error(400, "InvalidPermission.Duplicate", "the specified rule already exists"),
        false => done(request.action()),
    })
    .await;
    let rule = |net: u32| Rule {
        traffic: Traffic::Tcp(80, 80),
        source: Source::Ipv4(format!("10.0.{net}.0/24").parse().unwrap()),
        description: None,
    };
    let rules: Vec<Rule> = (0..5).map(rule).collect();
    server.client().await.authorize_ingress(&Id::parse("sg-1").unwrap(), &rules).await.unwrap();
    let seen = server.seen();
    let made = seen.iter().filter(|request| !request.form.values().any(|value| value == "10.0.3.0/24"));
    let made: BTreeSet<String> =
        made.flat_map(|request| request.form.values().filter(|value| value.ends_with("/24")).cloned()).collect();
    assert_eq!(made.len(), 4);
    let error = server.client().await.revoke_ingress(&Id::parse("sg-1").unwrap(), &rules[3..4]).await.unwrap_err();
    assert_eq!(error.problem, Problem::Exists, "another code is no answer to a revoke");
}

#[tokio::test]
async fn the_budget_is_shared_by_all_clones_and_holds_calls_back() {
    let server = first(Say::HangUp, 0).await;
    let ec2_describe = Limit { capacity: 2.0, rate: 4.0 };
    let limits = Limits { ec2_describe, ..Limits::default() };
    let aws = connect(&Options { limits, ..server.options() }).await.lane(portolan_aws::client::Lane::Endpoints);
    let began = now();
    let filters = Filters::new();
    let calls = (0..4).map(|_| {
        let (aws, filters) = (aws.clone(), &filters);
        async move { aws.subnets_where(filters).await }
    });
    futures::future::try_join_all(calls).await.unwrap();
    assert!(
        began.elapsed() >= Duration::from_millis(500),
        "two came from the bucket, two took a quarter of a second each"
    );
}
