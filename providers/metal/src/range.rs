//! Ranges of addresses, written as MetalLB has them: `192.0.2.0/24`, `192.0.2.10-192.0.2.20`, and a single address.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use portolan_core::balancer::Family;

/// Addresses of one family from one to another, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Range {
    family: Family,
    first: u128,
    last: u128,
}

/// Why a text is no range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RangeError {
    /// It is none of the three.
    #[error("{0:?} is no range of addresses; write 192.0.2.0/24, 192.0.2.10-192.0.2.20 or 192.0.2.10")]
    Form(String),
    /// A network with bits of a host.
    #[error("{0:?} has bits beyond its prefix; write {1}, or the addresses from and to with a - between them")]
    HostBits(String, IpNet),
    /// Two families.
    #[error("{0:?} begins in one family and ends in another")]
    Families(String),
    /// The end is before the beginning.
    #[error("{0:?} ends before it begins")]
    Backwards(String),
    /// Multicast, loopback, unspecified.
    #[error("{0:?} holds addresses that no load balancer can have ({1})")]
    Unusable(String, &'static str),
}

impl Range {
    /// Reads a text.
    pub fn parse(text: &str) -> Result<Self, RangeError> {
        let form = || RangeError::Form(text.to_owned());
        let range = if let Some((first, last)) = text.split_once('-') {
            let first: IpAddr = first.trim().parse().map_err(|_| form())?;
            let last: IpAddr = last.trim().parse().map_err(|_| form())?;
            if Family::of(first) != Family::of(last) {
                return Err(RangeError::Families(text.to_owned()));
            }
            Self { family: Family::of(first), first: bits(first), last: bits(last) }
        } else if text.contains('/') {
            let network: IpNet = text.trim().parse().map_err(|_| form())?;
            if network.addr() != network.network() {
                return Err(RangeError::HostBits(text.to_owned(), network.trunc()));
            }
            Self::of(network)
        } else {
            let address: IpAddr = text.trim().parse().map_err(|_| form())?;
            Self { family: Family::of(address), first: bits(address), last: bits(address) }
        };
        if range.first > range.last {
            return Err(RangeError::Backwards(text.to_owned()));
        }
        match UNUSABLE.iter().find(|(network, _)| range.overlaps(&network())) {
            Some((_, why)) => Err(RangeError::Unusable(text.to_owned(), why)),
            None => Ok(range),
        }
    }

    /// All addresses of a network.
    pub fn of(network: IpNet) -> Self {
        let network = network.trunc();
        Self {
            family: Family::of(network.addr()),
            first: bits(network.network()),
            last: bits(match network {
                IpNet::V4(network) => network.broadcast().into(),
                IpNet::V6(network) => network.broadcast().into(),
            }),
        }
    }

    /// Of which family they are.
    pub fn family(&self) -> Family {
        self.family
    }

    /// The first.
    pub fn first(&self) -> IpAddr {
        address(self.family, self.first)
    }

    /// The last.
    pub fn last(&self) -> IpAddr {
        address(self.family, self.last)
    }

    /// It is one of them.
    pub fn contains(&self, of: IpAddr) -> bool {
        Family::of(of) == self.family && (self.first..=self.last).contains(&bits(of))
    }

    /// Some address is in both.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.family == other.family && self.first <= other.last && other.first <= self.last
    }

    /// All addresses of the other are in this.
    pub fn covers(&self, other: &Self) -> bool {
        self.family == other.family && self.first <= other.first && other.last <= self.last
    }

    pub(crate) const fn new(family: Family, first: u128, last: u128) -> Self {
        Self { family, first, last }
    }

    pub(crate) fn bits(&self) -> (u128, u128) {
        (self.first, self.last)
    }
}

type Unusable = (fn() -> Range, &'static str);

/// Nobody can be reached at these (RFC 6890; RFC 4291 sections 2.4 and 2.5.6). Link-local IPv6 addresses are many things on many links.
const UNUSABLE: [Unusable; 6] = [
    (|| v4([0, 0, 0, 0], 8), "this network"),
    (|| v4([127, 0, 0, 0], 8), "loopback"),
    (|| v4([224, 0, 0, 0], 3), "multicast and reserved"),
    (|| v6(0, 127), "unspecified and loopback"),
    (|| v6(0xff00 << 112, 8), "multicast"),
    (|| v6(0xfe80 << 112, 10), "link-local"),
];

fn v4(octets: [u8; 4], length: u8) -> Range {
    let first = u128::from(u32::from_be_bytes(octets));
    Range { family: Family::V4, first, last: first | (u128::from(u32::MAX) >> length) }
}

fn v6(first: u128, length: u8) -> Range {
    Range { family: Family::V6, first, last: first | (u128::MAX >> length) }
}

/// The number of an address in its family.
pub(crate) fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_bits().into(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// The address of a number.
pub(crate) fn address(family: Family, bits: u128) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::from_bits(u32::try_from(bits).unwrap_or(u32::MAX)).into(),
        Family::V6 => Ipv6Addr::from_bits(bits).into(),
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last { self.first().fmt(f) } else { write!(f, "{}-{}", self.first(), self.last()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_a_range_and_an_address_are_ranges() {
        for (text, expected) in [
            ("192.0.2.0/24", "192.0.2.0-192.0.2.255"),
            ("10.0.0.0/8", "10.0.0.0-10.255.255.255"),
            ("192.0.2.10-192.0.2.20", "192.0.2.10-192.0.2.20"),
            ("192.0.2.10 - 192.0.2.20", "192.0.2.10-192.0.2.20"),
            ("192.0.2.10", "192.0.2.10"),
            ("192.0.2.10/32", "192.0.2.10"),
            ("2001:db8::/64", "2001:db8::-2001:db8::ffff:ffff:ffff:ffff"),
            ("2001:db8::10-2001:db8::1f", "2001:db8::10-2001:db8::1f"),
        ] {
            assert_eq!(Range::parse(text).unwrap().to_string(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_none_says_what_to_write() {
        for (text, expected) in [
            ("", "is no range of addresses"),
            ("192.0.2", "is no range of addresses"),
            ("192.0.2.0/33", "is no range of addresses"),
            ("192.0.2.1/24", "write 192.0.2.0/24"),
            ("192.0.2.20-192.0.2.10", "ends before it begins"),
            ("192.0.2.20-2001:db8::1", "begins in one family and ends in another"),
            ("127.0.0.0/24", "loopback"),
            ("0.0.0.0/0", "this network"),
            ("224.0.0.1", "multicast and reserved"),
            ("255.255.255.255", "multicast and reserved"),
            ("::/0", "unspecified and loopback"),
            ("::1", "unspecified and loopback"),
            ("fe80::/64", "link-local"),
            ("ff02::1", "multicast"),
        ] {
            let error = Range::parse(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
