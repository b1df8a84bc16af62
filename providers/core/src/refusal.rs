//! Saying no, with every reason at once.

use std::fmt;

use serde::Serialize;

use crate::balancer::PortKey;
use crate::reason::Reason;

/// Why something cannot be served, until somebody edits something. Never empty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{}", .reasons.iter().map(ToString::to_string).collect::<Vec<_>>().join(crate::message::BETWEEN))]
pub struct Refusal {
    /// All reasons, sorted as found.
    pub reasons: Vec<Refused>,
}

/// One reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refused {
    /// The stable code.
    pub reason: Reason,
    /// What is wrong and what to do, for people.
    pub message: String,
    /// The port, where only a port is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<PortKey>,
}

impl Refused {
    /// Both refuse one port for one reason, in whoever's words.
    pub fn says_the_same(&self, other: &Self) -> bool {
        self.port.is_some() && (self.port, self.reason) == (other.port, other.reason)
    }

    /// A reason that concerns the whole load balancer.
    pub fn whole(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), port: None }
    }

    /// A reason that concerns one port.
    pub fn port(port: PortKey, reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), port: Some(port) }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => write!(f, "{port}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl Refusal {
    /// A refusal for one reason.
    pub fn one(refused: Refused) -> Self {
        Self { reasons: vec![refused] }
    }

    /// `Err` with all reasons if there is any.
    pub fn unless_empty(reasons: Vec<Refused>) -> Result<(), Self> {
        if reasons.is_empty() { Ok(()) } else { Err(Self { reasons }) }
    }

    /// The code that a condition carries: that of the first reason.
    pub fn reason(&self) -> Reason {
        self.reasons.first().map_or(Reason::InvalidSpec, |refused| refused.reason)
    }
}
