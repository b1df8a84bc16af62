//! Managed fields and server-side apply: what the server answers to the steps of `testdata/managed-fields/rules.yaml`, which the sandbox is
//! held to by the library's tests. Where the server's answers are not those on file, the case fails; with PORTOLAN_RECORD=1 it writes
//! them down instead.

use std::fs;

use serde_json::{Value, json};

use crate::api::Api;
use crate::case::{real_without_neighbours, say, without_neighbours};
use crate::harness::{SOON, eventually};
use crate::server;

// The sandbox is asked the same.
#[path = "../../src/sandbox/tests/steps.rs"]
mod steps;

mod random;

use steps::{Request, Server, carry_out, gadget};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/managed-fields");

/// A part of a server.
struct OnServer<'a> {
    api: &'a Api,
    namespace: &'a str,
}

impl Server for OnServer<'_> {
    fn send(&self, request: &Request) -> (u16, Value) {
        self.api.send(request.method, &request.path, request.content_type, &request.agent, &request.body)
    }

    fn namespace(&self) -> &str {
        self.namespace
    }
}

/// Makes the kind that the steps need, if it is not there.
fn define_gadgets(api: &Api, namespace: &str) {
    let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    if api.get(&format!("{definitions}/gadgets.managed.example.com")).is_none() {
        api.create(definitions, &gadget());
    }
    let path = format!("/apis/managed.example.com/v1/namespaces/{namespace}/gadgets");
    eventually("gadgets are served", SOON, || {
        let probe = serde_json::json!({"apiVersion": "managed.example.com/v1", "kind": "Gadget", "metadata": {"name": "probe"}, "spec": {}});
        let probed = format!("{path}/probe?fieldManager=probe");
        let (code, answer) = api.send("PATCH", &probed, "application/apply-patch+yaml", "suite", &probe);
        if code < 300 { Ok(()) } else { Err(answer.to_string()) }
    });
    api.delete(&format!("{path}/probe"));
}

#[test]
fn the_server_keeps_fields_as_the_sandbox_takes_it_to() {
    without_neighbours(|world| {
        define_gadgets(&world.api, &world.namespace);
        let server = OnServer { api: &world.api, namespace: &world.namespace };
        let rules = fs::read_to_string(format!("{FOLDER}/rules.yaml")).unwrap();
        let mut said = String::new();
        for (number, rule) in portolan::yaml::documents(&rules).unwrap().iter().enumerate() {
            for answer in carry_out(&server, number, rule) {
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

/// PORTOLAN_SEEDS more are played on request, from PORTOLAN_SEED on.
#[test]
fn writes_at_random_leave_the_same_owners_on_both_servers() {
    real_without_neighbours(|world| {
        let sandbox = server::Server::sandbox("managed-at-random");
        sandbox.apply_crds();
        sandbox.admin.create("/api/v1/namespaces", &json!({"metadata": {"name": world.namespace}}));
        let servers = [&world.api, &sandbox.admin].map(|api| OnServer { api, namespace: &world.namespace });
        servers.iter().for_each(|server| define_gadgets(server.api, server.namespace));
        let number = |name: &str, default: u64| std::env::var(name).map_or(default, |text| text.parse().unwrap());
        let (start, seeds) = (number("PORTOLAN_SEED", 1), number("PORTOLAN_SEEDS", 1));
        let (mut wrong, mut done) = (Vec::new(), 0);
        for seed in start..start + seeds {
            for kind in ["Service", "Node", "Gadget", "LoadBalancerRecord"] {
                match random::play(seed, kind, &servers[0], &servers[1]) {
                    Ok(accepted) => done += accepted,
                    Err(difference) => wrong.push(difference),
                }
            }
        }
        say(&format!("{done} writes accepted by both servers"));
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        assert!(done > 100, "both refuse almost everything: {done} writes accepted");
    });
}
