//! What does not become the same here, and what to do about it.

/// One of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Finding {
    /// Whether it matters.
    pub weight: Weight,
    /// The object, as people name it.
    pub about: String,
    /// What is different, and what to do.
    pub what: String,
}

/// Whether it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Weight {
    /// It has no equivalent, and decides who gets or who announces an address.
    Changes,
    /// It is good to know.
    Differs,
}

impl Finding {
    pub(super) fn changes(about: impl Into<String>, what: impl Into<String>) -> Self {
        Self { weight: Weight::Changes, about: about.into(), what: what.into() }
    }

    pub(super) fn differs(about: impl Into<String>, what: impl Into<String>) -> Self {
        Self { weight: Weight::Differs, about: about.into(), what: what.into() }
    }
}

/// Names in a row, for a sentence.
pub(super) fn listed<T: ToString>(all: impl IntoIterator<Item = T>) -> String {
    all.into_iter().map(|one| one.to_string()).collect::<Vec<_>>().join(", ")
}
