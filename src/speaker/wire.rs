//! All interfaces of the node: opened and closed as its duty says, driven by frames and by one timer, and by nothing else.

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
use portolan_sys::Interface;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::cluster::clock::Clock;
use crate::speaker::duty::{Duty, Edit, Note, Part, Place, Places, duty, edits};
use crate::speaker::ranks::Owns;
use crate::speaker::segment::{Segment, Trouble};

/// From one attempt to open an interface, or to join groups there, to the next: it may be on its way out, or in.
pub(super) const TRY_AGAIN: Duration = Duration::from_secs(1);

/// What is announced, where, and by whom else.
#[derive(Clone, Debug)]
pub(crate) struct Sources {
    pub(crate) owns: watch::Receiver<Option<Arc<Owns>>>,
    pub(crate) interfaces: watch::Receiver<Option<Arc<Vec<Interface>>>>,
    /// The stations of other nodes' speakers, as far as they are known.
    pub(crate) fellows: watch::Receiver<Arc<BTreeSet<Mac>>>,
}

/// What this node answers for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Answers {
    /// How many addresses because it owns them, counted at each interface.
    pub(crate) owned: usize,
    /// How many until their heirs have been heard.
    pub(crate) leaving: usize,
    /// On which interfaces, by name.
    pub(crate) at: BTreeMap<String, Families>,
}

/// Of which families there is an address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Families {
    pub(crate) v4: bool,
    pub(crate) v6: bool,
}

/// What came of the duty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Told {
    /// All changes of VirtualIPs that concern this node up to this version have reached the wire. One that gives an address to another node has
    /// when that has begun: for a moment both answer. One that brings an address has not while the wire is asked whether somebody has it.
    pub(crate) version: u64,
    /// Every interface on which something could be announced, by name.
    pub(crate) stations: BTreeMap<String, Mac>,
    /// The next hops of the node's default routes.
    pub(crate) gateways: BTreeSet<IpAddr>,
    /// The addresses that the node itself has.
    pub(crate) addresses: BTreeSet<IpAddr>,
    /// Which addresses are not as they are ranked, and why.
    pub(crate) exceptions: BTreeMap<Exception, Vec<IpAddr>>,
    /// All that are ranked to this node, if any of them is not as it is.
    pub(crate) owned: BTreeSet<IpAddr>,
}

/// Why an address is not as it is ranked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Exception {
    /// No interface that reaches it can announce it.
    NoInterface,
    /// It is announced where nobody but routers asks.
    PoolOffLink,
    /// It is not announced because the node does not forward.
    NotForwarding,
    /// It is announced nowhere: the kernel gives no socket for the interface.
    NoSocket {
        /// Its name.
        interface: String,
    },
    /// It is announced on other interfaces; for this one the kernel gives no socket.
    OneInterfaceLess {
        /// Its name.
        interface: String,
    },
    /// A stranger has it.
    Stranger {
        /// The interface where he is heard.
        interface: String,
        /// How that came.
        trouble: Trouble,
    },
}

/// Announces what the node owns on the interfaces that it has, until `stop`, with at most `pace` frames a second on each that nobody has asked for.
/// Nothing happens, and nothing is told, before both are known.
pub(crate) async fn run(
    mut from: Sources,
    told: watch::Sender<Option<Told>>,
    answers: watch::Sender<Answers>,
    pace: u32,
    clock: Clock,
    stop: CancellationToken,
) -> Result<(), Infallible> {
    let mut wire = Wire { pace, ..Wire::default() };
    loop {
        let due = wire.deadline();
        tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            // Whoever says these ends only when the process does.
            Ok(()) = from.fellows.changed() => {
                wire.fellows = from.fellows.borrow_and_update().clone();
                wire.introduce(at(clock.now()));
            }
            Ok(()) = from.owns.changed() => {
                wire.changed(&from.owns.borrow_and_update(), &from.interfaces.borrow(), clock.now());
            }
            Ok(()) = from.interfaces.changed() => {
                wire.changed(&from.owns.borrow(), &from.interfaces.borrow_and_update(), clock.now());
            }
            () = wire.frame() => {
                let now = at(clock.now());
                wire.segments.values_mut().for_each(|segment| segment.receive(now));
            }
            () = clock.sleep_until(due) => wire.on_time(&from.owns.borrow(), &from.interfaces.borrow(), clock.now()),
        }
        wire.let_go(clock.now());
        wire.tell(&from.owns.borrow(), &told, &answers);
    }
}

/// The same time for those who know nothing of us.
pub(super) fn at(now: Time) -> portolan_l2::Time {
    portolan_l2::Time::at(Duration::from_nanos(now.as_nanos()))
}

