//! `SpeakerReport`: what a node's speaker has made of the addresses that are ranked to it. One a node, named as the node.

use std::collections::BTreeMap;
use std::net::IpAddr;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::AddressRow;

/// So many addresses of its own a report names at most: nodes have some, and one with thousands must not make an object of hundreds of kilobytes.
pub const NODE_ADDRESSES: usize = 256;

/// What the speaker of a node announces, by what it does not: an address that ranks the node first is announced, unless it is named here. Written
/// by the speaker; it is alive while its Lease `portolan-speaker-NODE` is.
#[derive(CustomResource, JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(group = "portolan.dev", version = "v1alpha1", kind = "SpeakerReport", shortname = "spr")]
#[kube(derive = "PartialEq", doc = "What the speaker of a node announces, by what it does not.")]
#[kube(printcolumn = r#"{"name": "Applied", "type": "integer", "jsonPath": ".spec.appliedVersion"}"#)]
#[kube(printcolumn = r#"{"name": "Not as ranked", "type": "string", "jsonPath": ".spec.notAsRanked[*].reason"}"#)]
#[kube(printcolumn = r#"{"name": "Not proven", "type": "string", "jsonPath": ".spec.witness.notProven[*].reason"}"#)]
#[kube(printcolumn = r#"{"name": "Preflight", "type": "string", "jsonPath": ".spec.preflight[*].sysctl"}"#)]
#[kube(printcolumn = r#"{"name": "Forwarding", "type": "string", "jsonPath": ".spec.forwarding"}"#)]
#[kube(printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#)]
#[serde(rename_all = "camelCase")]
pub struct SpeakerReportSpec {
    /// All changes of VirtualIPs that gave this node an address, or took one from it, have reached the wire up to this resourceVersion. One that
    /// gave an address to another node has when this node has begun to hand it over: it answers on until it has heard the other one, or for three
    /// seconds. One that gave this node an address about which the wire is asked first (`spec.ranks.askFirst`) has once it is known whether somebody
    /// has it.
    pub applied_version: u64,
    /// Every interface on which this node could announce an address, whether or not it announces one there now, and the Ethernet address that
    /// answers there. An interface is left out while it is down or has no carrier, where it resolves no addresses (NOARP), as a port of a bridge or
    /// bond, and without an Ethernet address.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub stations: BTreeMap<String, String>,
    /// The next hops of the node's default routes, but for addresses of the link (`fe80::/10`, `169.254.0.0/16`): no pool gives one out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<String>")]
    pub gateways: Vec<IpAddr>,
    /// The addresses that the node's interfaces have, but for those of the link and `127.0.0.0/8` and `::1`, and for those that kube-proxy, kube-router
    /// and NodeLocal DNSCache put on interfaces of their own: no pool gives one out. At most 256, the lowest, IPv4 first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<String>", length(max = 256))]
    pub node_addresses: Vec<IpAddr>,
    /// How many more the node has; left out if those are all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_addresses_omitted: Option<u32>,
    /// The settings of the node's kernel that keep addresses from being reached.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub preflight: Vec<WrongSysctl>,
    /// What is not well with the forwarding of packets to Services on this node, as its kube-proxy says (`/healthz`); left out if it is well, or if
    /// the speaker is not to ask (`--kube-proxy-healthz off`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forwarding: Option<Forwarding>,
    /// The health check ports of Services under `externalTrafficPolicy: Local` that say that this node has no ready endpoint. Other nodes get their
    /// addresses, if there are any on which it is not so.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed_health_checks: Vec<FailedHealthCheck>,
    /// What this node has found of the addresses of which it is the first heir; left out until it knows which those are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub witness: Option<Witness>,
    /// The addresses that are not as they are ranked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_as_ranked: Vec<NotAsRanked>,
}

