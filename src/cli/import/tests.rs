use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::convert::Import;
use super::*;
use crate::api::{AddressPool, L2Advertisement, VirtualIP};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/import")
}

fn cases() -> Vec<PathBuf> {
    let mut cases: Vec<PathBuf> = fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    cases
}

/// A case's first line may say with which `--lb-class`.
fn input(folder: &Path) -> (Documents, Option<String>) {
    let text = fs::read_to_string(folder.join("in.yaml")).unwrap();
    let mut documents = Documents::default();
    documents.add_text(&text, "in.yaml");
    let class = text.lines().next().and_then(|line| line.strip_prefix("# arguments: --lb-class ")).map(str::to_owned);
    (documents, class)
}

fn import_of(case: &str) -> Import {
    let (documents, class) = input(&root().join(case));
    convert(&documents, class.as_deref())
}

/// Every `testdata/import/CASE/in.yaml` against `out.yaml` beside it. `UPDATE_GOLDEN=1` writes what is printed now.
#[test]
fn each_case_is_printed_as_recorded() {
    let mut wrong = Vec::new();
    for folder in cases() {
        let (documents, class) = input(&folder);
        let printed = report::whole(&convert(&documents, class.as_deref())).unwrap();
        let file = folder.join("out.yaml");
        let recorded = fs::read_to_string(&file).unwrap_or_default();
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&file, &printed).unwrap();
        } else if recorded != printed {
            wrong.push(format!("{}:\n{printed}", folder.display()));
        }
    }
    assert!(cases().len() >= 10);
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn what_is_printed_is_yaml_of_our_kinds_and_of_no_field_that_they_do_not_have() {
    for folder in cases() {
        let (documents, class) = input(&folder);
        let import = convert(&documents, class.as_deref());
        let printed = report::whole(&import).unwrap();
        let objects = crate::yaml::documents(&printed).unwrap();
        let made: Vec<Value> = import.made.iter().map(|made| made.object.clone()).collect();
        assert_eq!(objects, made, "{}", folder.display());
        for object in objects {
            let known = match object["kind"].as_str().unwrap() {
                "AddressPool" => json!(serde_json::from_value::<AddressPool>(object.clone()).unwrap()),
                "L2Advertisement" => json!(serde_json::from_value::<L2Advertisement>(object.clone()).unwrap()),
                "VirtualIP" => json!(serde_json::from_value::<VirtualIP>(object.clone()).unwrap()),
                other => panic!("{other}"),
            };
            assert_eq!(account::unread(&object, &known, ""), [""; 0], "{object:#}");
        }
    }
}

#[test]
fn the_order_of_the_input_makes_no_difference() {
    for folder in cases() {
        let (mut documents, class) = input(&folder);
        let forwards = report::whole(&convert(&documents, class.as_deref())).unwrap();
        documents.metallb.reverse();
        documents.services.reverse();
        documents.namespaces.reverse();
        let backwards = report::whole(&convert(&documents, class.as_deref())).unwrap();
        assert_eq!(forwards, backwards, "{}", folder.display());
    }
}

#[test]
fn no_key_of_an_object_of_metallb_is_passed_over_in_silence() {
    for (case, named) in [
        ("unknown", "spec.draining"),
        ("unknown", "spec.serviceAllocation.weight"),
        ("unknown", "spec.serviceAllocation.serviceSelectors[0].matchFields"),
        ("unknown", "spec.vlans"),
        ("unknown", "metadata.finalizers"),
        ("unknown", "AddressPool old"),
        ("unknown", "1 of kind ConfigMap"),
        ("selectors", "metadata.annotations[team]"),
        ("selectors", "app.kubernetes.io/instance"),
        ("bgp", "aggregationLength"),
        ("bgp", "BFDProfile fast"),
        ("bgp", "Community known"),
        ("by-name-only", "metallb.io/hold"),
    ] {
        let findings = report::findings(&import_of(case));
        assert!(findings.contains(named), "{case}: {named} is not in\n{findings}");
    }
    let draining = &import_of("unknown").made.into_iter().find(|made| made.name == "lan").unwrap().object;
    assert_eq!(draining.pointer("/spec/draining"), None, "a word of ours in an object of theirs says nothing");
}

