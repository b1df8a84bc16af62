//! The proof that addresses of other nodes are reached: this node, their first heir, asks the wire who has them, and their ports for connections
//! (`portolan_l2::rotation`). By frames of its own alone: what its kernel connects to is short-circuited by its own kube-proxy.
//!
//! A proof begins once the owner says that the address is announced, and anew whenever its ranks or its ports are others. What was found before is
//! not told from then on.

pub(crate) mod errands;
mod stand;

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::future::poll_fn;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use portolan_core::time::Time;
use portolan_l2::Mac;
use portolan_l2::proof::Finding;
use portolan_l2::rotation::{Output, Rotation};
use portolan_sys::Interface;
use portolan_sys::packet::Error;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::cluster::clock::Clock;
use crate::speaker::fellows::Said;
use crate::speaker::ranks::Inherits;
use crate::speaker::wire::{after_start, at};
use errands::{Proving, Task, tasks};
use stand::{Heard, Stand};

/// From one attempt to open sockets at an interface to the next.
const OPEN_AGAIN: Duration = Duration::from_secs(10);

/// What there is to prove.
#[derive(Clone, Debug)]
pub(crate) struct Sources {
    pub(crate) inherits: watch::Receiver<Option<Arc<Inherits>>>,
    pub(crate) interfaces: watch::Receiver<Option<Arc<Vec<Interface>>>>,
    pub(crate) said: watch::Receiver<Arc<BTreeMap<String, Said>>>,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Witnessed {
    /// Of all addresses that this node has inherited up to this version.
    pub(crate) version: u64,
    /// Those that are not proven, by why.
    pub(crate) doubts: BTreeMap<Doubt, Vec<IpAddr>>,
    /// All that this node has inherited, if any of them is not.
    pub(crate) inherited: BTreeSet<IpAddr>,
}

/// What keeps an address from being proven.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Doubt {
    /// It has not been looked at yet.
    Pending,
    /// It cannot be from here.
    OffLink,
    /// It cannot be: the kernel gives no sockets.
    NoSocket,
    /// Its ports are not looked at: this node may not connect.
    SourceRanges,
    /// Nobody answers for it.
    NoAnswer,
    /// These answer for it, and it may be that more do.
    Several { macs: Vec<Mac>, more: bool },
    /// This one does, and is no station of its owner's.
    Foreign(Vec<Mac>),
    /// These TCP ports say nothing.
    Silent(Vec<u16>),
    /// These TCP ports deny connections.
    Refused(Vec<u16>),
}

/// Proves what there is to prove and tells what was found, until `stop`. Nothing is told before it is known what that is.
pub(crate) async fn run(
    mut from: Sources,
    tells: watch::Sender<Option<Witnessed>>,
    seed: u64,
    clock: Clock,
    stop: CancellationToken,
) -> Result<(), Infallible> {
    let mut prover = Prover::new(seed);
    loop {
        let due = prover.deadline();
        tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            // Whoever says these ends only when the process does.
            Ok(()) = from.inherits.changed() => prover.look(&mut from, clock.now()),
            Ok(()) = from.interfaces.changed() => prover.look(&mut from, clock.now()),
            Ok(()) = from.said.changed() => prover.look(&mut from, clock.now()),
            () = prover.frame() => prover.receive(),
            () = clock.sleep_until(due) => prover.open_again(clock.now()),
        }
        prover.step(clock.now());
        if std::mem::take(&mut prover.news) {
            let now = Some(prover.told());
            tells.send_if_modified(|last| {
                let changed = *last != now;
                last.clone_from(&now);
                changed
            });
        }
    }
}

