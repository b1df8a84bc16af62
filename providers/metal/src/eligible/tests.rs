use super::*;
use crate::pool::PoolName;
use crate::selector::{Requirement, Selector};

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn name(text: &str) -> NodeName {
    NodeName::new(text)
}

fn host(text: &str) -> Host {
    let mut host = Host::sound(text);
    Arc::make_mut(&mut host.node).labels = Arc::new(labels(&[("name", text)]));
    Host {
        speaker: Speaker::Alive { interfaces: ["eth0".to_owned()].into(), forwards: true, failing: BTreeSet::new() },
        ..host
    }
}

fn unfit() -> Speaker {
    Speaker::Alive { interfaces: ["eth0".to_owned()].into(), forwards: false, failing: BTreeSet::new() }
}

fn with(text: &str, edit: impl FnOnce(&mut Host)) -> Host {
    let mut host = host(text);
    edit(&mut host);
    host
}

fn with_node(text: &str, edit: impl FnOnce(&mut Node)) -> Host {
    with(text, |host| edit(Arc::make_mut(&mut host.node)))
}

fn on(nodes: &[&str]) -> Endpoints {
    Endpoints::On(nodes.iter().map(|text| name(text)).collect())
}

fn only(nodes: &[&str]) -> Advertisement {
    let names = nodes.iter().map(|text| (*text).to_owned()).collect();
    let selector = Selector { requirements: vec![Requirement::In("name".to_owned(), names)] };
    Advertisement { node_selectors: vec![selector], ..Advertisement::default() }
}

fn of(hosts: &[Host], advertisements: &[Advertisement], endpoints: &[Endpoints], ignore_label: bool) -> Eligibility {
    let address = IpAddr::from([203, 0, 113, 7]);
    let found = eligible(&vips(&[address], endpoints), hosts, advertisements, ignore_label);
    Eligibility::clone(&found[&address])
}

/// These, each with as many Services as there are endpoints.
fn vips(addresses: &[IpAddr], endpoints: &[Endpoints]) -> BTreeMap<IpAddr, Vip> {
    let member =
        |endpoints: &Endpoints| Member { labels: Labels::new(), endpoints: endpoints.clone(), health_check: None };
    let pool = PoolRef { name: PoolName::new("pool"), labels: Labels::new() };
    let vip = Vip { pool, services: endpoints.iter().map(member).collect() };
    addresses.iter().map(|address| (*address, vip.clone())).collect()
}

fn anywhere(hosts: &[Host]) -> Eligibility {
    of(hosts, &[Advertisement::default()], &[Endpoints::Anywhere], false)
}

fn nodes(of: &Eligibility) -> Vec<&str> {
    of.nodes.keys().map(NodeName::as_str).collect()
}

#[test]
fn a_node_that_may_not_answer_says_why() {
    let excluded = |node: &mut Node| node.labels = Arc::new(labels(&[(EXCLUDE, "")]));
    for (bad, reason) in [
        (with_node("bad", |node| node.deleting = true), Reason::Deleting),
        (with_node("bad", |node| node.leaving = true), Reason::Leaving),
        (with("bad", |host| host.out_of_service = true), Reason::OutOfService),
        (with_node("bad", excluded), Reason::Excluded),
        (with("bad", |host| host.drained = true), Reason::Drained),
        (with("bad", |host| host.network_unavailable = true), Reason::NetworkUnavailable),
        (with("bad", |host| host.speaker = Speaker::Absent), Reason::NoSpeaker),
        (
            with("bad", |host| host.speaker = Speaker::Silent { interfaces: ["lan0".to_owned()].into() }),
            Reason::SpeakerSilent,
        ),
        (with("bad", |host| host.ready = false), Reason::NotReady),
        (with("bad", |host| host.speaker = unfit()), Reason::NotForwarding),
    ] {
        let found = anywhere(&[bad, host("good")]);
        assert_eq!(nodes(&found), ["good"], "{reason:?}");
        assert_eq!(found.others(), [(&name("bad"), reason)].into());
        assert_eq!(found.despite, [] as [Reason; 0]);
    }
}

const EXCLUDE: &str = portolan_core::desire::nodes::EXCLUDE_LABEL;

#[test]
fn the_exclude_label_means_what_it_means_to_every_provider() {
    let labelled = |value: &str| with_node("n", |node| node.labels = Arc::new(labels(&[(EXCLUDE, value)])));
    for (value, ignore_label, takes_part) in
        [("", false, false), ("true", false, false), ("junk", false, false), ("false", false, true), ("", true, true)]
    {
        let found = of(&[labelled(value)], &[Advertisement::default()], &[Endpoints::Anywhere], ignore_label);
        assert_eq!(!found.nodes.is_empty(), takes_part, "{value:?}, ignored: {ignore_label}");
    }
}

