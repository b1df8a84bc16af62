//! As how many rules prefix lists count when it is decided whether rules fit, in the pure half.

use std::collections::BTreeMap;

use portolan_aws::Step;
use portolan_aws::estate::prefix_lists::{PrefixList, PrefixLists};
use portolan_aws::ids::{Id, PrefixListId};
use portolan_core::balancer::Protocol;
use portolan_core::provider::Step as _;

use super::lab::{Lab, listener, names};

fn id(text: &str) -> PrefixListId {
    PrefixListId::parse(text).unwrap()
}

fn known(lists: &[(&str, PrefixList)]) -> PrefixLists {
    lists.iter().map(|(list, said)| (id(list), *said)).collect()
}

/// A Service with two ports that lets in one list.
fn lab(list: PrefixList) -> Lab {
    let mut lab = Lab::new();
    lab.desired.listeners.push(listener(81, Protocol::Tcp));
    lab.annotate("security-group-prefix-lists", "pl-1");
    lab.estate.prefix_lists = known(&[("pl-1", list)]);
    lab
}

#[test]
fn a_list_counts_at_each_port_for_as_many_rules_as_it_may_have_entries() {
    assert!(lab(PrefixList::Counts(30)).plan().is_ok());
    let refused = lab(PrefixList::Counts(31)).plan().unwrap_err().to_string();
    assert!(refused.contains("would need 62 inbound rules") && refused.contains("pl-1 for 31"), "{refused}");
    assert!(refused.contains("AWS allows 60") && refused.contains("fewer maximum entries"), "{refused}");
    assert!(lab(PrefixList::Uncounted).plan().is_ok(), "AWS has the last word");
}

#[test]
fn lists_that_rules_of_others_name_count_too() {
    let mut lab = lab(PrefixList::Counts(20));
    lab.settle();
    lab.estate.prefix_lists = known(&[("pl-1", PrefixList::Counts(20)), ("pl-2", PrefixList::Counts(10))]);
    let group = &mut lab.state.security_groups[0];
    (group.others, group.lists_of_others) = (1, BTreeMap::from([(id("pl-2"), 1)]));
    lab.annotate("security-group-prefix-lists", "pl-1");
    lab.desired.listeners.push(listener(82, Protocol::Tcp));
    let refused = lab.plan().unwrap_err().to_string();
    assert!(refused.contains("would need 70 inbound rules"), "{refused}");
}

#[test]
fn a_list_that_does_not_exist_is_refused_by_its_name() {
    let refused = lab(PrefixList::Missing).plan().unwrap_err().to_string();
    assert!(refused.contains("there is no prefix list pl-1 in this region"), "{refused}");
}

#[test]
fn what_nobody_has_asked_is_asked_first_and_only_where_rules_are_to_be_opened() {
    let mut lab = lab(PrefixList::Counts(20));
    lab.estate.prefix_lists = PrefixLists::default();
    let steps = lab.plan().unwrap();
    assert_eq!(steps[0], Step::Weigh { lists: [id("pl-1")].into() });
    assert_eq!(steps[0].calls(), None, "it changes nothing");
    assert!(steps.iter().skip(1).all(|step| step.name() != "Weigh"));

    lab.estate.prefix_lists = known(&[("pl-1", PrefixList::Counts(20))]);
    lab.settle();
    lab.estate.prefix_lists = PrefixLists::default();
    assert_eq!(lab.plan().unwrap(), [], "all that is wanted is open");
    lab.desired.listeners.pop();
    assert_eq!(names(&lab.plan().unwrap()).iter().filter(|name| **name == "Weigh").count(), 0, "rules only go");
}
