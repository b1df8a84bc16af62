//! What `kubectl apply` on the client's side leaves on an object, and how an apply on the server's side takes it over. From
//! `k8s.io/apimachinery/pkg/util/managedfields/internal/lastapplied{,manager,updater}.go`.

use serde_json::Value;

use super::difference::Difference;
use super::extent::extent;
use super::fieldset::FieldSet;
use super::fitness;
use super::ownership::Conflict;
use super::versions::Versions;
use crate::sandbox::metadata::remove;

/// The only manager for whom this is done.
pub(super) const MANAGER: &str = "kubectl";
const ANNOTATION: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// `TotalAnnotationSizeLimitB`.
const LIMIT: usize = 256 * 1024;

/// The conflicts that are none because the same hands applied the field before, and it is still as they did.
pub(super) fn not_allowed(versions: &Versions<'_>, live: &Value, conflicts: Vec<Conflict>) -> Vec<Conflict> {
    let Some(allowed) = still_as_applied(versions, live) else { return conflicts };
    conflicts.into_iter().filter(|conflict| !allowed.holds(&conflict.path)).collect()
}

fn still_as_applied(versions: &Versions<'_>, live: &Value) -> Option<FieldSet> {
    let text = live["metadata"]["annotations"][ANNOTATION].as_str()?;
    let applied: Value = serde_json::from_str(text).ok()?;
    if applied["apiVersion"] != versions.here() || fitness::check(versions.form(), &applied).is_err() {
        return None;
    }
    let difference = Difference::between(versions.form(), &applied, live);
    let fields = extent(versions.form(), &applied);
    Some(fields.difference(&difference.modified).difference(&difference.added).difference(&difference.removed))
}

/// Keeps what an object says of its last apply true, where it says anything.
pub(super) fn renew(object: &mut Value, config: &Value) {
    let Some(annotations) = object["metadata"]["annotations"].as_object_mut() else { return };
    if annotations.get(ANNOTATION).and_then(Value::as_str).is_none_or(str::is_empty) {
        return;
    }
    let mut config = config.clone();
    if let Some(annotations) = config["metadata"].get_mut("annotations") {
        remove(annotations, ANNOTATION);
    }
    annotations.insert(ANNOTATION.to_owned(), format!("{config}\n").into());
    let size: usize = annotations.iter().map(|(name, value)| name.len() + value.as_str().map_or(0, str::len)).sum();
    if size > LIMIT {
        annotations.remove(ANNOTATION);
    }
}