/// All of it.
#[derive(Debug)]
struct Prover {
    rotation: Rotation,
    stands: BTreeMap<NonZeroU32, Stand>,
    /// The interface at which each proof is made that is under way.
    under_way: BTreeMap<IpAddr, NonZeroU32>,
    tasks: BTreeMap<IpAddr, Task>,
    version: u64,
    /// Those that could not be looked at for want of sockets, and when that is tried again.
    closed: BTreeMap<IpAddr, Time>,
    /// The interfaces where the last attempt failed.
    without_sockets: BTreeSet<NonZeroU32>,
    outputs: Vec<Output>,
    /// Something of what is told may have changed.
    news: bool,
}

impl Prover {
    fn new(seed: u64) -> Self {
        Self {
            rotation: Rotation::new(seed),
            stands: BTreeMap::new(),
            under_way: BTreeMap::new(),
            tasks: BTreeMap::new(),
            version: 0,
            closed: BTreeMap::new(),
            without_sockets: BTreeSet::new(),
            outputs: Vec::new(),
            news: false,
        }
    }

    fn deadline(&self) -> Option<Time> {
        self.closed.values().copied().chain(self.rotation.deadline().map(after_start)).min()
    }

    /// Something there is to prove may be something else.
    fn look(&mut self, from: &mut Sources, now: Time) {
        let said = from.said.borrow_and_update().clone();
        let (inherits, interfaces) = (from.inherits.borrow_and_update(), from.interfaces.borrow_and_update());
        let (Some(inherits), Some(interfaces)) = (inherits.as_deref(), interfaces.as_deref()) else { return };
        let after = tasks(inherits, interfaces, &said, &self.tasks);
        let before = std::mem::replace(&mut self.tasks, after);
        let is_still = |vip: &IpAddr, task: &Task, then: &BTreeMap<IpAddr, Task>| {
            then.get(vip).is_some_and(|then| task.is_still(then))
        };
        for (vip, task) in before.iter().filter(|(vip, task)| !is_still(vip, task, &self.tasks)) {
            if let Task::Prove(_) = task {
                self.rotation.forget(*vip, &mut self.outputs);
                self.closed.remove(vip);
            }
        }
        for (vip, task) in &self.tasks {
            let Task::Prove(proving) = task else { continue };
            if is_still(vip, task, &before) {
                self.rotation.know(at(now), *vip, &proving.errand.owners, &mut self.outputs);
            } else {
                tracing::debug!(%vip, owner = proving.owner, "to be proven");
                self.rotation.want(at(now), proving.errand.clone(), &mut self.outputs);
            }
        }
        self.version = inherits.version;
        self.news = true;
    }

    fn open_again(&mut self, now: Time) {
        for (vip, again) in self.closed.iter_mut().filter(|(_, again)| **again <= now) {
            *again = now + OPEN_AGAIN;
            if let Some(Task::Prove(proving)) = self.tasks.get(vip) {
                self.rotation.want(at(now), proving.errand.clone(), &mut self.outputs);
            }
        }
    }

    fn receive(&mut self) {
        for heard in self.stands.values().flat_map(Stand::receive) {
            match heard {
                Heard::Frame(frame) => self.rotation.heard(&frame),
                Heard::Segment(segment) => self.rotation.received(&segment, &mut self.outputs),
            }
        }
    }

    fn step(&mut self, now: Time) {
        self.rotation.step(at(now), &mut self.outputs);
        // One that cannot begin brings its end.
        while !self.outputs.is_empty() {
            for output in std::mem::take(&mut self.outputs) {
                self.carry_out(&output, now);
            }
        }
    }

    fn carry_out(&mut self, output: &Output, now: Time) {
        match output {
            Output::Begun(vip) => {
                let is_news = match self.begin(*vip) {
                    Ok(()) => self.closed.remove(vip).is_some(),
                    Err(error) => {
                        self.is_denied(*vip, &error);
                        self.rotation.forget(*vip, &mut self.outputs);
                        self.closed.insert(*vip, now + OPEN_AGAIN).is_none()
                    }
                };
                self.news |= is_news;
            }
            Output::Send(vip, said) => {
                let stand = self.under_way.get(vip).and_then(|index| self.stands.get(index));
                stand.into_iter().for_each(|stand| stand.send(said));
            }
            Output::Ended(vip) => {
                let Some(index) = self.under_way.remove(vip) else { return };
                if self.stands.get_mut(&index).is_some_and(|stand| stand.end(*vip)) {
                    self.stands.remove(&index);
                }
            }
            Output::Found(vip) => self.found(*vip),
        }
    }

