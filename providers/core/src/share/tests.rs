use super::*;
use crate::examples::{record, service};
use crate::ids::ServiceKey;
use crate::record::{ClaimedBy, Joined};
use crate::time::Timestamp;

const CLASS: &str = "portolan.dev/mock";

fn sharing(namespace: &str, name: &str, created: i64) -> Service {
    let mut service = Service {
        key: ServiceKey::new(namespace, name),
        uid: Uid::new(format!("uid-{name}")),
        created: Timestamp(created),
        ..service(name)
    };
    service.annotations.insert(SHARE_ANNOTATION.to_owned(), "x".to_owned());
    service
}

fn consents(said: &[(&str, &str)]) -> Consents {
    said.iter().map(|(namespace, text)| ((*namespace).to_owned(), ShareWith::parse(text))).collect()
}

fn record_of(members: &[&Service], namespace: &str) -> Record {
    let share = Share { namespace: namespace.to_owned(), name: "x".to_owned() };
    let joined = |service: &&Service| Joined { member: crate::desire::member(service), claimed_by: ClaimedBy::Class };
    Record {
        id: Instance::default().load_balancer_of_share(&ClassName::new(CLASS), &share),
        share: Some(share),
        members: members.iter().map(joined).collect(),
        ..record(members[0], CLASS)
    }
}

/// The namespace of whose founder each Service's load balancer is, in the order given.
fn homes(services: &[&Service], records: &[&Record], said: &[(&str, &str)]) -> Vec<String> {
    let placed =
        place(&Instance::default(), &ClassName::new(CLASS), "x", services, records, &BTreeMap::new(), &consents(said));
    let home = |service: &&Service| placed[&service.uid].as_str().split('.').nth(1).unwrap().to_owned();
    services.iter().map(home).collect()
}

#[test]
fn a_share_is_of_a_class_a_namespace_and_a_name() {
    let (a, b) = (sharing("blue", "a", 1), sharing("blue", "b", 2));
    assert_eq!(homes(&[&a, &b], &[], &[]), ["blue", "blue"]);
    let id = |class: &str, namespace: &str| {
        let share = Share { namespace: namespace.into(), name: "x".into() };
        Instance::default().load_balancer_of_share(&ClassName::new(class), &share)
    };
    assert_ne!(id(CLASS, "blue"), id("portolan.dev/other", "blue"));
    assert_ne!(id(CLASS, "blue"), id(CLASS, "red"));
}

#[test]
fn other_namespaces_share_only_by_mutual_consent() {
    let (a, b) = (sharing("blue", "a", 1), sharing("red", "b", 2));
    for (said, home) in [
        (vec![], "red"),
        (vec![("blue", "red")], "red"),
        (vec![("red", "blue")], "red"),
        (vec![("blue", "green"), ("red", "blue")], "red"),
        (vec![("blue", "red"), ("red", "blue")], "blue"),
        (vec![("blue", " green , red "), ("red", "*")], "blue"),
    ] {
        assert_eq!(homes(&[&a, &b], &[], &said), ["blue", home], "{said:?}");
    }
}

#[test]
fn consent_is_needed_with_every_namespace_on_the_share() {
    let services = [sharing("a", "a", 1), sharing("b", "b", 2), sharing("c", "c", 3)];
    let all: Vec<&Service> = services.iter().collect();
    let said = [("a", "b"), ("b", "a,c"), ("c", "b")];
    assert_eq!(homes(&all, &[], &said), ["a", "a", "c"]);
}

#[test]
fn the_oldest_founds_and_a_tie_is_broken_by_the_uid() {
    let said = [("blue", "*"), ("red", "*")];
    let (a, b) = (sharing("blue", "a", 2), sharing("red", "b", 1));
    assert_eq!(homes(&[&a, &b], &[], &said), ["red", "red"]);
    let (a, b) = (sharing("blue", "a", 1), sharing("red", "b", 1));
    assert_eq!(homes(&[&b, &a], &[], &said), ["blue", "blue"]);
}

#[test]
fn whoever_is_on_the_way_to_a_share_founds_it_although_an_older_one_comes() {
    let (late, early) = (sharing("blue", "a", 1), sharing("red", "b", 1));
    let both = &[&late, &early][..];
    let agreed = consents(&[("blue", "red"), ("red", "blue")]);
    let class = ClassName::new(CLASS);
    let founded =
        Instance::default().load_balancer_of_share(&class, &Share { namespace: "red".into(), name: "x".into() });
    let on_the_way = [(early.uid.clone(), founded.clone())].into();
    let placed = place(&Instance::default(), &class, "x", both, &[], &on_the_way, &agreed);
    assert_eq!([&placed[&late.uid], &placed[&early.uid]], [&founded, &founded]);
    let placed = place(&Instance::default(), &class, "x", both, &[], &BTreeMap::new(), &agreed);
    assert!(placed.values().all(|id| *id != founded), "else the oldest founds");
}

#[test]
fn whom_a_record_names_stays_whatever_becomes_of_the_consent() {
    let (old, young) = (sharing("blue", "old", 1), sharing("red", "young", 2));
    let record = record_of(&[&young, &old], "red");
    assert_eq!(homes(&[&old, &young], &[&record], &[]), ["red", "red"]);
    // A third of one of the two namespaces belongs there too; whether it may join is another question.
    let third = sharing("blue", "third", 3);
    assert_eq!(homes(&[&third, &old, &young], &[&record], &[]), ["red", "red", "red"]);
}

