//! Whole cases from the other controllers' documented behaviour: a Service and the subnets of its VPC in; every object that is made, in the
//! order of the calls, out.
//!
//! `testdata/aws/cases/CASE/service.yaml` holds the Service, after `$parameters` of the class if it is not the plain one;
//! `testdata/aws/cases/network.yaml` is the network of all cases. There are two nodes, and two pods behind each Service.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;

use portolan_core::balancer::Family;
use portolan_core::desire::{self, Candidate, Desired, desire, member};
use portolan_core::examples;
use portolan_core::ids::{Instance, LoadBalancerId};
use portolan_core::share::Consents;
use portolan_core::snapshot::{Node, Service, Slice, SlicePort};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Case, UPDATE, cases, compare, root};
use crate::estate::{Estate, Subnet};
use crate::ids::{Id, SecurityGroupId, SubnetId, VpcId};
use crate::state::State;
use crate::{model, plan, provider};

/// A subnet, as the file has it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Row {
    id: String,
    zone: String,
    ipv4: String,
    ipv6: Option<String>,
    free: u32,
    public: bool,
    #[serde(default)]
    tags: BTreeMap<String, String>,
}

#[test]
fn a_service_in_a_network_comes_to_these_objects() {
    let folder = root().join("cases");
    let network = fs::read_to_string(folder.join("network.yaml")).unwrap();
    let rows: Vec<Row> = serde_yaml::from_str(&network).unwrap();
    let estate = estate(rows);
    let mut failures = Vec::new();
    let mut folders: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.retain(|path| path.is_dir());
    folders.sort();
    assert!(folders.len() >= 15, "{folders:?}");
    for folder in folders {
        let result = cases(&folder.join("service.yaml")).iter().map(|case| made(case, &estate)).collect::<Vec<_>>();
        let [result] = result.as_slice() else { panic!("{}: one Service a case", folder.display()) };
        compare(&folder.join("expected.yaml"), result, &mut failures);
    }
    assert!(failures.is_empty(), "{}\n{UPDATE}", failures.join("\n"));
}

/// The steps from nothing, or why there are none; and what a person is told of the ports and subnets.
fn made(case: &Case, estate: &Estate) -> Value {
    let class = examples::class("portolan.dev/aws");
    let id = LoadBalancerId::new(case.service.uid.as_str());
    let candidate = Candidate {
        member: member(&case.service),
        service: Some(&case.service),
        slices: &slices(&case.service),
        gated: &[],
        joined: false,
        held: None,
    };
    let Desired { load_balancer, refused, refused_ports, warnings, .. } = desire(&desire::Input {
        id: &id,
        class: &class,
        capabilities: &provider::capabilities(),
        dialect: &case.parameters,
        candidates: &[candidate],
        nodes: &nodes(),
        terms: None,
        settings: &desire::Settings::default(),
        consents: &Consents::default(),
    });
    let warnings: Vec<String> = warnings.into_values().flatten().map(|warning| warning.message).collect();
    let ports: Vec<String> = refused_ports.into_values().flatten().map(|refused| refused.to_string()).collect();
    let planned = match refused.into_values().next() {
        Some(refusal) => Err(refusal),
        None => provider::settings(&load_balancer)
            .and_then(|settings| {
                model::of(&model::Input {
                    desired: &load_balancer,
                    settings: &settings,
                    parameters: &case.parameters,
                    instance: &Instance::default(),
                    estate,
                    observed: &State::default(),
                })
            })
            .and_then(|model| Ok((plan(Some(&model), &State::default(), &[])?.steps, model.verdicts))),
    };
    let mut told = match planned {
        Ok((steps, verdicts)) => json!({
            "steps": steps,
            "subnets": verdicts.iter().map(model::subnets::Verdict::decided).collect::<Vec<_>>(),
        }),
        Err(refusal) => {
            json!({"refused": refusal.reasons.iter().map(|one| format!("{}: {one}", one.reason)).collect::<Vec<_>>()})
        }
    };
    let fields = told.as_object_mut().unwrap();
    fields.extend([("refusedPorts".to_owned(), json!(ports)), ("warnings".to_owned(), json!(warnings))]);
    fields.retain(|_, value| *value != json!([]));
    told
}

fn estate(rows: Vec<Row>) -> Estate {
    let subnet = |row: Row| Subnet {
        id: SubnetId::parse(&row.id).unwrap(),
        zone: row.zone,
        tags: row.tags,
        ipv4: Some(row.ipv4.parse().unwrap()),
        ipv6: row.ipv6.map(|network| network.parse().unwrap()),
        free_addresses: row.free,
        public: Some(row.public),
        outpost: None,
    };
    let group = |id: &str| SecurityGroupId::parse(id).unwrap();
    Estate {
        vpc: VpcId::parse("vpc-1"),
        subnets: Some(rows.into_iter().map(subnet).collect()),
        security_groups: Some(BTreeMap::from([("edge".to_owned(), vec![group("sg-edge")])])),
        backend_group: Some(group("sg-backend")),
        ..Estate::default()
    }
}

fn nodes() -> Vec<Arc<Node>> {
    let node = |(number, zone): (u8, &str)| {
        let mut node = examples::node(&format!("node-{number}"), &[[10, 0, 10, number].into()]);
        node.provider_id = Some(format!("aws:///us-west-2{zone}/i-{number}"));
        Arc::new(node)
    };
    [(1, "a"), (2, "b")].into_iter().map(node).collect()
}

/// Two pods of each family that the Service has, on the numbers of its ports.
fn slices(service: &Service) -> Vec<Arc<Slice>> {
    let slice = |family: &Family| {
        let pods = match family {
            Family::V4 => ["10.0.10.21", "10.0.11.22"],
            Family::V6 => ["2001:db8:0:10::21", "2001:db8:0:11::22"],
        };
        let nodes = ["node-1", "node-2"];
        let endpoints = pods.iter().zip(nodes).map(|(pod, node)| examples::endpoint(pod.parse().unwrap(), Some(node)));
        let mut slice = Slice::clone(&examples::slice(service, &format!("{family:?}"), *family, endpoints.collect()));
        let port = |port: &portolan_core::snapshot::ServicePort| SlicePort {
            name: port.name.clone(),
            protocol: port.key.protocol,
            port: 8000 + port.key.port % 1000,
        };
        slice.ports = service.ports.iter().map(port).collect();
        Arc::new(slice)
    };
    service.families.iter().map(slice).collect()
}
