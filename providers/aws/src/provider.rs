//! The provider: reads what exists, carries steps out, and knows when to ask again. What is to be done the pure half decides.
//!
//! ```text
//! record -> remembered --+
//!      AWS -> reading ---+-> mirror -> plan -> intents -> acting -> mirror -> remembered -> record
//!      AWS -> polls, audit --^
//! ```
//!
//! What this process has read it believes, and follows through what AWS acknowledges. What only a record remembers is believed too, so that a
//! restart reads nothing of what nobody has changed; but before the first write it is read, with its tags, and before targets come and go in a
//! group the tags of that group are. After an answer that may or may not
//! have had its effect, everything is read anew.

mod account;
mod acting;
mod dry;
mod mirror;
mod proving;
mod reading;
pub(crate) mod remembered;
mod site;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::{FutureExt, Stream};
use portolan_core::balancer::{Family, LoadBalancer, Protocol};
use portolan_core::capabilities::Capabilities;
use portolan_core::dialect::Dialect;
use portolan_core::ids::{Instance, LoadBalancerId, Uid};
use portolan_core::provider::{
    Applied, Call, Error, ErrorKind, Foreseen, Known, Outcome, Owned, Plan, Provider, Verdict,
};
use portolan_core::reason::Reason;
use portolan_core::refusal::{Refusal, Refused};
use serde::Serialize;

pub use account::Account;

use crate::client::ec2::groups::SecurityGroup;
use crate::client::{ConnectError, Lane, Problem};
use crate::estate::Estate;
use crate::model::{self, Model};
use crate::names::{CLUSTER, INSTANCE, LOAD_BALANCER, Names};
use crate::outcome::again;
use crate::parameters::Parameters;
use crate::provider::account::{ReadError, is_here};
use crate::provider::acting::{Means, Undone, carry_out};
use crate::provider::mirror::Proof;
use crate::provider::reading::{Depth, ReadingError, leaving};
use crate::provider::remembered::{Remembered, acknowledged};
use crate::provider::site::Site;
use crate::settings::Settings;
use crate::state::State;
use crate::step::Step;
use crate::{backend, outcome, plan};

/// Calls are given up by themselves ([`Patience`](crate::client::Patience)), so that a step ends without this. What it is made of besides is
/// waiting for turns, which is no failure: at a sixteenth of the rate, where AWS has throttled us, a hundred who wait for one change each take
/// nine minutes.
const DEADLINE: Duration = Duration::from_secs(15 * 60);

/// What exists of one load balancer, and of the network around it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Seen {
    /// What exists.
    #[serde(flatten)]
    pub state: State,
    /// What is known of the network: context, no part of the load balancer.
    #[serde(skip)]
    pub estate: Arc<Estate>,
    /// In a dry run: whose it is, if AWS has told what there is.
    #[serde(skip)]
    looked: Option<LoadBalancerId>,
    /// In a dry run: it does not exist yet.
    #[serde(skip)]
    foreseen: bool,
}

impl PartialEq for Seen {
    fn eq(&self, other: &Self) -> bool {
        self.state == other.state
    }
}

/// Network Load Balancers, for one class. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Nlb {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    parameters: Parameters,
    instance: Instance,
    capabilities: Capabilities,
    account: Account,
    site: Site,
    /// What exists is only looked at: where AWS cannot be reached, what the record remembers is enough.
    dry: bool,
}

impl Nlb {
    /// For a class with these parameters.
    pub fn new(parameters: Parameters, instance: Instance, account: Account) -> Self {
        Self::make(parameters, instance, account, false)
    }

    /// The same, for a dry run.
    pub fn dry(parameters: Parameters, instance: Instance, account: Account) -> Self {
        Self::make(parameters, instance, account, true)
    }

    fn make(parameters: Parameters, instance: Instance, account: Account, dry: bool) -> Self {
        let site = account.site(&parameters, &instance);
        Self { inner: Arc::new(Inner { parameters, instance, capabilities: capabilities(), account, site, dry }) }
    }

