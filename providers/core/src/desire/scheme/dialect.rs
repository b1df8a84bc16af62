//! How one controller of one cloud reads its keys. Plain data, so that the reference page is printed from it.

use std::collections::BTreeMap;
use std::fmt;

use crate::balancer::Scheme;
use crate::desire::scheme::Cloud;

/// The keys that one controller reads as one.
#[derive(Debug)]
pub struct Dialect {
    /// The cloud.
    pub cloud: Cloud,
    /// Who reads these keys there.
    pub reader: &'static str,
    /// The first of these that says anything decides alone.
    pub keys: &'static [Key],
    /// Where we had to choose, and why.
    pub note: &'static str,
}

/// One annotation.
#[derive(Debug)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// Texts that ask for an internal load balancer.
    pub internal: Words,
    /// Texts that ask for a public one.
    pub public: Words,
    /// What the empty text says.
    pub empty: Reading,
}

/// What a text says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// This scheme.
    Says(Scheme),
    /// No more than if the key were not there.
    Nothing,
    /// Nobody can tell.
    Unclear,
}

/// A set of texts. Nothing is trimmed: no cloud does.
#[derive(Debug)]
pub enum Words {
    /// None at all.
    None,
    /// These, to the letter.
    Exactly(&'static [&'static str]),
    /// These, in upper or lower case (ASCII).
    AnyCase(&'static [&'static str]),
    /// All that begin so and go on.
    StartWith(&'static str),
}

impl Dialect {
    /// The key that decides, its text, and what it says. None if no key is there, or none says anything.
    pub(super) fn read<'a>(
        &self,
        annotations: &'a BTreeMap<String, String>,
    ) -> Option<(&'static Key, &'a str, Reading)> {
        self.keys.iter().find_map(|key| {
            let text = annotations.get(key.name)?;
            let reading = key.read(text);
            (reading != Reading::Nothing).then_some((key, text.as_str(), reading))
        })
    }
}

impl Key {
    /// What this text says.
    pub fn read(&self, text: &str) -> Reading {
        if text.is_empty() {
            self.empty
        } else if self.internal.include(text) {
            Reading::Says(Scheme::Internal)
        } else if self.public.include(text) {
            Reading::Says(Scheme::Public)
        } else {
            Reading::Unclear
        }
    }

    /// What the reader expects, for a message.
    pub(super) fn expects(&self, dialect: &Dialect) -> String {
        let reader = dialect.reader;
        match self.public {
            Words::None => format!("{reader} knows only {} here", self.internal),
            Words::Exactly(_) | Words::AnyCase(_) | Words::StartWith(_) => {
                format!("{reader} knows only {} (internal) and {} (public) here", self.internal, self.public)
            }
        }
    }
}

impl Words {
    fn include(&self, text: &str) -> bool {
        match self {
            Self::None => false,
            Self::Exactly(words) => words.contains(&text),
            Self::AnyCase(words) => words.iter().any(|word| word.eq_ignore_ascii_case(text)),
            Self::StartWith(start) => text.strip_prefix(start).is_some_and(|rest| !rest.is_empty()),
        }
    }
}

impl fmt::Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("nothing"),
            Self::Exactly(words) => f.write_str(&words.join(", ")),
            Self::AnyCase(words) => write!(f, "{} in any case", words.join(", ")),
            Self::StartWith(start) => write!(f, "{start}..."),
        }
    }
}
