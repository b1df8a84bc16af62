//! The harness holds what the cases build on.

use std::process::Command;
use std::time::Duration;

use serde_json::json;

use crate::api::Api;
use crate::case::{both, real};
use crate::gate::{Fault, Gate};
use crate::harness::{Names, SOON, eventually, merged};
use crate::process::Process;

#[test]
fn every_case_has_a_namespace_of_its_own_on_one_server() {
    both(|world| {
        let other = world.another("other");
        assert_ne!(world.namespace, other.namespace);
        world.create("web", json!({}));
        assert!(world.service("web").is_some() && other.service("web").is_none());
        let name = world.kubectl(&["get", "service", "web", "-o", "jsonpath={.metadata.name}"]).unwrap();
        assert_eq!(name, "web");
    });
}

#[test]
fn a_dual_stack_service_gets_cluster_addresses_of_both_families() {
    both(|world| {
        let service = world.create("web", json!({"spec": {"ipFamilyPolicy": "RequireDualStack"}}));
        assert_eq!(service["spec"]["ipFamilies"], json!(["IPv4", "IPv6"]));
    });
}

#[test]
fn the_audit_log_tells_writers_apart() {
    both(|world| {
        let user = world.server.new_administrator();
        let api = Api::new(&world.server.kubeconfig(&user));
        world.create("web", json!({}));
        api.patch(&world.path("web"), &json!({"metadata": {"labels": {"a": "b"}}}));
        let writes = eventually("the write is logged", SOON, || {
            let writes = world.writes(&user);
            if writes.is_empty() { Err("no write".into()) } else { Ok(writes) }
        });
        assert_eq!(writes.len(), 1);
        let write = &writes[0];
        assert_eq!(
            (write.verb.as_str(), write.resource.as_str(), write.name.as_str(), write.status),
            ("patch", "services", "web", 200)
        );
        assert_eq!(write.namespace, world.namespace);
        assert_eq!(write.body["metadata"]["labels"]["a"], "b");
    });
}

#[test]
fn a_portolan_may_not_delete_services() {
    real(|world| {
        let api = Api::new(&world.server.kubeconfig(&world.server.new_user()));
        world.create("web", json!({}));
        let refused = api.request(http::Method::DELETE, &world.path("web"), None).unwrap_err();
        assert_eq!(refused.status, 403);
    });
}

#[test]
fn the_gate_passes_requests_on_and_counts_all_but_watches() {
    both(|world| {
        let gate = Gate::before(world.server);
        let user = world.server.new_administrator();
        let api = Api::new(&world.server.kubeconfig_through(gate.url(), &user));
        world.create("web", json!({}));
        assert!(api.get(&world.path("web")).is_some());
        assert!(api.get(&world.path("nobody")).is_none());
        gate.mark();
        api.patch(&world.path("web"), &json!({"metadata": {"labels": {"a": "b"}}}));
        api.request(http::Method::GET, &format!("{}?watch=true&timeoutSeconds=1", world.services_path()), None)
            .unwrap();
        assert_eq!(gate.count(), 1);
        let seen = gate.seen();
        assert!(seen[0].is_write() && seen[1].watch, "{seen:?}");
        eventually("the server saw the controller's user", SOON, || {
            if world.writes(&user).len() == 1 { Ok(()) } else { Err("no write".into()) }
        });
    });
}

