//! What AWS allows only so often, and only so many of: each limit is met once, is told, and ends right.

use std::collections::BTreeSet;
use std::time::Duration;

use portolan_aws::client::Limits;
use portolan_aws_double::{Bucket, Buckets, Class, Outcome, Quotas};
use portolan_core::reason::Reason;
use serde_json::json;

use super::stage::{End, SOON, Stage, TICK, annotate, on, on_stage, service};

fn refused(stage: &Stage, codes: &[&str]) -> BTreeSet<String> {
    let code = |outcome: &Outcome| {
        let Outcome::Refused { code, .. } = outcome else { return None };
        codes.contains(&code.as_str()).then(|| code.clone())
    };
    stage.calls(0).iter().filter_map(|call| code(&call.outcome)).collect()
}

/// AWS gives this class of calls less than it documents, as it may when others use the account. What we hold ourselves to is more, so that we
/// are refused and have to wait.
async fn is_throttled(case: &str, class: Class) {
    let scarce = Buckets::documented().with(class, Bucket { capacity: 1.0, refill: 0.5 });
    on(
        case,
        json!({}),
        |double| double.timings(SOON).throttle(scarce),
        async |mut stage| {
            stage.options.limits = Limits::default();
            stage.restart();
            for name in ["a", "b"] {
                let mut service = service(name, 2);
                annotate(&mut service, "attributes", "load_balancing.cross_zone.enabled=true");
                annotate(&mut service, "target-group-attributes", "deregistration_delay.timeout_seconds=30");
                stage.add(service);
                stage.settled(name).await;
            }
            let there = stage.inventory().await;
            assert_eq!((there.balancers.len(), there.groups.len(), there.listeners.len()), (2, 4, 4), "{class:?}");
            for name in ["a", "b"] {
                stage.delete(name);
                stage.settled(name).await;
            }
            stage.assert_nothing_left().await;
            assert!(
                !refused(&stage, &["Throttling", "RequestLimitExceeded"]).is_empty(),
                "{class:?} was throttled at all"
            );
        },
    )
    .await;
}

#[tokio::test]
async fn reading_load_balancers_is_throttled() {
    is_throttled("throttled: describe", Class::Describe).await;
}

#[tokio::test]
async fn registering_is_throttled() {
    is_throttled("throttled: register", Class::Register).await;
}

#[tokio::test]
async fn modifying_is_throttled() {
    is_throttled("throttled: modify", Class::Modify).await;
}

#[tokio::test]
async fn creating_and_deleting_is_throttled() {
    is_throttled("throttled: create", Class::Create).await;
}

#[tokio::test]
async fn reading_the_network_is_throttled() {
    is_throttled("throttled: EC2 describe", Class::Ec2Describe).await;
}

#[tokio::test]
async fn changing_security_groups_is_throttled() {
    is_throttled("throttled: EC2 change", Class::Ec2Change).await;
}

/// A second Service finds a quota used up by the first, says so, and is served when the first is gone.
async fn is_used_up(case: &str, quotas: Quotas, code: &str, ports: u16) {
    on(
        case,
        json!({}),
        |double| double.timings(SOON).quotas(quotas),
        async |mut stage| {
            stage.add(service("first", ports));
            stage.settled("first").await;
            stage.add(service("second", ports));
            let end = stage.pass("second").await;
            assert_eq!(end.reason(), Some(Reason::QuotaExceeded), "{end:?}");
            assert!(end.message().contains("have it raised in Service Quotas"), "{}", end.message());
            assert_eq!(refused(&stage, &[code]), [code.to_owned()].into(), "{end:?}");
            assert!(matches!(stage.pass("first").await, End::Settled), "nobody else suffers");
            stage.delete("first");
            stage.settled("first").await;
            stage.settled("second").await;
            assert_eq!(stage.kept["second"].published.len(), 1);
            stage.delete("second");
            stage.settled("second").await;
            stage.assert_nothing_left().await;
        },
    )
    .await;
}

#[tokio::test]
async fn there_are_no_more_load_balancers() {
    let quotas = Quotas { balancers: 1, ..Quotas::default() };
    is_used_up("quota: balancers", quotas, "TooManyLoadBalancers", 1).await;
}

#[tokio::test]
async fn there_are_no_more_target_groups() {
    let quotas = Quotas { groups: 3, ..Quotas::default() };
    is_used_up("quota: groups", quotas, "TooManyTargetGroups", 2).await;
}

#[tokio::test]
async fn targets_let_no_more_in() {
    // Each port is a rule at the group of the nodes, and in each balancer's own one; seed and double have a few rules of their own there.
    let quotas = Quotas { rules_per_security_group: 8, ..Quotas::default() };
    on(
        "quota: rules",
        json!({}),
        |double| double.timings(SOON).quotas(quotas),
        async |mut stage| {
            stage.add(service("web", 12));
            let end = stage.pass("web").await;
            assert_eq!(end.reason(), Some(Reason::QuotaExceeded), "{end:?}");
            assert!(end.message().contains("use fewer source ranges and ports"), "{}", end.message());
            stage.edit("web", |service| service.ports.truncate(2));
            stage.settled("web").await;
            stage.delete("web");
            stage.settled("web").await;
            stage.assert_nothing_left().await;
        },
    )
    .await;
}

#[tokio::test]
async fn more_balancers_than_a_call_describes_take_turns() {
    on_stage("turns", async |mut stage| {
        const MANY: usize = 45;
        for number in 0..MANY {
            let name = format!("s{number:02}");
            stage.add(service(&name, 1));
            stage.pass(&name).await;
        }
        let begin = stage.mark();
        stage.run_for(Duration::from_secs(60)).await;
        let polls: Vec<_> = stage
            .calls(begin)
            .into_iter()
            .filter(|call| call.action == "DescribeLoadBalancers" && !call.query.list("LoadBalancerArns").is_empty())
            .collect();
        assert!(polls.iter().all(|call| call.query.list("LoadBalancerArns").len() <= 20), "{polls:#?}");
        for pair in polls.windows(2) {
            assert!(pair[1].at - pair[0].at >= TICK, "{:?} and {:?}", pair[0].at, pair[1].at);
        }
        let asked: BTreeSet<String> =
            polls.iter().flat_map(|call| call.query.list("LoadBalancerArns")).map(|arn| arn.to_owned()).collect();
        assert_eq!(asked.len(), MANY, "each had its turn");
        assert!(stage.kept.values().all(|kept| kept.published.len() == 1), "each is published");
    })
    .await;
}

#[tokio::test]
async fn each_set_of_attributes_costs_one_call_more() {
    on_stage("attributes", async |mut stage| {
        let plain = service("plain", 1);
        let mut set = service("set", 1);
        annotate(&mut set, "attributes", "load_balancing.cross_zone.enabled=true,deletion_protection.enabled=false");
        annotate(
            &mut set,
            "target-group-attributes",
            "deregistration_delay.timeout_seconds=30,stickiness.enabled=true,stickiness.type=source_ip",
        );
        annotate(&mut set, "listener-attributes.TCP-80", "tcp.idle_timeout.seconds=400");
        let mut counts = Vec::new();
        for service in [plain, set] {
            let name = service.key.name.clone();
            stage.add(service);
            let mark = stage.mark();
            stage.settled(&name).await;
            counts.push(stage.writes(mark));
        }
        let [plain, set] = counts.as_slice() else { panic!("{counts:?}") };
        let modified = |all: &[String]| all.iter().filter(|action| action.ends_with("Attributes")).count();
        assert_eq!((modified(plain), modified(set)), (0, 3), "balancer, group, listener: {set:?}");
    })
    .await;
}
