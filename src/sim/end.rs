//! The end of a run: faults are over, everybody is back, time passes until nothing moves. What must hold then.
//!
//! - Records, the provider's state and statuses say the same.
//! - Whatever claims to be served is, and whatever is not says why in a condition.
//! - No address has two owners.
//! - Nothing of ours is left on what is not ours.
//! - An idle hour writes nothing, and a restart finds nothing to do.

use std::collections::{BTreeMap, BTreeSet};

use portolan_mock::picture::Picture;
use serde_json::Value;

use super::cluster::{RECORDS, SERVICES};
use super::laws::{addresses, conditions, has_finalizer, holds, is_ours, members, uid};
use super::run::World;

/// How long nothing must happen for everything to have settled: more than any pause of a queue (60 s), of a watch (65 s) or of a class.
const QUIET: u64 = 200_000;
/// How often that is waited for.
const PATIENCE: u32 = 20;
const HOUR: u64 = 3_600_000;

pub(super) async fn end(world: &mut World) -> Result<(), String> {
    world.end_provider_faults();
    // What a vanished class leaves as it is, the class serves once it is back.
    if world.configuration == "config-without-slow.yaml" {
        for who in 0..world.count() {
            world.down(who, false);
        }
        world.settled_in(Some("config.yaml"));
        world.until(world.cluster.now() + 10_000).await?;
    }
    world.laws.note("all trouble is over");
    world.nobody_dies();
    world.all_up();
    settle(world).await?;
    agree(world)?;
    idle(world, HOUR, "an idle hour").await?;
    for who in 0..world.count() {
        world.down(who, who == 0);
    }
    world.until(world.cluster.now() + 10_000).await?;
    world.all_up();
    idle(world, QUIET, "a restart of what had settled").await?;
    agree(world)
}

async fn settle(world: &mut World) -> Result<(), String> {
    for _ in 0..PATIENCE {
        let before = world.laws.deeds();
        world.until(world.cluster.now() + QUIET).await?;
        if world.laws.deeds() == before {
            return Ok(());
        }
    }
    Err(format!("it does not come to rest within {} s", u64::from(PATIENCE) * QUIET / 1000))
}

async fn idle(world: &mut World, time: u64, what: &str) -> Result<(), String> {
    let before = world.laws.deeds();
    world.until(world.cluster.now() + time).await?;
    let done = world.laws.deeds() - before;
    if done == 0 { Ok(()) } else { Err(format!("{what} was not silent: {done} writes or steps")) }
}

/// See the module.
fn agree(world: &World) -> Result<(), String> {
    let services = world.cluster.list(SERVICES);
    let records = world.cluster.list(RECORDS);
    let pictures: BTreeMap<String, Picture> = world.cluster.pictures().into_iter().collect();
    for record in &records {
        of_record(record, &services, &pictures)?;
    }
    for (name, picture) in &pictures {
        of_world(world, name, picture, &records)?;
    }
    services.iter().try_for_each(|service| of_service(service, &records, &pictures))
}

fn of_record(record: &Value, services: &[Value], pictures: &BTreeMap<String, Picture>) -> Result<(), String> {
    let id = record["metadata"]["name"].as_str().unwrap();
    let mut named = 0;
    let mut refused = false;
    for member in members(record) {
        named += 1;
        let service = services.iter().find(|service| uid(service) == member);
        let service = service.ok_or_else(|| format!("record {id} names {member}, and there is no such Service"))?;
        let name = &service["metadata"]["name"];
        // Of one that is paused or refused everything stays as somebody has left it.
        if !has_finalizer(service) && holds(service, "portolan.dev/Accepted") {
            return Err(format!("record {id} names Service {name}, which does not have our finalizer"));
        }
        if !service["metadata"]["deletionTimestamp"].is_null() || service["spec"]["type"] != "LoadBalancer" {
            return Err(format!("record {id} names Service {name}, which is not to be served any more"));
        }
        let must = ["portolan.dev/Accepted", "portolan.dev/AddressAssigned", "portolan.dev/Programmed"];
        refused |= must.iter().any(|condition| !holds(service, condition));
    }
    if named == 0 {
        return Err(format!("record {id} names nobody"));
    }
    let world = record["spec"]["parameters"]["state"].as_str().unwrap_or_default();
    let balancer = pictures.get(world).and_then(|picture| picture.balancers.iter().find(|(one, _)| one.as_str() == id));
    match balancer {
        None if refused => Ok(()),
        None => Err(format!("record {id} stands for nothing in {world}")),
        Some((_, balancer)) => {
            let serves: BTreeSet<&str> = balancer.members.iter().map(|member| member.uid.as_str()).collect();
            let named: BTreeSet<&str> = members(record).collect();
            // A refused Service keeps what it has.
            if refused {
                Ok(())
            } else if serves != named {
                Err(format!("record {id} names {named:?}, the load balancer serves {serves:?}"))
            } else if balancer.generations.len() != 1 {
                Err(format!("{id} has {} generations", balancer.generations.len()))
            } else {
                Ok(())
            }
        }
    }
}

