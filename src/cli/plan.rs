//! `portolan plan`: claim, refusals and steps for every Service, from files or from a live cluster. Writes nothing.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use clap::ValueEnum;
use k8s_openapi::api::core::v1::{Namespace, Node};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{Api, ListParams};
use kube::core::{DeserializeGuard, ObjectMeta};
use kube::{Client, Resource};
use portolan_core::class::Classes;
use portolan_core::ids::{Instance, LoadBalancerId, ServiceKey};
use portolan_core::record::Record;
use portolan_core::snapshot::{self, Versioned};
use portolan_metal::Site;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::api::LoadBalancerRecord;
use crate::cli::manifest::{LONGEST_PROBLEM, in_namespace, read, typed};
use crate::cluster::clock::Clock;
use crate::cluster::stored::{StoredPod, StoredService};
use crate::cluster::{connect, metal, project};
use crate::controller::external_ips::ExternalIps;
use crate::controller::index::{Dirty, Event, Index, Object, Observed};
use crate::controller::preview::{PlannedStep, Preview, goes_last, preview};
use crate::providers::{self, Providers};
use crate::yaml;

mod line;

use line::Place;

#[derive(Debug, clap::Args)]
pub(super) struct PlanArguments {
    /// Manifests to plan for instead of a live cluster: YAML or JSON with Services, and with the EndpointSlices, Nodes, Namespaces,
    /// Pods, LoadBalancerRecords, AddressPools, VirtualIPs, L2Advertisements, SpeakerReports, Leases and ServiceCIDRs that bear on them; `-`
    /// reads standard input. What cannot be read is named and left out, and the exit code is 1 then.
    #[arg(short, long = "filename", value_name = "FILES", num_args = 1..)]
    files: Vec<PathBuf>,
    /// Manifests of Namespaces, AddressPools, L2Advertisements and Nodes that stand in for those of the same name: what an edit would do. Of
    /// a Node labels, annotations and taints count, and all else is as it is.
    #[arg(long = "with", value_name = "FILES", num_args = 1..)]
    edits: Vec<PathBuf>,
    #[command(flatten)]
    cluster: connect::ClusterArguments,
    /// The namespace of the Leases by which speakers are alive.
    #[arg(long, value_name = "NAMESPACE", default_value = "kube-system")]
    lease_namespace: String,
    /// The configuration file; without one, the class portolan.dev/mock alone.
    #[arg(long, value_name = "FILE", env = "PORTOLAN_CONFIG")]
    config: Option<PathBuf>,
    /// How to print it.
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    output: Format,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Text,
    Json,
}

/// The objects to plan for.
#[derive(Debug, Default)]
struct Objects {
    services: Vec<StoredService>,
    slices: Vec<EndpointSlice>,
    nodes: Vec<Node>,
    namespaces: Vec<Namespace>,
    pods: Vec<StoredPod>,
    records: Vec<Record>,
    metal: metal::Objects,
    /// When the cluster was like that, if it is a live one.
    seen_at: Option<jiff::Timestamp>,
    /// Services that are there but cannot be read. They are not gone.
    unreadable_services: Vec<ServiceKey>,
    /// How many objects of any kind cannot be read; each was named.
    unreadable: usize,
    /// Kinds that were read over, and how often.
    ignored: BTreeMap<String, usize>,
}

