//! Attributes from several places, the later over the earlier.

use std::collections::BTreeMap;

use crate::annotations::Key;
use crate::annotations::reader::{Reader, shown};
use crate::attributes::{Attribute, AttributeKey, Attributes};
use crate::parameters::Limit;

/// What has been put together so far.
#[derive(Clone, Debug)]
pub(super) struct Merge<'a> {
    table: &'static [Attribute],
    limit: &'a Limit<AttributeKey>,
    set: BTreeMap<AttributeKey, Set>,
}

/// One value and who has put it.
#[derive(Clone, Debug)]
struct Set {
    value: String,
    /// The annotation; none for the class.
    by: Option<String>,
}

impl<'a> Merge<'a> {
    /// Begins with what the class sets.
    pub(super) fn new(table: &'static [Attribute], class: &Attributes, limit: &'a Limit<AttributeKey>) -> Self {
        let set = class.iter().map(|(key, value)| (*key, Set { value: value.clone(), by: None }));
        Self { table, limit, set: set.collect() }
    }

    /// Puts what an annotation says.
    pub(super) fn put(&mut self, annotation: &str, pairs: BTreeMap<String, String>, reader: &mut Reader<'_>) {
        for (key, value) in pairs {
            match self.checked(&key, &value) {
                Ok((key, value)) => {
                    self.set.insert(key, Set { value, by: Some(annotation.to_owned()) });
                }
                Err(why) => reader.refuse_named(annotation, &why),
            }
        }
    }

    /// Puts what a key of its own says, and tells of whatever else said something different.
    pub(super) fn put_one(&mut self, key: Key, attribute: &str, value: &str, reader: &mut Reader<'_>) {
        let before = self.set.iter().find(|(set, _)| set.as_str() == attribute).map(|(_, set)| set.clone());
        self.put(&key.name(), BTreeMap::from([(attribute.to_owned(), value.to_owned())]), reader);
        match before {
            Some(Set { value: before, by: Some(by) }) if before != value => {
                reader.ineffective_named(&by, format!("in {attribute}: {} wins", key.name()));
            }
            Some(_) | None => {}
        }
    }

    fn checked(&self, key: &str, value: &str) -> Result<(AttributeKey, String), String> {
        let known = AttributeKey::parse(self.table, key).map_err(|why| format!("{} {why}", shown(key)))?;
        if !self.limit.allows(&known) {
            return Err(format!("{key} is the class's to set; it allows {}", self.limit.told(|key| *key)));
        }
        let value = known.attribute().values.check(value).map_err(|why| format!("{key}: {} {why}", shown(value)))?;
        Ok((known, value))
    }

    /// The value of an attribute, if somebody sets it.
    pub(super) fn get(&self, attribute: &str) -> Option<&str> {
        self.set.iter().find(|(key, _)| key.as_str() == attribute).map(|(_, set)| set.value.as_str())
    }

    /// The attribute has this value.
    pub(super) fn is(&self, attribute: &str, value: &str) -> bool {
        self.get(attribute) == Some(value)
    }

    /// An attribute that AWS would not take here: the class's is left out, a Service's is refused.
    pub(super) fn impossible(&mut self, attribute: &str, why: &str, reader: &mut Reader<'_>) {
        let found = self.set.iter().find(|(key, _)| key.as_str() == attribute).map(|(key, set)| (*key, set.by.clone()));
        let Some((key, by)) = found else { return };
        self.set.remove(&key);
        if let Some(by) = by {
            reader.refuse_named(&by, &format!("{key}: {why}"));
        }
    }

    /// Leaves an attribute out, whoever has put it.
    pub(super) fn drop(&mut self, attribute: &str) {
        self.set.retain(|key, _| key.as_str() != attribute);
    }

    /// What stands in the end.
    pub(super) fn settled(self) -> Attributes {
        self.set.into_iter().map(|(key, set)| (key, set.value)).collect()
    }
}
