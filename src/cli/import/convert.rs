//! MetalLB's objects and live Services in, ours out: a plain function, the same whatever the order of the input.

use std::collections::{BTreeMap, BTreeSet};

use portolan_core::ids::Instance;

use super::advertisements::{self, Advertisement, advertisement};
use super::documents::Documents;
use super::finding::{Finding, Weight, listed};
use super::made::Made;
use super::metallb::{Object, Scope};
use super::others::{self, Announced};
use super::pools::{self, Pool, pool};
use super::services::{Live, live};
use super::shares;
use crate::cluster::{metal, project};
use crate::controller::external_ips::ExternalIps;

/// What becomes of it.
#[derive(Debug, Default)]
pub(super) struct Import {
    /// Objects of ours, in the order of creation.
    pub made: Vec<Made>,
    /// What does not become the same, the weightiest first.
    pub findings: Vec<Finding>,
    /// Commands that let those share here who share there.
    pub share: Vec<String>,
    /// Which nodes announce what now.
    pub announced: Announced,
    /// MetalLB's flag `--lb-class`.
    pub lb_class: Option<String>,
    /// The namespace in which MetalLB's objects are.
    pub namespace: String,
}

impl Import {
    /// Everybody gets and announces what he did.
    pub(super) fn is_equivalent(&self) -> bool {
        self.findings.iter().all(|finding| finding.weight != Weight::Changes)
    }
}

/// Converts it. `lb_class` is MetalLB's flag of that name.
pub(super) fn convert(documents: &Documents, lb_class: Option<&str>) -> Import {
    let mut findings = unread(documents);
    let objects = objects(documents, &mut findings);
    let of_kind = |kind| objects.iter().filter(move |object| (object.kind, object.version) == (kind, "v1beta1"));

    let scopes = objects.iter().filter(|object| object.kind.ends_with("Advertisement"));
    let scopes: Vec<Scope> = scopes.filter_map(|object| object.spec::<Scope>().ok()).collect();
    let label_keys: BTreeSet<String> = scopes.iter().flat_map(Scope::label_keys).collect();
    let pools: Vec<Pool> = of_kind("IPAddressPool").map(|object| pool(object, &label_keys, &mut findings)).collect();
    pools::order(&pools, &mut findings);
    let names: BTreeSet<&str> = pools.iter().map(|pool| pool.name.as_str()).collect();
    let announcing: Vec<Advertisement> =
        of_kind("L2Advertisement").filter_map(|object| advertisement(object, &names, &mut findings)).collect();
    advertisements::habits(&announcing, &mut findings);
    let announced = without_equivalent(&objects, &pools, &announcing, &mut findings);

    let made: Vec<Made> = pools.iter().filter_map(|pool| pool.made.clone()).collect();
    let site = checked(documents, &made, &mut findings);
    let Live { reservations, groups } = live(documents, &site, lb_class, &mut findings);
    shares::check(&groups, &mut findings);
    let share = shares::commands(&groups, &documents.namespaces);
    let mut made: Vec<Made> =
        made.into_iter().chain(announcing.into_iter().map(|one| one.made)).chain(reservations).collect();
    made.sort_by_key(|made| made.kind);
    findings.sort();
    findings.dedup();
    let namespace = objects.iter().map(|object| object.namespace).find(|namespace| !namespace.is_empty());
    Import {
        made,
        findings,
        share,
        announced,
        lb_class: lb_class.map(str::to_owned),
        namespace: namespace.unwrap_or(USUAL).to_owned(),
    }
}

/// What was given and not looked at.
fn unread(documents: &Documents) -> Vec<Finding> {
    let unreadable = documents.unreadable.iter();
    let unreadable = unreadable.map(|(place, problem)| Finding::changes(place, format!("cannot be read: {problem}")));
    let over = documents.read_over.iter().map(|(kind, count)| {
        let what = "neither MetalLB's nor a Service, Namespace or Node; read over";
        Finding::differs(format!("{count} of kind {kind}"), what)
    });
    unreadable.chain(over).collect()
}

