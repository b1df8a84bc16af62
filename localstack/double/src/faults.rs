//! Trouble that tests arm: which calls it befalls, and what happens to them.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::caller::{Caller, Service};
use crate::log::is_mutating;
use crate::refusal::Refusal;

/// What happens to a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// It takes effect, then the connection is closed without an answer.
    LoseResponse,
    /// The connection is closed before it takes effect.
    CutOff,
    /// It is answered with a 500 before it takes effect.
    ErrorBefore,
    /// It takes effect and is answered with a 500 all the same.
    ErrorAfter,
    /// It is refused with this code and status before it takes effect.
    Refuse {
        /// AWS's code.
        code: String,
        /// The HTTP status.
        status: u16,
    },
    /// The security token has expired: `ExpiredToken`, 403 on ELBv2, and `RequestExpired`, 400 on EC2.
    ExpiredToken,
    /// It is throttled, whatever the buckets hold.
    Throttle,
    /// Its page holds no more than this, with a `NextMarker` (EC2: `nextToken`) to the rest.
    CutPages(usize),
    /// It arrives so much later, on the double's clock.
    DelayBefore(Duration),
    /// It takes effect at once, and its answer leaves so much later, on the double's clock.
    DelayAfter(Duration),
}

/// One piece of trouble: an effect, and the calls it befalls.
#[derive(Debug, Clone)]
pub struct Fault {
    calls: Calls,
    caller: Option<String>,
    spare: usize,
    left: Option<usize>,
    effect: Effect,
}

#[derive(Debug, Clone)]
enum Calls {
    Action(String),
    Mutating,
    Any,
}

impl Fault {
    /// Befalls the first call of this action from now on.
    pub fn on(action: &str, effect: Effect) -> Self {
        Self::new(Calls::Action(action.to_owned()), effect)
    }

    /// Befalls the first call that changes something.
    pub fn on_mutating(effect: Effect) -> Self {
        Self::new(Calls::Mutating, effect)
    }

    /// Befalls the first call of whatever action.
    pub fn on_any(effect: Effect) -> Self {
        Self::new(Calls::Any, effect)
    }

    fn new(calls: Calls, effect: Effect) -> Self {
        Self { calls, caller: None, spare: 0, left: Some(1), effect }
    }

    /// Befalls the `n`th such call first, counted from one, from when it is armed.
    #[must_use]
    pub fn nth(mut self, n: usize) -> Self {
        self.spare = n.saturating_sub(1);
        self
    }

    /// Befalls so many such calls in a row.
    #[must_use]
    pub fn times(mut self, times: usize) -> Self {
        self.left = Some(times);
        self
    }

    /// Befalls every such call until it is disarmed.
    #[must_use]
    pub fn always(mut self) -> Self {
        self.left = None;
        self
    }

    /// Befalls only the calls of this access key or test case.
    #[must_use]
    pub fn by(mut self, caller: &str) -> Self {
        self.caller = Some(caller.to_owned());
        self
    }

    fn befalls(&self, action: &str, caller: &Caller) -> bool {
        let action = match &self.calls {
            Calls::Action(one) => one == action,
            Calls::Mutating => is_mutating(action),
            Calls::Any => true,
        };
        let by =
            self.caller.as_deref().is_none_or(|one| caller.access_key == one || caller.case.as_deref() == Some(one));
        action && by
    }
}

/// The faults that are armed. Cheap to clone: all clones are one.
#[derive(Debug, Clone, Default)]
pub struct Faults(Arc<Mutex<Vec<Fault>>>);

impl Faults {
    /// Arms one more.
    pub fn arm(&self, fault: Fault) {
        self.all(|faults| faults.push(fault));
    }

    /// Disarms all.
    pub fn disarm(&self) {
        self.all(Vec::clear);
    }

    /// How many are armed and have not run out.
    pub fn armed(&self) -> usize {
        self.all(|faults| faults.len())
    }

