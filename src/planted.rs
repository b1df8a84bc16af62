//! Bugs planted on purpose, one at a time, to show that the simulation bites. Outside tests and simulations there are none:
//! [`planted`] is `false` for the compiler.

/// A bug that can be planted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bug {
    /// Our finalizer goes before what it stands for.
    FinalizerFirst,
    /// The record goes before what it stands for, so that a crash in between leaves it for ever.
    RecordFirst,
    /// The record is written after the first effect.
    RecordLate,
    /// A conflict about a record is taken for success.
    ConflictIsSuccess,
    /// A status is written back whatever has happened to the Service meanwhile.
    StaleStatus,
    /// What a watch lists anew after it has missed something is not taken in.
    GapNotRelisted,
    /// Conditions of others are overwritten.
    ForeignConditions,
    /// Finalizers of others are taken off with ours.
    ForeignFinalizers,
    /// A standby does not wait until it leads.
    StandbyActs,
    /// What the server has put off (429) is never done.
    BusyForgotten,
    /// A controller that starts makes anew what it finds.
    MadeAnew,
    /// What changes while a pass is under way brings its key back no more.
    LostWakeup,
}

#[cfg(all(feature = "sandbox", any(test, feature = "simulation")))]
pub(crate) use switch::{fresh, plant, planted};

#[cfg(all(feature = "sandbox", any(test, feature = "simulation")))]
mod switch {
    use std::cell::Cell;

    use super::Bug;

    thread_local! {
        /// Of the run of this thread: a run is one thread.
        static PLANTED: Cell<Option<Bug>> = const { Cell::new(None) };
        static FRESH: Cell<bool> = const { Cell::new(false) };
    }

    impl Bug {
        /// All of them.
        pub(crate) const ALL: [Self; 12] = [
            Self::FinalizerFirst,
            Self::RecordFirst,
            Self::RecordLate,
            Self::ConflictIsSuccess,
            Self::StaleStatus,
            Self::GapNotRelisted,
            Self::ForeignConditions,
            Self::ForeignFinalizers,
            Self::StandbyActs,
            Self::BusyForgotten,
            Self::MadeAnew,
            Self::LostWakeup,
        ];
    }

    /// This bug is there.
    pub(crate) fn planted(bug: Bug) -> bool {
        PLANTED.get() == Some(bug)
    }

    /// From now on this thread has this bug, or none.
    pub(crate) fn plant(bug: Option<Bug>) {
        PLANTED.set(bug);
        FRESH.set(false);
    }

    /// Whether a controller has started (`true`) since this was asked last (`false`).
    pub(crate) fn fresh(starts: bool) -> bool {
        FRESH.replace(starts)
    }
}

/// There is none.
#[cfg(not(all(feature = "sandbox", any(test, feature = "simulation"))))]
pub(crate) const fn planted(_: Bug) -> bool {
    false
}

/// There is none that asks.
#[cfg(not(all(feature = "sandbox", any(test, feature = "simulation"))))]
pub(crate) const fn fresh(_: bool) -> bool {
    false
}
