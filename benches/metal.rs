//! Needs: KUBEBUILDER_ASSETS (tests/tools prints it). Services that get addresses of a pool, on a
//! real API server: Portolan's controller beside MetalLB's, and beside a bare client that only patches status, the floor.
//!
//! `KUBEBUILDER_ASSETS=$(tests/tools) cargo bench --bench metal -- 1000 10000`
//!
//! Each on a server of its own; 16 creating requests before all of them. Times are of one run on one machine; what compares are the ratios of a
//! run and what is counted. What Portolan writes is checked, and fails the bench.

#![allow(
    dead_code,
    unused_imports,
    reason = "the harness of tests/suite, and the parts of benches/scale, have more than this needs"
)]
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

/// The peer.
#[path = "../tests/lab/metallb.rs"]
mod metallb;

use std::fs::File;
use std::time::Duration;

use k8s_openapi::api::core::v1::Service;
use kube::api::{Api, DeleteParams};
use serde_json::json;

use harness::World;
use meters::{Tally, cpu, peak_memory};
use process::Process;
use server::Server;
use stand::{SINGLES, begun, fresh};
use traffic::{Run, quantile};

/// The class of the Services.
const CLASS: &str = "portolan.dev/metal";

/// What both give out.
const POOL: &str = "10.192.0.0/14";

fn main() {
    let numbers: Vec<usize> = std::env::args().skip(1).filter_map(|argument| argument.parse().ok()).collect();
    let numbers = if numbers.is_empty() { vec![1000] } else { numbers };
    if std::env::var_os("KUBEBUILDER_ASSETS").is_none() {
        println!("SKIPPED: needs KUBEBUILDER_ASSETS (tests/tools prints the folder)");
        return;
    }
    let peer = server::assets().is_some_and(|folder| folder.join("metallb-controller").exists());
    for number in numbers {
        println!("\n{number} Services");
        let floor = floor::run(number);
        floor.print("floor");
        let portolan = portolan(number);
        print_ratio("portolan", &portolan, &floor);
        if peer {
            print_ratio("metallb", &metallb(number), &floor);
        } else {
            println!("  metallb    SKIPPED: tests/tools could not build it");
        }
    }
}

fn print_ratio(who: &str, run: &Run, floor: &Run) {
    println!(
        "  {who:10} beside the floor: create to address, all {:.2}; alone {:.2}; CPU of the servers {:.2}",
        run.all.as_secs_f64() / floor.all.as_secs_f64(),
        run.alone().as_secs_f64() / floor.alone().as_secs_f64(),
        run.servers.as_secs_f64() / floor.servers.as_secs_f64(),
    );
}

fn portolan(number: usize) -> Run {
    let server = fresh("portolan");
    let world = World::new(server, "portolan");
    let pool = json!({
        "apiVersion": "portolan.dev/v1alpha1", "kind": "AddressPool", "metadata": {"name": "pool"}, "spec": {"addresses": [POOL]},
    });
    server.admin.create("/apis/portolan.dev/v1alpha1/addresspools", &pool);
    let setup = world.setup().configured(json!({"classes": [{"name": CLASS, "provider": "metal"}]}));
    for role in rights::pools_roles() {
        rights::store(&server.admin, &role).unwrap_or_else(|error| panic!("{error}"));
        rights::bind(&server.admin, &role, &json!({"kind": "User", "name": setup.user}));
        rights::wait_until_granted(&server.admin, &role, &json!({"user": setup.user}));
    }
    let started = std::cell::Cell::new(0);
    let measured = measure("portolan", &world, &setup.user, number, || {
        let controller = setup.start();
        started.set(started.get() + 1);
        begun(&controller, started.get());
        let process = controller.process.clone();
        // Its process is the measurement's from here on.
        std::mem::forget(controller);
        process
    });
    world.nobody_was_refused();
    assert_eq!(measured.restart, 0, "a restart writes nothing");
    server.stop();
    measured.run
}

fn metallb(number: usize) -> Run {
    let server = fresh("metallb");
    let world = World::new(server, "metallb");
    metallb::install(server, &[POOL]);
    let user = server.new_administrator();
    let kubeconfig = world.folder.join("metallb.kubeconfig");
    std::fs::write(&kubeconfig, server.kubeconfig(&user).to_string()).unwrap();
    let log = File::options().create(true).append(true).open(world.folder.join("metallb.log")).unwrap();
    let measured = measure("metallb", &world, &user, number, || {
        let mut command = metallb::controller(Some(CLASS));
        command.env("KUBECONFIG", &kubeconfig);
        command.stdout(log.try_clone().unwrap()).stderr(log.try_clone().unwrap());
        Process::spawn(&mut command).expect("tests/tools has built it")
    });
    server.stop();
    measured.run
}

struct Measured {
    run: Run,
    /// Writes of a restart.
    restart: usize,
}

fn measure(who: &str, world: &World, user: &str, number: usize, start: impl Fn() -> Process) -> Measured {
    let services: Api<Service> = Api::namespaced(api::client(&world.server.kubeconfig("admin")), &world.namespace);
    let mut tally = Tally::new(world.server, user);
    let process = start();
    let mut run = traffic::create_all(world.server, &services, CLASS, number);
    tally.settle();
    run.requests = tally.per(number + 1);
    let (memory, used) = (peak_memory(process.pid()), cpu(process.pid()));
    let sent = watch_to_status(&run, &tally);
    run.singles = traffic::create_singly(&services, CLASS, "single", SINGLES);
    run.print(who);
    println!("             {}", run.requests);
    let ms = |at: f64| quantile(&sent, at).as_secs_f64() * 1000.0;
    println!(
        "             a bare watch shows it, status is written after: p50 {:.1} ms, p99 {:.1} ms; {memory:.0} MB at most; CPU {:.2} ms a Service",
        ms(0.5),
        ms(0.99),
        used.as_secs_f64() * 1000.0 / number as f64,
    );
    tally.settle();
    let before = tally.writes;
    api::RUNTIME.block_on(services.delete("s0", &DeleteParams::default())).unwrap();
    tally.settle();
    let deletion = tally.writes - before;
    process.signal("TERM");
    assert!(process.wait(Duration::from_secs(30)).is_some(), "it ends in time");
    tally.settle();
    let before = tally.writes;
    let process = start();
    tally.settle();
    let restart = tally.writes - before;
    let waited = traffic::create_singly(&services, CLASS, "last", 1);
    println!(
        "             {deletion} writes for a deletion; {restart} for a restart, after which a new Service waits {:.2} s",
        waited[0].as_secs_f64(),
    );
    process.kill();
    Measured { run, restart }
}

/// How long after a bare watch has shown a Service its status was first written, sorted.
fn watch_to_status(run: &Run, tally: &Tally) -> Vec<Duration> {
    let of = |(name, shown): (&String, &std::time::SystemTime)| {
        Some(tally.published.get(name)?.duration_since(*shown).unwrap_or_default())
    };
    let mut all: Vec<Duration> = run.shown.iter().filter_map(of).collect();
    all.sort();
    all
}