    fn begin(&mut self, vip: IpAddr) -> Result<(), Error> {
        let Some(Task::Prove(Proving { index, .. })) = self.tasks.get(&vip) else { return Ok(()) };
        self.under_way.insert(vip, *index);
        if !self.stands.contains_key(index) {
            self.stands.insert(*index, Stand::open(*index)?);
        }
        self.stands.get_mut(index).map_or(Ok(()), |stand| stand.begin(vip))?;
        self.without_sockets.remove(index);
        Ok(())
    }

    /// Warned of once an interface, not for each of its addresses and each attempt; true if that is now.
    fn is_denied(&mut self, vip: IpAddr, error: &Error) -> bool {
        let Some(Task::Prove(Proving { index, .. })) = self.tasks.get(&vip) else { return false };
        let is_first = self.without_sockets.insert(*index);
        if is_first {
            tracing::warn!(interface = index, %error, "which addresses are reached there cannot be looked at; that is tried again");
        } else {
            tracing::debug!(%vip, interface = index, %error, "whether it is reached cannot be looked at");
        }
        is_first
    }

    fn found(&mut self, vip: IpAddr) {
        self.news = true;
        match self.rotation.found(vip) {
            Some(finding) if finding.is_good() => tracing::debug!(%vip, "proven to be reached"),
            finding => tracing::warn!(%vip, ?finding, "not proven to be reached"),
        }
    }

    /// Returns once a frame may be there.
    async fn frame(&self) {
        poll_fn(|context| {
            // All, so that all wake us.
            let ready = self.stands.values().filter(|stand| stand.poll_frame(context).is_ready()).count();
            if ready > 0 { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    fn told(&self) -> Witnessed {
        let mut doubts: BTreeMap<Doubt, Vec<IpAddr>> = BTreeMap::new();
        for (vip, task) in &self.tasks {
            let of = match task {
                Task::Await => vec![Doubt::Pending],
                Task::OffLink => vec![Doubt::OffLink],
                Task::Prove(_) if self.closed.contains_key(vip) => vec![Doubt::NoSocket],
                Task::Prove(proving) => {
                    self.rotation.found(*vip).map_or(vec![Doubt::Pending], |found| of_finding(found, proving))
                }
            };
            of.into_iter().for_each(|doubt| doubts.entry(doubt).or_default().push(*vip));
        }
        let inherited = self.tasks.keys().filter(|_| !doubts.is_empty()).copied().collect();
        Witnessed { version: self.version, doubts, inherited }
    }
}

fn of_finding(Finding { stations, more, foreign, refused, silent }: &Finding, proving: &Proving) -> Vec<Doubt> {
    let all = || stations.iter().copied().collect::<Vec<Mac>>();
    if stations.is_empty() {
        return vec![Doubt::NoAnswer];
    }
    if stations.len() > 1 {
        return vec![Doubt::Several { macs: all(), more: *more }];
    }
    if *foreign {
        return vec![Doubt::Foreign(all())];
    }
    let ports = [(silent, Doubt::Silent as fn(Vec<u16>) -> Doubt), (refused, Doubt::Refused)];
    let ports = ports.into_iter().filter(|(ports, _)| !ports.is_empty());
    let ports = ports.map(|(ports, doubt)| doubt(ports.iter().copied().collect()));
    ports.chain(proving.excluded.then_some(Doubt::SourceRanges)).collect()
}

#[cfg(test)]
mod tests;
