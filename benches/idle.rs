//! Needs: what the lab needs (docs/lab.md): root, the programs of `tests/lab/packages`, and what `tests/tools` builds. What Portolan writes to a
//! cluster in which nothing changes.
//!
//! `cargo bench --bench idle -- 1000 3600`
//!
//! The lab's cluster (real API server, kube-proxy on three nodes, pods), Portolan's controller with leader election and a speaker on each node, as
//! the service accounts of `deploy/`. So many Services of both families, with a TCP and a UDP port each, are announced and proven to be reached. Then
//! for so many seconds nobody changes anything, but that each node's status is written every five minutes as a kubelet does it. What controller and
//! speakers ask for is read off the API server's audit log. Their Leases must be renewed; anything else that they write fails the bench. So it does
//! not matter how busy the machine is or how it was compiled (`--profile dev` is there sooner); the CPU time is by the way.
//!
//! Not there: the second controller of `deploy/controller.yaml`, which reads the Lease and writes nothing while it stands by; clients.

#![allow(
    dead_code,
    unused_imports,
    reason = "the lab, the harness of tests/suite and the parts of benches/scale have more than this needs"
)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::needless_pass_by_value
)]
#![allow(clippy::disallowed_methods, reason = "it waits for time to pass")]

/// The harness of the suite, which calls its modules by their place in the crate.
#[path = "../tests/suite"]
mod suite {
    pub(crate) mod api;
    pub(crate) mod gate;
    pub(crate) mod harness;
    pub(crate) mod process;
    pub(crate) mod rights;
    pub(crate) mod server;
}
use suite::{api, gate, harness, process, rights, server};

/// The cluster; so do its modules.
#[path = "../tests/lab"]
mod lab {
    pub(crate) mod binaries;
    pub(crate) mod cluster;
    pub(crate) mod enclosure;
    pub(crate) mod kubelet;
    pub(crate) mod network;
    pub(crate) mod portolan;
    pub(crate) mod proxies;
    pub(crate) mod scheduler;
}
use lab::{binaries, cluster, enclosure, kubelet, network, portolan, proxies, scheduler};

#[path = "scale/meters.rs"]
mod meters;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use cluster::Lab;
use harness::{condition, eventually};
use lab::portolan::{CONTROLLER, LEASE, SPEAKER};
use meters::{Tally, cpu};
use network::NODES;

const NAMESPACE: &str = "idle";
/// The pool's addresses; the nodes get the IPv4 prefix (RFC 2544) for it, and have the one of IPv6.
const POOL: [&str; 2] = ["198.19.0.0/16", "2001:db8:51:0:1::/96"];

/// How many threads create Services.
const HANDS: usize = 8;
/// How long it may take until all are reached.
const PATIENCE: Duration = Duration::from_secs(900);
/// Nothing was written for so long: every address has been proven once more since (docs/bare-metal.md, "Whether it is reached").
const AT_REST: Duration = Duration::from_secs(60);
/// How often a kubelet writes its node's status although nothing has changed (`nodeStatusReportFrequency`).
const NODE_STATUS: Duration = Duration::from_secs(300);

fn main() {
    let arguments = std::env::args().skip(1).filter_map(|argument| argument.parse::<usize>().ok()).collect::<Vec<_>>();
    let number = arguments.first().copied().unwrap_or(1000);
    let idle = Duration::from_secs(arguments.get(1).copied().unwrap_or(3600) as u64);
    if let Err(reason) = enclosure::enter() {
        println!("SKIPPED: the lab: {reason}");
        return;
    }
    // From here on this is process 1 of namespaces of its own, with one thread.
    enclosure::furnish(enclosure::Life::Standing);
    let lab = Lab::build();
    serve(lab, number);
    let mut ours = Ours::of(lab);
    let before = ours.at_rest();
    println!("{number} Services are reached; nothing happens for {} s from now on", idle.as_secs());

    let began = Instant::now();
    while let Some(left) = idle.checked_sub(began.elapsed()) {
        std::thread::sleep(left.min(NODE_STATUS));
        report_nodes(lab);
    }
    let took = began.elapsed();

    let spent = Spent { before, after: ours.now(), took };
    spent.print();
    lab.is_well();
    assert_eq!(not_reached(lab), 0, "all are reached at the end");
    spent.judge();
}

/// Makes so many Services, and waits until all are reached.
fn serve(lab: &'static Lab, number: usize) {
    for node in NODES {
        network::ip(Some(node.place()), &format!("addr add 198.18.0.1{}/15 dev lan", node.0));
    }
    let portolan = lab.portolan();
    for (plural, kind, spec) in [
        ("addresspools", "AddressPool", json!({"addresses": POOL})),
        ("l2advertisements", "L2Advertisement", json!({})),
    ] {
        let object =
            json!({"apiVersion": "portolan.dev/v1alpha1", "kind": kind, "metadata": {"name": NAMESPACE}, "spec": spec});
        lab.api.create(&format!("/apis/portolan.dev/v1alpha1/{plural}"), &object);
    }
    lab.namespace(NAMESPACE);
    lab.web(NAMESPACE, NODES.len());
    let of_pool = json!({"metadata": {"annotations": {"portolan.dev/pool": NAMESPACE}}});
    std::thread::scope(|scope| {
        for hand in 0..HANDS {
            let of_pool = &of_pool;
            scope.spawn(move || {
                for service in (hand..number).step_by(HANDS) {
                    portolan.serve(NAMESPACE, &format!("s{service}"), of_pool.clone());
                }
            });
        }
    });
    eventually("all are reached", PATIENCE, || match not_reached(lab) {
        0 => Ok(()),
        left => Err(format!("{left} are not")),
    });
}

