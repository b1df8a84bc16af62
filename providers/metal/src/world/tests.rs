use std::collections::BTreeMap;

use portolan_core::balancer::{Member, Scheme};
use portolan_core::ids::Uid;
use proptest::prelude::*;

use super::*;
use crate::backing::Backing;
use crate::pool::Serves;
use crate::range::Range;
use crate::vip::Reservation;

fn pool(name: &str, ranges: &[&str]) -> Pool {
    Pool::new(PoolName::new(name), ranges.iter().map(|range| Range::parse(range).unwrap()).collect())
}

fn world(pools: Vec<Pool>) -> World {
    let mut world = World::default();
    world.set_pools(pools);
    world.news();
    world
}

fn id(name: &str) -> LoadBalancerId {
    LoadBalancerId::new(name)
}

/// `created` is the order of creation.
fn wish(name: &str, created: i64) -> Wish {
    Wish {
        id: id(name),
        member: Member { uid: Uid::new(name), namespace: "default".to_owned(), name: name.to_owned() },
        sharers: Vec::new(),
        labels: Labels::new(),
        created: Timestamp(created),
        scheme: None,
        families: vec![Family::V4],
        all_families: true,
        requested: Vec::new(),
        known: Vec::new(),
        pool: None,
    }
}

fn vip(address: &str, holder: &str) -> Vip {
    Vip { holder: Some(id(holder)), pool: Some(PoolName::new("p")), ..Vip::of_nobody(address.parse().unwrap()) }
}

fn versioned(version: u64, vip: Vip) -> Vip {
    Vip { version: Some(ResourceVersion::new(version.to_string())), ..vip }
}

/// What somebody was told: addresses, or that there is none.
fn told(world: &World, name: &str) -> Option<Vec<String>> {
    let given = world.answer(&id(name))?.given.as_ref().ok()?;
    Some(given.iter().map(|allotted| allotted.address.to_string()).collect())
}

fn names(ids: impl IntoIterator<Item = LoadBalancerId>) -> Vec<String> {
    ids.into_iter().map(|id| id.to_string()).collect()
}

#[test]
fn two_who_ask_at_the_same_time_are_told_different_things() {
    let mut world = world(vec![pool("p", &["192.0.2.1-192.0.2.2"])]);
    for name in ["a", "b"] {
        world.ask(wish(name, 0));
    }
    assert_eq!(
        (told(&world, "a").unwrap(), told(&world, "b").unwrap()),
        (vec!["192.0.2.1".into()], vec!["192.0.2.2".into()])
    );
    world.ask(wish("a", 0));
    assert_eq!(told(&world, "a").unwrap(), ["192.0.2.1"], "who asks the same again is told the same");
}

#[test]
fn what_becomes_free_is_offered_in_the_order_of_creation_whoever_asked_first() {
    let mut world = world(vec![pool("p", &["192.0.2.1"])]);
    world.set_vip(vip("192.0.2.1", "first"));
    for (name, created) in [("young", 30), ("old", 10), ("middle", 20)] {
        world.ask(wish(name, created));
    }
    let pool = PoolName::new("p");
    let queue: Vec<&str> = world.waiting_for(&pool).map(|wish| wish.member.name.as_str()).collect();
    assert_eq!(queue, ["old", "middle", "young"]);
    world.news();
    for next in ["old", "middle", "young"] {
        world.remove_vip("192.0.2.1".parse().unwrap());
        assert!(names(world.news()).contains(&next.to_owned()));
        assert_eq!(told(&world, next).unwrap(), ["192.0.2.1"]);
        world.set_vip(vip("192.0.2.1", next));
        world.news();
    }
    assert_eq!(world.waiting_for(&pool).count(), 0);
}

#[test]
fn nobody_waits_for_a_pool_that_is_not_meant_for_him() {
    let others = Serves { namespaces: ["db".to_owned()].into(), ..Serves::default() };
    let for_db = Pool { serves: others, ..pool("db", &["198.51.100.0/28"]) };
    let mut world = world(vec![pool("p", &["192.0.2.1"]), for_db]);
    world.set_vip(vip("192.0.2.1", "first"));
    world.ask(wish("second", 1));
    assert_eq!(world.waiting_for(&PoolName::new("p")).count(), 1);
    assert_eq!(world.waiting_for(&PoolName::new("db")).count(), 0);
    world.ask(Wish { pool: Some(PoolName::new("db")), ..wish("names-it", 2) });
    assert_eq!(world.waiting_for(&PoolName::new("db")).count(), 0, "it is told that the pool is for others");
}

