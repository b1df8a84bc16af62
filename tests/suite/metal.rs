//! Addresses of pools: given, recorded under their own names, published, given back. Pools are the cluster's, so that each case has its own
//! range, for its own namespace.

mod import;
mod kept;
mod least;
mod placement;
mod pools;
mod refused;
mod surroundings;
mod twins;

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use crate::case::both;
use crate::gate::{Fault, Gate, Seen};
use crate::harness::{SOON, Setup, World, addresses, condition, eventually, merged};
use crate::rights;
use crate::server::Which;

const POOLS: &str = "/apis/portolan.dev/v1alpha1/addresspools";
const VIPS: &str = "/apis/portolan.dev/v1alpha1/virtualips";
const CLASS: &str = "portolan.dev/metal";

/// No request for this long: the controller has finished what it was doing.
const QUIET: Duration = Duration::from_millis(600);

fn setup(world: &World) -> Setup {
    let setup = world.setup().configured(json!({"classes": [{"name": CLASS, "provider": "metal"}]}));
    grant(world, &setup.user);
    setup
}

/// For a controller whose requests are counted. It writes the usage of all pools there are; those of other cases are none of this one's business.
fn gate(world: &World) -> Gate {
    let gate = Gate::before(world.server);
    gate.overlook(is_of_another_pool(world));
    gate
}

fn is_of_another_pool(world: &World) -> impl Fn(&Seen) -> bool + Send + 'static {
    let (all, own) = (format!("{POOLS}/"), format!("{POOLS}/{}", world.namespace));
    move |seen| seen.path.starts_with(&all) && !seen.path.starts_with(&own)
}

fn grant(world: &World, user: &str) {
    if world.server.which == Which::Sandbox {
        return; // where everybody may do everything
    }
    let subject = json!({"kind": "User", "name": user});
    for role in rights::pools_roles() {
        rights::store(&world.server.admin, &role).unwrap_or_else(|error| panic!("{error}"));
        rights::bind(&world.server.admin, &role, &subject);
        rights::wait_until_granted(&world.server.admin, &role, &json!({"user": user}));
    }
}

/// A pool that goes with the case.
struct Pool<'a> {
    world: &'a World,
    name: String,
}

impl<'a> Pool<'a> {
    /// Named after the case's namespace, which alone it serves.
    fn new(world: &'a World, suffix: &str, spec: Value) -> Self {
        let name = format!("{}{suffix}", world.namespace);
        let spec = merged(json!({"serviceAllocation": {"namespaces": [world.namespace]}}), spec);
        let pool = json!({"apiVersion": "portolan.dev/v1alpha1", "kind": "AddressPool", "metadata": {"name": name}, "spec": spec});
        world.api.create(POOLS, &pool);
        Self { world, name }
    }

    fn path(&self) -> String {
        format!("{POOLS}/{}", self.name)
    }

    fn edit(&self, spec: Value) {
        self.world.api.patch(&self.path(), &json!({"spec": spec}));
    }

    fn status(&self) -> Value {
        self.world.api.get(&self.path()).unwrap()["status"].take()
    }

    /// Its status, once it is so.
    fn becomes(&self, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        eventually(&format!("{}: {what}", self.name), SOON, || {
            let status = self.status();
            if holds(&status) { Ok(status) } else { Err(format!("{status:#}")) }
        })
    }
}

impl Drop for Pool<'_> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.world.api.delete(&self.path());
        }
    }
}

fn create(world: &World, name: &str, changes: Value) {
    world.create(name, merged(of_class(), changes));
}

fn of_class() -> Value {
    json!({"spec": {"loadBalancerClass": CLASS}})
}

fn annotated(key: &str, value: &str) -> Value {
    json!({"metadata": {"annotations": {key: value}}})
}

/// The addresses of this case's Services that a record holds, and whose they are.
fn recorded(world: &World) -> BTreeMap<String, String> {
    let all = world.api.list(VIPS).into_iter();
    let own = all.filter(|vip| vip["spec"]["instance"] == world.instance.as_str());
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    own.map(|vip| (text(&vip["metadata"]["name"]), text(&vip["spec"]["serviceNames"]))).collect()
}

