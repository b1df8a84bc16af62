//! Ethernet addresses.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

/// An Ethernet address (IEEE 802 MAC-48).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// Everybody on the segment.
    pub const BROADCAST: Self = Self([0xff; 6]);

    /// Nobody: in a question, "which I do not know".
    pub const ZERO: Self = Self([0; 6]);

    /// More than one station listens to it, as to broadcast.
    pub const fn is_group(self) -> bool {
        let [first, ..] = self.0;
        first & 1 == 1
    }

    /// The group to which frames for an IPv6 multicast address go (RFC 2464 section 7).
    pub const fn of_multicast(group: Ipv6Addr) -> Self {
        let [.., a, b, c, d] = group.octets();
        Self([0x33, 0x33, a, b, c, d])
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is no Ethernet address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no Ethernet address: six pairs of hexadecimal digits with colons between them")]
pub struct NoMac(String);

impl FromStr for Mac {
    type Err = NoMac;

    fn from_str(text: &str) -> Result<Self, NoMac> {
        let octet = |pair: &str| {
            let is_pair = pair.len() == 2 && pair.chars().all(|digit| digit.is_ascii_hexdigit());
            u8::from_str_radix(pair, 16).ok().filter(|_| is_pair)
        };
        let octets: Option<Vec<u8>> = text.split(':').map(octet).collect();
        let octets = octets.and_then(|octets| octets.try_into().ok());
        octets.map(Self).ok_or_else(|| NoMac(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_as_it_is_written_and_nothing_else_is() {
        let mac = Mac([2, 0, 0xab, 0xcd, 0xef, 9]);
        assert_eq!(mac.to_string().parse(), Ok(mac));
        assert_eq!("02:00:AB:CD:EF:09".parse(), Ok(mac));
        for text in
            ["", "02:00:ab:cd:ef", "02:00:ab:cd:ef:09:00", "2:0:ab:cd:ef:9", "02:00:ab:cd:ef:+9", "02-00-ab-cd-ef-09"]
        {
            assert_eq!(text.parse::<Mac>(), Err(NoMac(text.to_owned())));
        }
    }

    #[test]
    fn a_multicast_address_has_its_last_four_octets_in_its_group() {
        let group: Ipv6Addr = "ff02::1:ff28:9c5a".parse().unwrap();
        assert_eq!(Mac::of_multicast(group).to_string(), "33:33:ff:28:9c:5a");
        assert!(Mac::of_multicast(group).is_group());
        assert!(!Mac([2, 0, 0, 0, 0, 1]).is_group());
    }
}
