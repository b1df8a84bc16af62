//! What is known, as data: the last look, corrected by what was learned since.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use portolan_core::ids::Instance;
use portolan_core::time::Time;

use super::asked::Found;
use super::interfaces::Directory;
use super::{Error, Learned, SecurityGroups};
use crate::backend;
use crate::client::ec2::groups::{SecurityGroup, counted};
use crate::estate::Estate;
use crate::estate::prefix_lists::PrefixLists;
use crate::ids::{PrefixListId, SecurityGroupId, VpcId};
use crate::parameters::{BackendSecurityGroup, Parameters};

/// How long AWS may describe things as they were before we wrote. AWS promises no figure and speaks of minutes.
const LAG: Duration = Duration::from_secs(120);

/// What is known.
#[derive(Debug)]
pub(super) struct Seen {
    /// When the last look that succeeded began.
    looked: Option<Time>,
    /// When the last look that failed ended, and why, unless one has succeeded since.
    failure: Option<(Time, Error)>,
    /// By what is the shared group known for ours?
    backend: BackendSecurityGroup,
    backend_tags: BTreeMap<String, String>,
    vpc: Option<VpcId>,
    groups: SecurityGroups,
    learned: Vec<(Time, Learned)>,
    pub(super) lists: PrefixLists,
    /// The prefix lists that somebody has named.
    pub(super) named: BTreeSet<PrefixListId>,
    pub(super) interfaces: Directory,
    estate: Arc<Estate>,
}

impl Seen {
    pub(super) fn new(parameters: &Parameters, instance: &Instance) -> Self {
        let mut seen = Self {
            looked: None,
            failure: None,
            backend: parameters.backend_security_group.clone(),
            backend_tags: backend::tags(&parameters.cluster_name, instance),
            vpc: parameters.vpc_id.clone(),
            groups: SecurityGroups::default(),
            learned: Vec::new(),
            lists: PrefixLists::default(),
            named: BTreeSet::new(),
            interfaces: Directory::default(),
            estate: Arc::default(),
        };
        seen.estate =
            Arc::new(Estate { vpc: seen.vpc.clone(), backend_group: seen.backend_group(), ..Estate::default() });
        seen
    }

    pub(super) fn estate(&self) -> Arc<Estate> {
        Arc::clone(&self.estate)
    }

    pub(super) fn looked(&self) -> Option<Time> {
        self.looked
    }

    pub(super) fn vpc(&self) -> Option<VpcId> {
        self.vpc.clone()
    }

    /// All security groups; none if nobody has looked.
    pub(super) fn groups(&self) -> Option<&SecurityGroups> {
        self.looked.map(|_| &self.groups)
    }

    /// What a look found that began after this time, or at most this long before.
    pub(super) fn not_older(&self, since: Time, at_most: Duration) -> Option<Arc<Estate>> {
        let looked = self.looked?;
        (since.since(looked) <= at_most).then(|| self.estate())
    }

    /// Why a look failed that ended after this time.
    pub(super) fn failure_since(&self, since: Time) -> Option<Error> {
        self.failure.as_ref().filter(|(ended, _)| *ended >= since).map(|(_, error)| error.clone())
    }

    pub(super) fn failed(&mut self, ended: Time, error: Error) {
        self.failure = Some((ended, error));
    }

    pub(super) fn found(&mut self, began: Time, found: Found) -> Arc<Estate> {
        let Found { vpc, subnets, groups, instances } = found;
        self.looked = Some(began);
        self.failure = None;
        self.vpc = Some(vpc);
        let mut groups = groups.into_iter().map(|group| (group.id.clone(), Arc::new(group))).collect();
        self.interfaces = Directory::default();
        self.interfaces.instances(&instances);
        self.learned.retain(|(at, _)| began.since(*at) <= LAG);
        for (_, learned) in &self.learned {
            learned.correct(&mut groups);
        }
        self.groups = Arc::new(groups);
        self.lists = PrefixLists::default();
        let known = Estate { vpc: self.vpc.clone(), subnets: Some(subnets), ..Estate::default() };
        self.tell(known)
    }

