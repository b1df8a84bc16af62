//! Holds a value to a schema, in the words and the order of `k8s.io/kube-openapi/pkg/validation/validate`, which is a fork of
//! go-openapi's. On an update what has not changed is not looked at (KEP-4008).

use regex::Regex;
use serde_json::Value;

use super::formats;
use crate::sandbox::refused::FieldError;

/// What is wrong with a value. `at` is where it stands, as messages name it; of an update, `old` is what stood there.
pub(in crate::sandbox) fn check(value: &Value, schema: &Value, old: Option<&Value>) -> Vec<FieldError> {
    checked(value, schema, "", old).errors
}

/// The errors, and how much was in order: of several alternatives the one that came closest is told.
#[derive(Default)]
struct Checked {
    errors: Vec<FieldError>,
    matches: usize,
}

impl Checked {
    fn add(&mut self, other: Self) {
        self.errors.extend(other.errors);
        self.matches += other.matches;
    }

    /// An error that Go has no field for.
    fn composite(&mut self, message: String) {
        self.errors.push(FieldError::invalid("<nil>", &"".into(), message));
    }
}

fn checked(value: &Value, schema: &Value, at: &str, old: Option<&Value>) -> Checked {
    let mut all = Checked::default();
    if old == Some(value) && !at.is_empty() {
        return all;
    }
    let place = at.trim_start_matches('.');
    if value.is_null() {
        check_type(value, schema, place, &mut all);
        check_enum(value, schema, place, &mut all);
        return all;
    }
    check_type(value, schema, place, &mut all);
    alternatives(value, schema, at, &mut all);
    all.matches += 2;
    match value {
        Value::String(text) => {
            all.errors.extend(wrong_text(text, schema, place));
            let format = schema["format"].as_str().unwrap_or_default();
            if formats::is_of(format, text) == Some(false) {
                let why = format!("{place} in body must be of type {format}: {text:?}");
                all.errors.push(FieldError::of_type(place, value, why));
            }
            all.matches += 1;
        }
        Value::Number(_) => check_number(value, schema, place, &mut all),
        Value::Array(items) => check_items(items, schema, at, old, &mut all),
        Value::Object(_) | Value::Null | Value::Bool(_) => {}
    }
    check_enum(value, schema, place, &mut all);
    if let Value::Object(fields) = value {
        check_fields(fields, schema, at, old, &mut all);
    }
    all.matches += 2;
    all
}

