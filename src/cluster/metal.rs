//! What the provider metal knows of the cluster, kept up to date: pools, addresses that somebody has, Namespaces' labels, Nodes, speakers,
//! advertisements.

mod advertisements;
mod around;
mod hosts;
mod left_behind;
mod placing;
mod pools;
mod speakers;
mod virtual_ips;

pub(crate) use placing::{Nodes, in_the_end, place};
pub(crate) use speakers::LEASE_PREFIX;
pub(crate) use virtual_ips::ClusterVirtualIps;
use virtual_ips::Nowhere;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::{self, BoxStream};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::networking::v1::ServiceCIDR;
use kube::{Api, Client, ResourceExt};
use portolan_core::ids::{Instance, ResourceVersion};
use portolan_core::time::Time;
use portolan_metal::Site;
use portolan_metal::selector::Labels;
use portolan_metal::vip::{self, Vip};

use tokio::sync::watch;

use crate::api;
use crate::cluster::clock::Clock;
use crate::cluster::metal::advertisements::SeenAdvertisement;
use crate::cluster::metal::around::{SeenServiceRange, WITHOUT_SERVICE_RANGES, surroundings};
use crate::cluster::metal::hosts::SeenNode;
use crate::cluster::metal::pools::SeenPool;
use crate::cluster::metal::speakers::{SeenLease, SeenReport, Speakers};
use crate::cluster::project;
use crate::cluster::watch::{Projected, events, events_if_served, events_of};
use crate::controller::gate::Gate;
use crate::controller::index::{Event, Object, Store};

/// How long news of pools are collected before their status is written: one write then stands for all that happens at once.
const STATUS_PAUSE: Duration = Duration::from_millis(500);

/// What a watch says.
enum Seen {
    Pool(Event<SeenPool>),
    Vip(Event<SeenVip>),
    Namespace(Event<SeenNamespace>),
    Node(Event<SeenNode>),
    ServiceRange(Event<SeenServiceRange>),
    Advertisement(Event<SeenAdvertisement>),
    Report(Event<SeenReport>),
    Lease(Event<SeenLease>),
}

/// What is followed for placement.
pub(crate) struct Followed {
    /// The namespace of the Leases by which speakers are alive.
    pub(crate) speakers: String,
    /// Told once everything that placement rests on has been listed.
    pub(crate) listed: watch::Sender<bool>,
}

/// Watches, tells the provider, writes of each pool how it is used, and removes reports of nodes that are gone, until the gate's stop. Nothing is asked of the server before somebody needs
/// it: where no class has pools, that is whoever removes what a class has left that is gone.
pub(crate) async fn run(
    client: Client,
    watching: Client,
    seed: u64,
    site: Site,
    of: Followed,
    gate: Gate,
    clock: Clock,
) -> Result<(), Infallible> {
    let stop = gate.stop().clone();
    if stop.run_until_cancelled(site.is_wanted()).await.is_none() {
        return Ok(());
    }
    let streams = streams(&watching, seed, &of.speakers);
    let mut seen = stream::select_all(streams);
    let mut follower = Follower {
        site,
        pools: Store::default(),
        namespaces: Store::default(),
        nodes: Store::default(),
        service_ranges: Store::default(),
        vips: Vips::default(),
        advertisements: Store::default(),
        speakers: Speakers::default(),
        placement: of.listed,
    };
    let (writer, mut remover) = (pools::Writer::new(client.clone()), left_behind::Remover::new(client));
    let follow = async {
        let mut due = None;
        loop {
            tokio::select! {
                biased;
                Some(event) = seen.next() => {
                    follower.take_in(event, clock.now());
                    due = due.or_else(|| follower.is_listed().then(|| clock.now() + STATUS_PAUSE));
                }
                () = clock.sleep_until(follower.speakers.deadline()) => {
                    follower.hosts(clock.now());
                    due = due.or_else(|| follower.is_listed().then(|| clock.now() + STATUS_PAUSE));
                }
                () = clock.sleep_until(due) => {
                    due = None;
                    if gate.check().is_ok() {
                        let shown = writer.write(&follower.site, follower.pools.iter(), clock.wall()).await;
                        let removed = remover.remove(follower.left_behind(clock.now())).await;
                        due = (!shown || !removed).then(|| clock.now() + STATUS_PAUSE * 10);
                    }
                }
            }
        }
    };
    stop.run_until_cancelled(follow).await;
    Ok(())
}

