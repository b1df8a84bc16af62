//! Bad input: a server that answers nonsense, objects that it should never have stored, and nonsense from users. A clear error,
//! no panic, and other Services unharmed.

use std::time::Duration;

use http::Method;
use k8s_openapi::ByteString;
use serde_json::{Value, json};

use crate::api::Api;
use crate::case::{both, real, say};
use crate::gate::{Fault, Gate, Seen};
use crate::harness::{SOON, World, addresses, condition, eventually, service};

/// Each request of a create in turn meets the fault; the Service is served all the same.
fn every_request_of_a_create_may_meet(world: &World, fault: &Fault) {
    let gate = Gate::before(world.server);
    let controller = world.setup().through(world, &gate).start();
    world.create("bystander", json!({}));
    let before = world.condition("bystander", "portolan.dev/Programmed", "True", "Programmed");
    let mut index = 1;
    loop {
        gate.quiet(Duration::from_millis(200));
        gate.mark();
        gate.at(index, fault.clone());
        let name = format!("web-{index}");
        world.create(&name, json!({}));
        world.condition(&name, "portolan.dev/Programmed", "True", "Programmed");
        gate.quiet(Duration::from_millis(200));
        if gate.fired() == 0 {
            break;
        }
        index += 1;
    }
    assert!(index > 3, "finalizer, record and status are three requests");
    say(&format!("{}: {} requests of a create met the fault", world.namespace, index - 1));
    let after = world.service("bystander").unwrap();
    assert_eq!(after, before, "other Services are unharmed");
    controller.is_well();
    for number in 1..=index {
        world.delete(&format!("web-{number}"));
    }
    for number in 1..=index {
        world.gone(&format!("web-{number}"));
    }
    assert_eq!((world.records().len(), world.mock().balancers().len()), (1, 1), "nothing has leaked");
}

#[test]
fn an_answer_that_is_no_json_hurts_no_service() {
    both(|world| every_request_of_a_create_may_meet(world, &Fault::garbage()));
}

#[test]
fn an_answer_that_breaks_off_in_the_middle_hurts_no_service() {
    both(|world| every_request_of_a_create_may_meet(world, &Fault::Cut));
}

#[test]
fn an_internal_error_of_the_server_hurts_no_service() {
    both(|world| every_request_of_a_create_may_meet(world, &Fault::status(500)));
}

#[test]
fn a_conflict_hurts_no_service() {
    both(|world| every_request_of_a_create_may_meet(world, &Fault::status(409)));
}

#[test]
fn a_throttling_server_hurts_no_service() {
    both(|world| every_request_of_a_create_may_meet(world, &Fault::status(429)));
}

#[test]
fn a_request_that_is_never_answered_delays_only_its_own_service() {
    both(|world| {
        let gate = Gate::before(world.server);
        let controller = world.setup().through(world, &gate).start();
        gate.when(1, Fault::Stall, |seen: &Seen, _| seen.method == "POST" && seen.path.contains("loadbalancerrecords"));
        world.create("stuck", json!({}));
        eventually("the request stalls", SOON, || if gate.fired() == 1 { Ok(()) } else { Err("not yet".into()) });
        world.create("free", json!({}));
        world.addressed("free");
        assert!(
            addresses(&world.service("stuck").unwrap()).is_empty(),
            "the stall is over too early to prove anything"
        );
        eventually("the stuck one is served as well", Duration::from_secs(120), || {
            if addresses(&world.service("stuck").unwrap()).is_empty() { Err("no address".into()) } else { Ok(()) }
        });
        controller.is_well();
    });
}

