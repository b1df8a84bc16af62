//! Tags: only those that differ; those that were given and are asked for no more go, and those of others stay.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::Model;
use crate::names::is_of_node_labels;
use crate::settings::tags::is_of_controllers;
use crate::state::State;
use crate::step::{Step, Tagged};

/// What goes makes room for what comes: AWS takes 50 on an object.
pub(super) fn put(
    model: &Model,
    observed: &State,
    has: &BTreeMap<String, String>,
    mut wanted: BTreeMap<String, String>,
    of: impl Fn() -> Tagged,
    steps: &mut Vec<Step>,
) {
    // Somebody here is left as it is, and with it all that it may have asked for.
    if !model.pinned {
        let given = |key: &String| observed.given.contains(key) && !is_of_controllers(key);
        let goes = |key: &&String| !wanted.contains_key(*key) && (given(key) || is_of_node_labels(key));
        let keys: BTreeSet<String> = has.keys().filter(goes).cloned().collect();
        if !keys.is_empty() {
            steps.push(Step::RemoveTags { of: of(), keys });
        }
    }
    wanted.retain(|key, value| has.get(key) != Some(value));
    if !wanted.is_empty() {
        steps.push(Step::SetTags { of: of(), tags: wanted });
    }
}
