use std::net::SocketAddr;

use proptest::prelude::*;

use super::*;
use crate::answer::gratuitous;
use crate::ask::question;
use crate::mac::Mac;
use crate::tcp::{Kind, Segment};

const US: Mac = Mac([2, 0, 0, 0, 0, 1]);
/// `PACKET_HOST`, `PACKET_BROADCAST` and `PACKET_MULTICAST`, ...
const TO_US: [u32; 3] = [0, 1, 2];
/// ... `PACKET_OTHERHOST`, as which also comes what belongs to a VLAN that has no interface here, and `PACKET_OUTGOING`.
const NOT_TO_US: [u32; 2] = [3, 4];

/// The kernel's machine, as far as programs of ours need it. The kernel itself is asked in portolan-sys.
fn lets_through(program: &[Instruction], packet_type: u32, octets: &[u8]) -> bool {
    let (mut at, mut value, mut index, mut kept) = (0, 0, 0, [0; 16]);
    loop {
        let Instruction { code, jump_true, jump_false, value: operand } = program[at];
        at += 1;
        let load = |width: usize| {
            let from = operand as usize;
            let octets = octets.get(from..from + width)?;
            Some(octets.iter().fold(0, |value, octet| value << 8 | u32::from(*octet)))
        };
        let loaded = match code {
            LOAD_OCTET if operand == PACKET_TYPE => Some(packet_type),
            LOAD_OCTET => load(1),
            LOAD_HALF => load(2),
            LOAD_WORD => load(4),
            LOAD_KEPT => Some(kept[operand as usize]),
            FROM_INDEX => Some(index),
            KEEP => {
                kept[operand as usize] = value;
                continue;
            }
            TO_INDEX => {
                index = value;
                continue;
            }
            AND => Some(value & operand),
            JUMP => {
                at += operand as usize;
                continue;
            }
            JUMP_EQUAL => {
                at += usize::from(if value == operand { jump_true } else { jump_false });
                continue;
            }
            JUMP_AT_LEAST => {
                at += usize::from(if value >= operand { jump_true } else { jump_false });
                continue;
            }
            RETURN => return operand != 0,
            other => panic!("{other:#x}"),
        };
        // A load beyond the end drops the frame.
        let Some(loaded) = loaded else { return false };
        value = loaded;
    }
}

fn addresses() -> impl Strategy<Value = Vec<IpAddr>> {
    let v4 = (0..4_u32, any::<u8>())
        .prop_map(|(net, host)| IpAddr::from(Ipv4Addr::from_bits(0xc000_0200 + (net << 14) + u32::from(host))));
    let v6 = (0..3_u128, any::<u16>())
        .prop_map(|(net, host)| IpAddr::from(Ipv6Addr::from_bits(0x2001_0db8 << 96 | net << 70 | u128::from(host))));
    proptest::collection::vec(prop_oneof![v4, v6], 0..40)
}

proptest! {
    #[test]
    fn what_concerns_an_address_gets_through_unless_we_sent_it_or_it_is_for_others(addresses in addresses()) {
        let program = program(addresses.clone(), PREFIXES);
        prop_assert!(program.len() <= MOST);
        for address in addresses {
            let mut frames = gratuitous(US, address);
            frames.push(question(US, address));
            for frame in frames {
                prop_assert!(TO_US.iter().all(|how| lets_through(&program, *how, &frame.write())), "{frame:?}");
                prop_assert!(!NOT_TO_US.iter().any(|how| lets_through(&program, *how, &frame.write())), "{frame:?}");
            }
        }
    }

    #[test]
    fn of_few_addresses_nothing_else_gets_through(addresses in addresses(), others in addresses()) {
        let program = program(addresses.clone(), PREFIXES);
        for other in others.into_iter().filter(|other| !addresses.contains(other)) {
            for frame in gratuitous(US, other) {
                prop_assert!(!lets_through(&program, 0, &frame.write()), "{frame:?}");
            }
        }
    }

    #[test]
    fn any_octets_end_the_program(octets in proptest::collection::vec(any::<u8>(), 0..100), addresses in addresses()) {
        let _ = lets_through(&program(addresses.clone(), PREFIXES), 0, &octets);
        let _ = lets_through(&for_proofs(addresses, PREFIXES), 0, &octets);
    }

    #[test]
    fn for_proofs_what_comes_back_from_an_address_gets_through_besides_and_from_nobody_else(
        addresses in addresses(), others in addresses(),
    ) {
        let program = for_proofs(addresses.clone(), PREFIXES);
        prop_assert!(program.len() <= MOST);
        for address in addresses.iter().copied() {
            prop_assert!(lets_through(&program, 0, &gratuitous(US, address)[0].write()));
            let octets = segment(address, FIRST_PORT).write().unwrap();
            prop_assert!(lets_through(&program, 0, &octets));
            prop_assert!(!NOT_TO_US.iter().any(|how| lets_through(&program, *how, &octets)));
            prop_assert!(!lets_through(&program, 0, &segment(address, FIRST_PORT - 1).write().unwrap()));
            prop_assert!(!lets_through(&super::program(addresses.clone(), PREFIXES), 0, &octets));
        }
        for other in others.into_iter().filter(|other| !addresses.contains(other)) {
            prop_assert!(!lets_through(&program, 0, &segment(other, FIRST_PORT).write().unwrap()));
        }
    }
}

