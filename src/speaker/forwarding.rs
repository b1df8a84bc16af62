//! Announce only where the node forwards: which of the addresses that the node owns are announced, by what kube-proxy says of itself, and at the
//! health check ports of Services under `externalTrafficPolicy: Local` of the node's endpoints ([`checks`]).
//!
//! | kube-proxy | What is announced |
//! |---|---|
//! | has never answered (switched off, replaced by something else) | everything, at once; it is reported as unknown |
//! | is well | an address from [`APART`] after it was first owned, two answers so far apart, or as soon as its family's rules were written after that; [`LIMIT`] after it in any case |
//! | fails once | what is; what is new waits for the next answer |
//! | was there and fails twice in a row | it is reported, so that the addresses are ranked to other nodes and handed over; what has not been after [`GRACE`] is silent. But what has no heir whose node is better off is announced as if all were well |
//!
//! | is well, and a health check port of the address is not | what is new waits, for [`LIMIT`] at most; what fails is reported and handed over as if kube-proxy were not well, of this address alone |
//!
//! An heir is awaited for [`portolan_l2::handover::PATIENCE`] by the one who was there before, so [`LIMIT`] is well below that.

mod checks;
pub(crate) mod driver;
mod healthz;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use portolan_core::time::Time;

use crate::speaker::fellows::WorseOff;
use crate::speaker::ranks::{Owned, Owns};
use checks::{Check, Checks, Heard};

/// From one question to the next, if nothing new is there.
const PERIOD: Duration = Duration::from_secs(1);
/// So far apart are the two good answers that an address waits for: kube-proxy writes its rules at most once in a second
/// (`--iptables-min-sync-period`, `nftables.minSyncPeriod`), so what it knew of at the first is in force at the second.
const APART: Duration = Duration::from_secs(1);
/// From one question to the next, if something new is there.
const SOONEST: Duration = Duration::from_millis(200);
/// An address waits no longer while kube-proxy is well.
const LIMIT: Duration = Duration::from_secs(2);
/// How long what is announced where nothing is forwarded any more is left to the controller, who moves it without a gap: the rules of before are
/// still in force as a rule.
const GRACE: Duration = portolan_l2::handover::PATIENCE;

/// What kube-proxy has made known of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It is well.
    Healthy {
        /// When the rules of IPv4 were last written, if that is said.
        v4: Option<Time>,
        /// The same of IPv6.
        v6: Option<Time>,
    },
    /// It answers, and is not.
    Unhealthy,
    /// It does not answer.
    Nothing,
}

