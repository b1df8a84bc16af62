//! The addresses that this node owns, as the controller has ranked them: the first of a `VirtualIP`'s ranks answers for it. And those that it has
//! owned and that another node owns now, which it may have to answer for a little longer.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;

use futures::{FutureExt, StreamExt};
use ipnet::IpNet;
use kube::Client;
use portolan_core::ids::ResourceVersion;
use portolan_metal::vip;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::api::{self, ProtocolText};
use crate::cluster::project;
use crate::cluster::watch::{Projected, events};
use crate::controller::index::{Event, Object, Store};

/// What a node owns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Owns {
    pub(crate) addresses: BTreeMap<IpAddr, Owned>,
    /// What it has owned and another node owns now. Not what nobody does, or what is gone.
    pub(crate) left: BTreeSet<IpAddr>,
    /// What it owns and does not announce, because it forwards nothing and another node could ([`crate::speaker::forwarding`]).
    pub(crate) withheld: BTreeSet<IpAddr>,
    /// What it owns and is yet to find out about whether it forwards it.
    pub(crate) waiting: BTreeSet<IpAddr>,
    /// Where to ask whether the node has an endpoint of an address's Services.
    pub(crate) checks: BTreeMap<IpAddr, HealthChecks>,
    /// The highest resourceVersion among what it owns and what it has owned: all up to there is known.
    pub(crate) version: u64,
}

/// Where to ask of an address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct HealthChecks {
    /// Ports of the node.
    pub(crate) ports: BTreeSet<u16>,
    /// It ranks the node.
    pub(crate) is_ranked: bool,
}

/// An address that it owns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Owned {
    /// How often the ranks of the address have changed, from 1.
    pub(crate) generation: u64,
    /// The interfaces that the node is limited to, if it is.
    pub(crate) only: Option<BTreeSet<String>>,
    /// Nobody is known to have announced it: the wire is asked first.
    pub(crate) ask_first: bool,
    /// The nodes that stand ready behind this one.
    pub(crate) heirs: Vec<String>,
    /// The version of its object.
    pub(crate) version: u64,
}

/// What a node inherits: the addresses of which it is the first heir.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Inherits {
    pub(crate) addresses: BTreeMap<IpAddr, Inherited>,
    /// The highest resourceVersion among them: all up to there is known.
    pub(crate) version: u64,
}

/// An address that it inherits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Inherited {
    /// The node that has it.
    pub(crate) owner: String,
    /// How often the ranks of the address have changed, from 1.
    pub(crate) generation: u64,
    /// The interfaces that this node is limited to, if it is.
    pub(crate) only: Option<BTreeSet<String>>,
    /// The TCP ports of its Services.
    pub(crate) ports: BTreeSet<u16>,
    /// Who may connect; none: everybody.
    pub(crate) source_ranges: Vec<IpNet>,
    /// The version of its object.
    pub(crate) version: u64,
}

/// Where it goes.
#[derive(Debug)]
pub(crate) struct Publishers {
    pub(crate) owns: watch::Sender<Option<Arc<Owns>>>,
    pub(crate) inherits: watch::Sender<Option<Arc<Inherits>>>,
}

/// Watches `VirtualIP`s and publishes what this node owns and inherits, as soon as all have been listed, until `stop`.
pub(crate) async fn run(
    client: Client,
    seed: u64,
    node: String,
    published: Publishers,
    stop: CancellationToken,
) -> Result<(), Infallible> {
    let mut seen = events::<api::VirtualIP, _>(client, seed, "VirtualIPs", project::namespace_name, read).boxed();
    let follow = async {
        let mut ranks = Ranks::of(node);
        while let Some(event) = seen.next().await {
            ranks.observe(event);
            // One look at all for everything that is there already.
            while let Some(Some(event)) = seen.next().now_or_never() {
                ranks.observe(event);
            }
            let Some(owns) = ranks.owns() else { continue };
            publish(&published.owns, owns);
            publish(&published.inherits, ranks.inherits());
        }
    };
    stop.run_until_cancelled(follow).await;
    Ok(())
}

fn publish<T: PartialEq>(to: &watch::Sender<Option<Arc<T>>>, now: T) {
    to.send_if_modified(|last| {
        let changed = last.as_deref() != Some(&now);
        if changed {
            *last = Some(Arc::new(now));
        }
        changed
    });
}

/// What has been seen.
struct Ranks {
    node: String,
    store: Store<Ranked>,
    left: BTreeSet<IpAddr>,
    version: u64,
}

impl Ranks {
    fn of(node: String) -> Self {
        Self { node, store: Store::default(), left: BTreeSet::new(), version: 0 }
    }

    fn observe(&mut self, event: Event<Ranked>) {
        for change in self.store.observe(event) {
            let (before, after) = (change.before, change.after);
            let Some(address) = before.as_ref().or(after.as_ref()).map(|ranked| ranked.address) else { continue };
            let owner = after.as_ref().and_then(|after| after.owner.as_deref());
            let (was_ours, is_ours) =
                (before.is_some_and(|before| before.is_of(&self.node)), owner == Some(&self.node));
            if owner.is_none() || is_ours {
                self.left.remove(&address);
            } else if was_ours {
                self.left.insert(address);
            }
            if was_ours || is_ours {
                self.version = self.version.max(after.map_or(0, |after| after.number()));
            }
        }
    }

