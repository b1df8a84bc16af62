//! Annotations that ride on a write which is made anyway.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// What becomes of each; without a value, it goes.
pub(crate) type Annotations = BTreeMap<&'static str, Option<String>>;

/// The metadata of a merge patch (RFC 7386) with these annotations. Where there are none nothing is said of
/// annotations: an empty object would claim the field, and none at all take away everybody's.
pub(super) fn beside(mut metadata: Value, annotations: &Annotations) -> Value {
    if let Some(fields) = metadata.as_object_mut().filter(|_| !annotations.is_empty()) {
        fields.insert("annotations".to_owned(), json!(annotations));
    }
    metadata
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn annotations_are_named_one_by_one_or_not_at_all() {
        let metadata = || json!({"uid": "u"});
        assert_eq!(beside(metadata(), &Annotations::new()), metadata());
        let some = Annotations::from([("a", Some("b".to_owned())), ("c", None)]);
        assert_eq!(beside(metadata(), &some), json!({"uid": "u", "annotations": {"a": "b", "c": null}}));
    }
}
