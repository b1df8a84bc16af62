use std::collections::BTreeSet;

use super::*;

#[test]
fn every_name_is_found_again_as_its_key_and_no_other() {
    let mut names = BTreeSet::new();
    for key in Key::ALL {
        let Entry { name, form, .. } = key.entry();
        let (annotation, port) = match form {
            Form::Whole => (format!("{PREFIX}{name}"), ""),
            Form::OfPort => (format!("{PREFIX}{name}.80"), "80"),
            Form::OfListener => (format!("{PREFIX}{name}.TCP-80"), "TCP-80"),
        };
        assert_eq!(Key::of(&annotation), Some((*key, port)));
        assert!(names.insert(key.name()), "{} stands twice", key.name());
    }
    for other in [
        "service.beta.kubernetes.io/aws-load-balancer-",
        "service.beta.kubernetes.io/aws-load-balancer-subnet",
        "service.beta.kubernetes.io/aws-load-balancer-subnets.80",
        "service.beta.kubernetes.io/aws-load-balancer-target-group-attributes80",
        "service.kubernetes.io/aws-load-balancer-subnets",
        "aws-load-balancer-subnets",
        "actions.TCP-80",
    ] {
        assert_eq!(Key::of(other), None, "{other}");
    }
}

#[test]
fn refused_by_name_is_only_what_may_be() {
    let refused: Vec<&str> = Key::ALL
        .iter()
        .filter(|key| matches!(key.entry().standing, Standing::Refused(_) | Standing::Classic(_)))
        .map(|key| key.entry().name)
        .collect();
    let expected = [
        "aws-load-balancer-minimum-load-balancer-capacity",
        "aws-load-balancer-quic-enabled-ports",
        "actions",
        "aws-load-balancer-multi-cluster-target-group",
        "aws-load-balancer-access-log-emit-interval",
        "aws-load-balancer-connection-draining-enabled",
        "aws-load-balancer-connection-draining-timeout",
        "aws-load-balancer-connection-idle-timeout",
        "aws-load-balancer-extra-security-groups",
    ];
    assert_eq!(refused, expected);
}

#[test]
fn whoever_is_told_to_use_another_key_is_told_one_that_is_read() {
    for key in Key::ALL {
        if let Standing::Deprecated(instead) = key.entry().standing {
            let (other, _) = Key::of(&format!("{PREFIX}{instead}")).expect(instead);
            assert_eq!(other.entry().standing, Standing::Read, "{instead}");
        }
    }
}
