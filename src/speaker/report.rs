//! What the cluster is told: the node's `SpeakerReport`, written when something in it has changed and at most so often. Nothing on the wire waits
//! for it.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::net::IpAddr;
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use portolan_l2::Mac;
use serde_json::{Map, Value, json};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::api::{
    AddressRow, FailedHealthCheck, Forwarding, NODE_ADDRESSES, NotAsRanked, NotAsRankedReason, NotProven,
    NotProvenReason, SpeakerReport, SpeakerReportSpec, Witness, WrongSysctl,
};
use crate::cluster::clock::Clock;
use crate::cluster::error::{CallError, call_within};
use crate::speaker::fellows::Stored;
use crate::speaker::forwarding::Standing;
use crate::speaker::forwarding::driver::Stands;
use crate::speaker::preflight::Finding;
use crate::speaker::segment::Trouble;
use crate::speaker::wire::{Exception, Told};
use crate::speaker::witness::{Doubt, Witnessed};

/// From one write to the next, at least.
pub(crate) const PAUSE: Duration = Duration::from_secs(2);
/// After a write that failed.
const AFTER_FAILURE: Duration = Duration::from_secs(10);
/// A write takes no longer: the next one says it all again.
const CALL: Duration = Duration::from_secs(5);
/// The owner of the fields.
const FIELD_MANAGER: &str = "portolan-speaker";

/// Writes what is told until `stop`; first what there is at the beginning, so that a report of an earlier life is not believed.
pub(crate) async fn run(
    client: Client,
    node: String,
    mut told: watch::Receiver<Option<Told>>,
    mut node_level: NodeLevel,
    clock: Clock,
    stop: CancellationToken,
) -> Result<(), Infallible> {
    let api: Api<SpeakerReport> = Api::all(client);
    let write = async {
        let (mut logged, mut last) = (None, None);
        // The wire says something when it has something to say; before that there is nothing to be believed.
        while any(&mut told, &mut node_level, last.as_ref()).await {
            loop {
                let said = told.borrow_and_update().clone();
                let preflight = node_level.preflight.borrow_and_update().clone();
                let stands = node_level.stands.borrow_and_update().clone();
                let witness = node_level.witnessed.borrow_and_update().as_ref().map(witness);
                node_level.erased.mark_unchanged();
                let Some(told) = said else { break };
                let mut report = report(&node, &told, &preflight, stands);
                report.spec.witness = witness;
                let written = write(&api, &node, &report).await;
                let pause = if written.is_ok() { PAUSE } else { AFTER_FAILURE };
                log(&written, &mut logged);
                clock.sleep_until(Some(clock.now() + pause)).await;
                if let Ok(stored) = written {
                    last = Some(stored);
                    break;
                }
            }
        }
    };
    stop.run_until_cancelled(write).await;
    Ok(())
}

/// What is said of the node, whatever its addresses are.
#[derive(Clone, Debug)]
pub(crate) struct NodeLevel {
    pub(crate) preflight: watch::Receiver<Vec<Finding>>,
    pub(crate) stands: watch::Receiver<Stands>,
    pub(crate) witnessed: watch::Receiver<Option<Witnessed>>,
    /// Somebody has deleted the report, or made nonsense of it: it says everything again.
    pub(crate) erased: watch::Receiver<u64>,
    /// The report as the watch shows it: one that somebody has edited says everything again, too.
    pub(crate) shown: watch::Receiver<Option<Arc<Stored>>>,
}

/// One of them has something new, or what was written last does not stand any more; false if nobody is there to have it.
async fn any(told: &mut watch::Receiver<Option<Told>>, node_level: &mut NodeLevel, last: Option<&Stored>) -> bool {
    loop {
        tokio::select! {
            said = told.changed() => return said.is_ok(),
            found = node_level.preflight.changed() => return found.is_ok(),
            // Whoever says these ends only when the process does.
            Ok(()) = node_level.stands.changed() => return true,
            Ok(()) = node_level.witnessed.changed() => return true,
            Ok(()) = node_level.erased.changed() => return true,
            Ok(()) = node_level.shown.changed() => {
                let shown = node_level.shown.borrow_and_update();
                if shown.as_deref().zip(last).is_some_and(|(shown, last)| shown.is_edited(last)) {
                    tracing::warn!("somebody has edited this node's report; it is written again");
                    return true;
                }
            }
        }
    }
}

