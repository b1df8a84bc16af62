use portolan_core::balancer::{Family, Member};
use portolan_core::class::Class;
use portolan_core::ids::{ClassName, Instance, NodeName, ProviderName};
use portolan_core::snapshot::{ConditionStatus, Gate, PodName, SliceName};
use serde_json::Value;

use super::objects::{CLASS, member, node, record, service};
use super::*;
use crate::controller::decision::{Fate, decide};

mod writes;

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

    /// There has been a lull.
    fn nodes_have_settled(&mut self) -> Vec<String> {
        self.index.nodes_have_settled(&mut self.dirty);
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
fn nodes_wake_the_load_balancers_that_we_may_serve_once_they_have_settled() {
    let services =
        [at(1, ours("a")), at(2, plain("b")), at(3, theirs("c")), at(4, with_finalizer(plain("d"))), at(5, plain("e"))];
    let mut bench = Bench::synced(&services, &[record_of(6, &["e"])]);
    let apply = |leaving| Observed::Node(Event::Apply(Arc::new(node(NodeName::new("n"), leaving))));
    for leaving in [false, true] {
        assert_eq!(bench.observe(apply(leaving)), NOBODY);
        assert!(bench.index.take_news_of_nodes());
        assert_eq!(bench.nodes_have_settled(), ["uid-a", "uid-d", "uid-e"]);
        assert_eq!(bench.observe(apply(leaving)), NOBODY);
        assert!(!bench.index.take_news_of_nodes(), "a heartbeat is no news");
        assert_eq!(bench.nodes_have_settled(), NOBODY);
    }
}

#[test]
fn until_nodes_have_settled_everybody_goes_on_with_those_of_before() {
    let mut bench = Bench::synced(&[at(1, ours("a"))], &[]);
    let nodes = |bench: &mut Bench| bench.snapshot("uid-a").nodes.iter().map(|node| node.name.to_string()).collect();
    let named = |name: &str| Arc::new(node(NodeName::new(name), false));
    bench.observe(Observed::Node(Event::Apply(named("n1"))));
    bench.begin("uid-a");
    bench.observe(Observed::Node(Event::Apply(named("n2"))));
    assert_eq!(bench.finished("uid-a", []), NOBODY, "it has missed nothing yet");
    let before: Vec<String> = nodes(&mut bench);
    assert!(before.is_empty(), "{before:?}");
    assert_eq!(bench.nodes_have_settled(), ["uid-a"]);
    let after: Vec<String> = nodes(&mut bench);
    assert_eq!(after, ["n1", "n2"]);
}

#[test]
fn nodes_that_come_and_go_before_they_have_settled_concern_nobody() {
    let mut bench = Bench::synced(&[at(1, ours("a"))], &[]);
    let named = Arc::new(node(NodeName::new("n"), false));
    bench.observe(Observed::Node(Event::Apply(named.clone())));
    bench.observe(Observed::Node(Event::Delete(named.name.clone(), ResourceVersion::new("9"))));
    assert!(bench.index.take_news_of_nodes());
    assert_eq!(bench.nodes_have_settled(), NOBODY);
}

#[test]
fn nodes_that_are_listed_at_first_are_no_news() {
    let mut bench = Bench::new();
    bench.list(Observed::Node, &[Arc::new(node(NodeName::new("n"), false))]);
    bench.list(Observed::Service, &[at(1, ours("a"))]);
    bench.list(Observed::Slice, &[]);
    bench.list(Observed::Record, &[]);
    bench.list(Observed::Namespace, &[]);
    assert!(bench.index.synced() && !bench.index.take_news_of_nodes());
    assert_eq!(bench.snapshot("uid-a").nodes.len(), 1);
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
        assert_eq!(bench.nodes_have_settled(), NOBODY);
        assert_eq!(bench.finished("uid-a", [Written::Record(record_of(6, &["a"]))]), ["uid-a"], "{:?}", happening());
        bench.begin("uid-a");
        assert_eq!(bench.finished("uid-a", []), NOBODY);
    }
}

