//! The cluster of a run: the sandbox's storage, spoken to directly, and the mock's worlds. What users do, and what laws look at.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::Request;
use http_body_util::BodyExt as _;
use portolan_mock::Store;
use portolan_mock::clock::Millis;
use portolan_mock::picture::{Picture, picture};
use serde_json::Value;

use crate::cluster::clock::Clock;
use crate::sandbox::Storage;

/// When every run begins.
const EPOCH: &str = "2026-02-01T00:00:00Z";

/// No sleep of the mock is shorter: time costs nothing here, but waking up to look at the time does.
const NAP: Duration = Duration::from_secs(20);

pub(super) const SERVICES: &str = "/api/v1/services";
pub(super) const RECORDS: &str = "/apis/portolan.dev/v1alpha1/loadbalancerrecords";
pub(super) const MERGE: &str = "application/merge-patch+json";
pub(super) const JSON: &str = "application/json";

/// See the module.
pub(super) struct Cluster {
    pub(super) clock: Clock,
    pub(super) storage: Storage,
    /// By the name that a class's `state` gives them.
    worlds: Mutex<BTreeMap<String, Store>>,
    /// Which revision was the last at which time: what an older replica knows.
    revisions: Mutex<Vec<(u64, u64)>>,
}

impl Cluster {
    pub(super) fn new() -> Arc<Self> {
        let clock = Clock::start_at(EPOCH.parse().unwrap());
        let storage = Storage::new(clock);
        let cluster = Arc::new(Self { clock, storage, worlds: Mutex::default(), revisions: Mutex::default() });
        for definition in crate::api::crds() {
            let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
            let (code, answer) = cluster.send("POST", path, JSON, &serde_json::to_value(definition).unwrap());
            assert!(code < 300, "{answer}");
        }
        cluster.noted();
        cluster
    }

    /// Milliseconds since the start.
    pub(super) fn now(&self) -> u64 {
        self.clock.now().as_nanos() / 1_000_000
    }

    /// Ends at that time.
    pub(super) async fn sleep_until(&self, at: u64) {
        let now = self.clock.now();
        let left = Duration::from_millis(at).saturating_sub(Duration::from_nanos(now.as_nanos()));
        tokio::time::sleep(left).await;
    }

    /// The world of this name; one that nobody has named before is empty.
    pub(super) fn world(&self, name: &str) -> Store {
        self.worlds.lock().unwrap().entry(name.to_owned()).or_insert_with(Store::memory).clone()
    }

    pub(super) fn worlds(&self) -> Vec<(String, Store)> {
        self.worlds.lock().unwrap().iter().map(|(name, world)| (name.clone(), world.clone())).collect()
    }

    pub(super) fn pictures(&self) -> Vec<(String, Picture)> {
        let now = self.mock_clock().millis();
        self.worlds().into_iter().map(|(name, world)| (name, picture(&world, now).unwrap())).collect()
    }

    pub(super) fn mock_clock(&self) -> MockClock {
        MockClock(self.clock)
    }

    /// Makes a request that nothing comes in the way of. What is answered.
    pub(super) fn send(&self, method: &str, path: &str, content_type: &str, body: &Value) -> (u16, Value) {
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let request = Request::builder().method(method).uri(path).header("content-type", content_type);
        let answer = self.storage.answer(&request.body(body.into()).unwrap());
        let code = answer.status().as_u16();
        let body = answer.into_body().collect().now_or_never().expect("no watch").unwrap().to_bytes();
        if method != "GET" {
            self.noted();
        }
        (code, serde_json::from_slice(&body).unwrap_or_default())
    }

    /// The object of this path, as stored now.
    pub(super) fn get(&self, path: &str) -> Option<Value> {
        let (code, object) = self.send("GET", path, "", &Value::Null);
        (code == 200).then_some(object)
    }

    pub(super) fn list(&self, path: &str) -> Vec<Value> {
        let mut list = self.get(path).unwrap();
        list["items"].as_array_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Something may have been written.
    pub(super) fn noted(&self) {
        let (now, revision) = (self.now(), self.storage.revision());
        let mut revisions = self.revisions.lock().unwrap();
        if revisions.last().is_none_or(|(_, last)| *last != revision) {
            revisions.push((now, revision));
        }
    }

    /// The last revision at that time.
    pub(super) fn revision_at(&self, at: u64) -> u64 {
        let revisions = self.revisions.lock().unwrap();
        let place = revisions.partition_point(|(when, _)| *when <= at);
        place.checked_sub(1).map_or(0, |place| revisions[place].1)
    }

    /// When this revision came to be.
    pub(super) fn written_at(&self, revision: u64) -> u64 {
        let revisions = self.revisions.lock().unwrap();
        let place = revisions.partition_point(|(_, known)| *known < revision);
        revisions.get(place).map_or(0, |(when, _)| *when)
    }
}

/// The mock's clock, moved by the runtime's.
pub(super) struct MockClock(Clock);

impl MockClock {
    fn millis(&self) -> Millis {
        Millis::default().after(Duration::from_nanos(self.0.now().as_nanos()))
    }
}

impl portolan_mock::Clock for MockClock {
    fn now(&self) -> Millis {
        self.millis()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        tokio::time::sleep(duration.max(NAP)).boxed()
    }
}
