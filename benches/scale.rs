//! Needs: KUBEBUILDER_ASSETS (tests/tools prints it). How Portolan grows with the number of Services, on a real API server, beside
//! a bare client that only patches status: the floor, because an address cannot be published with fewer requests.
//!
//! `KUBEBUILDER_ASSETS=$(tests/tools) cargo bench --bench scale -- 100 1000 10000`
//!
//! For each number of Services, each run on a server of its own, because what an earlier run has left slows down a later one: the
//! floor, Portolan, the floor again. Both have 16 requests or passes under way at most, and 16 creating requests before them. The
//! figures of time are of one run on one machine; the ratios in a row are what counts. What is counted is checked, and fails the
//! bench: a new Service's requests, a restart's writes, and that an endpoint change costs the same calls at every number.

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
    pub(crate) mod rights;
    pub(crate) mod server;
}
use suite::{api, gate, harness, process, rights, server};

/// What the figures are made of.
#[path = "scale"]
mod parts {
    pub(crate) mod floor;
    pub(crate) mod meters;
    pub(crate) mod stand;
    pub(crate) mod traffic;
}
use parts::{floor, meters, stand, traffic};

use std::path::PathBuf;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::Api;

use harness::{Controller, World};
use meters::{Tally, cpu, peak_memory};
use stand::{SINGLES, begun, fresh};
use traffic::{CONCURRENCY, Run};

/// How many endpoint changes are made to find the cost of one.
const CHANGES: usize = 200;

/// How many of them are counted at the provider, which slows it down.
const COUNTED_CHANGES: usize = 20;

/// The class of the Services.
const CLASS: &str = "portolan.dev/mock";

fn main() {
    let numbers: Vec<usize> = std::env::args().skip(1).filter_map(|argument| argument.parse().ok()).collect();
    let numbers = if numbers.is_empty() { vec![1000] } else { numbers };
    if std::env::var_os("KUBEBUILDER_ASSETS").is_none() {
        println!("SKIPPED: needs KUBEBUILDER_ASSETS (tests/tools prints the folder)");
        return;
    }
    println!("{CONCURRENCY} creating requests, {CONCURRENCY} requests of the floor, {CONCURRENCY} workers of Portolan");
    let calls: Vec<f64> = numbers.into_iter().map(measure).collect();
    assert!(
        calls.windows(2).all(|two| two[0] == two[1]),
        "an endpoint change must cost as many provider calls among many Services as among few: {calls:?}"
    );
}

/// Measures one number of Services; the provider calls of one endpoint change among them.
fn measure(number: usize) -> f64 {
    println!("\n{number} Services");
    let before = floor::run(number);
    before.print("floor");
    let (run, calls) = portolan(number);
    let after = floor::run(number);
    after.print("floor");
    let ratio = |of: fn(&Run) -> f64| of(&run) / ((of(&before) + of(&after)) / 2.0);
    println!(
        "  ratio      create to address, all {:.2}; alone {:.2}; CPU of the servers {:.2}",
        ratio(|run| run.all.as_secs_f64()),
        ratio(|run| run.alone().as_secs_f64()),
        ratio(|run| run.servers.as_secs_f64()),
    );
    calls
}

fn portolan(number: usize) -> (Run, f64) {
    let server = fresh("portolan");
    let admin = api::client(&server.kubeconfig("admin"));
    let world = World::new(server, "portolan");
    let services: Api<Service> = Api::namespaced(admin.clone(), &world.namespace);
    let setup = world.setup();
    let mut tally = Tally::new(server, &setup.user);
    let controller = setup.start();
    begun(&controller, 1);
    let empty = peak_memory(controller.process.pid());

    let mut run = traffic::create_all(server, &services, CLASS, number);
    tally.settle();
    let memory = peak_memory(controller.process.pid());
    let used = cpu(controller.process.pid());
    run.requests = tally.per(number + 1);
    run.singles = traffic::create_singly(&services, CLASS, "single", SINGLES);
    run.print("portolan");
    println!("             {}", run.requests);
    println!(
        "  memory     {memory:.0} MB at most, {empty:.0} MB of it without Services: {:.1} KB a Service; CPU {:.2} ms a Service",
        (memory - empty) * 1024.0 / number as f64,
        used.as_secs_f64() * 1000.0 / number as f64,
    );
    tally.settle();
    let total = 1 + number + SINGLES;
    assert_eq!(tally.writes, 4 * total, "three writes and an Event for each: {:?}", tally.kinds);

    let calls = endpoint_changes(&world, &controller, &mut tally, Api::namespaced(admin, &world.namespace));
    restart(&world, controller, &setup, &mut tally, &services);
    server.stop();
    (run, calls)
}

