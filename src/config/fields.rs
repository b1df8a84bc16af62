//! Reading the tree by type: each reader either gives the value or reports, at its place, what should stand there.

use std::collections::BTreeMap;

use serde_json::Value;

use super::findings::Findings;
use super::near_miss;
use crate::yaml::{Entry, Node, Position, Tree};

/// A node and the path that leads to it.
#[derive(Clone, Debug)]
pub(super) struct Place<'t> {
    pub(super) tree: &'t Tree,
    pub(super) path: String,
}

impl<'t> Place<'t> {
    pub(super) fn root(tree: &'t Tree) -> Self {
        Self { tree, path: String::new() }
    }

    pub(super) fn report(&self, findings: &mut Findings, message: impl Into<String>) {
        findings.report(self.tree.at, self.path.clone(), message);
    }

    /// The place, to be named in a message about another.
    pub(super) fn in_words(&self) -> String {
        format!("{} on line {}", self.path, self.tree.at.line)
    }

    fn wrong_type(&self, findings: &mut Findings, instead: &str) {
        let subject = if self.path.is_empty() { "the file " } else { "" };
        self.report(findings, format!("{subject}is {}; {instead}", what(&self.tree.node)));
    }

    /// Text. A number or boolean is not taken for text, because YAML may have changed it in reading (`0x10`, `no`).
    pub(super) fn text(&self, findings: &mut Findings, wanted: &str) -> Option<&'t str> {
        match &self.tree.node {
            Node::Text(text) => return Some(text),
            Node::Bool(_) | Node::Number(_) => {
                self.wrong_type(findings, &format!("write {wanted}, in quotes if it looks like a number or a boolean"));
            }
            Node::Null | Node::Sequence(_) | Node::Mapping(_) => self.wrong_type(findings, &format!("write {wanted}")),
        }
        None
    }

    /// A boolean.
    pub(super) fn boolean(&self, findings: &mut Findings) -> Option<bool> {
        match &self.tree.node {
            Node::Bool(value) => return Some(*value),
            Node::Text(text) if matches!(text.as_str(), "true" | "false") => {
                self.wrong_type(findings, &format!("write {text} without quotes"));
            }
            Node::Null | Node::Number(_) | Node::Text(_) | Node::Sequence(_) | Node::Mapping(_) => {
                self.wrong_type(findings, "write true or false");
            }
        }
        None
    }

    /// The items of a list.
    pub(super) fn items(&self, findings: &mut Findings, wanted: &str) -> Vec<Place<'t>> {
        match &self.tree.node {
            Node::Sequence(items) => items
                .iter()
                .enumerate()
                .map(|(index, tree)| Place { tree, path: format!("{}[{index}]", self.path) })
                .collect(),
            Node::Text(_) => {
                self.wrong_type(findings, &format!("write {wanted}, in brackets even if there is only one"));
                Vec::new()
            }
            Node::Null | Node::Bool(_) | Node::Number(_) | Node::Mapping(_) => {
                self.wrong_type(findings, &format!("write {wanted}"));
                Vec::new()
            }
        }
    }

    /// A mapping that somebody else checks. Only its keys are looked at: none may stand twice, at any depth.
    pub(super) fn foreign(&self, findings: &mut Findings) -> Option<Value> {
        match &self.tree.node {
            Node::Mapping(_) => {
                self.repeated_keys_below(findings);
                Some(self.tree.to_json())
            }
            Node::Null | Node::Bool(_) | Node::Number(_) | Node::Text(_) | Node::Sequence(_) => {
                self.wrong_type(findings, "write a mapping");
                None
            }
        }
    }

    /// The fields of a mapping. Fields that nobody knows and fields that stand twice are reported here.
    pub(super) fn fields(&self, findings: &mut Findings, known: &[&str]) -> Option<Fields<'t>> {
        let Node::Mapping(entries) = &self.tree.node else {
            self.wrong_type(findings, &format!("write a mapping with the fields {}", known.join(", ")));
            return None;
        };
        for entry in entries {
            if !known.contains(&entry.key.as_str()) {
                let message = match near_miss::among(&entry.key, known) {
                    Some(near) => format!("unknown field; did you mean {near}?"),
                    None => format!("unknown field; the fields here are {}", known.join(", ")),
                };
                findings.report(entry.at, join(&self.path, &entry.key), message);
            }
        }
        self.report_repeated_keys(entries, findings);
        Some(Fields { place: self.clone() })
    }

    fn repeated_keys_below(&self, findings: &mut Findings) {
        match &self.tree.node {
            Node::Mapping(entries) => {
                self.report_repeated_keys(entries, findings);
                for entry in entries {
                    Place { tree: &entry.value, path: join(&self.path, &entry.key) }.repeated_keys_below(findings);
                }
            }
            Node::Sequence(items) => {
                for (index, tree) in items.iter().enumerate() {
                    Place { tree, path: format!("{}[{index}]", self.path) }.repeated_keys_below(findings);
                }
            }
            Node::Null | Node::Bool(_) | Node::Number(_) | Node::Text(_) => {}
        }
    }

    /// What a JSON pointer (RFC 6901) leads to: the place of the nearest ancestor that exists, under the whole path.
    pub(super) fn descend(&self, pointer: &str) -> (Position, String) {
        let mut tree = Some(self.tree);
        let mut at = self.tree.at;
        let mut path = self.path.clone();
        for token in pointer.split('/').skip(1) {
            let token = token.replace("~1", "/").replace("~0", "~");
            path = match tree.map(|tree| &tree.node) {
                Some(Node::Sequence(_)) => format!("{path}[{token}]"),
                Some(Node::Null | Node::Bool(_) | Node::Number(_) | Node::Text(_) | Node::Mapping(_)) | None => {
                    join(&path, &token)
                }
            };
            tree = tree.and_then(|tree| tree.child(&token));
            if let Some(tree) = tree {
                at = tree.at;
            }
        }
        (at, path)
    }

    fn report_repeated_keys(&self, entries: &[Entry], findings: &mut Findings) {
        let mut seen = BTreeMap::new();
        for entry in entries {
            let first = *seen.entry(&entry.key).or_insert(entry.at);
            if first != entry.at {
                let message = format!("stands twice, first on line {}; remove one", first.line);
                findings.report(entry.at, join(&self.path, &entry.key), message);
            }
        }
    }
}

