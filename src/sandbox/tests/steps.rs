//! Writes, one after the other, and what a server answers them: asked of the sandbox here, and of the real server by the suite
//! (tests/suite/managed.rs), which shares this file.

use serde_json::{Map, Value, json};

/// The kinds that steps write, with their group's path; the last two have a definition.
const KINDS: [(&str, &str, &str, &str); 10] = [
    ("ConfigMap", "v1", "api/v1", "configmaps"),
    ("EndpointSlice", "discovery.k8s.io/v1", "apis/discovery.k8s.io/v1", "endpointslices"),
    ("Event", "v1", "api/v1", "events"),
    ("Lease", "coordination.k8s.io/v1", "apis/coordination.k8s.io/v1", "leases"),
    ("Namespace", "v1", "api/v1", "namespaces"),
    ("Node", "v1", "api/v1", "nodes"),
    ("Secret", "v1", "api/v1", "secrets"),
    ("Service", "v1", "api/v1", "services"),
    ("Gadget", "managed.example.com/v1", "apis/managed.example.com/v1", "gadgets"),
    ("LoadBalancerRecord", "portolan.dev/v1alpha1", "apis/portolan.dev/v1alpha1", "loadbalancerrecords"),
];

/// Kinds without a namespace.
const CLUSTER_WIDE: [&str; 3] = ["Namespace", "Node", "LoadBalancerRecord"];

/// A server, and the part of it that is this run's own.
pub(crate) trait Server {
    fn send(&self, request: &Request) -> (u16, Value);
    fn namespace(&self) -> &str;
}

/// One request.
pub(crate) struct Request {
    pub(crate) method: &'static str,
    pub(crate) path: String,
    pub(crate) content_type: &'static str,
    pub(crate) agent: String,
    pub(crate) body: Value,
}

/// What a step is about: one object.
pub(crate) struct Subject<'a> {
    kind: &'a str,
    api_version: &'static str,
    /// With what makes it this run's own.
    name: String,
    namespace: String,
    collection: String,
}

impl<'a> Subject<'a> {
    pub(crate) fn new(server: &impl Server, kind: &'a str, name: &str) -> Self {
        let (_, api_version, group, plural) = KINDS.into_iter().find(|one| one.0 == kind).expect("a known kind");
        let namespace = server.namespace();
        if CLUSTER_WIDE.contains(&kind) {
            let (name, collection) = (format!("{namespace}.{name}").replace('.', "-"), format!("/{group}/{plural}"));
            return Self { kind, api_version, name, namespace: namespace.to_owned(), collection };
        }
        let collection = format!("/{group}/namespaces/{namespace}/{plural}");
        Self { kind, api_version, name: name.to_owned(), namespace: namespace.to_owned(), collection }
    }

    pub(crate) fn path(&self) -> String {
        format!("{}/{}", self.collection, self.name)
    }

    /// The request of a step: `{VERB: body, ...}` with `by` (the field manager), `agent`, `status`, `query`.
    pub(crate) fn request(&self, step: &Value) -> Request {
        let (verb, method, content_type) = [
            ("create", "POST", "application/json"),
            ("replace", "PUT", "application/json"),
            ("merge", "PATCH", "application/merge-patch+json"),
            ("json", "PATCH", "application/json-patch+json"),
            ("strategic", "PATCH", "application/strategic-merge-patch+json"),
            ("apply", "PATCH", "application/apply-patch+yaml"),
            ("delete", "DELETE", "application/json"),
            ("get", "GET", "application/json"),
        ]
        .into_iter()
        .find(|(verb, ..)| step.get(verb).is_some())
        .unwrap_or_else(|| panic!("no verb in {step}"));
        let body = step[verb].to_string().replace("NAMESPACE", &self.namespace);
        let mut body: Value = serde_json::from_str(&body).expect("a namespace needs no escape");
        if matches!(verb, "create" | "replace" | "apply") {
            // A step may say something else, and null says nothing.
            let mut whole = json!({"apiVersion": self.api_version, "kind": self.kind, "metadata": {"name": self.name}});
            merge(&mut whole, &body);
            body = whole;
        }
        let mut query: Vec<String> =
            step["by"].as_str().map(|manager| format!("fieldManager={manager}")).into_iter().collect();
        query.extend(step["query"].as_str().map(str::to_owned));
        let mut path = if verb == "create" { self.collection.clone() } else { self.path() };
        if step["status"] == true {
            path.push_str("/status");
        }
        if !query.is_empty() {
            path = format!("{path}?{}", query.join("&"));
        }
        let agent = step["agent"].as_str().unwrap_or("steps/1.0").to_owned();
        Request { method, path, content_type, agent, body: if verb == "get" { Value::Null } else { body } }
    }
}

