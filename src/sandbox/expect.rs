//! What the author of a cluster expects of a Service: the annotation `sandbox.portolan.dev/expect`.
//!
//! ```yaml
//! metadata:
//!   annotations:
//!     sandbox.portolan.dev/expect: |
//!       loadBalancer: {ingress: [{ip: 203.0.113.80, ipMode: VIP}]}
//!       conditions: [{type: Reachable, status: False, reason: NoEndpoints}]
//! ```
//!
//! It is a fragment of the Service's `status`: what stands there must be there, and there may be more. An empty list wants none. Of a
//! `message` a part will do, and our own conditions need no `portolan.dev/` before their type. A list of fragments wants one of them.

use std::collections::BTreeMap;
use std::fmt::Display;

use portolan_core::reason::ConditionType;
use portolan_core::snapshot::{Condition, ConditionStatus, Ingress, PortStatus, Service};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::yaml;

/// The annotation.
pub(crate) const EXPECT_ANNOTATION: &str = "sandbox.portolan.dev/expect";

/// Nobody can tell what is expected. Terminal: only an edit mends it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("annotation {EXPECT_ANNOTATION} cannot be read: {problem}; write a fragment of status, such as {EXAMPLE}")]
pub(crate) struct ExpectationError {
    problem: String,
}

const EXAMPLE: &str = "\"conditions: [{type: Programmed, status: True}]\"";

/// What a status must show: one of these.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Expectation {
    alternatives: Vec<Fragment>,
}

