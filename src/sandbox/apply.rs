//! Server-side apply as a request: a PATCH that says what its writer wants (KEP-555). From
//! `k8s.io/apiserver/pkg/endpoints/handlers/patch.go`.

use serde_json::{Value, json};

use super::kinds::Kind;
use super::managed::{self, Versions, Writer};
use super::metadata::text;
use super::refused::{FieldError, Refused};
use super::route::{Parameters, Target};
use super::store::State;
use crate::yaml;

/// What somebody wants of one object.
pub(super) struct Apply {
    config: Value,
    force: bool,
}

impl Apply {
    pub(super) const CONTENT_TYPE: &'static str = "application/apply-patch+yaml";

    pub(super) fn read(body: &[u8], parameters: &Parameters) -> Result<Self, Refused> {
        let unreadable = |why: String| Refused::bad_request(format!("error decoding YAML: {why}"));
        let body = std::str::from_utf8(body).map_err(|error| unreadable(error.to_string()))?;
        let documents = yaml::documents(body).map_err(|error| unreadable(error.to_string()))?;
        let config = documents.into_iter().next().unwrap_or_else(|| json!({}));
        if !config.is_object() {
            return Err(unreadable("it is no object".to_owned()));
        }
        Ok(Self { config, force: parameters.flag("force") })
    }

    /// The object as it shall be. Where nothing is live yet, it shall be created.
    pub(super) fn to(
        &self,
        state: &State,
        target: &Target,
        writer: &Writer,
        live: Option<&Value>,
    ) -> Result<Value, Refused> {
        let kind = &target.kind;
        if (text(&self.config["apiVersion"]), text(&self.config["kind"])) != (kind.api_version(), kind.kind.clone()) {
            return Err(Refused::bad_request(format!("invalid object type: {}", self.identity())));
        }
        let object = managed::apply(&Versions::of(&state.kinds, kind), writer, live, &self.config, self.force)?;
        if live.is_none() {
            self.may_create(kind, target)?;
        }
        Ok(object)
    }

    fn may_create(&self, kind: &Kind, target: &Target) -> Result<(), Refused> {
        let uid = text(&self.config["metadata"]["uid"]);
        if !uid.is_empty() {
            let why =
                format!("uid mismatch: the provided object specified uid {uid}, and no existing object was found");
            return Err(Refused::conflict_because(kind, &target.name, why));
        }
        let name = text(&self.config["metadata"]["name"]);
        if name.is_empty() {
            let message = format!(
                "the name of the object ({} based on URL) was undeterminable: name must be provided",
                target.name
            );
            return Err(Refused::bad_request(message));
        }
        if name != target.name {
            let message =
                format!("the name of the object ({name}) does not match the name on the URL ({})", target.name);
            return Err(Refused::bad_request(message));
        }
        Ok(())
    }

    /// As Go prints a `GroupVersionKind`.
    fn identity(&self) -> String {
        let version = text(&self.config["apiVersion"]);
        let version = if version.is_empty() || version.contains('/') { version } else { format!("/{version}") };
        let version = if version.is_empty() { "/".to_owned() } else { version };
        format!("{version}, Kind={}", text(&self.config["kind"]))
    }
}

/// Who writes: `fieldManager`, or what the client says that it is, up to the slash (`managerOrUserAgent`).
pub(super) fn manager(parameters: &Parameters, agent: &str) -> String {
    let named = parameters.text("fieldManager");
    if !named.is_empty() {
        return named.to_owned();
    }
    let agent = agent.split('/').next().unwrap_or_default();
    let mut manager = String::new();
    for letter in agent.chars().filter(|letter| !letter.is_control()) {
        if manager.len() + letter.len_utf8() > LONGEST {
            break;
        }
        manager.push(letter);
    }
    manager
}

/// `FieldManagerMaxLength`.
const LONGEST: usize = 128;

/// Whether a request may say who writes as it does (`ValidatePatchOptions`); `options` is the kind of its parameters.
pub(super) fn check(parameters: &Parameters, options: &str, applies: bool) -> Result<(), Refused> {
    let manager = parameters.text("fieldManager");
    let mut errors = Vec::new();
    if applies && manager.is_empty() {
        errors.push(FieldError::required("fieldManager", "is required for apply patch"));
    }
    if !applies && options == "PatchOptions" && parameters.has("force") {
        errors.push(FieldError::forbidden("force", "may not be specified for non-apply patch"));
    }
    if manager.len() > LONGEST {
        errors.push(FieldError::too_long("fieldManager", LONGEST));
    }
    for (position, letter) in manager.char_indices().filter(|(_, letter)| letter.is_control()) {
        let why = format!("invalid character U+{:04X} (at position {position})", u32::from(letter));
        errors.push(FieldError::invalid("fieldManager", &manager.into(), why));
    }
    errors.extend(parameters.fields.check());
    if errors.is_empty() { Ok(()) } else { Err(Refused::invalid_parameters(options, &errors)) }
}
