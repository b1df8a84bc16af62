//! Several Services behind one load balancer.

use serde_json::{Value, json};

use crate::case::both;
use crate::harness::{SOON, World, addresses, condition, eventually, finalizers};

/// A Service that asks for a share, with one port.
fn asks(share: &str, port: u16) -> Value {
    json!({
        "metadata": {"annotations": {"portolan.dev/share": share}},
        "spec": {"ports": [{"name": "http", "port": port, "targetPort": 8080, "protocol": "TCP"}]},
    })
}

fn share(name: &Value) -> Value {
    json!({"metadata": {"annotations": {"portolan.dev/share": name}}})
}

/// Waits until a Service has exactly the addresses that `like` has.
fn has_the_address_of(world: &World, name: &str, like: &Value) {
    world.becomes(name, "it has the other's address", |service| {
        addresses(service) == addresses(like) && !addresses(service).is_empty()
    });
}

fn version(service: &Value) -> &Value {
    &service["metadata"]["resourceVersion"]
}

/// Waits until these Services, and nobody else, are behind the load balancers that there are.
fn are_behind(world: &World, balancers: &[&[&str]]) {
    eventually("the records and the provider say so", SOON, || {
        let names = |members: &Value| -> Vec<String> {
            let names = members.as_array().into_iter().flatten();
            names.map(|member| member["name"].as_str().unwrap().to_owned()).collect()
        };
        let mut recorded: Vec<_> = world.records().iter().map(|record| names(&record["spec"]["members"])).collect();
        let mut made: Vec<_> = world.mock().balancers().values().map(|balancer| names(&balancer["members"])).collect();
        recorded.sort();
        made.sort();
        if recorded == balancers && made == balancers { Ok(()) } else { Err(format!("{recorded:?} {made:?}")) }
    });
}

#[test]
fn services_that_ask_for_one_share_have_one_address_and_join_leave_and_move() {
    both(|world| {
        let _controller = world.setup().start();
        world.create("a", asks("front", 80));
        let a = world.addressed("a");
        world.create("b", asks("front", 443));
        has_the_address_of(world, "b", &a);
        are_behind(world, &[&["a", "b"]]);

        // One that lived alone joins: its own load balancer goes.
        world.create("c", json!({"spec": asks("front", 8443)["spec"]}));
        assert_ne!(addresses(&world.addressed("c")), addresses(&a));
        world.edit("c", share(&json!("front")));
        has_the_address_of(world, "c", &a);
        are_behind(world, &[&["a", "b", "c"]]);

        // The founder moves to another share; the others stay where they are, and are not even written to.
        let [b, c] = ["b", "c"].map(|name| world.service(name).unwrap());
        world.edit("a", share(&json!("back")));
        world.becomes("a", "it is elsewhere", |a| !addresses(a).is_empty() && addresses(a) != addresses(&b));
        are_behind(world, &[&["a"], &["b", "c"]]);
        assert_eq!(
            ["b", "c"].map(|name| world.service(name).unwrap()).each_ref().map(version),
            [version(&b), version(&c)]
        );

        // One leaves for a load balancer of its own, and one is deleted.
        world.edit("c", share(&Value::Null));
        world.becomes("c", "it is alone", |c| !addresses(c).is_empty() && addresses(c) != addresses(&b));
        are_behind(world, &[&["a"], &["b"], &["c"]]);
        world.edit("c", share(&json!("front")));
        has_the_address_of(world, "c", &b);
        world.delete("c");
        world.gone("c");
        are_behind(world, &[&["a"], &["b"]]);
        assert_eq!(version(&world.service("b").unwrap()), version(&b));
        world.delete("a");
        world.delete("b");
        world.gone("a");
        world.gone("b");
        world.nothing_left();
    });
}

#[test]
fn whoever_founds_a_share_keeps_its_address_and_so_does_the_last_to_leave() {
    both(|world| {
        let _controller = world.setup().start();
        world.create("a", json!({}));
        let alone = world.addressed("a");
        world.edit("a", share(&json!("front")));
        eventually("the share has its record", SOON, || {
            let records = world.records();
            match records.as_slice() {
                [record] if record["spec"]["share"]["name"] == "front" => Ok(()),
                records => Err(format!("{records:#?}")),
            }
        });
        has_the_address_of(world, "a", &alone);
        world.edit("a", share(&Value::Null));
        eventually("it has its own record", SOON, || match world.records().as_slice() {
            [record] if record["spec"]["share"].is_null() => Ok(()),
            records => Err(format!("{records:#?}")),
        });
        has_the_address_of(world, "a", &alone);
        world.condition("a", "portolan.dev/Programmed", "True", "Programmed");
    });
}

