//! What the record remembers of a load balancer: before a step, what it is about to make; once everything is as desired, all that AWS has
//! acknowledged. So a restart reads nothing of what nobody has changed, and a crash loses nothing of what was made.
//!
//! | Key | Value |
//! |---|---|
//! | `acknowledged` | the [`State`] as AWS has acknowledged it, without how targets are and without security groups, as JSON |
//! | `changing` | a change is under way: what is acknowledged is no longer the last word |
//! | `balancer NAME`, `group NAME` | one of this name is about to be made |
//! | `attributes OBJECT` | these attributes of this object are about to be ours |
//! | `tag KEY` | tags with this key are about to be given, and ours to remove |
//! | `private-link BALANCER` | that its rules do not count for PrivateLink is about to be ours |

use std::collections::{BTreeMap, BTreeSet};

use crate::backend::Last;
use crate::backend::need::of_group;
use crate::state::{Arn, Health, Leaving, Observed, State};
use crate::step::{AttributesOf, Step};

const ACKNOWLEDGED: &str = "acknowledged";
const CHANGING: &str = "changing";
const BALANCER: &str = "balancer";
const GROUP: &str = "group";
const ATTRIBUTES: &str = "attributes";
const TAG: &str = "tag";
const PRIVATE_LINK: &str = "private-link";

/// What a record says, read.
#[derive(Clone, Debug, Default)]
pub(super) struct Remembered {
    /// What was acknowledged last.
    pub(super) acknowledged: Option<State>,
    /// That is still the last word.
    pub(super) is_last: bool,
    /// The identities of what was acknowledged.
    pub(super) arns: BTreeSet<Arn>,
    /// The names that balancers of ours have or may have.
    pub(super) balancers: BTreeSet<String>,
    /// The names that target groups of ours have or may have.
    pub(super) groups: BTreeSet<String>,
    /// The keys of attributes that are or may be ours, by object.
    pub(super) owned: BTreeMap<String, BTreeSet<String>>,
    /// The keys of tags that we have or may have given.
    pub(super) given: BTreeSet<String>,
    /// The names of the balancers whose rules do not count for PrivateLink by our doing, or may not.
    pub(super) private_link: BTreeSet<String>,
}

impl Remembered {
    /// Reads it. What nobody could have written says nothing, so that AWS is asked.
    pub(super) fn read(external: &BTreeMap<String, String>) -> Self {
        let acknowledged: Option<State> = acknowledged(external).and_then(|text| serde_json::from_str(text).ok());
        let mut remembered = acknowledged.as_ref().map(Self::of_state).unwrap_or_default();
        remembered.is_last = acknowledged.is_some() && !external.contains_key(CHANGING);
        for (key, value) in external {
            match key.split_once(' ') {
                Some((BALANCER, name)) => drop(remembered.balancers.insert(name.to_owned())),
                Some((GROUP, name)) => drop(remembered.groups.insert(name.to_owned())),
                Some((TAG, key)) => drop(remembered.given.insert(key.to_owned())),
                Some((PRIVATE_LINK, name)) => drop(remembered.private_link.insert(name.to_owned())),
                Some((ATTRIBUTES, of)) => {
                    let keys = value.split(' ').filter(|key| !key.is_empty()).map(ToOwned::to_owned);
                    remembered.owned.entry(of.to_owned()).or_default().extend(keys);
                }
                Some(_) | None => {}
            }
        }
        remembered.acknowledged = acknowledged;
        remembered
    }

    /// What a state tells of names and attributes.
    pub(super) fn of_state(state: &State) -> Self {
        let mut remembered = Self { given: state.given.clone(), ..Self::default() };
        remembered.arns.extend(state.balancers.iter().map(|balancer| balancer.arn.clone()));
        remembered.arns.extend(state.groups.iter().map(|group| group.arn.clone()));
        for balancer in &state.balancers {
            remembered.balancers.insert(balancer.name.clone());
            remembered.private_link.extend(Some(balancer.name.clone()).filter(|_| balancer.private_link_ours));
            remembered.owns(balancer.name.clone(), &balancer.attributes);
            for listener in &balancer.listeners {
                remembered.owns(of_listener(&balancer.name, listener.port), &listener.attributes);
            }
        }
        for group in &state.groups {
            remembered.groups.insert(group.name.clone());
            remembered.owns(group.name.clone(), &group.attributes);
        }
        remembered
    }