/// Applied, so that no reading of what is there comes before; what somebody has added to it, which that leaves alone, is taken away then.
async fn write(api: &Api<SpeakerReport>, node: &str, report: &SpeakerReport) -> Result<Stored, CallError> {
    let action = || format!("write SpeakerReport {node}");
    let (parameters, patch) = (PatchParams::apply(FIELD_MANAGER).force(), Patch::Apply(report));
    let applied = Stored::of(call_within(CALL, action(), api.patch(node, &parameters, &patch)).await?);
    let [there, said] = [applied.spec(), &report.spec].map(|spec| serde_json::to_value(spec).unwrap_or_default());
    let Some(surplus) = surplus(&there, &said) else { return Ok(applied) };
    let parameters = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    let patch = Patch::Merge(json!({"spec": surplus}));
    call_within(CALL, action(), api.patch(node, &parameters, &patch)).await.map(Stored::of)
}

/// The merge patch that takes away what is `there` and was not `said` (RFC 7386). Lists are of one piece, here and to the server.
fn surplus(there: &Value, said: &Value) -> Option<Value> {
    let (there, said) = (there.as_object()?, said.as_object()?);
    let besides = |(name, value): (&String, &Value)| {
        let surplus = said.get(name).map_or(Some(Value::Null), |said| surplus(value, said));
        surplus.map(|surplus| (name.clone(), surplus))
    };
    let all: Map<String, Value> = there.iter().filter_map(besides).collect();
    (!all.is_empty()).then_some(Value::Object(all))
}

fn log(written: &Result<Stored, CallError>, logged: &mut Option<String>) {
    let text = written.as_ref().err().map(ToString::to_string);
    match &text {
        Some(error) if *logged != text => tracing::warn!(error, "the report goes on being tried"),
        None if logged.is_some() => tracing::info!("the report is written again"),
        Some(_) | None => {}
    }
    *logged = text;
}

fn report(node: &str, told: &Told, preflight: &[Finding], stands: Stands) -> SpeakerReport {
    let forwarding = match stands.node {
        Standing::Fine => None,
        Standing::Unknown => Some(Forwarding::ForwardingUnknown),
        Standing::NotForwarding => Some(Forwarding::NotForwarding),
    };
    let failed = |(port, addresses): (u16, BTreeSet<IpAddr>)| FailedHealthCheck {
        port,
        addresses: addresses.into_iter().collect(),
    };
    let wrong = |Finding { sysctl, value, wanted, why }: &Finding| WrongSysctl {
        sysctl: sysctl.clone(),
        value: *value,
        wanted: *wanted,
        why: (*why).to_owned(),
    };
    let not_as_ranked = told.exceptions.iter().map(|(exception, addresses)| {
        let (reason, interface, mac) = match exception {
            Exception::NoInterface => (NotAsRankedReason::NoInterface, None, None),
            Exception::PoolOffLink => (NotAsRankedReason::PoolOffLink, None, None),
            Exception::NotForwarding => (NotAsRankedReason::NotForwarding, None, None),
            Exception::NoSocket { interface } => (NotAsRankedReason::NoSocket, Some(interface), None),
            Exception::OneInterfaceLess { interface } => (NotAsRankedReason::OneInterfaceLess, Some(interface), None),
            Exception::Stranger { interface, trouble: Trouble::Taken(mac) } => {
                (NotAsRankedReason::Taken, Some(interface), Some(mac))
            }
            Exception::Stranger { interface, trouble: Trouble::Yielded(mac) } => {
                (NotAsRankedReason::Yielded, Some(interface), Some(mac))
            }
        };
        let (interface, mac) = (interface.cloned(), mac.map(ToString::to_string));
        NotAsRanked { reason, interface, mac, addresses: rows(&told.owned, addresses) }
    });
    let spec = SpeakerReportSpec {
        applied_version: told.version,
        stations: told.stations.iter().map(|(name, mac)| (name.clone(), mac.to_string())).collect(),
        gateways: told.gateways.iter().copied().collect(),
        node_addresses: told.addresses.iter().take(NODE_ADDRESSES).copied().collect(),
        node_addresses_omitted: u32::try_from(told.addresses.len().saturating_sub(NODE_ADDRESSES))
            .ok()
            .filter(|more| *more > 0),
        preflight: preflight.iter().map(wrong).collect(),
        forwarding,
        failed_health_checks: stands.failed_checks.into_iter().map(failed).collect(),
        witness: None,
        not_as_ranked: not_as_ranked.collect(),
    };
    SpeakerReport::new(node, spec)
}

