//! What one Service asks of AWS: its annotations and spec, read by the rules of the AWS Load Balancer Controller within the limits of the
//! class. Pure, and complete: a refusal names everything that is wrong.

pub mod balancer;
pub mod groups;
pub mod health;
pub mod listeners;
mod merge;
mod ports;
pub mod security;
pub mod share;
pub mod subnets;
pub mod tags;
pub mod tls;

use portolan_core::balancer::{Scheme, SourceRanges};
use portolan_core::refusal::{Refusal, Refused};
use portolan_core::snapshot::Service;
use serde::{Deserialize, Serialize};

use crate::annotations::reader::{Reader, Warning};
use crate::parameters::Parameters;

pub use balancer::Balancer;
pub use listeners::Listener;

/// All that the rules read.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// The Service.
    pub service: &'a Service,
    /// The scheme that it asks for, which the core reads (`desire::scheme`); none if it does not say.
    pub scheme: Option<Scheme>,
    /// Who may connect, which the core reads (`desire::ranges`).
    pub source_ranges: &'a SourceRanges,
    /// The scheme of the balancer that exists.
    pub existing: Option<Scheme>,
    /// The class's parameters.
    pub parameters: &'a Parameters,
}

/// What one Service comes to. It can be kept as text and read again, but for its refusals and warnings, which are told when they are found.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Settings {
    /// What holds for the whole balancer.
    pub balancer: Balancer,
    /// The name of the balancer is its own wish, and not only that of others who share it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub names_balancer: bool,
    /// The listeners, by port.
    pub listeners: Vec<Listener>,
    /// Ports that are not served; the others are.
    #[serde(skip_deserializing, skip_serializing_if = "Vec::is_empty")]
    pub refused_ports: Vec<Refused>,
    /// What a person should know.
    #[serde(skip_deserializing, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Warning>,
}

impl Settings {
    /// Reads everything. A refusal means that nothing of the Service can be served, and names all reasons at once; a port that alone cannot
    /// be is in [`Settings::refused_ports`].
    pub fn read(input: &Input<'_>) -> Result<Self, Refusal> {
        let mut reader = Reader::new(&input.service.annotations);
        let balancer = balancer::read(input, &mut reader);
        let (listeners, refused_ports) = listeners::read(input, &balancer, &mut reader);
        let Reader { mut refused, mut warnings, .. } = reader;
        if !refused.is_empty() || (listeners.is_empty() && !refused_ports.is_empty()) {
            refused.extend(refused_ports);
            return Err(Refusal { reasons: refused });
        }
        warnings.sort_by_key(|warning| warning.kind);
        Ok(Self { balancer, names_balancer: false, listeners, refused_ports, warnings })
    }
}

#[cfg(test)]
mod tests;
