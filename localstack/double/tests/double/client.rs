//! Plain requests of the Query protocol. The double and the emulators look at the credential scope only, so the signature is none.

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use jiff::Timestamp;
use portolan_aws_double::Query;
use portolan_aws_double::xml::Element;

use crate::emulator::REGION;

#[derive(Clone)]
pub(crate) struct Client {
    http: hyper_util::client::legacy::Client<HttpConnector, Full<Bytes>>,
    endpoint: String,
    access_key: String,
    case: Option<String>,
}

/// Why there is no answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// AWS's code and the status.
    Refused(String, u16),
    /// The connection was closed without an answer.
    NoAnswer,
}

pub(crate) type Answer = Result<Element, Failure>;

/// A refusal with status 400.
pub(crate) fn refused(code: &str) -> Failure {
    Failure::Refused(code.to_owned(), 400)
}

impl Client {
    pub(crate) fn of(endpoint: &str, access_key: &str) -> Self {
        // A connection that is closed without an answer must not be tried again behind the test's back.
        let http = hyper_util::client::legacy::Client::builder(TokioExecutor::new())
            .retry_canceled_requests(false)
            .build_http();
        Self { http, endpoint: endpoint.to_owned(), access_key: access_key.to_owned(), case: None }
    }

    pub(crate) fn named(mut self, access_key: &str, case: &str) -> Self {
        self.access_key = access_key.to_owned();
        self.case = Some(case.to_owned());
        self
    }

    pub(crate) async fn elb(&self, action: &str, pairs: &[(&str, &str)]) -> Answer {
        self.ask("elasticloadbalancing", "2015-12-01", action, pairs).await
    }

    pub(crate) async fn ec2(&self, action: &str, pairs: &[(&str, &str)]) -> Answer {
        self.ask("ec2", "2016-11-15", action, pairs).await
    }

    pub(crate) async fn ask(&self, service: &str, version: &str, action: &str, pairs: &[(&str, &str)]) -> Answer {
        let query = Query::of([("Action", action), ("Version", version)].into_iter().chain(pairs.iter().copied()));
        let scope = format!("Credential={}/20261122/{REGION}/{service}/aws4_request", self.access_key);
        let authorization = format!("AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=0");
        self.send(Some(&authorization), query.encode()).await
    }

    pub(crate) async fn send(&self, authorization: Option<&str>, body: String) -> Answer {
        self.send_at(authorization, None, body).await
    }

    /// With this `X-Amz-Date`.
    pub(crate) async fn send_at(&self, authorization: Option<&str>, stamp: Option<&str>, body: String) -> Answer {
        let mut request = Request::post(&self.endpoint).header("content-type", "application/x-www-form-urlencoded");
        if let Some(stamp) = stamp {
            request = request.header("x-amz-date", stamp);
        }
        if let Some(authorization) = authorization {
            request = request.header("authorization", authorization);
        }
        if let Some(case) = &self.case {
            request = request.header(portolan_aws_double::CASE_HEADER, case);
        }
        let request = request.body(Full::new(Bytes::from(body))).unwrap();
        let response = self.http.request(request).await.map_err(|_| Failure::NoAnswer)?;
        let status = response.status();
        let body = response.into_body().collect().await.map_err(|_| Failure::NoAnswer)?.to_bytes();
        let answer = Element::parse(&String::from_utf8_lossy(&body)).unwrap();
        if status.is_success() {
            return Ok(answer);
        }
        let error = answer.at(&["Error"]).or_else(|| answer.at(&["Errors", "Error"])).unwrap();
        eprintln!("{status}: {}", answer.document());
        Err(Failure::Refused(error.text_at(&["Code"]).unwrap().to_owned(), status.as_u16()))
    }
}

impl Client {
    /// The `Date` of an answer.
    pub(crate) async fn date(&self) -> Timestamp {
        let request = Request::post(&self.endpoint).body(Full::new(Bytes::new())).unwrap();
        let response = self.http.request(request).await.unwrap();
        jiff::fmt::rfc2822::parse(response.headers().get("date").unwrap().to_str().unwrap()).unwrap().timestamp()
    }
}

/// The members of a list in the answer to an action.
pub(crate) fn members<'a>(answer: &'a Element, list: &str) -> &'a [Element] {
    let result = answer.children.iter().find(|child| child.name.ends_with("Result")).unwrap();
    result.at(&[list]).map(|list| list.children.as_slice()).unwrap_or_default()
}

/// A text of the first member of a list.
pub(crate) fn first(answer: &Element, list: &str, name: &str) -> String {
    members(answer, list)
        .first()
        .unwrap()
        .text_at(&[name])
        .unwrap_or_else(|| panic!("{name} in {}", answer.document()))
        .to_owned()
}

/// A text of all members of a list.
pub(crate) fn all(answer: &Element, list: &str, path: &[&str]) -> Vec<String> {
    members(answer, list).iter().map(|member| member.text_at(path).unwrap_or_default().to_owned()).collect()
}
