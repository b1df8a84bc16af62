//! The program `portolan-sim`: any number of seeds on all cores, one schedule again, or the planted bugs.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use clap::Parser;

use super::draw::draw;
use super::grammar::Grammar;
use super::run::run;
use super::schedule::Schedule;
use super::shrink;
use crate::planted::Bug;

#[derive(Debug, Parser)]
#[command(name = "portolan-sim", about = "The whole controller on simulated time, faults from a seed")]
struct Arguments {
    /// How many seeds.
    #[arg(long, default_value_t = 200)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 0)]
    start: u64,
    /// Plays the schedule of this file instead.
    #[arg(long, value_name = "FILE")]
    replay: Option<PathBuf>,
    /// Prints all that was done.
    #[arg(long)]
    trace: bool,
    /// Prints the schedule of the first seed, and plays nothing.
    #[arg(long)]
    print: bool,
    /// Plants this bug (`all`: one after the other), and says which of the seeds finds it first: docs/simulation.md.
    #[arg(long, value_name = "BUG")]
    planted: Option<String>,
    /// Leaves failing schedules as they are, which is quicker.
    #[arg(long)]
    no_shrink: bool,
}

/// Runs what the arguments say. Failures are on standard output, each with its seed and its schedule.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let grammar = Grammar::read();
    let bugs = arguments.planted.as_deref().map(bugs);
    if let Some(file) = &arguments.replay {
        let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let schedule = Schedule::parse(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let bug = bugs.as_ref().and_then(|bugs| bugs.first().copied());
        return played(&grammar, &schedule, bug, arguments.trace);
    }
    if arguments.print {
        print!("{}", draw(&grammar, arguments.start).text());
        return ExitCode::SUCCESS;
    }
    if let Some(bugs) = bugs {
        return found(&grammar, &arguments, &bugs);
    }
    if arguments.seeds == 1 {
        return played(&grammar, &draw(&grammar, arguments.start), None, arguments.trace);
    }
    let failures = failures(&grammar, arguments.start, arguments.seeds, |failure| {
        println!("{}", failure.text(&grammar, None, !arguments.no_shrink));
    });
    let failed = failures.len() as u64;
    println!(
        "{} seeds from {}: {} passed, {failed} failed",
        arguments.seeds,
        arguments.start,
        arguments.seeds - failed
    );
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The planted bug of this name, or all.
fn bugs(name: &str) -> Vec<Bug> {
    let named = Bug::ALL.into_iter().filter(|bug| name == "all" || format!("{bug:?}") == name);
    let named: Vec<Bug> = named.collect();
    assert!(!named.is_empty(), "no bug is called {name}; those that are: {:?}", Bug::ALL);
    named
}

fn played(grammar: &Grammar, schedule: &Schedule, bug: Option<Bug>, trace: bool) -> ExitCode {
    let run = run(grammar, schedule, bug);
    if trace {
        println!("{}", run.journal.join("\n"));
    }
    match run.failure {
        None => {
            println!("all laws hold");
            ExitCode::SUCCESS
        }
        Some(why) => {
            println!("{why}");
            ExitCode::FAILURE
        }
    }
}

/// Says of each bug which seed finds it first. A bug that none finds is a failure.
fn found(grammar: &Grammar, arguments: &Arguments, bugs: &[Bug]) -> ExitCode {
    let mut missed = 0;
    for bug in bugs {
        let first = first(grammar, arguments.start, arguments.seeds, *bug);
        match first {
            Some(failure) => println!("{bug:?}: {}", failure.text(grammar, Some(*bug), !arguments.no_shrink)),
            None => {
                missed += 1;
                println!("{bug:?}: none of {} seeds finds it", arguments.seeds);
            }
        }
    }
    println!("{} of {} planted bugs found", bugs.len() - missed, bugs.len());
    if missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A seed that failed.
pub(super) struct Failure {
    pub(super) seed: u64,
    pub(super) why: String,
}

impl Failure {
    /// For people: what is needed of the schedule, and how to see it again.
    pub(super) fn text(&self, grammar: &Grammar, bug: Option<Bug>, shrunk: bool) -> String {
        let Self { seed, why } = self;
        let mut schedule = draw(grammar, *seed);
        if shrunk {
            schedule = shortest(grammar, &schedule, bug);
        }
        format!(
            "seed {seed}: {why}\n{}replay with `portolan-sim --replay FILE`, the lines above in it\n",
            schedule.text()
        )
    }
}

/// What of a failing schedule is needed for a failure of the same kind.
pub(super) fn shortest(grammar: &Grammar, schedule: &Schedule, bug: Option<Bug>) -> Schedule {
    let with = |items: &[_]| Schedule { items: items.to_vec(), ..schedule.clone() };
    let kind =
        |why: &str| -> String { why.chars().filter(|one| one.is_alphabetic() || *one == ' ').take(24).collect() };
    let Some(why) = run(grammar, schedule, bug).failure else { return schedule.clone() };
    let fails = |items: &[_]| run(grammar, &with(items), bug).failure.is_some_and(|other| kind(&other) == kind(&why));
    with(&shrink::shortest(schedule.items.clone(), fails))
}

/// The first of these seeds that finds a bug: all cores look, none beyond what another has found.
fn first(grammar: &Grammar, start: u64, seeds: u64, bug: Bug) -> Option<Failure> {
    let found: Mutex<Option<Failure>> = Mutex::new(None);
    on_all_cores(start, seeds, |seed| {
        if found.lock().unwrap().as_ref().is_some_and(|found| found.seed < seed) {
            return false;
        }
        if let Some(why) = run(grammar, &draw(grammar, seed), Some(bug)).failure {
            let mut found = found.lock().unwrap();
            if found.as_ref().is_none_or(|found| seed < found.seed) {
                *found = Some(Failure { seed, why });
            }
        }
        true
    });
    found.into_inner().unwrap()
}

/// Plays these seeds on all cores; those that fail, in order. Each is told as it is found.
pub(super) fn failures(grammar: &Grammar, start: u64, seeds: u64, tell: impl Fn(&Failure) + Sync) -> Vec<Failure> {
    let failed = Mutex::new(Vec::new());
    on_all_cores(start, seeds, |seed| {
        if let Some(why) = run(grammar, &draw(grammar, seed), None).failure {
            let failure = Failure { seed, why };
            tell(&failure);
            failed.lock().unwrap().push(failure);
        }
        true
    });
    let mut failed = failed.into_inner().unwrap();
    failed.sort_by_key(|failure| failure.seed);
    failed
}

/// Takes these one after the other, each core its own, until one has had enough of it.
fn on_all_cores(start: u64, seeds: u64, take: impl Fn(u64) -> bool + Sync) {
    let next = AtomicU64::new(start);
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= start + seeds || !take(seed) {
                        return;
                    }
                }
            });
        }
    });
}
