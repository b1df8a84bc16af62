//! Live Services: who has which address, and what keeps it for him until Portolan has recorded it.
//!
//! An address in `status.loadBalancer` without a record is only a wish here. So that nobody else gets it in between, each one that is of a pool is
//! reserved for the Service that has it; one that several have, for their namespace, because whichever comes first founds the share.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use portolan_core::balancer::Published;
use portolan_core::desire::addresses;
use portolan_core::desire::scheme::{self, InternalAnnotations};
use portolan_core::provider::Provider;
use portolan_core::share;
use portolan_core::snapshot::{Service, ServiceType};
use portolan_metal::pool::Checked;
use portolan_metal::{Metal, Site, vip};
use serde_json::json;

use super::documents::Documents;
use super::finding::{Finding, listed};
use super::made::{Kind, Made};
use super::shares::Group;
use crate::cluster::project;

/// What becomes of live Services.
pub(super) struct Live {
    /// A VirtualIP for each address of a pool.
    pub reservations: Vec<Made>,
    /// Those that share.
    pub groups: Vec<Group>,
}

/// Of all of them.
pub(super) fn live(documents: &Documents, site: &Site, lb_class: Option<&str>, findings: &mut Vec<Finding>) -> Live {
    let pools = site.observe(|world| world.pools());
    let provider = Metal::new(site.clone());
    let mut services: Vec<Arc<Service>> =
        documents.services.iter().cloned().map(|service| project::service(service).object).collect();
    services.retain(|service| service.service_type == ServiceType::LoadBalancer);
    services.sort_by(|a, b| a.key.cmp(&b.key));
    let mut seats: BTreeMap<IpAddr, Vec<Arc<Service>>> = BTreeMap::new();
    let mut left_alone = Vec::new();
    for service in &services {
        let of_pools = of_pools(service, &pools);
        if service.class.as_deref() == lb_class {
            look(service, &pools, &provider, findings);
        } else if of_pools.is_empty() {
            left_alone.push(service.key.to_string());
        } else {
            findings.push(of_another_class(service, &of_pools, lb_class));
        }
        for address in of_pools {
            seats.entry(address).or_default().push(Arc::clone(service));
        }
    }
    if !left_alone.is_empty() {
        let what = "not MetalLB's, by class and addresses; left alone";
        findings.push(Finding::differs(format!("Service {}", listed(left_alone)), what));
    }
    let groups = Group::all(&seats);
    for service in &services {
        words(service, &groups, findings);
    }
    Live {
        reservations: seats.iter().filter_map(|(address, services)| reservation(*address, services)).collect(),
        groups,
    }
}

fn published(service: &Service) -> impl Iterator<Item = IpAddr> {
    addresses::published(service).into_iter().filter_map(|published| match published {
        Published::Ip { ip, mode: _ } => Some(ip),
        Published::Hostname { .. } => None,
    })
}

fn of_pools(service: &Service, pools: &[Checked]) -> Vec<IpAddr> {
    published(service).filter(|address| pools.iter().any(|checked| checked.pool.contains(*address))).collect()
}