#[test]
fn an_address_by_name_comes_of_the_pool_that_is_sound_though_one_that_is_refused_holds_it_too() {
    let mut bad = pool("older", &["192.0.2.0/24"]);
    bad.defects.push("a selector makes no sense".to_owned());
    let mut world = world(vec![bad, pool("sound", &["192.0.2.0/25"])]);
    world.ask(Wish { requested: vec!["192.0.2.7".parse().unwrap()], ..wish("web", 1) });
    assert_eq!(told(&world, "web").unwrap(), ["192.0.2.7"]);
}

#[test]
fn who_asks_no_more_gives_back_what_was_promised() {
    let mut world = world(vec![pool("p", &["192.0.2.1"])]);
    world.ask(wish("a", 0));
    world.ask(wish("b", 1));
    assert_eq!((told(&world, "a").is_some(), told(&world, "b")), (true, None));
    world.withdraw(&id("a"));
    assert_eq!(told(&world, "b").unwrap(), ["192.0.2.1"]);
    assert_eq!(names(world.news()), ["b"]);
}

#[test]
fn what_somebody_else_has_recorded_was_promised_in_vain() {
    let mut world = world(vec![pool("p", &["192.0.2.1-192.0.2.2"])]);
    world.ask(wish("a", 0));
    assert_eq!(told(&world, "a").unwrap(), ["192.0.2.1"]);
    world.set_vip(vip("192.0.2.1", "of another controller"));
    assert_eq!(told(&world, "a").unwrap(), ["192.0.2.2"]);
    assert!(names(world.news()).contains(&"a".to_owned()));
}

#[test]
fn what_was_promised_to_one_for_whom_another_controller_has_recorded_another_address_is_free_again() {
    let mut world = world(vec![pool("p", &["192.0.2.1-192.0.2.2"])]);
    world.ask(wish("a", 0));
    world.set_vip(vip("192.0.2.2", "a"));
    world.ask(wish("b", 1));
    assert_eq!(told(&world, "b").unwrap(), ["192.0.2.1"]);
}

#[test]
fn who_has_what_a_stranger_had_first_is_given_another_one_and_waits_for_it_in_his_turn() {
    let mut world = world(vec![pool("p", &["192.0.2.1-192.0.2.2"])]);
    world.set_vip(vip("192.0.2.2", "first"));
    let aside = |holder: Option<&str>| {
        let vip = Vip { set_aside: Some("02:00:00:00:00:99".to_owned()), ..vip("192.0.2.1", "web") };
        Vip { holder: holder.map(id), services: Vec::new(), ..vip }
    };
    world.set_vip(aside(Some("web")));
    let own = world.vips_of(&id("web"));
    assert!(wish("web", 1).kept(&own, &[]).is_empty(), "what nobody can use is not kept");
    let named = Wish { requested: vec!["192.0.2.1".parse().unwrap()], ..wish("web", 1) };
    assert_eq!(named.kept(&own, &[]).len(), 1, "he means that one");
    world.ask(wish("web", 1));
    world.ask(wish("younger", 2));
    assert_eq!(
        (told(&world, "web"), world.vips_of(&id("web")).len()),
        (None, 1),
        "there is no other one, and he has what he has"
    );
    world.remove_vip("192.0.2.2".parse().unwrap());
    assert_eq!(told(&world, "web").unwrap(), ["192.0.2.2"]);
    world.set_vip(vip("192.0.2.2", "web"));
    world.set_vip(aside(None));
    assert_eq!(told(&world, "younger"), None, "nobody gets it");
    let pool = PoolName::new("p");
    assert_eq!(world.strangers_of(&pool).collect::<Vec<_>>(), [("192.0.2.1".parse().unwrap(), "02:00:00:00:00:99")]);
    world.ask(Wish { requested: vec!["192.0.2.1".parse().unwrap()], ..wish("named", 3) });
    assert!(format!("{:?}", world.answer(&id("named"))).contains("delete VirtualIP 192.0.2.1"), "nor by name");
    world.remove_vip("192.0.2.1".parse().unwrap());
    assert_eq!(told(&world, "younger").unwrap(), ["192.0.2.1"]);
}

