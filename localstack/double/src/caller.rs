//! Who calls which API: told from the credential scope of the `Authorization` header, as AWS tells it.
//!
//! Source: "Elements of an AWS API request signature" (IAM user guide): `Credential=KEY/DATE/REGION/SERVICE/aws4_request`.

use http::HeaderMap;

use crate::refusal::Refusal;

/// The header by which a test names itself, where it can set headers.
pub const CASE_HEADER: &str = "x-portolan-case";

/// The API that a request is for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Service {
    /// Elastic Load Balancing, version 2015-12-01.
    ElasticLoadBalancing,
    /// EC2, version 2016-11-15.
    Ec2,
    /// Any other, by its name in the credential scope; passed through as it is.
    Other(String),
}

/// Who made a call.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Caller {
    /// The access key id.
    pub access_key: String,
    /// The test case, from the header `x-portolan-case` or `app/NAME` in the user agent, which AWS's SDKs take from
    /// `AWS_SDK_UA_APP_ID`.
    pub case: Option<String>,
}

/// What the credential scope says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// Who.
    pub caller: Caller,
    /// Where, e.g. `eu-central-1`.
    pub region: String,
    /// Which API.
    pub service: Service,
}

impl Scope {
    /// Reads a request. One without a credential scope is refused as AWS refuses it, but for the actions by which credentials are got.
    pub fn of(headers: &HeaderMap, action: &str) -> Result<Self, Refusal> {
        Self::read(headers).or_else(|refusal| {
            // STS API reference: these two need no credentials.
            if !["AssumeRoleWithWebIdentity", "AssumeRoleWithSAML"].contains(&action) {
                return Err(refusal);
            }
            let caller = Caller { access_key: String::new(), case: case(headers) };
            Ok(Self { caller, region: "us-east-1".to_owned(), service: Service::Other("sts".to_owned()) })
        })
    }

    /// Reads the headers of a signed request.
    pub fn read(headers: &HeaderMap) -> Result<Self, Refusal> {
        let missing =
            || Refusal::with_status("MissingAuthenticationToken", 403, "Request is missing Authentication Token");
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let authorization = text("authorization").ok_or_else(missing)?;
        let (_, rest) = authorization.split_once("Credential=").ok_or_else(missing)?;
        let scope = rest.split([',', ' ']).next().unwrap_or_default();
        let mut parts = scope.split('/');
        let mut next = || parts.next().filter(|part| !part.is_empty()).ok_or_else(missing);
        let (access_key, _date, region, service) = (next()?, next()?, next()?, next()?);
        Ok(Self {
            caller: Caller { access_key: access_key.to_owned(), case: case(headers) },
            region: region.to_owned(),
            service: match service {
                "elasticloadbalancing" => Service::ElasticLoadBalancing,
                "ec2" => Service::Ec2,
                other => Service::Other(other.to_owned()),
            },
        })
    }
}

fn case(headers: &HeaderMap) -> Option<String> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let from_agent = || text("user-agent")?.split_whitespace().find_map(|part| part.strip_prefix("app/"));
    text(CASE_HEADER).or_else(from_agent).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect()
    }

    const SIGNED: &str = "AWS4-HMAC-SHA256 Credential=AKID/20261122/eu-central-1/elasticloadbalancing/aws4_request, SignedHeaders=host, Signature=0";

    #[test]
    fn the_credential_scope_names_caller_region_and_api() {
        let scope = Scope::read(&headers(&[("authorization", SIGNED)])).unwrap();
        assert_eq!(scope.caller, Caller { access_key: "AKID".to_owned(), case: None });
        assert_eq!((scope.region.as_str(), scope.service), ("eu-central-1", Service::ElasticLoadBalancing));
    }

    #[test]
    fn a_test_names_itself_by_header_or_user_agent() {
        let by_header = Scope::read(&headers(&[("authorization", SIGNED), (CASE_HEADER, "one")])).unwrap();
        let by_agent =
            Scope::read(&headers(&[("authorization", SIGNED), ("user-agent", "sdk/1 app/two x/3")])).unwrap();
        assert_eq!((by_header.caller.case.as_deref(), by_agent.caller.case.as_deref()), (Some("one"), Some("two")));
    }

    #[test]
    fn a_request_without_a_signature_is_refused() {
        assert_eq!(Scope::read(&headers(&[])).unwrap_err().code, "MissingAuthenticationToken");
        assert_eq!(Scope::read(&headers(&[("authorization", "Bearer x")])).unwrap_err().status, 403);
    }
}