fn streams(client: &Client, seed: u64, speakers: &str) -> [BoxStream<'static, Seen>; 8] {
    /// All objects of a kind; each watch backs off by a seed of its own.
    macro_rules! all {
        ($kind:ty, $called:literal, $number:literal, $read:expr) => {
            events::<$kind, _>(client.clone(), seed.wrapping_add($number), $called, project::namespace_name, $read)
        };
    }
    let leases = Api::namespaced(client.clone(), speakers);
    let leases = events_of(leases, seed.wrapping_add(6), "Leases of speakers", project::namespace_name, SeenLease::of);
    [
        all!(api::AddressPool, "AddressPools", 0, |object| Projected::Object(SeenPool::of(object)))
            .map(Seen::Pool)
            .boxed(),
        all!(api::VirtualIP, "VirtualIPs", 1, seen_vip).map(Seen::Vip).boxed(),
        all!(core::Namespace, "Namespaces' labels", 2, |object| Projected::Object(SeenNamespace::of(object)))
            .map(Seen::Namespace)
            .boxed(),
        all!(core::Node, "Nodes as hosts of addresses", 3, |object| Projected::Object(SeenNode::of(object)))
            .map(Seen::Node)
            .boxed(),
        all!(api::L2Advertisement, "L2Advertisements", 4, |object| Projected::Object(SeenAdvertisement::of(object)))
            .map(Seen::Advertisement)
            .boxed(),
        events::<api::SpeakerReport, _>(
            client.clone(),
            seed.wrapping_add(5),
            "SpeakerReports",
            project::node_name,
            |object| Projected::Object(SeenReport::of(object)),
        )
        .map(Seen::Report)
        .boxed(),
        events_if_served::<ServiceCIDR, _>(
            client.clone(),
            seed.wrapping_add(7),
            "ServiceCIDRs",
            WITHOUT_SERVICE_RANGES,
            project::namespace_name,
            |object| Projected::Object(SeenServiceRange::of(object)),
        )
        .map(Seen::ServiceRange)
        .boxed(),
        leases.map(Seen::Lease).boxed(),
    ]
}

/// Objects that a dry run rests on.
#[derive(Debug, Default)]
pub(crate) struct Objects {
    pub(crate) pools: Vec<api::AddressPool>,
    pub(crate) vips: Vec<api::VirtualIP>,
    pub(crate) advertisements: Vec<api::L2Advertisement>,
    pub(crate) reports: Vec<api::SpeakerReport>,
    pub(crate) leases: Vec<Lease>,
    pub(crate) service_ranges: Vec<ServiceCIDR>,
}

/// What these objects come to, for a dry run: nothing is recorded there. `now` is the time of a live cluster.
pub(crate) fn seen(
    instance: &Instance,
    objects: &Objects,
    namespaces: &[core::Namespace],
    nodes: &[core::Node],
    now: Option<jiff::Timestamp>,
) -> Site {
    let Objects { pools, vips, advertisements, reports, leases, service_ranges } = objects;
    let site = Site::new(instance.clone(), Arc::new(Nowhere));
    let seen: Vec<SeenNode> = nodes.iter().cloned().map(SeenNode::of).collect();
    let ranges: Vec<SeenServiceRange> = service_ranges.iter().cloned().map(SeenServiceRange::of).collect();
    let speakers = Speakers::of_objects(leases, reports, now);
    let host = |seen: &SeenNode| seen.host(speakers.of(&seen.node.name, Time::default()));
    site.observe(|world| {
        world.set_hosts(seen.iter().map(host).collect());
        world.set_advertisements(advertisements::readable(advertisements));
    });
    site.observe(|world| {
        world.set_surroundings(surroundings(seen.iter(), &speakers, ranges.iter()));
        for SeenNamespace { name, labels } in namespaces.iter().cloned().map(SeenNamespace::of) {
            world.set_namespace(&name, Some(labels));
        }
        world.set_pools(pools.iter().cloned().map(|pool| SeenPool::of(pool).pool).collect());
        for object in vips {
            match Vip::try_from(object.clone()) {
                Ok(vip) => world.set_vip(vip),
                Err(error) => {
                    tracing::warn!(%error, "an object makes no sense; its address is nobody's to give");
                    vip::address(&error.name).into_iter().for_each(|address| world.unreadable(address));
                }
            }
        }
    });
    site.is_listed();
    site
}

