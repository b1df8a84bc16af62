//! What the kernel lets through to us, so that the process wakes only for what may concern its addresses: a program for the kernel's classic
//! packet filter (<https://www.kernel.org/doc/html/latest/networking/filter.html>), which has room for 4,096 instructions.
//!
//! It lets through ARP packets whose sender or target, and solicitations and advertisements whose target, lies in one of a few prefixes that
//! cover the addresses; for proofs also TCP segments from there to ports from which they ask. What this host itself sends is not let through, nor
//! what is for other stations. As that also comes what has the tag of a VLAN without an interface here, to whomever it is: the kernel takes the tag
//! off, and its own address resolution leaves it alone as well.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

use crate::frame::{ARP, IPV4, IPV6};
use crate::rotation::{AT_ONCE, FIRST_PORT};
use crate::tcp::{PLAIN_IPV4, TCP};

/// What the kernel takes: `BPF_MAXINSNS`.
pub const MOST: usize = 4096;
/// Prefixes a family: an IPv4 prefix takes eight instructions, an IPv6 prefix at most ten. Whether the kernel has memory for as many is another
/// matter: it makes its own instructions of these, fourteen of each load from a frame, and charges them to the socket
/// (`net.core.optmem_max`: 20,480 octets at a time before Linux 6.8, 131,072 since).
pub const PREFIXES: usize = 200;

/// One instruction, as the kernel's `struct sock_filter` has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// What to do.
    pub code: u16,
    /// How many to skip if it holds.
    pub jump_true: u8,
    /// How many to skip if not.
    pub jump_false: u8,
    /// With what.
    pub value: u32,
}

const LOAD_OCTET: u16 = 0x30;
const LOAD_HALF: u16 = 0x28;
const LOAD_WORD: u16 = 0x20;
const LOAD_KEPT: u16 = 0x60;
const KEEP: u16 = 0x02;
const TO_INDEX: u16 = 0x07;
const FROM_INDEX: u16 = 0x87;
const AND: u16 = 0x54;
const JUMP: u16 = 0x05;
const JUMP_EQUAL: u16 = 0x15;
const JUMP_AT_LEAST: u16 = 0x35;
const RETURN: u16 = 0x06;

/// `SKF_AD_OFF + SKF_AD_PKTTYPE`: how the kernel came by the frame.
const PACKET_TYPE: u32 = 0xffff_f000_u32.wrapping_add(4);
/// `PACKET_OTHERHOST`. Above it are `PACKET_OUTGOING` and what never reaches a socket; below it, what came to this station, to all and to groups.
const TO_OTHERS: u32 = 3;

const ETHER_TYPE: u32 = 12;
const ARP_SENDER: u32 = 28;
const ARP_TARGET: u32 = 38;
const NEXT_HEADER: u32 = 20;
const ICMP_TYPE: u32 = 54;
const NDP_TARGET: u32 = 62;
const IPV4_FIRST: u32 = 14;
const IPV4_PROTOCOL: u32 = 23;
const IPV4_SOURCE: u32 = 26;
const IPV4_TO_PORT: u32 = 36;
const IPV6_SOURCE: u32 = 22;
const IPV6_TO_PORT: u32 = 56;
const ICMPV6: u32 = 58;
const SOLICITATION: u32 = 135;
const ADVERTISEMENT: u32 = 136;

const fn instruction(code: u16, value: u32) -> Instruction {
    Instruction { code, jump_true: 0, jump_false: 0, value }
}

const fn jump_equal(value: u32, jump_true: u8, jump_false: u8) -> Instruction {
    Instruction { code: JUMP_EQUAL, jump_true, jump_false, value }
}

const ACCEPT: Instruction = instruction(RETURN, u32::MAX);
const DROP: Instruction = instruction(RETURN, 0);

/// The program for these addresses, with so many prefixes of each family at most. Without any address it lets nothing through. With no prefix it lets
/// through what may concern any address: it is small, and always equally large.
pub fn program(addresses: impl IntoIterator<Item = IpAddr>, most: usize) -> Vec<Instruction> {
    let (v4, v6) = prefixes(addresses, most.min(PREFIXES));
    by_type([(ARP, arp(&v4)), (IPV6, ndp(&v6))])
}

