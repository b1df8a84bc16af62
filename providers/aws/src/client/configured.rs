//! Endpoints that somebody configured, as every SDK reads them: for one API or for all, in the environment or in the profile
//! (<https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html>).

use aws_types::SdkConfig;
use aws_types::service_config::ServiceConfigKey;

/// The name of ELBv2 there. The SDK looks for `elastic-load-balancing-v2` in profiles, against that page, so we look ourselves.
pub(crate) const LOAD_BALANCING: &str = "elastic_load_balancing_v2";
/// The name of EC2 there.
pub(crate) const EC2: &str = "ec2";

/// The endpoint of this API, if somebody configured one.
pub(crate) fn endpoint(config: &SdkConfig, service: &str) -> Option<String> {
    let for_service = || {
        let key =
            ServiceConfigKey::builder().service_id(service).env("AWS_ENDPOINT_URL").profile("endpoint_url").build();
        config.service_config()?.load_config(key.ok()?)
    };
    // What is given in `Options` beats both.
    let given = config.get_origin("endpoint_url").is_client_config();
    if given { None } else { for_service() }.or_else(|| config.endpoint_url().map(ToOwned::to_owned))
}
