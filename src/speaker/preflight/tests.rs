use std::num::NonZeroU32;

use portolan_l2::Mac;

use super::*;

/// An Ethernet interface that is up and has these.
fn nic(name: &str, addresses: &[&str]) -> Interface {
    Interface {
        index: NonZeroU32::MIN,
        name: name.to_owned(),
        mac: Some(Mac([2, 0, 0, 0, 0, 1])),
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

fn lan() -> Interface {
    Interface { default_v4: Some(100), ..nic("lan0", &["198.51.100.1/24"]) }
}

/// As kube-proxy in IPVS mode makes it.
fn ipvs() -> Interface {
    Interface { up: false, resolves: false, ..nic(IPVS, &["198.51.100.10/32", "203.0.113.7/32"]) }
}

const V4: Families = Families { v4: true, v6: false };
const BOTH: Families = Families { v4: true, v6: true };

fn at(interface: &str, families: Families) -> BTreeMap<String, Families> {
    BTreeMap::from([(interface.to_owned(), families)])
}

/// What is found where these settings are as said and all others 0: `sysctl=value->wanted`.
fn found(interfaces: &[Interface], announced: &BTreeMap<String, Families>, set: &[(&str, i64)]) -> Vec<String> {
    let read = |sysctl: &str| Some(set.iter().find(|(name, _)| *name == sysctl).map_or(0, |(_, value)| *value));
    let told = |finding: &Finding| {
        assert!(!finding.why.is_empty());
        format!("{}={}->{}", finding.sysctl, finding.value, finding.wanted)
    };
    findings(interfaces, announced, read).iter().map(told).collect()
}

const NONE: [&str; 0] = [];

#[test]
fn where_nothing_has_the_addresses_no_arp_setting_matters() {
    for arp_ignore in 0..=8 {
        let set = [("net.ipv4.conf.all.arp_ignore", arp_ignore), ("net.ipv4.conf.lan0.arp_announce", arp_ignore)];
        assert_eq!(found(&[lan()], &at("lan0", BOTH), &set), NONE);
    }
    let cleaned = nic(IPVS, &[]);
    assert_eq!(found(&[lan(), cleaned], &at("lan0", BOTH), &[]), NONE, "what IPVS mode has left behind");
}

#[test]
fn in_ipvs_mode_every_node_has_to_be_told_not_to_answer_or_ask_for_them_also_one_that_announces_nothing() {
    let nics = [lan(), nic("lan1", &["192.0.2.1/24"]), ipvs()];
    let both = ["net.ipv4.conf.all.arp_announce=0->2", "net.ipv4.conf.all.arp_ignore=0->1"];
    assert_eq!(found(&nics, &BTreeMap::new(), &[]), both);
    // As kube-proxy sets them with strictARP.
    let strict = [("net.ipv4.conf.all.arp_ignore", 1), ("net.ipv4.conf.all.arp_announce", 2)];
    assert_eq!(found(&nics, &BTreeMap::new(), &strict), NONE);
}

#[test]
fn in_ipvs_mode_only_values_that_help_are_taken_for_such() {
    let nics = [lan(), ipvs()];
    for (value, helps) in [(0, false), (1, true), (2, true), (3, false), (4, false), (7, false), (8, true)] {
        let set = [("net.ipv4.conf.all.arp_announce", 2), ("net.ipv4.conf.all.arp_ignore", value)];
        assert_eq!(found(&nics, &BTreeMap::new(), &set).is_empty(), helps, "arp_ignore {value}");
    }
    for (value, helps) in [(0, false), (1, false), (2, true), (3, false)] {
        let set = [("net.ipv4.conf.all.arp_announce", value), ("net.ipv4.conf.all.arp_ignore", 1)];
        assert_eq!(found(&nics, &BTreeMap::new(), &set).is_empty(), helps, "arp_announce {value}");
    }
}

#[test]
fn of_all_and_the_interface_the_higher_counts_and_is_named() {
    let nics = [lan(), ipvs()];
    let own = [("net.ipv4.conf.lan0.arp_ignore", 1), ("net.ipv4.conf.lan0.arp_announce", 2)];
    assert_eq!(found(&nics, &BTreeMap::new(), &own), NONE);
    let own = [
        ("net.ipv4.conf.all.arp_ignore", 1),
        ("net.ipv4.conf.lan0.arp_ignore", 3),
        ("net.ipv4.conf.all.arp_announce", 2),
    ];
    assert_eq!(found(&nics, &BTreeMap::new(), &own), ["net.ipv4.conf.lan0.arp_ignore=3->1"]);
}

#[test]
fn a_strict_rp_filter_is_in_the_way_only_where_an_address_is_announced_and_the_default_route_leads_elsewhere() {
    let nics = [lan(), nic("lan1", &["192.0.2.1/24"]), nic("cni0", &["10.0.0.1/24"])];
    let strict = [("net.ipv4.conf.all.rp_filter", 1)];
    let told = |announced: &BTreeMap<String, Families>, set: &[(&str, i64)]| found(&nics, announced, set);
    assert_eq!(told(&at("lan0", V4), &strict), NONE, "it leads by this one");
    assert_eq!(told(&at("lan1", Families { v4: false, v6: true }), &strict), NONE, "there is none for IPv6");
    assert_eq!(told(&at("lan1", V4), &strict), ["net.ipv4.conf.lan1.rp_filter=0->2"], "the one of all counts");
    assert_eq!(told(&at("lan1", V4), &[("net.ipv4.conf.lan1.rp_filter", 1)]), ["net.ipv4.conf.lan1.rp_filter=1->2"]);
    let loose = [("net.ipv4.conf.all.rp_filter", 1), ("net.ipv4.conf.lan1.rp_filter", 2)];
    assert_eq!(told(&at("lan1", V4), &loose), NONE);
    assert_eq!(told(&at("lan1", V4), &[]), NONE);
    // Without any default route nobody beyond a router can be answered at all; with two that are equal, each is a way back.
    let alone = nic("lan1", &["192.0.2.1/24"]);
    assert_eq!(found(&[alone], &at("lan1", V4), &strict), NONE);
    let equal = Interface { default_v4: Some(100), ..nic("lan1", &["192.0.2.1/24"]) };
    assert_eq!(found(&[lan(), equal], &at("lan1", V4), &strict), NONE);
    let worse = Interface { default_v4: Some(200), ..nic("lan1", &["192.0.2.1/24"]) };
    assert_eq!(found(&[lan(), worse], &at("lan1", V4), &strict), ["net.ipv4.conf.lan1.rp_filter=0->2"]);
}

#[test]
fn where_ipv6_is_switched_off_no_ipv6_address_is_reached() {
    let off = [("net.ipv6.conf.lan0.disable_ipv6", 1)];
    assert_eq!(found(&[lan()], &at("lan0", BOTH), &off), ["net.ipv6.conf.lan0.disable_ipv6=1->0"]);
    assert_eq!(found(&[lan()], &at("lan0", V4), &off), NONE);
    assert_eq!(found(&[lan()], &BTreeMap::new(), &off), NONE);
}

#[test]
fn a_name_with_dots_is_written_as_sysctl_takes_it_and_what_cannot_be_read_is_not_known_to_be_wrong() {
    let vlan = nic("lan0.100", &["192.0.2.1/24"]);
    let strict = [("net.ipv4.conf.lan0/100.rp_filter", 1)];
    assert_eq!(found(&[lan(), vlan.clone()], &at("lan0.100", V4), &strict), ["net.ipv4.conf.lan0/100.rp_filter=1->2"]);
    assert_eq!(findings(&[lan(), vlan, ipvs()], &at("lan0.100", BOTH), |_| None), []);
}

#[test]
fn what_the_kernel_has_is_read() {
    assert!(read("net.ipv4.conf.all.rp_filter").is_some_and(|value| (0..=2).contains(&value)));
    assert_eq!(read("net.ipv4.conf.no/such.rp_filter"), None);
}