/// The program for proofs of these addresses: the same, and what comes back from their ports.
pub fn for_proofs(addresses: impl IntoIterator<Item = IpAddr>, most: usize) -> Vec<Instruction> {
    let (v4, v6) = prefixes(addresses, most.min(AT_ONCE));
    let (mut ipv6, mut ndp) = (tcp_or_next(&tcp6(&v6)), ndp(&v6));
    ipv6.append(&mut ndp);
    by_type([(ARP, arp(&v4)), (IPV4, tcp4(&v4)), (IPV6, ipv6)])
}

/// At most so many prefixes of each family that cover the addresses; of none, one that covers all there are.
fn prefixes(addresses: impl IntoIterator<Item = IpAddr>, most: usize) -> (Vec<Ipv4Net>, Vec<Ipv6Net>) {
    if most == 0 {
        return (vec![Ipv4Net::default()], vec![Ipv6Net::default()]);
    }
    let (mut of_v4, mut of_v6) = (Vec::new(), Vec::new());
    for address in addresses {
        match address {
            IpAddr::V4(address) => of_v4.push(u128::from(address.to_bits()) << 96),
            IpAddr::V6(address) => of_v6.push(address.to_bits()),
        }
    }
    let v4 = cover(of_v4, 32, most)
        .into_iter()
        .map(|(bits, length)| (Ipv4Addr::from_bits(u32::try_from(bits >> 96).unwrap_or_default()), length))
        .filter_map(|(address, length)| Ipv4Net::new(address, length).ok());
    let v6 = cover(of_v6, 128, most)
        .into_iter()
        .filter_map(|(bits, length)| Ipv6Net::new(Ipv6Addr::from_bits(bits), length).ok());
    (v4.collect(), v6.collect())
}

/// What comes in, by what it is; each part ends by itself.
fn by_type<const N: usize>(parts: [(u16, Vec<Instruction>); N]) -> Vec<Instruction> {
    let mut program = vec![
        instruction(LOAD_OCTET, PACKET_TYPE),
        Instruction { code: JUMP_AT_LEAST, jump_true: 0, jump_false: 1, value: TO_OTHERS },
        DROP,
        instruction(LOAD_HALF, ETHER_TYPE),
    ];
    for (ether_type, mut part) in parts {
        program.push(jump_equal(u32::from(ether_type), 1, 0));
        program.push(past(&part));
        program.append(&mut part);
    }
    program.push(DROP);
    program
}

fn past(part: &[Instruction]) -> Instruction {
    instruction(JUMP, u32::try_from(part.len()).unwrap_or(u32::MAX))
}

/// One test that has to hold, of what was loaded last.
fn only(test: u16, value: u32) -> [Instruction; 2] {
    [Instruction { code: test, jump_true: 1, jump_false: 0, value }, DROP]
}

fn tcp4(prefixes: &[Ipv4Net]) -> Vec<Instruction> {
    let mut program = Vec::new();
    for (load, at, test, value) in [
        (LOAD_OCTET, IPV4_FIRST, JUMP_EQUAL, u32::from(PLAIN_IPV4)),
        (LOAD_OCTET, IPV4_PROTOCOL, JUMP_EQUAL, u32::from(TCP)),
        (LOAD_HALF, IPV4_TO_PORT, JUMP_AT_LEAST, u32::from(FIRST_PORT)),
    ] {
        program.push(instruction(load, at));
        program.extend(only(test, value));
    }
    within_v4(IPV4_SOURCE, prefixes, &mut program);
    program.push(DROP);
    program
}

fn tcp6(prefixes: &[Ipv6Net]) -> Vec<Instruction> {
    let mut program = vec![instruction(LOAD_HALF, IPV6_TO_PORT)];
    program.extend(only(JUMP_AT_LEAST, u32::from(FIRST_PORT)));
    within_v6(IPV6_SOURCE, prefixes, &mut program);
    program.push(DROP);
    program
}

/// What is TCP goes through this part; the rest, past it.
fn tcp_or_next(part: &[Instruction]) -> Vec<Instruction> {
    let mut program = vec![instruction(LOAD_OCTET, NEXT_HEADER), jump_equal(u32::from(TCP), 1, 0), past(part)];
    program.extend(part);
    program
}

