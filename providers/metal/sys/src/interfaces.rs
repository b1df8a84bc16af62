//! The interfaces of this network namespace and what is to be known of each, now and whenever that changes (rtnetlink(7)).

use std::collections::BTreeMap;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU32;
use std::pin::pin;
use std::time::Duration;

use futures::channel::mpsc::UnboundedReceiver;
use futures::future::{self, Either};
use futures::{StreamExt, TryStreamExt};
use ipnet::IpNet;
use portolan_l2::Mac;
use rtnetlink::packet_core::NetlinkMessage;
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::address::{AddressAttribute, AddressMessage};
use rtnetlink::packet_route::link::{LinkAttribute, LinkFlags, LinkLayerType, LinkMessage};
use rtnetlink::packet_route::route::{RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteType, RouteVia};
use rtnetlink::proto::Connection;
use rtnetlink::sys::SocketAddr;
use rtnetlink::{Handle, MulticastGroup, RouteMessageBuilder};

/// How long news are collected before everything is read again: pods come and go by the dozen, and each brings several.
const LULL: Duration = Duration::from_millis(50);

/// What is to be known of an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// What the kernel calls it.
    pub index: NonZeroU32,
    /// What people call it.
    pub name: String,
    /// Its Ethernet address; none of one that is no Ethernet, or that has none.
    pub mac: Option<Mac>,
    /// It is switched on, and there is somebody at the other end.
    pub up: bool,
    /// Addresses are resolved there: it reaches all of a segment at once (`BROADCAST`), and ARP is not switched off (`NOARP`).
    pub resolves: bool,
    /// It is a port of another interface, of a bridge or a bond, which has the addresses.
    pub enslaved: bool,
    /// How often somebody has come to be at the other end.
    pub came_up: u32,
    /// Its addresses, each with the prefix that is connected there.
    pub addresses: Vec<IpNet>,
    /// The same, as the node has them itself: at a line between two ends `addresses` has the other end's. Sorted.
    pub own: Vec<IpAddr>,
    /// Prefixes that a route of the main table without a gateway says are on the segment, of more than one address: what a router advertises where
    /// addresses have no prefix of their own (DHCPv6), or somebody has set. Sorted.
    pub on_link: Vec<IpNet>,
    /// The metric of the default route for IPv4 that leads out there, if one does; the lowest is used.
    pub default_v4: Option<u32>,
    /// The same for IPv6.
    pub default_v6: Option<u32>,
    /// The next hops of all default routes that lead out there, lowest first.
    pub gateways: Vec<IpAddr>,
}

/// What the kernel did not tell.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No socket.
    #[error("no netlink socket could be opened: {0}")]
    Open(#[source] std::io::Error),
    /// A question was refused.
    #[error("the kernel did not tell its {0}: {1}")]
    Ask(&'static str, #[source] rtnetlink::Error),
    /// There is nobody to ask any more.
    #[error("the netlink socket was closed")]
    Closed,
}

/// The interfaces of the namespace that it was opened in. Needs no right.
pub struct Interfaces {
    connection: Connection<RouteNetlinkMessage>,
    handle: Handle,
    news: UnboundedReceiver<(NetlinkMessage<RouteNetlinkMessage>, SocketAddr)>,
    last: Option<Vec<Interface>>,
    /// Something has changed, or may have, since `last` was read.
    stale: bool,
}

impl std::fmt::Debug for Interfaces {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Interfaces").field("last", &self.last).finish_non_exhaustive()
    }
}

impl Interfaces {
    /// Listens to changes from now on. Within a tokio runtime.
    pub fn open() -> Result<Self, Error> {
        let groups = [
            MulticastGroup::Link,
            MulticastGroup::Ipv4Ifaddr,
            MulticastGroup::Ipv6Ifaddr,
            MulticastGroup::Ipv4Route,
            MulticastGroup::Ipv6Route,
        ];
        let (connection, handle, news) = rtnetlink::new_multicast_connection(&groups).map_err(Error::Open)?;
        Ok(Self { connection, handle, news, last: None, stale: true })
    }

    /// All interfaces by their indices: at first as they are, then whenever something of them is otherwise than before. May be given up and
    /// called again; nothing is lost by that.
    pub async fn next(&mut self) -> Result<Vec<Interface>, Error> {
        loop {
            let Self { connection, handle, news, .. } = self;
            if !self.stale {
                driven(connection, news.next()).await?.ok_or(Error::Closed)?;
                self.stale = true;
                driven(connection, tokio::time::sleep(LULL)).await?;
            }
            // What is read from here on is newer than all of these; also where the kernel had no room for some (ENOBUFS, which is news too).
            while news.try_recv().is_ok() {}
            let now = driven(connection, read(handle)).await??;
            self.stale = false;
            if self.last.as_ref() != Some(&now) {
                self.last = Some(now.clone());
                return Ok(now);
            }
        }
    }
}

