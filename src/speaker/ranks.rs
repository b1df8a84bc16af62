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
    /// The highest resourceVersion among what it owns and what it has owned: all up to there is known.
    pub(crate) version: u64,
}

/// An address that it owns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Owned {
    /// How often the ranks of the address have changed, from 1.
    pub(crate) generation: u64,
    /// The interfaces that the node is limited to, if it is.
    pub(crate) only: Option<BTreeSet<String>>,
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
            (ranked.address, Owned { generation, only, heirs, version })
        };
        let addresses = ours().map(owned).collect();
        Some(Owns { addresses, left: self.left.clone(), withheld: BTreeSet::new(), version: self.version })
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
        who(self) == who(other) && what(self) == what(other)
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
    let ports = object.spec.services.iter().flat_map(|served| &served.ports);
    let ports = ports.filter(|port| port.protocol == ProtocolText::Tcp).map(|port| port.port).collect();
    let source_ranges = object.spec.source_ranges;
    Projected::Object(Ranked { address, version, owner, heirs, generation, interfaces, ports, source_ranges })
}

#[cfg(test)]
mod tests {
    use kube::core::ObjectMeta;
    use serde_json::json;

    use super::*;

    fn ranks() -> Ranks {
        Ranks::of("node-a".to_owned())
    }

    fn object(name: &str, version: u64, spec: serde_json::Value) -> api::VirtualIP {
        let metadata = ObjectMeta {
            name: Some(name.to_owned()),
            resource_version: Some(version.to_string()),
            ..ObjectMeta::default()
        };
        api::VirtualIP { metadata, spec: serde_json::from_value(spec).unwrap(), status: None }
    }

    fn ranked(name: &str, version: u64, spec: serde_json::Value) -> Ranked {
        match read(object(name, version, spec)) {
            Projected::Object(ranked) => ranked,
            Projected::Nothing | Projected::Unreadable(_) => panic!("{name} is read"),
        }
    }

    fn nodes(generation: u64, nodes: &[&str]) -> serde_json::Value {
        json!({"loadBalancer": "web", "ranks": {"generation": generation, "nodes": nodes}})
    }

    fn addresses(owns: &Owns) -> Vec<String> {
        owns.addresses.keys().map(ToString::to_string).collect()
    }

    #[test]
    fn a_node_owns_the_addresses_that_rank_it_first_and_nothing_before_all_are_listed() {
        let mut ranks = ranks();
        let names = "2001-0db8-0051-0000-0000-0000-0000-0010";
        let all = [
            ranked("198.51.100.10", 5, nodes(3, &["node-a", "node-b"])),
            ranked("198.51.100.11", 6, nodes(1, &["node-b", "node-a"])),
            ranked("198.51.100.12", 7, nodes(2, &[])),
            ranked("198.51.100.13", 8, json!({"reservedFor": {"namespace": "shop"}})),
            ranked(
                "198.51.100.14",
                9,
                json!({"reservedFor": {"namespace": "shop"}, "ranks": {"generation": 1, "nodes": ["node-a"]}}),
            ),
            ranked(names, 4, nodes(1, &["node-a"])),
        ];
        ranks.observe(Event::Init);
        all.into_iter().for_each(|ranked| ranks.observe(Event::InitApply(ranked)));
        assert_eq!(ranks.owns(), None);
        ranks.observe(Event::InitDone);
        let owns = ranks.owns().unwrap();
        assert_eq!(addresses(&owns), ["198.51.100.10", "2001:db8:51::10"]);
        assert_eq!(owns.addresses[&"198.51.100.10".parse::<IpAddr>().unwrap()].generation, 3);
        assert_eq!(owns.version, 5, "of its own, not of others'");
    }

    #[test]
    fn the_version_is_that_of_the_last_change_that_concerned_the_node_also_of_one_that_took_an_address_away() {
        let mut ranks = ranks();
        ranks.observe(Event::Init);
        ranks.observe(Event::InitDone);
        let mut after = |version, generation, to: &str| {
            ranks.observe(Event::Apply(ranked("198.51.100.10", version, nodes(generation, &[to]))));
            let owns = ranks.owns().unwrap();
            (addresses(&owns).len(), owns.version)
        };
        assert_eq!(after(10, 1, "node-b"), (0, 0));
        assert_eq!(after(11, 2, "node-a"), (1, 11));
        assert_eq!(after(12, 2, "node-a"), (1, 12), "the ranks are the same, the object is another");
        assert_eq!(after(13, 3, "node-b"), (0, 13));
        assert_eq!(after(14, 4, "node-c"), (0, 13));
        ranks.observe(Event::Apply(ranked("198.51.100.10", 15, nodes(5, &["node-a"]))));
        ranks.observe(Event::Delete("198.51.100.10".to_owned(), ResourceVersion::new("16".to_owned())));
        assert_eq!(ranks.owns().unwrap(), Owns { version: 15, ..Owns::default() });
    }

