//! One interface where something is announced: its sockets, its groups, and the state machine that says what to do with them.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::task::{Context, Poll};
use std::time::Duration;

use portolan_l2::frame::Payload;
use portolan_l2::{Frame, Input, Mac, Output, Responder, Time, filter};
use portolan_sys::packet::{Error, Protocol};
use portolan_sys::{AwaitedSocket, Groups, PacketSocket};

use crate::speaker::duty::{Asks, Place};
use crate::speaker::wire::TRY_AGAIN;

/// Frames taken from a socket before something else has its turn.
const AT_ONCE: usize = 64;
/// Octets of the longest frame that concerns us: an advertisement with an option is 86 long, and more options than that nobody sends.
const ROOM: usize = 512;
/// How long an address that a stranger has is left to him before the wire is asked again: as long as after a lost defence (RFC 5227 2.4 b).
const ASK_AGAIN: Duration = portolan_l2::conflict::SILENCE;

/// Why an address is not answered for here although it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Trouble {
    /// A stranger had it before we ever answered.
    Taken(Mac),
    /// A stranger insists on it.
    Yielded(Mac),
}

/// An interface at work.
#[derive(Debug)]
pub(crate) struct Segment {
    name: String,
    arp: AwaitedSocket,
    ipv6: AwaitedSocket,
    groups: Groups,
    /// When those that could not be joined are tried again.
    join_again: Option<Time>,
    responder: Responder,
    /// What is to be answered for.
    vips: BTreeSet<IpAddr>,
    troubles: BTreeMap<IpAddr, Trouble>,
    /// Of those that came last whether somebody has them is being asked: neither announced nor in trouble yet.
    asking: BTreeSet<IpAddr>,
    /// When the wire is asked again about those that were taken.
    again: BTreeMap<IpAddr, Time>,
    outputs: Vec<Output>,
    /// What was handed over and is answered for no more.
    silent: BTreeSet<IpAddr>,
    /// Troubles have come or gone, or a question has been answered.
    news: bool,
}

impl Segment {
    /// Opens the sockets; nothing comes through until something is announced. At most `pace` frames a second are sent that nobody has asked for.
    pub(crate) fn open(index: NonZeroU32, place: &Place, pace: u32) -> Result<Self, Error> {
        let open =
            |protocol| AwaitedSocket::new(PacketSocket::open(index, protocol, &filter::program([], filter::PREFIXES))?);
        Ok(Self {
            name: place.name.clone(),
            arp: open(Protocol::Arp)?,
            ipv6: open(Protocol::Ipv6)?,
            groups: Groups::new(index),
            join_again: None,
            responder: Responder::at_pace(place.mac, pace),
            vips: BTreeSet::new(),
            troubles: BTreeMap::new(),
            asking: BTreeSet::new(),
            again: BTreeMap::new(),
            outputs: Vec::new(),
            silent: BTreeSet::new(),
            news: false,
        })
    }

    pub(crate) fn announce(&mut self, now: Time, vips: &BTreeMap<IpAddr, Asks>) -> Result<(), Error> {
        self.vips.extend(vips.keys());
        // Before the first frame: an answer to a question of ours has to come through.
        self.filter()?;
        for (&vip, asks) in vips {
            // It is ours again, whatever was said of it a moment ago.
            self.silent.remove(&vip);
            if *asks == Asks::First && !self.troubles.contains_key(&vip) {
                self.asking.insert(vip);
            }
            self.step(now, &Input::Announced { vip, ask: *asks == Asks::First });
        }
        Ok(())
    }

    pub(crate) fn withdraw(&mut self, now: Time, vips: &BTreeSet<IpAddr>) {
        for vip in vips {
            self.vips.remove(vip);
            self.again.remove(vip);
            self.news |= self.asking.remove(vip);
            self.news |= self.troubles.remove(vip).is_some();
            self.step(now, &Input::Withdrawn(*vip));
        }
        if let Err(error) = self.filter() {
            tracing::debug!(interface = self.name, %error, "more frames come through than need to");
        }
    }

    /// These go to other nodes.
    pub(crate) fn hand_over(&mut self, now: Time, vips: &BTreeSet<IpAddr>) {
        for vip in vips {
            self.again.remove(vip);
            self.news |= self.asking.remove(vip);
            self.news |= self.troubles.remove(vip).is_some();
            self.step(now, &Input::HandedOver(*vip));
        }
    }

    /// What has been handed over and is answered for no more, since this was last asked; it is to be withdrawn, so that its frames are not let
    /// through any more.
    pub(crate) fn take_silent(&mut self) -> BTreeSet<IpAddr> {
        std::mem::take(&mut self.silent)
    }

    /// These are the stations of other nodes' speakers, and those of this node. Whoever was taken for a stranger and is one of them is not left in
    /// possession.
    pub(crate) fn know(&mut self, now: Time, fellows: &BTreeSet<Mac>, own: &BTreeSet<Mac>) {
        for (vip, trouble) in &self.troubles {
            if matches!(trouble, Trouble::Taken(by) if fellows.contains(by) || own.contains(by)) {
                self.again.insert(*vip, now);
            }
        }
        self.step(now, &Input::OwnStationsKnown(own.clone()));
        self.step(now, &Input::SpeakersKnown(fellows.clone()));
    }

    pub(crate) fn link_came_up(&mut self, now: Time) {
        self.step(now, &Input::LinkCameUp);
    }

    /// The kernel may have forgotten the groups.
    pub(crate) fn join_anew(&mut self, now: Time) {
        let done = self.groups.join_anew();
        self.joined(now, done);
    }

