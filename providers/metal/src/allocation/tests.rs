use std::collections::BTreeMap;
use std::sync::LazyLock;

use portolan_core::ids::Uid;
use proptest::prelude::*;

use super::*;
use crate::pool::{Pool, Serves, Surroundings, check};
use crate::selector::Labels;

const NO_LABELS: &Labels = &BTreeMap::new();

fn pool(name: &str, ranges: &[&str]) -> Pool {
    Pool::new(PoolName::new(name), ranges.iter().map(|range| Range::parse(range).unwrap()).collect())
}

fn ledger(pools: Vec<Pool>) -> Ledger {
    let mut ledger = Ledger::default();
    ledger.set_pools(check(pools, &Surroundings::default()));
    ledger
}

fn id(name: &str) -> LoadBalancerId {
    LoadBalancerId::new(name)
}

static ASKER: LazyLock<Member> =
    LazyLock::new(|| Member { uid: Uid::new("u"), namespace: "default".to_owned(), name: "web".to_owned() });

fn wish<'a>(id: &'a LoadBalancerId, families: &'a [Family]) -> Request<'a> {
    let subject = Subject { namespace: "default", namespace_labels: NO_LABELS, labels: NO_LABELS };
    Request {
        id,
        member: &ASKER,
        sharers: &[],
        subject,
        scheme: None,
        families,
        all_families: true,
        requested: &[],
        pool: None,
        keeps: &[],
    }
}

const V4: &[Family] = &[Family::V4];
const BOTH: &[Family] = &[Family::V6, Family::V4];

fn holder(id: &LoadBalancerId) -> Holder {
    Holder {
        id: Some(id.clone()),
        namespace: "default".to_owned(),
        told: format!("Service default/{id}"),
        reserved_for: None,
    }
}

/// Gives him what he gets; the addresses. What he has he keeps, unless he asks for something else.
fn give(ledger: &mut Ledger, wish: &Request<'_>) -> Result<Vec<String>, Denied> {
    let is_kept =
        |own: &IpAddr| wish.pool.is_none() && wish.requested.is_empty() && wish.families.contains(&Family::of(*own));
    let keeps: Vec<IpAddr> = ledger.held_by(wish.id).filter(is_kept).collect();
    let allotted = ledger.allocate(&Request { keeps: &keeps, ..wish.clone() })?;
    let wanted: Vec<IpAddr> = allotted.iter().map(|allotted| allotted.address).collect();
    let old: Vec<IpAddr> = ledger.held_by(wish.id).collect();
    old.into_iter().filter(|address| !wanted.contains(address)).for_each(|address| ledger.release(address));
    for address in &wanted {
        ledger.hold(*address, holder(wish.id));
    }
    Ok(wanted.iter().map(ToString::to_string).collect())
}

#[test]
fn the_lowest_free_address_of_the_first_pool_is_given() {
    let first = Pool { priority: Some(10), ..pool("z", &["192.0.2.2-192.0.2.3"]) };
    let mut ledger = ledger(vec![pool("b", &["203.0.113.1"]), first, pool("a", &["198.51.100.1"])]);
    for (name, expected) in [("1", "192.0.2.2"), ("2", "192.0.2.3"), ("3", "198.51.100.1"), ("4", "203.0.113.1")] {
        assert_eq!(give(&mut ledger, &wish(&id(name), V4)).unwrap(), [expected]);
    }
    let denied = ledger.allocate(&wish(&id("5"), V4)).unwrap_err();
    assert_eq!(
        denied.to_string(),
        "no address is free: z has no free address, a has no free address, b has no free address"
    );
    ledger.release("192.0.2.3".parse().unwrap());
    assert_eq!(give(&mut ledger, &wish(&id("5"), V4)).unwrap(), ["192.0.2.3"]);
}

