//! From the end of a walk to the status, and to when the key comes back.

use portolan_core::balancer::LoadBalancer;
use portolan_core::class::Class;
use portolan_core::desire::{Desired, Warning};
use portolan_core::provider::{Error, ErrorKind, Outcome, Provider, Verdict as Finding};
use portolan_core::reason::{ConditionType, Reason};
use portolan_core::refusal::Refusal;
use portolan_core::snapshot::{Service, Versioned};
use portolan_core::status::{self, Findings};

use super::{Interrupted, Pass};
use crate::cluster::queue::Verdict;
use crate::controller::walk::{End, Walked};

impl Pass<'_> {
    /// Writes the status that a walk has led to.
    pub(super) async fn report<P: Provider>(
        &mut self,
        provider: &P,
        service: &Versioned<Service>,
        class: &Class,
        desired: &Desired,
        warnings: &[Warning],
        walked: Walked<P::State>,
    ) -> Result<Verdict, Interrupted> {
        let refused_ports = desired.refused_ports.get(&service.object.uid).map(Vec::as_slice).unwrap_or_default();
        let mut accepted = if desired.load_balancer.listeners.is_empty() {
            status::refused(&Refusal { reasons: refused_ports.to_vec() })
        } else {
            status::accepted(class.name.as_str(), refused_ports)
        };
        let Some(state) = walked.state else {
            return match walked.end {
                End::Failed(error) => self.failed_unseen(service, accepted, &error).await,
                End::Settled | End::Waiting(_) | End::Refused(_) => Ok(Verdict::Retry),
                End::RecordLost(error) => Err(error.into()),
                End::Stopped(stopped) => Err(stopped.into()),
            };
        };
        let mut outcome = provider.outcome(Some(&desired.load_balancer), &state);
        let verdict = match walked.end {
            End::Settled => Verdict::Done,
            End::Waiting(wait) => {
                outcome.programmed = Finding::no(Reason::Provisioning, wait.on);
                Verdict::WaitAtMost(wait.at_most)
            }
            End::Failed(error) if self.is_passing(&error, service) => return Ok(Verdict::Retry),
            End::Failed(error) => {
                blame(&mut outcome, &error);
                verdict_of(&error.kind)
            }
            End::Refused(refusal) => {
                let reason = refusal.reason();
                if reason.hop() == ConditionType::Accepted {
                    accepted = status::refused(&refusal);
                } else {
                    blame(&mut outcome, &Error::terminal(reason, refusal.to_string()));
                }
                Verdict::Done
            }
            End::RecordLost(error) => return Err(error.into()),
            End::Stopped(stopped) => return Err(stopped.into()),
        };
        // Also where nothing more can be done: what was begun before may become ready, and nobody else would wake the key.
        let verdict = match (verdict, &outcome.wait) {
            (Verdict::Done, Some(wait)) => Verdict::WaitAtMost(wait.at_most),
            (verdict, _) => verdict,
        };
        let findings = Findings { accepted, refused_ports, warnings, outcome: &outcome };
        let status = status::status(&service.object, &findings, &self.reconciler.now());
        let is_news = status.ingress != service.object.ingress;
        self.write_status(service, &status, warnings).await?;
        if is_news && verdict == Verdict::Done && takes_away(provider, &desired.load_balancer, &outcome, &state) {
            return Ok(Verdict::Again);
        }
        Ok(verdict)
    }

    /// The first failure of a Service that works is not yet news: a provider's hiccup must not rewrite every status.
    fn is_passing(&self, error: &Error, service: &Versioned<Service>) -> bool {
        let works = service.object.conditions.iter().any(|condition| {
            condition.condition_type == ConditionType::Programmed.name()
                && condition.reason == Reason::Programmed.code()
        });
        error.kind == ErrorKind::Retry && self.attempt == 0 && works
    }

    /// A failure before anything could be seen: the status keeps what it says of the load balancer.
    async fn failed_unseen(
        &mut self,
        service: &Versioned<Service>,
        accepted: Finding,
        error: &Error,
    ) -> Result<Verdict, Interrupted> {
        if !self.is_passing(error, service) {
            let programmed = Finding::no(error.reason, error.message.clone());
            self.only(service, &[(ConditionType::Accepted, accepted), (ConditionType::Programmed, programmed)]).await?;
        }
        Ok(verdict_of(&error.kind))
    }
}

/// What is published decides what a replace may take away: now that this is told, something is left to do. That holds also when
/// nothing was published before, since a predecessor that never came so far must go like any other. Nobody else would wake the key:
/// the write is our own.
fn takes_away<P: Provider>(provider: &P, desired: &LoadBalancer, outcome: &Outcome, state: &P::State) -> bool {
    let mut told = LoadBalancer { published: outcome.published.clone(), ..desired.clone() };
    told.published.sort();
    provider.plan(Some(&told), state).is_ok_and(|plan| !plan.is_empty())
}

/// Puts a failure where it belongs: on the condition that names the failing hop.
fn blame(outcome: &mut Outcome, error: &Error) {
    let finding = Finding::no(error.reason, error.message.clone());
    match error.reason.hop() {
        ConditionType::AddressAssigned => {
            outcome.assigned = finding;
            outcome.programmed = Finding::no(Reason::AddressPending, "waits for an address");
        }
        ConditionType::Accepted | ConditionType::Programmed | ConditionType::Reachable => outcome.programmed = finding,
    }
}

/// When a key comes back after a provider's error.
pub(super) fn verdict_of(kind: &ErrorKind) -> Verdict {
    match kind {
        ErrorKind::Terminal => Verdict::Done,
        ErrorKind::Retry => Verdict::Retry,
        ErrorKind::Wait(at_most) => Verdict::WaitAtMost(*at_most),
    }
}
