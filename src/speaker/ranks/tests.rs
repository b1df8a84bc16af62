use kube::core::ObjectMeta;
use serde_json::json;

use super::*;

fn ranks() -> Ranks {
    Ranks::of("node-a".to_owned())
}

fn object(name: &str, version: u64, spec: serde_json::Value) -> api::VirtualIP {
    let metadata = ObjectMeta {
        name: Some(name.to_owned()),
        resource_version: Some(version.to_string()),
        ..ObjectMeta::default()
    };
    api::VirtualIP { metadata, spec: serde_json::from_value(spec).unwrap(), status: None }
}

fn ranked(name: &str, version: u64, spec: serde_json::Value) -> Ranked {
    match read(object(name, version, spec)) {
        Projected::Object(ranked) => ranked,
        Projected::Nothing | Projected::Unreadable(_) => panic!("{name} is read"),
    }
}

fn nodes(generation: u64, nodes: &[&str]) -> serde_json::Value {
    json!({"loadBalancer": "web", "ranks": {"generation": generation, "nodes": nodes}})
}

fn addresses(owns: &Owns) -> Vec<String> {
    owns.addresses.keys().map(ToString::to_string).collect()
}

#[test]
fn a_node_owns_the_addresses_that_rank_it_first_and_nothing_before_all_are_listed() {
    let mut ranks = ranks();
    let names = "2001-0db8-0051-0000-0000-0000-0000-0010";
    let all = [
        ranked("198.51.100.10", 5, nodes(3, &["node-a", "node-b"])),
        ranked("198.51.100.11", 6, nodes(1, &["node-b", "node-a"])),
        ranked("198.51.100.12", 7, nodes(2, &[])),
        ranked("198.51.100.13", 8, json!({"reservedFor": {"namespace": "shop"}})),
        ranked(
            "198.51.100.14",
            9,
            json!({"reservedFor": {"namespace": "shop"}, "ranks": {"generation": 1, "nodes": ["node-a"]}}),
        ),
        ranked(names, 4, nodes(1, &["node-a"])),
    ];
    ranks.observe(Event::Init);
    all.into_iter().for_each(|ranked| ranks.observe(Event::InitApply(ranked)));
    assert_eq!(ranks.owns(), None);
    ranks.observe(Event::InitDone);
    let owns = ranks.owns().unwrap();
    assert_eq!(addresses(&owns), ["198.51.100.10", "2001:db8:51::10"]);
    assert_eq!(owns.addresses[&"198.51.100.10".parse::<IpAddr>().unwrap()].generation, 3);
    assert_eq!(owns.version, 5, "of its own, not of others'");
}

#[test]
fn the_version_is_that_of_the_last_change_that_concerned_the_node_also_of_one_that_took_an_address_away() {
    let mut ranks = ranks();
    ranks.observe(Event::Init);
    ranks.observe(Event::InitDone);
    let mut after = |version, generation, to: &str| {
        ranks.observe(Event::Apply(ranked("198.51.100.10", version, nodes(generation, &[to]))));
        let owns = ranks.owns().unwrap();
        (addresses(&owns).len(), owns.version)
    };
    assert_eq!(after(10, 1, "node-b"), (0, 0));
    assert_eq!(after(11, 2, "node-a"), (1, 11));
    assert_eq!(after(12, 2, "node-a"), (1, 12), "the ranks are the same, the object is another");
    assert_eq!(after(13, 3, "node-b"), (0, 13));
    assert_eq!(after(14, 4, "node-c"), (0, 13));
    ranks.observe(Event::Apply(ranked("198.51.100.10", 15, nodes(5, &["node-a"]))));
    ranks.observe(Event::Delete("198.51.100.10".to_owned(), ResourceVersion::new("16".to_owned())));
    assert_eq!(ranks.owns().unwrap(), Owns { version: 15, ..Owns::default() });
}

#[test]
fn what_it_has_owned_and_another_node_owns_now_is_left_to_it_as_long_as_somebody_else_owns_it() {
    let mut ranks = ranks();
    ranks.observe(Event::Init);
    // Somebody else's all along.
    ranks.observe(Event::InitApply(ranked("198.51.100.11", 5, nodes(1, &["node-b"]))));
    ranks.observe(Event::InitDone);
    let address: IpAddr = "198.51.100.10".parse().unwrap();
    let mut version = 10;
    let mut after = |to: Option<&[&str]>| {
        version += 1;
        ranks.observe(match to {
            Some(to) => Event::Apply(ranked("198.51.100.10", version, nodes(version, to))),
            None => Event::Delete("198.51.100.10".to_owned(), ResourceVersion::new(version.to_string())),
        });
        let left = ranks.owns().unwrap().left;
        assert!(left.is_empty() || left == BTreeSet::from([address]), "{left:?}");
        !left.is_empty()
    };
    assert!(!after(Some(&["node-b"])), "never owned");
    assert!(!after(Some(&["node-a", "node-b"])));
    assert!(after(Some(&["node-b"])));
    assert!(after(Some(&["node-c"])), "handed on");
    assert!(!after(Some(&["node-a"])), "come back");
    assert!(after(Some(&["node-b"])));
    assert!(!after(Some(&[])), "nobody's");
    assert!(!after(Some(&["node-b"])), "it had fallen silent");
    assert!(!after(Some(&["node-a"])));
    assert!(!after(Some(&[""])), "a node without a name is nobody");
    assert!(!after(Some(&["node-a"])));
    assert!(after(Some(&["node-b"])));
    assert!(!after(None), "gone");
}

