//! Attributes of balancers, groups and listeners: which keys there are for a Network Load Balancer, which values they take, what they are
//! at birth. API reference: LoadBalancerAttribute, TargetGroupAttribute, ListenerAttribute.

use std::collections::BTreeMap;

use crate::estate::{Group, TargetType};
use crate::query::Query;
use crate::refusal::Refusal;
use crate::rules::invalid;
use crate::rules::protocols::Protocol;

type Attributes = BTreeMap<String, String>;

/// What a value may be.
enum Values {
    Bool,
    Number(u32, u32),
    OffOrNumber(u32, u32),
    OneOf(&'static [&'static str]),
    Text,
}

const TRUE_FALSE: [&str; 2] = ["true", "false"];

impl Values {
    fn hold(&self, value: &str) -> bool {
        let within =
            |least: &u32, most: &u32| value.parse().is_ok_and(|number: u32| (*least..=*most).contains(&number));
        match self {
            Values::Bool => TRUE_FALSE.contains(&value),
            Values::Number(least, most) => within(least, most),
            Values::OffOrNumber(least, most) => value == "off" || within(least, most),
            Values::OneOf(values) => values.contains(&value),
            Values::Text => value.len() <= 1024,
        }
    }
}

/// Key, values, and what it is at birth.
type Row = (&'static str, Values, &'static str);

fn balancer_rows(internal: bool) -> Vec<Row> {
    const ROUTING: &[&str] =
        &["availability_zone_affinity", "partial_availability_zone_affinity", "any_availability_zone"];
    vec![
        ("access_logs.s3.enabled", Values::Bool, "false"),
        ("access_logs.s3.bucket", Values::Text, ""),
        ("access_logs.s3.prefix", Values::Text, ""),
        ("deletion_protection.enabled", Values::Bool, "false"),
        ("dns_record.client_routing_policy", Values::OneOf(ROUTING), "any_availability_zone"),
        ("ipv6.deny_all_igw_traffic", Values::Bool, if internal { "true" } else { "false" }),
        ("load_balancing.cross_zone.enabled", Values::Bool, "false"),
        ("secondary_ips.auto_assigned.per_subnet", Values::Number(0, 7), "0"),
        ("zonal_shift.config.enabled", Values::Bool, "false"),
    ]
}

fn group_rows(protocol: Protocol, target_type: TargetType) -> Vec<Row> {
    let udp = protocol.has_udp();
    let preserves = udp || target_type == TargetType::Instance;
    let text = |yes: bool| if yes { "true" } else { "false" };
    const CROSS_ZONE: &[&str] = &["true", "false", "use_load_balancer_configuration"];
    let most = u32::MAX;
    vec![
        ("deregistration_delay.connection_termination.enabled", Values::Bool, text(udp)),
        ("deregistration_delay.timeout_seconds", Values::Number(0, 3600), "300"),
        ("load_balancing.cross_zone.enabled", Values::OneOf(CROSS_ZONE), "use_load_balancer_configuration"),
        ("preserve_client_ip.enabled", Values::Bool, text(preserves)),
        ("proxy_protocol_v2.enabled", Values::Bool, "false"),
        ("stickiness.enabled", Values::Bool, "false"),
        ("stickiness.type", Values::OneOf(&["source_ip"]), "source_ip"),
        ("target_group_health.dns_failover.minimum_healthy_targets.count", Values::OffOrNumber(1, most), "1"),
        ("target_group_health.dns_failover.minimum_healthy_targets.percentage", Values::OffOrNumber(1, 100), "off"),
        ("target_group_health.unhealthy_state_routing.minimum_healthy_targets.count", Values::Number(1, most), "1"),
        (
            "target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage",
            Values::OffOrNumber(1, 100),
            "off",
        ),
        ("target_health_state.unhealthy.connection_termination.enabled", Values::Bool, text(!udp)),
        ("target_health_state.unhealthy.draining_interval_seconds", Values::Number(0, 360_000), "0"),
    ]
}

fn listener_rows(protocol: Protocol) -> Vec<Row> {
    // NLB guide, "Update the TCP idle timeout": "If the listener uses a protocol other than TCP, this tab is not present"; for TLS it is fixed
    // at 350 s.
    match protocol {
        Protocol::Tcp => vec![("tcp.idle_timeout.seconds", Values::Number(60, 6000), "350")],
        Protocol::TcpUdp | Protocol::TcpQuic | Protocol::Tls | Protocol::Udp | Protocol::Quic => Vec::new(),
    }
}

fn at_birth(rows: Vec<Row>) -> Attributes {
    rows.into_iter().map(|(key, _, value)| (key.to_owned(), value.to_owned())).collect()
}

