//! IPv6 groups that an interface listens to. The kernel tells switches (MLD, RFC 3810) and network cards, so that questions about addresses
//! which no interface has reach us.

use std::collections::BTreeMap;
use std::io;
use std::net::Ipv6Addr;
use std::num::NonZeroU32;

use socket2::{Domain, Socket, Type};

/// Groups a socket: the kernel charges them to a socket's room for options (`net.core.optmem_max`, 20 KiB where it is least).
const PER_SOCKET: usize = 200;

/// The groups of one interface.
#[derive(Debug)]
pub struct Groups {
    interface: NonZeroU32,
    sockets: Vec<Member>,
    at: BTreeMap<Ipv6Addr, usize>,
}

#[derive(Debug)]
struct Member {
    socket: Socket,
    groups: usize,
}

impl Groups {
    /// Of this interface; none yet.
    pub fn new(interface: NonZeroU32) -> Self {
        Self { interface, sockets: Vec::new(), at: BTreeMap::new() }
    }

    /// Listens to this one.
    pub fn join(&mut self, group: Ipv6Addr) -> io::Result<()> {
        if self.at.contains_key(&group) {
            return Ok(());
        }
        let place = match self.sockets.iter().position(|member| member.groups < PER_SOCKET) {
            Some(place) => place,
            None => {
                self.sockets.push(Member { socket: Socket::new(Domain::IPV6, Type::DGRAM, None)?, groups: 0 });
                self.sockets.len() - 1
            }
        };
        let Some(member) = self.sockets.get_mut(place) else { return Ok(()) };
        member.socket.join_multicast_v6(&group, self.interface.get())?;
        member.groups += 1;
        self.at.insert(group, place);
        Ok(())
    }

    /// Listens to it no more.
    pub fn leave(&mut self, group: Ipv6Addr) -> io::Result<()> {
        let Some(place) = self.at.remove(&group) else { return Ok(()) };
        let Some(member) = self.sockets.get_mut(place) else { return Ok(()) };
        member.groups -= 1;
        member.socket.leave_multicast_v6(&group, self.interface.get())
    }
}
