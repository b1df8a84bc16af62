//! The way from a controller to the API server, without a socket: a tower service in front of the storage on which the weather acts.

mod lines;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt as _;
use http::request::Parts;
use http::{Method, Request, Response};
use http_body_util::{BodyExt as _, Full};
use kube::client::{Body, DynBody};
use serde_json::{Value, json};
use tower::BoxError;

use super::cluster::Cluster;
use super::laws::Laws;
use super::life::Life;
use super::schedule::Fault;
use super::weather::{Ask, Sky};
use crate::cluster::random::Random;

pub(super) type Answer = Response<Box<DynBody>>;

/// See the module. Clones are the same way.
#[derive(Clone)]
pub(super) struct Wire {
    pub(super) cluster: Arc<Cluster>,
    pub(super) laws: Arc<Laws>,
    pub(super) sky: Arc<Sky>,
    pub(super) life: Arc<Life>,
    pub(super) seed: u64,
    /// How long the connection may be silent before the client gives it up.
    pub(super) patience: Option<Duration>,
}

impl tower::Service<Request<Body>> for Wire {
    type Response = Answer;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Answer, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let way = self.clone();
        async move {
            let patience = way.patience;
            or_silent(patience, way.answer(request)).await?
        }
        .boxed()
    }
}

impl Wire {
    async fn answer(self, request: Request<Body>) -> Result<Answer, BoxError> {
        let (mut parts, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        let ask = Ask::of(&parts);
        let number = self.life.begins().await;
        self.laws.asks(&self.life, &ask);
        let faults = self.sky.meets(self.cluster.now(), self.life.who, &ask);
        let mut random = Random::new(self.seed ^ self.life.number.rotate_left(48) ^ number.rotate_left(24));
        self.latency(&mut random, &faults).await;
        self.life.goes_on().await;
        if self.sky.away(self.cluster.now(), self.life.who).is_some_and(|from| from <= self.cluster.now()) {
            return Err("connection refused".into());
        }
        for fault in &faults {
            match fault {
                Fault::Conflict if ask.is_write() => return Ok(conflict(&ask)),
                Fault::Gone if ask.continues || ask.is_watch => return Ok(gone()),
                Fault::Busy(seconds) => return Ok(busy(*seconds)),
                Fault::Unauthorized => return Ok(refusal(401, "Unauthorized", "Unauthorized", &json!({}))),
                Fault::Forbidden => return Ok(refusal(403, "Forbidden", "forbidden: for a while", &json!({}))),
                Fault::FailBefore => return Ok(broken(&mut random)),
                Fault::CutBefore => return Err("connection reset by peer".into()),
                Fault::HangBefore => return std::future::pending().await,
                Fault::Stale(lag) => {
                    if let Some(refused) = self.stale(&ask, &mut parts, *lag) {
                        return Ok(refused);
                    }
                }
                Fault::Conflict
                | Fault::Gone
                | Fault::Slow(_)
                | Fault::FailAfter
                | Fault::CutAfter
                | Fault::HangAfter
                | Fault::Away
                | Fault::WatchEnds
                | Fault::WatchTruncated
                | Fault::WatchSilent
                | Fault::WatchExpired
                | Fault::WatchGarbage
                | Fault::WatchCoalesced(_) => {}
            }
        }
        let answer = self.pass_on(&ask, parts, body);
        self.life.ends(number).await;
        for fault in &faults {
            match fault {
                Fault::FailAfter => return Ok(broken(&mut random)),
                Fault::CutAfter => return Err("connection reset by peer".into()),
                Fault::HangAfter => return std::future::pending().await,
                Fault::Slow(_)
                | Fault::Conflict
                | Fault::Gone
                | Fault::Busy(_)
                | Fault::Unauthorized
                | Fault::Forbidden
                | Fault::FailBefore
                | Fault::CutBefore
                | Fault::HangBefore
                | Fault::Away
                | Fault::WatchEnds
                | Fault::WatchTruncated
                | Fault::WatchSilent
                | Fault::WatchExpired
                | Fault::WatchGarbage
                | Fault::WatchCoalesced(_)
                | Fault::Stale(_) => {}
            }
        }
        self.latency(&mut random, &[]).await;
        self.life.goes_on().await;
        Ok(answer)
    }

    async fn latency(&self, random: &mut Random, faults: &[Fault]) {
        let slow = faults.iter().map(|fault| if let Fault::Slow(most) = fault { *most } else { 0 }).sum();
        let most = Duration::from_millis(4) + Duration::from_millis(slow);
        tokio::time::sleep(random.between(Duration::ZERO, most)).await;
    }

    /// The server answers. Writes are looked at before and after.
    fn pass_on(&self, ask: &Ask, parts: Parts, body: Bytes) -> Answer {
        // No law asks what was in a Lease, and of all that is written it is the most: every other second, for hours.
        let judged = ask.is_write() && ask.resource != "leases";
        let before = judged.then(|| (self.laws.before(ask), body.clone()));
        let answer = self.cluster.storage.answer(&Request::from_parts(parts, body));
        let code = answer.status().as_u16();
        let (head, body) = answer.into_parts();
        if ask.is_watch && code == 200 {
            return Response::from_parts(head, lines::watched(self.clone(), ask.clone(), body));
        }
        let bytes = body.collect().now_or_never().expect("no watch").unwrap().to_bytes();
        if ask.is_write() {
            self.cluster.noted();
        }
        if let Some((before, text)) = before {
            self.laws.wrote(&self.life, ask, code, &text, &before, &bytes);
        }
        Response::from_parts(head, whole(bytes))
    }

    /// A replica that is behind serves what need not be the newest as it knows it, and refuses what it does not know yet. Everything else
    /// goes to etcd, as on the real server (`k8s.io/apiserver/pkg/storage/cacher`).
    fn stale(&self, ask: &Ask, parts: &mut Parts, lag: u64) -> Option<Answer> {
        if ask.is_write() {
            return None;
        }
        let knows = self.cluster.revision_at(self.cluster.now().saturating_sub(lag));
        let query = parts.uri.query().unwrap_or_default().to_owned();
        let asked = query.split('&').find_map(|pair| pair.strip_prefix("resourceVersion="))?;
        let asked: u64 = asked.parse().ok()?;
        if asked > knows {
            return Some(too_new(asked, knows));
        }
        if !ask.is_watch && asked == 0 {
            assert!(!ask.is_named, "the simulation knows no single reads from a cache: {}", ask.path);
            let query =
                query.replace("resourceVersion=0", &format!("resourceVersion={knows}&resourceVersionMatch=Exact"));
            parts.uri = format!("{}?{query}", ask.path).parse().unwrap();
        }
        None
    }
}

/// What comes of it, unless the connection is silent for too long before.
async fn or_silent<T>(patience: Option<Duration>, call: impl Future<Output = T>) -> Result<T, BoxError> {
    match patience {
        Some(patience) => tokio::time::timeout(patience, call).await.map_err(|_| "read timed out".into()),
        None => Ok(call.await),
    }
}

fn whole(bytes: Bytes) -> Box<DynBody> {
    Box::new(Full::new(bytes).map_err(|never| match never {}))
}

/// A refusal in the server's form.
fn refusal(code: u16, reason: &str, message: &str, details: &Value) -> Answer {
    let status = status(code, reason, message, details);
    let answer = Response::builder().status(code).header("content-type", "application/json");
    answer.body(whole(status.to_string().into())).unwrap()
}

fn status(code: u16, reason: &str, message: &str, details: &Value) -> Value {
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "details": details, "code": code,
    })
}

