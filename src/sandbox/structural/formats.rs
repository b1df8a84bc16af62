//! The formats of texts that the server knows (`k8s.io/apiextensions-apiserver/pkg/apiserver/validation/formats.go`), as
//! `k8s.io/kube-openapi/pkg/validation/strfmt` checks them. What it does not know it ignores.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use regex::Regex;

use crate::sandbox::metadata::{is_label, is_subdomain};

/// Formats that the server knows and the sandbox does not check; whoever defines a kind with one is warned.
pub(in crate::sandbox) const UNCHECKED: [&str; 5] = ["bsonobjectid", "creditcard", "isbn", "isbn10", "isbn13"];

/// Formats of numbers, and of texts that are checked.
pub(super) fn is_known(format: &str) -> bool {
    matches!(format, "int32" | "int64" | "float" | "double") || is_of(format, "").is_some()
}

/// Whether a text is of a format; none where nobody knows the format.
pub(super) fn is_of(format: &str, text: &str) -> Option<bool> {
    // The dashes of a format's name do not count.
    Some(match format.replace('-', "").as_str() {
        "byte" => matches(r"^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{4})$", text),
        "cidr" => is_network(text),
        "date" => text.len() == 10 && text.parse::<jiff::civil::Date>().is_ok(),
        "datetime" => is_time(text),
        "duration" => is_duration(text),
        "email" => matches(r"^([^@<>]*<[^@\s<>]+@[^@\s<>]+>|[^@\s<>]+@[^@\s<>]+)$", text),
        "hexcolor" => matches("^#?([0-9a-fA-F]{3}|[0-9a-fA-F]{6})$", text),
        "hostname" => text.len() <= 255 && text.split('.').all(|part| part.len() <= 63) && matches(HOSTNAME, text),
        "ipv4" => without_zeros(text).parse::<Ipv4Addr>().is_ok(),
        "ipv6" => text.parse::<Ipv6Addr>().is_ok(),
        "k8slongname" => is_subdomain(text),
        "k8sshortname" => is_label(text),
        "mac" => is_hardware_address(text),
        "password" => true,
        "rgbcolor" => matches(
            r"^rgb\(\s*(0|[1-9]\d?|1\d\d?|2[0-4]\d|25[0-5])\s*,\s*(0|[1-9]\d?|1\d\d?|2[0-4]\d|25[0-5])\s*,\s*(0|[1-9]\d?|1\d\d?|2[0-4]\d|25[0-5])\s*\)$",
            text,
        ),
        "ssn" => matches(r"^\d{3}[- ]?\d{2}[- ]?\d{4}$", text),
        "uri" => is_uri(text),
        "uuid" => is_uuid("[0-9a-f]", "[0-9a-f]", text),
        "uuid3" => is_uuid("3", "[0-9a-f]", text),
        "uuid4" => is_uuid("4", "[89ab]", text),
        "uuid5" => is_uuid("5", "[89ab]", text),
        _ => return None,
    })
}

const HOSTNAME: &str = r"^([a-zA-Z0-9\p{S}\p{L}]((-?[a-zA-Z0-9\p{S}\p{L}]{0,62})?)|([a-zA-Z0-9\p{S}\p{L}](([a-zA-Z0-9\-\p{S}\p{L}]{0,61}[a-zA-Z0-9\p{S}\p{L}])?)(\.)){1,}([a-zA-Z\p{L}]){2,63})$";

fn matches(pattern: &str, text: &str) -> bool {
    Regex::new(pattern).is_ok_and(|regex| regex.is_match(text))
}

fn is_uuid(version: &str, variant: &str, text: &str) -> bool {
    let hex = "[0-9a-f]";
    matches(&format!("(?i)^{hex}{{8}}-?{hex}{{4}}-?{version}{hex}{{3}}-?{variant}{hex}{{3}}-?{hex}{{12}}$"), text)
}

/// Of 6, 8 or 20 bytes, as Go's `net.ParseMAC` takes them.
fn is_hardware_address(text: &str) -> bool {
    let bytes = "[0-9a-fA-F]{2}";
    [(5, 2), (7, 3), (19, 9)].iter().any(|(pairs, fours)| {
        matches(
            &format!("^{bytes}((:{bytes}){{{pairs}}}|(-{bytes}){{{pairs}}}|{bytes}(\\.{bytes}{bytes}){{{fours}}})$"),
            text,
        )
    })
}

/// The server takes zeros in front of a number for nothing (`k8s.io/utils/net.ParseIPSloppy`).
fn without_zeros(text: &str) -> String {
    if text.contains(':') {
        return text.to_owned();
    }
    let number = |part: &str| {
        if part.bytes().all(|byte| byte == b'0') { part.get(..1) } else { Some(part.trim_start_matches('0')) }
            .unwrap_or_default()
            .to_owned()
    };
    text.split('.').map(number).collect::<Vec<_>>().join(".")
}

fn is_network(text: &str) -> bool {
    let Some((address, length)) = text.split_once('/') else { return false };
    let most = match without_zeros(address).parse() {
        Ok(IpAddr::V4(_)) => 32,
        Ok(IpAddr::V6(_)) => 128,
        Err(_) => return false,
    };
    length.bytes().all(|byte| byte.is_ascii_digit()) && length.parse::<u8>().is_ok_and(|length| length <= most)
}

/// A date, a `t`, and a time of day with or without a zone.
fn is_time(text: &str) -> bool {
    let text = text.to_lowercase();
    let Some((date, time)) = text.split_once('t') else { return false };
    is_of("date", date) == Some(true) && matches(r"([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d+)?(z|([+-]\d{2}:\d{2}))", time)
}

/// Go's durations, and Scala's.
fn is_duration(text: &str) -> bool {
    matches(r"^[+-]?(0|((\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h))+)$", text)
        || matches(
            r"(?i)^(\d+\s*(ns|nanos?|nanoseconds?|us|micros?|microseconds?|ms|millis?|milliseconds?|s|secs?|seconds?|m|mins?|minutes?|h|hr|hours?|d|days?|w|weeks?)\s*)+$",
            text,
        )
}

/// Go's `url.ParseRequestURI`: absolute, or a path from the root.
fn is_uri(text: &str) -> bool {
    text.starts_with('/') && !text.chars().any(|letter| letter.is_control())
        || matches(r"^[a-zA-Z][a-zA-Z0-9+.\-]*:[^\s\x00-\x1f\x7f]+$", text)
}
