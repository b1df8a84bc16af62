//! An account in a region: the connection, what is known of every load balancer there, and the polls. All classes of a process share it, because
//! AWS counts their calls together.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures::stream::{self, Stream};
use portolan_core::facts::{Facts, Nothing};
use portolan_core::ids::{Instance, LoadBalancerId};
use portolan_core::time::Time;
use tokio::sync::OnceCell;

use crate::client::ec2::filter::Filters;
use crate::client::names::{LoadBalancerArn, TargetGroupArn};
use crate::client::{Aws, ConnectError, Error, Lane, Options};
use crate::clock::Clock;
use crate::names::{LOAD_BALANCER, Names};
use crate::parameters::Parameters;
use crate::provider::mirror::{Entry, Mirror, Proof};
use crate::provider::reading::{self, Depth, ReadingError, read, search, status};
use crate::provider::remembered::{Remembered, same};
use crate::provider::site::{self, Site};
use crate::state::{Arn, Health, SecurityGroup, State};
use crate::survey;

/// How often AWS is asked for what is in motion.
pub(super) const TICK: Duration = Duration::from_secs(5);

/// Balancers in one question (`client::elb::BATCH`).
const BALANCERS: usize = 20;

/// Groups of which nobody knows how their targets are, in one tick: after a restart all of them. Among them those of which a pod may be waiting
/// to hear.
const UNKNOWN_GROUPS: usize = 5;

/// Groups in motion that are looked at in one tick, so that a tick has calls left for others (AWS gives back 10 a second) and the next tick comes
/// in time: a node that joins puts all groups of the cluster in motion.
const MOVING_GROUPS: usize = 40;

/// How often one load balancer is read whole, with its attributes: each once in a quarter of an hour, but one a minute at least, and no more
/// than AWS's budget bears beside everything else (it gives back 10 calls a second, and one audit makes about ten).
const AUDIT_ROUND: Duration = Duration::from_secs(900);
const AUDIT_SLOWEST: Duration = Duration::from_secs(60);
const AUDIT_FASTEST: Duration = Duration::from_secs(6);

/// The pause between two audits in an estate of so many.
fn between_audits(estate: usize) -> Duration {
    let count = u32::try_from(estate).unwrap_or(u32::MAX).max(1);
    (AUDIT_ROUND / count).clamp(AUDIT_FASTEST, AUDIT_SLOWEST)
}

/// An account in a region. Cheap to clone; it connects when it is first needed.
#[derive(Clone, Debug)]
pub struct Account {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    options: Options,
    clock: Arc<dyn Clock>,
    aws: OnceCell<Aws>,
    mirror: Mutex<Mirror>,
    facts: Arc<dyn Facts>,
    sites: Mutex<BTreeMap<String, Site>>,
    /// Only one poll at a time.
    polling: tokio::sync::Mutex<Rotation>,
    /// Only one audit at a time.
    auditing: tokio::sync::Mutex<Audits>,
    /// The load balancers of which there is news that nobody has been told yet, whoever's poll has found it.
    news: Mutex<BTreeSet<LoadBalancerId>>,
    /// Each stream of changes has a clone, and polls.
    streams: Arc<()>,
}

/// Where the rotations of balancers and groups are.
#[derive(Debug, Default)]
struct Rotation {
    last: Option<Time>,
    balancer: Option<Arn>,
    settled: Option<Arn>,
    group: Option<Arn>,
}

/// Where the rotation of audits is.
#[derive(Debug)]
struct Audits {
    last: Time,
    audited: Option<LoadBalancerId>,
}

impl Account {
    /// Nothing is called before it is needed.
    pub fn new(options: Options, clock: Arc<dyn Clock>) -> Self {
        Self::with_facts(options, clock, Arc::new(Nothing))
    }

