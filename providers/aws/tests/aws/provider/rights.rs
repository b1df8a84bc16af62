//! The IAM policies of `deploy/aws` and the provider, held against each other. Every case of the provider runs under them, and fails where a call
//! is not allowed (`stage.rs`); here is that they allow nothing which is never called, and nothing on what is somebody else's.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use portolan_aws_double::{Policies, Service as Api};
use portolan_core::reason::Reason;
use serde_json::json;

use super::security::prefix_list;
use super::stage::{SOON, Stage, annotate, on_localstack, on_stage, play, service};
use crate::emulated::{CLUSTER, REGION};

/// On which the policies are scoped.
const MARK: &str = "elbv2.k8s.aws/cluster";

/// What of the policies none of our calls has needed, those included that AWS asks for beside an action.
fn never_needed(stage: &Stage) -> BTreeSet<String> {
    let needed: BTreeSet<String> = stage.calls(0).iter().flat_map(|call| call.needs()).collect();
    &Policies::deployed(CLUSTER).unwrap().actions() - &needed
}

/// As long as the slow rotation takes to come to each load balancer.
const ROTATION: Duration = Duration::from_secs(180);

#[tokio::test]
async fn each_action_that_the_policies_allow_is_called_in_the_life_of_a_few_services() {
    on_stage("rights", life).await;
}

#[tokio::test]
async fn at_localstack_too_each_action_that_the_policies_allow_is_called_in_the_life_of_a_few_services() {
    on_localstack("rights", life).await;
}

async fn life(mut stage: Stage) {
    let mut certificates = Vec::new();
    for name in ["one", "two", "three"] {
        certificates.push(stage.double.certificate(name).await.unwrap());
    }
    let subnets = stage.seed.private_subnets.clone();
    // Routes decide what no tag says.
    let mut untag = vec![("Tag.1.Key", "kubernetes.io/role/elb")];
    let names: Vec<String> = (1..=3).map(|number| format!("ResourceId.{number}")).collect();
    untag.extend(names.iter().zip(&stage.seed.public_subnets).map(|(name, id)| (name.as_str(), id.as_str())));
    stage.double.by_hand(Api::Ec2, REGION, "DeleteTags", &untag).await.unwrap();

    // Made: listeners with and without TLS, a second certificate, attributes of all three kinds, tags.
    let mut web = service("web", 2);
    annotate(&mut web, "subnets", &subnets[0]);
    annotate(&mut web, "ssl-cert", &certificates[..2].join(","));
    annotate(&mut web, "ssl-ports", "81");
    annotate(&mut web, "attributes", "load_balancing.cross_zone.enabled=true");
    annotate(&mut web, "target-group-attributes", "deregistration_delay.timeout_seconds=30");
    annotate(&mut web, "listener-attributes.TCP-80", "tcp.idle_timeout.seconds=400");
    annotate(&mut web, "additional-resource-tags", "team=shop,stage=test");
    stage.add(web.clone());
    stage.settled("web").await;

    // Edited, all in place.
    for key in ["attributes", "target-group-attributes", "listener-attributes.TCP-80"] {
        web.annotations.remove(&format!("service.beta.kubernetes.io/aws-load-balancer-{key}"));
    }
    annotate(&mut web, "ssl-cert", &[certificates[0].clone(), certificates[2].clone()].join(","));
    annotate(&mut web, "ssl-negotiation-policy", "ELBSecurityPolicy-TLS13-1-2-2021-06");
    annotate(&mut web, "healthcheck-interval", "30");
    annotate(&mut web, "subnets", &subnets[..2].join(","));
    annotate(&mut web, "additional-resource-tags", "team=ship");
    web.annotations.insert("service.beta.kubernetes.io/load-balancer-source-ranges".into(), "192.0.2.0/24".into());
    stage.edit("web", |service| *service = web.clone());
    stage.settled("web").await;
    let list = prefix_list(&stage, "offices", "5").await;
    annotate(&mut web, "security-group-prefix-lists", &list);
    stage.edit("web", |service| *service = web.clone());
    stage.settled("web").await;
    web.annotations.remove("service.beta.kubernetes.io/aws-load-balancer-security-group-prefix-lists");
    annotate(&mut web, "ip-address-type", "dualstack");
    stage.edit("web", |service| *service = web.clone());
    stage.settled("web").await;
    annotate(&mut web, "security-groups", &stage.seed.security_group);
    stage.edit("web", |service| *service = web.clone());
    stage.settled("web").await;
    stage.edit("web", |service| drop(service.ports.remove(0)));
    stage.nodes.pop();
    stage.settled("web").await;

    // Pods, and what lets them in.
    let mut pods = service("pods", 1);
    annotate(&mut pods, "nlb-target-type", "ip");
    stage.add(pods);
    stage.pods("pods", &[(IpAddr::from([10, 0, 100, 20]), "a")]);
    stage.settled("pods").await;

    // Replaced: another scheme, with subnets that are found.
    let mut plain = service("plain", 1);
    stage.add(plain.clone());
    stage.settled("plain").await;
    annotate(&mut plain, "scheme", "internet-facing");
    stage.edit("plain", |service| *service = plain);
    stage.settled("plain").await;

    // Read again by the slow rotation; and by a process that comes after, of which the record is lost.
    stage.run_for(ROTATION).await;
    stage.restart();
    stage.kept.get_mut("web").unwrap().external.clear();
    stage.settled("web").await;

    for name in stage.names() {
        stage.delete(&name);
        stage.settled(&name).await;
    }
    stage.assert_nothing_left().await;
    let superfluous = never_needed(&stage);
    assert!(superfluous.is_empty(), "allowed, and never called: {superfluous:?}");
}

