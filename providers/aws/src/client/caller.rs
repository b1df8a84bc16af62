//! The one way to AWS: wait for a turn, try, judge the answer, and try again where that can help. The SDK's own retries are off: its
//! attempts would pass the budget by.

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::{Either, select};

use crate::client::action::Action;
use crate::client::budget::gate::Gate;
use crate::client::budget::{Lane, Limits};
use crate::client::credentials::Keys;
use crate::client::error::{Error, Problem, Raw};
use crate::client::skew::AwsTime;
use crate::clock::Clock;

#[cfg(test)]
mod tests;

/// How long and how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Attempts at one call, at least 1.
    pub attempts: u32,
    /// An answer that takes longer is given up. Waiting for a turn does not count.
    pub attempt: Duration,
    /// The pause after the first failed attempt; it doubles each time. A random half of it is left out.
    pub pause: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { attempts: 4, attempt: Duration::from_secs(15), pause: Duration::from_millis(250) }
    }
}

/// What all calls go through.
#[derive(Debug)]
pub(crate) struct Caller {
    gate: Gate,
    clock: Arc<dyn Clock>,
    time: AwsTime,
    keys: Keys,
    patience: Patience,
    random: Mutex<fastrand::Rng>,
}

impl Caller {
    pub(crate) fn new(
        limits: &Limits,
        clock: Arc<dyn Clock>,
        time: AwsTime,
        keys: Keys,
        patience: Patience,
        seed: u64,
    ) -> Self {
        let gate = Gate::new(limits, Arc::clone(&clock));
        Self { gate, clock, time, keys, patience, random: Mutex::new(fastrand::Rng::with_seed(seed)) }
    }

    /// Makes one call, as often as it takes.
    pub(crate) async fn call<T, F, Fut>(&self, action: Action, lane: Lane, attempt: F) -> Result<T, Error>
    where
        F: Fn() -> Fut,
        Fut: Future<Output = Result<T, Raw>>,
    {
        let mut remedied = None;
        let mut tried = 0;
        loop {
            self.gate.pass(action.class(), lane).await;
            tried += 1;
            let correction = self.time.correction();
            let (key, result) = self.bounded(&attempt).await;
            let raw = match result {
                Ok(answer) => return Ok(answer),
                Err(raw) => raw,
            };
            let problem = raw.problem();
            if problem == Problem::Throttled {
                self.gate.throttled(action.class());
            }
            let again = match self.remedy(&raw, problem, &key, correction) {
                // The same remedy twice would not help either.
                Remedy::AtOnce if remedied == Some(problem) => false,
                Remedy::AtOnce => {
                    remedied = Some(problem);
                    true
                }
                Remedy::Pause if tried >= self.patience.attempts.max(1) => false,
                Remedy::Pause if !problem.without_effect() && !action.repeats() => false,
                Remedy::Pause => {
                    self.clock.sleep(self.pause(tried)).await;
                    true
                }
                Remedy::None => false,
            };
            let error = raw.judged(action);
            if !again {
                tracing::debug!(provider = "aws", %error, tried, "call failed");
                return Err(error);
            }
            tracing::debug!(provider = "aws", %error, tried, "call is tried again");
        }
    }

    /// One attempt, and the access key it was made with.
    async fn bounded<T, F, Fut>(&self, attempt: &F) -> (String, Result<T, Raw>)
    where
        F: Fn() -> Fut,
        Fut: Future<Output = Result<T, Raw>>,
    {
        let whole = pin!(async {
            // First of all, so that both clients say alike that there are none. They have them from the same place, and no later.
            match self.keys.current().await {
                Ok(credentials) => (credentials.access_key_id().to_owned(), attempt().await),
                Err(error) => (String::new(), Err(Raw::NoCredentials(chain(&*error)))),
            }
        });
        match select(whole, self.clock.sleep(self.patience.attempt)).await {
            Either::Left((ended, _)) => ended,
            Either::Right(((), _)) => (String::new(), Err(Raw::Unanswered("no answer in time".to_owned()))),
        }
    }

    fn remedy(&self, raw: &Raw, problem: Problem, key: &str, correction: i64) -> Remedy {
        match problem {
            Problem::Expired => {
                self.keys.forget(key);
                Remedy::AtOnce
            }
            // EC2 answers a wrong clock with AuthFailure, which a wrong key has too; the header `Date` tells them apart. Calls that were
            // signed together are refused together: the first to come back corrects the clock for all.
            Problem::Skewed | Problem::Unknown => match raw {
                Raw::Answered(answer) if answer.date.is_some_and(|date| self.time.learn(date)) => Remedy::AtOnce,
                Raw::Answered(_) if self.time.correction() != correction => Remedy::AtOnce,
                // The clock is right, so that it is the credentials that have expired: EC2 has one code for both.
                Raw::Answered(_) if problem == Problem::Skewed => {
                    self.keys.forget(key);
                    Remedy::AtOnce
                }
                Raw::Answered(_)
                | Raw::NoCredentials(_)
                | Raw::Unanswered(_)
                | Raw::Unreachable(_)
                | Raw::Unreadable(_) => Remedy::None,
            },
            Problem::NoCredentials
            | Problem::Throttled
            | Problem::Unavailable
            | Problem::Unanswered
            | Problem::Unreachable
            | Problem::Unreadable => Remedy::Pause,
            Problem::Gone
            | Problem::NotFound
            | Problem::Exists
            | Problem::InUse
            | Problem::Busy
            | Problem::Quota
            | Problem::BadTarget
            | Problem::Refused
            | Problem::Awaited
            | Problem::Denied => Remedy::None,
        }
    }

    /// Between half and all of a pause that doubles, so that those who failed together do not come back together.
    fn pause(&self, tried: u32) -> Duration {
        let whole = self.patience.pause.saturating_mul(1 << tried.saturating_sub(1).min(5));
        let part = 0.5 + self.random.lock().unwrap_or_else(PoisonError::into_inner).f64() / 2.0;
        whole.mul_f64(part)
    }
}

enum Remedy {
    /// What was wrong is put right.
    AtOnce,
    /// It may go better later.
    Pause,
    /// It would not go better.
    None,
}

/// An error and all its causes, in one line.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
