//! A registration is for one pod. AWS knows addresses only, and an address goes to another pod.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use portolan_aws_double::Service as Api;
use portolan_core::balancer::Published;

use super::stage::{End, Stage, annotate, on_stage, service};
use crate::emulated::REGION;

const PODS: [IpAddr; 3] = [address(20), address(21), address(22)];

const fn address(last: u8) -> IpAddr {
    IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 100, last))
}

/// A Service whose port goes to these pods, which AWS has found healthy.
async fn served(stage: &mut Stage, pods: &[(IpAddr, &str)]) {
    let mut web = service("web", 1);
    annotate(&mut web, "nlb-target-type", "ip");
    stage.add(web);
    stage.pods("web", pods);
    stage.settled("web").await;
    assert_eq!(open(stage), pods.len());
}

/// How many pods have been found healthy by what the gates are told.
fn open(stage: &Stage) -> usize {
    stage.kept["web"].outcome.as_ref().unwrap().healthy.len()
}

/// How the targets of Service `web` are, by AWS.
async fn by_aws(stage: &Stage) -> BTreeMap<String, String> {
    let there = stage.inventory().await;
    let hostname = match &stage.kept["web"].published[0] {
        Published::Hostname { hostname } => hostname.clone(),
        other => panic!("{other:?}"),
    };
    let name = there.balancers.keys().find(|name| hostname.starts_with(name.as_str())).unwrap();
    let (_, groups) = &there.listeners[&(name.clone(), 80)];
    let arn = &there.groups[groups.first().unwrap()];
    let pairs = [("TargetGroupArn", arn.as_str())];
    let answer = stage.double.by_hand(Api::ElasticLoadBalancing, REGION, "DescribeTargetHealth", &pairs).await.unwrap();
    let result = answer.child("DescribeTargetHealthResult").unwrap();
    let all = result.child("TargetHealthDescriptions").map(|set| set.children.clone()).unwrap_or_default();
    let text = |one: &portolan_aws_double::xml::Element, path: &[&str]| one.text_at(path).unwrap().to_owned();
    all.iter().map(|one| (text(one, &["Target", "Id"]), text(one, &["TargetHealth", "State"]))).collect()
}

async fn pass(stage: &mut Stage) {
    let end = stage.pass("web").await;
    assert!(matches!(end, End::Settled), "{}", end.message());
}

#[tokio::test]
async fn a_pod_that_comes_to_an_address_is_registered_anew_and_is_not_taken_for_healthy_because_of_the_one_before_it() {
    on_stage("another pod", async |mut stage| {
        served(&mut stage, &[(PODS[0], "old"), (PODS[1], "other")]).await;
        for restarts in [false, true] {
            let uid = if restarts { "newest" } else { "new" };
            stage.pods("web", &[(PODS[0], uid), (PODS[1], "other")]);
            if restarts {
                stage.restart();
            }
            let mark = stage.mark();
            pass(&mut stage).await;
            assert_eq!(stage.writes(mark), ["DeregisterTargets", "RegisterTargets"], "restarted: {restarts}");
            // After a restart nobody has looked at the other one yet: only the tags of the group were.
            assert_eq!(open(&stage), usize::from(!restarts), "only the other one is healthy");
            assert_eq!(by_aws(&stage).await[&PODS[0].to_string()], "initial");
            stage.settled("web").await;
            assert_eq!(open(&stage), 2);
            let mark = stage.mark();
            stage.restart();
            stage.settled("web").await;
            assert_eq!(stage.writes(mark), [""; 0], "the record says for whom it was registered");
        }
    })
    .await;
}

