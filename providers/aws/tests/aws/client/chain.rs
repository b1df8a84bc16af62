//! Credentials, region and endpoints from the environment, as every program on AWS's SDKs finds them. Each case is a process of its own,
//! because the environment is: this test binary again, with one of the cases below.

use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};

use portolan_aws::client::ec2::filter::Filters;
use portolan_aws::client::error::Problem;
use portolan_aws::client::{Options, Patience};

use super::scripted::{Say, Scripted, ec2_error, elb};
use crate::emulated::connect;

/// Runs a case in a process with this environment and no other of AWS's. What it says on standard output.
async fn run(case: &str, environment: &[(&str, &str)]) {
    let mut command = tokio::process::Command::new(std::env::current_exe().unwrap());
    command.args([
        "--exact",
        &format!("{}::{case}", module_path!().trim_start_matches("aws::")),
        "--ignored",
        "--nocapture",
    ]);
    command.env_clear().env("HOME", "/nonexistent").env("AWS_EC2_METADATA_DISABLED", "true");
    command.envs(environment.iter().copied());
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output().await.unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}{}", String::from_utf8_lossy(&output.stderr));
}

const NO_SUBNETS: &str = "<DescribeSubnetsResponse><subnetSet/></DescribeSubnetsResponse>";

fn answer(action: &str) -> Say {
    match action {
        "DescribeSubnets" => Say::Xml(200, NO_SUBNETS.to_owned()),
        action => elb(action, "<LoadBalancers/>"),
    }
}

#[tokio::test]
#[ignore = "a case for a process of its own"]
async fn asks_both() {
    let aws = connect(&Options::default()).await;
    aws.all_load_balancers().await.unwrap();
    aws.subnets_where(&Filters::new()).await.unwrap();
    aws.subnets_where(&Filters::new()).await.unwrap();
}

#[tokio::test]
async fn each_api_has_its_endpoint_from_the_environment() {
    let balancers = Scripted::start(|request, _| answer(request.action())).await;
    let ec2 = Scripted::start(|request, _| answer(request.action())).await;
    let key = [
        ("AWS_ACCESS_KEY_ID", "AKIDENV"),
        ("AWS_SECRET_ACCESS_KEY", "s"),
        ("AWS_SESSION_TOKEN", "token"),
        ("AWS_REGION", "eu-west-3"),
    ];
    let apart = [
        ("AWS_ENDPOINT_URL_ELASTIC_LOAD_BALANCING_V2", balancers.endpoint.as_str()),
        ("AWS_ENDPOINT_URL_EC2", &ec2.endpoint),
    ];
    run("asks_both", &[&key[..], &apart[..]].concat()).await;
    assert_eq!(balancers.actions(), ["DescribeLoadBalancers"]);
    assert_eq!(ec2.actions(), ["DescribeSubnets", "DescribeSubnets"]);
    for request in ec2.seen().iter().chain(&balancers.seen()) {
        assert!(request.header("authorization").contains("Credential=AKIDENV/"));
        assert!(request.header("authorization").contains("/eu-west-3/"));
        assert_eq!(request.header("x-amz-security-token"), "token");
    }

    let one = Scripted::start(|request, _| answer(request.action())).await;
    run("asks_both", &[&key[..], &[("AWS_ENDPOINT_URL", one.endpoint.as_str())][..]].concat()).await;
    assert_eq!(one.actions().len(), 3);
}

