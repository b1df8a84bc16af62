//! The shared security group and the rules of targets' groups, at a double of AWS.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{Either, select};
use portolan_aws::backend::need::{Need, Opening, Peer, Port, Transport, Who};
use portolan_aws::backend::{Backend, Error, Last};
use portolan_aws::client::ec2::filter::Filters;
use portolan_aws::client::ec2::groups::{Rule, Source, Traffic};
use portolan_aws::client::error::Problem;
use portolan_aws::clock::SystemClock;
use portolan_aws::ids::{ClusterName, Id, SecurityGroupId, VpcId};
use portolan_aws::mark::Mark;
use portolan_aws::parameters::{BackendSecurityGroup, Parameters};
use portolan_aws::survey::Survey;
use portolan_aws_double::{Effect, Fault, Timings};
use portolan_core::ids::{Instance, LoadBalancerId};

use crate::client::double::{Stage, on_double, on_double_with};
use crate::emulated::CLUSTER;

fn parameters() -> Parameters {
    Parameters::new(ClusterName::parse(CLUSTER).unwrap())
}

/// A process that has just started, with records of these.
fn started(parameters: &Parameters, expected: &[&str]) -> Backend {
    let survey = Survey::new(parameters.clone(), &Instance::default(), Arc::new(SystemClock::start()));
    let backend = Backend::new(parameters.clone(), Instance::default(), survey);
    backend.expect(expected.iter().map(|id| (LoadBalancerId::new(*id), Last::Unknown)));
    backend
}

fn of(id: &str) -> LoadBalancerId {
    LoadBalancerId::new(id)
}

fn need(who: impl IntoIterator<Item = Who>, ports: &[u16]) -> Need {
    let ports = ports.iter().map(|number| Port { transport: Transport::Tcp, number: *number }).collect();
    let opening = Opening { who: who.into_iter().collect(), from: [Peer::Balancers].into(), ports };
    Need { shared: true, own: false, openings: vec![opening] }
}

impl Stage {
    fn instances(&self) -> Vec<Who> {
        self.seed.instances.iter().cloned().map(Who::Instance).collect()
    }

    fn vpc(&self) -> VpcId {
        Id::parse(&self.seed.vpc).unwrap()
    }

    fn nodes_group(&self) -> SecurityGroupId {
        Id::parse(&self.seed.security_group).unwrap()
    }

    /// The rules of the nodes' security group, as AWS has them.
    async fn rules(&self) -> Vec<Rule> {
        let mut rules = self.aws.security_groups(&[self.nodes_group()]).await.unwrap().remove(0).rules;
        rules.sort();
        rules
    }

    async fn group_named(&self, name: &str) -> SecurityGroupId {
        let all = self.aws.security_groups_where(&Filters::new()).await.unwrap();
        all.into_iter().find(|group| group.name == name).unwrap().id
    }

    /// The ports that are open to the balancers.
    async fn open(&self) -> Vec<(u16, u16)> {
        let mark = Mark::of_targets(&ClusterName::parse(CLUSTER).unwrap(), &Instance::default());
        let ours = self.rules().await.into_iter().filter(|rule| mark.is_on(rule));
        ours.map(|rule| if let Traffic::Tcp(from, to) = rule.traffic { (from, to) } else { panic!("{rule:?}") })
            .collect()
    }

    async fn ssh_by_hand(&self) -> Rule {
        let by_hand = [
            ("GroupId", self.seed.security_group.as_str()),
            ("IpPermissions.1.IpProtocol", "tcp"),
            ("IpPermissions.1.FromPort", "22"),
            ("IpPermissions.1.ToPort", "22"),
            ("IpPermissions.1.IpRanges.1.CidrIp", "10.0.0.0/8"),
        ];
        self.by_hand("AuthorizeSecurityGroupIngress", &by_hand).await;
        Rule { traffic: Traffic::Tcp(22, 22), source: Source::Ipv4("10.0.0.0/8".parse().unwrap()), description: None }
    }

    /// The actions of one turn, in alphabetical order.
    fn turn(&self, mark: usize) -> Vec<String> {
        let mut actions = self.actions(mark);
        actions.sort();
        actions
    }
}