/// `type.go`.
fn check_type(value: &Value, schema: &Value, place: &str, all: &mut Checked) {
    let types: Vec<&str> = if schema["x-kubernetes-int-or-string"] == true {
        vec!["integer", "string"]
    } else {
        schema["type"].as_str().into_iter().collect()
    };
    let format = schema["format"].as_str().filter(|format| formats::is_known(format)).unwrap_or_default();
    let has = |name: &str| types.contains(&name);
    let found = match value {
        Value::Null if types.is_empty() || schema["nullable"] == true => return,
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if is_whole(number) && (number.is_i64() || has("integer")) => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let fits = has(found) || (found == "integer" && has("number"));
    if types.is_empty() || fits {
        all.matches += 1;
        return;
    }
    let (wanted, found) = match value {
        Value::Bool(_) | Value::Object(_) if !format.is_empty() => (format.to_owned(), ""),
        Value::Number(_) if !format.is_empty() => {
            (format.to_owned(), if found == "integer" { "int64" } else { "float64" })
        }
        // What has a format is a text of another kind, and its type is not asked for.
        Value::String(_) | Value::Array(_) if !format.is_empty() && !has("number") && !has("integer") => return,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => {
            (types.join(","), found)
        }
    };
    let why = format!("{place} in body must be of type {wanted}: {found:?}");
    all.errors.push(FieldError::of_type(place, &found.into(), why));
}

/// `schema_props.go`.
fn alternatives(value: &Value, schema: &Value, at: &str, all: &mut Checked) {
    let place = at.trim_start_matches('.');
    let of = |word: &str| {
        let schemas = schema[word].as_array().map(Vec::as_slice).unwrap_or_default();
        schemas.iter().map(|schema| checked(value, schema, at, None)).collect::<Vec<_>>()
    };
    let is_valid = |result: &Checked| result.errors.is_empty();
    let (any, one, every) = (of("anyOf"), of("oneOf"), of("allOf"));
    if !any.is_empty() {
        if !any.iter().any(is_valid) {
            all.composite(format!("{place:?} must validate at least one schema (anyOf)"));
        }
        all.add(closest(any));
    }
    if !one.is_empty() {
        match one.iter().filter(|result| is_valid(result)).count() {
            1 => all.add(closest(one)),
            0 => {
                all.composite(format!("{place:?} must validate one and only one schema (oneOf). Found none valid"));
                all.add(closest(one));
            }
            valid => all.composite(format!(
                "{place:?} must validate one and only one schema (oneOf). Found {valid} valid alternatives"
            )),
        }
    }
    if !every.is_empty() {
        let (count, valid) = (every.len(), every.iter().filter(|result| is_valid(result)).count());
        every.into_iter().for_each(|result| all.add(result));
        if valid != count {
            let none = if valid == 0 { ". None validated" } else { "" };
            all.composite(format!("{place:?} must validate all the schemas (allOf){none}"));
        }
    }
    if schema["not"].is_object() && is_valid(&checked(value, &schema["not"], at, None)) {
        all.composite(format!("{place:?} must not validate the schema (not)"));
    }
}

/// The first that is valid, else the first of those with most in order.
fn closest(results: Vec<Checked>) -> Checked {
    let mut best: Option<Checked> = None;
    for result in results {
        if result.errors.is_empty() {
            return result;
        }
        if best.as_ref().is_none_or(|best| result.matches > best.matches) {
            best = Some(result);
        }
    }
    best.unwrap_or_default()
}

/// `stringValidator`: the first thing that is wrong.
fn wrong_text(text: &str, schema: &Value, place: &str) -> Option<FieldError> {
    let length = i64::try_from(text.chars().count()).unwrap_or(i64::MAX);
    let invalid = |why: String| Some(FieldError::invalid(place, &text.into(), why));
    if let Some(most) = schema["maxLength"].as_i64().filter(|most| length > *most) {
        return Some(FieldError::too_long(place, usize::try_from(most).unwrap_or_default()));
    }
    if let Some(least) = schema["minLength"].as_i64().filter(|least| length < *least) {
        return invalid(format!("{place} in body should be at least {least} chars long"));
    }
    let pattern = schema["pattern"].as_str().filter(|pattern| !pattern.is_empty())?;
    match Regex::new(pattern) {
        Ok(regex) if regex.is_match(text) => None,
        Ok(_) => invalid(format!("{place} in body should match '{pattern}'")),
        Err(error) => invalid(format!("{place} in body should match '{pattern}, but pattern is invalid: {error}'")),
    }
}

/// `numberValidator`.
fn check_number(value: &Value, schema: &Value, place: &str, all: &mut Checked) {
    let Some(number) = value.as_f64() else { return };
    let invalid = |value: &Value, why: String| FieldError::invalid(place, &shown(value), why);
    let of_32_bits = number.fract() == 0.0 && (f64::from(i32::MIN)..=f64::from(i32::MAX)).contains(&number);
    if schema["type"] == "integer" && schema["format"] == "int32" && !of_32_bits {
        all.composite(format!("Checked value must be of type integer with format int32 in {place}"));
    }
    if let Some(factor) = schema["multipleOf"].as_f64() {
        // A whole number is divided by whole numbers alone.
        let whole = value.as_i64().map(|value| (value, factor as i64));
        match whole {
            Some((_, factor)) if factor <= 0 => all.errors.push(invalid(
                &factor.into(),
                format!("factor MultipleOf declared for {place} must be positive: {factor}"),
            )),
            Some((value, factor)) if value % factor != 0 => {
                all.errors.push(invalid(&value.into(), format!("{place} in body should be a multiple of {factor}")));
            }
            None if (if factor < 1.0 { 1.0 / factor * number } else { number / factor }).fract().abs() > 1e-9 => {
                let factor = go_float(factor);
                all.errors.push(invalid(value, format!("{place} in body should be a multiple of {factor}")));
            }
            _ => {}
        }
    }
    for (bound, exclusive, or_equal, or_less) in [
        ("minimum", "exclusiveMinimum", "greater than or equal to", "greater than"),
        ("maximum", "exclusiveMaximum", "less than or equal to", "less than"),
    ] {
        let Some(limit) = schema[bound].as_f64() else { continue };
        let excluded = schema[exclusive] == true;
        let beyond = if bound == "minimum" { number < limit } else { number > limit };
        if beyond || (excluded && number == limit) {
            let words = if excluded { or_less } else { or_equal };
            let limit = if value.is_i64() { (limit as i64).to_string() } else { go_float(limit) };
            all.errors.push(invalid(value, format!("{place} in body should be {words} {limit}")));
        }
    }
    all.matches += 2;
}

/// `slice_validator.go`.
fn check_items(items: &[Value], schema: &Value, at: &str, old: Option<&Value>, all: &mut Checked) {
    let place = at.trim_start_matches('.');
    if schema["items"].is_object() {
        for (index, item) in items.iter().enumerate() {
            let old = old.and_then(|old| same_item(item, old, schema));
            all.add(checked(item, &schema["items"], &format!("{at}[{index}]"), old));
        }
    }
    let count = i64::try_from(items.len()).unwrap_or(i64::MAX);
    if let Some(least) = schema["minItems"].as_i64().filter(|least| count < *least) {
        let why = format!("{place} in body should have at least {least} items");
        all.errors.push(FieldError::invalid(place, &count.into(), why));
    }
    if let Some(most) = schema["maxItems"].as_i64().filter(|most| count > *most) {
        all.errors.push(FieldError::too_many(place, items.len(), most));
    }
    all.matches += 2;
}

/// The item of a list map that this one was before; items of other lists are nobody's.
fn same_item<'a>(item: &Value, old: &'a Value, schema: &Value) -> Option<&'a Value> {
    let keys = schema["x-kubernetes-list-map-keys"].as_array()?;
    let keys: Vec<&str> = keys.iter().filter_map(Value::as_str).collect();
    old.as_array()?.iter().find(|old| keys.iter().all(|key| old[*key] == item[*key]))
}

