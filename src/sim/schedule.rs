//! A schedule: what happens when, as data. It can be printed, read back, and cut down; nothing else decides how a run goes.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::yaml;

/// What happens in one run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Schedule {
    /// Draws what is nobody's trouble: how long calls take, the controllers' own jitter.
    pub(crate) seed: u64,
    /// Who runs.
    pub(crate) controllers: Controllers,
    /// In the order of time.
    pub(crate) items: Vec<Item>,
}

/// Which controllers run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Controllers {
    /// One, without an election.
    One,
    /// Two that stand for election.
    TwoElected,
    /// Two that both act: safety must not rest on leadership.
    TwoActing,
}

impl Controllers {
    pub(crate) fn count(self) -> usize {
        match self {
            Self::One => 1,
            Self::TwoElected | Self::TwoActing => 2,
        }
    }
}

/// Something that happens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Item {
    /// When, in milliseconds since the start.
    pub(crate) at: u64,
    /// What.
    #[serde(flatten)]
    pub(crate) what: What,
}

/// What happens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum What {
    /// Documents of `testdata/edits`, all at once.
    Edits(Vec<Value>),
    /// For a while calls to the API server fare badly.
    Weather(Weather),
    /// A controller dies at a call of its own.
    Crash(Crash),
    /// The API server forgets its history.
    Compact(Nothing),
}

/// Content of what has none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Nothing {}

/// A fault of the API server, or of the way there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Weather {
    /// For how long, in milliseconds.
    pub(crate) lasts: u64,
    /// Only this controller meets it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) who: Option<usize>,
    /// Which calls meet it.
    pub(crate) on: On,
    /// One call in so many, or line of a watch, is hit.
    pub(crate) one_in: u64,
    /// What happens to it.
    pub(crate) fault: Fault,
}

/// Which calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum On {
    All,
    Reads,
    Writes,
    Services,
    Records,
    Slices,
    Nodes,
    Namespaces,
    Events,
    Leases,
}

/// What happens to a call. Times are in milliseconds, unless they are called otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Fault {
    /// It takes up to so much longer.
    Slow(u64),
    /// 409, for writes.
    Conflict,
    /// 410, for lists that continue and watches that begin.
    Gone,
    /// 429 with a Retry-After of so many seconds.
    Busy(u32),
    /// 401.
    Unauthorized,
    /// 403.
    Forbidden,
    /// 500 or 503 without effect.
    FailBefore,
    /// 500 or 504 although it has had its effect.
    FailAfter,
    /// The connection is lost before the call arrives.
    CutBefore,
    /// The connection is lost before the answer arrives.
    CutAfter,
    /// No answer ever, no effect.
    HangBefore,
    /// No answer ever, but an effect.
    HangAfter,
    /// Nobody is there: no call arrives, and no watch stays.
    Away,
    /// A watch's connection ends before a line.
    WatchEnds,
    /// A watch's connection ends in the middle of a line.
    WatchTruncated,
    /// A watch falls silent before a line.
    WatchSilent,
    /// A watch is told that its version has expired, instead of a line.
    WatchExpired,
    /// A watch gets something that is no event, instead of a line.
    WatchGarbage,
    /// A watch gets lines so much later, and only the last of several about an object.
    WatchCoalesced(u64),
    /// Watches and lists that may be served from a cache are, by a replica that is so much behind.
    Stale(u64),
}

impl Fault {
    /// Who meets it is told late, or not at all, what has changed.
    pub(crate) fn keeps_news(self) -> bool {
        match self {
            Self::Gone
            | Self::Away
            | Self::HangBefore
            | Self::WatchEnds
            | Self::WatchTruncated
            | Self::WatchSilent
            | Self::WatchExpired
            | Self::WatchGarbage
            | Self::WatchCoalesced(_)
            | Self::Stale(_) => true,
            Self::Slow(_)
            | Self::Conflict
            | Self::Busy(_)
            | Self::Unauthorized
            | Self::Forbidden
            | Self::FailBefore
            | Self::FailAfter
            | Self::CutBefore
            | Self::CutAfter
            | Self::HangAfter => false,
        }
    }
}

/// A controller dies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Crash {
    /// Which.
    pub(crate) who: usize,
    /// At which of its calls from then on, to the API server or the provider, counted from 1.
    pub(crate) call: u64,
    /// When in the call.
    pub(crate) moment: Moment,
    /// It starts again so many milliseconds later.
    pub(crate) down: u64,
}

/// When in a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Moment {
    /// Before it has any effect.
    Before,
    /// After it has had its effect, before anybody learns of it.
    After,
}

impl Schedule {
    /// As it is kept in a file.
    pub(crate) fn text(&self) -> String {
        yaml::to_string(self).unwrap()
    }

    /// From a file.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let document = yaml::documents(text).map_err(|error| error.to_string())?.into_iter().next();
        serde_json::from_value(document.ok_or("there is no document")?).map_err(|error| error.to_string())
    }
}
