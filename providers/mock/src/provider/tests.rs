//! What users of the mock may rely on, rule by rule.

use futures::{FutureExt, StreamExt};
use portolan_core::balancer::{
    Family, HealthCheck, IpMode, Listener, Member, NodeTarget, PortKey, Protocol, Published, Scheme, SourceRanges,
    Targets,
};
use portolan_core::ids::{ClassName, NodeName, Uid};
use portolan_core::provider::Verdict;
use portolan_core::snapshot::ConditionStatus;
use serde_json::json;

use super::*;
use crate::clock::ManualClock;
use crate::faults::{self, Fault};
use crate::picture::picture;
use crate::state::Balancer;

/// A world, a class in it, and the runtime's loop around them.
struct Scene {
    store: Store,
    clock: ManualClock,
    mock: Mock,
}

/// A clock whose sleeps block their thread: for tests with several threads and no runtime.
struct BlockingClock;

impl Clock for BlockingClock {
    fn now(&self) -> crate::clock::Millis {
        crate::clock::Millis::default()
    }

    fn sleep(&self, duration: Duration) -> futures::future::BoxFuture<'static, ()> {
        async move { std::thread::sleep(duration) }.boxed()
    }
}

/// What a pass of the runtime came to.
#[derive(Debug)]
struct Pass {
    steps: Vec<String>,
    outcome: Outcome,
    error: Option<Error>,
}

impl Scene {
    fn new(parameters: &serde_json::Value) -> Self {
        Self::on(Store::memory(), "", parameters)
    }

    fn on(store: Store, instance: &str, parameters: &serde_json::Value) -> Self {
        let clock = ManualClock::default();
        let parameters = Parameters::parse(parameters).unwrap();
        let instance = Instance::parse(instance).unwrap();
        let mock = Mock::new(parameters, store.clone(), instance, Arc::new(clock.clone()));
        Self { store, clock, mock }
    }

    fn restarted(&self) -> Self {
        Self::on(self.store.clone(), "", &json!({}))
    }

    fn observe(&self, id: &str) -> Result<State, Error> {
        self.mock.observe_many(&[LoadBalancerId::new(id)]).now_or_never().expect("nothing to wait for").remove(0)
    }

    fn apply(&self, id: &str, step: &Step) -> Result<Applied, Error> {
        let call = Call { id: LoadBalancerId::new(id), members: Vec::new(), external: BTreeMap::new() };
        self.mock.apply(step, &call).now_or_never().expect("nothing to wait for")
    }

    /// One pass: observe, plan, apply. What it wants published is not published yet.
    fn pass(&self, id: &str, desired: Option<&LoadBalancer>) -> Pass {
        let state = self.observe(id).unwrap();
        let plan = self.mock.plan(desired, &state).unwrap();
        let mut steps = Vec::new();
        let mut error = None;
        for step in plan.steps {
            match self.apply(id, &step) {
                Ok(_) => steps.push(step.to_string()),
                Err(failed) => {
                    error = Some(failed);
                    break;
                }
            }
        }
        let outcome = self.mock.outcome(desired, &self.observe(id).unwrap());
        Pass { steps, outcome, error }
    }

    /// Passes until nothing is left to do or something fails; the status follows.
    fn settle(&self, desired: &mut LoadBalancer) -> Pass {
        for _ in 0..20 {
            let pass = self.pass(desired.id.as_str(), Some(desired));
            let published = pass.outcome.published != desired.published;
            desired.published.clone_from(&pass.outcome.published);
            if pass.error.is_some() || (pass.steps.is_empty() && !published) {
                return pass;
            }
        }
        panic!("does not settle");
    }

    fn delete(&self, id: &str) {
        assert_eq!(self.pass(id, None).error, None);
        assert_eq!(self.observe(id), Ok(State::Absent));
    }

    fn arm(&self, name: &str, on: &str, effect: &str) {
        let fault =
            Fault { on: on.parse().unwrap(), id: None, times: None, at_call: None, effect: effect.parse().unwrap() };
        faults::add(&self.store, name, &fault).unwrap();
    }
}

fn desired(id: &str) -> LoadBalancer {
    LoadBalancer {
        id: LoadBalancerId::new(id),
        class: ClassName::new("portolan.dev/mock"),
        held: Vec::new(),
        members: vec![Member { uid: Uid::new(id), namespace: "default".into(), name: id.into() }],
        families: vec![Family::V4],
        requested: Vec::new(),
        scheme: None,
        listeners: vec![listener(80, &["a"])],
        source_ranges: SourceRanges::All,
        nodes: vec![node("a"), node("b")],
        published: Vec::new(),
    }
}

fn listener(port: u16, nodes: &[&str]) -> Listener {
    Listener {
        key: PortKey { port, protocol: Protocol::Tcp },
        name: String::new(),
        service: Uid::new("uid"),
        targets: Targets::Nodes { node_port: 30080, nodes: nodes.iter().map(|name| NodeName::new(*name)).collect() },
        has_endpoints: !nodes.is_empty(),
        health_check: HealthCheck::Http { port: 10256, path: "/healthz".into() },
        session_affinity: None,
    }
}

