//! Waits until what clients send to an address arrives, and where.

use std::net::IpAddr;

use crate::harness::{SOON, eventually};
use crate::load::{Protocol, ask};
use crate::network::{self, CLIENT, FAR_CLIENT, Node, Place, ROUTER, WITNESS};

/// Waits for the first answer: kube-proxy takes a moment to know of a Service.
pub(crate) fn reached(from: Place, protocol: Protocol, vip: IpAddr) {
    let what = format!("{vip} answers {} over {protocol:?}", from.0);
    eventually(&what, SOON, || ask(from, protocol, vip, "hostname"));
}

/// Waits until those who ask on the LAN for an address are told this node's station.
pub(crate) fn leads_to(vip: IpAddr, owner: Node) {
    for (from, place) in [(CLIENT, CLIENT), (FAR_CLIENT, ROUTER)] {
        eventually(&format!("{} sends to {} for {vip}", place.0, owner.name()), SOON, || {
            let _ = ask(from, Protocol::Udp, vip, "hostname");
            match network::station(place, vip) {
                Some(station) if station == owner.mac() => Ok(()),
                station => Err(format!("{station:?}")),
            }
        });
    }
}

/// Waits until the client and the router send to the same one of these nodes for an address; to which. (They forget nothing for that: who does
/// throws away what waits for an answer.)
pub(crate) fn leads_to_one_of(vip: IpAddr, nodes: &[Node]) -> Node {
    eventually(&format!("all send to one of {nodes:?} for {vip}"), SOON, || {
        let stations = [(CLIENT, CLIENT), (FAR_CLIENT, ROUTER)].map(|(from, place)| {
            let _ = ask(from, Protocol::Udp, vip, "hostname");
            network::station(place, vip)
        });
        let agreed = nodes.iter().find(|node| stations.iter().all(|station| station.as_ref() == Some(&node.mac())));
        agreed.copied().ok_or_else(|| format!("{stations:?}"))
    })
}

/// Waits until nobody answers for an address on the LAN.
pub(crate) fn nobody_answers(vip: IpAddr) {
    eventually(&format!("nobody answers for {vip}"), SOON, || {
        network::forget(WITNESS, vip);
        match ask(WITNESS, Protocol::Udp, vip, "hostname") {
            // Where there is no station, there is none that refuses either.
            Err(_) if network::station(WITNESS, vip).is_none() => Ok(()),
            asked => Err(format!("{asked:?} {:?}", network::station(WITNESS, vip))),
        }
    });
}
