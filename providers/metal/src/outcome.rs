//! What the status says, from what is desired and what exists.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use portolan_core::balancer::{
    Family, IpMode, Listener, LoadBalancer, Member, PortKey, Protocol, Published, nobody_answers,
};
use portolan_core::ids::Uid;
use portolan_core::provider::{Outcome, Verdict};
use portolan_core::reason::Reason;
use portolan_core::status::{nothing_requested, unreachable};

use crate::allocation::{Denied, holding};
use crate::announcement::Announcement;
use crate::plan::Standing;
use crate::pool::Checked;
use crate::reach::{self, Reach};
use crate::state::{State, is_published};
use crate::vip::Vip;

/// MetalLB's word for the pool of an address, which dashboards read.
pub(crate) const ALLOCATED_FROM: &str = "metallb.io/ip-allocated-from-pool";

/// What the Services' status should say. An address is published as soon as it is recorded, because kube-proxy learns of it from the status
/// alone, and no half of what is wanted whole.
pub(crate) fn outcome(desired: Option<&LoadBalancer>, state: &State) -> Outcome {
    let standing = desired.and_then(|desired| Some((desired, Standing::of(desired, state)?)));
    let Some((desired, standing)) = standing else { return as_it_stands(state) };
    let is_complete = standing.is_complete();
    let vips: Vec<&Vip> = if is_complete {
        standing.wish.families.iter().filter_map(|family| standing.kept.get(family).copied()).collect()
    } else {
        state.vips.iter().filter(|vip| is_published(desired, vip)).collect()
    };
    let assigned = if is_complete {
        Verdict::yes(Reason::Assigned, told(&vips, &state.pools))
    } else {
        match standing.given {
            Some(Err(denied)) => Verdict::no(reason(denied), denied.to_string()),
            Some(Ok(_)) | None => Verdict::no(Reason::AddressPending, "no address is recorded yet"),
        }
    };
    Outcome {
        assigned,
        programmed: programmed(&vips, state),
        reachable: Some(match nobody_answers(&desired.listeners, &desired.nodes) {
            Some(reason) => unreachable(reason),
            None => reachable(None, &vips, state, &desired.listeners),
        }),
        reachable_of: reachable_of(desired, &vips, state),
        ..of(&vips)
    }
}

fn as_it_stands(state: &State) -> Outcome {
    if state.vips.is_empty() {
        return nothing_requested();
    }
    let vips: Vec<&Vip> = state.vips.iter().collect();
    Outcome {
        assigned: Verdict::yes(Reason::Assigned, told(&vips, &state.pools)),
        programmed: programmed(&vips, state),
        reachable: Some(reachable(None, &vips, state, &[])),
        ..of(&vips)
    }
}

/// Addresses in this order, and who is served there.
fn of(vips: &[&Vip]) -> Outcome {
    let published = |vip: &&Vip| Published::Ip { ip: vip.address, mode: IpMode::Vip };
    let listening: BTreeSet<(Uid, PortKey)> = vips.iter().flat_map(|vip| listening(vip)).collect();
    Outcome {
        published: vips.iter().map(published).collect(),
        listening: listening.into_iter().collect(),
        // There is one word for all addresses: the pool of the first.
        annotations: [(ALLOCATED_FROM, vips.first().and_then(|vip| Some(vip.pool.as_ref()?.to_string())))].into(),
        ..nothing_requested()
    }
}

fn listening(vip: &Vip) -> impl Iterator<Item = (Uid, PortKey)> {
    vip.services.iter().flat_map(|served| served.ports.iter().map(|port| (served.member.uid.clone(), *port)))
}

/// Each address, and what has become of its pool: nobody loses one because a pool was edited.
fn told(vips: &[&Vip], pools: &[Checked]) -> String {
    let of = |vip: &&Vip| match holding(pools, vip.address) {
        None => format!("{}, which is of no pool any more and is kept", vip.address),
        Some(Checked { pool, .. }) if pool.draining => {
            format!("{}, whose pool {} is being drained and which is kept", vip.address, pool.name)
        }
        Some(checked) if !checked.is_sound() => {
            format!("{}, whose pool {} is refused and which is kept", vip.address, checked.pool.name)
        }
        Some(_) => vip.address.to_string(),
    };
    vips.iter().map(of).collect::<Vec<_>>().join("; ")
}

