//! Registrations that send to somebody else: the pod that they were for is gone, and another one has its address. What a pod that no
//! EndpointSlice names does with an address, nobody tells us; there AWS's health check alone finds that the old one is gone.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use portolan_core::facts::Claim;
use portolan_core::ids::Uid;

use crate::model::Model;
use crate::state::{Group, Registered, State, Target};
use crate::words::TargetType;

/// The addresses of pods that are registered and are not to be any more: of these somebody has to say who has them now.
pub(crate) fn doubtful(model: &Model, observed: &State) -> BTreeSet<IpAddr> {
    let all = observed.groups.iter().flat_map(|group| surplus(model, observed, group));
    all.filter_map(|(registered, _)| registered.target.id.parse().ok()).collect()
}

/// The state with those marked whose address another pod has.
pub(crate) fn marked(model: &Model, observed: &State, claims: &[Claim]) -> State {
    let mut by_address: BTreeMap<IpAddr, Vec<&Claim>> = BTreeMap::new();
    for claim in claims {
        by_address.entry(claim.address).or_default().push(claim);
    }
    let is_usurped = |registered: &Registered, pod: &Uid| {
        let claims = registered.target.id.parse().ok().and_then(|address: IpAddr| by_address.get(&address));
        claims.is_some_and(|claims| is_anothers(&registered.target, pod, claims))
    };
    let mut state = observed.clone();
    for group in &mut state.groups {
        let Some(before) = observed.group(&group.arn) else { continue };
        let gone = surplus(model, observed, before).filter(|(registered, pod)| is_usurped(registered, pod));
        group.usurped = gone.map(|(registered, _)| registered.target.clone()).collect();
    }
    state
}

/// Pods of the host's network share its address, so that a pod that is still there keeps it from nobody and nobody from it, but for its port.
fn is_anothers(target: &Target, pod: &Uid, claims: &[&Claim]) -> bool {
    let (own, others): (Vec<&Claim>, Vec<&Claim>) = claims.iter().partition(|claim| claim.pod.as_ref() == Some(pod));
    let mut others = others.into_iter().filter(|claim| claim.pod.is_some());
    if own.iter().any(|claim| !claim.terminating) {
        false
    } else if own.is_empty() {
        others.next().is_some()
    } else {
        others.any(|claim| !claim.terminating && claim.ports.contains(&target.port))
    }
}

/// The pods that are registered in a group and are not to be any more.
fn surplus<'a>(
    model: &Model,
    observed: &State,
    group: &'a Group,
) -> impl Iterator<Item = (&'a Registered, &'a Uid)> + use<'a> {
    let listeners = observed.balancers.iter().flat_map(|balancer| &balancer.listeners);
    let sends_here = listeners.filter(|listener| listener.group.as_ref() == Some(&group.arn));
    let wanted: BTreeSet<Target> = sends_here
        .filter_map(|listener| model.listener(listener.port))
        .flat_map(|listener| listener.group.targets.keys().cloned())
        .collect();
    let of_pods = group.staying().filter(|_| group.kind.target_type == TargetType::Ip);
    let of_pods = of_pods.filter_map(|registered| Some((registered, registered.pod.as_ref()?)));
    of_pods.filter(move |(registered, _)| !wanted.contains(&registered.target))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(pod: Option<&str>, port: u16, terminating: bool) -> Claim {
        Claim { address: "10.0.0.1".parse().unwrap(), ports: vec![port], pod: pod.map(Uid::new), terminating }
    }

    #[test]
    fn an_address_is_anothers_once_its_pod_is_gone_and_a_port_while_it_goes() {
        let target = Target { id: "10.0.0.1".to_owned(), port: 8080 };
        let (old, other) = (Some("old"), Some("other"));
        for (claims, anothers) in [
            (vec![], false),
            (vec![claim(old, 8080, false)], false),
            (vec![claim(old, 8080, true)], false),
            (vec![claim(other, 8080, false)], true),
            (vec![claim(other, 9090, false)], true),
            (vec![claim(other, 9090, true)], true),
            (vec![claim(None, 8080, false)], false),
            (vec![claim(old, 8080, false), claim(other, 9090, false)], false),
            (vec![claim(old, 8080, true), claim(other, 9090, false)], false),
            (vec![claim(old, 8080, true), claim(other, 8080, false)], true),
            (vec![claim(old, 8080, true), claim(other, 8080, true)], false),
        ] {
            let found = is_anothers(&target, &Uid::new("old"), &claims.iter().collect::<Vec<_>>());
            assert_eq!(found, anothers, "{claims:?}");
        }
    }
}