#[tokio::test]
async fn the_first_service_makes_the_shared_group_and_later_ones_cost_one_call() {
    on_double("the_first_service_makes_the_shared_group_and_later_ones_cost_one_call", |stage| async move {
        let (aws, nodes) = (&stage.aws, stage.nodes());
        let backend = started(&parameters(), &[]);
        let first = backend.ensure(aws, &of("a"), &need(stage.instances(), &[30080]), &nodes).await.unwrap();
        let group = first.group.unwrap();
        assert!(first.problems.is_empty());
        let expected = [
            "AuthorizeSecurityGroupIngress",
            "CreateSecurityGroup",
            "DescribeInstances",
            "DescribeSecurityGroups",
            "DescribeSubnets",
        ];
        assert_eq!(stage.turn(0), expected, "with the two calls for the balancer's own group, seven of eight");
        let rules = stage.rules().await;
        assert_eq!(rules.len(), 1);
        assert_eq!((&rules[0].traffic, &rules[0].source), (&Traffic::Tcp(30080, 30080), &Source::Group(group.clone())));

        let mark = stage.double.log().mark();
        let second = backend.ensure(aws, &of("b"), &need(stage.instances(), &[30081, 30300]), &nodes).await.unwrap();
        assert_eq!(second.group, Some(group.clone()));
        assert_eq!(stage.turn(mark), ["AuthorizeSecurityGroupIngress"]);
        let mark = stage.double.log().mark();
        backend.ensure(aws, &of("a"), &need(stage.instances(), &[30080]), &nodes).await.unwrap();
        backend.ensure(aws, &of("b"), &need(stage.instances(), &[30081, 30300]), &nodes).await.unwrap();
        assert_eq!(stage.turn(mark), Vec::<String>::new(), "settled");

        let described = aws.security_groups(std::slice::from_ref(&group)).await.unwrap().remove(0);
        assert_eq!(described.tags["elbv2.k8s.aws/cluster"], CLUSTER);
        assert!(described.name.starts_with("portolan-targets-prod-"), "{}", described.name);
        let survey = Survey::new(parameters(), &Instance::default(), Arc::new(SystemClock::start()));
        let estate = survey.look(aws, Duration::MAX, &nodes).await.unwrap();
        assert_eq!(estate.backend_group, Some(group), "the next process finds it");
    })
    .await;
}

#[tokio::test]
async fn a_rule_that_another_process_has_opened_keeps_the_shared_group_for_one_try_only() {
    on_double("a_rule_that_another_process_has_opened", |stage| async move {
        let (aws, nodes) = (&stage.aws, stage.nodes());
        let (one, two) = (started(&parameters(), &["a"]), started(&parameters(), &["a"]));
        one.ensure(aws, &of("a"), &need(stage.instances(), &[30080]), &nodes).await.unwrap();
        two.ensure(aws, &of("a"), &need(stage.instances(), &[30080, 30300]), &nodes).await.unwrap();
        let error = one.release(aws, &of("a"), &nodes).await.unwrap_err();
        assert!(matches!(&error, Error::Aws(error) if error.problem == Problem::InUse), "{error}");
        one.release(aws, &of("a"), &nodes).await.unwrap();
        assert_eq!((stage.open().await, one.group()), (Vec::new(), None));
    })
    .await;
}

#[tokio::test]
async fn many_who_come_at_once_are_served_with_one_call() {
    on_double("many_who_come_at_once_are_served_with_one_call", |stage| async move {
        let (aws, nodes) = (&stage.aws, stage.nodes());
        let backend = started(&parameters(), &[]);
        let needs: Vec<_> = (0..20).map(|number| need(stage.instances(), &[30000 + 2 * number])).collect();
        let ids: Vec<_> = (0..20).map(|number| of(&format!("s{number}"))).collect();
        let all = ids.iter().zip(&needs).map(|(id, need)| backend.ensure(aws, id, need, &nodes));
        futures::future::try_join_all(all).await.unwrap();
        let counts = stage.double.log().counts(0);
        assert_eq!((counts["CreateSecurityGroup"], counts["AuthorizeSecurityGroupIngress"]), (1, 1), "{counts:?}");
        assert_eq!(stage.open().await.len(), 20);
    })
    .await;
}

