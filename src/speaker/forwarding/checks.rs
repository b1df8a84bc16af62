//! The health check ports of Services under `externalTrafficPolicy: Local` (`healthCheckNodePort`, KEP-1669), where a node says whether it has a ready
//! endpoint: which is asked when, and which fail.
//!
//! | The port | What that means |
//! |---|---|
//! | is not open | nothing is known, as if all were well: who opens it may be gone, which is for his own health to say, or knows that the policy is another |
//! | answers 200 | it is well |
//! | answers otherwise, [`KNOWN`] times in a row after it was well | it fails |
//! | answers otherwise, [`NEW`] times in a row since it is open | it fails too; kube-proxy may not have heard of the endpoint at first |
//!
//! A node that fails for an address, and is ranked for it no more because of that, asks on until it does not fail: otherwise it would be ranked again.
//!
//! Each is asked once in [`PERIOD`], but all together only once in [`PACE`]; those that are new or have not been well last come first.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use portolan_core::balancer::Family;
use portolan_core::time::Time;

use crate::speaker::ranks::HealthChecks;

/// A port of the node, at its addresses of one family: a kube-proxy of two families has two of each.
pub(crate) type Check = (Family, u16);

/// From one question to the next of the same port.
const PERIOD: Duration = Duration::from_secs(1);
/// From one question to the next of any port.
const PACE: Duration = Duration::from_millis(20);
/// So many questions wait for their answers at most.
const AT_ONCE: usize = 16;
/// So many times one fails that has been well.
const KNOWN: u32 = 2;
/// The same of one that never was: kube-proxy hears of an endpoint when the controller does, and writes its rules at most once in a second.
const NEW: u32 = 4;

/// An answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// 200.
    Well,
    /// Another.
    Unwell,
    /// None.
    Nothing,
}

/// What is known of all ports.
#[derive(Debug, Default)]
pub(super) struct Checks {
    of: BTreeMap<IpAddr, BTreeSet<Check>>,
    ports: BTreeMap<Check, Port>,
    /// Those to be asked, by when; not those that are being asked.
    urgent: BTreeSet<(Time, Check)>,
    routine: BTreeSet<(Time, Check)>,
    under_way: BTreeMap<Check, Time>,
    failing: BTreeSet<Check>,
    /// None is asked before.
    next: Time,
}

#[derive(Debug, Default)]
struct Port {
    addresses: BTreeSet<IpAddr>,
    last: Option<Heard>,
    was_well: bool,
    /// In a row.
    failures: u32,
}

impl Port {
    fn fails(&self) -> bool {
        self.failures >= if self.was_well { KNOWN } else { NEW }
    }

    /// Nothing speaks against it, as far as it has been asked.
    fn is_well(&self) -> bool {
        self.last.is_some() && self.failures == 0
    }

    fn hear(&mut self, heard: Heard) {
        self.last = Some(heard);
        let is_failure = heard == Heard::Unwell;
        self.was_well = heard == Heard::Well || self.was_well && is_failure;
        self.failures = if is_failure { self.failures.saturating_add(1) } else { 0 };
    }
}

impl Checks {
    /// These there are now. Of addresses that do not rank the node only what fails is asked on, to know when it does not any more.
    pub(super) fn follow(&mut self, checks: &BTreeMap<IpAddr, HealthChecks>) {
        let of = |(address, asked): (&IpAddr, &HealthChecks)| {
            let own = asked.ports.iter().map(|port| (Family::of(*address), *port));
            let own: BTreeSet<Check> = own.filter(|check| asked.is_ranked || self.failing.contains(check)).collect();
            (!own.is_empty()).then_some((*address, own))
        };
        self.of = checks.iter().filter_map(of).collect();
        let mut addresses: BTreeMap<Check, BTreeSet<IpAddr>> = BTreeMap::new();
        for (address, own) in &self.of {
            for check in own {
                addresses.entry(*check).or_default().insert(*address);
            }
        }
        self.ports.retain(|check, _| addresses.contains_key(check));
        self.failing.retain(|check| addresses.contains_key(check));
        for queue in [&mut self.urgent, &mut self.routine] {
            queue.retain(|(_, check)| addresses.contains_key(check));
        }
        for (check, addresses) in addresses {
            let is_new = !self.ports.contains_key(&check);
            self.ports.entry(check).or_default().addresses = addresses;
            if is_new && !self.under_way.contains_key(&check) {
                self.urgent.insert((Time::default(), check));
            }
        }
    }

    /// The answer to a question; whether anything is otherwise now.
    pub(super) fn answered(&mut self, check: Check, heard: Heard) -> bool {
        let asked = self.under_way.remove(&check).unwrap_or_default();
        let Some(port) = self.ports.get_mut(&check) else { return false };
        let before = (port.fails(), port.is_well());
        port.hear(heard);
        let queue = if port.is_well() { &mut self.routine } else { &mut self.urgent };
        queue.insert((asked + PERIOD, check));
        if port.fails() {
            self.failing.insert(check)
        } else {
            self.failing.remove(&check)
        };
        before != (port.fails(), port.is_well())
    }

    /// The port to be asked now, if one is.
    pub(super) fn take_due(&mut self, now: Time) -> Option<Check> {
        self.next_question().filter(|due| *due <= now)?;
        let due = |queue: &BTreeSet<(Time, Check)>| queue.first().copied().filter(|(due, _)| *due <= now);
        let first = due(&self.urgent).or_else(|| due(&self.routine))?;
        self.urgent.remove(&first);
        self.routine.remove(&first);
        self.under_way.insert(first.1, now);
        self.next = now + PACE;
        Some(first.1)
    }

    /// When one is to be asked, if the answers of others do not have to come first.
    pub(super) fn next_question(&self) -> Option<Time> {
        let due = [&self.urgent, &self.routine].into_iter().filter_map(BTreeSet::first).map(|(due, _)| *due).min()?;
        (self.under_way.len() < AT_ONCE).then(|| due.max(self.next))
    }

    /// The node has no endpoint of one of the address's Services.
    pub(super) fn fail(&self, address: IpAddr) -> bool {
        self.of.get(&address).is_some_and(|own| !own.is_disjoint(&self.failing))
    }

    /// Nothing speaks against the address, as far as all its ports have been asked.
    pub(super) fn are_well(&self, address: IpAddr) -> bool {
        let is_well = |check| self.ports.get(check).is_some_and(Port::is_well);
        self.of.get(&address).is_none_or(|own| own.iter().all(is_well))
    }

    /// The addresses behind each port that fails.
    pub(super) fn failed(&self) -> BTreeMap<u16, BTreeSet<IpAddr>> {
        let mut failed: BTreeMap<u16, BTreeSet<IpAddr>> = BTreeMap::new();
        for check in &self.failing {
            let addresses = self.ports.get(check).into_iter().flat_map(|port| &port.addresses);
            failed.entry(check.1).or_default().extend(addresses);
        }
        failed
    }
}

#[cfg(test)]
mod tests;
