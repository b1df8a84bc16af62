//! One Service and its load balancer in the double: what a rule is tried on.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use portolan_aws::model::{self, Model};
use portolan_aws::state::{Admitted, Health, State};
use portolan_aws::step::Api;
use portolan_aws::{Parameters, Step, outcome, plan};
use portolan_core::balancer::{
    Family, HealthCheck, Listener, LoadBalancer, Member, NodeTarget, PodEndpoint, PortKey, Protocol, Scheme,
    SourceRanges, Targets,
};
use portolan_core::ids::{ClassName, Instance, LoadBalancerId, NodeName, Uid};
use portolan_core::provider::Step as _;
use portolan_core::refusal::Refusal;
use serde_json::{Value, json};

use super::{cloud, estate};

/// One load balancer in the double, and the Service behind it.
pub(crate) struct Lab {
    pub(crate) desired: LoadBalancer,
    pub(crate) annotations: BTreeMap<String, String>,
    pub(crate) parameters: Parameters,
    pub(crate) estate: portolan_aws::Estate,
    pub(crate) state: State,
}

impl Lab {
    /// 80/TCP to two nodes, internal.
    pub(crate) fn new() -> Self {
        let member = Member { uid: Uid::new("uid-web"), namespace: "default".to_owned(), name: "web".to_owned() };
        let desired = LoadBalancer {
            id: LoadBalancerId::new("uid-web"),
            class: ClassName::new("portolan.dev/aws"),
            members: vec![member],
            held: Vec::new(),
            following: Vec::new(),
            families: vec![Family::V4],
            requested: Vec::new(),
            scheme: Some(Scheme::Internal),
            listeners: vec![listener(80, Protocol::Tcp)],
            source_ranges: SourceRanges::All,
            allow_downtime: false,
            nodes: nodes(&[1, 2]),
            settings: BTreeMap::new(),
            published: Vec::new(),
        };
        Self {
            desired,
            annotations: BTreeMap::new(),
            parameters: Parameters::parse(&json!({"clusterName": "prod"})).unwrap(),
            estate: estate::estate(),
            state: State::default(),
        }
    }

    pub(crate) fn annotate(&mut self, key: &str, value: &str) {
        self.annotations.insert(format!("service.beta.kubernetes.io/aws-load-balancer-{key}"), value.to_owned());
    }

    pub(crate) fn parameters(mut self, parameters: &Value) -> Self {
        self.parameters = Parameters::parse(parameters).unwrap();
        self
    }

    pub(crate) fn model(&self) -> Result<Model, Refusal> {
        let mut settings = BTreeMap::new();
        for member in self.desired.members.iter().filter(|member| !self.desired.held.contains(&member.uid)) {
            let mut service = estate::service(&self.desired, member);
            service.annotations = self.annotations.clone();
            settings.insert(member.uid.clone(), estate::read(&service, &self.desired, &self.parameters)?);
        }
        model::of(&model::Input {
            desired: &self.desired,
            settings: &settings,
            parameters: &self.parameters,
            instance: &Instance::default(),
            estate: &self.estate,
            observed: &self.state,
        })
    }

    /// All steps but what targets let in, which has a rule of its own.
    pub(crate) fn plan(&self) -> Result<Vec<Step>, Refusal> {
        let steps = self.whole_plan()?.into_iter();
        Ok(steps.filter(|step| !matches!(step, Step::Admit { .. } | Step::Withdraw)).collect())
    }

    pub(crate) fn whole_plan(&self) -> Result<Vec<Step>, Refusal> {
        Ok(plan(Some(&self.model()?), &self.state, &self.desired.published)?.steps)
    }

    /// Carries out one plan.
    pub(crate) fn once(&mut self) -> Vec<Step> {
        let steps = self.plan().unwrap();
        let need = self.model().unwrap().need;
        self.state.admitted = need.map(|need| Admitted { need, problems: BTreeSet::new() });
        steps.iter().for_each(|step| cloud::apply(&mut self.state, step).unwrap());
        steps
    }

    pub(crate) fn publish(&mut self) {
        self.desired.published = self.outcome().published;
    }

    pub(crate) fn outcome(&self) -> portolan_core::provider::Outcome {
        outcome(Some(&self.model().unwrap()), &self.state, &self.desired.published)
    }

    /// Carries out plans until nothing is left to do and nothing to wait for.
    pub(crate) fn settle(&mut self) -> Vec<Step> {
        let mut all = Vec::new();
        for _ in 0..20 {
            let steps = self.once();
            let idle = steps.is_empty();
            all.extend(steps);
            let before = (self.state.clone(), self.desired.published.clone());
            cloud::settle(&mut self.state);
            self.publish();
            if idle && before == (self.state.clone(), self.desired.published.clone()) {
                return all;
            }
        }
        panic!("not settled: {:?}", self.plan());
    }

    pub(crate) fn healthy(&self) -> usize {
        let all = self.state.groups.iter().flat_map(|group| &group.targets);
        all.filter(|registered| registered.health == Health::Healthy).count()
    }
}

pub(crate) fn listener(port: u16, protocol: Protocol) -> Listener {
    Listener {
        key: PortKey { port, protocol },
        name: format!("{}{port}", protocol.to_string().to_lowercase()),
        service: Uid::new("uid-web"),
        targets: Targets::Nodes { node_port: 30_000 + port % 1000, nodes: Vec::new() },
        has_endpoints: true,
        health_check: HealthCheck::EndpointSlices,
        session_affinity: None,
    }
}

pub(crate) fn nodes(numbers: &[u8]) -> Vec<NodeTarget> {
    let node = |number: &u8| NodeTarget {
        name: NodeName::new(format!("node-{number}")),
        addresses: Vec::new(),
        provider_id: Some(format!("aws:///eu-west-1a/i-{number}")),
        labels: Arc::default(),
    };
    numbers.iter().map(node).collect()
}

/// Pods at these addresses and ports.
pub(crate) fn pods<'a>(addresses: impl IntoIterator<Item = &'a str>) -> Targets {
    let pod = |address: &str| PodEndpoint::from(address.parse::<SocketAddr>().unwrap());
    Targets::Pods { endpoints: addresses.into_iter().map(pod).collect(), local_nodes: None }
}

pub(crate) fn names(steps: &[Step]) -> Vec<&'static str> {
    steps.iter().map(Step::name).collect()
}

pub(crate) fn elb(steps: &[Step]) -> usize {
    steps.iter().flat_map(Step::calls).filter(|action| action.api == Api::ElbV2).count()
}
