//! Many histories at random, with what must hold in each of their rounds.

use super::*;

#[derive(Clone, Debug)]
enum Edit {
    /// An address comes, or goes.
    Address(usize),
    /// A node may answer for these (of which each so manieth) or no longer.
    Node { node: usize, every: usize },
    /// A node is preferred.
    Weight { node: usize, weight: u32 },
    /// It has been steady, or not.
    Steady(usize),
    /// A pool's mind changes.
    Rebalance(usize),
}

fn edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        4 => (0..24_usize).prop_map(Edit::Address),
        3 => (0..6_usize, 1..4_usize).prop_map(|(node, every)| Edit::Node { node, every }),
        1 => (0..6_usize, 0..3_u32).prop_map(|(node, weight)| Edit::Weight { node, weight }),
        2 => (0..6_usize).prop_map(Edit::Steady),
        1 => (0..24_usize).prop_map(Edit::Rebalance),
    ]
}

impl World {
    fn edit(&mut self, edit: &Edit) {
        match edit {
            Edit::Address(number) => {
                let address = address(*number);
                if self.vips.remove(&address).is_none() {
                    let like = self.vips.values().next().cloned();
                    self.vips.insert(address, like.unwrap_or_else(|| (weights(0..4), Rebalance::WhenSteady)));
                }
                self.ranks.retain(|address, _| self.vips.contains_key(address));
            }
            Edit::Node { node: number, every } => {
                for (weights, _) in self.vips.values_mut().step_by(*every) {
                    if weights.remove(&node(*number)).is_none() {
                        weights.insert(node(*number), 0);
                    }
                }
            }
            Edit::Weight { node: number, weight } => {
                let of = |(weights, _): &mut (Weights, Rebalance)| {
                    weights.get_mut(&node(*number)).into_iter().for_each(|own| *own = *weight);
                };
                self.vips.values_mut().for_each(of);
            }
            Edit::Steady(number) => {
                if !self.settled.remove(&node(*number)) {
                    self.settled.insert(node(*number));
                }
            }
            Edit::Rebalance(number) => {
                for (_, rebalance) in self.vips.get_mut(&address(*number)).into_iter() {
                    *rebalance = match rebalance {
                        Rebalance::WhenSteady => Rebalance::Never,
                        Rebalance::Never => Rebalance::WhenSteady,
                    };
                }
            }
        }
    }
}

/// What holds between a round and the one before it.
fn holds(before: &World, after: &World, pace: usize) -> Result<(), TestCaseError> {
    let everybody: BTreeSet<&NodeName> = after.vips.values().flat_map(|(weights, _)| weights.keys()).collect();
    let mut planned = 0;
    let mut somebody_is_gone = false;
    for (address, (weights, rebalance)) in &after.vips {
        let was = before.ranks.get(address).cloned().unwrap_or_default();
        let is = &after.ranks[address];
        prop_assert_eq!(is.nodes.len(), weights.len().min(1 + HEIRS), "{} has its ranks: {:?}", address, is);
        prop_assert_eq!(is.nodes.iter().collect::<BTreeSet<_>>().len(), is.nodes.len(), "each once: {:?}", is);
        prop_assert!(
            is.nodes.iter().all(|node| weights.contains_key(node)),
            "only those who may: {is:?} of {weights:?}"
        );
        let generation = was.generation + u64::from(was.nodes != is.nodes);
        prop_assert_eq!(is.generation, generation, "the generation grows if and only if the ranks change");
        somebody_is_gone |= was.owner().is_some_and(|owner| !everybody.contains(owner));
        let heir = was.nodes.iter().find(|node| weights.contains_key(*node));
        if let (Some(heir), Some(owner)) = (heir, is.owner())
            && heir != owner
        {
            prop_assert_eq!(was.owner(), Some(heir), "who inherits is not passed over");
            prop_assert_eq!(*rebalance, Rebalance::WhenSteady);
            prop_assert!(after.settled.contains(owner), "planned moves go to the steady");
            planned += 1;
        }
    }
    prop_assert!(planned <= pace, "{planned} of {pace}");
    prop_assert!(planned == 0 || !somebody_is_gone, "a node that goes moves only its own");
    Ok(())
}

proptest! {
    #[test]
    fn in_every_round_of_every_history_the_rules_hold(rounds in proptest::collection::vec((proptest::collection::vec(edit(), 0..4), 0..5_usize), 1..40)) {
        let mut world = World::of(12, 0..4);
        for (edits, pace) in rounds {
            edits.iter().for_each(|edit| world.edit(edit));
            let before = world.clone();
            let unshared = place(&world.input(false), &Pace { settled: &world.settled, moves: pace });
            prop_assert_eq!(&unshared, &world.placed(pace), "equal weights are equal, shared or not");

            world.place(pace);
            holds(&before, &world, pace)?;

            prop_assert_eq!(&world.placed(0).ranks, &world.ranks, "what came out comes out again");
        }
        // Left in peace it comes to rest: even, preferred first, in as few rounds as it takes to lose what is gone.
        world.settled = (0..6).map(node).collect();
        world.vips.values_mut().for_each(|(_, rebalance)| *rebalance = Rebalance::WhenSteady);
        world.place(usize::MAX);
        prop_assert!(!world.place(usize::MAX));
        prop_assert_eq!(&world.placed(usize::MAX).ranks, &world.ranks);
        prop_assert_eq!(is_even(&world, false), Ok(()));
    }
}