#[test]
fn who_has_recorded_all_that_he_was_told_asks_no_more() {
    let mut world = world(vec![pool("p", &["192.0.2.1"])]);
    world.ask(wish("a", 0));
    world.set_vip(vip("192.0.2.1", "a"));
    assert!(world.answer(&id("a")).is_none());
    assert_eq!(world.vips_of(&id("a")).len(), 1);
}

#[test]
fn a_family_that_was_preferred_and_not_to_be_had_comes_with_a_pool_that_has_it() {
    let mut world = world(vec![pool("p", &["192.0.2.1"])]);
    world.ask(Wish { families: vec![Family::V6, Family::V4], all_families: false, ..wish("a", 0) });
    assert_eq!(told(&world, "a").unwrap(), ["192.0.2.1"]);
    world.set_pools(vec![pool("p", &["192.0.2.1"]), pool("q", &["2001:db8::1"])]);
    assert_eq!(told(&world, "a").unwrap(), ["2001:db8::1", "192.0.2.1"], "and what was promised stays promised");
}

#[test]
fn what_clients_know_is_given_again_only_if_it_is_free() {
    let known: IpAddr = "192.0.2.7".parse().unwrap();
    let mut world = world(vec![pool("p", &["192.0.2.1-192.0.2.9"])]);
    world.ask(Wish { known: vec![known], ..wish("a", 0) });
    assert_eq!(told(&world, "a").unwrap(), ["192.0.2.7"]);
    world.ask(Wish { known: vec![known], ..wish("b", 1) });
    assert_eq!(told(&world, "b").unwrap(), ["192.0.2.1"], "a status written by hand steals nothing");
    world.ask(Wish { known: vec!["203.0.113.1".parse().unwrap()], ..wish("c", 2) });
    assert_eq!(told(&world, "c").unwrap(), ["192.0.2.2"], "nor does it bring an address that no pool has");
}

#[test]
fn of_two_lost_addresses_one_is_given_again_although_the_other_cannot_be() {
    let mut world = world(vec![pool("p", &["192.0.2.1-192.0.2.9", "2001:db8::1-2001:db8::9"])]);
    world.set_vip(vip("192.0.2.7", "somebody"));
    let known = ["192.0.2.7", "2001:db8::7"].map(|address| address.parse().unwrap()).to_vec();
    for all_families in [true, false] {
        let both = Wish { families: vec![Family::V4, Family::V6], all_families, known: known.clone(), ..wish("a", 0) };
        world.ask(both);
        assert_eq!(told(&world, "a").unwrap(), ["192.0.2.1", "2001:db8::7"]);
    }
}

#[test]
fn a_reservation_is_for_whom_it_is_kept_and_one_that_nobody_can_read_is_for_nobody() {
    let mut world = world(vec![pool("p", &["192.0.2.1-192.0.2.2"])]);
    let reserved_for = Some(Reservation { namespace: "default".to_owned(), name: Some("a".to_owned()) });
    world.set_vip(Vip { holder: None, reserved_for, ..vip("192.0.2.1", "") });
    world.unreadable("192.0.2.2".parse().unwrap());
    let by_name = |name: &str, address: &str| Wish { requested: vec![address.parse().unwrap()], ..wish(name, 0) };
    world.ask(by_name("b", "192.0.2.1"));
    world.ask(by_name("c", "192.0.2.2"));
    world.ask(wish("d", 0));
    assert_eq!((told(&world, "b"), told(&world, "c"), told(&world, "d")), (None, None, None));
    let sharers = |name: &str| vec![wish(name, 0).member];
    world.ask(Wish { sharers: sharers("c"), ..by_name("b", "192.0.2.1") });
    assert_eq!(told(&world, "b"), None);
    for first in ["a", "b"] {
        let others = if first == "a" { Vec::new() } else { sharers("a") };
        world.ask(Wish { sharers: others, ..by_name(first, "192.0.2.1") });
        assert_eq!(told(&world, first).unwrap(), ["192.0.2.1"], "for {first}");
        world.withdraw(&id(first));
    }
}