fn node(name: &str) -> NodeTarget {
    NodeTarget { name: NodeName::new(name), addresses: Vec::new(), provider_id: None }
}

fn ips(published: &[Published]) -> Vec<String> {
    let ip = |entry: &Published| match entry {
        Published::Ip { ip, mode: _ } => ip.to_string(),
        Published::Hostname { hostname } => hostname.clone(),
    };
    published.iter().map(ip).collect()
}

#[test]
fn the_lowest_free_address_of_the_scheme_is_given() {
    let scene = Scene::new(&json!({}));
    let mut given = Vec::new();
    for (id, scheme) in
        [("a", None), ("b", Some(Scheme::Internal)), ("c", Some(Scheme::Public)), ("d", Some(Scheme::Internal))]
    {
        let mut lb = LoadBalancer { families: vec![Family::V6, Family::V4], scheme, ..desired(id) };
        scene.settle(&mut lb);
        given.push(ips(&lb.published).join(" "));
    }
    assert_eq!(
        given,
        [
            "2001:db8:113::1 203.0.113.1",
            "2001:db8:255::1 10.255.0.1",
            "2001:db8:113::2 203.0.113.2",
            "2001:db8:255::2 10.255.0.2",
        ]
    );
    scene.delete("a");
    let mut again = desired("e");
    scene.settle(&mut again);
    assert_eq!(ips(&again.published), ["203.0.113.1"], "a freed address is the lowest again");
}

#[test]
fn the_next_range_gives_when_the_first_is_empty_and_exhaustion_heals() {
    let scene = Scene::new(&json!({"ranges": {"public": ["192.0.2.0/30", "192.0.2.8/31"]}}));
    let mut given = Vec::new();
    for id in ["a", "b", "c", "d"] {
        let mut lb = desired(id);
        scene.settle(&mut lb);
        given.extend(ips(&lb.published));
    }
    assert_eq!(given, ["192.0.2.1", "192.0.2.2", "192.0.2.8", "192.0.2.9"]);

    let mut late = desired("e");
    let error = scene.settle(&mut late).error.unwrap();
    assert_eq!((error.kind, error.reason), (ErrorKind::Retry, Reason::AddressesExhausted));
    assert_eq!(late.published, []);
    // Another process gives one back: this one's idea of what is free is old.
    scene.restarted().delete("b");
    assert_eq!(scene.settle(&mut late).error, None);
    assert_eq!(ips(&late.published), ["192.0.2.2"]);
}

#[test]
fn an_address_once_given_is_kept_through_every_other_edit() {
    let scene = Scene::new(&json!({}));
    let (mut first, mut lb) = (desired("first"), desired("lb"));
    scene.settle(&mut first);
    scene.settle(&mut lb);
    scene.delete("first");
    let edits: [fn(&mut LoadBalancer); 7] = [
        |lb| lb.listeners = vec![listener(443, &[])],
        |lb| lb.nodes.clear(),
        |lb| lb.source_ranges = SourceRanges::Only(Vec::new()),
        |lb| lb.scheme = Some(Scheme::Public),
        |lb| lb.requested = vec!["203.0.113.2".parse().unwrap()],
        |lb| lb.requested.clear(),
        |lb| lb.members.clear(),
    ];
    for edit in edits {
        edit(&mut lb);
        scene.settle(&mut lb);
        assert_eq!(ips(&lb.published), ["203.0.113.2"]);
    }
}

#[test]
fn families_come_and_go_without_moving_the_other_address() {
    let scene = Scene::new(&json!({}));
    let mut lb = desired("lb");
    scene.settle(&mut lb);
    lb.families = vec![Family::V4, Family::V6];
    scene.settle(&mut lb);
    assert_eq!(ips(&lb.published), ["203.0.113.1", "2001:db8:113::1"]);
    lb.families = vec![Family::V6];
    scene.settle(&mut lb);
    assert_eq!(ips(&lb.published), ["2001:db8:113::1"]);
    assert_eq!(picture(&scene.store, scene.clock.now()).unwrap().addresses.len(), 1);
}

#[test]
fn an_address_is_given_back_only_when_the_status_has_let_go_of_it() {
    let scene = Scene::new(&json!({}));
    let mut lb = LoadBalancer { families: vec![Family::V4, Family::V6], ..desired("lb") };
    scene.settle(&mut lb);
    lb.families = vec![Family::V4];
    let pass = scene.pass("lb", Some(&lb));
    assert_eq!(pass.steps, Vec::<String>::new());
    assert_eq!(ips(&pass.outcome.published), ["203.0.113.1"]);
    lb.published = pass.outcome.published;
    assert_eq!(scene.pass("lb", Some(&lb)).steps, ["release address 2001:db8:113::1 of generation 1"]);
}

#[test]
fn two_families_are_published_together_or_not_at_all() {
    let scene = Scene::new(&json!({"ranges": {"public": ["192.0.2.0/24"]}}));
    let mut lb = LoadBalancer { families: vec![Family::V4, Family::V6], ..desired("lb") };
    let pass = scene.settle(&mut lb);
    assert_eq!(pass.error.unwrap().reason, Reason::AddressesExhausted);
    assert_eq!(pass.outcome.published, []);
    assert_eq!(pass.outcome.assigned, Verdict::no(Reason::AddressPending, "no IPv6 address has been given yet"));
}