#[test]
fn the_end_of_a_pass_says_whether_it_has_missed_endpoints() {
    let happenings: [(fn() -> Observed, bool); 3] = [
        (|| Observed::Slice(Event::Apply(slice("s", "a"))), true),
        (|| Observed::Node(Event::Apply(Arc::new(node(NodeName::new("n"), false)))), false),
        (|| Observed::Slice(Event::Apply(slice("s", "b"))), false),
    ];
    for (happening, endpoints) in happenings {
        let mut bench = Bench::synced(&[at(1, ours("a")), at(2, ours("b"))], &[]);
        bench.begin("uid-a");
        bench.observe(happening());
        bench.nodes_have_settled();
        let id = LoadBalancerId::new("uid-a");
        assert_eq!(bench.index.finished(&id, Vec::new(), &mut bench.dirty), endpoints, "{:?}", happening());
    }
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
    bench.nodes_have_settled();
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

/// A Pod `shop/NAME` that waits for these Services, and has been told this of each.
fn pod(version: u64, name: &str, services: &[&str], told: Option<ConditionStatus>) -> Versioned<Pod> {
    let gate = told.map(|status| Gate { status, reason: "Because".into(), message: String::new() });
    let pod = Pod {
        name: PodName { namespace: "shop".into(), name: name.into() },
        uid: Uid::new(format!("uid-{name}")),
        gates: services.iter().map(|service| ((*service).to_owned(), gate.clone())).collect(),
        containers_ready: true,
        deleting: false,
    };
    Versioned { version: ResourceVersion::new(version.to_string()), object: pod.into() }
}

#[test]
fn a_pod_wakes_the_load_balancers_that_it_waits_for_and_stands_in_their_snapshots() {
    let mut bench = Bench::synced(&[at(1, ours("a")), at(2, ours("b")), at(3, theirs("c"))], &[]);
    let apply = |version, services: &[&str]| Observed::Pod(Event::Apply(pod(version, "p", services, None)));
    assert_eq!(bench.observe(apply(4, &["a", "c", "nobody"])), ["uid-a"]);
    assert_eq!(bench.observe(apply(5, &["a", "c", "nobody"])), NOBODY, "nothing that we look at has changed");
    let waiting = |bench: &mut Bench, id| bench.snapshot(id).gated.into_values().flatten().count();
    assert_eq!((waiting(&mut bench, "uid-a"), waiting(&mut bench, "uid-b")), (1, 0));
    assert_eq!(bench.observe(apply(6, &["b"])), ["uid-a", "uid-b"]);
    assert_eq!((waiting(&mut bench, "uid-a"), waiting(&mut bench, "uid-b")), (0, 1));
    let name = PodName { namespace: "shop".into(), name: "p".into() };
    assert_eq!(bench.observe(Observed::Pod(Event::Delete(name, ResourceVersion::new("7")))), ["uid-b"]);
    assert_eq!(waiting(&mut bench, "uid-b"), 0);
}

#[test]
fn what_a_pass_has_told_a_pod_wakes_nobody_and_is_not_read_back_as_it_was() {
    let mut bench = Bench::synced(&[at(1, ours("a"))], &[]);
    bench.observe(Observed::Pod(Event::Apply(pod(2, "p", &["a"], None))));
    bench.begin("uid-a");
    let told = pod(4, "p", &["a"], Some(ConditionStatus::True));
    assert_eq!(bench.finished("uid-a", [Written::Pod(told.clone())]), NOBODY);
    assert_eq!(bench.observe(Observed::Pod(Event::Apply(pod(3, "p", &["a"], None)))), NOBODY, "that was before");
    assert_eq!(bench.snapshot("uid-a").gated.into_values().flatten().collect::<Vec<_>>(), [Arc::clone(&told.object)]);
    assert_eq!(bench.observe(Observed::Pod(Event::Apply(told))), NOBODY, "an echo");
    bench.begin("uid-a");
    bench.observe(Observed::Pod(Event::Apply(pod(5, "q", &["a"], None))));
    assert_eq!(bench.finished("uid-a", []), ["uid-a"], "another pod came while it was at work");
}

#[test]
fn nothing_written_to_a_pod_brings_it_back() {
    let mut bench = Bench::synced(&[at(1, ours("a"))], &[]);
    bench.observe(Observed::Pod(Event::Apply(pod(2, "p", &["a"], None))));
    bench.begin("uid-a");
    let name = PodName { namespace: "shop".into(), name: "p".into() };
    bench.observe(Observed::Pod(Event::Delete(name, ResourceVersion::new("4"))));
    bench.finished("uid-a", [Written::Pod(pod(3, "p", &["a"], Some(ConditionStatus::True)))]);
    assert!(bench.snapshot("uid-a").gated.is_empty());
}

#[test]
fn where_pods_are_watched_nothing_begins_before_they_are_listed() {
    let mut bench = Bench::new();
    bench.index = bench.index.watching_pods(true);
    bench.list(Observed::Service, &[at(1, ours("a"))]);
    bench.list(Observed::Slice, &[]);
    bench.list(Observed::Node, &[]);
    bench.list(Observed::Record, &[]);
    assert_eq!(bench.list(Observed::Namespace, &[]), NOBODY);
    assert!(!bench.index.synced());
    assert_eq!(bench.list(Observed::Pod, &[]), ["uid-a"]);
    assert!(bench.index.synced());
}