fn witness(witnessed: &Witnessed) -> Witness {
    let macs = |macs: &[Mac]| macs.iter().map(ToString::to_string).collect();
    let not_proven = witnessed.doubts.iter().map(|(doubt, addresses)| {
        let more_macs = matches!(doubt, Doubt::Several { more: true, .. });
        let (reason, macs, ports) = match doubt {
            Doubt::Pending => (NotProvenReason::Pending, Vec::new(), Vec::new()),
            Doubt::OffLink => (NotProvenReason::OffLink, Vec::new(), Vec::new()),
            Doubt::NoSocket => (NotProvenReason::NoSocket, Vec::new(), Vec::new()),
            Doubt::SourceRanges => (NotProvenReason::SourceRanges, Vec::new(), Vec::new()),
            Doubt::NoAnswer => (NotProvenReason::NoAnswer, Vec::new(), Vec::new()),
            Doubt::Several { macs: all, .. } => (NotProvenReason::SeveralAnswers, macs(all), Vec::new()),
            Doubt::Foreign(all) => (NotProvenReason::ForeignAnswer, macs(all), Vec::new()),
            Doubt::Silent(ports) => (NotProvenReason::NoSynAck, Vec::new(), ports.clone()),
            Doubt::Refused(ports) => (NotProvenReason::ConnectionRefused, Vec::new(), ports.clone()),
        };
        NotProven { reason, macs, more_macs, ports, addresses: rows(&witnessed.inherited, addresses) }
    });
    Witness { version: witnessed.version, not_proven: not_proven.collect() }
}

