//! Which cases run, one after the other since they share the cluster, and what is said of them: in the words of Rust's own test runner,
//! so that whoever reads those reads these.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::Instant;

use crate::cases;
use crate::cluster::Lab;

/// A rule and how it is proven.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) run: fn(&'static Lab),
}

/// Runs the cases whose names contain one of the arguments; all without. `--list` lists them; `--skip WORD` leaves out; other flags of Rust's runner say nothing here.
pub(crate) fn run(arguments: &[String]) -> ExitCode {
    let chosen = chosen(arguments);
    if arguments.iter().any(|argument| argument == "--list") {
        chosen.iter().for_each(|case| println!("{}: test", case.name));
        return ExitCode::SUCCESS;
    }
    println!("\nrunning {} tests", chosen.len());
    if chosen.is_empty() {
        return report(0, &[]);
    }
    let started = Instant::now();
    let lab = Lab::build();
    println!("the lab stands after {:.1} s", started.elapsed().as_secs_f64());
    let mut failed = Vec::new();
    for case in &chosen {
        let started = Instant::now();
        let ran = || {
            (case.run)(lab);
            lab.is_well();
        };
        let passed = catch_unwind(AssertUnwindSafe(ran)).is_ok();
        let verdict = if passed { "ok" } else { "FAILED" };
        println!("test {} ... {verdict} ({:.1} s)", case.name, started.elapsed().as_secs_f64());
        if !passed {
            failed.push(case.name);
        }
        lab.tidy();
    }
    report(chosen.len(), &failed)
}

/// Says that there can be no lab here, and why: nothing has failed.
pub(crate) fn skipped(reason: &str) -> ExitCode {
    println!("SKIPPED: the lab: {reason}");
    println!("\ntest result: ok. 0 passed; 0 failed; {} ignored; 0 measured; 0 filtered out", cases::ALL.len());
    ExitCode::SUCCESS
}

fn chosen(arguments: &[String]) -> Vec<&'static Case> {
    let (mut wanted, mut skipped) = (Vec::new(), Vec::new());
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "--skip" => skipped.extend(rest.next()),
            flag if flag.starts_with('-') => {}
            _ => wanted.push(argument),
        }
    }
    let names = |words: &[&String], case: &Case| words.iter().any(|word| case.name.contains(word.as_str()));
    cases::ALL.iter().filter(|case| (wanted.is_empty() || names(&wanted, case)) && !names(&skipped, case)).collect()
}

fn report(ran: usize, failed: &[&str]) -> ExitCode {
    if !failed.is_empty() {
        println!("\nfailures:\n    {}", failed.join("\n    "));
    }
    let verdict = if failed.is_empty() { "ok" } else { "FAILED" };
    let filtered = cases::ALL.len() - ran;
    println!(
        "\ntest result: {verdict}. {} passed; {} failed; 0 ignored; 0 measured; {filtered} filtered out",
        ran - failed.len(),
        failed.len()
    );
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