/// Each address is announced; of others what keeps them is said, of a stranger first.
fn programmed(vips: &[&Vip], state: &State) -> Verdict {
    if vips.is_empty() {
        return Verdict::no(Reason::Provisioning, "there is no address to announce");
    }
    let unknown = Announcement::default();
    let of = |vip: &&Vip| (vip.address, state.announced.get(&vip.address).unwrap_or(&unknown));
    let all: Vec<(IpAddr, &Announcement)> = vips.iter().map(of).collect();
    let told = all.iter().map(|(address, announcement)| format!("{address} {announcement}")).collect::<Vec<_>>();
    let message = told.join("; ");
    if all.iter().any(|(_, announcement)| announcement.stranger().is_some()) {
        Verdict::no(Reason::AddressConflict, message)
    } else if all.iter().all(|(_, announcement)| announcement.is_announced()) {
        Verdict::yes(Reason::Programmed, message)
    } else {
        Verdict::no(Reason::NotAnnounced, message)
    }
}

/// Of each of several Services by itself: who has other ports may be reached otherwise.
fn reachable_of(desired: &LoadBalancer, vips: &[&Vip], state: &State) -> BTreeMap<Uid, Verdict> {
    let several = Some(&desired.members).filter(|members| members.len() > 1).into_iter().flatten();
    let of = |member: &Member| {
        let listeners: Vec<Listener> =
            desired.listeners.iter().filter(|listener| listener.service == member.uid).cloned().collect();
        let verdict = match nobody_answers(&listeners, &desired.nodes).filter(|_| !listeners.is_empty()) {
            Some(reason) => unreachable(reason),
            None => reachable(Some(&member.uid), vips, state, &listeners),
        };
        (member.uid.clone(), verdict)
    };
    several.map(of).collect()
}

/// By the ports of one Service, or of all. Those of which it is known that nobody is behind them are not looked at.
fn reachable(uid: Option<&Uid>, vips: &[&Vip], state: &State, listeners: &[Listener]) -> Verdict {
    let (unknown, deserted) = (Reach::default(), Reach::Deserted);
    let left_out = |vip: &Vip| {
        let is_left_out = state.left_out.get(&vip.address).is_some_and(|all| uid.is_some_and(|uid| all.contains(uid)));
        vip.ranks.owner().filter(|_| is_left_out).map(|owner| Reach::LeftOut(owner.clone()))
    };
    let left_out: BTreeMap<IpAddr, Reach> = vips.iter().filter_map(|vip| Some((vip.address, left_out(vip)?))).collect();
    let of = |vip: &&Vip| {
        let family = Family::of(vip.address);
        let is_deserted = |uid: &Uid, key: PortKey| {
            let own = |listener: &&Listener| listener.service == *uid && listener.key == key;
            listeners.iter().filter(own).any(|listener| !listener.has_endpoints_of(family))
        };
        let ports = listening(vip).filter(|(of, key)| {
            uid.is_none_or(|uid| uid == of) && key.protocol == Protocol::Tcp && !is_deserted(of, *key)
        });
        let is_served = listeners.is_empty() || listeners.iter().any(|listener| listener.has_endpoints_of(family));
        let reach = match left_out.get(&vip.address) {
            _ if !is_served => &deserted,
            Some(left_out) => left_out,
            None => state.reached.get(&vip.address).unwrap_or(&unknown),
        };
        (vip.address, reach, ports.map(|(_, key)| key.port).collect())
    };
    reach::verdict(&vips.iter().map(of).collect::<Vec<_>>())
}

fn reason(denied: &Denied) -> Reason {
    match denied {
        Denied::InNoPool(_) | Denied::Taken { .. } | Denied::OtherFamily(_) => Reason::RequestedAddressUnavailable,
        Denied::NoSuchPool(_) | Denied::NotServed { .. } | Denied::Nowhere(_) => Reason::NoPool,
        Denied::Exhausted(_) => Reason::PoolExhausted,
    }
}

#[cfg(test)]
mod tests;
