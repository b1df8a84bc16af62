//! HTTP over TLS (rustls with ring), and what its errors mean.

use std::error::Error as StdError;
use std::time::{Duration, SystemTime};

use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_http_client::{Builder, Connector};
use aws_smithy_runtime_api::client::http::{HttpConnectorSettings, SharedHttpClient, SharedHttpConnector};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::http::Headers;
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;

use crate::client::caller::chain;
use crate::client::error::Raw;
use crate::client::skew::AwsTime;

/// A connection that takes longer to come about is given up. AWS's endpoints are near.
pub(crate) const CONNECT: Duration = Duration::from_secs(3);

/// For the SDK, whose parts set timeouts of their own: instance metadata, one second.
pub(crate) fn client(time: &AwsTime) -> SharedHttpClient {
    let time = time.clone();
    Builder::new().build_with_connector_fn(move |settings, _| build(settings.cloned().unwrap_or_else(ours), &time))
}

/// For the thin client.
pub(crate) fn connector(time: &AwsTime) -> SharedHttpConnector {
    SharedHttpConnector::new(build(ours(), time))
}

fn ours() -> HttpConnectorSettings {
    HttpConnectorSettings::builder().connect_timeout(CONNECT).build()
}

/// Proxies as in the environment (`HTTPS_PROXY`, `NO_PROXY`).
fn build(settings: HttpConnectorSettings, time: &AwsTime) -> Connector {
    let connector = Connector::builder().connector_settings(settings).sleep_impl(time.clone());
    connector.proxy_config(ProxyConfig::from_env()).tls_provider(Provider::Rustls(CryptoMode::Ring)).build()
}

/// What an error of the connection means: did the request go out or not?
pub(crate) fn failed(error: &ConnectorError) -> Raw {
    let said = chain(error);
    if error.is_user() || never_went_out(error) { Raw::Unreachable(said) } else { Raw::Unanswered(said) }
}

fn never_went_out(error: &(dyn StdError + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.downcast_ref::<hyper_util::client::legacy::Error>().is_some_and(|error| error.is_connect()) {
            return true;
        }
        next = error.source();
    }
    false
}

/// AWS's clock.
pub(crate) fn date(headers: &Headers) -> Option<SystemTime> {
    DateTime::from_str(headers.get("date")?, Format::HttpDate).ok()?.try_into().ok()
}
