//! Where a list that is read in pages goes on: the continue token, from `k8s.io/apiserver/pkg/storage/continue.go`.

use k8s_openapi::ByteString;
use serde_json::{Value, json};

use super::refused::Refused;
use super::store::Key;

const VERSION: &str = "meta.k8s.io/v1";

/// A place within a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Page {
    /// Of the list's first page; none where the list goes on with what there is now, consistent or not.
    pub(super) revision: Option<u64>,
    /// The first path, within what is listed, that is not told yet.
    start: String,
}

impl Page {
    /// The page after this object in a list of one namespace, or of all.
    pub(super) fn after(revision: u64, namespace: &str, last: &Key) -> Self {
        Self { revision: Some(revision), start: format!("{}\0", path(namespace, last)) }
    }

    /// What a client has been given.
    pub(super) fn read(token: &str) -> Result<Self, Refused> {
        let wrong =
            |why: &str| Refused::bad_request(format!("invalid continue token: continue key is not valid: {why}"));
        let text = token.replace('-', "+").replace('_', "/");
        if let Some(place) = not_base64(&text) {
            return Err(wrong(&format!("illegal base64 data at input byte {place}")));
        }
        let padded = format!("{text}{}", "=".repeat((4 - text.len() % 4) % 4));
        let bytes = serde_json::from_value::<ByteString>(padded.into()).map_err(|error| wrong(&error.to_string()))?;
        let token: Value = serde_json::from_slice(&bytes.0).map_err(|error| wrong(&error.to_string()))?;
        let version = token["v"].as_str().unwrap_or_default();
        if version != VERSION {
            return Err(wrong(&format!("server does not recognize this encoded version {version}")));
        }
        let revision = match token["rv"].as_i64() {
            None | Some(0) => {
                return Err(wrong(&format!("incorrect encoded start resourceVersion (version {VERSION})")));
            }
            Some(revision) => u64::try_from(revision).ok(),
        };
        let start = token["start"].as_str().unwrap_or_default().to_owned();
        if start.is_empty() {
            return Err(wrong(&format!("encoded start key empty (version {VERSION})")));
        }
        Ok(Self { revision, start })
    }

    /// For a client to give back.
    pub(super) fn token(&self) -> String {
        let revision = self.revision.and_then(|revision| i64::try_from(revision).ok()).unwrap_or(-1);
        let token = json!({"v": VERSION, "rv": revision, "start": self.start}).to_string();
        let text = serde_json::to_value(ByteString(token.into_bytes())).unwrap_or_default();
        text.as_str().unwrap_or_default().trim_end_matches('=').replace('+', "-").replace('/', "_")
    }

    /// The same place in what there is now.
    pub(super) fn now(&self) -> Self {
        Self { revision: None, start: self.start.clone() }
    }

    /// Whether this object of the list is still to be told.
    pub(super) fn holds(&self, namespace: &str, key: &Key) -> bool {
        path(namespace, key).as_bytes() >= self.start.as_bytes()
    }
}

/// The first byte that is not base64 without padding (RFC 4648, 5), as Go counts.
fn not_base64(text: &str) -> Option<usize> {
    let wrong = text.bytes().position(|byte| !(byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/')));
    wrong.or_else(|| (text.len() % 4 == 1).then(|| text.len() - 1))
}

/// An object's path within a list of one namespace, or of all.
fn path(namespace: &str, key: &Key) -> String {
    if namespace == key.namespace { key.name.clone() } else { format!("{}/{}", key.namespace, key.name) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_as_it_was_written_and_as_the_real_server_writes_it() {
        let key = Key { place: "pods".to_owned(), namespace: "shop".to_owned(), name: "web-1".to_owned() };
        for page in [Page::after(7, "", &key), Page::after(u64::MAX, "shop", &key).now()] {
            assert_eq!(Page::read(&page.token()).unwrap(), page);
        }
        let page =
            Page::read("eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6MSwic3RhcnQiOiJrdWJlLW5vZGUtbGVhc2VcdTAwMDAifQ").unwrap();
        assert_eq!(page, Page { revision: Some(1), start: "kube-node-lease\0".to_owned() });
        let held =
            |name: &str| page.holds("", &Key { place: String::new(), namespace: String::new(), name: name.to_owned() });
        assert!(!held("kube-node-lease") && held("kube-public") && held("kube-node-lease-2"));
    }
}