/// And back.
pub(super) fn after_start(due: portolan_l2::Time) -> Time {
    Time::default() + due.since(portolan_l2::Time::default())
}

#[derive(Debug, Default)]
struct Wire {
    /// Frames in a second that nobody has asked for, at each interface.
    pace: u32,
    segments: BTreeMap<NonZeroU32, Segment>,
    /// What has been carried out.
    places: Places,
    version: u64,
    /// The one that was told last.
    told: u64,
    stations: BTreeMap<String, Mac>,
    gateways: BTreeSet<IpAddr>,
    addresses: BTreeSet<IpAddr>,
    notes: BTreeMap<IpAddr, Note>,
    fellows: Arc<BTreeSet<Mac>>,
    /// The node's own stations.
    own: BTreeSet<Mac>,
    /// What could not be opened, and when that is tried again.
    closed: Places,
    open_again: Option<Time>,
    /// Something of what is told may have changed.
    news: bool,
}

impl Wire {
    fn changed(&mut self, owns: &Option<Arc<Owns>>, interfaces: &Option<Arc<Vec<Interface>>>, now: Time) {
        let (Some(owns), Some(interfaces)) = (owns, interfaces) else { return };
        let Duty { places, stations, own, gateways, addresses, notes } = duty(owns, interfaces, &self.places);
        let (vips, edits) = (owns.addresses.len(), edits(&self.places, &places));
        if !edits.is_empty() {
            tracing::info!(vips, interfaces = places.len(), changes = edits.len(), "what is announced has changed");
        }
        (self.places, self.stations, self.notes, self.version) = (places, stations, notes, owns.version);
        (self.gateways, self.addresses) = (gateways, addresses);
        self.closed.clear();
        self.news = true;
        self.open_again = None;
        if self.own != own {
            self.own = own;
            // Before what is new says its first word, which the others hear.
            self.introduce(at(now));
        }
        self.carry_out_all(now, &edits);
    }

    fn carry_out_all(&mut self, now: Time, edits: &[Edit]) {
        for edit in edits {
            self.carry_out(at(now), edit);
        }
        // As if it had never been tried, so that the next look does it all.
        for index in self.closed.keys() {
            self.places.remove(index);
            // This is looked through after everything that happens anywhere: what failed before keeps its turn.
            self.open_again.get_or_insert(now + TRY_AGAIN);
        }
    }

    /// Closes what is left of addresses that were handed over.
    fn let_go(&mut self, now: Time) {
        let mut edits = Vec::new();
        for (index, segment) in &mut self.segments {
            let silent = segment.take_silent();
            let Some(place) = self.places.get_mut(index).filter(|_| !silent.is_empty()) else { continue };
            place.vips.retain(|vip, part| *part != Part::Leaving || !silent.contains(vip));
            edits.push(if place.vips.is_empty() { Edit::Close(*index) } else { Edit::Withdraw(*index, silent) });
            if place.vips.is_empty() {
                self.places.remove(index);
            }
        }
        self.news |= !edits.is_empty();
        self.carry_out_all(now, &edits);
    }

    fn introduce(&mut self, now: portolan_l2::Time) {
        for segment in self.segments.values_mut() {
            segment.know(now, &self.fellows, &self.own);
        }
    }

    fn carry_out(&mut self, now: portolan_l2::Time, edit: &Edit) {
        let (index, done) = match edit {
            Edit::Close(index) => {
                self.segments.remove(index);
                return;
            }
            Edit::Open(index) => {
                let Some(place) = self.places.get(index) else { return };
                let opened = Segment::open(*index, place, self.pace).map(|mut segment| {
                    segment.know(now, &self.fellows, &self.own);
                    self.segments.insert(*index, segment);
                });
                (*index, opened)
            }
            Edit::Withdraw(index, vips) => (
                *index,
                self.at(*index, |segment| {
                    segment.withdraw(now, vips);
                    Ok(())
                }),
            ),
            Edit::HandOver(index, vips) => (
                *index,
                self.at(*index, |segment| {
                    segment.hand_over(now, vips);
                    Ok(())
                }),
            ),
            Edit::Announce(index, vips) => (*index, self.at(*index, |segment| segment.announce(now, vips))),
            Edit::Ipv6Came(index) => (
                *index,
                self.at(*index, |segment| {
                    segment.join_anew(now);
                    Ok(())
                }),
            ),
            Edit::CameUp(index) => (
                *index,
                self.at(*index, |segment| {
                    segment.link_came_up(now);
                    Ok(())
                }),
            ),
        };
        if let Err(error) = done {
            self.segments.remove(&index);
            if let Some(place) = self.places.get(&index) {
                let interface = place.name.as_str();
                tracing::error!(interface, %error, "nothing is announced there; it is tried again");
                self.closed.insert(index, place.clone());
            }
        }
    }

