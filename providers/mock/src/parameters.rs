//! The parameters of a class of this provider.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;
use portolan_core::balancer::{Family, IpMode, Protocol, Scheme};
use portolan_core::capabilities::Capabilities;
use portolan_core::class::ParameterProblem;
use serde_json::{Map, Value};

use crate::duration;
use crate::ranges::Ranges;

/// What a class can set. All of it has a default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameters {
    /// `state`: the folder that holds the mock's world, an absolute path. Without it the caller chooses one.
    pub state: Option<PathBuf>,
    /// `capabilities`: each true by default, except `sctp` and `readinessGates`: whoever turns those on has the API server asked for Pods.
    pub capabilities: Capabilities,
    /// `publish`: what the status shows.
    pub publish: Publish,
    /// `ipMode`: what stands beside an address.
    pub ip_mode: IpMode,
    /// `readyAfter`: from creation until a load balancer takes traffic.
    pub ready_after: Duration,
    /// `drainFor`: how long a replaced load balancer stays after its successor is published.
    pub drain_for: Duration,
    /// `teachesIdentifiers`: steps return an identifier to remember, as a cloud's do.
    pub teaches_identifiers: bool,
    /// `ranges`: where addresses come from.
    pub ranges: Ranges,
}

/// What the status shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Publish {
    /// `ip`: the addresses.
    Ip,
    /// `hostname`: a name under `mock.portolan.dev`.
    Hostname,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            state: None,
            capabilities: Capabilities {
                protocols: BTreeSet::from([Protocol::Tcp, Protocol::Udp]),
                mixed_protocols: true,
                one_listener_a_number: false,
                families: BTreeSet::from([Family::V4, Family::V6]),
                lacking: BTreeSet::new(),
                node_targets: true,
                pod_targets: true,
                by_way_of_nodes: false,
                readiness_gates: false,
                source_ranges: true,
                session_affinity: true,
                scheme: true,
                requested_addresses: true,
                sharing: true,
            },
            publish: Publish::Ip,
            ip_mode: IpMode::Vip,
            ready_after: Duration::ZERO,
            drain_for: Duration::ZERO,
            teaches_identifiers: false,
            ranges: Ranges::default(),
        }
    }
}

impl Parameters {
    /// Reads the parameters of a class; `null` means none. Finds all problems at once.
    pub fn parse(value: &Value) -> Result<Self, Vec<ParameterProblem>> {
        let mut read = Reading::default();
        let mut parameters = Self::default();
        if let Some(fields) = read.object(value, &Place::default()) {
            parameters.read(fields, &mut read);
        }
        if read.problems.is_empty() { Ok(parameters) } else { Err(read.problems) }
    }

    fn read(&mut self, fields: &Map<String, Value>, read: &mut Reading) {
        for (key, value) in fields {
            let at = Place::default().child(key);
            match key.as_str() {
                "state" => match value.as_str() {
                    // A relative path would mean another world wherever a process is started; and it goes into records.
                    Some(folder) if !Path::new(folder).is_absolute() => {
                        read.problem(&at, "must be an absolute path, for example /var/lib/portolan/mock");
                    }
                    Some(folder) if folder.contains('\0') => {
                        read.problem(&at, "holds a NUL character, which no path can hold");
                    }
                    Some(folder) => self.state = Some(PathBuf::from(folder)),
                    None => read.problem(&at, "must name a folder"),
                },
                "capabilities" => self.read_capabilities(value, &at, read),
                "publish" => match value.as_str() {
                    Some("ip") => self.publish = Publish::Ip,
                    Some("hostname") => self.publish = Publish::Hostname,
                    Some(_) | None => read.problem(&at, "must be ip or hostname"),
                },
                "ipMode" => match value.as_str() {
                    Some("VIP") => self.ip_mode = IpMode::Vip,
                    Some("Proxy") => self.ip_mode = IpMode::Proxy,
                    Some(_) | None => read.problem(&at, "must be VIP or Proxy"),
                },
                "readyAfter" => read.duration(value, &at, &mut self.ready_after),
                "drainFor" => read.duration(value, &at, &mut self.drain_for),
                "teachesIdentifiers" => read.bool(value, &at, &mut self.teaches_identifiers),
                "ranges" => self.read_ranges(value, &at, read),
                _ => read.problem(
                    &at,
                    "is no parameter of the mock provider; those are capabilities, drainFor, ipMode, publish, ranges, readyAfter, state, \
                     teachesIdentifiers",
                ),
            }
        }
    }

