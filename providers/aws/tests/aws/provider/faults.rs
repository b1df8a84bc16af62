//! What goes wrong at AWS, and how each ends; what AWS allows only so often and only so many of is in `provider/limits.rs`.

use std::collections::BTreeMap;
use std::time::Duration;

use portolan_aws::ids::ClusterName;
use portolan_aws::names::Names;
use portolan_aws_double::{Effect, Fault, Outcome, Service as Api, Timings};
use portolan_core::balancer::Protocol;
use portolan_core::examples;
use portolan_core::ids::Instance;
use portolan_core::provider::{Error, ErrorKind};
use portolan_core::reason::Reason;
use serde_json::json;

use super::stage::{End, SOON, Stage, annotate, on, on_stage, once, service};
use crate::emulated::{CLUSTER, REGION};

fn refusals(stage: &Stage, code: &str) -> usize {
    let is = |outcome: &Outcome| matches!(outcome, Outcome::Refused { code: said, .. } if said == code);
    stage.calls(0).iter().filter(|call| is(&call.outcome)).count()
}

#[tokio::test]
async fn credentials_that_expire_on_the_way_are_fetched_anew() {
    on_stage("expired", async |mut stage| {
        stage.add(service("web", 1));
        for call in [2, 5, 8] {
            stage.double.faults().arm(Fault::on_any(Effect::ExpiredToken).nth(call));
        }
        assert_eq!(stage.pass("web").await.message(), "");
        assert_eq!(stage.double.faults().armed(), 0);
        stage.double.faults().arm(Fault::on_any(Effect::ExpiredToken).always());
        stage.add(service("other", 1));
        let end = stage.pass("other").await;
        assert!(end.message().contains("the credentials are fetched anew"), "{}", end.message());
    })
    .await;
}

