//! One interface: everything that is answered, announced, defended and asked there.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv6Addr};

use crate::announce::{Announcements, FRAMES_PER_SECOND};
use crate::answer::{answer, asked, gratuitous};
use crate::ask::{self, Due, Questions, question};
use crate::conflict::{Conflicts, Verdict, claimed};
use crate::frame::Frame;
use crate::handover::{Handovers, tells_all};
use crate::mac::Mac;
use crate::ndp::solicited_node;
use crate::time::Time;

/// What has happened.
#[derive(Clone, Debug)]
pub enum Input<'a> {
    /// The address is ours to answer for. `ask`: only if nobody on the wire has it.
    Announced {
        /// Which.
        vip: IpAddr,
        /// The wire is asked first.
        ask: bool,
    },
    /// It is ours no more.
    Withdrawn(IpAddr),
    /// It goes to a speaker that is known: answered for until he has told everybody, or nobody has come for [`PATIENCE`](crate::handover::PATIENCE).
    HandedOver(IpAddr),
    /// A frame came.
    Received(&'a Frame),
    /// The link is up again: whoever is behind it may have forgotten everything.
    LinkCameUp,
    /// These stations are speakers of ours, whose addresses move from one to the other.
    SpeakersKnown(BTreeSet<Mac>),
    /// These stations are this machine's, at whatever segment. One that is at this segment announces what this one does, and has no part in a conflict
    /// or a handover.
    OwnStationsKnown(BTreeSet<Mac>),
    /// Nothing but time has passed.
    TimePassed,
}

/// What is to be done, or was found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Put this on the wire.
    Send(Frame),
    /// Listen to this group.
    Join(Ipv6Addr),
    /// Listen to it no more.
    Leave(Ipv6Addr),
    /// The address is answered for from now on.
    Answering(IpAddr),
    /// Somebody has it already. It is not answered for.
    Taken {
        /// Which.
        vip: IpAddr,
        /// Who.
        by: Mac,
    },
    /// Somebody insists that it is his. It is not answered for until he has been silent for [`SILENCE`](crate::conflict::SILENCE).
    Yielded {
        /// Which.
        vip: IpAddr,
        /// Who.
        to: Mac,
    },
    /// An address that was handed over is not answered for any more. It is as if it had been withdrawn.
    Silent(IpAddr),
}

/// One interface.
#[derive(Debug)]
pub struct Responder {
    own: Mac,
    /// The machine's, this one among them or not.
    own_stations: BTreeSet<Mac>,
    speakers: BTreeSet<Mac>,
    vips: BTreeSet<IpAddr>,
    /// How many addresses need each group.
    groups: BTreeMap<Ipv6Addr, usize>,
    announcements: Announcements,
    conflicts: Conflicts,
    questions: Questions,
    handovers: Handovers,
}

impl Responder {
    /// For an interface with this address, at the default pace.
    pub fn new(own: Mac) -> Self {
        Self::at_pace(own, FRAMES_PER_SECOND)
    }

    /// At most so many frames a second that nobody has asked for.
    pub fn at_pace(own: Mac, frames_per_second: u32) -> Self {
        Self {
            own,
            own_stations: BTreeSet::new(),
            speakers: BTreeSet::new(),
            vips: BTreeSet::new(),
            groups: BTreeMap::new(),
            announcements: Announcements::new(frames_per_second),
            conflicts: Conflicts::default(),
            questions: Questions::default(),
            handovers: Handovers::default(),
        }
    }

    /// Takes in what has happened and says what is to be done.
    pub fn step(&mut self, now: Time, input: &Input<'_>, outputs: &mut Vec<Output>) {
        match input {
            Input::Announced { vip, ask } => self.announced(now, *vip, *ask, outputs),
            Input::Withdrawn(vip) => self.withdrawn(*vip, outputs),
            Input::HandedOver(vip) => self.handed_over(now, *vip, outputs),
            Input::Received(frame) => self.received(now, frame, outputs),
            Input::LinkCameUp => self.announcements.begin_all(now),
            Input::SpeakersKnown(speakers) => {
                self.speakers.clone_from(speakers);
                self.mistaken(now, speakers, outputs);
            }
            Input::OwnStationsKnown(stations) => {
                self.own_stations.clone_from(stations);
                self.mistaken(now, stations, outputs);
            }
            Input::TimePassed => {}
        }
        self.on_time(now, outputs);
    }

    /// When there is something to do although nothing happens.
    pub fn deadline(&self) -> Option<Time> {
        let of_ours = [self.announcements.deadline(), self.conflicts.deadline(), self.questions.deadline()];
        of_ours.into_iter().chain([self.handovers.deadline()]).flatten().min()
    }

    /// It answers for this address now.
    pub fn answers(&self, vip: IpAddr) -> bool {
        self.vips.contains(&vip) && !self.questions.has(vip) && self.conflicts.yielded(vip).is_none()
    }