#[test]
fn a_pool_that_is_meant_for_the_asker_comes_before_those_for_all() {
    let serves = Serves { namespaces: ["default".to_owned()].into(), ..Serves::default() };
    let ledger = ledger(vec![
        Pool { priority: Some(1), ..pool("all", &["192.0.2.1"]) },
        Pool { serves, ..pool("own", &["192.0.2.2"]) },
    ]);
    assert_eq!(ledger.allocate(&wish(&id("a"), V4)).unwrap()[0].pool, Some(PoolName::new("own")));
    let subject = Subject { namespace: "other", namespace_labels: NO_LABELS, labels: NO_LABELS };
    let other = id("b");
    assert_eq!(ledger.allocate(&Request { subject, ..wish(&other, V4) }).unwrap()[0].pool, Some(PoolName::new("all")));
}

#[test]
fn what_somebody_has_he_keeps_whatever_becomes_of_the_pool() {
    let a = id("a");
    let mut ledger = ledger(vec![pool("p", &["192.0.2.1-192.0.2.9"])]);
    ledger.hold("192.0.2.7".parse().unwrap(), holder(&a));
    let own: [IpAddr; 1] = ["192.0.2.7".parse().unwrap()];
    let kept = |ledger: &Ledger| {
        ledger.allocate(&Request { keeps: &own, ..wish(&a, V4) }).map(|all| all[0].address.to_string())
    };
    assert_eq!(kept(&ledger).unwrap(), "192.0.2.7");
    for pools in [
        vec![Pool { draining: true, ..pool("p", &["192.0.2.1-192.0.2.9"]) }],
        vec![Pool { auto_assign: false, ..pool("p", &["192.0.2.1-192.0.2.9"]) }],
        vec![pool("p", &["192.0.2.1-192.0.2.3"])],
        vec![pool("q", &["192.0.2.1-192.0.2.9"])],
        vec![Pool { quota: Some(0), ..pool("p", &["192.0.2.1-192.0.2.9"]) }],
        vec![],
    ] {
        ledger.set_pools(check(pools, &Surroundings::default()));
        assert_eq!(kept(&ledger).unwrap(), "192.0.2.7");
    }
}

#[test]
fn who_asks_for_something_else_gets_it_and_only_if_he_can() {
    let a = id("a");
    let mut ledger = ledger(vec![pool("p", &["192.0.2.1-192.0.2.9"]), pool("q", &["203.0.113.1-203.0.113.2"])]);
    assert_eq!(give(&mut ledger, &wish(&a, V4)).unwrap(), ["192.0.2.1"]);
    let (p, q, nothing) = (PoolName::new("p"), PoolName::new("q"), PoolName::new("none"));
    let taken: IpAddr = "203.0.113.1".parse().unwrap();
    ledger.hold(taken, holder(&id("b")));
    let error = |wish: &Request<'_>| ledger.allocate(wish).unwrap_err().to_string();
    assert_eq!(
        error(&Request { requested: &[taken], ..wish(&a, V4) }),
        "the requested address 203.0.113.1 is taken by Service default/b"
    );
    assert!(
        error(&Request { requested: &["198.51.100.1".parse().unwrap()], ..wish(&a, V4) }).contains("no pool holds")
    );
    assert!(error(&Request { requested: &["2001:db8::1".parse().unwrap()], ..wish(&a, V4) }).contains("a family that"));
    assert_eq!(error(&Request { pool: Some(&nothing), ..wish(&a, V4) }), "there is no pool none");
    let of_other_pool = Request { pool: Some(&p), requested: &["203.0.113.2".parse().unwrap()], ..wish(&a, V4) };
    assert!(error(&of_other_pool).contains("the pool q is meant for other Services"));
    let scheme = Request { scheme: Some(Scheme::Internal), pool: Some(&q), ..wish(&a, V4) };
    assert_eq!(error(&scheme), "the pool q is not meant for that scheme");

    assert_eq!(give(&mut ledger, &Request { pool: Some(&q), ..wish(&a, V4) }).unwrap(), ["203.0.113.2"]);
    let back = Request { requested: &["192.0.2.5".parse().unwrap()], ..wish(&a, V4) };
    assert_eq!(give(&mut ledger, &back).unwrap(), ["192.0.2.5"]);
}

