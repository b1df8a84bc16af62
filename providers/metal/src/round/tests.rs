use portolan_core::balancer::Member as Who;
use portolan_core::ids::{LoadBalancerId, Uid};

use super::*;
use crate::announcement::Exception;
use crate::eligible::{Endpoints, Reason, Speaker};
use crate::pool::PoolName;
use crate::selector::Labels;
use crate::vip::{Reservation, Served};

fn name(text: &str) -> NodeName {
    NodeName::new(text)
}

fn silent(text: &str) -> Host {
    Host { speaker: Speaker::Silent { interfaces: ["lan0".to_owned()].into() }, ..Host::sound(text) }
}

fn address() -> IpAddr {
    IpAddr::from([198, 51, 100, 7])
}

/// Ranked so, and nothing is known of its Services.
fn ranked(nodes: &[&str]) -> Placed {
    let who = Who { uid: Uid::new("uid"), namespace: "shop".to_owned(), name: "web".to_owned() };
    let vip = Vip {
        holder: Some(LoadBalancerId::new("web")),
        pool: Some(PoolName::new("pool")),
        services: vec![Served { member: who, ports: BTreeSet::new() }],
        ranks: Ranks { nodes: nodes.iter().map(|text| name(text)).collect(), generation: u64::from(!nodes.is_empty()) },
        shown: Shown { since: (!nodes.is_empty()).then_some(Timestamp(1)), ..Shown::default() },
        ..Vip::of_nobody(address())
    };
    let pool = PoolRef { name: PoolName::new("pool"), labels: Labels::new() };
    Placed {
        vip,
        pool,
        rebalance: Rebalance::WhenSteady,
        services: None,
        announcement: Announcement::Unplaced,
        is_new: false,
        is_published: true,
    }
}

fn known(placed: Placed) -> Placed {
    Placed {
        services: Some(vec![Member { labels: Labels::new(), endpoints: Endpoints::Anywhere, health_check: None }]),
        ..placed
    }
}

fn of(placed: Placed, hosts: Vec<Host>, advertisements: Vec<Advertisement>) -> Round {
    let picture = Picture {
        vips: [(address(), placed)].into(),
        hosts: Arc::new(hosts),
        advertisements: Arc::new(advertisements),
    };
    let settled = ["a", "b", "c"].map(name).into();
    round(&picture, &Pace { settled: &settled, moves: 10 }, false, Timestamp(9))
}

fn nodes(vip: &Vip) -> Vec<&str> {
    vip.ranks.nodes.iter().map(NodeName::as_str).collect()
}

#[test]
fn an_address_of_whose_services_nothing_is_known_stays_although_nobody_advertises_it() {
    let round = of(ranked(&["b", "a"]), vec![Host::sound("a"), Host::sound("b"), Host::sound("c")], Vec::new());
    assert!(round.ranked.is_empty() && round.shown.is_empty() && round.moves.is_empty(), "{round:?}");
}

#[test]
fn no_node_is_told_of_an_address_before_a_service_names_it_and_none_loses_it_because_the_service_names_it_no_more() {
    let hosts = || vec![Host::sound("a"), Host::sound("b")];
    let early = Placed { is_published: false, ..known(ranked(&[])) };
    let round = of(early.clone(), hosts(), vec![Advertisement::default()]);
    assert!(round.ranked.is_empty() && round.shown.is_empty() && round.moves.is_empty(), "{round:?}");
    assert_eq!(round.eligible[&address()].nodes.len(), 2, "who may is known all the same");

    let placed = Placed { is_published: true, ..early };
    let vip = of(placed, hosts(), vec![Advertisement::default()]).ranked.remove(0);
    assert_eq!(vip.ranks.nodes.len(), 2);
    let edited = Placed { is_published: false, vip, ..known(ranked(&[])) };
    let round = of(edited.clone(), hosts(), vec![Advertisement::default()]);
    assert!(round.ranked.is_empty() && round.moves.is_empty(), "{round:?}");
    let gone = of(edited, vec![Host::sound("b")], vec![Advertisement::default()]);
    assert_eq!(nodes(&gone.ranked[0]), ["b"], "it is placed like any other");
}

