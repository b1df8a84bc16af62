//! The dry run, held against what is done then: the same calls in the same order, to the end. Its loop is that of `src/controller/preview.rs`.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use portolan_aws::{Account, Nlb, Parameters, Step};
use portolan_aws_double::Outcome;
use portolan_core::balancer::Protocol;
use portolan_core::facts::{Claim, Facts, claims};
use portolan_core::ids::Instance;
use portolan_core::provider::{Foreseen, Provider};
use portolan_core::record::Record;
use portolan_core::snapshot::{Node, Service, Slice};
use serde_json::json;

use super::security::prefix_list;
use super::stage::{SOON, Stage, annotate, on, on_stage, service};

/// What the cluster shows to a dry run.
#[derive(Debug)]
struct Cluster {
    nodes: Arc<Vec<Arc<Node>>>,
    slices: Vec<Arc<Slice>>,
}

impl Facts for Cluster {
    fn nodes(&self) -> Arc<Vec<Arc<Node>>> {
        Arc::clone(&self.nodes)
    }

    fn records(&self) -> Option<Arc<Vec<Arc<Record>>>> {
        // As the process that acts here has it: nothing that others may need goes.
        None
    }

    fn claims(&self, addresses: &BTreeSet<IpAddr>) -> Vec<Claim> {
        claims(&self.slices, addresses)
    }
}

/// A process that only looks, as `portolan plan` is one.
pub(super) fn dry(stage: &Stage, endpoint: &str) -> Nlb {
    let parameters = Parameters::parse(&stage.class.parameters).unwrap();
    let options = portolan_aws::client::Options { endpoint: Some(endpoint.to_owned()), ..stage.options.clone() };
    let slices = stage.kept.values().flat_map(|kept| kept.slices.iter().cloned()).collect();
    let facts = Cluster { nodes: Arc::new(stage.nodes.clone()), slices };
    let account = Account::with_facts(options, Arc::new(stage.clock.clone()), Arc::new(facts));
    Nlb::dry(parameters, Instance::default(), account)
}

/// All parts of the plan, each with what comes before it.
pub(super) async fn parts(nlb: &Nlb, stage: &Stage, name: &str) -> Vec<(&'static str, Vec<Step>)> {
    let mut desired = stage.desired(name).unwrap().0;
    let mut observed = nlb.observe_many(&[stage.known(name)]).await.remove(0).unwrap();
    let mut parts = vec![("now", nlb.plan(Some(&desired), &observed).unwrap())];
    for _ in 0..8 {
        let Foreseen { state, awaited } = nlb.foresee(Some(&desired), &observed, &parts.last().unwrap().1).unwrap();
        let published = nlb.outcome(Some(&desired), &state).published;
        let is_news = desired.published != published;
        desired.published = published;
        let next = nlb.plan(Some(&desired), &state).unwrap();
        if next.is_empty() && !is_news {
            break;
        }
        parts.push((if is_news { "published" } else { awaited }, next));
        observed = state;
    }
    parts.into_iter().map(|(when, plan)| (when, plan.steps)).collect()
}