#[tokio::test]
async fn who_needs_what_is_open_waits_for_nobody_who_opens_or_asks_for_others() {
    on_double("who_needs_what_is_open_waits_for_nobody_who_opens_or_asks_for_others", |stage| async move {
        let (aws, nodes) = (&stage.aws, stage.nodes());
        let backend = started(&parameters(), &["a", "b", "c"]);
        let (open, closed) = (need(stage.instances(), &[30080]), need(stage.instances(), &[30090]));
        backend.ensure(aws, &of("a"), &open, &nodes).await.unwrap();
        let elsewhere = need([Who::Instance("i-0123456789abcdef0".to_owned())], &[30080]);
        for (hangs, other, wants) in
            [("AuthorizeSecurityGroupIngress", "b", &closed), ("DescribeInstances", "c", &elsewhere)]
        {
            stage.double.faults().arm(Fault::on(hangs, Effect::DelayAfter(Duration::from_secs(3))));
            let (mark, other) = (stage.double.log().mark(), of(other));
            let hanging = pin!(backend.ensure(aws, &other, wants, &nodes));
            let own = pin!(async {
                stage.double.log().wait_for(|calls| calls.iter().skip(mark).any(|call| call.action == hangs)).await;
                backend.ensure(aws, &of("a"), &open, &nodes).await.unwrap()
            });
            let Either::Right((_, hanging)) = select(hanging, own).await else { panic!("{hangs} was waited for") };
            stage.double.clock().advance(Duration::from_secs(3));
            assert!(hanging.await.unwrap().problems.is_empty(), "{hangs}");
        }
    })
    .await;
}

#[tokio::test]
async fn the_last_one_takes_the_shared_group_with_it_and_what_others_opened_stays() {
    on_double("the_last_one_takes_the_shared_group_with_it_and_what_others_opened_stays", |stage| async move {
        let (aws, nodes) = (&stage.aws, stage.nodes());
        let ssh = stage.ssh_by_hand().await;
        let backend = started(&parameters(), &[]);
        backend.ensure(aws, &of("a"), &need(stage.instances(), &[30080, 30090]), &nodes).await.unwrap();
        let group = backend.ensure(aws, &of("b"), &need(stage.instances(), &[30090]), &nodes).await.unwrap().group;
        backend.release(aws, &of("a"), &nodes).await.unwrap();
        assert_eq!(stage.open().await, [(30090, 30090)], "b needs it still");
        assert_eq!(backend.group(), group);
        backend.release(aws, &of("b"), &nodes).await.unwrap();
        assert_eq!(stage.rules().await, [ssh]);
        assert_eq!(aws.security_groups(&[group.unwrap()]).await.unwrap(), []);
        assert_eq!(backend.group(), None);
        let mark = stage.double.log().mark();
        backend.release(aws, &of("b"), &nodes).await.unwrap();
        assert_eq!(stage.turn(mark), Vec::<String>::new(), "there is nothing left to do");
    })
    .await;
}

#[tokio::test]
async fn after_a_restart_nothing_goes_before_everybody_has_said_what_he_needs() {
    on_double("after_a_restart_nothing_goes_before_everybody_has_said_what_he_needs", |stage| async move {
        let (aws, nodes) = (&stage.aws, stage.nodes());
        let before = started(&parameters(), &[]);
        before.ensure(aws, &of("a"), &need(stage.instances(), &[80]), &nodes).await.unwrap();
        before.ensure(aws, &of("b"), &need(stage.instances(), &[90]), &nodes).await.unwrap();

        let after = started(&parameters(), &["a", "b"]);
        after.ensure(aws, &of("a"), &need(stage.instances(), &[85]), &nodes).await.unwrap();
        assert_eq!(stage.open().await, [(80, 80), (85, 85), (90, 90)]);
        after.release(aws, &of("a"), &nodes).await.unwrap();
        assert_eq!(stage.open().await, [(80, 80), (90, 90)], "b has said nothing yet; 85 was a's alone");
        after.ensure(aws, &of("b"), &need(stage.instances(), &[90]), &nodes).await.unwrap();
        assert_eq!(stage.open().await, [(90, 90)]);

        let gone = started(&parameters(), &["b"]);
        gone.release(aws, &of("b"), &nodes).await.unwrap();
        assert_eq!(stage.rules().await, [], "by the mark alone");
    })
    .await;
}

