//! Do the certificates exist that a listener names? API reference, CreateListener, AddListenerCertificates: `CertificateNotFound`. moto
//! lets IAM's pass unseen.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method};

use crate::caller::Service;
use crate::query::Query;
use crate::refusal::Refusal;
use crate::upstream::Upstream;

/// `CertificateNotFound` if one of these ARNs, of ACM or IAM, names nothing.
pub(crate) async fn exist(
    upstream: &Upstream,
    region: &str,
    arns: impl IntoIterator<Item = &String>,
) -> Result<(), Refusal> {
    for arn in arns {
        let exists = match arn.split(':').nth(2) {
            Some("acm") => in_acm(upstream, region, arn).await?,
            Some("iam") => in_iam(upstream, arn).await?,
            _ => false,
        };
        if !exists {
            return Err(Refusal::new("CertificateNotFound", format!("Certificate ARN '{arn}' is not valid")));
        }
    }
    Ok(())
}

/// Makes one in IAM.
pub(crate) async fn plant(upstream: &Upstream, name: &str) -> Result<String, Refusal> {
    let pem = |what: &str| format!("-----BEGIN {what}-----\nAAAA\n-----END {what}-----");
    let (body, key) = (pem("CERTIFICATE"), pem("PRIVATE KEY"));
    let query = Query::of([
        ("Action", "UploadServerCertificate"),
        ("Version", "2010-05-08"),
        ("ServerCertificateName", name),
        ("CertificateBody", &body),
        ("PrivateKey", &key),
    ]);
    let made = upstream.ask(&Service::Other("iam".to_owned()), "us-east-1", &query).await?;
    let arn = made.text_at(&["UploadServerCertificateResult", "ServerCertificateMetadata", "Arn"]);
    Ok(arn.unwrap_or_default().to_owned())
}

/// ACM speaks JSON; whether there is an answer says enough.
async fn in_acm(upstream: &Upstream, region: &str, arn: &str) -> Result<bool, Refusal> {
    let mut headers = HeaderMap::new();
    let credential = format!(
        "AWS4-HMAC-SHA256 Credential=double/20200101/{region}/acm/aws4_request, SignedHeaders=host, Signature=0"
    );
    headers.insert("content-type", HeaderValue::from_static("application/x-amz-json-1.1"));
    headers.insert("x-amz-target", HeaderValue::from_static("CertificateManager.DescribeCertificate"));
    if let Ok(credential) = HeaderValue::from_str(&credential) {
        headers.insert("authorization", credential);
    }
    // An ARN has no character that JSON would escape, but it comes from a request.
    let body = format!("{{\"CertificateArn\":\"{}\"}}", arn.replace(['"', '\\'], ""));
    Ok(upstream.pass(Method::POST, "/", headers, Bytes::from(body)).await?.status.is_success())
}

async fn in_iam(upstream: &Upstream, arn: &str) -> Result<bool, Refusal> {
    let name = arn.rsplit('/').next().unwrap_or_default();
    let query =
        Query::of([("Action", "GetServerCertificate"), ("Version", "2010-05-08"), ("ServerCertificateName", name)]);
    // IAM is one for all regions; its requests are signed for this one.
    match upstream.ask(&Service::Other("iam".to_owned()), "us-east-1", &query).await {
        Ok(_) => Ok(true),
        Err(refusal) if refusal.status < 500 => Ok(false),
        Err(trouble) => Err(trouble),
    }
}