/// What has been seen so far.
struct Follower {
    site: Site,
    pools: Store<SeenPool>,
    namespaces: Store<SeenNamespace>,
    nodes: Store<SeenNode>,
    service_ranges: Store<SeenServiceRange>,
    vips: Vips,
    advertisements: Store<SeenAdvertisement>,
    speakers: Speakers,
    /// Everything that placement rests on has been listed.
    placement: watch::Sender<bool>,
}

/// Addresses are followed by the provider itself, which writes them too; here is what a list needs.
#[derive(Default)]
struct Vips {
    listing: Option<Vec<Vip>>,
    listed: bool,
}

impl Follower {
    /// Of what all decisions rest on nothing is worked out before its first list is complete: once for all of it.
    fn take_in(&mut self, seen: Seen, now: Time) {
        match seen {
            Seen::Pool(event) => {
                let first = self.pools.lists() == 0;
                let changed = !self.pools.observe(event).is_empty();
                if self.pools.lists() > 0 && (first || changed) {
                    let pools = self.pools.iter().map(|seen| seen.pool.clone()).collect();
                    self.site.observe(|world| world.set_pools(pools));
                }
            }
            Seen::Vip(event) => self.vip(event),
            Seen::Namespace(event) => {
                for change in self.namespaces.observe(event) {
                    let either = change.before.as_ref().or(change.after.as_ref());
                    let Some(name) = either.map(|seen| seen.name.clone()) else { continue };
                    let labels = change.after.map(|seen| seen.labels);
                    self.site.observe(|world| world.set_namespace(&name, labels));
                }
            }
            Seen::Node(event) => {
                let first = self.nodes.lists() == 0;
                let changed = !self.nodes.observe(event).is_empty();
                if self.nodes.lists() > 0 && (first || changed) {
                    self.around();
                    self.hosts(now);
                }
            }
            Seen::ServiceRange(event) => {
                self.service_ranges.observe(event);
                self.around();
            }
            Seen::Advertisement(event) => {
                self.advertisements.observe(event);
                if self.advertisements.lists() > 0 {
                    let all = self.advertisements.iter().filter_map(|seen| seen.advertisement.clone()).collect();
                    self.site.observe(|world| world.set_advertisements(all));
                }
            }
            Seen::Report(event) => {
                let first = !self.speakers.have_reported();
                for (node, report) in self.speakers.report(event) {
                    self.site.observe(|world| world.set_report(&node, report));
                }
                if self.speakers.take_news_around() || first && self.speakers.have_reported() {
                    self.around();
                }
                self.hosts(now);
            }
            Seen::Lease(event) => {
                let listed = self.speakers.are_listed();
                if self.speakers.lease(event, now) || listed != self.speakers.are_listed() {
                    self.hosts(now);
                }
            }
        }
        self.site.lacks(self.missing());
        if self.is_listed() {
            self.placement.send_if_modified(|listed| !std::mem::replace(listed, true));
        }
    }

    /// What there is besides pools; worked out once all of it has been listed.
    fn around(&mut self) {
        if self.nodes.lists() > 0 && self.speakers.have_reported() && self.service_ranges.lists() > 0 {
            let around = surroundings(self.nodes.iter(), &self.speakers, self.service_ranges.iter());
            self.site.observe(|world| world.set_surroundings(around));
        }
    }

