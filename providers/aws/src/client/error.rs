//! What went wrong with a call, and what that means.
//!
//! AWS answers with codes, some hundred of which can reach us. [`table`] sorts them into [`Problem`]s, and a problem says what the runtime
//! does about it. A code that is not in the table goes by its HTTP status: AWS's fault (5xx) is tried again, ours is refused.

use std::time::{Duration, SystemTime};

use portolan_core::provider::{Error as ProviderError, ErrorKind};
use portolan_core::reason::Reason;

use crate::client::action::Action;

pub mod table;
#[cfg(test)]
mod tests;

/// What kind of trouble it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Problem {
    /// An object of ours that was named is not there (any more, or yet: AWS is eventually consistent).
    Gone,
    /// Something that the user or the administrator named is not there, and its name will not come back.
    NotFound,
    /// Something that the user or the administrator named is not there or not ready, and may become so.
    Awaited,
    /// An object of that name, or that very rule, is there already.
    Exists,
    /// It cannot be deleted or changed as long as something else uses it.
    InUse,
    /// An operation on the same object is still under way.
    Busy,
    /// A quota of the account, the balancer or the group is used up.
    Quota,
    /// One of several targets cannot be registered.
    BadTarget,
    /// AWS does not do this, with these values or at all.
    Refused,
    /// The credentials do not allow it.
    Denied,
    /// The credentials are not valid.
    Unknown,
    /// The credentials were valid once.
    Expired,
    /// No credentials could be had.
    NoCredentials,
    /// AWS's clock and ours are too far apart.
    Skewed,
    /// Too many calls.
    Throttled,
    /// AWS has trouble of its own. The call may have had its effect.
    Unavailable,
    /// No answer came in time, or half of one. The call may have had its effect.
    Unanswered,
    /// AWS could not be reached. The call had no effect.
    Unreachable,
    /// The answer is not what AWS documents. The call may have had its effect.
    Unreadable,
}

impl Problem {
    /// The call was not carried out, so that trying it again is always safe.
    pub fn without_effect(self) -> bool {
        match self {
            Self::Gone
            | Self::NotFound
            | Self::Awaited
            | Self::Exists
            | Self::InUse
            | Self::Busy
            | Self::Quota
            | Self::BadTarget
            | Self::Refused
            | Self::Denied
            | Self::Unknown
            | Self::Expired
            | Self::NoCredentials
            | Self::Skewed
            | Self::Throttled
            | Self::Unreachable => true,
            Self::Unavailable | Self::Unanswered | Self::Unreadable => false,
        }
    }

    /// What the runtime does about it.
    fn kind(self) -> ErrorKind {
        match self {
            Self::NotFound | Self::BadTarget | Self::Refused => ErrorKind::Terminal,
            Self::Gone
            | Self::Unknown
            | Self::Expired
            | Self::NoCredentials
            | Self::Skewed
            | Self::Throttled
            | Self::Unavailable
            | Self::Unanswered
            | Self::Unreachable
            | Self::Unreadable => ErrorKind::Retry,
            // Somebody has to act, but not on the Service, so nothing would wake us.
            Self::Exists | Self::Denied | Self::Awaited => ErrorKind::Wait(Duration::from_secs(60)),
            Self::Quota => ErrorKind::Wait(Duration::from_secs(300)),
            Self::Busy => ErrorKind::Wait(Duration::from_secs(10)),
            // Until AWS has let go of what a deleted balancer had. To ask more often costs calls and frees nothing sooner.
            Self::InUse => ErrorKind::Wait(Duration::from_secs(20)),
        }
    }

    fn reason(self) -> Reason {
        match self {
            Self::NotFound | Self::Awaited | Self::BadTarget | Self::Refused => Reason::ProviderRefused,
            Self::Denied => Reason::AccessDenied,
            Self::Quota => Reason::QuotaExceeded,
            Self::Gone
            | Self::Unknown
            | Self::Expired
            | Self::NoCredentials
            | Self::Skewed
            | Self::Throttled
            | Self::Unavailable
            | Self::Unanswered
            | Self::Unreachable
            | Self::Unreadable => Reason::ProviderFailed,
            Self::Exists => Reason::NameTaken,
            Self::InUse | Self::Busy => Reason::Provisioning,
        }
    }