fn conflict(ask: &Ask) -> Answer {
    let name = ask.path.trim_end_matches("/status").rsplit('/').next().unwrap_or_default();
    if ask.method == Method::POST {
        let message = format!("{} already exists", ask.resource);
        return refusal(409, "AlreadyExists", &message, &json!({"kind": ask.resource, "name": "it"}));
    }
    let message = format!("Operation cannot be fulfilled on {} {name:?}: the object has been modified", ask.resource);
    refusal(409, "Conflict", &message, &json!({"kind": ask.resource, "name": name}))
}

fn gone() -> Answer {
    refusal(410, "Expired", "The resourceVersion for the provided watch is too old.", &json!({}))
}

fn busy(seconds: u32) -> Answer {
    let message = "The server has received too many requests and has asked us to try again later";
    let mut answer = refusal(429, "TooManyRequests", message, &json!({"retryAfterSeconds": seconds}));
    answer.headers_mut().insert("retry-after", seconds.into());
    answer
}

fn broken(random: &mut Random) -> Answer {
    match random.below(3) {
        0 => refusal(500, "InternalError", "Internal error occurred: etcdserver: leader changed", &json!({})),
        1 => refusal(503, "ServiceUnavailable", "apiserver is shutting down", &json!({})),
        _ => refusal(504, "Timeout", "Timeout: request did not complete within the allotted timeout", &json!({})),
    }
}

fn too_new(asked: u64, knows: u64) -> Answer {
    let message = format!("Timeout: Too large resource version: {asked}, current: {knows}");
    let cause = json!({"reason": "ResourceVersionTooLarge", "message": "Too large resource version"});
    refusal(504, "Timeout", &message, &json!({"causes": [cause], "retryAfterSeconds": 1}))
}
