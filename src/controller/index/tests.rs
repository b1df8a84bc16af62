use portolan_core::balancer::{Family, Member};
use portolan_core::class::Class;
use portolan_core::ids::{ClassName, Instance, NodeName, ProviderName};
use portolan_core::snapshot::SliceName;
use serde_json::Value;

use super::objects::{CLASS, member, node, record, service};
use super::*;
use crate::controller::decision::{Fate, decide};

/// An index that knows one class, and collects whom it wakes.
struct Bench {
    index: Index,
    dirty: Dirty,
}

impl Bench {
    /// Nothing has been listed.
    fn new() -> Self {
        let class = Class {
            name: ClassName::new(CLASS),
            aliases: vec![],
            provider: ProviderName::new("mock"),
            default: false,
            claim_by_type_annotation: false,
            parameters: Value::Null,
        };
        let classes = Classes { classes: vec![Arc::new(class)], ..Classes::default() };
        Self { index: Index::new(classes), dirty: Dirty::new() }
    }

    /// All lists are complete, and what they woke is forgotten.
    fn synced(services: &[Versioned<Service>], records: &[Arc<Record>]) -> Self {
        let mut bench = Self::new();
        bench.list(Observed::Service, services);
        bench.list(Observed::Slice, &[]);
        bench.list(Observed::Node, &[]);
        bench.list(Observed::Record, records);
        bench.list(Observed::Namespace, &[]);
        assert!(bench.index.synced());
        bench.dirty.clear();
        bench
    }

    fn observe(&mut self, observed: Observed) -> Vec<String> {
        self.index.observe(observed, &mut self.dirty);
        self.woken()
    }

    fn list<T: Object>(&mut self, kind: fn(Event<T>) -> Observed, objects: &[T]) -> Vec<String> {
        self.index.observe(kind(Event::Init), &mut self.dirty);
        for object in objects {
            self.index.observe(kind(Event::InitApply(object.clone())), &mut self.dirty);
        }
        self.observe(kind(Event::InitDone))
    }

    fn begin(&mut self, id: &str) {
        self.index.begin(&LoadBalancerId::new(id));
    }

    fn finished<const N: usize>(&mut self, id: &str, written: [Written; N]) -> Vec<String> {
        self.index.finished(&LoadBalancerId::new(id), written.into(), &mut self.dirty);
        self.woken()
    }

    fn woken(&mut self) -> Vec<String> {
        std::mem::take(&mut self.dirty).iter().map(ToString::to_string).collect()
    }

    fn snapshot(&mut self, id: &str) -> Snapshot {
        self.index.snapshot(&LoadBalancerId::new(id))
    }

    /// The version of the record in the snapshot.
    fn record(&mut self, id: &str) -> Option<String> {
        self.snapshot(id).record.map(|record| record.version.as_ref().unwrap().to_string())
    }
}

const NOBODY: [&str; 0] = [];

/// A Service `shop/NAME` with the UID `uid-NAME`, of our class.
fn ours(name: &str) -> Service {
    service(ServiceKey::new("shop", name), Uid::new(format!("uid-{name}")), true)
}

/// The same of type ClusterIP.
fn plain(name: &str) -> Service {
    service(ServiceKey::new("shop", name), Uid::new(format!("uid-{name}")), false)
}

/// The same of somebody else's class.
fn theirs(name: &str) -> Service {
    Service { class: Some("example.com/theirs".into()), ..ours(name) }
}

fn at(version: u64, service: Service) -> Versioned<Service> {
    Versioned { version: ResourceVersion::new(version.to_string()), object: Arc::new(service) }
}

fn with_finalizer(service: Service) -> Service {
    Service { finalizers: vec![Instance::default().finalizer()], ..service }
}

/// The record of `uid-NAME`, naming it and perhaps others.
fn record_of(version: u64, names: &[&str]) -> Arc<Record> {
    let members = names.iter().map(|name| member(&ours(name))).collect();
    let id = Instance::default().load_balancer_of(&Uid::new(format!("uid-{}", names[0])));
    let version = Some(ResourceVersion::new(version.to_string()));
    Arc::new(Record { version, ..record(id, Instance::default(), members) })
}

fn record_of_another_instance(version: u64, name: &str) -> Arc<Record> {
    let instance = Instance::parse("blue").unwrap();
    let id = instance.load_balancer_of(&Uid::new(format!("uid-{name}")));
    let version = Some(ResourceVersion::new(version.to_string()));
    Arc::new(Record { version, ..record(id, instance, vec![member(&ours(name))]) })
}

