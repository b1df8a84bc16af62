//! The cluster that a sandbox begins with: manifests from files and folders, or those that the binary carries.

mod kinds;
mod load;
mod standard;

pub(crate) use load::load;

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use portolan_core::reason::ConditionType;
use serde_json::Value;

use super::expect::{EXPECT_ANNOTATION, Expectation};
use crate::yaml;
use kinds::{Kind, Scope};

/// What is to be there, in the order in which it is to come.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Cluster {
    manifests: Vec<Manifest>,
}

/// One object to be created.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Manifest {
    /// Where it was read, for messages.
    place: String,
    kind: &'static Kind,
    /// Empty for a kind without namespaces.
    namespace: String,
    name: String,
    object: Value,
}

/// Everything that is wrong with a cluster, one line each.
#[derive(Clone, Debug, Default, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub(crate) struct ClusterErrors(Vec<String>);

impl Cluster {
    /// The one that comes with the binary: `testdata/sandbox`, a Service of every kind that the rules tell apart.
    pub(crate) fn standard() -> Result<Self, ClusterErrors> {
        Self::carried(standard::FILES)
    }

    /// The one that comes with the binary for AWS (`testdata/aws/sandbox`), without nodes.
    pub(crate) fn standard_at_aws() -> Result<Self, ClusterErrors> {
        Self::carried(standard::AWS)
    }

    /// The one that comes with the binary for addresses of pools (`testdata/metal/sandbox`).
    pub(crate) fn standard_of_metal() -> Result<Self, ClusterErrors> {
        Self::carried(standard::METAL)
    }

    fn carried(files: &[(&str, &str)]) -> Result<Self, ClusterErrors> {
        let mut reading = Reading::default();
        for (file, text) in files {
            reading.text(file, text);
        }
        reading.cluster()
    }

    /// With these nodes, unless it brings its own; `place` says where they come from.
    pub(crate) fn or_with_nodes(self, place: &str, nodes: Vec<Value>) -> Result<Self, ClusterErrors> {
        if self.manifests.iter().any(|manifest| manifest.kind.name == "Node") {
            return Ok(self);
        }
        let mut reading = Reading { manifests: self.manifests, ..Reading::default() };
        for node in nodes {
            reading.document(place, node);
        }
        reading.cluster()
    }

    /// No object at all.
    pub(crate) fn empty() -> Self {
        Self { manifests: Vec::new() }
    }

    /// Reads files and folders; of a folder every `.yaml`, `.yml` and `.json`, also in folders below, by name. `-` is standard input.
    pub(crate) fn read(paths: &[PathBuf]) -> Result<Self, ClusterErrors> {
        let mut reading = Reading::default();
        for path in paths {
            reading.path(path);
        }
        reading.cluster()
    }

    /// Namespace and name of a Service that names this class, to show commands with: the first of those that ask for least.
    pub(crate) fn example(&self, class: &str) -> Option<(&str, &str)> {
        let asks = |manifest: &&Manifest| {
            manifest.kind.name == "Service"
                && manifest.object.pointer("/spec/loadBalancerClass").and_then(Value::as_str) == Some(class)
        };
        let annotations = |manifest: &&Manifest| {
            manifest.object.pointer("/metadata/annotations").and_then(Value::as_object).map_or(0, serde_json::Map::len)
        };
        let example = self.manifests.iter().filter(asks).min_by_key(annotations)?;
        Some((&example.namespace, &example.name))
    }
}

impl fmt::Display for Manifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let slash = if self.namespace.is_empty() { "" } else { "/" };
        write!(f, "{}: {} {}{slash}{}", self.place, self.kind.name, self.namespace, self.name)
    }
}

#[derive(Default)]
struct Reading {
    manifests: Vec<Manifest>,
    errors: ClusterErrors,
}

impl Reading {
    fn cluster(mut self) -> Result<Cluster, ClusterErrors> {
        self.only_once();
        if self.manifests.is_empty() && self.errors.0.is_empty() {
            self.wrong("nothing to load: the files hold no manifest".to_owned());
        }
        if !self.errors.0.is_empty() {
            return Err(self.errors);
        }
        // What others refer to comes first; within a kind it is the order of the files.
        self.manifests.sort_by_key(|manifest| manifest.kind.rank());
        Ok(Cluster { manifests: self.manifests })
    }

    fn only_once(&mut self) {
        let mut seen = BTreeMap::new();
        for manifest in &self.manifests {
            let key = (manifest.kind.name, &manifest.namespace, &manifest.name);
            if let Some(before) = seen.insert(key, &manifest.place) {
                self.errors.0.push(format!("{manifest} stands twice; the other is in {before}"));
            }
        }
    }

    fn wrong(&mut self, problem: String) {
        self.errors.0.push(problem);
    }

