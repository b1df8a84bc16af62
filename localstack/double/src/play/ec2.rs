//! EC2: passed on, with what emulators leave out: pages, describes that lag behind creates, and the rules of security groups.

use crate::caller::Service;
use crate::network::items;
use crate::play::{Stage, security_groups};
use crate::query::Query;
use crate::refusal::Refusal;
use crate::rules::{pages, prefix_lists};
use crate::xml::Element;

/// One action.
pub(crate) async fn play(stage: &mut Stage<'_>, query: &Query) -> Result<Element, Refusal> {
    match query.action() {
        "AuthorizeSecurityGroupIngress" => security_groups::authorize(stage, query).await?,
        "DeleteSecurityGroup" => security_groups::delete(stage, query).await?,
        "DescribeSecurityGroups" => security_groups::are_visible(stage, query)?,
        _ => {}
    }
    let paged = query.action().starts_with("Describe")
        && (stage.cut.is_some() || query.has("MaxResults") || query.has("NextToken"));
    let asked = if paged { query.without(&["MaxResults", "NextToken"]) } else { query.clone() };
    let mut answer = stage.upstream.ask(&Service::Ec2, stage.region, &asked).await?;
    match query.action() {
        "CreateSecurityGroup" => security_groups::born(stage, &answer),
        "AuthorizeSecurityGroupIngress" => security_groups::keep_descriptions(stage, query),
        "DescribeSecurityGroups" => {
            security_groups::hide(stage, &mut answer);
            security_groups::show_descriptions(stage, &mut answer);
        }
        "DescribeManagedPrefixLists" => {
            prefix_lists::exist(query.list("PrefixListId"), &prefix_lists::counts(items(&answer, "prefixListSet")))?;
        }
        _ => {}
    }
    if paged {
        page(stage, query, &mut answer)?;
    }
    Ok(answer)
}

/// EC2 API reference, the Describe actions: `MaxResults`, `NextToken`. The double cuts the list itself: some emulators ignore both.
fn page(stage: &Stage<'_>, query: &Query, answer: &mut Element) -> Result<(), Refusal> {
    let is_list = |child: &&mut Element| child.children.first().is_some_and(|one| one.name == "item");
    let Some(list) = answer.children.iter_mut().find(is_list) else { return Ok(()) };
    let most = match query.get("MaxResults") {
        None => 1000,
        Some(text) => {
            // "API_DescribeManagedPrefixLists": 1 to 100.
            let largest = if query.action() == "DescribeManagedPrefixLists" { 100 } else { 1000 };
            crate::rules::number("MaxResults", text, 1..=largest)? as usize
        }
    };
    let most = stage.cut.map_or(most, |cut| most.min(cut.max(1)));
    let wrong = || Refusal::new("InvalidNextToken", "the token is not one of this list");
    let start = query.get("NextToken").map_or(Ok(0), |token| pages::place(token).ok_or_else(wrong))?;
    let all = std::mem::take(&mut list.children);
    let more = all.len() > start + most;
    list.children = all.into_iter().skip(start).take(most).collect();
    answer.children.retain(|child| child.name != "nextToken");
    if more {
        answer.children.push(Element::text("nextToken", pages::marker(start + most)));
    }
    Ok(())
}