/// What is not well with a node's forwarding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Forwarding {
    /// Nobody has answered there since the speaker began: it may be that something else than kube-proxy forwards. Addresses are announced.
    ForwardingUnknown,
    /// Kube-proxy was there and does not answer any more, or says that it is not well. Addresses go to other nodes; what no other node can have is
    /// announced here all the same.
    NotForwarding,
}

/// A port on which the node says that it has no ready endpoint of a Service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FailedHealthCheck {
    /// The Service's `healthCheckNodePort`.
    #[schemars(range(min = 1))]
    pub port: u16,
    /// The addresses of the Service.
    #[schemars(with = "Vec<String>")]
    pub addresses: Vec<IpAddr>,
}

/// What a node has found on the wire of addresses that another one answers for. Each of which it is the first heir is proven, unless it is named
/// here: one station of its owner answers for it, and each of its TCP ports accepts connections.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Witness {
    /// It speaks of all addresses of which it has become the first heir up to this resourceVersion.
    pub version: u64,
    /// The addresses that are not proven.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_proven: Vec<NotProven>,
}

/// Addresses that are not proven to be reached, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NotProven {
    /// Why.
    pub reason: NotProvenReason,
    /// Who answers for them: at most eight stations, the lowest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub macs: Vec<String>,
    /// Others answer besides these; left out if those are all.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub more_macs: bool,
    /// The TCP ports that it is about.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<u16>,
    /// Which: each by itself, or `192.0.2.1-192.0.2.9`, which is all of those from one to the other that concern the node, and says nothing of the
    /// others between them.
    #[schemars(with = "Vec<String>")]
    pub addresses: Vec<AddressRow>,
}

/// Why an address is not proven to be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum NotProvenReason {
    /// It has not been looked at since it is as it is, or its owner has not said yet that it is announced.
    Pending,
    /// It cannot be looked at from here: no interface on its prefix is up.
    OffLink,
    /// It cannot be looked at from here: the kernel gives no socket. The speaker's log says why.
    NoSocket,
    /// Its ports are not looked at: the Service's source ranges leave this node out.
    SourceRanges,
    /// Nobody answers for it.
    NoAnswer,
    /// Several stations answer for it.
    SeveralAnswers,
    /// One station answers for it that is none of its owner's.
    ForeignAnswer,
    /// Ports leave connections without an answer.
    NoSynAck,
    /// Ports refuse connections.
    ConnectionRefused,
}

/// A setting of a node's kernel that keeps addresses from being reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WrongSysctl {
    /// As `sysctl -w` takes it.
    pub sysctl: String,
    /// What it is.
    pub value: i64,
    /// What it should be.
    pub wanted: i64,
    /// What happens otherwise.
    pub why: String,
}

/// Addresses that are not as they are ranked, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NotAsRanked {
    /// Why.
    pub reason: NotAsRankedReason,
    /// The interface that it is about; none if it is about the node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
    /// Who else has them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<String>,
    /// Which: each by itself, or `192.0.2.1-192.0.2.9`, which is all of those from one to the other that concern the node, and says nothing of the
    /// others between them.
    #[schemars(with = "Vec<String>")]
    pub addresses: Vec<AddressRow>,
}

/// Why an address is not as it is ranked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum NotAsRankedReason {
    /// It is announced nowhere: no interface that reaches it, or that it is limited to, is there and up.
    NoInterface,
    /// It is announced nowhere: the kernel gives no socket for the interface. The speaker's log says why.
    NoSocket,
    /// It is announced on other interfaces; for this one the kernel gives no socket. The speaker's log says why.
    OneInterfaceLess,
    /// It is announced, but it is on no prefix of the node: only routers with a route to it ask there.
    PoolOffLink,
    /// It is not announced: the node does not forward, and another one could have it.
    NotForwarding,
    /// It is not announced: somebody who is no speaker had it before. The wire is asked again each minute.
    Taken,
    /// It is not announced any more: somebody who is no speaker insists on it. It is again when he has been silent for a minute (RFC 5227 2.4).
    Yielded,
}
