//! The stand-in for the API server: objects in memory, the few requests that a pass makes, and a watch.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt;
use std::sync::{Arc, Mutex};

use http::{Method, Request, Response, Uri};
use http_body_util::BodyExt as _;
use kube::Client;
use kube::client::Body;
use portolan_core::ids::{LoadBalancerId, ResourceVersion};
use portolan_core::record::Record;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::allocated::Allocated;
use super::journal::Journal;
use super::owners;
use crate::api::LoadBalancerRecord;
use crate::cluster::project;
use crate::controller::index::{Event, Observed};
use crate::sandbox::service::{admit, admit_status};

/// Whoever edits by hand.
const USER: &str = "kubectl-edit";

/// Kind, namespace and name of an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Name {
    pub(super) kind: String,
    pub(super) namespace: String,
    pub(super) name: String,
}

impl Name {
    pub(super) fn new(kind: &str, namespace: &str, name: &str) -> Self {
        Self { kind: kind.to_owned(), namespace: namespace.to_owned(), name: name.to_owned() }
    }

    /// From `KIND/NAME`, in the namespace `default`, or `KIND/NAMESPACE/NAME`.
    pub(super) fn parse(text: &str) -> Self {
        match text.split('/').collect::<Vec<_>>().as_slice() {
            [kind, name] => Self::of(kind, "default", name),
            [kind, namespace, name] => Self::of(kind, namespace, name),
            _ => panic!("{text:?} is neither KIND/NAME nor KIND/NAMESPACE/NAME"),
        }
    }

    fn of(kind: &str, namespace: &str, name: &str) -> Self {
        let namespaced = !matches!(kind, "Node" | "Namespace" | "LoadBalancerRecord");
        Self::new(kind, if namespaced { namespace } else { "" }, name)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() { f.write_str(&self.name) } else { write!(f, "{}/{}", self.namespace, self.name) }
    }
}

/// A refusal, as the server words it.
#[derive(Debug)]
pub(super) struct Refused {
    code: u16,
    reason: &'static str,
    message: String,
    name: String,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.code, self.reason, self.message)
    }
}

/// The server. Clones share it.
#[derive(Clone)]
pub(super) struct Server {
    stored: Arc<Mutex<Stored>>,
    journal: Journal,
}

#[derive(Default)]
struct Stored {
    objects: BTreeMap<Name, Value>,
    version: u64,
    /// How often each name has been created.
    created: BTreeMap<Name, u32>,
    allocated: Allocated,
    watch: Watch,
}

/// What a controller that watches is told.
#[derive(Default)]
enum Watch {
    #[default]
    Nobody,
    /// Kept back, so that a controller sees what a step comes to; of each object the last that is to be told.
    Held(mpsc::Sender<Observed>, Vec<(Option<Name>, Observed)>),
    Flowing(mpsc::Sender<Observed>),
}

type Answer = Result<Value, Refused>;

impl Server {
    pub(super) fn new(journal: Journal) -> Self {
        Self { stored: Arc::default(), journal }
    }