pub(super) fn costs(parts: &[(&'static str, Vec<Step>)]) -> Vec<String> {
    let calls = parts.iter().flat_map(|(_, steps)| steps).flat_map(Step::calls);
    calls.map(|action| action.name.to_owned()).collect()
}

/// What has been done: AWS may have let us wait with a deletion.
pub(super) fn done(stage: &Stage, mark: usize) -> Vec<String> {
    let done = stage.calls(mark).into_iter().filter(|call| call.is_mutating() && call.outcome == Outcome::Answered);
    done.map(|call| call.action.clone()).collect()
}

/// What is deleted last goes when AWS lets go of it, so that one may overtake another.
fn at_the_end_in_any_order(mut calls: Vec<String>) -> Vec<String> {
    let end = calls.iter().rposition(|call| !call.starts_with("Delete")).map_or(0, |last| last + 1);
    calls[end..].sort();
    calls
}

/// What is planned for a new Service is done, and what is planned for it as it becomes another; and at rest nothing is planned.
async fn is_done_as_planned(name: &str, from: Service, to: Service) {
    on_stage(name, async |mut stage| {
        let pods = [(IpAddr::from([10, 0, 100, 20]), "a"), (IpAddr::from([10, 0, 100, 21]), "b")];
        stage.add(from);
        for next in [None, Some(to)] {
            if let Some(next) = next {
                stage.edit("web", |service| *service = next);
            }
            stage.pods("web", &pods);
            let endpoint = stage.double.endpoint();
            let mark = stage.mark();
            let planned = parts(&dry(&stage, &endpoint), &stage, "web").await;
            assert_eq!(stage.writes(mark), [""; 0], "a dry run only looks");
            let mark = stage.mark();
            stage.settled("web").await;
            assert_eq!(
                at_the_end_in_any_order(done(&stage, mark)),
                at_the_end_in_any_order(costs(&planned)),
                "{planned:#?}"
            );
            let at_rest = parts(&dry(&stage, &endpoint), &stage, "web").await;
            assert_eq!(at_rest, [("now", Vec::new())]);
        }
    })
    .await;
}

#[tokio::test]
async fn a_change_of_scheme_is_planned_to_the_end_of_the_one_that_is_replaced() {
    let mut to = service("web", 2);
    annotate(&mut to, "scheme", "internet-facing");
    is_done_as_planned("scheme", service("web", 2), to).await;
}

#[tokio::test]
async fn a_change_of_target_type_is_planned_to_the_end() {
    let mut to = service("web", 1);
    annotate(&mut to, "nlb-target-type", "ip");
    is_done_as_planned("target type", service("web", 1), to).await;
}

#[tokio::test]
async fn a_change_of_protocol_is_planned_to_the_end() {
    let mut to = service("web", 1);
    to.ports[0].key.protocol = Protocol::Udp;
    is_done_as_planned("protocol", service("web", 1), to).await;
}

#[tokio::test]
async fn attributes_ports_and_who_may_connect_are_planned_as_they_are_changed() {
    let mut to = service("web", 3);
    to.ports.remove(0);
    annotate(&mut to, "attributes", "load_balancing.cross_zone.enabled=true");
    to.source_ranges = vec!["10.0.0.0/8".to_owned()];
    is_done_as_planned("attributes and ports", service("web", 2), to).await;
}

#[tokio::test]
async fn whom_a_prefix_list_names_is_planned_as_it_is_let_in() {
    on_stage("list", async |mut stage| {
        let list = prefix_list(&stage, "list", "30").await;
        let mut web = service("web", 2);
        annotate(&mut web, "security-group-prefix-lists", &list);
        stage.add(web);
        let planned = parts(&dry(&stage, &stage.double.endpoint()), &stage, "web").await;
        let unknown = planned.iter().flat_map(|(_, steps)| steps).filter(|step| step.to_string().contains("unknown]"));
        assert_eq!(unknown.count(), 0, "{planned:#?}");
        let mark = stage.mark();
        stage.settled("web").await;
        assert_eq!(done(&stage, mark), costs(&planned));

        // What AWS would refuse, or does not have, the dry run refuses.
        stage.edit("web", |service| service.ports = super::stage::service("web", 3).ports);
        let nlb = dry(&stage, &stage.double.endpoint());
        let refused = async |stage: &Stage| {
            let observed = nlb.observe_many(&[stage.known("web")]).await.remove(0).unwrap();
            nlb.plan(Some(&stage.desired("web").unwrap().0), &observed).unwrap_err().to_string()
        };
        let said = refused(&stage).await;
        assert!(said.contains("would need 90 inbound rules"), "{said}");
        stage.edit("web", |service| annotate(service, "security-group-prefix-lists", "pl-0123456789abcdef0"));
        assert!(refused(&stage).await.contains("there is no prefix list pl-0123456789abcdef0"));

        let without = parts(&dry(&stage, "http://127.0.0.1:9"), &stage, "web").await;
        let lines: Vec<String> = without[0].1.iter().map(ToString::to_string).collect();
        let unknown =
            "see as how many rules pl-0123456789abcdef0 count at a security group [AWS not reachable: unknown]";
        assert!(lines.iter().any(|line| line == unknown), "{lines:#?}");
    })
    .await;
}

#[tokio::test]
async fn of_several_services_the_first_alone_makes_the_group_that_all_carry() {
    on_stage("several", async |mut stage| {
        let (mut planned, nlb) = (Vec::new(), dry(&stage, &stage.double.endpoint()));
        for (number, name) in (0..).zip(["a", "b", "c"]) {
            let mut one = service(name, 1);
            one.ports[0].node_port = Some(30100 + 10 * number);
            stage.add(one);
            planned.extend(costs(&parts(&nlb, &stage, name).await));
        }
        let made = planned.iter().filter(|action| *action == "CreateSecurityGroup").count();
        assert_eq!(made, 4, "one each, and the one that all carry: {planned:?}");
        let mark = stage.mark();
        for name in stage.names() {
            stage.settled(&name).await;
        }
        assert_eq!(done(&stage, mark), planned);
    })
    .await;
}

#[tokio::test]
async fn without_aws_at_hand_nothing_is_guessed_of_what_exists() {
    on_stage("without AWS", async |mut stage| {
        stage.add(service("web", 1));
        let nobody = "http://127.0.0.1:9";
        let first = parts(&dry(&stage, nobody), &stage, "web").await;
        let names = |parts: &[(&str, Vec<Step>)]| -> Vec<String> {
            parts.iter().flat_map(|(_, steps)| steps).map(ToString::to_string).collect()
        };
        let unknown = "let in 30080/TCP at the security groups of the targets [AWS not reachable: unknown]";
        assert_eq!(names(&first)[0], unknown);
        assert_eq!(names(&first).iter().filter(|line| line.contains("unknown]")).count(), 1, "{first:#?}");
        assert_eq!(first.len(), 2, "nothing follows but that it is published: {first:#?}");
        stage.settled("web").await;
        let lines = names(&parts(&dry(&stage, nobody), &stage, "web").await);
        assert_eq!(lines.len(), 2, "{lines:#?}");
        assert_eq!(lines[0], unknown);
        assert!(lines[1].starts_with("let in at security group ") && lines[1].ends_with("unknown]"), "{lines:#?}");
    })
    .await;
}

#[tokio::test]
async fn what_has_no_room_is_told() {
    let parameters = json!({});
    on(
        "no room",
        parameters,
        |double| double.timings(SOON),
        async |mut stage| {
            let id = stage.seed.security_group.clone();
            for port in 1..=60_u16 {
                let port = port.to_string();
                let rule = [
                    ("GroupId", id.as_str()),
                    ("IpPermissions.1.IpProtocol", "tcp"),
                    ("IpPermissions.1.FromPort", port.as_str()),
                    ("IpPermissions.1.ToPort", port.as_str()),
                    ("IpPermissions.1.IpRanges.1.CidrIp", "10.0.0.0/8"),
                ];
                let api = portolan_aws_double::Service::Ec2;
                stage
                    .double
                    .by_hand(api, crate::emulated::REGION, "AuthorizeSecurityGroupIngress", &rule)
                    .await
                    .unwrap();
            }
            stage.add(service("web", 1));
            let planned = parts(&dry(&stage, &stage.double.endpoint()), &stage, "web").await;
            let lines: Vec<String> = planned[0].1.iter().map(ToString::to_string).collect();
            assert!(lines.iter().any(|line| line.contains("has room for 0 more inbound rules")), "{lines:#?}");
        },
    )
    .await;
}
