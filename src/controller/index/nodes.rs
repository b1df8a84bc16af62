//! The Nodes as the watch tells of them, and as snapshots show them. They come and go in numbers, and each concerns everybody: so what has
//! changed is shown, and wakes anybody, only when whoever has a clock finds that they have settled (`controller/lull.rs`).

use std::mem;
use std::sync::Arc;

use portolan_core::snapshot::Node;

use super::store::{Event, Store};

#[derive(Debug, Default)]
pub(super) struct Nodes {
    now: Store<Arc<Node>>,
    shown: Arc<Vec<Arc<Node>>>,
    news: bool,
}

impl Nodes {
    pub(super) fn observe(&mut self, event: Event<Arc<Node>>) {
        self.news |= !self.now.observe(event).is_empty();
    }

    /// How many lists were completed.
    pub(super) fn lists(&self) -> u64 {
        self.now.lists()
    }

    /// As they are now.
    #[cfg(test)]
    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Node>> {
        self.now.iter()
    }

    /// As they were when they had last settled.
    pub(super) fn shown(&self) -> Arc<Vec<Arc<Node>>> {
        Arc::clone(&self.shown)
    }

    /// Whether any has changed since this was asked last, or they have settled.
    pub(super) fn take_news(&mut self) -> bool {
        mem::take(&mut self.news)
    }

    /// They are shown as they are from now on. Whether any decision can tell: not if they have only come and gone.
    pub(super) fn settle(&mut self) -> bool {
        self.news = false;
        let differ = !self.now.iter().eq(self.shown.iter());
        if differ {
            self.shown = Arc::new(self.now.iter().cloned().collect());
        }
        differ
    }
}
