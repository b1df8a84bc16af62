//! The index and the queue against a naive oracle: many random histories of a cluster, of which the watches tell late, in part or
//! anew, while passes write and processes die.
//!
//! What must hold in every history:
//!
//! - a snapshot never shows one of our acknowledged writes undone, unless the watch has shown its end or a list lacked it;
//! - whatever has changed since a key's last snapshot, the key is owed another (no lost wake-up), and it gets it;
//! - one key never runs twice at once;
//! - an object that cannot be decoded is never taken for deleted;
//! - once everything has been told, the index holds what the server holds;
//! - a list of what is known already wakes nobody.

mod edits;
mod passes;
mod relevant;
mod server;
mod watches;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use portolan_core::time::Time;

use portolan_core::ids::{ClassName, Instance};
use portolan_core::share::Share;

use super::objects::{CLASS, is_claimed};
use passes::{Pass, Promise, process};
use relevant::Relevant;
use server::Kind;

use super::*;
use crate::cluster::queue::{Input, Queue, Verdict};
use crate::cluster::random::Random;

/// How many histories; `PORTOLAN_MODEL_SEQUENCES` says otherwise.
const SEQUENCES: u64 = 100_000;
/// How many random things happen in each, before it is brought to its end.
const STEPS: u64 = 48;
/// No key waits longer for a pass that it is owed: the longest pause after failures, and what rounding adds.
const PATIENCE: Duration = Duration::from_secs(70);

#[test]
fn the_index_agrees_with_the_server_and_loses_no_wake_up() {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let sequences = number("PORTOLAN_MODEL_SEQUENCES").unwrap_or(SEQUENCES);
    let seeds = number("PORTOLAN_MODEL_SEED").map_or(0..sequences, |seed| seed..seed + 1);
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut counts = Counts::default();
    std::thread::scope(|scope| {
        let shares: Vec<_> = (0..threads)
            .map(|share| seeds.clone().skip(share).step_by(threads))
            .map(|seeds| scope.spawn(|| histories(seeds)))
            .collect();
        for share in shares {
            counts.add(&share.join().expect("a history failed; above is how to replay it"));
        }
    });
    println!("{sequences} sequences: {counts:?}");
    if seeds.end - seeds.start >= 1000 {
        let Counts { edits, events, lists, unreadable, passes, writes, conflicts, dropped, overtaken, crashes, owed } =
            counts;
        let all = [edits, events, lists, unreadable, passes, writes, conflicts, dropped, overtaken, crashes, owed];
        let least = all.into_iter().min();
        assert!(least > Some(sequences / 400), "something hardly ever happens");
    }
}

fn histories(seeds: impl Iterator<Item = u64>) -> Counts {
    let mut counts = Counts::default();
    for seed in seeds {
        let _replay = Replay(seed);
        let mut world = World::new(seed);
        for _ in 0..STEPS {
            world.something_happens();
        }
        world.ends_well();
        counts.add(&world.counts);
    }
    counts
}

/// Says how to replay the history that fails.
struct Replay(u64);

impl Drop for Replay {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("replay with PORTOLAN_MODEL_SEED={}", self.0);
        }
    }
}

/// How often what happened.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    edits: u64,
    events: u64,
    lists: u64,
    unreadable: u64,
    passes: u64,
    writes: u64,
    conflicts: u64,
    /// Own writes that a list lacked.
    dropped: u64,
    /// Own writes of which the answer arrived after a list that showed their end.
    overtaken: u64,
    crashes: u64,
    /// Keys owed a snapshot when everything had been told.
    owed: u64,
}

impl Counts {
    fn add(&mut self, other: &Self) {
        self.edits += other.edits;
        self.events += other.events;
        self.lists += other.lists;
        self.unreadable += other.unreadable;
        self.passes += other.passes;
        self.writes += other.writes;
        self.conflicts += other.conflicts;
        self.dropped += other.dropped;
        self.overtaken += other.overtaken;
        self.crashes += other.crashes;
        self.owed += other.owed;
    }
}

/// The load balancers of all shares that there can be.
fn shares() -> BTreeSet<LoadBalancerId> {
    let share = |namespace: &str| Share { namespace: namespace.to_owned(), name: "x".to_owned() };
    let id = |namespace| Instance::default().load_balancer_of_share(&ClassName::new(CLASS), &share(namespace));
    ["shop", "mall"].map(id).into()
}

