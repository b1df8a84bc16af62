//! What things cost, by the numbers of the issue. Polls are apart, as there: how far balancers and targets are. So is the audit, which reads one
//! load balancer a minute.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use portolan_aws_double::{Call, Outcome, Service as Api};
use portolan_core::balancer::Protocol;
use portolan_core::examples;

use super::stage::{End, Stage, TICK, annotate, node, on_localstack, on_stage, on_stage_in_full, service};

/// Asks how far a balancer that is known is, or how targets are.
fn is_poll(call: &Call) -> bool {
    call.action == "DescribeTargetHealth" || is_balancer_poll(call)
}

fn is_balancer_poll(call: &Call) -> bool {
    call.action == "DescribeLoadBalancers" && !call.query.list("LoadBalancerArns").is_empty()
}

/// What was called for one Service since then, of ELBv2 and of EC2: without polls, and without what is about others.
pub(super) async fn cost(stage: &Stage, name: &str, mark: usize) -> (Vec<String>, Vec<String>) {
    let tags = stage.inventory().await.tags;
    let own = stage.id(name);
    let is_other = |tags: &BTreeMap<String, String>| tags.get("portolan.dev/load-balancer") != Some(&own.to_string());
    let mut others: BTreeSet<String> =
        tags.iter().filter(|(_, tags)| is_other(tags)).map(|(arn, _)| arn.clone()).collect();
    others.extend(stage.names().iter().filter(|other| *other != name).map(|other| stage.id(other).to_string()));
    let inventory = stage.inventory().await;
    let by_name = inventory.balancers.iter().chain(&inventory.groups);
    let of_others: Vec<String> =
        by_name.filter(|(_, arn)| others.contains(*arn)).map(|(name, _)| name.clone()).collect();
    others.extend(of_others);
    let calls = stage.calls(mark);
    let is_own = |call: &&Arc<Call>| !is_poll(call) && !call.query.pairs().any(|(_, value)| others.contains(value));
    // What AWS has made and does not show yet is asked for again: a poll.
    let is_shown = |call: &&Arc<Call>| call.action != "DescribeTags" || call.outcome == Outcome::Answered;
    let of = |api: Api| {
        calls.iter().filter(is_own).filter(is_shown).filter(|call| call.service == api).map(action).collect()
    };
    (of(Api::ElasticLoadBalancing), of(Api::Ec2))
}

fn action(call: &Arc<Call>) -> String {
    call.action.clone()
}

const NO_CALL: [String; 0] = [];

#[tokio::test]
async fn a_service_with_l_ports_costs_three_calls_and_three_a_port_and_one_and_two_a_port_to_delete() {
    on_stage_in_full("create and delete", async |mut stage| {
        for (index, ports) in [1, 2, 5].into_iter().enumerate() {
            let name = format!("with-{ports}");
            stage.add(service(&name, ports));
            let mark = stage.mark();
            stage.settled(&name).await;
            let (elb, ec2) = cost(&stage, &name, mark).await;
            assert!(elb.len() <= usize::from(3 + 3 * ports), "{ports} ports: {} calls: {elb:?}", elb.len());
            assert!(ec2.len() <= if index == 0 { 8 } else { 4 }, "{ports} ports: {ec2:?}");
            assert_eq!(stage.kept[&name].published.len(), 1);
        }
        for ports in [1_u16, 2, 5] {
            let name = format!("with-{ports}");
            stage.delete(&name);
            let mark = stage.mark();
            stage.settled(&name).await;
            let deleted = stage.writes(mark).iter().filter(|action| !action.contains("SecurityGroup")).count();
            let (elb, _) = cost(&stage, &name, mark).await;
            assert!(elb.len() <= usize::from(1 + 2 * ports), "{ports} ports: {} calls: {elb:?}", elb.len());
            assert!(deleted <= usize::from(1 + 2 * ports), "{deleted}");
        }
        stage.assert_nothing_left().await;
    })
    .await;
}

#[tokio::test]
async fn a_settled_estate_is_polled_once_a_tick_and_audited_once_a_minute() {
    on_stage("settled", async |mut stage| {
        for name in ["a", "b", "c"] {
            stage.add(service(name, 2));
        }
        stage.settle_together().await;
        stage.run_for(Duration::from_secs(60)).await;
        let mut audits = 0;
        for _ in 0..24 {
            let mark = stage.mark();
            assert_eq!(stage.tick().await, BTreeSet::new());
            for name in stage.names() {
                assert!(matches!(stage.pass(&name).await, End::Settled));
            }
            let calls: Vec<String> = stage.calls(mark).iter().map(action).collect();
            assert_eq!(stage.writes(mark), NO_CALL);
            if calls != ["DescribeLoadBalancers", "DescribeTargetHealth"] {
                audits += 1;
                assert!(calls.len() <= 20, "{calls:?}");
            }
        }
        assert_eq!(audits, 2);
    })
    .await;
}

