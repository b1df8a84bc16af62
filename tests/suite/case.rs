//! Runs a case on the real server, or says loudly that it did not, and writes down which of the two it was.

use std::any::type_name_of_val;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Instant;

use crate::harness::World;
use crate::server::Server;

/// Runs the case in a [`World`] of its own, beside Kubernetes' own controllers and a cloud's.
pub(crate) fn real(case: impl FnOnce(&World)) {
    run(Server::shared(), case);
}

/// Runs the case in a [`World`] of its own on a server where Portolans are the only controllers.
pub(crate) fn without_neighbours(case: impl FnOnce(&World)) {
    run(Server::without_neighbours(), case);
}

fn run(server: Option<&'static Server>, case: impl FnOnce(&World)) {
    let name = type_name_of_val(&case).trim_start_matches("suite::").trim_end_matches("::{{closure}}").to_owned();
    let Some(server) = server else {
        say(&format!("SKIPPED: needs KUBEBUILDER_ASSETS (tests/run sets it): {name}"));
        record("skipped", &name, 0.0);
        return;
    };
    let started = Instant::now();
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let world = World::new(server, &name);
        case(&world);
        world.nobody_was_refused();
    }));
    record(if outcome.is_ok() { "passed" } else { "failed" }, &name, started.elapsed().as_secs_f64());
    if let Err(panic) = outcome {
        resume_unwind(panic);
    }
}

/// Prints a line that is worth reading although the case passes. (Not `println`, which the test runner swallows then.)
pub(crate) fn say(line: &str) {
    let _ = std::io::stderr().write_all(format!("{line}\n").as_bytes());
}

/// One line a case, `outcome<TAB>name<TAB>seconds`, in the file that `tests/run` counts from.
fn record(outcome: &str, name: &str, seconds: f64) {
    let Some(file) = std::env::var_os("PORTOLAN_SUITE_CASES") else { return };
    let mut file =
        std::fs::OpenOptions::new().append(true).create(true).open(file).expect("PORTOLAN_SUITE_CASES can be written");
    // One write, so that lines of parallel cases never mix.
    file.write_all(format!("{outcome}\t{name}\t{seconds:.1}\n").as_bytes())
        .expect("PORTOLAN_SUITE_CASES can be written");
}