#[test]
fn a_watch_that_is_behind_undoes_nothing() {
    let address: IpAddr = "192.0.2.1".parse().unwrap();
    let mut world = world(vec![pool("p", &["192.0.2.1"])]);
    world.stored(versioned(7, vip("192.0.2.1", "ours")));
    world.shown(versioned(5, vip("192.0.2.1", "who had it before")));
    world.shown_gone(address, &ResourceVersion::new("6"));
    world.shown_all(vec![versioned(4, vip("192.0.2.9", "somebody"))]);
    world.shown_all(vec![versioned(6, vip("192.0.2.1", "who had it before"))]);
    assert_eq!(names(world.vip(address).unwrap().holder.clone()), ["ours"]);
    world.shown_gone(address, &ResourceVersion::new("8"));
    assert!(world.vip(address).is_none());
}

#[test]
fn a_list_is_believed_whatever_its_versions_are() {
    let mut world = world(vec![pool("p", &["192.0.2.1-192.0.2.9"])]);
    let holders = |world: &World| -> Vec<String> {
        let holder = |vip: &Vip| format!("{} {}", vip.address, vip.holder.clone().unwrap());
        world.all_vips().map(holder).collect()
    };
    world.stored(versioned(7, vip("192.0.2.1", "a")));
    world.shown(versioned(7, vip("192.0.2.1", "a")));
    world.shown(versioned(9, vip("192.0.2.2", "b")));
    world.stored(versioned(9, vip("192.0.2.2", "b")));
    // Deleted while no watch was there, the one that was written last among them.
    world.shown_all(vec![versioned(7, vip("192.0.2.1", "a"))]);
    assert_eq!(holders(&world), ["192.0.2.1 a"]);
    // etcd is what it was before.
    world.shown_all(vec![versioned(3, vip("192.0.2.1", "c")), versioned(2, vip("192.0.2.3", "d"))]);
    assert_eq!(holders(&world), ["192.0.2.1 c", "192.0.2.3 d"]);
    world.shown(versioned(4, vip("192.0.2.1", "e")));
    assert_eq!(holders(&world), ["192.0.2.1 e", "192.0.2.3 d"]);
    world.shown_all(Vec::new());
    assert_eq!(holders(&world), [""; 0]);
}

/// One address, which `a` has, and for which `b` waits.
fn one_that_is_waited_for() -> (World, Vip) {
    let mut world = world(vec![pool("p", &["192.0.2.1"])]);
    let record = versioned(5, vip("192.0.2.1", "a"));
    world.set_vip(record.clone());
    world.back(&id("a"), Backing::default());
    world.ask(wish("b", 1));
    (world, record)
}

#[test]
fn an_address_whose_record_somebody_deletes_is_kept_for_whom_it_was_until_he_has_said_what_he_asks() {
    let lost = |world: &mut World| world.shown_gone("192.0.2.1".parse().unwrap(), &ResourceVersion::new("6"));
    let (mut world, record) = one_that_is_waited_for();
    lost(&mut world);
    assert_eq!((told(&world, "b"), names(world.news())), (None, vec!["a".to_owned()]), "he may look first");
    assert!(world.is_asking(&id("a")));
    let known = vec![record.address];
    world.ask(Wish { known, ..wish("a", 2) });
    assert_eq!((told(&world, "a"), told(&world, "b")), (Some(vec!["192.0.2.1".to_owned()]), None));
    world.set_vip(record);
    assert!(!world.is_asking(&id("a")));

    // He wants it no more, or something else, or nobody knows any more who asks.
    let [elsewhere, gone, forgotten]: [fn(&mut World); 3] = [
        |world| world.ask(Wish { pool: Some(PoolName::new("q")), ..wish("a", 2) }),
        |world| world.withdraw(&id("a")),
        |world| {
            world.forget_all_asked();
            world.ask(wish("b", 1));
        },
    ];
    for end in [elsewhere, gone, forgotten] {
        let (mut world, _) = one_that_is_waited_for();
        lost(&mut world);
        end(&mut world);
        assert_eq!(told(&world, "b"), Some(vec!["192.0.2.1".to_owned()]));
    }

    // Whom nobody here serves nothing is kept for, nor what we have deleted ourselves, whatever shows it first.
    let (mut world, record) = one_that_is_waited_for();
    world.forget_all_asked();
    world.ask(wish("b", 1));
    lost(&mut world);
    assert_eq!(told(&world, "b"), Some(vec!["192.0.2.1".to_owned()]));
    let (mut world, _) = one_that_is_waited_for();
    world.is_releasing(record.address, true);
    lost(&mut world);
    assert_eq!(told(&world, "b"), Some(vec!["192.0.2.1".to_owned()]));
}

