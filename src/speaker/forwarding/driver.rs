//! Asks kube-proxy and hands on what is to be announced: a task of its own, so that no frame waits for an answer.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::future::{Future, pending};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::healthz::ask;
use super::{Answer, Forwarding, Input, Output, Standing};
use crate::cluster::clock::Clock;
use crate::speaker::ranks::Owns;

type Asking = Pin<Box<dyn Future<Output = Answer> + Send>>;

/// What is known.
#[derive(Clone, Debug)]
pub(crate) struct Sources {
    /// What the node owns.
    pub(crate) ranked: watch::Receiver<Option<Arc<Owns>>>,
    /// The other nodes where nothing is forwarded.
    pub(crate) worse_off: watch::Receiver<Arc<BTreeSet<String>>>,
}

/// Publishes what is to be announced of what the node owns, as kube-proxy answers at this address, until `stop`.
pub(crate) async fn run(
    kube_proxy: SocketAddr,
    mut from: Sources,
    announced: watch::Sender<Option<Arc<Owns>>>,
    stands: watch::Sender<Standing>,
    clock: Clock,
    stop: CancellationToken,
) -> Result<(), Infallible> {
    let (mut forwarding, mut outputs) = (Forwarding::default(), Vec::new());
    let mut asking: Asking = Box::pin(pending());
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
            () = clock.sleep_until(due) => forwarding.step(clock.now(), Input::TimePassed, &mut outputs),
        }
        for output in outputs.drain(..) {
            match output {
                Output::Ask => asking = Box::pin(ask(kube_proxy, clock)),
                Output::Publish(owns) => drop(announced.send_replace(Some(Arc::new(owns)))),
            }
        }
        let now = forwarding.standing();
        stands.send_if_modified(|last| std::mem::replace(last, now) != now);
    }
}
