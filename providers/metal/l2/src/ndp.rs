//! Neighbour discovery for IPv6 over Ethernet (RFC 4861): solicitations and advertisements of neighbours.

use std::net::Ipv6Addr;

use crate::frame::Unread;
use crate::mac::Mac;

/// All nodes of a link.
pub const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

const IPV6_HEADER: usize = 40;
/// Type, code, checksum, flags or nothing, target.
const FIXED: usize = 24;
const ICMPV6: u8 = 58;
const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;
/// Nobody can have forwarded it.
const HOP_LIMIT: u8 = 255;
const SOURCE_LINK_LAYER: u8 = 1;
const TARGET_LINK_LAYER: u8 = 2;
const SOLICITED: u8 = 0x40;
const OVERRIDE: u8 = 0x20;
const ROUTER: u8 = 0x80;

/// A message about a neighbour, with the addresses of the packet that it is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ndp {
    /// From which address; unspecified while the asker has none yet (duplicate address detection, RFC 4862 section 5.4.2).
    pub source: Ipv6Addr,
    /// To which.
    pub destination: Ipv6Addr,
    /// The address that it is about.
    pub target: Ipv6Addr,
    /// What it says of it.
    pub message: Message,
}

/// What a message says of its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message {
    /// Who has it?
    Solicitation {
        /// The asker's, if he says so.
        source_link_layer: Option<Mac>,
    },
    /// This one has it.
    Advertisement {
        /// He is a router.
        router: bool,
        /// He was asked.
        solicited: bool,
        /// What was known before is to be forgotten.
        overriding: bool,
        /// Where he is, if he says so.
        target_link_layer: Option<Mac>,
    },
}

/// The group to which questions about an address go (RFC 4291 section 2.7.1).
pub const fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b, c] = address.octets();
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | a as u16, u16::from_be_bytes([b, c]))
}

impl Ndp {
    /// Reads an IPv6 packet. What must be dropped by RFC 4861 sections 7.1.1 and 7.1.2 is not valid.
    pub(crate) fn read(octets: &[u8]) -> Result<Self, Unread> {
        let (header, rest) = octets.split_first_chunk::<IPV6_HEADER>().ok_or(Unread::Short)?;
        let [version, _, _, _, l0, l1, next, hops, addresses @ ..] = *header;
        if version >> 4 != 6 || next != ICMPV6 {
            return Err(Unread::Other);
        }
        let source = address(addresses.first_chunk())?;
        let destination = address(addresses.last_chunk())?;
        let message = rest.get(..usize::from(u16::from_be_bytes([l0, l1]))).ok_or(Unread::Short)?;
        let (&kind, &code) = (message.first().ok_or(Unread::Short)?, message.get(1).ok_or(Unread::Short)?);
        if kind != SOLICITATION && kind != ADVERTISEMENT {
            return Err(Unread::Other);
        }
        let (fixed, options) = message.split_first_chunk::<FIXED>().ok_or(Unread::Short)?;
        let [_, _, _, _, flags, _, _, _, target @ ..] = *fixed;
        let target = Ipv6Addr::from(target);
        if hops != HOP_LIMIT {
            return Err(Unread::Invalid("it may have been forwarded"));
        }
        if code != 0 {
            return Err(Unread::Invalid("its code is not 0"));
        }
        if checksum(source, destination, message) != 0 {
            return Err(Unread::Invalid("its checksum is wrong"));
        }
        if target.is_multicast() {
            return Err(Unread::Invalid("its target is a group"));
        }
        let message = if kind == SOLICITATION {
            let source_link_layer = link_layer(options, SOURCE_LINK_LAYER)?;
            if source.is_unspecified() && source_link_layer.is_some() {
                return Err(Unread::Invalid("who has no address yet says where it is"));
            }
            if source.is_unspecified() && destination != solicited_node(target) {
                return Err(Unread::Invalid("who has no address yet asks somebody else than all who may have it"));
            }
            Message::Solicitation { source_link_layer }
        } else {
            let solicited = flags & SOLICITED != 0;
            if solicited && destination.is_multicast() {
                return Err(Unread::Invalid("an answer went to a group"));
            }
            Message::Advertisement {
                router: flags & ROUTER != 0,
                solicited,
                overriding: flags & OVERRIDE != 0,
                target_link_layer: link_layer(options, TARGET_LINK_LAYER)?,
            }
        };
        Ok(Self { source, destination, target, message })
    }

    pub(crate) fn write(&self) -> Vec<u8> {
        let mut message = Vec::with_capacity(FIXED + 8);
        let (kind, flags, option) = match self.message {
            Message::Solicitation { source_link_layer } => {
                (SOLICITATION, 0, source_link_layer.map(|mac| (SOURCE_LINK_LAYER, mac)))
            }
            Message::Advertisement { router, solicited, overriding, target_link_layer } => {
                let flag = |set: bool, bit: u8| if set { bit } else { 0 };
                let flags = flag(router, ROUTER) | flag(solicited, SOLICITED) | flag(overriding, OVERRIDE);
                (ADVERTISEMENT, flags, target_link_layer.map(|mac| (TARGET_LINK_LAYER, mac)))
            }
        };
        message.extend([kind, 0, 0, 0, flags, 0, 0, 0]);
        message.extend(self.target.octets());
        if let Some((kind, mac)) = option {
            message.extend([kind, 1]);
            message.extend(mac.0);
        }
        let sum = checksum(self.source, self.destination, &message).to_be_bytes();
        message.iter_mut().skip(2).zip(sum).for_each(|(octet, part)| *octet = part);
        let length = u16::try_from(message.len()).unwrap_or(u16::MAX).to_be_bytes();
        let mut packet = Vec::with_capacity(IPV6_HEADER + message.len());
        packet.extend([0x60, 0, 0, 0]);
        packet.extend(length);
        packet.extend([ICMPV6, HOP_LIMIT]);
        packet.extend(self.source.octets());
        packet.extend(self.destination.octets());
        packet.append(&mut message);
        packet
    }
}

fn address(octets: Option<&[u8; 16]>) -> Result<Ipv6Addr, Unread> {
    octets.map(|octets| Ipv6Addr::from(*octets)).ok_or(Unread::Short)
}

/// The link-layer address among the options, of which each says how long it is, in units of eight octets.
fn link_layer(mut options: &[u8], wanted: u8) -> Result<Option<Mac>, Unread> {
    let mut found = None;
    while let [kind, length, ..] = *options {
        if length == 0 {
            return Err(Unread::Invalid("an option has no length"));
        }
        let (option, rest) = options.split_at_checked(usize::from(length) * 8).ok_or(Unread::Short)?;
        if let (true, [_, _, mac @ ..]) = (kind == wanted && found.is_none(), option) {
            found = mac.first_chunk().map(|mac| Mac(*mac));
        }
        options = rest;
    }
    Ok(found)
}

/// With the pseudo-header (RFC 8200 section 8.1).
fn checksum(source: Ipv6Addr, destination: Ipv6Addr, message: &[u8]) -> u16 {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes();
    crate::checksum::checksum(&[&source.octets(), &destination.octets(), &length, &[0, 0, 0, ICMPV6], message])
}
