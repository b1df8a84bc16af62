//! What there is to convert, sorted by what it is.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Context;
use k8s_openapi::api::core::v1::{Namespace, Node};
use serde_json::{Value, json};

use super::metallb::GROUP;
use crate::cli::manifest::{LONGEST_PROBLEM, in_namespace, read, typed};
use crate::cluster::stored::StoredService;
use crate::yaml;

/// Objects of MetalLB's and those that bear on them.
#[derive(Debug, Default)]
pub(super) struct Documents {
    /// Of MetalLB's API group, as they stand there.
    pub metallb: Vec<Value>,
    /// All Services.
    pub services: Vec<StoredService>,
    /// All Namespaces; none if they were not given.
    pub namespaces: Vec<Namespace>,
    /// All Nodes; none if they were not given.
    pub nodes: Vec<Node>,
    /// What cannot be read, and why.
    pub unreadable: Vec<(String, String)>,
    /// Kinds that were read over, and how often.
    pub read_over: BTreeMap<String, usize>,
}

impl Documents {
    /// One that cannot be read is named and left out.
    pub(super) fn from_files(files: &[PathBuf]) -> anyhow::Result<Self> {
        let mut documents = Self::default();
        for file in files {
            let text = read(file).with_context(|| format!("cannot read {}", file.display()))?;
            documents.add_text(&text, &file.display().to_string());
        }
        Ok(documents)
    }

    /// All documents of a text; `place` is where it comes from, for messages.
    pub(super) fn add_text(&mut self, text: &str, place: &str) {
        for (number, document) in (1..).zip(yaml::each_document(text)) {
            let place = format!("{place}, document {number}");
            match document {
                Ok(document) => self.add(document, &place),
                Err(error) => self.unreadable.push((place, error.to_string())),
            }
        }
    }

    /// An object, or a list of some.
    pub(super) fn add(&mut self, mut document: Value, place: &str) {
        let kind = document.get("kind").and_then(Value::as_str).unwrap_or_default().to_owned();
        let version = document.get("apiVersion").and_then(Value::as_str).unwrap_or_default().to_owned();
        if let Some(of) = kind.strip_suffix("List") {
            let items = document.get_mut("items").map(Value::take);
            for (number, item) in (1..).zip(items.as_ref().and_then(Value::as_array).into_iter().flatten()) {
                let mut item = item.clone();
                // Items of a list of one kind, as the server gives it, do not say what they are.
                if let Some(item) = item.as_object_mut().filter(|_| !of.is_empty()) {
                    item.entry("kind").or_insert_with(|| json!(of));
                    item.entry("apiVersion").or_insert_with(|| json!(version));
                }
                self.add(item, &format!("{place}, item {number}"));
            }
            return;
        }
        let group = version.split_once('/').map_or("", |(group, _)| group);
        let added = match (group, kind.as_str()) {
            (GROUP, _) if !kind.is_empty() => {
                self.metallb.push(document);
                Ok(())
            }
            ("", "Service") => typed(in_namespace(document)).map(|service| self.services.push(service)),
            ("", "Namespace") => typed(document).map(|namespace| self.namespaces.push(namespace)),
            ("", "Node") => typed(document).map(|node| self.nodes.push(node)),
            (_, "") => {
                let problem = "it has no kind; write kind and apiVersion as kubectl wants them";
                self.unreadable.push((place.to_owned(), problem.to_owned()));
                Ok(())
            }
            (_, _) => {
                *self.read_over.entry(kind).or_default() += 1;
                Ok(())
            }
        };
        if let Err(problem) = added {
            let problem: String = problem.to_string().chars().take(LONGEST_PROBLEM).collect(); // it may quote the object
            self.unreadable.push((place.to_owned(), problem));
        }
    }
}
