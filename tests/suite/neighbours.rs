//! Beside others: Kubernetes' own controllers, upstream's service controller, a second Portolan. Each keeps to its own, and the
//! audit log is the judge. (All other cases run beside the first two as well.)

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::case::{real, say};
use crate::harness::{SOON, Setup, World, addresses, eventually, finalizers};
use crate::server::{CLOUD_CONTROLLER_MANAGER, CONTROLLER_MANAGER};

const STANDARD_FINALIZER: &str = "service.kubernetes.io/load-balancer-cleanup";

/// What the cloud gives to everybody (tests/modules/kubernetes/cloud-controller-manager).
const OF_THE_CLOUD: &str = "192.0.2.77";

/// How often upstream's service controller is shown every Service again, changed or not (facts of k8s.io/cloud-provider: its
/// informer's resync), and a bit.
const RESYNC: Duration = Duration::from_secs(32);

/// After how long upstream's service controller repeats what has failed once, and a bit. It may have met a type in between, and
/// then it blanks the status of whoever has the Service now, once.
const RETRY: Duration = Duration::from_secs(7);

/// Who serves a Service, or nobody because it is of another type.
#[derive(Clone, Copy)]
enum Owner<'a> {
    /// The Portolan of this world, by this class.
    Portolan(&'a World, &'static str),
    /// No class: the cloud's.
    Cloud,
    Nobody,
}

impl Owner<'_> {
    /// The edit that gives a Service of type ClusterIP to this owner.
    fn spec(self) -> Value {
        match self {
            Self::Portolan(_, class) => json!({"spec": {"type": "LoadBalancer", "loadBalancerClass": class}}),
            Self::Cloud => json!({"spec": {"type": "LoadBalancer", "loadBalancerClass": null}}),
            Self::Nobody => json!({"spec": {"type": "ClusterIP", "loadBalancerClass": null}}),
        }
    }

    /// The Service carries all marks of this owner, and none of anybody else.
    fn has(self, service: &Value) -> Result<(), String> {
        let (addresses, finalizers) = (addresses(service), finalizers(service));
        let conditions = service["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let programmed =
            conditions.iter().any(|one| one["type"] == "portolan.dev/Programmed" && one["status"] == "True");
        let good = match self {
            Self::Portolan(world, _) => {
                let balancers = world.mock().balancers();
                let balancer = balancers.get(&id(world, service)).map(Value::to_string).unwrap_or_default();
                let own = format!("portolan.dev/load-balancer.{}", world.instance);
                addresses.len() == 1 && balancer.contains(&addresses[0]) && finalizers == [own] && programmed
            }
            Self::Cloud => addresses == [OF_THE_CLOUD] && finalizers == [STANDARD_FINALIZER] && conditions.is_empty(),
            Self::Nobody => addresses.is_empty() && finalizers.is_empty() && conditions.is_empty(),
        };
        if good { Ok(()) } else { Err(format!("{service:#}")) }
    }
}

/// The load balancer of a Service.
fn id(world: &World, service: &Value) -> String {
    format!("{}.{}", world.instance, service["metadata"]["uid"].as_str().unwrap())
}

fn comes_to(world: &World, name: &str, owner: Owner<'_>) {
    eventually(&format!("{name} comes to its owner"), SOON, || {
        let service = world.service(name).ok_or("gone")?;
        owner.has(&service).or_else(|missing| match owner {
            Owner::Cloud if is_without_its_own_finalizer(world, name, &service) => Ok(()),
            Owner::Cloud | Owner::Portolan(..) | Owner::Nobody => Err(missing),
        })
    });
}

