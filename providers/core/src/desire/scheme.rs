//! Internal or public. The internal-LB annotations of the clouds will end here too, each parsed by its own cloud's rule.

use crate::balancer::Scheme;
use crate::capabilities::Capabilities;
use crate::reason::Reason;
use crate::refusal::Refused;
use crate::snapshot::Service;

/// Our own annotation: `internal` or `public`.
pub const SCHEME_ANNOTATION: &str = "portolan.dev/scheme";

/// What the Service asks for; none if it does not say.
pub fn scheme(service: &Service, capabilities: &Capabilities, refused: &mut Vec<Refused>) -> Option<Scheme> {
    let scheme = match service.annotations.get(SCHEME_ANNOTATION).map(String::as_str)? {
        "internal" => Scheme::Internal,
        "public" => Scheme::Public,
        other => {
            refused.push(Refused::whole(
                Reason::InvalidAnnotation,
                format!("annotation {SCHEME_ANNOTATION}: {other:?} is neither \"internal\" nor \"public\""),
            ));
            return None;
        }
    };
    if !capabilities.scheme {
        refused.push(Refused::whole(
            Reason::SchemeNotSupported,
            format!("annotation {SCHEME_ANNOTATION}: this provider does not tell internal from public; remove it"),
        ));
    }
    Some(scheme)
}
