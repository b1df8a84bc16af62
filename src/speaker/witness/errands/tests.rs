use std::collections::BTreeSet;

use super::*;

const V4: &str = "198.51.100.10";
const V6: &str = "2001:db8:51::10";

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn mac(number: u32) -> Mac {
    Mac([2, 0, 0, 0, 0, u8::try_from(number).unwrap()])
}

fn nic(number: u32, addresses: &[&str]) -> Interface {
    Interface {
        index: NonZeroU32::new(number).unwrap(),
        name: format!("e{number}"),
        mac: Some(mac(number)),
        up: true,
        resolves: true,
        enslaved: false,
        came_up: 1,
        addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
        default_v4: None,
        default_v6: None,
        on_link: Vec::new(),
        gateways: Vec::new(),
        own: Vec::new(),
    }
}

fn inherited() -> Inherited {
    Inherited {
        owner: "node-a".to_owned(),
        generation: 3,
        only: None,
        ports: [80, 443].into(),
        source_ranges: Vec::new(),
        version: 7,
    }
}

fn inherits(all: &[(&str, Inherited)]) -> Inherits {
    Inherits { addresses: all.iter().map(|(vip, inherited)| (ip(vip), inherited.clone())).collect(), version: 9 }
}

/// `node-a` has applied all up to this version.
fn said(applied: u64) -> BTreeMap<String, Said> {
    [("node-a".to_owned(), Said { stations: Arc::new([mac(9)].into()), applied })].into()
}

fn fresh(inherits: &Inherits, interfaces: &[Interface]) -> BTreeMap<IpAddr, Task> {
    tasks(inherits, interfaces, &said(7), &BTreeMap::new())
}

fn proving(task: &Task) -> &Proving {
    match task {
        Task::Prove(proving) => proving,
        Task::Await | Task::OffLink => panic!("{task:?}"),
    }
}

#[test]
fn an_address_is_proven_from_the_interface_on_its_prefix_in_the_name_that_this_has_there() {
    let lan = nic(2, &["fe80::1/64", "198.51.100.2/24", "2001:db8:51::2/64"]);
    let interfaces = [nic(1, &["192.0.2.1/24"]), lan];
    let found = fresh(&inherits(&[(V4, inherited()), (V6, inherited())]), &interfaces);
    for (vip, from) in [(V4, "198.51.100.2"), (V6, "2001:db8:51::2")] {
        let proving = proving(&found[&ip(vip)]);
        assert_eq!((proving.index.get(), proving.excluded), (2, false));
        let ports = [80, 443].into();
        let owners = Arc::new([mac(9)].into());
        assert_eq!(proving.errand, Errand { vip: ip(vip), own: mac(2), from: ip(from), ports, owners });
    }
}

#[test]
fn where_only_a_route_says_that_it_is_on_the_segment_any_address_of_the_family_asks() {
    let on_link = vec![V4, V6].into_iter().map(|vip| format!("{vip}/{}", if vip == V4 { 24 } else { 64 }));
    let on_link = on_link.map(|text| text.parse().unwrap()).collect();
    let lan = Interface { on_link, ..nic(2, &["203.0.113.2/32", "fe80::1/64", "2001:db8:ff::2/128"]) };
    let found = fresh(&inherits(&[(V4, inherited()), (V6, inherited())]), &[nic(1, &["192.0.2.1/24"]), lan]);
    for (vip, from) in [(V4, "203.0.113.2"), (V6, "2001:db8:ff::2")] {
        assert_eq!(proving(&found[&ip(vip)]).errand.from, ip(from));
    }
}

#[test]
fn of_several_interfaces_the_one_that_it_is_limited_to_is_used_and_else_the_first() {
    let interfaces = [nic(1, &["198.51.100.1/24"]), nic(2, &["198.51.100.2/24"]), nic(3, &["192.0.2.1/24"])];
    for (only, expected) in [(None, 1), (Some("e2"), 2), (Some("e3"), 1)] {
        let only = only.map(|name: &str| BTreeSet::from([name.to_owned()]));
        let found = fresh(&inherits(&[(V4, Inherited { only, ..inherited() })]), &interfaces);
        assert_eq!(proving(&found[&ip(V4)]).index.get(), expected);
    }
}