#[tokio::test]
async fn one_who_is_stuck_holds_back_what_may_be_his_and_nothing_of_others() {
    on_double("one_who_is_stuck_holds_back_what_may_be_his_and_nothing_of_others", |stage| async move {
        let (aws, nodes) = (&stage.aws, stage.nodes());
        let before = started(&parameters(), &[]);
        for (id, port) in [("stuck", 90), ("a", 80)] {
            before.ensure(aws, &of(id), &need(stage.instances(), &[port]), &nodes).await.unwrap();
        }
        let after = started(&parameters(), &[]);
        let tcp = |number| Port { transport: Transport::Tcp, number };
        let known = |port| Last::Ports([tcp(port)].into());
        after.expect([(of("stuck"), known(90)), (of("a"), known(80))]);
        after.ensure(aws, &of("a"), &need(stage.instances(), &[80]), &nodes).await.unwrap();
        for port in 100..170 {
            let other = of(&format!("s{port}"));
            after.ensure(aws, &other, &need(stage.instances(), &[2 * port]), &nodes).await.unwrap();
            after.release(aws, &other, &nodes).await.unwrap();
        }
        assert_eq!(stage.open().await, [(80, 80), (90, 90)], "seventy have come and gone");
        after.release(aws, &of("a"), &nodes).await.unwrap();
        assert_eq!(stage.open().await, [(90, 90)]);
        assert!(after.group().is_some() && after.expects(&of("stuck")), "it may carry the shared group");
        after.release(aws, &of("stuck"), &nodes).await.unwrap();
        assert_eq!((stage.rules().await, after.group()), (Vec::new(), None), "the last one out, without ever a word");
    })
    .await;
}

#[tokio::test]
async fn of_whose_targets_it_is_not_clear_by_which_group_they_let_in_only_their_own_ports_stay() {
    on_double("of_whose_targets_only_their_own_ports_stay", |stage| async move {
        let (aws, nodes) = (&stage.aws, stage.nodes());
        let backend = started(&parameters(), &[]);
        backend.ensure(aws, &of("a"), &need(stage.instances(), &[80, 90, 100]), &nodes).await.unwrap();
        // A second group on the interfaces, and no tag that says which is the one.
        let second = [("GroupName", "second"), ("GroupDescription", "second"), ("VpcId", stage.seed.vpc.as_str())];
        stage.by_hand("CreateSecurityGroup", &second).await;
        let second = stage.group_named("second").await;
        for instance in &stage.seed.instances {
            let groups = [("InstanceId", instance.as_str()), ("GroupId.1", second.as_str())];
            let groups = groups.into_iter().chain([("GroupId.2", stage.seed.security_group.as_str())]);
            stage.by_hand("ModifyInstanceAttribute", &groups.collect::<Vec<_>>()).await;
        }
        let tag = [("ResourceId.1", stage.seed.security_group.as_str()), ("Tag.1.Key", "kubernetes.io/cluster/prod")];
        stage.by_hand("DeleteTags", &tag).await;
        let next = started(&parameters(), &["a"]);
        let stuck = next.ensure(aws, &of("a"), &need(stage.instances(), &[90]), &nodes).await.unwrap();
        assert_eq!(stuck.problems.len(), 1, "{stuck:?}");
        assert_eq!(stage.open().await, [(90, 90)], "what it needs now, wherever that is open");
        next.release(aws, &of("a"), &nodes).await.unwrap();
        assert_eq!((stage.rules().await, next.group()), (Vec::new(), None));
    })
    .await;
}