    /// The region of what was acknowledged: the fourth part of an ARN
    /// (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html>).
    pub(super) fn region(&self) -> Option<&str> {
        let state = self.acknowledged.as_ref()?;
        let arns = state.balancers.iter().map(|balancer| &balancer.arn);
        let mut arns = arns.chain(state.groups.iter().map(|group| &group.arn));
        arns.find_map(|arn| arn.as_str().split(':').nth(3).filter(|region| !region.is_empty()))
    }

    /// Also what another one tells of names and attributes.
    pub(super) fn extend(&mut self, other: Self) {
        self.arns.extend(other.arns);
        self.balancers.extend(other.balancers);
        self.groups.extend(other.groups);
        self.given.extend(other.given);
        self.private_link.extend(other.private_link);
        for (object, keys) in other.owned {
            self.owned.entry(object).or_default().extend(keys);
        }
    }

    fn owns(&mut self, object: String, attributes: &Observed) {
        self.owned.entry(object).or_default().extend(attributes.owned.iter().cloned());
    }
}

/// What its targets may have to let in: as it was acknowledged, if that is the last word. Nothing is let in for one of which nothing was about
/// to be made.
pub(super) fn last_needed(external: &BTreeMap<String, String>) -> Last {
    if external.is_empty() {
        return Last::Ports(BTreeSet::new());
    }
    let remembered = Remembered::read(external);
    match remembered.acknowledged.filter(|_| remembered.is_last) {
        Some(state) => Last::Ports(state.groups.iter().flat_map(of_group).collect()),
        None => Last::Unknown,
    }
}

/// What was acknowledged last, as it is written.
pub(super) fn acknowledged(external: &BTreeMap<String, String>) -> Option<&str> {
    external.get(ACKNOWLEDGED).map(String::as_str)
}

/// The keys of what is only intended.
pub(super) fn intents(external: &BTreeMap<String, String>) -> impl Iterator<Item = &String> {
    external.keys().filter(|key| key.as_str() != ACKNOWLEDGED)
}

/// The record without what is only intended.
pub(super) fn only_acknowledged(external: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    external.get_key_value(ACKNOWLEDGED).map(|(key, value)| (key.clone(), value.clone())).into_iter().collect()
}

/// The name of the balancer that is about to be made, as the record says before the first step.
pub(super) fn to_be_made(external: &BTreeMap<String, String>, state: &State) -> Option<String> {
    let names = Remembered::read(external).balancers.into_iter();
    let mut missing = names.filter(|name| !state.balancers.iter().any(|balancer| &balancer.name == name));
    // Among several there are some that were deleted; then the creation itself tells.
    missing.next().filter(|_| missing.next().is_none())
}

/// What the record is to hold of a state that is at rest. None of any other: the next process has to look.
pub(super) fn remembered(state: &State) -> Option<BTreeMap<String, String>> {
    let [balancer] = state.balancers.as_slice() else { return None };
    let is_used = |arn| balancer.listeners.iter().any(|listener| listener.group.as_ref() == Some(arn));
    let at_rest = balancer.leaving == Leaving::No
        && balancer.is_active()
        && state.taken.is_empty()
        && state.groups.iter().all(|group| is_used(&group.arn) && group.rejected.is_empty());
    if !at_rest {
        return None;
    }
    let text = serde_json::to_string(&as_acknowledged(state)).ok()?;
    Some([(ACKNOWLEDGED.to_owned(), text)].into())
}

/// What of a state is remembered. How targets are changes by itself, and security groups are found by their tags in one question for all.
fn as_acknowledged(state: &State) -> State {
    let mut state = State { security_groups: Vec::new(), admitted: None, named_at_targets: false, ..state.clone() };
    for balancer in &mut state.balancers {
        only_owned(&mut balancer.attributes);
        balancer.listeners.iter_mut().for_each(|listener| only_owned(&mut listener.attributes));
    }
    for group in &mut state.groups {
        only_owned(&mut group.attributes);
        group.targets.retain(|registered| registered.health != Health::Draining);
        group.targets.iter_mut().for_each(|registered| registered.health = Health::Unknown);
    }
    state
}

