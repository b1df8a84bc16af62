//! kube-proxy, the real one, in each node's namespace.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use crate::binaries;
use crate::harness::{SOON, eventually};
use crate::network::{NODES, Node, POD_RANGES, command};
use crate::process::Process;

/// Where it says whether it forwards.
pub(crate) const HEALTHZ: u16 = 10256;

/// How it writes its rules. (IPVS is not in every kernel.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Nftables,
    Iptables,
}

impl Mode {
    /// As kube-proxy's flag calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Nftables => "nftables",
            Self::Iptables => "iptables",
        }
    }
}

/// Those of all nodes, in one mode.
pub(crate) struct Proxies {
    pub(crate) mode: Mode,
    processes: Vec<Process>,
}

impl Proxies {
    /// Starts them and waits until all are healthy.
    pub(crate) fn start(mode: Mode, folder: &Path, kubeconfig: &Path) -> Self {
        let processes = NODES.map(|node| start(mode, node, folder, kubeconfig)).into();
        NODES.into_iter().for_each(await_healthy);
        Self { mode, processes }
    }

    /// Starts those again that have ended.
    pub(crate) fn start_again(&mut self, folder: &Path, kubeconfig: &Path) {
        for (node, process) in NODES.into_iter().zip(&mut self.processes) {
            if !process.is_running() {
                *process = start(self.mode, node, folder, kubeconfig);
                await_healthy(node);
            }
        }
    }

    /// Ends them and takes their rules away, of which each mode would leave those of the other.
    pub(crate) fn stop(&self) {
        for (node, process) in NODES.into_iter().zip(&self.processes) {
            process.kill();
            // iptables here may be the one that keeps its rules in nftables; the other one's chains are emptied by hand.
            run(node, "nft", &["flush", "ruleset"]);
            run(node, "iptables", &["-t", "nat", "-F"]);
            forget_connections(node);
        }
    }

    /// That of a node, for a case that stops or kills it.
    pub(crate) fn of(&self, node: Node) -> &Process {
        &self.processes[usize::from(node.0) - 1]
    }
}

/// Has a node's kernel forget all connections that it tracks, and where they led.
pub(crate) fn forget_connections(node: Node) {
    run(node, "conntrack", &["-F"]);
}

fn run(node: Node, program: &str, arguments: &[&str]) {
    let output = command(node.place(), program).args(arguments).output().expect("it is installed");
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
}

fn start(mode: Mode, node: Node, folder: &Path, kubeconfig: &Path) -> Process {
    let log = File::create(folder.join(format!("kube-proxy-{}-{}.log", node.name(), mode.name()))).unwrap();
    let mut command = command(node.place(), binaries::path("kube-proxy"));
    command
        .arg(format!("--kubeconfig={}", kubeconfig.display()))
        .arg(format!("--proxy-mode={}", mode.name()))
        .arg(format!("--hostname-override={}", node.name()))
        .arg(format!("--cluster-cidr={POD_RANGES}"))
        .arg(format!("--healthz-bind-address=0.0.0.0:{HEALTHZ}"))
        // The limits of connection tracking are the machine's, not a namespace's.
        .args([
            "--conntrack-max-per-core=0",
            "--conntrack-tcp-timeout-established=0",
            "--conntrack-tcp-timeout-close-wait=0",
        ])
        .stdout(log.try_clone().unwrap())
        .stderr(log);
    Process::spawn(&mut command).expect("kube-proxy starts")
}

fn await_healthy(node: Node) {
    eventually(&format!("kube-proxy of {} is healthy", node.name()), SOON, || healthy(node));
}

fn healthy(node: Node) -> Result<(), String> {
    let (status, body) = http_get(node.management(), HEALTHZ, "/healthz").map_err(|error| error.to_string())?;
    if status == 200 { Ok(()) } else { Err(format!("{status}: {body}")) }
}

/// One request and its answer, from wherever the calling thread is.
pub(crate) fn http_get(address: IpAddr, port: u16, path: &str) -> std::io::Result<(u16, String)> {
    let limit = Duration::from_secs(2);
    let mut stream = TcpStream::connect_timeout(&SocketAddr::new(address, port), limit)?;
    stream.set_read_timeout(Some(limit))?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let status = answer.split(' ').nth(1).and_then(|code| code.parse().ok());
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
    status.zip(body).ok_or_else(|| std::io::Error::other(format!("no HTTP: {answer:?}")))
}
