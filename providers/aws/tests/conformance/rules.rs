//! Rules of a plan, one by one, on the double.

use std::collections::{BTreeMap, BTreeSet};

use portolan_aws::names::{CLUSTER, INSTANCE, LOAD_BALANCER};
use portolan_aws::settings::listeners::Front;
use portolan_aws::state::{Arn, Health, Leaving, Observed, State, Traffic};
use portolan_aws::{Step, plan, state};
use portolan_core::balancer::{Listener, Member, PortKey, Protocol, Published, Scheme, SourceRanges, Targets};
use portolan_core::ids::Uid;
use portolan_core::provider::Step as _;
use portolan_core::snapshot::ConditionStatus;
use serde_json::json;

use crate::cloud;
use crate::lab::{Lab, elb, listener, names, nodes};

/// An edit, and its name or the step that it makes.
type Change = (&'static str, fn(&mut Lab));

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
            lab.desired.listeners[0].targets = Targets::Pods { endpoints: vec!["10.0.1.9:8080".parse().unwrap()] };
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
    let refusal = lab.plan().unwrap_err().to_string();
    assert!(refusal.starts_with("ReplaceNeedsDowntime: internal is to become internet-facing"), "{refusal}");
    assert!(refusal.contains("the name my-lb"), "{refusal}");
    lab.allow_downtime = true;
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
    lab.desired.listeners[0].targets = Targets::Pods { endpoints: vec!["10.0.1.9:8080".parse().unwrap()] };
    assert!(lab.plan().unwrap_err().to_string().contains("ReplaceNeedsDowntime"));
    lab.allow_downtime = true;
    let steps = lab.settle();
    assert_eq!(names(&steps), ["CreateGroup", "Register", "ModifyListener", "DeleteGroup"]);
    assert_eq!(lab.state.balancers[0].generation, 1);
}

#[test]
fn ten_rolling_updates_of_pods_never_leave_fewer_healthy_targets_than_there_are_to_be() {
    let mut lab = Lab::new().parameters(&json!({"clusterName": "prod", "defaults": {"targetType": "ip"}}));
    let pods = |numbers: std::ops::Range<u16>| Targets::Pods {
        endpoints: numbers
            .map(|number| format!("10.0.{}.{}:8080", number / 250, number % 250 + 1).parse().unwrap())
            .collect(),
    };
    lab.desired.listeners[0].targets = pods(0..4);
    lab.settle();
    assert_eq!(lab.healthy(), 4);
    for update in 0..10_u16 {
        for replaced in 1..=4 {
            let first = update * 4 + replaced;
            lab.desired.listeners[0].targets = pods(first..first + 4);
            // New ones become healthy only now and then, so that the next update begins before the last one is through.
            let register = lab.once();
            assert!(!names(&register).is_empty());
            assert!(lab.healthy() >= 4, "update {update}.{replaced}: {}", lab.healthy());
            if replaced % 2 == 0 {
                let group = &mut lab.state.groups[0];
                let initial = group.targets.iter_mut().find(|registered| registered.health == Health::Initial);
                initial.unwrap().health = Health::Healthy;
                lab.once();
                assert!(lab.healthy() >= 4, "update {update}.{replaced}: {}", lab.healthy());
            }
        }
    }
    lab.settle();
    let targets: BTreeSet<_> =
        lab.state.groups[0].targets.iter().map(|registered| registered.target.id.clone()).collect();
    assert_eq!(targets.len(), 4);
    assert_eq!(lab.healthy(), 4);
}

#[test]
fn a_target_that_takes_no_traffic_leaves_at_once() {
    let mut lab = Lab::new();
    lab.settle();
    lab.state.groups[0].targets[0].health = Health::Unhealthy;
    lab.desired.nodes = nodes(&[2, 3]);
    assert_eq!(names(&lab.once()), ["Register", "Deregister"], "and the other first");
}

