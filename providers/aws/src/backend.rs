//! What targets let in: the security group that all balancers of a cluster share, and the rules by which the targets' own groups let it in
//! (<https://docs.aws.amazon.com/elasticloadbalancing/latest/network/load-balancer-security-groups.html>).
//!
//! | What | Module |
//! |---|---|
//! | what the targets of one balancer have to let in | [`need`] |
//! | which of a target's security groups is the one | `backend/door.rs` |
//! | what all need together, and whether somebody is missing | `backend/said.rs` |
//! | which rules that comes to in one group, and which go | `backend/decision.rs` |
//! | the same for a dry run, which writes nothing | `backend/foreseen.rs` |
//!
//! Everybody says what he needs, and one at a time writes for all who have said it by then: what comes before what goes, and nothing goes that
//! somebody may need whom a record names and who has not said what he needs, or of whose targets it is not clear by which group. What that may
//! be, his record tells, if he was at rest; else all that was open when the process began. Who needs nothing that has not been
//! written for others waits for nobody: after a restart that is everybody.

mod decision;
mod door;
pub(crate) mod foreseen;
pub mod need;
mod said;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use portolan_core::ids::{Instance, LoadBalancerId, fnv1a};
use portolan_core::provider::{Error as ProviderError, ErrorKind};
use portolan_core::reason::Reason;

use crate::backend::decision::{Change, NoRoom, Wants, changes, is_open};
use crate::backend::door::Doors;
use crate::backend::foreseen::Foreseen;
use crate::backend::need::{Need, Who};
pub use crate::backend::said::Last;
use crate::backend::said::Said;
use crate::client::ec2::groups::{NewSecurityGroup, SecurityGroup, named};
use crate::client::error::Problem;
use crate::client::{self, Aws};
use crate::ids::{ClusterName, SecurityGroupId};
use crate::mark::Mark;
use crate::names::{CLUSTER, INSTANCE};
use crate::parameters::{BackendSecurityGroup, Parameters};
use crate::survey::{self, Learned, SecurityGroups, Survey};

/// What an object is that no load balancer has for itself.
const SHARED: &str = "portolan.dev/shared";

