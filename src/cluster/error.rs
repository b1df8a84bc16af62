//! What a failed call to the API server means for the caller. One classification for every reader and writer.

use std::future::Future;
use std::time::Duration;

/// No call to the API server takes longer. kube's own client would retry for up to a quarter of an hour.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// What the caller does about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Somebody else was faster (409): read again, at once.
    Conflict,
    /// The object is gone (404).
    Gone,
    /// The server does not know the kind, or the path (404 without naming an object).
    UnknownKind,
    /// The server refuses the content (400, 405, 413, 415, 422): nothing changes until somebody edits something.
    Invalid,
    /// The server refuses the caller (403): nothing changes until somebody grants the right.
    Forbidden,
    /// Worth another try, after a pause of the caller's or this one if the server asks for longer.
    Retry {
        /// `retryAfterSeconds`.
        after: Option<Duration>,
    },
}

/// A failed call.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot {action}: {message}")]
pub struct CallError {
    /// What the caller does about it.
    pub failure: Failure,
    /// What was tried, to be read after "cannot".
    pub action: String,
    /// What went wrong and what to do next.
    pub message: String,
}

/// Makes one call, within [`CALL_TIMEOUT`].
pub async fn call<T>(
    action: impl Into<String>,
    request: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, CallError> {
    call_within(CALL_TIMEOUT, action, request).await
}

/// Makes one call, within this time.
pub async fn call_within<T>(
    limit: Duration,
    action: impl Into<String>,
    request: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, CallError> {
    match tokio::time::timeout(limit, request).await {
        Ok(answer) => answer.map_err(|error| CallError::new(action, &error)),
        Err(_elapsed) => Err(CallError {
            failure: Failure::Retry { after: None },
            action: action.into(),
            message: format!("the API server has not answered within {} seconds", limit.as_secs()),
        }),
    }
}

impl CallError {
    /// What this error means.
    pub fn new(action: impl Into<String>, error: &kube::Error) -> Self {
        let (failure, message) = if let kube::Error::Api(status) = error {
            classify(status)
        } else if let kube::Error::SerdeError(problem) = error {
            (Failure::Retry { after: None }, format!("the API server's answer makes no sense: {problem}"))
        } else {
            // It happened on the way. kube's text contains its source already.
            (Failure::Retry { after: None }, error.to_string())
        };
        Self { failure, action: action.into(), message }
    }
}

fn classify(status: &kube::core::Status) -> (Failure, String) {
    let said = if status.message.is_empty() { "no reason given" } else { status.message.as_str() };
    let after = status.details.as_ref().map(|details| details.retry_after_seconds).filter(|seconds| *seconds > 0);
    let after = after.map(|seconds| Duration::from_secs(seconds.into()));
    match status.code {
        409 => (Failure::Conflict, said.to_owned()),
        404 if status.reason == "NotFound"
            && status.details.as_ref().is_some_and(|details| !details.name.is_empty()) =>
        {
            (Failure::Gone, said.to_owned())
        }
        404 => {
            (Failure::UnknownKind, format!("the API server does not know this kind of object ({said}); {APPLY_CRDS}"))
        }
        400 | 405 | 406 | 413 | 415 | 422 => (Failure::Invalid, format!("the API server refuses it: {said}")),
        403 => {
            (Failure::Forbidden, format!("{said}; grant it in the role that Portolan's service account is bound to"))
        }
        401 => (
            Failure::Retry { after },
            format!(
                "the API server does not accept the credentials ({said}); check the kubeconfig or the service account's token"
            ),
        ),
        0 => (Failure::Retry { after }, format!("the API server's answer makes no sense: {said}")),
        code => (Failure::Retry { after }, format!("the API server answers {code}: {said}")),
    }
}

/// What to do about a kind of ours that the server does not know.
pub(super) const APPLY_CRDS: &str =
    "if it is one of Portolan's, run `portolan crds | kubectl apply --server-side -f -`";

#[cfg(test)]
mod tests {
    use kube::core::Status;
    use kube::core::response::StatusDetails;

    use super::*;

    fn api(code: u16, reason: &str, details: Option<(&str, u32)>) -> CallError {
        let details = details.map(|(name, retry_after_seconds)| StatusDetails {
            name: name.into(),
            group: String::new(),
            kind: String::new(),
            uid: String::new(),
            causes: vec![],
            retry_after_seconds,
        });
        let status = Status { code, reason: reason.into(), message: "because".into(), details, ..Status::default() };
        CallError::new("do it", &kube::Error::Api(status.boxed()))
    }

    #[test]
    fn every_answer_has_one_meaning() {
        let retry = |seconds: Option<u64>| Failure::Retry { after: seconds.map(Duration::from_secs) };
        for (code, reason, details, failure, says) in [
            (409, "Conflict", None, Failure::Conflict, "because"),
            (409, "AlreadyExists", None, Failure::Conflict, "because"),
            (404, "NotFound", Some(("web", 0)), Failure::Gone, "because"),
            (404, "NotFound", Some(("", 0)), Failure::UnknownKind, "portolan crds | kubectl apply --server-side -f -"),
            (404, "Failed to parse error data", None, Failure::UnknownKind, "portolan crds"),
            (422, "Invalid", None, Failure::Invalid, "refuses"),
            (400, "BadRequest", None, Failure::Invalid, "refuses"),
            (403, "Forbidden", None, Failure::Forbidden, "service account"),
            (401, "Unauthorized", None, retry(None), "credentials"),
            (429, "TooManyRequests", Some(("", 7)), retry(Some(7)), "429"),
            (500, "InternalError", None, retry(None), "500"),
            (503, "", None, retry(None), "503"),
            (0, "", None, retry(None), "because"),
        ] {
            let error = api(code, reason, details);
            assert_eq!(error.failure, failure, "{code} {reason}");
            let text = error.to_string();
            assert!(text.starts_with("cannot do it: ") && text.contains(says), "{text}");
        }
    }

    #[test]
    fn garbage_is_worth_another_try() {
        let garbage = serde_json::from_str::<u8>("<html>").unwrap_err();
        let error = CallError::new("read it", &kube::Error::SerdeError(garbage));
        assert_eq!(error.failure, Failure::Retry { after: None });
        assert!(error.to_string().contains("makes no sense"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_does_not_answer_is_given_up() {
        let error = call("read it", std::future::pending::<Result<(), kube::Error>>()).await.unwrap_err();
        assert_eq!(error.failure, Failure::Retry { after: None });
        assert_eq!(error.to_string(), "cannot read it: the API server has not answered within 30 seconds");
    }
}
