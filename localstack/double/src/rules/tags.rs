//! Tags: API reference, AddTags (`DuplicateTagKeys`, `TooManyTags`), Tag (lengths); NLB guide, "Tags": at most 50, `aws:` is reserved.

use std::collections::BTreeMap;

use crate::query::Query;
use crate::refusal::Refusal;

const MOST: usize = 50;

/// The tags of a request.
pub(crate) fn read(query: &Query) -> Result<BTreeMap<String, String>, Refusal> {
    let mut tags = BTreeMap::new();
    for tag in query.structures("Tags") {
        let (key, value) = (tag.need("Key")?.to_owned(), tag.get("Value").unwrap_or_default().to_owned());
        let legal = |text: &str| {
            text.chars().all(|one| one.is_alphanumeric() || one.is_whitespace() || "_.:/=+-@".contains(one))
        };
        if !(1..=128).contains(&key.chars().count()) || value.chars().count() > 256 || !legal(&key) || !legal(&value) {
            return Err(Refusal::validation(format!(
                "tag '{key}': a key has 1 to 128 characters, a value at most 256, of letters, spaces, digits and _.:/=+-@"
            )));
        }
        if key.starts_with("aws:") {
            return Err(Refusal::validation(format!("tag '{key}': keys that begin with aws: are reserved")));
        }
        if tags.insert(key.clone(), value).is_some() {
            return Err(Refusal::new("DuplicateTagKeys", format!("the key '{key}' was specified more than once")));
        }
    }
    fits(&tags)?;
    Ok(tags)
}

/// At most fifty.
pub(crate) fn fits(tags: &BTreeMap<String, String>) -> Result<(), Refusal> {
    if tags.len() > MOST {
        Err(Refusal::new("TooManyTags", format!("a resource has at most {MOST} tags")))
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(pairs: &[(&str, &str)]) -> Result<usize, String> {
        let members = pairs.iter().enumerate().flat_map(|(index, (key, value))| {
            [
                (format!("Tags.member.{}.Key", index + 1), (*key).to_owned()),
                (format!("Tags.member.{}.Value", index + 1), (*value).to_owned()),
            ]
        });
        read(&Query::of(members)).map(|tags| tags.len()).map_err(|refusal| refusal.code)
    }

    #[test]
    fn keys_are_unique_short_and_not_aws_s_own() {
        assert_eq!(tags(&[("elbv2.k8s.aws/cluster", "prod"), ("a", "")]), Ok(2));
        assert_eq!(tags(&[("a", "1"), ("a", "2")]), Err("DuplicateTagKeys".to_owned()));
        for bad in [("aws:x", "1"), ("", "1"), (&*"k".repeat(129), "1"), ("k", &*"v".repeat(257)), ("k", "a\"b")] {
            assert_eq!(tags(&[bad]), Err("ValidationError".to_owned()), "{bad:?}");
        }
    }

    #[test]
    fn a_resource_has_at_most_fifty() {
        let keys: Vec<String> = (0..51).map(|n| format!("k{n}")).collect();
        let pairs: Vec<(&str, &str)> = keys.iter().map(|key| (key.as_str(), "")).collect();
        assert_eq!((tags(&pairs[..50]), tags(&pairs)), (Ok(50), Err("TooManyTags".to_owned())));
    }
}