    fn read_capabilities(&mut self, value: &Value, at: &Place, read: &mut Reading) {
        let Some(fields) = read.object(value, at) else { return };
        let can = &mut self.capabilities;
        for (key, value) in fields {
            let at = at.child(key);
            match key.as_str() {
                "udp" => read.member(value, &at, &mut can.protocols, Protocol::Udp),
                "sctp" => read.member(value, &at, &mut can.protocols, Protocol::Sctp),
                "ipv4" => read.member(value, &at, &mut can.families, Family::V4),
                "ipv6" => read.member(value, &at, &mut can.families, Family::V6),
                "mixedProtocols" => read.bool(value, &at, &mut can.mixed_protocols),
                "oneListenerANumber" => read.bool(value, &at, &mut can.one_listener_a_number),
                "nodeTargets" => read.bool(value, &at, &mut can.node_targets),
                "podTargets" => read.bool(value, &at, &mut can.pod_targets),
                "readinessGates" => read.bool(value, &at, &mut can.readiness_gates),
                "sourceRanges" => read.bool(value, &at, &mut can.source_ranges),
                "sessionAffinity" => read.bool(value, &at, &mut can.session_affinity),
                "scheme" => read.bool(value, &at, &mut can.scheme),
                "requestedAddresses" => read.bool(value, &at, &mut can.requested_addresses),
                "sharing" => read.bool(value, &at, &mut can.sharing),
                _ => read.problem(
                    &at,
                    "is no capability; those are ipv4, ipv6, mixedProtocols, nodeTargets, oneListenerANumber, podTargets, readinessGates, \
                     requestedAddresses, scheme, sctp, sessionAffinity, sharing, sourceRanges, udp",
                ),
            }
        }
        if can.families.is_empty() {
            read.problem(at, "must leave one of ipv4 and ipv6 on");
        }
        if !can.node_targets && !can.pod_targets {
            read.problem(at, "must leave one of nodeTargets and podTargets on");
        }
    }

    fn read_ranges(&mut self, value: &Value, at: &Place, read: &mut Reading) {
        let Some(fields) = read.object(value, at) else { return };
        let mut placed = Vec::new();
        for (key, value) in fields {
            let at = at.child(key);
            let into = match key.as_str() {
                "internal" => &mut self.ranges.internal,
                "public" => &mut self.ranges.public,
                _ => {
                    read.problem(&at, "is no kind of range; those are internal, public");
                    continue;
                }
            };
            let ranges = read.networks(value, &at);
            *into = ranges.iter().map(|(_, range)| *range).collect();
            placed.extend(ranges);
        }
        read.overlaps(&placed, &self.ranges);
        let all = [Scheme::Internal, Scheme::Public].into_iter();
        let all = all.flat_map(|scheme| [Family::V4, Family::V6].map(|family| (scheme, family)));
        let ranges = &self.ranges;
        self.capabilities.lacking =
            all.filter(|(scheme, family)| ranges.of_family(*scheme, *family).next().is_none()).collect();
    }
}

/// Where a value stands: a JSON pointer (RFC 6901).
#[derive(Clone, Default)]
struct Place(String);

impl Place {
    fn child(&self, key: &str) -> Self {
        Self(format!("{}/{}", self.0, key.replace('~', "~0").replace('/', "~1")))
    }
}

/// Collects the problems on the way.
#[derive(Default)]
struct Reading {
    problems: Vec<ParameterProblem>,
}

