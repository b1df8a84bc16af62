//! Files of manifests, as more than one subcommand reads them.

use std::io::Read;
use std::path::Path;

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
