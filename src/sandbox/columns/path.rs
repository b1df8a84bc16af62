//! The JSON paths of printer columns: fields, indices, `*`, and filters that compare a field with a value. From
//! `k8s.io/client-go/util/jsonpath`, as far as a definition may use it; a path with more in it finds nothing.

use serde_json::Value;

/// Where a column's value is.
#[derive(Debug)]
pub(super) struct Path(Option<Vec<Step>>);

#[derive(Debug, PartialEq)]
enum Step {
    Field(String),
    /// From the end where it is negative.
    Index(i64),
    All,
    /// The items whose field at these steps has (or has not) the value; without one, those that have the field.
    Where(Vec<Step>, Option<(bool, Value)>),
}

impl Path {
    pub(super) fn read(text: &str) -> Self {
        Self(steps(text))
    }

    /// The first value that it finds.
    pub(super) fn first<'a>(&self, object: &'a Value) -> Option<&'a Value> {
        found(self.0.as_ref()?, object).into_iter().next()
    }
}

fn found<'a>(steps: &[Step], object: &'a Value) -> Vec<&'a Value> {
    steps.iter().fold(vec![object], |values, step| values.into_iter().flat_map(|value| step.of(value)).collect())
}

impl Step {
    fn of<'a>(&self, value: &'a Value) -> Vec<&'a Value> {
        match (self, value) {
            (Self::Field(name), Value::Object(fields)) => fields.get(name).into_iter().collect(),
            (Self::Index(index), Value::Array(items)) => {
                let length = i64::try_from(items.len()).unwrap_or(i64::MAX);
                let at = if *index < 0 { index + length } else { *index };
                usize::try_from(at).ok().and_then(|at| items.get(at)).into_iter().collect()
            }
            (Self::All, Value::Array(items)) => items.iter().collect(),
            (Self::All, Value::Object(fields)) => fields.values().collect(),
            (Self::Where(steps, wanted), Value::Array(items)) => items
                .iter()
                .filter(|item| {
                    let found = found(steps, item);
                    match wanted {
                        None => !found.is_empty(),
                        Some((equal, value)) => found.first().is_some_and(|found| (*found == value) == *equal),
                    }
                })
                .collect(),
            (Self::Field(_) | Self::Index(_) | Self::All | Self::Where(..), _) => Vec::new(),
        }
    }
}

/// The steps of a path; nothing where it says what we do not read.
fn steps(text: &str) -> Option<Vec<Step>> {
    let mut steps = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let step;
        (step, rest) = if let Some(inner) = rest.strip_prefix('[') {
            let end = closing(inner)?;
            let (inner, after) = inner.split_at_checked(end)?;
            (bracket(inner.trim())?, after.strip_prefix(']')?)
        } else {
            let (name, after) = field(rest.strip_prefix('.')?);
            if name.is_empty() && after.starts_with('.') {
                return None; // `..`, at any depth
            }
            (if name == "*" { Step::All } else { Step::Field(name) }, after)
        };
        if step != Step::Field(String::new()) {
            steps.push(step);
        }
    }
    Some(steps)
}

/// A field's name, where a backslash takes the next letter as it is.
fn field(text: &str) -> (String, &str) {
    let (mut name, mut letters) = (String::new(), text.char_indices());
    while let Some((at, letter)) = letters.next() {
        match letter {
            '.' | '[' => return (name, text.get(at..).unwrap_or_default()),
            '\\' => name.extend(letters.next().map(|(_, letter)| letter)),
            _ => name.push(letter),
        }
    }
    (name, "")
}

/// Where the bracket ends that was opened before.
fn closing(text: &str) -> Option<usize> {
    let (mut quote, mut depth) = (None, 0);
    for (at, letter) in text.char_indices() {
        match (quote, letter) {
            (Some(open), _) if open == letter => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(letter),
            (None, '[') => depth += 1,
            (None, ']') if depth == 0 => return Some(at),
            (None, ']') => depth -= 1,
            (None, _) => {}
        }
    }
    None
}

fn bracket(inner: &str) -> Option<Step> {
    if inner == "*" {
        return Some(Step::All);
    }
    if let Some(filter) = inner.strip_prefix("?(").and_then(|filter| filter.strip_suffix(')')) {
        let compared = ["==", "!="].iter().find_map(|sign| Some((filter.split_once(sign)?, *sign == "==")));
        let (at, wanted) = match compared {
            Some(((at, value), equal)) => (at, Some((equal, literal(value.trim())?))),
            None if filter.contains(['<', '>']) => return None,
            None => (filter, None),
        };
        return Some(Step::Where(steps(at.trim().strip_prefix('@')?)?, wanted));
    }
    match literal(inner)? {
        Value::String(name) => Some(Step::Field(name)),
        Value::Number(index) => index.as_i64().map(Step::Index),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

fn literal(text: &str) -> Option<Value> {
    let quoted = |quote: char| text.strip_prefix(quote).and_then(|text| text.strip_suffix(quote));
    match quoted('\'').or_else(|| quoted('"')) {
        Some(text) => Some(text.into()),
        None => serde_json::from_str(text).ok(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_path_finds_its_first_value_or_nothing() {
        let object = json!({
            "spec": {"ports": [{"port": 80}, {"port": 443}], "a.b/c": "dotted", "names": ["x", "y"]},
            "status": {"conditions": [{"type": "Other", "status": "True"}, {"type": "Ready", "status": "False"}]},
        });
        for (path, found) in [
            (".spec.ports[0].port", json!(80)),
            (".spec.ports[-1].port", json!(443)),
            (".spec.ports[*].port", json!(80)),
            (".spec.names", json!(["x", "y"])),
            (".spec.a\\.b/c", json!("dotted")),
            (".spec['a.b/c']", json!("dotted")),
            (".status.conditions[?(@.type==\"Ready\")].status", json!("False")),
            (".status.conditions[?(@.type == 'Ready')].status", json!("False")),
            (".status.conditions[?(@.type!='Ready')].status", json!("True")),
            (".spec.ports[?(@.port==443)].port", json!(443)),
        ] {
            assert_eq!(Path::read(path).first(&object), Some(&found), "{path}");
        }
        for nothing in
            [".spec.nope", ".spec.ports[7].port", ".spec.ports[?(@.port>80)].port", "spec", ".spec[", "..port"]
        {
            assert_eq!(Path::read(nothing).first(&object), None, "{nothing}");
        }
    }
}
