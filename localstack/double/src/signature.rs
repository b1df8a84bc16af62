//! Signatures and the time in them.
//!
//! Sources: "AWS Signature Version 4 for API requests" (IAM user guide); "Common Errors" of the Elastic Load Balancing API reference:
//! `RequestExpired` (400) fifteen minutes from the date stamp on either side, `InvalidClientTokenId` (403), `SignatureDoesNotMatch`; EC2's
//! error codes: `AuthFailure`.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex, PoisonError};

use http::{HeaderMap, Method};
use jiff::{SignedDuration, Timestamp};
use ring::{digest, hmac};

use crate::caller::{Scope, Service};
use crate::refusal::Refusal;

const ALLOWED_SKEW: SignedDuration = SignedDuration::from_mins(15);

/// What the double believes: the time of day, and whose secrets it knows. Cheap to clone: all clones are one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Gate {
    secrets: Arc<BTreeMap<String, String>>,
    skew: Arc<Mutex<SignedDuration>>,
}

/// One request, as far as it is signed.
#[derive(Debug)]
pub(crate) struct Signed<'a> {
    pub(crate) method: &'a Method,
    pub(crate) path: &'a str,
    pub(crate) query: &'a str,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) body: &'a [u8],
}

impl Gate {
    /// Knows one more secret; from then on, requests of other keys are refused.
    pub(crate) fn know(&mut self, access_key: &str, secret: &str) {
        let mut secrets = (*self.secrets).clone();
        secrets.insert(access_key.to_owned(), secret.to_owned());
        self.secrets = Arc::new(secrets);
    }

    /// Goes ahead of the machine by so much, or behind it.
    pub(crate) fn set_skew(&self, by: SignedDuration) {
        *self.skew.lock().unwrap_or_else(PoisonError::into_inner) = by;
    }

    /// The time of day, as the double has it.
    pub(crate) fn now(&self) -> Timestamp {
        let skew = *self.skew.lock().unwrap_or_else(PoisonError::into_inner);
        Timestamp::now().saturating_add(skew).unwrap_or(Timestamp::MAX)
    }

    /// Lets a request in, or refuses it: too far from the time in it; or, where secrets are known, of another key or signed otherwise.
    pub(crate) fn admit(&self, request: &Signed<'_>, scope: &Scope, now: Timestamp) -> Result<(), Refusal> {
        let stamp = request.headers.get("x-amz-date").and_then(|value| value.to_str().ok());
        if let Some(stamp) = stamp {
            in_time(stamp, now)?;
        }
        if self.secrets.is_empty() || scope.caller.access_key.is_empty() {
            return Ok(());
        }
        let key = &scope.caller.access_key;
        let secret = self.secrets.get(key).ok_or_else(|| unknown(&scope.service))?;
        let mismatch = || {
            Refusal::with_status(
                "SignatureDoesNotMatch",
                403,
                "The request signature we calculated does not match the signature you provided.",
            )
        };
        let stamp = stamp.ok_or_else(mismatch)?;
        let authorization =
            request.headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let part =
            |name: &str| authorization.split([',', ' ']).find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
        let (credential, names, sent) = (part("Credential"), part("SignedHeaders"), part("Signature"));
        let (credential, names, sent) =
            (credential.ok_or_else(mismatch)?, names.ok_or_else(mismatch)?, sent.ok_or_else(mismatch)?);
        let scope = credential.split_once('/').map(|(_, scope)| scope).unwrap_or_default();
        if signature(request, names, stamp, scope, secret) == sent { Ok(()) } else { Err(mismatch()) }
    }
}

fn in_time(stamp: &str, now: Timestamp) -> Result<(), Refusal> {
    let at =
        jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", stamp).and_then(|at| at.to_zoned(jiff::tz::TimeZone::UTC));
    let at = at.map_err(|_| {
        Refusal::with_status(
            "IncompleteSignature",
            400,
            format!("Date must be in ISO-8601 'basic format', not '{stamp}'"),
        )
    })?;
    if now.duration_since(at.timestamp()).abs() <= ALLOWED_SKEW {
        return Ok(());
    }
    Err(Refusal::new("RequestExpired", format!("the request is of {stamp}, more than 15 minutes from {now}")))
}

fn unknown(service: &Service) -> Refusal {
    match service {
        Service::Ec2 => {
            Refusal::with_status("AuthFailure", 401, "AWS was not able to validate the provided access credentials")
        }
        Service::ElasticLoadBalancing | Service::Other(_) => {
            Refusal::with_status("InvalidClientTokenId", 403, "The security token included in the request is invalid.")
        }
    }
}