#[test]
fn a_later_service_that_contradicts_is_refused_until_it_does_not() {
    both(|world| {
        let _controller = world.setup().start();
        world.create("first", asks("front", 80));
        let first = world.addressed("first");
        world.create("later", asks("front", 80));
        let accepted = world.condition("later", "portolan.dev/Accepted", "False", "ShareConflict");
        let message = condition(&accepted, "portolan.dev/Accepted").unwrap()["message"].as_str().unwrap().to_owned();
        assert!(message.contains("80/TCP") && message.contains(&format!("{}/first", world.namespace)), "{message}");
        assert_eq!(finalizers(&accepted), Vec::<String>::new(), "nothing was made for it");
        assert_eq!(version(&world.service("first").unwrap()), version(&first));
        world.edit(
            "later",
            json!({"metadata": {"annotations": {"portolan.dev/scheme": "public"}}, "spec": asks("", 81)["spec"]}),
        );
        has_the_address_of(world, "later", &first);
        world.edit("later", json!({"metadata": {"annotations": {"portolan.dev/scheme": null}}}));
        world.edit("first", json!({"metadata": {"annotations": {"portolan.dev/scheme": "internal"}}}));
        let first = world.becomes("first", "internal", |one| addresses(one).iter().all(|ip| ip.starts_with("10.255.")));
        has_the_address_of(world, "later", &first);
        world.edit("later", json!({"metadata": {"annotations": {"portolan.dev/scheme": "public"}}}));
        let later = world.condition("later", "portolan.dev/Accepted", "False", "ShareConflict");
        assert_eq!(addresses(&later), addresses(&first), "what it has stays");
    });
}

#[test]
fn namespaces_share_by_mutual_consent_and_its_withdrawal_moves_nobody() {
    both(|world| {
        let other = world.another("other");
        let both = json!({"watchNamespaces": [world.namespace, other.namespace]});
        let _controller = world.setup().configured(both).start();
        let says = |world: &World, text: &Value| {
            let patch = json!({"metadata": {"annotations": {"portolan.dev/share-with": text}}});
            world.api.patch(&format!("/api/v1/namespaces/{}", world.namespace), &patch);
        };
        says(world, &json!(other.namespace));
        world.create("a", asks("front", 80));
        let a = world.addressed("a");
        other.create("b", asks("front", 443));
        assert_ne!(addresses(&other.addressed("b")), addresses(&a), "the other namespace does not agree");
        other.delete("b");
        other.gone("b");

        says(&other, &json!(format!("elsewhere, {}", world.namespace)));
        // The controller has seen it before the Service comes.
        let name = "sees-the-namespace";
        eventually("the consent is seen", SOON, || {
            other.api.delete(&other.path(name));
            other.gone(name);
            other.create_without_endpoints(name, asks("front", 9));
            let service = other.addressed(name);
            if addresses(&service) == addresses(&a) { Ok(()) } else { Err("not yet".into()) }
        });
        other.create("c", asks("front", 443));
        has_the_address_of(&other, "c", &a);

        says(world, &Value::Null);
        for (world, name) in [(world, "a"), (&other, "c")] {
            let told = world.becomes(name, "it is warned", |service| {
                let accepted = condition(service, "portolan.dev/Accepted").unwrap();
                accepted["message"].as_str().unwrap().contains("portolan.dev/share-with")
            });
            assert_eq!(addresses(&told), addresses(&a));
            assert!(world.events(name).iter().any(|event| event["reason"] == "ShareConsentWithdrawn"));
        }
        other.create("d", asks("front", 8443));
        other.condition("d", "portolan.dev/Accepted", "False", "ShareConflict");
    });
}

#[test]
fn namespaces_that_agree_from_the_start_share_however_quickly_their_services_come() {
    both(|world| {
        let pairs: Vec<[String; 2]> =
            (0..8).map(|number| ["one", "two"].map(|which| format!("{}-{number}-{which}", world.instance))).collect();
        let all: Vec<&String> = pairs.iter().flatten().collect();
        let _controller = world.setup().configured(json!({"watchNamespaces": all})).start();
        let path = |namespace: &str| format!("/api/v1/namespaces/{namespace}/services");
        for pair in &pairs {
            let [one, two] = pair;
            for (namespace, other) in [(one, two), (two, one)] {
                let metadata = json!({"name": namespace, "annotations": {"portolan.dev/share-with": other}});
                let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata});
                world.api.create("/api/v1/namespaces", &object);
            }
            for (number, namespace) in pair.iter().enumerate() {
                let port = 80 + u16::try_from(number).unwrap();
                let service = crate::harness::merged(crate::harness::service("web"), asks("front", port));
                world.api.create(&path(namespace), &service);
            }
        }
        for pair in &pairs {
            eventually("both have one address", SOON, || {
                let of = |namespace: &String| world.api.get(&format!("{}/web", path(namespace)));
                let [one, two] = pair.each_ref().map(|namespace| addresses(&of(namespace).unwrap()));
                if !one.is_empty() && one == two { Ok(()) } else { Err(format!("{one:?} and {two:?}")) }
            });
        }
    });
}
