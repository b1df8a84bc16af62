//! Scripted trouble: faults, armed and ended from outside while the controller runs.
//!
//! A fault meets calls of the provider: steps, and observations (one for each load balancer looked at). It counts those it meets in a file
//! of its own, so that the count outlives the process that the fault kills.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::str::FromStr;
use std::time::Duration;

use portolan_core::ids::LoadBalancerId;
use portolan_core::provider::{Error, ErrorKind};
use portolan_core::reason::Reason;
use serde::{Deserialize, Serialize};

use crate::changes;
use crate::clock::Clock;
use crate::duration;
use crate::step::STEP_NAMES;
use crate::store::{LOCK, Store, file_name, id_of};
use crate::stored::{ids, read_any, unavailable, write};

/// How long the fault `wait` says to wait.
pub(crate) const WAIT: Duration = Duration::from_secs(1);

/// The folder of faults.
const FAULTS: &str = "faults";

/// One fault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Fault {
    /// Which calls it meets.
    pub on: On,
    /// Only calls for this load balancer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<LoadBalancerId>,
    /// It acts on so many of the calls that it meets, then no more; without it, until it is ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u64>,
    /// It acts on only one of the calls that it meets: this one, counted from 1 since it was armed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_call: Option<u64>,
    /// What it does.
    pub effect: Effect,
}

/// Which calls a fault meets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum On {
    /// All of them.
    Any,
    /// Observations.
    Observe,
    /// Steps of this name.
    Step(StepName),
}

/// The name of a step that there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepName(&'static str);

/// What a fault does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Effect {
    /// The call fails for good, without effect.
    Terminal,
    /// The call fails for now, without effect.
    Retry,
    /// The call must wait, without effect.
    Wait,
    /// The call takes this much longer.
    Delay(Duration),
    /// The call never ends.
    Hang,
    /// The process is killed before the call has any effect.
    CrashBefore,
    /// The process is killed after the call has had its effect, before anybody learns of it.
    CrashAfter,
    /// The call has its effect and fails for now.
    FailAfterEffect,
    /// The load balancer stays provisioning: after a step until it is released or the fault ends, on observations while the fault lasts.
    Hold,
    /// Observations find no healthy target.
    Unhealthy,
}

/// A call of the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Met {
    Observe,
    Step(&'static str),
}

/// A fault that acts on a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Acting {
    pub(crate) name: String,
    pub(crate) effect: Effect,
}

impl fmt::Display for Acting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "fault {} of the mock provider: {}", self.name, self.effect)
    }
}

/// An armed fault, as listed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Armed {
    /// Its name.
    pub name: String,
    /// What it is.
    #[serde(flatten)]
    pub fault: Fault,
    /// How many calls it has met. One that has acted `times` times no longer counts.
    pub met: u64,
}

/// Why a fault cannot be armed, ended or listed.
#[derive(Debug, thiserror::Error)]
pub enum FaultError {
    /// The name is in use.
    #[error("fault {0:?} is armed already; end it first, or choose another name")]
    Armed(String),
    /// The name is not in use.
    #[error("no fault {0:?} is armed; `portolan mock fault list` shows those that are")]
    NotArmed(String),
    /// The fault would never act.
    #[error("{0}")]
    Pointless(String),
    /// A file cannot be understood.
    #[error("{place} is no fault: {why}; remove the file")]
    Corrupt {
        /// The file.
        place: String,
        /// What is wrong.
        why: String,
    },
    /// The state cannot be read or written.
    #[error("{0}")]
    Io(#[from] io::Error),
}

impl Fault {
    fn meets(&self, call: Met, id: &LoadBalancerId) -> bool {
        let here = match (&self.on, call, self.effect) {
            (_, Met::Step(_), Effect::Unhealthy) | (On::Any, Met::Observe, Effect::Hold) => false,
            // What holds on any call does so from the creation, or a released load balancer would be held again by its next step.
            (On::Any, Met::Step(step), Effect::Hold) => step == "CreateBalancer",
            (On::Any, _, _) => true,
            (On::Observe, call, _) => call == Met::Observe,
            (On::Step(name), call, _) => call == Met::Step(name.0),
        };
        here && self.id.as_ref().is_none_or(|only| only == id)
    }