    pub(super) fn learned(&mut self, at: Time, what: Learned) {
        what.correct(Arc::make_mut(&mut self.groups));
        self.learned.push((at, what));
        if self.looked.is_some() {
            self.tell(Estate::clone(&self.estate));
        }
    }

    /// It is known as how many rules these count.
    pub(super) fn is_weighed(&self, lists: &BTreeSet<PrefixListId>) -> bool {
        self.lists.unknown(lists).is_empty()
    }

    /// Those that somebody has named, and nobody has asked about since the look.
    pub(super) fn unweighed(&self) -> BTreeSet<PrefixListId> {
        self.lists.unknown(&self.named)
    }

    /// What AWS has said of them.
    pub(super) fn weighed(&mut self, lists: PrefixLists) {
        self.lists = lists;
        if self.looked.is_some() {
            self.tell(Estate::clone(&self.estate));
        }
    }

    fn tell(&mut self, known: Estate) -> Arc<Estate> {
        let mut named: BTreeMap<String, Vec<SecurityGroupId>> = BTreeMap::new();
        for group in self.groups.values() {
            if let Some(name) = group.tags.get("Name") {
                named.entry(name.clone()).or_default().push(group.id.clone());
            }
        }
        // One that has more rules than AWS allows at first shows that the quota was raised at least so far.
        let most = self.groups.values().map(|group| counted(&group.rules, &self.lists)).max();
        self.estate = Arc::new(Estate {
            security_groups: Some(named),
            backend_group: self.backend_group(),
            prefix_lists: self.lists.clone(),
            rules_per_group: most.filter(|most| *most > Estate::default().rule_budget()),
            ..known
        });
        self.estate()
    }

