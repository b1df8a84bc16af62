//! Tags (<https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_Tag.html>).

use std::collections::BTreeMap;

use crate::annotations::Key;
use crate::annotations::reader::{Reader, shown};
use crate::settings::Input;

/// AWS takes 50 tags on an object (<https://docs.aws.amazon.com/tag-editor/latest/userguide/best-practices-and-strats.html>); ten are kept for
/// those by which Portolan knows its own.
pub const MOST: usize = 40;

/// Beginnings of keys by which controllers know their own. Whoever sets one would take, or give away, what is made.
const OF_CONTROLLERS: [&str; 4] = ["elbv2.k8s.aws/", "ingress.k8s.aws/", "service.k8s.aws/", "portolan.dev/"];

/// The class's default tags, over them the Service's own, over them those that the class insists on.
pub(super) fn read(input: &Input<'_>, reader: &mut Reader<'_>) -> BTreeMap<String, String> {
    let limits = &input.parameters.limits;
    let mut tags = input.parameters.defaults.tags.clone();
    for (name, text) in reader.map(Key::Tags) {
        if let Err(why) = key(&name) {
            reader.refuse(Key::Tags, format!("key {} {why}", shown(&name)));
        } else if limits.reserved_tags.contains(&name) {
            reader.refuse(Key::Tags, format!("the tag {name} is the class's to give; remove it"));
        } else if let Err(why) = value(&text) {
            reader.refuse(Key::Tags, format!("{name}: {} {why}", shown(&text)));
        } else {
            match limits.tags.get(&name) {
                Some(insisted) if *insisted != text => {
                    reader.ineffective(Key::Tags, format!("in {name}: the class insists on {}", shown(insisted)));
                }
                Some(_) | None => {}
            }
            tags.insert(name, text);
        }
    }
    tags.extend(limits.tags.clone());
    if tags.len() > MOST {
        reader.refuse(Key::Tags, format!("makes {} tags with those of the class; {MOST} is the most", tags.len()));
    }
    tags
}

/// Why a text cannot be a key, to follow it in a message.
pub fn key(text: &str) -> Result<(), String> {
    if text.is_empty() || text.chars().count() > 128 {
        Err("must have 1 to 128 characters".to_owned())
    } else if text.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("aws:")) {
        Err("begins with aws:, which AWS keeps to itself".to_owned())
    } else if is_of_controllers(text) {
        Err("is of the tags by which a controller knows its own".to_owned())
    } else {
        characters(text)
    }
}

/// The key is one by which a controller knows its own: nobody's to give, nor to remove.
pub fn is_of_controllers(key: &str) -> bool {
    OF_CONTROLLERS.iter().any(|start| key.starts_with(start))
}

/// Why a text cannot be a value, to follow it in a message.
pub fn value(text: &str) -> Result<(), String> {
    if text.chars().count() > 256 {
        return Err("must have at most 256 characters".to_owned());
    }
    characters(text)
}

/// Letters, digits, spaces and these signs.
fn characters(text: &str) -> Result<(), String> {
    let legal = |c: char| c.is_alphanumeric() || c == ' ' || "_.:/=+-@".contains(c);
    match text.chars().find(|c| !legal(*c)) {
        None => Ok(()),
        Some(c) => Err(format!("holds {c:?}; letters, digits, spaces and _ . : / = + - @ may stand there")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_values_are_as_aws_takes_them() {
        for good in ["a", "Kosten Stelle", "übung", "a_b.c:d/e=f+g-h@i", &"x".repeat(128), "awsome"] {
            assert_eq!(key(good), Ok(()), "{good:?}");
        }
        for bad in
            ["", "aws:name", "AWS:name", "a,b", "a\tb", "elbv2.k8s.aws/cluster", "portolan.dev/id", &"x".repeat(129)]
        {
            assert!(key(bad).is_err(), "{bad:?}");
        }
        assert_eq!(value(""), Ok(()));
        assert_eq!(value(&"x".repeat(256)), Ok(()));
        assert!(value(&"x".repeat(257)).is_err());
        assert!(value("a#b").is_err());
    }
}
