//! What users and kubelets do: Services are created, endpoints change.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use futures::stream::{self, StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams};
use kube::runtime::{WatchStreamExt, watcher};
use serde_json::json;

use crate::api;
use crate::meters::{Requests, cpu};
use crate::server::Server;

/// How many requests the creating client has under way; as many as Portolan has workers, and the floor has requests.
pub(crate) const CONCURRENCY: usize = 16;

/// How long it took until all had addresses, and what it cost.
pub(crate) struct Run {
    /// From the first creation to the last address.
    pub(crate) all: Duration,
    /// Each from its creation's acknowledgement, sorted: while 16 more are being created, so mostly time in a queue.
    each: Vec<Duration>,
    /// The same of those that were created one after the other, when nothing else went on.
    pub(crate) singles: Vec<Duration>,
    /// CPU time of API server and etcd for all.
    pub(crate) servers: Duration,
    pub(crate) requests: Requests,
    /// When a bare watch first showed each Service.
    pub(crate) shown: HashMap<String, SystemTime>,
}

impl Run {
    /// The median of a Service alone.
    pub(crate) fn alone(&self) -> Duration {
        quantile(&self.singles, 0.5)
    }

    pub(crate) fn print(&self, who: &str) {
        let ms = |duration: Duration| duration.as_secs_f64() * 1000.0;
        println!(
            "  {who:10} create to address: all {:.1} s; each p50 {:.0} ms, p99 {:.0} ms; alone p50 {:.1} ms; {:.2} writes a Service; \
             servers {:.2} ms of CPU a Service",
            self.all.as_secs_f64(),
            ms(quantile(&self.each, 0.5)),
            ms(quantile(&self.each, 0.99)),
            ms(self.alone()),
            self.requests.writes,
            ms(self.servers) / self.each.len() as f64,
        );
    }
}

pub(crate) fn quantile(sorted: &[Duration], quantile: f64) -> Duration {
    let index = (sorted.len() as f64 * quantile) as usize;
    sorted.get(index.min(sorted.len().saturating_sub(1))).copied().unwrap_or_default()
}

/// Creates `s0`, `s1`, ... of a class and waits for their addresses on a watch.
pub(crate) fn create_all(server: &Server, services: &Api<Service>, class: &str, number: usize) -> Run {
    // The server takes two seconds over the first object of a new kind.
    create_singly(services, class, "first", 1);
    let names: Vec<String> = (0..number).map(|index| format!("s{index}")).collect();
    let (before, started) = (servers(server), Instant::now());
    let (created, (addressed, shown)) = api::RUNTIME.block_on(async {
        let creating = stream::iter(names.clone())
            .map(|name| async move {
                create(services, class, &name).await;
                (name, Instant::now())
            })
            .buffer_unordered(CONCURRENCY)
            .collect::<HashMap<_, _>>();
        tokio::join!(creating, addressed(services.clone(), &names))
    });
    let all = started.elapsed();
    let mut each: Vec<Duration> =
        names.iter().map(|name| addressed[name].saturating_duration_since(created[name])).collect();
    each.sort();
    Run { all, each, singles: Vec::new(), servers: servers(server) - before, requests: Requests::default(), shown }
}

fn servers(server: &Server) -> Duration {
    server.pids().into_iter().map(cpu).sum()
}

/// Creates one Service after the other, each when the one before has its address; how long each waited, sorted.
pub(crate) fn create_singly(services: &Api<Service>, class: &str, name: &str, number: usize) -> Vec<Duration> {
    let mut waits: Vec<Duration> = (0..number)
        .map(|index| {
            let name = format!("{name}-{index}");
            api::RUNTIME.block_on(async {
                create(services, class, &name).await;
                let created = Instant::now();
                let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
                let mut watch = watcher(services.clone(), config).applied_objects().boxed();
                while !has_address(&watch.try_next().await.unwrap().expect("a watch does not end")) {}
                created.elapsed()
            })
        })
        .collect();
    waits.sort();
    waits
}

async fn create(services: &Api<Service>, class: &str, name: &str) {
    let service = json!({
        "metadata": {"name": name},
        "spec": {
            "type": "LoadBalancer", "loadBalancerClass": class, "allocateLoadBalancerNodePorts": false,
            "ports": [{"port": 80}],
        },
    });
    services.create(&PostParams::default(), &serde_json::from_value(service).unwrap()).await.unwrap();
}

