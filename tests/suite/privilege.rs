//! Least privilege: what `deploy/rbac.yaml` gives is enough for all that a controller does, and none of it is too much.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::case::{real_without_neighbours, say};
use crate::harness::{SOON, Setup, World, addresses, condition, eventually, finalizers};
use crate::rights::{self, Right};

/// How many reduced controllers run side by side.
const AT_ONCE: usize = 4;

/// Rights that a controller has asked for in vain, as `VERB RESOURCE`.
type Refused = BTreeSet<String>;

#[test]
fn the_service_account_of_the_deploy_file_does_everything_and_has_no_right_that_it_does_not_use() {
    real_without_neighbours(|world| {
        // As a user would: kubectl apply, then a Pod with a token of the service account.
        let file = fs::read_to_string(rights::FILE).unwrap();
        world.server.kubectl(&["apply"], Some(&file)).unwrap_or_else(|error| panic!("{error}"));
        let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}});
        let token = world.api.create("/api/v1/namespaces/kube-system/serviceaccounts/portolan/token", &request);
        let user = "system:serviceaccount:kube-system:portolan";
        let kubeconfig = world.server.kubeconfig_with_token(user, token["status"]["token"].as_str().unwrap());

        let setup = world.setup().configured(json!({"instance": ""})).authenticated(user, kubeconfig);
        assert_eq!(live(world, &setup.elected_by_own_rights()), Ok(()), "without a 403");
        let given: BTreeSet<String> =
            rights::deployed_roles().iter().flat_map(rights::rights).map(|right| right.to_string()).collect();
        eventually("every right was used", SOON, || {
            let used = world.allowed(user);
            if used == given { Ok(()) } else { Err(format!("given {given:?}\nused {used:?}")) }
        });
    });
}

#[test]
fn the_server_takes_every_manifest_of_the_deploy_folder() {
    real_without_neighbours(|world| {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy");
        let told = world.server.kubectl(&["apply", "--dry-run=server", "--filename", folder], None);
        let told = told.unwrap_or_else(|error| panic!("{error}"));
        for taken in [
            "deployment.apps/portolan ",
            "daemonset.apps/portolan-speaker ",
            "clusterrole.rbac.authorization.k8s.io/portolan-metal ",
        ] {
            assert!(told.contains(taken), "{taken}: {told}");
        }
    });
}

/// What a page has its readers apply: its blocks of YAML, and what it pipes into `kubectl apply`. Not those of a controller's configuration, or part
/// of an object.
fn manifests(page: &str) -> Vec<String> {
    let mut all = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let end = match line.split_once("<<'") {
            Some((_, end)) if line.contains("kubectl apply") => end.trim_end_matches('\''),
            _ if line == "```yaml" => "```",
            _ => continue,
        };
        let block: String = lines.by_ref().take_while(|line| *line != end).map(|line| format!("{line}\n")).collect();
        if block.contains("\nkind: ") && !block.contains("\nkind: Configuration\n") {
            all.push(block);
        }
    }
    all
}

#[test]
fn the_server_takes_every_manifest_of_the_guide() {
    real_without_neighbours(|world| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let pages = fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path());
        let pages = pages.filter(|path| path.is_file()).chain([root.join("README.md")]);
        let mut told = String::new();
        for page in pages {
            for manifest in manifests(&fs::read_to_string(&page).unwrap()) {
                let taken = world.server.kubectl(&["apply", "--dry-run=server"], Some(&manifest));
                told += &taken.unwrap_or_else(|error| panic!("{}: {error}\n{manifest}", page.display()));
            }
        }
        for taken in ["addresspool.portolan.dev/kind ", "l2advertisement.portolan.dev/kind ", "service/web "] {
            assert!(told.contains(taken), "{taken}: {told}");
        }
    });
}

#[test]
fn each_verb_of_the_deploy_file_is_missed_when_it_is_taken_away() {
    real_without_neighbours(|world| {
        let all: Vec<Right> = rights::deployed_roles().iter().flat_map(rights::rights).collect();
        let left = Mutex::new(all.clone());
        thread::scope(|scope| {
            for _ in 0..AT_ONCE {
                scope.spawn(|| {
                    while let Some(taken) = { left.lock().unwrap().pop() } {
                        missed(&world.another("taken"), &taken);
                    }
                });
            }
        });
        let names: Vec<String> = all.iter().map(ToString::to_string).collect();
        say(&format!("least privilege: {} verbs, each missed when taken away: {}", names.len(), names.join(", ")));
    });
}

