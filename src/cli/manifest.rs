//! Files of manifests, as more than one subcommand reads them.

use std::io::Read;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Characters of what is said about an object that cannot be read.
pub(super) const LONGEST_PROBLEM: usize = 300;

/// The text of a file; of `-`, that of standard input.
pub(super) fn read(file: &Path) -> std::io::Result<String> {
    if file == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text)?;
        return Ok(text);
    }
    std::fs::read_to_string(file)
}

/// The same object as the server would store it where its manifest names no namespace.
pub(super) fn in_namespace(mut document: Value) -> Value {
    if let Some(metadata) = document.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.entry("namespace").or_insert_with(|| json!("default"));
    }
    document
}

/// A document that is not what its kind says.
#[derive(Debug, thiserror::Error)]
#[error("{of}: {problem}")]
pub(super) struct Mistyped {
    /// Its kind and name.
    of: String,
    /// Where, and what.
    problem: serde_path_to_error::Error<serde_json::Error>,
}

/// What a document says, as the type that it should be.
pub(super) fn typed<K: DeserializeOwned>(document: Value) -> Result<K, Mistyped> {
    let text = |pointer| document.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty());
    let name = text("/metadata/name").unwrap_or("without a name");
    let name = text("/metadata/namespace").map_or_else(|| name.to_owned(), |namespace| format!("{namespace}/{name}"));
    let of = format!("{} {name}", text("/kind").unwrap_or("object"));
    serde_path_to_error::deserialize(document).map_err(|problem| Mistyped { of, problem })
}
