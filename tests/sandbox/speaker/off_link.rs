//! Addresses on no prefix of the node that has them.

use super::*;

/// Of an address on no prefix of any machine, and what its object is called.
const FAR: [(&str, &str); 2] =
    [("203.0.113.10", "203.0.113.10"), ("2001:db8:99::10", "2001-0db8-0099-0000-0000-0000-0000-0010")];

#[test]
fn an_address_on_no_prefix_is_answered_for_where_the_default_route_leads_and_the_report_says_that_it_is_off_link() {
    let Some(lan) = Lan::lay("far", &["client", "node-a"]) else { return };
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = folder.path().join("kubeconfig");
    let api = Api::start(&lan, &kubeconfig);
    let (client, a, mac) = (lan.of("client"), lan.of("node-a"), lan.mac("node-a"));
    // As a router has it that sends them to the LAN.
    for prefix in ["203.0.113.0/24", "2001:db8:99::/64"] {
        ip(&["-n", &client, "route", "add", prefix, "dev", "lan0"]);
    }
    for name in FAR.map(|(_, name)| name).iter().chain(&NAMES) {
        api.rank_one(name, 1, &["node-a"]);
    }
    let _a = Speaker::start(&lan, "node-a", &kubeconfig);
    let addresses = FAR.map(|(address, _)| address);
    let reports = |what: &str, not_as_ranked: Value| {
        eventually(what, || {
            let report = api.report("node-a");
            (report["spec"]["notAsRanked"] == not_as_ranked, report)
        });
    };
    reports("without a route it has no interface", json!([{"reason": "NoInterface", "addresses": addresses}]));

    for router in ["198.51.100.1", "2001:db8:51::1"] {
        ip(&["-n", &a, "route", "add", "default", "via", router, "dev", "lan0"]);
    }
    for address in addresses {
        eventually("the client finds node-a", || {
            lan.ask(address);
            let known = lan.neighbour(address);
            (known.contains(&mac), known)
        });
    }
    // Those on its prefixes are as ranked.
    reports("it says that they are off link", json!([{"reason": "PoolOffLink", "addresses": addresses}]));

    ip(&["-n", &a, "addr", "add", "203.0.113.2/24", "dev", "lan0"]);
    reports("one is on a prefix now", json!([{"reason": "PoolOffLink", "addresses": [addresses[1]]}]));
}
