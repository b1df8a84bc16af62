//! A Kubernetes API in memory: the storage as an in-process service, and HTTP as a shell over it. Its rules are those of the real
//! server, read from its answers (`testdata/server-facts.yaml` is asked of both) and from its sources, which the modules name.
//!
//! | Module | Decides |
//! |---|---|
//! | [`route`] | what a request means: path, verb, parameters |
//! | [`protobuf`] | bodies that typed clients send |
//! | [`kinds`] | which kinds there are; a CustomResourceDefinition brings its own |
//! | [`schema`] | what a kind's objects look like |
//! | [`discovery`], [`openapi`] | what clients are told about the kinds |
//! | [`store`] | objects, resourceVersions, the history that watches and continued lists read |
//! | [`read`], [`watch`], [`bookmark`], [`selector`], [`page`], [`options`] | get, list and watch |
//! | [`form`], [`columns`] | in which form they are answered: as objects, as rows of a Table, as metadata |
//! | [`mod@write`], [`patch`], [`metadata`] | create, replace, patch and delete, whatever the kind |
//! | [`propagation`] | what holds an object back until its dependents are seen to |
//! | [`decoder`], [`typed`], [`structural`], [`fields`] | whether that fits its kind, and what is said of fields that nobody knows |
//! | [`decoded`], [`admission`], [`service`], [`pod`] | what a kind makes of what is written |
//! | [`managed`], [`apply`] | who owns which field; server-side apply |
//! | [`mod@audit`] | who wrote what |
//! | [`refused`] | the server's words when it says no |
//! | [`cluster`] | the manifests that it begins with |
//! | [`expect`], [`table`], [`view`] | what is expected of its Services, and what became of them |
//!
//! Not emulated, and refused by name where somebody asks for it: answers in protobuf or YAML, watches that begin at an exact list,
//! graceful deletion of anything but Pods, conversion of custom resources by webhooks. Not emulated, and told in a warning to whoever
//! defines a kind with it: CEL rules (`x-kubernetes-validations`), and the formats of `structural::UNCHECKED`. Silently absent, because
//! nobody can ask for it by name: authentication, RBAC, admission webhooks, the garbage collector and the endpoint, namespace and node
//! controllers (so a deleted Namespace stays Terminating, and what is deleted with `--cascade=foreground` or `orphan` keeps its
//! finalizer, as on a server without them), and the validation of Pods.

mod admission;
mod apply;
pub(crate) mod audit;
mod bookmark;
pub(crate) mod cluster;
mod columns;
mod decoded;
mod decoder;
mod definition;
mod discovery;
mod event;
pub(crate) mod expect;
mod fields;
mod form;
mod kinds;
mod managed;
mod metadata;
mod openapi;
mod options;
mod page;
mod patch;
mod pod;
mod propagation;
mod protobuf;
mod read;
mod refused;
mod route;
mod schema;
mod selector;
mod serve;
pub(crate) mod service;
mod store;
mod strategic;
mod structural;
pub(crate) mod table;
mod typed;
pub(crate) mod view;
mod watch;
mod write;

#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use serde_json::Value;
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

use crate::cluster::clock::Clock;
use refused::Refused;
pub(crate) use serve::serve;
pub(crate) use service::Ranges;
use store::State;

/// An answer's body: whole, or a watch that goes on.
pub(crate) type Body = UnsyncBoxBody<Bytes, Infallible>;

/// The API server. Clones share what it stores.
#[derive(Clone)]
pub(crate) struct Storage {
    state: Arc<Mutex<State>>,
    /// Tells watches that something was written.
    written: broadcast::Sender<()>,
    clock: Clock,
}

impl Storage {
    /// An empty cluster, with the namespaces that every cluster has.
    #[allow(dead_code, reason = "for tests: the command says from which ranges")]
    pub(crate) fn new(clock: Clock) -> Self {
        Self::with_ranges(clock, Ranges::default())
    }

    /// The same, where Services get their numbers from these ranges.
    pub(crate) fn with_ranges(clock: Clock, ranges: Ranges) -> Self {
        let mut state = State::new(clock, ranges);
        write::found(&mut state);
        let (written, _) = broadcast::channel(1);
        Self { state: Arc::new(Mutex::new(state)), written, clock }
    }

    /// A client of it, without a socket between.
    pub(crate) fn client(&self) -> kube::Client {
        kube::Client::new(self.clone(), "default")
    }

    /// The answer to a request.
    pub(crate) fn answer(&self, request: &Request<Bytes>) -> Response<Body> {
        route::answer(self, request)
    }

    /// From now on nobody can list or watch from a version before the present one: what etcd's compaction does every five minutes.
    #[cfg(any(test, feature = "simulation"))]
    pub(crate) fn compact(&self) {
        self.lock().compact();
        self.wake(); // watches that lag behind learn of it
    }

    /// Forgets, so often, what was written before the last time: how the real server compacts etcd
    /// (`k8s.io/apiserver/pkg/storage/etcd3/compact.go`).
    pub(crate) async fn forget_every(self, interval: Duration, stop: CancellationToken) -> std::io::Result<()> {
        let mut until = self.lock().revision();
        loop {
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = self.clock.sleep_until(Some(self.clock.now() + interval)) => {}
            }
            self.lock().forget(until);
            self.wake(); // watches that lag behind learn of it
            until = self.lock().revision();
        }
    }

    /// The number of the last write.
    #[cfg(any(test, feature = "simulation"))]
    pub(crate) fn revision(&self) -> u64 {
        self.lock().revision()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A thread that panicked with the lock left whole objects behind: a write is one insertion.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the watches, each in its turn: a simulation must see the same order each time.
    fn wake(&self) {
        let _ = self.written.send(()); // nobody may be watching
    }

    /// Writes under the lock, and wakes the watches.
    fn write<T>(&self, write: impl FnOnce(&mut State) -> Result<T, Refused>) -> Result<T, Refused> {
        let mut state = self.lock();
        let before = state.revision();
        let result = write(&mut state);
        let revision = state.revision();
        drop(state);
        if revision != before {
            self.wake();
        }
        result
    }
}

impl tower::Service<Request<kube::client::Body>> for Storage {
    type Response = Response<Body>;
    type Error = kube::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<kube::client::Body>) -> Self::Future {
        let storage = self.clone();
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await?.to_bytes();
            Ok(storage.answer(&Request::from_parts(parts, body)))
        })
    }
}

/// An answer that is one JSON document.
fn json_answer(code: u16, body: &Value) -> Response<Body> {
    let body = Full::new(Bytes::from(body.to_string())).boxed_unsync();
    answer_of(code, "application/json", body)
}

fn answer_of(code: u16, content_type: &'static str, body: Body) -> Response<Body> {
    let mut answer = Response::new(body);
    *answer.status_mut() = http::StatusCode::from_u16(code).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
    answer.headers_mut().insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static(content_type));
    answer
}
