use serde_json::json;

use super::*;

fn seconds(seconds: u64) -> Time {
    Time::from_nanos(seconds * 1_000_000_000)
}

fn node() -> NodeName {
    NodeName::new("node-a")
}

fn lease(version: u64, holder: &str, renewed: u64) -> SeenLease {
    let renewed = format!("2026-11-23T00:00:{renewed:02}.000000Z");
    let object = json!({
        "metadata": {"name": "portolan-speaker-node-a", "resourceVersion": version.to_string()},
        "spec": {"holderIdentity": holder, "leaseDurationSeconds": 15, "renewTime": renewed},
    });
    match SeenLease::of(serde_json::from_value(object).unwrap()) {
        Projected::Object(seen) => seen,
        Projected::Nothing | Projected::Unreadable(_) => panic!("a speaker's"),
    }
}

fn report(spec: &serde_json::Value) -> SeenReport {
    let object = json!({
        "apiVersion": "portolan.dev/v1alpha1", "kind": "SpeakerReport",
        "metadata": {"name": "node-a", "resourceVersion": "7"}, "spec": spec,
    });
    SeenReport::of(serde_json::from_value(object).unwrap())
}

/// Listed, and its speaker has reported.
fn speakers() -> Speakers {
    let mut speakers = Speakers::default();
    for event in [Event::Init, Event::InitDone] {
        speakers.lease(event, seconds(0));
    }
    speakers.report(Event::Init);
    speakers.report(Event::InitApply(report(&json!({"appliedVersion": 3, "stations": {"lan0": "02:00:00:00:00:01"}}))));
    speakers.report(Event::InitDone);
    speakers
}

fn alive() -> Speaker {
    Speaker::Alive { interfaces: ["lan0".to_owned()].into(), forwards: true, failing: BTreeSet::new() }
}

fn silent() -> Speaker {
    Speaker::Silent { interfaces: ["lan0".to_owned()].into() }
}

/// Somebody else's Lease changes, as the cluster's own do all the time.
fn rumour(speakers: &mut Speakers, at: u64) -> bool {
    let name = "kube-scheduler".to_owned();
    speakers.lease(Event::Delete(name, ResourceVersion::new("1".to_owned())), seconds(at))
}

#[test]
fn a_speaker_is_alive_for_the_duration_of_its_lease_after_each_change_of_it() {
    let mut speakers = speakers();
    assert_eq!(speakers.of(&node(), seconds(0)), silent(), "it has reported, and has no Lease");
    assert!(speakers.lease(Event::Apply(lease(1, "node-a", 0)), seconds(100)));
    assert_eq!(speakers.deadline(), Some(seconds(115)));
    assert!(!speakers.lease(Event::Apply(lease(2, "node-a", 4)), seconds(104)), "a renewal is no news");
    for at in [110, 117] {
        assert!(!rumour(&mut speakers, at));
    }
    assert_eq!(speakers.of(&node(), seconds(118)), alive());
    assert_eq!(speakers.of(&node(), seconds(119)), silent());
    // Its end is due until it was told, however late that is.
    assert_eq!(speakers.deadline(), Some(seconds(119)));
    speakers.are_told(seconds(121));
    assert_eq!(speakers.deadline(), None);
    // The list says nothing new: nobody is alive for being listed again.
    for event in [Event::Init, Event::InitApply(lease(2, "node-a", 4)), Event::InitDone] {
        assert!(!speakers.lease(event, seconds(124)));
    }
    assert_eq!(speakers.of(&node(), seconds(124)), silent());
}

#[test]
fn nobody_falls_silent_because_nothing_is_heard_of_any_lease() {
    let mut speakers = speakers();
    speakers.lease(Event::Apply(lease(1, "node-a", 0)), seconds(100));
    // The API server is away, or our watch hangs.
    assert_eq!(speakers.of(&node(), seconds(190)), alive());
    assert!(rumour(&mut speakers, 200), "everybody begins anew");
    assert_eq!(speakers.of(&node(), seconds(201)), alive());
    rumour(&mut speakers, 207);
    rumour(&mut speakers, 214);
    assert_eq!(speakers.of(&node(), seconds(214)), alive());
    assert_eq!(speakers.of(&node(), seconds(215)), silent(), "whoever does not come back is silent then");
}

