use portolan_core::ids::NodeName;
use portolan_metal::announcement::{Exception, Report};
use portolan_metal::placement::Ranks;
use portolan_metal::vip::Vip;

use super::*;

fn node(name: &str) -> NodeName {
    NodeName::new(name)
}

/// Of pool `lan`, at `node-a`.
fn vip(address: &str) -> Vip {
    Vip {
        pool: Some(PoolName::new("lan")),
        ranks: Ranks { nodes: vec![node("node-a"), node("node-b")], generation: 1 },
        ..Vip::of_nobody(address.parse().unwrap())
    }
}

#[test]
fn a_pool_says_which_of_its_addresses_are_on_no_prefix_of_their_nodes_while_there_are_any() {
    let object = json!({
        "apiVersion": "portolan.dev/v1alpha1", "kind": "AddressPool",
        "metadata": {"name": "lan", "resourceVersion": "1"}, "spec": {"addresses": ["192.0.2.0/28"]},
    });
    let seen = SeenPool::of(serde_json::from_value(object).unwrap());
    let mut world = World::default();
    world.set_pools(vec![seen.pool.clone()]);
    ["192.0.2.1", "192.0.2.2"].iter().for_each(|address| world.set_vip(vip(address)));
    let told = |world: &World| {
        let status = status(world, &world.pools()[0], &seen, jiff::Timestamp::UNIX_EPOCH);
        let found = status.conditions.into_iter().find(|condition| condition.type_ == "PoolOffLink");
        found.map(|condition| (condition.status, condition.message))
    };
    assert_eq!(told(&world), None);
    let off_link = |of: &str| Report {
        exceptions: [(of.parse().unwrap(), Exception::PoolOffLink)].into_iter().collect(),
        ..Report::default()
    };
    world.set_report(&node("node-a"), Some(off_link("192.0.2.1")));
    world.set_report(&node("node-b"), Some(off_link("192.0.2.2")));
    let (status, message) = told(&world).unwrap();
    assert_eq!(status, "True");
    assert!(message.ends_with(": 192.0.2.1 (Node node-a)"), "of its owner alone: {message}");
    world.set_report(&node("node-a"), None);
    assert_eq!(told(&world), None);
}
