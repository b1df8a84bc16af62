//! Crash safety: SIGKILL at every API call and every provider call of every operation; the end is that of an undisturbed run.
//!
//! Each run has its own namespace, controller, gate and provider state. What is compared is all that Portolan leaves behind: the
//! Services, the records and the provider's state, as JSON without identity, versions and times.

use std::time::Duration;

use serde_json::{Value, json};

use crate::case::{both, say};
use crate::gate::{Fault, Gate};
use crate::harness::{Controller, Names, SOON, World, addresses, eventually};

/// No request for this long: the controller has finished what it was doing. Its own shortest pause is longer than a retry after
/// a conflict (0.5 s), which an undisturbed run has none of.
const QUIET: Duration = Duration::from_millis(400);

/// What is interrupted.
struct Operation {
    name: &'static str,
    /// The Service before it; none if the operation makes it.
    before: Option<fn() -> Value>,
    /// Another Service that is there, and served, before it.
    beside: Option<fn() -> Value>,
    /// The operation. Where it is to start the controller, there is nothing else to do.
    act: fn(&World),
    /// The operation has come to its end.
    done: fn(&World) -> bool,
    /// The controller starts only then, so that its first requests are among the interrupted.
    at_start: bool,
}

const CREATE: Operation =
    Operation { name: "create", before: None, beside: None, act: create, done: is_programmed, at_start: false };

const START: Operation =
    Operation { name: "start", before: Some(plain), beside: None, act: |_| {}, done: is_programmed, at_start: true };

const PORT_EDIT: Operation = Operation {
    name: "port edit",
    before: Some(plain),
    beside: None,
    act: |world| {
        let ports = json!([
            {"name": "http", "port": 8000, "targetPort": 8080, "protocol": "TCP"},
            {"name": "https", "port": 443, "targetPort": 8443, "protocol": "TCP"},
        ]);
        world.edit("web", json!({"spec": {"ports": ports}}));
    },
    done: |world| {
        let service = world.service("web").unwrap();
        service["status"]["loadBalancer"]["ingress"][0]["ports"].as_array().is_some_and(|ports| ports.len() == 2)
    },
    at_start: false,
};

const REPLACE: Operation = Operation {
    name: "replace",
    before: Some(plain),
    beside: None,
    act: |world| {
        world.edit("web", json!({"metadata": {"annotations": {"portolan.dev/scheme": "internal"}}}));
    },
    done: |world| {
        let generations = |balancer: &Value| balancer["generations"].as_array().map_or(0, Vec::len);
        addresses(&world.service("web").unwrap()).iter().all(|address| address.starts_with("10.255."))
            && world.mock().balancers().values().all(|balancer| generations(balancer) == 1)
    },
    at_start: false,
};

const TYPE_CHANGE: Operation = Operation {
    name: "type change",
    before: Some(plain),
    beside: None,
    act: |world| {
        world.edit("web", json!({"spec": {"type": "ClusterIP", "loadBalancerClass": null}}));
    },
    done: |world| crate::harness::finalizers(&world.service("web").unwrap()).is_empty(),
    at_start: false,
};

const DELETE: Operation = Operation {
    name: "delete",
    before: Some(plain),
    beside: None,
    act: |world| {
        world.delete("web");
    },
    done: |world| world.service("web").is_none(),
    at_start: false,
};

/// A Service gives up its own load balancer for one that another has.
const JOIN: Operation = Operation {
    name: "join",
    before: Some(plain),
    beside: Some(sharing),
    act: |world| {
        world.edit("web", json!({"metadata": {"annotations": {"portolan.dev/share": "front"}}}));
    },
    done: |world| {
        let [web, beside] = ["web", "beside"].map(|name| addresses(&world.service(name).unwrap()));
        web == beside && world.records().len() == 1 && world.mock().balancers().len() == 1
    },
    at_start: false,
};

/// And back.
const LEAVE: Operation = Operation {
    name: "leave",
    before: Some(|| json!({"metadata": {"annotations": {"portolan.dev/share": "front"}}})),
    beside: Some(sharing),
    act: |world| {
        world.edit("web", json!({"metadata": {"annotations": {"portolan.dev/share": null}}}));
    },
    done: |world| {
        let [web, beside] = ["web", "beside"].map(|name| addresses(&world.service(name).unwrap()));
        let members = |record: &Value| record["spec"]["members"].as_array().map_or(0, Vec::len);
        web != beside && !web.is_empty() && world.records().iter().map(members).sum::<usize>() == 2
    },
    at_start: false,
};

fn sharing() -> Value {
    json!({
        "metadata": {"annotations": {"portolan.dev/share": "front"}},
        "spec": {"ports": [{"name": "http", "port": 443, "targetPort": 8080, "protocol": "TCP"}]},
    })
}

fn plain() -> Value {
    json!({})
}

fn create(world: &World) {
    world.create("web", plain());
}