#[test]
fn lists_and_watches_that_fail_are_tried_again() {
    both(|world| {
        for (label, fault) in [("garbage", Fault::garbage()), ("cut", Fault::Cut), ("error", Fault::status(500))] {
            let gate = Gate::before(world.server);
            // Two of each kind: the list at the start, or the watch after it.
            for watch in [false, true] {
                for kind in ["/services", "/endpointslices", "/nodes", "/loadbalancerrecords"] {
                    gate.when(2, fault.clone(), move |seen: &Seen, _| {
                        let path = seen.path.split('?').next().unwrap_or_default();
                        seen.method == "GET" && seen.watch == watch && path.ends_with(kind)
                    });
                }
            }
            let controller = world.setup().through(world, &gate).start();
            world.create(label, json!({}));
            eventually(&format!("served although lists and watches met {label}"), Duration::from_secs(180), || {
                if addresses(&world.service(label).unwrap()).is_empty() {
                    Err(format!("{} faults met", gate.fired()))
                } else {
                    Ok(())
                }
            });
            assert!(gate.fired() >= 4, "{}", gate.fired());
            controller.is_well();
        }
    });
}

#[test]
fn a_server_without_our_crds_is_told_about_and_how_to_mend_it() {
    both(|world| {
        let bare = world.server.another(&format!("{}-bare", world.instance));
        let controller = world.setup().at(&bare).start();
        let status = controller.process.wait(SOON).unwrap_or_else(|| panic!("it goes on: {}", controller.log()));
        let log = controller.log();
        assert!(!status.success());
        assert!(log.contains("loadbalancerrecords.portolan.dev"), "it names what is missing: {log}");
        assert!(log.contains("portolan crds | kubectl apply --server-side -f -"), "it says what to apply: {log}");
        assert!(!log.contains("panicked at"), "{log}");
        bare.apply_crds();
        let controller = world.setup().at(&bare).start();
        bare.admin.create(
            "/api/v1/namespaces",
            &json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": world.namespace}}),
        );
        bare.admin.create(&world.services_path(), &service("web"));
        eventually("the Service has an address", SOON, || {
            let service = bare.admin.get(&world.path("web")).unwrap();
            if addresses(&service).is_empty() { Err(format!("{service:#}")) } else { Ok(()) }
        });
        controller.is_well();
    });
}

/// Writes an object past the API server, as a bug of a server or a hand in etcd would.
fn store(world: &World, key: &str, object: &Value) {
    let etcd = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "etcd",
        "contexts": [{"name": "etcd", "context": {"cluster": "etcd", "user": "etcd"}}],
        "clusters": [{"name": "etcd", "cluster": {"server": world.server.etcd()}}],
        "users": [{"name": "etcd", "user": {}}],
    });
    let put =
        json!({"key": ByteString(key.as_bytes().to_vec()), "value": ByteString(serde_json::to_vec(object).unwrap())});
    Api::new(&etcd).request(Method::POST, "/v3/kv/put", Some(("application/json", &put))).expect("etcd takes it");
}

/// A Service as it lies in etcd, with these changes.
fn stored_service(world: &World, name: &str, changes: Value) -> Value {
    let uid = format!(
        "00000000-0000-4000-8000-{:012x}",
        name.bytes().fold(0_u64, |sum, byte| (sum * 31 + u64::from(byte)) % 0xffff_ffff_ffff)
    );
    let identity =
        json!({"metadata": {"namespace": world.namespace, "uid": uid, "creationTimestamp": "2026-01-01T00:00:00Z"}});
    crate::harness::merged(crate::harness::merged(service(name), identity), changes)
}