#[tokio::test]
async fn an_answer_that_got_lost_makes_no_second_group() {
    on_double("an_answer_that_got_lost_makes_no_second_group", |stage| async move {
        stage.double.faults().arm(Fault::on("CreateSecurityGroup", Effect::LoseResponse));
        let backend = started(&parameters(), &[]);
        let need = need(stage.instances(), &[80]);
        let ensured = backend.ensure(&stage.aws, &of("a"), &need, &stage.nodes()).await.unwrap();
        assert!(ensured.group.is_some());
        assert_eq!(stage.double.log().counts(0)["CreateSecurityGroup"], 1);
        assert_eq!(stage.open().await, [(80, 80)]);
    })
    .await;
}

#[tokio::test]
async fn a_group_that_aws_does_not_show_yet_is_waited_for_and_not_taken_for_somebody_else_s() {
    let name = "a_group_that_aws_does_not_show_yet_is_waited_for_and_not_taken_for_somebody_else_s";
    let timings = Timings { visibility: Duration::from_secs(5), ..Timings::none() };
    on_double_with(name, timings, |stage| async move {
        stage.double.faults().arm(Fault::on("CreateSecurityGroup", Effect::LoseResponse));
        let (backend, nodes) = (started(&parameters(), &[]), stage.nodes());
        let need = need(stage.instances(), &[80]);
        let lost = backend.ensure(&stage.aws, &of("a"), &need, &nodes).await.unwrap_err();
        assert!(matches!(&lost, Error::Aws(error) if error.problem == Problem::Unanswered), "{lost}");
        let hidden = backend.ensure(&stage.aws, &of("a"), &need, &nodes).await.unwrap_err();
        assert!(matches!(&hidden, Error::NotYetShown(_)), "{hidden}");
        stage.double.clock().advance(Duration::from_secs(5));
        assert!(backend.ensure(&stage.aws, &of("a"), &need, &nodes).await.unwrap().group.is_some());
    })
    .await;
}

#[tokio::test]
async fn somebody_else_s_group_of_that_name_is_left_alone() {
    on_double("somebody_else_s_group_of_that_name_is_left_alone", |stage| async move {
        let (aws, nodes) = (&stage.aws, stage.nodes());
        let backend = started(&parameters(), &[]);
        let group = backend.ensure(aws, &of("a"), &need([], &[]), &nodes).await.unwrap().group.unwrap();
        let untag = [("ResourceId.1", group.as_str()), ("Tag.1.Key", "portolan.dev/instance")];
        stage.by_hand("DeleteTags", &untag).await;
        let next = started(&parameters(), &["a"]);
        let taken = next.ensure(aws, &of("a"), &need(stage.instances(), &[80]), &nodes).await.unwrap_err();
        assert!(matches!(&taken, Error::NameTaken(name) if name.starts_with("portolan-targets-prod-")), "{taken}");
        next.release(aws, &of("a"), &nodes).await.unwrap();
        assert_eq!(aws.security_groups(&[group]).await.unwrap().len(), 1);
    })
    .await;
}

#[tokio::test]
async fn the_shared_group_stays_as_long_as_something_uses_it() {
    on_double("the_shared_group_stays_as_long_as_something_uses_it", |stage| async move {
        let (aws, nodes) = (&stage.aws, stage.nodes());
        let backend = started(&parameters(), &[]);
        let group = backend.ensure(aws, &of("a"), &need([], &[]), &nodes).await.unwrap().group.unwrap();
        let rule = Rule { traffic: Traffic::Tcp(22, 22), source: Source::Group(group), description: None };
        aws.authorize_ingress(&stage.nodes_group(), std::slice::from_ref(&rule)).await.unwrap();
        let error = backend.release(aws, &of("a"), &nodes).await.unwrap_err();
        assert!(matches!(&error, Error::Aws(error) if error.problem == Problem::InUse), "{error}");
        aws.revoke_ingress(&stage.nodes_group(), &[rule]).await.unwrap();
        backend.release(aws, &of("a"), &nodes).await.unwrap();
        assert_eq!(backend.group(), None);
    })
    .await;
}

