#![expect(clippy::wildcard_enum_match_arm, reason = "a test fails on any other claim")]

use super::*;
use crate::class::Classes;
use crate::examples::{class, record, service};
use crate::ids::{ClassName, FINALIZER, LoadBalancerId};

const MOCK: &str = "portolan.dev/mock";

fn classes(classes: Vec<Class>) -> Classes {
    Classes { classes: classes.into_iter().map(Arc::new).collect(), ..Classes::default() }
}

fn mock_only() -> Classes {
    classes(vec![class(MOCK)])
}

/// The same record of a Service that has come to its class in this way.
fn by(claimed_by: ClaimedBy, mut record: Record) -> Record {
    record.members.iter_mut().for_each(|joined| joined.claimed_by = claimed_by);
    record
}

fn with_class(name: &str) -> Service {
    Service { class: Some(name.to_owned()), ..service("a") }
}

fn served_class(claim: &Claim) -> Option<&str> {
    match claim {
        Claim::Claimed(Claimed { standing: Standing::Serve(class), .. }) => Some(class.name.as_str()),
        Claim::Claimed(_) | Claim::NotOurs(_) | Claim::WasOurs(_) => None,
    }
}

#[test]
fn a_class_matches_exactly_and_with_case() {
    assert_eq!(served_class(&claim(&with_class(MOCK), &[], &mock_only())), Some(MOCK));
    for other in ["portolan.dev/Mock", "mock", "portolan.dev/mock2", "example.com/mock"] {
        assert!(matches!(claim(&with_class(other), &[], &mock_only()), Claim::NotOurs(_)), "{other}");
    }
}

#[test]
fn an_alias_means_the_class() {
    let aliased = Class { aliases: vec!["service.k8s.aws/nlb".to_owned()], ..class("portolan.dev/aws") };
    let claim = claim(&with_class("service.k8s.aws/nlb"), &[], &classes(vec![aliased]));
    assert_eq!(served_class(&claim), Some("portolan.dev/aws"));
}

#[test]
fn a_service_without_class_is_claimed_by_the_default_class_only() {
    assert_eq!(claim(&service("a"), &[], &mock_only()), Claim::NotOurs(NotOurs::NoClass));
    let with_default = classes(vec![Class { default: true, ..class(MOCK) }]);
    assert_eq!(served_class(&claim(&service("a"), &[], &with_default)), Some(MOCK));
}

#[test]
fn a_forged_record_claims_nobody() {
    let service = service("a");
    let forged = Record { id: LoadBalancerId::new("forged"), ..by(ClaimedBy::Default, record(&service, MOCK)) };
    assert_eq!(claim(&service, &[&forged], &mock_only()), Claim::NotOurs(NotOurs::NoClass));
}

#[test]
fn only_an_unconfigured_class_under_our_prefix_is_unknown() {
    let mut classes = mock_only();
    classes.other_classes = vec!["portolan.dev/lab".to_owned()];
    for (class, not_ours) in [
        ("portolan.dev/moc", NotOurs::UnknownClass),
        ("portolan.dev/lab", NotOurs::ForeignClass),
        ("portolan.dev/metal", NotOurs::ForeignClass),
        ("example.com/internal-vip", NotOurs::ForeignClass),
    ] {
        assert_eq!(claim(&with_class(class), &[], &classes), Claim::NotOurs(not_ours), "{class}");
    }
}

#[test]
fn any_other_type_was_ours_if_it_carries_a_mark() {
    for service_type in [ServiceType::ClusterIp, ServiceType::NodePort, ServiceType::ExternalName] {
        let plain = Service { service_type: service_type.clone(), ..service("a") };
        assert_eq!(claim(&plain, &[], &mock_only()), Claim::NotOurs(NotOurs::NotLoadBalancer));
        let marked = Service { finalizers: vec![FINALIZER.to_owned()], ..plain.clone() };
        assert_eq!(claim(&marked, &[], &mock_only()), Claim::WasOurs(WasOurs::TypeChanged));
        assert_eq!(claim(&plain, &[&record(&plain, MOCK)], &mock_only()), Claim::WasOurs(WasOurs::TypeChanged));
    }
}

