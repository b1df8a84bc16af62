//! IAM policies as documents, as far as Portolan's use them: Allow only, actions by name, resources with wildcards, and four operators. What is
//! beyond that is refused when a document is read.
//!
//! Sources: "IAM JSON policy elements reference" and "IAM JSON policy elements: Condition operators" (IAM user guide).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// The statements of some documents together.
#[derive(Debug, Clone, Default)]
pub struct Policies(Vec<Statement>);

#[derive(Debug, Clone)]
struct Statement {
    actions: Vec<String>,
    resources: Vec<String>,
    conditions: Vec<(Operator, String, Vec<String>)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Equals,
    EqualsIfExists,
    NoneOf,
    Null,
}

/// What a call asks to be allowed: an action on one object, and what is known about both.
#[derive(Debug, Clone, Default)]
pub(crate) struct Asked {
    pub(crate) action: String,
    /// An ARN, or `*` where AWS looks at no object.
    pub(crate) resource: String,
    /// By condition key.
    pub(crate) context: BTreeMap<String, Vec<String>>,
}

/// What is handed out to users, with `CLUSTER_NAME` for the name of the cluster.
const DEPLOYED: [&str; 2] = [
    include_str!("../../../deploy/aws/iam-policy-read.json"),
    include_str!("../../../deploy/aws/iam-policy-write.json"),
];

impl Policies {
    /// The policies of `deploy/aws`, made for this cluster as their README says.
    ///
    /// # Errors
    /// See [`Policies::read`].
    pub fn deployed(cluster: &str) -> Result<Self, String> {
        let documents = DEPLOYED.map(|document| document.replace("CLUSTER_NAME", cluster));
        Self::read(documents.iter().map(String::as_str))
    }

    /// Reads documents.
    ///
    /// # Errors
    /// What the double does not evaluate, or what is no policy.
    pub fn read<'a>(documents: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let mut all = Vec::new();
        for document in documents {
            let document: Value = serde_json::from_str(document).map_err(|error| error.to_string())?;
            let statements = document.get("Statement").and_then(Value::as_array).ok_or("a policy has statements")?;
            for statement in statements {
                all.push(read(statement)?);
            }
        }
        Ok(Self(all))
    }

    /// The actions that they allow on something, as IAM writes them.
    pub fn actions(&self) -> BTreeSet<String> {
        self.0.iter().flat_map(|statement| statement.actions.iter().cloned()).collect()
    }

    pub(crate) fn allow(&self, asked: &Asked) -> bool {
        self.0.iter().any(|statement| {
            statement.actions.contains(&asked.action)
                && statement.resources.iter().any(|pattern| is_like(pattern, &asked.resource))
                && statement
                    .conditions
                    .iter()
                    .all(|(operator, key, values)| operator.holds(asked.context.get(key).map(Vec::as_slice), values))
        })
    }
}

fn read(statement: &Value) -> Result<Statement, String> {
    if statement.get("Effect").and_then(Value::as_str) != Some("Allow") {
        return Err("the double evaluates Allow only".to_owned());
    }
    let mut conditions = Vec::new();
    for (operator, keys) in statement.get("Condition").and_then(Value::as_object).into_iter().flatten() {
        let operator = Operator::read(operator)?;
        for (key, values) in keys.as_object().into_iter().flatten() {
            conditions.push((operator, key.clone(), texts(Some(values))?));
        }
    }
    Ok(Statement { actions: texts(statement.get("Action"))?, resources: texts(statement.get("Resource"))?, conditions })
}

fn texts(value: Option<&Value>) -> Result<Vec<String>, String> {
    let text = |value: &Value| value.as_str().map(str::to_owned).ok_or_else(|| format!("{value} is no text"));
    match value {
        Some(Value::Array(values)) => values.iter().map(text).collect(),
        Some(value) => Ok(vec![text(value)?]),
        None => Err("a statement has Action and Resource".to_owned()),
    }
}

