//! Ports of a Service, as annotations name them.

use portolan_core::snapshot::{Service, ServicePort};

/// The ports with this name or number; several, if TCP and UDP stand on one number.
pub(super) fn named<'a>(service: &'a Service, text: &str) -> Vec<&'a ServicePort> {
    let matches = |port: &&ServicePort| (!text.is_empty() && port.name == text) || port.key.port.to_string() == text;
    service.ports.iter().filter(matches).collect()
}

/// The number of a port, as a key or a list writes it.
pub(super) fn number(text: &str) -> Option<u16> {
    let is_plain = !text.is_empty() && text.chars().all(|c| c.is_ascii_digit()) && !text.starts_with('0');
    text.parse().ok().filter(|_| is_plain)
}