#[test]
fn the_exit_code_says_whether_everybody_keeps_what_he_has() {
    for (case, is_equivalent) in [
        ("plain", true),
        ("selectors", true),
        ("dual-stack", true),
        ("allocation", false),
        ("by-name-only", false),
        ("bgp", false),
        ("unknown", false),
        ("shared", false),
        ("classes", false),
        ("elsewhere", false),
    ] {
        assert_eq!(import_of(case).is_equivalent(), is_equivalent, "{case}");
    }
    let arguments = |case: &str| ImportArguments {
        from: From::Metallb(MetallbArguments {
            files: vec![root().join(case).join("in.yaml")],
            cluster: connect::ClusterArguments { kubeconfig: None, context: None },
            lb_class: None,
            apply: false,
        }),
    };
    assert_eq!(run(&arguments("plain"), &mut Vec::new()).unwrap(), ExitCode::SUCCESS);
    assert_eq!(run(&arguments("bgp"), &mut Vec::new()).unwrap(), ExitCode::FAILURE);
}

#[test]
fn a_namespace_agrees_to_all_its_shares_at_once_and_to_what_it_agreed_to_before() {
    let share = import_of("shared").share;
    let consents: Vec<&str> =
        share.iter().filter_map(|line| line.strip_prefix("kubectl annotate namespace ")).collect();
    assert_eq!(
        consents,
        [
            "dns --overwrite portolan.dev/share-with=shop",
            "shop --overwrite portolan.dev/share-with=dns,other,third",
            "third --overwrite portolan.dev/share-with=shop",
        ]
    );
    assert!(share.iter().any(|line| line.ends_with("--namespace shop web --overwrite portolan.dev/share=front")));
    assert!(
        !share.iter().any(|line| line.contains(" six ")),
        "who cannot share is told so, and to do something else: {share:?}"
    );
}

#[test]
fn the_printed_configuration_is_one_and_claims_whom_metallb_served() {
    for (case, value) in [("plain", None), ("classes", Some("example.com/lan"))] {
        let next = report::next(&import_of(case), false);
        let lines = next.lines().map(|line| line.strip_prefix("#").unwrap_or(line));
        let lines = lines.skip_while(|line| line.trim() != "apiVersion: portolan.dev/v1alpha1").take(5);
        let text: String = lines.map(|line| format!("{}\n", line.trim())).collect();
        let file = std::env::temp_dir().join(format!("portolan-import-{case}-{}.yaml", std::process::id()));
        fs::write(&file, text).unwrap();
        let loaded = crate::config::load(&file, &crate::providers::check_parameters);
        fs::remove_file(&file).unwrap();
        let classes = loaded.unwrap().classes;
        let serves = value.map_or_else(|| classes.default_class(), |value| classes.named(value));
        assert_eq!(serves.unwrap().name.as_str(), "portolan.dev/metal");
        assert_eq!(classes.default_class().is_some(), value.is_none());
    }
}

/// An API server that has these objects, by their path, and takes what is created.
#[derive(Clone)]
struct Server {
    objects: Arc<Mutex<std::collections::BTreeMap<String, Value>>>,
    created: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn with(objects: &[(&str, Value)]) -> Self {
        let objects = objects.iter().map(|(path, object)| ((*path).to_owned(), object.clone())).collect();
        Self { objects: Arc::new(Mutex::new(objects)), created: Arc::default() }
    }

    fn client(&self) -> kube::Client {
        let server = self.clone();
        let service = tower::service_fn(move |request: http::Request<kube::client::Body>| {
            let server = server.clone();
            async move {
                let (method, path) = (request.method().clone(), request.uri().path().to_owned());
                let body = request.into_body().collect_bytes().await.unwrap();
                let (code, answer) = server.answer(&method, &path, &body);
                let answer = kube::client::Body::from(answer.to_string().into_bytes());
                Ok::<_, std::convert::Infallible>(http::Response::builder().status(code).body(answer).unwrap())
            }
        });
        kube::Client::new(service, "default")
    }

