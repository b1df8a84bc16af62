//! What is kept for whom: wishes that are taken back, records that somebody deletes or writes to, addresses that nobody would be given any more.

use super::*;

fn message(service: &Value, kind: &str) -> String {
    condition(service, kind).unwrap()["message"].as_str().unwrap().to_owned()
}

#[test]
fn a_wish_that_is_taken_back_or_of_whom_nobody_may_touch_keeps_nothing_from_others() {
    both(|world| {
        let first = Pool::new(world, "-a", json!({"addresses": ["10.77.41.0/29"]}));
        let second = Pool::new(world, "-b", json!({"addresses": ["10.77.41.9"], "autoAssign": false}));
        let _controller = setup(world).start();
        let of = |pool: &Pool<'_>| annotated("portolan.dev/pool", &pool.name);
        create(world, "has", of(&second));
        has(world, "has", &["10.77.41.9"]);
        create(world, "changes", json!({}));
        has(world, "changes", &["10.77.41.0"]);
        world.edit("changes", of(&second));
        world.condition("changes", "portolan.dev/AddressAssigned", "False", "PoolExhausted");
        second.becomes("one waits", |status| status["waiting"] == 1);
        world.edit("changes", json!({"metadata": {"annotations": {"portolan.dev/pool": null}}}));
        world.condition("changes", "portolan.dev/AddressAssigned", "True", "Assigned");
        second.becomes("nobody waits", |status| status["waiting"] == 0);
        create(world, "pauses", of(&second));
        second.becomes("one waits", |status| status["waiting"] == 1);
        world.edit("pauses", annotated("portolan.dev/paused", "true"));
        second.becomes("nobody waits", |status| status["waiting"] == 0);
        world.delete("has");
        create(world, "late", of(&second));
        has(world, "late", &["10.77.41.9"]);
        assert_eq!(first.status()["assigned"], 1);
    });
}

#[test]
fn a_record_that_somebody_deletes_is_made_again_for_its_service_and_what_others_write_of_it_stays() {
    both(|world| {
        let _pool = Pool::new(world, "", json!({"addresses": ["10.77.42.1"]}));
        let _controller = setup(world).start();
        create(world, "web", json!({}));
        has(world, "web", &["10.77.42.1"]);
        create(world, "waits", json!({}));
        world.condition("waits", "portolan.dev/AddressAssigned", "False", "PoolExhausted");
        let path = format!("{VIPS}/10.77.42.1");
        let before = world.api.get(&path).unwrap()["metadata"]["uid"].clone();
        world.api.delete(&path);
        let record = eventually("it is made again", SOON, || {
            let record = world.api.get(&path).unwrap_or_default();
            if record["metadata"]["uid"].is_string() && record["metadata"]["uid"] != before {
                Ok(record)
            } else {
                Err(record.to_string())
            }
        });
        assert_eq!(record["spec"]["serviceNames"], format!("{}/web", world.namespace));
        world.condition("waits", "portolan.dev/AddressAssigned", "False", "PoolExhausted");
        has(world, "web", &["10.77.42.1"]);

        let metadata = json!({"labels": {"example.com/of": "us"}, "annotations": {"example.com/why": "because"}, "finalizers": ["example.com/kept"]});
        world.api.patch(&path, &json!({"metadata": metadata}));
        world.edit("web", json!({"spec": {"ports": [{"port": 81, "protocol": "TCP"}]}}));
        let record = eventually("it is written", SOON, || {
            let record = world.api.get(&path).unwrap();
            if record["spec"]["services"][0]["ports"][0]["port"] == 81 { Ok(record) } else { Err(record.to_string()) }
        });
        for (key, value) in metadata.as_object().unwrap() {
            assert_eq!(&record["metadata"][key], value, "{key}");
        }
        world.api.patch(&path, &json!({"metadata": {"finalizers": null}}));
    });
}

#[test]
fn an_address_that_is_named_is_refused_to_who_would_be_internal_there_and_one_whose_pool_has_changed_says_so() {
    both(|world| {
        let pool = Pool::new(world, "", json!({"addresses": ["198.18.41.0/29"]}));
        let _controller = setup(world).start();
        create(world, "web", annotated("metallb.io/loadBalancerIPs", "198.18.41.3"));
        has(world, "web", &["198.18.41.3"]);
        world.edit("web", annotated("networking.gke.io/load-balancer-type", "Internal"));
        let service = world.condition("web", "portolan.dev/AddressAssigned", "False", "NoPool");
        assert_eq!(addresses(&service), ["198.18.41.3"], "what clients use stays");
        world.edit("web", json!({"metadata": {"annotations": {"networking.gke.io/load-balancer-type": null}}}));
        world.condition("web", "portolan.dev/AddressAssigned", "True", "Assigned");

        let says = |what: &str| {
            world.becomes("web", what, |service| message(service, "portolan.dev/AddressAssigned").contains(what));
        };
        pool.edit(json!({"draining": true}));
        says("is being drained");
        pool.edit(json!({"draining": false, "addresses": ["198.18.41.0/31"]}));
        says("is of no pool any more");

        // Charts render what nobody has set as empty.
        let empty = json!({"metallb.io/loadBalancerIPs": "", "metallb.io/address-pool": ""});
        create(world, "chart", json!({"metadata": {"annotations": empty}}));
        has(world, "chart", &["198.18.41.0"]);
    });
}
