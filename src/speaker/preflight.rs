//! Settings of this node's kernel that keep announced addresses from being reached, each named as sysctl(8) takes it. What is announced is answered
//! past the kernel and no interface has it, so that few settings matter at all, and each only somewhere:
//!
//! | Setting | Matters where | Because |
//! |---|---|---|
//! | `arp_ignore` | kube-proxy runs in IPVS mode: `kube-ipvs0` has every address, on every node | the kernel of each node answers ARP for all addresses that it has, at any interface, unless told to answer only at the interface that has them. It does not for IPv6 (`ndisc_recv_ns` looks at the interface that was asked) |
//! | `arp_announce` | the same | packets that leave with such an address as source make the kernel ask for the next hop in the name of that address, and who hears that learns this node's station. 1 does not help: the address is on the prefix of the one who is asked |
//! | `rp_filter` | an IPv4 address is announced on an interface by which the default route does not lead | strict (1), the kernel drops what comes in there from anywhere but that interface's own prefix |
//! | `disable_ipv6` | an IPv6 address is announced there | the kernel drops every IPv6 packet that comes in there |
//!
//! Of `all` and the interface's own the higher counts, but for `disable_ipv6`
//! (<https://www.kernel.org/doc/html/latest/networking/ip-sysctl.html>). In the other modes of kube-proxy nothing has the addresses, and no ARP
//! setting does anything for or against us.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use portolan_sys::Interface;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::cluster::clock::Clock;
use crate::speaker::duty;
use crate::speaker::wire::{Answers, Families};

/// How often the settings are read although nothing else has changed: nobody tells of theirs.
const AGAIN: Duration = Duration::from_secs(10);
/// What kube-proxy in IPVS mode gives all addresses of Services to (pkg/proxy/ipvs/proxier.go, `defaultDummyDevice`).
const IPVS: &str = "kube-ipvs0";

/// A setting that is in the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// As sysctl(8) takes it.
    pub(crate) sysctl: String,
    /// What it is.
    pub(crate) value: i64,
    /// What it should be.
    pub(crate) wanted: i64,
    /// What happens otherwise.
    pub(crate) why: &'static str,
}

/// Reads the kernel's settings and publishes what is in the way, until `stop`.
pub(crate) async fn run(
    mut interfaces: watch::Receiver<Option<Arc<Vec<Interface>>>>,
    mut answers: watch::Receiver<Answers>,
    found: watch::Sender<Vec<Finding>>,
    clock: Clock,
    stop: CancellationToken,
) -> Result<(), Infallible> {
    loop {
        let now = interfaces.borrow_and_update().clone();
        let announced = answers.borrow_and_update().at.clone();
        publish(findings(now.as_deref().map_or(&[], Vec::as_slice), &announced, read), &found);
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            // Whoever says these ends only when the process does.
            Ok(()) = interfaces.changed() => {}
            Ok(()) = answers.changed() => {}
            () = clock.sleep_until(Some(clock.now() + AGAIN)) => {}
        }
    }
}

fn publish(now: Vec<Finding>, found: &watch::Sender<Vec<Finding>>) {
    found.send_if_modified(|last| {
        for Finding { sysctl, value, wanted, why } in now.iter().filter(|finding| !last.contains(finding)) {
            tracing::warn!(sysctl, value, wanted, "a setting of this node keeps addresses from being reached: {why}");
        }
        let changed = *last != now;
        *last = now;
        changed
    });
}