    fn acts_on(&self, number: u64) -> bool {
        match self.at_call {
            Some(at) => number == at,
            None => self.times.is_none_or(|times| number <= times),
        }
    }

    /// Nothing that it will still do depends on how many calls it has met.
    fn counts(&self) -> bool {
        self.at_call.is_some() || self.times.is_some()
    }

    /// Arming and ending it changes what observations show.
    fn meets_observations(&self) -> bool {
        match (&self.on, self.effect) {
            (On::Observe, _) | (On::Any, Effect::Unhealthy) => true,
            (On::Any | On::Step(_), _) => false,
        }
    }

    fn check(&self) -> Result<(), FaultError> {
        let pointless = |why: &str| Err(FaultError::Pointless(why.to_owned()));
        match (&self.on, self.effect) {
            (On::Step(_), Effect::Unhealthy) => pointless("health is seen by observations: arm unhealthy on observe"),
            _ if self.times.is_some() && self.at_call.is_some() => {
                pointless("a fault acts N times or at call N, not both")
            }
            _ if self.times == Some(0) || self.at_call == Some(0) => pointless("calls are counted from 1"),
            _ => Ok(()),
        }
    }
}

/// Arms a fault.
pub fn add(store: &Store, name: &str, fault: &Fault) -> Result<(), FaultError> {
    fault.check()?;
    let text = serde_json::to_vec(fault).map_err(io::Error::other)?;
    store.locked_blocking(|| {
        if store.exists(&piece(name))? {
            return Err(FaultError::Armed(name.to_owned()));
        }
        store.remove(&hits(name))?;
        store.replace(&piece(name), &text)?;
        // What observations will now show differently is a change like any other.
        if fault.meets_observations() {
            changes::announce(store, &fault.id.iter().cloned().collect(), fault.id.is_none())?;
        }
        Ok(())
    })?
}

/// Ends a fault, and releases what it holds.
pub fn end(store: &Store, name: &str) -> Result<(), FaultError> {
    store.locked_blocking(|| {
        let Some(fault) = read_fault(store, name)? else {
            return Err(FaultError::NotArmed(name.to_owned()));
        };
        let mut woken = met(store, name)?.into_iter().collect::<BTreeSet<_>>();
        store.remove(&piece(name))?;
        store.remove(&hits(name))?;
        woken.extend(fault.as_ref().ok().and_then(|fault| fault.id.clone()));
        woken.extend(release_where(store, &|held_by| held_by == name, None)?);
        let everybody = fault.as_ref().is_ok_and(|fault| fault.meets_observations() && fault.id.is_none());
        Ok(changes::announce(store, &woken, everybody)?)
    })?
}

/// Whether there is such a fault.
pub(crate) fn is_armed(store: &Store, name: &str) -> io::Result<bool> {
    store.exists(&piece(name))
}

/// Ends every fault, also those that cannot be understood.
pub fn end_all(store: &Store) -> Result<(), FaultError> {
    names(store)?.iter().try_for_each(|name| match end(store, name) {
        // Somebody else was faster.
        Err(FaultError::NotArmed(_)) => Ok(()),
        other => other,
    })
}

/// Releases what any fault holds: one load balancer, or all.
pub fn release(store: &Store, id: Option<&LoadBalancerId>) -> Result<Vec<LoadBalancerId>, FaultError> {
    store.locked_blocking(|| {
        let released = release_where(store, &|_| true, id)?;
        changes::announce(store, &released.iter().cloned().collect(), false)?;
        Ok(released)
    })?
}

/// All armed faults, by name. One that cannot be understood is among them as an error.
pub fn list(store: &Store) -> Result<Vec<Result<Armed, FaultError>>, FaultError> {
    let mut armed = Vec::new();
    for name in names(store)? {
        match read_fault(store, &name)? {
            Some(Ok(fault)) => armed.push(Ok(Armed { met: met(store, &name)?.len() as u64, name, fault })),
            Some(Err(error)) => armed.push(Err(error)),
            None => {}
        }
    }
    Ok(armed)
}

/// The faults that act on this call, by name; each has counted it. A fault whose file cannot be understood does nothing: `list` shows it.
pub(crate) async fn acting(
    store: &Store,
    clock: &dyn Clock,
    call: Met,
    id: &LoadBalancerId,
) -> Result<Vec<Acting>, Error> {
    let names = names(store).map_err(|error| unavailable(store, FAULTS, &error))?;
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let section = store.locked(clock, || count(store, &names, call, id)).await;
    section.map_err(|error| unavailable(store, LOCK, &error))?.map_err(|error| unavailable(store, FAULTS, &error))
}

/// Counts a call with every fault that it meets. Under the store's lock.
fn count(store: &Store, names: &[String], call: Met, id: &LoadBalancerId) -> io::Result<Vec<Acting>> {
    let mut acting = Vec::new();
    for name in names {
        let Some(Ok(fault)) = read_fault(store, name)? else { continue };
        if !fault.meets(call, id) {
            continue;
        }
        let number = if fault.counts() { (met(store, name)?.len() as u64).saturating_add(1) } else { 1 };
        let acts = fault.acts_on(number);
        if acts || fault.at_call.is_some() {
            store.append(&hits(name), format!("{}\n", file_name(id.as_str())).as_bytes())?;
        }
        if acts {
            acting.push(Acting { name: name.clone(), effect: fault.effect });
        }
    }
    Ok(acting)
}

/// The faults that act on this call and show in what an observation sees, uncounted: for a dry run, which writes nothing and is spared
/// failing, hanging and dying in the controller's place.
pub(crate) fn showing(store: &Store, id: &LoadBalancerId) -> io::Result<Vec<Acting>> {
    let mut showing = Vec::new();
    for name in names(store)? {
        let Some(Ok(fault)) = read_fault(store, &name)? else { continue };
        let number = (met(store, &name)?.len() as u64).saturating_add(1);
        if fault.effect.shows() && fault.meets(Met::Observe, id) && fault.acts_on(number) {
            showing.push(Acting { name, effect: fault.effect });
        }
    }
    Ok(showing)
}

fn names(store: &Store) -> io::Result<Vec<String>> {
    Ok(store.list(FAULTS)?.iter().filter_map(|name| name.strip_suffix(".json").and_then(id_of)).collect())
}

fn read_fault(store: &Store, name: &str) -> io::Result<Option<Result<Fault, FaultError>>> {
    let piece = piece(name);
    let Some(text) = store.read(&piece)? else { return Ok(None) };
    let corrupt = |error: serde_json::Error| FaultError::Corrupt { place: store.place(&piece), why: error.to_string() };
    Ok(Some(serde_json::from_slice(&text).map_err(corrupt)))
}

/// Whom the fault has met, in order.
fn met(store: &Store, name: &str) -> io::Result<Vec<LoadBalancerId>> {
    let text = store.read(&hits(name))?.unwrap_or_default();
    Ok(String::from_utf8_lossy(&text).lines().filter_map(id_of).map(LoadBalancerId::new).collect())
}

/// Releases load balancers of every instance. One whose file cannot be understood is held by nobody.
fn release_where(
    store: &Store,
    held_by: &dyn Fn(&str) -> bool,
    only: Option<&LoadBalancerId>,
) -> io::Result<Vec<LoadBalancerId>> {
    let all = match only {
        Some(id) => vec![id.clone()],
        None => ids(store).map_err(io::Error::other)?,
    };
    let mut released = Vec::new();
    for id in all {
        let Ok(Some(mut balancer)) = read_any(store, &id) else { continue };
        let mut changed = false;
        for generation in &mut balancer.generations {
            if generation.held_by.as_deref().is_some_and(held_by) {
                generation.held_by = None;
                changed = true;
            }
        }
        if changed {
            write(store, &balancer).map_err(io::Error::other)?;
            released.push(id);
        }
    }
    Ok(released)
}

fn piece(name: &str) -> String {
    format!("{FAULTS}/{}.json", file_name(name))
}

fn hits(name: &str) -> String {
    format!("{FAULTS}/{}.hits", file_name(name))
}

/// When an effect takes place, and as what: the one list of what each does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// Before the call has any effect.
    Before(Before),
    /// Once the call has had its effect.
    After(After),
    /// In what an observation sees, or what a step leaves behind.
    Shown(Shown),
}