    /// The same, where something is known of the cluster.
    pub fn with_facts(options: Options, clock: Arc<dyn Clock>, facts: Arc<dyn Facts>) -> Self {
        let audits = Audits { last: clock.now(), audited: None };
        let inner = Inner {
            options,
            clock,
            aws: OnceCell::new(),
            facts,
            sites: Mutex::default(),
            mirror: Mutex::default(),
            polling: tokio::sync::Mutex::default(),
            auditing: tokio::sync::Mutex::new(audits),
            news: Mutex::default(),
            streams: Arc::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// The connection.
    pub(super) async fn aws(&self) -> Result<&Aws, ConnectError> {
        let connect = || Aws::connect(&self.inner.options, Arc::clone(&self.inner.clock));
        self.inner.aws.get_or_try_init(connect).await
    }

    /// The cluster of a class.
    pub(super) fn site(&self, parameters: &Parameters, instance: &Instance) -> Site {
        let Inner { facts, clock, sites, .. } = &*self.inner;
        let make = || Site::new(parameters, instance, Arc::clone(facts), Arc::clone(clock));
        let mut sites = sites.lock().unwrap_or_else(PoisonError::into_inner);
        sites.entry(site::key(parameters, instance)).or_insert_with(make).clone()
    }

    pub(super) fn clock(&self) -> &Arc<dyn Clock> {
        &self.inner.clock
    }

    pub(super) fn mirror(&self) -> MutexGuard<'_, Mirror> {
        self.inner.mirror.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads one whole, and believes it from then on.
    pub(super) async fn read(
        &self,
        id: &LoadBalancerId,
        names: &Names,
        external: &BTreeMap<String, String>,
        lane: Lane,
        depth: Depth,
    ) -> Result<State, ReadError> {
        let aws = self.aws().await?.lane(lane);
        let mut remembered = Remembered::read(external);
        is_here(&remembered, &aws)?;
        // What this process has followed is newer than what the record says.
        let followed = self.mirror().entry(id).map(|entry| entry.state.clone());
        remembered.extend(followed.as_ref().map(Remembered::of_state).unwrap_or_default());
        let security_groups = security_groups(&aws, names, id).await?;
        let is_lost = external.is_empty() && followed.is_none() && !security_groups.is_empty();
        if is_lost {
            remembered.extend(search(&aws, names).await?);
        }
        let mut state = read(&aws, names, &remembered, security_groups, depth).await?;
        state.remember_pods(&followed.or(remembered.acknowledged).unwrap_or_default());
        let agreed = crate::provider::remembered::acknowledged(external);
        let mut mirror = self.mirror();
        mirror.put(id, names.clone(), state.clone(), Proof::Read, agreed);
        if let Some(entry) = mirror.entry(id) {
            entry.accounts_for(external);
        }
        drop(mirror);
        Ok(state)
    }

    /// Load balancers of which something has changed outside.
    pub(super) fn changes(&self) -> impl Stream<Item = LoadBalancerId> + Send + 'static {
        stream::unfold((self.clone(), Arc::clone(&self.inner.streams)), |(account, stream)| async move {
            loop {
                let next = account.news().pop_first();
                if let Some(id) = next {
                    return Some((id, (account, stream)));
                }
                account.inner.clock.sleep(TICK).await;
                account.poll().boxed().await;
                account.audit_in_turn().boxed().await;
            }
        })
    }

    /// The same as [`Account::poll`], if nobody does it all the time: a pass is not kept waiting for what is asked about others.
    pub(super) async fn poll_alone(&self) {
        if Arc::strong_count(&self.inner.streams) == 1 {
            self.poll().await;
        }
    }

    fn news(&self) -> MutexGuard<'_, BTreeSet<LoadBalancerId>> {
        self.inner.news.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks AWS for what is in motion, if it is time to; and for a little of what is not. What is news, [`Account::changes`] tells: whoever polls
    /// asks for one load balancer, and the news may be of another. Nobody waits for a poll that is under way: it may have to wait for its calls.
    pub(super) async fn poll(&self) {
        let Ok(mut rotation) = self.inner.polling.try_lock() else { return };
        let now = self.inner.clock.now();
        if rotation.last.is_some_and(|last| now.since(last) < TICK) {
            return;
        }
        rotation.last = Some(now);
        self.mirror().prune();
        if self.mirror().all().next().is_none() {
            return;
        }
        let aws = match self.aws().await {
            Ok(aws) => aws.clone(),
            Err(error) => {
                tracing::warn!(provider = "aws", %error, "cannot poll");
                return;
            }
        };
        let mut news = BTreeSet::new();
        if let Err(error) = self.poll_balancers(&aws, &mut rotation, &mut news).await {
            tracing::warn!(provider = "aws", %error, "load balancers were not polled");
        }
        if let Err(error) = self.poll_targets(&aws, &mut rotation, &mut news).await {
            tracing::warn!(provider = "aws", %error, "targets were not polled");
        }
        self.news().append(&mut news);
    }

    /// Audits one load balancer, if it is time to. Whoever asks for one never waits for this: it goes in the slowest lane.
    async fn audit_in_turn(&self) {
        let Ok(mut audits) = self.inner.auditing.try_lock() else { return };
        let now = self.inner.clock.now();
        if now.since(audits.last) < between_audits(self.mirror().all().count()) {
            return;
        }
        audits.last = now;
        let mut news = BTreeSet::new();
        if let Err(error) = self.audit(&mut audits, &mut news).await {
            tracing::warn!(provider = "aws", %error, "a load balancer was not audited");
        }
        self.news().append(&mut news);
    }

    /// One question for twenty: those that are on their way, in turn; then those that nobody has seen since the process began; and where there is
    /// room for more, the others in turn, of which one may have been deleted by somebody.
    async fn poll_balancers(
        &self,
        aws: &Aws,
        rotation: &mut Rotation,
        news: &mut BTreeSet<LoadBalancerId>,
    ) -> Result<(), Error> {
        type Arns = BTreeMap<Arn, LoadBalancerId>;
        let (mut moving, mut unseen, mut settled): (Arns, Arns, Arns) = Default::default();
        for (id, entry) in self.mirror().all() {
            let motion: BTreeSet<&Arn> = entry.in_motion().collect();
            let of = if entry.proof == Proof::Remembered { &mut unseen } else { &mut moving };
            of.extend(motion.iter().map(|arn| ((*arn).clone(), id.clone())));
            let arns = entry.state.balancers.iter().map(|balancer| &balancer.arn);
            settled.extend(arns.filter(|arn| !motion.contains(arn)).map(|arn| (arn.clone(), id.clone())));
        }
        let mut asked = in_turn(moving, &mut rotation.balancer, BALANCERS);
        let room = BALANCERS - asked.len();
        asked.extend(unseen.into_iter().take(room));
        let room = BALANCERS - asked.len();
        asked.extend(in_turn(settled, &mut rotation.settled, room));
        if asked.is_empty() {
            return Ok(());
        }
        let arns: Vec<LoadBalancerArn> = asked.keys().map(|arn| LoadBalancerArn::new(arn.as_str())).collect();
        let seen = aws.lane(Lane::Service).load_balancers(&arns).await?;
        let seen: BTreeMap<Arn, _> =
            seen.into_iter().map(|balancer| (Arn::new(balancer.arn.as_str()), status(&balancer.state))).collect();
        let arns: BTreeSet<Arn> = asked.keys().cloned().collect();
        let mut mirror = self.mirror();
        for id in asked.into_values().collect::<BTreeSet<_>>() {
            match mirror.entry(&id).map(|entry| entry.statuses(&seen, &arns)) {
                Some(Some(true)) => drop(news.insert(id)),
                Some(None) => {
                    mirror.doubt(&id);
                    news.insert(id);
                }
                Some(Some(false)) | None => {}
            }
        }
        Ok(())
    }

    /// Groups in motion each; of the others those that nobody has looked at or that a pod may be waiting for, those first that were looked at
    /// longest ago; and then one after the other.
    async fn poll_targets(
        &self,
        aws: &Aws,
        rotation: &mut Rotation,
        news: &mut BTreeSet<LoadBalancerId>,
    ) -> Result<(), Error> {
        let now = self.inner.clock.now();
        let due = |entry: &Entry, arn: &Arn| entry.looked(arn).is_none_or(|looked| now.since(looked) >= TICK);
        let (mut moving, mut settled) = (Vec::new(), BTreeMap::new());
        let mut unknown = Vec::new();
        for (id, entry) in self.mirror().all() {
            let motion: BTreeSet<&Arn> = entry.moving_groups().collect();
            for group in &entry.state.groups {
                let asked = (group.arn.clone(), (id.clone(), entry.version()));
                if motion.contains(&group.arn) {
                    moving.extend(Some((entry.looked(&group.arn), asked)).filter(|_| due(entry, &group.arn)));
                } else if group.targets.iter().any(|target| target.health == Health::Unknown)
                    || entry.is_awaited(group, now)
                {
                    unknown.push((entry.looked(&group.arn), asked));
                } else {
                    settled.insert(asked.0, asked.1);
                }
            }
        }
        unknown.sort_by_key(|(looked, _)| *looked);
        unknown.truncate(UNKNOWN_GROUPS);
        moving.sort_by_key(|(looked, _)| *looked);
        moving.truncate(MOVING_GROUPS);
        let next = match &rotation.group {
            Some(last) => settled.range::<Arn, _>((std::ops::Bound::Excluded(last), std::ops::Bound::Unbounded)).next(),
            None => None,
        };
        let next = next.or_else(|| settled.iter().next()).map(|(arn, asked)| (arn.clone(), asked.clone()));
        rotation.group = next.as_ref().map(|(arn, _)| arn.clone());
        let slow = unknown.into_iter().map(|(_, asked)| asked).chain(next).map(|asked| (asked, Lane::Audit));
        for ((arn, (id, version)), lane) in moving.into_iter().map(|(_, asked)| (asked, Lane::Service)).chain(slow) {
            let asked = reading::targets(&aws.lane(lane), &TargetGroupArn::new(arn.as_str())).await;
            let mut mirror = self.mirror();
            match asked {
                Ok(targets) => {
                    let now = self.inner.clock.now();
                    if mirror.entry(&id).is_some_and(|entry| entry.targets(&arn, targets, version, now)) {
                        news.insert(id);
                    }
                }
                Err(error) if error.is_gone() => {
                    mirror.doubt(&id);
                    news.insert(id);
                }
                Err(error) => {
                    // It is the others' turn before it is asked again.
                    let now = self.inner.clock.now();
                    if let Some(entry) = mirror.entry(&id) {
                        entry.asked(&arn, now);
                    }
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Reads one whole, the next in turn, to find what somebody else has changed. What is in motion is looked at as it is.
    async fn audit(&self, audits: &mut Audits, news: &mut BTreeSet<LoadBalancerId>) -> Result<(), ReadError> {
        let next = {
            let mirror = self.mirror();
            let after = |id: &LoadBalancerId| audits.audited.as_ref().is_none_or(|last| id > last);
            let at_rest = || mirror.all().filter(|(_, entry)| entry.is_at_rest());
            let next = at_rest().find(|(id, _)| after(id)).or_else(|| at_rest().next());
            next.map(|(id, entry)| (id.clone(), entry.clone()))
        };
        let Some((id, entry)) = next else { return Ok(()) };
        audits.audited = Some(id.clone());
        let aws = self.aws().await?.lane(Lane::Audit);
        let security_groups = security_groups(&aws, &entry.names, &id).await?;
        let remembered = Remembered::of_state(&entry.state);
        let mut state = read(&aws, &entry.names, &remembered, security_groups, Depth::Audit).await?;
        state.remember_pods(&entry.state);
        let mut mirror = self.mirror();
        let Some(own) = mirror.entry(&id).filter(|own| own.version() == entry.version()) else { return Ok(()) };
        if !same(&own.state, &state) {
            tracing::info!(provider = "aws", balancer = %id, "somebody has changed what is at AWS");
            news.insert(id.clone());
        }
        own.proven(state);
        Ok(())
    }
}

/// So many of these, from the one on that comes after the last one.
fn in_turn(
    mut all: BTreeMap<Arn, LoadBalancerId>,
    last: &mut Option<Arn>,
    most: usize,
) -> BTreeMap<Arn, LoadBalancerId> {
    let mut later = last.as_ref().map(|last| all.split_off(last)).unwrap_or_default();
    let itself = last.as_ref().and_then(|last| later.remove_entry(last));
    let turn: Vec<_> = later.into_iter().chain(all).chain(itself).take(most).collect();
    if let Some((arn, _)) = turn.last() {
        *last = Some(arn.clone());
    }
    turn.into_iter().collect()
}

/// Why something was not read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ReadError {
    /// There can be no connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// AWS, or what it shows.
    #[error(transparent)]
    Reading(#[from] ReadingError),
    /// What the record remembers is in another region: here it would look as if it were gone.
    #[error(
        "it is in the region {made}, and this class is served in {here}; set region: {made} in the class's parameters, or in a class of its \
         own, until it is deleted"
    )]
    Elsewhere {
        /// Where it is.
        made: String,
        /// Where we look.
        here: String,
    },
}

impl From<Error> for ReadError {
    fn from(error: Error) -> Self {
        Self::Reading(error.into())
    }
}

/// What was acknowledged is in the region that this client calls.
pub(super) fn is_here(remembered: &Remembered, aws: &Aws) -> Result<(), ReadError> {
    match remembered.region().filter(|made| *made != aws.region()) {
        None => Ok(()),
        Some(made) => Err(ReadError::Elsewhere { made: made.to_owned(), here: aws.region().to_owned() }),
    }
}

/// The security groups that we keep for a load balancer, by their tags.
async fn security_groups(aws: &Aws, names: &Names, id: &LoadBalancerId) -> Result<Vec<SecurityGroup>, Error> {
    let found = aws.security_groups_where(&Filters::new().tag(LOAD_BALANCER, id.as_str())).await?;
    Ok(found.iter().filter_map(|group| survey::own(names, group)).collect())
}
