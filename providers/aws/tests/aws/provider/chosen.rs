//! Who is a target: nodes and pods, of either family, port by port, and as many as AWS takes.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use portolan_aws_double::{Outcome, Service as Api};
use portolan_core::balancer::Family;
use portolan_core::examples;
use portolan_core::snapshot::{FamilyPolicy, Node, Service};

use super::stage::{Stage, annotate, on_stage, service};
use crate::emulated::REGION;

/// What happens to a node.
type Edit<'a> = &'a dyn Fn(&mut Node);

/// What is registered anywhere.
async fn registered(stage: &Stage) -> BTreeSet<(String, u16)> {
    stage.inventory().await.targets.into_values().flatten().collect()
}

/// The ids behind a port of the only balancer.
async fn behind(stage: &Stage, port: u16) -> BTreeSet<String> {
    let there = stage.inventory().await;
    let (_, (_, groups)) = there.listeners.iter().find(|((_, own), _)| *own == port).unwrap();
    groups.iter().filter_map(|group| there.targets.get(group)).flatten().map(|(id, _)| id.clone()).collect()
}

fn refused(stage: &Stage, mark: usize) -> Vec<String> {
    let calls = stage.calls(mark).into_iter();
    let registering = calls.filter(|call| call.action == "RegisterTargets");
    registering.filter(|call| call.outcome != Outcome::Answered).map(|call| format!("{call:#?}")).collect()
}

