//! From what exists to what is desired. An address that somebody asks for in place of another is recorded and published before the other one
//! is given back.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;
use portolan_core::balancer::{Family, LoadBalancer, Member, SourceRanges};
use portolan_core::ids::{Instance, Uid};
use portolan_core::provider::Plan;

use crate::allocation::{Allotted, Denied};
use crate::backing::backing;
use crate::pool::Checked;
use crate::state::{State, is_published};
use crate::step::Step;
use crate::vip::{Served, Vip};
use crate::wish::Wish;

/// What a load balancer comes to: what it keeps, what it lacks, and what it was told about that.
pub(crate) struct Standing<'a> {
    /// What it asks for.
    pub(crate) wish: Wish,
    /// What it has of that.
    pub(crate) kept: BTreeMap<Family, &'a Vip>,
    /// What it was told, if it has asked for just this.
    pub(crate) given: Option<&'a Result<Vec<Allotted>, Denied>>,
}

impl<'a> Standing<'a> {
    /// None if nobody is served, so that all stays as it is.
    pub(crate) fn of(desired: &LoadBalancer, state: &'a State) -> Option<Self> {
        let mut wish = Wish::of(desired, &state.vips)?;
        if !desired.held.is_empty() && !state.vips.is_empty() {
            // Of those who may not be touched the addresses are not, either.
            wish.requested = state.vips.iter().map(|vip| vip.address).collect();
            wish.families = wish.requested.iter().map(|address| Family::of(*address)).collect();
            (wish.pool, wish.scheme) = (None, None);
        }
        let (published, others): (Vec<&Vip>, Vec<&Vip>) = state.vips.iter().partition(|vip| is_published(desired, vip));
        let kept = wish.kept(published.into_iter().chain(others), &state.pools);
        let given = state.answer.as_ref().filter(|answer| answer.wish == wish).map(|answer| &answer.given);
        Some(Self { wish, kept, given })
    }

    fn lacks_any(&self) -> bool {
        self.wish.families.iter().any(|family| !self.kept.contains_key(family))
    }

    /// It has all that it wants, or all that it can get of what it would rather have.
    pub(crate) fn is_complete(&self) -> bool {
        let has = |allotted: &Allotted| self.kept.values().any(|vip| vip.address == allotted.address);
        !self.lacks_any()
            || !self.wish.all_families
                && !self.kept.is_empty()
                && matches!(self.given, Some(Ok(given)) if given.iter().all(has))
    }

    /// Two controllers have recorded an address for him at the same time, this one and the one that he keeps here, and neither is published yet. The
    /// other controller may keep this one: none is given back before it is seen which of them has got into the status.
    fn is_undecided(&self, desired: &LoadBalancer, vip: &Vip, pools: &[Checked]) -> bool {
        let is_never_published = self.wish.all_families && matches!(self.given, Some(Err(_)));
        let kept = self.kept.get(&Family::of(vip.address));
        kept.is_some_and(|kept| !is_published(desired, kept)) && !is_never_published && self.wish.fits(vip, pools)
    }

    /// It keeps or gets this address.
    fn wants(&self, address: IpAddr) -> bool {
        let given = self.given.and_then(|given| given.as_ref().ok());
        self.kept.values().any(|vip| vip.address == address)
            || given.is_some_and(|given| given.iter().any(|allotted| allotted.address == address))
    }
}