fn is_programmed(world: &World) -> bool {
    let service = world.service("web").unwrap();
    crate::harness::condition(&service, "portolan.dev/Programmed").is_some_and(|one| one["status"] == "True")
}

/// Where the process dies.
#[derive(Clone, Copy, Debug)]
enum Crash {
    /// At this request to the API server, counted from the operation's start: before the server hears of it, or when it has
    /// answered and nobody heard the answer.
    ApiCall { index: usize, after: bool },
    /// At this call of the provider: before its effect, or after it.
    ProviderCall { index: usize, after: bool },
}

/// One run in a namespace of its own.
struct Run {
    world: World,
    gate: Gate,
    setup: crate::harness::Setup,
    controller: Option<Controller>,
    names: Names,
}

impl Run {
    /// Comes to the point right before the operation.
    fn prepare(parent: &World, operation: &Operation) -> Self {
        let world = parent.another(&operation.name.replace(' ', "_"));
        let gate = Gate::before(world.server);
        let setup = world.setup().through(&world, &gate);
        let names = Names::of(&world);
        let mut run = Self { world, gate, setup, controller: None, names };
        if let Some(before) = operation.before {
            run.world.create("web", before());
            run.learn();
        }
        if !operation.at_start {
            run.start();
            if let Some(beside) = operation.beside {
                run.world.condition("web", "portolan.dev/Programmed", "True", "Programmed");
                run.world.create("beside", beside());
                run.world.condition("beside", "portolan.dev/Programmed", "True", "Programmed");
                run.learn();
            }
            if operation.before.is_some() {
                run.world.condition("web", "portolan.dev/Programmed", "True", "Programmed");
            }
            eventually("the watches are up", SOON, || {
                let watches = run.gate.seen().iter().filter(|seen| seen.watch).count();
                if watches >= 5 { Ok(()) } else { Err(format!("{watches} watches")) }
            });
            run.gate.quiet(QUIET);
        }
        run
    }

    fn start(&mut self) {
        let controller = self.setup.start();
        self.gate.aim_at(Some(&controller.process));
        self.controller = Some(controller);
    }

    fn is_running(&self) -> bool {
        self.controller.as_ref().is_some_and(|controller| controller.process.is_running())
    }

    /// Begins the operation, with the crash ahead of it.
    fn begin(&mut self, operation: &Operation, crash: Option<Crash>) {
        self.gate.mark();
        match crash {
            None => {}
            Some(Crash::ApiCall { index, after }) => {
                self.gate.at(index, if after { Fault::KillAfter } else { Fault::KillBefore });
            }
            Some(Crash::ProviderCall { index, after }) => {
                let effect = if after { "crash-after" } else { "crash-before" };
                self.world.mock().fault("crash", &["--on", "any", "--at-call", &index.to_string(), "--effect", effect]);
            }
        }
        if operation.at_start {
            self.start();
        }
        (operation.act)(&self.world);
        self.learn();
    }

    /// Remembers what the server drew by lot for the Services.
    fn learn(&mut self) {
        for service in ["web", "beside"].iter().filter_map(|name| self.world.service(name)) {
            self.names.learn(&service);
        }
    }

    /// All that Portolan leaves behind.
    fn end_state(&mut self) -> Value {
        self.learn();
        let services = self.world.api.list(&self.world.services_path());
        let state =
            json!({"services": services, "records": self.world.records(), "provider": self.world.mock().state()});
        self.names.normal(&state)
    }
}

/// An undisturbed run: where it ends, and how many API calls it took.
fn undisturbed(world: &World, operation: &Operation) -> (Value, usize) {
    let mut run = Run::prepare(world, operation);
    run.begin(operation, None);
    eventually(&format!("{} is done", operation.name), SOON, || {
        if (operation.done)(&run.world) { Ok(()) } else { Err("not yet".into()) }
    });
    run.gate.quiet(QUIET);
    assert!((operation.done)(&run.world));
    (run.end_state(), run.gate.count())
}

/// A disturbed run must end where the undisturbed one did. Says whether the crash came at all: beyond the last call it does not.
fn disturbed(world: &World, operation: &Operation, crash: Crash, expected: &Value) -> bool {
    let mut run = Run::prepare(world, operation);
    run.begin(operation, Some(crash));
    let crashed = eventually(&format!("{}: {crash:?} has come, or the end", operation.name), SOON, || {
        if !run.is_running() {
            return Ok(true);
        }
        if (operation.done)(&run.world) && run.end_state_without_faults() == *expected {
            run.gate.quiet(QUIET);
            return Ok(!run.is_running());
        }
        Err("neither".into())
    });
    run.gate.behave();
    run.world.mock().end_faults();
    if crashed {
        run.start();
    }
    eventually(&format!("{}: the end after {crash:?} is that of an undisturbed run", operation.name), SOON, || {
        let found = run.end_state();
        if found == *expected { Ok(()) } else { Err(difference(expected, &found)) }
    });
    // And it stays so: the restarted controller has nothing left to do.
    run.gate.quiet(QUIET);
    let found = run.end_state();
    assert!(
        found == *expected,
        "{}: {crash:?}: it did not stay at its end: {}",
        operation.name,
        difference(expected, &found)
    );
    run.controller.as_ref().unwrap().is_well();
    crashed
}

