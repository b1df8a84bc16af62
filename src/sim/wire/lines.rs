//! The lines of a watch, and what the weather makes of them.

use std::collections::VecDeque;

use bytes::Bytes;
use futures::{FutureExt as _, StreamExt as _, stream};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use kube::client::DynBody;
use serde_json::{Value, json};
use tower::BoxError;

use super::{Wire, or_silent, status};
use crate::sandbox::Body;
use crate::sim::schedule::Fault;
use crate::sim::weather::Ask;

/// A watch, as it arrives.
pub(super) fn watched(wire: Wire, ask: Ask, lines: Body) -> Box<DynBody> {
    let watch = Lines { wire, ask, lines, ready: VecDeque::new(), over: false };
    let lines = stream::unfold(watch, |mut watch| async {
        let line = match or_silent(watch.wire.patience, watch.next()).await {
            Ok(line) => line?,
            Err(silent) => {
                watch.over = true;
                Err(silent)
            }
        };
        Some((line.map(Frame::data), watch))
    });
    Box::new(StreamBody::new(Box::pin(lines.fuse())))
}

struct Lines {
    wire: Wire,
    ask: Ask,
    /// As the server sends them: each a frame.
    lines: Body,
    ready: VecDeque<Bytes>,
    /// After what is ready nothing comes any more.
    over: bool,
}

impl Lines {
    async fn next(&mut self) -> Option<Result<Bytes, BoxError>> {
        loop {
            if let Some(line) = self.ready.pop_front() {
                return Some(Ok(line));
            }
            if self.over {
                return None;
            }
            let Wire { cluster, sky, life, .. } = &self.wire;
            let away = sky.away(cluster.now(), life.who);
            let away = async {
                match away {
                    Some(at) => cluster.sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            let line = tokio::select! {
                biased;
                () = away => {
                    self.over = true;
                    return Some(Err("connection reset by peer".into()));
                }
                line = line(&mut self.lines) => line?,
            };
            self.arrives(line).await;
        }
    }

    /// A line is on its way.
    async fn arrives(&mut self, line: Bytes) {
        let Wire { cluster, sky, life, .. } = &self.wire;
        for fault in sky.meets(cluster.now(), life.who, &self.ask) {
            match fault {
                Fault::WatchEnds => return self.over = true,
                Fault::WatchTruncated => {
                    self.over = true;
                    return self.ready.push_back(line.slice(..line.len() / 2));
                }
                Fault::WatchSilent => return std::future::pending().await,
                Fault::WatchExpired => {
                    self.over = true;
                    let status = status(410, "Expired", "too old resource version: 1 (2)", &json!({}));
                    return self.ready.push_back(event("ERROR", &status));
                }
                Fault::WatchGarbage => return self.ready.push_back(Bytes::from_static(b"<html>Bad Gateway</html>\n")),
                Fault::WatchCoalesced(most) => {
                    tokio::time::sleep(std::time::Duration::from_millis(most)).await;
                    let mut all = vec![line];
                    while let Some(line) = self::line(&mut self.lines).now_or_never() {
                        let Some(line) = line else {
                            self.over = true;
                            break;
                        };
                        all.push(line);
                    }
                    return self.ready.extend(coalesced(all));
                }
                Fault::Stale(lag) => {
                    let version = parsed(&line)["object"]["metadata"]["resourceVersion"].as_str().map(str::parse);
                    if let Some(Ok(version)) = version {
                        cluster.sleep_until(cluster.written_at(version) + lag).await;
                    }
                }
                Fault::Slow(most) => tokio::time::sleep(std::time::Duration::from_millis(most / 4)).await,
                // Those are for calls.
                Fault::Conflict
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
                | Fault::Away => {}
            }
        }
        self.ready.push_back(line);
    }
}

async fn line(lines: &mut Body) -> Option<Bytes> {
    let frame = lines.frame().await?.unwrap_or_else(|never| match never {});
    frame.into_data().ok()
}

/// Of changes of an object that follow each other only the last. That it is gone is never left out.
fn coalesced(lines: Vec<Bytes>) -> Vec<Bytes> {
    let mut kept: Vec<(Value, Bytes)> = Vec::new();
    for line in lines {
        let event = parsed(&line);
        let same = |before: &Value| {
            let uid = |event: &Value| event["object"]["metadata"]["uid"].clone();
            !uid(before).is_null() && uid(before) == uid(&event)
        };
        let earlier = kept.iter().rposition(|(before, _)| same(before) && before["type"] == "MODIFIED");
        if event["type"] == "MODIFIED"
            && let Some(place) = earlier
        {
            kept.remove(place);
        }
        kept.push((event, line));
    }
    kept.into_iter().map(|(_, line)| line).collect()
}

fn event(kind: &str, object: &Value) -> Bytes {
    Bytes::from(format!("{}\n", json!({"type": kind, "object": object})))
}

fn parsed(line: &Bytes) -> Value {
    serde_json::from_slice(line).unwrap_or_default()
}
