//! What the server publishes of its kinds, and what it says of objects that do not fit them: the sandbox is made of the one and held to the
//! other. `UPDATE_GOLDEN=1` on the real server writes down what it says; that is also the way to another Kubernetes version.

use std::collections::BTreeMap;
use std::fs;

use http::{Method, Request};
use serde_json::{Map, Value};

use crate::case::without_neighbours;
use crate::harness::{SOON, World, eventually};
use crate::server::Which;

// What the sandbox begins with is asked for here too, and so are its requests.
#[path = "../../src/sandbox/tests/asked.rs"]
mod asked;
#[path = "../../src/sandbox/schema/upstream.rs"]
mod upstream;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/schemas");

/// What the server says more of the kinds than k8s-openapi.
const SERVER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/sandbox/schema/server.json");

/// Where the kinds' documents are.
const DOCUMENTS: [&str; 5] = [
    "api/v1",
    "apis/apiextensions.k8s.io/v1",
    "apis/coordination.k8s.io/v1",
    "apis/discovery.k8s.io/v1",
    "apis/events.k8s.io/v1",
];

struct OnServer<'a>(&'a World);

impl asked::Server for OnServer<'_> {
    fn send(&self, request: asked::Request) -> asked::Answer {
        let asked::Request { method, path, content_type, body } = request;
        let request = Request::builder().method(method).uri(path).header("Content-Type", content_type);
        let answer = self.0.api.raw(request.body(body.into_bytes()).unwrap());
        let warnings = answer.headers().get_all("warning").iter().map(|text| text.to_str().unwrap().to_owned());
        let (code, warnings) = (answer.status().as_u16(), warnings.collect());
        asked::Answer { code, body: serde_json::from_slice(answer.body()).unwrap_or_default(), warnings }
    }

    fn namespace(&self) -> &str {
        &self.0.namespace
    }
}

fn updates() -> bool {
    Which::chosen() == Which::Real && std::env::var_os("UPDATE_GOLDEN").is_some()
}

#[test]
fn every_request_is_answered_as_it_was() {
    without_neighbours(|world| {
        define_things(world);
        let requests = fs::read_to_string(format!("{FOLDER}/requests.yaml")).unwrap();
        let rules = portolan::yaml::documents(&requests).unwrap();
        let mut said = Vec::new();
        for (number, rule) in rules.iter().enumerate() {
            said.extend(asked::carry_out(&OnServer(world), &format!("asked-{number}"), rule));
        }
        let file = format!("{FOLDER}/answers.jsonl");
        if updates() {
            fs::write(file, said.join("\n") + "\n").unwrap();
            return;
        }
        let known = fs::read_to_string(file).unwrap();
        let known: Vec<&str> = known.lines().collect();
        let differ = known.iter().zip(&said).enumerate().filter(|(_, (known, said))| known != said);
        let differ: Vec<String> =
            differ.map(|(line, (known, said))| format!("line {}:\n  {known}\n  {said}", line + 1)).collect();
        assert!(differ.is_empty(), "{}", differ.join("\n"));
        assert_eq!(known.len(), said.len());
    });
}

/// Makes the kind that the requests are about, and waits until it is served, and published.
fn define_things(world: &World) {
    let text = fs::read_to_string(format!("{FOLDER}/definition.yaml")).unwrap();
    let definition = portolan::yaml::documents(&text).unwrap().remove(0);
    world.api.create("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", &definition);
    let path = format!("/apis/schemas.example.com/v1/namespaces/{}/things", world.namespace);
    // A new kind's storage is a 404 first, then a 429.
    eventually("things are served", SOON, || {
        world.api.request(Method::GET, &path, None).map(drop).map_err(|refused| refused.to_string())
    });
}

/// The document of a group and version, once it is published.
fn document(world: &World, path: &str) -> Value {
    let path = format!("/openapi/v3/{path}");
    eventually("the kinds are published", SOON, || world.api.get(&path).ok_or_else(|| format!("{path} is not")))
}

/// The schemas of a group and version.
fn published(world: &World, path: &str) -> Map<String, Value> {
    document(world, path)["components"]["schemas"].as_object().expect("schemas").clone()
}

#[test]
fn the_published_schemas_are_those_of_k8s_openapi_and_what_the_sandbox_adds() {
    without_neighbours(|world| {
        let mut all = BTreeMap::new();
        for path in DOCUMENTS {
            all.extend(published(world, path));
        }
        let mut lines = Vec::new();
        for (name, ours) in &upstream::schemas() {
            let theirs = all.get(name).unwrap_or_else(|| panic!("{name} is not published"));
            if let Some(patch) = difference(ours, &references_beside(theirs)) {
                lines.push(format!("{}: {patch}", Value::from(name.as_str())));
            }
        }
        lines.sort();
        let found = format!("{{\n{}\n}}\n", lines.join(",\n"));
        if updates() {
            fs::write(SERVER, found).unwrap();
            return;
        }
        let known = fs::read_to_string(SERVER).unwrap();
        for (known, found) in known.lines().zip(found.lines()) {
            assert_eq!(known, found, "src/sandbox/schema/server.json: {known}\nis now {found}");
        }
        assert_eq!(known.lines().count(), found.lines().count());
    });
}

