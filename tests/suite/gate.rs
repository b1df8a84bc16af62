//! A proxy between one controller and the API server that counts the controller's requests and misbehaves at the chosen one.
//!
//! The controller speaks plain HTTP to it; its token passes through, so that the server sees the controller's user. Watches
//! stream. Every request that is not a watch, and not [overlooked](Gate::overlook), has an index, counted from the last [`mark`](Gate::mark).

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::StreamExt;
use http::{HeaderName, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::api::{RUNTIME, client};
use crate::process::Process;
use crate::server::Server;

/// One request that went through.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// `GET`, `PATCH`, ...
    pub(crate) method: String,
    /// Path and query.
    pub(crate) path: String,
    /// It is a watch.
    pub(crate) watch: bool,
}

impl Seen {
    /// It asks for a change.
    pub(crate) fn is_write(&self) -> bool {
        self.method != "GET"
    }
}

/// What happens to a chosen request.
#[derive(Clone)]
pub(crate) enum Fault {
    /// The [victim](Gate::aim_at) dies before the server hears of the request.
    KillBefore,
    /// The [victim](Gate::aim_at) dies when the server has answered, and never hears the answer.
    KillAfter,
    /// This answer instead of the server's, which hears nothing.
    Answer { status: u16, retry_after: Option<u32>, body: &'static [u8] },
    /// The server does it; of its answer only the first half arrives.
    Cut,
    /// The server hears nothing and no answer ever comes.
    Stall,
    /// The server does it; its answer arrives with every occurrence of the first text replaced by the second.
    Rewrite(&'static str, &'static str),
}

impl Fault {
    /// An answer in Kubernetes' own form.
    pub(crate) fn status(status: u16) -> Self {
        let body: &[u8] = match status {
            409 => br#"{"kind":"Status","apiVersion":"v1","status":"Failure","message":"planted conflict","reason":"Conflict","code":409}"#,
            429 => br#"{"kind":"Status","apiVersion":"v1","status":"Failure","message":"planted throttle","reason":"TooManyRequests","code":429}"#,
            500 => br#"{"kind":"Status","apiVersion":"v1","status":"Failure","message":"planted error","reason":"InternalError","code":500}"#,
            other => panic!("no body for {other}"),
        };
        Self::Answer { status, retry_after: (status == 429).then_some(1), body }
    }

    /// Success, with a body that is no JSON.
    pub(crate) fn garbage() -> Self {
        Self::Answer { status: 200, retry_after: None, body: b"\x00\xff<html>{\"kind\":" }
    }
}

/// Which request is chosen.
type Choice = Box<dyn Fn(&Seen, Option<usize>) -> bool + Send>;

/// Which request is none of the case's business.
type Overlooked = Box<dyn Fn(&Seen) -> bool + Send>;

struct Rule {
    chosen: Choice,
    times: usize,
    fault: Fault,
}

#[derive(Default)]
struct Book {
    seen: Vec<Seen>,
    /// Requests that count since the mark.
    index: usize,
    overlooked: Option<Overlooked>,
    rules: Vec<Rule>,
    fired: usize,
    last: Option<Instant>,
}

struct Door {
    upstream: kube::Client,
    victim: watch::Sender<Option<Process>>,
    book: Mutex<Book>,
    /// Requests that count, have come and are not answered.
    open: AtomicUsize,
}

/// The proxy. It ends when it goes out of scope.
pub(crate) struct Gate {
    url: String,
    door: Arc<Door>,
    listening: tokio::task::JoinHandle<()>,
}

impl Gate {
    /// Opens it before a server.
    pub(crate) fn before(server: &Server) -> Self {
        // Nobody: the token in each request decides.
        let mut kubeconfig = server.kubeconfig("nobody");
        kubeconfig["users"][0]["user"] = serde_json::json!({});
        let door = Arc::new(Door {
            upstream: client(&kubeconfig),
            victim: watch::Sender::default(),
            book: Mutex::default(),
            open: AtomicUsize::new(0),
        });
        let (address, listening) = RUNTIME.block_on(async {
            let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.expect("a free port");
            let address = listener.local_addr().expect("bound");
            let door = Arc::clone(&door);
            (address, RUNTIME.spawn(listen(listener, door)))
        });
        Self { url: format!("http://{address}"), door, listening }
    }

