//! Whether clients may be left with nothing for a while: only with that can some things be replaced.

use crate::desire::Warning;
use crate::go;
use crate::reason::Reason;
use crate::snapshot::Service;

/// Our own annotation: a boolean as Kubernetes reads it. A provider replaces by putting the successor beside what is there; where both cannot
/// be at once (a name or an address that only one can have) it refuses the change, unless this allows it to take the old one away first.
pub const DOWNTIME_ANNOTATION: &str = "portolan.dev/allow-downtime";

/// The Service allows it. A text that is no boolean allows nothing.
pub fn allowed(service: &Service, warnings: &mut Vec<Warning>) -> bool {
    let Some(text) = service.annotations.get(DOWNTIME_ANNOTATION).map(String::as_str) else { return false };
    let is_allowed = go::TRUE.contains(&text);
    if !is_allowed && !go::FALSE.contains(&text) {
        let shown: String = text.chars().take(LONGEST_SHOWN).collect();
        warnings.push(Warning {
            reason: Reason::InvalidAnnotation,
            message: format!(
                "annotation {DOWNTIME_ANNOTATION}: {shown:?} is neither \"true\" nor \"false\"; no downtime is allowed"
            ),
        });
    }
    is_allowed
}

/// Characters of an annotation in a message; the API allows 256 KiB.
const LONGEST_SHOWN: usize = 60;