fn of_world(world: &World, name: &str, picture: &Picture, records: &[Value]) -> Result<(), String> {
    if let Some(problem) = picture.problems.first() {
        return Err(format!("in {name}: {problem}"));
    }
    let recorded = |id: &str| {
        let record = records.iter().find(|record| record["metadata"]["name"] == id);
        record.is_some_and(|record| record["spec"]["parameters"]["state"] == name)
    };
    let mut owners: BTreeMap<std::net::IpAddr, &str> = BTreeMap::new();
    for (id, balancer) in &picture.balancers {
        if !recorded(id.as_str()) && !world.laws.is_by_hand(id.as_str()) {
            return Err(format!("{id} exists in {name}, and no record says so"));
        }
        for address in balancer.generations.iter().flat_map(|generation| &generation.addresses) {
            if let Some(other) = owners.insert(*address, id.as_str()).filter(|other| *other != id.as_str()) {
                return Err(format!("{address} belongs to {other} and to {id}"));
            }
            if picture.addresses.get(address) != Some(id) {
                return Err(format!("{id} has {address}, which is claimed by {:?}", picture.addresses.get(address)));
            }
        }
    }
    for (address, owner) in &picture.addresses {
        if owners.get(address) != Some(&owner.as_str()) && !world.laws.is_by_hand(owner.as_str()) {
            return Err(format!("{address} is claimed for {owner}, which does not have it"));
        }
    }
    Ok(())
}

fn of_service(service: &Value, records: &[Value], pictures: &BTreeMap<String, Picture>) -> Result<(), String> {
    let name = &service["metadata"]["name"];
    let is_load_balancer = service["spec"]["type"] == "LoadBalancer";
    let goes = !service["metadata"]["deletionTimestamp"].is_null();
    let class = service["spec"]["loadBalancerClass"].as_str();
    let foreign = matches!(class, Some("example.com/foreign" | "portolan.dev/unknown"));
    if !is_load_balancer || goes || foreign {
        if has_finalizer(service) {
            return Err(format!("Service {name} is not ours and has our finalizer"));
        }
        // What was refused carries nothing of ours but conditions; once it names a class of somebody else's, they may be those of another
        // Portolan, and stay.
        let left = conditions(service).find(|condition| is_ours(condition));
        return match left.filter(|_| !foreign) {
            Some(condition) => Err(format!("Service {name} is not ours and has the condition {condition}")),
            None => Ok(()),
        };
    }
    let own: Vec<&Value> = conditions(service).filter(|condition| is_ours(condition)).collect();
    if own.is_empty() {
        // Without a class it may be nobody's.
        return if class.is_some() { Err(format!("Service {name} is ours and has no condition")) } else { Ok(()) };
    }
    // Of one that is paused nothing is touched but what says so: also not what somebody has written into its status.
    let is_told = |one: &&Value| !is_paused(service) || one["type"] == "portolan.dev/Accepted";
    if let Some(mute) = own
        .iter()
        .copied()
        .filter(is_told)
        .find(|one| one["status"] != "True" && one["reason"].as_str().is_none_or(str::is_empty))
    {
        return Err(format!("Service {name}: {mute} does not say why"));
    }
    let offered = addresses(service);
    if offered.is_empty() && own.iter().all(|one| one["status"] != "False") {
        return Err(format!("Service {name} has no address and nothing says why"));
    }
    let of_provider = |world: &str, id: &str| -> BTreeSet<String> {
        let balancer =
            pictures.get(world).and_then(|picture| picture.balancers.iter().find(|(one, _)| one.as_str() == id));
        let generations = balancer.into_iter().flat_map(|(_, balancer)| &balancer.generations);
        let all = generations.flat_map(|one| {
            let addresses = one.addresses.iter().map(ToString::to_string);
            addresses.chain([one.hostname.clone()])
        });
        all.collect()
    };
    let mut exists = BTreeSet::new();
    for record in records.iter().filter(|record| members(record).any(|member| member == uid(service))) {
        let world = record["spec"]["parameters"]["state"].as_str().unwrap_or_default();
        exists.extend(of_provider(world, record["metadata"]["name"].as_str().unwrap()));
    }
    if !offered.is_subset(&exists) && !is_paused(service) {
        return Err(format!("Service {name} offers {offered:?}, the provider has {exists:?}"));
    }
    if holds(service, "portolan.dev/Programmed") && offered.is_empty() && !is_paused(service) {
        return Err(format!("Service {name} is programmed and offers nothing"));
    }
    Ok(())
}

fn is_paused(service: &Value) -> bool {
    conditions(service).any(|one| is_ours(one) && one["reason"] == "Paused")
}