#[test]
fn the_drain_annotation_drains_unless_it_says_no() {
    for (value, drained) in
        [(Some(""), true), (Some("true"), true), (Some("maintenance"), true), (Some("false"), false), (None, false)]
    {
        let annotations = value.map(|value| labels(&[(DRAIN_ANNOTATION, value)])).unwrap_or_default();
        assert_eq!(is_drained(&annotations), drained, "{value:?}");
    }
}

#[test]
fn if_readiness_alone_leaves_no_node_it_is_ignored_and_that_is_said() {
    let away = |text| with(text, |host| host.ready = false);
    let drained = with("c", |host| (host.ready, host.drained) = (false, true));
    let found = anywhere(&[away("a"), away("b"), drained.clone()]);
    assert_eq!((nodes(&found), found.despite), (vec!["a", "b"], [Reason::NotReady].as_slice()));
    assert_eq!(found.others(), [(&name("c"), Reason::Drained)].into(), "what else there is against a node stays");
    assert_eq!(nodes(&anywhere(&[drained])), [] as [&str; 0]);
}

#[test]
fn that_a_node_does_not_forward_is_ignored_before_readiness_is() {
    let fails = |text| with(text, |host| host.speaker = unfit());
    let away = |text| with(text, |host| host.ready = false);
    let both = with("c", |host| (host.ready, host.speaker) = (false, unfit()));
    let found = anywhere(&[fails("a"), away("b"), both.clone()]);
    assert_eq!((nodes(&found), found.despite), (vec!["a"], [Reason::NotForwarding].as_slice()));
    assert_eq!(nodes(&anywhere(&[away("b"), both.clone()])), ["b"]);
    assert_eq!(nodes(&anywhere(&[both])), ["c"]);
}

#[test]
fn a_node_that_does_not_forward_to_one_address_is_barred_for_that_one_unless_nobody_else_could() {
    let [one, other] = [[203, 0, 113, 7], [203, 0, 113, 8]].map(IpAddr::from);
    let failing = with("a", |host| {
        let interfaces = ["eth0".to_owned()].into();
        host.speaker = Speaker::Alive { interfaces, forwards: true, failing: [one].into() };
    });
    let hosts = [failing, host("b"), host("c")];
    let found = eligible(&vips(&[one, other], &[on(&["a", "b"])]), &hosts, &[Advertisement::default()], false);
    assert_eq!(found.values().map(|found| nodes(found)).collect::<Vec<_>>(), [vec!["b"], vec!["a", "b"]]);
    assert_eq!(
        found[&one].others(),
        [(&name("a"), Reason::NotForwarding), (&name("c"), Reason::NoLocalEndpoint)].into()
    );
    assert_eq!(found[&one].despite, []);
    let found = eligible(&vips(&[one], &[on(&["a"])]), &hosts, &[Advertisement::default()], false);
    assert_eq!((nodes(&found[&one]), found[&one].despite), (vec!["a"], [Reason::NotForwarding].as_slice()));
}

#[test]
fn nodes_that_fail_for_a_shared_address_leave_out_none_of_its_services_and_send_it_nowhere_else() {
    let address = IpAddr::from([203, 0, 113, 7]);
    let failing = |text| {
        with(text, |host| {
            let interfaces = ["eth0".to_owned()].into();
            host.speaker = Speaker::Alive { interfaces, forwards: true, failing: [address].into() };
        })
    };
    let shared = [Endpoints::Anywhere, on(&["a", "b"])];
    let found = of(&[failing("a"), failing("b"), host("c")], &[Advertisement::default()], &shared, false);
    assert_eq!((nodes(&found), &found.left_out), (vec!["a", "b"], &vec![]));
    assert_eq!(found.despite, [Reason::NotForwarding]);
    // Nor does it show of one that would not serve it anyway.
    let found = of(&[failing("a"), host("b"), failing("c")], &[Advertisement::default()], &shared, false);
    assert_eq!(nodes(&found), ["b"]);
    assert_eq!(found.why_not(&name("c")), Some(Reason::NoLocalEndpoint));
}

#[test]
fn a_node_needs_an_advertisement_and_one_of_its_interfaces() {
    let mut one = only(&["a", "b"]);
    one.interfaces = ["eth1".to_owned()].into();
    let two = with("b", |host| {
        host.speaker = Speaker::Alive {
            interfaces: ["eth0".to_owned(), "eth1".to_owned()].into(),
            forwards: true,
            failing: BTreeSet::new(),
        };
    });
    let found = of(&[host("a"), two, host("c")], &[one], &[Endpoints::Anywhere], false);
    assert_eq!(nodes(&found), ["b"]);
    assert_eq!(found.others(), [(&name("a"), Reason::NoInterface), (&name("c"), Reason::NotAdvertised)].into());
}

