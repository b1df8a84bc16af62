//! The stations of the other nodes' speakers, as their reports have them, what of the ranks has reached their wires, and which of the nodes do not
//! forward. A frame of one of these is no stranger's: which of two of us answers is for the ranks to say.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;

use futures::{FutureExt, StreamExt};
use kube::Client;
use portolan_core::ids::ResourceVersion;
use portolan_l2::Mac;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::api;
use crate::cluster::project;
use crate::cluster::watch::{Projected, events};
use crate::controller::index::{Event, Object, Store};

/// Watches `SpeakerReport`s and publishes what is said of all nodes but `node`, as soon as all have been listed, until `stop`.
pub(crate) async fn run(
    client: Client,
    seed: u64,
    node: String,
    published: Publishers,
    stop: CancellationToken,
) -> Result<(), Infallible> {
    let mut seen =
        events::<api::SpeakerReport, _>(client, seed, "SpeakerReports", project::namespace_name, read).boxed();
    let follow = async {
        let mut fellows = Fellows::of(node);
        while let Some(event) = seen.next().await {
            let mut changed = fellows.observe(event);
            // One look at all for everything that is there already.
            while let Some(Some(event)) = seen.next().now_or_never() {
                changed |= fellows.observe(event);
            }
            published.erased.send_if_modified(|last| std::mem::replace(last, fellows.erased) != fellows.erased);
            published.shown.send_if_modified(|last| {
                let changed = *last != fellows.shown;
                last.clone_from(&fellows.shown);
                changed
            });
            if !changed {
                continue;
            }
            publish(&published.stations, fellows.stations());
            publish(&published.worse_off, fellows.worse_off());
            publish(&published.said, fellows.said());
        }
    };
    stop.run_until_cancelled(follow).await;
    Ok(())
}

/// Where it goes.
#[derive(Debug)]
pub(crate) struct Publishers {
    pub(crate) stations: watch::Sender<Arc<BTreeSet<Mac>>>,
    pub(crate) worse_off: watch::Sender<Arc<WorseOff>>,
    /// What each node says of what it announces.
    pub(crate) said: watch::Sender<Arc<BTreeMap<String, Said>>>,
    /// How often somebody has deleted what this node has said, or made nonsense of it.
    pub(crate) erased: watch::Sender<u64>,
    /// What this node has said, or what somebody has made of that.
    pub(crate) shown: watch::Sender<Option<Arc<Stored>>>,
}

/// A report as the server has it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Stored {
    /// Its resourceVersion; none if this server's are no numbers.
    version: Option<u64>,
    spec: api::SpeakerReportSpec,
}

impl Stored {
    pub(crate) fn of(report: api::SpeakerReport) -> Self {
        Self { version: project::version(&report.metadata).number(), spec: report.spec }
    }

    pub(crate) fn spec(&self) -> &api::SpeakerReportSpec {
        &self.spec
    }

    /// Somebody has changed it since it was `written`: what the server had then; its defaults are nobody's edit. What is older is what one has
    /// written oneself before, coming back late.
    pub(crate) fn is_edited(&self, written: &Self) -> bool {
        self.version > written.version && self.spec != written.spec
    }
}

/// The nodes that say that they do not forward.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct WorseOff {
    /// Nothing at all.
    pub(crate) nodes: BTreeSet<String>,
    /// Not what goes to these addresses.
    pub(crate) of: BTreeMap<String, BTreeSet<IpAddr>>,
}

impl WorseOff {
    /// A node says so of this address.
    pub(crate) fn is(&self, node: &str, address: IpAddr) -> bool {
        self.nodes.contains(node) || self.of.get(node).is_some_and(|failing| failing.contains(&address))
    }
}

/// What a node says of what it announces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) stations: Arc<BTreeSet<Mac>>,
    /// All changes up to this version have reached its wire.
    pub(crate) applied: u64,
}

fn publish<T: PartialEq>(to: &watch::Sender<Arc<T>>, now: T) {
    to.send_if_modified(|last| {
        let changed = **last != now;
        if changed {
            *last = Arc::new(now);
        }
        changed
    });
}

/// What has been seen.
struct Fellows {
    node: String,
    store: Store<Fellow>,
    erased: u64,
    shown: Option<Arc<Stored>>,
}

impl Fellows {
    fn of(node: String) -> Self {
        Self { node, store: Store::default(), erased: 0, shown: None }
    }

    /// True if something may be otherwise now: most of what a report says is not looked at.
    fn observe(&mut self, mut event: Event<Fellow>) -> bool {
        match &mut event {
            Event::Apply(fellow) | Event::InitApply(fellow) => {
                // Of the others it is not kept: a report may be long, and there are many.
                let shown = fellow.stored.take();
                if fellow.node == self.node {
                    self.shown = shown;
                }
            }
            Event::Unreadable(node) => self.erased += u64::from(*node == self.node),
            Event::Init | Event::InitDone | Event::Delete(..) => {}
        }
        let changes = self.store.observe(event);
        let own = |before: &Fellow| before.node == self.node;
        let erased = changes.iter().any(|change| change.after.is_none() && change.before.as_ref().is_some_and(own));
        self.erased += u64::from(erased);
        !changes.is_empty()
    }

