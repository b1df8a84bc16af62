//! The elector on a cluster.

use std::future;
use std::time::Duration;

use futures::future::BoxFuture;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::PostParams;
use kube::core::ObjectMeta;
use kube::{Api, Client};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{Claim, Elector, Input, Leadership, Output, Seen, Term, Timing};
use crate::cluster::clock::Clock;
use crate::cluster::error::{CallError, Failure};
use crate::cluster::project;

/// Where the lease is.
#[derive(Clone, Debug)]
pub struct Place {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// A client for the lease alone: retries of the client's own would outlast the lease.
pub fn client(mut config: kube::Config) -> Result<Client, kube::Error> {
    config.default_retry = false;
    Client::try_from(config)
}

/// Stands for election, and says in `published` whether and until when we lead. Returns once `resign` is cancelled and the lease is
/// free for the next, so cancel it after the last write.
pub async fn run(
    client: Client,
    place: Place,
    mut elector: Elector,
    clock: Clock,
    published: watch::Sender<Option<Leadership>>,
    resign: CancellationToken,
) {
    let timing = elector.timing.clone();
    let desk = Desk { api: Api::namespaced(client, &place.namespace), name: place.name, clock, timing };
    let mut request: Option<BoxFuture<'static, Answer>> = None;
    let mut stored: Option<Lease> = None;
    let mut logged = None;
    let mut resigned = false;
    let mut outputs = Vec::new();
    loop {
        let deadline = elector.deadline();
        let input = tokio::select! {
            biased;
            () = resign.cancelled(), if !resigned => {
                resigned = true;
                Input::Resigned
            }
            answer = async { match request.as_mut() { Some(request) => request.await, None => future::pending().await } } => {
                request = None;
                answer.into_input(&mut stored, &mut logged)
            }
            () = clock.sleep_until(deadline) => Input::Tick,
        };
        elector.step(clock.now(), input, &mut outputs);
        for output in outputs.drain(..) {
            match output {
                Output::Read => request = Some(Box::pin(desk.clone().read())),
                Output::Write(claim) => request = Some(Box::pin(desk.clone().write(stored.clone(), claim))),
                Output::Lead(leadership) => {
                    let before = published.send_replace(Some(leadership));
                    if before.is_none() {
                        tracing::info!(lease = desk.name, epoch = leadership.epoch, "leading");
                    }
                }
                Output::Follow => {
                    tracing::info!(lease = desk.name, "not leading any more");
                    published.send_replace(None);
                }
                Output::Finished => return,
            }
        }
    }
}

/// How a request ended.
enum Answer {
    Found(Option<Lease>),
    Stored(Lease),
    Failed(CallError),
}

impl Answer {
    fn into_input(self, stored: &mut Option<Lease>, logged: &mut Option<String>) -> Input {
        match self {
            Self::Found(lease) => {
                *logged = None;
                *stored = lease;
                Input::Read(stored.as_ref().map(seen))
            }
            Self::Stored(lease) => {
                *logged = None;
                Input::Written(seen(stored.insert(lease)))
            }
            Self::Failed(error) => match error.failure {
                Failure::Conflict | Failure::Gone => Input::Outrun,
                Failure::UnknownKind | Failure::Invalid | Failure::Forbidden | Failure::Retry { .. } => {
                    let text = error.to_string();
                    if logged.as_ref() != Some(&text) {
                        tracing::warn!(error = text, "leader election goes on trying");
                        *logged = Some(text);
                    }
                    Input::Failed
                }
            },
        }
    }
}

/// Makes the requests.
#[derive(Clone)]
struct Desk {
    api: Api<Lease>,
    name: String,
    clock: Clock,
    timing: Timing,
}

impl Desk {
    async fn read(self) -> Answer {
        match self.in_time("read", self.api.get(&self.name)).await {
            Ok(lease) => Answer::Found(Some(lease)),
            Err(error) if error.failure == Failure::Gone => Answer::Found(None),
            Err(error) => Answer::Failed(error),
        }
    }

    /// Replaces the lease that was read, or creates one. Metadata that others have put there stays.
    async fn write(self, stored: Option<Lease>, claim: Claim) -> Answer {
        let parameters = PostParams::default();
        let lease = self.lease(stored.unwrap_or_default(), &claim);
        let written = match claim.over {
            Some(_) => self.in_time("renew", self.api.replace(&self.name, &parameters, &lease)).await,
            None => self.in_time("create", self.api.create(&parameters, &lease)).await,
        };
        written.map_or_else(Answer::Failed, Answer::Stored)
    }

    fn lease(&self, stored: Lease, claim: &Claim) -> Lease {
        let now = MicroTime(self.clock.wall());
        let before = stored.spec.unwrap_or_default();
        let acquired = before.acquire_time.clone().filter(|_| !claim.takes_over).unwrap_or_else(|| now.clone());
        let duration = if claim.holder.is_empty() { 1 } else { self.timing.lease.as_secs() };
        Lease {
            metadata: ObjectMeta {
                name: Some(self.name.clone()),
                resource_version: claim.over.as_ref().map(ToString::to_string),
                ..stored.metadata
            },
            spec: Some(LeaseSpec {
                holder_identity: Some(claim.holder.clone()),
                lease_duration_seconds: Some(i32::try_from(duration).unwrap_or(i32::MAX)),
                acquire_time: Some(acquired),
                renew_time: Some(now),
                lease_transitions: Some(claim.transitions),
                ..before
            }),
        }
    }

    /// One call, soon enough for another try before the deadline.
    async fn in_time<T>(&self, what: &str, call: impl Future<Output = Result<T, kube::Error>>) -> Result<T, CallError> {
        let action = format!("{what} the Lease {}", self.name);
        let limit = self.timing.renew_deadline / 2;
        match tokio::time::timeout(limit, call).await {
            Ok(answer) => answer.map_err(|error| CallError::new(action, &error)),
            Err(_elapsed) => Err(CallError {
                failure: Failure::Retry { after: None },
                action,
                message: format!("the API server has not answered within {} seconds", limit.as_secs()),
            }),
        }
    }
}

fn seen(lease: &Lease) -> Seen {
    let spec = lease.spec.clone().unwrap_or_default();
    let duration = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
    Seen {
        version: project::version(&lease.metadata),
        term: Term {
            holder: spec.holder_identity.unwrap_or_default(),
            duration: duration.map(Duration::from_secs),
            renewed: spec.renew_time.map(|time| time.0),
            transitions: spec.lease_transitions.unwrap_or(0),
        },
    }
}
