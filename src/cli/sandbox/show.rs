//! From what the watches say to what is displayed, until all is as expected, time is up, or somebody interrupts.

use std::io::Write;
use std::pin::pin;
use std::time::Duration;

use futures::{Stream, StreamExt};
use tokio::signal::unix::{SignalKind, signal};

use super::Ended;
use super::display::Display;
use crate::cluster::clock::Clock;
use crate::config::write_duration;
use crate::controller::index::Observed;
use crate::sandbox::table::Row;
use crate::sandbox::view::View;

/// Services that are as expected have settled if they stay so for this long: what a controller is still about to do cannot be seen.
const QUIET: Duration = Duration::from_millis(500);
/// What a watch has said is displayed in batches, so that a thousand Services do not draw a thousand frames.
const BATCH: usize = 4096;

/// Displays what is observed. Comes back only if the display is for once.
pub(super) async fn show(
    observed: impl Stream<Item = Observed>,
    mut view: View,
    mut display: Display,
    out: &mut impl Write,
    clock: Clock,
    timeout: Duration,
) -> anyhow::Result<Ended> {
    let mut observed = pin!(observed.ready_chunks(BATCH));
    let mut resized = signal(SignalKind::window_change())?;
    let mut deadline = Some(clock.now() + timeout);
    let mut settles = None;
    let mut shown: Option<Vec<Row>> = None;
    display.begin(out)?;
    loop {
        tokio::select! {
            biased;
            Some(batch) = observed.next() => {
                batch.into_iter().for_each(|one| view.observe(one));
                if !view.complete() {
                    continue;
                }
                let now = view.rows();
                if shown.as_ref() != Some(&now) {
                    settles = now.iter().all(|row| row.expected).then(|| clock.now() + QUIET);
                    display.changed(shown.as_deref().unwrap_or_default(), &now, out)?;
                    shown = Some(now);
                }
                // Where changes come faster than they are displayed, whoever waits beside this (for a signal) gets a turn all the same.
                tokio::task::yield_now().await;
            }
            () = clock.sleep_until(settles) => {
                (settles, deadline) = (None, None);
                display.settled(shown.as_deref().unwrap_or_default(), None, out)?;
                if display.once {
                    return Ok(Ended::AsExpected);
                }
            }
            () = clock.sleep_until(deadline) => {
                deadline = None;
                let late = format!("within {}", write_duration(timeout));
                let Some(rows) = &shown else { anyhow::bail!("the Services could not be listed {late}") };
                display.settled(rows, Some(&late), out)?;
                if display.once {
                    return Ok(Ended::TimedOut);
                }
            }
            Some(()) = resized.recv() => {
                let rows = shown.as_deref().unwrap_or_default();
                display.changed(rows, rows, out)?;
            }
        }
    }
}
