//! What AWS cannot change in a load balancer makes another one beside it: made, healthy, published; and only then the first is retired, drained
//! and deleted. Where two cannot be beside each other, it is refused, unless the Service allows a gap.

use std::net::IpAddr;
use std::time::Duration;

use portolan_core::balancer::Protocol;
use portolan_core::reason::Reason;
use portolan_core::snapshot::Service;

use super::stage::{End, Stage, annotate, on_stage, on_stage_in_full, service};

/// AWS's DNS answers are good for 60 s; twice that is how long clients may go on. The tag says since when in whole seconds.
const CLIENTS_FORGET: Duration = Duration::from_secs(119);

/// Where in the log each name was published first.
type Publications = Vec<(usize, String)>;

async fn settled_noting_publications(stage: &mut Stage) -> Publications {
    let mut told = Publications::new();
    for _ in 0..150 {
        let is_over = stage.step("web").await;
        let published = format!("{:?}", stage.kept["web"].published);
        if told.last().is_none_or(|(_, before)| *before != published) {
            told.push((stage.mark(), published));
        }
        match is_over {
            Some(End::Settled) => return told,
            Some(end) => panic!("{}", end.message()),
            None => {}
        }
    }
    panic!("it does not settle");
}

/// Makes the first Service into the second, and holds the order of things against the log.
async fn is_replaced_without_a_gap(name: &str, from: Service, to: Service) {
    on_stage_in_full(name, async |mut stage| {
        let pods = [(IpAddr::from([10, 0, 100, 20]), "a"), (IpAddr::from([10, 0, 100, 21]), "b")];
        stage.add(from);
        stage.pods("web", &pods);
        settled_noting_publications(&mut stage).await;
        let before = stage.inventory().await;
        let (first, first_group) =
            (before.balancers.values().next().unwrap(), before.groups.values().next().unwrap().clone());
        stage.edit("web", |service| *service = to);
        stage.pods("web", &pods);
        let begin = stage.mark();
        let publications = settled_noting_publications(&mut stage).await;
        assert_eq!(publications.len(), 2, "the one, then the other, and never none: {publications:?}");
        let published = publications[1].0;

        let calls = stage.calls(begin);
        let find = |action: &str, about: Option<&str>| {
            let found =
                calls.iter().find(|call| call.action == action && about.is_none_or(|about| call.is_about(about)));
            found.unwrap_or_else(|| panic!("{action} of {about:?}: {calls:#?}")).clone()
        };
        let order = [
            find("CreateLoadBalancer", None),
            find("CreateListener", None),
            find("AddTags", Some(first)),
            find("DeregisterTargets", Some(&first_group)),
            find("DeleteLoadBalancer", Some(first)),
            find("DeleteTargetGroup", Some(&first_group)),
        ];
        assert!(order.is_sorted_by_key(|call| call.number), "{order:#?}");
        assert!(published > order[1].number && published <= order[2].number, "published at {published}: {order:#?}");
        assert!(order[3].at - order[2].at >= CLIENTS_FORGET, "clients forget it first");
        assert!(order[4].at - order[3].at >= Duration::from_secs(300), "its targets finish first");
        let healthy = Duration::from_secs(150 + 180);
        assert!(order[2].at - order[1].at >= healthy, "its successor's targets are healthy first");
        let after = stage.inventory().await;
        assert_eq!((after.balancers.len(), after.groups.len(), after.listeners.len()), (1, 1, 1));
        assert!(!after.balancers.values().any(|arn| arn == first));
        assert_eq!(stage.security_groups().await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_change_of_scheme_leaves_no_gap() {
    let mut to = service("web", 1);
    annotate(&mut to, "scheme", "internet-facing");
    is_replaced_without_a_gap("scheme", service("web", 1), to).await;
}

#[tokio::test]
async fn a_change_of_target_type_leaves_no_gap() {
    let mut to = service("web", 1);
    annotate(&mut to, "nlb-target-type", "ip");
    is_replaced_without_a_gap("target type", service("web", 1), to).await;
}

#[tokio::test]
async fn a_change_of_protocol_leaves_no_gap() {
    let mut to = service("web", 1);
    to.ports[0].key.protocol = Protocol::Udp;
    is_replaced_without_a_gap("protocol", service("web", 1), to).await;
}

async fn needs_downtime(name: &str, fix: impl Fn(&mut Service, &Stage)) {
    on_stage(name, async |mut stage| {
        let mut from = service("web", 1);
        annotate(&mut from, "scheme", "internet-facing");
        fix(&mut from, &stage);
        stage.add(from.clone());
        settled_noting_publications(&mut stage).await;
        let before = stage.inventory().await;

        let mut to = from.clone();
        to.ports[0].key.protocol = Protocol::Udp;
        stage.edit("web", |service| *service = to.clone());
        let mark = stage.mark();
        let end = stage.settle("web").await;
        assert_eq!(end.reason(), Some(Reason::ReplaceNeedsDowntime), "{end:?}");
        assert!(end.message().contains("Set portolan.dev/allow-downtime to \"true\""), "{end:?}");
        assert_eq!((stage.inventory().await, stage.writes(mark).len()), (before.clone(), 0));
        assert_eq!(stage.kept["web"].published.len(), 1, "it goes on serving");

        stage.edit("web", |service| {
            service.annotations.insert("portolan.dev/allow-downtime".to_owned(), "true".to_owned());
        });
        settled_noting_publications(&mut stage).await;
        let after = stage.inventory().await;
        let protocols: Vec<_> = after.listeners.values().map(|(protocol, _)| protocol.as_str()).collect();
        assert_eq!((protocols, after.balancers.len(), after.groups.len()), (vec!["UDP"], 1, 1));
    })
    .await;
}

#[tokio::test]
async fn a_fixed_name_stands_against_a_replace_unless_a_gap_is_allowed() {
    needs_downtime("fixed name", |service, _| annotate(service, "name", "mine")).await;
}

#[tokio::test]
async fn elastic_addresses_stand_against_a_replace_unless_a_gap_is_allowed() {
    needs_downtime("elastic", |service, stage| annotate(service, "eip-allocations", &stage.seed.allocations.join(",")))
        .await;
}