/// What happens instead of the call, or first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Before {
    Fail(ErrorKind, Reason),
    Delay(Duration),
    Hang,
    Crash,
}

/// What happens to the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum After {
    Fail,
    Crash,
}

/// What is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    Held,
    Unhealthy,
}

impl Effect {
    /// When it takes place, and as what.
    pub(crate) fn moment(self) -> Moment {
        match self {
            Self::Terminal => Moment::Before(Before::Fail(ErrorKind::Terminal, Reason::ProviderRefused)),
            Self::Retry => Moment::Before(Before::Fail(ErrorKind::Retry, Reason::ProviderFailed)),
            Self::Wait => Moment::Before(Before::Fail(ErrorKind::Wait(WAIT), Reason::Provisioning)),
            Self::Delay(delay) => Moment::Before(Before::Delay(delay)),
            Self::Hang => Moment::Before(Before::Hang),
            Self::CrashBefore => Moment::Before(Before::Crash),
            Self::CrashAfter => Moment::After(After::Crash),
            Self::FailAfterEffect => Moment::After(After::Fail),
            Self::Hold => Moment::Shown(Shown::Held),
            Self::Unhealthy => Moment::Shown(Shown::Unhealthy),
        }
    }

    /// It changes what an observation sees, and nothing else about it.
    fn shows(self) -> bool {
        matches!(self.moment(), Moment::Shown(_))
    }
}

