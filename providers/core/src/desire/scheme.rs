//! Internal or public: our own annotation and those of the clouds end in one field.
//!
//! Nobody may become public by accident. So whatever is asked for twice and differently, and whatever cannot be understood on a
//! key that is read, is internal, with a Warning.

mod cloud;
mod dialect;
mod table;

pub use cloud::{Cloud, InternalAnnotations};
pub use dialect::{Dialect, Key, Reading, Words};
pub use table::{CLASSES, DIALECTS};

use crate::balancer::Scheme;
use crate::capabilities::Capabilities;
use crate::desire::Warning;
use crate::reason::Reason;
use crate::refusal::Refused;
use crate::snapshot::Service;

/// Our own annotation: `internal` or `public`.
pub const SCHEME_ANNOTATION: &str = "portolan.dev/scheme";

/// What the Service asks for; none if it does not say.
///
/// A provider that does not tell internal from public refuses every key that asks for internal, by its name, and our own key
/// whatever it asks for. A cloud's own word for public is no refusal: it mostly repeats that cloud's default, and Services carry it
/// from place to place.
pub fn scheme(
    service: &Service,
    capabilities: &Capabilities,
    honoured: &InternalAnnotations,
    refused: &mut Vec<Refused>,
    warnings: &mut Vec<Warning>,
) -> Option<Scheme> {
    let asks: Vec<Ask> = own(service, refused).into_iter().chain(foreign(service, honoured)).collect();
    if !capabilities.scheme {
        refused.extend(asks.iter().filter_map(Ask::refused));
        return None;
    }
    warnings.extend(asks.iter().filter_map(Ask::warning));
    settle(&asks, warnings)
}

/// What of this Service asks for a scheme, as messages name it.
pub fn place(service: &Service, honoured: &InternalAnnotations) -> String {
    let asks = own(service, &mut Vec::new()).into_iter().chain(foreign(service, honoured));
    asks.map(|ask| ask.place).collect::<Vec<_>>().join(", ")
}

/// One wish, and what stands behind it.
#[derive(Debug)]
struct Ask {
    /// The key (or class) that asks, as messages name it.
    place: String,
    /// Whose key it is; none for our own.
    cloud: Option<Cloud>,
    scheme: Scheme,
    /// The text was not understood; why, for people.
    unclear: Option<String>,
}

impl Ask {
    /// The refusal of a provider that has no schemes.
    fn refused(&self) -> Option<Refused> {
        let cannot = "this provider does not tell internal from public";
        let message = match (self.cloud, self.scheme) {
            (None, Scheme::Internal | Scheme::Public) => format!("{}: {cannot}; remove it", self.place),
            (Some(_), Scheme::Public) => return None,
            (Some(cloud), Scheme::Internal) => {
                let asks = self.unclear.as_deref().unwrap_or("asks for an internal load balancer");
                format!(
                    "{}: {asks}; {cannot}: do without it, or take {} out of the configuration's internalAnnotations",
                    self.place,
                    cloud.name()
                )
            }
        };
        Some(Refused::whole(Reason::SchemeNotSupported, message))
    }

    /// The warning about a text that was not understood.
    fn warning(&self) -> Option<Warning> {
        let why = self.unclear.as_ref()?;
        Some(Warning { reason: Reason::SchemeUnclear, message: format!("{}: {why}", self.place) })
    }
}

/// What our own annotation asks for. It has no dialect: a value that is neither of the two is refused.
fn own(service: &Service, refused: &mut Vec<Refused>) -> Option<Ask> {
    let scheme = match service.annotations.get(SCHEME_ANNOTATION).map(String::as_str)? {
        "internal" => Scheme::Internal,
        "public" => Scheme::Public,
        other => {
            refused.push(Refused::whole(
                Reason::InvalidAnnotation,
                format!("annotation {SCHEME_ANNOTATION}: {} is neither \"internal\" nor \"public\"", shown(other)),
            ));
            return None;
        }
    };
    Some(Ask { place: format!("annotation {SCHEME_ANNOTATION}"), cloud: None, scheme, unclear: None })
}

/// What the clouds' keys and class names ask for, in the order of the tables.
fn foreign(service: &Service, honoured: &InternalAnnotations) -> Vec<Ask> {
    let class = service.class.as_deref();
    let by_class = CLASSES.iter().filter(|(cloud, name, _)| honoured.includes(*cloud) && class == Some(*name)).map(
        |(cloud, name, scheme)| Ask {
            place: format!("loadBalancerClass {name}"),
            cloud: Some(*cloud),
            scheme: *scheme,
            unclear: None,
        },
    );
    let by_key = DIALECTS.iter().filter(|dialect| honoured.includes(dialect.cloud)).filter_map(|dialect| {
        let (key, text, reading) = dialect.read(&service.annotations)?;
        let (scheme, unclear) = match reading {
            Reading::Says(scheme) => (scheme, None),
            Reading::Nothing => return None,
            Reading::Unclear => (
                Scheme::Internal,
                Some(format!("{} is read as internal, because {}", shown(text), key.expects(dialect))),
            ),
        };
        Some(Ask { place: format!("annotation {}", key.name), cloud: Some(dialect.cloud), scheme, unclear })
    });
    by_class.chain(by_key).collect()
}

/// The most private wish wins.
fn settle(asks: &[Ask], warnings: &mut Vec<Warning>) -> Option<Scheme> {
    let by = |scheme| {
        let places: Vec<&str> = asks.iter().filter(|ask| ask.scheme == scheme).map(|ask| ask.place.as_str()).collect();
        places.join(", ")
    };
    let (internal, public) = (by(Scheme::Internal), by(Scheme::Public));
    match (internal.is_empty(), public.is_empty()) {
        (true, true) => None,
        (true, false) => Some(Scheme::Public),
        (false, true) => Some(Scheme::Internal),
        (false, false) => {
            let message =
                format!("internal by {internal}, but public by {public}: it is internal; remove what you do not mean");
            warnings.push(Warning { reason: Reason::SchemeConflict, message });
            Some(Scheme::Internal)
        }
    }
}

/// An annotation's text in a message: quoted, escaped, and cut. The API allows 256 KiB.
fn shown(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{:?}...", text.get(..end).unwrap_or_default()),
        None => format!("{text:?}"),
    }
}

#[cfg(test)]
mod tests;