    fn names(&self, id: &LoadBalancerId) -> Names {
        Names::new(&self.inner.parameters.cluster_name, &self.inner.instance, id)
    }

    async fn observe(&self, known: &Known) -> Result<Seen, Error> {
        match self.look(known).await {
            Ok(seen) => Ok(seen),
            // A plan says what it does not know.
            Err(_) if self.inner.dry => {
                let state = Remembered::read(&known.external).acknowledged.unwrap_or_default();
                Ok(Seen { state, estate: self.inner.site.survey.known(), ..Seen::default() })
            }
            Err(error) => Err(error),
        }
    }

    async fn look(&self, known: &Known) -> Result<Seen, Error> {
        let account = &self.inner.account;
        let aws = account.aws().await.map_err(|error| not_connected(&error))?;
        let mut estate = self.inner.site.look(aws).await.map_err(Error::from)?;
        let state = self.state(known).await.map_err(not_read)?;
        let mut state = self.now(state);
        state.admitted = self.inner.site.admitted(&known.id);
        state.named_at_targets = self.inner.site.survey.names(&state.security_groups);
        state.awaited = self.inner.site.awaits(&known.id);
        state.taken.extend(self.taken_group(&state, &self.names(&known.id)));
        let looked = if self.inner.dry {
            self.inner.site.look_at_targets(aws).await.map_err(Error::from)?;
            self.inner.site.look_at_prefix_lists(aws).await;
            estate = self.inner.site.survey.known();
            Some(known.id.clone())
        } else {
            None
        };
        Ok(Seen { state, estate, looked, foreseen: false })
    }

    /// The name of the security group that the next generation would have, if somebody else has it.
    fn taken_group(&self, state: &State, names: &Names) -> Option<String> {
        let next = state.balancers.last().map_or(1, |last| last.generation.saturating_add(1));
        let name = names.security_group(next);
        let of_others = |group: &SecurityGroup| group.name == name && !names.owns(&group.tags);
        self.inner.site.survey.has_security_group(of_others).then_some(name)
    }

    /// What is known, or else what the record remembers, or else what AWS says.
    async fn state(&self, known: &Known) -> Result<State, ReadError> {
        let account = &self.inner.account;
        account.poll_alone().await;
        let now = account.clock().now();
        if let Some(entry) = account.mirror().get(&known.id, &known.external) {
            return Ok(entry.current(now));
        }
        let names = self.names(&known.id);
        let security_groups = || self.inner.site.survey.own_security_groups(&names).unwrap_or_default();
        let followed = account.mirror().entry(&known.id).is_some();
        if known.external.is_empty() && (followed || !security_groups().is_empty()) {
            // There was a record, and somebody has deleted it.
            return account.read(&known.id, &names, &known.external, Lane::Service, Depth::Plan).await;
        }
        if known.external.is_empty() {
            // Before anything is made the record says so.
            let state = State::default();
            account.mirror().put(&known.id, names, state.clone(), Proof::Read, None);
            return Ok(state);
        }
        let remembered = Remembered::read(&known.external);
        is_here(&remembered, account.aws().await?)?;
        let is_doubted = account.mirror().is_doubted(&known.id);
        match remembered.acknowledged.filter(|_| remembered.is_last && !is_doubted) {
            Some(mut state) => {
                state.security_groups = security_groups();
                let agreed = acknowledged(&known.external);
                account.mirror().put(&known.id, names, state.clone(), Proof::Remembered, agreed);
                Ok(state)
            }
            None => account.read(&known.id, &names, &known.external, Lane::Service, Depth::Plan).await,
        }
    }

    /// How long clients may still come to what is retired goes on by itself.
    fn now(&self, mut state: State) -> State {
        let wall = self.inner.account.clock().wall();
        for balancer in &mut state.balancers {
            balancer.leaving = leaving(&balancer.tags, wall);
        }
        state
    }

    fn model(&self, desired: &LoadBalancer, seen: &Seen) -> Result<Model, Refusal> {
        model::of(&model::Input {
            desired,
            settings: &settings(desired)?,
            parameters: &self.inner.parameters,
            instance: &self.inner.instance,
            estate: &seen.estate,
            observed: &seen.state,
        })
    }