/// `basicCommonValidator`.
fn check_enum(value: &Value, schema: &Value, place: &str, all: &mut Checked) {
    let Some(allowed) = schema["enum"].as_array().filter(|allowed| !allowed.is_empty()) else { return };
    let is = |one: &Value| !value.is_null() && (one == value || (one.is_number() && one.as_f64() == value.as_f64()));
    if !allowed.iter().any(is) {
        let allowed: Vec<String> =
            allowed.iter().map(|one| one.as_str().map_or_else(|| one.to_string(), str::to_owned)).collect();
        let allowed: Vec<&str> = allowed.iter().map(String::as_str).collect();
        all.errors.push(FieldError::not_supported(place, &shown(value), &allowed));
    }
}

/// `object_validator.go`.
fn check_fields(
    fields: &serde_json::Map<String, Value>,
    schema: &Value,
    at: &str,
    old: Option<&Value>,
    all: &mut Checked,
) {
    let place = at.trim_start_matches('.');
    let count = i64::try_from(fields.len()).unwrap_or(i64::MAX);
    if let Some(least) = schema["minProperties"].as_i64().filter(|least| count < *least) {
        let why = format!("{place} in body should have at least {least} properties");
        all.errors.push(FieldError::invalid(place, &count.into(), why));
    }
    if let Some(most) = schema["maxProperties"].as_i64().filter(|most| count > *most) {
        all.errors.push(FieldError::too_many(place, fields.len(), most));
    }
    for (name, value) in fields {
        if let Some(schema) = super::field(schema, name) {
            all.add(checked(value, schema, &format!("{at}.{name}"), old.and_then(|old| old.get(name))));
        }
    }
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if !fields.contains_key(name) {
            all.errors.push(FieldError::required(format!("{at}.{name}").trim_start_matches('.'), ""));
        }
    }
}

/// A value as messages show it.
fn shown(value: &Value) -> Value {
    let mut value = value.clone();
    super::numbers_whole(&mut value);
    value
}

fn is_whole(number: &serde_json::Number) -> bool {
    number.is_i64() || number.is_u64() || number.as_f64().is_some_and(|number| number.fract() == 0.0)
}

/// As Go prints a float64 (`%v`): an exponent from a million on.
fn go_float(number: f64) -> String {
    let exponent = if number == 0.0 { 0.0 } else { number.abs().log10().floor() };
    if (-4.0..21.0).contains(&exponent) && exponent < 6.0 || !number.is_finite() {
        return number.to_string();
    }
    let text = format!("{number:e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |exponent| ('-', exponent));
    format!("{digits}e{sign}{exponent:0>2}")
}
