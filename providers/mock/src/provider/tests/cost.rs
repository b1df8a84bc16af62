//! What a call costs does not depend on how many load balancers there are.

use super::*;

/// A world with so many load balancers besides.
fn among(number: usize) -> Scene {
    let scene = Scene::new(&json!({}));
    for index in 0..number {
        scene.settle(&mut desired(&format!("other-{index}")));
    }
    scene
}

/// How many pieces each part of a load balancer's life touches, listed names included.
fn life(scene: &Scene) -> Vec<(&'static str, u64)> {
    let mut costs = Vec::new();
    let mut lb = desired("lb");
    let mut part = |name, act: &mut dyn FnMut()| {
        let before = scene.store.touched();
        act();
        costs.push((name, scene.store.touched() - before));
    };
    part("observe what is absent", &mut || assert_eq!(scene.observe("lb"), Ok(State::Absent)));
    part("create", &mut || assert_eq!(scene.settle(&mut lb).error, None));
    lb.listeners = vec![listener(80, &["b"])];
    part("endpoint change", &mut || assert_eq!(scene.settle(&mut lb).error, None));
    part("observe a lost one", &mut || {
        let file = scene.store.read("balancers/lb.json").unwrap().unwrap();
        scene.store.remove("balancers/lb.json").unwrap();
        assert!(matches!(scene.observe("lb"), Ok(State::Claims { .. })));
        scene.store.replace("balancers/lb.json", &file).unwrap();
    });
    part("delete", &mut || scene.delete("lb"));
    part("create after a delete", &mut || assert_eq!(scene.settle(&mut lb).error, None));
    part("the next one", &mut || assert_eq!(scene.settle(&mut desired("next")).error, None));
    costs
}

#[test]
fn every_part_of_a_load_balancers_life_costs_the_same_among_few_and_among_many() {
    let among_few = life(&among(10));
    // More than the first range holds: a full range costs nothing either.
    assert_eq!(life(&among(600)), among_few);
}
