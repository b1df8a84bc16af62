//! Create, replace, patch and delete.

use serde_json::{Value, json};

use super::{JSON, MAPS, MERGE, SERVICES, Storage, done, get, map, names, request, storage};
use crate::cluster::clock::Clock;
use crate::sandbox::Ranges;

const STRATEGIC: &str = "application/strategic-merge-patch+json";

#[expect(clippy::needless_pass_by_value, reason = "answers are asked for where they are judged")]
fn refused(answer: (u16, Value), code: u16, reason: &str, message: &str) {
    assert_eq!((answer.0, answer.1["reason"].as_str()), (code, Some(reason)), "{}", answer.1);
    let said = answer.1["message"].as_str().unwrap();
    assert!(said.contains(message), "{said}");
}

fn service(storage: &Storage, name: &str, spec: &Value) -> (u16, Value) {
    let mut service = json!({"metadata": {"name": name}, "spec": {"type": "LoadBalancer", "ports": [{"port": 80}]}});
    json_patch::merge(&mut service["spec"], spec);
    request(storage, "POST", SERVICES, JSON, &service)
}

#[test]
fn a_second_object_of_a_name_is_refused() {
    let storage = storage();
    map(&storage, "one", &json!({}));
    let again = request(&storage, "POST", MAPS, JSON, &json!({"metadata": {"name": "one"}}));
    refused(again, 409, "AlreadyExists", "configmaps \"one\" already exists");
}

#[test]
fn a_generated_name_begins_as_asked_and_differs_each_time() {
    let storage = storage();
    let make = || done(request(&storage, "POST", MAPS, JSON, &json!({"metadata": {"generateName": "m-"}})));
    let (first, second) = (make(), make());
    let name = first["metadata"]["name"].as_str().unwrap();
    assert!(name.starts_with("m-") && name.len() == 7, "{name}");
    assert_ne!(first["metadata"]["name"], second["metadata"]["name"]);
    assert_ne!(first["metadata"]["uid"], second["metadata"]["uid"]);
}

#[test]
fn nothing_comes_into_a_namespace_that_is_not_there_or_goes() {
    let storage = storage();
    let path = "/api/v1/namespaces/shop/configmaps";
    let one = json!({"metadata": {"name": "one"}});
    refused(request(&storage, "POST", path, JSON, &one), 404, "NotFound", "namespaces \"shop\" not found");
    done(request(&storage, "POST", "/api/v1/namespaces", JSON, &json!({"metadata": {"name": "shop"}})));
    done(request(&storage, "POST", path, JSON, &one));
    let gone = done(request(&storage, "DELETE", "/api/v1/namespaces/shop", JSON, &Value::Null));
    assert_eq!(gone["status"]["phase"], "Terminating");
    let two = json!({"metadata": {"name": "two"}});
    refused(request(&storage, "POST", path, JSON, &two), 403, "Forbidden", "because it is being terminated");
}

#[test]
fn a_replace_of_another_version_is_a_conflict_and_one_of_another_uid_too() {
    let storage = storage();
    let old = map(&storage, "one", &json!({}));
    let path = &format!("{MAPS}/one");
    let mut new = old.clone();
    new["data"]["a"] = "c".into();
    done(request(&storage, "PUT", path, JSON, &new));
    refused(request(&storage, "PUT", path, JSON, &new), 409, "Conflict", "the object has been modified");
    new["metadata"]["resourceVersion"] = Value::Null;
    new["metadata"]["uid"] = "another".into();
    refused(request(&storage, "PUT", path, JSON, &new), 409, "Conflict", "UID in precondition: another");
}

#[test]
fn a_lease_is_replaced_only_under_its_version() {
    let storage = storage();
    let leases = "/apis/coordination.k8s.io/v1/namespaces/default/leases";
    let lease = json!({"metadata": {"name": "l"}, "spec": {"holderIdentity": "me"}});
    done(request(&storage, "POST", leases, JSON, &lease));
    let answer = request(&storage, "PUT", &format!("{leases}/l"), JSON, &lease);
    refused(answer, 422, "Invalid", "metadata.resourceVersion: Invalid value: 0: must be specified for an update");
}

#[test]
fn an_edit_that_changes_nothing_writes_nothing() {
    let storage = storage();
    let old = map(&storage, "one", &json!({}));
    let new = done(request(&storage, "PATCH", &format!("{MAPS}/one"), MERGE, &json!({"data": {"a": "b"}})));
    assert_eq!(new, old);
}

