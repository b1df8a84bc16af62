//! Protocols of listeners and target groups, and which go together.

use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What a listener or a target group speaks. QUIC and TCP_QUIC, which an NLB also has, are not among them: they are refused by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// Both on one port.
    TcpUdp,
    /// TLS, which the balancer ends.
    Tls,
}

impl Protocol {
    /// As AWS spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::TcpUdp => "TCP_UDP",
            Self::Tls => "TLS",
        }
    }

    /// As AWS spells it, to the letter.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Tcp, Self::Udp, Self::TcpUdp, Self::Tls].into_iter().find(|protocol| protocol.as_str() == text)
    }

    /// UDP arrives there.
    pub fn has_udp(self) -> bool {
        match self {
            Self::Udp | Self::TcpUdp => true,
            Self::Tcp | Self::Tls => false,
        }
    }

    /// Whether a listener of this protocol sends to such a target group. AWS's page
    /// (<https://docs.aws.amazon.com/elasticloadbalancing/latest/network/load-balancer-target-groups.html#target-group-routing-configuration>)
    /// has listed TCP and UDP listeners on TCP_UDP groups too, and does not in every edition; we make no such pair.
    pub fn may_send_to(self, group: Self) -> bool {
        match (self, group) {
            (Self::Tcp, Self::Tcp)
            | (Self::Udp, Self::Udp)
            | (Self::TcpUdp, Self::TcpUdp)
            | (Self::Tls, Self::Tcp | Self::Tls) => true,
            (Self::Tcp, Self::Udp | Self::TcpUdp | Self::Tls)
            | (Self::Udp, Self::Tcp | Self::TcpUdp | Self::Tls)
            | (Self::TcpUdp, Self::Tcp | Self::Udp | Self::Tls)
            | (Self::Tls, Self::Udp | Self::TcpUdp) => false,
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Protocol {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| D::Error::unknown_variant(&text, &["TCP", "UDP", "TCP_UDP", "TLS"]))
    }
}

impl Serialize for Protocol {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
