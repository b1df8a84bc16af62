//! Runs a case on the server of this run, or says that it did not, and writes down what became of it.

use std::any::type_name_of_val;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Instant;

use crate::harness::World;
use crate::server::{Missing, Server, Which};

/// Runs the case on both servers, in a [`World`] of its own; on the real one beside Kubernetes' own controllers and a cloud's.
pub(crate) fn both(case: impl FnOnce(&World)) {
    run(&name(&case), On::Both, Server::shared, case);
}

/// Runs the case on both servers, in a [`World`] of its own on a server where Portolans are the only controllers.
pub(crate) fn without_neighbours(case: impl FnOnce(&World)) {
    run(&name(&case), On::Both, Server::without_neighbours, case);
}

/// Runs the case on both servers, in a [`World`] of its own on the server that `server` names.
pub(crate) fn both_on(server: fn() -> Option<&'static Server>, case: impl FnOnce(&World)) {
    run(&name(&case), On::Both, server, case);
}

/// Runs the case on the real server alone, beside Kubernetes' own controllers and a cloud's.
pub(crate) fn real(case: impl FnOnce(&World)) {
    run(&name(&case), On::Real, Server::shared, case);
}

/// Runs the case on the real server alone, where Portolans are the only controllers.
pub(crate) fn real_without_neighbours(case: impl FnOnce(&World)) {
    run(&name(&case), On::Real, Server::without_neighbours, case);
}

/// The servers that a case is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum On {
    Both,
    Real,
}

/// `CASE<TAB>REASON`, a line for each case that runs on one server only.
const ONE_SERVER_ONLY: &str = include_str!("../../testdata/one-server-only.txt");

/// The case's module and name.
fn name<C: FnOnce(&World)>(case: &C) -> String {
    type_name_of_val(case).trim_start_matches("suite::").trim_end_matches("::{{closure}}").to_owned()
}

fn run(name: &str, on: On, server: fn() -> Option<&'static Server>, case: impl FnOnce(&World)) {
    let started = Instant::now();
    let skipped = |missing: &str| {
        say(&format!("SKIPPED: needs {missing}: {name}"));
        "skipped"
    };
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        agrees_with_the_file(name, on);
        if on == On::Real && Which::chosen() == Which::Sandbox {
            return "elsewhere";
        }
        let Some(server) = server() else {
            return skipped("KUBEBUILDER_ASSETS (tests/run sets it)");
        };
        let world = World::new(server, name);
        case(&world);
        world.nobody_was_refused();
        "passed"
    }));
    let outcome = outcome.or_else(|panic| match panic.downcast_ref() {
        Some(Missing(program)) => Ok(skipped(program)),
        None => Err(panic),
    });
    record(outcome.as_ref().unwrap_or(&"failed"), name, started.elapsed().as_secs_f64());
    if let Err(panic) = outcome {
        resume_unwind(panic);
    }
}

/// Fails unless the file lists the case if, and only if, it is for one server.
fn agrees_with_the_file(name: &str, on: On) {
    let line = ONE_SERVER_ONLY.lines().find(|line| line.split('\t').next() == Some(name));
    let reason = line.map(|line| line.split_once('\t').map_or("", |(_, reason)| reason.trim()));
    match (on, reason) {
        (On::Both, None) => {}
        (On::Real, Some(reason)) => assert!(!reason.is_empty(), "testdata/one-server-only.txt: {name}: no reason"),
        (On::Both, Some(_)) => panic!("testdata/one-server-only.txt lists {name}, which is for both servers"),
        (On::Real, None) => panic!("testdata/one-server-only.txt does not list {name}, nor say why it is for one"),
    }
}

/// Prints a line that is worth reading although the case passes. (Not `println`, which the test runner swallows then.)
pub(crate) fn say(line: &str) {
    let _ = std::io::stderr().write_all(format!("{line}\n").as_bytes());
}

/// One line a case, `outcome<TAB>name<TAB>seconds`, in the file that `tests/run` counts from. The outcome is `passed`, `failed`,
/// `skipped` (its server is not there) or `elsewhere` (the case is for the other server).
fn record(outcome: &str, name: &str, seconds: f64) {
    let Some(file) = std::env::var_os("PORTOLAN_SUITE_CASES") else { return };
    let mut file =
        std::fs::OpenOptions::new().append(true).create(true).open(file).expect("PORTOLAN_SUITE_CASES can be written");
    // One write, so that lines of parallel cases never mix.
    file.write_all(format!("{outcome}\t{name}\t{seconds:.1}\n").as_bytes())
        .expect("PORTOLAN_SUITE_CASES can be written");
}
