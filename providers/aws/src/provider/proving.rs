//! What has to be certain before a step: what a record remembers is as it was, what was made is ours, and a name is free.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use portolan_core::provider::{Call, Error, ErrorKind};
use portolan_core::reason::Reason;

use super::{Nlb, not_connected, not_read, overtaken};
use crate::client::{Aws, Lane};
use crate::provider::mirror::{Entry, Proof};
use crate::provider::reading::Depth;
use crate::provider::remembered::{self, only_acknowledged, same};
use crate::state::{Arn, State};
use crate::step::Step;

/// How soon AWS is asked again for what it has made and does not show.
const NOT_SHOWN: Duration = Duration::from_secs(2);

/// ARNs in one question for tags (<https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DescribeTags.html>).
const TAGGED: usize = 20;

/// Whose something is, by its tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tagged {
    /// Ours.
    Ours,
    /// AWS does not show all of it.
    NotShown,
    /// Somebody else's.
    Others,
}

impl Nlb {
    /// Reads what only the record remembers, before the first write. Refused if it is not as it was remembered: the step was made for that.
    async fn prove(&self, call: &Call, lane: Lane) -> Result<State, Error> {
        let account = &self.inner.account;
        let now = account.clock().now();
        let believed = account.mirror().entry(&call.id).map(|entry| (entry.proof, entry.current(now)));
        match believed {
            Some((Proof::Read, state)) => Ok(state),
            Some((Proof::Remembered | Proof::Seen, believed)) => {
                let names = self.names(&call.id);
                // What the plan intends is not there yet, and would look like a change.
                let external = only_acknowledged(&call.external);
                let read = account.read(&call.id, &names, &external, lane, Depth::Plan).await;
                let state = read.map_err(not_read)?;
                if same(&believed, &state) { Ok(state) } else { Err(overtaken("it has changed at AWS")) }
            }
            None => Err(overtaken("what exists has to be looked at first")),
        }
    }

    /// What has to be certain before this step: that the group is ours into which targets go or out of which they come, by its tags; of
    /// everything else all. So an endpoint does not wait after a restart until the whole load balancer has been read.
    pub(super) async fn proven(&self, step: &Step, call: &Call) -> Result<State, Error> {
        let (Step::Register { group, .. } | Step::Deregister { group, .. }) = step else {
            return self.prove(call, Lane::Service).await;
        };
        let account = &self.inner.account;
        let now = account.clock().now();
        let believed = account.mirror().entry(&call.id).map(|entry| (entry.is_certain(group), entry.current(now)));
        match (believed, &group.arn) {
            (Some((true, state)), _) => Ok(state),
            (Some((false, state)), Some(arn)) if state.groups.iter().any(|own| own.arn == *arn) => {
                let aws = account.aws().await.map_err(|error| not_connected(&error))?.lane(Lane::Endpoints);
                // Where they are not, all is read, to know what to do about it.
                if self.whose_tags(&aws, call, [arn.clone()].into()).await? == Tagged::Ours {
                    return Ok(state);
                }
                self.prove(call, Lane::Endpoints).await
            }
            (Some(_) | None, _) => self.prove(call, Lane::Endpoints).await,
        }
    }

    /// Nothing has the name of the balancer that is about to be made: AWS would answer its creation with somebody else's. Asked once, before
    /// anything is made for it.
    pub(super) async fn is_free(&self, step: &Step, call: &Call, state: &State) -> Result<(), Error> {
        let account = &self.inner.account;
        let found_free = account.mirror().entry(&call.id).map(|entry| entry.free().clone()).unwrap_or_default();
        let name = if let Step::CreateBalancer { name, .. } = step {
            Some(name.clone())
        } else {
            step.creates().and_then(|_| remembered::to_be_made(&call.external, state))
        };
        let Some(name) = name.filter(|name| !found_free.contains(name)) else { return Ok(()) };
        let aws = account.aws().await.map_err(|error| not_connected(&error))?;
        if aws.load_balancers_named(std::slice::from_ref(&name)).await?.is_empty() {
            if let Some(entry) = account.mirror().entry(&call.id) {
                entry.is_free(name);
            }
            return Ok(());
        }
        // Ours, if it was made before a crash. To read it tells.
        let names = self.names(&call.id);
        account.read(&call.id, &names, &call.external, Lane::Service, Depth::Plan).await.map_err(not_read)?;
        Err(overtaken("a load balancer of its name exists already"))
    }

    /// What was made carries our tags: AWS answers a creation with what exists, if that has the same name and settings. Asked once for all that
    /// was made, before anything is done to it.
    pub(super) async fn is_ours(&self, call: &Call) -> Result<(), Error> {
        let account = &self.inner.account;
        let made = account.mirror().entry(&call.id).map(|entry| entry.unproven().clone()).unwrap_or_default();
        if made.is_empty() {
            return Ok(());
        }
        let aws = account.aws().await.map_err(|error| not_connected(&error))?;
        match self.whose_tags(aws, call, made).await? {
            Tagged::Ours => Ok(()),
            // Not somebody else's: made, and described some seconds later
            // (<https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html>).
            Tagged::NotShown if account.mirror().entry(&call.id).is_some_and(Entry::not_shown) => Err(Error {
                kind: ErrorKind::Wait(NOT_SHOWN),
                reason: Reason::Provisioning,
                message: "AWS has made it, and does not show it yet".to_owned(),
            }),
            Tagged::NotShown => {
                account.mirror().doubt(&call.id);
                Err(overtaken("what was made is not there any more"))
            }
            Tagged::Others => {
                account.mirror().doubt(&call.id);
                Err(overtaken("something of its name exists that is not ours"))
            }
        }
    }

    /// Whose these are, by their tags.
    async fn whose_tags(&self, aws: &Aws, call: &Call, arns: BTreeSet<Arn>) -> Result<Tagged, Error> {
        let texts: Vec<String> = arns.iter().map(ToString::to_string).collect();
        let names = self.names(&call.id);
        let (mut are_shown, mut are_ours) = (true, true);
        for texts in texts.chunks(TAGGED) {
            let tags = aws.tags_of_all(texts).await?;
            are_shown &= tags.is_some();
            are_ours &= tags.iter().flat_map(BTreeMap::values).all(|tags| names.owns(tags));
        }
        Ok(match (are_ours, are_shown) {
            (true, true) => {
                if let Some(entry) = self.inner.account.mirror().entry(&call.id) {
                    entry.are_ours(arns);
                }
                Tagged::Ours
            }
            (true, false) => Tagged::NotShown,
            (false, _) => Tagged::Others,
        })
    }
}
