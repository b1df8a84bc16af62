use super::*;

const GROUP: Owner = Owner::TargetGroup { protocol: Protocol::Tcp, targets: TargetType::Instance };

fn attributes(table: &'static [Attribute], items: &[(&str, &str)]) -> Attributes {
    items.iter().map(|(key, value)| (AttributeKey::parse(table, key).unwrap(), (*value).to_owned())).collect()
}

fn owned(keys: &[&str]) -> BTreeSet<String> {
    keys.iter().map(|key| (*key).to_owned()).collect()
}

#[test]
fn a_key_that_is_set_no_more_goes_back_to_what_aws_takes() {
    let now = attributes(TARGET_GROUP, &[("stickiness.enabled", "true")]);
    let before = owned(&["stickiness.enabled", "deregistration_delay.timeout_seconds", "preserve_client_ip.enabled"]);
    let expected = attributes(
        TARGET_GROUP,
        &[
            ("stickiness.enabled", "true"),
            ("deregistration_delay.timeout_seconds", "300"),
            ("preserve_client_ip.enabled", "true"),
        ],
    );
    assert_eq!(restored(TARGET_GROUP, &before, &now, GROUP), expected);
    assert_eq!(restored(TARGET_GROUP, &BTreeSet::new(), &now, GROUP), now, "what was never set is not touched");
}

#[test]
fn what_cannot_be_taken_back_or_is_unknown_by_now_stays() {
    let before = owned(&["secondary_ips.auto_assigned.per_subnet", "access_logs.s3.bucket", "something.of.last.year"]);
    let left = restored(LOAD_BALANCER, &before, &Attributes::new(), Owner::LoadBalancer(Scheme::Public));
    assert_eq!(left, Attributes::new());
}

#[test]
fn defaults_are_those_that_aws_documents() {
    let default = |table, key: &str, owner| AttributeKey::parse(table, key).unwrap().attribute().default(owner);
    let group = |protocol, targets| Owner::TargetGroup { protocol, targets };
    for (protocol, targets, preserve, delay, unhealthy) in [
        (Protocol::Tcp, TargetType::Instance, "true", "false", "true"),
        (Protocol::Tls, TargetType::Instance, "true", "false", "true"),
        (Protocol::Udp, TargetType::Instance, "true", "true", "false"),
        (Protocol::Tcp, TargetType::Ip, "false", "false", "true"),
        (Protocol::Tls, TargetType::Ip, "false", "false", "true"),
        (Protocol::Udp, TargetType::Ip, "true", "true", "false"),
        (Protocol::TcpUdp, TargetType::Ip, "true", "true", "false"),
    ] {
        let of = |key| default(TARGET_GROUP, key, group(protocol, targets));
        assert_eq!(of("preserve_client_ip.enabled"), Some(preserve), "{protocol} {targets}");
        assert_eq!(of("deregistration_delay.connection_termination.enabled"), Some(delay), "{protocol} {targets}");
        assert_eq!(of(table::UNHEALTHY_TERMINATION), Some(unhealthy), "{protocol} {targets}");
    }
    let igw = |scheme| default(LOAD_BALANCER, "ipv6.deny_all_igw_traffic", Owner::LoadBalancer(scheme));
    assert_eq!((igw(Scheme::Internal), igw(Scheme::Public)), (Some("true"), Some("false")));
    assert_eq!(default(LISTENER, "tcp.idle_timeout.seconds", Owner::Listener), Some("350"));
}

#[test]
fn every_default_is_a_value_that_may_be_written() {
    for attribute in LOAD_BALANCER.iter().chain(TARGET_GROUP).chain(LISTENER) {
        for owner in
            [Owner::LoadBalancer(Scheme::Internal), Owner::LoadBalancer(Scheme::Public), GROUP, Owner::Listener]
        {
            if let Some(default) = attribute.default(owner) {
                assert_eq!(attribute.values.check(default).as_deref(), Ok(default), "{}", attribute.key);
            }
        }
    }
}

#[test]
fn keys_are_sorted_unique_and_not_those_of_other_balancers() {
    for table in [LOAD_BALANCER, TARGET_GROUP, LISTENER] {
        for pair in table.windows(2) {
            assert!(pair[0].key != pair[1].key, "{}", pair[0].key);
        }
        assert!(table.iter().all(|attribute| !table::OF_OTHERS.contains(&attribute.key)));
        assert!(AttributeKey::parse(table, "waf.fail_open.enabled").unwrap_err().contains("another kind"));
        assert!(AttributeKey::parse(table, "stickyness.enabled").unwrap_err().contains("those are"));
    }
}

#[test]
fn a_value_is_checked_and_written_as_aws_wants_it() {
    let int = Values::Int { min: 60, max: 6000, unit: "seconds" };
    let off_or = Values::OffOr { max: 100, unit: "percent" };
    for (values, text, expected) in [
        (Values::Bool, "True", Some("true")),
        (Values::Bool, "0", Some("false")),
        (Values::Bool, "yes", None),
        (Values::Bool, "", None),
        (int, "60", Some("60")),
        (int, "6000", Some("6000")),
        (int, "0350", Some("350")),
        (int, "59", None),
        (int, "6001", None),
        (int, "-60", None),
        (int, "350s", None),
        (off_or, "off", Some("off")),
        (off_or, "100", Some("100")),
        (off_or, "0", None),
        (off_or, "101", None),
        (Values::Word(&["a", "b"]), "b", Some("b")),
        (Values::Word(&["a", "b"]), "B", None),
        (Values::Text, "anything", Some("anything")),
    ] {
        assert_eq!(values.check(text).ok().as_deref(), expected, "{text:?}");
    }
}
