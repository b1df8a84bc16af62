//! From the end of a walk to the status, and to when the key comes back.

use portolan_core::balancer::{LoadBalancer, PortKey};
use portolan_core::claim::{ClaimWarning, class_of, current_class};
use portolan_core::class::Class;
use portolan_core::desire::{Desired, Warning, addresses};
use portolan_core::provider::{Error, ErrorKind, Outcome, Plan, Provider, Step, Verdict as Finding};
use portolan_core::reason::{ConditionType, Reason};
use portolan_core::record::Record;
use portolan_core::refusal::Refusal;
use portolan_core::snapshot::{Service, Versioned};
use portolan_core::status;

use super::serving::{Seat, sooner};
use super::{Interrupted, Pass};
use crate::cluster::finalizers::Standard;
use crate::cluster::queue::Verdict;
use crate::controller::decision::Decision;
use crate::controller::index::Written;
use crate::controller::walk::{End, Walked, hint, observe};
use crate::providers::with_provider;

/// What a walk has come to, for everybody whom it concerns.
struct Findings<'a> {
    /// What the provider says of the whole.
    outcome: Outcome,
    /// Why nothing is accepted any more, although it was.
    refusal: Option<Refusal>,
    /// The failure that the outcome blames.
    failure: Option<&'a Error>,
    verdict: Verdict,
}

