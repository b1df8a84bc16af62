use super::*;
use crate::selector::Requirement;

fn pool(name: &str, created: i64, ranges: &[&str]) -> Pool {
    Pool {
        created,
        ..Pool::new(PoolName::new(name), ranges.iter().map(|range| Range::parse(range).unwrap()).collect())
    }
}

fn flaws(pools: Vec<Pool>, around: &Surroundings) -> BTreeMap<String, Vec<String>> {
    let all = check(pools, around).into_iter();
    all.map(|checked| (checked.pool.name.to_string(), checked.flaws.iter().map(ToString::to_string).collect()))
        .collect()
}

#[test]
fn of_two_pools_that_overlap_the_older_one_stays_whatever_order_they_come_in() {
    let older = || pool("z-older", 1, &["192.0.2.0/24"]);
    let younger = || pool("a-younger", 2, &["192.0.2.200-192.0.3.10", "2001:db8::/64"]);
    let other = || pool("other", 3, &["192.0.3.11"]);
    for pools in [vec![older(), younger(), other()], vec![other(), younger(), older()]] {
        let found = flaws(pools, &Surroundings::default());
        assert_eq!(found["z-older"], [] as [&str; 0]);
        assert_eq!(found["other"], [] as [&str; 0]);
        let [flaw] = found["a-younger"].as_slice() else { panic!("{found:?}") };
        assert!(
            flaw.contains("192.0.2.200-192.0.3.10 overlaps 192.0.2.0-192.0.2.255 of the older pool z-older"),
            "{flaw}"
        );
    }
}

#[test]
fn a_pool_that_is_refused_takes_nothing_from_a_younger_one() {
    let around = Surroundings {
        pods: vec![("node-a".to_owned(), Range::parse("10.244.0.0/24").unwrap())],
        ..Surroundings::default()
    };
    let found = flaws(vec![pool("pods", 1, &["10.244.0.0/16"]), pool("good", 2, &["10.244.1.0/24"])], &around);
    assert!(found["pods"][0].contains("overlaps the pods' range 10.244.0.0-10.244.0.255 (node-a)"), "{found:?}");
    assert_eq!(found["good"], [] as [&str; 0]);
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    let services = ("ServiceCIDR kubernetes".to_owned(), Range::parse("10.96.0.0/12").unwrap());
    let around = Surroundings { services: vec![services], ..Surroundings::default() };
    let found =
        flaws(vec![pool("a", 1, &["10.100.0.0/24", "10.100.0.10", "10.244.0.0/16"]), pool("b", 2, &[])], &around);
    assert_eq!(found["a"].len(), 3, "{found:?}");
    assert!(
        found["a"]
            .iter()
            .any(|flaw| flaw.contains("the Services' range 10.96.0.0-10.111.255.255 (ServiceCIDR kubernetes)"))
    );
    assert!(found["b"][0].contains("names no addresses"));
}

#[test]
fn what_somebody_has_is_named_and_given_to_nobody() {
    let gateway: IpAddr = "192.0.2.1".parse().unwrap();
    let around = Surroundings {
        taken: [(gateway, "the gateway of node-a".to_owned()), ("203.0.113.1".parse().unwrap(), "node-b".to_owned())]
            .into(),
        ..Surroundings::default()
    };
    let checked = check(vec![pool("a", 1, &["192.0.2.0/30"])], &around).remove(0);
    assert!(checked.is_sound());
    assert_eq!(checked.taken, [(gateway, "the gateway of node-a".to_owned())].into());
    let free = checked.free();
    assert_eq!((free.count(Family::V4), free.has(gateway)), (3, false));
}

#[test]
fn without_what_ends_in_0_or_255_the_rest_is_free() {
    let mut pool = pool("a", 1, &["192.0.2.255-192.0.4.1", "2001:db8::/126"]);
    pool.avoid_buggy = true;
    let free = check(vec![pool], &Surroundings::default()).remove(0).free();
    // .2.255, .3.0, .3.255 and .4.0 are not, of 259.
    assert_eq!((free.count(Family::V4), free.count(Family::V6)), (255, 4));
    assert_eq!(free.first(Family::V4), Some("192.0.3.1".parse().unwrap()));
}

#[test]
fn a_pool_that_names_nobody_serves_all_and_a_selector_that_matches_nothing_serves_nobody() {
    let nothing = Labels::new();
    let red: Labels = [("team".to_owned(), "red".to_owned())].into();
    let is_red = || Selector { requirements: vec![Requirement::In("team".to_owned(), ["red".to_owned()].into())] };
    let subject = |namespace, namespace_labels, labels| Subject { namespace, namespace_labels, labels };
    let by_namespace = Serves { namespaces: ["a".to_owned()].into(), ..Serves::default() };
    let by_label = Serves { namespace_selectors: vec![is_red()], ..Serves::default() };
    let by_service = Serves { service_selectors: vec![is_red()], ..Serves::default() };
    let both = Serves { service_selectors: vec![is_red()], ..by_namespace.clone() };
    for (serves, of, expected) in [
        (&Serves::default(), subject("x", &nothing, &nothing), true),
        (&by_namespace, subject("a", &nothing, &nothing), true),
        (&by_namespace, subject("x", &red, &red), false),
        (&by_label, subject("x", &red, &nothing), true),
        (&by_label, subject("x", &nothing, &red), false),
        (&by_service, subject("x", &nothing, &red), true),
        (&by_service, subject("x", &red, &nothing), false),
        (&both, subject("a", &nothing, &nothing), false),
        (&both, subject("a", &nothing, &red), true),
    ] {
        assert_eq!(serves.matches(of), expected, "{serves:?} {of:?}");
    }
}

#[test]
fn an_internal_service_is_served_from_pools_marked_so_or_unmarked_and_private() {
    let marked = |scheme, ranges: &[&str]| Pool { scheme, ..pool("a", 1, ranges) };
    let (internal, public) = (Some(Scheme::Internal), Some(Scheme::Public));
    for (pool, for_internal, for_public, for_any) in [
        (marked(internal, &["203.0.113.0/24"]), true, false, false),
        (marked(public, &["10.0.0.0/24"]), false, true, true),
        (marked(None, &["10.0.0.0/24", "192.168.1.10-192.168.1.20", "fd00::/64"]), true, true, true),
        (marked(None, &["10.0.0.0/24", "203.0.113.0/24"]), false, true, true),
        (marked(None, &["172.31.255.0-172.32.0.1"]), false, true, true),
    ] {
        let found = (pool.suits(internal), pool.suits(public), pool.suits(None));
        assert_eq!(found, (for_internal, for_public, for_any), "{pool:?}");
    }
}