#[test]
fn a_node_costs_one_call_a_group() {
    let mut lab = Lab::new();
    lab.desired.listeners = vec![listener(80, Protocol::Tcp), listener(81, Protocol::Tcp)];
    lab.settle();
    lab.desired.nodes = nodes(&[1, 2, 3]);
    assert_eq!(names(&lab.settle()), ["Register", "Register"]);
    lab.desired.nodes = nodes(&[1, 2]);
    assert_eq!(names(&lab.settle()), ["Deregister", "Deregister"]);
}

#[test]
fn a_node_without_an_instance_keeps_none_of_the_others_from_being_a_target() {
    let mut lab = Lab::new();
    lab.desired.nodes = nodes(&[1, 2]);
    lab.desired.nodes[0].provider_id = None;
    lab.settle();
    let ids: Vec<_> = lab.state.groups[0].targets.iter().map(|registered| registered.target.id.as_str()).collect();
    assert_eq!(ids, ["i-2"]);
}

#[test]
fn a_group_takes_a_thousand_targets_and_who_is_there_stays() {
    let mut lab = Lab::new().parameters(&json!({"clusterName": "prod", "defaults": {"targetType": "ip"}}));
    let pods = |from: u16, to: u16| Targets::Pods {
        endpoints: (from..to)
            .map(|number| format!("10.0.{}.{}:80", number / 250, number % 250 + 1).parse().unwrap())
            .collect(),
    };
    lab.desired.listeners[0].targets = pods(500, 1400);
    let steps = lab.settle();
    assert_eq!(names(&steps).iter().filter(|name| **name == "Register").count(), 5, "two hundred a call");
    lab.desired.listeners[0].targets = pods(0, 1400);
    lab.settle();
    let ids: BTreeSet<_> = lab.state.groups[0].targets.iter().map(|registered| registered.target.id.clone()).collect();
    assert_eq!(ids.len(), 1000);
    assert!(ids.contains("10.0.5.150"), "the last one that was there");
}

#[test]
fn attributes_are_written_where_they_differ_and_go_back_to_the_default_when_the_key_goes() {
    let mut lab = Lab::new();
    lab.annotate("attributes", "load_balancing.cross_zone.enabled=false");
    assert!(!names(&lab.settle()).contains(&"SetAttributes"), "it is the default");
    lab.annotate("attributes", "load_balancing.cross_zone.enabled=true");
    assert_eq!(names(&lab.settle()), ["SetAttributes"]);
    let attributes = |lab: &Lab| lab.state.balancers[0].attributes.clone();
    assert_eq!(attributes(&lab).values["load_balancing.cross_zone.enabled"], "true");
    lab.annotations.clear();
    assert_eq!(names(&lab.settle()), ["SetAttributes"]);
    let values = [("load_balancing.cross_zone.enabled".to_owned(), "false".to_owned())].into();
    assert_eq!(attributes(&lab), Observed { values, owned: BTreeSet::new() });
    lab.state.balancers[0].attributes.values.insert("zonal_shift.config.enabled".to_owned(), "true".to_owned());
    assert_eq!(lab.plan().unwrap(), [], "what somebody else sets is theirs");
}

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
    assert_eq!(names(&lab.settle()), ["CloseRules", "OpenRules"]);
    assert_eq!(lab.state.security_groups[0].rules.len(), 40);
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
    assert_eq!(lab.plan().unwrap(), [], "nor is anybody let in to it");
    let programmed = lab.outcome().programmed;
    assert_eq!(programmed.status, ConditionStatus::False);
    assert!(programmed.message.contains("port 443 has a listener that is not ours"), "{}", programmed.message);
}

