//! Reads a Service's annotations by the table of keys, and collects on the way all that is wrong with them.

use std::collections::BTreeMap;
use std::fmt::Display;

use portolan_core::reason::Reason;
use portolan_core::refusal::Refused;
use serde::Serialize;

use crate::annotations::keys::{self, Key, Standing, Syntax};
use crate::annotations::syntax::{self, Pairs};

/// Something that a person should know; nothing is refused for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Warning {
    /// What kind of thing.
    pub kind: WarningKind,
    /// For people: stable, without counters or times.
    pub message: String,
}

/// What a warning is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum WarningKind {
    /// Another key should stand instead.
    Deprecated,
    /// What is asked for has no effect.
    Ineffective,
    /// Nobody knows the key.
    Unknown,
}

/// The annotations of one Service, and what has been found in them so far.
#[derive(Debug)]
pub struct Reader<'a> {
    annotations: &'a BTreeMap<String, String>,
    /// What cannot be served.
    pub refused: Vec<Refused>,
    /// What a person should know.
    pub warnings: Vec<Warning>,
}

impl<'a> Reader<'a> {
    /// Begins with what the names of the keys alone say.
    pub fn new(annotations: &'a BTreeMap<String, String>) -> Self {
        let mut reader = Self { annotations, refused: Vec::new(), warnings: Vec::new() };
        for (name, text) in annotations {
            match Key::of(name) {
                Some((key, _)) => reader.judge(key, name, text),
                None if name.starts_with(keys::AWS) => {
                    reader.warn(
                        WarningKind::Unknown,
                        format!("annotation {name}: nobody knows this key; it sets nothing"),
                    );
                }
                None => {}
            }
        }
        reader
    }

    fn judge(&mut self, key: Key, name: &str, text: &str) {
        match key.entry().standing {
            Standing::Read if lists_nothing(key, text) => {
                self.ineffective_named(
                    name,
                    format!("{} lists nothing, so it is as if it were not there", shown(text)),
                );
            }
            Standing::Read => {}
            Standing::Deprecated(instead) => {
                self.warn(WarningKind::Deprecated, format!("annotation {name} is deprecated; use {instead}"));
            }
            Standing::Refused(why) if asks(key, text) => self.refuse_named(name, why),
            Standing::Refused(_) => {}
            Standing::Classic(instead) => {
                self.refuse_named(name, &format!("it belongs to the Classic balancer; {instead}"));
            }
        }
    }

