//! Attributes: only those that differ, and AWS's default in those that were ours and are no more.

use std::collections::BTreeSet;

use crate::attributes::{Attributes, Owner};
use crate::state::Observed;
use crate::step::{AttributesOf, Step};

/// `writes` says what has to stand there, where these keys were ours before.
pub(super) fn put(
    now: &Attributes,
    observed: Option<&Observed>,
    owner: Owner,
    writes: impl FnOnce(&BTreeSet<String>) -> Attributes,
    of: impl FnOnce() -> AttributesOf,
    steps: &mut Vec<Step>,
) {
    let nothing = Observed::default();
    let observed = observed.unwrap_or(&nothing);
    let mut values = writes(&observed.owned);
    values.retain(|key, value| {
        let current = observed.values.get(key.as_str()).map(String::as_str);
        let differs = current.unwrap_or_else(|| key.attribute().at_birth(owner)) != value;
        // A key that is given up is written once more even so: only then it is not ours any more, and whoever sets it later keeps it.
        differs || !now.contains_key(key)
    });
    if !values.is_empty() {
        let owned = now.keys().map(|key| key.as_str().to_owned()).collect();
        steps.push(Step::SetAttributes { of: of(), values, owned });
    }
}
