//! A kernel on the other end of the wire is proven to be reached: its own address resolution and its own TCP answer.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

use portolan_l2::proof::{Errand, Finding, Proof, Said};
use portolan_l2::rotation::FIRST_PORT;
use portolan_l2::tcp::Segment;
use portolan_l2::{Frame, Mac, Time, filter};
use portolan_sys::PacketSocket;
use portolan_sys::packet::Protocol;

use super::{Wire, index, ip, mac, within};

/// What a proof with one thread finds; what the kernel lets through that is none of its answers fails it.
fn proven(vip: IpAddr, from: IpAddr, ports: BTreeSet<u16>, owners: Arc<BTreeSet<Mac>>) -> Finding {
    let (interface, own) = (index("wire"), mac("wire"));
    let program = filter::for_proofs([vip], filter::PREFIXES);
    let sockets = [Protocol::Arp, Protocol::Ipv4, Protocol::Ipv6]
        .map(|protocol| PacketSocket::open(interface, protocol, &program).unwrap());
    let [arp, ipv4, ipv6] = &sockets;
    let send = |said: &Said| match said {
        Said::Frame(frame) if vip.is_ipv4() => arp.send(&frame.write()).unwrap(),
        Said::Frame(frame) => ipv6.send(&frame.write()).unwrap(),
        Said::Segment(segment) if vip.is_ipv4() => ipv4.send(&segment.write().unwrap()).unwrap(),
        Said::Segment(segment) => ipv6.send(&segment.write().unwrap()).unwrap(),
    };
    let start = Instant::now();
    let now = || Time::at(start.elapsed());
    let mut proof = Proof::begin(now(), Errand { vip, own, from, ports, owners }, FIRST_PORT, 7);
    loop {
        if let Some(found) = proof.conclude(now()) {
            return found;
        }
        proof.next(now()).iter().for_each(send);
        for socket in &sockets {
            let mut room = [0; 256];
            match socket.receive(&mut room) {
                Ok(octets) => match Frame::read(octets) {
                    Ok(frame) => proof.heard(&frame),
                    Err(_) => proof.received(&Segment::read(octets).unwrap()).iter().for_each(send),
                },
                Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
            }
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_kernels_own_address_is_proven_with_its_open_ports_and_no_process_is_told_of_a_connection() {
    let Some(wire) = Wire::lay("proven") else { return };
    ip(&["-n", &wire.here(), "addr", "add", "198.51.100.2/24", "dev", "wire"]);
    ip(&["-n", &wire.here(), "addr", "add", "2001:db8:51::2/64", "dev", "wire", "nodad"]);
    let station = within(&wire.there(), || mac("wire"));
    let owners = Arc::new(BTreeSet::from([station]));
    for (there, here, nobody) in
        [("198.51.100.1", "198.51.100.2", "198.51.100.9"), ("2001:db8:51::1", "2001:db8:51::2", "2001:db8:51::9")]
    {
        let [there, here, nobody]: [IpAddr; 3] = [there, here, nobody].map(|text| text.parse().unwrap());
        let listener = within(&wire.there(), move || TcpListener::bind((there, 0)).unwrap());
        listener.set_nonblocking(true).unwrap();
        let open = listener.local_addr().unwrap().port();
        // Below those that the kernel gives to who asks for any.
        let by = Arc::clone(&owners);
        let found = within(&wire.here(), move || proven(there, here, [open, 9].into(), by));
        let expected = Finding { stations: [station].into(), refused: [9].into(), ..Finding::default() };
        assert_eq!(found, expected, "{there}");
        assert_eq!(listener.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock, "{there}");
        let by = Arc::clone(&owners);
        let found = within(&wire.here(), move || proven(nobody, here, [open].into(), by));
        assert_eq!(found, Finding::default(), "{nobody}");
    }
}