    /// The text of a key.
    pub fn text(&self, key: Key) -> Option<&'a str> {
        self.annotations.get(&key.name()).map(String::as_str)
    }

    /// The key stands there with some text.
    pub fn has(&self, key: Key) -> bool {
        self.text(key).is_some_and(|text| !text.is_empty())
    }

    /// The word of a key; the table says which there are.
    pub fn word(&mut self, key: Key) -> Option<&'static str> {
        let text = self.text(key)?;
        let syntax = key.entry().syntax;
        let words = syntax.words();
        let is = |word: &&&str| match syntax {
            Syntax::AnyCase(_) => word.eq_ignore_ascii_case(text),
            Syntax::Text(_)
            | Syntax::Word(_)
            | Syntax::Bool
            | Syntax::Int { .. }
            | Syntax::List(_)
            | Syntax::Map(_)
            | Syntax::Json => **word == text,
        };
        let word = words.iter().find(is).copied();
        if word.is_none() {
            self.refuse(key, format!("{} is none of {}", shown(text), words.join(", ")));
        }
        word
    }

    /// The word of a key where the AWS Load Balancer Controller takes whatever else stands there for `otherwise`.
    pub fn word_or(&mut self, key: Key, otherwise: &'static str) -> Option<&'static str> {
        let text = self.text(key).filter(|text| !text.is_empty())?;
        let words = key.entry().syntax.words();
        let word = words.iter().find(|word| **word == text).copied();
        if word.is_none() {
            let words = words.join(", ");
            self.ineffective(key, format!("{} is none of {words}, and read as {otherwise}", shown(text)));
        }
        word.or(Some(otherwise))
    }

    /// The boolean of a key.
    pub fn bool(&mut self, key: Key) -> Option<bool> {
        let text = self.text(key)?;
        self.understood(key, text, syntax::bool(text))
    }

    /// The number of a key; the table says between which.
    pub fn int(&mut self, key: Key) -> Option<u16> {
        let text = self.text(key)?;
        let number = self.understood(key, text, syntax::int32(text))?;
        if let Syntax::Int { min, max, unit } = key.entry().syntax
            && !(min..=max).contains(&number)
        {
            self.refuse(key, format!("{number} is not between {min} and {max} {unit}"));
            return None;
        }
        u16::try_from(number).ok()
    }

    /// The items of a key; none if there is no item.
    pub fn list(&self, key: Key) -> Option<Vec<&'a str>> {
        self.text(key).map(syntax::list).filter(|items| !items.is_empty())
    }

    /// The items of a key, each parsed; one that stands twice is refused. None if there is no item or one is
    /// wrong.
    pub fn parsed<T: PartialEq>(&mut self, key: Key, parse: impl Fn(&str) -> Result<T, String>) -> Option<Vec<T>> {
        let items = self.parsed_all(key, parse)?;
        let texts = self.list(key).unwrap_or_default();
        let mut seen: Vec<&T> = Vec::new();
        for (item, text) in items.iter().zip(texts) {
            if seen.contains(&item) {
                self.refuse(key, format!("{} stands twice", shown(text)));
            }
            seen.push(item);
        }
        Some(items)
    }

    /// The same, where one that stands twice means no more than once.
    pub fn parsed_set<T: PartialEq>(&mut self, key: Key, parse: impl Fn(&str) -> Result<T, String>) -> Option<Vec<T>> {
        let mut set: Vec<T> = Vec::new();
        for item in self.parsed_all(key, parse)? {
            if !set.contains(&item) {
                set.push(item);
            }
        }
        Some(set)
    }

    /// The same, where each stands for itself.
    pub fn parsed_all<T>(&mut self, key: Key, parse: impl Fn(&str) -> Result<T, String>) -> Option<Vec<T>> {
        let before = self.refused.len();
        let mut items = Vec::new();
        for text in self.list(key)? {
            match parse(text) {
                Ok(item) => items.push(item),
                Err(why) => self.refuse(key, format!("{} {why}", shown(text))),
            }
        }
        (self.refused.len() == before).then_some(items)
    }

    /// The pairs of a key, as far as they can be read; empty if it is not there.
    pub fn map(&mut self, key: Key) -> BTreeMap<String, String> {
        self.text(key).map(|text| self.pairs(&key.name(), text)).unwrap_or_default()
    }

    fn pairs(&mut self, name: &str, text: &str) -> BTreeMap<String, String> {
        let Pairs { sound, wrong } = syntax::pairs(text);
        wrong.iter().for_each(|why| self.refuse_named(name, &format!("{} {why}", shown(text))));
        sound
    }

    /// The annotations of a key that has a port in its name: what stands for the port, the whole name, the pairs.
    pub fn maps_by_port(&mut self, key: Key) -> Vec<(&'a str, &'a str, BTreeMap<String, String>)> {
        let mut found = Vec::new();
        for (name, text) in self.annotations {
            match Key::of(name) {
                Some((of, port)) if of == key => found.push((port, name.as_str(), self.pairs(name, text))),
                Some(_) | None => {}
            }
        }
        found
    }

    fn understood<T>(&mut self, key: Key, text: &str, read: Result<T, String>) -> Option<T> {
        read.map_err(|why| self.refuse(key, format!("{} {why}", shown(text)))).ok()
    }

    /// Says no to what a key asks for.
    pub fn refuse(&mut self, key: Key, message: impl Display) {
        self.refuse_named(&key.name(), &message.to_string());
    }

    /// Says no to what an annotation asks for.
    pub fn refuse_named(&mut self, name: &str, message: &str) {
        self.refuse_as(Reason::InvalidAnnotation, format!("annotation {name}: {message}"));
    }

    /// Says no. What is said of each of several ports is said once.
    pub fn refuse_as(&mut self, reason: Reason, message: impl Into<String>) {
        let refused = Refused::whole(reason, message);
        if !self.refused.contains(&refused) {
            self.refused.push(refused);
        }
    }

    /// What a key asks for has no effect.
    pub fn ineffective(&mut self, key: Key, why: impl Display) {
        self.warn(WarningKind::Ineffective, format!("annotation {} has no effect: {why}", key.name()));
    }

    /// What an annotation asks for has no effect.
    pub fn ineffective_named(&mut self, name: &str, why: impl Display) {
        self.warn(WarningKind::Ineffective, format!("annotation {name} has no effect: {why}"));
    }

    /// What a field of the spec asks for has no effect.
    pub fn ineffective_field(&mut self, field: &str, why: impl Display) {
        self.warn(WarningKind::Ineffective, format!("{field} has no effect: {why}"));
    }

    fn warn(&mut self, kind: WarningKind, message: String) {
        let warning = Warning { kind, message };
        if !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }
}

/// A list that has separators and no item. An empty text is how templates leave a key out.
fn lists_nothing(key: Key, text: &str) -> bool {
    matches!(key.entry().syntax, Syntax::List(_)) && !text.is_empty() && syntax::list(text).is_empty()
}

/// A key that is refused asks for something: not if it says no, or lists nothing.
fn asks(key: Key, text: &str) -> bool {
    match key.entry().syntax {
        Syntax::Bool => syntax::bool(text) != Ok(false),
        Syntax::List(_) => !syntax::list(text).is_empty(),
        Syntax::Text(_) | Syntax::Word(_) | Syntax::AnyCase(_) | Syntax::Int { .. } | Syntax::Map(_) | Syntax::Json => {
            true
        }
    }
}

/// A text in a message: quoted, escaped, and cut. The API allows 256 KiB.
pub fn shown(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{:?}...", text.get(..end).unwrap_or_default()),
        None => format!("{text:?}"),
    }
}