/// The steps from `state` to `desired`.
pub(crate) fn plan(instance: &Instance, desired: Option<&LoadBalancer>, state: &State) -> Plan<Step> {
    let Some(desired) = desired else { return Plan { steps: removal(state) } };
    let withdrawal = || state.is_asking.then_some(Step::Withdraw);
    let Some(standing) = Standing::of(desired, state) else {
        // What those ask who may not be touched binds nobody. What they have goes on following its endpoints, and may have been published since.
        // Who is leaving is known until he is served nowhere: what is said of the others leaves him out.
        let mut named = state.vips.iter().flat_map(|vip| &vip.services);
        let is_whole = !state.vips.is_empty() && named.all(|served| desired.members.contains(&served.member));
        let told = is_whole.then(|| tell(desired, state)).flatten();
        return Plan { steps: told.into_iter().chain(withdrawal()).collect() };
    };
    let mut steps = Vec::new();
    if standing.lacks_any() {
        match standing.given {
            None => return Plan { steps: vec![Step::Ask { wish: Box::new(standing.wish) }] },
            Some(Ok(given)) => {
                let missing =
                    given.iter().filter(|allotted| state.vips.iter().all(|vip| vip.address != allotted.address));
                steps.extend(missing.map(|allotted| claim(instance, desired, &standing.wish, allotted)));
            }
            // One half that nobody was told of is of no use to him, and may be to others.
            Some(Err(_)) if standing.wish.all_families => {
                let halves = standing.kept.values().filter(|vip| !is_published(desired, vip));
                steps.extend(halves.map(|vip| Step::Release { address: vip.address }));
            }
            Some(Err(_)) => {}
        }
    } else {
        // He may have asked for something else meanwhile.
        steps.extend(withdrawal());
    }
    let released: BTreeSet<IpAddr> = steps.iter().filter_map(released).collect();
    for vip in state.vips.iter().filter(|vip| !released.contains(&vip.address)) {
        let services = services(desired, Some(vip));
        // Of an address on its way out, and of those who may not be touched, it stays what it was asked for as.
        let is_asked_for = standing.wants(vip.address) && desired.held.is_empty();
        let scheme = if is_asked_for { desired.scheme } else { vip.scheme };
        let ranges = if desired.held.is_empty() { source_ranges(desired) } else { vip.source_ranges.clone() };
        if !standing.wants(vip.address) && !is_published(desired, vip) {
            if !standing.is_undecided(desired, vip, &state.pools) {
                steps.push(Step::Release { address: vip.address });
            }
        } else if (&services, scheme, &ranges) != (&vip.services, vip.scheme, &vip.source_ranges) {
            steps.push(Step::Update { vip: Box::new(Vip { services, scheme, source_ranges: ranges, ..vip.clone() }) });
        }
    }
    if has_any(state, &steps) {
        // First, so that nothing which fails keeps it from being known.
        steps.splice(0..0, tell(desired, state));
    }
    Plan { steps }
}

/// What placement does not know yet.
fn tell(desired: &LoadBalancer, state: &State) -> Option<Step> {
    let backing = backing(desired, state.backing.as_deref());
    (state.backing.as_deref() != Some(&backing)).then(|| Step::Back { backing: Box::new(backing) })
}

/// It will have an address then.
fn has_any(state: &State, steps: &[Step]) -> bool {
    let count = |is: fn(&Step) -> bool| steps.iter().filter(|step| is(step)).count();
    let released = count(|step| released(step).is_some());
    state.vips.len() + count(|step| matches!(step, Step::Claim { .. })) > released
}

fn released(step: &Step) -> Option<IpAddr> {
    match step {
        Step::Release { address } => Some(*address),
        Step::Ask { .. } | Step::Withdraw | Step::Back { .. } | Step::Claim { .. } | Step::Update { .. } => None,
    }
}

fn removal(state: &State) -> Vec<Step> {
    // What placement was told goes with the last address, if there is any.
    let is_told = state.is_asking || state.backing.is_some() && state.vips.is_empty();
    let withdrawn = is_told.then_some(Step::Withdraw).into_iter();
    withdrawn.chain(state.vips.iter().map(|vip| Step::Release { address: vip.address })).collect()
}

fn claim(instance: &Instance, desired: &LoadBalancer, wish: &Wish, allotted: &Allotted) -> Step {
    let vip = Vip {
        instance: instance.clone(),
        holder: Some(desired.id.clone()),
        pool: allotted.pool.clone(),
        scheme: wish.scheme,
        services: services(desired, None),
        source_ranges: source_ranges(desired),
        ..Vip::of_nobody(allotted.address)
    };
    Step::Claim { vip: Box::new(vip) }
}

fn source_ranges(desired: &LoadBalancer) -> Vec<IpNet> {
    match &desired.source_ranges {
        SourceRanges::All => Vec::new(),
        SourceRanges::Only(ranges) => ranges.iter().copied().collect::<BTreeSet<_>>().into_iter().collect(),
    }
}

/// Who is served at an address: those who may not be touched as before, the others with their ports.
fn services(desired: &LoadBalancer, before: Option<&Vip>) -> Vec<Served> {
    let before_of = |uid: &Uid| before?.services.iter().find(|served| served.member.uid == *uid).cloned();
    let ports = |uid: &Uid| desired.listeners.iter().filter(|of| of.service == *uid).map(|of| of.key).collect();
    let of = |member: &Member| {
        if desired.held.contains(&member.uid) {
            before_of(&member.uid)
        } else {
            Some(Served { member: member.clone(), ports: ports(&member.uid) })
        }
    };
    desired.members.iter().filter_map(of).collect()
}