    /// The state, and which of the pods that are to leave have left their address to others.
    fn whose<'a>(&self, model: &Model, observed: &'a Seen) -> Cow<'a, State> {
        let doubtful = plan::doubtful(model, &observed.state);
        if doubtful.is_empty() {
            return Cow::Borrowed(&observed.state);
        }
        Cow::Owned(plan::marked(model, &observed.state, &self.inner.site.claims(&doubtful)))
    }

    /// What concerns the security groups of the targets or what is known of the network, and with them other load balancers; none if the step
    /// does not.
    async fn at_site(&self, step: &Step, call: &Call) -> Result<Option<Applied>, Error> {
        let site = &self.inner.site;
        let aws = || async { self.inner.account.aws().await.map_err(|error| not_connected(&error)) };
        if let Step::Admit { need } = step {
            site.admit(aws().await?, &call.id, need).await?;
        } else if matches!(step, Step::Withdraw) {
            site.withdraw(aws().await?, &call.id).await?;
        } else if let Step::Weigh { lists } = step {
            site.survey.weigh(aws().await?, lists).await?;
        } else {
            return Ok(None);
        }
        Ok(Some(Applied::done()))
    }

    /// Whoever has taken a name may let go of it, of which nothing would tell us.
    fn is_looked_at_anew(&self, desired: Option<&LoadBalancer>, refusal: &Refusal) {
        if refusal.reasons.iter().any(|refused| refused.reason == Reason::NameTaken)
            && let Some(desired) = desired
        {
            self.inner.account.mirror().doubt(&desired.id);
            self.inner.site.refused();
        }
    }
}

impl Provider for Nlb {
    type State = Seen;
    type Step = Step;

    fn capabilities(&self) -> &Capabilities {
        &self.inner.capabilities
    }

    fn dialect(&self) -> &dyn Dialect {
        &self.inner.parameters
    }

    async fn observe_many(&self, known: &[Known]) -> Vec<Result<Seen, Error>> {
        let mut seen = Vec::with_capacity(known.len());
        for one in known {
            seen.push(self.observe(one).boxed().await);
        }
        seen
    }

    fn plan(&self, desired: Option<&LoadBalancer>, observed: &Seen) -> Result<Plan<Step>, Refusal> {
        let model = desired.map(|desired| self.model(desired, observed)).transpose();
        let model = model.inspect_err(|_| self.inner.site.refused())?;
        let known = model.as_ref().map_or_else(|| Cow::Borrowed(&observed.state), |model| self.whose(model, observed));
        let published = published(desired);
        if let (Some(desired), Some(model)) = (desired, &model) {
            let withheld = |balancer| outcome::is_withheld(model, &known, published, balancer);
            let is_withheld = known.staying().any(withheld);
            // What clients wait for is looked at more often; nothing is decided by this.
            if let Some(entry) = self.inner.account.mirror().entry(&desired.id) {
                entry.withheld(is_withheld);
            }
        }
        let plan = plan(model.as_ref(), &known, published);
        let plan = plan.inspect_err(|refusal| self.is_looked_at_anew(desired, refusal))?;
        Ok(if self.inner.dry { self.told(plan, observed) } else { until_weighed(plan) })
    }

    fn foresee(&self, desired: Option<&LoadBalancer>, observed: &Seen, plan: &Plan<Step>) -> Option<Foreseen<Seen>> {
        if self.inner.dry { self.foreseen(desired, observed, plan) } else { None }
    }

