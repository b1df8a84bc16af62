use portolan_core::snapshot::Node;
use portolan_metal::eligible::Speaker;

use super::*;

fn seconds(seconds: u64) -> Time {
    Time::from_nanos(seconds * 1_000_000_000)
}

fn host(name: &str, ready: bool) -> Host {
    Host {
        node: Arc::new(Node {
            name: NodeName::new(name),
            internal: Vec::new(),
            labels: Arc::default(),
            leaving: false,
            deleting: false,
            provider_id: None,
        }),
        ready,
        network_unavailable: false,
        out_of_service: false,
        drained: false,
        speaker: Speaker::Alive { interfaces: ["lan0".to_owned()].into(), forwards: true, failing: BTreeSet::new() },
    }
}

#[test]
fn a_node_is_given_what_others_have_once_it_has_been_sound_for_long_enough() {
    const AFTER: Duration = Duration::from_secs(300);
    let mut steady = Steady::default();
    let hosts = |ready: bool| Arc::new(vec![host("a", true), host("b", ready)]);
    let names = |steady: &Steady, at: u64| -> Vec<String> {
        steady.settled(seconds(at), AFTER).iter().map(ToString::to_string).collect()
    };
    steady.observe(&hosts(true), false, seconds(0));
    assert_eq!((names(&steady, 299), steady.deadline(seconds(0), AFTER)), (Vec::new(), Some(seconds(300))));
    steady.observe(&hosts(false), false, seconds(200));
    steady.observe(&hosts(true), false, seconds(210));
    assert_eq!(names(&steady, 300), ["a"]);
    assert_eq!(steady.deadline(seconds(300), AFTER), Some(seconds(510)));
    assert_eq!(names(&steady, 510), ["a", "b"]);
    assert_eq!(steady.deadline(seconds(510), AFTER), None);
    steady.observe(&Arc::default(), false, seconds(600));
    assert_eq!(names(&steady, 600), Vec::<String>::new(), "who is gone begins anew");
}
