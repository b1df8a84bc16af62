//! Services that share a balancer: who is held, who was first, who takes over.

use portolan_core::balancer::{Listener, Member, PortKey, Protocol, Scheme};
use portolan_core::ids::Uid;
use portolan_core::snapshot::ConditionStatus;

use super::lab::{Lab, listener, names};

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
    lab.desired.listeners.push(Listener { service: second.uid.clone(), ..listener(80, Protocol::Udp) });
    lab.settle();
    assert_eq!(lab.outcome().listening, [(Uid::new("uid-web"), PortKey { port: 80, protocol: Protocol::Tcp })]);
    let unserved = lab.outcome().unserved;
    let [(uid, refused)] = unserved.as_slice() else { panic!("{unserved:?}") };
    assert_eq!(*uid, second.uid);
    assert!(refused.to_string().contains("one listener a port number"), "{refused}");
    assert_eq!(lab.outcome().programmed.status, ConditionStatus::True, "who was there first is served");
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
    assert_eq!(steps, ["CreateGroup", "SetTags", "Register", "ModifyListener", "SetTags", "DeleteGroup"]);
    assert_eq!(lab.outcome().listening, [(second.uid, PortKey { port: 80, protocol: Protocol::Tcp })]);
}