fn only_owned(attributes: &mut Observed) {
    let Observed { values, owned } = attributes;
    values.retain(|key, _| owned.contains(key));
}

/// Two states are the same but for what changes by itself.
pub(super) fn same(one: &State, other: &State) -> bool {
    as_acknowledged(one) == as_acknowledged(other) && one.security_groups == other.security_groups
}

/// What has to be written down before a step. Of targets nothing has: who is registered is looked at anew all the time.
pub(crate) fn intent(step: &Step) -> Vec<(String, String)> {
    let made = |what: &str, name: &str| (format!("{what} {name}"), String::new());
    let changing = (CHANGING.to_owned(), String::new());
    let mut intents: Vec<_> = step.gives().map(|key| (format!("{TAG} {key}"), String::new())).collect();
    intents.extend(match step {
        Step::Admit { .. }
        | Step::Withdraw
        | Step::Weigh { .. }
        | Step::Register { .. }
        | Step::Deregister { .. }
        | Step::Foretold(_) => Vec::new(),
        Step::CreateBalancer { name, .. } => vec![made(BALANCER, name), changing],
        Step::CreateGroup { name, .. } => vec![made(GROUP, name), changing],
        Step::SetSecurityGroups { balancer, private_link_ours: true, .. } => {
            vec![made(PRIVATE_LINK, &balancer.name), changing]
        }
        Step::SetAttributes { of, values, owned } => {
            let object = match of {
                AttributesOf::Balancer(object) | AttributesOf::Group(object) => object.name.clone(),
                AttributesOf::Listener(of) => of_listener(&of.balancer.name, of.port),
            };
            let keys: BTreeSet<&str> =
                values.keys().map(|key| key.as_str()).chain(owned.iter().map(String::as_str)).collect();
            let keys = keys.into_iter().collect::<Vec<_>>().join(" ");
            vec![(format!("{ATTRIBUTES} {object}"), keys), changing]
        }
        Step::CreateSecurityGroup { .. }
        | Step::OpenRules { .. }
        | Step::CloseRules { .. }
        | Step::DeleteSecurityGroup { .. }
        | Step::SetHealthCheck { .. }
        | Step::SetIpAddressType { .. }
        | Step::SetSubnets { .. }
        | Step::SetSecurityGroups { .. }
        | Step::CreateListener { .. }
        | Step::ModifyListener { .. }
        | Step::AddCertificate { .. }
        | Step::RemoveCertificate { .. }
        | Step::DeleteListener { .. }
        | Step::SetTags { .. }
        | Step::RemoveTags { .. }
        | Step::Retire { .. }
        | Step::DeleteBalancer { .. }
        | Step::DeleteGroup { .. } => vec![changing],
    });
    intents
}

/// What a record remembers shows whether this has to be done. It does not of security groups, nor of what targets let in.
pub(super) fn tells_of(step: &Step) -> bool {
    match step {
        Step::Admit { .. }
        | Step::Withdraw
        | Step::Weigh { .. }
        | Step::CreateSecurityGroup { .. }
        | Step::OpenRules { .. }
        | Step::CloseRules { .. }
        | Step::DeleteSecurityGroup { .. }
        | Step::SetSecurityGroups { .. }
        | Step::Foretold(_) => false,
        Step::CreateBalancer { .. }
        | Step::RemoveTags { .. }
        | Step::CreateGroup { .. }
        | Step::SetAttributes { .. }
        | Step::Register { .. }
        | Step::Deregister { .. }
        | Step::SetHealthCheck { .. }
        | Step::SetIpAddressType { .. }
        | Step::SetSubnets { .. }
        | Step::CreateListener { .. }
        | Step::ModifyListener { .. }
        | Step::AddCertificate { .. }
        | Step::RemoveCertificate { .. }
        | Step::DeleteListener { .. }
        | Step::SetTags { .. }
        | Step::Retire { .. }
        | Step::DeleteBalancer { .. }
        | Step::DeleteGroup { .. } => true,
    }
}

/// A listener's name in a record: AWS gives it none.
pub(super) fn of_listener(balancer: &str, port: u16) -> String {
    format!("{balancer}:{port}")
}
