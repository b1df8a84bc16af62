//! A class without a shared security group: rules at the targets name the group that is kept for each load balancer alone.

use std::collections::BTreeSet;

use portolan_aws_double::Service as Api;
use portolan_aws_double::xml::Element;
use portolan_core::provider::Provider;
use serde_json::{Value, json};

use super::security::items;
use super::stage::{SOON, Stage, annotate, on, service};
use crate::emulated::REGION;

fn without_shared() -> Value {
    json!({"backendSecurityGroup": "none"})
}

/// Which groups the nodes' own lets in, and where to.
async fn let_in(stage: &Stage) -> BTreeSet<(String, String)> {
    let pairs = [("GroupId.1", stage.seed.security_group.as_str())];
    let answer = stage.double.by_hand(Api::Ec2, REGION, "DescribeSecurityGroups", &pairs).await.unwrap();
    let permissions = items(&answer, "securityGroupInfo").into_iter().flat_map(|group| items(&group, "ipPermissions"));
    let of_permission = |one: Element| {
        let ports = format!("{}-{}", one.text_at(&["fromPort"]).unwrap(), one.text_at(&["toPort"]).unwrap());
        let groups = items(&one, "groups").into_iter();
        groups.map(move |group| (group.text_at(&["groupId"]).unwrap().to_owned(), ports.clone())).collect::<Vec<_>>()
    };
    permissions.flat_map(of_permission).collect()
}

/// The groups that balancers have.
async fn carried(stage: &Stage) -> Vec<BTreeSet<String>> {
    let answer = stage.double.by_hand(Api::ElasticLoadBalancing, REGION, "DescribeLoadBalancers", &[]).await.unwrap();
    let all = items(answer.child("DescribeLoadBalancersResult").unwrap(), "LoadBalancers");
    let groups = |one: &Element| items(one, "SecurityGroups").iter().map(|group| group.text.clone()).collect();
    all.iter().map(groups).collect()
}

#[tokio::test]
async fn targets_let_in_the_group_of_the_balancer_alone_before_they_are_registered() {
    on(
        "own group",
        without_shared(),
        |double| double.timings(SOON),
        async |mut stage| {
            stage.restart_among();
            stage.add(service("web", 1));
            stage.settled("web").await;
            let own = stage.security_group_id().await;
            assert_eq!(let_in(&stage).await, [(own.clone(), "30080-30080".to_owned())].into());
            assert_eq!(carried(&stage).await, [[own].into()], "and no shared one");
            let calls: Vec<String> = stage.calls(0).iter().map(|call| call.action.clone()).collect();
            let last = |action: &str| calls.iter().rposition(|call| call == action).unwrap();
            assert!(last("AuthorizeSecurityGroupIngress") < last("RegisterTargets"), "{calls:#?}");
            assert_eq!(calls.iter().filter(|call| *call == "CreateSecurityGroup").count(), 1);

            stage.restart_among();
            let mark = stage.mark();
            stage.settled("web").await;
            assert_eq!(stage.writes(mark), [""; 0]);
            stage.delete("web");
            stage.settled("web").await;
            stage.assert_nothing_left().await;
            assert_eq!(let_in(&stage).await, BTreeSet::new());
        },
    )
    .await;
}

#[tokio::test]
async fn each_load_balancer_has_rules_of_its_own_and_takes_them_with_it() {
    on(
        "own groups",
        without_shared(),
        |double| double.timings(SOON),
        async |mut stage| {
            stage.restart_among();
            for name in ["a", "b"] {
                stage.add(service(name, 1));
                stage.settled(name).await;
            }
            let both = let_in(&stage).await;
            assert_eq!(both.len(), 2, "one each: {both:?}");
            // Whoever comes after a restart is still let in while the other one goes.
            stage.restart_among();
            stage.delete("a");
            stage.settled("b").await;
            stage.settled("a").await;
            let left = let_in(&stage).await;
            assert!(left.len() == 1 && left.is_subset(&both), "{left:?}");
            assert_eq!(carried(&stage).await, [left.into_iter().map(|(group, _)| group).collect::<BTreeSet<_>>()]);
        },
    )
    .await;
}

#[tokio::test]
async fn one_that_goes_waits_for_nobody_who_has_not_said_what_he_needs() {
    on(
        "others are silent",
        without_shared(),
        |double| double.timings(SOON),
        async |mut stage| {
            stage.restart_among();
            for name in ["a", "b"] {
                stage.add(service(name, 1));
                stage.settled(name).await;
            }
            // Of b nobody knows what it may need: a change of it was under way.
            let doubtful = [("changing".to_owned(), String::new())];
            stage.kept.get_mut("b").unwrap().external.extend(doubtful);
            stage.restart_among();
            stage.delete("a");
            stage.settled("a").await;
            assert_eq!(let_in(&stage).await.len(), 1, "b is let in, and a no more");
        },
    )
    .await;
}

#[tokio::test]
async fn while_one_is_replaced_both_are_let_in_and_then_the_new_one() {
    on(
        "replaced",
        without_shared(),
        |double| double.timings(SOON),
        async |mut stage| {
            stage.restart_among();
            stage.add(service("web", 1));
            stage.settled("web").await;
            let before = let_in(&stage).await;
            let mark = stage.mark();
            stage.edit("web", |service| annotate(service, "scheme", "internet-facing"));
            stage.settled("web").await;
            let after = let_in(&stage).await;
            assert!(after.len() == 1 && after.is_disjoint(&before), "{after:?}");
            let calls: Vec<String> = stage.calls(mark).iter().map(|call| call.action.clone()).collect();
            let first = |action: &str| calls.iter().position(|call| call == action).unwrap();
            assert!(first("DeleteLoadBalancer") < first("RevokeSecurityGroupIngress"), "{calls:#?}");
            stage.delete("web");
            stage.settled("web").await;
            stage.assert_nothing_left().await;
        },
    )
    .await;
}

#[tokio::test]
async fn the_dry_run_tells_the_rules_that_name_a_group_which_is_yet_to_be_made() {
    on(
        "dry",
        without_shared(),
        |double| double.timings(SOON),
        async |mut stage| {
            stage.restart_among();
            stage.add(service("web", 1));
            let nlb = super::dry::dry(&stage, &stage.double.endpoint());
            let parts = super::dry::parts(&nlb, &stage, "web").await;
            let lines: Vec<String> = parts.iter().flat_map(|(_, steps)| steps).map(ToString::to_string).collect();
            assert!(
                lines.iter().any(|line| line.contains("30080/TCP from the load balancer at security group")),
                "{lines:#?}"
            );
            let mark = stage.mark();
            stage.settled("web").await;
            assert_eq!(super::dry::done(&stage, mark), super::dry::costs(&parts));
            let nlb = super::dry::dry(&stage, &stage.double.endpoint());
            assert_eq!(super::dry::parts(&nlb, &stage, "web").await, [("now", Vec::new())]);
            let observed = nlb.observe_many(&[stage.known("web")]).await.remove(0).unwrap();
            let removal: Vec<String> =
                nlb.plan(None, &observed).unwrap().steps.iter().map(ToString::to_string).collect();
            let at = |text: &str| removal.iter().position(|line| line.contains(text)).unwrap();
            assert!(at("no more") < at("delete security group"), "{removal:#?}");
        },
    )
    .await;
}
