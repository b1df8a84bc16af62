//! Watches: a position in the history that follows it. Nothing is queued for a watch, so nothing is dropped; one that lags behind
//! the history ends with a 410, as on the real server (`k8s.io/apiserver/pkg/storage/cacher`).

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream;
use http::Response;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use portolan_core::time::Time;
use serde_json::{Value, json};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};

use super::bookmark::bookmark;
use super::form::{Form, Rows};
use super::read::shown;
use super::refused::Refused;
use super::route::{Parameters, Target};
use super::selector::Selector;
use super::store::{Change, OutOfHistory};
use super::{Body, Storage, answer_of, options};

/// How long a watch lasts that does not say. The real server takes 30 to 60 minutes at random.
const LIFETIME: Duration = Duration::from_secs(30 * 60);
/// How often a watch that is told nothing learns how far it has come.
const BOOKMARKS: Duration = Duration::from_secs(60);
/// The real server sends a last bookmark this long before it ends a watch.
const LAST_BOOKMARK: Duration = Duration::from_secs(2);

/// A watch that begins.
pub(super) fn begin(
    storage: &Storage,
    target: Target,
    parameters: &Parameters,
    form: Form,
) -> Result<Response<Body>, Refused> {
    let selector = Selector::read(&target.kind, parameters)?;
    let bookmarks = parameters.flag("allowWatchBookmarks");
    options::check_watch(parameters)?;
    let initial = parameters.has("sendInitialEvents").then(|| parameters.flag("sendInitialEvents"));
    let asked = match parameters.text("resourceVersion") {
        "" => None,
        text => Some(text.parse::<u64>().map_err(|_| Refused::no_version(text))?),
    };
    parameters.number("limit")?;
    let lifetime = parameters.count("timeoutSeconds")?.map_or(LIFETIME, Duration::from_secs);
    let now = storage.clock.now();
    let mut watch = Watch {
        written: storage.written.subscribe(),
        storage: storage.clone(),
        rows: Rows::new(form, &storage.lock(), &target.kind),
        target,
        selector,
        position: asked.unwrap_or(0),
        ready: VecDeque::new(),
        over: false,
        ends: now + lifetime,
        next_bookmark: bookmarks.then(|| next_bookmark(now, now + lifetime)),
    };
    if let Some(version) = asked.filter(|version| *version > storage.lock().revision()) {
        return Err(Refused::too_new(version, storage.lock().revision()));
    }
    if initial.unwrap_or(asked.is_none_or(|version| version == 0)) {
        watch.list();
    } else if asked.is_none_or(|version| version == 0) {
        watch.position = storage.lock().revision();
    }
    if initial == Some(true) && bookmarks {
        watch.bookmark(true);
    }
    let lines = stream::unfold(watch, |mut watch| async {
        let line = watch.next().await?;
        Some((Ok::<_, Infallible>(Frame::data(line)), watch))
    });
    Ok(answer_of(200, "application/json", StreamBody::new(lines).boxed_unsync()))
}

/// When a watch that is told nothing learns how far it has come: every so often, and once before its end, if that is not now
/// (`nextBookmarkTime` of the cacher).
fn next_bookmark(now: Time, ends: Time) -> Time {
    let before_the_end = Time::from_nanos(ends.as_nanos().saturating_sub(LAST_BOOKMARK.as_nanos() as u64));
    let next = now + BOOKMARKS;
    if before_the_end > now { next.min(before_the_end) } else { next }
}

struct Watch {
    storage: Storage,
    written: broadcast::Receiver<()>,
    target: Target,
    selector: Selector,
    /// In which form.
    rows: Rows,
    /// Told up to this revision.
    position: u64,
    ready: VecDeque<Bytes>,
    over: bool,
    ends: Time,
    /// None where the client wants none.
    next_bookmark: Option<Time>,
}

impl Watch {
    /// The next line; nothing at the end of the watch.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(line) = self.ready.pop_front() {
                return Some(line);
            }
            let now = self.storage.clock.now();
            if self.over || now >= self.ends {
                return None;
            }
            while matches!(self.written.try_recv(), Ok(()) | Err(TryRecvError::Lagged(_))) {} // seen with what follows
            self.follow();
            if !self.ready.is_empty() {
                continue;
            }
            if self.next_bookmark.is_some_and(|due| now >= due) {
                self.bookmark(false);
                self.next_bookmark = Some(next_bookmark(now, self.ends));
                continue;
            }
            let due = self.next_bookmark.map_or(self.ends, |due| due.min(self.ends));
            tokio::select! {
                biased;
                written = self.written.recv() => self.over = written == Err(RecvError::Closed),
                () = self.storage.clock.sleep_until(Some(due)) => {}
            }
        }
    }

    /// Everything that there is.
    fn list(&mut self) {
        let storage = self.storage.clone();
        let state = storage.lock();
        let named = |name: &str| self.target.name.is_empty() || self.target.name == name;
        let place = self.target.kind.place();
        let all = state.list(&place, &self.target.namespace);
        let chosen = all.filter(|(key, object)| named(&key.name) && self.selector.selects(object));
        let rows = &mut self.rows;
        self.ready.extend(chosen.map(|(_, object)| line("ADDED", rows.object(shown(&self.target.kind, object)))));
        self.position = state.revision();
    }

    /// What was written since.
    fn follow(&mut self) {
        let storage = self.storage.clone();
        let state = storage.lock();
        match state.since(self.position) {
            Ok(changes) => {
                let told = changes.filter_map(|change| told(change, &self.target, &self.selector));
                let rows = &mut self.rows;
                self.ready
                    .extend(told.map(|(kind, object)| line(kind, rows.object(shown(&self.target.kind, &object)))));
                self.position = state.revision();
            }
            Err(OutOfHistory::Forgotten(compacted)) => {
                self.ready.push_back(line("ERROR", Refused::too_old(self.position, compacted).status()));
                self.over = true;
            }
            Err(OutOfHistory::NotYet(_)) => {} // judged before the watch began
        }
    }

    fn bookmark(&mut self, ends_the_list: bool) {
        let bookmark = bookmark(&self.target.kind, self.position, ends_the_list);
        self.ready.push_back(line("BOOKMARK", self.rows.object(bookmark)));
    }
}

/// What a watch is told of a change: an object that comes to be selected is new to it, one that ceases to be is gone.
fn told(change: &Change, target: &Target, selector: &Selector) -> Option<(&'static str, Arc<Value>)> {
    let Change { key, before, after, gone, .. } = change;
    let meant = key.place == target.kind.place()
        && (target.namespace.is_empty() || target.namespace == key.namespace)
        && (target.name.is_empty() || target.name == key.name);
    if !meant {
        return None;
    }
    let was = before.as_ref().filter(|before| selector.selects(before));
    let is = !gone && selector.selects(after);
    match (was, is) {
        (None, false) => None,
        (None, true) => Some(("ADDED", after.clone())),
        (Some(_), true) => Some(("MODIFIED", after.clone())),
        (Some(_), false) if *gone => Some(("DELETED", after.clone())),
        (Some(was), false) => {
            // As it was selected at last, under the version that took it away.
            let mut last = Value::clone(was);
            last["metadata"]["resourceVersion"] = after["metadata"]["resourceVersion"].clone();
            Some(("DELETED", Arc::new(last)))
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "events are made where they are told")]
fn line(kind: &str, object: Value) -> Bytes {
    Bytes::from(format!("{}\n", json!({"type": kind, "object": object})))
}
