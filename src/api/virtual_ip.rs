//! `VirtualIP`: the stored form of an address that somebody has. Its name is the address.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ipnet::IpNet;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::CustomResource;
use kube::core::ObjectMeta;
use portolan_core::balancer::{Member, PortKey, Protocol, Scheme};
use portolan_core::ids::{Instance, LoadBalancerId, NodeName, ResourceVersion, Uid};
use portolan_metal::eligible::{Barred, Reason};
use portolan_metal::placement::Ranks;
use portolan_metal::pool::PoolName;
use portolan_metal::vip::{self, Reservation, Served, Shown, Vip};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::record::SchemeText;

/// An address that a load balancer has, or that is kept for one. Its name is the address: a dotted quad, or eight full groups of IPv6 joined by
/// `-`. Written by the controller; create one with `reservedFor` alone to keep an address for somebody.
#[derive(CustomResource, JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(group = "portolan.dev", version = "v1alpha1", kind = "VirtualIP", plural = "virtualips", shortname = "vip")]
#[kube(status = "VirtualIPStatus")]
#[kube(
    derive = "PartialEq",
    doc = "An address that a load balancer has, or that is kept for one. Its name is the address."
)]
#[kube(printcolumn = r#"{"name": "Pool", "type": "string", "jsonPath": ".spec.pool"}"#)]
#[kube(printcolumn = r#"{"name": "Owner", "type": "string", "jsonPath": ".status.owner"}"#)]
#[kube(printcolumn = r#"{"name": "Conflict", "type": "string", "jsonPath": ".status.addressConflict"}"#)]
#[kube(printcolumn = r#"{"name": "Services", "type": "string", "jsonPath": ".spec.serviceNames"}"#)]
#[kube(printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#)]
#[serde(rename_all = "camelCase")]
pub struct VirtualIPSpec {
    /// The Portolan that has given it out; empty for the only one of a cluster.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub instance: String,
    /// The load balancer that has it: the name of its LoadBalancerRecord. Empty while nobody has it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub load_balancer: String,
    /// The AddressPool that it was taken from.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub pool: String,
    /// What it was asked for as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheme: Option<SchemeText>,
    /// The Services that are served there, in the order of joining.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<ServedSpec>,
    /// Who may connect, as the Services say (`loadBalancerSourceRanges`); none: everybody. For those who prove that the address is reached: what is
    /// refused is refused by the nodes' kube-proxies.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<String>")]
    pub source_ranges: Vec<IpNet>,
    /// Their names, for people: `kubectl get` shows one value a column. Never read.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub service_names: String,
    /// For whom it is kept while nobody uses it. Such an address is given only to who asks for it by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reserved_for: Option<ReservationSpec>,
    /// The Ethernet address of a stranger, who answered for it when it was to be announced for the first time. It is given to nobody, not even by name,
    /// until this VirtualIP is deleted or says `reservedFor`; a Service that has it and did not ask for it by name gets another one as soon as one is
    /// free. Gone once the stranger is and the Service's node announces it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set_aside: Option<String>,
    /// Who answers for it, and who comes next. Speakers announce only what has ranks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ranks: Option<RanksSpec>,
}

/// Who answers for an address, for people. Never read but by its writer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VirtualIPStatus {
    /// The Node that answers; none if no Node may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Since when it has been ranked first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// The Nodes that may not answer, by why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub barred: Vec<BarredStatus>,
    /// What would bar Nodes too, and is ignored because none would be left.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub despite: Vec<String>,
    /// The Ethernet address of somebody who is no speaker and has the address, so that nobody answers for it here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address_conflict: Option<String>,
}

/// Nodes that may not answer for one reason.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BarredStatus {
    /// Why, in one word.
    pub reason: String,
    /// Why, to be said after a Node's name.
    pub message: String,
    /// The first ten of them.
    #[serde(default)]
    pub nodes: Vec<String>,
    /// How many there are.
    pub count: u64,
}

/// Who answers for an address.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RanksSpec {
    /// Grows whenever the nodes change.
    pub generation: u64,
    /// The Node that answers, then those that take over from it, in this order; none, if no Node may.
    #[serde(default)]
    pub nodes: Vec<String>,
    /// The interfaces on which a Node may announce it, of those that are limited to some; the others do on all that reach it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub interfaces: BTreeMap<String, BTreeSet<String>>,
    /// The `healthCheckNodePort` of each Service that needs its endpoints on these Nodes (`externalTrafficPolicy: Local`): their speakers ask there.
    /// Left out of Services without endpoints, or of which all are terminating.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub health_checks: BTreeSet<u16>,
    /// As far as is known nobody has ever announced it: the Node that answers asks the wire first whether somebody else has it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ask_first: bool,
}

