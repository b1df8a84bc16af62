//! Sequences of edits at random on the real server: the end is that of a fresh apply.
//!
//! The sequences come from `testdata/edits`, like the many that `src/controller/golden/edits.rs` plays on a stand-in for the server.
//! These are few and short: they are there for what the stand-in may have wrong. What may differ is named in [`Look`].

use std::path::Path;

use serde_json::{Map, Value, json};

use crate::case::{both, say};
use crate::harness::{Setup, World, addresses, eventually, finalizers, merged};
use crate::storm::Dice;

const SERVICES: usize = 20;
const EDITS: usize = 12;
/// Change it to try other sequences; the printed line names it.
const SEED: u64 = 0x2545_f491_4f6c_dd1d;

const TOPICS: [&str; 7] = ["type", "life", "ports", "traffic", "addresses", "annotations", "status"];

/// What all Services would contend for, and what a node port is.
const CONTENDED: [&str; 5] = ["nodePort\"", "203.0.113.7", "198.51.100.77", "10.255.0.77", "selector"];

#[test]
fn whatever_was_edited_before_the_end_is_that_of_a_fresh_apply() {
    both(|world| {
        let topics: Vec<Vec<Value>> = TOPICS.iter().map(|topic| documents(topic)).collect();
        let cure = documents("cure").remove(0);
        let mut dice = Dice(SEED);
        let setup = setup(world);
        let mut controller = setup.start();
        let (mut edits, mut refused) = (0, 0);
        let names: Vec<String> = (0..SERVICES).map(|number| format!("web-{number}")).collect();
        for name in &names {
            world.create(name, json!({}));
        }
        for _ in 0..EDITS {
            for name in &names {
                let topic = &topics[dice.below(topics.len())];
                for edit in topic[dice.below(topic.len())].as_array().unwrap() {
                    edits += 1;
                    refused += usize::from(play(world, name, edit).is_err());
                }
            }
            if dice.below(3) == 0 {
                controller.kill();
                controller = setup.start();
            }
        }
        for name in &names {
            // Where it is refused, there is no Service any more, or none of type LoadBalancer.
            let _ = play(world, name, &cure);
            let _ = play(
                world,
                name,
                &json!({"$patch": "", "spec": {"ports": [{"name": "http", "port": 80, "targetPort": 8080}]}}),
            );
        }
        eventually("everything that was deleted is gone", crate::harness::SOON, || {
            let deleting = |name: &&String| {
                world.service(name).is_some_and(|service| {
                    service["metadata"]["deletionTimestamp"].is_string()
                        && finalizers(&service).iter().all(|one| !one.starts_with("example.com/"))
                })
            };
            names.iter().find(deleting).map_or(Ok(()), |name| Err(name.clone()))
        });

        let fresh = world.another("fresh");
        let fresh_controller = self::setup(&fresh).start();
        let mut compared = 0;
        for name in &names {
            let Some(last) = world.service(name).filter(|service| service["metadata"]["deletionTimestamp"].is_null())
            else {
                continue;
            };
            apply(&fresh, name, &last);
            compared += usize::from(last["spec"]["type"] == "LoadBalancer");
            eventually(&format!("{name} is what a fresh apply comes to"), crate::harness::SOON, || {
                let (found, expected) = (Look::of(world, name), Look::of(&fresh, name));
                if found == expected { Ok(()) } else { Err(format!("found {found:#?}\nexpected {expected:#?}")) }
            });
        }
        eventually("no load balancer is left of what is gone", crate::harness::SOON, || {
            let (balancers, records) = (world.mock().balancers().len(), world.records().len());
            let expected = (fresh.mock().balancers().len(), fresh.records().len());
            if (balancers, records) == expected {
                Ok(())
            } else {
                Err(format!("{balancers} and {records}, not {expected:?}"))
            }
        });
        controller.is_well();
        fresh_controller.is_well();
        assert!(compared > SERVICES / 4, "only {compared} load balancers were compared");
        say(&format!(
            "edits: seed {SEED:#x}: {edits} edits, {refused} of them refused, {compared} load balancers compared"
        ));
    });
}

