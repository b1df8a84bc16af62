//! Patches: JSON (RFC 6902), merge (RFC 7386) and strategic merge.

use serde_json::Value;

use super::decoder::{Dialect, go_value};
use super::kinds::Kind;
use super::refused::Refused;
use super::route::Target;
use super::strategic;

/// What is to change.
pub(super) enum Patch {
    Json(json_patch::Patch),
    Merge(Value),
    Strategic(Value),
}

impl Patch {
    pub(super) fn read(content_type: &str, body: &[u8], target: &Target) -> Result<Self, Refused> {
        let unreadable = |error: serde_json::Error| Refused::bad_request(format!("error decoding patch: {error}"));
        match content_type {
            "application/json-patch+json" => serde_json::from_slice(body).map(Self::Json).map_err(unreadable),
            "application/merge-patch+json" => object(body).map(Self::Merge),
            "application/strategic-merge-patch+json" if !target.kind.custom => object(body).map(Self::Strategic),
            "application/strategic-merge-patch+json" => Err(Refused::unsupported_media_type(
                "the body of the request was in an unknown format - accepted media types include: \
                 application/json-patch+json, application/merge-patch+json",
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
            Self::Json(patch) => json_patch::patch(&mut object, patch).map_err(|_| {
                Refused::unprocessable("the server rejected our request due to an error in our request")
            })?,
            Self::Merge(patch) => json_patch::merge(&mut object, patch),
            Self::Strategic(patch) => strategic::merge(kind, &mut object, patch).map_err(Refused::unexpected)?,
        }
        Ok(object)
    }
}

fn object(body: &[u8]) -> Result<Value, Refused> {
    let patch: Value =
        serde_json::from_slice(body).map_err(|error| Refused::bad_request(format!("error decoding patch: {error}")))?;
    if patch.is_object() { Ok(patch) } else { Err(Refused::bad_request("error decoding patch: it is no JSON object")) }
}