    fn path(&mut self, path: &Path) {
        if path == Path::new("-") {
            let mut text = String::new();
            match io::stdin().read_to_string(&mut text) {
                Ok(_) => self.text("standard input", &text),
                Err(error) => self.wrong(format!("cannot read standard input: {error}")),
            }
            return;
        }
        match files(path) {
            Ok(files) if files.is_empty() => {
                self.wrong(format!("{}: a folder without .yaml, .yml or .json files", path.display()));
            }
            Ok(files) => {
                for file in files {
                    match fs::read_to_string(&file) {
                        Ok(text) => self.text(&file.display().to_string(), &text),
                        Err(error) => self.wrong(format!("cannot read {}: {error}", file.display())),
                    }
                }
            }
            Err(error) => self.wrong(format!("cannot read {}: {error}", path.display())),
        }
    }

    fn text(&mut self, file: &str, text: &str) {
        for document in yaml::each_document(text) {
            match document {
                Ok(document) => self.document(file, document),
                Err(error) => self.wrong(format!("{file}:{error}")),
            }
        }
    }

    fn document(&mut self, file: &str, mut document: Value) {
        let kind = text(&document, "/kind");
        if kind.ends_with("List") {
            let Some(Value::Array(items)) = document.get_mut("items").map(Value::take) else {
                return self.wrong(format!("{file}: a {kind} without items"));
            };
            return items.into_iter().for_each(|item| self.document(file, item));
        }
        match manifest(file, document) {
            Ok(manifest) => self.manifests.push(manifest),
            Err(problem) => self.wrong(problem),
        }
    }
}

/// An object that can be created, or why it cannot.
fn manifest(file: &str, mut object: Value) -> Result<Manifest, String> {
    let (kind, version, name) = (text(&object, "/kind"), text(&object, "/apiVersion"), text(&object, "/metadata/name"));
    if kind.is_empty() || version.is_empty() {
        return Err(format!("{file}: a document without kind or apiVersion; write both, as kubectl wants them"));
    }
    if name.is_empty() {
        return Err(format!("{file}: {kind} without metadata.name"));
    }
    let kind = Kind::of(&version, &kind).ok_or_else(|| {
        format!("{file}: {kind} {name}: the sandbox has no {kind} of {version}; it has {}", kinds::all())
    })?;
    let namespace = match kind.scope {
        Scope::Cluster => String::new(),
        Scope::Namespaced => Some(text(&object, "/metadata/namespace"))
            .filter(|namespace| !namespace.is_empty())
            .unwrap_or_else(|| "default".to_owned()),
    };
    if !namespace.is_empty() {
        set(&mut object, "namespace", namespace.clone().into());
    }
    from_a_server(kind, &mut object);
    let manifest = Manifest { place: file.to_owned(), kind, namespace, name, object };
    check_expectation(&manifest)?;
    Ok(manifest)
}

/// A dump of another cluster holds what only a server may say. What it allocated from its own ranges is allocated anew.
fn from_a_server(kind: &Kind, object: &mut Value) {
    let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else { return };
    let stored = metadata.remove("uid").is_some();
    let servers =
        ["resourceVersion", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation"];
    for field in servers.into_iter().chain(["managedFields", "selfLink"]) {
        metadata.remove(field);
    }
    if !stored || kind.name != "Service" {
        return;
    }
    let spec = object.get_mut("spec").and_then(Value::as_object_mut);
    if let Some(spec) = spec.filter(|spec| spec.get("clusterIP").and_then(Value::as_str) != Some("None")) {
        spec.remove("clusterIP");
        spec.remove("clusterIPs");
    }
    // What another controller found out there would look settled here before ours has begun.
    let conditions = object.pointer_mut("/status/conditions").and_then(Value::as_array_mut);
    if let Some(conditions) = conditions {
        conditions.retain(|condition| !ConditionType::ALL.iter().any(|ours| text(condition, "/type") == ours.name()));
    }
}

fn check_expectation(manifest: &Manifest) -> Result<(), String> {
    let Some(expectation) = manifest.object.pointer("/metadata/annotations").and_then(|all| all.get(EXPECT_ANNOTATION))
    else {
        return Ok(());
    };
    if manifest.kind.name != "Service" {
        return Err(format!("{manifest}: annotation {EXPECT_ANNOTATION} means something on a Service only; remove it"));
    }
    let text = expectation.as_str().ok_or_else(|| {
        format!(
            "{manifest}: annotation {EXPECT_ANNOTATION} is no text; write `|` behind its name and the fragment below"
        )
    })?;
    Expectation::parse(text).map(drop).map_err(|error| format!("{manifest}: {error}"))
}

fn text(object: &Value, pointer: &str) -> String {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn set(object: &mut Value, field: &str, value: Value) {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.insert(field.to_owned(), value);
    }
}

/// A file, or the manifests of a folder and of the folders in it.
fn files(path: &Path) -> io::Result<Vec<PathBuf>> {
    if !fs::metadata(path)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut entries =
        fs::read_dir(path)?.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>()?;
    entries.retain(|entry| !entry.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b".")));
    entries.sort();
    let mut all = Vec::new();
    for entry in entries {
        let manifests = ["yaml", "yml", "json"];
        if entry.is_dir() {
            all.extend(files(&entry)?);
        } else if entry.extension().and_then(|it| it.to_str()).is_some_and(|it| manifests.contains(&it)) {
            all.push(entry);
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests;
