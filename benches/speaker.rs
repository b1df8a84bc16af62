//! Needs: root (network namespaces) and iproute2. What `portolan speaker` costs a node that announces so many addresses, with nobody asking: peak
//! memory, CPU, and how long it takes from its start until it has applied all.
//!
//! `cargo bench --bench speaker -- 1 1000 10000`
//!
//! Each number of IPv4, then of IPv6, where every address has a solicited-node group of its own (RFC 4291 2.7.1); a group that the kernel does not
//! have fails the bench. Runs in namespaces of its own, on 198.18.0.0/15 (RFC 2544) and 2001:2::/64 (RFC 5180), with a sandbox as the API server;
//! each row with a new one. Addresses are told of again from time to time, at most 50 frames a second, which is most of the CPU here.

#![allow(
    dead_code,
    unused_imports,
    reason = "the harness of tests/suite, and the parts of benches/scale, have more than this needs"
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

#[path = "scale/meters.rs"]
mod meters;

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use portolan_l2::ndp::solicited_node;
use portolan_metal::vip;
use serde_json::{Value, json};

use harness::eventually;
use meters::{cpu, peak_memory};
use process::Process;
use server::Server;

const NODE: &str = "node-a";
const VIPS: &str = "/apis/portolan.dev/v1alpha1/virtualips";

/// How long its CPU time is counted when all is applied.
const IDLE: Duration = Duration::from_secs(60);

/// Says to the same program that it is in the namespace.
const INSIDE: &str = "--inside";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let numbers: Vec<u32> = arguments.iter().filter_map(|word| word.parse().ok()).collect();
    let numbers = if numbers.is_empty() { vec![1, 1000] } else { numbers };
    if arguments.iter().any(|word| word == INSIDE) {
        for number in numbers {
            [Family::V4, Family::V6].into_iter().for_each(|family| measure(number, family));
        }
        return;
    }
    let Some(lan) = Lan::lay() else {
        println!("SKIPPED: network namespaces need root and ip of iproute2");
        return;
    };
    let numbers = numbers.iter().map(u32::to_string);
    let status = Command::new("ip")
        .args(["netns", "exec", &lan.node])
        .arg(std::env::current_exe().unwrap())
        .arg(INSIDE)
        .args(numbers)
        .status();
    drop(lan);
    assert!(status.is_ok_and(|status| status.success()), "the run in the namespace failed");
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    V4,
    V6,
}

impl Family {
    fn vip(self, index: u32) -> IpAddr {
        match self {
            Self::V4 => Ipv4Addr::from_bits(Ipv4Addr::new(198, 19, 0, 0).to_bits() + index).into(),
            Self::V6 => {
                Ipv6Addr::from_bits(Ipv6Addr::new(0x2001, 2, 0, 0, 0, 0, 1, 0).to_bits() + u128::from(index)).into()
            }
        }
    }
}

fn measure(number: u32, family: Family) {
    let server = Server::sandbox(&format!("speaker-{number}-{family:?}"));
    server.apply_crds();
    let versions = (0..number).map(|index| {
        let object = json!({
            "apiVersion": "portolan.dev/v1alpha1", "kind": "VirtualIP", "metadata": {"name": vip::name(family.vip(index))},
            "spec": {"loadBalancer": "web", "pool": "lan", "ranks": {"generation": 1, "nodes": [NODE]}},
        });
        version(&server.admin.create(VIPS, &object))
    });
    let wanted = versions.max().expect("at least one");
    let kubeconfig = server.folder.join("speaker.kubeconfig");
    std::fs::write(&kubeconfig, server.kubeconfig("speaker").to_string()).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_portolan"));
    command.args(["speaker", "--node-name", NODE, "--kubeconfig"]).arg(kubeconfig).env("RUST_LOG", "warn");
    let started = Instant::now();
    let speaker = Process::spawn(&mut command).unwrap();
    let report = format!("/apis/portolan.dev/v1alpha1/speakerreports/{NODE}");
    eventually("all are applied", Duration::from_secs(120), || {
        let report = server.admin.get(&report).ok_or("no report")?;
        let applied = report["spec"]["appliedVersion"].as_u64().unwrap_or_default();
        if applied >= wanted { Ok(()) } else { Err(format!("{applied} of {wanted}: {}", report["spec"])) }
    });
    let applied = started.elapsed();
    let groups = groups();
    for index in 0..number {
        if let IpAddr::V6(vip) = family.vip(index) {
            assert!(groups.contains(&solicited_node(vip)), "nobody hears who asks for {vip}; {} groups", groups.len());
        }
    }
    let (before, began) = (cpu(speaker.pid()), Instant::now());
    // What is counted is that nothing happens for so long.
    std::thread::sleep(IDLE);
    let used = cpu(speaker.pid()) - before;
    println!(
        "{number:6} addresses of IP{family:?}: applied and reported after {:.1} s, {:.0} MB at most, {:.2} % of a CPU",
        applied.as_secs_f64(),
        peak_memory(speaker.pid()),
        used.as_secs_f64() * 100.0 / began.elapsed().as_secs_f64(),
    );
    assert!(speaker.is_running(), "it has ended: {:?}", speaker.exit());
    speaker.kill();
    server.stop();
}

/// The IPv6 groups that this namespace's interfaces listen to.
fn groups() -> BTreeSet<Ipv6Addr> {
    let table = std::fs::read_to_string("/proc/net/igmp6").unwrap();
    let group = |line: &str| u128::from_str_radix(line.split_whitespace().nth(2)?, 16).ok().map(Ipv6Addr::from_bits);
    table.lines().filter_map(group).collect()
}

fn version(object: &Value) -> u64 {
    object["metadata"]["resourceVersion"].as_str().and_then(|text| text.parse().ok()).expect("a version")
}

/// A node and a machine that it is connected to; gone with this.
struct Lan {
    node: String,
    other: String,
}

impl Lan {
    fn lay() -> Option<Self> {
        let lan =
            Self { node: format!("pb-{}-node", std::process::id()), other: format!("pb-{}-other", std::process::id()) };
        let made = ip(&format!("netns add {}", lan.node)).and_then(|()| ip(&format!("netns add {}", lan.other)));
        made?;
        for line in [
            format!("-n {} link add lan0 type veth peer name lan0 netns {}", lan.node, lan.other),
            format!("-n {} link set lan0 up", lan.other),
            format!("-n {} link set lo up", lan.node),
            format!("-n {} link set lan0 up", lan.node),
            format!("-n {} addr add 198.18.0.1/15 dev lan0", lan.node),
            format!("-n {} addr add 2001:2::1/64 dev lan0 nodad", lan.node),
        ] {
            ip(&line).unwrap_or_else(|| panic!("ip {line}"));
        }
        Some(lan)
    }
}

impl Drop for Lan {
    fn drop(&mut self) {
        for space in [&self.node, &self.other] {
            let _ = ip(&format!("netns del {space}"));
        }
    }
}

fn ip(line: &str) -> Option<()> {
    let ran: Option<ExitStatus> = Command::new("ip").args(line.split(' ')).status().ok();
    ran.filter(ExitStatus::success).map(|_| ())
}
