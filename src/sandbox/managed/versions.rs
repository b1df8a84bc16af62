//! The versions that an object may be written in. What somebody wrote in one is compared in that one.

use std::borrow::Cow;

use serde_json::Value;

use super::shape::{Form, Shapes};
use crate::sandbox::event;
use crate::sandbox::kinds::{Kind, Kinds};

pub(in crate::sandbox) struct Versions<'a> {
    kinds: &'a Kinds,
    kind: &'a Kind,
    here: String,
}

impl<'a> Versions<'a> {
    /// Of a kind, in the version that is written now.
    pub(in crate::sandbox) fn of(kinds: &'a Kinds, kind: &'a Kind) -> Self {
        Self { kinds, kind, here: kind.api_version() }
    }

    pub(super) fn kind(&self) -> &'a Kind {
        self.kind
    }

    pub(super) fn here(&self) -> &str {
        &self.here
    }

    pub(super) fn form(&self) -> Form<'a> {
        self.kind.shapes().form()
    }

    /// Nothing where there is no such version.
    pub(super) fn shapes(&self, version: &str) -> Option<&'a Shapes> {
        if version == self.here {
            return Some(self.kind.shapes());
        }
        let same = |kind: &&'a std::sync::Arc<Kind>| kind.place() == self.kind.place() && kind.api_version() == version;
        self.kinds.all().find(same).map(|kind| kind.shapes())
    }

    /// A stored object in this version.
    pub(super) fn shown<'v>(&self, object: &'v Value) -> Cow<'v, Value> {
        self.between(object, "v1", &self.here)
    }

    /// An object of this version in another.
    pub(super) fn converted<'v>(&self, object: &'v Value, version: &str) -> Cow<'v, Value> {
        self.between(object, &self.here, version)
    }

    /// Versions of custom resources have the same fields (no webhook is emulated); only Events differ.
    pub(super) fn between<'v>(&self, object: &'v Value, from: &str, to: &str) -> Cow<'v, Value> {
        if from == to || !self.kind.is("Event") {
            return Cow::Borrowed(object);
        }
        let mut object = object.clone();
        let convert = if to == "v1" { event::stored } else { event::shown };
        convert(&mut object);
        Cow::Owned(object)
    }
}
