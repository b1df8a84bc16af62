//! Targets while pods and nodes come and go, and what is not ours or was changed by somebody's hand.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use portolan_aws_double::xml::Element;
use portolan_aws_double::{Double, Health, Seed, Service as Api};
use portolan_core::balancer::Protocol;
use portolan_core::examples;
use serde_json::json;

use super::stage::{End, SOON, Stage, annotate, node, on, on_stage, on_stage_in_full, service};
use crate::emulated::REGION;

/// How many targets of the only group are healthy, by AWS.
async fn healthy(stage: &Stage) -> usize {
    let arn = stage.inventory().await.groups.into_values().next().unwrap();
    let pairs = [("TargetGroupArn", arn.as_str())];
    let answer = stage.double.by_hand(Api::ElasticLoadBalancing, REGION, "DescribeTargetHealth", &pairs).await.unwrap();
    let result = answer.child("DescribeTargetHealthResult").unwrap();
    let all = result.child("TargetHealthDescriptions").map(|set| set.children.clone()).unwrap_or_default();
    all.iter().filter(|one| one.text_at(&["TargetHealth", "State"]) == Some("healthy")).count()
}

/// Passes until all is settled; never fewer healthy targets than these. Within a pass no time goes by and targets become healthy by time alone, so
/// that the least is at its end.
async fn settled_with(stage: &mut Stage, least: usize) {
    for _ in 0..150 {
        let end = stage.pass("web").await;
        assert!(matches!(end, End::Settled), "{}", end.message());
        let now = healthy(stage).await;
        assert!(now >= least, "{now} healthy targets, and {least} before");
        if stage.kept["web"].outcome.as_ref().is_some_and(|outcome| outcome.wait.is_none()) {
            return;
        }
        stage.advance(Duration::from_secs(20));
    }
    panic!("it does not settle");
}

#[tokio::test]
async fn ten_rolling_updates_of_pods_never_leave_fewer_healthy_targets() {
    on_stage_in_full("rolling pods", async |mut stage| {
        const PODS: usize = 3;
        let pod =
            |number: usize| (IpAddr::from([10, 0, 100, u8::try_from(20 + number).unwrap()]), format!("pod-{number}"));
        let mut web = service("web", 1);
        annotate(&mut web, "nlb-target-type", "ip");
        stage.add(web);
        let mut pods: Vec<_> = (0..PODS).map(pod).collect();
        let tell = |stage: &mut Stage, pods: &[(IpAddr, String)]| {
            stage.pods("web", &pods.iter().map(|(address, uid)| (*address, uid.as_str())).collect::<Vec<_>>());
        };
        tell(&mut stage, &pods);
        stage.settled("web").await;
        assert_eq!(healthy(&stage).await, PODS);
        for update in 0..10 {
            // One after the other, and no update waits until the balancer has caught up with the one before.
            for place in 0..PODS {
                pods[place] = pod(PODS * (update + 1) + place);
                tell(&mut stage, &pods);
                stage.pass("web").await;
                assert!(healthy(&stage).await >= PODS, "update {update}");
                stage.advance(Duration::from_secs(15));
            }
        }
        settled_with(&mut stage, PODS).await;
        let wanted: BTreeSet<(String, u16)> = pods.iter().map(|(address, _)| (address.to_string(), 80)).collect();
        assert_eq!(stage.inventory().await.targets.into_values().next().unwrap(), wanted);
    })
    .await;
}

pub(super) async fn new_instance(double: &Double, seed: &Seed) -> String {
    let subnet = seed.private_subnets[0].clone();
    let pairs = [
        ("ImageId", "ami-12c6146b"),
        ("MinCount", "1"),
        ("MaxCount", "1"),
        ("InstanceType", "t3.micro"),
        ("SubnetId", subnet.as_str()),
        ("SecurityGroupId.1", seed.security_group.as_str()),
    ];
    let made = double.by_hand(Api::Ec2, REGION, "RunInstances", &pairs).await.unwrap();
    let all = made.child("instancesSet").map(|set| set.children.clone()).unwrap_or_default();
    all.first().and_then(|one: &Element| one.text_at(&["instanceId"])).unwrap().to_owned()
}

