//! The wires. Every address is of the ranges that documents may use (RFC 5737, RFC 3849).
//!
//! ```text
//!   control (etcd, API server, controllers)        the second subnet: 203.0.113.0/24, 2001:db8:113::/64
//!      | management: 192.0.2.0/26                      far-client .100
//!      |                                                   |
//!   node-1   node-2   node-3      client .100          router .1
//!     .11      .12      .13       witness .101             | .1
//!   --+--------+--------+-----------+----------------------+--   the LAN: 198.51.100.0/24, 2001:db8:51::/64
//! ```
//!
//! Node N has 192.0.2.64*N/26 and 2001:db8:2:N::/64 for its pods, each in a namespace of its own, and the nodes have routes to each other's.
//! The LAN is a bridge in a namespace without an address. Management is a network apart, so that a node can lose the LAN or the API
//! server alone, and a capture on the LAN shows nothing of the cluster's own talk but pods'.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsFd;
use std::process::{Command, Stdio};

/// The machines that run pods.
pub(crate) const NODES: [Node; 3] = [Node(1), Node(2), Node(3)];
/// On the nodes' LAN.
pub(crate) const CLIENT: Place = Place("client");
/// There too, for what would disturb the client: it forgets who has an address, and asks again.
pub(crate) const WITNESS: Place = Place("witness");
/// Its station.
pub(crate) const WITNESS_STATION: &str = "02:00:00:00:51:65";
/// On the second subnet.
pub(crate) const FAR_CLIENT: Place = Place("far-client");
/// Between the two.
pub(crate) const ROUTER: Place = Place("router");
/// The LAN itself: what is captured at its interface `lan` is all that passes, on one clock.
pub(crate) const LAN: Place = Place("lan");

/// Where the API server listens.
pub(crate) const CONTROL: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
/// Of all pods.
pub(crate) const POD_RANGES: &str = "192.0.2.0/24,2001:db8:2::/56";

/// A network namespace by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place(pub(crate) &'static str);

/// One of the nodes, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Node(pub(crate) u8);

impl Node {
    /// The node of this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        NODES.into_iter().find(|node| node.name() == name)
    }

    /// What Kubernetes calls it, and its namespace.
    pub(crate) fn name(self) -> &'static str {
        ["node-0", "node-1", "node-2", "node-3"][usize::from(self.0)]
    }

    /// Its network namespace.
    pub(crate) fn place(self) -> Place {
        Place(self.name())
    }

    /// Its addresses on the LAN, one a family.
    pub(crate) fn addresses(self) -> [IpAddr; 2] {
        lan_addresses(10 + self.0)
    }

    /// Where the API server's side reaches it.
    pub(crate) fn management(self) -> IpAddr {
        IpAddr::V4(Ipv4Addr::new(192, 0, 2, 10 + self.0))
    }

    /// Of its interface `lan`.
    pub(crate) fn mac(self) -> String {
        format!("02:00:00:00:51:{:02x}", 10 + self.0)
    }

    /// The ranges of its pods.
    pub(crate) fn pod_ranges(self) -> [String; 2] {
        [format!("192.0.2.{}/26", 64 * u16::from(self.0)), format!("2001:db8:2:{}::/64", self.0)]
    }

    /// The addresses of its pod with this number, from 2 to 62; 1 is the node's own end.
    pub(crate) fn pod_addresses(self, number: u8) -> [IpAddr; 2] {
        [
            Ipv4Addr::new(192, 0, 2, 64 * self.0 + number).into(),
            Ipv6Addr::new(0x2001, 0xdb8, 2, self.0.into(), 0, 0, 0, number.into()).into(),
        ]
    }
}

/// The addresses on the LAN that end in this number, one a family.
pub(crate) fn lan_addresses(number: u8) -> [IpAddr; 2] {
    [Ipv4Addr::new(198, 51, 100, number).into(), Ipv6Addr::new(0x2001, 0xdb8, 0x51, 0, 0, 0, 0, number.into()).into()]
}

/// The addresses of the client on the second subnet, one a family.
pub(crate) fn far_addresses() -> [IpAddr; 2] {
    [Ipv4Addr::new(203, 0, 113, 100).into(), Ipv6Addr::new(0x2001, 0xdb8, 0x113, 0, 0, 0, 0, 100).into()]
}

/// The addresses of the client on the LAN, one a family.
pub(crate) fn client_addresses() -> [IpAddr; 2] {
    lan_addresses(100)
}

