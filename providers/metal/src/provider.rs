//! The provider: what has been decided is recorded, one `VirtualIP` at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::Stream;
use futures::stream::unfold;
use portolan_core::balancer::{Family, LoadBalancer, Protocol};
use portolan_core::capabilities::Capabilities;
use portolan_core::dialect::Dialect;
use portolan_core::ids::{Instance, LoadBalancerId};
use portolan_core::provider::{Applied, Call, Error, Foreseen, Known, Outcome, Owned, Plan, Provider};
use portolan_core::reason::Reason;
use portolan_core::refusal::Refusal;
use tokio::sync::{Notify, watch};

use crate::joining::Joining;
use crate::outcome::{ALLOCATED_FROM, outcome};
use crate::placement::Ranks;
use crate::plan::plan;
use crate::port::{StoreError, VirtualIps};
use crate::state::State;
use crate::step::Step;
use crate::vip::{Shown, Vip, name};
use crate::world::World;

/// How long anybody waits for all that there is to be told: a process that begins has it in less.
const UNTIL_LISTED: Duration = Duration::from_secs(5);

/// Everything that classes of this provider share in a process: pools and addresses are the cluster's, not a class's. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Site {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    instance: Instance,
    vips: Arc<dyn VirtualIps>,
    world: Mutex<World>,
    /// Somebody should look again.
    news: Notify,
    /// What has not been listed yet, as `RESOURCE.GROUP`; none before anybody has said so. Before all of it has, an address that somebody has would
    /// look free.
    missing: watch::Sender<Option<Vec<&'static str>>>,
    /// Somebody has looked: before that nothing need be known.
    wanted: watch::Sender<bool>,
    /// [`World::edition`].
    edition: watch::Sender<u64>,
}

impl Site {
    /// Nothing is known, and nobody is told anything, before [`is_listed`](Self::is_listed).
    pub fn new(instance: Instance, vips: Arc<dyn VirtualIps>) -> Self {
        let world = Mutex::new(World::new(instance.clone()));
        let ((missing, _), (wanted, _), (edition, _)) =
            (watch::channel(None), watch::channel(false), watch::channel(0));
        Self { inner: Arc::new(Inner { instance, vips, world, news: Notify::new(), missing, wanted, edition }) }
    }

    /// Waits until somebody needs to know anything: where no class needs pools, what a record has left may.
    pub async fn is_wanted(&self) {
        // The sender lives as long as we do.
        let _ = self.inner.wanted.subscribe().wait_for(|wanted| *wanted).await;
    }

    /// Somebody will.
    pub fn want(&self) {
        self.inner.wanted.send_replace(true);
    }

    /// Takes in what has changed, and wakes whom it concerns.
    pub fn observe<T>(&self, change: impl FnOnce(&mut World) -> T) -> T {
        let (done, edition) = {
            let mut world = self.world();
            (change(&mut world), world.edition())
        };
        self.inner.news.notify_waiters();
        self.inner.edition.send_if_modified(|last| std::mem::replace(last, edition) != edition);
        done
    }

    /// Looks at what is known.
    pub fn look<T>(&self, at: impl FnOnce(&World) -> T) -> T {
        at(&self.world())
    }

    /// Changes whenever there may be something to place anew.
    pub fn edition(&self) -> watch::Receiver<u64> {
        self.inner.edition.subscribe()
    }

    /// Records this, if the address is still as it was when it was looked at.
    pub async fn record(&self, vip: &Vip) -> Result<(), StoreError> {
        match self.inner.vips.replace(vip).await {
            Ok(stored) => self.observe(|world| world.stored(stored)),
            Err(error) => return Err(self.read_again(vip, error).await),
        }
        Ok(())
    }

    /// What is known of an address was older than what there is. The watch tells; but where answers and news came in another order than they were
    /// given nothing would tell any more.
    async fn read_again(&self, known: &Vip, error: StoreError) -> StoreError {
        if matches!(error, StoreError::Conflict) {
            match self.inner.vips.get(known.address).await {
                Ok(Some(found)) => self.observe(|world| world.shown(found)),
                Ok(None) => self.observe(|world| world.missed(known)),
                Err(_) => {} // whoever has failed tries again
            }
        }
        error
    }

    /// All that there is has been told.
    pub fn is_listed(&self) {
        self.lacks(Vec::new());
    }

    /// All that there is has been told but for these, as `RESOURCE.GROUP`.
    pub fn lacks(&self, missing: Vec<&'static str>) {
        self.inner.missing.send_if_modified(|last| {
            let changed = last.as_ref() != Some(&missing);
            *last = Some(missing);
            changed
        });
    }