#[test]
fn weights_are_those_of_the_advertisements() {
    use crate::advertisement::Preference;
    let preferences = vec![Preference { weight: 7, selector: only(&["b"]).node_selectors.remove(0) }];
    let all = Advertisement { preferences, ..Advertisement::default() };
    let found = of(&[host("a"), host("b")], &[all], &[Endpoints::Anywhere], false);
    assert_eq!(*found.nodes, [(name("a"), 0), (name("b"), 7)].into());
}

#[test]
fn without_a_usable_endpoint_nobody_answers_also_under_the_policy_cluster() {
    let found = of(&[host("a")], &[Advertisement::default()], &[Endpoints::None, Endpoints::None], false);
    assert_eq!((nodes(&found), found.others()), (vec![], [(&name("a"), Reason::NoEndpoints)].into()));
    assert_eq!(found.despite, [] as [Reason; 0]);
}

#[test]
fn under_the_policy_local_only_nodes_with_an_endpoint_answer() {
    let away = with("c", |host| host.ready = false);
    let hosts = [host("a"), host("b"), away];
    let of = |endpoints: &[Endpoints]| of(&hosts, &[Advertisement::default()], endpoints, false);
    let found = of(&[on(&["b", "c"])]);
    assert_eq!(nodes(&found), ["b"]);
    assert_eq!(found.others(), [(&name("a"), Reason::NoLocalEndpoint), (&name("c"), Reason::NotReady)].into());
    let found = of(&[on(&["c"])]);
    assert_eq!((nodes(&found), found.despite), (vec!["c"], [Reason::NotReady].as_slice()), "else nobody would");
    let found = of(&[on(&["elsewhere"])]);
    assert_eq!((nodes(&found), &*found.left_out), (vec![], [].as_slice()));
    assert_eq!(found.why_not(&name("a")), Some(Reason::NoLocalEndpoint));
}

#[test]
fn of_services_that_share_an_address_none_takes_it_away_from_those_before_it() {
    let hosts = [host("a"), host("b"), host("c")];
    let of = |endpoints: &[Endpoints]| of(&hosts, &[Advertisement::default()], endpoints, false);
    assert_eq!(nodes(&of(&[on(&["a", "b"]), Endpoints::Anywhere, on(&["b", "c"])])), ["b"]);
    let found = of(&[on(&["a", "b"]), on(&["c"]), on(&["b"])]);
    assert_eq!((nodes(&found), &*found.left_out), (vec!["b"], [1].as_slice()));
    let found = of(&[on(&["a", "b"]), on(&["c"])]);
    assert_eq!((nodes(&found), &*found.left_out), (vec!["a", "b"], [1].as_slice()), "also if it is the last one");
    let found = of(&[Endpoints::None, on(&["c"])]);
    assert_eq!((nodes(&found), &*found.left_out), (vec!["c"], [].as_slice()));
}

#[test]
fn status_names_ten_nodes_for_each_reason_and_counts_all() {
    let mut hosts: Vec<Host> =
        (0..12).map(|number| with(&format!("d-{number:02}"), |host| host.drained = true)).collect();
    hosts.push(with("z", |host| host.speaker = Speaker::Absent));
    let barred = anywhere(&hosts).barred();
    let [drained, none] = barred.as_slice() else { panic!("{barred:?}") };
    assert_eq!((drained.reason, drained.count, drained.nodes.len()), (Reason::Drained, 12, NAMED));
    assert_eq!(drained.nodes.first(), Some(&name("d-00")));
    assert_eq!(*none, Barred { reason: Reason::NoSpeaker, nodes: vec![name("z")], count: 1 });
}

#[test]
fn equal_questions_have_one_answer_that_is_shared() {
    let pool = PoolRef { name: PoolName::new("pool"), labels: Labels::new() };
    let vip = |app: &str, endpoints| {
        let services = vec![Member { labels: labels(&[("app", app)]), endpoints, health_check: None }];
        Vip { pool: pool.clone(), services }
    };
    let address = |last| IpAddr::from([203, 0, 113, last]);
    let vips = [
        (address(1), vip("web", Endpoints::Anywhere)),
        (address(2), vip("dns", Endpoints::Anywhere)),
        (address(3), vip("dns", on(&["a"]))),
    ];
    let found = eligible(&vips.into(), &[host("a"), host("b")], &[Advertisement::default()], false);
    assert!(Arc::ptr_eq(&found[&address(1)], &found[&address(2)]));
    assert_eq!(nodes(&found[&address(3)]), ["a"]);
}
