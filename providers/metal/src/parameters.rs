//! The parameters of a class of this provider: there are none yet. What a pool can say, a class need not.

use portolan_core::class::ParameterProblem;
use serde_json::Value;

/// What a class can set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parameters;

impl Parameters {
    /// Reads them; all problems at once.
    pub fn parse(parameters: &Value) -> Result<Self, Vec<ParameterProblem>> {
        let problem = |pointer: String| ParameterProblem {
            pointer,
            message: "the provider metal has no such parameter; pools and advertisements are objects in the cluster"
                .to_owned(),
        };
        match parameters {
            Value::Null => Ok(Self),
            Value::Object(fields) if fields.is_empty() => Ok(Self),
            Value::Object(fields) => Err(fields.keys().map(|key| problem(format!("/{key}"))).collect()),
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Err(vec![problem(String::new())]),
        }
    }
}
