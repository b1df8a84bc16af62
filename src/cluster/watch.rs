//! Watches: kube's `watcher` of each kind, as the index's events. Objects are projected as they arrive and dropped.
//!
//! No stream ever ends, and no error leaves one: it is logged once and tried again. Every namespace is watched even where
//! `watchNamespaces` names some: a Service left out here would look deleted, and its record would clean up a load balancer that is
//! in use. The claim applies the restriction.

use std::convert::Infallible;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt};
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::discovery::v1 as discovery;
use kube::client::ClientBuilder;
use kube::core::{DeserializeGuard, ObjectMeta};
use kube::runtime::watcher;
use kube::{Api, Client, Resource};
use portolan_core::ids::LoadBalancerId;
use portolan_core::record::Record;
use portolan_core::time::Time;
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tower::layer::layer_fn;

use crate::api::LoadBalancerRecord;
use crate::cluster::answers::Checked;
use crate::cluster::clock::Clock;
use crate::cluster::error::CallError;
use crate::cluster::project;
use crate::cluster::random::Random;
use crate::cluster::stored::{StoredPod, StoredService};
use crate::controller::index::{Event, Object, Observed};

/// The server ends a watch after this and kube begins it anew; it counts a connection as dead that stays silent for 5 s longer.
pub const WATCH_SECONDS: u32 = 60;
/// For the client that watches: how long the socket may be silent before a call on it fails. Longer than any watch.
pub const READ_TIMEOUT: Duration = Duration::from_secs(90);
/// A page of a list takes no longer.
const LIST_TIMEOUT: Duration = Duration::from_secs(60);
/// HTTP 410 Gone.
const EXPIRED: u16 = 410;
/// HTTP 403 and 404.
const FORBIDDEN: u16 = 403;
const NOT_FOUND: u16 = 404;

const BACKOFF_BASE: Duration = Duration::from_millis(500);
const BACKOFF_CAP: Duration = Duration::from_secs(30);

/// A client to watch with: it notices a server that falls silent, and leaves retries to the watches, which back off and say so.
pub fn client(mut config: kube::Config) -> Result<Client, kube::Error> {
    config.read_timeout = Some(READ_TIMEOUT);
    config.default_retry = false;
    Ok(ClientBuilder::try_from(config)?.with_layer(&layer_fn(Checked)).build())
}

/// Watches all kinds and hands on what they say, until `stop`; Pods only where somebody has an answer for those that wait.
pub(crate) async fn run(
    client: Client,
    seed: u64,
    with_pods: bool,
    events: mpsc::Sender<Observed>,
    stop: CancellationToken,
) -> Result<(), Infallible> {
    let pods = with_pods.then(|| pods(client.clone(), seed.wrapping_add(5)).boxed());
    let streams: [BoxStream<'static, Observed>; 5] = [
        services(client.clone(), seed).boxed(),
        slices(client.clone(), seed.wrapping_add(1)).boxed(),
        nodes(client.clone(), seed.wrapping_add(2)).boxed(),
        records(client.clone(), seed.wrapping_add(3)).boxed(),
        namespaces(client, seed.wrapping_add(4)).boxed(),
    ];
    let mut all = stream::select_all(streams.into_iter().chain(pods));
    let forward = async {
        while let Some(observed) = all.next().await {
            if events.send(observed).await.is_err() {
                return;
            }
        }
    };
    stop.run_until_cancelled(forward).await;
    Ok(())
}

/// All Services.
pub fn services(client: Client, seed: u64) -> impl Stream<Item = Observed> + Send {
    let project = |object| Projected::Object(project::service(object));
    events::<StoredService, _>(client, seed, "Services", project::service_key, project).map(Observed::Service)
}

/// All EndpointSlices that hold addresses for a Service.
pub fn slices(client: Client, seed: u64) -> impl Stream<Item = Observed> + Send {
    let project =
        |object| project::slice(object).map_or(Projected::Nothing, |slice| Projected::Object(Arc::new(slice)));
    events::<discovery::EndpointSlice, _>(client, seed, "EndpointSlices", project::slice_name, project)
        .map(Observed::Slice)
}

