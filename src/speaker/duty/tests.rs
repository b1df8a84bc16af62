use super::*;

const LAN: &str = "198.51.100.10";
const LAN6: &str = "2001:db8:51::10";
const FAR: &str = "203.0.113.10";

fn index(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).unwrap()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn mac(number: u32) -> Mac {
    Mac([2, 0, 0, 0, 0, u8::try_from(number).unwrap()])
}

/// An Ethernet interface `eN` that is up and has these.
fn nic(number: u32, addresses: &[&str]) -> Interface {
    Interface {
        index: index(number),
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

/// One that no kernel has.
pub(in crate::speaker) fn no_interface() -> Interface {
    Interface { index: index(0x7fff_ffff), name: "lan0".to_owned(), ..nic(9, &["198.51.100.1/24"]) }
}

fn owns(vips: &[&str]) -> Owns {
    owning(vips, &Owned { generation: 1, ask_first: true, ..Owned::default() })
}

fn owning(vips: &[&str], owned: &Owned) -> Owns {
    let addresses = vips.iter().map(|vip| (ip(vip), owned.clone())).collect();
    Owns { addresses, version: 1, ..Owns::default() }
}

/// Of a node that has answered for nothing yet.
fn fresh(owns: &Owns, interfaces: &[Interface]) -> Duty {
    duty(owns, interfaces, &Places::new())
}

fn only(names: &[&str]) -> Owned {
    let only = Some(names.iter().map(|name| (*name).to_owned()).collect());
    Owned { generation: 1, ask_first: true, only, ..Owned::default() }
}

/// `interface: address address; ...` and the notes.
fn said(duty: &Duty) -> String {
    let places = duty.places.values().map(|place| {
        let vips: Vec<String> = place.vips.keys().map(ToString::to_string).collect();
        format!("{}: {}", place.name, vips.join(" "))
    });
    let notes = duty.notes.iter().map(|(vip, note)| format!("{vip} {note:?}"));
    places.chain(notes).collect::<Vec<_>>().join("; ")
}

#[test]
fn an_address_is_announced_on_every_interface_whose_prefix_holds_it() {
    let nics = [
        nic(1, &["198.51.100.1/24", "2001:db8:51::1/64"]),
        nic(2, &["198.51.100.2/24"]),
        nic(3, &["192.0.2.1/24", "fe80::1/64"]),
    ];
    let duty = fresh(&owns(&[LAN, LAN6]), &nics);
    assert_eq!(said(&duty), format!("e1: {LAN} {LAN6}; e2: {LAN}"));
    assert_eq!(duty.places[&index(2)].mac, mac(2), "each with its own station");
}

#[test]
fn the_nodes_own_stations_are_those_of_all_its_interfaces_also_where_nothing_can_be_announced() {
    let port = Interface { enslaved: true, up: false, ..nic(2, &[]) };
    let nics = [nic(1, &["198.51.100.1/24"]), port, Interface { mac: None, ..nic(3, &[]) }];
    let duty = fresh(&owns(&[LAN]), &nics);
    assert_eq!(duty.own, [mac(1), mac(2)].into());
    assert_eq!(duty.stations.into_values().collect::<Vec<_>>(), [mac(1)]);
}

#[test]
fn interfaces_that_cannot_announce_are_left_out_and_an_address_of_theirs_goes_nowhere_else() {
    let way_out = Interface { default_v4: Some(0), ..nic(9, &["192.0.2.1/24"]) };
    let held = nic(1, &["198.51.100.1/24"]);
    for (why, broken) in [
        ("down", Interface { up: false, ..held.clone() }),
        ("enslaved", Interface { enslaved: true, ..held.clone() }),
        ("without a station", Interface { mac: None, ..held.clone() }),
    ] {
        let duty = fresh(&owns(&[LAN]), &[broken, way_out.clone()]);
        assert_eq!(said(&duty), format!("{LAN} NoInterface"), "{why}");
    }
    // kube-proxy in IPVS mode puts each address on an interface of its own, where nobody can ask for it.
    let ipvs = Interface { resolves: false, ..nic(2, &["198.51.100.10/32"]) };
    assert_eq!(said(&fresh(&owns(&[LAN]), &[ipvs.clone(), held])), format!("e1: {LAN}"));
    assert_eq!(said(&fresh(&owns(&[LAN]), &[ipvs, way_out])), format!("e9: {LAN}; {LAN} PoolOffLink"));
}

#[test]
fn an_address_on_no_prefix_goes_where_the_default_route_of_its_family_leads_and_it_is_said() {
    let nics = [
        Interface { default_v4: Some(300), ..nic(1, &["198.51.100.1/24"]) },
        Interface { default_v4: Some(100), ..nic(2, &["192.0.2.1/24"]) },
        Interface { default_v6: Some(1), ..nic(3, &[]) },
    ];
    assert_eq!(said(&fresh(&owns(&[FAR]), &nics)), format!("e2: {FAR}; {FAR} PoolOffLink"));
    assert_eq!(said(&fresh(&owns(&[LAN6]), &nics)), format!("e3: {LAN6}; {LAN6} PoolOffLink"));
    assert_eq!(said(&fresh(&owns(&[FAR]), &[nic(1, &["198.51.100.1/24"])])), format!("{FAR} NoInterface"));
}

#[test]
fn ranks_that_name_interfaces_limit_it_to_those_whatever_their_prefixes() {
    let nics = [nic(1, &["198.51.100.1/24"]), nic(2, &["198.51.100.2/24"]), nic(3, &["192.0.2.1/24"])];
    let limited = |names: &[&str]| said(&fresh(&owning(&[LAN], &only(names)), &nics));
    assert_eq!(limited(&["e2"]), format!("e2: {LAN}"));
    assert_eq!(limited(&["e2", "e3"]), format!("e2: {LAN}; e3: {LAN}"));
    assert_eq!(limited(&["bogus"]), format!("{LAN} NoInterface"));
    assert_eq!(limited(&[]), format!("{LAN} NoInterface"));
}

#[test]
fn the_wire_is_asked_as_long_as_nobody_is_known_to_have_announced_the_address() {
    let asked = |ask_first| {
        let owns = owning(&[LAN], &Owned { generation: 7, ask_first, ..Owned::default() });
        fresh(&owns, &[nic(1, &["198.51.100.1/24"])]).places[&index(1)].vips[&ip(LAN)]
    };
    assert_eq!([asked(true), asked(false)], [Asks::First, Asks::Not].map(Part::Owner));
}

fn places(vips: &[&str], nics: &[Interface]) -> Places {
    fresh(&owns(vips), nics).places
}

#[test]
fn only_what_differs_is_done_and_what_falls_silent_comes_first() {
    let one = nic(1, &["198.51.100.1/24", "2001:db8:51::1/64"]);
    let other = nic(2, &["203.0.113.1/24"]);
    let nics = [one.clone(), other.clone()];
    let asked = |vips: &[&str]| vips.iter().map(|vip| (ip(vip), Asks::First)).collect::<BTreeMap<_, _>>();
    let (none, both) = (Places::new(), places(&[LAN, FAR], &nics));

    assert_eq!(edits(&both, &both), []);
    let opened = [
        Edit::Open(index(1)),
        Edit::Announce(index(1), asked(&[LAN])),
        Edit::Open(index(2)),
        Edit::Announce(index(2), asked(&[FAR])),
    ];
    assert_eq!(edits(&none, &both), opened);
    assert_eq!(edits(&both, &none), [Edit::Close(index(1)), Edit::Close(index(2))]);

    let changed = edits(&both, &places(&[LAN6, FAR], &nics));
    assert_eq!(
        changed,
        [Edit::Withdraw(index(1), BTreeSet::from([ip(LAN)])), Edit::Announce(index(1), asked(&[LAN6]))]
    );

    // The prefix moves from one to the other.
    let moved = [nic(1, &[]), nic(2, &["203.0.113.1/24", "198.51.100.1/24"])];
    assert_eq!(
        edits(&both, &places(&[LAN, FAR], &moved)),
        [Edit::Close(index(1)), Edit::Announce(index(2), asked(&[LAN]))]
    );
}

#[test]
fn a_link_that_came_up_in_between_is_told_and_another_station_under_the_same_index_begins_anew() {
    let one = nic(1, &["198.51.100.1/24"]);
    let before = places(&[LAN], std::slice::from_ref(&one));
    let flapped = places(&[LAN], &[Interface { came_up: 2, ..one.clone() }]);
    assert_eq!(edits(&before, &flapped), [Edit::CameUp(index(1))]);
    let with_ipv6 = places(&[LAN], &[nic(1, &["198.51.100.1/24", "fe80::1/64"])]);
    let with_more = places(&[LAN], &[nic(1, &["198.51.100.1/24", "2001:db8:51::1/64", "fe80::1/64"])]);
    assert_eq!(edits(&before, &with_ipv6), [Edit::Ipv6Came(index(1))]);
    assert_eq!([edits(&with_ipv6, &with_more), edits(&with_ipv6, &before)], [[], []]);
    for changed in [Interface { mac: Some(mac(7)), ..one.clone() }, Interface { name: "lan0".to_owned(), ..one }] {
        let asked = BTreeMap::from([(ip(LAN), Asks::First)]);
        assert_eq!(
            edits(&before, &places(&[LAN], &[changed])),
            [Edit::Close(index(1)), Edit::Open(index(1)), Edit::Announce(index(1), asked)]
        );
    }
}

#[test]
fn every_interface_that_can_announce_is_a_station_also_where_nothing_is_announced() {
    let nics = [
        nic(1, &["198.51.100.1/24"]),
        nic(2, &[]),
        Interface { up: false, ..nic(3, &["198.51.100.3/24"]) },
        Interface { resolves: false, ..nic(4, &["198.51.100.4/24"]) },
        Interface { enslaved: true, ..nic(5, &["198.51.100.5/24"]) },
        Interface { mac: None, ..nic(6, &["198.51.100.6/24"]) },
    ];
    let stations = BTreeMap::from([("e1".to_owned(), mac(1)), ("e2".to_owned(), mac(2))]);
    assert_eq!(fresh(&owns(&[LAN]), &nics).stations, stations);
    assert_eq!(fresh(&Owns::default(), &nics).stations, stations, "also of a node that owns nothing");
    assert_eq!(fresh(&owns(&[LAN]), &[]).stations, BTreeMap::new());
}

#[test]
fn what_is_withheld_because_nothing_is_forwarded_is_silent_and_said_to_be() {
    let nics = [nic(1, &["198.51.100.1/24"])];
    let before = places(&[LAN], &nics);
    let withheld = Owns { withheld: BTreeSet::from([ip(LAN)]), ..owns(&[]) };
    let duty = duty(&withheld, &nics, &before);
    assert_eq!(said(&duty), format!("{LAN} NotForwarding"));
    assert_eq!(edits(&before, &duty.places), [Edit::Close(index(1))]);
}

/// A node that owns these, and has left those to another.
fn leaving(vips: &[&str], left: &[&str]) -> Owns {
    Owns {
        left: left.iter().map(|vip| ip(vip)).collect(),
        ..owning(vips, &Owned { generation: 2, ..Owned::default() })
    }
}

#[test]
fn what_goes_to_another_node_is_handed_over_where_it_was_answered_and_nowhere_else() {
    let nics = [nic(1, &["198.51.100.1/24"]), nic(2, &["198.51.100.2/24"])];
    let before = places(&[LAN], &nics[..1]);
    let Duty { places: after, notes, .. } = duty(&leaving(&[], &[LAN, FAR]), &nics, &before);
    assert_eq!(edits(&before, &after), [Edit::HandOver(index(1), BTreeSet::from([ip(LAN)]))]);
    assert_eq!(notes, BTreeMap::new());

    // It goes on as it is, whatever else changes.
    let more = duty(&leaving(&[LAN6], &[LAN, FAR]), &[nic(1, &["198.51.100.1/24", "2001:db8:51::1/64"])], &after);
    let announced = BTreeMap::from([(ip(LAN6), Asks::Not)]);
    assert_eq!(edits(&after, &more.places), [Edit::Ipv6Came(index(1)), Edit::Announce(index(1), announced)]);
    assert_eq!(more.places[&index(1)].vips[&ip(LAN)], Part::Leaving);
}

#[test]
fn what_comes_back_meanwhile_is_announced_anew_and_what_is_nobodys_is_silent_at_once() {
    let nics = [nic(1, &["198.51.100.1/24"])];
    let before = places(&[LAN], &nics);
    let gone = duty(&leaving(&[], &[LAN]), &nics, &before).places;

    let back = duty(&leaving(&[LAN], &[]), &nics, &gone).places;
    assert_eq!(edits(&gone, &back), [Edit::Announce(index(1), BTreeMap::from([(ip(LAN), Asks::Not)]))]);

    for held in [&before, &gone] {
        let nobodys = duty(&leaving(&[], &[]), &nics, held).places;
        assert_eq!(edits(held, &nobodys), [Edit::Close(index(1))]);
    }
}

#[test]
fn an_interface_that_is_another_one_now_or_cannot_any_more_hands_nothing_over() {
    let one = nic(1, &["198.51.100.1/24"]);
    let before = places(&[LAN], std::slice::from_ref(&one));
    for changed in [Interface { mac: Some(mac(7)), ..one.clone() }, Interface { up: false, ..one }] {
        let after = duty(&leaving(&[], &[LAN]), &[changed], &before).places;
        assert_eq!(edits(&before, &after), [Edit::Close(index(1))]);
    }
}

#[test]
fn the_routers_of_all_interfaces_are_told_but_for_addresses_of_the_link() {
    let routed = |number, gateways: &[&str]| Interface {
        gateways: gateways.iter().map(|gateway| ip(gateway)).collect(),
        ..nic(number, &[])
    };
    let down = Interface { up: false, ..routed(2, &["192.0.2.1"]) };
    let found = fresh(&owns(&[]), &[routed(1, &["198.51.100.1", "fe80::1", "2001:db8:51::1", "169.254.0.1"]), down]);
    let expected = ["192.0.2.1", "198.51.100.1", "2001:db8:51::1"].map(ip);
    assert_eq!(found.gateways, expected.into());
}

#[test]
fn the_nodes_own_addresses_are_told_of_all_interfaces_but_those_where_others_park_addresses_of_services() {
    let with = |name: &str, own: &[&str]| Interface {
        name: name.to_owned(),
        own: own.iter().map(|address| ip(address)).collect(),
        ..nic(1, &[])
    };
    let down = Interface { up: false, mac: None, ..with("e2", &["192.0.2.1"]) };
    let found = fresh(
        &owns(&[]),
        &[
            with("lo", &["127.0.0.1", "::1", "203.0.113.77"]),
            with("e1", &["198.51.100.1", "198.51.100.9", "fe80::1", "2001:db8:51::1", "169.254.0.1"]),
            down,
            with("kube-ipvs0", &["198.51.100.9", "198.51.100.10"]),
            with("kube-dummy-if", &["198.51.100.11"]),
            with("nodelocaldns", &["10.96.0.10"]),
        ],
    );
    let expected = ["192.0.2.1", "198.51.100.1", "198.51.100.9", "203.0.113.77", "2001:db8:51::1"].map(ip);
    assert_eq!(found.addresses, expected.into());
}