impl Reading {
    fn problem(&mut self, at: &Place, message: impl Into<String>) {
        self.problems.push(ParameterProblem { pointer: at.0.clone(), message: message.into() });
    }

    fn object<'a>(&mut self, value: &'a Value, at: &Place) -> Option<&'a Map<String, Value>> {
        if !value.is_null() && !value.is_object() {
            self.problem(at, "must be a mapping");
        }
        value.as_object()
    }

    fn bool(&mut self, value: &Value, at: &Place, into: &mut bool) {
        match value.as_bool() {
            Some(value) => *into = value,
            None => self.problem(at, "must be true or false"),
        }
    }

    fn member<T: Ord>(&mut self, value: &Value, at: &Place, into: &mut BTreeSet<T>, member: T) {
        let mut wanted = into.contains(&member);
        self.bool(value, at, &mut wanted);
        if wanted {
            into.insert(member);
        } else {
            into.remove(&member);
        }
    }

    fn duration(&mut self, value: &Value, at: &Place, into: &mut Duration) {
        match value.as_str().map(duration::parse) {
            Some(Ok(value)) => *into = value,
            Some(Err(message)) => self.problem(at, message),
            None => self.problem(at, "must be a duration, for example 2s"),
        }
    }

    fn networks(&mut self, value: &Value, at: &Place) -> Vec<(Place, IpNet)> {
        let Some(items) = value.as_array() else {
            self.problem(at, "must be a list of networks, for example [192.0.2.0/24]");
            return Vec::new();
        };
        let mut networks = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let at = at.child(&index.to_string());
            match item.as_str().map(str::parse::<IpNet>) {
                Some(Ok(network)) if network == network.trunc() => networks.push((at, network)),
                Some(Ok(network)) => self.problem(&at, format!("names a host; the network is {}", network.trunc())),
                Some(Err(_)) | None => self.problem(&at, "is no network in CIDR notation, for example 192.0.2.0/24"),
            }
        }
        networks
    }

    /// An address in two ranges would be counted twice, and one that is internal and public would be neither.
    fn overlaps(&mut self, placed: &[(Place, IpNet)], ranges: &Ranges) {
        for (at, range) in placed {
            let same = |other: &&IpNet| range.contains(*other) || other.contains(range);
            let met: Vec<_> = ranges.internal.iter().chain(&ranges.public).filter(same).collect();
            if met.len() > 1 {
                let all = met.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
                self.problem(
                    at,
                    format!("overlaps another range of this class (internal and public, defaults included): {all}"),
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn problems(value: &Value) -> Vec<(String, String)> {
        Parameters::parse(value).unwrap_err().into_iter().map(|p| (p.pointer, p.message)).collect()
    }

    #[test]
    fn without_parameters_all_is_on_but_sctp_and_readiness_gates() {
        for nothing in [json!(null), json!({}), json!({"capabilities": {}, "ranges": {}})] {
            let parameters = Parameters::parse(&nothing).unwrap();
            assert_eq!(parameters, Parameters::default());
            assert!(!parameters.capabilities.protocols.contains(&Protocol::Sctp));
            assert!(!parameters.capabilities.readiness_gates);
        }
    }

    #[test]
    fn every_parameter_is_read() {
        let parameters = Parameters::parse(&json!({
            "state": "/tmp/x", "publish": "hostname", "ipMode": "Proxy", "readyAfter": "2s", "drainFor": "1m", "teachesIdentifiers": true,
            "capabilities": {
                "udp": false, "sctp": true, "mixedProtocols": false, "oneListenerANumber": true, "ipv4": true, "ipv6": false, "nodeTargets": true, "podTargets": false, "readinessGates": true,
                "sourceRanges": false, "sessionAffinity": false, "scheme": false, "requestedAddresses": false, "sharing": false,
            },
            "ranges": {"internal": ["10.0.0.0/8"], "public": ["192.0.2.0/24", "2001:db8::/64"]},
        }));
        let expected = Parameters {
            state: Some("/tmp/x".into()),
            capabilities: Capabilities {
                protocols: BTreeSet::from([Protocol::Tcp, Protocol::Sctp]),
                mixed_protocols: false,
                one_listener_a_number: true,
                families: BTreeSet::from([Family::V4]),
                lacking: BTreeSet::from([(Scheme::Internal, Family::V6)]),
                node_targets: true,
                pod_targets: false,
                by_way_of_nodes: false,
                readiness_gates: true,
                source_ranges: false,
                session_affinity: false,
                scheme: false,
                requested_addresses: false,
                sharing: false,
            },
            publish: Publish::Hostname,
            ip_mode: IpMode::Proxy,
            ready_after: Duration::from_secs(2),
            drain_for: Duration::from_secs(60),
            teaches_identifiers: true,
            ranges: Ranges {
                internal: vec!["10.0.0.0/8".parse().unwrap()],
                public: vec!["192.0.2.0/24".parse().unwrap(), "2001:db8::/64".parse().unwrap()],
            },
        };
        assert_eq!(parameters, Ok(expected));
    }

    #[test]
    fn all_problems_are_found_at_once_and_each_says_where() {
        let found = problems(&json!({
            "state": 7, "publish": "dns", "ipMode": "vip", "readyAfter": "soon", "drainFor": 3, "teachesIdentifiers": "yes",
            "capabilities": {"udp": 1, "quic": true, "ipv4": false, "ipv6": false},
            "ranges": {"internal": ["10.0.0.1/8", "x"], "lan": [], "public": "192.0.2.0/24"},
            "a/b~c": 1,
        }));
        let places: BTreeSet<_> = found.iter().map(|(place, _)| place.as_str()).collect();
        let expected = BTreeSet::from([
            "/state",
            "/publish",
            "/ipMode",
            "/readyAfter",
            "/drainFor",
            "/teachesIdentifiers",
            "/capabilities/udp",
            "/capabilities/quic",
            "/capabilities",
            "/ranges/internal/0",
            "/ranges/internal/1",
            "/ranges/lan",
            "/ranges/public",
            "/a~1b~0c",
        ]);
        assert_eq!(places, expected);
        assert_eq!(found.len(), expected.len());
    }

    #[test]
    fn the_state_folder_means_the_same_to_every_process() {
        for (state, says) in [
            ("", "absolute"),
            ("relative", "absolute"),
            ("./x", "absolute"),
            ("~/x", "absolute"),
            ("/tmp/\u{0}x", "NUL"),
        ] {
            let found = problems(&json!({"state": state}));
            assert_eq!((found.len(), found[0].0.as_str()), (1, "/state"), "{state:?}");
            assert!(found[0].1.contains(says), "{state:?}: {found:?}");
        }
    }

    #[test]
    fn ranges_may_not_overlap_each_other_nor_a_default_that_stays() {
        let found = problems(&json!({"ranges": {"public": ["10.0.0.0/8"]}}));
        assert_eq!(found[0].0, "/ranges/public/0");
        assert!(found[0].1.contains("10.255.0.0/16"), "{found:?}");
        assert_eq!(problems(&json!({"ranges": {"public": ["192.0.2.0/24", "192.0.2.0/25"]}})).len(), 2);
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let key = prop::sample::select(vec![
            "state",
            "capabilities",
            "ranges",
            "internal",
            "public",
            "readyAfter",
            "udp",
            "ipv4",
            "x",
        ]);
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            ".{0,8}".prop_map(Value::from),
            Just(json!("10.0.0.0/8")),
            Just(json!("5s")),
        ];
        leaf.prop_recursive(3, 24, 6, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(key.clone().prop_map(str::to_owned), inner, 0..6)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn no_value_makes_the_parser_panic(value in any_json()) {
            if let Err(problems) = Parameters::parse(&value) {
                prop_assert!(!problems.is_empty());
                for problem in problems {
                    prop_assert!(problem.pointer.is_empty() || value.pointer(&problem.pointer).is_some());
                }
            }
        }
    }
}
