//! Claims and load balancers that do not know of each other.

use super::*;

#[test]
fn a_claim_without_its_load_balancers_word_is_found_by_its_owner() {
    let scene = Scene::new(&json!({}));
    scene.store.create("addresses/203.0.113.9", br#"{"id":"lb","instance":""}"#).unwrap();
    let inventory = scene.mock.inventory().now_or_never().unwrap().unwrap();
    assert_eq!(inventory, [Owned { id: LoadBalancerId::new("lb"), object: "address 203.0.113.9".into() }]);
    let mut lb = LoadBalancer { requested: vec!["203.0.113.9".parse().unwrap()], ..desired("lb") };
    assert_eq!(scene.settle(&mut lb).error, None);
    assert_eq!(ips(&lb.published), ["203.0.113.9"]);
}

#[test]
fn a_claim_taken_away_by_hand_is_made_again_or_replaced() {
    let scene = Scene::new(&json!({}));
    let mut lb = desired("lb");
    scene.settle(&mut lb);
    scene.store.remove("addresses/203.0.113.1").unwrap();
    scene.settle(&mut lb);
    assert_eq!(ips(&lb.published), ["203.0.113.1"]);
    scene.store.replace("addresses/203.0.113.1", br#"{"id":"thief","instance":"other"}"#).unwrap();
    scene.settle(&mut lb);
    assert_eq!(ips(&lb.published), ["203.0.113.2"]);
    scene.delete("lb");
    assert!(scene.store.exists("addresses/203.0.113.1").unwrap(), "what is another's is not released");
}

#[test]
fn a_load_balancer_whose_file_is_lost_gets_its_address_back() {
    for publish in ["ip", "hostname"] {
        let scene = Scene::new(&json!({"publish": publish}));
        let (mut first, mut lb) = (desired("first"), desired("lb"));
        scene.settle(&mut first);
        scene.settle(&mut lb);
        scene.delete("first");
        let claim = || scene.store.list("addresses").unwrap();
        assert_eq!(claim(), ["203.0.113.2"]);
        scene.store.remove("balancers/lb.json").unwrap();
        let before = lb.published.clone();
        lb.nodes.clear();
        assert_eq!(scene.settle(&mut lb).error, None);
        assert_eq!(lb.published, before);
        assert_eq!(claim(), ["203.0.113.2"]);
        scene.delete("lb");
        assert_eq!(claim(), [""; 0]);
    }
}

#[test]
fn delete_reaches_empty_also_from_claims_of_which_no_load_balancer_knows() {
    let scene = Scene::new(&json!({}));
    let mut other = desired("other");
    scene.settle(&mut other);
    let owner = Owner { id: LoadBalancerId::new("lb"), instance: Instance::default() };
    let claim = |address: &str| scene.mock.inner.allocator.claim(&scene.store, &owner, address.parse().unwrap());
    for with_file in [false, true] {
        if with_file {
            scene.settle(&mut desired("lb"));
        }
        for address in ["203.0.113.200", "10.255.0.9", "2001:db8:113::5"] {
            assert!(claim(address).unwrap());
        }
        scene.delete("lb");
        assert_eq!(scene.store.list("addresses").unwrap(), ["203.0.113.1"], "with a file: {with_file}");
        assert_eq!(scene.store.list("owners").unwrap(), ["other.json"], "with a file: {with_file}");
    }
}

#[test]
fn the_claims_of_a_lost_load_balancer_are_found_also_by_a_process_that_did_not_make_them() {
    let scene = Scene::new(&json!({}));
    let other = scene.restarted();
    assert_eq!(other.observe("lb"), Ok(State::Absent), "it has looked before there was anything");
    scene.settle(&mut desired("lb"));
    scene.store.remove("balancers/lb.json").unwrap();
    let claimed = State::Claims { addresses: vec!["203.0.113.1".parse().unwrap()] };
    assert_eq!(other.observe("lb"), Ok(claimed));
    other.delete("lb");
    assert_eq!((scene.store.list("addresses").unwrap(), scene.store.list("owners").unwrap()), (vec![], vec![]));
}

#[test]
fn two_instances_under_one_id_do_not_release_each_others_claims() {
    let scene = Scene::new(&json!({}));
    let blue = Scene::on(scene.store.clone(), "blue", &json!({}));
    for scene in [&scene, &blue] {
        scene.settle(&mut desired("lb"));
        scene.store.remove("balancers/lb.json").unwrap();
    }
    scene.delete("lb");
    assert_eq!(scene.store.list("addresses").unwrap(), ["203.0.113.2"]);
    blue.delete("lb");
    assert_eq!((scene.store.list("addresses").unwrap(), scene.store.list("owners").unwrap()), (vec![], vec![]));
}

#[test]
fn a_list_of_claims_that_tells_of_another_owners_address_is_put_right_and_takes_nothing() {
    let scene = Scene::new(&json!({}));
    scene.settle(&mut desired("other"));
    scene.store.replace("owners/lb.json", br#"[{"instance":"","addresses":["203.0.113.1","203.0.113.7"]}]"#).unwrap();
    scene.delete("lb");
    assert_eq!(scene.store.list("addresses").unwrap(), ["203.0.113.1"]);
    assert_eq!(scene.store.list("owners").unwrap(), ["other.json"]);
}