    fn answer(&self, method: &http::Method, path: &str, body: &[u8]) -> (u16, Value) {
        let mut objects = self.objects.lock().unwrap();
        let name = path.rsplit('/').next().unwrap_or_default();
        let failed = |code: u16, reason: &str| {
            let details = json!({"name": name, "group": "portolan.dev"});
            (
                code,
                json!({"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": reason, "details": details}),
            )
        };
        match *method {
            http::Method::GET => {
                objects.get(path).map_or_else(|| failed(404, "NotFound"), |object| (200, object.clone()))
            }
            http::Method::POST => {
                let object: Value = serde_json::from_slice(body).unwrap();
                let path = format!("{path}/{}", object["metadata"]["name"].as_str().unwrap());
                if objects.contains_key(&path) {
                    return failed(409, "AlreadyExists");
                }
                self.created.lock().unwrap().push(path.clone());
                objects.insert(path, object.clone());
                (201, object)
            }
            _ => panic!("{method} {path}: only what is not there is written"),
        }
    }

    fn created(&self) -> Vec<String> {
        std::mem::take(&mut *self.created.lock().unwrap())
    }
}

const OURS: &str = "/apis/portolan.dev/v1alpha1";

#[tokio::test]
async fn reservations_are_created_before_the_pools_and_a_second_time_nothing_is() {
    let import = import_of("plain");
    let server = Server::with(&[]);
    let outcome = apply::apply(&server.client(), &import.made).await.unwrap();
    assert!(outcome.is_complete(), "{outcome}");
    let order = ["virtualips/198.51.100.10", "addresspools/lan", "l2advertisements/lan"];
    assert_eq!(server.created(), order.map(|path| format!("{OURS}/{path}")));
    // As the server gives it back, with defaults.
    let pool =
        json!({"addresses": ["198.51.100.10-198.51.100.99", "203.0.113.0/24"], "autoAssign": true, "draining": false});
    let path = format!("{OURS}/addresspools/lan");
    server.objects.lock().unwrap().get_mut(&path).unwrap()["spec"] = pool;
    let outcome = apply::apply(&server.client(), &import.made).await.unwrap();
    assert!(outcome.is_complete(), "{outcome}");
    assert_eq!(server.created(), [""; 0]);
}

/// As a real server does for a kind that was defined a moment ago.
#[tokio::test(start_paused = true)]
async fn a_server_that_asks_for_a_moment_is_given_it_and_one_that_always_does_is_given_up() {
    for (busy, succeeds) in [(3, true), (u32::MAX, false)] {
        let left = std::cell::Cell::new(busy);
        let result = patience::patiently("read", || {
            let answer = if left.get() == 0 { Ok(()) } else { Err(kube::Error::Api(Box::new(too_many()))) };
            left.set(left.get().saturating_sub(1));
            std::future::ready(answer)
        });
        assert_eq!(result.await.is_ok(), succeeds);
    }
}

fn too_many() -> kube::core::Status {
    serde_json::from_value(json!({"status": "Failure", "code": 429, "reason": "TooManyRequests",
        "message": "storage is (re)initializing", "details": {"retryAfterSeconds": 1}}))
    .unwrap()
}

#[tokio::test]
async fn what_exists_and_differs_is_named_and_then_nothing_at_all_is_created() {
    let import = import_of("selectors");
    let labelled =
        json!({"kind": "AddressPool", "metadata": {"name": "lan"}, "spec": {"addresses": ["198.51.100.0/24"]}});
    let mut other = labelled.clone();
    other["metadata"]["labels"] = json!({"zone": "lan"});
    other["spec"]["addresses"] = json!(["198.51.100.0/25"]);
    for (there, why) in [(labelled, "without the labels zone"), (other, "its spec is another")] {
        let server = Server::with(&[(&format!("{OURS}/addresspools/lan"), there)]);
        let outcome = apply::apply(&server.client(), &import.made).await.unwrap();
        assert!(outcome.to_string().contains(why), "{outcome}");
        assert!(!outcome.is_complete() && server.created().is_empty(), "{outcome}");
    }
}

