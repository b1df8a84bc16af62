//! What would be written at the targets, for a dry run: the same decision, and nothing is written. What a plan has told is taken for written by
//! the plans after it, so that the shared group is made once and deleted by the last one.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};

use portolan_core::ids::{LoadBalancerId, fnv1a};

use crate::backend::decision::{Change, changes};
use crate::backend::door::Doors;
use crate::backend::need::{Need, Who};
use crate::backend::said::Said;
use crate::backend::{Backend, name, no_room};
use crate::client::ec2::groups::{NewSecurityGroup, Rule, Source, Traffic};
use crate::estate::Known;
use crate::ids::{Id, SecurityGroupId};
use crate::parameters::BackendSecurityGroup;
use crate::step::Foretold;
use crate::survey::{Learned, SecurityGroups};

/// What a dry run takes for written.
#[derive(Clone, Debug, Default)]
pub(super) struct Foreseen {
    /// The shared group, if a plan has told that it is made; or that it is deleted.
    shared: Option<Option<SecurityGroupId>>,
    learned: Vec<Learned>,
}

/// The identity of a group that a dry run takes for made: nobody is shown it.
pub(crate) fn stand_in(name: &str) -> Option<SecurityGroupId> {
    SecurityGroupId::parse(&format!("sg-{:016x}", fnv1a(name.as_bytes())))
}

/// What would be, and what there would be then.
struct Prospect {
    told: Vec<Foretold>,
    said: Said,
    foreseen: Foreseen,
}

impl Backend {
    /// The calls by which the targets of this load balancer would let in what it needs.
    pub(crate) fn would_admit(&self, id: &LoadBalancerId, need: &Need) -> Vec<Foretold> {
        self.prospect(id, Some(need)).map_or_else(|| vec![unknown(Some(need))], |prospect| prospect.told)
    }

    /// The calls by which they would let in no more what only this one needed.
    pub(crate) fn would_withdraw(&self, id: &LoadBalancerId) -> Vec<Foretold> {
        self.prospect(id, None).map_or_else(|| vec![unknown(None)], |prospect| prospect.told)
    }

    /// From now on that is so: this one needs that, or nothing any more.
    pub(crate) fn foresee(&self, id: &LoadBalancerId, need: Option<&Need>) {
        let Some(Prospect { said, foreseen, told: _ }) = self.prospect(id, need) else { return };
        self.with(|own| *own = said);
        *self.shared.foreseen.lock().unwrap_or_else(PoisonError::into_inner) = foreseen;
    }

    /// None if AWS has not told what there is.
    fn prospect(&self, id: &LoadBalancerId, need: Option<&Need>) -> Option<Prospect> {
        let parameters = &self.shared.parameters;
        let survey = &self.shared.survey;
        let need = need.map(|need| need.made(|name| survey.security_group_named(name).or_else(|| stand_in(name))));
        let need = need.as_ref();
        let mut foreseen = self.shared.foreseen.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (mut told, mut problems) = (Vec::new(), BTreeSet::new());
        let mut said = self.with(|said| said.clone());
        let doors = match need {
            Some(need) => {
                let all: BTreeSet<Who> = need.openings.iter().flat_map(|opening| opening.who.iter().cloned()).collect();
                let groups = foreseen.on(&survey.security_groups()?);
                Some(Doors::of(need, parameters, &survey.known_groups_of(&all)?, &groups, &mut problems))
            }
            None => None,
        };
        told.extend(problems.into_iter().map(|problem| Foretold::Stuck { problem }));
        let name = name(&parameters.cluster_name, &self.shared.instance);
        if doors.as_ref().is_some_and(|doors| doors.shared) && foreseen.shared(self.group()).is_none() {
            let vpc = survey.known().vpc.clone();
            let id = stand_in(&name)?;
            foreseen.shared = Some(Some(id.clone()));
            let (description, tags) = (String::new(), super::tags(&parameters.cluster_name, &self.shared.instance));
            let new = NewSecurityGroup { name: name.clone(), description, vpc: vpc.clone()?, tags };
            foreseen.learned.push(Learned::made(id, new));
            told.push(Foretold::MakeShared { name: name.clone(), vpc: Known::from(vpc) });
        }
        match doors {
            Some(doors) => drop(said.say(id, doors)),
            None => said.forget(id),
        }
        let groups = foreseen.on(&survey.security_groups()?);
        let shared = foreseen.shared(self.group());
        said.found(&groups);
        let together = said.together(shared.as_ref());
        let lists = &survey.known().prefix_lists;
        let decided = changes(&together, &groups, &self.shared.mark, lists, |group, wants| self.budget(group, wants));
        for (group, decided) in decided {
            match decided {
                Ok(change) => foreseen.follow(&group, change, shared.as_ref(), &groups, &mut told),
                Err(none) => {
                    let is_asked = said.has(id, &group);
                    let problem = no_room(&group, none);
                    told.extend(is_asked.then_some(Foretold::Stuck { problem }));
                }
            }
        }
        if need.is_none() {
            let is_ours = parameters.backend_security_group == BackendSecurityGroup::Managed;
            if !together.held.is_nothing() || !said.is_complete() {
                told.push(Foretold::Unknown {
                    what: "let in at the targets no more what only this load balancer needed".to_owned(),
                    why: "unknown: what others need is not known",
                });
            } else if let Some(id) = shared.filter(|_| is_ours && !said.is_shared()) {
                foreseen.shared = Some(None);
                foreseen.learned.push(Learned::GroupGone(id.clone()));
                told.push(Foretold::DeleteShared { id, name });
            }
        }
        Some(Prospect { told, said, foreseen })
    }
}

