use std::net::IpAddr;

use portolan_core::ids::{LoadBalancerId, ResourceVersion};

use super::*;
use crate::advertisement::{Advertisement, PoolRef};
use crate::backing::Backing;
use crate::eligible::{self, Host, Speaker, eligible};
use crate::placement::Ranks;
use crate::pool::PoolName;
use crate::vip::Shown;
use crate::world::World;

fn address() -> IpAddr {
    IpAddr::from([198, 51, 100, 7])
}

fn node() -> NodeName {
    NodeName::new("a")
}

/// Ranked to `a` as of version 5; to nobody without.
fn vip(ranked: bool) -> Vip {
    Vip {
        version: Some(ResourceVersion::new("5".to_owned())),
        holder: Some(LoadBalancerId::new("web")),
        ranks: Ranks { nodes: ranked.then(node).into_iter().collect(), generation: 1 },
        ..Vip::of_nobody(address())
    }
}

fn report(applied: u64, exceptions: Vec<Exception>) -> Report {
    let exceptions = exceptions.into_iter().map(|exception| (address(), exception)).collect();
    Report { applied, exceptions, witness: None }
}

fn stranger() -> Exception {
    Exception::Stranger { interface: "lan0".to_owned(), mac: "02:00:00:00:00:09".to_owned() }
}

fn one_less() -> Exception {
    Exception::OneInterfaceLess { interface: "lan1".to_owned() }
}

#[test]
fn an_address_is_announced_once_its_owner_says_so_of_this_ranking_or_a_later_one() {
    for (said, expected) in [
        (None, Announcement::Awaited(node())),
        (Some(report(4, Vec::new())), Announcement::Awaited(node())),
        (Some(report(5, Vec::new())), Announcement::By(node(), Vec::new())),
        (Some(report(6, Vec::new())), Announcement::By(node(), Vec::new())),
        (Some(report(5, vec![Exception::PoolOffLink])), Announcement::By(node(), vec![Exception::PoolOffLink])),
        (Some(report(5, vec![one_less()])), Announcement::By(node(), vec![one_less()])),
        (Some(report(5, vec![stranger()])), Announcement::Hindered(node(), vec![stranger()])),
        (
            Some(report(5, vec![Exception::NotForwarding])),
            Announcement::Hindered(node(), vec![Exception::NotForwarding]),
        ),
        (Some(report(5, vec![Exception::NoInterface])), Announcement::Hindered(node(), vec![Exception::NoInterface])),
    ] {
        let reports = said.map(|said| (node(), said)).into_iter().collect();
        assert_eq!(Announcement::of(&vip(true), 5, None, &reports, &BTreeSet::new()), expected);
    }
}

#[test]
fn of_an_address_that_nobody_may_announce_it_is_said_why() {
    let host = Host { drained: true, speaker: Speaker::Absent, ..Host::sound("a") };
    let pool = PoolRef { name: PoolName::new("pool"), labels: BTreeMap::new() };
    let vips = [(address(), eligible::Vip { pool, services: Vec::new() })].into();
    let found = eligible(&vips, &[host], &[Advertisement::default()], false);
    let nobody = Announcement::of(&vip(false), 5, found.get(&address()), &BTreeMap::new(), &BTreeSet::new());
    assert_eq!(nobody, Announcement::Nobody(vec![(Reason::Drained, 1)]));
    assert_eq!(nobody.to_string(), "is announced by nobody: one node is drained (annotation portolan.dev/drain)");
    assert_eq!(Announcement::of(&vip(false), 5, None, &BTreeMap::new(), &BTreeSet::new()), Announcement::Unplaced);
}

#[test]
fn news_of_a_speaker_wake_those_whose_addresses_it_has_and_nobody_else() {
    let mut world = World::default();
    world.set_vip(vip(true));
    world.back(&LoadBalancerId::new("web"), Backing::default());
    world.news();
    let woken = |world: &mut World| !world.news().is_empty();
    world.set_report(&NodeName::new("b"), Some(report(9, Vec::new())));
    assert!(!woken(&mut world), "another node's");
    world.set_report(&node(), Some(report(4, Vec::new())));
    assert!(!woken(&mut world), "not that far yet");
    world.set_report(&node(), Some(report(5, Vec::new())));
    assert!(woken(&mut world), "it is announced");
    world.set_report(&node(), Some(report(7, Vec::new())));
    assert!(!woken(&mut world), "nothing new of this address");
    world.set_report(&node(), Some(report(7, vec![stranger()])));
    assert!(woken(&mut world), "a stranger");
    assert_eq!(world.announcement(address()).stranger(), Some("02:00:00:00:00:09"));
    world.set_report(&node(), Some(report(7, Vec::new())));
    world.news();
    let later = |shown: Shown, generation: u64| Vip {
        version: Some(ResourceVersion::new("9".to_owned())),
        ranks: Ranks { generation, ..vip(true).ranks },
        shown,
        ..vip(true)
    };
    world.set_vip(later(Shown { despite: vec![Reason::NotReady], ..Shown::default() }, 1));
    assert!(world.announcement(address()).is_announced(), "something else was written, which reaches no wire");
    world.set_vip(later(Shown::default(), 2));
    assert_eq!(world.announcement(address()), Announcement::Awaited(node()), "it was ranked anew");
    world.set_report(&node(), None);
    world.set_report(&node(), Some(report(9, Vec::new())));
    assert!(woken(&mut world) && world.announcement(address()).is_announced());
    // A speaker that is not heard of may have ended.
    let host = |speaker: Speaker| Host { speaker, ..Host::sound("a") };
    world.set_hosts(vec![host(Speaker::Silent { interfaces: BTreeSet::new() })]);
    assert!(woken(&mut world));
    assert_eq!(world.announcement(address()), Announcement::Lost(node()));
    world.set_hosts(vec![host(Speaker::Alive {
        interfaces: BTreeSet::new(),
        forwards: true,
        failing: BTreeSet::new(),
    })]);
    assert!(woken(&mut world) && world.announcement(address()).is_announced());
}