/// Upstream's controller, flipped quickly, takes its finalizer off and, by its cache, believes to have it. All the rest is as it must be,
/// and it was its own last write about finalizers that took it.
fn is_without_its_own_finalizer(world: &World, name: &str, service: &Value) -> bool {
    let mut as_it_should = service.clone();
    as_it_should["metadata"]["finalizers"] = json!([STANDARD_FINALIZER]);
    let writes = world.writes(CLOUD_CONTROLLER_MANAGER);
    let of_finalizers = |write: &&crate::harness::Write| {
        write.name == name
            && write.namespace == world.namespace
            && !write.body["metadata"]["$setElementOrder/finalizers"].is_null()
    };
    finalizers(service).is_empty()
        && Owner::Cloud.has(&as_it_should).is_ok()
        && writes.iter().rev().find(of_finalizers).is_some_and(|last| {
            last.body["metadata"]["$deleteFromPrimitiveList/finalizers"] == json!([STANDARD_FINALIZER])
        })
}

/// Takes a Service from whoever has it and gives it to this owner, without waiting.
fn flip(world: &World, name: &str, owner: Owner<'_>) {
    world.edit(name, Owner::Nobody.spec());
    world.edit(name, owner.spec());
}

/// How many writes each user has made in this world's namespace, or to whatever has none.
fn writes(world: &World, users: &[&str]) -> Vec<usize> {
    let here = |user: &&str| {
        let writes = world.writes(user);
        let is_portolan = user.starts_with("portolan");
        writes.iter().filter(|write| is_portolan || write.namespace == world.namespace).count()
    };
    users.iter().map(here).collect()
}

/// Waits until nobody has written for so long. Those who fight never come to this rest. (Nothing tells that a neighbour has looked
/// and found nothing to do: only the clock.)
fn nobody_writes_for(world: &World, quiet: Duration, users: &[&str]) {
    let mut last = (Vec::new(), Instant::now());
    eventually(&format!("nobody writes for {quiet:?}"), quiet * 3 + SOON, || {
        let now = writes(world, users);
        if now != last.0 {
            last = (now, Instant::now());
        }
        if last.1.elapsed() > quiet { Ok(()) } else { Err(format!("{users:?} have written {:?}", last.0)) }
    });
}

/// The names of the Services that a neighbour has written to or about.
fn touched(world: &World, user: &str) -> BTreeSet<String> {
    let writes = world.writes(user).into_iter().filter(|write| write.namespace == world.namespace);
    let about = |write: crate::harness::Write| match write.resource.as_str() {
        "services" | "services/status" => Some(write.name),
        "events" => write.body["involvedObject"]["name"].as_str().map(str::to_owned),
        _ => None,
    };
    writes.filter_map(about).collect()
}

fn setup(world: &World, beside: &World, class: &str, other_class: &str) -> Setup {
    beside
        .setup()
        .configured(json!({"watchNamespaces": [world.namespace], "otherClasses": [other_class]}))
        .class(json!({"name": class}))
}