fn has(world: &World, name: &str, expected: &[&str]) -> Value {
    world.becomes(name, &format!("it has {expected:?}"), |service| addresses(service) == expected)
}

fn no_record_is_left(world: &World) {
    eventually("no address is recorded", SOON, || match recorded(world) {
        left if left.is_empty() => Ok(()),
        left => Err(format!("{left:?}")),
    });
}

#[test]
fn an_address_of_a_pool_is_recorded_under_its_name_published_and_given_back() {
    both(|world| {
        let pool = Pool::new(world, "", json!({"addresses": ["10.77.1.0/30", "2001:db8:77:1::/64"]}));
        let _controller = setup(world).start();
        create(world, "web", json!({"spec": {"ipFamilyPolicy": "RequireDualStack", "ipFamilies": ["IPv4", "IPv6"]}}));
        let service = has(world, "web", &["10.77.1.0", "2001:db8:77:1::"]);
        let uid = service["metadata"]["uid"].as_str().unwrap();
        assert!(
            service["status"]["loadBalancer"]["ingress"].as_array().unwrap().iter().all(|one| one["ipMode"] == "VIP")
        );
        let assigned = condition(&service, "portolan.dev/AddressAssigned").unwrap();
        assert_eq!((&assigned["status"], &assigned["reason"]), (&json!("True"), &json!("Assigned")));
        let vip = world.api.get(&format!("{VIPS}/2001-0db8-0077-0001-0000-0000-0000-0000")).unwrap();
        let served = &vip["spec"]["services"][0];
        assert_eq!((&served["uid"], &vip["spec"]["pool"]), (&json!(uid), &json!(pool.name)));
        assert_eq!(served["ports"], json!([{"port": 80, "protocol": "TCP"}]));
        let status = pool.becomes("two are assigned", |status| status["assigned"] == 2);
        assert_eq!((&status["availableIPv4"], &status["assignedIPv6"]), (&json!(3), &json!(1)));

        // Nobody announces it yet, which is said.
        world.condition("web", "portolan.dev/Programmed", "False", "NotAnnounced");
        world.delete("web");
        world.gone("web");
        no_record_is_left(world);
        pool.becomes("none is assigned", |status| status["assigned"] == 0);
    });
}

#[test]
fn who_finds_a_pool_exhausted_waits_and_is_served_in_the_order_of_creation() {
    both(|world| {
        let pool = Pool::new(world, "", json!({"addresses": ["10.77.2.1-10.77.2.2"]}));
        let controller = setup(world).start();
        for name in ["a", "b"] {
            create(world, name, json!({}));
            world.addressed(name);
        }
        for name in ["c", "d"] {
            create(world, name, json!({}));
            world.condition(name, "portolan.dev/AddressAssigned", "False", "PoolExhausted");
            // The next one is created in another second.
            std::thread::sleep(Duration::from_millis(1100));
        }
        let in_line =
            |names: &[&str]| json!(names.iter().map(|name| format!("{}/{name}", world.namespace)).collect::<Vec<_>>());
        pool.becomes("two wait", |status| status["waiting"] == 2 && status["next"] == in_line(&["c", "d"]));

        let address = addresses(&world.service("a").unwrap());
        world.delete("a");
        has(world, "c", &[&address[0]]);
        world.condition("d", "portolan.dev/AddressAssigned", "False", "PoolExhausted");
        // Also by a controller that has just begun.
        drop(controller);
        world.delete("b");
        create(world, "e", json!({}));
        let _controller = setup(world).start();
        world.addressed("d");
        world.condition("e", "portolan.dev/AddressAssigned", "False", "PoolExhausted");
        // More addresses serve whoever waits.
        pool.edit(json!({"addresses": ["10.77.2.1-10.77.2.3"]}));
        has(world, "e", &["10.77.2.3"]);
        pool.becomes("nobody waits", |status| status["waiting"] == 0);
    });
}