#[test]
fn a_published_address_is_not_withdrawn_because_a_second_family_has_none() {
    let scene = Scene::new(&json!({"ranges": {"public": ["192.0.2.0/24"]}}));
    let mut lb = desired("lb");
    scene.settle(&mut lb);
    lb.families.push(Family::V6);
    let pass = scene.settle(&mut lb);
    assert_eq!(pass.error.unwrap().reason, Reason::AddressesExhausted);
    assert_eq!(ips(&pass.outcome.published), ["192.0.2.1"]);
    assert_eq!(pass.outcome.programmed.status, ConditionStatus::False);
}

#[test]
fn a_replace_makes_the_new_before_it_breaks_the_old() {
    let scene = Scene::new(&json!({"readyAfter": "5s", "drainFor": "7s"}));
    let mut lb = desired("lb");
    scene.settle(&mut lb);
    scene.clock.advance(Duration::from_secs(5));
    scene.settle(&mut lb);
    assert_eq!(ips(&lb.published), ["203.0.113.1"]);

    lb.scheme = Some(Scheme::Internal);
    let pass = scene.pass("lb", Some(&lb));
    assert_eq!(
        pass.steps,
        [
            "create internal load balancer, generation 2",
            "assign a free IPv4 address to generation 2",
            "put listener 80/TCP on generation 2, to node port 30080 of a",
        ]
    );
    assert_eq!(ips(&pass.outcome.published), ["203.0.113.1"], "until the successor takes traffic");
    assert_eq!(pass.outcome.wait.unwrap().at_most, Duration::from_secs(5));

    lb.listeners = vec![listener(80, &["b"])];
    let pass = scene.pass("lb", Some(&lb));
    assert_eq!(
        pass.steps,
        [
            "put listener 80/TCP on generation 1, to node port 30080 of b",
            "put listener 80/TCP on generation 2, to node port 30080 of b"
        ],
        "who still serves follows the endpoints"
    );

    let wiped = LoadBalancer { published: Vec::new(), ..lb.clone() };
    assert_eq!(scene.pass("lb", Some(&wiped)).steps, Vec::<String>::new(), "a status wiped by hand gives nothing away");

    scene.clock.advance(Duration::from_secs(5));
    let pass = scene.pass("lb", Some(&lb));
    assert_eq!(pass.steps, Vec::<String>::new(), "until clients are told");
    assert_eq!(ips(&pass.outcome.published), ["10.255.0.1"]);
    let old = std::mem::replace(&mut lb.published, pass.outcome.published);
    let both = LoadBalancer { published: [old, lb.published.clone()].concat(), ..lb.clone() };
    assert_eq!(
        scene.pass("lb", Some(&both)).steps,
        Vec::<String>::new(),
        "while some clients are still told of the old one"
    );

    let pass = scene.pass("lb", Some(&lb));
    assert_eq!(pass.steps, ["drain generation 1"]);
    assert_eq!(pass.outcome.wait.unwrap().at_most, Duration::from_secs(7));
    assert_eq!(scene.pass("lb", Some(&lb)).steps, Vec::<String>::new());
    scene.clock.advance(Duration::from_secs(7));
    let pass = scene.pass("lb", Some(&lb));
    assert_eq!(pass.steps, ["release address 203.0.113.1 of generation 1", "delete generation 1"]);
    assert_eq!(pass.outcome.wait, None);
}

#[test]
fn a_replace_taken_back_before_it_is_published_leaves_the_old_one_alone() {
    let scene = Scene::new(&json!({"readyAfter": "5s"}));
    let mut lb = desired("lb");
    scene.settle(&mut lb);
    scene.clock.advance(Duration::from_secs(5));
    scene.settle(&mut lb);
    lb.scheme = Some(Scheme::Internal);
    scene.settle(&mut lb);
    lb.scheme = None;
    assert_eq!(
        scene.pass("lb", Some(&lb)).steps,
        ["drain generation 2", "release address 10.255.0.1 of generation 2", "delete generation 2"]
    );
    assert_eq!(scene.pass("lb", Some(&lb)).outcome.published, lb.published);
}

#[test]
fn a_requested_address_is_given_or_none() {
    let scene = Scene::new(&json!({}));
    let mut other = desired("other");
    scene.settle(&mut other);
    for (address, scheme, kind) in [
        ("203.0.113.1", None, ErrorKind::Retry),    // taken, perhaps not for ever
        ("192.0.2.1", None, ErrorKind::Terminal),   // outside
        ("203.0.113.0", None, ErrorKind::Terminal), // no host
        ("203.0.113.9", Some(Scheme::Internal), ErrorKind::Terminal), // the other scheme's
    ] {
        let mut lb = LoadBalancer { requested: vec![address.parse().unwrap()], scheme, ..desired("lb") };
        let pass = scene.settle(&mut lb);
        let error = pass.error.unwrap();
        assert_eq!((error.kind, error.reason), (kind, Reason::RequestedAddressUnavailable), "{address}");
        assert!(error.message.contains(address));
        assert_eq!(pass.outcome.published, [], "{address}");
        scene.delete("lb");
    }
    let mut lb = LoadBalancer { requested: vec!["10.255.7.7".parse().unwrap()], ..desired("lb") };
    assert_eq!(scene.settle(&mut lb).error, None);
    assert_eq!(ips(&lb.published), ["10.255.7.7"], "where nobody names a scheme, the address does");
}

