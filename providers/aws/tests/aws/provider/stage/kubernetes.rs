//! What Kubernetes has: Services with their endpoints, nodes, and the record of each Service.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use portolan_core::balancer::{LoadBalancer, Protocol, Published};
use portolan_core::desire::{self, Candidate, Desired, Input, desire, member};
use portolan_core::examples;
use portolan_core::facts::{self, Claim, Facts, Nothing};
use portolan_core::ids::{LoadBalancerId, ProviderName, Uid};
use portolan_core::provider::{Known, Outcome, Provider};
use portolan_core::record::Record;
use portolan_core::refusal::Refusal;
use portolan_core::share::Consents;
use portolan_core::snapshot::{Node, Service, Slice, SlicePort};
use portolan_core::terms::Terms;

use super::Stage;
use crate::emulated::REGION;

/// A Service, what Kubernetes keeps of it, and its record.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub(crate) service: Service,
    pub(crate) slices: Vec<Arc<Slice>>,
    pub(crate) deleted: bool,
    /// `external` of the record.
    pub(crate) external: BTreeMap<String, String>,
    pub(super) terms: Option<Terms>,
    pub(crate) published: Vec<Published>,
    pub(crate) outcome: Option<Outcome>,
}

/// What a provider may read of the cluster.
#[derive(Debug, Default)]
pub(super) struct Cluster {
    /// The EndpointSlices of all Services, by the Service's name.
    slices: Mutex<BTreeMap<String, Arc<Slice>>>,
    /// The records that the process began with, where a case says so.
    records: Mutex<Option<Arc<Vec<Arc<Record>>>>>,
}

impl Facts for Cluster {
    fn nodes(&self) -> Arc<Vec<Arc<Node>>> {
        Nothing.nodes()
    }

    fn records(&self) -> Option<Arc<Vec<Arc<Record>>>> {
        self.records.lock().unwrap().clone()
    }

    fn claims(&self, addresses: &BTreeSet<IpAddr>) -> Vec<Claim> {
        facts::claims(self.slices.lock().unwrap().values(), addresses)
    }
}

impl Stage {
    pub(crate) fn add(&mut self, service: Service) {
        let kept = Kept {
            slices: Vec::new(),
            deleted: false,
            external: BTreeMap::new(),
            terms: None,
            published: Vec::new(),
            outcome: None,
            service,
        };
        self.kept.insert(kept.service.key.name.clone(), kept);
    }

    pub(crate) fn edit(&mut self, name: &str, edit: impl FnOnce(&mut Service)) {
        edit(&mut self.kept.get_mut(name).unwrap().service);
    }

    pub(crate) fn delete(&mut self, name: &str) {
        self.kept.get_mut(name).unwrap().deleted = true;
    }

    /// The ready pods of a Service, by address and UID. They listen on the numbers of the Service's ports.
    pub(crate) fn pods(&mut self, name: &str, pods: &[(IpAddr, &str)]) {
        let staying: Vec<_> = pods.iter().map(|(address, uid)| (*address, *uid, false)).collect();
        self.endpoints(name, &staying);
    }

    /// The same; some of them terminate, and serve no more.
    pub(crate) fn endpoints(&mut self, name: &str, pods: &[(IpAddr, &str, bool)]) {
        let kept = self.kept.get_mut(name).unwrap();
        let endpoints = pods.iter().map(|(address, uid, terminating)| {
            let mut endpoint = examples::endpoint(*address, None);
            endpoint.pod = Some(Uid::new(*uid));
            if *terminating {
                (endpoint.ready, endpoint.serving, endpoint.terminating) = (false, false, true);
            }
            endpoint
        });
        let family = kept.service.families[0];
        let mut slice = Slice::clone(&examples::slice(&kept.service, name, family, endpoints.collect()));
        slice.ports = kept
            .service
            .ports
            .iter()
            .map(|port| SlicePort { name: port.name.clone(), protocol: port.key.protocol, port: port.key.port })
            .collect();
        let slice = Arc::new(slice);
        self.cluster.slices.lock().unwrap().insert(name.to_owned(), Arc::clone(&slice));
        kept.slices = vec![slice];
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.kept.keys().cloned().collect()
    }

    pub(crate) fn id(&self, name: &str) -> LoadBalancerId {
        LoadBalancerId::new(self.kept[name].service.uid.as_str())
    }

    /// What is to be built; or why nothing can be.
    pub(crate) fn desired(&self, name: &str) -> Result<(LoadBalancer, Terms), Refusal> {
        let kept = &self.kept[name];
        let candidate = Candidate {
            member: member(&kept.service),
            service: Some(&kept.service),
            slices: &kept.slices,
            gated: &[],
            joined: kept.terms.is_some(),
            held: None,
        };
        let Desired { mut load_balancer, terms, refused, .. } = desire(&Input {
            id: &self.id(name),
            class: &self.class,
            capabilities: self.nlb().capabilities(),
            dialect: self.nlb().dialect(),
            candidates: &[candidate],
            nodes: &self.nodes,
            terms: kept.terms.as_ref(),
            settings: &desire::Settings::default(),
            consents: &Consents::default(),
        });
        load_balancer.published.clone_from(&kept.published);
        match refused.into_values().next() {
            Some(refusal) => Err(refusal),
            None => Ok((load_balancer, terms)),
        }
    }

    pub(crate) fn known(&self, name: &str) -> Known {
        Known { id: self.id(name), external: self.kept[name].external.clone() }
    }

    /// The next process begins with the records that there are now.
    pub(super) fn keep_records(&self) {
        let record = |kept: &Kept| Record {
            provider: ProviderName::new("aws"),
            parameters: self.class.parameters.clone(),
            external: kept.external.clone(),
            ..examples::record(&kept.service, "portolan.dev/aws")
        };
        let records = self.kept.values().map(|kept| Arc::new(record(kept))).collect();
        *self.cluster.records.lock().unwrap() = Some(Arc::new(records));
    }
}

/// A node on this instance.
pub(crate) fn node(number: usize, instance: &str) -> Arc<Node> {
    let address = IpAddr::from([10, 0, 100, u8::try_from(10 + number).unwrap()]);
    let mut node = examples::node(&format!("node-{number}"), &[address]);
    node.provider_id = Some(format!("aws:///{REGION}a/{instance}"));
    Arc::new(node)
}

/// A Service with so many TCP ports, from 80 on.
pub(crate) fn service(name: &str, ports: u16) -> Service {
    let port = |index: u16| examples::port(&format!("p{index}"), 80 + index, Protocol::Tcp, Some(30080 + index));
    Service { ports: (0..ports).map(port).collect(), ..examples::service(name) }
}

/// Says something in AWS's own words, without their prefix.
pub(crate) fn annotate(service: &mut Service, key: &str, value: &str) {
    service.annotations.insert(format!("service.beta.kubernetes.io/aws-load-balancer-{key}"), value.to_owned());
}
