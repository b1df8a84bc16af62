//! A stranger has an address before it is announced, or takes one that has long been (RFC 5227 section 2.4, choice b).

use std::net::IpAddr;
use std::time::Duration;

use serde_json::json;

use crate::arrival::leads_to;
use crate::capture::Capture;
use crate::cluster::Lab;
use crate::harness::{SOON, eventually};
use crate::load::{Protocol, ask};
use crate::network::{self, CLIENT, LAN, NODES, WITNESS, WITNESS_STATION};
use crate::sighting::{self, Said, Sighting};

/// How long he has to be silent.
const SILENCE: Duration = Duration::from_secs(60);
/// Within this a second frame of his is one too many.
const INSISTS: Duration = Duration::from_secs(10);
/// Rounds in which an address that has come is announced, within seconds; the next is at least 40 s later.
const BURST: usize = 5;
/// Frames of a round, by family: of IPv4 a request and a reply.
const A_ROUND: [usize; 2] = [2, 1];
/// Longer than it takes until the owner announces again, and all know.
const RESUMED: Duration = Duration::from_secs(80);
/// The kernel tells everybody of its addresses when its station changes.
const NOTIFY: [&str; 2] = ["ipv4/conf/lan/arp_notify", "ipv6/conf/lan/ndisc_notify"];

pub(super) fn an_address_that_a_stranger_insists_on_is_his_until_he_has_been_silent_for_a_minute(lab: &'static Lab) {
    let (portolan, namespace) = (lab.portolan(), lab.namespace("contested"));
    lab.web(&namespace, 1);
    let (vips, owner) = (portolan.serve(&namespace, "web", json!({})), NODES[0]);
    let capture = Capture::start(LAN, "lan", "arp or icmp6", lab.server.folder.join("contested.pcap"));
    let seen = |vip: IpAddr, said: Said, by: &str| -> Vec<Sighting> {
        let all = sighting::of(vip, &capture.frames());
        all.into_iter().filter(|one| one.said == said && one.station.as_deref() == Some(by)).collect()
    };
    portolan.advertise(&namespace, &[owner]);
    vips.iter().for_each(|vip| leads_to(*vip, owner));
    portolan.await_programmed(&namespace, "web", "True", "Programmed");
    let announced = |by: &str, rounds: [usize; 2]| {
        for (vip, frames) in vips.into_iter().zip(rounds) {
            eventually(&format!("{by} announces {vip}"), SOON, || {
                let seen = seen(vip, Said::Announced, by);
                if seen.len() >= frames { Ok(()) } else { Err(format!("{seen:?}")) }
            });
        }
    };
    announced(&owner.mac(), A_ROUND.map(|frames| BURST * frames));

    let thief = Thief::comes(vips);
    thief.announces();
    announced(&owner.mac(), A_ROUND.map(|frames| (BURST + 1) * frames));
    thief.announces();
    announced(WITNESS_STATION, [2, 2]);
    let yielded = json!([{"reason": "Yielded", "interface": "lan", "mac": WITNESS_STATION, "addresses": vips}]);
    portolan.await_not_as_ranked(owner, yielded, SOON);
    let condition = portolan.await_programmed(&namespace, "web", "False", "AddressConflict");
    let message = condition["message"].as_str().unwrap_or_default();
    assert!(message.contains(WITNESS_STATION), "he is named: {message}");

    for vip in vips {
        network::forget(CLIENT, vip);
        eventually(&format!("the stranger answers for {vip}"), SOON, || {
            let _ = ask(CLIENT, Protocol::Udp, vip, "hostname");
            match network::station(CLIENT, vip) {
                Some(station) if station == WITNESS_STATION => Ok(()),
                station => Err(format!("{station:?}")),
            }
        });
    }

    drop(thief);
    portolan.await_not_as_ranked(owner, json!(null), RESUMED);
    portolan.await_programmed(&namespace, "web", "True", "Programmed");
    vips.iter().for_each(|vip| leads_to(*vip, owner));
    for (vip, a_round) in vips.into_iter().zip(A_ROUND) {
        let [theirs, ours] = [WITNESS_STATION, &owner.mac()].map(|by| seen(vip, Said::Announced, by));
        let (first, last) = (theirs[0].at, theirs[theirs.len() - 1].at);
        assert!(last - first < INSISTS, "twice within {INSISTS:?}: {theirs:?}");
        let defences = ours.iter().filter(|one| (first..last).contains(&one.at)).count();
        assert_eq!(defences, a_round, "one defence of {vip}: {ours:?} {theirs:?}");
        let resumed = ours.iter().find(|one| one.at > last).expect("it is announced again").at;
        let silence = resumed - last;
        assert!(silence >= SILENCE, "{vip} is announced {silence:?} after the stranger's last word");
        println!("  {vip} is announced again {:.1} s after the stranger's last word", silence.as_secs_f64());
        let answered = seen(vip, Said::Answered, &owner.mac());
        let meanwhile: Vec<&Sighting> = answered.iter().filter(|one| (last..resumed).contains(&one.at)).collect();
        assert!(meanwhile.is_empty(), "the owner was silent: {meanwhile:?}");
    }
}

