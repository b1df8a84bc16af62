//! What came of all rounds of a move.

use std::fmt;
use std::time::Duration;

use crate::announcers::Announcer;
use crate::kinds::{ALL, Kind};
use crate::load::{self, Protocol, Stream, Tally};
use crate::portolan::Portolan;

/// One line of the table.
pub(crate) struct Row {
    announcer: &'static str,
    pub(crate) kind: &'static Kind,
    /// How often it happened.
    times: usize,
    requests: usize,
    /// Connections that were not made.
    tcp: usize,
    /// Datagrams without an answer.
    udp: usize,
    /// The same from who asked the LAN first.
    anew: usize,
    /// Connections that were made and broke.
    broken: usize,
    gap: Duration,
}

impl Row {
    pub(crate) fn new(announcer: &'static str, kind: &'static Kind) -> Self {
        Self { announcer, kind, times: 0, requests: 0, tcp: 0, udp: 0, anew: 0, broken: 0, gap: Duration::ZERO }
    }

    /// It happened so often, and what clients saw of it.
    pub(crate) fn add(&mut self, times: usize, seen: Vec<(Stream, Tally)>) {
        self.times += times;
        for (stream, tally) in seen {
            self.requests += tally.0.len();
            let unreached = match stream.kind {
                load::Kind::Known(Protocol::Tcp) => &mut self.tcp,
                load::Kind::Known(Protocol::Udp) => &mut self.udp,
                load::Kind::Anew => &mut self.anew,
            };
            *unreached += tally.unreached().len();
            self.broken += tally.broken().len();
            self.gap = self.gap.max(tally.longest_outage());
            if !tally.unreached().is_empty() {
                println!("    {} {}: {stream}: {}", self.announcer, self.kind.name, tally.summary());
            }
        }
    }

    /// Portolan promises that planned moves fail nothing.
    pub(crate) fn breaks_the_promise(&self) -> bool {
        self.announcer == Portolan::NAME && self.kind.planned && self.tcp + self.udp + self.anew > 0
    }
}

const HEAD: &str = "move                             | of       | times | requests | TCP not made | \
    UDP unanswered | after asking the LAN | broken | longest gap";

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:32} | {:8} | {:5} | {:8} | {:12} | {:14} | {:20} | {:6} | {:8} ms",
            self.kind.name,
            self.announcer,
            self.times,
            self.requests,
            self.tcp,
            self.udp,
            self.anew,
            self.broken,
            self.gap.as_millis(),
        )
    }
}

/// By move, those of one beside those of the other.
pub(crate) fn print(rows: &[Row], rounds: usize) {
    println!("\n{rounds} rounds\n{HEAD}");
    for kind in &ALL {
        rows.iter().filter(|row| row.kind == kind).for_each(|row| println!("{row}"));
    }
}
