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
use crate::snapshot::Service;

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
