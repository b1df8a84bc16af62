//! Rule by rule.

use super::*;

proptest! {
    #[test]
    fn a_fresh_placement_is_even_and_so_are_the_heirs_of_each_owner(vips in 0..200_usize, tiers in proptest::collection::vec(0..3_u32, 1..12)) {
        let mut world = World::of(vips, 0..tiers.len());
        for (weights, _) in world.vips.values_mut() {
            weights.iter_mut().zip(&tiers).for_each(|((_, weight), tier)| *weight = *tier);
        }
        // Nobody is steady yet, so nothing is evened out afterwards: it is dealt so.
        world.settled.clear();
        prop_assert!(!world.place(0));
        prop_assert_eq!(is_even(&world, true), Ok(()));
        for (weights, addresses) in world.groups() {
            for (owner, heir) in weights.keys().flat_map(|owner| weights.keys().map(move |heir| (owner, heir))) {
                let behind = addresses.iter().map(|address| &world.ranks[address].nodes);
                let behind = behind.filter(|nodes| nodes.get(..2).is_some_and(|two| *two == [owner.clone(), heir.clone()]));
                let others = top(weights, &[owner, heir]);
                let spread = spread(&others, behind.filter_map(|nodes| nodes.get(2)));
                prop_assert!(spread <= 1, "behind {owner} and {heir}: {:?}", world.ranks);
            }
            for address in addresses {
                let nodes: Vec<&NodeName> = world.ranks[&address].nodes.iter().collect();
                prop_assert_eq!(nodes.len(), tiers.len().min(3));
                for (rank, node) in nodes.iter().enumerate() {
                    prop_assert!(top(weights, &nodes[..rank]).contains(node), "weights come first: {nodes:?} of {weights:?}");
                }
            }
        }
    }

    /// The heirs of the one that goes would have had the fewest.
    #[test]
    fn after_a_fresh_placement_a_node_that_goes_leaves_an_even_one_behind(vips in 0..200_usize, nodes in 2..12_usize, lost in 0..12_usize) {
        let mut world = World::of(vips, 0..nodes);
        world.place(0);
        let before = world.clone();
        let lost = node(lost % nodes);
        world.lose(&lost);
        world.place(usize::MAX);
        let rest: BTreeSet<&NodeName> = world.settled.iter().collect();
        let moved = moved(&before, &world);
        prop_assert!(moved.iter().all(|(_, from, _)| *from == lost), "{moved:?}");
        prop_assert!(spread(&rest, moved.iter().map(|(_, _, to)| to)) <= 1, "its own: {moved:?}");
        prop_assert!(spread(&rest, world.ranks.values().filter_map(Ranks::owner)) <= 1, "all: {:?}", world.ranks);
    }

    #[test]
    fn a_node_that_comes_gets_its_share_from_the_others_and_nothing_else_moves(vips in 0..200_usize, nodes in 1..12_usize, pace in 1..20_usize) {
        let mut world = World::of(vips, 0..nodes);
        world.place(0);
        let before = world.clone();
        let new = node(nodes);
        for (weights, _) in world.vips.values_mut() {
            weights.insert(new.clone(), 0);
        }

        // Nobody knows yet whether it stays.
        world.place(usize::MAX);
        prop_assert_eq!(moved(&before, &world), []);
        if nodes > HEIRS {
            prop_assert_eq!(&before.ranks, &world.ranks, "nor is it an heir where there are enough");
        }

        world.settled.insert(new.clone());
        let mut rounds = 0;
        loop {
            let round = world.clone();
            let unfinished = world.place(pace);
            let moved = moved(&round, &world);
            prop_assert!(moved.len() <= pace);
            prop_assert!(!unfinished || moved.len() == pace, "it moves what it may");
            if !unfinished { break; }
            rounds += 1;
        }
        let all = moved(&before, &world);
        prop_assert!(rounds <= all.len().div_ceil(pace));
        prop_assert!(all.len() <= vips.div_ceil(nodes + 1), "{} of {vips}", all.len());
        prop_assert!(all.iter().all(|(_, _, to)| *to == new), "{all:?}");
        prop_assert_eq!(is_even(&world, false), Ok(()));
    }
}

#[test]
fn a_pool_that_never_rebalances_keeps_its_owners_until_they_go() {
    let mut world = World::of(6, [0]);
    world.vips.values_mut().for_each(|(_, rebalance)| *rebalance = Rebalance::Never);
    world.place(usize::MAX);
    for (weights, _) in world.vips.values_mut() {
        weights.insert(node(1), 100);
    }
    world.settled.insert(node(1));
    assert!(!world.place(usize::MAX), "nothing waits either");
    assert!(world.ranks.values().all(|ranks| ranks.nodes == [node(0), node(1)]), "{:?}", world.ranks);
    world.lose(&node(0));
    world.place(0);
    assert!(world.ranks.values().all(|ranks| ranks.nodes == [node(1)]), "{:?}", world.ranks);
}

#[test]
fn nobody_is_moved_to_more_than_its_share_while_others_are_not_steady_yet() {
    let mut world = World::of(12, 0..3);
    let on = |owner| Ranks { nodes: vec![node(owner), node(1 - owner)], generation: 1 };
    world.ranks = (0..12).map(|vip| (address(vip), on(usize::from(vip >= 7)))).collect();
    world.settled.remove(&node(2));
    let before = world.clone();
    world.place(usize::MAX);
    assert_eq!(moved(&before, &world), [], "seven and five of twelve, but four are for the third");
    world.settled.insert(node(2));
    world.place(usize::MAX);
    assert_eq!(moved(&before, &world).len(), 4);
    assert_eq!(is_even(&world, false), Ok(()));
}