/// RFC 7386.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(changes) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    for (name, change) in changes {
        if change.is_null() {
            target.as_object_mut().map(|fields| fields.remove(name));
        } else {
            merge(&mut target[name.as_str()], change);
        }
    }
}

/// What became of a step, without what differs from server to server and from run to run.
pub(crate) fn outcome(
    server: &impl Server,
    subject: &Subject<'_>,
    before: Option<&Value>,
    answer: &(u16, Value),
) -> Value {
    let (code, body) = answer;
    if *code >= 300 {
        let mut causes: Vec<Value> = body["details"]["causes"].as_array().cloned().unwrap_or_default();
        causes.sort_by_key(ToString::to_string);
        let mut message = body["message"].as_str().unwrap_or_default().to_owned();
        // Of several managers the server names the fields of each together, in an order by chance.
        if message.starts_with("Apply failed with") {
            let broken = message.replacen("conflicts: ", "conflicts:\n", 1);
            let mut lines: Vec<&str> = broken.lines().collect();
            lines.sort_unstable();
            message = lines.join("\n");
        }
        let failure = json!({"code": code, "reason": body["reason"], "message": message, "causes": causes});
        return own(server, subject, &failure);
    }
    let mut object = body.clone();
    let owners = object["metadata"]["managedFields"].take();
    let version = |object: &Value| object["metadata"]["resourceVersion"].clone();
    let wrote = before.is_none_or(|before| version(before) != version(body));
    if let Some(metadata) = object["metadata"].as_object_mut() {
        for field in
            ["uid", "creationTimestamp", "resourceVersion", "managedFields", "name", "namespace", "deletionTimestamp"]
        {
            metadata.remove(field);
        }
    }
    if let Some(details) = object["details"].as_object_mut() {
        details.remove("uid");
    }
    if object["details"].is_null()
        && let Some(fields) = object.as_object_mut()
    {
        fields.remove("details");
    }
    allocated(&mut object);
    own(server, subject, &json!({"code": code, "wrote": wrote, "owners": readable(&owners), "object": object}))
}