#[test]
fn health_check_ports_are_known_of_all_addresses_and_whether_these_rank_the_node() {
    let mut ranks = ranks();
    let of = |nodes: &[&str], ports: &[u16]| json!({"loadBalancer": "web", "ranks": {"generation": 1, "nodes": nodes, "healthChecks": ports}});
    ranks.observe(Event::Init);
    for (address, nodes, ports) in [
        ("198.51.100.10", ["node-a", "node-b"], [32_000, 32_001].as_slice()),
        ("198.51.100.11", ["node-b", "node-a"], &[32_000]),
        ("198.51.100.12", ["node-b", "node-c"], &[32_000]),
        ("198.51.100.13", ["node-a", "node-b"], &[]),
    ] {
        ranks.observe(Event::InitApply(ranked(address, 5, of(&nodes, ports))));
    }
    ranks.observe(Event::InitDone);
    let asked = |ranks: &mut Ranks| -> Vec<(String, usize, bool)> {
        let checks = ranks.owns().unwrap().checks.into_iter();
        checks.map(|(vip, checks)| (vip.to_string(), checks.ports.len(), checks.is_ranked)).collect()
    };
    let all = |last: &str, ports, is_ranked| (format!("198.51.100.{last}"), ports, is_ranked);
    assert_eq!(asked(&mut ranks), [all("10", 2, true), all("11", 1, true), all("12", 1, false)]);
    ranks.observe(Event::Apply(ranked("198.51.100.10", 6, of(&["node-b", "node-c"], &[32_000]))));
    ranks.observe(Event::Apply(ranked("198.51.100.11", 7, of(&["node-b", "node-a"], &[]))));
    assert_eq!(asked(&mut ranks), [all("10", 1, false), all("12", 1, false)], "other ports alone are news too");
}

#[test]
fn the_interfaces_that_a_node_is_limited_to_are_its_own_alone() {
    let mut ranks = ranks();
    ranks.observe(Event::Init);
    let spec = json!({"loadBalancer": "web", "ranks": {"generation": 1, "nodes": ["node-a"], "interfaces": {"node-a": ["lan0"], "node-b": ["lan1"]}}});
    ranks.observe(Event::InitApply(ranked("198.51.100.10", 5, spec)));
    ranks.observe(Event::InitApply(ranked("198.51.100.11", 5, nodes(1, &["node-a"]))));
    ranks.observe(Event::InitDone);
    let only: Vec<_> = ranks.owns().unwrap().addresses.into_values().map(|owned| owned.only).collect();
    assert_eq!(only, [Some(BTreeSet::from(["lan0".to_owned()])), None]);
}

#[test]
fn a_node_inherits_what_ranks_it_second_with_what_there_is_to_prove_and_nothing_that_nobody_owns() {
    let mut ranks = ranks();
    ranks.observe(Event::Init);
    let port = |port: u16, protocol: &str| json!({"port": port, "protocol": protocol});
    let service = |ports: serde_json::Value| json!({"uid": "u", "namespace": "n", "name": "web", "ports": ports});
    let spec = json!({
        "loadBalancer": "web",
        "services": [service(json!([port(80, "TCP"), port(53, "UDP")])), service(json!([port(443, "TCP")]))],
        "sourceRanges": ["203.0.113.0/24"],
        "ranks": {"generation": 3, "nodes": ["node-b", "node-a", "node-c"], "interfaces": {"node-a": ["lan0"]}},
    });
    ranks.observe(Event::InitApply(ranked("198.51.100.10", 5, spec.clone())));
    ranks.observe(Event::InitApply(ranked("198.51.100.11", 6, nodes(1, &["node-a", "node-b"]))));
    ranks.observe(Event::InitApply(ranked("198.51.100.12", 7, nodes(1, &["node-b", "node-c", "node-a"]))));
    ranks.observe(Event::InitApply(ranked("198.51.100.13", 8, nodes(1, &["", "node-a"]))));
    ranks.observe(Event::InitDone);
    let inherited = Inherited {
        owner: "node-b".to_owned(),
        generation: 3,
        only: Some(BTreeSet::from(["lan0".to_owned()])),
        ports: [80, 443].into(),
        source_ranges: vec!["203.0.113.0/24".parse().unwrap()],
        version: 5,
    };
    let address: IpAddr = "198.51.100.10".parse().unwrap();
    assert_eq!(ranks.inherits(), Inherits { addresses: [(address, inherited.clone())].into(), version: 5 });

    let mut other = spec;
    other["services"] = json!([service(json!([port(53, "UDP")]))]);
    ranks.observe(Event::Apply(ranked("198.51.100.10", 9, other)));
    let other = Inherited { ports: BTreeSet::new(), version: 9, ..inherited };
    assert_eq!(ranks.inherits(), Inherits { addresses: [(address, other)].into(), version: 9 });
}

#[test]
fn an_object_whose_name_is_no_address_is_nobodys() {
    assert!(
        matches!(read(object("web", 1, nodes(1, &["node-a"]))), Projected::Unreadable(why) if why.contains("no address"))
    );
}
