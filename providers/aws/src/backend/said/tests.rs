use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::backend::need::{Need, Opening, Transport, Who};
use crate::client::ec2::groups::SecurityGroup;
use crate::ids::{ClusterName, Id};
use crate::parameters::Parameters;
use crate::survey::Groups;

const GROUPS: [&str; 2] = ["sg-1", "sg-2"];

fn id(text: &str) -> SecurityGroupId {
    Id::parse(text).unwrap()
}

fn of(number: u8) -> LoadBalancerId {
    LoadBalancerId::new(format!("s{number}"))
}

fn groups() -> SecurityGroups {
    let group = |text: &&str| SecurityGroup {
        id: id(text),
        name: (*text).to_owned(),
        description: String::new(),
        vpc: None,
        rules: Vec::new(),
        tags: BTreeMap::new(),
    };
    Arc::new(GROUPS.iter().map(|text| (id(text), Arc::new(group(text)))).collect())
}

/// Targets behind these groups let balancers in to these ports. A target behind a third group, which nobody knows, is doubtful.
fn doors(behind: &[usize], ports: &[u16], shared: bool) -> Doors {
    let who = |index: &usize| Who::Instance(format!("i-{index}"));
    let group_of = |index: &usize| id(GROUPS.get(*index).copied().unwrap_or("sg-9"));
    let interfaces = behind.iter().map(|index| (who(index), Groups::new([group_of(index)].into()))).collect();
    let port = |number: &u16| Port { transport: Transport::Tcp, number: *number };
    let opening = Opening {
        who: behind.iter().map(who).collect(),
        from: [if shared { Peer::Balancers } else { Peer::Network("10.0.0.0/8".parse().unwrap()) }].into(),
        ports: ports.iter().map(port).collect(),
    };
    let need = Need { shared, own: false, openings: vec![opening] };
    let parameters = Parameters::new(ClusterName::parse("prod").unwrap());
    Doors::of(&need, &parameters, &interfaces, &groups(), &mut BTreeSet::new())
}

fn said(expected: &[u8]) -> Said {
    let mut said = Said::default();
    said.expect(expected.iter().map(|number| (of(*number), Last::Unknown)));
    said
}

fn settle(said: &mut Said, groups: &SecurityGroups) {
    let together = said.together(Some(&id("sg-shared")));
    said.settled(&together, Arc::clone(groups), BTreeMap::new());
}

#[test]
fn who_needs_what_others_need_changes_nothing_of_what_was_written() {
    let (mut said, groups) = (said(&[]), groups());
    said.say(&of(1), doors(&[0], &[80, 81], true));
    assert!(said.is_settled(&groups).is_none(), "nothing was written yet");
    settle(&mut said, &groups);
    assert!(said.is_settled(&groups).is_some());
    said.say(&of(2), doors(&[0], &[80], true));
    said.say(&of(1), doors(&[0], &[80, 81], true));
    said.forget(&of(2));
    assert!(said.is_settled(&groups).is_some(), "neither the first nor the last who needs it");
    said.say(&of(1), doors(&[0], &[81], true));
    assert!(said.is_settled(&groups).is_none(), "the last who needed 80");
    settle(&mut said, &groups);
    said.say(&of(3), doors(&[1], &[81], true));
    assert!(said.is_settled(&groups).is_none(), "the first behind this group");
    settle(&mut said, &groups);
    said.forget(&of(3));
    assert!(said.is_settled(&groups).is_none());
    settle(&mut said, &groups);
    assert!(said.is_settled(&SecurityGroups::new(BTreeMap::clone(&groups))).is_none(), "somebody has looked since");
}

#[test]
fn what_was_said_while_somebody_wrote_is_not_taken_for_written() {
    let (mut said, groups) = (said(&[]), groups());
    said.say(&of(1), doors(&[0], &[80], true));
    let together = said.together(Some(&id("sg-shared")));
    said.say(&of(2), doors(&[0], &[90], true));
    said.settled(&together, Arc::clone(&groups), BTreeMap::new());
    assert!(said.is_settled(&groups).is_none());
}

#[test]
fn when_the_last_who_is_missing_has_spoken_all_is_looked_at_once_more() {
    let (mut said, groups) = (said(&[1, 2, 3]), groups());
    said.say(&of(1), doors(&[0], &[80], true));
    settle(&mut said, &groups);
    said.say(&of(2), doors(&[0], &[80], true));
    assert!(said.is_settled(&groups).is_some(), "a third is missing still");
    assert!(!said.is_complete());
    said.forget(&of(3));
    assert!(said.is_complete() && said.is_settled(&groups).is_none(), "now what nobody needs can go");
    assert!(!Said::default().is_complete(), "nobody knows who is missing");
    assert!(Said::default().together(None).held.everything);
}