#[tokio::test]
async fn pods_let_in_at_the_interface_that_has_their_address() {
    on_double("pods_let_in_at_the_interface_that_has_their_address", |stage| async move {
        let (aws, nodes) = (&stage.aws, stage.nodes());
        let interfaces: Vec<_> = {
            let ids: Vec<_> = stage.seed.instances.iter().map(portolan_aws::client::names::InstanceId::new).collect();
            aws.instances(&ids).await.unwrap().into_iter().flat_map(|instance| instance.interfaces).collect()
        };
        let here = Who::Address(interfaces[0].ipv4[0].into());
        let elsewhere = ["192.0.2.7", "10.0.100.250"].map(|address| Who::Address(address.parse().unwrap()));
        let parameters = Parameters { vpc_id: Some(stage.vpc()), ..parameters() };
        let backend = started(&parameters, &[]);
        let mark = stage.double.log().mark();
        let need = need(elsewhere.into_iter().chain([here]), &[8080]);
        let ensured = backend.ensure(aws, &of("a"), &need, &nodes).await.unwrap();
        assert!(ensured.problems.is_empty(), "a target that has no interface here is none of ours: {ensured:?}");
        assert_eq!(stage.open().await, [(8080, 8080)]);
        let asked = stage.double.log().counts(mark);
        assert_eq!((asked["DescribeNetworkInterfaces"], asked["DescribeInstances"]), (1, 1), "one has no interface");
        let mark = stage.double.log().mark();
        backend.ensure(aws, &of("a"), &need, &nodes).await.unwrap();
        assert_eq!(stage.turn(mark), Vec::<String>::new(), "nor is it looked for again at once");
    })
    .await;
}

#[tokio::test]
async fn a_class_s_own_group_is_named_in_rules_and_otherwise_left_alone() {
    on_double("a_class_s_own_group_is_named_in_rules_and_otherwise_left_alone", |stage| async move {
        let (aws, nodes) = (&stage.aws, stage.nodes());
        let own = stage.nodes_group();
        let backend_security_group = BackendSecurityGroup::Own(own.clone());
        let backend = started(&Parameters { backend_security_group, ..parameters() }, &[]);
        let ensured = backend.ensure(aws, &of("a"), &need(stage.instances(), &[80]), &nodes).await.unwrap();
        assert_eq!(ensured.group, Some(own.clone()));
        assert_eq!(stage.rules().await[0].source, Source::Group(own));
        backend.release(aws, &of("a"), &nodes).await.unwrap();
        assert_eq!(stage.rules().await, []);
        let counts = stage.double.log().counts(0);
        assert!(
            !counts.contains_key("CreateSecurityGroup") && !counts.contains_key("DeleteSecurityGroup"),
            "{counts:?}"
        );
    })
    .await;
}

#[tokio::test]
async fn one_group_that_cannot_be_written_keeps_none_of_the_others_from_it() {
    on_double("one_group_that_cannot_be_written_keeps_none_of_the_others_from_it", |stage| async move {
        let (aws, nodes) = (&stage.aws, stage.nodes());
        let backend = started(&parameters(), &[]);
        let shared = backend.ensure(aws, &of("a"), &need([], &[]), &nodes).await.unwrap().group.unwrap();
        let refuse = || Effect::Refuse { status: 403, code: "UnauthorizedOperation".to_owned() };
        stage.double.faults().arm(Fault::on("AuthorizeSecurityGroupIngress", refuse()).times(1));
        let denied = backend.ensure(aws, &of("a"), &need(stage.instances(), &[80]), &nodes).await.unwrap_err();
        assert!(matches!(&denied, Error::Aws(error) if error.problem == Problem::Denied), "{denied}");
        stage.double.faults().arm(Fault::on("AuthorizeSecurityGroupIngress", refuse()).times(1));
        let other = backend.ensure(aws, &of("b"), &Need::default(), &nodes).await.unwrap();
        assert_eq!((other.group, other.problems.len()), (Some(shared), 0), "it is not b's trouble");
        backend.ensure(aws, &of("a"), &need(stage.instances(), &[80]), &nodes).await.unwrap();
        assert_eq!(stage.open().await, [(80, 80)]);
    })
    .await;
}
