//! Needs: KUBEBUILDER_ASSETS (tests/tools prints it). How Portolan grows with the number of Services, on a real API server, beside
//! a bare client that only patches status: the floor, because an address cannot be published with fewer requests.
//!
//! `KUBEBUILDER_ASSETS=$(tests/tools) cargo bench --bench scale -- 1000 10000`
//!
//! For each number: create to address (seconds for all, median and 99th percentile of one), writes a Service, resident memory,
//! CPU time of the controller for one endpoint change, and what a restart writes and takes. Figures are of one run on one
//! machine; the ratios in a row are what counts.

#![allow(dead_code, unused_imports, reason = "the harness of tests/suite has more than a bench needs")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::needless_pass_by_value
)]
#![allow(clippy::disallowed_methods, reason = "a bench measures time")]

/// The harness of the suite, which calls its modules by their place in the crate.
#[path = "../tests/suite"]
mod suite {
    pub(crate) mod api;
    pub(crate) mod gate;
    pub(crate) mod harness;
    pub(crate) mod process;
    pub(crate) mod server;
}
use suite::{api, gate, harness, process, server};

use std::collections::{HashMap, HashSet};
use std::pin::Pin;
use std::time::{Duration, Instant};

use futures::stream::{self, StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::runtime::{WatchStreamExt, watcher};
use serde_json::json;

use harness::World;
use server::Server;

/// How many requests the creating client has under way.
const CREATORS: usize = 16;
/// How many endpoint changes are made to find the cost of one.
const CHANGES: usize = 100;

fn main() {
    let numbers: Vec<usize> = std::env::args().skip(1).filter_map(|argument| argument.parse().ok()).collect();
    let numbers = if numbers.is_empty() { vec![1000] } else { numbers };
    println!(
        "{:>8} {:10} {:>8} {:>8} {:>8} {:>8} {:>9}",
        "Services", "who", "all s", "p50 ms", "p99 ms", "writes", "memory MB"
    );
    for number in numbers {
        let Some(server) = Server::start(&format!("scale-{number}")) else {
            println!("SKIPPED: needs KUBEBUILDER_ASSETS (tests/tools prints the folder)");
            return;
        };
        let server: &'static Server = Box::leak(Box::new(server));
        server.apply_crds();
        measure(server, number);
    }
}

fn measure(server: &'static Server, number: usize) {
    let admin = api::client(&server.kubeconfig("admin"));
    let wait = |future: Pin<Box<dyn Future<Output = Run>>>| api::RUNTIME.block_on(future);

    let floor = World::new(server, "floor");
    let user = server.new_user();
    let bare = api::RUNTIME.spawn(bare_client(api::client(&server.kubeconfig(&user)), floor.namespace.clone()));
    let services: Api<Service> = Api::namespaced(admin.clone(), &floor.namespace);
    let bare_run = wait(Box::pin(create_all(services, names(number))));
    bare.abort();
    row(number, "bare", &bare_run, floor.writes(&user).len(), None);

    let world = World::new(server, "portolan");
    let services: Api<Service> = Api::namespaced(admin.clone(), &world.namespace);
    let setup = world.setup();
    let controller = setup.start();
    let run = wait(Box::pin(create_all(services.clone(), names(number))));
    quiet(&world, &controller.user);
    row(number, "portolan", &run, world.writes(&controller.user).len(), Some(memory(controller.process.pid())));
    println!("{number:>8} ratio      {:8.2}", run.all.as_secs_f64() / bare_run.all.as_secs_f64());

    let before = cpu(controller.process.pid());
    let slices: Api<EndpointSlice> = Api::namespaced(admin, &world.namespace);
    api::RUNTIME.block_on(async {
        for change in 0..CHANGES {
            slice(&slices, change).await;
        }
    });
    quiet(&world, &controller.user);
    let cost = (cpu(controller.process.pid()) - before).as_secs_f64() * 1000.0 / CHANGES as f64;
    println!("{number:>8} endpoint change: {cost:.2} ms of CPU");

    let written = world.writes(&controller.user).len();
    drop(controller);
    let started = Instant::now();
    let again = setup.start();
    wait(Box::pin(create_all(services, vec!["one-more".to_owned()])));
    println!("{number:>8} restart: a new Service waits {:.2} s", started.elapsed().as_secs_f64());
    quiet(&world, &again.user);
    let extra = world.writes(&again.user).len() - written;
    println!("{number:>8} restart: {extra} writes, of which 4 for the new Service");
}

fn names(number: usize) -> Vec<String> {
    (0..number).map(|index| format!("s{index}")).collect()
}

/// How long it took until all had addresses, and each from its creation's acknowledgement.
struct Run {
    all: Duration,
    each: Vec<Duration>,
}

fn row(number: usize, who: &str, run: &Run, writes: usize, memory: Option<f64>) {
    let at = |quantile: f64| {
        let index = ((run.each.len() as f64 * quantile) as usize).min(run.each.len().saturating_sub(1));
        run.each[index].as_secs_f64() * 1000.0
    };
    let memory = memory.map_or_else(|| "-".to_owned(), |memory| format!("{memory:.0}"));
    let all = run.all.as_secs_f64();
    let writes = writes as f64 / number as f64;
    println!("{number:>8} {who:10} {all:8.1} {:8.0} {:8.0} {writes:8.2} {memory:>9}", at(0.5), at(0.99));
}

/// Creates the Services and waits for their addresses on a watch.
async fn create_all(services: Api<Service>, names: Vec<String>) -> Run {
    let started = Instant::now();
    let creating = stream::iter(names.clone())
        .map(|name| {
            let services = services.clone();
            async move {
                create(&services, &name).await;
                (name, Instant::now())
            }
        })
        .buffer_unordered(CREATORS)
        .collect::<HashMap<_, _>>();
    let (created, addressed) = tokio::join!(creating, addressed(services.clone(), &names));
    let mut each: Vec<Duration> =
        names.iter().map(|name| addressed[name].saturating_duration_since(created[name])).collect();
    each.sort();
    Run { all: started.elapsed(), each }
}

async fn create(services: &Api<Service>, name: &str) {
    let service = json!({
        "metadata": {"name": name},
        "spec": {
            "type": "LoadBalancer", "loadBalancerClass": "portolan.dev/mock", "allocateLoadBalancerNodePorts": false,
            "ports": [{"port": 80}],
        },
    });
    services.create(&PostParams::default(), &serde_json::from_value(service).unwrap()).await.unwrap();
}

/// When each of these had its address.
async fn addressed(services: Api<Service>, names: &[String]) -> HashMap<String, Instant> {
    let mut watch = watcher(services, watcher::Config::default()).default_backoff().applied_objects().boxed();
    let awaited: HashSet<&String> = names.iter().collect();
    let mut seen = HashMap::new();
    while seen.len() < names.len() {
        let service = watch.try_next().await.unwrap().expect("a watch does not end");
        let name = service.metadata.name.clone().unwrap_or_default();
        if has_address(&service) && awaited.contains(&name) {
            seen.entry(name).or_insert_with(Instant::now);
        }
    }
    seen
}

fn has_address(service: &Service) -> bool {
    let ingress = service.status.as_ref().and_then(|status| status.load_balancer.as_ref()?.ingress.as_ref());
    ingress.is_some_and(|ingress| !ingress.is_empty())
}

/// The floor: every Service gets an address by one patch, 16 at a time, and nothing is remembered.
async fn bare_client(client: kube::Client, namespace: String) {
    let services: Api<Service> = Api::namespaced(client, &namespace);
    let watch = watcher(services.clone(), watcher::Config::default()).default_backoff().applied_objects();
    watch
        .try_for_each_concurrent(CREATORS, |service| {
            let services = services.clone();
            async move {
                if !has_address(&service) {
                    let name = service.metadata.name.unwrap_or_default();
                    let patch =
                        json!({"status": {"loadBalancer": {"ingress": [{"ip": "203.0.113.1", "ipMode": "VIP"}]}}});
                    let _ = services.patch_status(&name, &PatchParams::default(), &Patch::Merge(patch)).await;
                }
                Ok(())
            }
        })
        .await
        .unwrap();
}

/// Changes the endpoints of one Service.
async fn slice(slices: &Api<EndpointSlice>, change: usize) {
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": "s0-1", "labels": {"kubernetes.io/service-name": "s0"}},
        "ports": [{"name": "", "port": 8080, "protocol": "TCP"}],
        "endpoints": [{"addresses": [format!("10.200.{}.{}", change / 250, 1 + change % 250)]}],
    });
    let parameters = PatchParams::apply("bench").force();
    slices.patch("s0-1", &parameters, &Patch::Apply(&slice)).await.unwrap();
}

/// Waits until the controller has written nothing for two seconds.
fn quiet(world: &World, user: &str) {
    let mut before = usize::MAX;
    loop {
        let now = world.writes(user).len();
        if now == before {
            return;
        }
        before = now;
        std::thread::sleep(Duration::from_secs(2));
    }
}

/// Peak resident memory in MB.
fn memory(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}

/// CPU time so far, user and system (clock ticks are 10 ms on Linux).
fn cpu(pid: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}