#[tokio::test]
async fn where_pods_follow_one_another_at_the_same_addresses_most_of_them_are_healthy_all_the_time() {
    on_stage("all at once", async |mut stage| {
        let of = |uids: [&'static str; 3]| PODS.into_iter().zip(uids).collect::<Vec<_>>();
        served(&mut stage, &of(["a", "b", "c"])).await;
        stage.pods("web", &of(["d", "e", "f"]));
        let mut anew = 0;
        for _ in 0..60 {
            let mark = stage.mark();
            pass(&mut stage).await;
            anew += stage.writes(mark).iter().filter(|action| *action == "DeregisterTargets").count();
            let healthy = by_aws(&stage).await.values().filter(|state| *state == "healthy").count();
            assert!(healthy >= 2, "one at a time: {:?}", by_aws(&stage).await);
            assert!(open(&stage) <= anew, "nobody is healthy but by an own registration");
            stage.advance(Duration::from_secs(5));
        }
        assert_eq!((anew, open(&stage)), (3, 3));
    })
    .await;
}

#[tokio::test]
async fn an_address_that_a_pod_of_another_service_has_leaves_at_once_and_before_anything_else() {
    on_stage("another tenant", async |mut stage| {
        served(&mut stage, &[(PODS[0], "a"), (PODS[1], "b")]).await;
        let mut shop = service("shop", 1);
        annotate(&mut shop, "nlb-target-type", "ip");
        stage.add(shop);
        // Its successor is not healthy yet, so that it would stay.
        let start = stage.mark();
        stage.pods("web", &[(PODS[2], "c"), (PODS[1], "b")]);
        pass(&mut stage).await;
        assert_eq!(stage.writes(start), ["RegisterTargets"]);
        for (uid, leaves) in [("a", false), ("tenant", true)] {
            stage.pods("shop", &[(PODS[0], uid)]);
            let mark = stage.mark();
            pass(&mut stage).await;
            let expected: &[&str] = if leaves { &["DeregisterTargets"] } else { &[] };
            assert_eq!(stage.writes(mark), expected, "the address is that of {uid}");
        }
        assert_eq!(by_aws(&stage).await[&PODS[0].to_string()], "draining");
        // Before others come, too; also by what only the record remembers.
        stage.settled("web").await;
        stage.restart();
        stage.pods("shop", &[(PODS[1], "tenant")]);
        stage.pods("web", &[(PODS[2], "c"), (address(23), "d")]);
        let mark = stage.mark();
        pass(&mut stage).await;
        assert_eq!(stage.writes(mark), ["DeregisterTargets", "RegisterTargets"]);
        assert_eq!(by_aws(&stage).await[&PODS[1].to_string()], "draining");
        assert_eq!(by_aws(&stage).await[&address(23).to_string()], "initial");
    })
    .await;
}

#[tokio::test]
async fn a_pod_that_terminates_stays_until_another_one_takes_its_traffic() {
    on_stage("terminating", async |mut stage| {
        served(&mut stage, &[(PODS[0], "a")]).await;
        stage.endpoints("web", &[(PODS[0], "a", true), (PODS[1], "b", false)]);
        let mark = stage.mark();
        pass(&mut stage).await;
        assert_eq!(stage.writes(mark), ["RegisterTargets"]);
        stage.settled("web").await;
        assert_eq!(stage.writes(mark), ["RegisterTargets", "DeregisterTargets"]);
    })
    .await;
}

#[tokio::test]
async fn after_a_restart_targets_that_were_replaced_meanwhile_stay_until_others_are_healthy() {
    on_stage("replaced while down", async |mut stage| {
        served(&mut stage, &[(PODS[0], "a"), (PODS[1], "b")]).await;
        stage.restart();
        stage.pods("web", &[(PODS[1], "b"), (PODS[2], "c")]);
        let mark = stage.mark();
        pass(&mut stage).await;
        assert_eq!(stage.writes(mark), ["RegisterTargets"]);
        stage.settled("web").await;
        assert_eq!(stage.writes(mark), ["RegisterTargets", "DeregisterTargets"]);
        // Where nobody comes, nobody is waited for.
        stage.restart();
        stage.pods("web", &[(PODS[1], "b")]);
        let mark = stage.mark();
        pass(&mut stage).await;
        assert_eq!(stage.writes(mark), ["DeregisterTargets"]);
    })
    .await;
}
