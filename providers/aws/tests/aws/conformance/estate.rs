//! The network of the tests, and what Services of the plainest kind come to.

use std::collections::BTreeMap;

use portolan_aws::Parameters;
use portolan_aws::estate::{Estate, Subnet};
use portolan_aws::ids::{Id, SecurityGroupId, SubnetId, VpcId};
use portolan_aws::settings::{Input, Settings};
use portolan_core::balancer::{LoadBalancer, Member, Targets};
use portolan_core::examples;
use portolan_core::ids::Uid;
use portolan_core::refusal::Refusal;
use portolan_core::snapshot::{Service, ServicePort, TargetPort};

/// Three zones; the third has no IPv6, and a subnet of another cluster.
pub(crate) fn estate() -> Estate {
    let subnet = |zone: &str, number: u8, ipv6: bool| Subnet {
        id: SubnetId::parse(&format!("subnet-{zone}{number}")).unwrap(),
        zone: format!("eu-west-1{zone}"),
        tags: [("kubernetes.io/role/elb", "1"), ("kubernetes.io/role/internal-elb", "1"), ("Name", zone)]
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect(),
        ipv4: Some(format!("10.0.{number}.0/24").parse().unwrap()),
        ipv6: ipv6.then(|| format!("2001:db8:0:{number}::/64").parse().unwrap()),
        free_addresses: 200,
        public: Some(true),
        outpost: None,
    };
    Estate {
        vpc: VpcId::parse("vpc-1"),
        subnets: Some(vec![subnet("a", 1, true), subnet("b", 2, true), subnet("c", 3, false)]),
        security_groups: Some(BTreeMap::new()),
        backend_group: SecurityGroupId::parse("sg-backend"),
        instances: (1..=9).map(|number| (format!("conformance://node/{number}"), format!("i-{number}"))).collect(),
        ..Estate::default()
    }
}

/// What the annotations of those come to who may be changed: they have none.
pub(crate) fn settings(desired: &LoadBalancer, parameters: &Parameters) -> Result<BTreeMap<Uid, Settings>, Refusal> {
    let served = desired.members.iter().filter(|member| !desired.held.contains(&member.uid));
    served.map(|member| Ok((member.uid.clone(), read(&service(desired, member), desired, parameters)?))).collect()
}

pub(crate) fn read(service: &Service, desired: &LoadBalancer, parameters: &Parameters) -> Result<Settings, Refusal> {
    Settings::read(&Input {
        service,
        scheme: desired.scheme,
        source_ranges: &desired.source_ranges,
        existing: None,
        parameters,
    })
}

/// The Service behind what is desired of one member.
pub(crate) fn service(desired: &LoadBalancer, member: &Member) -> Service {
    let ports = desired.listeners.iter().filter(|listener| listener.service == member.uid);
    let mut ports: Vec<ServicePort> = ports
        .map(|listener| ServicePort {
            name: listener.name.clone(),
            key: listener.key,
            node_port: match &listener.targets {
                Targets::Nodes { node_port, nodes: _ } => Some(*node_port),
                Targets::Pods { .. } => None,
            },
            target_port: TargetPort::Number(listener.key.port),
        })
        .collect();
    ports.sort_by_key(|port| port.key);
    Service {
        key: member.key(),
        uid: member.uid.clone(),
        ports,
        families: desired.families.clone(),
        ..examples::service("web")
    }
}
