//! Where proofs are made at an interface: sockets that are open as long as one is under way there, and through which nothing comes but its answers.

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::task::{Context, Poll};

use portolan_l2::Frame;
use portolan_l2::filter::{PREFIXES, for_proofs};
use portolan_l2::frame::Payload;
use portolan_l2::proof::Said;
use portolan_l2::tcp::Segment;
use portolan_sys::packet::{Error, Protocol};
use portolan_sys::{AwaitedSocket, PacketSocket};

/// Frames taken from a socket before something else has its turn.
const AT_ONCE: usize = 64;
/// Octets of the longest frame of which anything is read: an advertisement, or the headers of a segment.
const ROOM: usize = 160;

/// Something that came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    Frame(Frame),
    Segment(Segment),
}

/// An interface where proofs are under way.
#[derive(Debug)]
pub(super) struct Stand {
    arp: AwaitedSocket,
    ipv4: AwaitedSocket,
    ipv6: AwaitedSocket,
    vips: BTreeSet<IpAddr>,
}

impl Stand {
    /// Nothing comes through until a proof begins.
    pub(super) fn open(index: NonZeroU32) -> Result<Self, Error> {
        let open = |protocol| AwaitedSocket::new(PacketSocket::open(index, protocol, &for_proofs([], PREFIXES))?);
        let [arp, ipv4, ipv6] = [Protocol::Arp, Protocol::Ipv4, Protocol::Ipv6].map(open);
        Ok(Self { arp: arp?, ipv4: ipv4?, ipv6: ipv6?, vips: BTreeSet::new() })
    }

    /// The answers of this address come through from now on.
    pub(super) fn begin(&mut self, vip: IpAddr) -> Result<(), Error> {
        self.vips.insert(vip);
        for (socket, is_v4) in [(&mut self.arp, true), (&mut self.ipv4, true), (&mut self.ipv6, false)] {
            let of_family = || self.vips.iter().copied().filter(|vip| vip.is_ipv4() == is_v4);
            socket.narrow(|most| for_proofs(of_family(), most))?;
        }
        Ok(())
    }

    /// None are awaited any more; true if that was the last proof here. What comes through until the next one begins is nobody's.
    pub(super) fn end(&mut self, vip: IpAddr) -> bool {
        self.vips.remove(&vip);
        self.vips.is_empty()
    }

    /// One that does not get out is as one that was lost on the wire: it is said again, or it fails.
    pub(super) fn send(&self, said: &Said) {
        let (socket, octets) = match said {
            Said::Frame(frame) => match frame.payload {
                Payload::Arp(_) => (&self.arp, Some(frame.write())),
                Payload::Ndp(_) => (&self.ipv6, Some(frame.write())),
            },
            Said::Segment(segment) if segment.to.is_ipv4() => (&self.ipv4, segment.write()),
            Said::Segment(segment) => (&self.ipv6, segment.write()),
        };
        if let Some(Err(error)) = octets.map(|octets| socket.socket().send(&octets)) {
            tracing::debug!(%error, "a frame of a proof was not sent");
        }
    }

    /// Ready once a frame may be there.
    pub(super) fn poll_frame(&self, context: &mut Context<'_>) -> Poll<()> {
        // All, so that all wake us.
        let polled = self.sockets().map(|socket| socket.poll_frame(context).is_ready());
        if polled.contains(&true) { Poll::Ready(()) } else { Poll::Pending }
    }

    /// The frames that are there.
    pub(super) fn receive(&self) -> Vec<Heard> {
        let mut all = Vec::new();
        for socket in self.sockets() {
            for _ in 0..AT_ONCE {
                let mut room = [0; ROOM];
                match socket.receive(&mut room, read) {
                    Ok(heard) => all.extend(heard),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    // Told once, when the link goes down; netlink says so too.
                    Err(error) => tracing::debug!(%error, "no frame"),
                }
            }
        }
        all
    }

    fn sockets(&self) -> [&AwaitedSocket; 3] {
        [&self.arp, &self.ipv4, &self.ipv6]
    }
}

fn read(octets: &[u8]) -> Option<Heard> {
    let segment = || Segment::read(octets).map(Heard::Segment);
    Frame::read(octets).map(Heard::Frame).or_else(|_| segment()).ok()
}
