//! What the record remembers for ours goes when nobody asks for it any more; what somebody else has given stays.

use std::collections::BTreeMap;

use portolan_aws::names::{CLUSTER, INSTANCE, LOAD_BALANCER};
use portolan_aws_double::{Effect, Fault, Service as Api};
use serde_json::json;

use super::stage::{SOON, Stage, annotate, on, on_stage, once, service};
use crate::emulated::REGION;

const TAGS: &str = "additional-resource-tags";
const PRIVATE_LINK: &str = "inbound-sg-rules-on-private-link-traffic";

/// What everything that we have made carries of these tags: balancer, group, listener, security group. All have to agree.
async fn everywhere(stage: &Stage, keys: &[&str]) -> BTreeMap<String, String> {
    let of_security_groups = stage.security_group_tags().await.into_values();
    let all: Vec<_> = stage.inventory().await.tags.into_values().chain(of_security_groups).collect();
    assert_eq!(all.len(), 4);
    let asked = |tags: &BTreeMap<String, String>| -> BTreeMap<String, String> {
        let asked = tags.iter().filter(|(key, _)| keys.contains(&key.as_str()));
        asked.map(|(key, value)| (key.clone(), value.clone())).collect()
    };
    for tags in &all {
        assert_eq!(asked(tags), asked(&all[0]));
        assert!([CLUSTER, INSTANCE, LOAD_BALANCER].iter().all(|own| tags.contains_key(*own)), "{tags:?}");
    }
    asked(&all[0])
}