/// A new balancer's attributes.
pub(crate) fn of_new_balancer(internal: bool) -> Attributes {
    at_birth(balancer_rows(internal))
}

/// A new group's attributes.
pub(crate) fn of_new_group(protocol: Protocol, target_type: TargetType) -> Attributes {
    at_birth(group_rows(protocol, target_type))
}

/// A new listener's attributes.
pub(crate) fn of_new_listener(protocol: Protocol) -> Attributes {
    at_birth(listener_rows(protocol))
}

/// The attributes of a balancer after this request.
pub(crate) fn balancer(query: &Query, now: &Attributes, internal: bool) -> Result<Attributes, Refusal> {
    let next = changed(query, now, &balancer_rows(internal))?;
    let is = |key: &str| next.get(key).map(String::as_str).unwrap_or_default();
    if is("access_logs.s3.enabled") == "true" && is("access_logs.s3.bucket").is_empty() {
        return Err(invalid("access_logs.s3.bucket is required if access logs are enabled"));
    }
    let number = |attributes: &Attributes| {
        attributes.get("secondary_ips.auto_assigned.per_subnet").and_then(|text| text.parse::<u32>().ok())
    };
    if number(&next) < number(now) {
        return Err(invalid("secondary_ips.auto_assigned.per_subnet cannot be decreased"));
    }
    Ok(next)
}

/// The attributes of a group after this request.
pub(crate) fn group(query: &Query, group: &Group) -> Result<Attributes, Refusal> {
    let next = changed(query, &group.attributes, &group_rows(group.protocol, group.target_type))?;
    let is = |key: &str, value: &str| next.get(key).is_some_and(|is| is == value);
    let udp = group.protocol.has_udp();
    if udp && is("preserve_client_ip.enabled", "false") {
        return Err(invalid("Client IP preservation cannot be disabled for UDP and TCP_UDP target groups"));
    }
    if udp && is("target_health_state.unhealthy.connection_termination.enabled", "true") {
        return Err(invalid(
            "connection termination of unhealthy targets cannot be enabled for UDP and TCP_UDP target groups",
        ));
    }
    if !is("target_health_state.unhealthy.draining_interval_seconds", "0")
        && is("target_health_state.unhealthy.connection_termination.enabled", "true")
    {
        return Err(invalid("a draining interval needs connection termination of unhealthy targets off"));
    }
    if group.protocol == Protocol::Tls && is("stickiness.enabled", "true") {
        return Err(invalid("You cannot enable stickiness on target groups with the TLS protocol"));
    }
    Ok(next)
}

/// The attributes of a listener after this request.
pub(crate) fn listener(query: &Query, now: &Attributes, protocol: Protocol) -> Result<Attributes, Refusal> {
    changed(query, now, &listener_rows(protocol))
}

