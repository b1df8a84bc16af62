//! The steps of `testdata/managed-fields/rules.yaml`, asked of the sandbox: it answers as the real server did (`answers.jsonl`, which the suite
//! writes and holds true).

use std::fs;

use futures::FutureExt as _;
use http::Request as Http;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use similar::TextDiff;

use super::steps::{Request, Server, carry_out, gadget};
use super::{JSON, Storage, done, request, storage};
use crate::yaml;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/managed-fields");

struct OnSandbox(Storage);

impl Server for OnSandbox {
    fn send(&self, request: &Request) -> (u16, Value) {
        let body = if request.body.is_null() { Vec::new() } else { request.body.to_string().into_bytes() };
        let http =
            Http::builder().method(request.method).uri(&request.path).header("content-type", request.content_type);
        let answer = self.0.answer(&http.header("user-agent", &request.agent).body(body.into()).unwrap());
        let code = answer.status().as_u16();
        let body = answer.into_body().collect().now_or_never().expect("no watch").unwrap().to_bytes();
        (code, serde_json::from_slice(&body).unwrap())
    }

    fn namespace(&self) -> &str {
        "own-space"
    }
}

impl OnSandbox {
    /// With our kinds, and one that has every sort of list and map.
    fn new() -> Self {
        let storage = storage();
        let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
        for definition in
            crate::api::crds().iter().map(|definition| serde_json::to_value(definition).unwrap()).chain([gadget()])
        {
            done(request(&storage, "POST", definitions, JSON, &definition));
        }
        done(request(&storage, "POST", "/api/v1/namespaces", JSON, &json!({"metadata": {"name": "own-space"}})));
        Self(storage)
    }
}

#[test]
fn the_sandbox_keeps_fields_as_the_server_does() {
    let read = |name: &str| fs::read_to_string(format!("{FOLDER}/{name}")).unwrap();
    let rules = yaml::documents(&read("rules.yaml")).unwrap();
    let (answers, server) = (read("answers.jsonl"), OnSandbox::new());
    let mut answers = answers.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let mut wrong = Vec::new();
    for (number, rule) in rules.iter().enumerate() {
        for (step, said) in carry_out(&server, number, rule).iter().enumerate() {
            let known = answers.next().expect("an answer to each step");
            if *said != known {
                let (known, said) = (format!("{known:#}\n"), format!("{said:#}\n"));
                let difference = TextDiff::from_lines(&known, &said);
                let difference = difference.unified_diff().context_radius(2).to_string();
                wrong.push(format!("{}, step {}: {}\n{difference}", rule["rule"], step + 1, rule["steps"][step]));
            }
        }
    }
    assert!(answers.next().is_none(), "more answers than steps");
    assert!(wrong.is_empty(), "{} steps differ:\n{}", wrong.len(), wrong.join("\n"));
}