#[test]
fn two_families_come_out_of_one_pool_where_one_has_both() {
    let pools = || {
        vec![pool("a", &["192.0.2.1"]), pool("b", &["2001:db8::1"]), pool("both", &["203.0.113.1", "2001:db8:1::1"])]
    };
    let mut first = ledger(pools());
    assert_eq!(give(&mut first, &wish(&id("1"), BOTH)).unwrap(), ["2001:db8:1::1", "203.0.113.1"]);
    assert_eq!(give(&mut first, &wish(&id("2"), BOTH)).unwrap(), ["2001:db8::1", "192.0.2.1"], "else out of two");
    // Nothing is left of either; one half alone is not given.
    first.release("192.0.2.1".parse().unwrap());
    assert!(matches!(first.allocate(&wish(&id("3"), BOTH)), Err(Denied::Exhausted(_))));
    let preferred = id("3");
    let preferred = Request { all_families: false, ..wish(&preferred, BOTH) };
    assert_eq!(give(&mut first, &preferred).unwrap(), ["192.0.2.1"]);
    // The other half comes later, and the first one stays.
    first.release("2001:db8:1::1".parse().unwrap());
    assert_eq!(give(&mut first, &preferred).unwrap(), ["2001:db8:1::1", "192.0.2.1"]);
}

#[test]
fn a_namespace_has_no_more_than_its_quota() {
    let mut ledger = ledger(vec![Pool { quota: Some(2), ..pool("p", &["192.0.2.0/24"]) }]);
    for name in ["1", "2"] {
        give(&mut ledger, &wish(&id(name), V4)).unwrap();
    }
    let denied = ledger.allocate(&wish(&id("3"), V4)).unwrap_err().to_string();
    assert_eq!(denied, "no address is free: p gives the namespace no more, by its quota");
    let subject = Subject { namespace: "other", namespace_labels: NO_LABELS, labels: NO_LABELS };
    let other = id("4");
    assert!(ledger.allocate(&Request { subject, ..wish(&other, V4) }).is_ok());
    // One of theirs may be had in place of another one.
    let one = id("1");
    let moved = Request { requested: &["192.0.2.99".parse().unwrap()], ..wish(&one, V4) };
    assert_eq!(give(&mut ledger, &moved).unwrap(), ["192.0.2.99"]);
}

#[test]
fn what_a_gateway_has_is_given_to_nobody_also_after_somebody_had_it() {
    let gateway: IpAddr = "192.0.2.1".parse().unwrap();
    let around =
        Surroundings { taken: [(gateway, "the gateway of node-a".to_owned())].into(), ..Surroundings::default() };
    let mut ledger = Ledger::default();
    ledger.set_pools(check(vec![pool("p", &["192.0.2.1-192.0.2.2"])], &around));
    ledger.hold(gateway, holder(&id("a")));
    ledger.release(gateway);
    let b = id("b");
    let asked = Request { requested: &[gateway], ..wish(&b, V4) };
    assert_eq!(
        ledger.allocate(&asked).unwrap_err().to_string(),
        "the requested address 192.0.2.1 is taken by the gateway of node-a"
    );
    assert_eq!(give(&mut ledger, &wish(&b, V4)).unwrap(), ["192.0.2.2"]);
}

#[test]
fn a_pool_that_was_refused_or_shrunk_and_comes_back_gives_nobody_what_somebody_has() {
    let a = id("a");
    let mut ledger = ledger(vec![pool("p", &["192.0.2.1-192.0.2.2"])]);
    give(&mut ledger, &wish(&a, V4)).unwrap();
    ledger.set_pools(Vec::new());
    ledger.set_pools(check(vec![pool("p", &["192.0.2.1-192.0.2.2"])], &Surroundings::default()));
    assert_eq!(give(&mut ledger, &wish(&id("b"), V4)).unwrap(), ["192.0.2.2"]);
    assert_eq!(ledger.usage(&PoolName::new("p"), Family::V4), (2, 0));
}