/// The tags of the shared group.
pub(crate) fn tags(cluster: &ClusterName, instance: &Instance) -> BTreeMap<String, String> {
    let tags = [(CLUSTER, cluster.as_str()), (INSTANCE, instance.as_str()), (SHARED, "targets")];
    tags.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// A group with these tags is the one of which those are the tags.
pub(crate) fn is_ours(own: &BTreeMap<String, String>, tags: &BTreeMap<String, String>) -> bool {
    own.iter().all(|(key, value)| tags.get(key) == Some(value))
}

/// The shared group's name: unique in a VPC, and told from those of other clusters.
pub(crate) fn name(cluster: &ClusterName, instance: &Instance) -> String {
    let hash = fnv1a(format!("{cluster}\n{}", instance.as_str()).as_bytes());
    format!("portolan-targets-{cluster}-{hash:016x}")
}

/// The keeper of the shared group and of the rules that name it. Cheap to clone: all clones are one. One for each cluster, region and VPC,
/// however many classes there are: two would revoke each other's rules, which carry one mark.
#[derive(Clone, Debug)]
pub struct Backend {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    parameters: Parameters,
    instance: Instance,
    mark: Mark,
    survey: Survey,
    said: Mutex<Said>,
    /// Held by whoever writes.
    acting: tokio::sync::Mutex<()>,
    /// What a dry run takes for written.
    foreseen: Mutex<Foreseen>,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ensured {
    /// The shared group, for the balancer to carry.
    pub group: Option<SecurityGroupId>,
    /// What could not be opened, and what to do about it, in texts that stay the same. The other targets are not kept waiting for it.
    pub problems: BTreeSet<String>,
}

/// Why a group of targets is not as it should be.
#[derive(Clone, Debug)]
enum Trouble {
    Failed(client::Error),
    NoRoom(NoRoom),
}

fn no_room(group: &SecurityGroupId, none: NoRoom) -> String {
    format!(
        "the security group {group} of targets has room for {} more inbound rules, and {} are needed to let balancers in; remove rules from \
         it, or raise the quota and tell it as rulesPerSecurityGroup in the class's parameters",
        none.room, none.needed
    )
}

/// Why it did not come to its end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The network is not known.
    #[error(transparent)]
    Survey(#[from] survey::Error),
    /// AWS did not do it.
    #[error(transparent)]
    Aws(#[from] client::Error),
    /// Somebody else has the name.
    #[error(
        "a security group of the VPC has the name {0} and tags that do not say that it is ours; rename or delete it, or set \
         backendSecurityGroup in the class's parameters"
    )]
    NameTaken(String),
    /// AWS says that the group exists and does not show it.
    #[error("the security group {0} has just been made, and AWS does not show it yet; it is looked for anew")]
    NotYetShown(String),
}

impl From<Error> for ProviderError {
    fn from(error: Error) -> Self {
        let message = error.to_string();
        match error {
            Error::Survey(error) => error.into(),
            Error::Aws(error) => error.into(),
            Error::NameTaken(_) => {
                Self { kind: ErrorKind::Wait(Duration::from_secs(60)), reason: Reason::NameTaken, message }
            }
            Error::NotYetShown(_) => Self { kind: ErrorKind::Retry, reason: Reason::ProviderFailed, message },
        }
    }
}

impl Backend {
    /// Nobody needs anything yet.
    pub fn new(parameters: Parameters, instance: Instance, survey: Survey) -> Self {
        let mark = Mark::of_targets(&parameters.cluster_name, &instance);
        let (said, acting, foreseen) = (Mutex::default(), tokio::sync::Mutex::default(), Mutex::default());
        Self { shared: Arc::new(Shared { parameters, instance, mark, survey, said, acting, foreseen }) }
    }

    /// Those whom records name, and what each may need. Until this is known nothing is revoked, and until each of them has said what he needs or
    /// has been released nothing that he may need; and the shared group stays.
    pub fn expect(&self, ids: impl IntoIterator<Item = (LoadBalancerId, Last)>) {
        self.with(|said| said.expect(ids));
    }

    /// This load balancer has not said what it needs, and others wait for that. Who goes without a word has to be released.
    pub fn expects(&self, id: &LoadBalancerId) -> bool {
        self.with(|said| said.expects(id))
    }

    /// Sees to it that the targets of this load balancer let in what it needs, and that the shared group exists if it carries it. Costs
    /// nothing where all is as it should be. `nodes` are the providerIDs of nodes.
    pub async fn ensure(
        &self,
        aws: &Aws,
        id: &LoadBalancerId,
        need: &Need,
        nodes: &[String],
    ) -> Result<Ensured, Error> {
        let mut problems = BTreeSet::new();
        let doors = self.doors(aws, need, nodes, &mut problems).await?;
        let changed = self.say(aws, id, doors).await?;
        let troubles = if !changed && self.is_served(id) { BTreeMap::new() } else { self.settle(aws).await };
        for (group, trouble) in troubles.into_iter().filter(|(group, _)| self.with(|said| said.has(id, group))) {
            match trouble {
                Trouble::Failed(error) => return Err(error.into()),
                Trouble::NoRoom(none) => drop(problems.insert(no_room(&group, none))),
            }
        }
        Ok(Ensured { group: self.group(), problems })
    }

    /// This load balancer is gone: what only it needed is revoked, and the last one takes the shared group with it. `InUse` as long as its
    /// balancer's interfaces have it.
    pub async fn release(&self, aws: &Aws, id: &LoadBalancerId, nodes: &[String]) -> Result<(), Error> {
        self.with(|said| said.forget(id));
        self.shared.survey.look(aws, Duration::MAX, nodes).await?;
        let troubles = self.settle(aws).await;
        for (group, trouble) in troubles {
            match trouble {
                Trouble::Failed(error) if !self.with(|said| said.anybody_has(&group)) => return Err(error.into()),
                // Those who are left hear of it when they come again.
                Trouble::Failed(_) | Trouble::NoRoom(_) => {}
            }
        }
        self.delete_unused(aws).await
    }

    /// The shared group, as far as it is known.
    pub fn group(&self) -> Option<SecurityGroupId> {
        self.shared.survey.known().backend_group.clone()
    }

    /// Which groups are to let in what. Asks for what is not known yet.
    async fn doors(
        &self,
        aws: &Aws,
        need: &Need,
        nodes: &[String],
        problems: &mut BTreeSet<String>,
    ) -> Result<Doors, Error> {
        let Shared { parameters, survey, .. } = &*self.shared;
        survey.look(aws, Duration::MAX, nodes).await?;
        let all: BTreeSet<Who> = need.openings.iter().flat_map(|opening| opening.who.iter().cloned()).collect();
        let interfaces = survey.groups_of(aws, &all, nodes).await?;
        let groups = self.groups();
        Ok(Doors::of(need, parameters, &interfaces, &groups, problems))
    }

    /// What this one needs is said, and with it that he carries the shared group: there has to be one by then.
    /// True if all together need something else by that.
    async fn say(&self, aws: &Aws, id: &LoadBalancerId, doors: Doors) -> Result<bool, Error> {
        let is_missing = |said: &Said| doors.shared && (said.deleting || self.group().is_none());
        if let Some(changed) = self.with(|said| (!is_missing(said)).then(|| said.say(id, doors.clone()))) {
            return Ok(changed);
        }
        let _acting = self.shared.acting.lock().await;
        if self.group().is_none() {
            self.make(aws).await?;
        }
        Ok(self.with(|said| said.say(id, doors)))
    }

    /// What this one needs is open, and somebody is writing for others: an endpoint does not wait for that.
    fn is_served(&self, id: &LoadBalancerId) -> bool {
        let Shared { mark, acting, .. } = &*self.shared;
        let (shared, groups) = (self.group(), self.groups());
        let wants = self.with(|said| said.wants(id, shared.as_ref()));
        let is_open = |id, wants| groups.get(id).is_some_and(|group| is_open(wants, &group.rules, mark));
        acting.try_lock().is_err() && wants.iter().all(|(group, wants)| is_open(group, wants))
    }

    /// An answer that got lost may have made it all the same.
    async fn make(&self, aws: &Aws) -> Result<(), Error> {
        let Shared { parameters, instance, survey, .. } = &*self.shared;
        let cluster = &parameters.cluster_name;
        let Some(vpc) = survey.known().vpc.clone() else { return Ok(()) };
        let mut all = parameters.defaults.tags.clone();
        all.extend(parameters.limits.tags.clone());
        all.extend(tags(cluster, instance));
        let new = NewSecurityGroup {
            name: name(cluster, instance),
            description: format!("Load balancers of the cluster {cluster}, let in by their targets"),
            vpc,
            tags: all,
        };
        match aws.create_security_group(&new).await {
            Ok(id) => {
                survey.learned(Learned::made(id, new));
                Ok(())
            }
            Err(error) if error.problem == Problem::Exists || !error.problem.without_effect() => {
                survey.look(aws, Duration::ZERO, &[]).await?;
                let is_taken = self.groups().values().any(|group| group.name == new.name);
                match (self.group(), is_taken) {
                    (Some(_), _) => Ok(()),
                    (None, true) => Err(Error::NameTaken(new.name)),
                    (None, false) if error.problem == Problem::Exists => Err(Error::NotYetShown(new.name)),
                    (None, false) => Err(error.into()),
                }
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Sees to it that what all want by now is written. That is so already where nothing of it has changed since it was.
    async fn settle(&self, aws: &Aws) -> BTreeMap<SecurityGroupId, Trouble> {
        if let Some(troubles) = self.settled() {
            return troubles;
        }
        let _acting = self.shared.acting.lock().await;
        match self.settled() {
            Some(troubles) => troubles,
            None => self.write_all(aws).await,
        }
    }

    /// What is wrong, if all has been written.
    fn settled(&self) -> Option<BTreeMap<SecurityGroupId, Trouble>> {
        let groups = self.groups();
        self.with(|said| {
            let no_room = said.is_settled(&groups)?;
            Some(no_room.iter().map(|(group, none)| (group.clone(), Trouble::NoRoom(*none))).collect())
        })
    }

    /// Writes what differs, in every group that has to let something in or has rules with our mark. One that cannot be written keeps none of
    /// the others from it.
    async fn write_all(&self, aws: &Aws) -> BTreeMap<SecurityGroupId, Trouble> {
        let mark = &self.shared.mark;
        let (shared, groups) = (self.group(), self.groups());
        let together = self.with(|said| {
            said.found(&groups);
            said.together(shared.as_ref())
        });
        let (mut failed, mut no_room) = (BTreeMap::new(), BTreeMap::new());
        let decide = || {
            let lists = &self.shared.survey.known().prefix_lists;
            changes(&together, &groups, mark, lists, |group, wanted| self.budget(group, wanted))
        };
        let mut decided = decide();
        if self.weigh(aws, &decided, &groups).await {
            decided = decide();
        }
        for (id, decided) in decided {
            match decided {
                Ok(change) => {
                    if let Err(error) = self.write(aws, &id, &change).await {
                        tracing::warn!(group = %id, %error, "what targets let in");
                        failed.insert(id.clone(), error);
                    }
                }
                Err(none) => drop(no_room.insert(id, none)),
            }
        }
        // Where something was written the groups are others by now, and are looked at once more.
        if failed.is_empty() {
            self.with(|said| said.settled(&together, groups, no_room.clone()));
        }
        let no_room = no_room.into_iter().map(|(group, none)| (group, Trouble::NoRoom(none)));
        no_room.chain(failed.into_iter().map(|(group, error)| (group, Trouble::Failed(error)))).collect()
    }

    /// Where rules come into a group in which others have rules that name prefix lists, as how many those count. True if something is known by
    /// that. Who may not ask opens without it: AWS has the last word.
    async fn weigh(
        &self,
        aws: &Aws,
        decided: &[(SecurityGroupId, Result<Change, NoRoom>)],
        groups: &SecurityGroups,
    ) -> bool {
        let survey = &self.shared.survey;
        let adds = |decided: &Result<Change, NoRoom>| decided.as_ref().map_or(true, |change| !change.add.is_empty());
        let written = decided.iter().filter(|(_, decided)| adds(decided)).filter_map(|(id, _)| groups.get(id));
        let named = written.flat_map(|group| named(&group.rules));
        let unknown = survey.known().prefix_lists.unknown(named);
        if unknown.is_empty() {
            return false;
        }
        let weighed = survey.weigh(aws, &unknown).await;
        if let Err(error) = &weighed {
            tracing::warn!(%error, "as how many rules prefix lists count is not known");
        }
        weighed.is_ok()
    }

    /// What the class says. Else, that a group of the VPC has more rules than AWS allows at first shows that the quota was raised, and not how
    /// far. AWS will say.
    fn budget(&self, group: &SecurityGroup, wanted: &Wants) -> usize {
        if let Some(rules) = self.shared.parameters.rules_per_security_group {
            return rules;
        }
        let estate = self.shared.survey.known();
        let least = match estate.rules_per_group {
            Some(_) => group.rules.len().saturating_add(wanted.len().saturating_mul(2)),
            None => 0,
        };
        estate.rule_budget().max(least)
    }

    async fn write(&self, aws: &Aws, group: &SecurityGroupId, change: &Change) -> Result<(), client::Error> {
        let survey = &self.shared.survey;
        for adds in if change.revoke_first { [false, true] } else { [true, false] } {
            let rules = if adds { &change.add } else { &change.revoke };
            if rules.is_empty() {
                continue;
            }
            let (written, learned) = if adds {
                (aws.authorize_ingress(group, rules).await, Learned::RulesAdded(group.clone(), rules.clone()))
            } else {
                (aws.revoke_ingress(group, rules).await, Learned::RulesRevoked(group.clone(), rules.clone()))
            };
            if written.as_ref().is_err_and(client::Error::is_gone) {
                // This group, or the shared one that the rules name: AWS's code is the same for both.
                let _ = survey.look(aws, Duration::ZERO, &[]).await;
            }
            written?;
            survey.learned(learned);
            tracing::info!(%group, rules = rules.len(), opened = adds, "what targets let in");
        }
        Ok(())
    }

    async fn delete_unused(&self, aws: &Aws) -> Result<(), Error> {
        let Shared { parameters, survey, .. } = &*self.shared;
        if parameters.backend_security_group != BackendSecurityGroup::Managed {
            return Ok(());
        }
        let _acting = self.shared.acting.lock().await;
        let unused = self.with(|said| {
            let unused = self.group().filter(|_| said.is_complete() && !said.is_shared());
            said.deleting = unused.is_some();
            unused
        });
        let Some(group) = unused else { return Ok(()) };
        let deleted =
            aws.delete_security_group(&group).await.or_else(|error| if error.is_gone() { Ok(()) } else { Err(error) });
        if deleted.is_ok() {
            survey.learned(Learned::GroupGone(group));
        }
        self.with(|said| said.deleting = false);
        // What keeps it may be a rule that another process has opened since we looked: the next try knows it, and revokes it.
        if deleted.as_ref().is_err_and(|error| error.problem == Problem::InUse) {
            survey.look(aws, Duration::ZERO, &[]).await?;
        }
        Ok(deleted?)
    }

    fn groups(&self) -> SecurityGroups {
        self.shared.survey.security_groups().unwrap_or_default()
    }

    fn with<T>(&self, what: impl FnOnce(&mut Said) -> T) -> T {
        what(&mut self.shared.said.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
