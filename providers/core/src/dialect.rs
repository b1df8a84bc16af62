//! What a Service asks of its provider in the provider's own words: annotations that the core does not know. The core asks the provider
//! what they come to, before anything is asked of the world, so that everything that is wrong with a Service is told at once, and hands it
//! back to the provider unread.

use std::collections::BTreeMap;
use std::fmt::Debug;

use serde_json::Value;

use crate::balancer::{Scheme, SourceRanges};
use crate::desire::Warning;
use crate::ids::Uid;
use crate::refusal::Refused;
use crate::snapshot::{Service, ServicePort};

/// All that is judged.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The Service.
    pub service: &'a Service,
    /// The scheme that it asks for; none if it does not say.
    pub scheme: Option<Scheme>,
    /// Who may connect.
    pub source_ranges: &'a SourceRanges,
}

/// What it comes to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Judged {
    /// Why nothing of the Service can be served: all reasons.
    pub refused: Vec<Refused>,
    /// Ports that cannot be served, each by its key, while the others are.
    pub refused_ports: Vec<Refused>,
    /// What a person should know.
    pub warnings: Vec<Warning>,
}

/// A provider's own words.
pub trait Dialect: Debug + Send + Sync {
    /// What is to be said of a Service that comes to these members, in the order of joining; where it contradicts them it is refused. Pure.
    fn judge(&self, asked: &Asked<'_>, before: &[Asked<'_>]) -> Judged;

    /// What the members come to together, for [`LoadBalancer::settings`](crate::balancer::LoadBalancer::settings). Pure.
    fn settings(&self, members: &[Asked<'_>]) -> BTreeMap<Uid, Value>;

    /// This port is to be reached straight at its pods, although it may have a node port. Counts only where the provider has targets of
    /// both kinds ([`Capabilities`](crate::capabilities::Capabilities)): one that has only one kind sends there, and a port without node port
    /// goes to its pods in any case. Pure, and an answer is given whatever else is wrong with the Service: while it is refused, what exists of
    /// it follows its endpoints all the same.
    fn wants_pods(&self, _service: &Service, _port: &ServicePort) -> bool {
        false
    }

    /// Who can reach a load balancer of which nobody says who is to: what somebody gets who takes back what it has asked for.
    fn default_scheme(&self) -> Scheme {
        Scheme::Public
    }
}

/// Of a provider that has none.
#[derive(Clone, Copy, Debug)]
pub struct Plain;

impl Dialect for Plain {
    fn judge(&self, _: &Asked<'_>, _: &[Asked<'_>]) -> Judged {
        Judged::default()
    }

    fn settings(&self, _: &[Asked<'_>]) -> BTreeMap<Uid, Value> {
        BTreeMap::new()
    }
}