/// All Nodes.
pub fn nodes(client: Client, seed: u64) -> impl Stream<Item = Observed> + Send {
    let project = |object| Projected::Object(Arc::new(project::node(object)));
    events::<core::Node, _>(client, seed, "Nodes", project::node_name, project).map(Observed::Node)
}

/// All records, of every instance.
pub fn records(client: Client, seed: u64) -> impl Stream<Item = Observed> + Send {
    let name = |metadata: &ObjectMeta| LoadBalancerId::new(metadata.name.clone().unwrap_or_default());
    let project = |object: LoadBalancerRecord| match Record::try_from(object) {
        Ok(record) => Projected::Object(Arc::new(record)),
        Err(error) => Projected::Unreadable(error.problem),
    };
    events::<LoadBalancerRecord, _>(client, seed, "LoadBalancerRecords", name, project).map(Observed::Record)
}

/// All Namespaces.
pub fn namespaces(client: Client, seed: u64) -> impl Stream<Item = Observed> + Send {
    let project = |object| Projected::Object(Arc::new(project::namespace(object)));
    events::<core::Namespace, _>(client, seed, "Namespaces", project::namespace_name, project).map(Observed::Namespace)
}

/// All Pods that wait for load balancers. A server that does not let us see Pods, or has none, keeps nobody from being served but those.
pub fn pods(client: Client, seed: u64) -> impl Stream<Item = Observed> + Send {
    let project = |object| project::pod(object).map_or(Projected::Nothing, Projected::Object);
    let watch = Watch::begin(Api::all(client), seed, "Pods");
    let watch =
        Watch { without: Some("pods with readiness gates of ours are never ready until they can be listed"), ..watch };
    read::<StoredPod, _>(watch, project::pod_name, project).map(Observed::Pod)
}

/// What an object is to us.
pub(crate) enum Projected<T> {
    Object(T),
    /// Nothing that we look at.
    Nothing,
    /// Something that we would look at, if it made sense; and why it makes none.
    Unreadable(String),
}

/// How one kind is read.
struct Reader<K, T: Object> {
    kind: &'static str,
    name: fn(&ObjectMeta) -> T::Name,
    project: fn(K) -> Projected<T>,
}

/// What a watch of all objects of a kind says.
pub(crate) fn events<K, T>(
    client: Client,
    seed: u64,
    kind: &'static str,
    name: fn(&ObjectMeta) -> T::Name,
    project: fn(K) -> Projected<T>,
) -> impl Stream<Item = Event<T>> + Send
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static,
    T: Object + Send + 'static,
{
    events_of(Api::all(client), seed, kind, name, project)
}

/// The same of a kind that some servers do not have: then it is as if there were none of them, which means this.
pub(crate) fn events_if_served<K, T>(
    client: Client,
    seed: u64,
    kind: &'static str,
    without: &'static str,
    name: fn(&ObjectMeta) -> T::Name,
    project: fn(K) -> Projected<T>,
) -> impl Stream<Item = Event<T>> + Send
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static,
    T: Object + Send + 'static,
{
    let watch = Watch::begin(Api::all(client), seed, kind);
    read(Watch { without: Some(without), may_be_unserved: true, ..watch }, name, project)
}

/// The same of an API that may be one namespace's.
pub(crate) fn events_of<K, T>(
    api: Api<DeserializeGuard<K>>,
    seed: u64,
    kind: &'static str,
    name: fn(&ObjectMeta) -> T::Name,
    project: fn(K) -> Projected<T>,
) -> impl Stream<Item = Event<T>> + Send
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static,
    T: Object + Send + 'static,
{
    read(Watch::begin(api, seed, kind), name, project)
}

