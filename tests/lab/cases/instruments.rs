//! What the lab measures with, and what it gives a speaker.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::arrival::reached;
use crate::binaries;
use crate::capture::Capture;
use crate::cluster::Lab;
use crate::flow::Flow;
use crate::load::{Load, Protocol, ask};
use crate::network::{self, CLIENT, Cable, FAR_CLIENT, LAN, NODES};
use crate::sighting::{self, Said};

/// Between two requests of a load.
const EVERY: Duration = Duration::from_millis(10);

pub(super) fn a_program_on_a_node_reaches_the_api_server_and_a_client_does_not(lab: &Lab) {
    let kubectl = binaries::path("kubectl").display().to_string();
    let get = ["get", "nodes", "--output=name", "--request-timeout=3s"];
    for node in NODES {
        let output = lab.on(node, "admin", &kubectl).args(get).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(said, "node/node-1\nnode/node-2\nnode/node-3\n", "{}", String::from_utf8_lossy(&output.stderr));
    }
    let mut client = network::command(CLIENT, &kubectl);
    let output = client.env("KUBECONFIG", lab.kubeconfig("admin")).args(get).output().unwrap();
    assert!(!output.status.success(), "management is a network apart");
    let sleeper = lab.start_on(NODES[0], "admin", "sh", &["-c", "echo $NODE_NAME $KUBECONFIG; exec sleep 600"]);
    let log = lab.server.folder.join("sh-node-1.log");
    let expected = format!("node-1 {}\n", lab.kubeconfig("admin").display());
    crate::harness::eventually("it knows where it is", Duration::from_secs(10), || {
        let said = std::fs::read_to_string(&log).unwrap();
        if said == expected { Ok(()) } else { Err(said) }
    });
    sleeper.signal("TERM");
    assert!(sleeper.wait(Duration::from_secs(10)).is_some(), "a signal reaches the program itself");
}

pub(super) fn a_node_can_lose_the_lan_or_the_api_server_alone(lab: &Lab) {
    let namespace = lab.namespace("cut");
    lab.web(&namespace, 3);
    let vips = lab.vips();
    // Local, so that nothing but the node itself has a part in it.
    lab.service(&namespace, "web", "Local", vips);
    let node = NODES[1];
    let kubectl = binaries::path("kubectl").display().to_string();
    let reaches_api = || {
        let mut get = lab.on(node, "admin", &kubectl);
        get.args(["get", "--raw=/readyz", "--request-timeout=2s"]).output().unwrap().status.success()
    };
    let answers = || vips.map(|vip| ask(CLIENT, Protocol::Tcp, vip, "hostname").is_ok());
    for vip in vips {
        network::point(vip, node);
        reached(CLIENT, Protocol::Tcp, vip);
    }
    for (cable, [forwards, reaches]) in [(Cable::Lan, [false, true]), (Cable::Management, [true, false])] {
        network::cut(node, cable);
        assert_eq!((answers(), reaches_api()), ([forwards; 2], reaches), "without {cable:?}");
        network::mend(node, cable);
        assert_eq!((answers(), reaches_api()), ([true; 2], true), "with {cable:?} again");
    }
}

pub(super) fn a_capture_shows_who_asks_answers_and_announces(lab: &Lab) {
    network::forget_neighbours();
    let capture = Capture::start(LAN, "lan", "arp or icmp6", lab.server.folder.join("asks.pcap"));
    let (client, node) = ("02:00:00:00:51:64", NODES[2]);
    for vip in lab.vips() {
        ask(CLIENT, Protocol::Udp, vip, "hostname").unwrap_err();
        let asked = capture.await_sighting(Said::Asked, vip);
        assert_eq!((asked.sender.as_str(), asked.station), (client, None));
        let said: Vec<Said> = sighting::of(vip, &capture.frames()).iter().map(|sighting| sighting.said).collect();
        assert!(said.iter().all(|said| *said == Said::Asked), "nobody has it: {said:?}");
    }
    // A node's kernel answers for the node's own addresses. (Nobody listens there, which it says too.)
    for own in node.addresses() {
        ask(CLIENT, Protocol::Udp, own, "hostname").unwrap_err();
        let answered = capture.await_sighting(Said::Answered, own);
        assert_eq!(answered.station, Some(node.mac()));
        let asked = capture.await_sighting(Said::Asked, own);
        assert!(asked.at < answered.at, "frames have the time at which they passed");
    }
    // And announces them when its station's address is set, if it is told to.
    network::within(node.name(), || {
        for key in ["ipv4/conf/lan/arp_notify", "ipv6/conf/lan/ndisc_notify"] {
            std::fs::write(format!("/proc/sys/net/{key}"), "1").unwrap();
        }
    });
    network::ip(Some(node.place()), &format!("link set lan address {}", node.mac()));
    for own in node.addresses() {
        let announced = capture.await_sighting(Said::Announced, own);
        assert_eq!((announced.sender, announced.station), (node.mac(), Some(node.mac())));
    }
}