struct World {
    random: Random,
    // The server.
    version: u64,
    uids: u64,
    services: Kind<Versioned<Service>>,
    slices: Kind<Arc<Slice>>,
    nodes: Kind<Arc<Node>>,
    records: Kind<Arc<Record>>,
    namespaces: Kind<Arc<Namespace>>,
    // The process.
    index: Index,
    queue: Queue<LoadBalancerId>,
    now: Time,
    passes: BTreeMap<LoadBalancerId, Pass>,
    /// The kind whose watch is far behind.
    slow: u64,
    // The oracle.
    /// What each key's last pass knew when it ended: its snapshot, with its own writes.
    known: BTreeMap<LoadBalancerId, Snapshot>,
    /// Keys that must still be handed out.
    owed: BTreeSet<LoadBalancerId>,
    service_promises: BTreeMap<ServiceKey, Promise>,
    record_promises: BTreeMap<LoadBalancerId, Promise>,
    /// Lists told since the process began, by kind.
    listed: [u64; 5],
    /// Services in the list under way that cannot be decoded, and of which there is an earlier reading.
    unreadable: Vec<ServiceKey>,
    all_ids: BTreeSet<LoadBalancerId>,
    counts: Counts,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let (index, queue) = process(random.number());
        let slow = random.below(8); // 4 to 7: none
        let mut world = Self {
            random,
            version: 0,
            uids: 0,
            services: Kind::default(),
            slices: Kind::default(),
            nodes: Kind::default(),
            records: Kind::default(),
            namespaces: Kind::default(),
            index,
            queue,
            now: Time::default(),
            passes: BTreeMap::new(),
            slow,
            known: BTreeMap::new(),
            owed: BTreeSet::new(),
            service_promises: BTreeMap::new(),
            record_promises: BTreeMap::new(),
            listed: [0; 5],
            unreadable: Vec::new(),
            all_ids: shares(),
            counts: Counts::default(),
        };
        for _ in 0..world.random.below(8) {
            world.somebody_edits();
        }
        world.process_starts();
        world
    }

    fn something_happens(&mut self) {
        self.now = self.now + Duration::from_millis(self.random.below(700));
        match self.random.below(100) {
            0..13 => self.somebody_edits(),
            13..52 => self.watch_tells(),
            52..91 => self.some_pass_goes_on(),
            91..93 => self.some_list_begins(),
            93 => self.queue_step(Input::Tick),
            94 => {
                let leads = self.random.below(3) > 0;
                self.queue_step(Input::Paused(!leads));
            }
            95..99 => self.a_list_overtakes_an_answer(),
            _ if self.random.below(2) == 0 => self.process_dies(),
            _ => {}
        }
    }

    fn pick(&mut self, count: usize) -> usize {
        usize::try_from(self.random.below(u64::try_from(count).unwrap())).unwrap()
    }

    fn ends_well(&mut self) {
        self.everything_becomes_readable();
        self.everything_is_told();
        self.the_index_holds_what_the_server_holds();
        self.everybody_is_where_the_rule_says();
        self.nobody_who_missed_something_sleeps();
        self.whoever_is_owed_a_pass_gets_one();
        self.a_list_of_the_same_wakes_nobody();
    }

    /// Where each Service of the index belongs, by the core's rule alone.
    fn everybody_is_where_the_rule_says(&self) {
        let asks = |service: &&Service| {
            is_claimed(service) && service.annotations.contains_key(portolan_core::share::SHARE_ANNOTATION)
        };
        let services: Vec<_> = self.services.objects().map(|service| Arc::clone(&service.object)).collect();
        let services: Vec<&Service> = services.iter().map(AsRef::as_ref).filter(asks).collect();
        let records: Vec<&Record> = self.records.objects().map(AsRef::as_ref).collect();
        let records: Vec<&Record> = records
            .into_iter()
            .filter(|record| record.instance == Instance::default() && record.share.is_some())
            .collect();
        let consents = self.namespaces.objects().map(|one| (one.name.clone(), one.share_with.clone())).collect();
        let class = ClassName::new(CLASS);
        let on_the_way = self.passes.values().flat_map(|pass| {
            let here = |(key, place): &(&ServiceKey, &LoadBalancerId)| {
                **place == pass.snapshot.id
                    && portolan_core::share::asked(&pass.snapshot.services[*key].object).is_some()
            };
            let uid = |(key, place): (&ServiceKey, &LoadBalancerId)| {
                (pass.snapshot.services[key].object.uid.clone(), place.clone())
            };
            pass.snapshot.placed.iter().filter(here).map(uid)
        });
        let on_the_way = on_the_way.collect();
        let placed =
            portolan_core::share::place(&Instance::default(), &class, "x", &services, &records, &on_the_way, &consents);
        for service in self.services.objects().map(|service| &service.object) {
            let alone = Instance::default().load_balancer_of(&service.uid);
            assert_eq!(self.index.place_of(service), placed.get(&service.uid).cloned().unwrap_or(alone));
        }
    }

    fn everything_becomes_readable(&mut self) {
        for service in self.services.objects().cloned().collect::<Vec<_>>() {
            self.put_service((*service.object).clone(), true);
        }
        for slice in self.slices.objects().cloned().collect::<Vec<_>>() {
            let version = self.next_version();
            self.slices.put(version, slice, true);
        }
        for node in self.nodes.objects().cloned().collect::<Vec<_>>() {
            let version = self.next_version();
            self.nodes.put(version, node, true);
        }
        for namespace in self.namespaces.objects().cloned().collect::<Vec<_>>() {
            let version = self.next_version();
            self.namespaces.put(version, namespace, true);
        }
        for record in self.records.objects().cloned().collect::<Vec<_>>() {
            self.put_record((*record).clone(), true);
        }
    }

    /// Every pass ends and every event arrives, in any order among the kinds.
    fn everything_is_told(&mut self) {
        self.queue_step(Input::Paused(true));
        loop {
            let told = match self.random.below(6) {
                0 => self.services_tell(),
                1 => self.slices_tell(),
                2 => self.nodes_tell(),
                3 => self.records_tell(),
                4 => self.namespaces_tell(),
                _ => self.passes.pop_first().map(|(id, pass)| self.pass_ends(&id, pass)).is_some(),
            };
            let idle = self.services.tell_is_over() && self.slices.tell_is_over() && self.nodes.tell_is_over();
            let idle = idle && self.namespaces.tell_is_over();
            if !told && idle && self.records.tell_is_over() && self.passes.is_empty() {
                self.nodes_have_settled();
                return;
            }
        }
    }

    fn the_index_holds_what_the_server_holds(&self) {
        let services = |objects: &mut dyn Iterator<Item = &Versioned<Service>>| -> Vec<_> {
            objects.map(|service| (service.version.clone(), Arc::clone(&service.object))).collect()
        };
        assert_eq!(services(&mut self.index.services.iter()), services(&mut self.services.objects()));
        assert!(self.index.slices.iter().eq(self.slices.objects()));
        assert!(self.index.nodes.iter().eq(self.nodes.objects()));
        assert!(self.index.namespaces.iter().eq(self.namespaces.objects()));
        assert_eq!(self.index.records.iter().collect::<Vec<_>>(), self.records.objects().collect::<Vec<_>>());
    }

    fn nobody_who_missed_something_sleeps(&mut self) {
        for id in self.all_ids.clone() {
            let now = Relevant::of(&self.index.snapshot(&id));
            let known = self.known.get(&id).map(Relevant::of).unwrap_or_default();
            assert!(now == known || self.owed.contains(&id), "{id} sleeps, although {known:#?} became {now:#?}");
        }
        self.counts.owed += u64::try_from(self.owed.len()).unwrap();
    }

    fn whoever_is_owed_a_pass_gets_one(&mut self) {
        self.queue_step(Input::Paused(false));
        let began = self.now;
        loop {
            while let Some((id, pass)) = self.passes.pop_first() {
                self.pass_ends(&id, Pass { verdict: Some(Verdict::Done), ..pass });
            }
            if self.owed.is_empty() {
                return;
            }
            let deadline = self.queue.deadline();
            self.now = self.now.max(deadline.expect("a key is owed a pass, and nothing will start it"));
            assert!(self.now.since(began) <= PATIENCE, "{:?} are owed a pass for too long", self.owed);
            self.queue_step(Input::Tick);
        }
    }

    fn a_list_of_the_same_wakes_nobody(&mut self) {
        self.services.begin_list(&mut self.random);
        self.slices.begin_list(&mut self.random);
        self.nodes.begin_list(&mut self.random);
        self.records.begin_list(&mut self.random);
        self.namespaces.begin_list(&mut self.random);
        while self.services_tell()
            || self.slices_tell()
            || self.nodes_tell()
            || self.records_tell()
            || self.namespaces_tell()
        {}
        self.nodes_have_settled();
        assert!(self.owed.is_empty(), "a list of the same has woken {:?}", self.owed);
    }
}
