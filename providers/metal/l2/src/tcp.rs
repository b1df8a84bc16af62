//! TCP as far as a proof needs it (RFC 9293): what asks for a connection, what answers that, and what ends it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::checksum::checksum;
use crate::frame::{HEADER, IPV4, IPV6, Unread};
use crate::mac::Mac;

/// Protocol number.
pub(crate) const TCP: u8 = 6;
/// The first octet of an IPv4 header without options: version, and length in words.
pub(crate) const PLAIN_IPV4: u8 = 0x45;
const IPV4_HEADER: usize = 20;
const IPV6_HEADER: usize = 40;
/// Without options.
const TCP_HEADER: usize = 20;
const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const ACK: u8 = 0x10;
/// As hosts set it: a segment may come by way of a router.
const HOPS: u8 = 64;

/// A segment without data, in its frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// To which station.
    pub destination: Mac,
    /// From which.
    pub source: Mac,
    /// From which address and port.
    pub from: SocketAddr,
    /// To which, of the same family.
    pub to: SocketAddr,
    /// Its first octet's number.
    pub sequence: u32,
    /// Which octet is expected next; means something in an answer only.
    pub acknowledgment: u32,
    /// What it is.
    pub kind: Kind,
}

/// What a segment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Asks for a connection.
    Syn,
    /// Accepts it.
    SynAck,
    /// There is none, or it is at its end.
    Reset,
    /// Something within a connection.
    Other,
}

impl Segment {
    /// Reads a frame as it came from the wire. Checksums are not looked at: where a machine is virtual, nobody may have worked them out yet
    /// (`CHECKSUM_PARTIAL`), and who answers has to name a number that nobody can guess.
    pub fn read(octets: &[u8]) -> Result<Self, Unread> {
        let (header, rest) = octets.split_first_chunk::<HEADER>().ok_or(Unread::Short)?;
        let [d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5, high, low] = *header;
        let (from, to, segment) = match u16::from_be_bytes([high, low]) {
            IPV4 => ipv4(rest)?,
            IPV6 => ipv6(rest)?,
            _ => return Err(Unread::Other),
        };
        let [f0, f1, t0, t1, q0, q1, q2, q3, a0, a1, a2, a3, _, flags, ..] =
            *segment.first_chunk::<TCP_HEADER>().ok_or(Unread::Short)?;
        let kind = match flags & (SYN | RST | ACK) {
            SYN => Kind::Syn,
            both if both == SYN | ACK => Kind::SynAck,
            flags if flags & RST != 0 => Kind::Reset,
            _ => Kind::Other,
        };
        Ok(Self {
            destination: Mac([d0, d1, d2, d3, d4, d5]),
            source: Mac([s0, s1, s2, s3, s4, s5]),
            from: SocketAddr::new(from, u16::from_be_bytes([f0, f1])),
            to: SocketAddr::new(to, u16::from_be_bytes([t0, t1])),
            sequence: u32::from_be_bytes([q0, q1, q2, q3]),
            acknowledgment: u32::from_be_bytes([a0, a1, a2, a3]),
            kind,
        })
    }

    /// The octets for the wire; none of one between two families.
    pub fn write(&self) -> Option<Vec<u8>> {
        let mut octets = Vec::with_capacity(HEADER + IPV6_HEADER + TCP_HEADER);
        octets.extend(self.destination.0);
        octets.extend(self.source.0);
        match (self.from.ip(), self.to.ip()) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                octets.extend(IPV4.to_be_bytes());
                octets.extend(ipv4_header(from, to));
                octets.extend(self.segment(&[&from.octets(), &to.octets()]));
            }
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                octets.extend(IPV6.to_be_bytes());
                octets.extend([0x60, 0, 0, 0, 0, TCP_HEADER as u8, TCP, HOPS]);
                octets.extend(from.octets());
                octets.extend(to.octets());
                octets.extend(self.segment(&[&from.octets(), &to.octets()]));
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return None,
        }
        Some(octets)
    }

    fn segment(&self, addresses: &[&[u8]; 2]) -> Vec<u8> {
        let (flags, acknowledgment) = match self.kind {
            Kind::Syn => (SYN, 0),
            Kind::SynAck => (SYN | ACK, self.acknowledgment),
            Kind::Reset => (RST, 0),
            Kind::Other => (ACK, self.acknowledgment),
        };
        let mut segment = Vec::with_capacity(TCP_HEADER);
        segment.extend(self.from.port().to_be_bytes());
        segment.extend(self.to.port().to_be_bytes());
        segment.extend(self.sequence.to_be_bytes());
        segment.extend(acknowledgment.to_be_bytes());
        // Five words; a window as hosts have it at first; checksum; nothing urgent.
        segment.extend([5 << 4, flags, 0xfa, 0xf0, 0, 0, 0, 0]);
        let [from, to] = addresses;
        let sum = checksum(&[from, to, &[0, TCP, 0, TCP_HEADER as u8], &segment]).to_be_bytes();
        segment.iter_mut().skip(16).zip(sum).for_each(|(octet, part)| *octet = part);
        segment
    }
}

/// An IP packet's source, its destination, and what is in it.
type Packet<'a> = (IpAddr, IpAddr, &'a [u8]);

fn ipv4(octets: &[u8]) -> Result<Packet<'_>, Unread> {
    let header = octets.first_chunk::<IPV4_HEADER>().ok_or(Unread::Short)?;
    let [first, _, l0, l1, _, _, _, _, _, protocol, _, _, a, b, c, d, w, x, y, z] = *header;
    // Nobody sends options.
    if first != PLAIN_IPV4 || protocol != TCP {
        return Err(Unread::Other);
    }
    let within = IPV4_HEADER..usize::from(u16::from_be_bytes([l0, l1]));
    let segment = octets.get(within).ok_or(Unread::Short)?;
    Ok((Ipv4Addr::new(a, b, c, d).into(), Ipv4Addr::new(w, x, y, z).into(), segment))
}

fn ipv6(octets: &[u8]) -> Result<Packet<'_>, Unread> {
    let (header, rest) = octets.split_first_chunk::<IPV6_HEADER>().ok_or(Unread::Short)?;
    let [first, _, _, _, l0, l1, next, _, addresses @ ..] = *header;
    if first >> 4 != 6 || next != TCP {
        return Err(Unread::Other);
    }
    let address = |octets: Option<&[u8; 16]>| octets.map(|octets| Ipv6Addr::from(*octets)).ok_or(Unread::Short);
    let (from, to) = (address(addresses.first_chunk())?, address(addresses.last_chunk())?);
    let segment = rest.get(..usize::from(u16::from_be_bytes([l0, l1]))).ok_or(Unread::Short)?;
    Ok((from.into(), to.into(), segment))
}

fn ipv4_header(from: Ipv4Addr, to: Ipv4Addr) -> Vec<u8> {
    let length = (IPV4_HEADER + TCP_HEADER) as u8;
    // Never to be fragmented, so that it needs no number of its own (RFC 6864 section 4.1).
    let mut header = vec![PLAIN_IPV4, 0, 0, length, 0, 0, 0x40, 0, HOPS, TCP, 0, 0];
    header.extend(from.octets());
    header.extend(to.octets());
    let sum = checksum(&[&header]).to_be_bytes();
    header.iter_mut().skip(10).zip(sum).for_each(|(octet, part)| *octet = part);
    header
}

#[cfg(test)]
mod tests;