pub(super) fn an_address_that_a_stranger_had_first_is_left_to_him_and_the_service_gets_another_one(lab: &'static Lab) {
    let (portolan, namespace) = (lab.portolan(), lab.namespace("had-first"));
    lab.web(&namespace, 1);
    let [first, second] = [["198.51.100.72", "2001:db8:51::400"], ["198.51.100.73", "2001:db8:51::401"]]
        .map(|pair| pair.map(|text| text.parse::<IpAddr>().unwrap()));
    portolan.pool(&namespace, &["198.51.100.72/31", "2001:db8:51::400/127"]);
    let thief = Thief::comes(first);
    portolan.advertise(&namespace, &[NODES[0]]);
    let of_pool = json!({"metadata": {"annotations": {"portolan.dev/pool": namespace}}});
    portolan.serve(&namespace, "web", of_pool);
    let addresses = || {
        lab.kubectl(&["get", "service", "web", "-n", &namespace, "-o", "jsonpath={.status.loadBalancer.ingress[*].ip}"])
    };
    eventually("the Service has what nobody had", SOON, || {
        let now = addresses();
        if now.trim() == second.map(|ip| ip.to_string()).join(" ") { Ok(()) } else { Err(now) }
    });
    portolan.await_programmed(&namespace, "web", "True", "Programmed");
    second.iter().for_each(|vip| leads_to(*vip, NODES[0]));
    for vip in first {
        let _ = ask(CLIENT, Protocol::Udp, vip, "hostname");
        assert_eq!(network::station(CLIENT, vip).as_deref(), Some(WITNESS_STATION));
        let name = portolan_metal::vip::name(vip);
        let column = lab.kubectl(&["get", "virtualip", &name, "-o", "jsonpath={.spec.setAside}"]);
        assert_eq!(column.trim(), WITNESS_STATION, "{vip}");
        drop(lab.kubectl(&["delete", "virtualip", &name]));
    }
    drop(thief);
}

/// The witness while it has these addresses too. It gives everything back, also if the case fails.
struct Thief([IpAddr; 2]);

impl Thief {
    fn comes(vips: [IpAddr; 2]) -> Self {
        let thief = Self(vips);
        network::ip(Some(WITNESS), &thief.each("add"));
        notify("1");
        thief
    }

    /// To everybody, once.
    fn announces(&self) {
        network::ip(Some(WITNESS), &format!("link set lan address {WITNESS_STATION}"));
    }

    fn each(&self, what: &str) -> String {
        self.0
            .map(|vip| {
                format!("addr {what} {vip} dev lan{}", if vip.is_ipv6() && what == "add" { " nodad" } else { "" })
            })
            .join("\n")
    }
}

impl Drop for Thief {
    fn drop(&mut self) {
        notify("0");
        network::ip(Some(WITNESS), &self.each("del"));
    }
}

fn notify(value: &str) {
    network::within(WITNESS.0, || {
        for key in NOTIFY {
            std::fs::write(format!("/proc/sys/net/{key}"), value).expect("a setting of the kernel");
        }
    });
}
