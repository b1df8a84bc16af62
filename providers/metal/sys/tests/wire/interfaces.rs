//! What is told of interfaces, in a namespace where they come, go and change.

use std::net::IpAddr;
use std::time::Duration;

use portolan_sys::{Interface, Interfaces};

use super::{Wire, ip, within};

/// Far longer than any of it takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// Awaits news until this holds of an interface.
async fn until(
    interfaces: &mut Interfaces,
    name: &str,
    holds: impl Fn(Option<&Interface>) -> bool,
) -> Option<Interface> {
    let wait = async {
        loop {
            let all = interfaces.next().await.unwrap();
            let found = all.iter().find(|interface| interface.name == name);
            if holds(found) {
                return found.cloned();
            }
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.expect("it is told")
}

/// On a runtime of its own within the namespace `here`, whose interface `wire` has a station at the other end.
fn watched(wire: &Wire, work: impl AsyncFnOnce(Interfaces) + Send + 'static) {
    within(&wire.here(), move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { work(Interfaces::open().unwrap()).await });
    });
}

#[test]
fn an_interface_is_told_with_its_station_its_prefixes_and_whether_it_is_up() {
    let Some(wire) = Wire::lay("told") else { return };
    let there = wire.there();
    watched(&wire, async move |mut interfaces| {
        ip(&["addr", "add", "198.51.100.2/24", "dev", "wire"]);
        ip(&["addr", "add", "2001:db8:51::2/64", "dev", "wire", "nodad"]);
        let both = |found: Option<&Interface>| {
            found.is_some_and(|found| {
                ["198.51.100.9", "2001:db8:51::9"].iter().all(|vip| found.holds(vip.parse().unwrap()))
            })
        };
        let told = until(&mut interfaces, "wire", both).await.unwrap();
        assert_eq!(told.mac, Some(super::mac("wire")));
        assert_eq!(told.index, super::index("wire"));
        assert!(told.up && told.resolves && !told.enslaved, "{told:?}");
        assert!(!told.holds("192.0.2.1".parse().unwrap()) && !told.holds("fe80::9".parse().unwrap()));

        ip(&["-n", &there, "link", "set", "wire", "down"]);
        until(&mut interfaces, "wire", |found| found.is_some_and(|found| !found.up)).await;
        ip(&["-n", &there, "link", "set", "wire", "up"]);
        let up = until(&mut interfaces, "wire", |found| found.is_some_and(|found| found.up)).await.unwrap();
        assert!(up.came_up > told.came_up, "{told:?} {up:?}");
    });
}

#[test]
fn default_routes_are_told_with_the_lowest_metric_of_each_family() {
    let Some(wire) = Wire::lay("default") else { return };
    watched(&wire, async move |mut interfaces| {
        ip(&["addr", "add", "198.51.100.2/24", "dev", "wire"]);
        let first =
            until(&mut interfaces, "wire", |found| found.is_some_and(|found| !found.addresses.is_empty())).await;
        assert_eq!(first.map(|found| (found.default_v4, found.default_v6)), Some((None, None)));
        ip(&["route", "add", "default", "via", "198.51.100.1", "metric", "300"]);
        until(&mut interfaces, "wire", |found| found.is_some_and(|found| found.default_v4 == Some(300))).await;
        ip(&["route", "add", "default", "via", "198.51.100.1", "metric", "100"]);
        until(&mut interfaces, "wire", |found| found.is_some_and(|found| found.default_v4 == Some(100))).await;
        ip(&["-6", "route", "add", "default", "dev", "wire", "metric", "7"]);
        let both = until(&mut interfaces, "wire", |found| found.is_some_and(|found| found.default_v6 == Some(7))).await;
        assert_eq!(both.unwrap().default_v4, Some(100));
    });
}

#[test]
fn the_next_hops_of_all_default_routes_are_told_those_of_several_ways_too() {
    let Some(wire) = Wire::lay("hops") else { return };
    watched(&wire, async move |mut interfaces| {
        ip(&["addr", "add", "198.51.100.2/24", "dev", "wire"]);
        ip(&["addr", "add", "2001:db8:51::2/64", "dev", "wire", "nodad"]);
        let ways = ["nexthop", "via", "198.51.100.3", "nexthop", "via", "198.51.100.1"];
        ip(&[&["route", "add", "default"][..], &ways].concat());
        ip(&["route", "add", "default", "via", "198.51.100.9", "metric", "300"]);
        ip(&["-6", "route", "add", "default", "via", "2001:db8:51::1"]);
        // Of a route that is no default route it does not matter who is next.
        ip(&["route", "add", "192.0.2.0/24", "via", "198.51.100.8"]);
        let all: [IpAddr; 4] =
            ["198.51.100.1", "198.51.100.3", "198.51.100.9", "2001:db8:51::1"].map(|text| text.parse().unwrap());
        until(&mut interfaces, "wire", |found| found.is_some_and(|found| found.gateways == all)).await;
        ip(&["route", "del", "default", "via", "198.51.100.9"]);
        until(&mut interfaces, "wire", |found| found.is_some_and(|found| found.gateways.len() == 3)).await;
    });
}