    async fn apply(&self, step: &Step, call: &Call) -> Result<Applied, Error> {
        if let Some(entry) = self.inner.account.mirror().entry(&call.id) {
            entry.accounts_for(&call.external);
        }
        if let Some(applied) = self.at_site(step, call).boxed().await? {
            return Ok(applied);
        }
        let mut state = self.proven(step, call).boxed().await?;
        self.is_free(step, call, &state).boxed().await?;
        if step.creates().is_none() && !matches!(step, Step::OpenRules { .. }) {
            self.is_ours(call).boxed().await?;
        }
        let account = &self.inner.account;
        let aws = account.aws().await.map_err(|error| not_connected(&error))?;
        let means = Means {
            aws,
            survey: &self.inner.site.survey,
            mark: &self.names(&call.id).mark(),
            shared: &backend::name(&self.inner.parameters.cluster_name, &self.inner.instance),
            now: account.clock().wall(),
        };
        let done = carry_out(means, step, &mut state).boxed().await;
        match done {
            Ok(()) => {
                let now = account.clock().now();
                if let Some(entry) = account.mirror().entry(&call.id) {
                    entry.follow(state.clone(), now);
                }
            }
            Err(undone) => {
                let doubtful = match &undone {
                    Undone::Aws(error) => !is_clear(error.problem),
                    Undone::Overtaken(_) => true,
                    Undone::Unknown(_) => false,
                };
                if doubtful {
                    account.mirror().doubt(&call.id);
                }
                // Whose it is, only a look tells. What comes of the look itself, the next pass sees.
                if matches!(step, Step::CreateSecurityGroup { .. }) && doubtful {
                    let _ = self.inner.site.survey.look(aws, Duration::ZERO, &self.inner.site.nodes()).boxed().await;
                }
                return Err(undone.into());
            }
        }
        if matches!(step, Step::CreateBalancer { .. }) {
            self.is_ours(call).boxed().await?;
        }
        Ok(Applied::done())
    }

    fn remembered(&self, state: &Seen) -> Option<BTreeMap<String, String>> {
        remembered::remembered(&state.state)
    }

    /// By what AWS acknowledged last. What its security groups let in only AWS tells, so that what changes there alone is not foreseen.
    fn foresees_work(&self, desired: impl FnOnce() -> LoadBalancer, known: &Known) -> bool {
        let remembered = Remembered::read(&known.external);
        let Some(state) = remembered.acknowledged.filter(|_| remembered.is_last) else { return true };
        let seen = Seen { state, estate: self.inner.site.survey.known(), ..Seen::default() };
        let desired = desired();
        let planned = self.model(&desired, &seen).and_then(|model| plan(Some(&model), &seen.state, &desired.published));
        planned.is_ok_and(|plan| plan.steps.iter().any(remembered::tells_of))
    }

    fn deadline(&self) -> Duration {
        DEADLINE
    }

    fn outcome(&self, desired: Option<&LoadBalancer>, observed: &Seen) -> Outcome {
        let published = published(desired);
        match desired.map(|desired| self.model(desired, observed)).transpose() {
            Ok(model) => outcome(model.as_ref(), &observed.state, published),
            Err(refusal) => {
                let standing = outcome(None, &observed.state, published);
                Outcome {
                    programmed: Verdict::no(refusal.reason(), refusal.to_string()),
                    wait: standing.wait.or_else(|| Some(again(&refusal))),
                    ..standing
                }
            }
        }
    }

    async fn inventory(&self) -> Result<Vec<Owned>, Error> {
        let aws = self.inner.account.aws().await.map_err(|error| not_connected(&error))?.lane(Lane::Audit);
        let balancers = aws.all_load_balancers().await?.into_iter().map(|one| (one.arn.to_string(), one.name));
        let groups = aws.all_target_groups().await?.into_iter().map(|one| (one.arn.to_string(), one.name));
        let all: BTreeMap<String, String> = balancers.chain(groups).collect();
        let arns: Vec<String> = all.keys().cloned().collect();
        let mut owned = Vec::new();
        for (arn, tags) in aws.tags(&arns).await? {
            let is = |key: &str, value: &str| tags.get(key).map(String::as_str) == Some(value);
            let ours =
                is(CLUSTER, self.inner.parameters.cluster_name.as_str()) && is(INSTANCE, self.inner.instance.as_str());
            if let (true, Some(id)) = (ours, tags.get(LOAD_BALANCER)) {
                let object = all.get(&arn).cloned().unwrap_or(arn);
                owned.push(Owned { id: LoadBalancerId::new(id.clone()), object });
            }
        }
        owned.sort();
        Ok(owned)
    }

