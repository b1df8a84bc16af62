//! What the status says, from what is desired and what exists.

use std::collections::BTreeSet;
use std::net::IpAddr;

use portolan_core::balancer::{IpMode, LoadBalancer, PortKey, Published, nobody_answers};
use portolan_core::ids::Uid;
use portolan_core::provider::{Outcome, Verdict};
use portolan_core::reason::Reason;
use portolan_core::status::{nothing_requested, unreachable};

use crate::allocation::Denied;
use crate::announcement::Announcement;
use crate::plan::Standing;
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
        Verdict::yes(Reason::Assigned, told(&vips))
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
            None => Verdict::unknown(Reason::NoWitness, "no node has looked whether traffic arrives"),
        }),
        ..of(&vips)
    }
}

fn as_it_stands(state: &State) -> Outcome {
    if state.vips.is_empty() {
        return nothing_requested();
    }
    let vips: Vec<&Vip> = state.vips.iter().collect();
    Outcome {
        assigned: Verdict::yes(Reason::Assigned, told(&vips)),
        programmed: programmed(&vips, state),
        reachable: Some(Verdict::unknown(Reason::NoWitness, "no node has looked whether traffic arrives")),
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

fn told(vips: &[&Vip]) -> String {
    vips.iter().map(|vip| vip.address.to_string()).collect::<Vec<_>>().join(", ")
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

fn reason(denied: &Denied) -> Reason {
    match denied {
        Denied::InNoPool(_) | Denied::Taken { .. } | Denied::OtherFamily(_) => Reason::RequestedAddressUnavailable,
        Denied::NoSuchPool(_) | Denied::NotServed { .. } | Denied::Nowhere(_) => Reason::NoPool,
        Denied::Exhausted(_) => Reason::PoolExhausted,
    }
}
