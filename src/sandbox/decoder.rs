//! What the server's decoder says of what is written as a built-in kind: what has a wrong type, in the words of Go's decoders, and what
//! no type knows or stands twice, of which strict clients are told. From `sigs.k8s.io/json` and, for strategic merge patches,
//! `k8s.io/apimachinery/pkg/runtime/converter.go`.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::schema::Schema;

/// Which of the server's two decoders speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// That of JSON, for all that is sent or patched as text.
    Json,
    /// That of maps in memory, for strategic merge patches.
    Map,
}

/// What is wrong with a document.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Findings {
    /// The first value of a wrong type: nobody can read the document.
    pub(super) wrong: Option<String>,
    /// Fields that stand twice or that nobody knows, in the order of the document.
    pub(super) strict: Vec<String>,
}

/// Reads a document as what the schema says, as an object of this Go type; without a schema only for what stands twice.
pub(super) fn scan<'de, D: Deserializer<'de>>(
    source: D,
    schema: Option<Schema>,
    go: &str,
    dialect: Dialect,
) -> Findings {
    let mut findings = Findings::default();
    let mut at = Place { within: go.to_owned(), ..Place::default() };
    let read = Scan { schema, dialect, at: &mut at, findings: &mut findings }.deserialize(source);
    debug_assert!(read.is_ok(), "the document was read before: {read:?}");
    findings
}

/// The name of a Go type, where the name of its schema is a path to it: `v1.ServicePort` of `io.k8s.api.core.v1.ServicePort`.
pub(super) fn go_name(schema: &str) -> String {
    let mut parts = schema.rsplit('.');
    let (name, package) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    format!("{package}.{name}")
}

/// Where the decoder is.
#[derive(Default)]
struct Place {
    /// The struct around, without its package.
    within: String,
    /// As clients are told: with indexes and keys.
    path: String,
    /// As Go's messages name it: without.
    fields: String,
}

struct Scan<'a, 'b> {
    schema: Option<Schema<'a>>,
    dialect: Dialect,
    at: &'b mut Place,
    findings: &'b mut Findings,
}

impl<'a> Scan<'a, '_> {
    /// The same for what is inside.
    fn inner(&mut self, schema: Option<Schema<'a>>) -> Scan<'a, '_> {
        Scan { schema, dialect: self.dialect, at: self.at, findings: self.findings }
    }

    fn wrong(&mut self, message: impl FnOnce(&Place) -> String) {
        if self.findings.wrong.is_none() {
            self.findings.wrong = Some(message(self.at));
        }
    }

    /// Holds a value of this form to the schema's type, if there is a schema, and says which that is.
    fn hold(&mut self, found: Found) -> Option<Form> {
        let schema = self.schema?;
        let form = Form::of(&schema);
        if form.takes(found) {
            return Some(form);
        }
        if form == Form::Quantity {
            self.wrong(|_| NO_QUANTITY.to_owned());
            return Some(form);
        }
        let (dialect, go, told) = (self.dialect, go_type(&schema), found.told_to(form));
        self.wrong(|at| match dialect {
            Dialect::Json if !at.fields.is_empty() => {
                format!("json: cannot unmarshal {told} into Go struct field {}.{} of type {go}", at.within, at.fields)
            }
            // Types that read themselves read JSON here too.
            Dialect::Map if !matches!(form, Form::IntOrString | Form::Time) => form.not_from(found, &go),
            Dialect::Json | Dialect::Map => format!("json: cannot unmarshal {told} into Go value of type {go}"),
        });
        Some(form)
    }

    fn text(&mut self, text: &str) {
        let form = self.hold(Found::Text);
        if form == Some(Form::Time) && text.parse::<jiff::Timestamp>().is_err() {
            let micro = self.schema.and_then(|schema| schema.name()).is_some_and(|name| name.ends_with(".MicroTime"));
            let layout = if micro { "2006-01-02T15:04:05.000000Z07:00" } else { "2006-01-02T15:04:05Z07:00" };
            self.wrong(|_| format!("parsing time {text:?} as {layout:?}: cannot parse {text:?} as \"2006\""));
        }
        if form == Some(Form::Quantity) && !is_quantity(text) {
            self.wrong(|_| NO_QUANTITY.to_owned());
        }
        if form == Some(Form::Bytes)
            && let Some(place) = not_base64(text)
        {
            self.wrong(|_| format!("illegal base64 data at input byte {place}"));
        }
    }
}

