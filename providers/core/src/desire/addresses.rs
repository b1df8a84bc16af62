//! Addresses: families, addresses asked for by name, addresses already published.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::balancer::{Family, IpMode, Published, Scheme};
use crate::capabilities::Capabilities;
use crate::desire::Warning;
use crate::reason::Reason;
use crate::refusal::Refused;
use crate::snapshot::{FamilyPolicy, Service};

/// Asks for addresses by name: a comma-separated list, at most one a family. It wins over the deprecated
/// `spec.loadBalancerIP`.
pub const ADDRESSES_ANNOTATION: &str = "portolan.dev/load-balancer-ips";

/// MetalLB's words for the same, the newer one first (<https://metallb.io/usage/>, "Requesting specific IPs"): after ours and before the field.
const METALLB: [&str; 2] = ["metallb.io/loadBalancerIPs", "metallb.universe.tf/loadBalancerIPs"];

/// The families to serve, in the order of `ipFamilies` (KEP-563). The server has resolved the policy into them already; it
/// decides here only what happens when the provider lacks one. Where nobody names a scheme, an address asked for by name may say it;
/// then the provider alone knows what it lacks.
pub fn families(
    service: &Service,
    capabilities: &Capabilities,
    scheme: Option<Scheme>,
    refused: &mut Vec<Refused>,
    warnings: &mut Vec<Warning>,
) -> Vec<Family> {
    let scheme = scheme.or(if wished(service).is_some() { None } else { Some(Scheme::Public) });
    let without = |family| scheme.filter(|scheme| capabilities.lacking.contains(&(*scheme, family)));
    let (served, lacking): (Vec<Family>, Vec<Family>) = service
        .families
        .iter()
        .partition(|family| capabilities.families.contains(family) && without(**family).is_none());
    for family in lacking {
        let message = match without(family) {
            Some(scheme) if capabilities.families.contains(&family) => {
                format!("this class has no {scheme} {family} addresses")
            }
            Some(_) | None => format!("this provider has no {family} addresses"),
        };
        match service.family_policy {
            FamilyPolicy::PreferDualStack if !served.is_empty() => {
                warnings.push(Warning { reason: Reason::FamilyNotSupported, message });
            }
            FamilyPolicy::PreferDualStack | FamilyPolicy::SingleStack | FamilyPolicy::RequireDualStack => {
                refused.push(Refused::whole(Reason::FamilyNotSupported, message));
            }
        }
    }
    served
}

/// The addresses asked for by name. Unreadable ones are refused: another address is never given in their place.
pub fn requested(
    service: &Service,
    capabilities: &Capabilities,
    families: &[Family],
    refused: &mut Vec<Refused>,
    warnings: &mut Vec<Warning>,
) -> Vec<IpAddr> {
    let Some(Wish { place, text, by_others }) = wished(service) else { return Vec::new() };
    if !capabilities.requested_addresses {
        let message = format!("{place}: this provider chooses addresses itself; remove it");
        // `loadBalancerIP` is "ignored if the provider does not support it" (Service API), and MetalLB's words were said to MetalLB; our own
        // annotation is not ignored.
        if by_others {
            warnings.push(Warning { reason: Reason::RequestedAddressNotSupported, message });
        } else {
            refused.push(Refused::whole(Reason::RequestedAddressNotSupported, message));
        }
        return Vec::new();
    }
    let mut requested: Vec<IpAddr> = Vec::new();
    for item in text.split(',').map(str::trim) {
        let problem = match item.parse::<IpAddr>() {
            Err(_) => Some(format!("{item:?} is not an IP address")),
            Ok(ip) if !families.contains(&Family::of(ip)) => {
                Some(format!("{ip} is {}, which the Service's ipFamilies do not ask for", Family::of(ip)))
            }
            Ok(ip) if requested.iter().any(|other| Family::of(*other) == Family::of(ip)) => {
                Some(format!("{ip} is the second {} address; ask for one a family", Family::of(ip)))
            }
            Ok(ip) => {
                requested.push(ip);
                None
            }
        };
        if let Some(problem) = problem {
            refused.push(Refused::whole(Reason::InvalidRequestedAddress, format!("{place}: {problem}")));
        }
    }
    requested.sort_by_key(|ip| families.iter().position(|family| *family == Family::of(*ip)));
    requested
}

/// The Service asks for addresses by name.
pub fn asks_by_name(service: &Service) -> bool {
    wished(service).is_some()
}

/// What of this Service asks for addresses by name, as messages name it.
pub fn place(service: &Service) -> String {
    wished(service).map(|wish| wish.place).unwrap_or_default()
}

/// A wish for addresses by name.
struct Wish<'a> {
    /// Where it stands, as messages name it.
    place: String,
    text: &'a str,
    /// In words that are not ours alone, and that a provider may not know.
    by_others: bool,
}

/// Our annotation, also an empty one, wins over MetalLB's, and that over the field. An empty one of MetalLB's says nothing, as there.
fn wished(service: &Service) -> Option<Wish<'_>> {
    let annotation = std::iter::once(ADDRESSES_ANNOTATION).chain(METALLB).find_map(|key| {
        let text = service.annotations.get(key)?.trim();
        if text.is_empty() && key != ADDRESSES_ANNOTATION {
            return None;
        }
        Some(Wish { place: format!("annotation {key}"), text, by_others: key != ADDRESSES_ANNOTATION })
    });
    annotation.or_else(|| {
        let text = service.load_balancer_ip.as_deref().map(str::trim).filter(|text| !text.is_empty())?;
        Some(Wish { place: "spec.loadBalancerIP".to_owned(), text, by_others: true })
    })
}

/// The addresses that a Service names and that make sense, whatever becomes of them.
pub fn named(service: &Service) -> BTreeSet<IpAddr> {
    let texts = wished(service).map(|wish| wish.text).unwrap_or_default().split(',');
    texts.filter_map(|text| text.trim().parse().ok()).collect()
}

/// What the Service's status offers to clients now.
pub fn published(service: &Service) -> Vec<Published> {
    let mut published: Vec<Published> = service
        .ingress
        .iter()
        .flat_map(|ingress| {
            let mode = if ingress.ip_mode.as_deref() == Some("Proxy") { IpMode::Proxy } else { IpMode::Vip };
            let ip = ingress.ip.as_deref().and_then(|ip| ip.parse().ok()).map(|ip| Published::Ip { ip, mode });
            let hostname = ingress.hostname.clone().map(|hostname| Published::Hostname { hostname });
            ip.into_iter().chain(hostname)
        })
        .collect();
    published.sort();
    published.dedup();
    published
}
