//! What is wrong with a configuration: everything, in the order of the file.

use std::fmt;

use crate::yaml::{Position, YamlError};

/// Everything that is wrong with a configuration. Never empty; sorted by place. Terminal: only an edit mends it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ConfigErrors {
    /// One a mistake.
    pub problems: Vec<Problem>,
}

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where.
    pub at: Position,
    /// The field, as `classes[1].provider`; empty for the file as a whole.
    pub path: String,
    /// What is wrong; what to write instead.
    pub message: String,
}

impl ConfigErrors {
    pub(super) fn not_yaml(error: &YamlError) -> Self {
        let message = format!("cannot be read as one YAML document: {}", error.message);
        Self { problems: vec![Problem { at: error.at, path: String::new(), message }] }
    }

    /// The problems for people and editors, one a line: `file:line:column: path: what is wrong; what to write instead`.
    pub fn in_file<'a>(&'a self, file: &'a str) -> impl fmt::Display + 'a {
        fmt::from_fn(move |f| {
            let mut lines = self.problems.iter();
            if let Some(first) = lines.next() {
                write!(f, "{file}:{first}")?;
            }
            lines.try_for_each(|problem| write!(f, "\n{file}:{problem}"))
        })
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.in_file("configuration").fmt(f)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.at)?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)
    }
}

/// Collects problems while the rules go on.
#[derive(Debug, Default)]
pub(super) struct Findings {
    problems: Vec<Problem>,
}

impl Findings {
    pub(super) fn report(&mut self, at: Position, path: impl Into<String>, message: impl Into<String>) {
        self.problems.push(Problem { at, path: path.into(), message: message.into() });
    }

    /// What was checked, if nothing is wrong with it.
    pub(super) fn into_result<T>(mut self, checked: T) -> Result<T, ConfigErrors> {
        if self.problems.is_empty() {
            return Ok(checked);
        }
        self.problems.sort_by_key(|problem| problem.at);
        Err(ConfigErrors { problems: self.problems })
    }
}
