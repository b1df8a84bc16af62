use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Request, Response};
use http_body_util::BodyExt as _;
use kube::client::Body;
use portolan_core::ids::{ClassName, Instance, ProviderName, ResourceVersion};
use portolan_core::terms::Terms;
use serde_json::{Value, json};

use super::*;

/// Method, path and body of every request.
type Asked = Arc<Mutex<Vec<(String, String, Value)>>>;

/// A server that answers everything with this, and what it was asked.
fn server(status: u16, answer: Value) -> (Client, Asked) {
    let asked = Asked::default();
    let log = Arc::clone(&asked);
    let service = tower::service_fn(move |request: Request<Body>| {
        let (answer, log) = (answer.to_string(), Arc::clone(&log));
        async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
            log.lock().unwrap().push((parts.method.to_string(), parts.uri.path().to_owned(), body));
            let response = Response::builder().status(status).body(Body::from(answer.into_bytes()));
            Ok::<_, Infallible>(response.unwrap())
        }
    });
    (Client::new(service, "default"), asked)
}

fn failure(code: u16, reason: &str, name: &str) -> Value {
    let details = json!({"name": name, "kind": "loadbalancerrecords"});
    json!({"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": "because", "details": details})
}

fn record(version: Option<&str>) -> Record {
    Record {
        id: LoadBalancerId::new("0f4c"),
        version: version.map(ResourceVersion::new),
        instance: Instance::default(),
        class: ClassName::new("portolan.dev/mock"),
        aliases: Vec::new(),
        share: None,
        provider: ProviderName::new("mock"),
        parameters: json!({}),
        members: vec![],
        terms: Terms::default(),
        external: BTreeMap::new(),
    }
}

fn stored(version: &str) -> Value {
    serde_json::to_value(LoadBalancerRecord::from(&record(Some(version)))).unwrap()
}

const PATH: &str = "/apis/portolan.dev/v1alpha1/loadbalancerrecords";

#[tokio::test]
async fn each_call_is_one_request_under_the_version_that_was_read() {
    let (client, asked) = server(200, stored("8"));
    let records = ClusterRecords::new(client);
    assert_eq!(records.get(&LoadBalancerId::new("0f4c")).await.unwrap(), Some(record(Some("8"))));
    assert_eq!(records.create(&record(Some("5"))).await.unwrap(), record(Some("8")));
    assert_eq!(records.replace(&record(Some("7"))).await.unwrap(), record(Some("8")));
    records.delete(&record(Some("8"))).await.unwrap();
    let asked = asked.lock().unwrap().clone();
    let calls: Vec<_> = asked.iter().map(|(method, path, _)| format!("{method} {path}")).collect();
    let one = format!("{PATH}/0f4c");
    assert_eq!(calls, [format!("GET {one}"), format!("POST {PATH}"), format!("PUT {one}"), format!("DELETE {one}")]);
    assert_eq!(asked[1].2.pointer("/metadata/resourceVersion"), None);
    assert_eq!(asked[2].2["metadata"]["resourceVersion"], "7");
    assert_eq!(asked[3].2["preconditions"], json!({"resourceVersion": "8"}));
}

#[tokio::test]
async fn without_a_version_nothing_is_changed() {
    let (client, asked) = server(200, stored("8"));
    let records = ClusterRecords::new(client);
    assert!(matches!(records.replace(&record(None)).await, Err(RecordsError::Refused(_))));
    assert!(matches!(records.delete(&record(None)).await, Err(RecordsError::Refused(_))));
    assert!(asked.lock().unwrap().is_empty());
}

/// How get, create, replace and delete end when the server answers this.
async fn outcomes(status: u16, answer: Value) -> [String; 4] {
    let records = ClusterRecords::new(server(status, answer).0);
    let record = record(Some("7"));
    let short = |error: RecordsError| match error {
        RecordsError::Exists(_) => "exists",
        RecordsError::Conflict(_) => "conflict",
        RecordsError::Unavailable { .. } => "unavailable",
        RecordsError::Refused(_) => "refused",
    };
    [
        records.get(&record.id).await.map_or_else(short, |record| if record.is_some() { "some" } else { "none" }),
        records.create(&record).await.map_or_else(short, |_| "done"),
        records.replace(&record).await.map_or_else(short, |_| "done"),
        records.delete(&record).await.map_or_else(short, |()| "done"),
    ]
    .map(ToOwned::to_owned)
}

#[tokio::test]
async fn every_answer_of_the_server_has_its_meaning() {
    let mut kept = stored("8");
    kept["metadata"]["finalizers"] = json!(["somebody/else"]);
    let mut nonsense = stored("8");
    nonsense["spec"]["instance"] = json!("Not legal");
    for (status, answer, outcome) in [
        (200, stored("8"), ["some", "done", "done", "done"]),
        (404, failure(404, "NotFound", "0f4c"), ["none", "unavailable", "conflict", "done"]),
        (404, failure(404, "NotFound", ""), ["refused"; 4]),
        (404, json!("404 page not found"), ["refused"; 4]),
        (409, failure(409, "Conflict", "0f4c"), ["unavailable", "exists", "conflict", "conflict"]),
        (422, failure(422, "Invalid", "0f4c"), ["refused"; 4]),
        (403, failure(403, "Forbidden", "0f4c"), ["refused"; 4]),
        (500, failure(500, "InternalError", ""), ["unavailable"; 4]),
        (200, json!("garbage"), ["unavailable"; 4]),
        (200, nonsense, ["refused", "refused", "refused", "done"]),
        (200, kept, ["some", "done", "done", "unavailable"]),
    ] {
        assert_eq!(outcomes(status, answer.clone()).await, outcome, "{status} {answer}");
    }
}

#[tokio::test]
async fn the_pause_that_a_busy_server_asks_for_is_kept() {
    let mut busy = failure(429, "TooManyRequests", "");
    busy["details"]["retryAfterSeconds"] = json!(7);
    let records = ClusterRecords::new(server(429, busy).0);
    let record = record(Some("7"));
    for error in [
        records.get(&record.id).await.unwrap_err(),
        records.create(&record).await.unwrap_err(),
        records.replace(&record).await.unwrap_err(),
        records.delete(&record).await.unwrap_err(),
    ] {
        let RecordsError::Unavailable { message, after } = error else { panic!("{error}") };
        assert_eq!(after, Some(Duration::from_secs(7)), "{message}");
    }
}

#[tokio::test]
async fn missing_definitions_are_named_with_what_to_apply() {
    let resources = |names: &[&str]| {
        let resources: Vec<_> = names
            .iter()
            .map(|name| json!({"name": name, "singularName": "", "namespaced": false, "kind": "K", "verbs": []}))
            .collect();
        json!({"kind": "APIResourceList", "groupVersion": "portolan.dev/v1alpha1", "resources": resources})
    };
    let check = async |status, answer| check_crds(&server(status, answer).0, false).await;
    assert_eq!(check(200, resources(&["loadbalancerrecords"])).await, Ok(()));
    let missing = CrdsError::Missing(vec!["loadbalancerrecords.portolan.dev v1alpha1".into()]);
    assert_eq!(check(200, resources(&["virtualips"])).await.as_ref(), Err(&missing));
    assert_eq!(check(404, json!("404 page not found")).await.as_ref(), Err(&missing));
    assert!(missing.to_string().contains("portolan crds | kubectl apply --server-side -f -"));
    assert!(matches!(check(500, failure(500, "", "")).await, Err(CrdsError::Unknown(_))));
}