fn pairs(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

#[tokio::test]
async fn tags_of_an_annotation_follow_it_on_everything_also_in_another_process() {
    on_stage("tags follow", async |mut stage| {
        let keys = ["team", "cost centre", "stage"];
        stage.add(service("web", 1));
        stage.edit("web", |service| annotate(service, TAGS, "team=a,cost centre=7"));
        stage.settled("web").await;
        assert_eq!(everywhere(&stage, &keys).await, pairs(&[("team", "a"), ("cost centre", "7")]));

        stage.edit("web", |service| annotate(service, TAGS, "team=b,stage=test"));
        stage.restart();
        let mark = stage.mark();
        stage.settled("web").await;
        assert_eq!(everywhere(&stage, &keys).await, pairs(&[("team", "b"), ("stage", "test")]));
        let mut writes = stage.writes(mark);
        writes.sort();
        let expected =
            ["AddTags", "AddTags", "AddTags", "CreateTags", "DeleteTags", "RemoveTags", "RemoveTags", "RemoveTags"];
        assert_eq!(writes, expected, "and nothing else");

        stage.edit("web", |service| service.annotations.clear());
        stage.settled("web").await;
        assert_eq!(everywhere(&stage, &keys).await, pairs(&[]));
        let mark = stage.mark();
        stage.restart();
        stage.settled("web").await;
        assert!(stage.writes(mark).is_empty(), "once");
    })
    .await;
}

#[tokio::test]
async fn tags_of_the_class_go_with_the_class_s_defaults() {
    let tags = |value: &str| json!({"defaults": {"tags": {"team": value}}});
    on(
        "the class's tags",
        tags("a"),
        |double| double.timings(SOON),
        async |mut stage| {
            stage.add(service("web", 1));
            stage.settled("web").await;
            assert_eq!(everywhere(&stage, &["team"]).await, pairs(&[("team", "a")]));
            stage.restart_with(&tags("b"));
            stage.settled("web").await;
            assert_eq!(everywhere(&stage, &["team"]).await, pairs(&[("team", "b")]));
            stage.restart_with(&json!({"defaults": {}}));
            stage.settled("web").await;
            assert_eq!(everywhere(&stage, &["team"]).await, pairs(&[]));
        },
    )
    .await;
}

#[tokio::test]
async fn a_tag_that_somebody_has_put_there_by_hand_stays() {
    on_stage("tags by hand", async |mut stage| {
        stage.add(service("web", 1));
        stage.edit("web", |service| annotate(service, TAGS, "team=a"));
        stage.settled("web").await;
        let mut by_hand: Vec<(String, String)> =
            [("Tags.member.1.Key", "owner"), ("Tags.member.1.Value", "mary")].map(|(k, v)| (k.into(), v.into())).into();
        for (number, arn) in (1..).zip(stage.inventory().await.tags.into_keys()) {
            by_hand.push((format!("ResourceArns.member.{number}"), arn));
        }
        let by_hand: Vec<(&str, &str)> = by_hand.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        stage.double.by_hand(Api::ElasticLoadBalancing, REGION, "AddTags", &by_hand).await.unwrap();
        let group = stage.security_group_id().await;
        let by_hand = [("ResourceId.1", group.as_str()), ("Tag.1.Key", "owner"), ("Tag.1.Value", "mary")];
        stage.double.by_hand(Api::Ec2, REGION, "CreateTags", &by_hand).await.unwrap();

        stage.edit("web", |service| service.annotations.clear());
        stage.restart();
        stage.settled("web").await;
        assert_eq!(everywhere(&stage, &["team", "owner"]).await, pairs(&[("owner", "mary")]));
    })
    .await;
}

#[tokio::test]
async fn a_security_group_is_called_by_its_own_name_again_when_nobody_asks_for_another() {
    on_stage("the Name tag", async |mut stage| {
        stage.add(service("web", 1));
        stage.edit("web", |service| annotate(service, TAGS, "Name=front"));
        stage.settled("web").await;
        assert_eq!(everywhere(&stage, &["Name"]).await, pairs(&[("Name", "front")]));
        stage.edit("web", |service| service.annotations.clear());
        stage.settled("web").await;
        for (name, tags) in stage.security_group_tags().await {
            assert_eq!(tags.get("Name"), Some(&name));
        }
        assert!(stage.inventory().await.tags.values().all(|tags| !tags.contains_key("Name")));
    })
    .await;
}

#[tokio::test]
async fn rules_count_for_private_link_again_when_nobody_says_otherwise_unless_somebody_else_did() {
    on_stage("PrivateLink", async |mut stage| {
        stage.add(service("web", 1));
        stage.edit("web", |service| annotate(service, PRIVATE_LINK, "off"));
        stage.settled("web").await;
        assert_eq!(stage.private_link().await, ["off"]);
        stage.edit("web", |service| service.annotations.clear());
        stage.restart();
        stage.settled("web").await;
        assert_eq!(stage.private_link().await, ["on"]);

        let arn = stage.inventory().await.balancers.into_values().next().unwrap();
        let group = stage.security_group_id().await;
        let switch = "EnforceSecurityGroupInboundRulesOnPrivateLinkTraffic";
        let by_hand = [("LoadBalancerArn", arn.as_str()), ("SecurityGroups.member.1", group.as_str()), (switch, "off")];
        stage.double.by_hand(Api::ElasticLoadBalancing, REGION, "SetSecurityGroups", &by_hand).await.unwrap();
        stage.restart();
        stage.edit("web", |service| annotate(service, TAGS, "team=a"));
        stage.settled("web").await;
        assert_eq!(stage.private_link().await, ["off"], "it is not ours");
    })
    .await;
}

#[tokio::test]
async fn what_was_given_when_the_process_died_goes_when_nobody_asks_for_it_any_more() {
    on_stage("killed while tags are given", async |mut stage| {
        stage.options.patience = once();
        // At creation, where the record has acknowledged nothing yet, and in an edit.
        for (exists, calls) in [(false, 7), (true, 5)] {
            for call in 1..=calls {
                stage.restart();
                stage.add(service("web", 1));
                if exists {
                    stage.settled("web").await;
                }
                stage.edit("web", |service| {
                    annotate(service, TAGS, "team=a");
                    annotate(service, PRIVATE_LINK, "off");
                });
                stage.double.faults().arm(Fault::on_mutating(Effect::LoseResponse).nth(call));
                stage.step("web").await;
                assert_eq!(stage.double.faults().armed(), 0, "it struck");
                stage.edit("web", |service| service.annotations.clear());
                stage.restart();
                stage.settled("web").await;
                assert_eq!(everywhere(&stage, &["team"]).await, pairs(&[]), "killed at {call}");
                assert_eq!(stage.private_link().await, ["on"], "killed at {call}");
                stage.delete("web");
                stage.settled("web").await;
                stage.assert_nothing_left().await;
            }
        }
    })
    .await;
}
