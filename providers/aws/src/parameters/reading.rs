//! Reading a value of the configuration, collecting the problems on the way.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use portolan_core::class::ParameterProblem;
use serde_json::{Map, Value};

use crate::attributes::{Attribute, AttributeKey, Attributes};

/// Where a value stands: a JSON pointer (RFC 6901).
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place(String);

impl Place {
    pub(super) fn child(&self, key: &str) -> Self {
        Self(format!("{}/{}", self.0, key.replace('~', "~0").replace('/', "~1")))
    }
}

/// The problems so far, and the places that have been read.
#[derive(Default)]
pub(super) struct Reading {
    pub(super) problems: Vec<ParameterProblem>,
    read: BTreeSet<Place>,
}

impl Reading {
    pub(super) fn problem(&mut self, at: &Place, message: impl Into<String>) {
        self.problems.push(ParameterProblem { pointer: at.0.clone(), message: message.into() });
    }

    pub(super) fn unknown(&mut self, at: &Place, what: &str, known: &[&str]) {
        self.problem(at, format!("is {what}; those are {}", known.join(", ")));
    }

    /// There is a text at this place.
    pub(super) fn is_at(&self, place: &Place) -> bool {
        self.read.contains(place)
    }

    pub(super) fn object<'a>(&mut self, value: &'a Value, at: &Place) -> Option<&'a Map<String, Value>> {
        if !value.is_object() {
            self.problem(at, "must be a mapping");
        }
        value.as_object()
    }

    pub(super) fn bool(&mut self, value: &Value, at: &Place, into: &mut bool) {
        match value.as_bool() {
            Some(value) => *into = value,
            None => self.problem(at, "must be true or false"),
        }
    }

    /// A whole number within these bounds, or a problem.
    pub(super) fn number(&mut self, value: &Value, at: &Place, bounds: RangeInclusive<usize>) -> Option<usize> {
        self.read.insert(at.clone());
        let number = value.as_u64().and_then(|number| usize::try_from(number).ok());
        let number = number.filter(|number| bounds.contains(number));
        if number.is_none() {
            self.problem(at, format!("must be a whole number from {} to {}", bounds.start(), bounds.end()));
        }
        number
    }

    /// A text that `parse` takes, or a problem.
    pub(super) fn text<T>(
        &mut self,
        value: &Value,
        at: &Place,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        self.read.insert(at.clone());
        match value.as_str().map(parse) {
            Some(Ok(parsed)) => return Some(parsed),
            Some(Err(why)) => self.problem(at, format!("{} {why}", shown(value))),
            None => self.problem(at, "must be a text; put it in quotes"),
        }
        None
    }

    pub(super) fn into<T>(
        &mut self,
        value: &Value,
        at: &Place,
        parse: impl Fn(&str) -> Result<T, String>,
        into: &mut T,
    ) {
        if let Some(parsed) = self.text(value, at, parse) {
            *into = parsed;
        }
    }

    pub(super) fn list<T: PartialEq>(
        &mut self,
        value: &Value,
        at: &Place,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Vec<T> {
        let Some(items) = value.as_array() else {
            self.problem(at, "must be a list");
            return Vec::new();
        };
        let mut parsed = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let at = at.child(&index.to_string());
            match self.text(item, &at, &parse) {
                Some(item) if parsed.contains(&item) => self.problem(&at, "stands twice"),
                Some(item) => parsed.push(item),
                None => {}
            }
        }
        parsed
    }

    /// Attributes and their values; numbers and booleans need no quotes.
    pub(super) fn attributes(&mut self, value: &Value, at: &Place, table: &'static [Attribute]) -> Attributes {
        let mut parsed = Attributes::new();
        for (key, value) in self.object(value, at).into_iter().flatten() {
            let at = at.child(key);
            let text = match value {
                Value::String(text) => text.clone(),
                Value::Bool(_) | Value::Number(_) => value.to_string(),
                Value::Null | Value::Array(_) | Value::Object(_) => {
                    self.problem(&at, "must be a text, a number, true or false");
                    continue;
                }
            };
            match AttributeKey::parse(table, key) {
                Ok(key) => match key.attribute().values.check(&text) {
                    Ok(value) => {
                        parsed.insert(key, value);
                    }
                    Err(why) => self.problem(&at, format!("{} {why}", shown(value))),
                },
                Err(why) => self.problem(&at, why),
            }
        }
        parsed
    }
}

fn shown(value: &Value) -> String {
    crate::annotations::reader::shown(value.as_str().unwrap_or(&value.to_string()))
}
