//! From MetalLB, whose objects and whose writes the case makes itself: nobody's address changes, and nobody else gets it in between.

use std::process::{Command, Output};
use std::sync::OnceLock;

use serde_json::{Value, json};

use super::{VIPS, grant, has};
use crate::case::both_on;
use crate::harness::{SOON, World, addresses, eventually};
use crate::server::{Server, Which};

const CRDS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const METALLB: &str = "/apis/metallb.io/v1beta1/namespaces";

/// A server of its own: metal is the default class, and everything in the cluster is looked at.
fn alone() -> Option<&'static Server> {
    static ALONE: OnceLock<Option<Server>> = OnceLock::new();
    ALONE.get_or_init(|| Server::with_crds("import")).as_ref()
}

/// A kind of MetalLB's that takes anything.
fn define(world: &World, kind: &str) {
    let (singular, plural) = (kind.to_lowercase(), format!("{}s", kind.to_lowercase()));
    let anything = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let schema = json!({"openAPIV3Schema": {"type": "object", "properties": {"spec": anything}}});
    let version = json!({"name": "v1beta1", "served": true, "storage": true, "schema": schema});
    let names = json!({"kind": kind, "singular": singular, "plural": plural, "listKind": format!("{kind}List")});
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.metallb.io")},
        "spec": {"group": "metallb.io", "scope": "Namespaced", "names": names, "versions": [version]},
    });
    world.api.create(CRDS, &definition);
    let path = format!("/apis/metallb.io/v1beta1/{plural}");
    is_served(world, &path);
    // Discovery follows the definition, some time later.
    eventually(&format!("{kind} is known"), SOON, || {
        let known = world.api.get("/apis/metallb.io/v1beta1").unwrap_or_default();
        let is_known = known["resources"].as_array().into_iter().flatten().any(|one| one["kind"] == kind);
        if is_known { Ok(()) } else { Err(known.to_string()) }
    });
}

/// A real server says 404 first, and then, as long as it makes room for the kind, 429.
fn is_served(world: &World, path: &str) {
    let list = || world.api.request(http::Method::GET, path, None).map_err(|refused| refused.to_string());
    eventually(&format!("{path} is served"), SOON, list);
}

fn object(world: &World, kind: &str, name: &str, spec: &Value) {
    let object = json!({"apiVersion": "metallb.io/v1beta1", "kind": kind, "metadata": {"name": name}, "spec": spec});
    world.api.create(&format!("{METALLB}/{}/{}s", world.namespace, kind.to_lowercase()), &object);
}

/// A Service as MetalLB leaves it.
fn addressed(world: &World, name: &str, port: u16, address: Option<&str>) {
    world.create(
        name,
        json!({"spec": {"loadBalancerClass": null, "ports": [{"name": "http", "port": port, "protocol": "TCP"}]}}),
    );
    if let Some(address) = address {
        let status = json!({"status": {"loadBalancer": {"ingress": [{"ip": address}]}}});
        world.api.patch(&format!("{}/status", world.path(name)), &status);
    }
}

fn import(world: &World, more: &[&str]) -> (Output, String) {
    let kubeconfig = world.folder.join("import.kubeconfig");
    std::fs::write(&kubeconfig, world.server.kubeconfig("admin").to_string()).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_portolan"));
    command.args(["import", "metallb", "--kubeconfig"]).arg(kubeconfig).args(more);
    let output = command.output().expect("portolan starts");
    let text = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned()).concat();
    (output, text)
}

#[test]
fn what_metallb_has_given_stays_with_those_who_have_it() {
    both_on(alone, |world| {
        let (output, text) = import(world, &[]);
        assert!(!output.status.success() && text.contains("MetalLB's kinds are not in this cluster"), "{text}");

        define(world, "IPAddressPool");
        define(world, "L2Advertisement");
        object(world, "IPAddressPool", "lan", &json!({"addresses": ["10.77.90.0-10.77.90.2"]}));
        object(world, "L2Advertisement", "lan", &json!({"ipAddressPools": ["lan"], "interfaces": ["eth1"]}));
        // Whoever comes first gets the lowest address, unless it is kept for somebody.
        for waiting in ["early-1", "early-2", "early-3"] {
            addressed(world, waiting, 80, None);
        }
        addressed(world, "web", 80, Some("10.77.90.0"));
        addressed(world, "mail", 25, Some("10.77.90.1"));
        addressed(world, "dns", 53, Some("10.77.90.1"));

        let (output, printed) = import(world, &[]);
        assert!(output.status.success(), "{printed}");
        is_served(world, VIPS);
        assert_eq!(world.api.list(VIPS), [Value::Null; 0], "a dry run writes nothing");
        let (output, text) = import(world, &["--apply"]);
        assert!(output.status.success(), "{text}");
        let mut kept: Vec<Value> = world
            .api
            .list(VIPS)
            .into_iter()
            .map(|vip| json!([vip["metadata"]["name"], vip["spec"]["reservedFor"]]))
            .collect();
        kept.sort_by_key(Value::to_string);
        let namespace = &world.namespace;
        assert_eq!(
            kept,
            [
                json!(["10.77.90.0", {"namespace": namespace, "name": "web"}]),
                json!(["10.77.90.1", {"namespace": namespace}])
            ]
        );
        let (output, text) = import(world, &["--apply"]);
        assert!(output.status.success() && !text.contains("created:"), "a second time nothing is done: {text}");

        let commands = printed.lines().filter_map(|line| line.strip_prefix("#      kubectl annotate "));
        let commands: Vec<&str> = commands.collect();
        assert_eq!(commands.len(), 2, "{printed}");
        for command in commands {
            let arguments: Vec<&str> = ["annotate"].into_iter().chain(command.split(' ')).collect();
            world.server.kubectl(&arguments, None).unwrap();
        }
        let class = json!({"name": "portolan.dev/metal", "provider": "metal", "default": true});
        let setup = world.setup().configured(json!({"classes": [class]}));
        grant(world, &setup.user);
        let controller = setup.start();
        // What MetalLB has written is there from the start; it is Portolan's once this says so.
        for (name, address) in [("web", "10.77.90.0"), ("mail", "10.77.90.1"), ("dns", "10.77.90.1")] {
            world.condition(name, "portolan.dev/AddressAssigned", "True", "Assigned");
            has(world, name, &[address]);
        }
        let served = eventually("all have been looked at, and one got what was free", SOON, || {
            let early = ["early-1", "early-2", "early-3"].map(|name| world.service(name).unwrap());
            let all_seen =
                early.iter().all(|one| crate::harness::condition(one, "portolan.dev/AddressAssigned").is_some());
            let served: Vec<String> = early.iter().flat_map(addresses).collect();
            if all_seen && !served.is_empty() { Ok(served) } else { Err(format!("{served:?}")) }
        });
        assert_eq!(served, ["10.77.90.2"]);
        let (output, text) = import(world, &["--apply"]);
        assert!(output.status.success() && !text.contains("created:"), "what is taken over is there: {text}");
        controller.is_well();
        if world.server.which == Which::Real {
            world.nobody_was_refused();
        }
    });
}
