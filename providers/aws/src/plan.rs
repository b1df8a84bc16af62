//! From what exists to what is desired, as steps.
//!
//! A load balancer usually has one balancer of AWS's: one generation. What AWS cannot change in one that exists (scheme, target type, protocol,
//! fixed addresses, whether it has security groups) makes a second one beside it: it is created, becomes active and finds its targets healthy,
//! is published; only when the status names the first one no more is that retired, drained and deleted. So such plans come in parts, each made
//! from what `observed` and `published` show by then.
//!
//! ```text
//! security group, its rules -> groups -> balancer -> listeners -> targets -> what goes -> those that are replaced
//! ```

mod attributes;
mod balancer;
mod choice;
mod groups;
mod leaving;
mod listeners;
mod security;
mod targets;

use portolan_core::balancer::Published;
use portolan_core::provider::Plan;
use portolan_core::reason::Reason;
use portolan_core::refusal::{Refusal, Refused};

pub(crate) use choice::{Choice, choose};
pub(crate) use groups::{group_of, is_ours_to_serve};
pub(crate) use leaving::is_finishing;
pub(crate) use targets::wanted;

use crate::model::Model;
use crate::state::{Balancer, State};
use crate::step::{Object, Step};

/// The generation that a plan is for: its number, its name, and what exists of it.
pub(crate) struct Generation<'a> {
    number: u32,
    name: String,
    existing: Option<&'a Balancer>,
    /// Those that have to be deleted before it can be made.
    instead_of: Vec<&'a Balancer>,
}

impl Generation<'_> {
    fn object(&self) -> Object {
        Object { name: self.name.clone(), arn: self.existing.map(|existing| existing.arn.clone()) }
    }
}

/// The steps from `observed` to `desired`; none asks for removal, for which what is observed is enough. `published` is what clients may be
/// using now.
pub fn plan(desired: Option<&Model>, observed: &State, published: &[Published]) -> Result<Plan<Step>, Refusal> {
    let mut steps = Vec::new();
    match desired {
        None => leaving::everything(observed, &mut steps)?,
        Some(model) if model.idle => idle(model, observed, published, &mut steps),
        Some(model) => {
            match choose(model, observed, published) {
                Ok(Choice::Existing(existing)) => {
                    let (number, name) = (existing.generation, existing.name.clone());
                    let generation = Generation { number, name, existing: Some(existing), instead_of: Vec::new() };
                    towards(model, observed, published, &generation, &mut steps)?;
                }
                Ok(Choice::New { number, name, instead_of }) => {
                    let generation = Generation { number, name, existing: None, instead_of };
                    towards(model, observed, published, &generation, &mut steps)?;
                }
                Ok(Choice::Wait) => {}
                Err(refusal) => refused(model, observed, refusal, &mut steps)?,
            }
            leaving::left(observed, published, &mut steps);
        }
    }
    not_taken(observed, &steps)?;
    Ok(Plan { steps })
}

/// Of nobody here anything may be changed; endpoints and nodes come and go meanwhile.
fn idle(model: &Model, observed: &State, published: &[Published], steps: &mut Vec<Step>) {
    if let Ok(Choice::Existing(existing)) = choose(model, observed, published) {
        targets::of_existing(model, observed, existing, steps);
    }
}

/// What cannot be replaced goes on serving, so that it follows its endpoints first: weeks may pass before somebody edits something.
fn refused(model: &Model, observed: &State, refusal: Refusal, steps: &mut Vec<Step>) -> Result<(), Refusal> {
    observed.staying().for_each(|existing| targets::of_existing(model, observed, existing, steps));
    if steps.is_empty() { Err(refusal) } else { Ok(()) }
}

fn towards(
    model: &Model,
    observed: &State,
    published: &[Published],
    generation: &Generation<'_>,
    steps: &mut Vec<Step>,
) -> Result<(), Refusal> {
    security::open(model, observed, generation, steps)?;
    groups::put(model, observed, generation, steps);
    generation.instead_of.iter().for_each(|blocking| leaving::with_a_gap(blocking, steps));
    balancer::put(model, observed, generation, steps);
    listeners::put(model, observed, generation, steps);
    targets::put(model, observed, generation, steps);
    // The predecessor serves until its successor is published, so it follows the endpoints too; a successor that was given up before any
    // client was told of it does not.
    for other in observed.staying().filter(|other| other.generation != generation.number) {
        if other.generation < generation.number || other.is_among(published) {
            targets::of_existing(model, observed, other, steps);
            security::narrow(model, observed, other, steps);
        }
    }
    listeners::remove(model, generation, steps);
    groups::remove(model, observed, generation, steps);
    security::close(model, observed, generation, steps);
    leaving::retire(observed, published, generation, steps);
    Ok(())
}

/// Nobody's name is taken: AWS would answer a creation under the name of another's balancer as if it were ours
/// (<https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_CreateLoadBalancer.html>).
fn not_taken(observed: &State, steps: &[Step]) -> Result<(), Refusal> {
    let taken = steps.iter().filter_map(Step::creates).filter(|name| observed.taken.contains(*name));
    let reasons = taken.map(|name| {
        let why = format!("NameTaken: {name} exists at AWS and does not carry our tags; it is left alone");
        Refused::whole(NAME_TAKEN, why)
    });
    Refusal::unless_empty(reasons.collect())
}

/// Something of that name exists and is not ours.
pub const NAME_TAKEN: Reason = Reason::NotOurs;

/// A replace cannot be made without a gap, and nobody allows one.
pub const REPLACE_NEEDS_DOWNTIME: Reason = Reason::ProviderRefused;