/// When a watch showed each of these with its address, and when it showed each first.
async fn addressed(
    services: Api<Service>,
    names: &[String],
) -> (HashMap<String, Instant>, HashMap<String, SystemTime>) {
    let mut watch = watcher(services, watcher::Config::default()).default_backoff().applied_objects().boxed();
    let awaited: HashSet<&String> = names.iter().collect();
    let (mut seen, mut shown) = (HashMap::new(), HashMap::new());
    while seen.len() < names.len() {
        let service = watch.try_next().await.unwrap().expect("a watch does not end");
        let name = service.metadata.name.clone().unwrap_or_default();
        shown.entry(name.clone()).or_insert_with(SystemTime::now);
        if has_address(&service) && awaited.contains(&name) {
            seen.entry(name).or_insert_with(Instant::now);
        }
    }
    (seen, shown)
}

pub(crate) fn has_address(service: &Service) -> bool {
    let ingress = service.status.as_ref().and_then(|status| status.load_balancer.as_ref()?.ingress.as_ref());
    ingress.is_some_and(|ingress| !ingress.is_empty())
}

/// How long a client takes to list what a controller lists, in pages as large.
pub(crate) fn list_all(client: kube::Client) -> Duration {
    let started = Instant::now();
    api::RUNTIME.block_on(async {
        let mut page = ListParams::default().limit(500);
        loop {
            let list = Api::<Service>::all(client.clone()).list(&page).await.unwrap();
            match list.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => page.continue_token = Some(token),
                None => break,
            }
        }
    });
    started.elapsed()
}

/// When a bare watch has shown an endpoint.
pub(crate) type Watched = Arc<Mutex<HashMap<String, Instant>>>;

/// Watches endpoints, for as long as the process lives.
pub(crate) fn watch_endpoints(slices: Api<EndpointSlice>) -> Watched {
    let watched = Watched::default();
    let seen = watched.clone();
    api::RUNTIME.spawn(async move {
        let mut watch = watcher(slices, watcher::Config::default()).applied_objects().boxed();
        while let Some(Ok(slice)) = watch.next().await {
            let addresses = slice.endpoints.into_iter().flatten().flat_map(|endpoint| endpoint.addresses);
            seen.lock().unwrap().extend(addresses.map(|address| (address, Instant::now())));
        }
    });
    watched
}

/// Medians from the sending of a change.
pub(crate) struct Changes {
    /// Until a bare watch showed it.
    pub(crate) shown: Duration,
    /// Until the provider had it.
    pub(crate) applied: Duration,
}

/// Changes the one endpoint of the Service `s0`, each time when the provider has the change before, whose file is `place`.
pub(crate) fn change_endpoints(
    slices: &Api<EndpointSlice>,
    watched: &Watched,
    place: &Path,
    changes: Range<usize>,
) -> Changes {
    let (mut shown, mut applied) = (Vec::new(), Vec::new());
    for change in changes {
        let address = format!("10.200.{}.{}", change / 250, 1 + change % 250);
        let sent = Instant::now();
        api::RUNTIME.block_on(put_slice(slices, &address));
        let deadline = sent + Duration::from_secs(60);
        let (mut at_watch, mut at_provider) = (None, None);
        while at_watch.is_none() || at_provider.is_none() {
            at_watch = at_watch.or_else(|| watched.lock().unwrap().get(&address).copied());
            let holds = || fs::read_to_string(place).is_ok_and(|text| text.contains(&format!("\"{address}:8080\"")));
            at_provider = at_provider.or_else(|| holds().then(Instant::now));
            assert!(Instant::now() < deadline, "{address} does not arrive at {}", place.display());
            // The one place that only files tell of.
            std::thread::sleep(Duration::from_micros(100));
        }
        shown.extend(at_watch.map(|at| at - sent));
        applied.extend(at_provider.map(|at| at - sent));
    }
    shown.sort();
    applied.sort();
    Changes { shown: quantile(&shown, 0.5), applied: quantile(&applied, 0.5) }
}

async fn put_slice(slices: &Api<EndpointSlice>, address: &str) {
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": "s0-1", "labels": {"kubernetes.io/service-name": "s0"}},
        "ports": [{"name": "", "port": 8080, "protocol": "TCP"}],
        "endpoints": [{"addresses": [address]}],
    });
    let parameters = PatchParams::apply("bench").force();
    slices.patch("s0-1", &parameters, &Patch::Apply(&slice)).await.unwrap();
}