#[test]
fn its_first_heir_follows_an_owner_that_is_silent_and_nobody_new_does() {
    let round = of(ranked(&["b", "a"]), vec![Host::sound("a"), silent("b"), Host::sound("c")], Vec::new());
    assert_eq!(nodes(&round.ranked[0]), ["a"]);
    assert_eq!(round.moves[0].because, crate::moves::Because::Barred(Reason::SpeakerSilent));
}

#[test]
fn who_is_in_doubt_makes_way_for_the_first_behind_him_who_is_not_although_nothing_is_known_of_the_services() {
    let alive = |forwards, failing: &[IpAddr]| Speaker::Alive {
        interfaces: ["lan0".to_owned()].into(),
        forwards,
        failing: failing.iter().copied().collect(),
    };
    let unready = |text| Host { ready: false, ..Host::sound(text) };
    let broken = |text| Host { speaker: alive(false, &[]), ..Host::sound(text) };
    let failing = |text| Host { speaker: alive(true, &[address()]), ..Host::sound(text) };
    let elsewhere = |text| Host { speaker: alive(true, &[IpAddr::from([198, 51, 100, 8])]), ..Host::sound(text) };
    for (owner, second, left, because) in [
        (broken("b"), Host::sound("a"), vec!["a", "c"], Some(Reason::NotForwarding)),
        (unready("b"), Host::sound("a"), vec!["a", "c"], Some(Reason::NotReady)),
        (failing("b"), Host::sound("a"), vec!["a", "c"], Some(Reason::NotForwarding)),
        (failing("b"), broken("a"), vec!["c"], Some(Reason::NotForwarding)),
        (elsewhere("b"), broken("a"), vec!["b", "a", "c"], None),
    ] {
        let round = of(ranked(&["b", "a", "c"]), vec![owner, second, Host::sound("c")], Vec::new());
        let ranks = round.ranked.first().map_or_else(|| vec!["b", "a", "c"], nodes);
        assert_eq!(ranks, left);
        let told = round.moves.first().map(|moves| moves.because);
        assert_eq!(told, because.map(crate::moves::Because::Barred), "{left:?}");
    }

    let round = of(ranked(&["b", "a"]), vec![unready("a"), broken("b"), Host::sound("c")], Vec::new());
    assert!(round.ranked.is_empty() && round.moves.is_empty(), "none of them is better: {round:?}");
}

#[test]
fn what_is_recorded_says_since_when_on_which_interfaces_and_why_not_the_others() {
    let only = Advertisement { interfaces: ["lan0".to_owned(), "lan1".to_owned()].into(), ..Advertisement::default() };
    let placed = known(ranked(&[]));
    let round = of(placed, vec![Host::sound("a"), silent("b")], vec![only.clone()]);
    let vip = &round.ranked[0];
    assert_eq!((nodes(vip), vip.ranks.generation, vip.shown.since), (vec!["a"], 1, Some(Timestamp(9))));
    assert_eq!(vip.interfaces, [(name("a"), only.interfaces.clone())].into());
    let barred: Vec<_> = vip.shown.barred.iter().map(|barred| (barred.reason, barred.count)).collect();
    assert_eq!(barred, [(Reason::SpeakerSilent, 1)]);

    // What is recorded is not recorded again; its owner is still the same since then.
    let placed = |vip: &Vip| Placed { vip: vip.clone(), ..known(ranked(&[])) };
    let again = of(placed(vip), vec![Host::sound("a"), silent("b")], vec![only.clone()]);
    assert!(again.ranked.is_empty() && again.shown.is_empty(), "{again:?}");

    // Other interfaces are a write, and no other generation.
    let other = Advertisement { interfaces: ["lan0".to_owned()].into(), ..Advertisement::default() };
    let limited = of(placed(vip), vec![Host::sound("a"), silent("b")], vec![other]);
    assert_eq!((limited.ranked[0].ranks.generation, limited.ranked[0].shown.since), (1, Some(Timestamp(9))));
    assert!(limited.moves.is_empty());
}

