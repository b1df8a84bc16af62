//! Frames of a VLAN that has no interface on this machine: another segment's, although they come by this one's wire.

use std::io;
use std::net::IpAddr;

use portolan_l2::answer::gratuitous;
use portolan_l2::filter::{PREFIXES, for_proofs, program};
use portolan_l2::{Frame, Mac};
use portolan_sys::PacketSocket;
use portolan_sys::packet::Protocol;

use super::{Wire, eventually, index, within};

/// As VLAN 20 has it (IEEE 802.1Q): who stands there sends so by the interface of his VLAN. Not every kernel has such interfaces, but all take the
/// tag off.
fn tagged(frame: &Frame) -> Vec<u8> {
    let mut octets = frame.write();
    octets.splice(12..12, [0x81, 0x00, 0x00, 20]);
    octets
}

#[test]
fn what_another_vlan_says_of_an_address_is_not_heard_and_what_this_segment_says_is() {
    let Some(wire) = Wire::lay("vlans") else { return };
    let [elsewhere, here] = [7, 8].map(|last| Mac([2, 0, 0, 0, 0, last]));
    let vips: [IpAddr; 2] = ["198.51.100.10", "2001:db8:51::10"].map(|vip| vip.parse().unwrap());
    let sockets = within(&wire.here(), move || {
        [program(vips, PREFIXES), for_proofs(vips, PREFIXES)].map(|program| {
            [Protocol::Arp, Protocol::Ipv6].map(|of| PacketSocket::open(index("wire"), of, &program).unwrap())
        })
    });
    within(&wire.there(), move || {
        for (vip, of) in vips.into_iter().zip([Protocol::Arp, Protocol::Ipv6]) {
            let socket = PacketSocket::open(index("wire"), of, &program([], PREFIXES)).unwrap();
            gratuitous(elsewhere, vip).iter().for_each(|frame| socket.send(&tagged(frame)).unwrap());
            gratuitous(here, vip).iter().for_each(|frame| socket.send(&frame.write()).unwrap());
        }
    });
    for socket in sockets.iter().flatten() {
        let mut heard = Vec::new();
        // They come in the order in which they were sent.
        eventually("this segment is heard", || {
            let mut room = [0; 256];
            match socket.receive(&mut room) {
                Ok(octets) => heard.push(Frame::read(octets).unwrap().source),
                Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
            }
            heard.contains(&here)
        });
        assert!(!heard.contains(&elsewhere), "{heard:?}");
    }
}
