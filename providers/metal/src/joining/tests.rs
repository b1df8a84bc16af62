use std::collections::BTreeSet;
use std::sync::Arc;

use portolan_core::balancer::Member;
use portolan_core::ids::{Instance, LoadBalancerId};

use super::*;
use crate::advertisement::Advertisement;
use crate::eligible::Host;
use crate::range::Range;
use crate::selector::{Requirement, Selector};
use crate::vip::{Served, Vip};

fn labels(key: &str, value: &str) -> Labels {
    [(key.to_owned(), value.to_owned())].into()
}

fn selects(key: &str, value: &str) -> Vec<Selector> {
    vec![Selector { requirements: vec![Requirement::In(key.to_owned(), [value.to_owned()].into())] }]
}

/// Services of a team are announced from the nodes of that team's rack, of this pool.
fn from_own_rack(pool: &str, team: &str) -> Advertisement {
    Advertisement {
        pools: [PoolName::new(pool)].into(),
        node_selectors: selects("rack", team),
        service_selectors: selects("team", team),
        ..Advertisement::default()
    }
}

fn host(name: &str, rack: &str) -> Host {
    let sound = Host::sound(name);
    let mut node = (*sound.node).clone();
    node.labels = Arc::new(labels("rack", rack));
    Host { node: Arc::new(node), ..sound }
}

/// Two pools and a node in each of two racks.
fn world(advertisements: Vec<Advertisement>) -> World {
    let mut world = World::default();
    let pool = |name: &str, range: &str| Pool::new(PoolName::new(name), vec![Range::parse(range).unwrap()]);
    world.set_pools(vec![pool("a", "192.0.2.0/30"), pool("b", "198.51.100.0/30")]);
    world.set_hosts(vec![host("red-1", "red"), host("blue-1", "blue")]);
    world.set_advertisements(advertisements);
    world.news();
    world
}

/// These have the address.
fn share(address: &str, pool: &str, names: &[&str]) -> Vip {
    let member = |name: &&str| Member { uid: Uid::new(*name), namespace: "shop".to_owned(), name: (*name).to_owned() };
    Vip {
        holder: Some(LoadBalancerId::new("share-x")),
        pool: Some(PoolName::new(pool)),
        services: names.iter().map(|name| Served { member: member(name), ports: BTreeSet::new() }).collect(),
        ..Vip::of_nobody(address.parse().unwrap())
    }
}

/// Why `joins`, called after its team, cannot come to `with`.
fn refused(world: &World, joins: &str, with: &[&str], named: Option<&str>) -> Option<String> {
    let of = |name: &&str| (Uid::new(*name), ServiceKey::new("shop", *name), labels("team", name));
    let (own, others) = (of(&joins), with.iter().map(of).collect::<Vec<_>>());
    fn sharer((uid, key, labels): &(Uid, ServiceKey, Labels)) -> Sharer<'_> {
        Sharer { uid, key, labels }
    }
    let with: Vec<Sharer<'_>> = others.iter().map(sharer).collect();
    let named = named.map(PoolName::new);
    world.may_join(sharer(&own), &with, named.as_ref()).err().map(|error| error.to_string())
}

#[test]
fn who_has_no_node_in_common_with_those_who_have_the_address_is_refused_until_an_advertisement_is_for_both() {
    let mut world = world(vec![from_own_rack("a", "red"), from_own_rack("a", "blue")]);
    world.set_vip(share("192.0.2.0", "a", &["red"]));
    let why = refused(&world, "blue", &["red"], None).unwrap();
    assert!(why.contains("for shop/blue and for shop/red") && why.contains("no node and interface in common"), "{why}");
    world.news();
    world.set_advertisements(vec![Advertisement::default()]);
    assert_eq!(refused(&world, "blue", &["red"], None), None);
    assert_eq!(world.news(), [LoadBalancerId::new("share-x")].into(), "who asks to come is known to the share alone");
    // What is announced nowhere yet may be when somebody has said from where.
    world.set_advertisements(vec![from_own_rack("a", "red")]);
    assert_eq!(refused(&world, "blue", &["red"], None), None);
    world.set_advertisements(Vec::new());
    assert_eq!(refused(&world, "blue", &["red"], None), None);
}

#[test]
fn who_has_come_stays_whatever_becomes_of_the_advertisements() {
    let mut world = world(vec![from_own_rack("a", "red"), from_own_rack("a", "blue")]);
    world.set_vip(share("192.0.2.0", "a", &["red", "blue"]));
    assert_eq!(refused(&world, "blue", &["red"], None), None);
}

#[test]
fn before_there_is_an_address_one_pool_is_enough_and_if_they_name_one_it_has_to_be_that() {
    let of_a = [from_own_rack("a", "red"), from_own_rack("a", "blue")];
    let both = world(of_a.iter().cloned().chain([from_own_rack("b", "red"), from_own_rack("b", "blue")]).collect());
    assert!(refused(&both, "blue", &["red"], None).is_some());
    let for_all_of_b = Advertisement { pools: [PoolName::new("b")].into(), ..Advertisement::default() };
    let b = world(of_a.into_iter().chain([for_all_of_b]).collect());
    assert_eq!(refused(&b, "blue", &["red"], None), None);
    assert_eq!(refused(&b, "blue", &["red"], Some("b")), None);
    assert!(refused(&b, "blue", &["red"], Some("a")).is_some());
}

#[test]
fn a_node_that_comes_wakes_shares_and_nobody_else() {
    let mut world = world(vec![from_own_rack("a", "red"), from_own_rack("a", "blue")]);
    world.set_vip(share("192.0.2.0", "a", &["red"]));
    let alone = Vip {
        holder: Some(Instance::default().load_balancer_of(&Uid::new("one"))),
        ..share("192.0.2.1", "a", &["one"])
    };
    world.set_vip(alone);
    world.news();
    world.set_hosts(vec![host("red-1", "red"), host("blue-1", "blue")]);
    assert!(world.news().is_empty(), "nothing has changed");
    world.set_hosts(vec![host("red-1", "red"), host("blue-1", "red")]);
    assert_eq!(world.news(), [LoadBalancerId::new("share-x")].into());
}

#[test]
fn who_comes_from_an_address_of_its_own_is_asked_as_well() {
    let mut world = world(vec![from_own_rack("a", "red"), from_own_rack("a", "blue")]);
    world.set_vip(share("192.0.2.0", "a", &["red"]));
    world.set_vip(share("192.0.2.1", "a", &["blue"]));
    assert!(refused(&world, "blue", &["red"], None).is_some());
}