    fn at<E>(&mut self, index: NonZeroU32, work: impl FnOnce(&mut Segment) -> Result<(), E>) -> Result<(), E> {
        self.segments.get_mut(&index).map_or(Ok(()), work)
    }

    fn on_time(&mut self, owns: &Option<Arc<Owns>>, interfaces: &Option<Arc<Vec<Interface>>>, now: Time) {
        if self.open_again.is_some_and(|again| again <= now) {
            self.changed(owns, interfaces, now);
        }
        self.segments.values_mut().for_each(|segment| segment.on_time(at(now)));
    }

    fn deadline(&self) -> Option<Time> {
        let segments = self.segments.values().filter_map(Segment::deadline);
        segments.map(after_start).chain(self.open_again).min()
    }

    /// Returns once a frame may be there.
    async fn frame(&self) {
        poll_fn(|context| {
            // All, so that all wake us.
            let ready = self.segments.values().filter(|segment| segment.poll_frame(context).is_ready()).count();
            if ready > 0 { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// All that is on the wire. While it is asked whether somebody has an address, its coming is not; what was told before stands.
    fn applied(&self, owns: &Option<Arc<Owns>>) -> u64 {
        let asking = self.segments.values().flat_map(Segment::asking);
        let came = asking.filter_map(|vip| Some(owns.as_ref()?.addresses.get(vip)?.version));
        let before = came.min().map_or(self.version, |version| version.saturating_sub(1));
        self.version.min(before.max(self.told))
    }

    fn tell(&mut self, owns: &Option<Arc<Owns>>, told: &watch::Sender<Option<Told>>, answers: &watch::Sender<Answers>) {
        let segments = self.segments.values_mut().filter_map(|segment| segment.take_news().then_some(())).count();
        if !std::mem::take(&mut self.news) && segments == 0 {
            return;
        }
        let mut exceptions: BTreeMap<Exception, Vec<IpAddr>> = BTreeMap::new();
        for (vip, note) in &self.notes {
            let exception = match note {
                Note::NoInterface => Exception::NoInterface,
                Note::PoolOffLink => Exception::PoolOffLink,
                Note::NotForwarding => Exception::NotForwarding,
            };
            exceptions.entry(exception).or_default().push(*vip);
        }
        // Those without a socket are in none of them.
        let open: Vec<&Place> = self.places.values().collect();
        for (vip, exception) in self.closed.values().flat_map(|place| without_socket(place, &open)) {
            exceptions.entry(exception).or_default().push(vip);
        }
        for segment in self.segments.values() {
            for (vip, trouble) in segment.troubles() {
                let exception = Exception::Stranger { interface: segment.name().to_owned(), trouble: *trouble };
                exceptions.entry(exception).or_default().push(*vip);
            }
        }
        let ranked = owns.iter().filter(|_| !exceptions.is_empty());
        let owned = ranked.flat_map(|owns| owns.addresses.keys().chain(&owns.withheld).chain(&owns.waiting));
        let owned = owned.copied().collect();
        let (gateways, addresses) = (self.gateways.clone(), self.addresses.clone());
        let (version, stations) = (self.applied(owns), self.stations.clone());
        self.told = version;
        say(told, Some(Told { version, stations, gateways, addresses, exceptions, owned }));
        say(answers, self.answers());
    }

    fn answers(&self) -> Answers {
        let mut answers = Answers::default();
        for place in self.places.values() {
            let families = answers.at.entry(place.name.clone()).or_default();
            for (vip, part) in &place.vips {
                families.v4 |= vip.is_ipv4();
                families.v6 |= vip.is_ipv6();
                match part {
                    Part::Owner(_) => answers.owned += 1,
                    Part::Leaving => answers.leaving += 1,
                }
            }
        }
        answers
    }
}

fn say<T: PartialEq>(to: &watch::Sender<T>, now: T) {
    to.send_if_modified(|last| {
        let changed = *last != now;
        *last = now;
        changed
    });
}

/// What is to be said of the addresses of an interface that has no socket, while these others have one.
fn without_socket(place: &Place, open: &[&Place]) -> impl Iterator<Item = (IpAddr, Exception)> {
    let owns = |other: &&Place, vip: &IpAddr| matches!(other.vips.get(vip), Some(Part::Owner(_)));
    place.vips.keys().map(move |vip| {
        let interface = place.name.clone();
        let is_elsewhere = open.iter().any(|other| owns(other, vip));
        (*vip, if is_elsewhere { Exception::OneInterfaceLess { interface } } else { Exception::NoSocket { interface } })
    })
}

#[cfg(test)]
mod tests;
