//! What a captured frame says of who has which address, read from the RFCs' pictures and by no code of ours: a judge of the wire must
//! not share its reader with what it judges.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use crate::capture::Captured;

/// One frame of ARP (RFC 826) or neighbour discovery (RFC 4861).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sighting {
    /// Since the epoch.
    pub(crate) at: Duration,
    pub(crate) said: Said,
    /// The address that it is about.
    pub(crate) of: IpAddr,
    /// Who sent the frame, as `02:00:00:00:51:0b`.
    pub(crate) sender: String,
    /// The station that it says has the address; who asks says none.
    pub(crate) station: Option<String>,
}

/// What is said of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// Who has it? A request; a neighbour solicitation.
    Asked,
    /// A reply to one who asked; a solicited neighbour advertisement.
    Answered,
    /// To all, unasked: sender and target are the same (RFC 5227 3, in either form); an advertisement that is not solicited.
    Announced,
}

/// All of them that are about this address, in the order in which they passed.
pub(crate) fn of(address: IpAddr, frames: &[Captured]) -> Vec<Sighting> {
    frames.iter().filter_map(read).filter(|sighting| sighting.of == address).collect()
}

/// `None` if the frame is of neither protocol.
pub(crate) fn read(frame: &Captured) -> Option<Sighting> {
    let octets = frame.octets.as_slice();
    let (said, of, station) = match octets.get(12..14)? {
        [0x08, 0x06] => arp(octets)?,
        [0x86, 0xdd] if octets.get(20) == Some(&58) => neighbour_discovery(octets)?,
        _ => return None,
    };
    Some(Sighting { at: frame.at, said, of, sender: mac(octets, 6)?, station })
}

fn arp(octets: &[u8]) -> Option<(Said, IpAddr, Option<String>)> {
    let address = |at: usize| Some(IpAddr::from(Ipv4Addr::from(<[u8; 4]>::try_from(octets.get(at..at + 4)?).ok()?)));
    let (sender, target) = (address(28)?, address(38)?);
    Some(match octets.get(20..22)? {
        _ if sender == target => (Said::Announced, sender, mac(octets, 22)),
        [0, 1] => (Said::Asked, target, None),
        [0, 2] => (Said::Answered, sender, mac(octets, 22)),
        _ => return None,
    })
}

fn neighbour_discovery(octets: &[u8]) -> Option<(Said, IpAddr, Option<String>)> {
    let target = IpAddr::from(Ipv6Addr::from(<[u8; 16]>::try_from(octets.get(62..78)?).ok()?));
    // The option that holds the target's link-layer address, where it comes first, as it does from everybody here.
    let station = if octets.get(78..80) == Some(&[2, 1]) { mac(octets, 80) } else { mac(octets, 6) };
    match octets.get(54)? {
        135 => Some((Said::Asked, target, None)),
        136 if octets.get(58)? & 0x40 != 0 => Some((Said::Answered, target, station)),
        136 => Some((Said::Announced, target, station)),
        _ => None,
    }
}

fn mac(octets: &[u8], at: usize) -> Option<String> {
    let digits: Vec<String> = octets.get(at..at + 6)?.iter().map(|octet| format!("{octet:02x}")).collect();
    Some(digits.join(":"))
}