#[test]
fn services_that_no_server_should_have_stored_hurt_no_other() {
    real(|world| {
        let controller = world.setup().start();
        let long = "x".repeat(200_000);
        let cases = [
            ("port-too-high", json!({"spec": {"ports": [{"name": "http", "port": 70000, "protocol": "TCP"}]}})),
            ("port-zero", json!({"spec": {"ports": [{"name": "http", "port": 0, "protocol": "TCP"}]}})),
            (
                "port-negative",
                json!({"spec": {"ports": [{"name": "http", "port": -1, "nodePort": -7, "protocol": "TCP"}]}}),
            ),
            ("protocol-unknown", json!({"spec": {"ports": [{"name": "http", "port": 80, "protocol": "QUIC"}]}})),
            (
                "ports-twice",
                json!({"spec": {"ports": [{"name": "a", "port": 80, "protocol": "TCP"}, {"name": "a", "port": 80, "protocol": "TCP"}]}}),
            ),
            ("no-ports", json!({"spec": {"ports": null}})),
            (
                "no-spec",
                json!({"spec": {"ports": null, "loadBalancerClass": "portolan.dev/mock", "ipFamilies": ["IPv9", ""]}}),
            ),
            (
                "addresses",
                json!({"spec": {"clusterIPs": ["not an address", ""], "ipFamilies": ["IPv4", "IPv4", "IPv4"]}}),
            ),
            ("ranges", json!({"spec": {"loadBalancerSourceRanges": ["::/999", "nonsense", ""]}})),
            ("policy", json!({"spec": {"externalTrafficPolicy": "Sideways", "healthCheckNodePort": 99999}})),
            (
                "annotations",
                json!({"metadata": {"annotations": {
                "portolan.dev/scheme": "sideways\u{0}\n\u{202e}", "portolan.dev/load-balancer-ips": "1.2.3.4,,::,\u{1F980}", "long": long}}}),
            ),
            (
                "status",
                json!({"status": {"loadBalancer": {"ingress": [{"ip": "not an address", "ipMode": "Sideways"}, {}]},
                "conditions": [{"type": "", "status": "Perhaps"}, {"type": "portolan.dev/Accepted", "status": "Perhaps"}]}}),
            ),
        ];
        for (name, changes) in cases.clone() {
            store(
                world,
                &format!("/registry/services/specs/{}/{name}", world.namespace),
                &stored_service(world, name, changes),
            );
        }
        world.create("good", json!({}));
        world.condition("good", "portolan.dev/Programmed", "True", "Programmed");
        // A restart lists them all at once: the list must survive its worst item.
        controller.kill();
        let controller = world.setup().start();
        world.create("another", json!({}));
        world.condition("another", "portolan.dev/Programmed", "True", "Programmed");
        controller.is_well();
        // What was wrong is said where users look, as far as the server lets us write on such an object.
        for (name, _) in cases {
            world
                .becomes(name, "it carries a verdict", |service| condition(service, "portolan.dev/Accepted").is_some());
        }
    });
}

#[test]
fn records_that_no_server_should_have_stored_hurt_no_service() {
    real(|world| {
        let setup = world.setup();
        let controller = setup.start();
        world.create("good", json!({}));
        world.condition("good", "portolan.dev/Programmed", "True", "Programmed");
        let mut names = Vec::new();
        for (number, spec) in [
            json!(null),
            json!("text"),
            json!({"members": 7, "instance": world.instance}),
            json!({"instance": world.instance, "class": []}),
        ]
        .into_iter()
        .enumerate()
        {
            let name = format!("{}.broken-{number}", world.instance);
            let uid = format!("00000000-0000-4000-9000-{number:012}");
            let record = json!({
                "apiVersion": "portolan.dev/v1alpha1", "kind": "LoadBalancerRecord", "spec": spec,
                "metadata": {"name": name, "uid": uid, "creationTimestamp": "2026-01-01T00:00:00Z", "generation": 1},
            });
            store(world, &format!("/registry/portolan.dev/loadbalancerrecords/{name}"), &record);
            names.push(name);
        }
        controller.kill();
        let controller = setup.start();
        world.create("another", json!({}));
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            world.condition("another", "portolan.dev/Programmed", "True", "Programmed");
            world.delete("good");
            world.gone("good");
            controller.is_well();
        }));
        // They would disturb every other case of this server.
        for name in names {
            world.api.delete(&format!("/apis/portolan.dev/v1alpha1/loadbalancerrecords/{name}"));
        }
        if let Err(panic) = outcome {
            std::panic::resume_unwind(panic);
        }
    });
}

