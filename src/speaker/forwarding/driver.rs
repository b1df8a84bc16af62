//! Asks kube-proxy and hands on what is to be announced: a task of its own, so that no frame waits for an answer.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::future::{Future, pending, ready};
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::healthz::{ask, check};
use super::{Answer, Forwarding, Input, Output, Standing};
use crate::cluster::clock::Clock;
use crate::speaker::fellows::WorseOff;
use crate::speaker::ranks::Owns;

type Asking = Pin<Box<dyn Future<Output = Answer> + Send>>;

/// What is known.
#[derive(Clone, Debug)]
pub(crate) struct Sources {
    /// What the node owns.
    pub(crate) ranked: watch::Receiver<Option<Arc<Owns>>>,
    /// What other nodes do not forward.
    pub(crate) worse_off: watch::Receiver<Arc<WorseOff>>,
}

/// Where kube-proxy is asked.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    /// Of itself; none if it is not there to be asked.
    pub(crate) kube_proxy: Option<SocketAddr>,
    /// Of the node's endpoints, at health check ports: the node's addresses, but for the loopback's.
    pub(crate) node: Vec<IpAddr>,
}

/// What the node does not forward.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stands {
    pub(crate) node: Standing,
    /// The health check ports that fail, and the addresses behind them.
    pub(crate) failed_checks: BTreeMap<u16, BTreeSet<IpAddr>>,
}

/// Publishes what is to be announced of what the node owns, as kube-proxy answers in these places, until `stop`.
pub(crate) async fn run(
    places: Places,
    mut from: Sources,
    announced: watch::Sender<Option<Arc<Owns>>>,
    stands: watch::Sender<Stands>,
    clock: Clock,
    stop: CancellationToken,
) -> Result<(), Infallible> {
    let (mut forwarding, mut outputs) = (Forwarding::default(), Vec::new());
    let mut asking: Asking = Box::pin(pending());
    let mut checking = FuturesUnordered::new();
    loop {
        let due = forwarding.deadline();
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            // Whoever says these ends only when the process does.
            Ok(()) = from.ranked.changed() => {
                let owns = from.ranked.borrow_and_update().clone();
                let Some(owns) = owns else { continue };
                forwarding.step(clock.now(), Input::Ranked(&owns), &mut outputs);
            }
            Ok(()) = from.worse_off.changed() => {
                let worse_off = from.worse_off.borrow_and_update().clone();
                forwarding.step(clock.now(), Input::FellowsHeard(&worse_off), &mut outputs);
            }
            answer = &mut asking => {
                asking = Box::pin(pending());
                forwarding.step(clock.now(), Input::Answered(answer), &mut outputs);
            }
            Some((port, heard)) = checking.next() => {
                forwarding.step(clock.now(), Input::Checked(port, heard), &mut outputs);
            }
            () = clock.sleep_until(due) => forwarding.step(clock.now(), Input::TimePassed, &mut outputs),
        }
        for output in outputs.drain(..) {
            match output {
                Output::Ask => {
                    asking = match places.kube_proxy {
                        Some(address) => Box::pin(ask(address, clock)),
                        None => Box::pin(ready(Answer::Nothing)),
                    }
                }
                Output::Check(port) => {
                    let node = &places.node;
                    checking.push(async move { (port, check(port, node).await) });
                }
                Output::Publish(owns) => drop(announced.send_replace(Some(Arc::new(owns)))),
            }
        }
        let node = places.kube_proxy.map(|_| forwarding.standing()).unwrap_or_default();
        let now = Stands { node, failed_checks: forwarding.failed_checks() };
        stands.send_if_modified(|last| {
            let changed = *last != now;
            *last = now;
            changed
        });
    }
}
