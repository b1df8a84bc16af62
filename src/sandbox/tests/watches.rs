//! Watches, in virtual time.

use std::time::Duration;

use http_body_util::BodyExt as _;
use serde_json::{Value, json};

use super::{Body, JSON, MAPS, MERGE, Storage, done, get, map, request, send, storage};

/// A watch, line by line.
struct Lines(Body);

impl Lines {
    fn of(storage: &Storage, query: &str) -> Self {
        let answer = send(storage, "GET", &format!("{MAPS}?watch=true&{query}"), "", &Value::Null);
        assert_eq!(answer.status(), 200);
        Self(answer.into_body())
    }

    /// The next event; nothing at the end.
    async fn event(&mut self) -> Option<(String, Value)> {
        let frame = self.0.frame().await?.unwrap().into_data().unwrap();
        let mut event: Value = serde_json::from_slice(&frame).unwrap();
        Some((event["type"].as_str().unwrap().to_owned(), event["object"].take()))
    }

    /// Type and name of the next.
    async fn next(&mut self) -> (String, String) {
        let (kind, object) = self.event().await.expect("the watch goes on");
        (kind, object["metadata"]["name"].as_str().unwrap_or_default().to_owned())
    }
}

fn told(kind: &str, name: &str) -> (String, String) {
    (kind.to_owned(), name.to_owned())
}

fn version(object: &Value) -> String {
    object["metadata"]["resourceVersion"].as_str().unwrap().to_owned()
}

#[tokio::test(start_paused = true)]
async fn a_watch_from_a_version_tells_all_that_came_after_it() {
    let storage = storage();
    let first = version(&map(&storage, "a", &json!({})));
    map(&storage, "b", &json!({}));
    let mut lines = Lines::of(&storage, &format!("resourceVersion={first}"));
    assert_eq!(lines.next().await, told("ADDED", "b"));
    done(request(&storage, "PATCH", &format!("{MAPS}/a"), MERGE, &json!({"data": {"a": "c"}})));
    assert_eq!(lines.next().await, told("MODIFIED", "a"));
    done(request(&storage, "DELETE", &format!("{MAPS}/b"), JSON, &Value::Null));
    let (kind, last) = lines.event().await.unwrap();
    assert_eq!((kind.as_str(), &last["data"]["a"]), ("DELETED", &json!("b")));
    let list = get(&storage, MAPS).1;
    assert_eq!(version(&last), version(&list), "a deletion has a version of its own");
}

#[tokio::test(start_paused = true)]
async fn a_watch_without_a_version_begins_with_what_there_is() {
    let storage = storage();
    map(&storage, "a", &json!({}));
    let mut lines = Lines::of(&storage, "");
    assert_eq!(lines.next().await, told("ADDED", "a"));
    map(&storage, "b", &json!({}));
    assert_eq!(lines.next().await, told("ADDED", "b"));
}

#[tokio::test(start_paused = true)]
async fn a_streaming_list_ends_with_a_bookmark_that_says_so() {
    let storage = storage();
    map(&storage, "a", &json!({}));
    let query = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan";
    let mut lines = Lines::of(&storage, &format!("{query}&allowWatchBookmarks=true"));
    assert_eq!(lines.next().await, told("ADDED", "a"));
    let (kind, bookmark) = lines.event().await.unwrap();
    assert_eq!(kind, "BOOKMARK");
    assert_eq!(bookmark["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
    assert_eq!(version(&bookmark), version(&get(&storage, MAPS).1));
    let mut quiet = Lines::of(&storage, &format!("{query}&timeoutSeconds=1"));
    assert_eq!(quiet.next().await, told("ADDED", "a"));
    assert_eq!(quiet.event().await, None, "who wants no bookmarks is sent none");
    let (code, status) = get(&storage, &format!("{MAPS}?watch=true&sendInitialEvents=true&allowWatchBookmarks=true"));
    assert_eq!((code, &status["reason"]), (422, &json!("Invalid")));
}

#[tokio::test(start_paused = true)]
async fn an_object_that_leaves_the_selection_is_told_as_deleted() {
    let storage = storage();
    let start = version(&get(&storage, MAPS).1);
    let mut lines = Lines::of(&storage, &format!("resourceVersion={start}&labelSelector=a%3Db"));
    map(&storage, "one", &json!({}));
    let label = |value: Value| {
        done(request(&storage, "PATCH", &format!("{MAPS}/one"), MERGE, &json!({"metadata": {"labels": {"a": value}}})))
    };
    label("b".into());
    assert_eq!(lines.next().await, told("ADDED", "one"));
    let without = label(Value::Null);
    let (kind, last) = lines.event().await.unwrap();
    assert_eq!((kind.as_str(), &last["metadata"]["labels"]["a"]), ("DELETED", &json!("b")));
    assert_eq!(version(&last), version(&without));
}

#[tokio::test(start_paused = true)]
async fn a_watch_behind_the_compaction_ends_with_a_410() {
    let storage = storage();
    let old = version(&map(&storage, "a", &json!({})));
    map(&storage, "b", &json!({}));
    storage.compact();
    let mut lines = Lines::of(&storage, &format!("resourceVersion={old}"));
    let (kind, status) = lines.event().await.unwrap();
    assert_eq!((kind.as_str(), &status["code"], &status["reason"]), ("ERROR", &json!(410), &json!("Expired")));
    assert_eq!(lines.event().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_has_seen_everything_survives_a_compaction() {
    let storage = storage();
    let last = version(&map(&storage, "a", &json!({})));
    let mut lines = Lines::of(&storage, &format!("resourceVersion={last}"));
    storage.compact();
    map(&storage, "b", &json!({}));
    assert_eq!(lines.next().await, told("ADDED", "b"));
}

#[tokio::test(start_paused = true)]
async fn a_version_that_is_yet_to_come_is_refused() {
    let storage = storage();
    let (code, status) = get(&storage, &format!("{MAPS}?watch=true&resourceVersion=1000000"));
    assert_eq!((code, &status["details"]["causes"][0]["reason"]), (504, &json!("ResourceVersionTooLarge")));
}

#[tokio::test(start_paused = true)]
async fn an_idle_watch_is_told_how_far_it_has_come_and_ends_in_time() {
    let storage = storage();
    let last = version(&map(&storage, "a", &json!({})));
    let began = storage.clock.now();
    let mut lines = Lines::of(&storage, &format!("resourceVersion={last}&allowWatchBookmarks=true&timeoutSeconds=100"));
    // Written elsewhere: the watch is told nothing, and yet gets on.
    done(request(&storage, "POST", "/api/v1/namespaces", JSON, &json!({"metadata": {"name": "shop"}})));
    let (kind, bookmark) = lines.event().await.unwrap();
    assert_eq!(kind, "BOOKMARK");
    assert_eq!(version(&bookmark), version(&get(&storage, MAPS).1));
    assert_eq!(storage.clock.now().since(began).as_secs(), 60);
    while lines.event().await.is_some() {}
    let lasted = storage.clock.now().since(began);
    assert!(lasted >= Duration::from_secs(100) && lasted < Duration::from_secs(101), "{lasted:?}");
}
