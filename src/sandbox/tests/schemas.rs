//! What fits a kind's schema, and what is said of what does not: the sandbox answers as the real server has.

use std::fs;

use futures::FutureExt as _;
use http_body_util::BodyExt as _;
use serde_json::Value;

use super::asked::{Answer, Request, Server, carry_out};
use super::{JSON, done, request, send, storage};
use crate::sandbox::Storage;
use crate::yaml;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/schemas");

/// No word that an answer may hold.
const NAMESPACE: &str = "namespace-of-things";

struct OnSandbox(Storage);

impl Server for OnSandbox {
    fn send(&self, request: Request) -> Answer {
        let Request { method, path, content_type, body } = request;
        let request = http::Request::builder().method(method).uri(path).header("content-type", content_type);
        let answer = self.0.answer(&request.body(body.into()).unwrap());
        let warnings =
            answer.headers().get_all("warning").iter().map(|text| text.to_str().unwrap().to_owned()).collect();
        let code = answer.status().as_u16();
        let body = answer.into_body().collect().now_or_never().unwrap().unwrap().to_bytes();
        Answer { code, body: serde_json::from_slice(&body).unwrap_or_default(), warnings }
    }

    fn namespace(&self) -> &'static str {
        NAMESPACE
    }
}

/// A storage that knows Things.
fn with_things() -> Storage {
    let storage = storage();
    let text = fs::read_to_string(format!("{FOLDER}/definition.yaml")).unwrap();
    let definition = yaml::documents(&text).unwrap().remove(0);
    done(request(&storage, "POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", JSON, &definition));
    storage
}

#[test]
fn the_sandbox_says_of_every_request_what_the_server_said() {
    let server = OnSandbox(with_things());
    let namespace = serde_json::json!({"metadata": {"name": NAMESPACE}});
    done(request(&server.0, "POST", "/api/v1/namespaces", JSON, &namespace));
    let requests = fs::read_to_string(format!("{FOLDER}/requests.yaml")).unwrap();
    let known = fs::read_to_string(format!("{FOLDER}/answers.jsonl")).unwrap();
    let mut known = known.lines();
    let mut wrong = Vec::new();
    let mut asked = 0;
    for (number, rule) in yaml::documents(&requests).unwrap().iter().enumerate() {
        for (step, said) in (1..).zip(carry_out(&server, &format!("asked-{number}"), rule)) {
            asked += 1;
            let known = known.next().unwrap_or("(nothing is on file)");
            if known != said {
                wrong.push(format!("{}, step {step}:\n  server  {known}\n  sandbox {said}", rule["rule"]));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(asked > 150 && known.next().is_none(), "{asked} answers, and more are on file");
}

#[test]
fn of_an_update_only_what_changes_is_looked_at() {
    let storage = with_things();
    let things = "/apis/schemas.example.com/v1/namespaces/default/things";
    let thing = serde_json::json!({"apiVersion": "schemas.example.com/v1", "kind": "Thing", "metadata": {"name": "t"}, "spec": {"name": "abc", "count": 3}});
    done(request(&storage, "POST", things, JSON, &thing));
    // The definition gets stricter than what there is.
    let definition = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/things.schemas.example.com";
    let most = serde_json::json!([{"op": "replace", "path": "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/count/maximum", "value": 2}]);
    done(request(&storage, "PATCH", definition, "application/json-patch+json", &most));
    let object = format!("{things}/t");
    let merge = |patch: Value| request(&storage, "PATCH", &object, super::MERGE, &patch).0;
    assert_eq!(merge(serde_json::json!({"spec": {"name": "abd"}})), 200);
    assert_eq!(merge(serde_json::json!({"spec": {"count": 4}})), 422);
    assert_eq!(merge(serde_json::json!({"spec": {"count": 2}})), 200);
}

#[test]
fn whoever_defines_what_the_sandbox_does_not_check_is_warned() {
    let storage = storage();
    let mut definition: Value =
        yaml::documents(&fs::read_to_string(format!("{FOLDER}/definition.yaml")).unwrap()).unwrap().remove(0);
    let spec = definition.pointer_mut("/spec/versions/0/schema/openAPIV3Schema/properties/spec").unwrap();
    spec["x-kubernetes-validations"] = serde_json::json!([{"rule": "self.name != 'x'"}]);
    spec["properties"]["book"] = serde_json::json!({"type": "string", "format": "isbn"});
    let answer = send(&storage, "POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", JSON, &definition);
    assert_eq!(answer.status(), 201);
    let warnings: Vec<&str> = answer.headers().get_all("warning").iter().map(|text| text.to_str().unwrap()).collect();
    assert_eq!(
        warnings,
        [
            r#"299 - "the sandbox does not check the format isbn""#,
            r#"299 - "the sandbox does not emulate CEL: x-kubernetes-validations are not checked""#,
        ]
    );
}
