//! The mock in a process of its own, killed by its own faults at every call of the provider, before and after the call's effect; and then
//! started again. The process is this test binary, made the victim by its environment.

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::Arc;

use futures::FutureExt;
use portolan_core::balancer::{
    Family, HealthCheck, Listener, LoadBalancer, Member, PortKey, Protocol, Published, Scheme, SourceRanges, Targets,
};
use portolan_core::ids::{ClassName, Instance, LoadBalancerId, NodeName, Uid};
use portolan_core::provider::{Call, Known, Provider};
use portolan_mock::faults::{self, Effect, Fault, On};
use portolan_mock::picture::picture;
use portolan_mock::{Clock, Mock, Parameters, Store, SystemClock};

/// What the controller's life is made of, in this order.
const PHASES: [&str; 5] = ["create", "ports", "replace", "families", "delete"];

const FOLDER: &str = "PORTOLAN_MOCK_VICTIM_FOLDER";
const PHASE: &str = "PORTOLAN_MOCK_VICTIM_PHASE";
const SIGKILL: i32 = 9;

#[test]
fn a_process_killed_at_any_call_leaves_a_state_from_which_the_next_ends_in_the_same_place() {
    let root = std::env::temp_dir().join(format!("portolan-mock-killed-{}", std::process::id()));
    let undisturbed = root.join("undisturbed");
    let mut indices = 0;
    for (number, phase) in PHASES.into_iter().enumerate() {
        drive(&undisturbed, phase);
        let expected = world(&undisturbed);
        for effect in [Effect::CrashBefore, Effect::CrashAfter] {
            for call in 1.. {
                let folder = root.join(format!("{phase}-{effect}-{call}"));
                PHASES[..number].iter().for_each(|before| drive(&folder, before));
                let fault = Fault { on: On::Any, id: None, times: None, at_call: Some(call), effect };
                faults::add(&Store::folder(&folder), "crash", &fault).unwrap();
                let first = victim(&folder, phase);
                if first.success() {
                    break;
                }
                assert_eq!(first.signal(), Some(SIGKILL), "{phase}, {effect} at call {call}: {first}");
                assert!(victim(&folder, phase).success(), "{phase}, after {effect} at call {call}");
                faults::end(&Store::folder(&folder), "crash").unwrap();
                assert_eq!(world(&folder), expected, "{phase}, {effect} at call {call}");
                indices += 1;
            }
        }
    }
    println!("killed for good and started again: {indices} call indices");
    assert!(indices > 60, "{indices}");
    std::fs::remove_dir_all(root).unwrap();
}

#[test]
fn victim_process() {
    if let (Ok(folder), Ok(phase)) = (std::env::var(FOLDER), std::env::var(PHASE)) {
        drive(Path::new(&folder), &phase);
    }
}

fn victim(folder: &Path, phase: &str) -> ExitStatus {
    let binary = std::env::current_exe().unwrap();
    let mut command = Command::new(binary);
    command.args(["killed::victim_process", "--exact", "--quiet"]).env(FOLDER, folder).env(PHASE, phase);
    command.output().unwrap().status
}

/// The controller's loop until nothing is left to do. What it publishes lies in a file, as it does in the Service's status.
fn drive(folder: &Path, phase: &str) {
    let mock = Mock::new(Parameters::default(), Store::folder(folder), Instance::default(), Arc::new(SystemClock));
    let id = LoadBalancerId::new("lb");
    let call = Call { id: id.clone(), members: Vec::new(), external: [].into() };
    loop {
        let published = read_status(folder);
        let desired = desired(phase).map(|desired| LoadBalancer { published: published.clone(), ..desired });
        let observed = mock.observe_many(&[Known::nothing_of(id.clone())]).now_or_never().unwrap().remove(0).unwrap();
        let plan = mock.plan(desired.as_ref(), &observed).unwrap();
        let outcome = mock.outcome(desired.as_ref(), &observed);
        if !plan.is_empty() {
            for step in plan.steps {
                mock.apply(&step, &call).now_or_never().unwrap().unwrap();
            }
        } else if outcome.published != published {
            std::fs::create_dir_all(folder).unwrap();
            std::fs::write(status(folder), serde_json::to_vec(&outcome.published).unwrap()).unwrap();
        } else {
            return;
        }
    }
}

fn desired(phase: &str) -> Option<LoadBalancer> {
    let listener = |port| Listener {
        key: PortKey { port, protocol: Protocol::Tcp },
        name: String::new(),
        service: Uid::new("lb"),
        targets: Targets::Nodes { node_port: 30080, nodes: vec![NodeName::new("node-1")] },
        has_endpoints: true,
        health_check: HealthCheck::Http { port: 10256, path: "/healthz".into() },
        session_affinity: None,
    };
    let mut desired = LoadBalancer {
        id: LoadBalancerId::new("lb"),
        class: ClassName::new("portolan.dev/mock"),
        held: Vec::new(),
        following: Vec::new(),
        members: vec![Member { uid: Uid::new("lb"), namespace: "default".into(), name: "web".into() }],
        families: vec![Family::V4, Family::V6],
        requested: Vec::new(),
        scheme: None,
        listeners: vec![listener(80)],
        source_ranges: SourceRanges::All,
        allow_downtime: false,
        nodes: Vec::new(),
        settings: std::collections::BTreeMap::new(),
        published: Vec::new(),
    };
    for edit in &PHASES[1..=PHASES.iter().position(|known| *known == phase).unwrap()] {
        match *edit {
            "ports" => desired.listeners = vec![listener(443), listener(8080)],
            "replace" => desired.scheme = Some(Scheme::Internal),
            "families" => desired.families = vec![Family::V6],
            "delete" => return None,
            other => panic!("{other}"),
        }
    }
    Some(desired)
}

fn world(folder: &Path) -> String {
    let picture = picture(&Store::folder(folder), SystemClock.now()).unwrap();
    assert_eq!(picture.problems, Vec::<String>::new());
    format!("{} {:?}", serde_json::to_string_pretty(&picture).unwrap(), read_status(folder))
}

fn status(folder: &Path) -> PathBuf {
    folder.join("published.json")
}

fn read_status(folder: &Path) -> Vec<Published> {
    std::fs::read(status(folder)).map(|text| serde_json::from_slice(&text).unwrap()).unwrap_or_default()
}
