use super::*;
use crate::eligible::Field;
use crate::placement::Weights;

fn name(text: &str) -> NodeName {
    NodeName::new(text)
}

fn address(last: u8) -> IpAddr {
    IpAddr::from([203, 0, 113, last])
}

fn ranks(nodes: &[&str]) -> Ranks {
    Ranks { nodes: nodes.iter().map(|text| name(text)).collect(), generation: 1 }
}

/// An address by its last number, who was to answer for it and who is.
type Ranked<'a> = (u8, Option<&'a [&'a str]>, Option<&'a [&'a str]>);

/// The lines of these addresses: who was, who is, who may with which weight, who may not.
fn lines(all: &[Ranked<'_>], may: &[(&str, u32)], may_not: &[(&str, Reason)]) -> Vec<String> {
    let of = |ranked: Option<&[&str]>| ranked.map(ranks);
    let before = all.iter().filter_map(|(last, was, _)| Some((address(*last), of(*was)?))).collect();
    let after = all.iter().filter_map(|(last, _, is)| Some((address(*last), of(*is)?))).collect();
    let nodes: Weights = may.iter().map(|(node, weight)| (name(node), *weight)).collect();
    let faults = may_not.iter().map(|(node, reason)| (name(node), *reason)).collect();
    let field = Arc::new(Field { faults, ..Field::default() });
    let eligible = Arc::new(Eligibility { nodes: Arc::new(nodes), field, ..Eligibility::default() });
    let eligible = all.iter().map(|(last, _, _)| (address(*last), Arc::clone(&eligible))).collect();
    moves(&before, &after, &eligible).iter().map(ToString::to_string).collect()
}

#[test]
fn each_address_that_moves_says_from_where_to_where_and_why() {
    let (a, b): (&[&str], &[&str]) = (&["node-a", "node-b"], &["node-b"]);
    let one = |was, is, may: &[(&str, u32)], may_not: &[(&str, Reason)]| lines(&[(7, was, is)], may, may_not).concat();
    let both = [("node-a", 0), ("node-b", 0)];
    for (found, line) in [
        (
            one(Some(a), Some(b), &[("node-b", 0)], &[("node-a", Reason::Drained)]),
            "203.0.113.7: node-a -> node-b, because node-a is drained (annotation portolan.dev/drain)",
        ),
        (
            one(Some(a), Some(b), &[("node-b", 0)], &[]),
            "203.0.113.7: node-a -> node-b, because there is no node node-a any more",
        ),
        (
            one(Some(a), Some(b), &[("node-a", 10), ("node-b", 60)], &[]),
            "203.0.113.7: node-a -> node-b, because node-b is preferred (weight 60 to 10)",
        ),
        (one(Some(a), Some(b), &both, &[]), "203.0.113.7: node-a -> node-b, because node-a has more than its share"),
        (
            one(Some(a), Some(&[]), &[], &[("node-a", Reason::NoEndpoints)]),
            "203.0.113.7: node-a -> nobody, because node-a has nothing to answer for: no endpoint of the Service is ready in the address's family",
        ),
        (one(Some(&[]), Some(b), &both, &[]), "203.0.113.7: nobody -> node-b, because node-b may answer now"),
        (one(None, Some(b), &both, &[]), "203.0.113.7: nobody -> node-b, because it is new"),
        (one(Some(a), None, &[], &[]), "203.0.113.7: node-a -> nobody, because it is given back"),
        (one(Some(a), Some(&["node-a"]), &both, &[]), ""),
    ] {
        assert_eq!(found, line);
    }
}

#[test]
fn what_goes_the_same_way_for_the_same_reason_is_one_line_with_ten_names() {
    let mut all: Vec<Ranked<'_>> = Vec::new();
    all.extend((1..=12).map(|last| (last, Some(["a"].as_slice()), Some(["b"].as_slice()))));
    all.push((20, Some(&["a"]), Some(&["c"])));
    let found = lines(&all, &[("b", 0), ("c", 0)], &[("a", Reason::Deleting)]);
    let [many, one] = found.as_slice() else { panic!("{found:?}") };
    assert!(many.starts_with("203.0.113.1, 203.0.113.2, "), "{many}");
    assert!(many.ends_with("203.0.113.10 and 2 more: a -> b, because a is being deleted"), "{many}");
    assert_eq!(one, "203.0.113.20: a -> c, because a is being deleted");
}

/// The whole way, as `portolan plan` goes it for an edit of a node: who may answer, who shall, what that moves.
#[test]
fn draining_a_node_moves_what_it_has_and_says_so() {
    use crate::advertisement::{Advertisement, PoolRef};
    use crate::eligible::{Endpoints, Host, Member, Vip, eligible};
    use crate::placement::{self, Pace, Placement, Rebalance};
    use crate::pool::PoolName;
    use crate::selector::Labels;

    let host = |text: &str, drained| Host { drained, ..Host::sound(text) };
    let vip = || Vip {
        pool: PoolRef { name: PoolName::new("pool"), labels: Labels::new() },
        services: vec![Member { labels: Labels::new(), endpoints: Endpoints::Anywhere, health_check: None }],
    };
    let vips: BTreeMap<IpAddr, Vip> = (1..=6).map(|last| (address(last), vip())).collect();
    let settled = ["a", "b", "c"].map(name).into();
    let place = |drained: bool, previous: &BTreeMap<IpAddr, Ranks>| {
        let hosts = [host("a", drained), host("b", false), host("c", false)];
        let eligible = eligible(&vips, &hosts, &[Advertisement::default()], false);
        let placed = eligible.iter().map(|(address, eligible)| {
            let previous = previous.get(address).cloned().unwrap_or_default();
            let eligible = Arc::clone(&eligible.nodes);
            (*address, placement::Vip { eligible, rebalance: Rebalance::WhenSteady, previous })
        });
        let Placement { ranks, .. } = placement::place(&placed.collect(), &Pace { settled: &settled, moves: 10 });
        (ranks, eligible)
    };
    let lines = |before: &BTreeMap<IpAddr, Ranks>, (after, eligible): &(_, _)| {
        moves(before, after, eligible).iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let (before, _) = place(false, &BTreeMap::new());
    let drained = place(true, &before);
    assert_eq!(
        lines(&before, &drained),
        [
            "203.0.113.1: a -> b, because a is drained (annotation portolan.dev/drain)",
            "203.0.113.4: a -> c, because a is drained (annotation portolan.dev/drain)",
        ]
    );
    let back = place(false, &drained.0);
    assert_eq!(
        lines(&drained.0, &back),
        [
            "203.0.113.5: b -> a, because b has more than its share",
            "203.0.113.6: c -> a, because c has more than its share"
        ]
    );
}
