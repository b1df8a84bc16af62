//! Where EC2 is, and one request to it.

use aws_sdk_elasticloadbalancingv2::config::endpoint::{DefaultResolver, Params};
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::client::http::{HttpConnector, SharedHttpConnector};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use aws_types::SdkConfig;
use aws_types::request_id::RequestId;
use serde::de::DeserializeOwned;

use crate::client::ConnectError;
use crate::client::action::Action;
use crate::client::caller::chain;
use crate::client::configured;
use crate::client::credentials::Keys;
use crate::client::ec2::form::Form;
use crate::client::ec2::xml;
use crate::client::error::{Answer, Raw};
use crate::client::skew::AwsTime;
use crate::client::transport;

const CONTENT_TYPE: &str = "application/x-www-form-urlencoded; charset=utf-8";

/// EC2 in one region.
#[derive(Debug)]
pub(crate) struct Endpoint {
    url: String,
    region: String,
    connector: SharedHttpConnector,
    keys: Keys,
    time: AwsTime,
}

impl Endpoint {
    pub(crate) fn of(config: &SdkConfig, region: &str, keys: Keys, time: &AwsTime) -> Result<Self, ConnectError> {
        let connector = transport::connector(time);
        Ok(Self { url: url(config, region)?, region: region.to_owned(), connector, keys, time: time.clone() })
    }

    /// One attempt.
    pub(crate) async fn ask<T: DeserializeOwned>(&self, action: Action, form: &Form) -> Result<T, Raw> {
        let request = self.signed(form.body(action)).await?;
        let response = self.connector.call(request).await.map_err(|error| transport::failed(&error))?;
        let (status, date) = (response.status().as_u16(), transport::date(response.headers()));
        let request_id = response.request_id().map(ToOwned::to_owned);
        let body = ByteStream::new(response.into_body()).collect().await;
        let body = body.map_err(|error| Raw::Unanswered(chain(&error)))?.into_bytes();
        let text = String::from_utf8_lossy(&body);
        if (200..300).contains(&status) {
            return xml::read(action, &text).map_err(Raw::Unreadable);
        }
        let refusal = xml::refusal(&text);
        Err(Raw::Answered(match refusal {
            Some(said) => Answer {
                status,
                code: Some(said.code),
                message: said.message,
                request_id: said.request_id.or(request_id),
                date,
            },
            None => Answer { status, request_id, date, ..Answer::default() },
        }))
    }

    async fn signed(&self, body: String) -> Result<HttpRequest, Raw> {
        let credentials = self.keys.current().await.map_err(|error| Raw::NoCredentials(chain(&*error)))?;
        let identity = credentials.into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name("ec2")
            .time(self.time.now())
            .settings(SigningSettings::default())
            .build()
            .map_err(unsigned)?;
        let headers = [("content-type", CONTENT_TYPE)];
        let content = SignableBody::Bytes(body.as_bytes());
        let signable = SignableRequest::new("POST", &self.url, headers.into_iter(), content).map_err(unsigned)?;
        let (instructions, _) = sign(signable, &params.into()).map_err(unsigned)?.into_parts();
        let mut request = http::Request::post(&self.url)
            .header(http::header::CONTENT_TYPE, CONTENT_TYPE)
            .body(SdkBody::from(body))
            .map_err(unsigned)?;
        instructions.apply_to_request_http1x(&mut request);
        request.try_into().map_err(unsigned)
    }
}

/// Nothing went out.
fn unsigned(error: impl std::error::Error + 'static) -> Raw {
    Raw::Unreachable(format!("the request cannot be signed: {}", chain(&error)))
}

/// What somebody configured, else the partition's own.
fn url(config: &SdkConfig, region: &str) -> Result<String, ConnectError> {
    let url = match configured::endpoint(config, configured::EC2) {
        Some(url) => url,
        None => partition(region, config.use_fips(), config.use_dual_stack())
            .map_err(|why| ConnectError::NoEndpoint { region: region.to_owned(), why })?,
    };
    // A path is part of what is signed.
    let parsed = http::Uri::try_from(url.as_str())
        .map_err(|error| ConnectError::NoEndpoint { region: region.to_owned(), why: format!("{url}: {error}") })?;
    Ok(if parsed.path() == "/" && !url.ends_with('/') { format!("{url}/") } else { url })
}

/// The two services' hosts follow the same rules in every partition and differ in their first label; so the table of partitions that the SDK of
/// one carries serves the other (<https://docs.aws.amazon.com/general/latest/gr/ec2-service.html>, `elb.html` beside it).
fn partition(region: &str, fips: Option<bool>, dual_stack: Option<bool>) -> Result<String, String> {
    use aws_sdk_elasticloadbalancingv2::config::endpoint::ResolveEndpoint as _;
    let params = Params::builder()
        .region(region.to_owned())
        .use_fips(fips.unwrap_or_default())
        .use_dual_stack(dual_stack.unwrap_or_default())
        .build()
        .map_err(|error| error.to_string())?;
    let endpoint = DefaultResolver::new();
    let endpoint = futures::FutureExt::now_or_never(endpoint.resolve_endpoint(&params))
        .ok_or("the SDK's table of endpoints does not answer at once")?
        .map_err(|error| error.to_string())?;
    match endpoint.url().strip_prefix("https://elasticloadbalancing") {
        Some(rest) => Ok(format!("https://ec2{rest}")),
        None => Err(format!("{} is not what an endpoint of ELB looks like", endpoint.url())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_partition_has_its_endpoint() {
        for (region, fips, dual_stack, host) in [
            ("eu-central-1", false, false, "ec2.eu-central-1.amazonaws.com"),
            ("us-east-1", true, false, "ec2-fips.us-east-1.amazonaws.com"),
            ("us-east-1", false, true, "ec2.us-east-1.api.aws"),
            ("cn-north-1", false, false, "ec2.cn-north-1.amazonaws.com.cn"),
            ("us-gov-west-1", true, false, "ec2.us-gov-west-1.amazonaws.com"),
            ("us-iso-east-1", false, false, "ec2.us-iso-east-1.c2s.ic.gov"),
        ] {
            assert_eq!(partition(region, Some(fips), Some(dual_stack)), Ok(format!("https://{host}")), "{region}");
        }
    }
}
