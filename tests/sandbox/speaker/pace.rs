//! How much a speaker says unasked is for its administrator to say.

use std::cell::RefCell;
use std::collections::BTreeSet;

use portolan_l2::conflict::claimed;
use portolan_l2::{Frame, filter};
use portolan_sys::PacketSocket;
use portolan_sys::packet::Protocol;

use super::handover::index;
use super::*;

#[test]
#[expect(clippy::disallowed_methods, reason = "the wire has real time")]
fn a_speaker_keeps_to_the_pace_that_it_is_given() {
    let Some(lan) = Lan::lay("pace", &["client", "node-a"]) else { return };
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = folder.path().join("kubeconfig");
    let api = Api::start(&lan, &kubeconfig);
    let vips: Vec<IpAddr> = (10..20).map(|last| IpAddr::from([198, 51, 100, last])).collect();
    for vip in &vips {
        api.rank_one(&vip.to_string(), 1, &["node-a"]);
    }
    let (interface, program) = (index(&lan, "client"), filter::program(vips.iter().copied(), filter::PREFIXES));
    let ears = lan.within("client", move || PacketSocket::open(interface, Protocol::Arp, &program).unwrap());
    let told = RefCell::new(BTreeSet::new());
    let heard = || {
        let mut room = [0; 256];
        while let Ok(octets) = ears.receive(&mut room) {
            told.borrow_mut().extend(claimed(&Frame::read(octets).unwrap()).map(|(vip, _)| vip));
        }
        told.borrow().len()
    };
    // Two for an address, so that all have had theirs after 20 s; by default after half a second.
    let _a = Speaker::start_with(&lan, "node-a", &kubeconfig, &["--frames-per-second", "1"]);
    eventually("the first is announced", || (heard() > 0, ()));
    let begun = Instant::now();
    eventually("all are announced", || (heard() == vips.len(), told.borrow().clone()));
    assert!(begun.elapsed() > Duration::from_secs(3), "all {} within {:?}", vips.len(), begun.elapsed());
}
