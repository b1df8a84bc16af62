//! Listeners: API reference, CreateListener, ModifyListener, AddListenerCertificates.

use std::collections::{BTreeMap, BTreeSet};

use crate::estate::{Balancer, Estate, Listener};
use crate::query::Query;
use crate::refusal::Refusal;
use crate::rules::protocols::{self, Protocol};
use crate::rules::{invalid, number};

const ALPN: [&str; 5] = ["HTTP1Only", "HTTP2Only", "HTTP2Optional", "HTTP2Preferred", "None"];
/// What AWS puts on a TLS listener that names no policy (API reference, CreateListener, `SslPolicy`; user guides).
const DEFAULT_POLICY: &str = "ELBSecurityPolicy-2016-08";

/// The listener that a request asks for: a new one, or `now` with what the request changes.
pub(crate) fn read(query: &Query, balancer: &str, now: Option<&Listener>) -> Result<Listener, Refusal> {
    let protocol = match (query.get("Protocol"), now) {
        (Some(text), _) => Protocol::read(text)?,
        (None, Some(now)) => now.protocol,
        (None, None) => return Err(Refusal::validation("Protocol must be specified")),
    };
    let port = match (query.get("Port"), now) {
        (Some(text), _) => u16::try_from(number("Port", text, 1..=65535)?).unwrap_or_default(),
        (None, Some(now)) => now.port,
        (None, None) => return Err(Refusal::validation("Port must be specified")),
    };
    let (groups, actions) = match (query.has("DefaultActions"), now) {
        (false, Some(now)) => (now.groups.clone(), now.actions.clone()),
        (_, _) => (forward_groups(query)?, actions(query)),
    };
    // "Changing the protocol [...] from TLS to TCP removes the security policy and default certificate properties."
    let is_tls = protocol == Protocol::Tls;
    let kept = |value: Option<&str>, before: Option<&Option<String>>| {
        value.map(str::to_owned).or_else(|| before.cloned().flatten().filter(|_| is_tls))
    };
    let certificates = query.structures("Certificates");
    let certificate = certificates.first().and_then(|certificate| certificate.get("CertificateArn"));
    let ssl_policy = kept(query.get("SslPolicy"), now.map(|now| &now.ssl_policy));
    let listener = Listener {
        arn: now.map(|now| now.arn.clone()).unwrap_or_default(),
        balancer: balancer.to_owned(),
        port,
        protocol,
        groups,
        actions,
        certificate: kept(certificate, now.map(|now| &now.certificate)),
        more_certificates: now.filter(|_| is_tls).map(|now| now.more_certificates.clone()).unwrap_or_default(),
        ssl_policy: ssl_policy.or_else(|| is_tls.then(|| DEFAULT_POLICY.to_owned())),
        alpn: kept(query.list("AlpnPolicy").first().copied(), now.map(|now| &now.alpn)),
        attributes: now.map(|now| now.attributes.clone()).unwrap_or_default(),
        tags: now.map(|now| now.tags.clone()).unwrap_or_default(),
        born: now.map(|now| now.born).unwrap_or_default(),
    };
    if certificates.len() > 1 {
        return Err(Refusal::new("TooManyCertificates", "You must provide exactly one certificate"));
    }
    tls(&listener)?;
    Ok(listener)
}

fn tls(listener: &Listener) -> Result<(), Refusal> {
    if listener.protocol != Protocol::Tls {
        let of_tls = [listener.certificate.is_some(), listener.ssl_policy.is_some(), listener.alpn.is_some()];
        return if of_tls.contains(&true) {
            Err(invalid("Certificates, SslPolicy and AlpnPolicy are only for TLS listeners"))
        } else {
            Ok(())
        };
    }
    if listener.certificate.is_none() {
        return Err(Refusal::validation("A certificate must be specified for TLS listeners"));
    }
    match &listener.alpn {
        Some(alpn) if !ALPN.contains(&alpn.as_str()) => {
            Err(Refusal::new("ALPNPolicyNotFound", format!("ALPN policy '{alpn}' is not supported")))
        }
        Some(_) | None => Ok(()),
    }
}

