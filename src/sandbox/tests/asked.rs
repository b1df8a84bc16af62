//! Requests that fit their kind or do not (`testdata/schemas/requests.yaml`), and what a server answers them: asked of the sandbox here, and
//! of both servers by the suite (tests/suite/schemas.rs), which shares this file.

use serde_json::{Value, json};

/// A server, and a namespace of it that is this run's own.
pub(crate) trait Server {
    fn send(&self, request: Request) -> Answer;
    fn namespace(&self) -> &str;
}

/// One request.
pub(crate) struct Request {
    pub(crate) method: &'static str,
    pub(crate) path: String,
    pub(crate) content_type: &'static str,
    pub(crate) body: String,
}

/// What it is answered.
pub(crate) struct Answer {
    pub(crate) code: u16,
    pub(crate) body: Value,
    pub(crate) warnings: Vec<String>,
}

/// Carries out the steps of a rule on an object of this name, and gives back a line for each.
pub(crate) fn carry_out(server: &impl Server, name: &str, rule: &Value) -> Vec<String> {
    if rule["kind"] == "CustomResourceDefinition" {
        return define(server, name, rule);
    }
    let (version, group, plural) = match rule["kind"].as_str().expect("a kind") {
        "Thing" => ("schemas.example.com/v1", "apis/schemas.example.com/v1", "things"),
        "Service" => ("v1", "api/v1", "services"),
        "ConfigMap" => ("v1", "api/v1", "configmaps"),
        other => panic!("no steps are about {other}"),
    };
    let collection = format!("/{group}/namespaces/{}/{plural}", server.namespace());
    let object = format!("{collection}/{name}");
    let mut lines = Vec::new();
    for step in rule["steps"].as_array().expect("steps") {
        let request = request(step, rule, version, &collection, name);
        let creates = request.method == "POST";
        let answer = server.send(request);
        let goes = creates && answer.code < 300 && step["keep"] != true;
        lines.push(line(&answer, step, rule, name, server.namespace()));
        if goes {
            delete(server, &object);
        }
    }
    delete(server, &object);
    lines
}

/// Creates definitions that differ from a good one, each under a name of its own, because one goes slowly.
fn define(server: &impl Server, name: &str, rule: &Value) -> Vec<String> {
    let collection = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    let mut lines = Vec::new();
    for (number, step) in rule["steps"].as_array().expect("steps").iter().enumerate() {
        let name = format!("{name}-{number}-{}", server.namespace());
        let mut definition = json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": format!("gizmos.{name}.example.com")},
            "spec": {
                "group": format!("{name}.example.com"), "scope": "Namespaced", "names": {"plural": "gizmos", "kind": "Gizmo"},
                "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {
                    "type": "object", "properties": {"spec": {"type": "object", "properties": {"a": {"type": "string"}}}},
                }}}],
            },
        });
        if let Some(property) = step.get("property") {
            definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["b"] =
                property.clone();
        }
        let changes = step["change"].to_string().replace("NAME", &name);
        if let Ok(changes) = serde_json::from_str::<json_patch::Patch>(&changes) {
            json_patch::patch(&mut definition, &changes).expect("the change can be made");
        }
        let path = collection.to_owned();
        let body = definition.to_string();
        let answer = server.send(Request { method: "POST", path, content_type: "application/json", body });
        if answer.code < 300 {
            delete(server, &format!("{collection}/{}", definition["metadata"]["name"].as_str().expect("a name")));
        }
        lines.push(line(&answer, &json!({"show": "/none"}), rule, &name, server.namespace()));
    }
    lines
}

fn delete(server: &impl Server, object: &str) {
    let (path, body) = (object.to_owned(), String::new());
    server.send(Request { method: "DELETE", path, content_type: "application/json", body });
}

fn request(step: &Value, rule: &Value, version: &str, collection: &str, name: &str) -> Request {
    let (verb, method, content_type) = [
        ("create", "POST", "application/json"),
        ("raw", "POST", "application/json"),
        ("merge", "PATCH", "application/merge-patch+json"),
        ("json", "PATCH", "application/json-patch+json"),
        ("strategic", "PATCH", "application/strategic-merge-patch+json"),
    ]
    .into_iter()
    .find(|(verb, ..)| step.get(verb).is_some())
    .unwrap_or_else(|| panic!("no verb in {step}"));
    let body = match verb {
        "raw" => step["raw"].as_str().expect("a text").to_owned(),
        "create" => {
            let mut object = json!({"apiVersion": version, "kind": rule["kind"], "metadata": {"name": name}});
            for (field, value) in step["create"].as_object().expect("an object") {
                object[field] = value.clone();
            }
            object.to_string()
        }
        patch => step[patch].to_string(),
    };
    let mut path = if method == "POST" { collection.to_owned() } else { format!("{collection}/{name}") };
    if step["status"] == true {
        path.push_str("/status");
    }
    if let Some(validation) = step["fieldValidation"].as_str() {
        path.push_str(&format!("?fieldValidation={validation}"));
    }
    Request { method, path, content_type, body: body.replace("NAME", name) }
}

/// An answer without what differs from server to server and from run to run, and in an order where the server has none.
fn line(answer: &Answer, step: &Value, rule: &Value, name: &str, namespace: &str) -> String {
    let mut told = json!({"code": answer.code});
    if !answer.warnings.is_empty() {
        told["warnings"] = json!(answer.warnings);
    }
    if answer.code >= 300 {
        let mut message = answer.body["message"].as_str().unwrap_or_default().to_owned();
        let mut causes = answer.body["details"]["causes"].as_array().cloned().unwrap_or_default();
        causes.sort_by_key(ToString::to_string);
        // All of an object after a patch: its fields stand in another order, and it has a version.
        if let (Some(start), Some(end)) = (message.find("Invalid value: \"{"), message.rfind("}\": ")) {
            let why = message[end + 2..].to_owned();
            message = format!("{}Invalid value: ...{why}", &message[..start]);
            causes = vec!["of the patch".into()];
        }
        if causes.len() > 1 {
            message.truncate(message.find('[').unwrap_or(message.len()));
        }
        told["reason"] = answer.body["reason"].clone();
        told["message"] = message.into();
        told["causes"] = causes.into();
    } else if let Some(pointer) = step["show"].as_str() {
        told["part"] = answer.body.pointer(pointer).cloned().unwrap_or_default();
    } else if rule["kind"] != "Service" {
        let mut object = answer.body.clone();
        for field in ["apiVersion", "kind", "metadata"] {
            object.as_object_mut().map(|fields| fields.remove(field));
        }
        told["object"] = object;
    }
    told.to_string().replace(name, "NAME").replace(namespace, "NAMESPACE")
}
