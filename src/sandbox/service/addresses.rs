//! What an address, or a range of them, may be where a Service has them: `pkg/apis/core/validation` and
//! `k8s.io/apimachinery/pkg/util/validation/ip.go`, `IsValidIPForLegacyField` and `IsValidCIDRForLegacyField`.

use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;

/// What is wrong with an address.
pub(super) fn unfit(text: &str) -> Option<&'static str> {
    let Some(address) = sloppy(text) else {
        return Some("must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)");
    };
    match address {
        _ if text.parse::<IpAddr>().is_err() => Some("must not have leading 0s"),
        IpAddr::V6(address) if is_mapped(address) => Some("must not be an IPv4-mapped IPv6 address"),
        IpAddr::V4(_) | IpAddr::V6(_) => None,
    }
}

/// What is wrong with a range; blanks around it do not count.
pub(super) fn unfit_range(text: &str) -> Option<&'static str> {
    let text = text.trim();
    let parsed = text.split_once('/').and_then(|(address, length)| {
        let digits = !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit());
        let range = IpNet::new(sloppy(address)?, length.parse().ok().filter(|_| digits)?).ok()?;
        Some((range, address.parse::<IpAddr>().is_err() || length.len() > 1 && length.starts_with('0')))
    });
    let Some((range, zeros)) = parsed else {
        return Some("must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)");
    };
    match range.addr() {
        _ if zeros => Some("must not have leading 0s in IP or prefix length"),
        IpAddr::V6(address) if is_mapped(address) => Some("must not be an IPv4-mapped IPv6 address"),
        address if address != range.network() => Some("must not have bits set beyond the prefix length"),
        IpAddr::V4(_) | IpAddr::V6(_) => None,
    }
}

/// `ValidateNonSpecialIP`: addresses that no packet from outside may reach.
pub(in crate::sandbox) fn special(address: IpAddr) -> Option<&'static str> {
    let link_local = match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    let link_local_multicast = match address {
        IpAddr::V4(address) => matches!(address.octets(), [224, 0, 0, _]),
        IpAddr::V6(address) => matches!(address.segments(), [first, ..] if first & 0xff0f == 0xff02),
    };
    if address.is_unspecified() {
        Some("may not be unspecified (0.0.0.0 or ::)")
    } else if address.is_loopback() {
        Some("may not be in the loopback range (127.0.0.0/8, ::1/128)")
    } else if link_local {
        Some("may not be in the link-local range (169.254.0.0/16, fe80::/10)")
    } else if link_local_multicast {
        Some("may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)")
    } else {
        None
    }
}

/// An address as Go once read it: zeros before a number are nothing.
pub(super) fn sloppy(text: &str) -> Option<IpAddr> {
    if text.contains(':') {
        return text.parse().ok();
    }
    let number = |part: &str| match part.trim_start_matches('0') {
        "" if !part.is_empty() => "0".to_owned(),
        rest => rest.to_owned(),
    };
    text.split('.').map(number).collect::<Vec<_>>().join(".").parse().ok()
}

fn is_mapped(address: Ipv6Addr) -> bool {
    address.to_ipv4_mapped().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_says_nothing_beyond_its_length_and_has_no_idle_zeros() {
        for (range, wrong) in [
            ("10.0.0.0/8", None),
            (" 0.0.0.0/0 ", None),
            ("2001:db8::/64", None),
            ("10.0.0.1/8", Some("bits set")),
            ("010.0.0.0/8", Some("leading 0s")),
            ("10.0.0.0/08", Some("leading 0s")),
            ("10.0.0.0", Some("valid CIDR")),
            ("10.0.0.0/33", Some("valid CIDR")),
            ("x", Some("valid CIDR")),
            ("::ffff:10.0.0.0/104", Some("mapped")),
        ] {
            let found = unfit_range(range);
            assert!(found.is_some() == wrong.is_some(), "{range}: {found:?}");
            assert!(found.unwrap_or_default().contains(wrong.unwrap_or_default()), "{range}: {found:?}");
        }
    }

    #[test]
    fn an_address_has_no_idle_zeros() {
        assert_eq!(unfit("10.0.0.1"), None);
        assert_eq!(unfit("fd00::1"), None);
        assert_eq!(unfit("010.0.0.1"), Some("must not have leading 0s"));
        assert!(unfit("10..0.1").is_some_and(|why| why.starts_with("must be a valid IP")));
    }
}
