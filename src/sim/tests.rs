//! What every run of the tests plays, and that it bites.

use std::fs;
use std::path::{Path, PathBuf};

use super::draw::draw;
use super::grammar::Grammar;
use super::program::failures;
use super::run::run;
use super::schedule::Schedule;
use crate::planted::Bug;

/// How many schedules every run of the tests plays; `PORTOLAN_SIM_SEEDS` says otherwise.
const SEEDS: u64 = 200;

#[test]
fn every_schedule_keeps_the_laws_and_ends_as_it_must() {
    let grammar = Grammar::read();
    let seeds = std::env::var("PORTOLAN_SIM_SEEDS").map_or(SEEDS, |text| text.parse().unwrap());
    let failed = failures(&grammar, 0, seeds, |failure| println!("seed {}: {}", failure.seed, failure.why));
    println!("{seeds} schedules");
    let first = failed.first().map(|failure| failure.text(&grammar, None, true));
    assert!(failed.is_empty(), "{} of {seeds} failed, the first:\n{}", failed.len(), first.unwrap_or_default());
}

#[test]
fn a_schedule_that_was_printed_gives_the_same_run_again() {
    let grammar = Grammar::read();
    for seed in 0..12 {
        let schedule = draw(&grammar, seed);
        let again = Schedule::parse(&schedule.text()).unwrap();
        assert_eq!(again, schedule);
        let (one, other) = (run(&grammar, &schedule, None), run(&grammar, &again, None));
        assert!(!one.journal.is_empty());
        let differ = one.journal.iter().zip(&other.journal).find(|(one, other)| one != other);
        assert_eq!((differ, one.journal.len()), (None, other.journal.len()), "seed {seed}");
    }
}

#[test]
fn what_once_failed_does_not_fail_any_more() {
    let grammar = Grammar::read();
    let kept = files(&seeds());
    for (name, schedule) in &kept {
        assert_eq!(run(&grammar, schedule, None).failure, None, "{name}");
    }
    println!("{} schedules that once failed", kept.len());
    assert!(!kept.is_empty());
}

#[test]
fn every_planted_bug_is_found_and_nothing_is_found_without_it() {
    let grammar = Grammar::read();
    let kept = files(&seeds().join("planted"));
    for bug in Bug::ALL {
        let (_, schedule) =
            kept.iter().find(|(name, _)| *name == format!("{bug:?}")).unwrap_or_else(|| panic!("{bug:?}"));
        assert!(run(&grammar, schedule, Some(bug)).failure.is_some(), "{bug:?} is not found");
        assert_eq!(run(&grammar, schedule, None).failure, None, "{bug:?} is found although it is not there");
    }
    assert_eq!(kept.len(), Bug::ALL.len());
}

fn seeds() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/seeds")
}

/// The schedules of a folder, by name.
fn files(folder: &Path) -> Vec<(String, Schedule)> {
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = paths.filter(|path| path.is_file()).collect();
    files.sort();
    let read = |path: PathBuf| {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let schedule = Schedule::parse(&fs::read_to_string(&path).unwrap());
        let schedule = schedule.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        (name, schedule)
    };
    files.into_iter().map(read).collect()
}
