//! One process of a controller: how many calls it has made, and at which of them it dies.

use std::sync::{Mutex, MutexGuard};

use tokio_util::sync::CancellationToken;

use super::schedule::Moment;

/// From its start to its end. What is dead does nothing any more: a call of it neither begins nor ends.
pub(super) struct Life {
    /// Which of the controllers.
    pub(super) who: usize,
    /// Unlike any other life's of a run.
    pub(super) number: u64,
    /// Cancelled at its end.
    pub(super) over: CancellationToken,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    calls: u64,
    /// It dies at this call.
    fate: Option<(u64, Moment)>,
}

impl Life {
    pub(super) fn new(who: usize, number: u64) -> Self {
        Self { who, number, over: CancellationToken::new(), state: Mutex::default() }
    }

    /// It will die at the `call`-th call from now on, unless it is to die before.
    pub(super) fn dies_at(&self, call: u64, moment: Moment) {
        let mut state = self.state();
        let at = state.calls + call;
        if state.fate.is_none_or(|(before, _)| at < before) {
            state.fate = Some((at, moment));
        }
    }

    pub(super) fn is_spared(&self) {
        self.state().fate = None;
    }

    pub(super) fn die(&self) {
        self.over.cancel();
    }

    /// A call begins; its number.
    pub(super) async fn begins(&self) -> u64 {
        let number = {
            let mut state = self.state();
            state.calls += 1;
            state.calls
        };
        self.passes(number, Moment::Before).await;
        number
    }

    /// A call goes on, if somebody is there whose call it is.
    pub(super) async fn goes_on(&self) {
        if self.over.is_cancelled() {
            std::future::pending::<()>().await;
        }
    }

    /// A call has had its effect.
    pub(super) async fn ends(&self, number: u64) {
        self.passes(number, Moment::After).await;
    }

    async fn passes(&self, number: u64, moment: Moment) {
        if self.state().fate == Some((number, moment)) {
            self.die();
        }
        self.goes_on().await;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}