#[test]
fn the_gate_streams_a_watch_event_while_the_watch_is_open() {
    both(|world| {
        let gate = Gate::before(world.server);
        let url = format!("{}{}?watch=true&timeoutSeconds=30", gate.url(), world.services_path());
        let file = world.folder.join("watch");
        let mut command = Command::new("curl");
        command.args(["--silent", "--no-buffer", "--header", "Authorization: Bearer kubectl", &url]);
        command.stdout(std::fs::File::create(&file).unwrap());
        let curl = Process::spawn(&mut command).unwrap();
        world.create("web", json!({}));
        eventually("the event has come through", Duration::from_secs(20), || {
            let text = std::fs::read_to_string(&file).unwrap();
            if text.contains(r#""type":"ADDED""#) { Ok(()) } else { Err(text) }
        });
        assert!(curl.is_running(), "the watch is still open");
    });
}

#[test]
fn the_gate_answers_cuts_and_rewrites_the_chosen_request() {
    both(|world| {
        let gate = Gate::before(world.server);
        let api = Api::new(&world.server.kubeconfig_through(gate.url(), &world.server.new_administrator()));
        let get = || api.request(http::Method::GET, &world.path("web"), None);
        world.create("web", json!({}));
        gate.at(2, Fault::status(409));
        gate.at(3, Fault::Cut);
        gate.at(4, Fault::Rewrite("LoadBalancer", "Nonsense"));
        gate.at(5, Fault::garbage());
        assert!(get().is_ok());
        assert_eq!(get().unwrap_err().status, 409);
        assert_eq!(get().unwrap_err().status, 502, "half an answer is no answer");
        assert_eq!(get().unwrap()["spec"]["type"], "Nonsense");
        assert!(get().unwrap().is_string(), "no JSON");
        assert_eq!(get().unwrap()["spec"]["type"], "LoadBalancer");
        assert_eq!(gate.fired(), 4);
    });
}

#[test]
fn the_gate_kills_before_the_server_hears_or_after_it_has_answered() {
    both(|world| {
        world.create("web", json!({}));
        for (label, after) in [("before", false), ("after", true)] {
            let gate = Gate::before(world.server);
            let victim = Process::spawn(Command::new("sleep").arg("600")).unwrap();
            gate.aim_at(Some(&victim));
            gate.at(1, if after { Fault::KillAfter } else { Fault::KillBefore });
            let api = Api::new(&world.server.kubeconfig_through(gate.url(), &world.server.new_administrator()));
            let patch = json!({"metadata": {"labels": {label: "here"}}});
            assert_eq!(api.try_patch(&world.path("web"), &patch).unwrap_err().status, 502, "no answer");
            assert!(!victim.is_running());
            let service = world.service("web").unwrap();
            assert_eq!(service["metadata"]["labels"][label] == "here", after, "{label}");
        }
    });
}

#[test]
fn comparison_forgets_identity_versions_times_and_what_the_server_drew() {
    both(|world| {
        let normal = |world: &crate::harness::World| {
            let service =
                world.create("web", json!({"metadata": {"annotations": {"about": format!("in {}", world.namespace)}}}));
            let mut names = Names::of(world);
            names.learn(&service);
            names.normal(&service)
        };
        let one = normal(world);
        assert_eq!(one, normal(&world.another("other")));
        assert_eq!(one["metadata"]["annotations"]["about"], "in NAMESPACE");
        assert_eq!(one["spec"]["ports"][0]["nodePort"], r#"NODE-PORT(web, 80/"TCP")"#);
    });
}

#[test]
fn merging_follows_rfc_7386() {
    let merged = merged(json!({"a": {"b": 1, "c": 2}, "d": [1]}), json!({"a": {"b": null, "e": 3}, "d": [2]}));
    assert_eq!(merged, json!({"a": {"c": 2, "e": 3}, "d": [2]}));
}

#[test]
fn a_child_process_dies_with_its_last_handle() {
    let process = Process::spawn(Command::new("sleep").arg("600")).unwrap();
    let other = process.clone();
    drop(process);
    assert!(other.is_running());
    other.kill();
    assert!(!other.is_running());
}

#[test]
fn the_controller_manager_deletes_the_objects_of_a_deleted_namespace() {
    real(|world| {
        world.create("web", json!({}));
        let namespace = format!("/api/v1/namespaces/{}", world.namespace);
        world.api.delete(&namespace);
        eventually("the namespace is gone", SOON, || {
            world.api.get(&namespace).map_or(Ok(()), |left| Err(format!("{left:#}")))
        });
    });
}
