//! The elector on a cluster.

use std::future;
use std::time::Duration;

use futures::FutureExt;
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
use crate::cluster::error::{CallError, Failure, call_within};
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
    let mut desk =
        Desk { api: Api::namespaced(client, &place.namespace), name: place.name, clock, timing, stored: None };
    let mut request: Option<BoxFuture<'static, (bool, Answer)>> = None;
    let mut logged = None;
    let mut outputs = Vec::new();
    loop {
        let deadline = elector.deadline();
        let answered = async { if let Some(request) = &mut request { request.await } else { future::pending().await } };
        let input = tokio::select! {
            biased;
            () = resign.cancelled(), if !elector.resigned => Input::Resigned,
            (wrote, answer) = answered => {
                request = None;
                desk.answered(wrote, answer, &mut logged)
            }
            () = clock.sleep_until(deadline) => Input::Tick,
        };
        elector.step(clock.now(), input, &mut outputs);
        for output in outputs.drain(..) {
            match output {
                Output::Read => request = Some(Box::pin(desk.clone().read().map(|answer| (false, answer)))),
                Output::Write(claim) => {
                    request = Some(Box::pin(desk.clone().write(claim).map(|answer| (true, answer))));
                }
                Output::Lead(leadership) => {
                    if published.send_replace(Some(leadership)).is_none() {
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

/// The lease as it is now; none if there is none.
type Answer = Result<Option<Lease>, CallError>;

/// Makes the requests, each soon enough for another try before the deadline.
#[derive(Clone)]
struct Desk {
    api: Api<Lease>,
    name: String,
    clock: Clock,
    timing: Timing,
    /// The lease as last seen: a write keeps what others have put into its metadata.
    stored: Option<Lease>,
}

impl Desk {
    async fn read(self) -> Answer {
        let action = format!("read the Lease {}", self.name);
        match call_within(self.timing.renew_deadline / 2, action, self.api.get(&self.name)).await {
            Err(error) if error.failure == Failure::Gone => Ok(None),
            answer => answer.map(Some),
        }
    }

    async fn write(self, claim: Claim) -> Answer {
        let (limit, action) = (self.timing.renew_deadline / 2, format!("write the Lease {}", self.name));
        let (parameters, lease) = (PostParams::default(), self.lease(&claim));
        let answer = match claim.over {
            Some(_) => call_within(limit, action, self.api.replace(&self.name, &parameters, &lease)).await,
            None => call_within(limit, action, self.api.create(&parameters, &lease)).await,
        };
        answer.map(Some)
    }

    fn lease(&self, claim: &Claim) -> Lease {
        let Lease { metadata, spec } = self.stored.clone().unwrap_or_default();
        let (now, before) = (MicroTime(self.clock.wall()), spec.unwrap_or_default());
        let acquired = before.acquire_time.clone().filter(|_| !claim.takes_over).unwrap_or_else(|| now.clone());
        let duration = if claim.holder.is_empty() { 1 } else { self.timing.lease.as_secs() };
        let version = claim.over.as_ref().map(ToString::to_string);
        Lease {
            metadata: ObjectMeta { name: Some(self.name.clone()), resource_version: version, ..metadata },
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

    fn answered(&mut self, wrote: bool, answer: Answer, logged: &mut Option<String>) -> Input {
        match answer {
            Ok(lease) => {
                *logged = None;
                let seen = lease.as_ref().map(seen);
                self.stored = lease;
                match seen {
                    Some(seen) if wrote => Input::Written(seen),
                    seen => Input::Read(seen),
                }
            }
            Err(error) if matches!(error.failure, Failure::Conflict | Failure::Gone) => Input::Outrun,
            Err(error) => {
                let text = error.to_string();
                if logged.as_ref() != Some(&text) {
                    tracing::warn!(error = text, "leader election goes on trying");
                    *logged = Some(text);
                }
                Input::Failed
            }
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
