//! Nodes whose kernels are in the way of what is announced, until what their reports say is done.

use super::handover::{Asker, mac};
use super::*;

/// Does what a report says.
fn set(lan: &Lan, machine: &str, finding: &Value) {
    let path = finding["sysctl"].as_str().unwrap().replace('.', "/");
    let wanted = finding["wanted"].to_string();
    lan.within(machine, move || std::fs::write(format!("/proc/sys/{path}"), wanted).unwrap());
}

/// As with kube-proxy in IPVS mode without `strictARP`.
#[test]
fn a_node_whose_kernel_answers_for_the_addresses_of_another_stops_when_its_settings_are_as_wanted() {
    let Some(lan) = Lan::lay("ipvs", &["client", "node-a", "node-b"]) else { return };
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = folder.path().join("kubeconfig");
    let api = Api::start(&lan, &kubeconfig);
    let b = lan.of("node-b");
    // A bridge without ports is as deaf as a dummy, which not every kernel has.
    ip(&["-n", &b, "link", "add", "kube-ipvs0", "type", "bridge"]);
    for vip in [format!("{V4}/32"), format!("{V6}/128")] {
        ip(&["-n", &b, "addr", "add", &vip, "dev", "kube-ipvs0"]);
    }
    api.rank(1, &["node-a"]);
    let nodes = ["node-a", "node-b"].map(|node| Speaker::start(&lan, node, &kubeconfig));

    let report = eventually("node-b reports what is wrong", || {
        let report = api.report("node-b");
        (report["spec"]["preflight"].is_array(), report)
    });
    let findings = report["spec"]["preflight"].as_array().unwrap();
    let named: Vec<&str> = findings.iter().map(|finding| finding["sysctl"].as_str().unwrap()).collect();
    assert_eq!(named, ["net.ipv4.conf.all.arp_announce", "net.ipv4.conf.all.arp_ignore"]);
    assert!(findings.iter().all(|finding| finding["why"].as_str().unwrap().contains("strictARP")), "{findings:?}");
    assert_eq!(
        report["spec"]["nodeAddresses"],
        json!(["198.51.100.3", "2001:db8:51::3"]),
        "addresses of Services are not its own"
    );
    eventually("node-a answers, and takes node-b for no stranger", || {
        let report = api.report("node-a");
        let spec = &report["spec"];
        (spec["stations"].is_object() && spec["notAsRanked"].is_null() && spec["preflight"].is_null(), report)
    });

    let (a, b) = (mac(&lan.mac("node-a")), mac(&lan.mac("node-b")));
    let asker = Asker::begin(&lan);
    eventually("for IPv4 both answer", || {
        let [v4, v6] = asker.heard();
        let both = v4.last_answer(a).is_some() && v4.last_answer(b).is_some();
        (both && v6.last_answer(a).is_some(), (v4.said.len(), v6.said.len()))
    });
    for finding in findings {
        set(&lan, "node-b", finding);
    }
    asker.goes_on(10);
    let before = asker.heard().map(|heard| heard.asked);
    asker.goes_on(50);
    eventually("node-b reports that nothing is wrong", || {
        let report = api.report("node-b");
        (report["spec"]["preflight"].is_null(), report)
    });
    let [v4, v6] = asker.end();
    assert_eq!(v4.answers(b).filter(|number| **number > before[0]).count(), 0);
    assert_eq!(v6.answers(b).count(), 0, "of IPv6 no kernel answers for what another interface has");
    assert_eq!(v4.unanswered(), [0; 0]);
    drop(nodes);
}

/// A counter of a machine's kernel: of `Group: names` and `Group: numbers` (RFC 1213 and proc(5), `/proc/net/netstat` and `/proc/net/snmp`).
fn counted(lan: &Lan, machine: &str, file: &'static str, group: &str, name: &str) -> u64 {
    let text = lan.within(machine, move || std::fs::read_to_string(format!("/proc/thread-self/net/{file}")).unwrap());
    let mut lines = text.lines().filter(|line| line.starts_with(group)).map(str::split_whitespace);
    let (names, numbers) = (lines.next().unwrap(), lines.next().unwrap());
    names.zip(numbers).find(|(of, _)| *of == name).unwrap().1.parse().unwrap()
}

#[test]
fn a_strict_rp_filter_drops_what_comes_by_another_way_than_back_and_the_one_that_is_wanted_does_not() {
    let Some(lan) = Lan::lay("strict", &["client", "node-a"]) else { return };
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = folder.path().join("kubeconfig");
    let api = Api::start(&lan, &kubeconfig);
    let a = lan.of("node-a");
    ip(&["-n", &a, "link", "add", "out0", "type", "veth", "peer", "name", "out1"]);
    for end in ["out0", "out1"] {
        ip(&["-n", &a, "link", "set", end, "up"]);
    }
    ip(&["-n", &a, "addr", "add", "203.0.113.2/24", "dev", "out0"]);
    ip(&["-n", &a, "route", "add", "default", "via", "203.0.113.1", "dev", "out0"]);
    for (setting, value) in [("all/rp_filter", "0"), ("lan0/rp_filter", "1"), ("lan0/forwarding", "1")] {
        lan.within("node-a", move || std::fs::write(format!("/proc/sys/net/ipv4/conf/{setting}"), value).unwrap());
    }
    // As if a router had sent it on.
    ip(&["-n", &lan.of("client"), "addr", "add", "192.0.2.99/32", "dev", "lan0"]);
    let send = || lan.within("client", || UdpSocket::bind(("192.0.2.99", 0)).unwrap().send_to(b"?", (V4, 9)).unwrap());
    let dropped = || counted(&lan, "node-a", "netstat", "TcpExt:", "IPReversePathFilter");
    let passed = || counted(&lan, "node-a", "snmp", "Ip:", "ForwDatagrams");

    api.rank(1, &["node-a"]);
    let _speaker = Speaker::start(&lan, "node-a", &kubeconfig);
    let report = eventually("node-a reports what is wrong", || {
        let report = api.report("node-a");
        (report["spec"]["preflight"].is_array(), report)
    });
    let all = json!(["198.51.100.2", "203.0.113.2", "2001:db8:51::2"]);
    assert_eq!(report["spec"]["nodeAddresses"], all, "of all its interfaces");
    let found = &report["spec"]["preflight"];
    assert_eq!(found[1], Value::Null, "{found}");
    assert_eq!(
        [&found[0]["sysctl"], &found[0]["value"], &found[0]["wanted"]],
        [&json!("net.ipv4.conf.lan0.rp_filter"), &json!(1), &json!(2)]
    );
    eventually("it is dropped", || {
        send();
        (dropped() > 0, passed())
    });
    assert_eq!(passed(), 0);

    set(&lan, "node-a", &found[0]);
    let before = dropped();
    eventually("it comes through", || {
        send();
        (passed() > 0, dropped())
    });
    assert_eq!(dropped(), before);
    eventually("node-a reports that nothing is wrong", || {
        let report = api.report("node-a");
        (report["spec"]["preflight"].is_null(), report)
    });
}