/// The objects in an order of their own. MetalLB reads only those of its own namespace: the one that has most of them.
fn objects<'a>(documents: &'a Documents, findings: &mut Vec<Finding>) -> Vec<Object<'a>> {
    let mut objects: Vec<Object<'_>> = documents.metallb.iter().map(Object::of).collect();
    objects.sort_by(|a, b| (a.kind, a.name, a.namespace).cmp(&(b.kind, b.name, b.namespace)));
    let mut count: BTreeMap<&str, usize> = BTreeMap::new();
    objects.iter().for_each(|object| *count.entry(object.namespace).or_default() += 1);
    let own =
        count.iter().max_by_key(|(namespace, count)| (**count, **namespace == USUAL)).map(|(namespace, _)| *namespace);
    let (read, not_read): (Vec<_>, Vec<_>) = objects.into_iter().partition(|object| Some(object.namespace) == own);
    findings.extend(not_read.iter().map(|object| {
        let what = format!(
            "is in namespace {:?} and left out: MetalLB reads its own alone, which seems to be {:?}",
            object.namespace,
            own.unwrap_or_default()
        );
        Finding::changes(object.told(), what)
    }));
    read
}

/// Where MetalLB is unless somebody has put it elsewhere.
const USUAL: &str = "metallb-system";

fn without_equivalent(
    objects: &[Object<'_>],
    pools: &[Pool],
    announcing: &[Advertisement],
    findings: &mut Vec<Finding>,
) -> Announced {
    let unannounced = advertisements::unannounced(pools, announcing);
    let (mut announced, mut by_bgp) = (Announced::default(), Vec::new());
    for object in objects {
        match (object.kind, object.version) {
            ("IPAddressPool" | "L2Advertisement", "v1beta1") => {}
            ("BGPAdvertisement", "v1beta1") => {
                by_bgp.push(others::bgp_advertisement(object, pools, &unannounced, findings));
            }
            ("BGPPeer", "v1beta1" | "v1beta2") | ("BFDProfile" | "Community", "v1beta1") => {
                others::of_bgp(object, findings);
            }
            ("ServiceL2Status", "v1beta1") => announced.add(object),
            // State of BGP sessions and of MetalLB's reading of its configuration: written by MetalLB, about what is named anyway.
            ("ServiceBGPStatus" | "ConfigurationState" | "BGPSessionState" | "BGPSessionStatus", _) => {}
            (_, _) => others::unknown(object, findings),
        }
    }
    for pool in unannounced {
        if !by_bgp.iter().any(|scope| scope.covers(&pool.name, &pool.labels)) {
            let what = "no advertisement covers it: its addresses are announced nowhere, here as at MetalLB";
            findings.push(Finding::differs(format!("IPAddressPool {}", pool.name), what));
        }
    }
    announced
}

/// The pools as the controller would see them, and what it would refuse of them.
fn checked(documents: &Documents, made: &[Made], findings: &mut Vec<Finding>) -> portolan_metal::Site {
    let read = |made: &Made| serde_json::from_value(made.object.clone()).ok();
    let pools: Vec<crate::api::AddressPool> = made.iter().filter_map(read).collect();
    let objects = metal::Objects { pools, ..metal::Objects::default() };
    let site = metal::seen(&Instance::default(), &objects, &documents.namespaces, &documents.nodes, None);
    let services: Vec<_> = documents.services.iter().cloned().map(project::service).collect();
    let external = ExternalIps::of(services.iter().map(|service| &*service.object));
    site.observe(|world| world.set_external_ips(external));
    for checked in site.observe(|world| world.pools()).iter() {
        let about = format!("IPAddressPool {}", checked.pool.name);
        for flaw in &checked.flaws {
            let what = format!("would be refused here, and give out nothing: {flaw}");
            findings.push(Finding::changes(&about, what));
        }
        if !checked.taken.is_empty() {
            let taken = checked.taken.iter().map(|(address, who)| format!("{address} ({who})"));
            let what = format!("these addresses are given to nobody here, somebody has them: {}", listed(taken));
            findings.push(Finding::differs(&about, what));
        }
        let selectors = &checked.pool.serves.namespace_selectors;
        let none = portolan_metal::selector::Labels::new();
        let labels = documents.namespaces.iter().map(|one| one.metadata.labels.as_ref().unwrap_or(&none));
        let matches_some = labels.clone().any(|labels| selectors.iter().any(|selector| selector.matches(labels)));
        let is_known = labels.count() > 0;
        if !selectors.is_empty() && is_known && !matches_some && checked.pool.serves.namespaces.is_empty() {
            let what = "its namespaceSelectors match no namespace: MetalLB then serves whoever names the pool, Portolan nobody; take the \
                        selectors out, or label a namespace";
            findings.push(Finding::changes(about, what));
        }
    }
    site
}