#[test]
fn hostile_annotations_are_refused_by_name_and_hurt_no_other() {
    both(|world| {
        let controller = world.setup().start();
        let cases = [
            ("portolan.dev/scheme", "sideways", "InvalidAnnotation"),
            ("portolan.dev/scheme", "", "InvalidAnnotation"),
            ("portolan.dev/scheme", "\u{202e}internal", "InvalidAnnotation"),
            ("portolan.dev/scheme", "Internal ", "InvalidAnnotation"),
            ("portolan.dev/load-balancer-ips", "10.0.0.1, banana", "InvalidRequestedAddress"),
            ("portolan.dev/load-balancer-ips", "", "InvalidRequestedAddress"),
            ("portolan.dev/share", "a b", "InvalidAnnotation"),
        ];
        for (number, (key, value, reason)) in cases.into_iter().enumerate() {
            let name = format!("web-{number}");
            world.create_without_endpoints(&name, json!({"metadata": {"annotations": {key: value}}}));
            let service = world.condition(&name, "portolan.dev/Accepted", "False", reason);
            assert!(addresses(&service).is_empty(), "{value:?}: nobody is exposed by a slip of the pen: {service:#}");
            let names_it = |event: &Value| {
                event["type"] == "Warning" && event["message"].as_str().is_some_and(|text| text.contains(key))
            };
            assert!(world.events(&name).iter().any(names_it), "a Warning names {key}: {:#?}", world.events(&name));
        }
        assert!(world.mock().balancers().is_empty());
        controller.is_well();
    });
}

#[test]
fn a_configuration_that_is_no_yaml_ends_the_controller_with_a_message() {
    both(|world| {
        let file = world.folder.join("broken.yaml");
        std::fs::write(&file, "classes: [\n  {name: portolan.dev/mock,\n").unwrap();
        for subcommand in [["controller", "--config"].as_slice(), &["check-config"]] {
            let output = std::process::Command::new(env!("CARGO_BIN_EXE_portolan"))
                .args(subcommand)
                .arg(&file)
                .output()
                .unwrap();
            let text =
                format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            assert!(!output.status.success(), "{text}");
            assert!(text.contains("broken.yaml:"), "with line and column: {text}");
            assert!(!text.contains("panicked at"), "{text}");
        }
    });
}

#[test]
fn plan_says_what_would_be_done_and_writes_nothing() {
    both(|world| {
        world.create("web", json!({}));
        let user = world.server.new_user();
        let kubeconfig = world.folder.join("plan.kubeconfig");
        std::fs::write(&kubeconfig, world.server.kubeconfig(&user).to_string()).unwrap();
        let before = world.service("web").unwrap();
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_portolan"));
        command
            .arg("plan")
            .arg("--kubeconfig")
            .arg(&kubeconfig)
            .args(["-o", "json"])
            .env("PORTOLAN_MOCK_STATE", world.folder.join("mock"));
        let output = command.output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        // Other cases may just have something unreadable in this cluster.
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() || errors.contains("cannot be read"), "{text}{errors}");
        assert!(serde_json::from_str::<Value>(&text).is_ok() && text.contains(&world.namespace), "{text}");
        assert_eq!(world.service("web").unwrap(), before);
        assert!(world.writes(&user).is_empty());
    });
}

#[test]
fn a_list_of_another_kind_is_not_an_empty_list_and_removes_nothing() {
    both(|world| {
        let setup = world.setup();
        let controller = setup.start();
        world.create("web", json!({}));
        let before = world.condition("web", "portolan.dev/Programmed", "True", "Programmed");
        controller.kill();
        let gate = Gate::before(world.server);
        let body = br#"{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"1"},"items":null}"#;
        let pods = Fault::Answer { status: 200, retry_after: None, body };
        gate.when(2, pods, |seen: &Seen, _| {
            !seen.watch && seen.method == "GET" && seen.path.split('?').next().is_some_and(|p| p.ends_with("/services"))
        });
        let controller = setup.through(world, &gate).start();
        world.create("another", json!({}));
        world.condition("another", "portolan.dev/Programmed", "True", "Programmed");
        assert_eq!(gate.fired(), 2);
        assert!(controller.log().contains("not a ServiceList"), "it says so: {}", controller.log());
        assert_eq!((world.records().len(), world.mock().balancers().len()), (2, 2));
        assert_eq!(world.service("web").unwrap(), before);
        controller.is_well();
    });
}