/// A Service at an address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServedSpec {
    /// Its UID: the identity.
    pub uid: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its ports there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<PortSpec>,
}

/// A port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PortSpec {
    /// 1 to 65535.
    #[schemars(range(min = 1))]
    pub port: u16,
    /// The protocol.
    pub protocol: ProtocolText,
}

/// A transport protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum ProtocolText {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

/// For whom an address is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReservationSpec {
    /// The namespace of the Service.
    #[schemars(length(min = 1))]
    pub namespace: String,
    /// The Service. Without it, whichever of the namespace asks for the address by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// A stored `VirtualIP` that cannot be what a controller wrote, nor a reservation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("VirtualIP {name:?}: {problem}")]
pub struct StoredVipError {
    /// `metadata.name`.
    pub name: String,
    /// What is wrong with it.
    pub problem: String,
}

impl From<&Vip> for VirtualIP {
    fn from(vip: &Vip) -> Self {
        let metadata = ObjectMeta {
            name: Some(vip::name(vip.address)),
            resource_version: vip.version.as_ref().map(ToString::to_string),
            // What we have written ourselves can be read.
            ..vip.beside.as_deref().and_then(|beside| serde_json::from_str(beside).ok()).unwrap_or_default()
        };
        let names: Vec<String> = vip.services.iter().map(|served| served.member.key().to_string()).collect();
        let reserved_for = vip.reserved_for.clone();
        let spec = VirtualIPSpec {
            instance: vip.instance.as_str().to_owned(),
            load_balancer: vip.holder.as_ref().map(ToString::to_string).unwrap_or_default(),
            pool: vip.pool.as_ref().map(ToString::to_string).unwrap_or_default(),
            scheme: vip.scheme.map(SchemeText::from),
            services: vip.services.iter().map(ServedSpec::from).collect(),
            source_ranges: vip.source_ranges.clone(),
            service_names: names.join(", "),
            reserved_for: reserved_for.map(|Reservation { namespace, name }| ReservationSpec { namespace, name }),
            set_aside: vip.set_aside.clone(),
            ranks: ranks_spec(vip),
        };
        Self { metadata, spec, status: status(vip) }
    }
}

fn status(vip: &Vip) -> Option<VirtualIPStatus> {
    let Shown { since, barred, despite, stranger } = &vip.shown;
    let barred = barred.iter().map(|Barred { reason, nodes, count }| BarredStatus {
        reason: reason.code().to_owned(),
        message: reason.to_string(),
        nodes: nodes.iter().map(ToString::to_string).collect(),
        count: u64::try_from(*count).unwrap_or(u64::MAX),
    });
    let status = VirtualIPStatus {
        owner: vip.ranks.owner().map(ToString::to_string),
        since: since.and_then(|since| Timestamp::from_second(since.0).ok()).map(Time),
        barred: barred.collect(),
        despite: despite.iter().map(|reason| reason.code().to_owned()).collect(),
        address_conflict: stranger.clone(),
    };
    Some(status).filter(|status| *status != VirtualIPStatus::default())
}

/// As it was shown. What this build knows no word for is shown anew.
fn shown(status: VirtualIPStatus) -> Shown {
    let reason = |code: &String| Reason::ALL.into_iter().find(|reason| reason.code() == code);
    let barred = status.barred.iter().filter_map(|barred| {
        let nodes = barred.nodes.iter().map(NodeName::new).collect();
        Some(Barred { reason: reason(&barred.reason)?, nodes, count: usize::try_from(barred.count).ok()? })
    });
    Shown {
        since: status.since.map(|Time(since)| portolan_core::time::Timestamp(since.as_second())),
        barred: barred.collect(),
        despite: status.despite.iter().filter_map(reason).collect(),
        stranger: status.address_conflict,
    }
}

