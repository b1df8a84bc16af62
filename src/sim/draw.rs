//! A schedule from a seed.

use serde_json::Value;

use super::grammar::{Grammar, of_the_other};
use super::schedule::{Controllers, Crash, Fault, Item, Moment, On, Schedule, Weather, What};
use crate::cluster::random::Random;

const SECOND: u64 = 1_000;
const HOUR: u64 = 3_600 * SECOND;

/// The most edits of one schedule.
const EDITS: u64 = 14;
/// The most spells of bad weather.
const SPELLS: u64 = 5;
/// The most crashes.
const CRASHES: u64 = 3;

/// The schedule of this seed.
pub(crate) fn draw(grammar: &Grammar, seed: u64) -> Schedule {
    let mut random = Random::new(seed.wrapping_mul(0x2545_F491_4F6C_DD1D)); // neighbouring seeds share nothing
    let random = &mut random;
    let controllers = match random.below(10) {
        0..=5 => Controllers::One,
        6..=7 => Controllers::TwoElected,
        _ => Controllers::TwoActing,
    };
    let mut items = Vec::new();
    let mut at = 2 * SECOND;
    for _ in 0..1 + random.below(EDITS) {
        let edits = grammar.edit(random);
        let other = random.below(6) == 0;
        let edits = edits.into_iter().map(|edit| if other { of_the_other(&edit) } else { edit });
        let edits: Vec<Value> = edits.filter(|edit| controllers == Controllers::One || !switches(edit)).collect();
        if !edits.is_empty() {
            items.push(Item { at, what: What::Edits(edits) });
        }
        at += pause(random);
    }
    // Trouble comes at any time, and above all when there is something to do.
    let span = at + 5 * SECOND;
    let edited: Vec<u64> = items.iter().map(|item| item.at).chain([0]).collect();
    let beside = |random: &mut Random| {
        edited[random.below(edited.len() as u64) as usize].saturating_sub(random.below(SECOND / 2))
    };
    let sometime = |random: &mut Random| match random.below(3) {
        0 => random.below(span),
        _ => beside(random),
    };
    for _ in 0..random.below(SPELLS + 1) {
        let weather = weather(random, controllers);
        // A conflict needs a write, of which there are few, and none but after an edit.
        let at = if weather.fault == Fault::Conflict { beside(random) } else { sometime(random) };
        // What one misses is worst if it is forgotten meanwhile.
        if weather.fault.keeps_news() && random.below(2) == 0 {
            items.push(Item { at: at + random.below(weather.lasts + SECOND), what: What::Compact(Default::default()) });
        }
        items.push(Item { at, what: What::Weather(weather) });
    }
    for _ in 0..random.below(CRASHES + 1) {
        let crash = Crash {
            who: random.below(controllers.count() as u64) as usize,
            call: 1 + random.below(40),
            moment: if random.below(2) == 0 { Moment::Before } else { Moment::After },
            down: [0, random.below(3 * SECOND), random.below(90 * SECOND)][random.below(3) as usize],
        };
        items.push(Item { at: sometime(random), what: What::Crash(crash) });
    }
    items.sort_by_key(|item| item.at);
    Schedule { seed, controllers, items }
}

/// Another configuration: two controllers always have the same.
fn switches(edit: &Value) -> bool {
    edit["$up"].is_string()
}

/// How long nothing is done: nothing, some calls, some passes, or until all is quiet.
fn pause(random: &mut Random) -> u64 {
    match random.below(10) {
        0..=2 => 0,
        3..=4 => random.below(200),
        5..=7 => random.below(8 * SECOND),
        8 => 10 * SECOND + random.below(60 * SECOND),
        _ => 100 * SECOND + random.below(100 * SECOND),
    }
}

fn weather(random: &mut Random, controllers: Controllers) -> Weather {
    let on = match random.below(14) {
        0..=4 => On::All,
        5 => On::Reads,
        6..=7 => On::Writes,
        8..=9 => On::Services,
        10..=11 => On::Records,
        12 => [On::Slices, On::Nodes, On::Namespaces, On::Events][random.below(4) as usize],
        _ => On::Leases,
    };
    let fault = match random.below(25) {
        0 => Fault::Slow(random.below(2 * SECOND)),
        1 => Fault::Slow(random.below(40 * SECOND)),
        2 | 20..=21 => Fault::Conflict,
        3 => Fault::Gone,
        4 | 22..=23 => Fault::Busy(1 + random.below(20) as u32),
        5 => Fault::Unauthorized,
        6 => Fault::Forbidden,
        7 => Fault::FailBefore,
        8..=9 => Fault::FailAfter,
        10 => Fault::CutBefore,
        11 => Fault::CutAfter,
        12 => Fault::HangBefore,
        13 => Fault::HangAfter,
        14 => Fault::WatchEnds,
        15 => Fault::WatchTruncated,
        16 => Fault::WatchSilent,
        17 => Fault::WatchExpired,
        18 => [Fault::WatchGarbage, Fault::Away][random.below(2) as usize],
        19 => Fault::WatchCoalesced(random.below(20 * SECOND)),
        _ => Fault::Stale(random.below(60 * SECOND)),
    };
    let lasts = match (fault, random.below(8)) {
        (Fault::Away, 0..=2) => HOUR,
        (_, 0..=2) => random.below(2 * SECOND),
        (_, 3..=6) => random.below(20 * SECOND),
        (_, _) => random.below(180 * SECOND),
    };
    let one = controllers != Controllers::One && random.below(3) > 0;
    let who = one.then(|| random.below(controllers.count() as u64) as usize);
    let on = match fault {
        Fault::Away => On::All,
        // Only writes conflict, and those of records are the fewest.
        Fault::Conflict => [On::Writes, On::Services, On::Records, On::Records][random.below(4) as usize],
        Fault::Slow(_)
        | Fault::Gone
        | Fault::Busy(_)
        | Fault::Unauthorized
        | Fault::Forbidden
        | Fault::FailBefore
        | Fault::FailAfter
        | Fault::CutBefore
        | Fault::CutAfter
        | Fault::HangBefore
        | Fault::HangAfter
        | Fault::WatchEnds
        | Fault::WatchTruncated
        | Fault::WatchSilent
        | Fault::WatchExpired
        | Fault::WatchGarbage
        | Fault::WatchCoalesced(_)
        | Fault::Stale(_) => on,
    };
    Weather { lasts, who, on, one_in: [1, 1, 2, 3, 5][random.below(5) as usize], fault }
}
