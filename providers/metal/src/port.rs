//! The port through which addresses are recorded. Each call is one request; nothing is cached here.

use std::fmt::Debug;
use std::net::IpAddr;
use std::time::Duration;

use futures::future::BoxFuture;

use crate::vip::Vip;

/// `VirtualIP` objects.
pub trait VirtualIps: Debug + Send + Sync {
    /// The object of this name, as stored now.
    fn get(&self, address: IpAddr) -> BoxFuture<'_, Result<Option<Vip>, StoreError>>;
    /// Stores a new one. The name is the lock: of two creators one gets [`StoreError::Exists`].
    fn create(&self, vip: &Vip) -> BoxFuture<'_, Result<Vip, StoreError>>;
    /// Replaces it, if it is still at `vip.version`.
    fn replace(&self, vip: &Vip) -> BoxFuture<'_, Result<Vip, StoreError>>;
    /// Deletes it, if it is still at `vip.version`. One that is gone is no error.
    fn delete(&self, vip: &Vip) -> BoxFuture<'_, Result<(), StoreError>>;
}

/// Why one could not be read or written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// `create`: somebody has the address already.
    #[error("somebody else has recorded the address")]
    Exists,
    /// `replace` or `delete`: it has changed since it was read.
    #[error("the record of the address was changed by somebody else")]
    Conflict,
    /// No answer, or no sensible one. Worth another try.
    #[error("{message}")]
    Unavailable {
        /// What was tried, and what went wrong.
        message: String,
        /// The pause that the server asks for (`Retry-After`).
        after: Option<Duration>,
    },
    /// Refused until somebody acts.
    #[error("{0}")]
    Refused(String),
}
