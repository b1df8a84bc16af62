use std::sync::Arc;

use portolan_core::ids::LoadBalancerId;

use super::*;
use crate::backend::need::{Opening, Transport};
use crate::backend::said::Said;
use crate::client::ec2::groups::{SecurityGroup, Source};
use crate::ids::Id;

fn id(text: &str) -> SecurityGroupId {
    Id::parse(text).unwrap()
}

fn ids(texts: &[&str]) -> BTreeSet<SecurityGroupId> {
    texts.iter().map(|text| id(text)).collect()
}

/// Groups of the VPC, tagged for the cluster or not.
fn groups(tagged: &[(&str, bool)]) -> SecurityGroups {
    let group = |(text, tagged): &(&str, bool)| SecurityGroup {
        id: id(text),
        name: (*text).to_owned(),
        description: String::new(),
        vpc: None,
        rules: Vec::new(),
        tags: tagged.then(|| ("kubernetes.io/cluster/prod".to_owned(), "owned".to_owned())).into_iter().collect(),
    };
    Arc::new(tagged.iter().map(|one| (id(one.0), Arc::new(group(one)))).collect())
}

fn parameters(backend_security_group: BackendSecurityGroup) -> Parameters {
    Parameters { backend_security_group, ..Parameters::new(ClusterName::parse("prod").unwrap()) }
}

fn who(text: &str) -> Who {
    Who::Instance(text.to_owned())
}

const TCP_80: Port = Port { transport: Transport::Tcp, number: 80 };

fn need(targets: &[&str], from: Peer) -> Need {
    let who = targets.iter().map(|text| who(text)).collect();
    Need { shared: true, own: false, openings: vec![Opening { who, from: [from].into(), ports: [TCP_80].into() }] }
}

#[test]
fn a_target_lets_in_by_its_only_group_or_by_the_only_one_of_the_cluster() {
    let there = groups(&[("sg-1", false), ("sg-2", true), ("sg-3", true)]);
    let cluster = ClusterName::parse("prod").unwrap();
    let pick = |candidates: &[&str]| pick(&cluster, &ids(candidates), &there);
    assert_eq!(pick(&["sg-1"]), Ok(id("sg-1")), "tagged or not");
    assert_eq!(pick(&["sg-1", "sg-2"]), Ok(id("sg-2")));
    for (candidates, why) in [
        (&["sg-2", "sg-3"][..], "several of which have the tag kubernetes.io/cluster/prod; leave it on the one"),
        (&["sg-1", "sg-9"], "none of which has the tag kubernetes.io/cluster/prod; tag the one"),
        (&[], "has no security group"),
        (&["sg-9"], "sg-9 is not in the VPC"),
    ] {
        assert!(pick(candidates).unwrap_err().contains(why), "{candidates:?}: {:?}", pick(candidates));
    }
}

#[test]
fn one_target_that_cannot_be_opened_keeps_none_of_the_others_closed() {
    let there = groups(&[("sg-1", false), ("sg-2", false)]);
    let interfaces = BTreeMap::from([
        (who("i-1"), Arc::new(ids(&["sg-1", "sg-2"]))),
        (who("i-2"), Arc::new(ids(&["sg-1"]))),
        (who("i-3"), Arc::new(ids(&["sg-1", "sg-2"]))),
    ]);
    let mut problems = BTreeSet::new();
    let need = need(&["i-1", "i-2", "i-3", "i-gone"], Peer::Balancers);
    let doors = Doors::of(&need, &parameters(BackendSecurityGroup::Managed), &interfaces, &there, &mut problems);
    assert_eq!(doors.wants.keys().collect::<Vec<_>>(), [&id("sg-1")]);
    assert_eq!(doors.unclear, [TCP_80].into(), "so that nothing is revoked meanwhile");
    assert_eq!(problems.len(), 1, "said once for all that are alike: {problems:?}");
    assert!(problems.first().unwrap().starts_with("i-1 cannot be opened to balancers: "), "{problems:?}");
}

#[test]
fn the_class_s_shared_group_decides_who_is_let_in() {
    let there = groups(&[("sg-1", false)]);
    let interfaces = BTreeMap::from([(who("i-1"), Arc::new(ids(&["sg-1"])))]);
    let network = Peer::Network("10.0.0.0/24".parse().unwrap());
    let open = |backend, peer, shared: Option<&str>| {
        let doors = Doors::of(&need(&["i-1"], peer), &parameters(backend), &interfaces, &there, &mut BTreeSet::new());
        let (mut said, is_shared) = (Said::default(), doors.shared);
        said.say(&LoadBalancerId::new("a"), doors);
        let wants = said.together(shared.map(id).as_ref()).wants;
        let sources: Vec<Source> =
            wants.values().flat_map(|wants| wants.keys().map(|(_, source)| source.clone())).collect();
        (is_shared, sources)
    };
    let group = || Source::Group(id("sg-9"));
    assert_eq!(open(BackendSecurityGroup::Managed, Peer::Balancers, Some("sg-9")), (true, vec![group()]));
    assert_eq!(open(BackendSecurityGroup::Managed, Peer::Balancers, None), (true, vec![]), "it is not made yet");
    let own = BackendSecurityGroup::Own(id("sg-9"));
    assert_eq!(open(own, Peer::Balancers, Some("sg-9")), (false, vec![group()]), "somebody else keeps it");
    assert_eq!(open(BackendSecurityGroup::None, Peer::Balancers, None), (false, vec![]));
    let by_network = Source::Ipv4("10.0.0.0/24".parse().unwrap());
    assert_eq!(open(BackendSecurityGroup::None, network, None).1, [by_network]);
}
