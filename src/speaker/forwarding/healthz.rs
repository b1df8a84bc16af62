//! What kube-proxy says of itself at `/healthz` (kubernetes/pkg/proxy/healthcheck/proxy_health.go), and of the node's endpoints at a Service's health
//! check port (service_health.go), where the code says it all: 200, or 503 without a ready endpoint.
//!
//! - It is `healthy` while no change has waited for longer than a minute to be written. That is also said by one that has just been started and has
//!   written nothing at all: `status`, which has a member a family, is not there for a moment, and then the times within are those of its start.
//! - 503 may also mean that an autoscaler is about to delete the node, or somebody has (`nodeEligible`, KEP-3836): that is the controller's to weigh.
//! - `lastUpdated` beside `status` means nothing: of a healthy one it is the time of the answer. That within is when the family was last written.
//! - Before Kubernetes 1.34 there is neither `healthy` nor `status`, and the code has to do.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use portolan_core::balancer::Family;
use portolan_core::time::Time;
use serde::Deserialize;
use tokio::net::TcpStream;

use super::Answer;
use super::checks::{Check, Heard};
use crate::cluster::clock::Clock;

/// An answer takes no longer: less than from one question to the next.
const PATIENCE: Duration = Duration::from_millis(700);
/// Octets of the longest answer that is read.
const ROOM: usize = 16 * 1024;

/// Asks it once.
pub(super) async fn ask(kube_proxy: SocketAddr, clock: Clock) -> Answer {
    let asked = clock.now();
    match tokio::time::timeout(PATIENCE, get(kube_proxy)).await {
        Ok(Ok((code, body))) => read(code, &body, asked),
        Ok(Err(error)) => {
            tracing::debug!(%error, "kube-proxy does not answer");
            Answer::Nothing
        }
        Err(_) => {
            tracing::debug!("kube-proxy does not answer in time");
            Answer::Nothing
        }
    }
}

/// Asks once at a health check port, at the first of the node's addresses of the family where it is open: kube-proxy may have been told to use only
/// some (`--nodeport-addresses`; in nftables mode it does so by itself), the loopback's least of all.
pub(super) async fn check((family, port): Check, node: &[IpAddr]) -> Heard {
    let loopback = match family {
        Family::V4 => IpAddr::V4(Ipv4Addr::LOCALHOST),
        Family::V6 => IpAddr::V6(Ipv6Addr::LOCALHOST),
    };
    let own = node.iter().copied().filter(|address| Family::of(*address) == family);
    let ask_all = async {
        for address in own.chain([loopback]) {
            if let Ok((code, _)) = get(SocketAddr::new(address, port)).await {
                return if code == StatusCode::OK { Heard::Well } else { Heard::Unwell };
            }
        }
        Heard::Nothing
    };
    tokio::time::timeout(PATIENCE, ask_all).await.unwrap_or(Heard::Nothing)
}

async fn get(kube_proxy: SocketAddr) -> Result<(StatusCode, Bytes), Box<dyn std::error::Error + Send + Sync>> {
    let stream = TcpStream::connect(kube_proxy).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::get("/healthz")
        .header(header::HOST, kube_proxy.to_string())
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())?;
    let exchange = async {
        let (head, body) = sender.send_request(request).await?.into_parts();
        let body = Limited::new(body, ROOM).collect().await?.to_bytes();
        Ok((head.status, body))
    };
    // The connection moves only while somebody drives it; it may end before what it brought has been read.
    tokio::pin!(exchange);
    tokio::select! {
        answer = &mut exchange => return answer,
        ended = connection => ended?,
    }
    exchange.await
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Health {
    /// Old ones write it as Go prints it, which nobody reads.
    current_time: Option<String>,
    node_eligible: Option<bool>,
    healthy: Option<bool>,
    #[serde(default)]
    status: BTreeMap<String, Written>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Written {
    last_updated: String,
}

/// What an answer means that was asked for then.
fn read(code: StatusCode, body: &[u8], asked: Time) -> Answer {
    let Ok(health) = serde_json::from_slice::<Health>(body) else {
        // Somebody else's, who may mean the code.
        return of_code(code, None);
    };
    match health.healthy {
        Some(true) if health.status.is_empty() => Answer::Unhealthy,
        Some(true) => {
            let current: Option<Timestamp> = health.current_time.and_then(|text| text.parse().ok());
            let written = |family| {
                let then = health.status.get(family)?.last_updated.parse().ok()?;
                Some(at(asked, current?, then))
            };
            Answer::Healthy { v4: written("IPv4"), v6: written("IPv6") }
        }
        Some(false) => Answer::Unhealthy,
        None => of_code(code, health.node_eligible),
    }
}

fn of_code(code: StatusCode, node_eligible: Option<bool>) -> Answer {
    let is_well = code == StatusCode::OK || (code == StatusCode::SERVICE_UNAVAILABLE && node_eligible == Some(false));
    if is_well { Answer::Healthy { v4: None, v6: None } } else { Answer::Unhealthy }
}

/// A time of kube-proxy's clock by ours, rather too early than too late. One from before our beginning is at the beginning.
fn at(asked: Time, current: Timestamp, then: Timestamp) -> Time {
    let age = Duration::try_from(current.duration_since(then)).unwrap_or_default();
    Time::default() + asked.since(Time::default()).saturating_sub(age)
}

#[cfg(test)]
mod tests;