#[tokio::test]
async fn ten_rolling_updates_of_nodes_never_leave_fewer_healthy_targets() {
    on_stage_in_full("rolling nodes", async |mut stage| {
        stage.add(service("web", 1));
        stage.settled("web").await;
        let nodes = stage.nodes.len();
        assert_eq!(healthy(&stage).await, nodes);
        for update in 0..10 {
            stage.nodes[update % nodes] = node(10 + update, &new_instance(&stage.double, &stage.seed).await);
            stage.nodes.sort_by(|one, other| one.name.cmp(&other.name));
            stage.pass("web").await;
            assert!(healthy(&stage).await >= nodes, "update {update}");
            stage.advance(Duration::from_secs(60));
        }
        settled_with(&mut stage, nodes).await;
        assert_eq!(healthy(&stage).await, nodes);
    })
    .await;
}

#[tokio::test]
async fn a_target_that_aws_does_not_take_keeps_no_other_out() {
    on_stage("a bad target", async |mut stage| {
        stage.nodes.insert(1, node(7, "i-00000000000000bad"));
        let mut unknown = examples::node("node-8", &[IpAddr::from([10, 0, 100, 18])]);
        unknown.provider_id = None;
        stage.nodes.push(Arc::new(unknown));
        stage.add(service("web", 1));
        stage.settled("web").await;
        assert_eq!(stage.kept["web"].published.len(), 1);
        assert_eq!(healthy(&stage).await, 3);
        // It is asked for again now and then, and not all the time.
        let mark = stage.mark();
        for _ in 0..60 {
            stage.pass("web").await;
            stage.advance(Duration::from_secs(5));
        }
        let writes = stage.writes(mark);
        assert!((1..=6).contains(&writes.len()), "{writes:?}");
    })
    .await;
}

