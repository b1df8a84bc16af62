//! Who gets in: the rules of the balancer's own security group, and what targets let in.

use std::collections::BTreeSet;

use portolan_aws::plan;
use portolan_aws::state::Traffic;
use portolan_core::balancer::{Protocol, SourceRanges};
use portolan_core::provider::Step as _;
use portolan_core::snapshot::ConditionStatus;

use super::lab::{Lab, listener, names, nodes};

#[test]
fn rules_are_exact_and_added_before_others_are_revoked() {
    let mut lab = Lab::new();
    lab.desired.listeners = vec![listener(80, Protocol::Tcp), listener(53, Protocol::Udp)];
    lab.settle();
    let traffic: Vec<_> = lab.state.security_groups[0].rules.iter().map(|rule| rule.traffic).collect();
    assert_eq!(traffic, [Traffic::Tcp(80), Traffic::Udp(53)]);
    lab.desired.source_ranges = SourceRanges::Only(vec!["10.1.0.0/16".parse().unwrap()]);
    assert_eq!(names(&lab.settle()), ["OpenRules", "CloseRules"]);
    let sources: BTreeSet<_> = lab.state.security_groups[0].rules.iter().map(|rule| rule.source.to_string()).collect();
    assert_eq!(sources, ["10.1.0.0/16".to_owned()].into());
}

#[test]
fn more_rules_than_a_security_group_takes_are_refused_before_the_first_call() {
    let mut lab = Lab::new();
    let networks = (0..61).map(|number| format!("10.{number}.0.0/16").parse().unwrap()).collect();
    lab.desired.source_ranges = SourceRanges::Only(networks);
    assert!(lab.plan().unwrap_err().to_string().contains("would need 61 inbound rules"));
    lab.estate.rules_per_group = Some(100);
    assert!(lab.plan().is_ok());
    lab.estate.rules_per_group = None;
    lab.parameters.rules_per_security_group = Some(61);
    assert!(lab.plan().is_ok(), "the class tells the quota");
    lab.parameters.rules_per_security_group = Some(50);
    assert!(lab.plan().unwrap_err().to_string().contains("and AWS allows 50"));
}

#[test]
fn where_both_do_not_fit_the_rules_that_go_go_first() {
    let only = |from: u8| {
        let networks = (from..from + 40).map(|number| format!("10.{number}.0.0/16").parse().unwrap()).collect();
        SourceRanges::Only(networks)
    };
    let mut lab = Lab::new();
    lab.desired.source_ranges = only(0);
    lab.settle();
    lab.desired.source_ranges = only(100);
    let gap = "has no room for old and new rules at once";
    assert!(lab.plan().unwrap()[0].to_string().contains(gap), "the plan says so");
    assert!(lab.outcome().programmed.message.contains(gap), "and the condition");
    assert_eq!(names(&lab.settle()), ["CloseRules", "OpenRules"]);
    assert_eq!(lab.state.security_groups[0].rules.len(), 40);
}

#[test]
fn what_targets_have_to_let_in_is_let_in_first_once_and_no_more_when_all_is_gone() {
    let mut lab = Lab::new();
    let steps = lab.whole_plan().unwrap();
    assert_eq!((steps[0].name(), steps.iter().filter(|step| step.name() == "Admit").count()), ("Admit", 1));
    lab.settle();
    assert_eq!(lab.whole_plan().unwrap(), []);
    lab.desired.nodes = nodes(&[1, 2, 3]);
    assert_eq!(names(&lab.whole_plan().unwrap()), ["Admit", "Register"], "before anything is sent there");
    let removal = plan(None, &lab.state, &[]).unwrap().steps;
    assert_eq!(names(&removal).last(), Some(&"Withdraw"));
}

#[test]
fn what_targets_could_not_be_made_to_let_in_is_named() {
    let mut lab = Lab::new();
    lab.settle();
    lab.state.admitted.as_mut().unwrap().problems.insert("n1 has no security group of the cluster".to_owned());
    let programmed = lab.outcome().programmed;
    assert_eq!(programmed.status, ConditionStatus::False);
    assert!(programmed.message.contains("n1 has no security group"), "{}", programmed.message);
}

#[test]
fn what_somebody_else_has_opened_is_not_opened_again_and_not_closed() {
    let mut lab = Lab::new();
    lab.settle();
    let group = &mut lab.state.security_groups[0];
    group.foreign = std::mem::take(&mut group.rules);
    assert_eq!(lab.plan().unwrap(), []);
    lab.desired.listeners.clear();
    lab.desired.listeners.push(listener(443, Protocol::Tcp));
    assert!(!names(&lab.plan().unwrap()).contains(&"CloseRules"));
}
