//! What the runs of a bench have in common.

use std::time::Duration;

use crate::harness::{Controller, eventually};
use crate::server::Server;

/// How many Services are created one after the other, when nothing else goes on.
pub(crate) const SINGLES: usize = 50;

/// A server of its own for a run.
pub(crate) fn fresh(name: &str) -> &'static Server {
    let server = Server::start(&format!("scale-{name}")).expect("KUBEBUILDER_ASSETS is set");
    let server: &'static Server = Box::leak(Box::new(server));
    server.apply_crds();
    server
}

/// Waits until a controller has listed everything, for the `time`-th time of its log.
pub(crate) fn begun(controller: &Controller, time: usize) {
    eventually("everything is listed", Duration::from_secs(120), || {
        let times = controller.log().matches("all kinds are listed").count();
        if times >= time { Ok(()) } else { Err(controller.log()) }
    });
}