#[tokio::test]
async fn a_target_that_is_not_healthy_is_told_and_takes_nobody_with_it() {
    on_stage("unhealthy", async |mut stage| {
        for instance in &stage.seed.instances {
            stage.double.script().target(instance, Health::Unhealthy);
        }
        stage.add(service("web", 1));
        stage.settled("web").await;
        let outcome = stage.kept["web"].outcome.clone().unwrap();
        assert_eq!(outcome.reachable.unwrap().message, "AWS finds no healthy target for port 80");
        assert_eq!(outcome.published.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_class_that_awaits_a_healthy_target_publishes_soon_after_aws_has_found_one() {
    let parameters = json!({"publishWhen": "healthy"});
    on(
        "publishWhen",
        parameters,
        |double| double.timings(SOON),
        async |mut stage| {
            for instance in &stage.seed.instances {
                stage.double.script().target(instance, Health::Unhealthy);
            }
            // Many that are settled before it, so that the slow rotation comes to it late.
            for name in ["a", "b", "c"] {
                stage.add(service(name, 8));
                stage.pods(name, &[]);
            }
            stage.add(service("web", 1));
            stage.pods("web", &[([10, 0, 100, 50].into(), "pod")]);
            for _ in 0..2 {
                for name in stage.names() {
                    stage.pass(&name).await;
                }
                stage.run_for(Duration::from_secs(60)).await;
            }
            assert_eq!(stage.kept["a"].published.len(), 1, "nobody of it can be healthy");
            assert_eq!(stage.kept["web"].published, []);
            for instance in &stage.seed.instances {
                stage.double.script().target(instance, Health::Healthy);
            }
            stage.run_for(Duration::from_secs(45)).await;
            assert_eq!(stage.kept["web"].published.len(), 1);
        },
    )
    .await;
}

#[tokio::test]
async fn what_is_somebody_elses_on_our_balancer_is_left_alone() {
    on_stage("foreign", async |mut stage| {
        stage.add(service("web", 1));
        stage.settled("web").await;
        let ours = stage.inventory().await;
        let balancer = ours.balancers.values().next().unwrap();
        let elb = Api::ElasticLoadBalancing;
        let group = [
            ("Name", "theirs"),
            ("Protocol", "TCP"),
            ("Port", "9000"),
            ("VpcId", stage.seed.vpc.as_str()),
            ("TargetType", "instance"),
        ];
        stage.double.by_hand(elb.clone(), REGION, "CreateTargetGroup", &group).await.unwrap();
        let theirs = stage.inventory().await.groups["theirs"].clone();
        let listener = [
            ("LoadBalancerArn", balancer.as_str()),
            ("Protocol", "TCP"),
            ("Port", "9000"),
            ("DefaultActions.member.1.Type", "forward"),
            ("DefaultActions.member.1.TargetGroupArn", theirs.as_str()),
        ];
        stage.double.by_hand(elb.clone(), REGION, "CreateListener", &listener).await.unwrap();
        let security_group = stage.security_group_id().await;
        let rule = [
            ("GroupId", security_group.as_str()),
            ("IpPermissions.1.IpProtocol", "tcp"),
            ("IpPermissions.1.FromPort", "9000"),
            ("IpPermissions.1.ToPort", "9000"),
            ("IpPermissions.1.IpRanges.1.CidrIp", "192.0.2.0/24"),
        ];
        stage.double.by_hand(Api::Ec2, REGION, "AuthorizeSecurityGroupIngress", &rule).await.unwrap();

        stage.restart();
        stage.edit("web", |service| {
            service.ports.push(examples::port("more", 443, Protocol::Tcp, Some(30443)));
            service.source_ranges = vec!["198.51.100.0/24".to_owned()];
        });
        stage.settled("web").await;
        stage.edit("web", |service| drop(service.ports.pop()));
        stage.settled("web").await;
        stage.run_for(Duration::from_secs(130)).await;
        let there = stage.inventory().await;
        let ports: Vec<u16> = there.listeners.keys().map(|(_, port)| *port).collect();
        assert_eq!((ports, there.groups.contains_key("theirs")), (vec![80, 9000], true));
        let rules: Vec<String> = stage.security_groups().await.into_values().flatten().collect();
        assert_eq!(rules, ["tcp 80-80 from 198.51.100.0/24", "tcp 9000-9000 from 192.0.2.0/24"]);

        // One that asks for the port that is taken is told so, and goes on with the others.
        stage.edit("web", |service| service.ports.push(examples::port("taken", 9000, Protocol::Tcp, Some(30900))));
        stage.settled("web").await;
        let programmed = stage.kept["web"].outcome.clone().unwrap().programmed;
        assert_eq!(programmed.message, "port 9000 has a listener that is not ours; it is left alone");
        assert_eq!(
            stage.inventory().await.listeners.values().filter(|(_, groups)| groups.contains("theirs")).count(),
            1
        );
    })
    .await;
}

async fn attributes(stage: &Stage) -> [BTreeMap<String, String>; 2] {
    let there = stage.inventory().await;
    let balancer = there.balancers.values().next().unwrap();
    let group = there.groups.values().next().unwrap();
    [
        stage.attributes("DescribeLoadBalancerAttributes", "LoadBalancerArn", balancer).await,
        stage.attributes("DescribeTargetGroupAttributes", "TargetGroupArn", group).await,
    ]
}

#[tokio::test]
async fn an_attribute_that_is_taken_out_of_the_service_goes_back_to_awss_default_also_by_another_process() {
    on_stage("attributes", async |mut stage| {
        stage.add(service("web", 1));
        stage.settled("web").await;
        let before = attributes(&stage).await;
        stage.edit("web", |service| {
            annotate(service, "attributes", "load_balancing.cross_zone.enabled=true");
            annotate(service, "target-group-attributes", "deregistration_delay.timeout_seconds=30");
        });
        stage.settled("web").await;
        let set = attributes(&stage).await;
        assert_eq!(set[0]["load_balancing.cross_zone.enabled"], "true");
        assert_eq!(set[1]["deregistration_delay.timeout_seconds"], "30");
        stage.restart();
        stage.edit("web", |service| service.annotations.clear());
        stage.settled("web").await;
        assert_eq!(attributes(&stage).await, before);
    })
    .await;
}

#[tokio::test]
async fn what_somebodys_hand_has_changed_is_put_right_by_the_audit() {
    on_stage("by hand", async |mut stage| {
        let mut web = service("web", 2);
        annotate(&mut web, "attributes", "load_balancing.cross_zone.enabled=true");
        stage.add(web);
        stage.settled("web").await;
        stage.run_for(Duration::from_secs(60)).await;
        let before = (attributes(&stage).await, stage.inventory().await.listeners, stage.security_groups().await);
        let there = stage.inventory().await;
        let balancer = there.balancers.values().next().unwrap().clone();
        let listener = there.tags.keys().find(|arn| arn.contains(":listener/")).unwrap().clone();
        let group = there.groups.values().next().unwrap().clone();
        let security_group = stage.security_group_id().await;
        let instance = stage.seed.instances[0].clone();
        let elb = Api::ElasticLoadBalancing;
        let edits = [
            (
                elb.clone(),
                "ModifyLoadBalancerAttributes",
                vec![
                    ("LoadBalancerArn", balancer.as_str()),
                    ("Attributes.member.1.Key", "load_balancing.cross_zone.enabled"),
                    ("Attributes.member.1.Value", "false"),
                ],
            ),
            (elb.clone(), "DeleteListener", vec![("ListenerArn", listener.as_str())]),
            (
                elb.clone(),
                "DeregisterTargets",
                vec![("TargetGroupArn", group.as_str()), ("Targets.member.1.Id", instance.as_str())],
            ),
            (
                Api::Ec2,
                "RevokeSecurityGroupIngress",
                vec![
                    ("GroupId", security_group.as_str()),
                    ("IpPermissions.1.IpProtocol", "tcp"),
                    ("IpPermissions.1.FromPort", "80"),
                    ("IpPermissions.1.ToPort", "80"),
                    ("IpPermissions.1.IpRanges.1.CidrIp", "0.0.0.0/0"),
                ],
            ),
        ];
        for (api, action, pairs) in edits {
            stage.double.by_hand(api, REGION, action, &pairs).await.unwrap();
            stage.run_for(Duration::from_secs(130)).await;
            stage.settled("web").await;
            let now = (attributes(&stage).await, stage.inventory().await.listeners, stage.security_groups().await);
            assert_eq!(now, before, "after {action}");
            assert_eq!(stage.inventory().await.targets.values().map(BTreeSet::len).sum::<usize>(), 6, "after {action}");
        }
    })
    .await;
}

#[tokio::test]
async fn what_somebodys_hand_has_deleted_is_made_again_as_soon_as_a_poll_misses_it() {
    on_stage("deleted by hand", async |mut stage| {
        stage.add(service("web", 2));
        stage.settled("web").await;
        stage.run_for(Duration::from_secs(60)).await;
        // After a restart too, when it is known from the record alone.
        for is_new in [false, true] {
            let elb = Api::ElasticLoadBalancing;
            let there = stage.inventory().await;
            let listeners = there.tags.keys().filter(|arn| arn.contains(":listener/"));
            for arn in listeners {
                stage.double.by_hand(elb.clone(), REGION, "DeleteListener", &[("ListenerArn", arn)]).await.unwrap();
            }
            // AWS lets go of groups a while after their listeners.
            stage.advance(Duration::from_secs(25));
            for arn in there.groups.values() {
                stage
                    .double
                    .by_hand(elb.clone(), REGION, "DeleteTargetGroup", &[("TargetGroupArn", arn)])
                    .await
                    .unwrap();
            }
            if is_new {
                stage.restart();
                stage.pass("web").await;
            }
            stage.run_for(Duration::from_secs(15)).await;
            let now = stage.inventory().await;
            assert_eq!((now.groups.len(), now.listeners.len()), (2, 2), "after a restart: {is_new}");
            stage.settled("web").await;
            let targets = stage.inventory().await.targets;
            assert_eq!(targets.values().map(BTreeSet::len).sum::<usize>(), 6);
            stage.run_for(Duration::from_secs(60)).await;
        }

        let before = stage.inventory().await.balancers.into_values().next().unwrap();
        let balancer = [("LoadBalancerArn", before.as_str())];
        stage.double.by_hand(Api::ElasticLoadBalancing, REGION, "DeleteLoadBalancer", &balancer).await.unwrap();
        stage.run_for(Duration::from_secs(15)).await;
        let now = stage.inventory().await;
        assert_eq!((now.balancers.len(), now.listeners.len()), (1, 2));
        assert!(!now.balancers.values().any(|arn| *arn == before));
    })
    .await;
}
