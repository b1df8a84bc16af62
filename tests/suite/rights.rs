//! What a controller may do: `deploy/rbac.yaml`, whole or with a verb taken away, given to users of the suite; and to some of them what
//! `deploy/rbac-readiness-gates.yaml` or `deploy/rbac-metal.yaml` add.

use std::fs;

use http::Method;
use serde_json::{Value, json};

use crate::api::Api;
use crate::harness::{SOON, eventually};

/// The file that users apply.
pub(crate) const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/rbac.yaml");

const GROUP: &str = "rbac.authorization.k8s.io";

/// The file's objects.
pub(crate) fn deployed() -> Vec<Value> {
    let text = fs::read_to_string(FILE).expect("deploy/rbac.yaml can be read");
    portolan::yaml::documents(&text).expect("deploy/rbac.yaml is YAML")
}

/// The file's ClusterRole and Role.
pub(crate) fn deployed_roles() -> Vec<Value> {
    let roles: Vec<Value> = deployed().into_iter().filter(is_role).collect();
    assert_eq!(roles.len(), 2, "a ClusterRole and a Role");
    roles
}

/// What is given besides where pods wait for their load balancers.
#[allow(dead_code, reason = "for the suite, not for the benches")]
pub(crate) fn gates_role() -> Value {
    roles_of("rbac-readiness-gates.yaml").remove(0)
}

/// What is given besides where Services get addresses of pools: a ClusterRole, and a Role for the speakers' Leases.
#[allow(dead_code, reason = "for the suite, not for the benches")]
pub(crate) fn pools_roles() -> Vec<Value> {
    roles_of("rbac-metal.yaml")
}

fn roles_of(file: &str) -> Vec<Value> {
    let text = fs::read_to_string(format!("{}/deploy/{file}", env!("CARGO_MANIFEST_DIR"))).expect("a file of deploy/");
    portolan::yaml::documents(&text).expect("YAML").into_iter().filter(is_role).collect()
}

fn is_role(object: &Value) -> bool {
    object["kind"] == "ClusterRole" || object["kind"] == "Role"
}

/// One verb on one resource, which a request needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Right {
    group: String,
    /// `services`, `services/status`, ...
    resource: String,
    verb: String,
    /// The object's name, where the role names one.
    name: Option<String>,
}

impl Right {
    /// The same for the Portolan of this instance name.
    pub(crate) fn of_instance(&self, instance: &str) -> Self {
        Self { name: self.name.as_ref().map(|_| lease_name(instance)), ..self.clone() }
    }
}

impl std::fmt::Display for Right {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.verb, self.resource)
    }
}

/// All that a role gives.
pub(crate) fn rights(role: &Value) -> Vec<Right> {
    let texts = |value: &Value| -> Vec<String> {
        let texts = value.as_array().into_iter().flatten();
        texts.map(|text| text.as_str().expect("a text").to_owned()).collect()
    };
    let mut rights = Vec::new();
    for rule in role["rules"].as_array().expect("rules") {
        let names = texts(&rule["resourceNames"]);
        assert!(names.len() < 2, "the suite knows one Lease: {rule}");
        for group in texts(&rule["apiGroups"]) {
            for resource in texts(&rule["resources"]) {
                for verb in texts(&rule["verbs"]) {
                    let (group, resource, name) = (group.clone(), resource.clone(), names.first().cloned());
                    assert!(
                        verb != "*" && resource != "*" && group != "*",
                        "least privilege names what it needs: {rule}"
                    );
                    rights.push(Right { group, resource, verb, name });
                }
            }
        }
    }
    rights
}

/// The same role without one right; each that is left has a rule of its own.
pub(crate) fn without(mut role: Value, taken: &Right) -> Value {
    let left = rights(&role).into_iter().filter(|right| right != taken);
    role["rules"] = left
        .map(|right| {
            let names: Vec<&String> = right.name.iter().collect();
            json!({
                "apiGroups": [right.group], "resources": [right.resource], "verbs": [right.verb], "resourceNames": names,
            })
        })
        .collect();
    role
}

/// The same role for the Portolan of this instance name, as the file tells its reader to change it; under a name of its own, too.
pub(crate) fn of_instance(mut role: Value, instance: &str) -> Value {
    let name = lease_name(instance);
    for rule in role["rules"].as_array_mut().expect("rules") {
        if rule["resourceNames"].is_array() {
            rule["resourceNames"] = json!([name]);
        }
    }
    role["metadata"]["name"] = json!(name);
    role
}

/// The name of an instance's Lease.
pub(crate) fn lease_name(instance: &str) -> String {
    if instance.is_empty() { "portolan".to_owned() } else { format!("portolan-{instance}") }
}

/// Creates the binding of a role to a subject of kind User or Group, under the role's name and the subject's.
pub(crate) fn bind(api: &Api, role: &Value, subject: &Value) {
    let kind = role["kind"].as_str().expect("a kind");
    let mut metadata = role["metadata"].clone();
    let (role_name, subject_name) = (role["metadata"]["name"].as_str(), subject["name"].as_str());
    metadata["name"] = json!(format!("{}-for-{}", role_name.expect("a name"), subject_name.expect("a name")));
    let binding = json!({
        "apiVersion": format!("{GROUP}/v1"), "kind": format!("{kind}Binding"), "metadata": metadata,
        "roleRef": {"apiGroup": GROUP, "kind": kind, "name": role_name},
        "subjects": [{"apiGroup": GROUP, "kind": subject["kind"], "name": subject_name}],
    });
    api.create(&collection(&binding), &binding);
}

/// Waits until the server has taken note of a role and its binding: it judges by a cache of both.
pub(crate) fn wait_until_granted(api: &Api, role: &Value, subject: &Value) {
    for right in rights(role) {
        let (resource, subresource) = right.resource.split_once('/').unwrap_or((&right.resource, ""));
        let mut spec = subject.clone();
        spec["resourceAttributes"] = json!({
            "namespace": role["metadata"]["namespace"], "name": right.name, "verb": right.verb, "group": right.group,
            "resource": resource, "subresource": subresource,
        });
        let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec});
        eventually(&format!("{subject} may {right}"), SOON, || {
            let answer = api.create("/apis/authorization.k8s.io/v1/subjectaccessreviews", &review);
            if answer["status"]["allowed"] == true { Ok(()) } else { Err(answer["status"].to_string()) }
        });
    }
}

/// Stores an object of the file; one that is there stays.
pub(crate) fn store(api: &Api, object: &Value) -> Result<(), String> {
    match api.request(Method::POST, &collection(object), Some(("application/json", object))) {
        Err(refused) if refused.status != http::StatusCode::CONFLICT => Err(refused.to_string()),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// The path of an object.
pub(crate) fn path(object: &Value) -> String {
    format!("{}/{}", collection(object), object["metadata"]["name"].as_str().expect("a name"))
}

/// The path of an object's collection.
pub(crate) fn collection(object: &Value) -> String {
    let version = object["apiVersion"].as_str().expect("an apiVersion");
    let kind = object["kind"].as_str().expect("a kind").to_lowercase();
    let root = if version.contains('/') { "apis" } else { "api" };
    match object["metadata"]["namespace"].as_str() {
        Some(namespace) => format!("/{root}/{version}/namespaces/{namespace}/{kind}s"),
        None => format!("/{root}/{version}/{kind}s"),
    }
}