impl FromStr for On {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "any" => Ok(Self::Any),
            "observe" => Ok(Self::Observe),
            _ => STEP_NAMES
                .into_iter()
                .find(|name| *name == text)
                .map(|name| Self::Step(StepName(name)))
                .ok_or_else(|| format!("{text:?} is no call; those are any, observe, {}", STEP_NAMES.join(", "))),
        }
    }
}

impl fmt::Display for On {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Any => "any",
            Self::Observe => "observe",
            Self::Step(name) => name.0,
        })
    }
}

impl FromStr for Effect {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(delay) = text.strip_prefix("delay=") {
            return duration::parse(delay).map(Self::Delay);
        }
        Ok(match text {
            "terminal" => Self::Terminal,
            "retry" => Self::Retry,
            "wait" => Self::Wait,
            "hang" => Self::Hang,
            "crash-before" => Self::CrashBefore,
            "crash-after" => Self::CrashAfter,
            "fail-after-effect" => Self::FailAfterEffect,
            "hold" => Self::Hold,
            "unhealthy" => Self::Unhealthy,
            _ => {
                return Err(format!(
                    "{text:?} is no effect; those are terminal, retry, wait, delay=DURATION, hang, crash-before, crash-after, \
                     fail-after-effect, hold, unhealthy"
                ));
            }
        })
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Terminal => "terminal",
            Self::Retry => "retry",
            Self::Wait => "wait",
            Self::Delay(delay) => return write!(f, "delay={}", duration::show(*delay)),
            Self::Hang => "hang",
            Self::CrashBefore => "crash-before",
            Self::CrashAfter => "crash-after",
            Self::FailAfterEffect => "fail-after-effect",
            Self::Hold => "hold",
            Self::Unhealthy => "unhealthy",
        })
    }
}

macro_rules! as_text {
    ($type:ty) => {
        impl TryFrom<String> for $type {
            type Error = String;

            fn try_from(text: String) -> Result<Self, String> {
                text.parse()
            }
        }

        impl From<$type> for String {
            fn from(value: $type) -> Self {
                value.to_string()
            }
        }
    };
}

as_text!(On);
as_text!(Effect);