#[tokio::test]
async fn a_node_leaves_when_it_is_deleted_excluded_or_about_to_be_and_for_nothing_else() {
    on_stage("leaving", async |mut stage| {
        stage.add(service("web", 1));
        stage.settled("web").await;
        let change = |stage: &mut Stage, change: &dyn Fn(&mut Node)| {
            let mut node = Node::clone(&stage.nodes[0]);
            change(&mut node);
            stage.nodes[0] = Arc::new(node);
        };
        let label = |node: &mut Node, key: &str, value: &str| {
            let mut labels = (*node.labels).clone();
            labels.insert(key.to_owned(), value.to_owned());
            node.labels = Arc::new(labels);
        };
        let exclude = "node.kubernetes.io/exclude-from-external-load-balancers";
        let whole = Arc::clone(&stage.nodes[0]);
        let cases: [(&str, Edit<'_>, usize); 6] = [
            ("a label", &|node| label(node, "example.com/cordoned", "true"), 3),
            ("not excluded", &|node| label(node, exclude, "false"), 3),
            ("other addresses", &|node| node.internal = vec![IpAddr::from([10, 0, 100, 99])], 3),
            ("excluded", &|node| label(node, exclude, ""), 2),
            ("tainted by an autoscaler", &|node| node.leaving = true, 2),
            ("being deleted", &|node| node.deleting = true, 2),
        ];
        for (name, edit, left) in cases {
            let mark = stage.mark();
            change(&mut stage, edit);
            stage.settled("web").await;
            assert_eq!(registered(&stage).await.len(), left, "{name}");
            let expected: &[&str] = if left == 2 { &["DeregisterTargets"] } else { &[] };
            assert_eq!(stage.writes(mark), expected, "{name}");
            stage.nodes[0] = Arc::clone(&whole);
            stage.settled("web").await;
            assert_eq!(registered(&stage).await.len(), 3, "{name}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_service_of_ipv6_has_its_pods_of_that_family_as_targets() {
    on_stage("IPv6", async |mut stage| {
        let answer = stage.double.by_hand(Api::Ec2, REGION, "DescribeSubnets", &[]).await.unwrap();
        let subnets = answer.child("subnetSet").map(|set| set.children.clone()).unwrap_or_default();
        let block = |subnet: &portolan_aws_double::xml::Element| {
            let set = subnet.child("ipv6CidrBlockAssociationSet")?;
            Some(set.children.first()?.text_at(&["ipv6CidrBlock"])?.to_owned())
        };
        let of_private = |subnet: &&portolan_aws_double::xml::Element| {
            subnet.text_at(&["subnetId"]).is_some_and(|id| stage.seed.private_subnets.iter().any(|own| own == id))
        };
        let block = subnets.iter().filter(of_private).find_map(block).expect("a subnet of both families");
        let network: Ipv6Addr = block.split('/').next().unwrap().parse().unwrap();
        let pod = |number: u128| IpAddr::V6(Ipv6Addr::from(u128::from(network) + number));
        let both = Service {
            families: vec![Family::V6, Family::V4],
            family_policy: FamilyPolicy::PreferDualStack,
            ..service("web", 1)
        };
        stage.add(both);
        stage.edit("web", |web| {
            annotate(web, "nlb-target-type", "ip");
            annotate(web, "ip-address-type", "dualstack");
        });
        stage.pods("web", &[(pod(16), "a"), (pod(17), "b")]);
        stage.settled("web").await;
        let expected = [pod(16), pod(17)].map(|address| (address.to_string(), 80));
        assert_eq!(registered(&stage).await, expected.into());
        let created: Vec<_> = stage.calls(0).into_iter().filter(|call| call.action == "CreateTargetGroup").collect();
        assert_eq!(created.len(), 1);
        assert_eq!(created[0].query.get("IpAddressType"), Some("ipv6"));
        assert_eq!(stage.kept["web"].outcome.as_ref().unwrap().healthy.len(), 2, "and gates of them open");
        stage.pods("web", &[(pod(17), "b")]);
        stage.settled("web").await;
        assert_eq!(registered(&stage).await, [(pod(17).to_string(), 80)].into());
    })
    .await;
}

#[tokio::test]
async fn ports_with_a_node_port_go_to_nodes_and_those_without_to_pods() {
    on_stage("mixed", async |mut stage| {
        stage.add(service("web", 2));
        stage.edit("web", |web| web.ports[1].node_port = None);
        let pods = [IpAddr::V4(Ipv4Addr::new(10, 0, 100, 20)), IpAddr::V4(Ipv4Addr::new(10, 0, 100, 21))];
        stage.pods("web", &[(pods[0], "a")]);
        stage.settled("web").await;
        let nodes: BTreeSet<String> = stage.seed.instances.iter().cloned().collect();
        let addresses = |pods: &[IpAddr]| pods.iter().map(ToString::to_string).collect::<BTreeSet<_>>();
        assert_eq!((behind(&stage, 80).await, behind(&stage, 81).await), (nodes.clone(), addresses(&pods[..1])));
        // A pod more is none of the nodes' business, and the other way round.
        let mark = stage.mark();
        stage.pods("web", &[(pods[0], "a"), (pods[1], "b")]);
        stage.settled("web").await;
        assert_eq!(stage.writes(mark), ["RegisterTargets"]);
        stage.nodes.pop();
        let mark = stage.mark();
        stage.settled("web").await;
        assert_eq!(stage.writes(mark), ["DeregisterTargets"]);
        assert_eq!((behind(&stage, 80).await.len(), behind(&stage, 81).await), (2, addresses(&pods)));
    })
    .await;
}

#[tokio::test]
async fn of_more_pods_than_aws_has_room_for_some_are_targets_and_all_can_be_replaced() {
    on_stage("quotas", async |mut stage| {
        let mut web = service("web", 1);
        annotate(&mut web, "nlb-target-type", "ip");
        stage.add(web);
        // Outside of the network, so that AWS knows no zone.
        let pod = |set: u8, number: u16| {
            let [high, low] = number.to_be_bytes();
            (IpAddr::V4(Ipv4Addr::new(10, 200 + set, high, low)), format!("pod-{set}-{number}"))
        };
        let tell = |stage: &mut Stage, pods: &[(IpAddr, String)]| {
            stage.pods("web", &pods.iter().map(|(address, uid)| (*address, uid.as_str())).collect::<Vec<_>>());
        };
        let mark = stage.mark();
        for set in 0..2 {
            let pods: Vec<_> = (1..=520).map(|number| pod(set, number)).collect();
            tell(&mut stage, &pods);
            stage.settled("web").await;
            let there = registered(&stage).await;
            assert_eq!(there.len(), 500);
            assert!(there.iter().all(|(id, _)| id.starts_with(&format!("10.{}.", 200 + i32::from(set)))));
            let told = stage.kept["web"].outcome.as_ref().unwrap().programmed.message.clone();
            assert!(told.contains("port 80 has 500 of 520 targets"), "{told}");
        }
        assert_eq!(refused(&stage, mark), [""; 0]);
        // One goes that is a target, and one of those without a place comes.
        let before = registered(&stage).await;
        let first = before.first().unwrap().0.clone();
        let pods: Vec<_> = (1..=520).map(|number| pod(1, number)).filter(|(id, _)| id.to_string() != first).collect();
        tell(&mut stage, &pods);
        stage.settled("web").await;
        let after = registered(&stage).await;
        assert_eq!((after.len(), before.difference(&after).count()), (500, 1));
    })
    .await;
}

#[tokio::test]
async fn nodes_that_come_and_go_between_two_passes_are_one_batch_and_no_more_than_is_left_of_them() {
    on_stage("coalesced", async |mut stage| {
        stage.add(service("web", 1));
        let all = stage.nodes.clone();
        stage.nodes.truncate(1);
        stage.settled("web").await;
        let mark = stage.mark();
        stage.nodes.push(Arc::clone(&all[1]));
        stage.nodes.pop();
        stage.nodes.extend(all[1..].iter().cloned());
        let mut unknown = examples::node("node-9", &[IpAddr::from([10, 0, 100, 19])]);
        unknown.provider_id = Some("eks-hybrid:///eu-west-1/prod/mi-0123".to_owned());
        stage.nodes.push(Arc::new(unknown));
        stage.settled("web").await;
        assert_eq!(stage.writes(mark), ["RegisterTargets"]);
        assert_eq!(registered(&stage).await.len(), 3);
    })
    .await;
}
