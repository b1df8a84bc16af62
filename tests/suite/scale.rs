//! What a Service costs does not depend on how many there are: counts only, which hold on any machine. Times are the bench's
//! (benches/scale.rs); that nothing is written at rest and over restarts is [`crate::at_rest`]'s.

use std::collections::BTreeMap;

use serde_json::json;

use crate::at_rest::settled;
use crate::case::{both, say};
use crate::harness::{SOON, World, eventually};

/// Services beside the one whose endpoints change.
const FEW: usize = 10;
const MANY: usize = 200;

/// How many endpoint changes are counted.
const CHANGES: u64 = 10;

/// An observation, the listener's step, and the observation that finds nothing left to do.
const CALLS_A_CHANGE: u64 = 3;

#[test]
fn a_service_costs_three_writes_and_an_event_and_a_changed_endpoint_three_provider_calls_among_few_and_among_many() {
    both(|world| {
        let controller = world.setup().start();
        create(world, 0..FEW);
        world.create_slice("web-0", &["10.200.1.1"]);
        world.condition("web-0", "portolan.dev/Reachable", "True", "Reachable");
        endpoints_change(world, 1);
        create(world, FEW..MANY);
        endpoints_change(world, 2);

        settled(world, &controller.user);
        let mut writes: BTreeMap<String, usize> = BTreeMap::new();
        for write in world.writes(&controller.user) {
            *writes.entry(format!("{} {} {}", write.verb, write.resource, write.status)).or_default() += 1;
        }
        let expected = [
            ("create events 201", MANY),
            ("create loadbalancerrecords 201", MANY),
            // The finalizer and the status of each; and one tells that web-0 has endpoints.
            ("patch services/status 200", 2 * MANY + 1),
        ];
        assert_eq!(writes, expected.map(|(kind, number)| (kind.to_owned(), number)).into());
        controller.is_well();
        say(&format!("scale: {CALLS_A_CHANGE} provider calls an endpoint change among {FEW} and {MANY} Services"));
    });
}

/// Creates Services and waits until each is served.
fn create(world: &World, numbers: std::ops::Range<usize>) {
    for number in numbers.clone() {
        let spec = json!({"spec": {"allocateLoadBalancerNodePorts": false}});
        world.create_without_endpoints(&format!("web-{number}"), spec);
    }
    for number in numbers {
        world.condition(&format!("web-{number}"), "portolan.dev/Programmed", "True", "Programmed");
    }
}

/// Changes the endpoint of `web-0` again and again; each change costs the same calls, no more and no fewer.
fn endpoints_change(world: &World, round: u64) {
    // It never fires; it makes the mock count its calls.
    world.mock().fault("counter", &["--on", "any", "--at-call", "1000000000", "--effect", "crash-before"]);
    let path = format!("/apis/discovery.k8s.io/v1/namespaces/{}/endpointslices/web-0-1", world.namespace);
    for change in 1..=CHANGES {
        let endpoint =
            json!([{"addresses": [format!("10.200.{round}.{}", 100 + change)], "conditions": {"ready": true}}]);
        world.api.patch(&path, &json!({"endpoints": endpoint}));
        eventually("the change has cost its calls, no more and no fewer", SOON, || {
            let faults = world.mock().state()["faults"].take();
            let calls = faults[0]["met"].as_u64().unwrap_or_else(|| panic!("{faults:#}"));
            if calls == CALLS_A_CHANGE * change { Ok(()) } else { Err(format!("{calls} calls, change {change}")) }
        });
    }
    world.mock().end_faults();
}