    fn announced(&mut self, now: Time, vip: IpAddr, ask: bool, outputs: &mut Vec<Output>) {
        if !self.vips.insert(vip) {
            // It came back before it was gone; the heir may have told everybody meanwhile.
            if self.handovers.end(vip) {
                self.begin(now, vip, outputs);
            }
            return;
        }
        if let IpAddr::V6(vip) = vip {
            let group = solicited_node(vip);
            let users = self.groups.entry(group).or_default();
            *users += 1;
            if *users == 1 {
                outputs.push(Output::Join(group));
            }
        }
        if ask { self.questions.begin(now, vip) } else { self.begin(now, vip, outputs) }
    }

    fn withdrawn(&mut self, vip: IpAddr, outputs: &mut Vec<Output>) {
        if !self.vips.remove(&vip) {
            return;
        }
        self.announcements.end(vip);
        self.conflicts.forget(vip);
        self.questions.end(vip);
        self.handovers.end(vip);
        if let IpAddr::V6(vip) = vip {
            let group = solicited_node(vip);
            if let Some(users) = self.groups.get_mut(&group) {
                *users -= 1;
                if *users == 0 {
                    self.groups.remove(&group);
                    outputs.push(Output::Leave(group));
                }
            }
        }
    }

    fn handed_over(&mut self, now: Time, vip: IpAddr, outputs: &mut Vec<Output>) {
        if !self.answers(vip) {
            self.withdrawn(vip, outputs);
            outputs.push(Output::Silent(vip));
            return;
        }
        self.announcements.end(vip);
        self.conflicts.forget(vip);
        self.handovers.begin(now, vip);
    }

    fn mistaken(&mut self, now: Time, no_strangers: &BTreeSet<Mac>, outputs: &mut Vec<Output>) {
        while let Some(vip) = self.conflicts.mistaken(no_strangers) {
            self.begin(now, vip, outputs);
        }
    }

    fn received(&mut self, now: Time, frame: &Frame, outputs: &mut Vec<Output>) {
        // What we send comes back where a switch or a bridge loops it.
        if frame.source == self.own {
            return;
        }
        if let Some((vip, by)) = claimed(frame).filter(|(vip, by)| self.vips.contains(vip) && !self.is_own(*by)) {
            if !self.speakers.contains(&by) {
                self.claimed(now, vip, by, outputs);
            } else if tells_all(frame) {
                self.handovers.heard(now, vip, self.announcements.since(vip));
            }
        }
        // Also if one of its own stations asks: a guest may have that of the interface which leads to it (macvtap).
        let Some(vip) = asked(frame).filter(|vip| self.vips.contains(vip)) else { return };
        if self.answers(vip) {
            outputs.extend(answer(frame, self.own).map(Output::Send));
        } else if self.questions.has(vip) && ask::is_about_to_use(frame) && !self.is_ours(frame.source) {
            self.claimed(now, vip, frame.source, outputs);
        }
    }

    fn is_own(&self, station: Mac) -> bool {
        station == self.own || self.own_stations.contains(&station)
    }

    fn is_ours(&self, station: Mac) -> bool {
        self.is_own(station) || self.speakers.contains(&station)
    }

    /// By a stranger: which of two speakers of ours goes silent is decided by those who rank them, and while they make up their minds nothing can
    /// be concluded from what a speaker says.
    fn claimed(&mut self, now: Time, vip: IpAddr, by: Mac, outputs: &mut Vec<Output>) {
        if self.questions.end(vip) {
            self.withdrawn(vip, outputs);
            outputs.push(Output::Taken { vip, by });
            return;
        }
        // It is the heir's to defend.
        if self.handovers.has(vip) {
            return;
        }
        match self.conflicts.claimed(now, vip, by) {
            // Under the same pace: who says so of thousands must not have us flood the segment.
            Verdict::Defend => self.announcements.defend(now, vip),
            Verdict::Yield => {
                self.announcements.end(vip);
                outputs.push(Output::Yielded { vip, to: by });
            }
            Verdict::Nothing => {}
        }
    }

    fn on_time(&mut self, now: Time, outputs: &mut Vec<Output>) {
        while let Some(due) = self.questions.next(now) {
            match due {
                Due::Ask(vip) => outputs.push(Output::Send(question(self.own, vip))),
                Due::Free(vip) => self.begin(now, vip, outputs),
            }
        }
        while let Some(vip) = self.conflicts.resumed(now) {
            self.begin(now, vip, outputs);
        }
        while let Some(vip) = self.handovers.over(now) {
            self.withdrawn(vip, outputs);
            outputs.push(Output::Silent(vip));
        }
        let frames = |vip: IpAddr| if vip.is_ipv4() { 2 } else { 1 };
        while let Some(vip) = self.announcements.next(now, frames) {
            outputs.extend(gratuitous(self.own, vip).into_iter().map(Output::Send));
        }
    }

    fn begin(&mut self, now: Time, vip: IpAddr, outputs: &mut Vec<Output>) {
        outputs.push(Output::Answering(vip));
        self.announcements.begin(now, vip);
    }
}

#[cfg(test)]
mod tests;
