//! A settled cluster sees no write, leases excepted: over resyncs, and over restarts.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::case::{both, say};
use crate::harness::{Controller, World, condition, eventually};

/// Issue 3.
const SERVICES: usize = 200;

/// Every fifth is refused for a slip of the pen: it must be silent too, but no provider is asked about it.
const SERVED: usize = SERVICES / 5 * 4;

/// The shortest that a configuration may ask for.
const RESYNC: Duration = Duration::from_secs(60);

/// How many calls the provider has answered since the fault `counter` was armed. It never fires; it makes the mock count, and
/// every look at a load balancer is a call.
fn provider_calls(world: &World) -> u64 {
    let faults = world.mock().state()["faults"].as_array().cloned().unwrap_or_default();
    let counter =
        faults.iter().find(|fault| fault["name"] == "counter").unwrap_or_else(|| panic!("{:#}", world.mock().state()));
    counter["met"].as_u64().unwrap_or_else(|| panic!("{counter:#}"))
}

fn arm_counter(world: &World) {
    world.mock().fault("counter", &["--on", "any", "--at-call", "1000000000", "--effect", "crash-before"]);
}

#[test]
fn a_settled_cluster_of_200_services_is_silent_over_two_resyncs_and_two_restarts() {
    both(|world| {
        let setup =
            world.setup().with_leader_election().configured(json!({"resync": format!("{}s", RESYNC.as_secs())}));
        let controller = setup.start();
        for number in 0..SERVICES {
            let changes = match number % 5 {
                0 => json!({"metadata": {"annotations": {"portolan.dev/scheme": "internal"}}}),
                1 => json!({"spec": {"ipFamilyPolicy": "RequireDualStack"}}),
                2 => json!({"spec": {"externalTrafficPolicy": "Local"}}),
                3 => json!({"spec": {"loadBalancerSourceRanges": ["192.0.2.0/24"]}}),
                _ => json!({"metadata": {"annotations": {"portolan.dev/scheme": "sideways"}}}),
            };
            world.create(&format!("web-{number}"), changes);
        }
        eventually("each is served or refused", Duration::from_secs(180), || {
            let services = world.api.list(&world.services_path());
            let is = |service: &Value, kind: &str, status: &str| {
                condition(service, kind).is_some_and(|one| one["status"] == status)
            };
            let decided = |service: &&Value| {
                is(service, "portolan.dev/Programmed", "True") || is(service, "portolan.dev/Accepted", "False")
            };
            let decided = services.iter().filter(decided).count();
            if decided == SERVICES { Ok(()) } else { Err(format!("{decided} of {SERVICES}")) }
        });
        // Settled: each has been looked at once more since the last write, and nobody wrote.
        let settled = settled(world, &controller.user);
        let picture = picture(world);

        arm_counter(world);
        let looked_at = |controller: &Controller, times: usize, within: Duration, what: &str| {
            eventually(what, within, || {
                assert!(controller.process.is_running(), "somebody has ended the controller: {}", controller.log());
                let calls = provider_calls(world);
                if calls >= (times * SERVED) as u64 { Ok(()) } else { Err(format!("{calls} calls")) }
            });
        };
        let armed = Instant::now();
        looked_at(&controller, 2, RESYNC * 4, "every load balancer was looked at twice by resyncs");
        // A resync is spread over the interval and a tenth: by now both are over for each, however often one look asks.
        std::thread::sleep((RESYNC * 22 / 10).saturating_sub(armed.elapsed()));
        silent(world, &controller.user, settled, "two resyncs");

        assert!(controller.terminate(Duration::from_secs(10)).is_some());
        let controller = setup.start();
        looked_at(&controller, 3, RESYNC, "every load balancer was looked at after a restart");
        silent(world, &controller.user, settled, "a clean restart");

        controller.kill();
        let controller = setup.start();
        // The dead one's lease must expire first (15 s).
        looked_at(&controller, 4, RESYNC * 2, "every load balancer was looked at after a crash");
        silent(world, &controller.user, settled, "a crash");
        assert_eq!(self::picture(world), picture, "not even by somebody else");
        controller.is_well();
        say(&format!(
            "silence: {SERVICES} Services, {} provider calls, no write over two resyncs and two restarts",
            provider_calls(world)
        ));
    });
}

/// The number of writes at which the controller came to rest.
pub(crate) fn settled(world: &World, user: &str) -> usize {
    let mut last = (0, Instant::now());
    eventually("the controller has come to rest", Duration::from_secs(120), || {
        let writes = world.writes(user).len();
        if writes != last.0 {
            last = (writes, Instant::now());
        }
        if last.1.elapsed() > Duration::from_secs(5) { Ok(writes) } else { Err(format!("{writes} writes")) }
    })
}

fn silent(world: &World, user: &str, settled: usize, over: &str) {
    let writes = world.writes(user);
    assert_eq!(writes.len(), settled, "writes over {over}: {:#?}", &writes[settled..]);
}

/// The version of everything that Portolan could have written.
fn picture(world: &World) -> Vec<Value> {
    let mut all = world.api.list(&world.services_path());
    all.extend(world.records());
    all.extend(world.api.list(&format!("/api/v1/namespaces/{}/events", world.namespace)));
    all.iter().map(|object| json!([object["metadata"]["name"], object["metadata"]["resourceVersion"]])).collect()
}
