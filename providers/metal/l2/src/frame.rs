//! Frames: the Ethernet header, and what of it concerns us.

use crate::arp::Arp;
use crate::mac::Mac;
use crate::ndp::Ndp;

/// EtherType of ARP.
pub(crate) const ARP: u16 = 0x0806;
/// EtherType of IPv4.
pub(crate) const IPV4: u16 = 0x0800;
/// EtherType of IPv6.
pub(crate) const IPV6: u16 = 0x86dd;
/// Octets of an Ethernet header without a VLAN tag; the kernel takes tags off before a packet socket sees a frame.
pub(crate) const HEADER: usize = 14;

/// A frame that concerns us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// To whom.
    pub destination: Mac,
    /// From whom.
    pub source: Mac,
    /// What it says.
    pub payload: Payload,
}

/// What a frame says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload {
    /// Address resolution for IPv4.
    Arp(Arp),
    /// Neighbour discovery for IPv6.
    Ndp(Ndp),
}

/// Why a frame is none that we read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unread {
    /// It ends before its fields do.
    #[error("it is too short")]
    Short,
    /// It is of another protocol.
    #[error("it is of no protocol that is asked for here")]
    Other,
    /// It is what no implementation may send, and has to be dropped in silence (RFC 4861 sections 7.1.1 and 7.1.2).
    #[error("it is not valid: {0}")]
    Invalid(&'static str),
}

impl Frame {
    /// Reads a frame as it came from the wire. Octets after the end of what is read are padding.
    pub fn read(octets: &[u8]) -> Result<Self, Unread> {
        let (header, rest) = octets.split_first_chunk::<HEADER>().ok_or(Unread::Short)?;
        let [d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5, high, low] = *header;
        let payload = match u16::from_be_bytes([high, low]) {
            ARP => Payload::Arp(Arp::read(rest)?),
            IPV6 => Payload::Ndp(Ndp::read(rest)?),
            _ => return Err(Unread::Other),
        };
        Ok(Self { destination: Mac([d0, d1, d2, d3, d4, d5]), source: Mac([s0, s1, s2, s3, s4, s5]), payload })
    }

    /// The octets for the wire. Padding to 60 octets is the driver's.
    pub fn write(&self) -> Vec<u8> {
        let mut octets = Vec::with_capacity(HEADER + 72);
        octets.extend(self.destination.0);
        octets.extend(self.source.0);
        match &self.payload {
            Payload::Arp(arp) => {
                octets.extend(ARP.to_be_bytes());
                octets.extend(arp.write());
            }
            Payload::Ndp(ndp) => {
                octets.extend(IPV6.to_be_bytes());
                octets.extend(ndp.write());
            }
        }
        octets
    }
}

#[cfg(test)]
mod tests;
