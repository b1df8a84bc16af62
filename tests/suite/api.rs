//! Plain requests to an API server, blocking, in untyped JSON: what a case sees is what the server says.

use std::sync::LazyLock;

use http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use kube::client::Body;
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::Value;

/// Runs every client and proxy of this test process.
pub(crate) static RUNTIME: LazyLock<tokio::runtime::Runtime> = LazyLock::new(|| {
    // An error only says that it is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a tokio runtime")
});

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.status, self.message)
    }
}

/// A client for one API server and user.
#[derive(Clone)]
pub(crate) struct Api {
    client: kube::Client,
}

/// An answer that is not a success.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) status: StatusCode,
    pub(crate) message: String,
}

impl Api {
    /// The server and user of a kubeconfig.
    pub(crate) fn new(kubeconfig: &Value) -> Self {
        Self { client: client(kubeconfig) }
    }

    /// The object, or the list; `None` if there is none.
    pub(crate) fn get(&self, path: &str) -> Option<Value> {
        match self.request(Method::GET, path, None) {
            Ok(found) => Some(found),
            Err(refused) if refused.status == StatusCode::NOT_FOUND => None,
            Err(refused) => panic!("GET {path}: {refused}"),
        }
    }

    /// The items of a list; empty if the kind does not exist.
    pub(crate) fn list(&self, path: &str) -> Vec<Value> {
        self.get(path)
            .map(|mut list| list["items"].take())
            .and_then(|items| items.as_array().cloned())
            .unwrap_or_default()
    }

    /// Creates an object; the path is that of its collection.
    pub(crate) fn create(&self, path: &str, object: &Value) -> Value {
        self.request(Method::POST, path, Some(("application/json", object)))
            .unwrap_or_else(|refused| panic!("POST {path}: {refused}\n{object:#}"))
    }

    /// A JSON merge patch (RFC 7386).
    pub(crate) fn patch(&self, path: &str, patch: &Value) -> Value {
        self.try_patch(path, patch).unwrap_or_else(|refused| panic!("PATCH {path}: {refused}\n{patch:#}"))
    }

    /// A JSON merge patch that may be refused.
    pub(crate) fn try_patch(&self, path: &str, patch: &Value) -> Result<Value, Refused> {
        self.request(Method::PATCH, path, Some(("application/merge-patch+json", patch)))
    }

    /// Deletes an object; one that is gone is no error.
    pub(crate) fn delete(&self, path: &str) {
        match self.request(Method::DELETE, path, None) {
            Ok(_) => {}
            Err(refused) if refused.status == StatusCode::NOT_FOUND => {}
            Err(refused) => panic!("DELETE {path}: {refused}"),
        }
    }

    /// One request and its answer, byte by byte.
    #[allow(dead_code, reason = "not for the benches")]
    pub(crate) fn raw(&self, request: Request<Vec<u8>>) -> http::Response<Vec<u8>> {
        RUNTIME.block_on(async {
            let answer = self.client.send(request.map(Body::from)).await.expect("an answer");
            let (parts, body) = answer.into_parts();
            let body = body.collect().await.expect("a whole answer").to_bytes();
            http::Response::from_parts(parts, body.to_vec())
        })
    }

    /// One request, whatever it is answered: the code and the body.
    pub(crate) fn send(&self, method: &str, path: &str, media_type: &str, agent: &str, body: &Value) -> (u16, Value) {
        let request = Request::builder().method(method).uri(path).header("Accept", "application/json");
        let request = request.header("Content-Type", media_type).header("User-Agent", agent);
        let bytes = if body.is_null() { Vec::new() } else { serde_json::to_vec(body).unwrap() };
        let request = request.body(Body::from(bytes)).unwrap();
        RUNTIME.block_on(async {
            let answer = self.client.send(request).await.unwrap_or_else(|error| panic!("{method} {path}: {error}"));
            let status = answer.status().as_u16();
            let body = answer.into_body().collect().await.expect("an answer").to_bytes();
            let text = || Value::String(String::from_utf8_lossy(&body).into_owned());
            (status, serde_json::from_slice(&body).unwrap_or_else(|_| text()))
        })
    }

    /// One request, as it is.
    pub(crate) fn request(&self, method: Method, path: &str, body: Option<(&str, &Value)>) -> Result<Value, Refused> {
        let mut request = Request::builder().method(method).uri(path).header("Accept", "application/json");
        let mut bytes = Vec::new();
        if let Some((media_type, body)) = body {
            request = request.header("Content-Type", media_type);
            bytes = serde_json::to_vec(body).unwrap();
        }
        let request = request.body(Body::from(bytes)).unwrap();
        RUNTIME.block_on(async {
            let unreachable = |error: String| Refused { status: StatusCode::BAD_GATEWAY, message: error };
            let answer = self.client.send(request).await.map_err(|error| unreachable(error.to_string()))?;
            let status = answer.status();
            let body = answer.into_body().collect().await.map_err(|error| unreachable(error.to_string()))?.to_bytes();
            if !status.is_success() {
                return Err(Refused { status, message: String::from_utf8_lossy(&body).into_owned() });
            }
            // `/readyz` answers in plain text.
            Ok(serde_json::from_slice(&body)
                .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&body).into_owned())))
        })
    }
}

/// A client that does not retry, so that a case sees each answer.
pub(crate) fn client(kubeconfig: &Value) -> kube::Client {
    RUNTIME.block_on(async {
        let kubeconfig: Kubeconfig = serde_json::from_value(kubeconfig.clone()).expect("a kubeconfig");
        let mut config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
            .await
            .expect("a kubeconfig");
        config.default_retry = false;
        kube::Client::try_from(config).expect("a client")
    })
}
