//! The desired states that the suite asks for.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use ipnet::IpNet;

use super::random::Random;
use crate::balancer::{
    Family, HealthCheck, Listener, LoadBalancer, Member, NodeTarget, PodEndpoint, PortKey, Protocol, Scheme,
    SourceRanges, Targets,
};
use crate::capabilities::Capabilities;
use crate::ids::{ClassName, LoadBalancerId, NodeName, Uid};

/// An edit: from one desired state, or from nothing, to another.
#[derive(Clone, Debug)]
pub(super) struct Edit {
    pub(super) name: String,
    pub(super) from: Option<LoadBalancer>,
    pub(super) to: LoadBalancer,
}

/// What desired states can be made of: only what the provider says it can do.
#[derive(Clone, Debug)]
pub(super) struct Palette {
    pub(super) capabilities: Capabilities,
    pub(super) requestable: Vec<IpAddr>,
}

/// The nodes there are.
const NODES: u8 = 4;

/// The id under which all of it happens, one a world.
pub(super) fn id() -> LoadBalancerId {
    LoadBalancerId::new("0b8a3c1e-5d1f-4c52-9a3e-7f6d2b1c0a99")
}

impl Palette {
    /// Every edit that is worth a name.
    pub(super) fn edits(&self) -> Vec<Edit> {
        let plain = self.plain();
        let mut edits = Vec::new();
        let mut create = |name: &str, to: &LoadBalancer| {
            edits.push(Edit { name: format!("create: {name}"), from: None, to: to.clone() });
        };
        let with = |change: &dyn Fn(&mut LoadBalancer)| {
            let mut changed = plain.clone();
            change(&mut changed);
            changed
        };
        let mut variants: Vec<(&str, LoadBalancer)> = Vec::new();
        variants.push(("no targets", with(&|lb| lb.listeners = vec![self.listener(80, Protocol::Tcp, &[])])));
        let nobody = with(&|lb| lb.listeners.iter_mut().for_each(|listener| listener.has_endpoints = false));
        variants.push(("targets, and nobody to answer", nobody));
        variants.push(("another port", with(&|lb| lb.listeners = vec![self.listener(8080, Protocol::Tcp, &[1, 2])])));
        variants.push((
            "more ports",
            with(&|lb| {
                lb.listeners.push(self.listener(443, Protocol::Tcp, &[1]));
                lb.listeners.push(self.listener(8080, Protocol::Tcp, &[]));
            }),
        ));
        variants.push(("other targets", with(&|lb| lb.listeners = vec![self.listener(80, Protocol::Tcp, &[2, 3])])));
        variants.push(("other nodes", with(&|lb| lb.nodes = self.nodes(&[2, 3, 4]))));
        variants.push(("no nodes", with(&|lb| lb.nodes = Vec::new())));
        variants.push((
            "another name",
            with(&|lb| lb.members.iter_mut().for_each(|member| member.name = "renamed".to_owned())),
        ));
        if self.capabilities.sharing {
            variants.push(("another member", with(&|lb| lb.members.push(member(2)))));
        }
        if self.capabilities.mixed_protocols && self.capabilities.protocols.contains(&Protocol::Udp) {
            let both = [self.listener(53, Protocol::Tcp, &[1]), self.listener(53, Protocol::Udp, &[1])];
            variants.push(("one number, two protocols", with(&|lb| lb.listeners = both.to_vec())));
            variants
                .push(("another protocol", with(&|lb| lb.listeners = vec![self.listener(80, Protocol::Udp, &[1, 2])])));
        }
        if self.capabilities.pod_targets {
            let pods = |uid: Option<&str>| vec![self.straight(80, &[1, 2], uid)];
            if self.capabilities.node_targets {
                let both = vec![self.listener(80, Protocol::Tcp, &[1, 2]), self.straight(443, &[1, 2], None)];
                variants.push(("nodes on one port, pods on another", with(&|lb| lb.listeners.clone_from(&both))));
                let swapped = vec![self.straight(80, &[1, 2], None), self.listener(443, Protocol::Tcp, &[1, 2])];
                variants.push(("the other way round", with(&|lb| lb.listeners.clone_from(&swapped))));
            }
            variants.push(("pods that are known", with(&|lb| lb.listeners = pods(Some("first")))));
            variants.push(("others at the same addresses", with(&|lb| lb.listeners = pods(Some("second")))));
        }
        if self.capabilities.source_ranges {
            variants.push(("source ranges", with(&|lb| lb.source_ranges = SourceRanges::Only(networks(&[1, 2])))));
            variants.push(("nobody may connect", with(&|lb| lb.source_ranges = SourceRanges::Only(Vec::new()))));
        }
        if self.capabilities.session_affinity {
            variants.push((
                "session affinity",
                with(&|lb| lb.listeners.iter_mut().for_each(|listener| listener.session_affinity = Some(600))),
            ));
        }
        if self.capabilities.scheme {
            variants.push(("internal", with(&|lb| lb.scheme = Some(Scheme::Internal))));
            variants.push(("public", with(&|lb| lb.scheme = Some(Scheme::Public))));
            variants.push((
                "internal, other ports",
                with(&|lb| {
                    lb.scheme = Some(Scheme::Internal);
                    lb.listeners = vec![self.listener(8080, Protocol::Tcp, &[2])];
                }),
            ));
        }
        if let [first, .., last] = self.families().as_slice() {
            variants.push(("the other family", with(&|lb| lb.families = vec![*last])));
            variants.push(("both families", with(&|lb| lb.families = vec![*first, *last])));
            variants.push(("both families, the other first", with(&|lb| lb.families = vec![*last, *first])));
            variants.push((
                "both families, internal",
                with(&|lb| {
                    lb.families = vec![*first, *last];
                    lb.scheme = self.capabilities.scheme.then_some(Scheme::Internal);
                }),
            ));
        }
        for address in self.requestable() {
            let families = self.families();
            let asked = with(&|lb| {
                lb.requested = vec![*address];
                if !lb.families.contains(&Family::of(*address)) {
                    lb.families.clone_from(&families);
                }
            });
            variants.push(("an address by name", asked));
        }

        create("plain", &plain);
        for (name, variant) in &variants {
            create(name, variant);
        }
        let mut edit = |from: (&str, &LoadBalancer), to: (&str, &LoadBalancer)| {
            let name = format!("edit: {} -> {}", from.0, to.0);
            edits.push(Edit { name, from: Some(from.1.clone()), to: to.1.clone() });
        };
        for (name, variant) in &variants {
            edit(("plain", &plain), (name, variant));
            edit((name, variant), ("plain", &plain));
        }
        // Neighbours in the list: two things change at once.
        for pair in variants.windows(2) {
            if let [(from, first), (to, second)] = pair {
                edit((from, first), (to, second));
            }
        }
        edits
    }

