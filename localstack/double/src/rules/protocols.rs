//! Protocols of listeners and groups, and which go together.

use crate::refusal::Refusal;

/// What a Network Load Balancer speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Protocol {
    Tcp,
    Udp,
    TcpUdp,
    Tls,
    Quic,
    TcpQuic,
}

impl Protocol {
    /// Reads a protocol; those of the other kinds of balancer are `UnsupportedProtocol` here.
    pub(crate) fn read(text: &str) -> Result<Self, Refusal> {
        Ok(match text {
            "TCP" => Protocol::Tcp,
            "UDP" => Protocol::Udp,
            "TCP_UDP" => Protocol::TcpUdp,
            "TLS" => Protocol::Tls,
            "QUIC" => Protocol::Quic,
            "TCP_QUIC" => Protocol::TcpQuic,
            "HTTP" | "HTTPS" | "GENEVE" => {
                return Err(Refusal::new(
                    "UnsupportedProtocol",
                    format!("a network load balancer does not support '{text}'"),
                ));
            }
            _ => {
                return Err(Refusal::validation(format!("Value '{text}' at 'protocol' is not one of AWS's protocols")));
            }
        })
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Protocol::Tcp => "TCP",
            Protocol::Udp => "UDP",
            Protocol::TcpUdp => "TCP_UDP",
            Protocol::Tls => "TLS",
            Protocol::Quic => "QUIC",
            Protocol::TcpQuic => "TCP_QUIC",
        }
    }

    /// Is there UDP in it?
    pub(crate) fn has_udp(self) -> bool {
        match self {
            Protocol::Udp | Protocol::TcpUdp | Protocol::Quic | Protocol::TcpQuic => true,
            Protocol::Tcp | Protocol::Tls => false,
        }
    }
}

/// May a listener of this protocol forward to a group of that one? `IncompatibleProtocols` if not.
///
/// API reference, CreateTargetGroup, `Protocol`: "A TCP_UDP listener must be associated with a TCP_UDP target group. A TCP_QUIC listener must
/// be associated with a TCP_QUIC target group." NLB guide, "Target groups", table of combinations under "Routing configuration": TCP goes
/// to TCP or TCP_UDP, TLS to TCP or TLS. Its row for UDP is not in the copy that could be read; until it is, UDP goes to UDP only, so that
/// whoever relies on more finds out here.
pub(crate) fn forward(listener: Protocol, group: Protocol) -> Result<(), Refusal> {
    let legal = match listener {
        Protocol::Tls => matches!(group, Protocol::Tcp | Protocol::Tls),
        Protocol::Tcp => matches!(group, Protocol::Tcp | Protocol::TcpUdp),
        Protocol::Udp | Protocol::TcpUdp | Protocol::Quic | Protocol::TcpQuic => listener == group,
    };
    let message = format!(
        "Listener protocol '{}' is not supported with a target group with the protocol '{}'",
        listener.name(),
        group.name()
    );
    if legal { Ok(()) } else { Err(Refusal::new("IncompatibleProtocols", message)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Protocol::{Quic, Tcp, TcpQuic, TcpUdp, Tls, Udp};

    #[test]
    fn a_listener_forwards_to_its_own_protocol_tcp_to_tcp_udp_and_tls_to_tcp_too() {
        let all = [Tcp, Udp, TcpUdp, Tls, Quic, TcpQuic];
        let legal: Vec<_> = all
            .iter()
            .flat_map(|one| all.map(|other| (*one, other)))
            .filter(|(one, other)| forward(*one, *other).is_ok())
            .collect();
        assert_eq!(
            legal,
            [
                (Tcp, Tcp),
                (Tcp, TcpUdp),
                (Udp, Udp),
                (TcpUdp, TcpUdp),
                (Tls, Tcp),
                (Tls, Tls),
                (Quic, Quic),
                (TcpQuic, TcpQuic)
            ]
        );
        assert_eq!(forward(Udp, Tcp).unwrap_err().code, "IncompatibleProtocols");
    }

    #[test]
    fn protocols_of_other_balancers_are_unsupported_and_nonsense_is_invalid() {
        assert_eq!(Protocol::read("HTTP").unwrap_err().code, "UnsupportedProtocol");
        assert_eq!(Protocol::read("SCTP").unwrap_err().code, "ValidationError");
        for protocol in [Tcp, Udp, TcpUdp, Tls, Quic, TcpQuic] {
            assert_eq!(Protocol::read(protocol.name()), Ok(protocol));
        }
    }
}
