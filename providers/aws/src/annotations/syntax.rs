//! How the text of an annotation is read, by the rules of the AWS Load Balancer Controller
//! (<https://kubernetes-sigs.github.io/aws-load-balancer-controller/latest/guide/service/annotations/>). An error says what is wrong, to
//! follow the text in a message.

use std::collections::BTreeMap;

use portolan_core::go;

/// Comma between the items, each trimmed; empty ones do not count.
pub fn list(text: &str) -> Vec<&str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty()).collect()
}

/// `k=v,k=v`, keys and values trimmed; empty items do not count. The first `=` ends the key, so a value may hold more. A backslash takes
/// the next character as it is, so a value may hold a comma. A key that stands twice with different values is an error, because nobody could
/// say which is meant.
pub fn map(text: &str) -> Result<BTreeMap<String, String>, Vec<String>> {
    let Pairs { sound, wrong } = pairs(text);
    if wrong.is_empty() { Ok(sound) } else { Err(wrong) }
}

/// What has been read of a map.
#[derive(Debug, Default)]
pub struct Pairs {
    /// The pairs that can be read, so that they can be judged whatever is wrong beside them.
    pub sound: BTreeMap<String, String>,
    /// All that is wrong.
    pub wrong: Vec<String>,
}

/// The same, as far as it can be read.
pub fn pairs(text: &str) -> Pairs {
    let mut pairs = Pairs::default();
    for item in split(text, &mut pairs.wrong) {
        let Item { key, value } = item;
        let key = key.trim().to_owned();
        match value {
            None if key.is_empty() => {}
            None => pairs.wrong.push(format!("has no '=' in {key:?}")),
            Some(_) if key.is_empty() => pairs.wrong.push("has a value without a key".to_owned()),
            Some(value) => {
                let value = value.trim().to_owned();
                let before = pairs.sound.entry(key.clone()).or_insert_with(|| value.clone());
                if *before != value {
                    pairs.wrong.push(format!("says {key:?} twice, and differently"));
                }
            }
        }
    }
    pairs
}

/// One item of a map; without value there was no `=`.
#[derive(Default)]
struct Item {
    key: String,
    value: Option<String>,
}

fn split(text: &str, wrong: &mut Vec<String>) -> Vec<Item> {
    let mut items = vec![];
    let mut item = Item::default();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        let taken = match (character, &mut item.value) {
            (',', _) => {
                items.push(std::mem::take(&mut item));
                continue;
            }
            ('=', value @ None) => {
                *value = Some(String::new());
                continue;
            }
            ('\\', _) => {
                let Some(escaped) = characters.next() else {
                    wrong.push("ends in a backslash that escapes nothing".to_owned());
                    break;
                };
                escaped
            }
            (other, _) => other,
        };
        item.value.as_mut().unwrap_or(&mut item.key).push(taken);
    }
    items.push(item);
    items
}

/// As Go's `strconv.ParseBool`.
pub fn bool(text: &str) -> Result<bool, String> {
    if go::TRUE.contains(&text) {
        Ok(true)
    } else if go::FALSE.contains(&text) {
        Ok(false)
    } else {
        Err("is neither true nor false".to_owned())
    }
}

/// As Go's `strconv.ParseInt(text, 10, 32)`.
pub fn int32(text: &str) -> Result<i32, String> {
    text.parse().map_err(|_| "is no whole number of 32 bits".to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pairs(items: &[(&str, &str)]) -> BTreeMap<String, String> {
        items.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_list_is_trimmed_and_has_no_empty_items() {
        assert_eq!(list(" a, b ,,c,"), ["a", "b", "c"]);
        assert_eq!(list("a b"), ["a b"]);
        assert!(list(" , ,").is_empty());
    }

    #[test]
    fn a_map_takes_what_the_controller_takes() {
        for (text, expected) in [
            ("", &[][..]),
            ("a=b", &[("a", "b")]),
            (" a = b , c=d ", &[("a", "b"), ("c", "d")]),
            ("a=b=c", &[("a", "b=c")]),
            ("a=", &[("a", "")]),
            ("a=b,,", &[("a", "b")]),
            (r"a=b\,c,d=e", &[("a", "b,c"), ("d", "e")]),
            (r"a\=b=c", &[("a=b", "c")]),
            (r"a=b\\c", &[("a", r"b\c")]),
            ("a=b,a=b", &[("a", "b")]),
        ] {
            assert_eq!(map(text).unwrap(), pairs(expected), "{text:?}");
        }
        for (text, says) in [
            ("a", "no '='"),
            ("a=b,c", "no '='"),
            ("=b", "without a key"),
            (" =", "without a key"),
            (r"a=b\", "backslash"),
            ("a=b,a=c", "twice"),
        ] {
            let wrong = map(text).unwrap_err();
            assert!(wrong.len() == 1 && wrong[0].contains(says), "{text:?}: {wrong:?}");
        }
    }

    #[test]
    fn a_map_tells_all_that_is_wrong_with_it_and_gives_what_can_be_read() {
        let Pairs { sound, wrong } = super::pairs(r"a, b=1 ,=c,b=2,d=4,e=5\");
        assert_eq!(sound, pairs(&[("b", "1"), ("d", "4"), ("e", "5")]));
        let says = ["backslash", "no '=' in \"a\"", "without a key", "\"b\" twice"];
        assert_eq!(wrong.len(), says.len(), "{wrong:?}");
        assert!(wrong.iter().zip(says).all(|(wrong, says)| wrong.contains(says)), "{wrong:?}");
    }

    #[test]
    fn booleans_and_numbers_are_those_of_go() {
        for text in ["1", "t", "T", "TRUE", "true", "True"] {
            assert_eq!(bool(text), Ok(true), "{text}");
        }
        for text in ["0", "f", "F", "FALSE", "false", "False"] {
            assert_eq!(bool(text), Ok(false), "{text}");
        }
        for text in ["", "FalSe", "yes", " true", "tRUE"] {
            assert!(bool(text).is_err(), "{text:?}");
        }
        for (text, number) in [("0", 0), ("+5", 5), ("-5", -5), ("010", 10), ("2147483647", i32::MAX)] {
            assert_eq!(int32(text), Ok(number), "{text}");
        }
        for text in ["", " 5", "5s", "0x10", "1_000", "2147483648", "1e3"] {
            assert!(int32(text).is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_escaped_comes_back(items in prop::collection::btree_map("[a-z]{1,4}", "[a-z=,\\\\]{0,6}", 0..4)) {
            let escape = |text: &str| text.replace('\\', r"\\").replace(',', r"\,");
            let text: Vec<String> = items.iter().map(|(key, value)| format!("{key}={}", escape(value))).collect();
            prop_assert_eq!(map(&text.join(",")).unwrap(), items);
        }

        #[test]
        fn no_text_makes_a_parser_panic(text in any::<String>()) {
            let _ = (map(&text), bool(&text), int32(&text));
            prop_assert!(list(&text).iter().all(|item| !item.is_empty()));
        }
    }
}
