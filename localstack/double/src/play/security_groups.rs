//! Security groups of EC2: what emulators let pass.

use std::collections::BTreeSet;

use crate::network::items;
use crate::play::Stage;
use crate::query::Query;
use crate::refusal::Refusal;
use crate::rules::ingress::{self, Rule};
use crate::rules::prefix_lists;
use crate::xml::Element;

/// `InvalidPermission.Duplicate`, `RulesPerSecurityGroupLimitExceeded`, `InvalidPrefixListID.NotFound`.
pub(crate) async fn authorize(stage: &Stage<'_>, query: &Query) -> Result<(), Refusal> {
    let Some(id) = query.get("GroupId") else { return Ok(()) };
    let Ok(groups) = stage.network().security_groups(&[id.to_owned()]).await else {
        return Ok(()); // the emulator says in EC2's words that there is no such group
    };
    let existing: BTreeSet<Rule> = groups.iter().flat_map(ingress::existing).collect();
    let asked = ingress::asked(query);
    let named = || asked.iter().filter_map(Rule::prefix_list);
    let lists: BTreeSet<&str> = named().chain(existing.iter().filter_map(Rule::prefix_list)).collect();
    let counts = prefix_lists::counts(&stage.network().prefix_lists(&lists).await?);
    prefix_lists::exist(named(), &counts)?;
    ingress::add(&asked, &existing, &counts, stage.shared.quotas.rules_per_security_group)
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

/// Remembers what stands on rules that name prefix lists: AWS shows it (API reference, PrefixListId), and moto forgets it.
pub(crate) fn keep_descriptions(stage: &mut Stage<'_>, query: &Query) {
    let group = query.get("GroupId").unwrap_or_default();
    for permission in query.structures("IpPermissions") {
        let text = |name| permission.get(name).unwrap_or_default();
        for entry in permission.structures("PrefixListIds") {
            let list = entry.get("PrefixListId").unwrap_or_default();
            let rule = [group, text("IpProtocol"), text("FromPort"), text("ToPort"), list].join(" ");
            let description = entry.get("Description").unwrap_or_default().to_owned();
            stage.estate.on_prefix_lists.insert(rule, description);
        }
    }
}

/// Shows it.
pub(crate) fn show_descriptions(stage: &Stage<'_>, answer: &mut Element) {
    for group in answer.child_mut("securityGroupInfo").into_iter().flat_map(|list| &mut list.children) {
        let id = group.text_at(&["groupId"]).unwrap_or_default().to_owned();
        for permission in group.child_mut("ipPermissions").into_iter().flat_map(|list| &mut list.children) {
            let text = |name: &str| permission.text_at(&[name]).unwrap_or_default().to_owned();
            let rule = [id.clone(), text("ipProtocol"), text("fromPort"), text("toPort")].join(" ");
            for entry in permission.child_mut("prefixListIds").into_iter().flat_map(|list| &mut list.children) {
                let list = entry.text_at(&["prefixListId"]).unwrap_or_default();
                if let Some(description) = stage.estate.on_prefix_lists.get(&format!("{rule} {list}")) {
                    entry.set(Element::text("description", description));
                }
            }
        }
    }
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