#[test]
fn what_changes_nothing_but_what_is_shown_can_wait() {
    let all = vec![Advertisement::default()];
    let placed = known(ranked(&["a"]));
    let round = of(placed, vec![Host::sound("a"), silent("b")], all);
    assert!(round.ranked.is_empty(), "{round:?}");
    assert_eq!(round.shown[0].shown.barred[0].reason, Reason::SpeakerSilent);
    assert_eq!(round.shown[0].shown.since, Some(Timestamp(1)));
}

#[test]
fn an_address_that_nobody_may_announce_has_no_owner_and_none_since() {
    let round = of(known(ranked(&["a"])), vec![Host::sound("a")], Vec::new());
    let vip = &round.ranked[0];
    assert_eq!((nodes(vip), vip.shown.since), (Vec::new(), None));
    assert_eq!(vip.shown.barred[0].reason, Reason::NotAdvertised);
    assert_eq!(vip.ranks.generation, 2);
}

#[test]
fn when_none_of_those_who_were_ranked_can_another_does_although_nothing_is_known_of_the_services() {
    let all = || vec![Advertisement::default()];
    let round = of(ranked(&["a"]), vec![silent("a"), Host::sound("b")], all());
    assert_eq!(nodes(&round.ranked[0]), ["b"]);
    // While nobody is heard of, it stays where it is.
    let round = of(ranked(&["a"]), vec![silent("a"), silent("b")], all());
    assert!(round.ranked.is_empty() || nodes(&round.ranked[0])[0] == "a", "{round:?}");
    let round = of(known(ranked(&["a"])), vec![silent("a"), silent("b")], all());
    assert!(round.ranked.is_empty() || nodes(&round.ranked[0])[0] == "a", "{round:?}");
}

#[test]
fn the_ports_to_be_asked_are_those_of_services_that_need_their_endpoints_where_it_is_ranked() {
    let local = |nodes: &[&str], port| Member {
        labels: Labels::new(),
        endpoints: if nodes.is_empty() {
            Endpoints::None
        } else {
            Endpoints::On(nodes.iter().map(|text| name(text)).collect())
        },
        health_check: Some(port),
    };
    let cluster = Member { labels: Labels::new(), endpoints: Endpoints::Anywhere, health_check: None };
    // The third one has nothing, the last one nothing in common with the others.
    let services =
        vec![local(&["a", "b"], 32_000), cluster, local(&[], 32_001), local(&["a"], 32_002), local(&["c"], 32_003)];
    let hosts = || ["a", "b", "c"].map(Host::sound).to_vec();
    let placed = Placed { services: Some(services), ..ranked(&["a"]) };
    let first = of(placed.clone(), hosts(), vec![Advertisement::default()]);
    let vip = &first.ranked[0];
    assert_eq!((nodes(vip), vip.ranks.generation), (vec!["a"], 1), "the ranks are as they were");
    assert_eq!(vip.health_checks, [32_000, 32_002].into());
    let again = of(Placed { vip: vip.clone(), ..placed.clone() }, hosts(), vec![Advertisement::default()]);
    assert!(again.ranked.is_empty() && again.shown.is_empty(), "{again:?}");
    // Nothing is known of the Services: what was known stands. Nobody is ranked: nobody is asked.
    let unknown =
        of(Placed { vip: vip.clone(), services: None, ..placed.clone() }, hosts(), vec![Advertisement::default()]);
    assert!(unknown.ranked.is_empty(), "{unknown:?}");
    let nobody = of(Placed { vip: vip.clone(), ..placed }, hosts(), Vec::new());
    assert_eq!((nodes(&nobody.ranked[0]), nobody.ranked[0].health_checks.len()), (vec![], 0));
}