impl Operator {
    fn read(name: &str) -> Result<Self, String> {
        match name {
            "StringEquals" => Ok(Self::Equals),
            "StringEqualsIfExists" => Ok(Self::EqualsIfExists),
            "ForAllValues:StringNotEquals" => Ok(Self::NoneOf),
            "Null" => Ok(Self::Null),
            _ => Err(format!("the double does not evaluate {name}")),
        }
    }

    fn holds(self, there: Option<&[String]>, values: &[String]) -> bool {
        let is_one = |one: &String| values.contains(one);
        match (self, there) {
            (Self::Equals | Self::EqualsIfExists, Some(there)) => there.iter().any(is_one),
            (Self::Equals, None) => false,
            (Self::EqualsIfExists, None) => true,
            (Self::NoneOf, there) => !there.unwrap_or_default().iter().any(is_one),
            (Self::Null, there) => values.iter().any(|value| value == if there.is_none() { "true" } else { "false" }),
        }
    }
}

/// `*` stands for any characters.
fn is_like(pattern: &str, text: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(text) = text.strip_prefix(head) else { return false };
    (0..=text.len()).any(|at| text.get(at..).is_some_and(|text| is_like(rest, text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "aws:ResourceTag/elbv2.k8s.aws/cluster";

    fn policies(condition: &str) -> Policies {
        let document = format!(
            r#"{{"Version": "2012-10-17", "Statement": [{{"Effect": "Allow", "Action": ["a:B"], "Resource": ["arn:*:a:*:x/*/*"], "Condition": {condition}}}]}}"#
        );
        Policies::read([document.as_str()]).unwrap()
    }

    fn asked(tag: Option<&str>) -> Asked {
        let context = tag.map(|tag| (KEY.to_owned(), vec![tag.to_owned()])).into_iter().collect();
        Asked { action: "a:B".to_owned(), resource: "arn:aws:a:r:x/n/1".to_owned(), context }
    }

    #[test]
    fn each_operator_holds_as_iam_has_it() {
        for (condition, right, wrong, none) in [
            (format!(r#"{{"StringEquals": {{"{KEY}": "prod"}}}}"#), true, false, false),
            (format!(r#"{{"StringEqualsIfExists": {{"{KEY}": ["x", "prod"]}}}}"#), true, false, true),
            (format!(r#"{{"ForAllValues:StringNotEquals": {{"{KEY}": ["test"]}}}}"#), true, false, true),
            (format!(r#"{{"Null": {{"{KEY}": "false"}}}}"#), true, true, false),
            (format!(r#"{{"Null": {{"{KEY}": "true"}}}}"#), false, false, true),
        ] {
            let policies = policies(&condition);
            let allows = |tag| policies.allow(&asked(tag));
            assert_eq!((allows(Some("prod")), allows(Some("test")), allows(None)), (right, wrong, none), "{condition}");
        }
    }

    #[test]
    fn another_action_and_another_resource_are_not_allowed() {
        let policies = policies("{}");
        assert!(policies.allow(&asked(None)));
        assert!(!policies.allow(&Asked { action: "a:C".to_owned(), ..asked(None) }));
        for resource in ["arn:aws:a:r:y/n/1", "arn:aws:a:r:x/n", "*"] {
            assert!(!policies.allow(&Asked { resource: resource.to_owned(), ..asked(None) }), "{resource}");
        }
    }

    #[test]
    fn what_is_not_evaluated_is_refused() {
        for statement in [
            r#"{"Effect": "Deny", "Action": "a:B", "Resource": "*"}"#,
            r#"{"Effect": "Allow", "NotAction": "a:B", "Resource": "*"}"#,
            r#"{"Effect": "Allow", "Action": "a:B", "Resource": "*", "Condition": {"StringLike": {"k": "v"}}}"#,
        ] {
            assert!(Policies::read([format!("{{\"Statement\": [{statement}]}}").as_str()]).is_err(), "{statement}");
        }
    }
}
