//! Rules of a plan, one by one, on the double: what is made in which order and at what cost, what is not ours, what is told.

use std::collections::BTreeMap;

use portolan_aws::names::{CLUSTER, INSTANCE, LOAD_BALANCER};
use portolan_aws::settings::listeners::Front;
use portolan_aws::state::{Arn, Health, Observed, State, Traffic};
use portolan_aws::{Step, plan, state};
use portolan_core::balancer::{Protocol, Published};
use portolan_core::provider::Step as _;
use portolan_core::reason::Reason;
use portolan_core::snapshot::ConditionStatus;

use super::cloud;
use super::lab::{Lab, elb, listener, names, nodes};

#[test]
fn a_new_balancer_costs_one_call_and_three_a_port_and_its_removal_one_and_one_a_port() {
    for ports in [1, 2, 5, 50] {
        let mut lab = Lab::new();
        lab.desired.listeners = (0..ports).map(|port| listener(1000 + port, Protocol::Tcp)).collect();
        let created = lab.settle();
        let ports = usize::from(ports);
        assert_eq!(elb(&created), 1 + 3 * ports, "within 3 + 3L");
        assert_eq!(created.len() - elb(&created), 2, "of EC2: the security group and its rules");
        let removed = plan(None, &lab.state, &[]).unwrap().steps;
        assert_eq!(elb(&removed), 1 + ports, "within 1 + 2L");
        removed.iter().for_each(|step| cloud::apply(&mut lab.state, step).unwrap());
        assert_eq!(lab.state, State::default());
    }
}

#[test]
fn what_is_needed_first_is_made_first() {
    let steps = names(&Lab::new().plan().unwrap());
    let order = ["CreateSecurityGroup", "OpenRules", "CreateGroup", "CreateBalancer", "CreateListener", "Register"];
    assert_eq!(steps, order);
}

#[test]
fn every_object_is_born_with_the_tags_that_policies_and_we_know_it_by() {
    for step in Lab::new().plan().unwrap() {
        let value = serde_json::to_value(&step).unwrap();
        if step.name().starts_with("Create") {
            for (tag, is) in [(CLUSTER, "prod"), (INSTANCE, ""), (LOAD_BALANCER, "uid-web")] {
                assert_eq!(value["tags"][tag], is, "{step}");
            }
        }
    }
}

#[test]
fn a_plan_without_aws_at_hand_says_what_only_aws_knows() {
    let mut lab = Lab::new();
    lab.estate = portolan_aws::Estate::default();
    let lines: Vec<String> = lab.plan().unwrap().iter().map(ToString::to_string).collect();
    assert!(lines.iter().any(|line| line.contains("in VPC (known after AWS is asked)")), "{lines:?}");
    assert!(lines.iter().any(|line| line.contains("in subnets that only AWS knows")), "{lines:?}");
}

#[test]
fn a_listener_that_is_not_ours_is_left_alone_and_named() {
    let mut lab = Lab::new();
    lab.settle();
    let foreign = |port| state::Listener {
        arn: Arn::new("theirs"),
        port,
        front: Some(Front::Tcp),
        group: Some(Arn::new("their group")),
        attributes: Observed::default(),
        tags: BTreeMap::new(),
        ours: false,
        serves: Vec::new(),
    };
    lab.state.balancers[0].listeners.extend([foreign(443), foreign(9999)]);
    lab.desired.listeners.push(listener(443, Protocol::Tcp));
    assert_eq!(lab.once(), [], "nor is anybody let in to it");
    let programmed = lab.outcome().programmed;
    assert_eq!(programmed.status, ConditionStatus::False);
    assert!(programmed.message.contains("port 443 has a listener that is not ours"), "{}", programmed.message);
}

#[test]
fn a_name_that_somebody_else_has_is_refused() {
    let mut lab = Lab::new();
    lab.annotate("name", "my-lb");
    lab.state.taken.insert("my-lb".to_owned());
    let refusal = lab.plan().unwrap_err();
    assert_eq!(refusal.reason(), Reason::NameTaken);
    assert!(refusal.to_string().starts_with("my-lb exists"), "{refusal}");
}