#[test]
fn the_wire_is_asked_until_somebody_has_announced_it_and_a_stranger_who_has_it_is_shown() {
    let all = || vec![Advertisement::default()];
    let after = |vip: &Vip, announcement: Announcement, hosts: Vec<Host>| {
        let round = of(Placed { vip: vip.clone(), announcement, ..known(ranked(&[])) }, hosts, all());
        round.ranked.into_iter().chain(round.shown).next()
    };
    let first = after(&ranked(&[]).vip, Announcement::Unplaced, vec![Host::sound("a")]).unwrap();
    assert!(first.ask_first && first.ranks.generation == 1);

    // An heir before anybody has announced it: another generation, and still nobody has.
    let two = || vec![Host::sound("a"), Host::sound("b")];
    let awaited = after(&first, Announcement::Awaited(name("a")), two()).unwrap();
    assert_eq!((awaited.ranks.generation, awaited.ask_first), (2, true));

    let taken = Exception::Stranger { interface: "lan0".to_owned(), mac: "02:00:00:00:00:99".to_owned() };
    let hindered = Announcement::Hindered(name("a"), vec![taken]);
    let shown = after(&awaited, hindered.clone(), two()).unwrap();
    assert_eq!((shown.shown.stranger.as_deref(), &shown.ranks), (Some("02:00:00:00:00:99"), &awaited.ranks));
    let next = after(&shown, hindered, vec![Host::sound("b")]).unwrap();
    assert_eq!((nodes(&next), next.ask_first), (vec!["b"], true), "whoever comes next asks too");

    let by = Announcement::By(name("b"), Vec::new());
    assert_eq!(shown.set_aside, None, "somebody may have announced it before we were there");
    let free = after(&next, by.clone(), vec![Host::sound("b")]).unwrap();
    assert_eq!((free.shown.stranger, free.ask_first), (None, true), "that alone is no write");
    let moved = after(&next, by, two()).unwrap();
    assert_eq!((nodes(&moved), moved.ask_first), (vec!["b", "a"], false));

    // A stranger who insists on what has been announced for long: his silence counts, not whose turn it is.
    for is_heard_of in [true, false] {
        let taken = Exception::Stranger { interface: "lan0".to_owned(), mac: "02:00:00:00:00:99".to_owned() };
        let yielded = Announcement::Hindered(name("b"), vec![taken]);
        let shown = after(&moved, yielded.clone(), two()).unwrap();
        assert!(shown.shown.stranger.is_some() && !shown.ask_first);
        let now = if is_heard_of { yielded } else { Announcement::Lost(name("b")) };
        let heir = after(&shown, now, vec![Host::sound("a")]).unwrap();
        assert_eq!((nodes(&heir), heir.ask_first), (vec!["a"], true));
    }
}

#[test]
fn what_a_stranger_had_before_anybody_announced_it_is_set_aside_until_somebody_does() {
    let after = |vip: &Vip, announcement: Announcement, is_new: bool| {
        let placed = Placed { vip: vip.clone(), announcement, is_new, ..known(ranked(&[])) };
        of(placed, vec![Host::sound("a")], vec![Advertisement::default()])
    };
    let stranger = Exception::Stranger { interface: "lan0".to_owned(), mac: "02:00:00:00:00:99".to_owned() };
    let hindered = || Announcement::Hindered(name("a"), vec![stranger.clone()]);
    let first = after(&ranked(&[]).vip, Announcement::Unplaced, true).ranked[0].clone();
    let aside = after(&first, hindered(), true).ranked[0].clone();
    assert_eq!(aside.set_aside.as_deref(), Some("02:00:00:00:00:99"));
    let again = after(&aside, hindered(), false);
    assert!(again.ranked.is_empty() && again.shown.is_empty(), "who was not there leaves it: {again:?}");
    let announced = after(&aside, Announcement::By(name("a"), Vec::new()), false);
    assert_eq!((announced.ranked[0].set_aside.as_deref(), announced.ranked.len()), (None, 1));

    let reserved_for = Some(Reservation { namespace: "shop".to_owned(), name: None });
    let reserved = after(&Vip { reserved_for, ..first }, hindered(), true);
    assert!(reserved.ranked.is_empty(), "who keeps an address for somebody means that one: {reserved:?}");
}
