use super::*;
use crate::selector::Requirement;

fn labels(text: &str) -> Labels {
    let pairs = text.split(',').filter(|pair| !pair.is_empty());
    pairs.map(|pair| pair.split_once('=').unwrap()).map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

fn selector(text: &str) -> Selector {
    let requirement = |(key, value): (String, String)| Requirement::In(key, [value].into());
    Selector { requirements: labels(text).into_iter().map(requirement).collect() }
}

fn prefer(weight: u32, nodes: &str) -> Preference {
    Preference { weight, selector: selector(nodes) }
}

fn interfaces(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn pool(name: &str, text: &str) -> PoolRef {
    PoolRef { name: PoolName::new(name), labels: labels(text) }
}

fn key(name: &str) -> ServiceKey {
    ServiceKey::new("default", name)
}

fn admission(all: &[Advertisement], services: &[&str], node: &str) -> Option<Admission> {
    let services: Vec<Labels> = services.iter().map(|service| labels(service)).collect();
    Announced::of(all, &pool("gold", "tier=gold"), &services).admission(&labels(node))
}

fn everywhere(weight: u32) -> Option<Admission> {
    Some(Admission { interfaces: Interfaces::All, weight })
}

#[test]
fn an_advertisement_that_says_nothing_is_for_all_pools_nodes_services_and_interfaces() {
    assert_eq!(admission(&[Advertisement::default()], &[""], ""), everywhere(0));
    assert_eq!(admission(&[], &[""], ""), None, "without any nothing is announced");
    assert_eq!(admission(&[Advertisement::default()], &[], ""), None, "nor what is nobody's");
}

#[test]
fn pools_are_chosen_by_name_or_by_label() {
    let by = |pools: &[&str], selectors: &[&str]| Advertisement {
        pools: pools.iter().map(|name| PoolName::new(*name)).collect(),
        pool_selectors: selectors.iter().map(|text| selector(text)).collect(),
        ..Advertisement::default()
    };
    for (advertisement, covers) in [
        (by(&["gold"], &[]), true),
        (by(&["silver", "gold"], &[]), true),
        (by(&["silver"], &[]), false),
        (by(&[], &["tier=gold"]), true),
        (by(&[], &["tier=silver"]), false),
        (by(&[], &["tier=silver", "tier=gold"]), true),
        (by(&["silver"], &["tier=gold"]), true),
        (by(&["silver"], &["tier=silver"]), false),
    ] {
        assert_eq!(admission(std::slice::from_ref(&advertisement), &[""], "").is_some(), covers, "{advertisement:?}");
    }
}

#[test]
fn of_nodes_and_services_one_selector_has_to_match_and_those_of_several_do_not_mix() {
    let one = |nodes: &[&str], services: &[&str]| Advertisement {
        node_selectors: nodes.iter().map(|text| selector(text)).collect(),
        service_selectors: services.iter().map(|text| selector(text)).collect(),
        ..Advertisement::default()
    };
    let all = [one(&["rack=1", "rack=2"], &["app=web", "app=mail"]), one(&["rack=3"], &["app=dns"])];
    for (service, node, admitted) in [
        ("app=web", "rack=1", true),
        ("app=mail", "rack=2", true),
        ("app=dns", "rack=3", true),
        ("app=web", "rack=3", false),
        ("app=dns", "rack=1", false),
        ("app=other", "rack=1", false),
    ] {
        assert_eq!(admission(&all, &[service], node).is_some(), admitted, "{service} on {node}");
    }
}

#[test]
fn interfaces_add_up_over_those_that_admit_the_node_and_one_without_any_means_all() {
    let on = |node: &str, names: &[&str]| Advertisement {
        node_selectors: vec![selector(node)],
        interfaces: interfaces(names),
        ..Advertisement::default()
    };
    let all = [on("rack=1", &["eth0"]), on("", &["eth1", "eth2"]), on("open=yes", &[])];
    let found = |node: &str| admission(&all, &[""], node).unwrap().interfaces;
    assert_eq!(found("rack=1"), Interfaces::Only(interfaces(&["eth0", "eth1", "eth2"])));
    assert_eq!(found("rack=2"), Interfaces::Only(interfaces(&["eth1", "eth2"])));
    assert_eq!(found("rack=1,open=yes"), Interfaces::All);
}

#[test]
fn weights_add_up_within_and_across_advertisements_but_only_of_those_that_admit_the_node() {
    let one = Advertisement {
        node_selectors: vec![selector("rack=1")],
        preferences: vec![prefer(60, "disk=fast"), prefer(5, "")],
        ..Advertisement::default()
    };
    let other = Advertisement { preferences: vec![prefer(50, "disk=fast")], ..Advertisement::default() };
    let weight = |node: &str| admission(&[one.clone(), other.clone()], &[""], node).unwrap().weight;
    assert_eq!(weight("rack=1,disk=fast"), 115);
    assert_eq!(weight("rack=1"), 5);
    assert_eq!(weight("rack=2,disk=fast"), 50, "a preference says nothing of nodes that its advertisement leaves out");
    assert_eq!(weight("rack=2"), 0);
}

#[test]
fn a_shared_address_is_announced_where_each_of_its_services_may_be() {
    let of = |service: &str, nodes: &[&str], names: &[&str], weight: u32| Advertisement {
        service_selectors: vec![selector(service)],
        node_selectors: nodes.iter().map(|text| selector(text)).collect(),
        interfaces: interfaces(names),
        preferences: vec![prefer(weight, "")],
        ..Advertisement::default()
    };
    let all = [
        of("app=web", &["rack=1", "rack=2"], &["eth0", "eth1"], 1),
        of("app=dns", &["rack=2", "rack=3"], &["eth1", "eth2"], 10),
        of("app=mail", &["rack=2"], &["eth2"], 100),
    ];
    let only = |names: &[&str], weight| Some(Admission { interfaces: Interfaces::Only(interfaces(names)), weight });
    assert_eq!(admission(&all, &["app=web", "app=dns"], "rack=1"), None);
    assert_eq!(admission(&all, &["app=web", "app=dns"], "rack=2"), only(&["eth1"], 11));
    assert_eq!(admission(&all, &["app=web", "app=web"], "rack=2"), only(&["eth0", "eth1"], 1), "one counts once");
    assert_eq!(admission(&all, &["app=web", "app=mail"], "rack=2"), None, "no interface is for both");
}

#[test]
fn who_would_leave_a_shared_address_without_a_node_is_refused_by_name() {
    let of = |service: &str, node: &str| Advertisement {
        service_selectors: vec![selector(service)],
        node_selectors: vec![selector(node)],
        ..Advertisement::default()
    };
    let all = [of("app=web", "rack=1"), of("app=dns", "rack=2"), of("app=dns", "rack=1"), of("app=mail", "rack=2")];
    let racks = [(NodeName::new("a"), labels("rack=1")), (NodeName::new("b"), labels("rack=2"))];
    let found = |services: &[&str]| {
        let services: Vec<(ServiceKey, Labels)> =
            services.iter().map(|name| (key(name), labels(&format!("app={name}")))).collect();
        let services: Vec<(&ServiceKey, &Labels)> = services.iter().map(|(key, labels)| (key, labels)).collect();
        let found = common(&all, &pool("gold", ""), &services, &racks.each_ref().map(|(name, labels)| (name, labels)));
        found.map(|nodes| nodes.into_iter().map(ToString::to_string).collect::<Vec<_>>())
    };
    assert_eq!(found(&["dns"]), Ok(vec!["a".to_owned(), "b".to_owned()]));
    assert_eq!(found(&["dns", "mail"]), Ok(vec!["b".to_owned()]));
    assert_eq!(found(&["web", "nowhere", "dns"]), Ok(vec!["a".to_owned()]), "an advertisement may come later");
    assert_eq!(found(&["nowhere"]), Ok(vec![]));
    let refused = found(&["dns", "web", "mail"]).unwrap_err();
    assert_eq!(refused, NoCommonNode { joins: key("mail"), with: vec![key("dns"), key("web")] });
    assert_eq!(
        refused.to_string(),
        "no node may announce one address for default/mail and for default/dns, default/web: their L2Advertisements have no node and \
         interface in common; let one select both, or give default/mail an address of its own"
    );
}