    /// A client of it.
    pub(super) fn client(&self) -> Client {
        let server = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let server = server.clone();
            async move {
                let (parts, body) = request.into_parts();
                let body = body.collect().await.unwrap().to_bytes();
                let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
                let (code, answer) = match server.answer(&parts.method, &parts.uri, body) {
                    Ok(object) => (200, object),
                    Err(refused) => (refused.code, refused.status()),
                };
                let response = Response::builder().status(code).body(Body::from(answer.to_string().into_bytes()));
                Ok::<_, Infallible>(response.unwrap())
            }
        });
        Client::new(service, "default")
    }

    /// All objects of a kind, by name.
    pub(super) fn list(&self, kind: &str) -> Vec<(Name, Value)> {
        let stored = self.stored.lock().unwrap();
        let of_kind = stored.objects.iter().filter(|(name, _)| name.kind == kind);
        of_kind.map(|(name, object)| (name.clone(), object.clone())).collect()
    }

    /// From now on this watch is told, after a list of everything.
    pub(super) fn watched_by(&self, watch: mpsc::Sender<Observed>) {
        let mut stored = self.stored.lock().unwrap();
        let everything = stored.everything().into_iter().map(|observed| (None, observed)).collect();
        stored.watch = Watch::Held(watch, everything);
    }

    /// Nobody watches any more.
    pub(super) fn unwatched(&self) {
        self.stored.lock().unwrap().watch = Watch::Nobody;
    }

    /// Keeps back what the watch should be told.
    pub(super) fn hold(&self) {
        let mut stored = self.stored.lock().unwrap();
        stored.watch = match std::mem::take(&mut stored.watch) {
            Watch::Flowing(watch) => Watch::Held(watch, Vec::new()),
            other @ (Watch::Nobody | Watch::Held(..)) => other,
        };
    }

    /// What has happened so far will be told, also where it is not the last word about an object.
    pub(super) fn seen(&self) {
        if let Watch::Held(_, held) = &mut self.stored.lock().unwrap().watch {
            held.iter_mut().for_each(|(name, _)| *name = None);
        }
    }

    /// Tells the watch what was kept back, and all that comes.
    pub(super) fn flow(&self) {
        let mut stored = self.stored.lock().unwrap();
        stored.watch = match std::mem::take(&mut stored.watch) {
            Watch::Held(watch, held) => {
                held.into_iter().for_each(|(_, observed)| watch.try_send(observed).unwrap());
                Watch::Flowing(watch)
            }
            other @ (Watch::Nobody | Watch::Flowing(_)) => other,
        };
    }

    /// Everything as a controller that begins to watch is told.
    pub(super) fn everything(&self) -> Vec<Observed> {
        self.stored.lock().unwrap().everything()
    }

    /// A user creates an object; slices, nodes and records are replaced if they exist.
    pub(super) fn create(&self, mut object: Value) -> Result<(), Refused> {
        let kind = object["kind"].as_str().unwrap_or_default().to_owned();
        let namespace = object["metadata"]["namespace"].as_str().unwrap_or("default").to_owned();
        let name = Name::of(&kind, &namespace, object["metadata"]["name"].as_str().unwrap_or_default());
        if !name.namespace.is_empty() {
            object["metadata"]["namespace"] = namespace.into();
        }
        let mut stored = self.stored.lock().unwrap();
        match stored.objects.get(&name).cloned() {
            Some(old) if kind != "Service" => {
                object["metadata"]["uid"] = old["metadata"]["uid"].clone();
                stored.put(&name, object);
                Ok(())
            }
            _ => stored.create(&name, object).map(drop),
        }
    }

    /// An object lies there as it is, whatever the server would have made of it.
    pub(super) fn lay(&self, name: &Name, object: Value) {
        self.stored.lock().unwrap().put(name, object);
    }

    /// An object as it is now.
    pub(super) fn get(&self, name: &Name) -> Option<Value> {
        self.stored.lock().unwrap().objects.get(name).cloned()
    }

    /// A user edits an object, or its status.
    pub(super) fn patch(&self, name: &Name, patch: Value, status: bool) -> Result<(), Refused> {
        let mut stored = self.stored.lock().unwrap();
        if status { stored.patch_status(name, patch, USER) } else { stored.patch(name, patch) }.map(drop)
    }

    /// A user deletes an object.
    pub(super) fn delete(&self, name: &Name) -> Result<(), Refused> {
        self.stored.lock().unwrap().delete(name, &Value::Null).map(drop)
    }

    fn answer(&self, method: &Method, uri: &Uri, body: Value) -> Answer {
        let path = uri.path();
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        let mut stored = self.stored.lock().unwrap();
        match (method.as_str(), parts.as_slice()) {
            ("PATCH", ["api", "v1", "namespaces", namespace, "services", name, "status"]) => {
                let name = Name::new("Service", namespace, name);
                let old = stored.objects.get(&name).cloned().unwrap_or_default();
                let manager =
                    uri.query().and_then(|query| query.split('&').find_map(|it| it.strip_prefix("fieldManager=")));
                let answer = stored.patch_status(&name, body, manager.unwrap_or_default());
                self.note(&describe_service(&name, &old, answer.as_ref().ok()), &answer);
                answer
            }
            ("GET", ["api", "v1", "namespaces", namespace, "services"]) => {
                let asked = uri.query().and_then(|query| query.split_once("metadata.name%3D")).map(|(_, name)| name);
                let items: Vec<Value> =
                    asked.into_iter().flat_map(|name| stored.get(&Name::new("Service", namespace, name))).collect();
                Ok(json!({"kind": "ServiceList", "apiVersion": "v1", "metadata": {}, "items": items}))
            }
            ("GET", ["api", "v1", "namespaces", namespace, "events", name]) => {
                stored.get(&Name::new("Event", namespace, name))
            }
            ("POST", ["api", "v1", "namespaces", namespace, "events"]) => {
                let name = Name::new("Event", namespace, body["metadata"]["name"].as_str().unwrap_or_default());
                let on = body["involvedObject"]["name"].as_str().unwrap_or_default();
                let said = ["type", "reason", "message"].map(|field| body[field].as_str().unwrap_or_default());
                let line = format!("event on {namespace}/{on}: {} {}: {}", said[0], said[1], said[2]);
                let answer = stored.create(&name, body);
                self.note(&line, &answer);
                answer
            }
            ("GET", ["api", "v1", "namespaces"]) => {
                let of_kind = stored.objects.iter().filter(|(name, _)| name.kind == "Namespace");
                let items: Vec<&Value> = of_kind.map(|(_, namespace)| namespace).collect();
                Ok(json!({"kind": "NamespaceList", "apiVersion": "v1", "metadata": {}, "items": items}))
            }
            ("GET", [.., "v1alpha1", "loadbalancerrecords", name]) => {
                stored.get(&Name::new("LoadBalancerRecord", "", name))
            }
            ("POST", [.., "v1alpha1", "loadbalancerrecords"]) => {
                let name = Name::new("LoadBalancerRecord", "", body["metadata"]["name"].as_str().unwrap_or_default());
                let line = format!("record {name} created: {}", describe_record(&body));
                let answer = stored.create(&name, body);
                self.note(&line, &answer);
                answer
            }
            ("PUT", [.., "v1alpha1", "loadbalancerrecords", name]) => {
                let name = Name::new("LoadBalancerRecord", "", name);
                let line = format!("record {name} replaced: {}", describe_record(&body));
                let answer = stored.replace(&name, body);
                self.note(&line, &answer);
                answer
            }
            ("DELETE", [.., "v1alpha1", "loadbalancerrecords", name]) => {
                let name = Name::new("LoadBalancerRecord", "", name);
                let answer = stored.delete(&name, &body["preconditions"]);
                self.note(&format!("record {name} deleted"), &answer);
                answer
            }
            (method, _) => {
                let line = format!("{method} {path}: this stand-in knows no such request");
                self.journal.note(line.clone());
                Err(Refused { code: 501, reason: "NotImplemented", message: line, name: String::new() })
            }
        }
    }

    fn note(&self, line: &str, answer: &Answer) {
        self.journal.note(match answer {
            Ok(_) => line.to_owned(),
            Err(refused) => format!("{line} -> {refused}"),
        });
    }
}