    /// Where it listens.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Whom the killing faults kill. A request that meets one before anybody is named waits for the name, so that a process can
    /// be killed at its very first request.
    pub(crate) fn aim_at(&self, victim: Option<&Process>) {
        self.door.victim.send_replace(victim.cloned());
    }

    /// Counts from here: the next request has index 1. Ends all faults.
    pub(crate) fn mark(&self) {
        let mut book = self.book();
        *book = Book { last: book.last, overlooked: book.overlooked.take(), ..Book::default() };
    }

    /// From now on these requests pass uncounted, as watches do, and disturb no [`quiet`](Self::quiet).
    #[allow(dead_code, reason = "for the suite, not for the lab and the benches")]
    pub(crate) fn overlook(&self, overlooked: impl Fn(&Seen) -> bool + Send + 'static) {
        self.book().overlooked = Some(Box::new(overlooked));
    }

    /// The request of this index, counted from the mark, meets a fault.
    pub(crate) fn at(&self, index: usize, fault: Fault) {
        self.when(1, fault, move |_, at| at == Some(index));
    }

    /// The next so many requests that `chosen` picks meet a fault.
    pub(crate) fn when(
        &self,
        times: usize,
        fault: Fault,
        chosen: impl Fn(&Seen, Option<usize>) -> bool + Send + 'static,
    ) {
        self.book().rules.push(Rule { chosen: Box::new(chosen), times, fault });
    }

    /// Ends all faults; requests that stall go on stalling.
    pub(crate) fn behave(&self) {
        self.book().rules.clear();
    }

    /// How many faults have met their request since the mark.
    pub(crate) fn fired(&self) -> usize {
        self.book().fired
    }

    /// How many requests that count came since the mark.
    pub(crate) fn count(&self) -> usize {
        self.book().index
    }

    /// All requests since the mark.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.book().seen.clone()
    }

    /// Waits until no request that counts has come or been open for so long.
    pub(crate) fn quiet(&self, pause: Duration) {
        crate::harness::eventually("the controller is quiet", crate::harness::SOON, || {
            if self.is_quiet(pause) {
                Ok(())
            } else {
                let last: Vec<String> = self.seen().iter().rev().take(5).map(|seen| format!("{seen:?}")).collect();
                Err(format!("{} open; at last {}", self.door.open.load(Ordering::SeqCst), last.join(", ")))
            }
        });
    }

    /// No request that counts is open, and none has come or been answered for so long.
    pub(crate) fn is_quiet(&self, pause: Duration) -> bool {
        let last = self.book().last;
        self.door.open.load(Ordering::SeqCst) == 0 && last.is_none_or(|last| last.elapsed() > pause)
    }

    fn book(&self) -> std::sync::MutexGuard<'_, Book> {
        self.door.book()
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

impl Door {
    fn book(&self) -> std::sync::MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Kills the victim. In a task of its own: the victim's death closes the connection, and with it ends who serves it.
    async fn kill(&self) -> Result<(), Error> {
        let mut victim = self.victim.subscribe();
        RUNTIME
            .spawn(async move {
                if let Ok(Some(victim)) = victim.wait_for(Option::is_some).await.as_deref() {
                    victim.kill();
                }
            })
            .await?;
        Ok(())
    }

