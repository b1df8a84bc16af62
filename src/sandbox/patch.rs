//! Patches: JSON (RFC 6902), merge (RFC 7386) and strategic merge.

use json_patch::PatchOperation;
use serde::Deserialize as _;
use serde_json::Value;

use super::decoder::{Dialect, go_value, json_name};
use super::kinds::Kind;
use super::refused::Refused;
use super::route::Target;
use super::strategic;

/// `maxJSONPatchOperations` of `k8s.io/apiserver/pkg/endpoints/handlers/patch.go`.
const MOST_OPERATIONS: usize = 10_000;

/// What is to change.
pub(super) enum Patch {
    Json(Vec<PatchOperation>),
    Merge(Value),
    Strategic(Value),
}

impl Patch {
    pub(super) fn read(content_type: &str, body: &[u8], target: &Target) -> Result<Self, Refused> {
        match content_type {
            "application/json-patch+json" => operations(body).map(Self::Json),
            "application/merge-patch+json" => object(body, "error decoding patch: ").map(Self::Merge),
            "application/strategic-merge-patch+json" if !target.kind.custom => object(body, "").map(Self::Strategic),
            "application/strategic-merge-patch+json" => Err(Refused::unsupported_media_type(
                "the body of the request was in an unknown format - accepted media types include: \
                 application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml",
            )),
            _ => Err(Refused::unsupported_media_type("415: Unsupported Media Type")),
        }
    }

    /// Which of the server's decoders reads what the patch made.
    pub(super) fn dialect(&self) -> Dialect {
        match self {
            Self::Strategic(_) => Dialect::Map,
            Self::Json(_) | Self::Merge(_) => Dialect::Json,
        }
    }

    /// What a client is shown of a patch after which nobody can read the object.
    pub(super) fn told(&self, patched: &Value) -> String {
        match self {
            Self::Strategic(patch) => go_value(patch),
            Self::Json(_) | Self::Merge(_) => patched.to_string(),
        }
    }

    pub(super) fn apply(&self, kind: &Kind, mut object: Value) -> Result<Value, Refused> {
        match self {
            Self::Json(operations) => {
                for operation in operations {
                    operate(operation, &mut object).ok_or_else(Refused::unfit_patch)?;
                }
            }
            Self::Merge(patch) => json_patch::merge(&mut object, patch),
            Self::Strategic(patch) => strategic::merge(kind, &mut object, patch).map_err(|why| {
                // Go's errors of a form (`mergepatch.ErrBadPatchFormat...`) are the client's fault, all others the server's.
                let of_form = why.starts_with("invalid patch format");
                if of_form { Refused::bad_request(why) } else { Refused::unexpected(why) }
            })?,
        }
        Ok(object)
    }
}

/// One operation. The server's library replaces what is not there, too (`gopkg.in/evanphx/json-patch.v4`).
fn operate(operation: &PatchOperation, object: &mut Value) -> Option<()> {
    if let PatchOperation::Replace(replace) = operation
        && let Some((parent, name)) = replace.path.split_back()
        && let Some(Value::Object(fields)) = object.pointer_mut(parent.as_str())
    {
        fields.insert(name.decoded().into_owned(), replace.value.clone());
        return Some(());
    }
    if let PatchOperation::Test(test) = operation
        && test.value.is_null()
        && object.pointer(test.path.as_str()).is_none()
        && test.path.split_back().is_some_and(|(parent, _)| object.pointer(parent.as_str()).is_some())
    {
        return Some(()); // what is not there is null
    }
    if let PatchOperation::Remove(remove) = operation
        && let Some((parent, name)) = remove.path.split_back()
        && let Some(from_end) = name.decoded().strip_prefix('-').and_then(|number| number.parse::<usize>().ok())
        && let Some(Value::Array(items)) = object.pointer_mut(parent.as_str())
    {
        let index = items.len().checked_sub(from_end).filter(|index| *index < items.len())?;
        items.remove(index); // its option `SupportNegativeIndices` is on
        return Some(());
    }
    json_patch::patch(object, std::slice::from_ref(operation)).ok()
}

fn operations(body: &[u8]) -> Result<Vec<PatchOperation>, Refused> {
    let patch = json(body)?;
    let Some(operations) = patch.as_array() else {
        return Err(not_of(&patch, "error decoding patch: ", "[]handlers.jsonPatchOp"));
    };
    if operations.len() > MOST_OPERATIONS {
        let why =
            format!("The allowed maximum operations in a JSON patch is {MOST_OPERATIONS}, got {}", operations.len());
        return Err(Refused::too_large(why));
    }
    let read = |operation: &Value| PatchOperation::deserialize(operation).map_err(|_| Refused::unfit_patch());
    operations.iter().map(read).collect()
}

fn object(body: &[u8], prefix: &str) -> Result<Value, Refused> {
    let patch = json(body)?;
    if patch.is_object() { Ok(patch) } else { Err(not_of(&patch, prefix, "map[string]interface {}")) }
}

fn json(body: &[u8]) -> Result<Value, Refused> {
    serde_json::from_slice(body).map_err(|error| Refused::bad_request(format!("error decoding patch: {error}")))
}

fn not_of(patch: &Value, prefix: &str, go: &str) -> Refused {
    Refused::bad_request(format!("{prefix}json: cannot unmarshal {} into Go value of type {go}", json_name(patch)))
}
