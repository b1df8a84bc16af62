//! IPv6 groups that an interface listens to. The kernel tells switches (MLD, RFC 3810) and network cards, so that questions about addresses
//! which no interface has reach us.

use std::collections::{BTreeMap, BTreeSet};
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
    /// Those that the kernel would not join.
    missing: BTreeSet<Ipv6Addr>,
}

#[derive(Debug)]
struct Member {
    socket: Socket,
    groups: usize,
}

impl Groups {
    /// Of this interface; none yet.
    pub fn new(interface: NonZeroU32) -> Self {
        Self { interface, sockets: Vec::new(), at: BTreeMap::new(), missing: BTreeSet::new() }
    }

    /// Listens to this one. If that fails it is missing from now on.
    pub fn join(&mut self, group: Ipv6Addr) -> io::Result<()> {
        if self.at.contains_key(&group) {
            return Ok(());
        }
        self.missing.insert(group);
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
        self.missing.remove(&group);
        Ok(())
    }

    /// Tries those again that are missing, until one fails: the reason is hardly ever the group's.
    pub fn join_missing(&mut self) -> io::Result<()> {
        while let Some(group) = self.missing.first().copied() {
            self.join(group)?;
        }
        Ok(())
    }

    /// Joins all anew. The kernel forgets the groups of an interface from which it has taken IPv6 (one of an MTU below 1280), and goes on saying of a
    /// socket that it is in them.
    pub fn join_anew(&mut self) -> io::Result<()> {
        // First: one that is closed leaves the groups that it was in, whoever has joined them since.
        self.sockets.clear();
        self.missing.extend(std::mem::take(&mut self.at).into_keys());
        self.join_missing()
    }

    /// Some are missing.
    pub fn lacks_some(&self) -> bool {
        !self.missing.is_empty()
    }

    /// Listens to it no more.
    pub fn leave(&mut self, group: Ipv6Addr) -> io::Result<()> {
        self.missing.remove(&group);
        let Some(place) = self.at.remove(&group) else { return Ok(()) };
        let Some(member) = self.sockets.get_mut(place) else { return Ok(()) };
        member.groups -= 1;
        member.socket.leave_multicast_v6(&group, self.interface.get())
    }
}
