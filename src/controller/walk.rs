//! Walking a plan: observe, plan, one step after the other, until nothing is left to do.
//!
//! The runtime does this, not the provider: before each step it checks that it may still act, before one that moves clients that the
//! record is still what the plan was made under, after each it remembers what the step taught.

use std::collections::BTreeMap;
use std::time::Duration;

use portolan_core::balancer::LoadBalancer;
use portolan_core::provider::{Applied, Call, Error, ErrorKind, Known, Plan, Provider, Step, Wait};
use portolan_core::reason::Reason;
use portolan_core::record::{Record, Records, RecordsError};
use portolan_core::refusal::Refusal;

use crate::controller::gate::{Gate, Stopped};

/// How often a plan is made anew within one pass. One round applies, the next finds nothing to do; a plan that is not empty
/// after this many does not converge.
const ROUNDS: u32 = 4;

/// Where a walk has ended.
#[derive(Debug)]
pub(crate) struct Walked<S> {
    /// What exists now; none if that could not be found out.
    pub state: Option<S>,
    /// Why it ended.
    pub end: End,
    /// A step was begun that is more than a hint.
    pub acted: bool,
}

/// Why a walk has ended.
#[derive(Debug)]
pub(crate) enum End {
    /// Nothing is left to do.
    Settled,
    /// Something outside must come first.
    Waiting(Wait),
    /// Everything is as desired; what serves nobody any more has to wait before it can go.
    Clearing(Wait),
    /// A call failed.
    Failed(Error),
    /// The provider will not do this.
    Refused(Refusal),
    /// The record could not be kept up to date.
    RecordLost(RecordsError),
    /// We may not act any more.
    Stopped(Stopped),
}

/// Walks from what exists to `desired`; `None` removes it. `record` is kept up to date with what steps teach; `is_new` if this pass has
/// made it, so that nobody can have planned under an older one.
pub(crate) async fn walk<P: Provider>(
    provider: &P,
    desired: Option<&LoadBalancer>,
    record: &mut Record,
    records: &impl Records,
    is_new: bool,
    gate: &Gate,
) -> Walked<P::State> {
    let mut state = None;
    let mut acted = false;
    for _ in 0..ROUNDS {
        let observed = match observe(provider, &record.known()).await {
            Ok(observed) => state.insert(observed).clone(),
            Err(error) => return Walked { state: None, end: End::Failed(error), acted },
        };
        let plan = match provider.plan(desired, &observed) {
            Ok(plan) if plan.is_empty() => {
                let end = match remember(provider, &observed, desired, record, records).await {
                    Ok(()) => End::Settled,
                    Err(error) => End::RecordLost(error),
                };
                return Walked { state, end, acted };
            }
            Ok(plan) => plan,
            Err(refusal) => return Walked { state, end: End::Refused(refusal), acted },
        };
        if let Err(error) = intend(&plan, record, records).await {
            return Walked { state, end: End::RecordLost(error), acted };
        }
        for (at, step) in plan.steps.iter().enumerate() {
            if !is_new
                && step.moves_clients()
                && let Err(error) = is_current(record, records).await
            {
                let state = observe(provider, &record.known()).await.ok();
                return Walked { state, end: End::RecordLost(error), acted };
            }
            acted |= !step.is_hint();
            if let Some(end) = carry_out(provider, step, record, records, gate).await {
                // What the steps before have done shows in the status, so it is looked at once more.
                let state = observe(provider, &record.known()).await.ok();
                let only_clears = desired.is_some() && plan.steps.iter().skip(at).all(Step::cleans_up);
                let end = if let (End::Waiting(wait), true) = (&end, only_clears) {
                    End::Clearing(wait.clone())
                } else {
                    end
                };
                return Walked { state, end, acted };
            }
        }
    }
    let id = &record.id;
    let error = Error::retry(
        Reason::ProviderFailed,
        "the provider keeps asking for steps after they were carried out; please report this with the controller's log",
    );
    tracing::error!(balancer = %id, "the plan is not empty after {ROUNDS} rounds");
    Walked { state, end: End::Failed(error), acted }
}

/// Another controller that acts has not written the record since. Its cache may be ahead of ours: what we would do may be what a user has
/// taken back.
async fn is_current(record: &Record, records: &impl Records) -> Result<(), RecordsError> {
    let stored = records.get(&record.id).await?;
    if stored.is_some_and(|stored| stored.version == record.version) {
        Ok(())
    } else {
        Err(RecordsError::Conflict(record.id.clone()))
    }
}

