//! How AWS says no: a code, a status and a message, wrapped differently by each of the two APIs.
//!
//! Sources: "Common Errors" of the Elastic Load Balancing API reference (2015-12-01), "Error codes for the Amazon EC2 API"; the status of
//! each ELBv2 error is that of its page in the API reference (400 for all that are refused here).

use crate::caller::Service;
use crate::xml::Element;

/// A refused request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code} ({status}): {message}")]
pub struct Refusal {
    /// AWS's code, as it is on the wire.
    pub code: String,
    /// The HTTP status.
    pub status: u16,
    /// For people; tests must not compare it.
    pub message: String,
}

impl Refusal {
    /// A refusal with status 400.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), status: 400, message: message.into() }
    }

    /// A refusal with another status.
    pub fn with_status(code: impl Into<String>, status: u16, message: impl Into<String>) -> Self {
        Self { code: code.into(), status, message: message.into() }
    }

    /// ELBv2's code for parameters that do not fit their type ("Common Errors").
    pub fn validation(message: impl Into<String>) -> Self {
        Self::new("ValidationError", message)
    }

    /// Something AWS has and this double does not play. It is no code of AWS's, so that no program takes it for one.
    pub fn not_played(what: &str) -> Self {
        Self::with_status("NotPlayedByTheDouble", 501, format!("the double of AWS does not play {what}"))
    }

    /// The error document of this API.
    pub fn document(&self, service: &Service, request: &str) -> Element {
        let error = Element::new("Error");
        let (code, message) = (Element::text("Code", &*self.code), Element::text("Message", &*self.message));
        match service {
            Service::Ec2 => Element::new("Response")
                .with(Element::new("Errors").with(error.with(code).with(message)))
                .with(Element::text("RequestID", request)),
            Service::ElasticLoadBalancing | Service::Other(_) => {
                let blame = Element::text("Type", if self.status < 500 { "Sender" } else { "Receiver" });
                let mut response = Element::new("ErrorResponse")
                    .with(error.with(blame).with(code).with(message))
                    .with(Element::text("RequestId", request));
                response.namespace = Some(crate::answer::ELB_NAMESPACE.to_owned());
                response
            }
        }
    }

    /// Reads an error document of either API, as emulators send them.
    pub(crate) fn read(document: &Element, status: u16) -> Option<Self> {
        let error = document.at(&["Error"]).or_else(|| document.at(&["Errors", "Error"]))?;
        let text = |name| error.text_at(&[name]).unwrap_or_default().to_owned();
        Some(Self { code: text("Code"), status, message: text("Message") })
    }
}