#[test]
fn what_placement_rests_on_is_another_edition_and_what_it_finds_is_not() {
    let mut world = World::default();
    let mut last = world.edition();
    let mut changed = |world: &World| std::mem::replace(&mut last, world.edition()) != world.edition();
    world.set_vip(vip(true));
    assert!(changed(&world));
    world.set_vip(vip(true));
    assert!(!changed(&world), "nothing but what is there");
    world.back(&LoadBalancerId::new("web"), Backing::default());
    assert!(changed(&world));
    world.set_advertisements(vec![Advertisement::default()]);
    assert!(changed(&world));
    world.set_report(&node(), Some(report(5, Vec::new())));
    world.set_eligible(BTreeMap::new());
    assert!(!changed(&world));
    world.remove_vip(address());
    assert!(changed(&world));
    assert_eq!(world.backing(&LoadBalancerId::new("web")), None, "who has no address is forgotten");
}

#[test]
fn placement_looks_again_when_a_stranger_has_another_address_although_he_is_said_to_have_the_same_row() {
    let other = |last: u8, version: &str| Vip {
        address: [198, 51, 100, last].into(),
        version: Some(ResourceVersion::new(version.to_owned())),
        ..vip(true)
    };
    let mut world = World::default();
    [other(6, "5"), other(8, "5")].into_iter().for_each(|vip| world.set_vip(vip));
    let row = |applied| {
        let mut report = report(applied, Vec::new());
        report.exceptions.say([198, 51, 100, 6].into(), [198, 51, 100, 8].into(), stranger());
        report
    };
    world.set_report(&node(), Some(row(5)));
    world.set_vip(other(7, "9"));
    let before = world.edition();
    world.set_report(&node(), Some(row(8)));
    assert_eq!(world.edition(), before, "nothing is said of it yet");
    world.set_report(&node(), Some(row(9)));
    assert_ne!(world.edition(), before);
}

/// An address that was seen before it was ranked, and what a round may take it for.
#[test]
fn an_address_is_new_until_somebody_announces_it_whichever_is_known_first_and_to_a_stranger_with_many_none_is() {
    let at = |version: &str, vip: Vip| Vip { version: Some(ResourceVersion::new(version.to_owned())), ..vip };
    let unranked = || at("3", Vip { ranks: Ranks::default(), ..vip(false) });
    let is_new = |world: &World| world.picture().vips[&address()].is_new;
    let begun = || {
        let mut world = World::default();
        world.set_vip(unranked());
        assert!(is_new(&world));
        world
    };
    let mut world = begun();
    world.set_vip(vip(true));
    world.set_report(&node(), Some(report(5, vec![stranger()])));
    assert!(is_new(&world));
    world.set_report(&node(), Some(report(6, Vec::new())));
    world.set_report(&node(), Some(report(7, vec![stranger()])));
    assert!(!is_new(&world), "it was announced in between");

    let mut world = begun();
    world.set_report(&node(), Some(report(5, Vec::new())));
    world.set_vip(vip(true));
    world.set_report(&node(), Some(report(7, vec![stranger()])));
    assert!(!is_new(&world), "the report was there before the ranks");

    let mut world = World::default();
    world.set_vip(vip(true));
    world.set_report(&node(), Some(report(5, vec![stranger()])));
    assert!(!is_new(&world), "who was not there does not know");

    let mut world = begun();
    world.set_vip(vip(true));
    world.set_report(&node(), Some(report(5, vec![stranger()])));
    for last in 1..=3_u8 {
        assert!(is_new(&world), "{last}");
        let set_aside = Some("02:00:00:00:00:09".to_owned());
        world.set_vip(Vip { address: [192, 0, 2, last].into(), holder: None, set_aside, ..vip(false) });
    }
    assert!(!is_new(&world), "he would have the next one too");
}