/// The groups that the default actions forward to. A Network Load Balancer's listener has one action, `forward`.
fn forward_groups(query: &Query) -> Result<BTreeSet<String>, Refusal> {
    let actions = query.structures("DefaultActions");
    let [action] = actions.as_slice() else {
        return Err(Refusal::new(
            if actions.is_empty() { "ValidationError" } else { "TooManyActions" },
            "exactly one default action must be specified",
        ));
    };
    if action.get("Type") != Some("forward") {
        return Err(Refusal::new("InvalidLoadBalancerAction", "a network load balancer only forwards"));
    }
    let weighted = action.structures("ForwardConfig.TargetGroups");
    for weight in weighted.iter().filter_map(|group| group.get("Weight")) {
        number("Weight", weight, 0..=999)?;
    }
    let plain = action.get("TargetGroupArn").map(str::to_owned);
    let weighted = weighted.iter().filter_map(|group| group.get("TargetGroupArn").map(str::to_owned));
    let groups: BTreeSet<String> = plain.into_iter().chain(weighted).collect();
    if groups.is_empty() { Err(Refusal::validation("A target group ARN must be specified")) } else { Ok(groups) }
}

/// The default actions in one form: a plain group is a forward with that one group.
fn actions(query: &Query) -> BTreeMap<String, String> {
    let pairs = query.structures("DefaultActions").into_iter().flat_map(|action| {
        let weighted = action.has("ForwardConfig.TargetGroups");
        action
            .pairs()
            .filter(|(name, _)| *name != "Order" && !(weighted && *name == "TargetGroupArn"))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect::<Vec<_>>()
    });
    pairs.collect()
}

/// May this listener be on its balancer? `now`: the listener that it replaces, if it is a change.
///
/// The groups exist, speak a fitting protocol, are of the balancer's VPC, of IPv4 unless the balancer is dual stack, and of no other
/// balancer (`TargetGroupAssociationLimit`; NLB guide, quotas: a group belongs to one Network Load Balancer); no other listener has the
/// port with a protocol that meets this one's; UDP on dual stack needs source NAT prefixes (API reference, CreateLoadBalancer)
/// and IPv6 groups (NLB guide, "Listeners").
pub(crate) fn legal(
    estate: &Estate,
    balancer: &Balancer,
    listener: &Listener,
    now: Option<&Listener>,
) -> Result<(), Refusal> {
    for arn in &listener.groups {
        let group = estate
            .group(arn)
            .ok_or_else(|| Refusal::new("TargetGroupNotFound", format!("Target group '{arn}' not found")))?;
        protocols::forward(listener.protocol, group.protocol)?;
        if group.vpc != balancer.vpc {
            return Err(invalid(format!("The target group '{arn}' is not in the VPC of the load balancer")));
        }
        if group.ipv6 && !balancer.dual_stack {
            return Err(invalid(format!(
                "The target group '{arn}' has the IP address type ipv6, which needs a dualstack load balancer"
            )));
        }
        if listener.protocol.has_udp() && balancer.dual_stack && !group.ipv6 {
            let message =
                format!("{} listeners on a dualstack load balancer need IPv6 target groups", listener.protocol.name());
            return Err(invalid(message));
        }
        if estate.balancers_of_group(arn).iter().any(|other| *other != balancer.arn) {
            return Err(Refusal::new(
                "TargetGroupAssociationLimit",
                format!("The target group '{arn}' is associated with another load balancer"),
            ));
        }
    }
    if listener.protocol.has_udp() && balancer.dual_stack && !balancer.source_nat_prefix {
        return Err(invalid(format!(
            "{} listeners on a dualstack load balancer need EnablePrefixForIpv6SourceNat 'on'",
            listener.protocol.name()
        )));
    }
    let taken = estate.listeners_of(&balancer.arn).filter(|other| now.is_none_or(|now| now.arn != other.arn));
    // A new listener on a port that is taken is a matter of idempotence; see `again`.
    if now.is_some() && taken.into_iter().any(|other| other.port == listener.port) {
        return Err(Refusal::new(
            "DuplicateListener",
            format!("A listener already exists on port {} for this load balancer", listener.port),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