/// Takes the cluster's tag from an object while the process believes that it is ours, and asks for a change of it: AWS does not make it.
async fn is_denied(action: &str, untag: impl AsyncFn(&Stage), edit: impl Fn(&mut Stage)) {
    let case = async |mut stage: Stage| {
        stage.add(service("web", 1));
        stage.settled("web").await;
        untag(&stage).await;
        edit(&mut stage);
        let (before, mark) = (stage.inventory().await, stage.mark());
        let end = stage.pass("web").await;
        assert_eq!(end.reason(), Some(Reason::AccessDenied), "{}", end.message());
        let denied: Vec<_> = stage.calls(mark).into_iter().filter(|call| call.was_denied()).collect();
        assert_eq!(denied.iter().map(|call| &call.action).collect::<Vec<_>>(), [action]);
        assert_eq!(stage.inventory().await, before);
    };
    play(action, json!({}), |double| double.timings(SOON), case).await;
}

/// By somebody else's hand, from what has an ARN like this.
async fn untag(stage: &Stage, kind: &str) {
    let tags = stage.inventory().await.tags;
    let arn = tags.keys().find(|arn| arn.contains(kind)).unwrap();
    let pairs = [("ResourceArns.member.1", arn.as_str()), ("TagKeys.member.1", MARK)];
    stage.double.by_hand(Api::ElasticLoadBalancing, REGION, "RemoveTags", &pairs).await.unwrap();
}

fn annotated(stage: &mut Stage, key: &str, value: &str) {
    stage.edit("web", |service| annotate(service, key, value));
}

#[tokio::test]
async fn a_balancer_without_the_cluster_s_tag_the_policies_leave_alone() {
    is_denied(
        "ModifyLoadBalancerAttributes",
        async |stage: &Stage| untag(stage, ":loadbalancer/").await,
        |stage| annotated(stage, "attributes", "load_balancing.cross_zone.enabled=true"),
    )
    .await;
}

#[tokio::test]
async fn a_target_group_without_the_cluster_s_tag_the_policies_leave_alone() {
    is_denied(
        "DeregisterTargets",
        async |stage: &Stage| untag(stage, ":targetgroup/").await,
        |stage| drop(stage.nodes.pop()),
    )
    .await;
}

#[tokio::test]
async fn a_listener_without_the_cluster_s_tag_the_policies_leave_alone() {
    is_denied(
        "ModifyListenerAttributes",
        async |stage: &Stage| untag(stage, ":listener/").await,
        |stage| annotated(stage, "listener-attributes.TCP-80", "tcp.idle_timeout.seconds=400"),
    )
    .await;
}

#[tokio::test]
async fn a_security_group_without_the_cluster_s_tag_the_policies_leave_alone() {
    let untag = async |stage: &Stage| {
        let id = stage.security_group_id().await;
        let pairs = [("ResourceId.1", id.as_str()), ("Tag.1.Key", MARK)];
        stage.double.by_hand(Api::Ec2, REGION, "DeleteTags", &pairs).await.unwrap();
    };
    let edit = |stage: &mut Stage| {
        let ranges = "service.beta.kubernetes.io/load-balancer-source-ranges".to_owned();
        stage.edit("web", |service| drop(service.annotations.insert(ranges, "192.0.2.0/24".to_owned())));
    };
    is_denied("AuthorizeSecurityGroupIngress", untag, edit).await;
}