impl Run {
    /// The same, as if the fault that is still armed were not.
    fn end_state_without_faults(&mut self) -> Value {
        let mut state = self.end_state();
        state["provider"]["faults"] = json!([]);
        state
    }
}

/// What differs, line by line.
fn difference(expected: &Value, found: &Value) -> String {
    let (expected, found) = (format!("{expected:#}"), format!("{found:#}"));
    let missing = expected.lines().filter(|line| !found.contains(line)).map(|line| format!("- {line}"));
    let added = found.lines().filter(|line| !expected.contains(line)).map(|line| format!("+ {line}"));
    missing.chain(added).collect::<Vec<_>>().join("\n")
}

const API_CALL: &str = "API call";

/// SIGKILL at every index, before and after, until an index is beyond the last call. (Two runs need not make exactly the same
/// calls: a watch event that arrives between two writes costs or saves one. So one index that was not reached is not the end.)
fn at_every_call(world: &World, operation: &Operation, what: &str, crash: fn(usize, bool) -> Crash) {
    let (expected, api_calls) = undisturbed(world, operation);
    let mut tried = 0;
    // Every index of the undisturbed run, but for those that a watch event may save: an Event is looked up and then written.
    let least = if what == API_CALL { api_calls.saturating_sub(2).max(1) } else { 1 };
    for after in [false, true] {
        let before = tried;
        let mut missed = 0;
        for index in 1.. {
            if disturbed(world, operation, crash(index, after), &expected) {
                tried += 1;
            } else {
                missed += 1;
                if missed > 1 {
                    break;
                }
            }
        }
        assert!(
            tried - before >= least,
            "{}: {} of at least {least} {what}s interrupted",
            operation.name,
            tried - before
        );
    }
    say(&format!(
        "crash matrix: {}: {tried} crashes at {what}s (each index before and after it; undisturbed: {api_calls} API calls), all ended as undisturbed",
        operation.name
    ));
}

fn at_every_api_call(world: &World, operation: &Operation) {
    at_every_call(world, operation, API_CALL, |index, after| Crash::ApiCall { index, after });
}

fn at_every_provider_call(world: &World, operation: &Operation) {
    at_every_call(world, operation, "provider call", |index, after| Crash::ProviderCall { index, after });
}

#[test]
fn a_create_survives_a_crash_at_every_api_call() {
    both(|world| at_every_api_call(world, &CREATE));
}

#[test]
fn a_create_survives_a_crash_at_every_provider_call() {
    both(|world| at_every_provider_call(world, &CREATE));
}

#[test]
fn a_start_survives_a_crash_at_every_api_call() {
    both(|world| at_every_api_call(world, &START));
}

#[test]
fn a_start_survives_a_crash_at_every_provider_call() {
    both(|world| at_every_provider_call(world, &START));
}

#[test]
fn a_port_edit_survives_a_crash_at_every_api_call() {
    both(|world| at_every_api_call(world, &PORT_EDIT));
}

#[test]
fn a_port_edit_survives_a_crash_at_every_provider_call() {
    both(|world| at_every_provider_call(world, &PORT_EDIT));
}

#[test]
fn a_replace_survives_a_crash_at_every_api_call() {
    both(|world| at_every_api_call(world, &REPLACE));
}

#[test]
fn a_replace_survives_a_crash_at_every_provider_call() {
    both(|world| at_every_provider_call(world, &REPLACE));
}

#[test]
fn a_type_change_survives_a_crash_at_every_api_call() {
    both(|world| at_every_api_call(world, &TYPE_CHANGE));
}

#[test]
fn a_type_change_survives_a_crash_at_every_provider_call() {
    both(|world| at_every_provider_call(world, &TYPE_CHANGE));
}

#[test]
fn a_delete_survives_a_crash_at_every_api_call() {
    both(|world| at_every_api_call(world, &DELETE));
}

#[test]
fn a_delete_survives_a_crash_at_every_provider_call() {
    both(|world| at_every_provider_call(world, &DELETE));
}

#[test]
fn joining_a_share_survives_a_crash_at_every_api_call() {
    both(|world| at_every_api_call(world, &JOIN));
}

#[test]
fn joining_a_share_survives_a_crash_at_every_provider_call() {
    both(|world| at_every_provider_call(world, &JOIN));
}

#[test]
fn leaving_a_share_survives_a_crash_at_every_api_call() {
    both(|world| at_every_api_call(world, &LEAVE));
}

#[test]
fn leaving_a_share_survives_a_crash_at_every_provider_call() {
    both(|world| at_every_provider_call(world, &LEAVE));
}
