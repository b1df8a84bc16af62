//! Every annotation there is, as data: [`table`] says what each sets, how it is read and what may stand in it. Reading, messages and
//! `docs/reference/aws-annotations.md` rest on the same lines.

pub mod table;

use serde::{Serialize, Serializer};

pub use table::Key;

/// What all of them begin with.
pub const PREFIX: &str = "service.beta.kubernetes.io/";

/// What almost all of them go on with; whatever does and is no key here is most likely a slip.
pub const AWS: &str = "service.beta.kubernetes.io/aws-load-balancer-";

/// What is to know about one key.
#[derive(Debug)]
pub struct Entry {
    /// Behind [`PREFIX`]; for [`Form::OfPort`] and [`Form::OfListener`] what stands before the port.
    pub name: &'static str,
    /// Whether a port is part of the name.
    pub form: Form,
    /// What it is a setting of.
    pub of: Of,
    /// How the text is read, and what may stand in it.
    pub syntax: Syntax,
    /// What it does.
    pub sets: &'static str,
    /// What holds without it.
    pub default: &'static str,
    /// AWS's (or Kubernetes') own page on it.
    pub source: &'static str,
    /// Whether it does anything.
    pub standing: Standing,
}

/// Whether a port is part of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// It stands once.
    Whole,
    /// `NAME.PORT`.
    OfPort,
    /// `NAME.PROTOCOL-PORT`.
    OfListener,
}

/// What a key is a setting of. Services that share a balancer must agree on what is the balancer's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    /// The balancer.
    Balancer,
    /// The listeners of the Service.
    Listeners,
    /// The target groups of the Service.
    Groups,
}

/// How a text is read, and what may stand in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Syntax {
    /// Some text, described here.
    Text(&'static str),
    /// One of these words, to the letter.
    Word(&'static [&'static str]),
    /// One of these words, in upper or lower case.
    AnyCase(&'static [&'static str]),
    /// Go's booleans.
    Bool,
    /// A whole number.
    Int {
        /// The least that AWS takes.
        min: i32,
        /// The most that AWS takes.
        max: i32,
        /// What is counted.
        unit: &'static str,
    },
    /// A list of what is described here.
    List(&'static str),
    /// Keys and values, described here.
    Map(&'static str),
    /// JSON.
    Json,
}

/// Whether a key does anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is read.
    Read,
    /// It is read, but this should stand instead.
    Deprecated(&'static str),
    /// Whatever it asks for is refused, for this reason.
    Refused(&'static str),
    /// It belongs to the Classic balancer and is refused; this stands for it here.
    Classic(&'static str),
}

impl Syntax {
    /// The words, where there is a choice of them.
    pub fn words(self) -> &'static [&'static str] {
        match self {
            Self::Word(words) | Self::AnyCase(words) => words,
            Self::Text(_) | Self::Bool | Self::Int { .. } | Self::List(_) | Self::Map(_) | Self::Json => &[],
        }
    }
}

impl Key {
    /// The whole name; a port that is part of it is left open.
    pub fn name(self) -> String {
        let Entry { name, form, .. } = self.entry();
        let open = match form {
            Form::Whole => "",
            Form::OfPort => ".PORT",
            Form::OfListener => ".PROTOCOL-PORT",
        };
        format!("{PREFIX}{name}{open}")
    }

    /// The key of an annotation, and what its name says of a port.
    pub fn of(annotation: &str) -> Option<(Self, &str)> {
        let name = annotation.strip_prefix(PREFIX)?;
        Self::ALL.iter().find_map(|key| {
            let rest = name.strip_prefix(key.entry().name)?;
            match key.entry().form {
                Form::Whole => rest.is_empty().then_some((*key, "")),
                Form::OfPort | Form::OfListener => rest.strip_prefix('.').map(|port| (*key, port)),
            }
        })
    }
}

impl Serialize for Key {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.entry().name)
    }
}

#[cfg(test)]
mod reference;
#[cfg(test)]
mod tests;