fn slice(name: &str, service: &str) -> Arc<Slice> {
    Arc::new(Slice {
        name: SliceName { namespace: "shop".into(), name: name.into() },
        service: ServiceKey::new("shop", service),
        family: Family::V4,
        ports: vec![],
        endpoints: vec![],
    })
}

fn apply(version: u64, service: Service) -> Observed {
    Observed::Service(Event::Apply(at(version, service)))
}

fn deleted(version: u64, name: &str) -> Observed {
    Observed::Service(Event::Delete(ServiceKey::new("shop", name), ResourceVersion::new(version.to_string())))
}

#[test]
fn nothing_is_dirty_before_every_kind_is_listed_and_then_everything_of_ours_is() {
    let mut bench = Bench::new();
    let services = [at(1, ours("a")), at(2, plain("b")), at(3, with_finalizer(plain("c"))), at(4, theirs("d"))];
    assert_eq!(bench.list(Observed::Service, &services), NOBODY);
    assert_eq!(bench.list(Observed::Record, &[record_of(5, &["gone"]), record_of_another_instance(6, "e")]), NOBODY);
    assert_eq!(bench.list(Observed::Slice, &[]), NOBODY);
    assert_eq!(bench.list(Observed::Namespace, &[]), NOBODY);
    assert!(!bench.index.synced());
    assert_eq!(bench.list(Observed::Node, &[]), ["uid-a", "uid-c", "uid-d", "uid-gone"]);
    assert!(bench.index.synced());
}

#[test]
fn a_service_wakes_its_load_balancer_and_those_whose_records_name_it() {
    let mut bench = Bench::synced(&[at(1, ours("a"))], &[record_of(2, &["b", "a"])]);
    assert_eq!(
        bench.observe(apply(3, Service { load_balancer_ip: Some("x".into()), ..ours("a") })),
        ["uid-a", "uid-b"]
    );
    assert_eq!(bench.observe(deleted(4, "a")), ["uid-a", "uid-b"]);
}

#[test]
fn a_service_that_is_and_was_no_load_balancer_wakes_nobody() {
    let mut bench = Bench::synced(&[at(1, plain("a"))], &[]);
    assert_eq!(bench.observe(apply(2, Service { load_balancer_ip: Some("x".into()), ..plain("a") })), NOBODY);
    assert_eq!(bench.observe(apply(3, ours("a"))), ["uid-a"]);
    assert_eq!(bench.observe(apply(4, plain("a"))), ["uid-a"]);
    assert_eq!(bench.observe(apply(5, with_finalizer(plain("a")))), ["uid-a"]);
    assert_eq!(bench.observe(apply(6, plain("a"))), ["uid-a"]);
    assert_eq!(bench.observe(deleted(7, "a")), NOBODY);
}

#[test]
fn a_service_of_the_same_name_is_another_service() {
    let mut bench = Bench::synced(&[at(1, ours("a"))], &[]);
    let again = Service { uid: Uid::new("uid-2"), ..ours("a") };
    assert_eq!(bench.observe(apply(2, again)), ["uid-2", "uid-a"]);
    assert!(bench.snapshot("uid-a").services.is_empty());
    assert_eq!(bench.snapshot("uid-2").services.len(), 1);
}

#[test]
fn slices_wake_only_load_balancers_that_we_may_serve_the_old_and_the_new() {
    let services = [at(1, ours("a")), at(2, plain("b")), at(3, theirs("c")), at(4, with_finalizer(theirs("d")))];
    let mut bench = Bench::synced(&services, &[]);
    let apply = |service: &str| Observed::Slice(Event::Apply(slice("s", service)));
    assert_eq!(bench.observe(apply("a")), ["uid-a"]);
    assert_eq!(bench.observe(apply("a")), NOBODY);
    assert_eq!(bench.observe(apply("b")), ["uid-a"], "of its old owner");
    assert_eq!(bench.observe(apply("c")), NOBODY);
    assert_eq!(bench.observe(apply("nobody")), NOBODY);
    assert_eq!(bench.observe(apply("d")), ["uid-d"], "its finalizer says that we serve it");
    assert_eq!(bench.observe(apply("a")), ["uid-a", "uid-d"]);
    let gone = Event::Delete(slice("s", "a").name.clone(), ResourceVersion::new("9"));
    assert_eq!(bench.observe(Observed::Slice(gone)), ["uid-a"]);
}

#[test]
fn nodes_wake_the_load_balancers_that_we_may_serve() {
    let services =
        [at(1, ours("a")), at(2, plain("b")), at(3, theirs("c")), at(4, with_finalizer(plain("d"))), at(5, plain("e"))];
    let mut bench = Bench::synced(&services, &[record_of(6, &["e"])]);
    let apply = |leaving| Observed::Node(Event::Apply(Arc::new(node(NodeName::new("n"), leaving))));
    assert_eq!(bench.observe(apply(false)), ["uid-a", "uid-d", "uid-e"]);
    assert_eq!(bench.observe(apply(false)), NOBODY, "a heartbeat is no change");
    assert_eq!(bench.observe(apply(true)), ["uid-a", "uid-d", "uid-e"]);
}

