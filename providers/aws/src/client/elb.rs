//! Elastic Load Balancing v2, on the SDK: what we ask is put into its words here, and its answers into ours.

use std::collections::BTreeMap;
use std::future::Future;

use aws_sdk_elasticloadbalancingv2::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_elasticloadbalancingv2::operation::RequestId;
use aws_sdk_elasticloadbalancingv2::types as sdk;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;

use crate::client::Aws;
use crate::client::action::Action;
use crate::client::caller::chain;
use crate::client::error::{Answer, Error, Problem, Raw};
use crate::client::transport;

pub mod attributes;
pub mod balancers;
pub mod groups;
pub mod listeners;
pub mod tags;
pub mod targets;

/// ARNs or names in one question
/// (<https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DescribeLoadBalancers.html>, and the same for groups and tags).
pub(crate) const BATCH: usize = 20;

/// The most that AWS puts on one page.
pub(crate) const PAGE: i32 = 400;

/// Tags or attributes.
pub type Pairs = BTreeMap<String, String>;

impl Aws {
    async fn elb<T, E, F, Fut>(&self, action: Action, attempt: F) -> Result<T, Error>
    where
        F: Fn() -> Fut,
        Fut: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let attempt = || {
            // The SDK's futures are large, and many are in one step: a thread's stack is not.
            let sent = Box::pin(attempt());
            async move { sent.await.map_err(|error| raw(&error)) }
        };
        Box::pin(self.caller.call(action, self.lane, attempt)).await
    }
}

fn raw<E: ProvideErrorMetadata + std::error::Error + 'static>(error: &SdkError<E, HttpResponse>) -> Raw {
    match error {
        SdkError::ServiceError(service) => {
            let (response, error) = (service.raw(), service.err());
            Raw::Answered(Answer {
                status: response.status().as_u16(),
                code: error.code().map(ToOwned::to_owned),
                message: error.message().unwrap_or_default().to_owned(),
                request_id: error.meta().request_id().or_else(|| response.request_id()).map(ToOwned::to_owned),
                date: transport::date(response.headers()),
            })
        }
        SdkError::ResponseError(response) if !response.raw().status().is_success() => {
            let response = response.raw();
            let (status, date) = (response.status().as_u16(), transport::date(response.headers()));
            Raw::Answered(Answer { status, date, ..Answer::default() })
        }
        SdkError::DispatchFailure(failure) => match failure.as_connector_error() {
            Some(error) => transport::failed(error),
            None => Raw::Unanswered("the connection failed".to_owned()),
        },
        SdkError::TimeoutError(_) => Raw::Unanswered("no answer in time".to_owned()),
        SdkError::ConstructionFailure(_) => Raw::Unreachable(format!("the request cannot be made: {}", chain(error))),
        SdkError::ResponseError(_) | _ => Raw::Unreadable(chain(error)),
    }
}

/// AWS's answer lacks something that its documentation promises.
pub(crate) fn unreadable(action: Action, what: &str) -> Error {
    let said = format!("the answer has no {what}");
    Error { action, problem: Problem::Unreadable, code: None, said, request_id: None }
}

/// Something that an answer must have.
pub(crate) fn needed<T>(action: Action, what: &str, value: Option<T>) -> Result<T, Error> {
    value.ok_or_else(|| unreadable(action, what))
}

fn tags(pairs: &Pairs) -> Option<Vec<sdk::Tag>> {
    // AWS refuses an empty list.
    let tag = |(key, value): (&String, &String)| sdk::Tag::builder().key(key).value(value).build();
    (!pairs.is_empty()).then(|| pairs.iter().map(tag).collect())
}
