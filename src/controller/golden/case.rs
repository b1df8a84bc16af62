//! A case as it lies in its folder.

use std::fs;
use std::path::{Path, PathBuf};

use portolan_mock::faults::Fault;
use serde_json::Value;

use super::server::Name;
use crate::yaml;

/// A case.
pub(super) struct Case {
    folder: PathBuf,
    /// In the order of their numbers.
    pub(super) steps: Vec<Step>,
}

/// What happens before the controller may look.
pub(super) struct Step {
    /// The file's name without its ending.
    pub(super) name: String,
    pub(super) acts: Vec<Act>,
}

/// One document of a step.
pub(super) enum Act {
    Create(Value),
    Patch { target: Name, patch: Value, status: bool },
    Delete(Name),
    Restart { config: Option<String> },
    Fault { name: String, fault: Fault },
    EndFault(String),
    Seen,
    WaitMinutes(u32),
}

impl Case {
    pub(super) fn read(folder: &Path) -> Self {
        let mut files: Vec<(u32, PathBuf)> = fs::read_dir(folder)
            .unwrap()
            .filter_map(|entry| {
                let path = entry.unwrap().path();
                let number = path.file_name()?.to_str()?.split_once('-')?.0.parse().ok()?;
                Some((number, path))
            })
            .collect();
        files.sort();
        assert!(!files.is_empty(), "{}: a case needs a step, such as 1-create.yaml", folder.display());
        let numbers = files.iter().map(|(number, _)| *number);
        assert!(numbers.eq((1..).take(files.len())), "{}: number the steps 1, 2, 3, ..., each once", folder.display());
        let steps = files.iter().map(|(_, path)| {
            let acts = acts(path);
            Step { name: path.file_stem().unwrap().to_string_lossy().into_owned(), acts }
        });
        Self { steps: steps.collect(), folder: folder.to_owned() }
    }

    /// The text of a configuration file of this case; none where the case has no such file.
    pub(super) fn config(&self, file: &str) -> Option<String> {
        fs::read_to_string(self.folder.join(file)).ok()
    }
}

/// The documents of a file, and of those that it includes.
pub(super) fn acts(path: &Path) -> Vec<Act> {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let documents = yaml::documents(&text).unwrap_or_else(|error| panic!("{}:{error}", path.display()));
    let included = |document: Value| match document["$include"].as_str() {
        Some(file) => acts(&super::root().join(file)),
        None => vec![act(document, path)],
    };
    documents.into_iter().flat_map(included).collect()
}

/// What a document says is to be done.
pub(super) fn act(mut document: Value, path: &Path) -> Act {
    let fields = document.as_object_mut().unwrap_or_else(|| panic!("{}: a document is no mapping", path.display()));
    let Some(verb) = fields.keys().find(|key| key.starts_with('$')).cloned() else { return Act::Create(document) };
    let operand = fields.remove(&verb).unwrap();
    let text = || operand.as_str().unwrap_or_else(|| panic!("{}: {verb} takes a text", path.display())).to_owned();
    match verb.as_str() {
        "$patch" => Act::Patch { target: Name::parse(&text()), patch: document, status: false },
        "$patchStatus" => Act::Patch { target: Name::parse(&text()), patch: document, status: true },
        "$delete" => Act::Delete(Name::parse(&text())),
        "$restart" => Act::Restart { config: operand.as_str().map(str::to_owned) },
        "$fault" => {
            let fault = serde_json::from_value(document).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            Act::Fault { name: text(), fault }
        }
        "$seen" => Act::Seen,
        "$waitMinutes" => {
            let minutes = operand.as_u64().and_then(|minutes| minutes.try_into().ok());
            Act::WaitMinutes(minutes.unwrap_or_else(|| panic!("{}: {verb} takes a number", path.display())))
        }
        "$endFault" => Act::EndFault(text()),
        other => panic!(
            "{}: {other} is none of $include, $patch, $patchStatus, $delete, $restart, $seen, $waitMinutes, $fault, $endFault",
            path.display()
        ),
    }
}