    /// Waits until it has, but not for ever.
    async fn until_listed(&self) -> Result<(), Error> {
        self.want();
        if self.knows_all() {
            return Ok(());
        }
        let mut missing = self.inner.missing.subscribe();
        let listed = missing.wait_for(is_nothing);
        // The sender lives as long as we do.
        if tokio::time::timeout(UNTIL_LISTED, listed).await.is_ok() {
            return Ok(());
        }
        let missing = self.inner.missing.borrow().clone();
        let missing = missing.map_or_else(|| "anything".to_owned(), |missing| missing.join(", "));
        let message = format!(
            "addresses wait until {missing} can be listed: apply deploy/crds.yaml and deploy/rbac-metal.yaml, and see the controller's log for why it cannot"
        );
        Err(Error::retry(Reason::ProviderFailed, message))
    }

    /// All has been told.
    pub(crate) fn knows_all(&self) -> bool {
        is_nothing(&self.inner.missing.borrow())
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.inner.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Addresses from pools, for one class.
#[derive(Clone, Debug)]
pub struct Metal {
    site: Site,
    capabilities: Arc<Capabilities>,
    words: Joining,
}

impl Metal {
    /// For a class.
    pub fn new(site: Site) -> Self {
        Self { words: Joining { site: site.clone() }, site, capabilities: Arc::new(capabilities()) }
    }

    async fn observe(&self, id: &LoadBalancerId) -> Result<State, Error> {
        self.site.until_listed().await?;
        let world = self.site.world();
        let vips = world.vips_of(id);
        let announced = vips.iter().map(|vip| (vip.address, world.announcement(vip.address))).collect();
        let reached = vips.iter().map(|vip| (vip.address, world.reach(vip.address))).collect();
        let left_out = vips.iter().map(|vip| (vip.address, world.left_out(vip))).collect();
        let (answer, backing) = (world.answer(id).cloned(), world.backing(id));
        let is_asking = world.is_asking(id);
        Ok(State { vips, answer, is_asking, backing, announced, reached, left_out, pools: world.pools() })
    }

    async fn claim(&self, wanted: &Vip) -> Result<(), Error> {
        let vips = &self.site.inner.vips;
        match vips.create(wanted).await {
            Ok(stored) => self.learn(stored),
            Err(StoreError::Exists) => match vips.get(wanted.address).await.map_err(|error| failed(&error))? {
                // Ours, of a moment before a crash; or kept for one of those whom it is for.
                Some(found) if found.instance == wanted.instance && found.holder == wanted.holder => self.learn(found),
                Some(found) if is_kept_for(&found, wanted) => {
                    let taken = Vip {
                        version: found.version.clone(),
                        reserved_for: found.reserved_for.clone(),
                        ranks: found.ranks.clone(),
                        beside: found.beside.clone(),
                        ..wanted.clone()
                    };
                    self.site.record(&taken).await.map_err(|error| failed(&error))?;
                }
                Some(found) => {
                    let message = format!("{} is taken by {}", wanted.address, found.told());
                    self.learn(found);
                    return Err(Error::retry(Reason::AddressPending, message));
                }
                None => return Err(Error::retry(Reason::AddressPending, "the address has just become free again")),
            },
            Err(error) => return Err(failed(&error)),
        }
        Ok(())
    }

    async fn release(&self, address: IpAddr, id: &LoadBalancerId) -> Result<(), Error> {
        let known = self.site.world().vip(address).cloned();
        let Some(vip) = known.filter(|vip| vip.holder.as_ref() == Some(id)) else { return Ok(()) };
        let vips = &self.site.inner.vips;
        if vip.reserved_for.is_some() || vip.set_aside.is_some() {
            let kept = Vip {
                holder: None,
                services: Vec::new(),
                source_ranges: Vec::new(),
                scheme: None,
                // Whoever gets it next begins anew: the first node to own it then asks the wire whether anybody has it.
                ranks: Ranks::default(),
                interfaces: BTreeMap::new(),
                health_checks: BTreeSet::new(),
                ask_first: false,
                shown: Shown { stranger: vip.set_aside.clone(), ..Shown::default() },
                ..vip
            };
            self.site.record(&kept).await.map_err(|error| failed(&error))?;
        } else {
            self.site.observe(|world| world.is_releasing(address, true));
            let deleted = match vips.delete(&vip).await {
                Ok(()) => {
                    self.site.observe(|world| world.released(&vip));
                    Ok(())
                }
                Err(error) => Err(failed(&self.site.read_again(&vip, error).await)),
            };
            self.site.observe(|world| world.is_releasing(address, false));
            deleted?;
        }
        Ok(())
    }

    /// The watch may have shown it, and what became of it since, before the answer came.
    fn learn(&self, stored: Vip) {
        self.site.observe(|world| world.stored(stored));
    }
}

/// Nothing is missing, somebody has said.
fn is_nothing(missing: &Option<Vec<&'static str>>) -> bool {
    missing.as_ref().is_some_and(Vec::is_empty)
}

/// Nobody uses it, and one of those who shall is one of those it is kept for.
fn is_kept_for(found: &Vip, wanted: &Vip) -> bool {
    let of = found.reserved_for.as_ref().filter(|_| found.holder.is_none());
    of.is_some_and(|of| wanted.services.iter().any(|served| of.is_for(&served.member)))
}

impl Provider for Metal {
    type State = State;
    type Step = Step;

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn dialect(&self) -> &dyn Dialect {
        &self.words
    }

    async fn is_ready(&self) {
        // Observation waits too, and says for what.
        let _ = self.site.until_listed().await;
    }

    async fn observe_many(&self, known: &[Known]) -> Vec<Result<State, Error>> {
        let mut states = Vec::with_capacity(known.len());
        for one in known {
            states.push(self.observe(&one.id).await);
        }
        states
    }

    fn plan(&self, desired: Option<&LoadBalancer>, observed: &State) -> Result<Plan<Step>, Refusal> {
        Ok(plan(&self.site.inner.instance, desired, observed))
    }

    async fn apply(&self, step: &Step, call: &Call) -> Result<Applied, Error> {
        match step {
            Step::Ask { wish } => self.site.observe(|world| world.ask(wish.as_ref().clone())),
            Step::Withdraw => self.site.observe(|world| world.withdraw(&call.id)),
            Step::Back { backing } => self.site.observe(|world| world.back(&call.id, backing.as_ref().clone())),
            Step::Claim { vip } => self.claim(vip).await?,
            Step::Update { vip } => {
                self.site.record(vip).await.map_err(|error| failed(&error))?;
            }
            Step::Release { address } => self.release(*address, &call.id).await?,
        }
        Ok(Applied::done())
    }

    /// What pools and placement are told costs nothing, so a dry run may tell them: its world is its own.
    fn foresee(&self, desired: Option<&LoadBalancer>, observed: &State, plan: &Plan<Step>) -> Option<Foreseen<State>> {
        let mut world = self.site.world();
        if let (Some(Step::Back { backing }), Some(desired)) = (plan.steps.first(), desired) {
            world.back(&desired.id, backing.as_ref().clone());
        }
        let [Step::Ask { wish }] = plan.steps.as_slice() else { return None };
        world.ask(wish.as_ref().clone());
        let answer = world.answer(&wish.id).cloned();
        let state = State { is_asking: answer.is_some(), answer, ..observed.clone() };
        Some(Foreseen { state, awaited: "the pools have answered" })
    }

    fn outcome(&self, desired: Option<&LoadBalancer>, observed: &State) -> Outcome {
        outcome(desired, observed)
    }

    fn annotations(&self) -> &'static [&'static str] {
        &[ALLOCATED_FROM]
    }

    async fn inventory(&self) -> Result<Vec<Owned>, Error> {
        let world = self.site.world();
        let object = |address: &IpAddr| format!("VirtualIP {}", name(*address));
        Ok(world.holders().map(|(id, address)| Owned { id: id.clone(), object: object(address) }).collect())
    }

    fn changes(&self) -> impl Stream<Item = LoadBalancerId> + Send + 'static {
        unfold((self.site.clone(), Vec::new()), |(site, mut pending)| async move {
            loop {
                if let Some(id) = pending.pop() {
                    return Some((id, (site, pending)));
                }
                let more = site.inner.news.notified();
                // Registered before it is looked, or what comes in between would wake nobody.
                tokio::pin!(more);
                more.as_mut().enable();
                pending = site.world().news().into_iter().rev().collect();
                if pending.is_empty() {
                    more.await;
                }
            }
        })
    }
}

fn failed(error: &StoreError) -> Error {
    match error {
        StoreError::Exists | StoreError::Conflict => Error::retry(Reason::AddressPending, error.to_string()),
        StoreError::Unavailable { message, after: Some(after) } => Error {
            kind: portolan_core::provider::ErrorKind::Wait(*after),
            reason: Reason::RecordFailed,
            message: message.clone(),
        },
        StoreError::Unavailable { message, after: None } => Error::retry(Reason::RecordFailed, message.clone()),
        StoreError::Refused(message) => Error::terminal(Reason::RecordFailed, message.clone()),
    }
}

/// What addresses of ours can do: kube-proxy does the rest on every node, so that it is as much as kube-proxy can.
fn capabilities() -> Capabilities {
    Capabilities {
        protocols: [Protocol::Tcp, Protocol::Udp, Protocol::Sctp].into(),
        mixed_protocols: true,
        one_listener_a_number: false,
        families: [Family::V4, Family::V6].into(),
        lacking: [].into(),
        node_targets: false,
        pod_targets: true,
        by_way_of_nodes: true,
        readiness_gates: false,
        source_ranges: true,
        session_affinity: true,
        scheme: true,
        requested_addresses: true,
        sharing: true,
    }
}
