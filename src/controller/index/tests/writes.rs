//! What passes have written, against what the watches tell of it early or late.

use super::*;

#[test]
fn our_own_writes_wake_nobody_and_no_older_event_undoes_them() {
    let mut bench = Bench::synced(&[at(1, ours("a"))], &[]);
    bench.begin("uid-a");
    let written = [Written::Service(at(5, with_finalizer(ours("a")))), Written::Record(record_of(6, &["a"]))];
    assert_eq!(bench.finished("uid-a", written), NOBODY);
    for stale in
        [apply(3, ours("a")), apply(5, with_finalizer(ours("a"))), Observed::Record(Event::Apply(record_of(6, &["a"])))]
    {
        assert_eq!(bench.observe(stale), NOBODY);
    }
    let snapshot = bench.snapshot("uid-a");
    assert_eq!(*snapshot.services[&ServiceKey::new("shop", "a")].object, with_finalizer(ours("a")));
    assert!(snapshot.record.is_some());
    assert_eq!(bench.observe(apply(7, ours("a"))), ["uid-a"], "somebody has removed the finalizer");
}

#[test]
fn an_echo_that_comes_before_the_pass_has_ended_wakes_nobody_either() {
    let mut bench = Bench::synced(&[at(1, ours("a"))], &[]);
    let status = Service { conditions: vec![], load_balancer_ip: Some("x".into()), ..with_finalizer(ours("a")) };
    bench.begin("uid-a");
    assert_eq!(bench.observe(apply(5, with_finalizer(ours("a")))), NOBODY);
    assert_eq!(bench.observe(apply(8, status.clone())), NOBODY);
    assert_eq!(bench.observe(Observed::Record(Event::Apply(record_of(6, &["a"])))), NOBODY);
    let written = [
        Written::Service(at(5, with_finalizer(ours("a")))),
        Written::Record(record_of(6, &["a"])),
        Written::Service(at(8, status)),
    ];
    assert_eq!(bench.finished("uid-a", written), NOBODY);
}

#[test]
fn our_own_writes_wake_others_whom_they_concern() {
    let mut bench = Bench::synced(&[at(1, ours("a"))], &[record_of(2, &["b", "a"])]);
    bench.begin("uid-a");
    assert_eq!(bench.finished("uid-a", [Written::Service(at(5, with_finalizer(ours("a"))))]), ["uid-b"]);
    bench.begin("uid-a");
    assert_eq!(bench.finished("uid-a", [Written::Record(record_of(6, &["a"]))]), ["uid-b"]);
}

#[test]
fn a_write_that_the_watch_has_overtaken_changes_nothing_and_wakes_the_writer() {
    let mut bench = Bench::synced(&[at(1, ours("a"))], &[]);
    bench.begin("uid-a");
    bench.observe(apply(7, ours("a")));
    assert_eq!(bench.finished("uid-a", [Written::Service(at(5, with_finalizer(ours("a"))))]), ["uid-a"]);
    bench.begin("uid-a");
    bench.observe(deleted(8, "a"));
    assert_eq!(bench.finished("uid-a", [Written::Service(at(9, with_finalizer(ours("a"))))]), ["uid-a"]);
    assert!(bench.snapshot("uid-a").services.is_empty(), "a deleted Service does not come back by our writing to it");
}

#[test]
fn a_list_older_than_our_write_keeps_it_or_has_the_server_asked() {
    let mut bench = Bench::synced(&[at(1, ours("a"))], &[record_of(2, &["a"])]);
    bench.begin("uid-a");
    bench.finished("uid-a", [Written::Record(record_of(5, &["a"]))]);
    assert_eq!(bench.list(Observed::Record, &[record_of(2, &["a"])]), NOBODY);
    assert_eq!(bench.record("uid-a").as_deref(), Some("5"));
    bench.begin("uid-a");
    bench.finished("uid-a", [Written::Record(record_of(6, &["a"]))]);
    assert_eq!(bench.list(Observed::Record, &[]), ["uid-a"], "it may be older than the record, or show its end");
}

#[test]
fn a_record_whose_creation_is_told_after_a_list_is_not_believed_in() {
    let mut bench = Bench::synced(&[at(1, ours("a"))], &[]);
    bench.begin("uid-a");
    assert_eq!(bench.list(Observed::Record, &[]), NOBODY, "it may show that somebody has deleted it already");
    assert_eq!(bench.finished("uid-a", [Written::Record(record_of(5, &["a"]))]), ["uid-a"]);
    assert_eq!(bench.record("uid-a"), None);
}

#[test]
fn a_record_that_we_deleted_stays_deleted_whatever_is_told_late() {
    let mut bench = Bench::synced(&[at(1, ours("a"))], &[record_of(2, &["a"])]);
    let gone = || Written::RecordDeleted(LoadBalancerId::new("uid-a"), ResourceVersion::new("5"));
    bench.begin("uid-a");
    assert_eq!(bench.finished("uid-a", [gone()]), NOBODY);
    assert_eq!(bench.observe(Observed::Record(Event::Apply(record_of(5, &["a"])))), NOBODY);
    assert_eq!(bench.list(Observed::Record, &[record_of(3, &["a"])]), NOBODY, "a list from before");
    assert_eq!(bench.list(Observed::Record, &[]), NOBODY, "a list from long before, when there was none");
    assert_eq!(bench.observe(Observed::Record(Event::Apply(record_of(4, &["a"])))), NOBODY);
    assert_eq!(bench.record("uid-a"), None);
    assert_eq!(bench.observe(Observed::Record(Event::Apply(record_of(9, &["a"])))), ["uid-a"], "a new one");
    assert_eq!(bench.record("uid-a").as_deref(), Some("9"));
    bench.begin("uid-a");
    assert_eq!(bench.finished("uid-a", [gone()]), ["uid-a"], "the old one is gone, the new one is not");
}

#[test]
fn versions_that_are_no_numbers_are_believed_as_they_come() {
    let mut bench = Bench::synced(&[at(9, ours("a"))], &[]);
    let opaque = |service| Versioned { version: ResourceVersion::new("opaque"), object: Arc::new(service) };
    assert_eq!(bench.observe(Observed::Service(Event::Apply(opaque(with_finalizer(ours("a")))))), ["uid-a"]);
    bench.begin("uid-a");
    assert_eq!(bench.finished("uid-a", [Written::Service(opaque(ours("a")))]), NOBODY);
    assert_eq!(bench.observe(apply(3, with_finalizer(ours("a")))), ["uid-a"]);
}

#[test]
fn after_a_restore_of_etcd_a_list_leads_back_to_smaller_versions() {
    let mut bench = Bench::synced(&[at(1000, ours("a"))], &[]);
    let before = Service { load_balancer_ip: Some("x".into()), ..ours("a") };
    assert_eq!(bench.list(Observed::Service, &[at(10, before.clone())]), ["uid-a"]);
    let finalized = with_finalizer(before);
    bench.begin("uid-a");
    assert_eq!(bench.finished("uid-a", [Written::Service(at(11, finalized.clone()))]), NOBODY);
    assert_eq!(*bench.snapshot("uid-a").services[&ServiceKey::new("shop", "a")].object, finalized);
}
