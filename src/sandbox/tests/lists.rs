//! Lists: pages, versions, selectors.

use serde_json::{Value, json};

use super::{MAPS, MERGE, done, get, map, names, request, storage};

#[test]
fn pages_show_the_list_as_it_was_at_the_first() {
    let storage = storage();
    for name in ["a", "b", "c"] {
        map(&storage, name, &json!({}));
    }
    let first = done(get(&storage, &format!("{MAPS}?limit=2")));
    assert_eq!((names(&first), &first["metadata"]["remainingItemCount"]), (vec!["a", "b"], &json!(1)));
    request(&storage, "DELETE", &format!("{MAPS}/c"), "", &Value::Null);
    map(&storage, "d", &json!({}));
    let token = first["metadata"]["continue"].as_str().unwrap();
    let second = done(get(&storage, &format!("{MAPS}?limit=2&continue={token}")));
    assert_eq!(names(&second), ["c"]);
    assert_eq!(second["metadata"]["resourceVersion"], first["metadata"]["resourceVersion"]);
    assert!(second["metadata"]["continue"].is_null());
    storage.compact();
    let (code, status) = get(&storage, &format!("{MAPS}?limit=2&continue={token}"));
    assert_eq!((code, &status["reason"]), (410, &json!("Expired")));
}

#[test]
fn a_list_is_as_new_or_exactly_as_old_as_asked() {
    let storage = storage();
    let version = |object: &Value| object["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
    let first = version(&map(&storage, "a", &json!({})));
    map(&storage, "b", &json!({}));
    request(&storage, "PATCH", &format!("{MAPS}/a"), MERGE, &json!({"data": {"a": "new"}}));
    let list = |query: &str| get(&storage, &format!("{MAPS}?{query}"));
    let exact = done(list(&format!("resourceVersion={first}&resourceVersionMatch=Exact")));
    assert_eq!((names(&exact), &exact["items"][0]["data"]["a"]), (vec!["a"], &json!("b")));
    let newer = done(list(&format!("resourceVersion={first}&resourceVersionMatch=NotOlderThan")));
    assert_eq!(names(&newer), ["a", "b"]);
    assert_eq!(names(&done(list("resourceVersion=0"))), ["a", "b"]);
    let (code, status) = list("resourceVersion=1000000");
    assert_eq!((code, &status["details"]["causes"][0]["reason"]), (504, &json!("ResourceVersionTooLarge")));
    storage.compact();
    assert_eq!(list(&format!("resourceVersion={first}&resourceVersionMatch=Exact")).0, 410);
}

#[test]
fn label_selectors_are_read_as_kubernetes_reads_them() {
    let storage = storage();
    map(&storage, "none", &json!({}));
    map(&storage, "one", &json!({"labels": {"tier": "web", "n": "1"}}));
    map(&storage, "two", &json!({"labels": {"tier": "db", "n": "2"}}));
    for (selector, chosen) in [
        ("tier", vec!["one", "two"]),
        ("!tier", vec!["none"]),
        ("tier=web", vec!["one"]),
        ("tier==web,n=2", vec![]),
        ("tier!=web", vec!["none", "two"]),
        ("tier in (web, db),n notin (2)", vec!["one"]),
        ("tier notin (web)", vec!["none", "two"]),
        ("n>1", vec!["two"]),
        ("n<2", vec!["one"]),
    ] {
        let encoded: String = selector.bytes().map(|byte| format!("%{byte:02X}")).collect();
        assert_eq!(names(&done(get(&storage, &format!("{MAPS}?labelSelector={encoded}")))), chosen, "{selector}");
    }
    assert_eq!(get(&storage, &format!("{MAPS}?labelSelector=%3Dx")).0, 400);
}

#[test]
fn only_the_fields_of_its_kind_can_be_selected() {
    let storage = storage();
    map(&storage, "one", &json!({}));
    map(&storage, "two", &json!({}));
    let one = done(get(&storage, &format!("{MAPS}?fieldSelector=metadata.name%3Done")));
    assert_eq!(names(&one), ["one"]);
    let (code, status) = get(&storage, &format!("{MAPS}?fieldSelector=spec.type%3DX"));
    let words = "\"spec.type\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\"";
    assert_eq!((code, &status["message"]), (400, &json!(words)));
    assert_eq!(get(&storage, "/api/v1/services?fieldSelector=spec.type%3DLoadBalancer").0, 200);
}

#[test]
fn a_list_over_all_namespaces_is_ordered_by_namespace() {
    let storage = storage();
    map(&storage, "z", &json!({}));
    let body = json!({"metadata": {"name": "a"}});
    done(request(&storage, "POST", "/api/v1/namespaces/kube-system/configmaps", "", &body));
    assert_eq!(names(&done(get(&storage, "/api/v1/configmaps"))), ["z", "a"]);
    assert_eq!(names(&done(get(&storage, MAPS))), ["z"]);
}