    #[test]
    fn what_it_has_owned_and_another_node_owns_now_is_left_to_it_as_long_as_somebody_else_owns_it() {
        let mut ranks = ranks();
        ranks.observe(Event::Init);
        // Somebody else's all along.
        ranks.observe(Event::InitApply(ranked("198.51.100.11", 5, nodes(1, &["node-b"]))));
        ranks.observe(Event::InitDone);
        let address: IpAddr = "198.51.100.10".parse().unwrap();
        let mut version = 10;
        let mut after = |to: Option<&[&str]>| {
            version += 1;
            ranks.observe(match to {
                Some(to) => Event::Apply(ranked("198.51.100.10", version, nodes(version, to))),
                None => Event::Delete("198.51.100.10".to_owned(), ResourceVersion::new(version.to_string())),
            });
            let left = ranks.owns().unwrap().left;
            assert!(left.is_empty() || left == BTreeSet::from([address]), "{left:?}");
            !left.is_empty()
        };
        assert!(!after(Some(&["node-b"])), "never owned");
        assert!(!after(Some(&["node-a", "node-b"])));
        assert!(after(Some(&["node-b"])));
        assert!(after(Some(&["node-c"])), "handed on");
        assert!(!after(Some(&["node-a"])), "come back");
        assert!(after(Some(&["node-b"])));
        assert!(!after(Some(&[])), "nobody's");
        assert!(!after(Some(&["node-b"])), "it had fallen silent");
        assert!(!after(Some(&["node-a"])));
        assert!(!after(Some(&[""])), "a node without a name is nobody");
        assert!(!after(Some(&["node-a"])));
        assert!(after(Some(&["node-b"])));
        assert!(!after(None), "gone");
    }

    #[test]
    fn the_interfaces_that_a_node_is_limited_to_are_its_own_alone() {
        let mut ranks = ranks();
        ranks.observe(Event::Init);
        let spec = json!({"loadBalancer": "web", "ranks": {"generation": 1, "nodes": ["node-a"], "interfaces": {"node-a": ["lan0"], "node-b": ["lan1"]}}});
        ranks.observe(Event::InitApply(ranked("198.51.100.10", 5, spec)));
        ranks.observe(Event::InitApply(ranked("198.51.100.11", 5, nodes(1, &["node-a"]))));
        ranks.observe(Event::InitDone);
        let only: Vec<_> = ranks.owns().unwrap().addresses.into_values().map(|owned| owned.only).collect();
        assert_eq!(only, [Some(BTreeSet::from(["lan0".to_owned()])), None]);
    }

    #[test]
    fn a_node_inherits_what_ranks_it_second_with_what_there_is_to_prove_and_nothing_that_nobody_owns() {
        let mut ranks = ranks();
        ranks.observe(Event::Init);
        let port = |port: u16, protocol: &str| json!({"port": port, "protocol": protocol});
        let service = |ports: serde_json::Value| json!({"uid": "u", "namespace": "n", "name": "web", "ports": ports});
        let spec = json!({
            "loadBalancer": "web",
            "services": [service(json!([port(80, "TCP"), port(53, "UDP")])), service(json!([port(443, "TCP")]))],
            "sourceRanges": ["203.0.113.0/24"],
            "ranks": {"generation": 3, "nodes": ["node-b", "node-a", "node-c"], "interfaces": {"node-a": ["lan0"]}},
        });
        ranks.observe(Event::InitApply(ranked("198.51.100.10", 5, spec.clone())));
        ranks.observe(Event::InitApply(ranked("198.51.100.11", 6, nodes(1, &["node-a", "node-b"]))));
        ranks.observe(Event::InitApply(ranked("198.51.100.12", 7, nodes(1, &["node-b", "node-c", "node-a"]))));
        ranks.observe(Event::InitApply(ranked("198.51.100.13", 8, nodes(1, &["", "node-a"]))));
        ranks.observe(Event::InitDone);
        let inherited = Inherited {
            owner: "node-b".to_owned(),
            generation: 3,
            only: Some(BTreeSet::from(["lan0".to_owned()])),
            ports: [80, 443].into(),
            source_ranges: vec!["203.0.113.0/24".parse().unwrap()],
            version: 5,
        };
        let address: IpAddr = "198.51.100.10".parse().unwrap();
        assert_eq!(ranks.inherits(), Inherits { addresses: [(address, inherited.clone())].into(), version: 5 });

        let mut other = spec;
        other["services"] = json!([service(json!([port(53, "UDP")]))]);
        ranks.observe(Event::Apply(ranked("198.51.100.10", 9, other)));
        let other = Inherited { ports: BTreeSet::new(), version: 9, ..inherited };
        assert_eq!(ranks.inherits(), Inherits { addresses: [(address, other)].into(), version: 9 });
    }

    #[test]
    fn an_object_whose_name_is_no_address_is_nobodys() {
        assert!(
            matches!(read(object("web", 1, nodes(1, &["node-a"]))), Projected::Unreadable(why) if why.contains("no address"))
        );
    }
}