    /// Does what is due.
    pub(crate) fn on_time(&mut self, now: Time) {
        if self.join_again.is_some_and(|again| again <= now) {
            let done = self.groups.join_missing();
            self.joined(now, done);
        }
        let due: Vec<IpAddr> = self.again.iter().filter(|(_, at)| **at <= now).map(|(vip, _)| *vip).collect();
        for vip in due {
            self.again.remove(&vip);
            self.step(now, &Input::Announced { vip, ask: true });
        }
        self.step(now, &Input::TimePassed);
    }

    pub(crate) fn deadline(&self) -> Option<Time> {
        self.again.values().copied().chain(self.join_again).chain(self.responder.deadline()).min()
    }

    /// Ready once a frame may be there.
    pub(crate) fn poll_frame(&self, context: &mut Context<'_>) -> Poll<()> {
        // Both, so that both wake us.
        let polled = [&self.arp, &self.ipv6].map(|socket| socket.poll_frame(context).is_ready());
        if polled.contains(&true) { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Takes in the frames that are there.
    pub(crate) fn receive(&mut self, now: Time) {
        for is_arp in [true, false] {
            for _ in 0..AT_ONCE {
                let mut room = [0; ROOM];
                let socket = if is_arp { &self.arp } else { &self.ipv6 };
                let received = socket.receive(&mut room, Frame::read);
                match received {
                    Ok(Ok(frame)) => self.step(now, &Input::Received(&frame)),
                    Ok(Err(unread)) => tracing::trace!(interface = self.name, %unread, "a frame is left out"),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    // Told once, when the link goes down; netlink says so too.
                    Err(error) => tracing::debug!(interface = self.name, %error, "no frame"),
                }
            }
        }
    }

    /// Who has what is to be answered for here.
    pub(crate) fn troubles(&self) -> &BTreeMap<IpAddr, Trouble> {
        &self.troubles
    }

    /// Of which it is not known yet whether somebody else has them.
    pub(crate) fn asking(&self) -> &BTreeSet<IpAddr> {
        &self.asking
    }

    /// Whether any of that has changed since this was last asked.
    pub(crate) fn take_news(&mut self) -> bool {
        std::mem::take(&mut self.news)
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Each socket has what is of its family: the kernel has little memory for a filter.
    fn filter(&mut self) -> Result<(), Error> {
        for (socket, is_v4) in [(&mut self.arp, true), (&mut self.ipv6, false)] {
            let of_family = || self.vips.iter().copied().filter(|vip| vip.is_ipv4() == is_v4);
            let prefixes = socket.narrow(|most| filter::program(of_family(), most))?;
            tracing::debug!(interface = self.name, is_v4, prefixes, "filtered");
        }
        Ok(())
    }

    fn step(&mut self, now: Time, input: &Input<'_>) {
        let mut outputs = std::mem::take(&mut self.outputs);
        self.responder.step(now, input, &mut outputs);
        outputs.drain(..).for_each(|output| self.carry_out(now, output));
        self.outputs = outputs;
    }

    fn carry_out(&mut self, now: Time, output: Output) {
        let interface = self.name.as_str();
        match output {
            Output::Send(frame) => self.send(&frame),
            Output::Join(group) => {
                let done = self.groups.join(group);
                self.joined(now, done);
            }
            Output::Leave(group) => {
                if let Err(error) = self.groups.leave(group) {
                    tracing::debug!(interface, %group, %error, "a group was not left");
                }
            }
            Output::Answering(vip) => {
                tracing::debug!(%vip, interface, "answering");
                self.news |= self.asking.remove(&vip);
                if self.troubles.remove(&vip).is_some() {
                    self.news = true;
                    tracing::info!(%vip, interface, "the stranger is silent; answering again");
                }
            }
            Output::Taken { vip, by } => {
                self.news |= self.asking.remove(&vip);
                // Told once, not at each time that the wire is asked again.
                if self.troubles.insert(vip, Trouble::Taken(by)) != Some(Trouble::Taken(by)) {
                    self.news = true;
                    tracing::warn!(%vip, interface, %by, "a stranger has the address; it is not announced until he is gone");
                }
                self.again.insert(vip, now + ASK_AGAIN);
            }
            Output::Silent(vip) => {
                tracing::debug!(%vip, interface, "handed over");
                self.silent.insert(vip);
            }
            Output::Yielded { vip, to } => {
                tracing::warn!(%vip, interface, %to, "a stranger insists on the address; it is not announced until he is silent");
                self.troubles.insert(vip, Trouble::Yielded(to));
                self.news = true;
            }
        }
    }

    /// A frame that does not get out is as one that was lost on the wire: what matters is sent again.
    fn send(&self, frame: &Frame) {
        let socket = match frame.payload {
            Payload::Arp(_) => &self.arp,
            Payload::Ndp(_) => &self.ipv6,
        };
        if let Err(error) = socket.socket().send(&frame.write()) {
            tracing::debug!(interface = self.name, %error, "a frame was not sent");
        }
    }

    /// What came of joining groups. Told once, not at each attempt.
    fn joined(&mut self, now: Time, done: io::Result<()>) {
        let (interface, was_missing) = (self.name.as_str(), self.join_again.is_some());
        match done {
            Err(error) if !was_missing => {
                tracing::warn!(interface, %error, "who asks for IPv6 addresses may not be heard; it is tried again. Is IPv6 switched off there?");
            }
            Err(error) => tracing::debug!(interface, %error, "not all groups are joined"),
            Ok(()) if was_missing && !self.groups.lacks_some() => tracing::info!(interface, "all groups are joined"),
            Ok(()) => {}
        }
        self.join_again = self.groups.lacks_some().then(|| now + TRY_AGAIN);
    }
}