fn read<K, T>(
    watch: Watch<DeserializeGuard<K>>,
    name: fn(&ObjectMeta) -> T::Name,
    project: fn(K) -> Projected<T>,
) -> impl Stream<Item = Event<T>> + Send
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static,
    T: Object + Send + 'static,
{
    let reader = Reader { kind: watch.health.kind, name, project };
    let events = stream::unfold(watch, |mut watch| async move { Some((watch.next().await, watch)) });
    events.filter_map(move |event| std::future::ready(reader.read(event)))
}

impl<K: Resource<DynamicType = ()>, T: Object> Reader<K, T> {
    fn read(&self, event: watcher::Event<DeserializeGuard<K>>) -> Option<Event<T>> {
        let (listed, object) = match event {
            watcher::Event::Init => return Some(Event::Init),
            watcher::Event::InitDone => return Some(Event::InitDone),
            watcher::Event::Delete(object) => {
                return Some(Event::Delete((self.name)(object.meta()), project::version(object.meta())));
            }
            watcher::Event::InitApply(object) => (true, object),
            watcher::Event::Apply(object) => (false, object),
        };
        let (name, version) = ((self.name)(object.meta()), project::version(object.meta()));
        match (object.0.map_or_else(|invalid| Projected::Unreadable(invalid.error), self.project), listed) {
            (Projected::Object(object), true) => Some(Event::InitApply(object)),
            (Projected::Object(object), false) => Some(Event::Apply(object)),
            (Projected::Nothing, true) => None,
            (Projected::Nothing, false) => Some(Event::Delete(name, version)),
            (Projected::Unreadable(problem), true | false) => {
                let kind = self.kind;
                tracing::warn!(kind, name = ?name, problem, "an object makes no sense; what was read of it before stands");
                Some(Event::Unreadable(name))
            }
        }
    }
}

/// kube's watcher, with pauses after errors, and begun anew where it would lose something.
struct Watch<K> {
    stream: Events<K>,
    begin: Box<dyn Fn() -> Events<K> + Send>,
    listing: bool,
    health: Health,
    /// Of a kind that work can begin without, as long as it could never be listed: what that means.
    without: Option<&'static str>,
    /// Servers are known that do not have it, so that this is no trouble.
    may_be_unserved: bool,
}

type Events<K> = BoxStream<'static, watcher::Result<watcher::Event<K>>>;

impl<K> Watch<DeserializeGuard<K>>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static,
{
    fn begin(api: Api<DeserializeGuard<K>>, seed: u64, kind: &'static str) -> Self {
        let config = watcher::Config::default().timeout(WATCH_SECONDS).page_size(500);
        let begin = move || watcher(api.clone(), config.clone()).boxed();
        let (stream, begin, health) = (begin(), Box::new(begin), Health::new(kind, seed));
        Self { stream, begin, listing: true, health, without: None, may_be_unserved: false }
    }
}

impl<K> Watch<K> {
    async fn next(&mut self) -> watcher::Event<K> {
        loop {
            // A list that hangs says nothing. A watch may: its own timeouts are kube's and the client's.
            let limit = if self.listing { LIST_TIMEOUT } else { Duration::MAX };
            match tokio::time::timeout(limit, self.stream.next()).await {
                Ok(Some(Ok(event))) => {
                    self.listing = matches!(event, watcher::Event::Init | watcher::Event::InitApply(_));
                    if !matches!(event, watcher::Event::Init) {
                        self.health.works(); // `Init` comes before the first answer
                    }
                    if matches!(event, watcher::Event::InitDone) {
                        self.without = None;
                    }
                    return event;
                }
                Ok(Some(Err(error))) => {
                    let (lossy, denied) = (is_lossy(&error), denied(&error));
                    if denied == Some(NOT_FOUND) && self.may_be_unserved {
                        if let Some(without) = self.without.take() {
                            tracing::info!(kind = self.health.kind, "the server has no such kind: {without}");
                            return watcher::Event::InitDone;
                        }
                        self.health.failed(None).await;
                        continue;
                    }
                    self.health.failed(explain(self.health.kind, error)).await;
                    if lossy {
                        self.begin_anew();
                    }
                    if let Some(without) = self.without.take_if(|_| denied.is_some()) {
                        tracing::error!(kind = self.health.kind, "work begins without them: {without}");
                        return watcher::Event::InitDone;
                    }
                }
                Ok(None) | Err(_) => {
                    let silence = format!("cannot list {}: the API server has stopped answering", self.health.kind);
                    self.health.failed(Some(silence)).await;
                    self.begin_anew();
                }
            }
        }
    }