#[test]
fn the_nodes_own_addresses_are_told_also_at_a_line_between_two_and_without_a_prefix() {
    let Some(wire) = Wire::lay("own") else { return };
    watched(&wire, async move |mut interfaces| {
        ip(&["addr", "add", "198.51.100.2", "peer", "198.51.100.3/32", "dev", "wire"]);
        ip(&["addr", "add", "2001:db8:51::2", "peer", "2001:db8:51::3/128", "dev", "wire", "nodad"]);
        ip(&["addr", "add", "203.0.113.7/32", "dev", "wire"]);
        let all: [IpAddr; 3] = ["198.51.100.2", "203.0.113.7", "2001:db8:51::2"].map(|text| text.parse().unwrap());
        let own = |found: &Interface| {
            let own = found.own.iter().copied();
            own.filter(|address| !matches!(address, IpAddr::V6(own) if own.is_unicast_link_local())).collect::<Vec<_>>()
        };
        let told = until(&mut interfaces, "wire", |found| found.is_some_and(|found| own(found) == all)).await.unwrap();
        assert!(
            told.holds("198.51.100.3".parse().unwrap()) && !told.holds(all[0]),
            "connected is the other end: {told:?}"
        );
        ip(&["addr", "del", "203.0.113.7/32", "dev", "wire"]);
        until(&mut interfaces, "wire", |found| found.is_some_and(|found| own(found) == [all[0], all[2]])).await;
    });
}

/// As a node has it whose addresses come by DHCPv6, and whose router says what is on the segment (RFC 4861 section 4.6.2).
#[test]
fn what_a_route_without_a_gateway_says_is_on_the_segment_is_held_there() {
    let Some(wire) = Wire::lay("on-link") else { return };
    watched(&wire, async move |mut interfaces| {
        ip(&["addr", "add", "2001:db8:51::2/128", "dev", "wire", "nodad"]);
        ip(&["addr", "add", "198.51.100.2/32", "dev", "wire"]);
        let [v4, v6, beyond, host]: [IpAddr; 4] =
            ["203.0.113.9", "2001:db8:52::9", "192.0.2.9", "198.51.100.77"].map(|text| text.parse().unwrap());
        let told =
            until(&mut interfaces, "wire", |found| found.is_some_and(|found| found.own.len() > 1)).await.unwrap();
        assert!(!told.holds(v4) && !told.holds(v6), "{told:?}");
        ip(&["-6", "route", "add", "2001:db8:52::/64", "dev", "wire"]);
        ip(&["route", "add", "198.51.100.77/32", "dev", "wire"]);
        ip(&["route", "add", "192.0.2.0/24", "via", "198.51.100.77"]);
        ip(&["route", "add", "203.0.113.0/24", "dev", "wire"]);
        let told = until(&mut interfaces, "wire", |found| found.is_some_and(|found| found.holds(v4))).await.unwrap();
        assert!(told.holds(v6) && !told.holds(beyond) && !told.holds(host), "{told:?}");
        ip(&["-6", "route", "del", "2001:db8:52::/64", "dev", "wire"]);
        until(&mut interfaces, "wire", |found| found.is_some_and(|found| !found.holds(v6))).await;
    });
}

#[test]
fn what_is_plugged_in_enslaved_and_taken_out_is_told_each_time() {
    let Some(wire) = Wire::lay("plug") else { return };
    watched(&wire, async move |mut interfaces| {
        until(&mut interfaces, "late", |found| found.is_none()).await;
        ip(&["link", "add", "late", "type", "veth", "peer", "name", "other"]);
        let late = until(&mut interfaces, "late", |found| found.is_some()).await.unwrap();
        assert!(!late.up && !late.enslaved, "{late:?}");
        ip(&["link", "add", "bridge", "type", "bridge"]);
        ip(&["link", "set", "late", "master", "bridge"]);
        until(&mut interfaces, "late", |found| found.is_some_and(|found| found.enslaved)).await;
        ip(&["link", "set", "late", "arp", "off"]);
        until(&mut interfaces, "late", |found| found.is_some_and(|found| !found.resolves)).await;
        ip(&["link", "del", "late"]);
        until(&mut interfaces, "late", |found| found.is_none()).await;
    });
}

#[test]
fn nothing_is_told_where_nothing_of_it_has_changed() {
    let Some(wire) = Wire::lay("same") else { return };
    watched(&wire, async move |mut interfaces| {
        ip(&["addr", "add", "198.51.100.2/24", "dev", "wire"]);
        ip(&["addr", "add", "198.51.100.3/24", "dev", "wire"]);
        until(&mut interfaces, "wire", |found| found.is_some_and(|found| found.addresses.len() >= 3)).await;
        // A route that is no default route is news to the kernel and none to us.
        ip(&["route", "add", "192.0.2.0/24", "via", "198.51.100.1"]);
        let quiet = tokio::time::timeout(Duration::from_millis(500), interfaces.next()).await;
        assert!(quiet.is_err(), "{quiet:?}");
        // What was given up had lost nothing of what came after.
        ip(&["addr", "del", "198.51.100.3/24", "dev", "wire"]);
        until(&mut interfaces, "wire", |found| found.is_some_and(|found| found.addresses.len() == 2)).await;
    });
}