    /// All Nodes with the speakers that they have now.
    fn hosts(&mut self, now: Time) {
        self.speakers.are_told(now);
        if self.nodes.lists() > 0 && self.speakers.are_listed() {
            let hosts = self.nodes.iter().map(|seen| seen.host(self.speakers.of(&seen.node.name, now))).collect();
            self.site.observe(|world| world.set_hosts(hosts));
        }
    }

    /// Reports that nobody will write any more. Due only once everything has been listed.
    fn left_behind(&mut self, now: Time) -> Vec<SeenReport> {
        let nodes = &self.nodes;
        self.speakers.left_behind(|node| nodes.get(&node.to_string()).is_some(), now)
    }

    /// Each kind has been listed: an address that somebody has is known to be his, and who may share it.
    fn is_listed(&self) -> bool {
        self.missing().is_empty()
    }

    /// The kinds that have not been.
    fn missing(&self) -> Vec<&'static str> {
        let Self { pools, namespaces, nodes, service_ranges, advertisements, .. } = self;
        let kinds = [
            ("addresspools.portolan.dev", pools.lists() > 0),
            ("l2advertisements.portolan.dev", advertisements.lists() > 0),
            ("leases.coordination.k8s.io", self.speakers.have_signs_of_life()),
            ("namespaces", namespaces.lists() > 0),
            ("nodes", nodes.lists() > 0),
            ("servicecidrs.networking.k8s.io", service_ranges.lists() > 0),
            ("speakerreports.portolan.dev", self.speakers.have_reported()),
            ("virtualips.portolan.dev", self.vips.listed),
        ];
        kinds.into_iter().filter(|(_, listed)| !listed).map(|(kind, _)| kind).collect()
    }

    fn vip(&mut self, event: Event<SeenVip>) {
        match event {
            Event::Init => self.vips.listing = Some(Vec::new()),
            Event::InitApply(SeenVip(vip)) => self.vips.listing.get_or_insert_default().push(vip),
            Event::InitDone => {
                let all = self.vips.listing.take().unwrap_or_default();
                self.site.observe(|world| world.shown_all(all));
                self.vips.listed = true;
            }
            Event::Apply(SeenVip(vip)) => self.site.observe(|world| world.shown(vip)),
            Event::Delete(name, version) => {
                if let Some(address) = vip::address(&name) {
                    self.site.observe(|world| world.shown_gone(address, &version));
                }
            }
            // What was read of it before stands; of one that was never read nobody knows whose it is, so that nobody else gets it.
            Event::Unreadable(name) => {
                if let Some(address) = vip::address(&name) {
                    self.site.observe(|world| world.unreadable(address));
                    if let Some(listing) = &mut self.vips.listing {
                        listing.extend(self.site.observe(|world| world.vip(address).cloned()));
                    }
                }
            }
        }
    }
}

/// A `VirtualIP`, read.
#[derive(Clone, Debug)]
struct SeenVip(Vip);

impl Object for SeenVip {
    type Name = String;

    fn name(&self) -> String {
        vip::name(self.0.address)
    }

    fn version(&self) -> Option<&ResourceVersion> {
        self.0.version.as_ref()
    }

    fn same(&self, other: &Self) -> bool {
        self.0.same_content(&other.0)
    }
}

fn seen_vip(object: api::VirtualIP) -> Projected<SeenVip> {
    match Vip::try_from(object) {
        Ok(vip) => Projected::Object(SeenVip(vip)),
        Err(error) => Projected::Unreadable(error.problem),
    }
}

/// The labels of a Namespace.
#[derive(Clone, Debug, PartialEq)]
struct SeenNamespace {
    name: String,
    labels: Labels,
}

impl SeenNamespace {
    fn of(object: core::Namespace) -> Self {
        Self { name: object.name_any(), labels: object.metadata.labels.unwrap_or_default() }
    }
}

impl Object for SeenNamespace {
    type Name = String;

    fn name(&self) -> String {
        self.name.clone()
    }

    fn version(&self) -> Option<&ResourceVersion> {
        None
    }

    fn same(&self, other: &Self) -> bool {
        self == other
    }
}

#[cfg(test)]
mod tests;