/// Fails unless a controller without this right asks for it.
fn missed(world: &World, taken: &Right) {
    let user = world.server.new_stranger();
    let subject = json!({"kind": "User", "name": user});
    for role in rights::deployed_roles() {
        let role = rights::without(rights::of_instance(role, &world.instance), &taken.of_instance(&world.instance));
        world.api.create(&rights::collection(&role), &role);
        rights::bind(&world.api, &role, &subject);
        rights::wait_until_granted(&world.api, &role, &json!({"user": user}));
    }
    let setup = world.setup().authenticated(&user, world.server.kubeconfig(&user));
    let refused = live(world, &setup.elected_by_own_rights()).err().unwrap_or_default();
    assert_eq!(refused, Refused::from([taken.to_string()]), "{taken} was taken away, and nothing else");
}

/// All that a controller does: it is elected, cleans up what was left, serves, follows endpoints, nodes and types, forgets, and
/// resigns. Ends early once it has been refused a right.
fn live(world: &World, setup: &Setup) -> Result<(), Refused> {
    let instance = setup.instance();
    let finalizer = match instance {
        "" => "portolan.dev/load-balancer".to_owned(),
        instance => format!("portolan.dev/load-balancer.{instance}"),
    };
    // Our mark without a record: whether there really is none, only the server can say.
    world.create(
        "left",
        json!({"metadata": {"finalizers": [finalizer]}, "spec": {"type": "ClusterIP", "loadBalancerClass": null}}),
    );
    // A provider that teaches what it calls its balancers makes the record change, as a cloud's does.
    let setup = setup.clone().class(json!({"parameters": {"teachesIdentifiers": true}}));
    let controller = setup.start();
    let until = |what: &str, holds: &dyn Fn() -> bool| {
        eventually(what, SOON, || {
            let refused = world.forbidden(&setup.user);
            if !refused.is_empty() {
                return Ok(Err(refused));
            }
            if holds() { Ok(Ok(())) } else { Err(controller.log()) }
        })
    };
    let service = |name: &str, holds: &dyn Fn(&Value) -> bool| world.service(name).is_some_and(|found| holds(&found));
    let reason = |found: &Value, kind: &str, reason: &str| {
        condition(found, &format!("portolan.dev/{kind}")).is_some_and(|one| one["reason"] == reason)
    };

    until("what was left is released", &|| service("left", &|found| finalizers(found).is_empty()))?;
    world.create("web", json!({}));
    until("a Service is served", &|| service("web", &|found| reason(found, "Programmed", "Programmed")))?;
    until("it is told", &|| !world.events("web").is_empty())?;

    let unready =
        json!({"endpoints": [{"addresses": ["10.200.0.10"], "nodeName": "node-1", "conditions": {"ready": false}}]});
    let slices = format!("/apis/discovery.k8s.io/v1/namespaces/{}/endpointslices", world.namespace);
    world.api.patch(&format!("{slices}/web-1"), &unready);
    until("its endpoint went", &|| service("web", &|found| reason(found, "Reachable", "NoEndpoints")))?;

    let node = format!("node-{}", world.namespace);
    let object = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": node}});
    world.api.create("/api/v1/nodes", &object);
    let status = json!({"status": {"addresses": [{"type": "InternalIP", "address": "198.51.100.77"}]}});
    world.api.patch(&format!("/api/v1/nodes/{node}/status"), &status);
    until("a node came", &|| world.mock().state().to_string().contains(&node))?;

    world.edit("web", json!({"spec": {"type": "ClusterIP", "loadBalancerClass": null}}));
    until("its type changed", &|| service("web", &|found| finalizers(found).is_empty()))?;

    world.create("gone", json!({}));
    until("another is served", &|| service("gone", &|found| !addresses(found).is_empty()))?;
    world.delete("gone");
    until("it is deleted", &|| world.service("gone").is_none())?;
    world.nothing_left();

    assert!(
        controller.terminate(Duration::from_secs(10)).is_some_and(|status| status.success()),
        "{}",
        controller.log()
    );
    until("the lease is free", &|| {
        let leases = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases";
        let lease = world.api.get(&format!("{leases}/{}", rights::lease_name(instance)));
        lease.is_some_and(|lease| lease["spec"]["holderIdentity"].as_str().is_none_or(str::is_empty))
    })
}