impl Stored {
    fn get(&self, name: &Name) -> Answer {
        self.objects.get(name).cloned().ok_or_else(|| Refused::not_found(name))
    }

    fn create(&mut self, name: &Name, mut object: Value) -> Answer {
        if self.objects.contains_key(name) {
            return Err(Refused::new(409, "AlreadyExists", name, "it exists already"));
        }
        if name.kind == "Service" {
            admit(&mut object, None, &mut self.allocated, false)
                .map_err(|why| Refused::invalid(name, why.to_string()))?;
            owners::keep(&Value::Null, &mut object, USER);
        }
        let times = self.created.entry(name.clone()).or_default();
        *times += 1;
        let uid = format!("uid-of-{}{}", name.name, if *times == 1 { String::new() } else { format!("-{times}") });
        object["metadata"]["uid"] = uid.into();
        object["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z".into();
        Ok(self.put(name, object))
    }

    fn patch(&mut self, name: &Name, patch: Value) -> Answer {
        let old = self.get(name)?;
        let mut object = merged(old.clone(), patch);
        if name.kind == "Service" {
            object["status"] = old["status"].clone();
            admit(&mut object, Some(&old), &mut self.allocated, false)
                .map_err(|why| Refused::invalid(name, why.to_string()))?;
            owners::keep(&old, &mut object, USER);
        }
        Ok(self.put(name, object))
    }

    /// Takes status and metadata, and no spec.
    fn patch_status(&mut self, name: &Name, mut patch: Value, manager: &str) -> Answer {
        let old = self.get(name)?;
        for field in ["resourceVersion", "uid"] {
            let metadata = patch.get_mut("metadata").and_then(Value::as_object_mut);
            let wanted = metadata.and_then(|metadata| metadata.remove(field));
            if wanted.is_some_and(|wanted| wanted != old["metadata"][field]) {
                return Err(Refused::conflict(name));
            }
        }
        patch.as_object_mut().map(|patch| patch.remove("spec"));
        let mut object = merged(old.clone(), patch);
        let finalizers = |object: &Value| object["metadata"]["finalizers"].as_array().cloned().unwrap_or_default();
        let before = finalizers(&old);
        let new = finalizers(&object).into_iter().any(|finalizer| !before.contains(&finalizer));
        if new && !old["metadata"]["deletionTimestamp"].is_null() {
            let why = "metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted";
            return Err(Refused::invalid(name, why.into()));
        }
        admit_status(&mut object, false).map_err(|why| Refused::invalid(name, why.to_string()))?;
        owners::keep(&old, &mut object, manager);
        Ok(self.put(name, object))
    }

    fn replace(&mut self, name: &Name, mut object: Value) -> Answer {
        let old = self.get(name)?;
        if object["metadata"]["resourceVersion"] != old["metadata"]["resourceVersion"] {
            return Err(Refused::conflict(name));
        }
        object["metadata"]["uid"] = old["metadata"]["uid"].clone();
        Ok(self.put(name, object))
    }

    /// Deletes, or with finalizers only says that it shall be.
    fn delete(&mut self, name: &Name, preconditions: &Value) -> Answer {
        let mut object = self.get(name)?;
        let version = &preconditions["resourceVersion"];
        if !version.is_null() && version != &object["metadata"]["resourceVersion"] {
            return Err(Refused::conflict(name));
        }
        if object["metadata"]["deletionTimestamp"].is_null() {
            object["metadata"]["deletionTimestamp"] = "2026-01-02T00:00:00Z".into();
        }
        self.put(name, object);
        Ok(json!({"kind": "Status", "apiVersion": "v1", "status": "Success"}))
    }

    /// Stores an object and tells the watch. One that is to be deleted goes with its last finalizer.
    fn put(&mut self, name: &Name, mut object: Value) -> Value {
        let version = |object: &Value| object["metadata"]["resourceVersion"].clone();
        if let Some(old) = self.objects.get(name) {
            object["metadata"]["resourceVersion"] = version(old);
            if &object == old {
                return object;
            }
        }
        self.version += 1;
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        let finalizers = object["metadata"]["finalizers"].as_array().map_or(0, Vec::len);
        let gone = !object["metadata"]["deletionTimestamp"].is_null() && finalizers == 0;
        if gone {
            self.objects.remove(name);
        } else {
            self.objects.insert(name.clone(), object.clone());
        }
        let observed = observed(name, &object, gone);
        match &mut self.watch {
            Watch::Nobody => {}
            Watch::Held(_, held) => {
                // An object that went is another one when it comes back, so its end is told.
                if !gone {
                    held.retain(|(of, _)| of.as_ref() != Some(name));
                }
                let name = (!gone).then(|| name.clone());
                held.extend(observed.map(|observed| (name, observed)));
            }
            Watch::Flowing(watch) => observed.into_iter().for_each(|observed| watch.try_send(observed).unwrap()),
        }
        object
    }

    fn everything(&self) -> Vec<Observed> {
        let mut all = vec![
            Observed::Service(Event::Init),
            Observed::Slice(Event::Init),
            Observed::Node(Event::Init),
            Observed::Record(Event::Init),
            Observed::Namespace(Event::Init),
        ];
        all.extend(self.objects.iter().filter_map(|(name, object)| observed(name, object, false)).map(listed));
        all.extend([
            Observed::Service(Event::InitDone),
            Observed::Slice(Event::InitDone),
            Observed::Node(Event::InitDone),
            Observed::Record(Event::InitDone),
            Observed::Namespace(Event::InitDone),
        ]);
        all
    }
}

impl Refused {
    fn new(code: u16, reason: &'static str, name: &Name, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), name: name.name.clone() }
    }