/// These of all that concern the node, with as few words as name no other of those.
fn rows(all: &BTreeSet<IpAddr>, named: &[IpAddr]) -> Vec<AddressRow> {
    let mut rows: Vec<AddressRow> = Vec::new();
    for address in named.iter().copied().collect::<BTreeSet<_>>() {
        let follows = |row: &AddressRow| {
            row.last.is_ipv4() == address.is_ipv4()
                && all.range((Bound::Excluded(row.last), Bound::Excluded(address))).next().is_none()
        };
        match rows.last_mut().filter(|row| follows(row)) {
            Some(row) => row.last = address,
            None => rows.push(address.into()),
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Mutex;

    use kube::client::Body;
    use tokio::sync::mpsc;

    use super::*;

    #[test]
    fn what_is_proven_is_not_named_and_all_else_is_with_who_answers_or_which_ports() {
        let mac = Mac([2, 0, 0, 0, 0, 9]);
        let ips = |text: &str| vec![text.parse().unwrap()];
        let doubts = BTreeMap::from([
            (Doubt::Pending, ips("198.51.100.1")),
            (Doubt::OffLink, ips("198.51.100.2")),
            (Doubt::NoSocket, ips("198.51.100.3")),
            (Doubt::SourceRanges, ips("198.51.100.4")),
            (Doubt::NoAnswer, ips("198.51.100.5")),
            (Doubt::Several { macs: vec![mac, mac], more: false }, ips("198.51.100.6")),
            (Doubt::Several { macs: vec![mac, mac], more: true }, ips("198.51.100.10")),
            (Doubt::Foreign(vec![mac]), ips("198.51.100.7")),
            (Doubt::Silent(vec![80, 443]), ips("198.51.100.8")),
            (Doubt::Refused(vec![80]), ips("198.51.100.9")),
        ]);
        let text = mac.to_string();
        let inherited: BTreeSet<IpAddr> = doubts.values().flatten().copied().collect();
        assert_eq!(
            serde_json::to_value(witness(&Witnessed { version: 7, doubts, inherited })).unwrap(),
            json!({
                "version": 7,
                "notProven": [
                    {"reason": "Pending", "addresses": ["198.51.100.1"]},
                    {"reason": "OffLink", "addresses": ["198.51.100.2"]},
                    {"reason": "NoSocket", "addresses": ["198.51.100.3"]},
                    {"reason": "SourceRanges", "addresses": ["198.51.100.4"]},
                    {"reason": "NoAnswer", "addresses": ["198.51.100.5"]},
                    {"reason": "SeveralAnswers", "macs": [text, text], "addresses": ["198.51.100.6"]},
                    {"reason": "SeveralAnswers", "macs": [text, text], "moreMacs": true, "addresses": ["198.51.100.10"]},
                    {"reason": "ForeignAnswer", "macs": [text], "addresses": ["198.51.100.7"]},
                    {"reason": "NoSynAck", "ports": [80, 443], "addresses": ["198.51.100.8"]},
                    {"reason": "ConnectionRefused", "ports": [80], "addresses": ["198.51.100.9"]},
                ],
            })
        );
        assert_eq!(
            serde_json::to_value(witness(&Witnessed { version: 7, ..Witnessed::default() })).unwrap(),
            json!({"version": 7})
        );
    }

    #[test]
    fn a_report_names_only_what_is_in_the_way_and_what_is_not_as_ranked_grouped_by_why() {
        let mac = Mac([2, 0, 0, 0, 0, 9]);
        let stranger = |trouble| Exception::Stranger { interface: "lan0".to_owned(), trouble };
        let ips = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<_>>();
        let told = Told {
            version: 7,
            stations: BTreeMap::from([("lan0".to_owned(), Mac([2, 0, 0, 0, 0, 1]))]),
            gateways: ips(&["198.51.100.254"]).into_iter().collect(),
            addresses: ips(&["198.51.100.200", "192.0.2.1", "2001:db8::200"]).into_iter().collect(),
            exceptions: BTreeMap::from([
                (Exception::NoInterface, ips(&["198.51.100.1", "2001:db8::1"])),
                (Exception::PoolOffLink, ips(&["203.0.113.1"])),
                (Exception::NotForwarding, ips(&["198.51.100.9"])),
                (Exception::NoSocket { interface: "lan1".to_owned() }, ips(&["198.51.100.2"])),
                (Exception::OneInterfaceLess { interface: "lan2".to_owned() }, ips(&["198.51.100.4"])),
                (stranger(Trouble::Taken(mac)), ips(&["198.51.100.3"])),
                (stranger(Trouble::Yielded(mac)), ips(&["198.51.100.4"])),
            ]),
            owned: (0..9).map(|last| IpAddr::from([198, 51, 100, last])).collect(),
        };
        let sysctl = "net.ipv4.conf.all.arp_ignore".to_owned();
        let finding = Finding { sysctl, value: 0, wanted: 1, why: "it answers" };
        let failed_checks = BTreeMap::from([(32000, BTreeSet::from(["198.51.100.8".parse().unwrap()]))]);
        let stands = Stands { node: Standing::NotForwarding, failed_checks };
        let report = serde_json::to_value(report("node-a", &told, &[finding], stands)).unwrap();
        assert_eq!(report["metadata"]["name"], "node-a");
        assert_eq!(
            report["spec"],
            json!({
                "appliedVersion": 7,
                "stations": {"lan0": "02:00:00:00:00:01"},
                "gateways": ["198.51.100.254"],
                "nodeAddresses": ["192.0.2.1", "198.51.100.200", "2001:db8::200"],
                "preflight": [
                    {"sysctl": "net.ipv4.conf.all.arp_ignore", "value": 0, "wanted": 1, "why": "it answers"},
                ],
                "forwarding": "NotForwarding",
                "failedHealthChecks": [{"port": 32000, "addresses": ["198.51.100.8"]}],
                "notAsRanked": [
                    {"reason": "NoInterface", "addresses": ["198.51.100.1", "2001:db8::1"]},
                    {"reason": "PoolOffLink", "addresses": ["203.0.113.1"]},
                    {"reason": "NotForwarding", "addresses": ["198.51.100.9"]},
                    {"reason": "NoSocket", "interface": "lan1", "addresses": ["198.51.100.2"]},
                    {"reason": "OneInterfaceLess", "interface": "lan2", "addresses": ["198.51.100.4"]},
                    {"reason": "Taken", "interface": "lan0", "mac": "02:00:00:00:00:09", "addresses": ["198.51.100.3"]},
                    {"reason": "Yielded", "interface": "lan0", "mac": "02:00:00:00:00:09", "addresses": ["198.51.100.4"]},
                ],
            })
        );
    }

    #[test]
    fn a_node_with_thousands_of_addresses_names_so_many_of_them_and_says_how_many_more_it_has() {
        for (there, named, more) in [(NODE_ADDRESSES, 256, json!(null)), (10_000, 256, json!(9744))] {
            let addresses = (0..u32::try_from(there).unwrap()).map(|number| IpAddr::V4((0x0a00_0000 + number).into()));
            let told = Told { version: 7, addresses: addresses.collect(), ..Told::default() };
            let stands = Stands { node: Standing::Fine, failed_checks: BTreeMap::new() };
            let report = serde_json::to_value(report("node-a", &told, &[], stands)).unwrap();
            let said = report["spec"]["nodeAddresses"].as_array().unwrap();
            assert_eq!((said.len(), &said[255]), (named, &json!("10.0.0.255")));
            assert_eq!(report["spec"]["nodeAddressesOmitted"], more);
        }
    }

    #[test]
    fn what_is_said_of_many_in_a_row_is_short_and_says_nothing_of_another_that_concerns_the_node() {
        let ips = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<IpAddr>>();
        let told = |all: &[&str], named: &[&str]| -> Vec<String> {
            let all = ips(all).into_iter().collect();
            rows(&all, &ips(named)).iter().map(ToString::to_string).collect()
        };
        let all = ["192.0.2.1", "192.0.2.4", "192.0.2.5", "192.0.2.9", "2001:db8::1", "2001:db8::2"];
        assert_eq!(told(&all, &all), ["192.0.2.1-192.0.2.9", "2001:db8::1-2001:db8::2"]);
        assert_eq!(told(&all, &["192.0.2.4", "192.0.2.9", "192.0.2.1"]), ["192.0.2.1-192.0.2.4", "192.0.2.9"]);
        assert_eq!(told(&all, &["192.0.2.1", "192.0.2.3", "192.0.2.9"]), ["192.0.2.1-192.0.2.3", "192.0.2.9"]);
        assert_eq!(told(&[], &["192.0.2.1"]), ["192.0.2.1"]);
    }

    /// The design's bound. Some of the addresses of each kind are otherwise, as one interface or one Service is.
    #[test]
    fn of_ten_thousand_addresses_a_report_has_less_than_a_hundred_kilobytes() {
        let v4 = (0..5_000_u32).map(|number| IpAddr::V4((0xc612_0000 + 3 * number).into()));
        let v6 = (0..5_000_u128).map(|number| IpAddr::V6(((0x2001_0db8 << 96) + 77 * number).into()));
        let all: BTreeSet<IpAddr> = v4.chain(v6).collect();
        let (most, some): (Vec<_>, Vec<_>) = all.iter().copied().enumerate().partition(|(place, _)| place % 20 != 0);
        let [most, some] = [most, some].map(|part| part.into_iter().map(|(_, address)| address).collect::<Vec<_>>());
        let told = Told {
            exceptions: [(Exception::PoolOffLink, most.clone()), (Exception::NoInterface, some.clone())].into(),
            owned: all.clone(),
            ..Told::default()
        };
        let doubts = [(Doubt::Pending, most), (Doubt::OffLink, some)].into();
        let mut report = report("node-a", &told, &[], Stands::default());
        report.spec.witness = Some(witness(&Witnessed { version: 7, doubts, inherited: all }));
        let length = serde_json::to_string(&report).unwrap().len();
        assert!(length < 100_000, "{length} bytes");
    }

    /// A server with one report, which says of itself which gateways there are if nobody says it, and how each call has written it.
    struct Server {
        stored: Arc<Mutex<Value>>,
        calls: mpsc::UnboundedReceiver<&'static str>,
    }

    impl Server {
        fn start() -> (Self, Client) {
            let stored = Arc::new(Mutex::new(json!({"metadata": {"name": "node-a", "resourceVersion": "0"}})));
            let (call, calls) = mpsc::unbounded_channel();
            let of = Arc::clone(&stored);
            let service = tower::service_fn(move |request: http::Request<Body>| {
                let (stored, call) = (Arc::clone(&of), call.clone());
                async move {
                    let is_merge = request.headers()["content-type"] == "application/merge-patch+json";
                    let said: Value =
                        serde_json::from_slice(&request.into_body().collect_bytes().await.unwrap()).unwrap();
                    let mut stored = stored.lock().unwrap();
                    edit(&mut stored, &said["spec"]);
                    call.send(if is_merge { "merge" } else { "apply" }).unwrap();
                    Ok::<_, Infallible>(http::Response::new(Body::from(stored.to_string().into_bytes())))
                }
            });
            (Self { stored, calls }, Client::new(service, "default"))
        }

        fn shown(&self) -> Option<Arc<Stored>> {
            let report = serde_json::from_value(self.stored.lock().unwrap().clone()).unwrap();
            Some(Arc::new(Stored::of(report)))
        }

        async fn calls(&mut self, so_many: usize) -> Vec<&'static str> {
            let mut calls = Vec::new();
            self.calls.recv_many(&mut calls, so_many).await;
            while calls.len() < so_many {
                calls.extend(self.calls.recv().await);
            }
            calls
        }

        /// Whether anybody calls within an hour: time passes only when nobody has anything to do.
        async fn is_left_alone(&mut self) -> bool {
            tokio::time::timeout(Duration::from_secs(3600), self.calls.recv()).await.is_err()
        }
    }

    /// Both kinds of patches, as far as they are used.
    fn edit(stored: &mut Value, spec: &Value) {
        let before = stored.clone();
        for (name, value) in spec.as_object().unwrap() {
            let all = stored["spec"].as_object_mut().cloned().unwrap_or_default();
            let mut all: Map<String, Value> = all.into_iter().filter(|(of, _)| of != name).collect();
            match (before["spec"][name].as_object(), value.as_object()) {
                (Some(old), Some(new)) => {
                    let both: Map<String, Value> = old.clone().into_iter().chain(new.clone()).collect();
                    all.insert(name.clone(), both.into_iter().filter(|(_, value)| !value.is_null()).collect());
                }
                _ if value.is_null() => {}
                _ => drop(all.insert(name.clone(), value.clone())),
            }
            all.entry("gateways").or_insert_with(|| json!(["192.0.2.254"]));
            stored["spec"] = Value::Object(all);
        }
        if *stored != before {
            let version: u64 = stored["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap();
            stored["metadata"]["resourceVersion"] = json!((version + 1).to_string());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_somebody_makes_of_the_report_is_undone_and_neither_its_own_writes_nor_what_the_server_adds_is() {
        let (mut server, client) = Server::start();
        let told = Told {
            version: 7,
            stations: BTreeMap::from([("lan0".to_owned(), Mac([2, 0, 0, 0, 0, 1]))]),
            ..Told::default()
        };
        let (tells, told) = watch::channel(Some(told));
        let (_finds, preflight) = watch::channel(Vec::new());
        let (_stands, stands) = watch::channel(Stands::default());
        let (_proves, witnessed) = watch::channel(None);
        let (_erases, erased) = watch::channel(0);
        let (shows, shown) = watch::channel(None);
        let node_level = NodeLevel { preflight, stands, witnessed, erased, shown };
        let (clock, stop) = (Clock::start(), CancellationToken::new());
        let story = async {
            tells.send_modify(|_| {});
            assert_eq!(server.calls(2).await, ["apply", "merge"], "the server has added something");
            let written = server.shown();
            shows.send_replace(written.clone());
            assert!(server.is_left_alone().await, "what it has written itself comes back");
            for wrong in [
                json!({"appliedVersion": 0}),
                json!({"nodeAddresses": ["198.51.100.77"]}),
                json!({"stations": {"lan0": null}}),
                json!({"stations": {"lan9": "02:00:00:00:00:09"}}),
                json!({"stations": null, "forwarding": "NotForwarding"}),
            ] {
                edit(&mut server.stored.lock().unwrap(), &wrong);
                let edited = server.shown();
                shows.send_replace(edited.clone());
                assert_eq!(server.calls(2).await, ["apply", "merge"], "{wrong}");
                let again = server.shown();
                assert_eq!(again.as_ref().unwrap().spec(), written.as_ref().unwrap().spec(), "{wrong}");
                for late in [edited, again] {
                    shows.send_replace(late);
                    assert!(server.is_left_alone().await, "{wrong}: what was there before, and is now");
                }
            }
            let mut written = Vec::new();
            for version in [8, 9] {
                tells.send_modify(|told| told.as_mut().unwrap().version = version);
                assert_eq!(server.calls(2).await, ["apply", "merge"]);
                written.push(clock.now());
            }
            assert!(written[1].since(written[0]) >= Duration::from_secs(2), "however often there is something new");
            stop.cancel();
        };
        let run = run(client, "node-a".to_owned(), told, node_level, clock, stop.clone());
        let (ended, ()) = tokio::join!(run, story);
        assert_eq!(ended, Ok(()));
    }
}
