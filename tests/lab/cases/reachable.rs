//! That an address is reached is proven by another node than its owner, with frames alone, and what is not so is found out.

use std::net::IpAddr;
use std::time::Duration;

use serde_json::json;

use crate::capture::{Capture, Captured};
use crate::cluster::Lab;
use crate::harness::eventually;
use crate::network::{self, LAN, NODES, Node, WITNESS, WITNESS_STATION};

/// Longer than from one proof to the next, two that fail and the reports of them.
const LOOKED_AGAIN: Duration = Duration::from_secs(120);

const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const SYN_ACK: u8 = 0x12;

pub(super) fn what_is_announced_is_proven_by_the_first_heir_with_frames_alone_and_by_nobody_where_there_is_none(
    lab: &'static Lab,
) {
    let (portolan, namespace) = (lab.portolan(), lab.namespace("proven"));
    lab.web(&namespace, 3);
    NODES.iter().for_each(|node| portolan.await_alive(*node));
    let capture = Capture::start(LAN, "lan", "tcp port 80", lab.server.folder.join("proven.pcap"));
    portolan.advertise(&namespace, &[NODES[0], NODES[1]]);
    let only = |name: &str, protocol: &str, target: u16| {
        let port = json!({"name": name, "port": 80, "targetPort": target, "protocol": protocol});
        json!({"spec": {"ports": [port]}})
    };
    let vips = portolan.serve(&namespace, "web", json!({}));
    let far_ones = json!({"spec": {"loadBalancerSourceRanges": ["203.0.113.0/24", "2001:db8:113::/64"]}});
    let datagrams = portolan.serve(&namespace, "datagrams", only("udp", "UDP", 8080));
    let excluding = portolan.serve(&namespace, "excluding", far_ones);
    portolan.serve(&namespace, "closed", only("tcp", "TCP", 9));

    let proven = portolan.await_reachable(&namespace, "web", "True", "Reachable", LOOKED_AGAIN);
    for (name, status, reason) in [
        ("datagrams", "True", "LayerTwoOnly"),
        ("excluding", "True", "LayerTwoOnly"),
        ("closed", "False", "ConnectionRefused"),
    ] {
        portolan.await_reachable(&namespace, name, status, reason, LOOKED_AGAIN);
    }
    for vip in vips {
        let owner = portolan.owner(vip).expect("it is announced");
        let heir = NODES.into_iter().find(|node| *node != owner && *node != NODES[2]).expect("the other of the two");
        let message = proven["message"].as_str().unwrap_or_default();
        assert!(message.contains(&vip.to_string()) && message.contains(heir.name()), "{message}");
        eventually(&format!("{} asked for {vip} and ended what it was given", heir.name()), LOOKED_AGAIN, || {
            let frames = capture.frames();
            let seen = |flags| segments(&frames, vip, flags);
            let [asked, accepted, ended] = [seen(SYN), seen(SYN_ACK), seen(RST)];
            let both = (heir.mac(), owner.mac());
            let is_so = asked.contains(&both) && accepted.contains(&(owner.mac(), heir.mac())) && ended.contains(&both);
            if is_so { Ok(()) } else { Err(format!("{asked:?} {accepted:?} {ended:?}")) }
        });
        let others: Vec<_> =
            segments(&capture.frames(), vip, SYN).into_iter().filter(|(by, _)| *by != heir.mac()).collect();
        assert_eq!(others, [], "nobody but the first heir asks");
    }
    for vip in datagrams.into_iter().chain(excluding) {
        assert_eq!(segments(&capture.frames(), vip, SYN), [], "no port of {vip} is asked");
    }

    portolan.advertise(&namespace, &[NODES[2]]);
    eventually("there is nobody who could", LOOKED_AGAIN, || {
        let now = portolan.await_reachable(&namespace, "web", "Unknown", "NoWitness", LOOKED_AGAIN)["message"].clone();
        if now.as_str().is_some_and(|now| now.contains("no second node")) { Ok(()) } else { Err(now.to_string()) }
    });
    portolan.advertise(&namespace, &[NODES[2], NODES[1]]);
    portolan.await_reachable(&namespace, "web", "True", "Reachable", LOOKED_AGAIN);
}

pub(super) fn an_owner_that_forwards_nothing_and_a_stranger_beside_it_are_found_out(lab: &'static Lab) {
    let (portolan, namespace) = (lab.portolan(), lab.namespace("found-out"));
    lab.web(&namespace, 3);
    NODES.iter().for_each(|node| portolan.await_alive(*node));
    portolan.advertise(&namespace, &[NODES[0]]);
    let vips = portolan.serve(&namespace, "web", json!({}));
    for vip in vips {
        portolan.await_owner(vip, &[NODES[0]]);
    }
    portolan.advertise(&namespace, &[NODES[0], NODES[1]]);
    let told = |status: &str, reason: &str| portolan.await_reachable(&namespace, "web", status, reason, LOOKED_AGAIN);
    told("True", "Reachable");

    // As broken rules: kube-proxy is well, and what comes in goes nowhere. Of one family, which is enough.
    let [v4, _] = vips;
    let dropped = format!("add rule inet broken first iifname lan ip daddr {v4} tcp dport 80 drop");
    let first = "add chain inet broken first { type filter hook prerouting priority -400; }";
    nft(NODES[0], &format!("add table inet broken; {first}; {dropped}"));
    let silent = told("False", "NoSynAck");
    assert!(silent["message"].as_str().is_some_and(|message| message.contains("TCP 80")), "{silent:#}");

    // What has failed is looked at more often.
    network::ip(Some(WITNESS), &format!("addr add {v4} dev lan"));
    let several = told("False", "SeveralAnswers");
    let message = several["message"].as_str().unwrap_or_default();
    for station in [WITNESS_STATION, &NODES[0].mac()] {
        assert!(message.contains(station), "{station} is named: {message}");
    }
    network::ip(Some(WITNESS), &format!("addr del {v4} dev lan"));
    nft(NODES[0], "delete table inet broken");
    told("True", "Reachable");
}

fn nft(node: Node, commands: &str) {
    let output = network::command(node.place(), "nft").arg(commands).output().expect("nft starts");
    assert!(output.status.success(), "{commands}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Who has sent whom a segment with these flags that is to or from this address.
fn segments(frames: &[Captured], vip: IpAddr, flags: u8) -> Vec<(String, String)> {
    let of = |frame: &Captured| {
        let octets = frame.octets.as_slice();
        let (ends, at) = match octets.get(12..14)? {
            [0x08, 0x00] => ([octets.get(26..30)?, octets.get(30..34)?], 47),
            [0x86, 0xdd] => ([octets.get(22..38)?, octets.get(38..54)?], 67),
            _ => return None,
        };
        let own = match vip {
            IpAddr::V4(vip) => vip.octets().to_vec(),
            IpAddr::V6(vip) => vip.octets().to_vec(),
        };
        let is_so = ends.contains(&own.as_slice()) && octets.get(at) == Some(&flags);
        is_so.then(|| (mac(&octets[6..12]), mac(&octets[..6])))
    };
    frames.iter().filter_map(of).collect()
}

fn mac(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect::<Vec<_>>().join(":")
}
