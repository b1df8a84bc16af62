//! Managed fields and server-side apply: what the server answers to the steps of `testdata/managed-fields/rules.yaml`, which the sandbox is
//! held to by the library's tests. Where the server's answers are not those on file, the case fails; with PORTOLAN_RECORD=1 it writes
//! them down instead.

use std::fs;

use serde_json::Value;

use crate::case::without_neighbours;
use crate::harness::{World, eventually};

// The sandbox is asked the same.
#[path = "../../src/sandbox/tests/steps.rs"]
mod steps;

use steps::{Request, Server, carry_out, gadget};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/managed-fields");

struct OnServer<'a>(&'a World);

impl Server for OnServer<'_> {
    fn send(&self, request: &Request) -> (u16, Value) {
        self.0.api.send(request.method, &request.path, request.content_type, &request.agent, &request.body)
    }

    fn namespace(&self) -> &str {
        &self.0.namespace
    }
}

/// Makes the kind that the steps need, if it is not there.
fn define_gadgets(world: &World) {
    let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    if world.api.get(&format!("{definitions}/gadgets.managed.example.com")).is_none() {
        world.api.create(definitions, &gadget());
    }
    let path = format!("/apis/managed.example.com/v1/namespaces/{}/gadgets", world.namespace);
    eventually("gadgets are served", crate::harness::SOON, || {
        let probe = serde_json::json!({"apiVersion": "managed.example.com/v1", "kind": "Gadget", "metadata": {"name": "probe"}, "spec": {}});
        let probed = format!("{path}/probe?fieldManager=probe");
        let (code, answer) = world.api.send("PATCH", &probed, "application/apply-patch+yaml", "suite", &probe);
        if code < 300 { Ok(()) } else { Err(answer.to_string()) }
    });
    world.api.delete(&format!("{path}/probe"));
}

#[test]
fn the_server_keeps_fields_as_the_sandbox_takes_it_to() {
    without_neighbours(|world| {
        define_gadgets(world);
        let rules = fs::read_to_string(format!("{FOLDER}/rules.yaml")).unwrap();
        let mut said = String::new();
        for (number, rule) in portolan::yaml::documents(&rules).unwrap().iter().enumerate() {
            for answer in carry_out(&OnServer(world), number, rule) {
                said.push_str(&format!("{answer}\n"));
            }
        }
        let file = format!("{FOLDER}/answers.jsonl");
        if std::env::var_os("PORTOLAN_RECORD").is_some() {
            fs::write(file, said).unwrap();
            return;
        }
        let known = fs::read_to_string(file).unwrap();
        let differing = known.lines().zip(said.lines()).enumerate().filter(|(_, (known, said))| known != said);
        let differing: Vec<String> =
            differing.map(|(line, (known, said))| format!("step {}:\n  {known}\n  {said}", line + 1)).collect();
        assert!(differing.is_empty(), "{}", differing.join("\n"));
        assert_eq!(known.lines().count(), said.lines().count());
    });
}
