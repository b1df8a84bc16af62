//! What we know because we did it. AWS describes it late: "ensuring eventual consistency"
//! (<https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html>).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::client::ec2::groups::{NewSecurityGroup, Rule, SecurityGroup};
use crate::ids::SecurityGroupId;

/// Something that AWS has acknowledged to us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Learned {
    /// A security group was made.
    GroupMade(SecurityGroup),
    /// A security group was deleted, or turned out to be gone.
    GroupGone(SecurityGroupId),
    /// Inbound rules were added.
    RulesAdded(SecurityGroupId, Vec<Rule>),
    /// Inbound rules were revoked.
    RulesRevoked(SecurityGroupId, Vec<Rule>),
    /// Tags were given.
    TagsSet(SecurityGroupId, BTreeMap<String, String>),
    /// The tags with these keys were removed.
    TagsRemoved(SecurityGroupId, BTreeSet<String>),
}

impl Learned {
    /// This group was made, under this id.
    pub fn made(id: SecurityGroupId, new: NewSecurityGroup) -> Self {
        let NewSecurityGroup { name, description, vpc, tags } = new;
        Self::GroupMade(SecurityGroup { id, name, description, vpc: Some(vpc), rules: Vec::new(), tags })
    }

    /// Corrects what is known. Doing it again changes nothing.
    pub(crate) fn correct(&self, groups: &mut BTreeMap<SecurityGroupId, Arc<SecurityGroup>>) {
        match self {
            // One that is described already may have rules by now.
            Self::GroupMade(group) => drop(groups.entry(group.id.clone()).or_insert_with(|| Arc::new(group.clone()))),
            Self::GroupGone(id) => drop(groups.remove(id)),
            Self::RulesAdded(id, rules) => {
                if let Some(group) = groups.get_mut(id).map(Arc::make_mut) {
                    let is_new = |rule: &&Rule| !group.rules.iter().any(|other| is_same(other, rule));
                    let new: Vec<Rule> = rules.iter().filter(is_new).cloned().collect();
                    group.rules.extend(new);
                }
            }
            Self::RulesRevoked(id, rules) => {
                if let Some(group) = groups.get_mut(id).map(Arc::make_mut) {
                    group.rules.retain(|rule| !rules.iter().any(|gone| is_same(gone, rule)));
                }
            }
            Self::TagsSet(id, tags) => {
                if let Some(group) = groups.get_mut(id).map(Arc::make_mut) {
                    group.tags.extend(tags.clone());
                }
            }
            Self::TagsRemoved(id, keys) => {
                if let Some(group) = groups.get_mut(id).map(Arc::make_mut) {
                    group.tags.retain(|key, _| !keys.contains(key));
                }
            }
        }
    }
}

/// Descriptions do not tell rules apart, as far as AWS is concerned.
fn is_same(one: &Rule, other: &Rule) -> bool {
    one.traffic == other.traffic && one.source == other.source
}