    fn begin_anew(&mut self) {
        self.stream = (self.begin)();
        self.listing = true;
    }
}

/// After this error kube would go on from a version that the server no longer has (410), does not have yet (after a restore of
/// etcd), or behind an event that nobody could read.
fn is_lossy(error: &watcher::Error) -> bool {
    match error {
        watcher::Error::WatchStartFailed(kube::Error::Api(status)) => {
            let mut causes = status.details.iter().flat_map(|details| &details.causes);
            status.code == EXPIRED || causes.any(|cause| cause.reason == "ResourceVersionTooLarge")
        }
        // A line that is no event; kube reads some as a `Status` without content.
        watcher::Error::WatchFailed(error) => matches!(error, kube::Error::SerdeError(_) | kube::Error::Api(_)),
        watcher::Error::WatchStartFailed(_)
        | watcher::Error::InitialListFailed(_)
        | watcher::Error::WatchError(_)
        | watcher::Error::NoResourceVersion => false,
    }
}

/// The server has no such kind, or does not let us list it: which, as its code says.
fn denied(error: &watcher::Error) -> Option<u16> {
    let watcher::Error::InitialListFailed(kube::Error::Api(status)) = error else { return None };
    Some(status.code).filter(|code| matches!(*code, FORBIDDEN | NOT_FOUND))
}

/// What to tell the log: nothing about a 410, which is how a watch that fell behind goes on.
fn explain(kind: &str, error: watcher::Error) -> Option<String> {
    let (action, error) = match error {
        watcher::Error::InitialListFailed(error) => ("list", error),
        watcher::Error::WatchStartFailed(error) | watcher::Error::WatchFailed(error) => ("watch", error),
        watcher::Error::WatchError(status) => ("watch", kube::Error::Api(status)),
        watcher::Error::NoResourceVersion => {
            return Some(format!("cannot watch {kind}: the API server sends objects without resourceVersion"));
        }
    };
    let expired = matches!(&error, kube::Error::Api(status) if status.code == EXPIRED);
    (!expired).then(|| CallError::new(format!("{action} {kind}"), &error).to_string())
}

/// How a watch is doing: the pause after an error, and what the log knows already.
struct Health {
    kind: &'static str,
    clock: Clock,
    random: Random,
    failures: u32,
    last_failure: Time,
    logged: Option<String>,
}

impl Health {
    fn new(kind: &'static str, seed: u64) -> Self {
        let (clock, random) = (Clock::start(), Random::new(seed));
        Self { kind, clock, random, failures: 0, last_failure: Time::default(), logged: None }
    }

    fn works(&mut self) {
        if self.logged.take().is_some() {
            tracing::info!(kind = self.kind, "the watch works again");
        }
    }

    /// Logs the error unless it is the last one again, and pauses. An error long after the one before begins with a short pause.
    async fn failed(&mut self, error: Option<String>) {
        let now = self.clock.now();
        if now.since(self.last_failure) > BACKOFF_CAP * 2 {
            self.failures = 0;
        }
        let doubled = BACKOFF_BASE.saturating_mul(2_u32.saturating_pow(self.failures)).min(BACKOFF_CAP);
        self.failures = self.failures.saturating_add(1);
        if let Some(error) = error.filter(|error| self.logged.as_ref() != Some(error)) {
            tracing::warn!(kind = self.kind, error, "the watch failed and is tried again");
            self.logged = Some(error);
        }
        tokio::time::sleep(self.random.between(BACKOFF_BASE, doubled)).await;
        self.last_failure = self.clock.now();
    }
}

#[cfg(test)]
mod tests;