#[test]
fn an_address_asked_for_by_name_is_not_taken_along_from_outside_to_inside() {
    let scene = Scene::new(&json!({}));
    let mut lb = LoadBalancer { requested: vec!["203.0.113.1".parse().unwrap()], ..desired("lb") };
    assert_eq!(scene.settle(&mut lb).error, None);
    lb.scheme = Some(Scheme::Internal);
    let pass = scene.settle(&mut lb);
    let error = pass.error.unwrap();
    assert_eq!((error.kind, error.reason), (ErrorKind::Terminal, Reason::RequestedAddressUnavailable));
    assert_eq!(ips(&pass.outcome.published), ["203.0.113.1"], "what clients know goes on until somebody decides");
    let picture = picture(&scene.store, scene.clock.now()).unwrap();
    let internal = picture.balancers[&lb.id].generations.iter().find(|one| one.scheme == Scheme::Internal);
    assert!(internal.unwrap().addresses.is_empty(), "nothing internal has a public address");
    lb.scheme = None;
    assert_eq!(scene.settle(&mut lb).error, None);
    assert_eq!(ips(&lb.published), ["203.0.113.1"]);
}

#[test]
fn another_requested_address_is_a_replace_and_one_that_cannot_be_had_changes_nothing() {
    let scene = Scene::new(&json!({}));
    let mut other = desired("other");
    scene.settle(&mut other);
    let mut lb = LoadBalancer { families: vec![Family::V4, Family::V6], ..desired("lb") };
    scene.settle(&mut lb);
    assert_eq!(ips(&lb.published), ["203.0.113.2", "2001:db8:113::1"]);
    lb.requested = vec!["203.0.113.1".parse().unwrap()];
    let pass = scene.settle(&mut lb);
    assert_eq!(pass.error.unwrap().reason, Reason::RequestedAddressUnavailable);
    assert_eq!(ips(&pass.outcome.published), ["203.0.113.2", "2001:db8:113::1"]);
    lb.requested = vec!["203.0.113.50".parse().unwrap()];
    for _ in 0..5 {
        lb.published = scene.pass("lb", Some(&lb)).outcome.published;
        assert!(
            scene.store.exists("addresses/2001:db8:113::1").unwrap(),
            "an address that both generations have stays claimed"
        );
    }
    assert_eq!(scene.settle(&mut lb).error, None);
    assert_eq!(ips(&lb.published), ["203.0.113.50", "2001:db8:113::1"], "the other family's address stays");
    let picture = picture(&scene.store, scene.clock.now()).unwrap();
    assert_eq!(picture.balancers[&lb.id].generations.len(), 1);
    assert_eq!(picture.addresses.len(), 3);
}

#[test]
fn conditions_follow_readiness_and_targets() {
    let scene = Scene::new(&json!({"readyAfter": "2s", "publish": "ip", "ipMode": "Proxy"}));
    let mut lb = LoadBalancer { listeners: vec![listener(80, &[])], ..desired("lb") };
    let outcome = scene.mock.outcome(Some(&lb), &State::Absent);
    assert_eq!(outcome.assigned.reason, Reason::AddressPending);

    let outcome = scene.settle(&mut lb).outcome;
    assert_eq!(outcome.assigned, Verdict::yes(Reason::Assigned, "203.0.113.1"));
    assert_eq!((outcome.programmed.status, outcome.programmed.reason), (ConditionStatus::False, Reason::Provisioning));
    assert_eq!(outcome.reachable.status, ConditionStatus::Unknown);
    assert_eq!(outcome.published, []);
    assert_eq!(outcome.wait.unwrap().at_most, Duration::from_secs(2));

    scene.clock.advance(Duration::from_secs(2));
    let outcome = scene.settle(&mut lb).outcome;
    assert_eq!(outcome.published, [Published::Ip { ip: "203.0.113.1".parse().unwrap(), mode: IpMode::Proxy }]);
    assert_eq!(outcome.programmed.reason, Reason::Programmed);
    assert_eq!((outcome.reachable.status, outcome.reachable.reason), (ConditionStatus::False, Reason::NoEndpoints));
    assert_eq!(outcome.wait, None);

    let nobody = Listener { has_endpoints: false, ..listener(80, &["a"]) };
    lb.listeners = vec![nobody];
    assert_eq!(
        scene.settle(&mut lb).outcome.reachable.reason,
        Reason::NoEndpoints,
        "nodes that are targets do not answer"
    );
    lb.listeners = vec![listener(80, &["a"]), listener(81, &[])];
    assert_eq!(scene.settle(&mut lb).outcome.reachable.reason, Reason::Reachable);
    scene.arm("sick", "observe", "unhealthy");
    assert_eq!(scene.settle(&mut lb).outcome.reachable.reason, Reason::Unhealthy);
    faults::end(&scene.store, "sick").unwrap();
    assert_eq!(scene.settle(&mut lb).outcome.reachable.reason, Reason::Reachable);
}

