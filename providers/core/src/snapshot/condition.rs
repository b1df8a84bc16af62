//! A condition of a Service, as the decisions see it and as it goes back.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// One entry of `status.conditions`. Reading one cannot fail: the server checks none of them, and Go writes a time that was never
/// set as `null`. The list is written as a whole, so an entry of somebody else goes back exactly as it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Value", into = "Value")]
pub struct Condition {
    /// The key of the list.
    pub condition_type: String,
    /// True, False or Unknown; anything else reads as Unknown.
    pub status: ConditionStatus,
    /// A CamelCase code.
    pub reason: String,
    /// For people.
    pub message: String,
    /// RFC 3339, as the server keeps it; empty if it was never set.
    pub last_transition_time: String,
    /// Kept for conditions of others. Ours have none: Services have no maintained `generation`.
    pub observed_generation: Option<i64>,
    /// The entry as it was stored, if the fields above do not say all of it.
    pub verbatim: Option<Value>,
}

impl From<Value> for Condition {
    fn from(stored: Value) -> Self {
        let text = |field: &str| stored.get(field).and_then(Value::as_str).unwrap_or_default();
        let condition = Self {
            condition_type: text("type").to_owned(),
            status: match text("status") {
                "True" => ConditionStatus::True,
                "False" => ConditionStatus::False,
                _ => ConditionStatus::Unknown,
            },
            reason: text("reason").to_owned(),
            message: text("message").to_owned(),
            last_transition_time: text("lastTransitionTime").to_owned(),
            observed_generation: stored.get("observedGeneration").and_then(Value::as_i64),
            verbatim: None,
        };
        let says_all = Value::from(condition.clone()) == stored;
        Self { verbatim: (!says_all).then_some(stored), ..condition }
    }
}

impl From<Condition> for Value {
    fn from(condition: Condition) -> Self {
        let Condition { condition_type, status, reason, message, last_transition_time, observed_generation, verbatim } =
            condition;
        verbatim.unwrap_or_else(|| {
            let mut entry = json!({
                "type": condition_type,
                "status": status,
                "reason": reason,
                "message": message,
                "lastTransitionTime": last_transition_time,
            });
            if let (Some(generation), Some(entry)) = (observed_generation, entry.as_object_mut()) {
                entry.insert("observedGeneration".to_owned(), generation.into());
            }
            entry
        })
    }
}

/// `status.conditions[].status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConditionStatus {
    /// It holds.
    True,
    /// It does not.
    False,
    /// Nobody can tell.
    Unknown,
}

impl fmt::Display for ConditionStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stored_entry_goes_back_as_it_was() {
        let plain = json!({
            "type": "T", "status": "True", "reason": "R", "message": "m", "lastTransitionTime": "2026-01-02T03:04:05Z",
            "observedGeneration": 3,
        });
        let mut entries = vec![plain.clone(), Value::Null, json!({}), json!({"type": 3})];
        for (field, value) in [
            ("lastTransitionTime", Value::Null),
            ("status", json!("Weird")),
            ("reason", Value::Null),
            ("message", json!(5)),
            ("observedGeneration", json!("three")),
            ("somethingNew", json!({"a": [1]})),
        ] {
            let mut entry = plain.clone();
            entry[field] = value;
            entries.push(entry);
        }
        for entry in entries {
            let condition: Condition = serde_json::from_value(entry.clone()).unwrap();
            assert_eq!(condition.verbatim.is_none(), entry == plain);
            assert_eq!(serde_json::to_value(condition).unwrap(), entry);
        }
    }

    #[test]
    fn an_odd_entry_reads_as_far_as_it_goes() {
        let condition = Condition::from(json!({"type": "T", "status": "Weird", "lastTransitionTime": null}));
        assert_eq!((condition.condition_type.as_str(), condition.status), ("T", ConditionStatus::Unknown));
        assert_eq!(condition.last_transition_time, "");
    }
}
