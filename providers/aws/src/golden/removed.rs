//! Annotations that are removed again: what is planned then, and that it leads to what the Service would have had without them from the first.
//!
//! `removed.yaml` in the folder of a key says it for each Service of `good.yaml` and `conflict.yaml` that is served: the `steps`, with the names of
//! what they act on replaced by what it is; and what `stays` other than it would have been, which only [`MAY_STAY`] may.

// The double of AWS's state that the conformance suite of the plan has.
#[path = "../../tests/aws/conformance/cloud.rs"]
mod cloud;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use portolan_core::balancer::LoadBalancer;
use portolan_core::desire::{self, Candidate, Desired, Input, desire, member};
use portolan_core::examples;
use portolan_core::ids::{Instance, LoadBalancerId, Uid};
use portolan_core::share::Consents;
use portolan_core::snapshot::{Node, Service, Slice, SlicePort};
use portolan_core::terms::Terms;
use serde_json::{Map, Value, json};

use super::{Case, difference};
use crate::attributes::{AttributeKey, LISTENER, LOAD_BALANCER, Owner, TARGET_GROUP};
use crate::estate::Subnet;
use crate::ids::{Id, SecurityGroupId, SubnetId, VpcId};
use crate::model::{self, Model};
use crate::names::{GENERATION, NAME, SERVES};
use crate::state::{Admitted, Balancer, Group, Listener, Observed};
use crate::{Estate, State, Step, outcome, plan, provider};

/// What stays, by its place, and why.
const MAY_STAY: [(&str, &str); 3] = [
    ("balancer.name", "a name counts when a balancer is made, and never afterwards"),
    ("access_logs.s3.bucket", "it means nothing alone: `AwsDefault::Stays`"),
    (
        "unhealthy.draining_interval_seconds",
        "AWS takes it only beside connections that do not end: `settings::groups::writes`",
    ),
];

/// What removing all its annotations comes to; none if the Service is not served with them. What must not be is a failure.
pub(super) fn told(case: &Case, place: &str, failures: &mut Vec<String>) -> Option<Value> {
    let mut lab = Lab::new(case);
    lab.settle().ok()?;
    let with = lab.shown();
    let bare = Service { annotations: BTreeMap::new(), ..case.service.clone() };
    let mut fresh = Lab::of(bare.clone(), case);
    let alone = fresh.settle();
    lab.service = bare;
    let steps = match (lab.settle(), alone) {
        (Ok(steps), Ok(_)) => steps,
        // Without them it cannot be served, so that what exists stays.
        (Err(why), Err(alone)) if why == alone => return Some(json!({"refused": why})),
        (removed, alone) => {
            failures.push(format!(
                "{place}: {alone:?} without annotations from the first, {removed:?} once they are removed"
            ));
            return None;
        }
    };
    let stays = difference(&fresh.shown(), &lab.shown());
    for (what, value) in &stays {
        if !MAY_STAY.iter().any(|(may, _)| what.ends_with(may)) {
            failures.push(format!("{place}: {what} stays {value}"));
        }
    }
    if with != fresh.shown() && steps.is_empty() && stays.is_empty() {
        failures.push(format!("{place}: it goes back without a step"));
    }
    lab.delete();
    let mut told = Map::new();
    if !steps.is_empty() {
        told.insert("steps".to_owned(), steps.into());
    }
    if !stays.is_empty() {
        told.insert("stays".to_owned(), stays.into());
    }
    Some(told.into())
}

/// One Service in the double.
struct Lab<'a> {
    service: Service,
    case: &'a Case,
    state: State,
    terms: Option<Terms>,
    published: Vec<portolan_core::balancer::Published>,
}

impl<'a> Lab<'a> {
    fn new(case: &'a Case) -> Self {
        Self::of(case.service.clone(), case)
    }

    fn of(service: Service, case: &'a Case) -> Self {
        Self { service, case, state: State::default(), terms: None, published: Vec::new() }
    }