impl<'de> DeserializeSeed<'de> for Scan<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, source: D) -> Result<(), D::Error> {
        source.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Scan<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("any JSON")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(()) // null is the zero value of every Go type
    }

    fn visit_bool<E>(mut self, _: bool) -> Result<(), E> {
        self.hold(Found::Bool);
        Ok(())
    }

    fn visit_i64<E>(mut self, number: i64) -> Result<(), E> {
        self.hold(Found::Integer(number));
        Ok(())
    }

    fn visit_u64<E>(mut self, number: u64) -> Result<(), E> {
        self.hold(i64::try_from(number).map_or(Found::Number(number as f64), Found::Integer));
        Ok(())
    }

    fn visit_f64<E>(mut self, number: f64) -> Result<(), E> {
        self.hold(Found::Number(number));
        Ok(())
    }

    fn visit_str<E>(mut self, text: &str) -> Result<(), E> {
        self.text(text);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<(), A::Error> {
        self.hold(Found::Array);
        let schema = self.schema.and_then(|schema| schema.items());
        let length = self.at.path.len();
        for index in 0.. {
            self.at.path.push_str(&format!("[{index}]"));
            let item = items.next_element_seed(self.inner(schema))?;
            self.at.path.truncate(length);
            if item.is_none() {
                break;
            }
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut fields: A) -> Result<(), A::Error> {
        let form = self.hold(Found::Object);
        let object = self.schema.filter(|_| form == Some(Form::Struct));
        let within = object.and_then(|schema| schema.name()?.rsplit('.').next().map(str::to_owned));
        let outer = within.map(|within| std::mem::replace(&mut self.at.within, within));
        let mut seen = BTreeSet::new();
        while let Some(name) = fields.next_key::<String>()? {
            let (path, names) = (self.at.path.len(), self.at.fields.len());
            if path > 0 {
                self.at.path.push('.');
            }
            self.at.path.push_str(&name);
            if object.is_some() {
                if names > 0 {
                    self.at.fields.push('.');
                }
                self.at.fields.push_str(&name);
            }
            let schema = self.schema.and_then(|schema| schema.field(&name));
            let (known, again) = (object.is_none() || schema.is_some(), !seen.insert(name));
            match (known, again) {
                (true, true) => self.findings.strict.push(format!("duplicate field {:?}", self.at.path)),
                (false, false) => self.findings.strict.push(format!("unknown field {:?}", self.at.path)),
                (true, false) | (false, true) => {}
            }
            if !known {
                fields.next_value::<IgnoredAny>()?;
            } else {
                fields.next_value_seed(self.inner(schema))?;
            }
            self.at.path.truncate(path);
            self.at.fields.truncate(names);
        }
        if let Some(outer) = outer {
            self.at.within = outer;
        }
        Ok(())
    }
}

/// What stands in a document.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Found {
    Bool,
    Integer(i64),
    /// Not a whole one, or not of 64 bits.
    Number(f64),
    Text,
    Array,
    Object,
}

impl Found {
    /// The Go type that it has in a map in memory, and that type's kind.
    fn in_memory(self) -> (&'static str, &'static str) {
        match self {
            Self::Bool => ("bool", "bool"),
            Self::Integer(_) => ("int64", "int64"),
            Self::Number(_) => ("float64", "float64"),
            Self::Text => ("string", "string"),
            Self::Array => ("[]interface {}", "slice"),
            Self::Object => ("map[string]interface {}", "map"),
        }
    }

    /// How a message names it. A number is told to types of numbers only.
    fn told_to(self, form: Form) -> String {
        let whole = matches!(form, Form::Int32 | Form::Int64 | Form::IntOrString);
        match self {
            Self::Bool => "bool".to_owned(),
            Self::Integer(number) if whole => format!("number {number}"),
            Self::Number(number) if whole => format!("number {}", Value::from(number)),
            Self::Integer(_) | Self::Number(_) => "number".to_owned(),
            Self::Text => "string".to_owned(),
            Self::Array => "array".to_owned(),
            Self::Object => "object".to_owned(),
        }
    }
}

/// What a Go type reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Anything,
    Bool,
    Int32,
    Int64,
    Float,
    Text,
    Bytes,
    Time,
    Quantity,
    IntOrString,
    List,
    Map,
    Struct,
}

impl Form {
    fn of(schema: &Schema) -> Self {
        let word = |word| schema.says(word).as_str().unwrap_or_default();
        match (word("type"), word("format")) {
            ("string", "byte") => Self::Bytes,
            ("string", "date-time") => Self::Time,
            ("string", _) => Self::Text,
            ("boolean", _) => Self::Bool,
            ("integer", "int64") => Self::Int64,
            ("integer", _) => Self::Int32,
            ("number", _) => Self::Float,
            ("array", _) => Self::List,
            ("object", _) if schema.says("properties").is_object() => Self::Struct,
            ("object", _) if schema.additional().is_some() => Self::Map,
            (_, "int-or-string") => Self::IntOrString,
            _ if schema.name().is_some_and(|name| name.ends_with(".resource.Quantity")) => Self::Quantity,
            _ => Self::Anything,
        }
    }

    fn takes(self, found: Found) -> bool {
        match (self, found) {
            (Self::Anything, _)
            | (Self::Bool, Found::Bool)
            | (Self::Text | Self::Bytes | Self::Time | Self::Quantity | Self::IntOrString, Found::Text)
            | (Self::Float | Self::Quantity, Found::Number(_) | Found::Integer(_))
            | (Self::Int64, Found::Integer(_))
            | (Self::List, Found::Array)
            | (Self::Map | Self::Struct, Found::Object) => true,
            (Self::Int32 | Self::IntOrString, Found::Integer(number)) => i32::try_from(number).is_ok(),
            _ => false,
        }
    }

