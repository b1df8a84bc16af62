//! Waits until what clients send to an address arrives, and where.

use std::net::IpAddr;

use crate::harness::{SOON, eventually};
use crate::load::{Protocol, ask};
use crate::network::{self, CLIENT, FAR_CLIENT, Node, Place, ROUTER};

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

/// Waits until the client sends to one of these nodes for an address; to which. (It forgets nothing for that: who does throws away what waits for
/// an answer.)
pub(crate) fn leads_to_one_of(vip: IpAddr, nodes: &[Node]) -> Node {
    eventually(&format!("{} sends to one of {nodes:?} for {vip}", CLIENT.0), SOON, || {
        let _ = ask(CLIENT, Protocol::Udp, vip, "hostname");
        let station = network::station(CLIENT, vip);
        let owner = nodes.iter().find(|node| station.as_ref() == Some(&node.mac()));
        owner.copied().ok_or_else(|| format!("{station:?}"))
    })
}
