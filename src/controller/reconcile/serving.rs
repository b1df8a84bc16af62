//! The way out: desire, marks, record, plan, status; for one Service, or for several that share a load balancer.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use portolan_core::balancer::{Family, LoadBalancer, Published};
use portolan_core::claim::{Claimed, NotOurs};
use portolan_core::class::Class;
use portolan_core::desire::{self, Candidate, Desired, Hold, Settings, addresses, desire};
use portolan_core::gates::{self, Finding};
use portolan_core::ids::{LoadBalancerId, Uid};
use portolan_core::provider::{Error, Outcome, Provider};
use portolan_core::record::{Joined, Record, Records, RecordsError};
use portolan_core::share::{self, Share};
use portolan_core::snapshot::{Service, Snapshot, Versioned};

use super::report::verdict_of;
use super::{Interrupted, Pass};
use crate::cluster::namespaces;
use crate::cluster::queue::Verdict;
use crate::controller::decision::{Decision, Role};
use crate::controller::index::Written;
use crate::controller::walk::{End, Walked, observe, walk};
use crate::planted::{Bug, fresh, planted};

/// A Service that is served.
pub(super) struct Seat<'a> {
    /// As it was written last.
    pub(super) service: Versioned<Service>,
    pub(super) claimed: &'a Claimed,
}

/// Who leaves.
#[derive(Default)]
struct Departures {
    /// Those who need nothing here any more.
    gone: BTreeSet<Uid>,
    /// Of somebody the status says neither of the two load balancers.
    unclear: bool,
}