#[test]
fn a_record_wakes_its_load_balancer_and_those_of_its_services() {
    let mut bench = Bench::synced(&[at(1, ours("a")), at(2, ours("b")), at(3, ours("c"))], &[]);
    let apply = |record| Observed::Record(Event::Apply(record));
    assert_eq!(bench.observe(apply(record_of(4, &["a", "b"]))), ["uid-a", "uid-b"]);
    assert_eq!(bench.observe(apply(record_of(5, &["a", "b"]))), NOBODY, "only its version has changed");
    assert_eq!(bench.observe(apply(record_of(6, &["a", "c"]))), ["uid-a", "uid-b", "uid-c"]);
    assert_eq!(bench.observe(apply(record_of_another_instance(7, "b"))), ["uid-b"], "which waits for it");
    let gone = Event::Delete(LoadBalancerId::new("blue.uid-b"), ResourceVersion::new("8"));
    assert_eq!(bench.observe(Observed::Record(gone)), ["uid-b"]);
}

#[test]
fn a_new_version_of_the_same_wakes_nobody_but_is_what_writes_rest_on() {
    let mut bench = Bench::synced(&[at(1, ours("a"))], &[]);
    assert_eq!(bench.observe(apply(2, ours("a"))), NOBODY);
    assert_eq!(bench.snapshot("uid-a").services[&ServiceKey::new("shop", "a")].version.as_str(), "2");
}

#[test]
fn a_list_of_the_same_wakes_nobody_and_what_a_list_lacks_is_gone() {
    let mut bench = Bench::synced(&[at(1, ours("a")), at(2, ours("b"))], &[record_of(3, &["a"])]);
    assert_eq!(bench.list(Observed::Service, &[at(4, ours("a")), at(2, ours("b"))]), NOBODY);
    assert_eq!(bench.list(Observed::Record, &[record_of(3, &["a"])]), NOBODY);
    assert_eq!(bench.list(Observed::Service, &[at(4, ours("a"))]), ["uid-b"]);
    assert_eq!(bench.list(Observed::Record, &[]), ["uid-a"]);
}

#[test]
fn a_list_that_breaks_off_deletes_nothing() {
    let mut bench = Bench::synced(&[at(1, ours("a")), at(2, ours("b"))], &[]);
    bench.observe(Observed::Service(Event::Init));
    bench.observe(Observed::Service(Event::InitApply(at(1, ours("a")))));
    assert_eq!(bench.list(Observed::Service, &[at(2, ours("b")), at(1, ours("a"))]), NOBODY);
}

#[test]
fn what_cannot_be_decoded_is_as_it_was_read_last() {
    let mut bench = Bench::synced(&[at(1, ours("a"))], &[]);
    let unreadable = || Observed::Service(Event::Unreadable(ServiceKey::new("shop", "a")));
    assert_eq!(bench.observe(unreadable()), NOBODY);
    bench.observe(Observed::Service(Event::Init));
    bench.observe(unreadable());
    assert_eq!(bench.observe(Observed::Service(Event::InitDone)), NOBODY);
    assert_eq!(bench.snapshot("uid-a").services.len(), 1);
    assert_eq!(bench.observe(deleted(3, "a")), ["uid-a"]);
}

