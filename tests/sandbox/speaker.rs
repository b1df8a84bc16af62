//! Needs: root (network namespaces), iproute2; says SKIPPED without. `portolan speaker` on two nodes of a LAN, and the kernel of a third machine there,
//! which resolves addresses as any client does.

#![allow(clippy::indexing_slicing, reason = "only JSON is indexed: a missing field reads as null")]

#[path = "speaker/edited.rs"]
mod edited;
#[path = "speaker/groups.rs"]
mod groups;
#[path = "speaker/handover.rs"]
mod handover;
#[path = "speaker/off_link.rs"]
mod off_link;
#[path = "speaker/pace.rs"]
mod pace;
#[path = "speaker/preflight.rs"]
mod preflight;
#[path = "speaker/siblings.rs"]
mod siblings;

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, TcpStream, UdpSocket};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{PATIENCE, Sandbox};

const V4: &str = "198.51.100.10";
const V6: &str = "2001:db8:51::10";
/// What the objects of the two are called.
const NAMES: [&str; 2] = ["198.51.100.10", "2001-0db8-0051-0000-0000-0000-0000-0010"];

/// Longer than a burst takes to begin.
const SOON: Duration = Duration::from_secs(15);

/// A switch with these machines at it, in network namespaces that go with the test.
struct Lan {
    prefix: String,
    machines: &'static [&'static str],
}

impl Lan {
    /// None where namespaces cannot be made, which is said. The machines have 198.51.100.1, .2 and so on.
    fn lay(name: &str, machines: &'static [&'static str]) -> Option<Self> {
        let lan = Self { prefix: format!("pt-{}-{name}", std::process::id()), machines };
        let switch = lan.of("switch");
        if !can_make(&switch) {
            eprintln!("SKIPPED: network namespaces need root and ip of iproute2");
            return None;
        }
        ip(&["-n", &switch, "link", "add", "lan", "type", "bridge"]);
        ip(&["-n", &switch, "link", "set", "lan", "up"]);
        for (machine, number) in machines.iter().zip(1..) {
            let space = lan.of(machine);
            ip(&["netns", "add", &space]);
            ip(&["-n", &switch, "link", "add", machine, "type", "veth", "peer", "name", "lan0", "netns", &space]);
            ip(&["-n", &switch, "link", "set", machine, "master", "lan", "up"]);
            ip(&["-n", &space, "link", "set", "lo", "up"]);
            ip(&["-n", &space, "link", "set", "lan0", "up"]);
            ip(&["-n", &space, "addr", "add", &format!("198.51.100.{number}/24"), "dev", "lan0"]);
            ip(&["-n", &space, "addr", "add", &format!("2001:db8:51::{number}/64"), "dev", "lan0", "nodad"]);
        }
        Some(lan)
    }

    /// A machine's namespace.
    fn of(&self, machine: &str) -> String {
        format!("{}-{machine}", self.prefix)
    }

    /// A command on a machine.
    fn on(&self, machine: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.of(machine), env!("CARGO_BIN_EXE_portolan")]);
        command
    }

    fn mac(&self, machine: &str) -> String {
        self.mac_of(machine, "lan0")
    }

    fn mac_of(&self, machine: &str, interface: &str) -> String {
        let shown = ip(&["-n", &self.of(machine), "-o", "link", "show", interface]);
        shown.split_whitespace().skip_while(|word| *word != "link/ether").nth(1).unwrap().to_owned()
    }

    /// What the client's kernel says of an address.
    fn neighbour(&self, vip: &str) -> String {
        ip(&["-n", &self.of("client"), "neigh", "show", vip, "dev", "lan0"])
    }

    /// Has the client's kernel send something there, for which it has to resolve the address.
    fn ask(&self, vip: &str) {
        let vip: IpAddr = vip.parse().unwrap();
        let own: IpAddr = if vip.is_ipv4() { "198.51.100.1" } else { "2001:db8:51::1" }.parse().unwrap();
        // While an address fails to be resolved the kernel says that nobody is there.
        let _ = self.within("client", move || UdpSocket::bind((own, 0)).unwrap().send_to(b"?", (vip, 9)));
    }

    fn within<T: Send + 'static>(&self, machine: &str, work: impl FnOnce() -> T + Send + 'static) -> T {
        ended(self.thread(machine, work))
    }

    fn thread<T: Send + 'static>(&self, machine: &str, work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
        let file = File::open(format!("/run/netns/{}", self.of(machine))).unwrap();
        std::thread::spawn(move || {
            let kind = rustix::thread::LinkNameSpaceType::Network;
            rustix::thread::move_into_link_name_space(file.as_fd(), Some(kind)).unwrap();
            work()
        })
    }
}