fn changed(query: &Query, now: &Attributes, rows: &[Row]) -> Result<Attributes, Refusal> {
    let mut next = now.clone();
    let mut named = std::collections::BTreeSet::new();
    for attribute in query.structures("Attributes") {
        let (key, value) = (attribute.need("Key")?.to_owned(), attribute.get("Value").unwrap_or_default().to_owned());
        let Some((_, values, _)) = rows.iter().find(|(known, _, _)| *known == key) else {
            return Err(invalid(format!("the attribute key '{key}' is not recognized for this resource")));
        };
        if !values.hold(&value) {
            return Err(invalid(format!("the value '{value}' is not valid for the attribute '{key}'")));
        }
        if !named.insert(key.clone()) {
            return Err(invalid(format!("the attribute key '{key}' was specified more than once")));
        }
        next.insert(key, value);
    }
    if named.is_empty() { Err(Refusal::validation("At least one attribute must be specified")) } else { Ok(next) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(pairs: &[(&str, &str)]) -> Query {
        Query::of(pairs.iter().enumerate().flat_map(|(index, (key, value))| {
            [
                (format!("Attributes.member.{}.Key", index + 1), (*key).to_owned()),
                (format!("Attributes.member.{}.Value", index + 1), (*value).to_owned()),
            ]
        }))
    }

    fn on_balancer(pairs: &[(&str, &str)]) -> Result<Attributes, String> {
        balancer(&set(pairs), &of_new_balancer(true), true).map_err(|refusal| refusal.code)
    }

    fn on_group(protocol: Protocol, target_type: TargetType, key: &str, value: &str) -> bool {
        let group = crate::rules::targets::tests::group(protocol, target_type);
        super::group(&set(&[(key, value)]), &group).is_ok()
    }

    #[test]
    fn only_keys_of_network_balancers_are_taken() {
        assert!(on_balancer(&[("load_balancing.cross_zone.enabled", "true")]).is_ok());
        for of_others in ["idle_timeout.timeout_seconds", "routing.http2.enabled", "nonsense"] {
            assert_eq!(
                on_balancer(&[(of_others, "true")]),
                Err("InvalidConfigurationRequest".to_owned()),
                "{of_others}"
            );
        }
        assert!(!on_group(Protocol::Tcp, TargetType::Instance, "slow_start.duration_seconds", "30"));
    }

    #[test]
    fn one_bad_value_fails_the_whole_request() {
        let two =
            on_balancer(&[("deletion_protection.enabled", "true"), ("dns_record.client_routing_policy", "nearest")]);
        assert_eq!(two, Err("InvalidConfigurationRequest".to_owned()));
        assert!(on_balancer(&[("deletion_protection.enabled", "yes")]).is_err());
        assert!(on_balancer(&[]).is_err());
    }

    #[test]
    fn logs_need_a_bucket_and_secondary_addresses_never_shrink() {
        assert!(on_balancer(&[("access_logs.s3.enabled", "true")]).is_err());
        assert!(on_balancer(&[("access_logs.s3.enabled", "true"), ("access_logs.s3.bucket", "b")]).is_ok());
        let grown = on_balancer(&[("secondary_ips.auto_assigned.per_subnet", "2")]).unwrap();
        assert!(balancer(&set(&[("secondary_ips.auto_assigned.per_subnet", "1")]), &grown, true).is_err());
        assert!(on_balancer(&[("secondary_ips.auto_assigned.per_subnet", "8")]).is_err());
    }

    #[test]
    fn what_a_group_is_born_with_depends_on_protocol_and_target_type() {
        let born = |protocol, target_type, key: &str| of_new_group(protocol, target_type).get(key).cloned().unwrap();
        assert_eq!(born(Protocol::Tcp, TargetType::Instance, "preserve_client_ip.enabled"), "true");
        assert_eq!(born(Protocol::Tcp, TargetType::Ip, "preserve_client_ip.enabled"), "false");
        assert_eq!(born(Protocol::Udp, TargetType::Ip, "preserve_client_ip.enabled"), "true");
        assert_eq!(born(Protocol::Udp, TargetType::Ip, "deregistration_delay.connection_termination.enabled"), "true");
        assert_eq!(of_new_balancer(true).get("ipv6.deny_all_igw_traffic").unwrap(), "true");
    }

    #[test]
    fn ranges_of_groups_and_listeners() {
        for (key, good, bad) in [
            ("deregistration_delay.timeout_seconds", "3600", "3601"),
            ("target_group_health.dns_failover.minimum_healthy_targets.percentage", "off", "101"),
            ("target_group_health.unhealthy_state_routing.minimum_healthy_targets.count", "1", "off"),
            ("load_balancing.cross_zone.enabled", "use_load_balancer_configuration", "on"),
            ("stickiness.type", "source_ip", "lb_cookie"),
        ] {
            assert!(on_group(Protocol::Tcp, TargetType::Ip, key, good), "{key}");
            assert!(!on_group(Protocol::Tcp, TargetType::Ip, key, bad), "{key}");
        }
        let idle = |protocol, seconds| {
            listener(&set(&[("tcp.idle_timeout.seconds", seconds)]), &of_new_listener(protocol), protocol).is_ok()
        };
        assert_eq!(
            [
                idle(Protocol::Tcp, "60"),
                idle(Protocol::Tcp, "59"),
                idle(Protocol::Tcp, "6001"),
                idle(Protocol::Tls, "60"),
                idle(Protocol::Udp, "60")
            ],
            [true, false, false, false, false]
        );
    }

    #[test]
    fn udp_keeps_client_addresses_and_tls_has_no_stickiness() {
        assert!(!on_group(Protocol::Udp, TargetType::Instance, "preserve_client_ip.enabled", "false"));
        assert!(on_group(Protocol::Tcp, TargetType::Instance, "preserve_client_ip.enabled", "false"));
        assert!(!on_group(Protocol::Tls, TargetType::Ip, "stickiness.enabled", "true"));
        assert!(!on_group(
            Protocol::TcpUdp,
            TargetType::Ip,
            "target_health_state.unhealthy.connection_termination.enabled",
            "true"
        ));
        assert!(!on_group(
            Protocol::Tcp,
            TargetType::Ip,
            "target_health_state.unhealthy.draining_interval_seconds",
            "10"
        ));
    }
}