    fn not_found(name: &Name) -> Self {
        Self::new(404, "NotFound", name, "there is no such object")
    }

    fn conflict(name: &Name) -> Self {
        Self::new(409, "Conflict", name, "the object has been modified")
    }

    fn invalid(name: &Name, why: String) -> Self {
        Self::new(422, "Invalid", name, why)
    }

    fn status(&self) -> Value {
        json!({
            "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": self.code, "reason": self.reason,
            "message": self.message, "details": {"name": self.name},
        })
    }
}

/// What the watch says of an object, as `cluster::watch` reads it; nothing of kinds that are not watched.
fn observed(name: &Name, object: &Value, gone: bool) -> Option<Observed> {
    let object = object.clone();
    match name.kind.as_str() {
        "Service" => {
            let service = project::service(serde_json::from_value(object).unwrap());
            let (key, version) = (service.object.key.clone(), service.version.clone());
            Some(Observed::Service(if gone { Event::Delete(key, version) } else { Event::Apply(service) }))
        }
        "EndpointSlice" => {
            let slice: k8s_openapi::api::discovery::v1::EndpointSlice = serde_json::from_value(object).unwrap();
            let (name, version) = (project::slice_name(&slice.metadata), project::version(&slice.metadata));
            let slice = project::slice(slice).filter(|_| !gone);
            Some(Observed::Slice(slice.map_or(Event::Delete(name, version), |slice| Event::Apply(Arc::new(slice)))))
        }
        "Node" => {
            let node: k8s_openapi::api::core::v1::Node = serde_json::from_value(object).unwrap();
            let (name, version) = (project::node_name(&node.metadata), project::version(&node.metadata));
            let event = if gone { Event::Delete(name, version) } else { Event::Apply(Arc::new(project::node(node))) };
            Some(Observed::Node(event))
        }
        "Namespace" => {
            let namespace: k8s_openapi::api::core::v1::Namespace = serde_json::from_value(object).unwrap();
            let version = project::version(&namespace.metadata);
            Some(Observed::Namespace(if gone {
                Event::Delete(name.name.clone(), version)
            } else {
                Event::Apply(Arc::new(project::namespace(namespace)))
            }))
        }
        "LoadBalancerRecord" => {
            let stored: LoadBalancerRecord = serde_json::from_value(object).unwrap();
            let version = ResourceVersion::new(stored.metadata.resource_version.clone().unwrap_or_default());
            let event = if gone {
                Event::Delete(LoadBalancerId::new(name.name.clone()), version)
            } else {
                Event::Apply(Arc::new(Record::try_from(stored).unwrap()))
            };
            Some(Observed::Record(event))
        }
        _ => None,
    }
}

/// The same as part of a list.
fn listed(observed: Observed) -> Observed {
    fn listed<T: crate::controller::index::Object>(event: Event<T>) -> Event<T> {
        if let Event::Apply(object) = event { Event::InitApply(object) } else { event }
    }
    match observed {
        Observed::Service(event) => Observed::Service(listed(event)),
        Observed::Slice(event) => Observed::Slice(listed(event)),
        Observed::Node(event) => Observed::Node(listed(event)),
        Observed::Record(event) => Observed::Record(listed(event)),
        Observed::Namespace(event) => Observed::Namespace(listed(event)),
        Observed::Pod(event) => Observed::Pod(listed(event)),
    }
}

/// A JSON merge patch (RFC 7386).
pub(super) fn merged(target: Value, patch: Value) -> Value {
    let Value::Object(changes) = patch else { return patch };
    let mut merged_fields = if let Value::Object(fields) = target { fields } else { serde_json::Map::new() };
    for (key, change) in changes {
        if change.is_null() {
            merged_fields.remove(&key);
        } else {
            let old = merged_fields.remove(&key).unwrap_or_default();
            merged_fields.insert(key, merged(old, change));
        }
    }
    Value::Object(merged_fields)
}

/// What a write to a Service's status changes.
fn describe_service(name: &Name, old: &Value, new: Option<&Value>) -> String {
    let Some(new) = new else { return format!("status of {name}") };
    let mut changes = Vec::new();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let finalizers = |object: &Value| list(&object["metadata"]["finalizers"]).iter().map(text).collect::<Vec<_>>();
    if finalizers(old) != finalizers(new) {
        changes.push(format!("finalizers [{}]", finalizers(new).join(", ")));
    }
    let ingress = |object: &Value| object.pointer("/status/loadBalancer/ingress").map(list).unwrap_or_default();
    if ingress(old) != ingress(new) {
        let entries: Vec<String> = ingress(new).iter().map(super::report::ingress).collect();
        changes.push(format!("ingress [{}]", entries.join(", ")));
    }
    let conditions = |object: &Value| list(&object["status"]["conditions"]);
    for condition in conditions(new) {
        if !conditions(old).contains(&condition) {
            let short = text(&condition["type"]).replace("portolan.dev/", "");
            changes.push(format!("{short} {} {}", text(&condition["status"]), text(&condition["reason"])));
        }
    }
    for condition in conditions(old) {
        if !conditions(new).iter().any(|other| other["type"] == condition["type"]) {
            changes.push(format!("no {}", text(&condition["type"]).replace("portolan.dev/", "")));
        }
    }
    format!("service {name}: {}", if changes.is_empty() { "nothing new".to_owned() } else { changes.join(", ") })
}

fn describe_record(record: &Value) -> String {
    let spec = &record["spec"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = spec["members"].as_array().cloned().unwrap_or_default();
    let members: Vec<String> = list.iter().map(|one| text(&one["name"])).collect();
    let mut claimed: Vec<String> = list.iter().map(|one| text(&one["claimedBy"])).collect();
    claimed.dedup();
    let object = |field: &str| spec[field].as_object().map(|it| format!(", {field} {}", Value::Object(it.clone())));
    format!(
        "{} by {}, serves {}{}{}",
        text(&spec["class"]),
        claimed.join(", "),
        members.join(", "),
        object("terms").unwrap_or_default(),
        object("external").unwrap_or_default()
    )
}
