//! In which form a client is answered; and how objects are held back, warned about, and read from protobuf. What cells hold is compared
//! with the real server's (`tests/suite/tables.rs`).

use futures::FutureExt as _;
use http::Request;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

use super::{JSON, MAPS, SERVICES, Storage, done, get, map, request, storage};

const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";

/// What a client that accepts this is answered.
fn accepting(storage: &Storage, path: &str, accept: &str) -> (u16, Value) {
    let request = Request::builder().uri(path).header("accept", accept);
    let answer = storage.answer(&request.body(bytes::Bytes::new()).unwrap());
    let code = answer.status().as_u16();
    let body = answer.into_body().collect().now_or_never().expect("no watch").unwrap().to_bytes();
    (code, serde_json::from_slice(&body).unwrap())
}

fn service(name: &str, spec: &Value) -> Value {
    let mut service = json!({"metadata": {"name": name}, "spec": {"ports": [{"port": 80}]}});
    json_patch::merge(&mut service["spec"], spec);
    service
}

#[test]
fn a_list_as_a_table_has_a_row_an_object_and_the_lists_own_metadata() {
    let storage = storage();
    for name in ["a", "b"] {
        map(&storage, name, &json!({}));
    }
    let list = done(get(&storage, &format!("{MAPS}?limit=1")));
    let table = done(accepting(&storage, &format!("{MAPS}?limit=1"), TABLE));
    assert_eq!((&table["kind"], &table["apiVersion"]), (&json!("Table"), &json!("meta.k8s.io/v1")));
    assert_eq!(table["metadata"], list["metadata"]);
    let names: Vec<&Value> = table["columnDefinitions"].as_array().unwrap().iter().map(|one| &one["name"]).collect();
    assert_eq!(names, ["Name", "Data", "Age"]);
    let [row] = table["rows"].as_array().unwrap().as_slice() else { panic!("{table}") };
    assert_eq!(row["cells"], json!(["a", 1, "0s"]));
    assert_eq!((&row["object"]["kind"], &row["object"]["data"]), (&json!("PartialObjectMetadata"), &Value::Null));
}

#[test]
fn a_row_holds_as_much_of_its_object_as_was_asked_for() {
    let storage = storage();
    map(&storage, "a", &json!({}));
    let object = |include: &str| {
        let (code, mut table) = accepting(&storage, &format!("{MAPS}?includeObject={include}"), TABLE);
        (code, table.pointer_mut("/rows/0/object").map(Value::take).unwrap_or_default())
    };
    assert_eq!(object("None"), (200, Value::Null));
    assert_eq!(object("Metadata").1["kind"], "PartialObjectMetadata");
    assert_eq!(object("Object").1["data"]["a"], "b");
    assert_eq!(object("Nonsense").0, 400);
}