    fn desired(&mut self) -> Result<LoadBalancer, String> {
        let slices = [slice(&self.service)];
        let candidate = Candidate {
            member: member(&self.service),
            service: Some(&self.service),
            slices: &slices,
            gated: &[],
            joined: self.terms.is_some(),
            held: None,
        };
        let Desired { mut load_balancer, terms, refused, .. } = desire(&Input {
            id: &LoadBalancerId::new(self.service.uid.as_str()),
            class: &examples::class("portolan.dev/aws"),
            capabilities: &provider::capabilities(),
            dialect: &self.case.parameters,
            candidates: &[candidate],
            nodes: &[node(1), node(2)],
            terms: self.terms.as_ref(),
            settings: &desire::Settings::default(),
            consents: &Consents::default(),
        });
        if let Some(refusal) = refused.into_values().next() {
            return Err(refusal.to_string());
        }
        self.terms = Some(terms);
        load_balancer.published.clone_from(&self.published);
        Ok(load_balancer)
    }

    fn model(&mut self) -> Result<Model, String> {
        let desired = self.desired()?;
        let settings = provider::settings(&desired).map_err(|refusal| refusal.to_string())?;
        let input = model::Input {
            desired: &desired,
            settings: &settings,
            parameters: &self.case.parameters,
            instance: &Instance::default(),
            estate: &estate(),
            observed: &self.state,
        };
        model::of(&input).map_err(|refusal| refusal.to_string())
    }

    /// Carries out plans until nothing is left to do and nothing to wait for; the steps, as they are printed.
    fn settle(&mut self) -> Result<Vec<String>, String> {
        let mut lines = Vec::new();
        for _ in 0..20 {
            let model = self.model()?;
            let before = (self.state.clone(), self.published.clone());
            let steps = plan(Some(&model), &self.state, &self.published).map_err(|refusal| refusal.to_string())?.steps;
            for step in &steps {
                let before = self.state.clone();
                cloud::apply(&mut self.state, step)?;
                // What targets let in has rules of its own.
                let is_told = !matches!(step, Step::Admit { .. });
                lines.extend(
                    Some(step).filter(|_| is_told).map(|step| worded(&before, &worded(&self.state, &step.to_string()))),
                );
            }
            cloud::settle(&mut self.state);
            self.state.admitted = model.need.clone().map(|need| Admitted { need, problems: BTreeSet::new() });
            self.published = outcome(Some(&self.model()?), &self.state, &self.published).published;
            if steps.is_empty() && before == (self.state.clone(), self.published.clone()) {
                return Ok(lines);
            }
        }
        Err("it does not come to rest".to_owned())
    }

    fn delete(&mut self) {
        // Protection from deletion is the one thing that stands against it, and is gone with the annotations.
        for step in plan(None, &self.state, &[]).unwrap().steps {
            cloud::apply(&mut self.state, &step).unwrap();
        }
        assert_eq!(cloud::all(&self.state), Vec::<String>::new());
    }

    /// What there is, without what is made up and without what AWS has where nobody says.
    fn shown(&self) -> Value {
        let [balancer] = self.state.balancers.as_slice() else { panic!("one generation: {:?}", self.state.balancers) };
        let own = self.state.security_group(balancer.generation);
        let groups: Vec<&str> = balancer
            .security_groups
            .iter()
            .map(|id| if own.is_some_and(|own| own.id == *id) { "managed" } else { id.as_str() })
            .collect();
        let listeners: Vec<Value> =
            balancer.listeners.iter().map(|listener| self.listener(balancer, listener)).collect();
        json!({
            "balancer": {
                "name": Some(&balancer.name).filter(|name| !name.starts_with("portolan-")),
                "scheme": crate::words::scheme_word(balancer.scheme),
                "ipAddressType": balancer.ip_address_type,
                "subnets": balancer.subnets,
                "securityGroups": groups,
                "privateLink": balancer.private_link,
                "attributes": set(&balancer.attributes, LOAD_BALANCER, Owner::LoadBalancer(balancer.scheme)),
                "tags": tags(&balancer.tags),
                "given": self.state.given,
            },
            "listeners": listeners,
            "securityGroup": own.map(|own| json!({
                "tags": tags(&own.tags),
                "rules": own.rules.iter().map(ToString::to_string).collect::<Vec<_>>(),
            })),
        })
    }

    fn listener(&self, balancer: &Balancer, listener: &Listener) -> Value {
        let group = self.state.group_of(listener).unwrap();
        assert!(balancer.generation == group.generation || group.tags.contains_key(GENERATION));
        json!({
            "port": listener.port,
            "front": listener.front,
            "attributes": set(&listener.attributes, LISTENER, Owner::Listener),
            "tags": tags(&listener.tags),
            "group": shown_group(group),
        })
    }
}