    /// Load balancers that two Services share, and what the second of them then asks for.
    pub(super) fn holds(&self) -> Vec<(String, LoadBalancer, LoadBalancer)> {
        if !self.capabilities.sharing {
            return Vec::new();
        }
        let second = member(2);
        let of_second = |port: u16, targets: &[u8]| Listener {
            service: second.uid.clone(),
            ..self.listener(port, Protocol::Tcp, targets)
        };
        let mut shared = self.plain();
        shared.members.push(second.clone());
        shared.listeners.push(of_second(443, &[1]));
        let edits = self.edits().into_iter().filter(|edit| edit.from.is_none()).map(|edit| {
            let mut wish = LoadBalancer { members: shared.members.clone(), ..edit.to };
            wish.listeners = vec![of_second(8443, &[2]), of_second(443, &[1, 2])];
            (format!("held: {}", edit.name), shared.clone(), wish)
        });
        edits.collect()
    }

    /// A history of desired states.
    pub(super) fn history(&self, random: &mut Random) -> Vec<LoadBalancer> {
        let length = random.below(4).saturating_add(2);
        (0..length).map(|_| self.any(random)).collect()
    }

    fn any(&self, random: &mut Random) -> LoadBalancer {
        let mut desired = self.plain();
        let mut families = self.families();
        random.shuffle(&mut families);
        if random.coin() {
            families.truncate(1);
        }
        desired.families = families;
        if self.capabilities.scheme {
            desired.scheme = random.pick(&[None, Some(Scheme::Internal), Some(Scheme::Public)]).copied().flatten();
        }
        // An address by name belongs to one scheme only, and only its provider knows to which: not both in one state.
        if desired.scheme.is_none() && random.below(3) == 0 {
            let fits = |address: &&IpAddr| desired.families.contains(&Family::of(**address));
            let fitting: Vec<_> = self.requestable().iter().filter(fits).copied().collect();
            desired.requested = random.pick(&fitting).into_iter().copied().collect();
        }
        if self.capabilities.source_ranges && random.coin() {
            desired.source_ranges = SourceRanges::Only(networks(&random.some(&[1, 2, 3])));
        }
        let mut protocols: Vec<_> = self.capabilities.protocols.iter().copied().collect();
        if !self.capabilities.mixed_protocols {
            let one = random.below(protocols.len());
            protocols = protocols.get(one).copied().into_iter().collect();
        }
        let mut keys: Vec<_> = [53, 80, 443]
            .into_iter()
            .flat_map(|port| protocols.iter().map(move |protocol| (port, *protocol)))
            .collect();
        random.shuffle(&mut keys);
        keys.truncate(random.below(4).saturating_add(1));
        keys.sort_unstable();
        desired.listeners = keys
            .into_iter()
            .map(|(port, protocol)| {
                let mut listener = self.listener(port, protocol, &random.some(&[1, 2, 3, 4]));
                listener.session_affinity = (self.capabilities.session_affinity && random.below(4) == 0).then_some(600);
                listener
            })
            .collect();
        desired.nodes = self.nodes(&random.some(&[1, 2, 3, 4]));
        if self.capabilities.sharing && random.below(4) == 0 {
            desired.members.push(member(2));
        }
        desired
    }