#[test]
fn a_cloud_serves_what_has_no_class_and_portolan_what_names_its_class_and_nobody_fights() {
    real(|world| {
        let controller = world.setup().start();
        let (us, cloud) = (Owner::Portolan(world, "portolan.dev/mock"), Owner::Cloud);
        let two_ports = json!({"spec": {"ports": [
            {"name": "http", "port": 8000, "targetPort": 8080, "protocol": "TCP"},
            {"name": "dns", "port": 53, "protocol": "UDP"},
        ]}});
        for (name, owner) in [("ours", us), ("theirs", cloud), ("ours-edited", us), ("theirs-edited", cloud)] {
            world.create(name, owner.spec());
            comes_to(world, name, owner);
        }
        for name in ["ours-edited", "theirs-edited"] {
            world.edit(name, two_ports.clone());
            world.edit(name, json!({"metadata": {"annotations": {"example.com/note": "read me"}}}));
            world.edit(
                name,
                json!({"spec": {"externalTrafficPolicy": "Local", "loadBalancerSourceRanges": ["192.0.2.0/24"]}}),
            );
            world.becomes(name, "both ports are listed", |service| {
                service["status"]["loadBalancer"]["ingress"][0]["ports"].as_array().map(Vec::len) == Some(2)
            });
        }
        // Each way, once with and once without leaving the others time to see the type in between.
        for (quickly, name) in [(false, "slow"), (true, "quick")] {
            let names = [
                format!("{name}-to-us"),
                format!("{name}-to-them"),
                format!("{name}-and-back"),
                format!("{name}-to-nobody"),
            ];
            let ways = [[cloud, us, us], [us, cloud, cloud], [us, cloud, us], [us, cloud, Owner::Nobody]];
            for (name, way) in names.iter().zip(ways) {
                world.create(name, way[0].spec());
                comes_to(world, name, way[0]);
                for to in &way[1..] {
                    world.edit(name, Owner::Nobody.spec());
                    if !quickly {
                        comes_to(world, name, Owner::Nobody);
                    }
                    world.edit(name, to.spec());
                    if !quickly {
                        comes_to(world, name, *to);
                    }
                }
            }
            for (name, way) in names.iter().zip(ways) {
                comes_to(world, name, way[2]);
            }
        }
        let ours = world.api.list(&world.services_path());
        let ours = ours.iter().filter(|service| service["spec"]["loadBalancerClass"].is_string());
        let ids: BTreeSet<String> = ours.map(|service| id(world, service)).collect();
        assert_eq!(
            world.mock().balancers().into_iter().map(|one| one.0).collect::<BTreeSet<_>>(),
            ids,
            "nothing leaks"
        );

        let users = [controller.user.as_str(), CLOUD_CONTROLLER_MANAGER, CONTROLLER_MANAGER];
        nobody_writes_for(world, RESYNC, &users);
        let (ours, theirs) = (touched(world, &controller.user), touched(world, CLOUD_CONTROLLER_MANAGER));
        for name in ["ours", "ours-edited"] {
            assert!(ours.contains(name) && !theirs.contains(name), "{name}: {ours:?} {theirs:?}");
        }
        for name in ["theirs", "theirs-edited"] {
            assert!(theirs.contains(name) && !ours.contains(name), "{name}: {ours:?} {theirs:?}");
        }
        let counts = writes(world, &users);
        say(&format!(
            "neighbours: writes of Portolan, cloud and kube-controller-manager {counts:?}; then none for {RESYNC:?}"
        ));

        world.kubectl(&["delete", "services", "--all", "--timeout=60s"]).unwrap();
        world.nothing_left();
        let theirs = touched(world, CLOUD_CONTROLLER_MANAGER);
        assert!(
            !theirs.contains("ours") && !theirs.contains("ours-edited"),
            "the cloud took part in a deletion: {theirs:?}"
        );
        controller.is_well();
    });
}

#[test]
fn slices_of_the_real_endpoint_slice_controller_are_followed_and_go_with_their_service() {
    real(|world| {
        let controller = world.setup().start();
        let pods = format!("/api/v1/namespaces/{}/pods", world.namespace);
        let pod = |name: &str| {
            json!({
                "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": "web"}},
                "spec": {"nodeName": "node-1", "containers": [{"name": "web", "image": "example.com/web"}]},
            })
        };
        let ready = |name: &str, address: &str, ready: &str| {
            let status = json!({"status": {
                "phase": "Running", "podIP": address, "podIPs": [{"ip": address}],
                "conditions": [{"type": "Ready", "status": ready}],
            }});
            world.api.patch(&format!("{pods}/{name}/status"), &status);
        };
        world.create_without_endpoints("web", json!({"spec": {"selector": {"app": "web"}}}));
        let service = world.condition("web", "portolan.dev/Reachable", "False", "NoEndpoints");
        let address = addresses(&service);
        assert_eq!(address.len(), 1);
        world.api.create(&pods, &pod("web-1"));
        ready("web-1", "10.200.0.11", "True");
        world.becomes("web", "the Pod is found", |service| reachable(service) == "True");
        ready("web-1", "10.200.0.11", "False");
        world.becomes("web", "a Pod that is not ready is none", |service| reachable(service) == "False");
        ready("web-1", "10.200.0.11", "True");
        let service = world.becomes("web", "it is found again", |service| reachable(service) == "True");
        assert_eq!(addresses(&service), address, "through all of this");

        nobody_writes_for(world, Duration::from_secs(3), &[&controller.user, CONTROLLER_MANAGER]);
        world.delete("web");
        world.gone("web");
        world.nothing_left();
        let slices = format!("/apis/discovery.k8s.io/v1/namespaces/{}/endpointslices", world.namespace);
        eventually("the garbage collector takes the slices", SOON, || {
            let left = world.api.list(&slices);
            if left.is_empty() { Ok(()) } else { Err(format!("{left:#?}")) }
        });
    });
}