impl Foreseen {
    fn shared(&self, known: Option<SecurityGroupId>) -> Option<SecurityGroupId> {
        self.shared.clone().unwrap_or(known)
    }

    /// The groups as they are then.
    fn on(&self, groups: &SecurityGroups) -> SecurityGroups {
        let mut groups = Arc::clone(groups);
        if !self.learned.is_empty() {
            let own = Arc::make_mut(&mut groups);
            self.learned.iter().for_each(|learned| learned.correct(own));
        }
        groups
    }

    fn follow(
        &mut self,
        group: &SecurityGroupId,
        change: Change,
        shared: Option<&SecurityGroupId>,
        groups: &SecurityGroups,
        told: &mut Vec<Foretold>,
    ) {
        let Change { add, revoke, revoke_first } = change;
        let rules = |rules: &[Rule]| rules.iter().map(|rule| text(rule, shared, groups)).collect::<Vec<_>>();
        for adds in if revoke_first { [false, true] } else { [true, false] } {
            let group = group.clone();
            if adds && !add.is_empty() {
                told.push(Foretold::LetIn { group: group.clone(), rules: rules(&add), after_a_gap: revoke_first });
                self.learned.push(Learned::RulesAdded(group, add.clone()));
            } else if !adds && !revoke.is_empty() {
                told.push(Foretold::Shut { group: group.clone(), rules: rules(&revoke) });
                self.learned.push(Learned::RulesRevoked(group, revoke.clone()));
            }
        }
    }
}

fn unknown(need: Option<&Need>) -> Foretold {
    let what = match need {
        Some(need) => {
            let ports: BTreeSet<String> =
                need.openings.iter().flat_map(|opening| &opening.ports).map(ToString::to_string).collect();
            let ports = if ports.is_empty() { "nothing".to_owned() } else { Vec::from_iter(ports).join(", ") };
            format!("let in {ports} at the security groups of the targets")
        }
        None => "let in at the targets no more what only this load balancer needed".to_owned(),
    };
    Foretold::Unknown { what, why: "AWS not reachable: unknown" }
}

fn text(rule: &Rule, shared: Option<&SecurityGroupId>, groups: &SecurityGroups) -> String {
    let range = |from: u16, to: u16| if from == to { from.to_string() } else { format!("{from}-{to}") };
    let traffic = match rule.traffic {
        Traffic::Tcp(from, to) => format!("{}/TCP", range(from, to)),
        Traffic::Udp(from, to) => format!("{}/UDP", range(from, to)),
        Traffic::Icmp(..) | Traffic::Icmpv6(..) | Traffic::All | Traffic::Other(_) => format!("{:?}", rule.traffic),
    };
    let source = match &rule.source {
        Source::Ipv4(network) => network.to_string(),
        Source::Ipv6(network) => network.to_string(),
        Source::PrefixList(list) => list.to_string(),
        Source::Group(group) if Some(group) == shared => "the load balancers".to_owned(),
        Source::Group(group) if groups.contains_key(group) => group.to_string(),
        // Its own group, which this plan makes.
        Source::Group(_) => "the load balancer".to_owned(),
    };
    format!("{traffic} from {source}")
}