#[test]
fn a_dry_run_says_what_would_be_and_leaves_everything() {
    let storage = storage();
    let spec = json!({"metadata": {"name": "web"}, "spec": {"type": "LoadBalancer", "ports": [{"port": 80}]}});
    let would = done(request(&storage, "POST", &format!("{SERVICES}?dryRun=All"), JSON, &spec));
    assert!(would["spec"]["ports"][0]["nodePort"].is_u64());
    assert_eq!(get(&storage, &format!("{SERVICES}/web")).0, 404);
    let old = map(&storage, "one", &json!({}));
    let path = format!("{MAPS}/one");
    done(request(&storage, "PATCH", &format!("{path}?dryRun=All"), MERGE, &json!({"data": {"a": "c"}})));
    done(request(&storage, "DELETE", &path, JSON, &json!({"dryRun": ["All"]})));
    assert_eq!(get(&storage, &path).1, old);
}

#[test]
fn finalizers_hold_an_object_until_the_last_has_gone() {
    let storage = storage();
    let path = format!("{MAPS}/one");
    map(&storage, "one", &json!({"finalizers": ["x.example/f"]}));
    let leaving = done(request(&storage, "DELETE", &path, JSON, &Value::Null));
    assert!(leaving["metadata"]["deletionTimestamp"].is_string());
    let again = done(request(&storage, "DELETE", &path, JSON, &Value::Null));
    assert_eq!(again["metadata"]["resourceVersion"], leaving["metadata"]["resourceVersion"]);
    let more = json!({"metadata": {"finalizers": ["x.example/f", "y.example/g"]}});
    refused(request(&storage, "PATCH", &path, MERGE, &more), 422, "Invalid", "no new finalizers can be added");
    done(request(&storage, "PATCH", &path, MERGE, &json!({"metadata": {"finalizers": null}})));
    refused(get(&storage, &path), 404, "NotFound", "configmaps \"one\" not found");
}

#[test]
fn what_nothing_holds_goes_without_ever_being_marked() {
    let storage = storage();
    done(service(&storage, "web", &json!({})));
    let last = done(request(&storage, "DELETE", &format!("{SERVICES}/web"), JSON, &Value::Null));
    assert_eq!((&last["kind"], &last["metadata"]["deletionTimestamp"]), (&json!("Service"), &Value::Null));
    assert_eq!(get(&storage, &format!("{SERVICES}/web")).0, 404);
}

#[test]
fn a_delete_is_held_to_its_preconditions() {
    let storage = storage();
    let path = &format!("{MAPS}/one");
    let old = map(&storage, "one", &json!({}));
    for (field, word) in [("uid", "UID"), ("resourceVersion", "ResourceVersion")] {
        let options = json!({"preconditions": {field: "other"}});
        refused(
            request(&storage, "DELETE", path, JSON, &options),
            409,
            "Conflict",
            &format!("the {word} in the precondition (other) does not match"),
        );
    }
    let met = json!({"preconditions": {"uid": old["metadata"]["uid"], "resourceVersion": old["metadata"]["resourceVersion"]}});
    assert_eq!(done(request(&storage, "DELETE", path, JSON, &met))["status"], "Success");
}

#[test]
fn a_collection_is_deleted_by_its_selector() {
    let storage = storage();
    map(&storage, "one", &json!({"labels": {"a": "b"}}));
    map(&storage, "two", &json!({}));
    done(request(&storage, "DELETE", &format!("{MAPS}?labelSelector=a%3Db"), JSON, &Value::Null));
    assert_eq!(names(&get(&storage, MAPS).1), ["two"]);
}

#[test]
fn a_json_patch_whose_test_fails_changes_nothing() {
    let storage = storage();
    map(&storage, "one", &json!({}));
    let path = &format!("{MAPS}/one");
    let patch = |value: &str| json!([{"op": "test", "path": "/data/a", "value": value}, {"op": "replace", "path": "/data/a", "value": "z"}]);
    let kind = "application/json-patch+json";
    refused(request(&storage, "PATCH", path, kind, &patch("x")), 422, "Invalid", "the server rejected our request");
    assert_eq!(get(&storage, path).1["data"]["a"], "b");
    done(request(&storage, "PATCH", path, kind, &patch("b")));
    assert_eq!(get(&storage, path).1["data"]["a"], "z");
}