#[test]
fn what_was_deleted_is_not_taken_from_those_for_whom_another_controller_has_recorded_it_meanwhile() {
    let mut world = world(vec![pool("p", &["192.0.2.1"])]);
    let before = versioned(5, vip("192.0.2.1", "a"));
    world.set_vip(before.clone());
    world.ask(wish("b", 1));
    world.ask(wish("c", 2));
    world.shown_gone(before.address, &ResourceVersion::new("6"));
    world.shown(versioned(7, vip("192.0.2.1", "b")));
    world.released(&before);
    assert_eq!(world.vips_of(&id("b")).len(), 1, "it is b's");
    assert_eq!(told(&world, "c"), None);
    world.released(&versioned(7, vip("192.0.2.1", "b")));
    assert_eq!(told(&world, "c"), Some(vec!["192.0.2.1".to_owned()]));
}

#[test]
fn a_marked_pool_and_a_scheme_of_the_record_move_nobody() {
    let own = [Vip { scheme: Some(Scheme::Internal), ..vip("192.0.2.1", "a") }];
    let marked = |scheme| world(vec![Pool { scheme, ..pool("p", &["192.0.2.1"]) }]).pools();
    let asked = |scheme| Wish { scheme, ..wish("a", 0) };
    for (pools, asks, keeps) in [
        (marked(Some(Scheme::Public)), Some(Scheme::Internal), true),
        (marked(Some(Scheme::Internal)), None, true),
        (marked(Some(Scheme::Internal)), Some(Scheme::Public), false),
        (marked(None), Some(Scheme::Public), true),
    ] {
        assert_eq!(asked(asks).kept(&own, &pools).len(), usize::from(keeps), "{asks:?}");
    }
    let other_pool = Wish { pool: Some(PoolName::new("q")), ..wish("a", 0) };
    let own_pool = Wish { pool: Some(PoolName::new("p")), ..wish("a", 0) };
    assert!(other_pool.kept(&own, &[]).is_empty(), "he asks for another one");
    assert_eq!(own_pool.kept(&own, &[]).len(), 1, "the pool is gone, and he keeps what he has");
}

proptest! {
    /// Whoever asks, records, leaves or is recorded by somebody else, in any order: no address is promised or held twice, and nobody waits while
    /// something that he could have is free.
    #[test]
    fn nothing_is_promised_twice_and_nobody_waits_in_vain(edits in proptest::collection::vec((0..8_u8, 0..5_u8), 0..120)) {
        let mut world = world(vec![pool("p", &["192.0.2.1-192.0.2.4"])]);
        for (who, what) in edits {
            let name = who.to_string();
            match what {
                0 | 1 => world.ask(wish(&name, who.into())),
                2 => for address in told(&world, &name).unwrap_or_default() {
                    world.set_vip(vip(&address, &name));
                },
                3 => {
                    world.withdraw(&id(&name));
                    for own in world.vips_of(&id(&name)) { world.remove_vip(own.address); }
                }
                _ => world.set_vip(vip(&format!("192.0.2.{}", who % 4 + 1), "another")),
            }
            let mut whose: BTreeMap<String, String> = BTreeMap::new();
            let waits = (0..8).map(|who: u8| who.to_string()).filter(|name| world.answer(&id(name)).is_some_and(|answer| answer.given.is_err()));
            let waits = waits.count();
            for who in (0..8).map(|who: u8| who.to_string()) {
                for address in told(&world, &who).unwrap_or_default() {
                    prop_assert_eq!(whose.insert(address.clone(), who.clone()), None, "{}", address);
                }
            }
            for vip in world.vips.values() {
                let holder = vip.holder.clone().unwrap().to_string();
                let promised = whose.insert(vip.address.to_string(), holder.clone());
                prop_assert!(promised.is_none_or(|promised| promised == holder), "{}", vip.address);
            }
            prop_assert!(waits == 0 || whose.len() == 4, "{waits} wait while something is free: {whose:?}");
        }
    }
}

