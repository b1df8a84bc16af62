//! Needs: root (namespaces), iproute2, util-linux, nftables, iptables, conntrack, tcpdump (`tests/lab/packages` obtains them), and all that
//! `tests/tools` builds, in its folder or that which KUBEBUILDER_ASSETS names. Where namespaces cannot be made it says SKIPPED.
//!
//! A whole bare-metal cluster in network namespaces, with real traffic: the real etcd, kube-apiserver, kube-controller-manager and
//! kube-proxy, pods that are Kubernetes' own test server, a client on the nodes' LAN and one beyond a router. What a machine would
//! do that is not there, the kubelet and the scheduler, the lab plays itself.
//!
//! | Module | Holds |
//! |---|---|
//! | [`enclosure`] | the namespaces in which all of it lives, and with which all of it dies |
//! | [`runner`] | which cases run, and what is said of them |
//! | [`network`] | the LAN, the router, the second subnet, and who has which address |
//! | [`cluster`] | the lab as a case sees it |
//! | [`binaries`], [`proxies`] | what is real |
//! | [`kubelet`], [`scheduler`] | what is played |
//! | [`portolan`] | what is judged: controller and speakers, with the roles of `deploy/` |
//! | [`metallb`], [`peer`] | MetalLB, from which a cluster comes to Portolan, and to which `benches/moves.rs` compares it |
//! | [`load`], [`flow`], [`capture`] | what is measured: requests at a client, datagrams from one socket, frames on the LAN |
//! | [`arrival`] | waits until what clients send arrives |
//! | [`sighting`] | who asked for, answered for, announced an address in a capture |
//! | [`standing`] | the lab that is left standing for a person: `tests/lab/up` |
//! | [`cases`] | the cases; a name is a rule |
//!
//! `docs/lab.md` says how to use it.
#![allow(
    dead_code,
    unused_imports,
    reason = "the harness of tests/suite has more than the lab needs, and the lab more than its own cases need"
)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::needless_pass_by_value,
    reason = "this whole crate is tests: they fail by panicking, run on the wall clock, and write JSON where they pass it"
)]

/// The harness of the suite, which calls its modules by their place in the crate.
#[path = "../suite"]
mod suite {
    pub(crate) mod api;
    pub(crate) mod gate;
    pub(crate) mod harness;
    pub(crate) mod process;
    pub(crate) mod rights;
    pub(crate) mod server;
}
use suite::{api, gate, harness, process, rights, server};

mod arrival;
mod binaries;
mod capture;
mod cases;
mod cluster;
mod enclosure;
mod flow;
mod kubelet;
mod load;
mod metallb;
mod network;
mod peer;
mod portolan;
mod proxies;
mod runner;
mod scheduler;
mod sighting;
mod standing;

use std::process::ExitCode;

use enclosure::Life;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let standing = arguments.first().is_some_and(|first| first == "up");
    if let Err(reason) = enclosure::enter() {
        return if standing { standing::refuse(&reason) } else { runner::skipped(&reason) };
    }
    // From here on this is process 1 of namespaces of its own, with one thread.
    enclosure::furnish(if standing { Life::Standing } else { Life::CASES });
    if standing { standing::stand(&arguments[1..]) } else { runner::run(&arguments) }
}