#[test]
fn a_lease_that_is_given_back_or_deleted_ends_it_at_once() {
    for last in [
        Event::Apply(lease(2, "", 4)),
        Event::Delete("portolan-speaker-node-a".to_owned(), ResourceVersion::new("2".to_owned())),
    ] {
        let mut speakers = speakers();
        speakers.lease(Event::Apply(lease(1, "node-a", 0)), seconds(0));
        assert_eq!(speakers.of(&node(), seconds(1)), alive());
        assert!(speakers.lease(last, seconds(1)));
        assert_eq!(speakers.of(&node(), seconds(1)), silent());
    }
}

#[test]
fn a_node_without_a_report_has_no_speaker() {
    let mut speakers = Speakers::default();
    speakers.lease(Event::Apply(lease(1, "node-a", 0)), seconds(0));
    assert_eq!(speakers.of(&node(), seconds(1)), Speaker::Absent);
    assert!(!speakers.are_listed());
}

#[test]
fn what_a_report_said_that_somebody_has_deleted_holds_while_its_speaker_is_alive() {
    let mut speakers = speakers();
    speakers.lease(Event::Apply(lease(1, "node-a", 0)), seconds(0));
    let spec = json!({"appliedVersion": 3, "stations": {"lan1": "02:00:00:00:00:01"}});
    speakers.report(Event::Apply(report(&spec)));
    let alive = speakers.of(&node(), seconds(1));
    speakers.report(Event::Delete(node(), ResourceVersion::new("8".to_owned())));
    assert_eq!(speakers.of(&node(), seconds(1)), alive);
    assert!(matches!(alive, Speaker::Alive { ref interfaces, .. } if interfaces.contains("lan1")), "{alive:?}");
    speakers.report(Event::Apply(report(&json!({"appliedVersion": 4, "stations": {}}))));
    assert_ne!(speakers.of(&node(), seconds(1)), alive, "what it says anew counts");
    speakers.report(Event::Delete(node(), ResourceVersion::new("9".to_owned())));
    // Its Lease has run out, and we have heard of another one since.
    assert_eq!(
        speakers.of(&node(), seconds(7)),
        Speaker::Alive { interfaces: BTreeSet::new(), forwards: true, failing: BTreeSet::new() }
    );
    speakers.lease(Event::Apply(lease(2, "", 0)), seconds(7));
    assert_eq!(speakers.of(&node(), seconds(7)), Speaker::Absent);
}

#[test]
fn leases_of_others_are_nobodys() {
    for name in ["portolan", "portolan-speaker-", "kube-controller-manager"] {
        let object = json!({"metadata": {"name": name, "resourceVersion": "1"}, "spec": {"holderIdentity": "x"}});
        assert!(matches!(SeenLease::of(serde_json::from_value(object).unwrap()), Projected::Nothing), "{name}");
    }
}

#[test]
fn a_node_that_says_that_it_does_not_forward_does_not_and_one_that_does_not_know_may() {
    for (said, forwards) in [(json!(null), true), (json!("ForwardingUnknown"), true), (json!("NotForwarding"), false)] {
        let mut speakers = speakers();
        speakers.lease(Event::Apply(lease(1, "node-a", 0)), seconds(0));
        let spec = json!({"appliedVersion": 3, "stations": {"lan0": "02:00:00:00:00:01"}, "forwarding": said});
        let told = speakers.report(Event::Apply(report(&spec)));
        assert_eq!(told.len(), usize::from(!forwards), "{said}: that alone is news");
        let Speaker::Alive { forwards: found, .. } = speakers.of(&node(), seconds(1)) else { panic!("it is alive") };
        assert_eq!(found, forwards, "{said}");
    }
}

