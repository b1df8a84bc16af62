//! The account: one task that owns what the account holds and takes one request after the other, so that a rule that is checked still
//! holds when the emulator is asked.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{HeaderMap, Method};
use tokio::sync::mpsc;

use crate::adopt;
use crate::caller::{Scope, Service};
use crate::double::{HAND, Shared};
use crate::estate::Estate;
use crate::faults::{self, Effect};
use crate::inventory::Inventory;
use crate::log::{self, Call, Outcome};
use crate::play::{self, Stage};
use crate::query::Query;
use crate::refusal::Refusal;
use crate::server::Errand;
use crate::throttle::Levels;
use crate::upstream::Upstream;

/// A request as it arrived.
#[derive(Debug)]
pub(crate) struct Arrived {
    pub(crate) scope: Scope,
    pub(crate) action: String,
    pub(crate) query: Query,
    pub(crate) effects: Vec<Effect>,
    /// Why the gate does not let it in.
    pub(crate) turned_away: Option<Refusal>,
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// What the server sends.
#[derive(Debug)]
pub(crate) enum Reply {
    Answer {
        status: u16,
        content_type: String,
        body: Bytes,
    },
    /// Nothing: the connection is closed.
    Silence,
}

/// An answer before it is sent, and what the request turned out to be about.
#[derive(Debug)]
struct Answered {
    outcome: Outcome,
    reply: Reply,
    about: Vec<String>,
}

pub(crate) struct Account {
    upstream: Upstream,
    shared: Shared,
    regions: BTreeMap<String, Region>,
    requests: u64,
}

#[derive(Default)]
struct Region {
    estate: Estate,
    levels: Levels,
}

impl Account {
    pub(crate) fn new(upstream: Upstream, shared: Shared) -> Self {
        Self { upstream, shared, regions: BTreeMap::new(), requests: 0 }
    }

    /// Serves requests until nobody can send any more.
    pub(crate) async fn serve(mut self, mut inbox: mpsc::Receiver<Errand>) {
        while let Some(errand) = inbox.recv().await {
            match errand {
                Errand::Request(arrived, reply) => {
                    let answer = self.exchange(*arrived).await;
                    // A client that hung up meanwhile: the call took effect all the same.
                    let _ = reply.send(answer);
                }
                Errand::Look(region, reply) => {
                    let estate = self.regions.get(&region).map(|region| &region.estate);
                    let _ = reply.send(estate.map(Inventory::of).unwrap_or_default());
                }
            }
        }
    }

    async fn exchange(&mut self, arrived: Arrived) -> Reply {
        self.requests += 1;
        let request = format!("{:08x}-0000-4000-8000-{:012x}", std::process::id(), self.requests);
        let service = arrived.scope.service.clone();
        let has = |effect: &Effect| arrived.effects.contains(effect);
        let (cut_off, lose, error_after) = (has(&Effect::CutOff), has(&Effect::LoseResponse), has(&Effect::ErrorAfter));
        let played = if cut_off { Err(None) } else { self.play(&arrived, &request).await.map_err(Some) };
        let mut principals = log::principals(&arrived.query);
        let (outcome, reply) = match played {
            Err(None) => (Outcome::Cut, Reply::Silence),
            // There is nothing to lose but the refusal.
            Err(Some(_)) if lose => (Outcome::Cut, Reply::Silence),
            Err(Some(refusal)) => {
                let outcome = Outcome::Refused { code: refusal.code.clone(), status: refusal.status, effect: false };
                (outcome, refused(&refusal, &service, &request))
            }
            Ok(answered) => {
                principals.extend(answered.about);
                if lose {
                    (Outcome::Lost, Reply::Silence)
                } else if error_after {
                    let refusal = faults::internal_error(&service);
                    let outcome = Outcome::Refused { code: refusal.code.clone(), status: refusal.status, effect: true };
                    (outcome, refused(&refusal, &service, &request))
                } else {
                    (answered.outcome, answered.reply)
                }
            }
        };
        principals.dedup();
        self.shared.log.write(Call {
            number: 0, // the log gives it
            at: self.shared.clock.now(),
            service,
            action: arrived.action,
            caller: arrived.scope.caller,
            region: arrived.scope.region,
            query: arrived.query,
            principals,
            outcome,
        });
        reply
    }

    async fn play(&mut self, arrived: &Arrived, request: &str) -> Result<Answered, Refusal> {
        let service = &arrived.scope.service;
        let now = self.shared.clock.now();
        if let Some(refusal) = &arrived.turned_away {
            return Err(refusal.clone());
        }
        if let Some(refusal) = arrived.effects.iter().find_map(|effect| effect.refusal_before(service)) {
            return Err(refusal);
        }
        let new = !self.regions.contains_key(&arrived.scope.region);
        let region = self.regions.entry(arrived.scope.region.clone()).or_default();
        region.levels.take(&self.shared.buckets, service, arrived.query.action(), now)?;
        let mut stage = Stage {
            estate: &mut region.estate,
            upstream: &self.upstream,
            shared: &self.shared,
            region: &arrived.scope.region,
            now,
            cut: arrived.effects.iter().find_map(page_cut),
            request,
        };
        if new && self.shared.adopt {
            adopt::region(&mut stage).await?;
        }
        if arrived.scope.caller.access_key != HAND {
            self.shared.permissions.check(&stage, &arrived.scope, &arrived.query).await?;
        }
        let document = match service {
            Service::ElasticLoadBalancing => play::elb(&mut stage, &arrived.query).await?,
            Service::Ec2 => play::ec2::play(&mut stage, &arrived.query).await?,
            Service::Other(_) => {
                let raw = self
                    .upstream
                    .pass(arrived.method.clone(), &arrived.path, arrived.headers.clone(), arrived.body.clone())
                    .await?;
                let status = raw.status.as_u16();
                // Other services have other words for what went wrong; they are in the answer.
                let refused = Outcome::Refused { code: String::new(), status, effect: false };
                let outcome = if raw.status.is_success() { Outcome::Answered } else { refused };
                let reply = Reply::Answer { status, content_type: raw.content_type, body: raw.body };
                return Ok(Answered { outcome, reply, about: Vec::new() });
            }
        };
        let about = play::created(arrived.query.action(), &document);
        Ok(Answered { outcome: Outcome::Answered, reply: xml(200, &document.document()), about })
    }
}

fn page_cut(effect: &Effect) -> Option<usize> {
    if let Effect::CutPages(most) = effect { Some(*most) } else { None }
}

fn refused(refusal: &Refusal, service: &Service, request: &str) -> Reply {
    xml(refusal.status, &refusal.document(service, request).document())
}

fn xml(status: u16, document: &str) -> Reply {
    Reply::Answer { status, content_type: "text/xml".to_owned(), body: Bytes::from(document.to_owned()) }
}
