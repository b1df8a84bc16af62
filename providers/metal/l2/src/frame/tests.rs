use std::net::{Ipv4Addr, Ipv6Addr};

use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use proptest::prelude::*;

use super::*;
use crate::arp::Operation;
use crate::ndp::{Message, solicited_node};

fn mac() -> impl Strategy<Value = Mac> {
    any::<[u8; 6]>().prop_map(|[a, rest @ ..]| {
        let [b, c, d, e, f] = rest;
        Mac([a & !1, b, c, d, e, f])
    })
}

fn arp() -> impl Strategy<Value = Payload> {
    (any::<bool>(), mac(), any::<[u8; 4]>(), mac(), any::<[u8; 4]>()).prop_map(|(asks, sender, from, target, to)| {
        Payload::Arp(Arp {
            operation: if asks { Operation::Request } else { Operation::Reply },
            sender,
            sender_address: from.into(),
            target,
            target_address: to.into(),
        })
    })
}

fn ndp() -> impl Strategy<Value = Payload> {
    let unicast = || {
        any::<[u8; 16]>().prop_map(|mut octets| {
            octets[0] = 0x20;
            Ipv6Addr::from(octets)
        })
    };
    let link_layer = || proptest::option::of(mac());
    let asked = (unicast(), unicast(), link_layer()).prop_map(|(source, target, source_link_layer)| Ndp {
        source,
        destination: solicited_node(target),
        target,
        message: Message::Solicitation { source_link_layer },
    });
    let told = (unicast(), unicast(), unicast(), any::<[bool; 3]>(), link_layer()).prop_map(
        |(source, destination, target, [router, solicited, overriding], target_link_layer)| Ndp {
            source,
            destination,
            target,
            message: Message::Advertisement { router, solicited, overriding, target_link_layer },
        },
    );
    prop_oneof![asked, told].prop_map(Payload::Ndp)
}

fn frame() -> impl Strategy<Value = Frame> {
    (any::<[u8; 6]>().prop_map(Mac), mac(), prop_oneof![arp(), ndp()])
        .prop_map(|(destination, source, payload)| Frame { destination, source, payload })
}

proptest! {
    #[test]
    fn what_is_written_reads_back_also_with_padding(frame in frame(), padding in 0..20_usize) {
        let mut octets = frame.write();
        octets.extend(vec![0; padding]);
        prop_assert_eq!(Frame::read(&octets), Ok(frame));
    }

    #[test]
    fn no_octets_make_reading_panic(octets in proptest::collection::vec(any::<u8>(), 0..120)) {
        let _ = Frame::read(&octets);
    }

    #[test]
    fn a_frame_with_any_octet_changed_is_another_one_or_none(frame in frame(), at in any::<prop::sample::Index>(), by in 1..=255_u8) {
        let mut octets = frame.write();
        let at = at.index(octets.len());
        octets[at] ^= by;
        // Of an IPv6 header, traffic class and flow label say nothing to us; nor do the bits of a message that are reserved.
        if let Ok(read) = Frame::read(&octets) && !(14..18).contains(&at) {
            prop_assert_ne!(read, frame);
        }
    }

    #[test]
    fn another_implementation_reads_the_same(frame in frame()) {
        let octets = frame.write();
        let sliced = SlicedPacket::from_ethernet(&octets).unwrap();
        match &frame.payload {
            Payload::Arp(arp) => {
                let Some(NetSlice::Arp(read)) = &sliced.net else { panic!("{sliced:?}") };
                prop_assert_eq!(read.operation().0, if arp.operation == Operation::Request { 1 } else { 2 });
                prop_assert_eq!(read.sender_hw_addr(), arp.sender.0);
                prop_assert_eq!(read.sender_protocol_addr(), arp.sender_address.octets());
                prop_assert_eq!(read.target_hw_addr(), arp.target.0);
                prop_assert_eq!(read.target_protocol_addr(), arp.target_address.octets());
            }
            Payload::Ndp(ndp) => {
                let Some(TransportSlice::Icmpv6(read)) = &sliced.transport else { panic!("{sliced:?}") };
                prop_assert!(read.is_checksum_valid(ndp.source.octets(), ndp.destination.octets()));
                let expected = match ndp.message {
                    Message::Solicitation { .. } => 135,
                    Message::Advertisement { .. } => 136,
                };
                prop_assert_eq!(read.type_u8(), expected);
                let Some(NetSlice::Ipv6(ip)) = &sliced.net else { panic!("{sliced:?}") };
                prop_assert_eq!(ip.header().hop_limit(), 255);
                prop_assert_eq!(ip.header().source_addr(), ndp.source);
            }
        }
    }
}

const US: Mac = Mac([2, 0, 0, 0, 0, 1]);

fn told(change: impl FnOnce(&mut Vec<u8>)) -> Result<Frame, Unread> {
    let target: Ipv6Addr = "2001:db8::10".parse().unwrap();
    let message =
        Message::Advertisement { router: false, solicited: true, overriding: true, target_link_layer: Some(US) };
    let destination = "2001:db8::1".parse().unwrap();
    let ndp = Ndp { source: target, destination, target, message };
    let mut octets = Frame { destination: US, source: US, payload: Payload::Ndp(ndp) }.write();
    change(&mut octets);
    Frame::read(&octets)
}

#[test]
fn what_rfc_4861_says_must_be_dropped_is() {
    assert!(told(|_| {}).is_ok());
    assert_eq!(told(|octets| octets[21] = 254), Err(Unread::Invalid("it may have been forwarded")));
    assert_eq!(told(|octets| octets[55] = 1), Err(Unread::Invalid("its code is not 0")));
    assert_eq!(told(|octets| octets[57] ^= 1), Err(Unread::Invalid("its checksum is wrong")));
    assert_eq!(told(|octets| octets.truncate(70)), Err(Unread::Short));
    assert_eq!(told(|octets| octets[20] = 17), Err(Unread::Other));
    assert_eq!(told(|octets| octets[54] = 134), Err(Unread::Other));
}

#[test]
fn who_has_no_address_yet_asks_all_who_may_have_it_and_says_nothing_of_himself() {
    let target: Ipv6Addr = "2001:db8::10".parse().unwrap();
    let asked = |destination, source_link_layer| {
        let message = Message::Solicitation { source_link_layer };
        let ndp = Ndp { source: Ipv6Addr::UNSPECIFIED, destination, target, message };
        Frame::read(&Frame { destination: US, source: US, payload: Payload::Ndp(ndp) }.write())
    };
    assert!(asked(solicited_node(target), None).is_ok());
    assert!(matches!(asked(solicited_node(target), Some(US)), Err(Unread::Invalid(_))));
    assert!(matches!(asked(target, None), Err(Unread::Invalid(_))));
}

#[test]
fn an_arp_packet_is_as_rfc_826_has_it() {
    let arp = Arp {
        operation: Operation::Request,
        sender: US,
        sender_address: Ipv4Addr::new(192, 0, 2, 1),
        target: Mac::ZERO,
        target_address: Ipv4Addr::new(192, 0, 2, 10),
    };
    let octets = Frame { destination: Mac::BROADCAST, source: US, payload: Payload::Arp(arp) }.write();
    let text: Vec<String> = octets.iter().map(|octet| format!("{octet:02x}")).collect();
    assert_eq!(
        text.join(" "),
        "ff ff ff ff ff ff 02 00 00 00 00 01 08 06 00 01 08 00 06 04 00 01 02 00 00 00 00 01 c0 00 02 01 00 00 00 00 00 00 c0 00 02 0a"
    );
}
