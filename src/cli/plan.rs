//! `portolan plan`: claim, refusals and steps for every Service, from files or from a live cluster. Writes nothing.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
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
use portolan_core::ids::{LoadBalancerId, ServiceKey};
use portolan_core::record::Record;
use portolan_core::snapshot::{self, Versioned};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::api::LoadBalancerRecord;
use crate::cluster::stored::StoredService;
use crate::cluster::{connect, project};
use crate::controller::index::{Dirty, Event, Index, Object, Observed};
use crate::controller::preview::{PlannedStep, Preview, preview};
use crate::providers::Providers;
use crate::yaml;

#[derive(Debug, clap::Args)]
pub(super) struct PlanArguments {
    /// Manifests to plan for instead of a live cluster: YAML or JSON with Services, and with the EndpointSlices, Nodes, Namespaces
    /// and LoadBalancerRecords that bear on them; `-` reads standard input. What cannot be read is named and left out, and the exit
    /// code is 1 then.
    #[arg(short, long = "filename", value_name = "FILES", num_args = 1..)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    cluster: connect::ClusterArguments,
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
    records: Vec<Record>,
    /// Services that are there but cannot be read. They are not gone.
    unreadable_services: Vec<ServiceKey>,
    /// How many objects of any kind cannot be read; each was named.
    unreadable: usize,
    /// Kinds that were read over, and how often.
    ignored: std::collections::BTreeMap<String, usize>,
}

pub(super) fn run(arguments: &PlanArguments, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let configuration = super::configuration(arguments.config.as_deref())?;
    let (previews, unreadable) = super::runtime()?.block_on(async {
        let objects = if arguments.files.is_empty() {
            Objects::from_cluster(&arguments.cluster.client().await?).await?
        } else {
            Objects::from_files(&arguments.files)?
        };
        for (kind, count) in &objects.ignored {
            tracing::warn!(
                "{count} of kind {kind} read over: plan looks at Service, EndpointSlice, Node, Namespace, LoadBalancerRecord"
            );
        }
        let settings = configuration.settings();
        let classes = configuration.classes;
        let providers = Providers::dry(classes.instance.clone());
        let unreadable = objects.unreadable;
        let (index, ids) = objects.index(&classes);
        let mut previews = Vec::new();
        for id in ids {
            previews.extend(preview(&index.snapshot(&id), &classes, &settings, &providers).await);
        }
        anyhow::Ok((previews, unreadable))
    })?;
    match arguments.output {
        Format::Json => writeln!(out, "{}", serde_json::to_string_pretty(&previews)?)?,
        Format::Text => print(&previews, out)?,
    }
    Ok(if unreadable == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn print(previews: &[Preview], out: &mut impl Write) -> std::io::Result<()> {
    for preview in previews {
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
            writeln!(out, "  step {}: {}", step.name, step.summary)?;
        }
        if let Some(error) = &preview.error {
            writeln!(out, "  error: {error}")?;
        }
        let is_settled = preview.refusals.is_empty() && preview.writes.is_empty() && preview.steps.is_empty();
        if preview.claim == "Claimed" && is_settled && preview.error.is_none() {
            writeln!(out, "  nothing to do")?;
        }
    }
    let count = |claim| previews.iter().filter(|preview| preview.claim == claim).count();
    let steps: usize = previews.iter().map(|preview| preview.steps.len()).sum();
    let allocated = |step: &PlannedStep| step.step.pointer("/listener/targets/nodes/nodePort") == Some(&json!(0));
    if previews.iter().flat_map(|preview| &preview.steps).any(allocated) {
        writeln!(out, "node port 0 stands for one that the server will allocate")?;
    }
    writeln!(
        out,
        "{} claimed, {} not ours, {} to clean up, {steps} steps",
        count("Claimed"),
        count("NotOurs"),
        count("WasOurs")
    )
}

impl Objects {
    async fn from_cluster(client: &Client) -> anyhow::Result<Self> {
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
            "EndpointSlice" => self.slices.push(in_namespace(&mut document)?),
            "Node" => self.nodes.push(typed(document)?),
            "Namespace" => self.namespaces.push(typed(document)?),
            "LoadBalancerRecord" => self.records.push(typed::<LoadBalancerRecord>(document)?.try_into()?),
            "" => anyhow::bail!("a document has no kind; write kind and apiVersion as kubectl wants them"),
            other => *self.ignored.entry(other.to_owned()).or_default() += 1,
        }
        Ok(())
    }

    /// An index that holds these objects, and the load balancers to look at: those of the Services, then those of which only the
    /// record is left.
    fn index(self, classes: &Classes) -> (Index, Vec<LoadBalancerId>) {
        let services: Vec<_> = self.services.into_iter().map(as_stored).collect();
        let slices = self.slices.into_iter().filter_map(project::slice).map(Arc::new);
        let nodes = self.nodes.into_iter().map(project::node).map(Arc::new);
        let namespaces = self.namespaces.into_iter().map(project::namespace).map(Arc::new);
        let records: Vec<_> = self.records.into_iter().map(Arc::new).collect();

        let keys: Vec<ServiceKey> = services.iter().map(|service| service.object.key.clone()).collect();
        let mut index = Index::new(classes.clone());
        list(&mut index, services, self.unreadable_services, Observed::Service);
        list(&mut index, slices, [], Observed::Slice);
        list(&mut index, nodes, [], Observed::Node);
        list(&mut index, namespaces, [], Observed::Namespace);
        list(&mut index, records, [], Observed::Record);
        let ids = index.everything(&keys);
        (index, ids)
    }
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
    let list = Api::<DeserializeGuard<K>>::all(client.clone()).list(&ListParams::default()).await?;
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

fn read(file: &Path) -> std::io::Result<String> {
    if file == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text)?;
        return Ok(text);
    }
    std::fs::read_to_string(file)
}

fn typed<K: DeserializeOwned>(document: Value) -> anyhow::Result<K> {
    let name = format!(
        "{} {}",
        document.get("kind").and_then(Value::as_str).unwrap_or("object"),
        document.pointer("/metadata/name").and_then(Value::as_str).unwrap_or("without a name")
    );
    serde_path_to_error::deserialize(document).map_err(|error| anyhow::anyhow!("{name}: {error}"))
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

/// What the server fills in when a namespace is missing.
fn in_namespace<K: DeserializeOwned>(document: &mut Value) -> anyhow::Result<K> {
    if let Some(metadata) = document.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.entry("namespace").or_insert_with(|| json!("default"));
    }
    typed(document.take())
}

/// Characters of what is said about an object that cannot be read.
const LONGEST_PROBLEM: usize = 300;
/// The UID of a Service that no server has stored yet begins with this.
const NOT_APPLIED: &str = "not-applied.";

/// A Service of a manifest. One that was never applied has no UID; one that the server has given keeps its own.
fn as_applied(document: &mut Value) -> anyhow::Result<StoredService> {
    let mut service: StoredService = in_namespace(document)?;
    let metadata = &mut service.metadata;
    if metadata.uid.is_none() {
        let key = [metadata.namespace.as_deref(), metadata.name.as_deref()].map(Option::unwrap_or_default);
        metadata.uid = Some(format!("{NOT_APPLIED}{}", key.join(".")));
    }
    Ok(service)
}

#[cfg(test)]
mod tests;