#[test]
fn a_strategic_patch_merges_ports_by_number_and_obeys_directives() {
    let storage = storage();
    let ports = json!({"ports": [{"name": "a", "port": 80}, {"name": "b", "port": 81}]});
    done(service(&storage, "web", &ports));
    let path = &format!("{SERVICES}/web");
    let patch = json!({"spec": {
        "ports": [{"port": 80, "targetPort": 8080}, {"port": 81, "$patch": "delete"}, {"name": "c", "port": 82}],
        "$setElementOrder/ports": [{"port": 82}, {"port": 80}],
    }});
    let new = done(request(&storage, "PATCH", path, STRATEGIC, &patch));
    let ports: Vec<(&Value, &Value)> =
        new["spec"]["ports"].as_array().unwrap().iter().map(|port| (&port["name"], &port["targetPort"])).collect();
    assert_eq!(ports, [(&json!("c"), &json!(82)), (&json!("a"), &json!(8080))]);
    done(request(&storage, "PATCH", path, STRATEGIC, &json!({"metadata": {"finalizers": ["x.example/f"]}})));
    let with = done(request(&storage, "PATCH", path, STRATEGIC, &json!({"metadata": {"finalizers": ["y.example/g"]}})));
    assert_eq!(with["metadata"]["finalizers"], json!(["y.example/g", "x.example/f"]));
    let less = json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["x.example/f"]}});
    let new = done(request(&storage, "PATCH", path, STRATEGIC, &less));
    assert_eq!(new["metadata"]["finalizers"], json!(["y.example/g"]));
}

#[test]
fn a_value_of_a_wrong_type_is_refused_and_an_unknown_field_goes_unless_the_client_is_strict() {
    let storage = storage();
    let wrong = json!({"metadata": {"name": "one"}, "data": {"a": 1}});
    refused(request(&storage, "POST", MAPS, JSON, &wrong), 400, "BadRequest", "cannot be handled as a ConfigMap");
    let unknown = json!({"metadata": {"name": "one"}, "dta": {"a": "b"}});
    let strict = request(&storage, "POST", &format!("{MAPS}?fieldValidation=Strict"), JSON, &unknown);
    refused(strict, 400, "BadRequest", "unknown field \"dta\"");
    assert!(done(request(&storage, "POST", MAPS, JSON, &unknown))["dta"].is_null());
}

#[test]
fn node_ports_are_given_once_freed_and_run_out() {
    let ranges = Ranges { node_ports: 30_000..=30_001, ..Ranges::default() };
    let storage = Storage::with_ranges(Clock::start(), ranges);
    let port = |object: &Value| object["spec"]["ports"][0]["nodePort"].as_u64().unwrap();
    let first = port(&done(service(&storage, "one", &json!({}))));
    let second = port(&done(service(&storage, "two", &json!({}))));
    assert_ne!(first, second);
    refused(
        service(&storage, "three", &json!({})),
        500,
        "InternalError",
        "failed to allocate a nodePort: range is full",
    );
    let taken = json!({"allocateLoadBalancerNodePorts": false, "ports": [{"port": 80, "nodePort": first}]});
    refused(service(&storage, "three", &taken), 422, "Invalid", "provided port is already allocated");
    let outside = json!({"ports": [{"port": 80, "nodePort": 40_000}]});
    refused(service(&storage, "three", &outside), 422, "Invalid", "The range of valid ports is 30000-30001");
    done(request(&storage, "DELETE", &format!("{SERVICES}/one"), JSON, &Value::Null));
    assert_eq!(port(&done(service(&storage, "three", &json!({})))), first);
    done(request(&storage, "PATCH", &format!("{SERVICES}/two"), MERGE, &json!({"spec": {"type": "ClusterIP"}})));
    assert_eq!(port(&done(service(&storage, "four", &json!({})))), second);
}

#[test]
fn a_cluster_ip_is_one_services_until_it_goes() {
    let storage = storage();
    let first = done(service(&storage, "one", &json!({"clusterIP": "10.96.0.9"})));
    assert_eq!(first["spec"]["clusterIPs"], json!(["10.96.0.9"]));
    let answer = service(&storage, "two", &json!({"clusterIP": "10.96.0.9"}));
    refused(answer, 422, "Invalid", "provided IP is already allocated");
    refused(
        service(&storage, "two", &json!({"clusterIP": "192.0.2.1"})),
        422,
        "Invalid",
        "the provided network does not match the current range",
    );
    done(request(&storage, "DELETE", &format!("{SERVICES}/one"), JSON, &Value::Null));
    done(service(&storage, "two", &json!({"clusterIP": "10.96.0.9"})));
}