#[tokio::test]
async fn credentials_of_a_container_are_fetched_once_for_both_and_again_when_aws_says_that_they_have_expired() {
    let fetched = AtomicUsize::new(0);
    let server = Scripted::start(move |request, _| {
        if request.path == "/credentials" {
            let number = fetched.fetch_add(1, Ordering::SeqCst) + 1;
            let expires = "2999-01-01T00:00:00Z";
            return Say::Xml(200, format!(r#"{{"AccessKeyId": "AKID{number}", "SecretAccessKey": "s", "Token": "t", "Expiration": "{expires}"}}"#));
        }
        match request.action() {
            "DescribeSubnets" if request.header("authorization").contains("Credential=AKID1/") => {
                ec2_error(400, "ExpiredToken", "The security token included in the request is expired")
            }
            action => answer(action),
        }
    })
    .await;
    let credentials = format!("{}/credentials", server.endpoint);
    let environment = [
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", credentials.as_str()),
        ("AWS_REGION", "eu-west-3"),
        ("AWS_ENDPOINT_URL", &server.endpoint),
    ];
    run("asks_both", &environment).await;
    let seen = server.seen();
    let who = |request: &super::scripted::Request| match request.header("authorization").split_once("Credential=") {
        Some((_, rest)) => format!("{} {}", request.action(), rest.split('/').next().unwrap()),
        None => request.path.clone(),
    };
    assert_eq!(
        seen.iter().map(who).collect::<Vec<_>>(),
        [
            "/credentials",
            "DescribeLoadBalancers AKID1",
            "DescribeSubnets AKID1",
            "/credentials",
            "DescribeSubnets AKID2",
            "DescribeSubnets AKID2"
        ]
    );
}

/// Who asked, of the calls to ELB and EC2.
fn callers(server: &Scripted) -> Vec<String> {
    let key = |header: &str| Some(header.split_once("Credential=")?.1.split('/').next()?.to_owned());
    let asked = server
        .seen()
        .into_iter()
        .filter(|request| ["DescribeSubnets", "DescribeLoadBalancers"].contains(&request.action()));
    asked.filter_map(|request| key(request.header("authorization"))).collect()
}

const THREE_TIMES: [&str; 3] = ["AKIDROLE"; 3];

#[tokio::test]
async fn an_instance_tells_its_role_s_credentials_and_its_region() {
    let server = Scripted::start(|request, _| {
        let keys = r#"{"Code": "Success", "Type": "AWS-HMAC", "AccessKeyId": "AKIDROLE", "SecretAccessKey": "s", "Token": "t",
                       "LastUpdated": "2026-01-01T00:00:00Z", "Expiration": "2999-01-01T00:00:00Z", "AccountId": "123456789012"}"#;
        let text = |text: &str| Say::Xml(200, text.to_owned());
        match request.path.trim_end_matches('/') {
            "/latest/api/token" => Say::Token("v2".to_owned()),
            path if path.starts_with("/latest") && request.header("x-aws-ec2-metadata-token") != "v2" => Say::Xml(401, String::new()),
            "/latest/meta-data/placement/region" => text("eu-west-3"),
            path if path.ends_with("/security-credentials") || path.ends_with("/security-credentials-extended") => text("node"),
            path if path.ends_with("/node") => text(keys),
            _ => answer(request.action()),
        }
    })
    .await;
    let environment = [
        ("AWS_EC2_METADATA_DISABLED", "false"),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", server.endpoint.as_str()),
        ("AWS_ENDPOINT_URL", &server.endpoint),
    ];
    run("asks_both", &environment).await;
    assert_eq!(callers(&server), THREE_TIMES);
}

#[tokio::test]
async fn a_web_identity_becomes_a_role() {
    let server = Scripted::start(|request, _| match request.action() {
        "AssumeRoleWithWebIdentity" => {
            assert_eq!((request.form["WebIdentityToken"].as_str(), request.form["RoleArn"].as_str()), ("jwt", "arn:aws:iam::123456789012:role/r"));
            elb(
                "AssumeRoleWithWebIdentity",
                "<Credentials><AccessKeyId>AKIDROLE</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>\
                 <Expiration>2999-01-01T00:00:00Z</Expiration></Credentials><AssumedRoleUser><AssumedRoleId>A:b</AssumedRoleId>\
                 <Arn>arn:aws:sts::123456789012:assumed-role/r/b</Arn></AssumedRoleUser>",
            )
        }
        action => answer(action),
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "jwt").unwrap();
    let environment = [
        ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/r"),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", token.to_str().unwrap()),
        ("AWS_REGION", "eu-west-3"),
        ("AWS_ENDPOINT_URL", &server.endpoint),
    ];
    run("asks_both", &environment).await;
    assert_eq!(callers(&server), THREE_TIMES);
}

#[tokio::test]
async fn a_profile_has_keys_a_region_and_endpoints_of_each_api() {
    let balancers = Scripted::start(|request, _| answer(request.action())).await;
    let ec2 = Scripted::start(|request, _| answer(request.action())).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config");
    let profile = format!(
        "[profile p]\nregion = eu-west-3\naws_access_key_id = AKIDROLE\naws_secret_access_key = s\nservices = here\n\
         [services here]\nelastic_load_balancing_v2 =\n  endpoint_url = {}\nec2 =\n  endpoint_url = {}\n",
        balancers.endpoint, ec2.endpoint
    );
    std::fs::write(&file, profile).unwrap();
    run("asks_both", &[("AWS_CONFIG_FILE", file.to_str().unwrap()), ("AWS_PROFILE", "p")]).await;
    assert_eq!((callers(&balancers), callers(&ec2)), (vec!["AKIDROLE".to_owned()], vec!["AKIDROLE".to_owned(); 2]));
}

#[tokio::test]
#[ignore = "a case for a process of its own"]
async fn has_no_credentials() {
    let patience = Patience { attempts: 1, ..Patience::default() };
    let aws = connect(&Options { region: Some("eu-west-3".to_owned()), patience, ..Options::default() }).await;
    let error = aws.subnets_where(&Filters::new()).await.unwrap_err();
    assert_eq!(error.problem, Problem::NoCredentials);
    assert!(error.to_string().contains("web identity (IRSA)"), "{error}");
    assert_eq!(aws.all_load_balancers().await.unwrap_err().problem, Problem::NoCredentials);
}

#[tokio::test]
async fn without_credentials_the_error_says_where_they_could_come_from() {
    run("has_no_credentials", &[]).await;
}

#[tokio::test]
#[ignore = "a case for a process of its own"]
async fn has_no_region() {
    let clock = std::sync::Arc::new(portolan_aws::clock::SystemClock::start());
    let error = portolan_aws::client::Aws::connect(&Options::default(), clock).await.unwrap_err();
    assert_eq!(error, portolan_aws::client::ConnectError::NoRegion);
}

#[tokio::test]
async fn without_a_region_there_is_no_client() {
    run("has_no_region", &[]).await;
}