proptest! {
    /// Whatever is asked for, given and given back, in whatever order the pools come: nobody has what somebody else has, and what is free and
    /// what is given out are all.
    #[test]
    fn no_address_is_given_twice_and_none_is_lost(edits in proptest::collection::vec((0..12_u8, any::<bool>(), any::<bool>()), 0..80)) {
        let pools = vec![pool("a", &["192.0.2.0/30", "2001:db8::/126"]), Pool { avoid_buggy: true, ..pool("b", &["198.51.100.252-198.51.101.2"]) }];
        let mut ledger = ledger(pools);
        let total = |ledger: &Ledger, family| ["a", "b"].iter().map(|name| {
            let (used, free) = ledger.usage(&PoolName::new(*name), family);
            u128::from(used) + free
        }).sum::<u128>();
        let all = (total(&ledger, Family::V4), total(&ledger, Family::V6));
        for (who, leaves, dual) in edits {
            let id = id(&who.to_string());
            if leaves {
                let own: Vec<IpAddr> = ledger.held_by(&id).collect();
                own.into_iter().for_each(|address| ledger.release(address));
            } else {
                let before: Vec<String> = ledger.held_by(&id).map(|address| address.to_string()).collect();
                if let Ok(given) = give(&mut ledger, &Request { all_families: false, ..wish(&id, if dual { BOTH } else { V4 }) }) {
                    for address in before.iter().filter(|address| dual || !address.contains(':')) {
                        prop_assert!(given.contains(address), "{before:?} {given:?}");
                    }
                }
            }
            prop_assert_eq!((total(&ledger, Family::V4), total(&ledger, Family::V6)), all);
        }
    }
}

#[test]
fn ten_thousand_are_served_from_the_largest_pools() {
    let mut ledger = ledger(vec![pool("p", &["10.0.0.0/8", "2001:db8::/64"])]);
    for number in 0..10_000 {
        give(&mut ledger, &wish(&id(&format!("{number:05}")), BOTH)).unwrap();
    }
    assert_eq!(ledger.usage(&PoolName::new("p"), Family::V4), (10_000, (1 << 24) - 10_000));
    assert_eq!(ledger.allocate(&wish(&id("last"), V4)).unwrap()[0].address.to_string(), "10.0.39.16");
}

#[test]
fn a_reserved_address_is_for_those_it_is_kept_for_and_only_by_name() {
    let mut ledger = ledger(vec![pool("p", &["192.0.2.1"])]);
    let address: IpAddr = "192.0.2.1".parse().unwrap();
    let reserve = |ledger: &mut Ledger, namespace: &str, name: Option<&str>| {
        let of = Reservation { namespace: namespace.to_owned(), name: name.map(str::to_owned) };
        let told = of.to_string();
        ledger.hold(address, Holder { id: None, namespace: namespace.to_owned(), told, reserved_for: Some(of) });
    };
    let a = id("a");
    for (namespace, name, is_given) in [
        ("default", None, true),
        ("default", Some("web"), true),
        ("default", Some("api"), false),
        ("other", None, false),
    ] {
        reserve(&mut ledger, namespace, name);
        assert!(matches!(ledger.allocate(&wish(&a, V4)), Err(Denied::Exhausted(_))), "nobody gets it by chance");
        let asked = ledger.allocate(&Request { requested: &[address], ..wish(&a, V4) });
        assert_eq!(asked.is_ok(), is_given, "{namespace} {name:?}: {asked:?}");
    }
}