pub(super) fn run(arguments: &PlanArguments, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let configuration = super::configuration(arguments.config.as_deref())?;
    let (previews, moves, unreadable) = super::runtime()?.block_on(async {
        let settings = configuration.settings();
        let classes = configuration.classes;
        let objects = if arguments.files.is_empty() {
            let with_pods = providers::wants_pods(&Providers::dry(classes.instance.clone()), &classes);
            let (client, with_pools) = (arguments.cluster.client().await?, providers::wants_pools(&classes));
            Objects::from_cluster(&client, with_pods, with_pools, &arguments.lease_namespace).await?
        } else {
            Objects::from_files(&arguments.files)?
        };
        let objects = objects.with(Objects::from_files(&arguments.edits)?)?;
        for (kind, count) in &objects.ignored {
            tracing::warn!(
                "{count} of kind {kind} read over: plan looks at Service, EndpointSlice, Node, Namespace, Pod, LoadBalancerRecord, AddressPool, VirtualIP, L2Advertisement, SpeakerReport, Lease, ServiceCIDR"
            );
        }
        let unreadable = objects.unreadable;
        let (site, knows_speakers) = (objects.site(&classes.instance), !objects.metal.reports.is_empty());
        let providers = Providers::dry(classes.instance.clone()).at(site.clone());
        let (index, ids) = objects.index(&classes);
        providers.facts.show_records(index.all_records());
        let numbered = ids.iter().map(|id| index.snapshot(id)).enumerate();
        let (last, mut first): (Vec<_>, Vec<_>) = numbered.partition(|(_, snapshot)| goes_last(snapshot, &classes));
        // Those who wait for what is scarce are served in this order.
        first.sort_by_key(|(_, snapshot)| snapshot.services.values().map(|service| service.object.created).min());
        let mut previews = BTreeMap::new();
        for (number, snapshot) in first.into_iter().chain(last) {
            previews.insert(number, preview(&snapshot, &classes, &settings, &providers).await);
        }
        let moves = if knows_speakers { metal::in_the_end(&site, settings.ignore_exclude_label) } else { Vec::new() };
        let places = line::places(&site);
        let told = previews.into_values().flatten().map(|preview| {
            let waits = places.get(&preview.id).filter(|_| preview.claim == "Claimed").cloned().unwrap_or_default();
            Told { preview, waits }
        });
        anyhow::Ok((told.collect::<Vec<_>>(), moves, unreadable))
    })?;
    match arguments.output {
        Format::Json => writeln!(out, "{}", serde_json::to_string_pretty(&previews)?)?,
        Format::Text => {
            for moves in &moves {
                writeln!(out, "moves {moves}")?;
            }
            print(&previews, out)?;
        }
    }
    Ok(if unreadable == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What is said of a Service.
#[derive(Debug, Serialize)]
struct Told {
    #[serde(flatten)]
    preview: Preview,
    /// For which pools' addresses it waits.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    waits: Vec<Place>,
}

fn print(told: &[Told], out: &mut impl Write) -> std::io::Result<()> {
    for Told { preview, waits } in told {
        let name = preview.service.as_ref().map_or_else(|| preview.id.to_string(), ToString::to_string);
        writeln!(out, "{name}: {} ({})", preview.claim, preview.why)?;
        for refused in &preview.refusals {
            writeln!(out, "  refused {}: {refused}", refused.reason)?;
        }
        for warning in &preview.warnings {
            writeln!(out, "  warning {}: {}", warning.reason, warning.message)?;
        }
        for write in &preview.writes {
            writeln!(out, "  kubernetes: {write}")?;
        }
        for step in &preview.steps {
            match step.when {
                None => writeln!(out, "  step {}: {}", step.name, step.summary)?,
                Some(when) => writeln!(out, "  then, when {when}: {}: {}", step.name, step.summary)?,
            }
        }
        for place in waits {
            writeln!(out, "  waits: {place}")?;
        }
        if let Some(error) = &preview.error {
            writeln!(out, "  error: {error}")?;
        }
        let is_settled = preview.refusals.is_empty() && preview.writes.is_empty() && preview.steps.is_empty();
        if preview.claim == "Claimed" && is_settled && preview.error.is_none() {
            writeln!(out, "  nothing to do")?;
        }
    }
    let previews = || told.iter().map(|told| &told.preview);
    let count = |claim| previews().filter(|preview| preview.claim == claim).count();
    let (later, steps): (Vec<_>, Vec<_>) =
        previews().flat_map(|preview| &preview.steps).partition(|step| step.when.is_some());
    let steps = steps.len();
    let later = if later.is_empty() { String::new() } else { format!(", {} later", later.len()) };
    let allocated = |step: &PlannedStep| step.step.pointer("/listener/targets/nodes/nodePort") == Some(&json!(0));
    if previews().flat_map(|preview| &preview.steps).any(allocated) {
        writeln!(out, "node port 0 stands for one that the server will allocate")?;
    }
    writeln!(
        out,
        "{} claimed, {} not ours, {} to clean up, {steps} steps{later}",
        count("Claimed"),
        count("NotOurs"),
        count("WasOurs")
    )
}

impl Objects {
    async fn from_cluster(
        client: &Client,
        with_pods: bool,
        with_pools: bool,
        lease_namespace: &str,
    ) -> anyhow::Result<Self> {
        let mut objects = Self::default();
        let services = list_all::<StoredService>(client).await.context("cannot list Services")?;
        objects.unreadable_services = services.iter().filter_map(unreadable_service).collect();
        objects.services = objects.readable(services);
        let slices = list_all(client).await.context("cannot list EndpointSlices")?;
        objects.slices = objects.readable(slices);
        let nodes = list_all(client).await.context("cannot list Nodes")?;
        objects.nodes = objects.readable(nodes);
        let namespaces = list_all(client).await.context("cannot list Namespaces")?;
        objects.namespaces = objects.readable(namespaces);
        if with_pods {
            let pods = match list_all(client).await {
                // As the controller does.
                Err(ListError::Call(kube::Error::Api(status))) if matches!(status.code, 403 | 404) => {
                    tracing::warn!("Pods cannot be listed; those that wait for load balancers are left out: {status}");
                    Vec::new()
                }
                result => result.context("cannot list Pods")?,
            };
            objects.pods = objects.readable(pods);
        }
        if with_pools {
            let pools = list_all(client).await.context("cannot list AddressPools")?;
            objects.metal.pools = objects.readable(pools);
            let vips = list_all(client).await.context("cannot list VirtualIPs")?;
            objects.metal.vips = objects.readable(vips);
            let advertisements = list_all(client).await.context("cannot list L2Advertisements")?;
            objects.metal.advertisements = objects.readable(advertisements);
            let reports = list_all(client).await.context("cannot list SpeakerReports")?;
            objects.metal.reports = objects.readable(reports);
            let leases = listed(Api::namespaced(client.clone(), lease_namespace)).await;
            let leases = leases.context("cannot list Leases, which say which speakers are alive")?;
            objects.metal.leases = objects.readable(leases);
            let ranges = match list_all(client).await {
                // As the controller does, on a server without them or without the right.
                Err(ListError::Call(kube::Error::Api(status))) if matches!(status.code, 403 | 404) => {
                    tracing::warn!("ServiceCIDRs cannot be listed; no pool is refused for overlapping one: {status}");
                    Vec::new()
                }
                result => result.context("cannot list ServiceCIDRs")?,
            };
            objects.metal.service_ranges = objects.readable(ranges);
            objects.seen_at = Some(Clock::start().wall());
        }
        let records = match list_all::<LoadBalancerRecord>(client).await {
            // Without our CRD nothing has ever been recorded: a plan for a first installation.
            Err(ListError::Call(kube::Error::Api(status))) if status.code == 404 => Vec::new(),
            result => result.context("cannot list LoadBalancerRecords")?,
        };
        for record in objects.readable(records) {
            let metadata = record.metadata.clone();
            match Record::try_from(record) {
                Ok(record) => objects.records.push(record),
                Err(error) => objects.cannot_read("LoadBalancerRecord", &metadata, &error.problem),
            }
        }
        Ok(objects)
    }

    /// Those that can be read; the others are named.
    fn readable<K: Resource<DynamicType = ()>>(&mut self, listed: Vec<DeserializeGuard<K>>) -> Vec<K> {
        let mut readable = Vec::with_capacity(listed.len());
        for object in listed {
            match object.0 {
                Ok(object) => readable.push(object),
                Err(invalid) => self.cannot_read(&K::kind(&()), &invalid.metadata, &invalid.error),
            }
        }
        readable
    }

    fn cannot_read(&mut self, kind: &str, metadata: &ObjectMeta, problem: &str) {
        let ServiceKey { namespace, name } = project::service_key(metadata);
        let name = if namespace.is_empty() { name } else { format!("{namespace}/{name}") };
        self.leave_out(&format!("{kind} {name}"), problem);
    }

    fn leave_out(&mut self, what: &str, problem: &str) {
        self.unreadable += 1;
        let problem: String = problem.chars().take(LONGEST_PROBLEM).collect(); // it may quote the object
        tracing::error!("{what} cannot be read and is left out: {problem}");
    }

    fn from_files(files: &[PathBuf]) -> anyhow::Result<Self> {
        let mut objects = Self::default();
        for file in files {
            let text = read(file).with_context(|| format!("cannot read {}", file.display()))?;
            for (number, document) in (1..).zip(yaml::each_document(&text)) {
                let place = format!("{}, document {number}", file.display());
                match document {
                    Ok(document) => objects.add(document, &place),
                    Err(error) => objects.leave_out(&place, &error.to_string()),
                }
            }
        }
        Ok(objects)
    }

    /// One that cannot be read is named and left out, as on a live cluster.
    fn add(&mut self, mut document: Value, place: &str) {
        let kind = document.get("kind").and_then(Value::as_str).unwrap_or_default().to_owned();
        if kind.ends_with("List") {
            let items = document.get_mut("items").map(Value::take);
            for (number, item) in (1..).zip(items.as_ref().and_then(Value::as_array).into_iter().flatten()) {
                self.add(item.clone(), &format!("{place}, item {number}"));
            }
            return;
        }
        let service = (kind == "Service").then(|| service_key(&document));
        if let Err(error) = self.add_object(&kind, document) {
            // It is there, so its load balancer is not to go.
            self.unreadable_services.extend(service.filter(|key| !key.name.is_empty()));
            self.leave_out(place, &format!("{error:#}"));
        }
    }

    fn add_object(&mut self, kind: &str, mut document: Value) -> anyhow::Result<()> {
        match kind {
            "Service" => self.services.push(as_applied(&mut document)?),
            "EndpointSlice" => self.slices.push(typed(in_namespace(document.take()))?),
            "Node" => self.nodes.push(typed(document)?),
            "Pod" => self.pods.push(typed(in_namespace(document.take()))?),
            "Namespace" => self.namespaces.push(typed(document)?),
            "LoadBalancerRecord" => self.records.push(typed::<LoadBalancerRecord>(document)?.try_into()?),
            "AddressPool" => self.metal.pools.push(typed(document)?),
            "VirtualIP" => self.metal.vips.push(typed(document)?),
            "L2Advertisement" => self.metal.advertisements.push(typed(document)?),
            "SpeakerReport" => self.metal.reports.push(typed(document)?),
            "Lease" => self.metal.leases.push(typed(document)?),
            "ServiceCIDR" => self.metal.service_ranges.push(typed(document)?),
            "" => anyhow::bail!("a document has no kind; write kind and apiVersion as kubectl wants them"),
            other => *self.ignored.entry(other.to_owned()).or_default() += 1,
        }
        Ok(())
    }

    /// The addresses of the provider metal, as these objects have them.
    fn site(&self, instance: &Instance) -> Site {
        let site = metal::seen(instance, &self.metal, &self.namespaces, &self.nodes, self.seen_at);
        let services: Vec<_> = self.services.iter().cloned().map(project::service).collect();
        let external = ExternalIps::of(services.iter().map(|service| &*service.object));
        site.observe(|world| world.set_external_ips(external));
        site
    }

    /// With these in place of those of the same name.
    fn with(mut self, edits: Self) -> anyhow::Result<Self> {
        let others = [
            edits.services.len(),
            edits.slices.len(),
            edits.pods.len(),
            edits.records.len(),
            edits.metal.vips.len(),
            edits.metal.reports.len(),
            edits.metal.leases.len(),
            edits.metal.service_ranges.len(),
        ];
        anyhow::ensure!(
            others.iter().sum::<usize>() == 0,
            "--with takes Namespaces, AddressPools, L2Advertisements and Nodes; whatever else is to be planned for goes to --filename, with all the rest"
        );
        self.unreadable += edits.unreadable;
        self.ignored.extend(edits.ignored);
        for edit in edits.nodes {
            let before = self.nodes.iter().find(|node| node.metadata.name == edit.metadata.name);
            let edited = before.map_or_else(|| edit.clone(), |before| edited(before, &edit));
            stand_in(&mut self.nodes, edited);
        }
        edits.namespaces.into_iter().for_each(|edit| stand_in(&mut self.namespaces, edit));
        edits.metal.pools.into_iter().for_each(|edit| stand_in(&mut self.metal.pools, edit));
        edits.metal.advertisements.into_iter().for_each(|edit| stand_in(&mut self.metal.advertisements, edit));
        Ok(self)
    }

    /// An index that holds these objects, and the load balancers to look at: those of the Services, then those of which only the
    /// record is left.
    fn index(self, classes: &Classes) -> (Index, Vec<LoadBalancerId>) {
        let services: Vec<_> = self.services.into_iter().map(as_stored).collect();
        let slices = self.slices.into_iter().filter_map(project::slice).map(Arc::new);
        let nodes = self.nodes.into_iter().map(project::node).map(Arc::new);
        let namespaces = self.namespaces.into_iter().map(project::namespace).map(Arc::new);
        let records: Vec<_> = self.records.into_iter().map(Arc::new).collect();
        let pods = self.pods.into_iter().filter_map(project::pod);

        let keys: Vec<ServiceKey> = services.iter().map(|service| service.object.key.clone()).collect();
        let mut index = Index::new(classes.clone());
        list(&mut index, services, self.unreadable_services, Observed::Service);
        list(&mut index, slices, [], Observed::Slice);
        list(&mut index, nodes, [], Observed::Node);
        list(&mut index, namespaces, [], Observed::Namespace);
        list(&mut index, records, [], Observed::Record);
        list(&mut index, pods, [], Observed::Pod);
        let ids = index.everything(&keys);
        (index, ids)
    }
}

/// In place of the one of the same name, or beside the others.
fn stand_in<K: Resource>(all: &mut Vec<K>, edit: K) {
    let is_same = |one: &K| (&one.meta().namespace, &one.meta().name) == (&edit.meta().namespace, &edit.meta().name);
    match all.iter_mut().find(|one| is_same(one)) {
        Some(one) => *one = edit,
        None => all.push(edit),
    }
}

/// The Node with what a person may change of it.
fn edited(before: &Node, edit: &Node) -> Node {
    let mut node = before.clone();
    node.metadata.labels.clone_from(&edit.metadata.labels);
    node.metadata.annotations.clone_from(&edit.metadata.annotations);
    let taints = edit.spec.as_ref().and_then(|spec| spec.taints.clone());
    node.spec.get_or_insert_default().taints = taints;
    node
}

/// Why a list cannot be had.
#[derive(Debug, thiserror::Error)]
enum ListError {
    #[error(transparent)]
    Call(#[from] kube::Error),
    /// An answer of something that is not the API server: taken for an empty list, it would plan removals.
    #[error("the answer is a {answer:?}, not a {wanted}; is there a proxy before the API server?")]
    WrongKind { answer: String, wanted: String },
}

/// All objects of a kind, readable or not.
async fn list_all<K>(client: &Client) -> Result<Vec<DeserializeGuard<K>>, ListError>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug,
{
    listed(Api::all(client.clone())).await
}

/// All of a namespace, or of the cluster.
async fn listed<K>(api: Api<DeserializeGuard<K>>) -> Result<Vec<DeserializeGuard<K>>, ListError>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug,
{
    let list = api.list(&ListParams::default()).await?;
    let wanted = format!("{}List", K::kind(&()));
    if list.types.kind == wanted {
        Ok(list.items)
    } else {
        Err(ListError::WrongKind { answer: list.types.kind, wanted })
    }
}

fn unreadable_service(listed: &DeserializeGuard<StoredService>) -> Option<ServiceKey> {
    listed.0.as_ref().err().map(|invalid| project::service_key(&invalid.metadata))
}

/// Shows one kind to an index as a watch would.
fn list<T: Object>(
    index: &mut Index,
    objects: impl IntoIterator<Item = T>,
    unreadable: impl IntoIterator<Item = T::Name>,
    observed: impl Fn(Event<T>) -> Observed,
) {
    let listed = objects.into_iter().map(Event::InitApply).chain(unreadable.into_iter().map(Event::Unreadable));
    for event in std::iter::once(Event::Init).chain(listed).chain([Event::InitDone]) {
        index.observe(observed(event), &mut Dirty::new());
    }
}

/// The node ports that the server will allocate to a Service that was never applied stand as 0: what only the server knows is not
/// guessed.
fn as_stored(service: StoredService) -> Versioned<snapshot::Service> {
    let allocates = service.spec.as_ref().and_then(|spec| spec.allocate_load_balancer_node_ports) != Some(false);
    let Versioned { version, object } = project::service(service);
    if !allocates || !object.uid.as_str().starts_with(NOT_APPLIED) {
        return Versioned { version, object };
    }
    let mut object = Arc::unwrap_or_clone(object);
    for port in &mut object.ports {
        port.node_port.get_or_insert(0);
    }
    Versioned { version, object: object.into() }
}

/// Namespace and name of a Service in a manifest that may be no Service at all.
fn service_key(document: &Value) -> ServiceKey {
    let text = |pointer| document.pointer(pointer).and_then(Value::as_str);
    ServiceKey::new(text("/metadata/namespace").unwrap_or("default"), text("/metadata/name").unwrap_or_default())
}

/// The UID of a Service that no server has stored yet begins with this.
const NOT_APPLIED: &str = "not-applied.";

/// A Service of a manifest. One that was never applied has no UID; one that the server has given keeps its own.
fn as_applied(document: &mut Value) -> anyhow::Result<StoredService> {
    let mut service: StoredService = typed(in_namespace(document.take()))?;
    let metadata = &mut service.metadata;
    if metadata.uid.is_none() {
        let key = [metadata.namespace.as_deref(), metadata.name.as_deref()].map(Option::unwrap_or_default);
        metadata.uid = Some(format!("{NOT_APPLIED}{}", key.join(".")));
    }
    Ok(service)
}

#[cfg(test)]
mod tests;