/// Writes down what the steps are about to make, as far as only the record will tell whose it is.
async fn intend<S: Step>(plan: &Plan<S>, record: &mut Record, records: &impl Records) -> Result<(), RecordsError> {
    let intents: BTreeMap<String, String> = plan.steps.iter().flat_map(Step::intent).collect();
    if intents.iter().any(|(key, value)| record.external.get(key) != Some(value)) {
        let mut intending = record.clone();
        intending.external.extend(intents);
        *record = records.replace(&intending).await?;
    }
    Ok(())
}

/// Writes down what the next process is to begin with. What is removed is not remembered.
async fn remember<P: Provider>(
    provider: &P,
    state: &P::State,
    desired: Option<&LoadBalancer>,
    record: &mut Record,
    records: &impl Records,
) -> Result<(), RecordsError> {
    match provider.remembered(state).filter(|_| desired.is_some()) {
        Some(external) if external != record.external => {
            *record = records.replace(&Record { external, ..record.clone() }).await?;
            Ok(())
        }
        Some(_) | None => Ok(()),
    }
}

/// What exists of one load balancer.
pub(crate) async fn observe<P: Provider>(provider: &P, known: &Known) -> Result<P::State, Error> {
    let observed = within(provider.deadline(), "observe", provider.observe_many(std::slice::from_ref(known))).await?;
    observed.into_iter().next().unwrap_or_else(|| {
        Err(Error::retry(Reason::ProviderFailed, "the provider gave no answer about this load balancer"))
    })
}

/// Carries out one step; returns why the walk must end here, if it must.
async fn carry_out<P: Provider>(
    provider: &P,
    step: &P::Step,
    record: &mut Record,
    records: &impl Records,
    gate: &Gate,
) -> Option<End> {
    let members = record.members.iter().map(|joined| joined.member.clone()).collect();
    let call = Call { id: record.id.clone(), members, external: record.external.clone() };
    let Applied { learned, wait } = match apply(provider, step, &call, gate).await {
        Ok(applied) => applied,
        Err(end) => return Some(end),
    };
    if learned.iter().any(|(key, value)| record.external.get(key) != Some(value)) {
        let mut taught = record.clone();
        taught.external.extend(learned);
        match records.replace(&taught).await {
            Ok(stored) => *record = stored,
            Err(error) => return Some(End::RecordLost(error)),
        }
    }
    wait.map(End::Waiting)
}

/// Carries out what of a plan only tells another part of this process something.
pub(crate) async fn hint<P: Provider>(
    provider: &P,
    desired: &LoadBalancer,
    plan: &Plan<P::Step>,
    gate: &Gate,
) -> Result<(), End> {
    let call = Call { id: desired.id.clone(), members: desired.members.clone(), external: BTreeMap::new() };
    for step in plan.steps.iter().filter(|step| step.is_hint()) {
        apply(provider, step, &call, gate).await?;
    }
    Ok(())
}

/// Has the provider do it; else why the walk must end here.
async fn apply<P: Provider>(provider: &P, step: &P::Step, call: &Call, gate: &Gate) -> Result<Applied, End> {
    gate.check().map_err(End::Stopped)?;
    let applied = within(provider.deadline(), step.name(), provider.apply(step, call)).await.and_then(|result| result);
    match &applied {
        Ok(_) => tracing::info!(balancer = %call.id, step = step.name(), "{step}"),
        Err(error) => tracing::warn!(balancer = %call.id, step = step.name(), %error, "step failed"),
    }
    applied.map_err(|error| match error.kind {
        ErrorKind::Wait(at_most) => End::Waiting(Wait { on: error.message, at_most }),
        ErrorKind::Terminal | ErrorKind::Retry => End::Failed(error),
    })
}

async fn within<T>(deadline: Duration, what: &str, call: impl Future<Output = T>) -> Result<T, Error> {
    tokio::time::timeout(deadline, call).await.map_err(|_| {
        Error::retry(
            Reason::ProviderFailed,
            format!("{what}: the provider did not answer within {} s", deadline.as_secs()),
        )
    })
}

#[cfg(test)]
mod tests;