/// What a change of the endpoints of one Service costs; the provider calls of one.
fn endpoint_changes(world: &World, controller: &Controller, tally: &mut Tally, slices: Api<EndpointSlice>) -> f64 {
    let place = balancer_file(world, "s0");
    let watched = traffic::watch_endpoints(slices.clone());
    // The first gives the Service endpoints, which is news in its status.
    traffic::change_endpoints(&slices, &watched, &place, 0..1);
    tally.settle();
    let (requests, used) = (tally.requests(), cpu(controller.process.pid()));
    let changes = traffic::change_endpoints(&slices, &watched, &place, 1..CHANGES + 1);
    let used = cpu(controller.process.pid()) - used;
    tally.settle();
    let requests = tally.requests() - requests;
    world.mock().fault("counter", &["--on", "any", "--at-call", "1000000000", "--effect", "crash-before"]);
    traffic::change_endpoints(&slices, &watched, &place, CHANGES + 1..CHANGES + 1 + COUNTED_CHANGES);
    tally.settle();
    let hits = std::fs::read_to_string(world.folder.join("mock/faults/counter.hits")).unwrap_or_default();
    world.mock().end_faults();
    let calls = hits.lines().count() as f64 / COUNTED_CHANGES as f64;
    println!(
        "  endpoints  a change is at the provider after {:.1} ms where a bare watch shows it after {:.1} ms (medians); \
         {calls} provider calls, {:.2} API requests, {:.2} ms of CPU each",
        changes.applied.as_secs_f64() * 1000.0,
        changes.shown.as_secs_f64() * 1000.0,
        requests as f64 / CHANGES as f64,
        used.as_secs_f64() * 1000.0 / CHANGES as f64,
    );
    assert_eq!(requests, 0, "a changed endpoint is nothing that the API server is told of");
    calls
}

/// What a restart writes, and how long a Service that is created behind all others waits.
fn restart(world: &World, controller: Controller, setup: &harness::Setup, tally: &mut Tally, services: &Api<Service>) {
    let lists = traffic::list_all(services.clone().into_client());
    assert!(controller.terminate(Duration::from_secs(20)).is_some(), "it ends in time");
    tally.settle();
    let written = tally.writes;
    let started = Instant::now();
    let controller = setup.start();
    begun(&controller, 2);
    let listed = started.elapsed();
    // Its key stands behind all others, which are ready since the lists were complete.
    traffic::create_singly(services, CLASS, "last", 1);
    let waited = started.elapsed();
    tally.settle();
    let writes = tally.writes - written;
    println!(
        "  restart    {} writes; work begins after {:.2} s where a bare client lists the same in {:.2} s; a new Service behind \
         all others has its address after {:.2} s; {:.0} MB",
        writes - 4,
        listed.as_secs_f64(),
        lists.as_secs_f64(),
        waited.as_secs_f64(),
        peak_memory(controller.process.pid()),
    );
    assert_eq!(writes, 4, "a restart writes nothing but what the new Service costs: {:?}", tally.kinds);
    world.nobody_was_refused();
    controller.is_well();
}

/// The file in which the mock keeps the load balancer of this Service.
fn balancer_file(world: &World, service: &str) -> PathBuf {
    let marker = format!("\"name\":\"{service}\"");
    let files = std::fs::read_dir(world.folder.join("mock/balancers")).unwrap().map(|entry| entry.unwrap().path());
    let holds = |file: &PathBuf| std::fs::read_to_string(file).is_ok_and(|text| text.contains(&marker));
    files.into_iter().find(holds).expect("its load balancer has a file")
}
