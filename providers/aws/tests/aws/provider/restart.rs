//! A process that begins: what it knows before it asks anybody. And what goes on whatever hangs elsewhere.

use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::future::{Either, select};
use portolan_aws::client::Limits;
use portolan_aws_double::{Call, Effect, Fault, Service as Api};
use portolan_core::provider::Provider;
use portolan_core::reason::Reason;

use super::stage::{End, Stage, TICK, annotate, on_stage, service};
use crate::emulated::REGION;

fn pods(name: &str, last: u8) -> Vec<(IpAddr, String)> {
    vec![(IpAddr::from([10, 0, 100, last]), format!("pod-{name}-{last}"))]
}

fn tell(stage: &mut Stage, name: &str, last: u8) {
    let pods = pods(name, last);
    stage.pods(name, &pods.iter().map(|(address, uid)| (*address, uid.as_str())).collect::<Vec<_>>());
}

/// What changes, and how.
type Change = (&'static str, fn(&mut Stage));

#[tokio::test]
async fn a_process_that_begins_knows_by_the_records_alone_who_has_changed_meanwhile() {
    on_stage("foreseen", async |mut stage| {
        let mut web = service("web", 2);
        annotate(&mut web, "nlb-target-type", "ip");
        annotate(&mut web, "attributes", "deletion_protection.enabled=false");
        stage.add(web);
        tell(&mut stage, "web", 20);
        assert!(stage.foresees_work("web"), "nothing was acknowledged yet");
        stage.settled("web").await;

        stage.restart();
        let mark = stage.mark();
        assert!(!stage.foresees_work("web"), "nothing has changed");
        let as_it_was = stage.kept["web"].clone();
        let changes: [Change; 5] = [
            ("a pod", |stage| tell(stage, "web", 21)),
            ("a port", |stage| stage.edit("web", |web| web.ports = service("web", 3).ports)),
            ("an attribute of a group", |stage| {
                stage.edit("web", |web| annotate(web, "target-group-attributes", "preserve_client_ip.enabled=true"));
            }),
            ("a health check", |stage| stage.edit("web", |web| annotate(web, "healthcheck-interval", "20"))),
            ("a change that was under way", |stage| {
                let kept = stage.kept.get_mut("web").unwrap();
                kept.external.insert("changing".to_owned(), String::new());
            }),
        ];
        for (what, change) in changes {
            change(&mut stage);
            assert!(stage.foresees_work("web"), "{what}");
            stage.kept.insert("web".to_owned(), as_it_was.clone());
            assert!(!stage.foresees_work("web"), "{what} is undone");
        }
        assert_eq!(stage.mark(), mark, "nobody was asked");
    })
    .await;
}

#[tokio::test]
async fn the_first_endpoint_after_a_restart_costs_one_look_at_the_tags_of_its_group() {
    on_stage("the first endpoint", async |mut stage| {
        let mut web = service("web", 1);
        annotate(&mut web, "nlb-target-type", "ip");
        stage.add(web);
        tell(&mut stage, "web", 20);
        stage.settled("web").await;
        stage.restart();
        tell(&mut stage, "web", 21);
        let mark = stage.mark();
        stage.settled("web").await;
        let is_elb = |call: &&Arc<Call>| call.service == Api::ElasticLoadBalancing;
        let calls: Vec<String> = stage.calls(mark).iter().filter(is_elb).map(|call| call.action.clone()).collect();
        let polls = ["DescribeTargetHealth", "DescribeLoadBalancers"];
        let others: Vec<_> = calls.iter().filter(|action| !polls.contains(&action.as_str())).collect();
        assert_eq!(others, ["DescribeTags", "RegisterTargets", "DeregisterTargets"]);
        assert!(stage.calls(mark).iter().all(|call| !call.query.has("Names.member.1")), "nothing is read by name");

        // Somebody has taken the group for himself.
        let arn = stage.inventory().await.groups.into_values().next().unwrap();
        let untagged = [("ResourceArns.member.1", arn.as_str()), ("TagKeys.member.1", "portolan.dev/load-balancer")];
        stage.double.by_hand(Api::ElasticLoadBalancing, REGION, "RemoveTags", &untagged).await.unwrap();
        stage.restart();
        tell(&mut stage, "web", 22);
        let mark = stage.mark();
        let mut end = stage.pass("web").await;
        for _ in 0..3 {
            end = stage.pass("web").await;
        }
        assert!(!stage.writes(mark).contains(&"RegisterTargets".to_owned()), "{:?}", stage.writes(mark));
        assert_eq!(end.reason(), Some(Reason::NameTaken), "{}", end.message());
    })
    .await;
}

#[tokio::test]
async fn an_endpoint_does_not_wait_for_a_poll_or_an_audit_of_another_that_hangs() {
    // What hangs, and how much time goes by until it is called.
    for (hangs, after) in [("DescribeTargetHealth", TICK), ("DescribeLoadBalancerAttributes", Duration::from_secs(60))]
    {
        on_stage("an endpoint beside what hangs", async |mut stage| {
            for (name, last) in [("web", 20), ("other", 30)] {
                let mut service = service(name, 1);
                annotate(&mut service, "nlb-target-type", "ip");
                stage.add(service);
                tell(&mut stage, name, last);
            }
            stage.settle_together().await;
            // Longer than anybody waits: until the clock is moved, which nobody does.
            stage.double.faults().arm(Fault::on(hangs, Effect::DelayAfter(Duration::from_secs(3600))));
            let mark = stage.mark();
            let mut changes = pin!(stage.nlb().changes());
            // What is news already; then it sleeps until it is time to poll.
            while futures::poll!(changes.next()).is_ready() {}
            stage.advance(after);
            let log = stage.double.log().clone();
            let own = pin!(async {
                log.wait_for(|calls| calls.iter().skip(mark).any(|call| call.action == hangs)).await;
                tell(&mut stage, "web", 21);
                let end = stage.pass("web").await;
                assert!(matches!(end, End::Settled), "{}", end.message());
                stage.writes(mark)
            });
            match select(changes.collect::<Vec<_>>(), own).await {
                Either::Right((writes, _)) => assert!(writes.contains(&"RegisterTargets".to_owned()), "{writes:?}"),
                Either::Left((changes, _)) => panic!("the changes have ended: {changes:?}"),
            }
        })
        .await;
    }
}

#[tokio::test]
async fn to_wait_for_a_turn_that_a_hundred_wait_for_is_no_failure() {
    on_stage("a long wait", async |stage| {
        let change = Limits::default().change;
        let throttled = 100.0 * 16.0 / change.rate;
        assert!(stage.nlb().deadline().as_secs_f64() > throttled, "{throttled} s at a sixteenth of the rate");
    })
    .await;
}
