//! Needs: nothing. How long the decisions over all addresses take at the size of the design: who may answer for each, and who shall.
//!
//! `cargo bench -p portolan-metal --bench placement -- 10000 100`
//!
//! So many addresses and nodes. Either every node may answer for every address, or each address has nodes of its own, as under
//! `externalTrafficPolicy: Local`: the worst there is. A placement that changes although nothing has fails the bench.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a bench measures time, prints it, and fails by panicking"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Instant;

use portolan_core::ids::NodeName;
use portolan_core::snapshot::Node;
use portolan_metal::advertisement::{Advertisement, PoolRef};
use portolan_metal::eligible::{self, Endpoints, Host, Member, Speaker, eligible};
use portolan_metal::placement::{self, Pace, Ranks, Rebalance, Weights, place};
use portolan_metal::pool::PoolName;
use portolan_metal::selector::{Labels, Requirement, Selector};

/// How many owners may change in a round, as the controller has it.
const MOVES: usize = 10;

fn main() {
    let numbers: Vec<usize> = std::env::args().skip(1).filter_map(|argument| argument.parse().ok()).collect();
    let [vips, nodes] = numbers.try_into().unwrap_or([10_000, 100]);
    println!("{vips} addresses, {nodes} nodes");
    for own in [None, Some(3), Some(nodes / 2)] {
        who_may(vips, nodes, own);
    }
    for own in [None, Some(3), Some(nodes / 2)] {
        who_shall(vips, nodes, own);
    }
}

fn node(number: usize) -> NodeName {
    NodeName::new(format!("node-{number:03}"))
}

fn address(number: usize) -> IpAddr {
    Ipv4Addr::from_bits(Ipv4Addr::new(198, 18, 0, 0).to_bits() + u32::try_from(number).unwrap()).into()
}

/// The nodes of an address: all, or so many of its own.
fn of_address(number: usize, nodes: usize, own: Option<usize>) -> BTreeSet<usize> {
    match own {
        None => (0..nodes).collect(),
        Some(own) => (0..own).map(|step| (number * 7 + step * (1 + number % 13)) % nodes).collect(),
    }
}

fn what(own: Option<usize>) -> String {
    own.map_or_else(|| "all alike".to_owned(), |own| format!("{own} nodes each"))
}

/// Ten advertisements, each for a tenth of the nodes.
fn who_may(vips: usize, nodes: usize, own: Option<usize>) {
    let label = |number: usize| Labels::from([("name".to_owned(), node(number).as_str().to_owned())]);
    let hosts: Vec<Host> = (0..nodes).map(|number| host(node(number), label(number))).collect();
    let names: Vec<String> = (0..nodes).map(|number| node(number).as_str().to_owned()).collect();
    let advertisements: Vec<Advertisement> = names
        .chunks(nodes.div_ceil(10))
        .map(|some| {
            let requirement = Requirement::In("name".to_owned(), some.iter().cloned().collect());
            Advertisement {
                node_selectors: vec![Selector { requirements: vec![requirement] }],
                ..Advertisement::default()
            }
        })
        .collect();
    let vip = |number: usize| {
        let endpoints = match own {
            None => Endpoints::Anywhere,
            Some(_) => Endpoints::On(of_address(number, nodes, own).into_iter().map(node).collect()),
        };
        let labels = Labels::from([("app".to_owned(), "web".to_owned())]);
        let pool = PoolRef { name: PoolName::new("pool"), labels: Labels::new() };
        (address(number), eligible::Vip { pool, services: vec![Member { labels, endpoints, health_check: None }] })
    };
    let vips: BTreeMap<IpAddr, eligible::Vip> = (0..vips).map(vip).collect();
    let begun = Instant::now();
    let found = eligible(&vips, &hosts, &advertisements, false);
    println!("  who may, {}: {:.1?}", what(own), begun.elapsed());
    assert!(found.values().all(|one| !one.nodes.is_empty()), "somebody may answer for each");
}

/// Nothing speaks against it.
fn host(name: NodeName, labels: Labels) -> Host {
    let node = Node {
        name,
        internal: Vec::new(),
        labels: Arc::new(labels),
        leaving: false,
        deleting: false,
        provider_id: None,
    };
    Host {
        node: Arc::new(node),
        ready: true,
        network_unavailable: false,
        out_of_service: false,
        drained: false,
        speaker: Speaker::Alive { interfaces: ["lan0".to_owned()].into(), forwards: true, failing: BTreeSet::new() },
    }
}

fn who_shall(vips: usize, nodes: usize, own: Option<usize>) {
    let mut cluster = Cluster { vips, nodes, own, ranks: BTreeMap::new() };
    let everybody: BTreeSet<usize> = (0..nodes).collect();
    let without: BTreeSet<usize> = (1..nodes).collect();
    cluster.round("fresh", &everybody, MOVES);
    assert_eq!(cluster.round("again", &everybody, MOVES), 0, "nothing has changed");
    cluster.round("a node goes", &without, MOVES);
    cluster.round("it comes back, ten moves", &everybody, MOVES);
    cluster.round("then all moves", &everybody, usize::MAX);
}

struct Cluster {
    vips: usize,
    nodes: usize,
    own: Option<usize>,
    ranks: BTreeMap<IpAddr, Ranks>,
}

impl Cluster {
    /// Places all addresses on these nodes; how many ranks have changed.
    fn round(&mut self, event: &str, there: &BTreeSet<usize>, moves: usize) -> usize {
        let mut known: BTreeMap<BTreeSet<usize>, Arc<Weights>> = BTreeMap::new();
        let vip = |number: usize| {
            let address = address(number);
            let nodes: BTreeSet<usize> = &of_address(number, self.nodes, self.own) & there;
            // Equal ones are shared, as by `eligible`.
            let weights = known
                .entry(nodes)
                .or_insert_with_key(|nodes| Arc::new(nodes.iter().map(|number| (node(*number), 0)).collect()));
            let previous = self.ranks.get(&address).cloned().unwrap_or_default();
            (address, placement::Vip { eligible: Arc::clone(weights), rebalance: Rebalance::WhenSteady, previous })
        };
        let vips: BTreeMap<IpAddr, placement::Vip> = (0..self.vips).map(vip).collect();
        let settled = there.iter().copied().map(node).collect();
        let begun = Instant::now();
        let ranks = place(&vips, &Pace { settled: &settled, moves }).ranks;
        let took = begun.elapsed();
        let changed = ranks.iter().filter(|(address, ranks)| self.ranks.get(*address) != Some(ranks)).count();
        println!("  who shall, {}, {event}: {took:.1?}, {changed} ranks changed", what(self.own));
        self.ranks = ranks;
        changed
    }
}