/// How many Services are not proven to be reached.
fn not_reached(lab: &Lab) -> usize {
    let services = lab.api.list(&format!("/api/v1/namespaces/{NAMESPACE}/services"));
    let reached =
        |service: &&Value| condition(service, "portolan.dev/Reachable").is_some_and(|is| is["status"] == "True");
    services.iter().filter(|service| !reached(service)).count()
}

/// What a kubelet says although nothing is new.
fn report_nodes(lab: &Lab) {
    let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    for node in NODES {
        let path = format!("/api/v1/nodes/{}", node.name());
        let mut conditions = lab.api.get(&path).expect("a node")["status"]["conditions"].take();
        for condition in conditions.as_array_mut().expect("conditions") {
            condition["lastHeartbeatTime"] = json!(now);
        }
        lab.api.patch(&format!("{path}/status"), &json!({"status": {"conditions": conditions}}));
    }
}

/// Those whose writes are counted.
struct Ours {
    tallies: BTreeMap<&'static str, Tally>,
    /// Their processes.
    pids: BTreeMap<String, u32>,
}

/// What has come of them up to a moment.
struct Counted {
    /// Renewals, by the Lease's name.
    leases: BTreeMap<String, usize>,
    /// Other requests on single objects, by who and what.
    others: BTreeMap<String, usize>,
    /// The writes among them.
    writes: usize,
    cpu: BTreeMap<String, Duration>,
}

impl Ours {
    fn of(lab: &'static Lab) -> Self {
        let tallies = [("controller", CONTROLLER), ("speakers", SPEAKER)];
        let tallies = tallies.map(|(who, user)| (who, Tally::new(&lab.server, user))).into();
        let portolan = lab.portolan();
        let speakers = NODES.map(|node| (format!("speaker of {}", node.name()), portolan.speaker(node).pid()));
        let controller = ("controller".to_owned(), portolan.controller().process.pid());
        Self { tallies, pids: speakers.into_iter().chain([controller]).collect() }
    }

    /// Waits until they rest; what has come of them by then.
    fn at_rest(&mut self) -> Counted {
        let mut before = self.now();
        loop {
            std::thread::sleep(AT_REST);
            let now = self.now();
            if now.writes == before.writes {
                return now;
            }
            before = now;
        }
    }

    fn now(&mut self) -> Counted {
        self.tallies.values_mut().for_each(Tally::read);
        let all = || self.tallies.iter();
        let kinds = all()
            .flat_map(|(who, tally)| tally.kinds.iter().map(move |(kind, count)| (format!("{who}: {kind}"), *count)));
        Counted {
            leases: all().flat_map(|(_, tally)| tally.leases.clone()).collect(),
            others: kinds.collect(),
            writes: all().map(|(_, tally)| tally.writes).sum(),
            cpu: self.pids.iter().map(|(who, pid)| (who.clone(), cpu(*pid))).collect(),
        }
    }
}

/// The time in which nothing happened.
struct Spent {
    before: Counted,
    after: Counted,
    took: Duration,
}

impl Spent {
    fn print(&self) {
        for (lease, count) in self.leases() {
            println!("  Lease {lease}: written {count} times");
        }
        println!("  other writes: {}", self.writes());
        for (request, count) in grown(&self.before.others, &self.after.others) {
            println!("    {request}: {count}");
        }
        for (who, used) in &self.after.cpu {
            let share = (*used - self.before.cpu[who]).as_secs_f64() * 100.0 / self.took.as_secs_f64();
            println!("  {who}: {share:.2} % of a CPU");
        }
    }

    fn judge(&self) {
        assert_eq!(self.writes(), 0, "nothing is written but Leases");
        let leases = self.leases();
        let of_speakers = NODES.map(|node| format!("portolan-speaker-{}", node.name()));
        let wanted: Vec<String> = std::iter::once("portolan".to_owned()).chain(of_speakers).collect();
        assert_eq!(leases.keys().cloned().collect::<Vec<_>>(), wanted, "these Leases, and no others");
        let least = (self.took.as_secs() / LEASE.as_secs()) as usize;
        assert!(leases.values().all(|count| *count >= least), "each as often as it runs out: {leases:?}");
    }

    fn leases(&self) -> BTreeMap<String, usize> {
        grown(&self.before.leases, &self.after.leases)
    }

    fn writes(&self) -> usize {
        self.after.writes - self.before.writes
    }
}

/// What has become more, and by how much.
fn grown(before: &BTreeMap<String, usize>, now: &BTreeMap<String, usize>) -> BTreeMap<String, usize> {
    let more = now.iter().map(|(what, count)| (what.clone(), count - before.get(what).copied().unwrap_or_default()));
    more.filter(|(_, count)| *count > 0).collect()
}