#[test]
fn a_hostname_is_published_where_the_class_says_so_and_each_generation_has_its_own() {
    let scene = Scene::new(&json!({"publish": "hostname"}));
    let (mut a, mut b) = (desired("0b8a3c1e-1"), desired("0b8a3c1e-2"));
    scene.settle(&mut a);
    scene.settle(&mut b);
    let name = ips(&a.published).concat();
    assert!(name.starts_with("0b8a3c1e1-") || name.starts_with("0b8a3c1e-"), "{name}");
    assert!(name.ends_with(".mock.portolan.dev"));
    assert_ne!(a.published, b.published);
    a.scheme = Some(Scheme::Internal);
    scene.settle(&mut a);
    assert_ne!(ips(&a.published).concat(), name);
}

#[test]
fn identifiers_are_taught_by_every_step_where_the_class_says_so() {
    let scene = Scene::new(&json!({"teachesIdentifiers": true}));
    let create = Step::CreateBalancer { generation: 1, scheme: Scheme::Public };
    for step in [create, Step::SetNodes { nodes: Vec::new() }] {
        assert_eq!(scene.apply("lb", &step).unwrap().learned["arn"], "mock::loadbalancer/lb");
    }
    let scene = Scene::new(&json!({}));
    assert!(
        scene.apply("lb", &Step::CreateBalancer { generation: 1, scheme: Scheme::Public }).unwrap().learned.is_empty()
    );
}

#[test]
fn what_is_not_ours_is_refused_and_left_alone() {
    let scene = Scene::on(Store::memory(), "blue", &json!({}));
    let green = Scene::on(scene.store.clone(), "green", &json!({}));
    let mut theirs = desired("lb");
    green.settle(&mut theirs);
    scene.store.replace("balancers/unmarked.json", b"[]").unwrap();
    for id in ["lb", "unmarked"] {
        let state = scene.observe(id).unwrap();
        assert_eq!(scene.mock.plan(Some(&desired(id)), &state).unwrap_err().reason(), Reason::NotOurs);
        assert_eq!(scene.mock.outcome(Some(&desired(id)), &state).programmed.reason, Reason::NotOurs);
        assert!(scene.mock.plan(None, &state).unwrap().is_empty());
        for step in
            [Step::CreateBalancer { generation: 1, scheme: Scheme::Public }, Step::DeleteBalancer { generation: 1 }]
        {
            let error = scene.apply(id, &step).unwrap_err();
            assert_eq!((error.kind, error.reason), (ErrorKind::Terminal, Reason::NotOurs));
        }
    }
    assert_eq!(scene.mock.inventory().now_or_never().unwrap().unwrap(), []);
    assert_eq!(green.mock.inventory().now_or_never().unwrap().unwrap().len(), 2);
}

#[test]
fn a_file_that_cannot_be_understood_spoils_only_its_own_load_balancer() {
    let scene = Scene::new(&json!({}));
    let mut good = desired("good");
    scene.settle(&mut good);
    let garbage: [&[u8]; 5] = [
        br#"{"id": "bad", "inst"#,
        b"\xff\xfe",
        br#"{"instance": "", "id": 3}"#,
        br#"{"instance": ""}"#,
        br#"{"id":"bad","instance":"","members":[],"sourceRanges":"all","nodes":[],"generations":[]}"#,
    ];
    for garbage in garbage {
        scene.store.replace("balancers/bad.json", garbage).unwrap();
        let ids = [LoadBalancerId::new("bad"), good.id.clone()];
        let states = scene.mock.observe_many(&ids).now_or_never().unwrap();
        let message = &states[0].as_ref().unwrap_err().message;
        assert!(message.contains("balancers/bad.json"), "{message}");
        assert!(states[1].is_ok());
        assert!(scene.apply("bad", &Step::DeleteBalancer { generation: 1 }).is_err());
        let picture = picture(&scene.store, scene.clock.now()).unwrap();
        assert_eq!((picture.balancers.len(), picture.problems.len()), (1, 1));
    }
    scene.store.replace("addresses/203.0.113.1", b"").unwrap();
    scene.store.replace("faults/f.json", b"{}").unwrap();
    assert!(scene.observe("good").unwrap_err().message.contains("addresses/203.0.113.1"));
    let mut other = desired("other");
    assert_eq!(scene.settle(&mut other).error, None);
    assert_eq!(ips(&other.published), ["203.0.113.2"]);
    assert!(
        picture(&scene.store, scene.clock.now())
            .unwrap()
            .problems
            .iter()
            .any(|problem| problem.contains("faults/f.json"))
    );
}

#[test]
fn a_fault_fails_the_calls_that_it_names_in_the_way_that_it_names() {
    let create = Step::CreateBalancer { generation: 1, scheme: Scheme::Public };
    let cases = [
        ("terminal", ErrorKind::Terminal, Reason::ProviderRefused, false),
        ("retry", ErrorKind::Retry, Reason::ProviderFailed, false),
        ("wait", ErrorKind::Wait(WAIT), Reason::Provisioning, false),
        ("fail-after-effect", ErrorKind::Retry, Reason::ProviderFailed, true),
    ];
    for (effect, kind, reason, acted) in cases {
        let scene = Scene::new(&json!({}));
        scene.arm("f", "CreateBalancer", effect);
        let error = scene.apply("lb", &create).unwrap_err();
        assert_eq!((error.kind, error.reason), (kind, reason), "{effect}");
        assert_eq!(scene.observe("lb").unwrap() != State::Absent, acted, "{effect}");
        faults::end(&scene.store, "f").unwrap();
        assert!(scene.apply("lb", &create).is_ok(), "{effect}");
    }
}

