//! What comes back: XML in which every list is an element with children `item`.

use quick_xml::events::Event;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::client::action::Action;

/// An answer to this action, or what is wrong with it. All lists may be missing, so another document would read as an answer in which there
/// is nothing; the name of its root says which it is.
pub(crate) fn read<T: DeserializeOwned>(action: Action, text: &str) -> Result<T, String> {
    let expected = format!("{}Response", action.name());
    match root(text) {
        Some(root) if root == expected => quick_xml::de::from_str(text)
            .map_err(|error| format!("the answer is not what EC2 documents for {expected}: {error}")),
        Some(other) => Err(format!("the answer is a document {other}, not {expected}")),
        None => Err(format!("the answer is no document {expected}")),
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "quick-xml's enum: whatever else comes before the root")]
fn root(text: &str) -> Option<String> {
    let mut reader = quick_xml::Reader::from_str(text);
    loop {
        match reader.read_event().ok()? {
            Event::Start(element) | Event::Empty(element) => {
                return Some(element.local_name().as_ref().to_owned());
            }
            Event::Eof => return None,
            _ => {}
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_may_be_missing_or_empty_or_have_one() {
        #[derive(Deserialize)]
        struct Answer {
            #[serde(default)]
            set: Items<String>,
        }
        let count = |inner: &str| {
            let text =
                format!("<?xml version=\"1.0\"?>\n<DescribeVpcsResponse xmlns=\"x\">{inner}</DescribeVpcsResponse>");
            read::<Answer>(Action::DescribeVpcs, &text).map(|answer| answer.set.into_iter().count())
        };
        assert_eq!(count(""), Ok(0));
        assert_eq!(count("<set/>"), Ok(0));
        assert_eq!(count("\n <set>\n </set>\n"), Ok(0));
        assert_eq!(count("<set><item>a</item></set><more/>"), Ok(1));
        assert!(count("<set><item>").is_err());
    }

    #[test]
    fn another_document_is_no_answer_in_which_there_is_nothing() {
        #[derive(Debug, Deserialize)]
        struct Anything {}
        for text in ["", "x", "<html><body/></html>", "<DescribeSubnetsResponse/>", "<!-- <DescribeVpcsResponse/> -->"]
        {
            assert!(read::<Anything>(Action::DescribeVpcs, text).is_err(), "{text}");
        }
        assert!(read::<Anything>(Action::DescribeVpcs, "<DescribeVpcsResponse/>").is_ok());
    }

    #[test]
    fn the_value_of_a_tag_is_as_it_is() {
        let read = |inner: &str| quick_xml::de::from_str::<Items<Tag>>(&format!("<tagSet>{inner}</tagSet>")).unwrap();
        let tags = "<item><key>a b</key><value>&lt;ü&#x20;&amp;&quot;</value></item><item><key>c</key></item>";
        let pairs = read(tags).pairs();
        assert_eq!(
            pairs.into_iter().collect::<Vec<_>>(),
            [("a b".into(), "<ü &\"".into()), ("c".into(), String::new())]
        );
        let spaces = read("<item><key>a</key><value> x </value></item>").pairs();
        assert_eq!(spaces["a"], " x ");
    }

    #[test]
    fn what_is_no_refusal_is_not_taken_for_one() {
        let text = "<Response><Errors><Error><Code>A.B</Code></Error></Errors><RequestID>r</RequestID></Response>";
        let refusal = Refusal { code: "A.B".to_owned(), message: String::new(), request_id: Some("r".to_owned()) };
        assert_eq!(super::refusal(text), Some(refusal));
        for text in ["", "<html><body>busy</body></html>", "{}", "<Response><Errors/></Response>"] {
            assert_eq!(super::refusal(text), None, "{text}");
        }
    }
}