    /// Writes the request down; whether it counts, and the fault it meets.
    fn enter(&self, seen: Seen) -> (bool, Option<Fault>) {
        let mut book = self.book();
        let counts = !seen.watch && book.overlooked.as_ref().is_none_or(|overlooked| !overlooked(&seen));
        let index = counts.then(|| {
            book.index += 1;
            book.last = Some(Instant::now());
            book.index
        });
        let rule = book.rules.iter_mut().find(|rule| rule.times > 0 && (rule.chosen)(&seen, index));
        let fault = rule.map(|rule| {
            rule.times -= 1;
            rule.fault.clone()
        });
        book.fired += usize::from(fault.is_some());
        book.seen.push(seen);
        (counts, fault)
    }
}

/// Accepts connections until it is aborted; with it end the connections.
async fn listen(listener: TcpListener, door: Arc<Door>) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let door = Arc::clone(&door);
        connections.spawn(async move {
            let service = service_fn(move |request| pass(Arc::clone(&door), request));
            // An error is a connection that one of the two sides gave up, which is what gates are for.
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
        while connections.try_join_next().is_some() {}
    }
}

type Error = Box<dyn std::error::Error + Send + Sync>;
type Body = http_body_util::combinators::UnsyncBoxBody<Bytes, Error>;

/// One request. An `Err` closes the connection without an answer.
async fn pass(door: Arc<Door>, request: Request<Incoming>) -> Result<Response<Body>, Error> {
    let query = request.uri().query().unwrap_or_default();
    let seen = Seen {
        method: request.method().to_string(),
        path: request.uri().path_and_query().map(ToString::to_string).unwrap_or_default(),
        watch: query.split('&').any(|part| part == "watch=true" || part == "watch=1"),
    };
    let is_watch = seen.watch;
    let (counts, fault) = door.enter(seen);
    let _open = counts.then(|| Open::new(&door));
    match fault {
        None => Ok(forward(&door, request).await?.map(|body| body.map_err(Into::into).boxed_unsync())),
        Some(Fault::KillBefore) => {
            door.kill().await?;
            Err("killed before the request".into())
        }
        Some(Fault::KillAfter) => {
            let answer = forward(&door, request).await?;
            if !is_watch {
                answer.into_body().collect().await?;
            }
            door.kill().await?;
            Err("killed after the answer".into())
        }
        Some(Fault::Answer { status, retry_after, body }) => {
            let mut answer = Response::builder().status(status).header(header::CONTENT_TYPE, "application/json");
            if let Some(seconds) = retry_after {
                answer = answer.header(header::RETRY_AFTER, seconds);
            }
            Ok(answer.body(full(Bytes::from_static(body)))?)
        }
        Some(Fault::Cut) => {
            let (parts, body) = forward(&door, request).await?.into_parts();
            let half = if is_watch { first_frame(body).await? } else { body.collect().await?.to_bytes() };
            let half = half.slice(..half.len() / 2);
            let frames = futures::stream::iter([Ok(Frame::data(half)), Err::<_, Error>("cut".into())]);
            Ok(Response::from_parts(parts, StreamBody::new(frames).boxed_unsync()))
        }
        Some(Fault::Stall) => std::future::pending().await,
        Some(Fault::Rewrite(from, to)) => {
            let (parts, body) = forward(&door, request).await?.into_parts();
            let rewrite = move |bytes: Bytes| Bytes::from(String::from_utf8_lossy(&bytes).replace(from, to));
            if is_watch {
                let frames = body
                    .into_data_stream()
                    .map(move |frame| frame.map(|bytes| Frame::data(rewrite(bytes))).map_err(Into::into));
                return Ok(Response::from_parts(parts, StreamBody::new(frames).boxed_unsync()));
            }
            let body = rewrite(body.collect().await?.to_bytes());
            Ok(Response::from_parts(parts, full(body)))
        }
    }
}

/// A request that counts and is not answered yet.
struct Open(Arc<Door>);

impl Open {
    fn new(door: &Arc<Door>) -> Self {
        door.open.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(door))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::SeqCst);
        self.0.book().last = Some(Instant::now());
    }
}

/// Headers that belong to one connection (RFC 9110 7.6.1) or that hyper writes itself.
const OF_THE_CONNECTION: [HeaderName; 4] =
    [header::HOST, header::CONNECTION, header::TRANSFER_ENCODING, header::CONTENT_LENGTH];

async fn forward(door: &Door, request: Request<Incoming>) -> Result<Response<kube::client::Body>, Error> {
    let (mut parts, body) = request.into_parts();
    for name in OF_THE_CONNECTION {
        parts.headers.remove(name);
    }
    let body = body.collect().await?.to_bytes();
    let mut forwarded = Request::builder().method(parts.method).uri(parts.uri).body(kube::client::Body::from(body))?;
    *forwarded.headers_mut() = parts.headers;
    let answer = match door.upstream.send(forwarded).await {
        Ok(answer) => answer,
        Err(error) => {
            let body = format!("the gate cannot reach the server: {error}").into_bytes();
            Response::builder().status(StatusCode::BAD_GATEWAY).body(kube::client::Body::from(body))?
        }
    };
    let (mut parts, body) = answer.into_parts();
    for name in OF_THE_CONNECTION {
        parts.headers.remove(name);
    }
    Ok(Response::from_parts(parts, body))
}

async fn first_frame(body: kube::client::Body) -> Result<Bytes, Error> {
    body.into_data_stream().next().await.unwrap_or_else(|| Ok(Bytes::new())).map_err(Into::into)
}

fn full(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|error: Infallible| match error {}).boxed_unsync()
}
