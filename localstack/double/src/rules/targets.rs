//! Which targets a group takes: API reference, CreateTargetGroup `TargetType`, RegisterTargets, TargetDescription.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::estate::{Group, TargetType};
use crate::query::Query;
use crate::refusal::Refusal;
use crate::rules::number;

/// One target of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) id: String,
    /// As it was sent; the group's port stands in when it was not.
    pub(crate) port: Option<u16>,
    pub(crate) zone: Option<String>,
}

/// The targets that a request names.
pub(crate) fn read(query: &Query) -> Result<Vec<Asked>, Refusal> {
    let asked = query.structures("Targets").into_iter().map(|target| {
        let port = target.get("Port").map(|port| number("Port", port, 1..=65535)).transpose()?;
        Ok(Asked {
            id: target.need("Id")?.to_owned(),
            port: port.and_then(|port| u16::try_from(port).ok()),
            zone: target.get("AvailabilityZone").map(str::to_owned),
        })
    });
    asked.collect()
}

/// May this target be registered with this group? `vpc` are the address ranges of the group's VPC.
///
/// CreateTargetGroup, `TargetType`: addresses from the VPC, RFC 1918 and RFC 6598, never publicly routable ones. TargetDescription,
/// `AvailabilityZone`: not for instances; required, as `all`, for an address outside the VPC.
pub(crate) fn register(target: &Asked, group: &Group, vpc: &[IpNet]) -> Result<(), Refusal> {
    let refused = |why: String| Err(Refusal::new("InvalidTarget", why));
    match group.target_type {
        TargetType::Instance => {
            if !target.id.starts_with("i-") {
                return Err(Refusal::validation(format!("Instance ID '{}' is not valid", target.id)));
            }
            if target.zone.is_some() {
                return Err(Refusal::validation("You cannot specify an Availability Zone for instance targets"));
            }
        }
        TargetType::Ip => {
            let Ok(address) = target.id.parse::<IpAddr>() else {
                return Err(Refusal::validation(format!(
                    "The IP address '{}' is not a valid IPv4 or IPv6 address",
                    target.id
                )));
            };
            if address.is_ipv6() != group.ipv6 {
                return refused(format!("The IP address '{address}' is not of the target group's IP address type"));
            }
            let inside = vpc.iter().any(|range| range.contains(&address));
            if !inside && !is_private(address) {
                return refused(format!(
                    "The IP address '{address}' must be in the VPC or in RFC 1918 or RFC 6598 ranges"
                ));
            }
            if !inside && target.zone.as_deref() != Some("all") {
                return refused(format!(
                    "The IP address '{address}' is outside of the VPC: its Availability Zone must be 'all'"
                ));
            }
        }
    }
    Ok(())
}

fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_private() || (address.octets()[0] == 100 && address.octets()[1] & 0xc0 == 64),
        IpAddr::V6(_) => false,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::rules::protocols::Protocol;
    use std::time::Duration;

    /// A group without targets.
    pub(crate) fn group(protocol: Protocol, target_type: TargetType) -> Group {
        Group {
            arn: "arn:aws:elasticloadbalancing:us-east-1:1:targetgroup/web/1".to_owned(),
            name: "web".to_owned(),
            protocol,
            port: 80,
            vpc: "vpc-1".to_owned(),
            target_type,
            ipv6: false,
            health_check: crate::rules::health_checks::read(&Query::default(), None).unwrap(),
            attributes: crate::rules::attributes::of_new_group(protocol, target_type),
            tags: Default::default(),
            targets: Vec::new(),
            born: Duration::ZERO,
            in_use_since: None,
            held_until: Duration::ZERO,
        }
    }

    fn ip(id: &str, zone: Option<&str>) -> Result<(), String> {
        let target = Asked { id: id.to_owned(), port: None, zone: zone.map(str::to_owned) };
        let vpc = ["203.0.113.0/24".parse().unwrap()];
        register(&target, &group(Protocol::Tcp, TargetType::Ip), &vpc).map_err(|refusal| refusal.code)
    }

    #[test]
    fn addresses_are_of_the_vpc_or_private() {
        assert_eq!(ip("203.0.113.9", None), Ok(()));
        for private in ["10.1.2.3", "172.31.0.1", "192.168.1.1", "100.64.0.1", "100.127.255.254"] {
            assert_eq!(ip(private, Some("all")), Ok(()), "{private}");
            assert_eq!(ip(private, None), Err("InvalidTarget".to_owned()), "{private}");
        }
        for public in ["8.8.8.8", "172.32.0.1", "100.128.0.1", "100.63.255.255"] {
            assert_eq!(ip(public, Some("all")), Err("InvalidTarget".to_owned()), "{public}");
        }
        assert_eq!(ip("fd00::1", Some("all")), Err("InvalidTarget".to_owned()));
        assert_eq!(ip("i-0123", None), Err("ValidationError".to_owned()));
    }

    #[test]
    fn an_instance_group_takes_instances_without_a_zone() {
        let instance = |id: &str, zone: Option<&str>| {
            let target = Asked { id: id.to_owned(), port: None, zone: zone.map(str::to_owned) };
            register(&target, &group(Protocol::Tcp, TargetType::Instance), &[]).is_ok()
        };
        assert_eq!(
            [instance("i-1", None), instance("10.0.0.1", None), instance("i-1", Some("all"))],
            [true, false, false]
        );
    }

    #[test]
    fn a_target_has_a_legal_port() {
        let read = |port: &str| read(&Query::of([("Targets.member.1.Id", "i-1"), ("Targets.member.1.Port", port)]));
        assert_eq!(read("65535").unwrap()[0].port, Some(65535));
        assert!(read("0").is_err() && read("65536").is_err());
    }
}