/// Two classes on one world.
fn setup(world: &World) -> Setup {
    let state = world.folder.join("mock");
    world.setup().configured(json!({"classes": [
        {"name": "portolan.dev/mock", "provider": "mock", "parameters": {"state": state}},
        {
            "name": "portolan.dev/slow", "provider": "mock",
            "parameters": {"state": state, "publish": "hostname", "readyAfter": "200ms", "drainFor": "300ms", "teachesIdentifiers": true},
        },
    ]}))
}

/// The edits of a file, without those that several Services cannot do at once.
fn documents(topic: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("testdata/edits/{topic}.yaml"));
    let text = std::fs::read_to_string(path).unwrap();
    let documents: Vec<Value> = serde_yaml::from_multiple(&text).unwrap();
    documents.into_iter().filter(|one| !CONTENDED.iter().any(|word| one.to_string().contains(word))).collect()
}

/// Does what a document says, to this Service.
fn play(world: &World, name: &str, edit: &Value) -> Result<(), String> {
    // Ours has the instance's name.
    let text = edit.to_string().replace("load-balancer\"", &format!("load-balancer.{}\"", world.instance));
    let mut edit: Value = serde_json::from_str(&text).unwrap();
    let fields = edit.as_object_mut().unwrap();
    let status = fields.remove("$patchStatus").is_some();
    if fields.remove("$delete").is_some() {
        world.delete(name);
        return Ok(());
    }
    if fields.remove("$patch").is_none() && !status {
        edit["metadata"]["name"] = name.into();
        return match world.api.request(http::Method::POST, &world.services_path(), Some(("application/json", &edit))) {
            Ok(_) => Ok(()),
            Err(refused) => Err(refused.message),
        };
    }
    let path = if status { format!("{}/status", world.path(name)) } else { world.path(name) };
    world.api.try_patch(&path, &edit).map(drop).map_err(|refused| refused.message)
}

/// Creates what was last applied, without what the server has drawn for it.
fn apply(world: &World, name: &str, last: &Value) {
    let mut spec = last["spec"].clone();
    let fields = spec.as_object_mut().unwrap();
    for drawn in ["clusterIP", "clusterIPs", "healthCheckNodePort"] {
        fields.remove(drawn);
    }
    let mut has_node_port = false;
    for port in fields["ports"].as_array_mut().unwrap() {
        has_node_port |= port.as_object_mut().unwrap().remove("nodePort").is_some();
    }
    // A node port once drawn stays after the flag is off. The shortest way there is to have had it on.
    let off = has_node_port && fields.get("allocateLoadBalancerNodePorts") == Some(&json!(false));
    if off {
        fields.insert("allocateLoadBalancerNodePorts".to_owned(), json!(true));
    }
    let annotations = last["metadata"].get("annotations").cloned().unwrap_or(json!({}));
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "annotations": annotations}, "spec": spec});
    world.create_slice(name, &["10.200.0.10"]);
    world.api.create(&world.services_path(), &service);
    if off {
        world.edit(name, json!({"spec": {"allocateLoadBalancerNodePorts": false}}));
    }
}

/// What must be the same. Left out are times, identities, what the server draws by lot (node ports, UIDs), which address of a network and
/// which generation it is, where nobody asks for a scheme which of both it is, conditions and finalizers of others; and the status of a Service that is not ours, which anybody may write.
#[derive(Debug, PartialEq)]
struct Look {
    finalizers: Vec<String>,
    status: Value,
    record: Option<Value>,
    balancer: Option<Value>,
}