fn around(services: &[&str], taken: &[&str]) -> Surroundings {
    let range = |text: &&str| ("ServiceCIDR kubernetes".to_owned(), Range::parse(text).unwrap());
    let taken = taken.iter().map(|text| (text.parse().unwrap(), "Node a".to_owned())).collect();
    Surroundings { services: services.iter().map(range).collect(), taken, ..Surroundings::default() }
}

#[test]
fn a_pool_that_comes_to_overlap_a_range_gives_nothing_until_that_is_gone_and_what_is_given_stays() {
    let mut world = world(vec![pool("p", &["192.0.2.0/30"])]);
    world.set_vip(vip("192.0.2.0", "has"));
    world.set_surroundings(around(&["192.0.2.2"], &[]));
    world.ask(wish("late", 1));
    assert_eq!(told(&world, "late"), None);
    assert!(!world.pools()[0].is_sound());
    // Who has one keeps it, whatever else he asks for meanwhile.
    world.ask(wish("has", 0));
    assert_eq!(told(&world, "has").unwrap(), ["192.0.2.0"]);
    world.news();
    world.set_surroundings(around(&["198.51.100.0/24"], &[]));
    assert_eq!(told(&world, "late").unwrap(), ["192.0.2.1"]);
    assert!(names(world.news()).contains(&"late".to_owned()));
}

#[test]
fn what_a_node_a_router_or_an_external_ip_has_is_given_out_only_after_it_is_gone() {
    let mut world = world(vec![pool("p", &["192.0.2.0-192.0.2.2"])]);
    let external = |text: &str| BTreeMap::from([(text.parse().unwrap(), "an externalIP of Service a/b".to_owned())]);
    world.set_surroundings(around(&[], &["192.0.2.0"]));
    world.set_external_ips(external("192.0.2.1"));
    let taken = |world: &World| world.pools()[0].taken.values().cloned().collect::<Vec<_>>();
    assert_eq!(taken(&world), ["Node a", "an externalIP of Service a/b"]);
    world.ask(wish("first", 0));
    assert_eq!(told(&world, "first").unwrap(), ["192.0.2.2"]);
    world.ask(Wish { requested: vec!["192.0.2.1".parse().unwrap()], ..wish("second", 1) });
    let denied = world.answer(&id("second")).unwrap().given.clone().unwrap_err().to_string();
    assert_eq!(denied, "the requested address 192.0.2.1 is taken by an externalIP of Service a/b");
    // One says so without the other's leave.
    world.set_surroundings(around(&[], &[]));
    assert_eq!(taken(&world), ["an externalIP of Service a/b"]);
    world.set_external_ips(BTreeMap::new());
    assert_eq!(told(&world, "second").unwrap(), ["192.0.2.1"]);
}

#[test]
fn what_comes_and_goes_beside_all_pools_wakes_nobody() {
    let mut world = world(vec![pool("p", &["192.0.2.0/30"])]);
    world.set_vip(vip("192.0.2.0", "has"));
    world.news();
    let edition = world.edition();
    world.set_surroundings(around(&["10.96.0.0/12"], &["198.51.100.1"]));
    world.set_external_ips(BTreeMap::from([("203.0.113.1".parse().unwrap(), "x".to_owned())]));
    assert_eq!((names(world.news()), world.edition()), (Vec::new(), edition));
    world.set_surroundings(around(&[], &["192.0.2.3"]));
    assert_eq!(names(world.news()), ["has"]);
}