#[test]
fn what_is_preferred_to_an_owner_gets_its_addresses_once_it_is_steady_however_many() {
    let mut world = World::of(6, [0, 1]);
    world.place(0);
    for (weights, _) in world.vips.values_mut() {
        weights.insert(node(2), 100);
    }
    let before = world.clone();
    assert!(!world.place(usize::MAX));
    assert_eq!(moved(&before, &world), []);
    world.settled.insert(node(2));
    assert!(world.place(4), "two are waiting");
    assert_eq!(moved(&before, &world).len(), 4);
    assert!(!world.place(4));
    assert!(world.ranks.values().all(|ranks| ranks.owner() == Some(&node(2))), "{:?}", world.ranks);
    assert_eq!(is_even(&world, false), Ok(()));
}

#[test]
fn the_first_heir_that_may_inherits_although_others_have_less() {
    let mut world = World::of(1, [0, 1, 2, 3]);
    world.ranks = [(address(0), Ranks { nodes: vec![node(0), node(3), node(2)], generation: 7 })].into();
    world.lose(&node(0));
    world.lose(&node(3));
    world.place(0);
    assert_eq!(world.ranks[&address(0)], Ranks { nodes: vec![node(2), node(1)], generation: 8 });
}

#[test]
fn while_a_node_is_gone_nobody_who_could_stay_is_moved() {
    let mut world = World::of(9, [0, 1, 2]);
    // Everything is on one node, but for one address that is on another.
    let all_on = |owner| Ranks { nodes: vec![node(owner), node(2), node(1)], generation: 1 };
    world.ranks = (0..9).map(|vip| (address(vip), all_on(usize::from(vip == 8)))).collect();
    world.ranks.get_mut(&address(8)).unwrap().nodes = vec![node(1), node(0), node(2)];
    let before = world.clone();
    world.lose(&node(1));
    assert!(world.place(usize::MAX), "something is waiting");
    assert_eq!(moved(&before, &world), [(address(8), node(1), node(0))]);
    let before = world.clone();
    assert!(!world.place(usize::MAX));
    assert_eq!(moved(&before, &world).len(), 4, "of nine, two nodes have five and four");
}

#[test]
fn what_has_to_move_counts_against_the_pace() {
    let mut world = World::of(8, [0, 1]);
    let all_on = Ranks { nodes: vec![node(0), node(1)], generation: 1 };
    world.ranks = (0..8).map(|vip| (address(vip), all_on.clone())).collect();
    // The endpoint of one of them has moved away: that node is there for all others.
    world.vips.get_mut(&address(0)).unwrap().0.remove(&node(0));
    let before = world.clone();
    assert!(world.place(2));
    let moved = moved(&before, &world);
    assert_eq!(moved.len(), 2, "{moved:?}");
    assert_eq!(moved[0], (address(0), node(0), node(1)));
}

#[test]
fn who_hands_over_by_plan_stands_next_in_line() {
    let mut world = World::of(4, 0..4);
    world.place(0);
    let before = world.clone();
    world.vips.get_mut(&address(1)).unwrap().0.extend([(node(9), 5)]);
    world.settled.insert(node(9));
    world.place(1);
    assert_eq!(moved(&before, &world), [(address(1), node(1), node(9))]);
    assert_eq!(world.ranks[&address(1)].heirs().first(), Some(&node(1)));
}

/// Under the policy Local every Service has nodes of its own, so no group says anything of what is even.
#[test]
fn addresses_of_which_each_has_nodes_of_its_own_are_even_over_all_of_them() {
    let pairs: Vec<(usize, usize)> = (0..6).flat_map(|one| (0..one).map(move |other| (other, one))).collect();
    let mut world = World::of(pairs.len(), 0..6);
    for ((weights, _), (one, other)) in world.vips.values_mut().zip(pairs) {
        *weights = self::weights([one, other]);
    }
    assert!(!world.place(0));
    let owns = |node: &NodeName| world.ranks.values().filter(|ranks| ranks.owner() == Some(node)).count();
    for (address, (weights, _)) in &world.vips {
        let owner = world.owner(address).unwrap();
        let less = weights.keys().find(|other| owns(owner) > owns(other) + 1);
        assert_eq!(less, None, "{address} of {owner}: {:?}", world.ranks);
    }
}

#[test]
fn nobody_answers_where_nobody_may_and_the_generation_says_since_when() {
    let mut world = World::of(1, []);
    world.place(0);
    assert_eq!(world.ranks[&address(0)], Ranks::default());
    world.vips.get_mut(&address(0)).unwrap().0 = weights([4]);
    world.place(0);
    assert_eq!(world.ranks[&address(0)], Ranks { nodes: vec![node(4)], generation: 1 });
    world.lose(&node(4));
    world.place(0);
    assert_eq!(world.ranks[&address(0)], Ranks { nodes: Vec::new(), generation: 2 });
}

#[test]
fn a_record_that_somebody_has_spoilt_is_put_right() {
    let mut world = World::of(1, [0, 1, 2, 3]);
    let spoilt = vec![node(2), node(2), node(9), node(1), node(0), node(3)];
    world.ranks = [(address(0), Ranks { nodes: spoilt, generation: u64::MAX })].into();
    world.place(0);
    assert_eq!(world.ranks[&address(0)], Ranks { nodes: vec![node(2), node(1), node(0)], generation: u64::MAX });
}