impl Look {
    fn of(world: &World, name: &str) -> Self {
        let service = world.service(name).unwrap_or_default();
        let uid = service["metadata"]["uid"].as_str().unwrap_or_default();
        let id = format!("{}.{uid}", world.instance);
        let finalizers: Vec<String> = finalizers(&service)
            .into_iter()
            .filter(|one| !one.starts_with("example.com/"))
            .map(|one| one.replace(&world.instance, "I"))
            .collect();
        let class = service["spec"]["loadBalancerClass"].as_str().unwrap_or_default();
        let is_ours =
            service["spec"]["type"] == "LoadBalancer" && ["portolan.dev/mock", "portolan.dev/slow"].contains(&class);
        let record = world.records().into_iter().find(|record| record["metadata"]["name"] == id.as_str());
        let scheme = record.as_ref().map_or(Value::Null, |record| record["spec"]["terms"]["scheme"].clone());
        let plain =
            |value: &Value| Plain { service: &service, uid, instance: &world.instance, scheme: &scheme }.of(value);
        let status = json!({
            "ingress": service["status"]["loadBalancer"]["ingress"].as_array().cloned().unwrap_or_default(),
            "conditions": conditions(&service),
        });
        Self {
            finalizers,
            status: if is_ours { plain(&status) } else { Value::Null },
            record: record.map(|record| {
                plain(&json!([
                    record["spec"]["class"],
                    record["spec"]["members"][0]["claimedBy"],
                    record["spec"]["external"]
                ]))
            }),
            balancer: world.mock().balancers().get(&id).map(plain),
        }
    }
}

/// Ours, in their order, and the standard one; without their times.
fn conditions(service: &Value) -> Vec<Value> {
    let all = service["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let ours = all.into_iter().filter(|one| {
        one["type"].as_str().is_some_and(|kind| kind.starts_with("portolan.dev/") || kind == "LoadBalancerPortsError")
    });
    ours.map(|one| merged(one, json!({"lastTransitionTime": null}))).collect()
}

/// Where the mock's addresses come from unless it is told otherwise.
const GIVEN: [&str; 4] = ["203.0.113.", "10.255.", "2001:db8:113:", "2001:db8:255:"];

/// All of a class's addresses are in one network, and which of them it is may differ.
fn network(address: &str) -> &str {
    if address.ends_with(".mock.portolan.dev") {
        return "NAME";
    }
    address.rsplit_once(['.', ':']).map_or(address, |(network, _)| network)
}

/// A Service's world without what may differ.
struct Plain<'a> {
    service: &'a Value,
    uid: &'a str,
    instance: &'a str,
    /// What its record says of the scheme.
    scheme: &'a Value,
}

impl Plain<'_> {
    fn of(&self, value: &Value) -> Value {
        match value {
            Value::Object(fields) => fields
                .iter()
                .filter(|(key, _)| !matches!(key.as_str(), "generation" | "nodePort" | "namespace" | "instance"))
                .map(|(key, value)| (key.clone(), self.field(key, value)))
                .collect::<Map<_, _>>()
                .into(),
            Value::Array(items) => items.iter().map(|item| self.of(item)).collect(),
            Value::String(text) => {
                let mut text = text
                    .replace(self.uid, "UID")
                    .replace(&format!("{}.", self.instance), "I.")
                    .replace(&format!(":{}:", self.instance), ":I:");
                for address in addresses(self.service) {
                    text = text.replace(&address, self.network(&address));
                }
                if GIVEN.iter().any(|network| text.starts_with(network)) {
                    text = self.network(&text).to_owned();
                }
                let is_name = text.ends_with(".mock.portolan.dev");
                if is_name { "NAME".into() } else { text.into() }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
        }
    }

    fn field(&self, key: &str, value: &Value) -> Value {
        let settled = &self.scheme["value"];
        match key {
            "port" if value == &self.service["spec"]["healthCheckNodePort"] => "the Service's own".into(),
            "scheme" if !self.is_asked() && (settled.is_null() || settled == value) => "its own".into(),
            _ => self.of(value),
        }
    }

    /// A Service asks for the scheme. Where nobody does, a load balancer keeps the one that it has.
    fn is_asked(&self) -> bool {
        self.scheme["askedBy"].as_array().is_some_and(|uids| !uids.is_empty())
    }

    fn network<'t>(&self, address: &'t str) -> &'t str {
        let wishes = [&self.service["spec"]["loadBalancerIP"], &self.service["metadata"]["annotations"]];
        if self.is_asked() || wishes.iter().any(|wish| wish.to_string().contains(address)) {
            network(address)
        } else if address.contains(':') {
            "an IPv6 address"
        } else {
            "an IPv4 address"
        }
    }
}
