//! What wakes the controller: changes made from outside, as lines added to one file, one id each; `*` means every load balancer.
//!
//! Readiness and draining need no line: whoever waits for those knows when to look again.

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures::Stream;
use futures::stream::unfold;
use portolan_core::ids::LoadBalancerId;

use crate::clock::Clock;
use crate::store::{Store, file_name, id_of};
use crate::stored::ids;

/// The file.
const CHANGES: &str = "changes";

/// Everybody.
const ALL: &str = "*";

/// How often the file is looked at: a change wakes its key within twice this.
const EVERY: Duration = Duration::from_millis(100);

/// Says that these load balancers, or all, have changed.
pub(crate) fn announce(store: &Store, ids: &BTreeSet<LoadBalancerId>, everybody: bool) -> io::Result<()> {
    let mut lines: String = ids.iter().map(|id| format!("{}\n", file_name(id.as_str()))).collect();
    if everybody {
        lines.push_str(ALL);
        lines.push('\n');
    }
    if lines.is_empty() { Ok(()) } else { store.append(CHANGES, lines.as_bytes()) }
}

/// The load balancers that change from now on. It never ends; a disk that cannot be read is asked again.
pub(crate) fn changes(store: Store, clock: Arc<dyn Clock>) -> impl Stream<Item = LoadBalancerId> + Send + 'static {
    // Nothing can be read: nothing has been announced yet, or we shall read it all.
    let position = store.length(CHANGES).unwrap_or(0);
    let reader = Reader { store, clock, position, pending: VecDeque::new() };
    unfold(reader, |mut reader| async move {
        loop {
            if let Some(id) = reader.pending.pop_front() {
                return Some((id, reader));
            }
            reader.clock.sleep(EVERY).await;
            reader.look();
        }
    })
}

struct Reader {
    store: Store,
    clock: Arc<dyn Clock>,
    position: u64,
    pending: VecDeque<LoadBalancerId>,
}

impl Reader {
    fn look(&mut self) {
        let Ok(length) = self.store.length(CHANGES) else { return };
        if length == self.position {
            return;
        }
        let Ok(text) = self.store.read(CHANGES) else { return };
        let text = text.unwrap_or_default();
        // Somebody has begun the file anew; what it says now is all new.
        let from = if length < self.position { 0 } else { usize::try_from(self.position).unwrap_or(usize::MAX) };
        let news = text.get(from..).unwrap_or_default();
        // A line that is being written is read when it is whole.
        let whole = news.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last.saturating_add(1));
        let lines = String::from_utf8_lossy(news.get(..whole).unwrap_or_default()).into_owned();
        if lines.lines().any(|line| line == ALL) {
            let Ok(everybody) = ids(&self.store) else { return };
            self.pending.extend(everybody);
        }
        self.pending.extend(lines.lines().filter_map(id_of).filter(|id| id != ALL).map(LoadBalancerId::new));
        self.position = from.saturating_add(whole) as u64;
    }
}
