//! YAML, in and out. The one module that knows which library reads it.
//!
//! [`documents`] reads manifests, [`parse_tree`] reads what people write by hand and must be told exactly where they went
//! wrong, [`to_string`] writes.

mod tree;

use std::fmt;

use serde::Serialize;
use serde_json::Value;
use serde_yaml::budget::BudgetBreach;
use serde_yaml::options::{DuplicateKeyPolicy, MergeKeyPolicy};
use serde_yaml::{Location, MessageFormatter, UserMessageFormatter};

pub use tree::{Entry, Node, Tree};

/// A place in a text. Both count from 1; columns count characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The line.
    pub line: u64,
    /// The column.
    pub column: u64,
}

impl Position {
    /// Where every text begins.
    pub const START: Self = Self { line: 1, column: 1 };

    /// The place where `offset` bytes of the text have been read. An offset inside a character means that character.
    pub fn at_byte(text: &[u8], offset: usize) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let line_start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        let column = String::from_utf8_lossy(before.get(line_start..).unwrap_or_default()).chars().count() + 1;
        Self { line: line as u64, column: column as u64 }
    }

    fn of(location: Location) -> Self {
        Self { line: location.line().max(1), column: location.column().max(1) }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// The text is no YAML, or one that nobody writes in good faith. Terminal: only an edit mends it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{at}: {message}")]
pub struct YamlError {
    /// Where.
    pub at: Position,
    /// What is wrong.
    pub message: String,
}

/// How deep a hand-written file may nest. Reading recurses, and a debug build needs some 40 KiB of stack a level; the smallest
/// stack that this runs on is a thread's 2 MiB.
const MAX_DEPTH: usize = 24;

/// Reads one document into a tree in which everything knows its place. A text without a document is a [`Node::Null`].
///
/// A key that stands twice is kept twice, because the reader of the tree reports it along with everything else that is wrong.
pub fn parse_tree(text: &str) -> Result<Tree, YamlError> {
    let options = serde_yaml::options! {
        budget: serde_yaml::budget! { max_depth: MAX_DEPTH },
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        merge_keys: MergeKeyPolicy::Merge,
        alias_limits: serde_yaml::alias_limits! { max_total_replayed_events: 10_000 },
        reject_unsupported_tags: true,
        // Nobody who writes a name `010` means the number ten, or eight.
        leading_zero_numbers_as_strings: true,
        with_snippet: false,
    };
    let mut trees: Vec<Tree> =
        serde_yaml::from_multiple_with_options(text, options).map_err(|error| YamlError::of(&error))?;
    if let Some(second) = trees.get(1) {
        return Err(YamlError {
            at: second.at,
            message: "a second document begins; write only one in a file".to_owned(),
        });
    }
    Ok(trees.pop().unwrap_or(Tree { at: Position::START, node: Node::Null }))
}

/// Reads manifests: any number of YAML documents, or JSON. Empty documents are left out; a `kind: List` is the caller's to
/// unpack. Scalars mean what they mean to kubectl (YAML 1.1: an unquoted `no` is `false`, `010` is eight).
pub fn documents(text: &str) -> Result<Vec<Value>, YamlError> {
    let options = serde_yaml::options! {
        // Enough for a dump of a cluster with 10,000 Services; what an alias can blow up stays at the library's limits.
        budget: serde_yaml::budget! { max_documents: 1_000_000, max_nodes: 50_000_000, max_events: 100_000_000 },
        legacy_octal_numbers: true,
        with_snippet: false,
    };
    match serde_yaml::from_multiple_with_options::<Value>(text, options) {
        Ok(documents) => Ok(documents.into_iter().filter(|document| !document.is_null()).collect()),
        Err(error) => json_documents(text, &error).ok_or_else(|| YamlError::of(&error)),
    }
}

/// The same for a text in which some documents may be no YAML: the others are read all the same, and what is wrong stands in its place.
pub fn each_document(text: &str) -> Vec<Result<Value, YamlError>> {
    let read = |text: &str| documents(text).map(|documents| documents.into_iter().map(Ok).collect());
    read(text).unwrap_or_else(|_| {
        let one_by_one = split(text).into_iter().flat_map(|(above, document)| {
            read(document).unwrap_or_else(|YamlError { at, message }| {
                vec![Err(YamlError { at: Position { line: above + at.line, ..at }, message })]
            })
        });
        one_by_one.collect()
    })
}

/// The text cut before each `---`, which begins a document wherever it stands at the start of a line, in a block scalar too (YAML 1.2.2,
/// 9.1.2); with the number of lines above.
fn split(text: &str) -> Vec<(u64, &str)> {
    let mut documents = Vec::new();
    let (mut start, mut offset, mut above) = (0, 0, 0);
    for (line, number) in text.split_inclusive('\n').zip(0..) {
        let begins =
            line.strip_prefix("---").is_some_and(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace));
        if begins && offset > start {
            documents.push((above, text.get(start..offset).unwrap_or_default()));
            (start, above) = (offset, number);
        }
        offset += line.len();
    }
    documents.push((above, text.get(start..).unwrap_or_default()));
    documents
}

/// JSON that is no YAML: several objects without separators, as `kubectl get -o json` gives when called in a loop. A duplicate
/// key stays an error, which the JSON reader alone would not notice.
fn json_documents(text: &str, yaml: &serde_yaml::Error) -> Option<Vec<Value>> {
    if !text.trim_start().starts_with('{') || matches!(yaml, serde_yaml::Error::DuplicateMappingKey { .. }) {
        return None;
    }
    serde_json::Deserializer::from_str(text).into_iter().collect::<Result<_, _>>().ok()
}

/// Writes YAML that every reader, also one of YAML 1.1, reads back as it was.
pub fn to_string(value: &impl Serialize) -> Result<String, YamlError> {
    serde_yaml::to_string(value)
        .map_err(|error| YamlError { at: Position::START, message: printable(&error.to_string()) })
}

impl YamlError {
    fn of(error: &serde_yaml::Error) -> Self {
        let at = error.location().map_or(Position::START, Position::of);
        let mut innermost = error.without_snippet();
        while let serde_yaml::Error::AliasError { error, .. } = innermost {
            innermost = error.without_snippet();
        }
        if let serde_yaml::Error::Budget { breach: BudgetBreach::Depth { depth }, .. } = innermost {
            return Self { at, message: format!("nests too deep; write at most {} levels", depth.saturating_sub(1)) };
        }
        Self { at, message: printable(&UserMessageFormatter.format_message(innermost)) }
    }
}

/// The text without control characters: messages quote the input, and end in terminals and logs.
fn printable(text: &str) -> String {
    text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect()
}

#[cfg(test)]
mod tests;
