//! Label selectors, read word by word as the real server reads them, so that it says the same of one that it cannot read. From
//! `k8s.io/apimachinery/pkg/labels/selector.go`.

use super::{Requirement, Wants};
use crate::sandbox::metadata::labels::{name_is, value_is};
use crate::sandbox::refused::FieldError;

/// The requirements of a selector, all of which are to be met; or what is wrong with it.
pub(super) fn read(text: &str) -> Result<Vec<Requirement>, String> {
    let mut words = Words(text);
    let mut requirements = Vec::new();
    loop {
        match words.peek() {
            (true, _) | (false, "!") => {}
            (false, "") => return Ok(requirements),
            word => return Err(format!("found '{}', expected: !, identifier, or 'end of string'", word.1)),
        }
        let requirement = requirement(&mut words).map_err(|error| format!("unable to parse requirement: {error}"))?;
        requirements.push(requirement);
        match words.take() {
            (false, "") => return Ok(requirements),
            (false, ",") => {}
            word => return Err(format!("found '{}', expected: ',' or 'end of string'", word.1)),
        }
        let next = words.peek();
        if !matches!(next, (true, _) | (false, "!")) {
            return Err(format!("found '{}', expected: identifier after ','", next.1));
        }
    }
}

fn requirement(words: &mut Words<'_>) -> Result<Requirement, String> {
    let missing = words.peek() == (false, "!");
    if missing {
        words.take();
    }
    let key = match words.take() {
        (true, key) => key.to_owned(),
        word => return Err(format!("found '{}', expected: identifier", word.1)),
    };
    if let wrong @ [_, ..] = name_is(&key).as_slice() {
        return Err(FieldError::invalid("<nil>", &key.into(), wrong.join("; ")).to_string());
    }
    let wants = match words.peek() {
        (false, "" | ",") if missing => Wants::Missing,
        (false, "" | ",") => Wants::Exists,
        _ => match words.take() {
            (true, "in") => Wants::In(set(words)?),
            (true, "notin") => Wants::NotIn(set(words)?),
            (false, "=" | "==") => Wants::In(vec![single(words)?]),
            (false, "!=") => Wants::NotIn(vec![single(words)?]),
            (false, ">") => Wants::Above(number(&single(words)?)?),
            (false, "<") => Wants::Below(number(&single(words)?)?),
            word => return Err(format!("found '{}', expected: in, notin, =, ==, !=, gt, lt", word.1)),
        },
    };
    if let Wants::In(values) | Wants::NotIn(values) = &wants {
        for (index, value) in values.iter().enumerate() {
            if let wrong @ [_, ..] = value_is(value).as_slice() {
                let at = format!("values[{index}][{key}]");
                return Err(FieldError::invalid(at, &value.as_str().into(), wrong.join("; ")).to_string());
            }
        }
    }
    Ok(Requirement { key, wants })
}

/// Values in parentheses; between two commas stands an empty one.
fn set(words: &mut Words<'_>) -> Result<Vec<String>, String> {
    let open = words.take();
    if open != (false, "(") {
        return Err(format!("found '{}' expected: '('", open.1));
    }
    let mut values = Vec::new();
    match words.peek() {
        (true, _) | (false, ",") => {}
        (false, ")") => {
            words.take();
            return Ok(vec![String::new()]);
        }
        word => return Err(format!("found '{}', expected: ',', ')' or identifier", word.1)),
    }
    loop {
        match words.take() {
            (true, value) => {
                values.push(value.to_owned());
                match words.peek() {
                    (false, ",") => {}
                    (false, ")") => break,
                    word => return Err(format!("found '{}', expected: ',' or ')'", word.1)),
                }
            }
            (false, ",") => {
                let next = words.peek();
                if values.is_empty() || matches!(next, (false, "," | ")")) {
                    values.push(String::new());
                }
                if next == (false, ")") {
                    break;
                }
            }
            word => return Err(format!("found '{}', expected: ',', or identifier", word.1)),
        }
    }
    words.take();
    values.sort();
    values.dedup();
    Ok(values)
}

fn single(words: &mut Words<'_>) -> Result<String, String> {
    if matches!(words.peek(), (false, "" | ",")) {
        return Ok(String::new());
    }
    match words.take() {
        (true, value) => Ok(value.to_owned()),
        word => Err(format!("found '{}', expected: identifier", word.1)),
    }
}

fn number(value: &str) -> Result<i64, String> {
    let why = "for 'Gt', 'Lt' operators, the value must be an integer";
    value.parse().map_err(|_| FieldError::invalid("values[0]", &value.into(), why).to_string())
}

/// Whether it is a name or a value (`in` and `notin` too) and no sign, and its text. Of nothing that is left, `(false, "")`.
type Word<'a> = (bool, &'a str);

/// The longer before those that they begin with.
const SIGNS: [&str; 9] = ["==", "!=", "=", "!", "(", ")", ",", ">", "<"];

/// What is left of the text.
struct Words<'a>(&'a str);

impl<'a> Words<'a> {
    fn peek(&self) -> Word<'a> {
        self.next().0
    }

    fn take(&mut self) -> Word<'a> {
        let (word, rest) = self.next();
        self.0 = rest;
        word
    }

    fn next(&self) -> (Word<'a>, &'a str) {
        let text = self.0.trim_start_matches([' ', '\t', '\r', '\n']);
        if text.is_empty() {
            return ((false, ""), text);
        }
        if let Some((sign, rest)) = SIGNS.iter().find_map(|sign| Some((*sign, text.strip_prefix(sign)?))) {
            return ((false, sign), rest);
        }
        let ends = |letter: char| matches!(letter, '=' | '!' | '(' | ')' | ',' | '>' | '<' | ' ' | '\t' | '\r' | '\n');
        let (name, rest) = text.split_at_checked(text.find(ends).unwrap_or(text.len())).unwrap_or((text, ""));
        ((true, name), rest)
    }
}