    fn stations(&self) -> BTreeSet<Mac> {
        self.others().flat_map(|fellow| fellow.stations.iter().copied()).collect()
    }

    fn said(&self) -> BTreeMap<String, Said> {
        let said = |fellow: &Fellow| {
            let said = Said { stations: Arc::clone(&fellow.stations), applied: fellow.applied };
            (fellow.node.clone(), said)
        };
        self.others().map(said).collect()
    }

    fn worse_off(&self) -> WorseOff {
        let failing = self.others().filter(|fellow| !fellow.failing.is_empty());
        WorseOff {
            nodes: self.others().filter(|fellow| !fellow.forwards).map(|fellow| fellow.node.clone()).collect(),
            of: failing.map(|fellow| (fellow.node.clone(), fellow.failing.clone())).collect(),
        }
    }

    fn others(&self) -> impl Iterator<Item = &Fellow> {
        self.store.iter().filter(|fellow| fellow.node != self.node)
    }
}

/// A `SpeakerReport`, as far as other speakers go by it.
#[derive(Clone, Debug)]
struct Fellow {
    node: String,
    stations: Arc<BTreeSet<Mac>>,
    applied: u64,
    /// It does not say that it does not.
    forwards: bool,
    /// The addresses for which it says so.
    failing: BTreeSet<IpAddr>,
    /// All of it, until it has been looked at whose it is.
    stored: Option<Arc<Stored>>,
}

impl Object for Fellow {
    type Name = String;

    fn name(&self) -> String {
        self.node.clone()
    }

    /// Never written from here on: the watch is always right.
    fn version(&self) -> Option<&ResourceVersion> {
        None
    }

    fn same(&self, other: &Self) -> bool {
        (&self.stations, self.applied, self.forwards, &self.failing)
            == (&other.stations, other.applied, other.forwards, &other.failing)
    }
}

