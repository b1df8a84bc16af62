//! Addresses as old servers stored them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Reads an address the way Kubernetes reads stored ones: leading zeros are decimal (`010.0.0.1` is 10.0.0.1), and an IPv4-mapped
/// IPv6 address is the IPv4 address. KEP-4858 keeps such values legal in objects that hold them already.
pub fn parse_ip(text: &str) -> Option<IpAddr> {
    let address = if text.contains(':') { IpAddr::V6(parse_v6(text)?) } else { IpAddr::V4(parse_v4(text)?) };
    Some(address.to_canonical())
}

/// Four decimal numbers, with or without leading zeros.
fn parse_v4(text: &str) -> Option<Ipv4Addr> {
    let mut octets = [0; 4];
    let mut parts = text.split('.');
    for octet in &mut octets {
        let part = parts.next()?;
        if part.is_empty() || !part.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        *octet = part.parse().ok()?;
    }
    parts.next().is_none().then(|| octets.into())
}

/// RFC 4291 text; a dotted quad at its end may have leading zeros too.
fn parse_v6(text: &str) -> Option<Ipv6Addr> {
    match text.rsplit_once(':') {
        Some((head, tail)) if tail.contains('.') => format!("{head}:{}", parse_v4(tail)?).parse().ok(),
        _ => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_addresses_read_as_kubernetes_reads_them() {
        for (text, means) in [
            ("10.0.0.1", Some("10.0.0.1")),
            ("010.000.0.001", Some("10.0.0.1")),
            ("::ffff:1.2.3.4", Some("1.2.3.4")),
            ("::ffff:001.2.3.04", Some("1.2.3.4")),
            ("::ffff:102:304", Some("1.2.3.4")),
            ("2001:DB8:0::0010", Some("2001:db8::10")),
            ("::", Some("::")),
            ("", None),
            ("banana", None),
            ("1.2.3", None),
            ("1.2.3.4.5", None),
            ("1..3.4", None),
            ("1.2.3.256", None),
            ("+1.2.3.4", None),
            ("1.2.3.4 ", None),
            ("1.2.3.4/32", None),
            ("fe80::1%eth0", None),
            ("::ffff:1.2.3", None),
            ("1:2:3:4:5:6:7:8:9", None),
        ] {
            assert_eq!(parse_ip(text), means.map(|text| text.parse().unwrap()), "{text:?}");
        }
    }
}