/// What is known of the node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Nothing is against it; so also of a speaker that is not to ask.
    #[default]
    Fine,
    /// Nobody has answered since the speaker began.
    Unknown,
    /// It does not, as far as can be told.
    NotForwarding,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Input<'a> {
    /// This node owns these.
    Ranked(&'a Arc<Owns>),
    /// What other nodes say that they do not forward.
    FellowsHeard(&'a Arc<WorseOff>),
    /// Kube-proxy's answer to the last question.
    Answered(Answer),
    /// The answer at a health check port.
    Checked(Check, Heard),
    TimePassed,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    /// Ask kube-proxy; [`Input::Answered`] is to follow.
    Ask,
    /// Ask at a health check port; [`Input::Checked`] is to follow.
    Check(Check),
    /// This is to be announced.
    Publish(Owns),
}

/// The state of it all.
#[derive(Debug, Default)]
pub(crate) struct Forwarding {
    proxy: Proxy,
    asked: Option<Time>,
    /// The answer is not there yet.
    asking: bool,
    ranked: Option<Arc<Owns>>,
    worse_off: Arc<WorseOff>,
    checks: Checks,
    /// What may not be announced yet.
    waiting: BTreeMap<IpAddr, Waiting>,
    /// What has been found to be forwarded here, also while another node has it: kube-proxy knows it all the time.
    cleared: BTreeSet<IpAddr>,
    /// What another node could have and this one does not forward any more, since when.
    doomed: BTreeMap<IpAddr, Time>,
    published: Option<Owns>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Proxy {
    #[default]
    Unasked,
    Absent,
    Fine,
    /// Failed once.
    Doubtful,
    /// Failed again.
    Broken,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    seen: Time,
    /// The version of its VirtualIP then.
    version: u64,
    /// When the first of kube-proxy's good answers since was asked for.
    first: Option<Time>,
    /// By what kube-proxy says, it is forwarded.
    written: bool,
}

impl Forwarding {
    pub(crate) fn step(&mut self, now: Time, input: Input<'_>, outputs: &mut Vec<Output>) {
        let is_to_be_judged = match input {
            Input::Ranked(owns) => {
                self.ranked(now, owns);
                true
            }
            Input::FellowsHeard(worse_off) => {
                self.worse_off = Arc::clone(worse_off);
                true
            }
            Input::Answered(answer) => {
                self.answered(now, answer);
                true
            }
            // Many come in a second, and hardly any is another than the one before.
            Input::Checked(check, heard) => self.checks.answered(check, heard),
            Input::TimePassed => self.next_judgement().is_some_and(|due| due <= now),
        };
        if is_to_be_judged {
            self.clear(now);
            self.doom(now);
            if let Some(owns) = self.ruling(now).filter(|owns| self.published.as_ref() != Some(owns)) {
                self.published = Some(owns.clone());
                outputs.push(Output::Publish(owns));
            }
        }
        if self.next_question().is_some_and(|due| due <= now) {
            (self.asked, self.asking) = (Some(now), true);
            outputs.push(Output::Ask);
        }
        if self.next_check().is_some_and(|due| due <= now) {
            outputs.extend(self.checks.take_due(now).map(Output::Check));
        }
    }

    /// When something is to be done although nobody has said anything.
    pub(crate) fn deadline(&self) -> Option<Time> {
        [self.next_judgement(), self.next_question(), self.next_check()].into_iter().flatten().min()
    }

    fn next_judgement(&self) -> Option<Time> {
        let limited = self.waiting.iter().filter(|(vip, _)| self.proxy == Proxy::Fine && !self.checks.fail(**vip));
        let limits = limited.map(|(_, waiting)| waiting.seen + LIMIT);
        // One that is over has been taken into account, and is not due again.
        let published = |vip: &IpAddr| self.published.as_ref().is_some_and(|owns| owns.addresses.contains_key(vip));
        let graces = self.doomed.iter().filter(|(vip, _)| published(vip)).map(|(_, since)| *since + GRACE);
        limits.chain(graces).min()
    }

    /// None while kube-proxy itself is in doubt, which says more.
    fn next_check(&self) -> Option<Time> {
        let is_in_doubt = matches!(self.proxy, Proxy::Unasked | Proxy::Doubtful | Proxy::Broken);
        self.checks.next_question().filter(|_| !is_in_doubt)
    }

    /// The health check ports that fail, and the addresses behind them.
    pub(crate) fn failed_checks(&self) -> BTreeMap<u16, BTreeSet<IpAddr>> {
        self.checks.failed()
    }

    /// What is known of the node.
    pub(crate) fn standing(&self) -> Standing {
        match self.proxy {
            Proxy::Unasked | Proxy::Fine | Proxy::Doubtful => Standing::Fine,
            Proxy::Absent => Standing::Unknown,
            Proxy::Broken => Standing::NotForwarding,
        }
    }

    fn ranked(&mut self, now: Time, owns: &Arc<Owns>) {
        self.checks.follow(&owns.checks);
        self.cleared.retain(|vip| owns.addresses.contains_key(vip) || owns.left.contains(vip));
        self.waiting.retain(|vip, _| owns.addresses.contains_key(vip));
        for (vip, owned) in &owns.addresses {
            if !self.cleared.contains(vip) {
                let waiting = Waiting { seen: now, version: owned.version, first: None, written: false };
                self.waiting.entry(*vip).or_insert(waiting);
            }
        }
        self.ranked = Some(Arc::clone(owns));
    }

    fn answered(&mut self, now: Time, answer: Answer) {
        self.asking = false;
        let before = self.proxy;
        self.proxy = match (before, answer) {
            (_, Answer::Healthy { .. }) => Proxy::Fine,
            (Proxy::Unasked | Proxy::Absent, Answer::Nothing) => Proxy::Absent,
            (Proxy::Unasked | Proxy::Absent | Proxy::Fine, Answer::Unhealthy) | (Proxy::Fine, Answer::Nothing) => {
                Proxy::Doubtful
            }
            (Proxy::Doubtful | Proxy::Broken, Answer::Unhealthy | Answer::Nothing) => Proxy::Broken,
        };
        if self.proxy != before {
            tracing::info!(?before, now = ?self.proxy, "kube-proxy of this node");
        }
        match answer {
            Answer::Healthy { v4, v6 } => self.heard_good(now, before, v4, v6),
            Answer::Unhealthy | Answer::Nothing => {
                self.waiting.values_mut().for_each(|waiting| (waiting.first, waiting.written) = (None, false));
            }
        }
    }

    fn heard_good(&mut self, now: Time, before: Proxy, v4: Option<Time>, v6: Option<Time>) {
        let asked = self.asked.unwrap_or(now);
        for (vip, waiting) in &mut self.waiting {
            // Before it was well the time did not run. One that has just been started says that it wrote its rules then, and has not.
            if before != Proxy::Fine {
                waiting.seen = asked;
            }
            let written = if vip.is_ipv4() { v4 } else { v6 };
            let is_written = written.is_some_and(|written| written > waiting.seen);
            let is_second = waiting.first.is_some_and(|first| asked.since(first) >= APART);
            waiting.written |= is_written || is_second;
            if asked >= waiting.seen {
                waiting.first.get_or_insert(asked);
            }
        }
    }

    /// What has waited for all that it waits for, or for long enough.
    fn clear(&mut self, now: Time) {
        let is_over = |(vip, waiting): &(&IpAddr, &Waiting)| match self.proxy {
            Proxy::Absent => true,
            Proxy::Fine if self.checks.fail(**vip) => false,
            Proxy::Fine => (waiting.written && self.checks.are_well(**vip)) || now.since(waiting.seen) >= LIMIT,
            Proxy::Unasked | Proxy::Doubtful | Proxy::Broken => false,
        };
        let over: BTreeSet<IpAddr> = self.waiting.iter().filter(is_over).map(|(vip, _)| *vip).collect();
        self.waiting.retain(|vip, _| !over.contains(vip));
        self.cleared.extend(over);
    }

    /// Nothing is forwarded here of what goes to the address.
    fn fails(&self, vip: IpAddr) -> bool {
        self.proxy == Proxy::Broken || self.checks.fail(vip)
    }

    fn doom(&mut self, now: Time) {
        let Some(ranked) = &self.ranked else { return };
        let is_doomed = |vip: &IpAddr| {
            self.fails(*vip) && ranked.addresses.get(vip).is_some_and(|owned| self.is_replaceable(*vip, owned))
        };
        let doomed = self.cleared.iter().filter(|vip| is_doomed(vip));
        self.doomed = doomed.map(|vip| (*vip, self.doomed.get(vip).copied().unwrap_or(now))).collect();
    }

    /// A node stands ready that has not said that it does not forward either.
    fn is_replaceable(&self, vip: IpAddr, owned: &Owned) -> bool {
        owned.heirs.iter().any(|heir| !self.worse_off.is(heir, vip))
    }

    /// What is announced of what is owned. What only waits for the next answer is as if it had not been heard of yet.
    fn ruling(&self, now: Time) -> Option<Owns> {
        let mut owns = Owns::clone(self.ranked.as_ref()?);
        for (vip, owned) in std::mem::take(&mut owns.addresses) {
            let fails = self.fails(vip);
            let waiting = self.waiting.get(&vip);
            let is_over = self.doomed.get(&vip).is_some_and(|since| now.since(*since) >= GRACE);
            match waiting {
                None if is_over => drop(owns.withheld.insert(vip)),
                None => drop(owns.addresses.insert(vip, owned)),
                Some(_) if fails && self.is_replaceable(vip, &owned) => drop(owns.withheld.insert(vip)),
                Some(_) if fails => drop(owns.addresses.insert(vip, owned)),
                Some(waiting) => {
                    owns.version = owns.version.min(waiting.version.saturating_sub(1));
                    owns.waiting.insert(vip);
                }
            }
        }
        Some(owns)
    }

    fn next_question(&self) -> Option<Time> {
        if self.asking {
            return None;
        }
        let Some(asked) = self.asked else { return Some(Time::default()) };
        let hurry = self.waiting.values().filter(|waiting| self.proxy == Proxy::Fine && !waiting.written);
        let wanted = hurry.map(|waiting| waiting.first.map_or(asked + SOONEST, |first| first + APART));
        wanted.chain([asked + PERIOD]).min()
    }
}

#[cfg(test)]
mod tests;