impl Pass<'_> {
    /// Tells what is refused before anything is asked of the world: to decide that nothing of it was needed, and the rest may take minutes.
    /// It costs a write only where something is refused, and only if the status has not said of this Service yet that something is: a walk may
    /// end in another refusal, and then the two would take turns.
    pub(super) async fn tell_refusals(
        &mut self,
        decision: &Decision,
        class: &Class,
        desired: &Desired,
        seats: &mut [Seat<'_>],
    ) {
        for seat in seats {
            if desired.refused_ports.contains_key(&seat.service.object.uid) {
                let verdict = accepted(class, desired, &seat.service.object);
                self.tell_refusal(&seat.service, verdict).await;
                seat.service = self.latest(&seat.service);
            }
        }
        for (service, _) in decision.served() {
            if let Some(refusal) = desired.refused.get(&service.object.uid) {
                self.tell_refusal(&self.latest(service), status::refused(refusal)).await;
            }
        }
    }

    /// Best effort: nobody's load balancer waits for it, and what cannot be written now is written, or fails, when the walk is over.
    async fn tell_refusal(&mut self, service: &Versioned<Service>, verdict: Finding) {
        let mut conditions = service.object.conditions.iter();
        let said = conditions.find(|condition| condition.condition_type == ConditionType::Accepted.name());
        if said.is_none_or(|said| said.reason == Reason::Accepted.code())
            && let Err(error) = self.only(service, &[(ConditionType::Accepted, verdict)]).await
        {
            tracing::debug!(service = %service.object.key, ?error, "what is refused cannot be told before the walk");
        }
    }

    /// The Service as this pass has written it last.
    fn latest(&self, service: &Versioned<Service>) -> Versioned<Service> {
        let written = self.written.iter().rev().find_map(|written| match written {
            Written::Service(written) if written.object.uid == service.object.uid => Some(written.clone()),
            Written::Service(_) | Written::Record(_) | Written::RecordDeleted(..) | Written::Pod(_) => None,
        });
        written.unwrap_or_else(|| service.clone())
    }

    /// Writes the statuses that a walk has led to: of those who are served.
    pub(super) async fn report<P: Provider>(
        &mut self,
        provider: &P,
        seats: &[Seat<'_>],
        class: &Class,
        desired: &Desired,
        walked: Walked<P::State>,
    ) -> Result<Verdict, Interrupted> {
        let Some(state) = walked.state else {
            let error = match walked.end {
                End::Failed(error) => error,
                End::Settled | End::Waiting(_) | End::Clearing(_) | End::Refused(_) => return Ok(Verdict::Retry),
                End::RecordLost(error) => return Err(error.into()),
                End::Stopped(stopped) => return Err(stopped.into()),
            };
            for seat in seats {
                let accepted = accepted(class, desired, &seat.service.object);
                self.failed_unseen(&seat.service, accepted, &error).await?;
            }
            return Ok(verdict_of(&error.kind));
        };
        let whole = provider.outcome(Some(&desired.load_balancer), &state);
        let found = found(&walked.end, whole)?;
        let mut is_news = false;
        let mut result = Ok(());
        for seat in seats {
            let told = self.report_to(seat, class, desired, &found).await;
            is_news |= *told.as_ref().unwrap_or(&false);
            result = result.and(told.map(drop));
        }
        result?;
        if found.failure.is_some_and(|error| seats.iter().all(|seat| self.is_passing(error, &seat.service))) {
            return Ok(Verdict::Retry);
        }
        if is_news && let Some(next) = once_told(provider, desired, seats, &found.outcome, &state) {
            let hinted = hint(provider, &desired.load_balancer, &next, self.gate).await;
            if found.verdict == Verdict::Done && (hinted.is_err() || !next.steps.iter().all(Step::is_hint)) {
                return Ok(Verdict::Again);
            }
        }
        Ok(found.verdict)
    }

    /// Writes one status. Whether its addresses are news.
    async fn report_to(
        &mut self,
        seat: &Seat<'_>,
        class: &Class,
        desired: &Desired,
        found: &Findings<'_>,
    ) -> Result<bool, Interrupted> {
        let Seat { service, claimed } = seat;
        if found.failure.is_some_and(|error| self.is_passing(error, service)) {
            return Ok(false);
        }
        let uid = &service.object.uid;
        let refused_ports = desired.refused_ports.get(uid).map(Vec::as_slice).unwrap_or_default();
        let of_desire = desired.warnings.get(uid).into_iter().flatten().cloned();
        let of_outcome = found.outcome.warnings.iter().filter(|(of, _)| of == uid).map(|(_, warning)| warning.clone());
        let of_claim = claimed.warnings.iter().map(ClaimWarning::warning);
        let warnings: Vec<Warning> = of_claim.chain(of_desire).chain(of_outcome).collect();
        let accepted = match &found.refusal {
            Some(refusal) => status::refused(refusal),
            None => accepted(class, desired, &service.object),
        };
        let outcome = self.for_member(&service.object, &desired.load_balancer, &found.outcome).await;
        let findings = status::Findings { accepted, refused_ports, warnings: &warnings, outcome: &outcome };
        let status = status::status(&service.object, &findings, &self.reconciler.now());
        let is_news = status.ingress != service.object.ingress;
        self.write_status(service, &status, &warnings).await?;
        Ok(is_news)
    }

    /// What the outcome of the whole means for one of its Services.
    async fn for_member(&self, service: &Service, whole: &LoadBalancer, outcome: &Outcome) -> Outcome {
        let mut outcome = status::of_member(service, whole, outcome);
        // As long as this load balancer has nothing to offer, clients go on using the one that the Service comes from.
        let left = self.own_records().find(|record| record.id != self.snapshot.id && record.names(&service.uid));
        if let (Some(left), []) = (left, outcome.published.as_slice()) {
            match self.standing(left, service).await {
                Ok(standing) if standing.listening.iter().any(|(uid, _)| *uid == service.uid) => {
                    (outcome.published, outcome.listening) = (standing.published, standing.listening);
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::debug!(balancer = %left.id, %error, "what exists cannot be looked at; the status stays");
                    outcome.published = addresses::published(service);
                    let told = service.ingress.iter().flat_map(|ingress| &ingress.ports);
                    let served = told.filter(|port| port.error.is_none());
                    outcome.listening = served
                        .map(|port| (service.uid.clone(), PortKey { port: port.port, protocol: port.protocol }))
                        .collect();
                }
            }
        }
        outcome
    }

    /// What a record's load balancer goes on being for a Service that has not left it yet.
    pub(super) async fn standing(&self, record: &Record, service: &Service) -> Result<Outcome, Error> {
        let provider = self.reconciler.providers.of_record(record)?;
        with_provider!(provider, provider => {
            let mut outcome = provider.outcome(None, &observe(&provider, &record.known()).await?);
            status::in_order_of(service, &mut outcome.published);
            Ok(outcome)
        })
    }

    /// The record of what a Service has elsewhere, and keeps until it is served here. What another class has made goes, whatever becomes of
    /// the Service, and may be gone already.
    fn left_behind(&self, service: &Service) -> Option<&Record> {
        let classes = &self.reconciler.classes;
        let own: Vec<&Record> = self.own_records().collect();
        let wants = class_of(service, &own, classes);
        own.into_iter().find(|record| record.names(&service.uid) && Some(current_class(record, classes)) == wants)
    }

    /// Services of which nothing can be served. What exists of them stays, and the status goes on saying what that is.
    pub(super) async fn refused(
        &mut self,
        decision: &Decision,
        desired: &Desired,
        outcome: Option<&Outcome>,
    ) -> Result<Verdict, Interrupted> {
        let mut verdict = Verdict::Done;
        for (service, claimed) in decision.served() {
            let Some(refusal) = desired.refused.get(&service.object.uid) else { continue };
            // What upstream's finalizer was set for is gone; as long as the Service is refused nothing else would take it off.
            let service = self.latest(service);
            let service =
                &if Standard::of(&service.object, claimed.by, None, &self.reconciler.classes) == Standard::Take {
                    self.mark(service.clone(), claimed.by).await?
                } else {
                    service.clone()
                };
            let accepted = status::refused(refusal);
            let elsewhere = self.left_behind(&service.object).cloned();
            let outcome = match outcome {
                Some(outcome) if decision.has_joined(&service.object) => {
                    self.for_member(&service.object, &desired.load_balancer, outcome).await
                }
                Some(_) | None => match elsewhere {
                    None => status::nothing_requested(),
                    Some(record) => match self.standing(&record, &service.object).await {
                        Ok(outcome) => outcome,
                        Err(error) => {
                            tracing::debug!(balancer = %record.id, %error, "what exists cannot be looked at");
                            self.only(service, &[(ConditionType::Accepted, accepted)]).await?;
                            verdict = sooner(verdict, verdict_of(&error.kind));
                            continue;
                        }
                    },
                },
            };
            let refused_ports: Vec<_> =
                refusal.reasons.iter().filter(|refused| refused.port.is_some()).cloned().collect();
            let findings =
                status::Findings { accepted, refused_ports: &refused_ports, warnings: &[], outcome: &outcome };
            let status = status::status(&service.object, &findings, &self.reconciler.now());
            let mut published = outcome.published.clone();
            published.sort();
            if decision.has_joined(&service.object) && addresses::published(&service.object) != published {
                // Which endpoints may follow is judged by what clients are told.
                verdict = sooner(verdict, Verdict::Again);
            }
            self.write_status(service, &status, &[]).await?;
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
    ) -> Result<(), Interrupted> {
        if !self.is_passing(error, service) {
            let programmed = Finding::no(error.reason, error.message.clone());
            self.only(service, &[(ConditionType::Accepted, accepted), (ConditionType::Programmed, programmed)]).await?;
        }
        Ok(())
    }
}

/// What the end of a walk adds to what the provider says.
fn found(end: &End, mut outcome: Outcome) -> Result<Findings<'_>, Interrupted> {
    let (mut refusal, mut failure) = (None, None);
    let verdict = match end {
        End::Settled => Verdict::Done,
        End::Waiting(wait) => {
            outcome.programmed = Finding::no(Reason::Provisioning, wait.on.clone());
            Verdict::WaitAtMost(wait.at_most)
        }
        // Whoever is served as desired is not told how long it takes until that is gone which
        // serves nobody any more.
        End::Clearing(wait) => Verdict::WaitAtMost(wait.at_most),
        End::Failed(error) => {
            failure = Some(error);
            blame(&mut outcome, error);
            verdict_of(&error.kind)
        }
        End::Refused(why) => {
            let reason = why.reason();
            if reason.hop() == ConditionType::Accepted {
                refusal = Some(why.clone());
            } else {
                blame(&mut outcome, &Error::terminal(reason, why.to_string()));
            }
            Verdict::Done
        }
        End::RecordLost(error) => return Err(Interrupted::from(error)),
        End::Stopped(_) => return Err(Interrupted::Stopped),
    };
    // Also where nothing more can be done: what was begun before may become ready, and nobody else would wake the key.
    let verdict = match (verdict, &outcome.wait) {
        (Verdict::Done, Some(wait)) => Verdict::WaitAtMost(wait.at_most),
        (verdict, _) => verdict,
    };
    Ok(Findings { outcome, refusal, failure, verdict })
}

/// The verdict on a Service that is served, perhaps without any port.
fn accepted(class: &Class, desired: &Desired, service: &Service) -> Finding {
    let refused_ports = desired.refused_ports.get(&service.uid).map(Vec::as_slice).unwrap_or_default();
    if desired.load_balancer.listeners.iter().any(|listener| listener.service == service.uid) {
        status::accepted(class.name.as_str(), refused_ports)
    } else {
        status::refused(&Refusal { reasons: refused_ports.to_vec() })
    }
}

/// What is published decides what a replace may take away: now that this is told, something may be left to do. That holds also when
/// nothing was published before, since a predecessor that never came so far must go like any other. Nobody else would wake the key:
/// the write is our own. And who goes by what is published is told so at once.
fn once_told<P: Provider>(
    provider: &P,
    desired: &Desired,
    seats: &[Seat<'_>],
    outcome: &Outcome,
    state: &P::State,
) -> Option<Plan<P::Step>> {
    let members = &desired.load_balancer.members;
    let mut told = LoadBalancer { published: outcome.published.clone(), ..desired.load_balancer.clone() };
    if members.len() > seats.len() {
        // Those who are held have been told nothing new.
        told.published.extend(desired.load_balancer.published.iter().cloned());
    }
    told.published.sort();
    told.published.dedup();
    provider.plan(Some(&told), state).ok()
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