#[test]
fn who_is_silent_holds_what_his_record_tells_and_only_one_of_whom_nothing_is_known_holds_all_there_was() {
    let tcp = |number| Port { transport: Transport::Tcp, number };
    let (mut said, groups) = (Said::default(), groups());
    let known = |port| Last::Ports([tcp(port)].into());
    said.expect([(of(1), known(80)), (of(2), known(80)), (of(3), Last::Unknown)]);
    said.found(&groups);
    let held = |said: &Said| said.together(Some(&id("sg-shared"))).held;
    assert_eq!(held(&said), Held { ports: [tcp(80)].into(), before: Some(groups.clone()), everything: false });
    settle(&mut said, &groups);
    said.forget(&of(1));
    assert!(said.is_settled(&groups).is_some(), "another one may need it");
    said.say(&of(3), Doors::default());
    assert_eq!(held(&said), Held { ports: [tcp(80)].into(), before: None, everything: false });
    assert!(said.is_settled(&groups).is_none() && said.expects(&of(2)));
    said.say(&of(2), doors(&[2], &[81], true));
    assert_eq!(held(&said).ports, [tcp(81)].into(), "behind a group that nobody knows");
    said.say(&of(2), doors(&[0], &[81], true));
    assert!(held(&said).is_nothing() && said.is_complete());
}

#[test]
fn as_long_as_there_is_no_shared_group_for_those_who_need_one_nothing_goes() {
    let mut said = said(&[]);
    said.say(&of(1), doors(&[0], &[80], true));
    assert!(said.together(None).held.everything, "its rules would go with it");
    assert!(said.together(Some(&id("sg-shared"))).held.is_nothing());
    said.forget(&of(1));
    assert!(said.together(None).held.is_nothing());
}

/// What one of a few says or that he goes.
#[derive(Clone, Debug)]
enum Word {
    Says { number: u8, behind: Vec<usize>, ports: Vec<u16>, shared: bool },
    Goes(u8),
}

fn word() -> impl Strategy<Value = Word> {
    let says =
        (0..5_u8, prop::collection::vec(0..3_usize, 0..3), prop::collection::vec(80..84_u16, 0..3), any::<bool>());
    prop_oneof![
        3 => says.prop_map(|(number, behind, ports, shared)| Word::Says { number, behind, ports, shared }),
        1 => (0..5_u8).prop_map(Word::Goes),
    ]
}

proptest! {
    /// Kept as it comes and goes, it is what a naive reading of everybody's last words gives; and whatever changes it is noticed.
    #[test]
    fn what_is_kept_together_is_what_everybody_said_last(words in prop::collection::vec(word(), 0..40)) {
        let expected = [0, 1, 2];
        let (mut said, groups, shared) = (said(&expected), groups(), id("sg-shared"));
        let (mut last, mut missing): (BTreeMap<u8, Doors>, BTreeSet<u8>) = (BTreeMap::new(), expected.into());
        let naive = |last: &BTreeMap<u8, Doors>, missing: &BTreeSet<u8>| {
            let mut wants: BTreeMap<SecurityGroupId, Wants> = BTreeMap::new();
            for (group, peer, port) in last.values().flat_map(Doors::wanted) {
                let source = source(peer, Some(&shared)).unwrap();
                wants.entry(group.clone()).or_default().entry((port.transport, source)).or_default().insert(port.number);
            }
            let unclear: BTreeSet<Port> = last.values().flat_map(|doors| doors.unclear.iter().copied()).collect();
            (wants, unclear, missing.is_empty())
        };
        said.found(&groups);
        for word in words {
            let before = naive(&last, &missing);
            settle(&mut said, &groups);
            match word {
                Word::Says { number, behind, ports, shared } => {
                    let doors = doors(&behind, &ports, shared);
                    said.say(&of(number), doors.clone());
                    last.insert(number, doors);
                    missing.remove(&number);
                }
                Word::Goes(number) => {
                    said.forget(&of(number));
                    last.remove(&number);
                    missing.remove(&number);
                }
            }
            let after = naive(&last, &missing);
            let together = said.together(Some(&shared));
            let Held { ports, before: found, everything } = together.held;
            prop_assert_eq!(&(together.wants, ports, found.is_none()), &after);
            prop_assert!(!everything);
            prop_assert_eq!(said.is_settled(&groups).is_some(), before == after);
            prop_assert_eq!(said.is_shared(), last.values().any(|doors| doors.shared));
        }
    }
}