#[test]
fn a_fault_acts_so_many_times_or_at_one_call_and_counts_over_restarts() {
    let scene = Scene::new(&json!({}));
    let twice = Fault { on: "any".parse().unwrap(), id: None, times: Some(2), at_call: None, effect: Effect::Retry };
    faults::add(&scene.store, "twice", &twice).unwrap();
    assert!(scene.observe("a").is_err());
    assert!(scene.restarted().observe("b").is_err());
    assert!(scene.observe("a").is_ok());
    faults::end(&scene.store, "twice").unwrap();

    let third = Fault { at_call: Some(3), times: None, ..twice };
    faults::add(&scene.store, "third", &third).unwrap();
    let create = Step::CreateBalancer { generation: 1, scheme: Scheme::Public };
    assert!(scene.observe("a").is_ok());
    assert!(scene.apply("a", &create).is_ok());
    assert!(scene.restarted().apply("a", &Step::SetNodes { nodes: Vec::new() }).is_err());
    assert!(scene.observe("a").is_ok());
    let armed = faults::list(&scene.store).unwrap().remove(0).unwrap();
    assert_eq!(armed.met, 4, "it goes on counting, so that a test learns how many calls there are");

    let mine = Fault { at_call: None, id: Some(LoadBalancerId::new("a")), on: "observe".parse().unwrap(), ..third };
    faults::add(&scene.store, "mine", &mine).unwrap();
    let ids = [LoadBalancerId::new("a"), LoadBalancerId::new("b")];
    let states = scene.mock.observe_many(&ids).now_or_never().unwrap();
    assert!(states[0].is_err() && states[1].is_ok());
}

#[test]
fn a_fault_that_would_never_act_is_refused() {
    let scene = Scene::new(&json!({}));
    let fault =
        Fault { on: "observe".parse().unwrap(), id: None, times: None, at_call: None, effect: Effect::Unhealthy };
    for pointless in [
        Fault { on: "SetNodes".parse().unwrap(), ..fault.clone() },
        Fault { times: Some(0), ..fault.clone() },
        Fault { at_call: Some(0), ..fault.clone() },
        Fault { at_call: Some(1), times: Some(1), ..fault.clone() },
    ] {
        assert!(
            matches!(faults::add(&scene.store, "f", &pointless), Err(faults::FaultError::Pointless(_))),
            "{pointless:?}"
        );
    }
    faults::add(&scene.store, "f", &fault).unwrap();
    assert!(matches!(faults::add(&scene.store, "f", &fault), Err(faults::FaultError::Armed(_))));
    faults::end(&scene.store, "f").unwrap();
    assert!(matches!(faults::end(&scene.store, "f"), Err(faults::FaultError::NotArmed(_))));
    assert!("CreateBalancers".parse::<faults::On>().unwrap_err().contains("CreateBalancer, SetMembers"));
}

#[test]
fn hanging_and_delaying_calls_take_as_long_as_they_are_told() {
    let scene = Scene::new(&json!({}));
    let ids = [LoadBalancerId::new("a")];
    scene.arm("slow", "observe", "delay=3s");
    let before = scene.clock.now();
    assert!(scene.mock.observe_many(&ids).now_or_never().unwrap()[0].is_ok());
    assert_eq!(before.until(scene.clock.now()), Some(Duration::from_secs(3)));
    scene.arm("never", "observe", "hang");
    assert!(scene.mock.observe_many(&ids).now_or_never().is_none());
}

#[test]
fn a_held_load_balancer_stays_provisioning_until_it_is_released_or_the_fault_ends() {
    for by_ending in [false, true] {
        let scene = Scene::new(&json!({}));
        let mut changes = Box::pin(scene.mock.changes());
        scene.arm("slow", "any", "hold");
        let mut lb = desired("lb");
        let outcome = scene.settle(&mut lb).outcome;
        assert_eq!((outcome.programmed.reason, outcome.published), (Reason::Provisioning, vec![]));
        scene.clock.advance(Duration::from_secs(3600));
        assert!(outcome.wait.is_some() && scene.settle(&mut lb).outcome.published.is_empty());

        if by_ending {
            faults::end(&scene.store, "slow").unwrap();
        } else {
            assert_eq!(faults::release(&scene.store, None).unwrap(), [lb.id.clone()]);
            assert_eq!(faults::release(&scene.store, Some(&lb.id)).unwrap(), []);
        }
        assert_eq!(changes.next().now_or_never(), Some(Some(lb.id.clone())), "the key is woken");
        lb.nodes.clear();
        assert_eq!(scene.settle(&mut lb).outcome.programmed.reason, Reason::Programmed);
    }
}