/// Lays all wires. Called once, before anything else runs in the lab.
pub(crate) fn lay() {
    ip(None, "link set lo up\nlink add mgmt type bridge\nlink set mgmt up\naddr add 192.0.2.1/26 dev mgmt");
    add_namespace(LAN.0);
    ip(Some(LAN), "link add lan type bridge forward_delay 0\nlink set lan up");
    for place in [ROUTER, CLIENT, WITNESS, FAR_CLIENT] {
        add_namespace(place.0);
    }
    for (place, number) in [(ROUTER, 1), (CLIENT, 100), (WITNESS, 101)] {
        // That of the witness is `WITNESS_STATION`.
        join_lan(place, number, &format!("02:00:00:00:51:{number:02x}"));
    }
    for place in [CLIENT, WITNESS] {
        ip(Some(place), &default_routes("lan", lan_addresses(1)));
    }
    ip(Some(ROUTER), &format!("link add far type veth peer name far netns {}", FAR_CLIENT.0));
    for (place, number) in [(ROUTER, 1), (FAR_CLIENT, 100)] {
        let far = format!(
            "link set far up\naddr add 203.0.113.{number}/24 dev far\naddr add 2001:db8:113::{number:x}/64 dev far nodad"
        );
        ip(Some(place), &far);
    }
    let [v4, v6] = ["203.0.113.1", "2001:db8:113::1"].map(|gateway| gateway.parse().unwrap());
    ip(Some(FAR_CLIENT), &default_routes("far", [v4, v6]));
    forward(ROUTER);
    for node in NODES {
        add_node(node);
    }
}

fn add_node(node: Node) {
    let (place, name) = (node.place(), node.name());
    add_namespace(name);
    forward(place);
    join_lan(place, 10 + node.0, &node.mac());
    let mut routes = default_routes("lan", lan_addresses(1));
    for other in NODES.into_iter().filter(|other| *other != node) {
        for (range, gateway) in other.pod_ranges().into_iter().zip(other.addresses()) {
            routes.push_str(&format!("\nroute add {range} via {gateway} dev lan"));
        }
    }
    ip(Some(place), &routes);
    ip(None, &format!("link add m-{name} type veth peer name mgmt netns {name}\nlink set m-{name} master mgmt up"));
    ip(Some(place), &format!("link set mgmt up\naddr add {}/26 dev mgmt", node.management()));
}

/// A namespace that wants no address but those it is given, and takes them at once (no duplicate address detection).
pub(crate) fn add_namespace(name: &str) {
    ip(None, &format!("netns add {name}"));
    within(name, || {
        for (key, value) in [("accept_ra", "0"), ("accept_dad", "0")] {
            for scope in ["all", "default"] {
                fs::write(format!("/proc/sys/net/ipv6/conf/{scope}/{key}"), value).unwrap();
            }
        }
    });
    ip_in(name, "link set lo up");
}

fn join_lan(place: Place, number: u8, mac: &str) {
    let name = place.0;
    ip(Some(LAN), &format!("link add {name} type veth peer name lan netns {name}\nlink set {name} master lan up"));
    let [v4, v6] = lan_addresses(number);
    ip(
        Some(place),
        &format!("link set lan address {mac} up\naddr add {v4}/24 dev lan\naddr add {v6}/64 dev lan nodad"),
    );
}

fn default_routes(interface: &str, gateways: [IpAddr; 2]) -> String {
    gateways.map(|gateway| format!("route add default via {gateway} dev {interface}")).join("\n")
}

/// Makes it a router, as kubelet and every network plugin do with a node.
fn forward(place: Place) {
    within(place.0, || {
        for key in ["ipv4/ip_forward", "ipv6/conf/all/forwarding"] {
            fs::write(format!("/proc/sys/net/{key}"), "1").unwrap();
        }
    });
}

/// Wires a pod's namespace to its node, point to point as kindnet does: no bridge, a route to the one address.
pub(crate) fn add_pod(node: Node, pod: &str, number: u8) {
    add_namespace(pod);
    let [v4, v6] = node.pod_addresses(number);
    let [gateway, _] = node.pod_addresses(1);
    let link = format!("pod{number}");
    ip(
        Some(node.place()),
        &format!(
            "link add {link} type veth peer name eth0 netns {pod}\nlink set {link} up\naddr add {gateway}/32 dev {link}\n\
             addr add fe80::1/64 dev {link} nodad\nroute add {v4}/32 dev {link}\nroute add {v6}/128 dev {link}"
        ),
    );
    ip_in(
        pod,
        &format!(
            "link set eth0 up\naddr add {v4}/32 dev eth0\naddr add {v6}/128 dev eth0 nodad\nroute add {gateway} dev eth0 scope link\n\
             route add default via {gateway} dev eth0\nroute add default via fe80::1 dev eth0"
        ),
    );
}

/// Takes a pod's namespace away. Its wire goes first, here and now: the kernel empties a namespace when it finds the time.
pub(crate) fn remove_pod(node: Node, pod: &str, number: u8) {
    ip(Some(node.place()), &format!("link del pod{number}"));
    ip(None, &format!("netns del {pod}"));
}

/// Has those on the LAN that send to this address send to that node, as if it had announced it. (Until a speaker does.)
pub(crate) fn point(vip: IpAddr, node: Node) {
    point_at(vip, &node.mac());
}

/// Has them send to nobody.
pub(crate) fn point_nowhere(vip: IpAddr) {
    point_at(vip, "02:00:00:00:51:fe");
}

fn point_at(vip: IpAddr, mac: &str) {
    for place in [CLIENT, ROUTER] {
        ip(Some(place), &format!("neigh replace {vip} lladdr {mac} dev lan nud permanent"));
    }
}

