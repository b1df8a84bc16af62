//! The sandbox answers as the real server does.

mod asked;
mod controller;
mod facts;
mod forms;
mod lists;
mod managed;
mod schemas;
mod steps;
mod watches;
mod wire;
mod writes;

use futures::FutureExt as _;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

use super::{Body, Storage};
use crate::cluster::clock::Clock;

const MERGE: &str = "application/merge-patch+json";
const JSON: &str = "application/json";
const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const SERVICES: &str = "/api/v1/namespaces/default/services";

fn storage() -> Storage {
    Storage::new(Clock::start())
}

/// A request with a body (null: none), and what it is answered.
fn send(storage: &Storage, method: &str, path: &str, content_type: &str, body: &Value) -> Response<Body> {
    let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    let request = Request::builder().method(method).uri(path).header("content-type", content_type);
    storage.answer(&request.body(body.into()).unwrap())
}

/// The same, where the answer is whole.
fn request(storage: &Storage, method: &str, path: &str, content_type: &str, body: &Value) -> (u16, Value) {
    let answer = send(storage, method, path, content_type, body);
    let code = answer.status().as_u16();
    let body = answer.into_body().collect().now_or_never().expect("no watch").unwrap().to_bytes();
    (code, serde_json::from_slice(&body).unwrap_or_else(|_| String::from_utf8_lossy(&body).into()))
}

fn get(storage: &Storage, path: &str) -> (u16, Value) {
    request(storage, "GET", path, "", &Value::Null)
}

/// Accepted, and what is stored then.
fn done((code, object): (u16, Value)) -> Value {
    assert!(code < 300, "{code}: {object}");
    object
}

/// A ConfigMap, which has no rules of its own.
fn map(storage: &Storage, name: &str, metadata: &Value) -> Value {
    let mut map = json!({"metadata": {"name": name}, "data": {"a": "b"}});
    json_patch::merge(&mut map["metadata"], metadata);
    done(request(storage, "POST", MAPS, JSON, &map))
}

fn names(list: &Value) -> Vec<&str> {
    list["items"].as_array().unwrap().iter().map(|item| item["metadata"]["name"].as_str().unwrap()).collect()
}