#[test]
fn addresses_and_pools_are_asked_for_by_name_in_our_words_and_in_metallbs() {
    both(|world| {
        let first = Pool::new(world, "-a", json!({"addresses": ["10.77.3.0/29"]}));
        let second = Pool::new(world, "-b", json!({"addresses": ["10.77.3.8/29"], "autoAssign": false}));
        let _controller = setup(world).start();
        for (name, key, address) in [
            ("ours", "portolan.dev/load-balancer-ips", "10.77.3.3"),
            ("metallb", "metallb.io/loadBalancerIPs", "10.77.3.4"),
            ("older", "metallb.universe.tf/loadBalancerIPs", "10.77.3.5"),
        ] {
            create(world, name, annotated(key, address));
            has(world, name, &[address]);
        }
        for (name, key, address) in [
            ("pool", "portolan.dev/pool", "10.77.3.8"),
            ("metallb-pool", "metallb.io/address-pool", "10.77.3.9"),
            ("older-pool", "metallb.universe.tf/address-pool", "10.77.3.10"),
        ] {
            create(world, name, annotated(key, &second.name));
            has(world, name, &[address]);
        }
        // Ours wins, then MetalLB's newer one.
        let (newer, older) = ("metallb.io/loadBalancerIPs", "metallb.universe.tf/loadBalancerIPs");
        let (newer_pool, older_pool) = ("metallb.io/address-pool", "metallb.universe.tf/address-pool");
        for (name, annotations, address) in [
            ("newer", json!({newer: "10.77.3.2", older: "10.77.3.1"}), "10.77.3.2"),
            (
                "all",
                json!({"portolan.dev/load-balancer-ips": "10.77.3.7", newer: "10.77.3.1", older: "10.77.3.1"}),
                "10.77.3.7",
            ),
            ("newer-pool", json!({newer_pool: second.name, older_pool: first.name}), "10.77.3.11"),
            (
                "all-pools",
                json!({"portolan.dev/pool": second.name, newer_pool: first.name, older_pool: first.name}),
                "10.77.3.12",
            ),
        ] {
            create(world, name, json!({"metadata": {"annotations": annotations}}));
            has(world, name, &[address]);
        }
        let refused = |name: &str, key: &str, value: &str, reason: &str, says: &str| {
            create(world, name, annotated(key, value));
            let service = world.condition(name, "portolan.dev/AddressAssigned", "False", reason);
            let message =
                condition(&service, "portolan.dev/AddressAssigned").unwrap()["message"].as_str().unwrap().to_owned();
            assert!(message.contains(says), "{message}");
        };
        let ips = "portolan.dev/load-balancer-ips";
        refused("taken", ips, "10.77.3.3", "RequestedAddressUnavailable", "is taken by Service");
        refused("outside", ips, "192.0.2.77", "RequestedAddressUnavailable", "no pool holds");
        refused("nowhere", "portolan.dev/pool", "no-such-pool", "NoPool", "there is no pool no-such-pool");

        // Another address is asked for: it is published before the old one is given back.
        world.edit("ours", annotated(ips, "10.77.3.6"));
        has(world, "ours", &["10.77.3.6"]);
        has(world, "taken", &["10.77.3.3"]);
        world.edit("ours", annotated(ips, "10.77.3.4"));
        world.condition("ours", "portolan.dev/AddressAssigned", "False", "RequestedAddressUnavailable");
        has(world, "ours", &["10.77.3.6"]);
    });
}

#[test]
fn no_half_of_two_families_is_published_and_none_is_kept_from_others() {
    both(|world| {
        let pool = Pool::new(world, "", json!({"addresses": ["10.77.4.1", "2001:db8:77:4::1"]}));
        let _controller = setup(world).start();
        let both = |policy: &str| json!({"spec": {"ipFamilyPolicy": policy, "ipFamilies": ["IPv6", "IPv4"]}});
        create(world, "v6", json!({"spec": {"ipFamilyPolicy": "SingleStack", "ipFamilies": ["IPv6"]}}));
        has(world, "v6", &["2001:db8:77:4::1"]);
        create(world, "require", both("RequireDualStack"));
        let service = world.condition("require", "portolan.dev/AddressAssigned", "False", "PoolExhausted");
        assert!(addresses(&service).is_empty(), "{service:#}");
        create(world, "prefer", both("PreferDualStack"));
        has(world, "prefer", &["10.77.4.1"]);
        // The other half comes later, and the first one stays.
        pool.edit(json!({"addresses": ["10.77.4.1", "2001:db8:77:4::1-2001:db8:77:4::2"]}));
        has(world, "prefer", &["2001:db8:77:4::2", "10.77.4.1"]);
        world.condition("require", "portolan.dev/AddressAssigned", "False", "PoolExhausted");
    });
}