#[test]
fn addresses_behind_health_check_ports_that_fail_are_those_that_the_node_does_not_forward_to() {
    let mut speakers = speakers();
    speakers.lease(Event::Apply(lease(1, "node-a", 0)), seconds(0));
    let failed = json!([
        {"port": 32000, "addresses": ["198.51.100.3", "2001:db8::3"]}, {"port": 32001, "addresses": ["198.51.100.3"]},
    ]);
    let spec = json!({"appliedVersion": 3, "stations": {"lan0": "02:00:00:00:00:01"}, "failedHealthChecks": failed});
    assert_eq!(speakers.report(Event::Apply(report(&spec))).len(), 1, "that alone is news");
    let Speaker::Alive { failing, forwards, .. } = speakers.of(&node(), seconds(1)) else { panic!("it is alive") };
    let both: BTreeSet<IpAddr> = ["198.51.100.3", "2001:db8::3"].map(|text| text.parse().unwrap()).into();
    assert_eq!((failing, forwards), (both, true));
}

#[test]
fn what_a_witness_found_is_read_address_by_address() {
    let address: IpAddr = "198.51.100.1".parse().unwrap();
    let both = json!(["198.51.100.1", "2001:db8::1"]);
    let not_proven = json!([
        {"reason": "NoSynAck", "ports": [443, 80], "addresses": both},
        {"reason": "ConnectionRefused", "ports": [8080], "addresses": ["198.51.100.1"]},
        {"reason": "SeveralAnswers", "macs": ["02:00:00:00:00:09"], "moreMacs": true, "addresses": ["198.51.100.2"]},
    ]);
    let seen = report(&json!({"appliedVersion": 3, "witness": {"version": 4, "notProven": not_proven}}));
    let Witness { version, doubts } = seen.report.witness.unwrap();
    assert_eq!((version, doubts.all().count()), (4, 4));
    let of = |address| doubts.of(address).into_iter().cloned().collect::<Vec<_>>();
    assert_eq!(of(address), [Doubt::Silent([80, 443].into()), Doubt::Refused([8080].into())]);
    let several: IpAddr = "198.51.100.2".parse().unwrap();
    let all = ["02:00:00:00:00:09", "others"].map(str::to_owned).into();
    assert_eq!(of(several), [Doubt::Several(all)], "as a Service's condition names them");
    assert_eq!(report(&json!({"appliedVersion": 3})).report.witness, None, "one that does not look");
}

#[test]
fn a_report_says_of_each_address_what_is_wrong_with_it() {
    let seen = report(&json!({
        "appliedVersion": 12, "stations": {},
        "notAsRanked": [
            {"reason": "NoInterface", "addresses": ["198.51.100.1"]},
            {"reason": "PoolOffLink", "addresses": ["198.51.100.2"]},
            {"reason": "OneInterfaceLess", "interface": "lan1", "addresses": ["198.51.100.11"]},
            {"reason": "NotForwarding", "addresses": ["198.51.100.3", "198.51.100.5-198.51.100.9"]},
            {"reason": "Yielded", "interface": "lan0", "mac": "02:00:00:00:00:09", "addresses": ["198.51.100.2", "2001:db8::1"]},
        ],
    }));
    let stranger = || Exception::Stranger { interface: "lan0".to_owned(), mac: "02:00:00:00:00:09".to_owned() };
    let of = |text: &str| seen.report.exceptions.of(text.parse().unwrap()).into_iter().cloned().collect::<Vec<_>>();
    assert_eq!(seen.report.applied, 12);
    assert_eq!(of("198.51.100.1"), [Exception::NoInterface]);
    assert_eq!(of("198.51.100.2"), [Exception::PoolOffLink, stranger()]);
    assert_eq!(of("198.51.100.11"), [Exception::OneInterfaceLess { interface: "lan1".to_owned() }]);
    for address in ["198.51.100.3", "198.51.100.5", "198.51.100.7", "198.51.100.9"] {
        assert_eq!(of(address), [Exception::NotForwarding]);
    }
    assert_eq!([of("198.51.100.4"), of("198.51.100.10")], [vec![], vec![]]);
    assert_eq!(of("2001:db8::1"), [stranger()]);
}