/// A step with words in the place of names.
fn worded(state: &State, line: &str) -> String {
    let mut line = line.to_owned();
    for group in &state.groups {
        line = line.replace(&group.name, &format!("GROUP-{}-{}", group.generation, group.port));
    }
    for balancer in &state.balancers {
        line = line.replace(&balancer.name, &format!("BALANCER-{}", balancer.generation));
    }
    for group in &state.security_groups {
        let word = format!("SECURITY-GROUP-{}", group.generation);
        line = line.replace(&group.name, &word).replace(group.id.as_str(), &word);
    }
    line
}

fn shown_group(group: &Group) -> Value {
    let owner = Owner::TargetGroup { protocol: group.kind.protocol, targets: group.kind.target_type };
    json!({
        "kind": group.kind.to_string(),
        "health": group.health,
        "attributes": set(&group.attributes, TARGET_GROUP, owner),
        "tags": tags(&group.tags),
        "targets": group.targets.iter().map(|registered| registered.target.to_string()).collect::<Vec<_>>(),
    })
}

/// The attributes that are other than at birth.
fn set(observed: &Observed, table: &'static [crate::attributes::Attribute], owner: Owner) -> BTreeMap<String, String> {
    let differs = |(key, value): &(&String, &String)| {
        AttributeKey::parse(table, key).is_ok_and(|key| key.attribute().at_birth(owner) != *value)
    };
    observed.values.iter().filter(differs).map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// Without those that tell of names and generations.
fn tags(of: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let is_shown = |(key, value): &(&String, &String)| {
        key.as_str() != GENERATION
            && key.as_str() != SERVES
            && !(key.as_str() == NAME && value.starts_with("portolan-"))
    };
    of.iter().filter(is_shown).map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// Three zones that discovery finds, and others that Services name.
fn estate() -> Estate {
    let subnet = |id: &str, name: &str, zone: &str, number: u8, found: bool| Subnet {
        id: SubnetId::parse(id).unwrap(),
        zone: format!("eu-west-1{zone}"),
        tags: [("kubernetes.io/role/elb", "1"), ("kubernetes.io/role/internal-elb", "1")]
            .into_iter()
            .filter(|_| found)
            .chain([("Name", name)])
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect(),
        ipv4: Some(format!("10.0.{}.0/24", number + 1).parse().unwrap()),
        ipv6: Some(format!("2001:db8:0:{number}::/64").parse().unwrap()),
        free_addresses: 200,
        public: Some(true),
        outpost: None,
    };
    let named = |name: &str, id: &str| (name.to_owned(), vec![SecurityGroupId::parse(id).unwrap()]);
    Estate {
        vpc: VpcId::parse("vpc-1"),
        subnets: Some(vec![
            subnet("subnet-0a", "a", "a", 0, true),
            subnet("subnet-0b", "b", "b", 1, true),
            subnet("subnet-0c", "c", "c", 2, true),
            subnet("subnet-0a1b2c3d", "d", "a", 3, false),
            subnet("subnet-0e1f2a3b", "e", "b", 4, false),
            subnet("subnet-0f", "my subnet", "c", 5, false),
        ]),
        security_groups: Some([named("my group", "sg-0c")].into()),
        backend_group: SecurityGroupId::parse("sg-0back"),
        ..Estate::default()
    }
}

fn node(number: u8) -> Arc<Node> {
    let mut node = examples::node(&format!("node-{number}"), &[[10, 0, 100, number].into()]);
    node.provider_id = Some(format!("aws:///eu-west-1a/i-0{number}"));
    node.labels = Arc::new([("pool".to_owned(), "edge".to_owned())].into());
    Arc::new(node)
}

/// Two pods, which listen on the numbers of the Service's ports.
fn slice(service: &Service) -> Arc<Slice> {
    let endpoint = |number: u8| {
        let mut endpoint = examples::endpoint([10, 0, 1, number].into(), None);
        endpoint.pod = Some(Uid::new(format!("pod-{number}")));
        endpoint
    };
    let family = service.families.first().copied().unwrap();
    let mut slice = Slice::clone(&examples::slice(service, "a", family, vec![endpoint(1), endpoint(2)]));
    let port = |port: &portolan_core::snapshot::ServicePort| SlicePort {
        name: port.name.clone(),
        protocol: port.key.protocol,
        port: port.key.port,
    };
    slice.ports = service.ports.iter().map(port).collect();
    Arc::new(slice)
}
