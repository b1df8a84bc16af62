//! What is found again, and what is not forgotten: records that are lost or edited, names that others have for a while, controllers that act at
//! the same time.

use std::time::Duration;

use portolan_aws_double::{Effect, Fault, Service as Api};
use portolan_core::provider::{Provider, Step as _};
use portolan_core::reason::Reason;
use serde_json::json;

use super::stage::{End, Stage, annotate, on_stage, service};
use crate::emulated::REGION;

#[tokio::test]
async fn a_lost_record_is_made_up_for_by_tags_although_another_name_is_asked_for_by_now() {
    for (own_groups, dies) in [(false, false), (false, true), (true, true)] {
        on_stage("a lost record", async |mut stage| {
            let mut web = service("web", 1);
            if own_groups {
                annotate(&mut web, "security-groups", &stage.seed.security_group);
            }
            stage.add(web);
            stage.settled("web").await;
            let before = stage.inventory().await;
            stage.edit("web", |web| annotate(web, "name", "newname"));
            stage.settled("web").await;
            assert_eq!(stage.inventory().await.balancers, before.balancers, "a name is for what is made");

            stage.kept.get_mut("web").unwrap().external.clear();
            if dies {
                stage.restart();
            }
            stage.settled("web").await;
            let now = stage.inventory().await;
            assert_eq!((now.balancers, now.groups, now.listeners), (before.balancers, before.groups, before.listeners));
            stage.delete("web");
            stage.settled("web").await;
            stage.advance(Duration::from_secs(60));
            stage.assert_nothing_left_of_elb().await;
        })
        .await;
    }
}

#[tokio::test]
async fn what_a_record_acknowledged_is_never_taken_for_deleted_because_the_cluster_is_called_otherwise_now() {
    on_stage("another cluster's name", async |mut stage| {
        stage.add(service("web", 1));
        stage.settled("web").await;
        let before = stage.inventory().await;
        let own = stage.class.clone();
        stage.restart_with(&json!({"clusterName": "other"}));
        stage.delete("web");
        for _ in 0..2 {
            let end = stage.pass("web").await;
            assert_eq!(end.reason(), Some(Reason::NotOurs), "{}", end.message());
            assert!(end.message().contains("clusterName") && end.message().contains("\"prod\""), "{}", end.message());
        }
        assert_eq!(stage.inventory().await, before);
        // An hour of polls and audits finds nothing else out.
        stage.run_for(Duration::from_secs(180)).await;
        assert!(matches!(stage.pass("web").await, End::Failed(_)));
        stage.class = own;
        stage.restart();
        stage.settled("web").await;
        stage.assert_nothing_left().await;
    })
    .await;
}

#[tokio::test]
async fn what_another_controller_is_making_is_neither_overlooked_nor_forgotten() {
    on_stage("two controllers", async |mut stage| {
        stage.add(service("web", 1));
        stage.settled("web").await;
        let one = stage.nlb().clone();
        let (as_one_knows_it, _) = stage.desired("web").unwrap();
        stage.restart();
        // The other one makes a group for a second port, and is killed before it makes the listener.
        stage.edit("web", |web| web.ports = service("web", 2).ports);
        stage
            .double
            .faults()
            .arm(Fault::on("CreateListener", Effect::Refuse { status: 400, code: "Killed".to_owned() }));
        let end = stage.pass("web").await;
        assert!(matches!(end, End::Failed(_)), "{end:?}");
        assert_eq!(stage.inventory().await.groups.len(), 2, "{}", end.message());

        // AWS shows it after a while.
        stage.advance(Duration::from_secs(10));
        // The first one does not know of that port yet. Were it at rest, it would write down that there is one group.
        let observed = one.observe_many(&[stage.known("web")]).await.remove(0).unwrap();
        assert_eq!(observed.state.groups.len(), 2);
        let plan = one.plan(Some(&as_one_knows_it), &observed).unwrap();
        assert_eq!(plan.steps.iter().map(|step| step.name()).collect::<Vec<_>>(), ["CloseRules", "DeleteGroup"]);
        assert_eq!(one.remembered(&observed), None);
        let mark = stage.mark();
        drop(one.observe_many(&[stage.known("web")]).await);
        assert!(stage.calls(mark).is_empty(), "once is enough");
    })
    .await;
}

#[tokio::test]
async fn a_name_that_another_service_of_the_cluster_has_is_taken_as_soon_as_it_is_free() {
    on_stage("a name is freed", async |mut stage| {
        for name in ["first", "second"] {
            let mut one = service(name, 1);
            one.ports = vec![portolan_core::examples::port(
                "p0",
                80,
                portolan_core::balancer::Protocol::Tcp,
                Some(if name == "first" { 30080 } else { 30090 }),
            )];
            annotate(&mut one, "name", "front");
            stage.add(one);
        }
        stage.settled("first").await;
        let end = stage.settle("second").await;
        assert_eq!(end.reason(), Some(Reason::NameTaken), "{}", end.message());
        let whose = format!("front exists at AWS and belongs to the load balancer {}", stage.id("first"));
        assert!(end.message().contains(&whose), "{}", end.message());
        assert!(end.message().contains("(Service default/first)"), "{}", end.message());
        let wait = stage.kept["second"].outcome.as_ref().unwrap().wait.clone().unwrap();
        assert!(wait.at_most <= Duration::from_secs(60), "{wait:?}");
        stage.delete("first");
        stage.settled("first").await;
        stage.advance(wait.at_most);
        // What the stage has looked at for the status is believed once more; the runtime makes do with one look.
        stage.pass("second").await;
        stage.settled("second").await;
        assert_eq!(stage.inventory().await.balancers.into_keys().collect::<Vec<_>>(), ["front"]);
    })
    .await;
}

#[tokio::test]
async fn who_goes_without_ever_having_said_what_he_needs_is_waited_for_no_longer() {
    on_stage("the last one out", async |mut stage| {
        for name in ["gone", "stuck"] {
            stage.add(service(name, 1));
        }
        stage.settled("gone").await;
        stage.settled("stuck").await;
        // A change was under way, nothing is left of it at AWS, and the process is another one.
        stage.delete("stuck");
        stage.settled("stuck").await;
        stage.kept.get_mut("stuck").unwrap().external.insert("changing".to_owned(), String::new());
        stage.restart_among();
        stage.delete("gone");
        stage.settled("gone").await;
        assert!(stage.shared_groups().await.len() == 1, "the other one may need it");
        stage.settled("stuck").await;
        assert_eq!(stage.shared_groups().await, Vec::<String>::new());
        stage.assert_nothing_left().await;
    })
    .await;
}

impl Stage {
    async fn assert_nothing_left_of_elb(&self) {
        let inventory = self.inventory().await;
        assert!(inventory.is_empty(), "{inventory:#?}");
    }

    /// The groups that all balancers share.
    async fn shared_groups(&self) -> Vec<String> {
        let answer = self.double.by_hand(Api::Ec2, REGION, "DescribeSecurityGroups", &[]).await.unwrap();
        let all = answer.child("securityGroupInfo").map(|set| set.children.clone()).unwrap_or_default();
        let names = all.iter().filter_map(|group| group.text_at(&["groupName"]).map(str::to_owned));
        names.filter(|name| name.starts_with("portolan-targets-")).collect()
    }
}
