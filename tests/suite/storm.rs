//! Users edit without end while the controller is killed again and again: the last word counts, and nothing leaks.

use std::time::Duration;

use serde_json::{Value, json};

use crate::case::{both, say};
use crate::harness::{World, addresses, condition, eventually, finalizers};

const SERVICES: u64 = 12;
const KILLS: u64 = 25;
/// Change it to try another storm; the printed line names it.
const SEED: u64 = 0x9e37_79b9_7f4a_7c15;

/// SplitMix64: small, seeded, and the same on every machine.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    /// From 0 to below `sides`.
    pub(crate) fn below(&mut self, sides: usize) -> usize {
        usize::try_from(self.roll(sides as u64)).unwrap()
    }

    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % sides
    }
}

/// One edit by a user. Some are refused by the server, such as a type change of a Service that is on its way out.
fn edit(world: &World, dice: &mut Dice) {
    let name = format!("web-{}", dice.roll(SERVICES));
    let Some(service) = world.service(&name) else {
        world.api.create(&world.services_path(), &crate::harness::service(&name));
        return;
    };
    let is_ours = service["spec"]["type"] == "LoadBalancer";
    let port = 80 + dice.roll(5);
    let patch = match dice.roll(6) {
        0 => return world.delete(&name),
        1 if is_ours => json!({"spec": {"type": "ClusterIP", "loadBalancerClass": null}}),
        1 => json!({"spec": {"type": "LoadBalancer", "loadBalancerClass": "portolan.dev/mock"}}),
        2 => {
            json!({"metadata": {"annotations": {"portolan.dev/scheme": if dice.roll(2) == 0 { "internal" } else { "public" }}}})
        }
        3 => json!({"metadata": {"finalizers": null}}),
        4 => json!({"spec": {"ports": [{"name": "http", "port": port, "targetPort": 8080, "protocol": "TCP"}]}}),
        _ => json!({"spec": {"ports": [
            {"name": "http", "port": port, "targetPort": 8080, "protocol": "TCP"},
            {"name": "dns", "port": 53, "protocol": "UDP"},
        ]}}),
    };
    let _ = world.try_edit(&name, &patch);
}

/// The Service has what its spec asks for, and nothing else.
fn is_served(world: &World, service: &Value, balancers: &serde_json::Map<String, Value>) -> Result<(), String> {
    let balancer = balancers.get(&format!("{}.{}", world.instance, service["metadata"]["uid"].as_str().unwrap()));
    let fail = |what: &str| Err(format!("{what}: {service:#} {balancer:#?}"));
    if service["spec"]["type"] != "LoadBalancer" {
        let clean = finalizers(service).is_empty() && addresses(service).is_empty() && balancer.is_none();
        return if clean { Ok(()) } else { fail("left over") };
    }
    let told = addresses(service);
    let internal = service["metadata"]["annotations"]["portolan.dev/scheme"] == "internal";
    if told.len() != 1 || told[0].starts_with("10.255.") != internal || finalizers(service).len() != 1 {
        return fail("wrong address or finalizer");
    }
    if condition(service, "portolan.dev/Programmed").is_none_or(|one| one["status"] != "True") {
        return fail("not programmed");
    }
    let ports = |list: &Value| -> Vec<(Value, Value)> {
        let mut all: Vec<_> =
            list.as_array().into_iter().flatten().map(|one| (one["port"].clone(), one["protocol"].clone())).collect();
        all.sort_by_key(|one| format!("{one:?}"));
        all
    };
    let wanted = ports(&service["spec"]["ports"]);
    let Some(balancer) = balancer else { return fail("no load balancer") };
    if balancer["generations"].as_array().map(Vec::len) != Some(1) || !balancer.to_string().contains(&told[0]) {
        return fail("not one generation with the published address");
    }
    if ports(&balancer["generations"][0]["listeners"]) != wanted
        || ports(&service["status"]["loadBalancer"]["ingress"][0]["ports"]) != wanted
    {
        return fail("ports");
    }
    Ok(())
}

#[test]
fn the_last_edit_counts_and_nothing_leaks_however_often_the_controller_is_killed() {
    both(|world| {
        let mut dice = Dice(SEED);
        let setup = world.setup();
        for number in 0..SERVICES {
            world.create_slice(&format!("web-{number}"), &["10.200.0.10"]);
        }
        let mut edits = 0;
        for _ in 0..KILLS {
            let controller = setup.start();
            let until = std::time::Instant::now() + Duration::from_millis(100 + dice.roll(900));
            while std::time::Instant::now() < until {
                edit(world, &mut dice);
                edits += 1;
                // A storm, not a flood: some passes come to their end.
                std::thread::sleep(Duration::from_millis(dice.roll(30)));
            }
            controller.is_well();
            controller.kill();
        }
        let controller = setup.start();
        eventually("every Service is as its last edit wants it", Duration::from_secs(180), || {
            let balancers = world.mock().balancers();
            let services = world.api.list(&world.services_path());
            services.iter().try_for_each(|service| is_served(world, service, &balancers))?;
            let wanted = services.iter().filter(|service| service["spec"]["type"] == "LoadBalancer").count();
            let (records, found) = (world.records().len(), balancers.len());
            if (records, found) == (wanted, wanted) {
                Ok(())
            } else {
                Err(format!("{wanted} wanted, {records} records, {found} balancers"))
            }
        });
        controller.is_well();
        say(&format!("storm: seed {SEED:#x}: {edits} edits, {KILLS} kills at random moments"));
    });
}