#[test]
fn nobody_is_moved_because_a_pool_shrinks_drains_or_goes() {
    both(|world| {
        let pool = Pool::new(world, "", json!({"addresses": ["10.77.5.0/28"]}));
        let controller = setup(world).start();
        create(world, "web", annotated("portolan.dev/load-balancer-ips", "10.77.5.9"));
        create(world, "plain", json!({}));
        has(world, "web", &["10.77.5.9"]);
        has(world, "plain", &["10.77.5.0"]);
        pool.edit(json!({"addresses": ["10.77.5.0/29"], "draining": true}));
        pool.becomes("it is smaller", |status| status["availableIPv4"] == 7);
        create(world, "late", json!({}));
        world.condition("late", "portolan.dev/AddressAssigned", "False", "NoPool");
        drop(pool);
        drop(controller);
        let _controller = setup(world).start();
        create(world, "later", json!({}));
        world.condition("later", "portolan.dev/AddressAssigned", "False", "NoPool");
        for (name, address) in [("web", "10.77.5.9"), ("plain", "10.77.5.0")] {
            has(world, name, &[address]);
        }
        assert_eq!(recorded(world).len(), 2);
    });
}

#[test]
fn metallbs_annotation_says_with_the_status_of_which_pool_an_address_is_and_goes_with_it() {
    both(|world| {
        let _pool = Pool::new(world, "", json!({"addresses": ["10.77.40.1"]}));
        let gate = gate(world);
        let _controller = setup(world).through(world, &gate).start();
        let told = "metallb.io/ip-allocated-from-pool";
        let of = |service: &Value| service["metadata"]["annotations"][told].as_str().map(str::to_owned);
        gate.mark();
        create(world, "web", annotated("example.com/mine", "stays"));
        let service = has(world, "web", &["10.77.40.1"]);
        assert_eq!(of(&service), Some(world.namespace.clone()));
        gate.quiet(QUIET);
        let mut writes = gate.seen().into_iter().filter(|seen| seen.is_write() && seen.path.contains("/services/"));
        assert!(writes.all(|seen| seen.path.contains("/services/web/status")), "{:?}", gate.seen());
        // Somebody takes it off, or writes something else there.
        world.edit("web", annotated(told, "elsewhere"));
        world.becomes("web", "it says so again", |service| of(service).as_deref() == Some(&world.namespace));
        // Who has no address has no pool.
        create(world, "late", annotated(told, "elsewhere"));
        let late = world.condition("late", "portolan.dev/AddressAssigned", "False", "PoolExhausted");
        assert_eq!(of(&late), None);
        world.edit("web", json!({"spec": {"type": "ClusterIP", "loadBalancerClass": null}}));
        let service = world.becomes("web", "it is nobody's", |service| {
            service["metadata"]["finalizers"].as_array().is_none_or(Vec::is_empty)
        });
        assert_eq!(service["metadata"]["annotations"], json!({"example.com/mine": "stays"}));
    });
}

#[test]
fn what_a_class_has_left_that_is_gone_is_removed_with_its_service() {
    both(|world| {
        let _pool = Pool::new(world, "", json!({"addresses": ["10.77.10.1"]}));
        let controller = setup(world).start();
        create(world, "web", json!({}));
        has(world, "web", &["10.77.10.1"]);
        drop(controller);
        // Of the mock alone.
        let other = world.setup();
        grant(world, &other.user);
        let _controller = other.start();
        world.condition("web", "portolan.dev/Accepted", "False", "ClassNotConfigured");
        assert_eq!(recorded(world).len(), 1);
        world.delete("web");
        world.gone("web");
        no_record_is_left(world);
    });
}