    /// The simplest load balancer that the provider can make.
    pub(super) fn plain(&self) -> LoadBalancer {
        LoadBalancer {
            id: id(),
            class: ClassName::new("portolan.dev/conformance"),
            held: Vec::new(),
            following: Vec::new(),
            members: vec![member(1)],
            families: self.families().into_iter().take(1).collect(),
            requested: Vec::new(),
            scheme: None,
            listeners: vec![self.listener(80, Protocol::Tcp, &[1, 2])],
            source_ranges: SourceRanges::All,
            allow_downtime: false,
            nodes: self.nodes(&[1, 2, 3]),
            settings: BTreeMap::new(),
            published: Vec::new(),
        }
    }

    fn families(&self) -> Vec<Family> {
        self.capabilities.families.iter().copied().collect()
    }

    fn requestable(&self) -> &[IpAddr] {
        if self.capabilities.requested_addresses { &self.requestable } else { &[] }
    }

    fn listener(&self, port: u16, protocol: Protocol, targets: &[u8]) -> Listener {
        let key = PortKey { port, protocol };
        Listener {
            key,
            name: format!("p{port}-{}", protocol.to_string().to_lowercase()),
            service: member(1).uid,
            targets: self.targets(key, targets),
            has_endpoints: !targets.is_empty(),
            health_check: if self.capabilities.node_targets {
                HealthCheck::Http { port: 10256, path: "/healthz".to_owned() }
            } else {
                HealthCheck::EndpointSlices
            },
            session_affinity: None,
        }
    }

    fn targets(&self, key: PortKey, targets: &[u8]) -> Targets {
        if self.capabilities.node_targets {
            return Targets::Nodes {
                node_port: key.port.wrapping_add(30_000),
                nodes: targets.iter().copied().map(node_name).collect(),
            };
        }
        pods(key, targets, None)
    }

    /// A listener that sends straight to pods, whatever else the provider can do.
    fn straight(&self, port: u16, targets: &[u8], uid: Option<&str>) -> Listener {
        let listener = self.listener(port, Protocol::Tcp, targets);
        let targets = pods(listener.key, targets, uid);
        Listener { targets, health_check: HealthCheck::EndpointSlices, ..listener }
    }

    fn nodes(&self, numbers: &[u8]) -> Vec<NodeTarget> {
        let address = |number: u8, family: &Family| match family {
            Family::V4 => IpAddr::V4(Ipv4Addr::new(192, 0, 2, number)),
            Family::V6 => IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, u16::from(number))),
        };
        let known = numbers.iter().copied().filter(|number| (1..=NODES).contains(number));
        known
            .map(|number| NodeTarget {
                name: node_name(number),
                addresses: self.capabilities.families.iter().map(|family| address(number, family)).collect(),
                provider_id: Some(format!("conformance://node/{number}")),
                labels: labels(number),
            })
            .collect()
    }
}

/// The same desired state, its lists in another order where their order means nothing.
pub(super) fn shuffled(desired: &LoadBalancer, random: &mut Random) -> LoadBalancer {
    let mut other = desired.clone();
    random.shuffle(&mut other.requested);
    random.shuffle(&mut other.listeners);
    random.shuffle(&mut other.nodes);
    random.shuffle(&mut other.published);
    random.shuffle(&mut other.held);
    match &mut other.source_ranges {
        SourceRanges::All => {}
        SourceRanges::Only(networks) => random.shuffle(networks),
    }
    for listener in &mut other.listeners {
        match &mut listener.targets {
            Targets::Nodes { node_port: _, nodes } => random.shuffle(nodes),
            Targets::Pods { endpoints, local_nodes: _ } => random.shuffle(endpoints),
        }
    }
    other
}

fn member(number: u8) -> Member {
    Member {
        uid: Uid::new(format!("0b8a3c1e-5d1f-4c52-9a3e-7f6d2b1c0a{:02}", 98 + number)),
        namespace: "conformance".to_owned(),
        name: format!("web-{number}"),
    }
}

/// Pods, each with a UID that begins like this, or with none.
fn pods(key: PortKey, numbers: &[u8], uid: Option<&str>) -> Targets {
    let pod = |number: &u8| PodEndpoint {
        address: SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 244, *number, 7)), key.port),
        pod: uid.map(|uid| Uid::new(format!("{uid}-{number}"))),
        terminating: false,
    };
    Targets::Pods { endpoints: numbers.iter().map(pod).collect(), local_nodes: None }
}

fn node_name(number: u8) -> NodeName {
    NodeName::new(format!("node-{number}"))
}

/// What a provider finds nowhere but in what is desired.
fn labels(number: u8) -> Arc<BTreeMap<String, String>> {
    Arc::new([("conformance/node".to_owned(), number.to_string())].into())
}

fn networks(numbers: &[u8]) -> Vec<IpNet> {
    let network = |number: &u8| IpNet::new_assert(IpAddr::V4(Ipv4Addr::new(10, *number, 0, 0)), 16);
    numbers.iter().map(network).collect()
}