#[test]
fn a_router_counts_until_another_is_named_though_its_route_be_gone_and_its_report_too() {
    let mut speakers = Speakers::default();
    let node = NodeName::new("node-a");
    let routers = |speakers: &Speakers| speakers.gateways(&node).map(|one| one.to_string()).collect::<Vec<_>>();
    let told = |speakers: &mut Speakers, gateways: serde_json::Value| {
        let spec = json!({"appliedVersion": 3, "stations": {}, "gateways": gateways});
        speakers.report(Event::Apply(report(&spec)));
        speakers.take_news_around()
    };
    assert!(told(&mut speakers, json!(["198.51.100.1", "2001:db8::1"])));
    assert!(!told(&mut speakers, json!([])), "its link is down");
    assert_eq!(routers(&speakers), ["198.51.100.1", "2001:db8::1"]);
    assert!(told(&mut speakers, json!(["198.51.100.254"])));
    assert_eq!(routers(&speakers), ["198.51.100.254", "2001:db8::1"]);
    speakers.report(Event::Delete(node.clone(), ResourceVersion::new("9".to_owned())));
    assert!(!speakers.take_news_around());
    assert_eq!(routers(&speakers).len(), 2);
}

#[test]
fn the_addresses_of_a_node_are_those_that_its_report_named_last_also_when_somebody_has_deleted_that() {
    let mut speakers = Speakers::default();
    let own = |speakers: &Speakers| speakers.addresses(&node()).map(|one| one.to_string()).collect::<Vec<_>>();
    let told = |speakers: &mut Speakers, addresses: serde_json::Value| {
        speakers
            .report(Event::Apply(report(&json!({"appliedVersion": 3, "stations": {}, "nodeAddresses": addresses}))));
        speakers.take_news_around()
    };
    assert!(told(&mut speakers, json!(["198.51.100.2", "2001:db8::2"])));
    assert!(!told(&mut speakers, json!(["198.51.100.2", "2001:db8::2"])));
    assert!(told(&mut speakers, json!(["198.51.100.3"])), "one that it has no more is anybody's");
    speakers.report(Event::Delete(node(), ResourceVersion::new("9".to_owned())));
    assert!(!speakers.take_news_around());
    assert_eq!(own(&speakers), ["198.51.100.3"]);
}

#[test]
fn a_report_is_left_behind_once_its_node_and_the_speakers_lease_are_gone() {
    let left = |speakers: &mut Speakers, is_there: bool, at: u64| {
        speakers.left_behind(|_| is_there, seconds(at)).into_iter().map(|seen| seen.node).collect::<Vec<_>>()
    };
    let mut speakers = speakers();
    speakers.lease(Event::Apply(lease(1, "node-a", 0)), seconds(0));
    assert!(left(&mut speakers, true, 1).is_empty());
    assert!(left(&mut speakers, false, 1).is_empty(), "a Node that is deleted while its speaker runs comes back");
    for at in [7, 14] {
        rumour(&mut speakers, at);
    }
    assert_eq!(left(&mut speakers, false, 16), [node()]);
    assert!(left(&mut speakers, true, 16).is_empty());
    assert!(left(&mut speakers, false, 60).is_empty(), "nothing has been heard of any Lease: it is we who are deaf");
    rumour(&mut speakers, 60);
    speakers.lease(Event::Apply(lease(2, "", 0)), seconds(61));
    assert_eq!(left(&mut speakers, false, 61), [node()], "given back");
}

#[test]
fn of_a_node_that_is_gone_with_its_report_nothing_is_remembered() {
    let mut speakers = speakers();
    let spec =
        json!({"appliedVersion": 3, "stations": {}, "gateways": ["198.51.100.1"], "nodeAddresses": ["198.51.100.2"]});
    speakers.report(Event::Apply(report(&spec)));
    speakers.left_behind(|_| false, seconds(0));
    assert_eq!(speakers.gateways(&node()).chain(speakers.addresses(&node())).count(), 2, "while there is a report");
    speakers.report(Event::Delete(node(), ResourceVersion::new("9".to_owned())));
    speakers.left_behind(|_| true, seconds(0));
    assert_eq!(speakers.gateways(&node()).count(), 1, "while there is a Node");
    speakers.left_behind(|_| false, seconds(0));
    assert_eq!(speakers.gateways(&node()).chain(speakers.addresses(&node())).count(), 0);
    assert!(speakers.deleted.is_empty());
}