#[test]
fn a_name_that_somebody_else_has_is_refused() {
    let mut lab = Lab::new();
    lab.annotate("name", "my-lb");
    lab.state.taken.insert("my-lb".to_owned());
    assert!(lab.plan().unwrap_err().to_string().starts_with("NameTaken: my-lb"));
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
fn the_conditions_say_which_hop_is_awaited() {
    let mut lab = Lab::new();
    let said = |lab: &Lab| {
        let outcome = lab.outcome();
        (
            [outcome.assigned.status, outcome.programmed.status, outcome.reachable.status],
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
fn zero_endpoints_take_no_name_away() {
    let mut lab = Lab::new();
    lab.settle();
    lab.desired.nodes = Vec::new();
    lab.settle();
    assert_eq!(lab.desired.published.len(), 1);
    assert_eq!(lab.outcome().reachable.status, ConditionStatus::False);
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
fn a_member_that_is_held_keeps_its_listener_while_another_one_changes() {
    let mut lab = Lab::new();
    let second = Member { uid: Uid::new("uid-api"), namespace: "default".to_owned(), name: "api".to_owned() };
    lab.desired.members.push(second.clone());
    lab.desired.listeners.push(Listener { service: second.uid.clone(), ..listener(443, Protocol::Tcp) });
    lab.settle();
    lab.desired.held = vec![Uid::new("uid-web")];
    lab.desired.scheme = Some(Scheme::Public);
    lab.desired.listeners = vec![Listener { service: second.uid, ..listener(8443, Protocol::Tcp) }];
    lab.settle();
    let balancer = &lab.state.balancers[0];
    assert_eq!(balancer.listeners.iter().map(|listener| listener.port).collect::<Vec<_>>(), [80, 8443]);
    assert_eq!(balancer.scheme, Scheme::Internal, "the whole stays as it is, as long as anybody is held");
    lab.desired.held = lab.desired.members.iter().map(|member| member.uid.clone()).collect();
    lab.desired.listeners.clear();
    assert_eq!(lab.plan().unwrap(), [], "and all of it, if all are");
}

#[test]
fn one_number_belongs_to_the_member_that_was_there_first() {
    let mut lab = Lab::new();
    let second = Member { uid: Uid::new("uid-dns"), namespace: "default".to_owned(), name: "dns".to_owned() };
    lab.desired.members.push(second.clone());
    lab.desired.listeners.push(Listener { service: second.uid, ..listener(80, Protocol::Udp) });
    lab.settle();
    assert_eq!(lab.outcome().listening, [(Uid::new("uid-web"), PortKey { port: 80, protocol: Protocol::Tcp })]);
    assert!(lab.outcome().programmed.message.contains("one listener a port number"));
}

#[test]
fn a_port_that_changes_hands_gets_another_group_behind_the_same_listener() {
    let mut lab = Lab::new();
    let second = Member { uid: Uid::new("uid-api"), namespace: "default".to_owned(), name: "api".to_owned() };
    lab.desired.members.push(second.clone());
    lab.settle();
    lab.desired.members.remove(0);
    lab.desired.listeners = vec![Listener { service: second.uid.clone(), ..listener(80, Protocol::Tcp) }];
    let steps = names(&lab.settle());
    assert_eq!(steps, ["CreateGroup", "Register", "SetTags", "ModifyListener", "SetTags", "DeleteGroup"]);
    assert_eq!(lab.outcome().listening, [(second.uid, PortKey { port: 80, protocol: Protocol::Tcp })]);
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
    assert!(lab.plan().unwrap_err().to_string().starts_with("ReplaceNeedsDowntime"));
    let outcome = lab.outcome();
    assert_eq!((outcome.published.len(), outcome.programmed.status), (1, ConditionStatus::False));
    assert!(outcome.programmed.message.starts_with("ReplaceNeedsDowntime"));
}

#[test]
fn a_key_that_is_given_up_is_not_ours_any_more_whatever_stands_there() {
    let cross_zone = "load_balancing.cross_zone.enabled";
    let mut lab = Lab::new();
    lab.annotate("attributes", &format!("{cross_zone}=true"));
    lab.settle();
    lab.annotations.clear();
    lab.state.balancers[0].attributes.values.insert(cross_zone.to_owned(), "false".to_owned());
    assert_eq!(names(&lab.settle()), ["SetAttributes"]);
    lab.state.balancers[0].attributes.values.insert(cross_zone.to_owned(), "true".to_owned());
    assert_eq!(lab.plan().unwrap(), [], "it is somebody else's now");
}