fn ended<T>(thread: JoinHandle<T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

impl Drop for Lan {
    fn drop(&mut self) {
        for machine in self.machines.iter().chain(&["switch"]) {
            let _ = Command::new("ip").args(["netns", "del", &self.of(machine)]).status();
        }
    }
}

/// A namespace of this name is there now, unless none can be made here: without root, without iproute2, or in a container without the right.
fn can_make(namespace: &str) -> bool {
    Command::new("ip").args(["netns", "add", namespace]).output().is_ok_and(|output| output.status.success())
}

fn ip(arguments: &[&str]) -> String {
    let output = Command::new("ip").args(arguments).output().expect("ip of iproute2");
    assert!(output.status.success(), "ip {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// An API server on the client's machine, asked from there.
struct Api<'a> {
    lan: &'a Lan,
    address: String,
    _sandbox: Sandbox,
}

impl<'a> Api<'a> {
    fn start(lan: &'a Lan, kubeconfig: &Path) -> Self {
        let mut command = lan.on("client");
        command.args(["sandbox", "--empty", "--no-controller", "--listen", "198.51.100.1:0", "--kubeconfig"]);
        let sandbox = Sandbox::spawn(command.arg(kubeconfig));
        let first = sandbox.line(|line| line.contains("http://"));
        let address = first.split("http://").nth(1).unwrap().split(',').next().unwrap().to_owned();
        Self { lan, address, _sandbox: sandbox }
    }

    /// The object in the answer; none if there is no such.
    fn request(&self, method: &str, path: &str, content: &str, body: &Value) -> Option<Value> {
        let (server, body) = (self.address.clone(), body.to_string());
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\nContent-Type: {content}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let answer = self.lan.within("client", move || {
            let mut connection = TcpStream::connect(server).unwrap();
            connection.write_all((head + &body).as_bytes()).unwrap();
            let mut answer = String::new();
            connection.read_to_string(&mut answer).unwrap();
            answer
        });
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap();
        assert!(["200", "201", "404"].contains(&status), "{method} {path}: {answer}");
        (status != "404").then(|| serde_json::from_str(body).unwrap())
    }

    fn get(&self, path: &str) -> Option<Value> {
        self.request("GET", path, "application/json", &Value::Null)
    }

    fn rank(&self, generation: u64, nodes: &[&str]) -> Vec<u64> {
        NAMES.map(|name| self.rank_one(name, generation, nodes)).to_vec()
    }

    fn rank_one(&self, name: &str, generation: u64, nodes: &[&str]) -> u64 {
        let path = "/apis/portolan.dev/v1alpha1/virtualips";
        let ranks = json!({"generation": generation, "nodes": nodes});
        let stored = if generation == 1 {
            let object = json!({
                "apiVersion": "portolan.dev/v1alpha1", "kind": "VirtualIP", "metadata": {"name": name},
                "spec": {"loadBalancer": "web", "pool": "lan", "ranks": ranks},
            });
            self.request("POST", path, "application/json", &object)
        } else {
            let patch = json!({"spec": {"ranks": ranks}});
            self.request("PATCH", &format!("{path}/{name}"), "application/merge-patch+json", &patch)
        };
        stored.unwrap()["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap()
    }

    fn report(&self, node: &str) -> Value {
        self.get(&format!("/apis/portolan.dev/v1alpha1/speakerreports/{node}")).unwrap_or_default()
    }

    /// Who is alive at this node, as its Lease has it.
    fn alive(&self, node: &str) -> Option<String> {
        let lease =
            self.get(&format!("/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/portolan-speaker-{node}"));
        lease.and_then(|lease| lease["spec"]["holderIdentity"].as_str().map(str::to_owned))
    }
}

/// A speaker that runs; it is killed with the test.
struct Speaker(Child);

impl Speaker {
    fn start(lan: &Lan, node: &str, kubeconfig: &Path) -> Self {
        Self::start_with(lan, node, kubeconfig, &[])
    }

    fn start_with(lan: &Lan, node: &str, kubeconfig: &Path, more: &[&str]) -> Self {
        let mut command = lan.on(node);
        command.args(["speaker", "--node-name", node, "--kubeconfig"]).arg(kubeconfig).args(more);
        let log = File::create(Self::log(node, kubeconfig)).unwrap();
        Self(command.stdout(Stdio::null()).stderr(log).spawn().unwrap())
    }

    /// Where it writes what it has to tell.
    fn log(node: &str, kubeconfig: &Path) -> PathBuf {
        kubeconfig.with_file_name(format!("{node}.log"))
    }

    fn signal(&self, name: &str) {
        assert!(Command::new("kill").args([name, &self.0.id().to_string()]).status().unwrap().success());
    }

    fn terminate(self) -> ExitStatus {
        self.signal("-TERM");
        self.end()
    }

    fn end(mut self) -> ExitStatus {
        self.0.wait().unwrap()
    }
}

impl Drop for Speaker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn eventually<T: std::fmt::Debug>(what: &str, look: impl Fn() -> (bool, T)) -> T {
    soon(PATIENCE, what, look)
}

#[expect(clippy::disallowed_methods, reason = "the wire has real time")]
fn soon<T: std::fmt::Debug>(patience: Duration, what: &str, look: impl Fn() -> (bool, T)) -> T {
    let start = Instant::now();
    loop {
        let (holds, seen) = look();
        if holds {
            return seen;
        }
        assert!(start.elapsed() < patience, "{what}: {seen:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn the_node_that_is_ranked_first_answers_then_the_next_and_after_it_nobody() {
    let Some(lan) = Lan::lay("speak", &["client", "node-a", "node-b"]) else { return };
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = folder.path().join("kubeconfig");
    let api = Api::start(&lan, &kubeconfig);
    let versions = api.rank(1, &["node-a", "node-b"]);
    let a = Speaker::start(&lan, "node-a", &kubeconfig);
    let b = Speaker::start(&lan, "node-b", &kubeconfig);

    let (mac_a, mac_b) = (lan.mac("node-a"), lan.mac("node-b"));
    for vip in [V4, V6] {
        eventually("the client finds node-a", || {
            lan.ask(vip);
            let known = lan.neighbour(vip);
            (known.contains(&mac_a), known)
        });
    }
    let report = eventually("node-a reports", || {
        let report = api.report("node-a");
        (report["spec"]["appliedVersion"].as_u64() == versions.iter().max().copied(), report)
    });
    assert_eq!(report["spec"]["stations"], json!({"lan0": mac_a}));
    assert_eq!(report["spec"]["notAsRanked"], Value::Null, "{report}");
    // What somebody deletes is said again.
    let path = "/apis/portolan.dev/v1alpha1/speakerreports/node-a";
    api.request("DELETE", path, "application/json", &json!({}));
    eventually("node-a reports again", || {
        let again = api.report("node-a");
        (again["spec"]["stations"] == report["spec"]["stations"], again)
    });
    eventually("both are alive", || {
        let alive = ["node-a", "node-b"].map(|node| api.alive(node));
        (alive == ["node-a", "node-b"].map(|node| Some(node.to_owned())), alive)
    });

    // From here on the client asks nothing: its entries follow what is announced unasked.
    let moved = api.rank(2, &["node-b"]);
    for vip in [V4, V6] {
        eventually("the client's entry follows to node-b", || {
            let known = lan.neighbour(vip);
            (known.contains(&mac_b), known)
        });
    }
    eventually("node-a reports that it has let go", || {
        let report = api.report("node-a");
        (report["spec"]["appliedVersion"].as_u64() == moved.iter().max().copied(), report)
    });
    assert_eq!(api.report("node-a")["spec"]["stations"], json!({"lan0": mac_a}), "it still could");

    assert_eq!(b.terminate().code(), Some(0));
    assert_eq!(api.alive("node-b").as_deref(), Some(""), "the sign of life is given back");
    ip(&["-n", &lan.of("client"), "neigh", "flush", "dev", "lan0"]);
    for vip in [V4, V6] {
        // Asked once: another packet would make it ask anew.
        lan.ask(vip);
        eventually("nobody answers", || {
            let known = lan.neighbour(vip);
            (known.contains("FAILED"), known)
        });
    }
    // It was not silenced by the new owner's frames: it had let go by itself.
    assert_eq!(api.report("node-a")["spec"]["notAsRanked"], Value::Null);
    drop(a);
}

#[test]
fn an_address_that_a_stranger_has_is_not_announced_and_the_report_names_him() {
    let Some(lan) = Lan::lay("taken", &["client", "node-a", "stranger"]) else { return };
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = folder.path().join("kubeconfig");
    let api = Api::start(&lan, &kubeconfig);
    ip(&["-n", &lan.of("stranger"), "addr", "add", &format!("{V4}/24"), "dev", "lan0"]);
    let ranked = api.rank(1, &["node-a"]);
    let _a = Speaker::start(&lan, "node-a", &kubeconfig);
    let report = eventually("node-a reports", || {
        let report = api.report("node-a");
        let (applied, told) = (&report["spec"]["appliedVersion"], report["spec"]["notAsRanked"].is_array());
        let is_early = !told && applied.as_u64().is_some_and(|applied| applied >= ranked[0]);
        assert!(!is_early, "nobody says that it is on the wire while he asks: {report}");
        (told, report)
    });
    let taken = json!([{"reason": "Taken", "interface": "lan0", "mac": lan.mac("stranger"), "addresses": [V4]}]);
    assert_eq!(report["spec"]["notAsRanked"], taken);
    let known = eventually("the client finds the stranger", || {
        lan.ask(V4);
        let known = lan.neighbour(V4);
        (known.contains("lladdr"), known)
    });
    assert!(known.contains(&lan.mac("stranger")), "{known}");

    // He reports that he is a speaker of ours: then it is not for him to have the address, and the wire is asked long before the minute is over.
    let fellow = json!({
        "apiVersion": "portolan.dev/v1alpha1", "kind": "SpeakerReport", "metadata": {"name": "stranger"},
        "spec": {"appliedVersion": 0, "stations": {"lan0": lan.mac("stranger")}},
    });
    api.request("POST", "/apis/portolan.dev/v1alpha1/speakerreports", "application/json", &fellow);
    soon(SOON, "node-a takes him for no stranger any more", || {
        let report = api.report("node-a");
        (report["spec"]["notAsRanked"].is_null(), report)
    });
}

/// Wakes of a process: how often any thread of it has waited for something.
fn wakes(process: u32) -> u64 {
    let threads = std::fs::read_dir(format!("/proc/{process}/task")).unwrap();
    let of = |status: String| {
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:").map(str::trim).map(str::to_owned));
        line.unwrap().parse::<u64>().unwrap()
    };
    threads.map(|thread| of(std::fs::read_to_string(thread.unwrap().path().join("status")).unwrap())).sum()
}

#[test]
fn an_idle_speaker_sleeps_until_its_link_comes_up_again_and_then_tells_it_of_every_address() {
    let Some(lan) = Lan::lay("link", &["client", "node-a"]) else { return };
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = folder.path().join("kubeconfig");
    let api = Api::start(&lan, &kubeconfig);
    api.rank(1, &["node-a"]);
    let a = Speaker::start(&lan, "node-a", &kubeconfig);
    let mac = lan.mac("node-a");
    eventually("node-a reports", || {
        let report = api.report("node-a");
        (report["spec"]["stations"] == json!({"lan0": mac}), report)
    });

    // The burst is five rounds of 1.1 s; the Lease is renewed every 4 s, and all else waits for something to happen.
    std::thread::sleep(Duration::from_secs(6));
    let before = wakes(a.0.id());
    std::thread::sleep(Duration::from_secs(4));
    let woken = wakes(a.0.id()) - before;
    eprintln!("an idle speaker woke {woken} times in 4 s");
    assert!(woken < 100, "an idle speaker woke {woken} times in 4 s");

    ip(&["-n", &lan.of("switch"), "link", "set", "node-a", "down"]);
    let client = lan.of("client");
    for vip in [V4, V6] {
        let elsewhere = ["neigh", "replace", vip, "lladdr", "02:00:00:00:00:99", "dev", "lan0", "nud", "reachable"];
        ip(&[&["-n", client.as_str()], elsewhere.as_slice()].concat());
    }
    ip(&["-n", &lan.of("switch"), "link", "set", "node-a", "up"]);
    for vip in [V4, V6] {
        // Long before the next periodic announcement, which comes 40 s after the last at the earliest.
        soon(SOON, "the client's entry is corrected", || {
            let known = lan.neighbour(vip);
            (known.contains(&mac), known)
        });
    }
}