    /// What to do, where the table says nothing more exact.
    fn advice(self) -> &'static str {
        match self {
            Self::Gone => "it is looked for anew",
            Self::NotFound => "name one that exists",
            Self::Awaited => "it is tried again every minute",
            Self::Exists => "delete or rename what is in the way; it is left alone",
            Self::InUse => "it is tried again once nothing uses it",
            Self::Busy => "it is tried again when the operation under way is over",
            Self::Quota => "ask AWS to raise the quota in Service Quotas, or delete what is not needed",
            Self::BadTarget => "the target is left out",
            Self::Refused => "correct the Service or the class as AWS's message says",
            Self::Denied => "allow the action in the IAM policy of the controller's role",
            Self::Unknown => "give the controller valid credentials for this partition and region",
            Self::Expired => "the credentials are fetched anew",
            Self::NoCredentials => {
                "give the controller credentials: environment, profile, web identity (IRSA), container (EKS Pod Identity) or instance \
                 metadata"
            }
            Self::Skewed => "set the machine's clock; the difference is corrected meanwhile",
            Self::Throttled => "calls go slower for a while",
            Self::Unavailable => "see the AWS Health Dashboard if it lasts",
            Self::Unanswered => "what came of it is looked up",
            Self::Unreachable => "check DNS, routes, VPC endpoints and proxies of the controller's pod",
            Self::Unreadable => "check what AWS_ENDPOINT_URL points to; what came of it is looked up",
        }
    }
}

/// Why a call failed, after all attempts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// Which call.
    pub action: Action,
    /// What kind of trouble it is.
    pub problem: Problem,
    /// AWS's code, if AWS answered with one.
    pub code: Option<String>,
    /// What AWS or the network said.
    pub said: String,
    /// By which AWS's support finds the call. For logs only: it differs each time.
    pub request_id: Option<String>,
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.stable())?;
        match &self.request_id {
            Some(id) => write!(f, " (request {id})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}

impl Error {
    /// What failed, AWS's words, and what to do: the same text for the same trouble.
    pub fn stable(&self) -> String {
        let advice = self.code.as_deref().and_then(table::advice).unwrap_or(self.problem.advice());
        let said = encoded_part_cut(&self.said);
        match &self.code {
            Some(code) if said.is_empty() => format!("{}: {code}; {advice}", self.action),
            Some(code) => format!("{}: {code}: {said}; {advice}", self.action),
            None => format!("{}: {said}; {advice}", self.action),
        }
    }

    /// It is only that what was named is not there.
    pub fn is_gone(&self) -> bool {
        self.problem == Problem::Gone
    }
}

impl From<Error> for ProviderError {
    fn from(error: Error) -> Self {
        Self { kind: error.problem.kind(), reason: error.problem.reason(), message: error.stable() }
    }
}

/// EC2 ends a refusal for want of rights with a blob that differs each time
/// (<https://docs.aws.amazon.com/STS/latest/APIReference/API_DecodeAuthorizationMessage.html>). It must not reach a condition.
fn encoded_part_cut(said: &str) -> &str {
    let cut = said.split("Encoded authorization failure message").next().unwrap_or(said);
    cut.trim().trim_end_matches(['.', ';', ','])
}

/// One failed attempt, before anybody has judged it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Raw {
    /// AWS answered.
    Answered(Answer),
    /// No credentials.
    NoCredentials(String),
    /// No answer in time, or the connection broke after the request had gone out.
    Unanswered(String),
    /// No connection.
    Unreachable(String),
    /// An answer that is none.
    Unreadable(String),
}

/// What AWS answered with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    /// The HTTP status.
    pub(crate) status: u16,
    pub(crate) code: Option<String>,
    pub(crate) message: String,
    pub(crate) request_id: Option<String>,
    /// AWS's clock, from the header `Date`.
    pub(crate) date: Option<SystemTime>,
}

impl Raw {
    /// What kind of trouble it is.
    pub(crate) fn problem(&self) -> Problem {
        match self {
            Self::Answered(answer) => {
                match answer.code.as_deref().and_then(|code| table::problem(code, &answer.message)) {
                    Some(problem) => problem,
                    None if answer.status == 429 => Problem::Throttled,
                    None if answer.status >= 500 => Problem::Unavailable,
                    None if answer.code.is_none() => Problem::Unreadable,
                    None => Problem::Refused,
                }
            }
            Self::NoCredentials(_) => Problem::NoCredentials,
            Self::Unanswered(_) => Problem::Unanswered,
            Self::Unreachable(_) => Problem::Unreachable,
            Self::Unreadable(_) => Problem::Unreadable,
        }
    }

    /// As it is told to callers.
    pub(crate) fn judged(self, action: Action) -> Error {
        let problem = self.problem();
        let (code, said, request_id) = match self {
            Self::Answered(answer) => {
                let said = match (&answer.code, answer.message.is_empty()) {
                    (None, true) => format!("HTTP status {} and no error of AWS's", answer.status),
                    (None, false) | (Some(_), _) => answer.message,
                };
                (answer.code, said, answer.request_id)
            }
            Self::NoCredentials(said) | Self::Unanswered(said) | Self::Unreachable(said) | Self::Unreadable(said) => {
                (None, said, None)
            }
        };
        Error { action, problem, code, said, request_id }
    }
}
