//! Two controllers that serve the same Services at the same time, without leader election.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::Duration;

use serde_json::{Value, json};

use super::{Pool, VIPS, create, grant, is_of_another_pool, recorded, setup};
use crate::case::both;
use crate::gate::Gate;
use crate::harness::{SOON, World, addresses, condition, eventually};
use crate::server::Which;

/// Each may be the one that gives out an address, and which of several that are freed together somebody gets is chance. What is promised is who is
/// served: as many as there are addresses, of those who wait the oldest.
#[test]
fn two_controllers_without_election_give_no_address_twice_and_serve_the_oldest_of_those_who_wait() {
    both(|world| {
        // On the sandbox, whose storage is a single lock, fewer show as much.
        let (services, half, range, batches) = match world.server.which {
            Which::Real => (1_000, 500, "10.79.0.1-10.79.1.244", [1, 9, 90, 400]),
            Which::Sandbox => (60, 30, "10.79.2.1-10.79.2.30", [1, 4, 10, 15]),
        };
        let pool = Pool::new(world, "", json!({"addresses": [range]}));
        let one = setup(world);
        let twin = one.twin(world);
        grant(world, &twin.user);
        let gates = [gate(world), gate(world)];
        let controllers = [one.through(world, &gates[0]).start(), twin.through(world, &gates[1]).start()];
        each((0..services).map(|number| format!("s{number}")).collect(), |name| create(world, name, json!({})));
        let mut line = eventually("half of them have addresses, and half of them wait", SOON * 8, || {
            let (given, line) = (served(world), waiting(world));
            if (given.len(), line.len()) == (half, half) {
                Ok(line)
            } else {
                Err(format!("{} given, {} wait", given.len(), line.len()))
            }
        });
        agree(world, &pool, &gates, &line);
        for batch in batches {
            let freed: Vec<String> = served(world).into_iter().take(batch).collect();
            each(freed, |name| world.delete(name));
            let now = eventually("what was freed is given again", SOON * 8, || {
                let now = served(world);
                if now.len() == half { Ok(now) } else { Err(format!("{} served, of {half}", now.len())) }
            });
            let oldest: BTreeSet<String> = line.drain(..batch).collect();
            let passed_over: Vec<&String> = oldest.difference(&now).collect();
            assert!(passed_over.is_empty(), "younger ones were served before {passed_over:?}");
            agree(world, &pool, &gates, &line);
            assert_eq!(served(world), now, "who has an address keeps it");
            assert_eq!(waiting(world), line, "the others wait, in the same order");
        }
        assert!(line.is_empty(), "all were served in the end");
        controllers.iter().for_each(|controller| controller.is_well());
    });
}

/// As the other cases' gate. And whenever another case adds a Node or takes one away, each address says anew why that one may not announce it.
fn gate(world: &World) -> Gate {
    let gate = Gate::before(world.server);
    let (is_of_another_pool, vips) = (is_of_another_pool(world), format!("{VIPS}/"));
    gate.overlook(move |seen| {
        is_of_another_pool(seen) || seen.path.starts_with(&vips) && (seen.method == "PUT" || seen.method == "GET")
    });
    gate
}

/// The names of those who have an address. No address has two. (What was deleted says what it had until its finalizer goes, and that is after the
/// address has gone.)
fn served(world: &World) -> BTreeSet<String> {
    let mut services: Vec<Value> = world.api.list(&world.services_path());
    services.retain(|service| service["metadata"]["deletionTimestamp"].is_null() && !addresses(service).is_empty());
    let mut given: BTreeMap<String, String> = BTreeMap::new();
    for service in &services {
        for address in addresses(service) {
            let other = given.insert(address.clone(), name(service));
            assert_eq!(other, None, "{address} is given twice, to {} too", name(service));
        }
    }
    services.iter().map(name).collect()
}

/// The names of those who are told that there is no address, in the order in which they are to be served.
fn waiting(world: &World) -> Vec<String> {
    let mut services: Vec<Value> = world.api.list(&world.services_path());
    services.retain(|service| {
        condition(service, "portolan.dev/AddressAssigned").is_some_and(|one| one["reason"] == "PoolExhausted")
    });
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    services.sort_by_cached_key(|one| (text(&one["metadata"]["creationTimestamp"]), text(&one["metadata"]["uid"])));
    services.iter().map(name).collect()
}

fn name(service: &Value) -> String {
    service["metadata"]["name"].as_str().unwrap().to_owned()
}

/// A controller that is told of a pool says in its status what it knows, unless it says so already, within this time.
const SAYS_WITHIN: Duration = Duration::from_millis(1500);

/// Waits until both controllers know of all these that they wait, in this order, and that each of the others has one address: told of the pool,
/// neither has anything to write. (That somebody writes nothing is seen only by waiting.)
fn agree(world: &World, pool: &Pool, gates: &[Gate; 2], line: &[String]) {
    let next: Vec<String> = line.iter().take(10).map(|name| format!("{}/{name}", world.namespace)).collect();
    let mut round = 0;
    eventually("both know who waits", SOON * 4, || {
        round += 1;
        world.api.patch(&pool.path(), &json!({"metadata": {"annotations": {"example.com/round": round.to_string()}}}));
        std::thread::sleep(SAYS_WITHIN);
        let is_quiet = gates.iter().all(|gate| gate.is_quiet(SAYS_WITHIN));
        let (status, recorded, served) = (pool.status(), recorded(world).len(), served(world).len());
        let next_told: Vec<&str> = status["next"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let is_so = (&status["waiting"], &status["assigned"]) == (&json!(line.len()), &json!(served));
        if is_quiet && is_so && next_told == next && recorded == served {
            Ok(())
        } else {
            Err(format!("quiet: {is_quiet}; {served} served, {recorded} recorded, {status:#}"))
        }
    });
}

/// Does it for each, several at a time.
fn each(names: Vec<String>, work: impl Fn(&str) + Sync) {
    let left = Mutex::new(names);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while let Some(name) = { left.lock().unwrap().pop() } {
                    work(&name);
                }
            });
        }
    });
}