#[test]
fn who_is_not_on_the_addresss_prefix_is_no_witness() {
    let cannot = [
        nic(1, &["192.0.2.1/24"]),
        nic(2, &["fe80::1/64"]),
        Interface { up: false, ..nic(3, &["198.51.100.3/24"]) },
        Interface { mac: None, ..nic(4, &["198.51.100.4/24"]) },
        Interface { enslaved: true, ..nic(5, &["198.51.100.5/24"]) },
        Interface { default_v4: Some(1), ..nic(6, &["203.0.113.1/24"]) },
    ];
    assert_eq!(fresh(&inherits(&[(V4, inherited())]), &cannot), [(ip(V4), Task::OffLink)].into());
    assert_eq!(fresh(&inherits(&[("fe80::10", inherited())]), &cannot), [(ip("fe80::10"), Task::OffLink)].into());
}

#[test]
fn who_may_not_connect_asks_no_port() {
    let interfaces = [nic(1, &["198.51.100.1/24", "2001:db8:51::1/64"])];
    let found = |ranges: &[&str], vip: &str| {
        let source_ranges = ranges.iter().map(|range| range.parse().unwrap()).collect();
        let found = fresh(&inherits(&[(vip, Inherited { source_ranges, ..inherited() })]), &interfaces);
        let proving = proving(&found[&ip(vip)]);
        (proving.excluded, proving.errand.ports.len())
    };
    assert_eq!(found(&[], V4), (false, 2));
    assert_eq!(found(&["203.0.113.0/24", "198.51.100.0/24"], V4), (false, 2));
    assert_eq!(found(&["203.0.113.0/24"], V4), (true, 0));
    assert_eq!(found(&["198.51.100.0/24"], V6), (true, 0), "ranges of one family close the other");
}

#[test]
fn a_proof_begins_once_its_owner_has_said_that_the_address_is_announced_and_goes_on_until_the_ranks_are_others() {
    let interfaces = [nic(1, &["198.51.100.1/24"])];
    let of = |inherited: Inherited| inherits(&[(V4, inherited)]);
    let none = BTreeMap::new();
    let waits: BTreeMap<IpAddr, Task> = [(ip(V4), Task::Await)].into();
    assert_eq!(tasks(&of(inherited()), &interfaces, &BTreeMap::new(), &none), waits);
    assert_eq!(tasks(&of(inherited()), &interfaces, &said(6), &waits), waits);
    let begun = tasks(&of(inherited()), &interfaces, &said(7), &waits);
    proving(&begun[&ip(V4)]);

    // Something else was written into the object, of which its owner has not heard yet.
    let newer = Inherited { version: 8, ..inherited() };
    assert_eq!(tasks(&of(newer.clone()), &interfaces, &said(7), &begun), begun);
    let other_ports = Inherited { ports: [8080].into(), ..newer };
    assert_eq!(proving(&tasks(&of(other_ports), &interfaces, &said(7), &begun)[&ip(V4)]).errand.ports, [8080].into());

    let moved = Inherited { generation: 4, version: 8, ..inherited() };
    assert_eq!(tasks(&of(moved.clone()), &interfaces, &said(7), &begun), waits);
    assert_ne!(tasks(&of(moved), &interfaces, &said(8), &begun), begun, "it is a new proof");
    assert_eq!(tasks(&of(inherited()), &interfaces, &BTreeMap::new(), &begun), waits, "whose stations nobody knows");
    assert_eq!(tasks(&Inherits::default(), &interfaces, &said(8), &begun), none);
}

#[test]
fn an_owner_with_other_stations_is_still_to_be_proven_the_same() {
    let interfaces = [nic(1, &["198.51.100.1/24"])];
    let of = |inherited: Inherited, said: &BTreeMap<String, Said>| {
        tasks(&inherits(&[(V4, inherited)]), &interfaces, said, &BTreeMap::new()).remove(&ip(V4)).unwrap()
    };
    let before = of(inherited(), &said(7));
    let mut others = said(7);
    others.get_mut("node-a").unwrap().stations = Arc::new([mac(8)].into());
    let now = of(inherited(), &others);
    assert_ne!(now, before);
    assert!(now.is_still(&before));
    assert!(!of(Inherited { ports: [80].into(), ..inherited() }, &others).is_still(&before));
    assert!(!of(Inherited { generation: 4, ..inherited() }, &others).is_still(&before));
    assert!(!Task::Await.is_still(&before) && !before.is_still(&Task::Await) && Task::Await.is_still(&Task::Await));
}
