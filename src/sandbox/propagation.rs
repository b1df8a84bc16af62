//! What becomes of the dependents of an object that is deleted: the server's part, which is to hold the object back with a finalizer
//! until a garbage collector has done its part. The sandbox has no such collector, as a server without kube-controller-manager.
//! From `deletionFinalizersForGarbageCollection` in `k8s.io/apiserver/pkg/registry/generic/registry/store.go`.

use serde_json::Value;

use super::kinds::Kind;
use super::metadata::text;
use super::refused::{FieldError, Refused};
use super::route::Parameters;

/// Dependents lose their owner, and stay.
const ORPHAN: &str = "orphan";
/// Dependents go first.
const FOREGROUND: &str = "foregroundDeletion";

/// What a delete asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Propagation {
    Background,
    Foreground,
    Orphan,
}

impl Propagation {
    /// As the options, or else the query, have it; none where they leave it to the object's finalizers.
    pub(super) fn read(parameters: &Parameters, options: &Value) -> Result<Option<Self>, Refused> {
        let policy = options["propagationPolicy"].as_str().unwrap_or(parameters.text("propagationPolicy"));
        // The older form, which says half of it.
        let orphan = options["orphanDependents"].as_bool().or_else(|| parameters.text("orphanDependents").parse().ok());
        let wrong = |error: FieldError| Err(Refused::invalid_parameters("DeleteOptions", &[error]));
        match (policy, orphan) {
            ("", None) => Ok(None),
            ("", Some(true)) => Ok(Some(Self::Orphan)),
            ("", Some(false)) => Ok(Some(Self::Background)),
            (_, Some(_)) => {
                let why = "orphanDependents and deletionPropagation cannot be both set";
                wrong(FieldError::invalid("propagationPolicy", &policy.into(), why))
            }
            ("Background", None) => Ok(Some(Self::Background)),
            ("Foreground", None) => Ok(Some(Self::Foreground)),
            ("Orphan", None) => Ok(Some(Self::Orphan)),
            (other, None) => {
                let supported = ["Foreground", "Background", "Orphan", "nil"];
                wrong(FieldError::not_supported("propagationPolicy", &other.into(), &supported))
            }
        }
    }

    /// The finalizers of an object that is to be deleted so.
    pub(super) fn finalizers(asked: Option<Self>, kind: &Kind, object: &Value) -> Vec<Value> {
        let all = object["metadata"]["finalizers"].as_array().cloned().unwrap_or_default();
        let is_ours = |finalizer: &&Value| matches!(text(finalizer).as_str(), ORPHAN | FOREGROUND);
        // An object that says itself what is to become of its dependents is asked where the request says nothing.
        let own = all.iter().find(is_ours).map(text);
        let wanted = match asked {
            // Nothing depends on an Event (`GarbageCollectionPolicy` Unsupported).
            _ if kind.is("Event") => None,
            Some(Self::Background) => None,
            Some(Self::Foreground) => Some(FOREGROUND.to_owned()),
            Some(Self::Orphan) => Some(ORPHAN.to_owned()),
            None => own,
        };
        let others = all.iter().filter(|finalizer| !is_ours(finalizer)).cloned();
        let finalizers: Vec<Value> = others.chain(wanted.map(Value::from)).collect();
        // In the order in which they stood, if they are the same.
        if finalizers.len() == all.len() && finalizers.iter().all(|one| all.contains(one)) { all } else { finalizers }
    }
}