fn arp(prefixes: &[Ipv4Net]) -> Vec<Instruction> {
    let mut program = Vec::new();
    for field in [ARP_TARGET, ARP_SENDER] {
        within_v4(field, prefixes, &mut program);
    }
    program.push(DROP);
    program
}

/// The frame is read once, not for each prefix.
fn within_v4(field: u32, prefixes: &[Ipv4Net], program: &mut Vec<Instruction>) {
    program.extend([instruction(LOAD_WORD, field), instruction(TO_INDEX, 0)]);
    for prefix in prefixes {
        program.push(instruction(FROM_INDEX, 0));
        program.push(instruction(AND, prefix.netmask().to_bits()));
        program.push(jump_equal(prefix.network().to_bits(), 0, 1));
        program.push(ACCEPT);
    }
}

fn ndp(prefixes: &[Ipv6Net]) -> Vec<Instruction> {
    let mut program = vec![
        instruction(LOAD_OCTET, NEXT_HEADER),
        jump_equal(ICMPV6, 1, 0),
        DROP,
        instruction(LOAD_OCTET, ICMP_TYPE),
        jump_equal(SOLICITATION, 2, 0),
        jump_equal(ADVERTISEMENT, 1, 0),
        DROP,
    ];
    within_v6(NDP_TARGET, prefixes, &mut program);
    program.push(DROP);
    program
}

/// The frame is read once, not for each prefix.
fn within_v6(field: u32, prefixes: &[Ipv6Net], program: &mut Vec<Instruction>) {
    for word in 0..4 {
        program.extend([instruction(LOAD_WORD, field + 4 * word), instruction(KEEP, word)]);
    }
    prefixes.iter().for_each(|prefix| within(prefix, program));
}

/// Word by word, as far as the prefix reaches; whoever differs goes on after the last of these.
fn within(prefix: &Ipv6Net, program: &mut Vec<Instruction>) {
    let (network, mask) = (prefix.network().to_bits(), prefix.netmask().to_bits());
    let mut tests = Vec::new();
    for (index, shift) in (0..).zip([96, 64, 32, 0]) {
        let word = |bits: u128| u32::try_from((bits >> shift) & u128::from(u32::MAX)).unwrap_or_default();
        if word(mask) == 0 {
            break;
        }
        tests.push(instruction(LOAD_KEPT, index));
        if word(mask) != u32::MAX {
            tests.push(instruction(AND, word(mask)));
        }
        tests.push(jump_equal(word(network), 0, 0));
    }
    tests.push(ACCEPT);
    let length = tests.len();
    for (index, test) in tests.iter_mut().enumerate() {
        if test.code == JUMP_EQUAL {
            test.jump_false = u8::try_from(length - index - 1).unwrap_or(u8::MAX);
        }
    }
    program.extend(tests);
}

/// At most so many prefixes, of which there is one at least, that hold all of these, which are at the upper end of 128 bits: neighbours stay together, and are parted where
/// they have least in common.
fn cover(mut addresses: Vec<u128>, length: u8, most: usize) -> Vec<(u128, u8)> {
    addresses.sort_unstable();
    addresses.dedup();
    let common = |pair: &[u128]| match pair {
        [a, b] => (a ^ b).leading_zeros(),
        _ => 128,
    };
    let mut parted: Vec<(u32, usize)> = addresses.windows(2).map(common).zip(1..).collect();
    parted.sort_unstable();
    parted.truncate(most.saturating_sub(1));
    let mut starts: Vec<usize> = parted.into_iter().map(|(_, start)| start).collect();
    starts.sort_unstable();
    let mut rest = addresses.as_slice();
    let mut groups = Vec::new();
    let mut taken = 0;
    for start in starts {
        if let Some((group, after)) = rest.split_at_checked(start - taken) {
            groups.push(group);
            (rest, taken) = (after, start);
        }
    }
    groups.push(rest);
    let prefix = |group: &[u128]| {
        let (first, last) = (*group.first()?, *group.last()?);
        let bits = u8::try_from((first ^ last).leading_zeros()).unwrap_or(length).min(length);
        Some((first, bits))
    };
    groups.into_iter().filter_map(prefix).collect()
}

#[cfg(test)]
mod tests;