fn read(report: api::SpeakerReport) -> Projected<Fellow> {
    let stations: Result<BTreeSet<Mac>, _> = report.spec.stations.values().map(|text| text.parse()).collect();
    let forwards = report.spec.forwarding != Some(api::Forwarding::NotForwarding);
    let applied = report.spec.applied_version;
    let failing = report.spec.failed_health_checks.iter().flat_map(|failed| failed.addresses.iter().copied()).collect();
    let node = report.metadata.name.clone().unwrap_or_default();
    let stored = Some(Arc::new(Stored::of(report)));
    stations.map_or_else(
        |error| Projected::Unreadable(format!("of its stations {error}")),
        |stations| Projected::Object(Fellow { node, stations: Arc::new(stations), applied, forwards, failing, stored }),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn report(node: &str, stations: &serde_json::Value) -> api::SpeakerReport {
        let spec = json!({"appliedVersion": 1, "stations": stations});
        api::SpeakerReport::new(node, serde_json::from_value(spec).unwrap())
    }

    fn fellow(node: &str, stations: &serde_json::Value) -> Fellow {
        match read(report(node, stations)) {
            Projected::Object(fellow) => fellow,
            Projected::Nothing | Projected::Unreadable(_) => panic!("{node} is read"),
        }
    }

    fn known(fellows: &Fellows) -> Vec<String> {
        fellows.stations().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_fellows_are_all_stations_of_other_nodes_and_never_its_own() {
        let mut fellows = Fellows::of("node-a".to_owned());
        fellows.observe(Event::Init);
        fellows.observe(Event::InitApply(fellow("node-a", &json!({"lan0": "02:00:00:00:00:01"}))));
        fellows.observe(Event::InitApply(fellow(
            "node-b",
            &json!({"lan0": "02:00:00:00:00:02", "lan1": "02:00:00:00:00:03"}),
        )));
        fellows.observe(Event::InitApply(fellow("node-c", &json!({}))));
        fellows.observe(Event::InitDone);
        assert_eq!(known(&fellows), ["02:00:00:00:00:02", "02:00:00:00:00:03"]);
        assert!(fellows.observe(Event::Apply(fellow("node-b", &json!({"lan1": "02:00:00:00:00:03"})))));
        assert!(!fellows.observe(Event::Apply(fellow("node-b", &json!({"bond0": "02:00:00:00:00:03"})))), "the same");
        assert_eq!(known(&fellows), ["02:00:00:00:00:03"]);
        fellows.observe(Event::Delete("node-b".to_owned(), ResourceVersion::new("9".to_owned())));
        assert_eq!(known(&fellows), [""; 0]);
    }

    #[test]
    fn who_deletes_the_nodes_own_report_is_noticed() {
        let mut fellows = Fellows::of("node-a".to_owned());
        let gone = |node: &str| Event::Delete(node.to_owned(), ResourceVersion::new("9".to_owned()));
        fellows.observe(Event::Init);
        fellows.observe(Event::InitDone);
        assert_eq!(fellows.erased, 0, "it has not said anything yet");
        for node in ["node-a", "node-b"] {
            fellows.observe(Event::Apply(fellow(node, &json!({"lan0": "02:00:00:00:00:01"}))));
        }
        fellows.observe(gone("node-b"));
        assert_eq!(fellows.erased, 0);
        fellows.observe(gone("node-a"));
        assert_eq!(fellows.erased, 1);
        for node in ["node-b", "node-a"] {
            fellows.observe(Event::Unreadable(node.to_owned()));
        }
        assert_eq!(fellows.erased, 2, "nor does it stay when it makes no sense");
    }

    #[test]
    fn of_the_reports_the_nodes_own_is_shown_whole_whatever_is_otherwise_in_it() {
        let mut fellows = Fellows::of("node-a".to_owned());
        let told = |node: &str, version: &str, addresses: &[&str]| {
            let mut report = report(node, &json!({}));
            report.metadata.resource_version = Some(version.to_owned());
            report.spec.node_addresses = addresses.iter().map(|text| text.parse().unwrap()).collect();
            report
        };
        let mut shown = |report: api::SpeakerReport| {
            let Projected::Object(fellow) = read(report) else { panic!("it is read") };
            fellows.observe(Event::Apply(fellow));
            assert!(fellows.store.iter().all(|fellow| fellow.stored.is_none()), "nothing is kept of the others");
            fellows.shown.clone()
        };
        let own = told("node-a", "7", &["192.0.2.1"]);
        let written = shown(own.clone());
        assert_eq!(written.as_deref(), Some(&Stored::of(own)));
        assert_eq!(shown(told("node-b", "8", &["192.0.2.2"])), written);
        let edited = told("node-a", "9", &["192.0.2.3"]);
        assert_eq!(shown(edited.clone()).as_deref(), Some(&Stored::of(edited)), "which is nothing to the others");
    }

    #[test]
    fn other_nodes_that_say_that_they_do_not_forward_are_worse_off_until_they_do_not_say_it_any_more() {
        let mut fellows = Fellows::of("node-a".to_owned());
        let vip: IpAddr = "198.51.100.10".parse().unwrap();
        let told = |node: &str, forwarding, fails: &[&str]| {
            let mut report = report(node, &json!({}));
            report.spec.forwarding = forwarding;
            let addresses = fails.iter().map(|text| text.parse().unwrap()).collect();
            report.spec.failed_health_checks = vec![api::FailedHealthCheck { port: 32000, addresses }];
            match read(report) {
                Projected::Object(fellow) => Event::Apply(fellow),
                Projected::Nothing | Projected::Unreadable(_) => panic!("{node} is read"),
            }
        };
        for node in ["node-a", "node-b"] {
            fellows.observe(told(node, Some(api::Forwarding::NotForwarding), &["198.51.100.10"]));
        }
        fellows.observe(told("node-c", Some(api::Forwarding::ForwardingUnknown), &[]));
        fellows.observe(told("node-d", None, &["198.51.100.10", "198.51.100.11"]));
        let worse = |fellows: &Fellows, other: &str| {
            let worse_off = fellows.worse_off();
            ["node-a", "node-b", "node-c", "node-d"]
                .map(|node| [vip, other.parse().unwrap()].map(|vip| worse_off.is(node, vip)))
        };
        let none = [false; 2];
        assert_eq!(worse(&fellows, "198.51.100.12"), [none, [true; 2], none, [true, false]]);
        assert!(fellows.observe(told("node-b", None, &[])));
        assert!(fellows.observe(told("node-d", None, &["198.51.100.11"])), "that alone is news");
        assert_eq!(worse(&fellows, "198.51.100.11"), [none, none, none, [false, true]]);
    }

    #[test]
    fn what_was_known_stands_while_everything_is_listed_again_and_where_a_report_makes_no_sense() {
        let mut fellows = Fellows::of("node-a".to_owned());
        fellows.observe(Event::Init);
        fellows.observe(Event::InitApply(fellow("node-b", &json!({"lan0": "02:00:00:00:00:02"}))));
        fellows.observe(Event::InitDone);
        fellows.observe(Event::Init);
        assert_eq!(known(&fellows), ["02:00:00:00:00:02"]);
        assert!(matches!(
            read(report("node-b", &json!({"lan0": "somewhere"}))),
            Projected::Unreadable(why) if why.contains("no Ethernet address")
        ));
        fellows.observe(Event::Unreadable("node-b".to_owned()));
        fellows.observe(Event::InitDone);
        assert_eq!(known(&fellows), ["02:00:00:00:00:02"]);
        fellows.observe(Event::Init);
        fellows.observe(Event::InitDone);
        assert_eq!(known(&fellows), [""; 0], "gone from the list");
    }
}