/// From a port of this address to one of ours.
fn segment(from: IpAddr, to: u16) -> Segment {
    let own: IpAddr = if from.is_ipv4() { "192.0.2.1" } else { "2001:db8::1" }.parse().unwrap();
    let (from, to) = (SocketAddr::new(from, 80), SocketAddr::new(own, to));
    Segment { destination: US, source: US, from, to, sequence: 1, acknowledgment: 2, kind: Kind::SynAck }
}

/// Octets that the kernel charges to a socket for it, rather too many than too few (`bpf_convert_filter` and `convert_bpf_ld_abs` in its
/// net/core/filter.c): a load from a frame becomes fourteen of its instructions, of eight octets each, a jump at most three.
fn charged(program: &[Instruction]) -> usize {
    let made = |Instruction { code, .. }: &Instruction| match *code {
        LOAD_OCTET | LOAD_HALF | LOAD_WORD => 14,
        JUMP_EQUAL | JUMP_AT_LEAST => 3,
        RETURN => 2,
        _ => 1,
    };
    128 + 8 * (8 + program.iter().map(made).sum::<usize>())
}

/// `net.core.optmem_max` as kernels have it by themselves, before Linux 6.8 and since.
const ROOM: [usize; 2] = [20_480, 131_072];

#[test]
fn ten_thousand_scattered_addresses_of_each_family_fit_and_all_get_through() {
    let scattered = |n: u32| n.wrapping_mul(2_654_435_761);
    let v4 = (0..10_000).map(|n| IpAddr::from(Ipv4Addr::from_bits(0x0a00_0000 | scattered(n) >> 8)));
    let v6 = (0..10_000).map(|n| IpAddr::from(Ipv6Addr::from_bits(0xfd00 << 112 | u128::from(scattered(n)) << 40 | 1)));
    let (v4, v6): (Vec<IpAddr>, Vec<IpAddr>) = (v4.collect(), v6.collect());
    // All in one program: as many as there ever are.
    let both = program(v4.iter().chain(&v6).copied(), PREFIXES);
    assert!((1000..=MOST).contains(&both.len()), "{}", both.len());
    let proofs = for_proofs(v4.iter().chain(&v6).copied(), PREFIXES);
    assert!(proofs.len() <= MOST, "{}", proofs.len());
    let widest = charged(&program([], 0)).max(charged(&for_proofs([], 0)));
    for addresses in [v4, v6] {
        for (room, most) in ROOM.into_iter().zip([PREFIXES / 2, PREFIXES]) {
            let (program, proofs) = (program(addresses.clone(), most), for_proofs(addresses.clone(), most));
            assert!(charged(&program) + widest < room, "{} of {room} in the place of {widest}", charged(&program));
            assert!(charged(&proofs) + widest < room, "{} of {room} in the place of {widest}", charged(&proofs));
            for address in addresses.iter().step_by(97) {
                assert!(lets_through(&program, 0, &question(US, *address).write()), "{address}");
                assert!(lets_through(&proofs, 0, &segment(*address, FIRST_PORT).write().unwrap()), "{address}");
            }
        }
    }
}

proptest! {
    #[test]
    fn without_a_prefix_what_concerns_any_address_gets_through_and_the_program_is_always_the_same(addresses in addresses()) {
        let (wide, wide_for_proofs) = (program(addresses.clone(), 0), for_proofs(addresses.clone(), 0));
        prop_assert_eq!(&wide, &program([], 0));
        for address in addresses.iter().copied() {
            prop_assert!(lets_through(&wide, 0, &question(US, address).write()));
            prop_assert!(!NOT_TO_US.iter().any(|how| lets_through(&wide, *how, &question(US, address).write())));
            prop_assert!(lets_through(&wide_for_proofs, 0, &segment(address, FIRST_PORT).write().unwrap()));
        }
    }
}

#[test]
fn a_pool_in_one_piece_is_told_from_its_neighbours() {
    let pool = (0..=255).map(|n| IpAddr::from(Ipv4Addr::new(198, 51, 100, n)));
    let program = program(pool, PREFIXES);
    for (address, expected) in
        [("198.51.100.0", true), ("198.51.100.255", true), ("198.51.101.0", false), ("198.51.99.255", false)]
    {
        assert_eq!(lets_through(&program, 0, &question(US, address.parse().unwrap()).write()), expected, "{address}");
    }
}

#[test]
fn other_protocols_do_not_get_through() {
    let vip: IpAddr = "2001:db8::10".parse().unwrap();
    let mut router_advertisement = question(US, vip).write();
    router_advertisement[54] = 134;
    let mut tcp = question(US, vip).write();
    tcp[20] = 6;
    let mut ipv4 = question(US, "192.0.2.10".parse().unwrap()).write();
    (ipv4[12], ipv4[13]) = (8, 0);
    let program = program([vip, "192.0.2.10".parse().unwrap()], PREFIXES);
    for octets in [router_advertisement, tcp, ipv4, Vec::new(), vec![0; 20]] {
        assert!(!lets_through(&program, 0, &octets), "{octets:?}");
    }
}
