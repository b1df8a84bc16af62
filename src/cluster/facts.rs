//! The cluster as providers may read it: written by the dispatcher, who owns the index, and read by whoever needs it.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use portolan_core::facts::{self, Claim, Facts};
use portolan_core::record::Record;
use portolan_core::snapshot::Node;

use crate::controller::index::Slices;

/// What was last shown.
#[derive(Debug, Default)]
pub(crate) struct Shown {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    nodes: Arc<Vec<Arc<Node>>>,
    records: Option<Arc<Vec<Arc<Record>>>>,
    slices: Slices,
}

impl Shown {
    /// The Nodes of a snapshot.
    pub(crate) fn show_nodes(&self, nodes: &Arc<Vec<Arc<Node>>>) {
        self.lock().nodes = Arc::clone(nodes);
    }

    /// The records that there were when everything had been listed.
    pub(crate) fn show_records(&self, records: Vec<Arc<Record>>) {
        self.lock().records = Some(Arc::new(records));
    }

    /// The EndpointSlices, which are followed from now on.
    pub(crate) fn show_slices(&self, slices: Slices) {
        self.lock().slices = slices;
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Facts for Shown {
    fn nodes(&self) -> Arc<Vec<Arc<Node>>> {
        Arc::clone(&self.lock().nodes)
    }

    fn records(&self) -> Option<Arc<Vec<Arc<Record>>>> {
        self.lock().records.clone()
    }

    fn claims(&self, addresses: &BTreeSet<IpAddr>) -> Vec<Claim> {
        let slices = self.lock().slices.clone();
        facts::claims(slices.all().values().flatten(), addresses)
    }
}
