//! Sequences of edits at random: whatever users, the cluster, the provider and the controller's process have been through, the end is
//! what the last manifests alone would have come to.
//!
//! A sequence is drawn from `testdata/edits`, in the words of a golden case: every field of a Service, EndpointSlices, Nodes, the status
//! and the record edited by hand, faults, restarts. Some of it is seen edit by edit, some only as what it comes to, some in the middle of
//! a pass. In the end all faults are over and everything has settled; then hold, for every sequence:
//!
//! - a second controller on the same manifests, in a world where nothing has ever happened, ends in the same place: provider, status,
//!   finalizers and records, nothing more and nothing less. What may differ and why is listed in [`look`], and nowhere else;
//! - conditions of others are as they left them;
//! - a status that is then blanked or forged once more is put right, to the letter;
//! - a restart writes nothing.
//!
//! A sequence that fails is cut down to the edits that it takes and printed as the documents of a golden case. To replay it whole:
//! `PORTOLAN_EDITS_SEED=N cargo test -p portolan --lib golden::edits`. `PORTOLAN_EDITS_SEQUENCES` says how many are played, from
//! `PORTOLAN_EDITS_SEED` on if that is given too.

mod end;
mod history;
mod look;

use serde_json::Value;

use super::journal::Journal;
use crate::sim::grammar::Grammar;
use crate::sim::shrink::shortest;
use crate::yaml;

/// How many sequences.
const SEQUENCES: u64 = 1_000;

#[test]
fn whatever_was_edited_before_the_end_is_that_of_a_fresh_apply() {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let sequences = number("PORTOLAN_EDITS_SEQUENCES");
    let seeds = match number("PORTOLAN_EDITS_SEED") {
        Some(first) => first..first + sequences.unwrap_or(1),
        None => 0..sequences.unwrap_or(SEQUENCES),
    };
    let grammar = Grammar::read();
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let failed: Vec<String> = std::thread::scope(|scope| {
        let shares: Vec<_> = (0..threads)
            .map(|share| seeds.clone().skip(share).step_by(threads))
            .map(|mut seeds| (&grammar, seeds.by_ref().collect::<Vec<_>>()))
            .map(|(grammar, seeds)| scope.spawn(move || seeds.into_iter().find_map(|seed| failure(grammar, seed))))
            .collect();
        shares.into_iter().filter_map(|share| share.join().expect("a sequence panicked; above is where")).collect()
    });
    println!("{} sequences of edits", seeds.end - seeds.start);
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
}

/// Why the sequence of this seed does not end as it must, and the shortest way there.
fn failure(grammar: &Grammar, seed: u64) -> Option<String> {
    let _replay = Replay(seed);
    let edits = grammar.sequence(seed);
    play(grammar, &edits, seed).err()?;
    let edits = shortest(edits, |edits| play(grammar, edits, seed).is_err());
    let why = play(grammar, &edits, seed).err()?;
    let documents: Vec<String> = edits.iter().map(|edit| yaml::to_string(edit).unwrap()).collect();
    Some(format!("PORTOLAN_EDITS_SEED={seed}: {why}\nafter these edits:\n{}", documents.join("---\n")))
}

/// Plays a sequence in a world of its own, and looks at its end. `seed` draws how the status is forged there.
fn play(grammar: &Grammar, edits: &[Value], seed: u64) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let mut history = history::History::begin(grammar, Journal::default()).await;
        for edit in edits {
            history.play(edit).await;
        }
        end::end(history, grammar, seed).await
    })
}

/// Says how to replay the sequence that panics.
struct Replay(u64);

impl Drop for Replay {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("replay with PORTOLAN_EDITS_SEED={}", self.0);
        }
    }
}