/// The signature that this request should bear.
fn signature(request: &Signed<'_>, names: &str, stamp: &str, scope: &str, secret: &str) -> String {
    let mut headers = String::new();
    for name in names.split(';') {
        let values = request.headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
        let values: Vec<String> = values.map(|value| value.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        let _ = writeln!(headers, "{name}:{}", values.join(","));
    }
    let mut pairs: Vec<String> = request
        .query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| if pair.contains('=') { pair.to_owned() } else { format!("{pair}=") })
        .collect();
    pairs.sort();
    let body = hex(digest::digest(&digest::SHA256, request.body).as_ref());
    let canonical = format!("{}\n{}\n{}\n{headers}\n{names}\n{body}", request.method, request.path, pairs.join("&"));
    let text = format!(
        "AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{}",
        hex(digest::digest(&digest::SHA256, canonical.as_bytes()).as_ref())
    );
    let first = format!("AWS4{secret}").into_bytes();
    let key = scope.split('/').fold(first, |key, part| sign(&key, part.as_bytes()));
    hex(&sign(&key, text.as_bytes()))
}

fn sign(key: &[u8], text: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text).as_ref().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
    const STAMP: &str = "20150830T123600Z";

    fn headers(authorization: &str, more: &[(&'static str, &str)]) -> HeaderMap {
        let fixed = [("host", "example.amazonaws.com"), ("x-amz-date", STAMP), ("authorization", authorization)];
        fixed.iter().chain(more).map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    fn gate() -> Gate {
        let mut gate = Gate::default();
        gate.know("AKIDEXAMPLE", SECRET);
        gate
    }

    fn admit(
        method: &Method,
        body: &str,
        authorization: &str,
        more: &[(&'static str, &str)],
        at: &str,
    ) -> Result<(), String> {
        let headers = headers(authorization, more);
        let request = Signed { method, path: "/", query: "", headers: &headers, body: body.as_bytes() };
        gate().admit(&request, &Scope::read(&headers).unwrap(), at.parse().unwrap()).map_err(|refusal| refusal.code)
    }

    /// `get-vanilla` and `post-x-www-form-urlencoded` of AWS's own Signature Version 4 test suite.
    #[test]
    fn aws_s_own_examples_are_let_in() {
        let scope = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request";
        let get = format!(
            "{scope}, SignedHeaders=host;x-amz-date, Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"
        );
        assert_eq!(admit(&Method::GET, "", &get, &[], "2015-08-30T12:36:00Z"), Ok(()));
        let post = format!(
            "{scope}, SignedHeaders=content-type;host;x-amz-date, Signature=ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"
        );
        let form = [("content-type", "application/x-www-form-urlencoded")];
        assert_eq!(admit(&Method::POST, "Param1=value1", &post, &form, "2015-08-30T12:36:00Z"), Ok(()));
        assert_eq!(
            admit(&Method::POST, "Param1=value2", &post, &form, "2015-08-30T12:36:00Z"),
            Err("SignatureDoesNotMatch".to_owned())
        );
    }

    #[test]
    fn a_request_is_good_for_fifteen_minutes_on_either_side() {
        let headers = headers("", &[]);
        let in_time = |at: &str| {
            in_time(headers.get("x-amz-date").unwrap().to_str().unwrap(), at.parse().unwrap())
                .map_err(|refusal| refusal.code)
        };
        assert_eq!((in_time("2015-08-30T12:51:00Z"), in_time("2015-08-30T12:21:00Z")), (Ok(()), Ok(())));
        for late in ["2015-08-30T12:51:01Z", "2015-08-30T12:20:59Z"] {
            assert_eq!(in_time(late), Err("RequestExpired".to_owned()));
        }
    }

    #[test]
    fn a_key_that_nobody_knows_is_refused_in_the_words_of_each_api() {
        assert_eq!(
            (unknown(&Service::Ec2).code.as_str(), unknown(&Service::ElasticLoadBalancing).code.as_str()),
            ("AuthFailure", "InvalidClientTokenId")
        );
        let other = "AWS4-HMAC-SHA256 Credential=AKIDOTHER/20150830/us-east-1/ec2/aws4_request, SignedHeaders=host, Signature=0";
        assert_eq!(admit(&Method::GET, "", other, &[], "2015-08-30T12:36:00Z"), Err("AuthFailure".to_owned()));
    }
}
