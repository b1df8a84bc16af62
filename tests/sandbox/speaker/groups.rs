//! The groups of IPv6 addresses, at an interface that has no IPv6 at first, and loses it later.

use super::*;

/// Of `V6`.
const GROUP: &str = "ff02::1:ff00:10";

#[test]
fn a_group_is_joined_once_ipv6_comes_to_the_interface_and_again_when_it_comes_back() {
    let Some(lan) = Lan::lay("groups", &["client", "node-a"]) else { return };
    let space = lan.of("node-a");
    let mtu = |mtu: &str| ip(&["-n", &space, "link", "set", "lan0", "mtu", mtu]);
    let listens = || {
        let groups = ip(&["-n", &space, "-6", "maddr", "show", "dev", "lan0"]);
        (groups.split_whitespace().any(|word| word == GROUP), groups)
    };
    // Less than any link of IPv6 has (RFC 8200 section 5): the kernel takes IPv6 away.
    mtu("1000");
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = folder.path().join("kubeconfig");
    let api = Api::start(&lan, &kubeconfig);
    api.rank(1, &["node-a"]);
    // Named, so that it stays the interface for the address when it has no address itself.
    let by_name = json!({"spec": {"ranks": {"interfaces": {"node-a": ["lan0"]}}}});
    for name in NAMES {
        let path = format!("/apis/portolan.dev/v1alpha1/virtualips/{name}");
        api.request("PATCH", &path, "application/merge-patch+json", &by_name);
    }
    let _a = Speaker::start(&lan, "node-a", &kubeconfig);
    let mac = lan.mac("node-a");
    eventually("node-a announces", || {
        lan.ask(V4);
        let known = lan.neighbour(V4);
        (known.contains(&mac), known)
    });
    for _ in 0..2 {
        assert!(!listens().0, "{}", listens().1);
        mtu("1500");
        soon(SOON, "it is heard", listens);
        // The speaker is told of nothing that has passed within a moment; its own address of the link comes with IPv6 and goes with it.
        mtu("1000");
        std::thread::sleep(Duration::from_millis(500));
    }
}