/// A part of a status.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Fragment {
    load_balancer: Option<WantedLoadBalancer>,
    conditions: Option<Vec<WantedCondition>>,
    /// The fragment again, for those who write the field's name before it.
    status: Option<Box<Fragment>>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct WantedLoadBalancer {
    ingress: Vec<WantedIngress>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct WantedIngress {
    ip: Option<String>,
    hostname: Option<String>,
    ip_mode: Option<String>,
    ports: Option<Vec<WantedPort>>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct WantedPort {
    port: u16,
    protocol: Option<String>,
    error: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct WantedCondition {
    #[serde(rename = "type")]
    condition_type: String,
    #[serde(default, deserialize_with = "condition_status")]
    status: Option<ConditionStatus>,
    reason: Option<String>,
    message: Option<String>,
}

impl Expectation {
    /// What a Service's annotations expect, if they do.
    pub(crate) fn of(annotations: &BTreeMap<String, String>) -> Result<Option<Self>, ExpectationError> {
        annotations.get(EXPECT_ANNOTATION).map(|text| Self::parse(text)).transpose()
    }

    /// Reads the annotation.
    pub(crate) fn parse(text: &str) -> Result<Self, ExpectationError> {
        let mut documents = yaml::documents(text).map_err(ExpectationError::new)?;
        let value = match (documents.pop(), documents.is_empty()) {
            (Some(value), true) => value,
            (Some(_), false) => return Err(ExpectationError::new("it is several documents")),
            (None, _) => return Err(ExpectationError::new("it is empty")),
        };
        let values = match value {
            Value::Array(values) if values.is_empty() => {
                return Err(ExpectationError::new("it is a list of no alternatives"));
            }
            Value::Array(values) => values,
            one @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_)) => vec![one],
        };
        let alternatives = values.into_iter().map(serde_path_to_error::deserialize).collect::<Result<_, _>>();
        Ok(Self { alternatives: alternatives.map_err(ExpectationError::new)? })
    }

    /// What is expected of a claimed Service whose author expects nothing in particular.
    pub(crate) fn programmed() -> Self {
        let programmed = WantedCondition {
            condition_type: ConditionType::Programmed.name().to_owned(),
            status: Some(ConditionStatus::True),
            reason: None,
            message: None,
        };
        Self { alternatives: vec![Fragment { conditions: Some(vec![programmed]), ..Fragment::default() }] }
    }

    /// What the Service's status does not show of it; nothing if it is as expected. Of alternatives, that which lacks least.
    pub(crate) fn missing(&self, service: &Service) -> Vec<String> {
        let missing = self.alternatives.iter().map(|fragment| fragment.missing(service));
        missing.min_by_key(Vec::len).unwrap_or_default()
    }
}

impl ExpectationError {
    fn new(problem: impl Display) -> Self {
        Self { problem: problem.to_string() }
    }
}

impl Fragment {
    fn missing(&self, service: &Service) -> Vec<String> {
        let mut missing = Vec::new();
        if let Some(wanted) = &self.load_balancer {
            wanted.missing(&service.ingress, &mut missing);
        }
        match self.conditions.as_deref() {
            None => {}
            Some([]) => {
                missing.extend(service.conditions.iter().map(|had| format!("no condition {}", had.condition_type)));
            }
            Some(wanted) => missing.extend(wanted.iter().filter_map(|wanted| wanted.missing(&service.conditions))),
        }
        missing.extend(self.status.iter().flat_map(|status| status.missing(service)));
        missing
    }
}

impl WantedLoadBalancer {
    fn missing(&self, had: &[Ingress], missing: &mut Vec<String>) {
        if self.ingress.is_empty() {
            missing.extend(had.iter().map(|had| format!("no address, is {}", of_ingress(had))));
            return;
        }
        for wanted in &self.ingress {
            if !had.iter().any(|had| wanted.fits(had)) {
                missing.push(format!("address {}, is {}", wanted.text(), all(had, of_ingress)));
            }
        }
        if had.len() < self.ingress.len() && missing.is_empty() {
            missing.push(format!("{} addresses, is {}", self.ingress.len(), all(had, of_ingress)));
        }
    }
}

impl WantedIngress {
    fn fits(&self, had: &Ingress) -> bool {
        is_wanted(&self.ip, &had.ip)
            && is_wanted(&self.hostname, &had.hostname)
            && is_wanted(&self.ip_mode, &had.ip_mode)
            && self.ports.as_deref().is_none_or(|wanted| match wanted {
                [] => had.ports.is_empty(),
                wanted => wanted.iter().all(|wanted| had.ports.iter().any(|had| wanted.fits(had))),
            })
    }

    fn text(&self) -> String {
        let mut text: Vec<String> = [&self.ip, &self.hostname, &self.ip_mode].into_iter().flatten().cloned().collect();
        for port in self.ports.iter().flatten() {
            let WantedPort { port, protocol, error } = port;
            let words = [protocol, error].into_iter().flatten().map(|word| format!("/{word}"));
            text.push(format!("{port}{}", words.collect::<String>()));
        }
        if text.is_empty() { "of any kind".to_owned() } else { text.join(" ") }
    }
}

impl WantedPort {
    fn fits(&self, had: &PortStatus) -> bool {
        let protocol = had.protocol.to_string();
        self.port == had.port
            && self.protocol.as_ref().is_none_or(|wanted| *wanted == protocol)
            && is_wanted(&self.error, &had.error)
    }
}

impl WantedCondition {
    /// The condition's name in a status.
    fn name(&self) -> &str {
        let ours = ConditionType::ALL.iter().map(|ours| ours.name());
        let short = |name: &&str| name.rsplit('/').next() == Some(&self.condition_type);
        ours.clone().find(short).unwrap_or(&self.condition_type)
    }

    fn missing(&self, conditions: &[Condition]) -> Option<String> {
        let of_type = |had: &&Condition| had.condition_type == self.name();
        let had = conditions.iter().find(of_type);
        if had.is_some_and(|had| self.fits(had)) {
            return None;
        }
        let mut wanted = self.status.map_or_else(String::new, |status| format!("={status}"));
        for word in [&self.reason, &self.message].into_iter().flatten() {
            wanted.push_str(&format!(" {word:?}"));
        }
        let had =
            had.map_or_else(|| "absent".to_owned(), |had| format!("{} {}: {}", had.status, had.reason, had.message));
        Some(format!("{}{wanted}, is {had}", self.name()))
    }

    fn fits(&self, had: &Condition) -> bool {
        self.status.is_none_or(|wanted| wanted == had.status)
            && self.reason.as_ref().is_none_or(|wanted| *wanted == had.reason)
            && self.message.as_ref().is_none_or(|wanted| had.message.contains(wanted))
    }
}

fn is_wanted(wanted: &Option<String>, had: &Option<String>) -> bool {
    wanted.is_none() || wanted == had
}

fn of_ingress(had: &Ingress) -> String {
    let mut words: Vec<&str> =
        [&had.ip, &had.hostname, &had.ip_mode].into_iter().flatten().map(String::as_str).collect();
    let ports: Vec<String> = had.ports.iter().map(port_text).collect();
    words.extend(ports.iter().map(String::as_str));
    words.join(" ")
}

fn port_text(PortStatus { port, protocol, error }: &PortStatus) -> String {
    let error = error.as_ref().map(|error| format!("/{error}"));
    format!("{port}/{protocol}{}", error.unwrap_or_default())
}

fn all<T>(had: &[T], text: impl Fn(&T) -> String) -> String {
    if had.is_empty() { "none".to_owned() } else { had.iter().map(text).collect::<Vec<_>>().join(", ") }
}

/// `True` without quotes is a boolean in YAML, and nobody means anything else by it here.
fn condition_status<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<ConditionStatus>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "status is True, False or Unknown")]
    enum Written {
        Quoted(ConditionStatus),
        Unquoted(bool),
    }
    Ok(Some(match Written::deserialize(deserializer)? {
        Written::Quoted(status) => status,
        Written::Unquoted(true) => ConditionStatus::True,
        Written::Unquoted(false) => ConditionStatus::False,
    }))
}

#[cfg(test)]
mod tests;