/// Has them ask again who has what.
pub(crate) fn forget_neighbours() {
    for place in [CLIENT, ROUTER] {
        ip(Some(place), "neigh flush nud all dev lan");
    }
}

/// Has a place ask on the LAN again who has this address, when it next sends something there.
pub(crate) fn forget(place: Place, vip: IpAddr) {
    // It fails if the kernel itself forgets it meanwhile, which is as good.
    let _ = Command::new("ip").args(["-n", place.0, "neigh", "flush", "to", &vip.to_string(), "dev", "lan"]).output();
}

/// The station that a place on the LAN sends to for an address, as its kernel has it; none while it does not know.
pub(crate) fn station(place: Place, vip: IpAddr) -> Option<String> {
    let entry = shown(place, &format!("neigh show {vip} dev lan"));
    entry.split_whitespace().skip_while(|word| *word != "lladdr").nth(1).map(str::to_owned)
}

/// Every address that an interface of a node has, and every one that its kernel takes for its own.
pub(crate) fn own_addresses(node: Node) -> BTreeSet<IpAddr> {
    let all = ["address show", "-4 route show table local", "-6 route show table local"]
        .map(|what| shown(node.place(), what));
    let words = all.iter().flat_map(|text| text.split_whitespace());
    words.filter_map(|word| word.split('/').next()?.parse().ok()).collect()
}

/// What `ip` prints in a place.
fn shown(place: Place, what: &str) -> String {
    let output = Command::new("ip").args(["-n", place.0]).args(what.split(' ')).output().expect("ip of iproute2");
    assert!(output.status.success(), "ip {what} in {}: {}", place.0, String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What a node is connected by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cable {
    /// To the other nodes and the clients.
    Lan,
    /// To the API server.
    Management,
}

/// From now on nothing passes either way, and the node cannot tell: its interface is up, as behind a switch that has failed.
pub(crate) fn cut(node: Node, cable: Cable) {
    let (place, port, _) = port(node, cable);
    ip(place, &format!("link set {port} nomaster"));
}

/// Takes a cut back; one that was not cut stays as it is.
pub(crate) fn mend(node: Node, cable: Cable) {
    let (place, port, bridge) = port(node, cable);
    ip(place, &format!("link set {port} master {bridge}"));
}

/// Where a cable of a node's ends: the namespace, the port there and its bridge.
fn port(node: Node, cable: Cable) -> (Option<Place>, String, &'static str) {
    match cable {
        Cable::Lan => (Some(LAN), node.name().to_owned(), "lan"),
        Cable::Management => (None, format!("m-{}", node.name()), "mgmt"),
    }
}

/// Commands of iproute2, one a line, in a namespace; without one in that of the control plane. All or the first that fails.
pub(crate) fn ip(place: Option<Place>, commands: &str) {
    ip_at(place.map(|place| place.0), commands);
}

fn ip_in(namespace: &str, commands: &str) {
    ip_at(Some(namespace), commands);
}

fn ip_at(namespace: Option<&str>, commands: &str) {
    let mut command = Command::new("ip");
    if let Some(namespace) = namespace {
        command.args(["-n", namespace]);
    }
    let mut child = command
        .args(["-batch", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("ip of iproute2");
    child.stdin.take().expect("a pipe").write_all(format!("{commands}\n").as_bytes()).expect("ip reads");
    let output = child.wait_with_output().expect("ip ends");
    assert!(
        output.status.success(),
        "ip in {}: {}\n{commands}",
        namespace.unwrap_or("control"),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// A command in a place: not started yet. Whoever starts it has its process id, for `ip netns exec` becomes the command.
pub(crate) fn command(place: Place, program: impl AsRef<std::ffi::OsStr>) -> Command {
    command_in(place.0, program)
}

/// As [`command`], in a namespace that has no constant: a pod's.
pub(crate) fn command_in(namespace: &str, program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", namespace]).arg(program);
    command
}

/// Runs it in a namespace, in a thread of its own.
pub(crate) fn within<T: Send>(namespace: &str, work: impl FnOnce() -> T + Send) -> T {
    let file = File::open(format!("/run/netns/{namespace}")).unwrap_or_else(|error| panic!("{namespace}: {error}"));
    std::thread::scope(|scope| {
        let entered = scope.spawn(move || {
            enter(&file);
            work()
        });
        entered.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// A thread that stays in a place until its work is done.
pub(crate) fn inhabit<T: Send + 'static>(
    place: Place,
    work: impl FnOnce() -> T + Send + 'static,
) -> std::thread::JoinHandle<T> {
    let file = File::open(format!("/run/netns/{}", place.0)).unwrap();
    std::thread::spawn(move || {
        enter(&file);
        work()
    })
}

fn enter(namespace: &File) {
    let kind = rustix::thread::LinkNameSpaceType::Network;
    rustix::thread::move_into_link_name_space(namespace.as_fd(), Some(kind)).expect("a network namespace");
}
