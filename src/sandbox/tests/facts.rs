//! `testdata/server-facts.yaml`, asked of the sandbox: all of them, also those that the golden cases' stand-in does not know.

use std::fs;

use serde_json::{Value, json};

use super::{SERVICES, request};
use crate::cluster::clock::Clock;
use crate::controller::golden::facts::{Asked, ask};
use crate::sandbox::{Ranges, Storage};
use crate::yaml;

struct OnSandbox<'a> {
    storage: &'a Storage,
    path: String,
}

impl OnSandbox<'_> {
    fn ask(&self, method: &str, path: &str, content_type: &str, body: &Value) -> Result<Value, String> {
        let (code, answer) = request(self.storage, method, path, content_type, body);
        if code < 300 { Ok(answer) } else { Err(format!("{code} {}", answer["message"])) }
    }
}

impl Asked for OnSandbox<'_> {
    fn create(&self, service: Value) -> Result<Value, String> {
        self.ask("POST", SERVICES, "application/json", &service)
    }

    fn edit(&self, patch: Value) -> Result<Value, String> {
        self.ask("PATCH", &self.path, "application/merge-patch+json", &patch)
    }

    fn status(&self, patch: Value) -> Result<Value, String> {
        self.ask("PATCH", &format!("{}/status", self.path), "application/merge-patch+json", &patch)
    }

    fn delete(&self) -> Result<Value, String> {
        self.ask("DELETE", &self.path, "application/json", &Value::Null)?;
        self.ask("GET", &self.path, "", &Value::Null)
    }
}

#[test]
fn the_sandbox_knows_every_fact_of_the_server() {
    let text = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/server-facts.yaml")).unwrap();
    let facts = yaml::documents(&text).unwrap();
    let mut wrong = Vec::new();
    for (number, fact) in facts.iter().enumerate() {
        // As wide as the suite gives the real server.
        let ranges = Ranges { node_ports: 20_000..=60_000, ..Ranges::default() };
        let storage = Storage::with_ranges(Clock::start(), ranges);
        let name = format!("fact-{number}");
        wrong.extend(ask(fact, &name, &OnSandbox { storage: &storage, path: format!("{SERVICES}/{name}") }));
    }
    assert!(facts.len() >= 20, "only {} facts", facts.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_slice_holds_no_address_that_no_packet_from_outside_may_reach() {
    let storage = Storage::new(Clock::start());
    let path = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices";
    let post = |address: &str| {
        let slice =
            json!({"metadata": {"name": "one"}, "addressType": "IPv4", "endpoints": [{"addresses": [address]}]});
        request(&storage, "POST", path, "application/json", &slice).0
    };
    for address in ["127.0.0.1", "0.0.0.0", "169.254.1.1", "224.0.0.1"] {
        assert_eq!(post(address), 422, "{address}");
    }
    assert_eq!(post("192.0.2.1"), 201);
}