    /// Nobody knows before everything has been listed once.
    fn owns(&mut self) -> Option<Owns> {
        if self.store.lists() == 0 {
            return None;
        }
        let ours = || self.store.iter().filter(|ranked| ranked.is_of(&self.node));
        self.version = ours().map(Ranked::number).fold(self.version, u64::max);
        let owned = |ranked: &Ranked| {
            let only = ranked.interfaces.get(&self.node).cloned();
            let (generation, heirs, version) = (ranked.generation, ranked.heirs.clone(), ranked.number());
            (ranked.address, Owned { generation, only, ask_first: ranked.ask_first, heirs, version })
        };
        let addresses = ours().map(owned).collect();
        let asked = |ranked: &Ranked| {
            let is_ranked = ranked.is_of(&self.node) || ranked.heirs.contains(&self.node);
            (ranked.address, HealthChecks { ports: ranked.checks.clone(), is_ranked })
        };
        let checks = self.store.iter().filter(|ranked| !ranked.checks.is_empty()).map(asked).collect();
        let (left, version) = (self.left.clone(), self.version);
        Some(Owns { addresses, left, checks, version, ..Owns::default() })
    }
}

impl Ranks {
    fn inherits(&self) -> Inherits {
        let inherited = |ranked: &Ranked| {
            let owner = ranked.owner.clone().filter(|_| ranked.heirs.first() == Some(&self.node))?;
            let only = ranked.interfaces.get(&self.node).cloned();
            let Ranked { generation, ports, source_ranges, .. } = ranked.clone();
            Some((
                ranked.address,
                Inherited { owner, generation, only, ports, source_ranges, version: ranked.number() },
            ))
        };
        let addresses: BTreeMap<IpAddr, Inherited> = self.store.iter().filter_map(inherited).collect();
        let version = addresses.values().map(|inherited| inherited.version).max().unwrap_or(0);
        Inherits { addresses, version }
    }
}

/// A `VirtualIP`, as far as speakers go by it.
#[derive(Clone, Debug)]
struct Ranked {
    address: IpAddr,
    version: ResourceVersion,
    owner: Option<String>,
    heirs: Vec<String>,
    generation: u64,
    interfaces: BTreeMap<String, BTreeSet<String>>,
    /// TCP ports.
    ports: BTreeSet<u16>,
    source_ranges: Vec<IpNet>,
    /// Ports of the node.
    checks: BTreeSet<u16>,
    ask_first: bool,
}

impl Ranked {
    fn is_of(&self, node: &str) -> bool {
        self.owner.as_deref() == Some(node)
    }

    fn number(&self) -> u64 {
        self.version.number().unwrap_or(0)
    }
}

impl Object for Ranked {
    type Name = String;

    fn name(&self) -> String {
        vip::name(self.address)
    }

    fn version(&self) -> Option<&ResourceVersion> {
        Some(&self.version)
    }

    fn same(&self, other: &Self) -> bool {
        let who = |ranked: &Self| (ranked.owner.clone(), ranked.heirs.clone(), ranked.generation);
        let what = |ranked: &Self| (ranked.interfaces.clone(), ranked.ports.clone(), ranked.source_ranges.clone());
        let how = |ranked: &Self| (ranked.checks.clone(), ranked.ask_first);
        who(self) == who(other) && what(self) == what(other) && how(self) == how(other)
    }
}

/// The rest of the object is not looked at: whatever is wrong there, the ranks are the controller's word.
fn read(object: api::VirtualIP) -> Projected<Ranked> {
    let version = project::version(&object.metadata);
    let name = object.metadata.name.unwrap_or_default();
    let Some(address) = vip::address(&name) else {
        return Projected::Unreadable(format!("its name {name:?} is no address, so nobody can answer for it"));
    };
    // Of one that nobody has, no ranks count: nobody would take them away.
    let ranks = object.spec.ranks.filter(|_| !object.spec.load_balancer.is_empty()).unwrap_or_default();
    let mut nodes = ranks.nodes.into_iter();
    let owner = nodes.next().filter(|owner| !owner.is_empty());
    let (heirs, generation, interfaces) = (nodes.collect(), ranks.generation, ranks.interfaces);
    // The first ranks of all are those of an address that nobody has announced, whoever wrote them.
    let (checks, ask_first) = (ranks.health_checks, ranks.ask_first || generation <= 1);
    let ports = object.spec.services.iter().flat_map(|served| &served.ports);
    let ports = ports.filter(|port| port.protocol == ProtocolText::Tcp).map(|port| port.port).collect();
    let source_ranges = object.spec.source_ranges;
    Projected::Object(Ranked {
        address,
        version,
        owner,
        heirs,
        generation,
        interfaces,
        ports,
        source_ranges,
        checks,
        ask_first,
    })
}

#[cfg(test)]
mod tests;
