//! The kubelet of every node, as far as the lab needs it: heartbeats; pods that run, are ready, and go when they are told to.
//!
//! A pod is one process of agnhost, with the arguments of its first container, in a namespace of its own. It is ready when its first
//! container port takes connections, unless its annotation `lab.portolan.dev/ready` is `false`. One that is deleted gets SIGTERM, goes on
//! until it ends or its grace period has passed, and is then taken from the API (`--delay-shutdown` of agnhost makes it serve meanwhile).
//! One of the host's network is run, and reported, by who created it.

use std::collections::{HashMap, HashSet};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::api::Api;
use crate::network::{NODES, Node, within};
use crate::scheduler;

mod heartbeat;
mod pod;

use pod::Pod;

/// Between two looks at the API server. A real kubelet takes about a second to act; no case waits for less.
const PACE: Duration = Duration::from_millis(100);

/// Makes a pod unready that could serve.
pub(crate) const READY: &str = "lab.portolan.dev/ready";

/// Those of all nodes, in a thread of their own, and the scheduler with them.
pub(crate) struct Kubelets {
    dead: Arc<Mutex<HashSet<Node>>>,
}

impl Kubelets {
    /// Registers the nodes and begins.
    pub(crate) fn start(api: Api, folder: PathBuf) -> Self {
        NODES.iter().for_each(|node| heartbeat::register(&api, *node));
        let dead = Arc::new(Mutex::new(HashSet::new()));
        let mut round = Round { api, folder, dead: dead.clone(), pods: HashMap::new(), beaten: None };
        std::thread::Builder::new()
            .name("kubelets".into())
            .spawn(move || {
                loop {
                    round.pass();
                    std::thread::sleep(PACE);
                }
            })
            .expect("a thread");
        Self { dead }
    }

    /// The kubelet of this node does nothing more: no heartbeats, and its pods run on whatever the API says.
    pub(crate) fn stop(&self, node: Node) {
        self.dead.lock().unwrap().insert(node);
    }

    /// It is back.
    pub(crate) fn resume(&self, node: Node) {
        self.dead.lock().unwrap().remove(&node);
    }

    /// All are.
    pub(crate) fn resume_all(&self) {
        self.dead.lock().unwrap().clear();
    }
}

struct Round {
    api: Api,
    folder: PathBuf,
    dead: Arc<Mutex<HashSet<Node>>>,
    /// By UID.
    pods: HashMap<String, Pod>,
    /// When all last had a heartbeat.
    beaten: Option<Instant>,
}

impl Round {
    fn pass(&mut self) {
        let dead = self.dead.lock().unwrap().clone();
        // Without an API server kubelets do nothing; pods run on.
        let (Some(nodes), Some(mut pods)) = (self.list("nodes"), self.list("pods")) else { return };
        if self.beaten.is_none_or(|at| at.elapsed() >= heartbeat::EVERY) {
            let living = NODES.into_iter().filter(|node| !dead.contains(node));
            living.for_each(|node| heartbeat::beat(&self.api, node, &nodes));
            self.beaten = Some(Instant::now());
        }
        scheduler::pass(&self.api, &nodes, &mut pods);
        self.remove_vanished(&pods, &dead);
        for object in &pods {
            if let Some(node) = object["spec"]["nodeName"].as_str().and_then(Node::named)
                && !dead.contains(&node)
            {
                self.step(node, object);
            }
        }
    }

    /// All objects of a kind; `None` if the API server does not answer.
    fn list(&self, kind: &str) -> Option<Vec<Value>> {
        let mut list = self.api.request(http::Method::GET, &format!("/api/v1/{kind}"), None).ok()?;
        serde_json::from_value(list["items"].take()).ok()
    }

    /// Those that were taken from the API by force.
    fn remove_vanished(&mut self, pods: &[Value], dead: &HashSet<Node>) {
        let known: HashSet<&str> = pods.iter().filter_map(|pod| pod["metadata"]["uid"].as_str()).collect();
        self.pods.retain(|uid, pod| {
            let stays = known.contains(uid.as_str()) || dead.contains(&pod.node);
            if !stays {
                pod.remove();
            }
            stays
        });
    }

    fn step(&mut self, node: Node, object: &Value) {
        let uid = object["metadata"]["uid"].as_str().expect("every object has one").to_owned();
        let deleted = !object["metadata"]["deletionTimestamp"].is_null();
        match self.pods.get_mut(&uid) {
            None if deleted => pod::forget(&self.api, object),
            None if object["spec"]["hostNetwork"] == true => {}
            None => {
                let taken: HashSet<u8> =
                    self.pods.values().filter(|pod| pod.node == node).map(|pod| pod.number).collect();
                let number = (2..=62).find(|number| !taken.contains(number)).expect("at most 61 pods a node");
                if let Some(pod) = Pod::start(&self.api, &self.folder, node, number, object) {
                    self.pods.insert(uid, pod);
                }
            }
            Some(pod) if deleted => {
                if pod.has_stopped(object) {
                    pod.remove();
                    pod::forget(&self.api, object);
                    self.pods.remove(&uid);
                }
            }
            Some(pod) => pod.report(&self.api, object),
        }
    }
}

/// Something takes connections there.
fn listens(node: Node, address: SocketAddr) -> bool {
    within(node.name(), || TcpStream::connect_timeout(&address, Duration::from_millis(200)).is_ok())
}
