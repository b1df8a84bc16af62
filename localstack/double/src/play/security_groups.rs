//! Security groups of EC2: what emulators let pass.

use crate::network::items;
use crate::play::Stage;
use crate::query::Query;
use crate::refusal::Refusal;
use crate::rules::ingress;
use crate::xml::Element;

/// `InvalidPermission.Duplicate`, `RulesPerSecurityGroupLimitExceeded`.
pub(crate) async fn authorize(stage: &Stage<'_>, query: &Query) -> Result<(), Refusal> {
    let Some(id) = query.get("GroupId") else { return Ok(()) };
    let Ok(groups) = stage.network().security_groups(&[id.to_owned()]).await else {
        return Ok(()); // the emulator says in EC2's words that there is no such group
    };
    let existing = groups.iter().flat_map(ingress::existing).collect();
    ingress::add(&ingress::asked(query), &existing, stage.shared.quotas.rules_per_security_group)
}

/// `DependencyViolation` while a balancer, or the interfaces of one that was deleted lately, uses the group, or a rule of another names it
/// (EC2 API reference, DeleteSecurityGroup).
pub(crate) async fn delete(stage: &mut Stage<'_>, query: &Query) -> Result<(), Refusal> {
    let Some(id) = query.get("GroupId") else { return Ok(()) };
    let held = stage.estate.held_security_groups.get(id).is_some_and(|until| stage.now < *until);
    if held || stage.estate.balancers.iter().any(|balancer| balancer.security_groups.contains(id)) {
        return Err(dependent(id));
    }
    let all = stage.network().all_security_groups().await?;
    let named = |group: &Element| {
        items(group, "ipPermissions")
            .iter()
            .flat_map(|rule| items(rule, "groups"))
            .any(|source| source.text_at(&["groupId"]) == Some(id))
    };
    if all.iter().any(|group| group.text_at(&["groupId"]) != Some(id) && named(group)) {
        return Err(dependent(id));
    }
    stage.estate.held_security_groups.remove(id);
    Ok(())
}

/// One that was created lately is not described yet.
pub(crate) fn are_visible(stage: &Stage<'_>, query: &Query) -> Result<(), Refusal> {
    match query.list("GroupId").into_iter().find(|id| is_hidden(stage, id)) {
        Some(hidden) => {
            Err(Refusal::new("InvalidGroup.NotFound", format!("The security group '{hidden}' does not exist")))
        }
        None => Ok(()),
    }
}

/// Remembers when a group was created.
pub(crate) fn born(stage: &mut Stage<'_>, answer: &Element) {
    if let Some(id) = answer.text_at(&["groupId"]) {
        stage.estate.security_groups_born.insert(id.to_owned(), stage.now);
    }
}

/// Takes those that are not described yet out of a list.
pub(crate) fn hide(stage: &Stage<'_>, answer: &mut Element) {
    if let Some(list) = answer.child_mut("securityGroupInfo") {
        list.children.retain(|group| group.text_at(&["groupId"]).is_none_or(|id| !is_hidden(stage, id)));
    }
}

fn is_hidden(stage: &Stage<'_>, id: &str) -> bool {
    stage.estate.security_groups_born.get(id).is_some_and(|born| !stage.is_visible(*born))
}

fn dependent(id: &str) -> Refusal {
    Refusal::new("DependencyViolation", format!("resource {id} has a dependent object"))
}
