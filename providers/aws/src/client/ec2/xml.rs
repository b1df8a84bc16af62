//! What comes back: XML in which every list is an element with children `item`.

use serde::Deserialize;
use serde::de::DeserializeOwned;

/// An answer, or what is wrong with it.
pub(crate) fn read<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    quick_xml::de::from_str(text).map_err(|error| format!("the answer is not what EC2 documents: {error}"))
}

/// A list. An empty one may be left out, or be an empty element.
#[derive(Debug, Deserialize)]
pub(crate) struct Items<T> {
    #[serde(default = "Vec::new", rename = "item")]
    items: Vec<T>,
}

impl<T> Default for Items<T> {
    fn default() -> Self {
        Self { items: Vec::new() }
    }
}

impl<T> IntoIterator for Items<T> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        self.items.into_iter()
    }
}

/// A tag.
#[derive(Debug, Deserialize)]
pub(crate) struct Tag {
    key: String,
    #[serde(default)]
    value: String,
}

impl Items<Tag> {
    pub(crate) fn pairs(self) -> std::collections::BTreeMap<String, String> {
        self.into_iter().map(|tag| (tag.key, tag.value)).collect()
    }
}

/// What EC2 says when it refuses.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) request_id: Option<String>,
}

/// The error document, if it is one.
pub(crate) fn refusal(text: &str) -> Option<Refusal> {
    #[derive(Deserialize)]
    struct Response {
        #[serde(rename = "Errors")]
        errors: Errors,
        #[serde(rename = "RequestID", alias = "RequestId")]
        request_id: Option<String>,
    }
    #[derive(Deserialize)]
    struct Errors {
        #[serde(rename = "Error")]
        error: One,
    }
    #[derive(Deserialize)]
    struct One {
        #[serde(rename = "Code")]
        code: String,
        #[serde(default, rename = "Message")]
        message: String,
    }
    let Response { errors: Errors { error: One { code, message } }, request_id } =
        quick_xml::de::from_str(text).ok()?;
    Some(Refusal { code, message, request_id })
}