/// The fields of a mapping, checked to be known. A field without a value (`instance:`) counts as left out.
#[derive(Debug)]
pub(super) struct Fields<'t> {
    place: Place<'t>,
}

impl<'t> Fields<'t> {
    pub(super) fn get(&self, name: &str) -> Option<Place<'t>> {
        let tree = self.place.tree.get(name)?;
        (tree.node != Node::Null).then(|| Place { tree, path: join(&self.place.path, name) })
    }

    /// Reports something about a field that is not there.
    pub(super) fn report_absent(&self, name: &str, findings: &mut Findings, message: impl Into<String>) {
        findings.report(self.place.tree.at, join(&self.place.path, name), message);
    }

    pub(super) fn require(&self, name: &str, findings: &mut Findings, wanted: &str) -> Option<Place<'t>> {
        let found = self.get(name);
        if found.is_none() {
            self.report_absent(name, findings, format!("is missing; write {wanted}"));
        }
        found
    }
}

/// A path and a field of what it leads to. Keys that would be ambiguous or too long are quoted.
fn join(path: &str, field: &str) -> String {
    let plain =
        (1..=80).contains(&field.len()) && field.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    match (plain, path.is_empty()) {
        (true, true) => field.to_owned(),
        (true, false) => format!("{path}.{field}"),
        (false, _) => format!("{path}[{}]", shown(field)),
    }
}

/// A node in words, short enough for a message.
fn what(node: &Node) -> String {
    match node {
        Node::Null => "empty".to_owned(),
        Node::Bool(value) => format!("the boolean {value}"),
        Node::Number(number) => format!("the number {number}"),
        Node::Text(text) => format!("the text {}", shown(text)),
        Node::Sequence(_) => "a list".to_owned(),
        Node::Mapping(_) => "a mapping".to_owned(),
    }
}

/// Text of the file in a message: quoted, escaped, and cut where it would fill the screen.
pub(super) fn shown(text: &str) -> String {
    match text.char_indices().nth(80) {
        Some((end, _)) => format!("{:?}...", text.get(..end).unwrap_or_default()),
        None => format!("{text:?}"),
    }
}
