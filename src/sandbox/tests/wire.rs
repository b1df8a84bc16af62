//! HTTP: what goes over a socket.

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, ListParams, PostParams, WatchEvent, WatchParams};
use kube::{Client, Config};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::storage;
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