#[test]
fn tcp_and_udp_on_one_number_are_one_listener_and_both_get_in() {
    let mut lab = Lab::new();
    lab.desired.listeners = vec![listener(53, Protocol::Tcp), listener(53, Protocol::Udp)];
    lab.settle();
    let [own] = lab.state.balancers[0].listeners.as_slice() else { panic!() };
    assert_eq!(own.front, Some(Front::TcpUdp));
    assert_eq!(own.serves.len(), 2);
    let traffic: Vec<_> = lab.state.security_groups[0].rules.iter().map(|rule| rule.traffic).collect();
    assert_eq!(traffic, [Traffic::Tcp(53), Traffic::Udp(53)]);
    assert_eq!(lab.outcome().listening.len(), 2);
}

#[test]
fn certificates_are_added_one_a_call_and_before_others_go() {
    let arn = |number: u8| format!("arn:aws:acm:eu-west-1:123456789012:certificate/{number}");
    let mut lab = Lab::new();
    lab.annotate("ssl-cert", &[arn(1), arn(2)].join(","));
    let created = lab.settle();
    assert_eq!(names(&created).iter().filter(|name| **name == "AddCertificate").count(), 1, "one beside the default");
    lab.annotate("ssl-cert", &[arn(1), arn(3)].join(","));
    assert_eq!(names(&lab.settle()), ["AddCertificate", "RemoveCertificate"]);
}

#[test]
fn a_subnet_in_another_s_place_goes_in_two_calls() {
    let mut lab = Lab::new();
    lab.annotate("subnets", "subnet-a1,subnet-b2");
    lab.settle();
    lab.annotate("subnets", "subnet-a1,subnet-c3");
    let calls: Vec<usize> = lab
        .settle()
        .iter()
        .filter_map(|step| if let Step::SetSubnets { subnets, .. } = step { Some(subnets.len()) } else { None })
        .collect();
    assert_eq!(calls, [1, 2]);
}

#[test]
fn the_conditions_say_which_hop_is_awaited() {
    let mut lab = Lab::new();
    let said = |lab: &Lab| {
        let outcome = lab.outcome();
        (
            [outcome.assigned.status, outcome.programmed.status, outcome.reachable.unwrap().status],
            outcome.published.len(),
            outcome.wait.map(|wait| wait.on).unwrap_or_default(),
        )
    };
    use ConditionStatus::{False, True, Unknown};
    assert_eq!(said(&lab), ([False, False, Unknown], 0, String::new()));
    lab.once();
    assert_eq!(said(&lab), ([True, False, Unknown], 0, "AWS is setting the load balancer up".to_owned()));
    lab.state.balancers[0].status = state::Status::Active;
    let probing = "targets are being registered and probed for the first time";
    assert_eq!(said(&lab), ([True, True, Unknown], 1, probing.to_owned()));
    lab.state.groups[0].targets.iter_mut().for_each(|target| target.health = Health::Unhealthy);
    assert_eq!(said(&lab), ([True, True, False], 1, String::new()), "and nothing is awaited but a change");
    lab.state.groups[0].targets[0].health = Health::Healthy;
    assert_eq!(said(&lab), ([True, True, True], 1, String::new()));
    assert!(lab.outcome().published.iter().all(|entry| matches!(entry, Published::Hostname { .. })), "no ipMode");
}

#[test]
fn what_is_on_its_way_is_looked_at_every_few_seconds() {
    let mut lab = Lab::new();
    let seconds = |lab: &Lab| lab.outcome().wait.map(|wait| wait.at_most.as_secs());
    lab.once();
    assert_eq!(seconds(&lab), Some(10), "AWS takes minutes to set a balancer up");
    lab.state.balancers[0].status = state::Status::Active;
    assert_eq!(seconds(&lab), Some(5), "targets are probed for the first time");
    lab.settle();
    assert_eq!(seconds(&lab), None);
    lab.desired.nodes = nodes(&[2, 3]);
    lab.once();
    assert_eq!(seconds(&lab), Some(5), "one target comes, and another one leaves when it is healthy");
    lab.state.groups[0].targets.iter_mut().for_each(|registered| registered.health = Health::Healthy);
    assert_eq!(seconds(&lab), Some(5), "it is to leave");
    assert_eq!(names(&lab.once()), ["Deregister"]);
    assert_eq!(seconds(&lab), Some(5), "its connections finish");
}

#[test]
fn zero_endpoints_take_no_name_away() {
    let mut lab = Lab::new();
    lab.settle();
    lab.desired.nodes = Vec::new();
    lab.settle();
    assert_eq!(lab.desired.published.len(), 1);
    assert_eq!(lab.outcome().reachable.unwrap().status, ConditionStatus::False);
}
