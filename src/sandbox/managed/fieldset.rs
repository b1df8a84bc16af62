//! A set of fields: a tree, in which a field may be a member, have members below it, or both. From
//! `sigs.k8s.io/structured-merge-diff/v6/fieldpath/{set,serialize}.go`.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use serde_json::{Map, Value, json};

use super::element::Element;

/// Fields, by the path to them. The object as a whole is never a member.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::sandbox) struct FieldSet(BTreeMap<Element, Node>);

/// What a set says of one element: at least one of the two is something.
#[derive(Clone, Debug, Default, PartialEq)]
struct Node {
    member: bool,
    below: FieldSet,
}

impl FieldSet {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn insert(&mut self, path: &[Element]) {
        match path {
            [] => {}
            [last] => self.put(last.clone(), true, Self::default()),
            [first, rest @ ..] => {
                let mut below = Self::default();
                below.insert(rest);
                self.put(first.clone(), false, below);
            }
        }
    }

    /// Adds an element, if it is a member or has any below.
    pub(super) fn put(&mut self, element: Element, member: bool, below: Self) {
        if !member && below.is_empty() {
            return;
        }
        match self.0.entry(element) {
            Entry::Vacant(place) => drop(place.insert(Node { member, below })),
            Entry::Occupied(mut place) => {
                let node = place.get_mut();
                node.member |= member;
                node.below.add(below);
            }
        }
    }

    /// Everything of another set besides.
    pub(super) fn add(&mut self, other: Self) {
        if self.is_empty() {
            *self = other;
            return;
        }
        for (element, node) in other.0 {
            self.put(element, node.member, node.below);
        }
    }

    pub(super) fn union(mut self, other: Self) -> Self {
        self.add(other);
        self
    }

    pub(super) fn intersection(&self, other: &Self) -> Self {
        self.filtered(|element, node| {
            let Some(same) = other.0.get(element) else { return Node::default() };
            Node { member: node.member && same.member, below: node.below.intersection(&same.below) }
        })
    }

    /// What is here and not there. A parent that is there takes nothing from its children.
    pub(super) fn difference(&self, other: &Self) -> Self {
        self.filtered(|element, node| {
            let Some(same) = other.0.get(element) else { return node.clone() };
            Node { member: node.member && !same.member, below: node.below.difference(&same.below) }
        })
    }

    /// What is here and neither there nor below anything that is there.
    pub(super) fn recursive_difference(&self, other: &Self) -> Self {
        self.filtered(|element, node| match other.0.get(element) {
            None => node.clone(),
            Some(same) if same.member => Node::default(),
            Some(same) => Node { member: node.member, below: node.below.recursive_difference(&same.below) },
        })
    }

    fn filtered(&self, of: impl Fn(&Element, &Node) -> Node) -> Self {
        let nodes = self.0.iter().map(|(element, node)| (element, of(element, node)));
        Self(
            nodes
                .filter(|(_, node)| node.member || !node.below.is_empty())
                .map(|(element, node)| (element.clone(), node))
                .collect(),
        )
    }

    pub(super) fn has(&self, element: &Element) -> bool {
        self.0.get(element).is_some_and(|node| node.member)
    }

    /// Whether a path is a member.
    pub(super) fn holds(&self, path: &[Element]) -> bool {
        match path {
            [] => false,
            [last] => self.has(last),
            [first, rest @ ..] => self.below(first).is_some_and(|below| below.holds(rest)),
        }
    }

    /// What it holds below an element, if anything.
    pub(super) fn below(&self, element: &Element) -> Option<&Self> {
        self.0.get(element).map(|node| &node.below).filter(|below| !below.is_empty())
    }

    /// Every element, whether it is a member, and what is below.
    pub(super) fn elements(&self) -> impl Iterator<Item = (&Element, bool, &Self)> {
        self.0.iter().map(|(element, node)| (element, node.member, &node.below))
    }

    /// The paths of all members, as the server lists them: those of one depth before what is below them.
    pub(super) fn paths(&self) -> Vec<Vec<Element>> {
        let mut paths = Vec::new();
        self.list(&mut Vec::new(), &mut paths);
        paths
    }

    fn list(&self, at: &mut Vec<Element>, paths: &mut Vec<Vec<Element>>) {
        for (element, node) in &self.0 {
            if node.member {
                paths.push(at.iter().chain([element]).cloned().collect());
            }
        }
        for (element, node) in &self.0 {
            at.push(element.clone());
            node.below.list(at, paths);
            at.pop();
        }
    }

    /// As `FieldsV1` has it.
    pub(super) fn json(&self) -> Value {
        let fields = self.0.iter().map(|(element, node)| {
            let mut below = node.below.json();
            if node.member && !node.below.is_empty() {
                below["."] = json!({});
            }
            (element.written(), below)
        });
        Value::Object(fields.collect::<Map<String, Value>>())
    }

    /// The other way round.
    pub(super) fn read(fields: &Value) -> Result<Self, String> {
        let Value::Object(fields) = fields else { return Err(format!("no set of fields: {fields}")) };
        let mut set = Self::default();
        for (name, below) in fields.iter().filter(|(name, _)| *name != ".") {
            let Some(element) = Element::read(name)? else { continue };
            let member = below.get(".").is_some() || below.as_object().is_some_and(Map::is_empty);
            set.put(element, member, Self::read(below)?);
        }
        Ok(set)
    }
}
