//! The ranges that addresses come from.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use portolan_core::balancer::{Family, Scheme};

/// The ranges of a class. Internal and public ones never overlap, so an address tells its scheme.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ranges {
    /// For load balancers that only the private network reaches. The first range with a free address gives it.
    pub internal: Vec<IpNet>,
    /// For those that everybody reaches, and where nobody said. The first range with a free address gives it.
    pub public: Vec<IpNet>,
}

impl Default for Ranges {
    /// 10.255.0.0/16 and ULA-like documentation space inside, TEST-NET-3 (RFC 5737) and then the benchmarking range (RFC 2544)
    /// outside: no default ever collides with a host that somebody needs.
    fn default() -> Self {
        let v4 = |a, b, c, length| IpNet::new_assert(IpAddr::V4(Ipv4Addr::new(a, b, c, 0)), length);
        let v6 = |group| IpNet::new_assert(IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, group, 0, 0, 0, 0, 0)), 64);
        Self {
            internal: vec![v4(10, 255, 0, 16), v6(0x255)],
            public: vec![v4(203, 0, 113, 24), v4(198, 18, 0, 15), v6(0x113)],
        }
    }
}

impl Ranges {
    /// The ranges of a scheme.
    pub fn of(&self, scheme: Scheme) -> &[IpNet] {
        match scheme {
            Scheme::Internal => &self.internal,
            Scheme::Public => &self.public,
        }
    }

    /// The ranges of a scheme and a family, in their order.
    pub fn of_family(&self, scheme: Scheme, family: Family) -> impl Iterator<Item = &IpNet> {
        self.of(scheme).iter().filter(move |range| Family::of(range.addr()) == family)
    }

    /// The scheme to which an address belongs, if it can be given at all.
    pub fn scheme_of(&self, address: IpAddr) -> Option<Scheme> {
        [Scheme::Internal, Scheme::Public].into_iter().find(|scheme| self.gives(*scheme, address))
    }

    /// This scheme can give this address.
    pub fn gives(&self, scheme: Scheme, address: IpAddr) -> bool {
        self.of(scheme).iter().any(|range| Hosts::of(range).contains(address))
    }
}

/// The addresses of a range that a host can have, counted from its first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hosts {
    family: Family,
    first: u128,
    last: u128,
}

impl Hosts {
    /// Without IPv4's network and broadcast addresses (all of a /31 and /32 are hosts, RFC 3021), and without IPv6's all-zero host,
    /// which is the subnet-router anycast address (RFC 4291, 2.6.1).
    pub(crate) fn of(range: &IpNet) -> Self {
        let (first, last) = match range {
            IpNet::V4(net) => (u128::from(net.network().to_bits()), u128::from(net.broadcast().to_bits())),
            IpNet::V6(net) => (net.network().to_bits(), net.broadcast().to_bits()),
        };
        let (first, last) = match range {
            IpNet::V4(net) if net.prefix_len() <= 30 => (first.saturating_add(1), last.saturating_sub(1)),
            IpNet::V6(net) if net.prefix_len() <= 127 => (first.saturating_add(1), last),
            IpNet::V4(_) | IpNet::V6(_) => (first, last),
        };
        Self { family: Family::of(range.addr()), first, last }
    }

    /// The host at this offset.
    pub(crate) fn at(&self, offset: u128) -> Option<IpAddr> {
        let bits = self.first.checked_add(offset).filter(|bits| *bits <= self.last)?;
        Some(match self.family {
            Family::V4 => IpAddr::V4(Ipv4Addr::from_bits(u32::try_from(bits).ok()?)),
            Family::V6 => IpAddr::V6(Ipv6Addr::from_bits(bits)),
        })
    }

    /// The offset of this address.
    pub(crate) fn offset_of(&self, address: IpAddr) -> Option<u128> {
        let bits = match address {
            IpAddr::V4(address) => u128::from(address.to_bits()),
            IpAddr::V6(address) => address.to_bits(),
        };
        (Family::of(address) == self.family && bits <= self.last).then(|| bits.checked_sub(self.first)).flatten()
    }

    fn contains(&self, address: IpAddr) -> bool {
        self.offset_of(address).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(range: &str) -> Vec<String> {
        let hosts = Hosts::of(&range.parse().unwrap());
        (0..6).map_while(|offset| hosts.at(offset)).map(|address| address.to_string()).collect()
    }

    #[test]
    fn network_and_broadcast_are_never_given() {
        assert_eq!(hosts("192.0.2.0/30"), ["192.0.2.1", "192.0.2.2"]);
        assert_eq!(hosts("192.0.2.0/31"), ["192.0.2.0", "192.0.2.1"]);
        assert_eq!(hosts("192.0.2.7/32"), ["192.0.2.7"]);
        assert_eq!(hosts("255.255.255.252/30"), ["255.255.255.253", "255.255.255.254"]);
        assert!(!Ranges::default().gives(Scheme::Public, "203.0.113.0".parse().unwrap()));
        assert!(!Ranges::default().gives(Scheme::Public, "203.0.113.255".parse().unwrap()));
    }

    #[test]
    fn the_all_zero_host_is_never_given() {
        assert_eq!(hosts("2001:db8::/126"), ["2001:db8::1", "2001:db8::2", "2001:db8::3"]);
        assert_eq!(hosts("2001:db8::5/128"), ["2001:db8::5"]);
        assert_eq!(hosts("::/0").first().unwrap(), "::1");
    }

    #[test]
    fn an_address_tells_its_scheme() {
        let ranges = Ranges::default();
        assert_eq!(ranges.scheme_of("10.255.3.4".parse().unwrap()), Some(Scheme::Internal));
        assert_eq!(ranges.scheme_of("198.19.0.1".parse().unwrap()), Some(Scheme::Public));
        assert_eq!(ranges.scheme_of("2001:db8:113::9".parse().unwrap()), Some(Scheme::Public));
        assert_eq!(ranges.scheme_of("10.254.3.4".parse().unwrap()), None);
        assert_eq!(ranges.scheme_of("2001:db8:255::".parse().unwrap()), None);
    }
}
