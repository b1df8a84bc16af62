//! Label selectors (<https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors>), read once and matched often.

use std::collections::{BTreeMap, BTreeSet};

/// Labels of an object.
pub type Labels = BTreeMap<String, String>;

/// All of these have to hold; without any it matches everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    /// Its requirements.
    pub requirements: Vec<Requirement>,
}

/// What a label has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Requirement {
    /// It is one of these.
    In(String, BTreeSet<String>),
    /// It is none of these, or is not there.
    NotIn(String, BTreeSet<String>),
    /// It is there.
    Exists(String),
    /// It is not there.
    DoesNotExist(String),
}

impl Selector {
    /// These labels are selected.
    pub fn matches(&self, labels: &Labels) -> bool {
        self.requirements.iter().all(|requirement| requirement.holds(labels))
    }
}

impl Requirement {
    fn holds(&self, labels: &Labels) -> bool {
        match self {
            Self::In(key, values) => labels.get(key).is_some_and(|value| values.contains(value)),
            Self::NotIn(key, values) => labels.get(key).is_none_or(|value| !values.contains(value)),
            Self::Exists(key) => labels.contains_key(key),
            Self::DoesNotExist(key) => !labels.contains_key(key),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selector_matches_as_the_api_server_does() {
        let labels: Labels = [("tier".to_owned(), "front".to_owned())].into();
        let key = || "tier".to_owned();
        let values = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect::<BTreeSet<_>>();
        for (requirement, holds, holds_without) in [
            (Requirement::In(key(), values(&["front", "back"])), true, false),
            (Requirement::In(key(), values(&["back"])), false, false),
            (Requirement::NotIn(key(), values(&["back"])), true, true),
            (Requirement::NotIn(key(), values(&["front"])), false, true),
            (Requirement::Exists(key()), true, false),
            (Requirement::DoesNotExist(key()), false, true),
        ] {
            let selector = Selector { requirements: vec![requirement] };
            assert_eq!(
                (selector.matches(&labels), selector.matches(&Labels::new())),
                (holds, holds_without),
                "{selector:?}"
            );
        }
        assert!(Selector::default().matches(&Labels::new()));
    }
}