fn ranks_spec(vip: &Vip) -> Option<RanksSpec> {
    let Ranks { nodes, generation } = &vip.ranks;
    let interfaces = vip.interfaces.iter().map(|(node, only)| (node.to_string(), only.clone()));
    (*generation > 0).then(|| RanksSpec {
        generation: *generation,
        nodes: nodes.iter().map(ToString::to_string).collect(),
        interfaces: interfaces.collect(),
        health_checks: vip.health_checks.clone(),
        ask_first: vip.ask_first,
    })
}

/// What others have written of the object and a replacement would take away.
fn beside(metadata: &ObjectMeta) -> Option<Arc<str>> {
    let beside = ObjectMeta {
        labels: metadata.labels.clone(),
        annotations: metadata.annotations.clone(),
        owner_references: metadata.owner_references.clone(),
        finalizers: metadata.finalizers.clone(),
        ..ObjectMeta::default()
    };
    let text = (beside != ObjectMeta::default()).then(|| serde_json::to_string(&beside).ok());
    text.flatten().map(Arc::from)
}

impl TryFrom<VirtualIP> for Vip {
    type Error = StoredVipError;

    fn try_from(stored: VirtualIP) -> Result<Self, StoredVipError> {
        let beside = beside(&stored.metadata);
        let name = stored.metadata.name.unwrap_or_default();
        let Some(address) = vip::address(&name) else {
            let problem =
                "its name is no address, written as a dotted quad or as eight full groups of IPv6 joined by `-`";
            return Err(StoredVipError { name, problem: problem.to_owned() });
        };
        let spec = stored.spec;
        let instance = Instance::parse(&spec.instance)
            .map_err(|error| StoredVipError { name: name.clone(), problem: format!("spec.instance: {error}") })?;
        let given = |text: String| Some(text).filter(|text| !text.is_empty());
        let holder = given(spec.load_balancer).map(LoadBalancerId::new);
        if holder.is_none() && spec.reserved_for.is_none() && spec.set_aside.is_none() {
            let problem = "it says neither whose it is (loadBalancer) nor for whom it is kept (reservedFor) nor who has it (setAside); delete it, or say one of them";
            return Err(StoredVipError { name, problem: problem.to_owned() });
        }
        let RanksSpec { generation, nodes, interfaces, health_checks, ask_first } = spec.ranks.unwrap_or_default();
        Ok(Self {
            address,
            version: stored.metadata.resource_version.map(ResourceVersion::new),
            instance,
            holder,
            pool: given(spec.pool).map(PoolName::new),
            scheme: spec.scheme.map(Scheme::from),
            services: spec.services.into_iter().map(Served::from).collect(),
            source_ranges: spec.source_ranges,
            reserved_for: spec.reserved_for.map(|ReservationSpec { namespace, name }| Reservation { namespace, name }),
            interfaces: interfaces.into_iter().map(|(node, only)| (NodeName::new(node), only)).collect(),
            health_checks,
            ask_first,
            set_aside: spec.set_aside,
            beside,
            ranks: Ranks { nodes: nodes.into_iter().map(NodeName::new).collect(), generation },
            shown: shown(stored.status.unwrap_or_default()),
        })
    }
}

impl From<&Served> for ServedSpec {
    fn from(Served { member, ports }: &Served) -> Self {
        Self {
            uid: member.uid.to_string(),
            namespace: member.namespace.clone(),
            name: member.name.clone(),
            ports: ports
                .iter()
                .map(|PortKey { port, protocol }| PortSpec { port: *port, protocol: (*protocol).into() })
                .collect(),
        }
    }
}

impl From<ServedSpec> for Served {
    fn from(ServedSpec { uid, namespace, name, ports }: ServedSpec) -> Self {
        let port = |PortSpec { port, protocol }| PortKey { port, protocol: Protocol::from(protocol) };
        Self {
            member: Member { uid: Uid::new(uid), namespace, name },
            ports: ports.into_iter().map(port).collect::<BTreeSet<_>>(),
        }
    }
}

impl From<Protocol> for ProtocolText {
    fn from(protocol: Protocol) -> Self {
        match protocol {
            Protocol::Tcp => Self::Tcp,
            Protocol::Udp => Self::Udp,
            Protocol::Sctp => Self::Sctp,
        }
    }
}

impl From<ProtocolText> for Protocol {
    fn from(text: ProtocolText) -> Self {
        match text {
            ProtocolText::Tcp => Self::Tcp,
            ProtocolText::Udp => Self::Udp,
            ProtocolText::Sctp => Self::Sctp,
        }
    }
}