    /// What the decoder of maps says.
    fn not_from(self, found: Found, go: &str) -> String {
        let (of, kind) = found.in_memory();
        match self {
            Self::Struct => format!("cannot restore struct from: {kind}"),
            Self::Map => format!("cannot restore map from {kind}"),
            Self::List | Self::Bytes => format!("cannot restore slice from {kind}"),
            // Go converts between numbers, and from numbers to texts, and says so when it may not.
            Self::Text if matches!(found, Found::Integer(_)) => format!("cannot convert {of} to {go}"),
            Self::Int32 | Self::Int64 if matches!(found, Found::Number(_)) => format!("cannot convert {of} to {go}"),
            Self::Anything
            | Self::Bool
            | Self::Int32
            | Self::Int64
            | Self::Float
            | Self::Text
            | Self::Time
            | Self::Quantity
            | Self::IntOrString => format!("unrecognized type: {go}"),
        }
    }
}

/// The Go type that a schema was made of.
fn go_type(schema: &Schema) -> String {
    if let Some(named) = schema.named_text() {
        return if Form::of(schema) == Form::List { format!("[]{named}") } else { named.to_owned() };
    }
    let inner = |schema: Option<Schema>| schema.map_or_else(|| "interface {}".to_owned(), |schema| go_type(&schema));
    match Form::of(schema) {
        Form::Bool => "bool".to_owned(),
        Form::Int32 | Form::IntOrString => "int32".to_owned(),
        Form::Int64 => "int64".to_owned(),
        Form::Float => "float64".to_owned(),
        Form::Text | Form::Time => "string".to_owned(),
        Form::Bytes => "[]uint8".to_owned(),
        Form::List => format!("[]{}", inner(schema.items())),
        // The one map that has a name everywhere.
        Form::Map if schema.additional().is_some_and(|schema| Form::of(&schema) == Form::Quantity) => {
            "v1.ResourceList".to_owned()
        }
        Form::Map => format!("map[string]{}", inner(schema.additional())),
        Form::Struct | Form::Quantity | Form::Anything => {
            schema.name().map_or_else(|| "interface {}".to_owned(), go_name)
        }
    }
}

/// Nulls in lists and maps are what Go's type has as nothing, as Go reads them; elsewhere a null is left out.
pub(super) fn null_items(value: &mut Value, schema: &Schema) {
    let element = |item: &mut Value, schema: Option<Schema>| {
        let Some(schema) = schema else { return };
        if item.is_null() && Form::of(&schema) == Form::Text {
            *item = "".into();
        } else if item.is_null() && Form::of(&schema) == Form::Struct {
            *item = Value::Object(serde_json::Map::new());
        }
        null_items(item, &schema);
    };
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| element(item, schema.items())),
        Value::Object(fields) => {
            for (name, field) in fields {
                match schema.property(name) {
                    Some(schema) => null_items(field, &schema),
                    None => element(field, schema.additional()),
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// `ErrFormatWrong` of `k8s.io/apimachinery/pkg/api/resource/quantity.go`.
const NO_QUANTITY: &str = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";

fn is_quantity(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let suffix = unsigned.trim_start_matches(|letter: char| letter.is_ascii_digit() || letter == '.');
    let exponent = suffix.trim_start_matches(|letter: char| "eEinumkKMGTP".contains(letter));
    let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    suffix.len() < unsigned.len() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// Go's `omitempty`: a map without entries is none. (A struct without fields is one.)
pub(super) fn without_empty_maps(value: &mut Value, schema: &Schema) {
    match value {
        Value::Array(items) => {
            if let Some(schema) = schema.items() {
                items.iter_mut().for_each(|item| without_empty_maps(item, &schema));
            }
        }
        Value::Object(fields) => fields.retain(|name, field| {
            let Some(schema) = schema.field(name) else { return true };
            without_empty_maps(field, &schema);
            Form::of(&schema) != Form::Map || field.as_object().is_none_or(|entries| !entries.is_empty())
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The first byte that is not base64 (RFC 4648, 4), as Go counts: of a group that is not whole its beginning.
fn not_base64(text: &str) -> Option<usize> {
    let body = text.trim_end_matches('=');
    let wrong =
        body.bytes().position(|byte| !(byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'\n' | b'\r')));
    let broken = !text.len().is_multiple_of(4) || text.len() - body.len() > 2;
    wrong.or_else(|| broken.then_some(body.len() - body.len() % 4))
}

/// What stands in a document, as Go's messages name it.
pub(super) fn json_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// As Go prints a value (`%v`).
pub(super) fn go_value(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::Array(items) => format!("[{}]", items.iter().map(go_value).collect::<Vec<_>>().join(" ")),
        Value::Object(fields) => {
            let fields: Vec<String> =
                fields.iter().map(|(name, value)| format!("{name}:{}", go_value(value))).collect();
            format!("map[{}]", fields.join(" "))
        }
    }
}
