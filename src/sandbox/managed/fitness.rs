//! Whether an object that is applied fits its kind. From `sigs.k8s.io/structured-merge-diff/v6/typed/{validate,helpers}.go`; the messages
//! show values as Go prints them.

use std::collections::BTreeSet;

use serde_json::Value;

use super::element::Element;
use super::shape::{Form, Items, Plain, Taken};

/// What is wrong, and where.
struct Misfit {
    path: String,
    why: String,
}

/// The server's words, where something is wrong.
pub(super) fn check(form: Form<'_>, object: &Value) -> Result<(), String> {
    let mut misfits = Vec::new();
    walk(form, object, "", &mut misfits);
    let words = |misfit: &Misfit| {
        let Misfit { path, why } = misfit;
        if path.is_empty() { why.clone() } else { format!("{path}: {why}") }
    };
    match misfits.as_slice() {
        [] => Ok(()),
        [one] => Err(words(one)),
        many => Err(format!(
            "errors:\n{}",
            many.iter().map(|one| format!("  {}", words(one))).collect::<Vec<_>>().join("\n")
        )),
    }
}

fn walk(form: Form<'_>, value: &Value, at: &str, misfits: &mut Vec<Misfit>) {
    let mut wrong = |why: String| misfits.push(Misfit { path: at.to_owned(), why });
    match (form.taken(value), value) {
        (None, _) => wrong("schema error: invalid atom: inlined".to_owned()),
        (Some(_), Value::Null) => {}
        (Some(Taken::Plain(plain)), value) => {
            if let Some(why) = unfit(plain, value) {
                wrong(why);
            }
        }
        (Some(Taken::Map(map)), Value::Object(fields)) => {
            for (name, value) in fields {
                let at = format!("{at}.{name}");
                match form.field(map, name) {
                    Some(form) => walk(form, value, &at, misfits),
                    None => {
                        misfits.push(Misfit { path: at, why: "field not declared in schema".to_owned() });
                        return; // the server looks no further either
                    }
                }
            }
        }
        (Some(Taken::Map(_)), value) => wrong(format!("expected map, got &{{{}}}", printed(value))),
        (Some(Taken::List(list)), Value::Array(items)) => {
            let mut seen = BTreeSet::new();
            for (index, item) in items.iter().enumerate() {
                let element = if list.items == Items::Atomic {
                    Element::Index(i64::try_from(index).unwrap_or_default())
                } else {
                    match list.element(item) {
                        Ok(element) => element,
                        Err(why) => {
                            let why = format!("element {index}: {why}");
                            return misfits.push(Misfit { path: at.to_owned(), why });
                        }
                    }
                };
                let within = format!("{at}{element}");
                if seen.contains(&element) {
                    let why = format!("duplicate entries for key {element}");
                    misfits.push(Misfit { path: at.to_owned(), why });
                }
                seen.insert(element);
                walk(form.item(list), item, &within, misfits);
            }
        }
        (Some(Taken::List(_)), value) => wrong(format!("expected list, got &{{{}}}", printed(value))),
    }
}

fn unfit(plain: Plain, value: &Value) -> Option<String> {
    match (plain, value) {
        (Plain::Number, Value::Number(_))
        | (Plain::Text, Value::String(_))
        | (Plain::Truth, Value::Bool(_))
        | (Plain::Any, Value::Number(_) | Value::String(_) | Value::Bool(_)) => None,
        (Plain::Number, value) => Some(format!("expected numeric (int or float), got {}", go_type(value))),
        (Plain::Text, value) => {
            Some(format!("expected string, got &value.valueUnstructured{{Value:{}}}", in_go(value)))
        }
        (Plain::Truth, value) => Some(format!("expected boolean, got &{{{}}}", printed(value))),
        (Plain::Any, value) => Some(format!("expected any scalar, got &{{{}}}", printed(value))),
    }
}

/// Go's `%T`, of what JSON is decoded to.
fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(_) => "float64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

/// Go's `%v`.
fn printed(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::Bool(truth) => truth.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        Value::Array(items) => format!("[{}]", items.iter().map(printed).collect::<Vec<_>>().join(" ")),
        Value::Object(fields) => {
            let fields: Vec<String> = fields.iter().map(|(name, value)| format!("{name}:{}", printed(value))).collect();
            format!("map[{}]", fields.join(" "))
        }
    }
}

/// Go's `%#v`.
fn in_go(value: &Value) -> String {
    match value {
        Value::Null => "interface {}(nil)".to_owned(),
        Value::Bool(_) | Value::Number(_) => printed(value),
        Value::String(text) => format!("{text:?}"),
        Value::Array(items) => {
            format!("{}{{{}}}", go_type(value), items.iter().map(in_go).collect::<Vec<_>>().join(", "))
        }
        Value::Object(fields) => {
            let fields: Vec<String> = fields.iter().map(|(name, value)| format!("{name:?}:{}", in_go(value))).collect();
            format!("{}{{{}}}", go_type(value), fields.join(", "))
        }
    }
}