#[test]
fn a_deleting_service_is_cleaned_up_if_it_carries_a_mark() {
    let deleting = Service { deleting: true, ..with_class(MOCK) };
    assert_eq!(claim(&deleting, &[], &mock_only()), Claim::NotOurs(NotOurs::Deleting));
    let marked = Service { finalizers: vec![FINALIZER.to_owned()], ..deleting };
    assert_eq!(claim(&marked, &[], &mock_only()), Claim::WasOurs(WasOurs::Deleting));
}

#[test]
fn back_under_a_foreign_class_is_handed_over() {
    let back = Service { finalizers: vec![FINALIZER.to_owned()], ..with_class("example.com/other") };
    let record = record(&back, MOCK);
    assert_eq!(claim(&back, &[&record], &mock_only()), Claim::WasOurs(WasOurs::HandedOver));
    assert_eq!(claim(&back, &[], &mock_only()), Claim::WasOurs(WasOurs::HandedOver));
}

#[test]
fn a_class_that_vanishes_from_the_configuration_keeps_its_services() {
    for value in [MOCK, "an.alias/of-it"] {
        let service = with_class(value);
        let record = Record { aliases: vec!["an.alias/of-it".to_owned()], ..record(&service, MOCK) };
        match claim(&service, &[&record], &classes(Vec::new())) {
            Claim::Claimed(Claimed { standing: Standing::ClassNotConfigured { class }, .. }) => {
                assert_eq!(class, value);
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_moved_default_moves_nobody() {
    let a = class("portolan.dev/a");
    let b = Class { default: true, ..class("portolan.dev/b") };
    let service = service("s");
    let record = by(ClaimedBy::Default, record(&service, "portolan.dev/a"));
    match claim(&service, &[&record], &classes(vec![a, b])) {
        Claim::Claimed(Claimed { standing: Standing::Serve(class), warnings, .. }) => {
            assert_eq!(class.name, ClassName::new("portolan.dev/a"));
            assert_eq!(warnings, vec![ClaimWarning::DefaultMoved]);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_type_annotation_claims_where_the_class_says_so_and_beats_the_default() {
    let aws = Class { claim_by_type_annotation: true, ..class("portolan.dev/aws") };
    let metal = Class { default: true, ..class("portolan.dev/metal") };
    let classes = classes(vec![metal, aws]);
    for (value, wanted) in
        [("external", "portolan.dev/aws"), ("nlb-ip", "portolan.dev/aws"), ("nlb", "portolan.dev/metal")]
    {
        let mut service = service("a");
        service.annotations.insert(TYPE_ANNOTATION.to_owned(), value.to_owned());
        assert_eq!(served_class(&claim(&service, &[], &classes)), Some(wanted), "{value}");
    }
}

#[test]
fn a_removed_type_annotation_warns_and_another_value_hands_over() {
    let classes = classes(vec![Class { claim_by_type_annotation: true, ..class("portolan.dev/aws") }]);
    let mut service = service("a");
    let record = by(ClaimedBy::TypeAnnotation, record(&service, "portolan.dev/aws"));
    match claim(&service, &[&record], &classes) {
        Claim::Claimed(claimed) => assert_eq!(claimed.warnings, vec![ClaimWarning::TypeAnnotationRemoved]),
        other => panic!("{other:?}"),
    }
    service.annotations.insert(TYPE_ANNOTATION.to_owned(), "nlb".to_owned());
    assert_eq!(claim(&service, &[&record], &classes), Claim::WasOurs(WasOurs::HandedOver));
}

#[test]
fn a_class_that_claims_by_type_annotation_no_more_keeps_its_services_with_a_warning() {
    let classes = classes(vec![class("portolan.dev/aws")]);
    let mut service = service("a");
    service.annotations.insert(TYPE_ANNOTATION.to_owned(), "external".to_owned());
    assert_eq!(claim(&service, &[], &classes), Claim::NotOurs(NotOurs::NoClass), "and gets no new ones");
    let record = by(ClaimedBy::TypeAnnotation, record(&service, "portolan.dev/aws"));
    match claim(&service, &[&record], &classes) {
        Claim::Claimed(claimed) => assert_eq!(claimed.warnings, vec![ClaimWarning::TypeAnnotationNotRead]),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_record_of_another_instance_is_waited_for() {
    let service = with_class(MOCK);
    let instance = Instance::parse("blue").unwrap();
    let foreign = Record { instance: instance.clone(), ..record(&service, "portolan.dev/blue") };
    match claim(&service, &[&foreign], &mock_only()) {
        Claim::Claimed(claimed) => assert_eq!(claimed.standing, Standing::OtherInstance(instance)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_paused_service_is_left_as_it_is_until_it_is_deleted() {
    for (value, paused) in [("true", true), ("", true), ("yes", true), ("false", false), ("0", false)] {
        let mut service = with_class(MOCK);
        service.annotations.insert(PAUSED_ANNOTATION.to_owned(), value.to_owned());
        let is_paused =
            matches!(claim(&service, &[], &mock_only()), Claim::Claimed(Claimed { standing: Standing::Paused, .. }));
        assert_eq!(is_paused, paused, "{value:?}");
        service.deleting = true;
        service.finalizers = vec![FINALIZER.to_owned()];
        assert_eq!(claim(&service, &[], &mock_only()), Claim::WasOurs(WasOurs::Deleting));
    }
}

#[test]
fn the_finalizer_of_another_instance_is_no_mark_of_ours() {
    let service = Service { finalizers: vec![format!("{FINALIZER}.blue")], deleting: true, ..with_class(MOCK) };
    assert_eq!(claim(&service, &[], &mock_only()), Claim::NotOurs(NotOurs::Deleting));
}

#[test]
fn a_namespace_that_is_not_watched_is_left_alone_but_still_cleaned_up() {
    let classes = Classes { watch_namespaces: vec!["prod".to_owned()], ..mock_only() };
    let live = Service { finalizers: vec![FINALIZER.to_owned()], ..with_class(MOCK) };
    assert_eq!(claim(&live, &[&record(&live, MOCK)], &classes), Claim::NotOurs(NotOurs::NamespaceNotWatched));
    let deleting = Service { deleting: true, ..live };
    assert_eq!(claim(&deleting, &[], &classes), Claim::WasOurs(WasOurs::Deleting));
}

#[test]
fn a_service_that_was_only_refused_is_tidied_up_when_it_leaves() {
    let condition = |name: &str| crate::snapshot::Condition {
        condition_type: name.to_owned(),
        status: crate::snapshot::ConditionStatus::False,
        reason: "InvalidSpec".to_owned(),
        message: String::new(),
        last_transition_time: String::new(),
        observed_generation: None,
        verbatim: None,
    };
    let mut left = Service { service_type: ServiceType::ClusterIp, ..service("a") };
    left.conditions = vec![condition("other.example/Ready")];
    assert_eq!(claim(&left, &[], &mock_only()), Claim::NotOurs(NotOurs::NotLoadBalancer));
    left.conditions.push(condition("portolan.dev/Accepted"));
    assert_eq!(claim(&left, &[], &mock_only()), Claim::WasOurs(WasOurs::TypeChanged));
    let deleting = Service { deleting: true, ..left.clone() };
    assert_eq!(
        claim(&deleting, &[], &mock_only()),
        Claim::WasOurs(WasOurs::Deleting),
        "somebody else's finalizer holds it"
    );
    let of_another = Record { instance: Instance::parse("green").unwrap(), ..record(&left, MOCK) };
    assert_eq!(claim(&left, &[&of_another], &mock_only()), Claim::NotOurs(NotOurs::NotLoadBalancer));
    let elsewhere = Classes { watch_namespaces: vec!["prod".to_owned()], ..mock_only() };
    assert_eq!(claim(&left, &[], &elsewhere), Claim::NotOurs(NotOurs::NotLoadBalancer));
    left.finalizers = vec!["portolan.dev/load-balancer.green".to_owned()];
    assert_eq!(claim(&left, &[], &mock_only()), Claim::NotOurs(NotOurs::NotLoadBalancer), "green still works on it");

    // Under a class of somebody else's only the server can tell.
    let mut foreign = Service { class: Some("example.com/lb".to_owned()), ..service("a") };
    foreign.conditions = vec![condition("portolan.dev/Accepted")];
    for (by, end) in [
        (&[][..], Claim::NotOurs(NotOurs::ForeignClass)),
        (&["portolan"], Claim::WasOurs(WasOurs::HandedOver)),
        (&["portolan.green"], Claim::NotOurs(NotOurs::ForeignClass)),
        (&["portolan", "portolan.green"], Claim::NotOurs(NotOurs::ForeignClass)),
    ] {
        foreign.conditions_by = by.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(claim(&foreign, &[], &mock_only()), end, "{by:?}");
    }
}
