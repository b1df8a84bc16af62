//! A node that is on one segment more than once, and a third time while it works.

use super::handover::{Asker, Said, mac};
use super::*;

/// Plugs another interface of a node into the LAN; its station.
fn plug_in(lan: &Lan, node: &str, interface: &str, number: u8) -> String {
    let (switch, space, port) = (lan.of("switch"), lan.of(node), format!("{node}-{interface}"));
    ip(&["-n", &space, "link", "add", interface, "type", "veth", "peer", "name", &port, "netns", &switch]);
    ip(&["-n", &switch, "link", "set", &port, "master", "lan", "up"]);
    ip(&["-n", &space, "addr", "add", &format!("198.51.100.{number}/24"), "dev", interface]);
    ip(&["-n", &space, "addr", "add", &format!("2001:db8:51::{number}/64"), "dev", interface, "nodad"]);
    ip(&["-n", &space, "link", "set", interface, "up"]);
    lan.mac_of(node, interface)
}

/// All of these have told everybody of each address so often.
fn told(asker: &Asker, by: &[String], times: usize) {
    eventually("all tell everybody", || {
        let told = asker.heard().map(|heard| {
            let of = |station: &String| heard.said.iter().filter(|said| **said == Said::ToAll(mac(station))).count();
            by.iter().map(of).collect::<Vec<_>>()
        });
        (told.iter().flatten().all(|told| *told >= times), told)
    });
}

#[test]
fn interfaces_of_one_node_on_one_segment_take_each_other_for_no_stranger_and_all_answer() {
    let Some(lan) = Lan::lay("siblings", &["client", "node-a"]) else { return };
    let mut stations = vec![lan.mac("node-a"), plug_in(&lan, "node-a", "lan1", 102)];
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = folder.path().join("kubeconfig");
    let api = Api::start(&lan, &kubeconfig);
    // The first owner, so that each asks the wire before it announces.
    api.rank(1, &["node-a"]);
    let asker = Asker::begin(&lan);
    let _a = Speaker::start(&lan, "node-a", &kubeconfig);
    // Of IPv4 two frames a round: each has heard a second round of the others, of which the first is enough for a conflict.
    told(&asker, &stations, 4);
    stations.push(plug_in(&lan, "node-a", "lan2", 103));
    told(&asker, &stations, 4);

    let before = asker.heard().map(|heard| heard.asked);
    asker.goes_on(50);
    for (heard, before) in asker.end().iter().zip(before) {
        for station in &stations {
            let answered = heard.answers(mac(station)).filter(|number| **number >= before).count();
            let asked = usize::try_from(heard.asked - before).unwrap();
            assert_eq!(answered, asked, "{station} answers each question: {stations:?}");
        }
    }
    let report = eventually("it reports all three", || {
        let report = api.report("node-a");
        (report["spec"]["stations"].as_object().is_some_and(|stations| stations.len() == 3), report)
    });
    assert_eq!(report["spec"]["notAsRanked"], Value::Null, "{report}");
}