#[test]
fn a_pool_that_overlaps_an_older_one_is_refused_by_condition_and_stops_no_other() {
    both(|world| {
        let _good = Pool::new(world, "-a", json!({"addresses": ["10.77.6.0/29"]}));
        let controller = setup(world).start();
        std::thread::sleep(Duration::from_millis(1100)); // ages are told in seconds
        let mut addresses = vec!["10.77.6.4-10.77.6.20"];
        let mut told = vec!["overlaps 10.77.6.0-10.77.6.7"];
        // A server that evaluates our rules does not even store this.
        if world.server.which == Which::Sandbox {
            addresses.push("what");
            told.push("\"what\" is no range");
        }
        let bad = Pool::new(world, "-b", json!({"addresses": addresses}));
        let status = bad.becomes("it is refused", |status| status["conditions"][0]["status"] == "False");
        let message = status["conditions"][0]["message"].as_str().unwrap();
        assert!(told.iter().all(|told| message.contains(told)), "{message}");
        create(world, "web", json!({}));
        has(world, "web", &["10.77.6.0"]);
        bad.edit(json!({"addresses": ["10.77.6.8/29"]}));
        bad.becomes("it is good", |status| status["conditions"][0]["status"] == "True");
        drop(controller);
    });
}

#[test]
fn an_address_that_a_node_has_is_never_given_out_and_named_in_its_pool() {
    both(|world| {
        // The first Node of every server here.
        let pool = Pool::new(world, "", json!({"addresses": ["198.51.100.2-198.51.100.3"]}));
        let _controller = setup(world).start();
        create(world, "web", json!({}));
        has(world, "web", &["198.51.100.3"]);
        create(world, "second", annotated("portolan.dev/load-balancer-ips", "198.51.100.2"));
        world.condition("second", "portolan.dev/AddressAssigned", "False", "RequestedAddressUnavailable");
        let status = pool.becomes("it says so", |status| status["conditions"][1]["status"] == "True");
        assert_eq!(status["conditions"][1]["message"], "never given out: 198.51.100.2 (Node node-2)");
    });
}

#[test]
fn a_lost_record_heals_and_a_status_written_by_hand_steals_nothing() {
    both(|world| {
        let _pool = Pool::new(world, "", json!({"addresses": ["10.77.7.0/28"]}));
        let controller = setup(world).start();
        create(world, "web", json!({}));
        create(world, "other", json!({}));
        let address = addresses(&world.addressed("web")).remove(0);
        let before = addresses(&world.addressed("other"));
        world.api.delete(&format!("{VIPS}/{address}"));
        eventually("it is recorded again", SOON, || match recorded(world).get(&address) {
            Some(names) if names.ends_with("/web") => Ok(()),
            other => Err(format!("{other:?}")),
        });
        drop(controller);
        // While nobody looks: one record goes, and another Service says that the address is its own.
        world.api.delete(&format!("{VIPS}/{}", before[0]));
        let stolen = json!({"status": {"loadBalancer": {"ingress": [{"ip": address, "ipMode": "VIP"}]}}});
        world.api.patch(&format!("{}/status", world.path("other")), &stolen);
        let _controller = setup(world).start();
        has(world, "web", &[&address]);
        let other = world.becomes("other", "it has an address of its own", |service| {
            let own = addresses(service);
            own.len() == 1 && own[0] != address && recorded(world).contains_key(&own[0])
        });
        assert_eq!(condition(&other, "portolan.dev/AddressAssigned").unwrap()["status"], "True");
    });
}

#[test]
fn a_reserved_address_outlives_the_service_that_it_is_kept_for() {
    both(|world| {
        let _pool = Pool::new(world, "", json!({"addresses": ["10.77.8.1"]}));
        let reserved = json!({
            "apiVersion": "portolan.dev/v1alpha1", "kind": "VirtualIP", "metadata": {"name": "10.77.8.1"},
            "spec": {"reservedFor": {"namespace": world.namespace, "name": "web"}},
        });
        world.api.create(VIPS, &reserved);
        let _controller = setup(world).start();
        create(world, "other", json!({}));
        world.condition("other", "portolan.dev/AddressAssigned", "False", "PoolExhausted");
        for _ in 0..2 {
            let asks = annotated("portolan.dev/load-balancer-ips", "10.77.8.1");
            world.create_without_endpoints("web", merged(of_class(), asks));
            has(world, "web", &["10.77.8.1"]);
            world.delete("web");
            world.gone("web");
            let vip = world.api.get(&format!("{VIPS}/10.77.8.1")).unwrap();
            assert_eq!(vip["spec"]["services"], Value::Null, "{vip:#}");
        }
        world.condition("other", "portolan.dev/AddressAssigned", "False", "PoolExhausted");
        world.api.delete(&format!("{VIPS}/10.77.8.1"));
        has(world, "other", &["10.77.8.1"]);
    });
}