#[test]
fn events_have_one_store_under_two_groups() {
    let storage = storage();
    let (old, new) = ("/api/v1/namespaces/default/events", "/apis/events.k8s.io/v1/namespaces/default/events");
    let object = json!({"kind": "Service", "name": "web", "namespace": "default"});
    let event = json!({"metadata": {"name": "e"}, "involvedObject": object, "message": "hello", "reason": "R", "type": "Normal"});
    done(request(&storage, "POST", old, JSON, &event));
    let seen = done(get(&storage, &format!("{new}/e")));
    assert_eq!(
        (&seen["note"], &seen["regarding"]["name"], &seen["message"]),
        (&json!("hello"), &json!("web"), &Value::Null)
    );
    done(request(&storage, "PATCH", &format!("{new}/e"), MERGE, &json!({"note": "bye"})));
    assert_eq!(get(&storage, &format!("{old}/e")).1["message"], "bye");
    let about = get(&storage, &format!("{old}?fieldSelector=involvedObject.name%3Dother")).1;
    assert!(names(&about).is_empty());
}

#[test]
fn a_definition_brings_its_kind_and_takes_it_away() {
    let storage = storage();
    let records = "/apis/portolan.dev/v1alpha1/loadbalancerrecords";
    assert_eq!(get(&storage, records).0, 404);
    let definition = serde_json::to_value(crate::api::crds().remove(0)).unwrap();
    let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    let stored = done(request(&storage, "POST", definitions, JSON, &definition));
    assert_eq!(stored["status"]["conditions"][1]["type"], "Established");
    assert_eq!(done(get(&storage, records))["kind"], "LoadBalancerRecordList");
    let record = json!({"apiVersion": "portolan.dev/v1alpha1", "kind": "LoadBalancerRecord", "metadata": {"name": "r"}, "spec": {"class": "c", "provider": "mock"}});
    let made = done(request(&storage, "POST", records, JSON, &record));
    assert_eq!(made["metadata"]["generation"], 1);
    let edited = done(request(&storage, "PATCH", &format!("{records}/r"), MERGE, &json!({"spec": {"class": "d"}})));
    assert_eq!(edited["metadata"]["generation"], 2);
    let strategic = request(&storage, "PATCH", &format!("{records}/r"), STRATEGIC, &json!({}));
    refused(strategic, 415, "UnsupportedMediaType", "accepted media types");
    let name = definition["metadata"]["name"].as_str().unwrap();
    done(request(&storage, "DELETE", &format!("{definitions}/{name}"), JSON, &Value::Null));
    assert_eq!(get(&storage, &format!("{records}/r")).0, 404);
}

#[test]
fn a_kind_that_there_is_not_is_not_found() {
    let storage = storage();
    for path in ["/api/v1/endpoints", "/api/v1/namespaces/default/services/web/proxy"] {
        refused(get(&storage, path), 404, "NotFound", "the server could not find the requested resource");
    }
    for path in ["/apis/apps/v1/deployments", "/nothing"] {
        assert_eq!(get(&storage, path), (404, "404 page not found\n".into()));
    }
}

#[test]
fn every_kind_that_can_be_written_says_that_the_server_validates_fields() {
    let storage = storage();
    let definition = serde_json::to_value(crate::api::crds().remove(0)).unwrap();
    done(request(&storage, "POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", JSON, &definition));
    let index = done(get(&storage, "/openapi/v3"));
    let mut kinds = Vec::new();
    for entry in index["paths"].as_object().unwrap().values() {
        let document = done(get(&storage, entry["serverRelativeURL"].as_str().unwrap()));
        for path in document["paths"].as_object().unwrap().values().filter(|path| path["patch"].is_object()) {
            let parameters = path["patch"]["parameters"].as_array().unwrap();
            assert!(parameters.iter().any(|one| one["name"] == "fieldValidation" && one["in"] == "query"), "{path}");
            kinds.push(path["patch"]["x-kubernetes-group-version-kind"]["kind"].as_str().unwrap().to_owned());
        }
    }
    assert!(kinds.len() == 12 && kinds.contains(&"LoadBalancerRecord".to_owned()), "{kinds:?}");
    let ours = done(get(&storage, "/openapi/v3/apis/portolan.dev/v1alpha1"));
    let schema = &ours["components"]["schemas"]["dev.portolan.v1alpha1.LoadBalancerRecord"];
    assert!(schema["properties"]["spec"].is_object(), "{ours}");
}