/// Where the server's Go types of texts have names of their own.
const NAMES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/sandbox/schema/names.json");

#[test]
fn texts_have_the_types_that_the_server_names_when_it_refuses_something_else() {
    without_neighbours(|world| {
        let schemas = upstream::schemas();
        let mut names = BTreeMap::new();
        for (kind, collection, root) in [
            ("ConfigMap", "/api/v1/namespaces/{ns}/configmaps", "io.k8s.api.core.v1.ConfigMap"),
            ("Event", "/api/v1/namespaces/{ns}/events", "io.k8s.api.core.v1.Event"),
            ("Namespace", "/api/v1/namespaces", "io.k8s.api.core.v1.Namespace"),
            ("Node", "/api/v1/nodes", "io.k8s.api.core.v1.Node"),
            ("Pod", "/api/v1/namespaces/{ns}/pods", "io.k8s.api.core.v1.Pod"),
            ("Secret", "/api/v1/namespaces/{ns}/secrets", "io.k8s.api.core.v1.Secret"),
            ("Service", "/api/v1/namespaces/{ns}/services", "io.k8s.api.core.v1.Service"),
            ("Lease", "/apis/coordination.k8s.io/v1/namespaces/{ns}/leases", "io.k8s.api.coordination.v1.Lease"),
            (
                "EndpointSlice",
                "/apis/discovery.k8s.io/v1/namespaces/{ns}/endpointslices",
                "io.k8s.api.discovery.v1.EndpointSlice",
            ),
            ("Event", "/apis/events.k8s.io/v1/namespaces/{ns}/events", "io.k8s.api.events.v1.Event"),
            (
                "CustomResourceDefinition",
                "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
                "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition",
            ),
        ] {
            let path = collection.replace("{ns}", &world.namespace);
            for (field, wrong) in texts(&schemas, root) {
                let body = serde_json::json!({"kind": kind}).as_object().cloned().unwrap();
                let body: Map<String, Value> = body.into_iter().chain(wrong.as_object().cloned().unwrap()).collect();
                let refused = world.api.request(Method::POST, &path, Some(("application/json", &body.into())));
                let message = refused.expect_err("a text is no object").message;
                let named = message.split(" of type ").nth(1).and_then(|rest| rest.split('"').next());
                if let Some(named) = named.filter(|named| !matches!(*named, "string" | "[]string")) {
                    names.insert(field, named.trim_start_matches("[]").to_owned());
                }
            }
        }
        let found = serde_json::to_string_pretty(&names).unwrap() + "\n";
        if updates() {
            fs::write(NAMES, found).unwrap();
            return;
        }
        assert_eq!(fs::read_to_string(NAMES).unwrap(), found);
    });
}

/// The fields of all schemas within this one that are texts or lists of texts, as `SCHEMA.FIELD`; each with an object in which an object
/// stands there.
fn texts(schemas: &Map<String, Value>, root: &str) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    let mut seen = std::collections::BTreeSet::new();
    let mut rest = vec![(root.to_owned(), Vec::<String>::new())];
    while let Some((name, path)) = rest.pop() {
        let Some(fields) = schemas[&name]["properties"].as_object().filter(|_| seen.insert(name.clone())) else {
            continue;
        };
        for (field, schema) in fields {
            let of_list = schema["type"] == "array";
            let inner = if of_list { &schema["items"] } else { schema };
            let inner = if inner["additionalProperties"].is_object() { &inner["additionalProperties"] } else { inner };
            let mut path: Vec<String> = path.iter().cloned().chain([field.clone()]).collect();
            if inner["type"] == "string" && inner["format"].is_null() {
                if !(path == ["kind"] || path == ["apiVersion"]) && schema["additionalProperties"].is_null() {
                    found.push((format!("{name}.{field}"), nested(&path)));
                }
            } else if let Some(reference) = inner["$ref"].as_str() {
                if of_list {
                    path.push("[]".to_owned());
                } else if schema["additionalProperties"].is_object() {
                    path.push("any".to_owned());
                }
                rest.push((reference.trim_start_matches("#/components/schemas/").to_owned(), path));
            }
        }
    }
    found
}

/// An object within objects and lists, at this path.
fn nested(path: &[String]) -> Value {
    path.iter().rev().fold(Value::Object(Map::new()), |inner, part| match part.as_str() {
        "[]" => Value::Array(vec![inner]),
        field => Value::Object(Map::from_iter([(field.to_owned(), inner)])),
    })
}

