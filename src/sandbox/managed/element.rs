//! One step of a path into an object, and its text. From `sigs.k8s.io/structured-merge-diff/v6/fieldpath/{element,serialize-pe}.go`.

use std::cmp::Ordering;
use std::fmt;

use serde_json::{Map, Value};

/// What is below an object: a field of a map, or an item of a list. Items of lists that are atomic have no element of their own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::sandbox) enum Element {
    Field(String),
    /// The item whose fields have these values, in the order of their names.
    Key(Vec<(String, Scalar)>),
    /// The item of a set.
    Value(Scalar),
    Index(i64),
}

/// A value that tells items apart. Numbers stand before texts, these before truths, null comes last.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::sandbox) enum Scalar {
    Number(Number),
    Text(String),
    Truth(bool),
    /// A list or map, which no schema lets be one; as JSON.
    Other(String),
    Null,
}

/// A number, by its value: 80 and 80.0 are one.
#[derive(Clone, Copy, Debug)]
pub(in crate::sandbox) enum Number {
    Whole(i64),
    Broken(f64),
}

impl Element {
    pub(super) fn field(name: &str) -> Self {
        Self::Field(name.to_owned())
    }

    /// As a key of `FieldsV1`.
    pub(super) fn written(&self) -> String {
        match self {
            Self::Field(name) => format!("f:{name}"),
            Self::Key(fields) => {
                let fields: Map<String, Value> =
                    fields.iter().map(|(name, value)| (name.clone(), value.json())).collect();
                format!("k:{}", escaped(&Value::Object(fields)))
            }
            Self::Value(value) => format!("v:{}", escaped(&value.json())),
            Self::Index(index) => format!("i:{index}"),
        }
    }

    /// Nothing where it is no element that we know; the server skips these too.
    pub(super) fn read(text: &str) -> Result<Option<Self>, String> {
        let Some((kind, rest)) = text.split_once(':') else {
            return Err(format!("missing colon: {text}"));
        };
        let json = |rest: &str| serde_json::from_str::<Value>(rest).map_err(|error| error.to_string());
        Ok(match kind {
            "f" => Some(Self::Field(rest.to_owned())),
            "v" => Some(Self::Value(Scalar::of(&json(rest)?))),
            "k" => {
                let Value::Object(fields) = json(rest)? else { return Err(format!("no map of keys: {text}")) };
                let mut fields: Vec<(String, Scalar)> =
                    fields.into_iter().map(|(name, value)| (name, Scalar::of(&value))).collect();
                fields.sort();
                Some(Self::Key(fields))
            }
            "i" => Some(Self::Index(rest.parse().map_err(|_| format!("no index: {text}"))?)),
            _ => None,
        })
    }
}

/// JSON as Go writes it: what would end a script stands as a code.
fn escaped(value: &Value) -> String {
    let text = value.to_string();
    if !text.contains(['<', '>', '&', '\u{2028}', '\u{2029}']) {
        return text;
    }
    let code = |letter: char| match letter {
        '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => format!("\\u{:04x}", u32::from(letter)),
        other => other.to_string(),
    };
    text.chars().map(code).collect()
}

impl Scalar {
    pub(super) fn of(value: &Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(truth) => Self::Truth(*truth),
            Value::Number(number) => Self::Number(Number::of(number)),
            Value::String(text) => Self::Text(text.clone()),
            Value::Array(_) | Value::Object(_) => Self::Other(value.to_string()),
        }
    }

    fn json(&self) -> Value {
        match self {
            Self::Number(Number::Whole(number)) => (*number).into(),
            Self::Number(Number::Broken(number)) => (*number).into(),
            Self::Text(text) => text.as_str().into(),
            Self::Truth(truth) => (*truth).into(),
            Self::Other(json) => serde_json::from_str(json).unwrap_or_default(),
            Self::Null => Value::Null,
        }
    }
}

impl Number {
    fn of(number: &serde_json::Number) -> Self {
        if let Some(whole) = number.as_i64() {
            return Self::Whole(whole);
        }
        let broken = number.as_f64().unwrap_or_default();
        #[expect(clippy::cast_possible_truncation, reason = "within what both types hold exactly")]
        if broken.fract() == 0.0 && broken.abs() < 9e15 { Self::Whole(broken as i64) } else { Self::Broken(broken) }
    }

    #[expect(clippy::cast_precision_loss, reason = "compared with a number that is broken, or too large to be exact")]
    fn float(self) -> f64 {
        match self {
            Self::Whole(number) => number as f64,
            Self::Broken(number) => number,
        }
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Whole(one), Self::Whole(other)) => one.cmp(other),
            (one, other) => one.float().total_cmp(&other.float()),
        }
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Number {}

/// As conflicts name it.
impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(name) => write!(f, ".{name}"),
            Self::Key(fields) => {
                let fields: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
                write!(f, "[{}]", fields.join(","))
            }
            Self::Value(value) => write!(f, "[={value}]"),
            Self::Index(index) => write!(f, "[{index}]"),
        }
    }
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(Number::Whole(number)) => write!(f, "{number}"),
            Self::Number(Number::Broken(number)) => write!(f, "{number}"),
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Truth(truth) => write!(f, "{truth}"),
            Self::Other(json) => f.write_str(json),
            Self::Null => f.write_str("null"),
        }
    }
}
