//! HTTP: what goes over a socket.

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{Api, ListParams, PostParams, WatchEvent, WatchParams};
use kube::{Client, Config};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::storage;
use crate::cluster::clock::Clock;
use crate::sandbox::audit::Audit;
use crate::sandbox::serve;

#[tokio::test]
async fn a_client_on_a_socket_creates_lists_and_watches_until_the_server_stops() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let server = tokio::task::JoinSet::from_iter([serve(storage(), listener, stop.clone(), None)]);
    let client = Client::try_from(Config::new(format!("http://{address}").parse().unwrap())).unwrap();
    assert_eq!(client.apiserver_version().await.unwrap().minor, "36");
    let maps: Api<ConfigMap> = Api::namespaced(client, "default");
    let version = maps.list(&ListParams::default()).await.unwrap().metadata.resource_version.unwrap();
    let mut events = maps.watch(&WatchParams::default(), &version).await.unwrap().boxed();
    let mut map = ConfigMap::default();
    map.metadata.name = Some("one".to_owned());
    maps.create(&PostParams::default(), &map).await.unwrap();
    assert!(
        matches!(events.next().await, Some(Ok(WatchEvent::Added(map))) if map.metadata.name.as_deref() == Some("one"))
    );
    stop.cancel();
    assert!(server.join_all().await.into_iter().all(|ended| ended.is_ok()));
    while events.next().await.is_some_and(|event| event.is_ok()) {}
}

#[tokio::test]
async fn the_audit_log_says_who_wrote_and_what_but_no_secret_and_nothing_of_reads() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("audit.log");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let audit = Audit::open(&log, Clock::start()).unwrap();
    let _server = tokio::task::JoinSet::from_iter([serve(storage(), listener, CancellationToken::new(), Some(audit))]);
    let mut config = Config::new(format!("http://{address}").parse().unwrap());
    config.auth_info.impersonate = Some("somebody".to_owned());
    let client = Client::try_from(config).unwrap();
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "default");
    let secrets: Api<Secret> = Api::namespaced(client, "default");
    let read = |text: &str| serde_json::from_str(text).unwrap();
    let map: ConfigMap = serde_json::from_value(read(r#"{"metadata": {"name": "map"}, "data": {"a": "b"}}"#)).unwrap();
    let secret: Secret =
        serde_json::from_value(read(r#"{"metadata": {"name": "pass"}, "stringData": {"word": "xyzzy"}}"#)).unwrap();
    maps.create(&PostParams::default(), &map).await.unwrap();
    maps.create(&PostParams::default(), &map).await.unwrap_err();
    maps.get("map").await.unwrap();
    secrets.create(&PostParams::default(), &secret).await.unwrap();
    let text = std::fs::read_to_string(&log).unwrap();
    assert!(!text.contains("xyzzy"), "{text}");
    let lines: Vec<serde_json::Value> = text.lines().map(read).collect();
    let told: Vec<String> = lines
        .iter()
        .map(|event| format!("{} {} {}", event["verb"], event["objectRef"], event["responseStatus"]["code"]))
        .collect();
    let of = |resource: &str, name: &str| {
        format!(r#"{{"apiVersion":"v1","name":"{name}","namespace":"default","resource":"{resource}"}}"#)
    };
    let expected = [("configmaps", "map", 201), ("configmaps", "map", 409), ("secrets", "pass", 201)];
    assert_eq!(told, expected.map(|(resource, name, code)| format!("\"create\" {} {code}", of(resource, name))));
    assert_eq!(lines[0]["requestObject"]["data"]["a"], "b");
    assert!(lines.iter().all(|event| event["impersonatedUser"]["username"] == "somebody"));
}
