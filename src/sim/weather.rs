//! The weather of a schedule: which call meets which fault. Each spell counts the calls that it meets, so that leaving out one changes
//! nothing about the others.

use std::sync::atomic::{AtomicU64, Ordering};

use super::schedule::{Fault, Item, On, Weather, What};
use crate::cluster::random::Random;

/// What a call, or a line of a watch, is about.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    pub(super) method: http::Method,
    /// The plural of the kind.
    pub(super) resource: String,
    pub(super) path: String,
    /// One object, or all of a kind.
    pub(super) is_named: bool,
    pub(super) is_watch: bool,
    /// The next page of a list.
    pub(super) continues: bool,
}

impl Ask {
    pub(super) fn of(parts: &http::request::Parts) -> Self {
        let path = parts.uri.path().to_owned();
        let query = parts.uri.query().unwrap_or_default();
        let mut below = path.split('/').filter(|part| !part.is_empty());
        let skipped = if below.next() == Some("apis") { 2 } else { 1 };
        let mut below = below.skip(skipped).peekable();
        let mut resource = below.next().unwrap_or_default();
        if resource == "namespaces" && below.clone().count() >= 2 {
            resource = below.nth(1).unwrap_or_default();
        }
        let is_named = below.next().is_some();
        Self {
            method: parts.method.clone(),
            resource: resource.to_owned(),
            is_named,
            is_watch: query.contains("watch=true"),
            continues: query.contains("continue="),
            path,
        }
    }

    pub(super) fn is_write(&self) -> bool {
        self.method != http::Method::GET
    }

    fn is(&self, on: On) -> bool {
        let resource = match on {
            On::All => return true,
            On::Reads => return !self.is_write(),
            On::Writes => return self.is_write(),
            On::Services => "services",
            On::Records => "loadbalancerrecords",
            On::Slices => "endpointslices",
            On::Nodes => "nodes",
            On::Namespaces => "namespaces",
            On::Events => "events",
            On::Leases => "leases",
        };
        self.resource == resource
    }
}

/// All spells of a run.
pub(super) struct Sky {
    spells: Vec<Spell>,
}

struct Spell {
    from: u64,
    until: u64,
    weather: Weather,
    met: AtomicU64,
}

impl Sky {
    pub(super) fn of(items: &[Item]) -> Self {
        let spell = |item: &Item| match &item.what {
            What::Weather(weather) => Some(Spell {
                from: item.at,
                until: item.at + weather.lasts,
                weather: weather.clone(),
                met: AtomicU64::new(0),
            }),
            What::Edits(_) | What::Crash(_) | What::Compact(_) => None,
        };
        Self { spells: items.iter().filter_map(spell).collect() }
    }

    /// When all of it is over.
    pub(super) fn clears(&self) -> u64 {
        self.spells.iter().map(|spell| spell.until).max().unwrap_or(0)
    }

    /// No spell touches this time.
    pub(super) fn is_clear(&self, from: u64, until: u64) -> bool {
        self.spells.iter().all(|spell| spell.until < from || spell.from > until)
    }

    /// The faults that meet this call now.
    pub(super) fn meets(&self, now: u64, who: usize, ask: &Ask) -> Vec<Fault> {
        let spells = self.spells.iter().filter(|spell| spell.from <= now && now < spell.until);
        let spells =
            spells.filter(|spell| spell.weather.who.is_none_or(|only| only == who) && ask.is(spell.weather.on));
        spells.filter(|spell| spell.strikes()).map(|spell| spell.weather.fault).collect()
    }

    /// When nobody is there any more: now or next.
    pub(super) fn away(&self, now: u64, who: usize) -> Option<u64> {
        let away = |spell: &&Spell| spell.weather.fault == Fault::Away && now < spell.until;
        let spells = self.spells.iter().filter(away);
        let spells = spells.filter(|spell| spell.weather.who.is_none_or(|only| only == who));
        spells.map(|spell| spell.from.max(now)).min()
    }
}

impl Spell {
    fn strikes(&self) -> bool {
        if self.weather.fault == Fault::Away {
            return true;
        }
        let met = self.met.fetch_add(1, Ordering::Relaxed);
        Random::new(self.from ^ self.until.rotate_left(32) ^ met.rotate_left(16)).below(self.weather.one_in) == 0
    }
}