#[test]
fn what_could_never_be_decoded_is_not_gone_until_the_server_says_so() {
    let unreadable = || Observed::Service(Event::Unreadable(ServiceKey::new("shop", "a")));
    let listed = || {
        let mut bench = Bench::new();
        bench.observe(Observed::Service(Event::Init));
        bench.observe(unreadable());
        bench.observe(Observed::Service(Event::InitDone));
        bench.list(Observed::Slice, &[]);
        bench.list(Observed::Node, &[]);
        bench.list(Observed::Namespace, &[]);
        assert_eq!(bench.list(Observed::Record, &[record_of(3, &["a"])]), ["uid-a"]);
        let is_touched = |bench: &mut Bench| {
            let snapshot = bench.snapshot("uid-a");
            let decision = decide(&snapshot, &bench.index.classes);
            let named: Vec<_> = decision.unreadable.iter().map(Member::key).collect();
            !matches!(decision.fate, Fate::Left) || named.is_empty() || named != snapshot.unreadable
        };
        assert!(!is_touched(&mut bench));
        (bench, is_touched)
    };
    let (mut bench, is_touched) = listed();
    assert_eq!(bench.observe(deleted(4, "a")), ["uid-a"]);
    assert!(is_touched(&mut bench));
    let (mut bench, is_touched) = listed();
    assert_eq!(bench.list(Observed::Service, &[]), ["uid-a"]);
    assert!(is_touched(&mut bench));
    let (mut bench, is_touched) = listed();
    assert_eq!(bench.observe(apply(4, ours("a"))), ["uid-a"]);
    assert!(is_touched(&mut bench));
    let (mut bench, is_touched) = listed();
    let again = Service { uid: Uid::new("uid-2"), ..ours("a") };
    assert_eq!(bench.observe(apply(4, again)), ["uid-2", "uid-a"], "the one that the record names is gone");
    assert!(is_touched(&mut bench));
    let (mut bench, is_touched) = listed();
    bench.observe(Observed::Service(Event::Init));
    bench.observe(unreadable());
    assert_eq!(bench.observe(Observed::Service(Event::InitDone)), NOBODY);
    assert!(!is_touched(&mut bench));
}

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
fn what_happens_during_a_pass_wakes_its_load_balancer_in_the_end() {
    let happenings: [fn() -> Observed; 4] = [
        || apply(5, Service { load_balancer_ip: Some("x".into()), ..ours("a") }),
        || Observed::Slice(Event::Apply(slice("s", "a"))),
        || Observed::Node(Event::Apply(Arc::new(node(NodeName::new("n"), false)))),
        || Observed::Record(Event::Apply(record_of_another_instance(5, "a"))),
    ];
    for happening in happenings {
        let mut bench = Bench::synced(&[at(1, ours("a"))], &[]);
        bench.begin("uid-a");
        assert_eq!(bench.observe(happening()), NOBODY);
        assert_eq!(bench.finished("uid-a", [Written::Record(record_of(6, &["a"]))]), ["uid-a"], "{:?}", happening());
        bench.begin("uid-a");
        assert_eq!(bench.finished("uid-a", []), NOBODY);
    }
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

#[test]
fn a_snapshot_holds_all_that_concerns_a_load_balancer_and_nothing_else() {
    let services = [at(1, ours("a")), at(2, ours("b")), at(3, ours("c"))];
    let records =
        [record_of(4, &["a", "b"]), record_of(5, &["b"]), record_of_another_instance(6, "a"), record_of(7, &["c"])];
    let mut bench = Bench::synced(&services, &records);
    for (name, service) in [("s2", "a"), ("s1", "a"), ("s3", "c")] {
        bench.observe(Observed::Slice(Event::Apply(slice(name, service))));
    }
    for name in ["n2", "n1"] {
        bench.observe(Observed::Node(Event::Apply(Arc::new(node(NodeName::new(name), false)))));
    }
    let snapshot = bench.snapshot("uid-a");
    let (a, b) = (ServiceKey::new("shop", "a"), ServiceKey::new("shop", "b"));
    assert_eq!(snapshot.id.as_str(), "uid-a");
    assert_eq!(snapshot.services.keys().collect::<Vec<_>>(), [&a, &b]);
    assert_eq!(snapshot.slices[&a], [slice("s1", "a"), slice("s2", "a")]);
    assert_eq!(snapshot.slices[&b], []);
    assert_eq!(snapshot.nodes.iter().map(|node| node.name.as_str()).collect::<Vec<_>>(), ["n1", "n2"]);
    assert_eq!(snapshot.record, Some(record_of(4, &["a", "b"])));
    assert_eq!(snapshot.other_records, [record_of_another_instance(6, "a"), record_of(5, &["b"])]);
    let nothing = bench.snapshot("unknown");
    assert!(nothing.services.is_empty() && nothing.record.is_none() && nothing.other_records.is_empty());
}

#[test]
fn a_pass_knows_which_of_its_services_another_pass_may_be_serving() {
    let shared = || {
        let annotations = [(portolan_core::share::SHARE_ANNOTATION.to_owned(), "front".to_owned())].into();
        with_finalizer(Service { annotations, ..ours("a") })
    };
    let mut bench = Bench::synced(&[at(5, shared())], &[]);
    let alone = LoadBalancerId::new("uid-a");
    let front = bench.index.place_of(&shared());
    assert_ne!(front, alone);
    assert_eq!(bench.index.begin(&front).in_hand, []);
    bench.observe(Observed::Service(Event::Apply(at(6, Service { deleting: true, ..shared() }))));
    assert_eq!(bench.index.begin(&alone).in_hand, [ours("a").key], "the share may be about to record it");
    bench.finished("uid-a", []);
    bench.finished(front.as_str(), []);
    assert_eq!(bench.index.begin(&alone).in_hand, []);
}