#[test]
fn services_with_metallbs_key_share_the_address_that_they_name_and_no_other() {
    both(|world| {
        let _pool = Pool::new(world, "", json!({"addresses": ["10.77.11.0/29"]}));
        let _controller = setup(world).start();
        let with = |key: &str, address: &str, port: u16| {
            let annotations = json!({"metallb.io/allow-shared-ip": key, "metallb.io/loadBalancerIPs": address});
            let ports = json!([{"name": "http", "port": port, "targetPort": 8080, "protocol": "TCP"}]);
            json!({"metadata": {"annotations": annotations}, "spec": {"ports": ports}})
        };
        create(world, "web", with("Key for.both", "10.77.11.1", 80));
        create(world, "mail", with("Key for.both", "10.77.11.1", 25));
        for name in ["web", "mail"] {
            has(world, name, &["10.77.11.1"]);
        }
        assert_eq!(recorded(world).len(), 1);
        create(world, "other", with("Key for.both", "10.77.11.2", 80));
        has(world, "other", &["10.77.11.2"]);
        // Another key, or a port that is taken, does not come in.
        create(world, "stranger", with("another", "10.77.11.1", 443));
        world.condition("stranger", "portolan.dev/AddressAssigned", "False", "RequestedAddressUnavailable");
        create(world, "second", with("Key for.both", "10.77.11.1", 80));
        world.condition("second", "portolan.dev/Accepted", "False", "ShareConflict");
        // The key alone asks for no address in particular: it is its own.
        create(world, "alone", annotated("metallb.io/allow-shared-ip", "Key for.both"));
        has(world, "alone", &["10.77.11.0"]);
        world.delete("web");
        world.gone("web");
        has(world, "mail", &["10.77.11.1"]);
    });
}

#[test]
fn killed_at_any_request_of_an_allocation_it_ends_as_if_it_had_not_been() {
    both(|world| {
        let mut killed = 0;
        for after in [false, true] {
            let mut missed = 0;
            for index in 1.. {
                let run = world.another(&format!("{}{index}", if after { "after" } else { "before" }));
                let pool = Pool::new(
                    &run,
                    "",
                    json!({"addresses": [format!("10.78.{}.{index}", u8::from(after)), format!("2001:db8:78:{}::{index}", u8::from(after))]}),
                );
                let gate = gate(&run);
                let setup = setup(&run).through(&run, &gate);
                let controller = setup.start();
                gate.aim_at(Some(&controller.process));
                pool.becomes("it is seen", |status| status["conditions"][0]["status"] == "True");
                gate.quiet(QUIET);
                gate.mark();
                gate.at(index, if after { Fault::KillAfter } else { Fault::KillBefore });
                create(
                    &run,
                    "web",
                    json!({"spec": {"ipFamilyPolicy": "RequireDualStack", "ipFamilies": ["IPv4", "IPv6"]}}),
                );
                eventually("it is killed, or done", SOON, || {
                    if !controller.process.is_running() {
                        return Ok(());
                    }
                    let service = run.service("web").unwrap();
                    assert!(addresses(&service).len() != 1, "half a pair is published: {service:#}");
                    let is_done = condition(&service, "portolan.dev/Programmed")
                        .is_some_and(|one| one["reason"] == "NotAnnounced");
                    if is_done { Ok(()) } else { Err(format!("{service:#}")) }
                });
                // What it still writes when it is done, of events and pools, it may be killed at as well.
                gate.quiet(QUIET);
                gate.behave();
                let is_dead = !controller.process.is_running();
                let again = is_dead.then(|| setup.start());
                let service = run.becomes("web", "it has both", |service| addresses(service).len() == 2);
                assert_eq!(recorded(&run).len(), 2, "{service:#}");
                run.delete("web");
                run.gone("web");
                no_record_is_left(&run);
                drop((again, controller));
                if is_dead {
                    killed += 1;
                } else {
                    missed += 1;
                    if missed > 1 {
                        break;
                    }
                }
            }
        }
        assert!(killed >= 12, "only {killed} requests were there to be killed at");
    });
}
