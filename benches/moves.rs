//! Needs: root (namespaces), what `tests/lab/packages` installs, and KUBEBUILDER_ASSETS (tests/tools prints it). How many requests fail when
//! addresses go from one node to another: Portolan beside MetalLB in layer 2 mode, in one lab (docs/lab.md), one after the other, with the same
//! moves under the same load.
//!
//! `KUBEBUILDER_ASSETS=$(tests/tools) cargo bench --bench moves -- 3`
//!
//! The number is that of rounds of each move; words besides (`metallb`, `drain`) choose the rows that have them all. Two Services, one under
//! Cluster and one under Local, have an address of each family. To each of the four go every 25 ms, from the nodes' LAN and from beyond a router,
//! a new TCP connection and a UDP datagram, and a datagram from a machine that asks the LAN each time who has the address. A request fails when it is
//! not answered within 0.9 s. A gap is from the last request before a failure that was answered to the first one after it. Connections under way that
//! break at a move are counted apart: kube-proxy of the node that the address goes to does not know them, whoever announces it.
//!
//! A planned move of Portolan at which a connection is not made or a datagram not answered ends this with 1. MetalLB's are printed. Counts
//! compare; times are of one run on one machine.

#![allow(
    dead_code,
    unused_imports,
    reason = "the harness of tests/suite, and the lab of tests/lab, have more than this needs"
)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::needless_pass_by_value
)]
#![allow(clippy::disallowed_methods, reason = "a bench measures time")]

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

/// The lab, which does so too.
#[path = "../tests/lab"]
mod lab {
    pub(crate) mod arrival;
    pub(crate) mod binaries;
    pub(crate) mod capture;
    pub(crate) mod cluster;
    pub(crate) mod enclosure;
    pub(crate) mod kubelet;
    pub(crate) mod load;
    pub(crate) mod metallb;
    pub(crate) mod network;
    pub(crate) mod peer;
    pub(crate) mod portolan;
    pub(crate) mod proxies;
    pub(crate) mod scheduler;
    pub(crate) mod sighting;
}
use lab::{
    arrival, binaries, capture, cluster, enclosure, kubelet, load, metallb, network, peer, portolan, proxies,
    scheduler, sighting,
};

mod moves {
    pub(crate) mod announcers;
    pub(crate) mod kinds;
    pub(crate) mod table;
}
use moves::{announcers, kinds, table};

use std::process::ExitCode;
use std::time::Duration;

use announcers::Announcer;
use cluster::Lab;
use enclosure::Life;
use kinds::{ALL, Kind, Stage};
use peer::Metallb;
use portolan::Portolan;
use table::Row;

/// How long the lab lives.
const AT_MOST: Duration = Duration::from_secs(7200);

/// What is built from sources that are not ours, and belongs to this besides what every lab needs.
const PEER: [&str; 2] = ["metallb-controller", "metallb-speaker"];

fn main() -> ExitCode {
    let arguments = std::env::args().skip(1).filter(|word| !word.starts_with('-'));
    let (numbers, words): (Vec<String>, Vec<String>) = arguments.partition(|word| word.parse::<usize>().is_ok());
    let rounds = numbers.first().and_then(|number| number.parse().ok()).unwrap_or(3);
    if let Err(reason) = enclosure::enter() {
        return refused(&format!("{reason}; run it as root, after tests/lab/packages"));
    }
    // From here on this is process 1 of namespaces of its own, with one thread.
    let Some(folder) = server::assets() else {
        return refused(
            "KUBEBUILDER_ASSETS names no folder with the real binaries; run KUBEBUILDER_ASSETS=$(tests/tools)",
        );
    };
    if let Some(missing) = PEER.into_iter().find(|name| !folder.join(name).exists()) {
        return refused(&format!(
            "{} has no {missing}; tests/tools builds it, with Go and its module proxy",
            folder.display()
        ));
    }
    enclosure::furnish(Life::AtMost(AT_MOST));
    let lab = Lab::build();
    let mut rows = Vec::new();
    let kinds = wanted_of::<Portolan>(&words);
    if !kinds.is_empty() {
        rows.extend(measure(lab, lab.portolan(), &kinds, rounds));
        lab.is_well();
        lab.portolan().stop();
    }
    let kinds = wanted_of::<Metallb>(&words);
    if !kinds.is_empty() {
        rows.extend(measure(lab, &Metallb::start(lab), &kinds, rounds));
    }
    table::print(&rows, rounds);
    let failed: Vec<&Row> = rows.iter().filter(|row| row.breaks_the_promise()).collect();
    for row in &failed {
        println!("Portolan: \"{}\" is planned, and has failed requests", row.kind.name);
    }
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn refused(reason: &str) -> ExitCode {
    eprintln!("moves: {reason}");
    ExitCode::FAILURE
}

/// The moves whose rows have all words.
fn wanted_of<A: Announcer>(words: &[String]) -> Vec<&'static Kind> {
    let is_wanted = |kind: &&Kind| {
        let name = format!("{} {}", A::NAME, kind.name).to_lowercase();
        words.iter().all(|word| name.contains(&word.to_lowercase()))
    };
    ALL.iter().filter(is_wanted).collect()
}

/// Each row is printed when it is there.
fn measure<A: Announcer>(lab: &'static Lab, announcer: &A, kinds: &[&'static Kind], rounds: usize) -> Vec<Row> {
    let stage = Stage::set(lab, announcer);
    let measured = kinds.iter().map(|kind| {
        let mut row = Row::new(A::NAME, kind);
        (0..rounds).for_each(|_| stage.round(kind, &mut row));
        println!("  {row}");
        row
    });
    let rows = measured.collect();
    stage.clear();
    rows
}