#[test]
fn the_first_form_that_there_is_is_taken() {
    let storage = storage();
    map(&storage, "a", &json!({}));
    let path = format!("{MAPS}/a");
    let unknown = "application/json;as=Table;v=v9;g=meta.k8s.io";
    for (accept, kind) in [
        ("*/*".to_owned(), "ConfigMap"),
        (format!("{TABLE},application/json"), "Table"),
        (format!("application/json,{TABLE}"), "ConfigMap"),
        (format!("application/json;q=0.1,{TABLE}"), "Table"),
        (format!("{unknown},application/json"), "ConfigMap"),
        ("application/vnd.kubernetes.protobuf,application/json".to_owned(), "ConfigMap"),
        ("application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io".to_owned(), "PartialObjectMetadata"),
    ] {
        assert_eq!(done(accepting(&storage, &path, &accept))["kind"], kind, "{accept}");
    }
    for accept in [unknown, "application/vnd.kubernetes.protobuf", "application/yaml"] {
        assert_eq!(accepting(&storage, &path, accept).0, 406, "{accept}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_watch_of_a_table_names_its_columns_once() {
    let storage = storage();
    map(&storage, "a", &json!({}));
    map(&storage, "b", &json!({}));
    let watch = format!("{MAPS}?watch=1&timeoutSeconds=1");
    let request = Request::builder().uri(watch).header("accept", TABLE).body(bytes::Bytes::new()).unwrap();
    let body = storage.answer(&request).into_body().collect().await.unwrap().to_bytes();
    let events: Vec<Value> = serde_json::Deserializer::from_slice(&body).into_iter().map(Result::unwrap).collect();
    let named: Vec<bool> = events.iter().map(|event| event["object"]["columnDefinitions"].is_array()).collect();
    assert_eq!(named, [true, false]);
    assert_eq!(events[1]["object"]["rows"][0]["cells"][0], "b");
}

#[test]
fn what_is_deleted_in_the_foreground_or_orphans_waits_for_a_garbage_collector() {
    let storage = storage();
    let path = format!("{MAPS}/a");
    for (policy, finalizer) in [("Foreground", "foregroundDeletion"), ("Orphan", "orphan")] {
        map(&storage, "a", &json!({}));
        let held = done(request(&storage, "DELETE", &path, JSON, &json!({"propagationPolicy": policy})));
        assert_eq!(held["metadata"]["finalizers"], json!([finalizer]));
        assert!(held["metadata"]["deletionTimestamp"].is_string());
        // Who says nothing leaves it to the object.
        assert_eq!(done(request(&storage, "DELETE", &path, JSON, &Value::Null))["metadata"], held["metadata"]);
        done(request(&storage, "DELETE", &path, JSON, &json!({"propagationPolicy": "Background"})));
        assert_eq!(get(&storage, &path).0, 404);
    }
    let (code, status) = request(&storage, "DELETE", &path, JSON, &json!({"propagationPolicy": "Nonsense"}));
    assert_eq!((code, &status["details"]["causes"][0]["field"]), (422, &json!("propagationPolicy")));
}

#[test]
fn who_writes_a_deprecated_field_of_a_service_is_warned() {
    let storage = storage();
    let body = service("a", &json!({"externalIPs": ["203.0.113.7"]})).to_string();
    let request = Request::builder().method("POST").uri(SERVICES).header("content-type", JSON);
    let answer = storage.answer(&request.body(body.into()).unwrap());
    let warned: Vec<_> = answer.headers().get_all("warning").iter().collect();
    assert_eq!(warned, ["299 - \"spec.externalIPs is deprecated and may no longer be implemented in some clusters\""]);
}

#[test]
fn the_address_of_a_service_may_not_change() {
    let storage = storage();
    done(request(&storage, "POST", SERVICES, JSON, &service("a", &json!({}))));
    let other = json!({"spec": {"clusterIP": "10.96.0.99"}});
    let (code, status) = request(&storage, "PATCH", &format!("{SERVICES}/a"), super::MERGE, &other);
    let words =
        "Service \"a\" is invalid: spec.clusterIPs[0]: Invalid value: [\"10.96.0.99\"]: may not change once set";
    assert_eq!((code, &status["message"]), (422, &json!(words)));
}

#[test]
fn a_label_has_the_form_of_a_label() {
    let storage = storage();
    for (labels, valid) in [
        (json!({"a": "b", "x.example/a": ""}), true),
        (json!({"": "b"}), false),
        (json!({"a b": "b"}), false),
        (json!({"X.example/a": "b"}), false),
        (json!({"a/b/c": "b"}), false),
        (json!({"a": "-b"}), false),
        (json!({"a": "b".repeat(64)}), false),
    ] {
        let body = json!({"metadata": {"generateName": "m-", "labels": labels}});
        let (code, status) = request(&storage, "POST", MAPS, JSON, &body);
        assert_eq!(code == 201, valid, "{status}");
    }
}

#[test]
fn a_pod_is_completed_and_learns_where_its_node_is() {
    let storage = storage();
    let node = json!({"metadata": {"name": "n", "labels": {"topology.kubernetes.io/zone": "a"}}});
    done(request(&storage, "POST", "/api/v1/nodes", JSON, &node));
    let pod = json!({
        "metadata": {"name": "p"}, "spec": {"nodeName": "n", "containers": [{"name": "c", "image": "x", "ports": [{"containerPort": 80}]}]},
    });
    let pod = done(request(&storage, "POST", "/api/v1/namespaces/default/pods", JSON, &pod));
    assert_eq!(pod["metadata"]["labels"]["topology.kubernetes.io/zone"], "a");
    assert_eq!(pod["spec"]["containers"][0]["imagePullPolicy"], "Always");
    assert_eq!(pod["spec"]["containers"][0]["ports"][0]["protocol"], "TCP");
    assert_eq!(pod["status"], json!({"phase": "Pending", "qosClass": "BestEffort"}));
}