#[test]
fn a_custom_resource_is_published_as_its_definition_says() {
    without_neighbours(|world| {
        let kinds = published(world, "apis/portolan.dev/v1alpha1");
        let record = &kinds["dev.portolan.v1alpha1.LoadBalancerRecord"];
        let file = format!("{FOLDER}/record.json");
        let found = format!("{record:#}\n");
        if updates() {
            fs::write(file, found).unwrap();
            return;
        }
        assert_eq!(fs::read_to_string(file).unwrap(), found);
    });
}

#[test]
fn kubectl_explains_every_kind() {
    without_neighbours(|world| {
        let file = format!("{FOLDER}/explained.txt");
        let mut said = String::new();
        for words in [
            "configmaps",
            "customresourcedefinitions.spec.names",
            "endpointslices.endpoints.conditions",
            "events",
            "events.regarding --api-version=events.k8s.io/v1",
            "leases.spec",
            "loadbalancerrecords",
            "lbr.spec.members --recursive",
            "namespaces --recursive",
            "nodes.status.addresses",
            "pods.spec.containers.resources",
            "secrets.data",
            "services.spec.ports",
            "svc --recursive",
            "svc.spec.nothing",
            "lbr.metadata.managedFields",
        ] {
            let arguments: Vec<&str> = ["explain"].into_iter().chain(words.split(' ')).collect();
            let answer = world.server.kubectl(&arguments, None).unwrap_or_else(|error| error);
            said.push_str(&format!("$ kubectl explain {words}\n{}\n\n", answer.trim_end()));
        }
        if updates() {
            fs::write(file, said).unwrap();
            return;
        }
        let known = fs::read_to_string(file).unwrap();
        for (number, (known, said)) in known.lines().zip(said.lines()).enumerate() {
            assert_eq!(known, said, "line {}", number + 1);
        }
        assert_eq!(known, said);
    });
}

#[test]
fn every_kind_says_how_it_can_be_patched() {
    without_neighbours(|world| {
        for path in DOCUMENTS.into_iter().chain(["apis/portolan.dev/v1alpha1"]) {
            let document = document(world, path);
            for kind in KINDS {
                let paths = document["paths"].as_object().unwrap();
                let of = |path: &&Value| path["patch"]["x-kubernetes-group-version-kind"]["kind"] == kind;
                let Some(operations) = paths.iter().find(|(name, value)| name.ends_with("/{name}") && of(value)) else {
                    continue;
                };
                let accepted = &operations.1["patch"]["requestBody"]["content"];
                let takes = |form: &str| accepted.get(form).is_some();
                let is_ours = path == "apis/portolan.dev/v1alpha1";
                assert_eq!(takes("application/strategic-merge-patch+json"), !is_ours, "{kind}");
                for form in
                    ["application/apply-patch+yaml", "application/json-patch+json", "application/merge-patch+json"]
                {
                    assert!(takes(form), "{kind}: {form}");
                }
            }
        }
    });
}

const KINDS: [&str; 11] = [
    "ConfigMap",
    "CustomResourceDefinition",
    "EndpointSlice",
    "Event",
    "Lease",
    "LoadBalancerRecord",
    "Namespace",
    "Node",
    "Pod",
    "Secret",
    "Service",
];

/// A reference that stands within an `allOf` of its own, beside what else is said.
fn references_beside(schema: &Value) -> Value {
    match schema {
        Value::Object(fields) => {
            let mut fields: Map<String, Value> =
                fields.iter().map(|(name, field)| (name.clone(), references_beside(field))).collect();
            let alone = fields.get("allOf").and_then(Value::as_array).is_some_and(|all| all.len() == 1);
            if alone && let Some(all) = fields.remove("allOf") {
                fields.insert("$ref".to_owned(), all[0]["$ref"].clone());
            }
            Value::Object(fields)
        }
        Value::Array(items) => Value::Array(items.iter().map(references_beside).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => schema.clone(),
    }
}

/// The merge patch (RFC 7386) that makes the one of the other.
fn difference(from: &Value, to: &Value) -> Option<Value> {
    let (Some(before), Some(after)) = (from.as_object(), to.as_object()) else {
        return (from != to).then(|| to.clone());
    };
    let gone = before.keys().filter(|name| !after.contains_key(*name)).map(|name| (name.clone(), Value::Null));
    let changed = after.iter().filter_map(|(name, value)| {
        let changed = before.get(name).map_or_else(|| Some(value.clone()), |before| difference(before, value));
        Some((name.clone(), changed?))
    });
    let patch: Map<String, Value> = gone.chain(changed).collect();
    (!patch.is_empty()).then(|| patch.into())
}
