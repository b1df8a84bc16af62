//! ARP for IPv4 over Ethernet (RFC 826), with the words of RFC 5227.

use std::net::Ipv4Addr;

use crate::frame::Unread;
use crate::mac::Mac;

/// Octets of an ARP packet.
const LENGTH: usize = 28;
/// Hardware Ethernet, protocol IPv4, addresses of six and four octets.
const IPV4_OVER_ETHERNET: [u8; 6] = [0, 1, 8, 0, 6, 4];

/// An ARP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arp {
    /// Whether it asks or answers.
    pub operation: Operation,
    /// Who sends it.
    pub sender: Mac,
    /// Whose address that is; unspecified in a probe.
    pub sender_address: Ipv4Addr,
    /// Whom it is for; zero if that is asked.
    pub target: Mac,
    /// Whose address is asked for, or to whom it is answered.
    pub target_address: Ipv4Addr,
}

/// Whether it asks or answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// 1.
    Request,
    /// 2.
    Reply,
}

impl Arp {
    /// It asks whether anybody has an address, and says nothing of the asker's own (RFC 5227 section 2.1.1).
    pub fn is_probe(&self) -> bool {
        self.operation == Operation::Request && self.sender_address.is_unspecified()
    }

    pub(crate) fn read(octets: &[u8]) -> Result<Self, Unread> {
        let (packet, _) = octets.split_first_chunk::<LENGTH>().ok_or(Unread::Short)?;
        let [h0, h1, p0, p1, hl, pl, o0, o1, rest @ ..] = *packet;
        if [h0, h1, p0, p1, hl, pl] != IPV4_OVER_ETHERNET {
            return Err(Unread::Other);
        }
        let operation = match u16::from_be_bytes([o0, o1]) {
            1 => Operation::Request,
            2 => Operation::Reply,
            _ => return Err(Unread::Other),
        };
        let [a, b, c, d, e, f, w, x, y, z, rest @ ..] = rest;
        let (sender, sender_address) = (Mac([a, b, c, d, e, f]), Ipv4Addr::new(w, x, y, z));
        let [a, b, c, d, e, f, w, x, y, z] = rest;
        let (target, target_address) = (Mac([a, b, c, d, e, f]), Ipv4Addr::new(w, x, y, z));
        if sender.is_group() {
            return Err(Unread::Invalid("nobody sends from a group"));
        }
        Ok(Self { operation, sender, sender_address, target, target_address })
    }

    pub(crate) fn write(&self) -> [u8; LENGTH] {
        let operation: u16 = match self.operation {
            Operation::Request => 1,
            Operation::Reply => 2,
        };
        let parts = IPV4_OVER_ETHERNET.into_iter().chain(operation.to_be_bytes());
        let parts = parts.chain(self.sender.0).chain(self.sender_address.octets());
        let parts = parts.chain(self.target.0).chain(self.target_address.octets());
        let mut packet = [0; LENGTH];
        packet.iter_mut().zip(parts).for_each(|(octet, part)| *octet = part);
        packet
    }
}