#[tokio::test]
async fn a_reservation_is_there_if_its_service_has_the_address_and_refused_if_another_has() {
    let import = import_of("plain");
    let vip = |spec: Value| json!({"kind": "VirtualIP", "metadata": {"name": "198.51.100.10"}, "spec": spec});
    let served =
        |name: &str| json!({"loadBalancer": "x", "services": [{"uid": "u", "namespace": "shop", "name": name}]});
    for (spec, refusal) in [
        (json!({"reservedFor": {"namespace": "shop", "name": "web"}}), None),
        (served("web"), None),
        (served("thief"), Some("Service shop/thief has it")),
        (json!({"reservedFor": {"namespace": "other"}}), Some("it is kept for other/*")),
    ] {
        let server = Server::with(&[(&format!("{OURS}/virtualips/198.51.100.10"), vip(spec))]);
        let outcome = apply::apply(&server.client(), &import.made).await.unwrap();
        assert_eq!(outcome.is_complete(), refusal.is_none(), "{outcome}");
        assert!(refusal.is_none_or(|refusal| outcome.to_string().contains(refusal)), "{outcome}");
        assert_eq!(server.created().is_empty(), refusal.is_some());
    }
}

#[tokio::test]
async fn a_cluster_is_read_by_what_its_server_knows_and_one_without_metallb_is_named() {
    let group = |name: &str, version: &str| json!({"name": name, "versions": [{"groupVersion": format!("{name}/{version}"), "version": version}]});
    let groups = |all: Value| json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": all});
    let without = Server::with(&[("/apis", groups(json!([group("apps", "v1")])))]);
    let error = cluster::read(&without.client()).await.unwrap_err().to_string();
    assert!(error.contains("MetalLB's kinds are not in this cluster"), "{error}");

    let resource = |name: &str, kind: &str, verbs: Value| json!({"name": name, "kind": kind, "namespaced": true, "singularName": "", "verbs": verbs});
    let list = |kind: &str, items: Value| json!({"kind": format!("{kind}List"), "apiVersion": "v1", "metadata": {}, "items": items});
    let resources = json!([
        resource("ipaddresspools", "IPAddressPool", json!(["list"])),
        resource("ipaddresspools/status", "IPAddressPool", json!(["get"])),
        resource("surprises", "Surprise", json!(["list"])),
    ]);
    let of_metallb = |kind: &str, name: &str| {
        json!({"apiVersion": "metallb.io/v1beta1", "kind": kind, "metadata": {"name": name, "namespace": "lb"},
            "spec": {"addresses": ["198.51.100.0/24"]}})
    };
    let objects = [
        ("/apis", groups(json!([group("metallb.io", "v1beta1")]))),
        (
            "/apis/metallb.io/v1beta1",
            json!({"kind": "APIResourceList", "groupVersion": "metallb.io/v1beta1", "resources": resources}),
        ),
        ("/apis/metallb.io/v1beta1/ipaddresspools", list("IPAddressPool", json!([of_metallb("IPAddressPool", "lan")]))),
        ("/apis/metallb.io/v1beta1/surprises", list("Surprise", json!([of_metallb("Surprise", "odd")]))),
        (
            "/api/v1/services",
            list(
                "Service",
                json!([{"metadata": {"name": "web", "namespace": "shop"},
            "spec": {"type": "LoadBalancer", "ipFamilies": ["IPv4"]},
            "status": {"loadBalancer": {"ingress": [{"ip": "198.51.100.10"}]}}}]),
            ),
        ),
        ("/api/v1/namespaces", list("Namespace", json!([{"metadata": {"name": "shop"}}]))),
        ("/api/v1/nodes", list("Node", json!([]))),
    ];
    let documents = cluster::read(&Server::with(&objects).client()).await.unwrap();
    let import = convert(&documents, None);
    let made: Vec<String> = import.made.iter().map(|made| format!("{} {}", made.kind.name(), made.name)).collect();
    assert_eq!(made, ["VirtualIP 198.51.100.10", "AddressPool lan"]);
    assert_eq!(import.namespace, "lb");
    let findings = report::findings(&import);
    assert!(findings.contains("Surprise odd"), "{findings}");

    // An answer of something that is not the API server is no empty list.
    let mut objects = objects.to_vec();
    objects[4].1 = json!({});
    let error = cluster::read(&Server::with(&objects).client()).await.unwrap_err().to_string();
    assert!(error.contains("is no ServiceList"), "{error}");
}