/// Nothing comes or goes by itself: the connection is driven by whoever waits for something from it.
async fn driven<T>(
    connection: &mut Connection<RouteNetlinkMessage>,
    work: impl Future<Output = T>,
) -> Result<T, Error> {
    match future::select(pin!(work), connection).await {
        Either::Left((done, _)) => Ok(done),
        Either::Right(((), _)) => Err(Error::Closed),
    }
}

async fn read(handle: &Handle) -> Result<Vec<Interface>, Error> {
    let asked = |what| move |error| Error::Ask(what, error);
    let links: Vec<LinkMessage> = handle.link().get().execute().try_collect().await.map_err(asked("interfaces"))?;
    let mut interfaces: BTreeMap<NonZeroU32, Interface> =
        links.iter().filter_map(interface).map(|interface| (interface.index, interface)).collect();
    let addresses: Vec<AddressMessage> =
        handle.address().get().execute().try_collect().await.map_err(asked("addresses"))?;
    for message in &addresses {
        let index = NonZeroU32::new(message.header.index);
        let Some(interface) = index.and_then(|index| interfaces.get_mut(&index)) else { continue };
        interface.addresses.extend(connected(message));
        interface.own.extend(own(message));
    }
    for v4 in [true, false] {
        let every = if v4 {
            RouteMessageBuilder::<Ipv4Addr>::new().build()
        } else {
            RouteMessageBuilder::<Ipv6Addr>::new().build()
        };
        let routes: Vec<RouteMessage> =
            handle.route().get(every).execute().try_collect().await.map_err(asked("routes"))?;
        for Hop { out, metric, gateway } in routes.iter().flat_map(default_routes) {
            let Some(interface) = interfaces.get_mut(&out) else { continue };
            let least = if v4 { &mut interface.default_v4 } else { &mut interface.default_v6 };
            *least = Some(least.map_or(metric, |least| least.min(metric)));
            interface.gateways.extend(gateway);
        }
        for (out, prefix) in routes.iter().filter_map(on_link) {
            if let Some(interface) = interfaces.get_mut(&out) {
                interface.on_link.push(prefix);
            }
        }
    }
    let mut interfaces: Vec<Interface> = interfaces.into_values().collect();
    for interface in &mut interfaces {
        interface.addresses.sort_unstable();
        interface.own.sort_unstable();
        interface.on_link.sort_unstable();
        interface.on_link.dedup();
        interface.gateways.sort_unstable();
        interface.gateways.dedup();
    }
    Ok(interfaces)
}

#[expect(clippy::wildcard_enum_match_arm, reason = "attributes of an interface are many, and more with each kernel")]
fn interface(link: &LinkMessage) -> Option<Interface> {
    let flags = link.header.flags;
    let mut found = Interface {
        index: NonZeroU32::new(link.header.index)?,
        name: String::new(),
        mac: None,
        up: flags.contains(LinkFlags::Up | LinkFlags::LowerUp),
        resolves: flags.contains(LinkFlags::Broadcast) && !flags.contains(LinkFlags::Noarp),
        enslaved: false,
        came_up: 0,
        addresses: Vec::new(),
        own: Vec::new(),
        on_link: Vec::new(),
        default_v4: None,
        default_v6: None,
        gateways: Vec::new(),
    };
    for attribute in &link.attributes {
        match attribute {
            LinkAttribute::IfName(name) => found.name.clone_from(name),
            LinkAttribute::Address(octets) if link.header.link_layer_type == LinkLayerType::Ether => {
                found.mac = octets.as_slice().try_into().ok().map(Mac).filter(|mac| *mac != Mac::ZERO);
            }
            LinkAttribute::Controller(master) => found.enslaved = *master != 0,
            LinkAttribute::CarrierUpCount(count) => found.came_up = *count,
            _ => {}
        }
    }
    Some(found)
}

/// The prefix is that of `IFA_ADDRESS`, which at both ends of a line between two is the other's address.
#[expect(clippy::wildcard_enum_match_arm, reason = "attributes of an address are many, and more with each kernel")]
fn connected(message: &AddressMessage) -> Option<IpNet> {
    let address = message.attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Address(address) => Some(*address),
        _ => None,
    })?;
    IpNet::new(address, message.header.prefix_len).ok()
}