#[tokio::test]
async fn balancers_are_polled_once_in_five_seconds_in_all_and_targets_for_each_group_in_motion() {
    on_stage_in_full("polls", async |mut stage| {
        let begin = stage.mark();
        for name in ["a", "b", "c"] {
            stage.add(service(name, 1));
            stage.pass(name).await;
        }
        stage.run_for(Duration::from_secs(400)).await;
        let mut last: BTreeMap<String, Duration> = BTreeMap::new();
        let polls: Vec<_> = stage.calls(begin).into_iter().filter(|call| is_poll(call)).collect();
        assert!(polls.iter().filter(|call| is_balancer_poll(call)).count() >= 30, "they are polled at all");
        for call in polls {
            let what = call.query.get("TargetGroupArn").unwrap_or("balancers").to_owned();
            if let Some(before) = last.insert(what.clone(), call.at) {
                assert!(call.at - before >= TICK, "{what} at {before:?} and {:?}", call.at);
            }
        }
        assert!(stage.kept.values().all(|kept| kept.published.len() == 1), "the stream of changes wakes them all");
        assert_eq!(last.len(), 4);
    })
    .await;
}

#[tokio::test]
async fn a_node_that_comes_or_goes_costs_a_call_for_each_group() {
    on_stage("nodes", async |mut stage| {
        for name in ["a", "b"] {
            stage.add(service(name, 2));
        }
        let gone = stage.nodes.pop().unwrap();
        stage.settle_together().await;
        for (nodes, expected) in [(vec![gone], ["RegisterTargets"; 4]), (vec![], ["DeregisterTargets"; 4])] {
            stage.nodes.truncate(2);
            stage.nodes.extend(nodes);
            let mark = stage.mark();
            stage.settle_together().await;
            assert_eq!(stage.writes(mark), expected);
        }
        // Two at once are one batch.
        let extra = stage.seed.instances[2].clone();
        stage.nodes = vec![stage.nodes[0].clone()];
        let mark = stage.mark();
        stage.settle_together().await;
        stage.nodes = (0..3).map(|number| node(number, &stage.seed.instances[number])).collect();
        stage.settle_together().await;
        assert_eq!(stage.writes(mark).len(), 8, "{extra}");
    })
    .await;
}

#[tokio::test]
async fn an_endpoint_that_changes_costs_two_calls() {
    on_stage("endpoints", endpoints).await;
}

#[tokio::test]
async fn at_localstack_too_an_endpoint_that_changes_costs_two_calls() {
    on_localstack("endpoints", endpoints).await;
}

async fn endpoints(mut stage: Stage) {
    let mut pods = service("pods", 1);
    annotate(&mut pods, "nlb-target-type", "ip");
    stage.add(pods);
    let address = |last: u8| IpAddr::from([10, 0, 100, last]);
    stage.pods("pods", &[(address(20), "a"), (address(21), "b")]);
    stage.settled("pods").await;
    stage.pods("pods", &[(address(20), "a"), (address(22), "c")]);
    let mark = stage.mark();
    stage.settled("pods").await;
    assert_eq!(stage.writes(mark), ["RegisterTargets", "DeregisterTargets"]);
    let targets = stage.inventory().await.targets.into_values().next().unwrap();
    assert_eq!(targets, [("10.0.100.20".to_owned(), 80), ("10.0.100.22".to_owned(), 80)].into());
}

/// As many as an account may have.
const MANY: usize = 50;

#[tokio::test]
async fn a_restart_with_fifty_services_reads_ten_times_and_writes_only_for_those_that_changed_meanwhile() {
    on_stage("restart", async |mut stage| {
        for number in 0..MANY {
            stage.add(service(&format!("s{number:02}"), 1));
        }
        stage.settle_together().await;

        stage.restart();
        let mark = stage.mark();
        for name in stage.names() {
            assert!(matches!(stage.pass(&name).await, End::Settled));
        }
        // Until the first audit.
        stage.run_for(Duration::from_secs(15)).await;
        assert_eq!(stage.writes(mark), NO_CALL);
        let reads: Vec<String> = stage.calls(mark).iter().filter(|call| !is_poll(call)).map(action).collect();
        assert!(reads.len() <= 10, "{} reads: {reads:?}", reads.len());

        let changed = ["s03", "s17", "s42"];
        stage.restart();
        for name in changed {
            stage.edit(name, |service| {
                service.ports.push(examples::port("more", 443, Protocol::Tcp, Some(30443)));
                service.ports[0].name = "first".to_owned();
            });
        }
        let mark = stage.mark();
        for name in stage.names() {
            stage.settled(&name).await;
        }
        // Security group, group, listener, targets; and what targets let in, at most once each.
        let writes = stage.writes(mark);
        assert!((4 * changed.len()..=5 * changed.len()).contains(&writes.len()), "{writes:?}");
        let inventory = stage.inventory().await;
        assert_eq!(inventory.listeners.len(), MANY + changed.len());
    })
    .await;
}