impl Pass<'_> {
    /// Serves those who are to be served, and lets go of those who are not any more.
    pub(super) async fn serve<P: Provider>(
        &mut self,
        provider: &P,
        decision: &Decision,
        class: &Class,
    ) -> Result<Verdict, Interrupted> {
        provider.is_ready().await;
        self.bequeathed = self.bequeathed(decision).await?;
        let Departures { gone, unclear } = self.departures(provider, decision, class).await?;
        let mut candidates = candidates(self.snapshot, decision, &gone);
        if candidates.is_empty() {
            return self.clean_up(decision, decision.record.as_ref()).await;
        }
        let mut seats: Vec<Seat<'_>> = Vec::new();
        let mut unmarked = None;
        let desired = 'marked: loop {
            let desired = self.desire(provider, decision, class, &candidates);
            for (service, claimed) in decision.served() {
                let uid = &service.object.uid;
                if !is_served(&desired, uid) || seats.iter().any(|seat| &seat.service.object.uid == uid) {
                    continue;
                }
                match self.mark(service.clone(), claimed.by).await {
                    Ok(service) => seats.push(Seat { service, claimed }),
                    Err(Interrupted::Stopped) => return Err(Interrupted::Stopped),
                    // The others need not wait for it.
                    Err(error) => {
                        candidates.retain(|candidate| &candidate.member.uid != uid || candidate.joined);
                        let own = candidates.iter_mut().find(|candidate| &candidate.member.uid == uid);
                        own.into_iter().for_each(|candidate| candidate.held = Some(Hold::Kept));
                        unmarked.get_or_insert(error);
                        continue 'marked;
                    }
                }
            }
            break desired;
        };
        seats.retain(|seat| is_served(&desired, &seat.service.object.uid));
        let verdict = self.walk_there(provider, decision, class, &desired, &mut seats).await;
        let verdict = verdict.map(|verdict| if unclear { sooner(verdict, Verdict::Retry) } else { verdict });
        match unmarked {
            Some(error) => verdict.and(Err(error)),
            None => verdict,
        }
    }

    /// Marks are on: record, plan, status.
    async fn walk_there<P: Provider>(
        &mut self,
        provider: &P,
        decision: &Decision,
        class: &Class,
        desired: &Desired,
        seats: &mut [Seat<'_>],
    ) -> Result<Verdict, Interrupted> {
        let wanted = &desired.load_balancer;
        if seats.is_empty()
            && wanted.members.is_empty()
            && let Some(record) = &decision.record
        {
            // Those who are left would join and may not: nobody has anything here any more.
            return Ok(match self.clean_up(decision, Some(record)).await? {
                Verdict::Done | Verdict::Forgotten => self.refused(decision, desired, None).await?,
                verdict @ (Verdict::Again | Verdict::Retry | Verdict::WaitAtMost(_)) => verdict,
            });
        }
        let mut record = decision.record.clone();
        let mut left = Verdict::Done;
        if let Some(own) = &decision.record
            && own.members.iter().any(|joined| !wanted.members.contains(&joined.member))
        {
            // By itself, so that nobody's leaving waits for the trouble of those who stay.
            let (after, verdict) = self.let_go(provider, decision, own, desired).await?;
            (record, left) = (Some(Arc::new(after)), verdict);
        }
        if seats.is_empty() {
            // Nobody may be served, so nothing is changed; but what exists is still looked at, and follows its endpoints.
            let Some(record) = record else {
                return Ok(sooner(left, self.refused(decision, desired, None).await?));
            };
            let mut record = Record::clone(&record);
            let seen = if wanted.following.is_empty() {
                observe(provider, &record.known()).await
            } else {
                let walked = self.walk_under(provider, wanted, &mut record).await;
                match (walked.end, walked.state) {
                    (End::Failed(error), _) => Err(error),
                    (End::RecordLost(error), _) => return Err(error.into()),
                    (End::Stopped(stopped), _) => return Err(stopped.into()),
                    (End::Settled | End::Waiting(_) | End::Clearing(_) | End::Refused(_), Some(state)) => Ok(state),
                    (End::Settled | End::Waiting(_) | End::Clearing(_) | End::Refused(_), None) => {
                        observe(provider, &record.known()).await
                    }
                }
            };
            return match seen {
                Ok(state) => {
                    let outcome = provider.outcome(Some(wanted), &state);
                    let refused = self.refused(decision, desired, Some(&outcome)).await?;
                    let found = self.gate_findings(provider, wanted, &outcome);
                    let gates = self.tell_pods(&found).await;
                    let wait = outcome.wait.map_or(Verdict::Done, |wait| Verdict::WaitAtMost(wait.at_most));
                    Ok(sooner(sooner(left, gates), sooner(refused, wait)))
                }
                Err(error) => {
                    let refused = self.refused(decision, desired, None).await?;
                    Ok(sooner(left, sooner(refused, verdict_of(&error.kind))))
                }
            };
        }
        let mut record = self.record(record.as_deref(), class, desired, seats).await?;
        if planted(Bug::MadeAnew) && fresh(false) {
            walk(provider, None, &mut record, &self.reconciler.records, false, self.gate).await;
        }
        self.tell_refusals(decision, class, desired, seats).await;
        let walked = self.walk_under(provider, wanted, &mut record).await;
        self.written.push(Written::Record(Arc::new(record)));
        let before = self.written.len();
        let (refused, found) = match &walked.state {
            Some(state) => {
                let outcome = provider.outcome(Some(wanted), state);
                let refused = self.refused(decision, desired, Some(&outcome)).await;
                (refused, self.gate_findings(provider, wanted, &outcome))
            }
            None => (self.refused(decision, desired, None).await, Vec::new()),
        };
        let reported = self.report(provider, seats, class, desired, walked).await;
        // Nobody has touched a Service whose status was written: nobody has had a reason to remove its record.
        let was_written = |seat: &Seat<'_>| {
            self.written.iter().skip(before).any(|written| match written {
                Written::Service(service) => service.object.key == seat.service.object.key,
                Written::Record(_) | Written::RecordDeleted(..) | Written::Pod(_) => false,
            })
        };
        if seats.iter().any(was_written) {
            self.unproven = None;
        }
        let (refused, reported) = (refused?, reported?);
        let gates = self.tell_pods(&found).await;
        Ok(sooner(sooner(left, gates), sooner(refused, reported)))
    }

    /// What pods that wait for this load balancer do not know yet.
    fn gate_findings<P: Provider>(&self, provider: &P, wanted: &LoadBalancer, outcome: &Outcome) -> Vec<Finding> {
        if provider.capabilities().readiness_gates {
            gates::findings(wanted, outcome, &self.snapshot.gated)
        } else {
            gates::unanswered(wanted, &self.snapshot.gated)
        }
    }

    /// Walks to `wanted` under this record, of which it must be certain in the end that nobody has removed it meanwhile.
    async fn walk_under<P: Provider>(
        &mut self,
        provider: &P,
        wanted: &LoadBalancer,
        record: &mut Record,
    ) -> Walked<P::State> {
        let is_new = self.snapshot.record.is_none();
        let walked = walk(provider, Some(wanted), record, &self.reconciler.records, is_new, self.gate).await;
        if walked.acted {
            self.unproven = Some(record.clone());
        }
        walked
    }

    fn desire<P: Provider>(
        &self,
        provider: &P,
        decision: &Decision,
        class: &Class,
        candidates: &[Candidate<'_>],
    ) -> Desired {
        let settings = &self.reconciler.settings;
        let mut desired = desired(self.snapshot, decision, settings, class, provider, candidates);
        if provider.capabilities().requested_addresses && desired.load_balancer.requested.is_empty() {
            desired.load_balancer.requested = self.inherited(&desired.load_balancer);
        }
        desired
    }

    /// The addresses that a Service brings along which moves as the only one of its load balancer to be the only one here: whoever founds
    /// a share, or is the last to leave one, has asked for no other address.
    fn inherited(&self, wanted: &LoadBalancer) -> Vec<IpAddr> {
        if wanted.members.len() > 1 || !wanted.held.is_empty() {
            return Vec::new();
        }
        let address = |published: &Published| match published {
            Published::Ip { ip, mode: _ } => Some(*ip).filter(|ip| wanted.families.contains(&Family::of(*ip))),
            Published::Hostname { .. } => None,
        };
        self.bequeathed.iter().filter_map(address).collect()
    }

    /// What the load balancer offers that a Service leaves alone for this one: asked of the provider, because anybody may have written the
    /// status.
    async fn bequeathed(&self, decision: &Decision) -> Result<Vec<Published>, Interrupted> {
        let mut served = decision.served();
        let (Some((service, _)), None) = (served.next(), served.next()) else { return Ok(Vec::new()) };
        let is_only = |record: &&Record| record.members.iter().all(|one| one.member.uid == service.object.uid);
        let left = self.own_records().find(|record| record.id != self.snapshot.id && record.names(&service.object.uid));
        match left.filter(is_only) {
            Some(left) if decision.record.as_deref().is_none_or(|record| is_only(&record)) => {
                let standing = self.standing(left, &service.object).await;
                standing.map(|outcome| outcome.published).map_err(|error| Interrupted::Failed(error.to_string(), None))
            }
            Some(_) | None => Ok(Vec::new()),
        }
    }

    /// Which of the Services that have arrived at another load balancer need this one no more: clients are told of the other one, or it
    /// waits for an address that they have here, because it is asked for by name or [`Self::inherited`]. An address that those who
    /// stay go on with is not waited for: whoever asks for it keeps what it has.
    async fn departures<P: Provider>(
        &self,
        provider: &P,
        decision: &Decision,
        class: &Class,
    ) -> Result<Departures, Interrupted> {
        let arrived = |(service, role): &(Versioned<Service>, Role)| match role {
            Role::Moving { joined: true } => Some(service.object.clone()),
            Role::Moving { joined: false }
            | Role::Gone
            | Role::Stranger(_)
            | Role::Kept(_)
            | Role::Leaving(_)
            | Role::Served(_) => None,
        };
        let arrived: Vec<_> = decision.services.iter().filter_map(arrived).collect();
        let mut departures = Departures::default();
        if arrived.is_empty() {
            return Ok(departures);
        }
        let known = decision.known(&self.snapshot.id);
        let state = observe(provider, &known).await.map_err(|error| Interrupted::Failed(error.to_string(), None))?;
        let all = self.desire(provider, decision, class, &candidates(self.snapshot, decision, &BTreeSet::new()));
        let Outcome { published, .. } = provider.outcome(Some(&all.load_balancer), &state);
        let all_arrived = arrived.iter().map(|service| service.uid.clone()).collect();
        let rest = candidates(self.snapshot, decision, &all_arrived);
        let rest = self.desire(provider, decision, class, &rest).load_balancer;
        let is_here =
            |ip: &IpAddr| published.iter().any(|own| matches!(own, Published::Ip { ip: own, .. } if own == ip));
        let settled = decision.record.as_ref().and_then(|record| record.terms.scheme.as_ref());
        let same_scheme = rest.scheme.is_none_or(|scheme| settled.is_some_and(|settled| settled.value == scheme));
        let stays = !rest.members.is_empty() && same_scheme && rest.requested.iter().all(is_here);
        let only = |record: &Record| record.members.len() == 1;
        let gives = provider.capabilities().requested_addresses && decision.record.as_deref().is_some_and(only);
        for service in arrived {
            let told = addresses::published(&service);
            let is_told_of = |offered: &[Published]| told.iter().any(|told| offered.iter().any(|own| same(own, told)));
            let to = self.snapshot.placed.get(&service.key);
            let to = self.snapshot.other_records.iter().find(|record| Some(&record.id) == to);
            let bequeaths = gives && to.is_some_and(|record| only(record));
            let may_need_it = !bequeaths && !published.is_empty() && (stays || !addresses::asks_by_name(&service));
            if may_need_it && is_told_of(&published) {
                continue;
            }
            // Whoever has written into the status what neither of them offers has moved nobody. While the other one is replaced, it offers
            // more than is seen here: so this is looked at again.
            if let (true, Some(to)) = (may_need_it, to) {
                let there = self.standing(to, &service).await;
                let there = there.map_err(|error| Interrupted::Failed(error.to_string(), None))?;
                if !is_told_of(&there.published) {
                    departures.unclear = true;
                    continue;
                }
            }
            departures.gone.insert(service.uid.clone());
        }
        Ok(departures)
    }

    /// Writes the record, before the first external effect; or brings it up to date. Those who leave stay in it until the last.
    async fn record(
        &mut self,
        own: Option<&Record>,
        class: &Class,
        desired: &Desired,
        seats: &[Seat<'_>],
    ) -> Result<Record, Interrupted> {
        self.gate.check()?;
        let mut members: Vec<Joined> = own.map(|record| record.members.clone()).unwrap_or_default();
        for member in &desired.load_balancer.members {
            let Some(seat) = seats.iter().find(|seat| seat.service.object.uid == member.uid) else { continue };
            let joined = Joined { member: member.clone(), claimed_by: seat.claimed.by };
            match members.iter_mut().find(|other| other.member.uid == member.uid) {
                Some(other) => *other = joined,
                None => members.push(joined),
            }
        }
        let wanted = Record {
            id: self.snapshot.id.clone(),
            version: own.and_then(|record| record.version.clone()),
            instance: self.reconciler.classes.instance.clone(),
            class: class.name.clone(),
            aliases: class.aliases.clone(),
            share: own.and_then(|record| record.share.clone()).or_else(|| founded(&self.snapshot.id, seats)),
            provider: class.provider.clone(),
            parameters: class.parameters.clone(),
            members,
            terms: desired.terms.clone(),
            external: own.map(|record| record.external.clone()).unwrap_or_default(),
        };
        let records = &self.reconciler.records;
        let stored = match own {
            Some(own) if own.same_content(&wanted) => return Ok(wanted),
            Some(_) => records.replace(&wanted).await?,
            // Whoever founds a share decides for good with whom it is not: that must not rest on what is not yet known.
            None if wanted.share.is_some()
                && namespaces::consents(&self.reconciler.client).await? != *self.snapshot.all_consents =>
            {
                return Err(Interrupted::Overtaken);
            }
            // To ask may have taken longer than we lead.
            None if self.gate.check().is_err() => return Err(Interrupted::Stopped),
            None if planted(Bug::RecordLate) => return Ok(wanted),
            None => match records.create(&wanted).await {
                Ok(created) => created,
                Err(RecordsError::Exists(_)) => return Err(self.reread_record().await),
                Err(error) => return Err(error.into()),
            },
        };
        tracing::debug!(balancer = %stored.id, "record written");
        self.written.push(Written::Record(Arc::new(stored.clone())));
        Ok(stored)
    }

    /// The index has not seen a record that the server has: show it, and look again.
    async fn reread_record(&mut self) -> Interrupted {
        match self.reconciler.records.get(&self.snapshot.id).await {
            Ok(Some(record)) if record.belongs_to(&self.reconciler.classes.instance) => {
                self.written.push(Written::Record(Arc::new(record)));
                Interrupted::Overtaken
            }
            Ok(Some(record)) => Interrupted::Failed(
                format!(
                    "record {} is in the way: it belongs to instance {:?}, but has a name of ours; delete it if nobody needs it",
                    record.id,
                    record.instance.as_str()
                ),
                None,
            ),
            Ok(None) => Interrupted::Overtaken,
            Err(error) => error.into(),
        }
    }

    /// Others go on sharing; those who leave lose their place in the record, once nothing of theirs is left, and then their marks. The
    /// record as it is then.
    async fn let_go<P: Provider>(
        &mut self,
        provider: &P,
        decision: &Decision,
        own: &Record,
        Desired { load_balancer: wanted, terms, .. }: &Desired,
    ) -> Result<(Record, Verdict), Interrupted> {
        let leaving: Vec<_> = decision.leaving().filter(|(service, _)| own.names(&service.object.uid)).collect();
        let members: Vec<_> = wanted.members.iter().filter(|member| own.names(&member.uid)).cloned().collect();
        let held = members.iter().map(|member| member.uid.clone()).collect();
        let without = LoadBalancer { members, held, listeners: Vec::new(), requested: Vec::new(), ..wanted.clone() };
        let mut record = own.clone();
        let end = self.walk_under(provider, &without, &mut record).await.end;
        let told = since(&record);
        let error = match end {
            End::Settled => {
                self.gate.check()?;
                record.members.retain(|joined| wanted.members.contains(&joined.member));
                record.terms.clone_from(terms);
                let stored = self.reconciler.records.replace(&record).await?;
                self.unproven = None;
                self.written.push(Written::Record(Arc::new(stored.clone())));
                for (service, why) in leaving {
                    self.tell_left(service, told.clone()).await;
                    self.release(service, Some(own), Some(&stored), why).await?;
                }
                return Ok((stored, Verdict::Done));
            }
            End::Waiting(wait) | End::Clearing(wait) => return Ok((record, Verdict::WaitAtMost(wait.at_most))),
            End::Failed(error) => error,
            End::Refused(refusal) => Error::terminal(refusal.reason(), refusal.to_string()),
            End::RecordLost(error) => return Err(error.into()),
            End::Stopped(stopped) => return Err(stopped.into()),
        };
        let services: Vec<_> = leaving.iter().map(|(service, _)| *service).collect();
        let verdict = self.not_removed(&error, &services, told).await?;
        Ok((record, verdict))
    }
}

/// The one after which the key comes back sooner.
pub(super) fn sooner(one: Verdict, other: Verdict) -> Verdict {
    let urgency = |verdict: &Verdict| match verdict {
        Verdict::Again => 0,
        Verdict::Retry => 1,
        Verdict::WaitAtMost(_) => 2,
        Verdict::Done => 3,
        Verdict::Forgotten => 4,
    };
    match (one, other) {
        (Verdict::WaitAtMost(one), Verdict::WaitAtMost(other)) => Verdict::WaitAtMost(one.min(other)),
        (one, other) => {
            if urgency(&one) <= urgency(&other) {
                one
            } else {
                other
            }
        }
    }
}

/// When the record was last news: two departures are two pieces of news.
pub(super) fn since(record: &Record) -> String {
    record.version.as_ref().map(ToString::to_string).unwrap_or_default()
}

/// The share that a load balancer's id speaks of, from the Services that found it.
fn founded(id: &LoadBalancerId, seats: &[Seat<'_>]) -> Option<Share> {
    let service = &seats.first()?.service.object;
    let name = share::asked(service)?.ok()?;
    share::of_id(id, &name)
}

/// What these candidates come to.
pub(crate) fn desired(
    snapshot: &Snapshot,
    decision: &Decision,
    settings: &Settings,
    class: &Class,
    provider: &impl Provider,
    candidates: &[Candidate<'_>],
) -> Desired {
    let before = decision.record.as_ref().map(|record| &record.terms);
    let desired = desire(&desire::Input {
        id: &snapshot.id,
        class,
        capabilities: provider.capabilities(),
        dialect: provider.dialect(),
        candidates,
        nodes: &snapshot.nodes,
        terms: before,
        settings,
        consents: &snapshot.consents,
    });
    let known = decision.services.iter().map(|(service, _)| (&service.object.uid, &service.version));
    let joins = |(uid, _): &(&Uid, _)| desired.load_balancer.members.iter().any(|member| &member.uid == *uid);
    let terms = desired.terms.clone().as_of(before, known.filter(joins));
    Desired { terms, ..desired }
}

/// Who may be behind the load balancer, in the order of joining.
pub(crate) fn candidates<'a>(
    snapshot: &'a Snapshot,
    decision: &'a Decision,
    moved_out: &BTreeSet<Uid>,
) -> Vec<Candidate<'a>> {
    let of = |(service, role): &'a (Versioned<Service>, Role)| {
        let joined = decision.has_joined(&service.object);
        let held = match role {
            Role::Served(_) => None,
            Role::Kept(_) | Role::Stranger(NotOurs::NamespaceNotWatched) if joined => Some(Hold::Kept),
            Role::Moving { .. } if joined && !moved_out.contains(&service.object.uid) => Some(Hold::Moving),
            Role::Kept(_) | Role::Stranger(_) | Role::Moving { .. } | Role::Gone | Role::Leaving(_) => return None,
        };
        Some(Candidate {
            member: desire::member(&service.object),
            service: Some(&service.object),
            slices: snapshot.slices_of(&service.object),
            gated: snapshot.gated_by(&service.object),
            joined,
            held,
        })
    };
    let unreadable = decision.unreadable.iter().map(|member| Candidate {
        member: member.clone(),
        service: None,
        slices: &[],
        gated: &[],
        joined: true,
        held: Some(Hold::Kept),
    });
    let mut candidates: Vec<Candidate<'a>> = decision.services.iter().filter_map(of).chain(unreadable).collect();
    let order = decision.record.iter().flat_map(|record| &record.members);
    let order: Vec<&Uid> = order.map(|joined| &joined.member.uid).collect();
    candidates
        .sort_by_key(|candidate| order.iter().position(|uid| **uid == candidate.member.uid).unwrap_or(order.len()));
    candidates
}

fn is_served(desired: &Desired, uid: &Uid) -> bool {
    let LoadBalancer { members, held, .. } = &desired.load_balancer;
    members.iter().any(|member| &member.uid == uid) && !held.contains(uid)
}

/// The same address or name; how packets arrive does not matter for that.
fn same(one: &Published, other: &Published) -> bool {
    match (one, other) {
        (Published::Ip { ip: one, mode: _ }, Published::Ip { ip: other, mode: _ }) => one == other,
        (Published::Hostname { hostname: one }, Published::Hostname { hostname: other }) => one == other,
        (Published::Ip { .. }, Published::Hostname { .. }) | (Published::Hostname { .. }, Published::Ip { .. }) => {
            false
        }
    }
}
