use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use proptest::prelude::*;

use super::*;

fn segment() -> impl Strategy<Value = Segment> {
    let v4 = (any::<[u8; 4]>(), any::<[u8; 4]>()).prop_map(|(from, to)| (IpAddr::from(from), IpAddr::from(to)));
    let v6 = (any::<[u8; 16]>(), any::<[u8; 16]>()).prop_map(|(from, to)| (IpAddr::from(from), IpAddr::from(to)));
    let kind = prop_oneof![Just(Kind::Syn), Just(Kind::SynAck), Just(Kind::Reset), Just(Kind::Other)];
    let ends = (prop_oneof![v4, v6], any::<u16>(), any::<u16>());
    (ends, any::<[u8; 6]>(), any::<[u8; 6]>(), any::<u32>(), any::<u32>(), kind).prop_map(
        |(((from, to), from_port, to_port), destination, source, sequence, acknowledgment, kind)| Segment {
            destination: Mac(destination),
            source: Mac(source),
            from: SocketAddr::new(from, from_port),
            to: SocketAddr::new(to, to_port),
            sequence,
            // What opens a connection, and what denies it, acknowledge nothing.
            acknowledgment: if matches!(kind, Kind::Syn | Kind::Reset) { 0 } else { acknowledgment },
            kind,
        },
    )
}

proptest! {
    #[test]
    fn what_is_written_reads_back_also_with_padding(segment in segment(), padding in 0..20_usize) {
        let mut octets = segment.write().unwrap();
        octets.extend(vec![0; padding]);
        prop_assert_eq!(Segment::read(&octets), Ok(segment));
    }

    #[test]
    fn no_octets_make_reading_panic(octets in proptest::collection::vec(any::<u8>(), 0..120), is_v6 in any::<bool>()) {
        let mut octets = octets;
        let _ = Segment::read(&octets);
        if let [_, _, _, _, _, _, _, _, _, _, _, _, high, low, first, ..] = octets.as_mut_slice() {
            let kind = if is_v6 { IPV6 } else { IPV4 }.to_be_bytes();
            (*high, *low, *first) = (kind[0], kind[1], if is_v6 { 0x60 } else { PLAIN_IPV4 });
        }
        let _ = Segment::read(&octets);
    }

    #[test]
    fn another_implementation_reads_the_same_and_finds_every_checksum_right(segment in segment()) {
        let octets = segment.write().unwrap();
        let sliced = SlicedPacket::from_ethernet(&octets).unwrap();
        let Some(TransportSlice::Tcp(read)) = &sliced.transport else { panic!("{sliced:?}") };
        prop_assert_eq!((read.source_port(), read.destination_port()), (segment.from.port(), segment.to.port()));
        prop_assert_eq!((read.sequence_number(), read.acknowledgment_number()), (segment.sequence, segment.acknowledgment));
        let flags = (read.syn(), read.ack(), read.rst(), read.fin(), read.psh());
        prop_assert_eq!(flags, match segment.kind {
            Kind::Syn => (true, false, false, false, false),
            Kind::SynAck => (true, true, false, false, false),
            Kind::Reset => (false, false, true, false, false),
            Kind::Other => (false, true, false, false, false),
        });
        match &sliced.net {
            Some(NetSlice::Ipv4(ip)) => {
                prop_assert_eq!(IpAddr::from(ip.header().source_addr()), segment.from.ip());
                prop_assert_eq!(ip.header().header_checksum(), ip.header().to_header().calc_header_checksum());
                let (from, to) = (ip.header().source(), ip.header().destination());
                prop_assert_eq!(read.calc_checksum_ipv4(from, to), Ok(read.checksum()));
            }
            Some(NetSlice::Ipv6(ip)) => {
                prop_assert_eq!(IpAddr::from(ip.header().destination_addr()), segment.to.ip());
                let (from, to) = (ip.header().source(), ip.header().destination());
                prop_assert_eq!(read.calc_checksum_ipv6(from, to), Ok(read.checksum()));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn what_is_not_a_whole_segment_of_tcp_is_not_read() {
    let end = |text: &str| text.parse().unwrap();
    for (from, to) in [("192.0.2.1:61000", "192.0.2.10:80"), ("[2001:db8::1]:61000", "[2001:db8::10]:80")] {
        let segment = Segment {
            destination: Mac([2, 0, 0, 0, 0, 1]),
            source: Mac([2, 0, 0, 0, 0, 2]),
            from: end(from),
            to: end(to),
            sequence: 7,
            acknowledgment: 0,
            kind: Kind::Syn,
        };
        let octets = segment.write().unwrap();
        for length in 0..octets.len() {
            assert!(Segment::read(&octets[..length]).is_err(), "{length} octets of it");
        }
        let protocol = if segment.from.is_ipv4() { HEADER + 9 } else { HEADER + 6 };
        let mut udp = octets;
        udp[protocol] = 17;
        assert_eq!(Segment::read(&udp), Err(Unread::Other));
        assert_eq!(
            Segment { to: end(if segment.from.is_ipv4() { "[::1]:1" } else { "127.0.0.1:1" }), ..segment }.write(),
            None
        );
    }
}
