//! What is sent: names and values, lists numbered from 1.

use std::collections::BTreeMap;

use form_urlencoded::Serializer;

use crate::client::action::Action;

/// The version of the API.
const VERSION: &str = "2016-11-15";

/// The parameters of a call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Form(Vec<(String, String)>);

impl Form {
    /// The same with this parameter, which it does not have yet.
    #[must_use]
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.0.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same with `Name.1`, `Name.2`, ...
    #[must_use]
    pub(crate) fn list<'a>(mut self, name: &str, values: impl IntoIterator<Item = &'a str>) -> Self {
        for (number, value) in (1..).zip(values) {
            self = self.with(&format!("{name}.{number}"), value);
        }
        self
    }

    /// The same with tags under this name.
    #[must_use]
    pub(crate) fn tags(mut self, name: &str, tags: &BTreeMap<String, String>) -> Self {
        for (number, (key, value)) in (1..).zip(tags) {
            self = self.with(&format!("{name}.{number}.Key"), key).with(&format!("{name}.{number}.Value"), value);
        }
        self
    }

    /// As it goes out.
    pub(crate) fn body(&self, action: Action) -> String {
        let mut body = Serializer::new(String::new());
        body.append_pair("Action", action.name()).append_pair("Version", VERSION);
        body.extend_pairs(&self.0).finish()
    }
}
