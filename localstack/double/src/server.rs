//! The HTTP side: reads a request, lets delays befall it, hands it to the account, and sends what comes back, or nothing.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use crate::account::{Arrived, Reply};
use crate::caller::{Scope, Service};
use crate::double::Shared;
use crate::faults::Effect;
use crate::inventory::Inventory;
use crate::query::Query;
use crate::signature::Signed;

/// What is asked of the account, and where the reply goes.
#[derive(Debug)]
pub(crate) enum Errand {
    Request(Box<Arrived>, oneshot::Sender<Reply>),
    /// What is there? For tests; no call.
    Look(String, oneshot::Sender<Inventory>),
}

/// Why hyper shall close a connection without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the connection is closed without an answer, as a test wants it")]
struct Silence;

/// Serves connections until the task is dropped.
pub(crate) async fn serve(listener: TcpListener, shared: Shared, requests: mpsc::Sender<Errand>) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
        };
        let Ok((stream, _)) = accepted else { continue };
        let (shared, requests) = (shared.clone(), requests.clone());
        connections.spawn(async move {
            let service = service_fn(move |request| answer(request, shared.clone(), requests.clone()));
            // A connection that fails is its client's affair.
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    shared: Shared,
    requests: mpsc::Sender<Errand>,
) -> Result<Response<Full<Bytes>>, Silence> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| Silence)?.to_bytes();
    let query = query(&parts.method, &parts.headers, parts.uri.query(), &body);
    let action = action(&query, &parts.headers);
    let scope = match Scope::of(&parts.headers, &action) {
        Ok(scope) => scope,
        Err(refusal) => {
            let document = refusal.document(&Service::ElasticLoadBalancing, "unsigned").document();
            return Ok(response(&shared, refusal.status, "text/xml", Bytes::from(document)));
        }
    };
    let signed = Signed {
        method: &parts.method,
        path: parts.uri.path(),
        query: parts.uri.query().unwrap_or_default(),
        headers: &parts.headers,
        body: &body,
    };
    let now = shared.gate.now();
    let turned_away = shared.gate.admit(&signed, &scope, now).err();
    let effects = if turned_away.is_none() { shared.faults.befall(&action, &scope.caller) } else { Vec::new() };
    let delay = |which: fn(&Effect) -> Option<Duration>| effects.iter().filter_map(which).sum::<Duration>();
    #[expect(clippy::wildcard_enum_match_arm, reason = "picks one kind of effect")]
    let before = delay(|effect| match effect {
        Effect::DelayBefore(by) => Some(*by),
        _ => None,
    });
    #[expect(clippy::wildcard_enum_match_arm, reason = "picks one kind of effect")]
    let after = delay(|effect| match effect {
        Effect::DelayAfter(by) => Some(*by),
        _ => None,
    });
    wait(&shared, before).await;
    let path = parts.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str).to_owned();
    let arrived = Arrived {
        scope,
        action,
        query,
        effects,
        turned_away,
        method: parts.method,
        path,
        headers: parts.headers,
        body,
    };
    let (reply, replied) = oneshot::channel();
    requests.send(Errand::Request(Box::new(arrived), reply)).await.map_err(|_| Silence)?;
    let reply = replied.await.map_err(|_| Silence)?;
    wait(&shared, after).await;
    match reply {
        Reply::Answer { status, content_type, body } => Ok(response(&shared, status, &content_type, body)),
        Reply::Silence => Err(Silence),
    }
}

async fn wait(shared: &Shared, by: Duration) {
    if !by.is_zero() {
        shared.clock.reached(shared.clock.now() + by).await;
    }
}

/// The action: a parameter in the Query protocol, a header in the JSON protocols of other services.
fn action(query: &Query, headers: &HeaderMap) -> String {
    let target = || headers.get("x-amz-target")?.to_str().ok()?.rsplit('.').next();
    query.get("Action").or_else(target).unwrap_or_default().to_owned()
}

/// The parameters of a request: from its body if it is a form, else from its URL.
fn query(method: &Method, headers: &HeaderMap, url: Option<&str>, body: &Bytes) -> Query {
    let is_form = headers
        .get("content-type")
        .is_none_or(|kind| kind.as_bytes().starts_with(b"application/x-www-form-urlencoded"));
    let form = if *method == Method::POST && is_form { std::str::from_utf8(body).unwrap_or_default() } else { "" };
    if form.is_empty() { Query::parse(url.unwrap_or_default()) } else { Query::parse(form) }
}

fn response(shared: &Shared, status: u16, content_type: &str, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = http::StatusCode::from_u16(status).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
    if let Ok(value) = content_type.parse() {
        response.headers_mut().insert("content-type", value);
    }
    // Clients set their clocks by it.
    if let Ok(value) = shared.gate.now().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string().parse() {
        response.headers_mut().insert("date", value);
    }
    response
}
