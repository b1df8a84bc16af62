//! The role that runs on each node and answers ARP and neighbour discovery for the addresses that the node owns.
//!
//! ```text
//!   VirtualIPs --> ranks --> forwarding --+                                        +--> frames
//!                 kube-proxy ---^         +--> duty (pure) --> edits --> wire -----+
//!   netlink --> interfaces ---------------+                              ^  |      +<-- frames
//!   SpeakerReports of others --> fellows --------------------------------+  +--> told --> report (SpeakerReport)
//!                                    |                                                      ^
//!   VirtualIPs --> ranks ------------+--> errands (pure) --> witness --> frames, and back ---+
//! ```
//!
//! | Rule | Module |
//! |---|---|
//! | which addresses this node owns, and which it has left to another | [`ranks`] |
//! | which of them it announces, by what its kube-proxy says | [`forwarding`] |
//! | whose frames are no stranger's | [`fellows`] |
//! | on which interfaces it announces each; what to do when that changes | [`duty`] |
//! | one interface: its sockets, groups and responder | [`segment`] |
//! | all of them, one timer, what came of it | [`wire`] |
//! | which addresses of other nodes this one proves to be reached, and in whose name | [`witness::errands`] |
//! | that it does, and what it found | [`witness`] |
//! | which settings of the kernel are in the way | [`preflight`] |
//! | what of it all the cluster is told, and how often | [`report`] |
//!
//! An address goes from node to node make before break: who had it answers on until he has heard the heir (`portolan_l2::handover`).
//! What was seen last stands while the API server cannot be reached: an address keeps its owner until somebody ranks it otherwise.

pub(crate) mod duty;
pub(crate) mod fellows;
pub(crate) mod forwarding;
pub(crate) mod preflight;
pub(crate) mod ranks;
pub(crate) mod report;
mod segment;
pub(crate) mod wire;
pub(crate) mod witness;

use std::sync::Arc;

use portolan_sys::{Interface, Interfaces};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Reads the kernel's interfaces and hands them on, until `stop`.
pub(crate) async fn interfaces(
    found: watch::Sender<Option<Arc<Vec<Interface>>>>,
    stop: CancellationToken,
) -> Result<(), portolan_sys::interfaces::Error> {
    let mut interfaces = Interfaces::open()?;
    let read = async {
        loop {
            let all = interfaces.next().await?;
            found.send_replace(Some(Arc::new(all)));
        }
    };
    stop.run_until_cancelled(read).await.unwrap_or(Ok(()))
}