fn reachable(service: &Value) -> &str {
    let condition = crate::harness::condition(service, "portolan.dev/Reachable");
    condition.and_then(|one| one["status"].as_str()).unwrap_or_default()
}

#[test]
fn a_namespace_with_services_of_portolan_and_cloud_is_emptied() {
    real(|world| {
        let controller = world.setup().start();
        for (name, owner) in [("ours", Owner::Portolan(world, "portolan.dev/mock")), ("theirs", Owner::Cloud)] {
            world.create(name, owner.spec());
            comes_to(world, name, owner);
        }
        let namespace = format!("/api/v1/namespaces/{}", world.namespace);
        world.api.delete(&namespace);
        eventually("the namespace is gone", SOON, || {
            world.api.get(&namespace).map_or(Ok(()), |left| Err(format!("{left:#}")))
        });
        world.nothing_left();
        controller.is_well();
    });
}

#[test]
fn quick_flips_between_two_portolans_and_a_cloud_lose_nothing_and_leak_nothing() {
    const SERVICES: usize = 8;
    const ROUNDS: usize = 12;
    real(|world| {
        let second = &world.another("second");
        let one = setup(world, world, "portolan.dev/one", "portolan.dev/two").start();
        let two = setup(world, second, "portolan.dev/two", "portolan.dev/one").start();
        let owners = [
            Owner::Portolan(world, "portolan.dev/one"),
            Owner::Portolan(second, "portolan.dev/two"),
            Owner::Cloud,
            Owner::Nobody,
        ];
        let names: Vec<String> = (0..SERVICES).map(|number| format!("web-{number}")).collect();
        for name in &names {
            world.create(name, Owner::Nobody.spec());
        }
        // Every Service takes another way through the owners, and is taken away at another moment of its owner's work: strides
        // that have no divisor in common with the number of owners reach each from each.
        for round in 0..ROUNDS {
            for (number, name) in names.iter().enumerate() {
                flip(world, name, owners[(number + round * (1 + 2 * (number % 2))) % owners.len()]);
                std::thread::sleep(Duration::from_millis((round * 7 + number * 13) as u64 % 40));
            }
        }
        let last = |number: usize| owners[number % owners.len()];
        for (number, name) in names.iter().enumerate() {
            flip(world, name, last(number));
        }
        for (number, name) in names.iter().enumerate() {
            comes_to(world, name, last(number));
        }
        let services = world.api.list(&world.services_path());
        for (owner, class) in [(world, "portolan.dev/one"), (second, "portolan.dev/two")] {
            let own = services.iter().filter(|service| service["spec"]["loadBalancerClass"] == class);
            let ids: BTreeSet<String> = own.map(|service| id(owner, service)).collect();
            eventually("each has what is its own", SOON, || {
                let balancers: BTreeSet<String> = owner.mock().balancers().into_iter().map(|one| one.0).collect();
                let records = owner.records();
                let records: BTreeSet<String> =
                    records.iter().map(|one| one["metadata"]["name"].as_str().unwrap().to_owned()).collect();
                let addresses = owner.mock().addresses().len();
                if balancers == ids && records == ids && addresses == ids.len() {
                    Ok(())
                } else {
                    Err(format!("{class}: {ids:?}, but {balancers:?}, {records:?}, {addresses} addresses"))
                }
            });
        }
        nobody_writes_for(world, RETRY, &[&one.user, &two.user, CLOUD_CONTROLLER_MANAGER, CONTROLLER_MANAGER]);
        world.kubectl(&["delete", "services", "--all", "--timeout=60s"]).unwrap();
        world.nothing_left();
        second.nothing_left();
        one.is_well();
        two.is_well();
    });
}