    fn changes(&self) -> impl Stream<Item = LoadBalancerId> + Send + 'static {
        self.inner.account.changes()
    }
}

/// What comes after that is planned when it is known: all that is wrong is found before anything is written.
fn until_weighed(mut plan: Plan<Step>) -> Plan<Step> {
    if let Some(at) = plan.steps.iter().position(|step| matches!(step, Step::Weigh { .. })) {
        plan.steps.truncate(at.saturating_add(1));
    }
    plan
}

/// What an NLB can do. Where it depends on annotations, the dialect says so.
pub(crate) fn capabilities() -> Capabilities {
    Capabilities {
        protocols: [Protocol::Tcp, Protocol::Udp].into(),
        mixed_protocols: true,
        one_listener_a_number: true,
        families: [Family::V4, Family::V6].into(),
        lacking: [].into(),
        node_targets: true,
        pod_targets: true,
        by_way_of_nodes: false,
        readiness_gates: true,
        source_ranges: true,
        session_affinity: true,
        scheme: true,
        requested_addresses: false,
        sharing: true,
    }
}

fn published(desired: Option<&LoadBalancer>) -> &[portolan_core::balancer::Published] {
    desired.map(|desired| desired.published.as_slice()).unwrap_or_default()
}

/// What the members' annotations come to, as the dialect has read them.
pub(crate) fn settings(desired: &LoadBalancer) -> Result<BTreeMap<Uid, Settings>, Refusal> {
    let read = |(uid, value): (&Uid, &serde_json::Value)| {
        let settings = serde_json::from_value(value.clone()).map_err(|error| {
            let why = format!("the settings of Service {uid} cannot be read: {error}; this is a defect of Portolan");
            Refusal::one(Refused::whole(Reason::ProviderFailed, why))
        })?;
        Ok((uid.clone(), settings))
    };
    desired.settings.iter().map(read).collect()
}

fn not_connected(error: &ConnectError) -> Error {
    Error::retry(Reason::ProviderFailed, error.to_string())
}

fn not_read(error: ReadError) -> Error {
    match error {
        ReadError::Connect(error) => not_connected(&error),
        ReadError::Reading(ReadingError::Aws(error)) => error.into(),
        // Told at once, and what is to be removed is tried again whatever kind of error it is.
        ReadError::Reading(ReadingError::Estranged { .. }) => Error::terminal(Reason::NotOurs, error.to_string()),
        // Nothing at AWS ends it, and the configuration is read at the start.
        ReadError::Elsewhere { .. } => Error::terminal(Reason::ProviderRefused, error.to_string()),
    }
}

/// What the step was made for is no more; the next plan knows better.
fn overtaken(why: &str) -> Error {
    Error::retry(Reason::Provisioning, format!("{why}; the plan is made anew"))
}

impl From<Undone> for Error {
    fn from(undone: Undone) -> Self {
        match undone {
            // What is there was made before a crash, or by somebody else: the next look tells.
            Undone::Aws(error) if error.problem == Problem::Exists => Self::retry(Reason::Provisioning, error.stable()),
            Undone::Aws(error) => error.into(),
            Undone::Overtaken(what) => overtaken(&format!("{what} is not there any more")),
            Undone::Unknown(_) => Self {
                kind: ErrorKind::Wait(Duration::from_secs(60)),
                reason: Reason::ProviderRefused,
                message: undone.to_string(),
            },
        }
    }
}

/// What is known of the load balancer is as true as before.
fn is_clear(problem: Problem) -> bool {
    match problem {
        Problem::NotFound
        | Problem::Awaited
        | Problem::InUse
        | Problem::Busy
        | Problem::Quota
        | Problem::BadTarget
        | Problem::Refused
        | Problem::Denied
        | Problem::Unknown
        | Problem::Expired
        | Problem::NoCredentials
        | Problem::Skewed
        | Problem::Throttled
        | Problem::Unreachable => true,
        Problem::Gone | Problem::Exists | Problem::Unavailable | Problem::Unanswered | Problem::Unreadable => false,
    }
}
