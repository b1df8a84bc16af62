//! Frames in and out of one interface (packet(7)).

use std::io::{self, Read as _, Write as _};
use std::num::NonZeroU32;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use portolan_l2::filter::{Instruction, PREFIXES};
use socket2::{Domain, SockAddr, SockFilter, Socket, Type};

/// Which frames a socket takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Address resolution for IPv4.
    Arp,
    /// IPv4.
    Ipv4,
    /// IPv6, and with it neighbour discovery.
    Ipv6,
}

/// What the kernel would not do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A socket could not be opened.
    #[error("no packet socket could be opened, for which the capability NET_RAW is needed: {0}")]
    Open(#[source] io::Error),
    /// Its filter was refused.
    #[error("the kernel refused the packet filter: {0}")]
    Filter(#[source] io::Error),
    /// It could not be bound to its interface.
    #[error("the packet socket could not be bound to the interface with index {0}: {1}")]
    Bind(NonZeroU32, #[source] io::Error),
}

/// The frames of one protocol at one interface. Never blocks: without a frame, and without room for one, it says `WouldBlock`.
#[derive(Debug)]
pub struct PacketSocket {
    socket: Socket,
    /// How many prefixes its filter may have, as far as is known.
    prefixes: usize,
}

impl PacketSocket {
    /// Opens it. Nothing that the filter does not let through is ever received, until it is given another one.
    pub fn open(interface: NonZeroU32, protocol: Protocol, filter: &[Instruction]) -> Result<Self, Error> {
        // Without a protocol it receives nothing, until it has its filter and is bound.
        let socket = Socket::new(Domain::PACKET, Type::RAW, None).map_err(Error::Open)?;
        socket.set_nonblocking(true).map_err(Error::Open)?;
        let opened = Self { socket, prefixes: PREFIXES };
        opened.attach(filter)?;
        let address = address(interface, protocol).map_err(|error| Error::Bind(interface, error))?;
        opened.socket.bind(&address).map_err(|error| Error::Bind(interface, error))?;
        Ok(opened)
    }

    /// Lets through from now on what one of these programs does: that with as many prefixes as the kernel has memory for (`net.core.optmem_max`). The
    /// one without any has to let through what all others do, and to be small and always equally large. Meanwhile no frame of theirs is lost; a
    /// few others may come through. Says how many prefixes those are; more are never tried again.
    ///
    /// An error means that the filter is what it was.
    pub fn narrow(&mut self, program: impl Fn(usize) -> Vec<Instruction>) -> Result<usize, Error> {
        let mut prefixes = self.prefixes;
        let done = narrow(&mut prefixes, program, |program| self.attach(program));
        self.prefixes = prefixes;
        done.map(|()| prefixes)
    }

    fn attach(&self, filter: &[Instruction]) -> Result<(), Error> {
        let filter: Vec<SockFilter> =
            filter.iter().map(|of| SockFilter::new(of.code, of.jump_true, of.jump_false, of.value)).collect();
        self.socket.attach_filter(&filter).map_err(Error::Filter)
    }

    /// The next frame, with its Ethernet header; what does not fit is cut off.
    pub fn receive<'a>(&self, room: &'a mut [u8]) -> io::Result<&'a [u8]> {
        let length = (&self.socket).read(room)?;
        room.get(..length).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// Puts a frame on the wire, with its Ethernet header.
    pub fn send(&self, frame: &[u8]) -> io::Result<()> {
        (&self.socket).write(frame).map(drop)
    }
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// So that it can be awaited (`AsyncFd` of tokio).
impl AsRawFd for PacketSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

/// The one for the protocols alone first: while it replaces one the kernel charges both, so that what it has once taken in the place of that one can
/// always give way to it again. Whatever it says of the others, that one stands.
fn narrow(
    prefixes: &mut usize,
    program: impl Fn(usize) -> Vec<Instruction>,
    attach: impl Fn(&[Instruction]) -> Result<(), Error>,
) -> Result<(), Error> {
    attach(&program(0))?;
    while *prefixes > 0 && attach(&program(*prefixes)).is_err() {
        *prefixes /= 2;
    }
    Ok(())
}

fn address(interface: NonZeroU32, protocol: Protocol) -> io::Result<SockAddr> {
    let protocol = match protocol {
        Protocol::Arp => libc::ETH_P_ARP,
        Protocol::Ipv4 => libc::ETH_P_IP,
        Protocol::Ipv6 => libc::ETH_P_IPV6,
    };
    let too_large = |_| io::Error::from(io::ErrorKind::InvalidInput);
    let family = u16::try_from(libc::AF_PACKET).map_err(too_large)?;
    let index = i32::try_from(interface.get()).map_err(too_large)?;
    let protocol = u16::try_from(protocol).map_err(too_large)?.to_be();
    let length = libc::socklen_t::try_from(size_of::<libc::sockaddr_ll>()).map_err(too_large)?;
    // SAFETY: the storage is zeroed, larger than and aligned for every socket address (`sockaddr_storage`), so that it holds a `sockaddr_ll`
    // of which all octets are valid; its length is that of what is written.
    #[expect(unsafe_code, reason = "socket2 has no constructor for sockaddr_ll")]
    let ((), address) = unsafe {
        SockAddr::try_init(|storage, room| {
            storage.cast::<libc::sockaddr_ll>().write(libc::sockaddr_ll {
                sll_family: family,
                sll_protocol: protocol,
                sll_ifindex: index,
                sll_hatype: 0,
                sll_pkttype: 0,
                sll_halen: 0,
                sll_addr: [0; 8],
            });
            *room = length;
            Ok(())
        })?
    };
    Ok(address)
}

#[cfg(test)]
mod tests;