pub(super) fn a_load_counts_what_was_not_answered(lab: &Lab) {
    let namespace = lab.namespace("counted");
    lab.web(&namespace, 1);
    let vips = lab.vips();
    lab.service(&namespace, "web", "Cluster", vips);
    for (vip, protocol) in [(vips[0], Protocol::Tcp), (vips[1], Protocol::Udp)] {
        network::point(vip, NODES[0]);
        reached(CLIENT, protocol, vip);
        reached(FAR_CLIENT, protocol, vip);
        for from in [CLIENT, FAR_CLIENT] {
            let (load, flow) = (Load::start(from, protocol, vip, EVERY), Flow::start(from, vip, EVERY));
            // The outage itself, with some good time before and after.
            std::thread::sleep(Duration::from_millis(300));
            let began = Instant::now();
            network::point_nowhere(vip);
            std::thread::sleep(Duration::from_millis(500));
            network::point(vip, NODES[0]);
            let away = began.elapsed();
            std::thread::sleep(Duration::from_millis(300));
            let (tally, of_one_socket) = (load.stop(), flow.stop());
            println!("  {protocol:?} from {}: {}", from.0, tally.summary());
            for tally in [&tally, &of_one_socket] {
                let (sent, failed) = (tally.0.len(), tally.unreached().len());
                assert!(failed >= 5 && failed < sent, "it was away for half a second of one: {}", tally.summary());
            }
            // At most one was under way at each of the two edges.
            assert!(tally.broken().len() <= 2, "{}", tally.summary());
            let outage = tally.longest_outage();
            // And to the next request on either side, which a busy machine sends when it comes to it.
            let long = Duration::from_millis(490)..away + Duration::from_millis(500);
            assert!(long.contains(&outage), "{away:?}: {}", tally.summary());
        }
    }
}

pub(super) fn a_move_under_load_fails_no_new_connection_and_no_datagram_under_cluster(lab: &Lab) {
    let namespace = lab.namespace("moved");
    lab.web(&namespace, 2);
    let vips = lab.vips();
    lab.service(&namespace, "web", "Cluster", vips);
    let mut loads = Vec::new();
    for vip in vips {
        // That all nodes know of it.
        for node in NODES {
            network::point(vip, node);
            reached(CLIENT, Protocol::Tcp, vip);
            reached(CLIENT, Protocol::Udp, vip);
        }
        for from in [CLIENT, FAR_CLIENT] {
            loads.extend([Protocol::Tcp, Protocol::Udp].map(|protocol| Load::start(from, protocol, vip, EVERY)));
        }
    }
    let moves = [NODES[0], NODES[1], NODES[2]];
    for node in moves {
        vips.iter().for_each(|vip| network::point(*vip, node));
        std::thread::sleep(Duration::from_millis(300));
    }
    for load in loads {
        let tally = load.stop();
        println!("  {}", tally.summary());
        assert!(tally.0.len() > 30, "there was a load: {}", tally.summary());
        assert!(tally.unreached().is_empty(), "{}", tally.summary());
        assert!(tally.broken().len() <= moves.len(), "of connections only those under way break: {}", tally.summary());
        assert_eq!(tally.answered_by().len(), 2, "both pods answered: {:?}", tally.answered_by());
    }
}