/// Numbers and addresses that the server chose.
fn allocated(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                match name.as_str() {
                    "clusterIP" | "nodePort" | "healthCheckNodePort" if !field.is_null() && field != "None" => {
                        *field = "*".into();
                    }
                    "clusterIPs" => *field = field.as_array().map(Vec::len).into(),
                    "lastTransitionTime" => {}
                    _ => allocated(field),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(allocated),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// An entry as `MANAGER OPERATION VERSION [SUBRESOURCE]`, and the fields that it has, one a line. The times differ from run to run; that
/// there is none does not.
fn readable(owners: &Value) -> Value {
    let mut entries = Map::new();
    for entry in owners.as_array().into_iter().flatten() {
        let text = |field: &str| entry[field].as_str().unwrap_or_default();
        let mut title = format!("{} {} {}", text("manager"), text("operation"), text("apiVersion"));
        if !text("subresource").is_empty() {
            title = format!("{title} {}", text("subresource"));
        }
        if text("time").is_empty() {
            title = format!("{title}, no time");
        }
        let mut fields = Vec::new();
        paths(&entry["fieldsV1"], "", &mut fields);
        fields.sort();
        entries.insert(title, fields.into());
    }
    Value::Object(entries)
}

fn paths(fields: &Value, at: &str, all: &mut Vec<String>) {
    for (name, below) in fields.as_object().into_iter().flatten() {
        if name == "." {
            all.push(at.to_owned());
            continue;
        }
        // Keys in one order of their fields.
        let name = name.strip_prefix("k:").map_or_else(
            || name.clone(),
            |key| serde_json::from_str::<Value>(key).map_or_else(|_| name.clone(), |key| format!("k:{key}")),
        );
        let at = if at.is_empty() { name } else { format!("{at}/{name}") };
        if below.as_object().is_some_and(Map::is_empty) {
            all.push(at);
        } else {
            paths(below, &at, all);
        }
    }
}

/// Names of this run by a name that all runs have.
fn own(server: &impl Server, subject: &Subject<'_>, outcome: &Value) -> Value {
    let text = outcome.to_string().replace(&subject.name, "NAME").replace(server.namespace(), "NAMESPACE");
    serde_json::from_str(&text).expect("names need no escape")
}

/// Carries out the steps of a rule, each on the object that it names (`of`, else `a`) of the rule's kind (else its own), and hands back what
/// became of each.
pub(crate) fn carry_out(server: &impl Server, number: usize, rule: &Value) -> Vec<Value> {
    let mut known: Map<String, Value> = Map::new();
    rule["steps"]
        .as_array()
        .expect("steps")
        .iter()
        .map(|step| {
            let kind = step["kind"].as_str().or(rule["kind"].as_str()).expect("a kind");
            let name = format!("{}-{number}", step["of"].as_str().unwrap_or("a"));
            let subject = Subject::new(server, kind, &name);
            let key = format!("{kind}/{name}");
            let answer = server.send(&subject.request(step));
            let outcome = outcome(server, &subject, known.get(&key), &answer);
            if answer.0 < 300 && !step["query"].as_str().unwrap_or_default().contains("dryRun") {
                known.insert(key, answer.1);
            }
            outcome
        })
        .collect()
}

/// A kind with every sort of list and map.
pub(crate) fn gadget() -> Value {
    let text = json!({"type": "string"});
    let item = json!({"type": "object", "required": ["name"], "properties": {
        "name": text, "zone": {"type": "string", "default": "any"}, "size": {"type": "integer"},
        "tags": {"type": "array", "items": text, "x-kubernetes-list-type": "set"},
    }});
    let spec = json!({"type": "object", "properties": {
        "note": text, "count": {"type": "integer"}, "on": {"type": "boolean"},
        "either": {"x-kubernetes-int-or-string": true},
        "plain": {"type": "array", "items": text},
        "set": {"type": "array", "items": text, "x-kubernetes-list-type": "set"},
        "numbers": {"type": "array", "items": {"type": "integer"}, "x-kubernetes-list-type": "set"},
        "items": {"type": "array", "items": item, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name", "zone"]},
        "whole": {"type": "object", "x-kubernetes-map-type": "atomic", "properties": {"x": text, "y": text}},
        "map": {"type": "object", "additionalProperties": text},
        "deep": {"type": "object", "additionalProperties": {"type": "object", "properties": {"x": text, "y": text}}},
        "any": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
        "preset": {"type": "string", "default": "given"},
    }});
    let status = json!({"type": "object", "properties": {
        "phase": text,
        "conditions": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"], "items": {
            "type": "object", "required": ["type"], "properties": {"type": text, "status": text},
        }},
    }});
    let schema = json!({"type": "object", "properties": {"spec": spec, "status": status}});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "gadgets.managed.example.com"},
        "spec": {
            "group": "managed.example.com", "scope": "Namespaced",
            "names": {"plural": "gadgets", "singular": "gadget", "kind": "Gadget", "listKind": "GadgetList"},
            "versions": [{
                "name": "v1", "served": true, "storage": true, "subresources": {"status": {}}, "schema": {"openAPIV3Schema": schema},
            }],
        },
    })
}