    fn backend_group(&self) -> Option<SecurityGroupId> {
        match &self.backend {
            BackendSecurityGroup::None => None,
            BackendSecurityGroup::Own(id) => Some(id.clone()),
            BackendSecurityGroup::Managed => {
                let is_ours = |group: &&Arc<SecurityGroup>| backend::is_ours(&self.backend_tags, &group.tags);
                self.groups.values().find(is_ours).map(|group| group.id.clone())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::ec2::groups::{Rule, Source, Traffic};
    use crate::ids::{ClusterName, Id};

    fn id(text: &str) -> SecurityGroupId {
        Id::parse(text).unwrap()
    }

    fn group(text: &str) -> SecurityGroup {
        SecurityGroup {
            id: id(text),
            name: text.to_owned(),
            description: String::new(),
            vpc: VpcId::parse("vpc-1"),
            rules: Vec::new(),
            tags: [("Name".to_owned(), text.to_owned())].into(),
        }
    }

    fn found(groups: Vec<SecurityGroup>) -> Found {
        Found { vpc: VpcId::parse("vpc-1").unwrap(), subnets: Vec::new(), groups, instances: Vec::new() }
    }

    fn seen() -> Seen {
        Seen::new(&Parameters::new(ClusterName::parse("prod").unwrap()), &Instance::default())
    }

    fn at(seconds: u64) -> Time {
        Time::default() + Duration::from_secs(seconds)
    }

    fn rule(port: u16) -> Rule {
        Rule {
            traffic: Traffic::Tcp(port, port),
            source: Source::Ipv4("10.0.0.0/8".parse().unwrap()),
            description: None,
        }
    }

    fn ids(seen: &Seen) -> Vec<&str> {
        seen.groups().unwrap().values().map(|group| group.id.as_str()).collect()
    }

    #[test]
    fn what_we_wrote_holds_although_aws_does_not_show_it_yet() {
        let mut seen = seen();
        seen.found(at(0), found(vec![group("sg-1"), group("sg-2")]));
        seen.learned(at(10), Learned::GroupMade(group("sg-3")));
        seen.learned(at(11), Learned::RulesAdded(id("sg-3"), vec![rule(80), rule(81)]));
        seen.learned(at(12), Learned::RulesRevoked(id("sg-3"), vec![rule(80)]));
        seen.learned(at(13), Learned::GroupGone(id("sg-2")));
        let expected = (vec!["sg-1", "sg-3"], vec![rule(81)]);
        let now = |seen: &Seen| {
            let groups: Vec<_> = seen.groups().unwrap().values().cloned().collect();
            (ids(seen).into_iter().map(str::to_owned).collect::<Vec<_>>(), groups[1].rules.clone())
        };
        let expected = (expected.0.into_iter().map(str::to_owned).collect::<Vec<_>>(), expected.1);
        assert_eq!(now(&seen), expected);
        assert_eq!(seen.estate().security_groups.as_ref().unwrap()["sg-3"], [id("sg-3")]);
        seen.found(at(20), found(vec![group("sg-1"), group("sg-2")]));
        assert_eq!(now(&seen), expected, "as it was before we wrote");
        seen.found(at(14 + LAG.as_secs()), found(vec![group("sg-1"), group("sg-2")]));
        assert_eq!(ids(&seen), ["sg-1", "sg-2"], "by now AWS is right");
    }

    #[test]
    fn a_rule_with_another_description_is_the_same_rule() {
        let mut groups =
            BTreeMap::from([(id("sg-1"), Arc::new(SecurityGroup { rules: vec![rule(80)], ..group("sg-1") }))]);
        let marked = Rule { description: Some("x".to_owned()), ..rule(80) };
        Learned::RulesAdded(id("sg-1"), vec![marked.clone()]).correct(&mut groups);
        assert_eq!(groups[&id("sg-1")].rules, [rule(80)]);
        Learned::RulesRevoked(id("sg-1"), vec![marked]).correct(&mut groups);
        assert_eq!(groups[&id("sg-1")].rules, []);
    }

    #[test]
    fn the_shared_group_is_the_class_s_own_or_the_one_with_our_tags() {
        let parameters = Parameters::new(ClusterName::parse("prod").unwrap());
        let of = |choice: BackendSecurityGroup, instance: &str| {
            let parameters = Parameters { backend_security_group: choice, ..parameters.clone() };
            let mut seen = Seen::new(&parameters, &Instance::default());
            let tags = backend::tags(&parameters.cluster_name, &Instance::parse(instance).unwrap());
            seen.found(at(0), found(vec![group("sg-1"), SecurityGroup { tags, ..group("sg-2") }]));
            seen.estate().backend_group.clone()
        };
        assert_eq!(of(BackendSecurityGroup::Managed, ""), Some(id("sg-2")));
        assert_eq!(of(BackendSecurityGroup::Managed, "blue"), None, "another Portolan's");
        assert_eq!(of(BackendSecurityGroup::Own(id("sg-9")), ""), Some(id("sg-9")));
        assert_eq!(of(BackendSecurityGroup::None, ""), None);
    }

    #[test]
    fn a_group_with_more_rules_than_aws_allows_at_first_shows_that_the_quota_was_raised() {
        let mut seen = seen();
        let with = |count: u16| SecurityGroup { rules: (1..=count).map(rule).collect(), ..group("sg-1") };
        assert_eq!(seen.found(at(0), found(vec![with(60)])).rule_budget(), 60);
        assert_eq!(seen.found(at(1), found(vec![with(75), group("sg-2")])).rule_budget(), 75);
        assert_eq!(seen.found(at(2), found(vec![with(60)])).rule_budget(), 60);
    }

    #[test]
    fn before_the_first_look_nothing_is_known_but_what_the_class_says() {
        let mut seen = seen();
        assert!(seen.groups().is_none());
        assert_eq!(*seen.estate(), Estate::default());
        seen.learned(at(1), Learned::GroupMade(group("sg-1")));
        assert_eq!(seen.estate().security_groups, None, "one group is not all of them");
        seen.found(at(2), found(Vec::new()));
        assert_eq!(ids(&seen), ["sg-1"]);
    }
}