/// `IFA_LOCAL`; where the kernel leaves that out, as it does for IPv6 but at a line between two, `IFA_ADDRESS` is the same.
#[expect(clippy::wildcard_enum_match_arm, reason = "attributes of an address are many, and more with each kernel")]
fn own(message: &AddressMessage) -> Option<IpAddr> {
    let local = message.attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Local(address) => Some(*address),
        _ => None,
    });
    local.or_else(|| connected(message).map(|prefix| prefix.addr()))
}

/// One way that a default route takes.
struct Hop {
    out: NonZeroU32,
    metric: u32,
    /// Whom packets are handed to there; none where the other end of the line is all there is.
    gateway: Option<IpAddr>,
}

/// The ways of a default route of the main table: several, where it takes several.
#[expect(clippy::wildcard_enum_match_arm, reason = "attributes of a route are many, and more with each kernel")]
fn default_routes(route: &RouteMessage) -> Vec<Hop> {
    if route.header.destination_prefix_length != 0 || !is_in_use(route) {
        return Vec::new();
    }
    let (mut hops, mut metric) = (Vec::new(), 0);
    let mut only = None;
    for attribute in &route.attributes {
        match attribute {
            RouteAttribute::Oif(index) => only = Some(*index),
            RouteAttribute::MultiPath(ways) => {
                hops.extend(ways.iter().map(|hop| (hop.interface_index, gateway(&hop.attributes))));
            }
            RouteAttribute::Priority(priority) => metric = *priority,
            _ => {}
        }
    }
    hops.extend(only.map(|out| (out, gateway(&route.attributes))));
    hops.into_iter().filter_map(|(out, gateway)| Some(Hop { out: NonZeroU32::new(out)?, metric, gateway })).collect()
}

/// A route to a segment itself.
#[expect(clippy::wildcard_enum_match_arm, reason = "attributes of a route are many, and more with each kernel")]
fn on_link(route: &RouteMessage) -> Option<(NonZeroU32, IpNet)> {
    if !is_in_use(route) {
        return None;
    }
    let (mut out, mut destination) = (None, None);
    for attribute in &route.attributes {
        match attribute {
            RouteAttribute::Oif(index) => out = NonZeroU32::new(*index),
            RouteAttribute::Destination(RouteAddress::Inet(address)) => destination = Some(IpAddr::V4(*address)),
            RouteAttribute::Destination(RouteAddress::Inet6(address)) => destination = Some(IpAddr::V6(*address)),
            // What is wrapped (SRv6, MPLS) goes to somebody else than it is for.
            RouteAttribute::Encap(_) => return None,
            _ => {}
        }
    }
    // The default route has no destination.
    let prefix = IpNet::new(destination?, route.header.destination_prefix_length).ok()?;
    let is_segment = gateway(&route.attributes).is_none() && prefix.prefix_len() < prefix.max_prefix_len();
    Some((out?, prefix)).filter(|_| is_segment && !is_of_link(prefix.addr()))
}

/// Of the main table, and leads somewhere.
fn is_in_use(route: &RouteMessage) -> bool {
    route.header.table == RouteHeader::RT_TABLE_MAIN && route.header.kind == RouteType::Unicast
}

/// It means something on one segment alone (RFC 3927, RFC 4291 section 2.5.6).
pub fn is_of_link(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

/// A route for IPv4 may have a gateway of IPv6 (`RTA_VIA`).
#[expect(clippy::wildcard_enum_match_arm, reason = "attributes of a route are many, and more with each kernel")]
fn gateway(attributes: &[RouteAttribute]) -> Option<IpAddr> {
    attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Gateway(RouteAddress::Inet(address)) | RouteAttribute::Via(RouteVia::Inet(address)) => {
            Some(IpAddr::V4(*address))
        }
        RouteAttribute::Gateway(RouteAddress::Inet6(address)) | RouteAttribute::Via(RouteVia::Inet6(address)) => {
            Some(IpAddr::V6(*address))
        }
        _ => None,
    })
}

impl Interface {
    /// It is on the segment: one is connected to it, or a route says so.
    pub fn holds(&self, address: IpAddr) -> bool {
        self.connects(address) || self.on_link.iter().any(|prefix| prefix.contains(&address))
    }

    /// One of its addresses has a prefix that holds this one. Addresses of the link itself connect nobody to anything.
    pub fn connects(&self, address: IpAddr) -> bool {
        let counts = |prefix: &&IpNet| match prefix.addr() {
            IpAddr::V4(own) => own != Ipv4Addr::UNSPECIFIED,
            IpAddr::V6(own) => !own.is_unicast_link_local(),
        };
        self.addresses.iter().filter(counts).any(|prefix| prefix.contains(&address))
    }
}
