//! HTTP/1.1 over the storage. A watch is a chunked body of JSON lines.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::audit::Audit;
use super::refused::Refused;
use super::{Body, Storage};

/// Bytes of a request: `MaxRequestBodyBytes` of `k8s.io/apiserver/pkg/server/config.go`.
const LARGEST_BODY: usize = 3 * 1024 * 1024;

/// Answers whoever connects, until `stop`; connections, and the watches on them, end with it. Writes are in the audit log, if there is
/// one, before they are answered.
pub(crate) async fn serve(
    storage: Storage,
    listener: TcpListener,
    stop: CancellationToken,
    audit: Option<Audit>,
) -> std::io::Result<()> {
    let audit = audit.map(Arc::new);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()), // the set drops what is left
            accepted = listener.accept() => {
                drop(connections.spawn(connection(storage.clone(), audit.clone(), stop.clone(), accepted?.0)));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(storage: Storage, audit: Option<Arc<Audit>>, stop: CancellationToken, socket: TcpStream) {
    // An event of a watch is a small packet that must not wait for the next one.
    let _ = socket.set_nodelay(true);
    let service = service_fn(move |request| answer(storage.clone(), audit.clone(), request));
    tokio::select! {
        // Looked at first: of hundreds that wait for their answers none is worked out any more, which would take its time.
        biased;
        () = stop.cancelled() => {}
        served = http1::Builder::new().serve_connection(TokioIo::new(socket), service) => {
            if let Err(error) = served {
                tracing::debug!(%error, "a connection to the sandbox ended early");
            }
        }
    }
}

async fn answer(
    storage: Storage,
    audit: Option<Arc<Audit>>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let (parts, body) = request.into_parts();
    let body: Bytes = match Limited::new(body, LARGEST_BODY).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => {
            return Ok(Refused::too_large(format!("limit is {LARGEST_BODY}")).answer());
        }
        Err(error) => return Ok(Refused::bad_request(format!("the body cannot be read: {error}")).answer()),
    };
    let request = Request::from_parts(parts, body);
    let asked = audit.as_ref().and_then(|audit| audit.asked(&storage, &request));
    let answer = storage.answer(&request);
    if let (Some(audit), Some(asked)) = (audit, asked) {
        audit.answered(asked, answer.status().as_u16());
    }
    Ok(answer)
}