    /// What befalls this call. Each fault that it meets is used up by one.
    pub(crate) fn befall(&self, action: &str, caller: &Caller) -> Vec<Effect> {
        self.all(|faults| {
            let mut effects = Vec::new();
            for fault in faults.iter_mut().filter(|fault| fault.befalls(action, caller)) {
                if fault.spare > 0 {
                    fault.spare -= 1;
                    continue;
                }
                if let Some(left) = &mut fault.left {
                    *left = left.saturating_sub(1);
                }
                effects.push(fault.effect.clone());
            }
            faults.retain(|fault| fault.left != Some(0));
            effects
        })
    }

    fn all<T>(&self, with: impl FnOnce(&mut Vec<Fault>) -> T) -> T {
        with(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Effect {
    /// The refusal that this effect puts in the place of the call, if it is one.
    pub(crate) fn refusal_before(&self, service: &Service) -> Option<Refusal> {
        match self {
            Effect::ErrorBefore => Some(internal_error(service)),
            Effect::Refuse { code, status } => Some(Refusal::with_status(code.clone(), *status, "armed by a test")),
            Effect::ExpiredToken => Some(expired(service)),
            Effect::Throttle => Some(crate::throttle::exceeded(service)),
            Effect::LoseResponse
            | Effect::CutOff
            | Effect::ErrorAfter
            | Effect::CutPages(_)
            | Effect::DelayBefore(_)
            | Effect::DelayAfter(_) => None,
        }
    }
}

/// AWS's own 500 ("Common Errors": `InternalFailure`; EC2's error codes: `InternalError`).
pub(crate) fn internal_error(service: &Service) -> Refusal {
    let code = if *service == Service::Ec2 { "InternalError" } else { "InternalFailure" };
    Refusal::with_status(code, 500, "armed by a test")
}

/// "Common Errors": `ExpiredToken`; EC2's client error codes: `RequestExpired`.
fn expired(service: &Service) -> Refusal {
    let (code, status) = if *service == Service::Ec2 { ("RequestExpired", 400) } else { ("ExpiredToken", 403) };
    Refusal::with_status(code, status, "The security token included in the request is expired")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(key: &str) -> Caller {
        Caller { access_key: key.to_owned(), case: None }
    }

    #[test]
    fn a_fault_befalls_the_nth_call_of_its_action_and_then_is_gone() {
        let faults = Faults::default();
        faults.arm(Fault::on("CreateListener", Effect::LoseResponse).nth(2));
        let befall = |action| faults.befall(action, &caller("a"));
        assert_eq!(befall("CreateListener"), []);
        assert_eq!(befall("CreateTargetGroup"), []);
        assert_eq!(befall("CreateListener"), [Effect::LoseResponse]);
        assert_eq!((befall("CreateListener"), faults.armed()), (vec![], 0));
    }

    #[test]
    fn a_fault_may_be_for_one_caller_and_for_all_that_changes() {
        let faults = Faults::default();
        faults.arm(Fault::on_mutating(Effect::ErrorBefore).always().by("a"));
        assert_eq!(faults.befall("DescribeTags", &caller("a")), []);
        assert_eq!(faults.befall("AddTags", &caller("b")), []);
        assert_eq!(faults.befall("AddTags", &caller("a")).len(), 1);
        assert_eq!(faults.befall("DeleteListener", &caller("a")).len(), 1);
        faults.disarm();
        assert_eq!(faults.befall("AddTags", &caller("a")), []);
    }

    #[test]
    fn each_api_has_its_own_words() {
        let code =
            |service| Effect::ExpiredToken.refusal_before(&service).map(|refusal| (refusal.code, refusal.status));
        assert_eq!(code(Service::ElasticLoadBalancing), Some(("ExpiredToken".to_owned(), 403)));
        assert_eq!(code(Service::Ec2), Some(("RequestExpired".to_owned(), 400)));
    }
}
