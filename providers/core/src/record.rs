//! Records: what we must remember although Kubernetes forgets it. A record is written before the first external effect and
//! deleted after the last, so that a stripped finalizer, a deleted Service or a vanished class still cleans up.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::balancer::Member;
use crate::ids::{ClassName, Instance, LoadBalancerId, ProviderName, ResourceVersion, Uid};
use crate::provider::Known;
use crate::share::Share;
use crate::terms::Terms;

/// The record of one load balancer.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Its name.
    pub id: LoadBalancerId,
    /// The version it was read at; none while it is not stored.
    pub version: Option<ResourceVersion>,
    /// The Portolan it belongs to.
    pub instance: Instance,
    /// The class, as configured when it was written.
    pub class: ClassName,
    /// The class's aliases at that time: they tell a Service of a class that has vanished from one that was handed over.
    pub aliases: Vec<String>,
    /// The share that it serves; none for a Service's own.
    pub share: Option<Share>,
    /// The provider.
    pub provider: ProviderName,
    /// The provider's parameters: with them the load balancer can be removed although its class is no longer configured.
    pub parameters: Value,
    /// The Services it serves, in the order of joining.
    pub members: Vec<Joined>,
    /// What members have asked for that holds for all of them.
    pub terms: Terms,
    /// External identifiers that steps have taught us.
    pub external: BTreeMap<String, String>,
}

/// A Service that has joined a load balancer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    /// The Service.
    pub member: Member,
    /// How it came to the class.
    pub claimed_by: ClaimedBy,
}

/// How a Service came to its class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ClaimedBy {
    /// Its `loadBalancerClass` names the class.
    Class,
    /// It has no class, and the class is the default.
    Default,
    /// It has no class, and its type annotation asks for it.
    TypeAnnotation,
}

impl Record {
    /// The record names this Service.
    pub fn names(&self, uid: &Uid) -> bool {
        self.members.iter().any(|joined| &joined.member.uid == uid)
    }

    /// How this Service came to the class; none if the record does not name it.
    pub fn claimed_by(&self, uid: &Uid) -> Option<ClaimedBy> {
        self.members.iter().find(|joined| &joined.member.uid == uid).map(|joined| joined.claimed_by)
    }

    /// What a provider is told of it.
    pub fn known(&self) -> Known {
        Known { id: self.id.clone(), external: self.external.clone() }
    }

    /// It is this Portolan's.
    pub fn belongs_to(&self, instance: &Instance) -> bool {
        &self.instance == instance
    }

    /// A Service with this `loadBalancerClass` still means the class of this record.
    pub fn answers_to(&self, value: &str) -> bool {
        self.class.as_str() == value || self.aliases.iter().any(|alias| alias == value)
    }

    /// Equal in all that is stored; the version may differ.
    pub fn same_content(&self, other: &Self) -> bool {
        let bare = |record: &Self| Self { version: None, ..record.clone() };
        bare(self) == bare(other)
    }
}

/// Why a record could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum RecordsError {
    /// `create`: a record of that name exists. It is returned by a fresh `get`.
    #[error("record {0} exists already")]
    Exists(LoadBalancerId),
    /// `replace` or `delete`: the record has changed since it was read.
    #[error("record {0} was changed by somebody else")]
    Conflict(LoadBalancerId),
    /// The store did not answer, or not sensibly. Worth another try.
    #[error("{message}")]
    Unavailable {
        /// What was tried, and what went wrong.
        message: String,
        /// The pause that the store asks for (`Retry-After`).
        after: Option<Duration>,
    },
    /// The store refuses, and will go on refusing until somebody acts.
    #[error("{0}")]
    Refused(String),
}

/// The port through which controller and providers keep records. Each call is one request; nothing is cached here.
pub trait Records: Send + Sync {
    /// The record of this name, as stored now.
    fn get(&self, id: &LoadBalancerId) -> impl Future<Output = Result<Option<Record>, RecordsError>> + Send;
    /// Stores a new record. The name is the lock: of two creators one gets `Exists`.
    fn create(&self, record: &Record) -> impl Future<Output = Result<Record, RecordsError>> + Send;
    /// Replaces the record, if it is still at `record.version`.
    fn replace(&self, record: &Record) -> impl Future<Output = Result<Record, RecordsError>> + Send;
    /// Deletes the record, if it is still at `record.version`. A record that is gone is no error.
    fn delete(&self, record: &Record) -> impl Future<Output = Result<(), RecordsError>> + Send;
}
