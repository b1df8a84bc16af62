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

/// A figure, not a rule: what a write costs, and how much of it goes to the owners.
#[test]
#[ignore = "a measurement: cargo test --release --lib what_a_write_costs -- --ignored --nocapture"]
#[expect(clippy::disallowed_methods, reason = "it measures real time")]
fn what_a_write_costs() {
    let server = OnSandbox::new();
    let path = "/api/v1/namespaces/own-space/services";
    let service = json!({"metadata": {"name": "web"}, "spec": {"type": "LoadBalancer", "ports": [{"port": 80}], "selector": {"app": "web"}}});
    done(request(&server.0, "POST", path, JSON, &service));
    let patch = |number: u64, manager: &str| {
        let (address, port) = (format!("192.0.2.{}", number % 250), json!([{"port": 80, "protocol": "TCP"}]));
        let ingress = json!([{"ip": address, "ipMode": "VIP", "ports": port}]);
        let body = json!({"status": {"loadBalancer": {"ingress": ingress}}});
        let path = format!("{path}/web/status?fieldManager={manager}");
        done(request(&server.0, "PATCH", &path, super::MERGE, &body));
    };
    for manager in ["portolan", "kubectl", "helm"] {
        patch(0, manager);
    }
    let started = std::time::Instant::now();
    for number in 0..1000 {
        patch(number + 1, "portolan");
    }
    let whole = started.elapsed() / 1000;
    let old = super::get(&server.0, &format!("{path}/web")).1;
    let state = server.0.lock();
    let kind = state.kinds.find("", "v1", "services").unwrap();
    let versions = crate::sandbox::managed::Versions::of(&state.kinds, &kind);
    let writer = crate::sandbox::managed::Writer { manager: "portolan".to_owned(), status: true, now: String::new() };
    let started = std::time::Instant::now();
    for number in 0..1000 {
        let mut object = old.clone();
        object["status"]["loadBalancer"]["ingress"][0]["ip"] = number.into();
        crate::sandbox::managed::update(&versions, &writer, Some(&old), &mut object);
    }
    eprintln!("a status write {whole:?}, of which owners {:?}", started.elapsed() / 1000);
}
