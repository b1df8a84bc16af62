//! Managed fields and server-side apply: what the server answers to the steps of `testdata/managed-fields/rules.yaml`, which the sandbox is
//! held to by the library's tests. Where the server's answers are not those on file, the case fails; with PORTOLAN_RECORD=1 it writes
//! them down instead.

use std::fs;

use serde_json::{Value, json};

use crate::api::Api;
use crate::case::{real_without_neighbours, say, without_neighbours};
use crate::harness::{SOON, World, eventually};
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

/// Who has an object's fields, as `kubectl get --show-managed-fields` prints it.
fn owners(world: &World, name: &str) -> Vec<String> {
    let shown = world.kubectl(&["get", "service", name, "-o", "json", "--show-managed-fields"]).unwrap();
    let object: Value = serde_json::from_str(&shown).unwrap();
    let entries = object["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
    let mut owners: Vec<String> =
        entries.iter().map(|entry| format!("{} {}", entry["manager"], entry["operation"]).replace('"', "")).collect();
    owners.sort();
    owners
}

#[test]
fn kubectl_applies_on_the_servers_side_after_it_has_on_its_own() {
    without_neighbours(|world| {
        let write = |file: &str, spec: &str| {
            let path = world.folder.join(file);
            let object = "apiVersion: v1\nkind: Service\nmetadata: {name: web, labels: {a: b}}";
            fs::write(&path, format!("{object}\nspec: {spec}\n")).unwrap();
            path.display().to_string()
        };
        let first = write(
            "first.yaml",
            "{selector: {app: web}, ports: [{name: http, port: 80}, {name: dns, port: 53, protocol: UDP}]}",
        );
        let second = write("second.yaml", "{selector: {app: other}, ports: [{name: http, port: 80}]}");
        let said = |arguments: &[&str]| world.kubectl(arguments).unwrap_or_else(|error| error).trim().to_owned();

        assert_eq!(said(&["apply", "-f", &first]), "service/web created");
        assert_eq!(owners(world, "web"), ["kubectl-client-side-apply Update"]);

        // Its own entry of before becomes one of an apply, so that what goes from the manifest goes from the object; the annotation with the
        // manifest stays, under a name of its own.
        assert_eq!(said(&["apply", "--server-side", "-f", &first]), "service/web serverside-applied");
        let kubectls = ["kubectl Apply", "kubectl-last-applied Apply"];
        assert_eq!(owners(world, "web"), kubectls);
        assert_eq!(said(&["label", "service", "web", "c=d"]), "service/web labeled");
        assert_eq!(owners(world, "web"), [kubectls[0], "kubectl-label Update", kubectls[1]]);

        let dry = said(&["apply", "--server-side", "--dry-run=server", "-f", &second]);
        assert_eq!(dry, "service/web serverside-applied (server dry run)");
        let conflict = said(&["apply", "--server-side", "--field-manager=deployer", "-f", &second]);
        assert!(
            conflict.starts_with("error: Apply failed with 1 conflict: conflict with \"kubectl\": .spec.selector\n"),
            "{conflict}"
        );
        let forced = said(&["apply", "--server-side", "--field-manager=deployer", "--force-conflicts", "-f", &second]);
        assert_eq!(forced, "service/web serverside-applied");
        assert_eq!(owners(world, "web"), ["deployer Apply", kubectls[0], "kubectl-label Update", kubectls[1]]);

        // One port is the first manager's alone: it goes with it, the other stays the second's.
        let third = write("third.yaml", "{ports: [{name: http, port: 80}]}");
        assert_eq!(said(&["apply", "--server-side", "-f", &third]), "service/web serverside-applied");
        let ports =
            ["get", "service", "web", "-o", "jsonpath={.spec.ports[*].name} {.spec.selector.app} {.metadata.labels}"];
        assert_eq!(said(&ports), r#"http other {"a":"b","c":"d"}"#);
        assert!(!said(&["get", "service", "web", "-o", "yaml"]).contains("managedFields"));
    });
}
