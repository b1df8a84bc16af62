//! Attributes and tags that are given and go again.

use std::collections::BTreeSet;

use portolan_aws::names::{CLUSTER, INSTANCE, LOAD_BALANCER};
use portolan_aws::state::Observed;
use portolan_core::balancer::{Listener, Member, Protocol};
use portolan_core::ids::Uid;

use super::lab::{Lab, listener, names};

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

#[test]
fn no_tag_goes_that_somebody_who_may_not_be_touched_may_have_asked_for() {
    let mut lab = Lab::new();
    let second = Member { uid: Uid::new("uid-api"), namespace: "default".to_owned(), name: "api".to_owned() };
    lab.desired.members.push(second.clone());
    lab.desired.listeners.push(Listener { service: second.uid.clone(), ..listener(81, Protocol::Tcp) });
    lab.annotate("additional-resource-tags", "team=a");
    lab.settle();
    lab.annotations.clear();
    lab.desired.held.push(second.uid);
    assert_eq!(names(&lab.plan().unwrap()), [""; 0]);
    lab.desired.held.clear();
    let steps = lab.plan().unwrap();
    assert_eq!(names(&steps), ["RemoveTags"; 6], "security group, two groups, balancer, two listeners: {steps:?}");
}

#[test]
fn a_tag_by_which_we_know_our_own_never_goes_whatever_the_record_says() {
    let mut lab = Lab::new();
    lab.settle();
    lab.state.given = [CLUSTER, INSTANCE, LOAD_BALANCER, "portolan.dev/retired"].map(str::to_owned).into();
    lab.state.balancers[0].tags.insert("portolan.dev/retired".to_owned(), String::new());
    assert_eq!(lab.plan().unwrap(), []);
}

#[test]
fn tags_that_go_make_room_for_those_that_come() {
    let mut lab = Lab::new();
    lab.annotate("additional-resource-tags", "a=1");
    lab.settle();
    lab.annotate("additional-resource-tags", "b=1");
    let steps = names(&lab.plan().unwrap());
    assert_eq!(steps, ["RemoveTags", "SetTags"].repeat(4));
}