/// A Service of MetalLB's that will not simply keep what it has.
fn look(service: &Service, pools: &[Checked], provider: &Metal, findings: &mut Vec<Finding>) {
    let about = format!("Service {}", service.key);
    if service.deleting {
        findings.push(Finding::differs(
            about,
            "is being deleted; once it is gone, delete the reservation of its address, too",
        ));
        return;
    }
    let (mut refused, honoured) = (Vec::new(), InternalAnnotations::All);
    let scheme = scheme::scheme(service, provider.capabilities(), &honoured, &mut refused, &mut Vec::new());
    let published: Vec<Published> = addresses::published(service);
    if published.is_empty() {
        findings.push(Finding::differs(&about, "has no address yet; Portolan gives it one"));
    }
    for one in &published {
        match one {
            Published::Hostname { hostname } => {
                let what = format!(
                    "has the hostname {hostname}, which is not MetalLB's. Portolan would give it an address instead; if another controller \
                     serves it, give it that one's class first"
                );
                findings.push(Finding::changes(&about, what));
            }
            Published::Ip { ip, mode: _ } if !pools.iter().any(|checked| checked.pool.contains(*ip)) => {
                let what = format!(
                    "has {ip}, which is of no pool: Portolan would give it another address. Add {ip} to a pool, or, if another controller \
                     serves it, give it that one's class first"
                );
                findings.push(Finding::changes(&about, what));
            }
            Published::Ip { ip, mode: _ } => {
                let Some(checked) = pools.iter().find(|checked| checked.pool.contains(*ip)) else { continue };
                if let Some(who) = checked.taken.get(ip) {
                    let what = format!(
                        "has {ip}, which is taken here ({who}): Portolan gives that to nobody, and would give this Service another one"
                    );
                    findings.push(Finding::changes(&about, what));
                }
                if !checked.pool.suits(scheme) {
                    let (place, pool) = (scheme::place(service, &honoured), &checked.pool.name);
                    let what = format!(
                        "has {ip} and asks for an internal load balancer in {place}, which MetalLB does not read: Portolan would not give it an \
                         address of pool {pool}. Take that off, set scheme: internal in the AddressPool, or leave that cloud out of \
                         internalAnnotations in the configuration"
                    );
                    findings.push(Finding::changes(&about, what));
                }
            }
        }
    }
    let has: BTreeSet<IpAddr> = self::published(service).collect();
    let asked =
        addresses::requested(service, provider.capabilities(), &service.families, &mut refused, &mut Vec::new());
    if !refused.is_empty() {
        let what = format!("would be refused here: {}", listed(refused.iter().map(|one| &one.message)));
        findings.push(Finding::changes(&about, what));
    }
    for wanted in asked.iter().filter(|wanted| !has.is_empty() && !has.contains(*wanted)) {
        let what = format!(
            "has {} but asks for {wanted} in {}: Portolan would move it there. Ask for what it has, or for nothing",
            listed(&has),
            addresses::place(service)
        );
        findings.push(Finding::changes(&about, what));
    }
}

fn of_another_class(service: &Service, addresses: &[IpAddr], lb_class: Option<&str>) -> Finding {
    let told = |class: Option<&str>| class.map_or("no class".to_owned(), |class| format!("class {class}"));
    let todo = match service.class.as_deref() {
        Some(class) => format!("if MetalLB was started with --lb-class={class}, say --lb-class {class} here, too"),
        None => "if MetalLB was started without --lb-class, leave it out here, too".to_owned(),
    };
    let what = format!(
        "is of {}, not of {}, and has {} of a pool. That is reserved for it, but who serves it is not clear: {todo}; if another controller does, \
         take the address out of the pool",
        told(service.class.as_deref()),
        told(lb_class),
        listed(addresses)
    );
    Finding::changes(format!("Service {}", service.key), what)
}

/// Annotations of MetalLB's on a Service.
fn words(service: &Service, groups: &[Group], findings: &mut Vec<Finding>) {
    let about = format!("Service {}", service.key);
    let keys = service.annotations.keys();
    for key in keys {
        let word = PREFIXES.iter().find_map(|prefix| key.strip_prefix(prefix));
        match word {
            // Read here as there. The last one is for dashboards, and is left where it is.
            None | Some("address-pool" | "loadBalancerIPs" | "ip-allocated-from-pool") => {}
            Some("allow-shared-ip") => {
                if !groups.iter().any(|group| group.has(service)) {
                    let what = format!(
                        "{key} counts here only together with addresses by name, and it shares its address with nobody now. Whoever shall join it later needs {} on both, or both name the address",
                        share::SHARE_ANNOTATION
                    );
                    findings.push(Finding::differs(&about, what));
                }
            }
            Some(_) => findings.push(Finding::differs(&about, format!("{key} is not known here, and not read"))),
        }
    }
}

const PREFIXES: [&str; 2] = ["metallb.io/", "metallb.universe.tf/"];

/// Keeps the address for who has it.
fn reservation(address: IpAddr, services: &[Arc<Service>]) -> Option<Made> {
    let first = services.iter().min_by_key(|service| share::age(service))?;
    let reserved_for = match services {
        [only] => json!({"namespace": only.key.namespace, "name": only.key.name}),
        _ => json!({"namespace": first.key.namespace}),
    };
    Some(Made::new(Kind::VirtualIp, &vip::name(address), &json!({"reservedFor": reserved_for})))
}