#[tokio::test]
async fn a_clock_that_is_an_hour_off_is_corrected() {
    on_stage("skew", async |mut stage| {
        stage.double.skew(Duration::from_secs(3600).try_into().unwrap());
        stage.add(service("web", 1));
        assert!(matches!(stage.pass("web").await, End::Settled));
        assert_eq!(stage.inventory().await.listeners.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn an_answer_of_500_before_or_after_its_effect_changes_nothing_of_the_end() {
    on_stage("500", async |mut stage| {
        for effect in [Effect::ErrorBefore, Effect::ErrorAfter] {
            for call in 1..=7 {
                stage.add(service("web", 1));
                stage.double.faults().arm(Fault::on_mutating(effect.clone()).nth(call));
                for _ in 0..3 {
                    stage.pass("web").await;
                    stage.advance(Duration::from_secs(10));
                }
                if call <= 6 {
                    assert_eq!(stage.double.faults().armed(), 0);
                }
                let there = stage.inventory().await;
                let counts = (there.balancers.len(), there.groups.len(), there.listeners.len());
                assert_eq!((counts, stage.security_groups().await.len()), ((1, 1, 1), 1), "{effect:?} at {call}");
                assert_eq!(there.targets.values().next().unwrap().len(), 3, "{effect:?} at {call}");
                stage.double.faults().disarm();
                stage.delete("web");
                stage.settled("web").await;
                stage.assert_nothing_left().await;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn what_is_made_and_not_described_yet_is_not_made_twice() {
    let late = Timings { visibility: Duration::from_secs(60), ..SOON };
    on(
        "lag",
        json!({}),
        |double| double.timings(late),
        async |mut stage| {
            stage.options.patience = once();
            stage.restart();
            stage.add(service("web", 1));
            for action in ["CreateTargetGroup", "CreateLoadBalancer", "CreateListener"] {
                stage.double.faults().arm(Fault::on(action, Effect::LoseResponse));
                stage.step("web").await;
                stage.restart();
            }
            stage.settled("web").await;
            let there = stage.inventory().await;
            assert_eq!((there.balancers.len(), there.groups.len(), there.listeners.len()), (1, 1, 1));
            stage.delete("web");
            stage.settled("web").await;
            stage.assert_nothing_left().await;
        },
    )
    .await;
}

#[tokio::test]
async fn what_aws_does_not_show_yet_is_waited_for_and_not_taken_for_somebody_elses() {
    let late = Timings { visibility: Duration::from_secs(5), ..SOON };
    on(
        "not shown yet",
        json!({}),
        |double| double.timings(late),
        async |mut stage| {
            stage.add(service("web", 1));
            let mark = stage.mark();
            let mut ends = Vec::new();
            for _ in 0..3 {
                let end = stage.pass("web").await;
                let End::Failed(Error { kind: ErrorKind::Wait(at_most), .. }) = &end else { panic!("{end:?}") };
                ends.push(end.message());
                stage.advance(*at_most);
            }
            assert_eq!(ends, ["AWS has made it, and does not show it yet"; 3], "no word of anybody else");
            stage.settled("web").await;
            let asked = stage.calls(mark).iter().filter(|call| call.action == "DescribeTags").count();
            assert_eq!(asked, 4, "three in vain");
            let made = stage.writes(mark).iter().filter(|action| action.starts_with("Create")).count();
            assert_eq!(made, 5, "each once");
        },
    )
    .await;
}

#[tokio::test]
async fn pages_of_one_item_hide_nothing() {
    on_stage("pages", async |mut stage| {
        stage.double.faults().arm(Fault::on_any(Effect::CutPages(1)).always());
        stage.add(service("web", 3));
        stage.pass("web").await;
        stage.advance(Duration::from_secs(10));
        stage.restart();
        let mark = stage.mark();
        stage.settled("web").await;
        assert_eq!(stage.writes(mark), [] as [String; 0], "all that was made is found");
        stage.delete("web");
        stage.restart();
        stage.settled("web").await;
        stage.assert_nothing_left().await;
    })
    .await;
}

#[tokio::test]
async fn what_aws_has_not_let_go_of_yet_is_deleted_later() {
    on_stage("in use", async |mut stage| {
        stage.add(service("web", 2));
        stage.settled("web").await;
        stage.delete("web");
        let end = stage.pass("web").await;
        assert!(end.message().contains("it is tried again until nothing does"), "{}", end.message());
        stage.settled("web").await;
        stage.assert_nothing_left().await;
        assert!(refusals(&stage, "ResourceInUse") > 0);
        assert!(refusals(&stage, "DependencyViolation") > 0);
    })
    .await;
}

fn names(stage: &Stage, name: &str) -> Names {
    Names::new(&ClusterName::parse(CLUSTER).unwrap(), &Instance::default(), &stage.id(name))
}

/// A balancer of somebody else's, that is just as ours would be.
async fn with_a_twin(case: &str, twin: impl AsyncFnOnce(&mut Stage, String, BTreeMap<String, String>)) {
    on_stage(case, async |mut stage| {
        stage.add(service("web", 1));
        let name = names(&stage, "web").balancer(1);
        let subnets = &stage.seed.private_subnets;
        let pairs = [
            ("Name", name.as_str()),
            ("Type", "network"),
            ("Scheme", "internal"),
            ("Subnets.member.1", &subnets[0]),
            ("Subnets.member.2", &subnets[1]),
            ("Subnets.member.3", &subnets[2]),
        ];
        stage.double.by_hand(Api::ElasticLoadBalancing, REGION, "CreateLoadBalancer", &pairs).await.unwrap();
        let inventory = stage.inventory().await;
        let tags = inventory.tags[&inventory.balancers[&name]].clone();
        twin(&mut stage, name.clone(), tags.clone()).await;
        let now = stage.inventory().await;
        assert_eq!((&now.tags[&now.balancers[&name]], now.listeners.len()), (&tags, 0));
        stage.delete("web");
        stage.settled("web").await;
        let now = stage.inventory().await;
        assert_eq!((now.balancers.len(), now.groups.len()), (1, 0), "only theirs is left");
        assert_eq!(stage.security_groups().await, BTreeMap::new());
    })
    .await;
}

async fn is_taken(stage: &mut Stage, name: &str) {
    let end = stage.settle("web").await;
    assert_eq!(end.reason(), Some(Reason::NameTaken), "{}", end.message());
    assert!(end.message().contains(&format!("{name} exists at AWS")), "{}", end.message());
}

#[tokio::test]
async fn a_balancer_of_somebody_else_that_has_our_name_is_left_alone_and_nothing_is_made_for_ours() {
    with_a_twin("name of a balancer", async |stage, name, _| {
        // Until AWS describes it.
        stage.advance(SOON.visibility);
        let mark = stage.mark();
        is_taken(stage, &name).await;
        let made = ["CreateTargetGroup", "CreateLoadBalancer"];
        assert!(!stage.writes(mark).iter().any(|action| made.contains(&action.as_str())), "{:?}", stage.writes(mark));
        assert_eq!(stage.security_groups().await, BTreeMap::new());
    })
    .await;
}

#[tokio::test]
async fn one_that_aws_does_not_describe_yet_is_left_alone_too_and_what_was_made_beside_it_goes() {
    with_a_twin("name of a new balancer", async |stage, name, _| is_taken(stage, &name).await).await;
}

/// Makes the group that a Service has into somebody else's, and asks for it again.
async fn group_of_another(case: &str, protocol: &'static str) {
    on_stage(case, async |mut stage| {
        // What its group is called, and how it is made.
        stage.add(service("web", 1));
        stage.settled("web").await;
        let made = stage.calls(0).into_iter().find(|call| call.action == "CreateTargetGroup").unwrap();
        stage.delete("web");
        stage.settled("web").await;
        let pairs: Vec<(&str, &str)> = made
            .query
            .pairs()
            .filter(|(key, _)| !key.starts_with("Tags") && *key != "Action" && *key != "Version")
            .map(|(key, value)| if key == "Protocol" { (key, protocol) } else { (key, value) })
            .collect();
        stage.double.by_hand(Api::ElasticLoadBalancing, REGION, "CreateTargetGroup", &pairs).await.unwrap();
        let theirs = stage.inventory().await;

        let mut web = service("web", 1);
        annotate(&mut web, "target-group-attributes", "deregistration_delay.timeout_seconds=30");
        stage.add(web);
        let mark = stage.mark();
        let end = stage.settle("web").await;
        assert_eq!(end.reason(), Some(Reason::NameTaken), "{}", end.message());
        let touching = ["RegisterTargets", "ModifyTargetGroupAttributes", "ModifyTargetGroup", "AddTags"];
        assert!(
            !stage.writes(mark).iter().any(|action| touching.contains(&action.as_str())),
            "{:?}",
            stage.writes(mark)
        );
        stage.delete("web");
        stage.settled("web").await;
        assert_eq!(stage.inventory().await, theirs);
    })
    .await;
}

#[tokio::test]
async fn a_group_of_somebody_else_that_has_our_name_is_left_alone() {
    group_of_another("name of a group", "TCP_UDP").await;
}

#[tokio::test]
async fn a_group_of_somebody_else_that_is_just_as_ours_would_be_is_left_alone() {
    group_of_another("a twin", "TCP").await;
}

#[tokio::test]
async fn a_group_of_somebody_else_is_left_alone_when_a_port_is_added_too() {
    on_stage("a twin of a new port", async |mut stage| {
        let add = |service: &mut portolan_core::snapshot::Service| {
            service.ports.push(examples::port("more", 443, Protocol::Tcp, Some(30443)));
        };
        stage.add(service("web", 1));
        stage.edit("web", add);
        stage.settled("web").await;
        let made = stage.calls(0).into_iter().rfind(|call| call.action == "CreateTargetGroup").unwrap();
        stage.edit("web", |service| drop(service.ports.pop()));
        stage.settled("web").await;
        let theirs =
            made.query.pairs().filter(|(key, _)| !key.starts_with("Tags") && *key != "Action" && *key != "Version");
        let theirs: Vec<(&str, &str)> = theirs.collect();
        stage.double.by_hand(Api::ElasticLoadBalancing, REGION, "CreateTargetGroup", &theirs).await.unwrap();
        stage.edit("web", add);
        let end = stage.settle("web").await;
        assert_eq!(end.reason(), Some(Reason::NameTaken), "{}", end.message());
        let there = stage.inventory().await;
        assert_eq!((there.listeners.len(), there.targets[made.query.get("Name").unwrap()].len()), (1, 0));
    })
    .await;
}

#[tokio::test]
async fn a_security_group_of_somebody_else_that_has_our_name_is_left_alone() {
    on_stage("name of a security group", async |mut stage| {
        stage.add(service("web", 1));
        let name = names(&stage, "web").security_group(1);
        let pairs = [("GroupName", name.as_str()), ("GroupDescription", "theirs"), ("VpcId", &stage.seed.vpc)];
        stage.double.by_hand(Api::Ec2, REGION, "CreateSecurityGroup", &pairs).await.unwrap();
        let mark = stage.mark();
        let end = stage.settle("web").await;
        assert_eq!(end.reason(), Some(Reason::NameTaken), "{}", end.message());
        assert!(end.message().contains(&format!("{name} exists at AWS")), "{}", end.message());
        // AWS describes it late, so that we may try.
        let tries = stage.writes(mark).into_iter().filter(|action| action == "CreateSecurityGroup").count();
        assert!(tries <= 3, "the group that all share, and two tries: {:?}", stage.writes(mark));
        assert_eq!(stage.security_groups().await, [(name, Vec::new())].into());
    })
    .await;
}

#[tokio::test]
async fn what_the_record_says_is_in_another_region_is_neither_taken_for_gone_nor_made_again() {
    on_stage("provider::another_region", async |mut stage| {
        stage.add(service("web", 1));
        stage.settled("web").await;
        let before = stage.inventory().await;
        stage.options.region = Some("eu-central-2".to_owned());
        stage.restart();
        let mark = stage.mark();
        for deleted in [false, true] {
            stage.kept.get_mut("web").unwrap().deleted = deleted;
            let end = stage.settle("web").await;
            assert_eq!(end.reason(), Some(Reason::ProviderRefused), "{end:?}");
            assert!(end.message().contains(&format!("set region: {REGION}")), "{}", end.message());
        }
        assert_eq!(stage.writes(mark), Vec::<String>::new());

        stage.options.region = Some(REGION.to_owned());
        stage.restart();
        stage.kept.get_mut("web").unwrap().deleted = false;
        stage.settled("web").await;
        assert_eq!(stage.inventory().await, before);
        assert_eq!(stage.writes(mark), Vec::<String>::new());
    })
    .await;
}
