//! From what exists to what is desired, as steps.
//!
//! A load balancer usually has one balancer of AWS's: one generation. What AWS cannot change in one that exists (scheme, target type, protocol,
//! fixed addresses, whether it has security groups) makes a second one beside it: it is created, becomes active and finds its targets healthy,
//! is published; only when the status names the first one no more is that retired, drained and deleted. So such plans come in parts, each made
//! from what `observed` and `published` show by then.
//!
//! ```text
//! weights of prefix lists -> security group, its rules -> groups -> balancer -> attributes of groups -> listeners -> targets -> what goes -> those that are replaced
//! ```
//!
//! What somebody has set and nobody asks for any more goes back to what AWS has where nobody says: attributes, tags, PrivateLink.

mod attributes;
mod balancer;
mod choice;
mod groups;
mod leaving;
mod listeners;
mod security;
mod tags;
mod targets;
mod usurped;

use portolan_core::balancer::Published;
use portolan_core::provider::Plan;
use portolan_core::reason::Reason;
use portolan_core::refusal::{Refusal, Refused};

pub(crate) use choice::{Choice, choose};
pub(crate) use groups::{group_of, is_ours_to_serve};
pub(crate) use leaving::is_finishing;
pub(crate) use usurped::{doubtful, marked};

use crate::backend::need::Need;
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
    if desired.is_some() {
        targets::usurped(observed, &mut steps);
    }
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

/// What the targets have to let in by this plan.
pub(crate) fn needed(model: &Model, observed: &State, published: &[Published]) -> Option<Need> {
    let generation = match choose(model, observed, published) {
        Ok(Choice::New { number, name, instead_of }) => Some(Generation { number, name, existing: None, instead_of }),
        Ok(Choice::Existing(existing)) if !model.idle => {
            let (number, name) = (existing.generation, existing.name.clone());
            Some(Generation { number, name, existing: Some(existing), instead_of: Vec::new() })
        }
        Ok(Choice::Existing(_) | Choice::Wait) | Err(_) => None,
    };
    let need = model.need.as_ref()?;
    Some(need.carried(&security::carried(model, observed, generation.as_ref())))
}

/// Of nobody here anything may be changed; endpoints and nodes come and go meanwhile.
fn idle(model: &Model, observed: &State, published: &[Published], steps: &mut Vec<Step>) {
    if let Ok(Choice::Existing(existing)) = choose(model, observed, published) {
        admit(model, observed, None, steps);
        targets::of_existing(model, observed, existing, steps);
    }
}

/// What the targets have to let in before anything is sent to them.
fn admit(model: &Model, observed: &State, generation: Option<&Generation<'_>>, steps: &mut Vec<Step>) {
    let Some(need) = &model.need else { return };
    let need = need.carried(&security::carried(model, observed, generation));
    if observed.admitted.as_ref().is_none_or(|admitted| admitted.need != need) {
        steps.push(Step::Admit { need });
    }
}

/// What cannot be replaced goes on serving, so that it follows its endpoints first: weeks may pass before somebody edits something.
fn refused(model: &Model, observed: &State, refusal: Refusal, steps: &mut Vec<Step>) -> Result<(), Refusal> {
    let mut following = Vec::new();
    observed.staying().for_each(|existing| targets::of_existing(model, observed, existing, &mut following));
    if !following.is_empty() {
        admit(model, observed, None, steps);
        steps.extend(following);
    }
    if steps.is_empty() { Err(refusal) } else { Ok(()) }
}

fn towards(
    model: &Model,
    observed: &State,
    published: &[Published],
    generation: &Generation<'_>,
    steps: &mut Vec<Step>,
) -> Result<(), Refusal> {
    security::weigh(model, observed, generation, steps);
    let names_own = model.need.as_ref().is_some_and(|need| need.own);
    if !names_own {
        admit(model, observed, Some(generation), steps);
    }
    security::open(model, observed, generation, steps)?;
    if names_own {
        admit(model, observed, Some(generation), steps);
    }
    groups::put(model, observed, generation, steps);
    generation.instead_of.iter().for_each(|blocking| leaving::with_a_gap(blocking, steps));
    balancer::put(model, observed, generation, steps);
    groups::furnish(model, observed, generation, steps);
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
    security::close(model, observed, generation, steps);
    // Last: AWS takes its time until it believes that nothing uses a group any more, and nothing that is desired must wait for that.
    groups::remove(model, observed, generation, steps);
    leaving::retire(observed, published, generation, steps);
    Ok(())
}

/// Nobody's name is taken: AWS would answer a creation under the name of another's balancer as if it were ours
/// (<https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_CreateLoadBalancer.html>).
fn not_taken(observed: &State, steps: &[Step]) -> Result<(), Refusal> {
    let taken = steps.iter().filter_map(Step::creates).filter(|name| observed.taken.contains(*name));
    let reasons = taken.map(|name| {
        let why = match observed.holders.get(name) {
            Some(holder) => format!("{name} exists at AWS and belongs to {holder}; choose another name"),
            None => format!("{name} exists at AWS and does not carry our tags; it is left alone"),
        };
        Refused::whole(Reason::NameTaken, why)
    });
    Refusal::unless_empty(reasons.collect())
}
