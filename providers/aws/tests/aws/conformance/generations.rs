//! When another generation is made, when the first one goes, and what stands against it.

use std::time::Duration;

use portolan_aws::state::{Balancer, Leaving};
use portolan_aws::{plan, state};
use portolan_core::balancer::{Listener, Member, Protocol, Published, Scheme, SourceRanges};
use portolan_core::ids::Uid;
use portolan_core::provider::Step as _;
use portolan_core::reason::Reason;
use portolan_core::snapshot::ConditionStatus;
use serde_json::json;

use super::cloud;
use super::lab::{Lab, listener, names, nodes, pods};

/// An edit, and its name or the step that it makes.
type Change = (&'static str, fn(&mut Lab));

#[test]
fn another_scheme_is_created_healthy_published_and_only_then_the_first_one_drained_and_deleted() {
    let mut lab = Lab::new();
    lab.settle();
    let first = lab.desired.published.clone();
    lab.desired.scheme = Some(Scheme::Public);
    assert!(names(&lab.once()).contains(&"CreateBalancer"));
    lab.publish();
    assert_eq!(lab.desired.published, first, "while the second is set up");
    let news = lab.state.balancers[1].generation;
    lab.state.balancers[1].status = state::Status::Active;
    lab.publish();
    assert_eq!(lab.desired.published, first, "while its targets are not healthy");
    assert_eq!(lab.plan().unwrap(), [], "nothing of the first is touched before");
    cloud::settle(&mut lab.state);
    assert_eq!(lab.plan().unwrap(), [], "not before the second is published");
    lab.publish();
    let hostname = lab.state.balancers[1].hostname.clone();
    assert_eq!(lab.desired.published, [Published::Hostname { hostname }]);
    assert_eq!(names(&lab.once()), ["Retire"]);
    assert!(matches!(lab.state.balancers[0].leaving, Leaving::Known(_)));
    assert_eq!(lab.plan().unwrap(), [], "clients still have its addresses");
    cloud::settle(&mut lab.state);
    assert_eq!(names(&lab.once()), ["Deregister"]);
    assert_eq!(lab.plan().unwrap(), [], "connections finish");
    assert_eq!(lab.outcome().wait.unwrap().at_most, Duration::from_secs(5));
    cloud::settle(&mut lab.state);
    assert_eq!(names(&lab.once()), ["DeleteBalancer", "DeleteGroup", "DeleteSecurityGroup"]);
    assert_eq!(lab.state.balancers.len(), 1);
    assert_eq!(lab.state.balancers[0].generation, news);
    assert_eq!(lab.plan().unwrap(), []);
}

#[test]
fn what_aws_cannot_change_makes_another_generation() {
    let changes: [Change; 4] = [
        ("scheme", |lab| lab.desired.scheme = Some(Scheme::Public)),
        ("protocol", |lab| lab.desired.listeners = vec![listener(80, Protocol::Udp)]),
        ("target type", |lab| {
            lab.annotate("nlb-target-type", "ip");
            lab.desired.listeners[0].targets = pods(["10.0.1.9:8080"]);
        }),
        ("security groups", |lab| lab.annotate("disable-nlb-sg", "true")),
    ];
    for (what, change) in changes {
        let mut lab = Lab::new();
        lab.settle();
        change(&mut lab);
        let steps = lab.settle();
        assert!(names(&steps).contains(&"CreateBalancer"), "{what}");
        assert!(names(&steps).contains(&"Retire"), "{what}");
        assert_eq!(lab.state.balancers.len(), 1, "{what}");
        assert_eq!(lab.state.balancers[0].generation, 2, "{what}");
    }
}

#[test]
fn what_aws_can_change_makes_no_other_generation() {
    let changes: [Change; 5] = [
        ("SetIpAddressType", |lab| {
            lab.annotate("ip-address-type", "dualstack");
        }),
        ("CreateListener", |lab| lab.desired.listeners.push(listener(443, Protocol::Tcp))),
        ("SetHealthCheck", |lab| lab.annotate("healthcheck-interval", "30")),
        ("SetAttributes", |lab| lab.annotate("cross-zone-load-balancing-enabled", "true")),
        ("ModifyListener", |lab| {
            lab.annotate("ssl-cert", "arn:aws:acm:eu-west-1:123456789012:certificate/1");
        }),
    ];
    for (step, change) in changes {
        let mut lab = Lab::new();
        lab.desired.scheme = Some(Scheme::Public);
        lab.estate.subnets.as_mut().unwrap().truncate(2);
        lab.settle();
        change(&mut lab);
        let steps = lab.settle();
        assert!(names(&steps).contains(&step), "{step}: {:?}", names(&steps));
        assert_eq!(lab.state.balancers[0].generation, 1, "{step}");
        assert_eq!(lab.state.balancers.len(), 1, "{step}");
    }
}

#[test]
fn a_fixed_name_stands_against_a_replace_unless_downtime_is_allowed() {
    let mut lab = Lab::new();
    lab.annotate("name", "my-lb");
    lab.settle();
    lab.desired.scheme = Some(Scheme::Public);
    let refusal = lab.plan().unwrap_err();
    assert_eq!(refusal.reason(), Reason::ReplaceNeedsDowntime);
    let refusal = refusal.to_string();
    assert!(refusal.starts_with("internal is to become internet-facing"), "{refusal}");
    assert!(refusal.contains("the name my-lb"), "{refusal}");
    lab.desired.allow_downtime = true;
    let steps = lab.plan().unwrap();
    let gap = steps.iter().find(|step| step.name() == "DeleteBalancer").unwrap();
    assert!(gap.to_string().contains("nobody is served until its successor is active"), "{gap}");
    assert!(gap.moves_clients());
    lab.settle();
    assert_eq!(lab.state.balancers.len(), 1);
    assert_eq!((lab.state.balancers[0].name.as_str(), lab.state.balancers[0].scheme), ("my-lb", Scheme::Public));
    assert_eq!((lab.state.groups.len(), lab.state.security_groups.len()), (1, 1), "nothing is left of the first");
}

#[test]
fn fixed_addresses_stand_against_a_replace() {
    let mut lab = Lab::new();
    lab.desired.scheme = Some(Scheme::Public);
    lab.annotate("subnets", "subnet-a1,subnet-b2");
    lab.annotate("eip-allocations", "eipalloc-1,eipalloc-2");
    lab.settle();
    lab.annotate("eip-allocations", "eipalloc-1,eipalloc-3");
    let refusal = lab.plan().unwrap_err().to_string();
    assert!(refusal.contains("the elastic address eipalloc-1"), "{refusal}");
    lab.annotate("eip-allocations", "eipalloc-3,eipalloc-4");
    assert!(names(&lab.plan().unwrap()).contains(&"CreateBalancer"), "free ones can be given to another");
}

#[test]
fn with_a_fixed_name_and_downtime_another_target_type_is_put_behind_the_same_listener() {
    let mut lab = Lab::new();
    lab.annotate("name", "my-lb");
    lab.settle();
    lab.annotate("nlb-target-type", "ip");
    lab.desired.listeners[0].targets = pods(["10.0.1.9:8080"]);
    assert_eq!(lab.plan().unwrap_err().reason(), Reason::ReplaceNeedsDowntime);
    lab.desired.allow_downtime = true;
    let steps = lab.settle();
    assert_eq!(names(&steps), ["CreateGroup", "Register", "ModifyListener", "DeleteGroup"]);
    assert_eq!(lab.state.balancers[0].generation, 1);
}

#[test]
fn a_balancer_that_is_protected_is_not_deleted() {
    let mut lab = Lab::new();
    lab.annotate("attributes", "deletion_protection.enabled=true");
    lab.settle();
    let refusal = plan(None, &lab.state, &[]).unwrap_err().to_string();
    assert!(refusal.contains("protected from deletion"), "{refusal}");
    lab.desired.scheme = Some(Scheme::Public);
    lab.settle();
    assert_eq!(lab.state.balancers.len(), 1, "but a replaced one is, because the replace was asked for");
}

#[test]
fn while_its_successor_is_set_up_the_first_one_follows_the_nodes_and_opens_nothing() {
    let mut lab = Lab::new();
    lab.desired.scheme = Some(Scheme::Public);
    lab.settle();
    lab.desired.scheme = Some(Scheme::Internal);
    lab.once();
    lab.desired.nodes = nodes(&[1, 2, 3]);
    lab.desired.listeners.push(listener(443, Protocol::Tcp));
    lab.desired.source_ranges = SourceRanges::Only(vec!["10.1.0.0/16".parse().unwrap()]);
    lab.once();
    let first = &lab.state.balancers[0];
    assert_eq!(first.listeners.len(), 1, "what is to be internal is not opened on a public one");
    let group = lab.state.group_of(&first.listeners[0]).unwrap();
    assert!(group.targets.iter().any(|registered| registered.target.id == "i-3"), "it serves until the other does");
    let rules = &lab.state.security_group(first.generation).unwrap().rules;
    assert!(rules.is_empty(), "whom the ranges keep out now is kept out at once, and nobody else comes in: {rules:?}");
}

#[test]
fn nothing_is_retired_for_a_successor_of_which_no_client_knows() {
    let mut lab = Lab::new();
    lab.settle();
    lab.desired.scheme = Some(Scheme::Public);
    lab.once();
    cloud::settle(&mut lab.state);
    lab.desired.published = Vec::new();
    assert_eq!(lab.plan().unwrap(), [], "somebody has emptied the status");
}

#[test]
fn what_cannot_be_replaced_follows_its_endpoints_all_the_same() {
    let mut lab = Lab::new();
    lab.annotate("name", "my-lb");
    lab.settle();
    lab.desired.scheme = Some(Scheme::Public);
    lab.desired.nodes = nodes(&[2, 3]);
    assert_eq!(names(&lab.once()), ["Register"]);
    cloud::settle(&mut lab.state);
    assert_eq!(names(&lab.once()), ["Deregister"]);
    cloud::settle(&mut lab.state);
    assert_eq!(lab.plan().unwrap_err().reason(), Reason::ReplaceNeedsDowntime);
    let outcome = lab.outcome();
    assert_eq!((outcome.published.len(), outcome.programmed.status), (1, ConditionStatus::False));
    assert_eq!(outcome.programmed.reason, Reason::ReplaceNeedsDowntime);
}

#[test]
fn a_public_balancer_that_nobody_asks_for_any_more_gives_way_where_the_class_allows_only_internal_ones() {
    let unasked = |limits| {
        let mut lab = Lab::new();
        lab.desired.scheme = Some(Scheme::Public);
        lab.settle();
        lab = lab.parameters(&json!({"clusterName": "prod", "limits": limits}));
        lab.desired.scheme = None;
        let steps = lab.settle();
        let left: Vec<Scheme> = lab.state.balancers.iter().map(|balancer| balancer.scheme).collect();
        (left, names(&steps).contains(&"Retire"))
    };
    assert_eq!(unasked(json!({"schemes": ["internal"]})), (vec![Scheme::Internal], true));
    assert_eq!(unasked(json!({})), (vec![Scheme::Public], false), "a new default replaces nothing");
}

#[test]
fn nothing_is_retired_while_the_status_names_it_too() {
    let mut lab = Lab::new();
    lab.settle();
    lab.desired.scheme = Some(Scheme::Public);
    lab.once();
    cloud::settle(&mut lab.state);
    let hostname = |balancer: &Balancer| Published::Hostname { hostname: balancer.hostname.clone() };
    lab.desired.published = lab.state.balancers.iter().map(hostname).collect();
    assert_eq!(lab.plan().unwrap(), [], "somebody has written both into it");
}

#[test]
fn while_somebody_may_not_be_touched_the_generation_that_clients_know_serves() {
    let mut lab = Lab::new();
    let second = Member { uid: Uid::new("uid-api"), namespace: "default".to_owned(), name: "api".to_owned() };
    lab.desired.members.push(second.clone());
    lab.desired.listeners.push(Listener { service: second.uid.clone(), ..listener(443, Protocol::Tcp) });
    lab.settle();
    lab.desired.scheme = Some(Scheme::Public);
    lab.once();
    cloud::settle(&mut lab.state);
    lab.publish();
    let known = lab.desired.published.clone();
    assert_eq!(known, [Published::Hostname { hostname: lab.state.balancers[1].hostname.clone() }]);
    lab.desired.held = vec![second.uid];
    lab.desired.listeners.truncate(1);
    lab.publish();
    assert_eq!(lab.desired.published, known, "and not the oldest one, which is still there");
}

#[test]
fn addresses_of_one_that_is_on_its_way_out_are_waited_for() {
    let mut lab = Lab::new();
    lab.desired.scheme = Some(Scheme::Public);
    lab.annotate("subnets", "subnet-a1,subnet-b2");
    let [first, others] = ["eipalloc-1,eipalloc-2", "eipalloc-3,eipalloc-4"];
    lab.annotate("eip-allocations", first);
    lab.settle();
    lab.annotate("eip-allocations", others);
    lab.once();
    cloud::settle(&mut lab.state);
    lab.publish();
    assert_eq!(names(&lab.once()), ["Retire"]);
    lab.annotate("eip-allocations", first);
    assert_eq!(lab.plan(), Ok(Vec::new()), "clients still have them");
    lab.settle();
    let [last] = lab.state.balancers.as_slice() else { panic!("{:?}", lab.state.balancers) };
    assert_eq!(last.generation, 3);
}