#[test]
fn the_end_of_a_fault_wakes_whom_it_has_met_and_the_change_of_health_wakes_all() {
    let scene = Scene::new(&json!({}));
    scene.settle(&mut desired("a"));
    scene.settle(&mut desired("b"));
    let mut changes = Box::pin(scene.mock.changes());
    scene.arm("stuck", "CreateBalancer", "terminal");
    assert!(scene.settle(&mut desired("new")).error.is_some());
    faults::end(&scene.store, "stuck").unwrap();
    assert_eq!(changes.next().now_or_never(), Some(Some(LoadBalancerId::new("new"))));
    scene.arm("sick", "observe", "unhealthy");
    let woken: Vec<_> = (0..2).map(|_| changes.next().now_or_never().unwrap().unwrap()).collect();
    assert_eq!(woken, [LoadBalancerId::new("a"), LoadBalancerId::new("b")]);
}

#[test]
fn two_controllers_never_give_one_address_twice() {
    let folder = std::env::temp_dir().join(format!("portolan-mock-race-{}", std::process::id()));
    std::thread::scope(|scope| {
        for instance in ["one", "two", "three"] {
            let folder = &folder;
            scope.spawn(move || {
                let scene = Scene::on(Store::folder(folder), instance, &json!({}));
                let instance_name = Instance::parse(instance).unwrap();
                // Who waits for the other's lock must let it run.
                let mock =
                    Mock::new(Parameters::default(), scene.store.clone(), instance_name, Arc::new(BlockingClock));
                let scene = Scene { mock, ..scene };
                for number in 0..20 {
                    assert_eq!(scene.settle(&mut desired(&format!("{instance}.{number}"))).error, None);
                }
            });
        }
    });
    let picture = picture(&Store::folder(&folder), crate::clock::Millis::default()).unwrap();
    let mut given: Vec<_> = picture.balancers.values().flat_map(|one| one.generations[0].addresses.clone()).collect();
    given.sort_unstable();
    given.dedup();
    assert_eq!((given.len(), picture.addresses.len(), picture.problems), (60, 60, vec![]));
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_claim_without_its_load_balancers_word_is_found_by_its_owner() {
    let scene = Scene::new(&json!({}));
    scene.store.create("addresses/203.0.113.9", br#"{"id":"lb","instance":""}"#).unwrap();
    let inventory = scene.mock.inventory().now_or_never().unwrap().unwrap();
    assert_eq!(inventory, [Owned { id: LoadBalancerId::new("lb"), object: "address 203.0.113.9".into() }]);
    let mut lb = LoadBalancer { requested: vec!["203.0.113.9".parse().unwrap()], ..desired("lb") };
    assert_eq!(scene.settle(&mut lb).error, None);
    assert_eq!(ips(&lb.published), ["203.0.113.9"]);
}

#[test]
fn a_claim_taken_away_by_hand_is_made_again_or_replaced() {
    let scene = Scene::new(&json!({}));
    let mut lb = desired("lb");
    scene.settle(&mut lb);
    scene.store.remove("addresses/203.0.113.1").unwrap();
    scene.settle(&mut lb);
    assert_eq!(ips(&lb.published), ["203.0.113.1"]);
    scene.store.replace("addresses/203.0.113.1", br#"{"id":"thief","instance":"other"}"#).unwrap();
    scene.settle(&mut lb);
    assert_eq!(ips(&lb.published), ["203.0.113.2"]);
    scene.delete("lb");
    assert!(scene.store.exists("addresses/203.0.113.1").unwrap(), "what is another's is not released");
}

/// A folder of its own, gone with the test.
struct Folder(std::path::PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("portolan-mock-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn scene(&self) -> Scene {
        Scene::on(Store::folder(&self.0), "", &json!({}))
    }

    /// Puts a FIFO there, with nobody at its other end: opening it blocks for ever.
    fn fifo(&self, piece: &str) {
        let path = self.0.join(piece);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let _ = std::fs::remove_file(&path);
        assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_lock_that_somebody_holds_is_waited_for_on_the_clock_and_then_named() {
    let folder = Folder::new("held");
    let scene = folder.scene();
    let lock = std::fs::File::create(folder.0.join("lock")).unwrap();
    lock.lock().unwrap();
    let before = scene.clock.now();
    let create = Step::CreateBalancer { generation: 1, scheme: Scheme::Public };
    let error = scene.apply("lb", &create).unwrap_err();
    assert_eq!((error.kind, error.reason), (ErrorKind::Retry, Reason::ProviderFailed));
    assert!(error.message.contains(&folder.0.join("lock").display().to_string()), "{}", error.message);
    let waited = before.until(scene.clock.now()).unwrap();
    assert!(waited > Duration::from_secs(4) && waited <= Duration::from_secs(5), "{waited:?}");
    assert_eq!(scene.observe("lb"), Ok(State::Absent), "observing needs no lock");
    drop(lock);
    assert!(scene.apply("lb", &create).is_ok());
}

#[test]
fn what_is_no_regular_file_fails_by_name_and_blocks_nobody() {
    let folder = Folder::new("fifo");
    let scene = folder.scene();
    let mut lb = LoadBalancer { requested: vec!["203.0.113.1".parse().unwrap()], ..desired("lb") };
    for piece in ["lock", "balancers/lb.json", "addresses/203.0.113.1"] {
        folder.fifo(piece);
        let error = match scene.observe("lb") {
            Err(error) => error,
            Ok(_) => scene.settle(&mut lb).error.or_else(|| scene.observe("lb").err()).unwrap_or_else(|| {
                panic!("{piece} is not looked at");
            }),
        };
        assert_eq!(error.kind, ErrorKind::Retry);
        assert!(error.message.contains(piece) && error.message.contains("regular file"), "{}", error.message);
        std::fs::remove_file(folder.0.join(piece)).unwrap();
    }
    folder.fifo("changes");
    let mut changes = Box::pin(scene.mock.changes());
    folder.fifo("faults/f.json");
    assert!(scene.observe("lb").unwrap_err().message.contains("faults"));
    std::fs::remove_file(folder.0.join("faults/f.json")).unwrap();
    std::fs::remove_file(folder.0.join("changes")).unwrap();
    assert_eq!(scene.settle(&mut lb).error, None);
    scene.arm("sick", "observe", "unhealthy");
    assert_eq!(changes.next().now_or_never(), Some(Some(lb.id.clone())), "changes go on when they can be read");
}

#[test]
fn a_name_that_no_file_can_have_is_absent() {
    let folder = Folder::new("long");
    let id = "x".repeat(253);
    folder.scene().delete(&id);
    let error = folder.scene().settle(&mut desired(&id)).error.unwrap();
    assert_eq!(error.kind, ErrorKind::Retry);
}

#[test]
fn a_dry_run_shows_what_faults_show_and_neither_counts_nor_meets_them() {
    let folder = Folder::new("dry");
    let scene = folder.scene();
    let mut lb = desired("lb");
    scene.settle(&mut lb);
    let once =
        Fault { on: "observe".parse().unwrap(), id: None, times: Some(1), at_call: None, effect: Effect::Unhealthy };
    faults::add(&scene.store, "sick", &once).unwrap();
    faults::add(&scene.store, "fails", &Fault { effect: Effect::Retry, ..once }).unwrap();
    std::fs::remove_file(folder.0.join("lock")).unwrap();
    let clock = Arc::new(scene.clock.clone());
    let dry = Mock::dry(Parameters::default(), scene.store.clone(), Instance::default(), clock);
    for _ in 0..3 {
        let seen = dry.observe_many(std::slice::from_ref(&lb.id)).now_or_never().unwrap().remove(0);
        assert!(matches!(seen, Ok(State::Ours(Balancer { unhealthy: true, .. }))), "{seen:?}");
    }
    assert!(!folder.0.join("lock").exists(), "it does not even lock");
    assert!(faults::list(&scene.store).unwrap().into_iter().all(|fault| fault.unwrap().met == 0));
    assert!(scene.observe("lb").is_err(), "the fault was kept for the controller");
}

#[test]
fn a_load_balancer_whose_file_is_lost_gets_its_address_back() {
    for publish in ["ip", "hostname"] {
        let scene = Scene::new(&json!({"publish": publish}));
        let (mut first, mut lb) = (desired("first"), desired("lb"));
        scene.settle(&mut first);
        scene.settle(&mut lb);
        scene.delete("first");
        let claim = || scene.store.list("addresses").unwrap();
        assert_eq!(claim(), ["203.0.113.2"]);
        scene.store.remove("balancers/lb.json").unwrap();
        let before = lb.published.clone();
        lb.nodes.clear();
        assert_eq!(scene.settle(&mut lb).error, None);
        assert_eq!(lb.published, before);
        assert_eq!(claim(), ["203.0.113.2"]);
        scene.delete("lb");
        assert_eq!(claim(), [""; 0]);
    }
}

#[test]
fn a_published_address_is_only_a_wish() {
    let scene = Scene::new(&json!({}));
    let mut owner = desired("owner");
    scene.settle(&mut owner);
    let told = |ip: &str| vec![Published::Ip { ip: ip.parse().unwrap(), mode: IpMode::Vip }];
    for (id, status, given) in [
        ("thief", "203.0.113.1", "203.0.113.2"),
        ("outsider", "192.0.2.1", "203.0.113.3"),
        ("insider", "10.255.0.7", "203.0.113.4"),
        ("heir", "203.0.113.9", "203.0.113.9"),
    ] {
        let mut lb = LoadBalancer { published: told(status), ..desired(id) };
        assert_eq!(scene.settle(&mut lb).error, None);
        assert_eq!(ips(&lb.published), [given], "{id}");
    }
}

#[test]
fn delete_reaches_empty_also_from_claims_of_which_no_load_balancer_knows() {
    let scene = Scene::new(&json!({}));
    let mut other = desired("other");
    scene.settle(&mut other);
    let stray = |address: &str| scene.store.create(&format!("addresses/{address}"), br#"{"id":"lb","instance":""}"#);
    for with_file in [false, true] {
        if with_file {
            scene.settle(&mut desired("lb"));
        }
        for address in ["203.0.113.200", "10.255.0.9", "2001:db8:113::5"] {
            stray(address).unwrap();
        }
        scene.delete("lb");
        assert_eq!(scene.store.list("addresses").unwrap(), ["203.0.113.1"], "with a file: {with_file}");
    }
}