#[test]
fn consent_that_comes_late_moves_nobody_but_invites_those_who_have_nothing() {
    let (a, b, c) = (sharing("blue", "a", 1), sharing("red", "b", 2), sharing("green", "c", 3));
    let (blue, red) = (record_of(&[&a], "blue"), record_of(&[&b], "red"));
    let said = [("blue", "*"), ("red", "*"), ("green", "*")];
    assert_eq!(homes(&[&a, &b, &c], &[&red, &blue], &said), ["blue", "red", "blue"]);
}

#[test]
fn a_share_that_has_gone_to_others_leaves_its_founder_the_name() {
    let (b, a, c) = (sharing("red", "b", 1), sharing("blue", "a", 2), sharing("green", "c", 3));
    let record = record_of(&[&b], "blue");
    let place = |services: &[&Service], records: &[&Record], said: &[(&str, &str)]| {
        let placed = place(
            &Instance::default(),
            &ClassName::new(CLASS),
            "x",
            services,
            records,
            &BTreeMap::new(),
            &consents(said),
        );
        services.iter().map(|service| placed[&service.uid].clone()).collect::<Vec<_>>()
    };
    let placed = place(&[&b, &a, &c], &[&record], &[("red", "green"), ("green", "red")]);
    assert_eq!((&placed[0], &placed[2]), (&record.id, &record.id), "who agrees with those who are there comes to them");
    let own = &placed[1];
    assert_ne!(own, &record.id);
    assert_eq!(of_id(own, "x"), Some(Share { namespace: "blue".into(), name: "x".into() }));
    let founded = Record { id: own.clone(), ..record_of(&[&a], "blue") };
    assert!(founded.is_share_of(&Instance::default()));
    let late = sharing("blue", "late", 4);
    assert_eq!(place(&[&late, &a], &[&founded], &[]), [own.clone(), own.clone()], "and keeps it");
    // Nor while they are only on their way out.
    assert_eq!(place(&[&a], &[&record], &[]), std::slice::from_ref(own));
}

#[test]
fn names_are_dns_labels() {
    let named = |name: &str| {
        let mut service = service("a");
        service.annotations.insert(SHARE_ANNOTATION.to_owned(), name.to_owned());
        asked(&service).map(|asked| asked.map(Cow::into_owned))
    };
    assert_eq!(asked(&service("a")), None);
    assert_eq!(named(" web-1 "), Some(Ok("web-1".to_owned())));
    for bad in ["", " ", "Web", "a.b", "-a", "a-", "a_b", "a/b", "\u{fc}", "a,b", &"a".repeat(64)] {
        assert!(named(bad).unwrap().is_err(), "{bad}");
    }
}

#[test]
fn metallbs_key_counts_for_those_who_name_their_addresses_together_with_these() {
    let with = |annotations: &[(&str, &str)]| {
        let mut service = service("a");
        let annotations = annotations.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        service.annotations.extend(annotations);
        asked(&service).map(|asked| asked.unwrap().into_owned())
    };
    let (key, old) = (METALLB_KEYS[0], METALLB_KEYS[1]);
    let (ips, old_ips) = ("metallb.io/loadBalancerIPs", "metallb.universe.tf/loadBalancerIPs");
    let one = with(&[(key, "Key to.share"), (ips, "192.0.2.1")]);
    assert!(one.as_ref().is_some_and(|name| name.starts_with("metallb-") && name.len() == 24), "{one:?}");
    // The same, however it is said.
    for same in [
        &[(old, "Key to.share"), (ips, " 192.0.2.1 ")][..],
        &[(key, "Key to.share"), (old, "other"), (old_ips, "192.0.2.1")],
        &[(key, "Key to.share"), ("portolan.dev/load-balancer-ips", "192.0.2.1")],
    ] {
        assert_eq!(with(same), one, "{same:?}");
    }
    for other in [&[(key, "Key to.share"), (ips, "192.0.2.2")][..], &[(key, "other"), (ips, "192.0.2.1")]] {
        assert!(with(other).is_some() && with(other) != one, "{other:?}");
    }
    for none in [&[(key, "Key to.share")][..], &[(key, ""), (ips, "192.0.2.1")], &[(key, "x"), (ips, "nonsense")]] {
        assert_eq!(with(none), None, "{none:?}");
    }
    assert_eq!(with(&[(key, "x"), (ips, "192.0.2.1"), (SHARE_ANNOTATION, "own")]), Some("own".to_owned()));
}

#[test]
fn a_record_under_a_name_that_no_share_has_is_none_of_ours() {
    let a = sharing("blue", "a", 1);
    let record = record_of(&[&a], "blue");
    assert!(record.is_share_of(&Instance::default()));
    assert!(!record.is_share_of(&Instance::parse("green").unwrap()));
    for forged in ["forged", "share-0123456789abcdef.blue.y", "share-0123.blue.x", "a.share-0123456789abcdef.blue.x"] {
        let record = Record { id: LoadBalancerId::new(forged), ..record.clone() };
        assert!(!record.is_share_of(&Instance::default()), "{forged}");
    }
}
