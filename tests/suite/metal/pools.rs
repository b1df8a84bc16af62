//! Which of several pools serves a Service, and how much of one a namespace gets.

use serde_json::{Value, json};

use super::{Pool, annotated, create, has, setup};
use crate::case::both;
use crate::harness::{World, condition, merged};

/// The Service has no address, for this reason, and is told this.
fn is_refused(world: &World, name: &str, reason: &str, says: &str) {
    let service = world.condition(name, "portolan.dev/AddressAssigned", "False", reason);
    let message = condition(&service, "portolan.dev/AddressAssigned").unwrap()["message"].as_str().unwrap();
    assert!(message.contains(says), "{message}");
}

#[test]
fn a_namespace_gets_as_many_addresses_of_a_pool_as_its_quota_and_another_namespace_as_many_more() {
    both(|world| {
        let other = world.another("quota");
        let namespaces = json!([world.namespace, other.namespace]);
        let spec = json!({"quotaPerNamespace": 2, "serviceAllocation": {"namespaces": namespaces}});
        let pool = Pool::new(world, "", merged(json!({"addresses": ["10.77.50.0/29"]}), spec));
        let _controller = setup(world).configured(json!({"watchNamespaces": namespaces})).start();
        for (name, address) in [("a", "10.77.50.0"), ("b", "10.77.50.1")] {
            create(world, name, json!({}));
            has(world, name, &[address]);
        }
        create(world, "c", json!({}));
        let says = format!("{} gives the namespace no more, by its quota", pool.name);
        is_refused(world, "c", "PoolExhausted", &says);
        let next = json!([format!("{}/c", world.namespace)]);
        pool.becomes("it waits", |status| (&status["waiting"], &status["next"]) == (&json!(1), &next));
        create(&other, "e", json!({}));
        has(&other, "e", &["10.77.50.2"]);

        world.delete("a");
        has(world, "c", &["10.77.50.0"]);
        // By name it gets no more either.
        create(world, "d", annotated("portolan.dev/load-balancer-ips", "10.77.50.7"));
        is_refused(world, "d", "NoPool", "gives the namespace no more, by its quota");
        pool.edit(json!({"quotaPerNamespace": 3}));
        has(world, "d", &["10.77.50.7"]);
        pool.becomes("nobody waits", |status| status["waiting"] == 0);
    });
}

#[test]
fn an_internal_service_gets_no_address_but_of_an_internal_pool_also_where_a_public_one_comes_first() {
    both(|world| {
        let first = |priority: u32| json!({"namespaces": [world.namespace], "priority": priority});
        let pool = |suffix: &str, address: &str, scheme: &str, priority: u32| {
            let spec = json!({"addresses": [address], "scheme": scheme, "serviceAllocation": first(priority)});
            Pool::new(world, suffix, spec)
        };
        // Private addresses all: it is the mark that counts.
        let _public = pool("-a", "10.77.51.0/30", "public", 1);
        let internal = pool("-b", "10.77.51.4", "internal", 9);
        let _controller = setup(world).start();
        let asking = |scheme: &str| annotated("portolan.dev/scheme", scheme);
        create(world, "inside", asking("internal"));
        has(world, "inside", &["10.77.51.4"]);
        create(world, "late", asking("internal"));
        is_refused(world, "late", "PoolExhausted", &format!("{} has no free address", internal.name));
        create(world, "asks", merged(asking("internal"), annotated("portolan.dev/load-balancer-ips", "10.77.51.1")));
        is_refused(world, "asks", "NoPool", "is not meant for that scheme");
        create(world, "outside", asking("public"));
        has(world, "outside", &["10.77.51.0"]);
        create(world, "plain", json!({}));
        has(world, "plain", &["10.77.51.1"]);
        // Who says nothing is not given what is internal, were it the only one that is free.
        create(world, "more", json!({}));
        has(world, "more", &["10.77.51.2"]);
        create(world, "most", json!({}));
        has(world, "most", &["10.77.51.3"]);
        world.delete("inside");
        has(world, "late", &["10.77.51.4"]);
        internal.edit(json!({"addresses": ["10.77.51.4/31"]}));
        internal.becomes("one is free", |status| status["availableIPv4"] == 1);
        create(world, "last", json!({}));
        is_refused(world, "last", "PoolExhausted", "has no free address");
    });
}

#[test]
fn pools_serve_whom_their_allocation_names_by_namespace_and_by_label_and_the_lowest_priority_first() {
    both(|world| {
        let path = format!("/api/v1/namespaces/{}", world.namespace);
        let label = |key: &str| {
            world.api.patch(&path, &json!({"metadata": {"labels": {key: world.namespace}}}));
        };
        label("team");
        let own = |key: &str| json!([{"matchLabels": {key: world.namespace}}]);
        let front = json!([{"matchExpressions": [{"key": "tier", "operator": "In", "values": ["front", "edge"]}]}]);
        // Of each the addresses, and whom it serves: what is last by name is first by priority.
        let pools = [
            ("-a", "10.77.52.0", json!({"priority": 0})),
            ("-b", "10.77.52.1", json!({"priority": 30})),
            ("-c", "10.77.52.2", json!({"priority": 20, "namespaces": null, "namespaceSelectors": own("team")})),
            ("-d", "10.77.52.3", json!({"priority": 10, "serviceSelectors": front})),
            ("-e", "10.77.52.4", json!({"priority": 5, "namespaces": ["kube-public"]})),
            ("-f", "10.77.52.5", json!({"priority": 1, "namespaces": null, "namespaceSelectors": own("crew")})),
        ];
        let pools = pools.map(|(suffix, address, allocation): (_, _, Value)| {
            Pool::new(world, suffix, json!({"addresses": [address], "serviceAllocation": allocation}))
        });
        let _controller = setup(world).start();
        for (name, tier, address) in [
            ("one", "back", "10.77.52.2"),
            ("two", "edge", "10.77.52.3"),
            ("three", "front", "10.77.52.1"),
            ("four", "back", "10.77.52.0"),
        ] {
            create(world, name, json!({"metadata": {"labels": {"tier": tier}}}));
            has(world, name, &[address]);
        }
        let [.., theirs, crew] = &pools;
        for (name, pool) in [("theirs", theirs), ("crew", crew)] {
            create(world, name, annotated("portolan.dev/pool", &pool.name));
            is_refused(world, name, "NoPool", &format!("the pool {} is meant for other Services", pool.name));
        }
        // It is served once it is meant.
        label("crew");
        has(world, "crew", &["10.77.52.5"]);
        theirs.edit(json!({"serviceAllocation": {"namespaces": ["kube-public", world.namespace]}}));
        has(world, "theirs", &["10.77.52.4"]);
    });
}
