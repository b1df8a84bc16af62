//! The emulator behind the double, over plain HTTP.

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use crate::arn;
use crate::caller::Service;
use crate::query::Query;
use crate::refusal::Refusal;
use crate::xml::Element;

/// A client of the emulator, for one account in it.
#[derive(Debug, Clone)]
pub(crate) struct Upstream {
    client: Client<HttpConnector, Full<Bytes>>,
    endpoint: Uri,
    account: Option<String>,
}

/// An answer as it came.
#[derive(Debug)]
pub(crate) struct Raw {
    pub(crate) status: StatusCode,
    pub(crate) content_type: String,
    pub(crate) body: Bytes,
}

impl Upstream {
    pub(crate) fn new(endpoint: Uri, account: Option<String>) -> Self {
        Self { client: Client::builder(TokioExecutor::new()).build_http(), endpoint, account }
    }

    /// Asks an API of the Query protocol; ARNs go out in the emulator's form and come back in AWS's.
    pub(crate) async fn ask(&self, service: &Service, region: &str, query: &Query) -> Result<Element, Refusal> {
        let name = match service {
            Service::ElasticLoadBalancing => "elasticloadbalancing",
            Service::Ec2 => "ec2",
            Service::Other(other) => other,
        };
        let mut headers = HeaderMap::new();
        let credential = format!(
            "AWS4-HMAC-SHA256 Credential=double/20200101/{region}/{name}/aws4_request, SignedHeaders=host, Signature=0"
        );
        for (header, value) in [
            ("authorization", credential.as_str()),
            ("content-type", "application/x-www-form-urlencoded; charset=utf-8"),
        ] {
            if let Ok(value) = value.parse() {
                headers.insert(header, value);
            }
        }
        let raw = self.pass(Method::POST, "/", headers, Bytes::from(query.map(arn::to_upstream).encode())).await?;
        let text = String::from_utf8_lossy(&raw.body);
        let mut answer = Element::parse(&text)
            .map_err(|error| trouble(format!("{} to {}: {error}: {text}", raw.status, query.action())))?;
        answer.map_text(&|text| arn::from_upstream(text));
        if raw.status.is_success() {
            return Ok(answer);
        }
        Err(Refusal::read(&answer, raw.status.as_u16())
            .unwrap_or_else(|| trouble(format!("{} to {}: {text}", raw.status, query.action()))))
    }

    /// Passes a request on as it is, but for the account that it is for.
    pub(crate) async fn pass(
        &self,
        method: Method,
        path: &str,
        mut headers: HeaderMap,
        body: Bytes,
    ) -> Result<Raw, Refusal> {
        for name in ["host", "content-length", "transfer-encoding", "connection", "x-amz-content-sha256"] {
            headers.remove(name);
        }
        if let Some(account) = &self.account {
            in_account(&mut headers, account);
        }
        let uri = format!("{}{path}", self.endpoint.to_string().trim_end_matches('/'));
        let mut request = Request::builder()
            .method(method)
            .uri(uri)
            .body(Full::new(body))
            .map_err(|error| trouble(error.to_string()))?;
        *request.headers_mut() = headers;
        let response =
            self.client.request(request).await.map_err(|error| trouble(format!("{}: {error}", self.endpoint)))?;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.map_err(|error| trouble(error.to_string()))?.to_bytes();
        let content_type =
            parts.headers.get("content-type").and_then(|value| value.to_str().ok()).unwrap_or("text/xml");
        Ok(Raw { status: parts.status, content_type: content_type.to_owned(), body })
    }
}

/// moto takes the account from a header, LocalStack from an access key id that is one (its documentation, "Multi-account setups"); so
/// that several doubles can stand in front of one emulator and each has an account for itself.
fn in_account(headers: &mut HeaderMap, account: &str) {
    if let Ok(value) = account.parse() {
        headers.insert("x-moto-account-id", value);
    }
    let signed = headers.get("authorization").and_then(|value| value.to_str().ok()).and_then(|text| {
        let (before, scope) = text.split_once("Credential=")?;
        let (_, after) = scope.split_once('/')?;
        format!("{before}Credential={account}/{after}").parse().ok()
    });
    if let Some(signed) = signed {
        headers.insert("authorization", signed);
    }
}

/// The emulator failed; no answer of AWS's, so that no test takes it for one.
fn trouble(why: String) -> Refusal {
    Refusal::with_status("EmulatorBroken", 502, why)
}