/// A pool of a public range with a gateway in it, one of a private range, and one that is refused.
fn ranges() -> Ledger {
    let mut ledger = Ledger::default();
    let pools = vec![
        pool("public", &["198.51.100.0/24"]),
        pool("private", &["10.0.0.0/24"]),
        Pool { defects: vec!["no range".to_owned()], ..pool("refused", &["203.0.113.0/24"]) },
    ];
    let taken = [("198.51.100.9".parse().unwrap(), "Node a".to_owned())].into();
    ledger.set_pools(check(pools, &Surroundings { taken, ..Surroundings::default() }));
    ledger
}

/// By name, of a pool, for a scheme.
type Asked = (Option<&'static str>, Option<Scheme>);

#[test]
fn who_has_an_address_and_asks_for_another_pool_or_scheme_is_told_that_it_is_not_of_it() {
    let (mut ledger, a) = (ranges(), id("a"));
    let address: IpAddr = "198.51.100.1".parse().unwrap();
    ledger.hold(address, holder(&a));
    let asked = |(of, scheme): Asked| {
        let of = of.map(PoolName::new);
        ledger.allocate(&Request { requested: &[address], pool: of.as_ref(), scheme, ..wish(&a, V4) })
    };
    assert!(asked((None, None)).is_ok());
    assert!(asked((Some("public"), None)).is_ok());
    let refused = |asked: Result<Vec<Allotted>, Denied>| asked.unwrap_err().to_string();
    assert_eq!(refused(asked((Some("private"), None))), "the pool public is meant for other Services");
    assert_eq!(refused(asked((None, Some(Scheme::Internal)))), "the pool public is not meant for that scheme");
    let kept = Request { requested: &[address], scheme: Some(Scheme::Internal), keeps: &[address], ..wish(&a, V4) };
    assert!(ledger.allocate(&kept).is_ok(), "what he keeps he keeps");
}

#[test]
fn a_reservation_gives_nobody_what_somebody_else_has_nor_what_is_not_meant_for_the_scheme() {
    let a = id("a");
    let cases: [(&str, Asked, Option<&str>); 8] = [
        ("203.0.113.1", (None, None), Some("the pool refused is refused; its condition says why")),
        ("198.51.100.1", (None, None), None),
        ("198.51.100.1", (None, Some(Scheme::Internal)), Some("the pool public is not meant for that scheme")),
        ("198.51.100.1", (Some("private"), None), Some("the pool public is meant for other Services")),
        ("198.51.100.9", (None, None), Some("the requested address 198.51.100.9 is taken by Node a")),
        ("10.0.0.1", (None, Some(Scheme::Internal)), None),
        ("192.0.2.1", (None, None), None),
        (
            "192.0.2.1",
            (None, Some(Scheme::Internal)),
            Some("no pool holds the requested address 192.0.2.1; ask for one of a pool, or add it to one"),
        ),
    ];
    for (address, (of, scheme), refused) in cases {
        let (mut ledger, address) = (ranges(), address.parse().unwrap());
        let reserved_for = Some(Reservation { namespace: "default".to_owned(), name: None });
        ledger.hold(address, Holder { id: None, reserved_for, ..holder(&a) });
        let of = of.map(PoolName::new);
        let asked = ledger.allocate(&Request { requested: &[address], pool: of.as_ref(), scheme, ..wish(&a, V4) });
        assert_eq!(asked.err().map(|denied| denied.to_string()).as_deref(), refused, "{address} {of:?} {scheme:?}");
    }
}

#[test]
fn what_is_used_of_a_refused_pool_is_counted() {
    let (mut ledger, address) = (ranges(), "203.0.113.1".parse().unwrap());
    let used = |ledger: &Ledger| ledger.usage(&PoolName::new("refused"), Family::V4);
    ledger.hold(address, holder(&id("a")));
    assert_eq!(used(&ledger), (1, 0));
    ledger.release(address);
    assert_eq!(used(&ledger), (0, 0));
}
