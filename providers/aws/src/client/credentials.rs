//! Credentials: found by the SDK's own chain (environment, profile, web identity, container, instance metadata), kept here for both
//! clients until shortly before they expire. However many calls need them, they are fetched once.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};
use futures::FutureExt;
use futures::future::{BoxFuture, Shared};

use crate::client::skew::AwsTime;

/// They are fetched anew this long before they expire. Instance metadata has new ones at least five minutes before
/// (<https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-metadata-security-credentials.html>).
const EARLY: Duration = Duration::from_secs(120);

/// After a fetch that failed, credentials that still last are used for so long before the next.
const AGAIN: Duration = Duration::from_secs(20);

type Fetch = Shared<BoxFuture<'static, Result<Credentials, Arc<CredentialsError>>>>;

/// The credentials of this process.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    chain: SharedCredentialsProvider,
    time: AwsTime,
    held: Arc<Mutex<Held>>,
}

#[derive(Debug, Default)]
struct Held {
    good: Option<Credentials>,
    /// A fetch failed; there is no hurry for another before this.
    not_before: Option<SystemTime>,
    under_way: Option<Fetch>,
}

impl Keys {
    pub(crate) fn new(chain: SharedCredentialsProvider, time: AwsTime) -> Self {
        Self { chain, time, held: Arc::default() }
    }

    /// Credentials that AWS should take, or why there are none.
    pub(crate) async fn current(&self) -> Result<Credentials, Arc<CredentialsError>> {
        let fetch = {
            let mut held = self.held();
            let rest = held.not_before.is_some_and(|time| self.time.now() < time);
            let early = if rest { Duration::ZERO } else { EARLY };
            match &held.good {
                Some(good) if self.lasts(good, early) => return Ok(good.clone()),
                Some(_) | None => {}
            }
            held.under_way.get_or_insert_with(|| self.fetch()).clone()
        };
        let fetched = fetch.clone().await;
        let mut held = self.held();
        if held.under_way.as_ref().is_some_and(|current| current.ptr_eq(&fetch)) {
            held.under_way = None;
            match &fetched {
                Ok(new) => (held.good, held.not_before) = (Some(new.clone()), None),
                Err(_) => held.not_before = Some(self.time.now() + AGAIN),
            }
        }
        match (fetched, &held.good) {
            (Err(_), Some(old)) if self.lasts(old, Duration::ZERO) => Ok(old.clone()),
            (fetched, _) => fetched,
        }
    }

    /// AWS says that the credentials with this access key have expired, whatever we were told. Others, fetched since, stay.
    pub(crate) fn forget(&self, key: &str) {
        let mut held = self.held();
        if held.good.as_ref().is_some_and(|good| good.access_key_id() == key) {
            (held.good, held.not_before) = (None, None);
        }
    }

    fn lasts(&self, credentials: &Credentials, at_least: Duration) -> bool {
        credentials.expiry().is_none_or(|expiry| self.time.now() + at_least < expiry)
    }

    fn fetch(&self) -> Fetch {
        let chain = self.chain.clone();
        async move { chain.provide_credentials().await.map_err(Arc::new) }.boxed().shared()
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ProvideCredentials for Keys {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async move { self.current().await.map_err(CredentialsError::provider_error) })
    }
}
