//! The process is killed at any call that changes something, before AWS has got it or before its answer has come back; the next one has what the
//! record held by then, and comes to the same end.

use std::collections::{BTreeMap, BTreeSet};

use portolan_aws_double::{Effect, Fault};
use portolan_core::balancer::Protocol;
use portolan_core::examples;
use portolan_core::snapshot::Service;
use serde_json::json;

use super::stage::{SOON, Stage, annotate, on, once, service};

/// What there is, without what AWS makes up.
#[derive(Debug, PartialEq)]
struct Estate {
    balancers: BTreeSet<String>,
    groups: BTreeSet<String>,
    listeners: BTreeMap<(String, u16), (String, BTreeSet<String>)>,
    /// By group: the instance by number, and the port.
    targets: BTreeMap<String, BTreeSet<(Option<usize>, u16)>>,
    tags: Vec<BTreeMap<String, String>>,
    security_groups: BTreeMap<String, Vec<String>>,
    security_group_tags: BTreeMap<String, BTreeMap<String, String>>,
    private_link: Vec<String>,
    attributes: Vec<BTreeMap<String, String>>,
    published: usize,
}

async fn estate(stage: &Stage) -> Estate {
    let there = stage.inventory().await;
    let mut tags: Vec<_> = there.tags.into_values().collect();
    tags.sort();
    let number = |id: &String| stage.seed.instances.iter().position(|instance| instance == id);
    let numbered = |targets: BTreeSet<(String, u16)>| targets.iter().map(|(id, port)| (number(id), *port)).collect();
    let mut attributes = Vec::new();
    for arn in there.balancers.values() {
        attributes.push(stage.attributes("DescribeLoadBalancerAttributes", "LoadBalancerArn", arn).await);
    }
    for arn in there.groups.values() {
        attributes.push(stage.attributes("DescribeTargetGroupAttributes", "TargetGroupArn", arn).await);
    }
    Estate {
        balancers: there.balancers.into_keys().collect(),
        groups: there.groups.into_keys().collect(),
        listeners: there.listeners,
        targets: there.targets.into_iter().map(|(group, targets)| (group, numbered(targets))).collect(),
        tags,
        security_groups: stage.security_groups().await,
        security_group_tags: stage.security_group_tags().await,
        private_link: stage.private_link().await,
        attributes,
        published: stage.kept["web"].published.len(),
    }
}

/// From one Service to another; none: deleted.
struct Edit {
    from: Option<Service>,
    to: Option<Service>,
}

/// Where the process is killed, counted in calls that change something.
#[derive(Clone, Debug)]
struct Kill {
    call: usize,
    effect: Effect,
}

/// The end, and how many calls that change something it took; and which of them were a plan's first. The stage is empty before and after it.
async fn run(stage: &mut Stage, edit: &Edit, kill: Option<&Kill>) -> (Estate, usize, BTreeSet<usize>) {
    stage.restart();
    stage.add(edit.from.clone().or_else(|| edit.to.clone()).unwrap());
    if edit.from.is_some() {
        stage.settled("web").await;
    }
    match &edit.to {
        Some(to) => stage.edit("web", |service| *service = to.clone()),
        None => stage.delete("web"),
    }
    let mark = stage.mark();
    if let Some(Kill { call, effect }) = kill {
        stage.double.faults().arm(Fault::on_mutating(effect.clone()).nth(*call));
        while stage.double.faults().armed() > 0 {
            // Until the pass in which it strikes has ended; its end is not the process's to see.
            stage.step("web").await;
        }
        stage.restart();
    }
    let mut firsts = BTreeSet::from([1]);
    while stage.step("web").await.is_none() {
        firsts.insert(stage.writes(mark).len() + 1);
    }
    let came = (estate(stage).await, stage.writes(mark).len(), firsts);
    stage.delete("web");
    stage.settled("web").await;
    stage.assert_nothing_left().await;
    came
}

async fn survives_every_kill(name: &str, edit: Edit) {
    on(
        name,
        json!({}),
        |double| double.timings(SOON),
        async |mut stage| {
            stage.options.patience = once();
            // What the targets let in stays from one run to the next: nobody says here that nobody else needs it.
            run(&mut stage, &edit, None).await;
            let (end, writes, firsts) = run(&mut stage, &edit, None).await;
            assert!(writes > 0, "something is to be done");
            for call in 1..=writes {
                // Within a plan, to be killed before a call is to be killed after the one before it: neither AWS nor the record knows more.
                let before = firsts.contains(&call).then_some(Effect::CutOff);
                for effect in before.into_iter().chain([Effect::LoseResponse]) {
                    let kill = Kill { call, effect };
                    let (other, ..) = run(&mut stage, &edit, Some(&kill)).await;
                    assert_eq!(other, end, "killed at {kill:?}");
                }
            }
        },
    )
    .await;
}

#[tokio::test]
async fn while_a_load_balancer_is_made() {
    survives_every_kill("create", Edit { from: None, to: Some(service("web", 2)) }).await;
}

#[tokio::test]
async fn while_a_port_is_added_and_attributes_are_set() {
    let mut to = service("web", 1);
    to.ports[0].name = "p0".to_owned();
    to.ports.push(examples::port("more", 443, Protocol::Tcp, Some(30443)));
    annotate(&mut to, "attributes", "load_balancing.cross_zone.enabled=true");
    annotate(&mut to, "target-group-attributes", "deregistration_delay.timeout_seconds=30");
    survives_every_kill("edit", Edit { from: Some(service("web", 1)), to: Some(to) }).await;
}

#[tokio::test]
async fn while_attributes_are_taken_back_and_a_port_goes() {
    let mut from = service("web", 2);
    annotate(&mut from, "attributes", "load_balancing.cross_zone.enabled=true");
    annotate(&mut from, "target-group-attributes", "deregistration_delay.timeout_seconds=30");
    survives_every_kill("take back", Edit { from: Some(from), to: Some(service("web", 1)) }).await;
}

#[tokio::test]
async fn while_tags_change_and_go_and_private_link_goes_back() {
    let (mut from, mut to) = (service("web", 1), service("web", 1));
    annotate(&mut from, "additional-resource-tags", "team=a,cost centre=1,Name=front");
    annotate(&mut from, "inbound-sg-rules-on-private-link-traffic", "off");
    annotate(&mut to, "additional-resource-tags", "team=b,stage=test");
    survives_every_kill("tags", Edit { from: Some(from), to: Some(to) }).await;
}

#[tokio::test]
async fn while_it_is_replaced_because_its_scheme_changes() {
    let mut to = service("web", 1);
    annotate(&mut to, "scheme", "internet-facing");
    survives_every_kill("replace", Edit { from: Some(service("web", 1)), to: Some(to) }).await;
}

#[tokio::test]
async fn while_it_is_deleted() {
    survives_every_kill("delete", Edit { from: Some(service("web", 2)), to: None }).await;
}
