//! What users of the mock may rely on, rule by rule.

use std::net::SocketAddr;

use futures::{FutureExt, StreamExt};
use portolan_core::balancer::{
    Family, HealthCheck, IpMode, Listener, Member, NodeTarget, PortKey, Protocol, Published, Scheme, SourceRanges,
    Targets,
};
use portolan_core::ids::{ClassName, NodeName, Uid};
use portolan_core::provider::{ErrorKind, Known, Verdict};
use portolan_core::snapshot::ConditionStatus;
use serde_json::json;

use super::*;
use crate::addresses::Owner;
use crate::clock::ManualClock;
use crate::faults::{self, Fault, WAIT};
use crate::picture::picture;
use crate::state::Balancer;

mod addresses;
mod claims;
mod cost;
mod faulty;
mod files;
mod replaces;
mod status;

/// A world, a class in it, and the runtime's loop around them.
struct Scene {
    store: Store,
    clock: ManualClock,
    mock: Mock,
}

/// What a pass of the runtime came to.
#[derive(Debug)]
struct Pass {
    steps: Vec<String>,
    outcome: Outcome,
    error: Option<Error>,
}

impl Scene {
    fn new(parameters: &serde_json::Value) -> Self {
        Self::on(Store::memory(), "", parameters)
    }

    fn on(store: Store, instance: &str, parameters: &serde_json::Value) -> Self {
        let clock = ManualClock::default();
        let parameters = Parameters::parse(parameters).unwrap();
        let instance = Instance::parse(instance).unwrap();
        let mock = Mock::new(parameters, store.clone(), instance, Arc::new(clock.clone()));
        Self { store, clock, mock }
    }

    fn restarted(&self) -> Self {
        Self::on(self.store.clone(), "", &json!({}))
    }

    fn observe(&self, id: &str) -> Result<State, Error> {
        self.mock
            .observe_many(&[Known::nothing_of(LoadBalancerId::new(id))])
            .now_or_never()
            .expect("nothing to wait for")
            .remove(0)
    }

    fn apply(&self, id: &str, step: &Step) -> Result<Applied, Error> {
        let call = Call { id: LoadBalancerId::new(id), members: Vec::new(), external: BTreeMap::new() };
        self.mock.apply(step, &call).now_or_never().expect("nothing to wait for")
    }

    /// One pass: observe, plan, apply. What it wants published is not published yet.
    fn pass(&self, id: &str, desired: Option<&LoadBalancer>) -> Pass {
        let state = self.observe(id).unwrap();
        let plan = self.mock.plan(desired, &state).unwrap();
        let mut steps = Vec::new();
        let mut error = None;
        for step in plan.steps {
            match self.apply(id, &step) {
                Ok(_) => steps.push(step.to_string()),
                Err(failed) => {
                    error = Some(failed);
                    break;
                }
            }
        }
        let outcome = self.mock.outcome(desired, &self.observe(id).unwrap());
        Pass { steps, outcome, error }
    }

    /// Passes until nothing is left to do or something fails; the status follows.
    fn settle(&self, desired: &mut LoadBalancer) -> Pass {
        for _ in 0..20 {
            let pass = self.pass(desired.id.as_str(), Some(desired));
            let published = pass.outcome.published != desired.published;
            desired.published.clone_from(&pass.outcome.published);
            if pass.error.is_some() || (pass.steps.is_empty() && !published) {
                return pass;
            }
        }
        panic!("does not settle");
    }

    fn delete(&self, id: &str) {
        assert_eq!(self.pass(id, None).error, None);
        assert_eq!(self.observe(id), Ok(State::Absent));
    }

    fn arm(&self, name: &str, on: &str, effect: &str) {
        let fault =
            Fault { on: on.parse().unwrap(), id: None, times: None, at_call: None, effect: effect.parse().unwrap() };
        faults::add(&self.store, name, &fault).unwrap();
    }
}

fn desired(id: &str) -> LoadBalancer {
    LoadBalancer {
        id: LoadBalancerId::new(id),
        class: ClassName::new("portolan.dev/mock"),
        held: Vec::new(),
        following: Vec::new(),
        members: vec![Member { uid: Uid::new(id), namespace: "default".into(), name: id.into() }],
        families: vec![Family::V4],
        requested: Vec::new(),
        scheme: None,
        listeners: vec![listener(80, &["a"])],
        source_ranges: SourceRanges::All,
        allow_downtime: false,
        nodes: vec![node("a"), node("b")],
        settings: BTreeMap::new(),
        published: Vec::new(),
    }
}

fn listener(port: u16, nodes: &[&str]) -> Listener {
    Listener {
        key: PortKey { port, protocol: Protocol::Tcp },
        name: String::new(),
        service: Uid::new("uid"),
        targets: Targets::Nodes { node_port: 30080, nodes: nodes.iter().map(|name| NodeName::new(*name)).collect() },
        has_endpoints: !nodes.is_empty(),
        health_check: HealthCheck::Http { port: 10256, path: "/healthz".into() },
        session_affinity: None,
    }
}

fn node(name: &str) -> NodeTarget {
    NodeTarget { name: NodeName::new(name), addresses: Vec::new(), provider_id: None, labels: Arc::default() }
}

fn ips(published: &[Published]) -> Vec<String> {
    let ip = |entry: &Published| match entry {
        Published::Ip { ip, mode: _ } => ip.to_string(),
        Published::Hostname { hostname } => hostname.clone(),
    };
    published.iter().map(ip).collect()
}

/// A folder of its own, gone with the test.
struct Folder(std::path::PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("portolan-mock-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn scene(&self) -> Scene {
        Scene::on(Store::folder(&self.0), "", &json!({}))
    }

    /// Puts a FIFO there, with nobody at its other end: opening it blocks for ever.
    fn fifo(&self, piece: &str) {
        let path = self.0.join(piece);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let _ = std::fs::remove_file(&path);
        assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