/// What is in the way of what is announced at these, as `read` has the settings; one that cannot be read is not known to be wrong.
fn findings(
    interfaces: &[Interface],
    announced: &BTreeMap<String, Families>,
    read: impl Fn(&str) -> Option<i64>,
) -> Vec<Finding> {
    let mut found = Vec::new();
    let has_v4 = |interface: &&Interface| interface.addresses.iter().any(|prefix| prefix.addr().is_ipv4());
    if interfaces.iter().any(|interface| interface.name == IPVS && has_v4(&interface)) {
        for (interface, _) in interfaces.iter().filter(has_v4).filter_map(duty::usable) {
            found.extend(foreign_answers(&interface.name, &read));
            found.extend(foreign_questions(&interface.name, &read));
        }
    }
    let way_out = interfaces.iter().filter_map(|interface| interface.default_v4).min();
    for interface in interfaces {
        let Some(families) = announced.get(&interface.name) else { continue };
        if families.v4 && way_out.is_some() && interface.default_v4 != way_out {
            found.extend(one_way(&interface.name, &read));
        }
        if families.v6 {
            found.extend(deaf(&interface.name, &read));
        }
    }
    // One of `all` is found at each interface.
    found.sort_unstable_by(|a, b| a.sysctl.cmp(&b.sysctl));
    found.dedup();
    found
}

fn foreign_answers(interface: &str, read: impl Fn(&str) -> Option<i64>) -> Option<Finding> {
    let (sysctl, value) = effective("arp_ignore", interface, read)?;
    // 3 leaves out only what is of the host's own scope; from 4 to 7 there is nothing, which is as 0.
    let is_fine = matches!(value, 1 | 2 | 8);
    (!is_fine).then_some(Finding {
        sysctl,
        value,
        wanted: 1,
        why: "kube-proxy in IPVS mode gives this node all addresses, and its kernel answers ARP for them whoever is to; `ipvs.strictARP: true` in kube-proxy's configuration sets this too",
    })
}

fn foreign_questions(interface: &str, read: impl Fn(&str) -> Option<i64>) -> Option<Finding> {
    let (sysctl, value) = effective("arp_announce", interface, read)?;
    // More than 2 is as 0.
    (value != 2).then_some(Finding {
        sysctl,
        value,
        wanted: 2,
        why: "kube-proxy in IPVS mode gives this node all addresses, and its kernel asks for neighbours in their name, who then send to this node; `ipvs.strictARP: true` in kube-proxy's configuration sets this too",
    })
}

/// The higher one, by which it is to be changed.
fn effective(setting: &str, interface: &str, read: impl Fn(&str) -> Option<i64>) -> Option<(String, i64)> {
    let [all, own] = ["all", interface].map(|whose| v4(whose, setting));
    let (of_all, of_own) = (read(&all)?, read(&own)?);
    Some(if of_own > of_all { (own, of_own) } else { (all, of_all) })
}

fn one_way(interface: &str, read: impl Fn(&str) -> Option<i64>) -> Option<Finding> {
    let (_, effective) = effective("rp_filter", interface, &read)?;
    let sysctl = v4(interface, "rp_filter");
    let value = read(&sysctl)?;
    (effective == 1).then_some(Finding {
        sysctl,
        value,
        wanted: 2,
        why: "packets for addresses that are announced here are dropped if they come from beyond a router, because the way back leads by another interface (policy routes aside); of this and that of `all` the higher counts",
    })
}

fn deaf(interface: &str, read: impl Fn(&str) -> Option<i64>) -> Option<Finding> {
    let sysctl = format!("net.ipv6.conf.{}.disable_ipv6", key(interface));
    let value = read(&sysctl)?;
    let why = "packets for IPv6 addresses that are announced here are dropped";
    (value != 0).then_some(Finding { sysctl, value, wanted: 0, why })
}

fn v4(interface: &str, setting: &str) -> String {
    format!("net.ipv4.conf.{}.{setting}", key(interface))
}

/// In a name with dots between its parts a slash stands for a dot (sysctl.d(5)), as in those of VLANs.
fn key(interface: &str) -> String {
    interface.replace('.', "/")
}

/// The namespace's own, which needs no right.
fn read(sysctl: &str) -> Option<i64> {
    let path: String = sysctl
        .chars()
        .map(|c| {
            if c == '.' {
                '/'
            } else if c == '/' {
                '.'
            } else {
                c
            }
        })
        .collect();
    std::fs::read_to_string(format!("/proc/sys/{path}")).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests;
