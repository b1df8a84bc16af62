//! Fields that nobody knows, or that stand twice: what a client wants to become of them (`fieldValidation`, KEP-2885), and what it is
//! told.

use std::cell::RefCell;

use http::HeaderValue;
use serde_json::Value;

use super::refused::FieldError;

/// What was found in one request.
#[derive(Clone, Debug, Default)]
pub(super) struct Fields {
    validation: String,
    /// In the order in which they were found.
    found: RefCell<Vec<String>>,
    /// What everybody is told, whatever they want.
    said: RefCell<Vec<String>>,
}

impl Fields {
    pub(super) fn new(validation: &str) -> Self {
        Self { validation: validation.to_owned(), ..Self::default() }
    }

    /// What is wrong with the parameter itself.
    pub(super) fn check(&self) -> Option<FieldError> {
        let supported = ["", "Ignore", "Strict", "Warn"];
        let is_known = supported.contains(&self.validation.as_str());
        (!is_known)
            .then(|| FieldError::not_supported("fieldValidation", &Value::from(self.validation.as_str()), &supported))
    }

    /// Takes down what was found; who is strict hears of all at once.
    pub(super) fn note(&self, found: Vec<String>) -> Result<(), String> {
        let mut all = self.found.borrow_mut();
        for one in found {
            if !all.contains(&one) {
                all.push(one);
            }
        }
        if self.validation == "Strict" && !all.is_empty() {
            return Err(format!("strict decoding error: {}", all.join(", ")));
        }
        Ok(())
    }

    /// Takes down what everybody should hear.
    pub(super) fn say(&self, warning: String) {
        self.said.borrow_mut().push(warning);
    }

    /// The answer's warnings (RFC 7234, 5.5; KEP-1693).
    pub(super) fn warnings(&self) -> Vec<HeaderValue> {
        let (found, said) = (self.found.borrow(), self.said.borrow());
        let silent = matches!(self.validation.as_str(), "Strict" | "Ignore");
        let told = found.iter().filter(|_| !silent).chain(said.iter());
        let quoted = |text: &String| HeaderValue::from_str(&format!("299 - {text:?}")).ok();
        told.filter_map(quoted).collect()
    }
}
