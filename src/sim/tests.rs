use super::grammar::Grammar;
use super::program::failures;

/// How many schedules every run of the tests plays.
const SEEDS: u64 = 200;

#[test]
fn every_schedule_keeps_the_laws_and_ends_as_it_must() {
    let grammar = Grammar::read();
    let failed = failures(&grammar, 0, SEEDS, None, |failure| println!("seed {}: {}", failure.seed, failure.why));
    println!("{SEEDS} schedules");
    let first = failed.first().map(|failure| failure.text(&grammar, None, true));
    assert!(failed.is_empty(), "{} of {SEEDS} failed, the first:\n{}", failed.len(), first.unwrap_or_default());
}
